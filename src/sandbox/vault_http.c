/* Vault's routes: what a node answers itself, what it forwards, what it refuses. */
#include "sandbox/vault_private.h"

#include <string.h>

#include "base/clock.h"
#include "base/json_doc.h"
#include "base/map.h"
#include "base/mem.h"
#include "sandbox/http_server.h"
#include "sandbox/rest.h"
#include "sandbox/sandbox.h"
#include "sandbox/vault.h"

enum verb { VERB_READ, VERB_WRITE, VERB_DELETE, VERB_OTHER };

/* A route that needs a token and the active node. Answers the request. */
struct vault_route {
    enum verb verb;
    const char *path; /* without "/v1/"; with a trailing '*' for everything below */
    const char *capability;
    void (*run)(struct vault *v, struct http_request *r, const char *path);
};

static void reply_error(struct http_request *r, unsigned status, const char *text)
{
    rest_reply(r, status, vault_body_errors(text));
}

static enum verb verb_of(const struct http_request *r)
{
    const char *m = http_request_method(r);
    if (str_eq(m, "GET") || str_eq(m, "HEAD"))
        return VERB_READ;
    if (str_eq(m, "POST") || str_eq(m, "PUT"))
        return VERB_WRITE;
    return str_eq(m, "DELETE") ? VERB_DELETE : VERB_OTHER;
}

/* ---- Requests that wait ---- */

static void held_unlink(struct vault_held *h)
{
    struct vault_held **at = &h->v->held;
    while (*at != h)
        at = &(*at)->next;
    *at = h->next;
    mem_free(h->path);
    mem_free(h);
}

static void held_gone(void *arg)
{
    held_unlink(arg);
}

static struct vault_held *hold(struct vault *v, int node, const char *path, struct http_request *r, int64_t redirect_at)
{
    struct vault_held *h = MEM_NEW(struct vault_held);
    *h = (struct vault_held){.next = v->held,
                             .v = v,
                             .node = node,
                             .path = mem_strdup(path),
                             .r = r,
                             .redirect_at = redirect_at};
    v->held = h;
    http_request_on_gone(r, held_gone, h);
    return h;
}

/* Takes the request back from what waits. */
static struct http_request *held_take(struct vault_held *h, char **ret_path, int *ret_node)
{
    struct http_request *r = h->r;
    *ret_path = mem_strdup(h->path);
    *ret_node = h->node;
    http_request_on_gone(r, NULL, NULL);
    held_unlink(h);
    return r;
}

void vault_held_drop(struct vault *v, int node)
{
    for (struct vault_held *h = v->held, *next; h; h = next) {
        next = h->next;
        if (node != VAULT_NONE && h->node != node)
            continue;
        char *path;
        int held_node;
        http_reply_none(held_take(h, &path, &held_node));
        mem_free(path);
    }
}

/* ---- Standbys ---- */

static void redirect(struct vault *v, int node, struct http_request *r)
{
    int leader = v->c.leader != VAULT_NONE ? v->c.leader : v->c.node[node].known_leader;
    if (leader == VAULT_NONE || leader == node) {
        reply_error(r, 503, "no active Vault instance found");
        return;
    }
    char *address = vault_api_address(v, leader);
    const char *target = strstr(http_request_target(r), "/v1/"); /* behind the proxy's own path, if it came so */
    char *location = str_printf("%s%s", address, target ? target : "/");
    http_reply_header(r, "Location", location);
    http_reply(r, 307, NULL, "", 0);
    mem_free(location);
    mem_free(address);
}

/* Whether the active node keeps a request of that kind waiting. */
static bool stalls(const struct vault *v, bool writes)
{
    if (v->c.leader == VAULT_NONE || v->c.leader != v->stall_node)
        return false;
    return v->stall == STALL_AUDIT || (v->stall == STALL_STORAGE && writes);
}

static bool waits_no_more(const struct vault *v, const struct vault_held *h)
{
    if (v->c.node[h->node].hung)
        return false;
    if (h->stalled && stalls(v, true))
        return h->redirect_at && v->c.now >= h->redirect_at;
    return !h->redirect_at || v->c.leader == VAULT_NONE || !v->c.node[v->c.leader].hung || v->c.now >= h->redirect_at;
}

