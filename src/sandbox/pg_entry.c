/* The entry point of the image: one step after the other, in a process of its own. See pg_entry.h. */
#include "sandbox/pg_entry.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"

extern char **environ;

struct pg_entry {
    const char *root, *pgdata, *bin, *address, *port, *socket, *user, *database, *password, *initdb, *init, *preload, *content,
        *missing, *drift, *hold, *dir;
    char *image_bin;
};

/* One line of the pod's log. */
static void PRINTF_LIKE(1, 2) entry_say(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
}

/* The child's side of pg_run: descriptors in place, then the program. */
static void run_child(const char *const *argv, int in, int out)
{
    int fd = in >= 0 ? in : open("/dev/null", O_RDONLY);
    if (fd < 0 || dup2(fd, STDIN_FILENO) < 0 || (out >= 0 && dup2(out, STDOUT_FILENO) < 0))
        _exit(126);
    char **args = mem_calloc(64, sizeof *args);
    for (size_t i = 0; argv[i] && i < 63; i++)
        args[i] = mem_strdup(argv[i]);
    execvp(args[0], args);
    _exit(127);
}

/* Feeds the input and takes the output until both have ended. */
static void run_pump(int in, const char *input, int out, struct buf *collected)
{
    size_t left = input ? strlen(input) : 0;
    while (in >= 0 || out >= 0) {
        struct pollfd fds[] = {{.fd = in, .events = POLLOUT}, {.fd = out, .events = POLLIN}};
        if (poll(fds, ARRAY_LEN(fds), -1) < 0 && errno != EINTR)
            break;
        if (fds[0].revents) {
            ssize_t n = left ? write(in, input, left) : 0;
            if (n > 0) {
                input += n;
                left -= (size_t)n;
            }
            if (!left || (n < 0 && errno != EAGAIN && errno != EINTR)) {
                close(in);
                in = -1;
            }
        }
        if (fds[1].revents) {
            char bytes[4096];
            ssize_t n = read(out, bytes, sizeof bytes);
            if (n > 0)
                buf_add(collected, bytes, (size_t)n);
            else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
                close(out);
                out = -1;
            }
        }
    }
    if (in >= 0)
        close(in);
    if (out >= 0)
        close(out);
}

static struct err *run_wait(pid_t pid, const char *name)
{
    int status;
    while (waitpid(pid, &status, 0) < 0) {
        if (errno != EINTR)
            return err_sys(errno, "cannot wait for %s", name);
    }
    if (WIFSIGNALED(status))
        return err_new(ERR_FAILED, "%s was ended by signal %d", name, WTERMSIG(status));
    if (WEXITSTATUS(status) == 127)
        return err_new(ERR_FAILED, "%s cannot be run: is it installed and readable?", name);
    if (WEXITSTATUS(status) != 0)
        return err_new(ERR_FAILED, "%s ended with status %d", name, WEXITSTATUS(status));
    return NULL;
}

struct err *pg_run(const char *const *argv, const char *input, struct buf *out)
{
    int in_pipe[2] = {-1, -1}, out_pipe[2] = {-1, -1};
    if ((input && pipe(in_pipe) != 0) || (out && pipe(out_pipe) != 0))
        return err_sys(errno, "cannot make a pipe for %s", argv[0]);
    int ours[] = {in_pipe[1], out_pipe[0]};
    for (size_t i = 0; i < ARRAY_LEN(ours); i++) {
        if (ours[i] >= 0 && (fcntl(ours[i], F_SETFD, FD_CLOEXEC) != 0 || fcntl(ours[i], F_SETFL, O_NONBLOCK) != 0))
            return err_sys(errno, "cannot set up a pipe for %s", argv[0]);
    }
    pid_t pid = fork();
    if (pid < 0)
        return err_sys(errno, "cannot fork for %s", argv[0]);
    if (pid == 0)
        run_child(argv, in_pipe[0], out_pipe[1]);
    if (in_pipe[0] >= 0)
        close(in_pipe[0]);
    if (out_pipe[1] >= 0)
        close(out_pipe[1]);
    run_pump(in_pipe[1], input, out_pipe[0], out);
    return run_wait(pid, argv[0]);
}

static bool entry_parse(struct pg_entry *en, int argc, char **argv)
{
    const struct {
        const char *name, **value;
    } args[] = {{"root", &en->root},     {"pgdata", &en->pgdata},     {"bin", &en->bin},   {"port", &en->port},
                {"socket", &en->socket}, {"password", &en->password}, {"init", &en->init}, {"content", &en->content},
                {"dir", &en->dir},       {"address", &en->address},   {"user", &en->user}, {"database", &en->database},
                {"initdb", &en->initdb}, {"preload", &en->preload},   {"hold", &en->hold},
                {"missing", &en->missing}, {"drift", &en->drift}};
    for (int i = 1; i < argc; i++) {
        for (size_t k = 0; k < ARRAY_LEN(args); k++) {
            size_t n = strlen(args[k].name);
            if (str_starts(argv[i], args[k].name) && argv[i][n] == '=')
                *args[k].value = argv[i] + n + 1;
        }
    }
    for (size_t k = 0; k < ARRAY_LEN(args); k++) {
        if (!*args[k].value)
            return false;
    }
    return true;
}

