/* Pods of the database: a `struct pg_job` from a pod's start to its end; the server in it may be waiting (the scenario
 * pg-restart holds it back). What the server is like follows from the pod: the environment of its container says user,
 * database and PGDATA, its claim says which folder, its address where it serves. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json_doc.h"
#include "base/mem.h"
#include "loop/loop.h"
#include "loop/timer.h"
#include "sandbox/kubectl.h"
#include "sandbox/kubelet.h"
#include "sandbox/object.h"
#include "sandbox/pg.h"
#include "sandbox/pg_entry.h"
#include "sandbox/pg_pod.h"
#include "sandbox/pg_private.h"
#include "sandbox/sandbox.h"

struct pg_job *pg_find(struct pg *pg, const char *ns, const char *name)
{
    struct pg_job *j = pg->jobs;
    while (j && !(str_eq(j->ns, ns) && str_eq(j->name, name)))
        j = j->next;
    return j;
}

struct pg_job *pg_serving(struct sandbox *s)
{
    char *ns = NULL, *name = NULL;
    struct pg_job *j = pg_service_pod(s, &ns, &name) ? pg_find(pg_of(s), ns, name) : NULL;
    mem_free(ns);
    mem_free(name);
    if (!j) {
        j = pg_of(s)->jobs;
        while (j && !(j->pod && pg_pod_is_ready(j->pod)))
            j = j->next;
    }
    return j && j->pod && pg_pod_is_ready(j->pod) ? j : NULL;
}

void pg_job_free(struct pg *pg, struct pg_job *job)
{
    struct pg_job **at = &pg->jobs;
    while (*at != job)
        at = &(*at)->next;
    *at = job->next;
    pg_pod_free(job->pod);
    mem_free(job->ns);
    mem_free(job->name);
    mem_free(job->pgdata);
    mem_free(job->run_dir);
    mem_free(job->password_file);
    mem_free(job->user);
    mem_free(job->database);
    mem_free(job->initdb_args);
    mem_free(job);
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
    forward_set(j->s, j->ns, j->name, PG_PORT, j->address, j->port);
    kube_pod_ready(j->s, j->ns, j->name, true);
    pg_service_update(j->s);
}

/* The readiness probe asks over the container's unix socket, where the first boot's temporary server answers, too. */
static void job_on_first_boot(void *arg)
{
    struct pg_job *j = arg;
    if (!sandbox_stopping(j->s) && pg_of(j->s)->early_probe)
        kube_pod_ready(j->s, j->ns, j->name, true);
}

