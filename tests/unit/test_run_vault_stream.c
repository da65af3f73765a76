/* A body of Vault's as it comes: whole, or an error, whatever ends it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "loop/loop.h"
#include "migrate/run_vault.h"
#include "tests/unit/vault_run_stage.h"

#define PATH "/v1/sys/storage/raft/snapshot"
enum { BODY = 300 * 1000 };

static struct {
    struct run_vault_stream *stream;
    struct buf bytes;
    bool ended, pause_once, free_at_once;
    unsigned pieces;
    char error[1024];
    enum err_kind kind;
} got;

static void on_data(void *arg, struct slice bytes) {
    (void)arg;
    assert_false(got.ended);
    buf_add_slice(&got.bytes, bytes);
    got.pieces++;
    if (got.free_at_once) {
        run_vault_stream_free(got.stream);
        got.stream = NULL;
        got.free_at_once = false;
    } else if (got.pause_once) {
        run_vault_stream_pause(got.stream, true);
    }
}

static void on_end(void *arg, const struct err *e) {
    (void)arg;
    assert_false(got.ended);
    got.ended = true;
    snprintf(got.error, sizeof got.error, "%s", e ? err_text(e) : "");
    if (e) got.kind = err_kind(e);
    run_vault_stream_free(got.stream); /* allowed here */
    got.stream = NULL;
}

static bool has_ended(struct op_stage *w) {
    (void)w;
    return got.ended;
}

static bool has_bytes(struct op_stage *w) {
    (void)w;
    return got.pieces > 0;
}

static void begin(struct vault_run_stage *s, int64_t idle_ms) {
    buf_free(&got.bytes);
    memset(&got, 0, sizeof got);
    got.stream = run_vault_stream(s->w->run, "vault-0", PATH, idle_ms, on_data, on_end, s);
}

static void stream(struct vault_run_stage *s, int64_t idle_ms) {
    begin(s, idle_ms);
    AWAIT(s->w, has_ended);
}

static char *archive(void) {
    static char bytes[BODY];
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (char)(i * 7 % 251);
    bytes[0] = '\x1f'; /* gzip: nobody unpacks it on the way */
    bytes[1] = '\x8b';
    return bytes;
}

static int direct(void **state) {
    struct vault_run_stage *s = vault_run_stage_new(false, "");
    s->answer = (struct tiny_answer){.headers = "Content-Type: application/gzip\r\n", .body = archive(), .body_len = BODY, .framing = TINY_CHUNKED};
    *state = s;
    return 0;
}

static int proxied(void **state) {
    struct vault_run_stage *s = vault_run_stage_new(true, "");
    s->answer = (struct tiny_answer){.headers = "Content-Type: application/gzip\r\n", .body = archive(), .body_len = BODY, .framing = TINY_CHUNKED};
    *state = s;
    return 0;
}

static int teardown(void **state) {
    run_vault_stream_free(got.stream);
    got.stream = NULL;
    buf_free(&got.bytes);
    vault_run_stage_free(*state);
    return 0;
}

static void test_whole(void **state) {
    struct vault_run_stage *s = *state;
    stream(s, 0);
    assert_string_equal(got.error, "");
    assert_int_equal(got.bytes.len, BODY);
    assert_memory_equal(got.bytes.p, archive(), BODY);
    assert_string_equal(s->last, "GET " PATH " token");
    const struct tiny_request *rq = tiny_http_request(s->node, -1);
    assert_false(tiny_request_has(rq, "Accept-Encoding: gzip"));
    assert_null(strstr(rq->head, "Accept-Encoding"));
    assert_int_equal(s->healths, 1);
}

static void test_with_a_length(void **state) {
    struct vault_run_stage *s = *state;
    s->answer.framing = TINY_LENGTH;
    stream(s, 0);
    assert_string_equal(got.error, "");
    assert_int_equal(got.bytes.len, BODY);
}

