#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "client/kube_client.h"
#include "client/kube_client_private.h"
#include "client/kube_reflector.h"
#include "loop/loop.h"
#include "tests/unit/tiny_http.h"

#include "tests/unit/kube_stage.h"

/* ---- Watches ----------------------------------------------------------------------------------------------------- */

static void test_events(void **state)
{
    struct stage *w = *state;
    stage_say_list(w, LIST("10", "", CLAIM("a", "1")));
    stage_say_watch(w, EVENT("ADDED", CLAIM("b", "11")) EVENT("MODIFIED", CLAIM("b", "12"))
                       EVENT("DELETED", CLAIM("a", "13")) BOOKMARK("14") EVENT("ADDED", CLAIM("c", "15")));
    stage_start(w);
    AWAIT(w, knows_c);
    assert_true(stage_knows(w, "b") && !stage_knows(w, "a"));
    assert_int_equal(w->deletes, 1);
    assert_int_equal(w->objects, 5); /* the bookmark is none */
    assert_int_equal(kube_reflector_status(w->reflector)->events, 4);
}

static void test_watch_goes_on_from_the_bookmark(void **state)
{
    struct stage *w = *state;
    stage_say_list(w, LIST("10", "", CLAIM("a", "1")));
    stage_say(&w->watches, &(struct tiny_answer){
        .body = EVENT("ADDED", CLAIM("b", "11")) BOOKMARK("99"), .framing = TINY_CHUNKED});
    stage_say_watch(w, EVENT("ADDED", CLAIM("c", "100")));
    stage_start(w);
    AWAIT(w, knows_c);
    assert_in(w->last_watch, "resourceVersion=99");
    assert_int_equal(w->lists.used, 1);
    assert_int_equal(w->worst, KUBE_STARTING); /* an end that is due is no failure */
}

static void test_half_a_line_at_the_end(void **state)
{
    struct stage *w = *state;
    stage_say_list(w, LIST("10", "", CLAIM("a", "1")));
    stage_say(&w->watches, &(struct tiny_answer){
        .body = BOOKMARK("20") "{\"type\":\"ADDED\",\"object\":{\"meta", .framing = TINY_CHUNKED});
    stage_say_watch(w, EVENT("ADDED", CLAIM("c", "21")));
    stage_start(w);
    AWAIT(w, knows_c);
    assert_in(w->last_watch, "resourceVersion=20");
    assert_int_equal(w->worst, KUBE_STARTING);
}

static void test_expired_event_relists(void **state)
{
    struct stage *w = *state;
    stage_say_list(w, LIST("10", "", CLAIM("a", "1") "," CLAIM("b", "1")));
    stage_say_list(w, LIST("500", "", CLAIM("b", "1")));
    stage_say(&w->watches, &(struct tiny_answer){.body = EXPIRED, .framing = TINY_CHUNKED});
    stage_say_watch(w, "");
    stage_start(w);
    AWAIT(w, has_relisted);
    assert_true(lost_a(w)); /* deleted while nobody watched */
    assert_true(stage_knows(w, "b"));
    assert_in(w->last_watch, "resourceVersion=500");
    assert_int_equal(w->worst, KUBE_STARTING); /* at once, without backing off */
}

static void test_http_410_relists(void **state)
{
    struct stage *w = *state;
    stage_say(&w->watches, &(struct tiny_answer){.status = 410, .body = STATUS(410, "Expired", "too old")});
    stage_say_watch(w, "");
    stage_start(w);
    AWAIT(w, has_relisted);
    assert_int_equal(w->worst, KUBE_STARTING);
}

static void test_expired_for_ever_backs_off(void **state)
{
    struct stage *w = *state;
    stage_say(&w->watches, &(struct tiny_answer){.body = EXPIRED, .framing = TINY_CHUNKED});
    stage_start_paced(w, (struct kube_reflector_pace){.first_backoff_ms = 3600000, .cap_backoff_ms = 3600000});
    AWAIT(w, has_failed);
    assert_in(w->error, "410 Expired: too old resource version");
    assert_int_equal(w->lists.used, 2);
}

/* A second expiry after a watch that was good is not the second in a row. */
static void test_expired_again_later_relists_at_once(void **state)
{
    struct stage *w = *state;
    stage_say(&w->watches, &(struct tiny_answer){.body = EXPIRED, .framing = TINY_CHUNKED});
    stage_say(&w->watches, &(struct tiny_answer){.body = BOOKMARK("30"), .framing = TINY_CHUNKED});
    stage_say(&w->watches, &(struct tiny_answer){.body = EXPIRED, .framing = TINY_CHUNKED});
    stage_say_watch(w, EVENT("ADDED", CLAIM("c", "31")));
    stage_start(w);
    AWAIT(w, knows_c);
    assert_int_equal(w->lists.used, 3);
    assert_int_equal(w->worst, KUBE_STARTING);
}

