/* Watches. Each has a cursor into its kind's ring and writes from there when its connection has room; nothing is queued
 * per watch, and one that falls behind the ring is ended, as the API server does it.
 *
 * Bookmarks come every 60 s, and once more 2 s before timeoutSeconds; after sendInitialEvents with the annotation that
 * says so. A history that is too old is an ERROR event in an HTTP 200, always. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json_doc.h"
#include "base/json_writer.h"
#include "base/mem.h"
#include "loop/timer.h"
#include "sandbox/http_server.h"
#include "sandbox/kube.h"
#include "sandbox/selector.h"

#define CHUNK 65536
#define BOOKMARK_MS 60000
#define LAST_BOOKMARK_MS 2000
#define TIMEOUT_MIN_S 1800
#define LONG_LINE (10u << 20)

struct watch {
    struct kube *k;
    struct watch *prev, *next;
    const struct kube_kind *kind;
    struct http_stream *stream;
    char *ns, *include;
    struct selector *selector;
    struct buf out;
    size_t sent;
    uint64_t cursor;
    struct version **initial; /* objects to be sent as ADDED first */
    size_t initial_count, initial_next;
    int as;
    bool columns_sent, bookmarks, initial_bookmark, ended, cut, long_line_sent;
    int64_t ends_ms, bookmark_ms; /* on the mono clock */
    struct timer *timer;
};

/* ---- Events as lines --------------------------------------------------------------------------------------------- */

static void add_object(struct watch *w, struct version *v)
{
    struct buf *b = &w->out;

    if (w->as == AS_TABLE) {
        buf_printf(b, "{\"kind\":\"Table\",\"apiVersion\":\"meta.k8s.io/v1\","
                      "\"metadata\":{\"resourceVersion\":\"%llu\"},",
                   (unsigned long long)v->rv);
        buf_adds(b, "\"columnDefinitions\":");
        if (w->columns_sent)
            buf_adds(b, "null");
        else
            table_columns(b, w->kind);
        w->columns_sent = true;
        buf_adds(b, ",\"rows\":[");
        table_row(b, w->kind, v, w->include, kube_now(w->k));
        buf_adds(b, "]}");
    } else if (w->as == AS_PARTIAL) {
        struct json_t *doc = version_doc(v);
        buf_adds(b, "{\"kind\":\"PartialObjectMetadata\",\"apiVersion\":\"meta.k8s.io/v1\",\"metadata\":");
        jd_dump(jd_member(doc, "metadata"), b);
        buf_addc(b, '}');
        jd_free(doc);
    } else {
        represent_object(b, w->kind, version_json(v));
    }
}

static void add_event(struct watch *w, const char *type, struct version *v)
{
    size_t from = w->out.len;

    buf_printf(&w->out, "{\"type\":\"%s\",\"object\":", type);
    add_object(w, v);
    buf_adds(&w->out, "}\n");
    if (w->k->faults.garbage) {
        w->out.len = from + (w->out.len - from) / 2;
        buf_adds(&w->out, "}]garbage:::\n");
    }
}

static void add_bookmark(struct watch *w, bool initial_end)
{
    struct buf *b = &w->out;

    buf_printf(b, "{\"type\":\"BOOKMARK\",\"object\":{\"kind\":\"%s\",\"apiVersion\":\"%s\",\"metadata\":{"
               "\"resourceVersion\":\"%llu\",\"creationTimestamp\":null",
               w->as == AS_PARTIAL ? "PartialObjectMetadata" : w->kind->name,
               w->as == AS_PARTIAL ? "meta.k8s.io/v1" : kube_kind_api_version(w->kind),
               (unsigned long long)store_rv(w->k->store));
    if (initial_end)
        buf_adds(b, ",\"annotations\":{\"k8s.io/initial-events-end\":\"true\"}");
    buf_printf(b, "}%s}}\n", w->as == AS_PARTIAL ? "" : w->kind->bookmark);
}

static void add_expired(struct watch *w, uint64_t asked, uint64_t oldest)
{
    struct refusal *f = refusal_new(410, "Expired", NULL, "too old resource version: %llu (%llu)",
                                    (unsigned long long)asked, (unsigned long long)oldest);

    buf_adds(&w->out, "{\"type\":\"ERROR\",\"object\":");
    refusal_dump(f, &w->out);
    buf_adds(&w->out, "}\n");
    refusal_free(f);
}

/* api-longline: one valid event whose line is 10 MB long. */
static void add_long_line(struct watch *w, struct version *v)
{
    struct json_t *doc = version_doc(v);
    char *filler = mem_alloc(LONG_LINE + 1);
    struct buf json = {0};

    w->long_line_sent = true;
    memset(filler, 'x', LONG_LINE);
    filler[LONG_LINE] = '\0';
    if (!jd_get(doc, "metadata.annotations"))
        jd_put(doc, "metadata.annotations", jd_object());
    jd_set(jd_get(doc, "metadata.annotations"), "filler", jd_string(filler));
    jd_dump(doc, &json);
    buf_adds(&w->out, "{\"type\":\"MODIFIED\",\"object\":");
    represent_object(&w->out, w->kind, buf_slice(&json));
    buf_adds(&w->out, "}\n");
    buf_free(&json);
    free(filler);
    jd_free(doc);
}

