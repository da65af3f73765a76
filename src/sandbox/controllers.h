/* The controllers: what the controller manager, the scheduler and the CSI drivers do in a real cluster. They learn of
 * changes from the store, queue the keys and act some milliseconds later, as their models do (wire/ has the times). */
#ifndef FERRYMAN_SANDBOX_CONTROLLERS_H
#define FERRYMAN_SANDBOX_CONTROLLERS_H

#include <stdbool.h>
#include <stdint.h>

struct kube;
struct controllers;
struct json_t;

enum queue_id {
    QUEUE_CLAIM,
    QUEUE_VOLUME,
    QUEUE_SCHEDULE,
    QUEUE_KUBELET,
    QUEUE_DEPLOYMENT,
    QUEUE_REPLICASET,
    QUEUE_STATEFULSET,
    QUEUE_JOB,
    QUEUE_CRONJOB,
    QUEUE_GARBAGE, /* key: "kind/ns" and name of what is going */
    QUEUE_NAMESPACE_VIEW, /* services, budgets and quotas of a namespace */
    QUEUE_COUNT,
};

struct controllers *controllers_new(struct kube *k);
void controllers_free(struct controllers *c);
/* Calls the queue's function for the key after delay_ms; a key that waits already keeps the earlier time. */
void controllers_queue(struct kube *k, enum queue_id q, const char *ns, const char *name, int64_t delay_ms);

/* Looks at every object of a kind anew. */
void controllers_wake(struct kube *k, int kind);

/* One function per queue; ns is "" for cluster-wide kinds. */
void claim_sync(struct kube *k, const char *ns, const char *name);
void volume_sync(struct kube *k, const char *ns, const char *name);
void schedule_sync(struct kube *k, const char *ns, const char *name);
void deployment_sync(struct kube *k, const char *ns, const char *name);
void replicaset_sync(struct kube *k, const char *ns, const char *name);
void statefulset_sync(struct kube *k, const char *ns, const char *name);
void job_sync(struct kube *k, const char *ns, const char *name);
void cronjob_sync(struct kube *k, const char *ns, const char *name);
void garbage_sync(struct kube *k, const char *kind_ns, const char *name);
void namespace_view_sync(struct kube *k, const char *ns, const char *name);

/* ---- Shared by the controllers and the seed ---------------------------------------------------------------------- */
/* Calls fn for each object of a kind in a namespace (NULL: all) until it returns false; fn gets a parsed copy. The
 * objects are those at the time of the call. */
void each_object(struct kube *k, int kind, const char *ns, bool (*fn)(void *arg, struct json_t *doc), void *arg);
/* {"apiVersion":…,"kind":…,"name":…,"uid":…,"controller":true,"blockOwnerDeletion":true} for an owner. */
struct json_t *owner_reference(int kind, const struct json_t *owner);
bool owned_by(const struct json_t *doc, const char *uid);
/* 10 letters that stand for a pod template (pod-template-hash, revision names). */
void template_hash(const struct json_t *template, char ret[11]);
/* A pod of a template, with labels, annotations and one owner; name or generateName (ending in "-"). */
struct json_t *pod_from_template(const struct json_t *template, const char *ns, const char *name, int kind,
                                 const struct json_t *owner);
/* The ReplicaSet that a deployment's present template asks for (spec.replicas as given). */
struct json_t *replicaset_for(const struct json_t *deployment, int64_t replicas);
/* The revision of a set's present template. */
struct json_t *revision_for(const struct json_t *set, int64_t revision);
/* The pod of a set with that ordinal: its claims are named in the volumes. */
struct json_t *set_pod(const struct json_t *set, int64_t ordinal, const char *revision);
/* The claim of a set's template for an ordinal. */
struct json_t *set_claim(const struct json_t *set, const struct json_t *template, int64_t ordinal);
/* The volume that a provisioner makes for a claim, in the driver's shape (bound to it). */
struct json_t *volume_for(struct kube *k, const struct json_t *claim, const struct json_t *class, const char *node);
/* Name of a volume's attachment to a node, as the attach controller makes it: "csi-" and 64 hex digits. */
struct json_t *attachment_for(const struct json_t *volume, const char *node);
/* Status of a pod whose containers run (ready or not) since then. */
void pod_set_running(struct kube *k, struct json_t *pod, bool ready, int64_t since_ms, int64_t restarts);
bool pod_is_ready(const struct json_t *pod);
bool pod_is_finished(const struct json_t *pod);
/* The next time after `after` that a cron schedule ("m h dom mon dow", UTC) names; 0: never within 366 days. */
int64_t cron_next(const char *schedule, int64_t after_ms);
/* A job as its cronjob makes it for that time. */
struct json_t *job_for(const struct json_t *cronjob, int64_t when_ms);
/* Status of a job that has succeeded. */
void job_set_complete(struct json_t *job, int64_t start_ms, int64_t end_ms);

#endif
