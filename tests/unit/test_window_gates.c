/* What the gates of a window make of the world: well, seen not to be, not known; and that the last is never one of the others. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/mem.h"
#include "migrate/raft.h"
#include "migrate/window_gates.h"
#include "world/world.h"

#define S INT64_C(1000)
#define HOUR (3600 * S)

static const char plan_text[] =
    "plan: test\ncontext: home\ncluster: 5f0c\nsource: { storageClasses: [nfs] }\ntarget: { storageClass: lvm, encrypted: required }\nworkloads:\n"
    "  - name: vault\n    kind: raft-rolling\n    namespace: vault\n    statefulset: vault\n"
    "    vault: { via: kube-proxy }\n    snapshot: { encrypt: { none: true, reason: test } }\n"
    "    http: [{ url: \"https://vault.example/\", expect: 200 }]\n    retain: 7d\n";

struct rig {
    struct world *world;
    struct plan *plan;
    struct run *run;
    struct window_memory memory;
    struct window_look look;
    int64_t now;
};

struct set {
    int col;
    const char *text;
    int64_t number;
};

static void put(struct rig *t, enum world_table table, const char *key, const char *src, const struct set *sets) {
    struct cell cells[WORLD_COLS_MAX] = {{0}};
    for (; sets->col >= 0; sets++) cells[sets->col] = sets->text ? cell_text(sets->text) : cell_int(sets->number);
    world_upsert(t->world, table, slice_of(key), src, cells);
}

#define PUT(t, table, key, src, ...) put(t, table, key, src, (const struct set[]){__VA_ARGS__, {-1, NULL, 0}})

static void patch(struct rig *t, enum world_table table, const char *key, int col, struct cell c) {
    assert_true(world_patch(t->world, table, slice_of(key), &col, &c, 1));
}

static void source(struct rig *t, const char *key, const char *server, const char *state) {
    PUT(t, T_SOURCES, key, NULL, {SOURCES_SERVER, server, 0}, {SOURCES_KIND, "x", 0}, {SOURCES_STATE, state, 0}, {SOURCES_LAST_OK, NULL, t->now - S},
        {SOURCES_STALE_AFTER, NULL, 15 * S});
}

static void peer(struct rig *t, int n, const char *role) {
    char key[64], name[48], src[64];
    snprintf(key, sizeof key, "vault/vault-%d", n);
    snprintf(name, sizeof name, "vault-%d", n);
    snprintf(src, sizeof src, "vault/vault-%d", n);
    source(t, src, "vault", "POLLED");
    PUT(t, T_RAFT_PEERS, key, src, {RAFT_PEERS_WORKLOAD, "vault", 0}, {RAFT_PEERS_NAME, name, 0}, {RAFT_PEERS_HEALTH, "OK", 0}, {RAFT_PEERS_SEAL, "UNSEALED", 0},
        {RAFT_PEERS_ROLE, role, 0}, {RAFT_PEERS_APPLIED, NULL, 1000}, {RAFT_PEERS_LAG, NULL, 0}, {RAFT_PEERS_AUTOPILOT, "OK", 0});
}

static void alert(struct rig *t, const char *name, const char *state, const char *labels, int64_t started) {
    PUT(t, T_ALERTS, name, "alerts/x", {ALERTS_NAME, name, 0}, {ALERTS_STATE, state, 0}, {ALERTS_LABELS, labels, 0}, {ALERTS_STARTED, NULL, started},
        {ALERTS_UPDATED, NULL, t->now - 60 * S}, {ALERTS_ENDS, NULL, t->now + 240 * S});
}

/* Three voters, vault-2 leads, the watchdog is alive, HTTP answers. */
static int setup(void **state) {
    struct rig *t = MEM_NEW(struct rig);
    *t = (struct rig){.world = world_new(), .memory = WINDOW_MEMORY_NEW, .now = clock_wall_ms()};
    struct err *e = plan_parse(plan_text, strlen(plan_text), "/tmp/plan.yaml", &t->plan);
    if (e) fail_msg("%s", err_text(e));
    world_set_now(t->world, t->now);
    t->run = run_new(&(struct run){.world = t->world, .plan = t->plan, .workload = &t->plan->workloads[0], .id = "0123456789abcdef"});
    run_set(t->run, "replicas", "3");
    for (int n = 0; n < 3; n++) peer(t, n, n == 2 ? "LEADER" : "VOTER");
    PUT(t, T_RAFT_CLUSTERS, "vault", "vault/vault-2", {RAFT_CLUSTERS_STATE, "OK", 0}, {RAFT_CLUSTERS_LEADER, "vault-2", 0}, {RAFT_CLUSTERS_VOTERS, NULL, 3},
        {RAFT_CLUSTERS_TOLERANCE, NULL, 1}, {RAFT_CLUSTERS_HEALTHY, NULL, 1}, {RAFT_CLUSTERS_INDEX, NULL, 1000});
    source(t, "alerts/x", "alerts", "POLLED");
    alert(t, "Watchdog", "WATCHDOG", "severity=none", t->now - 99 * HOUR);
    source(t, "http/x", "http", "POLLED");
    PUT(t, T_PROBES, "https://vault.example/", "http/x", {PROBES_WORKLOAD, "vault", 0}, {PROBES_NAME, "https://vault.example/", 0}, {PROBES_STATE, "OK", 0});
    *state = t;
    return 0;
}

