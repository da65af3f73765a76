/* The judgement of a validation window. See window.h for the rules; this is how they are kept.
 *
 * A sample speaks for the time until the next one. So when a sample comes, the time since the one before it is counted first, by what that
 * one had said (count): credited, not credited, pending. Only then the new answers are taken (take), and what they make of the window is
 * judged (judge). Nothing here counts by differences of clock readings over more than one such span: a clock that is set, a machine that
 * slept or was restarted can spoil one span, and that one is a gap. */
#include "migrate/window_private.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"

#define PROBE_MS INT64_C(30000)
#define FLOOR_MS INT64_C(90000) /* of an early end; and of a leader or write probe that fails */
#define FLOOR_CHECKS 3
#define RECORD_MS INT64_C(300000)
#define RECORD_LEAST_MS INT64_C(30000)
#define RECORD_MINOR_MS INT64_C(60000)

const char *const window_gate_names[WINDOW_GATES] = {
    [WINDOW_VOTERS] = "voters", [WINDOW_CAUGHT_UP] = "caught up",  [WINDOW_UNSEALED] = "unsealed", [WINDOW_LEADER] = "leader",
    [WINDOW_WRITE] = "write probe", [WINDOW_ALERTS] = "alerts", [WINDOW_HTTP] = "http",
};

const char *const window_state_words[] = {
    [WINDOW_WAITING] = "WAITING",           [WINDOW_PASSING] = "PASSING",           [WINDOW_STOPPED] = "CLOCK STOPPED",
    [WINDOW_FAILING] = "FAILING",           [WINDOW_INCONCLUSIVE] = "INCONCLUSIVE", [WINDOW_ENDING_EARLY] = "ENDING EARLY",
    [WINDOW_PASSED] = "PASSED",             [WINDOW_ENDED_EARLY] = "ENDED EARLY",
};

/* What restarts the window; the others stop its clock (safety 34). */
static bool restarts(enum window_gate g) {
    return g != WINDOW_ALERTS && g != WINDOW_HTTP;
}

static int64_t probe_period(const struct window *w) {
    int64_t every = w->rules.write_every_ms > 0 ? w->rules.write_every_ms : PROBE_MS;
    return every > w->rules.sample_ms ? every : w->rules.sample_ms;
}

/* How long a sample speaks for. */
static int64_t reach(int64_t period) {
    return period + period / 2;
}

static int64_t patience(const struct window *w, enum window_gate g) {
    bool slow = g == WINDOW_LEADER || g == WINDOW_WRITE; /* elections take seconds */
    return slow && w->rules.fail_after_ms < FLOOR_MS ? FLOOR_MS : w->rules.fail_after_ms;
}

struct window *window_new(const struct window_rules *rules, const char *pod, int64_t plan_ms) {
    struct window *w = MEM_NEW(struct window);
    w->rules = *rules;
    w->begun = w->started = plan_ms;
    w->bucket = (rules->duration_ms + WINDOW_STRIP_MAX - 1) / WINDOW_STRIP_MAX;
    if (w->bucket < rules->sample_ms) w->bucket = rules->sample_ms;
    if (w->bucket < 1) w->bucket = 1;
    str_copy(w->pod, sizeof w->pod, pod ? pod : "");
    for (size_t g = 0; g < WINDOW_GATES; g++) w->gates[g].answer = WINDOW_NO_DATA;
    return w;
}

void window_free(struct window *w) {
    mem_free(w);
}

static const char *age(int64_t ms, char *buf, size_t size) {
    return ms < CLOCK_MS_PER_S ? (str_copy(buf, size, "0s"), buf) : clock_format_age(ms, buf, size);
}

static void say(struct window *w, struct buf *said, const char *fmt, ...) PRINTF_LIKE(3, 4);
static void say(struct window *w, struct buf *said, const char *fmt, ...) {
    va_list ap;
    w->untold = true;
    if (!said) return;
    va_start(ap, fmt);
    buf_vprintf(said, fmt, ap);
    va_end(ap);
    buf_addc(said, '\n');
}

/* ---- The time since the last sample ---- */

struct span {
    int64_t ms;      /* how long it was, as well as that is known */
    int64_t covered; /* how much of that the last sample speaks for */
    bool trusted;    /* both clocks agree on it */
};

/* Between two samples both clocks advance alike. Where they do not, somebody set the clock, or the machine or its hypervisor slept or was
 * restarted: how long it really was cannot be known, so it is a gap of the longer of both. */
