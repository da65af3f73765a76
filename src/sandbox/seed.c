/* See seed.h. The pieces are built with the controllers' own builders, under the time at which they would have come. */
#include "sandbox/seed.h"

#include <stdlib.h>
#include <string.h>

#include "base/json_doc.h"
#include "base/mem.h"
#include "sandbox/controllers.h"
#include "sandbox/kube.h"
#include "sandbox/object.h"

#define KCM "kube-controller-manager"
#define NIGHTS 3

void seed_age(struct kube *k, double days)
{
    k->pretend_ms = k->sb->started_ms - (int64_t)(days * (double)SEED_DAY_MS);
}

void seed_add(struct kube *k, int kind, struct json_t *doc, const char *manager, const char *status_manager)
{
    struct json_t *status = jd_member(doc, "status");

    if (status)
        jd_ref(status);
    kube_add(k, (enum kube_id)kind, doc, manager);
    if (status) {
        jd_set(doc, "status", status);
        kube_write(k, (enum kube_id)kind, doc, status_manager ? status_manager : manager);
    }
    jd_free(doc);
}

void seed_namespace(struct kube *k, const char *name)
{
    seed_add(k, KIND_NAMESPACE, object_parse("{'metadata':{'name':'%s'}}", name), "kubectl-create", NULL);
}

/* ---- Claims ------------------------------------------------------------------------------------------------------ */

static struct json_t *static_volume(const struct seed_claim *c, const struct json_t *claim)
{
    return object_parse("{'metadata':{'name':'%s'},'spec':{'capacity':{'storage':'%dGi'},'nfs':{'server':'%s',"
                        "'path':'%s'},"
                        "'accessModes':['%s'],'claimRef':{'kind':'PersistentVolumeClaim','namespace':'%s','name':'%s',"
                        "'uid':'%s','apiVersion':'v1'},'persistentVolumeReclaimPolicy':'Retain',"
                        "'storageClassName':'%s',"
                        "'mountOptions':['nfsvers=4.2','hard','noatime'],'volumeMode':'Filesystem'}}",
                        c->volume, c->gib, c->nfs_server, c->nfs_path, c->mode, c->ns, c->name, object_uid_of(claim),
                        c->class);
}

static void annotate_claim(struct json_t *claim, const char *driver, bool is_static)
{
    object_set_annotation(claim, "pv.kubernetes.io/bind-completed", "yes");
    if (is_static)
        return;
    object_set_annotation(claim, "pv.kubernetes.io/bound-by-controller", "yes");
    object_set_annotation(claim, "volume.beta.kubernetes.io/storage-provisioner", driver);
    object_set_annotation(claim, "volume.kubernetes.io/storage-provisioner", driver);
    if (str_eq(driver, "csi.proxmox.sinextra.dev"))
        object_set_annotation(claim, "volume.kubernetes.io/selected-node", "worker-1");
}

void seed_claim(struct kube *k, const struct seed_claim *c)
{
    struct json_t *class = kube_get(k, KIND_STORAGECLASS, NULL, c->class);
    struct json_t *claim = object_parse("{'metadata':{'name':'%s','namespace':'%s','labels':{'%s':'%s'}},'spec':{"
                                        "'accessModes':['%s'],'resources':{'requests':{'storage':'%dGi'}},"
                                        "'storageClassName':'%s'}}",
                                        c->name, c->ns, str_eq(c->ns, "vault") ? "app.kubernetes.io/name" : "app", c->app,
                                        c->mode, c->gib, c->class);

    if (c->volume)
        jd_put(claim, "spec.volumeName", jd_string(c->volume));
    kube_add(k, KIND_CLAIM, claim, "helm");
    struct json_t *pv = c->volume ? static_volume(c, claim) : volume_for(k, claim, class, "worker-1");
    jd_set(pv, "status", object_parse("{'phase':'Bound'}"));
    annotate_claim(claim, jd_str(class, "provisioner"), c->volume != NULL);
    jd_put(claim, "spec.volumeName", jd_string(object_name(pv)));
    kube_write(k, KIND_CLAIM, claim, KCM);
    jd_set(claim, "status", object_parse("{'phase':'Bound','accessModes':['%s'],'capacity':{'storage':'%dGi'}}", c->mode,
                                         c->gib));
    kube_write(k, KIND_CLAIM, claim, KCM);
    seed_add(k, KIND_VOLUME, pv, c->volume ? "terraform" : "csi-provisioner", KCM);
    jd_free(claim);
    jd_free(class);
}

