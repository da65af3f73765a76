/* The content that the sandbox starts with, in pieces. Ages are in days before the start. */
#ifndef FERRYMAN_SANDBOX_SEED_H
#define FERRYMAN_SANDBOX_SEED_H

#include <stdint.h>

struct kube;
struct json_t;

#define SEED_DAY_MS INT64_C(86400000)

/* From now on new objects are that old. */
void seed_age(struct kube *k, double days);
/* Adds the document (taken over) as `manager`; its status, if any, is written after it as `status_manager`. */
void seed_add(struct kube *k, int kind, struct json_t *doc, const char *manager, const char *status_manager);
void seed_namespace(struct kube *k, const char *name);

struct seed_claim {
    const char *ns, *name, *class, *app;
    int gib;
    const char *mode;               /* "ReadWriteOnce" … */
    const char *nfs_server, *nfs_path, *volume; /* a static volume; NULL: provisioned by the class */
};

/* A bound claim with its volume. */
void seed_claim(struct kube *k, const struct seed_claim *c);

struct seed_app {
    const char *ns, *name, *image, *node;
    const char *strategy;  /* "Recreate" or "RollingUpdate" */
    const char *volumes;   /* JSON of the pod's volumes, with ' for " */
    const char *mounts;    /* JSON of the container's mounts */
    const char *extra;     /* further members of the container, each beginning with a comma; "" if none */
    const char *init;      /* JSON list of init containers, or NULL */
    int64_t replicas;
    double pod_days;       /* age of its pods */
    int64_t restarts;
};

/* A deployment with its replica set and running pods. */
void seed_app(struct kube *k, const struct seed_app *a);
/* A running pod (document taken over): gets a node, a status and attachments for its volumes. */
void seed_pod(struct kube *k, struct json_t *pod, const char *node, double days, int64_t restarts);
void seed_service(struct kube *k, const char *ns, const char *name, const char *app, int port, const char *selector);
/* A cronjob with finished jobs of the last nights. */
void seed_cronjob(struct kube *k, const char *ns, const char *name, const char *schedule, const char *pod_spec,
                  double days);

/* The ExternalSecret behind a Secret of that name, out of the store "home". */
void seed_external_secret(struct kube *k, const char *ns, const char *name);

/* The parts of the cluster as it stands at the start; workloads need the storage and the nodes before them. */
void seed_immich(struct kube *k);
void seed_vault(struct kube *k);
void seed_others(struct kube *k);
void seed_nodes(struct kube *k);
void seed_storage(struct kube *k);

#endif
