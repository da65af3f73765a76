/* PostgreSQL as it is shown, against a real server. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "client/pg_conn.h"
#include "client/pg_forward.h"
#include "loop/loop.h"
#include "loop/timer.h"
#include "pg_fixture.h"
#include "source/pg_source.h"
#include "world/freshness.h"
#include "world/stream.h"
#include "world/world.h"

#define DEADLINE_MS 20000
#define POLL_MS 300

static struct pg_fixture *server;

struct seen {
    struct loop *loop;
    struct world *world;
    struct pg_source *source;
    struct timer *timer;
    bool (*is)(const struct seen *s);
    bool done;
};

static void check(void *arg) {
    struct seen *s = arg;
    world_set_now(s->world, clock_wall_ms());
    s->done = s->is(s);
}

/* Runs the loop until the condition holds. */
static void until(struct seen *s, bool (*is)(const struct seen *s)) {
    s->is = is;
    s->done = false;
    timer_start(s->timer, 10, 10);
    bool held = loop_run_until(s->loop, &s->done, DEADLINE_MS);
    timer_stop(s->timer);
    if (!held) {
        struct buf b = {0};
        for (const struct row *r = world_first(s->world, T_SOURCES); r; r = world_next(s->world, r)) stream_row_json(s->world, r, true, &b);
        print_error("the world's sources: %s\n", buf_str(&b));
        buf_free(&b);
    }
    assert_true(held);
}

static void start(struct seen *s, const char *conninfo, const char *const *kubectl) {
    static const char *const preload[] = {"pg_trgm", NULL};
    *s = (struct seen){.loop = loop_new(), .world = world_new()};
    world_set_now(s->world, clock_wall_ms());
    s->timer = timer_new(s->loop, check, s);
    s->source = pg_source_new(&(struct pg_source_options){
        .loop = s->loop, .world = s->world, .workload = "db", .ns = "immich", .deployment = "postgresql", .conninfo = conninfo,
        .preload = preload, .kubectl = kubectl, .port = server->port, .poll_ms = POLL_MS,
    });
}

static void stop(struct seen *s) {
    pg_source_free(s->source);
    timer_free(s->timer);
    world_free(s->world);
    loop_free(s->loop);
}

static const struct row *find(const struct seen *s, enum world_table t, const char *key) {
    return world_find(s->world, t, slice_of(key));
}

static enum freshness fresh(const struct seen *s, const char *src) {
    return world_source_freshness(s->world, src).state;
}

static bool is_polled(const struct seen *s) {
    return fresh(s, "postgres/db") == FRESH_POLLED && fresh(s, "postgres/db@postgres") == FRESH_POLLED && find(s, T_DATABASES, "db/shop") &&
           row_int(find(s, T_DATABASES, "db/shop"), DATABASES_EXTENSIONS, -1) > 0;
}

static bool is_down(const struct seen *s) {
    return fresh(s, "postgres/db") == FRESH_DOWN;
}

static void test_shows_the_server(void **state) {
    struct seen s;
    (void)state;
    start(&s, server->conninfo, NULL);
    until(&s, is_polled);
    const struct row *r = find(&s, T_PG_SERVERS, "db");
    assert_non_null(r);
    assert_true(slice_is(row_text(r, PG_SERVERS_STATE), "OK"));
    assert_true(row_text(r, PG_SERVERS_IDENTIFIER).n >= 15);
    assert_true(slice_ends(row_text(r, PG_SERVERS_USER), "(superuser)"));
    assert_true(row_int(r, PG_SERVERS_STARTED, 0) > clock_wall_ms() - 600000);
    assert_true(row_int(find(&s, T_DATABASES, "db/shop"), DATABASES_SIZE, 0) > 1000000);
    assert_non_null(find(&s, T_SETTINGS, "db/port"));
    assert_null(find(&s, T_SETTINGS, "db/statement_timeout")); /* ours, not the server's */
    stop(&s);
}

static bool is_fenced(const struct seen *s) {
    return slice_is(row_text(find(s, T_PG_SERVERS, "db"), PG_SERVERS_STATE), "READ ONLY");
}

