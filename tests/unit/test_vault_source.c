/* The Vault source against nodes that answer, are sealed, lead, hang or are not there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "tests/unit/tiny_http.h"
#include "tests/unit/vault_stage.h"

static bool has_voters(struct stage *s)
{
    return auth_is_polled(s) && slice_is(stage_peer(s, "vault-0", RAFT_PEERS_ROLE), "VOTER");
}

static void test_healthy(void **state)
{
    struct stage *s = *state;
    s->lag[1] = 7;
    vault_stage_direct(s, "hvs.EXAMPLE", NULL);
    assert_is(stage_source(s, "vault/vault", SOURCES_STATE), "STARTING");
    assert_is(stage_source(s, "vault/vault-0", SOURCES_STATE), "STARTING");
    AWAIT(s, has_voters);
    assert_is(stage_cluster(s, RAFT_CLUSTERS_LEADER), "vault-2");
    assert_is(stage_cluster(s, RAFT_CLUSTERS_PRODUCT), "Vault");
    assert_is(stage_cluster(s, RAFT_CLUSTERS_VERSION), "1.18.1");
    assert_is(stage_cluster(s, RAFT_CLUSTERS_WRITE_PROBE), "NOT RUN");
    assert_is(stage_cluster(s, RAFT_CLUSTERS_CLEANUP), "off");
    assert_is(stage_cluster(s, RAFT_CLUSTERS_VIEWS),
              "vault-0 names vault-2; vault-1 names vault-2; vault-2 says it is active");
    assert_null(stage_cluster(s, RAFT_CLUSTERS_VERDICT).p);
    const struct row *c = world_find(s->world, T_RAFT_CLUSTERS, SLICE_LIT("vault"));
    assert_int_equal(row_int(c, RAFT_CLUSTERS_VOTERS, -1), 3);
    assert_int_equal(row_int(c, RAFT_CLUSTERS_TOLERANCE, -1), 1);
    assert_int_equal(row_int(c, RAFT_CLUSTERS_INDEX, -1), 2730012);
    assert_string_equal(row_src(s->world, c), "vault/vault-2");
    assert_is(stage_peer(s, "vault-2", RAFT_PEERS_ROLE), "LEADER");
    assert_is(stage_peer(s, "vault-2", RAFT_PEERS_AS_LEADER), "PROVED NOW");
    assert_is(stage_peer(s, "vault-0", RAFT_PEERS_AS_LEADER), "NOT YET");
    assert_is(stage_peer(s, "vault-0", RAFT_PEERS_HEALTH), "OK");
    assert_is(stage_peer(s, "vault-0", RAFT_PEERS_ID_STABLE), "STABLE");
    assert_int_equal(stage_peer_cell(s, "vault-0", RAFT_PEERS_CODE).i, 429);
    assert_int_equal(stage_peer_cell(s, "vault-0", RAFT_PEERS_CONTACT).i, 412);
    assert_int_equal(stage_peer_cell(s, "vault-1", RAFT_PEERS_LAG).i, 7);
    assert_int_equal(stage_peer_cell(s, "vault-2", RAFT_PEERS_LAG).i, 0);
    assert_is(stage_peer(s, "vault-9", RAFT_PEERS_ROLE), "NON-VOTER"); /* a peer that is no node of ours */
    assert_is(stage_peer(s, "vault-9", RAFT_PEERS_HEALTH), "UNKNOWN");
    assert_int_equal(s->asked_with_token[0] + s->asked_with_token[1], 0); /* the token goes to the active node alone */
    const struct row *cred = world_find(s->world, T_CREDENTIALS, SLICE_LIT("vault"));
    assert_is(row_text(cred, CREDENTIALS_STATE), "OK");
    assert_is(row_text(cred, CREDENTIALS_GROUPS), "default, ferryman");
    assert_is(row_text(cred, CREDENTIALS_METHOD), "token (service, auth/token/create)");
    assert_true(tiny_request_has(tiny_http_request(s->server[0], 0), "X-Vault-Request: true"));
}

static bool index_moved(struct stage *s)
{
    return slice_contains(stage_cluster(s, RAFT_CLUSTERS_INDEX_HISTORY), "2730012 2730014");
}

static bool led_by_0(struct stage *s)
{
    return slice_is(stage_cluster(s, RAFT_CLUSTERS_LEADER), "vault-0") &&
           slice_is(stage_peer(s, "vault-2", RAFT_PEERS_AS_LEADER), "PROVED");
}

static void test_leader_changes(void **state)
{
    struct stage *s = *state;
    vault_stage_direct(s, "hvs.EXAMPLE", NULL);
    AWAIT(s, auth_is_polled);
    s->index += 2;
    AWAIT(s, index_moved);
    s->leader = 0;
    AWAIT(s, led_by_0);
    assert_is(stage_peer(s, "vault-0", RAFT_PEERS_AS_LEADER), "PROVED NOW");
    assert_true(stage_timeline_has(s, "leader changed from vault-2 to vault-0"));
}

