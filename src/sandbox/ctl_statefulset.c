/* StatefulSets: stable names, claims from templates, adoption of orphans. While one of a pod's claims terminates, the
 * pod is not made on it: FailedCreate, back-off, and once the old claim has gone the claim is made anew. Claims that a
 * pending pod lacks are made when the set is looked at for another reason; claims themselves wake nobody (scenarios s7,
 * s9 and s13 of the recordings). */
#include <stdlib.h>
#include <string.h>

#include "base/json_doc.h"
#include "sandbox/controllers.h"
#include "sandbox/kube.h"
#include "sandbox/object.h"

#define KCM "kube-controller-manager"
#define SET_MAX 64
#define RETRY_MS 20
#define RETRY_LATER_MS 200

struct set {
    struct kube *k;
    struct json_t *doc;
    struct json_t *pods[SET_MAX]; /* by ordinal */
    int64_t highest;
    char revision[80];
    int64_t replicas, ready, current;
};

/* Ordinal of a pod's name; -1 if it is not this set's. */
static int64_t ordinal_of(const struct json_t *set, const struct json_t *pod)
{
    const char *name = object_name(pod);
    size_t n = strlen(object_name(set));
    int64_t i;

    if (strncmp(name, object_name(set), n) != 0 || name[n] != '-' || !slice_to_i64(slice_of(name + n + 1), &i))
        return -1;
    return i >= 0 && i < SET_MAX ? i : -1;
}

static bool take_pod(void *arg, struct json_t *pod)
{
    struct set *s = arg;
    int64_t i = ordinal_of(s->doc, pod);
    bool mine = owned_by(pod, object_uid_of(s->doc));

    if (i >= 0 && !mine && !object_controller(pod) && !object_terminating(pod) &&
        object_labels_match(jd_get(s->doc, "spec.selector.matchLabels"), jd_get(pod, "metadata.labels"))) {
        if (!jd_is_array(jd_get(pod, "metadata.ownerReferences")))
            jd_put(pod, "metadata.ownerReferences", jd_array());
        jd_append(jd_get(pod, "metadata.ownerReferences"), owner_reference(KIND_STATEFULSET, s->doc));
        kube_write(s->k, KIND_POD, pod, KCM);
        mine = true;
    }
    if (i < 0 || !mine)
        return true;
    s->pods[i] = jd_ref(pod);
    s->highest = i > s->highest ? i : s->highest;
    s->replicas++;
    s->ready += pod_is_ready(pod) && !object_terminating(pod);
    s->current += str_eq(object_label(pod, "controller-revision-hash"), s->revision);
    return true;
}

/* The revision of the present template: there, adopted, or made. */
static void ensure_revision(struct set *s)
{
    struct json_t *want = revision_for(s->doc, 1);
    struct json_t *have = kube_get(s->k, KIND_REVISION, object_namespace(s->doc), object_name(want));

    if (!have) {
        kube_add(s->k, KIND_REVISION, want, KCM);
    } else if (!owned_by(have, object_uid_of(s->doc)) && !object_controller(have)) {
        jd_put(have, "metadata.ownerReferences", jd_copy(jd_get(want, "metadata.ownerReferences")));
        kube_write(s->k, KIND_REVISION, have, KCM);
    }
    str_copy(s->revision, sizeof s->revision, object_name(want));
    jd_free(have);
    jd_free(want);
}

static bool keeps(const struct set *s, const char *when)
{
    return !str_eq(jd_str(jd_get(s->doc, "spec.persistentVolumeClaimRetentionPolicy"), when), "Delete");
}

/* Claims go with the set if it says so; with a pod only once that is to go for good (release_claims). */
static void own_claim(struct set *s, struct json_t *claim)
{
    bool owned = owned_by(claim, object_uid_of(s->doc));

    if (owned == !keeps(s, "whenDeleted"))
        return;
    struct json_t *refs = jd_array();
    if (!owned)
        jd_append(refs, owner_reference(KIND_STATEFULSET, s->doc));
    jd_put(claim, "metadata.ownerReferences", refs);
    kube_write(s->k, KIND_CLAIM, claim, KCM);
}

