/* What `ferryman watch --headless` and --plain print: one line for each change,
 *   2026-04-25T16:31:07Z vault window vault-0: CLOCK STOPPED: alerts: 1 firing
 * Time (UTC), workload ("-": none), what. Pure: it reads a world and gives lines. */
#ifndef FERRYMAN_WATCH_LINES_H
#define FERRYMAN_WATCH_LINES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

struct watch_lines;
struct world;

/* put gets each line with its newline. timeline: what the timeline has is printed, too. */
struct watch_lines *watch_lines_new(const struct world *w, bool timeline, void (*put)(void *arg, const char *line, size_t n), void *arg);
void watch_lines_free(struct watch_lines *l);
/* What changed since the last call. At the first call the windows are told as they are, and everything else is taken as known. */
void watch_lines_update(struct watch_lines *l);
/* A line that is of no row. at: Unix ms. */
void watch_lines_note(struct watch_lines *l, int64_t at, const char *workload, const char *fmt, ...) PRINTF_LIKE(4, 5);
/* The windows in numbers and how many gates pass, a line each. */
void watch_lines_summary(struct watch_lines *l, int64_t at);

#endif
