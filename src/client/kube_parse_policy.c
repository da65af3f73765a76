/* Endpoint slices, disruption budgets, quotas, autoscalers: kinds of which one line is shown. */
#include "client/kube_parse_private.h"

/* ---- Endpoint slices --------------------------------------------------------------------------------------------- */

struct endpoint {
    struct kube_texts addresses;
    struct slice pod, target_kind;
    bool ready_known, ready;
};

static void read_ready(struct kube_reader *k, void *at) {
    struct endpoint *e = at;
    e->ready_known = json_peek(&k->json) == JSON_BOOL;
    e->ready = json_bool(&k->json, false);
}

static const struct kube_field endpoint_conditions[] = {
    {"ready", sizeof "ready" - 1, read_ready, 0, NULL},
    KUBE_FIELDS_END,
};

static const struct kube_field endpoint_target[] = {
    KUBE_FIELD("name", kube_read_text, struct endpoint, pod),
    KUBE_FIELDS_END,
};

static const struct kube_field endpoint_fields[] = {
    KUBE_FIELD("addresses", kube_read_texts, struct endpoint, addresses),
    KUBE_INTO("conditions", endpoint_conditions),
    KUBE_INTO("targetRef", endpoint_target),
    KUBE_FIELDS_END,
};

/* "a condition that is nil is to be taken for true": API documentation of EndpointConditions.ready. */
static void read_endpoints(struct kube_reader *k, void *at) {
    struct kube_endpoints *slice = at;
    struct kube_texts ready = {0}, not_ready = {0};
    if (!json_enter_array(&k->json)) return;
    while (json_next_item(&k->json)) {
        struct endpoint e = {0};
        kube_read_fields(k, endpoint_fields, &e);
        struct slice text = kube_texts_join(k->arena, &e.addresses);
        if (!text.p) continue;
        if (e.pod.n) text = kube_arena_printf(k->arena, "%.*s (%.*s)", SLICE_FMT(text), SLICE_FMT(e.pod));
        kube_texts_add(k, e.ready || !e.ready_known ? &ready : &not_ready, text);
    }
    slice->ready = kube_texts_join(k->arena, &ready);
    slice->not_ready = kube_texts_join(k->arena, &not_ready);
}

struct port {
    struct slice name, protocol;
    int64_t number;
};

static void read_ports(struct kube_reader *k, void *at) {
    static const struct kube_field fields[] = {
        KUBE_FIELD("name", kube_read_text, struct port, name),
        KUBE_FIELD("protocol", kube_read_text, struct port, protocol),
        KUBE_FIELD("port", kube_read_int, struct port, number),
        KUBE_FIELDS_END,
    };
    struct kube_texts list = {0};
    if (!json_enter_array(&k->json)) return;
    while (json_next_item(&k->json)) {
        struct port p = {.number = KUBE_NONE};
        kube_read_fields(k, fields, &p);
        if (p.number == KUBE_NONE) continue;
        kube_texts_add(k, &list,
                       p.name.n ? kube_arena_printf(k->arena, "%.*s %lld", SLICE_FMT(p.name), (long long)p.number)
                                : kube_arena_printf(k->arena, "%lld", (long long)p.number));
    }
    *(struct slice *)at = kube_texts_join(k->arena, &list);
}

static const struct kube_field endpoints_fields[] = {
    KUBE_FIELD("metadata", kube_read_meta, struct kube_endpoints, meta),
    {"endpoints", sizeof "endpoints" - 1, read_endpoints, 0, NULL},
    KUBE_FIELD("ports", read_ports, struct kube_endpoints, ports),
    KUBE_FIELDS_END,
};

struct err *kube_endpoints_parse(struct kube_arena *a, struct slice json, struct kube_endpoints *ret) {
    struct kube_endpoints x = {.meta = KUBE_META_INIT};
    struct err *e = kube_read_object(a, json, "EndpointSlice", endpoints_fields, &x, &x.meta);
    if (e) return e;
    x.service = kube_pair_get(&x.meta.labels, "kubernetes.io/service-name");
    *ret = x;
    return NULL;
}

/* ---- Disruption budgets ------------------------------------------------------------------------------------------ */

struct pdb {
    struct kube_meta meta;
    int64_t allowed, healthy, wanted, pods;
};

static const struct kube_field pdb_status[] = {
    KUBE_FIELD("disruptionsAllowed", kube_read_int, struct pdb, allowed),
    KUBE_FIELD("currentHealthy", kube_read_int, struct pdb, healthy),
    KUBE_FIELD("desiredHealthy", kube_read_int, struct pdb, wanted),
    KUBE_FIELD("expectedPods", kube_read_int, struct pdb, pods),
    KUBE_FIELDS_END,
};

