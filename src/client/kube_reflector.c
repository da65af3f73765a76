#include "client/kube_reflector.h"

#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/json_splitter.h"
#include "base/log.h"
#include "base/mem.h"
#include "client/kube_client_private.h"
#include "client/kube_reflector_private.h"
#include "loop/loop.h"
#include "loop/timer.h"
#include "net/http.h"

enum { NOTIFY_MS = 1000, PROOF_OTHER_MS = 75000, ASKED_MAX_MS = 300000, DENIED_FIRST_MS = 5000, RETURN_MS = 300 };

static unsigned random_below(unsigned bound)
{
    unsigned n = 0;
    return getentropy(&n, sizeof n) == 0 ? n % bound : 0;
}

/* ---- Status ------------------------------------------------------------------------------------------------------ */

static void reflector_notify(struct kube_reflector *r)
{
    r->notified_ms = clock_mono_ms();
    if (r->ev.on_status)
        r->ev.on_status(r->arg, &r->status);
}

void reflector_touch(struct kube_reflector *r)
{
    r->status.last_ok_ms = clock_mono_ms();
    if (r->status.last_ok_ms - r->notified_ms >= NOTIFY_MS)
        reflector_notify(r);
}

void reflector_set(struct kube_reflector *r, enum kube_reflector_state state, const struct err *e, int64_t next_try_ms)
{
    bool same_error = e ? r->error && str_eq(err_text(e), err_text(r->error)) : !r->error;
    if (r->status.state == state && same_error && r->status.next_try_ms == next_try_ms)
        return;
    struct err *kept = e ? err_copy(e) : NULL; /* e may be r->error */
    err_free(r->error);
    r->error = kept;
    r->status.error = kept;
    r->status.state = state;
    r->status.next_try_ms = next_try_ms;
    reflector_notify(r);
}

void reflector_answered(struct kube_reflector *r, enum kube_reflector_state state)
{
    r->status.last_ok_ms = clock_mono_ms();
    reflector_set(r, state, NULL, 0);
    reflector_touch(r);
}

const struct kube_reflector_status *kube_reflector_status(const struct kube_reflector *r)
{
    return &r->status;
}

/* The canary was answered. What that proves of an open watch stands at last_ok_ms in the header. */
static void reflector_proof(void *arg, bool same_connection)
{
    struct kube_reflector *r = arg;
    if (!r->watch.open)
        return;
    if (same_connection || clock_mono_ms() - r->watch.heard_ms <= PROOF_OTHER_MS)
        reflector_touch(r);
}

void reflector_object(struct kube_reflector *r, struct slice json, bool deleted)
{
    struct err *e = r->ev.on_object(r->arg, json, deleted);
    if (!e)
        return;
    r->status.unreadable++;
    if (r->logged++ < REFLECTOR_LOGGED_MAX)
        log_warn("%s: an object cannot be read: %s", r->path, err_text(e));
    err_ignore(e, "one object that cannot be read must not hide the others; it is counted in the status");
}

/* The server answers again: no need to sit out a delay that grew while it did not. Slightly scattered. */
static void reflector_return(void *arg)
{
    struct kube_reflector *r = arg;
    if (r->status.state != KUBE_BACKOFF || !timer_active(r->retry) || r->retry_asked)
        return;
    if (err_kind(r->error) != ERR_UNAVAILABLE && err_kind(r->error) != ERR_AUTH)
        return;
    backoff_reset(&r->backoff);
    timer_start(r->retry, random_below(RETURN_MS), 0);
}

/* ---- What comes next --------------------------------------------------------------------------------------------- */

/* It told of something, or lived for a while: our resourceVersion was not too old. */
bool reflector_watch_was_good(const struct kube_reflector *r)
{
    bool lived = r->watch.open && clock_mono_ms() - r->watch.since_ms >= r->pace.short_ms;
    return r->watch.events > 0 || lived;
}

void reflector_stop(struct kube_reflector *r)
{
    if (reflector_watch_was_good(r))
        r->watch.expired = 0;
    r->watch.events = 0;
    kube_request_free(r->request);
    r->request = NULL;
    json_splitter_free(r->splitter);
    r->splitter = NULL;
    r->watch.open = false;
    timer_stop(r->watch.silence);
    timer_stop(r->retry);
}

void reflector_list_now(struct kube_reflector *r)
{
    reflector_stop(r);
    reflector_list_clear(r);
    r->rv[0] = '\0';
    reflector_list_start(r);
}

void reflector_watch_now(struct kube_reflector *r)
{
    reflector_stop(r);
    reflector_watch_start(r);
}

static void reflector_retry(void *arg)
{
    struct kube_reflector *r = arg;
    reflector_set(r, r->status.state, r->error, 0);
    if (r->retry_watch && r->rv[0])
        reflector_watch_now(r);
    else
        reflector_list_now(r);
}

static void reflector_wait(struct kube_reflector *r, enum kube_reflector_state state, bool watch, const struct err *e,
                           int64_t delay_ms)
{
    reflector_stop(r);
    r->retry_watch = watch;
    timer_start(r->retry, delay_ms, 0);
    reflector_set(r, state, e, clock_mono_ms() + delay_ms);
}

void reflector_back_off(struct kube_reflector *r, bool watch, const struct err *e, int64_t asked_ms)
{
    struct err *kept = err_copy(e); /* e may belong to the request, which is freed */
    int64_t delay = backoff_next_after(&r->backoff, clock_mono_ms(), asked_ms < ASKED_MAX_MS ? asked_ms : ASKED_MAX_MS);
    reflector_wait(r, KUBE_BACKOFF, watch, kept, delay);
    r->retry_asked = asked_ms > 0;
    err_free(kept);
}

