/* See pg.h. The part, its scenarios and its commands. */
#include "sandbox/pg.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/json_doc.h"
#include "base/mem.h"
#include "base/program.h"
#include "loop/child.h"
#include "loop/loop.h"
#include "loop/timer.h"
#include "sandbox/controllers.h"
#include "sandbox/guard.h"
#include "sandbox/kube.h"
#include "sandbox/kubectl.h"
#include "sandbox/object.h"
#include "sandbox/pg_entry.h"
#include "sandbox/pg_freeze.h"
#include "sandbox/pg_pod.h"
#include "sandbox/pg_private.h"
#include "sandbox/pg_root.h"
#include "sandbox/rest.h"
#include "sandbox/sandbox.h"
#include "sandbox/save.h"
#include "sandbox/tcp_forward.h"

#define PG_HOLD_MS 3000

struct pg *pg_of(struct sandbox *s)
{
    return rest_of(s)->pg;
}

void pg_release(struct sandbox *s)
{
    struct pg *pg = pg_of(s);
    if (pg->held_start) {
        pg->held_start = false;
        sandbox_release(s, PG_HOLD);
    }
}

static void pg_free(struct sandbox *s)
{
    struct pg *pg = pg_of(s);
    while (pg->jobs)
        pg_job_free(pg, pg->jobs);
    timer_free(pg->hold_timer);
    child_free(pg->sql);
    tcp_forward_free(pg->service);
    pg_root_clear(&pg->root);
    mem_free(pg->self);
    mem_free(pg->bin);
    mem_free(pg);
    rest_of(s)->pg = NULL;
    mem_free(s->ports.postgres_password_file);
    s->ports.postgres_password_file = NULL;
    rest_free(s);
}

/* All servers have ended: what they ran on goes, and the program may end. */
void pg_finish(void *arg)
{
    struct sandbox *s = arg;
    pg_free(s);
    sandbox_release(s, PG_HOLD);
}

bool pg_is_up(struct sandbox *s)
{
    return pg_of(s) && pg_serving(s);
}

