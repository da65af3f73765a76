/* Claims and volumes of a move: the old volume is kept, the target claim comes, the deployment names it, a target that was interrupted
 * goes again.
 *
 * Only what this run created is ever deleted here, by the uid that was noted when it was created (safety 9, design §6 rule 1); the old
 * claim is not touched but for its volume's reclaim policy. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/json_doc.h"
#include "base/mem.h"
#include "base/str.h"
#include "migrate/postgres.h"
#include "migrate/postgres_move.h"

#define EXTERNAL_MS (INT64_C(24) * 60 * 60 * 1000)
#define BOUND_MS INT64_C(300000)
#define VOLUME_GONE_MS INT64_C(180000)
#define RUN_ANNOTATION "ferryman.io/run"

/* ---- The old volume ---- */

void move_script_retain(struct run *r, struct script *s, const char *id)
{
    const char *name = move_fact(r, s, "volume.old.name"), *policy = run_has(r, "volume.old.reclaim") ? run_fact(r, "volume.old.reclaim") : "Retain";
    move_script_field(r, s, id, script_fmt(s, "volume %s: reclaim policy Retain", name), postgres_path_volume(name).p,
                                      move_fact(r, s, "volume.old.uid"), "/spec/persistentVolumeReclaimPolicy", jd_string(policy),
                                      jd_string("Retain"), script_fmt(s, "volume %s reclaim policy", name));
}

/* ---- The target claim ---- */

static bool is_ours(const struct run *r, const struct json_t *doc)
{
    const struct json_t *annotations = jd_get(doc, "metadata.annotations");
    return str_eq(jd_string_value(jd_member(annotations, RUN_ANNOTATION)), r->id);
}

/* Class and mode of a claim that shall be the target. */
static bool claim_fits(const struct run *r, const struct json_t *doc, struct buf *reason)
{
    const char *class = jd_str(doc, "spec.storageClassName"), *name = jd_str(doc, "metadata.name");
    if (jd_str(doc, "metadata.deletionTimestamp")) {
        buf_printf(reason, "claim %s is being deleted", name);
        return false;
    }
    if (!str_eq(class, r->plan->target_class)) {
        buf_printf(reason, "claim %s has class %s, the plan's target is %s", name, class ? class : "(none)", r->plan->target_class);
        return false;
    }
    return true;
}

static enum op_answer see_claim(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    (void)op;
    if (!seen->doc) {
        buf_adds(reason, "it is not there yet");
        return OP_TODO;
    }
    if (!claim_fits(r, seen->doc, reason))
        return OP_REFUSE;
    const char *uid = jd_str(seen->doc, "metadata.uid");
    if (run_has(r, "claim.new.uid") && !str_eq(run_fact(r, "claim.new.uid"), uid)) {
        buf_printf(reason, "claim %s was re-created by somebody else (uid %.8s, ours was %.8s)", jd_str(seen->doc, "metadata.name"), uid,
                   run_fact(r, "claim.new.uid"));
        return OP_REFUSE;
    }
    run_set(r, "claim.new.name", jd_str(seen->doc, "metadata.name"));
    run_set(r, "claim.new.uid", uid);
    buf_printf(reason, "uid %.8s, class %s", uid, r->plan->target_class);
    return OP_DONE;
}

/* Applied by Terraform, Helm, Argo or Flux, or by hand: nobody may use it yet, and it must not be the old one. */
static enum op_answer see_applied(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    const char *text = op->data;
    if (!seen->doc) {
        buf_printf(reason, "waiting until it is applied: %s", text);
        return OP_TODO;
    }
    if (!run_has(r, "claim.new.uid") && str_eq(jd_str(seen->doc, "metadata.uid"), run_fact(r, "claim.old.uid"))) {
        buf_adds(reason, "that is the old claim: the plan must give the new one another name");
        return OP_REFUSE;
    }
    return see_claim(r, op, seen, reason);
}

static enum op_answer see_unused(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    size_t it = 0;
    (void)op;
    const struct json_t *pod = postgres_next_mounting(seen->doc, run_fact(r, "claim.new.name"), &it);
    if (!pod)
        return OP_DONE;
    if (run_has(r, "boot.begun") && move_same(r, "boot.begun", "claim.new.uid"))
        return OP_DONE; /* our own server, looked at by its boot */
    buf_printf(reason, "pod %s mounts the new claim already: a target must be empty and unused", jd_str(pod, "metadata.name"));
    return OP_REFUSE;
}

