/* What is looked after inside a server: the fence, a fresh cluster's likeness to the old one, preload libraries. */
#include <stdio.h>
#include <string.h>

#include "base/json_doc.h"
#include "base/mem.h"
#include "base/str.h"
#include "client/pg_conn.h"
#include "migrate/postgres.h"
#include "migrate/postgres_move.h"

#define GRACE_MIN_S 30 /* safety 24 */

/* ---- The fence ---- */

struct fence {
    char *value, *fact;
};

static void fence_free(void *data)
{
    struct fence *f = data;
    mem_free(f->value);
    mem_free(f->fact);
    mem_free(f);
}

static enum op_answer see_fence(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    const struct fence *f = op->data;
    (void)r;
    if (!seen->rows || !slice_is(pg_rows_text(seen->rows, 0, 0), f->value))
        return OP_TODO;
    buf_printf(reason, "postgresql.auto.conf has %s", f->value[0] ? f->value : "no default_transaction_read_only");
    return OP_DONE;
}

/* The file's time has whole seconds, so a load in the second of the change is proved by another time of loading than before. */
static const char loaded_sql[] =
    "SELECT pg_conf_load_time() >= (pg_stat_file('postgresql.auto.conf')).modification + interval '1 second', pg_conf_load_time()::text";

static enum op_answer see_loaded(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    struct slice now = seen->rows ? pg_rows_text(seen->rows, 0, 1) : (struct slice){0};
    (void)r;
    (void)reason;
    if (!now.p)
        return OP_TODO;
    if (pg_rows_bool(seen->rows, 0, 0, false) || (op->data && !slice_is(now, op->data)))
        return OP_DONE;
    if (!op->data)
        op->data = slice_dup(now);
    return OP_TODO;
}

static enum op_answer see_fence_is(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    const struct fence *f = op->data;
    struct slice now = seen->rows ? pg_rows_text(seen->rows, 0, 0) : (struct slice){0};
    if (!slice_is(now, f->value)) {
        buf_printf(reason, "default_transaction_read_only is '%.*s' in postgresql.auto.conf, '%s' was set", SLICE_FMT(now), f->value);
        return OP_REFUSE;
    }
    if (f->fact)
        run_set(r, f->fact, str_eq(f->value, "on") ? "on" : "");
    buf_printf(reason, "default_transaction_read_only: %s", f->value[0] ? f->value : "not set");
    return OP_DONE;
}

static struct op *with_fence(struct op *op, const char *value, const char *fact)
{
    struct fence *f = MEM_NEW(struct fence);
    f->value = mem_strdup(value);
    f->fact = mem_strdup(fact);
    op->data = f;
    op->drop = fence_free;
    return op;
}

void move_script_fence(struct run *r, struct script *s, enum run_db db, const char *value, const char *fact)
{
    const char *sql = value[0] ? script_fmt(s, "ALTER SYSTEM SET default_transaction_read_only = '%s'", value)
                               : "ALTER SYSTEM RESET default_transaction_read_only";
    const char *word = str_eq(value, "on") ? "the fence" : "the fence is lifted";
    (void)r;
    with_fence(script_sql(s, script_fmt(s, "fence '%s'", value), script_fmt(s, "%s: %s", word, sql), db, NULL, sql, postgres_sql_readonly, see_fence),
               value, fact);
    script_sql(s, script_fmt(s, "reload '%s'", value), "SELECT pg_reload_conf()", db, NULL, "SELECT pg_reload_conf()", loaded_sql, see_loaded)
        ->drop = mem_free;
    with_fence(script_query(s, script_fmt(s, "fenced '%s'", value), "read it back", db, NULL, postgres_sql_readonly, see_fence_is), value, fact);
}

/* ---- A fresh cluster ---- */

static const char *const locale_members[] = {"encoding", "collate", "ctype", "provider", "locale"};

/* A database that initdb or the image made: the dump does not create it, so it stays as it is. */
static void compare_database(const char *name, const struct json_t *was, const struct json_t *is, struct buf *out)
{
    for (size_t i = 0; i < ARRAY_LEN(locale_members); i++) {
        const char *a = jd_str(was, locale_members[i]), *b = jd_str(is, locale_members[i]);
        if (!str_eq(a ? a : "", b ? b : ""))
            buf_printf(out, "%sdatabase %s: %s was %s, is %s", out->len ? "; " : "", name, locale_members[i], a ? a : "(none)", b ? b : "(none)");
    }
}

