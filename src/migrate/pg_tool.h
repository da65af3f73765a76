/* PostgreSQL's own programs: which one fits a server. */
#ifndef FERRYMAN_MIGRATE_PG_TOOL_H
#define FERRYMAN_MIGRATE_PG_TOOL_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

struct loop;
struct pg_tool;

/* Asks the program ("pg_dumpall", "psql") in PATH for its version, then those in the folders that packages use, and takes the first of the
 * server's major version, else the first newer one. fn comes once, from the loop; version as server_version_num has it (150020).
 * Free it, also in fn. */
struct pg_tool *pg_tool_find(struct loop *l, const char *name, int server_version, void (*fn)(void *arg, const char *path, int version,
                             const struct err *e), void *arg);
void pg_tool_free(struct pg_tool *t);

/* "pg_dumpall (PostgreSQL) 15.20 (Debian …)" → 150020; 0: no version in it. */
int pg_tool_version(struct slice text);
/* Whether psql of that version knows \restrict (since August 2025: 13.22, 14.19, 15.14, 16.10, 17.6). */
bool pg_tool_restricts(int version);
/* The first line of what such a program said on stderr that is an error, clean and short, without details (which may hold rows or
 * queries); "it gave no reason" otherwise. */
void pg_tool_reason(struct slice text, struct buf *out);

#endif
