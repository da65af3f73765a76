/* Counts: exact rows of every table that a dump carries (safety 4), and the sums of inserted, updated and deleted tuples, which
 * tell whether anybody wrote in between although the fence stood (safety 3). */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/json_doc.h"
#include "base/mem.h"
#include "client/pg_conn.h"
#include "migrate/postgres.h"
#include "migrate/postgres_move.h"
#include "migrate/postgres_collect.h"

#define NAMED_MAX 3 /* differences that are named */

/* ---- Collecting ---- */

static struct json_t *member_object(struct json_t *doc, const char *key)
{
    if (!jd_member(doc, key))
        jd_set(doc, key, jd_object());
    return jd_member(doc, key);
}

/* Rows "schema.table", n. */
static enum op_answer see_counts(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    struct collect *c = op->data;
    struct json_t *tables = member_object(c->doc, op->database);
    int64_t sum = 0;
    (void)r;
    for (size_t i = 0; i < pg_rows_count(seen->rows); i++) {
        char *name = slice_dup(pg_rows_text(seen->rows, i, 0));
        int64_t n = pg_rows_int(seen->rows, i, 1, -1);
        jd_set(tables, name, jd_int(n));
        sum += n;
        mem_free(name);
    }
    c->rows += sum;
    c->tables += jd_len(tables);
    postgres_number(reason, sum);
    buf_printf(reason, " rows in %zu tables", jd_len(tables));
    return OP_DONE;
}

static void count_database(struct run *r, struct script *s, struct collect *c, const char *database)
{
    (void)r;
    collect_written(s, c, database, script_fmt(s, "%s of %s", c->fact, database), script_fmt(s, "exact rows of %s", database),
                    postgres_sql_write_counts, see_counts);
}

void postgres_script_counts(struct run *r, struct script *s, enum run_db db, const char *fact)
{
    struct collect *c = collect_new(fact, db);
    (void)r;
    collect_databases(s, c, script_fmt(s, "%s databases", fact), count_database);
    collect_end(s, script_fmt(s, "%s noted", fact), "all counts", c);
    collect_unref(c);
}

/* One value: {"schema.table": n}. */
static enum op_answer see_writes(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    struct collect *c = op->data;
    struct slice text = pg_rows_text(seen->rows, 0, 0);
    struct json_t *tables = NULL;
    (void)r;
    struct err *e = jd_parse(text.p, text.n, "the sums of writes", &tables);
    if (e) {
        buf_adds(reason, err_text(e));
        err_free(e);
        return OP_REFUSE;
    }
    buf_printf(reason, "%zu tables", jd_len(tables));
    c->tables += jd_len(tables);
    jd_set(c->doc, op->database, tables);
    return OP_DONE;
}

static void sum_database(struct run *r, struct script *s, struct collect *c, const char *database)
{
    (void)r;
    collect_give(script_query(s, script_fmt(s, "%s of %s", c->fact, database),
                              script_fmt(s, "inserted + updated + deleted tuples of %s", database), c->db, database,
                              postgres_sql_writes, see_writes), c);
}

void postgres_script_writes(struct run *r, struct script *s, enum run_db db, const char *fact)
{
    struct collect *c = collect_new(fact, db);
    (void)r;
    collect_databases(s, c, script_fmt(s, "%s databases", fact), sum_database);
    collect_end(s, script_fmt(s, "%s noted", fact), "all sums", c);
    collect_unref(c);
}

/* Rows "schema.table", hash; only what was asked for is kept. */
static enum op_answer see_hashes(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    struct collect *c = op->data;
    struct json_t *tables = member_object(c->doc, op->database);
    (void)r;
    for (size_t i = 0; i < pg_rows_count(seen->rows); i++) {
        char *name = slice_dup(pg_rows_text(seen->rows, i, 0)), *hash = slice_dup(pg_rows_text(seen->rows, i, 1));
        jd_set(tables, name, jd_string(hash ? hash : ""));
        mem_free(name);
        mem_free(hash);
    }
    c->tables += jd_len(tables);
    buf_printf(reason, "%zu tables", jd_len(tables));
    return OP_DONE;
}

/* A quoted literal; the names come from the plan. */
static void add_literal(struct buf *out, const char *text)
{
    buf_addc(out, '\'');
    for (; *text; text++)
        buf_adds(out, *text == '\'' ? "''" : *text == '\\' ? "\\\\" : (char[]){*text, 0});
    buf_addc(out, '\'');
}

