/* The judgement over raft nodes: every class, and every signal that must keep the alarm quiet. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/str.h"
#include "source/raft_verdict.h"

#define S(seconds) (INT64_C(1000) * (seconds))

/* 2026-04-22T10:48:12Z */
static const int64_t start = INT64_C(1776854892000);

struct scene {
    struct raft_node nodes[3];
    struct raft_memory memory;
    int64_t now, change_until;
    struct raft_probe probe;
    struct raft_verdict v;
};

/* Three voters, vault-2 leads, everybody says so. */
static struct scene healthy(void)
{
    static const char *const names[] = {"vault-0", "vault-1", "vault-2"};
    struct scene s = {.memory = RAFT_MEMORY_NEW, .now = start};
    for (int i = 0; i < 3; i++)
        s.nodes[i] = (struct raft_node){.name = names[i],
                                        .reach = RAFT_ANSWERS,
                                        .missing_since = -1,
                                        .hits = 10,
                                        .latency_ms = 4,
                                        .initialized = true,
                                        .is_self = i == 2,
                                        .active_ms = i == 2 ? start - S(3600) : -1,
                                        .names = "vault-2",
                                        .applied = 2477632,
                                        .pod_age_ms = S(86400),
                                        .on_nfs = true};
    return s;
}

static const char *judge_at(struct scene *s, int64_t seconds)
{
    buf_free(&s->v.text);
    s->now = start + S(seconds);
    raft_judge(&(struct raft_view){.now = s->now, .nodes = s->nodes, .count = 3, .probe = s->probe, .change_until = s->change_until}, &s->memory,
               &s->v);
    return buf_str(&s->v.text);
}

static void expect(struct scene *s, int64_t seconds, const char *state, const char *part)
{
    const char *text = judge_at(s, seconds);
    if (!str_eq(s->v.state, state) || (part && !strstr(text, part)))
        fail_msg("at %llds: %s \"%s\", wanted %s \"%s\"", (long long)seconds, s->v.state, text, state,
                 part ? part : "");
}

static void done(struct scene *s)
{
    buf_free(&s->v.text);
}

/* The node no longer answers, since `seconds` after the start, seen by so many polls. */
static void lose(struct raft_node *n, enum raft_reach reach, int64_t seconds, unsigned misses)
{
    n->reach = reach;
    n->missing_since = start + S(seconds);
    n->misses = misses;
    n->hits = 0;
    n->is_self = false;
    n->names = NULL;
    n->applied = -1;
    n->initialized = false;
    n->latency_ms = -1;
}

static void recover(struct raft_node *n, const char *names, unsigned hits)
{
    n->reach = RAFT_ANSWERS;
    n->missing_since = -1;
    n->misses = 0;
    n->hits = hits;
    n->names = names;
    n->is_self = str_eq(names, n->name);
    n->applied = 2477700;
    n->initialized = true;
    n->latency_ms = 5;
}

/* ---- Well and less than well ------------------------------------------------------------------------------------- */

static void test_ok(void **state)
{
    (void)state;
    struct scene s = healthy();
    expect(&s, 0, "OK", NULL);
    assert_int_equal(s.v.leader, 2);
    assert_int_equal(s.v.text.len, 0);
    done(&s);
}

