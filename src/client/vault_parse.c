#include "client/vault_parse.h"

#include <string.h>

#include "base/clock.h"
#include "base/json_reader.h"
#include "base/mem.h"
#include "base/utf8.h"

/* ---- Values ------------------------------------------------------------------------------------------------------ */

/* Copies foreign text cleaned, cut at a character. */
static void text_set(char *dst, size_t size, struct slice foreign)
{
    struct buf clean = {0};
    size_t n = 0;
    utf8_clean(&clean, foreign);
    while (n < clean.len) {
        uint32_t cp;
        size_t step = utf8_decode(clean.p + n, clean.len - n, &cp);
        if (n + step >= size)
            break;
        n += step;
    }
    if (n > 0)
        memcpy(dst, clean.p, n);
    dst[n] = '\0';
    buf_free(&clean);
}

#define TEXT(r, field) text_set(field, sizeof(field), json_string(r))

static enum vault_flag flag(struct json_reader *r)
{
    if (json_peek(r) != JSON_BOOL) {
        json_skip(r);
        return VAULT_NOT_SAID;
    }
    return json_bool(r, false) ? VAULT_YES : VAULT_NO;
}

static int64_t time_ms(struct json_reader *r)
{
    int64_t ms;
    struct slice text = json_string(r);
    return text.p && clock_parse_rfc3339(text, &ms) ? ms : -1;
}

int64_t vault_duration_ms(struct slice text)
{
    int64_t ns;
    if (!text.p || text.n == 0)
        return -1;
    if (!slice_to_i64(text, &ns) && !str_duration_ns(text, &ns))
        return -1;
    return ns < 0 ? -1 : ns / CLOCK_NS_PER_MS;
}

static int64_t duration(struct json_reader *r)
{
    if (json_peek(r) == JSON_STRING)
        return vault_duration_ms(json_string(r));
    int64_t ns = json_int(r, -1);
    return ns < 0 ? -1 : ns / CLOCK_NS_PER_MS;
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* "FailureTolerance" is "failure_tolerance": case and underscores do not count. */
static bool key_is(struct slice key, const char *snake)
{
    size_t i = 0;
    for (;; snake++, i++) {
        while (i < key.n && key.p[i] == '_')
            i++;
        while (*snake == '_')
            snake++;
        if (i == key.n || *snake == '\0')
            return i == key.n && *snake == '\0';
        if (lower(key.p[i]) != *snake)
            return false;
    }
}

struct slice vault_address_host(struct slice address)
{
    static const struct slice none = {NULL, 0};
    if (!address.p)
        return none;
    for (size_t i = 0; i + 2 < address.n; i++)
        if (memcmp(address.p + i, "://", 3) == 0) {
            address = (struct slice){address.p + i + 3, address.n - i - 3};
            break;
        }
    char end = ':';
    if (address.n > 0 && address.p[0] == '[') {
        end = ']';
        address = (struct slice){address.p + 1, address.n - 1};
    }
    size_t n = 0;
    while (n < address.n && address.p[n] != end && address.p[n] != '/')
        n++;
    return n == 0 ? none : (struct slice){address.p, n};
}

/* ---- Frames ------------------------------------------------------------------------------------------------------ */

/* Reads the object that the reader stands at; `member` consumes one value. */
typedef void (*member_fn)(struct json_reader *r, struct slice key, void *ret);

static bool read_object(struct json_reader *r, member_fn member, void *ret)
{
    struct slice key;
    if (!json_enter_object(r))
        return false;
    while (json_next_key(r, &key))
        member(r, key, ret);
    return true;
}

static struct err *wrong(const char *what, const char *why)
{
    return err_new(ERR_PROTOCOL, "%s: %s", what, why);
}

/* An answer whose members stand at the top. */
static struct err *read_top(struct slice json, const char *what, member_fn member, void *ret)
{
    struct json_reader r;
    json_reader_init(&r, json.p, json.n);
    bool object = read_object(&r, member, ret);
    struct err *e = json_finish(&r, what);
    json_reader_free(&r);
    return e ? e : object ? NULL : wrong(what, "not an object");
}

/* A logical answer: members below "data". */
struct enveloped {
    member_fn member;
    void *ret;
    bool data;
};

static void envelope_member(struct json_reader *r, struct slice key, void *arg)
{
    struct enveloped *e = arg;
    if (slice_is(key, "data") && !e->data)
        e->data = read_object(r, e->member, e->ret);
    else
        json_skip(r);
}

static struct err *read_data(struct slice json, const char *what, member_fn member, void *ret)
{
    struct enveloped in = {member, ret, false};
    struct err *e = read_top(json, what, envelope_member, &in);
    return e ? e : in.data ? NULL : wrong(what, "no data in it");
}

/* ---- Unauthenticated answers ------------------------------------------------------------------------------------- */

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
        h->removed = flag(r);
    } else if (slice_is(key, "ha_connection_healthy")) {
        h->connection_healthy = flag(r);
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
    struct err *e = read_top(json, "sys/health", health_member, &in);
    if (e)
        return e;
    if (!in.initialized || !in.standby)
        return wrong("sys/health", "no health in it (initialized, standby)");
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
        s->removed = flag(r);
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
    struct err *e = read_top(json, "sys/seal-status", seal_member, &in);
    if (e)
        return e;
    if (!in.sealed)
        return wrong("sys/seal-status", "it does not say whether it is sealed");
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
        l->active_ms = time_ms(r);
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
    struct err *e = read_top(json, "sys/leader", leader_member, &in);
    if (e)
        return e;
    if (!in.ha)
        return wrong("sys/leader", "it does not say ha_enabled");
    *ret = in.l;
    return NULL;
}

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
        m->last_echo_ms = time_ms(r);
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
        read_object(r, members_member, arg);
        return;
    }
    if (!key_is(key, "nodes") || in->found || json_peek(r) != JSON_ARRAY) {
        json_skip(r);
        return;
    }
    in->found = json_enter_array(r);
    while (json_next_item(r)) {
        struct vault_member m = {.last_echo_ms = -1};
        if (!read_object(r, member_member, &m))
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
    struct err *e = read_top(json, "sys/ha-status", members_member, &in);
    if (!e && (!in.found || in.many))
        e = wrong("sys/ha-status", in.many ? "too many nodes" : "no nodes in it");
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
        read_object(r, raft_config_member, arg);
        return;
    }
    if (!slice_is(key, "servers") || in->found || json_peek(r) != JSON_ARRAY) {
        json_skip(r);
        return;
    }
    in->found = json_enter_array(r);
    while (json_next_item(r)) {
        struct vault_server s = {.contact_ms = -1, .last_index = -1};
        if (read_object(r, raft_server_member, &s))
            server_add(in, &s);
    }
}

