/* What ferryman reads of Kubernetes' objects: one function per kind, from the bytes of one object (as they stand in a
 * list or a watch event) to a small struct. Nothing is kept: slices point into the bytes or into the arena, and are
 * valid until either goes. All text is clean (utf8_clean).
 *
 * An object is refused (ERR_PROTOCOL, *ret untouched) only if it is no JSON, or has no uid or name where it needs one;
 * a field that is missing or of the wrong type is as if it were absent. */
#ifndef FERRYMAN_CLIENT_KUBE_PARSE_H
#define FERRYMAN_CLIENT_KUBE_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"
#include "client/kube_arena.h"

#define KUBE_NONE INT64_MIN /* a number or time (Unix ms) that is not there */

struct kube_pair {
    struct slice key, value;
};

struct kube_pairs {
    struct kube_pair *v;
    size_t n, cap;
};

struct kube_texts {
    struct slice *v;
    size_t n, cap;
};

/* The value; absent if there is none. */
struct slice kube_pair_get(const struct kube_pairs *p, const char *key);
/* "a=1, b=2" */
struct slice kube_pairs_join(struct kube_arena *a, const struct kube_pairs *p);
struct slice kube_texts_join(struct kube_arena *a, const struct kube_texts *t);

struct kube_meta {
    struct slice ns, name, uid, version;
    int64_t created, deleting, generation;
    struct slice owner_kind, owner_name, owner_uid; /* of its controller */
    struct slice manager;                           /* field manager that created or last changed its spec */
    struct kube_pairs labels;
    struct slice provisioner;      /* annotation volume.(beta.)kubernetes.io/storage-provisioner */
    struct slice class_annotation; /* volume.beta.kubernetes.io/storage-class */
    bool default_class;            /* storageclass.kubernetes.io/is-default-class */
};

/* The metadata alone, of any kind. */
struct err *kube_meta_parse(struct kube_arena *a, struct slice json, struct kube_meta *ret) MUST_CHECK;

/* ---- Storage ----------------------------------------------------------------------------------------------------- */

struct kube_claim {
    struct kube_meta meta;
    struct slice class, volume, phase, modes; /* modes: "RWO,RWX" */
    int64_t request, capacity;
};
struct err *kube_claim_parse(struct kube_arena *a, struct slice json, struct kube_claim *ret) MUST_CHECK;

struct kube_volume {
    struct kube_meta meta;
    struct slice class, phase, reclaim, modes;
    int64_t capacity;
    struct slice claim_ns, claim_name, claim_uid;
    struct slice driver;        /* CSI driver, or the source's name in the spec: "nfs", "hostPath", "local", … */
    struct slice handle, server, path;
    struct kube_pairs attributes; /* csi.volumeAttributes */
    bool stage_secret;          /* csi.nodeStageSecretRef is there */
    struct slice mount_options; /* "a,b" */
};
struct err *kube_volume_parse(struct kube_arena *a, struct slice json, struct kube_volume *ret) MUST_CHECK;

struct kube_class {
    struct kube_meta meta;
    struct slice provisioner, reclaim, binding, mount_options;
    bool expansion;
    struct kube_pairs parameters;
};
struct err *kube_class_parse(struct kube_arena *a, struct slice json, struct kube_class *ret) MUST_CHECK;

struct kube_attachment {
    struct kube_meta meta;
    struct slice attacher, node, volume, attach_error, detach_error;
    bool attached;
};
struct err *kube_attachment_parse(struct kube_arena *a, struct slice json, struct kube_attachment *ret) MUST_CHECK;

/* ---- Pods and what makes them ------------------------------------------------------------------------------------ */

struct kube_podspec {
    struct slice node, container, image; /* of the first container */
    struct slice database_image;         /* first image of a database or a raft store, by its name; absent if none */
    struct kube_texts claims;            /* claims that its volumes name */
    struct kube_texts ephemeral;         /* names of volumes whose claim is POD-VOLUME */
    int64_t containers;                  /* that run: containers and side-cars */
};

