#include "ui/phase_draw.h"

#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "ui/format.h"
#include "ui/phase_view.h"
#include "ui/rows.h"
#include "ui/screen.h"
#include "world/status.h"

#define BAR_MIN 8
#define BAR_MAX 40
#define NAME_COLS 28
#define RIGHT_COLS 18 /* "INTERRUPTED 3m12s" */
#define BESIDE_MIN 24
#define EVENTS_MAX 12
#define CRITERIA_MAX 16

/* ---- Phases ------------------------------------------------------------------------------------------------------ */

/* What stands behind a phase's name: how long it took, what state it is in when that says more. */
static void short_state(const struct world *w, const struct row *p, struct buf *out) {
    struct slice state = row_text(p, PHASES_STATE);
    int64_t started = row_int(p, PHASES_STARTED, 0), ended = row_int(p, PHASES_ENDED, 0);
    char age[32];
    if (slice_is(state, "TODO") || slice_is(state, "NOT YET")) return;
    if (slice_is(state, "DONE") && started && ended) buf_adds(out, ended - started < 1000 ? "0s" : clock_format_age(ended - started, age, sizeof age));
    else buf_printf(out, "%.*s", SLICE_FMT(state));
    int64_t ms = world_now(w) - started;
    if (slice_is(state, "RUNNING") && started) buf_printf(out, " %s", ms < 1000 ? "0s" : clock_format_age(ms, age, sizeof age));
}

/* The first of n things that is shown where `rows` have room, so that the selected one is among them, somewhere in the middle. */
static size_t first_shown(size_t n, size_t rows, size_t selected) {
    if (n <= rows || selected < rows / 2) return 0;
    return selected - rows / 2 + rows > n ? n - rows : selected - rows / 2;
}

static size_t index_of(const struct row *const *phases, size_t n, const struct row *phase) {
    size_t i = 0;
    while (i < n && phases[i] != phase) i++;
    return i < n ? i : 0;
}

static void draw_column_row(struct ui *ui, int y, struct rect r, const struct row *phase, bool selected) {
    struct draw *d = ui->draw;
    struct phase_look look = phase_look_now(ui, row_text(phase, PHASES_STATE));
    struct slice pod = phase_pod(phase);
    struct buf text = {0};
    enum style s = look.style == STYLE_DIM ? STYLE_DIM : STYLE_NORMAL;
    short_state(ui->world, phase, &text);
    int right = (int)utf8_columns(buf_slice(&text)), end = r.x + r.cols - 1 - right;
    draw_str(d, y, r.x, 1, look.style, look.mark);
    int x = r.x + 2 + draw_text(d, y, r.x + 2, end - r.x - 2, s, row_text(phase, PHASES_NAME));
    if (pod.n && end - x > (int)utf8_columns(pod) + 1) draw_text(d, y, x + 1, end - x - 1, STYLE_DIM, pod);
    draw_right(d, y, r.x, r.cols - 1, look.style == STYLE_OK ? STYLE_DIM : look.style, buf_slice(&text));
    if (selected) draw_overlay(d, y, r.x + 2, r.cols - 3, STYLE_SELECTED);
    buf_free(&text);
}

void phase_draw_column(struct ui *ui, struct rect r, const struct row *const *phases, size_t n, const struct row *selected) {
    size_t rows = r.rows > 0 ? (size_t)r.rows : 0, first = first_shown(n, rows, index_of(phases, n, selected));
    for (size_t i = first; i < n && i - first < rows; i++) draw_column_row(ui, r.y + (int)(i - first), r, phases[i], phases[i] == selected);
}

static int strip_cols(const struct row *phase) {
    return (int)utf8_columns(row_text(phase, PHASES_NAME)) + 2;
}

/* Where phase i stands: its column, and the row of the strip as if that had room for all. */
static int strip_row(struct rect r, const struct row *const *phases, size_t i, int *ret_x) {
    int x = r.x, y = 0;
    for (size_t k = 0; k <= i; k++) {
        if (k) x += strip_cols(phases[k - 1]) + 3;
        if (x + strip_cols(phases[k]) <= r.x + r.cols) continue;
        x = r.x;
        y++;
    }
    *ret_x = x;
    return y;
}

