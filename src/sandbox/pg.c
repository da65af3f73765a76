/* See pg.h. A pod of the database is a `struct pg_job` from its start to its end; the server in it may be waiting (the
 * scenario pg-restart holds it back). */
#include "sandbox/pg.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/program.h"
#include "loop/child.h"
#include "loop/loop.h"
#include "loop/timer.h"
#include "sandbox/guard.h"
#include "sandbox/kubectl.h"
#include "sandbox/pg_entry.h"
#include "sandbox/pg_pod.h"
#include "sandbox/pg_root.h"
#include "sandbox/rest.h"
#include "sandbox/sandbox.h"

#define PG_HOLD_MS 3000
#define PG_HOLD "postgres"
#define PG_MOUNT "/var/lib/postgresql/data"
#define PG_PORT 5432

struct pg_job {
    struct pg_job *next;
    struct sandbox *s;
    char *ns, *name, *pgdata;
    unsigned port;
    bool restarted; /* the container was: init containers do not run again */
    bool in_place;  /* the server restarts inside its container: nobody else is told */
    const char *content;
    struct pg_pod *pod; /* NULL: held back */
};

struct pg {
    struct pg_root root;
    char *self, *bin;
    unsigned port;
    int reserved;     /* socket that keeps the port ours; -1: none */
    bool held_start;  /* sandbox_hold is in force */
    bool seeded;
    bool ungated_init, lost_found;
    int64_t hold_until_ms; /* of the scenario pg-restart; mono */
    struct timer *hold_timer;
    struct pg_job *jobs;
    struct child *sql;
};

static struct pg *pg_of(struct sandbox *s)
{
    return rest_of(s)->pg;
}

static void pg_release(struct sandbox *s)
{
    struct pg *pg = pg_of(s);
    if (pg->held_start) {
        pg->held_start = false;
        sandbox_release(s, PG_HOLD);
    }
}

/* A free port of the loopback, kept by a bound socket, so that nobody gets it by chance while no server runs. */
static struct err *pg_reserve_port(unsigned *ret_port, int *ret_fd)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        bind(fd, (struct sockaddr *)&a, n) != 0 || getsockname(fd, (struct sockaddr *)&a, &n) != 0) {
        int saved = errno;
        if (fd >= 0)
            close(fd);
        return err_sys(saved, "cannot find a free port for PostgreSQL");
    }
    *ret_port = ntohs(a.sin_port);
#ifdef __linux__
    *ret_fd = fd;
#else
    close(fd); /* elsewhere two sockets may not be bound to one address */
    *ret_fd = -1;
#endif
    return NULL;
}

static struct pg_job *pg_find(struct pg *pg, const char *ns, const char *name)
{
    struct pg_job *j = pg->jobs;
    while (j && !(str_eq(j->ns, ns) && str_eq(j->name, name)))
        j = j->next;
    return j;
}

static void job_free(struct pg *pg, struct pg_job *job)
{
    struct pg_job **at = &pg->jobs;
    while (*at != job)
        at = &(*at)->next;
    *at = job->next;
    pg_pod_free(job->pod);
    mem_free(job->ns);
    mem_free(job->name);
    mem_free(job->pgdata);
    mem_free(job);
}

static void pg_free(struct sandbox *s)
{
    struct pg *pg = pg_of(s);
    while (pg->jobs)
        job_free(pg, pg->jobs);
    timer_free(pg->hold_timer);
    child_free(pg->sql);
    if (pg->reserved >= 0)
        close(pg->reserved);
    pg_root_clear(&pg->root);
    mem_free(pg->self);
    mem_free(pg->bin);
    mem_free(pg);
    rest_of(s)->pg = NULL;
    mem_free(s->ports.postgres_password_file);
    s->ports.postgres_password_file = NULL;
    rest_free(s);
}

static void job_on_log(void *arg, const char *p, size_t n)
{
    struct pg_job *j = arg;
    if (!sandbox_stopping(j->s))
        kube_pod_log(j->s, j->ns, j->name, p, n);
}

static void job_on_ready(void *arg)
{
    struct pg_job *j = arg;
    if (sandbox_stopping(j->s))
        return;
    forward_set(j->s, j->ns, j->name, PG_PORT, j->port);
    kube_pod_ready(j->s, j->ns, j->name, true);
    pg_release(j->s);
}

/* All servers have ended: what they ran on goes, and the program may end. */
static void pg_finish(void *arg)
{
    struct sandbox *s = arg;
    pg_free(s);
    sandbox_release(s, PG_HOLD);
}

