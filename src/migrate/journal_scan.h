/* Reading a journal's bytes: shared by the journal that is written, by `ferryman journal` and by the fuzz target. */
#ifndef FERRYMAN_MIGRATE_JOURNAL_SCAN_H
#define FERRYMAN_MIGRATE_JOURNAL_SCAN_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/str.h"
#include "migrate/journal.h"

struct json_t;

#define JOURNAL_FILE_MAX (1024u * 1024 * 1024)
#define JOURNAL_GENESIS "0000000000000000000000000000000000000000000000000000000000000000"
/* `,"prev":"HASH"` or `,"hash":"HASH"` */
#define JOURNAL_LINK (64 + 10)

struct journal_scanned {
    size_t records;               /* whole ones */
    size_t good;                  /* bytes up to the end of the last whole one */
    bool torn;                    /* bytes of a record that was never finished follow */
    char head[JOURNAL_HASH_SIZE]; /* of the last whole one; 64 zeros if there is none */
    char id[17];                  /* of the first record; "" if there is none */
    char *plan;                   /* malloc'd; NULL if there is none */
};

/* Verifies every record and gives it to `each` (may be NULL), oldest first. What is wrong is ERR_DATA as FILE:LINE; records before it have
 * been given by then. ret->plan is the caller's in any case (NULL after an error). */
struct err *journal_scan(struct slice bytes, const char *file, void (*each)(void *arg, const struct json_t *record), void *arg,
                         struct journal_scanned *ret) MUST_CHECK;
/* Opens or creates DIR/journal.jsonl (path) as journal_open does and takes the flock: ERR_LOCKED if another process has it. */
struct err *journal_open_locked(const char *dir, const char *path, int *ret_fd) MUST_CHECK;
/* The whole file. */
struct err *journal_read_fd(int fd, const char *path, struct buf *ret) MUST_CHECK;
/* "2026-04-25T16:18:03.123Z"; buf of at least 32 bytes; returns buf. */
char *journal_time(int64_t unix_ms, char *buf, size_t size);

#endif
