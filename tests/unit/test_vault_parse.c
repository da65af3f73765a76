/* What Vault and OpenBao answer: recorded from a real OpenBao 2.6 (tests/wire/bao), Vault's shapes from its sources. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "client/vault_parse.h"

static struct buf wire_text;

static struct slice wire(const char *name)
{
    const char *top = getenv("top_srcdir");
    char *path = str_printf("%s/tests/wire/bao/%s.json", top ? top : ".", name);
    struct err *e = file_read(path, 1 << 20, &wire_text);
    if (e)
        fail_msg("%s", err_text(e));
    mem_free(path);
    return buf_slice(&wire_text);
}

static int teardown(void **state)
{
    (void)state;
    buf_free(&wire_text);
    return 0;
}

static void expect_ok(struct err *e)
{
    if (e)
        fail_msg("%s", err_text(e));
}

static void expect_protocol(struct err *e)
{
    assert_non_null(e);
    assert_int_equal(err_kind(e), ERR_PROTOCOL);
    err_free(e);
}

#define LIT(text) slice_of(text)

/* ---- Health ------------------------------------------------------------------------------------------------------ */

static void test_health_openbao(void **state)
{
    (void)state;
    struct vault_health h;
    expect_ok(vault_parse_health(wire("health-active"), &h));
    assert_true(h.initialized);
    assert_false(h.sealed);
    assert_false(h.standby);
    assert_true(h.openbao);
    assert_string_equal(h.version, "2.6.2");
    assert_true(str_starts(h.cluster_name, "vault-cluster-"));
    assert_int_equal(strlen(h.cluster_id), 36);
    assert_int_equal(h.removed, VAULT_NOT_SAID);
    assert_int_equal(h.connection_healthy, VAULT_NOT_SAID);
    assert_int_equal(h.heartbeat_ms, -1);
    expect_ok(vault_parse_health(wire("health-standby"), &h));
    assert_true(h.standby);
    expect_ok(vault_parse_health(wire("health-sealed"), &h));
    assert_true(h.sealed);
    assert_string_equal(h.cluster_id, "");
    expect_ok(vault_parse_health(wire("health-uninitialised"), &h));
    assert_false(h.initialized);
}

static void test_health_vault(void **state)
{
    (void)state;
    struct vault_health h;
    expect_ok(
        vault_parse_health(LIT("{\"initialized\":true,\"sealed\":false,\"standby\":true,\"performance_standby\":false,"
                               "\"replication_performance_mode\":\"disabled\",\"replication_dr_mode\":\"disabled\","
                               "\"server_time_utc\":1778506920,"
                               "\"version\":\"2.0.4\",\"enterprise\":false,\"cluster_name\":\"c\",\"cluster_id\":"
                               "\"a54c42b3\",\"echo_duration_ms\":3,"
                               "\"clock_skew_ms\":0,\"removed_from_cluster\":false,\"ha_connection_healthy\":false,"
                               "\"last_request_forwarding_heartbeat_ms\":24310}\n"),
                           &h));
    assert_false(h.openbao); /* 2.0 of Vault says enterprise */
    assert_int_equal(h.removed, VAULT_NO);
    assert_int_equal(h.connection_healthy, VAULT_NO);
    assert_int_equal(h.heartbeat_ms, 24310);
    assert_int_equal(h.echo_ms, 3);
    expect_ok(vault_parse_health(LIT("{\"initialized\":true,\"sealed\":true,\"standby\":true,\"version\":\"1.10.0\","
                                     "\"removed_from_cluster\":true}"),
                                 &h));
    assert_false(h.openbao);
    assert_int_equal(h.removed, VAULT_YES);
}

