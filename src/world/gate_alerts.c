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

/* The value of a label in "key=value, key=value"; absent if it is not there. */
static struct slice label_of(const struct row *alert, const char *name)
{
    struct slice rest = row_text(alert, ALERTS_LABELS), pair, key;
    while (rest.n > 0 && slice_cut(&rest, ',', &pair)) {
        pair = slice_trim(pair);
        if (slice_cut(&pair, '=', &key) && slice_is(key, name) && pair.p)
            return pair;
    }
    return (struct slice){NULL, 0};
}

/* Of the namespace, of none, or new: what fired elsewhere before anything was done is not ours. */
static bool is_in_scope(const struct row *alert, struct slice ns, int64_t since)
{
    struct slice of = label_of(alert, "namespace");
    return !ns.p || !of.n || slice_eq(of, ns) || row_int(alert, ALERTS_STARTED, since) >= since;
}

enum gate_answer gate_alerts_of(const struct world *w, struct slice ns, int64_t since, struct buf *reason)
{
    struct gate_names firing = {0};
    const struct row *watchdog = NULL;
    bool alive = false;
    enum gate_answer facts = gate_server(w, "alerts", reason);
    if (facts != GATE_PASS)
        return facts;
    for (const struct row *r = world_first(w, T_ALERTS); r; r = world_next(w, r)) {
        struct slice state = row_text(r, ALERTS_STATE);
        if (slice_is(state, "FIRING") && is_in_scope(r, ns, since))
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

static enum gate_answer ask(const struct world *w, const struct row *workload, struct buf *reason)
{
    (void)workload;
    return gate_alerts_of(w, (struct slice){NULL, 0}, 0, reason);
}

const struct gate gate_alerts = {
    .name = "no alert firing, watchdog alive",
    .doc = "no alert fires that the plan does not ignore, and the watchdog proves that alerts arrive",
    .ask = ask,
};
