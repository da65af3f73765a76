/* Rollback (design §6): the old claim serves again, unfenced, with the applications as they were; what this run created goes.
 *
 * Each step looks at what is there, so that it begins anywhere: before the swap only the fence and the applications have to be taken
 * back, after it the claim name too. Before resume nothing is lost, since nothing was written to the new copy but the restore. After it
 * the new copy is written: what would be lost is counted first and shown, the applications are stopped and the server is fenced as
 * before a dump, and the new copy is dumped and proved before the name goes back. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/json_doc.h"
#include "base/mem.h"
#include "base/str.h"
#include "client/pg_conn.h"
#include "migrate/dump_job.h"
#include "migrate/postgres.h"
#include "migrate/postgres_move.h"
#include "migrate/postgres_rollback.h"
#include "world/world.h"

#define LOSSES_SHOWN_MS INT64_C(900000) /* how old what the dialog shows may be */
#define LOSSES_LINES 12

static bool is_resumed(const struct run *r)
{
    return run_has(r, "resume.at");
}

/* ---- What would be lost ---- */

struct losing {
    const struct json_t *then, *writes_then, *writes_now;
    struct json_t *out;
    const char *database;
};

static int64_t number_of(const struct json_t *counts, const char *database, const char *table)
{
    return jd_int_value(jd_member(jd_member(counts, database), table), 0);
}

static void lose_table(const struct losing *l, const char *table, int64_t now)
{
    int64_t rows = now - number_of(l->then, l->database, table);
    int64_t writes = number_of(l->writes_now, l->database, table) - number_of(l->writes_then, l->database, table);
    if (rows == 0 && writes <= 0)
        return;
    struct json_t *one = jd_object();
    jd_set(one, "table", jd_string(table));
    jd_set(one, "database", jd_string(l->database));
    jd_set(one, "rows", jd_int(rows));
    jd_set(one, "writes", jd_int(writes > 0 ? writes : 0));
    jd_append(l->out, one);
}

void rollback_losses(const struct json_t *then, const struct json_t *now, const struct json_t *writes_then, const struct json_t *writes_now,
                     struct json_t *ret)
{
    struct json_t *databases = jd_ref((struct json_t *)(uintptr_t)now);
    for (void *it = databases ? jd_iter(databases) : NULL; it; it = jd_iter_next(databases, it)) {
        struct json_t *tables = jd_iter_value(it);
        struct losing l = {then, writes_then, writes_now, ret, jd_iter_key(it)};
        for (void *t = jd_iter(tables); t; t = jd_iter_next(tables, t))
            lose_table(&l, jd_iter_key(t), jd_int_value(jd_iter_value(t), 0));
    }
    jd_free(databases);
}

static bool losses_are_shown(const struct run *r)
{
    return run_has(r, "rollback.losses") && world_now(r->world) - run_fact_int(r, "rollback.losses.at", 0) < LOSSES_SHOWN_MS;
}

/* Whether every table of one list is in the other: what grew was agreed to, a table that nobody saw was not. */
static bool all_in(const struct json_t *losses, const struct json_t *shown)
{
    for (size_t i = 0; i < jd_len(losses); i++) {
        const struct json_t *one = jd_at(losses, i);
        bool found = false;
        for (size_t k = 0; k < jd_len(shown); k++)
            found = found || (str_eq(jd_str(one, "table"), jd_str(jd_at(shown, k), "table")) &&
                              str_eq(jd_str(one, "database"), jd_str(jd_at(shown, k), "database")));
        if (!found)
            return false;
    }
    return true;
}

/* The first try counts and stops: what is lost has to be seen before it is agreed to. */
static enum op_answer see_losses(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    struct json_t *then = run_fact_json(r, "counts"), *now = run_fact_json(r, "counts.now"), *losses = jd_array();
    struct json_t *writes_then = run_fact_json(r, "resume.writes"), *writes_now = run_fact_json(r, "rollback.writes");
    struct json_t *before = run_fact_json(r, "rollback.losses");
    (void)op;
    (void)seen;
    rollback_losses(then, now, writes_then, writes_now, losses);
    bool shown = all_in(losses, losses_are_shown(r) ? before : NULL);
    run_set_json(r, "rollback.losses", losses);
    run_set_int(r, "rollback.losses.at", world_now(r->world));
    buf_printf(reason, "%zu tables were written since the applications came back", jd_len(losses));
    if (!shown)
        buf_adds(reason, ": start the rollback again, its dialog shows what would be lost");
    jd_free(then);
    jd_free(now);
    jd_free(writes_then);
    jd_free(writes_now);
    jd_free(losses);
    jd_free(before);
    return shown ? OP_DONE : OP_REFUSE;
}

