#include "client/pg_conn.h"

#include <libpq-fe.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/secret.h"
#include "base/utf8.h"
#include "client/pg_conn_private.h"
#include "loop/fdwatch.h"
#include "loop/loop.h"
#include "loop/timer.h"
#include "loop/work.h"

#define CONNECT_TIMEOUT_MS 10000
#define QUERY_TIMEOUT_MS 5000
#define LOCK_TIMEOUT_MS 1000
#define GRACE_MS 2000
#define DAY_MS (INT64_C(24) * 60 * 60 * 1000)
#define PARAMS_MAX 40

struct query {
    char *sql;
    int64_t timeout_ms; /* -1: the session's */
    void (*fn)(void *arg, const struct pg_rows *rows, const struct err *e);
    void *arg;
    struct query *next;
};

struct pg_conn {
    struct loop *loop;
    struct pg_conn_options o;
    struct pg_conninfo base;
    char *name, *conninfo, *database, *hostaddr, *user, *passfile, *application, *default_user, *default_database;
    char port[16];
    struct resolve *resolve;
    PGconn *pg;
    struct fdwatch *watch;
    struct timer *deadline;
    struct query *first, *last; /* the first is on the wire when `busy` */
    PGresult *result;           /* of the query on the wire; the last of several */
    bool up, busy, dead;
    int64_t statement_ms; /* statement_timeout as it is set; 0: none */
    int64_t deadline_ms;  /* of the query on the wire */
    char endpoint[128];
};

struct pg_rows {
    PGresult *r;
};

/* ---- Ends ---- */

static void unwatch(struct pg_conn *c) {
    fdwatch_free(c->watch);
    c->watch = NULL;
}

static void finish(struct pg_conn *c) {
    unwatch(c);
    PQclear(c->result);
    c->result = NULL;
    if (c->pg) PQfinish(c->pg);
    c->pg = NULL;
}

static void tell_down(struct pg_conn *c, struct err *e) {
    if (c->dead) {
        err_free(e);
        return;
    }
    c->dead = true;
    c->up = false;
    timer_stop(c->deadline);
    finish(c);
    c->o.on_down(c->o.arg, e); /* may free c */
    err_free(e);
}

/* libpq's message for a connection, in one clean line. */
static struct err *connection_error(const struct pg_conn *c, enum err_kind kind, const char *what) {
    struct buf text = {0};
    struct slice message = slice_trim(slice_of(c->pg ? PQerrorMessage(c->pg) : ""));
    if (message.n && message.p[message.n - 1] == ':') message.n--; /* "… failed:", before it knows why */
    utf8_clean(&text, message);
    const char *state = strstr(buf_str(&text), "password authentication failed") || strstr(buf_str(&text), "no pg_hba.conf entry") ||
                                strstr(buf_str(&text), "no password supplied")
                            ? "; give the password by PGPASSFILE or the plan's password_file"
                            : "";
    if (*state) kind = ERR_AUTH;
    struct err *e = err_new(kind, "%s: %s%s%s%s", c->name, what, text.len ? ": " : "", buf_str(&text), state);
    buf_free(&text);
    return e;
}

/* ---- Connecting ---- */

static void on_ready(void *arg, unsigned events);
static void pump(struct pg_conn *c);

static void watch(struct pg_conn *c, unsigned events) {
    int fd = PQsocket(c->pg);
    unwatch(c);
    if (fd < 0) return;
    c->watch = fdwatch_new(c->loop, fd, on_ready, c);
    fdwatch_set(c->watch, events);
}

static void note_endpoint(struct pg_conn *c) {
    const char *host = PQhostaddr(c->pg), *port = PQport(c->pg);
    snprintf(c->endpoint, sizeof c->endpoint, "%s:%s", host && *host ? host : PQhost(c->pg), port ? port : "");
}

static void on_fenced(void *arg, const struct pg_rows *rows, const struct err *e) {
    struct pg_conn *c = arg;
    (void)rows;
    if (e) {
        tell_down(c, err_copy(e));
        return;
    }
    c->o.on_up(c->o.arg);
}

