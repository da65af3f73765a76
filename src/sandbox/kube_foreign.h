/* What others do in the cluster while a migration is under way: GitOps, autoscalers, other operators. */
#ifndef FERRYMAN_SANDBOX_KUBE_FOREIGN_H
#define FERRYMAN_SANDBOX_KUBE_FOREIGN_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"

struct json_t;
struct kube;
struct kube_foreign;
struct sandbox;

/* Remembers how the deployments of namespace immich are meant to be: as they are now, or as a saved sandbox had them. */
struct kube_foreign *kube_foreign_new(struct kube *k);
void kube_foreign_free(struct kube_foreign *f);
void kube_foreign_save(const struct kube_foreign *f, struct json_t *state);

struct err *kube_set_other_cluster(struct sandbox *s, bool on);
struct err *kube_set_quota_exceeded(struct sandbox *s, bool on);
struct err *kube_set_gitops(struct sandbox *s, bool on);
struct err *kube_set_scaler(struct sandbox *s, bool on);
struct err *kube_set_elsewhere(struct sandbox *s, bool on);

struct err *kube_run_lease(struct sandbox *s, int argc, char **argv, struct buf *out);
struct err *kube_run_patch(struct sandbox *s, int argc, char **argv, struct buf *out);
struct err *kube_run_cronjob(struct sandbox *s, int argc, char **argv, struct buf *out);

#endif
