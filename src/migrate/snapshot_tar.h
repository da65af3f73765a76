/* The tar of a snapshot archive, walked as it comes: headers checked, members given away in pieces. Only what Go's archive/tar writes of
 * regular files is taken: ustar headers, and a PAX header that may say `size` and nothing else that matters. Pure. */
#ifndef FERRYMAN_MIGRATE_SNAPSHOT_TAR_H
#define FERRYMAN_MIGRATE_SNAPSHOT_TAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

struct snapshot_tar;

/* All of them may refuse. A name is clean. */
struct snapshot_tar_events {
    struct err *(*on_member)(void *arg, const char *name, int64_t size);
    struct err *(*on_bytes)(void *arg, struct slice bytes);
    struct err *(*on_member_end)(void *arg);
};

struct snapshot_tar *snapshot_tar_new(const struct snapshot_tar_events *ev, void *arg) MUST_CHECK;
void snapshot_tar_free(struct snapshot_tar *t);
/* ERR_DATA at the first fault; must not be fed after one. */
struct err *snapshot_tar_feed(struct snapshot_tar *t, struct slice bytes) MUST_CHECK;
/* Both blocks of zeros that end it were there (whatever follows them is a fault). */
bool snapshot_tar_ended(const struct snapshot_tar *t);
/* Where it is, for a fault: "in state.bin, 300 of 5000 bytes". */
void snapshot_tar_where(const struct snapshot_tar *t, char *ret, size_t size);

#endif