static void script_applied(struct run *r, struct script *s, const char *path)
{
    struct json_t *claim = postgres_claim_object(r, NULL);
    struct buf text = {0};
    jd_del(jd_get(claim, "metadata"), "annotations");
    jd_dump(claim, &text);
    struct op *op = script_wait(s, "claim applied", script_fmt(s, "wait for claim/%s, which is applied from outside", postgres_spec(r)->claim.name),
                                path, see_applied, EXTERNAL_MS);
    op->data = buf_steal(&text);
    op->drop = mem_free;
    jd_free(claim);
}

void move_script_claim(struct run *r, struct script *s)
{
    const struct plan_claim *c = &postgres_spec(r)->claim;
    const char *path = script_fmt(s, "%s", postgres_path_claim(r, c->name).p);
    if (str_eq(c->apply, "external")) {
        script_applied(r, s, path);
    } else {
        script_create(s, "create claim", script_fmt(s, "create claim/%s, %lld GiB on %s", c->name,
                                                                    (long long)(c->size >> 30), r->plan->target_class),
                                      postgres_path_claims(r).p, postgres_claim_object(r, NULL), see_claim);
            script_get(s, "claim created", "read it back", path, see_claim);
    }
    script_get(s, "claim unused", "nobody mounts it", postgres_path_pods(r).p, see_unused);
}

/* ---- The name in the deployment ---- */

enum op_answer move_see_retained(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    const char *policy = jd_str(seen->doc, "spec.persistentVolumeReclaimPolicy");
    (void)op;
    if (seen->doc && str_eq(jd_str(seen->doc, "metadata.uid"), run_fact(r, "volume.old.uid")) && str_eq(policy, "Retain")) {
        buf_adds(reason, "Retain");
        return OP_DONE;
    }
    buf_printf(reason, "the old volume %s is %s: it must be Retain before anything else happens", run_fact(r, "volume.old.name"),
               seen->doc ? policy : "not there");
    return OP_REFUSE;
}

void move_script_name(struct run *r, struct script *s, bool to_new)
{
    const char *deployment = postgres_spec(r)->deployment, *volume = postgres_spec(r)->volume;
    const char *old = move_fact(r, s, "claim.old.name"), *new = postgres_spec(r)->claim.name, *from = to_new ? old : new, *to = to_new ? new : old;
    if (to_new)
        script_get(s, "still retained", "the old volume is kept", postgres_path_volume(move_fact(r, s, "volume.old.name")).p,
                   move_see_retained);
    const char *pointer = script_fmt(s, "%s/persistentVolumeClaim/claimName", move_fact(r, s, "deployment.volume.at"));
    struct op *op = move_script_field(r, s, "claim name", script_fmt(s, "deployment/%s: volume %s on claim %s instead of %s", deployment, volume, to, from),
                                      postgres_path_deployment(r).p, move_fact(r, s, "deployment.uid"), pointer, jd_string(from),
                                      jd_string(to), script_fmt(s, "deployment/%s claim of %s", deployment, volume));
    op->irreversible = true;
}

/* ---- Its volume ---- */

static enum op_answer see_bound(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    (void)op;
    if (!seen->doc || !str_eq(jd_str(seen->doc, "metadata.uid"), run_fact(r, "claim.new.uid"))) {
        buf_adds(reason, "the new claim is not there any more");
        return OP_REFUSE;
    }
    if (!str_eq(jd_str(seen->doc, "status.phase"), "Bound") || !jd_str(seen->doc, "spec.volumeName")) {
        buf_printf(reason, "it is %s", jd_str(seen->doc, "status.phase"));
        return OP_TODO;
    }
    run_set(r, "volume.new.name", jd_str(seen->doc, "spec.volumeName"));
    buf_printf(reason, "volume %s", jd_str(seen->doc, "spec.volumeName"));
    return OP_DONE;
}

static enum op_answer see_volume(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    (void)op;
    if (!seen->doc)
        return OP_REFUSE;
    postgres_note_volume(r, "volume.new", seen->doc);
    buf_printf(reason, "%s, %s, reclaim policy %s", run_fact(r, "volume.new.handle"), run_fact(r, "volume.new.class"),
               run_fact(r, "volume.new.reclaim"));
    return OP_DONE;
}

static void bound_rest(struct run *r, struct script *s, struct op *op)
{
    (void)op;
    script_get(s, "new volume", "note the new volume", postgres_path_volume(move_fact(r, s, "volume.new.name")).p, see_volume);
}

void move_script_bound(struct run *r, struct script *s)
{
    script_wait(s, "bound", "the new claim is bound", postgres_path_claim(r, postgres_spec(r)->claim.name).p, see_bound, BOUND_MS);
    script_call(s, "volume", bound_rest, NULL, NULL);
}

/* ---- What this run created goes ---- */

struct away {
    char *claim_name, *claim_uid, *volume_name, *volume_uid; /* names and uids of facts */
};