/* The end of the scenario's pause: whatever was held back starts. */
static void pg_on_hold_over(void *arg)
{
    struct sandbox *s = arg;
    struct pg *pg = pg_of(s);
    pg->hold_until_ms = 0;
    for (struct pg_job *j = pg->jobs, *next; j; j = next) {
        next = j->next;
        if (!j->pod)
            pg_job_run(j);
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

/* Changes the pod template of the deployment as somebody with an editor would; its pod is made anew. */
static void edit_template(struct sandbox *s, void (*edit)(struct json_t *spec, bool on), bool on)
{
    struct json_t *d = kube_get(s->kube, KIND_DEPLOYMENT, PG_NAMESPACE, PG_APP);
    if (!d)
        return;
    edit(jd_get(d, "spec.template.spec"), on);
    kube_write(s->kube, KIND_DEPLOYMENT, d, "kubectl-edit");
    jd_free(d);
}

static void edit_init(struct json_t *spec, bool on)
{
    jd_put(spec, "initContainers.0.command",
           object_parse("['sh','-c','%scp /config/postgresql.override.conf $PGDATA/%s']",
                        on ? "mkdir -p $PGDATA && " : "test -f $PGDATA/PG_VERSION && ", on ? "" : " || true"));
}

static struct err *scenario_init_writes(struct sandbox *s, bool on)
{
    pg_of(s)->ungated_init = on;
    edit_template(s, edit_init, on);
    return NULL;
}

static void edit_pgdata(struct json_t *spec, bool on)
{
    struct json_t *env = jd_get(spec, "containers.0.env");
    for (size_t i = 0; i < jd_len(env); i++) {
        if (str_eq(jd_str(jd_at(env, i), "name"), "PGDATA"))
            jd_set(jd_at(env, i), "value", jd_string(on ? PG_MOUNT : PG_MOUNT "/pgdata"));
    }
}

static struct err *scenario_lost_found(struct sandbox *s, bool on)
{
    pg_of(s)->lost_found = on;
    edit_template(s, edit_pgdata, on);
    return NULL;
}

static struct err *scenario_no_preload(struct sandbox *s, bool on)
{
    pg_of(s)->no_preload = on;
    return NULL;
}

static struct err *scenario_no_extension(struct sandbox *s, bool on)
{
    pg_of(s)->no_extension = on;
    return pg_image_hide(pg_of(s)->root.path, PG_MISSING, on);
}

static struct err *scenario_drift(struct sandbox *s, bool on)
{
    pg_of(s)->major_drift = on;
    return pg_image_drift(pg_of(s)->root.path, on);
}

static struct err *scenario_temp_server(struct sandbox *s, bool on)
{
    pg_of(s)->slow_first_boot = pg_of(s)->early_probe = on;
    return NULL;
}

static const struct scenario pg_scenarios[] = {
    {"pg-restart", "PostgreSQL is shut down and comes back after 3 s", scenario_restart},
    {"pg-init-writes", "the init container writes into PGDATA without asking for PG_VERSION", scenario_init_writes},
    {"pg-lost-found", "PGDATA on a new block volume is its root, with lost+found in it", scenario_lost_found},
    {"pg-preload-missing", "the init container's settings name no preload libraries", scenario_no_preload},
    {"pg-extension-missing", "the image lacks the extension " PG_MISSING, scenario_no_extension},
    {"pg-major-drift", "the image's vector is 1.0.0, another major version", scenario_drift},
    {"pg-temp-server", "a first boot's temporary server stays for 4 s and passes the readiness probe", scenario_temp_server},
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
    const struct pg_job *j = pg_serving(s);
    if (!j)
        return err_new(ERR_UNAVAILABLE, "PostgreSQL does not run");
    char *psql = str_printf("%s/psql", pg->bin);
    char *port = str_printf("%u", j->port);
    const char *const argv[] = {psql, "-X", "-q", "-v", "ON_ERROR_STOP=1", "-h", j->run_dir,
                                "-p", port, "-U", j->user, "-d", PG_DATABASE, "-c", sql, NULL};
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

/* `freeze pg` and `thaw pg`: servers that hold their connections and say nothing. */
static struct err *command_freeze(struct sandbox *s, int argc, char **argv, struct buf *out)
{
    struct pg *pg = pg_of(s);
    (void)out;
    if (argc != 2 || !str_eq(argv[1], "pg"))
        return err_new(ERR_USAGE, "usage: %s pg", argv[0]);
    freeze_end(&pg->frozen);
    for (const struct pg_job *j = pg->jobs; j && str_eq(argv[0], "freeze"); j = j->next) {
        if (j->pod && pg_pod_pid(j->pod))
            freeze_descendants(&pg->frozen, pg_pod_pid(j->pod));
    }
    return NULL;
}

static const struct control_command pg_commands[] = {
    {"kill", "kill pg", "kills PostgreSQL as the OOM killer does; its pod restarts", command_end},
    {"restart", "restart pg", "shuts PostgreSQL down; its pod restarts", command_end},
    {"freeze", "freeze pg", "PostgreSQL stands still, with its connections open", command_freeze},
    {"thaw", "thaw pg", "it goes on", command_freeze},
    {"pg", "pg invalid-index on|off", "makes an index of the database invalid, or valid again", command_pg},
    {"pg", "pg sql TEXT", "runs SQL in the database", command_pg},
};

static struct err *pg_write_passfile(struct sandbox *s)
{
    const char *password = rest_pg_password(s);
    char *text = str_printf("*:*:*:" PG_SUPERUSER ":%s\n", password);
    struct err *e = rest_write(s, "pgpass", text, 0600);
    mem_free(text);
    if (!e)
        s->ports.postgres_password_file = str_printf("%s/pgpass", s->dir);
    return e;
}

static bool is_running(void *arg, struct json_t *pod)
{
    bool *any = arg;
    *any = *any || (pg_backend.wants(pod) && str_eq(jd_str(pod, "status.phase"), "Running") && !object_terminating(pod));
    return !*any;
}

static bool has_running_pod(struct sandbox *s)
{
    bool any = false;
    each_object(s->kube, KIND_POD, NULL, is_running, &any);
    return any;
}

/* Shuts a server down and waits for it; it is started again inside its pod by what follows its end. Blocks for a moment. */
static void stop_in_order(struct pg_job *j)
{
    char *path = str_printf("%s/postmaster.pid", j->pgdata);
    struct buf text = {0};
    struct err *e = file_read(path, 4096, &text);
    long pid = e ? 0 : strtol(buf_str(&text), NULL, 10);
    err_ignore(e, "a server that has no such file is not running");
    if (pid > 1 && kill((pid_t)pid, SIGINT) == 0) {
        j->in_place = true;
        for (int i = 0; i < 2000 && access(path, F_OK) == 0; i++)
            poll(NULL, 0, 5);
    }
    buf_free(&text);
    mem_free(path);
}

/* The volumes: after a shutdown, or as a crash at this moment would leave them. */
static struct err *pg_save(struct sandbox *s, const char *folder, struct json_t *state)
{
    struct pg *pg = pg_of(s);
    struct freeze stopped = {0};
    char *from = str_printf("%s/volumes", pg->root.path), *to = str_printf("%s/volumes", folder);
    for (struct pg_job *j = pg->jobs; j; j = j->next) {
        if (j->pod && pg_pod_is_ready(j->pod) && !s->save_crash)
            stop_in_order(j);
        else if (j->pod && pg_pod_pid(j->pod))
            freeze_descendants(&stopped, pg_pod_pid(j->pod));
    }
    struct err *e = sandbox_copy(from, to);
    freeze_end(&stopped);
    jd_set(state, "password", jd_string(rest_pg_password(s)));
    jd_set(state, "vault_token", jd_string(rest_vault_token(s)));
    jd_set(state, "seeded", jd_bool(pg->seeded));
    mem_free(from);
    mem_free(to);
    return e;
}

static struct err *pg_load(struct sandbox *s)
{
    struct pg *pg = pg_of(s);
    if (!s->saved)
        return NULL;
    char *from = str_printf("%s/volumes", s->saved_dir), *to = str_printf("%s/volumes", pg->root.path);
    pg->seeded = jd_flag(sandbox_saved(s, "postgres"), "seeded", true);
    pg_root_remove(to);
    struct err *e = sandbox_copy(from, to);
    mem_free(from);
    mem_free(to);
    return e;
}

static struct err *pg_start(struct sandbox *s)
{
    struct pg *pg = rest_of(s)->pg = MEM_NEW(struct pg);
    pg->self = program_again("ferryman-sandbox");
    pg->hold_timer = timer_new(s->loop, pg_on_hold_over, s);
    struct err *e = pg_install_find(&pg->bin);
    if (!e)
        e = pg_root_make(&pg->root, s->dir);
    if (!e)
        e = pg_load(s);
    if (!e)
        e = pg_service_start(s);
    if (!e)
        e = pg_write_passfile(s);
    if (e) {
        pg_free(s);
        return e;
    }
    pg->held_start = !s->saved || has_running_pod(s); /* a saved one may have no server at all */
    if (pg->held_start)
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
    freeze_end(&pg->frozen);
    sandbox_hold(s, PG_HOLD);
    for (struct pg_job *j = pg->jobs, *next; j; j = next) {
        next = j->next;
        if (!j->pod)
            pg_job_free(pg, j);
    }
    pg_end_all(pg, false);
    if (!pg->jobs)
        pg_finish(s);
}

const struct sandbox_part pg_part = {.name = "postgres",
                                     .start = pg_start,
                                     .stop = pg_stop,
                                     .save = pg_save,
                                     .scenarios = pg_scenarios,
                                     .scenario_count = ARRAY_LEN(pg_scenarios),
                                     .commands = pg_commands,
                                     .command_count = ARRAY_LEN(pg_commands)};