/* ---- Filling ----------------------------------------------------------------------------------------------------- */

static bool selects(const struct watch *w, const struct version *v)
{
    return v && (!w->ns || slice_is(version_namespace(v), w->ns)) && selector_match(w->selector, v);
}

/* An object that enters the selection is ADDED, one that leaves it DELETED, whatever happened to it. */
static void add_change(struct watch *w, const struct change_event *ev)
{
    bool now = ev->type != CHANGE_DELETED && selects(w, ev->now), before = selects(w, ev->before);

    if (now)
        add_event(w, before ? "MODIFIED" : "ADDED", ev->now);
    else if (before)
        add_event(w, "DELETED", ev->now);
}

static void make_initial(struct watch *w)
{
    while (w->initial_next < w->initial_count && w->out.len < CHUNK) {
        struct version *v = w->initial[w->initial_next++];
        add_event(w, "ADDED", v);
        version_unref(v);
    }
    if (w->initial_next == w->initial_count && w->initial_bookmark) {
        w->initial_bookmark = false;
        add_bookmark(w, true);
    }
}

static void make_long_line(struct watch *w)
{
    size_t count;
    struct version *const *all = store_all(w->k->store, w->kind->stored, &count);

    for (size_t i = 0; i < count && !w->long_line_sent; i++)
        if (selects(w, all[i]))
            add_long_line(w, all[i]);
}

static void make_more(struct watch *w)
{
    struct store *st = w->k->store;
    enum kube_id kind = w->kind->stored;

    buf_clear(&w->out);
    w->sent = 0;
    make_initial(w);
    if (w->initial_next < w->initial_count)
        return;
    if (w->cursor < store_ring_first(st, kind)) {
        w->ended = true;
        return;
    }
    while (w->cursor < store_ring_end(st, kind) && w->out.len < CHUNK)
        add_change(w, store_ring_at(st, kind, w->cursor++));
    if (!w->k->faults.long_line)
        w->long_line_sent = false;
    else if (!w->long_line_sent)
        make_long_line(w);
}

static bool drained(const struct watch *w)
{
    return w->initial_next == w->initial_count && w->cursor >= store_ring_end(w->k->store, w->kind->stored);
}

static size_t watch_fill(void *arg, char *p, size_t max)
{
    struct watch *w = arg;

    if (w->cut)
        return HTTP_FILL_CUT;
    if (w->sent == w->out.len) {
        if (w->ended)
            return HTTP_FILL_END;
        if (w->k->faults.quiet)
            return 0;
        make_more(w);
        if (w->ended && w->out.len == 0)
            return HTTP_FILL_END;
    }
    size_t n = w->out.len - w->sent;
    if (n > 0 && w->k->faults.truncated) {
        w->cut = true;
        n = n > 1 ? n / 2 : 1;
    }
    n = n < max ? n : max;
    if (n > 0)
        memcpy(p, w->out.p + w->sent, n);
    w->sent += n;
    return n;
}

static void watch_closed(void *arg)
{
    struct watch *w = arg;

    if (w->prev)
        w->prev->next = w->next;
    else
        w->k->watches = w->next;
    if (w->next)
        w->next->prev = w->prev;
    for (size_t i = w->initial_next; i < w->initial_count; i++)
        version_unref(w->initial[i]);
    free(w->initial);
    timer_free(w->timer);
    selector_free(w->selector);
    buf_free(&w->out);
    free(w->ns);
    free(w->include);
    free(w);
}

/* ---- Time -------------------------------------------------------------------------------------------------------- */

static void arm(struct watch *w)
{
    int64_t now = clock_mono_ms(), at = w->ends_ms;

    if (w->bookmarks && w->bookmark_ms < at)
        at = w->bookmark_ms;
    timer_start(w->timer, at > now ? at - now : 1, 0);
}

/* Appends to what is being sent; a bookmark overtakes nothing because it is only made when all is sent. */
static void on_time(void *arg)
{
    struct watch *w = arg;
    int64_t now = clock_mono_ms();

    if (w->k->faults.quiet) {
        timer_start(w->timer, 1000, 0);
        return;
    }
    if (now >= w->ends_ms)
        w->ended = true;
    if (w->bookmarks && !w->ended && now >= w->bookmark_ms) {
        if (drained(w))
            add_bookmark(w, false);
        w->bookmark_ms = now + BOOKMARK_MS;
        if (w->bookmark_ms > w->ends_ms - LAST_BOOKMARK_MS && now < w->ends_ms - LAST_BOOKMARK_MS)
            w->bookmark_ms = w->ends_ms - LAST_BOOKMARK_MS;
    }
    http_stream_wake(w->stream);
    if (!w->ended)
        arm(w);
}

