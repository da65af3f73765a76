/* A change is a change of state, or of the reason in other words: a reason that counts ("for 44s", "2 of 3 checks") is not told anew each
 * second, so words that begin with a digit are passed over in comparing. */
#include "watch_lines.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/map.h"
#include "base/mem.h"
#include "world/status.h"
#include "world/world.h"

#define TENTHS 10

struct told {
    char *state, *reason;
    int64_t tenths, restarts; /* of a window */
};

struct watch_lines {
    const struct world *world;
    bool timeline, first;
    int64_t timeline_at; /* of the newest event that was told */
    void (*put)(void *arg, const char *line, size_t n);
    void *arg;
    struct map *told;    /* table/key → struct told */
};

struct watch_lines *watch_lines_new(const struct world *w, bool timeline, void (*put)(void *arg, const char *line, size_t n), void *arg) {
    struct watch_lines *l = MEM_NEW(struct watch_lines);
    *l = (struct watch_lines){.world = w, .timeline = timeline, .first = true, .put = put, .arg = arg, .told = map_new()};
    return l;
}

static void told_free(void *p) {
    struct told *t = p;
    mem_free(t->state);
    mem_free(t->reason);
    mem_free(t);
}

void watch_lines_free(struct watch_lines *l) {
    if (!l) return;
    map_free(l->told, told_free);
    mem_free(l);
}

static void begin(struct buf *line, int64_t at, struct slice workload) {
    char utc[40];
    buf_printf(line, "%s %.*s ", clock_format_utc(at, utc, sizeof utc), SLICE_FMT(workload.n ? workload : SLICE_LIT("-")));
}

static void end(struct watch_lines *l, struct buf *line) {
    buf_addc(line, '\n');
    l->put(l->arg, line->p, line->len);
    buf_free(line);
}

void watch_lines_note(struct watch_lines *l, int64_t at, const char *workload, const char *fmt, ...) {
    struct buf line = {0};
    va_list ap;
    begin(&line, at, slice_of(workload));
    va_start(ap, fmt);
    buf_vprintf(&line, fmt, ap);
    va_end(ap);
    end(l, &line);
}

/* ---- What is new ------------------------------------------------------------------------------------------------- */

static bool next_word(struct slice *rest, struct slice *ret) {
    while (slice_cut(rest, ' ', ret))
        if (ret->n && !(ret->p[0] >= '0' && ret->p[0] <= '9')) return true;
    return false;
}

static bool same_words(struct slice a, struct slice b) {
    struct slice x, y;
    for (;;) {
        bool more = next_word(&a, &x);
        if (next_word(&b, &y) != more) return false;
        if (!more) return true;
        if (!slice_eq(x, y)) return false;
    }
}

/* *ret_new: it was not there before. Whether state or words are others than those that were told; they are now. */
static bool changed(struct watch_lines *l, const char *table, struct slice key, struct slice state, struct slice reason, struct told **ret, bool *ret_new) {
    char *name = str_printf("%s/%.*s", table, SLICE_FMT(key));
    struct told *t = map_gets(l->told, name);
    *ret_new = !t;
    if (!t) map_puts(l->told, name, t = MEM_NEW(struct told));
    mem_free(name);
    *ret = t;
    if (!*ret_new && slice_eq(slice_of(t->state), state) && same_words(slice_of(t->reason), reason)) return false;
    mem_free(t->state);
    mem_free(t->reason);
    t->state = slice_dup(state);
    t->reason = slice_dup(reason);
    return true;
}

static void add_clock(struct buf *out, int64_t ms) {
    int64_t s = ms > 0 ? ms / 1000 : 0;
    buf_printf(out, "%d:%02d:%02d", (int)(s / 3600), (int)(s / 60 % 60), (int)(s % 60));
}

static void add_numbers(struct buf *out, const struct row *r) {
    char age[32];
    int64_t gaps = row_int(r, WINDOWS_GAPS, 0), longest = row_int(r, WINDOWS_LONGEST_GAP, 0);
    buf_adds(out, "covered ");
    add_clock(out, row_int(r, WINDOWS_CREDITED, 0));
    buf_adds(out, " of ");
    add_clock(out, row_int(r, WINDOWS_DURATION, 0));
    buf_printf(out, ", gaps %s", gaps < 1000 ? "none" : clock_format_age(gaps, age, sizeof age));
    if (gaps >= 1000 && longest) buf_printf(out, " (longest %s)", clock_format_age(longest, age, sizeof age));
    buf_printf(out, ", failures %d, restarts %d, leader changes %d", (int)row_int(r, WINDOWS_FAILURES, 0), (int)row_int(r, WINDOWS_RESTARTS, 0),
               (int)row_int(r, WINDOWS_LEADER_CHANGES, 0));
}

