/* The stand-in kubelet: what is scheduled is started, what terminates is ended. A pod with a backend is as real as
 * that; one without becomes ready by itself after 1.5 s and ends 2 s after its deletion.
 *
 * The memory of a pod (struct run) begins when its containers are created and ends when they have ended; a new pod of
 * the same name waits for that. */
#include "sandbox/kubelet.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json_doc.h"
#include "base/mem.h"
#include "loop/loop.h"
#include "loop/timer.h"
#include "sandbox/controllers.h"
#include "sandbox/kube.h"
#include "sandbox/loopback.h"
#include "sandbox/object.h"
#include "sandbox/kubelet_private.h"
#include "sandbox/pod_log.h"

#define CREATE_MS 300
#define READY_MS 1200
#define END_MS 2000
#define JOB_MS 3000
#define SCRIPT_MS 400
#define RESUME_MS 1500
#define CRASH_FIRST_MS 500
#define CRASH_SECOND_MS 10000
#define CRASH_MAX_MS 300000

static void on_timer(void *arg);

struct kubelet *kubelet_new(struct kube *k)
{
    struct kubelet *kl = MEM_NEW(struct kubelet);

    kl->k = k;
    return kl;
}

static struct run *find(struct kubelet *kl, const char *ns, const char *name)
{
    for (struct run *r = kl->runs; r; r = r->next)
        if (str_eq(r->name, name) && str_eq(r->ns, ns))
            return r;
    return NULL;
}

static void run_free(struct run *r)
{
    timer_free(r->timer);
    pod_log_free(r->log);
    if (r->address_fd >= 0)
        close(r->address_fd);
    free(r->ns);
    free(r->name);
    free(r->uid);
    free(r);
}

static void run_drop(struct run *r)
{
    for (struct run **p = &r->kl->runs; *p; p = &(*p)->next) {
        if (*p == r) {
            *p = r->next;
            break;
        }
    }
    run_free(r);
}

void kubelet_free(struct kubelet *kl)
{
    if (!kl)
        return;
    loop_undefer(kl->k->sb->loop, kl);
    while (kl->runs)
        run_drop(kl->runs);
    free(kl->backends);
    free(kl);
}

/* ---- What is known of a pod -------------------------------------------------------------------------------------- */

static bool backend_wants(const struct pod_backend *b, const struct json_t *pod)
{
    return b->wants ? b->wants(pod) : str_eq(b->ns, object_namespace(pod)) && str_eq(b->app, pod_app(pod));
}

const struct pod_backend *kubelet_backend(struct kubelet *kl, const struct json_t *pod)
{
    for (size_t i = 0; i < kl->backend_count; i++)
        if (backend_wants(kl->backends[i], pod))
            return kl->backends[i];
    return NULL;
}

struct pod_log *kubelet_log(struct kubelet *kl, const char *ns, const char *name, bool *ret_runs)
{
    struct run *r = find(kl, ns, name);

    *ret_runs = r && (r->stage == STARTED || r->stage == RUNNING || r->stage == ENDING);
    return r && r->stage != CREATING ? r->log : NULL;
}

/* ---- Starting ---------------------------------------------------------------------------------------------------- */

static void attach_volumes(struct run *r, const struct json_t *pod)
{
    struct kube *k = r->kl->k;
    struct json_t *volumes = jd_get(pod, "spec.volumes");

    for (size_t i = 0; i < jd_len(volumes); i++) {
        struct json_t *claim = kube_get(k, KIND_CLAIM, r->ns,
                                        jd_str(jd_at(volumes, i), "persistentVolumeClaim.claimName"));
        struct json_t *pv = claim ? kube_get(k, KIND_VOLUME, NULL, jd_str(claim, "spec.volumeName")) : NULL;
        if (pv && str_eq(jd_str(pv, "spec.csi.driver"), "csi.proxmox.sinextra.dev")) {
            struct json_t *a = attachment_for(pv, jd_str(pod, "spec.nodeName"));
            kube_add(k, KIND_ATTACHMENT, a, "kube-controller-manager");
            jd_free(a);
        }
        jd_free(pv);
        jd_free(claim);
    }
}

