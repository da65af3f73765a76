/* A reader is a place in the list of rows. Tombstones are freed when every reader has passed them; if a reader stands
 * still while very many rows go, it is sent back to the start instead, so it never holds more than TOMBS_MAX of them. */
#include <string.h>

#include "base/mem.h"
#include "world/world_internal.h"

enum { TOMBS_MAX = 16384 };

struct world_reader *world_reader_new(struct world *w)
{
    struct world_reader *r = MEM_NEW(struct world_reader);
    *r = (struct world_reader){.w = w, .next_reader = w->readers, .next = w->head};
    w->readers = r;
    return r;
}

void readers_linked(struct world *w, struct row *row)
{
    for (struct world_reader *r = w->readers; r; r = r->next_reader)
        if (!r->next)
            r->next = row;
}

void readers_unlinking(struct world *w, struct row *row)
{
    for (struct world_reader *r = w->readers; r; r = r->next_reader)
        if (r->next == row)
            r->next = row->next;
}

/* The number of the first change that a reader has still to see. */
static uint64_t readers_oldest(const struct world *w)
{
    uint64_t oldest = UINT64_MAX;
    for (const struct world_reader *r = w->readers; r; r = r->next_reader)
        if (r->next && r->next->seq < oldest)
            oldest = r->next->seq;
    return oldest;
}

/* Frees the tombstones that come before the change `seq`. */
static void tombs_free(struct world *w, uint64_t seq)
{
    while (w->tombs_at < w->ntombs && w->tombs[w->tombs_at]->seq < seq) {
        struct row *tomb = w->tombs[w->tombs_at++];
        world_unlink(w, tomb);
        mem_free(tomb);
    }
    if (w->tombs_at == w->ntombs)
        w->tombs_at = w->ntombs = 0;
}

static void readers_restart(struct world *w)
{
    tombs_free(w, UINT64_MAX);
    for (struct world_reader *r = w->readers; r; r = r->next_reader) {
        r->next = w->head;
        r->restarted = true;
    }
}

void readers_entombed(struct world *w, struct row *tomb)
{
    if (w->ntombs == w->tombs_cap) {
        size_t n = w->ntombs - w->tombs_at;
        if (w->tombs_at > 0)
            memmove(w->tombs, w->tombs + w->tombs_at, n * sizeof(struct row *));
        w->tombs_at = 0;
        w->ntombs = n;
        if (n * 2 >= w->tombs_cap) {
            w->tombs_cap = w->tombs_cap ? w->tombs_cap * 2 : 64;
            w->tombs = mem_reallocarray(w->tombs, w->tombs_cap, sizeof(struct row *));
        }
    }
    w->tombs[w->ntombs++] = tomb;
    if (w->ntombs - w->tombs_at > TOMBS_MAX)
        readers_restart(w);
}

const struct row *world_reader_next(struct world_reader *r, bool *ret_removed)
{
    if (r->w->tombs_at < r->w->ntombs)
        tombs_free(r->w, readers_oldest(r->w)); /* among them the one this reader was given last */
    struct row *row = r->next;
    if (!row)
        return NULL;
    r->next = row->next;
    *ret_removed = row->removed;
    return row;
}

bool world_reader_behind(const struct world_reader *r)
{
    return r->next != NULL;
}

bool world_reader_restarted(struct world_reader *r)
{
    bool restarted = r->restarted;
    r->restarted = false;
    return restarted;
}

void world_reader_free(struct world_reader *r)
{
    if (!r)
        return;
    struct world *w = r->w;
    struct world_reader **at = &w->readers;
    while (*at != r)
        at = &(*at)->next_reader;
    *at = r->next_reader;
    mem_free(r);
    tombs_free(w, readers_oldest(w));
}
