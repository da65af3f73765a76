/* The patches that the API takes, over JSON documents. */
#ifndef FERRYMAN_SANDBOX_PATCH_H
#define FERRYMAN_SANDBOX_PATCH_H

#include "base/err.h"

struct json_t;

/* RFC 6902; `ops` is the array. doc is changed in place; after an error it may be half changed (patch a copy).
 * ERR_DATA: the patch itself is malformed; ERR_FAILED: a test failed or a path is absent. */
struct err *patch_json(struct json_t *doc, const struct json_t *ops) MUST_CHECK;
/* RFC 7386, in place: null removes a member, objects merge, all else replaces. Both are objects. */
void patch_merge(struct json_t *doc, struct json_t *patch);
/* Kubernetes' strategic merge: like patch_merge, but lists with a merge key merge by it; $patch: delete and replace
 * are understood. */
void patch_strategic(struct json_t *doc, struct json_t *patch);
/* The merge key of a list by its name ("containers" → "name"); NULL if it has none. */
const char *patch_merge_key(const char *list);

#endif
