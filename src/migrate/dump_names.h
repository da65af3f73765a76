/* Names in what pg_dumpall writes: of COPY statements and of \connect. Pure. */
#ifndef FERRYMAN_MIGRATE_DUMP_NAMES_H
#define FERRYMAN_MIGRATE_DUMP_NAMES_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/str.h"

bool dump_name_char(char c); /* of identifiers without quotes */
/* COPY schema.table (columns) FROM stdin: appends the table's name unquoted, "schema.table"; false for every other statement. */
bool dump_name_copy(struct slice statement, struct buf *name);
/* What follows \connect: name, "Name", -reuse-previous=on "dbname='na me'". Appends the database's name. */
bool dump_name_connect(struct slice arg, struct buf *name);

#endif
