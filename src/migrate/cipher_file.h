/* Files of copies (dumps, snapshots): written once, enciphered on the way, proved by being read back. Everything here blocks (disk, key
 * derivation): for threads, not for the loop; one thread at a time for each writer or reader.
 *
 *   FILE        the bytes, enciphered as `openssl enc -aes-256-ctr -pbkdf2 -iter N -salt` does: "Salted__", 8 bytes of salt, then they
 *   FILE.hmac   HMAC-SHA-256 of all of FILE in hexadecimal; its key is PBKDF2 of the same passphrase with the salt "ferryman"
 *   FILE.json   the owner's manifest (dump_manifest.h, snapshot_file.h)
 *
 * doc/dump.md says how to open one without this program. */
#ifndef FERRYMAN_MIGRATE_CIPHER_FILE_H
#define FERRYMAN_MIGRATE_CIPHER_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/hash.h"

/* Asked every few megabytes; false gives up with ERR_CANCELLED. */
struct cipher_watch {
    bool (*go_on)(void *arg, int64_t done, int64_t total);
    void *arg;
};

/* "FILE.hmac"; malloc'd. */
char *cipher_file_hmac_path(const char *file) MUST_CHECK;
/* The file and what lies beside it. */
void cipher_file_remove(const char *file);

/* ---- Writing (cipher_writer.c) ---- */

struct cipher_writer;

struct cipher_writer_options {
    const char *noun;            /* "dump", for errors, */
    const char *setting;         /* and "dump.directory": what of the plan leads to another disk; both constant */
    const char *dir;             /* made with 0700 if it is not there */
    const char *prefix, *suffix; /* DIR/PREFIX-20261122T110355Z.SUFFIX[.enc] */
    const char *passphrase_file; /* NULL: not enciphered */
    unsigned iterations;         /* 0: CIPHER_FILE_ITERATIONS */
    bool hash;                   /* cipher_writer_hash will be asked */
};

#define CIPHER_FILE_ITERATIONS 600000u /* of PBKDF2, for new files */

/* Creates FILE.part (0600) after removing PREFIX-*.part of attempts that were interrupted. Refuses while less than 10 % of the disk is
 * free. */
struct err *cipher_writer_open(const struct cipher_writer_options *o, struct cipher_writer **ret) MUST_CHECK;
/* Enciphers and writes (keeps up to 64 MiB while the keys are made). Stops with an error when less than 10 % of the disk is free
 * (safety 28). */
struct err *cipher_writer_add(struct cipher_writer *w, const char *p, size_t n) MUST_CHECK;
/* What was added is on the disk. */
struct err *cipher_writer_sync(struct cipher_writer *w) MUST_CHECK;
/* The HMAC is beside it (durable); after the manifest, the file gets its name, durably. */
struct err *cipher_writer_authenticate(struct cipher_writer *w) MUST_CHECK;
struct err *cipher_writer_name(struct cipher_writer *w) MUST_CHECK;
const char *cipher_writer_file(const struct cipher_writer *w); /* its name once it has it */
unsigned cipher_writer_iterations(const struct cipher_writer *w); /* 0: not enciphered */
/* SHA-256 of the file as it lies on the disk, after the sync. */
void cipher_writer_hash(const struct cipher_writer *w, char ret[HASH_HEX_SIZE]);
/* Removes the file, also when it has its name. */
void cipher_writer_discard(struct cipher_writer *w);
/* Removes the file if it has not got its name. NULL is allowed. */
void cipher_writer_free(struct cipher_writer *w);

/* ---- Reading (cipher_reader.c) ---- */

struct cipher_reader;

struct cipher_reader_options {
    const char *noun, *remedy;   /* "dump"; "Put back the file that was proved, or …": constant */
    const char *file;
    const char *passphrase_file; /* NULL: none is at hand */
    struct cipher_watch watch;
    bool hash;                   /* cipher_reader_file_hash will be asked */
};

/* Opens it; nothing is proved yet. ERR_DATA if there is no such file. */
struct err *cipher_reader_open(const struct cipher_reader_options *o, struct cipher_reader **ret) MUST_CHECK;
bool cipher_reader_enciphered(const struct cipher_reader *r); /* by its first bytes */
/* The manifest says otherwise: it was changed at its first bytes, ERR_FAILED. */
struct err *cipher_reader_wrong(const struct cipher_reader *r, bool enciphered) MUST_CHECK;
/* The first pass over all of it. By its HMAC, if it is enciphered: ERR_FAILED if that is wrong, ERR_DATA if what is needed is not there;
 * else by its hash (sha256 NULL: there is none to compare with, and no pass). Then the second pass can begin. */
struct err *cipher_reader_authenticate(struct cipher_reader *r, unsigned iterations, const char *sha256) MUST_CHECK;
/* The next piece of the plain text, valid until the next call; *ret_n 0 is its end. */
struct err *cipher_reader_next(struct cipher_reader *r, const char **ret_p, size_t *ret_n) MUST_CHECK;
int64_t cipher_reader_size(const struct cipher_reader *r); /* bytes of the plain text */
/* SHA-256 of the plain text that was read in the second pass, and of the file as it lies so far. */
void cipher_reader_hash(const struct cipher_reader *r, char ret[HASH_HEX_SIZE]);
void cipher_reader_file_hash(const struct cipher_reader *r, char ret[HASH_HEX_SIZE]);
void cipher_reader_free(struct cipher_reader *r);

#endif
