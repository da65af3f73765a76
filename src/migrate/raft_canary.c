/* Phase "canary" (safety 21): before the first pod goes, a throw-away pod with the image and the security context of the pod that would be made
 * attaches throw-away claims of the target class, which unlocks them, and writes, syncs and reads back at every path of the set's claims, as
 * Vault's own user. Its log proves it. Vault is not started in it, and nothing selects it.
 *
 * What is made here is removed at the end, by uid, volumes too. What a failed try left is there to be looked at, and is removed by the next one:
 * it is looked for under its one name, and is ours when it carries this run's annotation. */
#include "migrate/raft_canary_pod.h"

#include <string.h>

#include "base/clock.h"
#include "base/json_doc.h"
#include "base/mem.h"
#include "base/str.h"
#include "migrate/postgres_move.h"
#include "migrate/raft_look.h"
#include "migrate/raft_preflight.h"

#define GRACE_S 30
#define POD_MS (INT64_C(600) * 1000)
#define LOG_MS 30000
#define GONE_MS (INT64_C(300) * 1000)

/* ---- Facts: canary.pod {name, uid, node}, canary.claims [{name, template, uid, volume, volume_uid, handle, policy}] ---- */

static struct json_t *templates_of(const struct run *r) {
    struct json_t *list = run_fact_json(r, "set.templates");
    if (jd_len(list) > 0 || !r->preview) return list ? list : jd_array();
    jd_free(list);
    list = jd_array();
    jd_append(list, jd_string("‹template›"));
    return list;
}

/* One entry per template, whatever is known of it. */
static struct json_t *claims_of(const struct run *r) {
    struct json_t *claims = run_fact_json(r, "canary.claims"), *templates = templates_of(r);
    if (jd_len(claims) == 0) {
        jd_free(claims);
        claims = jd_array();
        for (size_t i = 0; i < jd_len(templates); i++) {
            char name[128];
            struct json_t *c = jd_object();
            const char *template = jd_string_value(jd_at(templates, i));
            jd_set(c, "name", jd_string(canary_claim_name(r, template, name, sizeof name)));
            jd_set(c, "template", jd_string(template));
            jd_append(claims, c);
        }
    }
    jd_free(templates);
    return claims;
}

static const char *member(struct script *s, const struct json_t *c, const char *name) {
    const char *value = jd_str(c, name);
    return value && *value ? script_fmt(s, "%s", value) : script_fmt(s, "‹canary.%s›", name);
}

static struct json_t *find(struct json_t *claims, const char *name) {
    for (size_t i = 0; i < jd_len(claims); i++)
        if (str_eq(jd_str(jd_at(claims, i), "name"), name)) return jd_at(claims, i);
    return NULL;
}

static void copy(struct json_t *to, const char *as, const struct json_t *from, const char *dotted) {
    const char *value = jd_str(from, dotted);
    jd_set(to, as, jd_string(value ? value : ""));
}

static const char *pod_name(const struct run *r, struct script *s) {
    char name[64];
    return script_fmt(s, "%s", canary_name(r, name, sizeof name));
}

static const char *pod_uid(const struct run *r, struct script *s) {
    struct json_t *pod = run_fact_json(r, "canary.pod");
    const char *uid = member(s, pod, "uid");
    jd_free(pod);
    return uid;
}

static bool is_ours(const struct run *r, const struct json_t *doc) {
    return str_eq(jd_string_value(jd_member(jd_get(doc, "metadata.annotations"), "ferryman.io/run")), r->id);
}

static enum op_answer not_ours(const struct json_t *doc, struct buf *reason) {
    buf_printf(reason, "%s is there, but was not made by this run: remove it, or give the workload another name", jd_str(doc, "metadata.name"));
    return OP_REFUSE;
}

/* ---- What there is ---- */

