#include "world/gate.h"

#include "base/clock.h"
#include "base/mem.h"
#include "world/gate_facts.h"
#include "world/gate_internal.h"
#include "world/world_internal.h"

#define MEMO_MS (INT64_C(60) * CLOCK_MS_PER_S)

struct gate_memo {
    char *reason; /* NULL: nothing is remembered */
    enum gate_answer answer;
    uint64_t seq; /* of the last change of its tables */
    int64_t at;
};

const struct gate *const gate_table[] = {
    &gate_hostile, &gate_raft,    &gate_extensions, &gate_extensions_equal, &gate_rows_equal, &gate_tombstone,
    &gate_http,    &gate_alerts,  &gate_backups,    &gate_snapshots,        &gate_pool,       NULL,
};

const char *gate_answer_word(enum gate_answer a)
{
    static const char *const words[] = {
        [GATE_PASS] = "PASS",       [GATE_WAIT] = "WAIT",           [GATE_FAIL] = "FAIL",
        [GATE_NO_DATA] = "NO DATA", [GATE_NOT_ASKED] = "NOT ASKED",
    };
    return words[a];
}

void gates_forget(struct world *w)
{
    for (int i = 0; w->gates && gate_table[i]; i++)
        mem_free(w->gates[i].reason);
    mem_free(w->gates);
    w->gates = NULL;
}

static uint64_t last_change(const struct world *w, uint64_t tables)
{
    uint64_t seq = 0;
    for (size_t t = 0; t < T_COUNT; t++)
        if ((tables >> t & 1) && w->tables[t].seq > seq)
            seq = w->tables[t].seq;
    return seq;
}

/* The remembered answer, or a new one, which is remembered. */
static enum gate_answer ask_rarely(struct world *w, const struct gate *gate, struct gate_memo *memo, struct buf *reason)
{
    enum gate_answer facts = gate->ready(w, NULL, reason);
    uint64_t seq = last_change(w, gate->tables);
    int64_t age = world_now(w) - memo->at;
    if (facts != GATE_PASS)
        return facts;
    if (!memo->reason || memo->seq != seq || age < 0 || age > MEMO_MS) {
        struct buf text = {0};
        memo->answer = gate->ask(w, NULL, &text);
        memo->seq = seq;
        memo->at = world_now(w);
        mem_free(memo->reason);
        memo->reason = buf_steal(&text);
    }
    buf_adds(reason, memo->reason);
    return memo->answer;
}

/* Whatever a gate would say of another cluster than the plan's, it is no answer about the plan. */
static enum gate_answer ask(struct world *w, const struct gate *gate, const struct row *workload, struct buf *reason)
{
    const struct row *plan = gate_plan(w);
    if (plan && slice_is(row_text(plan, PLAN_STATE), "MISMATCH")) {
        buf_adds(reason, "this is not the cluster that the plan names");
        return GATE_NO_DATA;
    }
    if (!gate->tables)
        return gate->ask(w, workload, reason);
    size_t i = 0, n = 0;
    while (gate_table[n])
        n++;
    while (gate_table[i] != gate)
        i++;
    if (!w->gates)
        w->gates = mem_calloc(n, sizeof *w->gates);
    return ask_rarely(w, gate, &w->gates[i], reason);
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
