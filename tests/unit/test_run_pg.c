/* The database sessions of a run, against a real server: no statement reaches a server that is not proved to be the pod it should be. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/secret.h"
#include "base/str.h"
#include "client/pg_conn.h"
#include "loop/child.h"
#include "loop/loop.h"
#include "migrate/plan.h"
#include "tests/unit/op_stage.h"
#include "tests/unit/pg_fixture.h"

#define POD "/api/v1/namespaces/immich/pods/server-0"

static struct pg_fixture *server;
static char identifier[32];

/* ---- Asking ---- */

struct asked {
    struct run_asked *handle;
    bool answered;
    char text[512], error[1024];
    enum err_kind kind;
};

static struct asked last;

static void on_rows(void *arg, const struct pg_rows *rows, const struct err *e) {
    struct asked *a = arg;
    assert_false(a->answered);
    a->answered = true;
    if (e) a->kind = err_kind(e);
    if (e) snprintf(a->error, sizeof a->error, "%s", err_text(e));
    else if (pg_rows_count(rows) > 0) snprintf(a->text, sizeof a->text, "%.*s", SLICE_FMT(pg_rows_text(rows, 0, 0)));
}

static bool is_answered(struct op_stage *w) {
    (void)w;
    return last.answered;
}

static void ask_with(struct op_stage *w, struct run_query q) {
    last = (struct asked){.answered = false};
    last.handle = run_query(w->run, &q, on_rows, &last);
}

static void query(struct op_stage *w, struct run_query q) {
    ask_with(w, q);
    AWAIT(w, is_answered);
    run_query_free(last.handle);
}

static void expect(struct op_stage *w, struct run_query q, const char *text) {
    query(w, q);
    if (*last.error) fail_msg("%s", last.error);
    assert_string_equal(last.text, text);
}

static void expect_error(struct op_stage *w, struct run_query q, const char *part) {
    query(w, q);
    op_stage_assert_in(last.error, part);
}

static void note_pod(struct op_stage *w, const char *ip) {
    run_set(w->run, "pod.server.name", "server-0");
    run_set(w->run, "pod.server.uid", "uid-p");
    run_set(w->run, "pod.server.ip", ip);
}

static int setup(void **state) {
    struct op_stage *w = op_stage_new(server->conninfo, false);
    note_pod(w, "127.0.0.1");
    run_set(w->run, "pg.identifier.old", identifier);
    *state = w;
    return 0;
}

static int teardown(void **state) {
    op_stage_free(*state);
    return 0;
}

#define READ(q) ((struct run_query){.sql = q})
#define WRITE(q) ((struct run_query){.sql = q, .write = true})

/* ---- Sessions ---- */

static void test_reads_and_writes(void **state) {
    struct op_stage *w = *state;
    char *application = str_printf("ferryman/%s", w->run->id);
    expect(w, READ("SHOW application_name"), application);
    expect(w, READ("SHOW default_transaction_read_only"), "on");
    expect_error(w, READ("CREATE TABLE public.no (i int)"), "SQLSTATE 25006");
    expect(w, WRITE("SHOW default_transaction_read_only"), "off");
    expect(w, WRITE("CREATE TABLE public.yes (i int)"), "");
    expect(w, (struct run_query){.sql = "SELECT current_database()", .database = "template1"}, "template1");
    expect(w, WRITE("DROP TABLE public.yes"), "");
    mem_free(application);
}

static void test_statement_timeouts(void **state) {
    struct op_stage *w = *state;
    expect_error(w, (struct run_query){.sql = "SELECT pg_sleep(20)", .timeout_ms = 200}, "SQLSTATE 57014");
    expect(w, (struct run_query){.sql = "SHOW statement_timeout", .timeout_ms = 3600000}, "1h");
    expect(w, READ("SHOW statement_timeout"), "30s");
}

static void test_late_session_sends_nothing(void **state) {
    struct op_stage *w = *state;
    struct run_query q = WRITE("CREATE TABLE public.late (i int)");
    q.begin_by_ms = clock_mono_ms() - 1;
    expect_error(w, q, "was not sent");
    assert_int_equal(last.kind, ERR_UNAVAILABLE);
    expect(w, READ("SELECT to_regclass('public.late') IS NULL"), "t");
}

/* ---- Identity ---- */

static void test_unknown_pod(void **state) {
    struct op_stage *w = *state;
    run_set(w->run, "pod.server.uid", "");
    expect_error(w, READ("SELECT 1"), "the pod of the server is not known yet");
}

