/* Three nodes and the majority rule: what must be lost is lost, what must come back comes back. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "sandbox/vault_cluster.h"

#define START 1000000
#define INDEX 50000

static struct vault_cluster healthy(void)
{
    struct vault_cluster c;
    vault_cluster_init(&c, START, 2, START, INDEX);
    vault_cluster_tick(&c, START + 1);
    return c;
}

/* Moves on in steps of a tick, as the sandbox does. */
static void pass(struct vault_cluster *c, int64_t ms)
{
    for (int64_t end = c->now + ms; c->now < end;)
        vault_cluster_tick(c, c->now + 250 < end ? c->now + 250 : end);
}

static void test_at_rest(void **state)
{
    (void)state;
    struct vault_cluster c = healthy();
    pass(&c, 90000);
    assert_int_equal(c.leader, 2);
    assert_int_equal(c.term, 34);
    assert_int_equal(c.index, INDEX + 2);
    assert_int_equal(vault_cluster_voters(&c), 3);
    assert_int_equal(vault_cluster_tolerance(&c), 1);
    for (int i = 0; i < VAULT_NODES; i++) {
        assert_true(vault_node_healthy(&c, i));
        assert_int_equal(c.node[i].applied, c.index);
        assert_int_equal(c.node[i].known_leader, 2);
    }
}

static void test_dead_leader_is_replaced(void **state)
{
    (void)state;
    struct vault_cluster c = healthy();
    vault_cluster_stop(&c, 2, false);
    pass(&c, VAULT_ELECTION_MS - 500);
    assert_int_equal(c.leader, VAULT_NONE);
    assert_int_equal(c.node[0].known_leader, 2); /* standbys go on naming the dead one */
    assert_false(vault_cluster_write(&c));
    pass(&c, 1000);
    assert_int_equal(c.leader, 0);
    assert_int_equal(c.node[1].known_leader, 0);
    assert_int_equal(c.term, 35);
    pass(&c, 5000);
    assert_true(vault_cluster_write(&c));
    assert_int_equal(vault_cluster_tolerance(&c), 0);
    assert_false(vault_node_healthy(&c, 2));
}

static void test_graceful_end_hands_over_sooner(void **state)
{
    (void)state;
    struct vault_cluster c = healthy();
    vault_cluster_stop(&c, 2, true);
    pass(&c, VAULT_TRANSFER_MS + 250);
    assert_int_equal(c.leader, 0);
}

static void test_lost_quorum_is_lost(void **state)
{
    (void)state;
    struct vault_cluster c = healthy();
    vault_cluster_stop(&c, 0, true);
    vault_cluster_stop(&c, 1, true);
    assert_false(vault_cluster_has_quorum(&c));
    pass(&c, VAULT_LEASE_MS + 500);
    assert_int_equal(c.leader, VAULT_NONE);
    assert_int_equal(c.node[2].known_leader, VAULT_NONE); /* what it advertised points to itself */
    /* Both come back wiped: nobody can let them in, for ever. */
    vault_cluster_start(&c, 0, true, 0);
    vault_cluster_start(&c, 1, true, 0);
    pass(&c, 3600000);
    assert_int_equal(c.leader, VAULT_NONE);
    assert_int_equal(c.node[0].stage, VAULT_NEW);
    assert_int_equal(c.node[1].stage, VAULT_NEW);
    assert_false(vault_cluster_write(&c));
}

static void test_quorum_comes_back_with_its_data(void **state)
{
    (void)state;
    struct vault_cluster c = healthy();
    vault_cluster_stop(&c, 0, true);
    vault_cluster_stop(&c, 1, true);
    pass(&c, 10000);
    vault_cluster_start(&c, 0, false, INDEX);
    assert_int_equal(c.node[0].stage, VAULT_SEALED);
    pass(&c, VAULT_UNSEAL_MS + VAULT_ELECTION_MS + 500);
    assert_true(c.leader == 0 || c.leader == 2);
    assert_true(vault_cluster_write(&c));
}