/* ---- Starting and ending ----------------------------------------------------------------------------------------- */

static void take_initial(struct watch *w)
{
    size_t from, to, count;
    struct version *const *all = store_all(w->k->store, w->kind->stored, &count);

    store_range(w->k->store, w->kind->stored, w->ns, &from, &to);
    w->initial = mem_calloc(to - from + 1, sizeof(w->initial[0]));
    for (size_t i = from; i < to; i++)
        if (selects(w, all[i]))
            w->initial[w->initial_count++] = version_ref(all[i]);
}

static int64_t query_number(const struct api_call *c, const char *key, int64_t fallback)
{
    const char *text = http_request_query(c->r, key);
    int64_t n;

    return text && slice_to_i64(slice_of(text), &n) ? n : fallback;
}

static bool query_flag(const struct api_call *c, const char *key)
{
    const char *text = http_request_query(c->r, key);

    return str_eq(text, "true") || str_eq(text, "1");
}

static struct refusal *check_initial_events(const struct api_call *c)
{
    if (!query_flag(c, "sendInitialEvents") ||
        str_eq(http_request_query(c->r, "resourceVersionMatch"), "NotOlderThan"))
        return NULL;
    return refusal_new(422, "Invalid", NULL,
                       "ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: Forbidden: sendInitialEvents "
                       "requires setting resourceVersionMatch to NotOlderThan");
}

static struct refusal *read_start(struct watch *w, const struct api_call *c)
{
    const char *text = http_request_query(c->r, "resourceVersion");
    bool initial = query_flag(c, "sendInitialEvents");
    int64_t rv = 0;
    uint64_t oldest = store_oldest_rv(w->k->store, w->kind->stored);

    if (text && text[0] && !slice_to_i64(slice_of(text), &rv))
        return refusal_new(500, NULL, NULL, "strconv.ParseUint: parsing \"%s\": invalid syntax", text);
    if (rv == 0 || initial) {
        take_initial(w);
        w->cursor = store_ring_end(w->k->store, w->kind->stored);
        w->initial_bookmark = initial && w->bookmarks;
        return NULL;
    }
    if ((uint64_t)rv < oldest) {
        add_expired(w, (uint64_t)rv, oldest);
        w->ended = true;
    }
    w->cursor = store_ring_after(w->k->store, w->kind->stored, (uint64_t)rv);
    return NULL;
}

static struct refusal *watch_new(const struct api_call *c, struct watch **ret)
{
    struct watch *w = MEM_NEW(struct watch);
    int64_t now = clock_mono_ms(), timeout = query_number(c, "timeoutSeconds", TIMEOUT_MIN_S);

    w->k = c->k;
    w->kind = c->kind;
    w->ns = mem_strdup(c->ns);
    w->as = (int)c->as;
    w->include = mem_strdup(http_request_query(c->r, "includeObject"));
    w->bookmarks = query_flag(c, "allowWatchBookmarks");
    w->ends_ms = now + (timeout > 0 ? timeout : TIMEOUT_MIN_S) * 1000;
    w->bookmark_ms = now + BOOKMARK_MS;
    if (w->bookmark_ms > w->ends_ms - LAST_BOOKMARK_MS)
        w->bookmark_ms = w->ends_ms - LAST_BOOKMARK_MS;
    w->timer = timer_new(c->k->sb->loop, on_time, w);
    w->next = c->k->watches;
    if (w->next)
        w->next->prev = w;
    c->k->watches = w;
    *ret = w;
    struct refusal *f = check_initial_events(c);
    struct err *e = f ? NULL
                      : selector_parse(c->kind, http_request_query(c->r, "labelSelector"),
                                       http_request_query(c->r, "fieldSelector"), &w->selector);
    if (e) {
        f = refuse_bad_request("%s", err_text(e));
        err_free(e);
    }
    return f ? f : read_start(w, c);
}

void api_watch(struct api_call *c)
{
    static const struct http_stream_events ev = {.fill = watch_fill, .closed = watch_closed};
    struct watch *w = NULL;
    struct refusal *f = watch_new(c, &w);

    if (f) {
        watch_closed(w);
        api_refuse(c, f);
        return;
    }
    http_reply_header(c->r, "Cache-Control", "no-cache, private");
    w->stream = http_reply_stream(c->r, 200, "application/json", &ev, w);
    if (!w->ended)
        arm(w);
}

void watch_end_all(struct kube *k, bool expired)
{
    for (struct watch *w = k->watches; w; w = w->next) {
        if (w->ended)
            continue;
        if (expired)
            add_expired(w, store_rv(k->store) > 100 ? store_rv(k->store) - 100 : 1, store_rv(k->store));
        w->ended = true;
        http_stream_wake(w->stream);
    }
}

void watch_wake_all(struct kube *k)
{
    for (struct watch *w = k->watches; w; w = w->next)
        http_stream_wake(w->stream);
}
