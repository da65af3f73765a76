#include "engine_server.h"

#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "engine.h"
#include "loop/loop.h"
#include "loop/stream_sock.h"
#include "world/stream.h"
#include "world/world.h"

#define CHUNK ((size_t)64 * 1024) /* written at a time, and queued at most: a reader that does not read costs this much */
#define LINE_MAX_BYTES ((size_t)64 * 1024)

struct peer {
    struct engine_server *server;
    struct sock *sock;
    struct stream_writer *writer;
    struct buf in;
    bool again; /* pump_again is deferred */
    unsigned number;
    struct peer *next;
};

struct engine_server {
    struct loop *loop;
    struct engine *engine;
    struct sock_listener *listener;
    struct peer *peers;
    unsigned last_number;
    void (*on_readers)(void *arg, size_t readers);
    void *arg;
};

static size_t count(const struct engine_server *s) {
    size_t n = 0;
    for (const struct peer *p = s->peers; p; p = p->next) n++;
    return n;
}

static void pump_again(void *arg);

/* Gives a reader what it has room for, a chunk in each turn. When the kernel has taken all of it, nothing else would call us. */
static void pump(struct peer *p) {
    struct buf out = {0};
    if (sock_queued(p->sock) >= CHUNK) return;
    bool more = stream_writer_fill(p->writer, &out, CHUNK);
    size_t queued = sock_write(p->sock, out.p, out.len);
    buf_free(&out);
    if (!more || queued || p->again) return;
    p->again = true;
    loop_defer(p->server->loop, pump_again, p);
}

static void pump_again(void *arg) {
    struct peer *p = arg;
    p->again = false;
    pump(p);
}

static void on_turn(void *arg) {
    struct engine_server *s = arg;
    for (struct peer *p = s->peers; p; p = p->next) pump(p);
}

static void on_tick(void *arg) {
    struct engine_server *s = arg;
    for (struct peer *p = s->peers; p; p = p->next) {
        struct buf out = {0};
        stream_writer_tick(p->writer, &out);
        if (out.len && sock_queued(p->sock) < CHUNK) sock_write(p->sock, out.p, out.len);
        buf_free(&out);
    }
}

static void peer_free(struct peer *p) {
    struct engine_server *s = p->server;
    struct peer **at = &s->peers;
    while (*at && *at != p) at = &(*at)->next;
    if (*at) *at = p->next;
    loop_undefer(s->loop, p);
    stream_writer_free(p->writer);
    sock_free(p->sock);
    buf_free(&p->in);
    mem_free(p);
}

static void on_peer_end(void *arg, const struct err *e) {
    struct peer *p = arg;
    struct engine_server *s = p->server;
    if (e) log_info("a reader has gone: %s", err_text(e));
    engine_peer_gone(s->engine, p->number);
    peer_free(p);
    s->on_readers(s->arg, count(s));
}

static void on_peer_data(void *arg, const char *bytes, size_t n) {
    struct peer *p = arg;
    struct slice rest, line;
    size_t used = 0;
    buf_add(&p->in, bytes, n);
    rest = buf_slice(&p->in);
    for (const char *nl; rest.n && (nl = memchr(rest.p, '\n', rest.n));) {
        line = (struct slice){rest.p, (size_t)(nl - rest.p)};
        if (line.n) engine_intent(p->server->engine, p->number, line);
        used += line.n + 1;
        rest = (struct slice){nl + 1, rest.n - line.n - 1};
    }
    buf_consume(&p->in, used);
    if (p->in.len > LINE_MAX_BYTES) {
        log_warn("a reader sent a line of more than %zu bytes: dropped", LINE_MAX_BYTES);
        buf_clear(&p->in);
    }
}

static void on_peer_drained(void *arg) {
    pump(arg);
}

static void on_peer(void *arg, struct sock *sock) {
    static const struct sock_events events = {.on_data = on_peer_data, .on_drained = on_peer_drained, .on_end = on_peer_end};
    struct engine_server *s = arg;
    unsigned uid;
    if (!sock_peer_uid(sock, &uid) || uid != (unsigned)geteuid()) {
        log_warn("a connection from another user was turned away");
        sock_free(sock);
        return;
    }
    struct peer *p = MEM_NEW(struct peer);
    *p = (struct peer){.server = s, .sock = sock, .next = s->peers, .number = ++s->last_number};
    struct stream_hello hello = engine_hello(s->engine, p->number);
    p->writer = stream_writer_new(engine_world(s->engine), &hello);
    s->peers = p;
    sock_set_events(sock, &events, p);
    pump(p);
    s->on_readers(s->arg, count(s));
}

struct err *engine_server_new(struct loop *l, struct engine *e, const char *path, void (*on_readers)(void *arg, size_t readers), void *arg,
                              struct engine_server **ret) {
    struct engine_server *s = MEM_NEW(struct engine_server);
    *s = (struct engine_server){.loop = l, .engine = e, .on_readers = on_readers, .arg = arg};
    struct err *error = sock_listen_unix(l, path, on_peer, s, &s->listener);
    if (error) {
        mem_free(s);
        return error;
    }
    engine_on_turn(e, on_turn, s);
    engine_on_tick(e, on_tick, s);
    *ret = s;
    return NULL;
}

static void say_bye(struct peer *p, const char *reason) {
    struct buf out = {0};
    stream_writer_bye(p->writer, reason, &out);
    sock_write(p->sock, out.p, out.len);
    buf_free(&out);
}

void engine_server_free(struct engine_server *s, const char *reason) {
    if (!s) return;
    engine_on_turn(s->engine, NULL, NULL);
    engine_on_tick(s->engine, NULL, NULL);
    while (s->peers) {
        say_bye(s->peers, reason);
        peer_free(s->peers);
    }
    sock_listener_free(s->listener);
    mem_free(s);
}