int phase_draw_strip(struct ui *ui, struct rect r, const struct row *const *phases, size_t n, const struct row *selected) {
    struct draw *d = ui->draw;
    int x, all = n ? strip_row(r, phases, n - 1, &x) + 1 : 1, rows = all < r.rows ? all : r.rows;
    size_t at = n ? (size_t)strip_row(r, phases, index_of(phases, n, selected), &x) : 0;
    int first = (int)first_shown((size_t)all, (size_t)rows, at);
    for (size_t i = 0; i < n; i++) {
        int y = r.y + strip_row(r, phases, i, &x) - first, cols = strip_cols(phases[i]);
        struct phase_look look = phase_look_now(ui, row_text(phases[i], PHASES_STATE));
        if (y < r.y || y >= r.y + rows) continue;
        draw_str(d, y, x, 1, look.style, look.mark);
        draw_text(d, y, x + 2, cols - 2, look.style == STYLE_DIM ? STYLE_DIM : STYLE_NORMAL, row_text(phases[i], PHASES_NAME));
        if (phases[i] == selected) draw_overlay(d, y, x + 2, cols - 2, STYLE_SELECTED);
    }
    return rows;
}

static bool is_below(const struct row *r, struct slice key) {
    struct slice own = row_key(r);
    return own.n > key.n && own.p[key.n] == '/' && memcmp(own.p, key.p, key.n) == 0;
}

/* ---- Steps ------------------------------------------------------------------------------------------------------- */