/* The facts of "new" and "scratch". */
static const struct away aways[] = {
    {(char *)(uintptr_t)"claim.new.name", (char *)(uintptr_t)"claim.new.uid", (char *)(uintptr_t)"volume.new.name",
     (char *)(uintptr_t)"volume.new.uid"},
    {(char *)(uintptr_t)"claim.scratch.name", (char *)(uintptr_t)"claim.scratch.uid", (char *)(uintptr_t)"volume.scratch.name",
     (char *)(uintptr_t)"volume.scratch.uid"},
};

/* The volume that the claim is bound to, by the claim itself: it may have been bound after we looked last. */
static enum op_answer see_claim_to_go(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    const struct away *a = op->data;
    const char *uid = run_fact(r, a->claim_uid);
    if (!seen->doc || !str_eq(jd_str(seen->doc, "metadata.uid"), uid)) {
        buf_adds(reason, "gone");
        return OP_DONE;
    }
    if (!is_ours(r, seen->doc) && !str_eq(postgres_spec(r)->claim.apply, "external")) {
        buf_printf(reason, "claim %s (uid %.8s) does not carry our annotation %s: it is not ours to delete", run_fact(r, a->claim_name), uid,
                   RUN_ANNOTATION);
        return OP_REFUSE;
    }
    if (jd_str(seen->doc, "spec.volumeName"))
        run_set(r, a->volume_name, jd_str(seen->doc, "spec.volumeName"));
    return OP_DONE;
}

/* Its volume shall go with the claim, whatever the class says: it was made for this claim. */
static enum op_answer see_volume_to_go(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    const struct away *a = op->data;
    if (!seen->doc) {
        run_set(r, a->volume_uid, "");
        buf_adds(reason, "gone");
        return OP_DONE;
    }
    const char *ref = jd_str(seen->doc, "spec.claimRef.uid"), *name = jd_str(seen->doc, "metadata.name");
    if (!str_eq(ref, run_fact(r, a->claim_uid))) {
        buf_printf(reason, "volume %s belongs to claim uid %.8s, not to ours (%.8s)", name, ref ? ref : "(none)", run_fact(r, a->claim_uid));
        return OP_REFUSE;
    }
    if (str_eq(name, run_fact(r, "volume.old.name"))) {
        buf_printf(reason, "volume %s is the old volume: it is not ours to delete", name);
        return OP_REFUSE;
    }
    run_set(r, a->volume_uid, jd_str(seen->doc, "metadata.uid"));
    buf_printf(reason, "uid %.8s, reclaim policy %s", jd_str(seen->doc, "metadata.uid"), jd_str(seen->doc, "spec.persistentVolumeReclaimPolicy"));
    return OP_DONE;
}

static enum op_answer see_volume_gone(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    const struct away *a = op->data;
    const char *name = run_fact(r, a->volume_name);
    if (!seen->doc || !str_eq(jd_str(seen->doc, "metadata.uid"), run_fact(r, a->volume_uid))) {
        run_set(r, a->volume_name, "");
        run_set(r, a->volume_uid, "");
        buf_adds(reason, "gone");
        return OP_DONE;
    }
    buf_printf(reason, "volume %s is %s", name, jd_str(seen->doc, "status.phase"));
    if (str_eq(jd_str(seen->doc, "status.phase"), "Failed"))
        buf_printf(reason, ": %s", jd_str(seen->doc, "status.message") ? jd_str(seen->doc, "status.message") : "its driver could not delete it");
    return OP_TODO;
}

static enum op_answer see_policy_delete(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    const struct away *a = op->data;
    (void)reason;
    if (!seen->doc || !str_eq(jd_str(seen->doc, "metadata.uid"), run_fact(r, a->volume_uid)))
        return OP_DONE;
    return str_eq(jd_str(seen->doc, "spec.persistentVolumeReclaimPolicy"), "Delete") ? OP_DONE : OP_TODO;
}

static enum op_answer see_gone_from_outside(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    const struct away *a = op->data;
    const char *name = run_fact(r, a->claim_name), *uid = run_fact(r, a->claim_uid);
    if (!seen->doc || !str_eq(jd_str(seen->doc, "metadata.uid"), uid))
        return OP_DONE;
    buf_printf(reason, "claim %s is applied from outside: remove it there (kubectl -n %s delete pvc %s); waiting until uid %.8s is gone", name,
               r->workload->ns, name, uid);
    return OP_TODO;
}

