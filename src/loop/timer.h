/* One-shot and repeating timers in milliseconds on the mono clock. */
#ifndef FERRYMAN_LOOP_TIMER_H
#define FERRYMAN_LOOP_TIMER_H

#include <stdbool.h>
#include <stdint.h>

struct loop;
struct timer;

struct timer *timer_new(struct loop *l, void (*fn)(void *arg), void *arg);
/* (Re)starts it; repeat_ms 0 is one-shot. */
void timer_start(struct timer *t, int64_t delay_ms, int64_t repeat_ms);
void timer_stop(struct timer *t);
bool timer_active(const struct timer *t);
/* Stops and frees; allowed inside its own callback. NULL is allowed. */
void timer_free(struct timer *t);

#endif
