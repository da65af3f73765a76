/* Vault's answers as documents, in the shapes of its API documentation. */
#include "sandbox/vault_private.h"

#include "base/clock.h"
#include "base/json_doc.h"
#include "base/mem.h"
#include "base/str.h"
#include "sandbox/rest.h"
#include "sandbox/sandbox.h"
#include "sandbox/vault.h"

bool vault_is_at_least(const struct vault *v, unsigned major, unsigned minor)
{
    return v->major > major || (v->major == major && v->minor >= minor);
}

char *vault_api_address(const struct vault *v, int node)
{
    const char *ip = v->pod[node].ip;
    return str_printf("http://%s:8200", ip ? ip : "0.0.0.0");
}

static char *vault_cluster_address(int node)
{
    return str_printf("https://vault-%d.vault-internal:8201", node);
}

static char *vault_raft_address(int node)
{
    return str_printf("vault-%d.vault-internal:8201", node);
}

static void set_owned(struct json_t *o, const char *key, char *text)
{
    jd_set(o, key, jd_string(text));
    mem_free(text);
}

static bool node_sealed(const struct vault_node *n)
{
    return n->stage != VAULT_RUNS && n->stage != VAULT_INSTALL;
}

static bool node_initialized(const struct vault_node *n)
{
    return n->stage != VAULT_NEW;
}

int64_t vault_token_left_ms(const struct vault *v)
{
    int64_t left = v->token_expires_ms - clock_mono_ms();
    return left > 0 ? left : 0;
}

bool vault_heartbeat_fails(const struct vault *v, int node)
{
    const struct vault_node *n = &v->c.node[node];
    return node != v->c.leader && v->c.now - n->last_echo > 2 * VAULT_ECHO_MS;
}

struct json_t *vault_body_errors(const char *text)
{
    struct json_t *o = jd_object(), *errors = jd_array();
    if (text)
        jd_append(errors, jd_string(text));
    jd_set(o, "errors", errors);
    return o;
}

