/* Silence is good news only while the watchdog, an alert that always fires, proves that alerts arrive. */
#include "base/clock.h"
#include "world/gate_facts.h"
#include "world/gate_internal.h"
#include "world/world.h"

/* Prometheus sends a firing alert again at least every few minutes. */
#define WATCHDOG_AGE_MS (INT64_C(15) * 60 * CLOCK_MS_PER_S)

static bool is_alive(const struct world *w, const struct row *watchdog)
{
    int64_t now = world_now(w), ends = row_int(watchdog, ALERTS_ENDS, INT64_MAX);
    int64_t updated = row_int(watchdog, ALERTS_UPDATED, INT64_MIN);
    return ends > now && (updated == INT64_MIN || updated >= now - WATCHDOG_AGE_MS);
}

static enum gate_answer no_watchdog(const struct world *w, const struct row *watchdog, struct buf *reason)
{
    const struct row *plan = gate_plan(w);
    struct slice name = plan ? row_text(plan, PLAN_WATCHDOG) : (struct slice){NULL, 0};
    buf_adds(reason, "alerting is not proved alive: ");
    if (watchdog) {
        buf_adds(reason, "the watchdog was last sent ");
        gate_add_age(reason, world_now(w) - row_int(watchdog, ALERTS_UPDATED, row_int(watchdog, ALERTS_ENDS, 0)));
        buf_adds(reason, " ago");
    } else if (name.p) {
        buf_printf(reason, "no alert %.*s fires", SLICE_FMT(name));
    } else {
        buf_adds(reason, "the plan names no watchdog");
    }
    return GATE_NO_DATA;
}

static enum gate_answer ask(const struct world *w, const struct row *workload, struct buf *reason)
{
    (void)workload;
    struct gate_names firing = {0};
    const struct row *watchdog = NULL;
    bool alive = false;
    enum gate_answer facts = gate_server(w, "alerts", reason);
    if (facts != GATE_PASS)
        return facts;
    for (const struct row *r = world_first(w, T_ALERTS); r; r = world_next(w, r)) {
        struct slice state = row_text(r, ALERTS_STATE);
        if (slice_is(state, "FIRING"))
            gate_name(&firing, (struct slice){NULL, 0}, row_text(r, ALERTS_NAME));
        if (!slice_is(state, "WATCHDOG"))
            continue;
        alive = alive || is_alive(w, r);
        if (!watchdog || row_int(r, ALERTS_UPDATED, 0) > row_int(watchdog, ALERTS_UPDATED, 0))
            watchdog = r;
    }
    if (firing.count > 0) {
        buf_printf(reason, "%zu firing: ", firing.count);
        gate_add_names(reason, &firing);
        return GATE_FAIL;
    }
    if (!alive)
        return no_watchdog(w, watchdog, reason);
    buf_adds(reason, "no alert fires, the watchdog is alive");
    return GATE_PASS;
}

const struct gate gate_alerts = {
    .name = "no alert firing, watchdog alive",
    .doc = "no alert fires that the plan does not ignore, and the watchdog proves that alerts arrive",
    .ask = ask,
};
