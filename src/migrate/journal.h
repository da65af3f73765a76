/* The journal: what this plan did, as append-only JSON lines (doc/journal.md), each with the hash of the line before it.
 *
 * A record is durable when its callback comes: the bytes are written and fsync'd by a thread of the journal's own, so the
 * loop never waits for a disk, and a record that is not durable yet is never acted on. Room is preallocated without
 * changing the length (FALLOC_FL_KEEP_SIZE). The thread is a POSIX one (journal_writer.c); an eventfd that the loop watches
 * tells that something is durable. A flock on the file proves that no other process of ours writes it.
 *
 *   {"seq":7,"at":"2026-04-25T16:18:03.123Z","t":"act","workload":"immich-postgres","phase":"swap","step":"claim",…,
 *    "prev":"<64 hex>","hash":"<64 hex>"}
 *
 * "hash" is the SHA-256 of the line up to and including `"prev":"…"`; "prev" of the first record is 64 zeros. */
#ifndef FERRYMAN_MIGRATE_JOURNAL_H
#define FERRYMAN_MIGRATE_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

struct journal;
struct json_t;
struct loop;

#define JOURNAL_HASH_SIZE 65

/* Opens or creates DIR/journal.jsonl (folder 0700, file 0600), takes the flock (ERR_LOCKED with the holder's pid if another
 * process has it), verifies the whole chain and gives every record to `each`, oldest first (doc borrowed). A torn last
 * record (no newline, or cut by a crash) is moved to DIR/journal.torn and cut off; anything else that is wrong is ERR_DATA
 * with file:line. `id`: of a new journal, its random id is in the first record {"t":"journal","id":…,"plan":…,"version":…};
 * each sees that one too. */
struct err *journal_open(struct loop *l, const char *dir, const char *plan, void (*each)(void *arg, const struct json_t *record),
                         void *arg, struct journal **ret) MUST_CHECK;
/* What was appended is written and synced first (blocks for that: only at the end of a process). */
void journal_free(struct journal *j);
const char *journal_id(const struct journal *j);           /* 16 hex digits */
const char *journal_key(const struct journal *j);          /* the id and the file's inode: a copy of the state folder has the same id */
const char *journal_head(const struct journal *j);         /* hash of the last durable record */
bool journal_has(const struct journal *j, const char *hash); /* whether a record of the local chain has that hash */
const char *journal_path(const struct journal *j);

/* Appends a record: `fields` (an object, borrowed) are put between at and prev; they must have "t". fn (may be NULL) comes from
 * the loop when it is durable (e NULL) or could not be made so: then the journal is broken, everything after it fails too, and
 * nothing may be done any more. Records become durable in order; several that wait share one fsync. */
void journal_append(struct journal *j, const struct json_t *fields, void (*fn)(void *arg, const struct err *e), void *arg);
/* Callbacks of that arg do not come any more; the records stay. */
void journal_forget(struct journal *j, void *arg);
/* Whether everything that was appended is durable. */
bool journal_settled(const struct journal *j);
/* How often the disk was asked to sync since it was opened. */
int64_t journal_syncs(const struct journal *j);

/* Without a loop, for `ferryman journal`: reads and verifies a file. ret_torn: the last record is torn (that alone is no
 * error). `each` may be NULL. */
struct err *journal_read(const char *path, void (*each)(void *arg, const struct json_t *record), void *arg, size_t *ret_records,
                         char ret_head[JOURNAL_HASH_SIZE], bool *ret_torn) MUST_CHECK;
/* A journal from another machine becomes that of DIR (safety 26): it is of that plan, whole, and none is there or the one that is there is its
 * ancestor. ERR_LOCKED while another process works with the one that is there. ret_records 0: what is there holds all of it already. */
struct err *journal_import(const char *dir, const char *plan, const char *file, size_t *ret_records, char ret_head[JOURNAL_HASH_SIZE]) MUST_CHECK;
/* $FERRYMAN_STATE/PLAN (a sandbox's own folder), else $XDG_STATE_HOME/ferryman/PLAN. malloc'd */
char *journal_dir(const char *plan) MUST_CHECK;

#endif
