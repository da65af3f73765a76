/* Preflight of a raft set: everything that has ended such a move half way, asked before it begins (safety 1, 14, 16, 19 to 22, 27 to 29). Each
 * question is an operation with its own line of result, so the phase reads as a checklist. It changes nothing but the facts that the other
 * phases rest on, and renews our own token once. */
#include "migrate/raft_preflight.h"

#include <string.h>

#include "base/json_doc.h"
#include "base/mem.h"
#include "base/str.h"
#include "client/vault_parse.h"
#include "migrate/access.h"
#include "migrate/managers.h"
#include "migrate/raft_judge.h"
#include "migrate/raft_look.h"
#include "migrate/raft_manifest.h"
#include "migrate/script_try.h"

#define HEALTH "/v1/sys/health"

const char *raft_list_path(struct script *s, const struct run *r, const char *base, const char *plural) {
    return script_fmt(s, "%s/namespaces/%s/%s", base, r->workload->ns, plural);
}

/* ---- The set ---- */

static void note_lines(struct run *r, const char *level, const struct buf *lines) {
    struct slice rest = buf_slice(lines), line;
    while (slice_cut(&rest, '\n', &line))
        if (line.n > 0) run_note(r, level, "%.*s", SLICE_FMT(line));
}

static void note_set(struct run *r, const struct json_t *set) {
    struct json_t *manifest = raft_manifest_clean(set), *classes = raft_manifest_classes(set), *templates = raft_manifest_templates(set);
    struct buf open = {0};
    const char *policy = jd_str(set, "spec.podManagementPolicy");
    run_set(r, "set.uid", jd_str(set, "metadata.uid"));
    run_set_int(r, "replicas", jd_num(set, "spec.replicas", 1));
    run_set_json(r, "set.manifest", manifest);
    run_set_json(r, "set.class.old", classes);
    run_set_json(r, "set.templates", templates);
    run_set(r, "set.policy", policy ? policy : "OrderedReady");
    raft_say_open_secrets(set, &open);
    if (open.len)
        run_note(r, "WARN", "the template holds %s in the open: the manifest that is kept in the journal holds it too", buf_str(&open));
    buf_free(&open);
    jd_free(templates);
    jd_free(classes);
    jd_free(manifest);
}

static enum op_answer see_set(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    struct buf notes = {0};
    (void)op;
    if (!seen->doc) {
        buf_printf(reason, "statefulset %s is not in namespace %s: correct the plan", raft_spec(r)->statefulset, r->workload->ns);
        return OP_REFUSE;
    }
    bool good = raft_judge_set(seen->doc, reason, &notes);
    if (good) {
        if (raft_manifest_is_on(seen->doc, r->plan->target_class))
            run_note(r, "WARN", "the claim templates of set %s are on class %s already", raft_spec(r)->statefulset, r->plan->target_class);
        note_set(r, seen->doc);
        note_lines(r, "INFO", &notes);
    }
    buf_free(&notes);
    return good ? OP_DONE : OP_REFUSE;
}

static void script_set(struct run *r, struct script *s) {
    script_get(s, "set", "the set", raft_path(s, r, "statefulsets", raft_spec(r)->statefulset), see_set);
}

static void script_permissions(struct run *r, struct script *s) {
    const char *leader = raft_leader(r);
    script_access_raft(r, s, leader ? leader : raft_member(s, r, 0));
}

/* ---- Whose nodes they are ---- */

static enum op_answer refuse_health(const char *node, const struct vault_health *h, struct buf *reason) {
    if (h->removed == VAULT_YES) buf_printf(reason, "%s says that it was removed from the cluster: wipe it and let it join again first", node);
    else if (!h->initialized) buf_printf(reason, "%s is not initialised: it has not joined", node);
    else buf_printf(reason, "%s is sealed: unseal it first", node);
    return OP_REFUSE;
}

static enum op_answer see_health(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    const char *node = op->data, *pin = raft_spec(r)->vault.cluster_id;
    struct vault_health h = {0};
    struct err *e = vault_parse_health(seen->text, &h);
    if (e) {
        buf_adds(reason, err_text(e));
        err_free(e);
        return OP_REFUSE;
    }
    if (!h.initialized || h.sealed || h.removed == VAULT_YES) return refuse_health(node, &h, reason);
    const char *known = pin ? pin : run_has(r, "vault.cluster_id") ? run_fact(r, "vault.cluster_id") : NULL;
    if (known && !str_eq(known, h.cluster_id)) {
        buf_printf(reason, "%s belongs to cluster_id %s, and %s %s: another Vault answers there", node, h.cluster_id,
                   pin ? "the plan pins" : "the nodes before it to", known);
        return OP_REFUSE;
    }
    const char *version = run_fact(r, "vault.version");
    if (str_ends(op->id, "-0") || !version) {
        run_set(r, "vault.version", h.version);
        run_set(r, "vault.product", h.openbao ? "OpenBao" : "Vault");
    } else if (!str_eq(version, h.version) && !run_override(r, "image")) {
        buf_printf(reason, "%s runs %s, the first one %s: end that upgrade first, or say why not (gate image)", node, h.version, version);
        return OP_REFUSE;
    }
    run_set(r, "vault.cluster_id", h.cluster_id);
    buf_printf(reason, "%s %s, cluster_id %.8s%s", h.openbao ? "OpenBao" : "Vault", h.version, h.cluster_id, pin ? ", as pinned" : "");
    return OP_DONE;
}

