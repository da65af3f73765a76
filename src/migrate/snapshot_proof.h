/* The offline proof of a raft snapshot archive (hashicorp/raft-snapshot archive.go): one gzip member to its very end, the
 * tar members that must be there and no others, both hashes, the sizes, the index. Bytes are fed as they come. Pure: no I/O. */
#ifndef FERRYMAN_MIGRATE_SNAPSHOT_PROOF_H
#define FERRYMAN_MIGRATE_SNAPSHOT_PROOF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

struct snapshot_proof;

struct snapshot_said {
    int64_t index, term;     /* of meta.json */
    int64_t state_bytes;     /* of state.bin */
    int64_t archive_bytes;   /* of what was fed */
    size_t servers, voters;
    struct buf nodes;        /* "vault-0, vault-1, vault-2", clean */
};
void snapshot_said_clear(struct snapshot_said *s);

struct snapshot_proof *snapshot_proof_new(void);
void snapshot_proof_free(struct snapshot_proof *p);
/* False: it is damaged already, more need not be fed (snapshot_proof_end tells why). */
bool snapshot_proof_feed(struct snapshot_proof *p, struct slice bytes);
/* After the last byte: ERR_DATA with what is wrong and where ("state.bin: 300001 bytes, meta.json says 300002"; "cut off: the gzip
 * trailer is missing"), or NULL and ret filled. */
struct err *snapshot_proof_end(struct snapshot_proof *p, struct snapshot_said *ret) MUST_CHECK;

#endif
