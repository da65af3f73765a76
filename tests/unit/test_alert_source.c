/* Alertmanager's alerts as rows, and when they are not to be believed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "client/alert_parse.h"
#include "loop/loop.h"
#include "loop/timer.h"
#include "source/alert_source.h"
#include "tests/unit/tiny_http.h"
#include "world/world.h"

enum { WAIT_MS = 10000 };

/* ---- Parsing ----------------------------------------------------------------------------------------------------- */

struct heard {
    struct buf names, text;
    int count;
};

static void hear(void *arg, const struct alert *a)
{
    struct heard *h = arg;
    h->count++;
    buf_printf(&h->names, "%s ", buf_str(&a->name));
    buf_printf(&h->text, "%s|%s|%s|%s|%s|%d|%lld;", buf_str(&a->fingerprint), buf_str(&a->name), buf_str(&a->severity),
               buf_str(&a->summary), buf_str(&a->labels), a->suppressed, (long long)a->updated_ms);
}

static void test_parse(void **state)
{
    (void)state;
    struct heard h = {0};
    struct err *e = alert_parse(
        SLICE_LIT(
            "[{\"annotations\":{\"description\":\"long\",\"summary\":\"short\",\"runbook_url\":\"x\"},\"endsAt\":"
            "\"2026-04-25T16:22:03.123Z\",\"fingerprint\":\"f1\",\"receivers\":[{\"name\":\"mail\"}],\"startsAt\":"
            "\"2026-04-25T16:00:00.000Z\",\"status\":{\"inhibitedBy\":[],\"silencedBy\":[\"s\"],\"state\":"
            "\"suppressed\"},"
            "\"updatedAt\":\"2026-04-25T16:18:03.000Z\",\"generatorURL\":\"http://"
            "p\",\"labels\":{\"alertname\":\"Disk\","
            "\"namespace\":\"immich\",\"pod\":\"a\\u001bb\",\"severity\":\"critical\"}},"
            "{\"labels\":{\"alertname\":\"NoPrint\"}},null,5,"
            "{\"fingerprint\":\"f2\",\"annotations\":{\"message\":\"m\"},\"labels\":{\"alertname\":\"Two\"},"
            "\"updatedAt\":\"x\"}]"),
        hear, &h);
    assert_null(e);
    assert_string_equal(buf_str(&h.text), "f1|Disk|critical|short|namespace=immich, pod=a\xef\xbf\xbd"
                                          "b|1|1777133883000;f2|Two||m||0|-1;");
    buf_free(&h.text);
    buf_free(&h.names);
}

static void test_parse_what_is_no_list(void **state)
{
    (void)state;
    static const char *const texts[] = {"",       "{}",
                                        "null",   "[",
                                        "[{]",    "[{\"labels\":{\"alertname\":\"A\"},\"fingerprint\":\"f\"",
                                        "<html>", "{\"status\":\"success\",\"data\":[]}"};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct heard h = {0};
        struct err *e = alert_parse(slice_of(texts[i]), hear, &h);
        assert_non_null(e);
        assert_int_equal(err_kind(e), ERR_PROTOCOL);
        assert_int_equal(h.count, 0);
        err_free(e);
    }
    struct heard h = {0};
    assert_null(alert_parse(SLICE_LIT("[]\n"), hear, &h));
    assert_int_equal(h.count, 0);
}

/* ---- The source -------------------------------------------------------------------------------------------------- */

struct stage {
    struct loop *loop;
    struct world *world;
    struct tiny_http *server;
    struct alert_source *source;
    struct buf said;
    bool watchdog, disk, broken;
    int status;
    int64_t watchdog_age;
    bool (*want)(struct stage *s);
    bool done;
};

static void say_alert(struct buf *b, const char *print, const char *name, const char *state, int64_t age_ms)
{
    char updated[32], ends[32];
    int64_t now = clock_wall_ms();
    buf_printf(b,
               "%s{\"fingerprint\":\"%s\",\"labels\":{\"alertname\":\"%s\",\"severity\":\"warning\"},\"annotations\":{"
               "\"summary\":\"it "
               "is "
               "%s\"},\"status\":{\"state\":\"%s\"},\"startsAt\":\"2026-04-25T16:00:00Z\",\"updatedAt\":\"%s\","
               "\"endsAt\":\"%s\"}",
               b->len > 1 ? "," : "", print, name, name, state, clock_format_utc(now - age_ms, updated, sizeof updated),
               clock_format_utc(now - age_ms + 3600000, ends, sizeof ends));
}

static bool answer(void *arg, const struct tiny_request *rq, struct tiny_answer *ret)
{
    struct stage *s = arg;
    assert_string_equal(rq->path, "/api/v2/alerts");
    buf_clear(&s->said);
    buf_addc(&s->said, '[');
    if (s->watchdog)
        say_alert(&s->said, "w", "Watchdog", "active", s->watchdog_age);
    if (s->disk)
        say_alert(&s->said, "d", "Disk", "active", 0);
    say_alert(&s->said, "q", "Quiet", "suppressed", 0);
    say_alert(&s->said, "n", "Noise", "active", 0);
    if (!s->broken)
        buf_addc(&s->said, ']');
    *ret = (struct tiny_answer){.status = s->status, .body = buf_str(&s->said), .body_len = s->said.len};
    return true;
}

static int setup(void **state)
{
    struct stage *s = MEM_NEW(struct stage);
    s->loop = loop_new();
    s->world = world_new();
    world_set_now(s->world, clock_wall_ms());
    s->server = tiny_http_new(s->loop);
    s->watchdog = s->disk = true;
    tiny_http_handler(s->server, answer, s);
    *state = s;
    return 0;
}

