/* Queues of keys with times, one timer for all, and the rules of which change concerns which queue. */
#include "sandbox/controllers.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json_doc.h"
#include "base/mem.h"
#include "loop/loop.h"
#include "loop/timer.h"
#include "sandbox/kube.h"
#include "sandbox/kubelet.h"
#include "sandbox/object.h"

#define CRON_CHECK_MS 1000

struct waiting {
    enum queue_id queue;
    char *ns, *name;
    int64_t due_ms;
};

struct controllers {
    struct kube *k;
    struct timer *timer, *cron_timer;
    struct waiting *list;
    size_t count, cap;
};

static void kubelet_queue_sync(struct kube *k, const char *ns, const char *name)
{
    kubelet_sync(k->kubelet, ns, name);
}

static void (*const sync_of[QUEUE_COUNT])(struct kube *k, const char *ns, const char *name) = {
    [QUEUE_CLAIM] = claim_sync,
    [QUEUE_VOLUME] = volume_sync,
    [QUEUE_SCHEDULE] = schedule_sync,
    [QUEUE_KUBELET] = kubelet_queue_sync,
    [QUEUE_DEPLOYMENT] = deployment_sync,
    [QUEUE_REPLICASET] = replicaset_sync,
    [QUEUE_STATEFULSET] = statefulset_sync,
    [QUEUE_JOB] = job_sync,
    [QUEUE_CRONJOB] = cronjob_sync,
    [QUEUE_GARBAGE] = garbage_sync,
    [QUEUE_NAMESPACE_VIEW] = namespace_view_sync,
};

static void arm(struct controllers *c)
{
    int64_t first = INT64_MAX, now = clock_mono_ms();

    for (size_t i = 0; i < c->count; i++)
        first = c->list[i].due_ms < first ? c->list[i].due_ms : first;
    if (c->count > 0)
        timer_start(c->timer, first > now ? first - now : 0, 0);
}

void controllers_queue(struct kube *k, enum queue_id q, const char *ns, const char *name, int64_t delay_ms)
{
    struct controllers *c = k->controllers;
    int64_t due = clock_mono_ms() + delay_ms;

    if (!c || !name)
        return;
    for (size_t i = 0; i < c->count; i++) {
        struct waiting *w = &c->list[i];
        if (w->queue == q && str_eq(w->name, name) && str_eq(w->ns, ns ? ns : "")) {
            if (due < w->due_ms)
                w->due_ms = due;
            arm(c);
            return;
        }
    }
    if (c->count == c->cap) {
        c->cap = c->cap ? c->cap * 2 : 64;
        c->list = mem_reallocarray(c->list, c->cap, sizeof c->list[0]);
    }
    c->list[c->count++] = (struct waiting){q, mem_strdup(ns ? ns : ""), mem_strdup(name), due};
    arm(c);
}

/* Takes the due keys out one by one, earliest first: a sync may queue others, also itself. */
static bool take_due(struct controllers *c, struct waiting *ret)
{
    size_t best = c->count;
    int64_t now = clock_mono_ms();

    for (size_t i = 0; i < c->count; i++)
        if (c->list[i].due_ms <= now && (best == c->count || c->list[i].due_ms < c->list[best].due_ms))
            best = i;
    if (best == c->count)
        return false;
    *ret = c->list[best];
    memmove(c->list + best, c->list + best + 1, (c->count - best - 1) * sizeof c->list[0]);
    c->count--;
    return true;
}

static void on_due(void *arg)
{
    struct controllers *c = arg;
    struct waiting w;

    for (int i = 0; i < 50 && take_due(c, &w); i++) {
        sync_of[w.queue](c->k, w.ns, w.name);
        free(w.ns);
        free(w.name);
    }
    arm(c);
}

/* ---- Which change concerns whom ---------------------------------------------------------------------------------- */

static void queue_owner(struct kube *k, const struct json_t *doc)
{
    static const struct {
        const char *kind;
        enum queue_id queue;
        int64_t delay_ms;
    } owners[] = {{"ReplicaSet", QUEUE_REPLICASET, 15},
                  {"StatefulSet", QUEUE_STATEFULSET, 10},
                  {"Job", QUEUE_JOB, 20},
                  {"Deployment", QUEUE_DEPLOYMENT, 10},
                  {"CronJob", QUEUE_CRONJOB, 20}};
    struct json_t *ref = object_controller(doc);

    for (size_t i = 0; ref && i < ARRAY_LEN(owners); i++)
        if (str_eq(jd_str(ref, "kind"), owners[i].kind))
            controllers_queue(k, owners[i].queue, object_namespace(doc), jd_str(ref, "name"), owners[i].delay_ms);
}

