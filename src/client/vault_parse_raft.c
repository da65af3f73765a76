/* What the active node says of all: members, raft configuration, autopilot; and of our token. */
#include "base/mem.h"
#include "client/vault_parse_private.h"

/* ---- Lists of nodes ---------------------------------------------------------------------------------------------- */

static void member_member(struct json_reader *r, struct slice key, void *arg)
{
    struct vault_member *m = arg;
    if (slice_is(key, "hostname"))
        TEXT(r, m->hostname);
    else if (slice_is(key, "api_address"))
        TEXT(r, m->api_address);
    else if (slice_is(key, "cluster_address"))
        TEXT(r, m->cluster_address);
    else if (slice_is(key, "version"))
        TEXT(r, m->version);
    else if (slice_is(key, "active_node"))
        m->active = json_bool(r, false);
    else if (slice_is(key, "last_echo"))
        m->last_echo_ms = vault_time_ms(r);
    else
        json_skip(r);
}

struct members_read {
    struct vault_members *ret;
    bool found, many;
};

/* "nodes" stands at the top and below "data"; the first one counts. */
static void members_member(struct json_reader *r, struct slice key, void *arg)
{
    struct members_read *in = arg;
    if (slice_is(key, "data") && !in->found) {
        vault_read_object(r, members_member, arg);
        return;
    }
    if (!vault_key_is(key, "nodes") || in->found || json_peek(r) != JSON_ARRAY) {
        json_skip(r);
        return;
    }
    in->found = json_enter_array(r);
    while (json_next_item(r)) {
        struct vault_member m = {.last_echo_ms = -1};
        if (!vault_read_object(r, member_member, &m))
            continue;
        if (in->ret->count < VAULT_SERVERS_MAX)
            in->ret->list[in->ret->count++] = m;
        else
            in->many = true;
    }
}

struct err *vault_parse_members(struct slice json, struct vault_members *ret)
{
    struct members_read in = {.ret = MEM_NEW(struct vault_members)};
    struct err *e = vault_read_top(json, "sys/ha-status", members_member, &in);
    if (!e && (!in.found || in.many))
        e = vault_wrong("sys/ha-status", in.many ? "too many nodes" : "no nodes in it");
    if (!e)
        *ret = *in.ret;
    mem_free(in.ret);
    return e;
}

struct servers_read {
    struct vault_servers *ret;
    bool found, many;
};

static void server_add(struct servers_read *in, const struct vault_server *s)
{
    if (in->ret->count < VAULT_SERVERS_MAX)
        in->ret->list[in->ret->count++] = *s;
    else
        in->many = true;
}

static void raft_server_member(struct json_reader *r, struct slice key, void *arg)
{
    struct vault_server *s = arg;
    if (slice_is(key, "node_id"))
        TEXT(r, s->id);
    else if (slice_is(key, "address"))
        TEXT(r, s->address);
    else if (slice_is(key, "voter"))
        s->voter = json_bool(r, false);
    else if (slice_is(key, "leader"))
        s->leader = json_bool(r, false);
    else
        json_skip(r);
}

static void raft_config_member(struct json_reader *r, struct slice key, void *arg)
{
    struct servers_read *in = arg;
    if (slice_is(key, "config")) {
        vault_read_object(r, raft_config_member, arg);
        return;
    }
    if (!slice_is(key, "servers") || in->found || json_peek(r) != JSON_ARRAY) {
        json_skip(r);
        return;
    }
    in->found = json_enter_array(r);
    while (json_next_item(r)) {
        struct vault_server s = {.contact_ms = -1, .last_index = -1};
        if (vault_read_object(r, raft_server_member, &s))
            server_add(in, &s);
    }
}

struct err *vault_parse_servers(struct slice json, struct vault_servers *ret)
{
    struct servers_read in = {.ret = MEM_NEW(struct vault_servers)};
    struct err *e = vault_read_data(json, "raft/configuration", raft_config_member, &in);
    if (!e && (!in.found || in.many))
        e = vault_wrong("raft/configuration", in.many ? "too many servers" : "no servers in it");
    if (!e)
        *ret = *in.ret;
    mem_free(in.ret);
    return e;
}

/* ---- Autopilot --------------------------------------------------------------------------------------------------- */

static void autopilot_server_member(struct json_reader *r, struct slice key, void *arg)
{
    struct vault_server *s = arg;
    if (vault_key_is(key, "id"))
        TEXT(r, s->id);
    else if (vault_key_is(key, "name"))
        TEXT(r, s->name);
    else if (vault_key_is(key, "address"))
        TEXT(r, s->address);
    else if (vault_key_is(key, "node_status"))
        TEXT(r, s->node_status);
    else if (vault_key_is(key, "status"))
        TEXT(r, s->status);
    else if (vault_key_is(key, "version"))
        TEXT(r, s->version);
    else if (vault_key_is(key, "healthy"))
        s->healthy = vault_flag_of(r);
    else if (vault_key_is(key, "last_contact"))
        s->contact_ms = vault_duration_of(r);
    else if (vault_key_is(key, "last_index"))
        s->last_index = json_int(r, -1);
    else
        json_skip(r);
}

