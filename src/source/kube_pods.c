/* Pods. */
#include "source/kube_source_private.h"

static bool finished(const struct kube_pod *p) {
    return slice_is(p->phase, "Succeeded") || slice_is(p->phase, "Failed");
}

static const char *state_of(const struct kube_pod *p) {
    if (p->meta.deleting != KUBE_NONE) return "TERMINATING";
    if (slice_is(p->phase, "Failed")) return "FAILED";
    if (slice_is(p->phase, "Succeeded")) return "SUCCEEDED";
    if (slice_is(p->phase, "Pending")) return "PENDING";
    if (!slice_is(p->phase, "Running")) return "UNKNOWN";
    return p->spec.containers > 0 && p->ready >= p->spec.containers ? "RUNNING" : "NOT READY";
}

static void note_claims(struct kube_source *s, const struct kube_pod *p, bool deleted) {
    static const struct kube_texts none = {0};
    struct claim_user user = {
        .text = kube_arena_printf(&s->arena, "pod %.*s%c", SLICE_FMT(p->meta.name), '\0').p,
        .database = p->spec.database_image.n
                        ? kube_arena_printf(&s->arena, "%.*s%c", SLICE_FMT(p->spec.database_image), '\0').p
                        : NULL,
    };
    if (kube_source_plan_object(s, p->meta.ns, p->owner)) user.flags |= CLAIM_USER_PLAN;
    if (slice_starts(p->owner, "StatefulSet/")) user.flags |= CLAIM_USER_STATEFUL;
    if (slice_starts(p->owner, "Job/")) user.flags |= CLAIM_USER_JOB;
    kube_claims_use(s, &p->meta, &user, deleted || finished(p) ? &none : &p->spec.claims, NULL);
}

static struct err *apply(struct kube_listener *l, struct slice json, bool deleted) {
    struct kube_source *s = l->source;
    struct kube_pod p;
    struct err *e = kube_pod_parse(&s->arena, json, &p);
    if (e) return e;
    struct cell cells[PODS_COLS] = {
        [PODS_NAMESPACE] = cell_slice(p.meta.ns),
        [PODS_NAME] = cell_slice(p.meta.name),
        [PODS_STATE] = cell_text(state_of(&p)),
        [PODS_READY] =
            cell_slice(kube_arena_printf(&s->arena, "%lld/%lld", (long long)p.ready, (long long)p.spec.containers)),
        [PODS_RESTARTS] = cell_int(p.restarts),
        [PODS_REASON] = cell_slice(p.reason),
        [PODS_NODE] = cell_slice(p.spec.node),
        [PODS_IP] = cell_slice(p.ip),
        [PODS_OWNER] = cell_slice(p.owner),
        [PODS_CLAIMS] = cell_slice(kube_texts_join(&s->arena, &p.spec.claims)),
        [PODS_IMAGE] = cell_slice(p.spec.image),
        [PODS_LABELS] = cell_slice(kube_pairs_join(&s->arena, &p.meta.labels)),
        [PODS_CREATED] = kube_cell(p.meta.created),
        [PODS_STARTED] = kube_cell(p.started),
        [PODS_DELETING] = kube_cell(p.meta.deleting),
    };
    kube_listener_row(l, &p.meta, cells, deleted);
    note_claims(s, &p, deleted);
    return NULL;
}

const struct kube_kind kube_kind_pods = {
    .group_path = "/api/v1", .resource = "pods", .scope = KUBE_ALL, .table = T_PODS, .apply = apply,
};