/* A deployment that recreates waits for the last old pod, whose end changes no replica set's status. */
static void queue_deployment_of(struct kube *k, const struct json_t *pod)
{
    struct json_t *ref = object_controller(pod);
    struct json_t *rs = ref && str_eq(jd_str(ref, "kind"), "ReplicaSet")
                            ? kube_get(k, KIND_REPLICASET, object_namespace(pod), jd_str(ref, "name"))
                            : NULL;

    if (rs)
        queue_owner(k, rs);
    jd_free(rs);
}

/* A pod without an owner may be adopted by the sets of its namespace. */
static void queue_adopters(struct kube *k, const char *ns)
{
    size_t from, to, count;
    struct version *const *all = store_all(k->store, KIND_STATEFULSET, &count);

    store_range(k->store, KIND_STATEFULSET, ns, &from, &to);
    for (size_t i = from; i < to; i++)
        controllers_queue(k, QUEUE_STATEFULSET, ns, version_name(all[i]), 30);
    all = store_all(k->store, KIND_REPLICASET, &count);
    store_range(k->store, KIND_REPLICASET, ns, &from, &to);
    for (size_t i = from; i < to; i++)
        controllers_queue(k, QUEUE_REPLICASET, ns, version_name(all[i]), 30);
}

static void pod_changed(struct kube *k, const struct json_t *pod, enum change type)
{
    const char *ns = object_namespace(pod);
    struct json_t *volumes = jd_get(pod, "spec.volumes");

    if (type != CHANGE_DELETED && !jd_str(pod, "spec.nodeName"))
        controllers_queue(k, QUEUE_SCHEDULE, ns, object_name(pod), 5);
    controllers_queue(k, QUEUE_KUBELET, ns, object_name(pod), type == CHANGE_DELETED ? 0 : 20);
    if (type == CHANGE_DELETED)
        queue_deployment_of(k, pod);
    if (object_controller(pod))
        queue_owner(k, pod);
    else if (type != CHANGE_MODIFIED)
        queue_adopters(k, ns);
    for (size_t i = 0; i < jd_len(volumes); i++)
        controllers_queue(k, QUEUE_CLAIM, ns, jd_str(jd_at(volumes, i), "persistentVolumeClaim.claimName"), 12);
    controllers_queue(k, QUEUE_NAMESPACE_VIEW, ns, "all", 100);
}

static bool wants_claim(void *arg, struct json_t *pod)
{
    struct kube *k = arg;

    if (!jd_str(pod, "spec.nodeName"))
        controllers_queue(k, QUEUE_SCHEDULE, object_namespace(pod), object_name(pod), 10);
    else if (str_eq(jd_str(pod, "status.phase"), "Pending"))
        controllers_queue(k, QUEUE_KUBELET, object_namespace(pod), object_name(pod), 10);
    return true;
}

/* A claim that is bound and stays: nothing to do for anybody. */
static bool claim_is_quiet(const struct change_event *ev)
{
    struct slice json = version_json(ev->now);

    return ev->type != CHANGE_DELETED && slice_contains(json, "\"phase\":\"Bound\"") &&
           !slice_contains(json, "\"deletionTimestamp\"") && slice_contains(json, "kubernetes.io/pvc-protection\"]") &&
           (!ev->before || slice_contains(version_json(ev->before), "\"phase\":\"Bound\""));
}

/* A volume that comes bound, as very many do at once. */
static bool volume_is_quiet(const struct change_event *ev)
{
    return ev->type == CHANGE_ADDED && slice_contains(version_json(ev->now), "\"phase\":\"Bound\"");
}

static void claim_changed(struct kube *k, const struct json_t *doc, enum change type)
{
    const char *ns = object_namespace(doc), *volume = jd_str(doc, "spec.volumeName");

    controllers_queue(k, QUEUE_CLAIM, ns, object_name(doc), 7);
    if (type == CHANGE_DELETED)
        controllers_queue(k, QUEUE_VOLUME, "", volume, 25);
    each_object(k, KIND_POD, ns, wants_claim, k);
    controllers_queue(k, QUEUE_NAMESPACE_VIEW, ns, "all", 100);
}

static void queue_garbage(struct kube *k, enum kube_id kind, const struct json_t *doc, int64_t delay_ms)
{
    char *key = str_printf("%d/%s", (int)kind, object_namespace(doc) ? object_namespace(doc) : "");
    char *name = str_printf("%s/%s", object_name(doc), object_uid_of(doc));

    controllers_queue(k, QUEUE_GARBAGE, key, name, delay_ms);
    free(key);
    free(name);
}

static bool names_volume(void *arg, struct json_t *claim)
{
    void **pair = arg;

    if (str_eq(jd_str(claim, "spec.volumeName"), pair[1]))
        controllers_queue(pair[0], QUEUE_CLAIM, object_namespace(claim), object_name(claim), 6);
    return true;
}

