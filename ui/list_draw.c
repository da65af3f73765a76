/* Which columns fit, and the rows that are in the window. */
#include <string.h>

#include "base/map.h"
#include "base/str.h"
#include "base/utf8.h"
#include "ui/format.h"
#include "ui/list_private.h"
#include "ui/screen.h"

#define MARK_COLS 2   /* the mark of a change, and a blank */
#define FLEX_MAX 90   /* a longer text is cut: the detail has it whole */
#define OLD_COLS 25   /* "~ STALE 23h59m was HOSTILE" */

struct layout {
    int width[LIST_COLS_MAX]; /* 0: not shown */
    int need[LIST_COLS_MAX];  /* what its cells would take */
    int gap;
};

static bool is_state(const struct list *l, size_t col) {
    const struct list_col *c = &l->spec->cols[col];
    return c->col >= 0 && !c->text && world_table_info(l->spec->table)->cols[c->col].type == COL_STATE;
}

static int total(const struct list_spec *s, const struct layout *p) {
    int sum = 0, shown = 0;
    for (size_t i = 0; i < s->ncols; i++)
        if (p->width[i]) {
            sum += p->width[i];
            shown++;
        }
    return sum + (shown ? (shown - 1) * p->gap : 0);
}

/* The column that goes first when it is too narrow; -1: none may go. */
static int droppable(const struct list_spec *s, const struct layout *p) {
    int found = -1;
    for (size_t i = 0; i < s->ncols; i++)
        if (p->width[i] && s->cols[i].drop && (found < 0 || s->cols[i].drop > s->cols[found].drop)) found = (int)i;
    return found;
}

/* Columns as wide as their cells, within the bounds of the specification; the first keeps its width, whatever its
 * states are. */
static int needed(const struct list *l, size_t i, int cols, bool old) {
    const struct list_col *c = &l->spec->cols[i];
    int mark = is_state(l, i) ? 2 : 0, want = l->want[i] + mark;
    int title = (int)utf8_columns(slice_of(c->title)) + (i == l->sort) + mark;
    int most = c->flex ? FLEX_MAX : c->max ? c->max : c->min;
    if (i == 0) want = want > c->min ? want : c->min;
    if (i == 0 && old && cols >= 100) return want > OLD_COLS ? want : OLD_COLS;
    if (i == 0) return want;
    if (want > most) want = most;
    return want > title ? want : title;
}

/* What is left over: to columns that are always shown first, in their order, then where most is missing. */
static void grow(const struct list_spec *s, struct layout *p, int spare) {
    for (size_t i = 0; i < s->ncols && spare > 0; i++) {
        int more = p->width[i] && !s->cols[i].drop && !s->cols[i].flex ? p->need[i] - p->width[i] : 0;
        if (more > spare) more = spare;
        if (more <= 0) continue;
        p->width[i] += more;
        spare -= more;
    }
    while (spare-- > 0) {
        int worst = -1, missing = 0;
        for (size_t i = 0; i < s->ncols; i++)
            if (p->width[i] && p->need[i] - p->width[i] > missing) {
                missing = p->need[i] - p->width[i];
                worst = (int)i;
            }
        if (worst < 0) return;
        p->width[worst]++;
    }
}

static struct layout lay_out(const struct list *l, int cols, bool old) {
    const struct list_spec *s = l->spec;
    struct layout p = {.gap = cols >= 100 ? 2 : 1};
    int drop;
    for (size_t i = 0; i < s->ncols && i < LIST_COLS_MAX; i++) {
        p.need[i] = needed(l, i, cols, old);
        bool whole = p.need[i] < s->cols[i].min || (i == 0 && cols >= 100);
        p.width[i] = whole ? p.need[i] : s->cols[i].min;
    }
    while (total(s, &p) > cols && (drop = droppable(s, &p)) >= 0) p.width[drop] = 0;
    grow(s, &p, cols - total(s, &p));
    return p;
}

/* ↑ from small to large; states go by risk, and the worst is the largest. */
static const char *sort_arrow(const struct list *l) {
    bool down = l->descending != is_state(l, l->sort);
    return theme_glyph(draw_theme(l->ui->draw), down ? GLYPH_SORT_DOWN : GLYPH_SORT_UP);
}

static void draw_titles(const struct list *l, const struct layout *p, struct rect r) {
    struct draw *d = l->ui->draw;
    int x = r.x + MARK_COLS;
    for (size_t i = 0; i < l->spec->ncols; i++) {
        if (!p->width[i]) continue;
        const struct list_col *c = &l->spec->cols[i];
        struct buf title = {0};
        if (is_state(l, i)) buf_adds(&title, "  "); /* above the word, not above the glyph */
        buf_adds(&title, c->title);
        if (i == l->sort) buf_adds(&title, sort_arrow(l));
        if (c->right) draw_right(d, r.y, x, p->width[i], STYLE_COLUMN, buf_slice(&title));
        else draw_text(d, r.y, x, p->width[i], STYLE_COLUMN, buf_slice(&title));
        buf_free(&title);
        x += p->width[i] + p->gap;
    }
}

static struct fresh row_fresh(const struct list *l, const struct row *r) {
    return ui_fresh(l->ui, world_freshness(l->world, r));
}

static void draw_cell(const struct list *l, const struct row *r, size_t col, int y, int x, int width, bool old) {
    struct draw *d = l->ui->draw;
    const struct list_col *c = &l->spec->cols[col];
    struct buf text = {0};
    bool known = list_cell(l, r, col, &text);
    bool state = is_state(l, col);
    enum style s = old ? STYLE_DIM : c->style ? c->style(l->world, r) : STYLE_NORMAL;
    if (state && old) {
        draw_text(d, y, x + 2, width - 2, STYLE_DIM, known ? buf_slice(&text) : SLICE_LIT("?"));
    } else if (state) {
        draw_status(d, y, x, width, known ? buf_slice(&text) : (struct slice){NULL, 0});
    } else {
        if (!known) {
            buf_adds(&text, c->none ? c->none : "?");
            s = STYLE_DIM;
        }
        if (c->right) draw_right(d, y, x, width, s, buf_slice(&text));
        else draw_text(d, y, x, width, s, buf_slice(&text));
    }
    buf_free(&text);
}