/* A window is told as it is at the first look, when its state or reason changes, when it begins again, and at each tenth of its duration. */
static void window_line(struct watch_lines *l, const struct row *r) {
    struct slice state = row_text(r, WINDOWS_STATE), reason = row_text(r, WINDOWS_REASON), pod = row_text(r, WINDOWS_POD);
    int64_t duration = row_int(r, WINDOWS_DURATION, 0), restarts = row_int(r, WINDOWS_RESTARTS, 0);
    int64_t tenths = duration > 0 ? row_int(r, WINDOWS_CREDITED, 0) * TENTHS / duration : 0;
    struct told *t;
    bool is_new, news = changed(l, "window", row_key(r), state, reason, &t, &is_new);
    bool again = !is_new && restarts != t->restarts, further = !is_new && tenths > t->tenths;
    t->restarts = restarts;
    t->tenths = tenths;
    if (!news && !again && !further) return;
    struct buf line = {0};
    begin(&line, world_now(l->world), row_key(r));
    buf_printf(&line, "window %.*s: %.*s%s", SLICE_FMT(pod), SLICE_FMT(state), again ? ": begins again" : "");
    if (reason.n) buf_printf(&line, ": %.*s", SLICE_FMT(reason));
    buf_adds(&line, "; ");
    add_numbers(&line, r);
    end(l, &line);
}

static void plain_line(struct watch_lines *l, const char *table, const char *what, const struct row *r, struct slice workload, struct slice name,
                       struct slice state, struct slice reason) {
    struct told *t;
    bool is_new, news = changed(l, table, row_key(r), state, reason, &t, &is_new);
    if (!news || l->first) return;
    struct buf line = {0};
    begin(&line, world_now(l->world), workload);
    buf_printf(&line, "%s%s%.*s: %.*s", what, name.n ? " " : "", SLICE_FMT(name), SLICE_FMT(state));
    if (reason.n) buf_printf(&line, ": %.*s", SLICE_FMT(reason));
    end(l, &line);
}

static void window_gate_line(struct watch_lines *l, const struct row *r) {
    struct slice answer = row_text(r, WINDOW_GATES_ANSWER), none = {NULL, 0};
    bool pass = slice_is(answer, "PASS"); /* its reason is of the last time that it did not */
    plain_line(l, "window gate", "window gate", r, row_text(r, WINDOW_GATES_WORKLOAD), row_text(r, WINDOW_GATES_NAME), answer,
               pass ? none : row_text(r, WINDOW_GATES_REASON));
}

static void phase_line(struct watch_lines *l, const struct row *r) {
    struct slice state = row_text(r, PHASES_STATE), none = {NULL, 0};
    if (slice_is(state, "TODO") || slice_is(state, "NEXT") || slice_is(state, "NOT YET")) state = SLICE_LIT("TO COME");
    if (slice_is(state, "WAITING")) state = SLICE_LIT("RUNNING");
    bool running = slice_is(state, "RUNNING");
    plain_line(l, "phase", "phase", r, row_text(r, PHASES_WORKLOAD), row_text(r, PHASES_NAME), state, running ? none : row_text(r, PHASES_REASON));
}

static void gate_line(struct watch_lines *l, const struct row *r) {
    plain_line(l, "gate", "gate", r, row_text(r, GATES_WORKLOAD), row_text(r, GATES_NAME), row_text(r, GATES_ANSWER), row_text(r, GATES_REASON));
}

static void cluster_line(struct watch_lines *l, const struct row *r) {
    struct slice verdict = row_text(r, RAFT_CLUSTERS_VERDICT);
    plain_line(l, "raft", "raft", r, row_key(r), (struct slice){NULL, 0}, row_text(r, RAFT_CLUSTERS_STATE), verdict);
}

static void source_line(struct watch_lines *l, const struct row *r) {
    if (slice_is(row_text(r, SOURCES_STATE), "STARTING")) return; /* an engine that was started anew */
    plain_line(l, "source", "source", r, (struct slice){NULL, 0}, row_key(r), row_text(r, SOURCES_STATE), row_text(r, SOURCES_ERROR));
}

