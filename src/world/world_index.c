/* Linear probing; removal moves the followers back, so there are no markers to clean up. */
#include <string.h>

#include "base/mem.h"
#include "world/world_internal.h"

enum { INDEX_MIN = 16 };

void index_free(struct world_index *x)
{
    mem_free(x->rows);
    mem_free(x->hashes);
    *x = (struct world_index){0};
}

/* Into the first free slot; there is one. */
static void index_put(struct world_index *x, uint32_t hash, struct row *r)
{
    size_t i = hash & (x->size - 1);
    while (x->rows[i])
        i = (i + 1) & (x->size - 1);
    x->rows[i] = r;
    x->hashes[i] = hash;
}

/* At most four fifths are used. */
static void index_grow(struct world_index *x)
{
    if ((x->count + 1) * 5 <= x->size * 4)
        return;
    struct world_index bigger = {.size = x->size ? x->size * 2 : INDEX_MIN, .count = x->count};
    bigger.rows = mem_calloc(bigger.size, sizeof *bigger.rows);
    bigger.hashes = mem_calloc(bigger.size, sizeof *bigger.hashes);
    for (size_t i = 0; i < x->size; i++)
        if (x->rows[i])
            index_put(&bigger, x->hashes[i], x->rows[i]);
    index_free(x);
    *x = bigger;
}

void index_add(struct world_index *x, uint32_t hash, struct row *r)
{
    index_grow(x);
    index_put(x, hash, r);
    x->count++;
}

/* The slot of a row that is in the index. */
static size_t index_slot(const struct world_index *x, uint32_t hash, const struct row *r)
{
    size_t i = hash & (x->size - 1);
    while (x->rows[i] != r)
        i = (i + 1) & (x->size - 1);
    return i;
}

void index_del(struct world_index *x, uint32_t hash, const struct row *r)
{
    size_t mask = x->size - 1;
    size_t hole = index_slot(x, hash, r);
    for (size_t i = (hole + 1) & mask; x->rows[i]; i = (i + 1) & mask) {
        size_t home = x->hashes[i] & mask;
        if (((i - home) & mask) < ((i - hole) & mask))
            continue; /* it lies between its home and here: the hole is not on its way */
        x->rows[hole] = x->rows[i];
        x->hashes[hole] = x->hashes[i];
        hole = i;
    }
    x->rows[hole] = NULL;
    x->count--;
}

void index_swap(struct world_index *x, uint32_t hash, const struct row *old, struct row *now)
{
    x->rows[index_slot(x, hash, old)] = now;
}

struct row *index_match(const struct world_index *x, uint32_t hash, size_t *it)
{
    if (x->size == 0)
        return NULL;
    for (;;) {
        size_t i = (hash + (*it)++) & (x->size - 1);
        if (!x->rows[i] || x->hashes[i] == hash)
            return x->rows[i];
    }
}

struct row *index_find_key(const struct world_index *x, uint32_t hash, struct slice key)
{
    size_t it = 0;
    struct row *r;
    while ((r = index_match(x, hash, &it)))
        if (r->key_n == key.n && !memcmp(r->data, key.p, key.n))
            return r;
    return NULL;
}

struct row *index_after(const struct world_index *x, const struct row *after)
{
    for (size_t i = after ? index_slot(x, after->hash, after) + 1 : 0; i < x->size; i++)
        if (x->rows[i])
            return x->rows[i];
    return NULL;
}