static struct span span_to(struct window *w, const struct window_sample *s, struct buf *said) {
    struct span d = {0};
    char by[32];
    if (!w->sampled) return d;
    double scaled = (double)(s->mono_ms - w->last_mono) * s->scale;
    int64_t plan = s->plan_ms - w->last_plan, mono = (int64_t)scaled, apart = plan > mono ? plan - mono : mono - plan;
    bool same_boot = s->mono_ms >= w->last_mono, same_scale = s->scale <= w->last_scale && s->scale >= w->last_scale;
    d.trusted = same_boot && same_scale && plan >= 0 && apart <= w->rules.sample_ms / 2;
    if (d.trusted) {
        d.ms = plan < mono ? plan : mono;
        d.covered = d.ms < reach(w->rules.sample_ms) ? d.ms : reach(w->rules.sample_ms);
        return d;
    }
    d.ms = plan > 0 ? plan : 0;
    if (same_boot && same_scale && mono > d.ms) d.ms = mono;
    if (!same_boot) say(w, said, "the machine was restarted: what was not seen is not credited");
    else if (same_scale)
        say(w, said, "the clock was set %s by %s: what was not seen is not credited", plan > mono ? "forward" : "back", age(apart, by, sizeof by));
    return d;
}

static char mark_of(const struct window_gate_now *n, enum window_gate g) {
    switch (n->answer) {
    case WINDOW_PASS: return 'p';
    case WINDOW_LATE: return 'l';
    case WINDOW_NO_DATA: return '-';
    case WINDOW_NOT_ASKED: return ' ';
    case WINDOW_FAIL: break;
    }
    return !n->confirmed ? 'l' : restarts(g) ? 'x' : 's';
}

/* By what the last sample said. */
static void count(struct window *w, const struct span *d) {
    int64_t uncovered = d->ms - d->covered;
    bool no_data = false;
    for (size_t g = 0; g < WINDOW_GATES; g++) no_data = no_data || w->gates[g].answer == WINDOW_NO_DATA;
    if (w->covers && w->suspect) w->pending += d->covered;
    else if (w->covers) w->credited += d->covered;
    if (w->running) w->gaps += no_data ? d->ms : uncovered;
    if (!w->covers) w->stood += d->ms;
    for (size_t g = 0; g < WINDOW_GATES; g++) {
        struct window_gate_now *n = &w->gates[g];
        if (n->answer == WINDOW_FAIL) n->bad_ms += d->covered;
        if (n->answer != WINDOW_PASS) n->lasted += d->ms;
        window_mark(w, (enum window_gate)g, w->elapsed, w->elapsed + d->covered, mark_of(n, (enum window_gate)g));
        if (uncovered > 0) window_mark(w, (enum window_gate)g, w->elapsed + d->covered, w->elapsed + d->ms, n->answer == WINDOW_NOT_ASKED ? ' ' : '-');
    }
    w->probe_age += d->ms;
    w->elapsed += d->ms;
}

/* ---- The answers ---- */

/* The write probe has a period of its own: between two of them the last one holds. Nothing that a pod's life rests on can be left out. */
static enum window_answer answer_of(struct window *w, const struct window_sample *s, enum window_gate g, const char **reason) {
    enum window_answer a = s->answers[g];
    *reason = s->reasons[g] ? s->reasons[g] : "";
    if (g == WINDOW_WRITE && a == WINDOW_NOT_ASKED) {
        *reason = w->probed ? "no write probe has ended lately" : "no write probe has ended yet";
        if (!w->probed || w->probe_age > reach(probe_period(w))) return WINDOW_NO_DATA;
        *reason = w->gates[g].reason;
        return w->gates[g].answer;
    }
    if (g == WINDOW_WRITE) {
        w->probed = true;
        w->probe_age = 0;
    }
    if (a == WINDOW_NOT_ASKED && restarts(g)) {
        *reason = "not asked, and a window cannot do without it";
        return WINDOW_NO_DATA;
    }
    return a;
}

/* "late 00:41Z for 20s: 2 of 3 voters": what is shown once it passes again. */
static void remember(struct window_gate_now *n) {
    char at[32], lasted[32], text[2 * WINDOW_REASON_MAX];
    const char *word = n->answer == WINDOW_NO_DATA ? "no data" : n->answer == WINDOW_FAIL && n->confirmed ? "failed" : "late";
    clock_format_hms(n->since, at, sizeof at);
    snprintf(text, sizeof text, "%s %.5sZ for %s%s%s", word, at, age(n->lasted, lasted, sizeof lasted), *n->reason ? ": " : "", n->reason);
    window_copy(n->last, sizeof n->last, text);
}