static void test_wiped_node_rejoins_as_voter(void **state)
{
    (void)state;
    struct vault_cluster c = healthy();
    vault_cluster_stop(&c, 0, true);
    pass(&c, 20000);
    vault_cluster_start(&c, 0, true, 0);
    assert_int_equal(c.node[0].stage, VAULT_NEW);
    pass(&c, VAULT_JOIN_MS + 250);
    assert_int_equal(c.node[0].stage, VAULT_SEALED);
    assert_false(vault_node_takes_part(&c, 0));
    pass(&c, VAULT_UNSEAL_MS + 250);
    assert_int_equal(c.node[0].stage, VAULT_INSTALL);
    assert_true(c.node[0].voter); /* from the first second, with an empty log */
    assert_int_equal(c.node[0].applied, 0);
    pass(&c, VAULT_INSTALL_MS + 1000);
    assert_int_equal(c.node[0].applied, c.index);
    pass(&c, VAULT_ECHO_MS);
    assert_true(vault_node_healthy(&c, 0));
    assert_int_equal(vault_cluster_tolerance(&c), 1);
    assert_int_equal(c.leader, 2);
}

/* An empty voter must not be elected before it has caught up. */
static void test_empty_voter_does_not_lead(void **state)
{
    (void)state;
    struct vault_cluster c = healthy();
    vault_cluster_stop(&c, 0, true);
    vault_cluster_start(&c, 0, true, 0);
    while (c.node[0].stage != VAULT_INSTALL)
        pass(&c, 250);
    vault_cluster_stop(&c, 2, true);
    pass(&c, 2000);
    assert_int_equal(c.leader, 1);
}

static void test_hung_leader_stays_leader(void **state)
{
    (void)state;
    struct vault_cluster c = healthy();
    int64_t index = c.index;
    vault_cluster_hang(&c, 2, true);
    pass(&c, 600000);
    assert_int_equal(c.leader, 2);
    assert_int_equal(c.term, 34);
    assert_int_equal(c.index, index);
    assert_false(vault_cluster_write(&c));
    assert_int_equal(c.node[0].known_leader, 2);
    assert_true(c.now - c.node[0].last_echo > 2 * VAULT_ECHO_MS);
    /* It cannot step down either; deleting its pod helps. */
    vault_cluster_step_down(&c, VAULT_NONE);
    assert_int_equal(c.leader, 2);
    vault_cluster_stop(&c, 2, true);
    pass(&c, VAULT_ELECTION_MS + 500);
    assert_int_equal(c.leader, 0);
}

static void test_hang_that_ends(void **state)
{
    (void)state;
    struct vault_cluster c = healthy();
    vault_cluster_hang(&c, 2, true);
    pass(&c, 60000);
    vault_cluster_hang(&c, 2, false);
    pass(&c, VAULT_ECHO_MS + 500);
    assert_int_equal(c.leader, 2);
    assert_true(vault_cluster_write(&c));
    assert_true(vault_node_healthy(&c, 0));
}

static void test_step_down(void **state)
{
    (void)state;
    struct vault_cluster c = healthy();
    vault_cluster_step_down(&c, VAULT_NONE);
    assert_int_equal(c.leader, VAULT_NONE);
    pass(&c, VAULT_TRANSFER_MS + 250);
    assert_int_equal(c.leader, 0);
    vault_cluster_step_down(&c, 1);
    pass(&c, VAULT_TRANSFER_MS + 250);
    assert_int_equal(c.leader, 1);
}

/* With everybody else gone or sealed, the one that stepped down comes back, but only after its pause. */
static void test_step_down_without_a_successor(void **state)
{
    (void)state;
    struct vault_cluster c = healthy();
    vault_cluster_stop(&c, 1, true);
    vault_cluster_lag(&c, 0, true);
    vault_cluster_step_down(&c, VAULT_NONE);
    vault_cluster_hang(&c, 0, true);
    pass(&c, VAULT_STEP_DOWN_BAN_MS - 1000);
    assert_int_equal(c.leader, VAULT_NONE);
    pass(&c, 2000);
    assert_int_equal(c.leader, 2);
}

