#include "migrate/postgres_clients.h"

#include <ctype.h>
#include <string.h>

#include "base/json_doc.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "client/pg_conn.h"
#include "migrate/postgres_quiet.h"
#include "world/world.h"

#define ALONE_MS INT64_C(90000)

/* "Deployment/x" → "deployment/x" */
static void add_lower_kind(struct buf *out, struct slice kind_name)
{
    bool kind = true;
    for (size_t i = 0; i < kind_name.n; i++) {
        kind = kind && kind_name.p[i] != '/';
        buf_addc(out, kind ? (char)tolower((unsigned char)kind_name.p[i]) : kind_name.p[i]);
    }
}

/* A job stands for the cron job that it came from. */
static void add_owner(const struct world *w, struct slice ns, struct slice owner, struct buf *out)
{
    if (slice_starts(owner, "Job/")) {
        struct slice name = {owner.p + 4, owner.n - 4};
        for (const struct row *r = world_first(w, T_JOBS); r; r = world_next(w, r)) {
            struct slice from = row_text(r, JOBS_OWNER);
            if (slice_eq(row_text(r, JOBS_NAMESPACE), ns) && slice_eq(row_text(r, JOBS_NAME), name) && from.n > 0) {
                if (memchr(from.p, '/', from.n))
                    add_lower_kind(out, from);
                else
                    buf_printf(out, "cronjob/%.*s", SLICE_FMT(from));
                return;
            }
        }
    }
    add_lower_kind(out, owner);
}

bool client_owner_in_world(void *run, struct slice address, struct buf *ret_pod, struct buf *ret_owner)
{
    const struct run *r = run;
    for (const struct row *pod = world_first(r->world, T_PODS); pod; pod = world_next(r->world, pod)) {
        if (!slice_eq(row_text(pod, PODS_IP), address) || slice_is(row_text(pod, PODS_STATE), "SUCCEEDED") ||
            slice_is(row_text(pod, PODS_STATE), "FAILED"))
            continue;
        struct slice ns = row_text(pod, PODS_NAMESPACE);
        buf_add_slice(ret_pod, row_text(pod, PODS_NAME));
        if (slice_is(ns, r->workload->ns)) {
            add_owner(r->world, ns, row_text(pod, PODS_OWNER), ret_owner);
        } else { /* what the plan's quiesce names lies in the workload's namespace */
            buf_printf(ret_owner, "%.*s/", SLICE_FMT(ns));
            add_owner(r->world, ns, row_text(pod, PODS_OWNER), ret_owner);
        }
        return true;
    }
    return false;
}

static void add_clean(struct buf *out, const char *label, struct slice text)
{
    if (text.n == 0)
        return;
    buf_printf(out, "%s%s ", out->len > 0 ? ", " : "", label);
    utf8_clean(out, text);
}

static const char *remembered_owner(const struct json_t *remembered, struct slice address)
{
    char *key = slice_dup(address);
    const char *owner = key ? jd_string_value(jd_member(remembered, key)) : NULL;
    mem_free(key);
    return owner;
}

static bool is_listed(const char *owner, const char *const *quiesce, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (str_eq(quiesce[i], owner))
            return true;
    return false;
}

static bool is_ours(const struct pg_client *c, const char *run_id)
{
    return c->self || slice_is(c->application, "ferryman") ||
           (slice_starts(c->application, "ferryman/") &&
            slice_is((struct slice){c->application.p + 9, c->application.n - 9}, run_id));
}

