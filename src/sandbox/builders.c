/* The objects that controllers make, shared with the seed, so that the controllers find nothing to do in it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/hash.h"
#include "base/json_doc.h"
#include "base/mem.h"
#include "sandbox/controllers.h"
#include "sandbox/kube.h"
#include "sandbox/object.h"

void each_object(struct kube *k, int kind, const char *ns, bool (*fn)(void *arg, struct json_t *doc), void *arg)
{
    size_t from, to, count;
    struct version *const *all = store_all(k->store, (enum kube_id)kind, &count);
    struct version **copy;
    bool more = true;

    store_range(k->store, (enum kube_id)kind, ns, &from, &to);
    count = to - from;
    copy = mem_calloc(count + 1, sizeof *copy);
    for (size_t i = 0; i < count; i++)
        copy[i] = version_ref(all[from + i]);
    for (size_t i = 0; i < count; i++) {
        struct json_t *doc = more ? version_doc(copy[i]) : NULL;
        more = more && fn(arg, doc);
        jd_free(doc);
        version_unref(copy[i]);
    }
    free(copy);
}

struct json_t *owner_reference(int kind, const struct json_t *owner)
{
    const struct kube_kind *kk = &kube_kinds[kind];

    return object_parse("{'apiVersion':'%s','kind':'%s','name':'%s','uid':'%s','controller':true,"
                        "'blockOwnerDeletion':true}",
                        kube_kind_api_version(kk), kk->name, object_name(owner), object_uid_of(owner));
}

bool owned_by(const struct json_t *doc, const char *uid)
{
    struct json_t *refs = jd_get(doc, "metadata.ownerReferences");

    for (size_t i = 0; i < jd_len(refs); i++)
        if (str_eq(jd_str(jd_at(refs, i), "uid"), uid))
            return true;
    return false;
}

static int compare_keys(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Dumps with sorted keys and without nulls: the same template has the same text, however it was sent. */
static void dump_canonical(struct json_t *v, struct buf *out)
{
    size_t n = jd_len(v), i = 0;

    if (jd_is_array(v)) {
        buf_addc(out, '[');
        for (; i < n; i++) {
            dump_canonical(jd_at(v, i), out);
            buf_addc(out, ',');
        }
        buf_addc(out, ']');
    } else if (jd_is_object(v)) {
        const char **keys = mem_calloc(n + 1, sizeof *keys);
        for (void *it = jd_iter(v); it; it = jd_iter_next(v, it))
            keys[i++] = jd_iter_key(it);
        qsort(keys, n, sizeof *keys, compare_keys);
        buf_addc(out, '{');
        for (i = 0; i < n; i++) {
            if (jd_is_null(jd_member(v, keys[i])))
                continue;
            buf_printf(out, "%s:", keys[i]);
            dump_canonical(jd_member(v, keys[i]), out);
            buf_addc(out, ',');
        }
        buf_addc(out, '}');
        free(keys);
    } else {
        jd_dump(v, out);
    }
}

void template_hash(const struct json_t *template, char ret[11])
{
    static const char letters[] = "bcdfghjklmnpqrstvwxz2456789";
    struct json_t *copy = jd_copy(template);
    struct json_t *labels = jd_get(copy, "metadata.labels");
    struct buf b = {0};
    char hex[HASH_HEX_SIZE];

    if (labels)
        jd_del(labels, "pod-template-hash");
    dump_canonical(copy, &b);
    hash_hex(b.p, b.len, hex);
    for (size_t i = 0; i < 10; i++)
        ret[i] = letters[(unsigned)(hex[2 * i] * 31 + hex[2 * i + 1]) % (sizeof letters - 1)];
    ret[10] = '\0';
    buf_free(&b);
    jd_free(copy);
}

struct json_t *pod_from_template(const struct json_t *template, const char *ns, const char *name, int kind,
                                 const struct json_t *owner)
{
    struct json_t *pod = jd_object(), *meta = jd_object(), *refs = jd_array();
    static const char *const keep[] = {"labels", "annotations"};
    size_t n = strlen(name);

    if (n && name[n - 1] == '-')
        jd_set(meta, "generateName", jd_string(name));
    else
        jd_set(meta, "name", jd_string(name));
    jd_set(meta, "namespace", jd_string(ns));
    for (size_t i = 0; i < ARRAY_LEN(keep); i++) {
        struct json_t *v = jd_member(jd_member(template, "metadata"), keep[i]);
        if (v)
            jd_set(meta, keep[i], jd_copy(v));
    }
    jd_append(refs, owner_reference(kind, owner));
    jd_set(meta, "ownerReferences", refs);
    jd_set(pod, "metadata", meta);
    jd_set(pod, "spec", jd_copy(jd_member(template, "spec")));
    return pod;
}

