/* The write probe of a window against a node that answers as the test says: what passes, what fails, what says nothing; and the token, which
 * is renewed in time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "loop/loop.h"
#include "migrate/window_probe.h"
#include "tests/unit/vault_run_stage.h"
#include "world/world.h"

struct rig {
    struct vault_run_stage *s;
    struct world *world;
    struct window_probe *probe;
    enum window_answer answer;
    char reason[512], wrote[128];
    int writes, lookups, renewals;
    int write_status, token_status;
    int64_t ttl, creation_ttl;
    bool renewable;
};

static struct rig *rig;

static int react(struct vault_run_stage *s, const struct tiny_request *rq) {
    if (strstr(rq->path, "cubbyhole/ferryman-probe")) {
        rig->writes++;
        snprintf(rig->wrote, sizeof rig->wrote, "%s %s%s", rq->method, rq->path, tiny_request_has(rq, "X-Vault-Token: " TOKEN) ? " token" : "");
        snprintf(s->text, sizeof s->text, "{\"errors\":[\"made up\"]}");
        return rig->write_status;
    }
    if (strstr(rq->path, "lookup-self")) {
        rig->lookups++;
        snprintf(s->text, sizeof s->text, "{\"data\":{\"ttl\":%lld,\"creation_ttl\":%lld,\"renewable\":%s}}", (long long)rig->ttl, (long long)rig->creation_ttl,
                 rig->renewable ? "true" : "false");
    } else if (strstr(rq->path, "renew-self")) {
        rig->renewals++;
        snprintf(s->text, sizeof s->text, "{\"auth\":{\"lease_duration\":%lld}}", (long long)rig->creation_ttl);
    }
    return rig->token_status;
}

/* Who leads, and what state the cluster is in; other: another node that is well. */
static void put_world(struct rig *t, const char *leader, const char *state, bool other) {
    struct cell cluster[WORLD_COLS_MAX] = {{0}}, peer[WORLD_COLS_MAX] = {{0}};
    cluster[RAFT_CLUSTERS_LEADER] = cell_text(leader);
    cluster[RAFT_CLUSTERS_STATE] = cell_text(state);
    world_upsert(t->world, T_RAFT_CLUSTERS, SLICE_LIT("vault"), "", cluster);
    peer[RAFT_PEERS_WORKLOAD] = cell_text("vault");
    peer[RAFT_PEERS_NAME] = cell_text("vault-1");
    peer[RAFT_PEERS_HEALTH] = cell_text(other ? "OK" : "UNREACHABLE");
    world_upsert(t->world, T_RAFT_PEERS, SLICE_LIT("vault/vault-1"), "", peer);
}

static int setup(void **state) {
    struct rig *t = rig = MEM_NEW(struct rig);
    *t = (struct rig){.s = vault_run_stage_new(false, ""), .world = world_new(), .write_status = 204, .token_status = 200, .ttl = 3600, .creation_ttl = 3600, .renewable = true};
    world_set_now(t->world, clock_wall_ms());
    t->s->w->run->world = t->world;
    t->s->react = react;
    put_world(t, "vault-0", "OK", true);
    *state = t;
    return 0;
}

static int teardown(void **state) {
    struct rig *t = *state;
    window_probe_free(t->probe);
    vault_run_stage_free(t->s);
    world_free(t->world);
    mem_free(t);
    return 0;
}

