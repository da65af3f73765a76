/* Phase "verify": the whole set once more, when every pod has moved. Each question that only this moment can answer becomes a criterion that
 * is frozen with its time; from then on the retention of what was left behind runs. What is judged is read live: claims by uid and class,
 * never by name; nodes by their own word; the leader by a write that is read back (safety 16, 32). */
#include "migrate/raft_verify.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/json_doc.h"
#include "base/mem.h"
#include "base/str.h"
#include "migrate/http_judge.h"
#include "migrate/postgres.h"
#include "migrate/preflight.h"
#include "migrate/raft_look.h"
#include "migrate/raft_manifest.h"
#include "world/world.h"

#define SETTLE_MS INT64_C(120000)
#define HTTP_MS INT64_C(600000)

#define ON_TARGET "claims on target class"
#define VOTERS "voters healthy and level"
#define PEERS "no stale peers"
#define KEPT "old volumes kept"
#define PROVED "leader proved"

static void criterion(struct run *r, const char *name, int rank, const struct buf *text) {
    if (!r->preview) postgres_criterion(r, name, true, rank, buf_str(text));
}

static void drop_json(void *data) {
    jd_free(data);
}

static struct op *about(struct op *op, const struct json_t *entry) {
    op->data = jd_copy(entry);
    op->drop = drop_json;
    return op;
}

/* ---- The set ---- */

static enum op_answer see_set(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    const char *name = raft_spec(r)->statefulset, *uid = jd_str(seen->doc, "metadata.uid");
    (void)op;
    if (!seen->doc) buf_printf(reason, "statefulset %s is not there", name);
    else if (jd_str(seen->doc, "metadata.deletionTimestamp")) buf_printf(reason, "statefulset %s is being deleted", name);
    else if (!raft_manifest_is_on(seen->doc, r->plan->target_class))
        buf_printf(reason, "the claim templates of statefulset %s are not on %s: a claim that is lost would come back on the old class; put the class back "
                           "where the set comes from", name, r->plan->target_class);
    else if (jd_num(seen->doc, "spec.replicas", 1) != raft_replicas(r))
        buf_printf(reason, "statefulset %s has %lld replicas, %lld were moved", name, (long long)jd_num(seen->doc, "spec.replicas", 1), (long long)raft_replicas(r));
    else {
        if (run_has(r, "set.new.uid") && !str_eq(run_fact(r, "set.new.uid"), uid))
            buf_printf(reason, "made again since the swap (uid %s), ", raft_short(uid));
        buf_printf(reason, "%lld replicas, templates on %s", (long long)raft_replicas(r), r->plan->target_class);
        return OP_DONE;
    }
    return OP_REFUSE;
}

/* ---- Its pods and their claims ---- */

static enum op_answer see_moved(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    (void)seen;
    if (r->preview) return OP_DONE;
    for (int64_t i = 0; i < raft_replicas(r); i++) {
        char pod[300];
        snprintf(pod, sizeof pod, "%s-%lld", raft_spec(r)->statefulset, (long long)i);
        const char *turn = raft_turn_of(r, pod);
        struct json_t *claims = turn ? raft_turn_json(r, turn, "claims.new") : NULL;
        bool known = jd_len(claims) > 0;
        jd_free(claims);
        if (known) continue;
        buf_printf(reason, "%s has not been moved yet", pod);
        return OP_REFUSE;
    }
    (void)op;
    buf_printf(reason, "%lld pods had their turn", (long long)raft_replicas(r));
    return OP_DONE;
}

/* data: its claims, as its turn noted them. */
static enum op_answer see_pod(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    const struct json_t *claims = op->data;
    const char *name = jd_str(seen->doc, "metadata.name"), *kind, *owner = seen->doc ? postgres_owner(seen->doc, &kind) : NULL;
    if (!seen->doc) {
        buf_adds(reason, "it is not there");
        return OP_TODO;
    }
    if (!str_eq(owner, raft_spec(r)->statefulset)) {
        buf_printf(reason, "%s does not belong to statefulset %s: nothing restarts it", name, raft_spec(r)->statefulset);
        return OP_TODO;
    }
    if (!postgres_pod_ready(seen->doc)) {
        buf_printf(reason, "%s is not Ready", name);
        return OP_TODO;
    }
    for (size_t i = 0; i < jd_len(claims); i++) {
        const char *claim = jd_str(jd_at(claims, i), "name");
        if (raft_mounts(seen->doc, claim)) continue;
        buf_printf(reason, "%s does not mount %s", name, claim);
        return OP_REFUSE;
    }
    buf_printf(reason, "Ready, %zu claims", jd_len(claims));
    return OP_DONE;
}

