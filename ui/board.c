/* What a board holds, and walking over it. */
#include <string.h>

#include "base/mem.h"
#include "ui/board_private.h"
#include "ui/screen.h"

#define CHANGED_MS 3000

struct board *board_new(struct ui *ui) {
    struct board *b = MEM_NEW(struct board);
    b->ui = ui;
    return b;
}

static void line_free(struct line *l) {
    mem_free(l->state);
    mem_free(l->label);
    mem_free(l->text);
    mem_free(l->right);
    mem_free(l->id);
    mem_free(l->key);
}

static void section_free(struct section *s) {
    for (size_t i = 0; i < s->n; i++) line_free(&s->lines[i]);
    line_free(&s->head);
    mem_free(s->lines);
    mem_free(s->title);
    mem_free(s->prefix);
    mem_free(s->state);
    mem_free(s->detail);
    mem_free(s->right);
}

static void forget(struct board *b) {
    for (size_t i = 0; i < b->nseen; i++) {
        mem_free(b->seen[i].id);
        mem_free(b->seen[i].shown);
    }
    mem_free(b->seen);
    b->seen = NULL;
    b->nseen = 0;
}

static char *shown_of(const struct line *l) {
    return str_printf("%s|%s|%s", l->state ? l->state : "", l->label ? l->label : "", l->right ? l->right : "");
}

/* What this frame shows, for the next one to compare with. */
static void remember_lines(struct board *b) {
    size_t n = 0;
    for (size_t i = 0; i < b->n; i++) n += b->sections[i].n;
    struct seen *seen = mem_calloc(n + 1, sizeof *seen);
    n = 0;
    for (size_t i = 0; i < b->n; i++) {
        for (size_t k = 0; k < b->sections[i].n; k++) {
            const struct line *l = &b->sections[i].lines[k];
            if (l->id) seen[n++] = (struct seen){mem_strdup(l->id), shown_of(l), l->changed_at};
        }
    }
    forget(b);
    b->seen = seen;
    b->nseen = n;
}

/* Lines are few: a search for each is cheaper than a map for all. */
static int64_t changed_at(const struct board *b, const struct line *l) {
    int64_t now = world_now(b->ui->world), at = b->nseen ? now : 0; /* it is new, unless everything is */
    char *shown = shown_of(l);
    for (size_t i = 0; i < b->nseen; i++) {
        if (!str_eq(b->seen[i].id, l->id)) continue;
        at = str_eq(b->seen[i].shown, shown) ? b->seen[i].changed_at : now;
        break;
    }
    mem_free(shown);
    return at;
}

void board_begin(struct board *b) {
    if (b->n) remember_lines(b);
    for (size_t i = 0; i < b->n; i++) section_free(&b->sections[i]);
    b->n = 0;
    b->norder = 0;
}

void board_free(struct board *b) {
    if (!b) return;
    board_begin(b);
    forget(b);
    mem_free(b->sections);
    mem_free(b->order);
    mem_free(b->selected);
    mem_free(b);
}

static struct fresh fresh_of(const struct board *b, const struct board_line *line) {
    struct fresh f = line->row ? world_freshness(b->ui->world, line->row) : line->fresh;
    bool history = line->row && row_table(line->row) == T_TIMELINE; /* stays true */
    return b->ui->stale && fresh_usable(f) && !history ? (struct fresh){FRESH_STALE, -1} : f;
}

/* A row may stand in two sections: each is a line of its own. */
static void identify(const struct section *s, struct line *l, const struct row *row, const struct screen_ops *screen) {
    struct buf id = {0};
    buf_printf(&id, "%s:", s->title ? s->title : "");
    l->table = row ? row_table(row) : T_COUNT;
    l->key = row ? slice_dup(row_key(row)) : NULL;
    l->screen = screen;
    if (row) buf_printf(&id, "%s/%s", world_table_info(l->table)->name, l->key);
    else if (screen) buf_printf(&id, "%s//%s/%s", screen->id, l->label ? l->label : "", l->state ? l->state : "");
    l->id = row || screen ? buf_steal(&id) : NULL;
    buf_free(&id);
}

