/* Sessions that are kept (safety 25), the statements that end what an earlier holder has left, and the life of all sessions. */
#include "base/mem.h"
#include "base/secret.h"
#include "base/str.h"
#include "client/pg_conn.h"
#include "loop/loop.h"
#include "migrate/run_pg_private.h"

/* ---- Kept sessions ---- */

void run_pg_holds(struct session *s) {
    const struct run *r = s->pg->run;
    s->held = true;
    str_set(&s->phase, r->runner ? op_runner_phase(r->runner) : "");
}

/* Only in the phase that asked for it: the next one asks for itself. While a runner is at work it ends; between two steps the loss is
 * remembered for the next. */
void run_pg_hold_is_lost(struct session *s, const struct err *e) {
    struct run_pg *p = s->pg;
    struct op_runner *x = p->run->runner;
    struct err *lost = err_wrap(err_copy(e), "the session that holds the lock on the database was lost");
    err_set_kind(lost, ERR_LOCKED);
    if (x && str_eq(op_runner_phase(x), s->phase)) {
        op_runner_fail(x, lost);
    } else {
        err_free(p->lost);
        p->lost = lost;
        str_set(&p->lost_phase, s->phase);
    }
}

struct err *run_pg_take_loss(struct run *r, const char *phase) {
    struct err *lost = r->pg ? r->pg->lost : NULL;
    if (!lost) return NULL;
    r->pg->lost = NULL;
    if (str_eq(r->pg->lost_phase, phase)) return lost;
    err_ignore(lost, "what another phase kept is nothing to this one");
    return NULL;
}

/* Children have the run's application_name, and so have we: what is not ours is theirs. */
#define OF_RUN "FROM pg_stat_activity WHERE application_name = 'ferryman/%s' AND pid NOT IN (:ours)"

const char *run_pg_sql_end_backends(struct run *r) {
    if (r->preview || !r->pg) return "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'ferryman/‹run›' AND pid NOT IN (:ours)";
    if (!r->pg->end_sql) r->pg->end_sql = str_printf("SELECT count(pg_terminate_backend(pid)) " OF_RUN, r->id);
    return r->pg->end_sql;
}

const char *run_pg_sql_count_backends(struct run *r) {
    if (r->preview || !r->pg) return "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'ferryman/‹run›' AND pid NOT IN (:ours)";
    if (!r->pg->count_sql) r->pg->count_sql = str_printf("SELECT count(*) " OF_RUN, r->id);
    return r->pg->count_sql;
}

/* ---- Life ---- */

/* We end it ourselves: what a kept session held is not lost, it is given back. */
void run_pg_close(struct run *r, enum run_db db) {
    struct run_pg *p = r->pg;
    if (!p) return;
    for (struct session *s = p->sessions; s; s = s->db == db ? p->sessions : s->next) { /* from the start: failing one may fail others */
        if (s->db != db) continue;
        s->held = false;
        session_fail(s, err_new(ERR_UNAVAILABLE, "%s: the session was closed", s->name));
    }
    run_pg_way_close(&p->ways[db]);
    run_pg_env_close(p, db);
}

struct run_pg *run_pg_new(struct run *r) {
    struct run_pg *p = MEM_NEW(struct run_pg);
    p->run = r;
    for (int db = DB_SERVER; db <= DB_SCRATCH; db++) p->ways[db] = (struct way){.pg = p, .db = (enum run_db)db};
    run_pg_env_clean(p);
    return p;
}

void run_pg_free(struct run_pg *p) {
    if (!p) return;
    while (p->envs) run_pg_env_cancel(p->run, p->envs->arg);
    while (p->sessions) session_drop(p->sessions);
    while (p->ended) session_drop(p->ended);
    for (int db = DB_SERVER; db <= DB_SCRATCH; db++) {
        run_pg_way_close(&p->ways[db]);
        run_pg_env_close(p, (enum run_db)db);
    }
    secret_free(p->password);
    err_free(p->lost);
    mem_free(p->lost_phase);
    mem_free(p->end_sql);
    mem_free(p->count_sql);
    for (size_t i = 0; i < p->nenv; i++) mem_free(p->env[i]);
    mem_free(p->env);
    mem_free(p);
}
