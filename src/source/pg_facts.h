/* Answers of PostgreSQL → rows of the world: the pure half of pg_source. */
#ifndef FERRYMAN_SOURCE_PG_FACTS_H
#define FERRYMAN_SOURCE_PG_FACTS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

#define PG_NO_PRIVILEGE "we have no CONNECT privilege on it"

struct pg_rows;
struct world;

/* Whose facts they are, and what the rows' src is. */
struct pg_facts {
    struct world *world;
    const char *workload, *src;
    const char *const *preload; /* that the plan wants, NULL-terminated */
    char *loaded;               /* shared_preload_libraries; NULL: not known (yet, or to a role like ours) */
};

/* Of the server: each answer replaces what the one before had said. */
void pg_facts_settings(const struct pg_facts *f, const struct pg_rows *rows);
void pg_facts_activity(const struct pg_facts *f, const struct pg_rows *rows);
void pg_facts_progress(const struct pg_facts *f, const struct pg_rows *rows);
/* Keeps EXTENSIONS and ERROR of databases that are there already. */
void pg_facts_databases(const struct pg_facts *f, const struct pg_rows *rows);
/* Of one database; src of these rows is given, since each database is asked in a session of its own. */
void pg_facts_extensions(const struct pg_facts *f, const char *database, const char *src, const struct pg_rows *rows);
void pg_facts_indexes(const struct pg_facts *f, const char *database, const char *src, const struct pg_rows *rows);
/* The database is no more: nor is what was in it. */
void pg_facts_forget(const struct pg_facts *f, const char *src);
/* Why the inside of a database could not be read; NULL: it could. */
void pg_facts_database_error(const struct pg_facts *f, const char *database, const char *error);

#endif
