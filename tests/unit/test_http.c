#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <zlib.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/secret.h"
#include "loop/loop.h"
#include "net/http.h"
#include "tests/unit/tiny_http.h"

/* What one request saw; `free_at` says in which callback the request is freed. */
enum free_at { FREE_LATER, FREE_IN_HEAD, FREE_IN_DATA, FREE_IN_DONE };

struct seen {
    struct http *http;
    struct http_request *request;
    struct http_request *victim;      /* freed in on_data */
    struct buf body, chunks;
    char error[512], content_type[64], location[128], remote[64];
    enum err_kind kind;
    int status, heads, done_count, head_status, datas;
    int64_t retry_after_s, total_us, connect_us;
    enum free_at free_at;
    bool done, failed, connected, got_data, refuse_head, refuse_data, reset_in_data, pause_in_data, restart;
};

struct world {
    struct loop *loop;
    struct tiny_http *server;
    struct http *http;
};

static int setup(void **state) {
    struct world *w = MEM_NEW(struct world);
    w->loop = loop_new();
    w->server = tiny_http_new(w->loop);
    w->http = http_new(w->loop, &(struct http_options){.base_url = tiny_http_url(w->server), .name = "vault-0"});
    *state = w;
    return 0;
}

static int teardown(void **state) {
    struct world *w = *state;
    http_free(w->http);
    tiny_http_free(w->server);
    loop_free(w->loop);
    mem_free(w);
    return 0;
}

static bool seen_head(void *arg, const struct http_head *head) {
    struct seen *s = arg;
    s->heads++;
    s->head_status = head->status;
    if (s->free_at == FREE_IN_HEAD) {
        http_request_free(s->request);
        s->request = NULL;
        s->done = true;
    }
    return !s->refuse_head;
}

static struct err *seen_data(void *arg, const char *p, size_t n) {
    struct seen *s = arg;
    buf_add(&s->chunks, p, n);
    s->datas++;
    s->got_data = true;
    if (s->free_at == FREE_IN_DATA) {
        http_request_free(s->request);
        s->request = NULL;
        s->done = true;
    }
    if (s->victim != NULL) {
        http_request_free(s->victim);
        s->victim = NULL;
    }
    if (s->reset_in_data)
        http_reset(s->http, "canary failed");
    if (s->pause_in_data)
        http_request_pause(s->request, true);
    return s->refuse_data ? err_new(ERR_PROTOCOL, "not what I want") : NULL;
}

static void seen_done(void *arg, const struct http_result *r);

static struct http_call seen_call(struct seen *s, const char *path) {
    return (struct http_call){.path = path, .on_done = seen_done, .on_head = seen_head, .arg = s};
}

static void seen_done(void *arg, const struct http_result *r) {
    struct seen *s = arg;
    if (s->restart) {
        s->restart = false;
        http_request_free(s->request);
        struct http_call call = seen_call(s, "/again");
        s->request = http_start(s->http, &call);
        return;
    }
    if (s->free_at == FREE_IN_DONE) {
        http_request_free(s->request); /* the result stays usable until we return */
        s->request = NULL;
    }
    s->done_count++;
    s->status = r->status;
    s->failed = r->error != NULL;
    if (r->error != NULL) {
        snprintf(s->error, sizeof s->error, "%s", err_text(r->error));
        s->kind = err_kind(r->error);
    }
    buf_add(&s->body, buf_str(r->body), r->body->len);
    if (r->head.content_type.p != NULL)
        snprintf(s->content_type, sizeof s->content_type, "%.*s", SLICE_FMT(r->head.content_type));
    if (r->head.location.p != NULL)
        snprintf(s->location, sizeof s->location, "%.*s", SLICE_FMT(r->head.location));
    snprintf(s->remote, sizeof s->remote, "%s", r->remote_address);
    s->retry_after_s = r->head.retry_after_s;
    s->connected = r->connected;
    s->total_us = r->total_us;
    s->connect_us = r->connect_us;
    s->done = true;
}

static void seen_clear(struct seen *s) {
    http_request_free(s->request);
    buf_free(&s->body);
    buf_free(&s->chunks);
}

static void wait_for(struct world *w, const bool *flag) {
    assert_true(loop_run_until(w->loop, flag, 20000));
}

static void run_ms(struct world *w, int64_t ms) {
    bool never = false;
    loop_run_until(w->loop, &never, ms);
}

