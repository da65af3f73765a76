/* Claims and volumes: binding (static volumes first, then a provisioner's), protection of claims in use, release and
 * reclaim. The steps of a binding are writes of their own, with the pauses of a real controller (wire/01b). */
#include <stdlib.h>
#include <string.h>

#include "base/json_doc.h"
#include "sandbox/controllers.h"
#include "sandbox/kube.h"
#include "sandbox/object.h"

#define PROTECTION "kubernetes.io/pvc-protection"
#define KCM "kube-controller-manager"
#define SELECTED_NODE "volume.kubernetes.io/selected-node"
#define PROVISIONER "volume.kubernetes.io/storage-provisioner"
#define STEP_MS 6
#define PROVISION_MS 15
#define RECLAIM_MS 40

/* ---- Protection -------------------------------------------------------------------------------------------------- */

struct users {
    const char *claim;
    bool any;
};

/* A pod that has a node and has not finished protects its claims. */
static bool uses_claim(void *arg, struct json_t *pod)
{
    struct users *u = arg;
    struct json_t *volumes = jd_get(pod, "spec.volumes");

    if (!jd_str(pod, "spec.nodeName") || pod_is_finished(pod))
        return true;
    for (size_t i = 0; i < jd_len(volumes); i++)
        if (str_eq(jd_str(jd_at(volumes, i), "persistentVolumeClaim.claimName"), u->claim))
            u->any = true;
    return !u->any;
}

static void claim_terminating(struct kube *k, struct json_t *claim)
{
    struct users u = {.claim = object_name(claim)};

    each_object(k, KIND_POD, object_namespace(claim), uses_claim, &u);
    if (!u.any && object_drop_finalizer(claim, PROTECTION))
        kube_write(k, KIND_CLAIM, claim, KCM);
}

/* ---- Binding ----------------------------------------------------------------------------------------------------- */

static int64_t quantity(const struct json_t *doc, const char *path)
{
    const char *text = jd_str(doc, path);
    int64_t n = 0;

    return text && str_quantity(slice_of(text), &n) ? n : 0;
}

static bool has_modes(const struct json_t *volume, const struct json_t *claim)
{
    struct json_t *want = jd_get(claim, "spec.accessModes"), *have = jd_get(volume, "spec.accessModes");

    for (size_t i = 0; i < jd_len(want); i++) {
        bool found = false;
        for (size_t j = 0; j < jd_len(have); j++)
            found = found || str_eq(jd_string_value(jd_at(want, i)), jd_string_value(jd_at(have, j)));
        if (!found)
            return false;
    }
    return true;
}

struct search {
    const struct json_t *claim;
    struct json_t *found;
};

static bool is_for(const struct json_t *volume, const struct json_t *claim)
{
    const char *uid = jd_str(volume, "spec.claimRef.uid");

    return str_eq(jd_str(volume, "spec.claimRef.name"), object_name(claim)) &&
           str_eq(jd_str(volume, "spec.claimRef.namespace"), object_namespace(claim)) &&
           (!uid || !uid[0] || str_eq(uid, object_uid_of(claim)));
}

/* The volume that the claim names, or one that names the claim, or a free one that fits. */
static bool fits(void *arg, struct json_t *volume)
{
    struct search *s = arg;
    const char *named = jd_str(s->claim, "spec.volumeName"), *class = jd_str(s->claim, "spec.storageClassName");
    const char *own_class = jd_str(volume, "spec.storageClassName");
    bool reserved = jd_get(volume, "spec.claimRef") != NULL;

    if (object_terminating(volume) || (named && named[0] && !str_eq(named, object_name(volume))))
        return true;
    if (reserved && !is_for(volume, s->claim))
        return true;
    if (!str_eq(own_class ? own_class : "", class ? class : ""))
        return true;
    int64_t has = quantity(volume, "spec.capacity.storage"), needs = quantity(s->claim, "spec.resources.requests.storage");
    bool free_one = str_eq(jd_str(volume, "status.phase"), "Available") && has_modes(volume, s->claim) && has >= needs;
    if (!reserved && !free_one)
        return true;
    s->found = jd_ref(volume);
    return false;
}

/* Looking through very many volumes happens only for a claim that is not bound. */
static struct json_t *find_volume(struct kube *k, const struct json_t *claim)
{
    struct search s = {.claim = claim};
    char *own = str_printf("pvc-%s", object_uid_of(claim));
    struct json_t *made = kube_get(k, KIND_VOLUME, NULL, own);

