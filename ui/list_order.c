/* The list's order: entries follow their rows by a watch on the world. One changed row is taken out and put in at
 * its place by halving; after a burst (a snapshot) the order is made anew once, when it is next looked at. */
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "ui/format.h"
#include "ui/list_private.h"
#include "ui/screen.h"
#include "world/status.h"

#define BURST 512

bool list_cell(const struct list *l, const struct row *r, size_t col, struct buf *out) {
    const struct list_col *c = &l->spec->cols[col];
    if (c->text) {
        size_t before = out->len;
        c->text(l->world, r, out);
        return out->len > before;
    }
    struct cell cell = row_cell(r, c->col);
    enum col_type type = world_table_info(l->spec->table)->cols[c->col].type;
    if (cell.type == CELL_INT && type == COL_TIME && c->look == LIST_HMS) format_hms(out, cell.i);
    else if (cell.type == CELL_INT && type == COL_TIME && c->look == LIST_UTC) format_utc(out, cell.i);
    else if (cell.type == CELL_INT && type == COL_BYTES && c->look != LIST_BYTES) format_gib(out, cell.i);
    else return format_cell(out, type, cell, world_now(l->world));
    return true;
}

/* vault-2 before vault-10. */
static int compare_text(struct slice a, struct slice b) {
    size_t i = 0, k = 0;
    while (i < a.n && k < b.n) {
        unsigned char x = (unsigned char)a.p[i], y = (unsigned char)b.p[k];
        if (x >= '0' && x <= '9' && y >= '0' && y <= '9') {
            size_t x0 = i, y0 = k;
            while (i < a.n && a.p[i] == '0') i++;
            while (k < b.n && b.p[k] == '0') k++;
            size_t x1 = i, y1 = k;
            while (i < a.n && a.p[i] >= '0' && a.p[i] <= '9') i++;
            while (k < b.n && b.p[k] >= '0' && b.p[k] <= '9') k++;
            size_t xn = i - x1, yn = k - y1;
            int d = xn != yn ? (xn < yn ? -1 : 1) : memcmp(a.p + x1, b.p + y1, xn);
            if (!d && i - x0 != k - y0) d = i - x0 < k - y0 ? -1 : 1;
            if (d) return d;
            continue;
        }
        if (x != y) return x < y ? -1 : 1;
        i++;
        k++;
    }
    return a.n - i == b.n - k ? 0 : a.n - i < b.n - k ? -1 : 1;
}

static int compare_cells(const struct list *l, struct cell a, struct cell b) {
    const struct list_col *c = &l->spec->cols[l->sort];
    enum col_type type = c->col >= 0 ? world_table_info(l->spec->table)->cols[c->col].type : COL_TEXT;
    if (a.type == CELL_TEXT && b.type == CELL_TEXT && type == COL_STATE && !c->text) {
        int d = level_rank(status_level(a.s)) - level_rank(status_level(b.s));
        if (d) return d;
    }
    if (a.type == CELL_TEXT && b.type == CELL_TEXT) return compare_text(a.s, b.s);
    int d = a.i < b.i ? -1 : a.i > b.i;
    return type == COL_TIME && c->look == LIST_AUTO ? -d : d; /* shown as ages: the youngest is the smallest */
}

/* Rows that are equal in the sorted column go by namespace, name, key: the order is total and does not depend on
 * arrival. */
static int compare_names(const struct list *l, const struct row *a, const struct row *b) {
    const struct world_table_info *info = world_table_info(l->spec->table);
    int d = 0;
    if (info->namespace_col >= 0) d = compare_text(row_text(a, info->namespace_col), row_text(b, info->namespace_col));
    if (!d && info->name_col >= 0) d = compare_text(row_text(a, info->name_col), row_text(b, info->name_col));
    return d ? d : compare_text(row_key(a), row_key(b));
}

