/* What swap, preload, restore, rehearse, resume and rollback share: stopping the server, claims that come and go, the first boot,
 * the fence. Each script_* appends operations; each can be begun again at any point and sees what has been done.
 *
 * Facts of these files beside those of doc/journal.md: seen.replicas, seen.claim (of the deployment, as last read), stop.seen (uid of the
 * pod whose log said that the database system is shut down), boot.begun (uid of the claim that was given to a server),
 * boot.pod (uid of the pod that ran initdb, or lacks a preload library: the one that the restart replaces), preload.done (claim uid), apps.back.at, rehearse.left. */
#ifndef FERRYMAN_MIGRATE_POSTGRES_MOVE_H
#define FERRYMAN_MIGRATE_POSTGRES_MOVE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "migrate/op.h"
#include "migrate/run.h"

struct json_t;

/* The fact, or "‹name›" while it is not known (dialogs and previews are written before everything is). */
const char *move_fact(const struct run *r, struct script *s, const char *name);
/* For dialogs: the fact, or "(not known yet)". */
const char *move_say(const struct run *r, const char *name);
/* A fact that is a uid, shortened for a dialog: "5b85626b". Valid until the eighth next call. */
const char *move_short(const struct run *r, const char *name);

/* The databases of an inventory that take connections, but template0. */
void move_each_database(const struct json_t *inventory, void (*fn)(void *arg, const char *database), void *arg);

/* ---- Requests (postgres_move.c) ---- */

/* Replaces one field of an object: tests its uid and the value `from`, sets `to`. Whoever changed it to something else meanwhile is named.
 * `watched`: a change by anybody else from then on pauses the phase (label). from and to are taken over. Read back afterwards. */
struct op *move_script_field(struct run *r, struct script *s, const char *id, const char *what, const char *path, const char *uid,
                             const char *pointer, struct json_t *from, struct json_t *to, const char *label);
/* Reads it once more: it must still be that (taken over); the refusal names who changed it. */
struct op *move_script_still(struct script *s, const char *id, const char *what, const char *path, const char *uid, const char *pointer,
                             struct json_t *value, const char *label);
/* DELETE by uid, and until it is gone. Returns the DELETE. */
struct op *move_script_gone(struct run *r, struct script *s, const char *what, const char *path, const char *uid, int64_t grace_s,
                      op_see_fn before);
/* A preview of a run of which nothing is known: everything that may happen is shown. */
bool move_cold(const struct run *r);
/* Whether both facts are noted and the same. */
bool move_same(const struct run *r, const char *fact, const char *other);

/* ---- The server of the deployment (postgres_stop.c) ---- */

/* Reads the deployment: seen.replicas, seen.claim; refuses another uid than the recorded one. */
void move_script_look(struct run *r, struct script *s, const char *id);
/* Which pod serves the old claim now: one that was replaced since it was noted (a drain, an eviction) is noted anew; its identifier is
 * proved by every session anyway. For the phases up to the swap. */
void move_script_source(struct run *r, struct script *s, const char *id);
/* The same for the target, once it holds the restored data: a restart after that takes nothing away, and everything is compared. */
void move_script_target(struct run *r, struct script *s, const char *id);
/* CHECKPOINT, replicas to 0, its pods gone, "database system is shut down" seen in the log. Nothing, if that was all seen for the pod
 * that ran last. writes: inserted + updated + deleted tuples are what they were before the dump, or it is refused. */
void move_script_stop(struct run *r, struct script *s, bool writes);
/* Replicas to 0 and its pods gone, however the server feels about it: for a target that is discarded. */
void move_script_halt(struct run *r, struct script *s);
/* Back to the recorded replicas. */
void move_script_scale_up(struct run *r, struct script *s);

/* Whether a log says that the server that started last has shut down in order. */
bool stop_was_clean(struct slice log);

/* ---- First boot and every other start (postgres_boot.c) ---- */

enum boot_of {
    BOOT_NEW,     /* an empty claim: the identifier must be one that was never seen: pg.identifier.new */
    BOOT_AGAIN,   /* the target once more: pg.identifier.new, another pod than boot.pod */
    BOOT_OLD,     /* the source: pg.identifier.old */
    BOOT_SCRATCH, /* the rehearsal's pod on an empty claim */
    BOOT_SCRATCH_AGAIN,
};

