/* A pod's node comes back. It is a full voter from the first second, with no memory (facts/vault.md 3.1), so nothing is
 * believed that it does not say itself or that the leader does not say of it:
 *
 *   initialised (the join challenge has been fetched) · unsealed (by its automation, or by somebody: the wait says so)
 * · a peer under the identity that is expected, a voter, nobody else beside the set's pods · level with the leader, and
 * level again after a write of ours · not removed (530: Vault 1.19 and later; the cure is to wipe it again) · autopilot
 * healthy. */
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/json_doc.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/utf8.h"
#include "client/vault_parse.h"
#include "migrate/raft_look.h"
#include "migrate/raft_pod.h"

#define ANSWER_MS INT64_C(1800000)               /* images are pulled, volumes formatted and attached */
#define UNSEAL_MS (INT64_C(24) * 60 * 60 * 1000) /* somebody may have to be woken */
#define JOIN_MS INT64_C(1800000)
#define LEVEL_MS (INT64_C(6) * 60 * 60 * 1000) /* a snapshot of any size is installed */
#define AUTOPILOT_MS INT64_C(300000)
#define SAY_SEALED_MS INT64_C(60000)
#define AUDIT_LINE_MAX 300

struct node {
    char *pod, *old_id;
    bool back, said;
    int64_t since, wall;
};

static void node_free(void *data) {
    struct node *n = data;
    mem_free(n->pod);
    mem_free(n->old_id);
    mem_free(n);
}

static struct op *with(struct op *op, const struct node *of) {
    struct node *n = MEM_NEW(struct node);
    *n = (struct node){.pod = mem_strdup(of->pod), .old_id = mem_strdup(of->old_id), .back = of->back};
    op->data = n;
    op->drop = node_free;
    return op;
}

static enum op_answer removed(const struct node *n, struct buf *reason) {
    buf_printf(reason,
               "%s says that it was removed from the cluster: while it caught up it met an old configuration without "
               "itself (Vault 1.19 and later). It never comes "
               "back from that: it must be wiped again. Roll this pod back and start it again; do not call remove-peer",
               n->pod);
    return OP_REFUSE;
}

static bool is_removed(const struct seen *seen) {
    return seen->status == 530 || jd_flag(seen->doc, "removed_from_cluster", false);
}

/* sys/seal-status, which is asked of nobody else and needs no token. */
static enum op_answer see_initialised(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    const struct node *n = op->data;
    (void)r;
    if (is_removed(seen)) return removed(n, reason);
    if (seen->status != 200 || !seen->doc) {
        buf_printf(reason, "it answers %d", seen->status);
        return OP_TODO;
    }
    if (jd_flag(seen->doc, "initialized", false)) {
        buf_adds(reason,
                 jd_flag(seen->doc, "sealed", true) ? "the join challenge has been fetched" : "initialised, unsealed");
        return OP_DONE;
    }
    buf_printf(reason,
               "%s is empty and has not reached a node to join yet. Nobody may call sys/init there: it would be a "
               "second cluster. It needs retry_join in its "
               "configuration, or: POST /v1/sys/storage/raft/join on %s",
               n->pod, n->pod);
    return OP_TODO;
}

static enum op_answer see_unsealed(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    struct node *n = op->data;
    if (is_removed(seen)) return removed(n, reason);
    if (seen->status == 200 && seen->doc && !jd_flag(seen->doc, "sealed", true)) {
        buf_adds(reason, "unsealed");
        return OP_DONE;
    }
    if (n->since == 0) n->since = clock_mono_ms();
    buf_printf(reason, "%s is sealed: unseal it (%lld of %lld keys so far); some setups do that by themselves", n->pod,
               (long long)jd_num(seen->doc, "progress", 0), (long long)jd_num(seen->doc, "t", 0));
    if (!n->said && clock_mono_ms() - n->since > SAY_SEALED_MS) {
        n->said = true;
        run_note(r, "WARN", "%s is sealed for a minute: unseal it", n->pod);
    }
    return OP_TODO;
}

/* ---- A peer ---- */

static bool is_at(const struct run *r, const struct vault_server *v, const char *pod, bool back) {
    struct slice host = vault_address_host(slice_of(v->address)), label;
    const char *noted = raft_pod_noted(r, pod, "address");
    (void)back;
    if (str_eq(noted, v->address)) return true;
    slice_cut(&host, '.', &label);
    return slice_is(label, pod);
}

/* Its identity: with stable ids the same as before; else, empty, another one at the same address, with the old one
 * gone. */