char *vault_random_uuid(void)
{
    char *hex = rest_random_hex(16);
    char *uuid = str_printf("%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12, hex + 16, hex + 20);
    mem_free(hex);
    return uuid;
}

struct json_t *vault_body_envelope(struct json_t *data)
{
    struct json_t *o = jd_object();
    set_owned(o, "request_id", vault_random_uuid());
    jd_set(o, "lease_id", jd_string(""));
    jd_set(o, "renewable", jd_bool(false));
    jd_set(o, "lease_duration", jd_int(0));
    jd_set(o, "data", data ? data : jd_null());
    jd_set(o, "wrap_info", jd_null());
    jd_set(o, "warnings", jd_null());
    jd_set(o, "auth", jd_null());
    return o;
}

/* The fields of a standby's connection to the active node. */
static void health_heartbeat(const struct vault *v, int node, struct json_t *o)
{
    bool fails = vault_heartbeat_fails(v, node), standby = node != v->c.leader;
    jd_set(o, "echo_duration_ms", jd_int(!standby ? 0 : fails ? 2000 : 1 + node));
    jd_set(o, "clock_skew_ms", jd_int(0));
    jd_set(o, "replication_primary_canary_age_ms", jd_int(0));
    if (!vault_is_at_least(v, 1, 19))
        return;
    jd_set(o, "removed_from_cluster", jd_bool(v->c.node[node].stage == VAULT_REMOVED));
    if (standby) {
        jd_set(o, "ha_connection_healthy", jd_bool(!fails));
        jd_set(o, "last_request_forwarding_heartbeat_ms", jd_int(v->c.now - v->c.node[node].last_echo));
    }
}

struct json_t *vault_body_health(const struct vault *v, int node)
{
    const struct vault_node *n = &v->c.node[node];
    bool sealed = node_sealed(n);
    const char *performance = sealed ? "unknown" : v->openbao ? "primary" : "disabled";
    struct json_t *o = jd_object();
    jd_set(o, "initialized", jd_bool(node_initialized(n)));
    jd_set(o, "sealed", jd_bool(sealed));
    jd_set(o, "standby", jd_bool(node != v->c.leader));
    if (!v->openbao || !vault_is_at_least(v, 2, 6))
        jd_set(o, "performance_standby", jd_bool(false));
    jd_set(o, "replication_performance_mode", jd_string(performance));
    jd_set(o, "replication_dr_mode", jd_string(sealed ? "unknown" : "disabled"));
    jd_set(o, "server_time_utc", jd_int(sandbox_now_ms(v->s) / 1000));
    jd_set(o, "version", jd_string(v->version));
    if (!v->openbao)
        jd_set(o, "enterprise", jd_bool(false));
    if (!sealed) {
        jd_set(o, "cluster_name", jd_string("vault-cluster-home"));
        jd_set(o, "cluster_id", jd_string(v->cluster_id));
    }
    if (!v->openbao)
        health_heartbeat(v, node, o);
    return o;
}

struct json_t *vault_body_seal_status(const struct vault *v, int node)
{
    const struct vault_node *n = &v->c.node[node];
    bool sealed = node_sealed(n), initialized = node_initialized(n);
    struct json_t *o = jd_object();
    jd_set(o, "type", jd_string("shamir"));
    jd_set(o, "initialized", jd_bool(initialized));
    jd_set(o, "sealed", jd_bool(sealed));
    jd_set(o, "t", jd_int(initialized ? 3 : 0));
    jd_set(o, "n", jd_int(initialized ? 5 : 0));
    jd_set(o, "progress", jd_int(0));
    jd_set(o, "nonce", jd_string(""));
    jd_set(o, "version", jd_string(v->version));
    bool dates_commits = v->openbao && vault_is_at_least(v, 2, 6);
    jd_set(o, dates_commits ? "commit_date" : "build_date", jd_string("2024-10-29T14:21:31Z"));
    jd_set(o, "migration", jd_bool(false));
    if (!sealed) {
        jd_set(o, "cluster_name", jd_string("vault-cluster-home"));
        jd_set(o, "cluster_id", jd_string(v->cluster_id));
    }
    jd_set(o, "recovery_seal", jd_bool(false));
    jd_set(o, "storage_type", jd_string("raft"));
    if (!v->openbao && vault_is_at_least(v, 1, 19))
        jd_set(o, "removed_from_cluster", jd_bool(n->stage == VAULT_REMOVED));
    return o;
}

/* Sets the field unless it is empty and the product leaves such out. */
static void leader_set(const struct vault *v, struct json_t *o, const char *key, struct json_t *value, bool is_empty)
{
    if (is_empty && v->openbao && vault_is_at_least(v, 2, 6))
        jd_free(value);
    else
        jd_set(o, key, value);
}

struct json_t *vault_body_leader(const struct vault *v, int node)
{
    const struct vault_node *n = &v->c.node[node];
    bool self = node == v->c.leader;
    int known = self ? node : n->known_leader == node ? VAULT_NONE : n->known_leader;
    char *api = known == VAULT_NONE ? mem_strdup("") : vault_api_address(v, known);
    char *cluster = known == VAULT_NONE ? mem_strdup("") : vault_cluster_address(known);
    struct json_t *o = jd_object();
    jd_set(o, "ha_enabled", jd_bool(true));
    leader_set(v, o, "is_self", jd_bool(self), !self);
    leader_set(v, o, "active_time", self ? rest_time(v->active_plan_ms, 9) : jd_string("0001-01-01T00:00:00Z"), !self);
    leader_set(v, o, "leader_address", jd_string(api), !api[0]);
    leader_set(v, o, "leader_cluster_address", jd_string(cluster), !cluster[0]);
    if (!v->openbao) {
        jd_set(o, "performance_standby", jd_bool(false));
        jd_set(o, "performance_standby_last_remote_wal", jd_int(0));
    }
    int64_t appended = vault_node_takes_part(&v->c, node) && v->c.leader != VAULT_NONE && !n->lagging ? v->c.index
                                                                                                      : n->applied;
    if (appended)
        jd_set(o, "raft_committed_index", jd_int(appended));
    if (n->applied)
        jd_set(o, "raft_applied_index", jd_int(n->applied));
    mem_free(api);
    mem_free(cluster);
    return o;
}

static struct json_t *body_ha_node(const struct vault *v, int i)
{
    struct json_t *o = jd_object();
    bool active = i == v->c.leader;
    set_owned(o, "hostname", str_printf("vault-%d", i));
    set_owned(o, "api_address", vault_api_address(v, i));
    set_owned(o, "cluster_address", vault_cluster_address(i));
    jd_set(o, "active_node", jd_bool(active));
    int64_t ago = v->c.now - v->c.node[i].last_echo;
    jd_set(o, "last_echo", active ? jd_null() : rest_time(sandbox_now_ms(v->s) - ago, 9));
    jd_set(o, "echo_duration_ms", jd_int(active ? 0 : 1 + i));
    jd_set(o, "clock_skew_ms", jd_int(0));
    jd_set(o, "version", jd_string(v->version));
    return o;
}

struct json_t *vault_body_ha_nodes(const struct vault *v)
{
    struct json_t *nodes = jd_array();
    for (int i = 0; i < VAULT_NODES; i++) {
        int64_t echo = v->c.node[i].last_echo;
        if (i == v->c.leader || (echo && v->c.now - echo <= 3 * VAULT_ECHO_MS))
            jd_append(nodes, body_ha_node(v, i));
    }
    return nodes;
}

struct json_t *vault_body_raft_configuration(const struct vault *v)
{
    struct json_t *servers = jd_array();
    for (int i = 0; i < VAULT_NODES; i++) {
        if (!v->c.node[i].in_config)
            continue;
        struct json_t *o = jd_object();
        jd_set(o, "node_id", jd_string(v->c.node[i].id));
        set_owned(o, "address", vault_raft_address(i));
        jd_set(o, "leader", jd_bool(i == v->c.leader));
        jd_set(o, "protocol_version", jd_string("3"));
        jd_set(o, "voter", jd_bool(v->c.node[i].voter));
        jd_append(servers, o);
    }
    struct json_t *data = jd_object();
    jd_put(data, "config.index", jd_int(0));
    jd_put(data, "config.servers", servers);
    return data;
}

/* A Go duration: "3.969s", "412ms", "0s". */
static char *go_duration(int64_t ms)
{
    if (ms <= 0)
        return mem_strdup("0s");
    if (ms < 1000)
        return str_printf("%d.%06dms", (int)ms, (int)(ms * 7919 % 1000000));
    if (ms < 60000)
        return str_printf("%d.%03ds", (int)(ms / 1000), (int)(ms % 1000));
    return str_printf("%dm%d.%03ds", (int)(ms / 60000), (int)(ms / 1000 % 60), (int)(ms % 1000));
}

static struct json_t *body_autopilot_server(const struct vault *v, int i)
{
    const struct vault_node *n = &v->c.node[i];
    bool leads = i == v->c.leader, heard = leads || n->last_echo, healthy = vault_node_healthy(&v->c, i);
    const char *status = !heard ? "left" : healthy || vault_node_takes_part(&v->c, i) ? "alive" : "failed";
    struct json_t *o = jd_object();
    jd_set(o, "id", jd_string(n->id));
    jd_set(o, "name", jd_string(heard ? n->id : ""));
    set_owned(o, "address", vault_raft_address(i));
    jd_set(o, "node_status", jd_string(status));
    set_owned(o, "last_contact", go_duration(leads || !heard ? 0 : v->c.now - n->last_echo));
    jd_set(o, "last_term", jd_int(heard ? v->c.term : 0));
    jd_set(o, "last_index", jd_int(leads ? v->c.index : heard ? n->last_echo_index : 0));
    jd_set(o, "healthy", jd_bool(healthy));
    jd_set(o, "stable_since", rest_time(v->pod[i].stable_plan_ms, 6));
    jd_set(o, "status", jd_string(leads ? "leader" : n->voter ? "voter" : "non-voter"));
    jd_set(o, "version", jd_string(heard ? v->version : ""));
    jd_set(o, "node_type", jd_string("voter"));
    return o;
}

struct json_t *vault_body_autopilot_state(const struct vault *v)
{
    bool healthy = true;
    struct json_t *servers = jd_object(), *voters = jd_array(), *non_voters = jd_array();
    for (int i = 0; i < VAULT_NODES; i++) {
        if (!v->c.node[i].in_config)
            continue;
        const char *id = v->c.node[i].id;
        jd_set(servers, id, body_autopilot_server(v, i));
        jd_append(v->c.node[i].voter ? voters : non_voters, jd_string(id));
        healthy = healthy && vault_node_healthy(&v->c, i);
    }
    struct json_t *data = jd_object();
    jd_set(data, "healthy", jd_bool(healthy));
    jd_set(data, "failure_tolerance", jd_int(vault_cluster_tolerance(&v->c)));
    jd_set(data, "leader", jd_string(""));
    if (v->c.leader != VAULT_NONE)
        jd_set(data, "leader", jd_string(v->c.node[v->c.leader].id));
    jd_set(data, "voters", voters);
    if (jd_len(non_voters))
        jd_set(data, "non_voters", non_voters);
    else
        jd_free(non_voters);
    jd_set(data, "servers", servers);
    return data;
}

static struct json_t *body_policies(void)
{
    struct json_t *policies = jd_array();
    jd_append(policies, jd_string("default"));
    jd_append(policies, jd_string("ferryman"));
    return policies;
}

struct json_t *vault_body_lookup_self(const struct vault *v)
{
    int64_t now = sandbox_now_ms(v->s), left = vault_token_left_ms(v);
    int64_t issued = now - (clock_mono_ms() - v->token_created_ms);
    struct json_t *o = jd_object();
    jd_set(o, "accessor", jd_string("zNmsuXEcXFZ1oCyLJyxZl2Kp"));
    jd_set(o, "creation_time", jd_int(issued / 1000));
    jd_set(o, "creation_ttl", jd_int(VAULT_TOKEN_TTL_S));
    jd_set(o, "display_name", jd_string("token-ferryman"));
    jd_set(o, "entity_id", jd_string(""));
    jd_set(o, "expire_time", rest_time(now + left, 9));
    jd_set(o, "explicit_max_ttl", jd_int(0));
    jd_set(o, "id", jd_string(rest_vault_token(v->s)));
    jd_set(o, "issue_time", rest_time(issued, 9));
    jd_set(o, "meta", jd_null());
    jd_set(o, "num_uses", jd_int(0));
    jd_set(o, "orphan", jd_bool(true));
    jd_set(o, "path", jd_string("auth/token/create"));
    jd_set(o, "policies", body_policies());
    jd_set(o, "renewable", jd_bool(true));
    jd_set(o, "ttl", jd_int(left / 1000));
    jd_set(o, "type", jd_string("service"));
    return o;
}

struct json_t *vault_body_auth(const struct vault *v)
{
    struct json_t *auth = jd_object();
    jd_set(auth, "client_token", jd_string(rest_vault_token(v->s)));
    jd_set(auth, "accessor", jd_string("zNmsuXEcXFZ1oCyLJyxZl2Kp"));
    jd_set(auth, "policies", body_policies());
    jd_set(auth, "token_policies", body_policies());
    jd_set(auth, "metadata", jd_null());
    jd_set(auth, "lease_duration", jd_int(vault_token_left_ms(v) / 1000));
    jd_set(auth, "renewable", jd_bool(true));
    jd_set(auth, "entity_id", jd_string(""));
    jd_set(auth, "token_type", jd_string("service"));
    jd_set(auth, "orphan", jd_bool(true));
    jd_set(auth, "mfa_requirement", jd_null());
    jd_set(auth, "num_uses", jd_int(0));
    struct json_t *o = vault_body_envelope(NULL);
    jd_set(o, "auth", auth);
    return o;
}