static void connected(struct pg_conn *c) {
    timer_stop(c->deadline);
    PQsetnonblocking(c->pg, 1);
    note_endpoint(c);
    c->up = true;
    watch(c, FD_READABLE);
    pg_query(c, c->o.write ? "SELECT set_config('default_transaction_read_only', 'off', false)"
                           : "SELECT set_config('default_transaction_read_only', 'on', false)", on_fenced, c);
}

static void poll_connect(struct pg_conn *c) {
    unwatch(c); /* before the call: it may close the socket and open another under the same number */
    switch (PQconnectPoll(c->pg)) {
    case PGRES_POLLING_READING: watch(c, FD_READABLE); break;
    case PGRES_POLLING_WRITING: watch(c, FD_WRITABLE); break;
    case PGRES_POLLING_OK: connected(c); break;
    case PGRES_POLLING_FAILED:
    case PGRES_POLLING_ACTIVE:
    default: tell_down(c, connection_error(c, ERR_UNAVAILABLE, "cannot connect")); break;
    }
}

static void ignore_notice(void *arg, const PGresult *r) {
    (void)arg;
    (void)r;
}

struct params {
    const char *keys[PARAMS_MAX + 1], *values[PARAMS_MAX + 1];
    size_t n;
};

static void param(struct params *p, const char *key, const char *value) {
    if (!value || p->n >= PARAMS_MAX) return;
    for (size_t i = 0; i < p->n; i++)
        if (str_eq(p->keys[i], key)) {
            p->values[i] = value;
            return;
        }
    p->keys[p->n] = key;
    p->values[p->n++] = value;
}

static int64_t session_timeout(const struct pg_conn *c) {
    return c->o.query_timeout_ms ? c->o.query_timeout_ms : QUERY_TIMEOUT_MS;
}

static void start(struct pg_conn *c, PQconninfoOption *info, const char *address) {
    struct params p = {.n = 0};
    char options[200];
    for (PQconninfoOption *i = info; i && i->keyword; i++) param(&p, i->keyword, i->val);
    /* search_path: what a database's owner may have put in front of the catalog's functions is not what we call */
    snprintf(options, sizeof options,
             "-c statement_timeout=%lld -c lock_timeout=%lld -c DateStyle=ISO,MDY -c TimeZone=UTC -c search_path=pg_catalog",
             (long long)session_timeout(c), (long long)(c->o.lock_timeout_ms ? c->o.lock_timeout_ms : LOCK_TIMEOUT_MS));
    c->statement_ms = session_timeout(c);
    param(&p, "dbname", c->database);
    param(&p, "hostaddr", address);
    if (*c->port) param(&p, "port", c->port);
    param(&p, "user", c->user);
    param(&p, "passfile", c->passfile);
    if (c->o.password) param(&p, "password", secret_bytes(c->o.password));
    param(&p, "client_encoding", "UTF8");
    param(&p, "application_name", c->application ? c->application : "ferryman");
    param(&p, "options", options);
    /* a server that is cut off is noticed in the middle of a long statement, too */
    if (!pg_conninfo_option(info, "keepalives_idle")) param(&p, "keepalives_idle", "15");
    if (!pg_conninfo_option(info, "keepalives_interval")) param(&p, "keepalives_interval", "5");
    if (!pg_conninfo_option(info, "keepalives_count")) param(&p, "keepalives_count", "4");
    if (!pg_conninfo_option(info, "tcp_user_timeout")) param(&p, "tcp_user_timeout", "20000");
    c->pg = PQconnectStartParams(p.keys, p.values, 0);
    if (!c->pg || PQstatus(c->pg) == CONNECTION_BAD) {
        tell_down(c, connection_error(c, ERR_UNAVAILABLE, "cannot connect"));
        return;
    }
    PQsetNoticeReceiver(c->pg, ignore_notice, NULL);
    watch(c, FD_WRITABLE); /* "behave as if it last returned PGRES_POLLING_WRITING" */
}

