/* Phase "rehearse" (safety 11): everything from first boot to verify, on a scratch claim of the target class, with the pod that the
 * deployment would create, under labels that no service selects, while the old server still serves. Every surprise is met before the
 * downtime, and how long it took is what the dialogs say of the real thing.
 *
 * What is made here is removed at the end, by uid; what a failed try left is removed by the next one, by rollback and by clean up: it is
 * looked for under its one name, and is ours when it carries this run's annotation. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/json_doc.h"
#include "base/mem.h"
#include "base/str.h"
#include "migrate/dump_job.h"
#include "migrate/postgres.h"
#include "migrate/postgres_cleanup.h"
#include "migrate/postgres_move.h"
#include "migrate/postgres_rehearse.h"
#include "migrate/postgres_rollback.h"
#include "migrate/restore_job.h"

#define GRACE_MIN_S 30

static const char *scratch_name(const struct run *r, struct script *s)
{
    char name[64];
    return script_fmt(s, "%s", postgres_scratch_name(r, name, sizeof name));
}

/* ---- What is left of a former try ---- */

static bool is_ours(const struct run *r, const struct json_t *doc)
{
    return str_eq(jd_string_value(jd_member(jd_get(doc, "metadata.annotations"), "ferryman.io/run")), r->id);
}

static enum op_answer note_left(struct run *r, const struct seen *seen, const char *prefix, struct buf *reason)
{
    char name[64], uid[64];
    snprintf(name, sizeof name, "%s.name", prefix);
    snprintf(uid, sizeof uid, "%s.uid", prefix);
    if (seen->doc && !is_ours(r, seen->doc)) {
        buf_printf(reason, "%s is there, but was not made by this run: remove it, or give the workload another name", jd_str(seen->doc, "metadata.name"));
        return OP_REFUSE;
    }
    run_set(r, name, seen->doc ? jd_str(seen->doc, "metadata.name") : "");
    run_set(r, uid, seen->doc ? jd_str(seen->doc, "metadata.uid") : "");
    buf_adds(reason, seen->doc ? "left of a former try" : "none");
    return OP_DONE;
}

static enum op_answer see_left_pod(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    (void)op;
    return note_left(r, seen, "pod.scratch", reason);
}

static enum op_answer see_left_claim(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    (void)op;
    return note_left(r, seen, "claim.scratch", reason);
}

static enum op_answer see_removed(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    static const char *const facts[] = {"pod.scratch.name", "pod.scratch.uid", "pod.scratch.ip", "pod.scratch.restarts", "pg.identifier.scratch",
                                        "boot.scratch", "rehearse.fresh", "rehearse.expected", "rehearse.dump.file", "rehearse.begun"};
    (void)op;
    (void)seen;
    (void)reason;
    for (size_t i = 0; i < ARRAY_LEN(facts); i++)
        run_set(r, facts[i], "");
    return OP_DONE;
}

static enum op_answer see_closed(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    (void)op;
    (void)seen;
    (void)reason;
    run_pg_close(r, DB_SCRATCH);
    return OP_DONE;
}

static void remove_rest(struct run *r, struct script *s, struct op *op)
{
    (void)op;
    if (r->preview || run_has(r, "pod.scratch.uid")) {
        const char *pod = scratch_name(r, s);
        move_script_gone(r, s, script_fmt(s, "pod/%s", pod), postgres_path_pod(r, pod).p, move_fact(r, s, "pod.scratch.uid"), GRACE_MIN_S, NULL);
    }
    if (r->preview || run_has(r, "claim.scratch.uid"))
        move_script_claim_away(r, s, "scratch");
    cleanup_script_purge(r, s, "scratch dump", "rehearse.dump.file");
    script_check(s, "removed", "nothing of the rehearsal is left", see_removed);
}

static void remove_all(struct run *r, struct script *s)
{
    const char *name = scratch_name(r, s);
    script_check(s, "close scratch", "close our own sessions", see_closed);
    script_get(s, "scratch pod", script_fmt(s, "look for pod/%s", name), postgres_path_pod(r, name).p, see_left_pod);
    script_get(s, "scratch claim", script_fmt(s, "look for claim/%s", name), postgres_path_claim(r, name).p, see_left_claim);
    script_call(s, "remove scratch", remove_rest, NULL, NULL);
}

