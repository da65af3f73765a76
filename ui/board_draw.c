/* How a board divides the rows of the screen, and draws its lines. */
#include "base/mem.h"
#include "base/utf8.h"
#include "ui/board_private.h"
#include "ui/screen.h"

#define LEFT_COLS 38   /* at least, of the left one */
#define MARGIN 2       /* the mark of a change, and a blank */
#define FRESH_COLS 14  /* "~ STALE 3m12s" */

static int columns(const char *text) {
    return text ? (int)utf8_columns(slice_of(text)) : 0;
}

static int larger(int a, int b) {
    return a > b ? a : b;
}

static int smaller(int a, int b) {
    return a < b ? a : b;
}

/* Rows of T_SOURCES judge themselves: their freshness is their state, and they are never dim for it. */
static bool shows_fresh(const struct line *l) {
    return l->table == T_SOURCES || !fresh_usable(l->fresh);
}

/* Under a title that says how old all is, or that tells of it elsewhere, a line says what was: not how old again. */
static bool shows_was(const struct board *b, const struct section *s, const struct line *l) {
    if (l->table == T_SOURCES || fresh_usable(l->fresh) || !l->state || str_eq(l->state, "UNKNOWN")) return false;
    return b->ui->stale || !s->title || (s->prefix && !fresh_usable(section_fresh(b->ui->world, s->prefix)));
}

static int text_x(const struct section *s) {
    return (s->state_cols ? s->state_cols + 1 : 0) + (s->label_cols ? s->label_cols + 2 : 0);
}

static int line_height(const struct board *b, const struct section *s, const struct line *l, int cols) {
    int width = cols - MARGIN - (l->whole ? MARGIN : text_x(s));
    if (l->wrap < 2 || !l->text || width < 8) return 1;
    return larger(1, section_text(b->ui, (struct rect){-10000, 0, l->wrap, width}, STYLE_NORMAL, slice_of(l->text)));
}

/* The columns that line up within a section, and the rows that its lines would take. */
static void measure(const struct board *b, struct section *s, int cols) {
    s->state_cols = s->label_cols = s->right_cols = s->need = 0;
    for (size_t i = 0; i < s->n; i++) {
        const struct line *l = &s->lines[i];
        int fresh = l->fresh.age_ms < 0 ? FRESH_COLS / 2 : FRESH_COLS;
        int state = shows_was(b, s, l) ? 4 + columns(l->state) : shows_fresh(l) ? fresh : l->state ? 2 + columns(l->state) : 0;
        s->state_cols = larger(s->state_cols, state);
        s->label_cols = larger(s->label_cols, columns(l->label));
        s->right_cols = larger(s->right_cols, columns(l->right));
    }
    int most = s->right_cols ? cols - MARGIN - s->state_cols - s->right_cols - 3 : cols / 2;
    s->label_cols = smaller(s->label_cols, most);
    for (size_t i = 0; i < s->n; i++) s->need += line_height(b, s, &s->lines[i], cols);
    s->rows = 0;
}

static int title_rows(const struct section *s) {
    return s->title ? 1 : 0;
}

static void give(struct section *s, int *left, int up_to) {
    int more = smaller(smaller(up_to, s->need) - s->rows, *left);
    if (more <= 0) return;
    s->rows += more;
    *left -= more;
}

/* Titles first, then what each section needs at least, then the rest in the order of the sections. What is left over
 * goes between them. Returns the rows of a gap. */
static int divide(struct section *const *list, size_t n, int rows) {
    int left = rows;
    for (size_t i = 0; i < n; i++) left -= title_rows(list[i]);
    for (size_t i = 0; i < n; i++) give(list[i], &left, list[i]->min);
    for (size_t i = 0; i < n; i++) give(list[i], &left, list[i]->need);
    return n > 1 && left >= (int)n - 1 ? 1 : 0;
}

static void remember(struct board *b, struct line *l) {
    if (!l->id) return;
    if (b->norder == b->order_cap) {
        b->order_cap = b->order_cap ? b->order_cap * 2 : 64;
        b->order = mem_reallocarray(b->order, b->order_cap, sizeof *b->order);
    }
    b->order[b->norder++] = l;
}

static bool is_selected(const struct board *b, const struct line *l) {
    return l->id && str_eq(l->id, b->selected);
}

static int fresh_cols(const struct board *b, const struct section *s, struct fresh f) {
    return s->prefix ? draw_fresh_cols(ui_fresh(b->ui, f)) + 1 : 0;
}

