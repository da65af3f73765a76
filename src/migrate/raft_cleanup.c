/* Phase "clean up": after the retention what was left behind goes (safety 30, 31). The claims went with their pods; their volumes are purged
 * by uid and handle of the journal (retired_volume.h), the snapshots of the run but for the newest. What an operator alone knows is typed
 * before: what else lies on those volumes, and what became of the audit logs, which are in no snapshot. Deleting a Retain volume frees
 * nothing, so at the end the places are named until somebody types what was done about them. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/json_doc.h"
#include "base/mem.h"
#include "base/str.h"
#include "migrate/raft_look.h"
#include "migrate/raft_verify.h"
#include "migrate/retired_volume.h"
#include "migrate/snapshot_job.h"
#include "world/world.h"

#define FOREIGN_FILES "foreign-files"
#define AUDIT_LOGS "audit-logs"
#define PLAINTEXT "plaintext"
#define TYPED_MS (INT64_C(30) * 24 * 60 * 60 * 1000) /* how long the places are named before the phase gives up; it can be begun again */

/* The claims that a pod left; an empty list. */
static struct json_t *left_by(const struct run *r, int64_t ordinal) {
    char pod[300];
    snprintf(pod, sizeof pod, "%s-%lld", raft_spec(r)->statefulset, (long long)ordinal);
    const char *turn = raft_turn_of(r, pod);
    return turn ? raft_turn_json(r, turn, "claims.old") : jd_array();
}

/* ---- Nobody needs it ---- */

static void script_look(struct run *r, struct script *s) {
    raft_script_stands(r, s);
    raft_script_voters(r, s);
}

/* ---- The volumes ---- */

static enum op_answer see_purging(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    (void)op;
    (void)seen;
    (void)reason;
    if (!run_has(r, "cleanup.begun")) run_set_int(r, "cleanup.begun", clock_plan_ms());
    return OP_DONE;
}

static void note_place(struct run *r, const char *volume, const char *place) {
    struct json_t *places = run_fact_json(r, "cleanup.places");
    if (!jd_is_object(places)) {
        jd_free(places);
        places = jd_object();
    }
    jd_set(places, volume, jd_string(place));
    run_set_json(r, "cleanup.places", places);
    jd_free(places);
}

static enum op_answer see_nothing(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    (void)r;
    (void)op;
    (void)seen;
    (void)reason;
    return OP_DONE;
}

/* A preview of a run of which nothing is known: what is done to each. */
static void purge_any(struct run *r, struct script *s) {
    struct retired_volume v = {"‹old volume›", "‹its uid›", "‹its handle›", "‹uid of the claim that left it›"};
    retired_script_look(r, s, &v, note_place);
    retired_script_purge(r, s, &v, note_place);
}

typedef void (*script_fn)(struct run *r, struct script *s, const struct retired_volume *v, void (*told)(struct run *r, const char *volume, const char *place));

static void for_each(struct run *r, struct script *s, const struct json_t *claims, script_fn fn) {
    for (size_t i = 0; i < jd_len(claims); i++) {
        const struct json_t *c = jd_at(claims, i);
        struct retired_volume v = {.name = jd_str(c, "volume"), .uid = jd_str(c, "volume_uid"), .handle = jd_str(c, "handle"), .claim_uid = jd_str(c, "uid")};
        if (v.name && v.uid && v.claim_uid) fn(r, s, &v, note_place);
    }
}

/* The phase may begin here again, long after it was looked. All are judged before the first goes. */
static void script_volumes(struct run *r, struct script *s) {
    bool any = false;
    script_look(r, s);
    for (int64_t i = 0; i < raft_replicas(r); i++) {
        struct json_t *claims = left_by(r, i);
        any = any || jd_len(claims) > 0;
        for_each(r, s, claims, retired_script_look);
        jd_free(claims);
    }
    script_check(s, "purging", "from here on there is no rollback", see_purging);
    for (int64_t i = 0; i < raft_replicas(r); i++) {
        struct json_t *claims = left_by(r, i);
        for_each(r, s, claims, retired_script_purge);
        jd_free(claims);
    }
    if (!any && r->preview) purge_any(r, s);
}