void rehearse_script_remove(struct run *r, struct script *s)
{
    if (run_has(r, "rehearse.begun"))
        remove_all(r, s);
}

/* ---- Claim and pod ---- */

static enum op_answer see_rehearsing(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    (void)op;
    (void)seen;
    (void)reason;
    run_set_int(r, "rehearse.begun", clock_wall_ms());
    return OP_DONE;
}

static enum op_answer see_claim(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    (void)op;
    if (!seen->doc || jd_str(seen->doc, "metadata.deletionTimestamp")) {
        buf_adds(reason, "it is not there, or on its way out");
        return OP_REFUSE;
    }
    run_set(r, "claim.scratch.name", jd_str(seen->doc, "metadata.name"));
    run_set(r, "claim.scratch.uid", jd_str(seen->doc, "metadata.uid"));
    buf_printf(reason, "uid %.8s", jd_str(seen->doc, "metadata.uid"));
    return OP_DONE;
}

static void script_claim(struct run *r, struct script *s)
{
    const char *name = scratch_name(r, s);
    move_script_look(r, s, "look");
    move_script_source(r, s, "source");
    rehearse_script_remove(r, s);
    script_check(s, "rehearsing", "a rehearsal begins", see_rehearsing);
    script_create(s, "scratch claim made", script_fmt(s, "create claim/%s on %s", name, r->plan->target_class), postgres_path_claims(r).p,
                  postgres_claim_object(r, name), NULL);
    script_get(s, "scratch claim noted", "note its uid", postgres_path_claim(r, name).p, see_claim);
}

struct json_t *rehearse_pod(const struct run *r, const struct json_t *deployment, const char *name)
{
    struct json_t *pod = postgres_object_new(r, "v1", "Pod", name), *spec = jd_get(deployment, "spec.template.spec");
    struct json_t *annotations = jd_get(deployment, "spec.template.metadata.annotations"), *mine = jd_get(pod, "metadata.annotations");
    spec = spec ? jd_copy(spec) : jd_object();
    for (void *it = annotations ? jd_iter(annotations) : NULL; it; it = jd_iter_next(annotations, it))
        if (!jd_member(mine, jd_iter_key(it)))
            jd_set(mine, jd_iter_key(it), jd_copy(jd_iter_value(it)));
    jd_set(jd_get(pod, "metadata.labels"), "ferryman.io/scratch", jd_string(r->workload->name));
    struct json_t *volumes = jd_get(spec, "volumes");
    for (size_t i = 0; i < jd_len(volumes); i++) {
        struct json_t *v = jd_at(volumes, i);
        if (str_eq(jd_str(v, "name"), postgres_spec(r)->volume)) {
            jd_put(v, "persistentVolumeClaim.claimName", jd_string(name));
        } else if (jd_get(v, "persistentVolumeClaim")) { /* nobody else's claim is touched */
            jd_del(v, "persistentVolumeClaim");
            jd_set(v, "emptyDir", jd_object());
        }
    }
    jd_set(pod, "spec", spec);
    return pod;
}

/* The deployment as it is now, for the pod that is made of it; never noted, for it may hold secrets in its environment. */
struct blueprint {
    unsigned refs;
    struct json_t *deployment;
};

static void blueprint_unref(void *data)
{
    struct blueprint *b = data;
    if (--b->refs)
        return;
    jd_free(b->deployment);
    mem_free(b);
}

static enum op_answer see_blueprint(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    struct blueprint *b = op->data;
    if (!seen->doc || !postgres_volume_claim(postgres_pod_spec(seen->doc), postgres_spec(r)->volume)) {
        buf_printf(reason, "deployment/%s has no volume %s on a claim", postgres_spec(r)->deployment, postgres_spec(r)->volume);
        return OP_REFUSE;
    }
    jd_free(b->deployment);
    b->deployment = jd_copy(seen->doc);
    return OP_DONE;
}

