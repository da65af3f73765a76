/* Phase "resume apps": the fence is lifted, the applications come back and are judged over HTTP. From its first act on the new copy may
 * be written, and a rollback loses what was written; before that, everything is looked at once more. The old claim becomes the
 * tombstone: its fence stays, and until its retention ends the identifier that serves is compared (safety 6). */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/json_doc.h"
#include "base/mem.h"
#include "base/str.h"
#include "client/pg_conn.h"
#include "migrate/http_judge.h"
#include "migrate/postgres.h"
#include "migrate/postgres_move.h"
#include "world/world.h"

#define HTTP_MS INT64_C(600000)

/* ---- Once more before there is no way back ---- */

/* The pod that serves now, by the deployment's labels: an image of the same tag may be another one (safety 27). */
static enum op_answer see_images(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    const struct json_t *pod = boot_pick(seen->doc, run_fact(r, "claim.new.name"), NULL);
    struct json_t *recorded = run_fact_json(r, "deployment.image"), *now = pod ? postgres_pod_images(pod) : NULL;
    (void)op;
    bool same = now && (!recorded || jd_equal(recorded, now));
    if (!pod)
        buf_adds(reason, "no pod serves the new claim");
    else if (!same) {
        buf_adds(reason, "its image is ");
        jd_dump(now, reason);
        buf_adds(reason, ", the source ran ");
        jd_dump(recorded, reason);
        buf_adds(reason, ": pin the image in the deployment, or override the gate image with a reason");
    } else
        buf_printf(reason, "pod %s, the same image", jd_str(pod, "metadata.name"));
    if (pod && !same && run_override(r, "image")) {
        buf_printf(reason, "; overridden: %s", run_override(r, "image"));
        same = true;
    }
    if (pod && same)
        postgres_note_pod(r, "server", pod);
    jd_free(recorded);
    jd_free(now);
    return pod && same ? OP_DONE : OP_REFUSE;
}

static enum op_answer see_identifier(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    struct slice id = seen->rows ? pg_rows_text(seen->rows, 0, 0) : (struct slice){0};
    (void)op;
    buf_printf(reason, "system identifier %.*s", SLICE_FMT(id));
    if (slice_is(id, run_fact(r, "pg.identifier.new")))
        return OP_DONE;
    buf_printf(reason, " serves, the new database is %s: the deployment was put back on its old claim", run_fact(r, "pg.identifier.new"));
    return OP_REFUSE;
}

void move_script_images(struct run *r, struct script *s, const char *id)
{
    script_get(s, id, "the image is the one that was recorded", postgres_path_pods_of(r, move_fact(r, s, "deployment.selector")).p, see_images);
}

static void script_look(struct run *r, struct script *s)
{
    move_script_look(r, s, "look");
    move_script_retain(r, s, "retain");
    move_script_images(r, s, "images");
    script_query(s, "identifier", "the new database serves", DB_SERVER, NULL, postgres_sql_identifier, see_identifier);
}

/* ---- From here on it is written ---- */

static enum op_answer see_resuming(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    (void)op;
    (void)seen;
    (void)reason;
    if (!run_has(r, "resume.at")) {
        run_set_int(r, "resume.at", clock_plan_ms());
        run_set(r, "apps.stopping", ""); /* what runs from now on is for the next time */
        run_set_int(r, "retain.until", clock_plan_ms() + postgres_spec(r)->retain_ms);
    }
    return OP_DONE;
}

static void script_fence(struct run *r, struct script *s)
{
    const char *value = run_has(r, "inventory.readonly") ? run_fact(r, "inventory.readonly") : "";
    if (r->preview || !run_has(r, "resume.writes"))
        postgres_script_writes(r, s, DB_SERVER, "resume.writes");
    script_check(s, "resuming", "from here on the new copy may be written; the old one is kept until its retention ends", see_resuming);
    move_script_fence(r, s, DB_SERVER, strstr(value, "‹") ? "" : value, "fence.new");
}

/* ---- Judged from outside ---- */

