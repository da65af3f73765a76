/* Every change goes through world_replace: the new block is linked behind the tail and takes the old one's place in the
 * indexes, readers that stood on the old one move on, watchers see both, and only then the old one is freed. */
#include "world/world.h"

#include <stdlib.h>

#include "base/mem.h"
#include "world/world_internal.h"

/* The name that stands for every source beyond what 16 bits can count: no source has it, so its rows are DOWN. */
#define SRC_OVERFLOW "?"

static const bool has_name_index[T_COUNT] = {
    [T_CLAIMS] = true, [T_VOLUMES] = true, [T_PODS] = true, [T_STORAGE_CLASSES] = true};

uint32_t world_key_hash(struct slice key)
{
    return (uint32_t)(map_hash(key.p, key.n) >> 32);
}

static uint32_t name_hash(struct slice ns, struct slice name)
{
    uint64_t h = map_hash(name.p ? name.p : "", name.n);
    if (ns.n > 0)
        h += map_hash(ns.p, ns.n) * 3;
    return (uint32_t)(h >> 32);
}

struct world *world_new(void)
{
    struct world *w = MEM_NEW(struct world);
    w->src_numbers = map_new();
    w->srcs = mem_calloc(1, sizeof *w->srcs);
    w->srcs[w->nsrcs++] = mem_strdup(""); /* number 0: ferryman itself */
    w->epoch = 1;
    return w;
}

void world_free(struct world *w)
{
    if (!w)
        return;
    while (w->readers)
        world_reader_free(w->readers);
    for (struct row *r = w->head, *next; r; r = next) {
        next = r->next;
        mem_free(r);
    }
    for (size_t t = 0; t < T_COUNT; t++) {
        index_free(&w->tables[t].keys);
        index_free(&w->tables[t].names);
    }
    for (size_t i = 0; i < w->nsrcs; i++)
        mem_free(w->srcs[i]);
    mem_free(w->srcs);
    map_free(w->src_numbers, NULL);
    mem_free(w->tombs);
    mem_free(w->watchers);
    buf_free(&w->scratch);
    gates_forget(w);
    mem_free(w);
}

void world_set_now(struct world *w, int64_t wall_ms)
{
    w->now = wall_ms;
}

int64_t world_now(const struct world *w)
{
    return w->now;
}

uint64_t world_seq(const struct world *w)
{
    return w->seq;
}

/* ---- Sources' names --------------------------------------------------------------------------------------------- */

/* The number of a source's name, UINT16_MAX + 1 if it has none yet. */
static size_t src_find(const struct world *w, const char *src)
{
    if (!src || !*src)
        return 0;
    uintptr_t number = (uintptr_t)map_gets(w->src_numbers, src);
    return number ? number : (size_t)UINT16_MAX + 1;
}

static uint16_t src_intern(struct world *w, const char *src)
{
    size_t number = src_find(w, src);
    if (number > UINT16_MAX) {
        if (w->nsrcs > UINT16_MAX)
            return UINT16_MAX;
        number = w->nsrcs++;
        w->srcs = mem_reallocarray(w->srcs, w->nsrcs, sizeof *w->srcs);
        w->srcs[number] = mem_strdup(number == UINT16_MAX ? SRC_OVERFLOW : src);
        if (number < UINT16_MAX)
            map_puts(w->src_numbers, src, (void *)(uintptr_t)number);
    }
    return (uint16_t)number;
}

const char *row_src(const struct world *w, const struct row *r)
{
    return w->srcs[r->src];
}

/* ---- The list and the indexes ------------------------------------------------------------------------------------ */

static void world_link(struct world *w, struct row *r)
{
    r->seq = ++w->seq;
    r->next = NULL;
    r->prev = w->tail;
    if (w->tail)
        w->tail->next = r;
    else
        w->head = r;
    w->tail = r;
    readers_linked(w, r);
}

void world_unlink(struct world *w, struct row *r)
{
    readers_unlinking(w, r);
    if (r->prev)
        r->prev->next = r->next;
    else
        w->head = r->next;
    if (r->next)
        r->next->prev = r->prev;
    else
        w->tail = r->prev;
}

static uint32_t row_name_hash(const struct row *r)
{
    const struct world_table_info *info = world_table_info(row_table(r));
    return name_hash(row_text(r, info->namespace_col), row_text(r, info->name_col));
}