static void ensure_claim(struct set *s, const struct json_t *template, int64_t ordinal, struct buf *errors,
                         size_t *error_count)
{
    struct json_t *claim = set_claim(s->doc, template, ordinal);
    struct json_t *have = kube_get(s->k, KIND_CLAIM, object_namespace(claim), object_name(claim));

    if (have && object_terminating(have)) {
        buf_printf(errors, "%spvc %s is being deleted", *error_count ? ", " : "", object_name(claim));
        ++*error_count;
    } else if (have) {
        own_claim(s, have);
    } else {
        if (!keeps(s, "whenDeleted")) {
            jd_put(claim, "metadata.ownerReferences", jd_array());
            jd_append(jd_get(claim, "metadata.ownerReferences"), owner_reference(KIND_STATEFULSET, s->doc));
        }
        kube_add(s->k, KIND_CLAIM, claim, KCM);
        kube_event(s->k, KIND_STATEFULSET, s->doc, "statefulset-controller", "Normal", "SuccessfulCreate",
                   "create Claim %s Pod %s-%lld in StatefulSet %s success", object_name(claim), object_name(s->doc),
                   (long long)ordinal, object_name(s->doc));
    }
    jd_free(have);
    jd_free(claim);
}

/* Returns how many of the pod's claims terminate. */
static size_t ensure_claims(struct set *s, int64_t ordinal, struct buf *errors)
{
    struct json_t *templates = jd_get(s->doc, "spec.volumeClaimTemplates");
    size_t error_count = 0;

    for (size_t i = 0; i < jd_len(templates); i++)
        ensure_claim(s, jd_at(templates, i), ordinal, errors, &error_count);
    return error_count;
}

/* A pod that has not begun may lack claims. One that is there keeps those that it has; whose they are follows the set. */
static void mend_claims(struct set *s, const struct json_t *pod, int64_t ordinal)
{
    struct json_t *templates = jd_get(s->doc, "spec.volumeClaimTemplates");
    struct buf errors = {0};

    if (str_eq(jd_str(pod, "status.phase"), "Pending") && ensure_claims(s, ordinal, &errors) > 0)
        controllers_queue(s->k, QUEUE_STATEFULSET, object_namespace(s->doc), object_name(s->doc), RETRY_LATER_MS);
    for (size_t i = 0; i < jd_len(templates); i++) {
        struct json_t *wanted = set_claim(s->doc, jd_at(templates, i), ordinal);
        struct json_t *have = kube_get(s->k, KIND_CLAIM, object_namespace(wanted), object_name(wanted));
        if (have && !object_terminating(have))
            own_claim(s, have);
        jd_free(have);
        jd_free(wanted);
    }
    buf_free(&errors);
}

/* Returns whether the pod could be made. */
static bool create_pod(struct set *s, int64_t ordinal)
{
    struct buf errors = {0};
    size_t error_count = ensure_claims(s, ordinal, &errors);

    if (error_count == 0) {
        struct json_t *pod = set_pod(s->doc, ordinal, s->revision);
        kube_add(s->k, KIND_POD, pod, KCM);
        kube_event(s->k, KIND_STATEFULSET, s->doc, "statefulset-controller", "Normal", "SuccessfulCreate",
                   "create Pod %s in StatefulSet %s successful", object_name(pod), object_name(s->doc));
        jd_free(pod);
    } else {
        kube_event(s->k, KIND_STATEFULSET, s->doc, "statefulset-controller", "Warning", "FailedCreate",
                   "create Pod %s-%lld in StatefulSet %s failed error: %s%s%s", object_name(s->doc), (long long)ordinal,
                   object_name(s->doc), error_count > 1 ? "[" : "", buf_str(&errors), error_count > 1 ? "]" : "");
        controllers_queue(s->k, QUEUE_STATEFULSET, object_namespace(s->doc), object_name(s->doc), RETRY_MS);
    }
    buf_free(&errors);
    return error_count == 0;
}

static void delete_pod(struct set *s, const struct json_t *pod)
{
    kube_delete(s->k, KIND_POD, object_namespace(pod), object_name(pod), NULL, -1, false, NULL, NULL);
    kube_event(s->k, KIND_STATEFULSET, s->doc, "statefulset-controller", "Normal", "SuccessfulDelete",
               "delete Pod %s in StatefulSet %s successful", object_name(pod), object_name(s->doc));
}

/* One pass over the ordinals; false when an ordered set has to wait for one of them. */
static bool grow(struct set *s, int64_t want, bool ordered)
{
    for (int64_t i = 0; i < want && i < SET_MAX; i++) {
        struct json_t *pod = s->pods[i];
        if (pod && pod_is_finished(pod) && !object_terminating(pod))
            delete_pod(s, pod);
        bool there = pod || create_pod(s, i);
        if (pod && !object_terminating(pod))
            mend_claims(s, pod, i);
        if (ordered && (!there || !pod || !pod_is_ready(pod) || object_terminating(pod)))
            return false;
    }
    return true;
}

