/* Who uses which claim: pods and templates by uid, claims by "namespace/name". Holds only what mounts claims at all.
 *
 * The claim template NAME of a stateful set SET uses the key "namespace/NAME-SET-*", which stands for all ordinals. */
#ifndef FERRYMAN_SOURCE_CLAIM_USERS_H
#define FERRYMAN_SOURCE_CLAIM_USERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

struct claim_users;

enum claim_user_flag {
    CLAIM_USER_PLAN = 1,     /* belongs to a workload of the plan */
    CLAIM_USER_STATEFUL = 2, /* a stateful set or its pod */
    CLAIM_USER_JOB = 4,      /* a job, a cron job, or a pod of one: runs for a while only */
    CLAIM_USER_TEMPLATE = 8, /* what makes pods, not a pod */
};

struct claim_user {
    unsigned flags;
    const char *text;     /* "pod vault-1" */
    const char *database; /* its image, if that is a database's; NULL */
    int64_t replicas;     /* stateful sets: wanted */
};

/* Called for every key whose users have changed. */
typedef void (*claim_users_fn)(void *arg, struct slice key);

struct claim_users *claim_users_new(claim_users_fn changed, void *arg);
void claim_users_free(struct claim_users *u);
/* Replaces what `uid` uses by these keys (n may be 0); everything is copied. */
void claim_users_set(struct claim_users *u, struct slice uid, const struct claim_user *user, const struct slice *keys,
                     size_t n);
void claim_users_drop(struct claim_users *u, struct slice uid);
/* The users of a key, pods first, by their text; *ret_n may be 0. Valid until the next change. */
const struct claim_user *const *claim_users_of(const struct claim_users *u, struct slice key, size_t *ret_n);

#endif
