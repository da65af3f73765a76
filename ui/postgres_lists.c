#include "ui/postgres_lists.h"

#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "ui/format.h"
#include "ui/screen.h"
#include "ui/spark.h"

#define BAR_COLS 20

/* With several servers names say which one is meant. */
static void add_server(const struct world *w, struct slice workload, struct buf *out) {
    if (world_count(w, T_PG_SERVERS) > 1) buf_printf(out, "%.*s/", SLICE_FMT(workload));
}

static void empty_by(const struct world *w, const char *nothing, struct buf *out) {
    if (!section_why(w, "postgres/", out)) buf_adds(out, nothing);
}

/* ---- Extensions -------------------------------------------------------------------------------------------------- */

static void extension_database(const struct world *w, const struct row *r, struct buf *out) {
    add_server(w, row_text(r, EXTENSIONS_WORKLOAD), out);
    buf_add_slice(out, row_text(r, EXTENSIONS_DATABASE));
}

static enum style available_style(const struct world *w, const struct row *r) {
    (void)w;
    return slice_is(row_text(r, EXTENSIONS_STATE), "OK") ? STYLE_NORMAL : STYLE_WARN;
}

static const struct list_col extension_cols[] = {
    {.title = "STATE", .col = EXTENSIONS_STATE, .min = 13},
    {.title = "EXTENSION", .col = EXTENSIONS_NAME, .min = 14, .max = 24},
    {.title = "DATABASE", .col = EXTENSIONS_DATABASE, .min = 10, .max = 24, .text = extension_database},
    {.title = "INSTALLED", .col = EXTENSIONS_INSTALLED, .min = 9, .max = 12},
    {.title = "IMAGE HAS", .col = EXTENSIONS_AVAILABLE, .min = 9, .max = 12, .none = "none", .style = available_style},
    {.title = "PRELOAD", .col = EXTENSIONS_PRELOAD, .min = 14, .max = 30, .none = "–"},
    {.title = "SCHEMA", .col = EXTENSIONS_SCHEMA, .min = 10, .max = 16, .drop = 1},
};

static void extension_empty(void *arg, const struct world *w, struct buf *out) {
    (void)arg;
    empty_by(w, "No extension is installed in a database that could be asked.", out);
}

/* ---- Databases --------------------------------------------------------------------------------------------------- */

static void database_name(const struct world *w, const struct row *r, struct buf *out) {
    add_server(w, row_text(r, DATABASES_WORKLOAD), out);
    buf_add_slice(out, row_text(r, DATABASES_NAME));
}

static const struct list_col database_cols[] = {
    {.title = "COLLATION", .col = DATABASES_COLLATION_STATE, .min = 13},
    {.title = "DATABASE", .col = DATABASES_NAME, .min = 12, .max = 24, .text = database_name},
    {.title = "SIZE", .col = DATABASES_SIZE, .min = 9, .right = true, .look = LIST_BYTES},
    {.title = "CONN", .col = DATABASES_CONNECTIONS, .min = 5, .right = true},
    {.title = "EXT", .col = DATABASES_EXTENSIONS, .min = 4, .right = true},
    {.title = "OWNER", .col = DATABASES_OWNER, .min = 10, .max = 16},
    {.title = "ENCODING", .col = DATABASES_ENCODING, .min = 8, .drop = 2},
    {.title = "LOCALE", .col = DATABASES_COLLATION, .min = 14, .max = 32, .drop = 3},
    {.title = "WHY NOT", .col = DATABASES_ERROR, .min = 12, .flex = true, .drop = 1, .none = ""},
};

static void database_empty(void *arg, const struct world *w, struct buf *out) {
    (void)arg;
    empty_by(w, "The server shows no database.", out);
}

/* ---- Progress ---------------------------------------------------------------------------------------------------- */