struct err *vault_parse_servers(struct slice json, struct vault_servers *ret)
{
    struct servers_read in = {.ret = MEM_NEW(struct vault_servers)};
    struct err *e = read_data(json, "raft/configuration", raft_config_member, &in);
    if (!e && (!in.found || in.many))
        e = wrong("raft/configuration", in.many ? "too many servers" : "no servers in it");
    if (!e)
        *ret = *in.ret;
    mem_free(in.ret);
    return e;
}

/* ---- Autopilot --------------------------------------------------------------------------------------------------- */

static void autopilot_server_member(struct json_reader *r, struct slice key, void *arg)
{
    struct vault_server *s = arg;
    if (key_is(key, "id"))
        TEXT(r, s->id);
    else if (key_is(key, "name"))
        TEXT(r, s->name);
    else if (key_is(key, "address"))
        TEXT(r, s->address);
    else if (key_is(key, "node_status"))
        TEXT(r, s->node_status);
    else if (key_is(key, "status"))
        TEXT(r, s->status);
    else if (key_is(key, "version"))
        TEXT(r, s->version);
    else if (key_is(key, "healthy"))
        s->healthy = flag(r);
    else if (key_is(key, "last_contact"))
        s->contact_ms = duration(r);
    else if (key_is(key, "last_index"))
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
    text_set(s.id, sizeof s.id, key);
    if (!read_object(r, autopilot_server_member, &s))
        return;
    s.leader = str_eq(s.status, "leader");
    s.voter = s.leader || str_eq(s.status, "voter");
    server_add(in, &s);
}

static void autopilot_member(struct json_reader *r, struct slice key, void *arg)
{
    struct autopilot_read *in = arg;
    if (key_is(key, "healthy"))
        in->ret->healthy = flag(r);
    else if (key_is(key, "failure_tolerance"))
        in->ret->tolerance = json_int(r, -1);
    else if (key_is(key, "leader"))
        TEXT(r, in->ret->leader);
    else if (key_is(key, "servers") && !in->servers.found)
        in->servers.found = read_object(r, autopilot_servers, &in->servers);
    else
        json_skip(r);
}

