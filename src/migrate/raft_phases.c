/* The table of the kind: what an operator starts, in order. Each follower has a turn and a window; the former leader is last. */
#include "migrate/raft.h"
#include "migrate/raft_rescue.h"

#define TURN(i) &raft_phase_pod[i], &raft_phase_window[i]

static const struct phase *const order[] = {
    &raft_phase_preflight,
    &raft_phase_canary,
    &raft_phase_snapshot,
    &raft_phase_template,
    TURN(0), TURN(1), TURN(2), TURN(3), TURN(4), TURN(5),
    &raft_phase_step_down,
    TURN(RAFT_TURNS),
    &raft_phase_verify,
    &raft_phase_cleanup,
    NULL,
};

const struct phase_table raft_phases = {
    .kind = &plan_kind_raft,
    .phases = order,
    .rollback = &raft_phase_rollback,
    .rollback_in_part = true,
    .rescue = raft_rescue_text,
};
