#include "base/buf.h"
#include "migrate/raft.h"

static enum op_answer not_built(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    (void)r, (void)op, (void)seen;
    buf_adds(reason, "not built yet");
    return OP_REFUSE;
}

static void script(struct run *r, struct script *s) {
    (void)r;
    script_check(s, "built", "this phase is built", not_built);
}

static const struct step steps[] = {
    {"snapshot", "snapshot, proved", script},
    {NULL, NULL, NULL},
};

const struct phase raft_phase_snapshot = {.id = "snapshot", .title = "snapshot, proved", .stake = STAKE_REVERSIBLE, .steps = steps, .may_begin = raft_may_begin};
