/* What verify and clean-up both have to see: that what was moved to stands. Private to raft_*.c. */
#ifndef FERRYMAN_MIGRATE_RAFT_VERIFY_H
#define FERRYMAN_MIGRATE_RAFT_VERIFY_H

#include "migrate/raft.h"

/* The set on the target class; every pod Ready on the claims that its turn gave it, by uid and class. */
void raft_script_stands(struct run *r, struct script *s);
/* It was verified, and every pod is on the claims that were verified then. */
bool raft_verify_holds(const struct run *r);
/* What verify froze is taken back: it was true of another state. */
void raft_verify_forget(struct run *r);
/* Every node well and level, no stale peer, autopilot content: by the nodes' own word. Facts leader.now, leader.index. */
void raft_script_voters(struct run *r, struct script *s);

#endif
