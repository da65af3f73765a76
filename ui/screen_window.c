/* The validation window: its state as large as there is room for, a strip for each gate, what was covered and what was not, when it can
 * end and what comes then. Before the first one the screen says what a window is and when it begins. */
#include "base/clock.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "ui/console_private.h"
#include "ui/format.h"
#include "ui/phase_draw.h"
#include "ui/phase_view.h"
#include "ui/plan_help.h"
#include "ui/rows.h"
#include "ui/window_draw.h"
#include "ui/window_view.h"

#define ROOMY 26     /* rows of the screen from which the state has a band of three and events are shown */
#define GATE_ROWS 7
#define LATE_SAMPLES 3

struct window_screen {
    struct ui *ui;
    char *workload; /* that was asked for; NULL: the one that wants to be looked at */
};

static void *open_window(struct ui *ui, const struct screen_arg *arg) {
    struct window_screen *s = MEM_NEW(struct window_screen);
    (void)arg;
    s->ui = ui;
    return s;
}

static void close_window(void *state) {
    struct window_screen *s = state;
    mem_free(s->workload);
    mem_free(s);
}

/* ---- Before the first one ---------------------------------------------------------------------------------------- */

/* The first phase of the workload that is a window and is not behind it; NULL: none is known. */
static const struct row *next_window(const struct world *w, struct slice workload, const struct row **ret_before) {
    size_t n;
    const struct row **rows = phase_list(w, workload, &n), *found = NULL;
    for (size_t i = 0; i < n && !found; i++)
        if (slice_starts(row_text(rows[i], PHASES_NAME), "window") && !slice_is(row_text(rows[i], PHASES_STATE), "DONE")) {
            found = rows[i];
            *ret_before = i ? rows[i - 1] : NULL;
        }
    mem_free(rows);
    return found;
}

static void add_when(const struct world *w, const struct row *workload, struct buf *out) {
    const struct row *before = NULL, *window = next_window(w, row_key(workload), &before);
    struct slice state = row_text(workload, PLAN_WORKLOADS_STATE), next = row_text(workload, PLAN_WORKLOADS_PHASE);
    buf_printf(out, "\n\n%.*s: ", SLICE_FMT(row_key(workload)));
    if (!window) {
        buf_adds(out, "its phases are not known, so neither is when its first window begins.");
        return;
    }
    if (before) buf_printf(out, "the first window follows %.*s (%.*s). ", SLICE_FMT(row_text(before, PHASES_NAME)), SLICE_FMT(row_text(before, PHASES_TITLE)));
    buf_printf(out, "Now it is %.*s", SLICE_FMT(state));
    if (next.n) buf_printf(out, ", %s: %.*s", phase_under_way(state) ? "at" : "next", SLICE_FMT(next));
    buf_adds(out, "; 5 shows its phases.");
}

static void draw_empty(struct window_screen *s, struct rect r) {
    const struct world *w = s->ui->world;
    struct buf text = {0};
    size_t n, raft = 0;
    struct slice none = {NULL, 0};
    section_title(s->ui, r.y, r.x + 1, r.cols - 2, "WINDOW", none, NULL);
    struct rect page = {r.y + 2, r.x + 2, r.rows - 2, r.cols - 4};
    const struct row **rows = rows_sorted(w, T_PLAN_WORKLOADS, -1, false, &n);
    buf_adds(&text, "No window has begun.\n\nAfter each pod of a raft workload has moved to its new storage, a window watches over it before the next pod "
                    "may be touched. It passes when its whole duration has been covered by samples in which everything passed. Time that nobody "
                    "saw is never credited.\n\nvoters, caught up, unsealed, leader, write probe: a failure begins it again.\nalerts, http: a failure "
                    "stops its clock.");
    for (size_t i = 0; i < n; i++)
        if (slice_is(row_text(rows[i], PLAN_WORKLOADS_KIND), "raft-rolling")) {
            raft++;
            add_when(w, rows[i], &text);
        }
    mem_free(rows);
    if (raft) {
        section_text(s->ui, page, STYLE_NORMAL, buf_slice(&text));
    } else if (!world_count(w, T_PLAN)) {
        section_text(s->ui, page, STYLE_DIM, SLICE_LIT("Waiting for the engine."));
    } else {
        int used = section_text(s->ui, page, STYLE_NORMAL, SLICE_LIT("There is no window: they are of raft workloads, and the plan has none."));
        plan_help_draw(s->ui, (struct rect){page.y + used + 1, r.x, page.rows - used - 1, r.cols}, PLAN_HELP_RAFT);
    }
    buf_free(&text);
}