static bool is_not_fenced(const struct seen *s) {
    return slice_is(row_text(find(s, T_PG_SERVERS, "db"), PG_SERVERS_STATE), "OK");
}

/* By the server's word of now, not by what it was when the session began. */
static void test_follows_a_fence(void **state) {
    struct seen s;
    (void)state;
    start(&s, server->conninfo, NULL);
    until(&s, is_polled);
    assert_true(is_not_fenced(&s));
    pg_fixture_sql(server, "postgres", "ALTER SYSTEM SET default_transaction_read_only = on", false);
    pg_fixture_sql(server, "postgres", "SELECT pg_reload_conf()", false);
    until(&s, is_fenced);
    pg_fixture_sql(server, "postgres", "ALTER SYSTEM RESET default_transaction_read_only", false);
    pg_fixture_sql(server, "postgres", "SELECT pg_reload_conf()", false);
    until(&s, is_not_fenced);
    stop(&s);
}

static void test_shows_drift_of_extensions(void **state) {
    struct seen s;
    (void)state;
    start(&s, server->conninfo, NULL);
    until(&s, is_polled);
    const struct row *r = find(&s, T_EXTENSIONS, "db/shop/pg_trgm");
    assert_non_null(r);
    assert_true(slice_is(row_text(r, EXTENSIONS_STATE), "DRIFT"));
    assert_true(slice_is(row_text(r, EXTENSIONS_INSTALLED), "1.5"));
    assert_true(slice_is(row_text(r, EXTENSIONS_PRELOAD), "wanted, NOT loaded"));
    assert_true(slice_is(row_text(find(&s, T_EXTENSIONS, "db/shop/plpgsql"), EXTENSIONS_STATE), "OK"));
    stop(&s);
}

static bool has_invalid_index(const struct seen *s) {
    const struct row *r = find(s, T_INDEXES, "db/shop/public.twice");
    return r && slice_is(row_text(r, INDEXES_STATE), "INVALID");
}

static void test_shows_an_invalid_index(void **state) {
    struct seen s;
    (void)state;
    pg_fixture_sql(server, "shop", "CREATE UNIQUE INDEX CONCURRENTLY twice ON item (kind)", true);
    start(&s, server->conninfo, NULL);
    until(&s, has_invalid_index);
    stop(&s);
    pg_fixture_sql(server, "shop", "DROP INDEX twice", false);
}

static bool has_new_extension(const struct seen *s) {
    return find(s, T_EXTENSIONS, "db/postgres/unaccent") != NULL;
}

static bool has_lost_extension(const struct seen *s) {
    return !has_new_extension(s);
}

static void test_follows_an_extension(void **state) {
    struct seen s;
    (void)state;
    start(&s, server->conninfo, NULL);
    until(&s, is_polled);
    pg_fixture_sql(server, "postgres", "CREATE EXTENSION unaccent", false);
    until(&s, has_new_extension);
    pg_fixture_sql(server, "postgres", "DROP EXTENSION unaccent", false);
    until(&s, has_lost_extension);
    stop(&s);
}

static bool has_odd_database(const struct seen *s) {
    const struct row *r = find(s, T_SOURCES, "postgres/db@a b'\xEF\xBF\xBD[31m");
    return r && slice_is(row_text(r, SOURCES_STATE), "POLLED") && find(s, T_EXTENSIONS, "db/a b'\xEF\xBF\xBD[31m/plpgsql");
}

static bool has_lost_odd_database(const struct seen *s) {
    return !find(s, T_SOURCES, "postgres/db@a b'\xEF\xBF\xBD[31m") && !find(s, T_EXTENSIONS, "db/a b'\xEF\xBF\xBD[31m/plpgsql");
}

static void test_follows_a_database_of_any_name(void **state) {
    struct seen s;
    (void)state;
    pg_fixture_sql(server, "postgres", "CREATE DATABASE \"a b'\x1b[31m\"", false);
    start(&s, server->conninfo, NULL);
    until(&s, has_odd_database);
    pg_fixture_sql(server, "postgres", "DROP DATABASE \"a b'\x1b[31m\" WITH (FORCE)", false);
    until(&s, has_lost_odd_database);
    stop(&s);
}