/* Volumes of the target class that a pod was on until it was taken back. */
static void script_left(struct run *r, struct script *s) {
    struct json_t *left = run_fact_json(r, "rollback.left");
    size_t n = 0;
    for (size_t i = 0; i < jd_len(left); i++) {
        const struct json_t *c = jd_at(left, i);
        struct retired_volume v = {.name = jd_str(c, "volume"), .uid = jd_str(c, "volume_uid"), .handle = jd_str(c, "handle"), .claim_uid = jd_str(c, "uid")};
        if (!v.name || !v.uid || !v.claim_uid) continue;
        retired_script_discard(r, s, &v);
        n++;
    }
    jd_free(left);
    if (n == 0) script_check(s, "none left", "no rollback left a volume of this run", see_nothing);
}

/* ---- What is left, until somebody says otherwise ---- */

/* Appends the places, each once. False: nothing was left anywhere. */
static bool add_places(const struct run *r, struct buf *out) {
    struct json_t *places = run_fact_json(r, "cleanup.places");
    size_t n = 0;
    for (void *it = places ? jd_iter(places) : NULL; it; it = jd_iter_next(places, it)) {
        const char *place = jd_string_value(jd_iter_value(it));
        buf_printf(out, "%s%s (volume %s)", n++ ? ", " : "", place ? place : "", jd_iter_key(it));
    }
    jd_free(places);
    return n > 0;
}

static enum op_answer see_told(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    struct buf places = {0};
    (void)op;
    (void)seen;
    if (add_places(r, &places)) {
        buf_printf(reason, "plaintext is still on %s", buf_str(&places));
        if (!run_has(r, "cleanup.told"))
            run_note(r, "WARN", "PLAINTEXT IS STILL ON %s: deleting a volume that is Retain frees nothing; remove it there. What else was said to lie in it: %s",
                     buf_str(&places), run_override(r, FOREIGN_FILES) ? run_override(r, FOREIGN_FILES) : "nothing");
        run_set_int(r, "cleanup.told", clock_plan_ms());
    }
    buf_free(&places);
    return OP_DONE;
}

static enum op_answer see_typed(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    struct buf places = {0};
    enum op_answer a = OP_DONE;
    (void)op;
    (void)seen;
    if (r->preview || !add_places(r, &places)) {
        buf_adds(reason, "nothing was left");
    } else if (run_override(r, PLAINTEXT)) {
        buf_printf(reason, "typed: %s", run_override(r, PLAINTEXT));
    } else {
        buf_printf(reason, "PLAINTEXT IS STILL ON %s: remove it there, then override the gate " PLAINTEXT " with what was done as the reason", buf_str(&places));
        a = OP_TODO;
    }
    buf_free(&places);
    return a;
}

static void script_told(struct run *r, struct script *s) {
    (void)r;
    script_check(s, "told", "what is left on the servers", see_told);
    script_wait(s, "typed", "the plaintext is removed, an operator says", NULL, see_typed, TYPED_MS);
}

/* ---- Copies made on the way ---- */

static enum op_answer see_clean(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    (void)op;
    (void)seen;
    (void)reason;
    if (r->preview) return OP_DONE;
    run_set_int(r, "cleanup.done", clock_plan_ms());
    run_note(r, "GOOD", "%s: what was left behind is purged; the newest snapshot stays: %s", r->workload->name, run_has(r, "snapshot.file") ? run_fact(r, "snapshot.file") : "none");
    return OP_DONE;
}

static void script_copies(struct run *r, struct script *s) {
    snapshot_script_purge(r, s);
}

static void script_clean(struct run *r, struct script *s) {
    (void)r;
    script_check(s, "clean", "nothing of the move is left to do", see_clean);
}

static const struct step steps[] = {
    {"look", "nobody needs what was left behind", script_look},
    {"volumes", "the old volumes go", script_volumes},
    {"left", "what a rollback left goes", script_left},
    {"snapshots", "snapshots of the run go, but the newest", script_copies},
    {"told", "what is left on the servers", script_told},
    {"clean", "clean", script_clean},
    {NULL, NULL, NULL},
};

