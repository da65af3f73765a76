/* metadata, the same for every kind. More than half of an object's bytes are managedFields: of
 * them only the manager's name is wanted, so they are skipped but for the first level of f:spec. */
#include "base/buf.h"
#include "client/kube_parse_private.h"

struct managed {
    struct slice manager, subresource, time;
    bool spec; /* owns something of the spec that is not the system's own doing */
};

/* Whether f:spec holds more than what binding and scheduling write there. */
static void read_spec_fields(struct kube_reader *k, void *at) {
    bool *spec = at;
    struct slice key;
    if (!json_enter_object(&k->json)) return;
    while (json_next_key(&k->json, &key)) {
        if (!slice_is(key, "f:volumeName") && !slice_is(key, "f:nodeName") && !slice_is(key, "f:claimRef") &&
            !slice_is(key, "."))
            *spec = true;
        json_skip(&k->json);
    }
}

static const struct kube_field managed_v1_fields[] = {
    KUBE_FIELD("f:spec", read_spec_fields, struct managed, spec),
    KUBE_FIELDS_END,
};

static const struct kube_field managed_fields[] = {
    KUBE_FIELD("manager", kube_read_text, struct managed, manager),
    KUBE_FIELD("subresource", kube_read_text, struct managed, subresource),
    KUBE_FIELD("time", kube_read_text, struct managed, time),
    KUBE_INTO("fieldsV1", managed_v1_fields),
    KUBE_FIELDS_END,
};

/* The manager of the latest entry that owns something of the spec; times are RFC 3339 in UTC, so their bytes compare.
 */
static void read_managers(struct kube_reader *k, void *at) {
    struct slice *manager = at, latest = {NULL, 0};
    if (!json_enter_array(&k->json)) return;
    while (json_next_item(&k->json)) {
        struct managed m = {0};
        kube_read_fields(k, managed_fields, &m);
        if (!m.spec || m.subresource.n || !m.manager.p) continue;
        if (latest.p && (!m.time.p || slice_cmp(m.time, latest) < 0)) continue;
        latest = m.time.p ? m.time : SLICE_LIT("");
        *manager = m.manager;
    }
}

struct owner {
    struct slice kind, name, uid;
    bool controller;
};

static const struct kube_field owner_fields[] = {
    KUBE_FIELD("kind", kube_read_text, struct owner, kind),
    KUBE_FIELD("name", kube_read_text, struct owner, name),
    KUBE_FIELD("uid", kube_read_text, struct owner, uid),
    KUBE_FIELD("controller", kube_read_bool, struct owner, controller),
    KUBE_FIELDS_END,
};

static void read_owners(struct kube_reader *k, void *at) {
    struct kube_meta *m = at;
    if (!json_enter_array(&k->json)) return;
    while (json_next_item(&k->json)) {
        struct owner o = {0};
        kube_read_fields(k, owner_fields, &o);
        if (!o.controller) continue;
        m->owner_kind = o.kind;
        m->owner_name = o.name;
        m->owner_uid = o.uid;
    }
}

/* The few annotations that mean something here; the others may be a megabyte and hold anything. */
static void read_annotations(struct kube_reader *k, void *at) {
    struct kube_meta *m = at;
    struct slice key;
    if (!json_enter_object(&k->json)) return;
    while (json_next_key(&k->json, &key)) {
        if (slice_is(key, "volume.kubernetes.io/storage-provisioner")) m->provisioner = kube_text(k);
        else if (slice_is(key, "volume.beta.kubernetes.io/storage-provisioner")) {
            struct slice s = kube_text(k);
            if (!m->provisioner.p) m->provisioner = s;
        } else if (slice_is(key, "volume.beta.kubernetes.io/storage-class")) m->class_annotation = kube_text(k);
        else if (slice_is(key, "storageclass.kubernetes.io/is-default-class"))
            m->default_class = slice_is(json_string(&k->json), "true");
        else json_skip(&k->json);
    }
}

static const struct kube_field meta_fields[] = {
    KUBE_FIELD("name", kube_read_text, struct kube_meta, name),
    KUBE_FIELD("namespace", kube_read_text, struct kube_meta, ns),
    KUBE_FIELD("uid", kube_read_text, struct kube_meta, uid),
    KUBE_FIELD("resourceVersion", kube_read_text, struct kube_meta, version),
    KUBE_FIELD("generation", kube_read_int, struct kube_meta, generation),
    KUBE_FIELD("creationTimestamp", kube_read_time, struct kube_meta, created),
    KUBE_FIELD("deletionTimestamp", kube_read_time, struct kube_meta, deleting),
    KUBE_FIELD("labels", kube_read_pairs, struct kube_meta, labels),
    {"annotations", sizeof "annotations" - 1, read_annotations, 0, NULL},
    {"ownerReferences", sizeof "ownerReferences" - 1, read_owners, 0, NULL},
    KUBE_FIELD("managedFields", read_managers, struct kube_meta, manager),
    KUBE_FIELDS_END,
};

void kube_read_meta(struct kube_reader *k, void *at) {
    kube_read_fields(k, meta_fields, at);
}

static const struct kube_field alone_fields[] = {
    {"metadata", sizeof "metadata" - 1, kube_read_meta, 0, NULL},
    KUBE_FIELDS_END,
};

struct err *kube_meta_parse(struct kube_arena *a, struct slice json, struct kube_meta *ret) {
    struct kube_meta m = KUBE_META_INIT;
    struct err *e = kube_read_object(a, json, "object", alone_fields, &m, &m);
    if (!e) *ret = m;
    return e;
}
