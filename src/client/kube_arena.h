/* Memory of one object while it is parsed: handed out in order, given back all at once. The first block is kept over
 * resets, so a list of a hundred thousand objects costs no allocation each. */
#ifndef FERRYMAN_CLIENT_KUBE_ARENA_H
#define FERRYMAN_CLIENT_KUBE_ARENA_H

#include <stddef.h>

#include "base/err.h"
#include "base/str.h"

struct kube_arena_extra;

/* Zero-initialise it. */
struct kube_arena {
    char *block;
    size_t used;
    struct kube_arena_extra *extra; /* what did not fit into the block */
};

/* Aligned for any of the types of kube_parse.h; not zeroed; never NULL. */
void *kube_arena_alloc(struct kube_arena *a, size_t n) __attribute__((returns_nonnull));
/* A clean (utf8_clean) copy of foreign text; absent stays absent. */
struct slice kube_arena_text(struct kube_arena *a, struct slice foreign);
struct slice kube_arena_printf(struct kube_arena *a, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Everything that was handed out is gone. */
void kube_arena_reset(struct kube_arena *a);
void kube_arena_free(struct kube_arena *a);

#endif
