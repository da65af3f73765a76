/* libuv reports a poll error once and disarms the handle (status < 0). We promise level-triggered events, so the error
 * is passed on as "readable and writable" and the handle is armed again; the library meets the error and closes. */
#include "loop/fdwatch.h"

#include <stdbool.h>
#include <uv.h>

#include "base/log.h"
#include "base/mem.h"
#include "loop/loop.h"

struct fdwatch {
    uv_poll_t uv;
    struct loop *loop;
    void (*fn)(void *arg, unsigned events);
    void *arg;
    unsigned events;
    bool broken; /* could not be polled at all: every arming answers with the error */
};

static void fdwatch_arm(struct fdwatch *w);

static void fdwatch_broken(void *arg) {
    struct fdwatch *w = arg;
    if (w->events != FD_NONE)
        w->fn(w->arg, FD_READABLE | FD_WRITABLE);
}

static void fdwatch_ready(uv_poll_t *handle, int status, int events) {
    struct fdwatch *w = handle->data;
    if (status >= 0) {
        unsigned readable = (events & UV_READABLE) != 0 ? FD_READABLE : 0u;
        w->fn(w->arg, readable | ((events & UV_WRITABLE) != 0 ? FD_WRITABLE : 0u));
        return;
    }
    w->fn(w->arg, FD_READABLE | FD_WRITABLE);
    if (!uv_is_closing((uv_handle_t *)handle) && !uv_is_active((uv_handle_t *)handle) && w->events != FD_NONE)
        fdwatch_arm(w);
}

static void fdwatch_arm(struct fdwatch *w) {
    int want = ((w->events & FD_READABLE) != 0 ? UV_READABLE : 0) | ((w->events & FD_WRITABLE) != 0 ? UV_WRITABLE : 0);
    int code = uv_poll_start(&w->uv, want, fdwatch_ready);
    if (code < 0) {
        log_error("poll of a descriptor: %s", uv_strerror(code));
        loop_defer(w->loop, fdwatch_broken, w);
    }
}

static void fdwatch_closed(uv_handle_t *handle) {
    mem_free(handle->data);
}

struct fdwatch *fdwatch_new(struct loop *l, int fd, void (*fn)(void *arg, unsigned events), void *arg) {
    struct fdwatch *w = MEM_NEW(struct fdwatch);
    w->loop = l;
    w->fn = fn;
    w->arg = arg;
    int code = uv_poll_init(loop_uv(l), &w->uv, fd);
    if (code < 0) {
        log_error("descriptor %d cannot be polled: %s", fd, uv_strerror(code));
        w->broken = true;
    }
    w->uv.data = w;
    return w;
}

void fdwatch_set(struct fdwatch *w, unsigned events) {
    w->events = events;
    if (w->broken) {
        loop_undefer(w->loop, w);
        if (events != FD_NONE)
            loop_defer(w->loop, fdwatch_broken, w);
    } else if (events == FD_NONE) {
        uv_poll_stop(&w->uv);
    } else {
        fdwatch_arm(w);
    }
}

void fdwatch_free(struct fdwatch *w) {
    if (w == NULL)
        return;
    loop_undefer(w->loop, w);
    if (w->broken)
        mem_free(w);
    else
        uv_close((uv_handle_t *)&w->uv, fdwatch_closed);
}
