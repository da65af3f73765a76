#include "client/kube_arena.h"

#include <stdarg.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/utf8.h"

enum { BLOCK = 16 * 1024, ALIGN = 16 };

struct kube_arena_extra {
    struct kube_arena_extra *next;
    max_align_t data[];
};

void *kube_arena_alloc(struct kube_arena *a, size_t n) {
    if (!a->block) a->block = mem_alloc(BLOCK);
    if (n <= BLOCK - a->used) {
        void *p = a->block + a->used;
        size_t rounded = (n + ALIGN - 1) / ALIGN * ALIGN;
        a->used = rounded < BLOCK - a->used ? a->used + rounded : BLOCK;
        return p;
    }
    struct kube_arena_extra *x = mem_alloc(sizeof *x + n);
    x->next = a->extra;
    a->extra = x;
    return x->data;
}

static struct slice copy(struct kube_arena *a, struct slice s) {
    char *p = kube_arena_alloc(a, s.n ? s.n : 1);
    memcpy(p, s.p, s.n);
    return (struct slice){p, s.n};
}

struct slice kube_arena_text(struct kube_arena *a, struct slice foreign) {
    if (!foreign.p) return foreign;
    if (utf8_is_clean(foreign)) return copy(a, foreign);
    struct buf b = {0};
    utf8_clean(&b, foreign);
    struct slice s = copy(a, buf_slice(&b));
    buf_free(&b);
    return s;
}

struct slice kube_arena_printf(struct kube_arena *a, const char *fmt, ...) {
    va_list ap;
    struct buf b = {0};
    va_start(ap, fmt);
    buf_vprintf(&b, fmt, ap);
    va_end(ap);
    struct slice s = copy(a, (struct slice){buf_str(&b), b.len});
    buf_free(&b);
    return s;
}

void kube_arena_reset(struct kube_arena *a) {
    while (a->extra) {
        struct kube_arena_extra *x = a->extra;
        a->extra = x->next;
        mem_free(x);
    }
    a->used = 0;
}

void kube_arena_free(struct kube_arena *a) {
    kube_arena_reset(a);
    mem_free(a->block);
    a->block = NULL;
}
