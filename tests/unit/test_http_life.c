/* The life of requests: freed, paused, started and reset inside every callback, many at once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/mem.h"
#include "tests/unit/http_seen.h"

static void test_nothing_happens_inside_start(void **state) {
    struct world *w = *state;
    struct seen s = {0};
    struct http_call call = seen_call(&s, "/x");
    http_request_free(http_start(w->http, &call));
    world_run(w, 20);
    assert_int_equal(tiny_http_count(w->server), 0);
    assert_int_equal(s.done_count, 0);
}

static void test_free_in_each_callback(void **state) {
    struct world *w = *state;
    tiny_http_answer(w->server, "*", &(struct tiny_answer){.body = "0123456789", .framing = TINY_CHUNKED,
        .fragment = 40});
    const enum free_at places[] = {FREE_IN_HEAD, FREE_IN_DATA, FREE_IN_DONE};
    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        struct seen s = {.free_at = places[i]};
        struct http_call call = seen_call(&s, "/f");
        call.on_data = seen_data;
        exchange(w, call, &s);
        world_run(w, 20);
        assert_int_equal(s.done_count, places[i] == FREE_IN_DONE ? 1 : 0);
        assert_int_equal(s.heads, 1);
        assert_null(s.request);
        seen_clear(&s);
    }
}

static void test_free_while_waiting_and_running(void **state) {
    struct world *w = *state;
    struct seen s = {0};
    tiny_http_answer(w->server, "/q", &(struct tiny_answer){.fate = TINY_SILENCE});
    struct http_call call = seen_call(&s, "/q");
    struct http_request *r = http_start(w->http, &call);
    world_run(w, 30);
    assert_int_equal(tiny_http_count(w->server), 1);
    http_request_free(r);
    world_run(w, 30);
    assert_int_equal(s.done_count, 0);
    assert_int_equal(tiny_http_connections(w->server), 0);
}

/* Another request is freed inside on_data of this one. */
static void test_free_another_in_data(void **state) {
    struct world *w = *state;
    struct seen s = {0}, other = {0};
    tiny_http_answer(w->server, "/quiet", &(struct tiny_answer){.fate = TINY_SILENCE});
    tiny_http_json(w->server, "/loud", "{}");
    struct http_call quiet = seen_call(&other, "/quiet");
    s.victim = http_start(w->http, &quiet);
    world_run(w, 20);
    struct http_call call = seen_call(&s, "/loud");
    call.on_data = seen_data;
    exchange(w, call, &s);
    assert_false(s.failed);
    world_run(w, 20);
    assert_int_equal(other.done_count, 0);
    seen_clear(&s);
}

static void test_caller_gives_up(void **state) {
    struct world *w = *state;
    struct seen head = {.refuse_head = true}, data = {.refuse_data = true};
    tiny_http_json(w->server, "*", "{}");
    exchange(w, seen_call(&head, "/h"), &head);
    assert_int_equal(head.kind, ERR_CANCELLED);
    assert_int_equal(head.status, 200);
    struct http_call call = seen_call(&data, "/d");
    call.on_data = seen_data;
    exchange(w, call, &data);
    assert_string_equal(data.error, "not what I want");
    assert_int_equal(data.kind, ERR_PROTOCOL);
    seen_clear(&head);
    seen_clear(&data);
}

static void test_start_inside_done(void **state) {
    struct world *w = *state;
    struct seen s = {.restart = true};
    tiny_http_json(w->server, "/again", "{\"second\":true}");
    exchange(w, seen_call(&s, "/first"), &s);
    assert_string_equal(buf_str(&s.body), "{\"second\":true}");
    assert_int_equal(tiny_http_accepted(w->server), 1); /* the connection was used again */
    seen_clear(&s);
}

