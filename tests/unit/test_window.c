/* The window's judgement, rule by rule (design 6.5, safety 32 and 34), on a clock that the test makes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/json_doc.h"
#include "base/mem.h"
#include "migrate/window.h"

#define S INT64_C(1000)
#define MIN (60 * S)
#define HOUR (60 * MIN)
#define BEGIN INT64_C(1777132800000) /* 2026-04-25 16:00Z */

static const struct window_rules day = {.duration_ms = 24 * HOUR, .sample_ms = 10 * S, .max_gap_ms = 5 * MIN, .fail_after_ms = 30 * S};
static const struct window_rules hour = {.duration_ms = HOUR, .sample_ms = 10 * S, .max_gap_ms = 5 * MIN, .fail_after_ms = 30 * S};

/* The world of a test: what each gate answers now, and when the last write probe was. */
struct rig {
    struct window *w;
    int64_t plan, mono, probe_at;
    enum window_answer answers[WINDOW_GATES];
    const char *leader;
    struct buf said;
    unsigned recorded;
};

static void begin(struct rig *t, const struct window_rules *rules) {
    *t = (struct rig){.plan = BEGIN, .mono = 5000000, .probe_at = -1, .leader = "vault-2"};
    t->w = window_new(rules, "vault-0", BEGIN);
}

static void end(struct rig *t) {
    window_free(t->w);
    buf_free(&t->said);
}

/* One sample now; a write probe ends every 30 s. */
static void sample(struct rig *t) {
    static const char *const words[] = {[WINDOW_PASS] = NULL, [WINDOW_LATE] = "12 behind", [WINDOW_FAIL] = "2 of 3 voters", [WINDOW_NO_DATA] = "vault is STALE", [WINDOW_NOT_ASKED] = NULL};
    struct window_sample s = {.plan_ms = t->plan, .mono_ms = t->mono, .scale = 1, .leader = t->leader};
    bool probe = t->probe_at < 0 || t->mono - t->probe_at >= 30 * S;
    for (size_t g = 0; g < WINDOW_GATES; g++) {
        s.answers[g] = t->answers[g];
        s.reasons[g] = words[t->answers[g]];
    }
    if (probe) t->probe_at = t->mono;
    else s.answers[WINDOW_WRITE] = WINDOW_NOT_ASKED;
    t->recorded += window_feed(t->w, &s, &t->said);
}

static void pass_time(struct rig *t, int64_t ms) {
    t->plan += ms;
    t->mono += ms;
}

/* Samples every 10 s for so long, the first of them after 10 s. */
static void run_for(struct rig *t, int64_t ms) {
    for (int64_t at = 0; at < ms; at += 10 * S) {
        pass_time(t, 10 * S);
        sample(t);
    }
}

static struct window_numbers numbers(const struct rig *t) {
    struct window_numbers n;
    window_numbers(t->w, &n);
    return n;
}

static char *strip(const struct rig *t, enum window_gate g) {
    struct buf b = {0};
    window_strip(t->w, g, &b);
    return buf_steal(&b);
}

#define STATE(t, s) assert_string_equal(window_state_words[window_state((t)->w)], s)
#define SAID(t, text) assert_non_null(strstr(buf_str(&(t)->said), text))
#define NOT_SAID(t, text) assert_null(strstr(buf_str(&(t)->said), text))

/* ---- Coverage ---- */

static void test_passes_only_when_its_duration_is_covered(void **state) {
    (void)state;
    struct rig t;
    begin(&t, &hour);
    sample(&t);
    STATE(&t, "PASSING");
    run_for(&t, HOUR - 10 * S);
    STATE(&t, "PASSING");
    assert_int_equal(numbers(&t).credited_ms, HOUR - 10 * S);
    assert_int_equal(numbers(&t).earliest_end, BEGIN + HOUR);
    run_for(&t, 10 * S);
    STATE(&t, "PASSED");
    assert_true(window_is_over(t.w));
    SAID(&t, "passed: 1h00m covered");
    assert_int_equal(numbers(&t).gaps_ms, 0);
    assert_int_equal(numbers(&t).longest_gap_ms, 0);
    end(&t);
}

static void test_time_alone_passes_nothing(void **state) {
    (void)state;
    struct rig t;
    begin(&t, &(struct window_rules){.duration_ms = HOUR, .sample_ms = 10 * S, .max_gap_ms = 24 * HOUR, .fail_after_ms = 30 * S});
    sample(&t);
    pass_time(&t, 23 * HOUR);
    sample(&t);
    assert_int_equal(numbers(&t).credited_ms, 15 * S);
    assert_false(window_is_over(t.w));
    end(&t);
}

static void test_one_and_a_half_periods(void **state) {
    (void)state;
    struct rig t;
    begin(&t, &day);
    sample(&t);
    pass_time(&t, 15 * S);
    sample(&t);
    assert_int_equal(numbers(&t).credited_ms, 15 * S);
    assert_int_equal(numbers(&t).gaps_ms, 0);
    NOT_SAID(&t, "gap");
    pass_time(&t, 15 * S + 1);
    sample(&t);
    assert_int_equal(numbers(&t).credited_ms, 30 * S);
    assert_int_equal(numbers(&t).gaps_ms, 1);
    assert_int_equal(numbers(&t).longest_gap_ms, 15 * S + 1);
    SAID(&t, "gap of 15s: not credited");
    end(&t);
}