static void test_degraded(void **state)
{
    (void)state;
    struct scene s = healthy();
    s.nodes[0].sealed = true;
    expect(&s, 0, "DEGRADED", "vault-0 is sealed");
    s.nodes[0].sealed = false;
    s.nodes[0].initialized = false;
    expect(&s, 0, "DEGRADED", "vault-0 is not initialised");
    s.nodes[0].initialized = true;
    s.nodes[0].removed = true;
    expect(&s, 0, "DEGRADED", "its disk must be wiped");
    s.nodes[0].removed = false;
    s.nodes[0].heartbeat_lost = true;
    expect(&s, 0, "DEGRADED", "vault-0 has lost its connection");
    s.nodes[0].heartbeat_lost = false;
    s.nodes[0].sick = true;
    s.nodes[0].lag = 1080;
    expect(&s, 0, "DEGRADED", "vault-0 is unhealthy by autopilot's word, 1,080 entries behind");
    s.nodes[0].lag = 0;
    s.nodes[0].sick = false;
    lose(&s.nodes[0], RAFT_UNREACHABLE, 0, 3);
    lose(&s.nodes[1], RAFT_SILENT, 0, 3);
    expect(&s, 63, "DEGRADED", "vault-0 is unreachable since 10:48:12Z (1m 03s); vault-1 accepts TCP, answers nothing");
    assert_int_equal(s.v.leader, 2);
    done(&s);
}

static void test_follower_without_pod_or_young(void **state)
{
    (void)state;
    struct scene s = healthy();
    lose(&s.nodes[0], RAFT_UNREACHABLE, 0, 3);
    s.nodes[0].no_pod = true;
    expect(&s, 10, "DEGRADED", "vault-0 has no pod");
    s.nodes[0].no_pod = false;
    s.nodes[0].pod_age_ms = S(5);
    expect(&s, 10, "DEGRADED", "vault-0 is starting");
    s.nodes[0].pod_age_ms = S(100);
    s.nodes[0].deleting = true;
    expect(&s, 10, "DEGRADED", "vault-0 is being deleted");
    done(&s);
}

static void test_two_say_they_are_active(void **state)
{
    (void)state;
    struct scene s = healthy();
    s.nodes[0].is_self = true;
    s.nodes[0].names = "vault-0";
    s.nodes[0].active_ms = start - S(5);
    expect(&s, 0, "DEGRADED", "vault-0 and vault-2 both say they are active");
    assert_int_equal(s.v.leader, 0); /* the one that became so last */
    done(&s);
}

/* ---- A: stuck ---------------------------------------------------------------------------------------------------- */

static void test_stuck(void **state)
{
    (void)state;
    struct scene s = healthy();
    expect(&s, -10, "OK", NULL);
    lose(&s.nodes[2], RAFT_SILENT, 0, 1);
    expect(&s, 5, "DEGRADED", "vault-2 is still named as the leader");
    s.nodes[2].misses = 9;
    expect(&s, 44, "DEGRADED", NULL);
    expect(&s, 45, "STUCK", "LEADER STUCK since 10:48:12Z (45s)");
    s.nodes[2].misses = 80;
    assert_string_equal(judge_at(&s, 423),
                        "LEADER STUCK since 10:48:12Z (7m 03s): vault-2 accepts TCP, answers nothing; vault-0 and "
                        "vault-1 still name it; index frozen at 2,477,632. Suggested: graceful delete of pod "
                        "vault-2. Not: --force (it mounts NFS)");
    assert_string_equal(s.v.state, "STUCK");
    assert_int_equal(s.v.leader, -1);
    done(&s);
}

static void test_stuck_through_the_proxy(void **state)
{
    (void)state;
    struct scene s = healthy();
    lose(&s.nodes[2], RAFT_NO_ANSWER, 0, 20);
    s.nodes[2].on_nfs = false;
    s.nodes[1].heartbeat_lost = true;
    expect(&s, 60, "STUCK", "vault-2 answers nothing (TCP unknown through the API server)");
    assert_non_null(strstr(buf_str(&s.v.text), "vault-1 has lost the connection to it"));
    assert_true(str_ends(buf_str(&s.v.text), "Not: --force"));
    done(&s);
}

static void test_stuck_with_one_standby_that_answers(void **state)
{
    (void)state;
    struct scene s = healthy();
    lose(&s.nodes[2], RAFT_SILENT, 0, 20);
    s.nodes[0].names = "";
    expect(&s, 60, "STUCK", "vault-1 still names it");
    done(&s);
}