/* Puts `now` (NULL: nothing) in the place of `old` (NULL: nothing) in the table's indexes. */
static void reindex(struct world *w, enum world_table t, const struct row *old, struct row *now)
{
    struct world_index *keys = &w->tables[t].keys, *names = &w->tables[t].names;
    if (old && now)
        index_swap(keys, old->hash, old, now);
    else if (old)
        index_del(keys, old->hash, old);
    else
        index_add(keys, now->hash, now);
    if (!has_name_index[t])
        return;
    uint32_t old_hash = old ? row_name_hash(old) : 0, now_hash = now ? row_name_hash(now) : 0;
    if (old && now && old_hash == now_hash) {
        index_swap(names, old_hash, old, now);
        return;
    }
    if (old)
        index_del(names, old_hash, old);
    if (now)
        index_add(names, now_hash, now);
}

static void call_watchers(struct world *w, enum world_table t, const struct row *old, const struct row *now)
{
    w->calling++;
    size_t n = w->nwatchers;
    for (size_t i = 0; i < n; i++)
        if (w->watchers[i].fn)
            w->watchers[i].fn(w->watchers[i].arg, t, old, now);
    if (--w->calling > 0)
        return;
    size_t kept = 0;
    for (size_t i = 0; i < w->nwatchers; i++)
        if (w->watchers[i].fn)
            w->watchers[kept++] = w->watchers[i];
    w->nwatchers = kept;
}

/* One change: `old` goes (NULL: an insert), `now` comes (NULL: a removal, which leaves a tombstone for the readers). */
static void world_replace(struct world *w, enum world_table t, struct row *old, struct row *now)
{
    struct row *tomb = NULL;
    if (!now && w->readers) {
        tomb = row_new(t, row_key(old), SLICE_LIT(""), 0);
        tomb->removed = true;
        tomb->changed = w->now;
        tomb->src = old->src;
    }
    if (now)
        world_link(w, now);
    else if (tomb)
        world_link(w, tomb);
    else
        w->seq++;
    w->tables[t].seq = w->seq;
    if (old)
        world_unlink(w, old);
    reindex(w, t, old, now);
    if (tomb)
        readers_entombed(w, tomb);
    call_watchers(w, t, old, now);
    mem_free(old);
}

/* ---- Changes ----------------------------------------------------------------------------------------------------- */

/* Makes the row what `cells` say; `epoch` is what it then carries. */
static bool world_store(struct world *w, enum world_table t, struct slice key, uint16_t src, const struct cell *cells,
                        int64_t changed, uint32_t epoch)
{
    key = world_key_clip(key);
    uint32_t hash = world_key_hash(key), nulls;
    struct row *old = index_find_key(&w->tables[t].keys, hash, key);
    buf_clear(&w->scratch);
    row_pack(t, cells, &w->scratch, &nulls);
    if (old && old->src == src && row_content_is(old, buf_slice(&w->scratch), nulls)) {
        old->epoch = epoch;
        return false;
    }
    struct row *now = row_new(t, key, buf_slice(&w->scratch), nulls);
    now->hash = hash;
    now->src = src;
    now->epoch = epoch;
    now->changed = changed;
    world_replace(w, t, old, now);
    return true;
}

bool world_upsert_at(struct world *w, enum world_table t, struct slice key, const char *src, const struct cell *cells,
                     int64_t changed)
{
    return world_store(w, t, key, src_intern(w, src), cells, changed, w->epoch);
}

#define QUIET(col) (UINT32_C(1) << (col))

/* Measurements that differ at every poll: a row of which nothing else has changed is not marked as changed. */
static const uint32_t quiet_cols[T_COUNT] = {
    [T_RAFT_PEERS] = QUIET(RAFT_PEERS_PROBE) | QUIET(RAFT_PEERS_CONTACT) | QUIET(RAFT_PEERS_APPLIED),
    [T_PROBES] = QUIET(PROBES_LATENCY),
    [T_ALERTS] = QUIET(ALERTS_UPDATED) | QUIET(ALERTS_ENDS),
};

static bool cell_equal(struct cell a, struct cell b)
{
    return a.type == b.type && (a.type == CELL_NULL || (a.type == CELL_INT ? a.i == b.i : slice_eq(a.s, b.s)));
}

/* When the row that these cells become was last changed in what it says. */
static int64_t changed_at(const struct world *w, enum world_table t, struct slice key, const struct cell *cells)
{
    const struct row *before = quiet_cols[t] ? world_find(w, t, key) : NULL;
    struct cell old[WORLD_COLS_MAX];
    if (!before)
        return w->now;
    row_cells(before, old);
    for (size_t i = 0; i < world_table_info(t)->ncols; i++)
        if (!(quiet_cols[t] >> i & 1) && !cell_equal(old[i], cells[i]))
            return w->now;
    return before->changed;
}

