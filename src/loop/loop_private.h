/* What the files of src/loop share. Nothing above this folder includes it. */
#ifndef FERRYMAN_LOOP_LOOP_PRIVATE_H
#define FERRYMAN_LOOP_LOOP_PRIVATE_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "loop/loop.h"

struct deferred {
    struct deferred *next;
    void (*fn)(void *arg);
    void *arg;
};

struct loop {
    uv_loop_t uv;
    uv_prepare_t turn;       /* the end of a turn: just before polling */
    uv_idle_t awake;         /* active while something is deferred, so that polling does not wait */
    uv_timer_t deadline;     /* of loop_run_until and loop_free */
    struct deferred *queue;  /* runs at the end of this turn */
    struct deferred **tail;
    struct deferred *batch;  /* what the present end of turn has still to run */
    void (*on_turn)(void *arg);
    void *on_turn_arg;
    const bool *until;
    bool running;
    uint64_t busy_since_ns, idle_mark_ns, stall_ns;
    uint64_t cpu_mark_ns, stall_cpu_ns;
    char scratch[65536];     /* read buffer of every stream: libuv reads and delivers without anything in between */
};

/* uv_alloc_cb that hands out the loop's scratch buffer. */
void loop_scratch(uv_handle_t *handle, size_t suggested, uv_buf_t *ret);

#endif
