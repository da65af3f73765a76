/* One exchange as libcurl's easy handle: request line, headers, and the callbacks through which the answer comes. */
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/secret.h"
#include "net/http_private.h"

enum { HTTP_READ_BUFFER = 65536 };

/* CURLOPT_HEADERFUNCTION: a return other than the length ends the transfer. */
static size_t http_header_came(char *p, size_t size, size_t n, void *request) {
    struct http_request *r = request;
    size_t len = size * n;
    if (r->freed || r->error != NULL)
        return 0;
    r->last_ms = clock_mono_ms();
    if (r->lines.complete || !http_lines_add(&r->lines, (struct slice){p, len}) || r->on_head == NULL)
        return len;
    if (!r->on_head(r->arg, &r->lines.head) && !r->freed)
        r->error = http_error(r, ERR_CANCELLED, "given up after its head (HTTP %d)", r->lines.head.status);
    return r->freed || r->error != NULL ? 0 : len;
}

/* Hands a chunk to the caller. */
static void http_stream_chunk(struct http_request *r, const char *p, size_t n) {
    struct err *e = r->on_data(r->arg, p, n);
    if (r->freed)
        err_ignore(e, "the caller has freed the request in the same callback");
    else
        r->error = e;
}

static void http_collect_chunk(struct http_request *r, const char *p, size_t n) {
    if (n > r->max_body - r->got.len)
        r->error = http_error(r, ERR_PROTOCOL, "the answer is larger than %zu bytes", r->max_body);
    else
        buf_add(&r->got, p, n);
}

/* CURLOPT_WRITEFUNCTION */
static size_t http_body_came(char *p, size_t size, size_t n, void *request) {
    struct http_request *r = request;
    size_t len = size * n;
    bool stream = r->on_data != NULL && r->lines.head.status >= 200 && r->lines.head.status <= 299;
    if (r->freed || r->error != NULL)
        return 0;
    r->last_ms = clock_mono_ms();
    if (stream && r->paused) {
        r->held = true;
        return CURL_WRITEFUNC_PAUSE;
    }
    if (stream)
        http_stream_chunk(r, p, len);
    else
        http_collect_chunk(r, p, len);
    return r->freed || r->error != NULL ? 0 : len;
}

static void http_header_add(struct http_request *r, const char *line) {
    r->headers = curl_slist_append(r->headers, line);
}

/* A header with a secret in it; our copy is wiped, libcurl's list when the exchange is over. */
static void http_header_add_secret(struct http_request *r, const char *prefix, const struct secret *s) {
    struct buf line = {0};
    buf_reserve(&line, strlen(prefix) + secret_len(s) + 1);
    buf_adds(&line, prefix);
    buf_add(&line, secret_bytes(s), secret_len(s));
    http_header_add(r, line.p);
    secret_wipe(line.p, line.len);
    buf_free(&line);
}

static bool http_has_control(const char *p, size_t n) {
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)p[i] < 0x20 || p[i] == 0x7f)
            return true;
    return false;
}

static bool http_secret_is_bad(const struct secret *s) {
    return s != NULL && http_has_control(secret_bytes(s), secret_len(s));
}

struct err *http_headers_make(struct http_request *r, const struct http_call *call) {
    for (const char *const *h = call->headers; h != NULL && *h != NULL; h++) {
        if (http_has_control(*h, strlen(*h)))
            return http_error(r, ERR_USAGE, "a header has a control character in it");
        http_header_add(r, *h);
    }
    if (http_secret_is_bad(call->bearer) || http_secret_is_bad(call->secret_value))
        return http_error(r, ERR_AUTH, "the token has a line break or another control character in it; write it anew");
    if (call->bearer != NULL)
        http_header_add_secret(r, "Authorization: Bearer ", call->bearer);
    if (call->secret_header != NULL && call->secret_value != NULL) {
        char *prefix = str_printf("%s: ", call->secret_header);
        http_header_add_secret(r, prefix, call->secret_value);
        mem_free(prefix);
    }
    if (call->body != NULL) {
        const char *type = call->content_type != NULL ? call->content_type : "application/json";
        char *line = str_printf("Content-Type: %s", type);
        http_header_add(r, line);
        mem_free(line);
    } else {
        http_header_add(r, "Content-Type:"); /* none: libcurl would call an empty POST a form */
    }
    http_header_add(r, "Expect:"); /* no wait for 100 Continue */
    return NULL;
}

