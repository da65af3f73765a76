/* Inventory: what the server has, as one fact that verify compares with; and what pg_dumpall does not carry, saved as files beside
 * the journal (safety 10). It is read before the fence, so that lifting a fence can restore what was set before. */
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/json_doc.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "client/pg_conn.h"
#include "loop/work.h"
#include "migrate/postgres.h"
#include "migrate/postgres_collect.h"
#include "migrate/postgres_compare.h"

static struct json_t *parse_value(const struct seen *seen, struct buf *reason)
{
    struct slice text = pg_rows_text(seen->rows, 0, 0);
    struct json_t *doc = NULL;
    if (!text.p) {
        buf_adds(reason, "the server answered nothing; look at its version");
        return NULL;
    }
    struct err *e = jd_parse(text.p, text.n, "the inventory", &doc);
    if (e) {
        buf_adds(reason, err_text(e));
        err_free(e);
    }
    return doc;
}

/* ---- Collecting ---- */

static enum op_answer see_server(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    struct collect *c = op->data;
    struct json_t *doc = parse_value(seen, reason);
    (void)r;
    if (!doc)
        return OP_REFUSE;
    jd_free(c->doc);
    c->doc = doc;
    jd_set(doc, "inside", jd_object());
    buf_printf(reason, "PostgreSQL %s, %zu databases, %zu roles", jd_str(doc, "server.version"), jd_len(jd_get(doc, "databases")),
               jd_len(jd_get(doc, "roles")));
    return OP_DONE;
}

static enum op_answer see_stale(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    struct collect *c = op->data;
    struct json_t *doc = parse_value(seen, reason);
    (void)r;
    if (!doc)
        return OP_REFUSE;
    if (jd_len(doc) > 0)
        buf_printf(reason, "%zu databases were made with another version of their collation", jd_len(doc));
    else
        buf_adds(reason, "collations of the databases are of this system");
    jd_set(c->doc, "stale_collations", doc);
    return OP_DONE;
}

static enum op_answer see_inside(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    struct collect *c = op->data;
    struct json_t *doc = parse_value(seen, reason);
    (void)r;
    if (!doc)
        return OP_REFUSE;
    buf_printf(reason, "%lld tables, %zu extensions", (long long)jd_num(doc, "objects.tables", 0), jd_len(jd_get(doc, "extensions")));
    jd_set(doc, "sequences", jd_object());
    jd_set(jd_member(c->doc, "inside"), op->database, doc);
    return OP_DONE;
}

/* Rows: name, last value, whether it was called. */
static enum op_answer see_sequences(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    struct collect *c = op->data;
    struct json_t *inside = jd_member(jd_member(c->doc, "inside"), op->database), *sequences = jd_object();
    (void)r;
    for (size_t i = 0; i < pg_rows_count(seen->rows); i++) {
        char *name = slice_dup(pg_rows_text(seen->rows, i, 0));
        char value[64];
        snprintf(value, sizeof value, "%lld,%s", (long long)pg_rows_int(seen->rows, i, 1, 0),
                 pg_rows_bool(seen->rows, i, 2, false) ? "called" : "not called");
        jd_set(sequences, name, jd_string(value));
        mem_free(name);
    }
    buf_printf(reason, "%zu sequences", jd_len(sequences));
    jd_set(inside, "sequences", sequences);
    return OP_DONE;
}

static void look_inside(struct run *r, struct script *s, struct collect *c, const char *database)
{
    (void)r;
    collect_give(script_query(s, script_fmt(s, "%s of %s", c->fact, database), script_fmt(s, "inside of %s", database), c->db, database,
                              postgres_sql_inventory_database, see_inside), c);
    collect_written(s, c, database, script_fmt(s, "%s sequences of %s", c->fact, database), script_fmt(s, "sequences of %s", database),
                    postgres_sql_write_sequences, see_sequences);
}

static void drop_collect(void *data)
{
    collect_unref(data);
}

static void look_at_collations(struct run *r, struct script *s, struct op *op)
{
    struct collect *c = op->data;
    if (r->preview || jd_num(c->doc, "server.number", 0) >= 150000)
        collect_give(script_query(s, script_fmt(s, "%s collations", c->fact), "versions of the databases' collations", c->db, NULL,
                                  postgres_sql_inventory_collations, see_stale), c);
}

void postgres_script_inventory(struct run *r, struct script *s, enum run_db db, const char *fact)
{
    struct collect *c = collect_new(fact, db);
    (void)r;
    collect_give(script_query(s, script_fmt(s, "%s server", fact), "databases, roles and settings of the server", db, NULL,
                              postgres_sql_inventory_server, see_server), c);
    c->refs++;
    script_call(s, script_fmt(s, "%s collations asked", fact), look_at_collations, c, drop_collect);
    collect_databases(s, c, script_fmt(s, "%s databases", fact), look_inside);
    collect_end(s, script_fmt(s, "%s noted", fact), "the inventory", c);
    collect_unref(c);
}

