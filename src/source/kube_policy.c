/* Endpoint slices, and what can stand in the way of an eviction or a scaling: budgets, quotas, autoscalers. */
#include "source/kube_source_private.h"

static struct err *apply_endpoints(struct kube_listener *l, struct slice json, bool deleted) {
    struct kube_endpoints x;
    struct err *e = kube_endpoints_parse(&l->source->arena, json, &x);
    if (e) return e;
    struct cell cells[ENDPOINTS_COLS] = {
        [ENDPOINTS_NAMESPACE] = cell_slice(x.meta.ns),
        [ENDPOINTS_NAME] = cell_slice(x.meta.name),
        [ENDPOINTS_SERVICE] = cell_slice(x.service),
        [ENDPOINTS_READY] = cell_slice(x.ready),
        [ENDPOINTS_NOT_READY] = cell_slice(x.not_ready),
        [ENDPOINTS_PORTS] = cell_slice(x.ports),
    };
    kube_listener_row(l, &x.meta, cells, deleted);
    return NULL;
}

const struct kube_kind kube_kind_endpoints = {
    .group_path = "/apis/discovery.k8s.io/v1",
    .resource = "endpointslices",
    .scope = KUBE_PLAN,
    .table = T_ENDPOINTS,
    .apply = apply_endpoints,
};

typedef struct err *(*parse_fn)(struct kube_arena *a, struct slice json, struct kube_budget *ret);

static struct err *apply_budget(struct kube_listener *l, struct slice json, bool deleted, parse_fn parse,
                                const char *kind, const char *well) {
    struct kube_budget b;
    struct err *e = parse(&l->source->arena, json, &b);
    if (e) return e;
    struct cell cells[BUDGETS_COLS] = {
        [BUDGETS_NAMESPACE] = cell_slice(b.meta.ns),
        [BUDGETS_NAME] = cell_slice(b.meta.name),
        [BUDGETS_KIND] = cell_text(kind),
        [BUDGETS_STATE] = cell_text(b.blocked ? "BLOCKED" : b.exceeded ? "EXCEEDED" : well),
        [BUDGETS_SUMMARY] = cell_slice(b.summary),
    };
    kube_listener_row(l, &b.meta, cells, deleted);
    return NULL;
}

static struct err *apply_pdb(struct kube_listener *l, struct slice json, bool deleted) {
    return apply_budget(l, json, deleted, kube_pdb_parse, "PodDisruptionBudget", "OK");
}

static struct err *apply_quota(struct kube_listener *l, struct slice json, bool deleted) {
    return apply_budget(l, json, deleted, kube_quota_parse, "ResourceQuota", "OK");
}

static struct err *apply_hpa(struct kube_listener *l, struct slice json, bool deleted) {
    return apply_budget(l, json, deleted, kube_hpa_parse, "HorizontalPodAutoscaler", "ACTIVE");
}

const struct kube_kind kube_kind_pdbs = {
    .group_path = "/apis/policy/v1",
    .resource = "poddisruptionbudgets",
    .scope = KUBE_PLAN,
    .table = T_BUDGETS,
    .apply = apply_pdb,
};

const struct kube_kind kube_kind_quotas = {
    .group_path = "/api/v1", .resource = "resourcequotas", .scope = KUBE_PLAN, .table = T_BUDGETS, .apply = apply_quota,
};

const struct kube_kind kube_kind_hpas = {
    .group_path = "/apis/autoscaling/v2",
    .resource = "horizontalpodautoscalers",
    .scope = KUBE_PLAN,
    .table = T_BUDGETS,
    .apply = apply_hpa,
};