void vault_held_check(struct vault *v)
{
    for (struct vault_held *h = v->held, *next; h; h = next) {
        next = h->next;
        if (!waits_no_more(v, h))
            continue;
        bool late = h->redirect_at && v->c.now >= h->redirect_at;
        char *path;
        int node;
        struct http_request *r = held_take(h, &path, &node);
        if (late)
            redirect(v, node, r);
        else
            vault_answer(v, node, path, r);
        mem_free(path);
    }
}

/* ---- Unauthenticated, local ---- */

static unsigned health_code(const struct http_request *r, const char *param, unsigned fallback)
{
    const char *text = http_request_query(r, param);
    int64_t code;
    return text && slice_to_i64(slice_of(text), &code) && code >= 100 && code < 600 ? (unsigned)code : fallback;
}

static unsigned health_status(const struct vault *v, int node, const struct http_request *r)
{
    const struct vault_node *n = &v->c.node[node];
    bool newer = !v->openbao && vault_is_at_least(v, 1, 19);
    if (n->stage == VAULT_NEW)
        return health_code(r, "uninitcode", 501);
    if (newer && n->stage == VAULT_REMOVED)
        return health_code(r, "removedcode", 530);
    if (n->stage == VAULT_SEALED || n->stage == VAULT_REMOVED)
        return health_code(r, "sealedcode", 503);
    if (newer && vault_heartbeat_fails(v, node))
        return health_code(r, "haunhealthycode", 474);
    const char *standby_ok = http_request_query(r, "standbyok");
    if (node == v->c.leader || (standby_ok && !str_eq(standby_ok, "false")))
        return health_code(r, "activecode", 200);
    return health_code(r, "standbycode", 429);
}

/* True if the route was one of these and is answered. */
static bool answer_local(struct vault *v, int node, const char *path, struct http_request *r)
{
    const struct vault_node *n = &v->c.node[node];
    if (str_eq(path, "sys/health")) {
        rest_reply(r, health_status(v, node, r), vault_body_health(v, node));
    } else if (str_eq(path, "sys/seal-status")) {
        rest_reply(r, 200, vault_body_seal_status(v, node));
    } else if (str_eq(path, "sys/leader")) {
        if (n->stage == VAULT_RUNS || n->stage == VAULT_INSTALL)
            rest_reply(r, 200, vault_body_leader(v, node));
        else
            reply_error(r, 503, "Vault is sealed");
    } else if (str_eq(path, "sys/init")) {
        struct json_t *o = jd_object();
        jd_set(o, "initialized", jd_bool(n->stage != VAULT_NEW));
        rest_reply(r, 200, o);
    } else if (str_eq(path, "sys/storage/raft/join")) {
        struct json_t *o = jd_object();
        jd_set(o, "joined", jd_bool(n->stage != VAULT_NEW));
        rest_reply(r, 200, o);
    } else {
        return false;
    }
    return true;
}

/* ---- With a token, on the active node ---- */

static void run_ha_status(struct vault *v, struct http_request *r, const char *path)
{
    (void)path;
    struct json_t *data = jd_object();
    jd_set(data, "nodes", vault_body_ha_nodes(v));
    struct json_t *o = vault_body_envelope(data);
    jd_set(o, "nodes", vault_body_ha_nodes(v));
    rest_reply(r, 200, o);
}

static void run_raft_configuration(struct vault *v, struct http_request *r, const char *path)
{
    (void)path;
    rest_reply(r, 200, vault_body_envelope(vault_body_raft_configuration(v)));
}

static void run_autopilot_state(struct vault *v, struct http_request *r, const char *path)
{
    (void)path;
    rest_reply(r, 200, vault_body_envelope(vault_body_autopilot_state(v)));
}

