/* The database sessions of a run, against a real server: no statement reaches a server that is not proved to be the pod it should be. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "client/pg_conn.h"
#include "loop/loop.h"
#include "migrate/plan.h"
#include "tests/unit/run_stage.h"

/* ---- Sessions ---- */

static void test_reads_and_writes(void **state) {
    struct op_stage *w = *state;
    char *application = str_printf("ferryman/%s", w->run->id);
    run_stage_expect(w, READ("SHOW application_name"), application);
    run_stage_expect(w, READ("SHOW default_transaction_read_only"), "on");
    run_stage_expect_error(w, READ("CREATE TABLE public.no (i int)"), "SQLSTATE 25006");
    run_stage_expect(w, WRITE("SHOW default_transaction_read_only"), "off");
    run_stage_expect(w, WRITE("CREATE TABLE public.yes (i int)"), "");
    run_stage_expect(w, (struct run_query){.sql = "SELECT current_database()", .database = "template1"}, "template1");
    run_stage_expect(w, WRITE("DROP TABLE public.yes"), "");
    mem_free(application);
}

static void test_statement_timeouts(void **state) {
    struct op_stage *w = *state;
    run_stage_expect_error(w, (struct run_query){.sql = "SELECT pg_sleep(20)", .timeout_ms = 200}, "SQLSTATE 57014");
    run_stage_expect(w, (struct run_query){.sql = "SHOW statement_timeout", .timeout_ms = 3600000}, "1h");
    run_stage_expect(w, READ("SHOW statement_timeout"), "30s");
}

static void test_late_session_sends_nothing(void **state) {
    struct op_stage *w = *state;
    struct run_query q = WRITE("CREATE TABLE public.late (i int)");
    q.begin_by_ms = clock_mono_ms() - 1;
    run_stage_expect_error(w, q, "was not sent");
    assert_int_equal(run_stage_last.kind, ERR_UNAVAILABLE);
    run_stage_expect(w, READ("SELECT to_regclass('public.late') IS NULL"), "t");
}

/* ---- Identity ---- */

static void test_unknown_pod(void **state) {
    struct op_stage *w = *state;
    run_set(w->run, "pod.server.uid", "");
    run_stage_expect_error(w, READ("SELECT 1"), "the pod of the server is not known yet");
}

static void test_service_that_leads_elsewhere(void **state) {
    struct op_stage *w = *state;
    run_stage_pod(w, "10.1.2.4");
    run_stage_expect_error(w, WRITE("CREATE TABLE public.elsewhere (i int)"), "is 127.0.0.1, the pod server-0 is 10.1.2.4: the Service leads elsewhere");
    assert_int_equal(run_stage_last.kind, ERR_FAILED);
    run_stage_pod(w, "127.0.0.1"); /* and once it leads there again, the next query connects */
    run_stage_expect(w, READ("SELECT to_regclass('public.elsewhere') IS NULL"), "t");
}

static void test_another_data_directory(void **state) {
    struct op_stage *w = *state;
    run_set(w->run, "pg.identifier.old", "7000000000000000001");
    run_stage_expect_error(w, READ("SELECT 1"), "expected is 7000000000000000001: this is another data directory");
    run_stage_expect_error(w, WRITE("SELECT 1"), "this is another data directory");
    run_stage_expect(w, (struct run_query){.sql = "SELECT 1", .identity_any = true}, "1");
    run_set(w->run, "pg.identifier.new", run_stage_identifier); /* the swap: what serves now is the new one */
    run_stage_expect(w, WRITE("SELECT 1"), "1");
    run_set(w->run, "rolled_back.at", "1");
    run_stage_expect_error(w, WRITE("SELECT 1"), "expected is 7000000000000000001");
}

static void test_what_the_plan_pins_is_the_source(void **state) {
    struct op_stage *w = *state;
    struct plan_postgres *spec = w->plan->workloads[0].spec;
    str_set(&spec->postgres.identifier, "7000000000000000001");
    run_stage_expect_error(w, READ("SELECT 1"), "expected is 7000000000000000001");
    run_set(w->run, "pg.identifier.new", run_stage_identifier);
    run_stage_expect(w, READ("SELECT 1"), "1");
}

