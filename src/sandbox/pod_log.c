/* See pod_log.h. */
#include "sandbox/pod_log.h"

#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "sandbox/http_server.h"

#define LOG_MAX 262144

struct follower {
    struct follower *next;
    struct pod_log *log; /* NULL: it has ended */
    struct http_stream *stream;
    struct buf waiting;
};

struct pod_log {
    struct buf text, previous;
    bool has_previous;
    struct follower *followers;
};

struct pod_log *pod_log_new(void)
{
    return MEM_NEW(struct pod_log);
}

void pod_log_end(struct pod_log *l)
{
    while (l->followers) {
        struct follower *f = l->followers;
        l->followers = f->next;
        f->log = NULL;
        http_stream_wake(f->stream);
    }
}

void pod_log_free(struct pod_log *l)
{
    if (!l)
        return;
    pod_log_end(l);
    buf_free(&l->text);
    buf_free(&l->previous);
    mem_free(l);
}

void pod_log_add(struct pod_log *l, const char *p, size_t n)
{
    buf_add(&l->text, p, n);
    if (l->text.len > 2 * LOG_MAX)
        buf_consume(&l->text, l->text.len - LOG_MAX);
    for (struct follower *f = l->followers; f; f = f->next) {
        buf_add(&f->waiting, p, n);
        http_stream_wake(f->stream);
    }
}

void pod_log_restart(struct pod_log *l)
{
    pod_log_end(l);
    buf_free(&l->previous);
    l->previous = l->text;
    l->text = (struct buf){0};
    l->has_previous = true;
}

struct slice pod_log_text(const struct pod_log *l)
{
    return (struct slice){buf_str(&l->text), l->text.len};
}

struct slice pod_log_previous(const struct pod_log *l)
{
    return l->has_previous ? (struct slice){buf_str(&l->previous), l->previous.len} : (struct slice){0};
}

static size_t follower_fill(void *arg, char *p, size_t max)
{
    struct follower *f = arg;
    size_t n = f->waiting.len < max ? f->waiting.len : max;

    if (n == 0)
        return f->log ? 0 : HTTP_FILL_END;
    memcpy(p, f->waiting.p, n);
    buf_consume(&f->waiting, n);
    return n;
}

static void follower_closed(void *arg)
{
    struct follower *f = arg;

    for (struct follower **at = f->log ? &f->log->followers : NULL; at && *at; at = &(*at)->next) {
        if (*at == f) {
            *at = f->next;
            break;
        }
    }
    buf_free(&f->waiting);
    mem_free(f);
}

void pod_log_follow(struct pod_log *l, struct http_request *r, struct slice head)
{
    static const struct http_stream_events events = {.fill = follower_fill, .closed = follower_closed};
    struct follower *f = MEM_NEW(struct follower);

    f->log = l;
    buf_add(&f->waiting, head.p, head.n);
    f->stream = http_reply_stream(r, 200, "text/plain", &events, f);
    f->next = l->followers;
    l->followers = f;
}