/* Never 100 %: what is done is gone from this list. */
static void percent_text(const struct world *w, const struct row *r, struct buf *out) {
    int64_t done = row_int(r, PROGRESS_DONE, 0), total = row_int(r, PROGRESS_TOTAL, 0);
    (void)w;
    if (total <= 0) return;
    int percent = done >= total ? 99 : (int)((double)done * 100 / (double)total);
    buf_printf(out, "%d %%", percent > 99 ? 99 : percent);
}

static void bar_text(const struct world *w, const struct row *r, struct buf *out) {
    int64_t total = row_int(r, PROGRESS_TOTAL, 0);
    (void)w;
    if (total > 0) spark_bar(out, row_int(r, PROGRESS_DONE, 0), total, BAR_COLS);
}

static void add_amount(struct slice unit, int64_t v, struct buf *out) {
    if (slice_is(unit, "bytes")) format_bytes(out, v);
    else format_int(out, v);
}

static void amount_text(const struct world *w, const struct row *r, struct buf *out) {
    struct cell done = row_cell(r, PROGRESS_DONE), total = row_cell(r, PROGRESS_TOTAL);
    struct slice unit = row_text(r, PROGRESS_UNIT);
    (void)w;
    if (done.type != CELL_INT) return;
    add_amount(unit, done.i, out);
    if (total.type == CELL_INT && total.i > 0) {
        buf_adds(out, " of ");
        add_amount(unit, total.i, out);
    }
    if (!slice_is(unit, "bytes") && unit.n) buf_printf(out, " %.*s", SLICE_FMT(unit));
}

static const struct list_col progress_cols[] = {
    {.title = "DONE", .col = -1, .min = 13, .text = percent_text, .none = "total unknown"},
    {.title = "", .col = -1, .min = BAR_COLS, .drop = 1, .text = bar_text, .none = ""},
    {.title = "COMMAND", .col = PROGRESS_COMMAND, .min = 12},
    {.title = "RELATION", .col = PROGRESS_RELATION, .min = 14, .max = 32},
    {.title = "AMOUNT", .col = PROGRESS_DONE, .min = 14, .max = 30, .text = amount_text},
    {.title = "PHASE", .col = PROGRESS_PHASE, .min = 12, .flex = true, .drop = 2},
    {.title = "PID", .col = PROGRESS_PID, .min = 7, .right = true, .drop = 3},
};

static void progress_empty(void *arg, const struct world *w, struct buf *out) {
    (void)arg;
    empty_by(w, "Nothing runs that reports its progress (COPY, CREATE INDEX, VACUUM, ANALYZE, CLUSTER, base backups).",
             out);
}

/* ---- Indexes ----------------------------------------------------------------------------------------------------- */

static void index_database(const struct world *w, const struct row *r, struct buf *out) {
    add_server(w, row_text(r, INDEXES_WORKLOAD), out);
    buf_add_slice(out, row_text(r, INDEXES_DATABASE));
}

static const struct list_col index_cols[] = {
    {.title = "STATE", .col = INDEXES_STATE, .min = 13},
    {.title = "INDEX", .col = INDEXES_NAME, .min = 20, .flex = true},
    {.title = "TABLE", .col = INDEXES_TABLE, .min = 16, .max = 40},
    {.title = "DATABASE", .col = INDEXES_DATABASE, .min = 10, .max = 24, .text = index_database},
    {.title = "SIZE", .col = INDEXES_SIZE, .min = 9, .right = true, .look = LIST_BYTES, .drop = 1},
};

static void index_empty(void *arg, const struct world *w, struct buf *out) {
    (void)arg;
    empty_by(w, "Every index is valid and ready, in the databases that could be asked.", out);
}

/* ---- Activity ---------------------------------------------------------------------------------------------------- */

static enum style transaction_style(const struct world *w, const struct row *r) {
    (void)w;
    return slice_starts(row_text(r, ACTIVITY_STATE), "idle in transaction") ? STYLE_WARN : STYLE_NORMAL;
}

