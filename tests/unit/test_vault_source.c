/* The Vault source against nodes that answer, are sealed, lead, hang or are not there; directly and through a pod
 * proxy. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/secret.h"
#include "client/kube_client.h"
#include "client/kube_config.h"
#include "loop/loop.h"
#include "loop/timer.h"
#include "source/source.h"
#include "source/vault_source.h"
#include "tests/unit/tiny_http.h"
#include "world/world.h"

enum { NODES = 3, WAIT_MS = 20000, POLL_MS = 100 };

enum play {
    PLAY_RUNS,
    PLAY_SEALED,
    PLAY_HANGS,
    PLAY_WEDGED /* OpenBao: health answers, the rest hangs */,
    PLAY_REFUSES,
    PLAY_NOT_VAULT
};

struct stage {
    struct loop *loop;
    struct world *world;
    struct tiny_http *server[NODES];
    char *urls[NODES + 1];
    const char *names[NODES + 1];
    enum play play[NODES];
    int leader; /* -1: none */
    int64_t index, lag[NODES];
    bool openbao, heartbeat_lost;
    const char *token; /* what the nodes accept */
    bool forbids;      /* the token lacks the policy */
    int asked_with_token[NODES];
    struct vault_source *source;
    struct secret *secret;
    bool (*want)(struct stage *s);
    bool done;
    /* through the proxy */
    struct tiny_http *api;
    struct kube_config config;
    struct kube_client *kube;
    int refuse; /* the API server's own status for everything */
};

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

static int setup(void **state)
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

static int teardown(void **state)
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

static void start_direct(struct stage *s, const char *token, const char *token_file)
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

static void await_named(struct stage *s, bool (*want)(struct stage *s), const char *what)
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
#define AWAIT(s, want) await_named(s, want, #want)

static struct slice peer(struct stage *s, const char *name, int col)
{
    char key[64];
    snprintf(key, sizeof key, "vault/%s", name);
    const struct row *r = world_find(s->world, T_RAFT_PEERS, slice_of(key));
    return r ? row_text(r, col) : (struct slice){NULL, 0};
}

static struct cell peer_cell(struct stage *s, const char *name, int col)
{
    char key[64];
    snprintf(key, sizeof key, "vault/%s", name);
    const struct row *r = world_find(s->world, T_RAFT_PEERS, slice_of(key));
    assert_non_null(r);
    return row_cell(r, col);
}

static struct slice cluster(struct stage *s, int col)
{
    const struct row *r = world_find(s->world, T_RAFT_CLUSTERS, SLICE_LIT("vault"));
    return r ? row_text(r, col) : (struct slice){NULL, 0};
}

static struct slice source(struct stage *s, const char *key, int col)
{
    const struct row *r = world_find(s->world, T_SOURCES, slice_of(key));
    return r ? row_text(r, col) : (struct slice){NULL, 0};
}

static void assert_is(struct slice got, const char *want)
{
    if (!slice_is(got, want))
        fail_msg("\"%.*s\" is not \"%s\"", (int)got.n, got.p ? got.p : "", want);
}

static void assert_has(struct slice got, const char *part)
{
    if (!slice_contains(got, part))
        fail_msg("\"%.*s\" lacks \"%s\"", (int)got.n, got.p ? got.p : "", part);
}

static bool timeline_has(struct stage *s, const char *text)
{
    for (const struct row *r = world_first(s->world, T_TIMELINE); r; r = world_next(s->world, r))
        if (slice_contains(row_text(r, TIMELINE_TEXT), text))
            return true;
    return false;
}

static bool is_ok(struct stage *s)
{
    return slice_is(cluster(s, RAFT_CLUSTERS_STATE), "OK");
}

static bool auth_is_polled(struct stage *s)
{
    return slice_is(source(s, "vault/vault", SOURCES_STATE), "POLLED") && is_ok(s);
}

static bool auth_is_denied(struct stage *s)
{
    return slice_is(source(s, "vault/vault", SOURCES_STATE), "DENIED");
}

