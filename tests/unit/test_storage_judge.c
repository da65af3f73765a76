/* Every kind of evidence: what is NFS, what is encrypted, and what cannot be known. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/mem.h"
#include "client/kube_parse.h"
#include "source/claim_judge.h"
#include "source/storage_judge.h"

#define NFS STORAGE_NFS
#define BLOCK STORAGE_BLOCK
#define UNKNOWN STORAGE_UNKNOWN
#define DECLARED ENCRYPTION_DECLARED
#define PLAIN ENCRYPTION_PLAIN
#define OPEN ENCRYPTION_UNKNOWN

struct pv_case {
    const char *spec; /* of a volume, ' for " */
    enum storage_backend backend;
    enum storage_encryption encryption;
    const char *text;     /* as the column shows it */
    const char *evidence; /* what must occur in it */
};

#define CSI(driver, more) "'csi':{'driver':'" driver "','volumeHandle':'h'" more "}"
#define ATTRS(kv) ",'volumeAttributes':{" kv "}"
#define SECRET ",'nodeStageSecretRef':{'name':'s','namespace':'n'}"

static const struct pv_case volumes[] = {
    {"'nfs':{'server':'10.0.0.20','path':'/tank'}", NFS, OPEN, "NFS 10.0.0.20",
     "pv.spec.nfs, server 10.0.0.20, share /tank"},
    {CSI("nfs.csi.k8s.io", ATTRS("'server':'10.0.0.5','share':'/x','subDir':'y'")), NFS, OPEN, "NFS 10.0.0.5",
     "csi.driver nfs.csi.k8s.io"},
    {"'csi':{'driver':'nfs.csi.k8s.io','volumeHandle':'10.0.0.5#export#pvc-1##','volumeAttributes':{'a':'b'}}", NFS,
     OPEN, "NFS 10.0.0.5", "share export"},
    {CSI("nfs.csi.ceph.com", ""), NFS, OPEN, "NFS", "nfs.csi.ceph.com"},
    {CSI("rook-ceph.nfs.csi.ceph.com", ""), NFS, OPEN, "NFS", NULL},
    {"'accessModes':['ReadWriteMany']," CSI("driver.longhorn.io", ""), NFS, OPEN, "NFS", "shared over NFS"},
    {CSI("driver.longhorn.io", ATTRS("'share':'true'")), NFS, OPEN, "NFS", "shared over NFS"},
    {"'accessModes':['ReadWriteMany']," CSI("driver.longhorn.io", ATTRS("'migratable':'true'")), BLOCK, PLAIN,
     "block plain", NULL},
    {CSI("driver.longhorn.io", ATTRS("'encrypted':'true'")), BLOCK, DECLARED, "LUKS declared", "encrypted"},
    {CSI("driver.longhorn.io", SECRET), BLOCK, PLAIN, "block plain",
     "not encrypted"}, /* the flag counts, not the secret */
    {CSI("csi.trident.netapp.io", ATTRS("'backendType':'ontap-nas-economy'")), NFS, OPEN, "NFS", "ontap-nas-economy"},
    {CSI("csi.trident.netapp.io", ATTRS("'backendType':'ontap-san'")), BLOCK, OPEN, "block unknown", NULL},
    {CSI("csi.trident.netapp.io", ""), UNKNOWN, OPEN, "unknown", NULL},
    {CSI("csi.hpe.com", ATTRS("'accessProtocol':'nfs'")), NFS, OPEN, "NFS", NULL},
    {CSI("csi.hpe.com", ATTRS("'accessProtocol':'iscsi'")), BLOCK, OPEN, "block unknown", NULL},
    {CSI("efs.csi.aws.com", ""), NFS, OPEN, "NFS", NULL},
    {CSI("filestore.csi.storage.gke.io", ""), NFS, OPEN, "NFS", NULL},
    {CSI("file.csi.azure.com", ATTRS("'protocol':'nfs'")), NFS, OPEN, "NFS", NULL},
    {CSI("file.csi.azure.com", ATTRS("'protocol':'smb'")), UNKNOWN, OPEN, "unknown", NULL},
    {CSI("csi-isilon.dellemc.com", ""), NFS, OPEN, "NFS", NULL},
    {CSI("nasplugin.csi.alibabacloud.com", ""), NFS, OPEN, "NFS", NULL},
    {CSI("org.democratic-csi.freenas-api-nfs", ""), NFS, OPEN, "NFS", NULL},
    {CSI("org.democratic-csi.iscsi", ""), BLOCK, OPEN, "block unknown", NULL},
    {CSI("unheard.of.example", ""), UNKNOWN, OPEN, "unknown", "unheard.of.example"},
    {"'mountOptions':['nfsvers=4.1','hard']," CSI("unheard.of.example", ""), NFS, OPEN, "NFS",
     "mount option nfsvers=4.1"},
    {"'mountOptions':['noatime']," CSI("unheard.of.example", ""), UNKNOWN, OPEN, "unknown", NULL},
    {CSI("csi.proxmox.sinextra.dev", SECRET), BLOCK, DECLARED, "LUKS declared", "with stage secret"},
    {CSI("csi.proxmox.sinextra.dev", ""), BLOCK, PLAIN, "block plain", "no stage secret"},
    {"'csi':{'driver':'csi.proxmox.sinextra.dev','volumeHandle':'r/z/nas/9999/vm-9999-pvc-1.qcow2'}", UNKNOWN, PLAIN,
     "unknown", "its store may be NFS"},
    {CSI("rook-ceph.rbd.csi.ceph.com", SECRET), BLOCK, PLAIN, "block plain",
     "not encrypted"}, /* Ceph's own key, for all */
    {CSI("rbd.csi.ceph.com", ATTRS("'encrypted':'true','encryptionKMSID':'k'") SECRET), BLOCK, DECLARED,
     "LUKS declared", NULL},
    {CSI("rook-ceph.cephfs.csi.ceph.com", ""), UNKNOWN, OPEN, "unknown", NULL},
    {CSI("ebs.csi.aws.com", ""), BLOCK, OPEN, "block unknown", NULL}, /* accounts encrypt by default */
    {CSI("topolvm.io", ""), BLOCK, OPEN, "block unknown", NULL},
    {CSI("pd.csi.storage.gke.io", ""), BLOCK, OPEN, "block unknown", NULL},
    {"'hostPath':{'path':'/mnt/x'}", UNKNOWN, OPEN, "unknown", "/mnt/x: a directory, may lie on anything"},
    {"'local':{'path':'/disk'}", UNKNOWN, OPEN, "unknown", "may lie on anything"},
    {"'iscsi':{'iqn':'iqn.2001'}", BLOCK, OPEN, "block unknown", "pv.spec.iscsi"},
    {"'something':{'new':1}", UNKNOWN, OPEN, "unknown", "names no storage that is known here"},
};

