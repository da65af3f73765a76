/* Parts of raft's preflight in files of their own. Private to raft_*.c. */
#ifndef FERRYMAN_MIGRATE_RAFT_PREFLIGHT_H
#define FERRYMAN_MIGRATE_RAFT_PREFLIGHT_H

#include "migrate/preflight.h"
#include "migrate/raft.h"

/* How the cluster is: who leads, everyone unsealed and level, peers, autopilot, the log (raft_well.c). */
void raft_preflight_well(struct run *r, struct script *s);
/* What happens to a wiped node: how it joins, who unseals it, who might initialise it (raft_rejoin.c). */
void raft_preflight_rejoin(struct run *r, struct script *s);
void raft_preflight_audit(struct run *r, struct script *s);
/* The pod that would be made now against those that run (raft_would.c); the claims as the API server would take them. */
void raft_preflight_pod(struct run *r, struct script *s);
void raft_preflight_claims(struct run *r, struct script *s);
/* Who else mounts the claims; a node for each pod (raft_place.c). pod: the only one that is asked about; NULL: all of them. */
void raft_script_mounters(struct run *r, struct script *s, const char *pod);
void raft_script_place(struct run *r, struct script *s, const char *pod);
/* Our token: how long it lives, whether it can be renewed: once, now (raft_token.c; safety 28). */
void raft_preflight_token(struct run *r, struct script *s);
/* What unlocks, unseals, logs us in and backs up does not come out of this very Vault (raft_circle.c; safety 22). */
void raft_preflight_circles(struct run *r, struct script *s);
/* Path of the namespace's list of a kind: base "/api/v1", plural "configmaps". */
const char *raft_list_path(struct script *s, const struct run *r, const char *base, const char *plural);

#endif
