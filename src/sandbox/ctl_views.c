/* What is counted of a namespace: the endpoints of its services, its disruption budgets and its quotas. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_doc.h"
#include "sandbox/controllers.h"
#include "sandbox/kube.h"
#include "sandbox/object.h"

#define KCM "kube-controller-manager"

struct view {
    struct kube *k;
    const struct json_t *selector;
    struct json_t *endpoints;
    int64_t pods, ready, claims, bytes;
};

static struct json_t *endpoint(const struct json_t *pod)
{
    bool ready = pod_is_ready(pod), going = object_terminating(pod);

    return object_parse("{'addresses':['%s'],'conditions':{'ready':%s,'serving':%s,'terminating':%s},'nodeName':'%s',"
                        "'targetRef':{'kind':'Pod','namespace':'%s','name':'%s','uid':'%s'}}",
                        jd_str(pod, "status.podIP"), ready && !going ? "true" : "false", ready ? "true" : "false",
                        going ? "true" : "false", jd_str(pod, "spec.nodeName"), object_namespace(pod), object_name(pod),
                        object_uid_of(pod));
}

static bool select_pod(void *arg, struct json_t *pod)
{
    struct view *v = arg;

    if (pod_is_finished(pod) || !object_labels_match(v->selector, jd_get(pod, "metadata.labels")))
        return true;
    v->pods++;
    v->ready += pod_is_ready(pod) && !object_terminating(pod);
    if (v->endpoints && jd_str(pod, "status.podIP"))
        jd_append(v->endpoints, endpoint(pod));
    return true;
}

/* ---- EndpointSlices ---------------------------------------------------------------------------------------------- */

static struct json_t *slice_ports(const struct json_t *service)
{
    struct json_t *from = jd_get(service, "spec.ports"), *to = jd_array();

    for (size_t i = 0; i < jd_len(from); i++) {
        const char *name = jd_str(jd_at(from, i), "name");
        int64_t port = jd_num(jd_at(from, i), "targetPort", jd_num(jd_at(from, i), "port", 0));
        jd_append(to, object_parse("{'name':'%s','protocol':'TCP','port':%lld}", name ? name : "", (long long)port));
    }
    return to;
}

static struct json_t *slice_new(const struct json_t *service)
{
    struct json_t *slice = object_parse(
        "{'metadata':{'name':'%s-%.5s','namespace':'%s','labels':{'kubernetes.io/service-name':'%s',"
        "'endpointslice.kubernetes.io/managed-by':'endpointslice-controller.k8s.io'}},'addressType':'IPv4'}",
        object_name(service), object_uid_of(service), object_namespace(service), object_name(service));

    jd_put(slice, "metadata.ownerReferences", jd_array());
    jd_append(jd_get(slice, "metadata.ownerReferences"), owner_reference(KIND_SERVICE, service));
    return slice;
}

static bool view_service(void *arg, struct json_t *service)
{
    struct kube *k = arg;
    struct view v = {.k = k, .selector = jd_get(service, "spec.selector"), .endpoints = jd_array()};
    struct json_t *slice = slice_new(service);
    struct json_t *have = kube_get(k, KIND_ENDPOINTSLICE, object_namespace(service), object_name(slice));

    each_object(k, KIND_POD, object_namespace(service), select_pod, &v);
    struct json_t *doc = have ? have : slice;
    jd_set(doc, "endpoints", v.endpoints);
    jd_set(doc, "ports", slice_ports(service));
    if (have)
        kube_write(k, KIND_ENDPOINTSLICE, doc, KCM);
    else
        kube_add(k, KIND_ENDPOINTSLICE, doc, KCM);
    jd_free(have);
    jd_free(slice);
    return true;
}

/* ---- Budgets and quotas ------------------------------------------------------------------------------------------ */

static bool view_budget(void *arg, struct json_t *pdb)
{
    struct kube *k = arg;
    struct view v = {.k = k, .selector = jd_get(pdb, "spec.selector.matchLabels")};

    each_object(k, KIND_POD, object_namespace(pdb), select_pod, &v);
    int64_t want = jd_get(pdb, "spec.maxUnavailable") ? v.pods - jd_num(pdb, "spec.maxUnavailable", 0)
                                                      : jd_num(pdb, "spec.minAvailable", 0);
    jd_put(pdb, "status.currentHealthy", jd_int(v.ready));
    jd_put(pdb, "status.desiredHealthy", jd_int(want));
    jd_put(pdb, "status.disruptionsAllowed", jd_int(v.ready > want ? v.ready - want : 0));
    jd_put(pdb, "status.expectedPods", jd_int(v.pods));
    jd_put(pdb, "status.observedGeneration", jd_int(jd_num(pdb, "metadata.generation", 1)));
    kube_write(k, KIND_PDB, pdb, KCM);
    return true;
}

static bool count_claim(void *arg, struct json_t *claim)
{
    struct view *v = arg;
    const char *text = jd_str(claim, "spec.resources.requests.storage");
    int64_t n = 0;

    v->claims++;
    if (text && str_quantity(slice_of(text), &n))
        v->bytes += n;
    return true;
}

static bool count_pod(void *arg, struct json_t *pod)
{
    struct view *v = arg;

    v->pods += !pod_is_finished(pod);
    return true;
}

static bool view_quota(void *arg, struct json_t *quota)
{
    struct kube *k = arg;
    struct view v = {.k = k};
    char text[32];

    each_object(k, KIND_CLAIM, object_namespace(quota), count_claim, &v);
    each_object(k, KIND_POD, object_namespace(quota), count_pod, &v);
    struct json_t *used = jd_object();
    snprintf(text, sizeof text, "%lld", (long long)v.claims);
    jd_set(used, "persistentvolumeclaims", jd_string(text));
    snprintf(text, sizeof text, "%lld", (long long)v.pods);
    jd_set(used, "pods", jd_string(text));
    snprintf(text, sizeof text, "%lldGi", (long long)(v.bytes >> 30));
    jd_set(used, "requests.storage", jd_string(text));
    jd_put(quota, "status.hard", jd_copy(jd_get(quota, "spec.hard")));
    jd_put(quota, "status.used", used);
    kube_write(k, KIND_QUOTA, quota, KCM);
    return true;
}

void namespace_view_sync(struct kube *k, const char *ns, const char *name)
{
    (void)name;
    each_object(k, KIND_SERVICE, ns, view_service, k);
    each_object(k, KIND_PDB, ns, view_budget, k);
    each_object(k, KIND_QUOTA, ns, view_quota, k);
}
