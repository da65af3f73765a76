/* Requests and answers: what goes out, what comes back, in all framings. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>
#include <zlib.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/secret.h"
#include "tests/unit/http_seen.h"

static void test_get(void **state) {
    struct world *w = *state;
    struct seen s = {0};
    tiny_http_json(w->server, "/v1/sys/health", "{\"sealed\":false}");
    exchange(w, seen_call(&s, "/v1/sys/health?standbyok=true"), &s);
    assert_false(s.failed);
    assert_int_equal(s.status, 200);
    assert_int_equal(s.heads, 1);
    assert_int_equal(s.done_count, 1);
    assert_string_equal(buf_str(&s.body), "{\"sealed\":false}");
    assert_string_equal(s.content_type, "application/json");
    assert_string_equal(s.remote, "127.0.0.1");
    assert_true(s.connected);
    assert_true(s.total_us > 0 && s.connect_us > 0);
    assert_int_equal(s.retry_after_s, -1);
    const struct tiny_request *rq = tiny_http_request(w->server, 0);
    assert_string_equal(rq->method, "GET");
    assert_string_equal(rq->target, "/v1/sys/health?standbyok=true");
    assert_null(strcasestr(rq->head, "accept-encoding"));
    assert_non_null(strcasestr(rq->head, "user-agent: ferryman/"));
    assert_null(strcasestr(rq->head, "content-type"));
    seen_clear(&s);
}

static void test_headers_secrets_and_body(void **state) {
    struct world *w = *state;
    struct seen s = {0};
    const char *const headers[] = {"Accept: application/yaml", "X-Other: 1", NULL};
    struct secret *bearer = secret_new("t0ken", 5), *vault = secret_new("s.vault", 7);
    struct http_call call = seen_call(&s, "/post");
    call.method = "POST";
    call.headers = headers;
    call.bearer = bearer;
    call.secret_header = "X-Vault-Token";
    call.secret_value = vault;
    call.body = "{\"a\":1}";
    call.body_len = 7;
    exchange(w, call, &s);
    secret_free(bearer);
    secret_free(vault);
    const struct tiny_request *rq = tiny_http_request(w->server, 0);
    assert_string_equal(rq->method, "POST");
    assert_string_equal(rq->body, "{\"a\":1}");
    assert_true(tiny_request_has(rq, "Authorization: Bearer t0ken"));
    assert_true(tiny_request_has(rq, "X-Vault-Token: s.vault"));
    assert_true(tiny_request_has(rq, "Accept: application/yaml"));
    assert_true(tiny_request_has(rq, "X-Other: 1"));
    assert_true(tiny_request_has(rq, "Content-Type: application/json"));
    assert_int_equal(s.status, 404);
    assert_false(s.failed);
    seen_clear(&s);
}

static void test_methods(void **state) {
    struct world *w = *state;
    const char *const methods[] = {"PATCH", "DELETE", "PUT", "POST", "HEAD"};
    tiny_http_json(w->server, "*", "{}");
    for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
        struct seen s = {0};
        struct http_call call = seen_call(&s, "/m");
        call.method = methods[i];
        if (i == 0) {
            call.body = "[]";
            call.body_len = 2;
            call.content_type = "application/json-patch+json";
        }
        exchange(w, call, &s);
        assert_int_equal(s.status, 200);
        assert_false(s.failed);
        const struct tiny_request *rq = tiny_http_request(w->server, -1);
        assert_string_equal(rq->method, methods[i]);
        assert_string_equal(rq->body, i == 0 ? "[]" : "");
        if (i == 0)
            assert_true(tiny_request_has(rq, "Content-Type: application/json-patch+json"));
        else
            assert_null(strcasestr(rq->head, "content-type"));
        seen_clear(&s);
    }
}

static void test_bad_secret_and_header_are_refused(void **state) {
    struct world *w = *state;
    struct seen s = {0}, t = {0};
    struct secret *bad = secret_new("abc\r\nX: y", 9);
    const char *const headers[] = {"A: b\r\nC: d", NULL};
    struct http_call call = seen_call(&s, "/"), other = seen_call(&t, "/");
    call.bearer = bad;
    exchange(w, call, &s);
    assert_int_equal(s.kind, ERR_AUTH);
    assert_null(strstr(s.error, "abc"));
    other.headers = headers;
    exchange(w, other, &t);
    assert_true(t.failed);
    assert_int_equal(tiny_http_count(w->server), 0);
    secret_free(bad);
    seen_clear(&s);
    seen_clear(&t);
}

static void test_redirect_is_not_followed(void **state) {
    struct world *w = *state;
    struct seen s = {0};
    tiny_http_answer(w->server, "/r", &(struct tiny_answer){.status = 307,
        .headers = "Location: http://evil.example/\r\n"});
    exchange(w, seen_call(&s, "/r"), &s);
    assert_int_equal(s.status, 307);
    assert_string_equal(s.location, "http://evil.example/");
    assert_int_equal(tiny_http_count(w->server), 1);
    seen_clear(&s);
}

static void test_fragments_and_chunks(void **state) {
    struct world *w = *state;
    char body[5000];
    for (size_t i = 0; i < sizeof body; i++)
        body[i] = (char)('a' + i % 26);
    const struct tiny_answer answers[] = {
        {.body = body, .body_len = sizeof body, .fragment = 333},
        {.body = body, .body_len = sizeof body, .fragment = 97, .framing = TINY_CHUNKED},
        {.body = body, .body_len = sizeof body, .fragment = 1001, .framing = TINY_CLOSE},
        {.body = body, .body_len = 200, .fragment = 1, .framing = TINY_CHUNKED},
    };
    for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
        char path[16];
        struct seen s = {0}, collected = {0};
        snprintf(path, sizeof path, "/%zu", i);
        tiny_http_answer(w->server, path, &answers[i]);
        struct http_call call = seen_call(&s, path);
        call.on_data = seen_data;
        exchange(w, call, &s);
        assert_false(s.failed);
        assert_int_equal(s.chunks.len, answers[i].body_len);
        assert_memory_equal(s.chunks.p, body, answers[i].body_len);
        assert_int_equal(s.body.len, 0);
        exchange(w, seen_call(&collected, path), &collected);
        assert_int_equal(collected.body.len, answers[i].body_len);
        seen_clear(&s);
        seen_clear(&collected);
    }
}

/* Of a stream the body of an error status is collected all the same. */
static void test_error_body_is_collected(void **state) {
    struct world *w = *state;
    struct seen s = {0};
    tiny_http_answer(w->server, "/w", &(struct tiny_answer){.status = 410, .body = "{\"kind\":\"Status\"}"});
    struct http_call call = seen_call(&s, "/w");
    call.on_data = seen_data;
    exchange(w, call, &s);
    assert_int_equal(s.status, 410);
    assert_int_equal(s.datas, 0);
    assert_string_equal(buf_str(&s.body), "{\"kind\":\"Status\"}");
    seen_clear(&s);
}

