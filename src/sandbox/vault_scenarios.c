/* What can go wrong with Vault on command. */
#include "sandbox/vault_private.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json_doc.h"
#include "base/mem.h"
#include "sandbox/kube.h"
#include "sandbox/kube_when.h"
#include "sandbox/object.h"
#include "sandbox/rest.h"
#include "sandbox/vault.h"

static struct err *scenario_hung(struct sandbox *s, bool on)
{
    struct vault *v = vault_of(s);
    if (on && v->c.leader == VAULT_NONE)
        return err_new(ERR_FAILED, "there is no leader to hang");
    if (on)
        v->hung_node = v->c.leader;
    vault_cluster_hang(&v->c, v->hung_node, on);
    if (on)
        v->c.node[v->hung_node].stage_since = v->c.now;
    vault_move(v);
    return NULL;
}

/* The follower with the lowest ordinal. */
static int vault_a_follower(const struct vault *v)
{
    return v->c.leader == 0 ? 1 : 0;
}

static struct err *scenario_sealed(struct sandbox *s, bool on)
{
    struct vault *v = vault_of(s);
    if (on)
        v->sealed_node = vault_a_follower(v);
    vault_cluster_seal(&v->c, v->sealed_node, on);
    vault_move(v);
    return NULL;
}

static struct err *scenario_denied(struct sandbox *s, bool on)
{
    vault_of(s)->denied = on;
    return NULL;
}

static struct err *scenario_lag(struct sandbox *s, bool on)
{
    struct vault *v = vault_of(s);
    if (on)
        v->lag_node = vault_a_follower(v);
    v->lagging = on;
    vault_cluster_lag(&v->c, v->lag_node, on);
    vault_move(v);
    return NULL;
}

static struct err *scenario_snapshot_cut(struct sandbox *s, bool on)
{
    vault_of(s)->snapshot_cut = on;
    return NULL;
}

/* ---- Storage, audit, activity: the classes of a leader that is stuck */

static struct err *stall(struct sandbox *s, bool on, enum vault_stall how)
{
    struct vault *v = vault_of(s);
    if (on && v->c.leader == VAULT_NONE)
        return err_new(ERR_FAILED, "there is no leader");
    v->stall = on ? how : STALL_NONE;
    v->stall_node = on ? v->c.leader : VAULT_NONE;
    vault_move(v);
    return NULL;
}

static struct err *scenario_storage_stall(struct sandbox *s, bool on)
{
    return stall(s, on, STALL_STORAGE);
}

static struct err *scenario_audit_stall(struct sandbox *s, bool on)
{
    return stall(s, on, STALL_AUDIT);
}

static struct err *scenario_never_active(struct sandbox *s, bool on)
{
    struct vault *v = vault_of(s);
    v->c.never_active = on;
    if (on && v->c.leader != VAULT_NONE)
        vault_cluster_step_down(&v->c, VAULT_NONE);
    vault_move(v);
    return NULL;
}

/* ---- What meets the pods that start */

static struct err *scenario_sealed_starts(struct sandbox *s, bool on)
{
    struct vault *v = vault_of(s);
    v->sealed_starts = on;
    for (int i = 0; i < VAULT_NODES && !on; i++)
        vault_cluster_seal(&v->c, i, false);
    vault_move(v);
    return NULL;
}

static struct err *scenario_audit_unwritable(struct sandbox *s, bool on)
{
    struct vault *v = vault_of(s);
    v->audit_unwritable = on;
    for (int i = 0; i < VAULT_NODES && !on; i++)
        v->c.node[i].audit_broken = false;
    return NULL;
}

static struct err *scenario_audit_full(struct sandbox *s, bool on)
{
    struct vault *v = vault_of(s);
    v->audit_full = on;
    for (int i = 0; i < VAULT_NODES && !on; i++)
        v->pod[i].audit_full = false;
    return NULL;
}

static struct err *scenario_removed(struct sandbox *s, bool on)
{
    struct vault *v = vault_of(s);
    v->c.remove_next = on;
    if (on && !v->c.removed_checker)
        vault_set_version(v, "1.21.2", false);
    vault_move(v);
    return NULL;
}

/* The chart's setNodeId is not set: ids lie on the volumes. */
static void env_node_id(struct json_t *pod_spec, bool on)
{
    struct json_t *env = jd_get(jd_at(jd_get(pod_spec, "containers"), 0), "env");
    for (size_t i = jd_len(env); i-- > 0;)
        if (str_eq(jd_str(jd_at(env, i), "name"), "VAULT_RAFT_NODE_ID"))
            jd_remove_at(env, i);
    if (on)
        jd_append(env, object_parse("{'name':'VAULT_RAFT_NODE_ID','valueFrom':{'fieldRef':{'apiVersion':'v1','fieldPath':'metadata.name'}}}"));
}

static void write_env(struct kube *k, enum kube_id kind, const char *name, const char *where, bool on)
{
    struct json_t *doc = kube_get(k, kind, VAULT_NAMESPACE, name);
    if (!doc)
        return;
    env_node_id(jd_get(doc, where), on);
    kube_write(k, kind, doc, "helm");
    jd_free(doc);
}

