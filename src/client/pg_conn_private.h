/* What the files over libpq share. */
#ifndef FERRYMAN_CLIENT_PG_CONN_PRIVATE_H
#define FERRYMAN_CLIENT_PG_CONN_PRIVATE_H

#include <libpq-fe.h>

#include "base/err.h"

struct pg_conninfo {
    const char *name, *conninfo;
    const char *default_user, *default_database;
};

/* The conninfo over libpq's own defaults (environment, service file), and ours where neither says anything. Freed by PQconninfoFree. */
struct err *pg_conninfo_read(const struct pg_conninfo *c, PQconninfoOption **ret) MUST_CHECK;
const char *pg_conninfo_option(PQconninfoOption *info, const char *key);

#endif
