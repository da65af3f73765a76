#include "source/storage_judge.h"

#include <string.h>

#include "base/mem.h"
#include "client/kube_parse.h"

enum match { IS, ENDS, HAS };

/* What a driver's name says, and where it writes down that a volume is encrypted. */
struct driver {
    enum match match;
    const char *name;
    enum storage_backend backend;
    const char *luks;      /* what its encryption is called; NULL: "encrypted" */
    bool stage_secret;     /* a stage secret is a passphrase: present is declared, absent is plain */
    const char *attribute; /* of volumes: "true" is declared, else plain */
    const char *parameter; /* of classes: "true" (or, with `any`, anything) is declared */
    bool any;
    bool parameter_plain;  /* a class without the parameter makes plain volumes */
};

/* The first that matches counts. */
static const struct driver drivers[] = {
    {.match = IS, .name = "nfs", .backend = STORAGE_NFS},
    {.match = IS, .name = "nfs.csi.k8s.io", .backend = STORAGE_NFS},
    {.match = IS, .name = "k8s-sigs.io/nfs-subdir-external-provisioner", .backend = STORAGE_NFS},
    {.match = IS, .name = "fuseim.pri/ifs", .backend = STORAGE_NFS},
    {.match = IS, .name = "efs.csi.aws.com", .backend = STORAGE_NFS},
    {.match = IS, .name = "filestore.csi.storage.gke.io", .backend = STORAGE_NFS},
    {.match = IS, .name = "csi-isilon.dellemc.com", .backend = STORAGE_NFS},
    {.match = IS, .name = "nasplugin.csi.alibabacloud.com", .backend = STORAGE_NFS},
    {.match = IS,
     .name = "csi.proxmox.sinextra.dev",
     .backend = STORAGE_BLOCK,
     .luks = "LUKS",
     .stage_secret = true,
     .parameter = "csi.storage.k8s.io/node-stage-secret-name",
     .any = true,
     .parameter_plain = true},
    {.match = IS,
     .name = "driver.longhorn.io",
     .backend = STORAGE_BLOCK,
     .luks = "LUKS",
     .attribute = "encrypted",
     .parameter = "encrypted",
     .parameter_plain = true},
    {.match = ENDS,
     .name = "rbd.csi.ceph.com",
     .backend = STORAGE_BLOCK,
     .luks = "LUKS",
     .attribute = "encrypted",
     .parameter = "encrypted",
     .parameter_plain = true},
    {.match = ENDS, .name = "nfs.csi.ceph.com", .backend = STORAGE_NFS},
    {.match = IS, .name = "ebs.csi.aws.com", .backend = STORAGE_BLOCK, .luks = "KMS", .parameter = "encrypted"},
    {.match = IS,
     .name = "ebs.csi.eks.amazonaws.com",
     .backend = STORAGE_BLOCK,
     .luks = "KMS",
     .parameter = "encrypted"},
    {.match = IS, .name = "kubernetes.io/aws-ebs", .backend = STORAGE_BLOCK, .luks = "KMS", .parameter = "encrypted"},
    {.match = IS, .name = "awsElasticBlockStore", .backend = STORAGE_BLOCK, .luks = "KMS", .parameter = "encrypted"},
    {.match = IS,
     .name = "linodebs.csi.linode.com",
     .backend = STORAGE_BLOCK,
     .luks = "LUKS",
     .parameter = "linodebs.csi.linode.com/luks-encrypted"},
    {.match = IS, .name = "csi.scaleway.com", .backend = STORAGE_BLOCK, .luks = "LUKS", .parameter = "encrypted"},
    {.match = IS, .name = "driver.harvesterhci.io", .backend = STORAGE_BLOCK, .parameter = "encrypted"},
    {.match = IS, .name = "lvm.csi.metal-stack.io", .backend = STORAGE_BLOCK, .luks = "LUKS", .parameter = "encrypted"},
    {.match = IS,
     .name = "pd.csi.storage.gke.io",
     .backend = STORAGE_BLOCK,
     .luks = "KMS",
     .parameter = "disk-encryption-kms-key",
     .any = true},
    {.match = IS,
     .name = "disk.csi.azure.com",
     .backend = STORAGE_BLOCK,
     .luks = "KMS",
     .parameter = "diskEncryptionSetID",
     .any = true},
    {.match = IS, .name = "topolvm.io", .backend = STORAGE_BLOCK},
    {.match = IS, .name = "topolvm.cybozu.com", .backend = STORAGE_BLOCK},
    {.match = IS, .name = "local.csi.openebs.io", .backend = STORAGE_BLOCK},
    {.match = IS, .name = "zfs.csi.openebs.io", .backend = STORAGE_BLOCK},
    {.match = IS, .name = "linstor.csi.linbit.com", .backend = STORAGE_BLOCK},
    {.match = IS, .name = "cinder.csi.openstack.org", .backend = STORAGE_BLOCK},
    {.match = IS, .name = "csi.vsphere.vmware.com", .backend = STORAGE_BLOCK},
    {.match = IS, .name = "csi.hetzner.cloud", .backend = STORAGE_BLOCK},
    {.match = IS, .name = "dobs.csi.digitalocean.com", .backend = STORAGE_BLOCK},
    {.match = IS, .name = "iscsi", .backend = STORAGE_BLOCK},
    {.match = IS, .name = "fc", .backend = STORAGE_BLOCK},
    {.match = IS, .name = "rbd", .backend = STORAGE_BLOCK},
    {.match = IS, .name = "gcePersistentDisk", .backend = STORAGE_BLOCK},
    {.match = IS, .name = "azureDisk", .backend = STORAGE_BLOCK},
    {.match = IS, .name = "cinder", .backend = STORAGE_BLOCK},
    {.match = IS, .name = "vsphereVolume", .backend = STORAGE_BLOCK},
    {.match = HAS, .name = "nfs", .backend = STORAGE_NFS}, /* a name is a hint; better that than nothing */
};

