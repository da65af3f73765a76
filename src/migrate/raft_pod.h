/* The parts of a pod's turn that are files of their own, and what the rollback shares with it. Private to raft_*.c. */
#ifndef FERRYMAN_MIGRATE_RAFT_POD_H
#define FERRYMAN_MIGRATE_RAFT_POD_H

#include <stdbool.h>
#include <stdint.h>

#include "migrate/op.h"
#include "migrate/raft.h"

struct json_t;

#define RAFT_GRACE_S 30 /* safety 24: never less; the kubelet's SIGKILL on NFS is the force-delete that we never send */

/* raft_pod.c */
/* The pod of this turn: as it began, else as the dialog showed it, else as it would be chosen; NULL: not known. */
const char *raft_pod_now(const struct run *r);
/* Grace of its deletion in seconds: at least RAFT_GRACE_S and its own. */
int64_t raft_pod_grace(const struct run *r, const char *pod);

/* raft_pod_claims.c */
/* DELETE of the old claims and of the pod, one act in the operator's eyes (safety 23). */
void raft_script_swap(struct run *r, struct script *s);
/* The old pod is gone; what follows has everything that the leader had (safety 15). */
void raft_script_stopped(struct run *r, struct script *s);
/* New claims on the target class, a new pod on them; the cures of hazard 1. */
void raft_script_settled(struct run *r, struct script *s);

/* raft_pod_rejoin.c */
/* The pod's node comes back: initialised, unsealed, joined under the identity that is expected, level twice with a write between.
 * old_id: its node id before; back: it comes back on its old disk. */
void raft_script_rejoin(struct run *r, struct script *s, const char *pod, const char *old_id, bool back);

#endif