/* What is not known stands last in either direction. */
int list_compare(const struct list *l, const struct entry *a, const struct entry *b) {
    if ((a->sort.type == CELL_NULL) != (b->sort.type == CELL_NULL)) return a->sort.type == CELL_NULL ? 1 : -1;
    int d = a->sort.type == CELL_NULL ? 0 : compare_cells(l, a->sort, b->sort);
    if (d) return l->descending ? -d : d;
    d = compare_names(l, a->row, b->row);
    return d ? d : slice_cmp(row_key(a->row), row_key(b->row));
}

void list_entry_load(const struct list *l, struct entry *e) {
    const struct list_col *c = &l->spec->cols[l->sort];
    mem_free(e->sort_text);
    e->sort_text = NULL;
    if (c->text) {
        struct buf text = {0};
        c->text(l->world, e->row, &text);
        e->sort_text = buf_steal(&text);
        e->sort = *e->sort_text ? cell_text(e->sort_text) : CELL_NONE;
    } else {
        e->sort = row_cell(e->row, c->col);
    }
}

/* Index of the first entry that is not before e. */
static size_t lower_bound(const struct list *l, const struct entry *e) {
    size_t low = 0, high = l->n;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (list_compare(l, l->order[mid], e) < 0) low = mid + 1;
        else high = mid;
    }
    return low;
}

size_t list_index(const struct list *l, const struct entry *e) {
    return lower_bound(l, e);
}

static void order_remove(struct list *l, struct entry *e) {
    if (!e->ordered) return;
    e->ordered = false;
    if (l->dirty) return;
    size_t i = lower_bound(l, e);
    memmove(l->order + i, l->order + i + 1, (l->n - i - 1) * sizeof *l->order);
    l->n--;
    if (l->selected == e) l->lost_index = i;
}

static void order_insert(struct list *l, struct entry *e) {
    if (e->ordered || !(e->matches || l->marking)) return;
    e->ordered = true;
    if (l->dirty) return;
    if (l->n == l->cap) {
        l->cap = l->cap ? l->cap * 2 : 64;
        l->order = mem_reallocarray(l->order, l->cap, sizeof *l->order);
    }
    size_t i = lower_bound(l, e);
    memmove(l->order + i + 1, l->order + i, (l->n - i) * sizeof *l->order);
    l->order[i] = e;
    l->n++;
}

static void entry_free(void *value) {
    struct entry *e = value;
    mem_free(e->sort_text);
    mem_free(e);
}

static void drop(struct list *l, struct slice key, struct entry *e) {
    order_remove(l, e);
    if (l->selected == e) l->selected = NULL;
    if (e->matches) l->matches--;
    map_del(l->entries, key);
    entry_free(e);
}

static void measure(struct list *l, const struct row *r) {
    struct buf text = {0};
    for (size_t i = 0; i < l->spec->ncols && i < LIST_COLS_MAX; i++) {
        buf_clear(&text);
        int cols = list_cell(l, r, i, &text) ? (int)utf8_columns(buf_slice(&text)) : 1;
        if (cols > l->want[i]) l->want[i] = (short)(cols < 500 ? cols : 500);
    }
    buf_free(&text);
}

static void adopt(struct list *l, struct entry *e, const struct row *r) {
    e->row = r;
    list_entry_load(l, e);
    measure(l, r);
    bool matches = filter_matches(l, r);
    l->matches += (size_t)matches - (size_t)e->matches;
    e->matches = matches;
    order_insert(l, e);
}

static void count(const struct list *l, const struct row *r, int sign) {
    if (l->spec->count) l->spec->count(l->arg, r, sign);
}

static void on_change(void *arg, enum world_table t, const struct row *old, const struct row *now) {
    struct list *l = arg;
    if (t != l->spec->table) return;
    struct slice key = row_key(now ? now : old);
    struct entry *e = map_get(l->entries, key);
    bool belongs = now && (!l->spec->accepts || l->spec->accepts(l->arg, now));
    if (!e && !belongs) return;
    if (++l->burst > BURST && !l->dirty) {
        if (l->selected && l->selected->ordered) l->lost_index = list_index(l, l->selected);
        l->dirty = true;
    }
    if (e) count(l, old, -1);
    if (belongs) count(l, now, 1);
    if (e && !belongs) {
        drop(l, key, e);
        return;
    }
    if (!e) {
        e = MEM_NEW(struct entry);
        map_put(l->entries, key, e);
    } else {
        order_remove(l, e); /* by its old place: entry and row still say what they said */
    }
    adopt(l, e, now);
}

