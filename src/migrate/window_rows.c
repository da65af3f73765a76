/* See window_rows.h. Times are the plan's; readers know the wall's clock alone, so they are given as such (the two differ in a sandbox). */
#include "migrate/window_rows.h"

#include <stdio.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/str.h"
#include "migrate/raft.h"
#include "world/world.h"

static const char *const answer_words[] = {
    [WINDOW_PASS] = "PASS", [WINDOW_LATE] = "LATE", [WINDOW_FAIL] = "FAIL", [WINDOW_NO_DATA] = "NO DATA", [WINDOW_NOT_ASKED] = "NOT ASKED",
};

struct window_rules window_rules_of(const struct run *r) {
    const struct plan_raft *p = raft_spec(r);
    return (struct window_rules){.duration_ms = p->window.duration_ms, .sample_ms = p->window.sample_ms, .max_gap_ms = p->window.max_gap_ms,
                                 .fail_after_ms = p->window.fail_after_ms};
}

static struct cell plan_time(int64_t ms) {
    int64_t ahead = (clock_plan_ms() - clock_wall_ms() + 500) / CLOCK_MS_PER_S;
    return ms > 0 ? cell_int(ms - ahead * CLOCK_MS_PER_S) : CELL_NONE;
}

/* What an operator would start after it: "vault-1 (follower)". */
static void add_next(struct run *r, const char *phase, struct buf *out) {
    const struct phase *was = r->phase, *const *p = raft_phases.phases;
    while (*p && !str_eq((*p)->id, phase)) p++;
    for (p = *p ? p + 1 : p; *p; p++) {
        r->phase = *p;
        if (!(*p)->wanted || (*p)->wanted(r)) break;
    }
    if (*p && str_starts((*p)->id, "pod-")) {
        const char *pod = raft_pod(r);
        buf_printf(out, "%s (%s)", pod ? pod : "the next pod", str_eq((*p)->turn, "last") ? "former leader" : "follower");
    } else if (*p && str_eq((*p)->id, "step-down")) {
        const char *leader = raft_leader(r);
        buf_printf(out, "step-down of %s", leader ? leader : "the leader");
    } else if (*p) {
        buf_adds(out, (*p)->title);
    }
    r->phase = was;
}

/* The first gate that says why. */
static void add_reason(const struct window *w, struct buf *out) {
    enum window_state s = window_state(w);
    if (s == WINDOW_ENDING_EARLY || s == WINDOW_ENDED_EARLY) {
        buf_adds(out, window_end_reason(w) ? window_end_reason(w) : "");
        return;
    }
    if (s == WINDOW_PASSING || s == WINDOW_PASSED) return;
    enum window_answer worst = s == WINDOW_FAILING ? WINDOW_FAIL : WINDOW_NO_DATA;
    for (int pass = 0; pass < 2; pass++, worst = worst == WINDOW_FAIL ? WINDOW_NO_DATA : WINDOW_FAIL)
        for (int g = 0; g < WINDOW_GATES; g++) {
            if (window_gate_answer(w, (enum window_gate)g) != worst) continue;
            buf_printf(out, "%s: %s", window_gate_names[g], window_gate_reason(w, (enum window_gate)g));
            return;
        }
}

static void gate_row(struct run *r, const struct window *w, enum window_gate g) {
    struct buf line = {0};
    char key[400];
    const char *reason = window_gate_reason(w, g);
    window_strip(w, g, &line);
    snprintf(key, sizeof key, "%s/%s", r->workload->name, window_gate_names[g]);
    struct cell cells[WINDOW_GATES_COLS] = {
        [WINDOW_GATES_WORKLOAD] = cell_text(r->workload->name),
        [WINDOW_GATES_NAME] = cell_text(window_gate_names[g]),
        [WINDOW_GATES_ANSWER] = cell_text(answer_words[window_gate_answer(w, g)]),
        [WINDOW_GATES_REASON] = *reason ? cell_text(reason) : CELL_NONE,
        [WINDOW_GATES_STRIP] = cell_slice(buf_slice(&line)),
        [WINDOW_GATES_RANK] = cell_int(g),
    };
    world_upsert(r->world, T_WINDOW_GATES, slice_of(key), "", cells);
    buf_free(&line);
}

void window_rows(struct run *r, const struct window *w, const char *phase, bool interrupted) {
    struct window_numbers n;
    struct buf reason = {0}, next = {0}, line = {0};
    bool over = window_is_over(w);
    if (!r->world) return;
    window_numbers(w, &n);
    add_reason(w, &reason);
    add_next(r, phase, &next);
    struct cell cells[WINDOWS_COLS] = {
        [WINDOWS_WORKLOAD] = cell_text(r->workload->name),
        [WINDOWS_PHASE] = cell_text(phase),
        [WINDOWS_POD] = cell_text(window_pod(w)),
        [WINDOWS_STATE] = cell_text(interrupted && !over ? "INTERRUPTED" : window_state_words[window_state(w)]),
        [WINDOWS_REASON] = interrupted && !over ? cell_text("not sampled now: it goes on by itself as soon as ferryman runs and has the lock") : reason.len ? cell_slice(buf_slice(&reason)) : CELL_NONE,
        [WINDOWS_STARTED] = plan_time(n.started),
        [WINDOWS_DURATION] = cell_int(window_rules_in_force(w)->duration_ms),
        [WINDOWS_CREDITED] = cell_int(n.credited_ms),
        [WINDOWS_GAPS] = cell_int(n.gaps_ms),
        [WINDOWS_LONGEST_GAP] = cell_int(n.longest_gap_ms),
        [WINDOWS_MAX_GAP] = cell_int(window_rules_in_force(w)->max_gap_ms),
        [WINDOWS_FAILURES] = cell_int(n.failures),
        [WINDOWS_RESTARTS] = cell_int(n.restarts),
        [WINDOWS_LEADER_CHANGES] = cell_int(n.leader_changes),
        [WINDOWS_EARLIEST] = over ? CELL_NONE : plan_time(n.earliest_end),
        [WINDOWS_SAMPLED] = plan_time(n.last_sample),
        [WINDOWS_SAMPLE] = cell_int(raft_spec(r)->window.sample_ms),
        [WINDOWS_BUCKET] = cell_int(window_strip(w, WINDOW_VOTERS, &line)),
        [WINDOWS_NEXT] = next.len ? cell_slice(buf_slice(&next)) : CELL_NONE,
        [WINDOWS_CAN_CREDIT] = cell_bool(n.aside_ms > 0 && !over),
    };
    world_upsert(r->world, T_WINDOWS, slice_of(r->workload->name), "", cells);
    for (int g = 0; g < WINDOW_GATES; g++) gate_row(r, w, (enum window_gate)g);
    buf_free(&reason);
    buf_free(&next);
    buf_free(&line);
}

void window_rows_remove(struct run *r) {
    char key[400];
    if (!world_remove(r->world, T_WINDOWS, slice_of(r->workload->name))) return;
    for (int g = 0; g < WINDOW_GATES; g++) {
        snprintf(key, sizeof key, "%s/%s", r->workload->name, window_gate_names[g]);
        world_remove(r->world, T_WINDOW_GATES, slice_of(key));
    }
}
