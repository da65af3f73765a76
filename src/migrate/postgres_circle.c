/* Circles (safety 22): what logs us in, unlocks the new volume or deploys must not need the database that is stopped. */
#include <stdio.h>
#include <string.h>

#include "base/json_doc.h"
#include "base/mem.h"
#include "base/str.h"
#include "client/pg_conn.h"
#include "migrate/postgres.h"
#include "migrate/postgres_judge.h"
#include "migrate/postgres_preflight.h"
#include "migrate/secret_trace.h"
#include "world/world.h"

/* Whatever says who we are, or deploys, and needs this database: while it stands still, nobody new logs in, and nothing is deployed. */
static bool find_circle(const struct run *r, const struct pg_rows *rows, struct buf *out)
{
    const struct plan_strings *quiesce = &postgres_spec(r)->quiesce;
    for (const struct row *w = world_first(r->world, T_WORKLOADS); w; w = world_next(r->world, w)) {
        const char *product = judge_circle(row_text(w, WORKLOADS_NAME), row_text(w, WORKLOADS_IMAGE));
        if (!product || !slice_is(row_text(w, WORKLOADS_NAMESPACE), r->workload->ns))
            continue;
        for (size_t i = 0; i < quiesce->n; i++) {
            const char *name = strchr(quiesce->v[i], '/') + 1;
            if (slice_is(row_text(w, WORKLOADS_NAME), name)) {
                buf_printf(out, "%s is %s and will stand still", quiesce->v[i], product);
                return true;
            }
        }
    }
    if (pg_rows_count(rows) > 0) {
        buf_adds(out, "Terraform keeps its state in this database (schema terraform_remote_state), and cannot be applied meanwhile");
        return true;
    }
    return false;
}

static enum op_answer see_circle(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    const char *typed = run_override(r, "circle");
    (void)op;
    if (!find_circle(r, seen->rows, reason)) {
        buf_adds(reason, "nothing that the plan stops is known to log people in, to give out secrets or to deploy");
        return OP_DONE;
    }
    if (typed) {
        buf_printf(reason, "; the offline copy of what we need: %s", typed);
        return OP_DONE;
    }
    buf_adds(reason, ": where do our login, the passphrases and the manifests lie offline? Type that place as the reason (gate circle)");
    return OP_REFUSE;
}

/* ---- The Secrets of the target class ---- */

/* Whether a store is served by something that the plan stops: by its service's name, which is the workload's by custom. */
static bool stops_with_us(const struct run *r, const struct trace *t)
{
    const struct plan_postgres *p = postgres_spec(r);
    char service[256], ns[256];
    if (!*t->server || trace_service(t->server, t->ns, service, sizeof service, ns, sizeof ns) == TRACE_OUTSIDE || !str_eq(ns, r->workload->ns))
        return false;
    if (str_starts(service, p->deployment))
        return true;
    for (size_t i = 0; i < p->quiesce.n; i++) {
        const char *name = strchr(p->quiesce.v[i], '/');
        if (name && str_starts(service, name + 1))
            return true;
    }
    return false;
}

static enum op_answer judge_secrets(struct run *r, const struct trace_list *l, void *data, struct buf *reason)
{
    const char *typed = run_override(r, "circle");
    bool circle = false, missing = false;
    (void)data;
    for (size_t i = 0; i < l->n; i++) {
        struct buf text = {0};
        const struct trace *t = &l->list[i];
        trace_say(t, &text);
        buf_printf(reason, "%s%s", i ? "; " : "", buf_str(&text));
        if (t->end == TRACE_UNKNOWN)
            run_note(r, "WARN", "%s: if that needs this database, keep a copy elsewhere", buf_str(&text));
        missing = missing || t->end == TRACE_MISSING;
        circle = circle || (t->end == TRACE_STORE && stops_with_us(r, t));
        buf_free(&text);
    }
    if (l->n == 0)
        buf_adds(reason, "the class names no Secrets");
    if (missing) {
        buf_adds(reason, ": no volume of the class could be unlocked. Restore that Secret first");
        return OP_REFUSE;
    }
    if (!circle)
        return OP_DONE;
    if (typed) {
        buf_printf(reason, "; the offline copy of what we need: %s", typed);
        return OP_DONE;
    }
    buf_adds(reason, ": that is stopped with the database. Where does the passphrase lie offline? Type that place as the reason (gate circle)");
    return OP_REFUSE;
}

static enum op_answer see_class(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    struct trace_list *l = op->data;
    if (!seen->doc) {
        buf_printf(reason, "storage class %s is not there: correct target.storageClass of the plan", r->plan->target_class);
        return OP_REFUSE;
    }
    l->n = 0;
    trace_add_class(l, seen->doc, r->workload->ns, postgres_spec(r)->claim.name);
    buf_printf(reason, "%zu Secrets", l->n);
    return OP_DONE;
}

void preflight_script_circles(struct run *r, struct script *s)
{
    struct trace_list *l = MEM_NEW(struct trace_list);
    script_query(s, "circles", "what we need does not come from what is stopped", DB_SERVER, NULL,
                 "SELECT nspname FROM pg_namespace WHERE nspname = 'terraform_remote_state'", see_circle);
    script_get(s, "class secrets", "the Secrets that the target class names",
               script_fmt(s, "/apis/storage.k8s.io/v1/storageclasses/%s", r->plan->target_class), see_class)->data = l;
    script_secret_trace(s, "class secrets traced", "where they come from", l, judge_secrets, NULL, NULL);
}