static int teardown(void **state) {
    struct rig *t = *state;
    window_look_clear(&t->look);
    run_free(t->run);
    plan_free(t->plan);
    world_free(t->world);
    mem_free(t);
    return 0;
}

static void look(struct rig *t) {
    window_look_clear(&t->look);
    window_look(t->run, t->now - HOUR, &t->memory, &t->look);
}

static const char *const words[] = {[WINDOW_PASS] = "PASS", [WINDOW_LATE] = "LATE", [WINDOW_FAIL] = "FAIL", [WINDOW_NO_DATA] = "NO DATA", [WINDOW_NOT_ASKED] = "NOT ASKED"};

static void expect(struct rig *t, enum window_gate g, enum window_answer a, const char *reason) {
    look(t);
    const char *said = buf_str(&t->look.reasons[g]);
    if (t->look.answers[g] != a || !strstr(said, reason)) fail_msg("%s: %s \"%s\", wanted %s \"%s\"", window_gate_names[g], words[t->look.answers[g]], said, words[a], reason);
    if (a == WINDOW_PASS) assert_string_equal(said, "");
}

#define TEXT(table, key, col, text) patch(t, table, key, col, cell_text(text))
#define NUMBER(table, key, col, n) patch(t, table, key, col, cell_int(n))

static void test_all_is_well(void **state) {
    struct rig *t = *state;
    for (enum window_gate g = WINDOW_VOTERS; g < WINDOW_GATES; g++)
        if (g != WINDOW_WRITE) expect(t, g, WINDOW_PASS, "");
    assert_int_equal(t->look.answers[WINDOW_WRITE], WINDOW_NOT_ASKED);
    assert_string_equal(t->look.leader, "vault-2");
}

