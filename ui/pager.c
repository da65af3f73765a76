#include "ui/pager.h"

#include <string.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "ui/screen.h"

enum kind { KIND_TEXT, KIND_HEADING, KIND_LINK };

struct item {
    enum kind kind;
    enum style style;
    char *label, *text, *state, *key;
    enum world_table table;
};

struct pager {
    struct ui *ui;
    struct item *items;
    size_t n, cap;
    int label_cols;
    size_t top, selected;
    int rows, cols; /* as drawn last */
};

struct pager *pager_new(struct ui *ui) {
    struct pager *p = MEM_NEW(struct pager);
    p->ui = ui;
    return p;
}

void pager_clear(struct pager *p) {
    for (size_t i = 0; i < p->n; i++) {
        mem_free(p->items[i].label);
        mem_free(p->items[i].text);
        mem_free(p->items[i].state);
        mem_free(p->items[i].key);
    }
    p->n = 0;
}

void pager_free(struct pager *p) {
    if (!p) return;
    pager_clear(p);
    mem_free(p->items);
    mem_free(p);
}

void pager_labels(struct pager *p, int cols) {
    p->label_cols = cols;
}

static struct item *add(struct pager *p, struct item item) {
    if (p->n == p->cap) {
        p->cap = p->cap ? p->cap * 2 : 64;
        p->items = mem_reallocarray(p->items, p->cap, sizeof *p->items);
    }
    p->items[p->n] = item;
    return &p->items[p->n++];
}

void pager_heading(struct pager *p, const char *text) {
    if (p->n) add(p, (struct item){.kind = KIND_TEXT, .text = mem_strdup("")});
    add(p, (struct item){.kind = KIND_HEADING, .style = STYLE_TITLE, .text = mem_strdup(text)});
}

void pager_add(struct pager *p, const char *label, enum style s, struct slice text) {
    add(p, (struct item){.kind = KIND_TEXT, .style = s, .label = mem_strdup(label),
                         .text = text.p ? slice_dup(text) : mem_strdup("")});
}

void pager_link(struct pager *p, struct slice state, struct slice text, enum world_table t, struct slice key) {
    add(p, (struct item){.kind = KIND_LINK, .state = state.p ? slice_dup(state) : NULL, .text = slice_dup(text),
                         .table = t, .key = slice_dup(key)});
}

static int text_cols(const struct pager *p, const struct item *i) {
    int cols = p->cols - 2;
    if (i->kind == KIND_TEXT && i->label) cols -= p->label_cols + 2;
    return cols > 8 ? cols : 8;
}

/* Rows that an item takes: links and headings one, texts as many as they wrap to. */
static int height(const struct pager *p, const struct item *i) {
    if (i->kind != KIND_TEXT) return 1;
    size_t cols = utf8_columns(slice_of(i->text));
    int width = text_cols(p, i);
    if ((int)cols <= width && !strchr(i->text, '\n')) return 1;
    /* Wrapping at blanks may need more rows than cutting would: count as drawing does. */
    return section_text(p->ui, (struct rect){-10000, 0, 9999, width}, STYLE_NORMAL, slice_of(i->text));
}

static void draw_item(const struct pager *p, const struct item *i, struct rect r, int rows, bool selected) {
    struct draw *d = p->ui->draw;
    int x = r.x + 2, cols = r.cols - 2;
    if (selected) draw_glyph(d, r.y, r.x, STYLE_ACCENT, GLYPH_ARROW);
    if (i->kind == KIND_HEADING) {
        draw_str(d, r.y, x, cols, STYLE_TITLE, i->text);
        return;
    }
    if (i->kind == KIND_LINK) {
        if (i->state) draw_status(d, r.y, x, 14, slice_of(i->state));
        int indent = i->state ? 15 : 0;
        draw_str(d, r.y, x + indent, cols - indent, selected ? STYLE_BOLD : STYLE_NORMAL, i->text);
        return;
    }
    if (i->label) {
        draw_str(d, r.y, x, p->label_cols, STYLE_DIM, i->label);
        x += p->label_cols + 2;
    }
    section_text(p->ui, (struct rect){r.y, x, rows, text_cols(p, i)}, i->style, slice_of(i->text));
}

/* The first item of the window such that the selected one is in it, whole if it can be. */
static void place(struct pager *p, int rows) {
    if (p->selected >= p->n) p->selected = p->n ? p->n - 1 : 0;
    if (p->top > p->selected) p->top = p->selected;
    if (!p->n) return;
    int used = 0;
    size_t first = p->selected + 1;
    while (first > 0) {
        int h = height(p, &p->items[first - 1]);
        if (used + h > rows) break;
        used += h;
        first--;
    }
    if (first > p->selected) first = p->selected;
    if (p->top < first) p->top = first;
}

void pager_draw(struct pager *p, struct rect r) {
    p->rows = r.rows;
    p->cols = r.cols;
    place(p, r.rows);
    int y = 0;
    for (size_t i = p->top; i < p->n && y < r.rows; i++) {
        int h = height(p, &p->items[i]);
        if (h > r.rows - y) h = r.rows - y;
        draw_item(p, &p->items[i], (struct rect){r.y + y, r.x, h, r.cols}, h, i == p->selected);
        y += h > 0 ? h : 1;
    }
}

static void go(struct pager *p, long items) {
    long i = (long)p->selected + items;
    p->selected = i < 0 ? 0 : i >= (long)p->n ? (p->n ? p->n - 1 : 0) : (size_t)i;
}

bool pager_command(struct pager *p, enum command c) {
    const struct item *i = p->selected < p->n ? &p->items[p->selected] : NULL;
    switch ((int)c) {
    case COMMAND_DOWN: go(p, 1); return true;
    case COMMAND_UP: go(p, -1); return true;
    case COMMAND_PAGE_DOWN: go(p, p->rows > 2 ? p->rows - 2 : 1); return true;
    case COMMAND_PAGE_UP: go(p, p->rows > 2 ? 2 - p->rows : -1); return true;
    case COMMAND_TOP: go(p, -(long)p->n); return true;
    case COMMAND_BOTTOM: go(p, (long)p->n); return true;
    case COMMAND_OPEN:
        if (i && i->kind == KIND_LINK) {
            const struct row *r = world_find(p->ui->world, i->table, slice_of(i->key));
            if (r) ui_open_row(p->ui, r);
            else ui_message(p->ui, STYLE_WARN, "that row has gone");
        }
        return true;
    default: return false;
    }
}

bool pager_copy(const struct pager *p, struct buf *out) {
    if (p->selected >= p->n || !*p->items[p->selected].text) return false;
    buf_adds(out, p->items[p->selected].text);
    return true;
}
