/* Operations: the smallest things that the engine does, and scripts of them.
 *
 * A step of a phase is a script: operations that are carried out one after another. Each says how it is seen whether it is so
 * already (a GET, a query, the world), and an act also how it is made so. The same script is printed as the preview, tried as
 * a server-side dry run before the dialog, and carried out; so what was shown is what is done.
 *
 * How an act is carried out (op_runner.c), which is the whole of crash safety in one place:
 *   1. look: read what it rests on. DONE: journal "already", go on. REFUSE: the phase stops with the reason.
 *   2. journal the intent {"t":"act"}; wait until it is durable.
 *   3. fence: the lock is ours and what was looked at is younger than 2 s, else from 1 again (the intent stays).
 *   4. send, on a connection of its own (libcurl repeats a request on a reused one that dies).
 *   5. journal {"t":"outcome"}. No answer, or a conflict: look again; DONE: the outcome is "lost-answer-done".
 * After a crash the step begins again from its first operation: acts that were done are seen by 1 and never repeated. An act
 * that cannot be seen afterwards must not be an operation.
 *
 * Texts are clean (utf8_clean) and without secrets: `what`, paths and bodies are shown and journaled (bodies through
 * op_masked). Row data and query text of others never occur. */
#ifndef FERRYMAN_MIGRATE_OP_H
#define FERRYMAN_MIGRATE_OP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

struct json_t;
struct op;
struct pg_rows;
struct run;
struct script;

enum op_answer {
    OP_TODO,   /* it is not so yet: an act is carried out, a wait goes on (the reason says for what it waits) */
    OP_DONE,   /* it is so */
    OP_REFUSE, /* it must not or cannot become so: the phase stops; the reason names the thing, the place, the remedy */
};

/* What an operation sees. */
struct seen {
    int status;                 /* of the GET: 200, 404; other statuses never come here (they are retried or refused) */
    const struct json_t *doc;   /* its body; NULL for 404, and for what is no JSON */
    struct slice text;          /* the body as it came (a pod's log), absent for 404 */
    const struct pg_rows *rows; /* of the query */
};

/* Judges, and may note facts (run_set). Appends the reason; what was appended for OP_DONE is the result that is shown. */
typedef enum op_answer (*op_see_fn)(struct run *r, struct op *op, const struct seen *seen, struct buf *reason);

enum op_kind { OP_READ, OP_WAIT, OP_ACT, OP_JOB, OP_CALL };

/* Work of its own that takes time and is not one request: dump, restore. Interrupted, it is begun again from nothing. */
struct op_job {
    /* Ends by op_job_done, from the loop, never inside start. */
    void (*start)(struct run *r, struct op *op);
    /* Gives it up: children ended, files removed. op_job_done is not called any more. Must be ready to be started again. */
    void (*cancel)(struct run *r, struct op *op);
    void (*pause)(struct run *r, struct op *op, bool paused); /* NULL: it cannot be paused */
};

/* The database sessions of a run (run_pg.c). All are superuser sessions; READ ones are read-only sessions. */
enum run_db {
    DB_SERVER,  /* what serves under the plan's conninfo: the source before swap, the target after it */
    DB_SCRATCH, /* the rehearsal's pod */
};

struct op {
    enum op_kind kind;
    char *id;          /* unique within its step, stable over restarts: "scale immich-server" */
    char *what;        /* for the operator: "scale deployment/immich-server from 2 to 0" */
    op_see_fn see;
    /* Looking: `get` or `look`; neither: `see` is asked with an empty struct seen (it looks at the world or at facts). */
    char *get;         /* path of a GET */
    enum run_db db;
    char *database;    /* of look and sql; NULL: the maintenance database of the plan */
    char *look;        /* a query that reads */
    /* Doing (OP_ACT): a request, or a statement. */
    /* Vault instead of the API server: `get` and `path` are Vault's own ("/v1/sys/leader"), asked of this node (pod); every status that
     * Vault itself answers with comes to see (seen.status: 200, 429, 473, 501, 503, 530, …). */
    char *vault;
    bool token;         /* Vault's token is sent */
    char *method, *path, *content_type; /* of OP_READ and OP_WAIT: what is asked instead of `get` (script_ask) */
    struct json_t *body; /* owned; NULL: none */
    char *sql;
    bool identity_any;  /* the session may be of a server whose identifier is not noted yet (first boot) */
    bool dry;           /* may be tried with dryRun=All before the phase begins (set for requests; op_dry_new says what it leaves out) */
    bool hold;          /* a look or statement over the run's kept session (run_pg_hold) */
    bool irreversible;  /* the lock is confirmed with a round trip, the recovery Secret rewritten before it */
    int64_t deadline_ms; /* OP_WAIT: from its beginning (0: 5 min); others: of one try (0: 30 s; queries of OP_READ 6 h, statements a day) */
    int64_t poll_ms;     /* OP_WAIT: 0: 500 ms, and at once when the world changes */
    struct op *guards;   /* of an act: script_guard_get */
    const struct op_job *job;
    void (*call)(struct run *r, struct script *s, struct op *op); /* OP_CALL: appends operations right behind itself */
    void *data;         /* of job, call or see */
    void (*drop)(void *data);
    struct op *next;
    bool called;         /* private: OP_CALL was carried out */
    bool creates;        /* private: judged as script_create says, then by see */
    char *uid;           /* private: judged as script_delete says, then by see */
};

