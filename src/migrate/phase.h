/* Phases and steps: what an operator starts, and what the engine then does. A kind of workload has one const table of phases
 * (postgres_phases.c), one file per phase (postgres_*.c). */
#ifndef FERRYMAN_MIGRATE_PHASE_H
#define FERRYMAN_MIGRATE_PHASE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "migrate/run.h"

/* What a dialog asks for. */
enum stake {
    STAKE_REVERSIBLE, /* y */
    STAKE_HARD,       /* the object's name */
    STAKE_PURGE,      /* the context's name */
};

struct step {
    const char *id, *title; /* "claim", "the new claim" */
    /* Appends the step's operations. Called when the step begins (and begins again), and for previews. */
    void (*script)(struct run *r, struct script *s);
};

/* A line of the dialog. label: "will go", "will come", "meanwhile", "proof", "undo", "lost", "from", "to" … */
struct dialog;
void dialog_line(struct dialog *d, const char *label, const char *fmt, ...) PRINTF_LIKE(3, 4);

struct phase {
    const char *id, *title;   /* "swap", "swap claim and first boot" */
    /* Of phases that a kind has several times, once per pod: "1", "2", …, "last"; NULL. All hooks and scripts of such a phase find it
     * as run->phase->turn; a turn that is not wanted has no row. */
    const char *turn;
    /* The title now ("vault-0, follower: swap and rejoin"), appended; NULL: the title above. */
    void (*name)(const struct run *r, struct buf *out);
    bool resumes;             /* it only watches: the engine goes on with it by itself after a restart */
    enum stake stake;
    const struct step *steps; /* ends with {NULL} */
    bool optional;            /* rehearse: may be skipped with a typed reason */
    bool (*wanted)(const struct run *r);          /* NULL: always; false: the phase is shown as NOT NEEDED and passed over */
    const char *(*object)(const struct run *r);   /* what is typed for STAKE_HARD; NULL: the plan kind's object name */
    /* Why it must not begin now (stale facts, gates; world and facts only): appends the reason and returns false. */
    bool (*may_begin)(const struct run *r, struct buf *reason);
    void (*dialog)(struct run *r, struct dialog *d);
    /* It was done, but what it found holds no more: it comes next again. NULL: what is done stays done. */
    bool (*undone)(const struct run *r);
    /* It was under way when the engine died or a step failed: where it begins again. NULL: at the step that was under way. */
    const char *(*begin_at)(const struct run *r);
    int64_t (*estimate_ms)(const struct run *r);  /* NULL or 0: no ground for one */
    const char *one_act;      /* id of the step whose operations are one act in the operator's eyes (safety 23): signals and pauses wait for its end */
    size_t looks;             /* of a rollback: so many steps at its beginning only look; one that ends in them leaves the way forward open */
    bool no_rollback_after;   /* "resume apps": rollback would lose writes from here on */
};

struct phase_table {
    const struct plan_kind *kind;
    const struct phase *const *phases; /* in order; ends with NULL */
    const struct phase *rollback;   /* its steps look at the facts and take back what was done */
    /* A rollback takes back the last pod alone: facts stay but for those that its script has taken back, and the phases that are
     * undone by that come next again. */
    bool rollback_in_part;
    /* What to do by hand when nothing here helps any more, for this very workload; appended, lines ended by newlines. NULL: nothing. */
    void (*rescue)(const struct run *r, struct buf *out);
    bool one_claim;                 /* it moves a single claim: every dialog says from where and to where */
};

extern const struct phase_table postgres_phases, raft_phases;
/* NULL if that kind cannot be moved yet. */
const struct phase_table *phase_table_of(const struct plan_kind *kind);
const struct phase *phase_by_id(const struct phase_table *t, const char *id);

#endif