static void forward_line(struct watch_lines *l, const struct row *r) {
    struct slice until = row_text(r, PLAN_WORKLOADS_NO_WAY_BACK), none = {NULL, 0};
    plain_line(l, "forward", until.n ? "NO WAY BACK BUT FORWARD until" : "no way back but forward", r, row_key(r), none,
               until.n ? until : SLICE_LIT("over"), none);
}

static int by_key(const void *a, const void *b) {
    const struct row *const *x = a, *const *y = b;
    return slice_cmp(row_key(*x), row_key(*y));
}

static int by_time(const void *a, const void *b) {
    const struct row *const *x = a, *const *y = b;
    int64_t i = row_int(*x, TIMELINE_AT, 0), k = row_int(*y, TIMELINE_AT, 0);
    return i < k ? -1 : i > k ? 1 : by_key(a, b);
}

static const struct row **rows_of(const struct world *w, enum world_table t, int (*order)(const void *, const void *), size_t *ret_n) {
    const struct row **rows = mem_calloc(world_count(w, t) + 1, sizeof *rows);
    size_t n = 0;
    for (const struct row *r = world_first(w, t); r; r = world_next(w, r)) rows[n++] = r;
    qsort(rows, n, sizeof *rows, order);
    *ret_n = n;
    return rows;
}

/* Events that are younger than the newest one that was told: an engine that was started anew numbers them anew. */
static void timeline(struct watch_lines *l) {
    size_t n;
    const struct row **rows = rows_of(l->world, T_TIMELINE, by_time, &n);
    int64_t newest = l->timeline_at;
    for (size_t i = 0; i < n; i++) {
        int64_t at = row_int(rows[i], TIMELINE_AT, 0);
        if (at <= l->timeline_at) continue;
        if (at > newest) newest = at;
        if (l->first) continue;
        struct buf line = {0};
        begin(&line, at, row_text(rows[i], TIMELINE_OBJECT));
        struct slice level = row_text(rows[i], TIMELINE_LEVEL), text = row_text(rows[i], TIMELINE_TEXT);
        buf_printf(&line, "event %.*s: %.*s", SLICE_FMT(level), SLICE_FMT(text));
        end(l, &line);
    }
    l->timeline_at = newest;
    mem_free(rows);
}

void watch_lines_update(struct watch_lines *l) {
    static const struct {
        enum world_table table;
        void (*line)(struct watch_lines *l, const struct row *r);
    } tables[] = {
        {T_SOURCES, source_line}, {T_RAFT_CLUSTERS, cluster_line}, {T_GATES, gate_line}, {T_PHASES, phase_line}, {T_PLAN_WORKLOADS, forward_line},
        {T_WINDOW_GATES, window_gate_line}, {T_WINDOWS, window_line},
    };
    for (size_t i = 0; i < ARRAY_LEN(tables); i++) {
        size_t n;
        const struct row **rows = rows_of(l->world, tables[i].table, by_key, &n);
        for (size_t k = 0; k < n; k++) tables[i].line(l, rows[k]);
        mem_free(rows);
    }
    if (l->timeline) timeline(l);
    l->first = false;
}

void watch_lines_summary(struct watch_lines *l, int64_t at) {
    size_t n, pass = 0, asked = 0;
    const struct row **rows = rows_of(l->world, T_WINDOWS, by_key, &n);
    for (size_t i = 0; i < n; i++) {
        struct buf line = {0};
        struct slice pod = row_text(rows[i], WINDOWS_POD), state = row_text(rows[i], WINDOWS_STATE), reason = row_text(rows[i], WINDOWS_REASON);
        begin(&line, at, row_key(rows[i]));
        buf_printf(&line, "summary: window %.*s: %.*s", SLICE_FMT(pod), SLICE_FMT(state));
        if (reason.n) buf_printf(&line, ": %.*s", SLICE_FMT(reason));
        buf_adds(&line, "; ");
        add_numbers(&line, rows[i]);
        end(l, &line);
    }
    mem_free(rows);
    for (const struct row *r = world_first(l->world, T_GATES); r; r = world_next(l->world, r)) {
        asked += !slice_is(row_text(r, GATES_ANSWER), "NOT ASKED");
        pass += slice_is(row_text(r, GATES_ANSWER), "PASS");
    }
    watch_lines_note(l, at, "-", "summary: %zu of %zu gates pass", pass, asked);
}