static enum op_answer judge_identity(struct run *r, const struct node *n, const struct vault_servers *all,
                                     struct buf *reason) {
    const struct vault_server *mine = NULL;
    bool stable = !run_has(r, "ids.stable") || str_eq(run_fact(r, "ids.stable"), "yes"), old_there = false;
    for (size_t i = 0; i < all->count; i++) {
        if (is_at(r, &all->list[i], n->pod, n->back))
            mine = mine && str_eq(all->list[i].id, n->old_id) ? mine : &all->list[i];
        old_there = old_there || str_eq(all->list[i].id, n->old_id);
    }
    bool same = mine && str_eq(mine->id, n->old_id), want_same = stable || n->back;
    if (!mine) buf_printf(reason, "no peer is at %s's address yet", n->pod);
    else if (*n->old_id && want_same && !same)
        buf_printf(reason, "%s is there as %s, not as %s", n->pod, mine->id, n->old_id);
    else if (*n->old_id && !want_same && (same || old_there))
        buf_printf(reason, "the old id %s is a peer still: the new one takes its place when it joins", n->old_id);
    else if (!mine->voter)
        buf_printf(reason, "%s is no voter yet: it is promoted once it has been well for a while", n->pod);
    else if ((int64_t)all->count != raft_replicas(r))
        buf_printf(reason, "%zu peers, the set has %lld pods: one is stale", all->count, (long long)raft_replicas(r));
    else {
        buf_printf(reason, "voter %s at %s", mine->id, mine->address);
        return OP_DONE;
    }
    return OP_TODO;
}

static enum op_answer see_joined(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    const struct node *n = op->data;
    struct vault_servers all = {0};
    if (seen->status != 200) {
        buf_printf(reason, "the leader answers %d", seen->status);
        if (seen->status == 403) buf_adds(reason, ": the token may not read the raft configuration");
        return seen->status == 403 ? OP_REFUSE : OP_TODO;
    }
    struct err *e = vault_parse_servers(seen->text, &all);
    if (e) {
        buf_adds(reason, err_text(e));
        err_free(e);
        return OP_TODO;
    }
    return judge_identity(r, n, &all, reason);
}

/* ---- Level, twice, with a write between ---- */

static enum op_answer see_sample(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    int64_t index = jd_num(seen->doc, "raft_applied_index", 0), before = run_fact_int(r, "leader.sample", 0);
    bool second = op->data != NULL;
    if (!jd_flag(seen->doc, "is_self", false)) {
        buf_printf(reason, "%s is not active any more: start this phase again, it reads anew who is", op->vault);
        return OP_REFUSE;
    }
    if (second && index <= before) {
        buf_printf(reason, "applied index %lld: our write is not in it yet", (long long)index);
        return OP_TODO;
    }
    run_set_int(r, "leader.sample", index);
    buf_printf(reason, "applied index %lld", (long long)index);
    return OP_DONE;
}

static enum op_answer see_level(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    const struct node *n = op->data;
    int64_t want = run_fact_int(r, "leader.sample", 0), has = jd_num(seen->doc, "raft_applied_index", 0);
    if (is_removed(seen)) return removed(n, reason);
    if (seen->status != 200) {
        buf_printf(reason, "it answers %d", seen->status);
        return OP_TODO;
    }
    if (jd_flag(seen->doc, "is_self", false)) buf_printf(reason, "%s has become active while it caught up; ", n->pod);
    buf_printf(reason, "applied %lld of %lld", (long long)has, (long long)want);
    return want > 0 && has >= want ? OP_DONE : OP_TODO;
}

static enum op_answer see_well(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    const struct node *n = op->data;
    (void)r;
    if (is_removed(seen)) return removed(n, reason);
    if (!raft_is_well(seen, n->pod, reason)) return OP_TODO;
    buf_adds(reason, "well, not removed");
    return OP_DONE;
}

/* ---- Where it writes its audit logs ---- */

/* The container that mounts the claims, by the manifest as it was found; NULL: it has one, or it is not known. */
static const char *server_container(const struct run *r, struct script *s) {
    struct json_t *set = run_fact_json(r, "set.manifest"), *templates = run_fact_json(r, "set.templates");
    const struct json_t *list = jd_get(set, "spec.template.spec.containers");
    const char *name = NULL;
    for (size_t i = 0; !name && i < jd_len(list); i++) {
        const struct json_t *mounts = jd_get(jd_at(list, i), "volumeMounts");
        for (size_t m = 0; !name && m < jd_len(mounts); m++)
            for (size_t t = 0; !name && t < jd_len(templates); t++)
                if (str_eq(jd_str(jd_at(mounts, m), "name"), jd_string_value(jd_at(templates, t))))
                    name = script_fmt(s, "%s", jd_str(jd_at(list, i), "name"));
    }
    jd_free(set);
    jd_free(templates);
    return name;
}

