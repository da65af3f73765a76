/* Restoring a proved dump with psql, as an operation (design §6 rule 8).
 *
 * A thread reads the file (dump_file.h: its HMAC is checked before the first byte), deciphers it into psql's standard input, and hashes
 * what it fed, which at the end must be what was dumped. psql goes on after errors, and reports each; the first one that is not expected
 * ends it at once, and the operation fails with SQLSTATE, line and table, never with row data. The target is then half-restored: to be
 * discarded, never continued (safety 9).
 *
 * What is fed: the fact dump.file for DB_SERVER; rehearse.dump.file for DB_SCRATCH. The dump must have been proved (proved_at).
 * Notes restore.seconds or rehearse.seconds.restore; restore.begun and restore.done are the phase's. */
#ifndef FERRYMAN_MIGRATE_RESTORE_JOB_H
#define FERRYMAN_MIGRATE_RESTORE_JOB_H

#include "migrate/op.h"

/* expected_json: errors that a fresh cluster's inventory makes certain, [["42710","immich"],["42P04","immich"]]: SQLSTATE and the name
 * of the role, database or other object that the message quotes. Each is expected once. NULL or "": none. A fact's name with a leading
 * '@' ("@restore.expected") is looked up when the operation begins. */
struct op *script_restore(struct script *s, const char *id, const char *what, enum run_db db, const char *expected_json);
/* The list for script_restore from the inventory of a fresh cluster (postgres_script_inventory): its roles (42710) and its databases
 * (42P04). Appends JSON. */
struct json_t;
void restore_expected(const struct json_t *inventory, struct buf *out);

extern const struct op_job restore_job;

#endif
