/* libmicrohttpd without a thread of its own: its epoll descriptor lies in our loop's poll set, and the daemon runs when
 * that becomes readable, when its own timeout passes and after every resume.
 *
 * A request is made when its first line has arrived (the URI callback) and freed when libmicrohttpd reports it
 * complete. In between it is in one of the states of enum progress; while it waits for its answer, or a stream for data,
 * the connection is suspended. A suspended connection does not notice that its peer has gone: a sweep asks the kernel. */
#include "sandbox/http_server.h"

#include <errno.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/mem.h"
#include "loop/fdwatch.h"
#include "loop/loop.h"
#include "loop/timer.h"

#define BODY_MAX (16u << 20)
#define CONNECTION_MEMORY (256u << 10)
#define CONNECTION_LIMIT 4000u
#define SWEEP_MS 2000

enum progress { READING, HANDLING, ANSWERED, QUEUED, REFUSED };

struct http_stream {
    struct http_request *request; /* the stream is a part of it; only the name differs for the users */
    struct http_stream_events ev;
    void *arg;
    bool suspended, cut, open;
};

struct http_request {
    struct http_server *server;
    struct http_request *prev, *next;
    struct MHD_Connection *conn;
    enum progress progress;
    bool suspended, called, ended;
    char *target, *path, *method, *client_cn;
    struct buf body;
    struct header {
        char *name, *value;
    } *headers;
    size_t header_count;
    unsigned status;
    struct MHD_Response *response;
    void (*gone)(void *arg);
    void *gone_arg;
    struct http_stream stream;
    char *cut_bytes;
    size_t cut_len;
};

struct http_server {
    struct loop *loop;
    struct http_server_options o;
    struct MHD_Daemon *daemon;
    struct fdwatch *watch;
    struct timer *timer, *sweep;
    struct http_request *first;
    unsigned port;
    bool running, scheduled;
};

static void server_schedule(struct http_server *s);

/* ---- Life of a request ------------------------------------------------------------------------------------------- */

static void *request_begin(void *cls, const char *uri, struct MHD_Connection *conn)
{
    struct http_server *s = cls;
    struct http_request *r = MEM_NEW(struct http_request);

    r->server = s;
    r->conn = conn;
    r->target = mem_strdup(uri);
    r->next = s->first;
    if (s->first)
        s->first->prev = r;
    s->first = r;
    return r;
}

static void request_unlink(struct http_request *r)
{
    if (r->prev)
        r->prev->next = r->next;
    else
        r->server->first = r->next;
    if (r->next)
        r->next->prev = r->prev;
}

static void request_free(struct http_request *r)
{
    for (size_t i = 0; i < r->header_count; i++) {
        free(r->headers[i].name);
        free(r->headers[i].value);
    }
    free(r->headers);
    free(r->target);
    free(r->path);
    free(r->method);
    free(r->client_cn);
    free(r->cut_bytes);
    buf_free(&r->body);
    free(r);
}

/* Tells the handler, once, that nobody waits for the answer any more. */
static void request_abandon(struct http_request *r)
{
    void (*gone)(void *arg) = r->gone;

    r->gone = NULL;
    r->progress = REFUSED;
    if (gone)
        gone(r->gone_arg);
}

/* On a connection that is kept, this comes before the response (and its stream) is destroyed; else after it. */
static void request_end(void *cls, struct MHD_Connection *conn, void **con_cls, enum MHD_RequestTerminationCode why)
{
    struct http_request *r = *con_cls;

    (void)cls, (void)conn, (void)why;
    if (!r)
        return;
    *con_cls = NULL;
    if (r->progress == HANDLING)
        request_abandon(r);
    if (r->response)
        MHD_destroy_response(r->response);
    r->response = NULL;
    request_unlink(r);
    r->ended = true;
    if (!r->stream.open)
        request_free(r);
}

static void request_resume(struct http_request *r)
{
    if (!r->suspended)
        return;
    r->suspended = false;
    MHD_resume_connection(r->conn);
    server_schedule(r->server);
}