/* A claim by the uid that its turn gave it: bound to that volume, of the target class. */
static enum op_answer see_claim(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    const struct json_t *entry = op->data;
    const char *name = jd_str(entry, "name"), *uid = jd_str(seen->doc, "metadata.uid"), *class = jd_str(seen->doc, "spec.storageClassName");
    if (!seen->doc) buf_printf(reason, "claim %s is not there", name);
    else if (!str_eq(uid, jd_str(entry, "uid")))
        buf_printf(reason, "claim %s is another one now: uid %s, its pod's turn made %s", name, raft_short(uid), raft_short(jd_str(entry, "uid")));
    else if (jd_str(seen->doc, "metadata.deletionTimestamp")) buf_printf(reason, "claim %s is being deleted", name);
    else if (!str_eq(class, r->plan->target_class)) buf_printf(reason, "claim %s is of class %s, not %s", name, class ? class : "(none)", r->plan->target_class);
    else if (!str_eq(jd_str(seen->doc, "status.phase"), "Bound")) buf_printf(reason, "claim %s is not Bound", name);
    else if (jd_str(entry, "volume") && !str_eq(jd_str(seen->doc, "spec.volumeName"), jd_str(entry, "volume")))
        buf_printf(reason, "claim %s is bound to volume %s, its pod's turn saw %s", name, jd_str(seen->doc, "spec.volumeName"), jd_str(entry, "volume"));
    else {
        buf_printf(reason, "uid %s, %s", raft_short(uid), class);
        return OP_DONE;
    }
    return OP_REFUSE;
}

static void script_pod(struct run *r, struct script *s, const char *pod) {
    const char *turn = raft_turn_of(r, pod);
    struct json_t *claims = turn ? raft_turn_json(r, turn, "claims.new") : jd_array();
    about(script_wait(s, script_fmt(s, "pod %s", pod), script_fmt(s, "%s is Ready on its new claims", pod), raft_path(s, r, "pods", pod), see_pod, SETTLE_MS),
          claims);
    for (size_t i = 0; i < jd_len(claims); i++) {
        const char *name = jd_str(jd_at(claims, i), "name");
        about(script_get(s, script_fmt(s, "claim %s", name), script_fmt(s, "claim %s, by uid and class", name),
                         raft_path(s, r, "persistentvolumeclaims", name), see_claim), jd_at(claims, i));
    }
    jd_free(claims);
}

void raft_script_stands(struct run *r, struct script *s) {
    script_get(s, "set", script_fmt(s, "statefulset %s on the target class", raft_spec(r)->statefulset),
               raft_path(s, r, "statefulsets", raft_spec(r)->statefulset), see_set);
    script_check(s, "moved", "every pod has been moved", see_moved);
    for (int64_t i = 0; i < raft_replicas(r); i++) script_pod(r, s, raft_member(s, r, i));
}

static enum op_answer see_on_target(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    size_t n = 0;
    (void)op;
    (void)seen;
    for (int64_t i = 0; i < raft_replicas(r); i++) {
        char pod[300];
        snprintf(pod, sizeof pod, "%s-%lld", raft_spec(r)->statefulset, (long long)i);
        const char *turn = raft_turn_of(r, pod);
        struct json_t *claims = turn ? raft_turn_json(r, turn, "claims.new") : NULL;
        n += jd_len(claims);
        jd_free(claims);
    }
    buf_printf(reason, "%zu claims of %lld pods, by uid, on %s", n, (long long)raft_replicas(r), r->plan->target_class);
    criterion(r, ON_TARGET, 1, reason);
    return OP_DONE;
}

/* The claims that the pods are on, by uid: what a verification is of. A pod that has none makes it "". */
static void add_claims(const struct run *r, struct buf *out) {
    for (int64_t i = 0; i < raft_replicas(r); i++) {
        char pod[300];
        snprintf(pod, sizeof pod, "%s-%lld", raft_spec(r)->statefulset, (long long)i);
        const char *turn = raft_turn_of(r, pod);
        struct json_t *claims = turn ? raft_turn_json(r, turn, "claims.new") : NULL;
        bool none = jd_len(claims) == 0;
        for (size_t k = 0; k < jd_len(claims); k++) buf_printf(out, "%s%s", out->len ? " " : "", jd_str(jd_at(claims, k), "uid"));
        jd_free(claims);
        if (none) {
            buf_clear(out);
            return;
        }
    }
}

bool raft_verify_holds(const struct run *r) {
    struct buf now = {0};
    if (!run_has(r, "verify.done") || !run_has(r, "verify.of")) return false;
    add_claims(r, &now);
    bool same = now.len && str_eq(buf_str(&now), run_fact(r, "verify.of"));
    buf_free(&now);
    return same;
}

