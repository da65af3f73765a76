/* How a watch ends: what the world says then, as an exit status and in words. Pure. */
#ifndef FERRYMAN_WATCH_JUDGE_H
#define FERRYMAN_WATCH_JUDGE_H

#include <stdbool.h>

#include "base/buf.h"

struct world;

/* A window there was, none is under way, and none is about to go on after a restart: there is nothing left to wait for. */
bool watch_is_over(const struct world *w);
/* Exit status: 0 every window passed, or there is none and all gates pass; 1 a gate fails, or a window; 2 inconclusive, not over yet,
 * ended early (less was covered than was asked for), or something is not known. Why is appended. */
int watch_judge(const struct world *w, struct buf *why);

#endif
