/* The tail of one container's log, on demand. Without a container's name the pod is asked for its first one. */
#include <stdio.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "client/kube_client.h"
#include "net/http.h"
#include "source/kube_source_private.h"

#define LINES "200"
enum { BODY_MAX = 4 * 1024 * 1024 };

struct kube_log {
    struct kube_source *s;
    struct kube_request *request;
    char *ns, *pod, *container;
    char *title; /* namespace/pod/container, clean */
};

struct kube_log *kube_log_new(struct kube_source *s) {
    struct kube_log *l = MEM_NEW(struct kube_log);
    l->s = s;
    return l;
}

static void stop(struct kube_log *l) {
    kube_request_free(l->request);
    l->request = NULL;
}

void kube_log_free(struct kube_log *l) {
    if (!l) return;
    stop(l);
    mem_free(l->ns);
    mem_free(l->pod);
    mem_free(l->container);
    mem_free(l->title);
    mem_free(l);
}

static void put_line(struct kube_log *l, unsigned number, struct slice line) {
    struct buf text = {0};
    char key[16];
    utf8_clean(&text, line);
    struct cell cells[LOGS_COLS] = {[LOGS_POD] = cell_text(l->title), [LOGS_LINE] = cell_text(buf_str(&text))};
    snprintf(key, sizeof key, "%06u", number);
    world_upsert(l->s->o.world, T_LOGS, slice_of(key), "", cells);
    buf_free(&text);
}

/* Puts the lines there; what was there of another log goes. */
static void put_lines(struct kube_log *l, struct slice body) {
    uint32_t sweep = world_sweep_begin(l->s->o.world);
    unsigned number = 0;
    struct slice line;
    if (body.n && body.p[body.n - 1] == '\n') body.n--;
    while (slice_cut(&body, '\n', &line)) {
        if (line.n && line.p[line.n - 1] == '\r') line.n--;
        put_line(l, ++number, line);
    }
    world_sweep_end(l->s->o.world, T_LOGS, "", sweep);
}

static void set_title(struct kube_log *l) {
    char *raw = str_printf("%s/%s/%s", l->ns, l->pod, l->container ? l->container : "");
    mem_free(l->title);
    l->title = utf8_cleaned(slice_of(raw));
    mem_free(raw);
}

static void say(struct kube_log *l, const char *what, const struct err *e) {
    char *text = e ? str_printf("(%s: %s)", what, err_text(e)) : str_printf("(%s)", what);
    put_lines(l, slice_of(text));
    mem_free(text);
}

static void on_log(void *arg, const struct http_result *r, const struct err *e) {
    struct kube_log *l = arg;
    if (e) say(l, "the log cannot be read", e);
    else if (!r->body || r->body->len == 0) say(l, "the log is empty", NULL);
    else put_lines(l, buf_slice(r->body));
    stop(l);
}

static void add_pod_path(const struct kube_log *l, struct buf *path) {
    buf_adds(path, "/api/v1/namespaces/");
    http_escape(path, l->ns);
    buf_adds(path, "/pods/");
    http_escape(path, l->pod);
}

static void ask_log(struct kube_log *l) {
    struct buf path = {0};
    add_pod_path(l, &path);
    buf_adds(&path, "/log?tailLines=" LINES "&container=");
    http_escape(&path, l->container);
    set_title(l);
    l->request = kube_start(l->s->client,
                            &(struct kube_call){.path = path.p, .max_body = BODY_MAX, .on_done = on_log, .arg = l});
    buf_free(&path);
}

static void on_pod(void *arg, const struct http_result *r, const struct err *e) {
    struct kube_log *l = arg;
    struct kube_arena *arena = &l->s->arena;
    struct kube_pod p;
    struct err *bad = e ? NULL : kube_pod_parse(arena, r->body ? buf_slice(r->body) : SLICE_LIT(""), &p);
    if (e || bad) say(l, "the pod cannot be read", e ? e : bad);
    else if (!p.spec.container.n) say(l, "the pod has no container", NULL);
    else l->container = slice_dup(p.spec.container);
    err_free(bad);
    kube_arena_reset(arena);
    stop(l);
    if (l->container) ask_log(l);
}

void kube_log_fetch(struct kube_log *l, const char *ns, const char *pod, const char *container) {
    struct buf path = {0};
    stop(l);
    str_set(&l->ns, ns);
    str_set(&l->pod, pod);
    str_set(&l->container, container && *container ? container : NULL);
    set_title(l);
    say(l, "asking", NULL);
    if (l->container) {
        ask_log(l);
        return;
    }
    add_pod_path(l, &path);
    l->request = kube_start(l->s->client,
                            &(struct kube_call){.path = path.p, .max_body = BODY_MAX, .on_done = on_pod, .arg = l});
    buf_free(&path);
}