/* ---- Files beside the journal ---- */

/* A text that is written below DIR/manifests by a thread; what an answer said, until then. */
struct saving {
    unsigned refs;
    char *dir, *name;
    struct buf text;
    struct work *work;
    struct run *run;
    struct op *op;
    struct err *error;
};

static void unref_saving(void *data)
{
    struct saving *v = data;
    if (--v->refs > 0)
        return;
    mem_free(v->dir);
    mem_free(v->name);
    buf_free(&v->text);
    err_free(v->error);
    mem_free(v);
}

static void write_file(void *arg)
{
    struct saving *v = arg;
    char *path = str_printf("%s/%s", v->dir, v->name);
    v->error = file_mkdirs(v->dir, 0700);
    if (!v->error)
        v->error = file_write_durable(path, v->text.p, v->text.len, 0600);
    mem_free(path);
}

static void written(void *arg)
{
    struct saving *v = arg;
    struct err *e = v->error;
    v->error = NULL;
    v->work = NULL;
    if (v->op) {
        char *detail = str_printf("%zu bytes", v->text.len);
        op_job_done(v->run, v->op, e, detail);
        mem_free(detail);
    } else {
        err_ignore(e, "the step was given up; it writes the file again");
    }
    unref_saving(v);
}

static void start_saving(struct run *r, struct op *op)
{
    struct saving *v = op->data;
    v->refs++;
    v->run = r;
    v->op = op;
    v->work = work_start(r->loop, write_file, written, v);
}

/* The thread ends by itself; its answer goes nowhere. */
static void cancel_saving(struct run *r, struct op *op)
{
    struct saving *v = op->data;
    (void)r;
    v->op = NULL;
}

static const struct op_job save_job = {.start = start_saving, .cancel = cancel_saving};

static enum op_answer keep_object(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    struct saving *v = op->data;
    (void)r;
    buf_clear(&v->text);
    if (seen->status == 404) {
        buf_adds(reason, "it is not there");
        return OP_DONE;
    }
    op_masked(seen->doc, &v->text);
    buf_addc(&v->text, '\n');
    return OP_DONE;
}

/* One column of lines. */
static enum op_answer keep_rows(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    struct saving *v = op->data;
    (void)r;
    buf_clear(&v->text);
    for (size_t i = 0; i < pg_rows_count(seen->rows); i++) {
        buf_add_slice(&v->text, pg_rows_text(seen->rows, i, 0));
        buf_addc(&v->text, '\n');
    }
    buf_printf(reason, "%zu lines", pg_rows_count(seen->rows));
    return OP_DONE;
}

/* Files that no dump carries have to be carried by hand. */
static enum op_answer keep_certificates(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    const struct saving *v = op->data;
    enum op_answer answer = keep_rows(r, op, seen, reason);
    if (v->text.len > 0) {
        char *names = utf8_cleaned(buf_slice(&v->text));
        run_note(r, "WARN", "the data directory holds certificates or keys, which a dump does not carry; copy them by hand: %s", names);
        mem_free(names);
    }
    return answer;
}

static struct saving *saving_new(const struct run *r, const char *name)
{
    struct saving *v = MEM_NEW(struct saving);
    v->refs = 1;
    v->dir = str_printf("%s/manifests", r->dir ? r->dir : "‹state folder›");
    v->name = str_printf("%s-%s", r->workload->name, name);
    return v;
}

/* The operation that looks, and the one that writes what it saw. */
static void save_what(struct script *s, struct op *look, struct saving *v)
{
    look->data = v;
    look->drop = unref_saving;
    v->refs++;
    script_job(s, script_fmt(s, "write %s", v->name), script_fmt(s, "write manifests/%s", v->name), &save_job, v, unref_saving);
}

static void save_object(struct run *r, struct script *s, const char *path, const char *name)
{
    struct saving *v = saving_new(r, name);
    save_what(s, script_get(s, script_fmt(s, "read %s", name), script_fmt(s, "%s, for keeping", name), path, keep_object), v);
}

static void save_query(struct run *r, struct script *s, const char *sql, const char *name, const char *what, op_see_fn keep)
{
    struct saving *v = saving_new(r, name);
    save_what(s, script_query(s, script_fmt(s, "read %s", name), what, DB_SERVER, NULL, sql, keep), v);
}

/* ---- The phase ---- */

