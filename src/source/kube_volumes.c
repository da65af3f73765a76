/* Volumes, storage classes and attachments. A volume is judged by its own spec; what its class adds is looked up when
 * its claim is judged, so that a change of the class has one place to go to. */
#include "source/kube_source_private.h"
#include "source/storage_judge.h"

static struct err *apply_volume(struct kube_listener *l, struct slice json, bool deleted) {
    struct kube_source *s = l->source;
    struct kube_volume v;
    struct err *e = kube_volume_parse(&s->arena, json, &v);
    if (e) return e;
    struct buf *evidence = &s->scratch[0];
    buf_clear(evidence);
    struct storage_verdict verdict = storage_judge_volume(&v, evidence);
    struct cell cells[VOLUMES_COLS] = {
        [VOLUMES_NAME] = cell_slice(v.meta.name),
        [VOLUMES_CLASS] = cell_slice(v.class),
        [VOLUMES_CAPACITY] = kube_cell(v.capacity),
        [VOLUMES_PHASE] = cell_slice(v.phase),
        [VOLUMES_RECLAIM] = cell_slice(v.reclaim),
        [VOLUMES_CLAIM] = v.claim_name.n ? cell_slice(kube_arena_printf(&s->arena, "%.*s/%.*s", SLICE_FMT(v.claim_ns),
                                                                        SLICE_FMT(v.claim_name)))
                                         : CELL_NONE,
        [VOLUMES_CLAIM_UID] = cell_slice(v.claim_uid),
        [VOLUMES_DRIVER] = cell_slice(v.driver),
        [VOLUMES_HANDLE] = cell_slice(v.handle),
        [VOLUMES_SERVER] = cell_slice(v.server),
        [VOLUMES_PATH] = cell_slice(v.path),
        [VOLUMES_BACKEND] = cell_text(storage_backend_name(verdict.backend)),
        [VOLUMES_ENCRYPTION] = cell_text(storage_encryption_name(verdict.encryption)),
        [VOLUMES_EVIDENCE] = cell_text(buf_str(evidence)),
        [VOLUMES_MOUNT_OPTIONS] = cell_slice(v.mount_options),
        [VOLUMES_CREATED] = kube_cell(v.meta.created),
        [VOLUMES_DELETING] = kube_cell(v.meta.deleting),
    };
    kube_listener_row(l, &v.meta, cells, deleted);
    return NULL;
}

const struct kube_kind kube_kind_volumes = {
    .group_path = "/api/v1",
    .resource = "persistentvolumes",
    .scope = KUBE_CLUSTER,
    .table = T_VOLUMES,
    .awaited = true,
    .apply = apply_volume,
};

/* ---- Storage classes --------------------------------------------------------------------------------------------- */

static struct cell role_of(const struct kube_source *s, struct slice name) {
    if (s->o.target_class && slice_is(name, s->o.target_class)) return cell_text("target");
    for (const char *const *c = s->o.source_classes; *c; c++)
        if (slice_is(name, *c)) return cell_text("source");
    return CELL_NONE;
}

static struct err *apply_class(struct kube_listener *l, struct slice json, bool deleted) {
    struct kube_source *s = l->source;
    struct kube_class c;
    struct err *e = kube_class_parse(&s->arena, json, &c);
    if (e) return e;
    struct buf *evidence = &s->scratch[0];
    buf_clear(evidence);
    struct storage_verdict verdict = storage_judge_class(&c, evidence);
    struct cell cells[STORAGE_CLASSES_COLS] = {
        [STORAGE_CLASSES_NAME] = cell_slice(c.meta.name),
        [STORAGE_CLASSES_PROVISIONER] = cell_slice(c.provisioner),
        [STORAGE_CLASSES_RECLAIM] = c.reclaim.p ? cell_slice(c.reclaim) : cell_text("Delete"), /* the API's default */
        [STORAGE_CLASSES_BINDING] = cell_slice(c.binding),
        [STORAGE_CLASSES_IS_DEFAULT] = cell_bool(c.meta.default_class),
        [STORAGE_CLASSES_EXPANSION] = cell_bool(c.expansion),
        [STORAGE_CLASSES_ROLE] = role_of(s, c.meta.name),
        [STORAGE_CLASSES_BACKEND] = cell_text(storage_backend_name(verdict.backend)),
        [STORAGE_CLASSES_ENCRYPTION] = cell_text(storage_encryption_name(verdict.encryption)),
        [STORAGE_CLASSES_EVIDENCE] = cell_text(buf_str(evidence)),
        [STORAGE_CLASSES_PARAMETERS] = cell_slice(kube_pairs_join(&s->arena, &c.parameters)),
        [STORAGE_CLASSES_CREATED] = kube_cell(c.meta.created),
    };
    kube_listener_row(l, &c.meta, cells, deleted);
    return NULL;
}

const struct kube_kind kube_kind_classes = {
    .group_path = "/apis/storage.k8s.io/v1",
    .resource = "storageclasses",
    .scope = KUBE_CLUSTER,
    .table = T_STORAGE_CLASSES,
    .awaited = true,
    .apply = apply_class,
};

/* ---- Attachments ------------------------------------------------------------------------------------------------- */

static const char *attachment_state(const struct kube_attachment *a) {
    if (a->attach_error.n || a->detach_error.n) return "FAILED";
    if (a->meta.deleting != KUBE_NONE) return "DETACHING";
    return a->attached ? "ATTACHED" : "ATTACHING";
}

static struct err *apply_attachment(struct kube_listener *l, struct slice json, bool deleted) {
    struct kube_attachment a;
    struct err *e = kube_attachment_parse(&l->source->arena, json, &a);
    if (e) return e;
    struct cell cells[ATTACHMENTS_COLS] = {
        [ATTACHMENTS_NAME] = cell_slice(a.meta.name),
        [ATTACHMENTS_VOLUME] = cell_slice(a.volume),
        [ATTACHMENTS_NODE] = cell_slice(a.node),
        [ATTACHMENTS_DRIVER] = cell_slice(a.attacher),
        [ATTACHMENTS_STATE] = cell_text(attachment_state(&a)),
        [ATTACHMENTS_ERROR] = cell_slice(a.attach_error.n ? a.attach_error : a.detach_error),
        [ATTACHMENTS_CREATED] = kube_cell(a.meta.created),
    };
    kube_listener_row(l, &a.meta, cells, deleted);
    return NULL;
}

const struct kube_kind kube_kind_attachments = {
    .group_path = "/apis/storage.k8s.io/v1",
    .resource = "volumeattachments",
    .scope = KUBE_CLUSTER,
    .table = T_ATTACHMENTS,
    .apply = apply_attachment,
};
