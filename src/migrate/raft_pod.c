/* A pod's turn: it gets new claims on the target class, empty, and its node copies everything from the leader.
 *
 * Which pod it is, is read live right before it begins: never the leader, and never one that the operator did not see
 * in the dialog. Nothing begins unless every voter is well and level and one may be lost (safety 14); a pod that has
 * begun may be acted on again while every other one is. Its steps are raft_pod_claims.c (what goes and what comes) and
 * raft_pod_rejoin.c. */
#include "migrate/raft_pod.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/json_doc.h"
#include "base/mem.h"
#include "base/str.h"
#include "migrate/raft_look.h"
#include "migrate/raft_manifest.h"
#include "migrate/raft_preflight.h"
#include "migrate/raft_rescue.h"
#include "migrate/raft_template.h"
#include "migrate/snapshot_job.h"
#include "world/freshness.h"
#include "world/world.h"

#define LEVEL_MS INT64_C(60000)
#define AUTOPILOT_MS INT64_C(60000)

static bool is_last(const struct run *r) {
    return str_eq(r->phase->turn, "last");
}

const char *raft_pod_now(const struct run *r) {
    if (raft_has(r, "begun")) return raft_fact(r, "name");
    if (raft_has(r, "asked")) return raft_fact(r, "asked");
    const char *pod = raft_pod(r);
    return pod && *pod ? pod : NULL;
}

int64_t raft_pod_grace(const struct run *r, const char *pod) {
    int64_t own = 0;
    const char *noted = raft_pod_noted(r, pod, "grace");
    if (noted) (void)slice_to_i64(slice_of(noted), &own);
    return own > RAFT_GRACE_S ? own : RAFT_GRACE_S;
}

static const char *pod_name(struct run *r, struct script *s) {
    const char *pod = raft_pod_now(r);
    return pod ? script_fmt(s, "%s", pod) : script_fmt(s, "‹pod.%s.name›", r->phase->turn);
}

/* Its claims' DELETE was seen: it only goes forward, and what it was is not looked at again. */
static bool is_cut(const struct run *r) {
    return !r->preview && raft_has(r, "cut");
}

/* ---- Choose ---- */

static enum op_answer see_chosen(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    const char *pod = op->data, *leader = run_fact(r, "leader.now"), *turn = raft_turn_of(r, pod);
    (void)seen;
    if (!pod || !*pod || strstr(pod, "‹")) buf_adds(reason, "no pod can be chosen: it is not known who is the leader, or none is left");
    else if (str_eq(pod, leader))
        buf_printf(reason, "%s is the leader now: the plan is stale. %s", pod,
                   is_last(r) ? "It has to step down first" : "Open the dialog again, it shows who comes next");
    else if (!raft_has(r, "begun") && raft_has(r, "asked.leader") && !str_eq(raft_fact(r, "asked.leader"), leader))
        buf_printf(reason, "%s leads now, the dialog said %s: the plan is stale. Open the dialog again", leader,
                   raft_fact(r, "asked.leader"));
    else if (turn && !str_eq(turn, r->phase->turn)) buf_printf(reason, "%s was moved in turn %s already", pod, turn);
    else {
        raft_set(r, "leader", leader);
        raft_set(r, "index.sampled", run_fact(r, "leader.index"));
        buf_printf(reason, "%s; the leader is %s", pod, leader);
        return OP_DONE;
    }
    return OP_REFUSE;
}

/* A leader on a new disk, proved by writes through it, before the last old disk goes (safety 16). */
static enum op_answer see_proved(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    struct json_t *proved = run_fact_json(r, "leader.proved");
    const char *leader = run_fact(r, "leader.now");
    bool found = false;
    (void)op, (void)seen;
    for (size_t i = 0; i < jd_len(proved); i++) found = found || str_eq(jd_string_value(jd_at(proved, i)), leader);
    jd_free(proved);
    buf_printf(
        reason,
        found ? "%s was proved as leader on its new volumes"
              : "%s is active, and was not proved as leader on its new volumes: start step-down again, it proves it",
        leader);
    return found ? OP_DONE : OP_REFUSE;
}

static const struct json_t *entry_named(const struct json_t *list, const char *name) {
    for (size_t i = 0; i < jd_len(list); i++)
        if (str_eq(jd_str(jd_at(list, i), "name"), name)) return jd_at(list, i);
    return NULL;
}