static char *quoted(const char *fmt, const char *part) {
    char *json = str_printf("%s%s}}", fmt, part);
    for (char *p = json; *p; p++)
        if (*p == '\'') *p = '"';
    return json;
}

static void check(const struct storage_verdict v, const struct pv_case *c, struct slice driver, struct slice server,
                  const struct buf *evidence) {
    struct buf text = {0};
    storage_text(&text, v, driver, server);
    if (v.backend != c->backend || v.encryption != c->encryption || !str_eq(buf_str(&text), c->text) ||
        (c->evidence && !strstr(buf_str(evidence), c->evidence)))
        fail_msg("%s\n  is %s %s \"%s\" because: %s", c->spec, storage_backend_name(v.backend),
                 storage_encryption_name(v.encryption), buf_str(&text), buf_str(evidence));
    buf_free(&text);
}

static void test_volumes(void **state) {
    (void)state;
    struct kube_arena a = {0};
    for (size_t i = 0; i < ARRAY_LEN(volumes); i++) {
        struct kube_volume v;
        struct buf evidence = {0};
        char *json = quoted("{'metadata':{'uid':'u','name':'n'},'spec':{", volumes[i].spec);
        assert_null(kube_volume_parse(&a, slice_of(json), &v));
        check(storage_judge_volume(&v, &evidence), &volumes[i], v.driver, v.server, &evidence);
        buf_free(&evidence);
        kube_arena_reset(&a);
        mem_free(json);
    }
    kube_arena_free(&a);
}

