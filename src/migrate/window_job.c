/* The window at work: a timer that samples, the write probe beside it (window_probe.h), and after each sample what the judgement
 * (window.h) makes of it: the rows, the lines of what happened, and the state as a fact when it is due. What a sample rests on is asked of
 * the world alone (window_gates.h), which its sources keep. */
#include "migrate/window_job.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/json_doc.h"
#include "base/mem.h"
#include "base/str.h"
#include "loop/timer.h"
#include "migrate/raft.h"
#include "migrate/window_gates.h"
#include "migrate/window_probe.h"
#include "migrate/window_rows.h"

#define PROBE_MS INT64_C(30000)

/* A window at work. */
struct watching {
    struct run *r;
    struct op *op;
    struct window *w;
    struct window_memory memory;
    struct window_probe *probe;
    struct timer *timer;
    struct err *refusal;   /* why it cannot begin */
    struct watching *next; /* of all that there are: an operator's word comes for a run */
};

static struct watching *all;

static struct watching *watching_of(const struct run *r) {
    struct watching *x = all;
    while (x && x->r != r) x = x->next;
    return x;
}

static const char *fact_name(char *buf, size_t size, const char *turn, const char *what) {
    snprintf(buf, size, "window.%s%s", turn, what);
    return buf;
}

/* ---- What happened ---- */

static const char *level_of(struct slice line) {
    static const struct {
        const char *begin, *level;
    } known[] = {{"restarted", "BAD"}, {"fails", "BAD"}, {"inconclusive", "BAD"}, {"passed", "GOOD"}, {"passing", "GOOD"}, {"the clock runs", "GOOD"}};
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (slice_starts(line, known[i].begin)) return known[i].level;
    return "WARN";
}

/* The one place from which anybody learns of it: timeline and journal, and whoever is notified of those. */
static void tell(struct watching *x, struct slice line) {
    char *text = str_printf("window of %s: %.*s", window_pod(x->w), SLICE_FMT(line));
    run_note(x->r, level_of(line), "%s", text);
    run_notify(x->r, "window", x->r->phase->id, window_state_words[window_state(x->w)], text);
    mem_free(text);
}

static void tell_all(struct watching *x, const struct buf *said) {
    struct slice rest = buf_slice(said), line;
    while (rest.n > 0 && slice_cut(&rest, '\n', &line))
        if (line.n > 0) tell(x, line);
}

static void save(struct watching *x) {
    char name[64];
    struct json_t *d = window_write(x->w);
    run_set_json(x->r, fact_name(name, sizeof name, x->r->phase->turn, ""), d);
    jd_free(d);
}

static void show(struct watching *x) {
    char text[200], whole[32];
    struct window_numbers n;
    int64_t duration = window_rules_in_force(x->w)->duration_ms;
    window_numbers(x->w, &n);
    window_rows(x->r, x->w, x->r->phase->id, false);
    /* In steps that a day has a hundred of: each is a line for whoever reads it as lines. */
    snprintf(text, sizeof text, "%s: %d %% of %s covered", window_state_words[window_state(x->w)],
             (int)(n.credited_ms >= duration ? 100 : n.credited_ms * 100 / duration), clock_format_age(duration, whole, sizeof whole));
    bool hours = duration >= INT64_C(3600000);
    int64_t unit = hours ? 60 * CLOCK_MS_PER_S : CLOCK_MS_PER_S, done = n.credited_ms < duration ? n.credited_ms : duration;
    op_job_progress(x->r, x->op, done / unit, duration / unit, hours ? "minutes" : "seconds", text);
}

/* ---- Samples ---- */

static void stop(struct watching *x) {
    struct watching **at = &all;
    while (*at && *at != x) at = &(*at)->next;
    if (*at) *at = x->next;
    timer_free(x->timer);
    window_probe_free(x->probe);
    window_free(x->w);
    err_free(x->refusal);
    x->op->data = NULL;
    mem_free(x);
}

