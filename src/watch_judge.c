#include "watch_judge.h"

#include "base/str.h"
#include "world/freshness.h"
#include "world/gate.h"
#include "world/world.h"

static bool is_over(const struct row *window) {
    struct slice state = row_text(window, WINDOWS_STATE);
    return slice_is(state, "PASSED") || slice_is(state, "ENDED EARLY");
}

/* A workload that is in a window, or was when its engine ended. */
static bool is_expected(const struct row *workload) {
    static const char *const states[] = {"RUNNING", "WAITING", "PAUSED", "INTERRUPTED"};
    struct slice state = row_text(workload, PLAN_WORKLOADS_STATE);
    if (!slice_starts(row_text(workload, PLAN_WORKLOADS_PHASE), "window")) return false;
    for (size_t i = 0; i < sizeof states / sizeof *states; i++)
        if (slice_is(state, states[i])) return true;
    return false;
}

bool watch_is_over(const struct world *w) {
    for (const struct row *r = world_first(w, T_WINDOWS); r; r = world_next(w, r))
        if (!is_over(r)) return false;
    for (const struct row *r = world_first(w, T_PLAN_WORKLOADS); r; r = world_next(w, r))
        if (is_expected(r)) return false;
    return world_count(w, T_WINDOWS) > 0;
}

/* The worst so far, and why: 1 is worse than 2, which is worse than 0. */
struct verdict {
    int status;
    struct buf *why;
};

static void say(struct verdict *v, int status, const char *fmt, ...) PRINTF_LIKE(3, 4);

static void say(struct verdict *v, int status, const char *fmt, ...) {
    static const int ranks[] = {0, 2, 1};
    va_list ap;
    bool worse = ranks[status] > ranks[v->status];
    if (worse) buf_clear(v->why);
    if (ranks[status] < ranks[v->status]) return;
    v->status = status;
    if (v->why->len) buf_adds(v->why, "; ");
    va_start(ap, fmt);
    buf_vprintf(v->why, fmt, ap);
    va_end(ap);
}

static const struct row *failing_gate(const struct world *w, const struct row *window) {
    for (const struct row *r = world_first(w, T_WINDOW_GATES); r; r = world_next(w, r))
        if (slice_eq(row_text(r, WINDOW_GATES_WORKLOAD), row_key(window)) && slice_is(row_text(r, WINDOW_GATES_ANSWER), "FAIL")) return r;
    return NULL;
}

static void judge_window(const struct world *w, const struct row *window, struct verdict *v) {
    struct slice state = row_text(window, WINDOWS_STATE), pod = row_text(window, WINDOWS_POD), reason = row_text(window, WINDOWS_REASON);
    const struct row *gate = is_over(window) ? NULL : failing_gate(w, window);
    const char *sep = reason.n ? ": " : "";
    if (slice_is(state, "PASSED")) {
        say(v, 0, "the window of %.*s passed", SLICE_FMT(pod));
    } else if (slice_is(state, "FAILING")) {
        say(v, 1, "the window of %.*s fails%s%.*s", SLICE_FMT(pod), sep, SLICE_FMT(reason));
    } else if (gate) {
        struct slice name = row_text(gate, WINDOW_GATES_NAME), why = row_text(gate, WINDOW_GATES_REASON);
        say(v, 1, "the window of %.*s: %.*s fails%s%.*s", SLICE_FMT(pod), SLICE_FMT(name), why.n ? ": " : "", SLICE_FMT(why));
    } else if (slice_is(state, "ENDED EARLY")) {
        say(v, 2, "the window of %.*s was ended early%s%.*s", SLICE_FMT(pod), sep, SLICE_FMT(reason));
    } else if (slice_is(state, "PASSING") || slice_is(state, "WAITING")) {
        say(v, 2, "the window of %.*s is not over yet", SLICE_FMT(pod));
    } else {
        say(v, 2, "the window of %.*s is %.*s%s%.*s", SLICE_FMT(pod), SLICE_FMT(state), sep, SLICE_FMT(reason));
    }
}

static void judge_gates(const struct world *w, struct verdict *v) {
    size_t pass = 0;
    for (const struct row *r = world_first(w, T_SOURCES); r; r = world_next(w, r)) {
        struct fresh f = world_freshness(w, r);
        struct slice key = row_key(r);
        if (f.state != FRESH_OFF && !fresh_usable(f)) say(v, 2, "source %.*s does not answer", SLICE_FMT(key));
    }
    for (const struct row *r = world_first(w, T_GATES); r; r = world_next(w, r)) {
        struct slice answer = row_text(r, GATES_ANSWER), name = row_text(r, GATES_NAME);
        pass += slice_is(answer, gate_answer_word(GATE_PASS));
        if (slice_is(answer, gate_answer_word(GATE_FAIL)) || slice_is(answer, gate_answer_word(GATE_WAIT)))
            say(v, 1, "%.*s: %.*s", SLICE_FMT(answer), SLICE_FMT(name));
        else if (slice_is(answer, gate_answer_word(GATE_NO_DATA)))
            say(v, 2, "NO DATA: %.*s", SLICE_FMT(name));
    }
    if (!world_count(w, T_SOURCES)) say(v, 2, "nothing was heard of any source");
    if (v->status == 0) say(v, 0, "no window has begun, and all gates pass (%zu)", pass);
}

int watch_judge(const struct world *w, struct buf *why) {
    struct verdict v = {.why = why};
    buf_clear(why);
    for (const struct row *r = world_first(w, T_WINDOWS); r; r = world_next(w, r)) judge_window(w, r, &v);
    if (!world_count(w, T_WINDOWS)) judge_gates(w, &v);
    return v.status;
}
