/* Verify: the new server against what was noted of the old one. Each comparison is a criterion that is frozen with its time: later the
 * applications write again, and nothing would be equal any more. HTTP is judged in resume, after the fence is lifted. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/json_doc.h"
#include "base/mem.h"
#include "base/str.h"
#include "client/pg_conn.h"
#include "migrate/postgres.h"
#include "migrate/postgres_compare.h"
#include "migrate/postgres_login.h"
#include "migrate/postgres_move.h"
#include "migrate/postgres_quiet.h"
#include "world/world.h"

/* ---- The server ---- */

static enum op_answer see_identity(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    char *now = slice_dup(pg_rows_text(seen->rows, 0, 0));
    const char *old = run_fact(r, "pg.identifier.old"), *new = run_fact(r, "pg.identifier.new");
    bool is_new = run_has(r, "pg.identifier.new") && str_eq(now, new) && !str_eq(now, old);
    (void)op;
    buf_printf(reason, is_new ? "system identifier %s, the old one was %s" : "this server has the system identifier %s; the old one has %s",
               now, old ? old : "(not known)");
    if (!is_new)
        buf_printf(reason, ", and the one born in this run %s: the address leads elsewhere", run_has(r, "pg.identifier.new") ? new : "is not known");
    postgres_criterion(r, "identifier is new", is_new, 3, buf_str(reason));
    mem_free(now);
    return is_new ? OP_DONE : OP_REFUSE;
}

static enum op_answer see_restored(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    (void)op;
    (void)seen;
    if (r->preview || (run_has(r, "restore.done") && str_eq(run_fact(r, "restore.done"), run_fact(r, "claim.new.uid"))))
        return OP_DONE;
    buf_adds(reason, "the restore into this claim did not come to its end: run restore first");
    return OP_REFUSE;
}

static void script_server(struct run *r, struct script *s)
{
    script_check(s, "restored", "the restore came to its end", see_restored);
    move_script_target(r, s, "pod");
    postgres_script_alone(r, s, "at verify");
    script_query(s, "identity", "it is the new one", DB_SERVER, NULL, postgres_sql_identifier, see_identity);
}

/* ---- Comparisons ---- */

struct criterion {
    const char *name, *what;
    bool (*compare)(const struct json_t *old, const struct json_t *new, struct buf *out);
    int rank;
};

static const struct criterion criteria[] = {
    {"databases equal", "databases, encodings, owners", compare_databases, 4},
    {"roles equal", "roles and memberships", compare_roles, 5},
    {"settings equal", "settings of databases and roles", compare_settings, 6},
    {"objects equal", "numbers of objects", compare_objects, 7},
    {"privileges equal", "owners and privileges", compare_acls, 8},
    {"sequences equal", "sequences", compare_sequences, 9},
    {"large objects equal", "large objects", compare_large_objects, 10},
    {"collations current", "versions of collations", compare_collations, 11},
    {"indexes valid", "indexes are valid", compare_indexes, 12},
};

void postgres_criteria_forget(struct run *r)
{
    static const char *const others[] = {"extensions equal baseline", "rows equal baseline", "identifier is new", "contents equal",
                                         "application logs in"};
    char name[64];
    for (size_t i = 0; i < ARRAY_LEN(criteria) + ARRAY_LEN(others); i++) {
        snprintf(name, sizeof name, "criterion.%s", i < ARRAY_LEN(criteria) ? criteria[i].name : others[i - ARRAY_LEN(criteria)]);
        if (run_has(r, name))
            run_set(r, name, "");
    }
    run_set(r, "verify.done", "");
}

static enum op_answer judged(struct run *r, const char *name, int rank, bool pass, struct buf *reason)
{
    postgres_criterion(r, name, pass, rank, buf_str(reason));
    return pass ? OP_DONE : OP_REFUSE;
}

static bool both(const struct run *r, struct json_t **ret_old, struct json_t **ret_new, struct buf *reason)
{
    *ret_old = run_fact_json(r, "inventory");
    *ret_new = run_fact_json(r, "verify.inventory");
    if (*ret_old && *ret_new)
        return true;
    buf_printf(reason, "the inventory of the %s server is not known", *ret_old ? "new" : "old");
    jd_free(*ret_old);
    jd_free(*ret_new);
    return false;
}

