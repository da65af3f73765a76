/* ferryman-sandbox: a small cluster in one process. What its parts share.
 *
 * The program is a list of parts (parts.c): the Kubernetes API with its controllers, and what stands around it (Vault
 * nodes, PostgreSQL, Alertmanager, application endpoints, lvs). A part is started in order and stopped in reverse order;
 * it brings its scenarios and its control commands with it. */
#ifndef FERRYMAN_SANDBOX_SANDBOX_H
#define FERRYMAN_SANDBOX_SANDBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

struct loop;
struct sandbox;
struct kube;
struct http_request;
struct pod_backend;
struct json_t;

/* Something that can go wrong on command. `set` is called only when the state changes. */
struct scenario {
    const char *name, *doc;
    struct err *(*set)(struct sandbox *s, bool on);
};

/* A line on DIR/control. argv[0] is the name. What it prints goes to `out`, one or more lines. */
struct control_command {
    const char *name, *usage, *doc;
    struct err *(*run)(struct sandbox *s, int argc, char **argv, struct buf *out);
};

struct sandbox_part {
    const char *name;
    struct err *(*start)(struct sandbox *s);
    void (*stop)(struct sandbox *s); /* may sandbox_hold the end until it is done; NULL allowed */
    /* What `save` keeps of it: members of `state`, files in `folder`; its start finds them again (save.h). May block;
     * NULL: nothing. */
    struct err *(*save)(struct sandbox *s, const char *folder, struct json_t *state);
    const struct scenario *scenarios;
    size_t scenario_count;
    const struct control_command *commands;
    size_t command_count;
};

extern const struct sandbox_part *const sandbox_parts[]; /* parts.c; NULL-terminated, in order of starting */

/* Ports on 127.0.0.1 and paths that the parts fill in when they start and that the plan names. 0 / NULL: absent. */
struct sandbox_ports {
    unsigned kube;            /* HTTPS */
    unsigned vault[3];        /* plain HTTP of vault-0..2, beside the pod proxy */
    unsigned postgres;        /* TCP; pods of the database deployment serve there */
    unsigned alertmanager;
    unsigned app;             /* /immich/… and /vault/… as seen from outside */
    char *lvs_command;        /* program that prints the lvs report */
    char *postgres_password_file; /* a libpq PGPASSFILE */
};

struct sandbox {
    struct loop *loop;
    char *dir;                /* absolute; 0700 */
    double time_scale;
    int64_t clock_origin_ms; /* wall time at which the plan clock began to run faster */
    int64_t started_ms;       /* plan time (Unix ms) at start: ages of the seed content count from here */
    int64_t extra_claims;     /* --claims */
    bool small_db;            /* --small-db: a thousandth of the rows */
    struct sandbox_ports ports;
    struct kube *kube;
    struct rest *rest;        /* state of the parts around Kubernetes (theirs to define) */
    struct json_t *saved;     /* the state that we go on from (save.h); NULL: the seed */
    char *saved_dir;
    bool save_crash;          /* the save that is under way is to be as after a crash */
    struct sandbox_state *state; /* private to sandbox.c */
};

/* Plan time in Unix ms: clock_plan_ms() plus what `advance` added. Timestamps of objects, schedules and ages use it. */
int64_t sandbox_now_ms(const struct sandbox *s);
/* Calls fn after `advance` has moved the plan clock (schedules are re-read). */
void sandbox_on_advance(struct sandbox *s, void (*fn)(void *arg), void *arg);
/* `ready` is printed (and, when stopping, the program ends) only when nothing is held. `what` is shown by `status`. */
void sandbox_hold(struct sandbox *s, const char *what);
void sandbox_release(struct sandbox *s, const char *what);
/* True from the beginning of the end on. */
bool sandbox_stopping(const struct sandbox *s);
/* A part cannot go on: prints the error and ends the program with its exit status. Takes e over. */
void sandbox_fail(struct sandbox *s, struct err *e);
/* One control line, as from DIR/control; used by main and tests. Errors are printed into out as "error: …". */
void sandbox_control(struct sandbox *s, const char *line, struct buf *out);

/* Pods that something real stands behind. The stand-in kubelet asks the registered backends (kube_register_backend)
 * for every pod of its namespace and "app" label, or whatever `wants` says; without one a pod becomes ready by itself
 * after 1.5 s. */
struct pod_claim {
    char *volume, *claim, *claim_uid, *mount_path, *sub_path, *volume_handle, *storage_class;
};

struct pod_env {
    char *name, *value;
};

struct pod_info {
    char *ns, *name, *uid, *node, *ip, *app;
    char *init;               /* commands of the init containers, a line each; NULL: there are none */
    struct pod_env *env;      /* of the first container, with the values of Secrets */
    size_t env_count;
    int64_t grace_ms;         /* for stop: what is left of terminationGracePeriodSeconds, in plan-independent ms */
    unsigned restart;         /* restart count of this start */
    bool adopted;             /* its containers ran already when the sandbox began: init containers do not run */
    struct pod_claim *claims; /* volumes that are claims, one entry per mount */
    size_t claim_count;
};

struct pod_backend {
    const char *ns, *app;     /* which pods */
    bool (*wants)(const struct json_t *pod); /* instead of ns and app */
    bool loopback;            /* its pods get an address of their own below 127.0.0.0/8 */
    /* The pod's containers start. Answer with kube_pod_ready when the readiness probe would pass; with kube_pod_exited
     * when the main process ends by itself. info is valid during the call. */
    void (*start)(struct sandbox *s, const struct pod_info *info);
    /* The pod terminates (DELETE, scale): end the process; answer with kube_pod_exited. */
    void (*stop)(struct sandbox *s, const struct pod_info *info);
    /* GET/PUT/… through …/pods/[http:]NAME[:port]/proxy/REST. `path` is "/REST" (decoded); query, headers and body are
     * the request's. Takes the request over and answers it now or later. NULL: 503 as a pod without that port. */
    /* False if nothing listens on that port: then it has not answered. */
    bool (*proxy)(struct sandbox *s, const char *ns, const char *pod, unsigned port, const char *path,
                  struct http_request *r);
};

void kube_register_backend(struct sandbox *s, const struct pod_backend *b); /* borrowed */
void kube_pod_ready(struct sandbox *s, const char *ns, const char *name, bool ready);
/* The main process ended. A pod that is not terminating is started again after its back-off (restart count + 1). */
void kube_pod_exited(struct sandbox *s, const char *ns, const char *name, int exit_code);
/* A pod that waits for its back-off is started now. */
void kube_pod_retry(struct sandbox *s, const char *ns, const char *name);
/* Appends lines to the pod's log (kept: the last 256 KiB). */
void kube_pod_log(struct sandbox *s, const char *ns, const char *name, const char *text, size_t n);
/* Sets or removes (value NULL) a label of a pod, as Vault's service registration does (vault-active, vault-sealed …). */
void kube_pod_label(struct sandbox *s, const char *ns, const char *name, const char *label, const char *value);
/* Kills the main process's pod abruptly, as `kill pod NS/NAME` does: container exit 137 and restart. */
struct err *kube_pod_kill(struct sandbox *s, const char *ns, const char *name) MUST_CHECK;

#endif
