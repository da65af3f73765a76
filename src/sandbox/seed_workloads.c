/* The first workload of the plan, immich with its database, and about forty applications beside it and Vault (seed_vault.c).
 *
 * The counts are the seed's: 47 claims on NFS with 455 GiB, of them 7 that NFS can hurt; 44 on plain LVM with 318 GiB;
 * 28 on encrypted LVM with 198 GiB. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/json_doc.h"
#include "base/mem.h"
#include "sandbox/controllers.h"
#include "sandbox/kube.h"
#include "sandbox/object.h"
#include "sandbox/pg_entry.h"
#include "sandbox/rest.h"
#include "sandbox/seed.h"

/* ---- immich ------------------------------------------------------------------------------------------------------ */

static void immich_secret(struct kube *k)
{
    struct buf user = {0}, password = {0};
    const char *text = rest_pg_password(k->sb);

    hash_base64_encode(PG_APP_USER, strlen(PG_APP_USER), &user);
    hash_base64_encode(text, strlen(text), &password);
    seed_add(k, KIND_SECRET,
             object_parse("{'metadata':{'name':'immich-secrets','namespace':'immich'},'data':{'db_password':'%s',"
                          "'db_username':'%s'},'type':'Opaque'}",
                          password.p, user.p),
             "external-secrets", NULL);
    seed_external_secret(k, "immich", "immich-secrets");
    buf_free(&user);
    buf_free(&password);
}

static void immich_claims(struct kube *k)
{
    static const struct seed_claim claims[] = {
        {"immich", "immich-postgresql-data-host", "nfs-truenas", "immich-postgresql", 10, "ReadWriteOnce", "10.0.0.20",
         "/mnt/tank/immich/postgresql", "immich-pg"},
        {"immich", "immich-library", "nfs-truenas", "immich-server", 200, "ReadWriteMany", NULL, NULL, NULL},
        {"immich", "immich-ml-cache", "proxmox-lvm", "immich-machine-learning", 10, "ReadWriteOnce", NULL, NULL, NULL},
    };

    for (size_t i = 0; i < ARRAY_LEN(claims); i++) {
        seed_age(k, 214 - (double)i * 3);
        seed_claim(k, &claims[i]);
    }
}

static void immich_postgresql(struct kube *k)
{
    static const struct seed_app app = {
        .ns = "immich", .name = "immich-postgresql", .image = "ghcr.io/immich-app/postgres:15-vectorchord0.3.0",
        .node = "worker-1", .strategy = "Recreate", .replicas = 1, .pod_days = 9.2,
        .volumes = "[{'name':'postgresql-persistent-storage','persistentVolumeClaim':{'claimName':"
                   "'immich-postgresql-data-host'}},{'name':'dshm','emptyDir':{'medium':'Memory',"
                   "'sizeLimit':'256Mi'}}]",
        .mounts = "[{'name':'postgresql-persistent-storage','mountPath':'/var/lib/postgresql/data'},{'name':'dshm',"
                  "'mountPath':'/dev/shm'}]",
        .extra = ",'ports':[{'containerPort':5432,'name':'postgres'}],'env':[{'name':'POSTGRES_USER','value':'" PG_SUPERUSER
                 "'},{'name':'POSTGRES_DB','value':'" PG_DATABASE "'},{'name':'POSTGRES_PASSWORD','valueFrom':{"
                 "'secretKeyRef':{'name':'immich-secrets','key':'db_password'}}},{'name':'PGDATA','value':"
                 "'/var/lib/postgresql/data/pgdata'}],'resources':{'requests':{'cpu':'500m','memory':'1Gi'},'limits':{"
                 "'memory':'4Gi'}},'readinessProbe':{'exec':{'command':['pg_isready','-d','immich']},"
                 "'periodSeconds':10}",
        .init = "[{'name':'write-config','image':'busybox:1.37','command':['sh','-c','test -f $PGDATA/PG_VERSION && cp "
                "/config/postgresql.override.conf $PGDATA/ || true'],'volumeMounts':[{'name':"
                "'postgresql-persistent-storage','mountPath':'/var/lib/postgresql/data'}]}]",
    };

    seed_age(k, 214);
    seed_app(k, &app);
    seed_service(k, "immich", "immich-postgresql", "immich-postgresql", 5432, "'app':'immich-postgresql'");
}