/* A turn that had begun, whose end was not seen: what goes stays as it was noted then, for rollback and clean-up. Where
 * somebody ended the pod meanwhile, claims that were on their way out are gone and others have their names. */
static enum op_answer see_noted_again(struct run *r, const struct json_t *old, const struct json_t *now,
                                      const char *uid, struct buf *reason) {
    size_t gone = 0;
    char at[24];
    for (size_t i = 0; i < jd_len(old); i++) {
        const struct json_t *live = entry_named(now, jd_str(jd_at(old, i), "name"));
        gone += !live || !str_eq(jd_str(live, "uid"), jd_str(jd_at(old, i), "uid"));
    }
    if (gone < jd_len(old) && uid) raft_set(r, "uid.old", uid); /* a pod that is on one of them still goes */
    snprintf(at, sizeof at, "%lld", (long long)clock_wall_ms());
    if (gone > 0 && !raft_has(r, "cut")) raft_set(r, "cut", at);
    buf_printf(reason, "as noted when it began: %zu claims, %zu of them are gone", jd_len(old), gone);
    return OP_DONE;
}

/* What will go: those of its claims that are not on the target class yet. */
static enum op_answer see_noted(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    const char *pod = op->data, *uid = raft_pod_noted(r, pod, "uid");
    struct json_t *claims = raft_pod_claims(r, pod), *old = jd_array();
    struct json_t *before = raft_turn_json(r, r->phase->turn, "claims.old");
    struct buf text = {0};
    (void)seen;
    if (raft_has(r, "begun") && jd_len(before) > 0) {
        enum op_answer again = see_noted_again(r, before, claims, uid, reason);
        jd_free(before);
        jd_free(old);
        jd_free(claims);
        return again;
    }
    jd_free(before);
    raft_set(r, "uid.old", uid ? uid : "");
    const char *id = raft_pod_noted(r, pod, "node_id");
    if (!raft_has(r, "node_id.old")) raft_set(r, "node_id.old", id ? id : "");
    for (size_t i = 0; i < jd_len(claims); i++) {
        if (str_eq(jd_str(jd_at(claims, i), "class"), r->plan->target_class)) continue;
        jd_append(old, jd_copy(jd_at(claims, i)));
        buf_printf(reason, "%s%s uid %s on %s", reason->len ? ", " : "", jd_str(jd_at(claims, i), "name"),
                   raft_short(jd_str(jd_at(claims, i), "uid")), jd_str(jd_at(claims, i), "class"));
    }
    jd_dump(old, &text);
    raft_set(r, "claims.old", buf_str(&text));
    enum op_answer a = jd_len(old) > 0 ? OP_DONE : OP_REFUSE;
    if (a == OP_REFUSE)
        buf_printf(reason, "%s is on %s already: it was moved by somebody else, so its turn cannot be proved here", pod,
                   r->plan->target_class);
    buf_free(&text);
    jd_free(old);
    jd_free(claims);
    return a;
}

static void script_choose(struct run *r, struct script *s) {
    const char *pod = pod_name(r, s), *away = !r->preview && raft_has(r, "begun") ? pod : NULL;
    raft_script_leader(r, s, "leader", away);
    script_check(s, "chosen", script_fmt(s, "%s is next", pod), see_chosen)->data = (void *)(uintptr_t)pod;
    if (is_last(r)) script_check(s, "proved", "the leader is proved on its new volumes", see_proved);
    raft_script_level(r, s, "others", away, LEVEL_MS);
    raft_script_peers(r, s, "peers", away);
    if (!away) raft_script_autopilot(r, s, "autopilot", AUTOPILOT_MS);
    if (is_cut(r)) return;
    raft_script_pod(r, s, pod);
    script_check(s, "noted", script_fmt(s, "what goes of %s", pod), see_noted)->data = (void *)(uintptr_t)pod;
}

/* ---- Snapshot ---- */

static enum op_answer see_fresh(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    (void)op, (void)seen;
    if (!snapshot_is_fresh(r, run_fact(r, "leader.now"), reason)) return OP_REFUSE;
    buf_printf(reason, "index %s of %s", run_fact(r, "snapshot.index"), run_fact(r, "snapshot.node"));
    return OP_DONE;
}

static void script_snapshot(struct run *r, struct script *s) {
    struct buf why = {0};
    if (is_cut(r)) {
        buf_free(&why);
        return;
    }
    if (!run_has(r, "leader.now") || !snapshot_is_fresh(r, run_fact(r, "leader.now"), &why)) snapshot_script(r, s);
    script_check(s, "fresh snapshot", "a proved snapshot of the active node, less than an hour old", see_fresh);
    buf_free(&why);
}

