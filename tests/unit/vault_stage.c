#include "tests/unit/vault_stage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/secret.h"
#include "client/kube_client.h"
#include "loop/loop.h"
#include "loop/timer.h"
#include "source/vault_source.h"
#include "tests/unit/tiny_http.h"

struct actor {
    struct stage *stage;
    int node;
};

static struct buf said; /* the body of the answer that is being given */

static bool reply(struct tiny_answer *ret, int status)
{
    *ret = (struct tiny_answer){.status = status, .body = buf_str(&said), .body_len = said.len};
    return true;
}

static bool refuse(struct tiny_answer *ret, int status, const char *text)
{
    buf_printf(&said, "{\"errors\":[\"%s\"]}\n", text);
    return reply(ret, status);
}

static void say_health(const struct stage *s, int node)
{
    bool sealed = s->play[node] == PLAY_SEALED, standby = node != s->leader;
    buf_printf(&said, "{\"initialized\":true,\"sealed\":%s,\"standby\":%s,\"version\":\"%s\"",
               sealed ? "true" : "false", standby ? "true" : "false", s->openbao ? "2.6.2" : "1.18.1");
    if (!s->openbao)
        buf_printf(&said, ",\"enterprise\":false,\"echo_duration_ms\":%d", s->heartbeat_lost && standby ? 2000 : 3);
    buf_adds(&said, sealed ? "}" : ",\"cluster_id\":\"a54c42b3-c2e7-dedc-8747-3d29bea69241\"}");
}

static void say_leader(const struct stage *s, int node)
{
    bool self = node == s->leader;
    buf_adds(&said, "{\"ha_enabled\":true");
    if (self || !s->openbao)
        buf_printf(&said, ",\"is_self\":%s,\"active_time\":\"%s\"", self ? "true" : "false",
                   self ? "2026-11-22T08:39:47.290022793Z" : "0001-01-01T00:00:00Z");
    int named = s->leader >= 0 ? s->leader : 2;
    buf_printf(&said,
               ",\"leader_address\":\"http://10.0.0.%d:8200\",\"leader_cluster_address\":\"https://"
               "vault-%d.vault-internal:8201\"",
               named, named);
    buf_printf(&said, ",\"raft_committed_index\":%lld,\"raft_applied_index\":%lld}", (long long)s->index,
               (long long)(s->index - s->lag[node]));
}

static void say_configuration(const struct stage *s)
{
    buf_adds(&said, "{\"data\":{\"config\":{\"servers\":[");
    for (int i = 0; i < NODES; i++)
        buf_printf(&said,
                   "%s{\"node_id\":\"%s%d\",\"address\":\"vault-%d.vault-internal:8201\",\"leader\":%s,\"voter\":%s}",
                   i ? "," : "", i == 1 && s->openbao ? "5b85626b-1111-2222-3333-44444444444" : "vault-", i, i,
                   i == s->leader ? "true" : "false", i == 0 && s->openbao ? "false" : "true");
    buf_adds(&said, ",{\"node_id\":\"vault-9\",\"address\":\"vault-9.vault-internal:8201\",\"voter\":false}]}}}");
}

static void say_autopilot(void)
{
    buf_adds(&said, "{\"data\":{\"healthy\":true,\"failure_tolerance\":1,\"leader\":\"vault-2\",\"servers\":{");
    for (int i = 0; i < NODES; i++)
        buf_printf(
            &said,
            "%s\"vault-%d\":{\"id\":\"vault-%d\",\"last_contact\":\"412.5ms\",\"healthy\":%s,\"status\":\"voter\"}",
            i ? "," : "", i, i, "true");
    buf_adds(&said, "}}}");
}