/* A volume that nobody has may be waited for by a claim that names it. */
static void volume_changed(struct kube *k, const struct json_t *doc)
{
    void *pair[2] = {k, (void *)(uintptr_t)object_name(doc)};

    controllers_queue(k, QUEUE_VOLUME, "", object_name(doc), 10);
    if (str_eq(jd_str(doc, "status.phase"), "Available"))
        each_object(k, KIND_CLAIM, NULL, names_volume, pair);
    else
        controllers_queue(k, QUEUE_CLAIM, jd_str(doc, "spec.claimRef.namespace"), jd_str(doc, "spec.claimRef.name"), 6);
}

static void object_changed(struct kube *k, enum kube_id kind, const struct json_t *doc, enum change type)
{
    static const enum queue_id own_queue[KIND_COUNT] = {
        [KIND_DEPLOYMENT] = QUEUE_DEPLOYMENT, [KIND_REPLICASET] = QUEUE_REPLICASET,
        [KIND_STATEFULSET] = QUEUE_STATEFULSET, [KIND_JOB] = QUEUE_JOB, [KIND_CRONJOB] = QUEUE_CRONJOB};
    const char *ns = object_namespace(doc);

    if (kind == KIND_POD)
        pod_changed(k, doc, type);
    else if (kind == KIND_CLAIM)
        claim_changed(k, doc, type);
    else if (kind == KIND_VOLUME)
        volume_changed(k, doc);
    else if (kind == KIND_SERVICE || kind == KIND_PDB || kind == KIND_QUOTA)
        controllers_queue(k, QUEUE_NAMESPACE_VIEW, ns, "all", 60);
    else if (own_queue[kind])
        controllers_queue(k, own_queue[kind], ns, object_name(doc), 15);
    if (kind == KIND_REPLICASET || kind == KIND_JOB)
        queue_owner(k, doc);
    if (type == CHANGE_DELETED || object_terminating(doc))
        queue_garbage(k, kind, doc, 60);
}

static void on_change(void *arg, enum kube_id kind, const struct change_event *ev)
{
    struct controllers *c = arg;

    if (kind == KIND_EVENT || kind == KIND_LEASE || kind == KIND_ENDPOINTSLICE || kind == KIND_ENDPOINTS ||
        (kind == KIND_CLAIM && claim_is_quiet(ev)) || (kind == KIND_VOLUME && volume_is_quiet(ev)))
        return;
    struct json_t *doc = version_doc(ev->now);
    object_changed(c->k, kind, doc, ev->type);
    jd_free(doc);
}

/* ---- Life -------------------------------------------------------------------------------------------------------- */

static bool queue_cronjob(void *arg, struct json_t *doc)
{
    controllers_queue(arg, QUEUE_CRONJOB, object_namespace(doc), object_name(doc), 0);
    return true;
}

static void on_cron_timer(void *arg)
{
    struct controllers *c = arg;

    each_object(c->k, KIND_CRONJOB, NULL, queue_cronjob, c->k);
}

static void queue_all(struct kube *k, enum kube_id kind)
{
    size_t count;
    struct version *const *all = store_all(k->store, kind, &count);

    for (size_t i = 0; i < count; i++) {
        struct json_t *doc = version_doc(all[i]);
        object_changed(k, kind, doc, CHANGE_MODIFIED);
        jd_free(doc);
    }
}

void controllers_wake(struct kube *k, int kind)
{
    if (k->controllers)
        queue_all(k, (enum kube_id)kind);
}

struct controllers *controllers_new(struct kube *k)
{
    static const enum kube_id first[] = {KIND_DEPLOYMENT, KIND_REPLICASET, KIND_STATEFULSET, KIND_POD, KIND_SERVICE};
    struct controllers *c = MEM_NEW(struct controllers);

    c->k = k;
    c->timer = timer_new(k->sb->loop, on_due, c);
    c->cron_timer = timer_new(k->sb->loop, on_cron_timer, c);
    timer_start(c->cron_timer, CRON_CHECK_MS, CRON_CHECK_MS);
    k->controllers = c;
    for (size_t i = 0; i < ARRAY_LEN(first); i++)
        queue_all(k, first[i]);
    store_observe(k->store, on_change, c);
    sandbox_on_advance(k->sb, on_cron_timer, c);
    return c;
}

void controllers_free(struct controllers *c)
{
    if (!c)
        return;
    timer_free(c->timer);
    timer_free(c->cron_timer);
    for (size_t i = 0; i < c->count; i++) {
        free(c->list[i].ns);
        free(c->list[i].name);
    }
    free(c->list);
    c->k->controllers = NULL;
    free(c);
}
