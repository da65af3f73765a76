/* What the files of the world share: the layout of a row and of the world. Nobody outside src/world includes this. */
#ifndef FERRYMAN_WORLD_WORLD_INTERNAL_H
#define FERRYMAN_WORLD_WORLD_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/map.h"
#include "base/str.h"
#include "world/world.h"

/* One block per row: this header, the key, the packed cells (rows.c). A tombstone is a header and a key. */
struct row {
    struct row *prev, *next; /* all rows, in the order of their last change */
    uint64_t seq;
    int64_t changed;
    uint32_t hash;    /* of the key */
    uint32_t epoch;   /* the world's at the last upsert, for sweeps */
    uint32_t nulls;   /* bit n: column n is null */
    uint32_t cells_n; /* bytes of the packed cells */
    uint16_t src;     /* number of its source's name in world.srcs */
    uint16_t key_n;
    uint8_t table;
    bool removed;
    char data[];
};

/* An open hash table of pointers to rows. The hashes stand beside the pointers, so growing reads no row, and probing
 * reads only rows that match in 32 bits. Several rows may have one hash. */
struct world_index {
    struct row **rows;
    uint32_t *hashes;
    size_t size; /* slots: 0 or a power of two */
    size_t count;
};

void index_free(struct world_index *x);
void index_add(struct world_index *x, uint32_t hash, struct row *r);
void index_del(struct world_index *x, uint32_t hash, const struct row *r);
void index_swap(struct world_index *x, uint32_t hash, const struct row *old, struct row *now);
/* Next row with this hash; *it starts at 0. NULL when there is no other. */
struct row *index_match(const struct world_index *x, uint32_t hash, size_t *it);
struct row *index_find_key(const struct world_index *x, uint32_t hash, struct slice key);
/* First row at all (after = NULL), or the one in the next used slot. */
struct row *index_after(const struct world_index *x, const struct row *after);

struct world_reader {
    struct world *w;
    struct world_reader *next_reader;
    struct row *next; /* the row that comes next; NULL: caught up */
    bool restarted;
};

struct world_watcher {
    world_watch_fn fn; /* NULL: taken away during a call */
    void *arg;
};

struct world {
    struct {
        struct world_index keys;
        struct world_index names; /* of the tables of which world_find_name is O(1) */
        uint64_t seq;             /* of its last change */
    } tables[T_COUNT];
    struct row *head, *tail;
    uint64_t seq;
    int64_t now;
    uint32_t epoch;

    struct map *src_numbers; /* name -> number */
    char **srcs;
    size_t nsrcs;

    struct world_reader *readers;
    struct row **tombs; /* tombstones that stand in the list, in its order: tombs[tombs_at .. ntombs) */
    size_t tombs_at, ntombs, tombs_cap;

    struct world_watcher *watchers;
    size_t nwatchers;
    unsigned calling; /* depth of calls of watchers */

    struct buf scratch; /* packed cells of the row that is being made */

    struct gate_memo *gates; /* what gates that look through large tables said last (gates.c); one per gate, or NULL */
};

void gates_forget(struct world *w);

/* world_upsert with the time of the change: what a stream says keeps the time at which it happened. */
bool world_upsert_at(struct world *w, enum world_table t, struct slice key, const char *src, const struct cell *cells,
                     int64_t changed);
/* world_sweep_end whatever source a row is from. */
void world_sweep_end_all(struct world *w, enum world_table t, uint32_t sweep);
uint32_t world_key_hash(struct slice key);
/* The key as it is stored: at most WORLD_KEY_MAX bytes, never NULL. */
struct slice world_key_clip(struct slice key);

/* Packs one cell per column of t behind *out; what has the wrong type for its column becomes null. */
void row_pack(enum world_table t, const struct cell *cells, struct buf *out, uint32_t *ret_nulls);
struct row *row_new(enum world_table t, struct slice key, struct slice packed, uint32_t nulls);
bool row_content_is(const struct row *r, struct slice packed, uint32_t nulls);

/* Called by world.c when a row is linked behind the tail, before a row is unlinked, and when a row has become a
 * tombstone in the list. */
void readers_linked(struct world *w, struct row *r);
void readers_unlinking(struct world *w, struct row *r);
void readers_entombed(struct world *w, struct row *tomb);
void world_unlink(struct world *w, struct row *r);

#endif
