/* Quiesce and fence: the downtime begins (safety 3). What is stopped is recorded first, with its uid and how much of it ran; then cron jobs are
 * suspended, running jobs awaited, deployments scaled to 0, their pods gone; then the server is set read-only by ALTER SYSTEM, which
 * no dump carries, and whoever is still connected is disconnected. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/json_doc.h"
#include "base/mem.h"
#include "base/str.h"
#include "client/pg_conn.h"
#include "migrate/postgres.h"
#include "migrate/postgres_quiet.h"
#include "migrate/postgres_move.h"
#include "world/world.h"

#define PODS_GONE_MS INT64_C(300000)
#define JOBS_MS INT64_C(1800000)

/* ---- What is stopped: the fact apps ---- */

struct json_t *apps_find(const struct json_t *apps, const char *kind_name)
{
    for (size_t i = 0; i < jd_len(apps); i++) {
        struct json_t *app = jd_at(apps, i);
        char *key = str_printf("%s/%s", jd_str(app, "kind"), jd_str(app, "name"));
        bool same = str_eq(key, kind_name);
        mem_free(key);
        if (same)
            return app;
    }
    return NULL;
}

/* What ran is what counts: a workload that stands still already keeps what was recorded while it ran. */
enum apps_answer apps_record(struct json_t *apps, const char *kind_name, const struct json_t *object, bool keep, int64_t typed, struct buf *out)
{
    const char *name = strchr(kind_name, '/') + 1, *uid = jd_str(object, "metadata.uid");
    struct json_t *known = apps_find(apps, kind_name), *app = jd_object();
    bool cron = str_starts(kind_name, "cronjob/");
    bool stopped = cron ? jd_flag(object, "spec.suspend", false) : jd_num(object, "spec.replicas", cron ? 0 : 1) == 0;
    char *kind = mem_strndup(kind_name, (size_t)(name - 1 - kind_name));
    struct buf selector = {0};

    jd_set(app, "kind", jd_string(kind));
    jd_set(app, "name", jd_string(name));
    jd_set(app, "ns", jd_string(jd_str(object, "metadata.namespace")));
    jd_set(app, "uid", jd_string(uid));
    mem_free(kind);
    if (!cron) {
        postgres_selector(jd_get(object, "spec.selector"), &selector);
        jd_set(app, "selector", jd_string(buf_str(&selector)));
        buf_free(&selector);
    }
    int64_t before = jd_num(known, "replicas", 0), now = jd_num(object, "spec.replicas", 1);
    bool same = known && str_eq(jd_str(known, "uid"), uid);
    if (same && !cron && !stopped && keep && before > 0 && before != now) { /* a part of what ran came back between two tries */
        jd_free(app);
        jd_set(known, "now", jd_int(now));
        buf_printf(out, "%lld replicas now; it comes back to the %lld that ran before it was stopped", (long long)now, (long long)before);
        return APPS_RECORDED;
    }
    if (same && stopped) {
        jd_free(app);
        buf_printf(out, "recorded before it was stopped: ");
        if (cron)
            buf_adds(out, jd_flag(known, "suspend", false) ? "suspended" : "active");
        else
            buf_printf(out, "%lld replicas", (long long)jd_num(known, "replicas", 0));
        return APPS_RECORDED;
    }
    if (cron) {
        struct json_t *suspend = jd_get(object, "spec.suspend");
        jd_set(app, "suspend", suspend ? jd_copy(suspend) : jd_null());
        buf_adds(out, stopped ? "is suspended already, and will be left so" : "active");
    } else {
        if (stopped && typed < 0) {
            jd_free(app);
            buf_printf(out, "%s has 0 replicas now, so what it should come back to is not known", kind_name);
            return APPS_ASK;
        }
        jd_set(app, "replicas", jd_int(stopped ? typed : jd_num(object, "spec.replicas", 1)));
        buf_printf(out, "%lld replicas%s", (long long)jd_num(app, "replicas", 0), stopped ? ", as typed" : "");
    }
    for (size_t i = 0; known && i < jd_len(apps); i++)
        if (jd_at(apps, i) == known) {
            jd_set_at(apps, i, app);
            return APPS_RECORDED;
        }
    jd_append(apps, app);
    return APPS_RECORDED;
}

static int64_t typed_replicas(const struct run *r, const char *kind_name)
{
    char *gate = str_printf("replicas of %s", kind_name);
    int64_t n = -1;
    if (!slice_to_i64(slice_trim(slice_of(run_override(r, gate))), &n) || n < 0)
        n = -1;
    mem_free(gate);
    return n;
}

