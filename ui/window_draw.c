/* Strips. The engine keeps one character for each bucket of time since the window first began (world/tables.def, WINDOW_GATES.strip), the
 * newest last; a column of the screen shows the worst of the buckets that it covers. Time that is still to come is dots; time after the
 * last sample, while the window should be at work, is no data: what was not seen is never shown as passed. */
#include "ui/window_draw.h"

#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "ui/rows.h"
#include "ui/screen.h"
#include "ui/window_view.h"

#define LABEL_COLS 15  /* mark, name, a blank at each side */
#define NOTE_MIN 17
#define LATE_SAMPLES 3 /* so many periods without a sample are a gap */

enum mark { MARK_TODO, MARK_PASS, MARK_LATE, MARK_STOPPED, MARK_NO_DATA, MARK_FAIL }; /* each is worse than the one before */

static const struct {
    const char *utf8, *ascii, *word;
    enum style style;
} marks[] = {
    [MARK_TODO] = {"·", "-", "to come", STYLE_DIM},
    [MARK_PASS] = {"█", "#", "pass", STYLE_OK},
    [MARK_LATE] = {"▓", "L", "late", STYLE_WARN},
    [MARK_STOPPED] = {"!", "!", "fail, clock stopped", STYLE_WARN},
    [MARK_NO_DATA] = {"░", "?", "no data, clock stopped", STYLE_UNKNOWN},
    [MARK_FAIL] = {"✗", "X", "fail, began again", STYLE_BAD},
};

static const char *mark_text(const struct ui *ui, enum mark m) {
    return theme_ascii(draw_theme(ui->draw)) ? marks[m].ascii : marks[m].utf8;
}

static enum mark mark_of(char c) {
    return c == 'p' ? MARK_PASS : c == 'l' ? MARK_LATE : c == 's' ? MARK_STOPPED : c == 'x' ? MARK_FAIL : MARK_NO_DATA;
}

/* Time and its columns. */
struct scale {
    int64_t start, end, bucket; /* ms */
    int64_t seen, gone;         /* buckets: that have a character, that have passed */
    int x, cols;
};

static int64_t strip_length(const struct world *w, struct slice workload) {
    size_t n = 0;
    for (const struct row *r = world_first(w, T_WINDOW_GATES); r; r = world_next(w, r)) {
        struct slice strip = row_text(r, WINDOW_GATES_STRIP);
        if (slice_eq(row_text(r, WINDOW_GATES_WORKLOAD), workload) && strip.n > n) n = strip.n;
    }
    return (int64_t)n;
}

/* The newest bucket holds the last sample; unless the window began again, the first one begins where it began. */
static struct scale scale_of(const struct world *w, const struct row *window, int x, int cols) {
    struct scale s = {.x = x, .cols = cols};
    struct slice state = row_text(window, WINDOWS_STATE);
    int64_t now = world_now(w), sampled = row_int(window, WINDOWS_SAMPLED, now), sample = row_int(window, WINDOWS_SAMPLE, 10000);
    int64_t duration = row_int(window, WINDOWS_DURATION, 0), started = row_int(window, WINDOWS_STARTED, 0);
    s.bucket = row_int(window, WINDOWS_BUCKET, 0);
    if (s.bucket < 1) s.bucket = duration > 96 ? duration / 96 : 1;
    s.seen = strip_length(w, row_text(window, WINDOWS_WORKLOAD));
    bool began_once = row_int(window, WINDOWS_RESTARTS, 0) == 0 && started && started <= sampled;
    s.start = began_once ? started : sampled - s.seen * s.bucket + s.bucket / 2;
    s.gone = s.seen;
    if (!window_view_over(state) && now - sampled > LATE_SAMPLES * sample) s.gone = (now - s.start) / s.bucket + 1;
    if (s.gone < s.seen) s.gone = s.seen;
    s.end = s.start + (s.gone > 0 ? s.gone : 1) * s.bucket;
    if (window_view_over(state)) return s;
    int64_t earliest = row_int(window, WINDOWS_EARLIEST, s.start + duration);
    if (earliest > s.end) s.end = earliest;
    return s;
}

static int64_t bucket_at(const struct scale *s, int col) {
    return (s->end - s->start) * col / s->cols / s->bucket;
}

static enum mark mark_at(const struct scale *s, struct slice strip, int col) {
    int64_t first = bucket_at(s, col), last = bucket_at(s, col + 1);
    enum mark worst = MARK_TODO;
    if (last <= first) last = first + 1;
    for (int64_t b = first; b < last && b < s->gone; b++) {
        enum mark m = b < (int64_t)strip.n ? mark_of(strip.p[b]) : MARK_NO_DATA;
        if (m > worst) worst = m;
    }
    return worst;
}

static void draw_strip(struct ui *ui, int y, const struct scale *s, struct slice strip, bool asked) {
    for (int i = 0; i < s->cols; i++) {
        enum mark m = asked ? mark_at(s, strip, i) : MARK_TODO;
        draw_str(ui->draw, y, s->x + i, 1, ui->stale ? STYLE_DIM : marks[m].style, asked ? mark_text(ui, m) : " ");
    }
}

/* ---- The axis ---------------------------------------------------------------------------------------------------- */

#define S_MS INT64_C(1000)
#define MIN_MS (60 * S_MS)
#define HOUR_MS (60 * MIN_MS)