static void test_gap_within_the_limit(void **state) {
    (void)state;
    struct rig t;
    begin(&t, &day);
    sample(&t);
    run_for(&t, HOUR);
    pass_time(&t, 5 * MIN);
    sample(&t);
    STATE(&t, "PASSING");
    assert_int_equal(numbers(&t).credited_ms, HOUR + 15 * S);
    assert_int_equal(numbers(&t).gaps_ms, 5 * MIN - 15 * S);
    assert_int_equal(numbers(&t).longest_gap_ms, 5 * MIN);
    assert_int_equal(numbers(&t).restarts, 0);
    SAID(&t, "gap of 5m00s: not credited");
    end(&t);
}

static void test_gap_beyond_the_limit_begins_again(void **state) {
    (void)state;
    struct rig t;
    begin(&t, &day);
    sample(&t);
    run_for(&t, HOUR);
    pass_time(&t, 5 * MIN + 1);
    sample(&t);
    STATE(&t, "INCONCLUSIVE");
    assert_int_equal(numbers(&t).credited_ms, 0);
    assert_int_equal(numbers(&t).restarts, 1);
    assert_int_equal(numbers(&t).failures, 0);
    assert_int_equal(numbers(&t).aside_ms, HOUR + 15 * S);
    SAID(&t, "inconclusive: nothing was known for 5m00s (limit 5m00s)");
    run_for(&t, 10 * S);
    STATE(&t, "PASSING");
    assert_int_equal(numbers(&t).credited_ms, 10 * S);
    end(&t);
}

static void test_typed_reason_gives_the_credit_back(void **state) {
    (void)state;
    struct rig t;
    begin(&t, &hour);
    sample(&t);
    run_for(&t, 50 * MIN);
    struct err *e = window_give_back(t.w, "nothing was lost yet");
    assert_non_null(e);
    assert_int_equal(err_kind(e), ERR_USAGE);
    err_free(e);
    pass_time(&t, 20 * MIN);
    sample(&t);
    run_for(&t, MIN);
    e = window_give_back(t.w, "");
    assert_non_null(e);
    err_free(e);
    assert_null(window_give_back(t.w, "the console's host was rebooted, the cluster was not"));
    assert_int_equal(numbers(&t).credited_ms, 51 * MIN + 15 * S);
    assert_int_equal(numbers(&t).lost_ms, 0);
    e = window_give_back(t.w, "again");
    assert_non_null(e);
    err_free(e);
    run_for(&t, 9 * MIN);
    STATE(&t, "PASSED");
    end(&t);
}

static void test_what_failed_cannot_be_given_back(void **state) {
    (void)state;
    struct rig t;
    begin(&t, &day);
    sample(&t);
    run_for(&t, HOUR);
    pass_time(&t, 20 * MIN);
    sample(&t);
    t.answers[WINDOW_UNSEALED] = WINDOW_FAIL;
    run_for(&t, MIN);
    STATE(&t, "FAILING");
    struct err *e = window_give_back(t.w, "please");
    assert_non_null(e);
    err_free(e);
    end(&t);
}

/* ---- NO DATA ---- */

static void test_no_data_is_neither_credit_nor_failure(void **state) {
    (void)state;
    for (size_t g = 0; g < WINDOW_GATES; g++) {
        struct rig t;
        begin(&t, &day);
        sample(&t);
        run_for(&t, HOUR);
        t.answers[g] = WINDOW_NO_DATA;
        run_for(&t, 3 * MIN);
        STATE(&t, "CLOCK STOPPED");
        int64_t credited = numbers(&t).credited_ms, held = g == WINDOW_WRITE ? 30 * S : 10 * S; /* what the last answer covers */
        assert_true(credited >= HOUR && credited <= HOUR + held);
        t.answers[g] = WINDOW_PASS;
        run_for(&t, MIN);
        STATE(&t, "PASSING");
        SAID(&t, "clock stopped:");
        SAID(&t, "no data: vault is STALE");
        SAID(&t, "the clock runs again after");
        assert_int_equal(numbers(&t).failures, 0);
        assert_int_equal(numbers(&t).restarts, 0);
        assert_true(numbers(&t).gaps_ms >= 2 * MIN);
        assert_int_equal(numbers(&t).credited_ms + numbers(&t).gaps_ms, HOUR + 4 * MIN);
        assert_non_null(strstr(window_gate_reason(t.w, (enum window_gate)g), "no data 17:"));
        end(&t);
    }
}

/* Of what matters: nothing known for too long is a gap that is too long, though we were awake. Alerts and HTTP only stop the clock. */
static void test_no_data_for_too_long(void **state) {
    (void)state;
    for (size_t g = 0; g < WINDOW_GATES; g++) {
        struct rig t;
        begin(&t, &day);
        sample(&t);
        run_for(&t, HOUR);
        t.answers[g] = WINDOW_NO_DATA;
        run_for(&t, 7 * MIN);
        bool stops = g == WINDOW_ALERTS || g == WINDOW_HTTP;
        STATE(&t, stops ? "CLOCK STOPPED" : "INCONCLUSIVE");
        assert_int_equal(numbers(&t).restarts, !stops);
        t.answers[g] = WINDOW_PASS;
        run_for(&t, MIN);
        STATE(&t, "PASSING");
        assert_int_equal(numbers(&t).restarts, !stops);
        assert_true(stops ? numbers(&t).credited_ms > HOUR : numbers(&t).credited_ms <= MIN);
        assert_true(stops == (numbers(&t).aside_ms == 0));
        end(&t);
    }
}

