/* Points where a fault test ends the program. Compiled to nothing without --enable-failpoints.
 *
 * FERRYMAN_FAILPOINT="NAME" or "NAME:COUNT" raises SIGKILL on this process at the COUNT-th pass (from 1) of that point;
 * "NAME@NUMBER" at the pass that has that number. A name that no point has is told on stderr, once. Passing is allowed in
 * every thread. New points are listed in failpoint.c. */
#ifndef FERRYMAN_BASE_FAILPOINT_H
#define FERRYMAN_BASE_FAILPOINT_H

#include <stdint.h>

#ifdef FERRYMAN_FAILPOINTS
/* number: of this pass, from 1; 0 if it has none. */
void failpoint_at(const char *name, int64_t number);
#else
static inline void failpoint_at(const char *name, int64_t number) {
    (void)name;
    (void)number;
}
#endif

static inline void failpoint(const char *name) {
    failpoint_at(name, 0);
}

#endif