static void test_health_of_something_else(void **state)
{
    (void)state;
    static const char *const others[] = {
        "",
        "null",
        "[]",
        "\"initialized\"",
        "{}",
        "{\"errors\":[]}",
        "{\"errors\":[\"rate limit quota exceeded\"]}",
        "{\"initialized\":true}",
        "{\"initialized\":1,\"standby\":1}",
        "{\"initialized\":true,\"standby\":true",
        "{\"initialized\":true,\"standby\":true} x",
        "Too many requests, please try again later.\n",
        "{\"kind\":\"Status\",\"code\":429}",
    };
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        struct vault_health h = {.heartbeat_ms = 77};
        expect_protocol(vault_parse_health(LIT(others[i]), &h));
        assert_int_equal(h.heartbeat_ms, 77); /* untouched */
    }
}

static void test_foreign_text_is_cleaned_and_cut(void **state)
{
    (void)state;
    struct vault_health h;
    expect_ok(vault_parse_health(LIT("{\"initialized\":true,\"sealed\":false,\"standby\":false,"
                                     "\"version\":\"1\\u001b[31m\\u00e4\\u202e\"}"),
                                 &h));
    assert_string_equal(h.version, "1\xef\xbf\xbd[31m\xc3\xa4\xef\xbf\xbd");
    struct buf b = {0};
    buf_adds(&b, "{\"initialized\":true,\"standby\":false,\"version\":\"");
    for (int i = 0; i < 100; i++)
        buf_adds(&b, "\xe2\x82\xac");
    buf_adds(&b, "\"}");
    expect_ok(vault_parse_health(buf_slice(&b), &h));
    assert_int_equal(strlen(h.version), 63); /* 21 whole characters */
    buf_free(&b);
}

/* ---- Seal and leader --------------------------------------------------------------------------------------------- */

static void test_seal(void **state)
{
    (void)state;
    struct vault_seal s;
    expect_ok(vault_parse_seal(wire("seal-status-active"), &s));
    assert_false(s.sealed);
    assert_string_equal(s.type, "shamir");
    assert_string_equal(s.storage, "raft");
    assert_int_equal(s.threshold, 1);
    expect_ok(vault_parse_seal(wire("seal-status-sealed"), &s));
    assert_true(s.sealed);
    assert_true(s.initialized);
    expect_ok(vault_parse_seal(wire("seal-status-uninitialised"), &s));
    assert_false(s.initialized);
    expect_ok(
        vault_parse_seal(LIT("{\"type\":\"awskms\",\"initialized\":true,\"sealed\":true,\"t\":3,\"n\":5,\"progress\":2,"
                             "\"removed_from_cluster\":true,\"migration\":true}"),
                         &s));
    assert_int_equal(s.removed, VAULT_YES);
    assert_int_equal(s.progress, 2);
    assert_true(s.migration);
    expect_protocol(vault_parse_seal(LIT("{\"errors\":[\"x\"]}"), &s));
}

static void test_leader_openbao(void **state)
{
    (void)state;
    struct vault_leader l;
    expect_ok(vault_parse_leader(wire("leader-active"), &l));
    assert_true(l.is_self);
    assert_true(l.active_ms > INT64_C(1700000000000));
    assert_string_equal(l.address, "http://127.0.0.1:18200");
    assert_true(l.applied > 0);
    expect_ok(vault_parse_leader(wire("leader-standby"), &l)); /* is_self, active_time are left out */
    assert_false(l.is_self);
    assert_int_equal(l.active_ms, -1);
    assert_string_equal(l.cluster_address, "https://127.0.0.1:18201");
    expect_ok(vault_parse_leader(wire("leader-noquorum"), &l));
    assert_string_equal(l.address, "");
    assert_true(l.applied > 0);
    expect_protocol(vault_parse_leader(wire("leader-sealed"), &l));
}

static void test_leader_vault(void **state)
{
    (void)state;
    struct vault_leader l;
    expect_ok(vault_parse_leader(
        LIT("{\"ha_enabled\":true,\"is_self\":false,\"active_time\":\"0001-01-01T00:00:00Z\",\"leader_address\":"
            "\"http://10.10.122.7:8200\",\"leader_cluster_address\":\"https://vault-2.vault-internal:8201\","
            "\"performance_standby\":false,\"performance_standby_last_remote_wal\":0,"
            "\"raft_committed_index\":9007199254740995,\"raft_applied_index\":9007199254740993}"),
        &l));
    assert_int_equal(l.active_ms, -1);                   /* the zero time is normal on a standby */
    assert_true(l.applied == INT64_C(9007199254740993)); /* not through a double */
    assert_true(l.appended == INT64_C(9007199254740995));
    expect_ok(vault_parse_leader(LIT("{\"ha_enabled\":false}"), &l));
    assert_int_equal(l.applied, -1);
}

