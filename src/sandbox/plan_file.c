/* DIR/plan.yaml: the plan of the seed's migration, with the ports and paths of this run. */
#include <stdlib.h>

#include "base/file.h"
#include "base/json_doc.h"
#include "sandbox/kube.h"
#include "sandbox/object.h"
#include "sandbox/rest.h"

#define PASSPHRASE "dump-passphrase"

/* The dumps' passphrase: made once, and kept by a saved sandbox. */
static struct err *write_passphrase(struct sandbox *s)
{
    char *path = str_printf("%s/" PASSPHRASE, s->dir), *text = rest_random_hex(20), *line = str_printf("%s\n", text);
    struct err *e = file_exists(path) ? NULL : rest_write(s, PASSPHRASE, line, 0600);

    free(path);
    free(text);
    free(line);
    return e;
}

static void write_postgres(struct buf *b, const struct sandbox *s)
{
    buf_adds(b, "  - name: immich-postgres\n"
                "    kind: postgres-dump-restore\n"
                "    namespace: immich\n"
                "    deployment: immich-postgresql\n"
                "    volume: postgresql-persistent-storage\n"
                "    claim: { name: immich-postgresql-data-encrypted, size: 10Gi, apply: console }\n"
                "    quiesce: [deployment/immich-server, deployment/immich-machine-learning, deployment/immich-frame,\n"
                "              cronjob/postgresql-backup]\n");
    buf_printf(b, "    postgres: { via: direct, conninfo: \"host=127.0.0.1 port=%u dbname=immich user=immich", s->ports.postgres);
    if (s->ports.postgres_password_file)
        buf_printf(b, " passfile='%s'", s->ports.postgres_password_file);
    buf_adds(b, "\" }\n");
    buf_printf(b, "    dump: { strategy: dumpall, directory: \"%s/dumps\",\n"
               "            encrypt: { passphrase_file: \"%s/" PASSPHRASE "\" } }\n", s->dir, s->dir);
    buf_adds(b, "    restart_for_preload: [vchord, vectors, pg_prewarm]\n"
                "    reindex: [clip_index, face_index]\n"
                "    verify:\n"
                "      extensions: { drift: minor }\n"
                "      rows: all\n"
                "      login: { user: immich, secret: immich-secrets, key: db_password }\n");
    if (s->ports.app)
        buf_printf(b, "    http:\n      - { url: \"http://127.0.0.1:%u/immich/api/server/about\", expect: 200, body: "
                   "'\"version\"' }\n", s->ports.app);
    buf_adds(b, "    retain: 7d\n");
}

/* A day; on a fast clock a sample still takes a second, and the rest is in proportion. */
static void write_window(struct buf *b, const struct sandbox *s)
{
    int64_t sample = s->time_scale > 10 ? (int64_t)s->time_scale + 1 : 10;

    if (sample == 10)
        buf_adds(b, "    window: { duration: 24h, sample: 10s, max_gap: 5m, fail_after: 30s }\n");
    else
        buf_printf(b, "    window: { duration: 24h, sample: %llds, max_gap: %llds, fail_after: %llds }\n", (long long)sample,
                   (long long)(sample * 10), (long long)(sample * 3));
}

static void write_vault(struct buf *b, const struct sandbox *s)
{
    buf_adds(b, "  - name: vault\n"
                "    kind: raft-rolling\n"
                "    namespace: vault\n"
                "    statefulset: vault\n");
    buf_printf(b, "    vault: { via: kube-proxy, port: 8200, scheme: http, token: { file: \"%s/vault-token\" },\n"
               "             write_probe: cubbyhole/ferryman-probe }\n", s->dir);
    buf_printf(b, "    snapshot: { directory: \"%s/snapshots\", encrypt: { passphrase_file: \"%s/" PASSPHRASE "\" } }\n", s->dir, s->dir);
    buf_adds(b, "    template: { apply: console }\n");
    write_window(b, s);
    if (s->ports.app)
        buf_printf(b, "    http:\n      - { url: \"http://127.0.0.1:%u/vault/v1/sys/health?standbyok=true\", expect: "
                      "200 }\n",
                   s->ports.app);
    buf_adds(b, "    retain: 7d\n");
}

static void write_rest(struct buf *b, const struct sandbox *s)
{
    if (s->ports.lvs_command)
        buf_printf(b, "snapshots: { command: [\"%s\"], daily: \"03:00\" }\n", s->ports.lvs_command);
    buf_adds(b, "backups: { cronjobs: [immich/postgresql-backup, vault/vault-raft-backup], clean_days: 7 }\n");
    if (s->ports.alertmanager)
        buf_printf(b, "alerts: { alertmanager: \"http://127.0.0.1:%u\", watchdog: Watchdog, ignore: [] }\n",
                   s->ports.alertmanager);
}

struct err *plan_file_write(struct sandbox *s)
{
    struct json_t *system = kube_get(s->kube, KIND_NAMESPACE, NULL, "kube-system");
    struct buf b = {0};
    char *path = str_printf("%s/plan.yaml", s->dir);

    buf_adds(&b, "# Written by ferryman-sandbox; it works as it is with the kubeconfig beside it.\n"
                 "plan: nfs-hostile\ncontext: home\n");
    buf_printf(&b, "cluster: %s\n", object_uid_of(system));
    buf_adds(&b, "source: { storageClasses: [nfs-proxmox, nfs-truenas] }\n"
                 "target: { storageClass: proxmox-lvm-encrypted, encrypted: required }\n"
                 "remaining: [vault/vault-backup-host]\n"
                 "hours: \"00:00-24:00 UTC\"\n"
                 "workloads:\n");
    write_postgres(&b, s);
    write_vault(&b, s);
    write_rest(&b, s);
    struct err *e = write_passphrase(s);
    if (!e)
        e = file_write_durable(path, b.p, b.len, 0600);
    jd_free(system);
    buf_free(&b);
    free(path);
    return e;
}
