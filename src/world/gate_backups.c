/* Says what Kubernetes knows, a job's success, and that this is less than a backup. */
#include "base/clock.h"
#include "world/gate_facts.h"
#include "world/gate_internal.h"
#include "world/world.h"

/* A day, and the time that a run may take. */
#define BACKUP_AGE_MS (INT64_C(26) * 3600 * CLOCK_MS_PER_S)

/* Other kinds may have the same name. */
static const struct row *find_cronjob(const struct world *w, struct slice ns, struct slice name)
{
    for (const struct row *r = world_first(w, T_WORKLOADS); r; r = world_next(w, r))
        if (slice_is(row_text(r, WORKLOADS_KIND), "CronJob") && slice_eq(row_text(r, WORKLOADS_NAME), name) &&
            slice_eq(row_text(r, WORKLOADS_NAMESPACE), ns))
            return r;
    return NULL;
}

/* Judges one cron job; the reason is appended unless it is well, *oldest is its last success then. */
static enum gate_answer judge_job(const struct world *w, struct slice full, struct buf *reason, int64_t *oldest)
{
    struct slice name = full, ns;
    slice_cut(&name, '/', &ns);
    const struct row *job = find_cronjob(w, ns, name);
    int64_t recent = world_now(w) - BACKUP_AGE_MS;
    if (!job) {
        buf_printf(reason, "%.*s does not exist", SLICE_FMT(full));
        return GATE_FAIL;
    }
    int64_t last = row_int(job, WORKLOADS_LAST_OK, INT64_MIN);
    if (last >= recent) {
        *oldest = last < *oldest ? last : *oldest;
        if (!slice_is(row_text(job, WORKLOADS_STATE), "SUSPENDED"))
            return GATE_PASS;
        buf_printf(reason, "%.*s is suspended", SLICE_FMT(full));
        return GATE_WAIT;
    }
    bool young = row_int(job, WORKLOADS_CREATED, INT64_MIN) >= recent;
    buf_printf(reason, "%.*s ", SLICE_FMT(full));
    if (last == INT64_MIN) {
        buf_adds(reason, young ? "has not succeeded yet" : "has never succeeded");
        return young ? GATE_WAIT : GATE_FAIL;
    }
    buf_adds(reason, "last succeeded ");
    gate_add_age(reason, world_now(w) - last);
    buf_adds(reason, " ago");
    return GATE_FAIL;
}

static void say_pass(const struct world *w, size_t count, int64_t oldest, struct buf *reason)
{
    if (count > 1)
        buf_printf(reason, "%zu jobs, the oldest", count);
    else
        buf_adds(reason, "job");
    buf_adds(reason, " succeeded ");
    gate_add_age(reason, world_now(w) > oldest ? world_now(w) - oldest : 0);
    buf_adds(reason, " ago (success of a job is not proof of a backup)");
}

static enum gate_answer ask(const struct world *w, const struct row *workload, struct buf *reason)
{
    (void)workload;
    const struct row *plan = gate_plan(w);
    struct slice list = plan ? row_text(plan, PLAN_BACKUPS) : (struct slice){NULL, 0}, full;
    if (list.n == 0) {
        buf_adds(reason, "no plan names backup cron jobs");
        return GATE_NOT_ASKED;
    }
    enum gate_answer facts = gate_source(w, "kube/cronjobs", reason), worst = GATE_PASS;
    if (facts != GATE_PASS)
        return facts;
    int64_t oldest = INT64_MAX;
    size_t count = 0;
    struct buf said = {0};
    while (slice_cut(&list, ' ', &full)) {
        if (full.n == 0)
            continue;
        count++;
        buf_clear(&said);
        enum gate_answer a = judge_job(w, full, &said, &oldest);
        if (a == GATE_PASS || worst == GATE_FAIL || a == worst)
            continue;
        worst = a; /* the first of the worst is the reason */
        buf_clear(reason);
        buf_add_slice(reason, buf_slice(&said));
    }
    buf_free(&said);
    if (worst == GATE_PASS)
        say_pass(w, count, oldest, reason);
    return worst;
}

const struct gate gate_backups = {
    .name = "backup cron jobs succeeded lately",
    .doc = "each backup cron job of the plan is not suspended and its last success is less than 26 hours old",
    .ask = ask,
};