/* The common name of a client certificate, if the daemon's trust list vouches for it. */
static char *client_cn(struct MHD_Connection *conn)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(conn, MHD_CONNECTION_INFO_GNUTLS_SESSION);
    gnutls_session_t tls = info ? (gnutls_session_t)info->tls_session : NULL;
    unsigned status = 0, count = 0;
    char name[256];
    size_t size = sizeof name;
    gnutls_x509_crt_t crt;

    if (!tls || gnutls_certificate_verify_peers2(tls, &status) < 0 || status != 0)
        return NULL;
    const gnutls_datum_t *list = gnutls_certificate_get_peers(tls, &count);
    if (!list || count == 0 || gnutls_x509_crt_init(&crt) < 0)
        return NULL;
    char *cn = NULL;
    if (gnutls_x509_crt_import(crt, &list[0], GNUTLS_X509_FMT_DER) == 0 &&
        gnutls_x509_crt_get_dn_by_oid(crt, GNUTLS_OID_X520_COMMON_NAME, 0, 0, name, &size) == 0)
        cn = mem_strdup(name);
    gnutls_x509_crt_deinit(crt);
    return cn;
}

static enum MHD_Result request_queue(struct http_request *r)
{
    enum MHD_Result result;

    if (r->progress == REFUSED)
        return MHD_NO;
    for (size_t i = 0; i < r->header_count; i++)
        MHD_add_response_header(r->response, r->headers[i].name, r->headers[i].value);
    result = MHD_queue_response(r->conn, r->status, r->response);
    MHD_destroy_response(r->response);
    r->response = NULL;
    r->progress = QUEUED;
    return result;
}

static enum MHD_Result request_dispatch(struct http_request *r)
{
    struct http_server *s = r->server;

    r->progress = HANDLING;
    if (s->o.client_ca_pem)
        r->client_cn = client_cn(r->conn);
    s->o.handle(s->o.arg, r);
    if (r->progress != HANDLING)
        return request_queue(r);
    r->suspended = true;
    MHD_suspend_connection(r->conn);
    return MHD_YES;
}

/* libmicrohttpd calls this when the head has arrived, for pieces of the body, at its end, and after a resume. */
static enum MHD_Result on_access(void *cls, struct MHD_Connection *conn, const char *url, const char *method,
                                 const char *version, const char *data, size_t *size, void **con_cls)
{
    struct http_request *r = *con_cls;

    (void)cls, (void)conn, (void)version;
    if (!r)
        return MHD_NO;
    if (!r->called) {
        r->called = true;
        r->path = mem_strdup(url);
        r->method = mem_strdup(method);
        return MHD_YES;
    }
    if (*size > 0) {
        if (r->body.len + *size > BODY_MAX)
            return MHD_NO;
        buf_add(&r->body, data, *size);
        *size = 0;
        return MHD_YES;
    }
    if (r->progress == READING)
        return request_dispatch(r);
    if (r->progress == ANSWERED || r->progress == REFUSED)
        return request_queue(r);
    return MHD_YES;
}

/* ---- Running the daemon ------------------------------------------------------------------------------------------ */

static void server_run(void *arg)
{
    struct http_server *s = arg;
    MHD_UNSIGNED_LONG_LONG ms;

    s->scheduled = false;
    if (s->running || !s->daemon)
        return;
    s->running = true;
    MHD_run(s->daemon);
    s->running = false;
    if (MHD_get_timeout(s->daemon, &ms) == MHD_YES)
        timer_start(s->timer, ms > 60000 ? 60000 : (int64_t)ms, 0);
    else
        timer_stop(s->timer);
}

static void server_schedule(struct http_server *s)
{
    if (s->scheduled)
        return;
    s->scheduled = true;
    loop_defer(s->loop, server_run, s);
}

static void on_epoll(void *arg, unsigned events)
{
    (void)events;
    server_run(arg);
}