static enum op_answer see_forgotten(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    const struct away *a = op->data;
    static const char *const target[] = {"pg.identifier.new", "target.claim.uid", "boot.begun", "boot.pod", "preload.done", "restore.begun",
                                         "restore.done", "restore.expected", "fence.new", "volume.new.handle", "volume.new.reclaim",
                                         "volume.new.class", "fresh.inventory"};
    (void)seen;
    (void)reason;
    for (size_t i = 0; a == &aways[0] && i < ARRAY_LEN(target); i++)
        run_set(r, target[i], "");
    run_set(r, a->claim_uid, "");
    run_set(r, a->claim_name, "");
    run_set(r, a->volume_name, "");
    run_set(r, a->volume_uid, "");
    return OP_DONE;
}

static struct op *with(struct op *op, const struct away *a)
{
    op->data = (void *)(uintptr_t)a;
    return op;
}

static void away_volume(struct run *r, struct script *s, struct op *op)
{
    const struct away *a = op->data;
    if (!r->preview && !run_has(r, a->volume_uid))
        return;
    const char *name = move_fact(r, s, a->volume_name), *uid = move_fact(r, s, a->volume_uid);
    struct json_t *patch = script_patch_new(uid);
    script_patch_set(patch, "replace", "/spec/persistentVolumeReclaimPolicy", jd_string("Delete"));
    with(script_patch(s, script_fmt(s, "policy of %s", name), script_fmt(s, "volume %s goes with its claim: reclaim policy Delete", name),
                      postgres_path_volume(name).p, patch, see_policy_delete),
         a);
}

static void away_gone(struct run *r, struct script *s, struct op *op)
{
    const struct away *a = op->data;
    if (!r->preview && !run_has(r, a->volume_uid))
        return;
    const char *name = move_fact(r, s, a->volume_name);
    with(script_wait(s, script_fmt(s, "volume %s gone", name), script_fmt(s, "wait until volume %s is gone", name), postgres_path_volume(name).p,
                     see_volume_gone, VOLUME_GONE_MS),
         a);
}

static void away_look_volume(struct run *r, struct script *s, struct op *op)
{
    const struct away *a = op->data;
    if (!r->preview && !run_has(r, a->volume_name))
        return;
    with(script_get(s, "its volume", "read its volume", postgres_path_volume(move_fact(r, s, a->volume_name)).p, see_volume_to_go), a);
}

void move_script_claim_away(struct run *r, struct script *s, const char *prefix)
{
    const struct away *a = &aways[str_eq(prefix, "scratch")];
    const char *name = move_fact(r, s, a->claim_name), *uid = move_fact(r, s, a->claim_uid);
    const char *path = script_fmt(s, "%s", postgres_path_claim(r, name).p);
    with(script_get(s, script_fmt(s, "look at %s", name), script_fmt(s, "claim %s is ours", name), path, see_claim_to_go), a);
    with(script_call(s, "volume of it", away_look_volume, NULL, NULL), a);
    with(script_call(s, "policy of it", away_volume, NULL, NULL), a);
    if (a == &aways[0] && str_eq(postgres_spec(r)->claim.apply, "external"))
        with(script_wait(s, "claim gone", script_fmt(s, "claim/%s is removed from outside", name), path, see_gone_from_outside, EXTERNAL_MS), a);
    else
        move_script_gone(r, s, script_fmt(s, "claim/%s", name), path, uid, -1, NULL)->irreversible = true;
    with(script_call(s, "volume gone", away_gone, NULL, NULL), a);
    with(script_check(s, "forget it", "take back what was noted of it", see_forgotten), a);
}

bool move_interrupted(const struct run *r, const char **ret_why)
{
    *ret_why = NULL;
    if (!run_has(r, "claim.new.uid"))
        return false;
    if (move_same(r, "boot.begun", "claim.new.uid") && !move_same(r, "target.claim.uid", "claim.new.uid"))
        *ret_why = "its first boot did not come to its end";
    else if (move_same(r, "restore.begun", "claim.new.uid") && !move_same(r, "restore.done", "claim.new.uid"))
        *ret_why = "a restore into it did not come to its end";
    return *ret_why != NULL;
}

static enum op_answer see_discarding(struct run *r, struct op *op, const struct seen *seen, struct buf *reason)
{
    const char *why = op->data;
    (void)seen;
    run_note(r, "WARN", "the target claim %s (uid %s) is discarded: %s", move_say(r, "claim.new.name"), move_short(r, "claim.new.uid"), why);
    buf_adds(reason, why);
    return OP_DONE;
}

void move_script_discard(struct run *r, struct script *s, const char *why)
{
    if (!r->preview && !run_has(r, "claim.new.uid"))
        return;
    struct op *op = script_check(s, "discard", "the target is discarded", see_discarding);
    op->data = mem_strdup(why);
    op->drop = mem_free;
    move_script_halt(r, s);
    move_script_claim_away(r, s, "new");
}