static enum op_answer see_pod(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    (void)op;
    if (!seen->doc || jd_str(seen->doc, "metadata.deletionTimestamp")) {
        buf_adds(reason, "it is not there, or on its way out");
        return OP_REFUSE;
    }
    run_set(r, "pod.scratch.name", jd_str(seen->doc, "metadata.name"));
    run_set(r, "pod.scratch.uid", jd_str(seen->doc, "metadata.uid"));
    int64_t grace = jd_num(seen->doc, "spec.terminationGracePeriodSeconds", GRACE_MIN_S);
    run_set_int(r, "pod.scratch.grace", grace > GRACE_MIN_S ? grace : GRACE_MIN_S);
    buf_printf(reason, "uid %.8s", jd_str(seen->doc, "metadata.uid"));
    return OP_DONE;
}

static void pod_rest(struct run *r, struct script *s, struct op *op)
{
    const struct blueprint *b = op->data;
    const char *name = scratch_name(r, s);
    struct op *made = script_create(s, "scratch pod made", script_fmt(s, "create pod/%s like the deployment's, on the scratch claim", name),
                                    postgres_path_pods(r).p, rehearse_pod(r, b->deployment, name), NULL);
    made->dry = b->deployment != NULL; /* before it was read there is no pod to be tried; preflight has tried it */
    script_get(s, "scratch pod noted", "note its uid", postgres_path_pod(r, name).p, see_pod);
}

static void script_pod(struct run *r, struct script *s)
{
    struct blueprint *b = MEM_NEW(struct blueprint);
    b->refs = 2;
    struct op *op = script_get(s, "blueprint", "the pod that the deployment would create now", postgres_path_deployment(r).p, see_blueprint);
    op->data = b;
    op->drop = blueprint_unref;
    script_call(s, "scratch pod", pod_rest, b, blueprint_unref);
}

/* ---- The server on it ---- */

static enum op_answer see_boot_time(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    (void)op;
    (void)seen;
    int64_t s = (clock_wall_ms() - run_fact_int(r, "rehearse.begun", clock_wall_ms())) / CLOCK_MS_PER_S;
    run_set_int(r, "rehearse.seconds.boot", s);
    buf_printf(reason, "%lld s", (long long)s);
    return OP_DONE;
}

static void script_boot(struct run *r, struct script *s)
{
    script_pod(r, s);
    move_script_boot(r, s, "scratch boot", BOOT_SCRATCH);
    script_check(s, "boot time", "how long it took", see_boot_time);
}

static enum op_answer see_expected(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    struct json_t *fresh = run_fact_json(r, "rehearse.fresh");
    struct buf list = {0};
    (void)op;
    (void)seen;
    restore_expected(fresh, &list);
    run_set(r, "rehearse.expected", buf_str(&list));
    buf_printf(reason, "errors that are expected: %s", buf_str(&list));
    buf_free(&list);
    jd_free(fresh);
    return OP_DONE;
}

static void script_fresh(struct run *r, struct script *s)
{
    move_script_fresh(r, s, DB_SCRATCH, "rehearse.fresh");
    script_check(s, "expected", "which errors are expected of a fresh cluster", see_expected);
}

static void second_pod(struct run *r, struct script *s, struct op *op)
{
    const char *name = scratch_name(r, s);
    (void)op;
    script_check(s, "close for restart", "close our own sessions", see_closed);
    move_script_gone(r, s, script_fmt(s, "pod/%s", name), postgres_path_pod(r, name).p, move_fact(r, s, "boot.scratch"),
                     run_fact_int(r, "pod.scratch.grace", GRACE_MIN_S), NULL);
    script_pod(r, s);
    move_script_boot(r, s, "scratch boots again", BOOT_SCRATCH_AGAIN);
    move_script_preload_check(r, s, DB_SCRATCH);
}

static void script_preload(struct run *r, struct script *s)
{
    if (postgres_spec(r)->restart_for_preload.n > 0)
        script_call(s, "restart scratch", second_pod, NULL, NULL);
    else
        script_check(s, "no preload", "no library wants a restart", see_closed);
}

/* ---- Dump, restore, verify ---- */

static const char rehearsal[] = "rehearsal";

static void script_dump_live(struct run *r, struct script *s)
{
    (void)r;
    script_dump(s, "dump", "dump the live database", DB_SERVER, rehearsal);
    script_dump_proof(s, "prove", "prove that dump", rehearsal);
}

static void script_restore_it(struct run *r, struct script *s)
{
    restore_script_lock(r, s, DB_SCRATCH);
    script_restore(s, "restore", "restore it into the scratch server", DB_SCRATCH, "@rehearse.expected");
}