struct json_t *replicaset_for(const struct json_t *deployment, int64_t replicas)
{
    struct json_t *template = jd_copy(jd_get(deployment, "spec.template")), *rs;
    char hash[11];

    template_hash(template, hash);
    rs = object_parse("{'metadata':{'name':'%s-%s','namespace':'%s','annotations':{"
                      "'deployment.kubernetes.io/desired-replicas':'%lld',"
                      "'deployment.kubernetes.io/max-replicas':'%lld',"
                      "'deployment.kubernetes.io/revision':'1'}},'spec':{'replicas':%lld}}",
                      object_name(deployment), hash, object_namespace(deployment), (long long)replicas,
                      (long long)replicas, (long long)replicas);
    jd_put(template, "metadata.labels.pod-template-hash", jd_string(hash));
    jd_put(rs, "metadata.labels", jd_copy(jd_get(template, "metadata.labels")));
    jd_put(rs, "metadata.ownerReferences", jd_array());
    jd_append(jd_get(rs, "metadata.ownerReferences"), owner_reference(KIND_DEPLOYMENT, deployment));
    jd_put(rs, "spec.selector", jd_copy(jd_get(deployment, "spec.selector")));
    jd_put(rs, "spec.selector.matchLabels.pod-template-hash", jd_string(hash));
    jd_put(rs, "spec.template", template);
    return rs;
}

struct json_t *revision_for(const struct json_t *set, int64_t revision)
{
    char hash[11];
    struct json_t *r;

    template_hash(jd_get(set, "spec.template"), hash);
    r = object_parse("{'metadata':{'name':'%s-%s','namespace':'%s','labels':{'controller.kubernetes.io/hash':'%s'}},"
                     "'data':{'spec':{'template':{}}},'revision':%lld}",
                     object_name(set), hash, object_namespace(set), hash, (long long)revision);
    jd_put(r, "data.spec.template", jd_copy(jd_get(set, "spec.template")));
    jd_put(r, "data.spec.template.$patch", jd_string("replace"));
    jd_put(r, "metadata.ownerReferences", jd_array());
    jd_append(jd_get(r, "metadata.ownerReferences"), owner_reference(KIND_STATEFULSET, set));
    return r;
}

struct json_t *set_claim(const struct json_t *set, const struct json_t *template, int64_t ordinal)
{
    struct json_t *claim = object_parse("{'metadata':{'name':'%s-%s-%lld','namespace':'%s'}}", object_name(template),
                                        object_name(set), (long long)ordinal, object_namespace(set));
    struct json_t *labels = jd_get(set, "spec.selector.matchLabels");

    if (labels)
        jd_put(claim, "metadata.labels", jd_copy(labels));
    jd_set(claim, "spec", jd_copy(jd_get(template, "spec")));
    return claim;
}

struct json_t *set_pod(const struct json_t *set, int64_t ordinal, const char *revision)
{
    char *name = str_printf("%s-%lld", object_name(set), (long long)ordinal), number[24];
    struct json_t *pod = pod_from_template(jd_get(set, "spec.template"), object_namespace(set), name, KIND_STATEFULSET,
                                           set);
    struct json_t *templates = jd_get(set, "spec.volumeClaimTemplates"), *volumes = jd_array();

    snprintf(number, sizeof number, "%lld", (long long)ordinal);
    object_set_label(pod, "apps.kubernetes.io/pod-index", number);
    object_set_label(pod, "controller-revision-hash", revision);
    object_set_label(pod, "statefulset.kubernetes.io/pod-name", name);
    jd_put(pod, "spec.hostname", jd_string(name));
    jd_put(pod, "spec.subdomain", jd_string(jd_str(set, "spec.serviceName") ? jd_str(set, "spec.serviceName") : ""));
    for (size_t i = 0; i < jd_len(templates); i++)
        jd_append(volumes, object_parse("{'name':'%s','persistentVolumeClaim':{'claimName':'%s-%s'}}",
                                        object_name(jd_at(templates, i)), object_name(jd_at(templates, i)), name));
    struct json_t *own = jd_get(pod, "spec.volumes");
    for (size_t i = 0; i < jd_len(own); i++)
        jd_append(volumes, jd_ref(jd_at(own, i)));
    jd_put(pod, "spec.volumes", volumes);
    free(name);
    return pod;
}

/* ---- Volumes ----------------------------------------------------------------------------------------------------- */

static struct json_t *nfs_source(const struct json_t *claim, const struct json_t *class, const char *volume)
{
    const char *server = jd_str(class, "parameters.server"), *share = jd_str(class, "parameters.share");