enum client_is client_judge(const struct pg_client *c, const char *run_id, const char *const *quiesce, size_t nquiesce,
                            const struct json_t *remembered, client_owner_fn owner, void *arg, struct buf *who)
{
    struct buf text = {0}, pod = {0}, of = {0};
    enum client_is is = CLIENT_UNKNOWN;
    add_clean(&text, "user", c->user);
    add_clean(&text, "database", c->database);
    add_clean(&text, "application", c->application);
    if (is_ours(c, run_id)) {
        is = CLIENT_OURS;
    } else if (c->address.n > 0 && owner(arg, c->address, &pod, &of)) {
        buf_printf(&text, ", from pod %s (%s)", buf_str(&pod), of.len ? buf_str(&of) : "nobody made it");
        is = is_listed(buf_str(&of), quiesce, nquiesce) ? CLIENT_LISTED : CLIENT_UNKNOWN;
    } else {
        const char *before = c->address.n > 0 ? remembered_owner(remembered, c->address) : NULL;
        if (before)
            buf_printf(&text, ", from a pod of %s that was stopped", before);
        else if (c->address.n > 0)
            buf_printf(&text, ", from %.*s, which is no pod that we see", SLICE_FMT(c->address));
        else
            buf_adds(&text, ", from inside the server's own pod");
        is = before && is_listed(before, quiesce, nquiesce) ? CLIENT_LISTED : CLIENT_UNKNOWN;
    }
    buf_add(who, buf_str(&text), text.len);
    buf_free(&text);
    buf_free(&pod);
    buf_free(&of);
    return is;
}

/* ---- Operations ---- */

struct found {
    size_t ours, listed, unknown;
    struct buf first; /* of those that count, in words */
};

static void look(struct run *r, const struct pg_rows *rows, struct found *f)
{
    const struct plan_strings *quiesce = &postgres_spec(r)->quiesce;
    struct json_t *remembered = run_fact_json(r, "apps.addresses");
    for (size_t i = 0; i < pg_rows_count(rows); i++) {
        struct pg_client c = {
            .pid = pg_rows_int(rows, i, 0, 0),
            .user = pg_rows_text(rows, i, 1),
            .database = pg_rows_text(rows, i, 2),
            .application = pg_rows_text(rows, i, 3),
            .address = pg_rows_text(rows, i, 4),
            .self = pg_rows_bool(rows, i, 6, false),
        };
        struct buf who = {0};
        enum client_is is = client_judge(&c, r->id, (const char *const *)quiesce->v, quiesce->n, remembered, client_owner_in_world, r, &who);
        f->ours += is == CLIENT_OURS;
        f->listed += is == CLIENT_LISTED;
        f->unknown += is == CLIENT_UNKNOWN;
        if ((is == CLIENT_UNKNOWN && f->unknown == 1) || (is == CLIENT_LISTED && f->listed == 1 && f->unknown == 0)) {
            buf_clear(&f->first);
            buf_add_slice(&f->first, buf_slice(&who));
        }
        buf_free(&who);
    }
    jd_free(remembered);
}

static void add_count(struct buf *out, size_t n, const struct found *f)
{
    buf_printf(out, "%zu client%s: %s", n, n == 1 ? "" : "s", buf_str(&f->first));
    if (n > 1)
        buf_adds(out, ", …");
}

enum op_answer postgres_see_owners(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    struct found f = {0};
    (void)op;
    look(r, seen->rows, &f);
    if (f.unknown > 0) {
        add_count(reason, f.unknown, &f);
        buf_adds(reason, ". The plan's quiesce does not name what this belongs to: add it there, or stop it");
    } else {
        buf_printf(reason, "%zu clients of what the plan stops, %zu of ours", f.listed, f.ours);
    }
    enum op_answer answer = f.unknown > 0 ? OP_REFUSE : OP_DONE;
    buf_free(&f.first);
    return answer;
}

enum op_answer postgres_see_owners_note(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    if (postgres_see_owners(r, op, seen, reason) == OP_REFUSE)
        run_note(r, "WARN", "quiesce would refuse now: %s", buf_str(reason));
    return OP_DONE;
}

enum op_answer postgres_see_alone(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    struct found f = {0};
    (void)op;
    look(r, seen->rows, &f);
    size_t others = f.unknown + f.listed;
    if (others > 0) {
        buf_adds(reason, "still ");
        add_count(reason, others, &f);
        buf_adds(reason, "; stop what comes back");
    } else {
        buf_printf(reason, "no client but ours (%zu)", f.ours);
    }
    buf_free(&f.first);
    return others > 0 ? OP_TODO : OP_DONE;
}

void postgres_script_alone(struct run *r, struct script *s, const char *when)
{
    (void)r;
    script_wait_query(s, script_fmt(s, "alone %s", when), "wait until no client but ours is connected", DB_SERVER, NULL,
                      postgres_sql_clients, postgres_see_alone, ALONE_MS);
}