static void take(struct window *w, const struct window_sample *s) {
    for (size_t i = 0; i < WINDOW_GATES; i++) {
        struct window_gate_now *n = &w->gates[i];
        const char *reason;
        enum window_answer a = answer_of(w, s, (enum window_gate)i, &reason);
        bool was = n->answer == WINDOW_PASS || n->answer == WINDOW_NOT_ASKED, is = a == WINDOW_PASS || a == WINDOW_NOT_ASKED;
        if (!was && is && w->running) remember(n);
        if ((was && !is) || !w->sampled) {
            n->since = s->plan_ms;
            n->lasted = 0;
        }
        if (a == WINDOW_FAIL && !n->bad) {
            n->bad = true;
            n->bad_ms = 0;
        } else if (a != WINDOW_FAIL && a != WINDOW_NO_DATA) {
            n->bad = n->confirmed = false;
        }
        n->answer = a;
        if (reason != n->reason) window_copy(n->reason, sizeof n->reason, reason);
    }
}

static void note_leader(struct window *w, const struct window_sample *s, struct buf *said) {
    if (!s->leader || str_eq(s->leader, w->leader)) return;
    if (*w->leader) {
        char at[32], text[WINDOW_REASON_MAX * 4];
        w->leader_changes++;
        clock_format_hms(s->plan_ms, at, sizeof at);
        snprintf(text, sizeof text, "%u change%s, last %.5sZ from %s to %s", w->leader_changes, w->leader_changes == 1 ? "" : "s", at, w->leader, s->leader);
        window_copy(w->gates[WINDOW_LEADER].last, WINDOW_REASON_MAX, text);
        say(w, said, "the leader changed from %s to %s: recorded, no failure", w->leader, s->leader);
    }
    str_copy(w->leader, sizeof w->leader, s->leader);
}

/* ---- What it makes of the window ---- */

static void begin_again(struct window *w, int64_t plan_ms) {
    w->lost += w->credited;
    w->credited = w->pending = 0;
    w->started = plan_ms;
    if (w->running) w->restarts++;
    w->running = false;
}

static void tell_failure(struct window *w, enum window_gate g, struct buf *said) {
    const struct window_gate_now *n = &w->gates[g];
    char lasted[32], lost[32];
    age(n->bad_ms, lasted, sizeof lasted);
    const char *what = *n->reason ? n->reason : "it fails";
    if (!restarts(g)) say(w, said, "clock stopped: %s for %s: %s", window_gate_names[g], lasted, what);
    else if (w->running) say(w, said, "restarted: %s for %s: %s; %s of credit is lost", window_gate_names[g], lasted, what, age(w->credited + w->aside, lost, sizeof lost));
    else say(w, said, "fails: %s for %s: %s", window_gate_names[g], lasted, what);
}

/* A gate that has failed for longer than it may. Returns whether one of them did so now. */
static bool confirm(struct window *w, int64_t plan_ms, struct buf *said) {
    bool any = false;
    for (size_t i = 0; i < WINDOW_GATES; i++) {
        struct window_gate_now *n = &w->gates[i];
        enum window_gate g = (enum window_gate)i;
        if (n->answer != WINDOW_FAIL || n->confirmed || n->bad_ms < patience(w, g)) continue;
        any = n->confirmed = true;
        w->failures++;
        window_mark(w, g, w->elapsed, w->elapsed, mark_of(n, g));
        tell_failure(w, g, said);
        w->pending = 0;
        if (!restarts(g)) continue;
        begin_again(w, plan_ms);
        w->aside = 0; /* what was seen to fail cannot be given back */
    }
    return any;
}

/* How long nothing has been known: without any sample, or without data on what matters. Returns whether that was too long just now. */
static bool judge_gap(struct window *w, const struct span *d, bool known, int64_t plan_ms, struct buf *said) {
    int64_t hole = d->ms > d->covered ? d->ms : 0;
    char length[32], limit[32], credit[32];
    bool before = w->known;
    w->known = known;
    if (!w->running && !w->judged) {
        w->blind = 0;
        return false;
    }
    w->blind = before ? hole : w->blind + d->ms;
    age(w->blind, length, sizeof length);
    if (w->blind > w->longest) w->longest = w->blind;
    bool too_long = w->blind > w->rules.max_gap_ms && !w->judged;
    if (too_long) {
        w->judged = w->inconclusive = true;
        w->aside += w->credited;
        say(w, said, "inconclusive: nothing was known for %s (limit %s): it begins again; %s of credit can be given back with a reason", length,
            age(w->rules.max_gap_ms, limit, sizeof limit), age(w->aside, credit, sizeof credit));
        begin_again(w, plan_ms);
    } else if (hole > 0 && !w->judged) {
        say(w, said, "gap of %s: not credited", length);
    }
    return too_long;
}

