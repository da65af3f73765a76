#include "source/pg_facts.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "client/pg_conn.h"
#include "source/source.h"
#include "world/world.h"

/* Cells hold borrowed slices, so cleaned copies live in one buffer that is not moved while they are in use. */
struct texts {
    struct buf bufs[WORLD_COLS_MAX];
};

static struct cell text_cell(struct texts *t, int col, struct slice text) {
    if (!text.p) return CELL_NONE;
    buf_clear(&t->bufs[col]);
    buf_reserve(&t->bufs[col], 1);
    utf8_clean(&t->bufs[col], text);
    return cell_slice((struct slice){buf_str(&t->bufs[col]), t->bufs[col].len});
}

static struct cell int_cell(const struct pg_rows *rows, size_t row, int col) {
    return pg_rows_null(rows, row, col) ? CELL_NONE : cell_int(pg_rows_int(rows, row, col, 0));
}

static void texts_free(struct texts *t) {
    for (size_t i = 0; i < ARRAY_LEN(t->bufs); i++) buf_free(&t->bufs[i]);
}

static void put(const struct pg_facts *f, enum world_table t, const char *src, const char *key, const struct cell *cells) {
    struct buf clean = {0};
    utf8_clean(&clean, slice_of(key));
    world_upsert(f->world, t, buf_slice(&clean), src, cells);
    buf_free(&clean);
}

void pg_facts_settings(const struct pg_facts *f, const struct pg_rows *rows) {
    struct texts t = {0};
    uint32_t sweep = world_sweep_begin(f->world);
    for (size_t i = 0; i < pg_rows_count(rows); i++) {
        struct slice name = pg_rows_text(rows, i, 0), value = pg_rows_text(rows, i, 1), unit = pg_rows_text(rows, i, 2);
        struct slice file = pg_rows_text(rows, i, 4), line = pg_rows_text(rows, i, 5);
        char *key = str_printf("%s/%.*s", f->workload, SLICE_FMT(name)), *shown = str_printf("%.*s%s%.*s", SLICE_FMT(value), unit.n ? " " : "", SLICE_FMT(unit));
        char *place = file.p ? str_printf("%.*s:%.*s", SLICE_FMT(file), SLICE_FMT(line)) : NULL;
        struct cell cells[SETTINGS_COLS] = {
            [SETTINGS_WORKLOAD] = cell_text(f->workload),
            [SETTINGS_NAME] = text_cell(&t, SETTINGS_NAME, name),
            [SETTINGS_VALUE] = text_cell(&t, SETTINGS_VALUE, slice_of(shown)),
            [SETTINGS_SOURCE] = text_cell(&t, SETTINGS_SOURCE, pg_rows_text(rows, i, 3)),
            [SETTINGS_FILE] = text_cell(&t, SETTINGS_FILE, slice_of(place)),
            [SETTINGS_PENDING] = cell_bool(pg_rows_bool(rows, i, 6, false)),
        };
        put(f, T_SETTINGS, f->src, key, cells);
        mem_free(key);
        mem_free(shown);
        mem_free(place);
    }
    world_sweep_end(f->world, T_SETTINGS, f->src, sweep);
    texts_free(&t);
}

/* Who a client is: ourselves, or the pod that has its address. */
static struct slice owner_of(const struct pg_facts *f, bool ours, struct slice address, struct buf *scratch) {
    if (ours) return SLICE_LIT("ferryman");
    for (const struct row *r = world_first(f->world, T_PODS); address.n && r; r = world_next(f->world, r)) {
        if (!slice_eq(row_text(r, PODS_IP), address)) continue;
        struct slice ns = row_text(r, PODS_NAMESPACE), name = row_text(r, PODS_NAME);
        buf_clear(scratch);
        buf_printf(scratch, "pod %.*s/%.*s", SLICE_FMT(ns), SLICE_FMT(name));
        return buf_slice(scratch);
    }
    return (struct slice){NULL, 0};
}