static enum op_answer see_app(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    const char *kind_name = op->data;
    if (seen->status == 404) {
        buf_printf(reason, "%s is not there, but the plan's quiesce names it: correct the plan", kind_name);
        return OP_REFUSE;
    }
    struct json_t *apps = run_fact_json(r, "apps");
    if (!apps)
        apps = jd_array();
    enum apps_answer a = apps_record(apps, kind_name, seen->doc, run_has(r, "apps.stopping"), typed_replicas(r, kind_name), reason);
    if (a == APPS_RECORDED)
        run_set_json(r, "apps", apps);
    else
        buf_printf(reason, ". Override the gate \"replicas of %s\" with that number as the reason", kind_name);
    jd_free(apps);
    return a == APPS_RECORDED ? OP_DONE : OP_REFUSE;
}

/* Addresses of pods that will be stopped: a session may outlive its pod. */
static enum op_answer see_addresses(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    struct json_t *addresses = run_fact_json(r, "apps.addresses");
    const struct json_t *items = jd_get(seen->doc, "items");
    (void)op;
    if (!addresses)
        addresses = jd_object();
    for (size_t i = 0; i < jd_len(items); i++) {
        const char *ip = jd_str(jd_at(items, i), "status.podIP");
        struct buf pod = {0}, owner = {0};
        if (ip && client_owner_in_world(r, slice_of(ip), &pod, &owner))
            jd_set(addresses, ip, jd_string(buf_str(&owner)));
        buf_free(&pod);
        buf_free(&owner);
    }
    run_set_json(r, "apps.addresses", addresses);
    buf_printf(reason, "%zu pods", jd_len(items));
    jd_free(addresses);
    return OP_DONE;
}

static void script_record(struct run *r, struct script *s)
{
    const struct plan_strings *quiesce = &postgres_spec(r)->quiesce;
    move_script_look(r, s, "look");
    move_script_source(r, s, "source");
    for (size_t i = 0; i < quiesce->n; i++) {
        const char *name = quiesce->v[i];
        struct op *op = script_get(s, script_fmt(s, "record %s", name), script_fmt(s, "%s: what runs now", name),
                                   postgres_path_app(r, name).p, see_app);
        op->data = mem_strdup(name);
        op->drop = mem_free;
    }
    script_get(s, "addresses", "addresses of the pods", postgres_path_pods(r).p, see_addresses);
    script_query(s, "owners", "every client belongs to something that the plan stops", DB_SERVER, NULL, postgres_sql_clients,
                 postgres_see_owners);
}

/* ---- Stopping ---- */

typedef void (*app_fn)(struct run *r, struct script *s, const char *kind_name, const struct json_t *app);

/* What would be recorded now, as far as the world knows: for dialogs, which show the requests before the phase begins. */
static void add_from_world(const struct run *r, struct json_t *apps, const char *kind_name)
{
    const char *name = strchr(kind_name, '/') + 1;
    bool cron = str_starts(kind_name, "cronjob/");
    char *kind = mem_strndup(kind_name, (size_t)(name - 1 - kind_name));
    for (const struct row *w = world_first(r->world, T_WORKLOADS); w; w = world_next(r->world, w)) {
        if (!slice_is(row_text(w, WORKLOADS_NAMESPACE), r->workload->ns) || !slice_is(row_text(w, WORKLOADS_NAME), name))
            continue;
        char *its = slice_dup(row_text(w, WORKLOADS_KIND));
        if (str_ieq(its, kind)) {
            struct json_t *app = jd_object();
            char *uid = slice_dup(row_key(w));
            jd_set(app, "kind", jd_string(kind));
            jd_set(app, "name", jd_string(name));
            jd_set(app, "uid", jd_string(uid));
            if (cron)
                jd_set(app, "suspend", jd_bool(slice_is(row_text(w, WORKLOADS_STATE), "SUSPENDED")));
            else
                jd_set(app, "replicas", jd_int(row_int(w, WORKLOADS_DESIRED, 1)));
            jd_append(apps, app);
            mem_free(uid);
        }
        mem_free(its);
    }
    mem_free(kind);
}

static struct json_t *recorded_apps(const struct run *r)
{
    const struct plan_strings *quiesce = &postgres_spec(r)->quiesce;
    struct json_t *apps = run_fact_json(r, "apps");
    if (!r->preview || !r->world)
        return apps;
    if (!apps)
        apps = jd_array();
    for (size_t i = 0; i < quiesce->n; i++)
        if (!apps_find(apps, quiesce->v[i]))
            add_from_world(r, apps, quiesce->v[i]);
    return apps;
}

