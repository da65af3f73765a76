/* The database sessions of a run. A session belongs to one server, database and right (read or write), is opened when it is first
 * needed, proves that its server is the pod that it should be, and is kept. What is not as it should be ends the session: the next
 * query begins with a proof again. */
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/secret.h"
#include "base/str.h"
#include "base/utf8.h"
#include "client/pg_conn.h"
#include "loop/loop.h"
#include "migrate/run_pg_private.h"

#define QUERY_MS 30000
#define LOCK_READ_MS 5000
#define LOCK_WRITE_MS 30000
#define OURS ":ours"

/* pg_control_system() is for superusers and pg_monitor, which every session of ours is. */
#define SQL_PROOF "SELECT host(inet_server_addr()), (SELECT system_identifier::text FROM pg_control_system())"

struct run_asked {
    struct session *session;
    char *sql;
    bool identity_any, sent, freed, delivering;
    int64_t timeout_ms, begin_by_ms;
    void (*fn)(void *arg, const struct pg_rows *rows, const struct err *e);
    void *arg;
    struct run_asked *next;
};

const char *run_pg_what(enum run_db db) {
    return db == DB_SERVER ? "the server" : "the scratch server";
}

const char *run_pg_pod_fact(const struct run *r, enum run_db db, const char *which) {
    char name[40];
    snprintf(name, sizeof name, "pod.%s.%s", db == DB_SERVER ? "server" : "scratch", which);
    return run_has(r, name) ? run_fact(r, name) : NULL;
}

/* ---- Answers ---- */

static void asked_destroy(struct run_asked *a) {
    mem_free(a->sql);
    mem_free(a);
}

static void unlink_asked(struct run_asked *a) {
    struct session *s = a->session;
    if (!s) return;
    for (struct run_asked **at = &s->first; *at; at = &(*at)->next)
        if (*at == a) {
            *at = a->next;
            break;
        }
    a->session = NULL;
}

static void answer(struct run_asked *a, const struct pg_rows *rows, const struct err *e) {
    unlink_asked(a);
    a->delivering = true;
    if (!a->freed) a->fn(a->arg, rows, e);
    a->delivering = false;
    if (a->freed) asked_destroy(a);
}

static bool unlink_from(struct session **at, const struct session *s) {
    for (; *at; at = &(*at)->next)
        if (*at == s) {
            *at = s->next;
            return true;
        }
    return false;
}

static void session_unlink(struct session *s) {
    if (!unlink_from(&s->pg->sessions, s)) unlink_from(&s->pg->ended, s);
}

static void session_destroy(struct session *s) {
    session_unlink(s);
    loop_undefer(s->pg->run->loop, s);
    pg_conn_free(s->conn);
    err_free(s->failure);
    mem_free(s->database);
    mem_free(s->hold_sql);
    mem_free(s->phase);
    mem_free(s->pod_uid);
    mem_free(s->identifier);
    mem_free(s->name);
    mem_free(s);
}

/* The deferred end: everybody who waits is told why. The session is out of the list already, so that what they ask next goes elsewhere. */
static void session_ended(void *arg) {
    struct session *s = arg;
    while (s->first) answer(s->first, NULL, s->failure);
    session_destroy(s);
}

void session_drop(struct session *s) {
    while (s->first) {
        struct run_asked *a = s->first;
        unlink_asked(a); /* its owner frees it */
    }
    session_destroy(s);
}

void session_fail(struct session *s, struct err *e) {
    if (s->state == SESSION_ENDED) {
        err_free(e);
        return;
    }
    bool held = s->state == SESSION_READY && s->hold_sql && s->held;
    s->state = SESSION_ENDED;
    s->failure = e;
    session_unlink(s);
    s->next = s->pg->ended;
    s->pg->ended = s;
    pg_conn_free(s->conn);
    s->conn = NULL;
    loop_undefer(s->pg->run->loop, s);
    loop_defer(s->pg->run->loop, session_ended, s);
    if (held) run_pg_hold_is_lost(s, e);
}

/* ---- Sending ---- */

/* The pids of our own sessions on that server, for ":ours". */
static void add_pids(const struct session *of, struct buf *out) {
    bool any = false;
    for (const struct session *s = of->pg->sessions; s; s = s->next) {
        if (s->db != of->db || !s->conn || !pg_conn_pid(s->conn)) continue;
        buf_printf(out, "%s%d", any ? ", " : "", pg_conn_pid(s->conn));
        any = true;
    }
    if (!any) buf_adds(out, "0");
}

static void add_sql(const struct session *s, const char *sql, struct buf *out) {
    for (const char *at; (at = strstr(sql, OURS)) != NULL; sql = at + strlen(OURS)) {
        buf_add(out, sql, (size_t)(at - sql));
        add_pids(s, out);
    }
    buf_adds(out, sql);
}

