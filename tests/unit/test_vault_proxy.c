/* The same through a pod proxy: what is the API server's word and what is Vault's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "loop/loop.h"
#include "source/source.h"
#include "tests/unit/vault_stage.h"

static void test_proxied(void **state)
{
    struct stage *s = *state;
    struct source_row *pods = source_row_new(s->world, "kube", "pods", 0);
    vault_stage_proxied(s);
    loop_run_until(s->loop, &(bool){false}, 250);
    assert_is(stage_source(s, "vault/vault", SOURCES_STATE), "STARTING"); /* pods are not known yet */
    source_row_ok(pods, true);
    for (int i = 0; i < NODES; i++)
        vault_stage_pod(s, i, s->names[i], 3600000);
    vault_stage_claim(s, "data-vault-1", "nfs-proxmox", "HOSTILE", "nfs");
    vault_stage_claim(s, "audit-vault-1", "proxmox-lvm-encrypted", "MOVED", "block");
    AWAIT(s, auth_is_polled);
    assert_is(stage_cluster(s, RAFT_CLUSTERS_VIEWS),
              "vault-0 names vault-2; vault-1 names vault-2; vault-2 says it is active");
    assert_is(stage_peer(s, "vault-1", RAFT_PEERS_CLAIMS), "nfs-proxmox, proxmox-lvm-encrypted");
    assert_is(stage_peer(s, "vault-1", RAFT_PEERS_CLAIMS_STATE), "HOSTILE");
    assert_null(stage_peer(s, "vault-0", RAFT_PEERS_CLAIMS_STATE).p);
    assert_is(stage_peer(s, "vault-1", RAFT_PEERS_POD), "2/2; 1 restart");
    assert_is(stage_peer(s, "vault-0", RAFT_PEERS_ENDPOINT), "pod proxy http:vault/vault-0:8200");
    s->play[0] = PLAY_REFUSES;
    AWAIT(s, vault_0_is_unreachable);
    assert_has(stage_peer(s, "vault-0", RAFT_PEERS_ERROR), "connection refused");
    world_remove(s->world, T_PODS, SLICE_LIT("vault-0"));
    s->play[0] = PLAY_RUNS;
    loop_run_until(s->loop, &(bool){false}, 300);
    AWAIT(s, vault_0_is_unreachable);
    assert_has(stage_cluster(s, RAFT_CLUSTERS_VERDICT), "vault-0 has no pod");
    vault_stage_pod(s, 0, "another uid", 1000);
    AWAIT(s, auth_is_polled);
    source_row_free(pods, true);
}

static bool forbidden(struct stage *s)
{
    return slice_contains(stage_source(s, "vault/vault-0", SOURCES_ERROR), "the pod proxy is forbidden") &&
           slice_contains(stage_source(s, "vault/vault-2", SOURCES_ERROR), "the pod proxy is forbidden") &&
           slice_is(stage_cluster(s, RAFT_CLUSTERS_STATE), "UNKNOWN");
}

/* The API server's 403 says nothing about Vault. */
static void test_proxy_is_forbidden(void **state)
{
    struct stage *s = *state;
    s->refuse = 403;
    vault_stage_proxied(s);
    for (int i = 0; i < NODES; i++)
        vault_stage_pod(s, i, s->names[i], 3600000);
    AWAIT(s, forbidden);
    assert_is(stage_peer(s, "vault-0", RAFT_PEERS_HEALTH), "UNKNOWN");
    s->refuse = 429;
    loop_run_until(s->loop, &(bool){false}, 300);
    assert_is(stage_peer(s, "vault-0", RAFT_PEERS_HEALTH), "UNKNOWN"); /* not a standby's 429 */
}

static void test_proxied_silence(void **state)
{
    struct stage *s = *state;
    vault_stage_proxied(s);
    for (int i = 0; i < NODES; i++)
        vault_stage_pod(s, i, s->names[i], 3600000);
    AWAIT(s, auth_is_polled);
    s->play[2] = PLAY_HANGS;
    AWAIT(s, leader_is_silent);
    assert_has(stage_cluster(s, RAFT_CLUSTERS_VERDICT), "answers nothing (TCP unknown through the API server)");
    assert_has(stage_peer(s, "vault-2", RAFT_PEERS_ERROR), "no answer within 5 s (TCP unknown");
}

static bool has_no_nodes(struct stage *s)
{
    return slice_contains(stage_source(s, "vault/vault", SOURCES_ERROR), "no node is known");
}

static void test_no_pods(void **state)
{
    struct stage *s = *state;
    struct source_row *pods = source_row_new(s->world, "kube", "pods", 0);
    source_row_ok(pods, true);
    vault_stage_proxied(s);
    AWAIT(s, has_no_nodes);
    assert_is(stage_cluster(s, RAFT_CLUSTERS_STATE), "UNKNOWN");
    source_row_free(pods, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STAGED(test_proxied),
        STAGED(test_proxy_is_forbidden),
        STAGED(test_proxied_silence),
        STAGED(test_no_pods),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
