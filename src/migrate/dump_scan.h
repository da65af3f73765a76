/* Reads pg_dumpall's plain output as it streams past, in pieces of any size, and says what is in it: the rows of each table of each
 * database, counted from the COPY data, and whether it is whole. What looks like a COPY, a trailer or a \connect inside of literals,
 * quoted identifiers, dollar quotes and comments is text. Dumps with INSERT (--inserts, --rows-per-insert) have no rows to be counted.
 *
 * Formats: pg_dumpall.c, pg_dump.c, pg_backup_archiver.c, string_utils.c (appendPsqlMetaConnect) of PostgreSQL 10 to 18. */
#ifndef FERRYMAN_MIGRATE_DUMP_SCAN_H
#define FERRYMAN_MIGRATE_DUMP_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

struct json_t;
struct dump_scan;

struct dump_scan *dump_scan_new(void) MUST_CHECK;
void dump_scan_free(struct dump_scan *s);
void dump_scan_add(struct dump_scan *s, const char *p, size_t n);

/* Whether all of a cluster's dump came past: the cluster's trailer with nothing but \unrestrict after it, a trailer for each database,
 * no COPY, literal or statement left open. Appends what is missing otherwise. */
bool dump_scan_complete(const struct dump_scan *s, struct buf *why);
int64_t dump_scan_bytes(const struct dump_scan *s);
int64_t dump_scan_rows(const struct dump_scan *s);
int64_t dump_scan_tables(const struct dump_scan *s);
int64_t dump_scan_databases(const struct dump_scan *s); /* that have a dump in it */
/* {"immich":{"public.asset":111843}}: names unquoted and cleaned; tables with no rows too. */
struct json_t *dump_scan_rows_json(const struct dump_scan *s) MUST_CHECK;
/* Appends what is coming past now: "COPY public.asset", "INDEX public.clip_index", or nothing. Clean. */
void dump_scan_now(const struct dump_scan *s, struct buf *out);
/* Appends what stands at that line (1 is the first), as above and with its database: "COPY public.asset in immich"; remembers the
 * tables and the last thousand of other objects. */
void dump_scan_at_line(const struct dump_scan *s, int64_t line, struct buf *out);

#endif
