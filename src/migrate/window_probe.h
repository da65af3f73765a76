/* The write probe of a window: a small write to the active node, with the run's token, on a period of its own; and the token, which is
 * renewed in time so that it outlives the window. Proof that the one node that counts does what counts: three views of one dead leader are
 * one view (safety 32). */
#ifndef FERRYMAN_MIGRATE_WINDOW_PROBE_H
#define FERRYMAN_MIGRATE_WINDOW_PROBE_H

#include <stdbool.h>
#include <stdint.h>

#include "migrate/window.h"

struct run;
struct window_probe;

/* Begins at once. every_ms: real time. */
struct window_probe *window_probe_new(struct run *r, int64_t every_ms);
void window_probe_free(struct window_probe *p); /* also what is under way; the cluster's row says that none is run */
/* What the probe that ended since this was asked last said, and its reason (valid until the next call; "" where it passes). False: none has
 * ended. */
bool window_probe_take(struct window_probe *p, enum window_answer *ret, const char **ret_reason);

#endif
