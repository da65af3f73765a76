/* A pod's turn from the first DELETE to a new pod on new claims (hazard 1, recorded as s1 … s13).
 *
 * The claims' DELETEs reach the server before the pod's object can be gone: then the controller makes new claims, and
 * the pod on them, 12 times of 12. The claims wait as Terminating for as long as the pod runs. Whatever disturbs that
 * order (the pod was restarted by somebody else in between) ends with a pod on a Terminating claim, or with one that
 * waits for a claim that does not come: each is cured by one more graceful deletion of the pod. FailedCreate events in
 * between are normal. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/json_doc.h"
#include "base/mem.h"
#include "base/str.h"
#include "migrate/raft_look.h"
#include "migrate/raft_pod.h"
#include "migrate/raft_template.h"

#define TERMINATING_MS INT64_C(60000)
#define LEVEL_MS INT64_C(60000)
#define MEASURE_MS INT64_C(3600000) /* without a majority nothing else helps than waiting for it */
#define SAY_MS INT64_C(20000)
#define CLAIMS_MS INT64_C(600000)
#define POD_MS INT64_C(1800000)
#define STUCK_MS INT64_C(15000) /* the controller takes 0.1 s (recorded); longer than this it will not come by itself  \
                                 */
#define DEADLOCK_MS INT64_C(30000) /* a scheduled pod whose claims nobody selects a node for */
#define CURES_MAX 3

struct at {
    char *pod;
    struct json_t *claim; /* entry of claims.old; NULL */
    int64_t since;        /* mono: when it was first asked about; 0 */
};

static void at_free(void *data) {
    struct at *at = data;
    mem_free(at->pod);
    jd_free(at->claim);
    mem_free(at);
}

static struct op *with(struct op *op, const char *pod, const struct json_t *claim) {
    struct at *at = MEM_NEW(struct at);
    *at = (struct at){.pod = mem_strdup(pod), .claim = claim ? jd_copy(claim) : NULL};
    op->data = at;
    op->drop = at_free;
    return op;
}

static const char *pod_name(struct run *r, struct script *s) {
    const char *pod = raft_pod_now(r);
    return pod ? script_fmt(s, "%s", pod) : script_fmt(s, "‹pod.%s.name›", r->phase->turn);
}

/* What goes: as noted when it was chosen, else (a preview) what is known of the pod now. */
static struct json_t *old_claims(const struct run *r, const char *pod) {
    struct json_t *list = raft_turn_json(r, r->phase->turn, "claims.old");
    if (jd_len(list) > 0 || raft_has(r, "claims.old")) return list;
    jd_free(list);
    return raft_pod_claims(r, pod);
}

static const char *old_uid(const struct run *r, struct script *s, const char *pod) {
    if (raft_has(r, "uid.old")) return script_fmt(s, "%s", raft_fact(r, "uid.old"));
    const char *noted = raft_pod_noted(r, pod, "uid");
    return noted ? script_fmt(s, "%s", noted) : script_fmt(s, "‹uid of %s›", pod);
}

/* ---- One act: the claims, then the pod ---- */

/* From here on its turn has begun. It is noted as the last thing that the first DELETE rests on: a refusal before it leaves nothing behind, and
 * the next try chooses anew. */
static enum op_answer see_begun(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    const struct at *at = op->data;
    char now[24], *ready = str_printf("%s is Ready again", at->pod);
    (void)seen;
    snprintf(now, sizeof now, "%lld", (long long)clock_plan_ms());
    raft_set(r, "name", at->pod);
    if (!raft_has(r, "begun")) raft_set(r, "begun", now);
    snprintf(now, sizeof now, "%lld", (long long)clock_wall_ms());
    if (!raft_has(r, "begun.wall")) raft_set(r, "begun.wall", now);
    run_set(r, "no_way_back", ready);
    buf_printf(reason, "no way back but forward until %s", ready);
    mem_free(ready);
    return OP_DONE;
}

