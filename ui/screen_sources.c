/* Sources: what is asked of whom, how fresh the answers are, and what went wrong. */
#include "base/mem.h"
#include "base/str.h"
#include "ui/format.h"
#include "ui/screen.h"

struct state {
    struct ui *ui;
    struct list *list;
};

static void source_text(const struct world *w, const struct row *r, struct buf *out) {
    (void)w;
    buf_add_slice(out, row_key(r));
}

static enum style error_style(const struct world *w, const struct row *r) {
    return fresh_usable(world_freshness(w, r)) ? STYLE_DIM : STYLE_WARN;
}

static const struct list_col cols[] = {
    {.title = "STATE", .col = SOURCES_STATE, .min = 15},
    {.title = "SOURCE", .col = -1, .text = source_text, .min = 26, .max = 48},
    {.title = "ROWS", .col = SOURCES_OBJECTS, .min = 6, .right = true, .drop = 2, .none = "–"},
    {.title = "REQ/MIN", .col = SOURCES_REQUESTS, .min = 7, .right = true, .drop = 4, .none = "–"},
    {.title = "LAST OK", .col = SOURCES_LAST_OK, .min = 7, .right = true, .none = "never"},
    {.title = "SINCE", .col = SOURCES_SINCE, .min = 7, .right = true, .drop = 3, .none = "–"},
    {.title = "NEXT TRY", .col = SOURCES_NEXT_TRY, .min = 8, .right = true, .drop = 1, .none = "–"},
    {.title = "ERROR", .col = SOURCES_ERROR, .min = 12, .flex = true, .none = "–", .style = error_style},
    {.title = "DETAIL", .col = SOURCES_DETAIL, .min = 20, .max = 40, .drop = 5, .none = "–"},
};

static void empty(void *arg, const struct world *w, struct buf *out) {
    (void)arg;
    (void)w;
    buf_adds(out, "Waiting for the engine to say what it asks.");
}

static const struct list_spec spec = {.table = T_SOURCES, .cols = cols, .ncols = ARRAY_LEN(cols), .sort = 0,
                                      .noun = "sources", .empty = empty};

static void *open_screen(struct ui *ui, const struct screen_arg *arg) {
    struct state *s = MEM_NEW(struct state);
    (void)arg;
    s->ui = ui;
    s->list = list_new(ui, &spec, s);
    return s;
}

static void close_screen(void *state) {
    struct state *s = state;
    list_free(s->list);
    mem_free(s);
}

static struct list *screen_list(void *state) {
    return ((struct state *)state)->list;
}

/* The selected source's error, whole: it says what to do. */
static void draw_error(const struct state *s, struct rect r) {
    const struct row *selected = list_selected(s->list);
    struct slice error = selected ? row_text(selected, SOURCES_ERROR) : (struct slice){NULL, 0};
    draw_hline(s->ui->draw, r.y, r.x, r.cols);
    if (!selected) return;
    struct slice detail = row_text(selected, SOURCES_DETAIL);
    section_text(s->ui, (struct rect){r.y + 1, r.x + 1, r.rows - 1, r.cols - 2}, error.n ? STYLE_NORMAL : STYLE_DIM,
                 error.n ? error : detail.n ? detail : SLICE_LIT("nothing is wrong with this source"));
}

static void draw_screen(void *state, struct rect r) {
    const struct state *s = state;
    struct buf text = {0};
    int64_t ill = 0;
    for (size_t i = 0; i < list_shown(s->list); i++) {
        struct fresh f = world_freshness(s->ui->world, list_row(s->list, i));
        ill += !fresh_usable(f) && f.state != FRESH_OFF && f.state != FRESH_STARTING;
    }
    buf_printf(&text, "%zu asked · ", list_total(s->list));
    if (ill) buf_printf(&text, "%lld not as they should be   ", (long long)ill);
    else buf_adds(&text, "none in trouble   ");
    list_summary(s->list, &text);
    section_title(s->ui, r.y, r.x + 1, r.cols - 2, "SOURCES", buf_slice(&text), NULL);
    buf_free(&text);
    list_draw(s->list, (struct rect){r.y + 1, r.x, r.rows - 5, r.cols}, true);
    draw_error(s, (struct rect){r.y + r.rows - 4, r.x, 4, r.cols});
}

const struct screen_ops screen_sources = {
    .id = "sources", .title = "sources", .go = COMMAND_SOURCES, .open = open_screen, .close = close_screen,
        .draw = draw_screen,
    .list = screen_list,
};
