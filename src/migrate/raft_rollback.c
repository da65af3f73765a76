/* Rollback of the last pod that began, or, if none has, of the template (safety 18; recorded as s11).
 *
 * While its set is there, the controller makes a new claim in the new class within 30 ms of the old one's end, and the
 * kept volume never binds. So the set goes first (its pods stay), then the pod and its new claims; the kept volumes are
 * reserved again for the old names (their claimRef without the uid of the claim that is gone), the claims are made with
 * volumeName, the set is made again as it was, and its controller makes the one pod that is missing, on the old claims.
 *
 * What that leaves is a node on its old disk. With node ids that are the pods' names it has its old log and catches up.
 * With ids on the disks the cluster has replaced it by the new one: it is no peer any more and joins only when it is
 * emptied. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/json_doc.h"
#include "base/mem.h"
#include "base/str.h"
#include "migrate/raft_look.h"
#include "migrate/raft_manifest.h"
#include "migrate/raft_pod.h"
#include "migrate/raft_rescue.h"
#include "migrate/raft_template.h"
#include "migrate/raft_verify.h"
#include "world/world.h"

#define LEVEL_MS INT64_C(60000)
#define SET_GONE_MS INT64_C(180000)
#define FREE_MS INT64_C(120000)
#define BOUND_MS INT64_C(300000)
#define ADOPT_MS INT64_C(300000)

/* The turn that is taken back; in a preview of nothing, the first; NULL: the template. */
static const char *turn_of(const struct run *r) {
    const char *noted = run_has(r, "rollback.turn") ? run_fact(r, "rollback.turn") : raft_last_begun(r);
    return noted && *noted ? noted : r->preview && !run_has(r, "set.new.uid") ? "1" : NULL;
}

static const char *pod_of(struct run *r, struct script *s) {
    const char *turn = turn_of(r);
    if (!turn) return NULL;
    return raft_turn_has(r, turn, "name") ? script_fmt(s, "%s", raft_turn_fact(r, turn, "name"))
                                          : script_fmt(s, "‹pod.%s.name›", turn);
}

static struct json_t *kept_claims(struct run *r, struct script *s) {
    const char *turn = turn_of(r);
    struct json_t *list = raft_turn_json(r, turn, "claims.old");
    if (jd_len(list) > 0 || !r->preview) return list;
    jd_free(list);
    return raft_pod_claims(r, pod_of(r, s));
}

static const char *set_path(struct run *r, struct script *s) {
    return raft_path(s, r, "statefulsets", raft_spec(r)->statefulset);
}

static void free_json(void *data) {
    jd_free(data);
}

static struct op *with(struct op *op, const struct json_t *claim) {
    op->data = jd_copy(claim);
    op->drop = free_json;
    return op;
}

/* ---- Look: only looks (phase.looks) ---- */

/* What is to be gone back to. */
static enum op_answer see_kept(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    (void)r;
    const struct json_t *claim = op->data;
    const char *ref = jd_str(seen->doc, "spec.claimRef.uid"), *name = jd_str(seen->doc, "spec.claimRef.name"),
               *phase = jd_str(seen->doc, "status.phase");
    if (raft_judge_retained(claim, seen->doc, reason) != OP_DONE) {
        buf_adds(reason, ": there is nothing to go back to; go on forward, its node copies everything from the leader");
        return OP_REFUSE;
    }
    if (name && !str_eq(name, jd_str(claim, "name"))) {
        buf_printf(reason, ", but it belongs to claim %s (uid %s) now", name, raft_short(ref));
        return OP_REFUSE;
    }
    buf_printf(reason, ", %s", phase ? phase : "in no phase");
    return OP_DONE;
}

static enum op_answer see_which(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    const char *turn = raft_last_begun(r);
    (void)op, (void)seen;
    if (!run_has(r, "rollback.turn") && turn) run_set(r, "rollback.turn", turn);
    turn = turn_of(r);
    buf_printf(reason, turn ? "%s" : "the template of %s",
               turn ? raft_turn_fact(r, turn, "name") : raft_spec(r)->statefulset);
    return OP_DONE;
}

