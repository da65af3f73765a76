/* A run: one workload of the plan while it is being moved. What phases are given: who and where, the facts that were noted, the
 * sessions. A fact is a text under a name, journaled with the next record that is written, so it is durable before the next act;
 * after a restart the journal gives all of them back. Names are in doc/journal.md; never a secret, never row data. */
#ifndef FERRYMAN_MIGRATE_RUN_H
#define FERRYMAN_MIGRATE_RUN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"
#include "migrate/op.h"
#include "migrate/plan.h"

struct journal;
struct json_t;
struct kube_client;
struct kube_config;
struct lock;
struct loop;
struct map;
struct phase;
struct pg_conn;
struct secret;
struct world;

struct run {
    struct loop *loop;
    struct world *world;
    const struct plan *plan;
    const struct plan_workload *workload;
    struct kube_client *kube;
    const struct kube_config *config;
    struct journal *journal; /* NULL in a preview without one */
    struct lock *lock;       /* NULL in a preview */
    const char *dir;         /* the plan's state folder */
    const char *id;          /* of the journal: names scratch objects, application_name, annotations */
    const char *operator_name;
    /* Writes the recovery state into the cluster (safety 26) before an irreversible act; NULL: there is none to write. */
    void (*save_state)(void *arg, void (*fn)(void *fn_arg, const struct err *e), void *fn_arg);
    void *save_arg;
    void (*on_progress)(void *arg, const struct op *op, int64_t done, int64_t total, const char *unit, const char *text);
    void *progress_arg;
    void (*on_notify)(void *arg, const char *event, const char *name, const char *state, const char *text); /* NULL: nobody wants to know */
    void *notify_arg;
    const struct phase *phase; /* at work, or being asked (its hooks); never NULL inside a hook or a script */
    bool preview;            /* nothing is carried out: facts that are not known yet read as "‹name›" */
    struct map *facts;       /* name → char *; private from here on */
    struct map *placeholders;
    struct run_pg *pg;
    struct run_vault *vault; /* run_vault.h; NULL for other kinds */
    struct op_runner *runner;
};

/* NULL if it is not noted; in a preview a placeholder, unless it is noted. Valid until it is set again. */
const char *run_fact(const struct run *r, const char *name);
bool run_has(const struct run *r, const char *name);          /* noted and not "" */
int64_t run_fact_int(const struct run *r, const char *name, int64_t fallback);
/* Parsed; NULL if it is not noted or no JSON. To be freed with jd_free. */
struct json_t *run_fact_json(const struct run *r, const char *name) MUST_CHECK;
/* The noted facts, in no order: size_t it = 0; while (run_each_fact(r, &it, &name, &value)) … Setting one ends the walk. */
bool run_each_fact(const struct run *r, size_t *it, struct slice *ret_name, const char **ret_value);
/* Notes it ("" takes it back): a journal record {"t":"fact"} when the value changed. Nothing in a preview. */
void run_set(struct run *r, const char *name, const char *value);
void run_set_int(struct run *r, const char *name, int64_t value);
void run_set_json(struct run *r, const char *name, const struct json_t *value);
/* A line for the operator: timeline and journal {"t":"note"}. level: INFO, GOOD, WARN, BAD. */
void run_note(struct run *r, const char *level, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* Tells whom the plan says (notify.h): event "phase" or "window", the phase's id, "begun", "done", …, and a line in words. */
void run_notify(const struct run *r, const char *event, const char *name, const char *state, const char *text);
/* The reason that was typed for overriding that gate in this phase, or NULL (safety 35): the fact override.GATE. */
const char *run_override(const struct run *r, const char *gate);

/* ---- Fields that we rely on (foreign.h reads them) ----
 * From now on until run_unwatch_field the object at `path` is read every few seconds while a phase is under way; when the value at the
 * JSON pointer is no longer `expected` (JSON text, "null" for absent), the phase is paused and the field manager named (safety 27).
 * Kept as facts watch.HASH = {"path","pointer","expected","label"}, so that it outlives a restart; "" is one that is not watched any
 * more. label: "deployment/immich-server replicas". */
void run_watch_field(struct run *r, const char *path, const char *pointer, const char *expected, const char *label);
void run_unwatch_field(struct run *r, const char *path, const char *pointer);

/* ---- PostgreSQL (run_pg.c) ----
 * A session is opened when it is first needed and kept; each proves before its first use that its server is the pod it should be:
 * the pod's own port-forward, or inet_server_addr() = the pod's address; and that its system identifier is the one expected (fact
 * pg.identifier.old before swap, pg.identifier.new after; scratch: pg.identifier.scratch), unless identity_any. */
struct run_query {
    enum run_db db;
    const char *database; /* NULL: the plan's */
    /* One statement. ":ours" in it stands for the pids of our sessions there, e.g. "… WHERE pid NOT IN (:ours)". */
    const char *sql;
    bool write;           /* a session that may write: default_transaction_read_only=off; else the session is read-only */
    bool identity_any;
    int64_t timeout_ms;   /* statement_timeout; 0: 30 s */
    int64_t begin_by_ms;  /* mono: not sent (ERR_UNAVAILABLE) if the session is there only after that; 0: no matter */
};
struct run_asked;
/* fn once: rows or an error (borrowed). Connection losses are errors; the next query connects again. */
struct run_asked *run_query(struct run *r, const struct run_query *q, void (*fn)(void *arg, const struct pg_rows *rows, const struct err *e),
                            void *arg);
void run_query_free(struct run_asked *a); /* without a callback if it still runs; also after it, and inside fn */
/* The same over a session of its own that is kept until run_pg_close or the end of the run, e.g. for an advisory lock on the target
 * (safety 25). If it is lost, the runner of the phase that asked for it ends with an error (between two steps: the next act of that
 * phase does). One is held per db and sql: asking again is answered over it, or over a new one, if it was lost. */
struct run_asked *run_pg_hold(struct run *r, const struct run_query *q,
                              void (*fn)(void *arg, const struct pg_rows *rows, const struct err *e), void *arg);
/* A statement that ends every backend of this run but our own sessions (children of a fenced holder), and one that counts them: its
 * answer must be 0 before anything is written. Valid as long as the run. */
const char *run_pg_sql_end_backends(struct run *r);
const char *run_pg_sql_count_backends(struct run *r);
/* Where the database is now, for children (pg_dumpall, psql): environment of libpq (PGHOST, PGPORT, PGUSER, PGPASSFILE of our own,
 * PGAPPNAME=ferryman/ID, PGOPTIONS as given), NULL-terminated, owned by the run until the next call. The password is in a
 * 0600 file below dir that is removed with the sessions, never in argv or the environment. Comes by callback, since the port-forward
 * or the address may have to be found and the identity proved first. */
void run_pg_env(struct run *r, enum run_db db, const char *pgoptions, void (*fn)(void *arg, const char *const *env, const struct err *e), void *arg);
void run_pg_env_cancel(struct run *r, const void *arg); /* callbacks of run_pg_env with that arg do not come any more */
/* Ends all sessions and forwards of that kind (before the server stops, after it was replaced). */
void run_pg_close(struct run *r, enum run_db db);
/* The pod that DB leads to (facts: pod.server.name/uid/ip, pod.scratch.name/uid/ip) is noted by the phases that start or find it. */

/* ---- Life (migration.c) ---- */
struct run *run_new(const struct run *fields) MUST_CHECK; /* copies the public fields; facts empty */
void run_free(struct run *r);
void run_restore_fact(struct run *r, const char *name, const char *value); /* from the journal: not journaled again */

#endif