static void test_credit_given_back_while_nothing_is_known(void **state) {
    (void)state;
    struct rig t;
    begin(&t, &day);
    sample(&t);
    run_for(&t, HOUR);
    t.answers[WINDOW_VOTERS] = WINDOW_NO_DATA;
    run_for(&t, 7 * MIN);
    STATE(&t, "INCONCLUSIVE");
    assert_null(window_give_back(t.w, "the API server was upgraded"));
    run_for(&t, 30 * MIN); /* still the same blindness: it was judged */
    assert_true(numbers(&t).credited_ms >= HOUR);
    assert_int_equal(numbers(&t).restarts, 1);
    t.answers[WINDOW_VOTERS] = WINDOW_PASS;
    run_for(&t, MIN);
    STATE(&t, "PASSING");
    t.answers[WINDOW_VOTERS] = WINDOW_NO_DATA;
    run_for(&t, 7 * MIN); /* another one */
    STATE(&t, "INCONCLUSIVE");
    assert_int_equal(numbers(&t).restarts, 2);
    end(&t);
}

/* Quorum and proof are always asked for; a plan without alerts or HTTP is not. */
static void test_what_is_not_asked(void **state) {
    (void)state;
    for (size_t g = 0; g < WINDOW_GATES; g++) {
        struct rig t;
        begin(&t, &day);
        t.answers[g] = WINDOW_NOT_ASKED;
        t.probe_at = g == WINDOW_WRITE ? t.mono + HOUR : -1;
        sample(&t);
        run_for(&t, MIN);
        if (g == WINDOW_ALERTS || g == WINDOW_HTTP) assert_int_equal(numbers(&t).credited_ms, MIN);
        else assert_int_equal(numbers(&t).credited_ms, 0);
        STATE(&t, g == WINDOW_ALERTS || g == WINDOW_HTTP ? "PASSING" : "WAITING");
        end(&t);
    }
}

/* ---- Failures ---- */

static void test_restarts_after_fail_after(void **state) {
    (void)state;
    const struct {
        enum window_gate g;
        int64_t after;
    } cases[] = {{WINDOW_VOTERS, 30 * S}, {WINDOW_CAUGHT_UP, 30 * S}, {WINDOW_UNSEALED, 30 * S}, {WINDOW_LEADER, 90 * S}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct rig t;
        begin(&t, &day);
        sample(&t);
        run_for(&t, 2 * HOUR);
        t.answers[cases[i].g] = WINDOW_FAIL;
        run_for(&t, cases[i].after); /* the first of them is at +10 s, so it fails for less than that */
        STATE(&t, "PASSING");
        assert_int_equal(numbers(&t).failures, 0);
        run_for(&t, 10 * S);
        STATE(&t, "FAILING");
        assert_int_equal(window_gate_answer(t.w, cases[i].g), WINDOW_FAIL);
        assert_int_equal(numbers(&t).failures, 1);
        assert_int_equal(numbers(&t).restarts, 1);
        assert_int_equal(numbers(&t).credited_ms, 0);
        assert_true(numbers(&t).lost_ms >= 2 * HOUR);
        SAID(&t, "restarted: ");
        SAID(&t, "2 of 3 voters; 2h00m of credit is lost");
        run_for(&t, 10 * MIN); /* the same failure is counted once */
        assert_int_equal(numbers(&t).failures, 1);
        assert_int_equal(numbers(&t).restarts, 1);
        assert_int_equal(numbers(&t).credited_ms, 0);
        t.answers[cases[i].g] = WINDOW_PASS;
        run_for(&t, MIN);
        STATE(&t, "PASSING");
        assert_int_equal(numbers(&t).credited_ms, 50 * S);
        assert_int_equal(numbers(&t).started, t.plan - 50 * S);
        char *strips = strip(&t, cases[i].g);
        assert_non_null(strchr(strips, 'x'));
        mem_free(strips);
        end(&t);
    }
}

/* Three failed probes, 90 s: two do not do it. */
static void test_write_probe_has_its_own_patience(void **state) {
    (void)state;
    struct rig t;
    begin(&t, &day);
    sample(&t);
    run_for(&t, HOUR);
    t.answers[WINDOW_WRITE] = WINDOW_FAIL;
    run_for(&t, 90 * S);
    STATE(&t, "PASSING");
    run_for(&t, 30 * S);
    STATE(&t, "FAILING");
    SAID(&t, "restarted: write probe for 1m30s");
    end(&t);
}

static void test_a_failure_that_ends_in_time_is_late_and_credited(void **state) {
    (void)state;
    struct rig t;
    begin(&t, &day);
    sample(&t);
    run_for(&t, HOUR);
    t.answers[WINDOW_VOTERS] = WINDOW_FAIL;
    run_for(&t, 30 * S);
    assert_int_equal(numbers(&t).credited_ms, HOUR + 10 * S); /* what it fails for is pending */
    assert_int_equal(window_gate_answer(t.w, WINDOW_VOTERS), WINDOW_LATE);
    t.answers[WINDOW_VOTERS] = WINDOW_PASS;
    run_for(&t, 10 * S);
    assert_int_equal(numbers(&t).credited_ms, HOUR + 40 * S);
    assert_int_equal(numbers(&t).failures, 0);
    assert_string_equal(window_gate_reason(t.w, WINDOW_VOTERS), "late 17:00Z for 30s: 2 of 3 voters");
    char *strips = strip(&t, WINDOW_VOTERS);
    assert_non_null(strchr(strips, 'l'));
    mem_free(strips);
    end(&t);
}