/* ---- Ready ---- */

/* The pod would come back as the set says now: that is what preflight has judged, or somebody types why it is not
 * (safety 27). */
static bool is_as_judged(const struct run *r, const struct json_t *set, struct buf *reason) {
    struct json_t *judged = run_fact_json(r, "set.manifest");
    struct buf why = {0};
    bool same = !judged || run_override(r, "image") || raft_manifest_same(judged, set, &why);
    if (!same)
        buf_printf(reason,
                   "the set is not what preflight has judged, so the pod would come back as another: %s. Set that "
                   "back, or say why it is meant (gate image)",
                   buf_str(&why));
    buf_free(&why);
    jd_free(judged);
    return same;
}

/* A set that was made again from outside is as good, if it is the same: it is only relied on here, not acted on. */
static enum op_answer see_set(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    const char *uid = jd_str(seen->doc, "metadata.uid");
    (void)op;
    if (!seen->doc) buf_adds(reason, "the set is not there");
    else if (!raft_manifest_is_on(seen->doc, r->plan->target_class))
        buf_printf(reason, "its claim templates are not on %s any more", r->plan->target_class);
    else if (is_as_judged(r, seen->doc, reason)) {
        if (!str_eq(uid, run_fact(r, "set.new.uid")))
            run_note(r, "WARN", "the set was made again from outside (uid %s, was %s), the same as before",
                     raft_short(uid), raft_short(run_fact(r, "set.new.uid")));
        run_set(r, "set.new.uid", uid);
        buf_printf(reason, "uid %s, on %s", raft_short(uid), r->plan->target_class);
        return OP_DONE;
    }
    return OP_REFUSE;
}

/* Another pod of the set that is on its way out, or not Ready, is something else in flight. */
static enum op_answer see_quiet(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    const char *pod = op->data;
    const struct json_t *items = jd_get(seen->doc, "items");
    struct json_t *claims = raft_pod_claims(r, pod);
    size_t members = 0;
    enum op_answer a = OP_DONE;
    for (size_t i = 0; a == OP_DONE && i < jd_len(items); i++) {
        const struct json_t *p = jd_at(items, i);
        const char *name = jd_str(p, "metadata.name"), *phase = jd_str(p, "status.phase");
        bool member = false;
        for (int64_t k = 0; k < raft_replicas(r); k++) {
            char other[300];
            snprintf(other, sizeof other, "%s-%lld", raft_spec(r)->statefulset, (long long)k);
            member = member || str_eq(other, name);
        }
        members += member;
        if (member && (jd_str(p, "metadata.deletionTimestamp") || !str_eq(phase, "Running"))) {
            buf_printf(reason, "pod %s is %s: one at a time", name,
                       jd_str(p, "metadata.deletionTimestamp") ? "on its way out" : phase);
            a = OP_REFUSE;
        }
        for (size_t c = 0; a == OP_DONE && !str_eq(name, pod) && c < jd_len(claims); c++) {
            if (str_eq(phase, "Succeeded") || str_eq(phase, "Failed") ||
                !raft_mounts(p, jd_str(jd_at(claims, c), "name")))
                continue;
            buf_printf(reason, "pod %s mounts %s, too: end it first", name, jd_str(jd_at(claims, c), "name"));
            a = OP_REFUSE;
        }
    }
    if (a == OP_DONE && (int64_t)members != raft_replicas(r)) {
        buf_printf(reason, "%zu of %lld pods of the set are there", members, (long long)raft_replicas(r));
        a = OP_REFUSE;
    }
    if (a == OP_DONE) buf_printf(reason, "only %s mounts its claims; all %zu pods run", pod, members);
    jd_free(claims);
    return a;
}

static void retain_claims(struct run *r, struct script *s, struct op *op) {
    const char *pod = op->data;
    struct json_t *list = raft_turn_json(r, r->phase->turn, "claims.old");
    if (jd_len(list) == 0) {
        jd_free(list);
        list = raft_pod_claims(r, pod);
    }
    for (size_t i = 0; i < jd_len(list); i++) raft_script_retain(r, s, jd_at(list, i));
    jd_free(list);
}

