/* The guard: one child, one pipe, three ways of asking it to end. See guard.h. */
#include "sandbox/guard.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "sandbox/pg_entry.h"

enum guard_stage { GUARD_RUNS, GUARD_FAST, GUARD_IMMEDIATE, GUARD_KILLED };

struct guard {
    const char *user; /* NULL: stay who we are */
    int64_t patience_ms; /* for each way of ending; 0: as guard.h says */
    char **argv;
    int argc;
    pid_t self, child;
    enum guard_stage stage;
    int64_t deadline_ms; /* of the present stage; 0: none */
    int wait_status;
    bool reaped;
    bool stdin_open;
};

static int guard_signal_pipe[2] = {-1, -1};

/* Handler: turns a signal into a byte, so that the loop sees it in poll. */
static void guard_on_signal(int signum)
{
    int saved = errno;
    char c = (char)signum;
    if (write(guard_signal_pipe[1], &c, 1) < 0) {
        /* A full pipe holds wake-ups enough. */
    }
    errno = saved;
}

static bool guard_set_fd_flags(int fd)
{
    return fcntl(fd, F_SETFD, FD_CLOEXEC) == 0 && fcntl(fd, F_SETFL, O_NONBLOCK) == 0;
}

static bool guard_catch_signals(void)
{
    static const int signums[] = {SIGCHLD, SIGTERM, SIGINT, SIGHUP, SIGUSR1};
    if (pipe(guard_signal_pipe) != 0 || !guard_set_fd_flags(guard_signal_pipe[0]) ||
        !guard_set_fd_flags(guard_signal_pipe[1]))
        return false;
    struct sigaction action = {.sa_handler = guard_on_signal};
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < ARRAY_LEN(signums); i++) {
        if (sigaction(signums[i], &action, NULL) != 0)
            return false;
    }
    return true;
}

/* Becomes the user for good. PostgreSQL refuses to run as root. */
static bool guard_become(const char *user)
{
    const struct passwd *pw = getpwnam(user);
    if (!pw) {
        fprintf(stderr, "ferryman-sandbox: there is no user \"%s\"\n", user);
        return false;
    }
    uid_t uid = pw->pw_uid;
    gid_t gid = pw->pw_gid;
    if (setgroups(0, NULL) != 0 || setgid(gid) != 0 || setuid(uid) != 0 || (uid != 0 && setuid(0) == 0)) {
        fprintf(stderr, "ferryman-sandbox: cannot become user \"%s\": %s\n", user, strerror(errno));
        return false;
    }
    return true;
}

/* The child, from fork on. Never returns. */
static void guard_child(struct guard *g)
{
    setpgid(0, 0);
    struct sigaction action = {.sa_handler = SIG_DFL};
    for (int signum = 1; signum < 32; signum++)
        sigaction(signum, &action, NULL); /* KILL and STOP refuse; fine */
    int null_fd = open("/dev/null", O_RDONLY);
    if (null_fd < 0 || dup2(null_fd, STDIN_FILENO) < 0)
        _exit(126);
    if (null_fd > STDERR_FILENO)
        close(null_fd);
#ifdef __linux__
    prctl(PR_SET_PDEATHSIG, SIGINT); /* should the guard itself be killed */
#endif
    if (getppid() != g->self)
        _exit(126);
    if (str_eq(g->argv[0], "@pg-entry"))
        _exit(pg_entry_main(g->argc, g->argv));
    execvp(g->argv[0], g->argv);
    fprintf(stderr, "ferryman-sandbox: cannot run %s: %s\n", g->argv[0], strerror(errno));
    _exit(127);
}

/* Goes to a stage of ending (never back) and sends its signal. */
static void guard_end(struct guard *g, enum guard_stage stage)
{
    static const int signums[] = {[GUARD_FAST] = SIGINT, [GUARD_IMMEDIATE] = SIGQUIT, [GUARD_KILLED] = SIGKILL};
    static const int64_t patience_ms[] = {[GUARD_FAST] = GUARD_FAST_MS, [GUARD_IMMEDIATE] = GUARD_IMMEDIATE_MS};
    if (stage <= g->stage)
        return;
    g->stage = stage;
    g->deadline_ms = 0;
    if (stage != GUARD_KILLED)
        g->deadline_ms = clock_mono_ms() + (g->patience_ms ? g->patience_ms : patience_ms[stage]);
    if (!g->reaped)
        kill(-g->child, signums[stage]);
}

static void guard_reap(struct guard *g)
{
    int status;
    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
        if (pid == g->child) {
            g->wait_status = status;
            g->reaped = true;
        }
    }
}

static void guard_take_signals(struct guard *g)
{
    char signums[64];
    ssize_t n;
    while ((n = read(guard_signal_pipe[0], signums, sizeof signums)) > 0) {
        for (ssize_t i = 0; i < n; i++) {
            if (signums[i] == SIGTERM || signums[i] == SIGINT)
                guard_end(g, GUARD_FAST);
            else if (signums[i] == SIGUSR1 && !g->reaped)
                kill(g->child, SIGKILL);
            else if (signums[i] == SIGHUP && !g->reaped)
                kill(g->child, SIGHUP);
        }
    }
    guard_reap(g);
}