static void hash_database(struct run *r, struct script *s, struct collect *c, const char *database)
{
    const struct plan_strings *only = &postgres_spec(r)->verify.hash;
    struct buf sql = {0};
    buf_adds(&sql, postgres_sql_write_hashes);
    if (only->n > 0 && !str_eq(only->v[0], "all")) {
        buf_adds(&sql, " WHERE nspname || '.' || relname IN (");
        for (size_t i = 0; i < only->n; i++) {
            buf_adds(&sql, i ? ", " : "");
            add_literal(&sql, only->v[i]);
        }
        buf_adds(&sql, ")");
    }
    collect_written(s, c, database, script_fmt(s, "%s of %s", c->fact, database), script_fmt(s, "content of %s", database), buf_str(&sql),
                    see_hashes);
    buf_free(&sql);
}

void postgres_script_hashes(struct run *r, struct script *s, enum run_db db, const char *fact)
{
    struct collect *c = collect_new(fact, db);
    (void)r;
    collect_databases(s, c, script_fmt(s, "%s databases", fact), hash_database);
    collect_end(s, script_fmt(s, "%s noted", fact), "all hashes", c);
    collect_unref(c);
}

/* ---- Comparing ---- */

struct compared {
    const char *other;
    struct buf *out;
    size_t tables, different;
    int64_t rows;
};

static void add_value(struct buf *out, const struct json_t *v)
{
    if (!v)
        buf_adds(out, "no such table");
    else if (jd_is_string(v))
        buf_printf(out, "%.12s", jd_string_value(v));
    else
        postgres_number(out, jd_int_value(v, -1));
}

static void differ(struct compared *x, const char *database, const char *table, const struct json_t *a, const struct json_t *b)
{
    if (++x->different > NAMED_MAX)
        return;
    buf_printf(x->out, "%s%s %s: ", x->different > 1 ? "; " : "", database, table);
    add_value(x->out, a);
    buf_printf(x->out, ", %s ", x->other);
    add_value(x->out, b);
}

static bool asked_for(const struct plan_strings *only, const char *table)
{
    if (!only || only->n == 0 || str_eq(only->v[0], "all"))
        return true;
    for (size_t i = 0; i < only->n; i++) {
        const char *name = only->v[i], *dot = strchr(name, '.');
        if (str_eq(name, table) || (!dot && str_starts(table, "public.") && str_eq(table + strlen("public."), name)))
            return true;
    }
    return false;
}

/* Tables of a that b has not, or has otherwise; backwards: those that only b has. */
static void compare_database(struct compared *x, const char *database, struct json_t *a, const struct json_t *b, const struct plan_strings *only,
                             bool backwards)
{
    for (void *it = a ? jd_iter(a) : NULL; it; it = jd_iter_next(a, it)) {
        const char *table = jd_iter_key(it);
        const struct json_t *mine = jd_iter_value(it), *theirs = jd_member(b, table);
        if (!asked_for(only, table))
            continue;
        if (backwards) {
            if (!theirs)
                differ(x, database, table, NULL, mine);
            continue;
        }
        x->tables++;
        x->rows += jd_int_value(mine, 0);
        if (!theirs || !jd_equal(mine, theirs))
            differ(x, database, table, mine, theirs);
    }
}

static void compare_all(struct compared *x, struct json_t *a, const struct json_t *b, const struct plan_strings *only, bool backwards)
{
    for (void *it = a ? jd_iter(a) : NULL; it; it = jd_iter_next(a, it))
        compare_database(x, jd_iter_key(it), jd_iter_value(it), jd_member(b, jd_iter_key(it)), only, backwards);
}

bool postgres_counts_equal(const struct json_t *a, const struct json_t *b, const char *other, const struct plan_strings *only,
                           struct buf *out)
{
    struct compared x = {.other = other, .out = out};
    struct json_t *first = jd_copy(a), *second = jd_copy(b);
    compare_all(&x, first, second, only, false);
    compare_all(&x, second, first, only, true);
    jd_free(first);
    jd_free(second);
    if (x.different > NAMED_MAX)
        buf_printf(out, "; and %zu more tables", x.different - NAMED_MAX);
    if (x.different > 0)
        return false;
    if (x.rows > 0) {
        postgres_number(out, x.rows);
        buf_adds(out, " rows in ");
    }
    buf_printf(out, "%zu tables, equal", x.tables);
    return true;
}

