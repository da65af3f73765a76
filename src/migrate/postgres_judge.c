#include "migrate/postgres_judge.h"

#include <stdio.h>
#include <string.h>

#include "base/json_doc.h"
#include "base/mem.h"
#include "migrate/pod_judge.h"
#include "migrate/postgres.h"

#define SHM_DEFAULT (INT64_C(64) << 20)

/* ---- What runs before the server ---- */

static bool has_word(const char *text, const char *word)
{
    size_t n = strlen(word);
    for (const char *p = strstr(text, word); p; p = strstr(p + 1, word)) {
        char before = p == text ? ' ' : p[-1], after = p[n];
        if (strchr(" \t\n;&|(/`", before) && (!after || strchr(" \t\n;&|)`", after)))
            return true;
    }
    return false;
}

/* A redirection into a file: not 2>&1, not into /dev. */
static bool redirects(const char *text)
{
    for (const char *p = strchr(text, '>'); p; p = strchr(p + 1, '>')) {
        const char *to = p + 1;
        while (*to == '>' || *to == ' ')
            to++;
        if (*to != '&' && *to && strncmp(to, "/dev/", 5) != 0)
            return true;
        p = to > p + 1 ? to - 1 : p;
    }
    return false;
}

static bool writes(const char *text)
{
    static const char *const words[] = {"cp",  "mv",   "touch", "tee", "install", "sed",  "ln",     "tar", "rsync", "curl",
                                        "wget", "git", "unzip", "dd",  "truncate", "patch", "initdb", "pg_basebackup", NULL};
    for (size_t i = 0; words[i]; i++)
        if (has_word(text, words[i]))
            return true;
    return redirects(text);
}

/* "sh /scripts/x.sh", "python x.py" or the image's own entry point: the text of what runs is not here. */
static bool text_is_elsewhere(const struct json_t *command, const char *text)
{
    static const char *const plain[] = {"cp", "mv", "chown", "chmod", "mkdir", "touch", "ln", "rm", "sleep", "true", "echo", "test", "sed", NULL};
    const char *program = jd_string_value(jd_at(command, 0));
    if (!program)
        return true;
    const char *name = strrchr(program, '/') ? strrchr(program, '/') + 1 : program;
    for (size_t i = 0; plain[i]; i++)
        if (str_eq(name, plain[i]))
            return false;
    bool shell = str_eq(name, "sh") || str_eq(name, "bash") || str_eq(name, "ash") || str_eq(name, "dash");
    return !shell || !strstr(text, " -c");
}

/* Whether a text names the data directory. A command that names only the folder above it leaves initdb alone. */
static bool names_data(const char *text, const char *pgdata)
{
    return strstr(text, "PGDATA") || (pgdata && strstr(text, pgdata));
}

static bool judge_command(const struct json_t *command, const struct json_t *args, const char *who, const char *pgdata, struct buf *out)
{
    struct buf text = {0};
    bool good = true;
    pod_command_text(command, &text);
    pod_command_text(args, &text);
    const char *t = buf_str(&text);
    if (text_is_elsewhere(jd_len(command) > 0 ? command : args, t)) {
        buf_printf(out, "%s%s runs a program whose text is not in the template (%.60s): it may write into the data directory before initdb", out->len ? "; " : "",
                   who, text.len ? t : "the image's own");
        good = strstr(t, "PG_VERSION") != NULL;
    } else if (writes(t) && names_data(t, pgdata) && !strstr(t, "PG_VERSION")) {
        buf_printf(out, "%s%s writes into the data directory without asking for PG_VERSION, so initdb would refuse a fresh volume: let it "
                        "begin with 'test -f $PGDATA/PG_VERSION'", out->len ? "; " : "", who);
        good = false;
    }
    buf_free(&text);
    return good;
}