    free(own);
    if (made)
        return made;
    each_object(k, KIND_VOLUME, NULL, fits, &s);
    return s.found;
}

static void bind_volume(struct kube *k, struct json_t *volume, const struct json_t *claim)
{
    struct json_t *ref = object_parse("{'kind':'PersistentVolumeClaim','namespace':'%s','name':'%s','uid':'%s',"
                                      "'apiVersion':'v1','resourceVersion':'%s'}",
                                      object_namespace(claim), object_name(claim), object_uid_of(claim),
                                      jd_str(claim, "metadata.resourceVersion"));

    if (!str_eq(jd_str(volume, "spec.claimRef.uid"), object_uid_of(claim)))
        jd_put(volume, "spec.claimRef", jd_ref(ref));
    jd_put(volume, "status.phase", jd_string("Bound"));
    jd_free(ref);
    kube_write(k, KIND_VOLUME, volume, KCM);
}

/* Two writes, as the real controller makes them: the name of the volume, then the status. */
static void bind_claim(struct kube *k, struct json_t *claim, struct json_t *volume)
{
    const char *named = jd_str(claim, "spec.volumeName");

    if (!named || !named[0] || !object_annotation(claim, "pv.kubernetes.io/bind-completed")) {
        bind_volume(k, volume, claim);
        object_set_annotation(claim, "pv.kubernetes.io/bind-completed", "yes");
        if (!named || !named[0])
            object_set_annotation(claim, "pv.kubernetes.io/bound-by-controller", "yes");
        jd_put(claim, "spec.volumeName", jd_string(object_name(volume)));
        kube_write(k, KIND_CLAIM, claim, KCM);
        controllers_queue(k, QUEUE_CLAIM, object_namespace(claim), object_name(claim), STEP_MS);
        return;
    }
    jd_put(claim, "status.phase", jd_string("Bound"));
    jd_put(claim, "status.accessModes", jd_copy(jd_get(volume, "spec.accessModes")));
    jd_put(claim, "status.capacity", jd_copy(jd_get(volume, "spec.capacity")));
    kube_write(k, KIND_CLAIM, claim, KCM);
}

static bool said_already(struct kube *k, const struct json_t *claim, const char *reason)
{
    size_t from, to, count;
    struct version *const *all = store_all(k->store, KIND_EVENT, &count);

    store_range(k->store, KIND_EVENT, object_namespace(claim), &from, &to);
    for (size_t i = from; i < to; i++)
        if (slice_contains(version_json(all[i]), object_uid_of(claim)) && slice_contains(version_json(all[i]), reason))
            return true;
    return false;
}

static void provision(struct kube *k, struct json_t *claim, const struct json_t *class)
{
    const char *driver = jd_str(class, "provisioner"), *node = object_annotation(claim, SELECTED_NODE);

    if (!object_annotation(claim, PROVISIONER)) {
        object_set_annotation(claim, "volume.beta.kubernetes.io/storage-provisioner", driver);
        object_set_annotation(claim, PROVISIONER, driver);
        kube_write(k, KIND_CLAIM, claim, KCM);
        controllers_queue(k, QUEUE_CLAIM, object_namespace(claim), object_name(claim), PROVISION_MS);
        return;
    }
    if (k->faults.claims_pending && str_eq(object_name(class), "proxmox-lvm-encrypted")) {
        if (!said_already(k, claim, "ExternalProvisioning"))
            kube_event(k, KIND_CLAIM, claim, "persistentvolume-controller", "Normal", "ExternalProvisioning",
                       "Waiting for a volume to be created either by the external provisioner '%s' or manually by the system "
                       "administrator. If volume creation is delayed, please verify that the provisioner is running and "
                       "correctly registered.", driver);
        return;
    }
    struct json_t *pv = volume_for(k, claim, class, node);
    kube_add(k, KIND_VOLUME, pv, "csi-provisioner");
    kube_event(k, KIND_CLAIM, claim, driver, "Normal", "ProvisioningSucceeded", "Successfully provisioned volume %s",
               object_name(pv));
    jd_free(pv);
    controllers_queue(k, QUEUE_CLAIM, object_namespace(claim), object_name(claim), STEP_MS);
}