static void test_sealed_node_does_not_vote(void **state)
{
    (void)state;
    struct vault_cluster c = healthy();
    vault_cluster_seal(&c, 0, true);
    pass(&c, 3600000);
    assert_int_equal(c.node[0].stage, VAULT_SEALED);
    assert_int_equal(vault_cluster_present(&c), 2);
    vault_cluster_stop(&c, 1, true);
    pass(&c, VAULT_LEASE_MS + 500);
    assert_int_equal(c.leader, VAULT_NONE);
    vault_cluster_seal(&c, 0, false);
    pass(&c, VAULT_UNSEAL_MS + VAULT_ELECTION_MS + 500);
    assert_int_equal(c.leader, 2); /* the most current */
}

static void test_lag(void **state)
{
    (void)state;
    struct vault_cluster c = healthy();
    vault_cluster_lag(&c, 1, true);
    for (int i = 0; i < 900; i++)
        assert_true(vault_cluster_write(&c));
    pass(&c, 6000);
    assert_true(vault_node_healthy(&c, 1)); /* 900 behind is healthy to autopilot */
    for (int i = 0; i < 200; i++)
        assert_true(vault_cluster_write(&c));
    pass(&c, 6000);
    assert_false(vault_node_healthy(&c, 1));
    assert_int_equal(vault_cluster_tolerance(&c), 0);
    assert_true(vault_node_healthy(&c, 0));
    vault_cluster_lag(&c, 1, false);
    pass(&c, 6000);
    assert_int_equal(c.node[1].applied, c.index);
    assert_true(vault_node_healthy(&c, 1));
}

/* Who lacks committed entries is neither handed over to nor elected. */
static void test_nobody_behind_leads(void **state)
{
    (void)state;
    struct vault_cluster c = healthy();
    vault_cluster_lag(&c, 0, true);
    for (int i = 0; i < 100; i++)
        assert_true(vault_cluster_write(&c));
    pass(&c, 500);
    int64_t index = c.index;
    vault_cluster_step_down(&c, 0);
    assert_int_equal(c.leader, 2);
    vault_cluster_stop(&c, 2, true);
    vault_cluster_hang(&c, 1, true); /* only the one behind could answer */
    pass(&c, 60000);
    assert_int_equal(c.leader, VAULT_NONE);
    vault_cluster_hang(&c, 1, false);
    pass(&c, 1000);
    assert_int_equal(c.leader, 1);
    assert_true(c.index > index);
}

static void test_removed_peer_comes_back_as_non_voter(void **state)
{
    (void)state;
    struct vault_cluster c = healthy();
    vault_cluster_remove_peer(&c, 0);
    assert_int_equal(vault_cluster_voters(&c), 2);
    assert_false(vault_node_takes_part(&c, 0));
    vault_cluster_stop(&c, 0, true);
    vault_cluster_start(&c, 0, true, 0);
    while (c.node[0].stage != VAULT_RUNS)
        pass(&c, 250);
    assert_true(c.node[0].in_config);
    assert_false(c.node[0].voter);
    pass(&c, VAULT_STABILIZE_MS + VAULT_ECHO_MS + 1000);
    assert_true(c.node[0].voter);
    assert_int_equal(vault_cluster_voters(&c), 3);
}

/* Vault >= 1.19: remove-peer before a rejoin with the same id leaves the node removed, wiped or not. */
static void test_removed_checker(void **state)
{
    (void)state;
    struct vault_cluster c = healthy();
    c.removed_checker = true;
    vault_cluster_remove_peer(&c, 0);
    assert_int_equal(c.node[0].stage, VAULT_REMOVED);
    vault_cluster_stop(&c, 0, true);
    vault_cluster_start(&c, 0, true, 0);
    pass(&c, 60000);
    assert_int_equal(c.node[0].stage, VAULT_REMOVED);
    assert_int_equal(vault_cluster_voters(&c), 2);
}

