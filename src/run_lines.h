/* What `ferryman run` prints: one line per change of a phase, a step or a dialog of one workload; with --json one object a line,
 *   {"schema":1,"t":"phase","row":{…}} and step, dialog, line (of a dialog), note, end.
 * Nothing here waits for the reader: lines are queued, up to a bound. */
#ifndef FERRYMAN_RUN_LINES_H
#define FERRYMAN_RUN_LINES_H

#include <stdbool.h>

#include "base/err.h"

struct loop;
struct run_lines;
struct world;

struct err *run_lines_new(struct loop *l, const struct world *w, const char *workload, bool json, struct run_lines **ret) MUST_CHECK;
/* Waits a moment for a reader that is slow. */
void run_lines_free(struct run_lines *r);
/* Prints what changed since the last call; what is there at the first call is taken as known. */
void run_lines_update(struct run_lines *r);
/* The lines of a dialog. */
void run_lines_dialog(struct run_lines *r, const char *dialog);
void run_lines_note(struct run_lines *r, const char *fmt, ...) PRINTF_LIKE(2, 3);
void run_lines_end(struct run_lines *r, int status, const char *next, const char *text);

#endif
