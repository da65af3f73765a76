/* What the API fills in and refuses for particular kinds. */
#ifndef FERRYMAN_SANDBOX_DEFAULTS_H
#define FERRYMAN_SANDBOX_DEFAULTS_H

#include "sandbox/kube_kind.h"
#include "sandbox/status.h"

struct json_t;

/* Fields of a new object's spec, and finalizers that admission adds. */
void defaults_set(enum kube_id kind, struct json_t *doc);
/* The status that a new object shows. What the client sent there is dropped, except for kinds without a status. */
void defaults_status(enum kube_id kind, struct json_t *doc);
/* Validation of a new (old NULL) or changed object; only what matters to this program's users. */
struct refusal *defaults_check(enum kube_id kind, const struct json_t *old, const struct json_t *doc) MUST_CHECK;

#endif
