/* Deployments, stateful sets, cron jobs (workloads) and jobs. */
#include <stdio.h>

#include "source/kube_source_private.h"

static const struct kube_texts no_texts = {0};

/* "data-vault-*" for the claim template "data" of the set "vault", after the claims that the pods name. */
static struct slice claims_text(struct kube_arena *a, const struct kube_workload *w) {
    struct buf b = {0};
    for (size_t i = 0; i < w->spec.claims.n; i++)
        buf_printf(&b, "%s%.*s", b.len ? ", " : "", SLICE_FMT(w->spec.claims.v[i]));
    for (size_t i = 0; i < w->templates.n; i++)
        buf_printf(&b, "%s%.*s-%.*s-*", b.len ? ", " : "", SLICE_FMT(w->templates.v[i]), SLICE_FMT(w->meta.name));
    struct slice s = b.len ? kube_arena_text(a, buf_slice(&b)) : (struct slice){NULL, 0};
    buf_free(&b);
    return s;
}

static void use_claims(struct kube_source *s, const struct kube_workload *w, const char *kind, unsigned flags,
                       bool deleted) {
    struct claim_user user = {
        .flags = flags | CLAIM_USER_TEMPLATE,
        .text = kube_arena_printf(&s->arena, "%s %.*s%c", kind, SLICE_FMT(w->meta.name), '\0').p,
        .database = w->spec.database_image.n
                        ? kube_arena_printf(&s->arena, "%.*s%c", SLICE_FMT(w->spec.database_image), '\0').p
                        : NULL,
        .replicas = w->desired == KUBE_NONE ? 0 : w->desired,
    };
    const struct kube_texts *templates = w->templates.n ? &w->templates : NULL;
    kube_claims_use(s, &w->meta, &user, deleted ? &no_texts : &w->spec.claims, deleted ? NULL : templates);
}

static void put(struct kube_listener *l, const struct kube_workload *w, const char *kind, const char *state,
                bool deleted) {
    bool cron = w->desired == KUBE_NONE;
    struct cell cells[WORKLOADS_COLS] = {
        [WORKLOADS_NAMESPACE] = cell_slice(w->meta.ns),
        [WORKLOADS_NAME] = cell_slice(w->meta.name),
        [WORKLOADS_KIND] = cell_text(kind),
        [WORKLOADS_STATE] = cell_text(state),
        [WORKLOADS_DESIRED] = kube_cell(w->desired),
        [WORKLOADS_READY] = cron ? CELL_NONE : kube_cell(w->ready),
        [WORKLOADS_STRATEGY] = cell_slice(w->strategy),
        [WORKLOADS_CLAIMS] = cell_slice(claims_text(&l->source->arena, w)),
        [WORKLOADS_LAST_RUN] = kube_cell(w->last_run),
        [WORKLOADS_LAST_OK] = kube_cell(w->last_ok),
        [WORKLOADS_IMAGE] = cell_slice(w->spec.image),
        [WORKLOADS_MANAGER] = cell_slice(w->meta.manager),
        [WORKLOADS_CREATED] = kube_cell(w->meta.created),
        [WORKLOADS_DELETING] = kube_cell(w->meta.deleting),
    };
    kube_listener_row(l, &w->meta, cells, deleted);
}

/* A status that is older than the spec says nothing about it yet. */
static const char *state_of(const struct kube_workload *w) {
    bool seen = w->meta.generation == KUBE_NONE || w->observed >= w->meta.generation;
    if (w->meta.deleting != KUBE_NONE) return "TERMINATING";
    if (w->desired == 0) return w->replicas == 0 && seen ? "SCALED DOWN" : "PROGRESSING";
    if (w->progress_reason.n) return "DEGRADED";
    if (!seen) return "PROGRESSING";
    if (w->ready >= w->desired) return "OK";
    return w->updated < w->desired ? "PROGRESSING" : "DEGRADED";
}

static unsigned plan_flag(const struct kube_source *s, const struct kube_workload *w, const char *kind) {
    char object[320];
    snprintf(object, sizeof object, "%s/%.*s", kind, SLICE_FMT(w->meta.name));
    return kube_source_plan_object(s, w->meta.ns, slice_of(object)) ? CLAIM_USER_PLAN : 0;
}

