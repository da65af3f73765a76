/* One gzip member, inflated as it comes (RFC 1952, over zlib). That is stricter than gunzip: there must be exactly one member, its trailer
 * (CRC-32 and length) must be right, and no byte may follow it. */
#ifndef FERRYMAN_BASE_INFLATE_H
#define FERRYMAN_BASE_INFLATE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/str.h"

enum { INFLATE_PIECE = 64 * 1024 };

struct inflate;

struct inflate *inflate_new(void) MUST_CHECK;
void inflate_free(struct inflate *z);
/* Gives what comes out of `in` to sink, at most INFLATE_PIECE bytes at a time (a byte in gives hardly more than a thousand out, and none
 * are kept); false from sink ends it with ERR_CANCELLED. ERR_DATA for what is no gzip, is damaged, or comes after the member's end; the
 * same comes again for all that is fed later. */
struct err *inflate_feed(struct inflate *z, struct slice in, bool (*sink)(void *arg, struct slice bytes), void *arg) MUST_CHECK;
/* The member has come to its end, and its trailer was right. */
bool inflate_ended(const struct inflate *z);

#endif