/* The live claim, right before its DELETE: bound to the volume that is kept. */
static enum op_answer see_going(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    const struct at *at = op->data;
    const char *volume = jd_str(seen->doc, "spec.volumeName");
    (void)r;
    if (str_eq(volume, jd_str(at->claim, "volume"))) return OP_TODO;
    buf_printf(reason, "claim %s is bound to volume %s, not to %s: read again, by starting this phase again",
               jd_str(at->claim, "name"), volume ? volume : "(none)", jd_str(at->claim, "volume"));
    return OP_REFUSE;
}

static enum op_answer see_terminating(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    const struct at *at = op->data;
    char now[24];
    bool ours = seen->doc && str_eq(jd_str(seen->doc, "metadata.uid"), jd_str(at->claim, "uid"));
    if (ours && !jd_str(seen->doc, "metadata.deletionTimestamp")) {
        buf_adds(reason, "it is not on its way out yet");
        return OP_TODO;
    }
    snprintf(now, sizeof now, "%lld", (long long)clock_wall_ms());
    if (!raft_has(r, "cut")) raft_set(r, "cut", now);
    buf_adds(reason, ours ? "Terminating: it waits for the pod's end" : "gone");
    return OP_DONE;
}

static void guard_begins(struct run *r, struct script *s, struct op *act, const char *pod) {
    with(script_guard_get(act, script_fmt(s, "%s goes", pod), raft_path(s, r, "pods", pod), see_begun), pod, NULL);
}

static void delete_claim(struct run *r, struct script *s, const char *pod, const struct json_t *claim, bool first) {
    const char *name = jd_str(claim, "name"), *uid = jd_str(claim, "uid"), *class = jd_str(claim, "class");
    struct op *op = with(
        script_delete(s, script_fmt(s, "delete %s", name),
                      script_fmt(s, "delete claim %s (uid %s, %s)", name, raft_short(uid), class ? class : ""),
                      raft_path(s, r, "persistentvolumeclaims", name), uid, -1, see_going),
        pod, claim);
    op->irreversible = true;
    raft_guard_unmounted(r, s, op, pod);
    raft_guard_retained(r, s, op, claim);
    if (!first) return;
    raft_guard_template(r, s, op);
    raft_guard_well(r, s, op, pod);
    raft_guard_leader(r, s, op);
    raft_guard_not_leader(r, s, op, pod);
    guard_begins(r, s, op, pod);
}

static void delete_pod(struct run *r, struct script *s, const char *pod, const struct json_t *claims) {
    const char *uid = old_uid(r, s, pod);
    int64_t grace = raft_pod_grace(r, pod);
    struct op *op = script_delete(
        s, "delete pod",
        script_fmt(s, "delete pod %s (uid %s) gracefully, %lld s", pod, raft_short(uid), (long long)grace),
        raft_path(s, r, "pods", pod), uid, grace, NULL);
    op->irreversible = true;
    for (size_t i = 0; i < jd_len(claims); i++) raft_guard_retained(r, s, op, jd_at(claims, i));
    raft_guard_well(r, s, op, pod);
    raft_guard_leader(r, s, op);
    raft_guard_not_leader(r, s, op, pod);
}

void raft_script_swap(struct run *r, struct script *s) {
    const char *pod = pod_name(r, s);
    struct json_t *claims = old_claims(r, pod);
    for (size_t i = 0; i < jd_len(claims); i++) delete_claim(r, s, pod, jd_at(claims, i), i == 0);
    /* Whoever deleted them. */
    with(script_check(s, "begin", script_fmt(s, "%s goes", pod), see_begun), pod, NULL);
    for (size_t i = 0; i < jd_len(claims); i++) {
        const char *name = jd_str(jd_at(claims, i), "name");
        with(script_wait(s, script_fmt(s, "terminating %s", name), script_fmt(s, "claim %s is on its way out", name),
                         raft_path(s, r, "persistentvolumeclaims", name), see_terminating, TERMINATING_MS),
             pod, jd_at(claims, i));
    }
    for (size_t i = 0; i < jd_len(claims); i++)
        raft_script_retain(r, s, jd_at(claims, i)); /* again: somebody may have set it back */
    delete_pod(r, s, pod, claims);
    jd_free(claims);
}