/* Ids that lie on the volumes: the old peer goes, the new one begins without a vote. */
static void test_unstable_id(void **state)
{
    (void)state;
    struct vault_cluster c = healthy();
    for (int i = 0; i < VAULT_NODES; i++)
        vault_cluster_rename(&c, i, i == 0 ? "aaaa" : i == 1 ? "bbbb" : "cccc");
    vault_cluster_stop(&c, 0, true);
    vault_cluster_own_id(&c, 0, "dddd");
    vault_cluster_start(&c, 0, true, 0);
    pass(&c, VAULT_JOIN_MS - 250);
    assert_string_equal(c.node[0].id, "aaaa"); /* until it joins, the old peer is in the configuration */
    assert_int_equal(vault_cluster_voters(&c), 3);
    while (c.node[0].stage != VAULT_RUNS)
        pass(&c, 250);
    assert_string_equal(c.node[0].id, "dddd");
    assert_int_equal(vault_cluster_voters(&c), 2);
    pass(&c, VAULT_STABILIZE_MS + VAULT_ECHO_MS + 1000);
    assert_int_equal(vault_cluster_voters(&c), 3);
    assert_int_equal(vault_cluster_tolerance(&c), 1);
}

/* A volume of before, with an id that is no peer's any more: it follows, but never leads. */
static void test_kept_volume_of_another_id(void **state)
{
    (void)state;
    struct vault_cluster c = healthy();
    vault_cluster_rename(&c, 0, "new");
    vault_cluster_stop(&c, 0, true);
    vault_cluster_own_id(&c, 0, "old");
    vault_cluster_start(&c, 0, false, INDEX - 5);
    pass(&c, 10000);
    assert_int_equal(c.node[0].applied, c.index);
    vault_cluster_stop(&c, 2, true);
    pass(&c, VAULT_ELECTION_MS + 500);
    assert_int_equal(c.leader, 1);
    c.removed_checker = true;
    vault_cluster_stop(&c, 0, true);
    vault_cluster_start(&c, 0, false, INDEX);
    assert_int_equal(c.node[0].stage, VAULT_REMOVED);
}

static void test_removed_by_the_log_it_replays(void **state)
{
    (void)state;
    struct vault_cluster c = healthy();
    c.removed_checker = c.remove_next = true;
    vault_cluster_stop(&c, 0, true);
    vault_cluster_start(&c, 0, true, 0);
    pass(&c, 10000);
    assert_int_equal(c.node[0].stage, VAULT_REMOVED);
    assert_int_equal(vault_cluster_voters(&c), 3); /* the others notice nothing */
    vault_cluster_stop(&c, 0, true);
    vault_cluster_start(&c, 0, false, 0);
    pass(&c, 10000);
    assert_int_equal(c.node[0].stage, VAULT_REMOVED); /* its volume knows */
    vault_cluster_stop(&c, 0, true);
    vault_cluster_start(&c, 0, true, 0);
    pass(&c, 10000);
    assert_int_equal(c.node[0].stage, VAULT_RUNS); /* wiped once more */
}

/* Who cannot open its audit device gives up again; the one that stepped down comes back. */
static void test_broken_audit_device(void **state)
{
    (void)state;
    struct vault_cluster c = healthy();
    c.node[0].audit_broken = c.node[1].audit_broken = true;
    vault_cluster_step_down(&c, VAULT_NONE);
    pass(&c, VAULT_STEP_DOWN_BAN_MS - 1000);
    assert_int_equal(c.leader, VAULT_NONE);
    assert_true(c.term > 35);
    pass(&c, 6000);
    assert_int_equal(c.leader, 2);
    c.node[1].audit_broken = false;
    vault_cluster_step_down(&c, VAULT_NONE);
    pass(&c, 3000);
    assert_int_equal(c.leader, 1);
}