/* The set as it is, which is made again as it is; already gone: a rollback that was interrupted. */
static enum op_answer see_set(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    (void)op;
    if (!seen->doc || jd_str(seen->doc, "metadata.deletionTimestamp")) {
        if (!run_has(r, "set.orphaned_at") && !run_has(r, "rollback.manifest")) {
            buf_printf(reason, "statefulset %s is not there: make it again first (its manifest: %s)",
                       raft_spec(r)->statefulset, run_has(r, "set.file") ? run_fact(r, "set.file") : "in the journal");
            return OP_REFUSE;
        }
        buf_adds(reason, "gone already: its pods are orphaned");
        return OP_DONE;
    }
    if (run_has(r, "rollback.made") && str_eq(run_fact(r, "rollback.made"), jd_str(seen->doc, "metadata.uid"))) {
        buf_adds(reason, "made again already");
        return OP_DONE;
    }
    if (run_has(r, "set.orphaned_at")) { /* it is there: its end was refused, or somebody has made it again */
        run_set(r, "set.orphaned_at", "");
        run_set(r, "no_way_back", "");
    }
    struct json_t *clean = raft_manifest_clean(seen->doc), *templates = raft_manifest_templates(seen->doc);
    run_set(r, "rollback.set", jd_str(seen->doc, "metadata.uid"));
    run_set_json(r, "rollback.manifest", clean);
    if (!run_has(r, "set.templates")) run_set_json(r, "set.templates", templates);
    buf_printf(reason, "uid %s", raft_short(jd_str(seen->doc, "metadata.uid")));
    jd_free(templates);
    jd_free(clean);
    return OP_DONE;
}

/* uids of the pods that stay. */
static enum op_answer see_pods(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    const char *away = op->data;
    const struct json_t *items = jd_get(seen->doc, "items");
    struct json_t *noted = jd_object();
    run_set(r, "rollback.pod", "");
    for (size_t i = 0; i < jd_len(items); i++) {
        const struct json_t *pod = jd_at(items, i);
        const char *name = jd_str(pod, "metadata.name"), *uid = jd_str(pod, "metadata.uid");
        for (int64_t k = 0; k < raft_replicas(r); k++) {
            char member[300];
            snprintf(member, sizeof member, "%s-%lld", raft_spec(r)->statefulset, (long long)k);
            if (!str_eq(member, name)) continue;
            if (str_eq(name, away))
                run_set(r, "rollback.pod",
                        run_has(r, "rollback.made") ? "" : uid); /* else it is on its old claims already */
            else jd_set(noted, name, jd_string(uid));
        }
    }
    run_set_json(r, "set.pods", noted);
    buf_printf(reason, "%zu pods stay%s%s", jd_len(noted), away ? ", without " : "", away ? away : "");
    jd_free(noted);
    return OP_DONE;
}

/* Claims of those names that are there now: the old ones, Terminating, or new ones of this turn; never somebody else's.
 */
static enum op_answer see_claims(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    const struct json_t *kept = op->data, *items = jd_get(seen->doc, "items");
    struct json_t *go = jd_array();
    enum op_answer a = OP_DONE;
    for (size_t i = 0; i < jd_len(items) && a == OP_DONE; i++)
        for (size_t k = 0; k < jd_len(kept); k++) {
            const struct json_t *claim = jd_at(items, i), *old = jd_at(kept, k);
            const char *name = jd_str(claim, "metadata.name"), *uid = jd_str(claim, "metadata.uid"),
                       *class = jd_str(claim, "spec.storageClassName");
            const struct json_t *notes = jd_get(claim, "metadata.annotations");
            if (!str_eq(name, jd_str(old, "name"))) continue;
            bool ours = str_eq(jd_string_value(jd_member(notes, "ferryman.io/run")), r->id) &&
                        str_eq(jd_str(claim, "spec.volumeName"), jd_str(old, "volume"));
            if (ours) continue; /* made again by an earlier try */
            if (!str_eq(uid, jd_str(old, "uid")) && !str_eq(class, r->plan->target_class)) {
                buf_printf(reason,
                           "claim %s is neither the old one nor one on %s (uid %s, class %s): look at whose it is",
                           name, r->plan->target_class, raft_short(uid), class);
                a = OP_REFUSE;
                break;
            }
            struct json_t *entry = jd_object();
            jd_set(entry, "name", jd_string(name));
            jd_set(entry, "uid", jd_string(uid));
            if (jd_str(claim, "spec.volumeName")) jd_set(entry, "volume", jd_string(jd_str(claim, "spec.volumeName")));
            jd_append(go, entry);
        }
    if (a == OP_DONE) {
        run_set_json(r, "rollback.claims", go);
        buf_printf(reason, "%zu claims go", jd_len(go));
    }
    jd_free(go);
    return a;
}