static void test_nothing_is_written_to_the_unknown(void **state) {
    struct op_stage *w = *state;
    run_set(w->run, "pg.identifier.old", "");
    run_stage_expect(w, READ("SELECT 1"), "1"); /* inventory reads it first */
    run_stage_expect_error(w, WRITE("SELECT 1"), "is not known yet, and nothing is written");
    run_stage_expect(w, (struct run_query){.sql = "SELECT 1", .write = true, .identity_any = true}, "1");
}

static void test_unix_socket_proves_nothing(void **state) {
    struct op_stage *w = op_stage_new(NULL, false);
    struct plan_postgres *spec = w->plan->workloads[0].spec;
    char *conninfo = str_printf("host=%s port=%u user=postgres dbname=postgres", run_stage_server->dir, run_stage_server->port);
    (void)state;
    str_set(&spec->postgres.conninfo, conninfo);
    mem_free(conninfo);
    run_stage_pod(w, "127.0.0.1");
    run_set(w->run, "pg.identifier.old", run_stage_identifier);
    run_stage_expect_error(w, READ("SELECT 1"), "unix socket");
    op_stage_free(w);
}

static void test_replaced_pod_means_another_session(void **state) {
    struct op_stage *w = *state;
    char first[64];
    run_stage_expect(w, READ("SELECT 1"), "1");
    run_stage_query(w, READ("SELECT pg_backend_pid()"));
    str_copy(first, sizeof first, run_stage_last.text);
    run_stage_query(w, READ("SELECT pg_backend_pid()"));
    assert_string_equal(run_stage_last.text, first);
    run_set(w->run, "pod.server.uid", "uid-p2");
    run_stage_query(w, READ("SELECT pg_backend_pid()"));
    assert_string_not_equal(run_stage_last.text, first);
}

static void test_scratch_pod_is_reached_by_its_address(void **state) {
    struct op_stage *w = *state;
    struct plan_postgres *spec = w->plan->workloads[0].spec;
    struct run_query q = {.db = DB_SCRATCH, .sql = "SELECT 1", .write = true};
    str_set(&spec->postgres.conninfo, "host=not-this.invalid port=1 user=postgres dbname=postgres");
    spec->postgres.port = run_stage_server->port;
    run_stage_expect_error(w, q, "the pod of the scratch server is not known yet");
    run_set(w->run, "pod.scratch.name", "scratch");
    run_set(w->run, "pod.scratch.uid", "uid-s");
    run_set(w->run, "pod.scratch.ip", "127.0.0.1");
    run_set(w->run, "pg.identifier.scratch", run_stage_identifier);
    run_stage_expect(w, q, "1");
}

/* ---- Ends ---- */

static void end_backends(const char *application) {
    char *sql = str_printf("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = '%s' AND pid <> pg_backend_pid()", application);
    pg_fixture_sql(run_stage_server, "postgres", sql, false);
    mem_free(sql);
}

static void end_ours(struct op_stage *w) {
    char *application = str_printf("ferryman/%s", w->run->id);
    end_backends(application);
    mem_free(application);
}

static void test_a_lost_session_is_opened_again(void **state) {
    struct op_stage *w = *state;
    run_stage_expect(w, READ("SELECT 1"), "1");
    end_ours(w);
    run_stage_query(w, READ("SELECT 2")); /* the loss may be met by this one */
    run_stage_expect(w, READ("SELECT 3"), "3");
    run_stage_ask(w, READ("SELECT pg_sleep(30)"));
    bool never = false;
    loop_run_until(w->loop, &never, 300);
    end_ours(w);
    AWAIT(w, run_stage_answered);
    run_query_free(run_stage_last.handle);
    assert_int_equal(run_stage_last.kind, ERR_UNAVAILABLE);
    run_stage_expect(w, READ("SELECT 4"), "4");
}

