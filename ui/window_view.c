#include "ui/window_view.h"

#include "base/clock.h"
#include "base/mem.h"
#include "ui/format.h"
#include "ui/rows.h"
#include "ui/screen.h"

struct window_look window_view_look(const struct ui *ui, struct slice state) {
    static const struct {
        const char *word;
        struct window_look look;
    } looks[] = {
        {"WAITING", {">", STYLE_BUSY, STYLE_NORMAL}},        {"PASSING", {"✓", STYLE_OK, STYLE_NORMAL}},
        {"CLOCK STOPPED", {"!", STYLE_WARN, STYLE_BANNER_WARN}}, {"FAILING", {"✗", STYLE_BAD, STYLE_BANNER_BAD}},
        {"INCONCLUSIVE", {"?", STYLE_WARN, STYLE_BANNER_WARN}},  {"ENDING EARLY", {">", STYLE_BUSY, STYLE_NORMAL}},
        {"PASSED", {"✓", STYLE_OK, STYLE_NORMAL}},           {"ENDED EARLY", {"!", STYLE_WARN, STYLE_NORMAL}},
        {"INTERRUPTED", {"!", STYLE_WARN, STYLE_BANNER_WARN}},
    };
    if (ui->stale && !window_view_over(state)) return (struct window_look){"~", STYLE_STALE, STYLE_NORMAL};
    for (size_t i = 0; i < ARRAY_LEN(looks); i++)
        if (slice_is(state, looks[i].word)) return looks[i].look;
    return (struct window_look){"?", STYLE_UNKNOWN, STYLE_NORMAL};
}

bool window_view_over(struct slice state) {
    return slice_is(state, "PASSED") || slice_is(state, "ENDED EARLY");
}

bool window_in_trouble(struct slice state) {
    return slice_is(state, "FAILING") || slice_is(state, "INCONCLUSIVE") || slice_is(state, "CLOCK STOPPED") || slice_is(state, "INTERRUPTED");
}

/* Greater: wants to be looked at more. */
static int rank(const struct row *r) {
    struct slice state = row_text(r, WINDOWS_STATE);
    return window_in_trouble(state) ? 2 : window_view_over(state) ? 0 : 1;
}

const struct row *window_row(const struct world *w, const char *workload) {
    const struct row *best = workload ? world_find(w, T_WINDOWS, slice_of(workload)) : NULL;
    size_t n;
    if (best) return best;
    const struct row **rows = rows_sorted(w, T_WINDOWS, -1, false, &n);
    for (size_t i = 0; i < n; i++)
        if (!best || rank(rows[i]) > rank(best)) best = rows[i];
    mem_free(rows);
    return best;
}

void window_clock(struct buf *out, int64_t ms) {
    int64_t s = ms > 0 ? ms / 1000 : 0;
    buf_printf(out, "%d:%02d:%02d", (int)(s / 3600), (int)(s / 60 % 60), (int)(s % 60));
}

void window_progress(const struct row *window, struct buf *out) {
    window_clock(out, row_int(window, WINDOWS_CREDITED, 0));
    buf_adds(out, " of ");
    window_clock(out, row_int(window, WINDOWS_DURATION, 0));
}

int window_percent(const struct row *window) {
    int64_t credited = row_int(window, WINDOWS_CREDITED, 0), duration = row_int(window, WINDOWS_DURATION, 0);
    if (slice_is(row_text(window, WINDOWS_STATE), "PASSED")) return 100;
    if (credited <= 0 || duration <= 0) return 0;
    return credited >= duration ? 99 : (int)((double)credited / (double)duration * 100.0);
}

/* "2026-04-26 16:21Z": to the minute, for what lies ahead. */
static void add_minute(struct buf *out, int64_t at) {
    char text[40];
    clock_format_utc(at, text, sizeof text);
    text[10] = ' ';
    buf_printf(out, "%.16sZ", text);
}

static void add_age(struct buf *out, int64_t ms) {
    char age[32];
    buf_adds(out, ms < 1000 ? "0s" : clock_format_age(ms, age, sizeof age));
}

void window_end(const struct world *w, const struct row *window, struct buf *out) {
    struct slice state = row_text(window, WINDOWS_STATE), next = row_text(window, WINDOWS_NEXT);
    int64_t earliest = row_int(window, WINDOWS_EARLIEST, 0), left = earliest - world_now(w), sampled = row_int(window, WINDOWS_SAMPLED, 0);
    if (window_view_over(state)) {
        buf_adds(out, slice_is(state, "PASSED") ? "passed" : "ended early");
        if (sampled) {
            buf_adds(out, " at ");
            add_minute(out, sampled);
        }
    } else if (earliest) {
        buf_adds(out, "ends at the earliest ");
        add_minute(out, earliest);
    } else {
        buf_adds(out, "when it can end is not known yet");
    }
    if (next.n) buf_printf(out, " · then %.*s", SLICE_FMT(next));
    if (window_view_over(state) || !earliest || left < 1000) return;
    buf_adds(out, " · in ");
    add_age(out, left);
}

void window_gaps(const struct row *window, struct buf *out) {
    int64_t gaps = row_int(window, WINDOWS_GAPS, 0), longest = row_int(window, WINDOWS_LONGEST_GAP, 0), limit = row_int(window, WINDOWS_MAX_GAP, 0);
    buf_adds(out, "gaps ");
    if (gaps < 1000) {
        buf_adds(out, "none");
        return;
    }
    add_age(out, gaps);
    buf_adds(out, ", not credited");
    if (longest && longest < gaps) {
        buf_adds(out, ", longest ");
        add_age(out, longest);
    }
    if (!limit) return;
    buf_adds(out, " (limit ");
    add_age(out, limit);
    buf_addc(out, ')');
}
