/* See pg_pod.h. */
#include "sandbox/pg_pod.h"

#include <signal.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/str.h"
#include "loop/child.h"

/* What postgres says on stderr (lc_messages is C in the image) when it can be used. */
static const char pg_ready_text[] = "database system is ready to accept connections";
static const char pg_listen_text[] = "listening on IPv4 address"; /* the temporary server does not */

struct pg_pod {
    struct pg_pod_options o; /* only the callbacks are used after the start */
    struct child *child;
    struct buf line; /* the unfinished line of the log */
    bool listens, ready;
};

static void pod_on_line(struct pg_pod *p, struct slice line)
{
    p->listens = p->listens || slice_contains(line, pg_listen_text);
    if (p->ready || !slice_contains(line, pg_ready_text))
        return;
    if (!p->listens) {
        p->o.on_first_boot(p->o.arg);
        return;
    }
    p->ready = true;
    p->o.on_ready(p->o.arg);
}

static void pod_on_output(void *arg, const char *bytes, size_t n)
{
    struct pg_pod *p = arg;
    p->o.on_log(p->o.arg, bytes, n);
    buf_add(&p->line, bytes, n);
    size_t from = 0;
    for (const char *nl; (nl = memchr(p->line.p + from, '\n', p->line.len - from));) {
        size_t to = (size_t)(nl - p->line.p);
        pod_on_line(p, (struct slice){p->line.p + from, to - from});
        from = to + 1;
    }
    buf_consume(&p->line, from);
    if (p->line.len > 65536)
        buf_clear(&p->line);
}

static void pod_on_exit(void *arg, const struct child_exit *exit)
{
    struct pg_pod *p = arg;
    p->ready = false;
    child_free(p->child);
    p->child = NULL;
    p->o.on_exit(p->o.arg, exit->signal ? 128 + exit->signal : exit->status);
}

struct err *pg_pod_start(struct loop *l, const struct pg_pod_options *o, struct pg_pod **ret)
{
    const struct {
        const char *name, *value;
    } settings[] = {{"root", o->root}, {"pgdata", o->pgdata},          {"bin", o->bin},         {"socket", o->socket},
                    {"init", o->init}, {"password", o->password_file}, {"content", o->content}, {"dir", o->dir},
                    {"user", o->superuser}, {"database", o->database}, {"initdb", o->initdb_args}, {"preload", o->preload},
                    {"address", o->address}, {"missing", o->missing}, {"drift", o->drift}};
    const char *argv[32];
    char *texts[ARRAY_LEN(settings) + 2];
    size_t argc = 0, text_count = 0;
    argv[argc++] = o->self;
    argv[argc++] = "--guard";
    if (o->user) {
        argv[argc++] = "--user";
        argv[argc++] = o->user;
    }
    argv[argc++] = "--";
    argv[argc++] = "@pg-entry";
    for (size_t i = 0; i < ARRAY_LEN(settings); i++)
        texts[text_count++] = str_printf("%s=%s", settings[i].name, settings[i].value);
    texts[text_count++] = str_printf("port=%u", o->port);
    texts[text_count++] = str_printf("hold=%d", o->first_boot_s);
    for (size_t i = 0; i < text_count; i++)
        argv[argc++] = texts[i];
    argv[argc] = NULL;
    struct pg_pod *p = MEM_NEW(struct pg_pod);
    p->o = *o;
    struct err *e = child_spawn(l,
                                &(struct child_options){.argv = argv,
                                                        .keep_stdin = true,
                                                        .on_output = pod_on_output,
                                                        .on_stderr = pod_on_output,
                                                        .on_exit = pod_on_exit,
                                                        .arg = p},
                                &p->child);
    for (size_t i = 0; i < text_count; i++)
        mem_free(texts[i]);
    if (e)
        mem_free(p);
    else
        *ret = p;
    return e;
}

int pg_pod_pid(const struct pg_pod *p)
{
    return p->child ? child_pid(p->child) : 0;
}

bool pg_pod_is_ready(const struct pg_pod *p)
{
    return p->ready;
}

void pg_pod_end(struct pg_pod *p)
{
    p->ready = false;
    if (p->child)
        child_signal(p->child, SIGTERM);
}

void pg_pod_kill(struct pg_pod *p)
{
    if (p->child)
        child_signal(p->child, SIGUSR1);
}

void pg_pod_free(struct pg_pod *p)
{
    if (!p)
        return;
    child_free(p->child);
    buf_free(&p->line);
    mem_free(p);
}