bool fresh_same_locale(const struct json_t *old_inventory, const struct json_t *new_inventory, struct buf *out)
{
    struct json_t *was = jd_get(old_inventory, "databases"), *is = jd_get(new_inventory, "databases");
    struct buf found = {0};
    if (!was || !is)
        buf_printf(&found, "the inventory of the %s server is missing", was ? "new" : "old");
    for (void *it = was && is ? jd_iter(is) : NULL; it; it = jd_iter_next(is, it)) {
        const struct json_t *before = jd_member(was, jd_iter_key(it));
        if (before)
            compare_database(jd_iter_key(it), before, jd_iter_value(it), &found);
    }
    bool same = found.len == 0;
    buf_adds(out, same ? "as in the source" : buf_str(&found));
    buf_free(&found);
    return same;
}

static enum op_answer see_same_locale(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    struct json_t *was = run_fact_json(r, "inventory"), *is = run_fact_json(r, op->data);
    struct buf differences = {0};
    (void)seen;
    bool same = fresh_same_locale(was, is, &differences);
    buf_printf(reason, "encoding, locale and provider: %s", buf_str(&differences));
    if (!same)
        buf_adds(reason, ": give the image POSTGRES_INITDB_ARGS like the source's, then run the phase again");
    buf_free(&differences);
    jd_free(was);
    jd_free(is);
    return same ? OP_DONE : OP_REFUSE;
}

/* Tables of its own: rows of the target that nobody of us put there. */
static enum op_answer see_empty(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    int64_t n = seen->rows ? pg_rows_int(seen->rows, 0, 0, -1) : -1;
    (void)op;
    if (move_same(r, "restore.done", "claim.new.uid") || n == 0) {
        buf_adds(reason, "no table of anybody");
        return OP_DONE;
    }
    buf_printf(reason, "the fresh database has %lld tables already: the claim was not empty, or the image puts something there at its first "
                       "boot (docker-entrypoint-initdb.d)",
               (long long)n);
    return OP_REFUSE;
}

void move_script_fresh(struct run *r, struct script *s, enum run_db db, const char *fact)
{
    (void)r;
    script_query(s, "empty", "it is empty", db, "postgres",
                 "SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r','p') AND "
                 "n.nspname NOT IN ('pg_catalog', 'information_schema') AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = "
                 "'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')",
                 see_empty);
    postgres_script_inventory(r, s, db, fact);
    struct op *op = script_check(s, "same locale", "encoding, locale and provider are those of the source", see_same_locale);
    op->data = (void *)(uintptr_t)fact;
}

/* ---- Preload libraries ---- */

static bool list_has(struct slice setting, const char *name)
{
    struct slice word;
    while (slice_cut(&setting, ',', &word)) {
        word = slice_trim(word);
        while (word.n > 1 && (word.p[0] == '"' || word.p[0] == '\'')) {
            word.p++;
            word.n -= word.n > 1 && (word.p[word.n - 2] == '"' || word.p[word.n - 2] == '\'') ? 2 : 1;
        }
        while (slice_starts(word, "$libdir/")) {
            word.p += strlen("$libdir/");
            word.n -= strlen("$libdir/");
        }
        if (slice_ends(word, ".so"))
            word.n -= 3;
        if (slice_is(word, name))
            return true;
    }
    return false;
}

bool preload_has(struct slice setting, const char *const *names, size_t n, struct buf *missing)
{
    size_t lacking = 0;
    for (size_t i = 0; i < n; i++)
        if (!list_has(setting, names[i]))
            buf_printf(missing, "%s%s", lacking++ ? ", " : "", names[i]);
    return lacking == 0;
}

static bool judge_preload(const struct run *r, const struct seen *seen, struct buf *reason)
{
    const struct plan_strings *want = &postgres_spec(r)->restart_for_preload;
    struct slice now = seen->rows ? pg_rows_text(seen->rows, 0, 0) : (struct slice){0};
    struct buf missing = {0};
    bool all = preload_has(now, (const char *const *)want->v, want->n, &missing);
    buf_printf(reason, "shared_preload_libraries = '%.*s'", SLICE_FMT(now));
    if (!all)
        buf_printf(reason, ", without %s", buf_str(&missing));
    buf_free(&missing);
    return all;
}

static enum op_answer see_preload(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    (void)op;
    if (judge_preload(r, seen, reason))
        return OP_DONE;
    buf_adds(reason, ": look into the configuration that the image loads on its second boot (postgresql.override.conf, -c in args)");
    return OP_REFUSE;
}

