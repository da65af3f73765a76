/* What changed, newest first: when (UTC), how bad, about what, in words. The selected line stands whole below. */
#include "base/clock.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "ui/format.h"
#include "ui/screen.h"

#define WHOLE_MAX 4

struct timeline {
    struct ui *ui;
    struct list *list;
};

static void date_text(const struct world *w, const struct row *r, struct buf *out) {
    struct cell at = row_cell(r, TIMELINE_AT);
    char text[32];
    (void)w;
    if (at.type == CELL_INT) buf_add(out, clock_format_utc(at.i, text, sizeof text), 10);
}

/* The text of a bad line is bold, so that it is found in a screen of good ones. */
static enum style text_style(const struct world *w, const struct row *r) {
    (void)w;
    return slice_is(row_text(r, TIMELINE_LEVEL), "BAD") ? STYLE_BOLD : STYLE_NORMAL;
}

static const struct list_col columns[] = {
    {.title = "LEVEL", .col = TIMELINE_LEVEL, .min = 7},
    {.title = "DATE", .col = -1, .min = 10, .drop = 2, .text = date_text},
    {.title = "UTC", .col = TIMELINE_AT, .min = 8, .look = LIST_HMS},
    {.title = "AGO", .col = TIMELINE_AT, .min = 7, .right = true, .drop = 1},
    {.title = "OBJECT", .col = TIMELINE_OBJECT, .min = 14, .max = 36, .none = "–"},
    {.title = "WHAT HAPPENED", .col = TIMELINE_TEXT, .min = 36, .flex = true, .style = text_style},
};

static void empty(void *arg, const struct world *w, struct buf *out) {
    (void)arg;
    (void)w;
    buf_adds(out, "Nothing has changed since the engine began to look. What changes from now on is written here, "
                  "and the last 2,000 lines are kept.");
}

static const struct list_spec spec = {
    .table = T_TIMELINE, .cols = columns, .ncols = ARRAY_LEN(columns), .sort = 2, .descending = true, .noun = "lines",
    .empty = empty,
};

static void *open_timeline(struct ui *ui, const struct screen_arg *arg) {
    struct timeline *s = MEM_NEW(struct timeline);
    (void)arg;
    *s = (struct timeline){.ui = ui, .list = list_new(ui, &spec, NULL)};
    return s;
}

static void close_timeline(void *state) {
    struct timeline *s = state;
    list_free(s->list);
    mem_free(s);
}

static void draw_title(struct timeline *s, struct rect r) {
    struct buf detail = {0};
    format_int(&detail, (int64_t)list_total(s->list));
    buf_adds(&detail, list_total(s->list) == 1 ? " line · " : " lines, newest first · ");
    list_summary(s->list, &detail);
    section_title(s->ui, r.y, r.x + 1, r.cols - 2, "TIMELINE", buf_slice(&detail), NULL);
    buf_free(&detail);
}

/* Below the list: when exactly, and the whole text. Returns the rows used. */
static int draw_whole(struct timeline *s, struct rect r) {
    const struct row *selected = list_selected(s->list);
    struct buf text = {0};
    if (!selected || r.rows < 10) return 0;
    format_utc(&text, row_int(selected, TIMELINE_AT, 0));
    buf_printf(&text, "  %.*s  %.*s", SLICE_FMT(row_text(selected, TIMELINE_OBJECT)),
               SLICE_FMT(row_text(selected, TIMELINE_TEXT)));
    int rows = section_text(s->ui, (struct rect){-10000, 0, WHOLE_MAX, r.cols - 4}, STYLE_NORMAL, buf_slice(&text));
    int y = r.y + r.rows - rows;
    draw_hline(s->ui->draw, y - 1, r.x, r.cols);
    section_text(s->ui, (struct rect){y, r.x + 2, rows, r.cols - 4}, STYLE_NORMAL, buf_slice(&text));
    buf_free(&text);
    return rows + 1;
}

static void draw_timeline(void *state, struct rect r) {
    struct timeline *s = state;
    draw_title(s, r);
    int whole = draw_whole(s, r);
    list_draw(s->list, (struct rect){r.y + 1, r.x, r.rows - 1 - whole, r.cols}, true);
}

static struct list *list_timeline(void *state) {
    struct timeline *s = state;
    return s->list;
}

const struct screen_ops screen_timeline = {
    .id = "timeline", .title = "timeline", .go = COMMAND_TIMELINE, .root = true, .open = open_timeline,
    .close = close_timeline,
    .draw = draw_timeline, .list = list_timeline,
};