static void test_service_that_leads_elsewhere(void **state) {
    struct op_stage *w = *state;
    note_pod(w, "10.1.2.4");
    expect_error(w, WRITE("CREATE TABLE public.elsewhere (i int)"), "is 127.0.0.1, the pod server-0 is 10.1.2.4: the Service leads elsewhere");
    assert_int_equal(last.kind, ERR_FAILED);
    note_pod(w, "127.0.0.1"); /* and once it leads there again, the next query connects */
    expect(w, READ("SELECT to_regclass('public.elsewhere') IS NULL"), "t");
}

static void test_another_data_directory(void **state) {
    struct op_stage *w = *state;
    run_set(w->run, "pg.identifier.old", "7000000000000000001");
    expect_error(w, READ("SELECT 1"), "expected is 7000000000000000001: this is another data directory");
    expect_error(w, WRITE("SELECT 1"), "this is another data directory");
    expect(w, (struct run_query){.sql = "SELECT 1", .identity_any = true}, "1");
    run_set(w->run, "pg.identifier.new", identifier); /* the swap: what serves now is the new one */
    expect(w, WRITE("SELECT 1"), "1");
    run_set(w->run, "rolled_back.at", "1");
    expect_error(w, WRITE("SELECT 1"), "expected is 7000000000000000001");
}

static void test_what_the_plan_pins_is_the_source(void **state) {
    struct op_stage *w = *state;
    struct plan_postgres *spec = w->plan->workloads[0].spec;
    str_set(&spec->postgres.identifier, "7000000000000000001");
    expect_error(w, READ("SELECT 1"), "expected is 7000000000000000001");
    run_set(w->run, "pg.identifier.new", identifier);
    expect(w, READ("SELECT 1"), "1");
}

static void test_nothing_is_written_to_the_unknown(void **state) {
    struct op_stage *w = *state;
    run_set(w->run, "pg.identifier.old", "");
    expect(w, READ("SELECT 1"), "1"); /* inventory reads it first */
    expect_error(w, WRITE("SELECT 1"), "is not known yet, and nothing is written");
    expect(w, (struct run_query){.sql = "SELECT 1", .write = true, .identity_any = true}, "1");
}

static void test_unix_socket_proves_nothing(void **state) {
    struct op_stage *w = op_stage_new(NULL, false);
    struct plan_postgres *spec = w->plan->workloads[0].spec;
    char *conninfo = str_printf("host=%s port=%u user=postgres dbname=postgres", server->dir, server->port);
    (void)state;
    str_set(&spec->postgres.conninfo, conninfo);
    mem_free(conninfo);
    note_pod(w, "127.0.0.1");
    run_set(w->run, "pg.identifier.old", identifier);
    expect_error(w, READ("SELECT 1"), "unix socket");
    op_stage_free(w);
}

static void test_replaced_pod_means_another_session(void **state) {
    struct op_stage *w = *state;
    char first[64];
    expect(w, READ("SELECT 1"), "1");
    query(w, READ("SELECT pg_backend_pid()"));
    str_copy(first, sizeof first, last.text);
    query(w, READ("SELECT pg_backend_pid()"));
    assert_string_equal(last.text, first);
    run_set(w->run, "pod.server.uid", "uid-p2");
    query(w, READ("SELECT pg_backend_pid()"));
    assert_string_not_equal(last.text, first);
}

static void test_scratch_pod_is_reached_by_its_address(void **state) {
    struct op_stage *w = *state;
    struct plan_postgres *spec = w->plan->workloads[0].spec;
    struct run_query q = {.db = DB_SCRATCH, .sql = "SELECT 1", .write = true};
    str_set(&spec->postgres.conninfo, "host=not-this.invalid port=1 user=postgres dbname=postgres");
    spec->postgres.port = server->port;
    expect_error(w, q, "the pod of the scratch server is not known yet");
    run_set(w->run, "pod.scratch.name", "scratch");
    run_set(w->run, "pod.scratch.uid", "uid-s");
    run_set(w->run, "pod.scratch.ip", "127.0.0.1");
    run_set(w->run, "pg.identifier.scratch", identifier);
    expect(w, q, "1");
}

/* ---- Ends ---- */

static void end_backends(const char *application) {
    char *sql = str_printf("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = '%s' AND pid <> pg_backend_pid()", application);
    pg_fixture_sql(server, "postgres", sql, false);
    mem_free(sql);
}

static void end_ours(struct op_stage *w) {
    char *application = str_printf("ferryman/%s", w->run->id);
    end_backends(application);
    mem_free(application);
}

