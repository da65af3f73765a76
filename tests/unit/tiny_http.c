#include "tests/unit/tiny_http.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/str.h"
#include "loop/fdwatch.h"
#include "loop/stream_sock.h"
#include "loop/timer.h"

enum { TINY_CHUNK = 1000 };

struct tiny_queued {
    struct tiny_queued *next;
    char *path;
    struct tiny_answer answer;
};

struct tiny_conn {
    struct tiny_conn *next;
    struct tiny_http *server;
    struct sock *sock;
    struct timer *timer;
    int fd;
    struct buf in, out;
    char *path;
    enum tiny_fate fate;
    bool busy, close_after, streaming;
    size_t fragment;
    int64_t fragment_ms;
};

struct tiny_http {
    struct loop *loop;
    struct fdwatch *watch;
    int fd;
    unsigned port;
    char url[64];
    struct tiny_queued *queue;
    struct tiny_conn *conns;
    struct tiny_request *requests;
    int count, accepted;
    bool (*handler)(void *arg, const struct tiny_request *rq, struct tiny_answer *ret);
    void *handler_arg;
    char *greeting;
};

static void tiny_fail(const char *what) {
    perror(what);
    abort();
}

static void conn_free(struct tiny_conn *c) {
    struct tiny_conn **at = &c->server->conns;
    while (*at != c)
        at = &(*at)->next;
    *at = c->next;
    sock_free(c->sock);
    timer_free(c->timer);
    buf_free(&c->in);
    buf_free(&c->out);
    mem_free(c->path);
    mem_free(c);
}

static void conn_reset(struct tiny_conn *c) {
    struct linger now = {.l_onoff = 1};
    setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    conn_free(c);
}

/* ---- requests ---- */

static void record_free(struct tiny_request *rq) {
    mem_free(rq->method);
    mem_free(rq->target);
    mem_free(rq->path);
    mem_free(rq->head);
    mem_free(rq->body);
}

static size_t head_length(const char *head) {
    for (const char *p = head; p != NULL; p = strchr(p, '\n')) {
        p += *p == '\n';
        if (strncasecmp(p, "content-length:", 15) == 0)
            return (size_t)strtoul(p + 15, NULL, 10);
        if (strchr(p, '\n') == NULL)
            break;
    }
    return 0;
}

/* Takes one whole request out of what has come; false if it is not whole yet. */
static bool take_request(struct tiny_conn *c, struct tiny_request *ret) {
    char *end = c->in.len > 0 ? strstr(c->in.p, "\r\n\r\n") : NULL;
    if (end == NULL)
        return false;
    size_t head_len = (size_t)(end - c->in.p) + 4;
    char *head = mem_strndup(c->in.p, head_len);
    size_t body_len = head_length(head);
    if (c->in.len < head_len + body_len) {
        mem_free(head);
        return false;
    }
    struct slice line = slice_of(head), method, target, path;
    slice_cut(&line, ' ', &method);
    slice_cut(&line, ' ', &target);
    struct slice rest = target;
    slice_cut(&rest, '?', &path);
    *ret = (struct tiny_request){.method = slice_dup(method), .target = slice_dup(target), .path = slice_dup(path),
                                 .head = head, .body = mem_strndup(c->in.p + head_len, body_len)};
    buf_consume(&c->in, head_len + body_len);
    return true;
}

static struct tiny_request *record(struct tiny_http *t, const struct tiny_request *rq) {
    t->requests = mem_reallocarray(t->requests, (size_t)t->count + 1, sizeof *t->requests);
    t->requests[t->count] = *rq;
    return &t->requests[t->count++];
}

/* ---- answers ---- */

static void queued_free(struct tiny_queued *q) {
    const char *texts[] = {q->answer.headers, q->answer.body, q->answer.raw};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        mem_free((void *)(uintptr_t)texts[i]);
    mem_free(q->path);
    mem_free(q);
}

static struct tiny_queued **queue_find(struct tiny_queued **at, const char *path) {
    while (*at != NULL && !str_eq((*at)->path, path))
        at = &(*at)->next;
    return at;
}

static void encode_body(struct buf *out, const struct tiny_answer *a, size_t len) {
    if (a->framing != TINY_CHUNKED && a->fate != TINY_OPEN) {
        buf_add(out, a->body, len);
        return;
    }
    for (size_t at = 0; at < len; at += TINY_CHUNK) {
        size_t n = len - at < TINY_CHUNK ? len - at : TINY_CHUNK;
        buf_printf(out, "%zx\r\n", n);
        buf_add(out, a->body + at, n);
        buf_adds(out, "\r\n");
    }
    if (a->fate != TINY_OPEN)
        buf_adds(out, "0\r\n\r\n");
}

static bool fate_cuts(enum tiny_fate fate) {
    return fate == TINY_STALLED || fate == TINY_TRUNCATED || fate == TINY_RESET_MIDDLE;
}