static void run_autopilot_read(struct vault *v, struct http_request *r, const char *path)
{
    (void)path;
    struct json_t *data = jd_copy(v->autopilot);
    if (v->openbao)
        jd_del(data, "disable_upgrade_migration");
    rest_reply(r, 200, vault_body_envelope(data));
}

/* The request's body as an object; NULL if it is none (then 400 is answered). */
static struct json_t *body_object(struct http_request *r)
{
    struct slice body = http_request_body(r);
    struct json_t *o = NULL;
    struct err *e = jd_parse(body.n ? body.p : "{}", body.n ? body.n : 2, "request body", &o);
    bool good = !e && jd_is_object(o);
    err_free(e);
    if (good)
        return o;
    jd_free(o);
    reply_error(r, 400, "failed to parse JSON input");
    return NULL;
}

/* Writes an entry and answers 204; without a majority the request would wait until the client gives up. */
static void reply_written(struct vault *v, struct http_request *r)
{
    if (vault_cluster_write(&v->c))
        http_reply(r, 204, NULL, "", 0);
    else
        reply_error(r, 500, "node is not the leader");
}

static void run_autopilot_write(struct vault *v, struct http_request *r, const char *path)
{
    (void)path;
    struct json_t *body = body_object(r);
    if (!body)
        return;
    for (void *it = jd_iter(body); it; it = jd_iter_next(body, it)) {
        if (jd_member(v->autopilot, jd_iter_key(it)))
            jd_set(v->autopilot, jd_iter_key(it), jd_ref(jd_iter_value(it)));
    }
    jd_free(body);
    reply_written(v, r);
}

static void run_remove_peer(struct vault *v, struct http_request *r, const char *path)
{
    (void)path;
    struct json_t *body = body_object(r);
    if (!body)
        return;
    const char *id = jd_str(body, "server_id");
    if (!id || !id[0]) {
        reply_error(r, 400, "no server id provided");
    } else {
        for (int i = 0; i < VAULT_NODES; i++)
            if (v->c.node[i].in_config && str_eq(v->c.node[i].id, id))
                vault_cluster_remove_peer(&v->c, i);
        http_reply(r, 204, NULL, "", 0);
    }
    jd_free(body);
}

/* One device on a file, as the chart's documentation sets it up. */
static void run_audit(struct vault *v, struct http_request *r, const char *path)
{
    (void)v, (void)path;
    struct json_t *data = jd_object(), *file = jd_object(), *options = jd_object();
    jd_set(options, "file_path", jd_string("/vault/audit/vault-audit.log"));
    jd_set(file, "description", jd_string(""));
    jd_set(file, "local", jd_bool(false));
    jd_set(file, "options", options);
    jd_set(file, "path", jd_string("file/"));
    jd_set(file, "type", jd_string("file"));
    jd_set(data, "file/", file);
    struct json_t *o = vault_body_envelope(data);
    jd_set(o, "file/", jd_copy(file));
    rest_reply(r, 200, o);
}

static void run_step_down(struct vault *v, struct http_request *r, const char *path)
{
    (void)path;
    vault_cluster_step_down(&v->c, VAULT_NONE);
    http_reply(r, 204, NULL, "", 0);
}

static void run_lookup_self(struct vault *v, struct http_request *r, const char *path)
{
    (void)path;
    rest_reply(r, 200, vault_body_envelope(vault_body_lookup_self(v)));
}

static void run_renew_self(struct vault *v, struct http_request *r, const char *path)
{
    (void)path;
    if (!vault_cluster_write(&v->c)) {
        reply_error(r, 500, "node is not the leader");
        return;
    }
    v->token_expires_ms = clock_mono_ms() + VAULT_TOKEN_TTL_S * CLOCK_MS_PER_S;
    rest_reply(r, 200, vault_body_auth(v));
}

static void run_cubbyhole_read(struct vault *v, struct http_request *r, const char *path)
{
    const char *text = map_gets(v->cubbyhole, path);
    struct json_t *data = NULL;
    if (text)
        err_ignore(jd_parse(text, strlen(text), "cubbyhole", &data), "it was parsed when it was written");
    if (data)
        rest_reply(r, 200, vault_body_envelope(data));
    else
        reply_error(r, 404, NULL);
}