/* ---- Before ---- */

/* Whether a claim that was left held audit logs, by the name of its template. */
static bool left_audit(const struct run *r) {
    bool found = false;
    for (int64_t i = 0; i < raft_replicas(r) && !found; i++) {
        struct json_t *claims = left_by(r, i);
        for (size_t k = 0; k < jd_len(claims); k++) {
            const char *name = jd_str(jd_at(claims, k), "name");
            found = found || (name && strstr(name, "audit"));
        }
        jd_free(claims);
    }
    return found;
}

static bool may_begin(const struct run *r, struct buf *reason) {
    int64_t until = run_fact_int(r, "retain.until", 0), now = clock_plan_ms();
    char text[40], age[40];
    if (!raft_verify_holds(r) || until == 0) {
        buf_adds(reason, "the set has not been verified on the target class yet, as it is now");
        return false;
    }
    if (now < until) {
        clock_format_utc(until, text, sizeof text);
        buf_printf(reason, "the old volumes are kept until %s (%s)", text, clock_format_age(now - until, age, sizeof age));
        return false;
    }
    if (!run_override(r, FOREIGN_FILES)) {
        buf_adds(reason, "what else lies on the old volumes cannot be seen from here: look, then override the gate " FOREIGN_FILES
                         " with what you found as the reason");
        return false;
    }
    if (left_audit(r) && !run_override(r, AUDIT_LOGS)) {
        buf_adds(reason, "the old audit logs are in no snapshot: archive them, then override the gate " AUDIT_LOGS
                         " with where they are, or with the words that they are lost");
        return false;
    }
    return raft_may_begin(r, reason);
}

static void say_volumes(struct run *r, struct dialog *d) {
    for (int64_t i = 0; i < raft_replicas(r); i++) {
        struct json_t *claims = left_by(r, i);
        for (size_t k = 0; k < jd_len(claims); k++) {
            const struct json_t *c = jd_at(claims, k);
            const char *server = jd_str(c, "server"), *path = jd_str(c, "path"), *handle = jd_str(c, "handle");
            dialog_line(d, "will go", "volume %s  uid %s  left by %s: its object; %s%s%s stays on the server until you remove it", jd_str(c, "volume"),
                        raft_short(jd_str(c, "volume_uid")), jd_str(c, "name"), server && path ? server : handle ? handle : "its data",
                        server && path ? ":" : "", server && path ? path : "");
        }
        jd_free(claims);
    }
}

static void dialog(struct run *r, struct dialog *d) {
    char age[40];
    const char *leader = raft_leader(r);
    say_volumes(r, d);
    dialog_line(d, "will go", "snapshots of this run, but the newest (index %s)", run_has(r, "snapshot.index") ? run_fact(r, "snapshot.index") : "not known yet");
    dialog_line(d, "proof", "%s is active; the set was verified on %s %s ago", leader ? leader : "nobody known", r->plan->target_class,
                clock_format_age(clock_plan_ms() - run_fact_int(r, "verify.done", 0), age, sizeof age));
    if (run_override(r, FOREIGN_FILES)) dialog_line(d, "also there", "%s", run_override(r, FOREIGN_FILES));
    if (left_audit(r)) dialog_line(d, "audit logs", "%s", run_override(r, AUDIT_LOGS) ? run_override(r, AUDIT_LOGS) : "not said yet where they are");
    dialog_line(d, "meanwhile", "Vault serves; at the end the places that hold plaintext are named until somebody types what was done about them");
    dialog_line(d, "lost", "the old volumes, for good: this is the end of every rollback to them");
    dialog_line(d, "undo", "none");
}

const struct phase raft_phase_cleanup = {
    .id = "cleanup",
    .title = "clean up",
    .stake = STAKE_PURGE,
    .steps = steps,
    .may_begin = may_begin,
    .dialog = dialog,
    .no_rollback_after = true,
};