static void test_a_lost_session_is_opened_again(void **state) {
    struct op_stage *w = *state;
    expect(w, READ("SELECT 1"), "1");
    end_ours(w);
    query(w, READ("SELECT 2")); /* the loss may be met by this one */
    expect(w, READ("SELECT 3"), "3");
    ask_with(w, READ("SELECT pg_sleep(30)"));
    bool never = false;
    loop_run_until(w->loop, &never, 300);
    end_ours(w);
    AWAIT(w, is_answered);
    run_query_free(last.handle);
    assert_int_equal(last.kind, ERR_UNAVAILABLE);
    expect(w, READ("SELECT 4"), "4");
}

static void test_a_query_is_given_up(void **state) {
    struct op_stage *w = *state;
    expect(w, READ("SELECT 1"), "1");
    ask_with(w, READ("SELECT pg_sleep(30)"));
    bool never = false;
    loop_run_until(w->loop, &never, 100);
    run_query_free(last.handle);
    expect(w, READ("SELECT 2"), "2"); /* not behind it */
    ask_with(w, READ("SELECT 3"));
    run_query_free(last.handle); /* before it was sent */
    run_pg_close(w->run, DB_SERVER);
    expect(w, READ("SELECT 5"), "5");
    ask_with(w, READ("SELECT 6"));
    run_pg_close(w->run, DB_SERVER);
    AWAIT(w, is_answered);
    run_query_free(last.handle);
    op_stage_assert_in(last.error, "the session was closed");
}

/* ---- Kept sessions ---- */

static void hold(struct op_stage *w) {
    last = (struct asked){.answered = false};
    last.handle = run_pg_hold(w->run, &READ("SELECT pg_try_advisory_lock(4711)"), on_rows, &last);
    AWAIT(w, is_answered);
    run_query_free(last.handle);
    assert_string_equal(last.text, "t");
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
    expect(w, READ("SELECT pg_try_advisory_lock(4711)"), "f"); /* it is a session of its own */
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
    do query(w, READ("SELECT pg_try_advisory_lock(4711)"));
    while (!str_eq(last.text, "t")); /* the server has noticed, and so have we */
    query(w, READ("SELECT pg_advisory_unlock(4711)"));
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
    expect(w, READ("SELECT 1"), "1");
    query(w, READ("SELECT pg_backend_pid()"));
    str_copy(first, sizeof first, last.text);
    pid_t child = pg_fixture_sql_background(server, "postgres", sql);
    do query(w, READ(run_pg_sql_count_backends(w->run)));
    while (!str_eq(last.text, "1"));
    query(w, WRITE("SELECT 1"));
    expect(w, READ(run_pg_sql_end_backends(w->run)), "1");
    do query(w, READ(run_pg_sql_count_backends(w->run)));
    while (!str_eq(last.text, "0"));
    expect(w, READ("SELECT pg_backend_pid()"), first);
    assert_int_equal(waitpid(child, NULL, 0), child);
    mem_free(sql);
}

/* ---- Children ---- */

struct told {
    bool answered, exited;
    char *env;
    char error[512];
    struct child *child;
    char out[256];
    int status;
};

static struct told told;

static void on_env(void *arg, const char *const *env, const struct err *e) {
    struct buf text = {0};
    (void)arg;
    told.answered = true;
    for (size_t i = 0; env && env[i]; i++) buf_printf(&text, "%s\n", env[i]);
    told.env = buf_steal(&text);
    snprintf(told.error, sizeof told.error, "%s", e ? err_text(e) : "");
}

static bool env_is_told(struct op_stage *w) {
    (void)w;
    return told.answered;
}

static void on_exit_of_child(void *arg, const struct child_exit *x) {
    (void)arg;
    told.exited = true;
    told.status = x->status;
    snprintf(told.out, sizeof told.out, "%s", buf_str(&x->out));
    child_free(told.child);
}

static bool child_has_ended(struct op_stage *w) {
    (void)w;
    return told.exited;
}

static void on_env_spawn(void *arg, const char *const *env, const struct err *e) {
    struct op_stage *w = arg;
    char *psql = str_printf("%s/psql", server->bin);
    const char *const argv[] = {psql, "-X", "-A", "-t", "-c", "SELECT current_setting('application_name'), current_setting('work_mem')", NULL};
    assert_null(e);
    assert_null(child_spawn(w->loop, &(struct child_options){.argv = argv, .env = env, .on_exit = on_exit_of_child}, &told.child));
    mem_free(psql);
}