static void on_resolved(void *arg, const char *const *addresses, const struct err *e) {
    struct pg_conn *c = arg;
    PQconninfoOption *info = NULL;
    resolve_free(c->resolve);
    c->resolve = NULL;
    struct err *bad = e ? err_wrap(err_copy(e), "%s", c->name) : pg_conninfo_read(&c->base, &info);
    if (bad) {
        tell_down(c, bad);
        return;
    }
    start(c, info, addresses ? addresses[0] : NULL);
    PQconninfoFree(info);
}

static void begin(void *arg) {
    struct pg_conn *c = arg;
    PQconninfoOption *info = NULL;
    struct err *e = pg_conninfo_read(&c->base, &info);
    if (e) {
        tell_down(c, e);
        return;
    }
    const char *host = c->hostaddr ? c->hostaddr : pg_conninfo_option(info, "hostaddr");
    if (!host || !*host) host = pg_conninfo_option(info, "host");
    if (host && *host && *host != '/' && !strchr(host, ',')) c->resolve = resolve_start(c->loop, host, on_resolved, c);
    else start(c, info, NULL); /* a unix socket, or several hosts: libpq's own business */
    PQconninfoFree(info);
}

static void on_deadline(void *arg) {
    struct pg_conn *c = arg;
    if (c->up) tell_down(c, err_new(ERR_UNAVAILABLE, "%s: no answer to a query within %lld s: the server accepted it and says nothing", c->name,
                                    (long long)c->deadline_ms / 1000));
    else tell_down(c, connection_error(c, ERR_UNAVAILABLE, "no connection in time"));
}

struct pg_conn *pg_conn_new(struct loop *l, const struct pg_conn_options *o) {
    struct pg_conn *c = MEM_NEW(struct pg_conn);
    *c = (struct pg_conn){
        .loop = l, .o = *o, .name = mem_strdup(o->name), .conninfo = mem_strdup(o->conninfo), .database = mem_strdup(o->database),
        .hostaddr = mem_strdup(o->hostaddr), .user = mem_strdup(o->user), .passfile = mem_strdup(o->passfile),
        .application = mem_strdup(o->application), .default_user = mem_strdup(o->default_user), .default_database = mem_strdup(o->default_database),
    };
    c->base = (struct pg_conninfo){.name = c->name, .conninfo = c->conninfo, .default_user = c->default_user, .default_database = c->default_database};
    if (o->password) secret_ref(o->password);
    if (o->port) snprintf(c->port, sizeof c->port, "%u", o->port);
    c->deadline = timer_new(l, on_deadline, c);
    timer_start(c->deadline, o->connect_timeout_ms ? o->connect_timeout_ms : CONNECT_TIMEOUT_MS, 0);
    loop_defer(l, begin, c);
    return c;
}

static void free_queries(struct pg_conn *c) {
    while (c->first) {
        struct query *q = c->first;
        c->first = q->next;
        mem_free(q->sql);
        mem_free(q);
    }
}

static void free_now(void *arg) {
    struct pg_conn *c = arg;
    free_queries(c);
    secret_free(c->o.password);
    mem_free(c->name);
    mem_free(c->conninfo);
    mem_free(c->database);
    mem_free(c->hostaddr);
    mem_free(c->user);
    mem_free(c->passfile);
    mem_free(c->application);
    mem_free(c->default_user);
    mem_free(c->default_database);
    mem_free(c);
}

/* Its own callbacks may be on the stack, so the memory goes at the end of the turn. */
void pg_conn_free(struct pg_conn *c) {
    if (!c) return;
    c->dead = true;
    loop_undefer(c->loop, c);
    resolve_free(c->resolve);
    timer_free(c->deadline);
    finish(c);
    loop_defer(c->loop, free_now, c);
}

/* ---- Queries ---- */