/* ---- Direct ------------------------------------------------------------------------------------------------------ */

static bool has_voters(struct stage *s)
{
    return auth_is_polled(s) && slice_is(peer(s, "vault-0", RAFT_PEERS_ROLE), "VOTER");
}

static void test_healthy(void **state)
{
    struct stage *s = *state;
    s->lag[1] = 7;
    start_direct(s, "hvs.EXAMPLE", NULL);
    assert_is(source(s, "vault/vault", SOURCES_STATE), "STARTING");
    assert_is(source(s, "vault/vault-0", SOURCES_STATE), "STARTING");
    AWAIT(s, has_voters);
    assert_is(cluster(s, RAFT_CLUSTERS_LEADER), "vault-2");
    assert_is(cluster(s, RAFT_CLUSTERS_PRODUCT), "Vault");
    assert_is(cluster(s, RAFT_CLUSTERS_VERSION), "1.18.1");
    assert_is(cluster(s, RAFT_CLUSTERS_WRITE_PROBE), "NOT RUN");
    assert_is(cluster(s, RAFT_CLUSTERS_CLEANUP), "off");
    assert_is(cluster(s, RAFT_CLUSTERS_VIEWS),
              "vault-0 names vault-2; vault-1 names vault-2; vault-2 says it is active");
    assert_null(cluster(s, RAFT_CLUSTERS_VERDICT).p);
    const struct row *c = world_find(s->world, T_RAFT_CLUSTERS, SLICE_LIT("vault"));
    assert_int_equal(row_int(c, RAFT_CLUSTERS_VOTERS, -1), 3);
    assert_int_equal(row_int(c, RAFT_CLUSTERS_TOLERANCE, -1), 1);
    assert_int_equal(row_int(c, RAFT_CLUSTERS_INDEX, -1), 2730012);
    assert_string_equal(row_src(s->world, c), "vault/vault-2");
    assert_is(peer(s, "vault-2", RAFT_PEERS_ROLE), "LEADER");
    assert_is(peer(s, "vault-2", RAFT_PEERS_AS_LEADER), "PROVED NOW");
    assert_is(peer(s, "vault-0", RAFT_PEERS_AS_LEADER), "NOT YET");
    assert_is(peer(s, "vault-0", RAFT_PEERS_HEALTH), "OK");
    assert_is(peer(s, "vault-0", RAFT_PEERS_ID_STABLE), "STABLE");
    assert_int_equal(peer_cell(s, "vault-0", RAFT_PEERS_CODE).i, 429);
    assert_int_equal(peer_cell(s, "vault-0", RAFT_PEERS_CONTACT).i, 412);
    assert_int_equal(peer_cell(s, "vault-1", RAFT_PEERS_LAG).i, 7);
    assert_int_equal(peer_cell(s, "vault-2", RAFT_PEERS_LAG).i, 0);
    assert_is(peer(s, "vault-9", RAFT_PEERS_ROLE), "NON-VOTER"); /* a peer that is no node of ours */
    assert_is(peer(s, "vault-9", RAFT_PEERS_HEALTH), "UNKNOWN");
    assert_int_equal(s->asked_with_token[0] + s->asked_with_token[1], 0); /* the token goes to the active node alone */
    const struct row *cred = world_find(s->world, T_CREDENTIALS, SLICE_LIT("vault"));
    assert_is(row_text(cred, CREDENTIALS_STATE), "OK");
    assert_is(row_text(cred, CREDENTIALS_GROUPS), "default, ferryman");
    assert_is(row_text(cred, CREDENTIALS_METHOD), "token (service, auth/token/create)");
    assert_true(tiny_request_has(tiny_http_request(s->server[0], 0), "X-Vault-Request: true"));
}

static bool index_moved(struct stage *s)
{
    return slice_contains(cluster(s, RAFT_CLUSTERS_INDEX_HISTORY), "2730012 2730014");
}