/* ---- Stopped: nothing depends on the wiped disk any more ---- */

static enum op_answer see_stopped(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    char now[24];
    (void)op, (void)seen, (void)reason;
    snprintf(now, sizeof now, "%lld", (long long)clock_wall_ms());
    if (!raft_has(r, "stopped")) raft_set(r, "stopped", now);
    return OP_DONE;
}

/* Safety 15: the leader's index after the stop is the measure, and it is read again for that. Without a leader there is
 * no majority. */
static enum op_answer see_measure(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    struct at *at = op->data;
    int64_t index = jd_num(seen->doc, "raft_applied_index", 0), now = clock_mono_ms();
    const char *world = r->world ? raft_leader(r) : NULL;
    if (jd_flag(seen->doc, "is_self", false) && index > 0) {
        run_set_int(r, "leader.index", index);
        buf_printf(reason, "applied index %lld", (long long)index);
        return OP_DONE;
    }
    if (at->since == 0) at->since = now;
    if (world && !str_eq(world, op->vault) && !str_eq(world, at->pod) && now - at->since > SAY_MS) {
        buf_printf(reason, "%s is active now, not %s: start this phase again, it goes on with that", world, op->vault);
        return OP_REFUSE;
    }
    buf_printf(reason,
               "%s is not active: without a majority of the voters nothing is served. Bring the other node back "
               "(kubectl -n %s get pods); %s's old volumes are kept",
               op->vault, r->workload->ns, at->pod);
    if (now - at->since > SAY_MS && !raft_has(r, "alarm")) {
        run_note(r, "BAD", "no node is active while %s is stopped: bring the other node back; its old volumes are kept",
                 at->pod);
        raft_set(r, "alarm", op->vault);
    }
    return OP_TODO;
}

static enum op_answer see_others(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    const char *node = op->data;
    int64_t want = run_fact_int(r, "leader.index", 0), has = jd_num(seen->doc, "raft_applied_index", 0);
    if (str_eq(node, run_fact(r, "leader.now"))) return OP_DONE;
    buf_printf(reason, "%s has applied %lld of %lld", node, (long long)has, (long long)want);
    if (has >= want && want > 0) return OP_DONE;
    buf_adds(reason, ". What was committed with the stopped node alone is on its kept volumes: if this does not pass, "
                     "roll this pod back");
    if (!raft_has(r, "alarm"))
        run_note(r, "WARN", "%s is not level with the leader while %s is stopped: %s", node, run_fact(r, "no_way_back"),
                 buf_str(reason));
    raft_set(r, "alarm", node);
    return OP_TODO;
}

/* Also after a cure: a pod that came back on its old disk took part in between. */
static void level_rest(struct run *r, struct script *s, struct op *op) {
    const char *pod = script_fmt(s, "%s", ((const struct at *)op->data)->pod), *leader = raft_said(s, r, "leader.now");
    with(script_vault_wait(s, "measure", "the leader's applied index after the stop", leader, "/v1/sys/leader", false,
                           see_measure, MEASURE_MS),
         pod, NULL);
    for (int64_t i = 0; i < raft_replicas(r); i++) {
        const char *node = raft_member(s, r, i);
        if (str_eq(node, pod) || str_eq(node, leader)) continue;
        script_vault_wait(s, script_fmt(s, "level %s", node), script_fmt(s, "%s has what the leader has", node), node,
                          "/v1/sys/leader", false, see_others, LEVEL_MS)
            ->data = (void *)(uintptr_t)node;
    }
}

void raft_script_stopped(struct run *r, struct script *s) {
    const char *pod = pod_name(r, s);
    raft_script_gone(r, s, "pod gone", script_fmt(s, "pod %s stops in order", pod), raft_path(s, r, "pods", pod),
                     old_uid(r, s, pod), (raft_pod_grace(r, pod) + 120) * 1000);
    script_check(s, "stopped", "when it stopped", see_stopped);
    with(script_call(s, "level", level_rest, NULL, NULL), pod, NULL);
}

