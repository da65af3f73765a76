/* A request's way: waiting (http_start) → running (in libcurl's multi) → ended (result complete) → done (on_done ran).
 * The first and the last step are deferred work; between them the only ways out are libcurl's message, our deadlines, a
 * reset and the owner's free. */
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "loop/loop.h"
#include "loop/timer.h"
#include "net/http_private.h"

enum { HTTP_MAX_BODY = 4 * 1024 * 1024 };

static void http_request_link(struct http *h, struct http_request *r) {
    r->next = h->requests;
    if (r->next != NULL)
        r->next->prev = r;
    h->requests = r;
}

static void http_request_unlink(struct http_request *r) {
    if (r->prev != NULL)
        r->prev->next = r->next;
    else
        r->http->requests = r->next;
    if (r->next != NULL)
        r->next->prev = r->prev;
    r->prev = r->next = NULL;
}

static void http_request_destroy(struct http_request *r) {
    http_easy_close(r);
    timer_free(r->timer);
    http_lines_free(&r->lines);
    buf_free(&r->got);
    err_free(r->error);
    mem_free(r->method);
    mem_free(r->path);
    mem_free(r);
}

/* Takes it out of libcurl. Not allowed inside libcurl's callbacks. */
static void http_request_leave(struct http_request *r) {
    if (r->state == HTTP_RUNNING)
        curl_multi_remove_handle(r->http->multi, r->easy);
    http_easy_close(r);
    timer_free(r->timer);
    r->timer = NULL;
}

static void http_request_deliver(void *arg) {
    struct http_request *r = arg;
    struct http_result result = {
        .status = r->lines.complete ? r->lines.head.status : 0,
        .error = r->error,
        .body = &r->got,
        .head = r->lines.head,
        .connect_us = r->connect_us,
        .first_byte_us = r->first_byte_us,
        .total_us = r->total_us,
        .connected = r->tcp && r->tls,
        .tcp = r->tcp,
        .remote_address = r->remote,
    };
    http_request_unlink(r);
    r->http = NULL;
    r->state = HTTP_DONE;
    r->delivering = true;
    if (r->on_done != NULL)
        r->on_done(r->arg, &result);
    r->delivering = false;
    if (r->freed)
        http_request_destroy(r);
}

static int64_t http_info_us(const struct http_request *r, CURLINFO info) {
    curl_off_t us = 0;
    curl_easy_getinfo(r->easy, info, &us);
    return us;
}

/* Notes how far the connection got and how long it took, while libcurl still knows. On a reused connection libcurl
 * counts connecting as done at once. During TLS's handshake 7.88 has no connect time yet, but it has counted the
 * connection and knows its address; while TCP is not accepted it has neither. */
void http_request_observe(struct http_request *r) {
    long connects = 0;
    const char *ip = NULL;
    if (r->easy == NULL)
        return;
    int64_t tcp_us = http_info_us(r, CURLINFO_CONNECT_TIME_T), tls_us = http_info_us(r, CURLINFO_APPCONNECT_TIME_T);
    int64_t ready_us = http_info_us(r, CURLINFO_PRETRANSFER_TIME_T);
    int64_t first_us = http_info_us(r, CURLINFO_STARTTRANSFER_TIME_T);
    bool answered = r->lines.head.status != 0;
    curl_easy_getinfo(r->easy, CURLINFO_NUM_CONNECTS, &connects);
    curl_easy_getinfo(r->easy, CURLINFO_PRIMARY_IP, &ip);
    curl_easy_getinfo(r->easy, CURLINFO_PRIMARY_PORT, &r->remote_port);
    bool counted = connects > 0 && ip != NULL && ip[0] != '\0';
    r->tcp = answered || tcp_us > 0 || ready_us > 0 || counted;
    r->tls = r->tcp && (answered || !r->http->https || tls_us > 0 || ready_us > 0);
    str_copy(r->remote, sizeof r->remote, r->tcp && ip != NULL ? ip : "");
    r->connect_us = connects > 0 && r->tls ? (r->http->https ? tls_us : tcp_us) : -1;
    r->first_byte_us = answered && first_us > 0 ? first_us : -1;
}

static void http_request_ended(struct http_request *r) {
    http_request_leave(r);
    r->state = HTTP_ENDED;
    r->total_us = r->begun_ns != 0 ? (clock_mono_ns() - r->begun_ns) / 1000 : -1;
    loop_defer(r->loop, http_request_deliver, r);
}

/* What the caller's own callbacks made of it comes before libcurl's view of the same. */
void http_request_end(struct http_request *r, CURLcode code) {
    http_request_observe(r);
    if (r->error == NULL && code != CURLE_OK)
        r->error = http_error_curl(r, code);
    http_request_ended(r);
}

void http_request_fail(struct http_request *r, struct err *e) {
    if (r->error == NULL)
        r->error = e;
    else
        err_ignore(e, "the request has failed already");
    http_request_ended(r);
}