/* With "whenScaled: Delete" the claims of a pod that goes for good are the pod's from now on. */
static void release_claims(struct set *s, const struct json_t *pod, int64_t ordinal)
{
    struct json_t *templates = jd_get(s->doc, "spec.volumeClaimTemplates");

    for (size_t i = 0; i < jd_len(templates) && !keeps(s, "whenScaled"); i++) {
        struct json_t *claim = set_claim(s->doc, jd_at(templates, i), ordinal), *refs = jd_array();
        struct json_t *have = kube_get(s->k, KIND_CLAIM, object_namespace(claim), object_name(claim));
        jd_append(refs, owner_reference(KIND_POD, pod));
        if (have) {
            jd_put(have, "metadata.ownerReferences", jd_ref(refs));
            kube_write(s->k, KIND_CLAIM, have, KCM);
        }
        jd_free(refs);
        jd_free(have);
        jd_free(claim);
    }
}

static void shrink(struct set *s, int64_t want, bool ordered)
{
    for (int64_t i = s->highest; i >= want && i >= 0; i--) {
        if (!s->pods[i])
            continue;
        if (!object_terminating(s->pods[i])) {
            release_claims(s, s->pods[i], i);
            delete_pod(s, s->pods[i]);
        }
        if (ordered)
            return;
    }
}

/* RollingUpdate: one pod of an older revision at a time, from the highest ordinal. */
static void roll(struct set *s, int64_t want)
{
    if (!str_eq(jd_str(s->doc, "spec.updateStrategy.type"), "RollingUpdate") || s->ready < want)
        return;
    for (int64_t i = want - 1; i >= jd_num(s->doc, "spec.updateStrategy.rollingUpdate.partition", 0) && i >= 0; i--) {
        if (s->pods[i] && !str_eq(object_label(s->pods[i], "controller-revision-hash"), s->revision)) {
            delete_pod(s, s->pods[i]);
            return;
        }
    }
}

static void write_status(struct set *s)
{
    const char *current = jd_str(s->doc, "status.currentRevision");
    struct json_t *status = jd_object();
    bool all = s->current == s->replicas;

    jd_set(status, "observedGeneration", jd_int(jd_num(s->doc, "metadata.generation", 1)));
    jd_set(status, "replicas", jd_int(s->replicas));
    if (s->ready)
        jd_set(status, "readyReplicas", jd_int(s->ready));
    if (all && s->replicas)
        jd_set(status, "currentReplicas", jd_int(s->replicas));
    if (s->current)
        jd_set(status, "updatedReplicas", jd_int(s->current));
    jd_set(status, "currentRevision", jd_string(all || !current ? s->revision : current));
    jd_set(status, "updateRevision", jd_string(s->revision));
    jd_set(status, "collisionCount", jd_int(0));
    jd_set(status, "availableReplicas", jd_int(s->ready));
    jd_set(s->doc, "status", status);
    kube_write(s->k, KIND_STATEFULSET, s->doc, KCM);
}

void statefulset_sync(struct kube *k, const char *ns, const char *name)
{
    struct set s = {.k = k, .doc = kube_get(k, KIND_STATEFULSET, ns, name), .highest = -1};

    if (!s.doc || object_terminating(s.doc)) {
        jd_free(s.doc);
        return;
    }
    bool ordered = !str_eq(jd_str(s.doc, "spec.podManagementPolicy"), "Parallel");
    int64_t want = jd_num(s.doc, "spec.replicas", 1);
    ensure_revision(&s);
    each_object(k, KIND_POD, ns, take_pod, &s);
    if (grow(&s, want, ordered) || !ordered) {
        shrink(&s, want, ordered);
        roll(&s, want);
    }
    for (int64_t i = 0; i < SET_MAX; i++) {
        jd_free(s.pods[i]);
        s.pods[i] = NULL;
    }
    s.replicas = s.ready = s.current = 0;
    each_object(k, KIND_POD, ns, take_pod, &s);
    write_status(&s);
    for (int64_t i = 0; i < SET_MAX; i++)
        jd_free(s.pods[i]);
    jd_free(s.doc);
}