void raft_verify_forget(struct run *r) {
    static const char *const names[] = {ON_TARGET, VOTERS, PEERS, KEPT, PROVED};
    char fact[80];
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        snprintf(fact, sizeof fact, "criterion.%s", names[i]);
        if (run_has(r, fact)) run_set(r, fact, "");
    }
    run_set(r, "verify.done", "");
}

/* Nothing that was judged before holds for what is judged now. */
static enum op_answer see_begun(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    (void)op;
    (void)seen;
    (void)reason;
    raft_verify_forget(r);
    if (!r->preview) run_set_int(r, "verify.since", world_now(r->world));
    return OP_DONE;
}

static void script_target(struct run *r, struct script *s) {
    script_check(s, "begun", "what was judged before is taken back", see_begun);
    raft_script_stands(r, s);
    script_check(s, ON_TARGET, "every claim is on the target class", see_on_target);
}

/* ---- What was left behind ---- */

static enum op_answer see_kept(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    (void)r;
    return raft_judge_retained(op->data, seen->doc, reason);
}

static enum op_answer see_all_kept(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    (void)op;
    (void)seen;
    buf_adds(reason, "every volume that was left is there, Retain");
    criterion(r, KEPT, 4, reason);
    return OP_DONE;
}

static void script_kept(struct run *r, struct script *s) {
    for (int64_t i = 0; i < raft_replicas(r); i++) {
        const char *turn = raft_turn_of(r, raft_member(s, r, i));
        struct json_t *claims = turn ? raft_turn_json(r, turn, "claims.old") : NULL;
        for (size_t k = 0; k < jd_len(claims); k++) {
            const char *volume = jd_str(jd_at(claims, k), "volume");
            about(script_get(s, script_fmt(s, "volume %s", volume), script_fmt(s, "old volume %s of %s is kept", volume, jd_str(jd_at(claims, k), "name")),
                             raft_path(s, r, "persistentvolumes", volume), see_kept), jd_at(claims, k));
        }
        jd_free(claims);
    }
    script_check(s, KEPT, "what was left behind is kept", see_all_kept);
}

/* ---- The nodes ---- */

void raft_script_voters(struct run *r, struct script *s) {
    raft_script_leader(r, s, "leader", NULL);
    raft_script_level(r, s, "level", NULL, SETTLE_MS);
    raft_script_peers(r, s, "peers", NULL);
    raft_script_autopilot(r, s, "autopilot", SETTLE_MS);
}

static enum op_answer see_voters(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    (void)op;
    (void)seen;
    if (r->preview) return OP_DONE;
    buf_printf(reason, "%lld voters healthy, unsealed and level with %s at index %s", (long long)raft_replicas(r), run_fact(r, "leader.now"), run_fact(r, "leader.index"));
    criterion(r, VOTERS, 2, reason);
    return OP_DONE;
}

static enum op_answer see_no_stale(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    (void)op;
    (void)seen;
    buf_printf(reason, "%lld peers, each a pod of the set and a voter", (long long)raft_replicas(r));
    criterion(r, PEERS, 3, reason);
    return OP_DONE;
}

static void script_voters(struct run *r, struct script *s) {
    raft_script_voters(r, s);
    script_check(s, VOTERS, "the voters", see_voters);
    script_check(s, PEERS, "the peers", see_no_stale);
}

/* ---- The leader, by a write ---- */

static bool has_text(const struct json_t *list, const char *text) {
    for (size_t i = 0; i < jd_len(list); i++)
        if (str_eq(jd_string_value(jd_at(list, i)), text)) return true;
    return false;
}

/* The write of now is a proof, too: every pod is on its new volumes. */
static enum op_answer see_proved(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    const char *leader = run_fact(r, "leader.now");
    struct json_t *proved = run_fact_json(r, "leader.proved");
    struct buf others = {0};
    (void)op;
    (void)seen;
    if (r->preview) {
        jd_free(proved);
        return OP_DONE;
    }
    if (!jd_is_array(proved)) {
        jd_free(proved);
        proved = jd_array();
    }
    if (!has_text(proved, leader)) jd_append(proved, jd_string(leader));
    run_set_json(r, "leader.proved", proved);
    for (int64_t i = 0; i < raft_replicas(r); i++) {
        char pod[300];
        snprintf(pod, sizeof pod, "%s-%lld", raft_spec(r)->statefulset, (long long)i);
        if (!has_text(proved, pod)) buf_printf(&others, "%s%s", others.len ? ", " : "", pod);
    }
    buf_printf(reason, "%s took a write on its new volume and gave it back; %zu of %lld pods proved as leader", leader, jd_len(proved), (long long)raft_replicas(r));
    if (others.len) buf_printf(reason, ", not yet proved as leader: %s", buf_str(&others));
    criterion(r, PROVED, 5, reason);
    buf_free(&others);
    jd_free(proved);
    return OP_DONE;
}

