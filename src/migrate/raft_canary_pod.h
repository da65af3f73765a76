/* The canary's pod and claims as objects, and what its log proves. Pure. Private to raft_canary*.c. */
#ifndef FERRYMAN_MIGRATE_RAFT_CANARY_POD_H
#define FERRYMAN_MIGRATE_RAFT_CANARY_POD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/str.h"

struct json_t;
struct run;

/* "ferryman-canary-WORKLOAD"; with a hash where that is too long. Buffers of 64 bytes do. */
const char *canary_name(const struct run *r, char *buf, size_t size);
/* The claim of a template: "ferryman-canary-WORKLOAD-data". Buffers of 128 bytes do. */
const char *canary_claim_name(const struct run *r, const char *template, char *buf, size_t size);

/* A claim like the template's, on the target class, as small as 1 GiB. */
struct json_t *canary_claim(const struct run *r, const struct json_t *template) MUST_CHECK;
/* A pod with the image and the security contexts of the set's (its container that mounts the claims), on the canary's claims, at the set's mount
 * paths: it writes, syncs and reads back as that user, and ends. No environment, no token, no entry point: Vault is not started. Labels are
 * ours alone, so that no service and no set selects it. */
struct json_t *canary_pod(const struct run *r, const struct json_t *set) MUST_CHECK;
/* [{"template","path"}] of what it writes to. */
struct json_t *canary_mounts(const struct json_t *set) MUST_CHECK;
/* What the container runs. */
void canary_script(const struct json_t *mounts, const char *mark, struct buf *out);

/* A pod that has failed without a word of its container's (no sh in the image, a user that the image does not have, its time ran out): there is
 * no log then. Appends why. */
bool canary_never_ran(const struct json_t *pod, struct buf *out);

struct canary_proof {
    bool done;      /* it came to its end: nothing more is to be expected of this log */
    int64_t user;   /* as which it wrote; -1: it did not say */
};
/* Whether every path was written, synced and read back. Appends what was proved, or what was not and what helps. expected_user: of the
 * template; -1: the image's. */
bool canary_judge(struct slice log, const struct json_t *mounts, const char *mark, int64_t expected_user, struct canary_proof *ret, struct buf *out);

#endif
