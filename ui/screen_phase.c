/* The phases of a workload: which are done, what the one under way does or waits for, what is next and what the next key would
 * do about it. Keys of this screen go before what they do elsewhere (command.def, group "Phase screen"). */
#include "base/mem.h"
#include "ui/console_private.h"
#include "ui/phase_draw.h"
#include "ui/phase_view.h"
#include "ui/plan_help.h"
#include "ui/rows.h"

#define COLUMN_FROM 100 /* columns from which the phases stand below each other */
#define COLUMN_COLS 30

struct phase_screen {
    struct ui *ui;
    char *workload; /* that was asked for; NULL: the one that wants to be looked at */
    char *phase;    /* that was selected; NULL: the present one */
};

static void *open_phase(struct ui *ui, const struct screen_arg *arg) {
    struct phase_screen *s = MEM_NEW(struct phase_screen);
    (void)arg;
    s->ui = ui;
    return s;
}

static void close_phase(void *state) {
    struct phase_screen *s = state;
    mem_free(s->workload);
    mem_free(s->phase);
    mem_free(s);
}

static const struct row *workload_of(const struct phase_screen *s) {
    const struct row *r = s->workload ? world_find(s->ui->world, T_PLAN_WORKLOADS, slice_of(s->workload)) : NULL;
    return r ? r : phase_workload(s->ui->world);
}

/* The one under way, or next; after a rollback what that did. */
static const struct row *present(const struct phase_screen *s, const struct row *workload) {
    const struct row *back = phase_find(s->ui->world, row_key(workload), SLICE_LIT("rollback"));
    if (back && slice_is(row_text(workload, PLAN_WORKLOADS_STATE), "ROLLED BACK")) return back;
    return phase_find(s->ui->world, row_key(workload), row_text(workload, PLAN_WORKLOADS_PHASE));
}

static const struct row *selected_phase(const struct phase_screen *s, const struct row *workload) {
    const struct row *r = s->phase ? phase_find(s->ui->world, row_key(workload), slice_of(s->phase)) : NULL;
    size_t n;
    if (r) return r;
    r = present(s, workload);
    if (r) return r;
    const struct row **rows = phase_list(s->ui->world, row_key(workload), &n);
    r = n ? rows[n - 1] : NULL;
    mem_free(rows);
    return r;
}

/* ---- Drawing ----------------------------------------------------------------------------------------------------- */

static void draw_empty(struct phase_screen *s, struct rect r, const struct row *workload) {
    struct buf text = {0};
    struct slice reason = workload ? row_text(workload, PLAN_WORKLOADS_REASON) : (struct slice){NULL, 0};
    if (workload) {
        buf_printf(&text, "No phases are known of %.*s (%.*s).", SLICE_FMT(row_key(workload)), SLICE_FMT(row_text(workload, PLAN_WORKLOADS_KIND)));
        if (reason.n) buf_printf(&text, " %.*s", SLICE_FMT(reason));
    } else if (section_why(s->ui->world, "kube/", &text) && !world_first(s->ui->world, T_PLAN)) {
        buf_clear(&text);
        buf_adds(&text, "Waiting for the engine.");
    } else {
        buf_clear(&text);
        buf_printf(&text, "Nothing can be moved without a plan. %s\n\n%s", plan_help_why(PLAN_HELP_WHOLE), plan_help_yaml(PLAN_HELP_WHOLE));
    }
    section_text(s->ui, (struct rect){r.y + 2, r.x + 2, r.rows - 2, r.cols - 4}, STYLE_NORMAL, buf_slice(&text));
    buf_free(&text);
}

static void draw_title(struct phase_screen *s, struct rect r, const struct row *workload, const struct row *phase) {
    struct draw *d = s->ui->draw;
    size_t n = world_count(s->ui->world, T_PLAN_WORKLOADS);
    int x = r.x + 1 + draw_str(d, r.y, r.x + 1, r.cols, STYLE_TITLE, "PHASE") + 2, end = r.x + r.cols - 1;
    if (!workload) return;
    x += draw_text(d, r.y, x, end - x, STYLE_BOLD, row_key(workload));
    if (phase) x += draw_fmt(d, r.y, x, end - x, STYLE_BOLD, " · %.*s", SLICE_FMT(row_text(phase, PHASES_NAME)));
    struct slice state = row_text(workload, PLAN_WORKLOADS_STATE);
    struct phase_look look = phase_look_now(s->ui, state);
    x += 3;
    if (!phase || !slice_eq(state, row_text(phase, PHASES_STATE))) { /* else it stands below */
        x += draw_str(d, r.y, x, 1, look.style, look.mark) + 1;
        x += draw_text(d, r.y, x, end - x, look.style, state) + 2;
    }
    if (n > 1 && end - x > 26) draw_fmt(d, r.y, end - 25, 25, STYLE_DIM, "Tab: next of %zu workloads", n);
}