/* What shall be gone back to: nothing is left for a claim that somebody has removed. */
static enum op_answer see_old_claim(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    const char *uid = jd_str(seen->doc, "metadata.uid"), *phase = jd_str(seen->doc, "status.phase");
    (void)op;
    if (seen->doc && str_eq(uid, run_fact(r, "claim.old.uid")) && str_eq(phase, "Bound") && !jd_str(seen->doc, "metadata.deletionTimestamp")) {
        buf_printf(reason, "uid %.8s, Bound", uid);
        return OP_DONE;
    }
    buf_printf(reason, "claim %s (uid %s) ", run_fact(r, "claim.old.name"), move_short(r, "claim.old.uid"));
    if (!seen->doc)
        buf_adds(reason, "is not there any more");
    else if (!str_eq(uid, run_fact(r, "claim.old.uid")))
        buf_printf(reason, "was replaced by another one of that name (uid %.8s)", uid);
    else
        buf_printf(reason, "is %s%s", phase ? phase : "in no phase", jd_str(seen->doc, "metadata.deletionTimestamp") ? " and being deleted" : "");
    buf_printf(reason, ": there is nothing to go back to, so the new copy is not left. Bind the kept volume %s to a claim of that name again by "
                       "hand, or go on forward", move_say(r, "volume.old.name"));
    return OP_REFUSE;
}

static void script_old_claim(struct run *r, struct script *s, const char *id)
{
    const char *name = move_fact(r, s, "claim.old.name");
    script_get(s, id, script_fmt(s, "claim %s is there still", name), postgres_path_claim(r, name).p, see_old_claim);
}

static void script_losses(struct run *r, struct script *s)
{
    if (!is_resumed(r) || run_has(r, "rollback.dumped"))
        return;
    script_old_claim(r, s, "old claim");
    move_script_target(r, s, "serving");
    postgres_script_counts(r, s, DB_SERVER, "counts.now");
    postgres_script_writes(r, s, DB_SERVER, "rollback.writes");
    script_check(s, "losses", "what would be lost, per table", see_losses);
}

/* ---- Stopped and kept ---- */

static enum op_answer see_resume_over(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    (void)op;
    (void)seen;
    (void)reason;
    run_set_int(r, "rollback.dumped", clock_plan_ms());
    run_note(r, "WARN", "what was written since the applications came back is in %s", move_say(r, "dump.file"));
    return OP_DONE;
}

/* A superuser may write in spite of the fence, and what it wrote would be in no dump (safety 3). */
static enum op_answer see_unwritten(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    struct buf why = {0};
    (void)op;
    (void)seen;
    if (r->preview)
        return OP_DONE;
    bool equal = postgres_facts_equal(r, "rollback.writes.before", "rollback.writes.after", "after the dump", NULL, &why);
    if (equal)
        buf_adds(reason, "the sums of writes are the same");
    else
        buf_printf(reason, "somebody wrote while the new copy was dumped, in spite of the fence: %s. Find who, stop it, and start the rollback "
                           "again: it dumps again", buf_str(&why));
    buf_free(&why);
    return equal ? OP_DONE : OP_REFUSE;
}

/* As the phases quiesce and dump do it, on the server that serves now. */
static void script_keep(struct run *r, struct script *s)
{
    if (!is_resumed(r) || run_has(r, "rollback.dumped"))
        return;
    for (const struct step *step = postgres_phase_quiesce.steps; step->id; step++)
        step->script(r, s);
    /* A name of its own for each resume: the next dump of the same name takes the place of the last, which may be all there is of what
     * was written between an earlier resume and its rollback. */
    const char *prefix = script_fmt(s, "%s-before-rollback-%s", r->workload->name, run_has(r, "resume.at") ? run_fact(r, "resume.at") : "");
    postgres_script_writes(r, s, DB_SERVER, "rollback.writes.before");
    script_dump(s, "dump new copy", "dump the new copy before it is left", DB_SERVER, prefix);
    script_dump_proof(s, "prove dump", "prove that dump", prefix);
    postgres_script_writes(r, s, DB_SERVER, "rollback.writes.after");
    script_check(s, "unwritten", "nobody wrote meanwhile", see_unwritten);
    script_check(s, "dumped", "the new copy is dumped and proved", see_resume_over);
}