static void test_openbao(void **state)
{
    struct stage *s = *state;
    s->openbao = true;
    vault_stage_direct(s, "hvs.EXAMPLE", NULL);
    AWAIT(s, auth_is_polled);
    assert_is(stage_cluster(s, RAFT_CLUSTERS_PRODUCT), "OpenBao");
    assert_is(stage_peer(s, "vault-0", RAFT_PEERS_ROLE), "NON-VOTER");
    assert_is(stage_peer(s, "vault-1", RAFT_PEERS_ID_STABLE), "UNSTABLE"); /* found by its address */
    assert_is(stage_peer(s, "vault-1", RAFT_PEERS_ROLE), "VOTER");
}

static bool vault_1_is_sealed(struct stage *s)
{
    return slice_is(stage_peer(s, "vault-1", RAFT_PEERS_HEALTH), "SEALED");
}

static void test_sealed(void **state)
{
    struct stage *s = *state;
    vault_stage_direct(s, "hvs.EXAMPLE", NULL);
    AWAIT(s, auth_is_polled);
    s->play[1] = PLAY_SEALED;
    AWAIT(s, vault_1_is_sealed);
    assert_is(stage_cluster(s, RAFT_CLUSTERS_STATE), "DEGRADED");
    assert_is(stage_cluster(s, RAFT_CLUSTERS_VERDICT), "vault-1 is sealed");
    assert_is(stage_peer(s, "vault-1", RAFT_PEERS_SEAL), "SEALED");
    assert_is(stage_source(s, "vault/vault-1", SOURCES_STATE), "POLLED"); /* it answers: bad news, but fresh */
    assert_true(stage_timeline_has(s, "sealed"));
    s->play[1] = PLAY_RUNS;
    AWAIT(s, is_ok);
    assert_true(stage_timeline_has(s, "unsealed"));
}

static bool leader_alone_is_known(struct stage *s)
{
    return slice_is(stage_cluster(s, RAFT_CLUSTERS_LEADER), "vault-2") &&
           slice_is(stage_cluster(s, RAFT_CLUSTERS_STATE), "UNKNOWN");
}

static void test_no_token(void **state)
{
    struct stage *s = *state;
    vault_stage_direct(s, NULL, NULL);
    AWAIT(s, auth_is_denied);
    struct slice why = stage_source(s, "vault/vault", SOURCES_ERROR);
    assert_has(why, "VAULT_TOKEN");
    assert_has(why, "~/.vault-token");
    assert_has(why, "token: {file:");
    assert_has(why, "sys/storage/raft/autopilot/state");
    AWAIT(s, leader_alone_is_known); /* what needs no token is told all the same, and does not pass for all */
    const struct row *c = world_find(s->world, T_RAFT_CLUSTERS, SLICE_LIT("vault"));
    assert_int_equal(row_cell(c, RAFT_CLUSTERS_TOLERANCE).type, CELL_NULL);
    assert_int_equal(row_cell(c, RAFT_CLUSTERS_HEALTHY).type, CELL_NULL);
    assert_is(stage_peer(s, "vault-0", RAFT_PEERS_ROLE), "STANDBY");
}

static bool policy_is_missing(struct stage *s)
{
    return auth_is_denied(s) &&
           slice_contains(stage_source(s, "vault/vault", SOURCES_ERROR), "policies: default, ferryman");
}

static void test_token_without_policy(void **state)
{
    struct stage *s = *state;
    s->forbids = true;
    vault_stage_direct(s, "hvs.EXAMPLE", NULL);
    AWAIT(s, policy_is_missing);
    assert_has(stage_source(s, "vault/vault", SOURCES_ERROR), "permission denied");
    s->forbids = false;
    AWAIT(s, auth_is_polled);
}

static bool token_is_refused(struct stage *s)
{
    return auth_is_denied(s) && slice_contains(stage_source(s, "vault/vault", SOURCES_ERROR), "token is refused");
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
    vault_stage_direct(s, NULL, path);
    AWAIT(s, token_is_refused);
    const struct row *cred = world_find(s->world, T_CREDENTIALS, SLICE_LIT("vault"));
    assert_is(row_text(cred, CREDENTIALS_STATE), "DENIED");
    write_token(path, "hvs.EXAMPLE\n");
    AWAIT(s, auth_is_polled);
    for (const struct row *r = world_first(s->world, T_SOURCES); r; r = world_next(s->world, r))
        assert_false(slice_contains(row_text(r, SOURCES_ERROR), "hvs."));
    unlink(path);
}

