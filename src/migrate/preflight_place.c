/* A place to land, and whether now is the time (safety 20, 28, 32, 35): what the world knows. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "migrate/postgres_judge.h"
#include "migrate/preflight.h"
#include "world/gate_facts.h"
#include "world/world.h"

/* What the world has not heard yet it may hear in a moment; what it has heard is judged at once. */
#define SOON_MS INT64_C(15000)
#define SLOW_MS (INT64_C(3600) * 1000) /* without a rehearsal: a phase may take an hour */

static size_t attached(const struct world *w, struct slice node, struct slice driver)
{
    size_t n = 0;
    for (const struct row *a = world_first(w, T_ATTACHMENTS); a; a = world_next(w, a))
        n += slice_eq(row_text(a, ATTACHMENTS_NODE), node) && slice_eq(row_text(a, ATTACHMENTS_DRIVER), driver);
    return n;
}

static enum op_answer see_nodes(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    const struct row *class = world_find_name(r->world, T_STORAGE_CLASSES, (struct slice){NULL, 0}, slice_of(r->plan->target_class));
    struct slice driver = class ? row_text(class, STORAGE_CLASSES_PROVISIONER) : (struct slice){NULL, 0};
    size_t ready = 0, with_driver = 0, good = 0;
    (void)op;
    (void)seen;
    for (const struct row *n = world_first(r->world, T_NODES); n; n = world_next(r->world, n)) {
        int64_t limit;
        if (!slice_is(row_text(n, NODES_STATE), "READY") || !fresh_usable(world_freshness(r->world, n)))
            continue;
        ready++;
        if (!judge_driver(row_text(n, NODES_DRIVERS), driver, &limit))
            continue;
        with_driver++;
        good += limit < 0 || (int64_t)attached(r->world, row_text(n, NODES_NAME), driver) < limit;
    }
    buf_printf(reason, "%zu nodes are ready and not cordoned, %zu of them have the driver %.*s, %zu a free attach slot", ready, with_driver,
               SLICE_FMT(driver), good);
    if (good > 0)
        return OP_DONE;
    buf_adds(reason, ": there is no place to land. Uncordon a node, or make its driver ready");
    return OP_TODO;
}

static enum op_answer see_class(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    const struct row *class = world_find_name(r->world, T_STORAGE_CLASSES, (struct slice){NULL, 0}, slice_of(r->plan->target_class));
    (void)op;
    (void)seen;
    if (!class) {
        buf_printf(reason, "storage class %s is not there: correct target.storageClass of the plan", r->plan->target_class);
        return OP_TODO;
    }
    if (gate_row(r->world, class, reason) != GATE_PASS)
        return OP_TODO;
    struct slice encryption = row_text(class, STORAGE_CLASSES_ENCRYPTION), backend = row_text(class, STORAGE_CLASSES_BACKEND);
    buf_printf(reason, "%s: %.*s, encryption %.*s, binding %.*s, reclaim %.*s", r->plan->target_class, SLICE_FMT(backend),
               SLICE_FMT(encryption), SLICE_FMT(row_text(class, STORAGE_CLASSES_BINDING)), SLICE_FMT(row_text(class, STORAGE_CLASSES_RECLAIM)));
    if (slice_is(backend, "nfs")) {
        buf_adds(reason, ". That is NFS again");
        return OP_REFUSE;
    }
    if (r->plan->target_encrypted && !slice_is(encryption, "declared")) {
        buf_adds(reason, ". The plan requires encryption, and this class does not declare it");
        return OP_REFUSE;
    }
    return OP_DONE;
}

void preflight_script_class(struct run *r, struct script *s)
{
    (void)r;
    script_wait(s, "class", "the target class", NULL, see_class, SOON_MS);
}

void preflight_script_nodes(struct run *r, struct script *s)
{
    (void)r;
    script_wait(s, "nodes", "a node to land on", NULL, see_nodes, SOON_MS);
}

/* ---- Gates that can be overridden ---- */

static const struct row *gate_of(const struct run *r, const char *name)
{
    for (const struct row *g = world_first(r->world, T_GATES); g; g = world_next(r->world, g)) {
        struct slice workload = row_text(g, GATES_WORKLOAD);
        if (slice_is(row_text(g, GATES_NAME), name) && (!workload.p || slice_is(workload, r->workload->name)))
            return g;
    }
    return NULL;
}

/* The word by which a gate is overridden (safety 35); NULL: never. */
static const char *override_of(const char *gate)
{
    return str_starts(gate, "no alert") ? "alerts" : str_starts(gate, "backup") ? "backups" : NULL;
}