static void finish(struct watching *x) {
    struct run *r = x->r;
    struct op *op = x->op;
    struct window_numbers n;
    char name[64], covered[32], text[700];
    bool early = window_state(x->w) == WINDOW_ENDED_EARLY;
    window_numbers(x->w, &n);
    clock_format_age(n.credited_ms, covered, sizeof covered);
    if (early) snprintf(text, sizeof text, "early: %s", window_end_reason(x->w));
    run_set(r, fact_name(name, sizeof name, r->phase->turn, ".done"), early ? text : "passed");
    snprintf(text, sizeof text, "%s: %s covered, %u failures, %u restarts, %u changes of the leader%s%s", early ? "ended early" : "passed", covered, n.failures,
             n.restarts, n.leader_changes, early ? "; reason: " : "", early ? window_end_reason(x->w) : "");
    stop(x);
    op_job_done(r, op, NULL, text);
}

static void take_sample(struct watching *x) {
    struct window_sample s = {.plan_ms = clock_plan_ms(), .mono_ms = clock_mono_ms(), .scale = clock_plan_rate()};
    struct window_look look;
    struct buf said = {0};
    const char *reason;
    window_look(x->r, window_begun(x->w), &x->memory, &look);
    for (size_t g = 0; g < WINDOW_GATES; g++) {
        s.answers[g] = look.answers[g];
        s.reasons[g] = look.reasons[g].len ? buf_str(&look.reasons[g]) : NULL;
    }
    if (window_probe_take(x->probe, &s.answers[WINDOW_WRITE], &reason)) s.reasons[WINDOW_WRITE] = *reason ? reason : NULL;
    s.leader = *look.leader ? look.leader : NULL;
    bool due = window_feed(x->w, &s, &said);
    window_look_clear(&look);
    tell_all(x, &said);
    buf_free(&said);
    if (due) save(x);
    show(x);
}

static void on_timer(void *arg) {
    struct watching *x = arg;
    if (x->refusal) {
        struct run *r = x->r;
        struct op *op = x->op;
        struct err *e = x->refusal;
        x->refusal = NULL;
        stop(x);
        op_job_done(r, op, e, NULL);
        return;
    }
    take_sample(x);
    if (window_is_over(x->w)) finish(x);
}

/* ---- The job ---- */

static int64_t real(int64_t plan_ms) {
    double ms = (double)plan_ms / clock_plan_rate();
    return ms < 1 ? 1 : (int64_t)ms;
}

static void work(struct watching *x) {
    int64_t sample = raft_spec(x->r)->window.sample_ms;
    x->probe = window_probe_new(x->r, real(sample > PROBE_MS ? sample : PROBE_MS));
    timer_start(x->timer, 0, real(sample)); /* at once: what was so before nobody looked is not what is */
}

/* The plan was edited while it was under way, and would have it easier now. */
static void tell_rules(struct run *r, const struct window *w, const struct window_rules *plan) {
    const struct window_rules *held = window_rules_in_force(w);
    char began[32], now[32];
    if (held->duration_ms == plan->duration_ms && held->max_gap_ms == plan->max_gap_ms && held->fail_after_ms == plan->fail_after_ms) return;
    clock_format_age(held->duration_ms, began, sizeof began);
    clock_format_age(plan->duration_ms, now, sizeof now);
    run_note(r, "WARN", "window of %s: the plan was edited since it began (duration %s now): it goes on with the stricter rules, %s; to have less of it end it early, with a reason",
             window_pod(w), now, began);
}

/* The state as it was recorded last, or a new window. The time that nobody sampled is for the next sample to judge. */
static struct window *window_of_fact(struct run *r) {
    struct window_rules rules = window_rules_of(r);
    char name[64];
    const char *pod = raft_fact(r, "name");
    struct json_t *d = run_fact_json(r, fact_name(name, sizeof name, r->phase->turn, ""));
    struct window *w = d ? window_read(d, &rules) : NULL;
    if (w && !str_eq(window_pod(w), pod ? pod : "")) { /* of another pod, whose turn was taken back */
        window_free(w);
        w = NULL;
    }
    jd_free(d);
    if (w && !window_is_over(w)) tell_rules(r, w, &rules);
    return w ? w : window_new(&rules, pod ? pod : "", clock_plan_ms());
}

