/* HTTP probes of the applications → probes: expected status and, because a login page is also 200, expected body. */
#ifndef FERRYMAN_SOURCE_PROBE_SOURCE_H
#define FERRYMAN_SOURCE_PROBE_SOURCE_H

#include <stdint.h>

#include "world/world.h"

struct loop;
struct probe_source;

struct probe_source_options {
    struct loop *loop;
    struct world *world;
    const char *workload;
    const char *url;
    int expect;                      /* 0: 200 */
    const char *body;                /* text that must occur; NULL: not asked for */
    int64_t poll_ms;                 /* 0: 15 s */
};

struct probe_source *probe_source_new(const struct probe_source_options *o);
void probe_source_free(struct probe_source *s);
void probe_source_poke(struct probe_source *s);

#endif
