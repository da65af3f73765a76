/* The joins of the Kubernetes source: claims with volumes, classes and users; lists that replace; namespaces one by one
 * where the cluster is denied; what the timeline says; and the recorded races of claims and pods. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <glob.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "kube_feed.h"
#include "world/freshness.h"

#define PVC "PersistentVolumeClaim"
#define PV "PersistentVolume"

static const char *const namespaces[] = {"vault", "immich", NULL};
static const struct kube_plan_object objects[] = {{"vault", "StatefulSet", "vault"}, {"immich", "Deployment", "pg"}};
static const char *const remaining[] = {"vault/vault-backup-host", NULL};
static const char *const sources[] = {"nfs-proxmox", NULL};

static struct kube_feed *with_plan(void) {
    return kube_feed_new(&(struct kube_source_options){
        .namespaces = namespaces,
        .objects = objects,
        .nobjects = ARRAY_LEN(objects),
        .remaining = remaining,
        .source_classes = sources,
        .target_class = "proxmox-lvm-encrypted",
    });
}

static struct kube_feed *without_plan(void) {
    return kube_feed_new(&(struct kube_source_options){0});
}

/* ---- Objects ----------------------------------------------------------------------------------------------------- */

static void feed(struct kube_feed *f, const char *kind, bool deleted, const char *fmt, ...) PRINTF_LIKE(4, 5);
static void feed(struct kube_feed *f, const char *kind, bool deleted, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    char *json = str_vprintf(fmt, ap);
    va_end(ap);
    for (char *p = json; *p; p++)
        if (*p == '\'') *p = '"';
    kube_feed_object(f, kind, json, deleted);
    assert_int_equal(f->unreadable, 0);
    mem_free(json);
}

#define CLAIM(uid, ns, name, class, phase, volume, more)                                                               \
    "{'metadata':{'uid':'" uid "','namespace':'" ns "','name':'" name "','resourceVersion':'7',"                       \
    "'creationTimestamp':'2026-04-01T00:00:00Z'" more                                                                  \
    "},'spec':{'accessModes':['ReadWriteOnce'],'resources':{'requests':"                                               \
    "{'storage':'2Gi'}},'storageClassName':'" class "','volumeName':'" volume "'},'status':{'phase':'" phase "'}}"
#define NFS_VOLUME(uid, name, class, claim_uid)                                                                        \
    "{'metadata':{'uid':'" uid "','name':'" name "','creationTimestamp':'2026-04-01T00:00:00Z'},'spec':{'"             \
                                                 "storageClassName':'" class "','persistentVolumeReclaimPolicy':'"     \
                                                                             "Delete','claimRef':{'uid':'" claim_uid   \
                                                                             "','namespace':'x','name':'y'},'csi':{'"  \
                                                                             "driver':'nfs.csi.k8s.io',"               \
                                                                             "'volumeHandle':'h','volumeAttributes':{" \
                                                                             "'server':'10.0.0.5','share':'/"          \
                                                                             "export'}}},'status':{'phase':'Bound'}}"
#define LVM_VOLUME(uid, name, claim_uid)                                                                               \
    "{'metadata':{'uid':'" uid "','name':'" name                                                                       \
    "','creationTimestamp':'2026-04-01T00:00:00Z'},'spec':{'storageClassName':'proxmox-lvm-encrypted',"                \
    "'persistentVolumeReclaimPolicy':'Retain','claimRef':{'uid':'" claim_uid                                           \
    "'},'csi':{'driver':'csi.proxmox.sinextra.dev','volumeHandle':"                                                    \
    "'home/pve1/local-lvm/"                                                                                            \
    "vm-9999-pvc-1','nodeStageSecretRef':{'name':'s','namespace':'n'}}},'status':{'phase':'Bound'}}"
#define POD(uid, ns, name, owner_kind, owner, claim, phase, image)                                                     \
    "{'metadata':{'uid':'" uid "','namespace':'" ns "','name':'" name "','ownerReferences':[{'kind':'" owner_kind      \
    "','name':'" owner "','uid':'o','controller':true}]},'spec':{'containers':[{'name':'c','image':'" image            \
    "'}],'volumes':[{'name':'v','persistentVolumeClaim':"                                                              \
    "{'claimName':'" claim "'}}]},'status':{'phase':'" phase                                                           \
    "','containerStatuses':[{'ready':true,'restartCount':0,'state':{'running':{}}}]}}"

static const struct row *row_of(const struct kube_feed *f, enum world_table t, const char *uid) {
    const struct row *r = world_find(f->world, t, slice_of(uid));
    if (!r) fail_msg("no row %s", uid);
    return r;
}

static void assert_cell(const struct kube_feed *f, enum world_table t, const char *uid, int col, const char *want) {
    struct slice got = row_text(row_of(f, t, uid), col);
    if (!want ? got.p != NULL : !slice_is(got, want))
        fail_msg("%s.%s of %s is \"%.*s\", not \"%s\"", world_table_info(t)->name, world_table_info(t)->cols[col].name,
                 uid, SLICE_FMT(got), want ? want : "null");
}

#define assert_claim(f, uid, col, want) assert_cell(f, T_CLAIMS, uid, CLAIMS_##col, want)

static unsigned timeline_count(const struct kube_feed *f, const char *part) {
    unsigned n = 0;
    for (const struct row *r = world_first(f->world, T_TIMELINE); r; r = world_next(f->world, r))
        n += slice_contains(row_text(r, TIMELINE_TEXT), part);
    return n;
}