static bool led_by_0(struct stage *s)
{
    return slice_is(cluster(s, RAFT_CLUSTERS_LEADER), "vault-0") &&
           slice_is(peer(s, "vault-2", RAFT_PEERS_AS_LEADER), "PROVED");
}

static void test_leader_changes(void **state)
{
    struct stage *s = *state;
    start_direct(s, "hvs.EXAMPLE", NULL);
    AWAIT(s, auth_is_polled);
    s->index += 2;
    AWAIT(s, index_moved);
    s->leader = 0;
    AWAIT(s, led_by_0);
    assert_is(peer(s, "vault-0", RAFT_PEERS_AS_LEADER), "PROVED NOW");
    assert_true(timeline_has(s, "leader changed from vault-2 to vault-0"));
}

static void test_openbao(void **state)
{
    struct stage *s = *state;
    s->openbao = true;
    start_direct(s, "hvs.EXAMPLE", NULL);
    AWAIT(s, auth_is_polled);
    assert_is(cluster(s, RAFT_CLUSTERS_PRODUCT), "OpenBao");
    assert_is(peer(s, "vault-0", RAFT_PEERS_ROLE), "NON-VOTER");
    assert_is(peer(s, "vault-1", RAFT_PEERS_ID_STABLE), "UNSTABLE"); /* found by its address */
    assert_is(peer(s, "vault-1", RAFT_PEERS_ROLE), "VOTER");
}

static bool vault_1_is_sealed(struct stage *s)
{
    return slice_is(peer(s, "vault-1", RAFT_PEERS_HEALTH), "SEALED");
}

static void test_sealed(void **state)
{
    struct stage *s = *state;
    start_direct(s, "hvs.EXAMPLE", NULL);
    AWAIT(s, auth_is_polled);
    s->play[1] = PLAY_SEALED;
    AWAIT(s, vault_1_is_sealed);
    assert_is(cluster(s, RAFT_CLUSTERS_STATE), "DEGRADED");
    assert_is(cluster(s, RAFT_CLUSTERS_VERDICT), "vault-1 is sealed");
    assert_is(peer(s, "vault-1", RAFT_PEERS_SEAL), "SEALED");
    assert_is(source(s, "vault/vault-1", SOURCES_STATE), "POLLED"); /* it answers: bad news, but fresh */
    assert_true(timeline_has(s, "sealed"));
    s->play[1] = PLAY_RUNS;
    AWAIT(s, is_ok);
    assert_true(timeline_has(s, "unsealed"));
}

static void test_no_token(void **state)
{
    struct stage *s = *state;
    start_direct(s, NULL, NULL);
    AWAIT(s, auth_is_denied);
    struct slice why = source(s, "vault/vault", SOURCES_ERROR);
    assert_has(why, "VAULT_TOKEN");
    assert_has(why, "~/.vault-token");
    assert_has(why, "token: {file:");
    assert_has(why, "sys/storage/raft/autopilot/state");
    AWAIT(s, is_ok); /* what needs no token is told all the same */
    assert_is(cluster(s, RAFT_CLUSTERS_LEADER), "vault-2");
    const struct row *c = world_find(s->world, T_RAFT_CLUSTERS, SLICE_LIT("vault"));
    assert_int_equal(row_cell(c, RAFT_CLUSTERS_TOLERANCE).type, CELL_NULL);
    assert_int_equal(row_cell(c, RAFT_CLUSTERS_HEALTHY).type, CELL_NULL);
    assert_is(peer(s, "vault-0", RAFT_PEERS_ROLE), "STANDBY");
}

static bool policy_is_missing(struct stage *s)
{
    return auth_is_denied(s) && slice_contains(source(s, "vault/vault", SOURCES_ERROR), "policies: default, ferryman");
}

static void test_token_without_policy(void **state)
{
    struct stage *s = *state;
    s->forbids = true;
    start_direct(s, "hvs.EXAMPLE", NULL);
    AWAIT(s, policy_is_missing);
    assert_has(source(s, "vault/vault", SOURCES_ERROR), "permission denied");
    s->forbids = false;
    AWAIT(s, auth_is_polled);
}

