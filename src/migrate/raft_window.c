/* The validation window of a turn: nothing is done to the cluster but the write probe's own small write; it is watched until its time is
 * covered by samples. One confirmation begins one window, never the next pod (safety 37); once begun it goes on by itself after a restart
 * of ferryman or of the machine. */
#include <stdio.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "migrate/raft.h"
#include "migrate/run_vault.h"
#include "migrate/window_gates.h"
#include "migrate/window_job.h"

static enum op_answer see_turn(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    const char *pod = raft_fact(r, "name");
    (void)op, (void)seen;
    if (r->preview) return OP_DONE;
    if (!raft_has(r, "done")) {
        buf_printf(reason, "the turn of %s is not done: a window watches over a pod that was moved", pod ? pod : "this pod");
        return OP_REFUSE;
    }
    buf_printf(reason, "%s is on its new volumes", pod);
    return OP_DONE;
}

static enum op_answer see_clock(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    struct err *e = plan_raft_window_fits(raft_spec(r), clock_plan_rate());
    (void)op, (void)seen;
    if (!e) return OP_DONE;
    buf_adds(reason, err_text(e));
    err_free(e);
    return OP_REFUSE;
}

static void script(struct run *r, struct script *s) {
    script_check(s, "turn", "the pod's turn is done", see_turn);
    script_check(s, "clock", "a sample takes at least one second of real time", see_clock);
    window_script(r, s);
}

static const struct step steps[] = {
    {.id = "window", .title = "validation window", .script = script},
    {.id = NULL},
};

static bool may_begin(const struct run *r, struct buf *reason) {
    struct err *e = plan_raft_window_fits(raft_spec(r), clock_plan_rate());
    if (e) {
        buf_adds(reason, err_text(e));
        err_free(e);
        return false;
    }
    if (!raft_has(r, "done")) {
        buf_adds(reason, "the pod's turn is not done");
        return false;
    }
    if (r->vault && !run_vault_has_token(r)) {
        buf_adds(reason, "there is no Vault token, and the write probe needs one: set VAULT_TOKEN, put one into ~/.vault-token, or name a file in the plan");
        return false;
    }
    return raft_may_begin(r, reason);
}

/* What was passed or ended early; a rollback of the pod takes that back. */
static bool undone(const struct run *r) {
    char name[64];
    snprintf(name, sizeof name, "window.%s.done", r->phase->turn);
    return !run_has(r, name);
}

static void add_name(const struct run *r, struct buf *out) {
    const char *pod = raft_pod(r);
    buf_printf(out, "%s%svalidation window", pod ? pod : "", pod ? ": " : "");
}

static int64_t estimate(const struct run *r) {
    return (int64_t)((double)raft_spec(r)->window.duration_ms / clock_plan_rate());
}

static void dialog_gates(struct run *r, struct dialog *d) {
    static const char *const words[] = {
        [WINDOW_PASS] = "PASS", [WINDOW_LATE] = "LATE", [WINDOW_FAIL] = "FAIL", [WINDOW_NO_DATA] = "NO DATA", [WINDOW_NOT_ASKED] = "NOT ASKED",
    };
    struct window_memory memory = WINDOW_MEMORY_NEW;
    struct window_look look;
    if (r->preview || !r->world) return;
    window_look(r, clock_plan_ms(), &memory, &look);
    for (size_t g = 0; g < WINDOW_GATES; g++)
        if (g != WINDOW_WRITE)
            dialog_line(d, "gate", "%s: %s%s%s", window_gate_names[g], words[look.answers[g]], look.reasons[g].len ? ", " : "", buf_str(&look.reasons[g]));
    dialog_line(d, "gate", "write probe: not run yet; it is the first thing that runs");
    window_look_clear(&look);
}

static void dialog(struct run *r, struct dialog *d) {
    const struct plan_raft *p = raft_spec(r);
    char whole[32], sample[32], gap[32], fail[32];
    const char *pod = raft_pod(r);
    clock_format_age(p->window.duration_ms, whole, sizeof whole);
    clock_format_age(p->window.sample_ms, sample, sizeof sample);
    clock_format_age(p->window.max_gap_ms, gap, sizeof gap);
    clock_format_age(p->window.fail_after_ms, fail, sizeof fail);
    dialog_line(d, "object", "pod %s on its new volumes; the cluster is watched, not changed", pod ? pod : "not known");
    dialog_line(d, "will come", "%s covered by samples, one every %s; what no sample covers is not credited", whole, sample);
    dialog_line(d, "will come", "every 30s a write to %s with your token, which is renewed in time", p->vault.write_probe);
    dialog_line(d, "meanwhile", "voters, caught up, unsealed for %s, leader or write probe for 90s: the window begins again", fail);
    dialog_line(d, "meanwhile", "alerts or HTTP for %s: its clock stands; a leader change is recorded, no failure", fail);
    dialog_line(d, "meanwhile", "nothing known for more than %s: it begins again, or goes on with a typed reason", gap);
    dialog_line(d, "meanwhile", "it survives restarts of ferryman and of this machine; the console may be closed");
    dialog_gates(r, d);
    dialog_line(d, "lost", "nothing");
    dialog_line(d, "undo", "abort, or an early end: a typed reason, and three more checks over 90 s with a write");
    dialog_line(d, "note", "this yes begins this window alone: the next pod asks again");
}

#define TURN(n) {.id = "window-" n, .turn = n, .title = "validation window", .name = add_name, .stake = STAKE_REVERSIBLE, .steps = steps, \
                 .wanted = raft_turn_wanted, .may_begin = may_begin, .dialog = dialog, .undone = undone, .estimate_ms = estimate, .resumes = true}
const struct phase raft_phase_window[RAFT_TURNS + 1] = {TURN("1"), TURN("2"), TURN("3"), TURN("4"), TURN("5"), TURN("6"), TURN("last")};