bool judge_first_writers(const struct json_t *pod_spec, const char *volume, const char *pgdata, struct buf *out)
{
    const struct json_t *init = jd_get(pod_spec, "initContainers"), *containers = jd_get(pod_spec, "containers");
    bool good = true;
    size_t n = 0;
    for (size_t i = 0; i < jd_len(init); i++) {
        const struct json_t *c = jd_at(init, i);
        if (!pod_may_write(c, volume))
            continue;
        char *who = str_printf("init container %s", jd_str(c, "name"));
        good = judge_command(jd_get(c, "command"), jd_get(c, "args"), who, pgdata, out) && good;
        mem_free(who);
        n++;
    }
    for (size_t i = 0; i < jd_len(containers); i++) {
        const struct json_t *c = jd_at(containers, i), *hook = jd_get(c, "lifecycle.postStart.exec.command");
        if (!hook || !pod_may_write(c, volume))
            continue;
        char *who = str_printf("the postStart hook of %s", jd_str(c, "name"));
        good = judge_command(hook, NULL, who, pgdata, out) && good;
        mem_free(who);
        n++;
    }
    if (good)
        buf_printf(out, "%zu init containers and hooks reach the data volume%s", n, n ? ", none writes before initdb" : "");
    return good;
}

bool judge_initdb_scripts(const struct json_t *pod_spec, const char *volume, struct buf *out)
{
    const struct json_t *mounts = jd_get(postgres_container(pod_spec, volume), "volumeMounts");
    for (size_t i = 0; i < jd_len(mounts); i++) {
        const char *path = jd_str(jd_at(mounts, i), "mountPath");
        if (path && str_starts(path, "/docker-entrypoint-initdb.d")) {
            buf_printf(out, "scripts of volume %s run at first boot: what they make must not be in the dump, too",
                       jd_str(jd_at(mounts, i), "name"));
            return false;
        }
    }
    buf_adds(out, "no scripts run at first boot");
    return true;
}

/* ---- The data directory ---- */

bool judge_pgdata(const struct json_t *container, const char *volume, const char *pgdata, struct buf *out)
{
    const char *sub, *mount = postgres_mount_path(container, volume, &sub);
    if (!mount) {
        buf_printf(out, "no container mounts volume %s", volume);
        return false;
    }
    size_t n = strlen(mount);
    while (n > 1 && mount[n - 1] == '/')
        n--;
    if (*sub) {
        buf_printf(out, "the mount has subPath %s", sub);
        return true;
    }
    if (strncmp(pgdata, mount, n) != 0 || (pgdata[n] != '/' && pgdata[n])) {
        buf_printf(out, "PGDATA is %s, but volume %s is mounted at %s: the data would not be on it", pgdata, volume, mount);
        return false;
    }
    if (strspn(pgdata + n, "/") == strlen(pgdata + n)) {
        buf_printf(out, "PGDATA is the mount point %s itself: a fresh ext4 has lost+found there and initdb refuses. Set PGDATA to a folder "
                        "below it, or give the mount a subPath", mount);
        return false;
    }
    buf_printf(out, "PGDATA %s is a folder below the mount point", pgdata);
    return true;
}

int64_t judge_shm_bytes(const struct json_t *pod_spec, const char *volume)
{
    const struct json_t *container = postgres_container(pod_spec, volume);
    const struct json_t *mounts = jd_get(container, "volumeMounts"), *volumes = jd_get(pod_spec, "volumes");
    for (size_t i = 0; i < jd_len(mounts); i++) {
        if (!str_eq(jd_str(jd_at(mounts, i), "mountPath"), "/dev/shm"))
            continue;
        int v = postgres_volume_index(pod_spec, jd_str(jd_at(mounts, i), "name"));
        const char *limit = v < 0 ? NULL : jd_str(jd_at(volumes, (size_t)v), "emptyDir.sizeLimit");
        int64_t bytes;
        return str_quantity(slice_of(limit), &bytes) ? bytes : INT64_MAX;
    }
    return SHM_DEFAULT;
}

bool judge_shm(int64_t have, int64_t work_mem, int64_t workers, struct buf *out)
{
    if (workers == 0 || have >= work_mem) {
        buf_adds(out, have == INT64_MAX ? "/dev/shm has no limit of its own" : "/dev/shm is large enough for index builds");
        return true;
    }
    buf_printf(out, "/dev/shm has %lld MiB and maintenance_work_mem is %lld MiB: index builds by several workers may fail. Mount an emptyDir "
                    "with medium Memory there", (long long)(have >> 20), (long long)(work_mem >> 20));
    return false;
}

/* ---- Who else mounts it ---- */

