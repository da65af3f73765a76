/* Every bound claim of the target class is in a snapshot of the last night. A claim that is younger than a day has to
 * wait for its first night. */
#include "base/clock.h"
#include "base/map.h"
#include "world/gate_facts.h"
#include "world/gate_internal.h"
#include "world/world.h"

#define SNAPSHOT_AGE_MS (INT64_C(26) * 3600 * CLOCK_MS_PER_S)

/* Of which claims ("ns/name") there is a recent snapshot; the values say nothing. */
static struct map *claims_with_snapshot(const struct world *w)
{
    static char present;
    struct map *claims = map_new();
    for (const struct row *r = world_first(w, T_SNAPSHOTS); r; r = world_next(w, r)) {
        if (!slice_is(row_text(r, SNAPSHOTS_KIND), "snapshot"))
            continue;
        struct slice claim = row_text(r, SNAPSHOTS_CLAIM);
        if (claim.p && row_int(r, SNAPSHOTS_CREATED, INT64_MIN) >= world_now(w) - SNAPSHOT_AGE_MS)
            map_put(claims, claim, &present);
    }
    return claims;
}

static bool has_snapshot(const struct map *snapshots, struct slice ns, struct slice name, struct buf *scratch)
{
    buf_clear(scratch);
    buf_add_slice(scratch, ns);
    buf_addc(scratch, '/');
    buf_add_slice(scratch, name);
    return map_get(snapshots, buf_slice(scratch));
}

struct coverage {
    struct gate_names missing, young;
    size_t covered, unmatched; /* unmatched: volumes that are there although not one of them could be told a claim's */
};

static size_t count_unmatched(const struct world *w)
{
    size_t n = 0;
    for (const struct row *r = world_first(w, T_SNAPSHOTS); r; r = world_next(w, r)) {
        if (row_text(r, SNAPSHOTS_CLAIM).p)
            return 0;
        n += !slice_is(row_text(r, SNAPSHOTS_KIND), "pool");
    }
    return n;
}

static void look(const struct world *w, struct slice target, struct coverage *found)
{
    struct map *snapshots = claims_with_snapshot(w);
    found->unmatched = count_unmatched(w);
    struct buf scratch = {0};
    for (const struct row *r = world_first(w, T_CLAIMS); r; r = world_next(w, r)) {
        if (!slice_eq(row_text(r, CLAIMS_CLASS), target) || !slice_is(row_text(r, CLAIMS_PHASE), "Bound"))
            continue;
        struct slice ns = row_text(r, CLAIMS_NAMESPACE), name = row_text(r, CLAIMS_NAME);
        if (has_snapshot(snapshots, ns, name, &scratch))
            found->covered++;
        else if (row_int(r, CLAIMS_CREATED, INT64_MIN) >= world_now(w) - SNAPSHOT_AGE_MS)
            gate_name(&found->young, ns, name);
        else
            gate_name(&found->missing, ns, name);
    }
    buf_free(&scratch);
    map_free(snapshots, NULL);
}

static enum gate_answer answer(const struct row *plan, const struct coverage *found, struct buf *reason)
{
    struct slice daily = row_text(plan, PLAN_SNAPSHOT_DAILY);
    if (found->missing.count > 0 && found->unmatched > 0) {
        buf_printf(reason, "none of %zu logical volumes could be told to be a claim's", found->unmatched);
        return GATE_NO_DATA;
    }
    if (found->missing.count > 0) {
        buf_printf(reason, "%zu without a snapshot of the last 26 hours: ", found->missing.count);
        gate_add_names(reason, &found->missing);
        return GATE_FAIL;
    }
    if (found->young.count > 0) {
        buf_printf(reason, "%zu new: ", found->young.count);
        gate_add_names(reason, &found->young);
        if (daily.p)
            buf_printf(reason, "; next run %.*s", SLICE_FMT(daily));
        return GATE_WAIT;
    }
    if (found->covered == 0) {
        buf_adds(reason, "no claim is on the target class yet");
        return GATE_WAIT;
    }
    buf_printf(reason, "%zu of %zu present (present is not proof that they restore)", found->covered, found->covered);
    return GATE_PASS;
}

static enum gate_answer ready(const struct world *w, const struct row *workload, struct buf *reason)
{
    (void)workload;
    const struct row *plan = gate_plan(w);
    if (!plan || row_text(plan, PLAN_TARGET).n == 0) {
        buf_adds(reason, "no plan names a target class");
        return GATE_NOT_ASKED;
    }
    enum gate_answer facts = gate_server(w, "lvm", reason);
    return facts == GATE_PASS ? gate_source(w, "kube/persistentvolumeclaims", reason) : facts;
}

static enum gate_answer ask(const struct world *w, const struct row *workload, struct buf *reason)
{
    const struct row *plan = gate_plan(w);
    struct coverage found = {0};
    enum gate_answer facts = ready(w, workload, reason);
    if (facts != GATE_PASS)
        return facts;
    look(w, row_text(plan, PLAN_TARGET), &found);
    return answer(plan, &found, reason);
}

const struct gate gate_snapshots = {
    .name = "volumes are in nightly snapshots",
    .doc = "each bound claim of the target class has a snapshot that is less than 26 hours old",
    .ask = ask,
    .ready = ready,
    .tables = UINT64_C(1) << T_CLAIMS | UINT64_C(1) << T_SNAPSHOTS | UINT64_C(1) << T_PLAN,
};