/* "core: sanity check failed; unable to open "/vault/audit/audit.log" for writing: …", "… failed to setup audit table"
 * (seen of OpenBao 2.6.2). */
static bool is_audit_failure(struct slice line) {
    return slice_contains(line, "failed to setup audit table") ||
           (slice_contains(line, "sanity check failed") && slice_contains(line, "unable to open"));
}

/* A standby that cannot write its audit log calls itself healthy and can never become active (safety 16). OpenBao says
 * so in its log as soon as it is unsealed; Vault only when it becomes active, which step-down proves. */
static enum op_answer see_audit_log(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    const struct node *n = op->data;
    struct slice rest = seen->text, line, bad = {NULL, 0};
    (void)r;
    while (slice_cut(&rest, '\n', &line))
        if (is_audit_failure(line) && (!bad.p || slice_contains(line, "unable to open"))) bad = line;
    if (!bad.p) {
        buf_adds(reason, "it complains of no audit device");
        return OP_DONE;
    }
    buf_printf(reason,
               "%s looks healthy, and could never become active: its audit log cannot be written. Let its user write "
               "there, delete the pod once more, gracefully, and "
               "start this phase again. It says: ",
               n->pod);
    utf8_clean(reason, (struct slice){bad.p, bad.n < AUDIT_LINE_MAX ? bad.n : AUDIT_LINE_MAX});
    return OP_REFUSE;
}

static void join_rest(struct run *r, struct script *s, struct op *op) {
    const struct node *n = op->data;
    const char *leader = raft_said(s, r, "leader.now"), *pod = script_fmt(s, "%s", n->pod);
    with(script_vault_wait(s, "joined", script_fmt(s, "%s is a peer and a voter", pod), leader,
                           "/v1/sys/storage/raft/configuration", true, see_joined, JOIN_MS),
         n);
    script_vault_wait(s, "sample", "the leader's applied index", leader, "/v1/sys/leader", false, see_sample,
                      AUTOPILOT_MS);
    with(script_vault_wait(s, "level", script_fmt(s, "%s has applied all that", pod), pod, "/v1/sys/leader", false,
                           see_level, LEVEL_MS),
         n);
    raft_script_write(r, s, "write", leader);
    script_vault_wait(s, "sample again", "the leader's applied index after a write of ours", leader, "/v1/sys/leader",
                      false, see_sample, AUTOPILOT_MS)
        ->data = (void *)(uintptr_t)pod;
    with(script_vault_wait(s, "level again", script_fmt(s, "%s keeps up", pod), pod, "/v1/sys/leader", false, see_level,
                           LEVEL_MS),
         n);
    with(script_vault_wait(s, "well", script_fmt(s, "%s by its own word", pod), pod, "/v1/sys/health", false, see_well,
                           AUTOPILOT_MS),
         n);
    const char *container = server_container(r, s), *of = container ? script_fmt(s, "container=%s&", container) : "";
    with(script_get(s, "audit log", script_fmt(s, "%s's audit logs, by its log", pod),
                    script_fmt(s, "%s/log?%stailLines=2000", raft_path(s, r, "pods", pod), of), see_audit_log),
         n);
}

void raft_script_rejoin(struct run *r, struct script *s, const char *pod, const char *old_id, bool back) {
    struct node n = {.pod = (char *)(uintptr_t)pod, .old_id = (char *)(uintptr_t)(old_id ? old_id : ""), .back = back};
    with(script_vault_wait(s, "initialised", script_fmt(s, "%s answers and is initialised", pod), pod,
                           "/v1/sys/seal-status", false, see_initialised, ANSWER_MS),
         &n);
    with(script_vault_wait(s, "unsealed", script_fmt(s, "%s is unsealed", pod), pod, "/v1/sys/seal-status", false,
                           see_unsealed, UNSEAL_MS),
         &n);
    raft_script_leader(r, s, "leader again", pod);
    with(script_call(s, "join", join_rest, NULL, NULL), &n);
    raft_script_peers(r, s, "peers again", NULL);
    raft_script_autopilot(r, s, "autopilot again", AUTOPILOT_MS);
    raft_script_pod(r, s, pod); /* what is noted of it is what it is now */
}