static int compare_pointers(const void *a, const void *b, void *arg) {
    return list_compare(arg, *(struct entry *const *)a, *(struct entry *const *)b);
}

static void sort_all(struct list *l) {
    size_t it = 0, count = map_len(l->entries);
    struct slice key;
    void *value;
    if (count > l->cap) {
        l->cap = count + 64;
        l->order = mem_reallocarray(l->order, l->cap, sizeof *l->order);
    }
    l->n = 0;
    while (map_each(l->entries, &it, &key, &value)) {
        struct entry *e = value;
        e->ordered = e->matches || l->marking;
        if (e->ordered) l->order[l->n++] = e;
    }
    if (l->n) qsort_r(l->order, l->n, sizeof *l->order, compare_pointers, l);
    l->dirty = false;
}

void list_settle(struct list *l) {
    l->burst = 0;
    if (l->dirty) sort_all(l);
    if (l->selected && !l->selected->ordered) l->selected = NULL;
    if (!l->touched && l->n) l->selected = l->order[0];
    if (!l->selected && l->n) l->selected = l->order[l->lost_index < l->n ? l->lost_index : l->n - 1];
}

void list_refilter(struct list *l) {
    size_t it = 0;
    struct slice key;
    void *value;
    list_settle(l);
    if (l->selected) l->lost_index = list_index(l, l->selected);
    l->matches = 0;
    while (map_each(l->entries, &it, &key, &value)) {
        struct entry *e = value;
        e->matches = filter_matches(l, e->row);
        l->matches += e->matches;
    }
    l->dirty = true;
}

void list_rebuild(struct list *l) {
    char *key = l->selected ? slice_dup(row_key(l->selected->row)) : NULL;
    l->selected = NULL;
    map_clear(l->entries, entry_free);
    l->n = 0;
    l->matches = 0;
    l->dirty = true;
    count(l, NULL, 0);
    for (const struct row *r = world_first(l->world, l->spec->table); r; r = world_next(l->world, r)) {
        if (l->spec->accepts && !l->spec->accepts(l->arg, r)) continue;
        struct entry *e = MEM_NEW(struct entry);
        map_put(l->entries, row_key(r), e);
        count(l, r, 1);
        adopt(l, e, r);
    }
    sort_all(l);
    struct entry *again = key ? map_gets(l->entries, key) : NULL;
    if (again && again->ordered) l->selected = again;
    mem_free(key);
}

struct list *list_new(struct ui *ui, const struct list_spec *spec, void *arg) {
    struct list *l = MEM_NEW(struct list);
    *l = (struct list){.ui = ui, .world = ui->world, .spec = spec, .arg = arg, .entries = map_new(), .sort = spec->sort,
                       .descending = spec->descending, .next = ui->lists};
    ui->lists = l;
    l->filter.text = mem_strdup("");
    world_watch(l->world, on_change, l);
    list_rebuild(l);
    return l;
}

void list_free(struct list *l) {
    if (!l) return;
    struct list **at = &l->ui->lists;
    while (*at && *at != l) at = &(*at)->next;
    if (*at) *at = l->next;
    world_unwatch(l->world, on_change, l);
    map_free(l->entries, entry_free);
    filter_free(&l->filter);
    mem_free(l->order);
    mem_free(l);
}

void list_follow(struct ui *ui) {
    for (struct list *l = ui->lists; l; l = l->next) {
        if (l->world == ui->world) continue;
        size_t index = l->selected && l->selected->ordered && !l->dirty ? list_index(l, l->selected) : 0;
        world_unwatch(l->world, on_change, l);
        l->world = ui->world;
        world_watch(l->world, on_change, l);
        l->lost_index = index;
        list_rebuild(l);
    }
}

void list_refresh(struct list *l) {
    list_rebuild(l);
}
