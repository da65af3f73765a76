/* The set's manifest: what the template swap may change of it, and nothing else (hazard 9). Pure functions over documents. */
#ifndef FERRYMAN_MIGRATE_RAFT_MANIFEST_H
#define FERRYMAN_MIGRATE_RAFT_MANIFEST_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

struct json_t;

/* A live set as it can be POSTed again: without status, uid, resourceVersion, managedFields, finalizers, … and our own annotation. */
struct json_t *raft_manifest_clean(const struct json_t *live) MUST_CHECK;
/* A cleaned one with every claim template on that class, and our annotation on the set itself: never in the pod template (it would be
 * another revision) nor in the claim templates (every later helm upgrade would break). run NULL: without it. */
struct json_t *raft_manifest_on(const struct json_t *clean, const char *class, const char *run) MUST_CHECK;
/* Every claim template is on that class, and there is at least one. */
bool raft_manifest_is_on(const struct json_t *set, const char *class);
/* {template: class}, and [template], of a set. */
struct json_t *raft_manifest_classes(const struct json_t *set) MUST_CHECK;
struct json_t *raft_manifest_templates(const struct json_t *set) MUST_CHECK;
/* Two sets, in whatever state, are the same but for name, class of the claim templates and our annotation. False: the first difference is
 * appended: "spec.template.spec.containers.0.image is a, not b". */
bool raft_manifest_same(const struct json_t *a, const struct json_t *b, struct buf *why);

#endif