static enum op_answer see_pin(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    (void)op;
    (void)seen;
    if (raft_spec(r)->vault.cluster_id) buf_adds(reason, "pinned by the plan");
    else buf_adds(reason, "the same of every node; the plan pins none, 'ferryman plan check --pin' writes it");
    return OP_DONE;
}

static void script_nodes(struct run *r, struct script *s) {
    for (int64_t i = 0; i < raft_replicas(r); i++) {
        const char *node = raft_member(s, r, i);
        script_vault_get(s, script_fmt(s, "identity %s", node), script_fmt(s, "whose node %s is", node), node, HEALTH, false, see_health)->data =
            (void *)(uintptr_t)node;
    }
    script_check(s, "pin", "the cluster_id", see_pin);
}

/* ---- Claims ---- */

static bool in_source(const struct run *r, const char *class) {
    for (size_t i = 0; i < r->plan->source_classes.n; i++)
        if (str_eq(r->plan->source_classes.v[i], class)) return true;
    return false;
}

struct tally {
    size_t claims, moved, deleting;
};

static enum op_answer judge_claim(const struct run *r, const struct json_t *c, struct tally *t, struct buf *reason) {
    const char *name = jd_str(c, "name"), *class = jd_str(c, "class"), *reclaim = jd_str(c, "reclaim");
    t->claims++;
    t->deleting += !str_eq(reclaim, "Retain");
    if (str_eq(class, r->plan->target_class)) t->moved++;
    else if (!in_source(r, class)) {
        buf_printf(reason, "claim %s has class %s, which is neither a source class of the plan nor its target", name, class && *class ? class : "none");
        return OP_REFUSE;
    }
    return OP_DONE;
}

static enum op_answer see_claims(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    struct json_t *pods = run_fact_json(r, "pods");
    struct tally t = {0};
    enum op_answer a = OP_DONE;
    char stranger[256] = "";
    (void)op;
    (void)seen;
    for (void *it = pods ? jd_iter(pods) : NULL; it && a == OP_DONE; it = jd_iter_next(pods, it)) {
        const struct json_t *claims = jd_get(jd_iter_value(it), "claims");
        size_t before = t.moved;
        for (size_t i = 0; i < jd_len(claims) && a == OP_DONE; i++) a = judge_claim(r, jd_at(claims, i), &t, reason);
        bool whole = jd_len(claims) > 0 && t.moved - before == jd_len(claims);
        if (whole && !raft_turn_of(r, jd_iter_key(it))) str_copy(stranger, sizeof stranger, jd_iter_key(it));
    }
    jd_free(pods);
    if (a != OP_DONE) return a;
    if (t.claims > 0 && t.moved == t.claims) {
        buf_printf(reason, "all %zu claims are on class %s already: it was moved. Nothing is left to do", t.claims, r->plan->target_class);
        return OP_REFUSE;
    }
    if (*stranger) { /* its turn would have nothing to take, and nothing of it could be proved: the roll would stop there, half-way */
        buf_printf(reason, "%s is on class %s already, and not by this run: what it was on before is not known here. Bring it back to its old class first, or "
                           "move the others as that one was moved", stranger, r->plan->target_class);
        return OP_REFUSE;
    }
    if (t.moved > 0)
        run_note(r, "WARN", "%zu of %zu claims are on class %s already: they stay, the others of their pods go", t.moved, t.claims, r->plan->target_class);
    buf_printf(reason, "%zu claims", t.claims);
    if (t.deleting > 0) buf_printf(reason, ", %zu volumes not Retain: each is set to Retain, and read back, before its claim goes", t.deleting);
    else buf_adds(reason, ", every volume Retain");
    return OP_DONE;
}

static void script_claims(struct run *r, struct script *s) {
    for (int64_t i = 0; i < raft_replicas(r); i++) raft_script_pod(r, s, raft_member(s, r, i));
    script_check(s, "claims", "the claims that are left", see_claims);
}

/* ---- Who else has a hand in it ---- */

static enum op_answer see_scalers(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    struct manager found[MANAGERS_MAX];
    size_t n = managers_scaling(seen->doc, "StatefulSet", raft_spec(r)->statefulset, found, 0);
    (void)op;
    if (n > 0) buf_printf(reason, "set %s is scaled by %s (%s): remove that first", raft_spec(r)->statefulset, found[0].name, found[0].evidence);
    else buf_adds(reason, seen->status == 404 ? "the cluster has none of that kind" : seen->status == 403 ? "not known: they may not be read" : "none");
    return n > 0 ? OP_REFUSE : OP_DONE;
}

