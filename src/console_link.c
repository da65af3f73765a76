#include "console_link.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/program.h"
#include "base/str.h"
#include "base/utf8.h"
#include "cli.h"
#include "loop/loop.h"
#include "loop/stream_sock.h"
#include "loop/timer.h"
#include "world/world.h"

#define RETRY_MS 20        /* while an engine that we started comes up */
#define RETRY_SLOW_MS 1000
#define STARTING_MS 5000   /* how long one that we started may take before another is */
#define SILENT_MS 5000     /* the engine ticks once a second: this long without a byte is no life */
#define WORDS_MAX ((size_t)256 * 1024)

struct console_link {
    struct loop *loop;
    const struct cli *cli;
    char *path;
    struct stream_reader *reader;
    struct sock *sock;
    struct timer *timer, *silence;
    bool may_spawn, connected;
    int64_t spawned_at; /* mono ms; 0: not by us */
    struct console_link_events ev;
    void *arg;
};

static void try_connect(void *arg);

static void down(struct console_link *k, const char *why) {
    bool was = k->connected;
    k->connected = false;
    timer_stop(k->silence);
    if (k->sock) sock_free(k->sock);
    k->sock = NULL;
    if (was) log_warn("the line to the engine is down: %s", why);
    k->ev.on_link(k->arg, false, why);
    int64_t starting = k->spawned_at ? clock_mono_ms() - k->spawned_at : STARTING_MS;
    timer_start(k->timer, starting < STARTING_MS ? RETRY_MS : RETRY_SLOW_MS, 0);
}

static void on_data(void *arg, const char *p, size_t n) {
    struct console_link *k = arg;
    timer_start(k->silence, SILENT_MS, 0);
    struct err *e = stream_reader_feed(k->reader, p, n);
    if (!e) return;
    char *text = mem_strdup(err_text(e));
    err_free(e);
    down(k, text);
    mem_free(text);
}

static void on_end(void *arg, const struct err *e) {
    down(arg, e ? err_text(e) : "the engine has ended");
}

static void on_silence(void *arg) {
    down(arg, "the engine has been silent for 5 s");
}

static void on_connected(void *arg) {
    struct console_link *k = arg;
    k->connected = true;
    k->spawned_at = 0; /* it has come up: when it goes, another is started at once */
    stream_reader_reset(k->reader);
    timer_start(k->silence, SILENT_MS, 0);
    k->ev.on_link(k->arg, true, "");
}

/* Where an engine's stderr goes, beside its socket. */
static char *words_path(const char *path) {
    return str_printf("%s.err", path);
}

/* The last line that an engine which is not there any more has left, or what to say without one. The caller frees it. */
static char *last_words(const char *path) {
    char *file = words_path(path);
    struct buf text = {0}, out = {0};
    struct err *e = file_read(file, WORDS_MAX, &text);
    struct slice rest = buf_slice(&text), line, last = {NULL, 0};
    while (!e && slice_cut(&rest, '\n', &line))
        if (slice_trim(line).n) last = slice_trim(line);
    if (slice_starts(last, "ferryman: ")) last = (struct slice){last.p + 10, last.n - 10};
    if (last.n) buf_adds(&out, "the engine cannot run: ");
    else buf_adds(&out, "the engine is starting");
    utf8_clean(&out, last);
    err_ignore(e, "no file: nothing was said");
    buf_free(&text);
    mem_free(file);
    return buf_steal(&out);
}

static void spawn_again(struct console_link *k) {
    struct err *e = console_link_spawn(k->cli, k->path);
    if (e) log_error("%s", err_text(e));
    err_free(e);
    k->spawned_at = clock_mono_ms();
}

/* Nobody listens. What the last engine said is told before another is started, which says it again if it is still so. */
static void not_there(struct console_link *k) {
    bool starting = k->spawned_at && clock_mono_ms() - k->spawned_at < STARTING_MS;
    char *words = k->may_spawn ? last_words(k->path) : NULL;
    if (k->may_spawn && !starting) spawn_again(k);
    down(k, words ? words : "no engine runs for this plan; ferryman console starts one");
    mem_free(words);
}

