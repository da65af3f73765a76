/* Phase "step-down": the leader gives up, a node on new volumes becomes active, and proves that it can be (safety 16).
 *
 * 204 means that the request was queued, not that anything happened (OpenBao 2.6; facts/vault.md 1.9), so the act is
 * seen by its effect: the node does not say any more that it is active and names another. For about half a second two
 * nodes may say so. A follower with an unwritable audit volume looks healthy and can never become active: therefore an
 * authenticated write passes through the new one for a minute before the former leader's claims may go. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/json_doc.h"
#include "base/mem.h"
#include "base/str.h"
#include "migrate/raft.h"
#include "migrate/raft_cron.h"
#include "migrate/raft_look.h"
#include "migrate/raft_rescue.h"
#include "source/vault_source.h"
#include "world/world.h"

#define LEADERLESS_MS 90000 /* an election takes seconds; a step-down up to so long */

#define LEVEL_MS INT64_C(60000)
#define STEP_MS INT64_C(150000) /* requests that are under way are waited for, up to 90 s */
#define ACTIVE_MS INT64_C(180000)
#define PROOF_MS INT64_C(60000)
#define PROBE_MS INT64_C(10000)
#define PROBES_MIN 3
#define DUE_MS INT64_C(600000)
#define TRIES_MAX 3

static bool is_moved(const struct run *r, const char *pod) {
    const char *turn = pod ? raft_turn_of(r, pod) : NULL;
    return turn && raft_turn_has(r, turn, "done");
}

/* ---- Nothing that holds the state lock ---- */

static bool is_backup_of_ours(const struct run *r, const char *ns_name) {
    char own[300];
    snprintf(own, sizeof own, "%s/", r->workload->ns);
    return str_starts(ns_name, own);
}

/* A snapshot holds the state lock, and a step-down would wait for it or cut it short (safety 17). */
static enum op_answer see_no_backup(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    int64_t now = clock_wall_ms();
    (void)op, (void)seen;
    if (run_override(r, "backups")) {
        buf_printf(reason, "passed over: %s", run_override(r, "backups"));
        return OP_DONE;
    }
    for (size_t i = 0; i < r->plan->backup_cronjobs.n; i++) {
        const char *job = r->plan->backup_cronjobs.v[i], *slash = strchr(job, '/');
        if (!slash || !is_backup_of_ours(r, job)) continue;
        const struct row *w = world_find_name(r->world, T_WORKLOADS, slice_of(r->workload->ns), slice_of(slash + 1));
        char *schedule = w ? slice_dup(row_text(w, WORKLOADS_STRATEGY)) : NULL;
        bool due = schedule && !slice_is(row_text(w, WORKLOADS_STATE), "SUSPENDED") &&
                   raft_cron_due(schedule, now, now + DUE_MS);
        if (due)
            buf_printf(reason,
                       "cron job %s (%s) is due within 10 minutes: wait until it is over, or override the gate backups "
                       "with a reason",
                       job, schedule);
        mem_free(schedule);
        if (due) return OP_REFUSE;
    }
    for (const struct row *j = world_first(r->world, T_JOBS); j; j = world_next(r->world, j)) {
        struct slice owner = row_text(j, JOBS_OWNER), ns = row_text(j, JOBS_NAMESPACE);
        char *full = str_printf("%.*s/%.*s", SLICE_FMT(ns), SLICE_FMT(owner));
        bool ours = false;
        for (size_t i = 0; i < r->plan->backup_cronjobs.n; i++)
            ours = ours || str_eq(r->plan->backup_cronjobs.v[i], full);
        ours = ours && slice_is(ns, r->workload->ns) && slice_is(row_text(j, JOBS_STATE), "RUNNING");
        if (ours)
            buf_printf(reason,
                       "a backup runs (job of %s): wait until it is over, or override the gate backups with a reason",
                       full);
        mem_free(full);
        if (ours) return OP_REFUSE;
    }
    buf_adds(reason, "no backup runs or is due within 10 minutes");
    return OP_DONE;
}

/* Somebody has to take over who may. */
static enum op_answer see_somebody(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    const char *leader = run_fact(r, "leader.now");
    (void)op, (void)seen;
    if (is_moved(r, leader)) {
        buf_printf(reason, "%s is active and on new volumes already: nobody steps down, it is only proved", leader);
        return OP_DONE;
    }
    for (int64_t i = 0; i < raft_replicas(r); i++) {
        char pod[300];
        snprintf(pod, sizeof pod, "%s-%lld", raft_spec(r)->statefulset, (long long)i);
        if (str_eq(pod, leader) || is_moved(r, pod)) continue;
        buf_printf(reason, "%s is no leader and not moved yet: every follower comes first", pod);
        return OP_REFUSE;
    }
    run_set(r, "step-down.from", leader);
    if (run_has(r, "step-down.proved_at")) run_set(r, "step-down.proved_at", "");
    buf_printf(reason, "%s is active, every follower is on new volumes", leader);
    return OP_DONE;
}