static enum op_answer see_rows(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    struct json_t *dumped = run_fact_json(r, "rehearse.dump.rows"), *restored = run_fact_json(r, "rehearse.counts");
    (void)op;
    (void)seen;
    bool same = dumped && restored && postgres_counts_equal(dumped, restored, "restored", NULL, reason);
    run_set(r, "rehearse.counts", "");
    jd_free(dumped);
    jd_free(restored);
    return same ? OP_DONE : OP_REFUSE;
}

static enum op_answer see_valid(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    struct json_t *inventory = run_fact_json(r, "rehearse.inventory"), *invalid = jd_array();
    (void)op;
    (void)seen;
    restore_reindex_needed(inventory, invalid);
    for (size_t i = 0; i < jd_len(invalid); i++)
        run_note(r, "WARN", "rehearsal: index %s in database %s is not valid after the restore; the phase reindex will build it again",
                 jd_str(jd_at(invalid, i), "index"), jd_str(jd_at(invalid, i), "database"));
    buf_printf(reason, "%zu indexes are not valid", jd_len(invalid));
    run_set(r, "rehearse.inventory", "");
    jd_free(invalid);
    jd_free(inventory);
    return OP_DONE;
}

static void script_verify(struct run *r, struct script *s)
{
    postgres_script_counts(r, s, DB_SCRATCH, "rehearse.counts");
    script_check(s, "rows", "every row of the dump is there", see_rows);
    postgres_script_inventory(r, s, DB_SCRATCH, "rehearse.inventory");
    script_check(s, "valid", "indexes are valid", see_valid);
}

/* ---- The end ---- */

static enum op_answer see_rehearsed(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    int64_t begun = run_fact_int(r, "rehearse.begun", 0), now = clock_wall_ms();
    (void)op;
    (void)seen;
    if (begun > 0)
        run_set_int(r, "rehearse.seconds.total", (now - begun + CLOCK_MS_PER_S - 1) / CLOCK_MS_PER_S);
    if (run_has(r, "rehearse.dump.seconds"))
        run_set(r, "rehearse.seconds.dump", run_fact(r, "rehearse.dump.seconds"));
    run_set_int(r, "rehearse.done", now);
    buf_printf(reason, "%lld s in all", (long long)run_fact_int(r, "rehearse.seconds.total", 0));
    return OP_DONE;
}

static void script_end(struct run *r, struct script *s)
{
    script_check(s, "rehearsed", "how long it took", see_rehearsed);
    remove_all(r, s);
}

static const struct step steps[] = {
    {"claim", "a scratch claim", script_claim},
    {"boot", "first boot", script_boot},
    {"fresh", "empty, like the source", script_fresh},
    {"preload", "restart for preload", script_preload},
    {"dump", "dump the live database", script_dump_live},
    {"restore", "restore", script_restore_it},
    {"verify", "verify", script_verify},
    {"end", "everything of it goes", script_end},
    {NULL, NULL, NULL},
};

static bool may_begin(const struct run *r, struct buf *reason)
{
    if (!run_has(r, "inventory")) {
        buf_adds(reason, "the inventory is not known: run it first");
        return false;
    }
    return postgres_may_begin(r, reason);
}

static void dialog(struct run *r, struct dialog *d)
{
    char name[64];
    const char *scratch = postgres_scratch_name(r, name, sizeof name);
    dialog_line(d, "will come", "claim %s, %lld GiB on %s, and pod %s: what the deployment would create, under other labels", scratch,
                (long long)(postgres_spec(r)->claim.size >> 30), r->plan->target_class, scratch);
    dialog_line(d, "meanwhile", "the database serves as ever; the dump is one more reader of it");
    dialog_line(d, "will go", "claim, volume, pod and dump of the rehearsal, at its end");
    dialog_line(d, "undo", "not needed: nothing that is there now is touched");
}

const struct phase postgres_phase_rehearse = {
    .id = "rehearse",
    .title = "rehearse",
    .stake = STAKE_REVERSIBLE,
    .steps = steps,
    .optional = true,
    .may_begin = may_begin,
    .dialog = dialog,
    .begin_at = move_from_the_start,
};