static void expect_silent_leader(struct stage *s)
{
    vault_stage_direct(s, "hvs.EXAMPLE", NULL);
    AWAIT(s, auth_is_polled);
    s->play[2] = s->openbao ? PLAY_WEDGED : PLAY_HANGS;
    AWAIT(s, leader_is_silent);
    assert_is(stage_cluster(s, RAFT_CLUSTERS_STATE), "DEGRADED"); /* stuck after 45 s, not before */
    assert_has(stage_cluster(s, RAFT_CLUSTERS_VERDICT), "vault-2 is still named as the leader");
    assert_has(stage_cluster(s, RAFT_CLUSTERS_VERDICT), "vault-2 accepts TCP, answers nothing");
    assert_null(stage_cluster(s, RAFT_CLUSTERS_LEADER).p);
    assert_is(stage_cluster(s, RAFT_CLUSTERS_LAST_LEADER), "vault-2");
    const struct row *c = world_find(s->world, T_RAFT_CLUSTERS, SLICE_LIT("vault"));
    assert_true(row_int(c, RAFT_CLUSTERS_LAST_VOTERS, 0) > 0 && row_int(c, RAFT_CLUSTERS_LAST_INDEX, 0) > 0);
    assert_int_equal(stage_peer_cell(s, "vault-2", RAFT_PEERS_SILENT_SINCE).type, CELL_INT);
    assert_int_equal(stage_peer_cell(s, "vault-2", RAFT_PEERS_APPLIED).type,
                     CELL_NULL); /* what it said is not what it is */
    assert_int_equal(stage_peer_cell(s, "vault-0", RAFT_PEERS_LAG).type, CELL_NULL);
    assert_is(stage_source(s, "vault/vault-2", SOURCES_STATE), "DOWN");
    assert_has(stage_source(s, "vault/vault-2", SOURCES_ERROR), "no answer within 5 s");
    s->play[2] = PLAY_RUNS;
    AWAIT(s, is_ok);
    assert_null(stage_cluster(s, RAFT_CLUSTERS_LAST_LEADER).p); /* it is the leader again */
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

static void test_unreachable(void **state)
{
    struct stage *s = *state;
    s->play[0] = PLAY_REFUSES;
    vault_stage_direct(s, "hvs.EXAMPLE", NULL);
    AWAIT(s, vault_0_is_unreachable);
    assert_has(stage_cluster(s, RAFT_CLUSTERS_VERDICT), "vault-0 is unreachable");
    const struct row *r = world_find(s->world, T_RAFT_PEERS, SLICE_LIT("vault/vault-0"));
    assert_string_equal(row_src(s->world, r), ""); /* seen by ourselves, just now */
    assert_int_equal(row_cell(r, RAFT_PEERS_SILENT_SINCE).type, CELL_NULL);
}

static bool nobody_answers(struct stage *s)
{
    return slice_contains(stage_cluster(s, RAFT_CLUSTERS_VERDICT), "our network or the API server may be the cause");
}

static void test_nobody_answers(void **state)
{
    struct stage *s = *state;
    vault_stage_direct(s, "hvs.EXAMPLE", NULL);
    AWAIT(s, auth_is_polled);
    for (int i = 0; i < NODES; i++)
        s->play[i] = PLAY_REFUSES;
    AWAIT(s, nobody_answers);
    assert_is(stage_cluster(s, RAFT_CLUSTERS_STATE), "UNKNOWN");
    assert_is(stage_source(s, "vault/vault", SOURCES_STATE), "DOWN");
}

static bool vault_0_is_unknown(struct stage *s)
{
    return slice_contains(stage_source(s, "vault/vault-0", SOURCES_ERROR), "is not Vault") &&
           slice_contains(stage_cluster(s, RAFT_CLUSTERS_VERDICT), "vault-0 could not be asked");
}

static void test_something_else_answers(void **state)
{
    struct stage *s = *state;
    s->play[0] = PLAY_NOT_VAULT;
    vault_stage_direct(s, "hvs.EXAMPLE", NULL);
    AWAIT(s, vault_0_is_unknown);
    assert_is(stage_cluster(s, RAFT_CLUSTERS_STATE), "UNKNOWN");
    assert_is(stage_peer(s, "vault-0", RAFT_PEERS_HEALTH), "UNKNOWN");
}

static bool nobody_leads(struct stage *s)
{
    return slice_is(stage_cluster(s, RAFT_CLUSTERS_STATE), "DEGRADED") &&
           slice_contains(stage_cluster(s, RAFT_CLUSTERS_VERDICT), "no node is active") &&
           slice_contains(stage_source(s, "vault/vault", SOURCES_ERROR), "no active node");
}

static void test_no_leader(void **state)
{
    struct stage *s = *state;
    vault_stage_direct(s, "hvs.EXAMPLE", NULL);
    AWAIT(s, auth_is_polled);
    s->leader = -1;
    AWAIT(s, nobody_leads);
    const struct row *c = world_find(s->world, T_RAFT_CLUSTERS, SLICE_LIT("vault"));
    assert_int_equal(row_cell(c, RAFT_CLUSTERS_TOLERANCE).type,
                     CELL_NULL); /* what the leader said of it has ended with it */
}

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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