static void script_ready(struct run *r, struct script *s) {
    raft_script_leader(r, s, "leader", NULL);
    script_check(s, "somebody", "somebody on new volumes can take over", see_somebody);
    script_check(s, "backups", "no snapshot holds the state lock", see_no_backup);
    raft_script_level(r, s, "level", NULL, LEVEL_MS);
    raft_script_peers(r, s, "peers", NULL);
    raft_script_autopilot(r, s, "autopilot", LEVEL_MS);
}

/* ---- The act ---- */

/* Of the former leader itself: it does not say any more that it is active, and names another. */
static enum op_answer see_stepped_down(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    const char *names = jd_str(seen->doc, "leader_address");
    (void)op;
    if (seen->status != 200 || !seen->doc) {
        buf_printf(reason, "it answers %d", seen->status);
        return OP_TODO;
    }
    if (jd_flag(seen->doc, "is_self", false) && run_has(r, "step-down.let_go")) {
        buf_printf(reason,
                   "%s gave up, nobody else became active, and it is active again: a node that cannot open or write "
                   "its audit device never becomes active. "
                   "Read the logs of the others, put that right, then start this phase again",
                   run_fact(r, "step-down.from"));
        return OP_REFUSE;
    }
    if (jd_flag(seen->doc, "is_self", false)) {
        run_set_int(r, "step-down.asked", clock_wall_ms());
        if (r->world)
            vault_source_expect_change(r->world, r->workload->name, LEADERLESS_MS); /* its absence is no alarm */
        buf_adds(reason, "it is active still");
        return OP_TODO;
    }
    if (!names || !*names) {
        run_set(r, "step-down.let_go", "yes");
        buf_adds(reason, "it gave up; nobody is active yet");
        return OP_TODO;
    }
    buf_printf(reason, "it names %s", names);
    return OP_DONE;
}

/* The world tells who; whether it is so is asked of that node then. */
static enum op_answer see_another(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    const char *leader = raft_leader(r), *from = run_has(r, "step-down.from") ? run_fact(r, "step-down.from") : "";
    (void)op, (void)seen;
    if (!leader) {
        buf_adds(reason, "no node says that it is active yet");
        return OP_TODO;
    }
    if (str_eq(leader, from)) {
        buf_printf(reason, "the last that was heard is %s", leader);
        return OP_TODO;
    }
    buf_adds(reason, leader);
    return OP_DONE;
}

static void act(struct run *r, struct script *s, struct op *op);

/* The new active node must be on new volumes; one that is not gets asked, too. */
static void again(struct run *r, struct script *s, struct op *op) {
    int64_t n = run_fact_int(r, "step-down.tries", 0);
    (void)op;
    if (r->preview || is_moved(r, run_fact(r, "leader.now")) || n >= TRIES_MAX) return;
    run_note(r, "WARN", "%s has become active, and it is not on new volumes: it is asked to step down, too",
             run_fact(r, "leader.now"));
    act(r, s, op);
}

static void act(struct run *r, struct script *s, struct op *op) {
    const char *from = raft_said(s, r, "leader.now");
    int64_t n = run_fact_int(r, "step-down.tries", 0) + 1;
    (void)op;
    if (!r->preview && is_moved(r, from)) return;
    run_set_int(r, "step-down.tries", n);
    run_set(r, "step-down.from", from);
    struct op *down = script_vault_act(s, script_fmt(s, "step down %lld", (long long)n),
                                       script_fmt(s, "%s steps down", from), from, "POST", "/v1/sys/step-down", NULL,
                                       "/v1/sys/leader", see_stepped_down);
    down->irreversible = true;
    down->deadline_ms = STEP_MS;
    raft_guard_well(r, s, down, from);
    script_wait(s, script_fmt(s, "another %lld", (long long)n), "another node becomes active", NULL, see_another,
                ACTIVE_MS);
    raft_script_leader(r, s, script_fmt(s, "new leader %lld", (long long)n), NULL);
    script_call(s, script_fmt(s, "again %lld", (long long)n), again, NULL, NULL);
}

static enum op_answer see_first(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    (void)op, (void)seen, (void)reason;
    run_set(r, "step-down.tries", "");
    run_set(r, "step-down.let_go", "");
    return OP_DONE;
}

