/* The nodes of the set by their own word: who is active, who is level, who is a peer (facts/vault.md §§1, 3, 6). Each
 * is asked by its pod's name; a standby's word about another counts only where several agree. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/json_doc.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/utf8.h"
#include "client/vault_parse.h"
#include "migrate/raft_look.h"

#define NODES_MAX 16
#define LEADER "/v1/sys/leader"
#define HEALTH "/v1/sys/health"
#define CONFIGURATION "/v1/sys/storage/raft/configuration"
#define AUTOPILOT "/v1/sys/storage/raft/autopilot/state"

/* An answer of a node to an authenticated question; false: why it is none, appended. */
static bool is_answer(const struct seen *seen, struct buf *reason) {
    if (seen->status == 200 && seen->doc) return true;
    struct buf said = {0};
    if (seen->text.p) vault_parse_errors(seen->text, &said);
    buf_printf(reason, "it answers %d%s%s", seen->status, said.len ? ": " : "", buf_str(&said));
    if (seen->status == 403) buf_adds(reason, " (the token is not allowed to read that)");
    buf_free(&said);
    return false;
}

/* ---- Well ---- */

bool raft_is_well(const struct seen *seen, const char *node, struct buf *reason) {
    const struct json_t *d = seen->doc;
    if (!jd_get(d, "initialized")) buf_printf(reason, "%s answers %d and does not say how it is", node, seen->status);
    else if (seen->status == 530 || jd_flag(d, "removed_from_cluster", false))
        buf_printf(reason, "%s says that it was removed from the cluster", node);
    else if (!jd_flag(d, "initialized", false)) buf_printf(reason, "%s is not initialised", node);
    else if (jd_flag(d, "sealed", true)) buf_printf(reason, "%s is sealed", node);
    else if (seen->status == 474 || !jd_flag(d, "ha_connection_healthy", true))
        buf_printf(reason, "%s has lost its connection to the active node", node);
    else if (seen->status != 200 && seen->status != 429 && seen->status != 473)
        buf_printf(reason, "%s answers %d", node, seen->status);
    else return true;
    return false;
}

static enum op_answer see_well(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    (void)r;
    if (!raft_is_well(seen, op->data, reason)) return OP_REFUSE;
    buf_adds(reason, "well");
    return OP_DONE;
}

/* ---- Who is active ---- */

struct views {
    char self[256], second[256], names[256], by[256]; /* who says that it is active; whom a standby names, and which */
    size_t selves, asked;
    int64_t index;
};

struct view {
    struct views *all; /* of the last operation, which drops it */
    const char *node;
};

/* "vault-2" of "https://vault-2.vault-internal:8201". */
static struct slice first_label(const char *address) {
    struct slice host = address ? vault_address_host(slice_of(address)) : (struct slice){NULL, 0}, label;
    slice_cut(&host, '.', &label);
    return label;
}

static enum op_answer see_view(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    struct view *v = op->data;
    const char *names = jd_str(seen->doc, "leader_cluster_address");
    (void)r;
    if (!is_answer(seen, reason)) return OP_REFUSE;
    v->all->asked++;
    if (jd_flag(seen->doc, "is_self", false)) {
        str_copy(v->all->selves++ == 0 ? v->all->self : v->all->second, sizeof v->all->self, v->node);
        v->all->index = jd_num(seen->doc, "raft_applied_index", 0);
        buf_printf(reason, "it is active, applied index %lld", (long long)v->all->index);
        return OP_DONE;
    }
    struct slice label = first_label(names);
    if (label.n) {
        snprintf(v->all->names, sizeof v->all->names, "%.*s", (int)label.n, label.p);
        str_copy(v->all->by, sizeof v->all->by, v->node);
    }
    buf_printf(reason, "standby, names %.*s, applied index %lld", label.n ? (int)label.n : 6,
               label.n ? label.p : "nobody", (long long)jd_num(seen->doc, "raft_applied_index", 0));
    return OP_DONE;
}