static const struct kube_field pdb_fields[] = {
    KUBE_FIELD("metadata", kube_read_meta, struct pdb, meta),
    KUBE_INTO("status", pdb_status),
    KUBE_FIELDS_END,
};

struct err *kube_pdb_parse(struct kube_arena *a, struct slice json, struct kube_budget *ret) {
    struct pdb p = {.meta = KUBE_META_INIT};
    struct err *e = kube_read_object(a, json, "PodDisruptionBudget", pdb_fields, &p, &p.meta);
    if (e) return e;
    *ret = (struct kube_budget){
        .meta = p.meta,
        .blocked = p.allowed <= 0 && p.pods > 0,
        .summary = kube_arena_printf(a, "%lld allowed, %lld of %lld healthy, %lld wanted", (long long)p.allowed,
                                     (long long)p.healthy, (long long)p.pods, (long long)p.wanted),
    };
    return NULL;
}

/* ---- Quotas ------------------------------------------------------------------------------------------------------ */

struct quota {
    struct kube_meta meta;
    struct kube_pairs hard, used;
};

static const struct kube_field quota_status[] = {
    KUBE_FIELD("hard", kube_read_pairs, struct quota, hard),
    KUBE_FIELD("used", kube_read_pairs, struct quota, used),
    KUBE_FIELDS_END,
};

static const struct kube_field quota_fields[] = {
    KUBE_FIELD("metadata", kube_read_meta, struct quota, meta),
    KUBE_INTO("status", quota_status),
    KUBE_FIELDS_END,
};

/* What is used of it; "?" if that is not known. */
static struct slice used_of(const struct kube_pairs *p, struct slice key) {
    for (size_t i = 0; i < p->n; i++)
        if (slice_eq(p->v[i].key, key)) return p->v[i].value;
    return SLICE_LIT("?");
}

struct err *kube_quota_parse(struct kube_arena *a, struct slice json, struct kube_budget *ret) {
    struct quota q = {.meta = KUBE_META_INIT};
    struct err *e = kube_read_object(a, json, "ResourceQuota", quota_fields, &q, &q.meta);
    if (e) return e;
    struct kube_reader k = {.arena = a};
    struct kube_texts lines = {0};
    bool exceeded = false;
    for (size_t i = 0; i < q.hard.n; i++) {
        int64_t hard, used;
        const struct kube_pair *h = &q.hard.v[i];
        struct slice text = used_of(&q.used, h->key);
        exceeded = exceeded || (str_quantity(text, &used) && str_quantity(h->value, &hard) && used >= hard);
        kube_texts_add(
            &k, &lines,
            kube_arena_printf(a, "%.*s %.*s of %.*s", SLICE_FMT(h->key), SLICE_FMT(text), SLICE_FMT(h->value)));
    }
    *ret = (struct kube_budget){.meta = q.meta, .exceeded = exceeded, .summary = kube_texts_join(a, &lines)};
    return NULL;
}

/* ---- Autoscalers ------------------------------------------------------------------------------------------------- */

struct hpa {
    struct kube_meta meta;
    struct slice kind, name;
    int64_t min, max, current;
};

static const struct kube_field hpa_target[] = {
    KUBE_FIELD("kind", kube_read_text, struct hpa, kind),
    KUBE_FIELD("name", kube_read_text, struct hpa, name),
    KUBE_FIELDS_END,
};

static const struct kube_field hpa_spec[] = {
    KUBE_INTO("scaleTargetRef", hpa_target),
    KUBE_FIELD("minReplicas", kube_read_int, struct hpa, min),
    KUBE_FIELD("maxReplicas", kube_read_int, struct hpa, max),
    KUBE_FIELDS_END,
};

static const struct kube_field hpa_status[] = {
    KUBE_FIELD("currentReplicas", kube_read_int, struct hpa, current),
    KUBE_FIELDS_END,
};

static const struct kube_field hpa_fields[] = {
    KUBE_FIELD("metadata", kube_read_meta, struct hpa, meta),
    KUBE_INTO("spec", hpa_spec),
    KUBE_INTO("status", hpa_status),
    KUBE_FIELDS_END,
};

struct err *kube_hpa_parse(struct kube_arena *a, struct slice json, struct kube_budget *ret) {
    struct hpa h = {.meta = KUBE_META_INIT, .min = 1};
    struct err *e = kube_read_object(a, json, "HorizontalPodAutoscaler", hpa_fields, &h, &h.meta);
    if (e) return e;
    *ret = (struct kube_budget){
        .meta = h.meta,
        .summary = kube_arena_printf(a, "%lld-%lld replicas, now %lld, of %.*s/%.*s", (long long)h.min,
                                     (long long)h.max, (long long)h.current, SLICE_FMT(h.kind), SLICE_FMT(h.name)),
    };
    return NULL;
}
