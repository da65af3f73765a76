/* CronJobs by the plan's clock, and their Jobs: one pod each, complete when it has succeeded. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/json_doc.h"
#include "sandbox/controllers.h"
#include "sandbox/kube.h"
#include "sandbox/object.h"

#define KCM "kube-controller-manager"
#define MINUTE_MS INT64_C(60000)
#define SEARCH_MINUTES (366 * 24 * 60)

/* ---- Schedules --------------------------------------------------------------------------------------------------- */

/* One field of a schedule: "*", "3", "1-5", "*" "/15", lists of them. */
static bool field_has(struct slice field, int value)
{
    struct slice one;

    while (slice_cut(&field, ',', &one)) {
        struct slice range, step_text = {0}, low_text, high_text = {0};
        int64_t step = 1, low = 0, high = 1000;
        struct slice rest = one;
        slice_cut(&rest, '/', &range);
        if (rest.p)
            step_text = rest;
        if (step_text.p && (!slice_to_i64(step_text, &step) || step < 1))
            continue;
        if (!slice_is(range, "*")) {
            slice_cut(&range, '-', &low_text);
            high_text = range;
            if (!slice_to_i64(low_text, &low))
                continue;
            high = step_text.p ? 1000 : low;
            if (high_text.p && !slice_to_i64(high_text, &high))
                continue;
        }
        if (value >= low && value <= high && (value - low) % step == 0)
            return true;
    }
    return false;
}

static bool schedule_has(const char *schedule, int64_t ms)
{
    time_t t = (time_t)(ms / 1000);
    struct tm tm;
    struct slice rest = slice_of(schedule), f[5];

    gmtime_r(&t, &tm);
    for (size_t i = 0; i < 5; i++)
        if (!slice_cut(&rest, ' ', &f[i]))
            return false;
    return field_has(f[0], tm.tm_min) && field_has(f[1], tm.tm_hour) && field_has(f[2], tm.tm_mday) &&
           field_has(f[3], tm.tm_mon + 1) && field_has(f[4], tm.tm_wday);
}

int64_t cron_next(const char *schedule, int64_t after_ms)
{
    int64_t t = after_ms / MINUTE_MS * MINUTE_MS;

    for (int i = 0; i < SEARCH_MINUTES; i++) {
        t += MINUTE_MS;
        if (schedule_has(schedule, t))
            return t;
    }
    return 0;
}

/* ---- Building ---------------------------------------------------------------------------------------------------- */

struct json_t *job_for(const struct json_t *cronjob, int64_t when_ms)
{
    struct json_t *job = object_parse("{'metadata':{'name':'%s-%lld','namespace':'%s'}}", object_name(cronjob),
                                      (long long)(when_ms / MINUTE_MS), object_namespace(cronjob));
    struct json_t *labels;
    char uid[UID_SIZE], when[40];

    jd_set(job, "spec", jd_copy(jd_get(cronjob, "spec.jobTemplate.spec")));
    object_uid(uid);
    if (!jd_get(job, "spec.template.metadata"))
        jd_put(job, "spec.template.metadata.creationTimestamp", jd_null());
    labels = object_parse("{'batch.kubernetes.io/controller-uid':'%s','batch.kubernetes.io/job-name':'%s',"
                          "'controller-uid':'%s','job-name':'%s'}", uid, object_name(job), uid, object_name(job));
    jd_put(job, "spec.template.metadata.labels", jd_copy(labels));
    jd_put(job, "spec.selector.matchLabels", jd_object());
    jd_set(jd_get(job, "spec.selector.matchLabels"), "batch.kubernetes.io/controller-uid", jd_string(uid));
    jd_put(job, "metadata.labels", labels);
    object_set_annotation(job, "batch.kubernetes.io/cronjob-scheduled-timestamp", object_time(when_ms, when));
    jd_put(job, "metadata.ownerReferences", jd_array());
    jd_append(jd_get(job, "metadata.ownerReferences"), owner_reference(KIND_CRONJOB, cronjob));
    return job;
}

