/* One watch: lines of {"type":…,"object":…}. Only the type and the object's resourceVersion are looked at here; the
 * object's bytes go on as they are. How a watch ends decides between watching again from the last resourceVersion and
 * listing again, as in client-go's Reflector.watch. */
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/json_reader.h"
#include "base/json_splitter.h"
#include "base/mem.h"
#include "client/kube_reflector_private.h"
#include "loop/timer.h"
#include "net/http.h"

enum event_type { EVENT_NONE, EVENT_CHANGED, EVENT_DELETED, EVENT_BOOKMARK, EVENT_ERROR };

/* ---- Events ------------------------------------------------------------------------------------------------------ */

static enum event_type event_type(struct slice name)
{
    static const struct {
        const char *name;
        enum event_type type;
    } types[] = {
        {"ADDED", EVENT_CHANGED},     {"MODIFIED", EVENT_CHANGED}, {"DELETED", EVENT_DELETED},
        {"BOOKMARK", EVENT_BOOKMARK}, {"ERROR", EVENT_ERROR},
    };
    for (size_t i = 0; i < ARRAY_LEN(types); i++)
        if (slice_is(name, types[i].name))
            return types[i].type;
    return EVENT_NONE;
}

/* resourceVersion in the metadata that comes next; false if there is none that fits. */
static bool meta_rv(struct json_reader *j, char ret[REFLECTOR_RV_SIZE])
{
    struct slice key;
    if (!json_enter_object(j))
        return false;
    while (json_next_key(j, &key)) {
        if (!slice_is(key, "resourceVersion")) {
            json_skip(j);
            continue;
        }
        struct slice rv = json_string(j);
        if (rv.n == 0 || rv.n >= REFLECTOR_RV_SIZE)
            return false;
        memcpy(ret, rv.p, rv.n);
        ret[rv.n] = '\0';
        return true;
    }
    return false;
}

bool reflector_rv(struct slice object, char ret[REFLECTOR_RV_SIZE])
{
    struct json_reader j;
    struct slice key;
    bool found = false;
    json_reader_init(&j, object.p, object.n);
    if (json_enter_object(&j))
        while (json_next_key(&j, &key)) {
            if (slice_is(key, "metadata")) {
                found = meta_rv(&j, ret);
                break;
            }
            json_skip(&j);
        }
    json_reader_free(&j);
    return found;
}

static struct err *read_line(const char *p, size_t n, enum event_type *ret_type, struct slice *ret_object)
{
    struct json_reader j;
    struct slice key;
    json_reader_init(&j, p, n);
    if (json_enter_object(&j))
        while (json_next_key(&j, &key)) {
            if (slice_is(key, "type"))
                *ret_type = event_type(json_string(&j));
            else if (slice_is(key, "object"))
                *ret_object = json_raw(&j);
            else
                json_skip(&j);
        }
    struct err *e = json_finish(&j, "event");
    json_reader_free(&j);
    return e;
}

static struct err *broken(struct kube_reflector *r, struct err *e)
{
    r->watch.end = WATCH_BROKEN;
    return err_wrap(e, "%s: watch %s", r->client->name, r->path);
}

/* An ERROR event: always the last. Its Status says how to go on. */
static struct err *error_event(struct kube_reflector *r, struct slice object)
{
    struct kube_status s;
    kube_status_parse(object, &s);
    r->watch.end = WATCH_BROKEN;
    if (s.code == 410 || str_eq(s.reason, "Expired") || str_eq(s.reason, "Gone"))
        r->watch.end = WATCH_EXPIRED;
    else if (s.code == 429)
        r->watch.end = WATCH_THROTTLED;
    r->watch.retry_after_ms = s.retry_after_s > 0 ? s.retry_after_s * CLOCK_MS_PER_S : 0;
    return err_new(s.code == 401 ? ERR_AUTH : ERR_UNAVAILABLE, "%s: watch %s: the server ended it: %d %s: %s",
                   r->client->name, r->path, s.code, s.reason, s.message);
}

static struct err *watch_line(void *arg, enum json_piece kind, const char *p, size_t n)
{
    struct kube_reflector *r = arg;
    enum event_type type = EVENT_NONE;
    struct slice object = {0};
    char rv[REFLECTOR_RV_SIZE];
    (void)kind;
    struct err *e = read_line(p, n, &type, &object);
    if (e)
        return broken(r, e);
    if (type == EVENT_ERROR)
        return error_event(r, object);
    if (type == EVENT_NONE || !object.p)
        return broken(r, err_new(ERR_PROTOCOL, "an event of unknown type"));
    if (!reflector_rv(object, rv))
        return broken(r, err_new(ERR_PROTOCOL, "an event without resourceVersion"));
    r->watch.events++;
    if (type == EVENT_BOOKMARK) {
        r->watch.bookmarked = true;
    } else {
        r->status.events++;
        reflector_object(r, object, type == EVENT_DELETED);
    }
    str_copy(r->rv, sizeof r->rv, rv);
    return NULL;
}