/* A name that is no member's (an address by IP) tells nothing. */
static bool names_a_member(const struct run *r, const char *name) {
    for (int64_t i = 0; i < raft_replicas(r); i++) {
        char pod[300];
        snprintf(pod, sizeof pod, "%s-%lld", raft_spec(r)->statefulset, (long long)i);
        if (str_eq(pod, name)) return true;
    }
    return false;
}

static enum op_answer see_views(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    const struct views *v = op->data;
    (void)seen;
    if (v->selves == 0) buf_adds(reason, "no node says that it is active: wait for one, then start again");
    else if (v->selves > 1)
        buf_printf(reason, "%s and %s both say that they are active: an election is under way; wait, then start again",
                   v->self, v->second);
    else if (*v->names && !str_eq(v->names, v->self) && names_a_member(r, v->names))
        buf_printf(reason, "%s says that it is active, %s names %s: wait until all agree, then start again", v->self,
                   v->by, v->names);
    else {
        run_set(r, "leader.now", v->self);
        run_set_int(r, "leader.index", v->index);
        buf_printf(reason, "%s, applied index %lld, by %zu nodes' word", v->self, (long long)v->index, v->asked);
        return OP_DONE;
    }
    return OP_REFUSE;
}

void raft_script_leader(struct run *r, struct script *s, const char *id, const char *skip) {
    struct views *all = MEM_NEW(struct views);
    for (int64_t i = 0; i < raft_replicas(r); i++) {
        const char *node = raft_member(s, r, i);
        if (str_eq(node, skip)) continue;
        struct op *op = script_vault_get(s, script_fmt(s, "%s %s", id, node),
                                         script_fmt(s, "%s says who is active", node), node, LEADER, false, see_view);
        struct view *v = MEM_NEW(struct view);
        *v = (struct view){all, node};
        op->data = v;
        op->drop = mem_free;
    }
    struct op *op = script_check(s, id, "who is active now", see_views);
    op->data = all;
    op->drop = mem_free;
}

/* ---- Level ---- */

static enum op_answer see_level(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    const char *node = op->data;
    int64_t want = run_fact_int(r, "leader.index", 0), has = jd_num(seen->doc, "raft_applied_index", 0);
    if (str_eq(node, run_fact(r, "leader.now"))) return OP_DONE; /* it is the measure */
    if (!is_answer(seen, reason)) return OP_TODO;
    buf_printf(reason, "applied index %lld of %lld", (long long)has, (long long)want);
    if (want > 0 && has >= want) return OP_DONE;
    buf_printf(reason, ": %s is behind the leader", node);
    return OP_TODO;
}

void raft_script_level(struct run *r, struct script *s, const char *id, const char *skip, int64_t deadline_ms) {
    for (int64_t i = 0; i < raft_replicas(r); i++) {
        const char *node = raft_member(s, r, i);
        if (str_eq(node, skip)) continue;
        script_vault_get(s, script_fmt(s, "%s %s well", id, node), script_fmt(s, "%s is well", node), node, HEALTH,
                         false, see_well)
            ->data = (void *)(uintptr_t)node;
        script_vault_wait(s, script_fmt(s, "%s %s level", id, node), script_fmt(s, "%s is level with the leader", node),
                          node, LEADER, false, see_level, deadline_ms)
            ->data = (void *)(uintptr_t)node;
    }
}

/* ---- Peers ---- */

static struct json_t *pods_load(const struct run *r) {
    struct json_t *d = run_fact_json(r, "pods");
    return d ? d : jd_object();
}

/* The pod of a server: by its address ("vault-0.vault-internal:8201"), or by its id; NULL: none of the set. Valid until
 * the next call. */
static const char *pod_of(const struct run *r, const struct vault_server *v) {
    static char name[256];
    struct slice label = first_label(v->address);
    snprintf(name, sizeof name, "%.*s", (int)label.n, label.n ? label.p : "");
    if (names_a_member(r, name)) return name;
    return names_a_member(r, v->id) ? v->id : NULL;
}

static void note_peer(struct json_t *pods, const char *pod, const struct vault_server *v) {
    if (!jd_member(pods, pod)) jd_set(pods, pod, jd_object());
    jd_set(jd_member(pods, pod), "node_id", jd_string(v->id));
    jd_set(jd_member(pods, pod), "address", jd_string(v->address));
}

