/* The window at work: samples the world on the plan's period, runs the write probe every 30 s, keeps its state as a fact (so that it goes on
 * over restarts), writes T_WINDOWS and T_WINDOW_GATES. One per workload at a time. */
#ifndef FERRYMAN_MIGRATE_WINDOW_JOB_H
#define FERRYMAN_MIGRATE_WINDOW_JOB_H

#include <stdbool.h>

#include "base/err.h"

struct run;
struct script;

/* Appends the window of the pod of run->phase->turn: it ends when the window has passed (or ended early). Facts window.TURN (the state),
 * window.TURN.done ("passed", "early: REASON"). */
void window_script(struct run *r, struct script *s);
struct err *window_end_early(struct run *r, const char *reason) MUST_CHECK;
struct err *window_credit_gap(struct run *r, const char *reason) MUST_CHECK;
/* The rows of the last window as its fact has it, while none is at work here (an engine that has just started, a reader of another's journal).
 * elsewhere: it is at work in another process. */
void window_show(struct run *r, bool elsewhere);

#endif
