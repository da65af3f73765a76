/* See kube_foreign.h. */
#include "sandbox/kube_foreign.h"

#include <stdio.h>
#include <string.h>

#include "base/json_doc.h"
#include "base/mem.h"
#include "loop/timer.h"
#include "sandbox/controllers.h"
#include "sandbox/kube.h"
#include "sandbox/object.h"
#include "sandbox/pg_private.h"
#include "sandbox/save.h"

#define NS "immich"
#define EVERY_MS 1000
#define ELSEWHERE "other-postgresql"
#define KEPT "sandbox/kept" /* annotation: what a scenario has replaced */

struct kube_foreign {
    struct kube *k;
    struct timer *timer;
    struct json_t *meant; /* deployment name -> {"replicas":…,"volumes":[…]} */
    bool gitops, scaler;
};

/* ---- GitOps and autoscaling --------------------------------------------------------------------------------------- */

static bool remember(void *arg, struct json_t *d)
{
    struct json_t *meant = arg, *one = jd_object();

    jd_set(one, "replicas", jd_int(jd_num(d, "spec.replicas", 1)));
    jd_set(one, "volumes", jd_copy(jd_get(d, "spec.template.spec.volumes")));
    jd_set(meant, object_name(d), one);
    return true;
}

/* Sets back what differs from the repository. */
static bool set_back(void *arg, struct json_t *d)
{
    struct kube_foreign *f = arg;
    const struct json_t *one = jd_member(f->meant, object_name(d));

    if (!one)
        return true;
    jd_put(d, "spec.replicas", jd_int(jd_num(one, "replicas", 1)));
    jd_put(d, "spec.template.spec.volumes", jd_copy(jd_get(one, "volumes")));
    kube_write(f->k, KIND_DEPLOYMENT, d, "argocd-controller");
    return true;
}

static void on_timer(void *arg)
{
    struct kube_foreign *f = arg;

    if (f->gitops)
        each_object(f->k, KIND_DEPLOYMENT, NS, set_back, f);
    struct json_t *d = f->scaler ? kube_get(f->k, KIND_DEPLOYMENT, NS, "immich-server") : NULL;
    if (d && jd_num(d, "spec.replicas", 1) == 0) {
        jd_put(d, "spec.replicas", jd_int(1));
        kube_write(f->k, KIND_DEPLOYMENT, d, "keda-operator");
    }
    jd_free(d);
}

static void tick(struct kube_foreign *f)
{
    if (f->gitops || f->scaler)
        timer_start(f->timer, 1, EVERY_MS);
    else
        timer_stop(f->timer);
}

struct err *kube_set_gitops(struct sandbox *s, bool on)
{
    s->kube->foreign->gitops = on;
    tick(s->kube->foreign);
    return NULL;
}

struct err *kube_set_scaler(struct sandbox *s, bool on)
{
    s->kube->foreign->scaler = on;
    tick(s->kube->foreign);
    return NULL;
}

struct kube_foreign *kube_foreign_new(struct kube *k)
{
    struct kube_foreign *f = MEM_NEW(struct kube_foreign);
    const struct json_t *state = sandbox_saved(k->sb, "kube");

    f->k = k;
    f->timer = timer_new(k->sb->loop, on_timer, f);
    f->meant = state ? jd_copy(jd_member(state, "meant")) : jd_object();
    if (!state)
        each_object(k, KIND_DEPLOYMENT, NS, remember, f->meant);
    return f;
}

void kube_foreign_free(struct kube_foreign *f)
{
    if (!f)
        return;
    timer_free(f->timer);
    jd_free(f->meant);
    mem_free(f);
}

void kube_foreign_save(const struct kube_foreign *f, struct json_t *state)
{
    jd_set(state, "meant", jd_copy(f->meant));
}

/* ---- Another cluster, another server ------------------------------------------------------------------------------ */

struct err *kube_set_other_cluster(struct sandbox *s, bool on)
{
    struct json_t *ns = kube_get(s->kube, KIND_NAMESPACE, NULL, "kube-system");
    const char *kept = object_annotation(ns, KEPT);
    char uid[UID_SIZE];

    if (on && !kept) {
        object_set_annotation(ns, KEPT, object_uid_of(ns));
        jd_put(ns, "metadata.uid", jd_string(object_uid(uid)));
    } else if (!on && kept) {
        jd_put(ns, "metadata.uid", jd_string(kept));
        object_set_annotation(ns, KEPT, NULL);
    }
    store_put(s->kube->store, KIND_NAMESPACE, ns);
    jd_free(ns);
    return NULL;
}

static void elsewhere_add(struct kube *k)
{
    struct json_t *deployment = kube_get(k, KIND_DEPLOYMENT, NS, "immich-postgresql");
    struct json_t *claim = object_parse("{'metadata':{'name':'" ELSEWHERE "','namespace':'" NS "'},'spec':{'accessModes':["
                                        "'ReadWriteOnce'],'storageClassName':'proxmox-lvm-encrypted','resources':{'requests':{"
                                        "'storage':'5Gi'}}}}");
    struct json_t *pod = object_parse("{'metadata':{'name':'" ELSEWHERE "','namespace':'" NS "','labels':{'app':'" ELSEWHERE
                                      "'}},'spec':{}}");

    jd_set(pod, "spec", jd_copy(jd_get(deployment, "spec.template.spec")));
    jd_put(pod, "spec.volumes.0.persistentVolumeClaim.claimName", jd_string(ELSEWHERE));
    kube_add(k, KIND_CLAIM, claim, "sandbox");
    kube_add(k, KIND_POD, pod, "sandbox");
    jd_free(pod);
    jd_free(claim);
    jd_free(deployment);
}

