/* Deployments and ReplicaSets. */
#include <stdlib.h>
#include <string.h>

#include "base/json_doc.h"
#include "sandbox/controllers.h"
#include "sandbox/kube.h"
#include "sandbox/object.h"

#define KCM "kube-controller-manager"

/* ---- ReplicaSet -------------------------------------------------------------------------------------------------- */

struct pods {
    struct kube *k;
    const struct json_t *owner;
    const struct json_t *selector; /* adopts pods without an owner that match; NULL: none */
    struct json_t *list;           /* those that belong to the owner and are not finished */
    int64_t active, ready, terminating;
};

static void adopt(struct pods *p, struct json_t *pod, int kind)
{
    if (!jd_is_array(jd_get(pod, "metadata.ownerReferences")))
        jd_put(pod, "metadata.ownerReferences", jd_array());
    jd_append(jd_get(pod, "metadata.ownerReferences"), owner_reference(kind, p->owner));
    kube_write(p->k, KIND_POD, pod, KCM);
}

static bool take_pod(void *arg, struct json_t *pod)
{
    struct pods *p = arg;
    bool mine = owned_by(pod, object_uid_of(p->owner));

    if (!mine && p->selector && !object_controller(pod) && !object_terminating(pod) &&
        object_labels_match(p->selector, jd_get(pod, "metadata.labels"))) {
        adopt(p, pod, KIND_REPLICASET);
        mine = true;
    }
    if (!mine || pod_is_finished(pod))
        return true;
    if (object_terminating(pod)) {
        p->terminating++;
        return true;
    }
    p->active++;
    p->ready += pod_is_ready(pod);
    jd_append(p->list, jd_ref(pod));
    return true;
}

static struct pods pods_of(struct kube *k, const struct json_t *owner, const struct json_t *selector)
{
    struct pods p = {.k = k, .owner = owner, .selector = selector, .list = jd_array()};

    each_object(k, KIND_POD, object_namespace(owner), take_pod, &p);
    return p;
}

static void create_pod(struct kube *k, const struct json_t *rs)
{
    char *prefix = str_printf("%s-", object_name(rs));
    struct json_t *template = jd_get(rs, "spec.template");
    struct json_t *pod = pod_from_template(template, object_namespace(rs), prefix, KIND_REPLICASET, rs);

    kube_add(k, KIND_POD, pod, KCM);
    kube_event(k, KIND_REPLICASET, rs, "replicaset-controller", "Normal", "SuccessfulCreate", "Created pod: %s",
               object_name(pod));
    jd_free(pod);
    free(prefix);
}

static void set_count(struct json_t *status, const char *key, int64_t n)
{
    if (n)
        jd_set(status, key, jd_int(n));
}

static void replicaset_status(struct kube *k, struct json_t *rs, const struct pods *p)
{
    struct json_t *s = jd_object();

    jd_set(s, "replicas", jd_int(p->active));
    set_count(s, "fullyLabeledReplicas", p->active);
    set_count(s, "readyReplicas", p->ready);
    set_count(s, "availableReplicas", p->ready);
    jd_set(s, "observedGeneration", jd_int(jd_num(rs, "metadata.generation", 1)));
    jd_set(rs, "status", s);
    kube_write(k, KIND_REPLICASET, rs, KCM);
}

void replicaset_sync(struct kube *k, const char *ns, const char *name)
{
    struct json_t *rs = kube_get(k, KIND_REPLICASET, ns, name);

    if (!rs || object_terminating(rs)) {
        jd_free(rs);
        return;
    }
    struct pods p = pods_of(k, rs, jd_get(rs, "spec.selector.matchLabels"));
    int64_t want = jd_num(rs, "spec.replicas", 1), more = want - p.active;
    for (int64_t i = 0; i < more; i++)
        create_pod(k, rs);
    for (int64_t i = 0; i < -more; i++) {
        struct json_t *pod = jd_at(p.list, jd_len(p.list) - 1 - (size_t)i);
        kube_delete(k, KIND_POD, ns, object_name(pod), NULL, -1, false, NULL, NULL);
        kube_event(k, KIND_REPLICASET, rs, "replicaset-controller", "Normal", "SuccessfulDelete", "Deleted pod: %s",
                   object_name(pod));
    }
    jd_free(p.list);
    p = pods_of(k, rs, NULL);
    replicaset_status(k, rs, &p);
    jd_free(p.list);
    jd_free(rs);
}

/* ---- Deployment -------------------------------------------------------------------------------------------------- */

struct sets {
    struct kube *k;
    const struct json_t *deployment;
    struct json_t *current;      /* the one of the present template */
    int64_t old_spec, old_pods;  /* replicas that older ones still ask for, pods that they still have */
    int64_t replicas, updated, ready;
    bool shrink_old;
};

static bool same_template(const struct json_t *rs, const struct json_t *deployment)
{
    char a[11], b[11];

    template_hash(jd_get(rs, "spec.template"), a);
    template_hash(jd_get(deployment, "spec.template"), b);
    return str_eq(a, b);
}

static bool take_set(void *arg, struct json_t *rs)
{
    struct sets *s = arg;

    if (!owned_by(rs, object_uid_of(s->deployment)))
        return true;
    struct pods p = pods_of(s->k, rs, NULL);
    s->replicas += p.active;
    s->ready += p.ready;
    if (same_template(rs, s->deployment)) {
        jd_free(s->current);
        s->current = jd_ref(rs);
        s->updated = p.active;
    } else {
        s->old_spec += jd_num(rs, "spec.replicas", 0);
        s->old_pods += p.active + p.terminating;
        if (s->shrink_old && jd_num(rs, "spec.replicas", 0) > 0) {
            jd_put(rs, "spec.replicas", jd_int(0));
            kube_write(s->k, KIND_REPLICASET, rs, KCM);
        }
    }
    jd_free(p.list);
    return true;
}