struct autopilot_read {
    struct vault_autopilot *ret;
    struct servers_read servers;
};

static void autopilot_servers(struct json_reader *r, struct slice key, void *arg)
{
    struct servers_read *in = arg;
    struct vault_server s = {.contact_ms = -1, .last_index = -1};
    vault_text(s.id, sizeof s.id, key);
    if (!vault_read_object(r, autopilot_server_member, &s))
        return;
    s.leader = str_eq(s.status, "leader");
    s.voter = s.leader || str_eq(s.status, "voter");
    server_add(in, &s);
}

static void autopilot_member(struct json_reader *r, struct slice key, void *arg)
{
    struct autopilot_read *in = arg;
    if (vault_key_is(key, "healthy"))
        in->ret->healthy = vault_flag_of(r);
    else if (vault_key_is(key, "failure_tolerance"))
        in->ret->tolerance = json_int(r, -1);
    else if (vault_key_is(key, "leader"))
        TEXT(r, in->ret->leader);
    else if (vault_key_is(key, "servers") && !in->servers.found)
        in->servers.found = vault_read_object(r, autopilot_servers, &in->servers);
    else
        json_skip(r);
}

struct err *vault_parse_autopilot(struct slice json, struct vault_autopilot *ret)
{
    struct vault_autopilot *a = MEM_NEW(struct vault_autopilot);
    struct autopilot_read in = {.ret = a, .servers = {.ret = &a->servers}};
    a->tolerance = -1;
    struct err *e = vault_read_data(json, "autopilot/state", autopilot_member, &in);
    if (!e && (a->healthy == VAULT_NOT_SAID || in.servers.many))
        e = vault_wrong("autopilot/state",
                        in.servers.many ? "too many servers" : "it does not say whether it is healthy");
    if (!e)
        *ret = *a;
    mem_free(a);
    return e;
}

static void autopilot_config_member(struct json_reader *r, struct slice key, void *arg)
{
    struct vault_autopilot_config *c = arg;
    if (vault_key_is(key, "cleanup_dead_servers"))
        c->cleanup = vault_flag_of(r);
    else if (vault_key_is(key, "last_contact_threshold"))
        c->last_contact_ms = vault_duration_of(r);
    else if (vault_key_is(key, "dead_server_last_contact_threshold"))
        c->dead_ms = vault_duration_of(r);
    else if (vault_key_is(key, "server_stabilization_time"))
        c->stabilization_ms = vault_duration_of(r);
    else if (vault_key_is(key, "max_trailing_logs"))
        c->max_trailing_logs = json_int(r, -1);
    else if (vault_key_is(key, "min_quorum"))
        c->min_quorum = json_int(r, -1);
    else
        json_skip(r);
}

struct err *vault_parse_autopilot_config(struct slice json, struct vault_autopilot_config *ret)
{
    struct vault_autopilot_config c = {
        .last_contact_ms = -1, .dead_ms = -1, .stabilization_ms = -1, .max_trailing_logs = -1, .min_quorum = -1};
    struct err *e = vault_read_data(json, "autopilot/configuration", autopilot_config_member, &c);
    if (!e && c.cleanup == VAULT_NOT_SAID)
        e = vault_wrong("autopilot/configuration", "it does not say cleanup_dead_servers");
    if (!e)
        *ret = c;
    return e;
}

/* ---- Token ------------------------------------------------------------------------------------------------------- */

static void token_policies(struct json_reader *r, struct buf *out)
{
    if (!json_enter_array(r))
        return;
    while (json_next_item(r)) {
        struct slice policy = json_string(r);
        if (!policy.p)
            continue;
        if (out->len > 0)
            buf_adds(out, ", ");
        buf_add_slice(out, policy);
    }
}

struct token_read {
    struct vault_token t;
    struct buf policies;
    bool named;
};

static void token_member(struct json_reader *r, struct slice key, void *arg)
{
    struct token_read *in = arg;
    if (slice_is(key, "display_name")) {
        in->named = true;
        TEXT(r, in->t.display_name);
    } else if (slice_is(key, "policies") || slice_is(key, "identity_policies")) {
        token_policies(r, &in->policies);
    } else if (slice_is(key, "path")) {
        TEXT(r, in->t.path);
    } else if (slice_is(key, "type")) {
        TEXT(r, in->t.type);
    } else if (slice_is(key, "expire_time")) {
        in->t.expires_ms = vault_time_ms(r);
    } else if (slice_is(key, "ttl")) {
        in->t.ttl_s = json_int(r, -1);
    } else if (slice_is(key, "renewable")) {
        in->t.renewable = json_bool(r, false);
    } else {
        json_skip(r);
    }
}

struct err *vault_parse_token(struct slice json, struct vault_token *ret)
{
    struct token_read in = {.t = {.expires_ms = -1, .ttl_s = -1}};
    struct err *e = vault_read_data(json, "token/lookup-self", token_member, &in);
    if (!e && !in.named)
        e = vault_wrong("token/lookup-self", "no display_name in it");
    vault_text(in.t.policies, sizeof in.t.policies, buf_slice(&in.policies));
    buf_free(&in.policies);
    if (!e)
        *ret = in.t;
    return e;
}
