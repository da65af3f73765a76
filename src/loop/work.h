/* Jobs on the thread pool (hashing, blocking library calls) and address resolution. */
#ifndef FERRYMAN_LOOP_WORK_H
#define FERRYMAN_LOOP_WORK_H

#include "base/err.h"

struct loop;
struct work;
struct resolve;

/* run(arg) on a pool thread, then done(arg) on the loop. `work` is gone after done. */
struct work *work_start(struct loop *l, void (*run)(void *arg), void (*done)(void *arg), void *arg);

/* The same on a thread of its own, for what runs for minutes and would keep the pool's few threads from others. All signals are
 * blocked in it. */
struct work *work_start_thread(struct loop *l, void (*run)(void *arg), void (*done)(void *arg), void *arg);

/* Resolves a host name (or takes a numeric address as it is); the callback gets the numeric addresses (borrowed,
 * NULL-terminated) or an error (borrowed). It must be freed, also after the answer (allowed in the callback); freeing
 * it before the answer suppresses the callback. */
struct resolve *resolve_start(struct loop *l, const char *host,
                              void (*fn)(void *arg, const char *const *addresses, const struct err *e), void *arg);
void resolve_free(struct resolve *r);

#endif
