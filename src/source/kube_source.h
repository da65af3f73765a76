/* Kubernetes → rows: one reflector per kind (per namespace where a cluster-wide list is denied), parsed and joined into
 * claims, volumes, storage_classes, pods, workloads, jobs, nodes, attachments, events, leases, endpoints, budgets and
 * credentials.
 *
 * Claims are judged from evidence (storage_judge.h): what their volume says first, then the class; who mounts them. */
#ifndef FERRYMAN_SOURCE_KUBE_SOURCE_H
#define FERRYMAN_SOURCE_KUBE_SOURCE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "world/world.h"

struct kube_client;
struct kube_config;
struct kube_source;
struct loop;

/* A workload that the plan moves. */
struct kube_plan_object {
    const char *ns, *kind, *name; /* kind: "Deployment", "StatefulSet" */
};

/* What is listened to: less than everything is for measurements. */
enum kube_extent { KUBE_EVERYTHING, KUBE_CLAIMS, KUBE_CLAIMS_AND_VOLUMES };

struct kube_source_options {
    struct loop *loop;
    struct world *world;
    const struct kube_config *config;    /* borrowed for the source's life */
    /* Of the plan, NULL-terminated; copied. Leases, events, budgets and endpoints are watched in these only; they are the
     * fallback where a cluster-wide list is denied. */
    const char *const *namespaces;
    const char *const *source_classes; /* of the plan: the role of storage classes; NULL-terminated, copied */
    const char *target_class;          /* NULL: none */
    bool target_encrypted;             /* the plan requires it: a claim counts as MOVED only when encryption is declared */
    const char *cluster_uid;           /* pinned uid of kube-system; NULL: not pinned. on_cluster tells of a mismatch */
    /* Of the plan; copied. Whose claims can be HOSTILE, RETIRED, MOVED, whatever NFS they are on. None and no namespaces:
     * there is no plan, and NFS under what looks like a database is HOSTILE. */
    const struct kube_plan_object *objects;
    size_t nobjects;
    const char *const *remaining;      /* "namespace/name" of claims that may stay, NULL-terminated; copied; or NULL */
    enum kube_extent extent;
    void (*on_cluster)(void *arg, const char *uid, bool mismatch);
    void *arg;
};

/* Never fails: what is wrong shows in T_SOURCES. */
struct kube_source *kube_source_new(const struct kube_source_options *o);
void kube_source_free(struct kube_source *s);
struct kube_client *kube_source_client(struct kube_source *s); /* shared with the pod proxy and port-forward */
void kube_source_poke(struct kube_source *s);                  /* try everything again now */
/* Fetches the tail of a pod's log into T_LOGS (200 lines); container NULL: the first. Replaces what was there. */
void kube_source_log(struct kube_source *s, const char *ns, const char *pod, const char *container);

#endif
