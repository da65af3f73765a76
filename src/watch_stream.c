/* ferryman watch --headless --json: the stream on stdout. A reader that stops reading delays nothing but itself: it gets the latest
 * row per key and a `lagged` record when it reads on. */
#include "watch_stream.h"

#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "engine.h"
#include "loop/loop.h"
#include "loop/signals.h"
#include "loop/stream_sock.h"
#include "loop/timer.h"
#include "setup.h"
#include "world/stream.h"

#define CHUNK ((size_t)64 * 1024)

struct watch {
    struct loop *loop;
    struct stream_writer *writer;
    struct sock *out;
    bool again; /* pump_again is deferred */
    struct err *failure; /* of writing */
};

static void pump_again(void *arg);

/* A chunk in each turn. When the kernel has taken all of it, nothing else would call us. */
static void pump(void *arg) {
    struct watch *w = arg;
    struct buf text = {0};
    if (!w->out || sock_queued(w->out) >= CHUNK) return;
    bool more = stream_writer_fill(w->writer, &text, CHUNK);
    size_t queued = sock_write(w->out, text.p, text.len);
    buf_free(&text);
    if (!more || queued || w->again) return;
    w->again = true;
    loop_defer(w->loop, pump_again, w);
}

static void pump_again(void *arg) {
    struct watch *w = arg;
    w->again = false;
    pump(w);
}

static void on_tick(void *arg) {
    struct watch *w = arg;
    struct buf text = {0};
    stream_writer_tick(w->writer, &text);
    if (text.len && w->out && sock_queued(w->out) < CHUNK) sock_write(w->out, text.p, text.len);
    buf_free(&text);
}

static void on_end(void *arg, const struct err *e) {
    struct watch *w = arg;
    struct stat st;
    /* A reader that has had enough is a good end, as for any filter; a disk that is full is not. */
    if (e && fstat(STDOUT_FILENO, &st) == 0 && !S_ISFIFO(st.st_mode) && !S_ISSOCK(st.st_mode)) {
        w->failure = err_wrap(err_copy(e), "standard output");
    }
    sock_free(w->out);
    w->out = NULL;
    loop_stop(w->loop);
}

static void on_time(void *arg) {
    struct watch *w = arg;
    loop_stop(w->loop);
}

static void on_signal(void *arg, int signum) {
    struct watch *w = arg;
    (void)signum;
    loop_stop(w->loop);
}

struct err *watch_stream(const struct setup *setup, int64_t for_ms) {
    static const struct sock_events events = {.on_drained = pump, .on_end = on_end};
    static const int signums[] = {SIGINT, SIGTERM, SIGHUP};
    struct watch w = {.loop = loop_new()};
    struct engine *engine = engine_new(w.loop, setup, false);
    struct stream_hello hello = engine_hello(engine, 0);
    struct signals *signals = signals_new(w.loop, signums, 3, on_signal, &w);
    struct timer *time = timer_new(w.loop, on_time, &w);
    if (for_ms) timer_start(time, for_ms, 0);
    w.writer = stream_writer_new(engine_world(engine), &hello);
    struct err *e = sock_from_fd(w.loop, dup(STDOUT_FILENO), &events, &w, &w.out);
    if (!e) {
        engine_on_turn(engine, pump, &w);
        engine_on_tick(engine, on_tick, &w);
        loop_run(w.loop);
    }
    loop_undefer(w.loop, &w);
    sock_free(w.out);
    signals_free(signals);
    timer_free(time);
    stream_writer_free(w.writer);
    engine_free(engine);
    loop_free(w.loop);
    return e ? e : w.failure;
}
