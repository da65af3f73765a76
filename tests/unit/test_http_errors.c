/* What a failed exchange is told as: broken answers, deadlines, connections that cannot be made, proxies. */
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "tests/unit/http_seen.h"

static void expect_failure(struct world *w, const struct tiny_answer *a, int status, enum err_kind kind,
    const char *text) {
    static int n;
    char path[24];
    struct seen s = {0};
    snprintf(path, sizeof path, "/fail/%d", n++);
    tiny_http_answer(w->server, path, a);
    exchange(w, seen_call(&s, path), &s);
    assert_true(s.failed);
    assert_int_equal(s.status, status);
    assert_int_equal(s.kind, kind);
    if (strstr(s.error, text) == NULL || strstr(s.error, path) == NULL)
        fail_msg("\"%s\" does not say \"%s\" and \"%s\"", s.error, text, path);
    seen_clear(&s);
}

static void test_broken_answers_are_errors(void **state) {
    struct world *w = *state;
    const char *body = "0123456789012345678901234567890123456789";
    const char *middle = "in the middle of the answer";
    expect_failure(w, &(struct tiny_answer){.body = body, .framing = TINY_CHUNKED, .fate = TINY_TRUNCATED}, 200,
                   ERR_UNAVAILABLE, middle);
    expect_failure(w, &(struct tiny_answer){.body = body, .fate = TINY_TRUNCATED}, 200, ERR_UNAVAILABLE, middle);
    expect_failure(w, &(struct tiny_answer){.fate = TINY_HANG_UP}, 0, ERR_UNAVAILABLE, "without an answer");
    expect_failure(w, &(struct tiny_answer){.fate = TINY_RESET}, 0, ERR_UNAVAILABLE, "connection lost");
    expect_failure(w, &(struct tiny_answer){.body = body, .fate = TINY_RESET_MIDDLE}, 200, ERR_UNAVAILABLE, "");
    expect_failure(w, &(struct tiny_answer){.raw = "SSH-2.0-OpenSSH_9\r\n"}, 0, ERR_PROTOCOL, "not HTTP");
    expect_failure(w,
        &(struct tiny_answer){.raw = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nab\r\n"}, 200,
                   ERR_UNAVAILABLE, "connection lost");
    expect_failure(w, &(struct tiny_answer){.raw = "HTTP/1.1 200 OK\r\nContent-Le", .fate = TINY_HANG_UP}, 0,
        ERR_UNAVAILABLE, "");
}

static void test_head_larger_than_sense(void **state) {
    struct world *w = *state;
    char *headers = mem_alloc(400001);
    for (size_t at = 0; at < 400000; at += 40)
        memcpy(headers + at, "X-Padding-Padding: 01234567890123456\r\n\r\n", 38);
    for (size_t at = 38; at < 400000; at += 40)
        memcpy(headers + at, "X:", 2);
    memcpy(headers + 400000 - 2, "\r\n", 3);
    struct seen s = {0};
    tiny_http_answer(w->server, "/big", &(struct tiny_answer){.headers = headers});
    exchange(w, seen_call(&s, "/big"), &s);
    assert_true(s.failed);
    mem_free(headers);
    seen_clear(&s);
}

static void test_timeout_of_a_silent_server(void **state) {
    struct world *w = *state;
    struct seen s = {0};
    char want[160];
    tiny_http_answer(w->server, "/v1/sys/health", &(struct tiny_answer){.fate = TINY_SILENCE});
    struct http_call call = seen_call(&s, "/v1/sys/health?token=abc");
    call.timeout_ms = 150;
    int64_t before = clock_mono_ms();
    exchange(w, call, &s);
    int64_t took = clock_mono_ms() - before;
    assert_true(took >= 150 && took < 2000);
    snprintf(want, sizeof want, "vault-0: GET /v1/sys/health: no answer within 150 ms (TCP accepted by 127.0.0.1:%u)",
             tiny_http_port(w->server));
    assert_string_equal(s.error, want);
    assert_int_equal(s.kind, ERR_UNAVAILABLE);
    assert_true(s.connected);
    assert_int_equal(s.status, 0);
    seen_clear(&s);
}

static void test_timeout_in_the_middle(void **state) {
    struct world *w = *state;
    struct seen s = {0};
    tiny_http_answer(w->server, "/s", &(struct tiny_answer){.body = "0123456789", .fate = TINY_STALLED});
    struct http_call call = seen_call(&s, "/s");
    call.timeout_ms = 100;
    exchange(w, call, &s);
    assert_int_equal(s.status, 200);
    assert_non_null(strstr(s.error, "the answer was not finished within 100 ms"));
    seen_clear(&s);
}

/* Bytes that trickle keep a request alive; silence ends it. */
static void test_idle_timeout(void **state) {
    struct world *w = *state;
    struct seen slow = {0}, stalled = {0};
    tiny_http_answer(w->server, "/slow", &(struct tiny_answer){.body = "0123456789", .fragment = 15,
        .fragment_ms = 60});
    tiny_http_answer(w->server, "/stalled", &(struct tiny_answer){.body = "0123456789", .fate = TINY_STALLED});
    struct http_call call = seen_call(&slow, "/slow");
    call.idle_timeout_ms = 150;
    exchange(w, call, &slow);
    assert_false(slow.failed);
    assert_true(slow.total_us > 170000);
    struct http_call other = seen_call(&stalled, "/stalled");
    other.idle_timeout_ms = 150;
    exchange(w, other, &stalled);
    assert_non_null(strstr(stalled.error, "the answer stopped: nothing received for 150 ms"));
    seen_clear(&slow);
    seen_clear(&stalled);
}

static void test_body_limit(void **state) {
    struct world *w = *state;
    struct seen s = {0}, fits = {0};
    tiny_http_json(w->server, "/b", "0123456789");
    struct http_call call = seen_call(&s, "/b");
    call.max_body = 9;
    exchange(w, call, &s);
    assert_int_equal(s.kind, ERR_PROTOCOL);
    assert_non_null(strstr(s.error, "larger than 9 bytes"));
    call.arg = &fits;
    call.max_body = 10;
    exchange(w, call, &fits);
    assert_false(fits.failed);
    seen_clear(&s);
    seen_clear(&fits);
}

static void test_refused_connection(void **state) {
    struct world *w = *state;
    struct seen s = {0};
    struct http *h = http_new(w->loop, &(struct http_options){.base_url = "http://127.0.0.1:1/", .name = "x"});
    struct http_call call = seen_call(&s, "/p");
    s.request = http_start(h, &call);
    world_wait(w, &s.done);
    assert_string_equal(s.error, "x: GET /p: cannot connect to 127.0.0.1:1: Connection refused");
    assert_false(s.connected);
    assert_string_equal(s.remote, "");
    seen_clear(&s);
    http_free(h);
}

static void expect_from(struct world *w, const struct http_options *o, enum err_kind kind, const char *text) {
    struct seen s = {0};
    struct http *h = http_new(w->loop, o);
    struct http_call call = seen_call(&s, "/p");
    call.timeout_ms = 5000;
    s.request = http_start(h, &call);
    world_wait(w, &s.done);
    assert_true(s.failed);
    if (strstr(s.error, text) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", s.error, text);
    assert_int_equal(s.kind, kind);
    seen_clear(&s);
    http_free(h);
}

static void test_unusable_options(void **state) {
    struct world *w = *state;
    char https[64], proxy[64];
    expect_from(w, &(struct http_options){.base_url = "file:///etc/passwd", .name = "x"}, ERR_DATA,
        "neither http nor https");
    expect_from(w, &(struct http_options){.base_url = "nonsense here", .name = "x"}, ERR_DATA,
        "x: \"nonsense here\" is not a URL");
    expect_from(w, &(struct http_options){.base_url = "http://no-such-host.invalid", .name = "x"}, ERR_UNAVAILABLE,
                "cannot resolve \"no-such-host.invalid\"");
    snprintf(https, sizeof https, "https://127.0.0.1:%u", tiny_http_port(w->server));
    tiny_http_answer(w->server, "*", &(struct tiny_answer){0});
    expect_from(w, &(struct http_options){.base_url = https, .name = "x", .ca_pem = "not a certificate"}, ERR_DATA,
                "certificate-authority");
    snprintf(proxy, sizeof proxy, "http://user:hunter2@127.0.0.1:1");
    expect_from(w, &(struct http_options){.base_url = https, .name = "x", .proxy_url = proxy}, ERR_UNAVAILABLE,
                "cannot connect to the proxy 127.0.0.1:1");
}

/* A listener whose queue is full drops every further SYN, as a firewall does. */
static void test_black_hole(void **state) {
    struct world *w = *state;
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    int listener = socket(AF_INET, SOCK_STREAM, 0), full[4];
    assert_int_equal(bind(listener, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(listener, 0), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&at, &len), 0);
    for (size_t i = 0; i < ARRAY_LEN(full); i++) {
        full[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        (void)connect(full[i], (struct sockaddr *)&at, sizeof at);
    }
    char url[64], want[128];
    snprintf(url, sizeof url, "https://127.0.0.1:%u", ntohs(at.sin_port));
    snprintf(want, sizeof want, "no answer within 100 ms (no TCP connection to 127.0.0.1:%u)", ntohs(at.sin_port));
    const struct http_options hurried = {.base_url = url, .name = "x", .connect_timeout_ms = 120},
        o = {.base_url = url};
    struct seen s = {0};
    struct http *h = http_new(w->loop, &o);
    struct http_call call = seen_call(&s, "/p");
    call.timeout_ms = 100;
    s.request = http_start(h, &call);
    world_wait(w, &s.done);
    assert_non_null(strstr(s.error, want));
    assert_false(s.connected);
    seen_clear(&s);
    http_free(h);
    expect_from(w, &hurried, ERR_UNAVAILABLE, "no connection within 120 ms (no TCP connection to");
    for (size_t i = 0; i < ARRAY_LEN(full); i++)
        close(full[i]);
    close(listener);
}

/* A server that speaks plain HTTP where TLS was expected never sees a whole request: it says nothing. */
static void test_tls_against_a_silent_server(void **state) {
    struct world *w = *state;
    char https[64];
    struct seen s = {0};
    snprintf(https, sizeof https, "https://127.0.0.1:%u", tiny_http_port(w->server));
    struct http *h = http_new(w->loop, &(struct http_options){.base_url = https, .name = "x"});
    struct http_call call = seen_call(&s, "/p");
    call.timeout_ms = 200;
    s.request = http_start(h, &call);
    world_wait(w, &s.done);
    assert_non_null(strstr(s.error, "TLS handshake not finished"));
    assert_false(s.connected);
    seen_clear(&s);
    http_free(h);
}

static void test_through_a_proxy(void **state) {
    struct world *w = *state;
    struct seen s = {0};
    tiny_http_json(w->server, "*", "{\"via\":\"proxy\"}");
    struct http *h = http_new(w->loop, &(struct http_options){.base_url = "http://cluster.example:8080", .name = "x",
                                                             .proxy_url = tiny_http_url(w->server)});
    struct http_call call = seen_call(&s, "/p");
    s.request = http_start(h, &call);
    world_wait(w, &s.done);
    assert_false(s.failed);
    assert_string_equal(tiny_http_request(w->server, 0)->target, "http://cluster.example:8080/p");
    seen_clear(&s);
    http_free(h);
    tiny_http_answer(w->server, "cluster.example:6443", &(struct tiny_answer){.status = 403, .body = "no"});
    expect_from(w, &(struct http_options){.base_url = "https://cluster.example:6443", .name = "x",
                                          .proxy_url = tiny_http_url(w->server)},
                ERR_UNAVAILABLE, "refused the tunnel to cluster.example:6443 with HTTP 403; check proxy-url");
}

static void test_environment_proxy_only_if_asked(void **state) {
    struct world *w = *state;
    struct seen s = {0};
    setenv("http_proxy", "http://127.0.0.1:1", 1);
    setenv("ALL_PROXY", "http://127.0.0.1:1", 1);
    tiny_http_json(w->server, "*", "{}");
    exchange(w, seen_call(&s, "/p"), &s);
    assert_false(s.failed);
    seen_clear(&s);
    expect_from(w, &(struct http_options){.base_url = "http://cluster.example", .name = "x", .env_proxy = true},
                ERR_UNAVAILABLE, "cannot connect");
    unsetenv("http_proxy");
    unsetenv("ALL_PROXY");
}

#define HTTP_TEST(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        HTTP_TEST(test_broken_answers_are_errors),
        HTTP_TEST(test_head_larger_than_sense),
        HTTP_TEST(test_timeout_of_a_silent_server),
        HTTP_TEST(test_timeout_in_the_middle),
        HTTP_TEST(test_idle_timeout),
        HTTP_TEST(test_body_limit),
        HTTP_TEST(test_refused_connection),
        HTTP_TEST(test_unusable_options),
        HTTP_TEST(test_black_hole),
        HTTP_TEST(test_tls_against_a_silent_server),
        HTTP_TEST(test_through_a_proxy),
        HTTP_TEST(test_environment_proxy_only_if_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
