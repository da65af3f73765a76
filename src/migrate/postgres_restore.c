/* Phase "restore": the proved dump into the fresh cluster.
 *
 * It begins by looking whether the target is still what the first boot and the restart left: a restore that was interrupted, or a pod
 * that was replaced or restarted, discards it (safety 9), and it is made again from an empty claim. Nothing is ever continued in a
 * half-restored database. An advisory lock is held meanwhile by a session of our own, and backends of a former holder of this run are
 * ended first (safety 25). */
#include <stdio.h>
#include <string.h>

#include "base/json_doc.h"
#include "base/mem.h"
#include "base/str.h"
#include "client/pg_conn.h"
#include "migrate/postgres.h"
#include "migrate/postgres_move.h"
#include "migrate/restore_job.h"
#include "world/world.h"

#define LOCK_KEY "x'66657272796d616e'::bigint" /* "ferryman" */
#define BACKENDS_GONE_MS INT64_C(60000)

static bool is_done(const struct run *r)
{
    return move_same(r, "restore.done", "claim.new.uid");
}

/* ---- The target ---- */

/* Notes in target.moved why the pod is not the one that was proved ("": it is). */
static enum op_answer see_same_pod(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    char why[160] = "";
    (void)op;
    if (!seen->doc || !str_eq(jd_str(seen->doc, "metadata.uid"), run_fact(r, "pod.server.uid")))
        snprintf(why, sizeof why, "its pod was replaced");
    else if (postgres_pod_restarts(seen->doc) != run_fact_int(r, "pod.server.restarts", 0))
        snprintf(why, sizeof why, "its server was restarted (%lld restarts, %lld before)", (long long)postgres_pod_restarts(seen->doc),
                 (long long)run_fact_int(r, "pod.server.restarts", 0));
    run_set(r, "target.moved", why);
    buf_adds(reason, why[0] ? why : "the same pod, not restarted");
    return OP_DONE;
}

static enum op_answer see_unmoved(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    enum op_answer a = see_same_pod(r, op, seen, reason);
    if (a != OP_DONE || !run_has(r, "target.moved"))
        return a;
    buf_adds(reason, ": what was restored cannot be trusted; run the phase again, it discards this claim and begins with an empty one");
    return OP_REFUSE;
}

static void script_same_pod(struct run *r, struct script *s, const char *id, op_see_fn see)
{
    const char *pod = move_fact(r, s, "pod.server.name");
    script_get(s, id, script_fmt(s, "pod %s is still the one that was proved", pod), postgres_path_pod(r, pod).p, see);
}

static void again_preload(struct run *r, struct script *s, struct op *op)
{
    (void)op;
    move_script_preload(r, s);
}

/* From an empty claim again: what swap and preload did, in one go. */
static void again(struct run *r, struct script *s, struct op *op)
{
    (void)op;
    move_script_claim(r, s);
    move_script_first_boot(r, s);
    move_script_fence(r, s, DB_SERVER, "on", "fence.new");
    move_script_fresh(r, s, DB_SERVER, "fresh.inventory");
    script_call(s, "preload again", again_preload, NULL, NULL);
}

static void target_rest(struct run *r, struct script *s, struct op *op)
{
    const char *why = NULL;
    (void)op;
    bool interrupted = move_interrupted(r, &why), moved = run_has(r, "target.moved") && !is_done(r);
    if (r->preview || (!interrupted && !moved && run_has(r, "target.claim.uid")))
        return;
    move_script_discard(r, s, interrupted ? why : moved ? run_fact(r, "target.moved") : "it had no first boot");
    script_call(s, "again", again, NULL, NULL);
}

static void script_target(struct run *r, struct script *s)
{
    if (is_done(r) && !r->preview)
        return;
    script_same_pod(r, s, "same pod", see_same_pod);
    script_call(s, "target", target_rest, NULL, NULL);
}

/* ---- What is expected ---- */

static enum op_answer see_expected(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    struct json_t *fresh = run_fact_json(r, "restore.inventory");
    struct buf list = {0};
    (void)op;
    (void)seen;
    if (!fresh)
        return OP_REFUSE;
    restore_expected(fresh, &list);
    run_set(r, "restore.expected", buf_str(&list));
    run_set(r, "restore.inventory", "");
    buf_printf(reason, "errors that are expected: %s", buf_str(&list));
    buf_free(&list);
    jd_free(fresh);
    return OP_DONE;
}

static void script_expected(struct run *r, struct script *s)
{
    if (is_done(r) && !r->preview)
        return;
    postgres_script_inventory(r, s, DB_SERVER, "restore.inventory");
    script_check(s, "expected", "which errors are expected of a fresh cluster", see_expected);
}

/* ---- The restore ---- */

static enum op_answer see_locked(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    (void)r;
    (void)op;
    if (seen->rows && pg_rows_bool(seen->rows, 0, 0, false))
        return OP_DONE;
    buf_adds(reason, "somebody else holds the advisory lock \"ferryman\" on the target");
    return OP_REFUSE;
}

static enum op_answer see_no_backends(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    int64_t n = seen->rows ? pg_rows_int(seen->rows, 0, 0, -1) : -1;
    (void)r;
    (void)op;
    if (n != 0)
        buf_printf(reason, "%lld backends of this run are left", (long long)n);
    return n == 0 ? OP_DONE : OP_TODO;
}

static enum op_answer see_begun(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    (void)op;
    (void)seen;
    (void)reason;
    if (move_same(r, "restore.begun", "claim.new.uid")) {
        buf_adds(reason, "a restore into this claim was begun before: run the phase again, it begins with an empty one");
        return OP_REFUSE;
    }
    run_set(r, "restore.begun", run_fact(r, "claim.new.uid"));
    return OP_DONE;
}