static struct sets sets_of(struct kube *k, const struct json_t *deployment, bool shrink_old)
{
    struct sets s = {.k = k, .deployment = deployment, .shrink_old = shrink_old};

    each_object(k, KIND_REPLICASET, object_namespace(deployment), take_set, &s);
    return s;
}

static void scale_set(struct kube *k, const struct json_t *deployment, struct json_t *rs, int64_t want)
{
    if (jd_num(rs, "spec.replicas", -1) == want)
        return;
    const char *way = jd_num(rs, "spec.replicas", 0) < want ? "up" : "down";
    kube_event(k, KIND_DEPLOYMENT, deployment, "deployment-controller", "Normal", "ScalingReplicaSet",
               "Scaled %s replica set %s from %lld to %lld", way, object_name(rs),
               (long long)jd_num(rs, "spec.replicas", 0), (long long)want);
    jd_put(rs, "spec.replicas", jd_int(want));
    kube_write(k, KIND_REPLICASET, rs, KCM);
}

static struct json_t *deployment_condition(const char *type, bool ok, const char *reason, const char *message,
                                           const char *now)
{
    return object_parse("{'type':'%s','status':'%s','lastUpdateTime':'%s','lastTransitionTime':'%s','reason':'%s',"
                        "'message':'%s'}",
                        type, ok ? "True" : "False", now, now, reason, message);
}

static void keep_condition(struct json_t *list, const struct json_t *old, struct json_t *c)
{
    for (size_t i = 0; i < jd_len(old); i++) {
        struct json_t *o = jd_at(old, i);
        if (str_eq(jd_str(o, "type"), jd_str(c, "type")) && str_eq(jd_str(o, "status"), jd_str(c, "status")) &&
            str_eq(jd_str(o, "reason"), jd_str(c, "reason"))) {
            jd_append(list, jd_copy(o));
            jd_free(c);
            return;
        }
    }
    jd_append(list, c);
}

static void deployment_status(struct kube *k, struct json_t *d, const struct sets *s)
{
    int64_t want = jd_num(d, "spec.replicas", 1);
    struct json_t *status = jd_object(), *list = jd_array(), *old = jd_get(d, "status.conditions");
    char now[40];

    object_time(kube_now(k), now);
    jd_set(status, "observedGeneration", jd_int(jd_num(d, "metadata.generation", 1)));
    set_count(status, "replicas", s->replicas);
    set_count(status, "updatedReplicas", s->updated);
    set_count(status, "readyReplicas", s->ready);
    set_count(status, "availableReplicas", s->ready);
    set_count(status, "unavailableReplicas", want > s->ready ? want - s->ready : 0);
    bool available = s->ready >= want;
    const char *reason = available ? "MinimumReplicasAvailable" : "MinimumReplicasUnavailable";
    keep_condition(list, old, deployment_condition("Available", available, reason,
                                                   available ? "Deployment has minimum availability."
                                                             : "Deployment does not have minimum availability.",
                                                   now));
    keep_condition(list, old, deployment_condition("Progressing", true,
                                                   s->updated == want && s->ready == want && !s->old_pods
                                                       ? "NewReplicaSetAvailable"
                                                       : "ReplicaSetUpdated",
                                                   "ReplicaSet is progressing.", now));
    jd_set(status, "conditions", list);
    jd_set(d, "status", status);
    kube_write(k, KIND_DEPLOYMENT, d, KCM);
}

/* Recreate: the old pods are gone before the new set grows. Otherwise the old sets shrink when the new one is ready. */
static void deployment_roll(struct kube *k, struct json_t *d, struct sets *s)
{
    int64_t want = jd_num(d, "spec.replicas", 1);
    bool recreate = str_eq(jd_str(d, "spec.strategy.type"), "Recreate");

    if (recreate && s->old_pods > 0)
        return;
    if (!s->current) {
        struct json_t *rs = replicaset_for(d, want);
        kube_add(k, KIND_REPLICASET, rs, KCM);
        kube_event(k, KIND_DEPLOYMENT, d, "deployment-controller", "Normal", "ScalingReplicaSet",
                   "Scaled up replica set %s from 0 to %lld", object_name(rs), (long long)want);
        jd_free(rs);
    } else {
        scale_set(k, d, s->current, want);
    }
}

void deployment_sync(struct kube *k, const char *ns, const char *name)
{
    struct json_t *d = kube_get(k, KIND_DEPLOYMENT, ns, name);

    if (!d || object_terminating(d)) {
        jd_free(d);
        return;
    }
    bool recreate = str_eq(jd_str(d, "spec.strategy.type"), "Recreate");
    int64_t want = jd_num(d, "spec.replicas", 1);
    struct sets s = sets_of(k, d, false);
    if (s.old_spec > 0 && (recreate || want == 0 || (s.updated >= want && s.ready > s.old_spec))) {
        jd_free(s.current);
        s = sets_of(k, d, true);
    }
    deployment_roll(k, d, &s);
    deployment_status(k, d, &s);
    jd_free(s.current);
    jd_free(d);
}