void pg_facts_activity(const struct pg_facts *f, const struct pg_rows *rows) {
    struct texts t = {0};
    struct buf scratch = {0};
    uint32_t sweep = world_sweep_begin(f->world);
    for (size_t i = 0; i < pg_rows_count(rows); i++) {
        struct slice address = pg_rows_text(rows, i, 4), application = pg_rows_text(rows, i, 3);
        bool ours = pg_rows_bool(rows, i, 10, false) || slice_is(application, "ferryman");
        char *key = str_printf("%s/%" PRId64 "/%" PRId64, f->workload, pg_rows_int(rows, i, 0, 0), pg_rows_int(rows, i, 9, 0));
        struct cell cells[ACTIVITY_COLS] = {
            [ACTIVITY_WORKLOAD] = cell_text(f->workload),
            [ACTIVITY_PID] = int_cell(rows, i, 0),
            [ACTIVITY_USER] = text_cell(&t, ACTIVITY_USER, pg_rows_text(rows, i, 1)),
            [ACTIVITY_DATABASE] = text_cell(&t, ACTIVITY_DATABASE, pg_rows_text(rows, i, 2)),
            [ACTIVITY_APPLICATION] = text_cell(&t, ACTIVITY_APPLICATION, application),
            [ACTIVITY_CLIENT] = address.p ? text_cell(&t, ACTIVITY_CLIENT, address) : cell_text("local socket"),
            [ACTIVITY_OWNER] = cell_slice(owner_of(f, ours, address, &scratch)),
            [ACTIVITY_STATE] = text_cell(&t, ACTIVITY_STATE, pg_rows_text(rows, i, 5)),
            [ACTIVITY_WAIT] = text_cell(&t, ACTIVITY_WAIT, pg_rows_text(rows, i, 6)),
            [ACTIVITY_SINCE] = int_cell(rows, i, 7),
            [ACTIVITY_XACT] = int_cell(rows, i, 8),
        };
        put(f, T_ACTIVITY, f->src, key, cells);
        mem_free(key);
    }
    world_sweep_end(f->world, T_ACTIVITY, f->src, sweep);
    buf_free(&scratch);
    texts_free(&t);
}

void pg_facts_progress(const struct pg_facts *f, const struct pg_rows *rows) {
    struct texts t = {0};
    uint32_t sweep = world_sweep_begin(f->world);
    for (size_t i = 0; i < pg_rows_count(rows); i++) {
        char *key = str_printf("%s/%" PRId64, f->workload, pg_rows_int(rows, i, 0, 0));
        struct cell cells[PROGRESS_COLS] = {
            [PROGRESS_WORKLOAD] = cell_text(f->workload),
            [PROGRESS_PID] = int_cell(rows, i, 0),
            [PROGRESS_DATABASE] = text_cell(&t, PROGRESS_DATABASE, pg_rows_text(rows, i, 1)),
            [PROGRESS_COMMAND] = text_cell(&t, PROGRESS_COMMAND, pg_rows_text(rows, i, 2)),
            [PROGRESS_RELATION] = text_cell(&t, PROGRESS_RELATION, pg_rows_text(rows, i, 3)),
            [PROGRESS_PHASE] = text_cell(&t, PROGRESS_PHASE, pg_rows_text(rows, i, 4)),
            [PROGRESS_DONE] = int_cell(rows, i, 5),
            [PROGRESS_TOTAL] = int_cell(rows, i, 6),
            [PROGRESS_UNIT] = text_cell(&t, PROGRESS_UNIT, pg_rows_text(rows, i, 7)),
        };
        put(f, T_PROGRESS, f->src, key, cells);
        mem_free(key);
    }
    world_sweep_end(f->world, T_PROGRESS, f->src, sweep);
    texts_free(&t);
}

static const char *collation_state(struct slice recorded, struct slice actual) {
    if (!recorded.p || !actual.p) return recorded.p ? "UNKNOWN" : "OK"; /* C and POSIX have no version */
    return slice_eq(recorded, actual) ? "OK" : "MISMATCH";
}

