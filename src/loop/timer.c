#include "loop/timer.h"

#include <uv.h>

#include "base/mem.h"
#include "loop/loop.h"

struct timer {
    uv_timer_t uv;
    void (*fn)(void *arg);
    void *arg;
};

static void timer_fired(uv_timer_t *handle) {
    struct timer *t = handle->data;
    t->fn(t->arg);
}

static void timer_closed(uv_handle_t *handle) {
    mem_free(handle->data);
}

struct timer *timer_new(struct loop *l, void (*fn)(void *arg), void *arg) {
    struct timer *t = MEM_NEW(struct timer);
    uv_timer_init(loop_uv(l), &t->uv);
    t->uv.data = t;
    t->fn = fn;
    t->arg = arg;
    return t;
}

/* libuv counts from the time it read at the start of the turn; after long work that would fire too early. */
void timer_start(struct timer *t, int64_t delay_ms, int64_t repeat_ms) {
    uv_update_time(t->uv.loop);
    uv_timer_start(&t->uv, timer_fired, delay_ms > 0 ? (uint64_t)delay_ms : 0,
                   repeat_ms > 0 ? (uint64_t)repeat_ms : 0);
}

void timer_stop(struct timer *t) {
    uv_timer_stop(&t->uv);
}

bool timer_active(const struct timer *t) {
    return uv_is_active((const uv_handle_t *)&t->uv) != 0;
}

void timer_free(struct timer *t) {
    if (t == NULL)
        return;
    uv_timer_stop(&t->uv);
    uv_close((uv_handle_t *)&t->uv, timer_closed);
}