static bool matches(const struct driver *d, struct slice name) {
    if (d->match == IS) return slice_is(name, d->name);
    return d->match == ENDS ? slice_ends(name, d->name) : slice_contains(name, d->name);
}

static const struct driver *find_driver(struct slice name) {
    for (size_t i = 0; name.n && i < ARRAY_LEN(drivers); i++)
        if (matches(&drivers[i], name)) return &drivers[i];
    return NULL;
}

struct storage_verdict storage_judge_provisioner(struct slice provisioner) {
    const struct driver *d = find_driver(provisioner);
    return (struct storage_verdict){d ? d->backend : STORAGE_UNKNOWN, ENCRYPTION_UNKNOWN};
}

/* ---- Words ------------------------------------------------------------------------------------------------------- */

static const char *const backend_names[] = {"unknown", "nfs", "block"}, *const encryption_names[] = {"unknown", "plain",
                                                                                                     "declared"};

const char *storage_backend_name(enum storage_backend b) {
    return backend_names[b];
}

const char *storage_encryption_name(enum storage_encryption e) {
    return encryption_names[e];
}

enum storage_backend storage_backend_by_name(struct slice s) {
    return slice_is(s, "nfs") ? STORAGE_NFS : slice_is(s, "block") ? STORAGE_BLOCK : STORAGE_UNKNOWN;
}

enum storage_encryption storage_encryption_by_name(struct slice s) {
    return slice_is(s, "plain") ? ENCRYPTION_PLAIN : slice_is(s, "declared") ? ENCRYPTION_DECLARED : ENCRYPTION_UNKNOWN;
}

void storage_text(struct buf *out, struct storage_verdict v, struct slice driver, struct slice server) {
    const struct driver *d = find_driver(driver);
    if (v.backend == STORAGE_NFS && server.n) buf_printf(out, "NFS %.*s", SLICE_FMT(server));
    else if (v.backend == STORAGE_NFS) buf_adds(out, "NFS");
    else if (v.backend == STORAGE_UNKNOWN) buf_adds(out, "unknown");
    else if (v.encryption == ENCRYPTION_DECLARED) buf_printf(out, "%s declared", d && d->luks ? d->luks : "encryption");
    else buf_printf(out, "block %s", storage_encryption_name(v.encryption));
}

