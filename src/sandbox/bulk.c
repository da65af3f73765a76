/* Very many claims, and very many changes of them. The claims are written as bytes, each with its volume, bound. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_doc.h"
#include "base/mem.h"
#include "loop/timer.h"
#include "sandbox/kube.h"
#include "sandbox/object.h"

#define BULK_NAMESPACE "bulk"
#define TICK_MS 10

struct bulk {
    struct timer *timer;
    int64_t per_second;
    int64_t owed_milli; /* thousandths of a modification that are due */
    size_t next;
    uint64_t serial;
};

static const char managed_claim[] =
    "\"managedFields\":[{\"manager\":\"helm\",\"operation\":\"Update\",\"apiVersion\":\"v1\",\"time\":\"%s\","
    "\"fieldsType\":\"FieldsV1\",\"fieldsV1\":{\"f:metadata\":{\"f:labels\":{\".\":{},\"f:app\":{}}},\"f:spec\":{"
    "\"f:accessModes\":{},\"f:resources\":{\"f:requests\":{\".\":{},\"f:storage\":{}}},\"f:storageClassName\":{},"
    "\"f:volumeMode\":{}}}},{\"manager\":\"kube-controller-manager\",\"operation\":\"Update\",\"apiVersion\":\"v1\","
    "\"time\":\"%s\",\"fieldsType\":\"FieldsV1\",\"fieldsV1\":{\"f:metadata\":{\"f:annotations\":{\".\":{},"
    "\"f:pv.kubernetes.io/bind-completed\":{},\"f:pv.kubernetes.io/bound-by-controller\":{},"
    "\"f:volume.beta.kubernetes.io/storage-provisioner\":{},\"f:volume.kubernetes.io/storage-provisioner\":{}}},"
    "\"f:spec\":{\"f:volumeName\":{}}}},{\"manager\":\"kube-controller-manager\",\"operation\":\"Update\","
    "\"apiVersion\":\"v1\",\"time\":\"%s\",\"fieldsType\":\"FieldsV1\",\"fieldsV1\":{\"f:status\":{"
    "\"f:accessModes\":{},\"f:capacity\":{\".\":{},\"f:storage\":{}},\"f:phase\":{}}},\"subresource\":\"status\"}]";

struct one {
    char name[32], uid[UID_SIZE], when[40];
    int size_gib;
    bool nfs;
};

static void put_claim(struct kube *k, struct buf *b, const struct one *o)
{
    uint64_t rv = store_next_rv(k->store);
    const char *driver = o->nfs ? "nfs.csi.k8s.io" : "csi.proxmox.sinextra.dev";

    buf_clear(b);
    buf_printf(b,
               "{\"metadata\":{\"name\":\"%s\",\"namespace\":\"" BULK_NAMESPACE "\",\"uid\":\"%s\",\"resourceVersion\":"
               "\"%llu\",\"creationTimestamp\":\"%s\",\"labels\":{\"app\":\"bulk\"},\"annotations\":{"
               "\"pv.kubernetes.io/bind-completed\":\"yes\",\"pv.kubernetes.io/bound-by-controller\":\"yes\","
               "\"volume.beta.kubernetes.io/storage-provisioner\":\"%s\","
               "\"volume.kubernetes.io/storage-provisioner\":\"%s\"},\"finalizers\":[\"kubernetes.io/pvc-protection\"],",
               o->name, o->uid, (unsigned long long)rv, o->when, driver, driver);
    buf_printf(b, managed_claim, o->when, o->when, o->when);
    buf_printf(b,
               "},\"spec\":{\"accessModes\":[\"ReadWriteOnce\"],\"resources\":{\"requests\":{\"storage\":\"%dGi\"}},"
               "\"volumeName\":\"pvc-%s\",\"storageClassName\":\"%s\",\"volumeMode\":\"Filesystem\"},\"status\":{"
               "\"phase\":\"Bound\",\"accessModes\":[\"ReadWriteOnce\"],\"capacity\":{\"storage\":\"%dGi\"}}}",
               o->size_gib, o->uid, o->nfs ? "nfs-proxmox" : "proxmox-lvm", o->size_gib);
    store_put_bytes(k->store, KIND_CLAIM, BULK_NAMESPACE, o->name, rv, b->p, b->len);
}

