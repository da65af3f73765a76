#include "source/source.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/utf8.h"

#define TIMELINE_MAX 2000

struct source_row {
    struct world *world;
    char *key, *server, *kind;
    const char *state;
    char *error, *detail;
    int64_t since, last_ok, stale_after, next_try, objects, requests; /* wall ms; -1: null */
    int64_t written_ok; /* last_ok as it stands in the row */
    bool quiet;
};

static struct cell optional(int64_t v) {
    return v < 0 ? CELL_NONE : cell_int(v);
}

static void write_row(struct source_row *r) {
    struct cell cells[SOURCES_COLS] = {
        [SOURCES_SERVER] = cell_text(r->server),
        [SOURCES_KIND] = cell_text(r->kind),
        [SOURCES_STATE] = cell_text(r->state),
        [SOURCES_SINCE] = optional(r->since),
        [SOURCES_LAST_OK] = optional(r->last_ok),
        [SOURCES_STALE_AFTER] = r->stale_after > 0 ? cell_int(r->stale_after) : CELL_NONE,
        [SOURCES_ERROR] = cell_text(r->error),
        [SOURCES_NEXT_TRY] = optional(r->next_try),
        [SOURCES_OBJECTS] = optional(r->objects),
        [SOURCES_REQUESTS] = optional(r->requests),
        [SOURCES_DETAIL] = cell_text(r->detail),
    };
    r->written_ok = r->last_ok;
    world_upsert(r->world, T_SOURCES, slice_of(r->key), "", cells);
}

/* Every entry into another state is a line in the timeline, but for the first good one. */
static void enter_state(struct source_row *r, const char *state, const char *why) {
    if (str_eq(r->state, state)) return;
    bool was_bad = str_eq(r->state, "DOWN") || str_eq(r->state, "DENIED");
    bool is_bad = str_eq(state, "DOWN") || str_eq(state, "DENIED");
    if (is_bad && !r->quiet) timeline_add(r->world, "BAD", r->key, "%s: %s", state, why ? why : "no reason given");
    else if (was_bad && !r->quiet) timeline_add(r->world, "GOOD", r->key, "answers again");
    r->state = state;
    r->since = clock_wall_ms();
}

struct source_row *source_row_new(struct world *w, const char *server, const char *kind, int64_t stale_after_ms) {
    struct source_row *r = MEM_NEW(struct source_row);
    *r = (struct source_row){
        .world = w, .key = str_printf("%s/%s", server, kind), .server = mem_strdup(server), .kind = mem_strdup(kind),
        .state = "STARTING", .since = clock_wall_ms(), .last_ok = -1, .stale_after = stale_after_ms, .next_try = -1,
        .objects = -1, .requests = -1, .written_ok = -1,
    };
    write_row(r);
    return r;
}

void source_row_free(struct source_row *r, bool remove) {
    if (!r) return;
    if (remove) world_remove(r->world, T_SOURCES, slice_of(r->key));
    mem_free(r->key);
    mem_free(r->server);
    mem_free(r->kind);
    mem_free(r->error);
    mem_free(r->detail);
    mem_free(r);
}

void source_row_quiet(struct source_row *r) {
    r->quiet = true;
}

const char *source_row_key(const struct source_row *r) {
    return r->key;
}

/* A busy watch proves its life a thousand times a second; the row says so at most once a second, so that the proof does not
 * cost more than the fact. */
void source_row_ok(struct source_row *r, bool live) {
    const char *state = live ? "LIVE" : "POLLED";
    r->last_ok = clock_wall_ms();
    if (str_eq(r->state, state) && !r->error && r->next_try < 0 && r->last_ok - r->written_ok < CLOCK_MS_PER_S) return;
    enter_state(r, state, NULL);
    str_set(&r->error, NULL);
    r->next_try = -1;
    write_row(r);
}

void source_row_failed(struct source_row *r, const struct err *e, int64_t next_try_ms) {
    char *text = utf8_cleaned(slice_of(err_text(e)));
    enter_state(r, err_kind(e) == ERR_DENIED ? "DENIED" : "DOWN", text);
    str_set(&r->error, text);
    mem_free(text);
    r->next_try = next_try_ms > 0 ? clock_wall_ms() + (next_try_ms - clock_mono_ms()) : -1;
    write_row(r);
}

void source_row_off(struct source_row *r, const char *why) {
    enter_state(r, "OFF", NULL);
    str_set(&r->error, NULL);
    str_set(&r->detail, why);
    r->next_try = -1;
    write_row(r);
}

void source_row_detail(struct source_row *r, const char *detail) {
    if (str_eq(r->detail, detail)) return;
    str_set(&r->detail, detail);
    write_row(r);
}

void source_row_objects(struct source_row *r, int64_t objects) {
    if (r->objects == objects) return;
    r->objects = objects;
    write_row(r);
}

void source_row_requests(struct source_row *r, int64_t per_minute) {
    if (r->requests == per_minute) return;
    r->requests = per_minute;
    write_row(r);
}

void timeline_add(struct world *w, const char *level, const char *object, const char *fmt, ...) {
    static uint64_t number; /* the key's running number; one engine has one timeline */
    va_list ap;
    va_start(ap, fmt);
    char *text = str_vprintf(fmt, ap);
    va_end(ap);
    char *clean_text = utf8_cleaned(slice_of(text)), *clean_object = utf8_cleaned(slice_of(object));
    char key[24];
    struct cell cells[TIMELINE_COLS] = {
        [TIMELINE_AT] = cell_int(clock_wall_ms()),
        [TIMELINE_LEVEL] = cell_text(level),
        [TIMELINE_OBJECT] = cell_text(clean_object),
        [TIMELINE_TEXT] = cell_text(clean_text),
    };
    snprintf(key, sizeof key, "%012llu", (unsigned long long)++number);
    world_upsert(w, T_TIMELINE, slice_of(key), "", cells);
    if (number > TIMELINE_MAX) {
        snprintf(key, sizeof key, "%012llu", (unsigned long long)(number - TIMELINE_MAX));
        world_remove(w, T_TIMELINE, slice_of(key));
    }
    mem_free(text);
    mem_free(clean_text);
    mem_free(clean_object);
}
