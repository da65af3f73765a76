/* What a node says of itself without a token. */
#include "client/vault_parse.h"

#include <string.h>

#include "client/vault_parse_private.h"

struct health_read {
    struct vault_health h;
    bool initialized, standby, enterprise;
};

static void health_member(struct json_reader *r, struct slice key, void *arg)
{
    struct health_read *in = arg;
    struct vault_health *h = &in->h;
    if (slice_is(key, "initialized")) {
        in->initialized = json_peek(r) == JSON_BOOL;
        h->initialized = json_bool(r, false);
    } else if (slice_is(key, "sealed")) {
        h->sealed = json_bool(r, true);
    } else if (slice_is(key, "standby")) {
        in->standby = json_peek(r) == JSON_BOOL;
        h->standby = json_bool(r, true);
    } else if (slice_is(key, "performance_standby")) {
        h->performance_standby = json_bool(r, false);
    } else if (slice_is(key, "removed_from_cluster")) {
        h->removed = vault_flag_of(r);
    } else if (slice_is(key, "ha_connection_healthy")) {
        h->connection_healthy = vault_flag_of(r);
    } else if (slice_is(key, "last_request_forwarding_heartbeat_ms")) {
        h->heartbeat_ms = json_int(r, -1);
    } else if (slice_is(key, "echo_duration_ms")) {
        h->echo_ms = json_int(r, -1);
    } else if (slice_is(key, "enterprise")) {
        in->enterprise = true;
        json_skip(r);
    } else if (slice_is(key, "version")) {
        TEXT(r, h->version);
    } else if (slice_is(key, "cluster_name")) {
        TEXT(r, h->cluster_name);
    } else if (slice_is(key, "cluster_id")) {
        TEXT(r, h->cluster_id);
    } else {
        json_skip(r);
    }
}

/* OpenBao began at 2.0.0 and has no `enterprise`; Vault 2 has it. */
static bool is_openbao(const struct health_read *in)
{
    const char *dot = strchr(in->h.version, '.');
    int64_t major;
    return !in->enterprise && dot &&
           slice_to_i64((struct slice){in->h.version, (size_t)(dot - in->h.version)}, &major) && major >= 2;
}

struct err *vault_parse_health(struct slice json, struct vault_health *ret)
{
    struct health_read in = {.h = {.sealed = true, .standby = true, .heartbeat_ms = -1, .echo_ms = -1}};
    struct err *e = vault_read_top(json, "sys/health", health_member, &in);
    if (e)
        return e;
    if (!in.initialized || !in.standby)
        return vault_wrong("sys/health", "no health in it (initialized, standby)");
    in.h.openbao = is_openbao(&in);
    *ret = in.h;
    return NULL;
}

struct seal_read {
    struct vault_seal s;
    bool sealed;
};

static void seal_member(struct json_reader *r, struct slice key, void *arg)
{
    struct seal_read *in = arg;
    struct vault_seal *s = &in->s;
    if (slice_is(key, "sealed")) {
        in->sealed = json_peek(r) == JSON_BOOL;
        s->sealed = json_bool(r, true);
    } else if (slice_is(key, "initialized")) {
        s->initialized = json_bool(r, false);
    } else if (slice_is(key, "migration")) {
        s->migration = json_bool(r, false);
    } else if (slice_is(key, "removed_from_cluster")) {
        s->removed = vault_flag_of(r);
    } else if (slice_is(key, "t")) {
        s->threshold = json_int(r, -1);
    } else if (slice_is(key, "n")) {
        s->shares = json_int(r, -1);
    } else if (slice_is(key, "progress")) {
        s->progress = json_int(r, -1);
    } else if (slice_is(key, "type")) {
        TEXT(r, s->type);
    } else if (slice_is(key, "version")) {
        TEXT(r, s->version);
    } else if (slice_is(key, "cluster_id")) {
        TEXT(r, s->cluster_id);
    } else if (slice_is(key, "storage_type")) {
        TEXT(r, s->storage);
    } else {
        json_skip(r);
    }
}

struct err *vault_parse_seal(struct slice json, struct vault_seal *ret)
{
    struct seal_read in = {.s = {.sealed = true, .threshold = -1, .shares = -1, .progress = -1}};
    struct err *e = vault_read_top(json, "sys/seal-status", seal_member, &in);
    if (e)
        return e;
    if (!in.sealed)
        return vault_wrong("sys/seal-status", "it does not say whether it is sealed");
    *ret = in.s;
    return NULL;
}

struct leader_read {
    struct vault_leader l;
    bool ha;
};

static void leader_member(struct json_reader *r, struct slice key, void *arg)
{
    struct leader_read *in = arg;
    struct vault_leader *l = &in->l;
    if (slice_is(key, "ha_enabled")) {
        in->ha = json_peek(r) == JSON_BOOL;
        l->ha_enabled = json_bool(r, false);
    } else if (slice_is(key, "is_self")) {
        l->is_self = json_bool(r, false);
    } else if (slice_is(key, "active_time")) {
        l->active_ms = vault_time_ms(r);
    } else if (slice_is(key, "leader_address")) {
        TEXT(r, l->address);
    } else if (slice_is(key, "leader_cluster_address")) {
        TEXT(r, l->cluster_address);
    } else if (slice_is(key, "raft_applied_index")) {
        l->applied = json_int(r, -1);
    } else if (slice_is(key, "raft_committed_index")) {
        l->appended = json_int(r, -1);
    } else {
        json_skip(r);
    }
}

struct err *vault_parse_leader(struct slice json, struct vault_leader *ret)
{
    struct leader_read in = {.l = {.active_ms = -1, .applied = -1, .appended = -1}};
    struct err *e = vault_read_top(json, "sys/leader", leader_member, &in);
    if (e)
        return e;
    if (!in.ha)
        return vault_wrong("sys/leader", "it does not say ha_enabled");
    *ret = in.l;
    return NULL;
}
