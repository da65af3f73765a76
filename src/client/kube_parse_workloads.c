/* Deployments, stateful sets, cron jobs, jobs. At 0 the API leaves numbers of a status out: absent is 0 there. */
#include "client/kube_parse_private.h"

#define WORKLOAD_INIT                                                                                            \
    {.meta = KUBE_META_INIT, .desired = KUBE_NONE, .ready = KUBE_NONE, .updated = KUBE_NONE, .replicas = KUBE_NONE, \
     .observed = KUBE_NONE, .last_run = KUBE_NONE, .last_ok = KUBE_NONE, .active = KUBE_NONE}

static const struct kube_field template_fields[] = {
    KUBE_FIELD("spec", kube_read_podspec, struct kube_workload, spec),
    KUBE_FIELDS_END,
};

static const struct kube_field strategy_fields[] = {
    KUBE_FIELD("type", kube_read_text, struct kube_workload, strategy),
    KUBE_FIELDS_END,
};

static int64_t or_zero(int64_t v) {
    return v == KUBE_NONE ? 0 : v;
}

static void zero_counts(struct kube_workload *w) {
    if (w->desired == KUBE_NONE) w->desired = 1; /* the API's own default */
    w->ready = or_zero(w->ready);
    w->updated = or_zero(w->updated);
    w->replicas = or_zero(w->replicas);
    w->observed = or_zero(w->observed);
}

/* ---- Deployments ------------------------------------------------------------------------------------------------- */

static void read_deployment_conditions(struct kube_reader *k, void *at) {
    struct kube_workload *w = at;
    struct kube_condition c;
    if (!json_enter_array(&k->json)) return;
    while (kube_next_condition(k, &c))
        if (slice_is(c.type, "Progressing") && slice_is(c.status, "False")) w->progress_reason = c.reason;
}

static const struct kube_field deployment_spec[] = {
    KUBE_FIELD("replicas", kube_read_int, struct kube_workload, desired),
    KUBE_INTO("strategy", strategy_fields),
    KUBE_INTO("template", template_fields),
    KUBE_FIELDS_END,
};

static const struct kube_field workload_status[] = {
    KUBE_FIELD("observedGeneration", kube_read_int, struct kube_workload, observed),
    KUBE_FIELD("replicas", kube_read_int, struct kube_workload, replicas),
    KUBE_FIELD("readyReplicas", kube_read_int, struct kube_workload, ready),
    KUBE_FIELD("updatedReplicas", kube_read_int, struct kube_workload, updated),
    {"conditions", sizeof "conditions" - 1, read_deployment_conditions, 0, NULL},
    KUBE_FIELDS_END,
};

static const struct kube_field deployment_fields[] = {
    KUBE_FIELD("metadata", kube_read_meta, struct kube_workload, meta),
    KUBE_INTO("spec", deployment_spec),
    KUBE_INTO("status", workload_status),
    KUBE_FIELDS_END,
};

struct err *kube_deployment_parse(struct kube_arena *a, struct slice json, struct kube_workload *ret) {
    struct kube_workload w = WORKLOAD_INIT;
    struct err *e = kube_read_object(a, json, "Deployment", deployment_fields, &w, &w.meta);
    if (e) return e;
    zero_counts(&w);
    *ret = w;
    return NULL;
}

/* ---- Stateful sets ----------------------------------------------------------------------------------------------- */

static void read_claim_templates(struct kube_reader *k, void *at) {
    struct kube_workload *w = at;
    if (!json_enter_array(&k->json)) return;
    while (json_next_item(&k->json)) {
        struct kube_meta m = KUBE_META_INIT;
        static const struct kube_field fields[] = {
            {"metadata", sizeof "metadata" - 1, kube_read_meta, 0, NULL},
            KUBE_FIELDS_END,
        };
        kube_read_fields(k, fields, &m);
        if (m.name.n) kube_texts_add(k, &w->templates, m.name);
    }
}

static const struct kube_field statefulset_spec[] = {
    KUBE_FIELD("replicas", kube_read_int, struct kube_workload, desired),
    KUBE_INTO("updateStrategy", strategy_fields),
    KUBE_INTO("template", template_fields),
    {"volumeClaimTemplates", sizeof "volumeClaimTemplates" - 1, read_claim_templates, 0, NULL},
    KUBE_FIELDS_END,
};

static const struct kube_field statefulset_fields[] = {
    KUBE_FIELD("metadata", kube_read_meta, struct kube_workload, meta),
    KUBE_INTO("spec", statefulset_spec),
    KUBE_INTO("status", workload_status),
    KUBE_FIELDS_END,
};