/* It must not pass while something fails, though not for long enough. */
static void test_does_not_pass_on_a_suspicion(void **state) {
    (void)state;
    struct rig t;
    begin(&t, &hour);
    sample(&t);
    run_for(&t, HOUR - 20 * S);
    t.answers[WINDOW_LEADER] = WINDOW_FAIL;
    run_for(&t, 60 * S);
    assert_false(window_is_over(t.w));
    t.answers[WINDOW_LEADER] = WINDOW_PASS;
    run_for(&t, 10 * S);
    STATE(&t, "PASSED");
    end(&t);
}

static void test_alerts_and_http_stop_the_clock(void **state) {
    (void)state;
    for (enum window_gate g = WINDOW_ALERTS; g <= WINDOW_HTTP; g++) {
        struct rig t;
        begin(&t, &day);
        sample(&t);
        run_for(&t, HOUR);
        t.answers[g] = WINDOW_FAIL;
        run_for(&t, 30 * MIN);
        STATE(&t, "CLOCK STOPPED");
        assert_int_equal(numbers(&t).credited_ms, HOUR + 10 * S); /* the time since it began to fail is not credited */
        assert_int_equal(numbers(&t).restarts, 0);
        assert_int_equal(numbers(&t).failures, 1);
        SAID(&t, "clock stopped: ");
        t.answers[g] = WINDOW_PASS;
        run_for(&t, MIN);
        STATE(&t, "PASSING");
        SAID(&t, "the clock runs again after 29m");
        assert_int_equal(numbers(&t).credited_ms, HOUR + 60 * S);
        char *strips = strip(&t, g);
        assert_non_null(strchr(strips, 's'));
        assert_null(strchr(strips, 'x'));
        mem_free(strips);
        end(&t);
    }
}

/* Failures count by what samples cover: two that lie far apart are no failure for all that time. */
static void test_a_failure_is_measured_by_samples(void **state) {
    (void)state;
    struct rig t;
    begin(&t, &day);
    sample(&t);
    run_for(&t, HOUR);
    t.answers[WINDOW_VOTERS] = WINDOW_FAIL;
    run_for(&t, 10 * S);
    t.answers[WINDOW_VOTERS] = WINDOW_NO_DATA;
    run_for(&t, 2 * MIN);
    t.answers[WINDOW_VOTERS] = WINDOW_FAIL;
    run_for(&t, 10 * S);
    assert_int_equal(numbers(&t).failures, 0);
    run_for(&t, 20 * S); /* 10 s before, 20 s now */
    assert_int_equal(numbers(&t).failures, 1);
    end(&t);
}

static void test_a_late_gate_is_credited(void **state) {
    (void)state;
    struct rig t;
    begin(&t, &day);
    t.answers[WINDOW_CAUGHT_UP] = WINDOW_LATE;
    sample(&t);
    run_for(&t, MIN);
    assert_int_equal(numbers(&t).credited_ms, MIN);
    assert_string_equal(window_gate_reason(t.w, WINDOW_CAUGHT_UP), "12 behind");
    end(&t);
}

/* ---- The leader ---- */

static void test_a_leader_change_is_recorded(void **state) {
    (void)state;
    struct rig t;
    begin(&t, &day);
    sample(&t);
    run_for(&t, HOUR);
    t.answers[WINDOW_LEADER] = WINDOW_FAIL;
    t.leader = NULL;
    run_for(&t, 90 * S);
    t.answers[WINDOW_LEADER] = WINDOW_PASS;
    t.leader = "vault-1";
    run_for(&t, 10 * S);
    STATE(&t, "PASSING");
    assert_int_equal(numbers(&t).leader_changes, 1);
    assert_int_equal(numbers(&t).failures, 0);
    assert_int_equal(numbers(&t).restarts, 0);
    assert_int_equal(numbers(&t).credited_ms, HOUR + 100 * S);
    SAID(&t, "the leader changed from vault-2 to vault-1");
    assert_string_equal(window_gate_reason(t.w, WINDOW_LEADER), "1 change, last 17:01Z from vault-2 to vault-1");
    end(&t);
}

static void test_a_leader_that_stays_away(void **state) {
    (void)state;
    struct rig t;
    begin(&t, &day);
    sample(&t);
    run_for(&t, HOUR);
    t.answers[WINDOW_LEADER] = WINDOW_FAIL;
    t.leader = NULL;
    run_for(&t, 100 * S);
    STATE(&t, "FAILING");
    end(&t);
}

/* ---- The write probe's own period ---- */

static void test_a_write_probe_covers_until_the_next(void **state) {
    (void)state;
    struct rig t;
    begin(&t, &day);
    sample(&t);
    t.probe_at = t.mono + HOUR; /* no more of them */
    run_for(&t, 40 * S);
    STATE(&t, "PASSING");
    run_for(&t, 10 * S);
    STATE(&t, "CLOCK STOPPED");
    SAID(&t, "clock stopped: write probe: no data: no write probe has ended lately");
    end(&t);
}

static void test_nothing_is_credited_before_the_first_write_probe(void **state) {
    (void)state;
    struct rig t;
    begin(&t, &day);
    t.probe_at = t.mono;
    sample(&t);
    STATE(&t, "WAITING");
    run_for(&t, 20 * S);
    assert_int_equal(numbers(&t).credited_ms, 0);
    assert_int_equal(numbers(&t).gaps_ms, 0);
    run_for(&t, 20 * S);
    STATE(&t, "PASSING");
    assert_int_equal(numbers(&t).credited_ms, 10 * S);
    assert_int_equal(numbers(&t).started, BEGIN + 30 * S);
    end(&t);
}