static void on_rows(void *arg, const struct pg_rows *rows, const struct err *e) {
    struct run_asked *a = arg;
    struct session *s = a->session;
    if (!e && s->hold_sql && str_eq(s->hold_sql, a->sql)) run_pg_holds(s);
    answer(a, rows, e);
}

/* The identifiers that the server may have now: the one that was noted for where the run stands; in a rollback the old one too. */
static struct err *judge_identifier(const struct session *s, bool write) {
    const struct run *r = s->pg->run;
    const char *expected = run_pg_expected(r, s->db), *other = run_pg_also_expected(r, s->db);
    if (!expected) {
        if (!write) return NULL;
        return err_new(ERR_FAILED, "%s: the system identifier of %s is not known yet, and nothing is written to a server that is not known; run preflight",
                       s->name, run_pg_what(s->db));
    }
    if (str_eq(s->identifier, expected) || (other && str_eq(s->identifier, other))) return NULL;
    return err_new(ERR_FAILED, "%s: %s has the system identifier %s, expected is %s: this is another data directory; look at which claim its pod mounts",
                   s->name, run_pg_what(s->db), s->identifier, expected);
}

static void send(struct session *s, struct run_asked *a) {
    struct buf sql = {0};
    struct err *e = a->identity_any ? NULL : judge_identifier(s, s->write);
    if (!e && a->begin_by_ms > 0 && clock_mono_ms() > a->begin_by_ms)
        e = err_new(ERR_UNAVAILABLE, "%s: the session was there too late for the statement; it was not sent", s->name);
    if (e) {
        answer(a, NULL, e);
        err_free(e);
        return;
    }
    a->sent = true;
    add_sql(s, a->sql, &sql);
    pg_query_within(s->conn, buf_str(&sql), a->timeout_ms, on_rows, a);
    buf_free(&sql);
}

static void session_pump(void *arg) {
    struct session *s = arg;
    if (s->state != SESSION_READY) return;
    for (struct run_asked *a = s->first, *next; a; a = next) {
        next = a->next;
        if (!a->sent) {
            send(s, a);
            loop_defer(s->pg->run->loop, session_pump, s); /* the list may have changed */
            return;
        }
    }
}

/* ---- The proof ---- */

static struct err *judge_address(const struct session *s, const char *address) {
    const char *ip = run_pg_pod_fact(s->pg->run, s->db, "ip"), *pod = run_pg_pod_fact(s->pg->run, s->db, "name");
    if (!*address)
        return err_new(ERR_FAILED, "%s: %s was reached over a unix socket, so that it cannot be proved to be pod %s; give a TCP address in conninfo",
                       s->name, pg_conn_endpoint(s->conn), pod);
    if (str_eq(address, ip)) return NULL;
    return err_new(ERR_FAILED, "%s: the server at %s is %s, the pod %s is %s: the Service leads elsewhere; look at its selector and endpoints", s->name,
                   pg_conn_endpoint(s->conn), address, pod, ip);
}

static void on_proof(void *arg, const struct pg_rows *rows, const struct err *e) {
    struct session *s = arg;
    if (e) {
        session_fail(s, err_copy(e));
        return;
    }
    char *address = utf8_cleaned(pg_rows_null(rows, 0, 0) ? SLICE_LIT("") : pg_rows_text(rows, 0, 0));
    s->identifier = utf8_cleaned(pg_rows_null(rows, 0, 1) ? SLICE_LIT("") : pg_rows_text(rows, 0, 1));
    struct err *wrong = run_pg_forwards(s->pg->run) ? NULL : judge_address(s, address);
    mem_free(address);
    if (wrong) {
        session_fail(s, wrong);
        return;
    }
    s->state = SESSION_READY;
    session_pump(s);
}

static void on_up(void *arg) {
    struct session *s = arg;
    s->state = SESSION_PROVING;
    pg_query_within(s->conn, SQL_PROOF, QUERY_MS, on_proof, s);
}

static void on_down(void *arg, const struct err *e) {
    struct session *s = arg;
    if (err_kind(e) == ERR_AUTH) run_pg_password_forget(s->pg); /* it may have been changed */
    session_fail(s, err_copy(e));
}

