/* Nodes, storage classes, drivers, and the pods of the drivers. */
#include <stdio.h>
#include <stdlib.h>

#include "base/json_doc.h"
#include "base/mem.h"
#include "sandbox/controllers.h"
#include "sandbox/kube.h"
#include "sandbox/object.h"
#include "sandbox/seed.h"

static void node(struct kube *k, int n)
{
    char since[40], beat[40];

    object_time(k->pretend_ms + 60000, since);
    object_time(k->sb->started_ms, beat);
    struct json_t *doc = object_parse(
        "{'metadata':{'name':'worker-%d','labels':{'beta.kubernetes.io/arch':'amd64','kubernetes.io/arch':'amd64',"
        "'kubernetes.io/hostname':'worker-%d','kubernetes.io/os':'linux','topology.kubernetes.io/region':'home',"
        "'topology.kubernetes.io/zone':'pve1'}},'spec':{'podCIDR':'10.244.%d.0/24','providerID':'proxmox://home/20%d'},"
        "'status':{'capacity':{'cpu':'8','memory':'32Gi','pods':'110','ephemeral-storage':'100Gi'},'allocatable':{"
        "'cpu':'8','memory':'31Gi','pods':'110','ephemeral-storage':'92Gi'},'addresses':[{'type':'InternalIP',"
        "'address':"
        "'10.0.0.1%d'},{'type':'Hostname','address':'worker-%d'}],'nodeInfo':{'architecture':'amd64','bootID':'',"
        "'containerRuntimeVersion':'containerd://1.7.24','kernelVersion':'6.1.0-28-amd64',"
        "'kubeProxyVersion':'v1.32.13',"
        "'kubeletVersion':'v1.32.13','machineID':'','operatingSystem':'linux','osImage':'Debian GNU/Linux 12 "
        "(bookworm)',"
        "'systemUUID':''},'daemonEndpoints':{'kubeletEndpoint':{'Port':10250}}}}",
        n, n, n, n, n, n);
    static const char *const types[] = {"MemoryPressure", "DiskPressure", "PIDPressure", "Ready"};

    jd_put(doc, "status.conditions", jd_array());
    for (size_t i = 0; i < ARRAY_LEN(types); i++)
        jd_append(jd_get(doc, "status.conditions"),
                  object_parse("{'type':'%s','status':'%s','lastHeartbeatTime':'%s','lastTransitionTime':'%s','reason':"
                               "'%s','message':'kubelet has reported'}",
                               types[i], i == 3 ? "True" : "False", beat, since, i == 3 ? "KubeletReady" : "KubeletHasRoom"));
    seed_add(k, KIND_NODE, doc, "kubelet", "kubelet");
    seed_add(k, KIND_CSINODE,
             object_parse("{'metadata':{'name':'worker-%d'},'spec':{'drivers':[{'name':'nfs.csi.k8s.io','nodeID':"
                          "'worker-%d','topologyKeys':null},{'name':'csi.proxmox.sinextra.dev','nodeID':'worker-%d',"
                          "'topologyKeys':['topology.kubernetes.io/region','topology.kubernetes.io/zone'],"
                          "'allocatable':{"
                          "'count':%d}}]}}",
                          n, n, n, 29),
             "kubelet", NULL);
}

/* The node pods of a driver, one per node, under a DaemonSet. */
static void driver_pods(struct kube *k, const char *ns, const char *name, const char *image)
{
    struct json_t *ds = object_parse(
        "{'metadata':{'name':'%s','namespace':'%s','labels':{'app':'%s'}},"
        "'spec':{'selector':{'matchLabels':{'app':'%s'}},"
        "'template':{'metadata':{'labels':{'app':'%s'}},'spec':{'containers':[{'name':'driver','image':'%s'}]}}},"
        "'status':{"
        "'currentNumberScheduled':3,'desiredNumberScheduled':3,'numberAvailable':3,'numberMisscheduled':0,"
        "'numberReady':3,"
        "'observedGeneration':1,'updatedNumberScheduled':3}}",
        name, ns, name, name, name, image);
    struct json_t *status = jd_ref(jd_member(ds, "status"));
    char *prefix = str_printf("%s-", name), where[24];

    seed_age(k, 320);
    kube_add(k, KIND_DAEMONSET, ds, "helm");
    jd_set(ds, "status", status);
    kube_write(k, KIND_DAEMONSET, ds, "kube-controller-manager");
    for (int i = 1; i <= 3; i++) {
        struct json_t *pod = pod_from_template(jd_get(ds, "spec.template"), ns, prefix, KIND_DAEMONSET, ds);
        snprintf(where, sizeof where, "worker-%d", i);
        seed_pod(k, pod, where, 34, 1);
    }
    free(prefix);
    jd_free(ds);
}