static void look_rest(struct run *r, struct script *s, struct op *op) {
    const char *pod = pod_of(r, s);
    (void)op;
    script_get(s, "set", script_fmt(s, "statefulset %s", raft_spec(r)->statefulset), set_path(r, s), see_set);
    script_get(s, "pods", "the pods that stay", raft_path(s, r, "pods", NULL), see_pods)->data = (void *)(uintptr_t)pod;
    raft_script_leader(r, s, "leader", pod);
    raft_script_level(r, s, "others", pod, LEVEL_MS);
    if (!pod) return;
    struct json_t *kept = kept_claims(r, s);
    for (size_t i = 0; i < jd_len(kept); i++) {
        const char *volume = jd_str(jd_at(kept, i), "volume");
        with(script_get(s, script_fmt(s, "volume %s", volume),
                        script_fmt(s, "volume %s of %s is there", volume, jd_str(jd_at(kept, i), "name")),
                        raft_path(s, r, "persistentvolumes", volume), see_kept),
             jd_at(kept, i));
    }
    with(script_get(s, "claims", "claims of those names", raft_path(s, r, "persistentvolumeclaims", NULL), see_claims),
         kept);
    jd_free(kept);
}

static void script_look(struct run *r, struct script *s) {
    (void)r;
    script_check(s, "which", "what is taken back", see_which);
    script_call(s, "look", look_rest, NULL, NULL);
}

/* ---- The set goes ---- */

static enum op_answer see_orphaning(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    (void)op, (void)seen, (void)reason;
    raft_unwatch_set(r, op->get);
    run_set_int(r, "set.orphaned_at", clock_wall_ms());
    run_set(r, "no_way_back", "the set is made again");
    return OP_TODO;
}

/* The node that goes must not be the active one. */
static void script_orphan_set(struct run *r, struct script *s) {
    const char *pod = pod_of(r, s),
               *uid = raft_said(s, r, r->preview && run_has(r, "set.new.uid") ? "set.new.uid" : "rollback.set");
    struct op *op = script_orphan(
        s, "orphan set",
        script_fmt(s, "delete statefulset %s (uid %s), its pods stay", raft_spec(r)->statefulset, raft_short(uid)),
        set_path(r, s), uid, see_orphaning);
    op->irreversible = true;
    raft_guard_well(r, s, op, pod);
    raft_guard_leader(r, s, op);
    raft_script_gone(r, s, "set gone", "wait until the set is gone", set_path(r, s), uid, SET_GONE_MS);
}

/* ---- The pod and its new claims go ---- */

static void script_away(struct run *r, struct script *s) {
    const char *pod = pod_of(r, s), *noted = pod && r->preview ? raft_pod_noted(r, pod, "uid") : NULL;
    const char *uid = noted ? script_fmt(s, "%s", noted) : raft_said(s, r, "rollback.pod");
    if (!pod) return;
    struct json_t *go = run_fact_json(r, "rollback.claims");
    if (r->preview && turn_of(r)) {
        jd_free(go);
        go = raft_turn_json(r, turn_of(r), "claims.new");
    }
    struct json_t *kept = kept_claims(r, s);
    int64_t grace = raft_pod_grace(r, pod);
    for (size_t i = 0; i < jd_len(go); i++) {
        const char *name = jd_str(jd_at(go, i), "name"), *claim_uid = jd_str(jd_at(go, i), "uid");
        struct op *op = script_delete(s, script_fmt(s, "delete %s", name),
                      script_fmt(s, "delete claim %s (uid %s)", name, raft_short(claim_uid)),
                      raft_path(s, r, "persistentvolumeclaims", name), claim_uid, -1, NULL);
        op->irreversible = true;
        for (size_t n = 0; n < jd_len(kept); n++) /* one of the old ones, whose turn ended before its DELETE: its volume is what is gone back to */
            if (str_eq(jd_str(jd_at(kept, n), "uid"), claim_uid)) raft_guard_retained(r, s, op, jd_at(kept, n));
    }
    if (r->preview || run_has(r, "rollback.pod")) {
        struct op *op = script_delete(
            s, "delete pod",
            script_fmt(s, "delete pod %s (uid %s) gracefully, %lld s", pod, raft_short(uid), (long long)grace),
            raft_path(s, r, "pods", pod), uid, grace, NULL);
        op->irreversible = true;
        raft_guard_well(r, s, op, pod);
        raft_guard_leader(r, s, op);
        raft_script_gone(r, s, "pod gone", script_fmt(s, "pod %s ends", pod), raft_path(s, r, "pods", pod), uid,
                         (grace + 120) * 1000);
    }
    for (size_t i = 0; i < jd_len(go); i++) {
        const char *name = jd_str(jd_at(go, i), "name"), *claim_uid = jd_str(jd_at(go, i), "uid");
        raft_script_gone(r, s, script_fmt(s, "gone %s", name), script_fmt(s, "claim %s ends", name),
                         raft_path(s, r, "persistentvolumeclaims", name), claim_uid, FREE_MS);
    }
    jd_free(kept);
    jd_free(go);
}