static void draw_title(struct board *b, struct section *s, int y, int x, int cols, int hidden) {
    struct draw *d = b->ui->draw;
    struct slice none = {NULL, 0};
    struct fresh f = s->prefix ? section_fresh(b->ui->world, s->prefix) : (struct fresh){FRESH_LIVE, 0};
    bool well = (fresh_usable(f) || f.state == FRESH_OFF) && !b->ui->stale;
    struct buf right = {0};
    if (well && s->right && s->rows > 0) buf_adds(&right, s->right);
    int words = columns(s->title) + columns(s->state) + columns(s->detail) + 6;
    if (well && hidden > 0 && s->rows > 0 && !s->right)
        buf_printf(&right, words + 13 < cols ? "+%d not shown" : "+%d", hidden);
    section_title(b->ui, y, x, cols, s->title, none, s->prefix);
    int at = x + columns(s->title) + 2, end = x + cols - (!well ? fresh_cols(b, s, f) : right.len ? columns(buf_str(&right)) + 1 : 0);
    if (s->state && well && end > at) at += draw_status(d, y, at, end - at, slice_of(s->state)) + 2;
    bool headings = well && s->right && s->rows > 0; /* the lines say it */
    if (s->detail && !headings && end > at)
        draw_text(d, y, at, end - at, well ? STYLE_NORMAL : STYLE_DIM, slice_of(s->detail));
    if (!well && hidden > 0 && s->rows > 0 && s->prefix) {
        int place = cols - fresh_cols(b, s, f) - 1; /* before how old it all is */
        buf_printf(&right, " +%d", hidden);
        draw_right(d, y, x, place, STYLE_DIM, buf_slice(&right));
    } else {
        draw_right(d, y, x, cols, STYLE_DIM, buf_slice(&right));
    }
    buf_free(&right);
    remember(b, &s->head);
    if (is_selected(b, &s->head)) draw_overlay(d, y, x, cols, STYLE_SELECTED);
}

static void draw_line(struct board *b, const struct section *s, struct line *l, struct rect r) {
    struct draw *d = b->ui->draw;
    bool old = l->table != T_SOURCES && !fresh_usable(l->fresh);
    enum style text_style = old ? STYLE_DIM : l->style;
    int x = r.x + MARGIN, end = r.x + r.cols, right = columns(l->right);
    if (l->changed) draw_glyph(d, r.y, r.x, STYLE_CHANGED, GLYPH_CHANGED);
    if (shows_was(b, s, l)) draw_fmt(d, r.y, x, s->state_cols, STYLE_DIM, "was %s", l->state);
    else if (shows_fresh(l)) draw_fresh(d, r.y, x, s->state_cols, l->fresh);
    else if (l->state) draw_status(d, r.y, x, s->state_cols, slice_of(l->state));
    if (s->state_cols && !l->whole) x += s->state_cols + 1;
    if (l->whole) x += MARGIN;
    int bar = x;
    if (s->label_cols && !l->whole) {
        draw_str(d, r.y, x, s->label_cols, old ? STYLE_DIM : STYLE_NORMAL, l->label);
        x += s->label_cols + 2;
    }
    if (right) draw_right(d, r.y, end - right, right, text_style, slice_of(l->right));
    if (r.rows > 1) section_text(b->ui, (struct rect){r.y, x, r.rows, end - x}, text_style, slice_of(l->text));
    else draw_str(d, r.y, x, end - x - (right ? right + 1 : 0), text_style, l->text);
    remember(b, l);
    if (!is_selected(b, l)) return;
    draw_overlay(d, r.y, r.x, MARGIN - 1, STYLE_SELECTED);
    for (int y = r.y; y < r.y + r.rows; y++) draw_overlay(d, y, bar, end - bar, STYLE_SELECTED);
}

/* Returns the row below it. */
static int draw_section(struct board *b, struct section *s, struct rect r) {
    int y = r.y, used = 0;
    size_t shown = 0;
    int first = y + title_rows(s);
    for (size_t i = 0; i < s->n && used < s->rows; i++, shown++) used += line_height(b, s, &s->lines[i], r.cols);
    if (s->title) draw_title(b, s, y, r.x + 1, r.cols - 1, (int)(s->n - shown));
    y = first;
    for (size_t i = 0; i < shown; i++) {
        int h = smaller(line_height(b, s, &s->lines[i], r.cols), first + s->rows - y);
        draw_line(b, s, &s->lines[i], (struct rect){y, r.x, h, r.cols});
        y += h;
    }
    return y;
}