/* ---- Building scripts. `id` and `what` are printf'd by the caller into script_fmt where needed; all strings are copied. */

/* Reads and judges: OP_TODO is like OP_REFUSE. */
struct op *script_get(struct script *s, const char *id, const char *what, const char *path, op_see_fn see);
struct op *script_query(struct script *s, const char *id, const char *what, enum run_db db, const char *database, const char *sql,
                        op_see_fn see);
/* Judges facts and the world, without asking anybody. */
struct op *script_check(struct script *s, const char *id, const char *what, op_see_fn see);
/* Asks by a POST that changes nothing (SelfSubjectAccessReview and the like; any other is refused). `body` is taken over. */
struct op *script_ask(struct script *s, const char *id, const char *what, const char *path, struct json_t *body, op_see_fn see);
/* Waits until see answers DONE. path/sql NULL: looks at the world and facts. */
struct op *script_wait(struct script *s, const char *id, const char *what, const char *path, op_see_fn see, int64_t deadline_ms);
struct op *script_wait_query(struct script *s, const char *id, const char *what, enum run_db db, const char *database, const char *sql,
                             op_see_fn see, int64_t deadline_ms);
/* JSON Patch (RFC 6902) on the object at `path`, which is also what is looked at. `patch` is taken over; it must begin with a test of
 * /metadata/uid, which script_patch_new writes: an object of another uid is refused before see is asked. see NULL: DONE when every
 * value that the patch sets is there. */
struct op *script_patch(struct script *s, const char *id, const char *what, const char *path, struct json_t *patch, op_see_fn see);
struct json_t *script_patch_new(const char *uid) MUST_CHECK;
void script_patch_test(struct json_t *patch, const char *pointer, struct json_t *value);
void script_patch_set(struct json_t *patch, const char *op /* add, replace, remove */, const char *pointer, struct json_t *value);
/* POST of `object` (taken over, with metadata.name) to `collection`; looked at by its name: 404 is TODO; one that is there with
 * our annotation ferryman.io/run is DONE, any other is REFUSE. see may be NULL; it is asked for one that is ours (its uid → facts). */
struct op *script_create(struct script *s, const char *id, const char *what, const char *collection, struct json_t *object, op_see_fn see);
/* DELETE with preconditions.uid and propagationPolicy Background (pods: gracePeriodSeconds too). Gone, another uid or already
 * Terminating: DONE. see (may be NULL) judges the live object before. grace_s < 0: not set. */
struct op *script_delete(struct script *s, const char *id, const char *what, const char *path, const char *uid, int64_t grace_s,
                         op_see_fn see);
/* The same with propagationPolicy Orphan: what it owns (pods) stays as it is. */
struct op *script_orphan(struct script *s, const char *id, const char *what, const char *path, const char *uid, op_see_fn see);
/* What an act rests on beside its own object (safety 2): read and judged after its look and before its request, so that all of it is
 * younger than 2 s when that is sent. Not asked when the act is seen to be done already; anything but DONE stops the phase. */
struct op *script_guard_get(struct op *act, const char *what, const char *path, op_see_fn see);
struct op *script_guard_vault(struct op *act, const char *what, const char *node, const char *path, bool token, op_see_fn see);
/* One statement; `look` and see judge whether it has been done. */
struct op *script_sql(struct script *s, const char *id, const char *what, enum run_db db, const char *database, const char *sql,
                      const char *look, op_see_fn see);