/* An address of its own on loopback, for a pod that something real stands behind; it is kept while the pod lives. */
static void give_address(struct run *r)
{
    char address[LOOPBACK_SIZE];

    if (!r->backend || !r->backend->loopback || r->address_fd >= 0)
        return;
    struct json_t *pod = run_pod(r);
    const char *has = pod ? jd_str(pod, "status.podIP") : NULL;
    if (pod && loopback_take(has, r->uid, address, &r->address_fd) && !str_eq(has, address)) {
        jd_put(pod, "status.podIP", jd_string(address));
        jd_put(pod, "status.podIPs", object_parse("[{'ip':'%s'}]", address));
        kube_write(r->kl->k, KIND_POD, pod, "kubelet");
    }
    jd_free(pod);
}

static void call_start(struct run *r)
{
    give_address(r);
    struct json_t *pod = run_pod(r);

    if (!pod)
        return;
    struct pod_info info = pod_info_new(r->kl->k, pod, r->restarts);
    info.adopted = r->adopted;
    r->backend->start(r->kl->k->sb, &info);
    pod_info_clear(&info);
    jd_free(pod);
}

static bool runs_to_an_end(const struct run *r)
{
    struct json_t *pod = run_pod(r);
    const char *policy = pod ? jd_str(pod, "spec.restartPolicy") : NULL;
    bool ends = str_eq(policy, "Never") || str_eq(policy, "OnFailure");

    jd_free(pod);
    return ends;
}

static void start_containers(struct run *r)
{
    r->stage = STARTED;
    r->since_ms = kube_now(r->kl->k);
    if (r->backend) {
        give_address(r);
        run_show_running(r, false);
        call_start(r);
        return;
    }
    if (runs_to_an_end(r)) {
        run_show_running(r, true);
        timer_start(r->timer, run_script(r, &r->code) ? SCRIPT_MS : JOB_MS, 0);
        return;
    }
    timer_start(r->timer, READY_MS, 0);
}

static struct run *run_new(struct kubelet *kl, const struct json_t *pod)
{
    struct run *r = MEM_NEW(struct run);

    r->kl = kl;
    r->ns = mem_strdup(object_namespace(pod));
    r->name = mem_strdup(object_name(pod));
    r->uid = mem_strdup(object_uid_of(pod));
    r->backend = kubelet_backend(kl, pod);
    r->timer = timer_new(kl->k->sb->loop, on_timer, r);
    r->since_ms = kube_now(kl->k);
    r->address_fd = -1;
    r->log = pod_log_new();
    run_load_log(r);
    r->next = kl->runs;
    kl->runs = r;
    return r;
}

static bool volumes_bound(struct kube *k, const struct json_t *pod)
{
    struct json_t *volumes = jd_get(pod, "spec.volumes");
    bool all = true;

    for (size_t i = 0; all && i < jd_len(volumes); i++) {
        const char *name = jd_str(jd_at(volumes, i), "persistentVolumeClaim.claimName");
        struct json_t *claim = name ? kube_get(k, KIND_CLAIM, object_namespace(pod), name) : NULL;
        all = !name || (claim && str_eq(jd_str(claim, "status.phase"), "Bound"));
        jd_free(claim);
    }
    return all;
}

static void start_pod(struct kubelet *kl, const struct json_t *pod)
{
    if (!volumes_bound(kl->k, pod))
        return;
    struct run *r = run_new(kl, pod);
    r->stage = CREATING;
    attach_volumes(r, pod);
    timer_start(r->timer, CREATE_MS, 0);
}

/* A pod that runs already when it is first seen: the seed's. */
static void adopt_pod(struct kubelet *kl, const struct json_t *pod)
{
    struct run *r = run_new(kl, pod);
    struct json_t *status = jd_get(pod, "status.containerStatuses");
    const char *since = jd_str(pod, "status.startTime");

    r->stage = RUNNING;
    r->adopted = true;
    r->ready = pod_is_ready(pod);
    if (jd_len(status))
        r->restarts = (unsigned)jd_num(jd_at(status, 0), "restartCount", 0);
    if (since)
        (void)!clock_parse_rfc3339(slice_of(since), &r->since_ms);
    if (r->backend) {
        call_start(r);
    } else if (runs_to_an_end(r) || !r->ready) {
        r->stage = STARTED;
        timer_start(r->timer, runs_to_an_end(r) ? JOB_MS : READY_MS, 0);
    }
}