static bool answer_logical(struct actor *a, const struct tiny_request *rq, struct tiny_answer *ret)
{
    struct stage *s = a->stage;
    char line[128];
    snprintf(line, sizeof line, "X-Vault-Token: %s", s->token);
    if (strstr(rq->head, "X-Vault-Token"))
        s->asked_with_token[a->node]++;
    bool self = strstr(rq->path, "lookup-self") != NULL;
    if (!tiny_request_has(rq, line) || (s->forbids && !self))
        return refuse(ret, 403, "1 error occurred:\\n\\t* permission denied\\n\\n");
    if (self)
        buf_adds(&said,
                 "{\"data\":{\"display_name\":\"token-ferryman\",\"policies\":[\"default\",\"ferryman\"],\"path\":"
                 "\"auth/token/create\",\"type\":\"service\",\"expire_time\":\"2126-01-01T00:00:00Z\",\"ttl\":3600}}");
    else if (str_ends(rq->path, "raft/configuration"))
        say_configuration(s);
    else if (str_ends(rq->path, "autopilot/state"))
        say_autopilot();
    else if (str_ends(rq->path, "autopilot/configuration"))
        buf_adds(&said,
                 "{\"data\":{\"cleanup_dead_servers\":false,\"dead_server_last_contact_threshold\":\"24h0m0s\"}}");
    else
        buf_adds(&said, "{\"nodes\":[]}");
    return reply(ret, 200);
}

static bool answer(void *arg, const struct tiny_request *rq, struct tiny_answer *ret)
{
    struct actor *a = arg;
    struct stage *s = a->stage;
    enum play play = s->play[a->node];
    bool health = str_ends(rq->path, "/v1/sys/health");
    buf_clear(&said);
    if (play == PLAY_HANGS || (play == PLAY_WEDGED && !health)) {
        *ret = (struct tiny_answer){.fate = TINY_SILENCE};
        return true;
    }
    if (play == PLAY_REFUSES) {
        *ret = (struct tiny_answer){.fate = TINY_RESET};
        return true;
    }
    if (play == PLAY_NOT_VAULT) {
        buf_adds(&said, "<html>It works!</html>");
        return reply(ret, 200);
    }
    if (health) {
        say_health(s, a->node);
        return reply(ret, play == PLAY_SEALED ? 503 : a->node == s->leader ? 200 : 429);
    }
    if (str_ends(rq->path, "/v1/sys/seal-status")) {
        buf_printf(&said, "{\"type\":\"shamir\",\"initialized\":true,\"sealed\":%s}",
                   play == PLAY_SEALED ? "true" : "false");
        return reply(ret, 200);
    }
    if (play == PLAY_SEALED)
        return refuse(ret, 503, "Vault is sealed");
    if (str_ends(rq->path, "/v1/sys/leader")) {
        say_leader(s, a->node);
        return reply(ret, 200);
    }
    return answer_logical(a, rq, ret);
}

/* ---- Stage ------------------------------------------------------------------------------------------------------- */

static struct actor actors[NODES];

int vault_stage_setup(void **state)
{
    struct stage *s = MEM_NEW(struct stage);
    s->loop = loop_new();
    s->world = world_new();
    world_set_now(s->world, clock_wall_ms());
    s->leader = 2;
    s->index = 2730012;
    s->token = "hvs.EXAMPLE";
    static const char *const names[NODES] = {"vault-0", "vault-1", "vault-2"};
    for (int i = 0; i < NODES; i++) {
        actors[i] = (struct actor){s, i};
        s->server[i] = tiny_http_new(s->loop);
        s->urls[i] = mem_strdup(tiny_http_url(s->server[i]));
        s->names[i] = names[i];
        tiny_http_handler(s->server[i], answer, &actors[i]);
    }
    *state = s;
    return 0;
}

int vault_stage_teardown(void **state)
{
    struct stage *s = *state;
    vault_source_free(s->source);
    assert_int_equal(world_count(s->world, T_RAFT_PEERS), 0);
    assert_int_equal(world_count(s->world, T_RAFT_CLUSTERS), 0);
    kube_client_free(s->kube);
    if (s->api)
        tiny_http_free(s->api);
    for (int i = 0; i < NODES; i++) {
        tiny_http_free(s->server[i]);
        mem_free(s->urls[i]);
    }
    secret_free(s->secret);
    world_free(s->world);
    loop_free(s->loop);
    mem_free(s->config.context);
    mem_free(s->config.server);
    mem_free(s);
    buf_free(&said);
    return 0;
}

