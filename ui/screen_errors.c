/* Errors: what fails now, by source, and what failed before, by the timeline. */
#include "base/mem.h"
#include "base/str.h"
#include "ui/screen.h"

struct state {
    struct ui *ui;
    struct list *now, *before;
    bool second; /* which of them has the focus */
};

static void source_text(const struct world *w, const struct row *r, struct buf *out) {
    (void)w;
    buf_add_slice(out, row_key(r));
}

static const struct list_col now_cols[] = {
    {.title = "STATE", .col = SOURCES_STATE, .min = 15},
    {.title = "SOURCE", .col = -1, .text = source_text, .min = 24, .max = 34},
    {.title = "SINCE", .col = SOURCES_SINCE, .min = 7, .right = true, .none = "–"},
    {.title = "NEXT TRY", .col = SOURCES_NEXT_TRY, .min = 8, .right = true, .none = "–", .drop = 1},
    {.title = "ERROR", .col = SOURCES_ERROR, .min = 20, .flex = true},
};

static const struct list_col before_cols[] = {
    {.title = "LEVEL", .col = TIMELINE_LEVEL, .min = 8},
    {.title = "AT", .col = TIMELINE_AT, .min = 8, .look = LIST_HMS},
    {.title = "OBJECT", .col = TIMELINE_OBJECT, .min = 20, .max = 34, .none = "–"},
    {.title = "WHAT", .col = TIMELINE_TEXT, .min = 20, .flex = true},
};

static bool has_error(void *arg, const struct row *r) {
    (void)arg;
    return row_text(r, SOURCES_ERROR).n > 0;
}

static bool is_bad(void *arg, const struct row *r) {
    struct slice level = row_text(r, TIMELINE_LEVEL);
    (void)arg;
    return slice_is(level, "BAD") || slice_is(level, "WARN");
}

static void none_now(void *arg, const struct world *w, struct buf *out) {
    (void)arg;
    if (!section_why(w, "", out)) buf_adds(out, "No source has an error.");
}

static void none_before(void *arg, const struct world *w, struct buf *out) {
    (void)arg;
    (void)w;
    buf_adds(out, "Nothing has failed since the engine started.");
}

static const struct list_spec now_spec = {
    .table = T_SOURCES, .cols = now_cols, .ncols = ARRAY_LEN(now_cols), .sort = 2, .noun = "errors",
        .accepts = has_error, .empty = none_now,
};

static const struct list_spec before_spec = {
    .table = T_TIMELINE, .cols = before_cols, .ncols = ARRAY_LEN(before_cols), .sort = 1, .descending = true,
        .noun = "events", .accepts = is_bad,
    .empty = none_before,
};

static void *open_screen(struct ui *ui, const struct screen_arg *arg) {
    struct state *s = MEM_NEW(struct state);
    (void)arg;
    s->ui = ui;
    s->now = list_new(ui, &now_spec, s);
    s->before = list_new(ui, &before_spec, s);
    return s;
}

static void close_screen(void *state) {
    struct state *s = state;
    list_free(s->now);
    list_free(s->before);
    mem_free(s);
}

static struct list *screen_list(void *state) {
    struct state *s = state;
    return s->second ? s->before : s->now;
}

/* The text of the selected row whole, which the list cuts. */
static void draw_whole(const struct state *s, struct rect r) {
    const struct row *row = list_selected(s->second ? s->before : s->now);
    draw_hline(s->ui->draw, r.y, r.x, r.cols);
    if (row)
        section_text(s->ui, (struct rect){r.y + 1, r.x + 1, r.rows - 1, r.cols - 2}, STYLE_NORMAL,
                     row_text(row, s->second ? (int)TIMELINE_TEXT : (int)SOURCES_ERROR));
}

static void draw_screen(void *state, struct rect r) {
    const struct state *s = state;
    struct buf text = {0};
    int half = (r.rows - 4) / 2;
    buf_printf(&text, "%zu source%s with an error   ", list_total(s->now), list_total(s->now) == 1 ? "" : "s");
    if (!s->second) list_summary(s->now, &text);
    section_title(s->ui, r.y, r.x + 1, r.cols - 2, "ERRORS NOW", buf_slice(&text), NULL);
    list_draw(s->now, (struct rect){r.y + 1, r.x, half - 2, r.cols}, !s->second);
    buf_clear(&text);
    buf_printf(&text, "%zu   ", list_total(s->before));
    if (s->second) list_summary(s->before, &text);
    section_title(s->ui, r.y + half, r.x + 1, r.cols - 2, "BEFORE", buf_slice(&text), NULL);
    list_draw(s->before, (struct rect){r.y + half + 1, r.x, r.rows - half - 5, r.cols}, s->second);
    draw_whole(s, (struct rect){r.y + r.rows - 4, r.x, 4, r.cols});
    buf_free(&text);
}

static bool run(void *state, enum command c) {
    struct state *s = state;
    if (c != COMMAND_NEXT_PANE && c != COMMAND_PREVIOUS_PANE) return false;
    s->second = !s->second;
    return true;
}

static const enum command hints[] = {COMMAND_NEXT_PANE, COMMAND_NONE};

const struct screen_ops screen_errors = {
    .id = "errors", .title = "errors", .go = COMMAND_ERRORS, .open = open_screen, .close = close_screen,
        .draw = draw_screen,
    .list = screen_list, .command = run, .hints = hints,
};
