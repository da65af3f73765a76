/* A hash table from strings to pointers. Keys are copied; values belong to the caller (or are freed by the `drop`
 * given to map_free/map_clear). Safe against chosen keys (seeded hash). Order of iteration is unspecified; removing the
 * current entry while iterating is allowed, adding is not. */
#ifndef FERRYMAN_BASE_MAP_H
#define FERRYMAN_BASE_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

struct map;

struct map *map_new(void);
void map_free(struct map *m, void (*drop)(void *value));
void map_clear(struct map *m, void (*drop)(void *value));
size_t map_len(const struct map *m);
void *map_get(const struct map *m, struct slice key);
void *map_gets(const struct map *m, const char *key);
/* Returns the value that was there before, or NULL. */
void *map_put(struct map *m, struct slice key, void *value);
void *map_puts(struct map *m, const char *key, void *value);
/* Removes; returns the value or NULL. */
void *map_del(struct map *m, struct slice key);
/* Iteration: size_t it = 0; while (map_each(m, &it, &key, &value)) … */
bool map_each(const struct map *m, size_t *it, struct slice *ret_key, void **ret_value);
/* The hash that map uses, for open tables of one's own (64 bit, seeded per process). */
uint64_t map_hash(const void *p, size_t n);

#endif