/* ---- Heuristics shared by both ----------------------------------------------------------------------------------- */

/* The option of a mount (of a list "a,b") that only NFS has; absent if none. */
static struct slice nfs_option(struct slice options) {
    static const char *const names[] = {"nfsvers=", "vers=3", "vers=4", "nolock", "hard", "soft", "rsize="};
    struct slice one;
    while (slice_cut(&options, ',', &one))
        for (size_t i = 0; i < ARRAY_LEN(names); i++)
            if (slice_starts(slice_trim(one), names[i])) return slice_trim(one);
    return (struct slice){NULL, 0};
}

static bool starts_with_one_of(struct slice s, const char *const *list, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (slice_starts(s, list[i])) return true;
    return false;
}

/* Drivers that serve several kinds say which in a parameter or attribute: true if this is such a driver. */
static bool judge_many_sided(struct slice driver, const struct kube_pairs *p, enum storage_backend *backend,
                             struct buf *evidence) {
    static const char *const trident_nfs[] = {"ontap-nas", "azure-netapp-files", "gcp-cvs"}, *const trident_block[] = {
                                                                                                 "ontap-san",
                                                                                                 "solidfire-san"};
    struct slice kind = {NULL, 0};
    if (slice_is(driver, "csi.trident.netapp.io")) {
        kind = kube_pair_get(p, "backendType");
        if (!kind.p) kind = kube_pair_get(p, "storageDriverName");
        *backend = starts_with_one_of(kind, trident_nfs, ARRAY_LEN(trident_nfs))       ? STORAGE_NFS
                   : starts_with_one_of(kind, trident_block, ARRAY_LEN(trident_block)) ? STORAGE_BLOCK
                                                                                       : STORAGE_UNKNOWN;
    } else if (slice_is(driver, "csi.hpe.com")) {
        kind = kube_pair_get(p, "accessProtocol");
        *backend = slice_is(kind, "nfs")                             ? STORAGE_NFS
                   : slice_is(kind, "iscsi") || slice_is(kind, "fc") ? STORAGE_BLOCK
                                                                     : STORAGE_UNKNOWN;
    } else if (slice_is(driver, "file.csi.azure.com")) {
        kind = kube_pair_get(p, "protocol");
        *backend = slice_is(kind, "nfs") ? STORAGE_NFS : STORAGE_UNKNOWN;
    } else if (slice_starts(driver, "org.democratic-csi.")) {
        *backend = slice_contains(driver, "nfs")     ? STORAGE_NFS
                   : slice_contains(driver, "iscsi") ? STORAGE_BLOCK
                                                     : STORAGE_UNKNOWN;
        return true;
    } else {
        return false;
    }
    if (kind.p) buf_printf(evidence, ", %.*s", SLICE_FMT(kind));
    return true;
}

/* ---- Volumes ----------------------------------------------------------------------------------------------------- */

/* Longhorn shares a volume that many may write through NFS, unless it is one that migrates. */
static bool longhorn_shares(const struct kube_volume *v) {
    if (!slice_is(v->driver, "driver.longhorn.io") || slice_is(kube_pair_get(&v->attributes, "migratable"), "true"))
        return false;
    return slice_contains(v->modes, "RWX") || slice_is(kube_pair_get(&v->attributes, "share"), "true");
}

/* Proxmox' stores of files (…/9999/vm-9999-pvc-….qcow2) may lie anywhere, on NFS too. */
static bool proxmox_file(const struct kube_volume *v) {
    return slice_is(v->driver, "csi.proxmox.sinextra.dev") &&
           (slice_ends(v->handle, ".qcow2") || slice_ends(v->handle, ".raw") || slice_ends(v->handle, ".vmdk"));
}

