/* Files of dumps (cipher_file.h): what pg_dumpall wrote, counted and hashed on the way, and its manifest (dump_manifest.h); proved by being
 * read back. Everything here blocks (disk, key derivation): for threads, not for the loop; one thread at a time for each writer or reader. */
#ifndef FERRYMAN_MIGRATE_DUMP_FILE_H
#define FERRYMAN_MIGRATE_DUMP_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "migrate/cipher_file.h"
#include "migrate/dump_manifest.h"

struct dump_scan;

/* ---- Writing (dump_writer.c) ---- */

/* Once `file` is proved: removes what the same run dumped under the same prefix before (an attempt whose end was not noted any more, or one
 * that went stale): copies that nobody will name again are not to stay (safety 31). Not earlier: until then an older one may be the only
 * proved copy. */
void dump_supersede(const char *file, const char *run);

struct dump_writer;

struct dump_writer_options {
    const char *dir;             /* made with 0700 if it is not there */
    const char *prefix;          /* DIR/PREFIX-20261122T110355Z.sql[.enc] */
    const char *passphrase_file; /* NULL: not enciphered */
    unsigned iterations;         /* 0: CIPHER_FILE_ITERATIONS */
};

/* Creates FILE.part (0600) after removing PREFIX-*.part of attempts that were interrupted. Refuses while less than 10 % of the disk is
 * free. */
struct err *dump_writer_open(const struct dump_writer_options *o, struct dump_writer **ret) MUST_CHECK;
/* Counts, hashes, enciphers, writes (keeps up to 64 MiB while the keys are made). Stops with an error when less than 10 % of the disk is free (safety 28). */
struct err *dump_writer_add(struct dump_writer *w, const char *p, size_t n) MUST_CHECK;
const struct dump_scan *dump_writer_scan(const struct dump_writer *w);
/* What was added is on the disk. */
struct err *dump_writer_sync(struct dump_writer *w) MUST_CHECK;
/* The file gets its name, with manifest and HMAC beside it, all of them durable. bytes, rows, sha256, tables, iterations of m are filled in. */
struct err *dump_writer_commit(struct dump_writer *w, struct dump_manifest *m) MUST_CHECK;
const char *dump_writer_file(const struct dump_writer *w); /* its name once it is committed */
/* Removes the file, also when it was committed. */
void dump_writer_discard(struct dump_writer *w);
/* Removes the file if it was not committed. NULL is allowed. */
void dump_writer_free(struct dump_writer *w);

/* ---- Reading (dump_reader.c) ---- */

struct dump_reader;

struct dump_reader_options {
    const char *file;
    const char *passphrase_file; /* NULL: none is at hand */
    struct cipher_watch watch;
    bool without_manifest;       /* go on without one: HMAC and the default number of iterations must do */
};

/* Reads all of it once and checks its HMAC (the hash of one that is not enciphered): ERR_FAILED if that is wrong, ERR_DATA if what is
 * needed is not there. */
struct err *dump_reader_open(const struct dump_reader_options *o, struct dump_reader **ret) MUST_CHECK;
/* The next piece of the plain text, valid until the next call; *ret_n 0 is its end. */
struct err *dump_reader_next(struct dump_reader *r, const char **ret_p, size_t *ret_n) MUST_CHECK;
/* After the end: that what was read is what was written. */
struct err *dump_reader_finish(struct dump_reader *r) MUST_CHECK;
const struct dump_manifest *dump_reader_manifest(const struct dump_reader *r); /* bytes -1 without one */
int64_t dump_reader_size(const struct dump_reader *r);                         /* bytes of the plain text */
void dump_reader_hash(const struct dump_reader *r, char ret[HASH_HEX_SIZE]);   /* of what was read */
void dump_reader_free(struct dump_reader *r);

/* ---- Proving (dump_proof.c) ---- */

enum dump_check { DUMP_CHECK_HMAC, DUMP_CHECK_HASH, DUMP_CHECK_SIZE, DUMP_CHECK_TRAILER, DUMP_CHECK_ROWS, DUMP_CHECKS };
enum dump_state { DUMP_NOT_ASKED, DUMP_PASS, DUMP_FAIL };

struct dump_verdict {
    struct {
        enum dump_state state;
        char *text;
    } check[DUMP_CHECKS];
    struct dump_manifest manifest;
    char sha256[HASH_HEX_SIZE]; /* of what was read */
    struct json_t *tables;      /* what was counted; NULL if it was not read */
};

extern const char *const dump_check_names[DUMP_CHECKS];
/* Judges everything; an error only for what could not be judged (no such file, no passphrase, no manifest: ERR_DATA). */
struct err *dump_verify(const struct dump_reader_options *o, struct dump_verdict *ret) MUST_CHECK;
bool dump_verdict_well(const struct dump_verdict *v);
/* The first check that failed as an error, or NULL. */
struct err *dump_verdict_error(const struct dump_verdict *v, const char *file) MUST_CHECK;
void dump_verdict_clear(struct dump_verdict *v);

#endif