static enum op_answer see_pod(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    (void)op;
    if (!seen->doc) {
        run_set(r, "canary.pod", "");
        buf_adds(reason, "none");
        return OP_DONE;
    }
    if (!is_ours(r, seen->doc)) return not_ours(seen->doc, reason);
    struct json_t *pod = jd_object();
    copy(pod, "name", seen->doc, "metadata.name");
    copy(pod, "uid", seen->doc, "metadata.uid");
    copy(pod, "node", seen->doc, "spec.nodeName");
    run_set_json(r, "canary.pod", pod);
    jd_free(pod);
    buf_printf(reason, "uid %.8s", jd_str(seen->doc, "metadata.uid"));
    return OP_DONE;
}

/* A claim that is not there any more leaves what is known of its volume. */
static enum op_answer see_claim(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    if (!seen->doc) {
        buf_adds(reason, "none");
        return OP_DONE;
    }
    if (!is_ours(r, seen->doc)) return not_ours(seen->doc, reason);
    struct json_t *claims = claims_of(r), *c = find(claims, op->data);
    const char *volume = jd_str(seen->doc, "spec.volumeName");
    if (c) {
        copy(c, "uid", seen->doc, "metadata.uid");
        if (volume && !str_eq(volume, jd_str(c, "volume"))) {
            jd_set(c, "volume", jd_string(volume));
            jd_del(c, "volume_uid");
        }
        run_set_json(r, "canary.claims", claims);
    }
    jd_free(claims);
    buf_printf(reason, "uid %.8s%s%s", jd_str(seen->doc, "metadata.uid"), volume ? ", volume " : ", not bound", volume ? volume : "");
    return OP_DONE;
}

static enum op_answer see_volume(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    struct json_t *claims = claims_of(r), *c = find(claims, op->data);
    bool ours = c && seen->doc && str_eq(jd_str(seen->doc, "spec.claimRef.uid"), jd_str(c, "uid"));
    if (ours) {
        copy(c, "volume_uid", seen->doc, "metadata.uid");
        copy(c, "handle", seen->doc, "spec.csi.volumeHandle");
        copy(c, "policy", seen->doc, "spec.persistentVolumeReclaimPolicy");
        run_set_json(r, "canary.claims", claims);
        buf_printf(reason, "%s, reclaim policy %s", jd_str(c, "handle"), jd_str(c, "policy"));
    } else buf_adds(reason, seen->doc ? "it belongs to another claim" : "it is gone");
    jd_free(claims);
    return OP_DONE;
}

static void look_volumes(struct run *r, struct script *s, struct op *op) {
    struct json_t *claims = claims_of(r);
    (void)op;
    for (size_t i = 0; i < jd_len(claims); i++) {
        const struct json_t *c = jd_at(claims, i);
        if (!r->preview && !jd_str(c, "volume")) continue;
        const char *volume = member(s, c, "volume"), *name = member(s, c, "name");
        script_get(s, script_fmt(s, "volume of %s", name), script_fmt(s, "volume %s of it", volume), raft_path(s, r, "persistentvolumes", volume), see_volume)
            ->data = (void *)(uintptr_t)name;
    }
    jd_free(claims);
}

static void look(struct run *r, struct script *s, const char *when) {
    struct json_t *claims = claims_of(r);
    const char *name = pod_name(r, s);
    script_get(s, script_fmt(s, "%s pod", when), script_fmt(s, "look for pod/%s", name), raft_path(s, r, "pods", name), see_pod);
    for (size_t i = 0; i < jd_len(claims); i++) {
        const char *claim = member(s, jd_at(claims, i), "name");
        script_get(s, script_fmt(s, "%s %s", when, claim), script_fmt(s, "look for claim/%s", claim), raft_path(s, r, "persistentvolumeclaims", claim), see_claim)
            ->data = (void *)(uintptr_t)claim;
    }
    script_call(s, script_fmt(s, "%s volumes", when), look_volumes, NULL, NULL);
    jd_free(claims);
}

/* ---- All of it goes ---- */

/* Kept volumes would be left behind: ours go with their claims. */
static void policy_delete(struct run *r, struct script *s, const struct json_t *c) {
    const char *volume = member(s, c, "volume"), *uid = member(s, c, "volume_uid");
    if (str_eq(jd_str(c, "policy"), "Delete") || (!r->preview && !jd_str(c, "volume_uid"))) return;
    struct json_t *patch = script_patch_new(uid);
    script_patch_set(patch, "replace", "/spec/persistentVolumeReclaimPolicy", jd_string("Delete"));
    script_patch(s, script_fmt(s, "volume %s goes too", volume), script_fmt(s, "reclaim policy of volume/%s to Delete: this run made it", volume),
                 raft_path(s, r, "persistentvolumes", volume), patch, NULL);
}