static bool token_is_refused(struct stage *s)
{
    return auth_is_denied(s) && slice_contains(source(s, "vault/vault", SOURCES_ERROR), "token is refused");
}

static void write_token(const char *path, const char *token)
{
    struct err *e = file_write_durable(path, token, strlen(token), 0600);
    assert_null(e);
}

static void test_token_file_is_read_again(void **state)
{
    struct stage *s = *state;
    char path[] = "/tmp/ferryman-token-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    write_token(path, "hvs.OLD\n");
    start_direct(s, NULL, path);
    AWAIT(s, token_is_refused);
    const struct row *cred = world_find(s->world, T_CREDENTIALS, SLICE_LIT("vault"));
    assert_is(row_text(cred, CREDENTIALS_STATE), "DENIED");
    write_token(path, "hvs.EXAMPLE\n");
    AWAIT(s, auth_is_polled);
    for (const struct row *r = world_first(s->world, T_SOURCES); r; r = world_next(s->world, r))
        assert_false(slice_contains(row_text(r, SOURCES_ERROR), "hvs."));
    unlink(path);
}

static bool leader_is_silent(struct stage *s)
{
    return slice_is(peer(s, "vault-2", RAFT_PEERS_HEALTH), "SILENT");
}

static void expect_silent_leader(struct stage *s)
{
    start_direct(s, "hvs.EXAMPLE", NULL);
    AWAIT(s, auth_is_polled);
    s->play[2] = s->openbao ? PLAY_WEDGED : PLAY_HANGS;
    AWAIT(s, leader_is_silent);
    assert_is(cluster(s, RAFT_CLUSTERS_STATE), "DEGRADED"); /* stuck after 45 s, not before */
    assert_has(cluster(s, RAFT_CLUSTERS_VERDICT), "vault-2 is still named as the leader");
    assert_has(cluster(s, RAFT_CLUSTERS_VERDICT), "vault-2 accepts TCP, answers nothing");
    assert_null(cluster(s, RAFT_CLUSTERS_LEADER).p);
    assert_int_equal(peer_cell(s, "vault-2", RAFT_PEERS_SILENT_SINCE).type, CELL_INT);
    assert_int_equal(peer_cell(s, "vault-2", RAFT_PEERS_APPLIED).type, CELL_NULL); /* what it said is not what it is */
    assert_int_equal(peer_cell(s, "vault-0", RAFT_PEERS_LAG).type, CELL_NULL);
    assert_is(source(s, "vault/vault-2", SOURCES_STATE), "DOWN");
    assert_has(source(s, "vault/vault-2", SOURCES_ERROR), "no answer within 5 s");
    s->play[2] = PLAY_RUNS;
    AWAIT(s, is_ok);
}

static void test_leader_hangs(void **state)
{
    expect_silent_leader(*state);
}

/* OpenBao's health does not take the state lock: it goes on answering. */
static void test_leader_is_wedged(void **state)
{
    struct stage *s = *state;
    s->openbao = true;
    expect_silent_leader(s);
}

static bool vault_0_is_unreachable(struct stage *s)
{
    return slice_is(peer(s, "vault-0", RAFT_PEERS_HEALTH), "UNREACHABLE");
}

static void test_unreachable(void **state)
{
    struct stage *s = *state;
    s->play[0] = PLAY_REFUSES;
    start_direct(s, "hvs.EXAMPLE", NULL);
    AWAIT(s, vault_0_is_unreachable);
    assert_has(cluster(s, RAFT_CLUSTERS_VERDICT), "vault-0 is unreachable");
    const struct row *r = world_find(s->world, T_RAFT_PEERS, SLICE_LIT("vault/vault-0"));
    assert_string_equal(row_src(s->world, r), ""); /* seen by ourselves, just now */
    assert_int_equal(row_cell(r, RAFT_PEERS_SILENT_SINCE).type, CELL_NULL);
}

static bool nobody_answers(struct stage *s)
{
    return slice_contains(cluster(s, RAFT_CLUSTERS_VERDICT), "our network or the API server may be the cause");
}