bool world_upsert(struct world *w, enum world_table t, struct slice key, const char *src, const struct cell *cells)
{
    return world_upsert_at(w, t, key, src, cells, changed_at(w, t, key, cells));
}

bool world_patch(struct world *w, enum world_table t, struct slice key, const int *cols, const struct cell *cells,
                 size_t n)
{
    const struct row *r = world_find(w, t, key);
    if (!r)
        return false;
    struct cell all[WORLD_COLS_MAX];
    row_cells(r, all);
    for (size_t i = 0; i < n; i++)
        all[cols[i]] = cells[i];
    world_store(w, t, key, r->src, all, w->now, r->epoch);
    return true;
}

bool world_remove(struct world *w, enum world_table t, struct slice key)
{
    key = world_key_clip(key);
    struct row *r = index_find_key(&w->tables[t].keys, world_key_hash(key), key);
    if (!r)
        return false;
    world_replace(w, t, r, NULL);
    return true;
}

uint32_t world_sweep_begin(struct world *w)
{
    return ++w->epoch;
}

enum { EVERY_SRC = UINT16_MAX + 2 };

/* Removes the rows of the source with this number that were last seen before the sweep began. */
static void sweep_rows(struct world *w, enum world_table t, size_t src, uint32_t sweep)
{
    const struct world_index *keys = &w->tables[t].keys;
    size_t n = 0;
    struct row **gone = mem_calloc(keys->count, sizeof(struct row *));
    for (size_t i = 0; i < keys->size; i++) {
        struct row *r = keys->rows[i];
        if (r && (r->src == src || src == EVERY_SRC) && (int32_t)(r->epoch - sweep) < 0)
            gone[n++] = r;
    }
    for (size_t i = 0; i < n; i++)
        world_replace(w, t, gone[i], NULL);
    mem_free(gone);
}

void world_sweep_end(struct world *w, enum world_table t, const char *src, uint32_t sweep)
{
    sweep_rows(w, t, src_find(w, src), sweep);
}

void world_sweep_end_all(struct world *w, enum world_table t, uint32_t sweep)
{
    sweep_rows(w, t, EVERY_SRC, sweep);
}

/* ---- Looking ----------------------------------------------------------------------------------------------------- */

const struct row *world_find(const struct world *w, enum world_table t, struct slice key)
{
    key = world_key_clip(key);
    return index_find_key(&w->tables[t].keys, world_key_hash(key), key);
}

/* Whether the row has this name (ns counts in tables that have namespaces). */
static bool row_is_named(const struct row *r, struct slice ns, struct slice name)
{
    const struct world_table_info *info = world_table_info(row_table(r));
    return slice_eq(row_text(r, info->name_col), name) &&
           (info->namespace_col < 0 || slice_eq(row_text(r, info->namespace_col), ns));
}

const struct row *world_find_name(const struct world *w, enum world_table t, struct slice ns, struct slice name)
{
    const struct row *best = NULL, *r;
    const struct world_table_info *info = world_table_info(t);
    if (info->name_col < 0)
        return NULL;
    if (has_name_index[t]) {
        uint32_t hash = name_hash(info->namespace_col < 0 ? (struct slice){NULL, 0} : ns, name);
        size_t it = 0;
        while ((r = index_match(&w->tables[t].names, hash, &it)))
            if ((!best || r->seq > best->seq) && row_is_named(r, ns, name))
                best = r;
        return best;
    }
    for (r = world_first(w, t); r; r = world_next(w, r))
        if ((!best || r->seq > best->seq) && row_is_named(r, ns, name))
            best = r;
    return best;
}

size_t world_count(const struct world *w, enum world_table t)
{
    return w->tables[t].keys.count;
}

const struct row *world_first(const struct world *w, enum world_table t)
{
    return index_after(&w->tables[t].keys, NULL);
}

const struct row *world_next(const struct world *w, const struct row *r)
{
    return index_after(&w->tables[r->table].keys, r);
}

/* ---- Watchers ---------------------------------------------------------------------------------------------------- */

void world_watch(struct world *w, world_watch_fn fn, void *arg)
{
    w->watchers = mem_reallocarray(w->watchers, w->nwatchers + 1, sizeof *w->watchers);
    w->watchers[w->nwatchers++] = (struct world_watcher){fn, arg};
}

void world_unwatch(struct world *w, world_watch_fn fn, void *arg)
{
    for (size_t i = 0; i < w->nwatchers; i++) {
        if (w->watchers[i].fn != fn || w->watchers[i].arg != arg)
            continue;
        w->watchers[i].fn = NULL;
        if (w->calling == 0)
            w->watchers[i] = w->watchers[--w->nwatchers];
        return;
    }
}