bool postgres_facts_equal(const struct run *r, const char *a, const char *b, const char *other, const struct plan_strings *only,
                          struct buf *out)
{
    struct json_t *first = run_fact_json(r, a), *second = run_fact_json(r, b);
    bool equal = false;
    if (first && second)
        equal = postgres_counts_equal(first, second, other, only, out);
    else
        buf_printf(out, "%s is not known: run its phase again", first ? b : a);
    jd_free(first);
    jd_free(second);
    return equal;
}

/* ---- The phase ---- */

/* Ours by the journal, and there by the server's own word: somebody may have lifted it meanwhile. */
static enum op_answer see_fence_stands(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    (void)op;
    if (!str_eq(run_fact(r, "fence.old"), "on"))
        buf_adds(reason, "the old server is not fenced: run quiesce first, or the counts mean nothing");
    else if (!slice_is(pg_rows_text(seen->rows, 0, 0), "on"))
        buf_adds(reason, "the fence that quiesce set is gone from postgresql.auto.conf (default_transaction_read_only): find who lifted it, then "
                         "run quiesce again");
    else
        return OP_DONE;
    return OP_REFUSE;
}

static void script_still(struct run *r, struct script *s)
{
    move_script_look(r, s, "look");
    move_script_source(r, s, "source");
    script_query(s, "fenced", "the fence stands", DB_SERVER, NULL, postgres_sql_readonly, see_fence_stands);
    postgres_script_alone(r, s, "before counting");
}

static void add_sum(struct json_t *counts, struct buf *out)
{
    int64_t rows = 0;
    size_t n = 0;
    for (void *d = counts ? jd_iter(counts) : NULL; d; d = jd_iter_next(counts, d))
        for (void *t = jd_iter(jd_iter_value(d)); t; t = jd_iter_next(jd_iter_value(d), t)) {
            rows += jd_int_value(jd_iter_value(t), 0);
            n++;
        }
    postgres_number(out, rows);
    buf_printf(out, " rows in %zu tables", n);
}

static enum op_answer see_counted(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    struct json_t *counts = run_fact_json(r, "counts");
    (void)op;
    (void)seen;
    if (!r->preview) {
        run_set_int(r, "counts.at", clock_wall_ms());
        add_sum(counts, reason);
    }
    jd_free(counts);
    return OP_DONE;
}

static void script_counts(struct run *r, struct script *s)
{
    postgres_script_counts(r, s, DB_SERVER, "counts");
    if (postgres_spec(r)->verify.hash.n > 0)
        postgres_script_hashes(r, s, DB_SERVER, "counts.hashes");
    script_check(s, "counted", "every table is counted", see_counted);
}

static void script_writes(struct run *r, struct script *s)
{
    postgres_script_writes(r, s, DB_SERVER, "counts.writes");
}

/* What the inventory phase saw was a live database: sequences have gone on since, and large objects. The dump is of this moment. */
static void script_inventory(struct run *r, struct script *s)
{
    postgres_script_inventory(r, s, DB_SERVER, "inventory");
}

static const struct step steps[] = {
    {"still", "nobody writes", script_still},
    {"writes", "sums of writes", script_writes},
    {"inventory", "the inventory once more, as it will be dumped", script_inventory},
    {"rows", "exact rows of every table", script_counts},
    {NULL, NULL, NULL},
};

static void dialog(struct run *r, struct dialog *d)
{
    dialog_line(d, "object", "%s, read only", postgres_spec(r)->deployment);
    dialog_line(d, "meanwhile", "the applications are stopped; every table is read once");
    dialog_line(d, "lost", "nothing: it reads");
    dialog_line(d, "undo", "nothing to undo");
}

/* What was read before it stopped may not be so any more. */
static const char *begin_at(const struct run *r)
{
    (void)r;
    return steps[0].id;
}

/* Somebody wrote since (postgres_dump_is_stale), or the dump of these counts is too old; and the new server is not born yet. */
static bool undone(const struct run *r)
{
    bool stale = run_has(r, "dump.stale") && !run_has(r, "counts.at");
    bool old = postgres_dump_goes_off(r) && run_fact_int(r, "counts.at", 0) <= run_fact_int(r, "dump.proved_at", 0);
    return (stale || old) && !run_has(r, "pg.identifier.new");
}

const struct phase postgres_phase_counts = {
    .id = "counts",
    .title = "exact counts",
    .stake = STAKE_REVERSIBLE,
    .steps = steps,
    .may_begin = postgres_may_begin,
    .dialog = dialog,
    .undone = undone,
    .begin_at = begin_at,
};
