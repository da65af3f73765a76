/* The world's tables and columns: the one list of every fact that is shown. The stream, --json, screens, filters and
 * tests read it; a new column is a line in tables.def, a new table a block there.
 *
 * Words used in `doc` are the field's own. Times are Unix milliseconds, sizes bytes, durations milliseconds. A cell
 * that is null is unknown, which is never shown as healthy. */
#ifndef FERRYMAN_WORLD_TABLES_H
#define FERRYMAN_WORLD_TABLES_H

#include <stddef.h>

#include "base/str.h"

enum col_type {
    COL_TEXT,
    COL_STATE, /* a word of world/status.h */
    COL_INT,   /* a plain number */
    COL_BYTES,
    COL_TIME,  /* Unix milliseconds */
    COL_MS,    /* a duration */
    COL_BOOL,
};

/* enum world_table: T_SOURCES, T_CLAIMS, … and per table an enum of columns: CLAIMS_NAME, … CLAIMS_COLS (their number) */
#define TABLE(ID, id, key_doc, doc) T_##ID,
#define COL(ID, NAME, name, type, doc)
#define END(ID)
enum world_table {
#include "world/tables.def"
    T_COUNT
};
#undef TABLE
#undef COL
#undef END

#define TABLE(ID, id, key_doc, doc) enum world_cols_##id {
#define COL(ID, NAME, name, type, doc) ID##_##NAME,
#define END(ID) ID##_COLS };
#include "world/tables.def"
#undef TABLE
#undef COL
#undef END

#define WORLD_COLS_MAX 32

struct world_col {
    const char *name; /* as in --json: lower_snake */
    enum col_type type;
    const char *doc;
};

struct world_table_info {
    const char *name; /* "claims" */
    const char *key_doc;
    const char *doc;
    const struct world_col *cols;
    size_t ncols;
    int namespace_col, name_col; /* of the columns called so, -1 if none: they make world_find_name work */
};

const struct world_table_info *world_table_info(enum world_table t);
/* By name; T_COUNT if there is none. */
enum world_table world_table_by_name(struct slice name);
/* Column by name; -1 if there is none. */
int world_col_by_name(enum world_table t, struct slice name);

#endif
