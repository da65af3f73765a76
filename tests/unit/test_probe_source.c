/* HTTP probes: status, body, silence, and bodies that come in pieces. */
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
#include "loop/loop.h"
#include "loop/timer.h"
#include "source/probe_source.h"
#include "tests/unit/tiny_http.h"
#include "world/world.h"

enum { WAIT_MS = 20000 };

struct stage {
    struct loop *loop;
    struct world *world;
    struct tiny_http *server;
    struct probe_source *source;
    char *url;
    struct tiny_answer answer;
    bool (*want)(struct stage *s);
    bool done;
};

static bool answer(void *arg, const struct tiny_request *rq, struct tiny_answer *ret)
{
    struct stage *s = arg;
    assert_string_equal(rq->target, "/api/server/about?x=1");
    *ret = s->answer;
    return true;
}

static int setup(void **state)
{
    struct stage *s = MEM_NEW(struct stage);
    s->loop = loop_new();
    s->world = world_new();
    world_set_now(s->world, clock_wall_ms());
    s->server = tiny_http_new(s->loop);
    s->url = str_printf("%s/api/server/about?x=1", tiny_http_url(s->server));
    tiny_http_handler(s->server, answer, s);
    *state = s;
    return 0;
}

static int teardown(void **state)
{
    struct stage *s = *state;
    probe_source_free(s->source);
    assert_int_equal(world_count(s->world, T_PROBES), 0);
    tiny_http_free(s->server);
    world_free(s->world);
    loop_free(s->loop);
    mem_free(s->url);
    mem_free(s);
    return 0;
}

static void start(struct stage *s, int expect, const char *body)
{
    s->source = probe_source_new(&(struct probe_source_options){
        .loop = s->loop,
        .world = s->world,
        .workload = "immich-postgres",
        .url = s->url,
        .expect = expect,
        .body = body,
        .poll_ms = 50,
    });
}

static struct slice probe(struct stage *s, int col)
{
    const struct row *r = world_find(s->world, T_PROBES, slice_of(s->url));
    return r ? row_text(r, col) : (struct slice){NULL, 0};
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
    if (!ok)
        fail_msg("%.*s: %.*s", SLICE_FMT(probe(s, PROBES_STATE)), SLICE_FMT(probe(s, PROBES_ERROR)));
}

static bool is_ok(struct stage *s)
{
    return slice_is(probe(s, PROBES_STATE), "OK");
}

static bool has_failed(struct stage *s)
{
    return slice_is(probe(s, PROBES_STATE), "FAIL");
}

static bool is_silent(struct stage *s)
{
    return slice_is(probe(s, PROBES_STATE), "SILENT");
}

static bool is_unreachable(struct stage *s)
{
    return slice_is(probe(s, PROBES_STATE), "UNREACHABLE");
}

static void test_ok(void **state)
{
    struct stage *s = *state;
    s->answer = (struct tiny_answer){.body = "{\"version\":\"v1.132.3\"}"};
    start(s, 0, "\"version\"");
    await(s, is_ok);
    assert_true(slice_is(probe(s, PROBES_BODY), "matched"));
    assert_true(slice_is(probe(s, PROBES_EXPECT), "200, body holds \"version\""));
    assert_true(slice_is(probe(s, PROBES_WORKLOAD), "immich-postgres"));
    const struct row *r = world_find(s->world, T_PROBES, slice_of(s->url));
    assert_int_equal(row_int(r, PROBES_CODE, 0), 200);
    assert_true(row_int(r, PROBES_LATENCY, -1) >= 0);
    assert_true(row_int(r, PROBES_SINCE, 0) > 0);
    assert_null(probe(s, PROBES_ERROR).p);
}

static void test_login_page(void **state)
{
    struct stage *s = *state;
    s->answer = (struct tiny_answer){.body = "<html>Please log in</html>"};
    start(s, 0, "\"version\"");
    await(s, has_failed);
    assert_true(slice_is(probe(s, PROBES_BODY), "not matched"));
    assert_true(slice_is(probe(s, PROBES_ERROR), "200, but the body does not hold \"version\""));
    int64_t since = row_int(world_find(s->world, T_PROBES, slice_of(s->url)), PROBES_SINCE, 0);
    loop_run_until(s->loop, &(bool){false}, 200);
    assert_int_equal(row_int(world_find(s->world, T_PROBES, slice_of(s->url)), PROBES_SINCE, 0), since);
    s->answer.body = "\"version\"";
    await(s, is_ok);
}