/* Between an act that cannot be taken back and its end. */
static bool no_way_back(struct phase_screen *s, const struct row *row) {
    struct slice workload = row_key(row);
    if (row_text(row, PLAN_WORKLOADS_NO_WAY_BACK).n) return true;
    for (const struct row *r = world_first(s->ui->world, T_STEPS); r; r = world_next(s->ui->world, r))
        if (slice_eq(row_text(r, STEPS_WORKLOAD), workload) && slice_is(row_text(r, STEPS_STATE), "RUNNING")
            && slice_starts(row_text(r, STEPS_DETAIL), "NO WAY BACK"))
            return true;
    return false;
}

/* What can be done now, and why not where it cannot. */
static void draw_keys(struct phase_screen *s, int y, struct rect r, const struct row *workload) {
    struct slice none = {NULL, 0}, state = row_text(workload, PLAN_WORKLOADS_STATE), next = row_text(workload, PLAN_WORKLOADS_PHASE);
    struct buf why = {0};
    int x = r.x + 1, end = r.x + r.cols - 1;
    if (phase_under_way(state)) {
        x = act_draw_key(s->ui, y, x, end, COMMAND_PHASE_PAUSE, slice_is(state, "PAUSED") ? "go on" : "pause", none, true);
        if (no_way_back(s, workload)) x += draw_str(s->ui->draw, y, x, end - x, STYLE_DIM, "no abort now") + 3;
        else x = act_draw_key(s->ui, y, x, end, COMMAND_PHASE_ABORT, "abort", next, true);
    } else {
        if (next.n) x = act_draw_key(s->ui, y, x, end, COMMAND_PHASE_START, slice_is(state, "INTERRUPTED") ? "go on with" : phase_in_trouble(state) ? "try again" : "start", next, true);
        if (!slice_is(state, "NOT STARTED") && !slice_is(state, "DONE") && !slice_is(state, "ROLLED BACK")) x = act_draw_key(s->ui, y, x, end, COMMAND_PHASE_ROLLBACK, "roll back", none, true);
    }
    if (slice_starts(next, "window")) x = act_draw_key(s->ui, y, x, end, COMMAND_WINDOW, "window", none, true);
    x = act_draw_key(s->ui, y, x, end, COMMAND_OPEN, "details", none, true);
    x = act_draw_key(s->ui, y, x, end, COMMAND_PHASE_OVERRIDE, "override", none, true);
    if (act_refused(console_of(s->ui), COMMAND_PHASE_START, &why) && end - x > 12)
        draw_text(s->ui->draw, y, x, end - x, STYLE_WARN, buf_slice(&why));
    buf_free(&why);
}

static void draw_body(struct phase_screen *s, struct rect r, const struct row *workload, const struct row *phase) {
    size_t n;
    const struct row **phases = phase_list(s->ui->world, row_key(workload), &n);
    int around = phase_draw_around(s->ui, (struct rect){r.y, r.x + 1, r.rows, r.cols - 2}, workload);
    r.rows -= around;
    if (r.cols >= COLUMN_FROM) {
        phase_draw_column(s->ui, (struct rect){r.y, r.x + 1, r.rows, COLUMN_COLS - 1}, phases, n, phase);
        draw_vline(s->ui->draw, r.y, r.x + COLUMN_COLS, r.rows);
        phase_draw_one(s->ui, (struct rect){r.y, r.x + COLUMN_COLS + 2, r.rows, r.cols - COLUMN_COLS - 3}, phase);
    } else {
        int used = phase_draw_strip(s->ui, (struct rect){r.y, r.x + 1, 3, r.cols - 2}, phases, n, phase);
        draw_hline(s->ui->draw, r.y + used, r.x, r.cols);
        used++;
        phase_draw_one(s->ui, (struct rect){r.y + used, r.x + 1, r.rows - used, r.cols - 2}, phase);
    }
    mem_free(phases);
}

static void draw_phase(void *state, struct rect r) {
    struct phase_screen *s = state;
    const struct row *workload = workload_of(s), *phase = workload ? selected_phase(s, workload) : NULL;
    struct slice reason = workload ? row_text(workload, PLAN_WORKLOADS_REASON) : (struct slice){NULL, 0};
    draw_title(s, r, workload, phase);
    if (!phase) {
        draw_empty(s, r, workload);
        return;
    }
    int y = r.y + 1, keys = r.y + r.rows - 1;
    bool read_only = slice_is(row_text(workload, PLAN_WORKLOADS_STATE), "READ ONLY");
    if (read_only && reason.n) y += section_text(s->ui, (struct rect){y, r.x + 1, 3, r.cols - 2}, STYLE_WARN, reason);
    draw_body(s, (struct rect){y, r.x, keys - y, r.cols}, workload, phase);
    draw_keys(s, keys, r, workload);
}

/* ---- Keys -------------------------------------------------------------------------------------------------------- */

/* The present phase is followed again when the selection comes back to it. */
static void select_phase(struct phase_screen *s, const struct row *workload, long step) {
    size_t n;
    const struct row **rows = phase_list(s->ui->world, row_key(workload), &n), *at = selected_phase(s, workload);
    long i = 0;
    while (i < (long)n && rows[i] != at) i++;
    i = i + step < 0 ? 0 : i + step >= (long)n ? (long)n - 1 : i + step;
    if (n) {
        mem_free(s->phase);
        s->phase = rows[i] == present(s, workload) ? NULL : slice_dup(row_text(rows[i], PHASES_NAME));
    }
    mem_free(rows);
}