static void test_voters(void **state) {
    struct rig *t = *state;
    TEXT(T_RAFT_PEERS, "vault/vault-1", RAFT_PEERS_HEALTH, "SILENT");
    expect(t, WINDOW_VOTERS, WINDOW_FAIL, "2 of 3 voters: vault-1 is SILENT");
    TEXT(T_RAFT_PEERS, "vault/vault-1", RAFT_PEERS_HEALTH, "UNKNOWN");
    expect(t, WINDOW_VOTERS, WINDOW_NO_DATA, "the health of vault-1 is not known");
    TEXT(T_RAFT_PEERS, "vault/vault-1", RAFT_PEERS_HEALTH, "OK");
    TEXT(T_RAFT_PEERS, "vault/vault-1", RAFT_PEERS_ROLE, "NON-VOTER");
    expect(t, WINDOW_VOTERS, WINDOW_FAIL, "vault-1 is NON-VOTER");
    TEXT(T_RAFT_PEERS, "vault/vault-1", RAFT_PEERS_ROLE, "STANDBY");
    expect(t, WINDOW_VOTERS, WINDOW_NO_DATA, "whether vault-1 votes is not known");
    TEXT(T_RAFT_PEERS, "vault/vault-1", RAFT_PEERS_ROLE, "VOTER");
    TEXT(T_RAFT_PEERS, "vault/vault-1", RAFT_PEERS_AUTOPILOT, "UNHEALTHY");
    expect(t, WINDOW_VOTERS, WINDOW_FAIL, "autopilot calls vault-1 unhealthy");
    TEXT(T_RAFT_PEERS, "vault/vault-1", RAFT_PEERS_AUTOPILOT, "OK");
    NUMBER(T_RAFT_CLUSTERS, "vault", RAFT_CLUSTERS_VOTERS, 4);
    expect(t, WINDOW_VOTERS, WINDOW_FAIL, "the raft configuration has 4 voters, not 3");
    patch(t, T_RAFT_CLUSTERS, "vault", RAFT_CLUSTERS_VOTERS, CELL_NONE);
    expect(t, WINDOW_VOTERS, WINDOW_NO_DATA, "the raft configuration is not known");
    NUMBER(T_RAFT_CLUSTERS, "vault", RAFT_CLUSTERS_VOTERS, 3);
    world_remove(t->world, T_RAFT_PEERS, SLICE_LIT("vault/vault-0"));
    expect(t, WINDOW_VOTERS, WINDOW_NO_DATA, "nothing is known of vault-0");
}

static void test_seal(void **state) {
    struct rig *t = *state;
    TEXT(T_RAFT_PEERS, "vault/vault-0", RAFT_PEERS_SEAL, "SEALED");
    expect(t, WINDOW_UNSEALED, WINDOW_FAIL, "vault-0 is sealed");
    TEXT(T_RAFT_PEERS, "vault/vault-0", RAFT_PEERS_SEAL, "UNKNOWN");
    expect(t, WINDOW_UNSEALED, WINDOW_NO_DATA, "whether vault-0 is sealed is not known");
}

/* A few entries behind is what followers are; one that has not reached what the leader had 10 s ago stands. */
static void test_caught_up(void **state) {
    struct rig *t = *state;
    look(t);
    NUMBER(T_RAFT_PEERS, "vault/vault-0", RAFT_PEERS_LAG, 7);
    expect(t, WINDOW_CAUGHT_UP, WINDOW_PASS, "");
    NUMBER(T_RAFT_PEERS, "vault/vault-0", RAFT_PEERS_LAG, 4000);
    expect(t, WINDOW_CAUGHT_UP, WINDOW_LATE, "vault-0 is 4000 entries behind");
    NUMBER(T_RAFT_PEERS, "vault/vault-0", RAFT_PEERS_LAG, 1);
    t->memory.older = 1001;
    expect(t, WINDOW_CAUGHT_UP, WINDOW_FAIL, "vault-0 stands at 1000, the leader was at 1001 before");
    for (int n = 0; n < 3; n++) {
        char key[32];
        snprintf(key, sizeof key, "vault/vault-%d", n);
        NUMBER(T_RAFT_PEERS, key, RAFT_PEERS_APPLIED, 1001);
    }
    expect(t, WINDOW_CAUGHT_UP, WINDOW_PASS, "");
    patch(t, T_RAFT_PEERS, "vault/vault-0", RAFT_PEERS_APPLIED, CELL_NONE);
    expect(t, WINDOW_CAUGHT_UP, WINDOW_NO_DATA, "how far vault-0 is");
}

static void nobody_leads(struct rig *t, const char *state, const char *verdict) {
    patch(t, T_RAFT_CLUSTERS, "vault", RAFT_CLUSTERS_LEADER, CELL_NONE);
    TEXT(T_RAFT_CLUSTERS, "vault", RAFT_CLUSTERS_STATE, state);
    TEXT(T_RAFT_CLUSTERS, "vault", RAFT_CLUSTERS_VERDICT, verdict);
}