/* app: NULL in a preview in which nothing is known of it. */
static void each_app(struct run *r, struct script *s, bool cron, app_fn fn)
{
    const struct plan_strings *quiesce = &postgres_spec(r)->quiesce;
    struct json_t *apps = recorded_apps(r);
    for (size_t i = 0; i < quiesce->n; i++) {
        const char *name = quiesce->v[i];
        const struct json_t *app = apps_find(apps, name);
        if (str_starts(name, "cronjob/") == cron && (app || r->preview))
            fn(r, s, name, app);
    }
    jd_free(apps);
}

static void suspend(struct run *r, struct script *s, const char *name, const struct json_t *app)
{
    struct json_t *before = jd_member(app, "suspend");
    if (before && jd_bool_value(before, false)) { /* it was so */
        if (!r->preview)
            run_watch_field(r, postgres_path_app(r, name).p, "/spec/suspend", "true", script_fmt(s, "%s suspend", name));
        return;
    }
    move_script_field(r, s, script_fmt(s, "suspend %s", name), script_fmt(s, "suspend %s", name), postgres_path_app(r, name).p,
                      app ? jd_str(app, "uid") : script_fmt(s, "‹uid of %s›", name), "/spec/suspend",
                      before ? jd_copy(before) : jd_bool(false), jd_bool(true), script_fmt(s, "%s suspend", name));
}

struct kpath apps_path_jobs(const struct run *r)
{
    struct kpath path = postgres_path_app(r, "cronjob/x");
    char *end = strstr(path.p, "/cronjobs/");
    if (end)
        str_copy(end, sizeof path.p - (size_t)(end - path.p), "/jobs");
    return path;
}

/* Jobs of the cron jobs that the plan names, and pods of them, that are still at work. */
static enum op_answer see_jobs(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    const struct json_t *items = jd_get(seen->doc, "items");
    const struct plan_strings *quiesce = &postgres_spec(r)->quiesce;
    size_t running = 0;
    (void)op;
    for (size_t i = 0; i < jd_len(items); i++) {
        const struct json_t *job = jd_at(items, i);
        const char *kind, *owner = postgres_owner(job, &kind);
        char *name = owner ? str_printf("cronjob/%s", owner) : NULL;
        bool listed = false;
        for (size_t k = 0; name && k < quiesce->n; k++)
            listed = listed || str_eq(quiesce->v[k], name);
        mem_free(name);
        if (!listed || postgres_job_ended(job))
            continue;
        if (running++ == 0)
            buf_printf(reason, "job %s still runs; it is let to its end", jd_str(job, "metadata.name"));
    }
    if (running == 0)
        buf_adds(reason, "no job of them runs");
    return running == 0 ? OP_DONE : OP_TODO;
}

/* From here on what was recorded is what ran before us, whatever is found later. */
static enum op_answer see_stopping(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    (void)op;
    (void)seen;
    (void)reason;
    run_set(r, "apps.stopping", "yes");
    return OP_DONE;
}

static void script_cronjobs(struct run *r, struct script *s)
{
    script_check(s, "stopping", "what was recorded is what it comes back to", see_stopping);
    each_app(r, s, true, suspend);
    script_wait(s, "jobs", "wait until jobs that run have ended", apps_path_jobs(r).p, see_jobs, JOBS_MS);
}

static enum op_answer see_pods_gone(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    const struct json_t *items = jd_get(seen->doc, "items");
    size_t left = 0;
    (void)r;
    (void)op;
    for (size_t i = 0; i < jd_len(items); i++) {
        const struct json_t *pod = jd_at(items, i);
        if (!postgres_pod_finished(pod) && left++ == 0)
            buf_printf(reason, "pod %s is still there%s", jd_str(pod, "metadata.name"),
                       jd_str(pod, "metadata.deletionTimestamp") ? ", ending" : "");
    }
    if (left == 0)
        buf_adds(reason, "pods gone");
    return left == 0 ? OP_DONE : OP_TODO;
}

static void scale_down(struct run *r, struct script *s, const char *name, const struct json_t *app)
{
    int64_t replicas = jd_num(app, "now", jd_num(app, "replicas", 1));
    struct json_t *from = app ? jd_int(replicas) : jd_string("‹replicas›");
    move_script_field(r, s, script_fmt(s, "scale %s", name),
                      app ? script_fmt(s, "scale %s from %lld to 0", name, (long long)replicas) : script_fmt(s, "scale %s to 0", name),
                      postgres_path_app(r, name).p, app ? jd_str(app, "uid") : script_fmt(s, "‹uid of %s›", name), "/spec/replicas", from,
                      jd_int(0), script_fmt(s, "%s replicas", name));
}