static void encode(struct buf *out, const struct tiny_answer *a, bool no_body) {
    struct buf body = {0};
    size_t len = a->body == NULL ? 0 : a->body_len > 0 ? a->body_len : strlen(a->body);
    if (a->raw != NULL) {
        buf_adds(out, a->raw);
        return;
    }
    buf_printf(out, "HTTP/1.1 %d X\r\n", a->status != 0 ? a->status : 200);
    if (a->headers == NULL || strcasestr(a->headers, "content-type:") == NULL)
        buf_adds(out, "Content-Type: application/json\r\n");
    buf_adds(out, a->headers != NULL ? a->headers : "");
    if (a->framing == TINY_CHUNKED || a->fate == TINY_OPEN)
        buf_adds(out, "Transfer-Encoding: chunked\r\n");
    else if (a->framing == TINY_LENGTH)
        buf_printf(out, "Content-Length: %zu\r\n", len);
    else
        buf_adds(out, "Connection: close\r\n");
    buf_adds(out, "\r\n");
    encode_body(&body, a, len);
    if (!no_body)
        buf_add(out, buf_str(&body), fate_cuts(a->fate) ? body.len / 2 : body.len);
    buf_free(&body);
}

static void conn_next(struct tiny_conn *c);

/* Everything is written: what the answer's fate is. */
static void conn_written(struct tiny_conn *c) {
    if (c->fate == TINY_RESET || c->fate == TINY_RESET_MIDDLE) {
        conn_reset(c);
    } else if (c->fate == TINY_TRUNCATED || c->fate == TINY_HANG_UP || c->close_after) {
        conn_free(c);
    } else if (c->fate == TINY_OPEN) {
        c->streaming = true;
    } else if (c->fate == TINY_COMPLETE) {
        c->busy = false;
        conn_next(c);
    }
}

static void conn_pump(void *arg) {
    struct tiny_conn *c = arg;
    size_t n = c->fragment > 0 && c->fragment < c->out.len ? c->fragment : c->out.len;
    size_t queued = sock_write(c->sock, buf_str(&c->out), n);
    buf_consume(&c->out, n);
    if (c->out.len > 0)
        timer_start(c->timer, c->fragment_ms, 0);
    else if (queued == 0)
        conn_written(c);
}

static void conn_drained(void *arg) {
    struct tiny_conn *c = arg;
    if (c->busy && !c->streaming && c->out.len == 0)
        conn_written(c);
}

static void conn_answer(struct tiny_conn *c, const struct tiny_answer *a, bool no_body) {
    c->fate = a->fate;
    c->close_after = a->framing == TINY_CLOSE;
    c->fragment = a->fragment;
    c->fragment_ms = a->fragment_ms;
    buf_clear(&c->out);
    if (a->fate == TINY_SILENCE)
        return;
    if (a->fate != TINY_RESET && a->fate != TINY_HANG_UP)
        encode(&c->out, a, no_body);
    timer_start(c->timer, a->delay_ms, 0);
}

static void conn_next(struct tiny_conn *c) {
    struct tiny_http *t = c->server;
    struct tiny_request taken;
    if (c->busy || !take_request(c, &taken))
        return;
    const struct tiny_request *rq = record(t, &taken);
    bool no_body = strcmp(rq->method, "HEAD") == 0;
    struct tiny_answer answer = {0};
    c->busy = true;
    c->streaming = false;
    str_set(&c->path, rq->path);
    if (t->handler != NULL && t->handler(t->handler_arg, rq, &answer)) {
        conn_answer(c, &answer, no_body);
        return;
    }
    struct tiny_queued **at = queue_find(&t->queue, rq->path);
    if (*at == NULL)
        at = queue_find(&t->queue, "*");
    struct tiny_queued *q = *at;
    if (q == NULL) {
        conn_answer(c, &(struct tiny_answer){.status = 404, .body = "{}"}, no_body);
        return;
    }
    conn_answer(c, &q->answer, no_body);
    if (*queue_find(&q->next, q->path) != NULL) {
        *at = q->next;
        queued_free(q);
    }
}

static void conn_data(void *arg, const char *p, size_t n) {
    struct tiny_conn *c = arg;
    buf_add(&c->in, p, n);
    conn_next(c);
}

static void conn_end(void *arg, const struct err *e) {
    (void)e;
    conn_free(arg);
}

static const struct sock_events conn_events = {.on_data = conn_data, .on_drained = conn_drained, .on_end = conn_end};

/* ---- the server ---- */

