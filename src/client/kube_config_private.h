/* Between the kube_config*.c files and their tests. */
#ifndef FERRYMAN_CLIENT_KUBE_CONFIG_PRIVATE_H
#define FERRYMAN_CLIENT_KUBE_CONFIG_PRIVATE_H

#include "base/err.h"

struct kube_config;
struct kube_files;
struct kube_stanza;

/* Where a pod finds its token, CA and namespace. */
#define KUBE_SERVICE_ACCOUNT_DIR "/var/run/secrets/kubernetes.io/serviceaccount"

/* What `context` (NULL: current-context) of these files says. */
struct err *kube_config_resolve(const struct kube_files *f, const char *context, struct kube_config **ret) MUST_CHECK;
/* From KUBERNETES_SERVICE_HOST and _PORT and the service account in `dir`. */
struct err *kube_config_in_cluster(const char *dir, struct kube_config **ret) MUST_CHECK;
/* Credentials of the user's stanza. Needs the cluster's part of c to be there (it is told to an exec plugin). */
struct err *kube_config_read_user(struct kube_config *c, const struct kube_stanza *user,
                                  const struct kube_stanza *cluster) MUST_CHECK;
/* The user's exec stanza. */
struct err *kube_config_read_exec(struct kube_config *c, const struct kube_stanza *user,
                                  const struct kube_stanza *cluster) MUST_CHECK;

#endif