static void test_other_error_event_backs_off_and_relists(void **state)
{
    struct stage *w = *state;
    stage_say(&w->watches, &(struct tiny_answer){
        .body = EVENT("ERROR", STATUS(500, "InternalError", "broken")), .framing = TINY_CHUNKED});
    stage_say_watch(w, "");
    stage_start(w);
    AWAIT(w, has_failed);
    assert_in(w->error, "500 InternalError: broken");
    AWAIT(w, has_relisted);
}

static void test_throttled_event_watches_again(void **state)
{
    struct stage *w = *state;
    stage_say(&w->watches, &(struct tiny_answer){
        .body = BOOKMARK("30") EVENT("ERROR", STATUS(429, "TooManyRequests", "slow down")), .framing = TINY_CHUNKED});
    stage_say_watch(w, "");
    stage_start(w);
    AWAIT(w, has_recovered);
    assert_in(w->last_watch, "resourceVersion=30");
    assert_int_equal(w->lists.used, 1);
}

static void watch_again(struct stage *w, const struct tiny_answer *bad)
{
    stage_say_list(w, LIST("10", "", CLAIM("a", "1")));
    stage_say(&w->watches, bad);
    stage_say_watch(w, "");
    stage_start(w);
    AWAIT(w, has_recovered);
    assert_int_equal(w->lists.used, 1);
    assert_in(w->last_watch, "resourceVersion=10");
    assert_true(stage_knows(w, "a"));
}

static void test_watch_429(void **state)
{
    watch_again(*state, &(struct tiny_answer){
        .status = 429, .body = "later", .headers = "Content-Type: text/plain\r\n"});
}

static void test_watch_503(void **state)
{
    watch_again(*state, &(struct tiny_answer){
        .status = 503, .body = "no endpoints", .headers = "Content-Type: text/plain\r\n"});
}

static void test_watch_reset(void **state)
{
    watch_again(*state, &(struct tiny_answer){.body = BOOKMARK("10") BOOKMARK("11"), .fate = TINY_RESET_MIDDLE});
}

static void test_watch_cut(void **state)
{
    watch_again(*state, &(struct tiny_answer){.body = "{\"type\":\"ADDED\",\"object\":{}}", .fate = TINY_TRUNCATED});
}

static void test_short_watch_backs_off(void **state)
{
    struct stage *w = *state;
    watch_again(w, &(struct tiny_answer){.body = "", .framing = TINY_CHUNKED});
    assert_in(w->error, "the server ends it at once");
}

static void test_watch_500_relists(void **state)
{
    struct stage *w = *state;
    stage_say(&w->watches, &(struct tiny_answer){.status = 500, .body = STATUS(500, "", "strconv.ParseUint")});
    stage_say_watch(w, "");
    stage_start(w);
    AWAIT(w, has_relisted);
    assert_int_equal(w->worst, KUBE_BACKOFF);
}

static void test_watch_denied(void **state)
{
    struct stage *w = *state;
    stage_say(&w->watches, &(struct tiny_answer){.status = 403, .body = STATUS(403, "Forbidden", "bob cannot watch")});
    stage_start(w);
    AWAIT(w, is_denied);
    assert_in(w->error, "bob cannot watch");
}

static void bad_line(struct stage *w, const char *line)
{
    stage_say(&w->watches, &(struct tiny_answer){.body = line, .fate = TINY_OPEN});
    stage_say_watch(w, "");
    stage_start(w);
    AWAIT(w, has_failed);
    assert_in(w->error, "kube home: watch " CLAIMS);
    AWAIT(w, has_relisted);
}

static void test_malformed_line(void **state)
{
    bad_line(*state, "{\"type\":\"ADDED\",\"object\":{\"metadata\":}}\n");
}

static void test_line_of_unknown_type(void **state)
{
    bad_line(*state, EVENT("RENAMED", CLAIM("a", "3")));
}

static void test_line_without_version(void **state)
{
    bad_line(*state, EVENT("ADDED", "{\"metadata\":{\"name\":\"x\"}}"));
}

static void test_line_without_object(void **state)
{
    bad_line(*state, "{\"type\":\"ADDED\"}\n");
}