/* A bar that is full only when the step is done. */
static int draw_bar(struct ui *ui, int y, int x, int cols, int percent) {
    static const char *const parts[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
    struct draw *d = ui->draw;
    int eighths = cols * 8 * percent / 100, used = eighths / 8;
    for (int i = 0; i < used; i++) draw_str(d, y, x + i, 1, STYLE_BUSY, "█");
    if (eighths % 8) draw_str(d, y, x + used++, 1, STYLE_BUSY, parts[eighths % 8]);
    for (int i = used; i < cols; i++) draw_str(d, y, x + i, 1, STYLE_DIM, "·");
    return cols;
}

/* Behind the title: the bar and the numbers, or how long it took, or since when it waits. */
static void draw_step_right(struct ui *ui, int y, int x, int cols, const struct row *step) {
    struct buf text = {0};
    struct slice state = row_text(step, STEPS_STATE);
    int64_t since = row_int(step, STEPS_SINCE, 0), ended = row_int(step, STEPS_ENDED, 0);
    int percent = phase_percent(step);
    char age[32];
    bool done = slice_is(state, "DONE");
    if (done && since && ended) buf_printf(&text, "%s", ended - since < 1000 ? "0s" : clock_format_age(ended - since, age, sizeof age));
    else if (!done) phase_progress(step, &text);
    if (!text.len && !done && since) {
        int64_t ms = world_now(ui->world) - since;
        struct phase_look look = phase_look_now(ui, state);
        buf_printf(&text, "%.*s %s", SLICE_FMT(state), ms < 1000 ? "0s" : clock_format_age(ms, age, sizeof age));
        draw_right(ui->draw, y, x, cols, look.style, buf_slice(&text));
    } else if (percent >= 0 && !done) {
        int words = (int)utf8_columns(buf_slice(&text)), bar = cols - words - 2;
        if (bar > BAR_MAX) bar = BAR_MAX;
        if (bar >= BAR_MIN) x += draw_bar(ui, y, x, bar, percent) + 1;
        draw_text(ui->draw, y, x, cols, STYLE_NORMAL, buf_slice(&text));
    } else {
        draw_right(ui->draw, y, x, cols, done ? STYLE_DIM : STYLE_NORMAL, buf_slice(&text));
    }
    buf_free(&text);
}

struct steps_look {
    bool roomy;     /* each may have a row for its detail */
    bool told;      /* why one failed stands with the phase */
    int title_cols; /* of the longest title, within reason: details beside them line up */
};

/* What a step that is done has found. Where it looked at one thing, that thing is in its title already. */
static struct slice said(const struct world *w, const struct row *step) {
    struct slice detail = row_text(step, STEPS_DETAIL), only = {NULL, 0};
    size_t n = 0;
    for (const struct row *r = world_first(w, T_RESULTS); r && n < 2; r = world_next(w, r))
        if (is_below(r, row_key(step))) {
            n++;
            only = row_text(r, RESULTS_TEXT);
        }
    bool ends = only.n && detail.n > only.n && memcmp(detail.p + detail.n - only.n, only.p, only.n) == 0;
    return n == 1 && ends ? only : detail;
}

/* Detail and deadline below the title; a step that is done keeps its detail in one row. Returns the rows used. */
static int draw_detail(struct ui *ui, struct rect r, const struct row *step, int most) {
    struct slice state = row_text(step, STEPS_STATE), detail = slice_is(state, "DONE") ? said(ui->world, step) : row_text(step, STEPS_DETAIL);
    struct buf text = {0}, deadline = {0};
    bool bad = slice_is(state, "FAILED"), no_way_back = slice_starts(detail, "NO WAY BACK") && !slice_is(state, "DONE");
    enum style s = no_way_back ? STYLE_BANNER_BAD : bad ? STYLE_BAD : slice_is(state, "WAITING") ? STYLE_WARN : STYLE_DIM;
    if (slice_is(state, "WAITING") && detail.n && !slice_starts(detail, "wait")) buf_adds(&text, "waits: ");
    buf_add_slice(&text, detail);
    phase_deadline(ui->world, step, &deadline);
    if (deadline.len) buf_printf(&text, "%s%s", text.len ? " · " : "", buf_str(&deadline));
    if (r.rows > most) r.rows = most;
    int used = section_text(ui, r, s, buf_slice(&text));
    buf_free(&deadline);
    buf_free(&text);
    return used;
}

static int draw_step(struct ui *ui, struct rect r, const struct row *step, size_t number, const struct steps_look *how) {
    struct draw *d = ui->draw;
    struct slice state = row_text(step, STEPS_STATE);
    struct phase_look look = phase_look_now(ui, state);
    bool todo = slice_is(state, "TODO"), done = slice_is(state, "DONE");
    bool bar = !done && phase_percent(step) >= 0;
    int name = !bar ? r.cols - RIGHT_COLS : r.cols > 100 ? NAME_COLS + 12 : NAME_COLS;
    draw_str(d, r.y, r.x, 1, look.style, look.mark);
    draw_fmt(d, r.y, r.x + 2, 3, STYLE_DIM, "%2zu", number);
    draw_text(d, r.y, r.x + 5, name - 6, todo ? STYLE_DIM : done ? STYLE_NORMAL : STYLE_BOLD, row_text(step, STEPS_TITLE));
    if (todo) return 1;
    draw_step_right(ui, r.y, r.x + name, r.cols - name, step);
    if (done && !how->roomy) { /* beside its title, where title and time leave room */
        int x = r.x + 7 + how->title_cols;
        if (r.x + r.cols - x > BESIDE_MIN) {
            draw_fill(d, r.y, x - 2, r.x + r.cols - x - 6, STYLE_NORMAL);
            draw_text(d, r.y, x, r.x + r.cols - x - 8, STYLE_DIM, said(ui->world, step));
        }
        return 1;
    }
    if (slice_is(state, "FAILED") && how->told) return 1;
    int used = draw_detail(ui, (struct rect){r.y + 1, r.x + 5, r.rows - 1, r.cols - 5}, step, done ? 1 : 4);
    return 1 + (used < 2 && phase_under_way(state) ? 2 : used); /* what is below rests when a word more is said */
}

/* The state in one line, and what came of it or is waited for. Returns the rows used. */
static int draw_head(struct ui *ui, struct rect r, const struct row *phase) {
    struct draw *d = ui->draw;
    struct slice state = row_text(phase, PHASES_STATE), reason = row_text(phase, PHASES_REASON);
    struct phase_look look = phase_look_now(ui, state);
    struct buf text = {0};
    int x = r.x + draw_str(d, r.y, r.x, 1, look.style, look.mark) + 1;
    if (ui->stale) x += draw_str(d, r.y, x, 4, STYLE_STALE, "was") + 1;
    x += draw_text(d, r.y, x, 14, look.style, state) + 2;
    x += draw_text(d, r.y, x, r.x + r.cols - x, STYLE_BOLD, row_text(phase, PHASES_TITLE)) + 2;
    phase_times(ui->world, phase, &text);
    draw_text(d, r.y, x, r.x + r.cols - x, STYLE_NORMAL, buf_slice(&text));
    buf_free(&text);
    if (!reason.n && slice_is(state, "DONE") && slice_is(row_text(phase, PHASES_NAME), "rollback"))
        reason = SLICE_LIT("the old copy serves again; another try begins with preflight");
    if (!reason.n && slice_is(state, "INTERRUPTED"))
        reason = SLICE_LIT("its engine ended while it was under way: what was done is found again, and not repeated");
    bool bad = slice_is(state, "FAILED"), quiet = slice_is(state, "DONE") || slice_is(state, "NOT NEEDED") || slice_is(state, "SKIPPED");
    return 1 + section_text(ui, (struct rect){r.y + 1, r.x + 2, r.rows > 6 ? 4 : 2, r.cols - 2}, bad ? STYLE_BAD : quiet ? STYLE_DIM : STYLE_WARN, reason);
}

/* What starting it would ask for. */
static int draw_stake(struct ui *ui, struct rect r, const struct row *phase) {
    struct slice state = row_text(phase, PHASES_STATE), stake = row_text(phase, PHASES_STAKE), typed = row_text(phase, PHASES_TYPED);
    struct buf text = {0};
    if (slice_is(state, "DONE") || phase_under_way(state) || !stake.n) return 0;
    buf_printf(&text, "%.*s", SLICE_FMT(stake));
    if (typed.n) buf_printf(&text, ": its dialog asks for %.*s", SLICE_FMT(typed));
    int used = section_text(ui, (struct rect){r.y, r.x + 2, 1, r.cols - 2}, STYLE_DIM, buf_slice(&text));
    buf_free(&text);
    return used;
}

/* ---- Below the steps, where there is room ------------------------------------------------------------------------ */

static void draw_heading(struct ui *ui, struct rect r, const char *title) {
    draw_str(ui->draw, r.y, r.x, r.cols, STYLE_COLUMN, title);
}

/* The checklist of a phase that is over, or as much of it as there is room for: what its steps found and did; false: nothing. */
static bool draw_results(struct ui *ui, struct rect r, const struct row *phase) {
    size_t n, nsteps, shown = 0;
    const struct row **rows = rows_sorted(ui->world, T_RESULTS, -1, false, &n);
    const struct row **steps = phase_steps(ui->world, row_text(phase, PHASES_WORKLOAD), row_text(phase, PHASES_NAME), &nsteps);
    for (size_t k = 0; k < nsteps; k++)
        for (size_t i = 0; i < n && (int)shown + 1 < r.rows; i++) {
            int y = r.y + 1 + (int)shown, what = r.cols * 11 / 20;
            if (!is_below(rows[i], row_key(steps[k]))) continue;
            if (!shown++) draw_heading(ui, r, "FOUND AND DONE");
            draw_text(ui->draw, y, r.x, what - 2, row_int(rows[i], RESULTS_ACT, 0) ? STYLE_BOLD : STYLE_NORMAL, row_text(rows[i], RESULTS_WHAT));
            draw_text(ui->draw, y, r.x + what, r.cols - what, STYLE_DIM, row_text(rows[i], RESULTS_TEXT));
        }
    mem_free(steps);
    mem_free(rows);
    return shown > 0;
}

/* The last lines of the timeline about this workload, newest first. */
void phase_draw_events(struct ui *ui, struct rect r, struct slice workload) {
    size_t n, shown = 0;
    const struct row **rows = rows_sorted(ui->world, T_TIMELINE, TIMELINE_AT, true, &n);
    for (size_t i = 0; i < n && shown < EVENTS_MAX && (int)shown + 1 < r.rows; i++) {
        struct buf at = {0};
        int y = r.y + 1 + (int)shown;
        enum level level = status_level(row_text(rows[i], TIMELINE_LEVEL));
        if (!slice_eq(row_text(rows[i], TIMELINE_OBJECT), workload) && !slice_is(row_text(rows[i], TIMELINE_OBJECT), "note")) continue;
        if (!shown++) draw_heading(ui, r, "EVENTS");
        format_hms(&at, row_int(rows[i], TIMELINE_AT, 0));
        buf_addc(&at, 'Z');
        draw_glyph(ui->draw, y, r.x, theme_level_style(level), theme_level_glyph(level));
        draw_text(ui->draw, y, r.x + 2, 9, STYLE_DIM, buf_slice(&at));
        draw_text(ui->draw, y, r.x + 12, r.cols - 12, STYLE_NORMAL, row_text(rows[i], TIMELINE_TEXT));
        buf_free(&at);
    }
    mem_free(rows);
}

void phase_draw_one(struct ui *ui, struct rect r, const struct row *phase) {
    size_t n, first = 0;
    const struct row **steps = phase_steps(ui->world, row_text(phase, PHASES_WORKLOAD), row_text(phase, PHASES_NAME), &n);
    int y = r.y + draw_head(ui, r, phase), end = r.y + r.rows;
    y += draw_stake(ui, (struct rect){y, r.x, end - y, r.cols}, phase);
    if (n && end - y > (int)n + 4) y++;
    struct steps_look how = {.roomy = end - y >= 2 * (int)n + 2, .told = row_text(phase, PHASES_REASON).n > 0};
    for (size_t i = 0; i < n; i++) {
        int cols = (int)utf8_columns(row_text(steps[i], STEPS_TITLE));
        if (cols > how.title_cols) how.title_cols = cols < r.cols * 2 / 5 ? cols : r.cols * 2 / 5;
    }
    /* the step at work is always seen: steps before it give way */
    for (size_t i = 0; i < n && !how.roomy; i++)
        if (!slice_is(row_text(steps[i], STEPS_STATE), "TODO") && (int)(i - first) + 5 > end - y) first = i + 5 > (size_t)(end - y) ? i + 5 - (size_t)(end - y) : 0;
    if (first) draw_fmt(ui->draw, y++, r.x + 5, r.cols - 5, STYLE_DIM, "%zu steps before: Enter shows all", first);
    for (size_t i = first; i < n && y < end; i++) y += draw_step(ui, (struct rect){y, r.x, end - y, r.cols}, steps[i], i + 1, &how);
    mem_free(steps);
    struct rect rest = {y + 1, r.x, end - y - 1, r.cols};
    bool over = slice_is(row_text(phase, PHASES_STATE), "DONE") || slice_is(row_text(phase, PHASES_STATE), "FAILED");
    if (rest.rows > 3 && !(over && draw_results(ui, rest, phase))) phase_draw_events(ui, rest, row_text(phase, PHASES_WORKLOAD));
}

/* ---- Around it --------------------------------------------------------------------------------------------------- */

static enum style lock_text(const struct world *w, struct slice workload, struct buf *out) {
    const struct row *r = world_find(w, T_LOCKS, workload);
    struct slice state = r ? row_text(r, LOCKS_STATE) : (struct slice){NULL, 0}, reason = r ? row_text(r, LOCKS_REASON) : state;
    int64_t since = r ? row_int(r, LOCKS_SINCE, 0) : 0;
    if (!r) return STYLE_DIM;
    struct slice holder = row_text(r, LOCKS_HOLDER);
    if (slice_is(state, "OURS")) buf_adds(out, "ours");
    else if (slice_is(state, "FREE")) buf_adds(out, "free: nobody acts on it");
    else if (slice_is(state, "HELD")) buf_printf(out, "HELD by %.*s", SLICE_FMT(holder.n ? holder : SLICE_LIT("another")));
    else buf_printf(out, "%.*s", SLICE_FMT(state));
    if (since && !slice_is(state, "FREE")) {
        buf_adds(out, ", for ");
        if (world_now(w) - since < 1000) buf_adds(out, "0s");
        else format_age(out, world_now(w), since);
    }
    if (slice_is(state, "HELD")) buf_adds(out, ": only they may act");
    else if (reason.n) buf_printf(out, ": %.*s", SLICE_FMT(reason));
    if (!slice_is(state, "FREE") && row_text(r, LOCKS_NAME).n)
        buf_printf(out, " · Lease %.*s/%.*s", SLICE_FMT(row_text(r, LOCKS_NAMESPACE)), SLICE_FMT(row_text(r, LOCKS_NAME)));
    return slice_is(state, "LOST") ? STYLE_BAD : slice_is(state, "OURS") || slice_is(state, "FREE") ? STYLE_NORMAL : STYLE_WARN;
}

static enum style tombstone_text(const struct world *w, const struct row *workload, struct buf *out) {
    struct slice claim = row_text(workload, PLAN_WORKLOADS_TOMBSTONE);
    int64_t until = row_int(workload, PLAN_WORKLOADS_RETAIN_UNTIL, 0), left = until - world_now(w);
    char age[32];
    if (!claim.n) return STYLE_DIM;
    if (slice_is(row_text(workload, PLAN_WORKLOADS_STATE), "DONE")) {
        buf_printf(out, "%.*s was removed at the end of its time", SLICE_FMT(claim));
        return STYLE_DIM;
    }
    buf_printf(out, "%.*s is kept", SLICE_FMT(claim));
    if (!until) return STYLE_NORMAL;
    if (left <= 0) {
        buf_printf(out, "; its time ended %s ago: clean up may begin", clock_format_age(-left, age, sizeof age));
        return STYLE_WARN;
    }
    buf_printf(out, " %s more, until ", clock_format_age(left, age, sizeof age));
    format_utc(out, until);
    return STYLE_NORMAL;
}

static int put(struct ui *ui, int y, struct rect r, const char *label, enum style s, const struct buf *text) {
    draw_str(ui->draw, y, r.x, 10, STYLE_DIM, label);
    draw_text(ui->draw, y, r.x + 11, r.cols - 11, s, buf_slice(text));
    return 1;
}

/* What was judged and holds: all of it where there is room, else how many and what fails. Returns the rows, with draw only
 * when y is on the screen. */
static int draw_criteria(struct ui *ui, int y, struct rect r, struct slice workload, int room, bool draw) {
    size_t n, kept = 0, pass = 0;
    const struct row **rows = rows_sorted(ui->world, T_CRITERIA, CRITERIA_RANK, false, &n);
    for (size_t i = 0; i < n; i++) {
        if (!slice_eq(row_text(rows[i], CRITERIA_WORKLOAD), workload)) continue;
        pass += slice_is(row_text(rows[i], CRITERIA_STATE), "PASS");
        rows[kept++] = rows[i];
    }
    int used = !kept ? 0 : (int)kept <= room ? (int)kept : 1;
    struct buf text = {0};
    if (draw && used == 1 && kept > 1) {
        buf_printf(&text, "%zu of %zu hold", pass, kept);
        for (size_t i = 0; i < kept; i++)
            if (!slice_is(row_text(rows[i], CRITERIA_STATE), "PASS")) buf_printf(&text, " · ✗ %.*s", SLICE_FMT(row_text(rows[i], CRITERIA_NAME)));
        put(ui, y, r, "verified", pass == kept ? STYLE_NORMAL : STYLE_BAD, &text);
    }
    for (size_t i = 0; draw && i < kept && used == (int)kept; i++) {
        bool passed = slice_is(row_text(rows[i], CRITERIA_STATE), "PASS");
        buf_clear(&text);
        buf_printf(&text, "%s %.*s", passed ? "✓" : "✗", SLICE_FMT(row_text(rows[i], CRITERIA_NAME)));
        if (row_text(rows[i], CRITERIA_TEXT).n) buf_printf(&text, "   %.*s", SLICE_FMT(row_text(rows[i], CRITERIA_TEXT)));
        put(ui, y + (int)i, r, i ? "" : "verified", passed ? STYLE_NORMAL : STYLE_BAD, &text);
    }
    buf_free(&text);
    mem_free(rows);
    return used;
}

int phase_draw_around(struct ui *ui, struct rect r, const struct row *workload) {
    struct buf lock = {0}, tombstone = {0};
    enum style lock_style = lock_text(ui->world, row_key(workload), &lock), tomb_style = tombstone_text(ui->world, workload, &tombstone);
    int room = r.rows / 2 < CRITERIA_MAX ? r.rows / 3 : CRITERIA_MAX;
    int rows = (lock.len > 0) + (tombstone.len > 0) + draw_criteria(ui, 0, r, row_key(workload), room, false);
    int y = r.y + r.rows - rows;
    if (rows) draw_hline(ui->draw, y - 1, r.x - 1, r.cols + 2);
    y += draw_criteria(ui, y, r, row_key(workload), room, true);
    if (tombstone.len) y += put(ui, y, r, "old copy", tomb_style, &tombstone);
    if (lock.len) put(ui, y, r, "lock", lock_style, &lock);
    buf_free(&lock);
    buf_free(&tombstone);
    return rows ? rows + 1 : 0;
}