static enum op_answer see_to(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    const char *leader = run_fact(r, "leader.now");
    (void)op, (void)seen;
    if (!is_moved(r, leader)) {
        buf_printf(reason, "%s is active, and it is not on new volumes: wait, and start this phase again", leader);
        return OP_REFUSE;
    }
    run_set(r, "step-down.to", leader);
    run_set(r, "step-down.proof", "");
    run_set(r, "step-down.proof.n", "");
    buf_adds(reason, leader);
    return OP_DONE;
}

static void script_down(struct run *r, struct script *s) {
    script_check(s, "first", "the act", see_first);
    raft_script_leader(r, s, "active", NULL);
    script_call(s, "act", act, NULL, NULL);
    script_check(s, "to", "the new leader is on new volumes", see_to);
}

/* ---- The proof ---- */

static void probe(struct run *r, struct script *s, struct op *op);

static enum op_answer see_active(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    const char *to = op->data;
    (void)r;
    if (seen->status == 200 && seen->doc && !jd_flag(seen->doc, "standby", true) &&
        !jd_flag(seen->doc, "sealed", true)) {
        buf_printf(reason, "%s is active by its own word", to);
        return OP_DONE;
    }
    buf_printf(reason, "%s answers %d: it is not active (any more). Start this phase again", to, seen->status);
    return OP_REFUSE;
}

static enum op_answer see_probed(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    int64_t now = clock_plan_ms(), n = run_fact_int(r, "step-down.proof.n", 0) + 1;
    (void)op, (void)seen;
    if (!run_has(r, "step-down.proof")) run_set_int(r, "step-down.proof", now);
    run_set_int(r, "step-down.proof.n", n);
    buf_printf(reason, "write %lld, %lld s", (long long)n,
               (long long)(now - run_fact_int(r, "step-down.proof", now)) / 1000);
    return OP_DONE;
}

static enum op_answer see_time(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    const int64_t *until = op->data;
    int64_t gone = clock_plan_ms() - run_fact_int(r, "step-down.proof", clock_plan_ms());
    (void)seen;
    buf_printf(reason, "%lld of %lld s without a failure", (long long)gone / 1000, (long long)PROOF_MS / 1000);
    return clock_plan_ms() >= *until ? OP_DONE : OP_TODO;
}

static enum op_answer see_proof(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    const char *to = run_fact(r, "step-down.to");
    struct json_t *proved = run_fact_json(r, "leader.proved");
    bool known = false;
    (void)op, (void)seen;
    if (!jd_is_array(proved)) {
        jd_free(proved);
        proved = jd_array();
    }
    for (size_t i = 0; i < jd_len(proved); i++) known = known || str_eq(jd_string_value(jd_at(proved, i)), to);
    if (!known) jd_append(proved, jd_string(to));
    run_set_json(r, "leader.proved", proved);
    run_set_int(r, "step-down.proved_at", clock_wall_ms());
    run_note(r, "GOOD", "%s is proved as leader: %s writes over a minute through its new volumes", to,
             run_fact(r, "step-down.proof.n"));
    buf_printf(reason, "%s, %s writes", to, run_fact(r, "step-down.proof.n"));
    jd_free(proved);
    return OP_DONE;
}

static void pause_between(struct script *s) {
    int64_t *until = mem_alloc(sizeof *until);
    *until = clock_plan_ms() + PROBE_MS;
    struct op *op = script_wait(s, "between", "the next write", NULL, see_time, PROBE_MS + 60000);
    op->data = until;
    op->drop = mem_free;
}

/* A write every 10 s until a minute is over; each failure ends the phase, and it begins with the first again. */
static void more(struct run *r, struct script *s, struct op *op) {
    int64_t since = clock_plan_ms() - run_fact_int(r, "step-down.proof", clock_plan_ms());
    if (r->preview || (since >= PROOF_MS && run_fact_int(r, "step-down.proof.n", 0) >= PROBES_MIN)) return;
    pause_between(s);
    script_call(s, "probe", probe, op->data, NULL);
}

static void probe(struct run *r, struct script *s, struct op *op) {
    const char *to = op->data;
    int64_t n = run_fact_int(r, "step-down.proof.n", 0) + 1;
    struct op *write = raft_script_write(r, s, script_fmt(s, "write %lld", (long long)n), to);
    write->deadline_ms = 15000;
    script_guard_vault(write, script_fmt(s, "%s is active", to), to, "/v1/sys/health", false, see_active)->data =
        op->data;
    script_check(s, script_fmt(s, "probed %lld", (long long)n), "it was written, and read back", see_probed);
    script_call(s, "more", more, op->data, NULL);
}