static void put_database(const struct pg_facts *f, const struct pg_rows *rows, size_t i, struct texts *t) {
    struct slice name = pg_rows_text(rows, i, 0), provider = pg_rows_text(rows, i, 8);
    struct slice collate = pg_rows_text(rows, i, 4), ctype = pg_rows_text(rows, i, 5);
    char *key = str_printf("%s/%.*s", f->workload, SLICE_FMT(name));
    char *collation = str_printf("%.*s/%.*s%s", SLICE_FMT(collate), SLICE_FMT(ctype), slice_is(provider, "i") ? " (icu)" : "");
    const struct row *old = world_find(f->world, T_DATABASES, slice_of(key));
    bool connectable = pg_rows_bool(rows, i, 6, false), allowed = pg_rows_bool(rows, i, 11, false), known = provider.p;
    struct cell cells[DATABASES_COLS] = {
        [DATABASES_WORKLOAD] = cell_text(f->workload),
        [DATABASES_NAME] = text_cell(t, DATABASES_NAME, name),
        [DATABASES_SIZE] = int_cell(rows, i, 1),
        [DATABASES_OWNER] = text_cell(t, DATABASES_OWNER, pg_rows_text(rows, i, 2)),
        [DATABASES_ENCODING] = text_cell(t, DATABASES_ENCODING, pg_rows_text(rows, i, 3)),
        [DATABASES_COLLATION] = text_cell(t, DATABASES_COLLATION, slice_of(collation)),
        [DATABASES_COLLATION_STATE] = cell_text(known ? collation_state(pg_rows_text(rows, i, 9), pg_rows_text(rows, i, 10)) : "UNKNOWN"),
        [DATABASES_CONNECTIONS] = int_cell(rows, i, 7),
        [DATABASES_EXTENSIONS] = old ? row_cell(old, DATABASES_EXTENSIONS) : CELL_NONE,
        [DATABASES_CONNECTABLE] = cell_bool(connectable),
        [DATABASES_ERROR] = !connectable ? CELL_NONE : !allowed ? cell_text(PG_NO_PRIVILEGE) : old ? row_cell(old, DATABASES_ERROR) : CELL_NONE,
    };
    char *error = slice_dup(cells[DATABASES_ERROR].s); /* the old row's text goes with the old row */
    if (cells[DATABASES_ERROR].type == CELL_TEXT) cells[DATABASES_ERROR] = cell_text(error);
    put(f, T_DATABASES, f->src, key, cells);
    mem_free(error);
    mem_free(collation);
    mem_free(key);
}

void pg_facts_databases(const struct pg_facts *f, const struct pg_rows *rows) {
    struct texts t = {0};
    uint32_t sweep = world_sweep_begin(f->world);
    for (size_t i = 0; i < pg_rows_count(rows); i++) put_database(f, rows, i, &t);
    world_sweep_end(f->world, T_DATABASES, f->src, sweep);
    texts_free(&t);
}

static bool listed(const char *list, struct slice name) {
    struct slice rest = slice_of(list), one;
    while (rest.p && slice_cut(&rest, ',', &one))
        if (slice_eq(slice_trim(one), name)) return true;
    return false;
}

static const char *preload_text(const struct pg_facts *f, struct slice name) {
    bool wanted = false, loaded = listed(f->loaded, name);
    for (size_t i = 0; f->preload && f->preload[i]; i++) wanted = wanted || slice_is(name, f->preload[i]);
    if (!f->loaded) return NULL; /* it may not be known to us at all: then nothing is claimed */
    if (wanted) return loaded ? "wanted, loaded" : "wanted, NOT loaded";
    return loaded ? "loaded" : NULL;
}

static const char *extension_state(struct slice installed, struct slice available) {
    if (!available.p) return "UNAVAILABLE";
    return slice_eq(installed, available) ? "OK" : "DRIFT";
}

/* A change of what was known is told in the timeline; a first answer is not. */
static void tell_extension(const struct pg_facts *f, const char *database, struct slice name, struct slice version, const struct row *old, bool first) {
    if (!old && !first) timeline_add(f->world, "INFO", f->workload, "%s: extension %.*s %.*s created", database, SLICE_FMT(name), SLICE_FMT(version));
    if (!old) return;
    struct slice before = row_text(old, EXTENSIONS_INSTALLED);
    if (!slice_eq(before, version))
        timeline_add(f->world, "WARN", f->workload, "%s: extension %.*s went from %.*s to %.*s", database, SLICE_FMT(name), SLICE_FMT(before), SLICE_FMT(version));
}

static void set_extension_count(const struct pg_facts *f, const char *database, int64_t count) {
    const int cols[] = {DATABASES_EXTENSIONS, DATABASES_ERROR};
    const struct cell cells[] = {cell_int(count), CELL_NONE};
    char *key = str_printf("%s/%s", f->workload, database);
    world_patch(f->world, T_DATABASES, slice_of(key), cols, cells, 2);
    mem_free(key);
}