/* The snapshot may have taken an hour: what was read before it is read again. */
static enum op_answer see_still(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    (void)op, (void)seen;
    if (str_eq(run_fact(r, "leader.now"), raft_fact(r, "leader"))) {
        buf_printf(reason, "%s leads still", run_fact(r, "leader.now"));
        return OP_DONE;
    }
    buf_printf(reason, "%s leads now, it was %s when this began: the plan is stale. Open the dialog again",
               run_fact(r, "leader.now"), raft_fact(r, "leader"));
    return OP_REFUSE;
}

static void script_ready(struct run *r, struct script *s) {
    const char *pod = pod_name(r, s), *away = !r->preview && raft_has(r, "begun") ? pod : NULL;
    if (is_cut(r)) return;
    script_get(s, "set", "the set is ours, on the target class",
               raft_path(s, r, "statefulsets", raft_spec(r)->statefulset), see_set);
    script_get(s, "quiet", "nothing else is in flight, and nobody else mounts its claims",
               raft_path(s, r, "pods", NULL), see_quiet)
        ->data = (void *)(uintptr_t)pod;
    raft_script_place(r, s, pod);
    script_call(s, "its volumes are kept", retain_claims, (void *)(uintptr_t)pod, NULL);
    raft_script_leader(r, s, "leader again", away);
    script_check(s, "still", "the same leader as when this began", see_still);
    raft_script_level(r, s, "level again", away, LEVEL_MS);
    if (!away) raft_script_autopilot(r, s, "autopilot again", AUTOPILOT_MS);
}

/* ---- Rejoin ---- */

static enum op_answer see_done(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    const char *pod = op->data, *id = raft_pod_noted(r, pod, "node_id");
    char text[32];
    int64_t begun = 0;
    (void)seen;
    (void)slice_to_i64(slice_of(raft_fact(r, "begun.wall")), &begun);
    int64_t now = clock_wall_ms(), seconds = begun ? (now - begun) / 1000 : 0;
    if (id) raft_set(r, "node_id", id);
    const char *uid = raft_pod_noted(r, pod, "uid");
    if (uid) raft_set(r, "uid.new", uid);
    snprintf(text, sizeof text, "%lld", (long long)seconds);
    raft_set(r, "seconds", text);
    snprintf(text, sizeof text, "%lld", (long long)now);
    raft_set(r, "done", text);
    run_set(r, "no_way_back", "");
    run_note(r, "GOOD", "%s rejoined as voter on %s, caught up to %s in %lld s", pod, r->plan->target_class,
             run_fact(r, "leader.sample"), (long long)seconds);
    buf_printf(reason, "%lld s", (long long)seconds);
    return OP_DONE;
}

static void script_rejoin(struct run *r, struct script *s) {
    const char *pod = pod_name(r, s);
    const char *id = raft_has(r, "node_id.old") ? raft_fact(r, "node_id.old") : raft_pod_noted(r, pod, "node_id");
    raft_script_rejoin(r, s, pod, id ? script_fmt(s, "%s", id) : "", false);
    script_check(s, "done", script_fmt(s, "%s is moved", pod), see_done)->data = (void *)(uintptr_t)pod;
}

static const struct step steps[] = {
    {.id = "choose", .title = "who is next, and whether the others can spare it", .script = script_choose},
    {.id = "snapshot", .title = "a fresh snapshot, proved", .script = script_snapshot},
    {.id = "ready", .title = "nothing is in the way", .script = script_ready},
    {.id = "swap", .title = "its claims go, then the pod", .script = raft_script_swap},
    {.id = "stopped", .title = "it has stopped; the others have everything", .script = raft_script_stopped},
    {.id = "claims", .title = "new claims, and a pod on them", .script = raft_script_settled},
    {.id = "rejoin", .title = "its node rejoins", .script = script_rejoin},
    {.id = NULL},
};

/* ---- Hooks ---- */

static void name(const struct run *r, struct buf *out) {
    const char *pod = raft_has(r, "begun") ? raft_fact(r, "name")
                                           : raft_pod(r); /* not as an earlier dialog showed it */
    if (!pod || !*pod)
        buf_printf(out, is_last(r) ? "the former leader: swap and rejoin" : "follower %s: swap and rejoin",
                   r->phase->turn);
    else buf_printf(out, "%s, %s: swap and rejoin", pod, is_last(r) ? "the former leader" : "follower");
}

/* While the leader is not known nobody is next: a name that nobody can type, and that no word given beforehand is held
 * against. */