static void start(struct stage *s, const char *watchdog)
{
    static const char *const ignore[] = {"Noise", NULL};
    char *url = str_printf("%s/", tiny_http_url(s->server));
    s->source = alert_source_new(&(struct alert_source_options){
        .loop = s->loop,
        .world = s->world,
        .url = url,
        .watchdog = watchdog,
        .ignore = ignore,
        .poll_ms = 50,
    });
    mem_free(url);
}

static int teardown(void **state)
{
    struct stage *s = *state;
    alert_source_free(s->source);
    assert_int_equal(world_count(s->world, T_ALERTS), 0);
    tiny_http_free(s->server);
    world_free(s->world);
    loop_free(s->loop);
    buf_free(&s->said);
    mem_free(s);
    return 0;
}

static void poll_want(void *arg)
{
    struct stage *s = arg;
    s->done = s->want(s);
}

static void await(struct stage *s, bool (*want)(struct stage *s))
{
    struct timer *t = timer_new(s->loop, poll_want, s);
    s->want = want;
    s->done = false;
    timer_start(t, 0, 5);
    bool ok = loop_run_until(s->loop, &s->done, WAIT_MS);
    timer_free(t);
    assert_true(ok);
}

static struct slice source(struct stage *s, int col)
{
    return row_text(world_find(s->world, T_SOURCES, SLICE_LIT("alerts/alertmanager")), col);
}

static struct slice state_of(struct stage *s, const char *print)
{
    const struct row *r = world_find(s->world, T_ALERTS, slice_of(print));
    return r ? row_text(r, ALERTS_STATE) : (struct slice){NULL, 0};
}

static bool polled(struct stage *s)
{
    return slice_is(source(s, SOURCES_STATE), "POLLED");
}

static bool absent(struct stage *s)
{
    return slice_contains(source(s, SOURCES_ERROR), "watchdog alert absent: alerts are unknown");
}

static bool stale(struct stage *s)
{
    return slice_contains(source(s, SOURCES_ERROR), "is stale, last sent 20m");
}

static bool unnamed(struct stage *s)
{
    return slice_contains(source(s, SOURCES_ERROR), "names no watchdog");
}

static bool refused(struct stage *s)
{
    return slice_contains(source(s, SOURCES_ERROR), "HTTP 503");
}

static bool malformed(struct stage *s)
{
    return slice_contains(source(s, SOURCES_ERROR), "malformed JSON");
}

static bool disk_is_gone(struct stage *s)
{
    return !world_find(s->world, T_ALERTS, SLICE_LIT("d"));
}

static bool disk_fires(struct stage *s)
{
    return slice_is(state_of(s, "d"), "FIRING");
}

static bool timeline_has(struct stage *s, const char *text)
{
    for (const struct row *r = world_first(s->world, T_TIMELINE); r; r = world_next(s->world, r))
        if (slice_contains(row_text(r, TIMELINE_TEXT), text))
            return true;
    return false;
}

static void test_states(void **state)
{
    struct stage *s = *state;
    start(s, "Watchdog");
    await(s, polled);
    assert_true(slice_is(state_of(s, "w"), "WATCHDOG"));
    assert_true(slice_is(state_of(s, "d"), "FIRING"));
    assert_true(slice_is(state_of(s, "q"), "SUPPRESSED"));
    assert_true(slice_is(state_of(s, "n"), "IGNORED"));
    const struct row *r = world_find(s->world, T_ALERTS, SLICE_LIT("d"));
    assert_true(slice_is(row_text(r, ALERTS_SUMMARY), "it is Disk"));
    assert_true(slice_is(row_text(r, ALERTS_SEVERITY), "warning"));
    assert_true(row_int(r, ALERTS_ENDS, 0) > clock_wall_ms());
    assert_false(timeline_has(s, "alert fires")); /* it did before we came */
    s->disk = false;
    await(s, disk_is_gone);
    assert_true(timeline_has(s, "no longer fires"));
    s->disk = true;
    await(s, disk_fires);
    assert_true(timeline_has(s, "alert fires: it is Disk"));
}

static void test_watchdog_absent(void **state)
{
    struct stage *s = *state;
    s->watchdog = false;
    start(s, "Watchdog");
    await(s, absent);
    assert_false(polled(s));
    s->watchdog = true;
    await(s, polled);
    assert_null(source(s, SOURCES_ERROR).p);
}

static void test_watchdog_stale(void **state)
{
    struct stage *s = *state;
    s->watchdog_age = 20 * 60 * 1000;
    start(s, "Watchdog");
    await(s, stale);
}

static void test_no_watchdog_named(void **state)
{
    struct stage *s = *state;
    start(s, NULL);
    await(s, unnamed);
    assert_true(slice_is(state_of(s, "w"), "FIRING"));
}

/* A round that fails removes nothing and calls nothing healthy. */
static void test_failures(void **state)
{
    struct stage *s = *state;
    start(s, "Watchdog");
    await(s, polled);
    s->status = 503;
    await(s, refused);
    assert_true(slice_is(state_of(s, "d"), "FIRING"));
    s->status = 200;
    s->broken = true;
    await(s, malformed);
    assert_true(slice_is(state_of(s, "d"), "FIRING"));
    assert_true(slice_is(source(s, SOURCES_STATE), "DOWN"));
    s->broken = false;
    await(s, polled);
}

#define STAGED(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse), cmocka_unit_test(test_parse_what_is_no_list),
        STAGED(test_states),          STAGED(test_watchdog_absent),
        STAGED(test_watchdog_stale),  STAGED(test_no_watchdog_named),
        STAGED(test_failures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