/* Bytes on stdin mean nothing; its end means that the sandbox is gone. */
static void guard_take_stdin(struct guard *g)
{
    char bytes[256];
    ssize_t n = read(STDIN_FILENO, bytes, sizeof bytes);
    if (n == 0 || (n < 0 && errno != EINTR && errno != EAGAIN)) {
        g->stdin_open = false;
        guard_end(g, GUARD_FAST);
    }
}

static void guard_wait(struct guard *g)
{
    int timeout = -1;
    if (g->deadline_ms) {
        int64_t left = g->deadline_ms - clock_mono_ms();
        timeout = left > 0 ? (int)left : 0;
    }
    struct pollfd fds[] = {{.fd = guard_signal_pipe[0], .events = POLLIN},
                           {.fd = g->stdin_open ? STDIN_FILENO : -1, .events = POLLIN}};
    int n = poll(fds, ARRAY_LEN(fds), timeout);
    if (n < 0 && errno != EINTR)
        guard_end(g, GUARD_KILLED);
    if (fds[1].revents)
        guard_take_stdin(g);
    guard_take_signals(g);
    if (g->deadline_ms && clock_mono_ms() >= g->deadline_ms)
        guard_end(g, (enum guard_stage)(g->stage + 1));
}

/* After the child has gone: what it left in its group goes too; on Linux its orphans are ours to wait for. */
static void guard_sweep(struct guard *g)
{
    kill(-g->child, SIGKILL);
    int64_t deadline_ms = clock_mono_ms() + GUARD_IMMEDIATE_MS;
    for (;;) {
        int64_t left = deadline_ms - clock_mono_ms();
        pid_t pid = waitpid(-1, NULL, WNOHANG);
        if (pid < 0 || left <= 0)
            return;
        if (pid > 0)
            continue;
        struct pollfd fd = {.fd = guard_signal_pipe[0], .events = POLLIN};
        poll(&fd, 1, (int)left);
        char drained[64];
        while (read(guard_signal_pipe[0], drained, sizeof drained) > 0)
            continue;
    }
}

static bool guard_parse(struct guard *g, int argc, char **argv)
{
    int i = 1;
    for (; i < argc && !str_eq(argv[i], "--"); i++) {
        if (i + 1 >= argc)
            return false;
        if (str_eq(argv[i], "--user"))
            g->user = argv[++i];
        else if (!str_eq(argv[i], "--patience") || !slice_to_i64(slice_of(argv[++i]), &g->patience_ms))
            return false;
    }
    if (i + 1 >= argc)
        return false;
    g->argv = argv + i + 1;
    g->argc = argc - i - 1;
    return true;
}

int guard_main(int argc, char **argv)
{
    struct guard g = {.stdin_open = true};
    if (!guard_parse(&g, argc, argv)) {
        fprintf(stderr, "usage: ferryman-sandbox --guard [--user NAME] [--patience MS] -- PROGRAM [ARG...]\n");
        return 64;
    }
    if (g.user && !guard_become(g.user))
        return 77;
    if (!guard_catch_signals()) {
        fprintf(stderr, "ferryman-sandbox: guard: %s\n", strerror(errno));
        return 71;
    }
#ifdef __linux__
    prctl(PR_SET_CHILD_SUBREAPER, 1);
#endif
    g.self = getpid();
    g.child = fork();
    if (g.child < 0) {
        fprintf(stderr, "ferryman-sandbox: guard: cannot fork: %s\n", strerror(errno));
        return 71;
    }
    if (g.child == 0)
        guard_child(&g);
    setpgid(g.child, g.child); /* in both, so that it is done whoever runs first */
    while (!g.reaped)
        guard_wait(&g);
    guard_sweep(&g);
    return WIFEXITED(g.wait_status) ? WEXITSTATUS(g.wait_status) : 128 + WTERMSIG(g.wait_status);
}

struct err *guard_user(char **ret_name, uid_t *ret_uid, gid_t *ret_gid)
{
    if (geteuid() != 0) {
        *ret_name = NULL;
        *ret_uid = geteuid();
        *ret_gid = getegid();
        return NULL;
    }
    const struct passwd *pw = getpwnam("postgres");
    if (!pw || pw->pw_uid == 0)
        pw = getpwnam("nobody");
    if (!pw || pw->pw_uid == 0)
        return err_new(ERR_FAILED, "PostgreSQL refuses to run as root and there is no user \"postgres\" or "
                                   "\"nobody\": run the sandbox as another user");
    *ret_name = mem_strdup(pw->pw_name);
    *ret_uid = pw->pw_uid;
    *ret_gid = pw->pw_gid;
    return NULL;
}

/* The execute bit that counts for this user. */
static bool guard_may_enter(const struct stat *st, uid_t uid, gid_t gid)
{
    if (uid == 0)
        return true;
    if (st->st_uid == uid)
        return st->st_mode & S_IXUSR;
    if (st->st_gid == gid)
        return st->st_mode & S_IXGRP;
    return st->st_mode & S_IXOTH;
}

bool guard_can_traverse(const char *path, uid_t uid, gid_t gid)
{
    char *real = realpath(path, NULL);
    if (!real)
        return false;
    bool may = true;
    struct stat st;
    for (char *slash = real + 1; may; slash++) {
        slash += strcspn(slash, "/");
        char kept = *slash;
        *slash = '\0';
        may = stat(real, &st) == 0 && guard_may_enter(&st, uid, gid);
        *slash = kept;
        if (!kept)
            break;
    }
    free(real);
    return may;
}