/* 16 MiB that never end a line: an error, not 16 MiB of buffer. */
static void test_endless_line(void **state)
{
    struct stage *w = *state;
    struct buf body = {0};
    buf_adds(&body, "{\"type\":\"ADDED\",\"object\":{\"x\":\"");
    size_t n = 16 * 1024 * 1024;
    buf_reserve(&body, n);
    memset(body.p + body.len, 'x', n);
    body.len += n;
    body.p[body.len] = '\0';
    bad_line(w, body.p);
    buf_free(&body);
}

static void test_silent_watch_is_given_up(void **state)
{
    struct stage *w = *state;
    stage_say_watch(w, BOOKMARK("20"));
    stage_start_paced(w, (struct kube_reflector_pace){.silence_ms = 150});
    AWAIT(w, has_failed);
    assert_in(w->error, "though more was due");
    AWAIT(w, has_relisted); /* a list, since the watch may have been waiting for a future that never comes */
}

/* A server that has seen no change since its start sends no bookmarks: that is no failure. */
static void test_quiet_watch_goes_on(void **state)
{
    struct stage *w = *state;
    stage_say_list(w, LIST("10", "", CLAIM("a", "1")));
    stage_say_list(w, LIST("10", NEXT("x"), CLAIM("a", "1")));
    stage_say(&w->watches, &(struct tiny_answer){.framing = TINY_CHUNKED});
    stage_say_watch(w, "");
    stage_start_paced(w, (struct kube_reflector_pace){.short_ms = -1});
    AWAIT(w, is_live_twice);
    assert_string_equal(w->last_list, CLAIMS "?limit=1");
    assert_in(w->last_watch, "resourceVersion=10");
    assert_int_equal(w->ends, 1);
    assert_int_equal(w->worst, KUBE_STARTING);
}

/* Restored from a backup: it would be silent for ever about what we know. */
static void test_server_that_went_back_is_listed(void **state)
{
    struct stage *w = *state;
    stage_say_list(w, LIST("1000", "", CLAIM("a", "1") "," CLAIM("b", "1")));
    stage_say_list(w, LIST("999", NEXT("x"), CLAIM("b", "1")));
    stage_say_list(w, LIST("999", "", CLAIM("b", "1")));
    stage_say(&w->watches, &(struct tiny_answer){.framing = TINY_CHUNKED});
    stage_say_watch(w, "");
    stage_start_paced(w, (struct kube_reflector_pace){.short_ms = -1});
    AWAIT(w, has_relisted);
    assert_true(lost_a(w));
    assert_in(w->last_watch, "resourceVersion=999");
}

static void test_failed_check_watches_again(void **state)
{
    struct stage *w = *state;
    stage_say_list(w, LIST("10", "", CLAIM("a", "1")));
    stage_say(&w->lists, &(struct tiny_answer){.status = 500, .body = STATUS(500, "InternalError", "ill")});
    stage_say(&w->watches, &(struct tiny_answer){.framing = TINY_CHUNKED});
    stage_say_watch(w, "");
    stage_start_paced(w, (struct kube_reflector_pace){.short_ms = -1});
    AWAIT(w, has_recovered);
    assert_int_equal(w->ends, 1);
    assert_in(w->last_watch, "resourceVersion=10");
}

static void test_watch_without_answer(void **state)
{
    struct stage *w = *state;
    stage_say(&w->watches, &(struct tiny_answer){.fate = TINY_SILENCE});
    stage_say_watch(w, "");
    stage_start_paced(w, (struct kube_reflector_pace){.open_ms = 100});
    AWAIT(w, has_failed);
    assert_in(w->error, "no answer for");
    AWAIT(w, has_rewatched);
    assert_int_equal(w->lists.used, 1);
}

static void test_bookmarks_keep_it_alive(void **state)
{
    struct stage *w = *state;
    stage_start_paced(w, (struct kube_reflector_pace){.silence_ms = 1000});
    AWAIT(w, is_live);
    int64_t begun = clock_mono_ms(), last = begun;
    while (clock_mono_ms() - begun < 1500) {
        w->done = false;
        w->want = NULL;
        loop_run_until(w->loop, &w->done, 20);
        if (clock_mono_ms() - last >= 100) {
            last = clock_mono_ms();
            assert_int_equal(tiny_http_push(w->server, CLAIMS, BOOKMARK("50")), 1);
        }
    }
    assert_int_equal(w->worst, KUBE_STARTING);
    assert_true(clock_mono_ms() - kube_reflector_status(w->reflector)->last_ok_ms < 1000);
}

/* ---- Connection -------------------------------------------------------------------------------------------------- */

