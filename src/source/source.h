/* What every source has in common: its rows in T_SOURCES and how it is started, asked again and stopped.
 *
 * A source turns one vendor's facts into rows, decides when to ask, and never lets another wait for it. It is told what to look
 * at by its own options struct (the composition root fills it from the plan: src/engine_sources.c), so no source knows the plan. */
#ifndef FERRYMAN_SOURCE_SOURCE_H
#define FERRYMAN_SOURCE_SOURCE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "world/world.h"

struct loop;

/* One row of T_SOURCES, kept by one listener. */
struct source_row;

/* key "SERVER/KIND"; stale_after_ms 0: not by age. Writes the row at once as STARTING. */
struct source_row *source_row_new(struct world *w, const char *server, const char *kind, int64_t stale_after_ms);
void source_row_free(struct source_row *r, bool remove);
/* Its states make no lines in the timeline: for one of many rows that fail together. */
void source_row_quiet(struct source_row *r);
const char *source_row_key(const struct source_row *r);
/* It answered (or an event, a bookmark came): state LIVE (watch) or POLLED, age 0, no error. */
void source_row_ok(struct source_row *r, bool live);
/* It failed: DENIED for ERR_DENIED, else DOWN; e is borrowed (its text goes into the row). next_try_ms: mono, 0 if none. A
 * failure of a source that answered less than its stale_after ago keeps its last_ok, so that the age is shown. */
void source_row_failed(struct source_row *r, const struct err *e, int64_t next_try_ms);
void source_row_off(struct source_row *r, const char *why);
void source_row_detail(struct source_row *r, const char *detail);
void source_row_objects(struct source_row *r, int64_t objects);
void source_row_requests(struct source_row *r, int64_t per_minute);

/* A line for the timeline (level: INFO, GOOD, WARN, BAD). Bounded: the oldest of 2,000 is dropped. */
void timeline_add(struct world *w, const char *level, const char *object, const char *fmt, ...) PRINTF_LIKE(4, 5);

#endif