void job_set_complete(struct json_t *job, int64_t start_ms, int64_t end_ms)
{
    char from[40], to[40];

    object_time(start_ms, from);
    object_time(end_ms, to);
    jd_set(job, "status",
           object_parse("{'conditions':[{'type':'SuccessCriteriaMet','status':'True','lastProbeTime':'%s',"
                        "'lastTransitionTime':'%s','reason':'CompletionsReached','message':'Reached expected number of "
                        "succeeded pods'},{'type':'Complete','status':'True','lastProbeTime':'%s','lastTransitionTime':"
                        "'%s','reason':'CompletionsReached','message':'Reached expected number of succeeded pods'}],"
                        "'startTime':'%s','completionTime':'%s','succeeded':1,'terminating':0,"
                        "'uncountedTerminatedPods':"
                        "{},'ready':0}",
                        to, to, to, to, from, to));
}

static void job_set_failed(struct kube *k, struct json_t *job)
{
    char now[40];

    object_time(kube_now(k), now);
    jd_put(job, "status.failed", jd_int(1));
    jd_del(jd_get(job, "status"), "active");
    jd_put(job, "status.conditions",
           object_parse("[{'type':'FailureTarget','status':'True','lastProbeTime':'%s','lastTransitionTime':'%s',"
                        "'reason':"
                        "'BackoffLimitExceeded','message':'Job has reached the specified backoff limit'},"
                        "{'type':'Failed',"
                        "'status':'True','lastProbeTime':'%s','lastTransitionTime':'%s',"
                        "'reason':'BackoffLimitExceeded',"
                        "'message':'Job has reached the specified backoff limit'}]",
                        now, now, now, now));
}

/* ---- Job --------------------------------------------------------------------------------------------------------- */

static const char *job_result(const struct json_t *job)
{
    struct json_t *list = jd_get(job, "status.conditions");

    for (size_t i = 0; i < jd_len(list); i++)
        if (str_eq(jd_str(jd_at(list, i), "type"), "Complete") || str_eq(jd_str(jd_at(list, i), "type"), "Failed"))
            return jd_str(jd_at(list, i), "type");
    return NULL;
}

struct job_pods {
    const char *uid;
    int64_t active, succeeded, failed;
};

static bool take_job_pod(void *arg, struct json_t *pod)
{
    struct job_pods *p = arg;
    const char *phase = jd_str(pod, "status.phase");

    if (owned_by(pod, p->uid)) {
        p->succeeded += str_eq(phase, "Succeeded");
        p->failed += str_eq(phase, "Failed");
        p->active += !pod_is_finished(pod);
    }
    return true;
}

static void start_job(struct kube *k, struct json_t *job)
{
    char *prefix = str_printf("%s-", object_name(job)), now[40];
    struct json_t *pod = pod_from_template(jd_get(job, "spec.template"), object_namespace(job), prefix, KIND_JOB, job);

    jd_put(job, "status.startTime", jd_string(object_time(kube_now(k), now)));
    jd_put(job, "status.active", jd_int(1));
    jd_put(job, "status.ready", jd_int(0));
    kube_write(k, KIND_JOB, job, KCM);
    kube_add(k, KIND_POD, pod, KCM);
    kube_event(k, KIND_JOB, job, "job-controller", "Normal", "SuccessfulCreate", "Created pod: %s", object_name(pod));
    jd_free(pod);
    free(prefix);
}

static int64_t start_of(const struct json_t *job, int64_t fallback)
{
    const char *text = jd_str(job, "status.startTime");
    int64_t ms;

    return text && clock_parse_rfc3339(slice_of(text), &ms) ? ms : fallback;
}

static void end_job(struct kube *k, struct json_t *job, bool ok)
{
    if (ok)
        job_set_complete(job, start_of(job, kube_now(k)), kube_now(k));
    else
        job_set_failed(k, job);
    kube_write(k, KIND_JOB, job, KCM);
    kube_event(k, KIND_JOB, job, "job-controller", ok ? "Normal" : "Warning", ok ? "Completed" : "BackoffLimitExceeded",
               ok ? "Job completed" : "Job has reached the specified backoff limit");
}

/* A finished job with a time to live goes when that has passed (on the plan's clock). */
static void expire_job(struct kube *k, const struct json_t *job)
{
    const char *end = jd_str(job, "status.completionTime");
    int64_t ms, ttl = jd_num(job, "spec.ttlSecondsAfterFinished", -1);

    if (ttl < 0 || !end || !clock_parse_rfc3339(slice_of(end), &ms))
        return;
    if (kube_now(k) >= ms + ttl * 1000)
        kube_delete(k, KIND_JOB, object_namespace(job), object_name(job), "Background", -1, false, NULL, NULL);
    else
        controllers_queue(k, QUEUE_JOB, object_namespace(job), object_name(job), 1000);
}