static const struct list_col activity_cols[] = {
    {.title = "STATE", .col = ACTIVITY_STATE, .min = 19, .max = 30, .style = transaction_style},
    {.title = "FOR", .col = ACTIVITY_SINCE, .min = 6, .right = true},
    {.title = "PID", .col = ACTIVITY_PID, .min = 7, .right = true, .drop = 4},
    {.title = "USER", .col = ACTIVITY_USER, .min = 8, .max = 16},
    {.title = "DATABASE", .col = ACTIVITY_DATABASE, .min = 8, .max = 16, .none = "–"},
    {.title = "OWNER", .col = ACTIVITY_OWNER, .min = 12, .max = 40, .none = "–"},
    {.title = "CLIENT", .col = ACTIVITY_CLIENT, .min = 12, .max = 24, .drop = 3, .none = "–"},
    {.title = "APPLICATION", .col = ACTIVITY_APPLICATION, .min = 11, .max = 24, .drop = 2, .none = "–"},
    {.title = "XACT", .col = ACTIVITY_XACT, .min = 6, .right = true, .none = "–"},
    {.title = "WAITS FOR", .col = ACTIVITY_WAIT, .min = 10, .max = 24, .drop = 1, .none = "–"},
};

static void activity_empty(void *arg, const struct world *w, struct buf *out) {
    (void)arg;
    empty_by(w, "Nobody is connected.", out);
}

/* ---- Settings ---------------------------------------------------------------------------------------------------- */

static void setting_state(const struct world *w, const struct row *r, struct buf *out) {
    (void)w;
    buf_adds(out, row_int(r, SETTINGS_PENDING, 0) ? "needs restart" : "in force");
}

static enum style setting_style(const struct world *w, const struct row *r) {
    (void)w;
    return row_int(r, SETTINGS_PENDING, 0) ? STYLE_WARN : STYLE_DIM;
}

static void setting_name(const struct world *w, const struct row *r, struct buf *out) {
    add_server(w, row_text(r, SETTINGS_WORKLOAD), out);
    buf_add_slice(out, row_text(r, SETTINGS_NAME));
}

static const struct list_col setting_cols[] = {
    {.title = "STATE", .col = SETTINGS_PENDING, .min = 13, .text = setting_state, .style = setting_style},
    {.title = "SETTING", .col = SETTINGS_NAME, .min = 20, .max = 36, .text = setting_name},
    {.title = "VALUE", .col = SETTINGS_VALUE, .min = 16, .flex = true},
    {.title = "SOURCE", .col = SETTINGS_SOURCE, .min = 12, .max = 20, .drop = 2},
    {.title = "FILE", .col = SETTINGS_FILE, .min = 12, .max = 40, .drop = 1, .none = "–"},
};

static void setting_empty(void *arg, const struct world *w, struct buf *out) {
    (void)arg;
    empty_by(w, "Every setting has its default.", out);
}

/* ------------------------------------------------------------------------------------------------------------------ */

#define COLS(c) .cols = c, .ncols = ARRAY_LEN(c)

const struct postgres_list_info postgres_lists[PG_LISTS] = {
    [PG_EXTENSIONS] = {"EXTENSIONS", {.table = T_EXTENSIONS, COLS(extension_cols), .sort = 0, .noun = "extensions",
        .empty = extension_empty}},
    [PG_DATABASES] = {"DATABASES", {.table = T_DATABASES, COLS(database_cols), .sort = 2, .descending = true,
        .noun = "databases", .empty = database_empty}},
    [PG_PROGRESS] = {"PROGRESS", {.table = T_PROGRESS, COLS(progress_cols), .sort = 2, .noun = "commands",
        .empty = progress_empty}},
    [PG_INDEXES] = {"INVALID", {.table = T_INDEXES, COLS(index_cols), .sort = 0, .noun = "indexes",
        .empty = index_empty}},
    [PG_ACTIVITY] = {"ACTIVITY", {.table = T_ACTIVITY, COLS(activity_cols), .sort = 0, .noun = "sessions",
        .empty = activity_empty}},
    [PG_SETTINGS] = {"SETTINGS", {.table = T_SETTINGS, COLS(setting_cols), .sort = 0, .descending = true,
        .noun = "settings", .empty = setting_empty}},
};