/* ---- The kept volumes are free for the old names ---- */

/* Reserved for the name: a volume that is simply free could be taken by any other claim of its class. */
static struct json_t *reservation(const struct run *r, const char *name) {
    struct json_t *ref = jd_object();
    jd_set(ref, "apiVersion", jd_string("v1"));
    jd_set(ref, "kind", jd_string("PersistentVolumeClaim"));
    jd_set(ref, "namespace", jd_string(r->workload->ns));
    jd_set(ref, "name", jd_string(name));
    return ref;
}

static enum op_answer see_released(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    const struct json_t *claim = op->data;
    const char *phase = jd_str(seen->doc, "status.phase"), *ref = jd_str(seen->doc, "spec.claimRef.uid");
    (void)r;
    if (raft_judge_retained(claim, seen->doc, reason) != OP_DONE) return OP_REFUSE;
    buf_printf(reason, ", %s", phase ? phase : "in no phase");
    bool old = str_eq(ref, jd_str(claim, "uid"));
    return old && str_eq(phase, "Bound") ? OP_TODO : OP_DONE; /* else released, or taken back by an earlier try */
}

static enum op_answer see_reserved(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    const struct json_t *claim = op->data;
    const char *ref = jd_str(seen->doc, "spec.claimRef.uid"), *name = jd_str(seen->doc, "spec.claimRef.name");
    (void)r;
    if (!seen->doc) {
        buf_adds(reason, "it is not there");
        return OP_REFUSE;
    }
    if (str_eq(ref, jd_str(claim, "uid"))) return OP_TODO;
    if (name && !str_eq(name, jd_str(claim, "name"))) {
        buf_printf(reason, "it belongs to claim %s now", name);
        return OP_REFUSE;
    }
    buf_adds(reason, ref ? "bound again" : "reserved for its old name");
    return OP_DONE;
}

static void script_volumes(struct run *r, struct script *s) {
    if (!turn_of(r)) return;
    struct json_t *kept = kept_claims(r, s);
    for (size_t i = 0; i < jd_len(kept); i++) {
        const struct json_t *claim = jd_at(kept, i);
        const char *volume = jd_str(claim, "volume"), *path = raft_path(s, r, "persistentvolumes", volume);
        with(script_wait(s, script_fmt(s, "released %s", volume), script_fmt(s, "volume %s is released", volume), path,
                         see_released, FREE_MS),
             claim);
        struct json_t *patch = script_patch_new(jd_str(claim, "volume_uid"));
        script_patch_test(patch, "/spec/claimRef/uid", jd_string(jd_str(claim, "uid")));
        script_patch_set(patch, "replace", "/spec/claimRef", reservation(r, jd_str(claim, "name")));
        struct op *op = with(
            script_patch(s, script_fmt(s, "free %s", volume),
                         script_fmt(s, "volume %s: reserved for %s again, not for the claim that is gone", volume,
                                    jd_str(claim, "name")),
                         path, patch, see_reserved),
            claim);
        op->irreversible = true;
        op->dry = false; /* its claim is still there before */
    }
    jd_free(kept);
}

/* ---- The old claims come again ---- */