static void test_index_that_still_moves_is_told(void **state)
{
    (void)state;
    struct scene s = healthy();
    expect(&s, -10, "OK", NULL);
    lose(&s.nodes[2], RAFT_SILENT, 0, 20);
    s.nodes[0].applied += 3;
    expect(&s, 50, "STUCK", "index still moved after that, now 2,477,635");
    done(&s);
}

/* ---- What keeps it quiet ----------------------------------------------------------------------------------------- */

static void test_not_stuck_before_three_misses(void **state)
{
    (void)state;
    struct scene s = healthy();
    lose(&s.nodes[2], RAFT_SILENT, 0, 2);
    expect(&s, 60, "DEGRADED", NULL);
    done(&s);
}

static void test_not_stuck_while_young_or_deleted(void **state)
{
    (void)state;
    struct scene s = healthy();
    lose(&s.nodes[2], RAFT_SILENT, 0, 20);
    s.nodes[2].pod_age_ms = S(59);
    expect(&s, 60, "DEGRADED", "vault-2 is starting");
    s.nodes[2].pod_age_ms = -1; /* not known: direct, without Kubernetes */
    expect(&s, 60, "STUCK", NULL);
    s.memory.stuck_on[0] = '\0';
    s.nodes[2].pod_age_ms = S(61);
    s.nodes[2].deleting = true;
    expect(&s, 60, "DEGRADED", NULL);
    done(&s);
}

static void test_not_stuck_when_others_are_slow(void **state)
{
    (void)state;
    struct scene s = healthy();
    lose(&s.nodes[2], RAFT_SILENT, 0, 20);
    s.nodes[0].latency_ms = s.nodes[1].latency_ms = 1500;
    expect(&s, 60, "DEGRADED", NULL); /* it may be our own network */
    s.nodes[1].latency_ms = 300;
    expect(&s, 60, "STUCK", NULL);
    done(&s);
}

static void test_not_stuck_when_nobody_names_it(void **state)
{
    (void)state;
    struct scene s = healthy();
    lose(&s.nodes[2], RAFT_SILENT, 0, 20);
    s.nodes[0].names = s.nodes[1].names = "";
    expect(&s, 50, "DEGRADED", "no node is active");
    s.nodes[0].names = "vault-2";
    s.nodes[1].names = "vault-0"; /* they disagree: an election */
    expect(&s, 60, "DEGRADED", "no node is active");
    done(&s);
}

static void test_not_stuck_when_unreachable(void **state)
{
    (void)state;
    struct scene s = healthy();
    lose(&s.nodes[2], RAFT_UNREACHABLE, 0, 20);
    expect(&s, 0, "DEGRADED", "no node is active");
    expect(&s, 60, "DEGRADED", "vault-2 is unreachable");
    expect(&s, 91, "NO LEADER", "vault-0 and vault-1 still name vault-2");
    done(&s);
}

static void test_another_leader_clears(void **state)
{
    (void)state;
    struct scene s = healthy();
    lose(&s.nodes[2], RAFT_SILENT, 0, 20);
    expect(&s, 60, "STUCK", NULL);
    recover(&s.nodes[0], "vault-0", 30);
    expect(&s, 65, "DEGRADED", "vault-2 accepts TCP, answers nothing");
    assert_int_equal(s.v.leader, 0);
    assert_int_equal(s.memory.no_active_since, -1);
    done(&s);
}

static void test_two_answers_clear(void **state)
{
    (void)state;
    struct scene s = healthy();
    lose(&s.nodes[2], RAFT_SILENT, 0, 20);
    expect(&s, 60, "STUCK", NULL);
    recover(&s.nodes[2], "", 1);
    expect(&s, 65, "STUCK", "vault-2 answers again, once so far");
    recover(&s.nodes[2], "", 2);
    expect(&s, 70, "DEGRADED", "no node is active");
    recover(&s.nodes[2], "vault-2", 3);
    expect(&s, 75, "OK", NULL);
    done(&s);
}

