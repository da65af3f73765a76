/* The lock on one workload: a Lease in its namespace, and the recovery state in a Secret beside it (safety.md 25, 26).
 *
 * Both are called ferryman-NAME (a hash is appended when that is too long). The holder's identity is
 * OPERATOR@HOST/JOURNAL-ID: a flock on the journal proves that no other process has that id, so the same journal takes its own
 * Lease up again at once (on the same host: a journal that was carried elsewhere waits like anybody else); anybody else waits
 * until the record has not changed for the whole duration by the local clock. Nobody's renewTime is ever compared with a clock.
 * Duration 120 s, renewed every 15 s, given up 90 s after the last renewal was sent (CLOCK_BOOTTIME: suspend counts). */
#ifndef FERRYMAN_MIGRATE_LOCK_H
#define FERRYMAN_MIGRATE_LOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct json_t;
struct kube_client;
struct lock;
struct loop;

#define LOCK_DURATION_S 120
#define LOCK_RENEW_MS INT64_C(15000)
#define LOCK_DEADLINE_MS INT64_C(90000)

enum lock_state { LOCK_FREE, LOCK_ASKING, LOCK_OURS, LOCK_OTHERS, LOCK_LOST };

struct lock_options {
    struct loop *loop;
    struct kube_client *kube;
    const char *ns, *workload;
    const char *operator_name, *host, *journal_id;
    const char *journal_key; /* tells a journal from a copy of it; NULL: its id alone */
    /* State changed: OURS (acquired), OTHERS (somebody else holds it: lock_holder says who and since when), LOST (it was ours: whatever
     * is in flight must be ended now). e, borrowed, says why where there is a reason. */
    void (*on_state)(void *arg, enum lock_state s, const struct err *e);
    void *arg;
};

struct lock *lock_new(const struct lock_options *o);
void lock_free(struct lock *l);                 /* without releasing: after a crash or a loss. Not inside its own callbacks */
/* on_state follows: OURS; OTHERS; or FREE with the reason why it could not be had (the server did not answer for 20 s, 403). May be
 * called again after OTHERS, LOST or FREE. While it is another's or lost it is read every 5 s: on_state(FREE) comes once it was
 * released or has not changed for its whole duration; only the next lock_acquire takes it. */
void lock_acquire(struct lock *l);
/* Callbacks of lock_confirm, lock_save and lock_load with that arg do not come any more. */
void lock_forget(struct lock *l, const void *arg);
/* holderIdentity "" (with the resourceVersion that we know); fn comes in any case. From its call on the fence is closed. */
void lock_release(struct lock *l, void (*fn)(void *arg), void *arg);
enum lock_state lock_state(const struct lock *l);
/* "ana@bastion/1f2e…, renewed 40s ago" (since we saw it change), or "". Valid until the next call. */
const char *lock_holder(struct lock *l);
const char *lock_name(const struct lock *l);    /* of the Lease and of the Secret */
/* The fence, asked inside each act right before the request: NULL if the lock is ours and was confirmed by the server less than
 * LOCK_DEADLINE_MS ago. */
struct err *lock_fence(const struct lock *l) MUST_CHECK;
/* The same with a round trip: reads the Lease again; fn gets NULL if it names us still. For irreversible acts. One at a time. */
void lock_confirm(struct lock *l, void (*fn)(void *arg, const struct err *e), void *arg);

/* The recovery Secret (type ferryman.io/recovery, annotation ferryman.io/run = journal id). It is written with the uid and
 * resourceVersion that were read; `state` (borrowed object) is the whole content: each member becomes one key of data (strings as
 * they are, others as JSON), 1 MiB together. fn gets NULL when the server has it; else an error: the lock is not ours, the Secret is
 * of another run, somebody has changed what we wrote, or it is too large. While the server does not answer it is tried again as
 * long as the lock is ours. Several are written one after another. */
void lock_save(struct lock *l, const struct json_t *state, void (*fn)(void *arg, const struct err *e), void *arg);
/* Reads it (for 20 s again and again if the server is away): state NULL if there is none. Borrowed in the callback. Members that are
 * JSON objects or arrays come as such, all others as strings. One of another run is no error: `run` in state says whose it is (the
 * annotation, "" if it has none). */
void lock_load(struct lock *l, void (*fn)(void *arg, const struct json_t *state, const struct err *e), void *arg);

#endif
