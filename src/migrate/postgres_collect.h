/* Collecting what several queries answer into one fact; and the statements that do. Private to postgres_*.c.
 *
 * What is collected is in memory until the last operation notes it: a step that is interrupted begins again from its first. */
#ifndef FERRYMAN_MIGRATE_POSTGRES_COLLECT_H
#define FERRYMAN_MIGRATE_POSTGRES_COLLECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "migrate/op.h"

struct json_t;

/* Shared by the operations of one collection: each has a reference as its data. */
struct collect {
    unsigned refs;
    char *fact;
    enum run_db db;
    struct json_t *doc; /* object */
    char *sql;          /* the statement that was written last; NULL: there is nothing to ask */
    int64_t rows;       /* what it sums up to, for the last line */
    size_t tables;
};

struct collect *collect_new(const char *fact, enum run_db db) MUST_CHECK;
void collect_unref(struct collect *c);
/* The operation's data becomes the collection; it gets time for large tables. */
void collect_give(struct op *op, struct collect *c);
/* Notes the fact. */
void collect_end(struct script *s, const char *id, const char *what, struct collect *c);
/* Asks `write` for a statement in that database and runs it: see gets its rows, with op->data the collection and op->database. */
void collect_written(struct script *s, struct collect *c, const char *database, const char *id, const char *what, const char *write,
                     op_see_fn see);
/* For every database that takes connections: each(r, s, c, database). The databases are asked for first. */
void collect_databases(struct script *s, struct collect *c, const char *id,
                       void (*each)(struct run *r, struct script *s, struct collect *c, const char *database));

extern const char *const postgres_sql_inventory_server, *const postgres_sql_inventory_collations,
    *const postgres_sql_inventory_database, *const postgres_sql_write_counts, *const postgres_sql_write_sequences,
    *const postgres_sql_write_hashes, *const postgres_sql_writes, *const postgres_sql_keep_hba, *const postgres_sql_keep_auto,
    *const postgres_sql_keep_settings, *const postgres_sql_keep_slots, *const postgres_sql_keep_certificates;

#endif
