/* Snapshots on our disk: FILE (enciphered, cipher_file.h), FILE.hmac, FILE.json. Written once while they are proved (snapshot_proof.h), and
 * judged again from the disk alone; a plain archive of `vault operator raft snapshot save` is judged the same. All of it blocks: for
 * threads. doc/snapshot.md has the format. */
#ifndef FERRYMAN_MIGRATE_SNAPSHOT_FILE_H
#define FERRYMAN_MIGRATE_SNAPSHOT_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/hash.h"
#include "migrate/cipher_file.h"
#include "migrate/snapshot_proof.h"

/* What FILE.json says; it is not authenticated itself: compared with the file and, in a run, with the journal. */
struct snapshot_manifest {
    char *run, *workload, *node;
    char *reason;               /* why it is not enciphered */
    int64_t at_ms;              /* wall */
    int64_t bytes, index, term; /* of the archive */
    char sha256[HASH_HEX_SIZE]; /* of the archive */
    unsigned iterations;        /* of PBKDF2; 0: not enciphered */
};

/* ERR_DATA if it is absent or malformed. */
struct err *snapshot_manifest_read(const char *file, struct snapshot_manifest *ret) MUST_CHECK;
void snapshot_manifest_clear(struct snapshot_manifest *m);

/* ---- Writing ---- */

struct snapshot_writer;

/* DIR/PREFIX-20261122T110355Z.snap[.enc]; passphrase_file NULL: not enciphered. Refuses a folder that is known to be no place for an
 * anchor (snapshot_place). */
struct err *snapshot_writer_open(const char *dir, const char *prefix, const char *passphrase_file, struct snapshot_writer **ret) MUST_CHECK;
/* ERR_DATA as soon as it is known to be damaged. */
struct err *snapshot_writer_add(struct snapshot_writer *w, struct slice bytes) MUST_CHECK;
/* Proved, not older than `applied`, on the disk; then it gets its name, with manifest and HMAC beside it. m: run, workload, node, reason and
 * at_ms are given, the rest is filled in. */
struct err *snapshot_writer_commit(struct snapshot_writer *w, int64_t applied, struct snapshot_manifest *m, struct snapshot_said *ret) MUST_CHECK;
const char *snapshot_writer_file(const struct snapshot_writer *w);
void snapshot_writer_hash(const struct snapshot_writer *w, char ret[HASH_HEX_SIZE]); /* of the file as it lies, after the commit */
void snapshot_writer_discard(struct snapshot_writer *w); /* also what was committed */
void snapshot_writer_free(struct snapshot_writer *w);    /* removes what was not committed */

/* Whether a snapshot may lie there, as far as it can be known (safety 17): not on NFS, and not in the file system of the pod that we run in,
 * which goes with it. The first folder on the way up that exists is asked. */
struct err *snapshot_place(const char *dir) MUST_CHECK;
/* The same of a file system of that type (statfs). */
struct err *snapshot_place_judge(const char *dir, long type, bool in_pod) MUST_CHECK;
/* Removes what `run` wrote in DIR under that prefix, but for `kept` (may be NULL); *ret_n: how many. */
struct err *snapshot_remove(const char *dir, const char *prefix, const char *run, const char *kept, size_t *ret_n) MUST_CHECK;

/* ---- Proving from the disk ---- */

struct snapshot_verify_options {
    const char *file;
    const char *passphrase_file; /* NULL: none is at hand */
    struct cipher_watch watch;
};

struct snapshot_verdict {
    struct err *damage;          /* NULL: it is proved */
    struct snapshot_said said;
    struct snapshot_manifest manifest;
    bool enciphered, has_manifest;
    int64_t file_bytes;
    char sha256[HASH_HEX_SIZE], file_sha256[HASH_HEX_SIZE]; /* of the archive; of the file as it lies */
};

/* An error only for what could not be judged: no such file, no passphrase, no HMAC: ERR_DATA. */
struct err *snapshot_verify(const struct snapshot_verify_options *o, struct snapshot_verdict *ret) MUST_CHECK;
void snapshot_verdict_clear(struct snapshot_verdict *v);

#endif