/* ---- New claims ---- */

static int64_t waited(const struct run *r) {
    const char *from = raft_has(r, "cured") ? "cured" : "stopped";
    int64_t since;
    return slice_to_i64(slice_of(raft_fact(r, from)), &since) ? clock_wall_ms() - since : 0;
}

static const struct json_t *item_named(const struct json_t *list, const char *name) {
    const struct json_t *items = jd_get(list, "items");
    for (size_t i = 0; i < jd_len(items); i++)
        if (str_eq(jd_str(jd_at(items, i), "metadata.name"), name)) return jd_at(items, i);
    return NULL;
}

/* One claim of that name: DONE if it is new; else what it is, in a word for the fact "claims.state". */
static enum op_answer judge_claim(struct run *r, const struct json_t *old, const struct json_t *live,
                                  const char **ret_state, struct buf *reason) {
    const char *name = jd_str(old, "name"), *class = jd_str(live, "spec.storageClassName");
    if (!live) {
        *ret_state = "absent";
        buf_printf(reason, "claim %s is not there yet", name);
        return OP_TODO;
    }
    if (str_eq(jd_str(live, "metadata.uid"), jd_str(old, "uid"))) {
        *ret_state = "old";
        buf_printf(reason, "claim %s is the old one still%s", name,
                   jd_str(live, "metadata.deletionTimestamp") ? ", Terminating" : "");
        return OP_TODO;
    }
    if (str_eq(class, r->plan->target_class)) return OP_DONE;
    buf_printf(reason,
               "claim %s came again on class %s, not on %s: the set's template was changed back. Nothing was lost (the "
               "old volume %s is kept); roll this "
               "pod back, or swap the template again and delete that claim and the pod by hand",
               name, class ? class : "(none)", r->plan->target_class, jd_str(old, "volume"));
    return OP_REFUSE;
}

static enum op_answer see_claims(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    const struct at *at = op->data;
    struct json_t *old = old_claims(r, at->pod);
    const char *state = "new";
    enum op_answer a = OP_DONE;
    for (size_t i = 0; i < jd_len(old) && a == OP_DONE; i++)
        a = judge_claim(r, jd_at(old, i), item_named(seen->doc, jd_str(jd_at(old, i), "name")), &state, reason);
    jd_free(old);
    if (a == OP_TODO && waited(r) > STUCK_MS) a = OP_DONE; /* the pod tells why */
    if (a == OP_DONE) raft_set(r, "claims.state", state);
    return a;
}

/* Needs one more deletion, and why. */
static enum op_answer stuck(struct run *r, const struct json_t *pod, const char *why, struct buf *reason) {
    raft_set(r, "stuck", why);
    raft_set(r, "stuck.uid", jd_str(pod, "metadata.uid"));
    buf_printf(reason, "pod uid %s %s", raft_short(jd_str(pod, "metadata.uid")), why);
    return OP_DONE;
}

static const char *unscheduled_reason(const struct json_t *pod) {
    const struct json_t *list = jd_get(pod, "status.conditions");
    for (size_t i = 0; i < jd_len(list); i++)
        if (str_eq(jd_str(jd_at(list, i), "type"), "PodScheduled")) return jd_str(jd_at(list, i), "message");
    return NULL;
}

static int64_t pod_age_ms(const struct json_t *pod) {
    int64_t at;
    const char *created = jd_str(pod, "metadata.creationTimestamp");
    return created && clock_parse_rfc3339(slice_of(created), &at) ? clock_wall_ms() - at : 0;
}