/* An application's own role: what it may not read is null, the rest is there. Its database calls functions of its own by the names of
 * the catalog's: ours are not those. */
static void test_shows_what_a_plain_role_may_see(void **state) {
    struct seen s;
    (void)state;
    char *conninfo = str_printf("%s user=plain", server->conninfo);
    pg_fixture_sql(server, "shop", "CREATE ROLE plain LOGIN; CREATE FUNCTION public.current_setting(text) RETURNS text LANGUAGE sql "
                   "AS 'SELECT ''hijacked''::text'; ALTER ROLE plain SET search_path = public, pg_catalog", false);
    start(&s, conninfo, NULL);
    until(&s, is_polled);
    const struct row *r = find(&s, T_PG_SERVERS, "db");
    assert_non_null(r);
    assert_true(slice_ends(row_text(r, PG_SERVERS_USER), "(not a superuser)"));
    assert_null(row_text(r, PG_SERVERS_PRELOAD).p);
    assert_false(slice_is(row_text(r, PG_SERVERS_VERSION), "hijacked"));
    assert_null(row_text(find(&s, T_EXTENSIONS, "db/shop/pg_trgm"), EXTENSIONS_PRELOAD).p);
    stop(&s);
    pg_fixture_sql(server, "shop", "DROP FUNCTION public.current_setting(text); DROP ROLE plain", false);
    mem_free(conninfo);
}

static bool sees_sleeper(const struct seen *s) {
    for (const struct row *r = world_first(s->world, T_ACTIVITY); r; r = world_next(s->world, r))
        if (slice_is(row_text(r, ACTIVITY_DATABASE), "shop") && slice_is(row_text(r, ACTIVITY_STATE), "active")) return true;
    return false;
}

