/* The loop is libuv's, with one thing added: the end of a turn. It is libuv's prepare phase, so it comes after every
 * callback of timers and descriptors and before the loop waits again, on every path. Deferred work runs there, then the
 * turn hook. An idle handle is kept active while anything is deferred: libuv then polls without waiting. */
#include "loop/loop.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/mem.h"
#include "loop/loop_private.h"

enum { LOOP_CLOSE_MS = 5000 };

void loop_scratch(uv_handle_t *handle, size_t suggested, uv_buf_t *ret) {
    (void)suggested;
    struct loop *l = handle->loop->data;
    *ret = uv_buf_init(l->scratch, sizeof l->scratch);
}

static void loop_fatal(const char *what, int code) {
    fprintf(stderr, "ferryman: event loop: %s: %s\n", what, uv_strerror(code));
    abort();
}

static void loop_check(const char *what, int code) {
    if (code < 0)
        loop_fatal(what, code);
}

static uint64_t cpu_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void loop_mark(struct loop *l) {
    l->busy_since_ns = uv_hrtime();
    l->idle_mark_ns = uv_metrics_idle_time(&l->uv);
    l->cpu_mark_ns = cpu_ns();
}

/* Keeps the longest time that was spent between two polls, without the waiting. */
static void loop_measure(struct loop *l) {
    uint64_t spent = uv_hrtime() - l->busy_since_ns, waited = uv_metrics_idle_time(&l->uv) - l->idle_mark_ns;
    uint64_t cpu = cpu_ns() - l->cpu_mark_ns;
    if (spent > waited && spent - waited > l->stall_ns)
        l->stall_ns = spent - waited;
    if (cpu > l->stall_cpu_ns)
        l->stall_cpu_ns = cpu;
    loop_mark(l);
}

static void loop_run_deferred(struct loop *l) {
    l->batch = l->queue;
    l->queue = NULL;
    l->tail = &l->queue;
    while (l->batch != NULL) {
        struct deferred *d = l->batch;
        l->batch = d->next;
        d->fn(d->arg);
        mem_free(d);
    }
}

static void loop_end_turn(uv_prepare_t *handle) {
    struct loop *l = handle->data;
    loop_run_deferred(l);
    if (l->on_turn != NULL)
        l->on_turn(l->on_turn_arg);
    if (l->queue == NULL)
        uv_idle_stop(&l->awake);
    if (l->until != NULL && *l->until)
        uv_stop(&l->uv);
    loop_measure(l);
}

static void loop_awake(uv_idle_t *handle) {
    (void)handle;
}

struct loop *loop_new(void) {
    struct loop *l = MEM_NEW(struct loop);
    signal(SIGPIPE, SIG_IGN);
    loop_check("init", uv_loop_init(&l->uv));
    l->uv.data = l;
    loop_check("configure", uv_loop_configure(&l->uv, UV_METRICS_IDLE_TIME));
    loop_check("prepare", uv_prepare_init(&l->uv, &l->turn));
    loop_check("idle", uv_idle_init(&l->uv, &l->awake));
    loop_check("timer", uv_timer_init(&l->uv, &l->deadline));
    l->turn.data = l->awake.data = l->deadline.data = l;
    uv_prepare_start(&l->turn, loop_end_turn);
    l->tail = &l->queue;
    return l;
}

static void loop_run_uv(struct loop *l) {
    if (l->running)
        loop_fatal("run inside a callback", UV_EBUSY);
    l->running = true;
    loop_mark(l);
    uv_run(&l->uv, UV_RUN_DEFAULT);
    l->running = false;
}

void loop_run(struct loop *l) {
    loop_run_uv(l);
}

static void loop_deadline(uv_timer_t *handle) {
    uv_stop(handle->loop);
}

bool loop_run_until(struct loop *l, const bool *done, int64_t timeout_ms) {
    if (*done)
        return true;
    uv_update_time(&l->uv);
    uv_timer_start(&l->deadline, loop_deadline, timeout_ms > 0 ? (uint64_t)timeout_ms : 0, 0);
    l->until = done;
    loop_run_uv(l);
    l->until = NULL;
    uv_timer_stop(&l->deadline);
    return *done;
}

void loop_stop(struct loop *l) {
    uv_stop(&l->uv);
}

void loop_defer(struct loop *l, void (*fn)(void *arg), void *arg) {
    struct deferred *d = MEM_NEW(struct deferred);
    *d = (struct deferred){.fn = fn, .arg = arg};
    if (l->queue == NULL)
        uv_idle_start(&l->awake, loop_awake);
    *l->tail = d;
    l->tail = &d->next;
}

/* Removes the entries with this arg and returns where the next one is to be linked. */
static struct deferred **deferred_drop(struct deferred **at, const void *arg) {
    while (*at != NULL) {
        struct deferred *d = *at;
        if (d->arg == arg) {
            *at = d->next;
            mem_free(d);
        } else {
            at = &d->next;
        }
    }
    return at;
}

void loop_undefer(struct loop *l, const void *arg) {
    deferred_drop(&l->batch, arg);
    l->tail = deferred_drop(&l->queue, arg);
}

void loop_on_turn(struct loop *l, void (*fn)(void *arg), void *arg) {
    l->on_turn = fn;
    l->on_turn_arg = arg;
}

int64_t loop_stall_us(struct loop *l) {
    int64_t us = (int64_t)(l->stall_ns / 1000);
    l->stall_ns = 0;
    return us;
}

int64_t loop_stall_cpu_us(struct loop *l) {
    int64_t us = (int64_t)(l->stall_cpu_ns / 1000);
    l->stall_cpu_ns = 0;
    return us;
}

struct uv_loop_s *loop_uv(struct loop *l) {
    return &l->uv;
}

static void loop_count_handle(uv_handle_t *handle, void *arg) {
    int *left = arg;
    if (uv_is_active(handle) && uv_has_ref(handle) && !uv_is_closing(handle) && handle->type != UV_ASYNC)
        ++*left;
}

/* A handle that nobody freed would keep the loop for ever; jobs on the pool and on threads of their own (UV_ASYNC) may take their time. */
static void loop_overdue(uv_timer_t *handle) {
    int left = 0;
    uv_walk(handle->loop, loop_count_handle, &left);
    if (left > 0) {
        uv_print_active_handles(handle->loop, stderr);
        loop_fatal("a handle was not freed", UV_EBUSY);
    }
}

void loop_free(struct loop *l) {
    if (l == NULL)
        return;
    l->on_turn = NULL;
    uv_unref((uv_handle_t *)&l->turn);
    uv_update_time(&l->uv);
    uv_timer_start(&l->deadline, loop_overdue, LOOP_CLOSE_MS, LOOP_CLOSE_MS);
    uv_unref((uv_handle_t *)&l->deadline);
    while (uv_loop_alive(&l->uv))
        loop_run_uv(l);
    uv_close((uv_handle_t *)&l->turn, NULL);
    uv_close((uv_handle_t *)&l->awake, NULL);
    uv_close((uv_handle_t *)&l->deadline, NULL);
    uv_run(&l->uv, UV_RUN_DEFAULT);
    int code = uv_loop_close(&l->uv);
    if (code < 0) {
        uv_print_all_handles(&l->uv, stderr);
        loop_fatal("a handle was not freed", code);
    }
    mem_free(l);
}