static void start(struct run *r, struct op *op) {
    struct watching *x = MEM_NEW(struct watching);
    *x = (struct watching){.r = r, .op = op, .memory = WINDOW_MEMORY_NEW, .next = all};
    all = x;
    op->data = x;
    x->w = window_of_fact(r);
    x->timer = timer_new(r->loop, on_timer, x);
    x->refusal = plan_raft_window_fits(raft_spec(r), clock_plan_rate());
    if (x->refusal) {
        timer_start(x->timer, 0, 0);
        return;
    }
    work(x);
}

static void cancel(struct run *r, struct op *op) {
    struct watching *x = op->data;
    (void)r;
    if (!x) return;
    if (!x->refusal) save(x);
    window_rows(x->r, x->w, x->r->phase->id, true);
    stop(x);
}

/* What is not sampled while it is paused is a gap. */
static void pause_job(struct run *r, struct op *op, bool paused) {
    struct watching *x = op->data;
    (void)r;
    if (!x || x->refusal) return;
    if (!paused) {
        work(x);
        return;
    }
    save(x);
    timer_stop(x->timer);
    window_probe_free(x->probe);
    x->probe = NULL;
    window_rows(x->r, x->w, x->r->phase->id, true);
}

static const struct op_job job = {.start = start, .cancel = cancel, .pause = pause_job};

void window_script(struct run *r, struct script *s) {
    const struct plan_raft *p = raft_spec(r);
    char whole[32], sample[32], gap[32];
    const char *pod = raft_pod(r);
    clock_format_age(p->window.duration_ms, whole, sizeof whole);
    clock_format_age(p->window.sample_ms, sample, sizeof sample);
    clock_format_age(p->window.max_gap_ms, gap, sizeof gap);
    script_job(s, "window", script_fmt(s, "watch over %s until %s are covered by samples (one every %s, gaps up to %s; a write to %s every 30s)",
                                       pod ? pod : "the pod", whole, sample, gap, p->vault.write_probe),
               &job, NULL, NULL);
}

/* ---- The operator's word ---- */

static struct err *no_window(const struct run *r) {
    return err_new(ERR_USAGE, "the window of %s is not at work now", r->workload->name);
}

struct err *window_end_early(struct run *r, const char *reason) {
    struct watching *x = watching_of(r);
    struct err *e = x && x->probe ? window_ask_end(x->w, reason, clock_plan_ms()) : no_window(r);
    if (e) return e;
    run_note(r, "WARN", "window of %s: %s ends it early after three more checks over 90 s: %s", window_pod(x->w),
             r->operator_name ? r->operator_name : "the operator", reason);
    save(x);
    show(x);
    return NULL;
}

struct err *window_credit_gap(struct run *r, const char *reason) {
    struct watching *x = watching_of(r);
    struct err *e = x && x->probe ? window_give_back(x->w, reason) : no_window(r);
    if (e) return e;
    run_note(r, "WARN", "window of %s: %s gives the credit from before the gap back: %s", window_pod(x->w),
             r->operator_name ? r->operator_name : "the operator", reason);
    save(x);
    show(x);
    return NULL;
}

/* ---- Without a window at work ---- */

void window_show(struct run *r, bool elsewhere) {
    static const char *const turns[] = {"last", "6", "5", "4", "3", "2", "1"};
    char name[64], phase[32];
    if (!r->world || watching_of(r)) return;
    for (size_t i = 0; i < ARRAY_LEN(turns); i++) {
        struct json_t *d = run_fact_json(r, fact_name(name, sizeof name, turns[i], ""));
        if (!d) continue;
        struct window_rules rules = window_rules_of(r);
        struct window *w = window_read(d, &rules);
        snprintf(phase, sizeof phase, "window-%s", turns[i]);
        if (w) window_rows(r, w, phase, !elsewhere);
        window_free(w);
        jd_free(d);
        return;
    }
    window_rows_remove(r); /* taken back with its pod */
}
