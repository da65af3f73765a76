/* A real PostgreSQL for tests: a cluster in a folder of its own, as an unprivileged user also when we are root, on a free port of
 * 127.0.0.1, ended with the test even when that is killed. */
#ifndef TESTS_PG_FIXTURE_H
#define TESTS_PG_FIXTURE_H

#include <stdbool.h>
#include <sys/types.h>

struct pg_fixture {
    char *bin, *dir, *conninfo; /* conninfo: superuser postgres on database postgres, trust */
    unsigned port;
    pid_t pid;
    int log; /* postgres' stderr */
};

/* Whether server programs are there; without them a test skips, but with CI=true it fails. */
bool pg_fixture_available(void);
struct pg_fixture *pg_fixture_new(void);
void pg_fixture_free(struct pg_fixture *f);
/* Stops (SIGINT, fast) and starts again on the same port. */
void pg_fixture_stop(struct pg_fixture *f);
void pg_fixture_start(struct pg_fixture *f);
/* Runs psql; the SQL must succeed unless may_fail. */
void pg_fixture_sql(struct pg_fixture *f, const char *database, const char *sql, bool may_fail);
/* psql in the background; ends with SIGTERM to the returned pid (reap it with waitpid). */
pid_t pg_fixture_sql_background(struct pg_fixture *f, const char *database, const char *sql);

#endif