/* The way to the server is there: an address and a port, or what conninfo says. */
void session_connect(struct session *s, const char *hostaddr, unsigned port) {
    struct run_pg *p = s->pg;
    struct run *r = p->run;
    const struct plan_postgres *plan = r->workload->spec;
    struct err *e = run_pg_password(p);
    char application[80];
    if (e) {
        session_fail(s, e);
        return;
    }
    snprintf(application, sizeof application, "ferryman/%s", r->id);
    s->state = SESSION_CONNECTING;
    s->conn = pg_conn_new(r->loop, &(struct pg_conn_options){
        .name = s->name, .conninfo = plan->postgres.conninfo, .database = s->database, .hostaddr = hostaddr, .port = port, .password = p->password,
        .query_timeout_ms = QUERY_MS, .lock_timeout_ms = s->write ? LOCK_WRITE_MS : LOCK_READ_MS, .write = s->write, .application = application,
        .default_user = run_has(r, "pg.user") ? run_fact(r, "pg.user") : NULL,
        .default_database = run_has(r, "pg.database") ? run_fact(r, "pg.database") : NULL,
        .on_up = on_up, .on_down = on_down, .arg = s,
    });
}

static void session_begin(void *arg) {
    struct session *s = arg;
    struct run *r = s->pg->run;
    const char *name = run_pg_pod_fact(r, s->db, "name"), *ip = run_pg_pod_fact(r, s->db, "ip"), *uid = run_pg_pod_fact(r, s->db, "uid");
    if (!name || !uid || (!ip && !run_pg_forwards(r))) {
        session_fail(s, err_new(ERR_FAILED, "%s: the pod of %s is not known yet, so that no session can be proved to be with it", s->name, run_pg_what(s->db)));
        return;
    }
    s->pod_uid = mem_strdup(uid);
    run_pg_way(s, name, ip);
}

/* ---- Asking ---- */

static struct session *session_new(struct run_pg *p, const struct run_query *q, const char *database, const char *hold_sql) {
    struct session *s = MEM_NEW(struct session);
    *s = (struct session){.pg = p, .db = q->db, .write = q->write, .database = mem_strdup(database), .hold_sql = mem_strdup(hold_sql), .next = p->sessions,
                          .name = str_printf("%s of %s", q->db == DB_SERVER ? "postgres" : "scratch postgres", p->run->workload->name)};
    p->sessions = s;
    loop_defer(p->run->loop, session_begin, s);
    return s;
}

/* One that is there or on its way; with a pod that is not the noted one any more it is given up. */
static struct session *session_for(struct run_pg *p, const struct run_query *q, const char *hold_sql) {
    const struct plan_postgres *plan = p->run->workload->spec;
    const char *database = q->database ? q->database : plan->postgres.database, *uid = run_pg_pod_fact(p->run, q->db, "uid");
    for (struct session *s = p->sessions, *next; s; s = next) {
        next = s->next;
        if (s->db != q->db || s->write != q->write || !str_eq(s->database, database) || !str_eq(s->hold_sql, hold_sql)) continue;
        if (!s->pod_uid || str_eq(s->pod_uid, uid)) return s;
        session_fail(s, err_new(ERR_UNAVAILABLE, "%s: its pod was replaced", s->name));
    }
    return session_new(p, q, database, hold_sql);
}

static struct run_asked *ask(struct run *r, const struct run_query *q, const char *hold_sql,
                             void (*fn)(void *arg, const struct pg_rows *rows, const struct err *e), void *arg) {
    struct run_asked *a = MEM_NEW(struct run_asked);
    struct session *s = session_for(r->pg, q, hold_sql);
    *a = (struct run_asked){.session = s, .sql = mem_strdup(q->sql), .identity_any = q->identity_any, .fn = fn, .arg = arg,
                            .timeout_ms = q->timeout_ms ? q->timeout_ms : QUERY_MS, .begin_by_ms = q->begin_by_ms};
    struct run_asked **at = &s->first;
    while (*at) at = &(*at)->next;
    *at = a;
    if (s->state == SESSION_READY) loop_defer(r->loop, session_pump, s);
    return a;
}

struct run_asked *run_query(struct run *r, const struct run_query *q, void (*fn)(void *arg, const struct pg_rows *rows, const struct err *e),
                            void *arg) {
    return ask(r, q, NULL, fn, arg);
}

struct run_asked *run_pg_hold(struct run *r, const struct run_query *q, void (*fn)(void *arg, const struct pg_rows *rows, const struct err *e),
                              void *arg) {
    return ask(r, q, q->sql, fn, arg);
}

/* A query that is on the wire cannot be taken back: its session goes with it. */
void run_query_free(struct run_asked *a) {
    if (!a) return;
    a->freed = true;
    if (a->delivering) return;
    struct session *s = a->session;
    bool sent = a->sent;
    if (s && sent && s->state == SESSION_READY) {
        unlink_asked(a);
        asked_destroy(a);
        session_fail(s, err_new(ERR_UNAVAILABLE, "%s: the session was given up with a query", s->name));
        return;
    }
    unlink_asked(a);
    asked_destroy(a);
}
