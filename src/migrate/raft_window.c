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
    {"window", "validation window", script},
    {NULL, NULL, NULL},
};

#define TURN(n) {.id = "window-" n, .turn = n, .title = "validation window", .stake = STAKE_REVERSIBLE, .steps = steps, .wanted = raft_turn_wanted, .may_begin = raft_may_begin, .resumes = true}
const struct phase raft_phase_window[RAFT_TURNS + 1] = {TURN("1"), TURN("2"), TURN("3"), TURN("4"), TURN("5"), TURN("6"), TURN("last")};