static void remove_claim(struct run *r, struct script *s, const struct json_t *c) {
    const char *name = member(s, c, "name"), *uid = member(s, c, "uid"), *path = raft_path(s, r, "persistentvolumeclaims", name);
    if (!r->preview && !jd_str(c, "uid")) return;
    policy_delete(r, s, c);
    script_delete(s, script_fmt(s, "delete %s", name), script_fmt(s, "delete claim/%s", name), path, uid, -1, NULL);
    raft_script_gone(r, s, script_fmt(s, "%s gone", name), script_fmt(s, "claim/%s is gone", name), path, uid, GONE_MS);
    if (!r->preview && !jd_str(c, "volume_uid")) return;
    const char *volume = member(s, c, "volume");
    raft_script_gone(r, s, script_fmt(s, "volume %s gone", volume), script_fmt(s, "its volume %s is gone", volume), raft_path(s, r, "persistentvolumes", volume),
                     member(s, c, "volume_uid"), GONE_MS);
}

static void remove_all(struct run *r, struct script *s, struct op *op) {
    struct json_t *claims = claims_of(r);
    (void)op;
    if (r->preview || run_has(r, "canary.pod")) {
        const char *name = pod_name(r, s), *uid = pod_uid(r, s), *path = raft_path(s, r, "pods", name);
        script_delete(s, script_fmt(s, "delete %s", name), script_fmt(s, "delete pod/%s", name), path, uid, GRACE_S, NULL);
        raft_script_gone(r, s, script_fmt(s, "%s gone", name), script_fmt(s, "pod/%s is gone", name), path, uid, GONE_MS);
    }
    for (size_t i = 0; i < jd_len(claims); i++) remove_claim(r, s, jd_at(claims, i));
    jd_free(claims);
}

static enum op_answer see_removed(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    static const char *const facts[] = {"canary.pod", "canary.claims", "canary.begun", "canary.failed"};
    (void)op;
    (void)seen;
    for (size_t i = 0; i < ARRAY_LEN(facts); i++) run_set(r, facts[i], "");
    buf_adds(reason, "nothing of it is left");
    return OP_DONE;
}

static void script_remove(struct run *r, struct script *s, const char *when) {
    look(r, s, when);
    script_call(s, script_fmt(s, "%s remove", when), remove_all, NULL, NULL);
    script_check(s, script_fmt(s, "%s removed", when), "nothing of the canary is left", see_removed);
}

/* ---- Claims and pod ---- */

/* The set as it is now; not noted, for its environment may hold secrets. */
struct blueprint {
    unsigned refs;
    struct json_t *set, *mounts;
    int64_t user;
};

static void unref(void *data) {
    struct blueprint *b = data;
    if (--b->refs) return;
    jd_free(b->set);
    jd_free(b->mounts);
    mem_free(b);
}

static struct blueprint *blueprint_new(const struct run *r) {
    struct blueprint *b = MEM_NEW(struct blueprint);
    b->refs = 1;
    b->user = -1;
    b->set = r->preview ? run_fact_json(r, "set.manifest") : NULL; /* what preflight saw, to be read */
    return b;
}

static struct op *with(struct op *op, struct blueprint *b) {
    b->refs++;
    op->data = b;
    op->drop = unref;
    return op;
}

static enum op_answer see_set(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    struct blueprint *b = op->data;
    if (!seen->doc) {
        buf_printf(reason, "set %s is not there", raft_spec(r)->statefulset);
        return OP_REFUSE;
    }
    jd_free(b->set);
    jd_free(b->mounts);
    b->set = jd_copy(seen->doc);
    b->mounts = canary_mounts(b->set);
    if (jd_len(b->mounts) > 0) return OP_DONE;
    buf_adds(reason, "no container mounts a claim of the set");
    return OP_REFUSE;
}