static bool is_clean(const struct window *w) {
    return w->covers && !w->suspect;
}

/* The floor under an early end: three checks over 90 s, all well, with a write probe among them. */
static void judge_end(struct window *w, const struct span *d, bool probed) {
    if (!w->ending) return;
    bool broken = d->ms > d->covered || !is_clean(w);
    if (broken) {
        w->end_checks = 0;
        w->end_ms = 0;
        w->end_probed = false;
    }
    if (!is_clean(w)) return;
    if (w->end_checks++ > 0) w->end_ms += d->covered;
    w->end_probed = w->end_probed || probed;
}

static enum window_state state_of(const struct window *w, bool inconclusive) {
    bool failing = false;
    for (size_t g = 0; g < WINDOW_GATES; g++)
        failing = failing || (restarts((enum window_gate)g) && w->gates[g].confirmed && w->gates[g].answer == WINDOW_FAIL);
    if (failing) return WINDOW_FAILING;
    if (is_clean(w) && w->credited >= w->rules.duration_ms) return WINDOW_PASSED;
    if (is_clean(w) && w->ending && w->end_checks >= FLOOR_CHECKS && w->end_ms >= FLOOR_MS && w->end_probed) return WINDOW_ENDED_EARLY;
    if (inconclusive || (w->inconclusive && !w->known)) return WINDOW_INCONCLUSIVE;
    if (!w->running) return WINDOW_WAITING;
    if (!w->covers) return WINDOW_STOPPED;
    return w->ending ? WINDOW_ENDING_EARLY : WINDOW_PASSING;
}

static void tell_state(struct window *w, enum window_state was, struct buf *said) {
    char time[32];
    if (w->state == WINDOW_STOPPED && was != WINDOW_STOPPED) {
        for (size_t g = 0; g < WINDOW_GATES; g++)
            if (w->gates[g].answer == WINDOW_NO_DATA) {
                say(w, said, "clock stopped: %s: no data: %s", window_gate_names[g], w->gates[g].reason);
                break;
            }
    } else if (was == WINDOW_STOPPED && (w->state == WINDOW_PASSING || w->state == WINDOW_ENDING_EARLY)) {
        say(w, said, "the clock runs again after %s", age(w->stood, time, sizeof time));
    } else if (w->state == WINDOW_PASSING && (was == WINDOW_WAITING || was == WINDOW_FAILING || was == WINDOW_INCONCLUSIVE)) {
        say(w, said, "passing: %s must be covered", age(w->rules.duration_ms - w->credited, time, sizeof time));
    } else if (w->state == WINDOW_PASSED) {
        say(w, said, "passed: %s covered", age(w->credited, time, sizeof time));
    } else if (w->state == WINDOW_ENDED_EARLY) {
        say(w, said, "ended early after %s: %s", age(w->credited, time, sizeof time), w->typed);
    } else if (w->state != was) {
        w->untold = true;
    }
}

/* Returns whether all that restarts a window had data. */
static bool judge_answers(struct window *w) {
    bool known = true;
    w->covers = true;
    w->suspect = false;
    for (size_t i = 0; i < WINDOW_GATES; i++) {
        const struct window_gate_now *n = &w->gates[i];
        if (n->answer == WINDOW_NO_DATA || (n->answer == WINDOW_FAIL && n->confirmed)) w->covers = false;
        if (n->answer == WINDOW_FAIL && !n->confirmed) w->suspect = true;
        if (n->answer == WINDOW_NO_DATA && restarts((enum window_gate)i)) known = false;
    }
    return known;
}

/* A record is due at once when credit was lost or given, else not too often: a gate that flaps must not fill the disk. But always often
 * enough that the end of the process alone is no gap beyond max_gap. */
static bool is_due(struct window *w, bool major) {
    int64_t since = w->elapsed - w->recorded, often = w->rules.max_gap_ms / 5 < RECORD_MS ? w->rules.max_gap_ms / 5 : RECORD_MS;
    if (often < RECORD_LEAST_MS) often = RECORD_LEAST_MS;
    bool due = major || w->samples == 1 || since >= often || (w->untold && since >= RECORD_MINOR_MS);
    if (due) {
        w->recorded = w->elapsed;
        w->untold = false;
    }
    return due;
}