/* How old it is comes first; what it was then, if there is room, says so. */
static void draw_old_state(const struct list *l, const struct row *r, int y, int x, int width, struct fresh f) {
    struct draw *d = l->ui->draw;
    struct slice word = is_state(l, 0) ? row_text(r, l->spec->cols[0].col) : (struct slice){NULL, 0};
    if (l->spec->old_in_title && word.n && 5 + (int)word.n + draw_fresh_cols(f) > width) {
        draw_fmt(d, y, x, width, STYLE_DIM, "was %.*s", SLICE_FMT(word));
        return;
    }
    int used = draw_fresh(d, y, x, width, f);
    if (l->spec->table != T_SOURCES && word.n && used + 5 + (int)word.n <= width)
        draw_fmt(d, y, x + used, width - used, STYLE_DIM, " was %.*s", SLICE_FMT(word));
}

static void draw_row(const struct list *l, const struct layout *p, const struct entry *e, struct rect r, int y,
                     bool selected) {
    struct draw *d = l->ui->draw;
    bool sources = l->spec->table == T_SOURCES;
    struct fresh f = row_fresh(l, e->row);
    bool old = !sources && !fresh_usable(f);
    int x = r.x + MARK_COLS, first = 0;
    if (section_changed(l->world, e->row)) draw_glyph(d, y, r.x, STYLE_CHANGED, GLYPH_CHANGED);
    for (size_t i = 0; i < l->spec->ncols; i++) {
        if (!p->width[i]) continue;
        if (i == 0 && (old || sources)) draw_old_state(l, e->row, y, x, p->width[i], f);
        else draw_cell(l, e->row, i, y, x, p->width[i], old || (l->marking && !e->matches));
        if (i == 0) first = p->width[i];
        x += p->width[i] + p->gap;
    }
    if (!selected) return;
    /* The state keeps its colours: the bar begins behind it. */
    draw_overlay(d, y, r.x, MARK_COLS - 1, STYLE_SELECTED);
    draw_overlay(d, y, r.x + MARK_COLS + first, r.cols - MARK_COLS - first, STYLE_SELECTED);
}

static void draw_empty(struct list *l, struct rect r) {
    struct buf text = {0};
    if (list_total(l)) {
        buf_printf(&text, "Nothing matches /%s: ", l->filter.text);
        format_int(&text, (int64_t)list_total(l));
        buf_printf(&text, " %s hidden by the filter. Esc clears it.", l->spec->noun);
    } else if (l->spec->empty) {
        l->spec->empty(l->arg, l->world, &text);
    } else {
        buf_printf(&text, "no %s", l->spec->noun);
    }
    section_text(l->ui, r, STYLE_DIM, buf_slice(&text));
    buf_free(&text);
}

/* The selection's place in the window stays what it was as far as the ends of the list allow. */
static void place(struct list *l, long rows) {
    long index = l->selected ? (long)list_index(l, l->selected) : 0, top;
    if (l->offset >= rows) l->offset = rows - 1;
    if (l->offset < 0) l->offset = 0;
    top = index - l->offset;
    if (top > (long)l->n - rows) top = (long)l->n - rows;
    if (top < 0) top = 0;
    l->offset = index - top;
    l->top = (size_t)top;
}

static bool any_old(const struct list *l, int rows) {
    if (l->spec->table == T_SOURCES) return false;
    for (size_t i = 0; i < (size_t)rows && l->top + i < l->n; i++)
        if (!fresh_usable(row_fresh(l, l->order[l->top + i]->row))) return true;
    return false;
}

void list_draw(struct list *l, struct rect r, bool focused) {
    list_settle(l);
    l->drawn = r;
    if (r.rows < 1 || r.cols <= MARK_COLS) return;
    if (!l->n) {
        draw_empty(l, (struct rect){r.y + 1, r.x + MARK_COLS, r.rows - 1, r.cols - MARK_COLS});
        return;
    }
    place(l, r.rows - 1);
    struct layout p = lay_out(l, r.cols - MARK_COLS, any_old(l, r.rows - 1));
    draw_titles(l, &p, r);
    for (int i = 0; i < r.rows - 1 && l->top + (size_t)i < l->n; i++) {
        const struct entry *e = l->order[l->top + (size_t)i];
        draw_row(l, &p, e, r, r.y + 1 + i, focused && e == l->selected);
    }
}

void list_filter_summary(const struct list *l, struct buf *out) {
    if (!*l->filter.text) return;
    buf_printf(out, "/%s (", l->filter.text);
    format_int(out, (int64_t)(list_total(l) - (l->marking ? 0 : l->matches)));
    if (l->marking) {
        buf_adds(out, " shown, ");
        format_int(out, (int64_t)l->matches);
        buf_adds(out, " match)");
    } else {
        buf_adds(out, " hidden by filter)");
    }
}

void list_summary(const struct list *l, struct buf *out) {
    list_filter_summary(l, out);
    if (*l->filter.text) buf_adds(out, "  ");
    buf_adds(out, "sort: ");
    for (const char *p = is_state(l, l->sort) ? "risk" : l->spec->cols[l->sort].title; *p; p++)
        buf_addc(out, *p >= 'A' && *p <= 'Z' ? (char)(*p + 32) : *p);
    buf_printf(out, " %s", sort_arrow(l));
}
