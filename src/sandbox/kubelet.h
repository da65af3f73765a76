/* The stand-in kubelet's memory of pods: backends, logs, and what the API asks of it. */
#ifndef FERRYMAN_SANDBOX_KUBELET_H
#define FERRYMAN_SANDBOX_KUBELET_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "sandbox/sandbox.h"

struct kube;
struct kubelet;
struct json_t;
struct pod_backend;
struct pod_log;

struct kubelet *kubelet_new(struct kube *k);
void kubelet_free(struct kubelet *kl);
/* The backend of a pod by its document; NULL if none. */
const struct pod_backend *kubelet_backend(struct kubelet *kl, const struct json_t *pod);
/* The pod's log; NULL if its containers have not been started. *ret_runs: there may be more to come. */
struct pod_log *kubelet_log(struct kubelet *kl, const char *ns, const char *name, bool *ret_runs);
/* The logs of all pods, by uid, into a document; a loaded pod gets its own back when it is adopted. */
void kubelet_save_logs(const struct kubelet *kl, struct json_t *logs);
/* A pod was changed: starts, stops or forgets what has to be. Called from the controllers' queue. */
void kubelet_sync(struct kubelet *kl, const char *ns, const char *name);
/* The label by which backends know their pods: "app", or "app.kubernetes.io/name"; "" if it has neither. */
const char *pod_app(const struct json_t *pod);
/* A variable of the container's environment; NULL if it is not set. */
const char *pod_info_env(const struct pod_info *info, const char *name);
/* What a backend is told; owned by the caller until pod_info_clear. */
struct pod_info pod_info_new(struct kube *k, const struct json_t *pod, unsigned restarts);
void pod_info_clear(struct pod_info *info);

#endif
