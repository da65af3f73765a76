/* A snapshot of the present active node: streamed to disk (0600, a temporary name), enciphered on the way as dumps are (doc/dump.md has the
 * format), proved while it comes and again from the disk (deciphered), fsync'd, renamed. Facts (all journaled):
 *   snapshot.file, .sha256 (of the file), .bytes, .index, .term, .node, .at (Unix ms, wall), .proved_at
 * The index must be at or past the leader's applied index that was read before, the node still active afterwards. */
#ifndef FERRYMAN_MIGRATE_SNAPSHOT_JOB_H
#define FERRYMAN_MIGRATE_SNAPSHOT_JOB_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct buf;
struct run;
struct script;

#define SNAPSHOT_FRESH_MS (INT64_C(60) * 60 * 1000) /* safety 17 */

/* Appends the operations: room on the disk (10 % stay free), who is active now, take, prove from disk. */
void snapshot_script(struct run *r, struct script *s);
/* Where they are written; malloc'd. */
char *snapshot_dir(const struct run *r) MUST_CHECK;
/* A proved one younger than an hour, taken from `active`; false: why not, appended. */
bool snapshot_is_fresh(const struct run *r, const char *active, struct buf *reason);
/* Removes snapshots of this run but the newest, at the end of retention (safety 31): operations for clean-up. */
void snapshot_script_purge(struct run *r, struct script *s);

#endif
