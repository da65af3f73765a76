/* Silence is good news only while the watchdog, an alert that always fires, proves that alerts arrive: without it the
 * source has failed, and with it every alert's freshness. */
#include "source/alert_source.h"

#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/map.h"
#include "base/mem.h"
#include "client/alert_parse.h"
#include "loop/timer.h"
#include "net/http.h"
#include "source/source.h"

enum { POLL_MS = 10000, TIMEOUT_MS = 8000, MAX_BODY = 32 * 1024 * 1024 };

/* Prometheus sends a firing alert again at least every few minutes. */
#define WATCHDOG_AGE_MS (INT64_C(15) * 60 * CLOCK_MS_PER_S)

struct alert_source {
    struct loop *loop;
    struct world *world;
    char *watchdog;
    char **ignore;
    size_t nignore;
    int64_t poll_ms;
    struct http *http;
    struct http_request *request;
    struct source_row *row;
    struct timer *timer;
    bool began; /* a round has succeeded: what comes now is new */
    /* of the round that is read */
    struct map *seen;
    bool watchdog_seen, watchdog_fresh;
    int64_t watchdog_ms, count;
};

static bool is_ignored(const struct alert_source *s, const char *name)
{
    for (size_t i = 0; i < s->nignore; i++)
        if (str_eq(s->ignore[i], name))
            return true;
    return false;
}

static void note_watchdog(struct alert_source *s, const struct alert *a)
{
    int64_t now = world_now(s->world);
    bool ended = a->ends_ms >= 0 && a->ends_ms <= now,
         old = a->updated_ms >= 0 && a->updated_ms < now - WATCHDOG_AGE_MS;
    s->watchdog_seen = true;
    s->watchdog_fresh = s->watchdog_fresh || (!ended && !old);
    if (a->updated_ms > s->watchdog_ms)
        s->watchdog_ms = a->updated_ms;
}

static const char *state_of(struct alert_source *s, const struct alert *a)
{
    const char *name = buf_str(&a->name);
    if (str_eq(name, s->watchdog)) {
        note_watchdog(s, a);
        return "WATCHDOG";
    }
    return is_ignored(s, name) ? "IGNORED" : a->suppressed ? "SUPPRESSED" : "FIRING";
}

static struct cell optional_time(int64_t ms)
{
    return ms < 0 ? CELL_NONE : cell_int(ms);
}

static struct cell optional_text(const struct buf *b)
{
    return b->len > 0 ? cell_slice(buf_slice(b)) : CELL_NONE;
}

static void on_alert(void *arg, const struct alert *a)
{
    struct alert_source *s = arg;
    const char *state = state_of(s, a);
    const struct row *before = world_find(s->world, T_ALERTS, buf_slice(&a->fingerprint));
    bool fires = str_eq(state, "FIRING") && (!before || !slice_is(row_text(before, ALERTS_STATE), "FIRING"));
    struct cell cells[ALERTS_COLS] = {
        [ALERTS_NAME] = cell_slice(buf_slice(&a->name)), [ALERTS_STATE] = cell_text(state),
        [ALERTS_SEVERITY] = optional_text(&a->severity), [ALERTS_SUMMARY] = optional_text(&a->summary),
        [ALERTS_LABELS] = optional_text(&a->labels),     [ALERTS_STARTED] = optional_time(a->starts_ms),
        [ALERTS_UPDATED] = optional_time(a->updated_ms), [ALERTS_ENDS] = optional_time(a->ends_ms),
    };
    world_upsert(s->world, T_ALERTS, buf_slice(&a->fingerprint), source_row_key(s->row), cells);
    map_put(s->seen, buf_slice(&a->fingerprint), s);
    s->count++;
    if (fires && s->began)
        timeline_add(s->world, "WARN", buf_str(&a->name), "alert fires: %s",
                     buf_str(a->summary.len ? &a->summary : &a->labels));
}

/* Alerts that the list no longer has. Rows are removed after the walk. */
static void drop_unseen(struct alert_source *s)
{
    struct map *gone = map_new();
    struct slice key;
    void *value;
    size_t it = 0;
    for (const struct row *r = world_first(s->world, T_ALERTS); r; r = world_next(s->world, r)) {
        if (map_get(s->seen, row_key(r)))
            continue;
        map_put(gone, row_key(r), s);
        if (!slice_is(row_text(r, ALERTS_STATE), "FIRING"))
            continue;
        char *name = slice_dup(row_text(r, ALERTS_NAME));
        timeline_add(s->world, "GOOD", name, "alert no longer fires");
        mem_free(name);
    }
    while (map_each(gone, &it, &key, &value))
        world_remove(s->world, T_ALERTS, key);
    map_free(gone, NULL);
}