static struct json_t *claim_object(const struct run *r, const struct json_t *kept) {
    struct json_t *d = jd_object(), *labels = jd_get(kept, "labels"), *modes = jd_get(kept, "modes");
    const char *size = jd_str(kept, "size"), *mode = jd_str(kept, "mode"), *class = jd_str(kept, "class");
    jd_set(d, "apiVersion", jd_string("v1"));
    jd_set(d, "kind", jd_string("PersistentVolumeClaim"));
    jd_put(d, "metadata.name", jd_string(jd_str(kept, "name")));
    jd_put(d, "metadata.namespace", jd_string(r->workload->ns));
    if (labels) jd_put(d, "metadata.labels", jd_copy(labels));
    jd_put(d, "metadata.annotations", jd_object());
    jd_set(jd_get(d, "metadata.annotations"), "ferryman.io/run", jd_string(r->id ? r->id : ""));
    struct json_t *one = jd_array();
    jd_append(one, jd_string("ReadWriteOnce"));
    jd_put(d, "spec.accessModes", modes ? jd_copy(modes) : jd_ref(one));
    jd_free(one);
    jd_put(d, "spec.resources.requests.storage", jd_string(size ? size : "‹size›"));
    jd_put(d, "spec.storageClassName", jd_string(class ? class : ""));
    if (mode) jd_put(d, "spec.volumeMode", jd_string(mode));
    jd_put(d, "spec.volumeName", jd_string(jd_str(kept, "volume")));
    return d;
}

static enum op_answer see_bound(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    const struct json_t *kept = op->data;
    const char *phase = jd_str(seen->doc, "status.phase"), *volume = jd_str(seen->doc, "spec.volumeName");
    (void)r;
    if (!seen->doc || !str_eq(volume, jd_str(kept, "volume"))) {
        buf_printf(reason, "it is %s%s", seen->doc ? "for volume " : "not there", volume ? volume : "");
        return OP_REFUSE;
    }
    buf_printf(reason, "uid %s, %s", raft_short(jd_str(seen->doc, "metadata.uid")), phase ? phase : "in no phase");
    return str_eq(phase, "Bound") ? OP_DONE : OP_TODO;
}

static void script_claims(struct run *r, struct script *s) {
    if (!turn_of(r)) return;
    struct json_t *kept = kept_claims(r, s);
    for (size_t i = 0; i < jd_len(kept); i++) {
        const char *name = jd_str(jd_at(kept, i), "name"), *volume = jd_str(jd_at(kept, i), "volume");
        struct op *op = script_create(
            s, script_fmt(s, "create %s", name), script_fmt(s, "create claim %s for volume %s", name, volume),
            raft_path(s, r, "persistentvolumeclaims", NULL), claim_object(r, jd_at(kept, i)), NULL);
        op->irreversible = true;
        op->dry = false; /* the name is taken now, and its volume by another claim */
    }
    for (size_t i = 0; i < jd_len(kept); i++) {
        const char *name = jd_str(jd_at(kept, i), "name");
        with(script_wait(s, script_fmt(s, "bound %s", name), script_fmt(s, "claim %s is bound to its old volume", name),
                         raft_path(s, r, "persistentvolumeclaims", name), see_bound, BOUND_MS),
             jd_at(kept, i));
    }
    jd_free(kept);
}

/* ---- The set comes again ---- */

/* A pod's rollback leaves the templates on the new class (the other pods' turns go on); the template's has the old
 * classes again. */
static struct json_t *manifest(struct run *r) {
    struct json_t *clean = run_fact_json(r, turn_of(r) ? "rollback.manifest" : "set.manifest"), *d = jd_object();
    if (!clean && r->preview) { /* it is read again before the set goes: this is what was put there */
        struct json_t *put = run_fact_json(r, "set.manifest");
        clean = put ? raft_manifest_on(put, r->plan->target_class, NULL) : NULL;
        jd_free(put);
    }
    if (!clean) {
        jd_put(d, "metadata.name", jd_string(raft_spec(r)->statefulset));
        jd_put(d, "spec", jd_string("‹the manifest as it was saved›"));
        return d;
    }
    jd_free(d);
    d = clean;
    struct json_t *meta = jd_get(d, "metadata");
    if (!jd_get(meta, "annotations")) jd_set(meta, "annotations", jd_object());
    jd_set(jd_get(meta, "annotations"), "ferryman.io/run", jd_string(r->id ? r->id : ""));
    return d;
}

static enum op_answer see_made(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    (void)op;
    run_set(r, "rollback.made", jd_str(seen->doc, "metadata.uid"));
    run_set(r, "set.new.uid", jd_str(seen->doc, "metadata.uid"));
    buf_printf(reason, "uid %s", raft_short(jd_str(seen->doc, "metadata.uid")));
    return OP_DONE;
}