static void put_volume(struct kube *k, struct buf *b, const struct one *o)
{
    uint64_t rv = store_next_rv(k->store);
    const char *driver = o->nfs ? "nfs.csi.k8s.io" : "csi.proxmox.sinextra.dev";
    char name[64];

    snprintf(name, sizeof name, "pvc-%s", o->uid);
    buf_clear(b);
    buf_printf(b,
               "{\"metadata\":{\"name\":\"%s\",\"uid\":\"%.24s%s\",\"resourceVersion\":\"%llu\",\"creationTimestamp\":"
               "\"%s\",\"annotations\":{\"pv.kubernetes.io/provisioned-by\":\"%s\"},\"finalizers\":["
               "\"external-provisioner.volume.kubernetes.io/finalizer\",\"kubernetes.io/pv-protection\"]},\"spec\":{"
               "\"capacity\":{\"storage\":\"%dGi\"},\"csi\":",
               name, o->uid, "000000000001", (unsigned long long)rv, o->when, driver, o->size_gib);
    if (o->nfs)
        buf_printf(b, "{\"driver\":\"nfs.csi.k8s.io\",\"volumeAttributes\":{\"server\":\"10.0.0.5\",\"share\":"
                   "\"/export/k8s\",\"subdir\":\"%s\"},\"volumeHandle\":\"10.0.0.5#export/k8s#%s##\"}", name, name);
    else
        buf_printf(b, "{\"driver\":\"csi.proxmox.sinextra.dev\",\"fsType\":\"ext4\",\"volumeAttributes\":{\"storage\":"
                   "\"local-lvm\"},\"volumeHandle\":\"home/pve1/local-lvm/vm-9999-%s\"}", name);
    buf_printf(b,
               ",\"accessModes\":[\"ReadWriteOnce\"],\"claimRef\":{\"kind\":\"PersistentVolumeClaim\",\"namespace\":"
               "\"" BULK_NAMESPACE "\",\"name\":\"%s\",\"uid\":\"%s\",\"apiVersion\":\"v1\"},"
               "\"persistentVolumeReclaimPolicy\":\"Delete\",\"storageClassName\":\"%s\","
               "\"volumeMode\":\"Filesystem\"},"
               "\"status\":{\"phase\":\"Bound\"}}",
               o->name, o->uid, o->nfs ? "nfs-proxmox" : "proxmox-lvm");
    store_put_bytes(k->store, KIND_VOLUME, NULL, name, rv, b->p, b->len);
}

static void ensure_namespace(struct kube *k)
{
    if (store_get(k->store, KIND_NAMESPACE, NULL, BULK_NAMESPACE))
        return;
    struct json_t *ns = object_parse("{'metadata':{'name':'" BULK_NAMESPACE "'}}");
    kube_add(k, KIND_NAMESPACE, ns, "sandbox");
    jd_free(ns);
}

/* Uids that rise with the name keep the arrays sorted while they are filled. */
static void make_uid(char uid[UID_SIZE], size_t i)
{
    char random[UID_SIZE];

    object_uid(random);
    snprintf(uid, UID_SIZE, "b%07x%.28s", (unsigned)i & 0xfffffffu, random + 8);
}

void bulk_claims(struct kube *k, int64_t total)
{
    size_t count, from, to;
    struct buf b = {0};

    ensure_namespace(k);
    store_all(k->store, KIND_CLAIM, &count);
    store_range(k->store, KIND_CLAIM, BULK_NAMESPACE, &from, &to);
    for (size_t i = to - from; count < (size_t)total; i++, count++) {
        struct one o = {.size_gib = (int)(i % 20) + 1, .nfs = i % 3 == 0};
        snprintf(o.name, sizeof o.name, "claim-%07zu", i);
        make_uid(o.uid, i);
        object_time(kube_now(k) - (int64_t)(i % 400) * 86400000, o.when);
        put_volume(k, &b, &o);
        put_claim(k, &b, &o);
    }
    buf_free(&b);
}

static void touch(struct kube *k, struct bulk *bk)
{
    size_t count;
    struct version *const *all = store_all(k->store, KIND_CLAIM, &count);
    char text[32];

    if (count == 0)
        return;
    bk->next = (bk->next + 7919) % count;
    struct json_t *doc = version_doc(all[bk->next]);
    snprintf(text, sizeof text, "%llu", (unsigned long long)++bk->serial);
    object_set_annotation(doc, "sandbox/touched", text);
    store_put(k->store, KIND_CLAIM, doc);
    jd_free(doc);
}

static void on_tick(void *arg)
{
    struct kube *k = arg;
    struct bulk *bk = k->bulk;

    bk->owed_milli += bk->per_second * TICK_MS;
    for (; bk->owed_milli >= 1000; bk->owed_milli -= 1000)
        touch(k, bk);
}

void bulk_rate(struct kube *k, int64_t per_second)
{
    if (!k->bulk) {
        k->bulk = MEM_NEW(struct bulk);
        k->bulk->timer = timer_new(k->sb->loop, on_tick, k);
    }
    k->bulk->per_second = per_second;
    k->bulk->owed_milli = 0;
    if (per_second > 0)
        timer_start(k->bulk->timer, TICK_MS, TICK_MS);
    else
        timer_stop(k->bulk->timer);
}

void bulk_free(struct kube *k)
{
    if (!k->bulk)
        return;
    timer_free(k->bulk->timer);
    free(k->bulk);
    k->bulk = NULL;
}