static enum op_answer see_restored(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    (void)op;
    (void)seen;
    (void)reason;
    run_set(r, "restore.done", run_fact(r, "claim.new.uid"));
    return OP_DONE;
}

void restore_script_lock(struct run *r, struct script *s, enum run_db db)
{
    (void)r;
    script_sql(s, "former backends", "end what a former holder of this run left on the server", db, "postgres",
               r->preview ? "SELECT pg_terminate_backend(…)" : run_pg_sql_end_backends(r),
               r->preview ? "SELECT count(*)" : run_pg_sql_count_backends(r), see_no_backends);
    script_wait_query(s, "no backends", "no backend of this run is left", db, "postgres",
                      r->preview ? "SELECT count(*)" : run_pg_sql_count_backends(r), see_no_backends, BACKENDS_GONE_MS);
    script_query(s, "advisory lock", "hold an advisory lock on the target", db, "postgres", "SELECT pg_try_advisory_lock(" LOCK_KEY ")",
                 see_locked)
        ->hold = true;
}

static void script_restore_it(struct run *r, struct script *s)
{
    if (is_done(r) && !r->preview)
        return;
    restore_script_lock(r, s, DB_SERVER);
    script_check(s, "begun", "a restore into this claim begins: from here on an interruption discards it", see_begun);
    script_restore(s, "restore", "restore the dump", DB_SERVER, "@restore.expected");
    script_same_pod(r, s, "still the same pod", see_unmoved);
    script_check(s, "restored", "the whole dump is in", see_restored);
}

/* ---- Statistics, and what must be built again ---- */

static enum op_answer see_analyzed(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    int64_t n = seen->rows ? pg_rows_int(seen->rows, 0, 0, -1) : -1;
    (void)r;
    (void)op;
    if (n == 0)
        buf_adds(reason, "every table has statistics");
    return n == 0 ? OP_DONE : OP_TODO;
}

static void analyze_database(void *arg, const char *database)
{
    struct script *s = arg;
    script_sql(s, script_fmt(s, "analyze %s", database), script_fmt(s, "ANALYZE in database %s", database), DB_SERVER, database, "ANALYZE",
               "SELECT count(*) FROM pg_stat_user_tables WHERE last_analyze IS NULL AND last_autoanalyze IS NULL", see_analyzed);
}

static void script_analyze(struct run *r, struct script *s)
{
    struct json_t *inventory = run_fact_json(r, "inventory");
    move_script_target(r, s, "target");
    if (inventory)
        move_each_database(inventory, analyze_database, s);
    else
        analyze_database(s, "‹each database›");
    jd_free(inventory);
}

void restore_reindex_needed(const struct json_t *inventory, struct json_t *ret)
{
    struct json_t *all = jd_get(inventory, "invalid_indexes");
    for (void *it = all ? jd_iter(all) : NULL; it; it = jd_iter_next(all, it)) {
        const struct json_t *list = jd_iter_value(it);
        for (size_t i = 0; i < jd_len(list); i++) {
            struct json_t *one = jd_object();
            jd_set(one, "database", jd_string(jd_iter_key(it)));
            jd_set(one, "index", jd_string(jd_string_value(jd_at(list, i))));
            jd_append(ret, one);
        }
    }
}

static enum op_answer see_indexes(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    struct json_t *inventory = run_fact_json(r, "restore.inventory"), *needed = jd_array();
    (void)op;
    (void)seen;
    restore_reindex_needed(inventory, needed);
    run_set_json(r, "reindex.needed", needed);
    run_set(r, "reindex.todo", "");
    run_set(r, "restore.inventory", "");
    buf_printf(reason, "%zu indexes are not valid", jd_len(needed));
    jd_free(needed);
    jd_free(inventory);
    return OP_DONE;
}

static void script_indexes(struct run *r, struct script *s)
{
    postgres_script_inventory(r, s, DB_SERVER, "restore.inventory");
    script_check(s, "indexes", "which indexes must be built again", see_indexes);
}

static const struct step steps[] = {
    {"target", "the target is untouched", script_target},
    {"expected", "what a fresh cluster will refuse", script_expected},
    {"restore", "restore", script_restore_it},
    {"analyze", "analyze", script_analyze},
    {"indexes", "look at the indexes", script_indexes},
    {NULL, NULL, NULL},
};

static bool may_begin(const struct run *r, struct buf *reason)
{
    if (run_has(r, "dump.file") && run_has(r, "dump.proved_at"))
        return postgres_may_begin(r, reason);
    buf_adds(reason, "there is no proved dump");
    return false;
}

static void dialog(struct run *r, struct dialog *d)
{
    const char *why;
    dialog_line(d, "will come", "%lld bytes of %s into claim %s, system identifier %s", (long long)run_fact_int(r, "dump.bytes", 0),
                move_say(r, "dump.file"), move_say(r, "claim.new.name"), move_say(r, "pg.identifier.new"));
    if (move_interrupted(r, &why))
        dialog_line(d, "will go", "the target claim uid %s, for %s: it is discarded and made again, empty", move_short(r, "claim.new.uid"), why);
    dialog_line(d, "rule", "stops at the first error that a fresh cluster does not make certain; then the target is discarded, never continued");
    dialog_line(d, "undo", "rollback, as before: the old claim is untouched");
}

static int64_t estimate(const struct run *r)
{
    return 1000 * run_fact_int(r, "rehearse.seconds.restore", 0);
}

const struct phase postgres_phase_restore = {
    .id = "restore",
    .title = "restore",
    .stake = STAKE_REVERSIBLE,
    .steps = steps,
    .may_begin = may_begin,
    .dialog = dialog,
    .begin_at = move_from_the_start,
    .estimate_ms = estimate,
};