    return object_parse(
        "{'driver':'nfs.csi.k8s.io','volumeAttributes':{'csi.storage.k8s.io/pv/name':'%s',"
        "'csi.storage.k8s.io/pvc/name':'%s','csi.storage.k8s.io/pvc/namespace':'%s','server':'%s','share':'%s',"
        "'storage.kubernetes.io/csiProvisionerIdentity':'1745000000000-4711-nfs.csi.k8s.io','subdir':'%s'},"
        "'volumeHandle':'%s#%s#%s##'}",
        volume, object_name(claim), object_namespace(claim), server ? server : "10.0.0.5", share ? share : "/export/k8s",
        volume, server ? server : "10.0.0.5", share ? share + 1 : "export/k8s", volume);
}

static struct json_t *proxmox_source(const struct json_t *class, const char *volume)
{
    const char *storage = jd_str(class, "parameters.storage");
    struct json_t *params = jd_member(class, "parameters");
    const char *secret = jd_string_value(jd_member(params, "csi.storage.k8s.io/node-stage-secret-name"));
    const char *secret_ns = jd_string_value(jd_member(params, "csi.storage.k8s.io/node-stage-secret-namespace"));
    struct json_t *csi = object_parse(
        "{'driver':'csi.proxmox.sinextra.dev','fsType':'ext4','volumeAttributes':{'cache':'writethrough','ssd':'true',"
        "'storage':'%s','storage.kubernetes.io/csiProvisionerIdentity':'1745000000000-815-csi.proxmox.sinextra.dev'},"
        "'volumeHandle':'home/pve1/%s/vm-9999-%s'}",
        storage ? storage : "local-lvm", storage ? storage : "local-lvm", volume);

    if (secret)
        jd_set(csi, "nodeStageSecretRef",
               object_parse("{'name':'%s','namespace':'%s'}", secret, secret_ns ? secret_ns : "csi-proxmox"));
    return csi;
}

struct json_t *volume_for(struct kube *k, const struct json_t *claim, const struct json_t *class, const char *node)
{
    const char *driver = jd_str(class, "provisioner"), *policy = jd_str(class, "reclaimPolicy");
    const char *size = jd_str(claim, "spec.resources.requests.storage");
    char *name = str_printf("pvc-%s", object_uid_of(claim));
    bool nfs = str_eq(driver, "nfs.csi.k8s.io");
    struct json_t *pv = object_parse(
        "{'metadata':{'name':'%s','annotations':{'pv.kubernetes.io/provisioned-by':'%s',"
        "'volume.kubernetes.io/provisioner-deletion-secret-name':'',"
        "'volume.kubernetes.io/provisioner-deletion-secret-namespace':''},"
        "'finalizers':['external-provisioner.volume.kubernetes.io/finalizer']},'spec':{'capacity':{'storage':'%s'},"
        "'claimRef':{'kind':'PersistentVolumeClaim','namespace':'%s','name':'%s','uid':'%s','apiVersion':'v1',"
        "'resourceVersion':'%s'},'persistentVolumeReclaimPolicy':'%s','storageClassName':'%s',"
        "'volumeMode':'Filesystem'}}",
        name, driver, size ? size : "1Gi", object_namespace(claim), object_name(claim), object_uid_of(claim),
        jd_str(claim, "metadata.resourceVersion") ? jd_str(claim, "metadata.resourceVersion") : "1",
        policy ? policy : "Delete", object_name(class));

    (void)k, (void)node;
    jd_put(pv, "spec.accessModes", jd_copy(jd_get(claim, "spec.accessModes")));
    jd_put(pv, "spec.csi", nfs ? nfs_source(claim, class, name) : proxmox_source(class, name));
    if (jd_member(class, "mountOptions"))
        jd_put(pv, "spec.mountOptions", jd_copy(jd_member(class, "mountOptions")));
    if (!nfs)
        jd_put(pv, "spec.nodeAffinity",
               object_parse("{'required':{'nodeSelectorTerms':[{'matchExpressions':[{'key':"
                            "'topology.kubernetes.io/region','operator':'In','values':['home']},{'key':"
                            "'topology.kubernetes.io/zone','operator':'In','values':['pve1']}]}]}}"));
    free(name);
    return pv;
}

struct json_t *attachment_for(const struct json_t *volume, const char *node)
{
    const char *handle = jd_str(volume, "spec.csi.volumeHandle"), *driver = jd_str(volume, "spec.csi.driver");
    char *text = str_printf("%s%s%s", handle ? handle : "", driver ? driver : "", node), hex[HASH_HEX_SIZE];
    struct json_t *a;

    hash_hex(text, strlen(text), hex);
    free(text);
    a = object_parse("{'metadata':{'name':'csi-%s','annotations':{'csi.alpha.kubernetes.io/node-id':'%s'},"
                     "'finalizers':['external-attacher/csi-proxmox-sinextra-dev']},'spec':{'attacher':'%s',"
                     "'source':{'persistentVolumeName':'%s'},'nodeName':'%s'},'status':{'attached':true,"
                     "'attachmentMetadata':{'DevicePath':'/dev/disk/by-id/wwn-0x5056432d49443031','lun':'1'}}}",
                     hex, node, driver ? driver : "", object_name(volume), node);
    return a;
}