/* ---- The state --------------------------------------------------------------------------------------------------- */

static void draw_title(struct window_screen *s, struct rect r, const struct row *window) {
    struct draw *d = s->ui->draw;
    size_t n = world_count(s->ui->world, T_WINDOWS);
    int end = r.x + r.cols - 1, x = r.x + 1 + draw_str(d, r.y, r.x + 1, r.cols, STYLE_TITLE, "WINDOW") + 2;
    struct slice pod = row_text(window, WINDOWS_POD), phase = row_text(window, WINDOWS_PHASE);
    x += draw_text(d, r.y, x, end - x, STYLE_BOLD, pod.n ? pod : row_key(window));
    draw_fmt(d, r.y, x, end - x, STYLE_DIM, "  %.*s%s%.*s", SLICE_FMT(row_key(window)), phase.n ? " · " : "", SLICE_FMT(phase));
    if (n > 1 && end - x > 40) draw_fmt(d, r.y, end - 20, 20, STYLE_DIM, "Tab: next of %zu", n);
}

/* How old the last sample is, when that is more than it should be. */
static bool is_late(const struct world *w, const struct row *window) {
    int64_t sampled = row_int(window, WINDOWS_SAMPLED, 0), sample = row_int(window, WINDOWS_SAMPLE, 0);
    return sampled && sample && !window_view_over(row_text(window, WINDOWS_STATE)) && world_now(w) - sampled > LATE_SAMPLES * sample;
}

/* Bar between the words and the right edge, where there is room. */
static void draw_bar(struct window_screen *s, int y, int x, int end, int percent, enum style style) {
    struct draw *d = s->ui->draw;
    bool ascii = theme_ascii(draw_theme(d));
    int cols = end - x;
    if (cols < 10) return;
    for (int i = 0; i < cols; i++) {
        bool full = i < cols * percent / 100;
        draw_str(d, y, x + i, 1, full ? style : STYLE_DIM, full ? (ascii ? "#" : "█") : "·");
    }
}

/* One row, or three where there is room: the band of a state that must not be overlooked is as wide as the screen. */
static int draw_state(struct window_screen *s, struct rect r, const struct row *window) {
    struct draw *d = s->ui->draw;
    struct slice state = row_text(window, WINDOWS_STATE);
    struct window_look look = window_view_look(s->ui, state);
    struct buf text = {0};
    int rows = r.rows >= ROOMY ? 3 : 1, y = r.y + rows / 2, x = r.x + 1, end = r.x + r.cols - 1, percent = window_percent(window);
    bool band = look.band != STYLE_NORMAL;
    for (int i = 0; band && i < rows; i++) draw_fill(d, r.y + i, r.x, r.cols, look.band);
    buf_printf(&text, "%s %s%.*s", look.mark, s->ui->stale && !window_view_over(state) ? "was " : "", SLICE_FMT(state));
    x += draw_text(d, y, x, end - x, band ? look.band : look.style, buf_slice(&text)) + 3;
    buf_clear(&text);
    window_progress(window, &text);
    x += draw_text(d, y, x, end - x, band ? look.band : STYLE_BOLD, buf_slice(&text)) + 2;
    x += draw_fmt(d, y, x, end - x, band ? look.band : STYLE_BOLD, "%3d %%", percent) + 2;
    if (!band) draw_bar(s, y, x, end, percent, look.style);
    buf_free(&text);
    return rows;
}

/* ---- Numbers and keys -------------------------------------------------------------------------------------------- */

static void numbers(const struct row *window, struct buf *out) {
    buf_adds(out, "credited ");
    window_clock(out, row_int(window, WINDOWS_CREDITED, 0));
    buf_printf(out, "   failures %d   ", (int)row_int(window, WINDOWS_FAILURES, 0));
    window_gaps(window, out);
}

static void more_numbers(const struct world *w, const struct row *window, struct buf *out) {
    int64_t sampled = row_int(window, WINDOWS_SAMPLED, 0), sample = row_int(window, WINDOWS_SAMPLE, 0), age = world_now(w) - sampled;
    char text[32];
    buf_printf(out, "restarts %d   leader changes %d", (int)row_int(window, WINDOWS_RESTARTS, 0), (int)row_int(window, WINDOWS_LEADER_CHANGES, 0));
    if (!sampled) buf_adds(out, "   no sample yet");
    else if (!window_view_over(row_text(window, WINDOWS_STATE)))
        buf_printf(out, "   last sample %s ago", age < 1000 ? "0s" : clock_format_age(age, text, sizeof text));
    if (sampled && sample && !window_view_over(row_text(window, WINDOWS_STATE)))
        buf_printf(out, ", one each %s", sample < 1000 ? "second" : clock_format_age(sample, text, sizeof text));
}