void vault_stage_direct(struct stage *s, const char *token, const char *token_file)
{
    s->secret = token ? secret_new(token, strlen(token)) : NULL;
    s->source = vault_source_new(&(struct vault_source_options){
        .loop = s->loop,
        .world = s->world,
        .workload = "vault",
        .ns = "vault",
        .statefulset = "vault",
        .direct = true,
        .node_names = s->names,
        .node_urls = (const char *const *)s->urls,
        .token = s->secret,
        .token_file = token_file,
        .poll_ms = POLL_MS,
    });
}

static void poll_want(void *arg)
{
    struct stage *s = arg;
    world_set_now(s->world, clock_wall_ms());
    s->done = s->want(s);
}

void vault_stage_await(struct stage *s, bool (*want)(struct stage *s), const char *what)
{
    struct timer *t = timer_new(s->loop, poll_want, s);
    s->want = want;
    s->done = false;
    timer_start(t, 0, 10);
    bool ok = loop_run_until(s->loop, &s->done, WAIT_MS);
    timer_free(t);
    if (!ok) {
        for (const struct row *r = world_first(s->world, T_SOURCES); r; r = world_next(s->world, r))
            print_message("%.*s %.*s %.*s\n", SLICE_FMT(row_key(r)), SLICE_FMT(row_text(r, SOURCES_STATE)),
                          SLICE_FMT(row_text(r, SOURCES_ERROR)));
        fail_msg("waited in vain for %s", what);
    }
}

struct slice stage_peer(struct stage *s, const char *name, int col)
{
    char key[64];
    snprintf(key, sizeof key, "vault/%s", name);
    const struct row *r = world_find(s->world, T_RAFT_PEERS, slice_of(key));
    return r ? row_text(r, col) : (struct slice){NULL, 0};
}

struct cell stage_peer_cell(struct stage *s, const char *name, int col)
{
    char key[64];
    snprintf(key, sizeof key, "vault/%s", name);
    const struct row *r = world_find(s->world, T_RAFT_PEERS, slice_of(key));
    assert_non_null(r);
    return row_cell(r, col);
}

struct slice stage_cluster(struct stage *s, int col)
{
    const struct row *r = world_find(s->world, T_RAFT_CLUSTERS, SLICE_LIT("vault"));
    return r ? row_text(r, col) : (struct slice){NULL, 0};
}

struct slice stage_source(struct stage *s, const char *key, int col)
{
    const struct row *r = world_find(s->world, T_SOURCES, slice_of(key));
    return r ? row_text(r, col) : (struct slice){NULL, 0};
}

void assert_is(struct slice got, const char *want)
{
    if (!slice_is(got, want))
        fail_msg("\"%.*s\" is not \"%s\"", (int)got.n, got.p ? got.p : "", want);
}

void assert_has(struct slice got, const char *part)
{
    if (!slice_contains(got, part))
        fail_msg("\"%.*s\" lacks \"%s\"", (int)got.n, got.p ? got.p : "", part);
}

bool stage_timeline_has(struct stage *s, const char *text)
{
    for (const struct row *r = world_first(s->world, T_TIMELINE); r; r = world_next(s->world, r))
        if (slice_contains(row_text(r, TIMELINE_TEXT), text))
            return true;
    return false;
}

bool is_ok(struct stage *s)
{
    return slice_is(stage_cluster(s, RAFT_CLUSTERS_STATE), "OK");
}

bool auth_is_polled(struct stage *s)
{
    return slice_is(stage_source(s, "vault/vault", SOURCES_STATE), "POLLED") && is_ok(s);
}

bool auth_is_denied(struct stage *s)
{
    return slice_is(stage_source(s, "vault/vault", SOURCES_STATE), "DENIED");
}

bool leader_is_silent(struct stage *s)
{
    return slice_is(stage_peer(s, "vault-2", RAFT_PEERS_HEALTH), "SILENT");
}