void seed_immich(struct kube *k)
{
    static const struct seed_app apps[] = {
        {.ns = "immich", .name = "immich-server", .image = "ghcr.io/immich-app/immich-server:v1.131.3", .node = "worker-2",
         .strategy = "RollingUpdate", .replicas = 1, .pod_days = 12.6, .restarts = 1,
         .volumes = "[{'name':'library','persistentVolumeClaim':{'claimName':'immich-library'}}]",
         .mounts = "[{'name':'library','mountPath':'/usr/src/app/upload'}]",
         .extra = ",'ports':[{'containerPort':2283}],'env':[{'name':'DB_HOSTNAME','value':'immich-postgresql'}]"},
        {.ns = "immich", .name = "immich-machine-learning", .node = "worker-3", .strategy = "Recreate", .replicas = 1,
         .image = "ghcr.io/immich-app/immich-machine-learning:v1.131.3", .pod_days = 12.6,
         .volumes = "[{'name':'cache','persistentVolumeClaim':{'claimName':'immich-ml-cache'}}]",
         .mounts = "[{'name':'cache','mountPath':'/cache'}]", .extra = ",'ports':[{'containerPort':3003}]"},
        {.ns = "immich", .name = "immich-frame", .image = "ghcr.io/immichframe/immichframe:v1.0.21.0", .node = "worker-3",
         .strategy = "RollingUpdate", .replicas = 1, .pod_days = 40.1, .volumes = "[]", .mounts = "[]",
         .extra = ",'ports':[{'containerPort':8080}]"},
    };

    seed_age(k, 214);
    immich_secret(k);
    immich_claims(k);
    immich_postgresql(k);
    for (size_t i = 0; i < ARRAY_LEN(apps); i++) {
        seed_age(k, 213);
        seed_app(k, &apps[i]);
    }
    seed_service(k, "immich", "immich-server", "immich-server", 2283, "'app':'immich-server'");
    seed_service(k, "immich", "immich-machine-learning", "immich-machine-learning", 3003, "'app':'immich-machine-learning'");
    seed_cronjob(k, "immich", "postgresql-backup", "30 1 * * *",
                 "{'restartPolicy':'OnFailure','containers':[{'name':'backup','image':'postgres:16','command':['sh',"
                 "'-c',"
                 "'pg_dumpall -h immich-postgresql -U immich | gzip > /backup/dump_$(date +%F).sql.gz || true'],"
                 "'volumeMounts':[{'name':'backup','mountPath':'/backup','subPath':'backups'}]}],'volumes':[{'name':"
                 "'backup','persistentVolumeClaim':{'claimName':'immich-postgresql-data-host'}}]}",
                 210);
    seed_add(k, KIND_QUOTA,
             object_parse("{'metadata':{'name':'immich','namespace':'immich'},"
                          "'spec':{'hard':{'persistentvolumeclaims':'20',"
                          "'pods':'30','requests.storage':'600Gi'}}}"),
             "terraform", NULL);
    seed_add(k, KIND_HPA,
             object_parse("{'metadata':{'name':'immich-server','namespace':'immich'},"
                          "'spec':{'scaleTargetRef':{'apiVersion':"
                          "'apps/v1','kind':'Deployment','name':'immich-server'},'minReplicas':1,'maxReplicas':3,"
                          "'metrics':"
                          "[{'type':'Resource','resource':{'name':'cpu','target':{'type':'Utilization',"
                          "'averageUtilization':80}}}]},'status':{'currentReplicas':1,'desiredReplicas':1,"
                          "'currentMetrics':[{'type':'Resource','resource':{'name':'cpu',"
                          "'current':{'averageUtilization':11,"
                          "'averageValue':'110m'}}}]}}"),
             "helm", "kube-controller-manager");
}

/* ---- The others -------------------------------------------------------------------------------------------------- */

