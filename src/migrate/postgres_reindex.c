/* Phase "reindex": only for indexes that are not valid after the restore, and those that the plan names (safety 36). pg_dump creates
 * indexes after the data, so every other one is new already.
 *
 * An index is done when its file is another one than before and it is valid, so that a second begin goes on with the rest. The table
 * is vacuumed first: dead rows trip the builds of some vector indexes. */
#include <string.h>

#include "base/json_doc.h"
#include "base/mem.h"
#include "base/str.h"
#include "client/pg_conn.h"
#include "migrate/postgres.h"
#include "migrate/postgres_move.h"

#define BUILD_MS (INT64_C(24) * 60 * 60 * 1000)

/* ---- Which ---- */

/* A name of the plan as a quoted literal. */
static void add_literal(struct buf *b, const char *text)
{
    buf_addc(b, '\'');
    for (; *text; text++) {
        if (*text == '\'')
            buf_addc(b, '\'');
        buf_addc(b, *text);
    }
    buf_addc(b, '\'');
}

static const char *find_sql(struct run *r, struct script *s)
{
    const struct plan_strings *names = &postgres_spec(r)->reindex;
    struct buf b = {0};
    buf_adds(&b, "SELECT format('%I.%I', n.nspname, c.relname), format('%I.%I', tn.nspname, t.relname), pg_relation_filenode(c.oid), c.relname "
                 "FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace "
                 "JOIN pg_class t ON t.oid = i.indrelid JOIN pg_namespace tn ON tn.oid = t.relnamespace "
                 "WHERE c.relkind = 'i' AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast') AND "
                 "(NOT (i.indisvalid AND i.indisready) OR c.relname IN (NULL");
    for (size_t i = 0; i < names->n; i++) {
        buf_adds(&b, ", ");
        add_literal(&b, names->v[i]);
    }
    buf_adds(&b, ")) ORDER BY 1");
    const char *sql = script_fmt(s, "%s", buf_str(&b));
    buf_free(&b);
    return sql;
}

static enum op_answer see_found(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    struct json_t *todo = run_fact_json(r, "reindex.todo");
    size_t n = seen->rows ? pg_rows_count(seen->rows) : 0;
    if (!todo)
        todo = jd_array();
    for (size_t i = 0; i < n; i++) {
        static const char *const members[] = {"index", "table", "file", "name"};
        struct json_t *one = jd_object();
        jd_set(one, "database", jd_string(op->database));
        for (size_t k = 0; k < ARRAY_LEN(members); k++) {
            char *text = slice_dup(pg_rows_text(seen->rows, i, (int)k));
            jd_set(one, members[k], jd_string(text ? text : ""));
            mem_free(text);
        }
        jd_append(todo, one);
    }
    run_set_json(r, "reindex.todo", todo);
    buf_printf(reason, "%zu", n);
    jd_free(todo);
    return OP_DONE;
}

struct finding {
    struct run *r;
    struct script *s;
};

static void find_in(void *arg, const char *database)
{
    struct finding *f = arg;
    script_query(f->s, script_fmt(f->s, "find in %s", database), script_fmt(f->s, "find the indexes in database %s", database), DB_SERVER,
                 database, find_sql(f->r, f->s), see_found);
}

/* Once: the files that the indexes have now are what "built again" is judged by. */
static void script_find(struct run *r, struct script *s)
{
    struct json_t *inventory = run_fact_json(r, "inventory");
    struct finding f = {r, s};
    move_script_target(r, s, "target");
    if (r->preview || !run_has(r, "reindex.todo")) {
        if (inventory)
            move_each_database(inventory, find_in, &f);
        else
            find_in(&f, "‹each database›");
    }
    jd_free(inventory);
}

/* ---- Building ---- */

static enum op_answer see_vacuumed(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    (void)r;
    (void)op;
    (void)reason;
    return seen->rows && pg_rows_bool(seen->rows, 0, 0, false) ? OP_DONE : OP_TODO;
}

static enum op_answer see_built(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    const char *before = op->data;
    (void)r;
    if (!seen->rows || pg_rows_count(seen->rows) == 0) {
        buf_adds(reason, "the index is not there any more");
        return OP_REFUSE;
    }
    bool valid = pg_rows_bool(seen->rows, 0, 1, false);
    if (!valid || slice_is(pg_rows_text(seen->rows, 0, 0), before))
        return OP_TODO;
    buf_adds(reason, "built again, valid");
    return OP_DONE;
}