/* ---- Lists ------------------------------------------------------------------------------------------------------- */

static void test_members(void **state)
{
    (void)state;
    struct vault_members *m = MEM_NEW(struct vault_members);
    expect_ok(vault_parse_members(wire("ha-status-active"), m));
    assert_int_equal(m->count, 3); /* not twice, though it stands at the top and below data */
    assert_true(m->list[0].active);
    assert_int_equal(m->list[0].last_echo_ms, -1);
    assert_true(m->list[1].last_echo_ms > 0);
    assert_string_equal(m->list[1].api_address, "http://127.0.0.1:18210");
    expect_ok(
        vault_parse_members(LIT("{\"data\":{\"Nodes\":[{\"hostname\":\"vault-0\",\"active_node\":true},5,null]}}"), m));
    assert_int_equal(m->count, 1);
    assert_string_equal(m->list[0].hostname, "vault-0");
    expect_protocol(vault_parse_members(wire("ha-status-noquorum"), m));
    mem_free(m);
}

static void test_servers(void **state)
{
    (void)state;
    struct vault_servers *s = MEM_NEW(struct vault_servers);
    expect_ok(vault_parse_servers(wire("raft-configuration-active"), s));
    assert_int_equal(s->count, 3);
    assert_string_equal(s->list[0].id, "vault-0");
    assert_true(s->list[0].voter);
    assert_true(s->list[0].leader);
    assert_false(s->list[1].leader);
    expect_ok(
        vault_parse_servers(LIT("{\"data\":{\"config\":{\"index\":0,\"servers\":[{\"node_id\":\"vault-2\",\"address\":"
                                "\"vault-2.vault-internal:8201\",\"leader\":false,\"protocol_version\":\"\\u0003\","
                                "\"voter\":false}]}},\"warnings\":null}"),
                            s));
    assert_int_equal(s->count, 1);
    assert_false(s->list[0].voter);
    expect_protocol(vault_parse_servers(LIT("{\"data\":null,\"warnings\":[\"x\"]}"), s));
    expect_protocol(vault_parse_servers(LIT("{\"data\":{\"config\":{\"servers\":null}}}"), s));
    assert_int_equal(s->count, 1);
    mem_free(s);
}

static void test_too_many_servers(void **state)
{
    (void)state;
    struct vault_servers *s = MEM_NEW(struct vault_servers);
    struct buf b = {0};
    buf_adds(&b, "{\"data\":{\"config\":{\"servers\":[");
    for (int i = 0; i <= VAULT_SERVERS_MAX; i++)
        buf_printf(&b, "%s{\"node_id\":\"n%d\"}", i ? "," : "", i);
    buf_adds(&b, "]}}}");
    expect_protocol(vault_parse_servers(buf_slice(&b), s));
    buf_free(&b);
    mem_free(s);
}

static void test_autopilot(void **state)
{
    (void)state;
    struct vault_autopilot *a = MEM_NEW(struct vault_autopilot);
    expect_ok(vault_parse_autopilot(wire("autopilot-state-active"), a));
    assert_int_equal(a->healthy, VAULT_YES);
    assert_int_equal(a->tolerance, 1);
    assert_string_equal(a->leader, "vault-0");
    assert_int_equal(a->servers.count, 3);
    assert_true(a->servers.list[0].leader);
    assert_int_equal(a->servers.list[0].contact_ms, 0);
    assert_true(a->servers.list[1].contact_ms > 0 && a->servers.list[1].contact_ms < 6000);
    expect_ok(vault_parse_autopilot(wire("autopilot-state-one-down-15s"), a));
    assert_int_equal(a->healthy, VAULT_NO);
    assert_int_equal(a->tolerance, 0);
    assert_int_equal(a->servers.list[2].healthy, VAULT_NO);
    assert_true(a->servers.list[2].contact_ms > 15000);
    mem_free(a);
}