static enum op_answer see_begun(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    (void)op;
    (void)seen;
    (void)reason;
    run_set(r, "canary.done", "");
    run_set(r, "canary.proof", "");
    if (!run_has(r, "canary.begun")) run_set_int(r, "canary.begun", clock_wall_ms());
    return OP_DONE;
}

static void make_claims(struct run *r, struct script *s, struct op *op) {
    const struct blueprint *b = op->data;
    const struct json_t *templates = jd_get(b->set, "spec.volumeClaimTemplates");
    for (size_t i = 0; i < jd_len(templates); i++) {
        char name[128];
        const char *claim = script_fmt(s, "%s", canary_claim_name(r, jd_str(jd_at(templates, i), "metadata.name"), name, sizeof name));
        script_create(s, script_fmt(s, "make %s", claim), script_fmt(s, "create claim/%s on %s", claim, r->plan->target_class),
                      raft_path(s, r, "persistentvolumeclaims", NULL), canary_claim(r, jd_at(templates, i)), NULL);
        script_get(s, script_fmt(s, "%s noted", claim), "note its uid", raft_path(s, r, "persistentvolumeclaims", claim), see_claim)->data =
            (void *)(uintptr_t)claim;
    }
}

static void script_claims(struct run *r, struct script *s) {
    struct blueprint *b = blueprint_new(r);
    if (run_has(r, "canary.failed")) script_remove(r, s, "former"); /* what was under way is gone on with */
    with(script_get(s, "set", "the claim templates", raft_path(s, r, "statefulsets", raft_spec(r)->statefulset), see_set), b);
    script_check(s, "begun", "a canary begins", see_begun);
    with(script_call(s, "claims", make_claims, NULL, NULL), b);
    unref(b);
}

static void make_pod(struct run *r, struct script *s, struct op *op) {
    const struct blueprint *b = op->data;
    const char *name = pod_name(r, s);
    if (!b->set) return; /* a preview of what nothing is known of yet */
    struct op *made = script_create(s, "make pod", script_fmt(s, "create pod/%s: it writes, syncs and reads back as Vault's user", name),
                                    raft_path(s, r, "pods", NULL), canary_pod(r, b->set), NULL);
    made->dry = true;
    script_get(s, "pod noted", "note its uid", raft_path(s, r, "pods", name), see_pod);
}

static void script_pod(struct run *r, struct script *s) {
    struct blueprint *b = blueprint_new(r);
    with(script_get(s, "set", "the pod that the set would make", raft_path(s, r, "statefulsets", raft_spec(r)->statefulset), see_set), b);
    with(script_call(s, "pod", make_pod, NULL, NULL), b);
    unref(b);
}

/* ---- The proof ---- */

static enum op_answer see_ended(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    struct json_t *pod = run_fact_json(r, "canary.pod");
    const char *uid = jd_str(seen->doc, "metadata.uid"), *phase = jd_str(seen->doc, "status.phase"), *node = jd_str(seen->doc, "spec.nodeName");
    enum op_answer a = OP_TODO;
    bool crashed;
    (void)op;
    if (!seen->doc || !str_eq(uid, jd_str(pod, "uid"))) {
        buf_adds(reason, seen->doc ? "another pod has its name" : "it was removed by somebody: start the phase again");
        run_set(r, "canary.failed", "yes");
        a = OP_REFUSE;
    } else if (canary_never_ran(seen->doc, reason)) {
        run_set(r, "canary.failed", "yes");
        a = OP_REFUSE;
    } else if (str_eq(phase, "Succeeded") || str_eq(phase, "Failed")) {
        jd_set(pod, "node", jd_string(node ? node : ""));
        run_set_json(r, "canary.pod", pod);
        buf_printf(reason, "it has ended on %s", node ? node : "no node");
        a = OP_DONE;
    } else boot_pod_failed(seen->doc, reason, &crashed);
    jd_free(pod);
    return a;
}

static int64_t user_of(const struct json_t *set) {
    const struct json_t *containers = jd_get(set, "spec.template.spec.containers");
    for (size_t i = 0; i < jd_len(containers); i++) {
        int64_t user = jd_num(jd_at(containers, i), "securityContext.runAsUser", -1);
        if (user >= 0) return user;
    }
    return jd_num(set, "spec.template.spec.securityContext.runAsUser", -1);
}