/* Tells the kubelet, which starts the container again or removes the pod. */
static void job_ended(struct pg_job *j, int status)
{
    struct sandbox *s = j->s;
    char *ns = mem_strdup(j->ns), *name = mem_strdup(j->name);
    job_free(pg_of(s), j);
    pg_release(s);
    if (!sandbox_stopping(s))
        kube_pod_exited(s, ns, name, status);
    else if (!pg_of(s)->jobs)
        loop_defer(s->loop, pg_finish, s);
    mem_free(ns);
    mem_free(name);
}

/* Lets the timer start what waits: now, or when the scenario's pause is over. */
static void pg_start_when_due(struct pg *pg)
{
    int64_t left = pg->hold_until_ms - clock_mono_ms();
    timer_start(pg->hold_timer, left > 0 ? left : 0, 0);
}

static void job_on_exit(void *arg, int status)
{
    struct pg_job *j = arg;
    forward_clear(j->s, j->ns, j->name);
    if (!sandbox_stopping(j->s))
        kube_pod_ready(j->s, j->ns, j->name, false);
    if (!j->in_place || sandbox_stopping(j->s)) {
        job_ended(j, status);
        return;
    }
    pg_pod_free(j->pod);
    j->pod = NULL;
    j->in_place = false;
    j->restarted = true;
    pg_start_when_due(pg_of(j->s));
}

/* Starts the server of a job. */
static void job_run(struct pg_job *j)
{
    struct pg *pg = pg_of(j->s);
    struct pg_pod_options o = {.self = pg->self,
                               .user = pg->root.user,
                               .dir = j->s->dir,
                               .root = pg->root.path,
                               .pgdata = j->pgdata,
                               .bin = pg->bin,
                               .socket = pg->root.socket_dir,
                               .password_file = pg->root.password_file,
                               .init = j->restarted ? "none" : pg->ungated_init ? "ungated" : "gated",
                               .content = j->content,
                               .port = j->port,
                               .on_log = job_on_log,
                               .on_ready = job_on_ready,
                               .on_exit = job_on_exit,
                               .arg = j};
    struct err *e = pg_pod_start(j->s->loop, &o, &j->pod);
    if (!e)
        return;
    char *line = str_printf("cannot start the container: %s\n", err_text(e));
    job_on_log(j, line, strlen(line));
    mem_free(line);
    err_free(e);
    job_ended(j, 128);
}

static const struct pod_claim *pg_data_claim(const struct pod_info *info)
{
    for (size_t i = 0; i < info->claim_count; i++) {
        if (info->claims[i].mount_path && str_starts(info->claims[i].mount_path, PG_MOUNT))
            return &info->claims[i];
    }
    return info->claim_count ? &info->claims[0] : NULL;
}

/* PGDATA for a pod: a folder in the volume's folder, which is made if it is new. */
static struct err *pg_volume(struct pg *pg, const struct pod_info *info, char **ret_pgdata)
{
    const struct pod_claim *claim = pg_data_claim(info);
    const char *handle = claim && claim->volume_handle ? claim->volume_handle : info->uid;
    char *folder;
    bool fresh;
    struct err *e = pg_root_volume(&pg->root, handle, &folder, &fresh);
    if (e)
        return e;
    bool at_root = pg->lost_found && claim && claim->storage_class && strstr(claim->storage_class, "lvm");
    if (at_root && fresh) {
        char *lost = str_printf("%s/lost+found", folder);
        if (mkdir(lost, 0700) != 0)
            e = err_sys(errno, "cannot create %s", lost);
        mem_free(lost);
    }
    *ret_pgdata = at_root ? mem_strdup(folder) : str_printf("%s/pgdata", folder);
    mem_free(folder);
    if (e) {
        mem_free(*ret_pgdata);
        *ret_pgdata = NULL;
    }
    return e;
}

/* The Service's port, or another one while a server has that. */
static unsigned pg_choose_port(struct pg *pg)
{
    for (const struct pg_job *j = pg->jobs; j; j = j->next) {
        if (j->port == pg->port) {
            unsigned port = 0;
            int fd = -1;
            err_ignore(pg_reserve_port(&port, &fd), "postgres says itself that port 0 is not valid");
            if (fd >= 0)
                close(fd);
            return port;
        }
    }
    return pg->port;
}

