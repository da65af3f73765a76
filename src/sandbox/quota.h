/* ResourceQuotas, as admission enforces them: claims and their storage, in a namespace. */
#ifndef FERRYMAN_SANDBOX_QUOTA_H
#define FERRYMAN_SANDBOX_QUOTA_H

#include "sandbox/status.h"

struct json_t;
struct kube;

/* A new object against the quotas of its namespace; 403 in the API server's words. */
struct refusal *quota_check(struct kube *k, enum kube_id kind, const struct json_t *doc) MUST_CHECK;

#endif