static bool entry_has_version(const struct pg_entry *en)
{
    char *path = str_printf("%s/PG_VERSION", en->pgdata);
    bool has = access(path, F_OK) == 0;
    mem_free(path);
    return has;
}

static struct err *entry_write(const struct pg_entry *en, const char *name, const char *mode, const char *text)
{
    char *path = str_printf("%s/%s", en->pgdata, name);
    struct err *e = NULL;
    FILE *out = fopen(path, mode);
    if (!out || fputs(text, out) < 0)
        e = err_sys(errno, "cannot write %s", path);
    if (out && fclose(out) != 0 && !e)
        e = err_sys(errno, "cannot write %s", path);
    mem_free(path);
    return e;
}

/* Settings that PGDATA keeps beside postgresql.conf. */
static struct err *entry_write_override(const struct pg_entry *en)
{
    char *preload = en->preload[0] ? str_printf("shared_preload_libraries = '%s'\n", en->preload) : mem_strdup("");
    char *text = str_printf("# written by the init container\n%s%s", preload,
                       "search_path = '\"$user\", public, vectors'\n"
                       "shared_buffers = 96MB\n"
                       "max_wal_size = 2GB\n"
                       "wal_compression = on\n"
                       "random_page_cost = 1.2\n");
    struct err *e = entry_write(en, "postgresql.override.conf", "w", text);
    mem_free(preload);
    mem_free(text);
    return e;
}

/* The deployment's init container. */
static struct err *entry_init_container(const struct pg_entry *en)
{
    if (str_eq(en->init, "none") || (str_eq(en->init, "gated") && !entry_has_version(en)))
        return NULL;
    return entry_write_override(en);
}

/* SQL in single-user mode, where the first error is fatal: no socket, no second server to wait for. */
static struct err *entry_sql(const struct pg_entry *en, const char *database, const char *sql)
{
    char *postgres = str_printf("%s/postgres", en->image_bin);
    struct buf out = {0}; /* "backend> " prompts */
    const char *const argv[] = {postgres, "--single", "-j", "-D", en->pgdata,
                                "-c", "exit_on_error=on", "-c", "fsync=off",
                                "-c", "synchronous_commit=off", "-c", "full_page_writes=off",
                                "-c", "wal_level=minimal", "-c", "max_wal_senders=0",
                                "-c", "max_wal_size=2GB", "-c", "shared_buffers=160MB",
                                "-c", "maintenance_work_mem=128MB", "-c", "work_mem=32MB",
                                "-c", "log_checkpoints=off", "-c", "log_min_messages=error", database, NULL};
    struct err *e = pg_run(argv, sql, &out);
    buf_free(&out);
    mem_free(postgres);
    return err_wrap(e, "database %s", database);
}

/* The password as an SQL literal: it is random hexadecimal, so nothing needs quoting. */
static struct err *entry_password(const struct pg_entry *en, char **ret)
{
    struct buf text = {0};
    struct err *e = file_read(en->password, 256, &text);
    if (!e)
        *ret = slice_dup(slice_trim(buf_slice(&text)));
    buf_free(&text);
    return e;
}

/* Text with every @ASSETS@ replaced by the number. */
static char *entry_seed_text(unsigned assets)
{
    static const char mark[] = "@ASSETS@";
    struct buf out = {0};
    const char *p = pg_seed_sql;
    for (const char *hit; (hit = strstr(p, mark)); p = hit + sizeof mark - 1) {
        buf_add(&out, p, (size_t)(hit - p));
        buf_printf(&out, "%u", assets);
    }
    buf_adds(&out, p);
    return buf_steal(&out);
}

/* In single-user mode objects would get the object ids that initdb left over, below 16384: pg_dump takes those for built in and leaves
 * extensions out. A server's first start skips them; here it is done by hand. */
static struct err *entry_skip_builtin_ids(const struct pg_entry *en)
{
    char *resetwal = str_printf("%s/pg_resetwal", en->image_bin);
    const char *const argv[] = {resetwal, "-o", "16384", "-D", en->pgdata, NULL};
    struct buf out = {0};
    struct err *e = pg_run(argv, NULL, &out);
    buf_free(&out);
    mem_free(resetwal);
    return e;
}