/* Tells the kubelet, which starts the container again or removes the pod. */
static void job_ended(struct pg_job *j, int status)
{
    struct sandbox *s = j->s;
    char *ns = mem_strdup(j->ns), *name = mem_strdup(j->name);
    pg_job_free(pg_of(s), j);
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
    pg_service_update(j->s);
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

void pg_job_run(struct pg_job *j)
{
    struct pg *pg = pg_of(j->s);
    struct pg_pod_options o = {.self = pg->self,
                               .user = pg->root.user,
                               .dir = j->s->dir,
                               .root = pg->root.path,
                               .pgdata = j->pgdata,
                               .bin = pg->bin,
                               .socket = j->run_dir,
                               .password_file = j->password_file,
                               .superuser = j->user,
                               .database = j->database,
                               .initdb_args = j->initdb_args,
                               .init = j->restarted ? "none" : j->init,
                               .preload = pg->no_preload ? "" : PG_PRELOAD,
                               .missing = pg->no_extension ? PG_MISSING : "",
                               .drift = pg->major_drift ? "major" : "none",
                               .content = j->content,
                               .address = j->address,
                               .port = j->port,
                               .first_boot_s = pg->slow_first_boot ? PG_SLOW_FIRST_BOOT_S : 0,
                               .on_log = job_on_log,
                               .on_first_boot = job_on_first_boot,
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

/* ---- What follows from the pod ---- */

/* PGDATA of the container; the image's own without it. */
static const char *pg_data_path(const struct pod_info *info)
{
    const char *path = pod_info_env(info, "PGDATA");
    return path && path[0] ? path : PG_MOUNT;
}

/* The claim whose mount PGDATA is in, the deepest; else the first. */
static const struct pod_claim *pg_data_claim(const struct pod_info *info, const char *path)
{
    const struct pod_claim *best = NULL;
    for (size_t i = 0; i < info->claim_count; i++) {
        const struct pod_claim *c = &info->claims[i];
        size_t n = c->mount_path ? strlen(c->mount_path) : 0;
        if (n && str_starts(path, c->mount_path) && (!path[n] || path[n] == '/') &&
            (!best || n > strlen(best->mount_path)))
            best = c;
    }
    return best ? best : info->claim_count ? &info->claims[0] : NULL;
}

/* A new file system has this folder at its root; NFS has none. */
static struct err *pg_lost_found(const char *folder, const struct pod_claim *claim)
{
    if (!claim || !claim->storage_class || !strstr(claim->storage_class, "lvm"))
        return NULL;
    char *lost = str_printf("%s/lost+found", folder);
    struct err *e = mkdir(lost, 0700) != 0 && errno != EEXIST ? err_sys(errno, "cannot create %s", lost) : NULL;
    mem_free(lost);
    return e;
}

/* The seed's data is in pgdata of its volume, also for a pod that mounts PGDATA at the root. */
static char *pg_data_at_root(const char *folder)
{
    char *version = str_printf("%s/pgdata/PG_VERSION", folder);
    char *path = access(version, F_OK) == 0 ? str_printf("%s/pgdata", folder) : mem_strdup(folder);
    mem_free(version);
    return path;
}

/* PGDATA for a pod: a folder in the volume's folder, which is made if it is new. */
static struct err *pg_volume(struct pg *pg, const struct pod_info *info, char **ret_pgdata)
{
    const char *path = pg_data_path(info);
    const struct pod_claim *claim = pg_data_claim(info, path);
    const char *handle = claim && claim->volume_handle[0] ? claim->volume_handle : info->uid;
    char *folder = NULL;
    bool fresh;
    struct err *e = pg_root_volume(&pg->root, handle, &folder, &fresh);
    if (!e && fresh)
        e = pg_lost_found(folder, claim);
    if (!e && claim && claim->sub_path && claim->sub_path[0]) {
        char *sub = str_printf("%s/%s", folder, claim->sub_path);
        mem_free(folder);
        folder = sub;
        e = pg_root_folder(&pg->root, folder);
    }
    if (e) {
        mem_free(folder);
        return e;
    }
    size_t n = claim && claim->mount_path && str_starts(path, claim->mount_path) ? strlen(claim->mount_path) : 0;
    const char *below = n ? path + n : "";
    bool at_root = !below[strspn(below, "/")] || (pg->lost_found && strstr(claim->storage_class ? claim->storage_class : "", "lvm"));
    *ret_pgdata = at_root ? pg_data_at_root(folder) : str_printf("%s/%s", folder, below + strspn(below, "/"));
    mem_free(folder);
    return NULL;
}

/* A free port of the loopback. */
static unsigned pg_free_port(const char *address)
{
    struct sockaddr_in a = {.sin_family = AF_INET};
    socklen_t n = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return 0;
    if (inet_pton(AF_INET, address, &a.sin_addr) != 1 || bind(fd, (struct sockaddr *)&a, n) != 0 ||
        getsockname(fd, (struct sockaddr *)&a, &n) != 0)
        a.sin_port = 0; /* postgres says itself that port 0 is not valid */
    close(fd);
    return ntohs(a.sin_port);
}

/* Where it serves: the pod's address and the container's port, or some port where that is taken on every address. */
static void pg_choose_address(struct pg_job *j, const struct pod_info *info)
{
    str_copy(j->address, sizeof j->address, info->ip && str_starts(info->ip, "127.") ? info->ip : "127.0.0.1");
    bool own = !str_eq(j->address, "127.0.0.1") && loopback_port_free(j->address, PG_PORT);
    j->port = own ? PG_PORT : pg_free_port(j->address);
}

/* The init container writes into PGDATA, and asks for PG_VERSION before it does, or not. */
static const char *pg_init_kind(const struct pg *pg, const struct pod_info *info)
{
    if (!info->init)
        return "none";
    return pg->ungated_init || !strstr(info->init, "PG_VERSION") ? "ungated" : "gated";
}

static struct err *job_folders(struct pg *pg, struct pg_job *j, const struct pod_info *info)
{
    const char *password = pod_info_env(info, "POSTGRES_PASSWORD");
    struct err *e = pg_volume(pg, info, &j->pgdata);
    if (!e)
        e = pg_root_run(&pg->root, ++pg->serial, password ? password : "", &j->run_dir, &j->password_file);
    return e;
}

/* A server that a saved sandbox had does not run any more. One that was in its first boot begins it anew. */
static struct err *job_resume(struct pg_job *j, const struct pod_info *info)
{
    if (!info->adopted || !j->s->saved)
        return NULL;
    char *lock = str_printf("%s/postmaster.pid", j->pgdata), *marker = str_printf("%s" PG_BOOTING, j->pgdata);
    unlink(lock);
    struct err *e = NULL;
    if (access(marker, F_OK) == 0) {
        j->restarted = info->restart > 0;
        const char *const argv[] = {"find", j->pgdata, "-mindepth", "1", "-not", "-name", "lost+found", "-delete", NULL};
        if (access(j->pgdata, F_OK) == 0)
            e = pg_run(argv, NULL, NULL);
    }
    mem_free(lock);
    mem_free(marker);
    return e;
}

static char *env_or(const struct pod_info *info, const char *name, const char *fallback)
{
    const char *value = pod_info_env(info, name);
    return mem_strdup(value && value[0] ? value : fallback);
}

static void pg_pod_begin(struct sandbox *s, const struct pod_info *info)
{
    struct pg *pg = pg_of(s);
    if (pg_find(pg, info->ns, info->name))
        return;
    struct pg_job *j = MEM_NEW(struct pg_job);
    *j = (struct pg_job){.next = pg->jobs,
                         .s = s,
                         .ns = mem_strdup(info->ns),
                         .name = mem_strdup(info->name),
                         .user = env_or(info, "POSTGRES_USER", "postgres"),
                         .initdb_args = env_or(info, "POSTGRES_INITDB_ARGS", ""),
                         .init = pg_init_kind(pg, info),
                         .restarted = info->restart > 0 || info->adopted,
                         .content = pg->seeded ? "empty" : s->small_db ? "seed-small" : "seed"};
    j->database = env_or(info, "POSTGRES_DB", j->user);
    pg->jobs = j;
    pg_choose_address(j, info);
    struct err *e = job_folders(pg, j, info);
    if (!e)
        e = job_resume(j, info);
    if (e) {
        fprintf(stderr, "ferryman-sandbox: %s\n", err_text(e));
        err_free(e);
        job_ended(j, 128);
        return;
    }
    pg->seeded = true;
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

/* ---- Which pods ---- */

static bool is_image(const char *image)
{
    size_t n = strlen(PG_IMAGE);
    return image && str_starts(image, PG_IMAGE) && (!image[n] || image[n] == ':' || image[n] == '@');
}

/* Any pod with the database's image that mounts a claim: the deployment's, and those beside it. */
static bool pg_wants(const struct json_t *pod)
{
    struct json_t *containers = jd_get(pod, "spec.containers"), *volumes = jd_get(pod, "spec.volumes");
    bool image = false, claim = false;
    for (size_t i = 0; i < jd_len(containers); i++)
        image = image || is_image(jd_str(jd_at(containers, i), "image"));
    for (size_t i = 0; i < jd_len(volumes); i++)
        claim = claim || jd_str(jd_at(volumes, i), "persistentVolumeClaim.claimName");
    return image && claim;
}

const struct pod_backend pg_backend = {.wants = pg_wants,
                                       .loopback = true,
                                       .start = pg_pod_begin,
                                       .stop = pg_pod_finish};
