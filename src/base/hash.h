/* SHA-256 and base64 over libcrypto. */
#ifndef FERRYMAN_BASE_HASH_H
#define FERRYMAN_BASE_HASH_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/str.h"

#define HASH_HEX_SIZE 65

/* SHA-256 of the bytes as 64 hex digits and a NUL. */
void hash_hex(const void *p, size_t n, char ret[HASH_HEX_SIZE]);
/* Standard base64 (RFC 4648 §4); white space is passed over; false if malformed. Appends to out. */
bool hash_base64_decode(struct slice text, struct buf *out);
void hash_base64_encode(const void *p, size_t n, struct buf *out);

#endif
