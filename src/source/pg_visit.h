/* Visits databases one after the other, each in a session of its own, for what only their inside knows: extensions and indexes. Each
 * database is a source of its own (postgres/WORKLOAD@DATABASE), so that one that cannot be entered does not make the others old. */
#ifndef FERRYMAN_SOURCE_PG_VISIT_H
#define FERRYMAN_SOURCE_PG_VISIT_H

#include "base/err.h"
#include "client/pg_conn.h"

struct loop;
struct pg_facts;
struct pg_rows;
struct pg_visit;

/* Borrows facts for its life. */
struct pg_visit *pg_visit_new(struct loop *l, const struct pg_facts *facts);
void pg_visit_free(struct pg_visit *v);
/* Which databases there are (an answer to PG_SQL_DATABASES). Sources of those that are no more are removed, but for that of
 * `ours`, the database of the session that answered. Ignored while a round runs: the next answer comes soon. */
void pg_visit_databases(struct pg_visit *v, const struct pg_rows *rows, const char *ours);
/* Begins a round over the databases that take our connections, but for `but` (asked over the session that is there). `how` says how to connect and is borrowed for the round. Ignored while a round runs. */
void pg_visit_round(struct pg_visit *v, const struct pg_conn_options *how, const char *but);
/* Gives the round up: the server is away. */
void pg_visit_stop(struct pg_visit *v);
/* Asks a database over a session that is there. */
void pg_visit_ask(struct pg_visit *v, struct pg_conn *conn, const char *database);
/* The databases' sources cannot be asked either: the server is away. */
void pg_visit_failed(struct pg_visit *v, const struct err *e);

#endif