/* ---- Joins ------------------------------------------------------------------------------------------------------- */

static void test_claim_before_its_volume(void **state) {
    (void)state;
    struct kube_feed *f = with_plan();
    feed(f, PVC, false, CLAIM("u1", "media", "files", "nfs-proxmox", "Bound", "pv1", ""));
    assert_claim(f, "u1", STATE, "UNKNOWN");
    assert_claim(f, "u1", EVIDENCE, "its volume is not known");
    feed(f, PV, false, NFS_VOLUME("v1", "pv1", "nfs-proxmox", "u1"));
    assert_claim(f, "u1", STATE, "FINE");
    assert_claim(f, "u1", STORAGE, "NFS 10.0.0.5");
    assert_claim(f, "u1", RECLAIM, "Delete");
    assert_claim(f, "u1", EVIDENCE, "pv.spec.csi.driver nfs.csi.k8s.io, server 10.0.0.5, share /export");
    feed(f, PV, true, NFS_VOLUME("v1", "pv1", "nfs-proxmox", "u1"));
    assert_claim(f, "u1", STATE, "UNKNOWN");
    assert_claim(f, "u1", RECLAIM, NULL);
    kube_feed_free(f);
}

/* A volume of the right name that belongs to another claim says nothing about this one. */
static void test_volume_of_another_claim(void **state) {
    (void)state;
    struct kube_feed *f = with_plan();
    feed(f, PV, false, NFS_VOLUME("v1", "pv1", "nfs-proxmox", "somebody-else"));
    feed(f, PVC, false, CLAIM("u1", "media", "files", "x", "Bound", "pv1", ""));
    assert_claim(f, "u1", BACKEND, "unknown");
    kube_feed_free(f);
}

#define CLASS(uid, name, provisioner, created, more)                                                                   \
    "{'metadata':{'uid':'" uid "','name':'" name "','creationTimestamp':'" created "'},'provisioner':'" provisioner    \
    "'" more "}"

static void test_class_fills_in(void **state) {
    (void)state;
    struct kube_feed *f = with_plan();
    feed(f, PVC, false, CLAIM("u1", "vault", "data-vault-0", "nfs-proxmox", "Pending", "", ""));
    assert_claim(f, "u1", STATE, "PENDING");
    feed(f, "StorageClass", false, CLASS("c1", "nfs-proxmox", "nfs.csi.k8s.io", "2026-01-01T00:00:00Z", ""));
    assert_claim(f, "u1", STATE, "PENDING");
    assert_claim(f, "u1", BACKEND, "nfs");
    assert_cell(f, T_STORAGE_CLASSES, "c1", STORAGE_CLASSES_ROLE, "source");
    feed(f, "Pod", false,
         POD("p1", "vault", "vault-0", "StatefulSet", "vault", "data-vault-0", "Pending", "hashicorp/vault:1.18.1"));
    assert_claim(f, "u1", STATE, "HOSTILE");
    assert_claim(f, "u1", EVIDENCE, "class nfs-proxmox: provisioner nfs.csi.k8s.io; used by a workload of the plan");
    feed(f, "StorageClass", false,
         CLASS("c0", "lvm", "csi.proxmox.sinextra.dev", "2026-01-01T00:00:00Z",
               ",'parameters':{'csi.storage.k8s.io/node-stage-secret-name':'s'}"));
    feed(f, PVC, false, CLAIM("u0", "vault", "new", "lvm", "Pending", "", ""));
    assert_claim(f, "u0", STORAGE, "LUKS declared");
    /* What a volume's driver leaves open (here: encryption), the class of its time says. */
    feed(f, "StorageClass", false,
         CLASS("c2", "ebs", "ebs.csi.aws.com", "2026-01-01T00:00:00Z", ",'parameters':{'encrypted':'true'}"));
    feed(f, PV, false,
         "{'metadata':{'uid':'v2','name':'pv2','creationTimestamp':'2026-04-01T00:00:00Z'},'spec':{'claimRef':{'uid':'"
         "u2'},"
         "'csi':{'driver':'ebs.csi.aws.com','volumeHandle':'vol-1'}}}");
    feed(f, PVC, false, CLAIM("u2", "db", "d", "ebs", "Bound", "pv2", ""));
    assert_claim(f, "u2", STORAGE, "KMS declared");
    /* A class of that name which was made later is not the one that made the volume. */
    feed(f, "StorageClass", true, CLASS("c2", "ebs", "ebs.csi.aws.com", "2026-01-01T00:00:00Z", ""));
    feed(f, "StorageClass", false,
         CLASS("c3", "ebs", "ebs.csi.aws.com", "2026-05-01T00:00:00Z", ",'parameters':{'encrypted':'true'}"));
    assert_claim(f, "u2", STORAGE, "block unknown");
    kube_feed_free(f);
}