static void test_one_answer_of_the_leader_as_leader_clears(void **state)
{
    (void)state;
    struct scene s = healthy();
    lose(&s.nodes[2], RAFT_SILENT, 0, 20);
    expect(&s, 60, "STUCK", NULL);
    recover(&s.nodes[2], "vault-2", 1);
    expect(&s, 65, "OK", NULL);
    done(&s);
}

static void test_silent_again_after_one_answer_is_the_same_stuck(void **state)
{
    (void)state;
    struct scene s = healthy();
    lose(&s.nodes[2], RAFT_SILENT, 0, 20);
    expect(&s, 60, "STUCK", NULL);
    recover(&s.nodes[2], "", 1);
    expect(&s, 65, "STUCK", NULL);
    lose(&s.nodes[2], RAFT_SILENT, 70, 1);
    expect(&s, 75, "STUCK", "since 10:48:12Z (1m 15s)");
    done(&s);
}

/* ---- C and D: nobody leads --------------------------------------------------------------------------------------- */

static void test_nobody_active(void **state)
{
    (void)state;
    struct scene s = healthy();
    for (int i = 0; i < 3; i++) {
        s.nodes[i].is_self = false;
        s.nodes[i].names = "";
    }
    expect(&s, 0, "DEGRADED", "an election takes seconds");
    expect(&s, 89, "DEGRADED", NULL);
    expect(&s, 90, "NO LEADER",
           "3 of 3 voters can vote, none is active; they name no common leader; index frozen at 2,477,632");
    assert_non_null(strstr(buf_str(&s.v.text), "Not: --force, remove-peer"));
    s.nodes[1].is_self = true;
    s.nodes[1].names = "vault-1";
    expect(&s, 95, "OK", NULL);
    s.nodes[1].is_self = false;
    expect(&s, 100, "DEGRADED", NULL); /* the time counts anew */
    done(&s);
}

static void test_no_quorum(void **state)
{
    (void)state;
    struct scene s = healthy();
    s.nodes[0].is_self = s.nodes[2].is_self = false;
    s.nodes[1].sealed = true;
    s.nodes[0].names = "";
    lose(&s.nodes[2], RAFT_UNREACHABLE, 0, 5);
    expect(&s, 0, "DEGRADED", NULL);
    expect(&s, 20, "NO LEADER", "no quorum, 1 of 3 voters can vote: vault-1 is sealed; vault-2 is unreachable");
    assert_non_null(strstr(buf_str(&s.v.text), "unseal vault-1, bring vault-2 back. Not: remove-peer, init"));
    done(&s);
}

static void test_all_sealed(void **state)
{
    (void)state;
    struct scene s = healthy();
    for (int i = 0; i < 3; i++) {
        s.nodes[i].is_self = false;
        s.nodes[i].sealed = true;
        s.nodes[i].names = NULL;
    }
    expect(&s, 0, "DEGRADED", NULL);
    expect(&s, 16, "NO LEADER", "unseal vault-0, vault-1 and vault-2");
    done(&s);
}

static void test_non_voters_do_not_count(void **state)
{
    (void)state;
    struct scene s = healthy();
    s.nodes[2].is_self = false;
    s.nodes[0].not_a_voter = true;
    s.nodes[0].names = s.nodes[1].names = "";
    lose(&s.nodes[2], RAFT_UNREACHABLE, 0, 5);
    expect(&s, 0, "DEGRADED", NULL);
    expect(&s, 16, "NO LEADER", "no quorum, 1 of 2 voters");
    done(&s);
}

/* ---- Not known --------------------------------------------------------------------------------------------------- */