static bool peer_gone(struct MHD_Connection *conn)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(conn, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct pollfd p = {.fd = info ? info->connect_fd : -1, .events = POLLRDHUP};

    return p.fd >= 0 && poll(&p, 1, 0) == 1 && (p.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
}

static void stream_cut(struct http_stream *st)
{
    st->cut = true;
    http_stream_wake(st);
}

static void on_sweep(void *arg)
{
    struct http_server *s = arg;

    for (struct http_request *r = s->first, *next; r; r = next) {
        next = r->next;
        bool waits = r->suspended || (r->stream.open && r->stream.suspended);
        if (!waits || !peer_gone(r->conn))
            continue;
        if (r->stream.open) {
            stream_cut(&r->stream);
        } else {
            request_abandon(r);
            request_resume(r);
        }
    }
}

static struct err *daemon_start(struct http_server *s)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons((uint16_t)s->port),
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct MHD_OptionItem options[8];
    size_t n = 0;
    unsigned flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME;

    if (s->o.cert_pem) {
        flags |= MHD_USE_TLS;
        options[n++] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_KEY, 0, (void *)(uintptr_t)s->o.key_pem};
        options[n++] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_CERT, 0, (void *)(uintptr_t)s->o.cert_pem};
        if (s->o.client_ca_pem)
            options[n++] =
                (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_TRUST, 0, (void *)(uintptr_t)s->o.client_ca_pem};
    }
    options[n++] = (struct MHD_OptionItem){MHD_OPTION_CONNECTION_MEMORY_LIMIT, CONNECTION_MEMORY, NULL};
    options[n++] = (struct MHD_OptionItem){MHD_OPTION_CONNECTION_LIMIT, CONNECTION_LIMIT, NULL};
    options[n] = (struct MHD_OptionItem){MHD_OPTION_END, 0, NULL};
    s->daemon = MHD_start_daemon(flags, (uint16_t)s->port, NULL, NULL, on_access, s, MHD_OPTION_SOCK_ADDR,
                                 (struct sockaddr *)&addr, MHD_OPTION_LISTENING_ADDRESS_REUSE, 1u,
                                 MHD_OPTION_URI_LOG_CALLBACK, request_begin, s, MHD_OPTION_NOTIFY_COMPLETED,
                                 request_end, s, MHD_OPTION_ARRAY, options, MHD_OPTION_END);
    if (!s->daemon)
        return err_sys(errno, "sandbox: cannot listen on 127.0.0.1:%u", s->port);
    const union MHD_DaemonInfo *bound = MHD_get_daemon_info(s->daemon, MHD_DAEMON_INFO_BIND_PORT);
    const union MHD_DaemonInfo *epoll = MHD_get_daemon_info(s->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    if (bound && bound->port)
        s->port = bound->port;
    s->watch = fdwatch_new(s->loop, epoll->epoll_fd, on_epoll, s);
    fdwatch_set(s->watch, FD_READABLE);
    timer_start(s->sweep, SWEEP_MS, SWEEP_MS);
    return NULL;
}

struct err *http_server_new(struct loop *l, const struct http_server_options *o, struct http_server **ret)
{
    struct http_server *s = MEM_NEW(struct http_server);

    s->loop = l;
    s->o = *o;
    s->port = o->port;
    s->timer = timer_new(l, server_run, s);
    s->sweep = timer_new(l, on_sweep, s);
    struct err *e = daemon_start(s);
    if (e) {
        http_server_free(s);
        return e;
    }
    *ret = s;
    return NULL;
}

unsigned http_server_port(const struct http_server *s)
{
    return s->port;
}

void http_server_down(struct http_server *s)
{
    if (!s->daemon)
        return;
    for (struct http_request *r = s->first, *next; r; r = next) {
        next = r->next;
        if (r->progress == HANDLING)
            request_abandon(r);
        r->stream.cut = true;
        if (r->stream.suspended) {
            r->stream.suspended = false;
            MHD_resume_connection(r->conn);
        }
        request_resume(r);
    }
    fdwatch_free(s->watch);
    s->watch = NULL;
    timer_stop(s->timer);
    timer_stop(s->sweep);
    loop_undefer(s->loop, s);
    s->scheduled = false;
    MHD_stop_daemon(s->daemon);
    s->daemon = NULL;
}

struct err *http_server_up(struct http_server *s)
{
    return s->daemon ? NULL : daemon_start(s);
}

bool http_server_is_up(const struct http_server *s)
{
    return s->daemon != NULL;
}

void http_server_free(struct http_server *s)
{
    if (!s)
        return;
    http_server_down(s);
    timer_free(s->timer);
    timer_free(s->sweep);
    free(s);
}

/* ---- What was asked ---------------------------------------------------------------------------------------------- */

const char *http_request_method(const struct http_request *r)
{
    return r->method;
}

const char *http_request_path(const struct http_request *r)
{
    return r->path;
}

const char *http_request_target(const struct http_request *r)
{
    return r->target;
}

struct find {
    const char *key, *value;
};

static enum MHD_Result find_key(void *cls, enum MHD_ValueKind kind, const char *key, const char *value)
{
    struct find *f = cls;