static void test_a_query_is_given_up(void **state) {
    struct op_stage *w = *state;
    run_stage_expect(w, READ("SELECT 1"), "1");
    run_stage_ask(w, READ("SELECT pg_sleep(30)"));
    bool never = false;
    loop_run_until(w->loop, &never, 100);
    run_query_free(run_stage_last.handle);
    run_stage_expect(w, READ("SELECT 2"), "2"); /* not behind it */
    run_stage_ask(w, READ("SELECT 3"));
    run_query_free(run_stage_last.handle); /* before it was sent */
    run_pg_close(w->run, DB_SERVER);
    run_stage_expect(w, READ("SELECT 5"), "5");
    run_stage_ask(w, READ("SELECT 6"));
    run_pg_close(w->run, DB_SERVER);
    AWAIT(w, run_stage_answered);
    run_query_free(run_stage_last.handle);
    op_stage_assert_in(run_stage_last.error, "the session was closed");
}

/* ---- Kept sessions ---- */

static void hold(struct op_stage *w) {
    run_stage_last = (struct asked){.answered = false};
    run_stage_last.handle = run_pg_hold(w->run, &READ("SELECT pg_try_advisory_lock(4711)"), run_stage_rows, &run_stage_last);
    AWAIT(w, run_stage_answered);
    run_query_free(run_stage_last.handle);
    assert_string_equal(run_stage_last.text, "t");
}

static enum op_answer see_never(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    (void)r;
    (void)op;
    (void)seen;
    buf_adds(reason, "never");
    return OP_TODO;
}

static bool waits(struct op_stage *w) {
    return strstr(buf_str(&w->states), "never") != NULL;
}

static void begin_wait(struct op_stage *w) {
    struct script *s = script_new();
    script_wait(s, "wait", "wait for ever", NULL, see_never, 0);
    op_stage_begin(w, s);
    AWAIT(w, waits);
}

static void scale(struct op_stage *w) {
    struct script *s = script_new();
    op_stage_scale(w, s);
    op_stage_run(w, s);
}

static void test_a_kept_session_that_is_lost_ends_the_runner(void **state) {
    struct op_stage *w = *state;
    op_stage_deployment(w);
    begin_wait(w);
    hold(w);
    run_stage_expect(w, READ("SELECT pg_try_advisory_lock(4711)"), "f"); /* it is a session of its own */
    end_ours(w);
    op_stage_end(w);
    op_stage_assert_error(w, ERR_LOCKED, "the session that holds the lock on the database was lost");
    scale(w); /* what begins anew asks for it itself */
    op_stage_assert_fine(w);
}

static void test_a_session_that_is_lost_between_two_steps(void **state) {
    struct op_stage *w = *state;
    op_stage_deployment(w);
    begin_wait(w);
    hold(w);
    assert_true(op_runner_abort(w->runner));
    op_stage_end(w);
    end_ours(w);
    do run_stage_query(w, READ("SELECT pg_try_advisory_lock(4711)"));
    while (!str_eq(run_stage_last.text, "t")); /* the server has noticed, and so have we */
    run_stage_query(w, READ("SELECT pg_advisory_unlock(4711)"));
    scale(w);
    op_stage_assert_error(w, ERR_LOCKED, "was lost");
    assert_int_equal(w->acts, 0);
    scale(w); /* told once */
    op_stage_assert_fine(w);
}

static void test_closing_gives_a_kept_session_back(void **state) {
    struct op_stage *w = *state;
    hold(w);
    run_pg_close(w->run, DB_SERVER);
    op_stage_deployment(w);
    struct script *s = script_new();
    op_stage_scale(w, s);
    op_stage_run(w, s);
    op_stage_assert_fine(w);
    hold(w); /* the server took the lock back with the session */
}

static void test_backends_of_the_run_but_ours(void **state) {
    struct op_stage *w = *state;
    char *sql = str_printf("SET application_name = 'ferryman/%s'; SELECT pg_sleep(30)", w->run->id), first[64];
    run_stage_expect(w, READ("SELECT 1"), "1");
    run_stage_query(w, READ("SELECT pg_backend_pid()"));
    str_copy(first, sizeof first, run_stage_last.text);
    pid_t child = pg_fixture_sql_background(run_stage_server, "postgres", sql);
    do run_stage_query(w, READ(run_pg_sql_count_backends(w->run)));
    while (!str_eq(run_stage_last.text, "1"));
    run_stage_query(w, WRITE("SELECT 1"));
    run_stage_expect(w, READ(run_pg_sql_end_backends(w->run)), "1");
    do run_stage_query(w, READ(run_pg_sql_count_backends(w->run)));
    while (!str_eq(run_stage_last.text, "0"));
    run_stage_expect(w, READ("SELECT pg_backend_pid()"), first);
    assert_int_equal(waitpid(child, NULL, 0), child);
    mem_free(sql);
}

