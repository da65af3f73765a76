#include "ui/phase_view.h"

#include "base/clock.h"
#include "base/mem.h"
#include "ui/format.h"
#include "ui/rows.h"
#include "ui/screen.h"

struct phase_look phase_look(struct slice state) {
    static const struct {
        const char *word;
        struct phase_look look;
    } looks[] = {
        {"DONE", {"✓", STYLE_OK}},          {"RUNNING", {">", STYLE_BUSY}},      {"WAITING", {">", STYLE_WARN}},
        {"PAUSED", {"!", STYLE_WARN}},      {"INTERRUPTED", {"!", STYLE_WARN}},  {"FAILED", {"✗", STYLE_BAD}},
        {"NEXT", {"·", STYLE_ACCENT}},      {"TODO", {"·", STYLE_DIM}},          {"NOT YET", {"·", STYLE_DIM}},
        {"NOT NEEDED", {"–", STYLE_DIM}},   {"SKIPPED", {"–", STYLE_WARN}},      {"ROLLED BACK", {"!", STYLE_WARN}},
        {"RETAINING", {"✓", STYLE_OK}},     {"BETWEEN PHASES", {">", STYLE_ACCENT}}, {"NOT STARTED", {"·", STYLE_DIM}},
        {"READ ONLY", {"!", STYLE_WARN}},
    };
    for (size_t i = 0; i < ARRAY_LEN(looks); i++)
        if (slice_is(state, looks[i].word)) return looks[i].look;
    return (struct phase_look){"?", STYLE_UNKNOWN};
}

struct phase_look phase_look_now(const struct ui *ui, struct slice state) {
    return ui->stale && phase_under_way(state) ? (struct phase_look){"~", STYLE_STALE} : phase_look(state);
}

bool phase_under_way(struct slice state) {
    return slice_is(state, "RUNNING") || slice_is(state, "WAITING") || slice_is(state, "PAUSED");
}

bool phase_in_trouble(struct slice state) {
    return slice_is(state, "FAILED") || slice_is(state, "INTERRUPTED");
}

static bool has_phases(const struct world *w, struct slice workload) {
    for (const struct row *r = world_first(w, T_PHASES); r; r = world_next(w, r))
        if (slice_eq(row_text(r, PHASES_WORKLOAD), workload)) return true;
    return false;
}

const struct row *phase_workload(const struct world *w) {
    size_t n;
    const struct row **rows = rows_sorted(w, T_PLAN_WORKLOADS, -1, false, &n), *best = NULL;
    int best_rank = -1;
    for (size_t i = 0; i < n; i++) {
        struct slice state = row_text(rows[i], PLAN_WORKLOADS_STATE);
        /* What has begun before what has not: 5 leads back to where one was. */
        bool begun = slice_is(state, "BETWEEN PHASES") || slice_is(state, "RETAINING");
        int rank = phase_under_way(state) ? 4 : phase_in_trouble(state) ? 3 : begun ? 2 : has_phases(w, row_key(rows[i])) ? 1 : 0;
        if (rank <= best_rank) continue;
        best = rows[i];
        best_rank = rank;
    }
    mem_free(rows);
    return best;
}

const struct row **phase_list(const struct world *w, struct slice workload, size_t *ret_n) {
    size_t n, kept = 0;
    const struct row **rows = rows_sorted(w, T_PHASES, PHASES_RANK, false, &n);
    for (size_t i = 0; i < n; i++) {
        bool unused = slice_is(row_text(rows[i], PHASES_NAME), "rollback") && slice_is(row_text(rows[i], PHASES_STATE), "TODO");
        if (slice_eq(row_text(rows[i], PHASES_WORKLOAD), workload) && !unused) rows[kept++] = rows[i];
    }
    *ret_n = kept;
    return rows;
}

const struct row **phase_steps(const struct world *w, struct slice workload, struct slice phase, size_t *ret_n) {
    size_t n, kept = 0;
    const struct row **rows = rows_sorted(w, T_STEPS, STEPS_RANK, false, &n);
    for (size_t i = 0; i < n; i++)
        if (slice_eq(row_text(rows[i], STEPS_WORKLOAD), workload) && slice_eq(row_text(rows[i], STEPS_PHASE), phase))
            rows[kept++] = rows[i];
    *ret_n = kept;
    return rows;
}

const struct row *phase_find(const struct world *w, struct slice workload, struct slice name) {
    for (const struct row *r = world_first(w, T_PHASES); r; r = world_next(w, r))
        if (slice_eq(row_text(r, PHASES_WORKLOAD), workload) && slice_eq(row_text(r, PHASES_NAME), name)) return r;
    return NULL;
}

const struct row *phase_step_now(const struct world *w, struct slice workload, struct slice phase) {
    const struct row *found = NULL;
    for (const struct row *r = world_first(w, T_STEPS); r; r = world_next(w, r)) {
        struct slice state = row_text(r, STEPS_STATE);
        if (!slice_eq(row_text(r, STEPS_WORKLOAD), workload) || !slice_eq(row_text(r, STEPS_PHASE), phase)) continue;
        if (slice_is(state, "DONE") || slice_is(state, "TODO")) continue;
        if (!found || row_int(r, STEPS_RANK, 0) > row_int(found, STEPS_RANK, 0)) found = r;
    }
    return found;
}