static void test_nobody_answers(void **state)
{
    struct stage *s = *state;
    start_direct(s, "hvs.EXAMPLE", NULL);
    AWAIT(s, auth_is_polled);
    for (int i = 0; i < NODES; i++)
        s->play[i] = PLAY_REFUSES;
    AWAIT(s, nobody_answers);
    assert_is(cluster(s, RAFT_CLUSTERS_STATE), "UNKNOWN");
    assert_is(source(s, "vault/vault", SOURCES_STATE), "DOWN");
}

static bool vault_0_is_unknown(struct stage *s)
{
    return slice_contains(source(s, "vault/vault-0", SOURCES_ERROR), "is not Vault") &&
           slice_contains(cluster(s, RAFT_CLUSTERS_VERDICT), "vault-0 could not be asked");
}

static void test_something_else_answers(void **state)
{
    struct stage *s = *state;
    s->play[0] = PLAY_NOT_VAULT;
    start_direct(s, "hvs.EXAMPLE", NULL);
    AWAIT(s, vault_0_is_unknown);
    assert_is(cluster(s, RAFT_CLUSTERS_STATE), "UNKNOWN");
    assert_is(peer(s, "vault-0", RAFT_PEERS_HEALTH), "UNKNOWN");
}

static bool nobody_leads(struct stage *s)
{
    return slice_is(cluster(s, RAFT_CLUSTERS_STATE), "DEGRADED") &&
           slice_contains(cluster(s, RAFT_CLUSTERS_VERDICT), "no node is active") &&
           slice_contains(source(s, "vault/vault", SOURCES_ERROR), "no active node");
}