/* ---- Pods and deployments ---------------------------------------------------------------------------------------- */

static void attach(struct kube *k, const struct json_t *pod, const char *node)
{
    struct json_t *volumes = jd_get(pod, "spec.volumes");

    for (size_t i = 0; i < jd_len(volumes); i++) {
        struct json_t *claim = kube_get(k, KIND_CLAIM, object_namespace(pod),
                                        jd_str(jd_at(volumes, i), "persistentVolumeClaim.claimName"));
        struct json_t *pv = claim ? kube_get(k, KIND_VOLUME, NULL, jd_str(claim, "spec.volumeName")) : NULL;
        if (pv && str_eq(jd_str(pv, "spec.csi.driver"), "csi.proxmox.sinextra.dev"))
            seed_add(k, KIND_ATTACHMENT, attachment_for(pv, node), KCM, NULL);
        jd_free(pv);
        jd_free(claim);
    }
}

void seed_pod(struct kube *k, struct json_t *pod, const char *node, double days, int64_t restarts)
{
    seed_age(k, days);
    jd_put(pod, "spec.nodeName", jd_string(node));
    kube_add(k, KIND_POD, pod, KCM);
    pod_set_running(k, pod, true, k->pretend_ms + 4000, restarts);
    kube_write(k, KIND_POD, pod, "kubelet");
    attach(k, pod, node);
    jd_free(pod);
}

static struct json_t *app_deployment(const struct seed_app *a)
{
    struct json_t *d = object_parse(
        "{'metadata':{'name':'%s','namespace':'%s','labels':{'app':'%s','app.kubernetes.io/managed-by':'Helm'},"
        "'annotations':{'deployment.kubernetes.io/revision':'1'}},'spec':{'replicas':%lld,'selector':{'matchLabels':"
        "{'app':'%s'}},'strategy':{'type':'%s'},'template':{'metadata':{'labels':{'app':'%s'}},'spec':{'containers':["
        "{'name':'%s','image':'%s','volumeMounts':%s%s}],'volumes':%s}}}}",
        a->name, a->ns, a->name, (long long)a->replicas, a->name, a->strategy, a->name, a->name, a->image, a->mounts,
        a->extra, a->volumes);

    if (a->init)
        jd_put(d, "spec.template.spec.initContainers", object_parse("%s", a->init));
    return d;
}

void seed_app(struct kube *k, const struct seed_app *a)
{
    struct json_t *d = app_deployment(a), *rs;

    kube_add(k, KIND_DEPLOYMENT, d, "helm");
    rs = replicaset_for(d, a->replicas);
    kube_add(k, KIND_REPLICASET, rs, KCM);
    char *prefix = str_printf("%s-", object_name(rs));
    for (int64_t i = 0; i < a->replicas; i++)
        seed_pod(k, pod_from_template(jd_get(rs, "spec.template"), a->ns, prefix, KIND_REPLICASET, rs), a->node,
                 a->pod_days, a->restarts);
    free(prefix);
    replicaset_sync(k, a->ns, object_name(rs));
    deployment_sync(k, a->ns, a->name);
    jd_free(rs);
    jd_free(d);
}