static void write_through(struct run *r, struct script *s, struct op *op) {
    (void)op;
    raft_script_write(r, s, "write", raft_said(s, r, "leader.now"));
}

static void script_leader(struct run *r, struct script *s) {
    raft_script_leader(r, s, "leader", NULL);
    script_call(s, "a write through the leader", write_through, NULL, NULL);
    script_check(s, PROVED, "the leader", see_proved);
}

/* ---- From outside, and the end ---- */

static enum op_answer see_http(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    (void)op;
    (void)seen;
    return r->preview ? OP_DONE : http_judge(r, &raft_spec(r)->http, run_fact_int(r, "verify.since", 0), reason);
}

static void script_outside(struct run *r, struct script *s) {
    preflight_script_alerts(r, s);
    if (raft_spec(r)->http.n > 0) script_wait(s, "http", "HTTP answers as the plan expects, asked anew", NULL, see_http, HTTP_MS);
    else script_check(s, "http", "the plan names nothing to ask over HTTP", see_http);
}

static enum op_answer see_done(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    char until[40];
    struct buf of = {0};
    (void)op;
    (void)seen;
    if (r->preview) return OP_DONE;
    run_set_int(r, "verify.done", clock_plan_ms());
    add_claims(r, &of);
    /* The same claims again: what was left is as old as it was; other ones, after a rollback: it begins anew. */
    bool anew = !run_has(r, "retain.until") || !str_eq(run_fact(r, "verify.of"), buf_str(&of));
    if (anew) run_set_int(r, "retain.until", clock_plan_ms() + raft_spec(r)->retain_ms);
    run_set(r, "verify.of", buf_str(&of));
    buf_free(&of);
    clock_format_utc(run_fact_int(r, "retain.until", 0), until, sizeof until);
    run_note(r, "GOOD", "%s: every pod of %s is on %s; the old volumes are kept until %s", r->workload->name, raft_spec(r)->statefulset, r->plan->target_class, until);
    buf_printf(reason, "the old volumes are kept until %s", until);
    return OP_DONE;
}

static void script_done(struct run *r, struct script *s) {
    (void)r;
    script_check(s, "verified", "the retention of what was left begins", see_done);
}

static const struct step steps[] = {
    {"target", "every pod and claim, by uid and class", script_target},
    {"voters", "every voter, by its own word", script_voters},
    {"leader", "a write through the leader", script_leader},
    {"outside", "alerts, and HTTP from outside", script_outside},
    {"kept", "what was left behind", script_kept},
    {"done", "the retention begins", script_done},
    {NULL, NULL, NULL},
};

/* It reads: everything is read anew. */
static const char *begin_at(const struct run *r) {
    (void)r;
    return steps[0].id;
}

/* The window of the last pod, and by the order of phases all before it. */
static bool may_begin(const struct run *r, struct buf *reason) {
    if (!run_has(r, "window.last.done")) {
        buf_adds(reason, "the window of the last pod has not passed yet");
        return false;
    }
    return raft_may_begin(r, reason);
}

/* A pod was taken back since, or moved again. */
static bool undone(const struct run *r) {
    return !run_has(r, "cleanup.begun") && !raft_verify_holds(r);
}

static void dialog(struct run *r, struct dialog *d) {
    const struct plan_raft *p = raft_spec(r);
    dialog_line(d, "object", "statefulset %s: %lld pods on %s", p->statefulset, (long long)raft_replicas(r), r->plan->target_class);
    dialog_line(d, "proof", "claims by uid and class; every voter healthy, unsealed and level; no stale peer; one write through the leader (%s)", p->vault.write_probe);
    dialog_line(d, "proof", "%zu HTTP probes of the plan, asked anew; no alert", p->http.n);
    dialog_line(d, "meanwhile", "Vault serves");
    dialog_line(d, "lost", "nothing: it reads, and writes one value below the token's own cubbyhole");
    dialog_line(d, "undo", "nothing to undo; the old volumes are kept for %lld days from then on", (long long)(p->retain_ms / (24 * 60 * 60 * CLOCK_MS_PER_S)));
}

const struct phase raft_phase_verify = {
    .id = "verify",
    .title = "verify",
    .stake = STAKE_REVERSIBLE,
    .steps = steps,
    .may_begin = may_begin,
    .dialog = dialog,
    .undone = undone,
    .begin_at = begin_at,
};
