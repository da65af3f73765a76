/* Memory that cannot fail: running out of it ends the process with a line on stderr (no caller can do better, and a
 * half-built row is worse than none). */
#ifndef FERRYMAN_BASE_MEM_H
#define FERRYMAN_BASE_MEM_H

#include <stddef.h>

void *mem_alloc(size_t size) __attribute__((malloc, returns_nonnull, warn_unused_result));
void *mem_zalloc(size_t size) __attribute__((malloc, returns_nonnull, warn_unused_result));
/* count * size with an overflow check. */
void *mem_calloc(size_t count, size_t size) __attribute__((malloc, returns_nonnull, warn_unused_result));
void *mem_realloc(void *p, size_t size) __attribute__((returns_nonnull, warn_unused_result));
/* Resizes an array to `count` elements of `size`, with an overflow check. */
void *mem_reallocarray(void *p, size_t count, size_t size) __attribute__((returns_nonnull, warn_unused_result));
/* Copies; NULL gives NULL. */
char *mem_strdup(const char *s) __attribute__((warn_unused_result));
char *mem_strndup(const char *s, size_t n) __attribute__((warn_unused_result));
/* free(), for symmetry; NULL is allowed. */
void mem_free(void *p);

#define MEM_NEW(type) ((type *)mem_zalloc(sizeof(type)))
#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

#endif