    (void)kind;
    if (strcmp(key, f->key) != 0)
        return MHD_YES;
    f->value = value ? value : "";
    return MHD_NO;
}

const char *http_request_query(const struct http_request *r, const char *key)
{
    struct find f = {.key = key};

    MHD_get_connection_values(r->conn, MHD_GET_ARGUMENT_KIND, find_key, &f);
    return f.value;
}

const char *http_request_header(const struct http_request *r, const char *name)
{
    return MHD_lookup_connection_value(r->conn, MHD_HEADER_KIND, name);
}

struct slice http_request_body(const struct http_request *r)
{
    return buf_slice(&r->body);
}

const char *http_request_client_cn(const struct http_request *r)
{
    return r->client_cn;
}

void http_request_on_gone(struct http_request *r, void (*gone)(void *arg), void *arg)
{
    r->gone = gone;
    r->gone_arg = arg;
}

/* ---- Answers ----------------------------------------------------------------------------------------------------- */

void http_reply_header(struct http_request *r, const char *name, const char *value)
{
    r->headers = mem_reallocarray(r->headers, r->header_count + 1, sizeof r->headers[0]);
    r->headers[r->header_count++] = (struct header){mem_strdup(name), mem_strdup(value)};
}

static void request_answer(struct http_request *r, unsigned status, const char *type, struct MHD_Response *response)
{
    r->gone = NULL;
    r->status = status;
    r->response = response;
    r->progress = ANSWERED;
    if (type)
        http_reply_header(r, "Content-Type", type);
    request_resume(r);
}

void http_reply(struct http_request *r, unsigned status, const char *content_type, const void *p, size_t n)
{
    static char empty[1];
    void *bytes = (void *)(uintptr_t)(n ? p : empty);

    request_answer(r, status, content_type, MHD_create_response_from_buffer(n, bytes, MHD_RESPMEM_MUST_COPY));
}

void http_reply_str(struct http_request *r, unsigned status, const char *content_type, const char *text)
{
    http_reply(r, status, content_type, text, strlen(text));
}

static ssize_t cut_read(void *cls, uint64_t pos, char *p, size_t max)
{
    struct http_request *r = cls;

    if (pos >= r->cut_len)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    size_t n = r->cut_len - (size_t)pos;
    n = n < max ? n : max;
    memcpy(p, r->cut_bytes + pos, n);
    return (ssize_t)n;
}

void http_reply_cut(struct http_request *r, unsigned status, const char *content_type, const void *p, size_t n,
                    size_t claimed)
{
    r->cut_bytes = mem_alloc(n + 1);
    memcpy(r->cut_bytes, p, n);
    r->cut_len = n;
    request_answer(r, status, content_type, MHD_create_response_from_callback(claimed, 32768, cut_read, r, NULL));
}

void http_reply_none(struct http_request *r)
{
    r->gone = NULL;
    r->progress = REFUSED;
    request_resume(r);
}

static ssize_t stream_read(void *cls, uint64_t pos, char *p, size_t max)
{
    struct http_stream *st = cls;

    (void)pos;
    if (st->cut)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    size_t n = st->ev.fill(st->arg, p, max);
    if (n == HTTP_FILL_END)
        return MHD_CONTENT_READER_END_OF_STREAM;
    if (n == HTTP_FILL_CUT)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    if (n == 0) {
        st->suspended = true;
        MHD_suspend_connection(st->request->conn);
    }
    return (ssize_t)n;
}

static void stream_closed(void *cls)
{
    struct http_stream *st = cls;

    st->open = false;
    if (st->ev.closed)
        st->ev.closed(st->arg);
    if (st->request->ended)
        request_free(st->request);
}

struct http_stream *http_reply_stream(struct http_request *r, unsigned status, const char *content_type,
                                      const struct http_stream_events *ev, void *arg)
{
    r->stream = (struct http_stream){.request = r, .ev = *ev, .arg = arg, .open = true};
    request_answer(r, status, content_type,
                   MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, CONNECTION_MEMORY / 2, stream_read, &r->stream,
                                                     stream_closed));
    return &r->stream;
}

void http_stream_wake(struct http_stream *st)
{
    if (!st->open || !st->suspended)
        return;
    st->suspended = false;
    MHD_resume_connection(st->request->conn);
    server_schedule(st->request->server);
}
