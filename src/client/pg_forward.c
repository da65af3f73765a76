#include "client/pg_forward.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/utf8.h"
#include "loop/child.h"

#define ARGS_MAX 24
#define LISTENING "Forwarding from 127.0.0.1:"

struct pg_forward {
    struct pg_forward_options o;
    struct child *child;
    struct buf out;
    char *target;
    bool listening;
};

static void on_output(void *arg, const char *p, size_t n) {
    struct pg_forward *f = arg;
    if (f->listening) return; /* from then on kubectl says "Handling connection for …" */
    buf_add(&f->out, p, n);
    const char *at = strstr(buf_str(&f->out), LISTENING);
    if (!at || !strchr(at, '\n')) return;
    unsigned long port = strtoul(at + strlen(LISTENING), NULL, 10);
    f->listening = true;
    buf_free(&f->out);
    f->o.on_port(f->o.arg, (unsigned)port);
}

static void on_child_exit(void *arg, const struct child_exit *x) {
    struct pg_forward *f = arg;
    struct buf text = {0};
    utf8_clean(&text, slice_trim(buf_slice(&x->err)));
    struct err *e = err_new(ERR_UNAVAILABLE, "kubectl port-forward %s: ended with %s %d%s%s", f->target, x->signal ? "signal" : "status",
                            x->signal ? x->signal : x->status, text.len ? ": " : "", buf_str(&text));
    buf_free(&text);
    f->o.on_end(f->o.arg, e); /* may free f */
    err_free(e);
}

struct err *pg_forward_start(struct loop *l, const struct pg_forward_options *o, struct pg_forward **ret) {
    struct pg_forward *f = MEM_NEW(struct pg_forward);
    const char *argv[ARGS_MAX];
    char ports[16];
    size_t n = 0;
    f->o = *o;
    f->target = str_printf("%s/%s", o->ns, o->object);
    snprintf(ports, sizeof ports, ":%u", o->port);
    for (; o->kubectl[n] && n < ARGS_MAX - 8; n++) argv[n] = o->kubectl[n];
    argv[n++] = "--namespace";
    argv[n++] = o->ns;
    argv[n++] = "port-forward";
    argv[n++] = "--address=127.0.0.1";
    argv[n++] = o->object;
    argv[n++] = ports;
    argv[n] = NULL;
    struct err *e = child_spawn(l, &(struct child_options){
        .argv = argv, .inherit_env = true /* credential plugins want it */, .on_output = on_output, .on_exit = on_child_exit, .arg = f,
    }, &f->child);
    if (e) {
        mem_free(f->target);
        mem_free(f);
        return err_wrap(e, "port-forward needs kubectl in PATH");
    }
    *ret = f;
    return NULL;
}

void pg_forward_free(struct pg_forward *f) {
    if (!f) return;
    child_free(f->child);
    buf_free(&f->out);
    mem_free(f->target);
    mem_free(f);
}