/* Starts the call for s and waits for its end. */
static void exchange(struct world *w, struct http_call call, struct seen *s) {
    s->http = w->http;
    s->request = http_start(w->http, &call);
    wait_for(w, &s->done);
}

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
    assert_int_equal(http_take_count(w->http), 1);
    assert_int_equal(http_take_count(w->http), 0);
    seen_clear(&s);
}

static void test_nothing_happens_inside_start(void **state) {
    struct world *w = *state;
    struct seen s = {0};
    struct http_call call = seen_call(&s, "/x");
    http_request_free(http_start(w->http, &call));
    run_ms(w, 20);
    assert_int_equal(tiny_http_count(w->server), 0);
    assert_int_equal(s.done_count, 0);
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
    tiny_http_answer(w->server, "/r", &(struct tiny_answer){.status = 307, .headers = "Location: http://evil.example/\r\n"});
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

static void expect_failure(struct world *w, const struct tiny_answer *a, int status, enum err_kind kind, const char *text) {
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
    expect_failure(w, &(struct tiny_answer){.raw = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nab\r\n"}, 200,
                   ERR_UNAVAILABLE, "connection lost");
    expect_failure(w, &(struct tiny_answer){.raw = "HTTP/1.1 200 OK\r\nContent-Le", .fate = TINY_HANG_UP}, 0, ERR_UNAVAILABLE, "");
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

static void test_interim_answers_and_trailers(void **state) {
    struct world *w = *state;
    struct seen s = {0};
    tiny_http_answer(w->server, "/i", &(struct tiny_answer){
        .raw = "HTTP/1.1 103 Early Hints\r\nRetry-After: 9\r\n\r\n"
               "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nRetry-After: 7\r\nContent-Type: evil\r\n\r\n"});
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
    tiny_http_answer(w->server, "/slow", &(struct tiny_answer){.body = "0123456789", .fragment = 15, .fragment_ms = 60});
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

static void test_refused_connection(void **state) {
    struct world *w = *state;
    struct seen s = {0};
    struct http *h = http_new(w->loop, &(struct http_options){.base_url = "http://127.0.0.1:1/", .name = "x"});
    struct http_call call = seen_call(&s, "/p");
    s.request = http_start(h, &call);
    wait_for(w, &s.done);
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
    wait_for(w, &s.done);
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
    expect_from(w, &(struct http_options){.base_url = "file:///etc/passwd", .name = "x"}, ERR_DATA, "neither http nor https");
    expect_from(w, &(struct http_options){.base_url = "nonsense here", .name = "x"}, ERR_DATA, "x: \"nonsense here\" is not a URL");
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
    const struct http_options hurried = {.base_url = url, .name = "x", .connect_timeout_ms = 120}, o = {.base_url = url};
    struct seen s = {0};
    struct http *h = http_new(w->loop, &o);
    struct http_call call = seen_call(&s, "/p");
    call.timeout_ms = 100;
    s.request = http_start(h, &call);
    wait_for(w, &s.done);
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
    wait_for(w, &s.done);
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
    wait_for(w, &s.done);
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

static void test_free_in_each_callback(void **state) {
    struct world *w = *state;
    tiny_http_answer(w->server, "*", &(struct tiny_answer){.body = "0123456789", .framing = TINY_CHUNKED, .fragment = 40});
    const enum free_at places[] = {FREE_IN_HEAD, FREE_IN_DATA, FREE_IN_DONE};
    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        struct seen s = {.free_at = places[i]};
        struct http_call call = seen_call(&s, "/f");
        call.on_data = seen_data;
        exchange(w, call, &s);
        run_ms(w, 20);
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
    run_ms(w, 30);
    assert_int_equal(tiny_http_count(w->server), 1);
    http_request_free(r);
    run_ms(w, 30);
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
    run_ms(w, 20);
    struct http_call call = seen_call(&s, "/loud");
    call.on_data = seen_data;
    exchange(w, call, &s);
    assert_false(s.failed);
    run_ms(w, 20);
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
        wait_for(w, &s[i].done);
        assert_false(s[i].failed);
        assert_int_equal(s[i].done_count, 1);
        assert_string_equal(buf_str(&s[i].body), "{\"n\":1}");
        seen_clear(&s[i]);
    }
    assert_int_equal(http_take_count(w->http), N);
}

static void test_stream_with_pushes(void **state) {
    struct world *w = *state;
    struct seen s = {0};
    tiny_http_answer(w->server, "/watch", &(struct tiny_answer){.fate = TINY_OPEN, .body = "first\n"});
    struct http_call call = seen_call(&s, "/watch");
    call.on_data = seen_data;
    s.request = http_start(w->http, &call);
    wait_for(w, &s.got_data);
    s.got_data = false;
    assert_int_equal(tiny_http_push(w->server, "/watch", "second\n"), 1);
    wait_for(w, &s.got_data);
    assert_string_equal(buf_str(&s.chunks), "first\nsecond\n");
    assert_false(s.done);
    tiny_http_end(w->server, "/watch");
    wait_for(w, &s.done);
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
    wait_for(w, &s.got_data);
    tiny_http_push(w->server, "/watch", "b");
    tiny_http_push(w->server, "/watch", "c");
    run_ms(w, 250);
    assert_string_equal(buf_str(&s.chunks), "a");
    assert_false(s.done);
    s.pause_in_data = false;
    http_request_pause(s.request, false);
    assert_string_equal(buf_str(&s.chunks), "a"); /* not inside the call */
    s.got_data = false;
    wait_for(w, &s.got_data);
    tiny_http_end(w->server, "/watch");
    wait_for(w, &s.done);
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
    wait_for(w, &s.got_data);
    tiny_http_push(w->server, "/watch", "b");
    run_ms(w, 20);
    http_request_pause(s.request, false);
    seen_clear(&s);
    run_ms(w, 20);
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
    run_ms(w, 50);
    assert_int_equal(tiny_http_connections(w->server), N);
    struct http_call call = seen_call(&waiting, "/ok");
    waiting.request = http_start(w->http, &call); /* not begun yet: it is not hurt */
    http_reset(w->http, "the canary had no answer");
    assert_false(s[0].done);
    for (int i = 0; i < N; i++) {
        wait_for(w, &s[i].done);
        assert_int_equal(s[i].kind, ERR_UNAVAILABLE);
        assert_string_equal(s[i].error, "vault-0: GET /quiet: connection given up: the canary had no answer");
        assert_true(s[i].connected);
        seen_clear(&s[i]);
    }
    wait_for(w, &waiting.done);
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
    wait_for(w, &s.got_data);
    tiny_http_drop(w->server);
    wait_for(w, &s.done);
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
        struct http_call call = {.path = "/", .on_data = i == 0 ? closer_data : NULL, .on_done = closer_done, .arg = &c};
        c.request = http_start(c.http, &call);
        wait_for(w, &c.done);
    }
    run_ms(w, 10);
}

static void test_escape(void **state) {
    (void)state;
    struct buf b = {0};
    http_escape(&b, "a-Z_0.~/?&= %\xc3\xa9");
    assert_string_equal(buf_str(&b), "a-Z_0.~%2F%3F%26%3D%20%25%C3%A9");
    buf_free(&b);
}

#define HTTP_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        HTTP_TEST(test_get),
        HTTP_TEST(test_nothing_happens_inside_start),
        HTTP_TEST(test_headers_secrets_and_body),
        HTTP_TEST(test_methods),
        HTTP_TEST(test_bad_secret_and_header_are_refused),
        HTTP_TEST(test_redirect_is_not_followed),
        HTTP_TEST(test_fragments_and_chunks),
        HTTP_TEST(test_error_body_is_collected),
        HTTP_TEST(test_broken_answers_are_errors),
        HTTP_TEST(test_head_larger_than_sense),
        HTTP_TEST(test_interim_answers_and_trailers),
        HTTP_TEST(test_retry_after),
        HTTP_TEST(test_timeout_of_a_silent_server),
        HTTP_TEST(test_timeout_in_the_middle),
        HTTP_TEST(test_idle_timeout),
        HTTP_TEST(test_body_limit),
        HTTP_TEST(test_gzip),
        HTTP_TEST(test_refused_connection),
        HTTP_TEST(test_unusable_options),
        HTTP_TEST(test_black_hole),
        HTTP_TEST(test_tls_against_a_silent_server),
        HTTP_TEST(test_through_a_proxy),
        HTTP_TEST(test_environment_proxy_only_if_asked),
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
        HTTP_TEST(test_escape),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
