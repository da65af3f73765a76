/* The pod of a rehearsal. */
#ifndef FERRYMAN_MIGRATE_POSTGRES_REHEARSE_H
#define FERRYMAN_MIGRATE_POSTGRES_REHEARSE_H

#include "base/err.h"

struct json_t;
struct run;

/* What the deployment (NULL in a preview) would create, on the claim `name` instead of its own, and on no other claim at all. */
struct json_t *rehearse_pod(const struct run *r, const struct json_t *deployment, const char *name) MUST_CHECK;

#endif