static void build_one(struct script *s, const struct json_t *one)
{
    const char *index = jd_str(one, "index"), *table = jd_str(one, "table"), *database = jd_str(one, "database");
    struct buf literal = {0};
    add_literal(&literal, table);
    struct op *vacuum = script_sql(s, script_fmt(s, "vacuum %s for %s", table, index), script_fmt(s, "VACUUM %s in database %s", table, database),
                                   DB_SERVER, database, script_fmt(s, "VACUUM %s", table),
                                   script_fmt(s, "SELECT last_vacuum IS NOT NULL FROM pg_stat_all_tables WHERE relid = %s::regclass",
                                              buf_str(&literal)),
                                   see_vacuumed);
    buf_clear(&literal);
    add_literal(&literal, index);
    struct op *build = script_sql(s, script_fmt(s, "reindex %s.%s", database, index),
                                  script_fmt(s, "REINDEX INDEX %s in database %s", index, database), DB_SERVER, database,
                                  script_fmt(s, "REINDEX INDEX %s", index),
                                  script_fmt(s, "SELECT pg_relation_filenode(indexrelid), indisvalid AND indisready FROM pg_index WHERE "
                                                "indexrelid = %s::regclass", buf_str(&literal)),
                                  see_built);
    build->data = mem_strdup(jd_str(one, "file"));
    build->drop = mem_free;
    build->deadline_ms = vacuum->deadline_ms = BUILD_MS;
    buf_free(&literal);
}

static enum op_answer see_all_named(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    const struct plan_strings *names = &postgres_spec(r)->reindex;
    struct json_t *todo = run_fact_json(r, "reindex.todo");
    (void)op;
    (void)seen;
    for (size_t i = 0; i < names->n; i++) {
        bool found = false;
        for (size_t k = 0; k < jd_len(todo); k++)
            found = found || str_eq(jd_str(jd_at(todo, k), "name"), names->v[i]);
        if (!found)
            run_note(r, "WARN", "reindex: no database has an index %s, which the plan names", names->v[i]);
        if (!found)
            buf_printf(reason, "%s is not there; ", names->v[i]);
    }
    buf_printf(reason, "%zu built", jd_len(todo));
    run_set(r, "reindex.needed", "[]");
    jd_free(todo);
    return OP_DONE;
}

static void script_build(struct run *r, struct script *s)
{
    struct json_t *todo = run_fact_json(r, "reindex.todo");
    for (size_t i = 0; i < jd_len(todo); i++)
        build_one(s, jd_at(todo, i));
    if (r->preview && !todo)
        for (size_t i = 0; i < postgres_spec(r)->reindex.n; i++)
            script_sql(s, script_fmt(s, "reindex %s", postgres_spec(r)->reindex.v[i]),
                       script_fmt(s, "VACUUM its table, REINDEX INDEX %s", postgres_spec(r)->reindex.v[i]), DB_SERVER, NULL,
                       script_fmt(s, "REINDEX INDEX %s", postgres_spec(r)->reindex.v[i]), "SELECT indisvalid FROM pg_index", see_vacuumed);
    script_check(s, "all named", "every index that the plan names was found", see_all_named);
    jd_free(todo);
}

static const struct step steps[] = {
    {"find", "find them", script_find},
    {"build", "build them again", script_build},
    {NULL, NULL, NULL},
};

static bool wanted(const struct run *r)
{
    struct json_t *needed = run_fact_json(r, "reindex.needed");
    bool want = postgres_spec(r)->reindex.n > 0 || jd_len(needed) > 0;
    jd_free(needed);
    return want;
}

static bool may_begin(const struct run *r, struct buf *reason)
{
    if (move_same(r, "restore.done", "claim.new.uid"))
        return postgres_may_begin(r, reason);
    buf_adds(reason, "nothing has been restored into the present target yet");
    return false;
}

static void dialog(struct run *r, struct dialog *d)
{
    const struct plan_strings *names = &postgres_spec(r)->reindex;
    struct json_t *needed = run_fact_json(r, "reindex.needed");
    struct buf list = {0};
    for (size_t i = 0; i < names->n; i++)
        buf_printf(&list, "%s%s", i ? ", " : "", names->v[i]);
    if (names->n > 0)
        dialog_line(d, "will come", "%s, because the plan names them", buf_str(&list));
    for (size_t i = 0; i < jd_len(needed); i++)
        dialog_line(d, "will come", "%s in database %s, which is not valid", jd_str(jd_at(needed, i), "index"), jd_str(jd_at(needed, i), "database"));
    dialog_line(d, "meanwhile", "each table is vacuumed first; the applications are still stopped");
    dialog_line(d, "undo", "not needed: an index holds no data");
    buf_free(&list);
    jd_free(needed);
}

const struct phase postgres_phase_reindex = {
    .id = "reindex",
    .title = "reindex",
    .stake = STAKE_REVERSIBLE,
    .steps = steps,
    .wanted = wanted,
    .may_begin = may_begin,
    .dialog = dialog,
};
