#include "world/gate_facts.h"
#include "world/gate_internal.h"
#include "world/world.h"

enum { POOL_LIMIT = 8000 }; /* hundredths of a percent */

/* Appends "pve/data: data 61.2 %, metadata 12.0 %". */
static void add_pool(struct buf *out, const struct row *pool)
{
    buf_add_slice(out, row_key(pool));
    buf_adds(out, ": data ");
    gate_add_percent(out, row_int(pool, SNAPSHOTS_DATA, 0));
    buf_adds(out, ", metadata ");
    gate_add_percent(out, row_int(pool, SNAPSHOTS_METADATA, 0));
}

/* How full it is by the fuller of both; -1 if one of them is not known. */
static int64_t fullness(const struct row *pool)
{
    int64_t data = row_int(pool, SNAPSHOTS_DATA, -1), metadata = row_int(pool, SNAPSHOTS_METADATA, -1);
    if (data < 0 || metadata < 0)
        return data >= POOL_LIMIT || metadata >= POOL_LIMIT ? POOL_LIMIT : -1;
    return data > metadata ? data : metadata;
}

static enum gate_answer ready(const struct world *w, const struct row *workload, struct buf *reason)
{
    (void)workload;
    return gate_server(w, "lvm", reason);
}

static enum gate_answer ask(const struct world *w, const struct row *workload, struct buf *reason)
{
    const struct row *fullest = NULL, *unknown = NULL;
    enum gate_answer facts = ready(w, workload, reason);
    if (facts != GATE_PASS)
        return facts;
    for (const struct row *r = world_first(w, T_SNAPSHOTS); r; r = world_next(w, r)) {
        if (!slice_is(row_text(r, SNAPSHOTS_KIND), "pool"))
            continue;
        if (fullness(r) < 0)
            unknown = unknown && slice_cmp(row_key(unknown), row_key(r)) < 0 ? unknown : r;
        else if (!fullest || fullness(r) > fullness(fullest) ||
                 (fullness(r) == fullness(fullest) && slice_cmp(row_key(r), row_key(fullest)) < 0))
            fullest = r;
    }
    if (fullest && fullness(fullest) >= POOL_LIMIT) {
        add_pool(reason, fullest);
        buf_adds(reason, " (limit 80 %)");
        return GATE_FAIL;
    }
    if (unknown || !fullest) {
        if (unknown)
            buf_printf(reason, "how full %.*s is was not reported", SLICE_FMT(row_key(unknown)));
        else
            buf_adds(reason, "no thin pool was reported");
        return GATE_NO_DATA;
    }
    add_pool(reason, fullest);
    return GATE_PASS;
}

const struct gate gate_pool = {
    .name = "thin pool is not filling",
    .doc = "data and metadata of every thin pool are less than 80 % full",
    .ask = ask,
    .ready = ready,
    .tables = UINT64_C(1) << T_SNAPSHOTS,
};
