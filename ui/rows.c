#include "ui/rows.h"

#include <stdlib.h>

#include "base/mem.h"
#include "world/status.h"

struct order {
    const struct row *row;
    struct cell cell;
    bool state, descending;
};

static int compare_cells(const struct order *a, const struct order *b) {
    if (a->cell.type != CELL_TEXT) return a->cell.i < b->cell.i ? -1 : a->cell.i > b->cell.i;
    int d = a->state ? level_rank(status_level(a->cell.s)) - level_rank(status_level(b->cell.s)) : 0;
    return d ? d : slice_cmp(a->cell.s, b->cell.s);
}

static int compare(const void *va, const void *vb) {
    const struct order *a = va, *b = vb;
    if ((a->cell.type == CELL_NULL) != (b->cell.type == CELL_NULL)) return a->cell.type == CELL_NULL ? 1 : -1;
    int d = a->cell.type == CELL_NULL ? 0 : compare_cells(a, b);
    if (!d) d = slice_cmp(row_key(a->row), row_key(b->row));
    return a->descending ? -d : d;
}

const struct row **rows_sorted(const struct world *w, enum world_table t, int col, bool descending, size_t *ret_n) {
    size_t count = world_count(w, t), n = 0;
    struct order *order = mem_calloc(count + 1, sizeof *order);
    const struct row **rows = mem_calloc(count + 1, sizeof *rows);
    bool state = col >= 0 && world_table_info(t)->cols[col].type == COL_STATE;
    for (const struct row *r = world_first(w, t); r && n < count; r = world_next(w, r))
        order[n++] = (struct order){r, col >= 0 ? row_cell(r, col) : CELL_NONE, state, descending};
    qsort(order, n, sizeof *order, compare);
    for (size_t i = 0; i < n; i++) rows[i] = order[i].row;
    mem_free(order);
    *ret_n = n;
    return rows;
}

const struct row *rows_only(const struct world *w, enum world_table t, int col, struct slice text) {
    const struct row *found = NULL;
    for (const struct row *r = world_first(w, t); r; r = world_next(w, r)) {
        if (!slice_eq(row_text(r, col), text)) continue;
        if (found) return NULL;
        found = r;
    }
    return found;
}

size_t rows_count(const struct world *w, enum world_table t, int col, struct slice text) {
    size_t n = 0;
    for (const struct row *r = world_first(w, t); r; r = world_next(w, r)) n += slice_eq(row_text(r, col), text);
    return n;
}
