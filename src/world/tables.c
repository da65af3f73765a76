#include "world/tables.h"

#include "base/mem.h"

/* Per table an array of its columns, then the list of tables: both straight from tables.def. */
#define TABLE(ID, id, key_doc, doc) static const struct world_col cols_##id[] = {
#define COL(ID, NAME, name, type, doc) {#name, type, doc},
#define END(ID) };
#include "world/tables.def"
#undef TABLE
#undef COL
#undef END

#define TABLE(ID, id, key_doc, doc) _Static_assert(ID##_COLS <= WORLD_COLS_MAX, #id " has too many columns");
#define COL(ID, NAME, name, type, doc)
#define END(ID)
#include "world/tables.def"
#undef TABLE
#undef COL
#undef END

/* namespace_col and name_col are found by name below, once; a designated constant would need each table to say it. */
#define TABLE(ID, id, key_doc, doc) [T_##ID] = {#id, key_doc, doc, cols_##id, ARRAY_LEN(cols_##id), -1, -1},
#define COL(ID, NAME, name, type, doc)
#define END(ID)
static struct world_table_info tables[T_COUNT] = {
#include "world/tables.def"
};
#undef TABLE
#undef COL
#undef END

static int find_col(const struct world_table_info *info, struct slice name)
{
    for (size_t i = 0; i < info->ncols; i++)
        if (slice_is(name, info->cols[i].name))
            return (int)i;
    return -1;
}

/* Runs before main, so that the table is as constant as it looks. */
__attribute__((constructor)) static void tables_init(void)
{
    for (size_t t = 0; t < T_COUNT; t++) {
        tables[t].namespace_col = find_col(&tables[t], SLICE_LIT("namespace"));
        tables[t].name_col = find_col(&tables[t], SLICE_LIT("name"));
    }
}

const struct world_table_info *world_table_info(enum world_table t)
{
    return &tables[t];
}

enum world_table world_table_by_name(struct slice name)
{
    for (int t = 0; t < T_COUNT; t++)
        if (slice_is(name, tables[t].name))
            return (enum world_table)t;
    return T_COUNT;
}

int world_col_by_name(enum world_table t, struct slice name)
{
    return find_col(&tables[t], name);
}