/* ---- The early end ---- */

static void test_early_end_has_a_floor(void **state) {
    (void)state;
    struct rig t;
    begin(&t, &day);
    sample(&t);
    run_for(&t, HOUR);
    struct err *e = window_ask_end(t.w, "", t.plan);
    assert_non_null(e);
    err_free(e);
    assert_null(window_ask_end(t.w, "the maintenance ends at six", t.plan));
    STATE(&t, "ENDING EARLY");
    assert_false(window_is_over(t.w));
    run_for(&t, 90 * S);
    STATE(&t, "ENDING EARLY");
    run_for(&t, 10 * S);
    STATE(&t, "ENDED EARLY");
    SAID(&t, "ended early after 1h01m: the maintenance ends at six");
    assert_string_equal(window_end_reason(t.w), "the maintenance ends at six");
    e = window_ask_end(t.w, "again", t.plan);
    assert_non_null(e);
    assert_int_equal(err_kind(e), ERR_USAGE);
    err_free(e);
    end(&t);
}

static void test_early_end_needs_three_checks(void **state) {
    (void)state;
    const struct window_rules slow = {.duration_ms = 24 * HOUR, .sample_ms = 2 * MIN, .max_gap_ms = 10 * MIN, .fail_after_ms = 30 * S};
    struct rig t;
    begin(&t, &slow);
    sample(&t);
    assert_null(window_ask_end(t.w, "in a hurry", t.plan));
    for (int i = 0; i < 3; i++) {
        assert_false(window_is_over(t.w));
        pass_time(&t, 2 * MIN);
        sample(&t);
    }
    STATE(&t, "ENDED EARLY");
    end(&t);
}

static void test_early_end_needs_a_write_probe(void **state) {
    (void)state;
    const struct window_rules rare = {.duration_ms = 24 * HOUR, .sample_ms = 10 * S, .max_gap_ms = 10 * MIN, .fail_after_ms = 30 * S, .write_every_ms = 10 * MIN};
    struct rig t;
    begin(&t, &rare);
    sample(&t);
    t.probe_at = t.mono + HOUR;
    assert_null(window_ask_end(t.w, "in a hurry", t.plan));
    run_for(&t, 5 * MIN);
    STATE(&t, "ENDING EARLY");
    t.probe_at = -1;
    run_for(&t, 10 * S);
    STATE(&t, "ENDED EARLY");
    end(&t);
}

static void test_early_end_begins_again_with_every_flaw(void **state) {
    (void)state;
    for (int flaw = 0; flaw < 4; flaw++) {
        struct rig t;
        begin(&t, &day);
        sample(&t);
        run_for(&t, HOUR);
        assert_null(window_ask_end(t.w, "in a hurry", t.plan));
        run_for(&t, 80 * S);
        if (flaw == 0) t.answers[WINDOW_VOTERS] = WINDOW_FAIL;
        if (flaw == 1) t.answers[WINDOW_ALERTS] = WINDOW_NO_DATA;
        if (flaw == 2) pass_time(&t, MIN);
        if (flaw == 3) t.plan += HOUR;
        run_for(&t, 10 * S);
        memset(t.answers, 0, sizeof t.answers);
        run_for(&t, 80 * S);
        assert_false(window_is_over(t.w));
        run_for(&t, 30 * S);
        STATE(&t, "ENDED EARLY");
        end(&t);
    }
}

/* ---- Clocks ---- */

static void test_clock_set_forward(void **state) {
    (void)state;
    struct rig t;
    begin(&t, &day);
    sample(&t);
    run_for(&t, HOUR);
    t.plan += 3 * MIN;
    t.probe_at = -1;
    run_for(&t, 10 * S);
    assert_int_equal(numbers(&t).credited_ms, HOUR);
    assert_int_equal(numbers(&t).gaps_ms, 3 * MIN + 10 * S);
    SAID(&t, "the clock was set forward by 3m00s");
    run_for(&t, 10 * S);
    assert_int_equal(numbers(&t).credited_ms, HOUR + 10 * S);
    t.plan += 30 * HOUR; /* or a hypervisor that slept: nobody knows */
    run_for(&t, 10 * S);
    STATE(&t, "INCONCLUSIVE");
    assert_false(window_is_over(t.w));
    end(&t);
}

static void test_clock_set_back(void **state) {
    (void)state;
    struct rig t;
    begin(&t, &day);
    sample(&t);
    run_for(&t, HOUR);
    t.plan -= 2 * HOUR;
    run_for(&t, 10 * S);
    assert_int_equal(numbers(&t).credited_ms, HOUR);
    assert_int_equal(numbers(&t).gaps_ms, 10 * S);
    SAID(&t, "the clock was set back by 2h00m");
    run_for(&t, HOUR);
    assert_int_equal(numbers(&t).credited_ms, 2 * HOUR);
    assert_int_equal(numbers(&t).restarts, 0);
    end(&t);
}

/* Step after step, each too small to see: the lesser of both clocks is credited. */
static void test_clock_that_runs_fast(void **state) {
    (void)state;
    struct rig t;
    begin(&t, &day);
    sample(&t);
    for (int i = 0; i < 360; i++) {
        t.plan += 4 * S;
        run_for(&t, 10 * S);
    }
    assert_int_equal(numbers(&t).credited_ms, HOUR);
    end(&t);
}

