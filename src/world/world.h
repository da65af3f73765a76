/* The world: small typed tables of rows, changed only by deltas, read by everybody.
 *
 * A row is one packed block: header, key, cells. Rows hang in one list in the order of their last change, so a reader
 * (stream.h) is nothing but a place in that list: it needs no queue, and one that lags meets each row once, in its
 * latest state. Removed rows stay in the list as tombstones until every reader has passed them.
 *
 * A `const struct row *` is valid until the row is next changed or removed: never keep one over a turn, keep the key. */
#ifndef FERRYMAN_WORLD_WORLD_H
#define FERRYMAN_WORLD_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"
#include "world/tables.h"

struct world;
struct row;

enum cell_type { CELL_NULL, CELL_INT, CELL_TEXT };

/* A view: text is borrowed. COL_BOOL, COL_TIME, COL_BYTES, COL_MS and COL_INT are CELL_INT. */
struct cell {
    enum cell_type type;
    int64_t i;
    struct slice s;
};

/* Longer text is cut at a character and ends in "…"; longer keys are cut, when stored and when looked for. */
#define WORLD_TEXT_MAX 16384
#define WORLD_KEY_MAX 1024

#define CELL_NONE ((struct cell){CELL_NULL, 0, {NULL, 0}})
struct cell cell_int(int64_t v);
struct cell cell_text(const char *s);       /* NULL: null */
struct cell cell_slice(struct slice s);     /* absent: null */
struct cell cell_bool(bool v);

struct world *world_new(void);
void world_free(struct world *w);

/* The stream's present time (Unix ms) and the engine's mono ms: no screen reads a clock. */
void world_set_now(struct world *w, int64_t wall_ms);
int64_t world_now(const struct world *w);

/* Inserts or replaces the row `key` of `t`; cells has one entry per column. Equal to what is there: no delta, but the
 * row counts as seen (sweeps). Returns whether anything changed. `src` is the key of the row of T_SOURCES that the
 * fact came from. Text must be clean (utf8_clean) already; asserted in debug builds. */
bool world_upsert(struct world *w, enum world_table t, struct slice key, const char *src, const struct cell *cells);
/* Changes only the cells of the columns `cols` (n of them) of an existing row; false if it is not there. It does not
 * count as seen for a sweep. */
bool world_patch(struct world *w, enum world_table t, struct slice key, const int *cols, const struct cell *cells,
                 size_t n);
bool world_remove(struct world *w, enum world_table t, struct slice key);

/* A complete list replaces what a source had said before: begin, upsert everything, end. What the source did not name
 * again vanishes at end. A sweep that is not ended (the list failed) removes nothing. */
uint32_t world_sweep_begin(struct world *w);
void world_sweep_end(struct world *w, enum world_table t, const char *src, uint32_t sweep);

const struct row *world_find(const struct world *w, enum world_table t, struct slice key);
/* By namespace and name (namespace absent for cluster-scoped tables); for tables that have a name column. If several
 * rows share a name (an object and its successor), the one changed last. O(1) for claims, volumes, pods,
 * storage_classes; else a scan. */
const struct row *world_find_name(const struct world *w, enum world_table t, struct slice ns, struct slice name);
size_t world_count(const struct world *w, enum world_table t);
/* Iteration in unspecified order: for (r = world_first(w, t); r; r = world_next(w, r)). Upserting or removing rows of t
 * invalidates it. */
const struct row *world_first(const struct world *w, enum world_table t);
const struct row *world_next(const struct world *w, const struct row *r);

enum world_table row_table(const struct row *r);
struct slice row_key(const struct row *r);
const char *row_src(const struct world *w, const struct row *r); /* never NULL; "" if none */
uint64_t row_seq(const struct row *r);       /* number of its last change */
int64_t row_changed(const struct row *r);    /* world_now at its last change of content but for mere measurements */
/* All cells (WORLD_COLS_MAX of them at most), or one. */
void row_cells(const struct row *r, struct cell cells[WORLD_COLS_MAX]);
struct cell row_cell(const struct row *r, int col);
struct slice row_text(const struct row *r, int col);                     /* absent if null */
int64_t row_int(const struct row *r, int col, int64_t fallback);

uint64_t world_seq(const struct world *w);   /* number of the last change of anything */

/* What happened to a row, for readers in the same process (derivations, screens): called after the change; `old` is
 * NULL for an insert, `now` for a removal. Must not change table `t`; may change others. */
typedef void (*world_watch_fn)(void *arg, enum world_table t, const struct row *old, const struct row *now);
void world_watch(struct world *w, world_watch_fn fn, void *arg);
void world_unwatch(struct world *w, world_watch_fn fn, void *arg);

/* Readers of changes, in order. The cursor starts before everything; world_reader_next returns the next live row or
 * tombstone (*ret_removed) and moves on; NULL when it has caught up. A tombstone is valid until any reader's next
 * call. */
struct world_reader;
struct world_reader *world_reader_new(struct world *w);
void world_reader_free(struct world_reader *r);
const struct row *world_reader_next(struct world_reader *r, bool *ret_removed);
bool world_reader_behind(const struct world_reader *r);
/* Whether the reader was sent back to the start since this was asked last: it stood still while very many rows were
 * removed, and their tombstones are gone. What it does not meet again no longer exists. */
bool world_reader_restarted(struct world_reader *r);

#endif