/* Vault up to 1.10. */
static void test_autopilot_camel_case(void **state)
{
    (void)state;
    struct vault_autopilot *a = MEM_NEW(struct vault_autopilot);
    expect_ok(vault_parse_autopilot(
        LIT("{\"data\":{\"FailureTolerance\":1,\"Healthy\":true,\"Leader\":\"raft1\",\"OptimisticFailureTolerance\":2,"
            "\"Servers\":{"
            "\"raft1\":{\"ID\":\"raft1\",\"Name\":\"raft1\",\"Address\":\"127.0.0.1:8201\",\"NodeStatus\":\"alive\","
            "\"LastContact\":\"0s\",\"LastTerm\":3,\"LastIndex\":38,\"Healthy\":true,\"Status\":\"leader\",\"Meta\":"
            "null},"
            "\"raft2\":{\"ID\":\"raft2\",\"Address\":\"127.0.0.2:8201\",\"LastContact\":516495950,\"LastIndex\":37,"
            "\"Healthy\":false,\"Status\":\"non-voter\"}}}}"),
        a));
    assert_int_equal(a->tolerance, 1);
    assert_string_equal(a->leader, "raft1");
    assert_int_equal(a->servers.list[0].last_index, 38);
    assert_string_equal(a->servers.list[0].node_status, "alive");
    assert_true(a->servers.list[0].voter);
    assert_int_equal(a->servers.list[1].contact_ms, 516);
    assert_false(a->servers.list[1].voter);
    assert_int_equal(a->servers.list[1].healthy, VAULT_NO);
    mem_free(a);
}

static void test_autopilot_config(void **state)
{
    (void)state;
    struct vault_autopilot_config c;
    expect_ok(vault_parse_autopilot_config(wire("autopilot-configuration-active"), &c));
    assert_int_equal(c.cleanup, VAULT_NO);
    assert_int_equal(c.dead_ms, 24 * 3600 * 1000);
    assert_int_equal(c.last_contact_ms, 10000);
    assert_int_equal(c.max_trailing_logs, 1000);
    expect_protocol(vault_parse_autopilot_config(LIT("{\"data\":{}}"), &c));
}

static void test_token(void **state)
{
    (void)state;
    struct vault_token t;
    expect_ok(vault_parse_token(wire("lookup-self-active"), &t));
    assert_string_equal(t.display_name, "root");
    assert_string_equal(t.policies, "root");
    assert_int_equal(t.expires_ms, -1);
    assert_string_equal(t.type, "service");
    expect_ok(vault_parse_token(
        LIT("{\"data\":{\"display_name\":\"kubernetes-ops-console\",\"policies\":[\"console\",\"default\"],"
            "\"identity_policies\":[\"extra\"],\"expire_time\":\"2026-04-25T16:18:03.123456789Z\","
            "\"ttl\":3600,\"type\":\"batch\",\"path\":\"auth/kubernetes/login\",\"renewable\":true}}"),
        &t));
    assert_string_equal(t.policies, "console, default, extra");
    assert_true(t.expires_ms == INT64_C(1777133883123));
    assert_true(t.renewable);
    expect_protocol(vault_parse_token(wire("lookup-self-active-badtoken"), &t));
}

/* ---- Errors and small things ------------------------------------------------------------------------------------- */

