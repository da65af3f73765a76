/* A watch says nothing for up to a minute (bookmarks), and a connection whose other end has gone says nothing for ever.
 * TCP's own keepalive is answered by the nearest proxy. So GET /version goes the whole way every 15 s, over HTTP/2 on
 * the very connection that carries the watches; when it is not answered in 5 s while nothing else is heard either, all
 * connections are thrown away, not only this request: libcurl (seen with 7.88) would put the next one on the dead
 * connection again. A dead connection is noticed within 20 s, and a watcher may take each answer as proof. */
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/json_reader.h"
#include "base/mem.h"
#include "client/kube_client_private.h"
#include "loop/loop.h"
#include "loop/timer.h"
#include "net/http.h"

enum { CANARY_EVERY_MS = 15000, CANARY_DEADLINE_MS = 5000 };

struct kube_canary {
    struct kube_client *client;
    struct timer *timer;
    struct kube_request *request;
    struct kube_watcher *watchers;
    char *version;
    int64_t every_ms, deadline_ms, asked_ms;
};

/* gitVersion of a /version document; malloc'd, NULL if there is none. */
static char *git_version(struct slice body)
{
    struct json_reader j;
    struct slice key;
    char *version = NULL;
    json_reader_init(&j, body.p ? body.p : "", body.n);
    if (json_enter_object(&j))
        while (json_next_key(&j, &key)) {
            if (slice_is(key, "gitVersion") && !version)
                version = slice_dup(json_string(&j));
            else
                json_skip(&j);
        }
    json_reader_free(&j);
    return version;
}

static void canary_answered(struct kube_canary *k, const struct http_result *r)
{
    struct kube_client *c = k->client;
    char *version = r->status == 200 ? git_version(buf_slice(r->body)) : NULL;
    if (version && *version && !str_eq(version, k->version)) {
        str_set(&k->version, version);
        if (c->ev.on_version)
            c->ev.on_version(c->arg, k->version);
    }
    mem_free(version);
    kube_identity_check(c->identity);
    for (struct kube_watcher *w = k->watchers, *next; w; w = next) {
        next = w->next;
        w->on_proof(w->arg, r->head.http2);
    }
}

/* No answer. Whoever still hears something on the connection has proof that it lives. */
static void canary_unanswered(struct kube_canary *k, const struct http_result *r, const struct err *e)
{
    struct kube_client *c = k->client;
    kube_client_health(c, e);
    bool asked = err_kind(r->error) == ERR_UNAVAILABLE || err_kind(r->error) == ERR_PROTOCOL;
    if (asked && c->transport && c->heard_ms < k->asked_ms) {
        c->heard_ms = 0;
        http_reset(c->transport->http, "the server does not answer");
    }
}

static void canary_done(void *arg, const struct http_result *r, const struct err *e)
{
    struct kube_canary *k = arg;
    kube_request_free(k->request);
    k->request = NULL;
    if (r->status == 0)
        canary_unanswered(k, r, e);
    else if (r->status >= 500 || r->status == 401)
        kube_client_health(k->client, e);
    else
        canary_answered(k, r);
}

static void canary_ask(void *arg)
{
    struct kube_canary *k = arg;
    if (k->request)
        return; /* a credential plugin is still running */
    k->asked_ms = clock_mono_ms();
    struct kube_call call = {
        .path = "/version",
        .timeout_ms = k->deadline_ms,
        .max_body = 64 * 1024,
        .on_done = canary_done,
        .arg = k,
    };
    k->request = kube_start(k->client, &call);
}

struct kube_canary *kube_canary_new(struct kube_client *c)
{
    struct kube_canary *k = MEM_NEW(struct kube_canary);
    *k = (struct kube_canary){.client = c, .every_ms = CANARY_EVERY_MS, .deadline_ms = CANARY_DEADLINE_MS};
    k->timer = timer_new(c->loop, canary_ask, k);
    if (c->ev.on_version || c->ev.on_identity)
        loop_defer(c->loop, canary_ask, k);
    return k;
}

void kube_canary_free(struct kube_canary *k)
{
    if (!k)
        return;
    loop_undefer(k->client->loop, k);
    timer_free(k->timer);
    kube_request_free(k->request);
    mem_free(k->version);
    mem_free(k);
}

void kube_canary_returned(struct kube_canary *k)
{
    for (struct kube_watcher *w = k->watchers, *next; w; w = next) {
        next = w->next;
        w->on_return(w->arg);
    }
}

void kube_canary_pace(struct kube_client *c, int64_t every_ms, int64_t deadline_ms)
{
    c->canary->every_ms = every_ms;
    c->canary->deadline_ms = deadline_ms;
    if (timer_active(c->canary->timer))
        timer_start(c->canary->timer, every_ms, every_ms);
}

void kube_watcher_add(struct kube_client *c, struct kube_watcher *w)
{
    struct kube_canary *k = c->canary;
    w->prev = NULL;
    w->next = k->watchers;
    if (w->next)
        w->next->prev = w;
    k->watchers = w;
    if (!timer_active(k->timer))
        timer_start(k->timer, k->every_ms, k->every_ms);
}

void kube_watcher_remove(struct kube_client *c, struct kube_watcher *w)
{
    struct kube_canary *k = c->canary;
    if (w->prev)
        w->prev->next = w->next;
    else
        k->watchers = w->next;
    if (w->next)
        w->next->prev = w->prev;
    if (!k->watchers)
        timer_stop(k->timer);
}
