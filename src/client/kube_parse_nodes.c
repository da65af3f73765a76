/* Nodes and what their CSI drivers say. */
#include "client/kube_parse_private.h"

static void read_node_conditions(struct kube_reader *k, void *at) {
    struct kube_node *n = at;
    struct kube_condition c;
    struct kube_texts problems = {0};
    if (!json_enter_array(&k->json)) return;
    while (kube_next_condition(k, &c)) {
        bool ready = slice_is(c.type, "Ready");
        if (ready) n->ready = c.status;
        if (slice_is(c.status, ready ? "True" : "False") || !c.type.n) continue;
        kube_texts_add(k, &problems,
                       ready ? kube_arena_printf(k->arena, "%.*s", c.reason.p ? (int)c.reason.n : 8,
                                                 c.reason.p ? c.reason.p : "NotReady")
                             : c.type);
    }
    n->problems = kube_texts_join(k->arena, &problems);
}

struct node_address {
    struct slice type, address;
};

static void read_addresses(struct kube_reader *k, void *at) {
    static const struct kube_field fields[] = {
        KUBE_FIELD("type", kube_read_text, struct node_address, type),
        KUBE_FIELD("address", kube_read_text, struct node_address, address),
        KUBE_FIELDS_END,
    };
    struct slice *internal = at;
    if (!json_enter_array(&k->json)) return;
    while (json_next_item(&k->json)) {
        struct node_address x = {0};
        kube_read_fields(k, fields, &x);
        if (slice_is(x.type, "InternalIP") && !internal->p) *internal = x.address;
    }
}

static const struct kube_field node_info[] = {
    KUBE_FIELD("kubeletVersion", kube_read_text, struct kube_node, version),
    KUBE_FIELDS_END,
};

static const struct kube_field node_status[] = {
    KUBE_FIELD("addresses", read_addresses, struct kube_node, address),
    {"conditions", sizeof "conditions" - 1, read_node_conditions, 0, NULL},
    KUBE_INTO("nodeInfo", node_info),
    KUBE_FIELDS_END,
};

static const struct kube_field node_spec[] = {
    KUBE_FIELD("unschedulable", kube_read_bool, struct kube_node, unschedulable),
    KUBE_FIELDS_END,
};

static const struct kube_field node_fields[] = {
    KUBE_FIELD("metadata", kube_read_meta, struct kube_node, meta),
    KUBE_INTO("spec", node_spec),
    KUBE_INTO("status", node_status),
    KUBE_FIELDS_END,
};

struct err *kube_node_parse(struct kube_arena *a, struct slice json, struct kube_node *ret) {
    struct kube_node n = {.meta = KUBE_META_INIT};
    struct err *e = kube_read_object(a, json, "Node", node_fields, &n, &n.meta);
    if (e) return e;
    n.zone = kube_pair_get(&n.meta.labels, "topology.kubernetes.io/zone");
    *ret = n;
    return NULL;
}

/* ---- CSINodes ---------------------------------------------------------------------------------------------------- */

struct driver {
    struct slice name;
    int64_t count;
};

static const struct kube_field driver_allocatable[] = {
    KUBE_FIELD("count", kube_read_int, struct driver, count),
    KUBE_FIELDS_END,
};

static const struct kube_field driver_fields[] = {
    KUBE_FIELD("name", kube_read_text, struct driver, name),
    KUBE_INTO("allocatable", driver_allocatable),
    KUBE_FIELDS_END,
};

static void read_drivers(struct kube_reader *k, void *at) {
    struct kube_texts list = {0};
    if (!json_enter_array(&k->json)) return;
    while (json_next_item(&k->json)) {
        struct driver d = {.count = KUBE_NONE};
        kube_read_fields(k, driver_fields, &d);
        if (!d.name.n) continue;
        kube_texts_add(k, &list,
                       d.count == KUBE_NONE
                           ? d.name
                           : kube_arena_printf(k->arena, "%.*s %lld volumes", SLICE_FMT(d.name), (long long)d.count));
    }
    *(struct slice *)at = kube_texts_join(k->arena, &list);
}

static const struct kube_field csinode_spec[] = {
    KUBE_FIELD("drivers", read_drivers, struct kube_csinode, drivers),
    KUBE_FIELDS_END,
};

static const struct kube_field csinode_fields[] = {
    KUBE_FIELD("metadata", kube_read_meta, struct kube_csinode, meta),
    KUBE_INTO("spec", csinode_spec),
    KUBE_FIELDS_END,
};

struct err *kube_csinode_parse(struct kube_arena *a, struct slice json, struct kube_csinode *ret) {
    struct kube_csinode n = {.meta = KUBE_META_INIT};
    struct err *e = kube_read_object(a, json, "CSINode", csinode_fields, &n, &n.meta);
    if (!e) *ret = n;
    return e;
}
