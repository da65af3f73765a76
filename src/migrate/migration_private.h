/* What the files of migration share. */
#ifndef FERRYMAN_MIGRATE_MIGRATION_PRIVATE_H
#define FERRYMAN_MIGRATE_MIGRATION_PRIVATE_H

#include "migrate/intent.h"
#include "migrate/journal.h"
#include "migrate/lock.h"
#include "migrate/migration.h"
#include "migrate/op.h"
#include "migrate/phase.h"
#include "migrate/run.h"

struct foreign;
struct json_t;

enum phase_state {
    PHASE_TODO, PHASE_RUNNING, PHASE_PAUSED, PHASE_INTERRUPTED, PHASE_DONE, PHASE_FAILED, PHASE_SKIPPED,
};

enum step_state { STEP_TODO, STEP_RUNNING, STEP_DONE, STEP_FAILED, STEP_INTERRUPTED };

struct result {
    char *what, *text;
    bool act;
};

struct step_now {
    struct result *results;
    size_t nresults;
    enum step_state state;
    char *detail;
    int64_t done, total;       /* total 0: not known; done -1: none to show */
    char *unit;
    int64_t since, ended;      /* wall */
    int64_t deadline;          /* mono; 0: none */
    int64_t measured_from, measured_done; /* mono and amount at the first progress: what a rate is made of */
    int64_t left;              /* ms; <= 0: no ground for it */
};

struct phase_now {
    const struct phase *phase;
    enum phase_state state;
    char *title;               /* as it was last asked for, phase_title */
    char *reason, *by, *not_begun; /* not_begun: why it was not the last time that it was tried, as was told */
    int64_t started, ended;    /* wall */
    int tries;
    bool acted;                /* it came beyond the steps that only look (phase.h) */
    struct step_now *steps;
    size_t nsteps;
};

enum begin_stage { BEGIN_NONE, BEGIN_LOCK, BEGIN_LOAD, BEGIN_SAVE, BEGIN_JOURNAL };

/* One workload that can be moved. */
struct mover {
    struct migration *m;
    const struct plan_workload *w;
    const struct phase_table *table;
    struct run *run;
    struct lock *lock;
    struct foreign *foreign;
    struct phase_now *phases;  /* as in the table, and the rollback at the end */
    size_t nphases;
    struct phase_now *current; /* NULL: nothing is under way */
    size_t step;
    struct op_runner *runner;
    enum begin_stage stage;    /* of the phase that is being begun */
    bool paused, aborting, rolled_back, no_way_back;
    bool goes_on;              /* what only watches lost its lock here: it begins again by itself, and the process stays for it */
    char *read_only;           /* why nothing may be done; NULL: it may */
    int64_t lock_since, resume_at; /* wall; mono: when a phase that resumes by itself is tried next */
    enum lock_state lock_was;
};

#define DIALOG_LIMIT 8

struct dialog_line_text {
    char *label, *text;
};

struct dialog {
    struct migration *m;
    struct mover *mover;
    struct phase_now *phase;
    unsigned number, peer;
    char key[24];
    const char *state;         /* as T_DIALOGS has it */
    char *reason, *typed, *fingerprint, *button;
    int64_t opened;
    struct script *script;     /* of all steps, for the dry run */
    struct op_dry *dry;
    struct dialog_line_text *lines;
    size_t nlines;
    struct dialog *next;
};

struct migration {
    struct loop *loop;
    struct world *world;
    const struct plan *plan;
    const struct kube_config *config;
    struct kube_client *kube;
    char *dir, *operator_name, *host;
    struct journal *journal;   /* NULL: it cannot be used, see broken */
    char *broken;
    bool look, looking, elsewhere;   /* without a journal of ours: it is read as it grows; another process is at work on it */
    int64_t looked_size, looked_at;
    struct mover *movers;
    size_t nmovers;
    struct dialog *dialogs;
    unsigned last_dialog;
    struct notify *notify;     /* NULL: this one only looks */
    bool notifying;            /* it was busy lately: the end waits for it */
    struct {
        bool on;
        unsigned peer;
        int64_t until;         /* mono */
        char *answer;
        int64_t answered;
    } arming;
    void (*on_idle)(void *arg);
    void *arg;
    void (*on_ended)(void *arg);
    void *ended_arg;
    unsigned releasing;
};

/* ---- migration.c */
struct mover *migration_mover(struct migration *m, const char *workload);
struct phase_now *mover_phase(struct mover *v, const char *id);
/* The phase that comes next: a rollback that has begun to act, or the first that is neither done, skipped nor unwanted; NULL: all are. */
struct phase_now *mover_next(const struct mover *v);
bool phase_wanted(const struct mover *v, const struct phase_now *p);
bool phase_undone(const struct mover *v, const struct phase_now *p); /* it was done, and is no more */
const char *phase_title(const struct mover *v, struct phase_now *p); /* valid until it is asked again */
/* Its hooks are asked from here on until the run is given back with what this returned. */
const struct phase *phase_ask(const struct mover *v, const struct phase *p);
const char *phase_typed(const struct mover *v, const struct phase *p);
/* A record with t, workload and phase (both may be NULL) to which the caller adds. */
struct json_t *migration_record(const struct mover *v, const char *t, const struct phase_now *p) MUST_CHECK;
void migration_write(struct migration *m, struct json_t *record, void (*fn)(void *arg, const struct err *e), void *arg); /* taken over */

/* ---- migration_look.c */
void migration_look(struct migration *m);

/* ---- migration_fold.c */
void migration_fold(void *migration, const struct json_t *record);
/* A step begins: whether the phase may have changed something since. */
void phase_step_begins(struct phase_now *p, size_t step);
void mover_forget(struct mover *v); /* after a rollback: facts and phases as at the beginning */

/* ---- migration_phase.c */
void mover_begin(struct mover *v, struct phase_now *p);
void mover_pause(struct mover *v, bool paused, const char *why);
bool mover_abort(struct mover *v); /* false: an act is in flight; it ends after it */
void mover_lock_state(void *mover, enum lock_state s, const struct err *e);
/* A change of the state of a phase, for whom the plan says. */
void mover_notify(struct mover *v, struct phase_now *p, const char *state, const char *reason);
void mover_progress(void *mover, const struct op *op, int64_t done, int64_t total, const char *unit, const char *text);
bool mover_busy(const struct mover *v);
bool mover_in_one_act(const struct mover *v); /* a step is at work whose operations are one act: nothing stops between them */

/* ---- migration_rows.c */
void mover_rows(struct mover *v);
void mover_step_row(struct mover *v, struct phase_now *p, size_t step);
void mover_result_row(struct mover *v, const struct phase_now *p, size_t step, size_t result);
/* Frees what a step holds and empties it; its rows go. */
void mover_step_clear(struct mover *v, struct phase_now *p, size_t step);
void step_add_result(struct step_now *s, const char *what, const char *text, bool act);
void arming_row(struct migration *m);

/* ---- migration_dialog.c */
struct err *dialog_open(struct migration *m, unsigned peer, struct mover *v, struct phase_now *p) MUST_CHECK;
struct err *dialog_confirm(struct migration *m, unsigned peer, const struct intent *in) MUST_CHECK;
void dialog_cancel(struct migration *m, unsigned peer, const char *key, const char *reason);
void dialogs_tick(struct migration *m);
void dialogs_free(struct migration *m, bool all, unsigned peer);

#endif