/* Safety 13: row data and query text never leave the server. */
static void test_never_shows_query_text(void **state) {
    struct seen s;
    struct buf text = {0};
    (void)state;
    pid_t pid = pg_fixture_sql_background(server, "shop", "SELECT pg_sleep(60), 'marker-in-query'");
    start(&s, server->conninfo, NULL);
    until(&s, sees_sleeper);
    for (enum world_table t = 0; t < T_COUNT; t++)
        for (const struct row *r = world_first(s.world, t); r; r = world_next(s.world, r)) stream_row_json(s.world, r, true, &text);
    assert_null(strstr(buf_str(&text), "marker-in-query"));
    assert_null(strstr(buf_str(&text), "pg_sleep"));
    buf_free(&text);
    stop(&s);
    kill(pid, SIGTERM);
    waitpid(pid, NULL, 0);
    pg_fixture_sql(server, "postgres", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'shop'", false);
}

static void test_finds_a_restarted_server_again(void **state) {
    struct seen s;
    (void)state;
    start(&s, server->conninfo, NULL);
    until(&s, is_polled);
    pg_fixture_stop(server);
    until(&s, is_down);
    assert_true(slice_is(row_text(find(&s, T_PG_SERVERS, "db"), PG_SERVERS_STATE), "DOWN"));
    assert_non_null(find(&s, T_EXTENSIONS, "db/shop/pg_trgm")); /* what was known stays, and is shown as old */
    assert_int_equal(fresh(&s, "postgres/db@shop"), FRESH_DOWN);
    pg_fixture_start(server);
    until(&s, is_polled);
    stop(&s);
}

static void test_a_stopped_server_is_down(void **state) {
    struct seen s;
    (void)state;
    start(&s, server->conninfo, NULL);
    until(&s, is_polled);
    pg_fixture_sql(server, "postgres", "SELECT 1", false);
    kill(-getpgid(server->pid) == -getpgid(0) ? server->pid : -server->pid, SIGSTOP);
    /* The postmaster is stopped, but our backend still answers: stop that too. */
    for (const struct row *r = world_first(s.world, T_ACTIVITY); r; r = world_next(s.world, r)) kill((pid_t)row_int(r, ACTIVITY_PID, 0), SIGSTOP);
    until(&s, is_down);
    assert_true(slice_contains(row_text(find(&s, T_SOURCES, "postgres/db"), SOURCES_ERROR), "says nothing"));
    for (const struct row *r = world_first(s.world, T_ACTIVITY); r; r = world_next(s.world, r)) kill((pid_t)row_int(r, ACTIVITY_PID, 0), SIGCONT);
    kill(server->pid, SIGCONT);
    until(&s, is_polled);
    stop(&s);
}

static void expect_error(const char *conninfo, const char *text) {
    struct seen s;
    start(&s, conninfo, NULL);
    until(&s, is_down);
    struct slice error = row_text(find(&s, T_SOURCES, "postgres/db"), SOURCES_ERROR);
    if (!slice_contains(error, text)) print_error("error is: %.*s\n", SLICE_FMT(error));
    assert_true(slice_contains(error, text));
    stop(&s);
}

static void test_errors_say_what_is_wrong(void **state) {
    char *no_database = str_printf("host=127.0.0.1 port=%u user=postgres dbname=nowhere", server->port);
    (void)state;
    expect_error(no_database, "does not exist");
    expect_error("host=127.0.0.1 port=1 user=postgres", "refused");
    expect_error("host=127.0.0.1 hots=x", "conninfo");
    mem_free(no_database);
}

/* kubectl's part is played by a few lines that forward TCP: what is tested is ours. */
static void test_port_forward(void **state) {
    static const char script[] =
        "#!/usr/bin/env python3\n"
        "import socket, sys, threading\n"
        "port = int(sys.argv[-1].lstrip(':'))\n"
        "assert 'port-forward' in sys.argv and 'deployment/postgresql' in sys.argv and sys.argv[1:3] == ['--context', 'home']\n"
        "l = socket.socket(); l.bind(('127.0.0.1', 0)); l.listen()\n"
        "print('Forwarding from 127.0.0.1:%d -> %d' % (l.getsockname()[1], port), flush=True)\n"
        "def pipe(a, b):\n"
        "    try:\n"
        "        while (d := a.recv(65536)): b.sendall(d)\n"
        "    except OSError: pass\n"
        "    b.close()\n"
        "while True:\n"
        "    a, _ = l.accept(); b = socket.create_connection(('127.0.0.1', port))\n"
        "    for x, y in ((a, b), (b, a)): threading.Thread(target=pipe, args=(x, y), daemon=True).start()\n";
    char path[] = "/tmp/ferryman-test-kubectl-XXXXXX";
    const char *const kubectl[] = {path, "--context", "home", NULL};
    struct seen s;
    (void)state;
    int fd = mkstemp(path);
    assert_true(fd >= 0 && write(fd, script, sizeof script - 1) == (ssize_t)sizeof script - 1);
    fchmod(fd, 0755);
    close(fd);
    start(&s, "host=not-this.invalid user=postgres dbname=postgres", kubectl);
    until(&s, is_polled);
    assert_true(slice_starts(row_text(find(&s, T_PG_SERVERS, "db"), PG_SERVERS_ENDPOINT), "127.0.0.1:"));
    stop(&s);
    unlink(path);
}

static int set_up(void **state) {
    (void)state;
    server = pg_fixture_new();
    pg_fixture_sql(server, "postgres", "CREATE DATABASE shop", false);
    pg_fixture_sql(server, "shop", "CREATE EXTENSION pg_trgm VERSION '1.5'", false);
    pg_fixture_sql(server, "shop", "CREATE TABLE item AS SELECT i AS id, i % 3 AS kind FROM generate_series(1, 1000) i", false);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    pg_fixture_free(server);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_follows_a_database_of_any_name), cmocka_unit_test(test_shows_what_a_plain_role_may_see),
        cmocka_unit_test(test_shows_the_server),       cmocka_unit_test(test_follows_a_fence),
        cmocka_unit_test(test_shows_drift_of_extensions),
        cmocka_unit_test(test_shows_an_invalid_index), cmocka_unit_test(test_follows_an_extension),
        cmocka_unit_test(test_never_shows_query_text), cmocka_unit_test(test_finds_a_restarted_server_again),
        cmocka_unit_test(test_a_stopped_server_is_down), cmocka_unit_test(test_errors_say_what_is_wrong),
        cmocka_unit_test(test_port_forward),
    };
    if (!pg_fixture_available()) return 77;
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