static enum op_answer see_new_pod(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    const struct json_t *pod = seen->doc;
    const char *state = raft_fact(r, "claims.state"), *phase = jd_str(pod, "status.phase");
    (void)op;
    raft_set(r, "stuck", "");
    if (!pod || jd_str(pod, "metadata.deletionTimestamp") ||
        str_eq(jd_str(pod, "metadata.uid"), raft_fact(r, "uid.old"))) {
        buf_adds(reason, pod ? "the old one is on its way out"
                             : "the controller has not made it yet (FailedCreate events meanwhile are normal)");
        return str_eq(state, "new") ? OP_TODO : OP_DONE; /* the claims are not: they are looked at again */
    }
    if (str_eq(state, "old")) return stuck(r, pod, "is on an old claim that is Terminating", reason);
    if (str_eq(state, "absent")) return stuck(r, pod, "waits for a claim that nobody makes while it is there", reason);
    if (str_eq(phase, "Running") || str_eq(phase, "Succeeded") || str_eq(phase, "Failed")) {
        raft_set(r, "uid.new", jd_str(pod, "metadata.uid"));
        buf_printf(reason, "uid %s on %s", raft_short(jd_str(pod, "metadata.uid")),
                   jd_str(pod, "spec.nodeName") ? jd_str(pod, "spec.nodeName") : "no node");
        return OP_DONE;
    }
    if (!jd_str(pod, "spec.nodeName")) {
        buf_printf(reason, "it is not scheduled yet: %s",
                   unscheduled_reason(pod) ? unscheduled_reason(pod) : "no reason is given");
        return OP_TODO;
    }
    if (pod_age_ms(pod) > DEADLOCK_MS && !raft_has(r, "waits"))
        return stuck(r, pod, "is scheduled and does not start", reason);
    buf_printf(reason, "on %s, its containers do not run yet", jd_str(pod, "spec.nodeName"));
    return OP_TODO;
}

/* s13: the claim waits for a consumer to be scheduled, the pod has been scheduled before it was there. */
static enum op_answer see_deadlock(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    const struct at *at = op->data;
    struct json_t *old = old_claims(r, at->pod);
    bool locked = false;
    for (size_t i = 0; i < jd_len(old); i++) {
        const struct json_t *claim = item_named(seen->doc, jd_str(jd_at(old, i), "name"));
        bool selected = jd_member(jd_get(claim, "metadata.annotations"), "volume.kubernetes.io/selected-node") != NULL;
        if (!claim || !str_eq(jd_str(claim, "status.phase"), "Pending") || selected) continue;
        locked = true;
        buf_printf(reason, "claim %s is Pending and no node is selected for it", jd_str(jd_at(old, i), "name"));
    }
    jd_free(old);
    if (!locked) {
        raft_set(r, "stuck", "");
        raft_set(r, "waits", "yes"); /* it starts slowly, that is all */
        buf_adds(reason, "its claims are well: it only starts slowly");
    }
    return OP_DONE;
}

static void settle(struct run *r, struct script *s, struct op *op);

/* ---- The cures ---- */

static enum op_answer see_cured(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    char now[24];
    int64_t n = 0;
    (void)op, (void)seen, (void)reason;
    snprintf(now, sizeof now, "%lld", (long long)clock_wall_ms());
    raft_set(r, "cured", now);
    (void)slice_to_i64(slice_of(raft_fact(r, "cures")), &n);
    snprintf(now, sizeof now, "%lld", (long long)n + 1);
    raft_set(r, "cures", now);
    raft_set(r, "stuck", "");
    return OP_DONE;
}

static enum op_answer see_may_cure(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    int64_t n = 0;
    (void)op, (void)seen;
    (void)slice_to_i64(slice_of(raft_fact(r, "cures")), &n);
    buf_printf(reason, "it %s", raft_fact(r, "stuck"));
    if (n < CURES_MAX) {
        run_note(r, "WARN", "%s %s: it gets one more graceful deletion", raft_fact(r, "name"), raft_fact(r, "stuck"));
        return OP_DONE;
    }
    buf_printf(reason, ", and %lld more deletions did not help: look at the pod's and the claims' events",
               (long long)n);
    return OP_REFUSE;
}