#define CLASS(provisioner, kv) "'x':'y'},'provisioner':'" provisioner "','parameters':{" kv

static const struct pv_case classes[] = {
    {CLASS("nfs.csi.k8s.io", "'server':'10.0.0.5'"), NFS, OPEN, "NFS", "provisioner nfs.csi.k8s.io, server 10.0.0.5"},
    {CLASS("k8s-sigs.io/nfs-subdir-external-provisioner", ""), NFS, OPEN, "NFS", NULL},
    {CLASS("cluster.local/nas-nfs-subdir-external-provisioner", ""), NFS, OPEN, "NFS", NULL},
    {CLASS("cluster.local/storage", ""), UNKNOWN, OPEN, "unknown", NULL},
    {CLASS("fuseim.pri/ifs", ""), NFS, OPEN, "NFS", NULL},
    {CLASS("example.com/nfs", ""), NFS, OPEN, "NFS", NULL},
    {CLASS("kubernetes.io/no-provisioner", ""), UNKNOWN, OPEN, "unknown", NULL},
    {CLASS("csi.trident.netapp.io", "'storageDriverName':'azure-netapp-files'"), NFS, OPEN, "NFS",
     "azure-netapp-files"},
    {CLASS("csi.trident.netapp.io", "'backendType':'solidfire-san'"), BLOCK, OPEN, "block unknown", NULL},
    {CLASS("csi.proxmox.sinextra.dev", "'csi.storage.k8s.io/node-stage-secret-name':'s'"), BLOCK, DECLARED,
     "LUKS declared", "node-stage-secret-name"},
    {CLASS("csi.proxmox.sinextra.dev", "'storage':'local-lvm'"), BLOCK, PLAIN, "block plain",
     "no node-stage-secret-name"},
    {CLASS("driver.longhorn.io", "'encrypted':'true'"), BLOCK, DECLARED, "LUKS declared", NULL},
    {CLASS("driver.longhorn.io", "'csi.storage.k8s.io/node-stage-secret-name':'s'"), BLOCK, PLAIN, "block plain", NULL},
    {CLASS("rook-ceph.rbd.csi.ceph.com", "'csi.storage.k8s.io/node-stage-secret-name':'s'"), BLOCK, PLAIN,
     "block plain", NULL},
    {CLASS("rook-ceph.rbd.csi.ceph.com", "'encrypted':'true'"), BLOCK, DECLARED, "LUKS declared", NULL},
    {CLASS("ebs.csi.aws.com", "'encrypted':'true','kmsKeyId':'k'"), BLOCK, DECLARED, "KMS declared", NULL},
    {CLASS("ebs.csi.aws.com", ""), BLOCK, OPEN, "block unknown", NULL},
    {CLASS("kubernetes.io/aws-ebs", "'encrypted':'false'"), BLOCK, OPEN, "block unknown", NULL},
    {CLASS("linodebs.csi.linode.com", "'linodebs.csi.linode.com/luks-encrypted':'true'"), BLOCK, DECLARED,
     "LUKS declared", "luks-encrypted"},
    {CLASS("csi.scaleway.com", "'encrypted':'true'"), BLOCK, DECLARED, "LUKS declared", NULL},
    {CLASS("pd.csi.storage.gke.io", "'disk-encryption-kms-key':'projects/p'"), BLOCK, DECLARED, "KMS declared", NULL},
    {CLASS("disk.csi.azure.com", "'diskEncryptionSetID':'/subscriptions/x'"), BLOCK, DECLARED, "KMS declared", NULL},
    {CLASS("topolvm.io", ""), BLOCK, OPEN, "block unknown", NULL},
};

