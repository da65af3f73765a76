/* Whether a cron job's schedule falls into a span of time ("30 2 * * *", names and @daily too). Pure. */
#ifndef FERRYMAN_MIGRATE_RAFT_CRON_H
#define FERRYMAN_MIGRATE_RAFT_CRON_H

#include <stdbool.h>
#include <stdint.h>

/* From the minute after from_ms up to to_ms (Unix ms, UTC), at most a day. What cannot be read is never due. */
bool raft_cron_due(const char *schedule, int64_t from_ms, int64_t to_ms);

#endif