static void test_hundred_in_parallel(void **state) {
    struct world *w = *state;
    enum { N = 100 };
    static struct seen s[N];
    struct http_call call;
    memset(s, 0, sizeof s);
    tiny_http_answer(w->server, "*", &(struct tiny_answer){.body = "{\"n\":1}", .delay_ms = 20, .fragment = 50});
    for (int i = 0; i < N; i++) {
        call = seen_call(&s[i], "/n");
        call.timeout_ms = 15000;
        s[i].free_at = i % 2 == 0 ? FREE_IN_DONE : FREE_LATER;
        s[i].request = http_start(w->http, &call);
    }
    for (int i = 0; i < N; i++) {
        world_wait(w, &s[i].done);
        assert_false(s[i].failed);
        assert_int_equal(s[i].done_count, 1);
        assert_string_equal(buf_str(&s[i].body), "{\"n\":1}");
        seen_clear(&s[i]);
    }
}

static void test_stream_with_pushes(void **state) {
    struct world *w = *state;
    struct seen s = {0};
    tiny_http_answer(w->server, "/watch", &(struct tiny_answer){.fate = TINY_OPEN, .body = "first\n"});
    struct http_call call = seen_call(&s, "/watch");
    call.on_data = seen_data;
    s.request = http_start(w->http, &call);
    world_wait(w, &s.got_data);
    s.got_data = false;
    assert_int_equal(tiny_http_push(w->server, "/watch", "second\n"), 1);
    world_wait(w, &s.got_data);
    assert_string_equal(buf_str(&s.chunks), "first\nsecond\n");
    assert_false(s.done);
    tiny_http_end(w->server, "/watch");
    world_wait(w, &s.done);
    assert_false(s.failed);
    seen_clear(&s);
}

/* While paused nothing is delivered, and the idle time does not run. */
static void test_pause_and_resume(void **state) {
    struct world *w = *state;
    struct seen s = {.pause_in_data = true};
    tiny_http_answer(w->server, "/watch", &(struct tiny_answer){.fate = TINY_OPEN, .body = "a"});
    struct http_call call = seen_call(&s, "/watch");
    call.on_data = seen_data;
    call.idle_timeout_ms = 100;
    s.request = http_start(w->http, &call);
    world_wait(w, &s.got_data);
    tiny_http_push(w->server, "/watch", "b");
    tiny_http_push(w->server, "/watch", "c");
    world_run(w, 250);
    assert_string_equal(buf_str(&s.chunks), "a");
    assert_false(s.done);
    s.pause_in_data = false;
    http_request_pause(s.request, false);
    assert_string_equal(buf_str(&s.chunks), "a"); /* not inside the call */
    s.got_data = false;
    world_wait(w, &s.got_data);
    tiny_http_end(w->server, "/watch");
    world_wait(w, &s.done);
    assert_false(s.failed);
    assert_string_equal(buf_str(&s.chunks), "abc");
    http_request_pause(s.request, true);
    seen_clear(&s);
}

static void test_free_while_paused(void **state) {
    struct world *w = *state;
    struct seen s = {.pause_in_data = true};
    tiny_http_answer(w->server, "/watch", &(struct tiny_answer){.fate = TINY_OPEN, .body = "a"});
    struct http_call call = seen_call(&s, "/watch");
    call.on_data = seen_data;
    s.request = http_start(w->http, &call);
    world_wait(w, &s.got_data);
    tiny_http_push(w->server, "/watch", "b");
    world_run(w, 20);
    http_request_pause(s.request, false);
    seen_clear(&s);
    world_run(w, 20);
    assert_int_equal(s.done_count, 0);
}