static struct err *query_error(const struct pg_conn *c, const PGresult *r) {
    struct buf text = {0};
    const char *state = PQresultErrorField(r, PG_DIAG_SQLSTATE), *message = PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY);
    utf8_clean(&text, slice_of(message ? message : "no message"));
    bool denied = state && str_eq(state, "42501");
    struct err *e = err_new(denied ? ERR_DENIED : ERR_FAILED, "%s: %s (SQLSTATE %s)", c->name, buf_str(&text), state ? state : "none");
    buf_free(&text);
    return e;
}

/* Hands the result of the first query over and starts the next. */
static void deliver(struct pg_conn *c) {
    struct query *q = c->first;
    PGresult *r = c->result;
    c->first = q->next;
    if (!c->first) c->last = NULL;
    c->busy = false;
    c->result = NULL;
    timer_stop(c->deadline);
    struct pg_rows rows = {r};
    bool ok = PQresultStatus(r) == PGRES_TUPLES_OK || PQresultStatus(r) == PGRES_COMMAND_OK;
    struct err *e = ok ? NULL : query_error(c, r);
    q->fn(q->arg, ok ? &rows : NULL, e);
    err_free(e);
    PQclear(r);
    mem_free(q->sql);
    mem_free(q);
}

static bool flush(struct pg_conn *c) {
    int left = PQflush(c->pg);
    if (left < 0) {
        tell_down(c, connection_error(c, ERR_UNAVAILABLE, "connection lost"));
        return false;
    }
    if (c->watch) fdwatch_set(c->watch, left ? FD_READABLE | FD_WRITABLE : FD_READABLE);
    return true;
}

static void ignore_rows(void *arg, const struct pg_rows *rows, const struct err *e) {
    (void)arg; /* where it could not be set the deadline of our own holds */
    (void)rows;
    (void)e;
}

/* The server's own limit for the next query, as a query in front of it, where it is not what is set. */
static void set_timeout(struct pg_conn *c) {
    int64_t want = c->first->timeout_ms < 0 ? session_timeout(c) : c->first->timeout_ms;
    if (want == c->statement_ms) return;
    struct query *q = MEM_NEW(struct query);
    *q = (struct query){.sql = str_printf("SET statement_timeout = %lld", (long long)want), .timeout_ms = c->statement_ms, .fn = ignore_rows, .next = c->first};
    c->first = q;
    c->statement_ms = want;
    c->deadline_ms = QUERY_TIMEOUT_MS + GRACE_MS;
}

static void send_next(struct pg_conn *c) {
    if (!c->up || c->busy || !c->first) return;
    int64_t timeout = c->first->timeout_ms < 0 ? session_timeout(c) : c->first->timeout_ms;
    c->deadline_ms = (timeout ? timeout : DAY_MS) + GRACE_MS;
    c->busy = true;
    set_timeout(c);
    timer_start(c->deadline, c->deadline_ms, 0);
    if (!PQsendQuery(c->pg, c->first->sql)) tell_down(c, connection_error(c, ERR_UNAVAILABLE, "cannot send a query"));
    else flush(c);
}

static void pump_deferred(void *arg) {
    pump(arg);
}

/* Takes what has arrived. At most one answer is handed over a turn of this loop: a callback may free the session. */
static void pump(struct pg_conn *c) {
    while (!c->dead && c->busy && !PQisBusy(c->pg)) {
        PGresult *r = PQgetResult(c->pg);
        if (r) {
            PQclear(c->result);
            c->result = r;
            continue;
        }
        if (PQstatus(c->pg) == CONNECTION_BAD || !c->result) {
            tell_down(c, connection_error(c, ERR_UNAVAILABLE, "connection lost"));
            return;
        }
        deliver(c);
        if (c->dead) return;
        send_next(c);
        if (!c->dead && c->busy) loop_defer(c->loop, pump_deferred, c);
        return;
    }
}