static void try_connect(void *arg) {
    static const struct sock_events events = {.on_data = on_data, .on_end = on_end, .on_connected = on_connected};
    struct console_link *k = arg;
    if (!console_link_listening(k->path)) {
        not_there(k);
        return;
    }
    struct err *e = sock_connect_unix(k->loop, k->path, &events, k, &k->sock);
    if (!e) return;
    char *text = mem_strdup(err_text(e));
    err_free(e);
    down(k, text);
    mem_free(text);
}

struct console_link *console_link_new(struct loop *l, const struct cli *cli, const char *path, struct world *w, bool may_spawn,
                                      const struct console_link_events *ev, void *arg) {
    struct console_link *k = MEM_NEW(struct console_link);
    *k = (struct console_link){
        .loop = l, .cli = cli, .path = mem_strdup(path), .may_spawn = may_spawn, .ev = *ev, .arg = arg,
        .spawned_at = may_spawn ? clock_mono_ms() : 0,
    };
    k->reader = stream_reader_new(w, &k->ev.stream, arg);
    k->timer = timer_new(l, try_connect, k);
    k->silence = timer_new(l, on_silence, k);
    timer_start(k->timer, 0, 0);
    return k;
}

void console_link_free(struct console_link *k) {
    if (!k) return;
    if (k->sock) sock_free(k->sock);
    timer_free(k->timer);
    timer_free(k->silence);
    stream_reader_free(k->reader);
    mem_free(k->path);
    mem_free(k);
}

void console_link_send(struct console_link *k, const char *line) {
    if (!k->connected) return;
    sock_write(k->sock, line, strlen(line));
    sock_write(k->sock, "\n", 1);
}

bool console_link_listening(const char *path) {
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    if (!str_copy(sa.sun_path, sizeof sa.sun_path, path)) return false;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool ok = fd >= 0 && connect(fd, (struct sockaddr *)&sa, sizeof sa) == 0;
    if (fd >= 0) close(fd);
    return ok;
}

/* The engine's own command line. */
static void engine_argv(const struct cli *cli, const char *path, const char *log, const char **argv) {
    size_t n = 0;
    argv[n++] = "ferryman";
    argv[n++] = "--socket";
    argv[n++] = path;
    if (log) {
        argv[n++] = "--log";
        argv[n++] = log;
    }
    if (cli->plan) {
        argv[n++] = "--plan";
        argv[n++] = cli->plan;
    }
    if (cli->kubeconfig) {
        argv[n++] = "--kubeconfig";
        argv[n++] = cli->kubeconfig;
    }
    if (cli->context) {
        argv[n++] = "--context";
        argv[n++] = cli->context;
    }
    argv[n++] = "engine";
    argv[n] = NULL;
}

/* In the child of the fork: only async-signal-safe calls. */
static void become_engine(const char *program, const char **argv, int null, int words, long max_fd) {
    setsid();
    pid_t pid = fork(); /* so that nobody has to wait for it */
    if (pid != 0) _exit(pid < 0);
    dup2(null, 0);
    dup2(null, 1);
    dup2(words, 2);
    for (int fd = 3; fd < max_fd; fd++) close(fd);
    execv(program, (char *const *)(uintptr_t)argv);
    execvp(argv[0], (char *const *)(uintptr_t)argv);
    _exit(127);
}

/* A folder in which this cannot be written is one in which no engine could listen either. */
static struct err *open_words(const char *path, int *ret) {
    char *file = words_path(path);
    *ret = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);
    struct err *e = *ret < 0 ? err_sys(errno, "cannot start the engine: cannot write %s", file) : NULL;
    mem_free(file);
    return e;
}

struct err *console_link_spawn(const struct cli *cli, const char *path) {
    const char *argv[16];
    int words, status;
    struct err *e = open_words(path, &words);
    if (e) return e;
    char *self = program_again(cli->program), *log = cli->log ? str_printf("%s.engine", cli->log) : NULL;
    engine_argv(cli, path, log, argv);
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    long max_fd = sysconf(_SC_OPEN_MAX);
    if (max_fd < 0 || max_fd > 1024) max_fd = 1024; /* ours are few and low */
    pid_t pid = null < 0 ? -1 : fork();
    if (pid == 0) become_engine(self, argv, null, words, max_fd);
    int saved = errno;
    if (null >= 0) close(null);
    close(words);
    mem_free(log);
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR) continue;
    if (pid < 0) e = err_sys(saved, "cannot start the engine %s", self);
    mem_free(self);
    return e;
}