static struct err *scenario_unstable(struct sandbox *s, bool on)
{
    struct vault *v = vault_of(s);
    if (v->unstable_ids == on)
        return NULL; /* a saved sandbox has its ids */
    v->unstable_ids = on;
    write_env(s->kube, KIND_STATEFULSET, "vault", "spec.template.spec", !on);
    for (int i = 0; i < VAULT_NODES; i++) {
        char name[] = {'v', 'a', 'u', 'l', 't', '-', (char)('0' + i), '\0'};
        char *id = on ? vault_random_uuid() : mem_strdup(name);
        write_env(s->kube, KIND_POD, name, "spec", !on);
        vault_cluster_rename(&v->c, i, id);
        mem_free(id);
    }
    vault_move(v);
    return NULL;
}

bool vault_may_write(struct vault *v, const struct pod_info *info)
{
    struct json_t *pod = kube_get(v->s->kube, KIND_POD, info->ns, info->name);
    bool group = jd_get(pod, "spec.securityContext.fsGroup") || jd_num(pod, "spec.securityContext.runAsUser", 0) == 0, block = false;
    for (size_t i = 0; i < info->claim_count; i++)
        block = block || (info->claims[i].storage_class && !str_starts(info->claims[i].storage_class, "nfs"));
    jd_free(pod);
    if (group || !block)
        return true;
    static const char said[] = "Error initializing storage of type raft: failed to create fsm: failed to open bolt file: open "
                               "/vault/data/vault.db: permission denied\n";
    kube_pod_log(v->s, info->ns, info->name, said, strlen(said));
    return false;
}

/* ---- What comes in the middle of something */

#define MOVE_LINE "leader {name}"
#define FAIL_LINE "vault fail-another"
#define DOWN_LINE "scenario api-down on"

static struct err *scenario_leader_moves(struct sandbox *s, bool on)
{
    if (on)
        kube_when_plant(s->kube, false, "dry-delete", "pods/vault-*", 1, MOVE_LINE);
    else
        kube_when_drop(s->kube, MOVE_LINE);
    return NULL;
}

/* A follower whose pod is not on its way out crashes, and goes on crashing. */
static struct err *fail_another(struct vault *v)
{
    for (int i = 0; i < VAULT_NODES && v->failing_node == VAULT_NONE; i++) {
        char name[] = {'v', 'a', 'u', 'l', 't', '-', (char)('0' + i), '\0'};
        struct json_t *pod = kube_get(v->s->kube, KIND_POD, VAULT_NAMESPACE, name);
        if (i != v->c.leader && pod && !object_terminating(pod) && vault_node_takes_part(&v->c, i))
            v->failing_node = i;
        jd_free(pod);
        if (v->failing_node == i)
            return kube_pod_kill(v->s, VAULT_NAMESPACE, name);
    }
    return err_new(ERR_FAILED, "there is no other follower that runs");
}

static struct err *scenario_second_fails(struct sandbox *s, bool on)
{
    struct vault *v = vault_of(s);
    if (on) {
        kube_when_plant(s->kube, false, "delete", "pods/vault-*", 1, FAIL_LINE);
        return NULL;
    }
    kube_when_drop(s->kube, FAIL_LINE);
    if (v->failing_node != VAULT_NONE) {
        char name[] = {'v', 'a', 'u', 'l', 't', '-', (char)('0' + v->failing_node), '\0'};
        v->failing_node = VAULT_NONE;
        kube_pod_retry(s, VAULT_NAMESPACE, name);
    }
    return NULL;
}

static struct err *scenario_api_down(struct sandbox *s, bool on)
{
    if (on)
        kube_when_plant(s->kube, false, "delete", "pods/vault-*", 1, DOWN_LINE);
    else
        kube_when_drop(s->kube, DOWN_LINE);
    return NULL;
}

/* The token dies; when that ends, a new one lies in the file. */
static struct err *scenario_token_expires(struct sandbox *s, bool on)
{
    struct vault *v = vault_of(s);
    if (on) {
        v->token_expires_ms = clock_mono_ms();
        return NULL;
    }
    rest_new_vault_token(s);
    return vault_new_token(v);
}