/* While a leader changes the leader's gate fails, and the others do not for its sake. */
static void test_leader(void **state) {
    struct rig *t = *state;
    nobody_leads(t, "DEGRADED", "no node is active since 10:48:12Z (5s)");
    TEXT(T_RAFT_PEERS, "vault/vault-0", RAFT_PEERS_HEALTH, "UNHEALTHY");
    TEXT(T_RAFT_PEERS, "vault/vault-1", RAFT_PEERS_HEALTH, "UNHEALTHY");
    TEXT(T_RAFT_PEERS, "vault/vault-2", RAFT_PEERS_ROLE, "VOTER");
    expect(t, WINDOW_LEADER, WINDOW_FAIL, "no node is active since");
    expect(t, WINDOW_VOTERS, WINDOW_NO_DATA, "vault-0 has no active node to follow");
    expect(t, WINDOW_CAUGHT_UP, WINDOW_NO_DATA, "no node is active");
    assert_string_equal(t->look.leader, "");
    nobody_leads(t, "UNKNOWN", "vault-2 could not be asked");
    expect(t, WINDOW_LEADER, WINDOW_NO_DATA, "vault-2 could not be asked");
}

static void test_stuck_leader_that_answers(void **state) {
    struct rig *t = *state;
    TEXT(T_RAFT_CLUSTERS, "vault", RAFT_CLUSTERS_STATE, "STUCK");
    TEXT(T_RAFT_CLUSTERS, "vault", RAFT_CLUSTERS_VERDICT, "LEADER STUCK since 10:48:12Z");
    expect(t, WINDOW_LEADER, WINDOW_FAIL, "LEADER STUCK since");
}

/* When nobody answers, it may be we who hear nothing: no failure. */
static void test_our_own_network(void **state) {
    struct rig *t = *state;
    for (int n = 0; n < 3; n++) {
        char key[32];
        snprintf(key, sizeof key, "vault/vault-%d", n);
        TEXT(T_RAFT_PEERS, key, RAFT_PEERS_HEALTH, "UNREACHABLE");
    }
    for (enum window_gate g = WINDOW_VOTERS; g <= WINDOW_LEADER; g++) expect(t, g, WINDOW_NO_DATA, "our own network may be the cause");
}

/* Each source of what a gate rests on, in each state that is no ground for an answer. */
static void test_old_facts_are_no_data(void **state) {
    struct rig *t = *state;
    static const struct {
        const char *source, *server;
        enum window_gate gate;
    } cases[] = {{"vault/vault-2", "vault", WINDOW_LEADER}, {"vault/vault-1", "vault", WINDOW_VOTERS}, {"vault/vault-0", "vault", WINDOW_UNSEALED},
                 {"vault/vault-1", "vault", WINDOW_CAUGHT_UP}, {"alerts/x", "alerts", WINDOW_ALERTS}, {"http/x", "http", WINDOW_HTTP}};
    static const char *const states[] = {"DOWN", "DENIED", "STARTING"};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        for (size_t k = 0; k < ARRAY_LEN(states); k++) {
            source(t, cases[i].source, cases[i].server, states[k]);
            expect(t, cases[i].gate, WINDOW_NO_DATA, states[k]);
        }
        source(t, cases[i].source, cases[i].server, "POLLED");
        patch(t, T_SOURCES, cases[i].source, SOURCES_LAST_OK, cell_int(t->now - 60 * S));
        expect(t, cases[i].gate, WINDOW_NO_DATA, "STALE");
        source(t, cases[i].source, cases[i].server, "POLLED");
        expect(t, cases[i].gate, WINDOW_PASS, "");
    }
}