static enum op_answer see_identity(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    char *version = slice_dup(pg_rows_text(seen->rows, 0, 1)), *identifier = slice_dup(pg_rows_text(seen->rows, 0, 2));
    const char *known = run_fact(r, "pg.identifier.old");
    enum op_answer answer = OP_DONE;
    (void)op;
    if (run_has(r, "pg.identifier.old") && !str_eq(known, identifier)) {
        buf_printf(reason, "this server has the system identifier %s, but preflight saw %s: another server answers at this address. Look at "
                   "the Service and the conninfo of the plan", identifier, known);
        answer = OP_REFUSE;
    } else {
        run_set(r, "pg.version", version);
        run_set(r, "pg.identifier.old", identifier);
        buf_printf(reason, "PostgreSQL %s, system identifier %s", version, identifier);
    }
    mem_free(version);
    mem_free(identifier);
    return answer;
}

static enum op_answer see_readonly(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    char *value = slice_dup(pg_rows_text(seen->rows, 0, 0));
    enum op_answer answer = OP_DONE;
    (void)op;
    if (run_has(r, "fence.old")) {
        buf_adds(reason, "our own fence stands already; what was recorded before it is kept");
    } else if (str_eq(value, "on")) {
        buf_adds(reason, "postgresql.auto.conf has default_transaction_read_only = on, and not by us: somebody else fences this server. "
                         "ALTER SYSTEM RESET default_transaction_read_only, if that is not meant");
        answer = OP_REFUSE;
    } else {
        run_set(r, "inventory.readonly", value);
        buf_printf(reason, "default_transaction_read_only is %s in postgresql.auto.conf", *value ? value : "absent");
    }
    mem_free(value);
    return answer;
}

static void script_server(struct run *r, struct script *s)
{
    (void)r;
    script_query(s, "identity", "version and system identifier", DB_SERVER, NULL, postgres_sql_server, see_identity);
    script_query(s, "readonly", "default_transaction_read_only before our fence", DB_SERVER, NULL, postgres_sql_readonly, see_readonly);
}

static void script_inventory(struct run *r, struct script *s)
{
    postgres_script_inventory(r, s, DB_SERVER, "inventory");
}

/* A dump names extensions without versions: what the image has by default is what the restore gives. Better known before the downtime. */
static enum op_answer see_available(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    struct json_t *inventory = run_fact_json(r, "inventory");
    (void)op;
    (void)seen;
    bool good = r->preview || (inventory && compare_available(inventory, postgres_spec(r)->verify.drift, reason));
    jd_free(inventory);
    return good ? OP_DONE : OP_REFUSE;
}

static void script_extensions(struct run *r, struct script *s)
{
    (void)r;
    script_check(s, "available", "a restore with this image gives each extension, by the plan's drift", see_available);
}

static void script_keep(struct run *r, struct script *s)
{
    save_object(r, s, postgres_path_deployment(r).p, "deployment.json");
    save_object(r, s, postgres_path_claim(r, run_fact(r, "claim.old.name")).p, "claim.json");
    save_object(r, s, postgres_path_volume(run_fact(r, "volume.old.name")).p, "volume.json");
    save_query(r, s, postgres_sql_keep_hba, "pg_hba.rules", "rules of pg_hba.conf", keep_rows);
    save_query(r, s, postgres_sql_keep_auto, "postgresql.auto.conf", "settings of postgresql.auto.conf, as it is without our fence", keep_rows);
    save_query(r, s, postgres_sql_keep_settings, "pg_settings", "settings that differ from their default", keep_rows);
    save_query(r, s, postgres_sql_keep_slots, "replication_slots", "replication slots", keep_rows);
    save_query(r, s, postgres_sql_keep_certificates, "certificates", "certificates and keys in the data directory, by name",
               keep_certificates);
}

static const struct step steps[] = {
    {"server", "who serves", script_server},
    {"inventory", "databases, roles, extensions, settings", script_inventory},
    {"extensions", "extensions that the image has", script_extensions},
    {"keep", "what a dump does not carry", script_keep},
    {NULL, NULL, NULL},
};

static void dialog(struct run *r, struct dialog *d)
{
    dialog_line(d, "object", "server of deployment %s, read only", postgres_spec(r)->deployment);
    dialog_line(d, "will come", "files in %s/manifests: pg_hba.conf's rules, postgresql.auto.conf, settings, slots, manifests (secrets masked)",
                r->dir ? r->dir : "the state folder");
    dialog_line(d, "meanwhile", "the applications go on");
    dialog_line(d, "lost", "nothing: it reads");
    dialog_line(d, "undo", "nothing to undo");
}

/* What was read before it stopped may not be so any more. */
static const char *begin_at(const struct run *r)
{
    (void)r;
    return steps[0].id;
}

const struct phase postgres_phase_inventory = {
    .id = "inventory",
    .title = "inventory",
    .stake = STAKE_REVERSIBLE,
    .steps = steps,
    .may_begin = postgres_may_begin,
    .dialog = dialog,
    .begin_at = begin_at,
};