const struct scenario vault_scenarios[VAULT_SCENARIOS] = {
    {"leader-hung", "the active Vault accepts connections and answers nothing (stuck, class A)", scenario_hung},
    {"leader-storage-stall", "the active Vault's storage stands still: writes hang, all else answers (class B)", scenario_storage_stall},
    {"leader-audit-stall", "the active Vault's audit device stands still: what needs a token hangs (class B')", scenario_audit_stall},
    {"leader-never-active", "a raft leader is elected, but no node becomes active (class C)", scenario_never_active},
    {"vault-sealed", "a follower is sealed and stays so", scenario_sealed},
    {"sealed-after-restart", "the unsealer does not come to nodes that start", scenario_sealed_starts},
    {"vault-403", "Vault refuses the token", scenario_denied},
    {"vault-token-expires-mid-window", "the token has expired; off: a new one lies in the file", scenario_token_expires},
    {"vault-lag", "a follower applies nothing while the others go on", scenario_lag},
    {"follower-lagging", "the same", scenario_lag},
    {"vault-snapshot-cut", "snapshots end early, with status 200", scenario_snapshot_cut},
    {"id-unstable", "node ids lie on the volumes: a wiped node comes with another", scenario_unstable},
    {"removed-after-rejoin", "the next wiped node that joins finds itself removed (530; Vault 1.21.2)", scenario_removed},
    {"audit-unwritable", "nodes that start on block storage cannot open their audit log: they never become active",
     scenario_audit_unwritable},
    {"audit-full", "audit volumes on block storage are full: what has to be audited fails once such a node is active", scenario_audit_full},
    {"leader-moves-between-dialog-and-act", "when the deletion of a pod has been tried, that very node becomes active", scenario_leader_moves},
    {"second-node-fails-mid-swap", "when a pod is deleted, another follower crashes and goes on crashing", scenario_second_fails},
    {"api-down-mid-swap", "when a pod is deleted, the API goes down (scenario api-down off brings it back)", scenario_api_down},
};

/* A follower that is level; VAULT_NONE. */
static int vault_next_leader(const struct vault *v)
{
    for (int i = VAULT_NODES - 1; i >= 0; i--)
        if (i != v->c.leader && vault_node_takes_part(&v->c, i) && v->c.node[i].voter && v->c.node[i].applied >= v->c.index)
            return i;
    return VAULT_NONE;
}

static struct err *command_leader(struct sandbox *s, int argc, char **argv, struct buf *out)
{
    struct vault *v = vault_of(s);
    int64_t to = VAULT_NONE;
    if (argc == 2 && str_eq(argv[1], "next"))
        to = vault_next_leader(v);
    else if (argc == 2 && str_starts(argv[1], "vault-") && slice_to_i64(slice_of(argv[1] + strlen("vault-")), &to) && to >= 0 && to < VAULT_NODES)
        ; /* by its pod's name */
    else if (argc != 2 || !slice_to_i64(slice_of(argv[1]), &to) || to < 0 || to >= VAULT_NODES)
        return err_new(ERR_USAGE, "leader 0|1|2|vault-N|next");
    if (to == VAULT_NONE)
        return err_new(ERR_FAILED, "nobody can take over now");
    if (to == v->c.leader)
        return NULL;
    if (!vault_node_takes_part(&v->c, (int)to) || v->c.leader == VAULT_NONE || v->c.node[v->c.leader].hung)
        return err_new(ERR_FAILED, "vault-%d cannot take over now", (int)to);
    vault_move(v);
    if (v->c.node[to].applied < v->c.index)
        return err_new(ERR_FAILED, "vault-%d is %lld entries behind", (int)to,
                       (long long)(v->c.index - v->c.node[to].applied));
    vault_cluster_step_down(&v->c, (int)to);
    buf_printf(out, "vault-%d takes over\n", (int)to);
    return NULL;
}

/* Vault and OpenBao differ in bodies and codes; the version decides which. */
void vault_set_version(struct vault *v, const char *version, bool openbao)
{
    char *end;
    str_set(&v->version, version);
    v->openbao = openbao;
    v->major = (unsigned)strtoul(version, &end, 10);
    v->minor = *end == '.' ? (unsigned)strtoul(end + 1, NULL, 10) : 0;
    v->c.removed_checker = !openbao && vault_is_at_least(v, 1, 19);
}

static struct err *command_vault(struct sandbox *s, int argc, char **argv, struct buf *out)
{
    struct vault *v = vault_of(s);
    if (argc == 2 && str_eq(argv[1], "fail-another"))
        return fail_another(v);
    if (argc < 3 || argc > 4 || !str_eq(argv[1], "version") || (argc == 4 && !str_eq(argv[3], "openbao")))
        return err_new(ERR_USAGE, "vault version X.Y.Z [openbao]");
    vault_set_version(v, argv[2], argc == 4);
    for (int i = 0; i < VAULT_NODES; i++)
        v->pod[i].seen.known = false;
    vault_move(v);
    buf_printf(out, "%s %s\n", v->openbao ? "OpenBao" : "Vault", v->version);
    return NULL;
}

static struct err *command_alarms(struct sandbox *s, int argc, char **argv, struct buf *out)
{
    (void)argc, (void)argv;
    buf_add(out, vault_of(s)->alarms.p, vault_of(s)->alarms.len);
    return NULL;
}

const struct control_command vault_commands[VAULT_COMMANDS] = {
    {"leader", "leader 0|1|2|vault-N|next", "the active Vault steps down for that node", command_leader},
    {"vault", "vault version X.Y.Z [openbao]", "which version, and product, the nodes answer as", command_vault},
    {"alarms", "alarms", "the quorums that were lost and came back", command_alarms},
};