/* Adopted as they were; the pod that is away is the controller's to make. */
static enum op_answer see_adopted(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    return raft_judge_adopted(r, seen->doc, op->data, reason);
}

static enum op_answer see_clock_stops(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    (void)seen, (void)reason;
    if (turn_of(r)) raft_watch_set(r, op->data);
    run_set(r, "set.orphaned_at", "");
    char *end = turn_of(r) ? str_printf("%s has rejoined", raft_turn_fact(r, turn_of(r), "name")) : mem_strdup("");
    run_set(r, "no_way_back", end);
    mem_free(end);
    return OP_DONE;
}

static void script_set(struct run *r, struct script *s) {
    const char *pod = pod_of(r, s);
    struct op *op = script_create(
        s, "create set",
        script_fmt(s, "create statefulset %s again%s", raft_spec(r)->statefulset, pod ? "" : ", on the old classes"),
        raft_path(s, r, "statefulsets", NULL), manifest(r), see_made);
    op->irreversible = true;
    op->dry = false; /* tried when it was made */
    script_wait(s, "adopted", "the pods are adopted as they are", raft_path(s, r, "pods", NULL), see_adopted, ADOPT_MS)
        ->data = (void *)(uintptr_t)pod;
    script_check(s, "clock", "a controller restarts pods again", see_clock_stops)->data = (void *)(uintptr_t)set_path(
        r, s);
}

/* ---- The pod comes on its old claims ---- */

static enum op_answer see_pod(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    const struct json_t *pod = seen->doc;
    const char *phase = jd_str(pod, "status.phase"), *node = jd_str(pod, "spec.nodeName");
    (void)op, (void)r;
    if (!pod || jd_str(pod, "metadata.deletionTimestamp")) {
        buf_adds(reason, "the controller has not made it yet");
        return OP_TODO;
    }
    buf_printf(reason, "uid %s, %s%s%s", raft_short(jd_str(pod, "metadata.uid")), phase ? phase : "",
               node ? " on " : "", node ? node : "");
    return str_eq(phase, "Running") ? OP_DONE : OP_TODO;
}

static enum op_answer see_joins_by_hand(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    const char *pod = op->data;
    (void)seen;
    run_note(r, "WARN",
             "%s is back on its old disk, and the cluster has replaced its node id: empty its raft folder (raft/, "
             "vault.db, node-id) and restart it, then it joins empty",
             pod);
    buf_adds(reason, "node ids are on the disks: it joins only when its old disk has been emptied");
    return OP_DONE;
}

static void script_back(struct run *r, struct script *s) {
    const char *pod = pod_of(r, s), *turn = turn_of(r);
    if (!pod) return;
    script_wait(s, "pod", script_fmt(s, "pod %s comes again", pod), raft_path(s, r, "pods", pod), see_pod, ADOPT_MS);
    const char *id = raft_turn_has(r, turn, "node_id.old") ? raft_turn_fact(r, turn, "node_id.old") : "";
    bool stable = !run_has(r, "ids.stable") || str_eq(run_fact(r, "ids.stable"), "yes");
    bool joined = raft_turn_has(r, turn, "node_id") && !str_eq(raft_turn_fact(r, turn, "node_id"), id);
    if (stable || !joined) raft_script_rejoin(r, s, pod, script_fmt(s, "%s", id), true);
    else
        script_check(s, "by hand", script_fmt(s, "%s joins empty", pod), see_joins_by_hand)->data =
            (void *)(uintptr_t)pod;
}

/* ---- As it was ---- */

static void forget_turn(struct run *r, const char *turn) {
    static const char *const names[] = {"name",          "asked",       "asked.leader", "uid.old",      "uid.new",
                                        "node_id",       "node_id.old", "claims.old",   "claims.new",   "leader",
                                        "index.sampled", "begun",       "begun.wall",   "cut",          "stopped",
                                        "gone",          "done",        "seconds",      "claims.state", "stuck",
                                        "stuck.uid",     "cured",       "cures",        "waits",        "alarm"};
    char key[100];
    for (size_t i = 0; i < ARRAY_LEN(names); i++) raft_turn_set(r, turn, names[i], "");
    snprintf(key, sizeof key, "window.%s", turn);
    run_set(r, key, "");
    snprintf(key, sizeof key, "window.%s.done", turn);
    run_set(r, key, "");
}

