/* Nodes, with what their CSINodes say of drivers. A CSINode has the name of its node and no row of its own; it may come
 * before the node. */
#include "base/mem.h"
#include "source/kube_source_private.h"

struct drivers {
    uint32_t sweep; /* of the list that last named it */
    char text[];
};

static struct cell drivers_of(const struct kube_source *s, struct slice node) {
    const struct drivers *d = map_get(s->drivers, node);
    return d && d->text[0] ? cell_text(d->text) : CELL_NONE;
}

/* "Unknown" is what the control plane writes when a kubelet has fallen silent: the node is down or cut off. */
static const char *state_of(const struct kube_node *n) {
    if (!n->ready.n) return "UNKNOWN";
    if (!slice_is(n->ready, "True")) return "NOT READY";
    return n->unschedulable ? "CORDONED" : "READY";
}

static struct err *apply_node(struct kube_listener *l, struct slice json, bool deleted) {
    struct kube_node n;
    struct err *e = kube_node_parse(&l->source->arena, json, &n);
    if (e) return e;
    struct cell cells[NODES_COLS] = {
        [NODES_NAME] = cell_slice(n.meta.name),
        [NODES_STATE] = cell_text(state_of(&n)),
        [NODES_REASON] = cell_slice(n.problems),
        [NODES_VERSION] = cell_slice(n.version),
        [NODES_ADDRESS] = cell_slice(n.address),
        [NODES_ZONE] = cell_slice(n.zone),
        [NODES_DRIVERS] = drivers_of(l->source, n.meta.name),
        [NODES_CREATED] = kube_cell(n.meta.created),
    };
    kube_listener_row(l, &n.meta, cells, deleted);
    return NULL;
}

const struct kube_kind kube_kind_nodes = {
    .group_path = "/api/v1", .resource = "nodes", .scope = KUBE_CLUSTER, .table = T_NODES, .apply = apply_node,
};

/* ---- CSINodes ---------------------------------------------------------------------------------------------------- */

static void patch_node(struct kube_source *s, struct slice name) {
    const int col = NODES_DRIVERS;
    const struct cell cell = drivers_of(s, name);
    const struct row *r = world_find_name(s->o.world, T_NODES, (struct slice){NULL, 0}, name);
    if (r) world_patch(s->o.world, T_NODES, row_key(r), &col, &cell, 1);
}

static void forget(struct kube_source *s, struct slice name) {
    mem_free(map_del(s->drivers, name));
    patch_node(s, name);
}

static struct err *apply_csinode(struct kube_listener *l, struct slice json, bool deleted) {
    struct kube_source *s = l->source;
    struct kube_csinode n;
    struct err *e = kube_csinode_parse(&s->arena, json, &n);
    if (e) return e;
    if (deleted) {
        l->objects -= map_get(s->drivers, n.meta.name) ? 1 : 0;
        forget(s, n.meta.name);
        return NULL;
    }
    struct drivers *d = mem_zalloc(sizeof *d + n.drivers.n + 1);
    d->sweep = l->sweep;
    for (size_t i = 0; i < n.drivers.n; i++) d->text[i] = n.drivers.p[i];
    struct drivers *old = map_put(s->drivers, n.meta.name, d);
    l->objects += old ? 0 : 1;
    mem_free(old);
    patch_node(s, n.meta.name);
    return NULL;
}

/* What the list did not name is gone. */
static void end_csinodes(struct kube_listener *l) {
    struct kube_source *s = l->source;
    struct slice name;
    void *value;
    size_t it = 0;
    while (map_each(s->drivers, &it, &name, &value)) {
        if (((const struct drivers *)value)->sweep == l->sweep) continue;
        l->objects--;
        forget(s, kube_arena_text(&s->arena, name));
    }
}

const struct kube_kind kube_kind_csinodes = {
    .group_path = "/apis/storage.k8s.io/v1",
    .resource = "csinodes",
    .scope = KUBE_CLUSTER,
    .table = T_COUNT,
    .apply = apply_csinode,
    .end = end_csinodes,
};
