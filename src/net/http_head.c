/* Reads the lines of an answer's head. libcurl gives one line a call, heads of 1xx answers and trailers too. */
#include <string.h>
#include <strings.h>
#include <time.h>

#include "base/mem.h"
#include "net/http_private.h"

enum { HTTP_RETRY_MAX_S = 24 * 3600 };

static void http_lines_reset(struct http_lines *l) {
    http_lines_free(l);
    *l = (struct http_lines){.head.retry_after_s = -1};
}

/* "HTTP/1.1 200 OK", "HTTP/2 200". */
static void http_lines_status(struct http_lines *l, struct slice line) {
    struct slice version;
    http_lines_reset(l);
    slice_cut(&line, ' ', &version);
    l->head.http2 = l->head.framed = slice_starts(version, "HTTP/2");
    struct slice digits = slice_trim(line), code;
    slice_cut(&digits, ' ', &code);
    int64_t status = 0;
    if (slice_to_i64(code, &status) && status >= 100 && status <= 999)
        l->head.status = (int)status;
}

/* Seconds, or a date (RFC 9110 §10.2.3); at most a day. */
static int64_t http_retry_after(struct slice value) {
    int64_t s = -1;
    if (!slice_to_i64(value, &s)) {
        char *text = slice_dup(value);
        time_t at = curl_getdate(text, NULL);
        mem_free(text);
        if (at < 0)
            return -1;
        time_t now = time(NULL);
        s = at > now ? (int64_t)(at - now) : 0;
    }
    return s > HTTP_RETRY_MAX_S ? HTTP_RETRY_MAX_S : s < 0 ? -1 : s;
}

static bool http_name_is(struct slice name, const char *want) {
    return name.n == strlen(want) && strncasecmp(name.p, want, name.n) == 0;
}

static void http_lines_keep(char **text, struct slice *head, struct slice value) {
    mem_free(*text);
    *text = slice_dup(value);
    *head = slice_of(*text);
}

/* "gzip, chunked": the last coding is what frames it. */
static bool http_ends_chunked(struct slice value) {
    static const char chunked[] = "chunked";
    size_t n = sizeof chunked - 1;
    return value.n >= n && strncasecmp(value.p + value.n - n, chunked, n) == 0;
}

static void http_lines_field(struct http_lines *l, struct slice line) {
    struct slice name, value = line;
    slice_cut(&value, ':', &name);
    if (value.p == NULL)
        return;
    value = slice_trim(value);
    if (http_name_is(name, "content-type"))
        http_lines_keep(&l->content_type, &l->head.content_type, value);
    else if (http_name_is(name, "location"))
        http_lines_keep(&l->location, &l->head.location, value);
    else if (http_name_is(name, "content-length") || (http_name_is(name, "transfer-encoding") && http_ends_chunked(value)))
        l->head.framed = true;
    else if (http_name_is(name, "retry-after"))
        l->head.retry_after_s = http_retry_after(value);
}

bool http_lines_add(struct http_lines *l, struct slice line) {
    if (l->complete)
        return false; /* trailers */
    line = slice_trim(line);
    if (slice_starts(line, "HTTP/"))
        http_lines_status(l, line);
    else if (line.n > 0)
        http_lines_field(l, line);
    else
        l->complete = l->head.status >= 200;
    return l->complete;
}

void http_lines_free(struct http_lines *l) {
    mem_free(l->content_type);
    mem_free(l->location);
    l->content_type = l->location = NULL;
}