static void test_what_is_not_in_the_plan(void **state) {
    struct rig *t = *state;
    source(t, "alerts/x", "alerts", "OFF");
    expect(t, WINDOW_ALERTS, WINDOW_NOT_ASKED, "not in the plan");
    assert_int_equal(raft_spec(t->run)->http.n, 1);
    struct plan_raft *p = t->plan->workloads[0].spec;
    size_t n = p->http.n;
    p->http.n = 0;
    expect(t, WINDOW_HTTP, WINDOW_NOT_ASKED, "the plan names no HTTP probe of this workload");
    p->http.n = n;
}

static void test_overrides(void **state) {
    struct rig *t = *state;
    alert(t, "VaultSealed", "FIRING", "namespace=vault", t->now - 60 * S);
    expect(t, WINDOW_ALERTS, WINDOW_FAIL, "1 firing: VaultSealed");
    run_set(t->run, "override.alerts", "it is a test alert");
    expect(t, WINDOW_ALERTS, WINDOW_NOT_ASKED, "overridden: it is a test alert");
    run_set(t->run, "override.voters", "please"); /* quorum never is (safety 35) */
    TEXT(T_RAFT_PEERS, "vault/vault-1", RAFT_PEERS_HEALTH, "SILENT");
    expect(t, WINDOW_VOTERS, WINDOW_FAIL, "vault-1 is SILENT");
}

/* By label: of the workload's namespace, or of none, or new. */
static void test_alerts_in_scope(void **state) {
    struct rig *t = *state;
    alert(t, "KubeJobFailed", "FIRING", "job=subtitles, namespace=media", t->now - 31 * HOUR);
    expect(t, WINDOW_ALERTS, WINDOW_PASS, "");
    alert(t, "NewElsewhere", "FIRING", "namespace=media", t->now - 60 * S);
    expect(t, WINDOW_ALERTS, WINDOW_FAIL, "1 firing: NewElsewhere");
    world_remove(t->world, T_ALERTS, SLICE_LIT("NewElsewhere"));
    alert(t, "NodeDown", "FIRING", "node=k8s-1", t->now - 31 * HOUR);
    expect(t, WINDOW_ALERTS, WINDOW_FAIL, "1 firing: NodeDown");
    world_remove(t->world, T_ALERTS, SLICE_LIT("NodeDown"));
    alert(t, "OldOfOurs", "FIRING", "namespace=vault", t->now - 31 * HOUR);
    expect(t, WINDOW_ALERTS, WINDOW_FAIL, "1 firing: OldOfOurs");
    world_remove(t->world, T_ALERTS, SLICE_LIT("OldOfOurs"));
    world_remove(t->world, T_ALERTS, SLICE_LIT("Watchdog"));
    expect(t, WINDOW_ALERTS, WINDOW_NO_DATA, "alerting is not proved alive");
}

static void test_http_of_others_is_not_ours(void **state) {
    struct rig *t = *state;
    PUT(t, T_PROBES, "https://immich.example/", "http/x", {PROBES_WORKLOAD, "immich", 0}, {PROBES_NAME, "https://immich.example/", 0}, {PROBES_STATE, "FAIL", 0});
    expect(t, WINDOW_HTTP, WINDOW_PASS, "");
    TEXT(T_PROBES, "https://vault.example/", PROBES_STATE, "FAIL");
    TEXT(T_PROBES, "https://vault.example/", PROBES_ERROR, "HTTP 502");
    expect(t, WINDOW_HTTP, WINDOW_FAIL, "https://vault.example/: HTTP 502");
    world_remove(t->world, T_PROBES, SLICE_LIT("https://vault.example/"));
    expect(t, WINDOW_HTTP, WINDOW_NO_DATA, "no probe has been made yet");
}

int main(void) {
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_all_is_well), TEST(test_voters), TEST(test_seal), TEST(test_caught_up), TEST(test_leader), TEST(test_stuck_leader_that_answers),
        TEST(test_our_own_network), TEST(test_old_facts_are_no_data), TEST(test_what_is_not_in_the_plan), TEST(test_overrides), TEST(test_alerts_in_scope),
        TEST(test_http_of_others_is_not_ours),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
