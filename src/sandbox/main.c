/* ferryman-sandbox: an embedded cluster on loopback. See sandbox.h. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/json_doc.h"
#include "base/mem.h"
#include "base/secret.h"
#include "loop/loop.h"
#include "loop/signals.h"
#include "loop/stream_sock.h"
#include "sandbox/guard.h"
#include "sandbox/kubectl.h"
#include "sandbox/pg_root.h"
#include "sandbox/sandbox_private.h"
#include "sandbox/save.h"

static const char usage_text[] =
    "usage: ferryman-sandbox --dir DIR [--time-scale N] [--claims N] [--small-db] [--parent-fd FD] [--temporary]\n"
    "       ferryman-sandbox --dir DIR --from SAVED [--parent-fd FD] [--temporary]\n"
    "       ferryman-sandbox --control DIR COMMAND...\n"
    "\n"
    "Starts a small cluster on loopback and writes DIR/kubeconfig and DIR/plan.yaml, then prints one line: ready.\n"
    "It ends on INT, TERM, HUP, or when the pipe on its standard input (or FD) ends.\n"
    "\n"
    "  --dir DIR        where everything lies; made if it is not there\n"
    "  --time-scale N   the plan's clock runs N times as fast\n"
    "  --claims N       adds bound claims until there are N\n"
    "  --small-db       the database with a thousandth of the rows\n"
    "  --from SAVED     goes on from what `--control DIR save NAME` has written\n"
    "  --parent-fd FD   ends when this descriptor reaches its end\n"
    "  --temporary      DIR is removed at the end\n"
    "  --control DIR    sends COMMAND to a running sandbox: help lists them\n"
    "  --version, --help\n";

struct options {
    const char *dir, *from;
    double time_scale;
    int64_t claims;
    bool small_db, temporary;
    int parent_fd;
};

static int usage_error(const char *what, const char *value)
{
    fprintf(stderr, "ferryman-sandbox: %s%s%s (see --help)\n", what, value ? ": " : "", value ? value : "");
    return 64;
}

static bool read_number(const char *text, double *ret)
{
    char *end;

    errno = 0;
    *ret = strtod(text, &end);
    return errno == 0 && end != text && *end == '\0' && *ret >= 0;
}

/* Returns -1 to go on, else an exit status. */
static int read_options(int argc, char **argv, struct options *o)
{
    static const struct option list[] = {{"dir", required_argument, NULL, 'd'},
                                         {"time-scale", required_argument, NULL, 't'},
                                         {"claims", required_argument, NULL, 'c'},
                                         {"small-db", no_argument, NULL, 's'},
                                         {"from", required_argument, NULL, 'f'},
                                         {"parent-fd", required_argument, NULL, 'p'},
                                         {"temporary", no_argument, NULL, 'x'},
                                         {"help", no_argument, NULL, 'h'},
                                         {"version", no_argument, NULL, 'v'},
                                         {0}};
    double n;
    int c;

    while ((c = getopt_long(argc, argv, "", list, NULL)) != -1) {
        if (c == '?')
            return usage_error("what is it to do?", NULL);
        if (c == 'h' || c == 'v') {
            fputs(c == 'h' ? usage_text : "ferryman-sandbox " FERRYMAN_VERSION "\n", stdout);
            return 0;
        }
        if (c == 'd')
            o->dir = optarg;
        else if (c == 'f')
            o->from = optarg;
        else if (c == 's')
            o->small_db = true;
        else if (c == 'x')
            o->temporary = true;
        else if (!read_number(optarg, &n))
            return usage_error("not a number", optarg);
        else if (c == 't')
            o->time_scale = n;
        else if (c == 'c')
            o->claims = (int64_t)n;
        else
            o->parent_fd = (int)n;
    }
    if (optind < argc)
        return usage_error("unexpected argument", argv[optind]);
    if (!o->dir)
        return usage_error("--dir is missing", NULL);
    return o->time_scale < 1 ? usage_error("--time-scale is at least 1", NULL) : -1;
}

static void on_signal(void *arg, int signum)
{
    (void)signum;
    sandbox_stop(arg);
}

static void on_parent_data(void *arg, const char *p, size_t n)
{
    (void)arg, (void)p, (void)n;
}