/* ---- Ending ------------------------------------------------------------------------------------------------------ */

/* Everything of it has ended: the object goes, too. */
static void finish(struct run *r)
{
    struct kube *k = r->kl->k;
    struct json_t *pod = run_pod(r);
    char *ns = mem_strdup(r->ns), *name = mem_strdup(r->name);

    run_drop(r);
    if (pod && object_terminating(pod)) {
        jd_put(pod, "metadata.deletionGracePeriodSeconds", jd_int(0));
        if (jd_len(jd_get(pod, "metadata.finalizers")) == 0)
            store_del(k->store, KIND_POD, ns, name, pod);
    }
    controllers_queue(k, QUEUE_KUBELET, ns, name, 0);
    jd_free(pod);
    free(ns);
    free(name);
}

static void stop_pod(struct run *r, const struct json_t *pod)
{
    bool has_process = r->stage == STARTED || r->stage == RUNNING;
    int64_t grace_ms = pod ? 1000 * jd_num(pod, "metadata.deletionGracePeriodSeconds", 30) : 0;

    if (r->stage == ENDING || r->stage == OVER)
        return;
    r->stage = ENDING;
    timer_stop(r->timer);
    if (r->backend && has_process) {
        struct json_t *none = pod ? NULL : object_parse("{'metadata':{'name':'%s','namespace':'%s','uid':'%s',"
                                                        "'deletionGracePeriodSeconds':0}}", r->name, r->ns, r->uid);
        struct pod_info info = pod_info_new(r->kl->k, pod ? pod : none, r->restarts);
        r->backend->stop(r->kl->k->sb, &info);
        pod_info_clear(&info);
        jd_free(none);
        return;
    }
    timer_start(r->timer, grace_ms < END_MS ? grace_ms : END_MS, 0);
}

static int64_t back_off(const struct run *r)
{
    int64_t ms = r->restarts <= 1 ? CRASH_FIRST_MS : CRASH_SECOND_MS;

    for (unsigned i = 2; i < r->restarts && ms < CRASH_MAX_MS; i++)
        ms *= 2;
    return ms < CRASH_MAX_MS ? ms : CRASH_MAX_MS;
}

/* The main process ended by itself. */
static void crashed(struct run *r, int code)
{
    pod_log_end(r->log);
    if (runs_to_an_end(r)) {
        r->stage = OVER;
        run_show_finished(r, code);
        return;
    }
    r->stage = WAITING;
    r->ready = false;
    r->restarts++;
    run_show_crashed(r, code, back_off(r) > CRASH_FIRST_MS);
    timer_start(r->timer, back_off(r), 0);
}

static void on_timer(void *arg)
{
    struct run *r = arg;

    switch (r->stage) {
    case WAITING:
        pod_log_restart(r->log);
        r->adopted = false;
        start_containers(r);
        break;
    case CREATING:
        start_containers(r);
        break;
    case STARTED:
        if (runs_to_an_end(r)) {
            r->stage = OVER;
            run_show_finished(r, r->code);
        } else {
            r->stage = RUNNING;
            run_show_running(r, true);
        }
        break;
    case ENDING:
        finish(r);
        break;
    case RUNNING:
    case OVER:
        break;
    }
}

void kubelet_sync(struct kubelet *kl, const char *ns, const char *name)
{
    struct json_t *pod = kube_get(kl->k, KIND_POD, ns, name);
    struct run *r = find(kl, ns, name);

    if (r && (!pod || !str_eq(object_uid_of(pod), r->uid))) {
        if (r->stage == OVER)
            finish(r);
        else
            stop_pod(r, NULL);
    } else if (pod && !jd_str(pod, "spec.nodeName")) {
        /* the scheduler's */
    } else if (pod && !r && kl->k->sb->saved && object_terminating(pod) && kubelet_backend(kl, pod) &&
               str_eq(jd_str(pod, "status.phase"), "Running")) {
        adopt_pod(kl, pod); /* a saved sandbox was in the middle of its end: it runs again, to end as it would have */
        controllers_queue(kl->k, QUEUE_KUBELET, ns, name, RESUME_MS);
    } else if (pod && object_terminating(pod)) {
        if (!r)
            r = run_new(kl, pod);
        if (r->stage == OVER)
            finish(r);
        else
            stop_pod(r, pod);
    } else if (pod && !r && str_eq(jd_str(pod, "status.phase"), "Pending")) {
        start_pod(kl, pod);
    } else if (pod && !r && str_eq(jd_str(pod, "status.phase"), "Running")) {
        adopt_pod(kl, pod);
    }
    jd_free(pod);
}