static struct err *apply_deployment(struct kube_listener *l, struct slice json, bool deleted) {
    struct kube_workload w;
    struct err *e = kube_deployment_parse(&l->source->arena, json, &w);
    if (e) return e;
    put(l, &w, "Deployment", state_of(&w), deleted);
    use_claims(l->source, &w, "deployment", plan_flag(l->source, &w, "Deployment"), deleted);
    return NULL;
}

const struct kube_kind kube_kind_deployments = {
    .group_path = "/apis/apps/v1",
    .resource = "deployments",
    .scope = KUBE_ALL,
    .table = T_WORKLOADS,
    .apply = apply_deployment,
};

/* With OnDelete an old revision is nothing to wait for; pods that are not ready are. */
static struct err *apply_statefulset(struct kube_listener *l, struct slice json, bool deleted) {
    struct kube_workload w;
    struct err *e = kube_statefulset_parse(&l->source->arena, json, &w);
    if (e) return e;
    if (slice_is(w.strategy, "OnDelete")) w.updated = w.desired;
    put(l, &w, "StatefulSet", state_of(&w), deleted);
    use_claims(l->source, &w, "statefulset", plan_flag(l->source, &w, "StatefulSet") | CLAIM_USER_STATEFUL, deleted);
    return NULL;
}

const struct kube_kind kube_kind_statefulsets = {
    .group_path = "/apis/apps/v1",
    .resource = "statefulsets",
    .scope = KUBE_ALL,
    .table = T_WORKLOADS,
    .apply = apply_statefulset,
};

static struct err *apply_cronjob(struct kube_listener *l, struct slice json, bool deleted) {
    struct kube_workload w;
    struct err *e = kube_cronjob_parse(&l->source->arena, json, &w);
    if (e) return e;
    put(l, &w, "CronJob", w.meta.deleting != KUBE_NONE ? "TERMINATING" : w.suspended ? "SUSPENDED" : "OK", deleted);
    use_claims(l->source, &w, "cronjob", CLAIM_USER_JOB, deleted);
    return NULL;
}

const struct kube_kind kube_kind_cronjobs = {
    .group_path = "/apis/batch/v1",
    .resource = "cronjobs",
    .scope = KUBE_ALL,
    .table = T_WORKLOADS,
    .apply = apply_cronjob,
};

/* ---- Jobs -------------------------------------------------------------------------------------------------------- */

static const char *job_state(const struct kube_job *j) {
    if (j->failed) return "FAILED";
    if (j->complete) return "COMPLETE";
    if (j->suspended) return "SUSPENDED";
    return j->started != KUBE_NONE || j->active > 0 ? "RUNNING" : "PENDING";
}

static struct err *apply_job(struct kube_listener *l, struct slice json, bool deleted) {
    struct kube_source *s = l->source;
    struct kube_job j;
    struct err *e = kube_job_parse(&s->arena, json, &j);
    if (e) return e;
    struct slice reason = j.reason;
    if (j.message.n) reason = kube_arena_printf(&s->arena, "%.*s: %.*s", SLICE_FMT(j.reason), SLICE_FMT(j.message));
    struct cell cells[JOBS_COLS] = {
        [JOBS_NAMESPACE] = cell_slice(j.meta.ns),
        [JOBS_NAME] = cell_slice(j.meta.name),
        [JOBS_OWNER] = slice_is(j.meta.owner_kind, "CronJob") ? cell_slice(j.meta.owner_name) : CELL_NONE,
        [JOBS_STATE] = cell_text(job_state(&j)),
        [JOBS_REASON] = cell_slice(reason),
        [JOBS_STARTED] = kube_cell(j.started),
        [JOBS_FINISHED] = kube_cell(j.finished),
        [JOBS_CLAIMS] = cell_slice(kube_texts_join(&s->arena, &j.spec.claims)),
        [JOBS_CREATED] = kube_cell(j.meta.created),
    };
    kube_listener_row(l, &j.meta, cells, deleted);
    struct claim_user user = {
        .flags = CLAIM_USER_JOB | CLAIM_USER_TEMPLATE,
        .text = kube_arena_printf(&s->arena, "job %.*s%c", SLICE_FMT(j.meta.name), '\0').p,
    };
    kube_claims_use(s, &j.meta, &user, deleted || j.failed || j.complete ? &no_texts : &j.spec.claims, NULL);
    return NULL;
}

const struct kube_kind kube_kind_jobs = {
    .group_path = "/apis/batch/v1", .resource = "jobs", .scope = KUBE_ALL, .table = T_JOBS, .apply = apply_job,
};