static void test_suspend_is_a_gap(void **state) {
    (void)state;
    struct rig t;
    begin(&t, &day);
    sample(&t);
    run_for(&t, HOUR);
    pass_time(&t, 8 * HOUR);
    run_for(&t, 10 * S);
    STATE(&t, "INCONCLUSIVE");
    assert_int_equal(numbers(&t).longest_gap_ms, 8 * HOUR + 10 * S);
    end(&t);
}

static void test_reboot_is_a_gap(void **state) {
    (void)state;
    struct rig t;
    begin(&t, &day);
    sample(&t);
    run_for(&t, HOUR);
    t.plan += 2 * MIN;
    t.mono = 40 * S;
    t.probe_at = -1;
    sample(&t);
    STATE(&t, "PASSING");
    assert_int_equal(numbers(&t).credited_ms, HOUR);
    assert_int_equal(numbers(&t).gaps_ms, 2 * MIN);
    SAID(&t, "the machine was restarted");
    end(&t);
}

static void test_scaled_clock(void **state) {
    (void)state;
    struct window *w = window_new(&(struct window_rules){.duration_ms = 24 * HOUR, .sample_ms = 5 * MIN, .max_gap_ms = 30 * MIN, .fail_after_ms = 30 * S}, "vault-0", BEGIN);
    int samples = 0;
    while (!window_is_over(w) && samples < 400) {
        struct window_sample s = {.plan_ms = BEGIN + samples * 5 * MIN, .mono_ms = 1000 + samples * S, .scale = 300, .leader = "vault-2"};
        window_feed(w, &s, NULL);
        samples++;
    }
    assert_int_equal(samples, 289);
    window_free(w);
}

/* ---- The document ---- */

static struct window *again(const struct window *w, const struct window_rules *rules) {
    struct json_t *d = window_write(w), *parsed = NULL;
    struct buf text = {0};
    jd_dump(d, &text);
    assert_null(jd_parse(text.p, text.len, "window", &parsed));
    struct window *ret = window_read(parsed, rules);
    assert_non_null(ret);
    assert_true(text.len < 8192);
    buf_free(&text);
    jd_free(d);
    jd_free(parsed);
    return ret;
}

static void assert_alike(const struct window *a, const struct window *b) {
    struct window_numbers m, n;
    window_numbers(a, &m);
    window_numbers(b, &n);
    assert_int_equal(window_state(a), window_state(b));
    assert_int_equal(m.started, n.started);
    assert_int_equal(m.credited_ms, n.credited_ms);
    assert_int_equal(m.gaps_ms, n.gaps_ms);
    assert_int_equal(m.longest_gap_ms, n.longest_gap_ms);
    assert_int_equal(m.lost_ms, n.lost_ms);
    assert_int_equal(m.aside_ms, n.aside_ms);
    assert_int_equal(m.earliest_end, n.earliest_end);
    assert_int_equal(m.restarts, n.restarts);
    assert_int_equal(m.failures, n.failures);
    assert_int_equal(m.leader_changes, n.leader_changes);
    assert_int_equal(m.samples, n.samples);
    for (size_t g = 0; g < WINDOW_GATES; g++) {
        struct buf x = {0}, y = {0};
        assert_int_equal(window_strip(a, (enum window_gate)g, &x), window_strip(b, (enum window_gate)g, &y));
        assert_string_equal(buf_str(&x), buf_str(&y));
        assert_string_equal(window_gate_reason(a, (enum window_gate)g), window_gate_reason(b, (enum window_gate)g));
        buf_free(&x);
        buf_free(&y);
    }
}

/* A process restart in the middle is the time that it took, and nothing else. */
static void test_written_and_read_is_the_same_in_behaviour(void **state) {
    (void)state;
    static const char *const leaders[] = {"vault-0", "vault-1", "vault-2", NULL};
    for (unsigned seed = 1; seed <= 60; seed++) {
        struct window *a = window_new(&hour, "vault-0", BEGIN), *b = window_new(&hour, "vault-0", BEGIN);
        int64_t plan = BEGIN, mono = 77 * S;
        enum window_answer answers[WINDOW_GATES] = {0};
        srand(seed);
        for (int i = 0; i < 900; i++) {
            struct window_sample s = {.scale = 1};
            int64_t step = rand() % 40 == 0 ? rand() % (8 * MIN) : 9 * S + rand() % (2 * S);
            plan += step + (rand() % 200 == 0 ? rand() % (2 * HOUR) - HOUR : 0);
            mono = rand() % 500 == 0 ? 1000 : mono + step;
            for (size_t g = 0; g < WINDOW_GATES; g++) {
                if (rand() % 30 == 0) answers[g] = rand() % 2 ? WINDOW_PASS : (enum window_answer)(rand() % 5);
                s.answers[g] = g == WINDOW_WRITE && rand() % 3 ? WINDOW_NOT_ASKED : answers[g];
                s.reasons[g] = s.answers[g] == WINDOW_PASS ? NULL : "a \"reason\" with ✓ and \\";
            }
            s.plan_ms = plan;
            s.mono_ms = mono;
            s.leader = leaders[rand() % 50 == 0 ? rand() % 4 : 2];
            if (rand() % 150 == 0) {
                err_free(window_ask_end(a, "because", plan));
                err_free(window_ask_end(b, "because", plan));
            }
            if (rand() % 40 == 0) {
                err_free(window_give_back(a, "because"));
                err_free(window_give_back(b, "because"));
            }
            if (rand() % 10 == 0) {
                struct window *c = again(b, &hour);
                window_free(b);
                b = c;
            }
            struct buf x = {0}, y = {0};
            assert_int_equal(window_feed(a, &s, &x), window_feed(b, &s, &y));
            assert_string_equal(buf_str(&x), buf_str(&y));
            buf_free(&x);
            buf_free(&y);
            assert_alike(a, b);
        }
        window_free(a);
        window_free(b);
    }
}