static enum op_answer see_criterion(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    const struct criterion *c = NULL;
    struct json_t *old, *new;
    (void)seen;
    for (size_t i = 0; i < ARRAY_LEN(criteria); i++)
        if (str_eq(criteria[i].name, op->id))
            c = &criteria[i];
    if (r->preview || !c)
        return OP_DONE;
    if (!both(r, &old, &new, reason))
        return OP_REFUSE;
    bool pass = c->compare(old, new, reason);
    if (!pass)
        buf_adds(reason, ". The old copy is untouched: roll back, or set it right by hand and verify again");
    jd_free(old);
    jd_free(new);
    return judged(r, c->name, c->rank, pass, reason);
}

static enum op_answer see_extensions(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    struct json_t *old, *new;
    (void)op;
    (void)seen;
    if (r->preview)
        return OP_DONE;
    if (!both(r, &old, &new, reason))
        return OP_REFUSE;
    bool pass = compare_extensions(old, new, postgres_spec(r)->verify.drift, reason);
    jd_free(old);
    jd_free(new);
    return judged(r, "extensions equal baseline", 1, pass, reason);
}

/* What is not carried is named; it does not make the copy wrong. */
static enum op_answer see_configuration(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    struct json_t *old, *new;
    struct buf md5 = {0};
    (void)op;
    (void)seen;
    if (r->preview)
        return OP_DONE;
    if (!both(r, &old, &new, reason))
        return OP_REFUSE;
    if (!compare_configuration(old, new, reason))
        run_note(r, "WARN", "pg_dumpall does not carry configuration files; they differ: %s. What was: manifests in the state folder",
                 buf_str(reason));
    if (!compare_md5(new, &md5))
        run_note(r, "WARN", "%s", buf_str(&md5));
    buf_free(&md5);
    jd_free(old);
    jd_free(new);
    return OP_DONE;
}

/* The largest table, which everybody knows by name. */
static void add_largest(const struct run *r, struct buf *out)
{
    struct json_t *counts = run_fact_json(r, "counts");
    const char *name = NULL;
    int64_t most = -1;
    for (void *d = counts ? jd_iter(counts) : NULL; d; d = jd_iter_next(counts, d)) {
        struct json_t *tables = jd_iter_value(d);
        for (void *t = jd_iter(tables); t; t = jd_iter_next(tables, t)) {
            int64_t n = jd_int_value(jd_iter_value(t), 0);
            if (n < most || (n == most && strcmp(jd_iter_key(t), name) > 0))
                continue;
            most = n;
            name = jd_iter_key(t);
        }
    }
    if (name) {
        buf_printf(out, "; %s ", name);
        postgres_number(out, most);
    }
    jd_free(counts);
}

static enum op_answer see_rows(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    (void)op;
    (void)seen;
    if (r->preview)
        return OP_DONE;
    bool pass = postgres_facts_equal(r, "counts", "verify.counts", "now", &postgres_spec(r)->verify.rows, reason);
    if (pass)
        add_largest(r, reason);
    else
        buf_adds(reason, ". What was restored is no copy of what was counted: roll back, and find who wrote or what the restore left out");
    return judged(r, "rows equal baseline", 2, pass, reason);
}

static enum op_answer see_nothing(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    (void)r;
    (void)op;
    (void)seen;
    (void)reason;
    return OP_DONE;
}

static enum op_answer see_contents(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    (void)op;
    (void)seen;
    if (r->preview)
        return OP_DONE;
    if (!run_has(r, "counts.hashes")) {
        buf_adds(reason, "the contents of the old server were not hashed: verify.hash was added to the plan after its counts; take it out again");
        return OP_REFUSE;
    }
    return judged(r, "contents equal", 13,
                  postgres_facts_equal(r, "counts.hashes", "verify.hashes", "now", &postgres_spec(r)->verify.hash, reason), reason);
}

static void script_inventory(struct run *r, struct script *s)
{
    postgres_script_inventory(r, s, DB_SERVER, "verify.inventory");
}

static void script_extensions(struct run *r, struct script *s)
{
    (void)r;
    script_check(s, "extensions equal baseline", "extensions, by the plan's drift", see_extensions);
}

#define SCRIPT_CRITERION(function, i)                                        \
    static void function(struct run *r, struct script *s)                    \
    {                                                                        \
        (void)r;                                                             \
        script_check(s, criteria[i].name, criteria[i].what, see_criterion);  \
    }

SCRIPT_CRITERION(script_databases, 0)
SCRIPT_CRITERION(script_roles, 1)
SCRIPT_CRITERION(script_settings, 2)
SCRIPT_CRITERION(script_objects, 3)
SCRIPT_CRITERION(script_privileges, 4)
SCRIPT_CRITERION(script_sequences, 5)
SCRIPT_CRITERION(script_large_objects, 6)
SCRIPT_CRITERION(script_collations, 7)
SCRIPT_CRITERION(script_indexes, 8)

