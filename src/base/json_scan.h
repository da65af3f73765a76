/* Finds where a JSON object or array ends, 64 bytes at a time, without looking at what it says.
 *
 * Each block becomes four 64-bit masks (quotes, backslashes, opening and closing brackets; SSE2 where the compiler has
 * it, else arithmetic on eight bytes). Escaped quotes are struck out; the running parity of the quotes that remain
 * tells which bytes are inside strings; the brackets outside are counted, and only a block that can hold the end has
 * them counted one by one. The idea is that of the first stage of simdjson (https://arxiv.org/abs/1902.08318).
 *
 * The grammar is json_reader's business: here only strings and depth count, and '{' may be closed by ']'. */
#ifndef FERRYMAN_BASE_JSON_SCAN_H
#define FERRYMAN_BASE_JSON_SCAN_H

#include <stdbool.h>
#include <stddef.h>

/* Where a scan stands between two stretches of bytes; all zero in front of the opening bracket. */
struct json_scan {
    size_t depth;
    bool in_string;
    bool escaped; /* the last byte was a backslash that escapes the next */
};

/* Goes on with the scan: the byte behind the bracket that closes the value, or NULL if the bytes do not reach it. */
const char *json_scan_end(struct json_scan *s, const char *p, const char *end);

#endif