static void test_errors(void **state)
{
    (void)state;
    struct buf b = {0};
    assert_true(
        vault_parse_errors(LIT("{\"errors\":[\"1 error occurred:\\n\\t* permission denied\\n\\n\",\"other\"]}"), &b));
    assert_string_equal(buf_str(&b), "permission denied; other");
    buf_clear(&b);
    assert_true(vault_parse_errors(
        LIT("{\"errors\":[\"2 errors occurred:\\n\\t* permission denied\\n\\t* invalid token\\n\\n\"]}"), &b));
    assert_string_equal(buf_str(&b), "permission denied; invalid token");
    buf_clear(&b);
    assert_true(vault_parse_errors(LIT("{\"errors\":[]}"), &b));
    assert_string_equal(buf_str(&b), "");
    assert_true(vault_parse_errors(wire("ha-status-noquorum"), &b));
    assert_string_equal(buf_str(&b), "local node not active but active cluster node not found");
    buf_clear(&b);
    assert_false(vault_parse_errors(LIT("<html>502</html>"), &b));
    assert_false(vault_parse_errors(LIT("{\"kind\":\"Status\"}"), &b));
    assert_false(vault_parse_errors(LIT("{\"errors\":[\"x\""), &b));
    assert_int_equal(b.len, 0);
    buf_free(&b);
}

static void test_whose_body(void **state)
{
    (void)state;
    assert_true(vault_body_is_own(wire("health-standby")));
    assert_true(vault_body_is_own(LIT("{\"errors\":[]}\n")));
    assert_false(vault_body_is_own(wire("podproxy-health-down")));
    assert_false(vault_body_is_own(wire("podproxy-alice-403")));
    assert_false(vault_body_is_own(wire("podproxy-no-such-pod")));
    assert_false(vault_body_is_own(LIT("Too many requests, please try again later.\n")));
    assert_false(vault_body_is_own(LIT("")));
}

static void test_durations(void **state)
{
    (void)state;
    assert_int_equal(vault_duration_ms(LIT("0s")), 0);
    assert_int_equal(vault_duration_ms(LIT("516.49595ms")), 516);
    assert_int_equal(vault_duration_ms(LIT("3.969159375s")), 3969);
    assert_int_equal(vault_duration_ms(LIT("1m2.5s")), 62500);
    assert_int_equal(vault_duration_ms(LIT("24h0m0s")), 86400000);
    assert_int_equal(vault_duration_ms(LIT("10000000000")), 10000);
    assert_int_equal(vault_duration_ms(LIT("")), -1);
    assert_int_equal(vault_duration_ms(LIT("soon")), -1);
    assert_int_equal(vault_duration_ms(LIT("-5s")), -1);
    assert_int_equal(vault_duration_ms((struct slice){NULL, 0}), -1);
}

static void test_hosts(void **state)
{
    (void)state;
    assert_true(slice_is(vault_address_host(LIT("https://vault-2.vault-internal:8201")), "vault-2.vault-internal"));
    assert_true(slice_is(vault_address_host(LIT("10.0.0.1:8201")), "10.0.0.1"));
    assert_true(slice_is(vault_address_host(LIT("http://[fd00::1]:8200/x")), "fd00::1"));
    assert_true(slice_is(vault_address_host(LIT("vault-0")), "vault-0"));
    assert_null(vault_address_host(LIT("")).p);
    assert_null(vault_address_host(LIT("http://")).p);
    assert_null(vault_address_host((struct slice){NULL, 0}).p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_health_openbao),
        cmocka_unit_test(test_health_vault),
        cmocka_unit_test(test_health_of_something_else),
        cmocka_unit_test(test_foreign_text_is_cleaned_and_cut),
        cmocka_unit_test(test_seal),
        cmocka_unit_test(test_leader_openbao),
        cmocka_unit_test(test_leader_vault),
        cmocka_unit_test(test_members),
        cmocka_unit_test(test_servers),
        cmocka_unit_test(test_too_many_servers),
        cmocka_unit_test(test_autopilot),
        cmocka_unit_test(test_autopilot_camel_case),
        cmocka_unit_test(test_autopilot_config),
        cmocka_unit_test(test_token),
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_whose_body),
        cmocka_unit_test(test_durations),
        cmocka_unit_test(test_hosts),
    };
    return cmocka_run_group_tests(tests, NULL, teardown);
}