static void on_parent_end(void *arg, const struct err *e)
{
    (void)e;
    sandbox_stop(arg);
}

static bool is_pipe(int fd)
{
    struct stat st;

    return fstat(fd, &st) == 0 && (S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode));
}

/* The pipe whose end is ours: the one named, or standard input where it is a pipe. */
static struct err *watch_parent(struct sandbox *s, int fd, struct sock **ret)
{
    static const struct sock_events ev = {.on_data = on_parent_data, .on_end = on_parent_end};

    if (fd < 0 && is_pipe(STDIN_FILENO))
        fd = STDIN_FILENO;
    if (fd < 0)
        return NULL;
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    struct err *e = sock_from_fd(s->loop, fd, &ev, s, ret);
    if (!e)
        sock_set_events(*ret, &ev, s);
    return err_wrap(e, "--parent-fd %d", fd);
}

static char *absolute(const char *dir)
{
    char *cwd = getcwd(NULL, 0), *path = file_resolve(cwd ? cwd : "/", dir);
    size_t n = strlen(path);

    free(cwd);
    while (n > 1 && path[n - 1] == '/')
        path[--n] = '\0';
    return path;
}

/* Two sandboxes in one folder would take each other's files away. The lock ends with us, however we end. */
static struct err *lock_dir(const char *dir, int *ret_fd)
{
    struct err *e = file_mkdirs(dir, 0700);

    if (e)
        return e;
    *ret_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (*ret_fd < 0)
        return err_sys(errno, "cannot open %s", dir);
    if (flock(*ret_fd, LOCK_EX | LOCK_NB) == 0)
        return NULL;
    close(*ret_fd);
    *ret_fd = -1;
    return err_new(ERR_LOCKED,
                   "another sandbox runs in %s; end it (ferryman-sandbox --control %s stop) or use another folder", dir,
                   dir);
}

static int run(const struct options *o)
{
    static const int signums[] = {SIGINT, SIGTERM, SIGHUP};
    struct sandbox s = {.time_scale = o->time_scale, .extra_claims = o->claims, .small_db = o->small_db,
                        .dir = absolute(o->dir)};
    struct sock *parent = NULL;
    int lock = -1;
    struct err *e = lock_dir(s.dir, &lock);

    if (!e && o->from)
        e = sandbox_load(&s, o->from);
    if (e) {
        fprintf(stderr, "ferryman-sandbox: %s\n", err_text(e));
        int status = err_exit_status(e);
        err_free(e);
        free(s.dir);
        return status;
    }
    s.clock_origin_ms = clock_wall_ms();
    if (s.time_scale > 1)
        clock_plan_scale(s.time_scale, s.clock_origin_ms);
    s.started_ms = s.saved ? jd_num(s.saved, "started_ms", clock_plan_ms()) : clock_plan_ms();
    s.loop = loop_new();
    struct signals *signals = signals_new(s.loop, signums, (int)ARRAY_LEN(signums), on_signal, &s);
    e = sandbox_start(&s);
    if (!e)
        e = watch_parent(&s, o->parent_fd, &parent);
    if (e)
        sandbox_fail(&s, e);
    loop_run(s.loop);
    int status = sandbox_exit_status(&s);
    sandbox_clear(&s);
    sock_free(parent);
    signals_free(signals);
    loop_free(s.loop);
    if (o->temporary)
        pg_root_remove(s.dir);
    close(lock);
    jd_free(s.saved);
    mem_free(s.saved_dir);
    free(s.dir);
    return status;
}

int main(int argc, char **argv)
{
    struct options o = {.time_scale = 1, .parent_fd = -1};

    if (argc > 1 && str_eq(argv[1], "--guard"))
        return guard_main(argc - 1, argv + 1);
    if (argc > 1 && str_eq(argv[1], "--as-kubectl"))
        return kubectl_main(argc - 1, argv + 1);
    if (argc > 1 && str_eq(argv[1], "--control")) {
        if (argc < 4)
            return usage_error("--control DIR COMMAND...", NULL);
        return control_client(argv[2], argc - 3, argv + 3);
    }
    int status = read_options(argc, argv, &o);
    if (status >= 0)
        return status;
    secret_no_core();
    return run(&o);
}