static void stop_rest(struct run *r, struct script *s, struct op *op)
{
    (void)op;
    bool on_new = run_has(r, "seen.claim") && str_eq(run_fact(r, "seen.claim"), postgres_spec(r)->claim.name);
    if (r->preview ? !move_cold(r) && !run_has(r, "claim.new.uid") : !on_new)
        return;
    if (!r->preview && str_eq(run_fact(r, "claim.old.name"), postgres_spec(r)->claim.name))
        return; /* it was so before: preflight refuses that */
    script_old_claim(r, s, "the old claim");
    move_script_halt(r, s);
    move_script_name(r, s, false);
}

/* The target needs no orderly end: it is discarded, or it has been dumped. */
static void script_stop(struct run *r, struct script *s)
{
    if (!r->preview && !run_has(r, "deployment.uid"))
        return;
    move_script_look(r, s, "look");
    script_call(s, "leave the target", stop_rest, NULL, NULL);
}

/* ---- The old server ---- */

/* From here on the identifier that is expected is the old one. */
static enum op_answer see_expect_old(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    static const char *const target[] = {"pg.identifier.new", "target.claim.uid", "boot.begun", "boot.pod", "preload.done",
                                         "restore.begun", "restore.done", "fence.new"};
    (void)op;
    (void)seen;
    (void)reason;
    for (size_t i = 0; i < ARRAY_LEN(target); i++)
        run_set(r, target[i], "");
    postgres_criteria_forget(r);
    return OP_DONE;
}

static void start_rest(struct run *r, struct script *s, struct op *op)
{
    (void)op;
    if (r->preview ? move_cold(r) || run_has(r, "claim.new.uid") : run_fact_int(r, "seen.replicas", 0) == 0)
        move_script_scale_up(r, s);
    move_script_boot(r, s, "old server", BOOT_OLD);
}

static void script_start(struct run *r, struct script *s)
{
    if (!r->preview && (!run_has(r, "deployment.uid") || !run_has(r, "claim.old.name") || !run_has(r, "pg.identifier.old")))
        return;
    script_check(s, "expect the old", "the old identifier is the one that is expected again", see_expect_old);
    move_script_look(r, s, "look again");
    script_call(s, "start the old server", start_rest, NULL, NULL);
}

static void script_fence(struct run *r, struct script *s)
{
    if (!r->preview && !run_has(r, "inventory"))
        return;
    const char *value = run_has(r, "inventory.readonly") ? run_fact(r, "inventory.readonly") : "";
    move_script_fence(r, s, DB_SERVER, value, "fence.old");
}

/* ---- What this run created ---- */

/* We may have ended between the request that made the claim and the note of its uid: then the annotation says that it is ours. */
static enum op_answer see_unnoted(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    const char *run = jd_string_value(jd_member(jd_get(seen->doc, "metadata.annotations"), "ferryman.io/run"));
    const char *uid = jd_str(seen->doc, "metadata.uid");
    (void)op;
    if (!seen->doc || !run || !str_eq(run, r->id) || str_eq(uid, run_fact(r, "claim.old.uid"))) {
        buf_adds(reason, seen->doc ? "not made by this run: it stays" : "not there");
        return OP_DONE;
    }
    run_set(r, "claim.new.name", jd_str(seen->doc, "metadata.name"));
    run_set(r, "claim.new.uid", uid);
    buf_printf(reason, "uid %.8s, made by this run", uid);
    return OP_DONE;
}

static void discard_rest(struct run *r, struct script *s, struct op *op)
{
    (void)op;
    if (move_cold(r) || run_has(r, "claim.new.uid"))
        move_script_claim_away(r, s, "new");
}

static void script_discard(struct run *r, struct script *s)
{
    const char *name = postgres_spec(r)->claim.name;
    if (!run_has(r, "claim.new.uid"))
        script_get(s, "unnoted claim", script_fmt(s, "whether this run has made claim/%s", name), postgres_path_claim(r, name).p, see_unnoted);
    script_call(s, "target", discard_rest, NULL, NULL);
}