bool vault_0_is_unreachable(struct stage *s)
{
    return slice_is(stage_peer(s, "vault-0", RAFT_PEERS_HEALTH), "UNREACHABLE");
}

/* ---- Through the pod proxy --------------------------------------------------------------------------------------- */

static bool answer_api(void *arg, const struct tiny_request *rq, struct tiny_answer *ret)
{
    struct stage *s = arg;
    static const char prefix[] = "/api/v1/namespaces/vault/pods/http:vault-";
    buf_clear(&said);
    if (!str_starts(rq->path, prefix)) {
        buf_adds(&said, "{\"gitVersion\":\"v1.32.0\"}");
        return reply(ret, 200);
    }
    if (s->refuse) {
        buf_printf(&said,
                   "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"status\":\"Failure\",\"message\":\"pods "
                   "\\\"http:vault-0:8200\\\" is "
                   "forbidden\",\"reason\":\"Forbidden\",\"code\":%d}",
                   s->refuse);
        return reply(ret, s->refuse);
    }
    int node = rq->path[sizeof prefix - 1] - '0';
    if (s->play[node] != PLAY_REFUSES)
        return answer(&actors[node], rq, ret);
    buf_adds(&said, "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{},\"status\":\"Failure\",\"message\":"
                    "\"error trying to reach "
                    "service: dial tcp 10.99.0.3:8200: connect: connection "
                    "refused\",\"reason\":\"ServiceUnavailable\",\"code\":503}");
    return reply(ret, 503);
}

void vault_stage_pod(struct stage *s, int node, const char *uid, int64_t age_ms)
{
    char name[16], ip[16], claims[64];
    snprintf(name, sizeof name, "vault-%d", node);
    snprintf(ip, sizeof ip, "10.0.0.%d", node);
    snprintf(claims, sizeof claims, "data-vault-%d, audit-vault-%d", node, node);
    struct cell cells[PODS_COLS] = {
        [PODS_NAMESPACE] = cell_text("vault"),
        [PODS_NAME] = cell_text(name),
        [PODS_STATE] = cell_text("RUNNING"),
        [PODS_READY] = cell_text("2/2"),
        [PODS_RESTARTS] = cell_int(node),
        [PODS_IP] = cell_text(ip),
        [PODS_OWNER] = cell_text("StatefulSet/vault"),
        [PODS_CLAIMS] = cell_text(claims),
        [PODS_CREATED] = cell_int(clock_wall_ms() - age_ms),
    };
    world_upsert(s->world, T_PODS, slice_of(uid), "kube/pods", cells);
}

void vault_stage_claim(struct stage *s, const char *name, const char *class, const char *state, const char *backend)
{
    struct cell cells[CLAIMS_COLS] = {
        [CLAIMS_NAMESPACE] = cell_text("vault"), [CLAIMS_NAME] = cell_text(name),
        [CLAIMS_CLASS] = cell_text(class),       [CLAIMS_STATE] = cell_text(state),
        [CLAIMS_BACKEND] = cell_text(backend),
    };
    world_upsert(s->world, T_CLAIMS, slice_of(name), "kube/persistentvolumeclaims", cells);
}

void vault_stage_proxied(struct stage *s)
{
    s->api = tiny_http_new(s->loop);
    tiny_http_handler(s->api, answer_api, s);
    s->config = (struct kube_config){.context = mem_strdup("home"), .server = mem_strdup(tiny_http_url(s->api))};
    s->kube = kube_client_new(s->loop, &s->config, NULL, NULL);
    s->secret = secret_new("hvs.EXAMPLE", 11);
    s->source = vault_source_new(&(struct vault_source_options){
        .loop = s->loop,
        .world = s->world,
        .workload = "vault",
        .ns = "vault",
        .statefulset = "vault",
        .kube = s->kube,
        .scheme = "http",
        .port = 8200,
        .token = s->secret,
        .poll_ms = POLL_MS,
    });
}
