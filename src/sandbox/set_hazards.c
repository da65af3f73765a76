/* See set_hazards.h. */
#include "sandbox/set_hazards.h"

#include <string.h>

#include "base/json_doc.h"
#include "base/mem.h"
#include "sandbox/controllers.h"
#include "sandbox/kube.h"
#include "sandbox/kube_when.h"
#include "sandbox/object.h"

#define NS "vault"
#define SET "vault"
#define SHIPPER "audit-shipper"
#define RACE_LINE "hazard recreate-pod {name}"
#define REVERT_LINE "hazard revert-retain {name}"

static struct err *with_set(struct sandbox *s, struct json_t **ret)
{
    *ret = kube_get(s->kube, KIND_STATEFULSET, NS, SET);
    return *ret ? NULL : err_new(ERR_FAILED, "StatefulSet " NS "/" SET " is not there");
}

/* The chart's value replaced the defaults: harmless for what runs, on NFS. */
struct err *set_fsgroup_missing(struct sandbox *s, bool on)
{
    struct json_t *set;
    struct err *e = with_set(s, &set);

    if (e)
        return e;
    jd_put(set, "spec.template.spec.securityContext",
           on ? object_parse("{'fsGroupChangePolicy':'OnRootMismatch','runAsGroup':1000,'runAsNonRoot':true,'runAsUser':100}")
              : object_parse("{'fsGroup':1000,'runAsGroup':1000,'runAsNonRoot':true,'runAsUser':100}"));
    kube_write(s->kube, KIND_STATEFULSET, set, "helm");
    jd_free(set);
    return NULL;
}

/* As another chart has it; the field cannot be changed through the API. */
struct err *set_ordered_ready(struct sandbox *s, bool on)
{
    struct json_t *set;
    struct err *e = with_set(s, &set);

    if (e)
        return e;
    jd_put(set, "spec.podManagementPolicy", jd_string(on ? "OrderedReady" : "Parallel"));
    store_put(s->kube->store, KIND_STATEFULSET, set);
    jd_free(set);
    return NULL;
}

/* A new chart: another image in the template; claim templates and pods stay. */
struct err *set_helm_upgrade(struct sandbox *s, bool on)
{
    struct json_t *set;
    struct err *e = with_set(s, &set);

    if (e)
        return e;
    struct json_t *container = jd_at(jd_get(set, "spec.template.spec.containers"), 0);
    jd_set(container, "image", jd_string(on ? "hashicorp/vault:1.18.2" : "hashicorp/vault:1.18.1"));
    kube_write(s->kube, KIND_STATEFULSET, set, "helm");
    jd_free(set);
    return NULL;
}

struct cordon {
    struct kube *k;
    bool on;
};

static bool cordon_one(void *arg, struct json_t *node)
{
    struct cordon *c = arg;

    if (c->on)
        jd_put(node, "spec.unschedulable", jd_bool(true));
    else
        jd_del(jd_get(node, "spec"), "unschedulable");
    kube_write(c->k, KIND_NODE, node, "kubectl-cordon");
    return true;
}

struct err *set_nowhere_to_land(struct sandbox *s, bool on)
{
    struct cordon c = {s->kube, on};

    each_object(s->kube, KIND_NODE, NULL, cordon_one, &c);
    return NULL;
}

/* A pod of somebody else's reads the audit logs of the first two nodes. */
struct err *set_claim_mounted(struct sandbox *s, bool on)
{
    if (!on) {
        kube_delete(s->kube, KIND_POD, NS, SHIPPER, NULL, 1, false, NULL, NULL);
        return NULL;
    }
    struct json_t *pod = object_parse(
        "{'metadata':{'name':'" SHIPPER "','namespace':'" NS "','labels':{'app':'" SHIPPER "'}},'spec':{'containers':[{'name':'ship',"
        "'image':'timberio/vector:0.43','volumeMounts':[{'name':'a','mountPath':'/a','readOnly':true},{'name':'b','mountPath':'/b',"
        "'readOnly':true}]}],'volumes':[{'name':'a','persistentVolumeClaim':{'claimName':'audit-vault-0','readOnly':true}},{'name':'b',"
        "'persistentVolumeClaim':{'claimName':'audit-vault-1','readOnly':true}}]}}");
    kube_add(s->kube, KIND_POD, pod, "kubectl-create");
    jd_free(pod);
    return NULL;
}

struct err *set_pvc_race(struct sandbox *s, bool on)
{
    if (on)
        kube_when_plant(s->kube, true, "delete", "persistentvolumeclaims/*", 1, RACE_LINE);
    else
        kube_when_drop(s->kube, RACE_LINE);
    return NULL;
}

struct err *set_retain_reverted(struct sandbox *s, bool on)
{
    if (on)
        kube_when_plant(s->kube, false, "delete", "persistentvolumeclaims/*", 0, REVERT_LINE);
    else
        kube_when_drop(s->kube, REVERT_LINE);
    return NULL;
}

/* The passphrase of the disks comes out of the Vault that is to lie on them. */
struct err *set_circle(struct sandbox *s, bool on)
{
    struct json_t *store = kube_get(s->kube, KIND_CLUSTER_SECRET_STORE, NULL, "home");

    if (!store)
        return err_new(ERR_FAILED, "ClusterSecretStore home is not there");
    jd_put(store, "spec.provider",
           on ? object_parse("{'vault':{'server':'http://vault-active.vault.svc:8200','path':'secret','version':'v2'}}")
              : object_parse("{'aws':{'service':'SecretsManager','region':'eu-central-1'}}"));
    kube_write(s->kube, KIND_CLUSTER_SECRET_STORE, store, "terraform");
    jd_free(store);
    return NULL;
}

/* ---- What the plants carry out ----------------------------------------------------------------------------------- */

/* Somebody else deletes the pod right before its claim is: the set's controller makes it again on the old ones, and it has its node when
 * they are deleted (recording s5). */
static struct err *recreate_pod(struct kube *k, const char *claim)
{
    const char *at = strstr(claim, "-" SET "-"), *pod = at ? at + 1 : "";

    if (!store_get(k->store, KIND_POD, NS, pod))
        return err_new(ERR_FAILED, "claim %s is no pod's of the set", claim);
    kube_delete(k, KIND_POD, NS, pod, NULL, 0, false, NULL, NULL);
    statefulset_sync(k, NS, SET);
    schedule_sync(k, NS, pod);
    return NULL;
}

/* Whoever manages volumes by their class sets the one of the claim back. */
static struct err *revert_retain(struct kube *k, const char *name)
{
    struct json_t *claim = kube_get(k, KIND_CLAIM, NS, name);
    struct json_t *volume = claim ? kube_get(k, KIND_VOLUME, NULL, jd_str(claim, "spec.volumeName")) : NULL;

    jd_free(claim);
    if (!volume)
        return err_new(ERR_FAILED, "claim %s has no volume", name);
    jd_put(volume, "spec.persistentVolumeReclaimPolicy", jd_string("Delete"));
    kube_write(k, KIND_VOLUME, volume, "terraform");
    jd_free(volume);
    return NULL;
}

struct err *set_run_hazard(struct sandbox *s, int argc, char **argv, struct buf *out)
{
    (void)out;
    if (argc == 3 && str_eq(argv[1], "recreate-pod"))
        return recreate_pod(s->kube, argv[2]);
    if (argc == 3 && str_eq(argv[1], "revert-retain"))
        return revert_retain(s->kube, argv[2]);
    return err_new(ERR_USAGE, "usage: hazard recreate-pod|revert-retain CLAIM");
}