static struct err *entry_load_seed(const struct pg_entry *en)
{
    char *password = NULL;
    struct err *e = entry_skip_builtin_ids(en);
    if (!e)
        e = entry_password(en, &password);
    if (e)
        return e;
    char *role = str_eq(en->user, PG_APP_USER) ? mem_strdup("BEGIN;\n\n")
                                    : str_printf("BEGIN;\n\n"
                                                 "SET password_encryption = 'scram-sha-256';\n\n"
                                                 "CREATE ROLE " PG_APP_USER " SUPERUSER LOGIN PASSWORD '%s';\n\n", password);
    bool small = str_eq(en->content, "seed-small");
    char *seed = entry_seed_text(small ? PG_SEED_ASSETS_SMALL : PG_SEED_ASSETS);
    char *text = str_printf("%s%sCOMMIT;\n\n", role, seed);
    e = entry_sql(en, PG_DATABASE, text);
    mem_free(text);
    mem_free(seed);
    mem_free(role);
    mem_free(password);
    return err_wrap(e, "content of the seed");
}

/* initdb as the image runs it: its own arguments first, then those of POSTGRES_INITDB_ARGS. */
static struct err *entry_run_initdb(const struct pg_entry *en)
{
    char *initdb = str_printf("%s/initdb", en->image_bin);
    const char *argv[40] = {initdb, "--no-sync", "-D", en->pgdata, "-U", en->user, "-E", "UTF8", "--locale=C",
                            "--auth-local=trust", "--auth-host=scram-sha-256", "--pwfile", en->password};
    size_t n = 13;
    char *words[20];
    size_t word_count = 0;
    struct slice rest = slice_of(en->initdb), word;
    while (word_count < ARRAY_LEN(words) && slice_cut(&rest, ' ', &word)) {
        if (word.n)
            argv[n++] = words[word_count++] = slice_dup(word);
    }
    struct err *e = pg_run(argv, NULL, NULL);
    for (size_t i = 0; i < word_count; i++)
        mem_free(words[i]);
    mem_free(initdb);
    return e;
}

static struct err *entry_initdb(const struct pg_entry *en)
{
    struct err *e = entry_run_initdb(en);
    if (!e)
        e = entry_write(en, "postgresql.conf", "a",
                        "\ninclude_if_exists = 'postgresql.override.conf'\n"
                        "fsync = off            # a sandbox does not outlive its machine\n"
                        "log_line_prefix = '%m [%p] '\n"
                        "log_timezone = 'UTC'\ntimezone = 'UTC'\n");
    if (!e)
        e = entry_write(en, "pg_hba.conf", "a", "\nhost all all all scram-sha-256\n");
    return e;
}

/* ---- The temporary server ---- */

/* Whether postmaster.pid calls the server ready (its eighth line). */
static bool temporary_is_ready(const struct pg_entry *en)
{
    char *path = str_printf("%s/postmaster.pid", en->pgdata);
    struct buf text = {0};
    struct err *e = file_read(path, 4096, &text);
    bool ready = !e && slice_contains(buf_slice(&text), "\nready");
    err_free(e);
    mem_free(path);
    buf_free(&text);
    return ready;
}

static struct err *temporary_start(const struct pg_entry *en, pid_t *ret)
{
    char *postgres = str_printf("%s/postgres", en->image_bin), *port = str_printf("port=%s", en->port);
    char *socket = str_printf("unix_socket_directories=%s", en->socket);
    const char *const argv[] = {postgres, "-D", en->pgdata, "-c", "listen_addresses=", "-c", port, "-c", socket, NULL};
    pid_t pid = fork();
    if (pid == 0)
        run_child(argv, -1, -1);
    mem_free(postgres);
    mem_free(port);
    mem_free(socket);
    if (pid < 0)
        return err_sys(errno, "cannot fork for the temporary server");
    for (int i = 0; i < 3000 && !temporary_is_ready(en); i++) {
        if (waitpid(pid, NULL, WNOHANG) == pid)
            return err_new(ERR_FAILED, "the temporary server ended");
        poll(NULL, 0, 10);
    }
    *ret = pid;
    return NULL;
}

static struct err *temporary_sql(const struct pg_entry *en, const char *sql)
{
    char *psql = str_printf("%s/psql", en->image_bin);
    const char *const argv[] = {psql, "-X", "-v", "ON_ERROR_STOP=1", "-h", en->socket, "-p", en->port, "-U", en->user,
                                "-d", "postgres", "-q", "-At", "-c", sql, NULL};
    struct err *e = pg_run(argv, NULL, NULL);
    mem_free(psql);
    return e;
}

static struct err *temporary_create_database(const struct pg_entry *en)
{
    if (str_eq(en->database, "postgres"))
        return NULL;
    char *sql = str_printf("CREATE DATABASE \"%s\"", en->database);
    struct err *e = temporary_sql(en, sql);
    mem_free(sql);
    if (!e)
        entry_say("CREATE DATABASE");
    return e;
}