static void draw_column(struct board *b, struct section *const *list, size_t n, struct rect r) {
    int gap = divide(list, n, r.rows), y = r.y;
    for (size_t i = 0; i < n; i++) {
        if (y + title_rows(list[i]) + list[i]->rows > r.y + r.rows) break;
        y = draw_section(b, list[i], (struct rect){y, r.x, list[i]->rows, r.cols}) + gap;
    }
}

/* The sections of these sides, in the order of the sides; returns how many. */
static size_t collect(struct board *b, enum board_side first, enum board_side last, struct section **list) {
    size_t n = 0;
    for (int side = (int)first; side <= (int)last; side++)
        for (size_t i = 0; i < b->n; i++)
            if ((int)b->sections[i].side == side) list[n++] = &b->sections[i];
    return n;
}

static int wanted(struct board *b, struct section *const *list, size_t n, int cols, bool gaps) {
    int rows = 0;
    for (size_t i = 0; i < n; i++) {
        measure(b, list[i], cols);
        rows += title_rows(list[i]) + list[i]->need;
    }
    return rows + (gaps && n > 1 ? (int)n - 1 : 0);
}

static int least(struct section *const *list, size_t n) {
    int rows = 0;
    for (size_t i = 0; i < n; i++) rows += title_rows(list[i]) + smaller(list[i]->min, list[i]->need);
    return rows;
}

static int left_side(int cols) {
    return larger(LEFT_COLS, cols * 3 / 10);
}

/* Both sides beside each other; the left one is as wide as the picture of the overview has it. */
static void draw_sides(struct board *b, struct section **list, struct rect r, bool tees) {
    struct draw *d = b->ui->draw;
    int left_cols = left_side(r.cols), x = r.x + left_cols;
    size_t n = collect(b, BOARD_LEFT, BOARD_LEFT, list);
    draw_column(b, list, n, (struct rect){r.y, r.x, r.rows, left_cols - 1});
    draw_vline(d, r.y, x, r.rows);
    if (tees && r.y > 0) draw_glyph(d, r.y - 1, x, STYLE_BORDER, GLYPH_TEE_DOWN);
    if (tees) draw_glyph(d, r.y + r.rows, x, STYLE_BORDER, GLYPH_TEE_UP);
    n = collect(b, BOARD_RIGHT, BOARD_RIGHT, list);
    draw_column(b, list, n, (struct rect){r.y, x + 2, r.rows, r.x + r.cols - x - 2});
}

static int sides_wanted(struct board *b, struct section **list, int cols) {
    int left_cols = left_side(cols);
    size_t n = collect(b, BOARD_LEFT, BOARD_LEFT, list);
    int left = wanted(b, list, n, left_cols - 1, true);
    n = collect(b, BOARD_RIGHT, BOARD_RIGHT, list);
    return larger(left, wanted(b, list, n, cols - left_cols - 2, true));
}

static void draw_wide(struct board *b, struct section **list, struct rect r) {
    size_t n = collect(b, BOARD_TOP, BOARD_TOP, list);
    int top = smaller(wanted(b, list, n, r.cols, false), r.rows / 3), y = r.y;
    draw_column(b, list, n, (struct rect){y, r.x, top, r.cols});
    y += top;
    draw_hline(b->ui->draw, y++, r.x, r.cols);
    int want = sides_wanted(b, list, r.cols);
    n = collect(b, BOARD_BOTTOM, BOARD_BOTTOM, list);
    int bottom = n ? larger(r.y + r.rows - y - want, least(list, n) + 1 + 3) : 0;
    bottom = smaller(bottom, n ? 1 + wanted(b, list, n, r.cols, false) : 0);
    int middle = r.y + r.rows - y - bottom;
    if (bottom) draw_hline(b->ui->draw, y + middle, r.x, r.cols);
    sides_wanted(b, list, r.cols);
    draw_sides(b, list, (struct rect){y, r.x, middle, r.cols}, bottom > 0);
    n = collect(b, BOARD_BOTTOM, BOARD_BOTTOM, list);
    if (bottom) draw_column(b, list, n, (struct rect){y + middle + 1, r.x, bottom - 1, r.cols});
}

void board_draw(struct board *b, struct rect r) {
    struct section **list = mem_calloc(b->n + 1, sizeof(struct section *));
    b->norder = 0;
    b->rows = r.rows;
    size_t n = collect(b, BOARD_RIGHT, BOARD_LEFT, list);
    if (r.cols >= BOARD_WIDE && n) {
        draw_wide(b, list, r);
    } else {
        n = collect(b, BOARD_TOP, BOARD_BOTTOM, list);
        wanted(b, list, n, r.cols, true);
        draw_column(b, list, n, r);
    }
    mem_free(list);
}