static bool had_any(const struct pg_facts *f, const char *src) {
    for (const struct row *r = world_first(f->world, T_EXTENSIONS); r; r = world_next(f->world, r))
        if (str_eq(row_src(f->world, r), src)) return true;
    return false;
}

void pg_facts_extensions(const struct pg_facts *f, const char *database, const char *src, const struct pg_rows *rows) {
    struct texts t = {0};
    bool first = !had_any(f, src);
    uint32_t sweep = world_sweep_begin(f->world);
    for (size_t i = 0; i < pg_rows_count(rows); i++) {
        struct slice name = pg_rows_text(rows, i, 0), installed = pg_rows_text(rows, i, 1), available = pg_rows_text(rows, i, 2);
        char *key = str_printf("%s/%s/%.*s", f->workload, database, SLICE_FMT(name));
        struct cell cells[EXTENSIONS_COLS] = {
            [EXTENSIONS_WORKLOAD] = cell_text(f->workload),
            [EXTENSIONS_DATABASE] = text_cell(&t, EXTENSIONS_DATABASE, slice_of(database)),
            [EXTENSIONS_NAME] = text_cell(&t, EXTENSIONS_NAME, name),
            [EXTENSIONS_STATE] = cell_text(extension_state(installed, available)),
            [EXTENSIONS_INSTALLED] = text_cell(&t, EXTENSIONS_INSTALLED, installed),
            [EXTENSIONS_AVAILABLE] = text_cell(&t, EXTENSIONS_AVAILABLE, available),
            [EXTENSIONS_SCHEMA] = text_cell(&t, EXTENSIONS_SCHEMA, pg_rows_text(rows, i, 3)),
            [EXTENSIONS_PRELOAD] = cell_text(preload_text(f, name)),
        };
        tell_extension(f, database, name, installed, world_find(f->world, T_EXTENSIONS, slice_of(key)), first);
        put(f, T_EXTENSIONS, src, key, cells);
        mem_free(key);
    }
    world_sweep_end(f->world, T_EXTENSIONS, src, sweep);
    set_extension_count(f, database, (int64_t)pg_rows_count(rows));
    texts_free(&t);
}

void pg_facts_indexes(const struct pg_facts *f, const char *database, const char *src, const struct pg_rows *rows) {
    struct texts t = {0};
    uint32_t sweep = world_sweep_begin(f->world);
    for (size_t i = 0; i < pg_rows_count(rows); i++) {
        struct slice name = pg_rows_text(rows, i, 0);
        char *key = str_printf("%s/%s/%.*s", f->workload, database, SLICE_FMT(name));
        struct cell cells[INDEXES_COLS] = {
            [INDEXES_WORKLOAD] = cell_text(f->workload),
            [INDEXES_DATABASE] = text_cell(&t, INDEXES_DATABASE, slice_of(database)),
            [INDEXES_NAME] = text_cell(&t, INDEXES_NAME, name),
            [INDEXES_TABLE] = text_cell(&t, INDEXES_TABLE, pg_rows_text(rows, i, 1)),
            [INDEXES_STATE] = cell_text(pg_rows_bool(rows, i, 2, false) ? "NOT READY" : "INVALID"),
            [INDEXES_SIZE] = int_cell(rows, i, 4),
        };
        put(f, T_INDEXES, src, key, cells);
        mem_free(key);
    }
    world_sweep_end(f->world, T_INDEXES, src, sweep);
    texts_free(&t);
}

void pg_facts_database_error(const struct pg_facts *f, const char *database, const char *error) {
    const int cols[] = {DATABASES_ERROR};
    const struct cell cells[] = {cell_text(error)};
    char *key = str_printf("%s/%s", f->workload, database);
    world_patch(f->world, T_DATABASES, slice_of(key), cols, cells, 1);
    mem_free(key);
}

void pg_facts_forget(const struct pg_facts *f, const char *src) {
    uint32_t sweep = world_sweep_begin(f->world);
    world_sweep_end(f->world, T_EXTENSIONS, src, sweep);
    world_sweep_end(f->world, T_INDEXES, src, sweep);
}
