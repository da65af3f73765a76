/* Snapshot archives as Vault and OpenBao write them (and some that they never would), for tests. */
#ifndef FERRYMAN_TESTS_SNAPSHOT_ARCHIVE_H
#define FERRYMAN_TESTS_SNAPSHOT_ARCHIVE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

enum { ARCHIVE_META, ARCHIVE_STATE, ARCHIVE_SUMS, ARCHIVE_SEALED, ARCHIVE_MEMBERS };

struct archive {
    struct buf member[ARCHIVE_MEMBERS];
    struct buf tar, gz;
    size_t tar_at[ARCHIVE_MEMBERS + 1]; /* where each member's header begins in the tar, and where the end does */
};

/* The members of a well one: index 2730012, term 33, vault-0 to vault-2; sums of what is in meta and state now. */
void archive_members(struct archive *a);
void archive_sums(struct archive *a, bool turned);
/* One entry of state.bin. */
void archive_entry(struct buf *state, const char *key, size_t value_size);
void archive_tar_add(struct buf *tar, const char *name, struct slice bytes, char type);
void archive_tar_end(struct buf *tar);
/* All four in order, and the gzip member around them. */
void archive_pack(struct archive *a);
void archive_gzip(struct buf *gz, struct slice bytes, int level);
void archive_free(struct archive *a);

#endif