static enum op_answer see_rolled_back(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    (void)op;
    (void)seen;
    run_set_int(r, "rolled_back.at", clock_plan_ms());
    run_set(r, "resume.at", "");
    run_set(r, "retain.until", "");
    run_note(r, "GOOD", "%s is back on claim %s (uid %s), system identifier %s", r->workload->name, move_say(r, "claim.old.name"),
             move_short(r, "claim.old.uid"), move_say(r, "pg.identifier.old"));
    buf_printf(reason, "system identifier %s", move_say(r, "pg.identifier.old"));
    return OP_DONE;
}

static void script_end(struct run *r, struct script *s)
{
    (void)r;
    script_check(s, "rolled back", "everything is as it was", see_rolled_back);
}

static const struct step steps[] = {
    {"losses", "what would be lost", script_losses}, /* only looks: .looks */
    {"keep", "the new copy is dumped first", script_keep},
    {"stop", "the target is left, the old name back", script_stop},
    {"start", "the old server", script_start},
    {"fence", "its fence is lifted", script_fence},
    {"apps", "the applications come back", move_script_apps_back},
    {"scratch", "what a rehearsal left goes", rehearse_script_remove},
    {"discard", "the target goes", script_discard},
    {"end", "as it was", script_end},
    {NULL, NULL, NULL},
};

static bool may_begin(const struct run *r, struct buf *reason)
{
    if (run_has(r, "cleanup.begun")) {
        buf_adds(reason, "the old copy has been purged: there is nothing to go back to; restore a dump");
        return false;
    }
    if (!run_has(r, "deployment.uid")) {
        buf_adds(reason, "nothing has been done yet");
        return false;
    }
    return postgres_plan_holds(r, reason);
}

static void show_losses(struct run *r, struct dialog *d)
{
    struct json_t *losses = run_fact_json(r, "rollback.losses");
    char age[24];
    for (size_t i = 0; i < jd_len(losses) && i < LOSSES_LINES; i++)
        dialog_line(d, "lost", "%s %s: %+lld rows, %lld writes", jd_str(jd_at(losses, i), "database"), jd_str(jd_at(losses, i), "table"),
                    (long long)jd_num(jd_at(losses, i), "rows", 0), (long long)jd_num(jd_at(losses, i), "writes", 0));
    if (jd_len(losses) > LOSSES_LINES)
        dialog_line(d, "lost", "… and in %zu more tables", jd_len(losses) - LOSSES_LINES);
    if (jd_len(losses) == 0)
        dialog_line(d, "lost", "nothing was written when it was counted");
    dialog_line(d, "counted", "%s ago; what is written from now on is lost, too", clock_format_age(world_now(r->world) - run_fact_int(r, "rollback.losses.at", 0),
                                                                                             age, sizeof age));
    jd_free(losses);
}

static void dialog(struct run *r, struct dialog *d)
{
    bool swapped = run_has(r, "claim.new.uid");
    dialog_line(d, "will come", "claim %s  uid %s, system identifier %s, fence lifted", move_say(r, "claim.old.name"), move_short(r, "claim.old.uid"),
                move_say(r, "pg.identifier.old"));
    if (swapped)
        dialog_line(d, "will go", "claim %s  uid %s, which this run created, and its volume", move_say(r, "claim.new.name"), move_short(r, "claim.new.uid"));
    if (run_has(r, "apps"))
        dialog_line(d, "will come", "the applications, with the replicas and schedules that were recorded");
    if (!is_resumed(r)) {
        dialog_line(d, "lost", "nothing: the old database has not been written since its fence%s", run_has(r, "fence.old") ? "" : " (it has none)");
    } else if (losses_are_shown(r)) {
        dialog_line(d, "meanwhile", "the applications are stopped, and the new copy is dumped and proved first");
        show_losses(r, d);
    } else {
        dialog_line(d, "lost", "what was written since the applications came back: the first try counts it and stops, the next dialog shows it");
    }
    dialog_line(d, "undo", "begin with preflight again");
}

const struct phase postgres_phase_rollback = {
    .id = "rollback",
    .title = "rollback",
    .stake = STAKE_HARD,
    .steps = steps,
    .may_begin = may_begin,
    .dialog = dialog,
    .begin_at = move_from_the_start,
    .looks = 1,
};