static void run_cubbyhole_write(struct vault *v, struct http_request *r, const char *path)
{
    struct json_t *body = body_object(r);
    if (!body)
        return;
    struct buf text = {0};
    jd_dump(body, &text);
    jd_free(body);
    mem_free(map_puts(v->cubbyhole, path, buf_steal(&text)));
    reply_written(v, r);
}

static void run_cubbyhole_delete(struct vault *v, struct http_request *r, const char *path)
{
    mem_free(map_del(v->cubbyhole, slice_of(path)));
    reply_written(v, r);
}

static void run_snapshot(struct vault *v, struct http_request *r, const char *path)
{
    (void)path;
    vault_snapshot_send(v, r);
}

static void run_capabilities_self(struct vault *v, struct http_request *r, const char *path);

static const struct vault_route vault_routes[] = {
    {VERB_READ, "sys/ha-status", "read", run_ha_status},
    {VERB_READ, "sys/storage/raft/configuration", "read", run_raft_configuration},
    {VERB_READ, "sys/storage/raft/autopilot/state", "read", run_autopilot_state},
    {VERB_READ, "sys/storage/raft/autopilot/configuration", "read", run_autopilot_read},
    {VERB_WRITE, "sys/storage/raft/autopilot/configuration", "update", run_autopilot_write},
    {VERB_READ, "sys/storage/raft/snapshot", "read", run_snapshot},
    {VERB_WRITE, "sys/storage/raft/remove-peer", "update", run_remove_peer},
    {VERB_WRITE, "sys/step-down", "sudo", run_step_down},
    {VERB_WRITE, "sys/step-down", "update", run_step_down},
    {VERB_WRITE, "sys/capabilities-self", "update", run_capabilities_self},
    {VERB_READ, "sys/audit", "read", run_audit},
    {VERB_READ, "sys/audit", "sudo", run_audit},
    {VERB_READ, "auth/token/lookup-self", "read", run_lookup_self},
    {VERB_WRITE, "auth/token/renew-self", "update", run_renew_self},
    {VERB_READ, "cubbyhole/*", "read", run_cubbyhole_read},
    {VERB_WRITE, "cubbyhole/*", "update", run_cubbyhole_write},
    {VERB_DELETE, "cubbyhole/*", "delete", run_cubbyhole_delete},
};

static bool route_means(const struct vault_route *route, const char *path)
{
    size_t n = strlen(route->path);
    if (route->path[n - 1] == '*')
        return strncmp(path, route->path, n - 1) == 0 && path[n - 1];
    return str_eq(path, route->path);
}

/* What the token may do on each path, from the routes above. */
static struct json_t *capabilities_of(const char *path)
{
    struct json_t *list = jd_array();
    for (size_t i = 0; i < ARRAY_LEN(vault_routes); i++) {
        if (route_means(&vault_routes[i], path))
            jd_append(list, jd_string(vault_routes[i].capability));
    }
    if (!jd_len(list))
        jd_append(list, jd_string("deny"));
    return list;
}

static void run_capabilities_self(struct vault *v, struct http_request *r, const char *path)
{
    (void)v;
    (void)path;
    struct json_t *body = body_object(r);
    if (!body)
        return;
    struct json_t *paths = jd_member(body, "paths"), *data = jd_object();
    for (size_t i = 0; i < jd_len(paths); i++) {
        const char *asked = jd_string_value(jd_at(paths, i));
        if (asked)
            jd_set(data, asked, capabilities_of(asked));
    }
    struct json_t *o = vault_body_envelope(jd_copy(data));
    for (void *it = jd_iter(data); it; it = jd_iter_next(data, it))
        jd_set(o, jd_iter_key(it), jd_ref(jd_iter_value(it)));
    jd_free(data);
    jd_free(body);
    rest_reply(r, 200, o);
}