/* Waits for the pod and for the final server on its address; explains a pod that cannot from its log. Notes pod.*, pg.identifier.* and
 * for BOOT_NEW target.claim.uid. */
void move_script_boot(struct run *r, struct script *s, const char *id, enum boot_of of);

/* The pod on the new claim runs the images that were recorded of the source, or gate image is overridden (postgres_resume.c; safety 27). */
void move_script_images(struct run *r, struct script *s, const char *id);
/* The claim is given to a server: replicas back, first boot, bound (postgres_swap.c). */
void move_script_first_boot(struct run *r, struct script *s);

/* Why a pod does not come, in words; false: it is on its way (reason says how far). */
bool boot_pod_failed(const struct json_t *pod, struct buf *reason, bool *ret_crashed);
/* What a log of a crashed first boot means, with the remedy; the server's own last words otherwise. */
void boot_explain(struct slice log, struct buf *out);
/* The pod of a list that mounts the claim and is not on its way out; NULL. */
struct json_t *boot_pick(const struct json_t *list, const char *claim, const char *but_uid);

/* ---- Claims (postgres_claims.c) ---- */

/* The old volume's reclaim policy is Retain, read back. */
void move_script_retain(struct run *r, struct script *s, const char *id);
/* see: the old volume, by uid, has the policy Retain. */
enum op_answer move_see_retained(struct run *r, struct op *op, const struct seen *seen, struct buf *reason);
/* The target claim: created, or waited for where it is applied from outside. claim.new.{name,uid} */
void move_script_claim(struct run *r, struct script *s);
/* The deployment's volume names that claim instead of the other. to_new false: back again. */
void move_script_name(struct run *r, struct script *s, bool to_new);
/* volume.new.* once the claim is bound. */
void move_script_bound(struct run *r, struct script *s);
/* The target goes: server stopped, claim and volume deleted by uid, the facts taken back. Nothing, if there is none. */
void move_script_discard(struct run *r, struct script *s, const char *why);
/* claim.new's or the scratch claim's objects: policy to Delete, claim and volume gone. prefix "new" or "scratch". */
void move_script_claim_away(struct run *r, struct script *s, const char *prefix);
/* True if a first boot, or a restore, of the present target did not come to its end, and why. */
bool move_interrupted(const struct run *r, const char **ret_why);

/* ---- The server inside (postgres_fresh.c) ---- */

/* default_transaction_read_only by ALTER SYSTEM and reload: "on", "off", or "" for taken out. fact (fence.new, fence.old; may be NULL) = "on" or "". */
void move_script_fence(struct run *r, struct script *s, enum run_db db, const char *value, const char *fact);
/* It is empty, and encoding, locale and provider of what initdb made are those of the source. */
void move_script_fresh(struct run *r, struct script *s, enum run_db db, const char *fact);
/* shared_preload_libraries contains what the plan names; else the pod is restarted once. */
void move_script_preload(struct run *r, struct script *s);
void move_script_preload_check(struct run *r, struct script *s, enum run_db db);

/* Whether every name is in the setting's list ('a, "b"'): appends those that are not. */
bool preload_has(struct slice setting, const char *const *names, size_t n, struct buf *missing);
/* Compares the databases that both have ("" template0): appends the differences. */
bool fresh_same_locale(const struct json_t *old_inventory, const struct json_t *new_inventory, struct buf *out);

/* ---- Restoring (postgres_restore.c) ---- */

/* Backends that a former holder of this run left are ended; an advisory lock is held by a session of our own. */
void restore_script_lock(struct run *r, struct script *s, enum run_db db);
/* Appends [{"database","index"}] of an inventory's indexes that are not valid. */
void restore_reindex_needed(const struct json_t *inventory, struct json_t *ret);

/* ---- The applications (postgres_apps.c) ---- */

/* Back to the recorded replicas and schedules, in reverse order of stopping; ready again. */
void move_script_apps_back(struct run *r, struct script *s);

/* The next begin of the phase starts with its first step: each sees what has been done. */
const char *move_from_the_start(const struct run *r);

#endif