static void next_workload(struct phase_screen *s, int step) {
    size_t n, i = 0;
    const struct row **rows = rows_sorted(s->ui->world, T_PLAN_WORKLOADS, -1, false, &n), *at = workload_of(s);
    while (i < n && rows[i] != at) i++;
    if (n) {
        mem_free(s->workload);
        mem_free(s->phase);
        s->workload = slice_dup(row_key(rows[(i + n + (size_t)(step + (int)n)) % n]));
        s->phase = NULL;
    }
    mem_free(rows);
}

static void nothing(struct phase_screen *s, const char *why) {
    ui_message(s->ui, STYLE_WARN, "%s", why);
}

/* The phase that is next or failed; the selected one only if it is that. */
static void start(struct phase_screen *s, const struct row *workload) {
    struct slice next = row_text(workload, PLAN_WORKLOADS_PHASE);
    if (phase_under_way(row_text(workload, PLAN_WORKLOADS_STATE))) nothing(s, "a phase is under way already");
    else if (!next.n) nothing(s, "no phase is next");
    else if (s->phase)
        ui_message(s->ui, STYLE_WARN, "%s is looked at, but %.*s is next: g or G and back, or Esc, then again", s->phase, SLICE_FMT(next));
    else act_open(console_of(s->ui), row_key(workload), next);
}

static void pause(struct phase_screen *s, const struct row *workload) {
    struct slice state = row_text(workload, PLAN_WORKLOADS_STATE);
    if (phase_under_way(state)) act_pause(console_of(s->ui), row_key(workload), slice_is(state, "PAUSED"));
    else nothing(s, "no phase is under way that could be paused");
}

static void abort_phase(struct phase_screen *s, const struct row *workload) {
    if (phase_under_way(row_text(workload, PLAN_WORKLOADS_STATE)))
        act_abort(console_of(s->ui), row_key(workload), row_text(workload, PLAN_WORKLOADS_PHASE));
    else nothing(s, "no phase is under way that could be aborted");
}

static bool act(struct phase_screen *s, const struct row *workload, enum command c) {
    switch ((int)c) {
    case COMMAND_PHASE_START: start(s, workload); return true;
    case COMMAND_PHASE_PAUSE: pause(s, workload); return true;
    case COMMAND_PHASE_ABORT: abort_phase(s, workload); return true;
    case COMMAND_PHASE_ROLLBACK: act_open(console_of(s->ui), row_key(workload), SLICE_LIT("rollback")); return true;
    case COMMAND_PHASE_OVERRIDE: act_override(console_of(s->ui), row_key(workload)); return true;
    case COMMAND_PHASE_SKIP: act_skip(console_of(s->ui), row_key(workload), row_text(workload, PLAN_WORKLOADS_PHASE)); return true;
    default: return false;
    }
}

static bool look(struct phase_screen *s, const struct row *workload, enum command c) {
    const struct row *phase = selected_phase(s, workload);
    switch ((int)c) {
    case COMMAND_DOWN: select_phase(s, workload, 1); return true;
    case COMMAND_UP: select_phase(s, workload, -1); return true;
    case COMMAND_TOP: case COMMAND_PAGE_UP: select_phase(s, workload, -1000); return true;
    case COMMAND_BOTTOM: case COMMAND_PAGE_DOWN: select_phase(s, workload, 1000); return true;
    case COMMAND_WORKLOAD_NEXT: case COMMAND_NEXT_PANE: next_workload(s, 1); return true;
    case COMMAND_WORKLOAD_PREVIOUS: case COMMAND_PREVIOUS_PANE: next_workload(s, -1); return true;
    case COMMAND_OPEN: if (phase) ui_open_row(s->ui, phase); return true;
    case COMMAND_BACK:
        if (!s->phase) return false;
        mem_free(s->phase);
        s->phase = NULL;
        return true;
    default: return false;
    }
}

static bool command_phase(void *state, enum command c) {
    struct phase_screen *s = state;
    const struct row *workload = workload_of(s);
    if (workload) return look(s, workload, c) || act(s, workload, c);
    if (command_is_local(c)) nothing(s, "there is no workload to act on");
    return command_is_local(c);
}

static bool copy_phase(void *state, struct buf *out) {
    struct phase_screen *s = state;
    const struct row *workload = workload_of(s), *phase = workload ? selected_phase(s, workload) : NULL;
    if (phase) buf_add_slice(out, row_key(phase));
    return phase != NULL;
}

const struct screen_ops screen_phase = {
    .id = "phase", .title = "phase", .go = COMMAND_PHASE, .root = true, .open = open_phase, .close = close_phase,
    .draw = draw_phase, .command = command_phase, .copy = copy_phase, .group = COMMAND_GROUP_PHASE,
};