struct err *vault_parse_autopilot(struct slice json, struct vault_autopilot *ret)
{
    struct vault_autopilot *a = MEM_NEW(struct vault_autopilot);
    struct autopilot_read in = {.ret = a, .servers = {.ret = &a->servers}};
    a->tolerance = -1;
    struct err *e = read_data(json, "autopilot/state", autopilot_member, &in);
    if (!e && (a->healthy == VAULT_NOT_SAID || in.servers.many))
        e = wrong("autopilot/state", in.servers.many ? "too many servers" : "it does not say whether it is healthy");
    if (!e)
        *ret = *a;
    mem_free(a);
    return e;
}

static void autopilot_config_member(struct json_reader *r, struct slice key, void *arg)
{
    struct vault_autopilot_config *c = arg;
    if (key_is(key, "cleanup_dead_servers"))
        c->cleanup = flag(r);
    else if (key_is(key, "last_contact_threshold"))
        c->last_contact_ms = duration(r);
    else if (key_is(key, "dead_server_last_contact_threshold"))
        c->dead_ms = duration(r);
    else if (key_is(key, "server_stabilization_time"))
        c->stabilization_ms = duration(r);
    else if (key_is(key, "max_trailing_logs"))
        c->max_trailing_logs = json_int(r, -1);
    else if (key_is(key, "min_quorum"))
        c->min_quorum = json_int(r, -1);
    else
        json_skip(r);
}

struct err *vault_parse_autopilot_config(struct slice json, struct vault_autopilot_config *ret)
{
    struct vault_autopilot_config c = {.last_contact_ms = -1, .dead_ms = -1, .stabilization_ms = -1,
                                       .max_trailing_logs = -1, .min_quorum = -1};
    struct err *e = read_data(json, "autopilot/configuration", autopilot_config_member, &c);
    if (!e && c.cleanup == VAULT_NOT_SAID)
        e = wrong("autopilot/configuration", "it does not say cleanup_dead_servers");
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
        in->t.expires_ms = time_ms(r);
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
    struct err *e = read_data(json, "token/lookup-self", token_member, &in);
    if (!e && !in.named)
        e = wrong("token/lookup-self", "no display_name in it");
    text_set(in.t.policies, sizeof in.t.policies, buf_slice(&in.policies));
    buf_free(&in.policies);
    if (!e)
        *ret = in.t;
    return e;
}

/* ---- Errors ------------------------------------------------------------------------------------------------------ */

/* Takes "2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n" out of its frame. */
static void add_unframed(struct buf *out, struct slice text)
{
    static const char item[] = "\n\t* ";
    const size_t n = sizeof item - 1;
    const char *star = memmem(text.p, text.n, item, n);
    if (!star || !slice_contains((struct slice){text.p, (size_t)(star - text.p)}, " occurred:")) {
        utf8_clean(out, slice_trim(text));
        return;
    }
    for (bool first = true; star; first = false) {
        struct slice rest = {star + n, text.n - (size_t)(star + n - text.p)};
        star = memmem(rest.p, rest.n, item, n);
        if (!first)
            buf_adds(out, "; ");
        utf8_clean(out, slice_trim((struct slice){rest.p, star ? (size_t)(star - rest.p) : rest.n}));
    }
}

struct errors_read {
    struct buf *out;
    bool found;
};

static void errors_member(struct json_reader *r, struct slice key, void *arg)
{
    struct errors_read *in = arg;
    if (!slice_is(key, "errors") || json_peek(r) != JSON_ARRAY) {
        json_skip(r);
        return;
    }
    in->found = json_enter_array(r);
    while (json_next_item(r)) {
        struct slice text = json_string(r);
        if (!text.p || text.n == 0)
            continue;
        if (in->out->len > 0)
            buf_adds(in->out, "; ");
        add_unframed(in->out, text);
    }
}

bool vault_parse_errors(struct slice json, struct buf *out)
{
    struct buf text = {0};
    struct errors_read in = {.out = &text};
    struct err *e = read_top(json, "errors", errors_member, &in);
    bool ok = !e && in.found;
    err_ignore(e, "a body that is not JSON is not Vault's error body: that is the answer");
    if (ok)
        buf_add(out, buf_str(&text), text.len);
    buf_free(&text);
    return ok;
}

static void status_member(struct json_reader *r, struct slice key, void *arg)
{
    bool *status = arg;
    if (slice_is(key, "kind"))
        *status = slice_is(json_string(r), "Status") || *status;
    else
        json_skip(r);
}

bool vault_body_is_own(struct slice body)
{
    bool status = false;
    struct err *e = read_top(body, "body", status_member, &status);
    bool object = !e;
    err_ignore(e, "what is no object is not Vault's: that is the answer");
    return object && !status;
}