static void test_a_child_connects_as_we_do(void **state) {
    struct op_stage *w = *state;
    char *expected = str_printf("ferryman/%s|7MB\n", w->run->id);
    told = (struct told){.answered = false};
    run_pg_env(w->run, DB_SERVER, "-c work_mem=7MB", on_env_spawn, w);
    AWAIT(w, child_has_ended);
    assert_int_equal(told.status, 0);
    assert_string_equal(told.out, expected);
    mem_free(expected);
}

static void test_the_password_is_in_a_file_of_ours(void **state) {
    struct op_stage *w = *state;
    struct plan_postgres *spec = w->plan->workloads[0].spec;
    char *file = str_printf("%s/password", w->dir), *passfile = str_printf("%s/.pgpass-immich-postgres-server", w->dir);
    struct buf text = {0};
    struct stat st;
    assert_null(file_write_durable(file, "it:is\\secret\n", 13, 0600));
    str_set(&spec->postgres.password_file, file);
    told = (struct told){.answered = false};
    run_pg_env(w->run, DB_SERVER, NULL, on_env, w);
    AWAIT(w, env_is_told);
    assert_string_equal(told.error, "");
    op_stage_assert_in(told.env, passfile);
    op_stage_assert_in(told.env, "PGHOSTADDR=127.0.0.1\n");
    op_stage_assert_in(told.env, "PGUSER=postgres\n");
    op_stage_assert_in(told.env, "PGDATABASE=postgres\n");
    assert_null(strstr(told.env, "secret\n"));
    assert_int_equal(stat(passfile, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_null(file_read(passfile, 1000, &text));
    assert_string_equal(buf_str(&text), "*:*:*:*:it\\:is\\\\secret\n");
    run_pg_close(w->run, DB_SERVER);
    assert_false(file_exists(passfile));
    buf_free(&text);
    mem_free(told.env);
    mem_free(file);
    mem_free(passfile);
}

static void test_no_environment_for_a_server_that_is_another(void **state) {
    struct op_stage *w = *state;
    note_pod(w, "10.1.2.4");
    told = (struct told){.answered = false};
    run_pg_env(w->run, DB_SERVER, NULL, on_env, w);
    AWAIT(w, env_is_told);
    op_stage_assert_in(told.error, "leads elsewhere");
    mem_free(told.env);
    told = (struct told){.answered = false};
    run_pg_env(w->run, DB_SERVER, NULL, on_env, w);
    run_pg_env_cancel(w->run, w);
    bool never = false;
    loop_run_until(w->loop, &never, 200);
    assert_false(told.answered);
}

/* ---- Port-forward: a few lines play kubectl's part ---- */

static void forward(struct op_stage *w, char *path) {
    struct plan_postgres *spec = w->plan->workloads[0].spec;
    char *script = str_printf("#!/bin/sh\necho \"$@\" > '%s.args'\necho 'Forwarding from 127.0.0.1:%u -> 5432'\nexec sleep 60\n", path, server->port);
    char *dir = file_dirname(path), *search = str_printf("%s:%s", dir, getenv("PATH"));
    assert_null(file_write_durable(path, script, strlen(script), 0700));
    setenv("PATH", search, 1);
    str_set(&spec->postgres.via, "port-forward");
    str_set(&spec->postgres.conninfo, "host=not-this.invalid user=postgres dbname=postgres");
    run_set(w->run, "pod.server.ip", "");
    mem_free(script);
    mem_free(dir);
    mem_free(search);
}

static void test_port_forward_is_proved_by_uid(void **state) {
    struct op_stage *w = *state;
    char *path = str_printf("%s/kubectl", w->dir), *args_path = str_printf("%s.args", path), *before = mem_strdup(getenv("PATH"));
    struct buf args = {0};
    forward(w, path);
    op_stage_put(w, POD, "{\"metadata\":{\"name\":\"server-0\",\"uid\":\"uid-other\"}}");
    expect_error(w, READ("SELECT 1"), "the pod was replaced");
    op_stage_put(w, POD, "{\"metadata\":{\"name\":\"server-0\",\"uid\":\"uid-p\"}}");
    expect(w, READ("SELECT 1"), "1");
    expect(w, WRITE("SELECT 2"), "2");
    assert_null(file_read(args_path, 4096, &args));
    op_stage_assert_in(buf_str(&args), "--namespace immich port-forward --address=127.0.0.1 pod/server-0 :5432");
    run_pg_close(w->run, DB_SERVER);
    expect(w, READ("SELECT 3"), "3");
    setenv("PATH", before, 1);
    buf_free(&args);
    mem_free(before);
    mem_free(args_path);
    mem_free(path);
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
    pg_fixture_sql(server, "postgres", "DROP TABLE public.t", false);
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
        pg_fixture_sql(server, "postgres", "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE query LIKE 'CREATE TABLE%' AND state = 'active'",
                       false);
    }
    op_stage_end(w);
    op_stage_assert_fine(w);
    op_stage_assert_in(op_stage_records(w), "act table\noutcome table done\n");
    op_stage_assert_in(buf_str(&w->states), "the answer was lost");
    pg_fixture_sql(server, "postgres", "DROP TABLE public.t", false);
}

static void test_wait_for_a_server_that_comes(void **state) {
    struct op_stage *w = *state;
    struct script *s = script_new();
    pg_fixture_stop(server);
    script_wait_query(s, "up", "the server answers", DB_SERVER, NULL, "SELECT true", see_table, 0);
    op_stage_begin(w, s);
    bool never = false;
    loop_run_until(w->loop, &never, 500);
    assert_false(w->done);
    op_stage_assert_in(buf_str(&w->states), "refused");
    pg_fixture_start(server);
    op_stage_end(w);
    op_stage_assert_fine(w);
}

/* ---- Passwords ---- */

static void expect_password(const char *conninfo, const char *passfile, const char *expected) {
    struct secret *found = NULL;
    assert_null(pg_password_find("postgres", conninfo, passfile, NULL, NULL, &found));
    if (expected) assert_non_null(found);
    else assert_null(found);
    if (expected) assert_string_equal(secret_bytes(found), expected);
    secret_free(found);
}

static void test_password_file(void **state) {
    struct op_stage *w = *state;
    char *file = str_printf("%s/pass", w->dir);
    static const char text[] = "# comment\nother:5432:immich:immich:no\nh\\:ost:*:immich:immich:es\\:ca\\\\ped\ndb:30432:*:immich:right\n*:*:*:postgres:any\r\n";
    setenv("PGPASSFILE", "/nonexistent", 1);
    assert_null(file_write_durable(file, text, strlen(text), 0600));
    expect_password("host=db port=30432 dbname=immich user=immich", file, "right");
    expect_password("host=db port=30433 dbname=immich user=immich", file, NULL);
    expect_password("host=h:ost dbname=immich user=immich", file, "es:ca\\ped");
    expect_password("host=x user=postgres", file, "any");
    expect_password("host=/tmp user=postgres", file, "any");
    expect_password("host=x user=postgres password=own", file, "own");
    assert_int_equal(chmod(file, 0644), 0);
    expect_password("host=x user=postgres", file, NULL); /* others may read it: libpq passes it over too */
    setenv("PGPASSWORD", "environment", 1);
    expect_password("host=x user=postgres", NULL, "environment");
    unsetenv("PGPASSWORD");
    unsetenv("PGPASSFILE");
    mem_free(file);
}

static int start_server(void **state) {
    (void)state;
    server = pg_fixture_new();
    struct op_stage *w = op_stage_new(server->conninfo, false);
    note_pod(w, "127.0.0.1");
    query(w, READ("SELECT system_identifier::text FROM pg_control_system()"));
    str_copy(identifier, sizeof identifier, last.text);
    op_stage_free(w);
    return *identifier ? 0 : -1;
}

static int stop_server(void **state) {
    (void)state;
    pg_fixture_free(server);
    return 0;
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        T(test_reads_and_writes), T(test_statement_timeouts), T(test_late_session_sends_nothing), T(test_unknown_pod),
        T(test_service_that_leads_elsewhere), T(test_another_data_directory), T(test_what_the_plan_pins_is_the_source), T(test_nothing_is_written_to_the_unknown),
        cmocka_unit_test(test_unix_socket_proves_nothing), T(test_replaced_pod_means_another_session),
        T(test_scratch_pod_is_reached_by_its_address), T(test_a_lost_session_is_opened_again), T(test_a_query_is_given_up),
        T(test_a_kept_session_that_is_lost_ends_the_runner),
        T(test_a_session_that_is_lost_between_two_steps), T(test_closing_gives_a_kept_session_back),
        T(test_backends_of_the_run_but_ours), T(test_a_child_connects_as_we_do), T(test_the_password_is_in_a_file_of_ours),
        T(test_no_environment_for_a_server_that_is_another), T(test_port_forward_is_proved_by_uid), T(test_statement),
        T(test_statement_whose_session_is_lost), T(test_wait_for_a_server_that_comes), T(test_password_file),
    };
    if (!pg_fixture_available()) return 77;
    return cmocka_run_group_tests(tests, start_server, stop_server);
}