/* What the run made and leaves behind, for clean-up: the volumes of the claims that went, kept until then. */
static void leave_volumes(struct run *r, const char *turn) {
    struct json_t *left = run_fact_json(r, "rollback.left"), *claims = raft_turn_json(r, turn, "claims.new");
    if (!jd_is_array(left)) {
        jd_free(left);
        left = jd_array();
    }
    for (size_t i = 0; i < jd_len(claims); i++) jd_append(left, jd_copy(jd_at(claims, i)));
    if (jd_len(claims) > 0) run_set_json(r, "rollback.left", left);
    jd_free(claims);
    jd_free(left);
}

/* A node that is on its old disk again was not proved as leader there. */
static void unprove(struct run *r, const char *pod) {
    struct json_t *proved = run_fact_json(r, "leader.proved");
    for (size_t i = jd_len(proved); i-- > 0;)
        if (str_eq(jd_string_value(jd_at(proved, i)), pod)) jd_remove_at(proved, i);
    if (proved) run_set_json(r, "leader.proved", proved);
    jd_free(proved);
}

static enum op_answer see_end(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    static const char *const own[] = {"rollback.turn",   "rollback.set",  "rollback.manifest", "rollback.pod",
                                      "rollback.claims", "rollback.made", "no_way_back"};
    const char *turn = turn_of(r);
    (void)op, (void)seen;
    if (turn) {
        char *pod = mem_strdup(raft_turn_fact(r, turn, "name"));
        run_note(r, "GOOD", "%s is back on its old volumes; its turn and its window come next again", pod);
        buf_adds(reason, pod);
        leave_volumes(r, turn);
        unprove(r, pod);
        raft_verify_forget(r);
        run_set(r, "retain.until", "");
        forget_turn(r, turn);
        mem_free(pod);
    } else {
        run_note(r, "GOOD", "statefulset %s is on its old classes again", raft_spec(r)->statefulset);
        run_set(r, "set.new.uid", "");
        run_set(r, "set.uid", run_has(r, "rollback.made") ? run_fact(r, "rollback.made") : "");
    }
    for (size_t i = 0; i < ARRAY_LEN(own); i++) run_set(r, own[i], "");
    run_set_int(r, "rolled_back.at", clock_plan_ms());
    return OP_DONE;
}

static void script_end(struct run *r, struct script *s) {
    (void)r;
    script_check(s, "end", "as it was", see_end);
}

static const struct step steps[] = {
    {.id = "look",
     .title = "what is taken back, and whether the others can spare it",
     .script = script_look}, /* only looks: .looks */
    {.id = "set", .title = "the set goes, its pods stay", .script = script_orphan_set},
    {.id = "away", .title = "the pod and its new claims go", .script = script_away},
    {.id = "volumes", .title = "the kept volumes are free for the old names", .script = script_volumes},
    {.id = "claims", .title = "the old claims come again", .script = script_claims},
    {.id = "again", .title = "the set comes again", .script = script_set},
    {.id = "back", .title = "its node rejoins on its old disk", .script = script_back},
    {.id = "end", .title = "as it was", .script = script_end},
    {.id = NULL},
};

/* ---- Hooks ---- */

static const char *object(const struct run *r) {
    const char *turn = turn_of(r), *pod = turn ? raft_turn_fact(r, turn, "name") : NULL;
    return pod && *pod ? pod : raft_spec(r)->statefulset;
}

static void name(const struct run *r, struct buf *out) {
    const char *turn = turn_of(r);
    if (turn && raft_turn_has(r, turn, "name")) buf_printf(out, "rollback of %s", raft_turn_fact(r, turn, "name"));
    else if (run_has(r, "set.new.uid")) buf_adds(out, "rollback of the template");
    else buf_adds(out, "rollback");
}

/* Every other voter, by the world; the others are asked themselves, too. */
static bool others_are_well(const struct run *r, const char *away, struct buf *reason) {
    for (int64_t i = 0; i < raft_replicas(r); i++) {
        char pod[300], key[700];
        snprintf(pod, sizeof pod, "%s-%lld", raft_spec(r)->statefulset, (long long)i);
        snprintf(key, sizeof key, "%s/%s", r->workload->name, pod);
        const struct row *p = world_find(r->world, T_RAFT_PEERS, slice_of(key));
        if (str_eq(pod, away) || (p && slice_is(row_text(p, RAFT_PEERS_HEALTH), "OK"))) continue;
        buf_printf(reason, "%s is not well: a pod is taken back only while every other voter is healthy and level",
                   pod);
        if (run_has(r, "set.orphaned_at")) /* what died needs its controller first; then the rollback begins anew */
            buf_printf(reason,
                       ". The set is orphaned, so nothing restarts it: make the set again by hand now: kubectl "
                       "--context %s create -f %s",
                       r->plan->context, run_has(r, "set.file") ? run_fact(r, "set.file") : "its manifest");
        return false;
    }
    return true;
}