void board_section(struct board *b, const struct board_section *s) {
    if (b->n == b->cap) {
        b->cap = b->cap ? b->cap * 2 : 16;
        b->sections = mem_reallocarray(b->sections, b->cap, sizeof *b->sections);
    }
    struct section *own = &b->sections[b->n++];
    *own = (struct section){
        .title = mem_strdup(s->title), .prefix = mem_strdup(s->prefix), .state = slice_dup(s->state),
        .detail = slice_dup(s->detail),
        .right = slice_dup(s->right), .side = s->side, .min = s->min,
    };
    identify(own, &own->head, s->row, NULL);
}

void board_line(struct board *b, const struct board_line *line) {
    struct section *s = &b->sections[b->n - 1];
    if (s->n == s->cap) {
        s->cap = s->cap ? s->cap * 2 : 8;
        s->lines = mem_reallocarray(s->lines, s->cap, sizeof *s->lines);
    }
    struct line *own = &s->lines[s->n++];
    *own = (struct line){
        .state = slice_dup(line->state), .label = slice_dup(line->label), .text = slice_dup(line->text),
        .right = slice_dup(line->right),
        .fresh = fresh_of(b, line), .style = line->style, .wrap = line->wrap, .whole = line->whole,
    };
    identify(s, own, line->row, line->screen);
    if (own->id) own->changed_at = changed_at(b, own);
    own->changed = own->changed_at && world_now(b->ui->world) - own->changed_at < CHANGED_MS;
}

struct line *board_find(const struct board *b, const char *id) {
    for (size_t i = 0; id && i < b->norder; i++)
        if (str_eq(b->order[i]->id, id)) return b->order[i];
    return NULL;
}

/* Place of the selection among the lines that were drawn; -1: none. */
static long selected_index(const struct board *b) {
    const struct line *l = board_find(b, b->selected);
    for (size_t i = 0; l && i < b->norder; i++)
        if (b->order[i] == l) return (long)i;
    return -1;
}

static void go(struct board *b, long index) {
    if (!b->norder) return;
    if (index < 0) index = 0;
    if (index >= (long)b->norder) index = (long)b->norder - 1;
    str_set(&b->selected, b->order[index]->id);
}

const struct row *board_selected(const struct board *b) {
    const struct line *l = board_find(b, b->selected);
    return l && l->table != T_COUNT ? world_find(b->ui->world, l->table, slice_of(l->key)) : NULL;
}

static void open_line(struct board *b) {
    const struct line *l = board_find(b, b->selected);
    const struct row *r = board_selected(b);
    if (!l) ui_message(b->ui, STYLE_DIM, "nothing is selected: j and k go from line to line");
    else if (r) ui_open_row(b->ui, r);
    else if (l->table != T_COUNT) ui_message(b->ui, STYLE_WARN, "that row has gone");
    else ui_open(b->ui, l->screen, T_COUNT, (struct slice){NULL, 0});
}

bool board_command(struct board *b, enum command c) {
    long at = selected_index(b), page = b->rows > 2 ? b->rows / 2 : 1;
    const struct row *r = board_selected(b);
    switch ((int)c) {
    case COMMAND_DOWN: go(b, at + 1); return true;
    case COMMAND_UP: go(b, at < 0 ? 0 : at - 1); return true;
    case COMMAND_PAGE_DOWN: go(b, at + page); return true;
    case COMMAND_PAGE_UP: go(b, at - page); return true;
    case COMMAND_TOP: go(b, 0); return true;
    case COMMAND_BOTTOM: go(b, (long)b->norder); return true;
    case COMMAND_OPEN: open_line(b); return true;
    case COMMAND_LOG:
        ui_open(b->ui, &screen_log, r ? row_table(r) : T_COUNT, r ? row_key(r) : (struct slice){NULL, 0});
        return true;
    default: return false;
    }
}

bool board_copy(const struct board *b, struct buf *out) {
    const struct line *l = board_find(b, b->selected);
    if (!l) return false;
    int name = l->table == T_COUNT ? -1 : world_table_info(l->table)->name_col;
    const struct row *r = board_selected(b);
    if (r && name >= 0 && row_text(r, name).n) buf_add_slice(out, row_text(r, name));
    else buf_adds(out, l->label && *l->label ? l->label : l->text ? l->text : "");
    return out->len > 0;
}