struct err *kube_statefulset_parse(struct kube_arena *a, struct slice json, struct kube_workload *ret) {
    struct kube_workload w = WORKLOAD_INIT;
    struct err *e = kube_read_object(a, json, "StatefulSet", statefulset_fields, &w, &w.meta);
    if (e) return e;
    zero_counts(&w);
    *ret = w;
    return NULL;
}

/* ---- Cron jobs --------------------------------------------------------------------------------------------------- */

static void read_active(struct kube_reader *k, void *at) {
    int64_t n = 0;
    if (!json_enter_array(&k->json)) return;
    while (json_next_item(&k->json)) {
        json_skip(&k->json);
        n++;
    }
    *(int64_t *)at = n;
}

static const struct kube_field cronjob_job_spec[] = {
    KUBE_INTO("template", template_fields),
    KUBE_FIELDS_END,
};

static const struct kube_field cronjob_template[] = {
    KUBE_INTO("spec", cronjob_job_spec),
    KUBE_FIELDS_END,
};

static const struct kube_field cronjob_spec[] = {
    KUBE_FIELD("schedule", kube_read_text, struct kube_workload, strategy),
    KUBE_FIELD("suspend", kube_read_bool, struct kube_workload, suspended),
    KUBE_INTO("jobTemplate", cronjob_template),
    KUBE_FIELDS_END,
};

static const struct kube_field cronjob_status[] = {
    KUBE_FIELD("lastScheduleTime", kube_read_time, struct kube_workload, last_run),
    KUBE_FIELD("lastSuccessfulTime", kube_read_time, struct kube_workload, last_ok),
    KUBE_FIELD("active", read_active, struct kube_workload, active),
    KUBE_FIELDS_END,
};

static const struct kube_field cronjob_fields[] = {
    KUBE_FIELD("metadata", kube_read_meta, struct kube_workload, meta),
    KUBE_INTO("spec", cronjob_spec),
    KUBE_INTO("status", cronjob_status),
    KUBE_FIELDS_END,
};

struct err *kube_cronjob_parse(struct kube_arena *a, struct slice json, struct kube_workload *ret) {
    struct kube_workload w = WORKLOAD_INIT;
    struct err *e = kube_read_object(a, json, "CronJob", cronjob_fields, &w, &w.meta);
    if (e) return e;
    w.active = or_zero(w.active);
    *ret = w;
    return NULL;
}

/* ---- Jobs -------------------------------------------------------------------------------------------------------- */

/* Finished jobs have two conditions (seen on 1.32 and 1.36, tests/wire): Complete or Failed is the one that counts, and
 * only it has the time of a failure. */
static void read_job_conditions(struct kube_reader *k, void *at) {
    struct kube_job *j = at;
    struct kube_condition c;
    if (!json_enter_array(&k->json)) return;
    while (kube_next_condition(k, &c)) {
        if (!slice_is(c.status, "True")) continue;
        if (slice_is(c.type, "Complete")) j->complete = true;
        if (!slice_is(c.type, "Failed")) continue;
        j->failed = true;
        j->reason = c.reason;
        j->message = c.message;
        if (j->finished == KUBE_NONE) j->finished = c.changed;
    }
}

static const struct kube_field job_template[] = {
    KUBE_FIELD("spec", kube_read_podspec, struct kube_job, spec),
    KUBE_FIELDS_END,
};

static const struct kube_field job_spec[] = {
    KUBE_FIELD("suspend", kube_read_bool, struct kube_job, suspended),
    KUBE_INTO("template", job_template),
    KUBE_FIELDS_END,
};

static const struct kube_field job_status[] = {
    KUBE_FIELD("active", kube_read_int, struct kube_job, active),
    KUBE_FIELD("startTime", kube_read_time, struct kube_job, started),
    KUBE_FIELD("completionTime", kube_read_time, struct kube_job, finished),
    {"conditions", sizeof "conditions" - 1, read_job_conditions, 0, NULL},
    KUBE_FIELDS_END,
};

static const struct kube_field job_fields[] = {
    KUBE_FIELD("metadata", kube_read_meta, struct kube_job, meta),
    KUBE_INTO("spec", job_spec),
    KUBE_INTO("status", job_status),
    KUBE_FIELDS_END,
};

struct err *kube_job_parse(struct kube_arena *a, struct slice json, struct kube_job *ret) {
    struct kube_job j = {.meta = KUBE_META_INIT, .active = KUBE_NONE, .started = KUBE_NONE, .finished = KUBE_NONE};
    struct err *e = kube_read_object(a, json, "Job", job_fields, &j, &j.meta);
    if (e) return e;
    j.active = or_zero(j.active);
    *ret = j;
    return NULL;
}