static void test_nobody_answers(void **state)
{
    (void)state;
    struct scene s = healthy();
    for (int i = 0; i < 3; i++)
        lose(&s.nodes[i], RAFT_SILENT, i, 100);
    s.nodes[0].error = "vault-0: no answer within 5 s";
    expect(&s, 423, "UNKNOWN",
           "no node answers since 10:48:14Z (7m 01s): our network or the API server may be the cause");
    assert_non_null(strstr(buf_str(&s.v.text), "(vault-0: no answer within 5 s)"));
    for (int i = 0; i < 3; i++)
        lose(&s.nodes[i], RAFT_BLOCKED, 0, 0);
    expect(&s, 423, "UNKNOWN", "our network");
    done(&s);
}

static void test_before_the_first_answers(void **state)
{
    (void)state;
    struct scene s = healthy();
    for (int i = 0; i < 3; i++)
        lose(&s.nodes[i], RAFT_UNASKED, 0, 0);
    expect(&s, 0, "UNKNOWN", NULL);
    assert_int_equal(s.v.text.len, 0);
    recover(&s.nodes[0], "vault-2", 1);
    expect(&s, 1, "UNKNOWN", NULL); /* the leader may be the one that has not answered yet */
    assert_int_equal(s.v.text.len, 0);
    assert_int_equal(s.memory.no_active_since, -1);
    recover(&s.nodes[2], "vault-2", 1);
    expect(&s, 1, "UNKNOWN", "vault-1 could not be asked yet");
    assert_int_equal(s.v.leader, 2);
    done(&s);
}

static void test_blocked_leader_is_not_missing(void **state)
{
    (void)state;
    struct scene s = healthy();
    lose(&s.nodes[2], RAFT_BLOCKED, 0, 0);
    s.nodes[2].error = "vault-2: the API server is busy: HTTP 429";
    expect(&s, 500, "UNKNOWN",
           "vault-2 could not be asked, the others are not active: vault-2: the API server is busy");
    done(&s);
}

static void test_no_nodes(void **state)
{
    (void)state;
    struct raft_memory m = RAFT_MEMORY_NEW;
    struct raft_verdict v;
    raft_judge(&(struct raft_view){.now = start}, &m, &v);
    assert_string_equal(v.state, "UNKNOWN");
    assert_string_equal(buf_str(&v.text), "no node is known");
    buf_free(&v.text);
}

/* ---- Words ------------------------------------------------------------------------------------------------------- */