struct err *kube_set_elsewhere(struct sandbox *s, bool on)
{
    struct json_t *service = kube_get(s->kube, KIND_SERVICE, NS, "immich-postgresql");

    if (!service)
        return err_new(ERR_FAILED, "Service " NS "/immich-postgresql is not there");
    if (on) {
        elsewhere_add(s->kube);
    } else {
        kube_delete(s->kube, KIND_POD, NS, ELSEWHERE, NULL, 1, false, NULL, NULL);
        kube_delete(s->kube, KIND_CLAIM, NS, ELSEWHERE, NULL, -1, false, NULL, NULL);
    }
    jd_put(service, "spec.selector.app", jd_string(on ? ELSEWHERE : "immich-postgresql"));
    kube_write(s->kube, KIND_SERVICE, service, "kubectl-edit");
    jd_free(service);
    return NULL;
}

static bool use_up(void *arg, struct json_t *quota)
{
    struct kube *k = arg;
    const struct json_t *used = jd_get(quota, "status.used");
    const char *kept = object_annotation(quota, KEPT);

    if (kept) {
        jd_put(quota, "spec.hard", object_parse("%s", kept));
        object_set_annotation(quota, KEPT, NULL);
    } else if (used) {
        struct buf text = {0};
        jd_dump(jd_get(quota, "spec.hard"), &text);
        object_set_annotation(quota, KEPT, buf_str(&text));
        buf_free(&text);
        jd_put(quota, "spec.hard", jd_copy(used));
    }
    kube_write(k, KIND_QUOTA, quota, "terraform");
    return true;
}

struct err *kube_set_quota_exceeded(struct sandbox *s, bool on)
{
    struct json_t *quota = kube_get(s->kube, KIND_QUOTA, NS, "immich");
    bool is = quota && object_annotation(quota, KEPT);

    if (quota && is != on)
        use_up(s->kube, quota);
    jd_free(quota);
    return NULL;
}

/* ---- Commands ----------------------------------------------------------------------------------------------------- */

/* The object that "NS/NAME" names. */
static struct err *named(struct kube *k, enum kube_id kind, const char *text, struct json_t **ret)
{
    const char *slash = strchr(text, '/');
    char *ns = slash ? mem_strndup(text, (size_t)(slash - text)) : NULL;

    *ret = slash ? kube_get(k, kind, ns, slash + 1) : NULL;
    mem_free(ns);
    return *ret ? NULL : err_new(ERR_FAILED, "no %s %s (NAMESPACE/NAME)", kube_kinds[kind].singular, text);
}

struct err *kube_run_lease(struct sandbox *s, int argc, char **argv, struct buf *out)
{
    struct json_t *lease = NULL;
    char now[40];

    (void)out;
    if (argc < 3 || argc > 4 || !str_eq(argv[1], "steal"))
        return err_new(ERR_USAGE, "usage: lease steal NS/NAME [HOLDER]");
    struct err *e = named(s->kube, KIND_LEASE, argv[2], &lease);
    if (e)
        return e;
    object_micro_time(kube_now(s->kube), now);
    jd_put(lease, "spec.holderIdentity", jd_string(argc > 3 ? argv[3] : "mallory@elsewhere"));
    jd_put(lease, "spec.acquireTime", jd_string(now));
    jd_put(lease, "spec.renewTime", jd_string(now));
    jd_put(lease, "spec.leaseTransitions", jd_int(jd_num(lease, "spec.leaseTransitions", 0) + 1));
    kube_write(s->kube, KIND_LEASE, lease, "kubectl-patch");
    jd_free(lease);
    return NULL;
}

struct err *kube_run_patch(struct sandbox *s, int argc, char **argv, struct buf *out)
{
    struct json_t *d = NULL;
    bool claim = argc > 1 && str_eq(argv[1], "claim");
    int64_t n = 0;

    (void)out;
    if (argc < 4 || argc > 5 || (!claim && (!str_eq(argv[1], "replicas") || !slice_to_i64(slice_of(argv[3]), &n) || n < 0)))
        return err_new(ERR_USAGE, "usage: patch claim|replicas NS/DEPLOYMENT CLAIM|N [MANAGER]");
    struct err *e = named(s->kube, KIND_DEPLOYMENT, argv[2], &d);
    if (e)
        return e;
    if (claim)
        jd_put(d, "spec.template.spec.volumes.0.persistentVolumeClaim.claimName", jd_string(argv[3]));
    else
        jd_put(d, "spec.replicas", jd_int(n));
    kube_write(s->kube, KIND_DEPLOYMENT, d, argc > 4 ? argv[4] : "argocd-controller");
    jd_free(d);
    return NULL;
}

struct err *kube_run_cronjob(struct sandbox *s, int argc, char **argv, struct buf *out)
{
    static unsigned serial;
    struct json_t *cj = NULL;

    if (argc != 3 || !str_eq(argv[1], "cronjob"))
        return err_new(ERR_USAGE, "usage: run cronjob NS/NAME");
    struct err *e = named(s->kube, KIND_CRONJOB, argv[2], &cj);
    if (e)
        return e;
    struct json_t *job = job_for(cj, kube_now(s->kube));
    char *name = str_printf("%s-manual-%u", object_name(cj), ++serial);
    jd_put(job, "metadata.name", jd_string(name));
    jd_del(jd_get(job, "metadata"), "ownerReferences");
    kube_add(s->kube, KIND_JOB, job, "kubectl-create");
    buf_printf(out, "job %s\n", name);
    mem_free(name);
    jd_free(job);
    jd_free(cj);
    return NULL;
}
