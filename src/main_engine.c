/* The engine process (internal subcommand `engine`): serves the stream on a unix socket until its last reader has gone. The console
 * starts it; a stalled terminal can never stop it. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli.h"
#include "engine.h"
#include "engine_server.h"
#include "loop/loop.h"
#include "loop/signals.h"
#include "loop/timer.h"
#include "setup.h"

#define FIRST_READER_MS 10000 /* a console that was killed while it started us */
#define NO_READER_MS 2000     /* a console that reconnects */
#define RELEASE_MS 3000       /* for the locks; another operator waits them out otherwise */

struct process {
    struct loop *loop;
    struct engine *engine;
    struct timer *end; /* runs while there is no reader */
    size_t readers;
    bool released;
    const char *reason;
};

static void stop(struct process *p, const char *reason) {
    p->reason = reason;
    loop_stop(p->loop);
}

/* A phase outlives the terminal it was started from. */
static void on_end(void *arg) {
    struct process *p = arg;
    if (!engine_busy(p->engine)) stop(p, "the last reader has gone");
}

static void on_idle(void *arg) {
    struct process *p = arg;
    if (p->readers == 0) timer_start(p->end, NO_READER_MS, 0);
}

static void on_released(void *arg) {
    struct process *p = arg;
    p->released = true;
}

static void on_signal(void *arg, int signum) {
    stop(arg, signum == SIGTERM ? "the engine was told to end (SIGTERM)" : "the engine was told to end (SIGINT)");
}

static void on_readers(void *arg, size_t readers) {
    struct process *p = arg;
    p->readers = readers;
    if (readers) timer_stop(p->end);
    else timer_start(p->end, NO_READER_MS, 0);
}

/* One engine a socket: the lock dies with its holder, so a socket file without a locked lock file is a left-over. */
static struct err *lock(const char *path, int *ret_fd) {
    char *name = str_printf("%s.lock", path);
    int fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    struct err *e = NULL;
    if (fd < 0) e = err_sys(errno, "cannot open %s", name);
    else if (flock(fd, LOCK_EX | LOCK_NB)) e = err_new(ERR_LOCKED, "another engine serves %s already", path);
    mem_free(name);
    if (e) {
        if (fd >= 0) close(fd);
        return e;
    }
    unlink(path);
    *ret_fd = fd;
    return NULL;
}

static struct err *serve(const struct setup *setup, const char *path) {
    static const int signums[] = {SIGTERM, SIGINT};
    struct process p = {.loop = loop_new(), .reason = "the engine ends"};
    struct engine *engine = engine_new(p.loop, setup, true);
    p.engine = engine;
    engine_on_idle(engine, on_idle, &p);
    struct engine_server *server = NULL;
    struct signals *signals = signals_new(p.loop, signums, 2, on_signal, &p);
    p.end = timer_new(p.loop, on_end, &p);
    timer_start(p.end, FIRST_READER_MS, 0);
    struct err *e = engine_server_new(p.loop, engine, path, on_readers, &p, &server);
    if (!e) loop_run(p.loop);
    log_info("engine ends: %s", p.reason);
    if (engine_end(engine, on_released, &p)) (void)loop_run_until(p.loop, &p.released, RELEASE_MS);
    engine_server_free(server, p.reason);
    timer_free(p.end);
    signals_free(signals);
    engine_free(engine);
    loop_free(p.loop);
    return e;
}

/* What the console keeps of our stderr (console_link.h) is of use only if we could not run. */
static void forget_words(const char *path) {
    char *file = str_printf("%s.err", path);
    unlink(file);
    mem_free(file);
}

static int run(struct cli *cli) {
    struct setup setup = {0};
    char *path = NULL;
    int fd = -1;
    signal(SIGHUP, SIG_IGN); /* the terminal is the console's, not ours */
    struct err *e = setup_socket_path(cli, &path);
    if (!e) e = setup_load(cli, &setup);
    if (!e) e = lock(path, &fd);
    if (!e) e = serve(&setup, path);
    bool beaten = e && err_kind(e) == ERR_LOCKED;
    if (!e) forget_words(path);
    if (fd >= 0) close(fd);
    setup_free(&setup);
    mem_free(path);
    if (!beaten) return cli_report(e);
    log_info("%s", err_text(e)); /* two consoles started at once: ours finds the other's engine */
    err_free(e);
    return 75;
}

const struct subcommand command_engine = {.name = "engine", .usage = "engine", .run = run};
