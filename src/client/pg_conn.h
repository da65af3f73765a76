/* One PostgreSQL session by libpq's asynchronous interface. libpq's headers are included by src/client/pg_*.c alone.
 *
 * Host names are resolved on the thread pool first and passed as hostaddr (libpq would block in DNS); the socket is watched anew
 * around every PQconnectPoll, since it may change under the same number (libpq's manual, "PQconnectPoll"). Every session is read-only
 * unless `write` is asked for, and carries a statement and a lock timeout; a query also has a deadline of our own, for a server that is
 * stopped. Notices are
 * dropped. Errors carry the SQLSTATE and the server's primary message, never detail, context or query text (they may hold row data).
 *
 * A session does not come back by itself: on_down is its end; free it (allowed in the callback) and make another. */
#ifndef FERRYMAN_CLIENT_PG_CONN_H
#define FERRYMAN_CLIENT_PG_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

struct loop;
struct pg_conn;
struct pg_rows;
struct secret;

struct pg_conn_options {
    const char *name;             /* for errors: "postgres immich-postgres" */
    const char *conninfo;         /* libpq's, may be NULL */
    const char *database;         /* overrides; NULL */
    const char *hostaddr;         /* overrides host (port-forward); NULL */
    unsigned port;                /* overrides; 0 */
    const char *user;             /* overrides; NULL */
    struct secret *password;      /* reference is taken; NULL */
    const char *passfile;         /* NULL: libpq's own */
    int64_t connect_timeout_ms;   /* 0: 10 s */
    int64_t query_timeout_ms;     /* 0: 5 s; statement_timeout is this, our own deadline 2 s more */
    int64_t lock_timeout_ms;      /* 0: 1 s */
    bool write;                   /* default_transaction_read_only off, whatever the server's is */
    const char *application;      /* application_name; NULL: ferryman */
    const char *default_user, *default_database; /* where neither conninfo nor libpq's environment say it; NULL: libpq's own */
    void (*on_up)(void *arg);
    void (*on_down)(void *arg, const struct err *e); /* borrowed */
    void *arg;
};

/* Starts connecting. Never fails here: what is wrong comes through on_down, from the loop. */
struct pg_conn *pg_conn_new(struct loop *l, const struct pg_conn_options *o);
void pg_conn_free(struct pg_conn *c);
bool pg_conn_up(const struct pg_conn *c);
int pg_conn_version(const struct pg_conn *c);              /* 150018; 0 before it is up */
const char *pg_conn_endpoint(const struct pg_conn *c);     /* "10.0.0.7:5432", "" before */
const char *pg_conn_database(const struct pg_conn *c);
const char *pg_conn_user(const struct pg_conn *c);

/* Queues a query (one statement, no parameters: they are all ours). fn is called once, with rows or an error (borrowed), unless the
 * session ends first: then on_down alone comes. A failed query leaves the session up. */
void pg_query(struct pg_conn *c, const char *sql, void (*fn)(void *arg, const struct pg_rows *rows, const struct err *e), void *arg);

/* The same with a time of its own: the server's statement_timeout and our deadline; 0 is no limit for the server, and a day for us. */
void pg_query_within(struct pg_conn *c, const char *sql, int64_t timeout_ms,
                     void (*fn)(void *arg, const struct pg_rows *rows, const struct err *e), void *arg);
int pg_conn_pid(const struct pg_conn *c);                  /* of the backend; 0 before it is up */
/* What libpq was told, as its environment variables ("PGSSLMODE", "verify-full"), for a child that is to connect to the same server; without
 * password, service, application name, options and user's own defaults of the address: PGHOST and PGHOSTADDR are what was connected to. */
void pg_conn_environment(const struct pg_conn *c, void (*each)(void *arg, const char *name, const char *value), void *arg);

/* The password that libpq would find for this conninfo (conninfo, PGPASSWORD, service, passfile by its own rules for host, port, database
 * and user): for a server that is reached at another address than the one that the password is filed under. *ret is NULL if there is none. */
struct err *pg_password_find(const char *name, const char *conninfo, const char *passfile, const char *default_database,
                             const char *default_user, struct secret **ret) MUST_CHECK;

size_t pg_rows_count(const struct pg_rows *r);
/* Absent for NULL. Valid during the callback. */
struct slice pg_rows_text(const struct pg_rows *r, size_t row, int col);
int64_t pg_rows_int(const struct pg_rows *r, size_t row, int col, int64_t fallback);
bool pg_rows_bool(const struct pg_rows *r, size_t row, int col, bool fallback);
bool pg_rows_null(const struct pg_rows *r, size_t row, int col);

#endif
