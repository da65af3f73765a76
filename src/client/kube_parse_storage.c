/* Claims, volumes, storage classes, volume attachments. */
#include <string.h>

#include "client/kube_parse_private.h"

/* ---- Claims ------------------------------------------------------------------------------------------------------ */

static const struct kube_field claim_requests[] = {
    KUBE_FIELD("storage", kube_read_quantity, struct kube_claim, request),
    KUBE_FIELDS_END,
};

static const struct kube_field claim_resources[] = {
    KUBE_INTO("requests", claim_requests),
    KUBE_FIELDS_END,
};

static const struct kube_field claim_capacity[] = {
    KUBE_FIELD("storage", kube_read_quantity, struct kube_claim, capacity),
    KUBE_FIELDS_END,
};

static const struct kube_field claim_spec[] = {
    KUBE_FIELD("accessModes", kube_read_modes, struct kube_claim, modes),
    KUBE_INTO("resources", claim_resources),
    KUBE_FIELD("storageClassName", kube_read_text, struct kube_claim, class),
    KUBE_FIELD("volumeName", kube_read_text, struct kube_claim, volume),
    KUBE_FIELDS_END,
};

static const struct kube_field claim_status[] = {
    KUBE_FIELD("phase", kube_read_text, struct kube_claim, phase),
    KUBE_INTO("capacity", claim_capacity),
    KUBE_FIELDS_END,
};

static const struct kube_field claim_fields[] = {
    KUBE_FIELD("metadata", kube_read_meta, struct kube_claim, meta),
    KUBE_INTO("spec", claim_spec),
    KUBE_INTO("status", claim_status),
    KUBE_FIELDS_END,
};

struct err *kube_claim_parse(struct kube_arena *a, struct slice json, struct kube_claim *ret) {
    struct kube_claim c = {.meta = KUBE_META_INIT, .request = KUBE_NONE, .capacity = KUBE_NONE};
    struct err *e = kube_read_object(a, json, "PersistentVolumeClaim", claim_fields, &c, &c.meta);
    if (e) return e;
    if (!c.class.p) c.class = c.meta.class_annotation;
    *ret = c;
    return NULL;
}

/* ---- Volumes ----------------------------------------------------------------------------------------------------- */

static const struct kube_field volume_capacity[] = {
    KUBE_FIELD("storage", kube_read_quantity, struct kube_volume, capacity),
    KUBE_FIELDS_END,
};

static const struct kube_field volume_claim[] = {
    KUBE_FIELD("namespace", kube_read_text, struct kube_volume, claim_ns),
    KUBE_FIELD("name", kube_read_text, struct kube_volume, claim_name),
    KUBE_FIELD("uid", kube_read_text, struct kube_volume, claim_uid),
    KUBE_FIELDS_END,
};

static const struct kube_field volume_csi[] = {
    KUBE_FIELD("driver", kube_read_text, struct kube_volume, driver),
    KUBE_FIELD("volumeHandle", kube_read_text, struct kube_volume, handle),
    KUBE_FIELD("volumeAttributes", kube_read_pairs, struct kube_volume, attributes),
    KUBE_FIELD("nodeStageSecretRef", kube_read_present, struct kube_volume, stage_secret),
    KUBE_FIELDS_END,
};

static const struct kube_field volume_nfs[] = {
    KUBE_FIELD("server", kube_read_text, struct kube_volume, server),
    KUBE_FIELD("path", kube_read_text, struct kube_volume, path),
    KUBE_FIELDS_END,
};

/* hostPath, local: where; the others: which. */
static const struct kube_field volume_other[] = {
    KUBE_FIELD("path", kube_read_text, struct kube_volume, path),
    KUBE_FIELD("volumeID", kube_read_text, struct kube_volume, handle),
    KUBE_FIELD("pdName", kube_read_text, struct kube_volume, handle),
    KUBE_FIELD("diskURI", kube_read_text, struct kube_volume, handle),
    KUBE_FIELD("iqn", kube_read_text, struct kube_volume, handle),
    KUBE_FIELD("image", kube_read_text, struct kube_volume, handle),
    KUBE_FIELD("volumePath", kube_read_text, struct kube_volume, handle),
    KUBE_FIELDS_END,
};

