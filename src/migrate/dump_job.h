/* Dumping a cluster and proving the dump, as operations.
 *
 * pg_dumpall (of the server's major version, else a newer one) writes into a pipe, which a thread reads: it counts, hashes,
 * enciphers and writes (dump_file.h), so that neither the loop nor a slow disk holds anything up but the child. The child's end, the
 * trailers and the disk decide whether the file gets its name.
 *
 * Facts, below "dump." (below "rehearse.dump." when file_prefix says so, see there):
 *   file sha256 bytes (of the plain text) rows ({"db":{"schema.table":n}}, names unquoted) at (Unix ms, plan clock) strategy seconds
 *   server (server_version_num) identifier (of the server that was dumped); proved_at (by the proof).
 * All of them are taken back when a dump begins. What is expected of rows is the caller's: postgres_counts_equal. */
#ifndef FERRYMAN_MIGRATE_DUMP_JOB_H
#define FERRYMAN_MIGRATE_DUMP_JOB_H

#include "migrate/op.h"

struct plan_postgres;

/* file_prefix: the file is DIRECTORY/PREFIX-20261122T110355Z.sql[.enc]; NULL: the workload's name. One that begins with "rehears" is a
 * dump of a live database for the rehearsal: its facts are rehearse.dump.*, so that it is never taken for the real one. */
struct op *script_dump(struct script *s, const char *id, const char *what, enum run_db db, const char *file_prefix);
/* Reads the file back from the disk: HMAC first, deciphers, hashes and counts again, compares with the manifest and with the facts; then
 * notes proved_at. `file_prefix` as above says which facts. */
struct op *script_dump_proof(struct script *s, const char *id, const char *what, const char *file_prefix);

extern const struct op_job dump_job, dump_proof_job;

#endif
