#include "world/gate_facts.h"
#include "world/gate_internal.h"
#include "world/world.h"

static enum gate_answer ask(const struct world *w, const struct row *workload, struct buf *reason)
{
    (void)workload;
    static const struct slice none = {NULL, 0};
    struct gate_names failing = {0}, unknown = {0};
    const struct row *stale = NULL;
    for (const struct row *r = world_first(w, T_PROBES); r; r = world_next(w, r)) {
        struct slice state = row_text(r, PROBES_STATE), name = row_text(r, PROBES_NAME);
        if (!fresh_usable(world_freshness(w, r)))
            stale = stale && slice_cmp(row_key(stale), row_key(r)) < 0 ? stale : r;
        else if (!state.p || slice_is(state, "UNKNOWN"))
            gate_name(&unknown, none, name);
        else if (!slice_is(state, "OK"))
            gate_name(&failing, none, name);
    }
    if (failing.count > 0) {
        buf_printf(reason, "%zu of %zu: ", failing.count, world_count(w, T_PROBES));
        gate_add_names(reason, &failing);
        return GATE_FAIL;
    }
    if (stale)
        return gate_row(w, stale, reason);
    enum gate_answer facts = gate_server(w, "http", reason);
    if (facts != GATE_PASS)
        return facts;
    if (unknown.count > 0 || world_count(w, T_PROBES) == 0) {
        buf_adds(reason, unknown.count ? "no answer yet: " : "no probe has been made yet");
        gate_add_names(reason, &unknown);
        return GATE_NO_DATA;
    }
    buf_printf(reason, "%zu of %zu as expected", world_count(w, T_PROBES), world_count(w, T_PROBES));
    return GATE_PASS;
}

const struct gate gate_http = {
    .name = "applications answer",
    .doc = "every HTTP probe of the plan gets the expected status and body",
    .ask = ask,
};