static void fail(struct alert_source *s, struct err *e)
{
    source_row_failed(s->row, e, clock_mono_ms() + s->poll_ms);
    err_free(e);
}

static void tell_watchdog(struct alert_source *s)
{
    if (s->watchdog_fresh) {
        source_row_ok(s->row, false);
        return;
    }
    if (!s->watchdog) {
        fail(s,
             err_new(ERR_UNKNOWN, "the plan names no watchdog alert: alerts are unknown (alerts: {watchdog: NAME})"));
        return;
    }
    if (!s->watchdog_seen) {
        fail(s, err_new(ERR_UNKNOWN, "watchdog alert absent: alerts are unknown (no \"%s\" fires at Alertmanager)",
                        s->watchdog));
        return;
    }
    char age[24];
    clock_format_age(world_now(s->world) - s->watchdog_ms, age, sizeof age);
    fail(s, err_new(ERR_UNKNOWN, "watchdog alert \"%s\" is stale, last sent %s ago: alerts are unknown", s->watchdog,
                    age));
}

static void take(struct alert_source *s, struct slice body)
{
    s->seen = map_new();
    s->watchdog_seen = s->watchdog_fresh = false;
    s->watchdog_ms = -1;
    s->count = 0;
    struct err *e = alert_parse(body, on_alert, s);
    if (e) {
        fail(s, e);
    } else {
        drop_unseen(s);
        source_row_objects(s->row, s->count);
        tell_watchdog(s);
        s->began = true;
    }
    map_free(s->seen, NULL);
    s->seen = NULL;
}

static void on_done(void *arg, const struct http_result *r)
{
    struct alert_source *s = arg;
    if (r->error)
        fail(s, err_copy(r->error));
    else if (r->status != 200)
        fail(s, err_new(r->status == 403   ? ERR_DENIED
                        : r->status == 401 ? ERR_AUTH
                                           : ERR_UNAVAILABLE,
                        "Alertmanager: GET /api/v2/alerts: HTTP %d", r->status));
    else
        take(s, buf_slice(r->body));
    http_request_free(s->request);
    s->request = NULL;
}

static void on_timer(void *arg)
{
    struct alert_source *s = arg;
    if (s->request)
        return;
    s->request = http_start(s->http, &(struct http_call){
                                         .path = "/api/v2/alerts",
                                         .timeout_ms = TIMEOUT_MS,
                                         .max_body = MAX_BODY,
                                         .on_done = on_done,
                                         .arg = s,
                                     });
}

struct alert_source *alert_source_new(const struct alert_source_options *o)
{
    struct alert_source *s = MEM_NEW(struct alert_source);
    char *url = mem_strdup(o->url);
    size_t n = strlen(url);
    while (n > 0 && url[n - 1] == '/')
        url[--n] = '\0';
    *s = (struct alert_source){
        .loop = o->loop,
        .world = o->world,
        .watchdog = o->watchdog && *o->watchdog ? mem_strdup(o->watchdog) : NULL,
        .poll_ms = o->poll_ms ? o->poll_ms : POLL_MS,
    };
    for (size_t i = 0; o->ignore && o->ignore[i]; i++) {
        s->ignore = mem_reallocarray(s->ignore, i + 1, sizeof *s->ignore);
        s->ignore[s->nignore++] = mem_strdup(o->ignore[i]);
    }
    s->http = http_new(s->loop, &(struct http_options){.base_url = url, .name = "Alertmanager", .env_proxy = true});
    s->row = source_row_new(s->world, "alerts", "alertmanager", 3 * s->poll_ms);
    source_row_detail(s->row, url);
    s->timer = timer_new(s->loop, on_timer, s);
    timer_start(s->timer, 0, s->poll_ms);
    mem_free(url);
    return s;
}

void alert_source_free(struct alert_source *s)
{
    if (!s)
        return;
    timer_free(s->timer);
    http_request_free(s->request);
    http_free(s->http);
    world_sweep_end(s->world, T_ALERTS, source_row_key(s->row), world_sweep_begin(s->world));
    source_row_free(s->row, true);
    for (size_t i = 0; i < s->nignore; i++)
        mem_free(s->ignore[i]);
    mem_free(s->ignore);
    mem_free(s->watchdog);
    mem_free(s);
}

void alert_source_poke(struct alert_source *s)
{
    timer_start(s->timer, 0, s->poll_ms);
}