/* ---- Pods -------------------------------------------------------------------------------------------------------- */

bool pod_is_ready(const struct json_t *pod)
{
    struct json_t *list = jd_get(pod, "status.conditions");

    for (size_t i = 0; i < jd_len(list); i++)
        if (str_eq(jd_str(jd_at(list, i), "type"), "Ready"))
            return str_eq(jd_str(jd_at(list, i), "status"), "True");
    return false;
}

bool pod_is_finished(const struct json_t *pod)
{
    const char *phase = jd_str(pod, "status.phase");

    return str_eq(phase, "Succeeded") || str_eq(phase, "Failed");
}

static struct json_t *condition(const char *type, bool ok, const char *when)
{
    return object_parse("{'type':'%s','status':'%s','lastProbeTime':null,'lastTransitionTime':'%s'}", type,
                        ok ? "True" : "False", when);
}

/* A condition keeps its transition time while its status stays. */
static void set_condition(struct json_t *list, const char *type, bool ok, const char *when)
{
    for (size_t i = 0; i < jd_len(list); i++) {
        struct json_t *c = jd_at(list, i);
        if (!str_eq(jd_str(c, "type"), type))
            continue;
        if (!str_eq(jd_str(c, "status"), ok ? "True" : "False"))
            jd_set_at(list, i, condition(type, ok, when));
        return;
    }
    jd_append(list, condition(type, ok, when));
}

static struct json_t *container_running(const struct json_t *c, bool ready, const char *since, int64_t restarts)
{
    const char *image = jd_str(c, "image") ? jd_str(c, "image") : "";
    char hex[HASH_HEX_SIZE];

    hash_hex(image, strlen(image), hex);
    return object_parse("{'name':'%s','state':{'running':{'startedAt':'%s'}},'lastState':{},'ready':%s,"
                        "'restartCount':%lld,'image':'%s','imageID':'%s@sha256:%s','containerID':'containerd://%s',"
                        "'started':true}",
                        jd_str(c, "name"), since, ready ? "true" : "false", (long long)restarts, image, image, hex, hex);
}

static const char *pod_ip(struct kube *k, const struct json_t *pod, char *buf, size_t size)
{
    static unsigned next = 20;
    const char *node = jd_str(pod, "spec.nodeName"), *have = jd_str(pod, "status.podIP");
    size_t n = node ? strlen(node) : 0;

    (void)k;
    if (have)
        snprintf(buf, size, "%s", have);
    else
        snprintf(buf, size, "10.244.%c.%u", n ? node[n - 1] : '0', next++ % 230 + 2);
    return buf;
}

void pod_set_running(struct kube *k, struct json_t *pod, bool ready, int64_t since_ms, int64_t restarts)
{
    char since[40], now[40], ip[40];
    const char *node = jd_str(pod, "spec.nodeName");
    struct json_t *old = jd_get(pod, "status.conditions"), *conditions = old ? jd_copy(old) : jd_array();
    struct json_t *was = jd_get(pod, "status.containerStatuses"), *list = jd_array();
    struct json_t *containers = jd_get(pod, "spec.containers");
    const char *when = object_time(since_ms, since), *started = jd_str(pod, "status.startTime");

    object_time(kube_now(k), now);
    set_condition(conditions, "PodReadyToStartContainers", true, when);
    set_condition(conditions, "Initialized", true, when);
    set_condition(conditions, "Ready", ready, old ? now : when);
    set_condition(conditions, "ContainersReady", ready, old ? now : when);
    set_condition(conditions, "PodScheduled", true, when);
    for (size_t i = 0; i < jd_len(containers); i++) {
        struct json_t *s = container_running(jd_at(containers, i), ready, when, restarts);
        if (i < jd_len(was) && jd_len(jd_get(jd_at(was, i), "lastState")))
            jd_set(s, "lastState", jd_copy(jd_get(jd_at(was, i), "lastState")));
        jd_append(list, s);
    }
    struct json_t *status = object_parse(
        "{'phase':'Running','conditions':[],'hostIP':'10.0.0.1%c','hostIPs':[{'ip':'10.0.0.1%c'}],'podIP':'%s',"
        "'podIPs':[{'ip':'%s'}],'startTime':'%s','qosClass':'Burstable'}",
        node ? node[strlen(node) - 1] : '0', node ? node[strlen(node) - 1] : '0', pod_ip(k, pod, ip, sizeof ip), ip,
        started ? started : when);
    jd_set(status, "conditions", conditions);
    jd_set(status, "containerStatuses", list);
    jd_set(pod, "status", status);
}
