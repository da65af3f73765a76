/* UTF-8 and what a terminal may see of foreign text. */
#ifndef FERRYMAN_BASE_UTF8_H
#define FERRYMAN_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/str.h"

/* Decodes one code point; returns the bytes used (>= 1). Malformed input gives U+FFFD and 1. n must be > 0. */
size_t utf8_decode(const char *p, size_t n, uint32_t *ret);
/* Encodes into out (4 bytes); returns the length. */
size_t utf8_encode(uint32_t cp, char out[4]);
bool utf8_valid(const char *p, size_t n);
/* Columns that a code point takes on a terminal: 0 for combining marks, 2 for wide ones, else 1. Independent of the
 * locale, so that layout is the same everywhere; East Asian Ambiguous counts as 1. */
int utf8_width(uint32_t cp);
size_t utf8_columns(struct slice s);
/* The longest prefix of s that fits into `cols` columns; *ret_cols gets the columns it takes (may be NULL). */
struct slice utf8_clip(struct slice s, size_t cols, size_t *ret_cols);
/* Appends foreign text made safe for terminals, logs and the stream: C0, DEL, C1, bidirectional controls, zero-width
 * and other invisible format characters, and malformed bytes become U+FFFD; newline and tab become a space. */
void utf8_clean(struct buf *out, struct slice foreign);
bool utf8_is_clean(struct slice s);
/* The same as a new string. */
char *utf8_cleaned(struct slice foreign) MUST_CHECK;

#endif