void http_request_drop(struct http_request *r) {
    loop_undefer(r->loop, r);
    http_request_leave(r);
    http_request_unlink(r);
    r->http = NULL;
    r->state = HTTP_DONE;
    if (r->freed)
        http_request_destroy(r);
}

static void http_request_arm(struct http_request *r);

static void http_request_timer(void *arg) {
    struct http_request *r = arg;
    int64_t now = clock_mono_ms(), begun = r->begun_ns / CLOCK_NS_PER_MS;
    http_request_observe(r);
    if (r->timeout_ms > 0 && now - begun >= r->timeout_ms)
        http_request_fail(r, http_error_timeout(r, r->timeout_ms, false));
    else if (r->idle_timeout_ms > 0 && !r->paused && now - r->last_ms >= r->idle_timeout_ms)
        http_request_fail(r, http_error_timeout(r, r->idle_timeout_ms, true));
    else
        http_request_arm(r);
}

/* Until the nearer of the two deadlines; data does not move the timer, it is looked at when the timer fires. */
static void http_request_arm(struct http_request *r) {
    int64_t now = clock_mono_ms(), wait = INT64_MAX;
    if (r->timeout_ms > 0)
        wait = r->begun_ns / CLOCK_NS_PER_MS + r->timeout_ms - now;
    if (r->idle_timeout_ms > 0) {
        int64_t idle = (r->paused ? now : r->last_ms) + r->idle_timeout_ms - now;
        wait = idle < wait ? idle : wait;
    }
    if (wait == INT64_MAX)
        return;
    if (r->timer == NULL)
        r->timer = timer_new(r->loop, http_request_timer, r);
    timer_start(r->timer, wait > 0 ? wait : 1, 0);
}

static void http_request_begin(void *arg) {
    struct http_request *r = arg;
    r->begun_ns = clock_mono_ns();
    r->last_ms = clock_mono_ms();
    if (r->error == NULL && r->http->unusable != NULL)
        r->error = err_wrap(err_copy(r->http->unusable), "%s", r->http->name);
    if (r->error != NULL) {
        http_request_ended(r);
        return;
    }
    CURLcode code = http_easy_open(r);
    if (code != CURLE_OK) {
        r->error = http_error_curl(r, code);
        http_request_ended(r);
        return;
    }
    CURLMcode added = curl_multi_add_handle(r->http->multi, r->easy);
    if (added != CURLM_OK) {
        r->error = http_error(r, ERR_FAILED, "%s", curl_multi_strerror(added));
        http_request_ended(r);
        return;
    }
    r->state = HTTP_RUNNING;
    http_request_arm(r);
}

struct http_request *http_start(struct http *h, const struct http_call *call) {
    struct http_request *r = MEM_NEW(struct http_request);
    r->http = h;
    r->loop = h->loop;
    r->method = mem_strdup(call->method != NULL ? call->method : "GET");
    r->path = mem_strdup(call->path != NULL ? call->path : "");
    if (call->body != NULL) {
        r->body_len = call->body_len;
        r->body = mem_alloc(call->body_len + 1);
        memcpy(r->body, call->body, call->body_len);
        r->body[call->body_len] = '\0';
    }
    r->gzip = call->gzip;
    r->fresh = call->fresh;
    r->timeout_ms = call->timeout_ms;
    r->idle_timeout_ms = call->idle_timeout_ms;
    r->max_body = call->max_body > 0 ? call->max_body : HTTP_MAX_BODY;
    r->on_head = call->on_head;
    r->on_data = call->on_data;
    r->on_done = call->on_done;
    r->arg = call->arg;
    r->lines.head.retry_after_s = -1;
    r->connect_us = r->first_byte_us = r->total_us = -1;
    r->error = http_headers_make(r, call);
    http_request_link(h, r);
    loop_defer(r->loop, http_request_begin, r);
    return r;
}

void http_request_free(struct http_request *r) {
    if (r == NULL)
        return;
    r->freed = true;
    if (r->delivering)
        return; /* http_request_deliver does it */
    if (r->http == NULL)
        http_request_destroy(r);
    else if (r->http->in_curl > 0)
        loop_undefer(r->loop, r); /* http_after_curl does it */
    else
        http_request_drop(r);
}

static void http_request_resume(void *arg) {
    struct http_request *r = arg;
    struct http *h = r->http;
    if (r->state != HTTP_RUNNING || r->paused || !r->held)
        return;
    r->held = false;
    h->in_curl++;
    curl_easy_pause(r->easy, CURLPAUSE_CONT); /* may call on_data; a failure comes as the transfer's result */
    h->in_curl--;
    http_after_curl(h, CURLM_OK);
}

void http_request_pause(struct http_request *r, bool paused) {
    if (r->paused == paused || r->http == NULL)
        return;
    r->paused = paused;
    r->last_ms = clock_mono_ms();
    if (!paused && r->held)
        loop_defer(r->loop, http_request_resume, r);
}