static int draw_numbers(struct window_screen *s, int y, struct rect r, const struct row *window) {
    const struct world *w = s->ui->world;
    struct draw *d = s->ui->draw;
    struct buf text = {0};
    int x = r.x + 1, cols = r.cols - 2;
    numbers(window, &text);
    draw_text(d, y, x, cols, row_int(window, WINDOWS_FAILURES, 0) || row_int(window, WINDOWS_GAPS, 0) >= 1000 ? STYLE_WARN : STYLE_NORMAL, buf_slice(&text));
    buf_clear(&text);
    more_numbers(w, window, &text);
    draw_text(d, y + 1, x, cols, row_int(window, WINDOWS_RESTARTS, 0) || is_late(w, window) ? STYLE_WARN : STYLE_NORMAL, buf_slice(&text));
    buf_clear(&text);
    window_end(w, window, &text);
    draw_text(d, y + 2, x, cols, STYLE_BOLD, buf_slice(&text));
    buf_free(&text);
    return 3;
}

/* Why the key of a command does nothing now; NULL: it does. */
static const char *cannot_end(struct slice state) {
    if (window_view_over(state)) return "the window is over";
    if (slice_is(state, "ENDING EARLY")) return "it is ending already: three checks over 90 s, with a write probe";
    if (slice_is(state, "INTERRUPTED")) return "no engine is at work on it";
    return NULL;
}

static const char *cannot_credit(const struct row *window) {
    if (window_view_over(row_text(window, WINDOWS_STATE))) return "the window is over";
    return row_int(window, WINDOWS_CAN_CREDIT, 0) ? NULL : "no gap was too long: nothing was taken that could be given back";
}

static void draw_keys(struct window_screen *s, int y, struct rect r, const struct row *window) {
    struct slice none = {NULL, 0}, state = row_text(window, WINDOWS_STATE);
    struct buf why = {0};
    int x = r.x + 1, end = r.x + r.cols - 1;
    x = act_draw_key(s->ui, y, x, end, COMMAND_WINDOW_END, "end early", none, !cannot_end(state));
    x = act_draw_key(s->ui, y, x, end, COMMAND_WINDOW_CREDIT, "credit the gap", none, !cannot_credit(window));
    x = act_draw_key(s->ui, y, x, end, COMMAND_OPEN, "details", none, true);
    bool refused = act_refused(console_of(s->ui), COMMAND_WINDOW_END, &why);
    if (!refused && cannot_end(state)) buf_adds(&why, cannot_end(state));
    if (why.len && end - x > 12) draw_text(s->ui->draw, y, x, end - x, STYLE_WARN, buf_slice(&why));
    buf_free(&why);
}

/* What does not pass now, whole: beside the strips there is little room for it. */
static int draw_failing(struct window_screen *s, int y, struct rect r, struct slice workload) {
    size_t n;
    const struct row **gates = rows_sorted(s->ui->world, T_WINDOW_GATES, WINDOW_GATES_RANK, false, &n);
    int used = 0;
    for (size_t i = 0; i < n && used < r.rows; i++) {
        struct slice answer = row_text(gates[i], WINDOW_GATES_ANSWER), reason = row_text(gates[i], WINDOW_GATES_REASON);
        struct buf text = {0};
        if (!slice_eq(row_text(gates[i], WINDOW_GATES_WORKLOAD), workload) || !reason.n) continue;
        if (slice_is(answer, "PASS") || slice_is(answer, "NOT ASKED")) continue;
        buf_printf(&text, "%.*s: %.*s", SLICE_FMT(row_text(gates[i], WINDOW_GATES_NAME)), SLICE_FMT(reason));
        int x = r.x + 1 + (s->ui->stale ? draw_fmt(s->ui->draw, y + used, r.x + 1, 14, STYLE_DIM, "was %.*s", SLICE_FMT(answer))
                                        : draw_status(s->ui->draw, y + used, r.x + 1, 12, answer)) + 2;
        used += section_text(s->ui, (struct rect){y + used, x, 2, r.x + r.cols - x - 1}, STYLE_NORMAL, buf_slice(&text));
        buf_free(&text);
    }
    mem_free(gates);
    return used;
}

/* ---- The whole --------------------------------------------------------------------------------------------------- */