/* Volumes and classes may be denied: what is left is who was asked to make the claim, also when it is judged again. */
static void test_annotation_alone(void **state) {
    (void)state;
    struct kube_feed *f = with_plan();
    feed(f, PVC, false,
         CLAIM("u1", "vault", "data-vault-0", "x", "Bound", "pv1",
               ",'annotations':{'volume.kubernetes.io/storage-provisioner':'nfs.csi.k8s.io'}"));
    assert_claim(f, "u1", STATE, "FINE");
    assert_claim(f, "u1", STORAGE, "NFS");
    assert_claim(f, "u1", EVIDENCE, "annotation storage-provisioner nfs.csi.k8s.io");
    feed(f, "Pod", false, POD("p1", "vault", "vault-0", "StatefulSet", "vault", "data-vault-0", "Running", "vault:1"));
    assert_claim(f, "u1", STATE, "HOSTILE");
    feed(f, "Pod", true, POD("p1", "vault", "vault-0", "StatefulSet", "vault", "data-vault-0", "Running", "vault:1"));
    assert_claim(f, "u1", STATE, "RETIRED");
    assert_claim(f, "u1", EVIDENCE,
                 "annotation storage-provisioner nfs.csi.k8s.io; no pod of the plan's workload mounts it any more");
    kube_feed_free(f);
}

/* ---- States ------------------------------------------------------------------------------------------------------ */

#define DEPLOYMENT(claim)                                                                                              \
    "{'metadata':{'uid':'d1','namespace':'immich','name':'pg','generation':1},'spec':{'replicas':1,'template':{'spec'" \
    ":{'containers':"                                                                                                  \
    "[{'image':'pgvecto-rs:16'}],'volumes':[{'persistentVolumeClaim':{'claimName':'" claim                             \
    "'}}]}}},'status':{'observedGeneration':1,"                                                                        \
    "'replicas':1,'readyReplicas':1,'updatedReplicas':1}}"
#define CRONJOB(ns, name, claim)                                                                                       \
    "{'metadata':{'uid':'cj-" name "','namespace':'" ns "','name':'" name                                              \
    "'},'spec':{'schedule':'@daily','jobTemplate':{'spec':{'template':"                                                \
    "{'spec':{'containers':[{'image':'postgres:16'}],'volumes':[{'persistentVolumeClaim':{'claimName':'" claim         \
    "'}}]}}}}},'status':{}}"

static void test_swap_of_a_deployment(void **state) {
    (void)state;
    struct kube_feed *f = with_plan();
    feed(f, PV, false, NFS_VOLUME("v1", "pv1", "nfs-truenas", "old"));
    feed(f, PVC, false, CLAIM("old", "immich", "pg-host", "nfs-truenas", "Bound", "pv1", ""));
    feed(f, "CronJob", false, CRONJOB("immich", "backup", "pg-host"));
    assert_claim(f, "old", STATE, "FINE");
    feed(f, "Deployment", false, DEPLOYMENT("pg-host"));
    assert_claim(f, "old", STATE, "HOSTILE");
    assert_claim(f, "old", USED_BY, "cronjob backup, deployment pg");
    feed(f, PVC, false, CLAIM("new", "immich", "pg-lvm", "proxmox-lvm-encrypted", "Bound", "pv2", ""));
    feed(f, PV, false, LVM_VOLUME("v2", "pv2", "new"));
    assert_claim(f, "new", STATE, "FINE"); /* nobody uses it yet */
    feed(f, "Deployment", false, DEPLOYMENT("pg-lvm"));
    assert_claim(f, "new", STATE, "MOVED");
    assert_claim(f, "new", STORAGE, "LUKS declared");
    assert_claim(f, "old", STATE, "RETIRED");
    assert_claim(f, "old", USED_BY, "cronjob backup");
    kube_feed_free(f);
}

/* The same cluster as seen by an engine that was started after the swap. */
static void test_swap_seen_afterwards(void **state) {
    (void)state;
    struct kube_feed *f = with_plan();
    feed(f, PV, false, NFS_VOLUME("v1", "pv1", "nfs-truenas", "old"));
    feed(f, PVC, false, CLAIM("old", "immich", "pg-host", "nfs-truenas", "Bound", "pv1", ""));
    feed(f, "CronJob", false, CRONJOB("immich", "backup", "pg-host"));
    feed(f, "Deployment", false, DEPLOYMENT("pg-lvm"));
    feed(f, PVC, false, CLAIM("new", "immich", "pg-lvm", "proxmox-lvm-encrypted", "Bound", "pv2", ""));
    feed(f, PV, false, LVM_VOLUME("v2", "pv2", "new"));
    assert_claim(f, "new", STATE, "MOVED");
    assert_claim(f, "old", STATE, "RETIRED");
    kube_feed_free(f);
}

static void test_claim_that_may_remain(void **state) {
    (void)state;
    struct kube_feed *f = with_plan();
    feed(f, PV, false, NFS_VOLUME("v1", "pv1", "nfs-truenas", "u1"));
    feed(f, PVC, false, CLAIM("u1", "vault", "vault-backup-host", "nfs-truenas", "Bound", "pv1", ""));
    feed(f, "CronJob", false, CRONJOB("vault", "vault-raft-backup", "vault-backup-host"));
    assert_claim(f, "u1", STATE, "FINE");
    assert_claim(f, "u1", USED_BY, "cronjob vault-raft-backup");
    kube_feed_free(f);
}

#define SET(replicas)                                                                                                  \
    "{'metadata':{'uid':'s1','namespace':'vault','name':'vault','generation':1},'spec':{'replicas':" replicas          \
    ",'updateStrategy':{'type':'OnDelete'},"                                                                           \
    "'template':{'spec':{'containers':[{'image':'vault:1'}]}},'volumeClaimTemplates':[{'metadata':{'name':'data'}},{'" \
    "metadata':{'name':'audit'}}]},"                                                                                   \
    "'status':{'observedGeneration':1,'replicas':" replicas ",'readyReplicas':" replicas "}}"

