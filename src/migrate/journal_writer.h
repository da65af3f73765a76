/* The thread that makes records durable (journal_writer.c); private to the journal. A POSIX thread, since nothing of it belongs to the
 * loop: finished entries are taken by the loop when the descriptor of journal_writer_wake has become readable. */
#ifndef FERRYMAN_MIGRATE_JOURNAL_WRITER_H
#define FERRYMAN_MIGRATE_JOURNAL_WRITER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "migrate/journal.h"

struct journal_writer;

/* A record on its way to the disk. */
struct journal_entry {
    struct journal_entry *next;  /* the writer's */
    struct journal_entry *later; /* the loop's: the next one that waits */
    struct buf line;
    char hash[JOURNAL_HASH_SIZE];
    int64_t seq;
    bool counted; /* an act or an outcome: the failpoints count these */
    bool failed;  /* it could not be made durable */
    void (*fn)(void *arg, const struct err *e);
    void *arg;
};

void journal_entry_free(struct journal_entry *x);

/* Appends at `end` of fd (borrowed; path for messages, borrowed). */
struct err *journal_writer_new(int fd, const char *path, int64_t end, struct journal_writer **ret) MUST_CHECK;
/* Writes and syncs what was put, ends the thread, frees; entries that nobody took are freed. */
void journal_writer_free(struct journal_writer *w);
int journal_writer_wake(const struct journal_writer *w);
/* Takes the entry over. */
void journal_writer_put(struct journal_writer *w, struct journal_entry *x);
/* Entries that are finished, in order; the caller's. */
struct journal_entry *journal_writer_take(struct journal_writer *w);
/* Why everything fails from now on, or NULL. Borrowed; it never changes once it is there. */
const struct err *journal_writer_broken(struct journal_writer *w);
/* How often the disk was asked to sync. For tests. */
int64_t journal_writer_syncs(struct journal_writer *w);
/* Makes sure that there is room for `bytes` behind `end` without changing the file's length. File systems that cannot do it are left
 * alone. */
struct err *journal_room(int fd, const char *path, int64_t end, int64_t bytes) MUST_CHECK;

#endif