static void cure(struct run *r, struct script *s, const char *pod) {
    const char *uid = script_fmt(s, "%s", raft_fact(r, "stuck.uid")), *path = raft_path(s, r, "pods", pod);
    int64_t grace = raft_pod_grace(r, pod);
    script_check(s, "cure", script_fmt(s, "%s gets one more graceful deletion", pod), see_may_cure);
    struct op *op = script_delete(s, script_fmt(s, "cure %s", uid),
                                  script_fmt(s, "delete pod %s (uid %s) once more", pod, raft_short(uid)), path, uid,
                                  grace, NULL);
    op->irreversible = true;
    raft_guard_well(r, s, op, pod);
    raft_guard_leader(r, s, op);
    raft_script_gone(r, s, script_fmt(s, "cured %s", uid), script_fmt(s, "pod %s (uid %s) ends", pod, raft_short(uid)),
                     path, uid, (grace + 120) * 1000);
    with(script_call(s, script_fmt(s, "level after %s", uid), level_rest, NULL, NULL), pod, NULL);
    script_check(s, "cure over", "look again", see_cured);
    with(script_call(s, "settle again", settle, NULL, NULL), pod, NULL);
}

/* ---- Bound, and kept ---- */

static enum op_answer see_bound(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    const struct at *at = op->data;
    const char *name = jd_str(at->claim, "name"), *volume = jd_str(seen->doc, "spec.volumeName"),
               *uid = jd_str(seen->doc, "metadata.uid");
    if (!seen->doc || str_eq(uid, jd_str(at->claim, "uid"))) {
        buf_printf(reason, "claim %s is not the new one", name);
        return OP_REFUSE;
    }
    if (!volume || !str_eq(jd_str(seen->doc, "status.phase"), "Bound")) {
        buf_printf(reason, "it is %s", jd_str(seen->doc, "status.phase"));
        return OP_TODO;
    }
    struct json_t *list = raft_turn_json(r, r->phase->turn, "claims.new"), *entry = jd_object();
    for (size_t i = jd_len(list); i-- > 0;)
        if (str_eq(jd_str(jd_at(list, i), "name"), name)) jd_remove_at(list, i);
    jd_set(entry, "name", jd_string(name));
    jd_set(entry, "uid", jd_string(uid));
    jd_set(entry, "class", jd_string(jd_str(seen->doc, "spec.storageClassName")));
    jd_set(entry, "volume", jd_string(volume));
    jd_append(list, entry);
    struct buf text = {0};
    jd_dump(list, &text);
    raft_set(r, "claims.new", buf_str(&text));
    buf_free(&text);
    jd_free(list);
    buf_printf(reason, "uid %s, volume %s", raft_short(uid), volume);
    return OP_DONE;
}

static enum op_answer see_new_volume(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    const struct at *at = op->data;
    struct json_t *list = raft_turn_json(r, r->phase->turn, "claims.new");
    enum op_answer a = OP_REFUSE;
    for (size_t i = 0; seen->doc && i < jd_len(list); i++) {
        struct json_t *entry = jd_at(list, i);
        if (!str_eq(jd_str(entry, "name"), jd_str(at->claim, "name")) ||
            !str_eq(jd_str(seen->doc, "spec.claimRef.uid"), jd_str(entry, "uid")))
            continue;
        raft_note_volume(entry, seen->doc);
        buf_printf(reason, "%s, reclaim policy %s", jd_str(entry, "handle") ? jd_str(entry, "handle") : "no handle",
                   jd_str(entry, "reclaim"));
        a = OP_DONE;
    }
    if (a == OP_DONE) {
        struct buf text = {0};
        jd_dump(list, &text);
        raft_set(r, "claims.new", buf_str(&text));
        buf_free(&text);
    } else {
        buf_adds(reason, "it is not the new claim's volume");
    }
    jd_free(list);
    return a;
}

static enum op_answer see_moved(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    char now[24];
    (void)op, (void)seen, (void)reason;
    snprintf(now, sizeof now, "%lld", (long long)clock_plan_ms());
    raft_set(r, "gone", now);
    return OP_DONE;
}