bool window_feed(struct window *w, const struct window_sample *s, struct buf *said) {
    if (window_is_over(w)) return false;
    enum window_state was = w->state;
    struct span d = span_to(w, s, said);
    count(w, &d);
    take(w, s);
    note_leader(w, s, said);
    for (size_t g = 0; g < WINDOW_GATES; g++) window_mark(w, (enum window_gate)g, w->elapsed, w->elapsed, mark_of(&w->gates[g], (enum window_gate)g));
    bool failed = confirm(w, s->plan_ms, said), known = judge_answers(w);
    bool inconclusive = judge_gap(w, &d, known, s->plan_ms, said);
    if (known) w->judged = w->inconclusive = false;
    if (is_clean(w)) {
        if (!w->running) w->started = s->plan_ms;
        w->running = true;
        w->credited += w->pending;
        w->pending = 0;
    }
    judge_end(w, &d, s->answers[WINDOW_WRITE] == WINDOW_PASS);
    w->sampled = true;
    w->last_plan = s->plan_ms;
    w->last_mono = s->mono_ms;
    w->last_scale = s->scale;
    w->samples++;
    w->state = state_of(w, inconclusive);
    tell_state(w, was, said);
    if (w->covers) w->stood = 0;
    return is_due(w, failed || inconclusive || window_is_over(w));
}

/* ---- What is asked of it ---- */

enum window_state window_state(const struct window *w) {
    return w->state;
}

bool window_is_over(const struct window *w) {
    return w->state == WINDOW_PASSED || w->state == WINDOW_ENDED_EARLY;
}

struct err *window_ask_end(struct window *w, const char *reason, int64_t plan_ms) {
    (void)plan_ms;
    if (window_is_over(w)) return err_new(ERR_USAGE, "the window of %s is over", w->pod);
    if (!reason || !*reason) return err_new(ERR_USAGE, "ending the window of %s early needs a reason", w->pod);
    window_copy(w->typed, sizeof w->typed, reason);
    if (!w->ending) {
        w->ending = true;
        w->end_checks = 0;
        w->end_ms = 0;
        w->end_probed = false;
    }
    if (w->state == WINDOW_PASSING) w->state = WINDOW_ENDING_EARLY;
    return NULL;
}

struct err *window_give_back(struct window *w, const char *reason) {
    if (!reason || !*reason) return err_new(ERR_USAGE, "going on over a gap needs a reason");
    if (window_is_over(w)) return err_new(ERR_USAGE, "the window of %s is over", w->pod);
    if (w->aside == 0) return err_new(ERR_USAGE, "the window of %s has lost no credit to a gap", w->pod);
    w->credited += w->aside;
    w->lost -= w->aside;
    w->aside = 0;
    w->inconclusive = false;
    if (w->state == WINDOW_INCONCLUSIVE) w->state = w->covers ? WINDOW_PASSING : WINDOW_STOPPED;
    return NULL;
}

void window_numbers(const struct window *w, struct window_numbers *ret) {
    int64_t left = w->rules.duration_ms - w->credited - w->pending, floor = FLOOR_MS - w->end_ms;
    if (w->ending && floor < left) left = floor;
    *ret = (struct window_numbers){.started = w->started, .credited_ms = w->credited, .gaps_ms = w->gaps, .longest_gap_ms = w->longest,
                                   .lost_ms = w->lost, .aside_ms = w->aside, .last_sample = w->sampled ? w->last_plan : 0,
                                   .earliest_end = (w->sampled ? w->last_plan : w->begun) + (left > 0 && !window_is_over(w) ? left : 0),
                                   .restarts = w->restarts, .failures = w->failures, .leader_changes = w->leader_changes, .samples = w->samples};
}

const char *window_gate_reason(const struct window *w, enum window_gate g) {
    const struct window_gate_now *n = &w->gates[g];
    return *n->reason && n->answer != WINDOW_PASS ? n->reason : n->last;
}

enum window_answer window_gate_answer(const struct window *w, enum window_gate g) {
    const struct window_gate_now *n = &w->gates[g];
    return n->answer == WINDOW_FAIL && !n->confirmed ? WINDOW_LATE : n->answer;
}

const char *window_pod(const struct window *w) {
    return w->pod;
}

const struct window_rules *window_rules_in_force(const struct window *w) {
    return &w->rules;
}

int64_t window_begun(const struct window *w) {
    return w->begun;
}

const char *window_end_reason(const struct window *w) {
    return w->ending ? w->typed : NULL;
}