static void claim_pending(struct kube *k, struct json_t *claim)
{
    const char *class_name = jd_str(claim, "spec.storageClassName");
    struct json_t *volume = find_volume(k, claim);
    struct json_t *class = kube_get(k, KIND_STORAGECLASS, NULL, class_name ? class_name : "");
    bool waits = class && str_eq(jd_str(class, "volumeBindingMode"), "WaitForFirstConsumer") &&
                 !object_annotation(claim, SELECTED_NODE);

    const char *named = jd_str(claim, "spec.volumeName");

    if (volume && (!waits || (named && named[0]) || jd_get(volume, "spec.claimRef")))
        bind_claim(k, claim, volume);
    else if (named && named[0])
        ; /* waits for the volume that it names */
    else if (!class && !said_already(k, claim, "ProvisioningFailed"))
        kube_event(k, KIND_CLAIM, claim, "persistentvolume-controller", "Warning", "ProvisioningFailed",
                   "storageclass.storage.k8s.io \"%s\" not found", class_name ? class_name : "");
    else if (waits && !said_already(k, claim, "WaitForFirstConsumer"))
        kube_event(k, KIND_CLAIM, claim, "persistentvolume-controller", "Normal", "WaitForFirstConsumer",
                   "waiting for first consumer to be created before binding");
    else if (class && !waits && !str_eq(jd_str(class, "provisioner"), "kubernetes.io/no-provisioner"))
        provision(k, claim, class);
    jd_free(class);
    jd_free(volume);
}

void claim_sync(struct kube *k, const char *ns, const char *name)
{
    struct json_t *claim = kube_get(k, KIND_CLAIM, ns, name);

    if (!claim)
        return;
    if (object_terminating(claim)) {
        claim_terminating(k, claim);
    } else if (!object_has_finalizer(claim, PROTECTION)) {
        object_add_finalizer(claim, PROTECTION);
        kube_write(k, KIND_CLAIM, claim, KCM);
    } else if (str_eq(jd_str(claim, "status.phase"), "Pending")) {
        claim_pending(k, claim);
    }
    jd_free(claim);
}

/* ---- Volumes ----------------------------------------------------------------------------------------------------- */

static bool drop_attachment(void *arg, struct json_t *a)
{
    void **pair = arg;
    struct kube *k = pair[0];

    if (str_eq(jd_str(a, "spec.source.persistentVolumeName"), pair[1]))
        store_del(k->store, KIND_ATTACHMENT, NULL, object_name(a), NULL);
    return true;
}

static void detach(struct kube *k, const char *volume)
{
    void *pair[2] = {k, (void *)(uintptr_t)volume};

    each_object(k, KIND_ATTACHMENT, NULL, drop_attachment, pair);
}

static bool claim_is_there(struct kube *k, const struct json_t *volume)
{
    struct json_t *claim = kube_get(k, KIND_CLAIM, jd_str(volume, "spec.claimRef.namespace"),
                                    jd_str(volume, "spec.claimRef.name"));
    bool there = claim && str_eq(object_uid_of(claim), jd_str(volume, "spec.claimRef.uid"));

    jd_free(claim);
    return there;
}

static void reclaim(struct kube *k, const struct json_t *volume)
{
    if (!str_eq(jd_str(volume, "spec.persistentVolumeReclaimPolicy"), "Delete"))
        return;
    detach(k, object_name(volume));
    store_del(k->store, KIND_VOLUME, NULL, object_name(volume), NULL);
}

void volume_sync(struct kube *k, const char *ns, const char *name)
{
    struct json_t *v = kube_get(k, KIND_VOLUME, NULL, name);
    const char *phase = v ? jd_str(v, "status.phase") : NULL;
    bool has_ref = v && jd_get(v, "spec.claimRef.uid");

    (void)ns;
    if (v && object_terminating(v)) {
        if (!str_eq(phase, "Bound"))
            store_del(k->store, KIND_VOLUME, NULL, name, NULL);
    } else if (v && has_ref && str_eq(phase, "Released")) {
        if (!claim_is_there(k, v))
            reclaim(k, v);
    } else if (v && has_ref && !claim_is_there(k, v)) {
        jd_put(v, "status.phase", jd_string("Released"));
        kube_write(k, KIND_VOLUME, v, KCM);
        controllers_queue(k, QUEUE_VOLUME, "", name, RECLAIM_MS);
    } else if (v && !has_ref && (str_eq(phase, "Pending") || str_eq(phase, "Released"))) {
        jd_put(v, "status.phase", jd_string("Available"));
        kube_write(k, KIND_VOLUME, v, KCM);
    }
    jd_free(v);
}