static void test_interim_answers_and_trailers(void **state) {
    struct world *w = *state;
    struct seen s = {0};
    tiny_http_answer(w->server, "/i", &(struct tiny_answer){
        .raw = "HTTP/1.1 103 Early Hints\r\nRetry-After: 9\r\n\r\n"
               "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n"
               "Retry-After: 7\r\nContent-Type: evil\r\n\r\n"});
    exchange(w, seen_call(&s, "/i"), &s);
    assert_false(s.failed);
    assert_int_equal(s.heads, 1);
    assert_int_equal(s.status, 200);
    assert_int_equal(s.retry_after_s, -1);
    assert_string_equal(s.content_type, "");
    assert_string_equal(buf_str(&s.body), "ok");
    seen_clear(&s);
}

static int64_t retry_after(struct world *w, const char *value) {
    static int n;
    char path[24], headers[128];
    struct seen s = {0};
    snprintf(path, sizeof path, "/retry/%d", n++);
    snprintf(headers, sizeof headers, "Retry-After: %s\r\n", value);
    tiny_http_answer(w->server, path, &(struct tiny_answer){.status = 429, .headers = headers});
    exchange(w, seen_call(&s, path), &s);
    int64_t got = s.retry_after_s;
    seen_clear(&s);
    return got;
}

static void test_retry_after(void **state) {
    struct world *w = *state;
    char date[64];
    time_t at = time(NULL) + 100;
    struct tm tm;
    strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&at, &tm));
    assert_int_equal(retry_after(w, "17"), 17);
    assert_int_equal(retry_after(w, "0"), 0);
    int64_t s = retry_after(w, date);
    assert_true(s >= 95 && s <= 100);
    assert_int_equal(retry_after(w, "Wed, 21 Oct 2015 07:28:00 GMT"), 0);
    assert_int_equal(retry_after(w, "soon"), -1);
    assert_int_equal(retry_after(w, "-5"), -1);
    assert_int_equal(retry_after(w, "99999999999"), 86400);
    assert_int_equal(retry_after(w, ""), -1);
}

static void test_gzip(void **state) {
    struct world *w = *state;
    struct seen s = {0};
    char plain[3000];
    unsigned char packed[4000];
    memset(plain, 'z', sizeof plain);
    z_stream z = {0};
    assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    z.next_in = (unsigned char *)plain;
    z.avail_in = sizeof plain;
    z.next_out = packed;
    z.avail_out = sizeof packed;
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    size_t size = z.total_out;
    deflateEnd(&z);
    tiny_http_answer(w->server, "/z", &(struct tiny_answer){
        .headers = "Content-Encoding: gzip\r\n", .body = (const char *)packed, .body_len = size});
    struct http_call call = seen_call(&s, "/z");
    call.gzip = true;
    exchange(w, call, &s);
    assert_false(s.failed);
    assert_int_equal(s.body.len, sizeof plain);
    assert_memory_equal(s.body.p, plain, sizeof plain);
    assert_true(tiny_request_has(tiny_http_request(w->server, 0), "Accept-Encoding: gzip"));
    seen_clear(&s);
}

static void test_escape(void **state) {
    (void)state;
    struct buf b = {0};
    http_escape(&b, "a-Z_0.~/?&= %\xc3\xa9");
    assert_string_equal(buf_str(&b), "a-Z_0.~%2F%3F%26%3D%20%25%C3%A9");
    buf_free(&b);
}

#define HTTP_TEST(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        HTTP_TEST(test_get),
        HTTP_TEST(test_headers_secrets_and_body),
        HTTP_TEST(test_methods),
        HTTP_TEST(test_bad_secret_and_header_are_refused),
        HTTP_TEST(test_redirect_is_not_followed),
        HTTP_TEST(test_fragments_and_chunks),
        HTTP_TEST(test_error_body_is_collected),
        HTTP_TEST(test_interim_answers_and_trailers),
        HTTP_TEST(test_retry_after),
        HTTP_TEST(test_gzip),
        HTTP_TEST(test_escape),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
