/* What of Kubernetes' changes is worth a line of the timeline: claims that come, bind, go; volumes that are let go of;
 * pods of the plan's workloads. The caller sees to it that a first list is no news. */
#include <stdio.h>

#include "base/clock.h"
#include "source/kube_source_private.h"

static bool text_changed(const struct row *old, const struct row *now, int col) {
    return !slice_eq(row_text(old, col), row_text(now, col));
}

static struct slice or_none(struct slice s) {
    return s.n ? s : SLICE_LIT("none");
}

static void say(struct kube_source *s, const char *level, const struct row *r, int ns, int name, const char *text) {
    char object[600];
    if (ns >= 0) snprintf(object, sizeof object, "%.*s/%.*s", SLICE_FMT(row_text(r, ns)), SLICE_FMT(row_text(r, name)));
    else snprintf(object, sizeof object, "%.*s", SLICE_FMT(row_text(r, name)));
    timeline_add(s->o.world, level, object, "%s", text);
}

/* ---- Claims ------------------------------------------------------------------------------------------------------ */

static const char *claim_level(const struct row *r) {
    return slice_is(row_text(r, CLAIMS_STATE), "HOSTILE") ? "WARN" : "INFO";
}

static void claim(struct kube_source *s, const struct row *old, const struct row *now) {
    char text[1024];
    struct slice class = or_none(row_text(now ? now : old, CLAIMS_CLASS)), uid = row_key(now ? now : old);
    int short_uid = uid.n > 8 ? 8 : (int)uid.n;
    if (!now) {
        snprintf(text, sizeof text, "claim gone (%.*s, uid %.*s)", SLICE_FMT(class), short_uid, uid.p);
        say(s, "INFO", old, CLAIMS_NAMESPACE, CLAIMS_NAME, text);
    } else if (!old) {
        snprintf(text, sizeof text, "claim is new: %.*s, %.*s, uid %.*s", SLICE_FMT(class),
                 SLICE_FMT(row_text(now, CLAIMS_PHASE)), short_uid, uid.p);
        say(s, claim_level(now), now, CLAIMS_NAMESPACE, CLAIMS_NAME, text);
    } else if (row_cell(old, CLAIMS_DELETING).type == CELL_NULL && row_cell(now, CLAIMS_DELETING).type != CELL_NULL) {
        struct slice users = row_text(now, CLAIMS_USED_BY);
        snprintf(text, sizeof text, "claim is being deleted%s%.*s", users.n ? ", still used by " : "",
                 SLICE_FMT(users));
        say(s, "WARN", now, CLAIMS_NAMESPACE, CLAIMS_NAME, text);
    } else if (text_changed(old, now, CLAIMS_PHASE)) {
        bool lost = slice_is(row_text(now, CLAIMS_PHASE), "Lost");
        snprintf(text, sizeof text, "claim is %.*s: %.*s, %.*s", SLICE_FMT(row_text(now, CLAIMS_PHASE)),
                 SLICE_FMT(class), SLICE_FMT(row_text(now, CLAIMS_STORAGE)));
        say(s, lost ? "BAD" : "INFO", now, CLAIMS_NAMESPACE, CLAIMS_NAME, text);
    }
}

/* ---- Volumes ----------------------------------------------------------------------------------------------------- */

static void volume(struct kube_source *s, const struct row *old, const struct row *now) {
    char text[1024];
    if (!old || !now || !text_changed(old, now, VOLUMES_PHASE)) return;
    struct slice phase = row_text(now, VOLUMES_PHASE), reclaim = row_text(now, VOLUMES_RECLAIM);
    if (!slice_is(phase, "Released") && !slice_is(phase, "Failed")) return;
    snprintf(text, sizeof text, "volume is %.*s (claim %.*s, reclaim policy %.*s%s)", SLICE_FMT(phase),
             SLICE_FMT(or_none(row_text(now, VOLUMES_CLAIM))), SLICE_FMT(reclaim),
             slice_is(reclaim, "Delete") ? ": its data goes" : "");
    say(s, "WARN", now, -1, VOLUMES_NAME, text);
}

/* ---- Pods of the plan's workloads -------------------------------------------------------------------------------- */

static void pod_change(struct kube_source *s, const struct row *old, const struct row *now) {
    char text[512];
    int64_t restarts = row_int(now, PODS_RESTARTS, 0);
    struct slice state = row_text(now, PODS_STATE), reason = row_text(now, PODS_REASON);
    if (restarts > row_int(old, PODS_RESTARTS, 0)) {
        snprintf(text, sizeof text, "a container was restarted (%lld in all)%s%.*s", (long long)restarts,
                 reason.n ? ", " : "", SLICE_FMT(reason));
        say(s, "BAD", now, PODS_NAMESPACE, PODS_NAME, text);
    }
    if (!text_changed(old, now, PODS_STATE)) return;
    bool bad = slice_is(state, "NOT READY") || slice_is(state, "FAILED");
    bool good = slice_is(state, "RUNNING");
    snprintf(text, sizeof text, "pod is %.*s, %.*s ready%s%.*s", SLICE_FMT(state), SLICE_FMT(row_text(now, PODS_READY)),
             reason.n ? ": " : "", SLICE_FMT(reason));
    say(s, bad ? "WARN" : good ? "GOOD" : "INFO", now, PODS_NAMESPACE, PODS_NAME, text);
}

static void pod(struct kube_source *s, const struct row *old, const struct row *now) {
    const struct row *r = now ? now : old;
    if (!kube_source_plan_object(s, row_text(r, PODS_NAMESPACE), row_text(r, PODS_OWNER))) return;
    if (old && now) pod_change(s, old, now);
    else say(s, "INFO", r, PODS_NAMESPACE, PODS_NAME, now ? "pod is new" : "pod gone");
}

/* ---- Leases ------------------------------------------------------------------------------------------------------ */

static void lease(struct kube_source *s, const struct row *old, const struct row *now) {
    char text[700];
    if (!old || !now || !text_changed(old, now, LEASES_HOLDER)) return;
    struct slice holder = row_text(now, LEASES_HOLDER);
    if (holder.n) snprintf(text, sizeof text, "lease is held by %.*s", SLICE_FMT(holder));
    else snprintf(text, sizeof text, "lease is held by nobody");
    say(s, holder.n ? "INFO" : "WARN", now, LEASES_NAMESPACE, LEASES_NAME, text);
}

void kube_timeline_change(struct kube_source *s, enum world_table t, const struct row *old, const struct row *now) {
    if (t == T_CLAIMS) claim(s, old, now);
    else if (t == T_VOLUMES) volume(s, old, now);
    else if (t == T_PODS) pod(s, old, now);
    else if (t == T_LEASES) lease(s, old, now);
}
