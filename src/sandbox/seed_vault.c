/* Vault as the chart makes it: a set of three with claims on NFS, its Services, its configuration, the unsealer beside it, and the
 * nightly snapshot. */
#include <stdio.h>
#include <stdlib.h>

#include "base/json_doc.h"
#include "base/mem.h"
#include "base/str.h"
#include "sandbox/controllers.h"
#include "sandbox/kube.h"
#include "sandbox/object.h"
#include "sandbox/seed.h"

#define VAULT_IMAGE "hashicorp/vault:1.18.1"

static struct json_t *vault_set(void)
{
    return object_parse(
        "{'metadata':{'name':'vault','namespace':'vault','labels':{'app.kubernetes.io/name':'vault',"
        "'app.kubernetes.io/instance':'vault','app.kubernetes.io/managed-by':'Helm'}},'spec':{'serviceName':"
        "'vault-internal','replicas':3,'podManagementPolicy':'Parallel','updateStrategy':{'type':'OnDelete'},"
        "'selector':{"
        "'matchLabels':{'app.kubernetes.io/instance':'vault','app.kubernetes.io/name':'vault','component':'server'}},"
        "'template':{'metadata':{'labels':{'app.kubernetes.io/instance':'vault','app.kubernetes.io/name':'vault',"
        "'component':'server'}},'spec':{'terminationGracePeriodSeconds':10,'serviceAccountName':'vault',"
        "'securityContext':"
        "{'fsGroup':1000,'runAsGroup':1000,'runAsNonRoot':true,'runAsUser':100},'containers':[{'name':'vault','image':"
        "'" VAULT_IMAGE "','args':['server','-config=/vault/config/extraconfig-from-values.hcl'],'lifecycle':{'preStop':{'exec':{"
        "'command':['/bin/sh','-c','sleep 5 && kill -SIGTERM $(pidof vault)']}}},'ports':[{'containerPort':8200,'name':'http'},{'containerPort':8201,"
                        "'name':'https-internal'}],"
        "'env':[{'name':'VAULT_K8S_POD_NAME','valueFrom':{'fieldRef':{'fieldPath':'metadata.name'}}},{'name':"
        "'VAULT_K8S_NAMESPACE','value':'vault'},{'name':'VAULT_RAFT_NODE_ID','valueFrom':{'fieldRef':{'fieldPath':"
        "'metadata.name'}}}],'volumeMounts':[{'name':'data','mountPath':'/vault/data'},{'name':'config','mountPath':'/vault/config'},"
        "{'name':'audit',"
        "'mountPath':'/vault/audit'}],'readinessProbe':{'exec':{'command':['/bin/sh','-ec','vault status']},"
        "'periodSeconds':5}},{'name':'auto-unseal','image':'" VAULT_IMAGE "','command':['/bin/sh','-c','while true; do vault status "
        "-address=http://127.0.0.1:8200 | grep -q Sealed.*true && for k in /unseal/*; do vault operator unseal $(cat $k); done; sleep "
        "5; done'],'volumeMounts':[{'name':'unseal','mountPath':'/unseal','readOnly':true}]}],'volumes':[{'name':'config','configMap':{"
        "'name':'vault-config'}},{'name':'unseal','secret':{'secretName':'vault-unseal-keys'}}],'affinity':{'podAntiAffinity':{'requiredDuringSchedulingIgnoredDuringExecution':["
        "{'labelSelector':{'matchLabels':{'app.kubernetes.io/name':'vault','component':'server'}},'topologyKey':"
        "'kubernetes.io/hostname'}]}}}},'volumeClaimTemplates':[{'metadata':{'name':'data'},'spec':{'accessModes':["
        "'ReadWriteOnce'],'storageClassName':'nfs-proxmox','resources':{'requests':{'storage':'2Gi'}}}},{'metadata':{"
        "'name':'audit'},'spec':{'accessModes':['ReadWriteOnce'],'storageClassName':'nfs-proxmox',"
        "'resources':{'requests':"
        "{'storage':'2Gi'}}}}]}}");
}