static void test_process_restart_is_a_gap(void **state) {
    (void)state;
    struct rig t;
    begin(&t, &day);
    sample(&t);
    run_for(&t, HOUR);
    struct window *w = again(t.w, &day);
    window_free(t.w);
    t.w = w;
    pass_time(&t, 4 * MIN);
    sample(&t);
    STATE(&t, "PASSING");
    assert_int_equal(numbers(&t).credited_ms, HOUR + 15 * S);
    assert_int_equal(numbers(&t).gaps_ms, 4 * MIN - 15 * S);
    end(&t);
}

/* Nobody gets a shorter window than the one that was confirmed by editing the plan and starting anew. */
static void test_a_plan_that_was_edited_makes_it_no_easier(void **state) {
    (void)state;
    static const struct window_rules easy = {.duration_ms = 90 * S, .sample_ms = 10 * S, .max_gap_ms = 24 * HOUR, .fail_after_ms = HOUR};
    static const struct window_rules strict = {.duration_ms = 48 * HOUR, .sample_ms = 10 * S, .max_gap_ms = MIN, .fail_after_ms = 10 * S};
    struct rig t;
    begin(&t, &day);
    run_for(&t, HOUR);
    struct window *w = again(t.w, &easy);
    assert_int_equal(window_rules_in_force(w)->duration_ms, 24 * HOUR);
    assert_int_equal(window_rules_in_force(w)->max_gap_ms, 5 * MIN);
    assert_int_equal(window_rules_in_force(w)->fail_after_ms, 30 * S);
    window_free(t.w);
    t.w = w;
    run_for(&t, MIN);
    STATE(&t, "PASSING");
    w = again(t.w, &strict);
    assert_int_equal(window_rules_in_force(w)->duration_ms, 48 * HOUR);
    assert_int_equal(window_rules_in_force(w)->max_gap_ms, MIN);
    assert_int_equal(window_rules_in_force(w)->fail_after_ms, 10 * S);
    window_free(w);
    end(&t);
}

static void test_reads_no_other_document(void **state) {
    (void)state;
    struct window *w = window_new(&day, "vault-0", BEGIN);
    struct json_t *good = window_write(w);
    static const char *const gone[] = {"v", "pod", "state", "leader", "typed", "buckets", "numbers", "gates"};
    assert_null(window_read(NULL, &day));
    for (size_t i = 0; i < sizeof gone / sizeof gone[0]; i++) {
        struct json_t *d = jd_copy(good);
        jd_del(d, gone[i]);
        assert_null(window_read(d, &day));
        jd_set(d, gone[i], jd_string("7"));
        assert_true(strcmp(gone[i], "pod") == 0 || strcmp(gone[i], "leader") == 0 || strcmp(gone[i], "typed") == 0 || !window_read(d, &day));
        jd_free(d);
    }
    static const int64_t wild[] = {-1, 0, INT64_MAX, INT64_MIN};
    for (size_t i = 0; i < jd_len(jd_get(good, "numbers")); i++)
        for (size_t k = 0; k < sizeof wild / sizeof wild[0]; k++) {
            struct json_t *d = jd_copy(good);
            jd_set_at(jd_get(d, "numbers"), i, jd_int(wild[k]));
            struct window *odd = window_read(d, &day); /* nothing of ours, or something that can be gone on with */
            if (odd) {
                struct window_sample s = {.plan_ms = BEGIN + MIN, .mono_ms = MIN, .scale = 1};
                window_feed(odd, &s, NULL);
            }
            window_free(odd);
            jd_free(d);
        }
    jd_free(good);
    window_free(w);
}

/* Thirty days of a bad cluster: it stays small, and so do its strips. */
static void test_small_after_thirty_days(void **state) {
    (void)state;
    struct rig t;
    size_t bytes = 0;
    begin(&t, &(struct window_rules){.duration_ms = 30 * 24 * HOUR, .sample_ms = 10 * S, .max_gap_ms = 5 * MIN, .fail_after_ms = 30 * S});
    srand(7);
    for (int i = 0; i < 30 * 24 * 360; i++) {
        if (rand() % 200 == 0) t.answers[rand() % WINDOW_GATES] = (enum window_answer)(rand() % 5);
        if (rand() % 50 == 0) memset(t.answers, 0, sizeof t.answers);
        run_for(&t, 10 * S);
        if (i % 1000 == 0) {
            struct json_t *d = window_write(t.w);
            struct buf text = {0};
            jd_dump(d, &text);
            bytes = text.len > bytes ? text.len : bytes;
            buf_free(&text);
            jd_free(d);
            char *line = strip(&t, WINDOW_VOTERS);
            assert_true(strlen(line) <= 96);
            mem_free(line);
        }
    }
    assert_true(bytes < 8192);
    end(&t);
}

