/* The kinds of object that the sandbox's API serves: one const table. */
#ifndef FERRYMAN_SANDBOX_KUBE_KIND_H
#define FERRYMAN_SANDBOX_KUBE_KIND_H

#include <stdbool.h>
#include <stddef.h>

enum kube_id {
    KIND_CONFIGMAP,
    KIND_ENDPOINTS,
    KIND_EVENT,
    KIND_NAMESPACE,
    KIND_NODE,
    KIND_CLAIM,
    KIND_VOLUME,
    KIND_POD,
    KIND_REPLICATIONCONTROLLER,
    KIND_QUOTA,
    KIND_SECRET,
    KIND_SERVICEACCOUNT,
    KIND_SERVICE,
    KIND_REVISION,
    KIND_DAEMONSET,
    KIND_DEPLOYMENT,
    KIND_REPLICASET,
    KIND_STATEFULSET,
    KIND_HPA,
    KIND_CRONJOB,
    KIND_JOB,
    KIND_LEASE,
    KIND_ENDPOINTSLICE,
    KIND_EVENT_NEW, /* events.k8s.io/v1: a view of KIND_EVENT */
    KIND_PDB,
    KIND_CSIDRIVER,
    KIND_CSINODE,
    KIND_STORAGECLASS,
    KIND_ATTACHMENT,
    KIND_EXTERNAL_SECRET, /* of external-secrets.io: where Secrets come from; nobody acts on them */
    KIND_SECRET_STORE,
    KIND_CLUSTER_SECRET_STORE,
    KIND_COUNT,
};

struct kube_kind {
    enum kube_id id;
    const char *group, *version; /* group "" is core */
    const char *plural, *singular, *name;
    const char *short_name;      /* NULL: none; "a,b": several */
    bool namespaced, status, scale, all;
    const char *fields;          /* selectable fields besides metadata.name and metadata.namespace, "a,b" */
    const char *bookmark;        /* what follows metadata in a bookmark, with its comma */
    enum kube_id stored;         /* where its objects lie: id but for KIND_EVENT_NEW */
};

extern const struct kube_kind kube_kinds[KIND_COUNT];

/* The kind of GROUP/VERSION with that plural; NULL if there is none. */
const struct kube_kind *kube_kind_by_plural(const char *group, const char *version, const char *plural);
/* "v1", "apps/v1"; a static buffer per kind. */
const char *kube_kind_api_version(const struct kube_kind *k);
/* "persistentvolumeclaims", "deployments.apps": as messages of the API call it. */
const char *kube_kind_qualified(const struct kube_kind *k);
/* Whether GROUP/VERSION (or, version NULL, the group) is served. */
bool kube_group_served(const char *group, const char *version);

#endif
