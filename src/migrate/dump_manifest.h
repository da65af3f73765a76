/* FILE.json beside a dump: what was dumped and what must be found when it is read back (doc/dump.md). It is not authenticated: what it says
 * is compared with the file, which is, and with the journal. */
#ifndef FERRYMAN_MIGRATE_DUMP_MANIFEST_H
#define FERRYMAN_MIGRATE_DUMP_MANIFEST_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/hash.h"

struct json_t;

struct dump_manifest {
    char *run, *workload, *strategy;
    int64_t server_version;     /* server_version_num; 0 unknown */
    char *identifier;           /* of the server; NULL unknown */
    int64_t started_ms, ended_ms;
    int64_t bytes, rows;        /* of the plain text */
    char sha256[HASH_HEX_SIZE]; /* of the plain text */
    unsigned iterations;        /* of PBKDF2; 0: not encrypted */
    char *reason;               /* why it is not */
    struct json_t *tables;      /* {"db":{"schema.table":rows}} */
};

/* "FILE.json"; malloc'd. */
char *dump_manifest_path(const char *file) MUST_CHECK;
/* Durable, 0600. */
struct err *dump_manifest_write(const struct dump_manifest *m, const char *file) MUST_CHECK;
/* ERR_DATA if it is absent or malformed. */
struct err *dump_manifest_read(const char *file, struct dump_manifest *ret) MUST_CHECK;
void dump_manifest_clear(struct dump_manifest *m);

#endif