/* How much the journal of a day holds: a quiet one and one that flaps all the time. */
static void test_a_day_is_recorded_in_little(void **state) {
    (void)state;
    for (int flaps = 0; flaps < 2; flaps++) {
        struct rig t;
        int64_t bytes = 0;
        begin(&t, &day);
        sample(&t);
        unsigned before = t.recorded;
        for (int i = 0; i < 8640 && !window_is_over(t.w); i++) {
            if (flaps) t.answers[WINDOW_HTTP] = i / 2 % 2 ? WINDOW_NO_DATA : WINDOW_PASS;
            run_for(&t, 10 * S);
            if (t.recorded == before) continue;
            struct json_t *d = window_write(t.w);
            struct buf text = {0}, quoted = {0};
            jd_dump(d, &text);
            struct json_t *q = jd_string(buf_str(&text)), *list = jd_array();
            jd_append(list, q);
            jd_dump(list, &quoted);
            bytes += (int64_t)quoted.len + 300; /* and the rest of a record */
            before = t.recorded;
            buf_free(&text);
            buf_free(&quoted);
            jd_free(d);
            jd_free(list);
        }
        assert_true(t.recorded >= 24 * 60 / 5);
        assert_true(bytes < 10 * 1000 * 1000);
        end(&t);
    }
}

/* Strips: one character per bucket, twice as long when there would be more than 96. */
static void test_strips_are_binned_again(void **state) {
    (void)state;
    struct rig t;
    struct buf b = {0};
    begin(&t, &hour);
    assert_int_equal(window_strip(t.w, WINDOW_HTTP, &b), (HOUR + 95) / 96);
    assert_int_equal(b.len, 0);
    t.answers[WINDOW_HTTP] = WINDOW_FAIL;
    sample(&t);
    run_for(&t, 30 * MIN);
    t.answers[WINDOW_HTTP] = WINDOW_PASS;
    run_for(&t, 30 * MIN - 10 * S);
    int64_t bucket = window_strip(t.w, WINDOW_HTTP, &b);
    assert_int_equal(bucket, (HOUR + 95) / 96);
    assert_in_range(b.len, 95, 96);
    assert_int_equal(b.p[10], 's');
    assert_int_equal(b.p[94], 'p');
    buf_clear(&b);
    run_for(&t, 25 * MIN);
    assert_int_equal(window_strip(t.w, WINDOW_HTTP, &b), 2 * bucket);
    assert_in_range(b.len, 48, 96);
    assert_int_equal(b.p[5], 's');
    buf_clear(&b);
    pass_time(&t, 200 * HOUR); /* a night and more, in one step */
    sample(&t);
    window_strip(t.w, WINDOW_HTTP, &b);
    assert_true(b.len <= 96);
    assert_non_null(strchr(buf_str(&b), '-'));
    assert_int_equal(b.p[0], 's');
    buf_free(&b);
    end(&t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_passes_only_when_its_duration_is_covered),
        cmocka_unit_test(test_time_alone_passes_nothing),
        cmocka_unit_test(test_one_and_a_half_periods),
        cmocka_unit_test(test_gap_within_the_limit),
        cmocka_unit_test(test_gap_beyond_the_limit_begins_again),
        cmocka_unit_test(test_typed_reason_gives_the_credit_back),
        cmocka_unit_test(test_what_failed_cannot_be_given_back),
        cmocka_unit_test(test_no_data_is_neither_credit_nor_failure),
        cmocka_unit_test(test_no_data_for_too_long),
        cmocka_unit_test(test_credit_given_back_while_nothing_is_known),
        cmocka_unit_test(test_what_is_not_asked),
        cmocka_unit_test(test_restarts_after_fail_after),
        cmocka_unit_test(test_write_probe_has_its_own_patience),
        cmocka_unit_test(test_a_failure_that_ends_in_time_is_late_and_credited),
        cmocka_unit_test(test_does_not_pass_on_a_suspicion),
        cmocka_unit_test(test_alerts_and_http_stop_the_clock),
        cmocka_unit_test(test_a_failure_is_measured_by_samples),
        cmocka_unit_test(test_a_late_gate_is_credited),
        cmocka_unit_test(test_a_leader_change_is_recorded),
        cmocka_unit_test(test_a_leader_that_stays_away),
        cmocka_unit_test(test_a_write_probe_covers_until_the_next),
        cmocka_unit_test(test_nothing_is_credited_before_the_first_write_probe),
        cmocka_unit_test(test_early_end_has_a_floor),
        cmocka_unit_test(test_early_end_needs_three_checks),
        cmocka_unit_test(test_early_end_needs_a_write_probe),
        cmocka_unit_test(test_early_end_begins_again_with_every_flaw),
        cmocka_unit_test(test_clock_set_forward),
        cmocka_unit_test(test_clock_set_back),
        cmocka_unit_test(test_clock_that_runs_fast),
        cmocka_unit_test(test_suspend_is_a_gap),
        cmocka_unit_test(test_reboot_is_a_gap),
        cmocka_unit_test(test_scaled_clock),
        cmocka_unit_test(test_written_and_read_is_the_same_in_behaviour),
        cmocka_unit_test(test_process_restart_is_a_gap),
        cmocka_unit_test(test_a_plan_that_was_edited_makes_it_no_easier),
        cmocka_unit_test(test_reads_no_other_document),
        cmocka_unit_test(test_small_after_thirty_days),
        cmocka_unit_test(test_a_day_is_recorded_in_little),
        cmocka_unit_test(test_strips_are_binned_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
