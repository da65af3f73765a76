#include "world/gate.h"

#include "world/gate_facts.h"
#include "world/gate_internal.h"
#include "world/world.h"

const struct gate *const gate_table[] = {
    &gate_hostile, &gate_raft,    &gate_extensions, &gate_http, &gate_alerts,
    &gate_backups, &gate_snapshots, &gate_pool,     NULL,
};

const char *gate_answer_word(enum gate_answer a)
{
    static const char *const words[] = {
        [GATE_PASS] = "PASS",       [GATE_WAIT] = "WAIT",           [GATE_FAIL] = "FAIL",
        [GATE_NO_DATA] = "NO DATA", [GATE_NOT_ASKED] = "NOT ASKED",
    };
    return words[a];
}

/* Whatever a gate would say of another cluster than the plan's, it is no answer about the plan. */
static enum gate_answer ask(const struct world *w, const struct gate *gate, const struct row *workload,
                            struct buf *reason)
{
    const struct row *plan = gate_plan(w);
    if (plan && slice_is(row_text(plan, PLAN_STATE), "MISMATCH")) {
        buf_adds(reason, "this is not the cluster that the plan names");
        return GATE_NO_DATA;
    }
    return gate->ask(w, workload, reason);
}

/* Asks one gate (of one workload) and writes its row; `since` stays as long as the answer does. */
static void update(struct world *w, const struct gate *gate, const struct row *workload, int64_t rank)
{
    struct buf key = {0}, reason = {0};
    struct slice answer = slice_of(gate_answer_word(ask(w, gate, workload, &reason)));
    buf_adds(&key, gate->name);
    if (workload) {
        buf_addc(&key, '/');
        buf_add_slice(&key, row_key(workload));
    }
    const struct row *before = world_find(w, T_GATES, buf_slice(&key));
    bool same = before && slice_eq(row_text(before, GATES_ANSWER), answer);
    struct cell cells[GATES_COLS] = {
        [GATES_NAME] = cell_text(gate->name),
        [GATES_WORKLOAD] = workload ? cell_slice(row_key(workload)) : CELL_NONE,
        [GATES_ANSWER] = cell_slice(answer),
        [GATES_REASON] = cell_slice(buf_slice(&reason)),
        [GATES_SINCE] = cell_int(same ? row_int(before, GATES_SINCE, world_now(w)) : world_now(w)),
        [GATES_RANK] = cell_int(rank),
    };
    world_upsert(w, T_GATES, buf_slice(&key), NULL, cells);
    buf_free(&key);
    buf_free(&reason);
}

/* Workloads of a plan are few: ranks leave room for 1000. */
void gates_update(struct world *w)
{
    uint32_t sweep = world_sweep_begin(w);
    for (int i = 0; gate_table[i]; i++) {
        const struct gate *gate = gate_table[i];
        if (!gate->kind) {
            update(w, gate, NULL, i * 1000);
            continue;
        }
        for (const struct row *r = world_first(w, T_PLAN_WORKLOADS); r; r = world_next(w, r))
            if (slice_is(row_text(r, PLAN_WORKLOADS_KIND), gate->kind))
                update(w, gate, r, i * 1000);
    }
    world_sweep_end(w, T_GATES, NULL, sweep);
}
