/* What to do by hand if the majority is lost: exact commands for this cluster. They are shown, never run. */
#ifndef FERRYMAN_MIGRATE_RAFT_RESCUE_H
#define FERRYMAN_MIGRATE_RAFT_RESCUE_H

#include "base/buf.h"
#include "migrate/raft.h"

/* Several lines of text, each ended by a newline. */
void raft_rescue_text(const struct run *r, struct buf *out);
/* The same as lines "if quorum is lost" of a dialog. */
void raft_rescue_line(const struct run *r, struct dialog *d);

#endif
