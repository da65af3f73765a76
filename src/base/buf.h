/* A growable byte buffer. Zero-initialise it (struct buf b = {0}); buf_free makes it so again. The bytes are always
 * followed by a NUL that is not counted, so buf.p (once non-NULL) is a C string. */
#ifndef FERRYMAN_BASE_BUF_H
#define FERRYMAN_BASE_BUF_H

#include <stdarg.h>
#include <stddef.h>

#include "base/err.h"
#include "base/str.h"

struct buf {
    char *p;
    size_t len, cap;
};

void buf_reserve(struct buf *b, size_t extra); /* room for `extra` more bytes */
void buf_add(struct buf *b, const void *p, size_t n);
void buf_addc(struct buf *b, char c);
void buf_adds(struct buf *b, const char *s);
void buf_add_slice(struct buf *b, struct slice s);
void buf_printf(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);
void buf_vprintf(struct buf *b, const char *fmt, va_list ap) PRINTF_LIKE(2, 0);
/* Removes the first n bytes (n <= len). Moves the rest: for streams, consume in large steps. */
void buf_consume(struct buf *b, size_t n);
void buf_clear(struct buf *b);    /* keeps the memory */
void buf_free(struct buf *b);
/* Hands the bytes over as a malloc'd C string ("" if it was empty) and resets b. */
char *buf_steal(struct buf *b) MUST_CHECK;
struct slice buf_slice(const struct buf *b);
const char *buf_str(const struct buf *b); /* "" if empty */

#endif
