#include "sandbox/kube_kind.h"

#include <stdio.h>
#include <string.h>

#include "base/str.h"

#define SPEC_STATUS ",\"spec\":{},\"status\":{}"
#define POD_FIELDS                                                                                                     \
    "spec.nodeName,spec.restartPolicy,spec.schedulerName,spec.serviceAccountName,spec.hostNetwork,status.phase,"       \
    "status.podIP,status.nominatedNodeName"
#define EVENT_FIELDS                                                                                                   \
    "involvedObject.kind,involvedObject.namespace,involvedObject.name,involvedObject.uid,involvedObject.apiVersion,"   \
    "involvedObject.resourceVersion,involvedObject.fieldPath,reason,reportingComponent,source,type"

#define CORE(i, pl, si, na, sh, ns, ...)                                                                               \
    [i] = {.id = i, .stored = i, .group = "", .version = "v1", .plural = pl, .singular = si, .name = na,               \
           .short_name = sh, .namespaced = ns, __VA_ARGS__}
#define KIND(i, gr, ve, pl, si, na, sh, ns, ...)                                                                       \
    [i] = {.id = i, .stored = i, .group = gr, .version = ve, .plural = pl, .singular = si, .name = na,                 \
           .short_name = sh, .namespaced = ns, __VA_ARGS__}

const struct kube_kind kube_kinds[KIND_COUNT] = {
    CORE(KIND_CONFIGMAP, "configmaps", "configmap", "ConfigMap", "cm", true, .bookmark = ""),
    CORE(KIND_ENDPOINTS, "endpoints", "endpoints", "Endpoints", "ep", true, .bookmark = ",\"subsets\":null"),
    CORE(KIND_EVENT, "events", "event", "Event", "ev", true, .fields = EVENT_FIELDS,
         .bookmark = ",\"involvedObject\":{},\"source\":{},\"firstTimestamp\":null,\"lastTimestamp\":null,"
                     "\"eventTime\":null,\"reportingComponent\":\"\",\"reportingInstance\":\"\""),
    CORE(KIND_NAMESPACE, "namespaces", "namespace", "Namespace", "ns", false, .status = true,
         .fields = "status.phase", .bookmark = SPEC_STATUS),
    CORE(KIND_NODE, "nodes", "node", "Node", "no", false, .status = true, .fields = "spec.unschedulable",
         .bookmark = ",\"spec\":{},\"status\":{\"daemonEndpoints\":{\"kubeletEndpoint\":{\"Port\":0}},"
                     "\"nodeInfo\":{}}"),
    CORE(KIND_CLAIM, "persistentvolumeclaims", "persistentvolumeclaim", "PersistentVolumeClaim", "pvc", true,
         .status = true, .bookmark = ",\"spec\":{\"resources\":{}},\"status\":{}"),
    CORE(KIND_VOLUME, "persistentvolumes", "persistentvolume", "PersistentVolume", "pv", false, .status = true,
         .bookmark = SPEC_STATUS),
    CORE(KIND_POD, "pods", "pod", "Pod", "po", true, .status = true, .all = true, .fields = POD_FIELDS,
         .bookmark = ",\"spec\":{\"containers\":null},\"status\":{}"),
    CORE(KIND_REPLICATIONCONTROLLER, "replicationcontrollers", "replicationcontroller", "ReplicationController", "rc",
         true, .status = true, .all = true, .bookmark = ",\"spec\":{},\"status\":{\"replicas\":0}"),
    CORE(KIND_QUOTA, "resourcequotas", "resourcequota", "ResourceQuota", "quota", true, .status = true,
         .bookmark = SPEC_STATUS),
    CORE(KIND_SECRET, "secrets", "secret", "Secret", NULL, true, .fields = "type", .bookmark = ""),
    CORE(KIND_SERVICEACCOUNT, "serviceaccounts", "serviceaccount", "ServiceAccount", "sa", true, .bookmark = ""),
    CORE(KIND_SERVICE, "services", "service", "Service", "svc", true, .status = true, .all = true,
         .fields = "spec.clusterIP,spec.type", .bookmark = ",\"spec\":{},\"status\":{\"loadBalancer\":{}}"),
    KIND(KIND_REVISION, "apps", "v1", "controllerrevisions", "controllerrevision", "ControllerRevision", NULL, true,
         .bookmark = ",\"data\":null,\"revision\":0"),
    KIND(KIND_DAEMONSET, "apps", "v1", "daemonsets", "daemonset", "DaemonSet", "ds", true, .status = true, .all = true,
         .bookmark = SPEC_STATUS),
    KIND(KIND_DEPLOYMENT, "apps", "v1", "deployments", "deployment", "Deployment", "deploy", true, .status = true,
         .scale = true, .all = true,
         .bookmark = ",\"spec\":{\"selector\":null,\"template\":{\"metadata\":{\"creationTimestamp\":null},"
                     "\"spec\":{\"containers\":null}},\"strategy\":{}},\"status\":{}"),
    KIND(KIND_REPLICASET, "apps", "v1", "replicasets", "replicaset", "ReplicaSet", "rs", true, .status = true,
         .scale = true, .all = true, .fields = "status.replicas",
         .bookmark = ",\"spec\":{\"selector\":null,\"template\":{\"metadata\":{\"creationTimestamp\":null},"
                     "\"spec\":{\"containers\":null}}},\"status\":{\"replicas\":0}"),
    KIND(KIND_STATEFULSET, "apps", "v1", "statefulsets", "statefulset", "StatefulSet", "sts", true, .status = true,
         .scale = true, .all = true,
         .bookmark = ",\"spec\":{\"selector\":null,\"template\":{\"metadata\":{\"creationTimestamp\":null},"
                     "\"spec\":{\"containers\":null}},\"serviceName\":\"\",\"updateStrategy\":{}},"
                     "\"status\":{\"replicas\":0,\"availableReplicas\":0}"),
    KIND(KIND_HPA, "autoscaling", "v2", "horizontalpodautoscalers", "horizontalpodautoscaler",
         "HorizontalPodAutoscaler", "hpa", true, .status = true, .all = true,
         .bookmark = ",\"spec\":{\"scaleTargetRef\":{\"kind\":\"\",\"name\":\"\"},\"maxReplicas\":0},"
                     "\"status\":{\"desiredReplicas\":0,\"currentMetrics\":null}"),
    KIND(KIND_CRONJOB, "batch", "v1", "cronjobs", "cronjob", "CronJob", "cj", true, .status = true, .all = true,
         .bookmark = SPEC_STATUS),
    KIND(KIND_JOB, "batch", "v1", "jobs", "job", "Job", NULL, true, .status = true, .all = true,
         .fields = "status.successful", .bookmark = SPEC_STATUS),
    KIND(KIND_LEASE, "coordination.k8s.io", "v1", "leases", "lease", "Lease", NULL, true, .bookmark = ",\"spec\":{}"),
    KIND(KIND_ENDPOINTSLICE, "discovery.k8s.io", "v1", "endpointslices", "endpointslice", "EndpointSlice", NULL, true,
         .bookmark = ",\"addressType\":\"\",\"endpoints\":null,\"ports\":null"),
    [KIND_EVENT_NEW] = {.id = KIND_EVENT_NEW, .stored = KIND_EVENT, .group = "events.k8s.io", .version = "v1",
                        .plural = "events", .singular = "event", .name = "Event", .short_name = "ev",
                        .namespaced = true, .fields = "regarding.kind,regarding.namespace,regarding.name,reason,type",
                        .bookmark = ",\"eventTime\":null,\"regarding\":{},\"deprecatedSource\":{},"
                                    "\"deprecatedFirstTimestamp\":null,\"deprecatedLastTimestamp\":null"},
    KIND(KIND_PDB, "policy", "v1", "poddisruptionbudgets", "poddisruptionbudget", "PodDisruptionBudget", "pdb", true,
         .status = true,
         .bookmark = ",\"spec\":{},\"status\":{\"disruptionsAllowed\":0,\"currentHealthy\":0,\"desiredHealthy\":0,"
                     "\"expectedPods\":0}"),
    KIND(KIND_CSIDRIVER, "storage.k8s.io", "v1", "csidrivers", "csidriver", "CSIDriver", NULL, false,
         .bookmark = ",\"spec\":{}"),
    KIND(KIND_CSINODE, "storage.k8s.io", "v1", "csinodes", "csinode", "CSINode", NULL, false,
         .bookmark = ",\"spec\":{\"drivers\":null}"),
    KIND(KIND_STORAGECLASS, "storage.k8s.io", "v1", "storageclasses", "storageclass", "StorageClass", "sc", false,
         .bookmark = ",\"provisioner\":\"\""),
    KIND(KIND_ATTACHMENT, "storage.k8s.io", "v1", "volumeattachments", "volumeattachment", "VolumeAttachment", NULL,
         false, .status = true,
         .bookmark = ",\"spec\":{\"attacher\":\"\",\"source\":{},\"nodeName\":\"\"},\"status\":{\"attached\":false}"),
    KIND(KIND_EXTERNAL_SECRET, "external-secrets.io", "v1", "externalsecrets", "externalsecret", "ExternalSecret", "es", true,
         .bookmark = ",\"spec\":{}"),
    KIND(KIND_SECRET_STORE, "external-secrets.io", "v1", "secretstores", "secretstore", "SecretStore", "ss", true,
         .bookmark = ",\"spec\":{\"provider\":null}"),
    KIND(KIND_CLUSTER_SECRET_STORE, "external-secrets.io", "v1", "clustersecretstores", "clustersecretstore", "ClusterSecretStore",
         "css", false, .bookmark = ",\"spec\":{\"provider\":null}"),
};