static void test_canary_moves_last_ok(void **state)
{
    struct stage *w = *state;
    kube_canary_pace(w->client, 20, 1000);
    stage_start(w);
    AWAIT(w, is_live);
    int64_t before = kube_reflector_status(w->reflector)->last_ok_ms;
    int64_t begun = clock_mono_ms();
    while (kube_reflector_status(w->reflector)->last_ok_ms <= before + 50 && clock_mono_ms() - begun < WAIT_MS) {
        w->done = false;
        loop_run_until(w->loop, &w->done, 10);
    }
    assert_true(kube_reflector_status(w->reflector)->last_ok_ms > before + 50);
    assert_int_equal(w->statuses < 20, true); /* about once a second, not for each */
}

/* /version falls silent: the connections are given up, and the watch comes back by itself. */
static bool mute_version(void *arg, const struct tiny_request *rq, struct tiny_answer *ret)
{
    struct stage *w = arg;
    if (strcmp(rq->path, "/version") != 0 || w->begins == 0)
        return stage_answer(arg, rq, ret);
    *ret = (struct tiny_answer){.fate = TINY_SILENCE};
    return true;
}

static void test_dead_canary_resets_the_connections(void **state)
{
    struct stage *w = *state;
    tiny_http_handler(w->server, mute_version, w);
    kube_canary_pace(w->client, 200, 500);
    stage_start(w);
    AWAIT(w, is_live);
    AWAIT(w, has_failed);
    assert_in(w->error, "the server does not answer");
    tiny_http_handler(w->server, stage_answer, w);
    AWAIT(w, has_recovered);
    assert_int_equal(w->lists.used, 1);
}

static void test_dropped_connections(void **state)
{
    struct stage *w = *state;
    stage_say_list(w, LIST("10", "", CLAIM("a", "1")));
    stage_start(w);
    AWAIT(w, is_live);
    tiny_http_drop(w->server);
    AWAIT(w, is_live_twice);
    assert_int_equal(w->worst, KUBE_BACKOFF);
    assert_int_equal(w->lists.used, 1);
    assert_true(stage_knows(w, "a"));
}

static bool is_ill(struct stage *w)
{
    return w->client->health != NULL;
}

/* A backoff that has grown is not sat out when the server is there again. */
static void test_server_returns(void **state)
{
    struct stage *w = *state;
    stage_start_paced(w, (struct kube_reflector_pace){.first_backoff_ms = 3600000, .cap_backoff_ms = 3600000});
    AWAIT(w, is_live);
    kube_canary_pace(w->client, 50, 1000);
    w->mute = true;
    tiny_http_drop(w->server);
    AWAIT(w, has_failed);
    AWAIT(w, is_ill);
    w->mute = false;
    AWAIT(w, has_recovered);
    assert_int_equal(w->lists.used, 1);
}

static void test_freed_in_the_middle(void **state)
{
    struct stage *w = *state;
    stage_say(&w->lists, &(struct tiny_answer){.body = LIST("10", "", CLAIM("a", "1")), .fate = TINY_STALLED});
    stage_start(w);
    w->want = NULL;
    w->done = false;
    loop_run_until(w->loop, &w->done, 50);
    kube_reflector_free(w->reflector);
    w->reflector = NULL;
    loop_run_until(w->loop, &w->done, 20);
    assert_int_equal(w->ends, 0);
}

#define T(name) cmocka_unit_test_setup_teardown(name, stage_setup, stage_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_events),
        T(test_watch_goes_on_from_the_bookmark),
        T(test_half_a_line_at_the_end),
        T(test_expired_event_relists),
        T(test_http_410_relists),
        T(test_expired_for_ever_backs_off),
        T(test_expired_again_later_relists_at_once),
        T(test_other_error_event_backs_off_and_relists),
        T(test_throttled_event_watches_again),
        T(test_watch_429),
        T(test_watch_503),
        T(test_watch_reset),
        T(test_watch_cut),
        T(test_short_watch_backs_off),
        T(test_watch_500_relists),
        T(test_watch_denied),
        T(test_malformed_line),
        T(test_line_of_unknown_type),
        T(test_line_without_version),
        T(test_line_without_object),
        T(test_endless_line),
        T(test_silent_watch_is_given_up),
        T(test_quiet_watch_goes_on),
        T(test_server_that_went_back_is_listed),
        T(test_failed_check_watches_again),
        T(test_watch_without_answer),
        T(test_bookmarks_keep_it_alive),
        T(test_canary_moves_last_ok),
        T(test_dead_canary_resets_the_connections),
        T(test_dropped_connections),
        T(test_server_returns),
        T(test_freed_in_the_middle),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