/* Runs until the condition holds; a deadline ends what hangs. */
#define UNTIL(t, condition) \
    do { \
        int64_t end_ = clock_mono_ms() + 10000; \
        while (!(condition)) { \
            bool never = false; \
            loop_run_until((t)->s->w->loop, &never, 5); \
            if (clock_mono_ms() > end_) fail_msg("not in time: %s", #condition); \
        } \
    } while (0)

static bool taken(struct rig *t) {
    const char *reason;
    if (!window_probe_take(t->probe, &t->answer, &reason)) return false;
    str_copy(t->reason, sizeof t->reason, reason);
    return true;
}

static void probe_once(struct rig *t) {
    window_probe_free(t->probe);
    t->probe = window_probe_new(t->s->w->run, 60000);
    UNTIL(t, taken(t));
}

static void expect(struct rig *t, enum window_answer a, const char *reason) {
    probe_once(t);
    if (t->answer != a || !strstr(t->reason, reason)) fail_msg("%d \"%s\", wanted %d \"%s\"", (int)t->answer, t->reason, (int)a, reason);
}

static void test_a_write_that_is_answered_passes(void **state) {
    struct rig *t = *state;
    expect(t, WINDOW_PASS, "");
    assert_string_equal(t->reason, "");
    assert_int_equal(t->writes, 1);
    assert_false(taken(t)); /* told once */
    t->write_status = 200;
    expect(t, WINDOW_PASS, "");
}

static void test_it_is_sent_with_the_token_to_the_plan_s_path(void **state) {
    struct rig *t = *state;
    probe_once(t);
    assert_string_equal(t->wrote, "POST /v1/cubbyhole/ferryman-probe token");
}

/* What Vault refuses for the token's sake, or for the path's, says nothing about Vault: neither a pass nor a failure. */
static void test_what_says_nothing(void **state) {
    struct rig *t = *state;
    t->write_status = 403;
    expect(t, WINDOW_NO_DATA, "token: it is refused, expired, or may not write");
    t->write_status = 404;
    expect(t, WINDOW_NO_DATA, "404");
    t->write_status = 429;
    expect(t, WINDOW_NO_DATA, "429");
}

static void test_what_fails(void **state) {
    struct rig *t = *state;
    static const int statuses[] = {307, 500, 503};
    for (size_t i = 0; i < ARRAY_LEN(statuses); i++) {
        t->write_status = statuses[i];
        expect(t, WINDOW_FAIL, "");
        assert_true(t->reason[0] != '\0');
    }
}

static void test_no_token(void **state) {
    struct rig *t = *state;
    char *path = str_printf("%s/token", t->s->w->dir);
    assert_int_equal(unlink(path), 0);
    probe_once(t);
    assert_int_equal(t->answer, WINDOW_NO_DATA);
    assert_int_equal(t->writes, 0);
    mem_free(path);
}

static void test_nobody_to_write_to(void **state) {
    struct rig *t = *state;
    put_world(t, NULL, "NO LEADER", true);
    expect(t, WINDOW_FAIL, "no node is active");
    put_world(t, NULL, "UNKNOWN", true);
    expect(t, WINDOW_NO_DATA, "it is not known which node is active");
    assert_int_equal(t->writes, 0);
}

static void test_another_cluster_is_written_nothing(void **state) {
    struct rig *t = *state;
    run_set(t->s->w->run, "vault.cluster_id", "another");
    expect(t, WINDOW_FAIL, "another Vault answers there");
    assert_int_equal(t->writes, 0);
}

/* Silence is the node's own only while others are heard. */
static void test_our_own_network(void **state) {
    struct rig *t = *state;
    t->s->health = (struct tiny_answer){.fate = TINY_RESET};
    expect(t, WINDOW_FAIL, "");
    put_world(t, "vault-0", "OK", false);
    expect(t, WINDOW_NO_DATA, "our own network may be the cause");
}

static void test_token_is_renewed_when_a_third_is_left(void **state) {
    struct rig *t = *state;
    t->ttl = 1000;
    probe_once(t);
    UNTIL(t, t->renewals == 1);
}

static void test_token_with_time_is_left_alone(void **state) {
    struct rig *t = *state;
    t->ttl = 2400;
    probe_once(t);
    UNTIL(t, t->lookups == 1);
    UNTIL(t, t->writes == 1);
    assert_int_equal(t->renewals, 0);
}

static void test_token_that_cannot_be_renewed_is_told(void **state) {
    struct rig *t = *state;
    t->renewable = false;
    t->ttl = 600;
    probe_once(t);
    UNTIL(t, t->lookups == 1);
    UNTIL(t, world_count(t->world, T_TIMELINE) > 0);
    const struct row *line = world_first(t->world, T_TIMELINE);
    assert_true(slice_contains(row_text(line, TIMELINE_TEXT), "the Vault token ends in 10m00s and cannot be renewed"));
    assert_int_equal(t->renewals, 0);
}

int main(void) {
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_a_write_that_is_answered_passes), TEST(test_it_is_sent_with_the_token_to_the_plan_s_path), TEST(test_what_says_nothing), TEST(test_what_fails),
        TEST(test_no_token), TEST(test_nobody_to_write_to), TEST(test_another_cluster_is_written_nothing), TEST(test_our_own_network),
        TEST(test_token_is_renewed_when_a_third_is_left), TEST(test_token_with_time_is_left_alone), TEST(test_token_that_cannot_be_renewed_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