static enum op_answer see_http(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    (void)op;
    (void)seen;
    return http_judge(r, &postgres_spec(r)->http, run_fact_int(r, "apps.back.at", 0), reason);
}

static void script_http(struct run *r, struct script *s)
{
    if (postgres_spec(r)->http.n > 0)
        script_wait(s, "http", "HTTP answers as the plan expects, asked anew", NULL, see_http, HTTP_MS);
    else
        script_check(s, "http", "the plan names nothing to ask over HTTP", see_http);
}

/* ---- The tombstone ---- */

static enum op_answer see_retaining(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    char until[40];
    (void)op;
    (void)seen;
    clock_format_utc(run_fact_int(r, "retain.until", 0), until, sizeof until);
    run_note(r, "GOOD", "%s serves again; claim %s (uid %s) is kept, fenced, until %s", r->workload->name, run_fact(r, "claim.old.name"),
             move_short(r, "claim.old.uid"), until);
    buf_printf(reason, "claim %s is kept until %s", run_fact(r, "claim.old.name"), until);
    return OP_DONE;
}

static void script_tombstone(struct run *r, struct script *s)
{
    move_script_retain(r, s, "still retained");
    script_check(s, "retaining", "the old claim is kept as a tombstone", see_retaining);
}

/* From now on it is the copy that counts: deleting its claim by mistake must not take the volume along. */
static void script_keep(struct run *r, struct script *s)
{
    const char *name = move_fact(r, s, "volume.new.name");
    struct json_t *patch = script_patch_new(move_fact(r, s, "volume.new.uid"));
    script_patch_set(patch, "replace", "/spec/persistentVolumeReclaimPolicy", jd_string("Retain"));
    script_patch(s, "keep the new volume", script_fmt(s, "volume %s: reclaim policy Retain", name), postgres_path_volume(name).p, patch, NULL);
}

static const struct step steps[] = {
    {"look", "once more: image, identifier", script_look},
    {"keep", "the new volume outlives its claim", script_keep},
    {"fence", "the fence is lifted", script_fence},
    {"apps", "the applications come back", move_script_apps_back},
    {"http", "HTTP, from outside", script_http},
    {"tombstone", "the old copy is kept", script_tombstone},
    {NULL, NULL, NULL},
};

static bool may_begin(const struct run *r, struct buf *reason)
{
    if (!move_same(r, "restore.done", "claim.new.uid") || !run_has(r, "verify.done")) {
        buf_adds(reason, "the restored database has not been verified yet");
        return false;
    }
    return postgres_may_begin(r, reason);
}

static void dialog(struct run *r, struct dialog *d)
{
    char age[40];
    const struct plan_strings *apps = &postgres_spec(r)->quiesce;
    int64_t days = postgres_spec(r)->retain_ms / (24 * 60 * 60 * CLOCK_MS_PER_S);
    for (size_t i = 0; i < apps->n; i++)
        dialog_line(d, "will come", str_starts(apps->v[i], "cronjob/") ? "%s, on schedule again" : "%s, back to its replicas", apps->v[i]);
    dialog_line(d, "will go", "the fence on the new server: it is written from here on");
    dialog_line(d, "proof", "objects, rows, sequences, privileges and the login were verified %s ago",
                clock_format_age(clock_plan_ms() - run_fact_int(r, "verify.done", 0), age, sizeof age));
    dialog_line(d, "from", "claim %s  uid %s, kept fenced for %lld days (Retain)", move_say(r, "claim.old.name"), move_short(r, "claim.old.uid"),
                (long long)days);
    dialog_line(d, "lost", "nothing now; a rollback after this loses what is written from here on");
    dialog_line(d, "undo", "rollback with loss: NO WAY BACK BUT FORWARD for what the applications write");
}

const struct phase postgres_phase_resume = {
    .id = "resume",
    .title = "resume apps",
    .stake = STAKE_HARD,
    .steps = steps,
    .may_begin = may_begin,
    .dialog = dialog,
    .begin_at = move_from_the_start, /* which copy serves is looked at again, however long ago it stopped */
    .no_rollback_after = true,
};
