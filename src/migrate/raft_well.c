/* How the cluster is before anything of it moves: who leads, everyone unsealed, healthy and level with the leader's index sampled first; peers
 * and their ids; what autopilot would do to a node that is away; what a wiped node would meet in the log. */
#include <string.h>

#include "base/json_doc.h"
#include "base/mem.h"
#include "base/str.h"
#include "client/vault_parse.h"
#include "migrate/raft_judge.h"
#include "migrate/raft_look.h"
#include "migrate/raft_preflight.h"

#define SOON_MS INT64_C(15000)
#define CONFIGURATION "/v1/sys/storage/raft/configuration"
#define AUTOPILOT "/v1/sys/storage/raft/autopilot/configuration"

/* The pods' addresses: a peer may be known by its address alone. */
struct peers {
    unsigned refs;
    struct json_t *pods;
};

static void unref(void *data) {
    struct peers *p = data;
    if (--p->refs) return;
    jd_free(p->pods);
    mem_free(p);
}

static enum op_answer see_pods(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    struct peers *p = op->data;
    (void)r;
    jd_free(p->pods);
    p->pods = seen->doc ? jd_copy(seen->doc) : NULL;
    buf_printf(reason, "%zu", jd_len(jd_get(p->pods, "items")));
    return OP_DONE;
}

/* False: it was no answer; appends why. */
static bool answered(const struct seen *seen, const char *what, struct buf *reason) {
    struct buf said = {0};
    if (seen->status == 200) return true;
    if (seen->text.p) vault_parse_errors(seen->text, &said);
    buf_printf(reason, "%s: the node answers %d%s%s", what, seen->status, said.len ? ": " : "", buf_str(&said));
    buf_free(&said);
    return false;
}

static bool parsed(struct err *e, struct buf *reason) {
    if (!e) return true;
    buf_adds(reason, err_text(e));
    err_free(e);
    return false;
}

static void note_peers(struct run *r, const struct vault_servers *all, const struct json_t *list) {
    struct json_t *pods = run_fact_json(r, "pods");
    if (!pods) pods = jd_object();
    for (size_t i = 0; i < all->count; i++) {
        const char *pod = raft_peer_pod(&all->list[i], raft_spec(r)->statefulset, raft_replicas(r), list);
        if (!jd_member(pods, pod)) jd_set(pods, pod, jd_object());
        jd_set(jd_member(pods, pod), "node_id", jd_string(all->list[i].id));
        jd_set(jd_member(pods, pod), "address", jd_string(all->list[i].address));
    }
    run_set_json(r, "pods", pods);
    jd_free(pods);
}

static enum op_answer see_peers(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    const struct peers *p = op->data;
    struct vault_servers all = {0};
    bool stable;
    if (!answered(seen, "the raft configuration", reason) || !parsed(vault_parse_servers(seen->text, &all), reason)) return OP_REFUSE;
    if (!raft_judge_peers(&all, raft_spec(r)->statefulset, raft_replicas(r), p->pods, &stable, reason)) return OP_REFUSE;
    run_set(r, "ids.stable", stable ? "yes" : "no");
    note_peers(r, &all, p->pods);
    return OP_DONE;
}

static enum op_answer see_cleanup(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    struct vault_autopilot_config c = {0};
    (void)op;
    if (!answered(seen, "autopilot's settings", reason) || !parsed(vault_parse_autopilot_config(seen->text, &c), reason)) return OP_REFUSE;
    return raft_judge_cleanup(&c, raft_replicas(r), reason) ? OP_DONE : OP_REFUSE;
}

static enum op_answer see_log(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    (void)op;
    (void)seen;
    if (!raft_judge_log(str_eq(run_fact(r, "vault.product"), "OpenBao"), run_fact(r, "vault.version"), run_fact_int(r, "leader.index", 0), reason) &&
        !r->preview)
        run_note(r, "WARN", "%s", buf_str(reason));
    return OP_DONE;
}

static void ask_leader(struct run *r, struct script *s, struct op *op) {
    struct peers *p = op->data;
    const char *leader = raft_said(s, r, "leader.now");
    script_get(s, "addresses", "the pods' addresses", raft_path(s, r, "pods", NULL), see_pods)->data = p;
    script_vault_get(s, "peers", "the raft configuration", leader, CONFIGURATION, true, see_peers)->data = p;
    raft_script_autopilot(r, s, "autopilot", SOON_MS);
    script_vault_get(s, "dead servers", "what autopilot does with dead servers", leader, AUTOPILOT, true, see_cleanup);
    script_check(s, "log", "what a wiped node would meet in the log", see_log);
}

void raft_preflight_well(struct run *r, struct script *s) {
    struct peers *p = MEM_NEW(struct peers);
    p->refs = 1;
    raft_script_leader(r, s, "leader", NULL);
    raft_script_level(r, s, "level", NULL, SOON_MS);
    script_call(s, "of the leader", ask_leader, p, unref);
}
