/* The event loop of a process: one thread, libuv underneath. Other layers see these types only; uv.h is included by
 * src/loop alone.
 *
 * Deferred work (loop_defer) runs at the end of the present turn, outside every callback: requests, cancels and frees
 * that libraries forbid inside their callbacks go through it. Everything created on a loop is freed before loop_free,
 * which runs the loop until the last handle has closed. */
#ifndef FERRYMAN_LOOP_LOOP_H
#define FERRYMAN_LOOP_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct loop;
struct uv_loop_s;

/* Also ignores SIGPIPE for the process. */
struct loop *loop_new(void);
void loop_free(struct loop *l);
/* Runs until loop_stop. Not re-entrant. */
void loop_run(struct loop *l);
/* Runs turns until *done is true or the deadline (in milliseconds from now) has passed; returns *done. For tests and
 * one-shot commands. */
bool loop_run_until(struct loop *l, const bool *done, int64_t timeout_ms);
void loop_stop(struct loop *l);
/* Calls fn(arg) once, at the end of this turn, in the order given. fn may defer again (runs next turn). */
void loop_defer(struct loop *l, void (*fn)(void *arg), void *arg);
/* Drops what is deferred and not yet run with this arg: called by a destructor. */
void loop_undefer(struct loop *l, const void *arg);
/* Called at the end of each turn after the deferred work, while set: the stream commits here. One hook a loop. */
void loop_on_turn(struct loop *l, void (*fn)(void *arg), void *arg);
/* Longest time between polls since the last call, in microseconds, and resets it (loop_stall_max_ms). */
int64_t loop_stall_us(struct loop *l);
/* The same in processor time: the two are far apart where the machine was busy with something else, or a turn waited. */
int64_t loop_stall_cpu_us(struct loop *l);
/* For src/loop and src/net's own handles. */
struct uv_loop_s *loop_uv(struct loop *l);

#endif