static void vault_pods(struct kube *k, const struct json_t *set)
{
    struct json_t *revision = revision_for(set, 1);
    char name[40], node[24];

    for (int i = 0; i < 3; i++) {
        static const char *const claims[] = {"data", "audit"};
        for (size_t j = 0; j < ARRAY_LEN(claims); j++) {
            snprintf(name, sizeof name, "%s-vault-%d", claims[j], i);
            seed_age(k, 214.3);
            seed_claim(k, &(struct seed_claim){"vault", name, "nfs-proxmox", "vault", 2, "ReadWriteOnce", NULL, NULL, NULL});
        }
        snprintf(node, sizeof node, "worker-%d", i + 1);
        seed_pod(k, set_pod(set, i, object_name(revision)), node, 9.2, 0);
    }
    jd_free(revision);
}

static void vault_services(struct kube *k)
{
    static const char server[] = "'app.kubernetes.io/name':'vault','component':'server'";
    static const struct {
        const char *name, *label;
    } services[] = {{"vault", ""}, {"vault-internal", ""}, {"vault-active", ",'vault-active':'true'"},
                    {"vault-standby", ",'vault-active':'false'"}, {"vault-ui", ""}};

    for (size_t i = 0; i < ARRAY_LEN(services); i++) {
        char *selector = str_printf("%s%s", server, services[i].label);
        seed_service(k, "vault", services[i].name, "vault", 8200, selector);
        free(selector);
    }
}

/* What the chart's values make: storage with retry_join, and the keys of the unsealer. */
static void vault_config(struct kube *k)
{
    static const char hcl[] = "ui = true\n"
                              "listener \"tcp\" {\n  tls_disable = 1\n  address = \"[::]:8200\"\n  cluster_address = "
                              "\"[::]:8201\"\n}\n"
                              "storage \"raft\" {\n  path = \"/vault/data\"\n"
                              "  retry_join {\n    leader_api_addr = \"http://vault-0.vault-internal:8200\"\n  }\n"
                              "  retry_join {\n    leader_api_addr = \"http://vault-1.vault-internal:8200\"\n  }\n"
                              "  retry_join {\n    leader_api_addr = \"http://vault-2.vault-internal:8200\"\n  }\n}\n"
                              "service_registration \"kubernetes\" {}\n";
    struct json_t *map = object_parse("{'metadata':{'name':'vault-config','namespace':'vault','labels':{'app.kubernetes.io/name':"
                                      "'vault','app.kubernetes.io/instance':'vault'}},'data':{}}");

    jd_set(jd_get(map, "data"), "extraconfig-from-values.hcl", jd_string(hcl));
    seed_add(k, KIND_CONFIGMAP, map, "helm", NULL);
    seed_add(k, KIND_SECRET,
             object_parse("{'metadata':{'name':'vault-unseal-keys','namespace':'vault'},'data':{'key-1':'c2FuZGJveA==',"
                          "'key-2':'c2FuZGJveA==','key-3':'c2FuZGJveA=='},'type':'Opaque'}"),
             "terraform", NULL);
}

void seed_vault(struct kube *k)
{
    struct json_t *set = vault_set();

    seed_age(k, 214.6);
    vault_config(k);
    seed_age(k, 214.5);
    kube_add(k, KIND_STATEFULSET, set, "helm");
    vault_pods(k, set);
    statefulset_sync(k, "vault", "vault");
    vault_services(k);
    seed_age(k, 190);
    seed_claim(k, &(struct seed_claim){"vault", "vault-backup-host", "nfs-truenas", "vault-raft-backup", 5, "ReadWriteMany",
                                       "10.0.0.20", "/mnt/tank/vault/backup", "vault-backup"});
    seed_cronjob(k, "vault", "vault-raft-backup", "0 2 * * *",
                 "{'restartPolicy':'OnFailure','containers':[{'name':'snapshot','image':'" VAULT_IMAGE "','command':['sh',"
                 "'-c','vault operator raft snapshot save /backup/vault-$(date +%F).snap'],'volumeMounts':[{'name':"
                 "'backup','mountPath':'/backup'}]}],'volumes':[{'name':'backup','persistentVolumeClaim':{'claimName':"
                 "'vault-backup-host'}}]}",
                 190);
    seed_age(k, 214);
    seed_add(k, KIND_PDB,
             object_parse("{'metadata':{'name':'vault','namespace':'vault'},'spec':{'maxUnavailable':1,'selector':{"
                          "'matchLabels':{'app.kubernetes.io/instance':'vault','app.kubernetes.io/name':'vault',"
                          "'component':"
                          "'server'}}}}"),
             "helm", NULL);
    jd_free(set);
}
