#include "watch_text.h"

#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "cli.h"
#include "console_link.h"
#include "loop/loop.h"
#include "loop/signals.h"
#include "loop/stream_sock.h"
#include "loop/timer.h"
#include "main_console.h"
#include "setup.h"
#include "watch_judge.h"
#include "watch_lines.h"
#include "world/freshness.h"
#include "world/world.h"

#define CALM_TICKS 3                  /* settled for so long: what comes after the first answers has come, too */
#define SETTLE_MS INT64_C(60000)      /* sources that never answer hold nothing up for longer */
#define FIRST_MS INT64_C(60000)       /* for an engine to come up */
#define QUEUE_MAX ((size_t)4 * 1024 * 1024)
#define DRAIN_MS 2000

struct watch {
    struct loop *loop;
    struct world *world;
    const struct watch_text_options *o;
    struct watch_lines *lines;
    struct sock *out;
    struct timer *first;  /* runs until an engine has answered */
    bool connected, ever, drained, gone;
    bool settled;         /* since the line is up: before that what comes in is no change */
    int calm;
    int64_t up_at;
    const char *ended_by;
    char *why;            /* the line is down */
    struct err *failure;
};

static void put(void *arg, const char *line, size_t n) {
    struct watch *w = arg;
    if (!w->gone && sock_queued(w->out) < QUEUE_MAX) sock_write(w->out, line, n);
}

static void finish(struct watch *w, const char *by) {
    if (!w->ended_by) w->ended_by = by;
    loop_stop(w->loop);
}

static void on_drained(void *arg) {
    struct watch *w = arg;
    w->drained = true;
}

static void on_out_end(void *arg, const struct err *e) {
    struct watch *w = arg;
    (void)e;
    w->gone = w->drained = true;
    finish(w, "nobody reads any more");
}

/* ---- The line to the engine -------------------------------------------------------------------------------------- */

static void on_commit(void *arg) {
    struct watch *w = arg;
    if (w->settled) watch_lines_update(w->lines);
}

static bool is_settled(const struct world *w) {
    for (const struct row *r = world_first(w, T_SOURCES); r; r = world_next(w, r))
        if (world_freshness(w, r).state == FRESH_STARTING) return false;
    return world_count(w, T_SOURCES) > 0;
}

static void on_tick(void *arg) {
    struct watch *w = arg;
    w->calm = is_settled(w->world) ? w->calm + 1 : 0;
    if (!w->settled && (w->calm >= CALM_TICKS || clock_mono_ms() - w->up_at > SETTLE_MS)) {
        w->settled = true;
        watch_lines_update(w->lines);
    }
    if (w->o->judges && w->settled && watch_is_over(w->world)) finish(w, "the window is over");
}

static void on_hello(void *arg, const char *version, const char *plan, const char *context, unsigned peer) {
    struct watch *w = arg;
    (void)version, (void)peer;
    watch_lines_note(w->lines, clock_wall_ms(), "-", "%s plan %s @ %s", w->ever ? "connected to the engine again;" : "watching", plan ? plan : "(none)",
                     context ? context : "(no context)");
    w->ever = true;
    timer_stop(w->first);
}

static void on_link(void *arg, bool connected, const char *why) {
    struct watch *w = arg;
    bool was = w->connected;
    w->connected = connected;
    if (connected) w->up_at = clock_mono_ms();
    if (was && !connected) watch_lines_note(w->lines, clock_wall_ms(), "-", "ENGINE GONE: %s; trying again", why);
    if (connected) return;
    w->calm = 0;
    w->settled = false;
    mem_free(w->why);
    w->why = mem_strdup(why);
}

/* ---- Its end ----------------------------------------------------------------------------------------------------- */

static void on_signal(void *arg, int signum) {
    finish(arg, signum == SIGINT ? "SIGINT" : signum == SIGTERM ? "SIGTERM" : "SIGHUP");
}

static void on_time(void *arg) {
    finish(arg, "its time is over (--for)");
}

static void on_first(void *arg) {
    struct watch *w = arg;
    w->failure = err_new(ERR_UNAVAILABLE, "no engine has come up within %d s%s%s", (int)(FIRST_MS / 1000), w->why && *w->why ? ": " : "", w->why ? w->why : "");
    loop_stop(w->loop);
}

static int summary(struct watch *w) {
    struct buf why = {0};
    int64_t at = clock_wall_ms();
    watch_lines_update(w->lines);
    int status = watch_judge(w->world, &why);
    if (!w->connected) {
        status = status == 1 ? 1 : 2;
        buf_printf(&why, "%sthe engine is gone: this is what was known last", why.len ? "; " : "");
    }
    watch_lines_summary(w->lines, at);
    watch_lines_note(w->lines, at, "-", "summary: ended: %s; exit status %d: %s", w->ended_by ? w->ended_by : "told to", status, buf_str(&why));
    buf_free(&why);
    return status;
}

static void drain(struct watch *w) {
    w->drained = w->gone || sock_queued(w->out) == 0;
    (void)loop_run_until(w->loop, &w->drained, DRAIN_MS);
}

static int watch(struct watch *w, struct cli *cli, const char *path) {
    static const int signums[] = {SIGINT, SIGTERM, SIGHUP};
    const struct console_link_events events = {.stream = {.on_commit = on_commit, .on_tick = on_tick, .on_hello = on_hello}, .on_link = on_link};
    struct signals *signals = signals_new(w->loop, signums, (int)ARRAY_LEN(signums), on_signal, w);
    struct timer *time = timer_new(w->loop, on_time, w);
    w->first = timer_new(w->loop, on_first, w);
    timer_start(w->first, FIRST_MS, 0);
    if (cli->for_ms) timer_start(time, cli->for_ms, 0);
    struct console_link *link = console_link_new(w->loop, cli, path, w->world, w->o->may_spawn, &events, w);
    loop_run(w->loop);
    int status = w->failure || !w->o->judges ? 0 : summary(w);
    drain(w);
    console_link_free(link);
    timer_free(w->first);
    timer_free(time);
    signals_free(signals);
    return w->failure ? cli_report(w->failure) : status;
}

int watch_text(struct cli *cli, const struct watch_text_options *o) {
    static const struct sock_events events = {.on_drained = on_drained, .on_end = on_out_end};
    struct watch w = {.o = o};
    char *path = NULL;
    int status = 0;
    struct err *e = setup_socket_path(cli, &path);
    if (!e) e = main_console_prepare(cli, path, o->may_spawn);
    if (!e) {
        w.loop = loop_new();
        w.world = world_new();
        w.lines = watch_lines_new(w.world, o->timeline, put, &w);
        e = sock_from_fd(w.loop, dup(STDOUT_FILENO), &events, &w, &w.out);
        if (!e) status = watch(&w, cli, path);
        sock_free(w.out);
        watch_lines_free(w.lines);
        world_free(w.world);
        loop_free(w.loop);
    }
    mem_free(w.why);
    mem_free(path);
    return e ? cli_report(e) : status;
}