static void test_numbers(void **state)
{
    (void)state;
    static const struct {
        int64_t n;
        const char *text;
    } cases[] = {{0, "0"},
                 {999, "999"},
                 {1000, "1,000"},
                 {2477632, "2,477,632"},
                 {-1234, "-1,234"},
                 {-123, "-123"},
                 {INT64_MAX, "9,223,372,036,854,775,807"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buf b = {0};
        raft_add_number(&b, cases[i].n);
        assert_string_equal(buf_str(&b), cases[i].text);
        buf_free(&b);
    }
}

static void test_durations(void **state)
{
    (void)state;
    static const struct {
        int64_t ms;
        const char *text;
    } cases[] = {{-5, "0s"},         {59999, "59s"},       {S(60), "1m 00s"},
                 {S(423), "7m 03s"}, {S(18420), "5h 07m"}, {S(9 * 86400 + 4 * 3600), "9d 4h"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buf b = {0};
        raft_add_duration(&b, cases[i].ms);
        assert_string_equal(buf_str(&b), cases[i].text);
        buf_free(&b);
    }
}

/* ---- The write probe: classes B and B' --------------------------------------------------------------------------- */

/* Writes to vault-2 fail since `since`, so many in a row, the last of them at `last`. */
static void writes_fail(struct scene *s, unsigned failures, int64_t since, int64_t last)
{
    s->probe = (struct raft_probe){.node = "vault-2",
                                   .failures = failures,
                                   .failing_since = start + S(since),
                                   .failed_at = start + S(last),
                                   .index_then = s->nodes[2].applied,
                                   .error = "vault-2: POST cubbyhole/ferryman-probe: no answer within 10 s"};
}

static void test_storage_stall(void **state)
{
    (void)state;
    struct scene s = healthy();
    expect(&s, 0, "OK", NULL);
    writes_fail(&s, 3, 10, 80);
    expect(&s, 80, "STUCK", "LEADER STUCK since 10:48:22Z (1m 10s): vault-2 says that it is active and answers at once, but 3 writes");
    expect(&s, 80, "STUCK", "its index is frozen at 2,477,632: its storage does not end writes");
    expect(&s, 80, "STUCK", "graceful delete of pod vault-2. Not: step-down");
    expect(&s, 80, "STUCK", "--force (it mounts NFS)");
    assert_int_equal(s.v.leader, 2);
    done(&s);
}

static void test_audit_stall(void **state)
{
    (void)state;
    struct scene s = healthy();
    writes_fail(&s, 3, 10, 80);
    s.nodes[2].applied += 7;
    expect(&s, 80, "STUCK", "its index still moves, now 2,477,639: raft writes, so its audit device hangs or is full");
    expect(&s, 80, "STUCK", "look at its audit volume");
    done(&s);
}

/* Each thing that keeps the alarm quiet, or ends it. */
static void test_no_write_alarm(void **state)
{
    (void)state;
    struct scene s = healthy();
    expect(&s, 0, "OK", NULL);
    expect(&s, 86400, "OK", NULL); /* an idle cluster: its index stands for a day, and no probe is run */
    s.probe = (struct raft_probe){.node = "vault-2", .index_then = s.nodes[2].applied};
    expect(&s, 90000, "OK", NULL); /* one is run, and succeeds */
    writes_fail(&s, 2, 90000, 90080);
    expect(&s, 90080, "OK", NULL); /* not three in a row */
    writes_fail(&s, 5, 90000, 90050);
    expect(&s, 90050, "OK", NULL); /* not over 60 s */
    writes_fail(&s, 4, 90000, 90090);
    expect(&s, 90090, "STUCK", "4 writes");
    s.nodes[2].latency_ms = 1500;
    expect(&s, 90095, "OK", NULL); /* our own way is slow */
    s.nodes[2].latency_ms = 4;
    expect(&s, 90100, "STUCK", NULL);
    expect(&s, 90090 + 180, "OK", NULL); /* nobody has written for three minutes: nobody knows */
    writes_fail(&s, 4, 90000, 90300);
    expect(&s, 90300, "STUCK", NULL);
    s.probe.failures = 0;
    expect(&s, 90330, "OK", NULL); /* a write succeeded */
    writes_fail(&s, 4, 90000, 90400);
    s.probe.node = "vault-1";
    expect(&s, 90400, "OK", NULL); /* of another node, which leads no more */
    done(&s);
}

static void test_write_alarm_and_another_leader(void **state)
{
    (void)state;
    struct scene s = healthy();
    writes_fail(&s, 3, 10, 80);
    expect(&s, 80, "STUCK", NULL);
    s.nodes[2].is_self = false;
    s.nodes[0].is_self = true;
    for (int i = 0; i < 3; i++)
        s.nodes[i].names = "vault-0";
    expect(&s, 85, "OK", NULL);
    done(&s);
}

static void test_our_own_writes_are_not_progress(void **state)
{
    (void)state;
    struct scene s = healthy();
    judge_at(&s, 0);
    assert_int_equal(s.memory.index_changed, start);
    for (int i = 1; i <= 5; i++) {
        s.probe = (struct raft_probe){.node = "vault-2", .index_then = -1, .writes = i};
        judge_at(&s, i * 30);
        s.nodes[2].applied++;
        judge_at(&s, i * 30 + 5);
    }
    assert_int_equal(s.memory.index, 2477637);
    assert_int_equal(s.memory.index_changed, start);
    s.nodes[2].applied++;
    judge_at(&s, 200);
    assert_int_equal(s.memory.index_changed, start + S(200));
    done(&s);
}

/* ---- C and D, and a change that is expected ---------------------------------------------------------------------- */

static void nobody_leads(struct scene *s)
{
    for (int i = 0; i < 3; i++) {
        s->nodes[i].is_self = false;
        s->nodes[i].names = "";
    }
}

static void test_no_leader_with_and_without_an_index_that_moves(void **state)
{
    (void)state;
    struct scene s = healthy();
    expect(&s, 0, "OK", NULL);
    nobody_leads(&s);
    expect(&s, 5, "DEGRADED", "an election takes seconds");
    expect(&s, 100, "NO LEADER", "without a token the two cannot be told apart");
    s.nodes[1].applied += 2; /* raft has somebody who writes, and he is not active */
    expect(&s, 105, "NO LEADER", "So raft has a leader that never became active");
    done(&s);
}

static void test_expected_change_is_no_alarm(void **state)
{
    (void)state;
    struct scene s = healthy();
    expect(&s, 0, "OK", NULL);
    s.change_until = start + S(90);
    nobody_leads(&s);
    lose(&s.nodes[2], RAFT_SILENT, 5, 12);
    s.nodes[0].names = s.nodes[1].names = "vault-2";
    expect(&s, 5, "DEGRADED", "the leader is stepping down");
    expect(&s, 70, "DEGRADED", "the leader is stepping down");
    expect(&s, 91, "STUCK", "vault-2 accepts TCP"); /* it took too long */
    done(&s);
}

/* Class A is told within a minute of the first question without an answer. */
static void test_stuck_within_a_minute(void **state)
{
    (void)state;
    struct scene s = healthy();
    expect(&s, 0, "OK", NULL);
    int64_t at = 5;
    for (; at <= 60 && !str_eq(s.v.state, "STUCK"); at += 5) {
        lose(&s.nodes[2], RAFT_SILENT, 5, (unsigned)(at / 5));
        judge_at(&s, at);
    }
    assert_string_equal(s.v.state, "STUCK");
    assert_true(at <= 60);
    done(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ok),
        cmocka_unit_test(test_degraded),
        cmocka_unit_test(test_follower_without_pod_or_young),
        cmocka_unit_test(test_two_say_they_are_active),
        cmocka_unit_test(test_stuck),
        cmocka_unit_test(test_stuck_through_the_proxy),
        cmocka_unit_test(test_stuck_with_one_standby_that_answers),
        cmocka_unit_test(test_index_that_still_moves_is_told),
        cmocka_unit_test(test_not_stuck_before_three_misses),
        cmocka_unit_test(test_not_stuck_while_young_or_deleted),
        cmocka_unit_test(test_not_stuck_when_others_are_slow),
        cmocka_unit_test(test_not_stuck_when_nobody_names_it),
        cmocka_unit_test(test_not_stuck_when_unreachable),
        cmocka_unit_test(test_another_leader_clears),
        cmocka_unit_test(test_two_answers_clear),
        cmocka_unit_test(test_one_answer_of_the_leader_as_leader_clears),
        cmocka_unit_test(test_silent_again_after_one_answer_is_the_same_stuck),
        cmocka_unit_test(test_nobody_active),
        cmocka_unit_test(test_no_quorum),
        cmocka_unit_test(test_all_sealed),
        cmocka_unit_test(test_non_voters_do_not_count),
        cmocka_unit_test(test_nobody_answers),
        cmocka_unit_test(test_before_the_first_answers),
        cmocka_unit_test(test_blocked_leader_is_not_missing),
        cmocka_unit_test(test_no_nodes),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_durations),
        cmocka_unit_test(test_storage_stall),
        cmocka_unit_test(test_audit_stall),
        cmocka_unit_test(test_no_write_alarm),
        cmocka_unit_test(test_write_alarm_and_another_leader),
        cmocka_unit_test(test_our_own_writes_are_not_progress),
        cmocka_unit_test(test_no_leader_with_and_without_an_index_that_moves),
        cmocka_unit_test(test_expected_change_is_no_alarm),
        cmocka_unit_test(test_stuck_within_a_minute),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