static void test_classes(void **state) {
    (void)state;
    struct kube_arena a = {0};
    for (size_t i = 0; i < ARRAY_LEN(classes); i++) {
        struct kube_class c;
        struct buf evidence = {0};
        char *json = quoted("{'metadata':{'uid':'u','name':'n',", classes[i].spec);
        assert_null(kube_class_parse(&a, slice_of(json), &c));
        check(storage_judge_class(&c, &evidence), &classes[i], c.provisioner, (struct slice){NULL, 0}, &evidence);
        buf_free(&evidence);
        kube_arena_reset(&a);
        mem_free(json);
    }
    kube_arena_free(&a);
}

/* ---- Claims ------------------------------------------------------------------------------------------------------ */

static void assert_state(struct claim_facts f, const char *want) {
    struct buf why = {0};
    f.phase = f.phase.p ? f.phase : SLICE_LIT("Bound");
    assert_string_equal(claim_judge(&f, &why), want);
    buf_free(&why);
}

static void test_claims(void **state) {
    (void)state;
    const struct slice pending = SLICE_LIT("Pending"), lost = SLICE_LIT("Lost"), image = SLICE_LIT("postgres:16");
    assert_state((struct claim_facts){.deleting = true, .backend = NFS, .plan_mounts = true}, "TERMINATING");
    assert_state((struct claim_facts){.phase = lost, .backend = NFS}, "LOST");
    assert_state((struct claim_facts){.backend = NFS, .has_plan = true, .plan_mounts = true}, "HOSTILE");
    assert_state((struct claim_facts){.phase = pending, .backend = NFS, .has_plan = true, .plan_mounts = true},
                 "HOSTILE");
    assert_state(
        (struct claim_facts){
            .phase = pending, .backend = BLOCK, .has_plan = true, .plan_mounts = true, .on_target = true},
        "PENDING");
    assert_state((struct claim_facts){.backend = BLOCK, .has_plan = true, .plan_mounts = true, .on_target = true}, "MOVED");
    /* A class's name proves nothing: the plan requires encryption, and nothing shows it. */
    assert_state(
        (struct claim_facts){
            .backend = BLOCK, .has_plan = true, .plan_mounts = true, .on_target = true, .unproved = true},
        "UNKNOWN");
    assert_state((struct claim_facts){.phase = pending, .backend = UNKNOWN}, "PENDING");
    assert_state((struct claim_facts){.backend = UNKNOWN, .has_plan = true, .plan_mounts = true, .on_target = true},
                 "UNKNOWN");
    assert_state((struct claim_facts){.backend = NFS, .has_plan = true, .plan_mounts = true, .may_remain = true},
                 "FINE");
    assert_state((struct claim_facts){.backend = NFS, .has_plan = true, .plan_mounted = true}, "RETIRED");
    assert_state((struct claim_facts){.backend = NFS, .has_plan = true, .plan_mounted = true, .others_mount = true},
                 "FINE");
    assert_state((struct claim_facts){.backend = NFS, .has_plan = true, .plan_mounted = true, .may_remain = true},
                 "FINE");
    assert_state(
        (struct claim_facts){
            .backend = NFS, .has_plan = true, .stateful_mounts = true, .database = image, .others_mount = true},
        "FINE");
    assert_state((struct claim_facts){.backend = BLOCK, .volume_missing = true}, "UNKNOWN");
    assert_state((struct claim_facts){.backend = NFS, .volume_missing = true, .stateful_mounts = true}, "HOSTILE");
    assert_state((struct claim_facts){.backend = NFS, .stateful_mounts = true}, "HOSTILE");
    assert_state((struct claim_facts){.backend = NFS, .database = image}, "HOSTILE");
    assert_state((struct claim_facts){.backend = BLOCK, .stateful_mounts = true}, "FINE");
    assert_state((struct claim_facts){.backend = BLOCK, .has_plan = true, .plan_mounts = true, .on_target = true},
                 "MOVED");
    assert_state((struct claim_facts){.backend = BLOCK, .has_plan = true, .plan_mounts = true}, "FINE");
    assert_state((struct claim_facts){.backend = BLOCK, .has_plan = true, .on_target = true}, "FINE");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_volumes),
        cmocka_unit_test(test_classes),
        cmocka_unit_test(test_claims),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
