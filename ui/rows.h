/* Rows of a table in an order, for screens that draw a few of them by hand (long tables are lists: ui/list.h). */
#ifndef FERRYMAN_UI_ROWS_H
#define FERRYMAN_UI_ROWS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"
#include "world/world.h"

/* All rows of t, sorted by column `col` (states by risk, worst first; what is null last), then by key; col -1: by key
 * alone. Freed with mem_free; the rows are the world's, valid until it changes. Never NULL. */
const struct row **rows_sorted(const struct world *w, enum world_table t, int col, bool descending,
                               size_t *ret_n) MUST_CHECK;
/* The only row of the table whose column holds this text; NULL if there is none or there are several. */
const struct row *rows_only(const struct world *w, enum world_table t, int col, struct slice text);
size_t rows_count(const struct world *w, enum world_table t, int col, struct slice text);

#endif