/* Whether a wiped node comes back under the same id: read while nothing is under way. */
static void note_stable(struct run *r, const struct vault_servers *all) {
    bool stable = true;
    for (size_t i = 0; i < all->count; i++) stable = stable && str_eq(all->list[i].id, pod_of(r, &all->list[i]));
    run_set(r, "ids.stable", stable ? "yes" : "no");
}

/* Which servers may be there and how. */
static bool judge_peers(struct run *r, const struct vault_servers *all, const char *target, struct buf *reason) {
    struct json_t *pods = pods_load(r);
    bool well = true;
    for (size_t i = 0; i < all->count && well; i++) {
        const struct vault_server *v = &all->list[i];
        const char *pod = pod_of(r, v);
        well = pod && (v->voter || str_eq(pod, target));
        if (!pod)
            buf_printf(reason,
                       "peer %s at %s is no pod of the set: a stale peer counts for the majority; find out whose it is",
                       v->id, v->address);
        else if (!well) buf_printf(reason, "%s is no voter yet", pod);
        else if (!str_eq(pod, target)) note_peer(pods, pod, v);
        else if (!jd_str(jd_member(pods, pod), "node_id")) note_peer(pods, pod, v);
    }
    if (well && (int64_t)all->count != raft_replicas(r) && !(target && (int64_t)all->count + 1 == raft_replicas(r))) {
        buf_printf(reason, "the raft configuration has %zu peers, the set %lld pods", all->count,
                   (long long)raft_replicas(r));
        well = false;
    }
    if (well) run_set_json(r, "pods", pods);
    if (well && (!target || !run_has(r, "ids.stable"))) note_stable(r, all);
    jd_free(pods);
    return well;
}

static enum op_answer see_peers(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    struct vault_servers all = {0};
    if (!is_answer(seen, reason)) return OP_REFUSE;
    struct err *e = vault_parse_servers(seen->text, &all);
    if (e) {
        buf_adds(reason, err_text(e));
        err_free(e);
        return OP_REFUSE;
    }
    if (!judge_peers(r, &all, op->data, reason)) return OP_REFUSE;
    buf_printf(reason, "%zu peers, node ids %s", all.count,
               str_eq(run_fact(r, "ids.stable"), "yes") ? "are the pods' names" : "are on the disks");
    return OP_DONE;
}

struct later {
    const char *id, *target;
    int64_t deadline_ms;
    bool autopilot;
};

/* The leader is known only once it was read. */
static void ask_leader(struct run *r, struct script *s, struct op *op);

static void ask_later(struct script *s, const char *id, const char *target, int64_t deadline_ms, bool autopilot) {
    struct later *l = MEM_NEW(struct later);
    *l = (struct later){script_fmt(s, "%s", id), target ? script_fmt(s, "%s", target) : NULL, deadline_ms, autopilot};
    script_call(s, script_fmt(s, "%s of the leader", id), ask_leader, l, mem_free);
}

static enum op_answer see_autopilot(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    struct vault_autopilot a = {0};
    (void)op;
    if (!is_answer(seen, reason)) return seen->status == 403 ? OP_REFUSE : OP_TODO;
    struct err *e = vault_parse_autopilot(seen->text, &a);
    if (e) {
        buf_adds(reason, err_text(e));
        err_free(e);
        return OP_REFUSE;
    }
    for (size_t i = 0; i < a.servers.count; i++) {
        if (a.servers.list[i].healthy == VAULT_YES) continue;
        buf_printf(reason, "autopilot calls %s unhealthy (%s)", a.servers.list[i].id, a.servers.list[i].node_status);
        return OP_TODO;
    }
    if (a.healthy != VAULT_YES || a.tolerance < 1 || (int64_t)a.servers.count != raft_replicas(r)) {
        buf_printf(reason, "autopilot: %s, tolerance %lld, %zu servers",
                   a.healthy == VAULT_YES ? "healthy" : "not healthy", (long long)a.tolerance, a.servers.count);
        return OP_TODO;
    }
    buf_printf(reason, "healthy, tolerance %lld", (long long)a.tolerance);
    return OP_DONE;
}

