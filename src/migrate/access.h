/* Permissions, asked before anything begins: each one that a migration will need is put to the API server as a
 * SelfSubjectAccessReview (one request a question, exact; neither rules reviews nor dry runs are), so that nothing stops half way for
 * want of a Role. What admission webhooks and quotas say is not in it: the dry runs of the dialogs show that. */
#ifndef FERRYMAN_MIGRATE_ACCESS_H
#define FERRYMAN_MIGRATE_ACCESS_H

#include <stddef.h>

#include <stdbool.h>

#include "base/buf.h"
#include "migrate/op.h"

struct json_t;
struct run;

/* group "": core; subresource, ns, name: NULL for none. ns NULL: the whole cluster; name NULL: any.
 *
 * group ACCESS_VAULT: a capability (read, update, sudo, …) of our token on a path of Vault (resource, "sys/step-down"), asked of the node
 * `ns` by sys/capabilities-self: all of them in one question. */
#define ACCESS_VAULT "(vault)"
struct access_need {
    const char *verb, *group, *resource, *subresource, *ns, *name;
};

/* Appends one operation that asks for all of them, a few at a time: "27 of 27 permissions", or a refusal that names every missing
 * one. Copied. */
struct op *script_access(struct script *s, const struct access_need *needs, size_t n);

/* What a postgres-dump-restore of this workload needs from preflight to cleanup (by its plan: apply, via, login, what quiesce names). */
struct op *script_access_postgres(struct run *r, struct script *s);
/* The same for raft-rolling; capabilities in Vault are asked of `node`. */
struct op *script_access_raft(struct run *r, struct script *s, const char *node);

/* The missing ones in words, those that differ in the verb alone together: "create, update secrets in immich; patch
 * deployments.apps/x in immich; update, sudo on sys/step-down in Vault". */
void access_text(const struct access_need *needs, const bool *missing, size_t n, struct buf *out);
/* Whether an answer of sys/capabilities-self grants it. */
bool access_granted(const struct json_t *answer, const char *path, const char *capability);

#endif