static bool may_begin(const struct run *r, struct buf *reason) {
    const char *turn = turn_of(r);
    if (run_has(r, "cleanup.begun")) {
        buf_adds(reason,
                 "the old volumes have been purged: there is nothing to go back to; a snapshot can be restored");
        return false;
    }
    if (!turn && !run_has(r, "set.new.uid") && !run_has(r, "set.orphaned_at")) {
        buf_adds(reason, "nothing has been done yet that could be taken back");
        return false;
    }
    if (turn && raft_leader(r) && str_eq(raft_leader(r), raft_turn_fact(r, turn, "name"))) {
        buf_printf(reason, "%s is active: have it step down first, the leader is never taken away",
                   raft_turn_fact(r, turn, "name"));
        return false;
    }
    return others_are_well(r, turn ? raft_turn_fact(r, turn, "name") : NULL, reason);
}

static void claim_lines(struct run *r, struct dialog *d, const char *turn) {
    struct json_t *new = raft_turn_json(r, turn, "claims.new"), *old = raft_turn_json(r, turn, "claims.old");
    for (size_t i = 0; i < jd_len(new); i++)
        dialog_line(d, "will go", "%s  uid %s  %s; its volume %s stays, Retain, until clean up",
                    jd_str(jd_at(new, i), "name"), raft_short(jd_str(jd_at(new, i), "uid")),
                    jd_str(jd_at(new, i), "class"), jd_str(jd_at(new, i), "volume"));
    for (size_t i = 0; i < jd_len(old); i++)
        dialog_line(d, "will come", "%s  on %s again, volume %s (uid %s)", jd_str(jd_at(old, i), "name"),
                    jd_str(jd_at(old, i), "class"), jd_str(jd_at(old, i), "volume"),
                    raft_short(jd_str(jd_at(old, i), "volume_uid")));
    jd_free(new);
    jd_free(old);
}

static void dialog(struct run *r, struct dialog *d) {
    const char *turn = turn_of(r);
    if (!turn) {
        dialog_line(d, "will go", "statefulset %s, its pods stay; it comes again with the old classes",
                    raft_spec(r)->statefulset);
        dialog_line(d, "lost", "nothing: no pod has been moved");
        dialog_line(d, "undo", "the template swap again");
        return;
    }
    const char *pod = raft_turn_fact(r, turn, "name");
    bool stable = !run_has(r, "ids.stable") || str_eq(run_fact(r, "ids.stable"), "yes");
    dialog_line(d, "will go", "statefulset %s, its pods stay; pod %s, gracefully, %lld s", raft_spec(r)->statefulset,
                pod, (long long)raft_pod_grace(r, pod));
    claim_lines(r, d, turn);
    dialog_line(d, "will come", "the set as it is now (its templates stay on %s), and pod %s on its old volumes",
                r->plan->target_class, pod);
    if (stable)
        dialog_line(d, "identity", "node ids are the pods' names: it comes back with its old log and catches up");
    else
        dialog_line(d, "identity",
                    "node ids are on the disks: the cluster has replaced this one. It does not join by itself: its "
                    "raft folder has to be emptied, and it joins empty");
    dialog_line(d, "meanwhile",
                "NO CONTROLLER until the set is made again: nothing restarts a pod that dies; one voter fewer until %s "
                "has rejoined",
                pod);
    dialog_line(d, "lost",
                "nothing that was committed: every other voter is level, or it is refused. What %s was proved for on "
                "its new volumes is void",
                pod);
    dialog_line(d, "undo", "its turn again");
    raft_rescue_line(r, d);
}

static const char *begin_at(const struct run *r) {
    (void)r;
    return "look";
}

const struct phase raft_phase_rollback = {
    .id = "rollback",
    .title = "rollback",
    .name = name,
    .stake = STAKE_HARD,
    .steps = steps,
    .object = object,
    .may_begin = may_begin,
    .dialog = dialog,
    .begin_at = begin_at,
    .one_act = "away",
    .looks = 1,
};