void http_headers_wipe(struct http_request *r) {
    for (struct curl_slist *h = r->headers; h != NULL; h = h->next)
        secret_wipe(h->data, strlen(h->data));
    curl_slist_free_all(r->headers);
    r->headers = NULL;
}

static void http_easy_method(struct http_request *r) {
    bool sends = r->body != NULL || str_eq(r->method, "POST") || str_eq(r->method, "PUT") || str_eq(r->method, "PATCH");
    if (str_eq(r->method, "HEAD")) {
        curl_easy_setopt(r->easy, CURLOPT_NOBODY, 1L);
        return;
    }
    if (sends) {
        curl_easy_setopt(r->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->body_len);
        curl_easy_setopt(r->easy, CURLOPT_POSTFIELDS, r->body != NULL ? r->body : "");
    }
    curl_easy_setopt(r->easy, CURLOPT_CUSTOMREQUEST, r->method);
}

static void http_easy_callbacks(struct http_request *r) {
    curl_easy_setopt(r->easy, CURLOPT_PRIVATE, r);
    curl_easy_setopt(r->easy, CURLOPT_ERRORBUFFER, r->errbuf);
    curl_easy_setopt(r->easy, CURLOPT_HEADERFUNCTION, http_header_came);
    curl_easy_setopt(r->easy, CURLOPT_HEADERDATA, r);
    curl_easy_setopt(r->easy, CURLOPT_WRITEFUNCTION, http_body_came);
    curl_easy_setopt(r->easy, CURLOPT_WRITEDATA, r);
}

CURLcode http_easy_open(struct http_request *r) {
    r->easy = curl_easy_init();
    if (r->easy == NULL)
        return CURLE_FAILED_INIT;
    char *url = str_printf("%s%s", r->http->url, r->path);
    CURLcode code = curl_easy_setopt(r->easy, CURLOPT_URL, url);
    mem_free(url);
    if (code == CURLE_OK)
        code = curl_easy_setopt(r->easy, CURLOPT_PROTOCOLS_STR, "http,https");
    if (code == CURLE_OK)
        code = http_tls_setup(r->http, r->easy);
    if (code != CURLE_OK)
        return code;
    curl_easy_setopt(r->easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(r->easy, CURLOPT_QUICK_EXIT, 1L); /* a cancelled request does not wait for its name lookup */
    curl_easy_setopt(r->easy, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(r->easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(r->easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    curl_easy_setopt(r->easy, CURLOPT_BUFFERSIZE, (long)HTTP_READ_BUFFER);
    curl_easy_setopt(r->easy, CURLOPT_USERAGENT, r->http->user_agent);
    curl_easy_setopt(r->easy, CURLOPT_HTTPHEADER, r->headers);
    if (r->gzip)
        curl_easy_setopt(r->easy, CURLOPT_ACCEPT_ENCODING, "gzip");
    if (r->fresh) {
        curl_easy_setopt(r->easy, CURLOPT_FRESH_CONNECT, 1L);
        curl_easy_setopt(r->easy, CURLOPT_FORBID_REUSE, 1L);
    }
    http_easy_method(r);
    http_easy_callbacks(r);
    return CURLE_OK;
}

void http_easy_close(struct http_request *r) {
    if (r->easy != NULL)
        curl_easy_cleanup(r->easy);
    r->easy = NULL;
    http_headers_wipe(r);
    if (r->body != NULL)
        secret_wipe(r->body, r->body_len); /* a login's body is a secret too */
    mem_free(r->body);
    r->body = NULL;
}