/* A claim that the set's template names is the set's, with or without a pod, up to the replicas that are wanted. */
static void test_claim_templates(void **state) {
    (void)state;
    struct kube_feed *f = with_plan();
    feed(f, PV, false, NFS_VOLUME("v1", "pv1", "nfs-proxmox", "u1"));
    feed(f, PV, false, NFS_VOLUME("v2", "pv2", "nfs-proxmox", "u2"));
    feed(f, PVC, false, CLAIM("u1", "vault", "data-vault-1", "nfs-proxmox", "Bound", "pv1", ""));
    feed(f, PVC, false, CLAIM("u2", "vault", "audit-vault-3", "nfs-proxmox", "Bound", "pv2", ""));
    assert_claim(f, "u1", STATE, "FINE");
    feed(f, "StatefulSet", false, SET("3"));
    assert_claim(f, "u1", STATE, "HOSTILE");
    assert_claim(f, "u1", USED_BY, "statefulset vault");
    assert_claim(f, "u2", STATE, "RETIRED");
    assert_cell(f, T_WORKLOADS, "s1", WORKLOADS_CLAIMS, "data-vault-*, audit-vault-*");
    feed(f, "StatefulSet", false, SET("0"));
    assert_cell(f, T_WORKLOADS, "s1", WORKLOADS_STATE, "SCALED DOWN");
    assert_claim(f, "u1", STATE, "HOSTILE");
    feed(f, "StatefulSet", true, SET("0"));
    assert_claim(f, "u1", STATE, "RETIRED");
    kube_feed_free(f);
}

static void test_without_a_plan(void **state) {
    (void)state;
    struct kube_feed *f = without_plan();
    feed(f, PV, false, NFS_VOLUME("v1", "pv1", "nfs", "u1"));
    feed(f, PV, false, NFS_VOLUME("v2", "pv2", "nfs", "u2"));
    feed(f, PV, false, NFS_VOLUME("v3", "pv3", "nfs", "u3"));
    feed(f, PVC, false, CLAIM("u1", "a", "db", "nfs", "Bound", "pv1", ""));
    feed(f, PVC, false, CLAIM("u2", "a", "files", "nfs", "Bound", "pv2", ""));
    feed(f, PVC, false, CLAIM("u3", "a", "queue-0", "nfs", "Bound", "pv3", ""));
    feed(f, "Pod", false, POD("p1", "a", "db-1", "ReplicaSet", "db", "db", "Running", "ghcr.io/x/postgres:16"));
    feed(f, "Pod", false, POD("p2", "a", "web-1", "ReplicaSet", "web", "files", "Running", "nginx:1"));
    feed(f, "Pod", false, POD("p3", "a", "queue-0", "StatefulSet", "queue", "queue-0", "Running", "queue:1"));
    assert_claim(f, "u1", STATE, "HOSTILE");
    assert_true(slice_ends(row_text(row_of(f, T_CLAIMS, "u1"), CLAIMS_EVIDENCE), "; mounted by ghcr.io/x/postgres:16"));
    assert_claim(f, "u2", STATE, "FINE");
    assert_claim(f, "u3", STATE, "HOSTILE");
    feed(f, "Pod", false, POD("p1", "a", "db-1", "ReplicaSet", "db", "db", "Succeeded", "ghcr.io/x/postgres:16"));
    assert_claim(f, "u1", STATE, "FINE"); /* a finished pod mounts nothing */
    assert_claim(f, "u1", USED_BY, NULL);
    kube_feed_free(f);
}

static void test_lost_and_terminating(void **state) {
    (void)state;
    struct kube_feed *f = with_plan();
    feed(f, PVC, false, CLAIM("u1", "vault", "a", "x", "Lost", "pv1", ""));
    feed(f, PVC, false, CLAIM("u2", "vault", "b", "x", "Bound", "pv2", ",'deletionTimestamp':'2026-04-02T00:00:00Z'"));
    assert_claim(f, "u1", STATE, "LOST");
    assert_claim(f, "u2", STATE, "TERMINATING");
    kube_feed_free(f);
}

/* ---- Lists ------------------------------------------------------------------------------------------------------- */