static void pg_pod_begin(struct sandbox *s, const struct pod_info *info)
{
    struct pg *pg = pg_of(s);
    char *pgdata = NULL;
    struct err *e = pg_find(pg, info->ns, info->name) ? NULL : pg_volume(pg, info, &pgdata);
    if (e) {
        fprintf(stderr, "ferryman-sandbox: %s\n", err_text(e));
        err_free(e);
        kube_pod_exited(s, info->ns, info->name, 128);
        return;
    }
    if (!pgdata)
        return;
    struct pg_job *j = MEM_NEW(struct pg_job);
    *j = (struct pg_job){.next = pg->jobs,
                         .s = s,
                         .ns = mem_strdup(info->ns),
                         .name = mem_strdup(info->name),
                         .pgdata = pgdata,
                         .port = pg_choose_port(pg),
                         .restarted = info->restart > 0,
                         .content = pg->seeded ? "empty" : s->small_db ? "seed-small" : "seed"};
    pg->seeded = true;
    pg->jobs = j;
    pg_start_when_due(pg);
}

static void pg_pod_finish(struct sandbox *s, const struct pod_info *info)
{
    struct pg_job *j = pg_find(pg_of(s), info->ns, info->name);
    if (!j) {
        kube_pod_exited(s, info->ns, info->name, 0);
        return;
    }
    j->in_place = false;
    if (!j->pod)
        job_ended(j, 0);
    else if (info->grace_ms > 0)
        pg_pod_end(j->pod);
    else
        pg_pod_kill(j->pod);
}

bool pg_is_up(struct sandbox *s)
{
    const struct pg_job *j = pg_of(s) ? pg_of(s)->jobs : NULL;
    while (j && !(j->pod && pg_pod_is_ready(j->pod)))
        j = j->next;
    return j != NULL;
}

static const struct pod_backend pg_backend = {.ns = PG_NAMESPACE,
                                              .app = PG_APP,
                                              .start = pg_pod_begin,
                                              .stop = pg_pod_finish};

/* The end of the scenario's pause: whatever was held back starts. */
static void pg_on_hold_over(void *arg)
{
    struct sandbox *s = arg;
    struct pg *pg = pg_of(s);
    pg->hold_until_ms = 0;
    for (struct pg_job *j = pg->jobs, *next; j; j = next) {
        next = j->next;
        if (!j->pod)
            job_run(j);
    }
}

/* Ends every server, politely or not; the kubelet starts them again. */
static void pg_end_all(struct pg *pg, bool kill)
{
    for (struct pg_job *j = pg->jobs; j; j = j->next) {
        if (!j->pod)
            continue;
        if (kill)
            pg_pod_kill(j->pod);
        else
            pg_pod_end(j->pod);
    }
}

static struct err *scenario_restart(struct sandbox *s, bool on)
{
    struct pg *pg = pg_of(s);
    if (on) {
        pg->hold_until_ms = clock_mono_ms() + PG_HOLD_MS;
        for (struct pg_job *j = pg->jobs; j; j = j->next)
            j->in_place = j->pod != NULL;
        pg_end_all(pg, false);
    } else {
        timer_stop(pg->hold_timer);
        pg_on_hold_over(s);
    }
    return NULL;
}

static struct err *scenario_init_writes(struct sandbox *s, bool on)
{
    pg_of(s)->ungated_init = on;
    return NULL;
}

static struct err *scenario_lost_found(struct sandbox *s, bool on)
{
    pg_of(s)->lost_found = on;
    return NULL;
}

static const struct scenario pg_scenarios[] = {
    {"pg-restart", "PostgreSQL is shut down and comes back after 3 s", scenario_restart},
    {"pg-init-writes", "the init container writes into PGDATA without asking for PG_VERSION", scenario_init_writes},
    {"pg-lost-found", "PGDATA on a new block volume is its root, with lost+found in it", scenario_lost_found},
};

static void sql_on_exit(void *arg, const struct child_exit *exit)
{
    struct pg *pg = arg;
    if (exit->status != 0)
        fprintf(stderr, "ferryman-sandbox: pg sql: %s\n", buf_str(&exit->err));
    child_free(pg->sql);
    pg->sql = NULL;
}