const struct kube_kind *kube_kind_by_plural(const char *group, const char *version, const char *plural)
{
    for (size_t i = 0; i < KIND_COUNT; i++) {
        const struct kube_kind *k = &kube_kinds[i];
        if (str_eq(k->plural, plural) && str_eq(k->group, group) && str_eq(k->version, version))
            return k;
    }
    return NULL;
}

const char *kube_kind_api_version(const struct kube_kind *k)
{
    static char texts[KIND_COUNT][64];
    char *text = texts[k->id];

    if (!text[0])
        snprintf(text, sizeof texts[0], "%s%s%s", k->group, k->group[0] ? "/" : "", k->version);
    return text;
}

const char *kube_kind_qualified(const struct kube_kind *k)
{
    static char texts[KIND_COUNT][96];
    char *text = texts[k->id];

    if (!text[0])
        snprintf(text, sizeof texts[0], "%s%s%s", k->plural, k->group[0] ? "." : "", k->group);
    return text;
}

bool kube_group_served(const char *group, const char *version)
{
    if (str_eq(version ? version : "v1", "v1") &&
        (str_eq(group, "authentication.k8s.io") || str_eq(group, "authorization.k8s.io")))
        return true;
    for (size_t i = 0; i < KIND_COUNT; i++) {
        const struct kube_kind *k = &kube_kinds[i];
        if (str_eq(k->group, group) && (!version || str_eq(k->version, version)))
            return true;
    }
    return false;
}
