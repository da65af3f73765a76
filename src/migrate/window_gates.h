/* What the gates of a window answer now, from the world alone. The write probe is not among them (window_probe.h). */
#ifndef FERRYMAN_MIGRATE_WINDOW_GATES_H
#define FERRYMAN_MIGRATE_WINDOW_GATES_H

#include "base/buf.h"
#include "migrate/window.h"

struct run;

/* Between two looks: what the leader had applied a while ago, which every voter must have reached by now. */
struct window_memory {
    int64_t index, index_mono; /* applied by the leader at the last look that was long enough ago; -1 */
    int64_t older;             /* the one before it; -1 */
};
#define WINDOW_MEMORY_NEW {.index = -1, .older = -1}

struct window_look {
    enum window_answer answers[WINDOW_GATES];
    struct buf reasons[WINDOW_GATES]; /* empty where it passes */
    char leader[256];                 /* "": none is known */
};

/* Fills ret anew: window_look_clear first if it was filled before. Facts that are STALE, DENIED or DOWN are NO DATA; a source that is not in
 * the plan, or a gate that was overridden with a reason (alerts, http), is NOT ASKED. since: the window's
 * beginning (plan ms); alerts of other namespaces that are older are not ours. */
void window_look(const struct run *r, int64_t since, struct window_memory *m, struct window_look *ret);
void window_look_clear(struct window_look *l);

#endif