/* What the plan names nobody to ask about; NULL: it does. */
static const char *not_in_plan(const struct run *r, const char *gate)
{
    if (str_starts(gate, "thin pool") && r->plan->snapshot_command.n == 0)
        return "not asked: the plan has no snapshots.command that reports thin pools";
    if (str_starts(gate, "no alert") && !r->plan->alertmanager)
        return "not asked: the plan has no alertmanager";
    if (str_starts(gate, "backup") && r->plan->backup_cronjobs.n == 0)
        return "not asked: the plan has no backups.cronjobs";
    return NULL;
}

static enum op_answer see_gate(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    if (not_in_plan(r, op->id)) {
        buf_adds(reason, not_in_plan(r, op->id));
        return OP_DONE;
    }
    const struct row *g = gate_of(r, op->id);
    const char *word = override_of(op->id), *why = word ? run_override(r, word) : NULL;
    struct slice answer = g ? row_text(g, GATES_ANSWER) : SLICE_LIT("NO DATA");
    (void)seen;
    buf_printf(reason, "%.*s", SLICE_FMT(answer));
    if (g && row_text(g, GATES_REASON).n > 0)
        buf_printf(reason, ": %.*s", SLICE_FMT(row_text(g, GATES_REASON)));
    if (slice_is(answer, "PASS") || slice_is(answer, "NOT ASKED"))
        return OP_DONE;
    if (why) {
        buf_printf(reason, "; overridden: %s", why);
        return OP_DONE;
    }
    if (word)
        buf_printf(reason, ". It can be overridden with a reason (gate %s)", word);
    else
        buf_adds(reason, ". Free room in the pool, or have snapshots.command of the plan answer");
    return slice_is(answer, "NO DATA") ? OP_TODO : OP_REFUSE;
}

/* What is told and stops nothing: the anchor of a move is its own proved copy, not somebody's snapshots. */
static enum op_answer see_told(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    const struct row *g = gate_of(r, op->id);
    struct slice answer = g ? row_text(g, GATES_ANSWER) : SLICE_LIT("NOT ASKED");
    (void)seen;
    buf_printf(reason, "%.*s", SLICE_FMT(answer));
    if (g && row_text(g, GATES_REASON).n > 0)
        buf_printf(reason, ": %.*s", SLICE_FMT(row_text(g, GATES_REASON)));
    if (slice_is(answer, "FAIL"))
        run_note(r, "WARN", "%s: %s", op->id, buf_str(reason));
    return OP_DONE;
}

/* Credentials must outlive the phases: at least twice the estimate. */
static enum op_answer see_credentials(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    const struct row *c = world_find(r->world, T_CREDENTIALS, SLICE_LIT("kube"));
    int64_t expires = c ? row_int(c, CREDENTIALS_EXPIRES, 0) : 0;
    int64_t estimate = run_has(r, "rehearse.seconds.total") ? run_fact_int(r, "rehearse.seconds.total", 0) * CLOCK_MS_PER_S : SLOW_MS;
    struct slice method = c ? row_text(c, CREDENTIALS_METHOD) : (struct slice){NULL, 0};
    char age[24];
    (void)op;
    (void)seen;
    if (c && slice_is(row_text(c, CREDENTIALS_STATE), "EXPIRED")) {
        buf_adds(reason, "our credentials at the API server have expired: log in again");
        return OP_REFUSE;
    }
    if (expires == 0) {
        buf_adds(reason, "no end of our credentials is known");
        return OP_DONE;
    }
    int64_t left = expires - world_now(r->world);
    buf_printf(reason, "they end in %s", clock_format_age(left, age, sizeof age));
    if (left >= 2 * estimate || slice_starts(method, "exec"))
        return OP_DONE;
    buf_printf(reason, ", less than twice the %s that it may take: renew them first", clock_format_age(estimate, age, sizeof age));
    return OP_REFUSE;
}

void preflight_script_pool(struct run *r, struct script *s)
{
    (void)r;
    script_wait(s, "thin pool is not filling", "room in the thin pool", NULL, see_gate, SOON_MS);
}

void preflight_script_snapshots(struct run *r, struct script *s)
{
    (void)r;
    script_check(s, "volumes are in nightly snapshots", "nightly snapshots", see_told);
}

void preflight_script_alerts(struct run *r, struct script *s)
{
    (void)r;
    script_wait(s, "no alert firing, watchdog alive", "no alert, and alerting is alive", NULL, see_gate, SOON_MS);
}

void preflight_script_backups(struct run *r, struct script *s)
{
    (void)r;
    script_wait(s, "backup cron jobs succeeded lately", "backups are fresh", NULL, see_gate, SOON_MS);
}

void preflight_script_credentials(struct run *r, struct script *s)
{
    (void)r;
    script_check(s, "credentials", "our credentials outlive the work", see_credentials);
}