static void test_match_across_pieces(void **state)
{
    struct stage *s = *state;
    struct buf b = {0};
    for (int i = 0; i < 40000; i++)
        buf_addc(&b, 'x');
    buf_adds(&b, "\"ver");
    size_t cut = b.len - 2;
    buf_adds(&b, "sion\" and more");
    s->answer = (struct tiny_answer){.body = b.p, .body_len = b.len, .framing = TINY_CHUNKED, .fragment = cut};
    start(s, 0, "\"version\"");
    await(s, is_ok);
    buf_free(&b);
}

/* Every byte in a write of its own. */
static void test_match_byte_by_byte(void **state)
{
    struct stage *s = *state;
    s->answer = (struct tiny_answer){.body = "ababac", .fragment = 1};
    start(s, 0, "abac");
    await(s, is_ok);
}

static void test_one_byte(void **state)
{
    struct stage *s = *state;
    s->answer = (struct tiny_answer){.body = "xyz"};
    start(s, 0, "z");
    await(s, is_ok);
}

static bool is_redirected(struct stage *s)
{
    return slice_is(probe(s, PROBES_ERROR), "302 to https://login.example/, expected 200");
}

static void test_wrong_status(void **state)
{
    struct stage *s = *state;
    s->answer = (struct tiny_answer){.status = 503, .body = "\"version\""};
    start(s, 0, "\"version\"");
    await(s, has_failed);
    assert_true(slice_is(probe(s, PROBES_ERROR), "503, expected 200"));
    s->answer = (struct tiny_answer){.status = 302, .headers = "Location: https://login.example/\r\n"};
    await(s, is_redirected);
}

static void test_expected_refusal(void **state)
{
    struct stage *s = *state;
    s->answer = (struct tiny_answer){.status = 401, .body = "{\"error\":\"no token\"}"};
    start(s, 401, "no token");
    await(s, is_ok);
    assert_true(slice_is(probe(s, PROBES_BODY), "matched"));
}

static void test_unreachable(void **state)
{
    struct stage *s = *state;
    s->answer = (struct tiny_answer){.fate = TINY_RESET};
    start(s, 0, NULL);
    await(s, is_unreachable);
    assert_true(slice_is(probe(s, PROBES_BODY), "not asked for"));
    char *key = str_printf("http/%s", s->url);
    assert_true(slice_is(row_text(world_find(s->world, T_SOURCES, slice_of(key)), SOURCES_STATE), "DOWN"));
    mem_free(key);
    s->answer = (struct tiny_answer){.body = "hello"};
    await(s, is_ok);
}

static void test_silent(void **state)
{
    struct stage *s = *state;
    s->answer = (struct tiny_answer){.fate = TINY_SILENCE};
    start(s, 0, NULL);
    await(s, is_silent);
    assert_true(slice_contains(probe(s, PROBES_ERROR), "no answer within 10 s"));
    assert_null(row_cell(world_find(s->world, T_PROBES, slice_of(s->url)), PROBES_LATENCY).s.p);
}

static void test_password_in_url_is_not_shown(void **state)
{
    struct stage *s = *state;
    char *url = str_printf("http://ana:s3cret@%s", s->url + strlen("http://"));
    s->answer = (struct tiny_answer){.body = "x"};
    s->source =
        probe_source_new(&(struct probe_source_options){.loop = s->loop, .world = s->world, .url = url, .poll_ms = 50});
    await(s, is_ok); /* the row's key is the URL without it */
    for (const struct row *r = world_first(s->world, T_SOURCES); r; r = world_next(s->world, r))
        assert_false(slice_contains(row_key(r), "s3cret"));
    mem_free(url);
}

#define STAGED(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STAGED(test_ok),
        STAGED(test_login_page),
        STAGED(test_match_across_pieces),
        STAGED(test_match_byte_by_byte),
        STAGED(test_one_byte),
        STAGED(test_wrong_status),
        STAGED(test_expected_refusal),
        STAGED(test_unreachable),
        STAGED(test_silent),
        STAGED(test_password_in_url_is_not_shown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