static enum op_answer see_external(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    struct manager found[MANAGERS_MAX];
    size_t n = managers_of(seen->doc, found);
    const char *set = raft_spec(r)->statefulset;
    (void)op;
    if (!str_eq(raft_spec(r)->template_apply, "external")) {
        buf_adds(reason, "the set is made anew by this console");
        return OP_DONE;
    }
    buf_printf(reason, "the set is made anew by %s", n ? found[0].name : "somebody else");
    run_note(r, "WARN", "if %s takes its lock, its state or its secrets from this Vault, it cannot be applied while that is sealed: while the set is "
                        "away nothing restarts a dead pod. The manifest is kept (fact set.manifest); by hand: kubectl -n %s delete statefulset %s "
                        "--cascade=orphan, then kubectl -n %s create -f the manifest with the new class", n ? found[0].name : "the tool that applies it",
             r->workload->ns, set, r->workload->ns);
    return OP_DONE;
}

static void script_managers(struct run *r, struct script *s) {
    const char *set = raft_path(s, r, "statefulsets", raft_spec(r)->statefulset);
    preflight_script_managers(r, s, set, script_fmt(s, "set %s", raft_spec(r)->statefulset));
    script_get(s, "autoscalers", "autoscalers", raft_list_path(s, r, "/apis/autoscaling/v2", "horizontalpodautoscalers"), see_scalers);
    script_try(s, "vertical autoscalers", "vertical autoscalers", raft_list_path(s, r, "/apis/autoscaling.k8s.io/v1", "verticalpodautoscalers"), see_scalers);
    script_try(s, "scaled objects", "KEDA", raft_list_path(s, r, "/apis/keda.sh/v1alpha1", "scaledobjects"), see_scalers);
    script_get(s, "external", "who applies the template", set, see_external);
}

static void script_mounts(struct run *r, struct script *s) {
    raft_script_mounters(r, s, NULL);
}

static void script_place(struct run *r, struct script *s) {
    raft_script_place(r, s, NULL);
}

/* ---- The phase ---- */

static const struct step steps[] = {
    {.id = "cluster", .title = "the cluster is the plan's", .script = preflight_script_cluster},
    {.id = "set", .title = "the set", .script = script_set},
    {.id = "nodes", .title = "whose nodes they are", .script = script_nodes},
    {.id = "permissions", .title = "what we may do, in the cluster and in Vault", .script = script_permissions},
    {.id = "claims", .title = "pods, claims and volumes that are left", .script = script_claims},
    {.id = "class", .title = "the target class", .script = preflight_script_class},
    {.id = "raft", .title = "the cluster is well, and level", .script = raft_preflight_well},
    {.id = "rejoin", .title = "what a wiped node will meet", .script = raft_preflight_rejoin},
    {.id = "audit", .title = "audit devices", .script = raft_preflight_audit},
    {.id = "pod", .title = "the pod that would be made now", .script = raft_preflight_pod},
    {.id = "new-claims", .title = "new claims, quota and limits", .script = raft_preflight_claims},
    {.id = "mounts", .title = "who else mounts the claims", .script = script_mounts},
    {.id = "place", .title = "a node for each pod", .script = script_place},
    {.id = "pool", .title = "room in the thin pool", .script = preflight_script_pool},
    {.id = "snapshots", .title = "nightly snapshots", .script = preflight_script_snapshots},
    {.id = "managers", .title = "who restarts, scales or reverts it", .script = script_managers},
    {.id = "token", .title = "our token", .script = raft_preflight_token},
    {.id = "circles", .title = "circles", .script = raft_preflight_circles},
    {.id = "alerts", .title = "alerts", .script = preflight_script_alerts},
    {.id = "backups", .title = "backups", .script = preflight_script_backups},
    {.id = "credentials", .title = "our credentials", .script = preflight_script_credentials},
    {.id = NULL},
};

/* Each answer is as old as its question: all of them are asked anew. */
static const char *begin_at(const struct run *r) {
    (void)r;
    return steps[0].id;
}

static void dialog(struct run *r, struct dialog *d) {
    dialog_line(d, "object", "statefulset %s in %s, %lld pods, to class %s", raft_spec(r)->statefulset, r->workload->ns, (long long)raft_replicas(r),
                r->plan->target_class);
    dialog_line(d, "will come", "answers only: identity, peers and log, permissions in the cluster and in Vault, the pod that would be, a place to land");
    dialog_line(d, "meanwhile", "Vault serves as ever; our own token is renewed once, to see that it can be");
    dialog_line(d, "lost", "nothing: it reads, and tries objects as dry runs");
    dialog_line(d, "undo", "nothing to undo");
}

const struct phase raft_phase_preflight = {
    .id = "preflight",
    .title = "preflight",
    .stake = STAKE_REVERSIBLE,
    .steps = steps,
    .may_begin = raft_may_begin,
    .dialog = dialog,
    .begin_at = begin_at,
};