void move_script_preload_check(struct run *r, struct script *s, enum run_db db)
{
    (void)r;
    script_query(s, "preload", "SHOW shared_preload_libraries", db, "postgres", "SHOW shared_preload_libraries", see_preload);
}

/* Whether it is there without a restart; else the pod that serves now is the one to be replaced. */
static enum op_answer see_preload_now(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    (void)op;
    bool all = judge_preload(r, seen, reason);
    run_set(r, "preload.now", all ? "yes" : "no");
    if (!all)
        run_set(r, "boot.pod", run_fact(r, "pod.server.uid"));
    return OP_DONE;
}

static enum op_answer see_pod_of_boot(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    (void)op;
    (void)reason;
    if (!seen->doc)
        return OP_DONE;
    int64_t grace = jd_num(seen->doc, "spec.terminationGracePeriodSeconds", GRACE_MIN_S);
    run_set_int(r, "pod.server.grace", grace > GRACE_MIN_S ? grace : GRACE_MIN_S);
    return OP_DONE;
}

static enum op_answer see_close(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    (void)op;
    (void)seen;
    (void)reason;
    run_pg_close(r, DB_SERVER);
    return OP_DONE;
}

static void restart_now(struct run *r, struct script *s, struct op *op)
{
    const char *pod = move_fact(r, s, "pod.server.name"), *uid = move_fact(r, s, "boot.pod");
    (void)op;
    script_check(s, "close", "close our own sessions", see_close);
    move_script_gone(r, s, script_fmt(s, "pod/%s", pod), postgres_path_pod(r, pod).p, uid, run_fact_int(r, "pod.server.grace", GRACE_MIN_S), NULL);
    move_script_boot(r, s, "second boot", BOOT_AGAIN);
    move_script_preload_check(r, s, DB_SERVER);
}

static enum op_answer see_preload_done(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    (void)op;
    (void)seen;
    (void)reason;
    run_set(r, "preload.done", run_fact(r, "claim.new.uid"));
    return OP_DONE;
}

/* The pod that ran initdb is deleted, unless it has been replaced already or has the libraries. */
static void preload_rest(struct run *r, struct script *s, struct op *op)
{
    (void)op;
    if (!r->preview && str_eq(run_fact(r, "preload.now"), "yes")) {
        script_check(s, "preload done", "the libraries are loaded", see_preload_done);
        return;
    }
    const char *pod = move_fact(r, s, "pod.server.name");
    script_get(s, "grace", script_fmt(s, "read pod/%s", pod), postgres_path_pod(r, pod).p, see_pod_of_boot);
    script_call(s, "restart now", restart_now, NULL, NULL);
    script_check(s, "preload done", "the libraries are loaded", see_preload_done);
}

/* After a crash the second pod may be on its way or here: the boot finds what serves now. */
static void preload_begin(struct run *r, struct script *s, struct op *op)
{
    (void)op;
    (void)r;
    script_query(s, "preload now", "SHOW shared_preload_libraries", DB_SERVER, "postgres", "SHOW shared_preload_libraries", see_preload_now);
    script_call(s, "restart for preload", preload_rest, NULL, NULL);
}

static enum op_answer see_restarting(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    (void)op;
    (void)reason;
    bool there = seen->doc && str_eq(jd_str(seen->doc, "metadata.uid"), run_fact(r, "boot.pod")) && !jd_str(seen->doc, "metadata.deletionTimestamp");
    run_set(r, "preload.now", there ? "first" : "again");
    buf_adds(reason, there ? "the pod of the first boot" : "the pod of the first boot has gone");
    return OP_DONE;
}

static void preload_which(struct run *r, struct script *s, struct op *op)
{
    if (!r->preview && str_eq(run_fact(r, "preload.now"), "again"))
        move_script_boot(r, s, "second boot found", BOOT_AGAIN);
    preload_begin(r, s, op);
}

void move_script_preload(struct run *r, struct script *s)
{
    if (postgres_spec(r)->restart_for_preload.n == 0) {
        script_check(s, "preload done", "no library wants a restart", see_preload_done);
        return;
    }
    script_get(s, "which pod", "which pod serves", postgres_path_pod(r, move_fact(r, s, "pod.server.name")).p, see_restarting);
    script_call(s, "which", preload_which, NULL, NULL);
}
