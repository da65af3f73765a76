/* What verify and clean-up both have to see: that what was moved to stands. Private to raft_*.c. */
#ifndef FERRYMAN_MIGRATE_RAFT_VERIFY_H
#define FERRYMAN_MIGRATE_RAFT_VERIFY_H

#include "migrate/raft.h"

/* The set on the target class; every pod Ready on the claims that its turn gave it, by uid and class. */
void raft_script_stands(struct run *r, struct script *s);
/* Every node well and level, no stale peer, autopilot content: by the nodes' own word. Facts leader.now, leader.index. */
void raft_script_voters(struct run *r, struct script *s);

#endif