/* Vault (run_vault.h). An act is a POST or PUT of `body` (may be NULL; taken over) that `look` and see judge. */
struct op *script_vault_get(struct script *s, const char *id, const char *what, const char *node, const char *path, bool token, op_see_fn see);
struct op *script_vault_wait(struct script *s, const char *id, const char *what, const char *node, const char *path, bool token, op_see_fn see,
                             int64_t deadline_ms);
struct op *script_vault_act(struct script *s, const char *id, const char *what, const char *node, const char *method, const char *path,
                            struct json_t *body, const char *look, op_see_fn see);
struct op *script_job(struct script *s, const char *id, const char *what, const struct op_job *job, void *data, void (*drop)(void *));
/* Decides what comes next once everything before it is done; in a preview it is called at once. */
struct op *script_call(struct script *s, const char *id, void (*call)(struct run *r, struct script *s, struct op *op), void *data,
                       void (*drop)(void *));
/* A printf whose result lives as long as the script. */
const char *script_fmt(struct script *s, const char *fmt, ...) PRINTF_LIKE(2, 3);

struct script *script_new(void);
void script_free(struct script *s);
const struct op *script_first(const struct script *s);
/* For previews and dialogs: carries out every OP_CALL at once, so that all operations are there to be read. */
void script_expand(struct run *r, struct script *s);
/* One act or read as text for preview and dialog: "PATCH /apis/apps/v1/… test uid=…, replicas=2; replace replicas=0". */
void op_text(const struct op *op, struct buf *out);
/* A body with the values of Secrets, environment variables and annotations like passwords masked. */
void op_masked(const struct json_t *body, struct buf *out);

/* ---- Carrying out. One runner per step at work. */

struct op_runner;

struct op_runner_events {
    /* What is being done or waited for, in words ("WHAT: reason"), changed; deadline (mono ms, 0: none) of a wait. */
    void (*on_state)(void *arg, const struct op *op, const char *reason, int64_t deadline_ms);
    /* An operation is done; result in words, "" if there is nothing to say. May be NULL. */
    void (*on_result)(void *arg, const struct op *op, const char *result);
    /* Everything is done (e NULL), or it stopped: e is ERR_FAILED (refused, deadline), ERR_LOCKED (fenced), ERR_CANCELLED (aborted). */
    void (*on_done)(void *arg, const struct err *e);
};

/* Takes the script over. Events come from the loop. phase and step are for the journal; copied. */
struct op_runner *op_runner_new(struct run *r, struct script *s, const char *phase, const char *step, const struct op_runner_events *ev,
                                void *arg);
void op_runner_free(struct op_runner *x);       /* gives up what is under way; on_done does not come */
void op_runner_pause(struct op_runner *x, bool paused); /* between operations; waits stand still, jobs are paused if they can */
/* At the next point where no act is in flight: on_done with ERR_CANCELLED. False: an act is in flight now (it will be then). */
bool op_runner_abort(struct op_runner *x);
/* An act was sent, and what became of it is not known and recorded yet. */
bool op_runner_in_flight(const struct op_runner *x);
/* Turn of the world: waits look again. */
void op_runner_poke(struct op_runner *x);
/* From a job. e is taken over. detail: the result in words, may be NULL. */
void op_job_done(struct run *r, struct op *op, struct err *e, const char *detail);
/* From a job: progress; total 0: unknown. unit: "bytes", "rows". text: what now, e.g. "COPY public.asset". */
void op_job_progress(struct run *r, struct op *op, int64_t done, int64_t total, const char *unit, const char *text);

/* Tries every request of the script that has `dry` with dryRun=All; fn comes once, with the first refusal (e.g. 403, 422, quota) or
 * NULL; note: what could not be tried, or NULL. Left out is what rests on acts before it: a patch whose tests do not hold yet, the
 * deletion of what is not there yet, anything with a "‹fact›" that is not known yet. A create whose name is taken is tried under
 * another. A refusal by a webhook for being a dry run is a note. Free to cancel, also in fn. */
struct op_dry;
struct op_dry *op_dry_new(struct run *r, const struct script *s, void (*fn)(void *arg, const struct err *e, const char *note), void *arg);
void op_dry_free(struct op_dry *d);

#endif