static void test_reset_with_running_requests(void **state) {
    struct world *w = *state;
    enum { N = 5 };
    struct seen s[N] = {{0}}, waiting = {0}, after = {0};
    tiny_http_answer(w->server, "/quiet", &(struct tiny_answer){.fate = TINY_SILENCE});
    tiny_http_json(w->server, "/ok", "{}");
    for (int i = 0; i < N; i++) {
        struct http_call call = seen_call(&s[i], "/quiet");
        s[i].request = http_start(w->http, &call);
    }
    world_run(w, 50);
    assert_int_equal(tiny_http_connections(w->server), N);
    struct http_call call = seen_call(&waiting, "/ok");
    waiting.request = http_start(w->http, &call); /* not begun yet: it is not hurt */
    http_reset(w->http, "the canary had no answer");
    assert_false(s[0].done);
    for (int i = 0; i < N; i++) {
        world_wait(w, &s[i].done);
        assert_int_equal(s[i].kind, ERR_UNAVAILABLE);
        assert_string_equal(s[i].error, "vault-0: GET /quiet: connection given up: the canary had no answer");
        assert_true(s[i].connected);
        seen_clear(&s[i]);
    }
    world_wait(w, &waiting.done);
    assert_false(waiting.failed);
    exchange(w, seen_call(&after, "/ok"), &after);
    assert_false(after.failed);
    assert_int_equal(tiny_http_connections(w->server), 1);
    seen_clear(&waiting);
    seen_clear(&after);
}

static void test_reset_inside_data(void **state) {
    struct world *w = *state;
    struct seen s = {.reset_in_data = true}, again = {0};
    tiny_http_answer(w->server, "/watch", &(struct tiny_answer){.fate = TINY_OPEN, .body = "a"});
    tiny_http_json(w->server, "/ok", "{}");
    struct http_call call = seen_call(&s, "/watch");
    call.on_data = seen_data;
    exchange(w, call, &s);
    assert_non_null(strstr(s.error, "connection given up: canary failed"));
    exchange(w, seen_call(&again, "/ok"), &again);
    assert_false(again.failed);
    seen_clear(&s);
    seen_clear(&again);
}

static void test_server_resets_everything(void **state) {
    struct world *w = *state;
    struct seen s = {0}, again = {0};
    tiny_http_answer(w->server, "/watch", &(struct tiny_answer){.fate = TINY_OPEN, .body = "a"});
    struct http_call call = seen_call(&s, "/watch");
    call.on_data = seen_data;
    s.request = http_start(w->http, &call);
    world_wait(w, &s.got_data);
    tiny_http_drop(w->server);
    world_wait(w, &s.done);
    assert_int_equal(s.kind, ERR_UNAVAILABLE);
    exchange(w, seen_call(&again, "/x"), &again);
    assert_int_equal(again.status, 404);
    seen_clear(&s);
    seen_clear(&again);
}

struct closer {
    struct http *http;
    struct http_request *request;
    bool done;
};

static void closer_done(void *arg, const struct http_result *r) {
    struct closer *c = arg;
    (void)r;
    http_request_free(c->request);
    http_free(c->http);
    c->done = true;
}

static struct err *closer_data(void *arg, const char *p, size_t n) {
    (void)p;
    (void)n;
    struct http_result none = {0};
    closer_done(arg, &none);
    return NULL;
}

static void test_http_free_inside_callbacks(void **state) {
    struct world *w = *state;
    tiny_http_json(w->server, "*", "{}");
    for (int i = 0; i < 2; i++) {
        struct closer c = {.http = http_new(w->loop, &(struct http_options){.base_url = tiny_http_url(w->server)})};
        struct http_call call = {.path = "/", .on_data = i == 0 ? closer_data : NULL, .on_done = closer_done,
            .arg = &c};
        c.request = http_start(c.http, &call);
        world_wait(w, &c.done);
    }
    world_run(w, 10);
}

#define HTTP_TEST(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        HTTP_TEST(test_nothing_happens_inside_start),
        HTTP_TEST(test_free_in_each_callback),
        HTTP_TEST(test_free_while_waiting_and_running),
        HTTP_TEST(test_free_another_in_data),
        HTTP_TEST(test_caller_gives_up),
        HTTP_TEST(test_start_inside_done),
        HTTP_TEST(test_hundred_in_parallel),
        HTTP_TEST(test_stream_with_pushes),
        HTTP_TEST(test_pause_and_resume),
        HTTP_TEST(test_free_while_paused),
        HTTP_TEST(test_reset_with_running_requests),
        HTTP_TEST(test_reset_inside_data),
        HTTP_TEST(test_server_resets_everything),
        HTTP_TEST(test_http_free_inside_callbacks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