static bool listed(const char *kind, const char *name, const char *const *quiesce, size_t n)
{
    char *text = str_printf("%s/%s", kind, name);
    bool found = false;
    for (size_t i = 0; i < n; i++)
        found = found || str_eq(quiesce[i], text);
    mem_free(text);
    return found;
}

static bool starts_with_dash(const char *name, const char *prefix)
{
    return prefix && str_starts(name, prefix) && name[strlen(prefix)] == '-';
}

/* A pod of a replica set or job of something that is listed, by the names that controllers give. */
static bool is_of_listed(const char *owner, const char *deployment, const char *const *quiesce, size_t n)
{
    if (starts_with_dash(owner, deployment))
        return true;
    for (size_t i = 0; i < n; i++) {
        const char *name = strchr(quiesce[i], '/');
        if (name && (str_eq(owner, name + 1) || starts_with_dash(owner, name + 1)))
            return true;
    }
    return false;
}

void judge_mounters(const struct json_t *list, const char *kind, const char *claim, const char *deployment, const char *const *quiesce,
                    size_t nquiesce, struct claim_mounters *m)
{
    const struct json_t *items = jd_get(list, "items");
    for (size_t i = 0; i < jd_len(items); i++) {
        const struct json_t *o = jd_at(items, i);
        const char *name = jd_str(o, "metadata.name"), *owner_kind, *owner = postgres_owner(o, &owner_kind);
        if (!name || !postgres_mounts(postgres_pod_spec(o), claim) || (str_eq(kind, "pod") && postgres_pod_finished(o)))
            continue;
        if (str_eq(kind, "job") && postgres_job_ended(o))
            continue;
        if (str_eq(kind, "deployment") && str_eq(name, deployment))
            continue;
        bool of_deployment = owner && starts_with_dash(owner, deployment) && str_eq(owner_kind, "ReplicaSet");
        if (of_deployment)
            continue;
        bool known = listed(kind, name, quiesce, nquiesce) || (owner && is_of_listed(owner, deployment, quiesce, nquiesce));
        struct buf *out = known ? &m->known : &m->foreign;
        buf_printf(out, "%s%s/%s", out->len ? ", " : "", kind, name);
    }
}

/* ---- Circles ---- */

const char *judge_circle(struct slice name, struct slice image)
{
    static const struct {
        const char *word, *product;
    } known[] = {
        {"keycloak", "Keycloak"}, {"authentik", "authentik"}, {"authelia", "Authelia"}, {"zitadel", "Zitadel"}, {"dexidp", "Dex"},
        {"kanidm", "Kanidm"}, {"ory/", "Ory"}, {"vaultwarden", "Vaultwarden"}, {"hashicorp/vault", "Vault"}, {"openbao", "OpenBao"},
        {"infisical", "Infisical"}, {"external-secrets", "External Secrets"}, {"gitea", "Gitea"}, {"forgejo", "Forgejo"},
        {"gitlab", "GitLab"}, {"argocd", "Argo CD"}, {"atlantis", "Atlantis"}, {"harbor", "Harbor"},
    };
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (slice_contains(name, known[i].word) || slice_contains(image, known[i].word))
            return known[i].product;
    return NULL;
}

/* ---- Numbers ---- */

bool judge_size(int64_t used, int64_t wal, int64_t claim, struct buf *out)
{
    int64_t peak = used + wal, room = claim / 10 * 7;
    buf_printf(out, "%lld MiB of data and up to %lld MiB of write-ahead log; 70 %% of the new claim is %lld MiB", (long long)(used >> 20),
               (long long)(wal >> 20), (long long)(room >> 20));
    if (peak <= room)
        return true;
    buf_adds(out, ". Raise claim.size of the plan");
    return false;
}

bool judge_driver(struct slice drivers, struct slice driver, int64_t *ret_limit)
{
    struct slice item;
    *ret_limit = -1;
    while (slice_cut(&drivers, ',', &item)) {
        struct slice rest = slice_trim(item), name;
        slice_cut(&rest, ' ', &name);
        if (!slice_eq(name, driver))
            continue;
        struct slice number;
        if (rest.p && slice_cut(&rest, ' ', &number))
            slice_to_i64(number, ret_limit);
        return true;
    }
    return false;
}