struct kube_pod {
    struct kube_meta meta;
    struct kube_podspec spec;
    struct slice phase, ip, owner; /* owner: "Deployment/x" where the replica set's name tells, else "Kind/name" */
    struct slice reason;           /* CrashLoopBackOff, Unschedulable, Evicted, …; absent if nothing is wrong */
    struct slice message;          /* of that reason */
    int64_t ready, restarts, started;
};
struct err *kube_pod_parse(struct kube_arena *a, struct slice json, struct kube_pod *ret) MUST_CHECK;

struct kube_workload {
    struct kube_meta meta;
    struct kube_podspec spec;
    struct slice strategy;       /* update strategy; cron jobs: schedule */
    struct kube_texts templates; /* stateful sets: names of the claim templates */
    int64_t desired, ready, updated, replicas, observed; /* cron jobs: KUBE_NONE */
    bool suspended;
    struct slice progress_reason; /* deployments: reason of a Progressing condition that is False */
    int64_t last_run, last_ok, active; /* cron jobs */
};
struct err *kube_deployment_parse(struct kube_arena *a, struct slice json, struct kube_workload *ret) MUST_CHECK;
struct err *kube_statefulset_parse(struct kube_arena *a, struct slice json, struct kube_workload *ret) MUST_CHECK;
struct err *kube_cronjob_parse(struct kube_arena *a, struct slice json, struct kube_workload *ret) MUST_CHECK;

struct kube_job {
    struct kube_meta meta;
    struct kube_podspec spec;
    bool suspended, complete, failed;
    struct slice reason, message;
    int64_t active, started, finished;
};
struct err *kube_job_parse(struct kube_arena *a, struct slice json, struct kube_job *ret) MUST_CHECK;

/* ---- Nodes ------------------------------------------------------------------------------------------------------- */

struct kube_node {
    struct kube_meta meta;
    bool unschedulable;
    struct slice ready;    /* status of the Ready condition: True, False, Unknown; absent */
    struct slice problems; /* conditions that are not as they should be, "MemoryPressure, Ready: …" */
    struct slice version, address, zone;
};
struct err *kube_node_parse(struct kube_arena *a, struct slice json, struct kube_node *ret) MUST_CHECK;

struct kube_csinode {
    struct kube_meta meta;
    struct slice drivers; /* "csi.example.com 28 volumes, other" */
};
struct err *kube_csinode_parse(struct kube_arena *a, struct slice json, struct kube_csinode *ret) MUST_CHECK;

/* ---- Events and the small kinds ---------------------------------------------------------------------------------- */

/* Both shapes: core/v1 and events.k8s.io/v1. */
struct kube_event {
    struct kube_meta meta;
    struct slice type, reason, message, reporter;
    struct slice object_kind, object_ns, object_name, object_uid;
    int64_t count, first, last;
};
struct err *kube_event_parse(struct kube_arena *a, struct slice json, struct kube_event *ret) MUST_CHECK;

struct kube_lease {
    struct kube_meta meta;
    struct slice holder; /* absent or "": nobody */
    int64_t duration_s, renewed, transitions;
};
struct err *kube_lease_parse(struct kube_arena *a, struct slice json, struct kube_lease *ret) MUST_CHECK;

struct kube_endpoints {
    struct kube_meta meta;
    struct slice service, ready, not_ready, ports;
};
struct err *kube_endpoints_parse(struct kube_arena *a, struct slice json, struct kube_endpoints *ret) MUST_CHECK;

struct kube_budget {
    struct kube_meta meta;
    struct slice summary;
    bool blocked;  /* no disruption is allowed though pods are there */
    bool exceeded; /* something of a quota is used up */
};
struct err *kube_pdb_parse(struct kube_arena *a, struct slice json, struct kube_budget *ret) MUST_CHECK;
struct err *kube_quota_parse(struct kube_arena *a, struct slice json, struct kube_budget *ret) MUST_CHECK;
struct err *kube_hpa_parse(struct kube_arena *a, struct slice json, struct kube_budget *ret) MUST_CHECK;

#endif