/* ---- What the backends say --------------------------------------------------------------------------------------- */

struct adoption {
    struct kube *k;
    const struct pod_backend *b;
};

static bool adopt_for(void *arg, struct json_t *pod)
{
    struct adoption *a = arg;
    struct kubelet *kl = a->k->kubelet;
    struct run *r = find(kl, object_namespace(pod), object_name(pod));

    if (kubelet_backend(kl, pod) != a->b || (r && r->backend) || !str_eq(jd_str(pod, "status.phase"), "Running"))
        return true;
    if (!r) {
        adopt_pod(kl, pod);
    } else {
        r->backend = a->b;
        call_start(r);
    }
    return true;
}

static void adopt_all(void *arg)
{
    struct kubelet *kl = arg;

    for (size_t i = 0; i < kl->backend_count; i++) {
        struct adoption a = {kl->k, kl->backends[i]};
        each_object(kl->k, KIND_POD, kl->backends[i]->wants ? NULL : kl->backends[i]->ns, adopt_for, &a);
    }
}

void kube_register_backend(struct sandbox *s, const struct pod_backend *b)
{
    struct kubelet *kl = s->kube->kubelet;

    kl->backends = mem_reallocarray(kl->backends, kl->backend_count + 1, sizeof(kl->backends[0]));
    kl->backends[kl->backend_count++] = b;
    loop_defer(s->loop, adopt_all, kl);
}

void kube_pod_ready(struct sandbox *s, const char *ns, const char *name, bool ready)
{
    struct run *r = s->kube ? find(s->kube->kubelet, ns, name) : NULL;

    if (!r || (r->stage != STARTED && r->stage != RUNNING))
        return;
    if (r->stage == STARTED && ready)
        r->stage = RUNNING;
    if (r->ready != ready)
        run_show_running(r, ready);
}

void kube_pod_exited(struct sandbox *s, const char *ns, const char *name, int exit_code)
{
    struct run *r = s->kube ? find(s->kube->kubelet, ns, name) : NULL;

    if (!r)
        return;
    if (r->stage == ENDING)
        timer_start(r->timer, 0, 0);
    else if (r->stage == STARTED || r->stage == RUNNING)
        crashed(r, exit_code);
}

void kube_pod_retry(struct sandbox *s, const char *ns, const char *name)
{
    struct run *r = s->kube ? find(s->kube->kubelet, ns, name) : NULL;

    if (r && r->stage == WAITING)
        timer_start(r->timer, 0, 0);
}

void kube_pod_log(struct sandbox *s, const char *ns, const char *name, const char *text, size_t n)
{
    struct run *r = s->kube ? find(s->kube->kubelet, ns, name) : NULL;

    if (!r)
        return;
    pod_log_add(r->log, text, n);
}

void kube_pod_label(struct sandbox *s, const char *ns, const char *name, const char *label, const char *value)
{
    struct json_t *pod = s->kube ? kube_get(s->kube, KIND_POD, ns, name) : NULL;

    if (!pod)
        return;
    object_set_label(pod, label, value);
    kube_write(s->kube, KIND_POD, pod, pod_app(pod));
    jd_free(pod);
}

struct err *kube_pod_kill(struct sandbox *s, const char *ns, const char *name)
{
    struct run *r = find(s->kube->kubelet, ns, name);

    if (!r || (r->stage != STARTED && r->stage != RUNNING))
        return err_new(ERR_USAGE, "no running pod %s/%s", ns, name);
    if (!r->backend) {
        crashed(r, 137);
        return NULL;
    }
    struct json_t *pod = run_pod(r);
    if (!pod)
        return err_new(ERR_USAGE, "no pod %s/%s", ns, name);
    struct pod_info info = pod_info_new(s->kube, pod, r->restarts);
    info.grace_ms = 0;
    r->backend->stop(s, &info);
    pod_info_clear(&info);
    jd_free(pod);
    return NULL;
}
