/* What every phase of a PostgreSQL workload asks before it begins: fresh facts (no step acts on stale ones) and the plan's hours. */
#include "base/clock.h"
#include "base/str.h"
#include "migrate/plan_hours.h"
#include "migrate/postgres.h"
#include "world/gate_facts.h"
#include "world/world.h"

/* What the phases rest on; that some other kind may not be listed by us need not stop them. */
static bool matters(struct slice kind)
{
    static const char *const kinds[] = {"pods", "persistentvolumeclaims", "persistentvolumes", "deployments", "nodes", NULL};
    for (size_t i = 0; kinds[i]; i++)
        if (slice_starts(kind, kinds[i]))
            return true;
    return false;
}

static bool cluster_is_fresh(const struct run *r, struct buf *reason)
{
    bool any = false;
    for (const struct row *s = world_first(r->world, T_SOURCES); s; s = world_next(r->world, s)) {
        if (!slice_is(row_text(s, SOURCES_SERVER), "kube") || !matters(row_text(s, SOURCES_KIND)))
            continue;
        any = true;
        if (gate_fresh(world_freshness(r->world, s), row_key(s), reason) != GATE_PASS)
            return false;
    }
    if (!any)
        buf_adds(reason, "nothing has been heard of the cluster yet");
    return any;
}

/* What was moved is what the plan names still: every look at "which claim" rests on it. */
bool postgres_plan_holds(const struct run *r, struct buf *reason)
{
    const char *was = run_has(r, "claim.new.name") ? run_fact(r, "claim.new.name") : NULL, *now = postgres_spec(r)->claim.name;
    if (!was || str_eq(was, now) || run_has(r, "rolled_back.at"))
        return true;
    buf_printf(reason, "the plan's claim.name is %s, but this run moves to %s: put %s back into the plan", now, was, was);
    return false;
}

bool postgres_may_begin(const struct run *r, struct buf *reason)
{
    struct buf why = {0};
    if (!postgres_plan_holds(r, reason) || !cluster_is_fresh(r, reason))
        return false;
    bool open = plan_hours_open(r->plan->hours, clock_plan_ms(), &why) || run_override(r, "hours");
    if (!open)
        buf_printf(reason, "%s. It can be overridden with a reason (gate hours)", buf_str(&why));
    buf_free(&why);
    return open;
}
