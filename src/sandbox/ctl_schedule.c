/* The scheduler: a node for a pod whose claims allow it. */
#include <stdlib.h>
#include <string.h>

#include "base/json_doc.h"
#include "base/mem.h"
#include "sandbox/controllers.h"
#include "sandbox/kube.h"
#include "sandbox/object.h"

#define SCHEDULER "kube-scheduler"
#define SELECTED_NODE "volume.kubernetes.io/selected-node"
#define RETRY_MS 5000

struct choice {
    struct kube *k;
    const struct json_t *pod; /* that is to land */
    bool taken;               /* by a pod that it must not run beside */
    bool any;                 /* a node takes pods at all */
    char *node;
    size_t pods;
    const char *counting;
    size_t count;
};

static bool count_pod(void *arg, struct json_t *pod)
{
    struct choice *c = arg;

    if (!str_eq(jd_str(pod, "spec.nodeName"), c->counting))
        return true;
    c->count++;
    const struct json_t *terms = jd_get(c->pod, "spec.affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution");
    for (size_t i = 0; i < jd_len(terms); i++)
        if (str_eq(object_namespace(pod), object_namespace(c->pod)) && !pod_is_finished(pod) &&
            object_labels_match(jd_get(jd_at(terms, i), "labelSelector.matchLabels"), jd_get(pod, "metadata.labels")))
            c->taken = true;
    return true;
}

static bool consider(void *arg, struct json_t *node)
{
    struct choice *c = arg;

    if (jd_flag(node, "spec.unschedulable", false))
        return true;
    c->any = true;
    c->counting = object_name(node);
    c->count = 0;
    c->taken = false;
    each_object(c->k, KIND_POD, NULL, count_pod, c);
    if (!c->taken && (!c->node || c->count < c->pods)) {
        str_set(&c->node, object_name(node));
        c->pods = c->count;
    }
    return true;
}

/* The least used node that takes the pod (only unschedulable and anti-affinity by host are looked at); malloc'd, NULL if
 * there is none, with the scheduler's words in *why. */
static char *choose_node(struct kube *k, const struct json_t *pod, char **why)
{
    struct choice c = {.k = k, .pod = pod};

    each_object(k, KIND_NODE, NULL, consider, &c);
    if (!c.node)
        *why = mem_strdup(c.any ? "3 node(s) didn't match pod anti-affinity rules" : "3 node(s) were unschedulable");
    return c.node;
}

/* Whether a claim is no obstacle; one that waits for its first consumer gets told the node. `why` gets the scheduler's
 * words, malloc'd. */
static bool claim_ok(struct kube *k, const char *ns, const char *name, const char *node, char **why, bool *waits)
{
    struct json_t *claim = kube_get(k, KIND_CLAIM, ns, name);
    bool ok = false;

    if (!claim) {
        *why = str_printf("persistentvolumeclaim \"%s\" not found", name);
    } else if (object_terminating(claim)) {
        *why = str_printf("persistentvolumeclaim \"%s\" is being deleted", name);
    } else if (str_eq(jd_str(claim, "status.phase"), "Bound")) {
        ok = true;
    } else {
        *waits = true;
        if (!object_annotation(claim, SELECTED_NODE)) {
            object_set_annotation(claim, SELECTED_NODE, node);
            kube_write(k, KIND_CLAIM, claim, SCHEDULER);
        }
    }
    jd_free(claim);
    return ok;
}

static void unschedulable(struct kube *k, struct json_t *pod, const char *why)
{
    char *text = str_printf("0/3 nodes are available: %s. preemption: 0/3 nodes are available: 3 Preemption is not "
                            "helpful "
                            "for scheduling.", why);
    struct json_t *list = jd_get(pod, "status.conditions");
    char now[40];

    if (!jd_len(list) || !str_eq(jd_str(jd_at(list, 0), "message"), text)) {
        jd_put(pod, "status.conditions",
               object_parse("[{'type':'PodScheduled','status':'False','lastProbeTime':null,'lastTransitionTime':'%s',"
                            "'reason':'Unschedulable'}]", object_time(kube_now(k), now)));
        jd_set(jd_at(jd_get(pod, "status.conditions"), 0), "message", jd_string(text));
        kube_write(k, KIND_POD, pod, SCHEDULER);
        kube_event(k, KIND_POD, pod, "default-scheduler", "Warning", "FailedScheduling", "%s", text);
    }
    free(text);
    controllers_queue(k, QUEUE_SCHEDULE, object_namespace(pod), object_name(pod), RETRY_MS);
}

static void bind_pod(struct kube *k, struct json_t *pod, const char *node)
{
    char now[40];

    jd_put(pod, "spec.nodeName", jd_string(node));
    jd_put(pod, "status.conditions",
           object_parse("[{'type':'PodScheduled','status':'True','lastProbeTime':null,'lastTransitionTime':'%s'}]",
                        object_time(kube_now(k), now)));
    kube_write(k, KIND_POD, pod, SCHEDULER);
    kube_event(k, KIND_POD, pod, "default-scheduler", "Normal", "Scheduled", "Successfully assigned %s/%s to %s",
               object_namespace(pod), object_name(pod), node);
}

void schedule_sync(struct kube *k, const char *ns, const char *name)
{
    struct json_t *pod = kube_get(k, KIND_POD, ns, name);
    struct json_t *volumes = pod ? jd_get(pod, "spec.volumes") : NULL;
    char *node = NULL, *why = NULL;
    bool waits = false;

    if (!pod || jd_str(pod, "spec.nodeName") || object_terminating(pod)) {
        jd_free(pod);
        return;
    }
    node = choose_node(k, pod, &why);
    for (size_t i = 0; i < jd_len(volumes) && !why; i++) {
        const char *claim = jd_str(jd_at(volumes, i), "persistentVolumeClaim.claimName");
        if (claim)
            claim_ok(k, ns, claim, node, &why, &waits);
    }
    if (why)
        unschedulable(k, pod, why);
    else if (!waits)
        bind_pod(k, pod, node);
    free(why);
    free(node);
    jd_free(pod);
}