static void judge_volume_backend(const struct kube_volume *v, const struct driver *d, struct storage_verdict *ret,
                                 struct buf *evidence) {
    struct slice option = nfs_option(v->mount_options);
    ret->backend = d ? d->backend : STORAGE_UNKNOWN;
    if (judge_many_sided(v->driver, &v->attributes, &ret->backend, evidence)) return;
    if (longhorn_shares(v)) {
        ret->backend = STORAGE_NFS;
        buf_adds(evidence, ", shared over NFS");
    } else if (proxmox_file(v)) {
        ret->backend = STORAGE_UNKNOWN;
        buf_adds(evidence, ", a disk image file: its store may be NFS");
    } else if (slice_is(v->driver, "hostPath") || slice_is(v->driver, "local")) {
        buf_printf(evidence, " %.*s: a directory, may lie on anything", SLICE_FMT(v->path));
    } else if (ret->backend == STORAGE_UNKNOWN && option.p) {
        ret->backend = STORAGE_NFS;
        buf_printf(evidence, ", mount option %.*s", SLICE_FMT(option));
    }
}

static void judge_volume_encryption(const struct kube_volume *v, const struct driver *d, struct storage_verdict *ret,
                                    struct buf *evidence) {
    if (!d) return;
    if (d->stage_secret) {
        ret->encryption = v->stage_secret ? ENCRYPTION_DECLARED : ENCRYPTION_PLAIN;
        buf_printf(evidence, ", %s stage secret", v->stage_secret ? "with" : "no");
    } else if (d->attribute) {
        bool on = slice_is(kube_pair_get(&v->attributes, d->attribute), "true");
        ret->encryption = on ? ENCRYPTION_DECLARED : ENCRYPTION_PLAIN;
        buf_printf(evidence, ", %s%s", on ? "" : "not ", d->attribute);
    }
}

struct storage_verdict storage_judge_volume(const struct kube_volume *v, struct buf *evidence) {
    struct storage_verdict ret = {STORAGE_UNKNOWN, ENCRYPTION_UNKNOWN};
    const struct driver *d = find_driver(v->driver);
    if (!v->driver.n) {
        buf_adds(evidence, "its spec names no storage that is known here");
        return ret;
    }
    bool csi = slice_contains(v->driver, ".");
    buf_printf(evidence, "pv.spec.%s%.*s", csi ? "csi.driver " : "", SLICE_FMT(v->driver));
    judge_volume_backend(v, d, &ret, evidence);
    if (v->server.n) buf_printf(evidence, ", server %.*s, share %.*s", SLICE_FMT(v->server), SLICE_FMT(v->path));
    if (ret.backend != STORAGE_NFS) judge_volume_encryption(v, d, &ret, evidence);
    return ret;
}

/* ---- Classes ----------------------------------------------------------------------------------------------------- */

static void judge_class_encryption(const struct kube_class *c, const struct driver *d, struct storage_verdict *ret,
                                   struct buf *evidence) {
    if (!d || !d->parameter) return;
    struct slice value = kube_pair_get(&c->parameters, d->parameter);
    bool on = d->any ? value.n > 0 : slice_is(value, "true");
    if (on) ret->encryption = ENCRYPTION_DECLARED;
    else if (d->parameter_plain) ret->encryption = ENCRYPTION_PLAIN;
    const char *slash = strrchr(d->parameter, '/');
    if (on || d->parameter_plain) buf_printf(evidence, ", %s%s", on ? "" : "no ", slash ? slash + 1 : d->parameter);
}

struct storage_verdict storage_judge_class(const struct kube_class *c, struct buf *evidence) {
    struct storage_verdict ret = storage_judge_provisioner(c->provisioner);
    const struct driver *d = find_driver(c->provisioner);
    struct slice option = nfs_option(c->mount_options), server = kube_pair_get(&c->parameters, "server");
    buf_printf(evidence, "provisioner %.*s", SLICE_FMT(c->provisioner));
    if (judge_many_sided(c->provisioner, &c->parameters, &ret.backend, evidence)) return ret;
    if (ret.backend == STORAGE_UNKNOWN && option.p) {
        ret.backend = STORAGE_NFS;
        buf_printf(evidence, ", mount option %.*s", SLICE_FMT(option));
    }
    if (ret.backend == STORAGE_NFS && server.n) buf_printf(evidence, ", server %.*s", SLICE_FMT(server));
    if (ret.backend != STORAGE_NFS) judge_class_encryption(c, d, &ret, evidence);
    return ret;
}