static int draw_reason(struct window_screen *s, int y, struct rect r, const struct row *window, int most) {
    struct slice reason = row_text(window, WINDOWS_REASON), state = row_text(window, WINDOWS_STATE);
    enum style style = slice_is(state, "FAILING") ? STYLE_BAD : window_in_trouble(state) ? STYLE_WARN : STYLE_NORMAL;
    if (!reason.n || most < 1) return 0;
    return section_text(s->ui, (struct rect){y, r.x + 1, most, r.cols - 2}, s->ui->stale ? STYLE_DIM : style, reason);
}

static void draw_window(void *state, struct rect r) {
    struct window_screen *s = state;
    struct draw *d = s->ui->draw;
    const struct row *window = window_row(s->ui->world, s->workload);
    if (!window) {
        draw_empty(s, r);
        return;
    }
    bool roomy = r.rows >= ROOMY;
    int gates = (int)rows_count(s->ui->world, T_WINDOW_GATES, WINDOW_GATES_WORKLOAD, row_key(window));
    int spare = r.rows - (1 + (roomy ? 3 : 1) + 1 + (gates ? gates : GATE_ROWS) + 3 + 1 + 1); /* beyond what is always shown */
    bool lines = spare >= 2;
    int y = r.y, keys = r.y + r.rows - 1;
    draw_title(s, r, window);
    y += 1 + draw_state(s, (struct rect){r.y + 1, r.x, r.rows, r.cols}, window);
    y += draw_reason(s, y, r, window, roomy ? 4 : spare > 4 ? 3 : lines ? spare - 2 < 2 ? spare - 2 : 2 : spare);
    if (lines) draw_hline(d, y++, r.x, r.cols);
    y += window_draw_strips(s->ui, (struct rect){y, r.x + 1, keys - y, r.cols - 2}, window);
    if (lines) draw_hline(d, y++, r.x, r.cols);
    if (y + 3 <= keys) y += draw_numbers(s, y, r, window);
    if (y < keys) window_draw_legend(s->ui, y++, r.x + 1, r.cols - 2);
    if (roomy && keys - y > 2) y += 1 + draw_failing(s, y + 1, (struct rect){y, r.x, keys - y - 2, r.cols}, row_key(window));
    if (roomy && keys - y > 4) phase_draw_events(s->ui, (struct rect){y + 1, r.x + 1, keys - y - 2, r.cols - 2}, row_key(window));
    draw_keys(s, keys, r, window);
}

static void next_workload(struct window_screen *s, long step) {
    size_t n, i = 0;
    const struct row **rows = rows_sorted(s->ui->world, T_WINDOWS, -1, false, &n), *at = window_row(s->ui->world, s->workload);
    while (i < n && rows[i] != at) i++;
    if (n > 1) str_set(&s->workload, NULL);
    if (n > 1) s->workload = slice_dup(row_key(rows[(i + n + (size_t)(step + (long)n)) % n]));
    mem_free(rows);
}

static void refuse(struct window_screen *s, const char *why) {
    ui_message(s->ui, STYLE_WARN, "%s", why);
}

static bool act(struct window_screen *s, const struct row *window, enum command c) {
    const char *why = c == COMMAND_WINDOW_END ? cannot_end(row_text(window, WINDOWS_STATE)) : cannot_credit(window);
    if (why) refuse(s, why);
    else if (c == COMMAND_WINDOW_END) act_end_window(console_of(s->ui), row_key(window));
    else act_credit_gap(console_of(s->ui), row_key(window));
    return true;
}

static bool command_window(void *state, enum command c) {
    struct window_screen *s = state;
    const struct row *window = window_row(s->ui->world, s->workload);
    if (!window && command_is_local(c)) refuse(s, "no window has begun");
    if (!window) return command_is_local(c);
    switch ((int)c) {
    case COMMAND_WINDOW_END:
    case COMMAND_WINDOW_CREDIT: return act(s, window, c);
    case COMMAND_NEXT_PANE: next_workload(s, 1); return true;
    case COMMAND_PREVIOUS_PANE: next_workload(s, -1); return true;
    case COMMAND_OPEN: ui_open_row(s->ui, window); return true;
    default: return false;
    }
}

static bool copy_window(void *state, struct buf *out) {
    struct window_screen *s = state;
    const struct row *window = window_row(s->ui->world, s->workload);
    if (!window) return false;
    buf_printf(out, "%.*s %.*s ", SLICE_FMT(row_text(window, WINDOWS_POD)), SLICE_FMT(row_text(window, WINDOWS_STATE)));
    window_progress(window, out);
    return true;
}

const struct screen_ops screen_window = {
    .id = "window", .title = "window", .go = COMMAND_WINDOW, .root = true, .open = open_window, .close = close_window,
    .draw = draw_window, .command = command_window, .copy = copy_window, .group = COMMAND_GROUP_WINDOW,
};