static void list(struct kube_feed *f, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void list(struct kube_feed *f, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    char *json = str_vprintf(fmt, ap);
    va_end(ap);
    for (char *p = json; *p; p++)
        if (*p == '\'') *p = '"';
    kube_feed_list(f, slice_of(json), 11);
    mem_free(json);
}

static void test_list_replaces(void **state) {
    (void)state;
    struct kube_feed *f = with_plan();
    list(f, "{'kind':'PersistentVolumeClaimList','items':[%s,%s]}", CLAIM("u1", "a", "x", "c", "Bound", "p", ""),
         CLAIM("u2", "a", "y", "c", "Bound", "p", ""));
    assert_int_equal(world_count(f->world, T_CLAIMS), 2);
    assert_int_equal(world_count(f->world, T_TIMELINE), 0); /* a first list is no news */
    list(f, "{'kind':'PersistentVolumeClaimList','items':[%s,%s]}", CLAIM("u1", "a", "x", "c", "Bound", "p", ""),
         CLAIM("u3", "a", "y", "c", "Bound", "p", ""));
    assert_null(world_find(f->world, T_CLAIMS, SLICE_LIT("u2")));
    row_of(f, T_CLAIMS, "u3");
    assert_int_equal(timeline_count(f, "claim gone"), 1);
    assert_int_equal(timeline_count(f, "claim is new"), 1);
    /* One that is cut off in the middle removes nothing. */
    list(f, "{'kind':'PersistentVolumeClaimList','items':[%s", CLAIM("u1", "a", "x", "c", "Bound", "p", ""));
    assert_int_equal(f->unreadable, 1);
    assert_int_equal(world_count(f->world, T_CLAIMS), 2);
    kube_feed_free(f);
}

/* Pods that a list no longer names free their claims. */
static void test_swept_users(void **state) {
    (void)state;
    struct kube_feed *f = with_plan();
    list(f, "{'kind':'PodList','items':[%s]}",
         POD("p1", "vault", "vault-0", "StatefulSet", "vault", "c", "Running", "i"));
    feed(f, PVC, false, CLAIM("u1", "vault", "c", "x", "Bound", "p", ""));
    assert_claim(f, "u1", USED_BY, "pod vault-0");
    list(f, "{'kind':'PodList','items':null}");
    assert_claim(f, "u1", USED_BY, NULL);
    kube_feed_free(f);
}

/* ---- Denied ------------------------------------------------------------------------------------------------------ */

static void status(struct kube_listener *l, enum kube_reflector_state s, const struct err *e) {
    static int64_t ok = 1;
    kube_listener_status(
        l, &(struct kube_reflector_status){.state = s, .error = e, .last_ok_ms = s == KUBE_LIVE ? ++ok : ok});
}

static void test_denied_cluster(void **state) {
    (void)state;
    struct kube_feed *f = with_plan();
    struct kube_listener *all = kube_feed_listener(f, SLICE_LIT(PVC)), *volumes = kube_feed_listener(f, SLICE_LIT(PV));
    struct err *e = err_new(ERR_DENIED, "no");
    status(volumes, KUBE_DENIED, e);
    status(all, KUBE_DENIED, e);
    status(all, KUBE_DENIED, e);
    assert_int_equal(f->source->nlisteners, 4); /* those two, and claims of two namespaces */
    assert_cell(f, T_SOURCES, "kube/persistentvolumeclaims", SOURCES_STATE, "DENIED");
    assert_cell(f, T_SOURCES, "kube/persistentvolumes", SOURCES_STATE, "DENIED");
    struct kube_listener *vault = map_gets(f->source->by_key, "kube/persistentvolumeclaims@vault");
    assert_non_null(vault);
    kube_listener_begin(vault);
    char json[] = CLAIM("u1", "vault", "c", "x", "Bound", "p", "");
    for (char *p = json; *p; p++)
        if (*p == '\'') *p = '"';
    assert_null(kube_listener_object(vault, slice_of(json), false));
    kube_listener_end(vault);
    status(vault, KUBE_LIVE, NULL);
    world_set_now(f->world, clock_wall_ms());
    assert_int_equal(world_freshness(f->world, row_of(f, T_CLAIMS, "u1")).state, FRESH_LIVE);
    assert_int_equal(row_int(row_of(f, T_SOURCES, "kube/persistentvolumeclaims@vault"), SOURCES_OBJECTS, -1), 1);
    /* Allowed again: the whole list takes over, the single ones go, and so does what only they had said. */
    list(f, "{'kind':'PersistentVolumeClaimList','items':[%s]}", CLAIM("u2", "vault", "d", "x", "Bound", "p", ""));
    status(all, KUBE_LIVE, NULL);
    assert_int_equal(f->source->nlisteners, 2);
    assert_null(world_find(f->world, T_SOURCES, SLICE_LIT("kube/persistentvolumeclaims@vault")));
    assert_null(world_find(f->world, T_CLAIMS, SLICE_LIT("u1")));
    row_of(f, T_CLAIMS, "u2");
    err_free(e);
    kube_feed_free(f);
}

static void say(struct kube_listener *l, const char *object) {
    char *json = str_printf("%s", object);
    for (char *p = json; *p; p++)
        if (*p == '\'') *p = '"';
    assert_null(kube_listener_object(l, slice_of(json), false));
    mem_free(json);
}

/* Denied for a moment: the whole list and a single one come in together. Nothing that is there may get lost. */
static void test_denied_for_a_moment(void **state) {
    (void)state;
    struct kube_feed *f = with_plan();
    struct kube_listener *all = kube_feed_listener(f, SLICE_LIT(PVC));
    struct err *e = err_new(ERR_DENIED, "no"), *down = err_new(ERR_UNAVAILABLE, "down");
    status(all, KUBE_DENIED, e);
    struct kube_listener *vault = map_gets(f->source->by_key, "kube/persistentvolumeclaims@vault");
    /* A list that begins and fails: the single ones are heard again. */
    kube_listener_begin(all);
    status(all, KUBE_BACKOFF, down);
    kube_listener_begin(vault);
    say(vault, CLAIM("u1", "vault", "c", "x", "Bound", "p", ""));
    kube_listener_end(vault);
    row_of(f, T_CLAIMS, "u1");
    /* And one that comes through, while a single one is listed in the middle of it. */
    kube_listener_begin(all);
    say(all, CLAIM("u1", "vault", "c", "x", "Bound", "p", ""));
    say(all, CLAIM("u2", "vault", "d", "x", "Bound", "p", ""));
    kube_listener_begin(vault);
    say(vault, CLAIM("u1", "vault", "c", "x", "Bound", "p", ""));
    say(vault, CLAIM("u2", "vault", "d", "x", "Bound", "p", ""));
    say(vault, CLAIM("u3", "vault", "e", "x", "Bound", "p", ""));
    kube_listener_end(vault);
    kube_listener_end(all);
    status(all, KUBE_LIVE, NULL);
    assert_int_equal(world_count(f->world, T_CLAIMS), 2);
    world_set_now(f->world, clock_wall_ms());
    assert_int_equal(world_freshness(f->world, row_of(f, T_CLAIMS, "u1")).state, FRESH_LIVE);
    assert_int_equal(world_freshness(f->world, row_of(f, T_CLAIMS, "u2")).state, FRESH_LIVE);
    err_free(down);
    err_free(e);
    kube_feed_free(f);
}

/* One kind that stays away is news after a while, and so is its return; but not while most of them do. */
static void test_failure_is_told(void **state) {
    (void)state;
    struct kube_feed *f = with_plan();
    struct kube_listener *l = kube_feed_listener(f, SLICE_LIT("Pod"));
    struct err *e = err_new(ERR_UNAVAILABLE, "500 by the server");
    status(l, KUBE_LIVE, NULL);
    status(l, KUBE_BACKOFF, e);
    kube_listener_tell(l);
    assert_int_equal(world_count(f->world, T_TIMELINE), 0);
    l->failed_ms -= 10000;
    f->source->outage_ms = clock_mono_ms();
    kube_listener_tell(l);
    assert_int_equal(world_count(f->world, T_TIMELINE), 0);
    f->source->outage_ms = 0;
    kube_listener_tell(l);
    kube_listener_tell(l);
    assert_int_equal(timeline_count(f, "DOWN: 500 by the server"), 1);
    status(l, KUBE_LIVE, NULL);
    assert_int_equal(timeline_count(f, "answers again"), 1);
    assert_int_equal(world_count(f->world, T_TIMELINE), 2);
    err_free(e);
    kube_feed_free(f);
}

/* ---- Events ------------------------------------------------------------------------------------------------------ */

static void put_event(struct kube_feed *f, int number, const char *ns, const char *kind, const char *name) {
    feed(f, "Event", false,
         "{'metadata':{'uid':'e%d','namespace':'%s','name':'e%d'},'involvedObject':{'kind':'%s','namespace':'%s','name'"
         ":'%s'},'reason':'R','type':'Warning',"
         "'message':'m','count':1,'lastTimestamp':'2026-04-01T%02d:%02d:%02dZ'}",
         number, ns, number, kind, ns, name, number / 3600, number / 60 % 60, number % 60);
}

static void test_events(void **state) {
    (void)state;
    struct kube_feed *f = with_plan();
    put_event(f, 1, "vault", "Pod", "vault-0");
    put_event(f, 2, "vault", "Pod", "vaulting-0"); /* another object */
    put_event(f, 3, "media", "PersistentVolumeClaim", "x"); /* another namespace */
    put_event(f, 4, "vault", "PersistentVolumeClaim", "x");
    assert_int_equal(world_count(f->world, T_EVENTS), 2);
    for (int i = 10; i < 900; i++) put_event(f, i, "vault", "StatefulSet", "vault");
    assert_true(world_count(f->world, T_EVENTS) <= 550);
    assert_null(world_find(f->world, T_EVENTS, SLICE_LIT("e10")));
    row_of(f, T_EVENTS, "e899");
    kube_feed_free(f);
}

/* ---- Nodes ------------------------------------------------------------------------------------------------------- */

#define NODE                                                                                                           \
    "{'metadata':{'uid':'n1','name':'w1','labels':{'topology.kubernetes.io/"                                           \
    "zone':'z'}},'spec':{%s},'status':{'conditions':["                                                                 \
    "{'type':'DiskPressure','status':'True'},{'type':'Ready','status':'%s','reason':'KubeletReady'}],'nodeInfo':{'"    \
    "kubeletVersion':'v1'}}}"

static void test_nodes(void **state) {
    (void)state;
    struct kube_feed *f = with_plan();
    list(f, "{'kind':'CSINodeList','items':[{'metadata':{'uid':'x','name':'w1'},'spec':{'drivers':[{'name':'nfs'},{'"
            "name':'pve','allocatable':{'count':29}}]}}]}");
    feed(f, "Node", false, NODE, "", "True");
    assert_cell(f, T_NODES, "n1", NODES_DRIVERS, "nfs, pve 29 volumes");
    assert_cell(f, T_NODES, "n1", NODES_STATE, "READY");
    assert_cell(f, T_NODES, "n1", NODES_REASON, "DiskPressure");
    feed(f, "Node", false, NODE, "'unschedulable':true", "True");
    assert_cell(f, T_NODES, "n1", NODES_STATE, "CORDONED");
    feed(f, "Node", false, NODE, "", "Unknown");
    assert_cell(f, T_NODES, "n1", NODES_STATE, "NOT READY");
    list(f, "{'kind':'CSINodeList','items':[]}");
    assert_cell(f, T_NODES, "n1", NODES_DRIVERS, NULL);
    assert_int_equal(kube_feed_listener(f, SLICE_LIT("CSINode"))->objects, 0);
    kube_feed_free(f);
}

/* ---- The recorded races ------------------------------------------------------------------------------------------ */

/* Value of "key=" in a line; "" if it is None or absent. */
static const char *field(const char *line, const char *key, char *buf, size_t size) {
    char pattern[32];
    snprintf(pattern, sizeof pattern, " %s=", key);
    const char *p = strstr(line, pattern);
    buf[0] = '\0';
    if (!p) return buf;
    p += strlen(pattern);
    size_t n = strcspn(p, " \n");
    if (n >= size) n = size - 1;
    memcpy(buf, p, n);
    buf[n] = '\0';
    if (str_eq(buf, "None") || str_eq(buf, "-")) buf[0] = '\0';
    return buf;
}

struct line {
    char kind[8], name[64], type[16], uid[16], class[40], phase[16], volume[16], deleting[48], claim[32], policy[16],
        node[16], ready[8], replicas[8];
};

static void read_line(const char *text, struct line *l) {
    char deleting[32];
    assert_int_equal(sscanf(text, "rv=%*s %7s %63s %15s", l->kind, l->name, l->type), 3);
    field(text, "uid", l->uid, sizeof l->uid);
    field(text, "sc", l->class, sizeof l->class);
    field(text, "phase", l->phase, sizeof l->phase);
    field(text, "vol", l->volume, sizeof l->volume);
    field(text, "claim", l->claim, sizeof l->claim);
    field(text, "policy", l->policy, sizeof l->policy);
    field(text, "node", l->node, sizeof l->node);
    field(text, "ready", l->ready, sizeof l->ready);
    field(text, "replicas", l->replicas, sizeof l->replicas);
    field(text, "del", deleting, sizeof deleting);
    snprintf(l->deleting, sizeof l->deleting, deleting[0] ? ",'deletionTimestamp':'%s'" : "%s", deleting);
}

static void play_claim(struct kube_feed *f, const struct line *l) {
    bool gone = str_eq(l->type, "DELETED");
    feed(f, PVC, gone,
         "{'metadata':{'uid':'%s','namespace':'vault','name':'%s','creationTimestamp':'2026-11-22T06:00:00Z'%s},'spec':"
         "{'accessModes':['ReadWriteOnce'],"
         "'storageClassName':'%s','volumeName':'%s'},'status':{'phase':'%s'}}",
         l->uid, l->name, l->deleting, l->class, l->volume, l->phase);
    if (gone) assert_null(world_find(f->world, T_CLAIMS, slice_of(l->uid)));
    else if (l->deleting[0]) assert_claim(f, l->uid, STATE, "TERMINATING");
    else if (str_eq(l->phase, "Pending")) assert_claim(f, l->uid, STATE, "PENDING");
    else assert_claim(f, l->uid, PHASE, l->phase);
}

/* The lines name volumes by the first twelve letters where claims speak of them. */
static void play_volume(struct kube_feed *f, const struct line *l) {
    bool nfs = str_eq(l->class, "nfs-proxmox");
    feed(f, PV, str_eq(l->type, "DELETED"),
         "{'metadata':{'uid':'%s','name':'%.12s'%s},'spec':{'storageClassName':'%s','persistentVolumeReclaimPolicy':'%"
         "s','claimRef':{'namespace':'vault','name':'%s',"
         "'uid':'%.8s'},'csi':{'driver':'%s','volumeHandle':'h'%s}},'status':{'phase':'%s'}}",
         l->uid, l->name, l->deleting, l->class, l->policy, l->claim, l->name + 4,
         nfs ? "nfs.csi.k8s.io" : "csi.proxmox.sinextra.dev", nfs ? "" : ",'nodeStageSecretRef':{'name':'s'}",
         l->phase);
}

static void play_pod(struct kube_feed *f, const struct line *l) {
    feed(f, "Pod", str_eq(l->type, "DELETED"),
         "{'metadata':{'uid':'%s','namespace':'vault','name':'%s','ownerReferences':[{'kind':'StatefulSet','name':'"
         "vault','controller':true}]%s},'spec':{'nodeName':'%s',"
         "'containers':[{'image':'vault:1'}],'volumes':[{'persistentVolumeClaim':{'claimName':'data-%s'}},{'"
         "persistentVolumeClaim':{'claimName':'audit-%s'}}]},"
         "'status':{'phase':'%s','containerStatuses':[{'ready':%s,'restartCount':0}]}}",
         l->uid, l->name, l->deleting, l->node, l->name, l->name, l->phase,
         str_eq(l->ready, "True") ? "true" : "false");
}

static void play_set(struct kube_feed *f, const struct line *l) {
    feed(f, "StatefulSet", str_eq(l->type, "DELETED"),
         "{'metadata':{'uid':'%s','namespace':'vault','name':'vault'%s},'spec':{'replicas':%s,'template':{'spec':{}},'"
         "volumeClaimTemplates':[{'metadata':{'name':'data'}},"
         "{'metadata':{'name':'audit'}}]},'status':{}}",
         l->uid, l->deleting, l->replicas[0] ? l->replicas : "0");
}

static void play(struct kube_feed *f, const char *text) {
    struct line l = {0};
    read_line(text, &l);
    if (str_eq(l.kind, "PVC")) play_claim(f, &l);
    else if (str_eq(l.kind, "PV")) play_volume(f, &l);
    else if (str_eq(l.kind, "Pod")) play_pod(f, &l);
    else play_set(f, &l);
}

/* How each ends (facts: the note of the recording): on new encrypted claims, but for s3d, whose claims came too late
 * and hang on the old storage under the new pod; s12 leaves the audit claim alone, which is not in its lines. */
static void check_end(struct kube_feed *f, const char *file) {
    bool late = strstr(file, "-s3d.") != NULL, data_only = strstr(file, "-s12.") != NULL;
    const char *names[] = {"data-vault-1", "audit-vault-1"};
    for (size_t i = 0; i < (data_only ? 1 : 2); i++) {
        const struct row *r = world_find_name(f->world, T_CLAIMS, SLICE_LIT("vault"), slice_of(names[i]));
        if (!r) fail_msg("%s: no %s", file, names[i]);
        char *uid = slice_dup(row_key(r));
        assert_claim(f, uid, STATE, late ? "TERMINATING" : "MOVED");
        assert_claim(f, uid, CLASS, late ? "nfs-proxmox" : "proxmox-lvm-encrypted");
        assert_claim(f, uid, USED_BY, "pod vault-1");
        if (!late) assert_claim(f, uid, STORAGE, "LUKS declared");
        if (!late) assert_claim(f, uid, RECLAIM, "Retain");
        mem_free(uid);
    }
    const struct row *pod = world_find_name(f->world, T_PODS, SLICE_LIT("vault"), SLICE_LIT("vault-1"));
    assert_non_null(pod);
    assert_true(slice_is(row_text(pod, PODS_STATE), "RUNNING"));
}

static void test_races(void **state) {
    (void)state;
    glob_t found;
    assert_int_equal(glob(WIRE_DIR "/1.*/02-race-*.txt", 0, NULL, &found), 0);
    assert_int_equal(found.gl_pathc, 22);
    for (size_t i = 0; i < found.gl_pathc; i++) {
        struct buf file = {0};
        struct kube_feed *f = with_plan();
        assert_null(file_read(found.gl_pathv[i], 1024 * 1024, &file));
        struct slice rest = buf_slice(&file), line;
        while (slice_cut(&rest, '\n', &line)) {
            char *text = slice_dup(line);
            if (line.n) play(f, text);
            mem_free(text);
        }
        check_end(f, found.gl_pathv[i]);
        buf_free(&file);
        kube_feed_free(f);
    }
    globfree(&found);
}

/* What an operator reads in the timeline of a pod's move, pods and volumes included, once lists are through. */
static void test_timeline_of_a_race(void **state) {
    (void)state;
    struct kube_feed *f = with_plan();
    struct buf file = {0};
    const char *const kinds[] = {"PersistentVolumeClaim", "PersistentVolume", "Pod", "StatefulSet"};
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) list(f, "{'kind':'%sList','items':[]}", kinds[i]);
    play(f, "rv=1 PV pvc-d9fedb2d MODIFIED uid=128c902d claim=data-vault-1 phase=Bound sc=nfs-proxmox policy=Delete "
            "del=None");
    play(f, "rv=2 PV pvc-67a8c56f MODIFIED uid=e42fb596 claim=audit-vault-1 phase=Bound sc=nfs-proxmox policy=Delete "
            "del=None");
    assert_null(file_read(WIRE_DIR "/1.32/02-race-s1.txt", 1024 * 1024, &file));
    struct slice rest = buf_slice(&file), line;
    while (slice_cut(&rest, '\n', &line)) {
        char *text = slice_dup(line);
        if (line.n) play(f, text);
        mem_free(text);
    }
    assert_int_equal(timeline_count(f, "claim gone (nfs-proxmox"), 2);
    assert_int_equal(timeline_count(f, "claim is new: proxmox-lvm-encrypted, Pending"), 2);
    assert_int_equal(timeline_count(f, "claim is Bound: proxmox-lvm-encrypted, "), 2);
    assert_int_equal(timeline_count(f, "volume is Released"), 2);
    assert_int_equal(timeline_count(f, "pod gone"), 1);
    assert_int_equal(timeline_count(f, "pod is RUNNING, 1/1 ready"), 1);
    buf_free(&file);
    kube_feed_free(f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_claim_before_its_volume),
        cmocka_unit_test(test_volume_of_another_claim),
        cmocka_unit_test(test_class_fills_in),
        cmocka_unit_test(test_annotation_alone),
        cmocka_unit_test(test_swap_of_a_deployment),
        cmocka_unit_test(test_swap_seen_afterwards),
        cmocka_unit_test(test_claim_that_may_remain),
        cmocka_unit_test(test_claim_templates),
        cmocka_unit_test(test_without_a_plan),
        cmocka_unit_test(test_lost_and_terminating),
        cmocka_unit_test(test_list_replaces),
        cmocka_unit_test(test_swept_users),
        cmocka_unit_test(test_denied_cluster),
        cmocka_unit_test(test_denied_for_a_moment),
        cmocka_unit_test(test_failure_is_told),
        cmocka_unit_test(test_events),
        cmocka_unit_test(test_nodes),
        cmocka_unit_test(test_races),
        cmocka_unit_test(test_timeline_of_a_race),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