static void ask_leader(struct run *r, struct script *s, struct op *op) {
    const struct later *l = op->data;
    const char *leader = raft_said(s, r, "leader.now");
    if (l->autopilot) {
        script_vault_wait(s, l->id, "autopilot's word", leader, AUTOPILOT, true, see_autopilot, l->deadline_ms);
        return;
    }
    script_vault_get(s, l->id, "the raft configuration", leader, CONFIGURATION, true, see_peers)->data =
        (void *)(uintptr_t)l->target;
}

void raft_script_peers(struct run *r, struct script *s, const char *id, const char *target) {
    (void)r;
    ask_later(s, id, target, 0, false);
}

void raft_script_autopilot(struct run *r, struct script *s, const char *id, int64_t deadline_ms) {
    (void)r;
    ask_later(s, id, NULL, deadline_ms, true);
}

/* ---- A write of ours ---- */

struct probe {
    char token[80]; /* what is written */
};

static enum op_answer see_written(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    const struct probe *p = op->data;
    (void)r;
    if (seen->status == 404) return OP_TODO; /* nothing was ever written there */
    if (!is_answer(seen, reason)) return seen->status == 403 ? OP_REFUSE : OP_TODO;
    if (!str_eq(jd_str(seen->doc, "data.ferryman"), p->token)) return OP_TODO;
    buf_adds(reason, "written and read back");
    return OP_DONE;
}

struct op *raft_script_write(struct run *r, struct script *s, const char *id, const char *node) {
    static unsigned count;
    struct probe *p = MEM_NEW(struct probe);
    struct json_t *body = jd_object();
    snprintf(p->token, sizeof p->token, "%.16s-%lld-%u", r->id ? r->id : "", (long long)clock_wall_ms(), ++count);
    jd_set(body, "ferryman", jd_string(r->preview ? "‹now›" : p->token));
    const char *path = script_fmt(s, "/v1/%s", raft_spec(r)->vault.write_probe);
    struct op *op = script_vault_act(s, id, script_fmt(s, "write through %s", node), node, "POST", path, body, path,
                                     see_written);
    op->data = p;
    op->drop = mem_free;
    return op;
}

/* ---- Guards ---- */

static enum op_answer see_active(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    (void)r;
    if (!is_answer(seen, reason)) return OP_REFUSE;
    if (jd_flag(seen->doc, "is_self", false)) return OP_DONE;
    buf_printf(reason, "%s is not active any more: read again who is, by starting this phase again",
               (const char *)op->data);
    return OP_REFUSE;
}

void raft_guard_leader(struct run *r, struct script *s, struct op *act) {
    const char *leader = raft_said(s, r, "leader.now");
    script_guard_vault(act, script_fmt(s, "%s is active still", leader), leader, LEADER, false, see_active)->data =
        (void *)(uintptr_t)leader;
}

void raft_guard_well(struct run *r, struct script *s, struct op *act, const char *skip) {
    for (int64_t i = 0; i < raft_replicas(r); i++) {
        const char *node = raft_member(s, r, i);
        if (str_eq(node, skip)) continue;
        script_guard_vault(act, script_fmt(s, "%s is well", node), node, HEALTH, false, see_well)->data =
            (void *)(uintptr_t)node;
    }
}

static enum op_answer see_not_active(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    (void)r;
    if (!jd_flag(seen->doc, "is_self", false)) return OP_DONE;
    buf_printf(reason,
               "%s has become active meanwhile: the leader is never taken away. Have it step down (POST "
               "/v1/sys/step-down), then go on",
               (const char *)op->data);
    return OP_REFUSE;
}

void raft_guard_not_leader(struct run *r, struct script *s, struct op *act, const char *pod) {
    const char *node = script_fmt(s, "%s", pod);
    (void)r;
    script_guard_vault(act, script_fmt(s, "%s is not active", node), node, LEADER, false, see_not_active)->data =
        (void *)(uintptr_t)node;
}
