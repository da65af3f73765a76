/* What kubelet.c (starting and ending), kubelet_status.c (what the pods show) and kubelet_script.c share. */
#ifndef FERRYMAN_SANDBOX_KUBELET_PRIVATE_H
#define FERRYMAN_SANDBOX_KUBELET_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sandbox/kubelet.h"

struct timer;

enum stage { CREATING, STARTED, RUNNING, ENDING, WAITING, OVER };

struct run {
    struct kubelet *kl;
    struct run *next;
    char *ns, *name, *uid;
    enum stage stage;
    bool ready;
    const struct pod_backend *backend;
    unsigned restarts;
    int64_t since_ms;
    struct timer *timer;
    struct pod_log *log;
    int code;       /* with which a script that runs will end */
    bool adopted;   /* it ran when it was first seen, and has not been started since */
    int address_fd; /* keeps the pod's loopback address; -1: it has none */
};

struct kubelet {
    struct kube *k;
    struct run *runs;
    const struct pod_backend **backends;
    size_t backend_count;
};

/* The pod that this run belongs to; NULL if it is gone or another one now. */
struct json_t *run_pod(const struct run *r);
/* Its containers run. */
void run_show_running(struct run *r, bool ready);
/* The containers have ended for good. */
void run_show_finished(struct run *r, int code);
void run_show_crashed(struct run *r, int code, bool backing_off);
/* The script of a pod that nobody owns has run: its log is there. False: the pod has none. */
bool run_script(struct run *r, int *ret_code);
/* What a saved pod had written. */
void run_load_log(struct run *r);

#endif