static void wait_gone(struct run *r, struct script *s, const char *name, const struct json_t *app)
{
    const char *selector = jd_str(app, "selector");
    if (!selector)
        selector = script_fmt(s, "‹labels of %s›", name);
    script_wait(s, script_fmt(s, "%s gone", name), script_fmt(s, "wait until the pods of %s are gone", name),
                postgres_path_pods_of(r, selector).p, see_pods_gone, PODS_GONE_MS);
}

static void script_scale(struct run *r, struct script *s)
{
    each_app(r, s, false, scale_down);
    each_app(r, s, false, wait_gone);
}

/* ---- The fence ---- */

/* What is to be ended is none of ours, and belongs to what the plan stops: judged right before. */
static const char terminate[] =
    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE backend_type IN ('client backend', 'walsender') "
    "AND pid <> pg_backend_pid() AND application_name <> 'ferryman' AND application_name NOT LIKE 'ferryman/%'";

static enum op_answer see_terminated(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    if (postgres_see_owners(r, op, seen, reason) == OP_REFUSE)
        return OP_REFUSE;
    buf_clear(reason);
    return postgres_see_alone(r, op, seen, reason);
}

/* Somebody may have scaled it up while its last pods were going: then it is about to come back. */
static void still_down(struct run *r, struct script *s, const char *name, const struct json_t *app)
{
    move_script_still(s, script_fmt(s, "%s still down", name), script_fmt(s, "%s is still at 0", name), postgres_path_app(r, name).p,
                      app ? jd_str(app, "uid") : script_fmt(s, "‹uid of %s›", name), "/spec/replicas", jd_int(0),
                      script_fmt(s, "%s replicas", name));
}

static void script_fence(struct run *r, struct script *s)
{
    move_script_fence(r, s, DB_SERVER, "on", "fence.old");
    script_sql(s, "disconnect", "disconnect the clients that are left", DB_SERVER, NULL, terminate, postgres_sql_clients, see_terminated);
    postgres_script_alone(r, s, "after the fence");
    each_app(r, s, false, still_down);
}

static const struct step steps[] = {
    {"record", "what runs now, and who is connected", script_record},
    {"cronjobs", "cron jobs", script_cronjobs},
    {"scale", "applications", script_scale},
    {"fence", "the fence", script_fence},
    {NULL, NULL, NULL},
};

static bool may_begin(const struct run *r, struct buf *reason)
{
    if (!run_has(r, "inventory")) {
        buf_adds(reason, "the inventory is not known: run it first, it must be read before the fence");
        return false;
    }
    return postgres_may_begin(r, reason);
}

static void dialog(struct run *r, struct dialog *d)
{
    const struct plan_postgres *p = postgres_spec(r);
    char age[24];
    for (size_t i = 0; i < p->quiesce.n; i++)
        dialog_line(d, "will go", str_starts(p->quiesce.v[i], "cronjob/") ? "%s: suspended; jobs that run end by themselves"
                                                                         : "%s: scaled to 0, its pods gone", p->quiesce.v[i]);
    dialog_line(d, "will go", "every client of the server but ours; default_transaction_read_only = on by ALTER SYSTEM");
    dialog_line(d, "meanwhile", "THE DOWNTIME BEGINS, until resume or rollback");
    if (run_has(r, "rehearse.seconds.total"))
        dialog_line(d, "meanwhile", "the rehearsal took %s for first boot, dump, restore and verify",
                    clock_format_age(run_fact_int(r, "rehearse.seconds.total", 0) * CLOCK_MS_PER_S, age, sizeof age));
    else
        dialog_line(d, "note", "nothing was rehearsed: no ground for saying how long it takes");
    dialog_line(d, "lost", "nothing that is committed; what the applications have in memory");
    dialog_line(d, "undo", "rollback: fence lifted, the same replicas and schedules as now");
}

const struct phase postgres_phase_quiesce = {
    .id = "quiesce",
    .title = "quiesce and fence",
    .stake = STAKE_HARD,
    .steps = steps,
    .may_begin = may_begin,
    .dialog = dialog,
    .begin_at = move_from_the_start, /* what was stopped may have come back, and the plan may name more by now */
};