static void keep_new(struct run *r, struct script *s, struct op *op) {
    struct json_t *list = raft_turn_json(r, r->phase->turn, "claims.new");
    (void)op;
    for (size_t i = 0; i < jd_len(list); i++) raft_script_retain(r, s, jd_at(list, i));
    script_check(s, "moved", "the pod is on its new claims", see_moved);
    jd_free(list);
}

static void note_volumes(struct run *r, struct script *s, struct op *op) {
    const char *pod = ((const struct at *)op->data)->pod;
    struct json_t *list = raft_turn_json(r, r->phase->turn, "claims.new");
    for (size_t i = 0; i < jd_len(list); i++) {
        const char *volume = jd_str(jd_at(list, i), "volume");
        with(script_get(s, script_fmt(s, "volume %s", volume),
                        script_fmt(s, "volume %s of %s", volume, jd_str(jd_at(list, i), "name")),
                        raft_path(s, r, "persistentvolumes", volume), see_new_volume),
             pod, jd_at(list, i));
    }
    script_call(s, "keep the new volumes", keep_new, NULL, NULL);
    jd_free(list);
}

static void bound(struct run *r, struct script *s, const char *pod) {
    struct json_t *old = old_claims(r, pod);
    for (size_t i = 0; i < jd_len(old); i++) {
        const char *name = jd_str(jd_at(old, i), "name");
        with(script_wait(s, script_fmt(s, "bound %s", name), script_fmt(s, "new claim %s is bound", name),
                         raft_path(s, r, "persistentvolumeclaims", name), see_bound, CLAIMS_MS),
             pod, jd_at(old, i));
    }
    with(script_call(s, "new volumes", note_volumes, NULL, NULL), pod, NULL);
    jd_free(old);
}

/* ---- Until the pod runs on new claims ---- */

static void after_deadlock(struct run *r, struct script *s, struct op *op) {
    const char *pod = ((const struct at *)op->data)->pod;
    if (raft_has(r, "stuck")) cure(r, s, script_fmt(s, "%s", pod));
    else settle(r, s, op);
}

static void after_pod(struct run *r, struct script *s, struct op *op) {
    const char *pod = script_fmt(s, "%s", ((const struct at *)op->data)->pod);
    bool fresh = r->preview || str_eq(raft_fact(r, "claims.state"), "new");
    if (!raft_has(r, "stuck") && !fresh) {
        char now[24];
        snprintf(now, sizeof now, "%lld", (long long)clock_wall_ms());
        raft_set(r, "cured", now);
        settle(r, s, op);
    } else if (!raft_has(r, "stuck")) {
        bound(r, s, pod);
    } else if (str_eq(raft_fact(r, "claims.state"), "new")) {
        with(script_get(s, "deadlock", "what its claims wait for", raft_path(s, r, "persistentvolumeclaims", NULL),
                        see_deadlock),
             pod, NULL);
        with(script_call(s, "deadlock seen", after_deadlock, NULL, NULL), pod, NULL);
    } else {
        cure(r, s, pod);
    }
}

static void settle(struct run *r, struct script *s, struct op *op) {
    const char *pod = script_fmt(s, "%s", ((const struct at *)op->data)->pod);
    with(script_wait(s, "new claims", script_fmt(s, "%s's claims come again, on %s", pod, r->plan->target_class),
                     raft_path(s, r, "persistentvolumeclaims", NULL), see_claims, CLAIMS_MS),
         pod, NULL);
    script_wait(s, "new pod", script_fmt(s, "pod %s comes again", pod), raft_path(s, r, "pods", pod), see_new_pod,
                POD_MS);
    with(script_call(s, "settled", after_pod, NULL, NULL), pod, NULL);
}

void raft_script_settled(struct run *r, struct script *s) {
    const char *pod = pod_name(r, s);
    with(script_call(s, "settle", settle, NULL, NULL), pod, NULL);
}
