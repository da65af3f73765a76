#include "base/mem.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Ends the process; prints without allocating. */
static _Noreturn void die_of_memory(size_t size)
{
    fprintf(stderr, "ferryman: out of memory (%zu bytes asked for)\n", size);
    abort();
}

/* The product, or the end of the process if it does not fit. */
static size_t product(size_t count, size_t size)
{
    size_t total;
    if (__builtin_mul_overflow(count, size, &total))
        die_of_memory(SIZE_MAX);
    return total;
}

void *mem_alloc(size_t size)
{
    void *p = malloc(size ? size : 1);
    if (!p)
        die_of_memory(size);
    return p;
}

void *mem_zalloc(size_t size)
{
    return mem_calloc(1, size);
}

void *mem_calloc(size_t count, size_t size)
{
    size_t total = product(count, size);
    void *p = calloc(1, total ? total : 1);
    if (!p)
        die_of_memory(total);
    return p;
}

void *mem_realloc(void *p, size_t size)
{
    void *q = realloc(p, size ? size : 1);
    if (!q)
        die_of_memory(size);
    return q;
}

void *mem_reallocarray(void *p, size_t count, size_t size)
{
    return mem_realloc(p, product(count, size));
}

char *mem_strdup(const char *s)
{
    return s ? mem_strndup(s, strlen(s)) : NULL;
}

char *mem_strndup(const char *s, size_t n)
{
    if (!s)
        return NULL;
    n = strnlen(s, n);
    char *copy = mem_alloc(n + 1);
    memcpy(copy, s, n);
    copy[n] = '\0';
    return copy;
}

void mem_free(void *p)
{
    free(p);
}