static void on_ready(void *arg, unsigned events) {
    struct pg_conn *c = arg;
    (void)events;
    if (!c->up) {
        poll_connect(c);
        return;
    }
    if (!PQconsumeInput(c->pg)) {
        tell_down(c, connection_error(c, ERR_UNAVAILABLE, "connection lost"));
        return;
    }
    if (flush(c)) pump(c);
}

static void send_deferred(void *arg) {
    send_next(arg);
}

static void query_add(struct pg_conn *c, const char *sql, int64_t timeout_ms,
                      void (*fn)(void *arg, const struct pg_rows *rows, const struct err *e), void *arg) {
    struct query *q = MEM_NEW(struct query);
    *q = (struct query){.sql = mem_strdup(sql), .timeout_ms = timeout_ms, .fn = fn, .arg = arg};
    if (c->last) c->last->next = q;
    else c->first = q;
    c->last = q;
    loop_defer(c->loop, send_deferred, c); /* so that no callback comes out of this call */
}

void pg_query(struct pg_conn *c, const char *sql, void (*fn)(void *arg, const struct pg_rows *rows, const struct err *e), void *arg) {
    query_add(c, sql, -1, fn, arg);
}

void pg_query_within(struct pg_conn *c, const char *sql, int64_t timeout_ms,
                     void (*fn)(void *arg, const struct pg_rows *rows, const struct err *e), void *arg) {
    query_add(c, sql, timeout_ms, fn, arg);
}

/* ---- Reading ---- */

bool pg_conn_up(const struct pg_conn *c) {
    return c->up;
}

int pg_conn_version(const struct pg_conn *c) {
    return c->pg && c->up ? PQserverVersion(c->pg) : 0;
}

const char *pg_conn_endpoint(const struct pg_conn *c) {
    return c->endpoint;
}

const char *pg_conn_database(const struct pg_conn *c) {
    return c->pg && PQdb(c->pg) ? PQdb(c->pg) : "";
}

const char *pg_conn_user(const struct pg_conn *c) {
    return c->pg && PQuser(c->pg) ? PQuser(c->pg) : "";
}

int pg_conn_pid(const struct pg_conn *c) {
    return c->pg && c->up ? PQbackendPID(c->pg) : 0;
}

void pg_conn_environment(const struct pg_conn *c, void (*each)(void *arg, const char *name, const char *value), void *arg) {
    static const char *const left_out[] = {"password", "passfile", "service", "application_name", "options", "hostaddr", "port", "client_encoding"};
    PQconninfoOption *info = c->pg && c->up ? PQconninfo(c->pg) : NULL;
    for (PQconninfoOption *i = info; i && i->keyword; i++) {
        bool skip = !i->envvar || !i->val || !*i->val;
        for (size_t k = 0; k < ARRAY_LEN(left_out); k++) skip = skip || str_eq(i->keyword, left_out[k]);
        if (!skip) each(arg, i->envvar, i->val);
    }
    if (info && *PQhostaddr(c->pg)) each(arg, "PGHOSTADDR", PQhostaddr(c->pg));
    if (info) each(arg, "PGPORT", PQport(c->pg));
    PQconninfoFree(info);
}

size_t pg_rows_count(const struct pg_rows *r) {
    return (size_t)PQntuples(r->r);
}

bool pg_rows_null(const struct pg_rows *r, size_t row, int col) {
    return PQgetisnull(r->r, (int)row, col);
}

struct slice pg_rows_text(const struct pg_rows *r, size_t row, int col) {
    if (pg_rows_null(r, row, col)) return (struct slice){NULL, 0};
    return (struct slice){PQgetvalue(r->r, (int)row, col), (size_t)PQgetlength(r->r, (int)row, col)};
}

int64_t pg_rows_int(const struct pg_rows *r, size_t row, int col, int64_t fallback) {
    int64_t v;
    return slice_to_i64(pg_rows_text(r, row, col), &v) ? v : fallback;
}

bool pg_rows_bool(const struct pg_rows *r, size_t row, int col, bool fallback) {
    struct slice s = pg_rows_text(r, row, col);
    return s.n == 1 ? *s.p == 't' : fallback;
}
