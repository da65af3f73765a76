/* NOW: of each workload that has begun, what runs, waits or is next. */
#include "base/clock.h"
#include "base/mem.h"
#include "ui/overview.h"
#include "ui/phase_view.h"
#include "ui/rows.h"
#include "ui/screen.h"
#include "ui/spark.h"
#include "ui/window_view.h"

/* Of a workload with a phase under way or in trouble: the phase, its step, what it does or waits for. */
static void now_at_work(struct ui *ui, struct board *b, const struct row *workload, const struct row *phase, bool wide) {
    const struct row *step = phase_step_now(ui->world, row_key(workload), row_text(phase, PHASES_NAME));
    struct slice state = row_text(phase, PHASES_STATE);
    struct phase_look look = phase_look_now(ui, state);
    struct buf label = {0}, text = {0};
    buf_printf(&label, "%s %.*s · %.*s", look.mark, SLICE_FMT(row_key(workload)), SLICE_FMT(row_text(phase, PHASES_NAME)));
    buf_printf(&text, "%s%.*s  ", ui->stale ? "was " : "", SLICE_FMT(state));
    phase_times(ui->world, phase, &text);
    board_line(b, &(struct board_line){.label = buf_slice(&label), .text = buf_slice(&text), .style = look.style, .screen = &screen_phase});
    buf_clear(&text);
    if (phase_in_trouble(state)) { /* why stands at the top of the screen */
        buf_adds(&text, "on the phase screen: r tries again, b rolls back");
    } else if (step) {
        buf_printf(&text, "%.*s  ", SLICE_FMT(row_text(step, STEPS_TITLE)));
        phase_progress(step, &text);
        if (row_text(step, STEPS_DETAIL).n) buf_printf(&text, "%s%.*s", text.p[text.len - 1] == ' ' ? "" : " · ", SLICE_FMT(row_text(step, STEPS_DETAIL)));
        struct buf deadline = {0};
        phase_deadline(ui->world, step, &deadline);
        if (deadline.len) buf_printf(&text, " · %s", buf_str(&deadline));
        buf_free(&deadline);
    } else if (row_text(phase, PHASES_REASON).n) {
        buf_add_slice(&text, row_text(phase, PHASES_REASON));
    }
    if (text.len) board_line(b, &(struct board_line){.text = buf_slice(&text), .wrap = wide ? 3 : 2, .whole = true});
    buf_free(&label);
    buf_free(&text);
}

/* "> vault-0 · validation window  PASSING  0:12:20 of 24:00:00", how much of it, and what comes then. */
static void now_window(struct ui *ui, struct board *b, const struct row *window, bool wide) {
    struct slice state = row_text(window, WINDOWS_STATE), pod = row_text(window, WINDOWS_POD), reason = row_text(window, WINDOWS_REASON);
    struct window_look look = window_view_look(ui, state);
    struct buf label = {0}, text = {0};
    buf_printf(&label, "%s %.*s · validation window", look.mark, SLICE_FMT(pod.n ? pod : row_key(window)));
    buf_printf(&text, "%s%.*s  ", ui->stale && !window_view_over(state) ? "was " : "", SLICE_FMT(state));
    window_progress(window, &text);
    board_line(b, &(struct board_line){.label = buf_slice(&label), .text = buf_slice(&text), .style = look.style, .screen = &screen_window});
    buf_clear(&text);
    if (window_in_trouble(state) && reason.n) {
        board_line(b, &(struct board_line){.text = reason, .style = look.style, .wrap = wide ? 3 : 2, .whole = true});
    } else {
        spark_bar(&text, row_int(window, WINDOWS_CREDITED, 0), row_int(window, WINDOWS_DURATION, 0), wide ? 40 : 24);
        int64_t gaps = row_int(window, WINDOWS_GAPS, 0);
        char age[32];
        buf_printf(&text, "  %d %%, %d failures, gaps %s", window_percent(window), (int)row_int(window, WINDOWS_FAILURES, 0),
                   gaps < 1000 ? "none" : clock_format_age(gaps, age, sizeof age));
        board_line(b, &(struct board_line){.text = buf_slice(&text), .whole = true});
    }
    buf_clear(&text);
    window_end(ui->world, window, &text);
    board_line(b, &(struct board_line){.text = buf_slice(&text), .wrap = 2, .whole = true});
    buf_free(&label);
    buf_free(&text);
}

/* The window that is under way in this phase; NULL: it is none, or has not been seen yet. */
static const struct row *window_now(const struct world *w, const struct row *workload, const struct row *phase) {
    const struct row *window = phase && phase_is_window(phase) ? world_find(w, T_WINDOWS, row_key(workload)) : NULL;
    bool same = window && (!row_text(window, WINDOWS_PHASE).n || slice_eq(row_text(window, WINDOWS_PHASE), row_text(phase, PHASES_NAME)));
    return same ? window : NULL;
}

/* Of a workload between phases: the next one, and how long the old copy is kept. */
static void now_next(struct ui *ui, struct board *b, const struct row *workload, const struct row *phase) {
    struct buf text = {0}, label = {0};
    buf_printf(&label, "%s %.*s", phase_look(row_text(workload, PLAN_WORKLOADS_STATE)).mark, SLICE_FMT(row_key(workload)));
    int64_t until = row_int(workload, PLAN_WORKLOADS_RETAIN_UNTIL, 0), left = until - world_now(ui->world);
    if (until && left > 0) {
        buf_printf(&text, "old copy kept; clean up at the earliest in ");
        char age[32];
        buf_adds(&text, clock_format_age(left, age, sizeof age));
    } else if (phase) {
        buf_printf(&text, "next: %.*s (%.*s)", SLICE_FMT(row_text(phase, PHASES_TITLE)), SLICE_FMT(row_text(phase, PHASES_STAKE)));
    }
    if (text.len)
        board_line(b, &(struct board_line){.label = buf_slice(&label), .text = buf_slice(&text), .screen = &screen_phase});
    buf_free(&label);
    buf_free(&text);
}

void overview_now(struct ui *ui, struct board *b, bool wide) {
    size_t n, shown = 0;
    const struct row **rows = rows_sorted(ui->world, T_PLAN_WORKLOADS, -1, false, &n);
    for (size_t i = 0; i < n; i++) {
        struct slice state = row_text(rows[i], PLAN_WORKLOADS_STATE);
        const struct row *phase = phase_find(ui->world, row_key(rows[i]), row_text(rows[i], PLAN_WORKLOADS_PHASE));
        bool idle = slice_is(state, "NOT STARTED") || slice_is(state, "DONE") || slice_is(state, "READ ONLY");
        if (idle || (!phase && !phase_under_way(state))) continue;
        if (!shown++) board_section(b, &(struct board_section){.title = "NOW", .side = BOARD_RIGHT, .min = 3});
        const struct row *window = phase_under_way(state) || phase_in_trouble(state) ? window_now(ui->world, rows[i], phase) : NULL;
        if (window) now_window(ui, b, window, wide);
        else if (phase && (phase_under_way(state) || phase_in_trouble(state))) now_at_work(ui, b, rows[i], phase, wide);
        else now_next(ui, b, rows[i], phase);
    }
    mem_free(rows);
}