/* Runs SQL in the database, over the server's socket. */
static struct err *pg_sql(struct sandbox *s, const char *sql)
{
    struct pg *pg = pg_of(s);
    if (pg->sql)
        return err_new(ERR_FAILED, "the last pg sql still runs");
    if (!pg->jobs || !pg->jobs->pod || !pg_pod_is_ready(pg->jobs->pod))
        return err_new(ERR_UNAVAILABLE, "PostgreSQL does not run");
    char *psql = str_printf("%s/psql", pg->bin);
    char *port = str_printf("%u", pg->jobs->port);
    const char *const argv[] = {psql, "-X", "-q", "-v", "ON_ERROR_STOP=1", "-h", pg->root.socket_dir,
                                "-p", port, "-U", PG_SUPERUSER, "-d", PG_DATABASE, "-c", sql, NULL};
    struct err *e = child_spawn(s->loop, &(struct child_options){.argv = argv, .on_exit = sql_on_exit, .arg = pg},
                                &pg->sql);
    mem_free(psql);
    mem_free(port);
    return e;
}

static struct err *command_pg(struct sandbox *s, int argc, char **argv, struct buf *out)
{
    const char *verb = argc > 1 ? argv[1] : "";
    if (str_eq(verb, "invalid-index") && argc == 3) {
        char *sql = str_printf("UPDATE pg_index SET indisvalid = %s WHERE indexrelid = 'public.exif_city'::regclass",
                               str_eq(argv[2], "on") ? "false" : "true");
        struct err *e = pg_sql(s, sql);
        mem_free(sql);
        return e;
    }
    if (str_eq(verb, "sql") && argc > 2) {
        struct buf sql = {0};
        for (int i = 2; i < argc; i++)
            buf_printf(&sql, "%s%s", i > 2 ? " " : "", argv[i]);
        struct err *e = pg_sql(s, sql.p);
        buf_free(&sql);
        return e;
    }
    (void)out;
    return err_new(ERR_USAGE, "pg invalid-index on|off, or pg sql TEXT");
}

/* `kill pg` and `restart pg`; other things to kill are other parts'. */
static struct err *command_end(struct sandbox *s, int argc, char **argv, struct buf *out)
{
    (void)out;
    if (argc != 2 || !str_eq(argv[1], "pg"))
        return err_new(ERR_USAGE, "%s pg", argv[0]);
    pg_end_all(pg_of(s), str_eq(argv[0], "kill"));
    return NULL;
}

static const struct control_command pg_commands[] = {
    {"kill", "kill pg", "kills PostgreSQL as the OOM killer does; its pod restarts", command_end},
    {"restart", "restart pg", "shuts PostgreSQL down; its pod restarts", command_end},
    {"pg", "pg invalid-index on|off", "makes an index of the database invalid, or valid again", command_pg},
    {"pg", "pg sql TEXT", "runs SQL in the database", command_pg},
};

static struct err *pg_write_passfile(struct sandbox *s)
{
    const char *password = rest_pg_password(s);
    char *text = str_printf("*:*:*:" PG_SUPERUSER ":%s\n*:*:*:" PG_APP_USER ":%s\n", password, password);
    struct err *e = rest_write(s, "pgpass", text, 0600);
    mem_free(text);
    if (!e)
        s->ports.postgres_password_file = str_printf("%s/pgpass", s->dir);
    return e;
}

static struct err *pg_start(struct sandbox *s)
{
    struct pg *pg = rest_of(s)->pg = MEM_NEW(struct pg);
    pg->reserved = -1;
    pg->self = program_again("ferryman-sandbox");
    pg->hold_timer = timer_new(s->loop, pg_on_hold_over, s);
    struct err *e = pg_install_find(&pg->bin);
    if (!e)
        e = pg_root_make(&pg->root, s->dir, rest_pg_password(s));
    if (!e)
        e = pg_reserve_port(&pg->port, &pg->reserved);
    if (!e)
        e = pg_write_passfile(s);
    if (e) {
        pg_free(s);
        return e;
    }
    s->ports.postgres = pg->port;
    pg->held_start = true;
    sandbox_hold(s, PG_HOLD);
    kube_register_backend(s, &pg_backend);
    return NULL;
}

static void pg_stop(struct sandbox *s)
{
    struct pg *pg = pg_of(s);
    if (!pg)
        return;
    pg_release(s);
    timer_stop(pg->hold_timer);
    sandbox_hold(s, PG_HOLD);
    for (struct pg_job *j = pg->jobs, *next; j; j = next) {
        next = j->next;
        if (!j->pod)
            job_free(pg, j);
    }
    pg_end_all(pg, false);
    if (!pg->jobs)
        pg_finish(s);
}

const struct sandbox_part pg_part = {.name = "postgres",
                                     .start = pg_start,
                                     .stop = pg_stop,
                                     .scenarios = pg_scenarios,
                                     .scenario_count = ARRAY_LEN(pg_scenarios),
                                     .commands = pg_commands,
                                     .command_count = ARRAY_LEN(pg_commands)};