static void test_no_leader(void **state)
{
    struct stage *s = *state;
    start_direct(s, "hvs.EXAMPLE", NULL);
    AWAIT(s, auth_is_polled);
    s->leader = -1;
    AWAIT(s, nobody_leads);
    const struct row *c = world_find(s->world, T_RAFT_CLUSTERS, SLICE_LIT("vault"));
    assert_int_equal(row_cell(c, RAFT_CLUSTERS_TOLERANCE).type,
                     CELL_NULL); /* what the leader said of it has ended with it */
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

static void put_pod(struct stage *s, int node, const char *uid, int64_t age_ms)
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

static void put_claim(struct stage *s, const char *name, const char *class, const char *state, const char *backend)
{
    struct cell cells[CLAIMS_COLS] = {
        [CLAIMS_NAMESPACE] = cell_text("vault"), [CLAIMS_NAME] = cell_text(name),
        [CLAIMS_CLASS] = cell_text(class),       [CLAIMS_STATE] = cell_text(state),
        [CLAIMS_BACKEND] = cell_text(backend),
    };
    world_upsert(s->world, T_CLAIMS, slice_of(name), "kube/persistentvolumeclaims", cells);
}

static void start_proxied(struct stage *s)
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

static void test_proxied(void **state)
{
    struct stage *s = *state;
    struct source_row *pods = source_row_new(s->world, "kube", "pods", 0);
    start_proxied(s);
    loop_run_until(s->loop, &(bool){false}, 250);
    assert_is(source(s, "vault/vault", SOURCES_STATE), "STARTING"); /* pods are not known yet */
    source_row_ok(pods, true);
    for (int i = 0; i < NODES; i++)
        put_pod(s, i, s->names[i], 3600000);
    put_claim(s, "data-vault-1", "nfs-proxmox", "HOSTILE", "nfs");
    put_claim(s, "audit-vault-1", "proxmox-lvm-encrypted", "MOVED", "block");
    AWAIT(s, auth_is_polled);
    assert_is(cluster(s, RAFT_CLUSTERS_VIEWS),
              "vault-0 names vault-2; vault-1 names vault-2; vault-2 says it is active");
    assert_is(peer(s, "vault-1", RAFT_PEERS_CLAIMS), "nfs-proxmox, proxmox-lvm-encrypted");
    assert_is(peer(s, "vault-1", RAFT_PEERS_CLAIMS_STATE), "HOSTILE");
    assert_null(peer(s, "vault-0", RAFT_PEERS_CLAIMS_STATE).p);
    assert_is(peer(s, "vault-1", RAFT_PEERS_POD), "2/2; 1 restart");
    assert_is(peer(s, "vault-0", RAFT_PEERS_ENDPOINT), "pod proxy http:vault/vault-0:8200");
    s->play[0] = PLAY_REFUSES;
    AWAIT(s, vault_0_is_unreachable);
    assert_has(peer(s, "vault-0", RAFT_PEERS_ERROR), "connection refused");
    world_remove(s->world, T_PODS, SLICE_LIT("vault-0"));
    s->play[0] = PLAY_RUNS;
    loop_run_until(s->loop, &(bool){false}, 300);
    AWAIT(s, vault_0_is_unreachable);
    assert_has(cluster(s, RAFT_CLUSTERS_VERDICT), "vault-0 has no pod");
    put_pod(s, 0, "another uid", 1000);
    AWAIT(s, auth_is_polled);
    source_row_free(pods, true);
}

static bool forbidden(struct stage *s)
{
    return slice_contains(source(s, "vault/vault-0", SOURCES_ERROR), "the pod proxy is forbidden") &&
           slice_contains(source(s, "vault/vault-2", SOURCES_ERROR), "the pod proxy is forbidden") &&
           slice_is(cluster(s, RAFT_CLUSTERS_STATE), "UNKNOWN");
}

/* The API server's 403 says nothing about Vault. */
static void test_proxy_is_forbidden(void **state)
{
    struct stage *s = *state;
    s->refuse = 403;
    start_proxied(s);
    for (int i = 0; i < NODES; i++)
        put_pod(s, i, s->names[i], 3600000);
    AWAIT(s, forbidden);
    assert_is(peer(s, "vault-0", RAFT_PEERS_HEALTH), "UNKNOWN");
    s->refuse = 429;
    loop_run_until(s->loop, &(bool){false}, 300);
    assert_is(peer(s, "vault-0", RAFT_PEERS_HEALTH), "UNKNOWN"); /* not a standby's 429 */
}

static void test_proxied_silence(void **state)
{
    struct stage *s = *state;
    start_proxied(s);
    for (int i = 0; i < NODES; i++)
        put_pod(s, i, s->names[i], 3600000);
    AWAIT(s, auth_is_polled);
    s->play[2] = PLAY_HANGS;
    AWAIT(s, leader_is_silent);
    assert_has(cluster(s, RAFT_CLUSTERS_VERDICT), "answers nothing (TCP unknown through the API server)");
    assert_has(peer(s, "vault-2", RAFT_PEERS_ERROR), "no answer within 5 s (TCP unknown");
}

static bool has_no_nodes(struct stage *s)
{
    return slice_contains(source(s, "vault/vault", SOURCES_ERROR), "no node is known");
}

static void test_no_pods(void **state)
{
    struct stage *s = *state;
    struct source_row *pods = source_row_new(s->world, "kube", "pods", 0);
    source_row_ok(pods, true);
    start_proxied(s);
    AWAIT(s, has_no_nodes);
    assert_is(cluster(s, RAFT_CLUSTERS_STATE), "UNKNOWN");
    source_row_free(pods, true);
}

#define STAGED(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STAGED(test_healthy),
        STAGED(test_leader_changes),
        STAGED(test_openbao),
        STAGED(test_sealed),
        STAGED(test_no_token),
        STAGED(test_token_without_policy),
        STAGED(test_token_file_is_read_again),
        STAGED(test_leader_hangs),
        STAGED(test_leader_is_wedged),
        STAGED(test_unreachable),
        STAGED(test_nobody_answers),
        STAGED(test_something_else_answers),
        STAGED(test_no_leader),
        STAGED(test_proxied),
        STAGED(test_proxy_is_forbidden),
        STAGED(test_proxied_silence),
        STAGED(test_no_pods),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
