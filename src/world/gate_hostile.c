/* No claim of a source class that the plan does not let stay may be one that NFS can hurt. A claim that is on its way
 * out, or has lost its volume, counts until it is gone; one that could not be judged is no good news. */
#include "world/gate_facts.h"
#include "world/gate_internal.h"
#include "world/world.h"

struct claims_found {
    struct gate_names left, unknown;
    size_t judged;
};

static void judge_claim(const struct row *claim, const struct row *plan, struct claims_found *found)
{
    struct slice ns = row_text(claim, CLAIMS_NAMESPACE), name = row_text(claim, CLAIMS_NAME);
    struct slice state = row_text(claim, CLAIMS_STATE);
    if (gate_list_has_claim(row_text(plan, PLAN_REMAINING), ns, name))
        return;
    found->judged++;
    if (slice_is(state, "HOSTILE") || slice_is(state, "TERMINATING") || slice_is(state, "LOST"))
        gate_name(&found->left, ns, name);
    else if (!state.p || slice_is(state, "UNKNOWN"))
        gate_name(&found->unknown, ns, name);
}

static enum gate_answer ready(const struct world *w, const struct row *workload, struct buf *reason)
{
    (void)workload;
    if (!gate_plan(w)) {
        buf_adds(reason, "no plan says which storage classes must end");
        return GATE_NOT_ASKED;
    }
    /* What NFS can hurt depends on who mounts it. */
    static const char *const needed[] = {"kube/persistentvolumeclaims", "kube/persistentvolumes", "kube/pods",
                                         "kube/statefulsets", "kube/deployments"};
    enum gate_answer facts = GATE_PASS;
    for (size_t i = 0; i < sizeof needed / sizeof needed[0] && facts == GATE_PASS; i++)
        facts = gate_source(w, needed[i], reason);
    return facts;
}

static enum gate_answer ask(const struct world *w, const struct row *workload, struct buf *reason)
{
    const struct row *plan = gate_plan(w);
    struct claims_found found = {0};
    enum gate_answer facts = ready(w, workload, reason);
    if (facts != GATE_PASS)
        return facts;
    struct slice classes = row_text(plan, PLAN_SOURCES);
    for (const struct row *r = world_first(w, T_CLAIMS); r; r = world_next(w, r))
        if (gate_list_has(classes, row_text(r, CLAIMS_CLASS)))
            judge_claim(r, plan, &found);
    if (found.left.count > 0) {
        buf_printf(reason, "%zu left: ", found.left.count);
        gate_add_names(reason, &found.left);
        return GATE_WAIT;
    }
    if (found.unknown.count > 0) {
        buf_printf(reason, "%zu cannot be judged: ", found.unknown.count);
        gate_add_names(reason, &found.unknown);
        return GATE_NO_DATA;
    }
    buf_printf(reason, "%zu %s on source classes, none that NFS can hurt", found.judged,
               found.judged == 1 ? "claim" : "claims");
    return GATE_PASS;
}

const struct gate gate_hostile = {
    .name = "no hostile claim on NFS",
    .doc = "no claim of the plan's source classes is used by a workload that NFS can hurt, but those that may remain",
    .ask = ask,
    .ready = ready,
    .tables = UINT64_C(1) << T_CLAIMS | UINT64_C(1) << T_PLAN,
};