static void test_never_active(void **state)
{
    (void)state;
    struct vault_cluster c = healthy();
    c.never_active = true;
    vault_cluster_step_down(&c, VAULT_NONE);
    pass(&c, 120000);
    assert_int_equal(c.leader, VAULT_NONE);
    assert_int_not_equal(c.raft_leader, VAULT_NONE);
    assert_int_equal(c.term, 35); /* elected once, and stays */
    c.never_active = false;
    pass(&c, VAULT_ELECTION_MS + 1000);
    assert_int_not_equal(c.leader, VAULT_NONE);
}

static void test_stalled_storage(void **state)
{
    (void)state;
    struct vault_cluster c = healthy();
    c.stalled = true;
    int64_t index = c.index;
    pass(&c, 600000);
    assert_int_equal(c.index, index);
    assert_false(vault_cluster_write(&c));
    assert_true(vault_node_healthy(&c, 0));
    vault_cluster_step_down(&c, VAULT_NONE);
    assert_int_equal(c.leader, 2);
}

/* Two wiped of three: nobody who is left may lead, for good. With a volume of before it is otherwise. */
static void test_lost_for_good(void **state)
{
    (void)state;
    struct vault_cluster c = healthy();
    vault_cluster_stop(&c, 0, true);
    vault_cluster_start(&c, 0, true, 0);
    assert_false(vault_cluster_is_lost(&c));
    vault_cluster_stop(&c, 1, true);
    pass(&c, VAULT_LEASE_MS + 500);
    assert_false(vault_cluster_is_lost(&c)); /* a majority is away, not gone */
    vault_cluster_start(&c, 1, true, 0);
    pass(&c, 600000);
    assert_true(vault_cluster_is_lost(&c));
    assert_int_equal(c.leader, VAULT_NONE);
    vault_cluster_stop(&c, 1, true);
    vault_cluster_start(&c, 1, false, INDEX);
    pass(&c, VAULT_UNSEAL_MS + VAULT_ELECTION_MS + 1000);
    assert_false(vault_cluster_is_lost(&c));
    assert_int_not_equal(c.leader, VAULT_NONE);
}

static void test_time_does_not_go_back(void **state)
{
    (void)state;
    struct vault_cluster c = healthy();
    pass(&c, 1000);
    int64_t now = c.now;
    vault_cluster_tick(&c, now - 500);
    assert_int_equal(c.now, now);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_at_rest),
        cmocka_unit_test(test_dead_leader_is_replaced),
        cmocka_unit_test(test_graceful_end_hands_over_sooner),
        cmocka_unit_test(test_lost_quorum_is_lost),
        cmocka_unit_test(test_quorum_comes_back_with_its_data),
        cmocka_unit_test(test_wiped_node_rejoins_as_voter),
        cmocka_unit_test(test_empty_voter_does_not_lead),
        cmocka_unit_test(test_hung_leader_stays_leader),
        cmocka_unit_test(test_hang_that_ends),
        cmocka_unit_test(test_step_down),
        cmocka_unit_test(test_step_down_without_a_successor),
        cmocka_unit_test(test_sealed_node_does_not_vote),
        cmocka_unit_test(test_lag),
        cmocka_unit_test(test_nobody_behind_leads),
        cmocka_unit_test(test_removed_peer_comes_back_as_non_voter),
        cmocka_unit_test(test_removed_checker),
        cmocka_unit_test(test_unstable_id),
        cmocka_unit_test(test_kept_volume_of_another_id),
        cmocka_unit_test(test_removed_by_the_log_it_replays),
        cmocka_unit_test(test_broken_audit_device),
        cmocka_unit_test(test_never_active),
        cmocka_unit_test(test_stalled_storage),
        cmocka_unit_test(test_lost_for_good),
        cmocka_unit_test(test_time_does_not_go_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