#define VOLUME_SOURCE(name)                                                      \
    static void read_##name(struct kube_reader *k, void *at) {                   \
        ((struct kube_volume *)at)->driver = SLICE_LIT(#name);                   \
        kube_read_fields(k, str_eq(#name, "nfs") ? volume_nfs : volume_other, at); \
    }
VOLUME_SOURCE(nfs)
VOLUME_SOURCE(hostPath)
VOLUME_SOURCE(local)
VOLUME_SOURCE(iscsi)
VOLUME_SOURCE(fc)
VOLUME_SOURCE(rbd)
VOLUME_SOURCE(cephfs)
VOLUME_SOURCE(glusterfs)
VOLUME_SOURCE(awsElasticBlockStore)
VOLUME_SOURCE(gcePersistentDisk)
VOLUME_SOURCE(azureDisk)
VOLUME_SOURCE(azureFile)
VOLUME_SOURCE(cinder)
VOLUME_SOURCE(vsphereVolume)
VOLUME_SOURCE(flexVolume)
#undef VOLUME_SOURCE
#define SOURCE_FIELD(name) {#name, sizeof #name - 1, read_##name, 0, NULL}

static const struct kube_field volume_spec[] = {
    KUBE_FIELD("accessModes", kube_read_modes, struct kube_volume, modes),
    KUBE_INTO("capacity", volume_capacity),
    KUBE_INTO("claimRef", volume_claim),
    KUBE_INTO("csi", volume_csi),
    KUBE_FIELD("mountOptions", kube_read_joined, struct kube_volume, mount_options),
    KUBE_FIELD("persistentVolumeReclaimPolicy", kube_read_text, struct kube_volume, reclaim),
    KUBE_FIELD("storageClassName", kube_read_text, struct kube_volume, class),
    SOURCE_FIELD(nfs),
    SOURCE_FIELD(hostPath),
    SOURCE_FIELD(local),
    SOURCE_FIELD(iscsi),
    SOURCE_FIELD(fc),
    SOURCE_FIELD(rbd),
    SOURCE_FIELD(cephfs),
    SOURCE_FIELD(glusterfs),
    SOURCE_FIELD(awsElasticBlockStore),
    SOURCE_FIELD(gcePersistentDisk),
    SOURCE_FIELD(azureDisk),
    SOURCE_FIELD(azureFile),
    SOURCE_FIELD(cinder),
    SOURCE_FIELD(vsphereVolume),
    SOURCE_FIELD(flexVolume),
    KUBE_FIELDS_END,
};

static const struct kube_field volume_status[] = {
    KUBE_FIELD("phase", kube_read_text, struct kube_volume, phase),
    KUBE_FIELDS_END,
};

static const struct kube_field volume_fields[] = {
    KUBE_FIELD("metadata", kube_read_meta, struct kube_volume, meta),
    KUBE_INTO("spec", volume_spec),
    KUBE_INTO("status", volume_status),
    KUBE_FIELDS_END,
};

/* The fields of "server#share#subdir…", as csi-driver-nfs writes its handles. */
static void read_nfs_handle(struct kube_volume *v) {
    struct slice rest = v->handle, server, share;
    if (slice_cut(&rest, '#', &server) && rest.p && slice_cut(&rest, '#', &share)) {
        v->server = server;
        v->path = share;
    }
}

static void find_server(struct kube_volume *v) {
    if (v->server.p || !v->attributes.n) return;
    v->server = kube_pair_get(&v->attributes, "server");
    v->path = kube_pair_get(&v->attributes, "share");
    if (!v->server.p && slice_is(v->driver, "nfs.csi.k8s.io")) read_nfs_handle(v);
}

struct err *kube_volume_parse(struct kube_arena *a, struct slice json, struct kube_volume *ret) {
    struct kube_volume v = {.meta = KUBE_META_INIT, .capacity = KUBE_NONE};
    struct err *e = kube_read_object(a, json, "PersistentVolume", volume_fields, &v, &v.meta);
    if (e) return e;
    find_server(&v);
    *ret = v;
    return NULL;
}

/* ---- Storage classes --------------------------------------------------------------------------------------------- */

static const struct kube_field class_fields[] = {
    KUBE_FIELD("metadata", kube_read_meta, struct kube_class, meta),
    KUBE_FIELD("provisioner", kube_read_text, struct kube_class, provisioner),
    KUBE_FIELD("reclaimPolicy", kube_read_text, struct kube_class, reclaim),
    KUBE_FIELD("volumeBindingMode", kube_read_text, struct kube_class, binding),
    KUBE_FIELD("allowVolumeExpansion", kube_read_bool, struct kube_class, expansion),
    KUBE_FIELD("parameters", kube_read_pairs, struct kube_class, parameters),
    KUBE_FIELD("mountOptions", kube_read_joined, struct kube_class, mount_options),
    KUBE_FIELDS_END,
};

struct err *kube_class_parse(struct kube_arena *a, struct slice json, struct kube_class *ret) {
    struct kube_class c = {.meta = KUBE_META_INIT};
    struct err *e = kube_read_object(a, json, "StorageClass", class_fields, &c, &c.meta);
    if (!e) *ret = c;
    return e;
}

/* ---- Volume attachments ------------------------------------------------------------------------------------------ */

static const struct kube_field attachment_source[] = {
    KUBE_FIELD("persistentVolumeName", kube_read_text, struct kube_attachment, volume),
    KUBE_FIELDS_END,
};

static const struct kube_field attachment_spec[] = {
    KUBE_FIELD("attacher", kube_read_text, struct kube_attachment, attacher),
    KUBE_FIELD("nodeName", kube_read_text, struct kube_attachment, node),
    KUBE_INTO("source", attachment_source),
    KUBE_FIELDS_END,
};

static const struct kube_field attach_error[] = {
    KUBE_FIELD("message", kube_read_text, struct kube_attachment, attach_error),
    KUBE_FIELDS_END,
};

static const struct kube_field detach_error[] = {
    KUBE_FIELD("message", kube_read_text, struct kube_attachment, detach_error),
    KUBE_FIELDS_END,
};

static const struct kube_field attachment_status[] = {
    KUBE_FIELD("attached", kube_read_bool, struct kube_attachment, attached),
    KUBE_INTO("attachError", attach_error),
    KUBE_INTO("detachError", detach_error),
    KUBE_FIELDS_END,
};

static const struct kube_field attachment_fields[] = {
    KUBE_FIELD("metadata", kube_read_meta, struct kube_attachment, meta),
    KUBE_INTO("spec", attachment_spec),
    KUBE_INTO("status", attachment_status),
    KUBE_FIELDS_END,
};

struct err *kube_attachment_parse(struct kube_arena *a, struct slice json, struct kube_attachment *ret) {
    struct kube_attachment x = {.meta = KUBE_META_INIT};
    struct err *e = kube_read_object(a, json, "VolumeAttachment", attachment_fields, &x, &x.meta);
    if (!e) *ret = x;
    return e;
}