static bool token_is_good(struct vault *v, const struct http_request *r)
{
    const char *token = http_request_header(r, "X-Vault-Token");
    if (!token) {
        const char *bearer = http_request_header(r, "Authorization");
        token = bearer && str_starts(bearer, "Bearer ") ? bearer + strlen("Bearer ") : NULL;
    }
    return !v->denied && token && str_eq(token, rest_vault_token(v->s)) && vault_token_left_ms(v) > 0;
}

static bool is_kept_waiting(struct vault *v, int node, const char *whole, struct http_request *r)
{
    enum verb verb = verb_of(r);
    if (!stalls(v, verb == VERB_WRITE || verb == VERB_DELETE))
        return false;
    hold(v, node, whole, r, node == v->c.leader ? 0 : v->c.now + VAULT_FORWARD_MS)->stalled = true;
    return true;
}

static void answer_active(struct vault *v, int node, const char *path, const char *whole, struct http_request *r)
{
    if (is_kept_waiting(v, node, whole, r))
        return;
    if (!token_is_good(v, r)) {
        reply_error(r, 403, http_request_header(r, "X-Vault-Token")
                                ? "2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n"
                                : "permission denied");
        return;
    }
    if (v->pod[v->c.leader].audit_full) { /* "no space left on device" goes into the server's log */
        reply_error(r, 500, "1 error occurred:\n\t* internal error\n\n");
        return;
    }
    enum verb verb = verb_of(r);
    bool path_known = false;
    for (size_t i = 0; i < ARRAY_LEN(vault_routes); i++) {
        if (!route_means(&vault_routes[i], path))
            continue;
        path_known = true;
        if (vault_routes[i].verb == verb) {
            vault_routes[i].run(v, r, path);
            return;
        }
    }
    if (path_known)
        reply_error(r, 405, "1 error occurred:\n\t* unsupported operation\n\n");
    else
        reply_error(r, 403, "1 error occurred:\n\t* permission denied\n\n");
}

/* OpenBao's standbys answer some reads themselves from 2.5 on. */
static bool reads_itself(const struct vault *v, const char *path, const struct http_request *r)
{
    return v->openbao && vault_is_at_least(v, 2, 5) && v->c.leader != VAULT_NONE && verb_of(r) == VERB_READ &&
           (str_eq(path, "sys/storage/raft/snapshot") || str_eq(path, "sys/storage/raft/configuration"));
}

/* A logical request: here if this node is active, else by way of the one that is. */
static void answer_logical(struct vault *v, int node, const char *path, const char *whole, struct http_request *r)
{
    if (!vault_node_takes_part(&v->c, node)) {
        reply_error(r, 503, "Vault is sealed");
    } else if (node == v->c.leader) {
        answer_active(v, node, path, whole, r);
    } else if (reads_itself(v, path, r)) {
        answer_active(v, node, path, whole, r);
    } else if (http_request_header(r, "X-Vault-No-Request-Forwarding") || str_eq(path, "sys/storage/raft/snapshot")) {
        redirect(v, node, r);
    } else if (v->c.leader == VAULT_NONE) {
        reply_error(r, 500, "local node not active but active cluster node not found");
    } else if (v->c.node[v->c.leader].hung) {
        hold(v, node, whole, r, v->c.now + VAULT_FORWARD_MS);
    } else {
        answer_active(v, node, path, whole, r);
    }
}

void vault_answer(struct vault *v, int node, const char *path, struct http_request *r)
{
    vault_cluster_tick(&v->c, clock_mono_ms());
    if (v->c.node[node].stage == VAULT_DOWN) {
        http_reply_none(r);
        return;
    }
    if (v->c.node[node].hung) {
        hold(v, node, path, r, 0);
        return;
    }
    http_reply_header(r, "Cache-Control", "no-store");
    if (str_starts(path, "/ui")) {
        http_reply_str(r, 200, "text/html; charset=utf-8", "<!DOCTYPE html>\n<title>Vault</title>\n<div>Vault</div>\n");
    } else if (!str_starts(path, "/v1/")) {
        reply_error(r, 404, NULL);
    } else if (!answer_local(v, node, path + 4, r)) {
        answer_logical(v, node, path + 4, path, r);
    }
}