void seed_nodes(struct kube *k)
{
    for (int i = 1; i <= 3; i++)
        node(k, i);
    driver_pods(k, "csi-proxmox", "proxmox-csi-plugin-node", "ghcr.io/sergelogvinov/proxmox-csi-node:v0.11.0");
    driver_pods(k, "kube-system", "csi-nfs-node", "registry.k8s.io/sig-storage/nfsplugin:v4.11.0");
}

static void class_nfs(struct kube *k, const char *name, const char *server, const char *share, const char *policy)
{
    seed_add(k, KIND_STORAGECLASS,
             object_parse("{'metadata':{'name':'%s'},'provisioner':'nfs.csi.k8s.io','parameters':{'server':'%s',"
                          "'share':"
                          "'%s'},'reclaimPolicy':'%s','mountOptions':['nfsvers=4.1','hard'],"
                          "'allowVolumeExpansion':true,"
                          "'volumeBindingMode':'Immediate'}",
                          name, server, share, policy),
             "terraform", NULL);
}

static void class_lvm(struct kube *k, const char *name, const char *extra, const char *policy, const char *annotations)
{
    seed_add(k, KIND_STORAGECLASS,
             object_parse("{'metadata':{'name':'%s','annotations':{%s}},'provisioner':'csi.proxmox.sinextra.dev',"
                          "'parameters':{'cache':'writethrough','csi.storage.k8s.io/fstype':'ext4','ssd':'true',"
                          "'storage':"
                          "'local-lvm'%s},'reclaimPolicy':'%s','allowVolumeExpansion':true,'volumeBindingMode':"
                          "'WaitForFirstConsumer'}",
                          name, annotations, extra, policy),
             "terraform", NULL);
}

void seed_external_secret(struct kube *k, const char *ns, const char *name)
{
    seed_add(k, KIND_EXTERNAL_SECRET,
             object_parse("{'metadata':{'name':'%s','namespace':'%s'},'spec':{'refreshInterval':'1h','secretStoreRef':{'kind':"
                          "'ClusterSecretStore','name':'home'},'target':{'name':'%s'},'dataFrom':[{'extract':{'key':'%s'}}]}}",
                          name, ns, name, name),
             "terraform", NULL);
}

void seed_storage(struct kube *k)
{
    seed_age(k, 401);
    class_nfs(k, "nfs-proxmox", "10.0.0.5", "/export/k8s", "Delete");
    class_nfs(k, "nfs-truenas", "10.0.0.20", "/mnt/tank/k8s", "Retain");
    class_lvm(k, "proxmox-lvm", "", "Delete", "'storageclass.kubernetes.io/is-default-class':'true'");
    seed_age(k, 61);
    class_lvm(k, "proxmox-lvm-encrypted",
              ",'csi.storage.k8s.io/node-stage-secret-name':'proxmox-csi-encryption',"
              "'csi.storage.k8s.io/node-stage-secret-namespace':'csi-proxmox',"
              "'csi.storage.k8s.io/node-expand-secret-name':'proxmox-csi-encryption',"
              "'csi.storage.k8s.io/node-expand-secret-namespace':'csi-proxmox'",
              "Delete", "");
    seed_add(k, KIND_SECRET,
             object_parse("{'metadata':{'name':'proxmox-csi-encryption','namespace':'csi-proxmox'},'data':{"
                          "'encryption-passphrase':'c2FuZGJveCBwYXNzcGhyYXNl'},'type':'Opaque'}"),
             "external-secrets", NULL);
    seed_add(k, KIND_CLUSTER_SECRET_STORE,
             object_parse("{'metadata':{'name':'home'},'spec':{'provider':{'aws':{'service':'SecretsManager','region':"
                          "'eu-central-1'}}}}"),
             "terraform", NULL);
    seed_external_secret(k, "csi-proxmox", "proxmox-csi-encryption");
    seed_add(k, KIND_CSIDRIVER,
             object_parse("{'metadata':{'name':'nfs.csi.k8s.io'},'spec':{'attachRequired':false,'fsGroupPolicy':'File',"
                          "'podInfoOnMount':false,'volumeLifecycleModes':['Persistent','Ephemeral']}}"),
             "helm", NULL);
    seed_add(k, KIND_CSIDRIVER,
             object_parse("{'metadata':{'name':'csi.proxmox.sinextra.dev'},'spec':{'attachRequired':true,"
                          "'fsGroupPolicy':"
                          "'File','podInfoOnMount':true,'storageCapacity':true,"
                          "'volumeLifecycleModes':['Persistent']}}"),
             "helm", NULL);
}
