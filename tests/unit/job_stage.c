#include "job_stage.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/json_doc.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/str.h"
#include "client/pg_conn.h"
#include "loop/loop.h"

enum { LIMIT_MS = 120000 };

struct run_asked {
    struct pg_conn *conn;
    const char *sql;
    void (*fn)(void *arg, const struct pg_rows *rows, const struct err *e);
    void *arg;
    bool answered;
};

struct job_stage stage;

static void answer(void *arg, const struct pg_rows *rows, const struct err *e) {
    struct run_asked *a = arg;
    if (a->answered) return;
    a->answered = true;
    a->fn(a->arg, rows, e);
}

static void asked_up(void *arg) {
    struct run_asked *a = arg;
    pg_query(a->conn, a->sql, answer, a);
}

static void asked_down(void *arg, const struct err *e) {
    answer(arg, NULL, e);
}

struct run_asked *run_query(struct run *r, const struct run_query *q, void (*fn)(void *arg, const struct pg_rows *rows, const struct err *e),
                            void *arg) {
    struct run_asked *a = MEM_NEW(struct run_asked);
    *a = (struct run_asked){.sql = q->sql, .fn = fn, .arg = arg};
    struct pg_conn_options o = {.name = "postgres", .conninfo = stage.server->conninfo, .on_up = asked_up, .on_down = asked_down, .arg = a};
    a->conn = pg_conn_new(r->loop, &o);
    return a;
}

void run_query_free(struct run_asked *a) {
    if (!a) return;
    pg_conn_free(a->conn);
    mem_free(a);
}

static struct {
    void (*fn)(void *arg, const char *const *env, const struct err *e);
    void *arg;
    char options[200];
} wanted;

static void give_env(void *unused) {
    char port[32], options[256];
    (void)unused;
    snprintf(port, sizeof port, "PGPORT=%u", stage.server->port);
    snprintf(options, sizeof options, "PGOPTIONS=%s", wanted.options);
    const char *env[] = {"PGHOST=127.0.0.1", port, "PGUSER=postgres", "PGAPPNAME=ferryman/test", options, NULL};
    struct err *e = stage.environment_fails ? err_new(ERR_UNAVAILABLE, "no way there") : NULL;
    wanted.fn(wanted.arg, e ? NULL : env, e);
    err_free(e);
}

void run_pg_env(struct run *r, enum run_db db, const char *pgoptions, void (*fn)(void *arg, const char *const *env, const struct err *e),
                void *arg) {
    (void)db;
    wanted.fn = fn;
    wanted.arg = arg;
    str_copy(wanted.options, sizeof wanted.options, pgoptions ? pgoptions : "");
    loop_defer(r->loop, give_env, &wanted);
}

void run_pg_env_cancel(struct run *r, const void *arg) {
    (void)arg;
    loop_undefer(r->loop, &wanted);
}

const char *run_fact(const struct run *r, const char *name) {
    (void)r;
    return map_gets(stage.facts, name);
}

int64_t run_fact_int(const struct run *r, const char *name, int64_t fallback) {
    const char *text = run_fact(r, name);
    return text && *text ? atoll(text) : fallback;
}

struct json_t *run_fact_json(const struct run *r, const char *name) {
    const char *text = run_fact(r, name);
    struct json_t *d = NULL;
    if (text && *text) err_ignore(jd_parse(text, strlen(text), name, &d), "no JSON is none");
    return d;
}

void run_set(struct run *r, const char *name, const char *value) {
    (void)r;
    mem_free(map_puts(stage.facts, name, mem_strdup(value)));
}

void run_set_int(struct run *r, const char *name, int64_t value) {
    char text[32];
    snprintf(text, sizeof text, "%lld", (long long)value);
    run_set(r, name, text);
}

void run_set_json(struct run *r, const char *name, const struct json_t *value) {
    struct buf text = {0};
    jd_dump(value, &text);
    run_set(r, name, buf_str(&text));
    buf_free(&text);
}

void run_note(struct run *r, const char *level, const char *fmt, ...) {
    va_list ap;
    (void)r;
    (void)level;
    va_start(ap, fmt);
    mem_free(stage.note);
    stage.note = str_vprintf(fmt, ap);
    va_end(ap);
}

struct op *script_job(struct script *s, const char *id, const char *what, const struct op_job *job, void *data, void (*drop)(void *)) {
    struct op *op = MEM_NEW(struct op);
    (void)s;
    (void)id;
    (void)what;
    *op = (struct op){.kind = OP_JOB, .job = job, .data = data, .drop = drop};
    return op;
}

void op_job_done(struct run *r, struct op *op, struct err *e, const char *detail) {
    (void)r;
    (void)op;
    if (stage.done) abort(); /* once */
    stage.e = e;
    stage.detail = mem_strdup(detail);
    stage.done = true;
}

void op_job_progress(struct run *r, struct op *op, int64_t done, int64_t total, const char *unit, const char *text) {
    (void)r;
    (void)op;
    if ((total && done >= total) || (!str_eq(unit, "bytes") && !str_eq(unit, "rows"))) abort(); /* the whole is not shown before it is there */
    str_set(&stage.text, text);
    stage.most = done;
    stage.total = total;
    stage.progressed++;
    if (stage.on_progress) stage.on_progress();
}

void job_stage_forget(void) {
    err_free(stage.e);
    mem_free(stage.detail);
    stage.e = NULL;
    stage.detail = NULL;
    stage.done = false;
    stage.progressed = 0;
    stage.on_progress = stage.next_progress;
    stage.next_progress = NULL;
}

void job_stage_begin(struct run *r, struct pg_fixture *server) {
    r->loop = stage.loop = loop_new();
    stage.facts = map_new();
    stage.server = server;
}

void job_stage_end(void) {
    loop_free(stage.loop);
    map_free(stage.facts, mem_free);
    job_stage_forget();
    mem_free(stage.text);
    mem_free(stage.note);
    stage.text = stage.note = NULL;
}

void job_stage_drop(struct op *op) {
    op->drop(op->data);
    mem_free(op);
}

void job_stage_carry_out(struct run *r, struct op *op) {
    job_stage_forget();
    op->job->start(r, op);
    if (stage.done || !loop_run_until(stage.loop, &stage.done, LIMIT_MS)) abort();
    job_stage_drop(op);
}

const char *job_stage_fact(const struct run *r, const char *name) {
    const char *value = run_fact(r, name);
    return value ? value : "";
}