/* One that was allowed until now is asked again soon: a server that has just begun denies for a moment. */
static int64_t denied_delay(struct kube_reflector *r)
{
    bool first = r->status.lists > 0 && r->denials++ == 0;
    return first && r->pace.denied_ms > DENIED_FIRST_MS ? DENIED_FIRST_MS : r->pace.denied_ms;
}

bool reflector_denied(struct kube_reflector *r, int status, const struct err *e)
{
    if (status != 403 && status != 404)
        return false;
    struct err *kept = err_copy(e);
    if (status == 404)
        kept = err_wrap(kept, "the server has no %s", strrchr(r->path, '/') + 1);
    reflector_wait(r, KUBE_DENIED, false, kept, denied_delay(r));
    err_free(kept);
    return true;
}

int64_t reflector_asked_ms(const struct http_result *result)
{
    struct kube_status s;
    int64_t asked_s = result->head.retry_after_s;
    if (result->status >= 400 && result->body) {
        kube_status_parse(buf_slice(result->body), &s);
        asked_s = s.retry_after_s > asked_s ? s.retry_after_s : asked_s;
    }
    if (asked_s > ASKED_MAX_MS / CLOCK_MS_PER_S)
        return ASKED_MAX_MS;
    return asked_s > 0 ? asked_s * CLOCK_MS_PER_S : 0;
}

/* ---- Life -------------------------------------------------------------------------------------------------------- */

static struct kube_reflector_pace pace_or_default(struct kube_reflector_pace p)
{
    p.page = p.page ? p.page : 500;
    p.watch_s = p.watch_s ? p.watch_s : 180 + random_below(51);
    p.silence_ms = p.silence_ms ? p.silence_ms : 150000;
    p.open_ms = p.open_ms ? p.open_ms : 30000;
    p.short_ms = p.short_ms ? p.short_ms : 1000;
    p.denied_ms = p.denied_ms ? p.denied_ms : 60000;
    return p;
}

static char *collection_path(const struct kube_reflector_options *o)
{
    struct buf path = {0};
    buf_adds(&path, o->group_path);
    if (o->ns) {
        buf_adds(&path, "/namespaces/");
        http_escape(&path, o->ns);
    }
    buf_addc(&path, '/');
    buf_adds(&path, o->resource);
    return buf_steal(&path);
}

static void reflector_begin(void *arg)
{
    struct kube_reflector *r = arg;
    reflector_list_now(r);
}

static void reflector_silence(void *arg);

struct kube_reflector *kube_reflector_new(struct kube_client *c, const struct kube_reflector_options *o,
                                          const struct kube_reflector_events *ev, void *arg)
{
    struct kube_reflector *r = MEM_NEW(struct kube_reflector);
    r->client = c;
    r->loop = c->loop;
    r->ev = *ev;
    r->arg = arg;
    r->path = collection_path(o);
    r->selector = mem_strdup(o->selector);
    r->pace = pace_or_default(o->pace);
    r->backoff = (struct backoff){.first_ms = o->pace.first_backoff_ms, .cap_ms = o->pace.cap_backoff_ms};
    r->retry = timer_new(r->loop, reflector_retry, r);
    r->watch.silence = timer_new(r->loop, reflector_silence, r);
    r->watcher = (struct kube_watcher){.on_proof = reflector_proof, .on_return = reflector_return, .arg = r};
    kube_watcher_add(c, &r->watcher);
    loop_defer(r->loop, reflector_begin, r);
    return r;
}

/* How long a watch may say nothing. Once it has had a bookmark, the next ones are due every minute; until then there
 * may be none (kube_reflector_check.c), and only the end after timeoutSeconds is. */
static int64_t silence_limit(const struct kube_reflector *r)
{
    if (!r->watch.open)
        return r->pace.open_ms;
    return r->watch.bookmarked ? r->pace.silence_ms
                               : (int64_t)(r->pace.watch_s + REFLECTOR_SLACK_S) * CLOCK_MS_PER_S;
}

/* Fires while a watch runs: looks how long nothing was heard. */
static void reflector_silence(void *arg)
{
    struct kube_reflector *r = arg;
    int64_t limit = silence_limit(r);
    if (kube_request_waits(r->request)) /* a credential plugin takes its time: nobody was asked yet */
        r->watch.heard_ms = clock_mono_ms();
    int64_t silent = clock_mono_ms() - r->watch.heard_ms;
    if (silent < limit) {
        timer_start(r->watch.silence, limit - silent, 0);
        return;
    }
    char age[24];
    clock_format_age(silent, age, sizeof age);
    bool open = r->watch.open;
    struct err *e = open ? err_new(ERR_UNAVAILABLE, "%s: watch %s: silent for %s though more was due: listing again",
                                   r->client->name, r->path, age)
                         : err_new(ERR_UNAVAILABLE, "%s: watch %s: no answer for %s", r->client->name, r->path, age);
    reflector_back_off(r, !open, e, 0);
    err_free(e);
}

void kube_reflector_poke(struct kube_reflector *r)
{
    if (r->request || !timer_active(r->retry))
        return;
    backoff_reset(&r->backoff);
    timer_start(r->retry, 0, 0);
}

void kube_reflector_free(struct kube_reflector *r)
{
    if (!r)
        return;
    loop_undefer(r->loop, r);
    kube_watcher_remove(r->client, &r->watcher);
    reflector_stop(r);
    reflector_list_clear(r);
    timer_free(r->retry);
    timer_free(r->watch.silence);
    err_free(r->error);
    mem_free(r->path);
    mem_free(r->selector);
    mem_free(r);
}
