/* What the phases of raft-rolling share. Facts are named in doc/journal.md. */
#ifndef FERRYMAN_MIGRATE_RAFT_H
#define FERRYMAN_MIGRATE_RAFT_H

#include <stdbool.h>
#include <stdint.h>

#include "migrate/phase.h"

extern const struct phase raft_phase_preflight, raft_phase_canary, raft_phase_snapshot, raft_phase_template, raft_phase_step_down,
    raft_phase_verify, raft_phase_cleanup, raft_phase_rollback;
/* One per turn: followers 1…RAFT_TURNS, and the former leader as "last". */
#define RAFT_TURNS 6
extern const struct phase raft_phase_pod[RAFT_TURNS + 1], raft_phase_window[RAFT_TURNS + 1];

static inline const struct plan_raft *raft_spec(const struct run *r) {
    return r->workload->spec;
}

/* ---- raft_turn.c: the pods in their turns */

/* Pods of the set: fact replicas (preflight), else as the world has it, else 3. */
int64_t raft_replicas(const struct run *r);
/* Whether the turn of run->phase is one that this set has: "last" always, N while N < replicas. */
bool raft_turn_wanted(const struct run *r);
/* The fact of this turn: raft_fact(r, "name") is the fact pod.TURN.name, NULL as run_fact. */
const char *raft_fact(const struct run *r, const char *name);
bool raft_has(const struct run *r, const char *name);
void raft_set(struct run *r, const char *name, const char *value);
/* The pod of this turn: as chosen (fact pod.TURN.name), else as it would be chosen now from the world; NULL: not known. */
const char *raft_pod(const struct run *r);
/* A pod whose turn is done or under way, by its name: the turn; NULL: not moved yet. */
const char *raft_turn_of(const struct run *r, const char *pod);
/* The leader as the world has it now, fresh; NULL: none known. */
const char *raft_leader(const struct run *r);
/* World only, for may_begin: every voter healthy, unsealed and level, tolerance at least 1 (safety 14); a pod that has begun: every OTHER
 * voter. Appends the reason and returns false. */
bool raft_budget(const struct run *r, bool begun, struct buf *reason);
/* What may_begin of every raft phase asks: hours, identity, sources fresh. */
bool raft_may_begin(const struct run *r, struct buf *reason);

#endif