static const char *object(const struct run *r) {
    const char *pod = raft_has(r, "begun") ? raft_fact(r, "name") : raft_pod(r);
    return pod && *pod ? pod : "‹the pod›";
}

static bool may_begin(const struct run *r, struct buf *reason) {
    bool begun = raft_has(r, "begun");
    const char *pod = raft_pod_now(r);
    if (!run_has(r, "set.new.uid")) {
        buf_adds(reason, "the set's template is not on the target class yet");
        return false;
    }
    if (!pod) {
        buf_adds(reason, "no pod can be chosen: who is the leader is not known, or is stale");
        return false;
    }
    if (!begun && !raft_may_begin(r, reason)) return false; /* what is half-done is gone on with at any hour */
    const char *leader = raft_leader(r);
    if (leader && str_eq(leader, pod)) {
        buf_printf(reason, "%s is the leader: %s", pod,
                   is_last(r) ? "it has to step down first" : "open the dialog again, it shows who comes next");
        return false;
    }
    return raft_budget(r, begun, reason);
}

/* Seconds that an earlier pod took. */
static int64_t took(const struct run *r, char *which, size_t size) {
    static const char *const turns[] = {"last", "6", "5", "4", "3", "2", "1"};
    for (size_t i = 0; i < ARRAY_LEN(turns); i++) {
        int64_t n;
        if (!raft_turn_has(r, turns[i], "seconds") ||
            !slice_to_i64(slice_of(raft_turn_fact(r, turns[i], "seconds")), &n))
            continue;
        if (which) str_copy(which, size, raft_turn_fact(r, turns[i], "name"));
        return n;
    }
    return 0;
}

static int64_t estimate(const struct run *r) {
    return 1000 * took(r, NULL, 0);
}

/* The reclaim policy of a claim's volume: now, as the world has it, else as it was noted (since the template's swap it
 * is Retain). */
static const char *reclaim_of(const struct run *r, const struct json_t *claim, char *buf, size_t size) {
    const char *volume = jd_str(claim, "volume"), *noted = jd_str(claim, "reclaim");
    const struct row *v = r->world && volume
                              ? world_find_name(r->world, T_VOLUMES, (struct slice){NULL, 0}, slice_of(volume))
                              : NULL;
    struct slice now = v && fresh_usable(world_freshness(r->world, v)) ? row_text(v, VOLUMES_RECLAIM)
                                                                       : (struct slice){NULL, 0};
    if (now.n) snprintf(buf, size, "%.*s now", SLICE_FMT(now));
    else if (noted) snprintf(buf, size, "%s when it was read", noted);
    else str_copy(buf, size, "not read yet");
    return buf;
}

/* The pod's uid now, if the world has it, else as it was noted. */
static const char *uid_of(const struct run *r, const char *pod, char *buf, size_t size) {
    const struct row *p = r->world ? world_find_name(r->world, T_PODS, slice_of(r->workload->ns), slice_of(pod)) : NULL;
    const char *noted = raft_pod_noted(r, pod, "uid");
    if (p && fresh_usable(world_freshness(r->world, p))) snprintf(buf, size, "%.*s", SLICE_FMT(row_key(p)));
    else snprintf(buf, size, "%s", noted ? noted : "");
    return buf;
}

static void going_lines(struct run *r, struct dialog *d, const char *pod) {
    struct json_t *claims = raft_pod_claims(r, pod);
    char uid[64], policy[64];
    for (size_t i = 0; i < jd_len(claims); i++) {
        const struct json_t *c = jd_at(claims, i);
        const char *size = jd_str(c, "size"), *handle = jd_str(c, "handle");
        if (str_eq(jd_str(c, "class"), r->plan->target_class)) continue;
        dialog_line(d, "will go", "%s  uid %s  %s  %s  volume %s kept (%s; read again before and inside the act)%s%s",
                    jd_str(c, "name"), raft_short(jd_str(c, "uid")), jd_str(c, "class"), size ? size : "",
                    jd_str(c, "volume"), reclaim_of(r, c, policy, sizeof policy), handle ? "  " : "",
                    handle ? handle : "");
    }
    dialog_line(d, "will go", "pod %s  uid %s  gracefully, %lld s", pod, raft_short(uid_of(r, pod, uid, sizeof uid)),
                (long long)raft_pod_grace(r, pod));
    dialog_line(d, "from", "%zu claims of %s", jd_len(claims), pod);
    dialog_line(d, "to", "the same names on %s, empty", r->plan->target_class);
    jd_free(claims);
}