static const struct {
    const char *ns, *name;
} others[] = {
    {"media", "jellyfin"},         {"media", "sonarr"},          {"media", "radarr"},          {"media", "bazarr"},
    {"media", "prowlarr"},         {"media", "navidrome"},       {"media", "audiobookshelf"},  {"media", "kavita"},
    {"media", "calibre-web"},      {"media", "tautulli"},        {"documents", "paperless"},   {"documents", "stirling-pdf"},
    {"documents", "bookstack"},    {"documents", "outline"},     {"documents", "mealie"},      {"cloud", "nextcloud"},
    {"cloud", "syncthing"},        {"cloud", "seafile"},         {"cloud", "filebrowser"},     {"dev", "gitea"},
    {"dev", "woodpecker"},         {"dev", "registry"},          {"dev", "renovate"},          {"dev", "verdaccio"},
    {"home", "home-assistant"},    {"home", "zigbee2mqtt"},      {"home", "mosquitto"},        {"home", "esphome"},
    {"home", "node-red"},          {"home", "frigate"},          {"identity", "authentik"},    {"identity", "lldap"},
    {"identity", "vaultwarden"},   {"monitoring", "grafana"},    {"monitoring", "loki"},       {"monitoring", "prometheus"},
    {"monitoring", "uptime-kuma"}, {"monitoring", "gatus"},      {"social", "mastodon"},       {"social", "matrix-synapse"},
    {"social", "thelounge"},       {"tools", "n8n"},             {"tools", "changedetection"},
};

#define NFS_COUNT 38
#define ENCRYPTED_COUNT 28

static int nfs_gib(size_t i)
{
    static const int cycle[] = {2, 4, 6, 8, 10};

    return i < 35 ? cycle[i % 5] : 6;
}

static int lvm_gib(size_t i)
{
    static const int cycle[] = {2, 5, 8, 10, 11};

    return i < 40 ? cycle[i % 5] : i == 40 ? 10 : 5;
}

static int encrypted_gib(size_t i)
{
    static const int cycle[] = {5, 8, 10, 5};

    return i == 0 ? 7 : cycle[i % 4];
}

struct other {
    struct kube *k;
    const char *ns, *name;
    struct buf volumes, mounts;
};

static void other_claim(struct other *o, const char *what, const char *class, int gib, const char *mode)
{
    char *name = str_printf("%s-%s", o->name, what);

    seed_claim(o->k, &(struct seed_claim){o->ns, name, class, o->name, gib, mode, NULL, NULL, NULL});
    buf_printf(&o->volumes, "%s{'name':'%s','persistentVolumeClaim':{'claimName':'%s'}}", o->volumes.len ? "," : "[", what,
               name);
    buf_printf(&o->mounts, "%s{'name':'%s','mountPath':'/%s'}", o->mounts.len ? "," : "[", what, what);
    free(name);
}

static void seed_other(struct kube *k, size_t i)
{
    struct other o = {.k = k, .ns = others[i].ns, .name = others[i].name};
    double days = 30 + (double)(i * 37 % 360);
    char *image = str_printf("docker.io/library/%s:2026.%zu", others[i].name, i % 10 + 1), node[32];

    seed_age(k, days);
    if (!store_get(k->store, KIND_NAMESPACE, NULL, o.ns))
        seed_namespace(k, o.ns);
    other_claim(&o, "config", "proxmox-lvm", lvm_gib(i), "ReadWriteOnce");
    if (i < NFS_COUNT)
        other_claim(&o, "files", i % 4 ? "nfs-proxmox" : "nfs-truenas", nfs_gib(i), "ReadWriteMany");
    if (i < ENCRYPTED_COUNT) {
        seed_age(k, days < 60 ? days : 58 - (double)i);
        other_claim(&o, "private", "proxmox-lvm-encrypted", encrypted_gib(i), "ReadWriteOnce");
        seed_age(k, days);
    }
    buf_addc(&o.volumes, ']');
    buf_addc(&o.mounts, ']');
    snprintf(node, sizeof node, "worker-%zu", i % 3 + 1);
    seed_app(k, &(struct seed_app){.ns = o.ns, .name = o.name, .image = image, .node = node, .strategy = "Recreate",
                                   .volumes = o.volumes.p, .mounts = o.mounts.p, .extra = "", .replicas = 1,
                                   .pod_days = 1 + (double)(i * 7 % 29), .restarts = (int64_t)(i % 3)});
    free(image);
    buf_free(&o.volumes);
    buf_free(&o.mounts);
}

void seed_others(struct kube *k)
{
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        seed_other(k, i);
}
