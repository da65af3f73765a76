#include "pg_fixture.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <grp.h>
#include <netinet/in.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"

#define READY_MS 30000

/* The folder of the newest server programs, malloc'd; NULL if there are none. */
static char *find_bin(void) {
    static const char *const patterns[] = {"/usr/lib/postgresql/*/bin/initdb", "/usr/pgsql-*/bin/initdb", "/usr/bin/initdb",
                                           "/usr/local/bin/initdb", "/opt/homebrew/bin/initdb"};
    for (size_t i = 0; i < ARRAY_LEN(patterns); i++) {
        glob_t g;
        char *found = NULL;
        if (glob(patterns[i], 0, NULL, &g) == 0) found = mem_strndup(g.gl_pathv[g.gl_pathc - 1], strlen(g.gl_pathv[g.gl_pathc - 1]) - strlen("/initdb"));
        globfree(&g);
        if (found) return found;
    }
    return NULL;
}

bool pg_fixture_available(void) {
    char *bin = find_bin();
    const char *ci = getenv("CI");
    bool found = bin != NULL;
    mem_free(bin);
    if (!found && ci && str_eq(ci, "true")) {
        fprintf(stderr, "PostgreSQL's server programs are missing, and in CI they may not be\n");
        exit(1);
    }
    if (!found) printf("# skipped: PostgreSQL's server programs are not installed\n");
    return found;
}

static const struct passwd *user(void) {
    const struct passwd *p = getpwnam("postgres");
    return p ? p : getpwnam("nobody");
}

static void become_user(void) {
    const struct passwd *p = geteuid() == 0 ? user() : NULL;
    prctl(PR_SET_PDEATHSIG, 0);
    if (p && (setgroups(0, NULL) || setgid(p->pw_gid) || setuid(p->pw_uid))) _exit(126);
    prctl(PR_SET_PDEATHSIG, SIGINT);
}

static pid_t spawn(const char *const *argv, int out) {
    fflush(NULL);
    pid_t pid = fork();
    if (pid) return pid;
    become_user();
    if (out >= 0) {
        dup2(out, 1);
        dup2(out, 2);
    }
    int null = open("/dev/null", O_RDONLY);
    dup2(null, 0);
    if (chdir("/")) _exit(126);
    execv(argv[0], (char *const *)(uintptr_t)argv);
    _exit(127);
}

static int await(pid_t pid) {
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) continue;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

static unsigned free_port(void) {
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof sa;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&sa, sizeof sa) || getsockname(fd, (struct sockaddr *)&sa, &n)) abort();
    close(fd);
    return ntohs(sa.sin_port);
}

/* Waits for the line of the log that says so; never sleeps. */
static void await_ready(struct pg_fixture *f) {
    struct buf seen = {0};
    int64_t end = clock_mono_ms() + READY_MS;
    while (!strstr(buf_str(&seen), "ready to accept connections")) {
        struct pollfd p = {.fd = f->log, .events = POLLIN};
        char chunk[1024];
        int64_t left = end - clock_mono_ms();
        ssize_t n = left > 0 && poll(&p, 1, (int)left) > 0 ? read(f->log, chunk, sizeof chunk) : 0;
        if (n <= 0) {
            fprintf(stderr, "postgres did not start: %s\n", buf_str(&seen));
            abort();
        }
        buf_add(&seen, chunk, (size_t)n);
    }
    buf_free(&seen);
    fcntl(f->log, F_SETFL, O_NONBLOCK);
}

void pg_fixture_start(struct pg_fixture *f) {
    int out[2];
    char *exe = str_printf("%s/postgres", f->bin), *data = str_printf("%s/data", f->dir);
    if (pipe(out)) abort();
    const char *argv[] = {exe, "-D", data, NULL};
    f->pid = spawn(argv, out[1]);
    close(out[1]);
    f->log = out[0];
    await_ready(f);
    mem_free(exe);
    mem_free(data);
}

void pg_fixture_stop(struct pg_fixture *f) {
    kill(f->pid, SIGCONT);
    kill(f->pid, SIGINT);
    await(f->pid);
    close(f->log);
    f->pid = 0;
}

struct pg_fixture *pg_fixture_new(void) {
    struct pg_fixture *f = MEM_NEW(struct pg_fixture);
    f->bin = find_bin();
    f->dir = mem_strdup("/tmp/ferryman-test-pg-XXXXXX");
    if (!mkdtemp(f->dir)) abort();
    if (geteuid() == 0 && chown(f->dir, user()->pw_uid, user()->pw_gid)) abort();
    char *exe = str_printf("%s/initdb", f->bin), *data = str_printf("%s/data", f->dir), *conf = str_printf("%s/data/postgresql.conf", f->dir);
    const char *argv[] = {exe, "-D", data, "-U", "postgres", "-A", "trust", "--no-sync", "--encoding=UTF8", "--locale=C.UTF-8", NULL};
    int null = open("/dev/null", O_WRONLY);
    if (await(spawn(argv, null))) abort();
    close(null);
    f->port = free_port();
    FILE *out = fopen(conf, "a");
    if (!out) abort();
    fprintf(out, "port=%u\nlisten_addresses='127.0.0.1'\nunix_socket_directories='%s'\nfsync=off\nshared_buffers=16MB\nmax_connections=30\n", f->port, f->dir);
    fclose(out);
    f->conninfo = str_printf("host=127.0.0.1 port=%u user=postgres dbname=postgres", f->port);
    pg_fixture_start(f);
    mem_free(exe);
    mem_free(data);
    mem_free(conf);
    return f;
}

static void remove_tree(const char *path) {
    struct stat st;
    DIR *d = lstat(path, &st) == 0 && S_ISDIR(st.st_mode) ? opendir(path) : NULL;
    for (struct dirent *e; d && (e = readdir(d));) {
        if (str_eq(e->d_name, ".") || str_eq(e->d_name, "..")) continue;
        char *child = str_printf("%s/%s", path, e->d_name);
        remove_tree(child);
        mem_free(child);
    }
    if (d) closedir(d);
    remove(path);
}

void pg_fixture_free(struct pg_fixture *f) {
    if (!f) return;
    if (f->pid) pg_fixture_stop(f);
    remove_tree(f->dir);
    mem_free(f->bin);
    mem_free(f->dir);
    mem_free(f->conninfo);
    mem_free(f);
}

pid_t pg_fixture_sql_background(struct pg_fixture *f, const char *database, const char *sql) {
    char *exe = str_printf("%s/psql", f->bin), *port = str_printf("%u", f->port);
    const char *argv[] = {exe, "-X", "-q", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-p", port, "-U", "postgres", "-d", database, "-c", sql, NULL};
    int null = open("/dev/null", O_WRONLY);
    pid_t pid = spawn(argv, null);
    close(null);
    mem_free(exe);
    mem_free(port);
    return pid;
}

void pg_fixture_sql(struct pg_fixture *f, const char *database, const char *sql, bool may_fail) {
    int status = await(pg_fixture_sql_background(f, database, sql));
    if (status && !may_fail) {
        fprintf(stderr, "psql failed with %d: %s\n", status, sql);
        abort();
    }
}