static void script_proof(struct run *r, struct script *s) {
    const char *to = raft_said(s, r, "step-down.to");
    run_set(r, "step-down.proof", "");
    run_set(r, "step-down.proof.n", "");
    script_vault_get(s, "health", script_fmt(s, "%s is active by its own word", to), to, "/v1/sys/health", false,
                     see_active)
        ->data = (void *)(uintptr_t)to;
    script_call(s, "probe", probe, (void *)(uintptr_t)to, NULL);
    script_check(s, "proof", "a minute of writes through the new leader", see_proof);
}

static const struct step steps[] = {
    {.id = "ready", .title = "somebody can take over", .script = script_ready},
    {.id = "down", .title = "the leader steps down", .script = script_down},
    {.id = "proof", .title = "a minute of writes through the new leader", .script = script_proof},
    {.id = NULL},
};

/* ---- Hooks ---- */

/* Who stepped down in a phase that was interrupted before the proof: who began it said that name. NULL: nobody. */
static const char *stepped_down(const struct run *r, const char *leader) {
    bool open = run_has(r, "step-down.from") && !run_has(r, "step-down.proved_at");
    return open && leader && is_moved(r, leader) && !str_eq(leader, run_fact(r, "step-down.from"))
               ? run_fact(r, "step-down.from")
               : NULL;
}

static const char *object(const struct run *r) {
    const char *leader = r->world ? raft_leader(r) : NULL, *from = stepped_down(r, leader);
    if (from) return from;
    return leader ? leader
                  : "‹the leader›"; /* while nobody is known nothing that was given beforehand is held against it */
}

static void name(const struct run *r, struct buf *out) {
    const char *leader = r->world ? raft_leader(r) : NULL;
    if (run_has(r, "step-down.proved_at"))
        buf_printf(out, "step-down, %s proved as leader", run_fact(r, "step-down.to"));
    else if (leader && is_moved(r, leader)) buf_printf(out, "proof of %s as leader", leader);
    else if (leader) buf_printf(out, "step-down of %s, proof of the new leader", leader);
    else buf_adds(out, "step-down, and proof of the new leader");
}

static bool may_begin(const struct run *r, struct buf *reason) {
    if (!raft_may_begin(r, reason)) return false;
    if (!raft_leader(r)) {
        buf_adds(reason, "who is the leader is not known, or is stale");
        return false;
    }
    return raft_budget(r, false, reason);
}

static void dialog(struct run *r, struct dialog *d) {
    const char *now = raft_leader(r);
    char leader[256];
    str_copy(leader, sizeof leader, now ? now : "the leader");
    if (now && is_moved(r, leader)) {
        const char *from = stepped_down(r, leader);
        dialog_line(d, "nothing goes", "%s is active and on new volumes already: nobody steps down", leader);
        if (from)
            dialog_line(d, "it goes on", "%s stepped down when this phase was begun; %s is not proved yet", from,
                        leader);
    } else {
        dialog_line(d, "will go", "%s as the active node; its pod and its claims stay as they are", leader);
        dialog_line(d, "will come", "the most current follower; all of them are on %s", r->plan->target_class);
        dialog_line(d, "meanwhile",
                    "no node is active for some seconds, at worst 90: clients wait or get 500; requests that are under "
                    "way are waited for");
    }
    dialog_line(d, "from", "%s", leader);
    dialog_line(d, "to", "a node on %s", r->plan->target_class);
    dialog_line(
        d, "proof",
        "authenticated writes through the new one for a minute; until then its ✓ is \"not yet proved as leader\"");
    dialog_line(d, "lost", "nothing: it is an election that is asked for");
    dialog_line(d, "undo", "another step-down; who wins is not for us to say");
    raft_rescue_line(r, d);
}

static bool is_proved(const struct run *r, const char *pod) {
    struct json_t *proved = run_fact_json(r, "leader.proved");
    bool found = false;
    for (size_t i = 0; i < jd_len(proved); i++) found = found || str_eq(jd_string_value(jd_at(proved, i)), pod);
    jd_free(proved);
    return found;
}

/* The lead has come back to one that is not moved, or went on to one that is not proved, before the last pod's turn:
 * once more. */
static bool undone(const struct run *r) {
    const char *leader = r->world ? raft_leader(r) : NULL;
    return !raft_turn_has(r, "last", "begun") && leader && (!is_moved(r, leader) || !is_proved(r, leader));
}

static const char *begin_at(const struct run *r) {
    (void)r;
    return "ready";
}

const struct phase raft_phase_step_down = {
    .id = "step-down",
    .title = "step-down, and proof of the new leader",
    .name = name,
    .stake = STAKE_HARD,
    .steps = steps,
    .object = object,
    .may_begin = may_begin,
    .dialog = dialog,
    .undone = undone,
    .begin_at = begin_at,
};