/* "16", "16:30", "16:30:05", "04-26": as much as the step needs. */
static void time_text(int64_t at, int64_t step, char *out, size_t size) {
    char utc[40];
    clock_format_utc(at, utc, sizeof utc); /* 2026-04-25T16:18:03Z */
    int from = step >= 24 * HOUR_MS ? 5 : 11, cols = step >= 24 * HOUR_MS ? 5 : step >= HOUR_MS ? 2 : step >= MIN_MS ? 5 : 8;
    size_t n = (size_t)cols < size ? (size_t)cols : size - 1;
    memcpy(out, utc + from, n);
    out[n] = '\0';
}

static int64_t step_for(const struct scale *s) {
    static const int64_t steps[] = {5 * S_MS, 15 * S_MS, 30 * S_MS, MIN_MS, 2 * MIN_MS, 5 * MIN_MS, 10 * MIN_MS, 15 * MIN_MS, 30 * MIN_MS,
                                    HOUR_MS, 2 * HOUR_MS, 3 * HOUR_MS, 4 * HOUR_MS, 6 * HOUR_MS, 12 * HOUR_MS, 24 * HOUR_MS};
    char text[12];
    size_t i = 0;
    for (; i + 1 < ARRAY_LEN(steps); i++) {
        time_text(s->start, steps[i], text, sizeof text);
        if ((s->end - s->start) / steps[i] * ((int64_t)strlen(text) + 2) <= s->cols) break;
    }
    return steps[i];
}

static void draw_axis(struct ui *ui, int y, int x, const struct scale *s) {
    int64_t step = step_for(s), span = s->end - s->start;
    int free_from = s->x;
    draw_str(ui->draw, y, x + 2, LABEL_COLS - 3, STYLE_DIM, "UTC");
    for (int64_t at = (s->start + step - 1) / step * step; span > 0 && at < s->end; at += step) {
        char text[12];
        time_text(at, step, text, sizeof text);
        int col = s->x + (int)((at - s->start) * s->cols / span), cols = (int)strlen(text);
        if (col < free_from || col + cols > s->x + s->cols) continue;
        draw_str(ui->draw, y, col, cols, STYLE_DIM, text);
        free_from = col + cols + 1;
    }
}

/* ---- Gates ------------------------------------------------------------------------------------------------------- */

static void draw_gate(struct ui *ui, int y, struct rect r, const struct scale *s, const struct row *gate) {
    struct draw *d = ui->draw;
    struct slice answer = row_text(gate, WINDOW_GATES_ANSWER), reason = row_text(gate, WINDOW_GATES_REASON);
    bool pass = slice_is(answer, "PASS"), asked = !slice_is(answer, "NOT ASKED");
    enum style style = ui->stale ? STYLE_STALE : theme_level_style(status_level(answer));
    int note = s->x + s->cols + 1, end = r.x + r.cols;
    if (ui->stale && asked) draw_glyph(d, y, r.x, STYLE_STALE, GLYPH_STALE);
    else draw_glyph(d, y, r.x, style, asked ? theme_level_glyph(status_level(answer)) : GLYPH_DASH);
    draw_text(d, y, r.x + 2, LABEL_COLS - 3, asked ? STYLE_NORMAL : STYLE_DIM, row_text(gate, WINDOW_GATES_NAME));
    draw_strip(ui, y, s, row_text(gate, WINDOW_GATES_STRIP), asked);
    if (!asked) {
        struct buf text = {0};
        buf_printf(&text, "not asked%s%.*s", reason.n ? ": " : "", SLICE_FMT(reason));
        draw_text(d, y, s->x, end - s->x, STYLE_DIM, buf_slice(&text));
        buf_free(&text);
        return;
    }
    if (!pass) note += draw_text(d, y, note, end - note, style, answer.n ? answer : SLICE_LIT("UNKNOWN")) + 1;
    if (reason.n && end - note > 3) draw_text(d, y, note, end - note, pass ? STYLE_DIM : style, reason);
}

int window_draw_strips(struct ui *ui, struct rect r, const struct row *window) {
    size_t n;
    const struct row **gates = rows_sorted(ui->world, T_WINDOW_GATES, WINDOW_GATES_RANK, false, &n);
    int note = r.cols < 100 ? NOTE_MIN : r.cols / 4 + (r.cols > 160 ? r.cols / 12 : 0), y = r.y;
    struct scale s = scale_of(ui->world, window, r.x + LABEL_COLS, r.cols - LABEL_COLS - note - 1);
    if (s.cols < 8) s.cols = 8;
    draw_axis(ui, y++, r.x, &s);
    for (size_t i = 0; i < n && y < r.y + r.rows; i++)
        if (slice_eq(row_text(gates[i], WINDOW_GATES_WORKLOAD), row_text(window, WINDOWS_WORKLOAD))) draw_gate(ui, y++, r, &s, gates[i]);
    mem_free(gates);
    return y - r.y;
}

void window_draw_legend(struct ui *ui, int y, int x, int cols) {
    static const enum mark order[] = {MARK_PASS, MARK_LATE, MARK_NO_DATA, MARK_STOPPED, MARK_FAIL};
    int end = x + cols;
    bool brief = cols < 90;
    for (size_t i = 0; i < ARRAY_LEN(order); i++) {
        const char *word = marks[order[i]].word;
        if (brief && order[i] == MARK_NO_DATA) word = "no data";
        if (brief && order[i] == MARK_STOPPED) word = "clock stopped";
        if (x + 2 + (int)utf8_columns(slice_of(word)) > end) break;
        draw_str(ui->draw, y, x, 1, marks[order[i]].style, mark_text(ui, order[i]));
        x += 2 + draw_str(ui->draw, y, x + 2, end - x - 2, STYLE_DIM, word) + 3;
    }
}