static void tiny_accept(void *arg, unsigned events) {
    (void)events;
    struct tiny_http *t = arg;
    int fd = accept(t->fd, NULL, NULL);
    if (fd < 0)
        return;
    struct tiny_conn *c = MEM_NEW(struct tiny_conn);
    *c = (struct tiny_conn){.server = t, .fd = fd, .next = t->conns};
    c->timer = timer_new(t->loop, conn_pump, c);
    t->conns = c;
    t->accepted++;
    if (sock_from_fd(t->loop, fd, &conn_events, c, &c->sock) != NULL)
        tiny_fail("sock_from_fd");
    if (t->greeting != NULL)
        sock_write(c->sock, t->greeting, strlen(t->greeting));
}

struct tiny_http *tiny_http_new(struct loop *l) {
    struct tiny_http *t = MEM_NEW(struct tiny_http);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    t->loop = l;
    t->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (t->fd < 0 || bind(t->fd, (struct sockaddr *)&at, sizeof at) != 0 || listen(t->fd, 256) != 0 ||
        getsockname(t->fd, (struct sockaddr *)&at, &len) != 0)
        tiny_fail("tiny_http");
    t->port = ntohs(at.sin_port);
    snprintf(t->url, sizeof t->url, "http://127.0.0.1:%u", t->port);
    t->watch = fdwatch_new(l, t->fd, tiny_accept, t);
    fdwatch_set(t->watch, FD_READABLE);
    return t;
}

void tiny_http_free(struct tiny_http *t) {
    while (t->conns != NULL)
        conn_free(t->conns);
    fdwatch_free(t->watch);
    close(t->fd);
    for (struct tiny_queued *q = t->queue, *next; q != NULL; q = next) {
        next = q->next;
        queued_free(q);
    }
    for (int i = 0; i < t->count; i++)
        record_free(&t->requests[i]);
    mem_free(t->requests);
    mem_free(t->greeting);
    mem_free(t);
}

unsigned tiny_http_port(const struct tiny_http *t) {
    return t->port;
}

const char *tiny_http_url(const struct tiny_http *t) {
    return t->url;
}

void tiny_http_answer(struct tiny_http *t, const char *path, const struct tiny_answer *a) {
    struct tiny_queued *q = MEM_NEW(struct tiny_queued), **at = &t->queue;
    q->path = mem_strdup(path);
    q->answer = *a;
    q->answer.headers = mem_strdup(a->headers);
    q->answer.raw = mem_strdup(a->raw);
    if (a->body != NULL) {
        size_t len = a->body_len > 0 ? a->body_len : strlen(a->body);
        char *copy = mem_alloc(len + 1);
        memcpy(copy, a->body, len);
        copy[len] = '\0';
        q->answer.body = copy;
        q->answer.body_len = len;
    }
    while (*at != NULL)
        at = &(*at)->next;
    *at = q;
}

void tiny_http_json(struct tiny_http *t, const char *path, const char *json) {
    tiny_http_answer(t, path, &(struct tiny_answer){.body = json});
}

void tiny_http_handler(struct tiny_http *t,
                       bool (*fn)(void *arg, const struct tiny_request *rq, struct tiny_answer *ret), void *arg) {
    t->handler = fn;
    t->handler_arg = arg;
}

void tiny_http_greet(struct tiny_http *t, const char *bytes) {
    str_set(&t->greeting, bytes);
}

int tiny_http_push(struct tiny_http *t, const char *path, const char *text) {
    int streams = 0;
    char *chunk = str_printf("%zx\r\n%s\r\n", strlen(text), text);
    for (struct tiny_conn *c = t->conns; c != NULL; c = c->next)
        if (c->streaming && str_eq(c->path, path)) {
            sock_write(c->sock, chunk, strlen(chunk));
            streams++;
        }
    mem_free(chunk);
    return streams;
}

void tiny_http_end(struct tiny_http *t, const char *path) {
    for (struct tiny_conn *c = t->conns; c != NULL; c = c->next)
        if (c->streaming && str_eq(c->path, path)) {
            c->streaming = c->busy = false;
            sock_write(c->sock, "0\r\n\r\n", 5);
        }
}

void tiny_http_drop(struct tiny_http *t) {
    while (t->conns != NULL)
        conn_reset(t->conns);
}

int tiny_http_count(const struct tiny_http *t) {
    return t->count;
}

const struct tiny_request *tiny_http_request(const struct tiny_http *t, int i) {
    int at = i < 0 ? t->count + i : i;
    return at >= 0 && at < t->count ? &t->requests[at] : NULL;
}

bool tiny_request_has(const struct tiny_request *rq, const char *line) {
    size_t n = strlen(line);
    for (const char *p = rq->head; p != NULL && *p != '\0'; p = strchr(p, '\n')) {
        p += *p == '\n';
        if (strncasecmp(p, line, n) == 0 && p[n] == '\r')
            return true;
    }
    return false;
}

int tiny_http_accepted(const struct tiny_http *t) {
    return t->accepted;
}

int tiny_http_connections(const struct tiny_http *t) {
    int n = 0;
    for (const struct tiny_conn *c = t->conns; c != NULL; c = c->next)
        n++;
    return n;
}
