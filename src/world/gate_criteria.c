/* What verify judged once and froze: later the applications write again, so it is never judged anew. */
#include "base/clock.h"
#include "world/gate_facts.h"
#include "world/gate_internal.h"
#include "world/world.h"

static enum gate_answer frozen(const struct world *w, const struct row *workload, const char *name, struct buf *reason)
{
    struct buf key = {0};
    char at[32];
    buf_printf(&key, "%.*s/%s", SLICE_FMT(row_key(workload)), name);
    const struct row *r = world_find(w, T_CRITERIA, buf_slice(&key));
    buf_free(&key);
    if (!r || row_text(workload, PLAN_WORKLOADS_TOMBSTONE).n == 0) { /* rolled back: it was true of another server */
        buf_adds(reason, "not verified yet");
        return GATE_WAIT;
    }
    buf_add_slice(reason, row_text(r, CRITERIA_TEXT));
    if (row_int(r, CRITERIA_AT, 0) > 0)
        buf_printf(reason, ", at %s", clock_format_utc(row_int(r, CRITERIA_AT, 0), at, sizeof at));
    return slice_is(row_text(r, CRITERIA_STATE), "PASS") ? GATE_PASS : GATE_FAIL;
}

static enum gate_answer ask_extensions(const struct world *w, const struct row *workload, struct buf *reason)
{
    return frozen(w, workload, "extensions equal baseline", reason);
}

static enum gate_answer ask_rows(const struct world *w, const struct row *workload, struct buf *reason)
{
    return frozen(w, workload, "rows equal baseline", reason);
}

const struct gate gate_extensions_equal = {
    .name = "extensions equal baseline",
    .kind = "postgres-dump-restore",
    .doc = "verify found the extensions of the inventory, within the plan's drift",
    .ask = ask_extensions,
};

const struct gate gate_rows_equal = {
    .name = "rows equal baseline",
    .kind = "postgres-dump-restore",
    .doc = "verify found in each table as many rows as were counted before the dump",
    .ask = ask_rows,
};