static enum op_answer see_log(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    const struct blueprint *b = op->data;
    struct canary_proof proof;
    bool good = canary_judge(seen->text, b->mounts, r->id, user_of(b->set), &proof, reason);
    if (!good && !proof.done && seen->text.p) return OP_TODO; /* the rest of it is on its way */
    if (!good) {
        run_set(r, "canary.failed", "yes");
        run_note(r, "INFO", "the canary is left to be looked at; the next try removes it (by hand: kubectl -n %s delete pod,pvc -l ferryman.io/canary=%s)",
                 r->workload->ns, r->workload->name);
        return OP_REFUSE;
    }
    run_set(r, "canary.failed", "");
    run_set_int(r, "canary.user", proof.user);
    run_set(r, "canary.proof", buf_str(reason));
    return OP_DONE;
}

static void script_proof(struct run *r, struct script *s) {
    struct blueprint *b = blueprint_new(r);
    const char *name = pod_name(r, s), *path = raft_path(s, r, "pods", name);
    with(script_get(s, "set", "the paths to be written to", raft_path(s, r, "statefulsets", raft_spec(r)->statefulset), see_set), b);
    script_wait(s, "ended", script_fmt(s, "pod/%s attaches, unlocks, writes and ends", name), path, see_ended, POD_MS);
    look(r, s, "used");
    with(script_wait(s, "log", "what its log proves", script_fmt(s, "%s/log?container=canary&tailLines=100", path), see_log, LOG_MS), b);
    unref(b);
}

/* ---- The end ---- */

static enum op_answer see_done(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    (void)op;
    (void)seen;
    run_set_int(r, "canary.done", clock_wall_ms());
    if (run_has(r, "canary.proof")) buf_adds(reason, run_fact(r, "canary.proof"));
    return OP_DONE;
}

static void script_end(struct run *r, struct script *s) {
    script_remove(r, s, "end");
    script_check(s, "done", "the canary has proved the target class", see_done);
}

static const struct step steps[] = {
    {.id = "claims", .title = "throw-away claims", .script = script_claims},
    {.id = "pod", .title = "a throw-away pod", .script = script_pod},
    {.id = "proof", .title = "what it proves", .script = script_proof},
    {.id = "end", .title = "everything of it goes", .script = script_end},
    {.id = NULL},
};

static bool may_begin(const struct run *r, struct buf *reason) {
    if (!run_has(r, "set.templates") || !run_has(r, "pods")) {
        buf_adds(reason, "the set is not known: run preflight first");
        return false;
    }
    return raft_may_begin(r, reason);
}

/* What failed is begun anew with fresh claims; what was proved is only removed; else it is gone on with: each step sees what has been done. */
static const char *begin_at(const struct run *r) {
    return !run_has(r, "canary.failed") && run_has(r, "canary.proof") ? "end" : NULL;
}

static void dialog(struct run *r, struct dialog *d) {
    char name[64];
    const char *canary = canary_name(r, name, sizeof name);
    dialog_line(d, "will come", "pod %s with the image and security context of the set's pods, and a claim per template on %s; labels of its own, no token, "
                                "Vault is not started in it", canary, r->plan->target_class);
    dialog_line(d, "proof", "it writes, syncs and reads back at every path of the set's claims, as Vault's user; its log says so");
    dialog_line(d, "meanwhile", "Vault serves as ever");
    dialog_line(d, "will go", "pod, claims and volumes of the canary, at its end, by uid");
    dialog_line(d, "undo", "not needed: nothing that is there now is touched");
}

static int64_t estimate(const struct run *r) {
    (void)r;
    return INT64_C(60) * CLOCK_MS_PER_S;
}

const struct phase raft_phase_canary = {
    .id = "canary",
    .title = "canary",
    .stake = STAKE_REVERSIBLE,
    .steps = steps,
    .may_begin = may_begin,
    .dialog = dialog,
    .begin_at = begin_at,
    .estimate_ms = estimate,
};