/* Creates the database by way of a server on the unix socket, as the image does. */
static struct err *entry_temporary_server(const struct pg_entry *en)
{
    pid_t pid = 0;
    entry_say("waiting for server to start....");
    struct err *e = temporary_start(en, &pid);
    if (e)
        return e;
    entry_say(" done\nserver started");
    e = temporary_create_database(en);
    if (!e && !str_eq(en->hold, "0")) {
        char *sql = str_printf("SELECT FROM pg_sleep(%s)", en->hold);
        e = temporary_sql(en, sql);
        mem_free(sql);
    }
    entry_say("waiting for server to shut down....");
    if (pid > 0)
        kill(pid, SIGINT);
    struct err *ended = run_wait(pid, "the temporary server");
    if (e) {
        err_ignore(ended, "the first error says more");
        return e;
    }
    entry_say(" done\nserver stopped");
    return ended;
}

/* A volume without PG_VERSION: what the official image does, and the seed's content if it is asked for. */
static struct err *entry_first_boot(struct pg_entry *en)
{
    struct stat st;
    char *marker = str_printf("%s" PG_BOOTING, en->pgdata);
    FILE *f = fopen(marker, "w");
    if (f)
        fclose(f);
    mem_free(marker);
    if (stat(en->password, &st) != 0 || st.st_size < 2)
        return err_new(ERR_FAILED, "Error: Database is uninitialized and superuser password is not specified.\n"
                                   "       You must specify POSTGRES_PASSWORD to a non-empty value for the\n"
                                   "       superuser.");
    bool seed = !str_eq(en->content, "empty");
    struct err *e = entry_initdb(en);
    if (!e && seed)
        e = entry_sql(en, "postgres", "CREATE DATABASE " PG_DATABASE ";\n\n");
    else if (!e)
        e = entry_temporary_server(en);
    if (!e)
        entry_say("\nPostgreSQL init process complete; ready for start up.\n");
    if (!e && seed) {
        e = entry_load_seed(en);
        if (!e)
            e = entry_write_override(en); /* the seed's server has been started before */
    }
    return e;
}

static struct err *entry_prepare(struct pg_entry *en)
{
    struct pg_install in;
    struct err *e = pg_install_read(en->bin, &in);
    if (e)
        return e;
    e = pg_image_build(en->root, &in, &en->image_bin);
    pg_install_clear(&in);
    if (!e && en->missing[0])
        e = pg_image_hide(en->root, en->missing, true);
    if (!e && str_eq(en->drift, "major"))
        e = pg_image_drift(en->root, true);
    if (!e && mkdir(en->pgdata, 0700) != 0 && errno != EEXIST)
        e = err_sys(errno, "cannot create %s", en->pgdata);
    if (!e)
        e = entry_init_container(en);
    if (!e && entry_has_version(en))
        entry_say("\nPostgreSQL Database directory appears to contain a database; Skipping initialization\n");
    else if (!e)
        e = entry_first_boot(en);
    char *marker = str_printf("%s" PG_BOOTING, en->pgdata);
    if (!e)
        unlink(marker);
    mem_free(marker);
    return e;
}

static void entry_become_postgres(const struct pg_entry *en)
{
    char *postgres = str_printf("%s/postgres", en->image_bin);
    char *port = str_printf("port=%s", en->port);
    char *socket = str_printf("unix_socket_directories=%s", en->socket);
    char *whose = str_printf("ferryman.sandbox=%s", en->dir), *pgdata = mem_strdup(en->pgdata);
    char *listen = str_printf("listen_addresses=%s", en->address);
    char c[] = "-c", d[] = "-D";
    char *const argv[] = {postgres, d, pgdata, c, port, c, listen, c, socket, c, whose, NULL};
    execv(postgres, argv);
    entry_say("cannot run %s: %s", postgres, strerror(errno));
}

int pg_entry_main(int argc, char **argv)
{
    struct pg_entry en = {0};
    if (!entry_parse(&en, argc, argv)) {
        entry_say("@pg-entry: an argument is missing (pg_entry.h lists them)");
        return 64;
    }
    umask(077);
    static char path[] = "PATH=/usr/local/bin:/usr/bin:/bin", locale[] = "LC_ALL=C", zone[] = "TZ=UTC";
    static char *clean[] = {path, locale, zone, NULL};
    environ = clean;
    if (chdir(en.root) != 0) {
        entry_say("cannot enter %s: %s", en.root, strerror(errno));
        return 1;
    }
    struct err *e = entry_prepare(&en);
    if (e) {
        entry_say("%s", err_text(e));
        err_free(e);
        return 1;
    }
    entry_become_postgres(&en);
    return 127;
}
