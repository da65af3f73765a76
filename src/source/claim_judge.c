#include "source/claim_judge.h"

/* NFS under something that it can hurt. Without a plan the guess is by what mounts it. */
static bool is_hostile(const struct claim_facts *f, struct buf *why) {
    if (f->plan_mounts) {
        buf_adds(why, "used by a workload of the plan");
        return true;
    }
    if (f->has_plan) return false;
    if (f->database.n) {
        buf_printf(why, "mounted by %.*s", SLICE_FMT(f->database));
        return true;
    }
    if (f->stateful_mounts) buf_adds(why, "mounted by a stateful set");
    return f->stateful_mounts;
}

static bool is_retired(const struct claim_facts *f, struct buf *why) {
    if (!f->plan_mounted || f->others_mount) return false;
    buf_adds(why, "no pod of the plan's workload mounts it any more");
    return true;
}

const char *claim_judge(const struct claim_facts *f, struct buf *why) {
    bool bound = slice_is(f->phase, "Bound");
    if (f->deleting) return "TERMINATING";
    if (slice_is(f->phase, "Lost")) return "LOST";
    if (f->backend == STORAGE_NFS && !f->may_remain && is_hostile(f, why)) return "HOSTILE";
    if (!bound) return "PENDING";
    if (f->volume_missing) {
        buf_adds(why, "its volume was not found");
        return "UNKNOWN";
    }
    if (f->backend == STORAGE_UNKNOWN) return "UNKNOWN";
    if (f->backend == STORAGE_NFS) {
        if (!f->may_remain && is_retired(f, why)) return "RETIRED";
        if (f->may_remain) buf_adds(why, "the plan lets it stay");
        return "FINE";
    }
    if (!f->on_target || !f->plan_mounts) return "FINE";
    if (f->unproved) {
        buf_adds(why, "it is on the target class, but the plan requires encryption and nothing declares it");
        return "UNKNOWN";
    }
    return "MOVED";
}
