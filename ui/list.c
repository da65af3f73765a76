/* What the operator does with a list. */
#include "ui/list.h"

#include <string.h>

#include "base/map.h"
#include "base/str.h"
#include "ui/list_private.h"
#include "ui/screen.h"

size_t list_total(const struct list *l) {
    return map_len(l->entries);
}

size_t list_shown(struct list *l) {
    list_settle(l);
    return l->n;
}

const struct row *list_row(struct list *l, size_t i) {
    return i < list_shown(l) ? l->order[i]->row : NULL;
}

const struct row *list_selected(struct list *l) {
    list_settle(l);
    return l->selected ? l->selected->row : NULL;
}

static void choose(struct list *l, size_t i) {
    if (!l->n) return;
    size_t before = l->selected ? list_index(l, l->selected) : 0;
    l->selected = l->order[i];
    l->touched = true;
    l->offset += (long)i - (long)before; /* the window stays where it is; drawing keeps the offset within it */
}

void list_move(struct list *l, long rows) {
    list_settle(l);
    if (!l->n) return;
    long i = (long)list_index(l, l->selected) + rows, last = (long)l->n - 1;
    choose(l, (size_t)(i < 0 ? 0 : i > last ? last : i));
}

void list_home(struct list *l) {
    list_settle(l);
    choose(l, 0);
    l->touched = false; /* at the top again: new worst rows are met as they come */
}

void list_end(struct list *l) {
    list_settle(l);
    if (l->n) choose(l, l->n - 1);
}

void list_page(struct list *l, int pages) {
    int rows = l->drawn.rows > 2 ? l->drawn.rows - 2 : 1;
    long offset = l->offset;
    list_move(l, (long)pages * rows);
    l->offset = offset;
}

bool list_click(struct list *l, int y) {
    list_settle(l);
    int at = y - l->drawn.y - 1;
    if (at < 0 || at >= l->drawn.rows - 1 || l->top + (size_t)at >= l->n) return false;
    choose(l, l->top + (size_t)at);
    return true;
}

void list_filter(struct list *l, const char *text) {
    if (str_eq(l->filter.text, text)) return;
    filter_parse(&l->filter, text, l->spec);
    if (!*text) l->marking = false;
    list_refilter(l);
}

const char *list_filter_text(const struct list *l) {
    return l->filter.text;
}

void list_mark_matches(struct list *l, bool mark) {
    l->marking = mark;
    l->dirty = true;
}

bool list_marks_matches(const struct list *l) {
    return l->marking;
}

bool list_match(struct list *l, int direction) {
    list_settle(l);
    if (!l->n) return false;
    for (long i = (long)list_index(l, l->selected) + direction; i >= 0 && i < (long)l->n; i += direction)
        if (l->order[i]->matches) {
            choose(l, (size_t)i);
            return true;
        }
    return false;
}

/* Sorts anew by what l says; the selection stays on its row. */
static void resort(struct list *l) {
    size_t it = 0;
    struct slice key;
    void *value;
    list_settle(l);
    while (map_each(l->entries, &it, &key, &value)) list_entry_load(l, value);
    l->dirty = true;
    list_settle(l);
}

void list_sort_next(struct list *l) {
    l->sort = (l->sort + 1) % l->spec->ncols;
    l->descending = false;
    resort(l);
}

void list_sort_reverse(struct list *l) {
    l->descending = !l->descending;
    resort(l);
}

bool list_sort_by(struct list *l, const char *title) {
    size_t n = strlen(title);
    for (size_t i = 0; n && i < l->spec->ncols; i++) {
        char start[32];
        if (n >= sizeof start || strlen(l->spec->cols[i].title) < n) continue;
        memcpy(start, l->spec->cols[i].title, n);
        start[n] = 0;
        if (!str_ieq(start, title)) continue;
        l->sort = i;
        l->descending = false;
        resort(l);
        return true;
    }
    return false;
}