void job_sync(struct kube *k, const char *ns, const char *name)
{
    struct json_t *job = kube_get(k, KIND_JOB, ns, name);
    struct job_pods p = {.uid = job ? object_uid_of(job) : ""};

    if (job && !object_terminating(job) && job_result(job)) {
        expire_job(k, job);
    } else if (job && !object_terminating(job) && !jd_flag(job, "spec.suspend", false)) {
        each_object(k, KIND_POD, ns, take_job_pod, &p);
        if (p.succeeded)
            end_job(k, job, true);
        else if (p.failed > jd_num(job, "spec.backoffLimit", 6))
            end_job(k, job, false);
        else if (p.active == 0)
            start_job(k, job);
    }
    jd_free(job);
}

/* ---- CronJob ----------------------------------------------------------------------------------------------------- */

struct history {
    struct kube *k;
    const char *uid;
    struct json_t *done; /* names, oldest first: their names end in the minute */
    struct json_t *active;
    char success[40];
};

static bool take_job(void *arg, struct json_t *job)
{
    struct history *h = arg;
    const char *result = job_result(job), *end = jd_str(job, "status.completionTime");

    if (!owned_by(job, h->uid))
        return true;
    if (!result)
        jd_append(h->active, object_parse("{'kind':'Job','namespace':'%s','name':'%s','uid':'%s',"
                                          "'apiVersion':'batch/v1'}",
                                          object_namespace(job), object_name(job), object_uid_of(job)));
    else
        jd_append(h->done, jd_string(object_name(job)));
    if (end && (!h->success[0] || strcmp(end, h->success) > 0))
        str_copy(h->success, sizeof h->success, end);
    return true;
}

static void prune(struct kube *k, const struct json_t *cj, const struct history *h)
{
    size_t keep = (size_t)jd_num(cj, "spec.successfulJobsHistoryLimit", 3), n = jd_len(h->done);

    for (size_t i = 0; i + keep < n; i++)
        kube_delete(k, KIND_JOB, object_namespace(cj), jd_string_value(jd_at(h->done, i)), "Background", -1, false, NULL,
                    NULL);
}

static void cronjob_status(struct kube *k, struct json_t *cj, const struct history *h)
{
    if (jd_len(h->active))
        jd_put(cj, "status.active", jd_copy(h->active));
    else if (jd_get(cj, "status.active"))
        jd_del(jd_get(cj, "status"), "active");
    if (h->success[0])
        jd_put(cj, "status.lastSuccessfulTime", jd_string(h->success));
    kube_write(k, KIND_CRONJOB, cj, KCM);
}

static void run_due(struct kube *k, struct json_t *cj)
{
    const char *schedule = jd_str(cj, "spec.schedule"), *last = jd_str(cj, "status.lastScheduleTime");
    int64_t from = 0, now = kube_now(k), due, next;
    char when[40];

    if (!last)
        last = jd_str(cj, "metadata.creationTimestamp");
    if (!schedule || !last || !clock_parse_rfc3339(slice_of(last), &from) || jd_flag(cj, "spec.suspend", false))
        return;
    due = cron_next(schedule, from);
    if (due == 0 || due > now)
        return;
    while ((next = cron_next(schedule, due)) != 0 && next <= now)
        due = next;
    struct json_t *job = job_for(cj, due);
    kube_add(k, KIND_JOB, job, KCM);
    kube_event(k, KIND_CRONJOB, cj, "cronjob-controller", "Normal", "SuccessfulCreate", "Created job %s",
               object_name(job));
    jd_put(cj, "status.lastScheduleTime", jd_string(object_time(due, when)));
    kube_write(k, KIND_CRONJOB, cj, KCM);
    jd_free(job);
}

void cronjob_sync(struct kube *k, const char *ns, const char *name)
{
    struct json_t *cj = kube_get(k, KIND_CRONJOB, ns, name);

    if (!cj || object_terminating(cj)) {
        jd_free(cj);
        return;
    }
    run_due(k, cj);
    struct history h = {.k = k, .uid = object_uid_of(cj), .done = jd_array(), .active = jd_array()};
    each_object(k, KIND_JOB, ns, take_job, &h);
    prune(k, cj, &h);
    cronjob_status(k, cj, &h);
    jd_free(h.done);
    jd_free(h.active);
    jd_free(cj);
}