/* ---- Statements as operations ---- */

static enum op_answer see_table(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    (void)r;
    (void)op;
    (void)reason;
    return pg_rows_bool(seen->rows, 0, 0, false) ? OP_DONE : OP_TODO;
}

static struct script *make_table(const char *sql) {
    struct script *s = script_new();
    script_sql(s, "table", "make table t", DB_SERVER, NULL, sql, "SELECT to_regclass('public.t') IS NOT NULL", see_table);
    return s;
}

static void test_statement(void **state) {
    struct op_stage *w = *state;
    op_stage_run(w, make_table("CREATE TABLE public.t (i int)"));
    op_stage_assert_fine(w);
    op_stage_run(w, make_table("CREATE TABLE public.t (i int)"));
    op_stage_assert_fine(w);
    op_stage_assert_in(op_stage_records(w), "act table\noutcome table done\n");
    op_stage_assert_in(op_stage_records(w), "outcome table already\n");
    pg_fixture_sql(run_stage_server, "postgres", "DROP TABLE public.t", false);
    op_stage_run(w, make_table("CREATE TABLE public.t (i no_such_type)"));
    op_stage_assert_error(w, ERR_FAILED, "SQLSTATE 42704");
    op_stage_assert_in(op_stage_records(w), "outcome table failed\n");
}

static void test_statement_whose_session_is_lost(void **state) {
    struct op_stage *w = *state;
    op_stage_begin(w, make_table("CREATE TABLE public.t AS SELECT 1 AS i FROM pg_sleep(2)"));
    while (!strstr(buf_str(&w->states), "administrator command")) { /* it is ended as soon as it runs */
        bool never = false;
        loop_run_until(w->loop, &never, 50);
        pg_fixture_sql(run_stage_server, "postgres", "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE query LIKE 'CREATE TABLE%' AND state = 'active'",
                       false);
    }
    op_stage_end(w);
    op_stage_assert_fine(w);
    op_stage_assert_in(op_stage_records(w), "act table\noutcome table lost-answer-done\n");
    op_stage_assert_in(buf_str(&w->states), "the answer was lost");
    pg_fixture_sql(run_stage_server, "postgres", "DROP TABLE public.t", false);
}

static void test_wait_for_a_server_that_comes(void **state) {
    struct op_stage *w = *state;
    struct script *s = script_new();
    pg_fixture_stop(run_stage_server);
    script_wait_query(s, "up", "the server answers", DB_SERVER, NULL, "SELECT true", see_table, 0);
    op_stage_begin(w, s);
    bool never = false;
    loop_run_until(w->loop, &never, 500);
    assert_false(w->done);
    op_stage_assert_in(buf_str(&w->states), "refused");
    pg_fixture_start(run_stage_server);
    op_stage_end(w);
    op_stage_assert_fine(w);
}

#define T(f) cmocka_unit_test_setup_teardown(f, run_stage_setup, run_stage_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        T(test_reads_and_writes), T(test_statement_timeouts), T(test_late_session_sends_nothing), T(test_unknown_pod),
        T(test_service_that_leads_elsewhere), T(test_another_data_directory), T(test_what_the_plan_pins_is_the_source), T(test_nothing_is_written_to_the_unknown),
        cmocka_unit_test(test_unix_socket_proves_nothing), T(test_replaced_pod_means_another_session),
        T(test_scratch_pod_is_reached_by_its_address), T(test_a_lost_session_is_opened_again), T(test_a_query_is_given_up),
        T(test_a_kept_session_that_is_lost_ends_the_runner),
        T(test_a_session_that_is_lost_between_two_steps), T(test_closing_gives_a_kept_session_back),
        T(test_backends_of_the_run_but_ours), T(test_statement),
        T(test_statement_whose_session_is_lost), T(test_wait_for_a_server_that_comes),
    };
    if (!pg_fixture_available()) return 77;
    return cmocka_run_group_tests(tests, run_stage_start, run_stage_stop);
}