/* ---- Pods in their turns ----------------------------------------------------------------------------------------- */

bool phase_is_pod(const struct row *phase) {
    return slice_starts(row_text(phase, PHASES_NAME), "pod-");
}

bool phase_is_window(const struct row *phase) {
    return slice_starts(row_text(phase, PHASES_NAME), "window-");
}

/* Titles begin with it: "vault-0, follower: swap and rejoin", "vault-0: validation window". */
struct slice phase_pod(const struct row *phase) {
    struct slice title = row_text(phase, PHASES_TITLE), none = {NULL, 0};
    size_t n = 0;
    if (!phase_is_pod(phase) && !phase_is_window(phase)) return none;
    while (n < title.n && title.p[n] != ',' && title.p[n] != ':' && title.p[n] != ' ') n++;
    return n < title.n && title.p[n] != ' ' ? (struct slice){title.p, n} : none;
}

const struct row *phase_window_of(const struct row *const *phases, size_t n, const struct row *pod) {
    struct slice turn = row_text(pod, PHASES_NAME);
    turn = (struct slice){turn.p + 4, turn.n - 4}; /* behind "pod-" */
    for (size_t i = 0; i < n; i++) {
        struct slice name = row_text(phases[i], PHASES_NAME);
        if (phase_is_window(phases[i]) && slice_eq((struct slice){name.p + 7, name.n - 7}, turn)) return phases[i];
    }
    return NULL;
}

/* ---- Words ------------------------------------------------------------------------------------------------------- */

static void add_age(struct buf *out, const char *before, int64_t ms, const char *after) {
    char age[32];
    buf_printf(out, "%s%s%s", before, ms < 1000 ? "0s" : clock_format_age(ms, age, sizeof age), after);
}

static void add_by(const struct row *phase, struct buf *out) {
    struct slice by = row_text(phase, PHASES_BY);
    if (by.n) buf_printf(out, " · started by %.*s", SLICE_FMT(by));
    if (row_int(phase, PHASES_TRIES, 0) > 1) buf_printf(out, " · try %d", (int)row_int(phase, PHASES_TRIES, 0));
}

void phase_times(const struct world *w, const struct row *phase, struct buf *out) {
    struct slice state = row_text(phase, PHASES_STATE);
    int64_t started = row_int(phase, PHASES_STARTED, 0), ended = row_int(phase, PHASES_ENDED, 0), now = world_now(w);
    int64_t estimate = row_int(phase, PHASES_ESTIMATE, 0);
    if (phase_under_way(state) && started) {
        add_age(out, "for ", now - started, "");
        if (estimate) add_age(out, " of about ", estimate, "");
        add_by(phase, out);
    } else if (slice_is(state, "DONE") && started && ended) {
        add_age(out, "took ", ended - started, "");
        add_age(out, ", ended ", now - ended, " ago");
        add_by(phase, out);
    } else if (phase_in_trouble(state)) {
        if (ended || started) add_age(out, "", now - (ended ? ended : started), " ago");
        add_by(phase, out);
    } else if (estimate) {
        add_age(out, "may take about ", estimate, "");
    }
}

int phase_percent(const struct row *step) {
    int64_t done = row_int(step, STEPS_DONE, -1), total = row_int(step, STEPS_TOTAL, 0);
    if (done < 0 || total <= 0) return -1;
    if (slice_is(row_text(step, STEPS_STATE), "DONE")) return 100;
    if (done >= total) return 99;
    return (int)((double)done / (double)total * 100.0);
}

static void add_amount(struct buf *out, struct slice unit, int64_t n, bool named) {
    if (slice_is(unit, "bytes")) {
        format_bytes(out, n);
        return;
    }
    format_int(out, n);
    if (named && unit.n) buf_printf(out, " %.*s", SLICE_FMT(unit));
}

void phase_progress(const struct row *step, struct buf *out) {
    struct slice unit = row_text(step, STEPS_UNIT);
    int64_t done = row_int(step, STEPS_DONE, -1), total = row_int(step, STEPS_TOTAL, 0), left = row_int(step, STEPS_LEFT, -1);
    int percent = phase_percent(step);
    if (done < 0 || (done == 0 && total <= 0)) return;
    if (percent >= 0) buf_printf(out, "%d %%  ", percent);
    add_amount(out, unit, done, total <= 0);
    if (total > 0) {
        buf_adds(out, " of ");
        add_amount(out, unit, total, true);
    }
    if (left >= 0 && percent < 100) add_age(out, "  ~", left, " left");
}

void phase_deadline(const struct world *w, const struct row *step, struct buf *out) {
    int64_t deadline = row_int(step, STEPS_DEADLINE, 0), left = deadline - world_now(w);
    struct slice state = row_text(step, STEPS_STATE);
    if (!deadline || !(slice_is(state, "WAITING") || slice_is(state, "RUNNING"))) return;
    if (left > 0) add_age(out, "gives up in ", left, "");
    else buf_adds(out, "gives up now");
}
