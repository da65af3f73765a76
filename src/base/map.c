/* Open addressing with linear probing over a power-of-two table.
 *
 * A slot is 16 bytes: the entry and 32 bits of its key's hash, so that a probe touches an entry only when it is almost
 * surely the right one, and growing touches none. Removing leaves a tombstone rather than shifting later slots back, so
 * that iteration may remove. The table is rebuilt when live slots and tombstones together pass 4/5. */
#include "base/map.h"

#include <pthread.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"

enum { MAP_MIN_SLOTS = 16 };

struct entry {
    void *value;
    size_t n;
    char key[];
};

struct slot {
    struct entry *entry; /* NULL: free, or a tombstone */
    uint32_t hash;       /* half of map_hash; its low bits choose the slot */
    bool tombstone;      /* an entry was here: a search goes on behind it */
};

struct map {
    struct slot *slots;
    size_t mask; /* slots - 1; no table while slots is NULL */
    size_t len;
    size_t taken; /* live slots and tombstones */
};

static uint64_t seed[2];
static pthread_once_t seed_once = PTHREAD_ONCE_INIT;

/* Chooses the process's hash key; the clock stands in where the system gives no random bytes. */
static void seed_choose(void)
{
    if (getentropy(seed, sizeof seed) == 0)
        return;
    seed[0] = (uint64_t)clock_mono_ns();
    seed[1] = (uint64_t)clock_wall_ms() ^ (uint64_t)(uintptr_t)&seed;
}

static inline uint64_t rotl(uint64_t x, int b)
{
    return x << b | x >> (64 - b);
}

static inline void sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[2] += v[3];
    v[1] = rotl(v[1], 13) ^ v[0];
    v[3] = rotl(v[3], 16) ^ v[2];
    v[0] = rotl(v[0], 32);
    v[2] += v[1];
    v[0] += v[3];
    v[1] = rotl(v[1], 17) ^ v[2];
    v[3] = rotl(v[3], 21) ^ v[0];
    v[2] = rotl(v[2], 32);
}

/* SipHash-1-3 (https://www.aumasson.jp/siphash/), in the machine's byte order. */
uint64_t map_hash(const void *p, size_t n)
{
    pthread_once(&seed_once, seed_choose);
    uint64_t v[4] = {seed[0] ^ UINT64_C(0x736f6d6570736575), seed[1] ^ UINT64_C(0x646f72616e646f6d),
                     seed[0] ^ UINT64_C(0x6c7967656e657261), seed[1] ^ UINT64_C(0x7465646279746573)};
    const unsigned char *bytes = p;
    uint64_t word;
    size_t i = 0;
    for (; n - i >= sizeof word; i += sizeof word) {
        memcpy(&word, bytes + i, sizeof word);
        v[3] ^= word;
        sip_round(v);
        v[0] ^= word;
    }
    word = (uint64_t)n << 56;
    for (int shift = 0; i < n; i++, shift += 8)
        word |= (uint64_t)bytes[i] << shift;
    v[3] ^= word;
    sip_round(v);
    v[0] ^= word;
    v[2] ^= 0xff;
    for (int round = 0; round < 3; round++)
        sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

static size_t slot_count(const struct map *m)
{
    return m->slots ? m->mask + 1 : 0;
}

static uint32_t key_hash(struct slice key)
{
    return (uint32_t)(map_hash(key.p, key.n) >> 32);
}

/* The slot that holds the key, or NULL. */
static struct slot *map_find(const struct map *m, struct slice key, uint32_t hash)
{
    if (!m->slots)
        return NULL;
    for (size_t i = hash & m->mask;; i = (i + 1) & m->mask) {
        struct slot *s = &m->slots[i];
        if (!s->entry) {
            if (!s->tombstone)
                return NULL;
        } else if (s->hash == hash && s->entry->n == key.n && (key.n == 0 || !memcmp(s->entry->key, key.p, key.n))) {
            return s;
        }
    }
}

/* Puts an entry that is not in the table into the first slot without one. */
static void map_place(struct map *m, struct entry *e, uint32_t hash)
{
    size_t i = hash & m->mask;
    while (m->slots[i].entry)
        i = (i + 1) & m->mask;
    if (!m->slots[i].tombstone)
        m->taken++;
    m->slots[i] = (struct slot){.entry = e, .hash = hash};
    m->len++;
}

/* Makes the table fit for one more entry: larger if the live ones fill it, else only without tombstones. */
static void map_grow(struct map *m)
{
    size_t count = slot_count(m);
    if ((m->taken + 1) * 5 <= count * 4)
        return;
    struct map bigger = {0};
    size_t want = count < MAP_MIN_SLOTS ? MAP_MIN_SLOTS : count;
    if ((m->len + 1) * 2 > want)
        want *= 2;
    bigger.slots = mem_calloc(want, sizeof *bigger.slots);
    bigger.mask = want - 1;
    for (size_t i = 0; i < count; i++)
        if (m->slots[i].entry)
            map_place(&bigger, m->slots[i].entry, m->slots[i].hash);
    mem_free(m->slots);
    *m = bigger;
}

struct map *map_new(void)
{
    return MEM_NEW(struct map);
}

void map_clear(struct map *m, void (*drop)(void *value))
{
    struct map old = *m;
    *m = (struct map){0};
    for (size_t i = 0; i < slot_count(&old); i++) {
        if (old.slots[i].entry && drop)
            drop(old.slots[i].entry->value);
        mem_free(old.slots[i].entry);
    }
    mem_free(old.slots);
}

void map_free(struct map *m, void (*drop)(void *value))
{
    if (!m)
        return;
    map_clear(m, drop);
    mem_free(m);
}

size_t map_len(const struct map *m)
{
    return m->len;
}

void *map_get(const struct map *m, struct slice key)
{
    if (m->len == 0)
        return NULL;
    struct slot *s = map_find(m, key, key_hash(key));
    return s ? s->entry->value : NULL;
}

void *map_gets(const struct map *m, const char *key)
{
    return map_get(m, slice_of(key));
}

void *map_put(struct map *m, struct slice key, void *value)
{
    uint32_t hash = key_hash(key);
    struct slot *s = map_find(m, key, hash);
    if (s) {
        void *before = s->entry->value;
        s->entry->value = value;
        return before;
    }
    map_grow(m);
    struct entry *e = mem_alloc(sizeof *e + key.n + 1);
    e->value = value;
    e->n = key.n;
    if (key.n > 0)
        memcpy(e->key, key.p, key.n);
    e->key[key.n] = '\0';
    map_place(m, e, hash);
    return NULL;
}

void *map_puts(struct map *m, const char *key, void *value)
{
    return map_put(m, slice_of(key), value);
}

void *map_del(struct map *m, struct slice key)
{
    struct slot *s = map_find(m, key, key_hash(key));
    if (!s)
        return NULL;
    void *value = s->entry->value;
    mem_free(s->entry);
    *s = (struct slot){.tombstone = true};
    m->len--;
    return value;
}

bool map_each(const struct map *m, size_t *it, struct slice *ret_key, void **ret_value)
{
    for (; *it < slot_count(m); ++*it) {
        const struct entry *e = m->slots[*it].entry;
        if (!e)
            continue;
        if (ret_key)
            *ret_key = (struct slice){e->key, e->n};
        if (ret_value)
            *ret_value = e->value;
        ++*it;
        return true;
    }
    return false;
}