/* The chunked terminator is missing, or bytes of the length are. */
static void test_cut_off_in_the_middle(void **state) {
    struct vault_run_stage *s = *state;
    static const enum tiny_framing framings[] = {TINY_CHUNKED, TINY_LENGTH};
    static const enum tiny_fate fates[] = {TINY_TRUNCATED, TINY_RESET_MIDDLE};
    for (size_t i = 0; i < ARRAY_LEN(framings); i++)
        for (size_t k = 0; k < ARRAY_LEN(fates); k++) {
            s->answer.framing = framings[i];
            s->answer.fate = fates[k];
            stream(s, 0);
            op_stage_assert_in(got.error, "vault-0: the body ended before its end");
            assert_true(got.bytes.len < BODY);
        }
}

/* Neither a length nor chunks: a connection that dies would look like the end. */
static void test_an_end_that_cannot_be_told(void **state) {
    struct vault_run_stage *s = *state;
    s->answer.framing = TINY_CLOSE;
    stream(s, 0);
    op_stage_assert_in(got.error, "neither a length nor chunks");
    assert_int_equal(got.bytes.len, 0);
}

static void test_what_is_no_snapshot(void **state) {
    struct vault_run_stage *s = *state;
    s->answer = (struct tiny_answer){.status = 403, .body = "{\"errors\":[\"permission denied\"]}"};
    stream(s, 0);
    op_stage_assert_in(got.error, "HTTP 403: permission denied");
    assert_int_equal(got.kind, ERR_DENIED);
    s->answer = (struct tiny_answer){.status = 307, .headers = "Location: http://10.0.0.9:8200" PATH "\r\n"};
    stream(s, 0);
    op_stage_assert_in(got.error, "HTTP 307, it is not the active node");
    s->answer = (struct tiny_answer){.status = 500, .body = "{\"errors\":[]}"};
    stream(s, 0);
    op_stage_assert_in(got.error, "HTTP 500");
    assert_int_equal(got.bytes.len, 0);
}

static void test_a_sealed_node_has_none(void **state) {
    struct vault_run_stage *s = *state;
    s->cluster_id = NULL;
    stream(s, 0);
    op_stage_assert_in(got.error, "HTTP 501");
    assert_int_equal(s->asked, 0);
}

static void test_silence(void **state) {
    struct vault_run_stage *s = *state;
    s->answer.fate = TINY_STALLED;
    stream(s, 200);
    assert_true(*got.error != '\0');
    assert_int_equal(got.kind, ERR_UNAVAILABLE);
    s->answer.fate = TINY_SILENCE;
    stream(s, 200);
    assert_true(*got.error != '\0');
    assert_int_equal(got.bytes.len, 0);
}

/* Nothing is handed over while it is paused, however long; then the rest is. */
static void test_back_pressure(void **state) {
    struct vault_run_stage *s = *state;
    begin(s, 150);
    got.pause_once = true;
    AWAIT(s->w, has_bytes);
    size_t before = got.bytes.len;
    bool never = false;
    assert_false(loop_run_until(s->w->loop, &never, 400)); /* longer than the idle deadline, which stands still */
    assert_false(got.ended);
    assert_int_equal(got.bytes.len, before);
    got.pause_once = false;
    run_vault_stream_pause(got.stream, false);
    AWAIT(s->w, has_ended);
    assert_string_equal(got.error, "");
    assert_int_equal(got.bytes.len, BODY);
}

static void test_given_up(void **state) {
    struct vault_run_stage *s = *state;
    begin(s, 0);
    got.free_at_once = true; /* inside on_data */
    AWAIT(s->w, has_bytes);
    assert_false(got.ended);
    begin(s, 0); /* before anything came */
    run_vault_stream_free(got.stream);
    stream(s, 0);
    assert_string_equal(got.error, "");
}

#define BOTH(name)                                                \
    cmocka_unit_test_setup_teardown(name, direct, teardown),      \
    {#name " (proxied)", name, proxied, teardown, NULL}

int main(void) {
    const struct CMUnitTest tests[] = {
        BOTH(test_whole), BOTH(test_with_a_length), BOTH(test_cut_off_in_the_middle), BOTH(test_an_end_that_cannot_be_told),
        BOTH(test_what_is_no_snapshot), BOTH(test_a_sealed_node_has_none), BOTH(test_silence), BOTH(test_back_pressure), BOTH(test_given_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