static void voter_line(struct run *r, struct dialog *d, const char *pod) {
    char which[256];
    int64_t n = raft_replicas(r), left = n - 1, seconds = took(r, which, sizeof which);
    int64_t tolerance = left - (n / 2 + 1);
    if (seconds > 0)
        dialog_line(d, "meanwhile", "%lld of %lld voters, tolerance %lld, for about %lld s (%s took that)",
                    (long long)left, (long long)n, (long long)tolerance, (long long)seconds, which);
    else
        dialog_line(d, "meanwhile",
                    "%lld of %lld voters, tolerance %lld, until %s has rejoined; nothing is known yet of how long that "
                    "takes here",
                    (long long)left, (long long)n, (long long)tolerance, pod);
}

static void proof_line(struct run *r, struct dialog *d, const char *leader) {
    struct buf why = {0};
    char age[24];
    if (run_has(r, "snapshot.proved_at"))
        dialog_line(d, "proof", "snapshot %s, proved %s ago, index %s, of %s", run_fact(r, "snapshot.file"),
                    clock_format_age(clock_wall_ms() - run_fact_int(r, "snapshot.proved_at", 0), age, sizeof age),
                    run_fact(r, "snapshot.index"), run_fact(r, "snapshot.node"));
    if (!leader || !snapshot_is_fresh(r, leader, &why))
        dialog_line(d, "proof", "another snapshot is taken and proved first%s%s", why.len ? ": " : "", buf_str(&why));
    buf_free(&why);
}

static void dialog(struct run *r, struct dialog *d) {
    const char *found = raft_has(r, "begun") ? raft_fact(r, "name") : raft_pod(r), *now = raft_leader(r);
    char pod[256] = "", leader[256] = "";
    if (now) str_copy(leader, sizeof leader, now);
    if (found) str_copy(pod, sizeof pod, found);
    if (!*pod) {
        dialog_line(d, "will go",
                    "the claims of the next follower, then its pod: which one is read from the nodes when it begins");
        raft_rescue_line(r, d);
        return;
    }
    raft_set(r, "asked.leader", leader);
    raft_set(r, "asked", pod); /* what is confirmed is this pod, whoever leads when it begins */
    if (run_has(r, "no_way_back"))
        dialog_line(d, "beware", "NO WAY BACK BUT FORWARD until %s: this turn was found half-done",
                    run_fact(r, "no_way_back"));
    going_lines(r, d, pod);
    dialog_line(d, "will come", "%s, empty; it rejoins, and copies everything from %s", pod,
                *leader ? leader : "the leader");
    voter_line(r, d, pod);
    proof_line(r, d, *leader ? leader : NULL);
    bool stable = !run_has(r, "ids.stable") || str_eq(run_fact(r, "ids.stable"), "yes");
    dialog_line(d, "identity",
                stable ? "node ids are the pods' names: it comes back under the same one, and no peer is removed first"
                       : "node ids are on the disks: it comes back under a new one at the same address, and the old "
                         "one goes when it joins");
    dialog_line(d, "lost",
                "nothing that the others do not have: they are level before it begins, and again once it has stopped");
    dialog_line(
        d, "undo",
        stable ? "rollback of this pod: the set orphaned, the kept volumes bound again by name, the set made again; "
                 "its own dialog shows the requests"
               : "rollback of this pod; with node ids on the disks its old disk is a removed peer's: it joins empty");
    dialog_line(d, "once started",
                "NO WAY BACK BUT FORWARD until %s is Ready: abort is off, signals wait for the end of the act", pod);
    raft_rescue_line(r, d);
}

static bool undone(const struct run *r) {
    return !raft_has(r, "done");
}

static const char *begin_at(const struct run *r) {
    (void)r;
    return "choose";
}

#define TURN(n)                                                                                                        \
    {                                                                                                                  \
        .id = "pod-" n, .turn = n, .title = "swap and rejoin", .name = name, .stake = STAKE_HARD, .steps = steps,      \
        .wanted = raft_turn_wanted, .object = object, .may_begin = may_begin, .dialog = dialog, .undone = undone,      \
        .begin_at = begin_at, .estimate_ms = estimate, .one_act = "swap"                                               \
    }
const struct phase raft_phase_pod[RAFT_TURNS + 1] = {TURN("1"), TURN("2"), TURN("3"),   TURN("4"),
                                                     TURN("5"), TURN("6"), TURN("last")};
