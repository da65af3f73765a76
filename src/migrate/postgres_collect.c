#include "migrate/postgres_collect.h"

#include "base/json_doc.h"
#include "base/mem.h"
#include "client/pg_conn.h"
#include "migrate/postgres.h"
#include "migrate/run.h"

/* Counting a large table takes its time; nobody waits for the server meanwhile. */
#define QUERY_MS (INT64_C(6) * 3600 * 1000)

struct collect *collect_new(const char *fact, enum run_db db)
{
    struct collect *c = MEM_NEW(struct collect);
    c->refs = 1;
    c->fact = mem_strdup(fact);
    c->db = db;
    c->doc = jd_object();
    return c;
}

void collect_unref(struct collect *c)
{
    if (--c->refs > 0)
        return;
    jd_free(c->doc);
    mem_free(c->fact);
    mem_free(c->sql);
    mem_free(c);
}

static void drop(void *data)
{
    collect_unref(data);
}

void collect_give(struct op *op, struct collect *c)
{
    c->refs++;
    op->data = c;
    op->drop = drop;
    op->deadline_ms = QUERY_MS;
}

static enum op_answer note(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    struct collect *c = op->data;
    (void)seen;
    run_set_json(r, c->fact, c->doc);
    if (c->rows > 0) {
        postgres_number(reason, c->rows);
        buf_adds(reason, " rows in ");
    }
    if (c->tables > 0)
        buf_printf(reason, "%zu tables of %zu databases", c->tables, jd_len(c->doc));
    else if (jd_get(c->doc, "server"))
        buf_printf(reason, "PostgreSQL %s: %zu databases, %zu roles, %zu settings", jd_str(c->doc, "server.version"),
                   jd_len(jd_get(c->doc, "databases")), jd_len(jd_get(c->doc, "roles")), jd_len(jd_get(c->doc, "settings")));
    return OP_DONE;
}

void collect_end(struct script *s, const char *id, const char *what, struct collect *c)
{
    collect_give(script_check(s, id, what, note), c);
}

/* One statement of a collection, in two operations: the first asks for its text. */
struct written {
    struct collect *c;
    char *database, *id, *what;
    op_see_fn see;
};

static void drop_written(void *data)
{
    struct written *w = data;
    collect_unref(w->c);
    mem_free(w->database);
    mem_free(w->id);
    mem_free(w->what);
    mem_free(w);
}

static enum op_answer see_statement(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    struct collect *c = op->data;
    (void)r;
    if (pg_rows_count(seen->rows) != 1) {
        buf_adds(reason, "the server did not answer with one row; look at its version");
        return OP_REFUSE;
    }
    mem_free(c->sql);
    c->sql = slice_dup(pg_rows_text(seen->rows, 0, 0));
    return OP_DONE;
}

static void run_written(struct run *r, struct script *s, struct op *op)
{
    const struct written *w = op->data;
    const char *sql = w->c->sql;
    if (r->preview)
        sql = "‹the statement that the query before it wrote›";
    if (sql)
        collect_give(script_query(s, w->id, w->what, w->c->db, w->database, sql, w->see), w->c);
}

void collect_written(struct script *s, struct collect *c, const char *database, const char *id, const char *what, const char *write,
                     op_see_fn see)
{
    struct written *w = MEM_NEW(struct written);
    c->refs++;
    *w = (struct written){.c = c, .database = mem_strdup(database), .id = mem_strdup(id), .what = mem_strdup(what), .see = see};
    collect_give(script_query(s, script_fmt(s, "%s, which", id), script_fmt(s, "relations for: %s", what), c->db, database, write,
                              see_statement), c);
    script_call(s, script_fmt(s, "%s, then", id), run_written, w, drop_written);
}

/* ---- Each database ---- */

struct databases {
    struct collect *c;
    struct json_t *names;
    unsigned refs;
    void (*each)(struct run *r, struct script *s, struct collect *c, const char *database);
};

static void drop_databases(void *data)
{
    struct databases *d = data;
    if (--d->refs > 0)
        return;
    collect_unref(d->c);
    jd_free(d->names);
    mem_free(d);
}

static enum op_answer see_databases(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    struct databases *d = op->data;
    (void)r;
    jd_free(d->names);
    d->names = jd_array();
    for (size_t i = 0; i < pg_rows_count(seen->rows); i++) {
        char *name = slice_dup(pg_rows_text(seen->rows, i, 0));
        jd_append(d->names, jd_string(name));
        mem_free(name);
    }
    buf_printf(reason, "%zu databases", jd_len(d->names));
    return OP_DONE;
}

static void each_database(struct run *r, struct script *s, struct op *op)
{
    struct databases *d = op->data;
    if (r->preview && !d->names)
        d->each(r, s, d->c, "‹each database›");
    for (size_t i = 0; i < jd_len(d->names); i++)
        d->each(r, s, d->c, jd_string_value(jd_at(d->names, i)));
}

void collect_databases(struct script *s, struct collect *c, const char *id,
                       void (*each)(struct run *r, struct script *s, struct collect *c, const char *database))
{
    struct databases *d = MEM_NEW(struct databases);
    c->refs++;
    *d = (struct databases){.c = c, .refs = 2, .each = each};
    struct op *ask = script_query(s, id, "names of the databases", c->db, NULL, postgres_sql_databases, see_databases);
    ask->data = d;
    ask->drop = drop_databases;
    script_call(s, script_fmt(s, "%s, each", id), each_database, d, drop_databases);
}
