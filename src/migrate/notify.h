/* Who wants to know: each phase and window event goes as one JSON object to the commands (standard input, clean environment, 30 s) and URLs
 * (POST) of the plan's `notify`. {"schema":1,"at","plan","workload","event":"phase"|"window","name","state","text"}: no row data, no
 * secrets, no query text. In order, one at a time per receiver, at most 64 waiting (then the oldest goes, and is counted); a receiver that
 * fails is a line in the timeline, once until it works again. Nothing waits for it. */
#ifndef FERRYMAN_MIGRATE_NOTIFY_H
#define FERRYMAN_MIGRATE_NOTIFY_H

#include <stdbool.h>

struct loop;
struct notify;
struct plan;
struct world;

struct notify *notify_new(struct loop *loop, struct world *world, const struct plan *plan); /* NULL plan->notify: does nothing */
void notify_free(struct notify *n);
void notify_event(struct notify *n, const char *workload, const char *event, const char *name, const char *state, const char *text);
/* Something is on its way, and the last event is not older than 30 s: a process that could end may wait so long. */
bool notify_busy(const struct notify *n);

#endif
