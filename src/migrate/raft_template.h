/* The set itself: what the template swap and the rollback share. Private to raft_*.c. */
#ifndef FERRYMAN_MIGRATE_RAFT_TEMPLATE_H
#define FERRYMAN_MIGRATE_RAFT_TEMPLATE_H

#include "base/buf.h"
#include "migrate/op.h"
#include "migrate/raft.h"

struct json_t;

/* Where the manifest lies with which the set can be made again by hand; malloc'd. */
char *raft_manifest_file(const struct run *r) MUST_CHECK;
/* Retain on the volume of a claim's entry ({name, volume, volume_uid}), read back, and watched from then on. */
void raft_script_retain(struct run *r, struct script *s, const struct json_t *claim);
/* "NO CONTROLLER since … (3m): nothing restarts a pod that dies", appended while the set is orphaned. */
void raft_red_clock(const struct run *r, struct buf *out);
/* Whether every pod of fact set.pods is the same as then and belongs to set.new.uid; but: one that is away, NULL: none is. */
enum op_answer raft_judge_adopted(struct run *r, const struct json_t *pods, const char *but, struct buf *reason);
/* Replicas and the class of the claim templates are relied on from here on, or no more. */
void raft_watch_set(struct run *r, const char *path);
void raft_unwatch_set(struct run *r, const char *path);

#endif
