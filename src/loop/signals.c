#include "loop/signals.h"

#include <uv.h>

#include "base/log.h"
#include "base/mem.h"
#include "loop/loop.h"

struct signals {
    void (*fn)(void *arg, int signum);
    void *arg;
    int count, open;
    uv_signal_t handles[];
};

static void signals_fired(uv_signal_t *handle, int signum) {
    struct signals *s = handle->data;
    if (!uv_is_closing((uv_handle_t *)handle))
        s->fn(s->arg, signum);
}

static void signals_closed(uv_handle_t *handle) {
    struct signals *s = handle->data;
    if (--s->open == 0)
        mem_free(s);
}

struct signals *signals_new(struct loop *l, const int *signums, int count, void (*fn)(void *arg, int signum),
                            void *arg) {
    struct signals *s = mem_zalloc(sizeof *s + (size_t)count * sizeof s->handles[0]);
    s->fn = fn;
    s->arg = arg;
    s->count = s->open = count;
    for (int i = 0; i < count; i++) {
        uv_signal_init(loop_uv(l), &s->handles[i]);
        s->handles[i].data = s;
        int code = uv_signal_start(&s->handles[i], signals_fired, signums[i]);
        if (code < 0)
            log_error("signal %d cannot be watched: %s", signums[i], uv_strerror(code));
    }
    return s;
}

void signals_free(struct signals *s) {
    if (s == NULL)
        return;
    if (s->count == 0) {
        mem_free(s);
        return;
    }
    for (int i = 0; i < s->count; i++)
        uv_close((uv_handle_t *)&s->handles[i], signals_closed);
}
