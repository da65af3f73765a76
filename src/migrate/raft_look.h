/* What the acts on a raft set look at: its pods, their claims and volumes, its nodes by their own word. Private to raft_*.c.
 *
 * Everything is read live here; the world only chooses and warns. */
#ifndef FERRYMAN_MIGRATE_RAFT_LOOK_H
#define FERRYMAN_MIGRATE_RAFT_LOOK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "migrate/raft.h"

struct json_t;

/* ---- Names, paths, facts */

/* kind: "pods", "persistentvolumeclaims", "persistentvolumes", "statefulsets"; name NULL: the collection. Lives as long as the script. */
const char *raft_path(struct script *s, const struct run *r, const char *kind, const char *name);
/* The name of the set's pod of that ordinal; lives as long as the script. */
const char *raft_member(struct script *s, const struct run *r, int64_t ordinal);
/* The fact, else, in a preview, its name in a placeholder; never NULL. Lives as long as the script. */
const char *raft_said(struct script *s, const struct run *r, const char *fact);
/* The same of a turn's fact: pod.TURN.NAME. */
const char *raft_turn_fact(const struct run *r, const char *turn, const char *name);
bool raft_turn_has(const struct run *r, const char *turn, const char *name);
void raft_turn_set(struct run *r, const char *turn, const char *name, const char *value);
struct json_t *raft_turn_json(const struct run *r, const char *turn, const char *name) MUST_CHECK; /* never NULL: an empty list */
/* The turn that began last and was not taken back; NULL: no pod has begun. */
const char *raft_last_begun(const struct run *r);
/* The list of what the pod mounts of the set's templates, as noted last ([{name,uid,class,size,volume,…}]), an empty list if not known. In
 * a preview of what is not known yet: one entry of placeholders. */
struct json_t *raft_pod_claims(const struct run *r, const char *pod) MUST_CHECK;
/* A member of what is noted of a pod ("uid", "node_id", "address", "grace"); NULL. Valid until the next call. */
const char *raft_pod_noted(const struct run *r, const char *pod, const char *member);
const char *raft_short(const char *uid); /* its first eight characters, for people; valid until the next few calls */

/* ---- Looking. Each appends operations. */

/* The pod and what it mounts of the templates: uids, classes, volumes, reclaim policies → fact pods. Refuses a pod that is not there. */
void raft_script_pod(struct run *r, struct script *s, const char *pod);
/* Who is active, from every node but `skip` (may be NULL): facts leader.now, leader.index. Refuses none, two, or standbys that name another. */
void raft_script_leader(struct run *r, struct script *s, const char *id, const char *skip);
/* Every node but `skip` and what leader.now was: well by its own word, and its applied index at or past leader.index. what: for people. */
void raft_script_level(struct run *r, struct script *s, const char *id, const char *skip, int64_t deadline_ms);
/* Peers by the leader's configuration: as many voters as replicas, each a pod of the set; node ids → fact pods and ids.stable. target: of
 * a pod that is being moved: may be missing or no voter (NULL: none may). */
void raft_script_peers(struct run *r, struct script *s, const char *id, const char *target);
/* Autopilot: healthy, tolerance at least 1. */
void raft_script_autopilot(struct run *r, struct script *s, const char *id, int64_t deadline_ms);
/* Waits until the object of that uid is gone. */
struct op *raft_script_gone(struct run *r, struct script *s, const char *id, const char *what, const char *path, const char *uid, int64_t deadline_ms);
/* One authenticated write through the leader, read back: op.h's act. */
struct op *raft_script_write(struct run *r, struct script *s, const char *id, const char *node);

/* ---- What acts rest on, read right before them (op.h, script_guard_get) */

void raft_guard_leader(struct run *r, struct script *s, struct op *act);                     /* leader.now is active still */
void raft_guard_well(struct run *r, struct script *s, struct op *act, const char *skip);     /* every other node is */
void raft_guard_not_leader(struct run *r, struct script *s, struct op *act, const char *pod); /* the pod is not active */
void raft_guard_retained(struct run *r, struct script *s, struct op *act, const struct json_t *claim); /* its volume, by uid */
void raft_guard_unmounted(struct run *r, struct script *s, struct op *act, const char *pod); /* nobody else mounts the pod's claims */
void raft_guard_template(struct run *r, struct script *s, struct op *act);                   /* the set is ours and on the target class */

/* ---- Judging */

/* An answer of sys/health: appends what is wrong. */
bool raft_is_well(const struct seen *seen, const char *node, struct buf *reason);
/* A volume's object as a claim's entry needs it: adds volume_uid, handle, reclaim, server, path. */
void raft_note_volume(struct json_t *entry, const struct json_t *volume);
/* Retain, and the volume that was noted: DONE, or REFUSE with the reason. */
enum op_answer raft_judge_retained(const struct json_t *entry, const struct json_t *volume, struct buf *reason);
/* Whether the pod mounts a claim of that name. */
bool raft_mounts(const struct json_t *pod, const char *claim);

#endif