static void script_configuration(struct run *r, struct script *s)
{
    (void)r;
    script_check(s, "configuration", "what a dump does not carry", see_configuration);
}

static void script_rows(struct run *r, struct script *s)
{
    postgres_script_counts(r, s, DB_SERVER, "verify.counts");
    script_check(s, "rows equal baseline", "rows", see_rows);
}

static void script_contents(struct run *r, struct script *s)
{
    if (postgres_spec(r)->verify.hash.n == 0) {
        script_check(s, "contents", "the plan asks for none (verify.hash)", see_nothing);
        return;
    }
    postgres_script_hashes(r, s, DB_SERVER, "verify.hashes");
    script_check(s, "contents equal", "contents", see_contents);
}

/* ---- The login, and the end ---- */

static enum op_answer see_logged_in(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    (void)op;
    (void)seen;
    if (!r->preview)
        buf_printf(reason, "as %s, with its own password", postgres_spec(r)->verify.login.user);
    return r->preview ? OP_DONE : judged(r, "application logs in", 14, true, reason);
}

static void script_login(struct run *r, struct script *s)
{
    postgres_script_login(r, s);
    if (postgres_spec(r)->verify.login.user)
        script_check(s, "application logs in", "the login", see_logged_in);
    else
        script_check(s, "login", "the plan names none (verify.login)", see_nothing);
}

static enum op_answer see_done(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    (void)op;
    (void)seen;
    (void)reason;
    if (!r->preview)
        run_set_int(r, "verify.done", clock_plan_ms());
    return OP_DONE;
}

static void script_done(struct run *r, struct script *s)
{
    (void)r;
    postgres_script_alone(r, s, "after verify");
    script_check(s, "verified", "everything was compared", see_done);
}

static const struct step steps[] = {
    {"server", "the new server, as it was restored", script_server},
    {"inventory", "its inventory", script_inventory},
    {"extensions", "extensions", script_extensions},
    {"databases", "databases, encodings, owners", script_databases},
    {"roles", "roles and memberships", script_roles},
    {"settings", "settings of databases and roles", script_settings},
    {"objects", "numbers of objects", script_objects},
    {"privileges", "owners and privileges", script_privileges},
    {"sequences", "sequences", script_sequences},
    {"large-objects", "large objects", script_large_objects},
    {"collations", "versions of collations", script_collations},
    {"indexes", "indexes are valid", script_indexes},
    {"configuration", "what a dump does not carry", script_configuration},
    {"rows", "exact rows of every table", script_rows},
    {"contents", "contents", script_contents},
    {"login", "the application's own login", script_login},
    {"done", "nobody else was connected", script_done},
    {NULL, NULL, NULL},
};

/* What is compared is as old as the inventory: all of it is read anew. */
static const char *begin_at(const struct run *r)
{
    (void)r;
    return steps[0].id;
}

static bool may_begin(const struct run *r, struct buf *reason)
{
    if (!run_has(r, "restore.done")) {
        buf_adds(reason, "nothing has been restored yet");
        return false;
    }
    return postgres_may_begin(r, reason);
}

static void dialog(struct run *r, struct dialog *d)
{
    const struct plan_postgres *p = postgres_spec(r);
    dialog_line(d, "object", "the new server of deployment %s, read only", p->deployment);
    dialog_line(d, "proof", "extensions (drift %s), rows of %s, sequences, large objects, roles, settings, privileges, collations, indexes%s",
                p->verify.drift, p->verify.rows.n > 0 && !str_eq(p->verify.rows.v[0], "all") ? "the plan's tables" : "all tables",
                p->verify.hash.n > 0 ? ", contents" : "");
    if (p->verify.login.user)
        dialog_line(d, "proof", "%s logs in with the password of Secret %s", p->verify.login.user, p->verify.login.secret);
    dialog_line(d, "meanwhile", "the applications are stopped");
    dialog_line(d, "lost", "nothing: it reads");
    dialog_line(d, "undo", "nothing to undo");
}

const struct phase postgres_phase_verify = {
    .id = "verify",
    .title = "verify",
    .stake = STAKE_REVERSIBLE,
    .steps = steps,
    .may_begin = may_begin,
    .dialog = dialog,
    .begin_at = begin_at,
};