/* ---- The stream -------------------------------------------------------------------------------------------------- */

static bool watch_head(void *arg, const struct http_head *head)
{
    struct kube_reflector *r = arg;
    if (head->status < 200 || head->status > 299)
        return true;
    r->watch.open = true;
    r->watch.since_ms = r->watch.heard_ms = clock_mono_ms();
    r->status.watches++;
    timer_start(r->watch.silence, 0, 0);
    r->denials = 0;
    reflector_answered(r, KUBE_LIVE);
    return true;
}

static struct err *watch_data(void *arg, const char *p, size_t n)
{
    struct kube_reflector *r = arg;
    r->watch.heard_ms = clock_mono_ms();
    struct err *e = json_splitter_feed(r->splitter, p, n);
    if (e && r->watch.end == WATCH_ENDED)
        return broken(r, e);
    if (!e)
        reflector_touch(r);
    return e;
}

/* A complete stream: the last line may lack its newline; half a line will come again with the next watch. */
static struct err *finish_lines(struct kube_reflector *r)
{
    struct err *e = json_splitter_finish(r->splitter);
    if (r->watch.end != WATCH_ENDED)
        return e;
    err_ignore(e, "a line that was cut is sent again by the next watch, which begins before it");
    return NULL;
}

/* The server has ended it as it does after timeoutSeconds; or at once and without a word, which is a failure. */
static void ended_well(struct kube_reflector *r)
{
    if (r->watch.events > 0) {
        reflector_watch_now(r);
        return;
    }
    if (clock_mono_ms() - r->watch.since_ms >= r->pace.short_ms) {
        reflector_check_start(r);
        return;
    }
    struct err *e = err_new(ERR_UNAVAILABLE, "%s: watch %s: the server ends it at once, without an event",
                            r->client->name, r->path);
    reflector_back_off(r, true, e, 0);
    err_free(e);
}

/* The history from our resourceVersion on is gone: list again, at once unless this watch has only just begun. */
static void expired(struct kube_reflector *r, const struct err *e)
{
    if (reflector_watch_was_good(r))
        r->watch.expired = 0;
    if (r->watch.expired++ > 0) {
        reflector_back_off(r, false, e, 0);
        return;
    }
    reflector_set(r, KUBE_LISTING, NULL, 0);
    reflector_list_now(r);
}

/* The watch did not come about, or was cut: from the same resourceVersion where that can be right. */
static void failed(struct kube_reflector *r, const struct http_result *result, const struct err *e)
{
    int status = result->error ? 0 : result->status;
    bool again = status == 0 || status == 401 || status == 429 || (status >= 502 && status <= 504);
    if (status == 410)
        expired(r, e);
    else if (!reflector_denied(r, status, e))
        reflector_back_off(r, again, e, reflector_asked_ms(result));
}

static void watch_done(void *arg, const struct http_result *result, const struct err *e)
{
    struct kube_reflector *r = arg;
    struct err *last = !e && r->watch.end == WATCH_ENDED ? finish_lines(r) : NULL;
    const struct err *why = last ? last : e;
    switch (r->watch.end) {
    case WATCH_EXPIRED:
        expired(r, why);
        break;
    case WATCH_THROTTLED:
        reflector_back_off(r, true, why, r->watch.retry_after_ms);
        break;
    case WATCH_BROKEN:
        reflector_back_off(r, false, why, r->watch.retry_after_ms);
        break;
    case WATCH_ENDED:
        if (!e)
            ended_well(r);
        else
            failed(r, result, e);
        break;
    }
    err_free(last);
}

void reflector_watch_start(struct kube_reflector *r)
{
    struct buf path = {0};
    buf_printf(&path, "%s?watch=true&allowWatchBookmarks=true&timeoutSeconds=%u&resourceVersion=", r->path,
               r->pace.watch_s);
    http_escape(&path, r->rv);
    if (r->selector)
        buf_printf(&path, "&%s", r->selector);
    struct kube_call call = {
        .path = buf_str(&path),
        .timeout_ms = -1,
        .max_body = 1024 * 1024,
        .on_head = watch_head,
        .on_data = watch_data,
        .on_done = watch_done,
        .arg = r,
    };
    r->watch.open = r->watch.bookmarked = false;
    r->watch.events = 0;
    r->watch.end = WATCH_ENDED;
    r->watch.retry_after_ms = 0;
    r->watch.since_ms = r->watch.heard_ms = clock_mono_ms();
    r->logged = 0;
    r->splitter = json_splitter_new(JSON_SPLIT_LINES, REFLECTOR_PIECE_MAX, watch_line, r);
    r->request = kube_start(r->client, &call);
    timer_start(r->watch.silence, r->pace.open_ms, 0);
    buf_free(&path);
}