void seed_service(struct kube *k, const char *ns, const char *name, const char *app, int port, const char *selector)
{
    seed_add(k, KIND_SERVICE,
             object_parse("{'metadata':{'name':'%s','namespace':'%s','labels':{'app':'%s'}},'spec':{'clusterIP':"
                          "'10.96.%d.%d','clusterIPs':['10.96.%d.%d'],'ports':[{'name':'tcp','port':%d,"
                          "'protocol':'TCP',"
                          "'targetPort':%d}],'selector':{%s},'sessionAffinity':'None','type':'ClusterIP'},'status':{"
                          "'loadBalancer':{}}}",
                          name, ns, app, port % 200, (int)strlen(name), port % 200, (int)strlen(name), port, port,
                          selector),
             "helm", NULL);
}

/* ---- CronJobs ---------------------------------------------------------------------------------------------------- */

static void finished_job(struct kube *k, const struct json_t *cj, int64_t when, const char *node)
{
    struct json_t *job = job_for(cj, when), *pod;
    char *prefix = str_printf("%s-", object_name(job));

    k->pretend_ms = when + 400;
    kube_add(k, KIND_JOB, job, KCM);
    pod = pod_from_template(jd_get(job, "spec.template"), object_namespace(cj), prefix, KIND_JOB, job);
    jd_put(pod, "spec.nodeName", jd_string(node));
    kube_add(k, KIND_POD, pod, KCM);
    pod_set_running(k, pod, false, when + 2000, 0);
    jd_put(pod, "status.phase", jd_string("Succeeded"));
    struct json_t *state = object_parse("{'terminated':{'exitCode':0,'reason':'Completed'}}");
    jd_set(jd_at(jd_get(pod, "status.containerStatuses"), 0), "state", state);
    k->pretend_ms = when + 41000;
    kube_write(k, KIND_POD, pod, "kubelet");
    job_set_complete(job, when + 400, when + 42000);
    kube_write(k, KIND_JOB, job, KCM);
    jd_free(pod);
    jd_free(job);
    free(prefix);
}

void seed_cronjob(struct kube *k, const char *ns, const char *name, const char *schedule, const char *pod_spec,
                  double days)
{
    struct json_t *cj = object_parse("{'metadata':{'name':'%s','namespace':'%s','labels':{'app':'%s'}},"
                                     "'spec':{'schedule':"
                                     "'%s','concurrencyPolicy':'Forbid','successfulJobsHistoryLimit':%d,"
                                     "'failedJobsHistoryLimit':1,'jobTemplate':{'metadata':{'creationTimestamp':null},"
                                     "'spec':{'backoffLimit':2,'template':{'metadata':{'creationTimestamp':null},"
                                     "'spec':"
                                     "%s}}}}}",
                                     name, ns, name, schedule, NIGHTS, pod_spec);
    int64_t from = k->sb->started_ms - (NIGHTS + 1) * SEED_DAY_MS, last = 0, nights[NIGHTS] = {0};
    char when[40], done[40];

    seed_age(k, days);
    kube_add(k, KIND_CRONJOB, cj, "helm");
    for (int64_t t = cron_next(schedule, from); t && t <= k->sb->started_ms; t = cron_next(schedule, t)) {
        memmove(nights, nights + 1, sizeof nights - sizeof nights[0]);
        nights[NIGHTS - 1] = last = t;
    }
    for (size_t i = 0; i < NIGHTS; i++)
        if (nights[i])
            finished_job(k, cj, nights[i], "worker-2");
    jd_set(cj, "status", object_parse("{'lastScheduleTime':'%s','lastSuccessfulTime':'%s'}", object_time(last, when),
                                      object_time(last + 42000, done)));
    kube_write(k, KIND_CRONJOB, cj, KCM);
    jd_free(cj);
}

/* ---- Everything -------------------------------------------------------------------------------------------------- */

void seed_cluster(struct kube *k)
{
    static const char *const namespaces[] = {"default", "kube-system", "kube-public", "kube-node-lease", "csi-proxmox",
                                             "immich", "vault"};

    seed_age(k, 412);
    for (size_t i = 0; i < ARRAY_LEN(namespaces); i++)
        seed_namespace(k, namespaces[i]);
    seed_nodes(k);
    seed_storage(k);
    seed_immich(k);
    seed_vault(k);
    seed_others(k);
    k->pretend_ms = 0;
}
