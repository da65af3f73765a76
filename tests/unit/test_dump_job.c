/* Dump, proof and restore as the runner calls them, against real servers: facts, sessions and the runner are stood in for here. */
#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "loop/loop.h"
#include "migrate/dump_file.h"
#include "migrate/dump_job.h"
#include "migrate/restore_job.h"
#include "pg_fixture.h"
#include "job_stage.h"

enum { LIMIT_MS = 60000, ROWS = 20000 };

/* ---- The stage ---- */

static struct plan_postgres plan;
static char workload_name[] = "immich-postgres";
static struct plan_workload workload = {.name = workload_name, .spec = &plan};
static struct run run = {.workload = &workload, .id = "r1"};
static char dir[] = "/tmp/ferryman-test-dump-XXXXXX", path_before[4096];
static struct pg_fixture *source, *target;

static int setup_all(void **state) {
    (void)state;
    if (!pg_fixture_available()) return 0;
    if (!mkdtemp(dir)) abort();
    str_copy(path_before, sizeof path_before, getenv("PATH"));
    source = pg_fixture_new();
    pg_fixture_sql(source, "postgres", "CREATE ROLE app LOGIN PASSWORD 'secret'", false);
    pg_fixture_sql(source, "postgres", "CREATE DATABASE immich OWNER app", false);
    pg_fixture_sql(source, "postgres", "CREATE DATABASE \"My db\"", false);
    pg_fixture_sql(source, "immich",
                   "CREATE TABLE asset (id int PRIMARY KEY, note text); INSERT INTO asset SELECT g, 'row data ' || repeat(md5(g::text), 20) FROM "
                   "generate_series(1, 20000) g; CREATE TABLE empty (x int); CREATE SCHEMA \"Odd\"; CREATE TABLE \"Odd\".\"Ta\"\"ble\" (\"from "
                   "stdin;\" text); INSERT INTO \"Odd\".\"Ta\"\"ble\" VALUES ('\\.'), (E'a\\nb'), (NULL); CREATE FUNCTION f() RETURNS void "
                   "LANGUAGE plpgsql AS $$ BEGIN PERFORM 'COPY asset FROM stdin;\n1\n\\.\n'; END $$", false);
    pg_fixture_sql(source, "My db", "CREATE TABLE t (x int); INSERT INTO t VALUES (1), (2)", false);
    return 0;
}

static int teardown_all(void **state) {
    (void)state;
    if (!source) return 0;
    pg_fixture_free(source);
    if (target) pg_fixture_free(target);
    char *command = str_printf("rm -rf %s", dir);
    if (system(command)) abort();
    mem_free(command);
    return 0;
}

static int setup(void **state) {
    (void)state;
    if (!source) return 0;
    job_stage_begin(&run, source);
    char *passphrase = str_printf("%s/passphrase", dir);
    assert_null(file_write_durable(passphrase, "correct horse\n", 14, 0600));
    /* Deriving keys takes a second each time: where it is not what is tested, nothing is enciphered. */
    plan = (struct plan_postgres){.dump = {.directory = str_printf("%s/dumps", dir),
                                           .encrypt = {.none = true, .reason = mem_strdup("a test"), .passphrase_file = passphrase}}};
    run.dir = dir;
    return 0;
}

static int teardown(void **state) {
    (void)state;
    if (!source) return 0;
    job_stage_end();
    mem_free(plan.dump.directory);
    mem_free(plan.dump.encrypt.passphrase_file);
    mem_free(plan.dump.encrypt.reason);
    setenv("PATH", path_before, 1);
    return 0;
}

static void carry_out(struct op *op) {
    job_stage_carry_out(&run, op);
}

static void carry_out_well(struct op *op) {
    carry_out(op);
    if (stage.e) print_error("%s\n", err_text(stage.e));
    assert_null(stage.e);
}

static void assert_fails(const char *part) {
    assert_non_null(stage.e);
    if (!strstr(err_text(stage.e), part)) print_error("%s\n", err_text(stage.e));
    assert_non_null(strstr(err_text(stage.e), part));
}

static const char *fact(const char *name) {
    return job_stage_fact(&run, name);
}

static int files_with(const char *end) {
    int n = 0;
    DIR *d = opendir(plan.dump.directory);
    for (struct dirent *x; d && (x = readdir(d));) n += str_ends(x->d_name, end);
    if (d) closedir(d);
    return n;
}

static char *shell(const char *fmt, ...) PRINTF_LIKE(1, 2);

static char *shell(const char *fmt, ...) {
    va_list ap;
    struct buf out = {0};
    char chunk[4096];
    va_start(ap, fmt);
    char *command = str_vprintf(fmt, ap);
    va_end(ap);
    FILE *f = popen(command, "r");
    for (size_t n; (n = fread(chunk, 1, sizeof chunk, f)) > 0;) buf_add(&out, chunk, n);
    assert_int_equal(pclose(f), 0);
    mem_free(command);
    return buf_steal(&out);
}

static void assert_count(struct pg_fixture *f, const char *database, const char *table, int64_t expected) {
    char *text = shell("psql -X -At -h 127.0.0.1 -p %u -U postgres -d '%s' -c 'SELECT count(*) FROM %s'", f->port, database, table);
    assert_int_equal(atoll(text), expected);
    mem_free(text);
}

static void dump_well(void) {
    carry_out_well(script_dump(NULL, "dump", "dump", DB_SERVER, NULL));
    carry_out_well(script_dump_proof(NULL, "proof", "proof", NULL));
}

/* ---- Tests ---- */

#define NEED_SERVER if (!source) skip()

static void test_dump_is_proved_and_restored(void **state) {
    (void)state;
    NEED_SERVER;
    plan.dump.encrypt.none = false;
    dump_well();
    assert_string_equal(fact("dump.rows"), "{\"template1\":{},\"My db\":{\"public.t\":2},\"immich\":{\"Odd.Ta\\\"ble\":3,\"public.asset\":20000,"
                                           "\"public.empty\":0},\"postgres\":{}}");
    assert_true(atoll(fact("dump.proved_at")) > 0);
    assert_true(atoll(fact("dump.bytes")) > ROWS * 600);
    struct stat st;
    assert_int_equal(stat(fact("dump.file"), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(st.st_size, atoll(fact("dump.bytes")) + 16);
    assert_int_equal(files_with(".part"), 0);
    /* It opens without us. */
    char *sum = shell("openssl enc -d -aes-256-ctr -pbkdf2 -iter 600000 -pass file:%s -in %s | sha256sum | cut -c1-64 | tr -d '\\n'",
                      plan.dump.encrypt.passphrase_file, fact("dump.file"));
    assert_string_equal(sum, fact("dump.sha256"));
    mem_free(sum);
    target = pg_fixture_new();
    pg_fixture_sql(target, "postgres", "CREATE DATABASE immich", false);
    pg_fixture_sql(target, "postgres", "ALTER SYSTEM SET default_transaction_read_only = on", false);
    pg_fixture_sql(target, "postgres", "SELECT pg_reload_conf()", false);
    stage.server = target;
    carry_out_well(script_restore(NULL, "restore", "restore", DB_SERVER, "[[\"42710\",\"postgres\"],[\"42P04\",\"immich\"]]"));
    assert_non_null(strstr(stage.detail, "2 errors, all expected"));
    assert_count(target, "immich", "asset", ROWS);
    assert_count(target, "immich", "\"Odd\".\"Ta\"\"ble\"", 3);
    assert_count(target, "My db", "t", 2);
    assert_true(fact("restore.seconds")[0] != '\0');
}

/* The target of the test before is full: what is there already is not expected. */
static void test_restore_stops_at_the_first_error(void **state) {
    (void)state;
    NEED_SERVER;
    dump_well();
    stage.server = target;
    carry_out(script_restore(NULL, "restore", "restore", DB_SERVER, "[[\"42710\",\"postgres\"]]"));
    assert_fails("42710 (role \"app\" already exists)");
    run_set(&run, "expected", "[[\"42710\",\"postgres\"],[\"42710\",\"app\"],[\"42P04\",\"My db\"],[\"42P04\",\"immich\"]]");
    pg_fixture_sql(target, "My db", "SET transaction_read_only = off; DROP TABLE t", false);
    pg_fixture_sql(target, "immich", "SET transaction_read_only = off; DROP SCHEMA \"Odd\" CASCADE; DROP FUNCTION f; DROP TABLE empty; "
                                     "ALTER TABLE asset SET UNLOGGED", false);
    carry_out(script_restore(NULL, "restore", "restore", DB_SERVER, "@expected"));
    assert_fails("42P07 (relation \"asset\" already exists)");
    assert_fails("TABLE public.asset");
}

static void test_no_row_data_in_errors(void **state) {
    (void)state;
    NEED_SERVER;
    pg_fixture_sql(source, "postgres", "CREATE DATABASE broken", false);
    pg_fixture_sql(source, "broken", "CREATE TABLE secrets (id int, note text); INSERT INTO secrets VALUES (1, 'top secret'), (1, 'top secret')",
                   false);
    dump_well();
    /* A constraint that the rows do not meet, as if somebody had edited the file; its hashes are made good again. */
    char *file = mem_strdup(fact("dump.file")), *out = shell(
        "sed -i 's/^    id integer,$/    id integer unique,/' %s && sha256sum %s | cut -c1-64 | tr -d '\\n'", file, file);
    struct dump_manifest m;
    assert_null(dump_manifest_read(file, &m));
    str_copy(m.sha256, sizeof m.sha256, out);
    assert_null(dump_manifest_write(&m, file));
    dump_manifest_clear(&m);
    struct pg_fixture *fresh = stage.server = pg_fixture_new();
    carry_out(script_restore(NULL, "restore", "restore", DB_SERVER, "[[\"42710\",\"postgres\"]]"));
    assert_fails("23505 (a row violates a constraint), row 2");
    assert_fails("COPY public.secrets in broken");
    assert_null(strstr(err_text(stage.e), "top secret"));
    assert_null(strstr(err_text(stage.e), "(1)"));
    pg_fixture_free(fresh);
    pg_fixture_sql(source, "postgres", "DROP DATABASE broken", false);
    mem_free(file);
    mem_free(out);
}

static void test_rehearsal_keeps_its_own_facts(void **state) {
    (void)state;
    NEED_SERVER;
    carry_out(script_dump_proof(NULL, "proof", "proof", NULL));
    assert_fails("there is no dump that could be proved");
    run_set(&run, "dump.file", "/the/real/one");
    carry_out_well(script_dump(NULL, "dump", "dump", DB_SERVER, "rehearsal"));
    carry_out_well(script_dump_proof(NULL, "proof", "proof", "rehearsal"));
    assert_string_equal(fact("dump.file"), "/the/real/one");
    assert_non_null(strstr(fact("rehearse.dump.file"), "/rehearsal-"));
    assert_true(fact("rehearse.dump.proved_at")[0] != '\0');
    carry_out(script_restore(NULL, "restore", "restore", DB_SERVER, NULL));
    assert_fails("the dump /the/real/one was not proved");
}

static void test_changed_file_is_not_proved_nor_restored(void **state) {
    (void)state;
    NEED_SERVER;
    plan.dump.encrypt.none = false;
    dump_well();
    int fd = open(fact("dump.file"), O_RDWR);
    char c;
    assert_int_equal(pread(fd, &c, 1, 5000), 1);
    c = (char)(c ^ 1);
    assert_int_equal(pwrite(fd, &c, 1, 5000), 1);
    close(fd);
    carry_out(script_restore(NULL, "restore", "restore", DB_SERVER, NULL));
    assert_fails("its HMAC is not the one in");
    carry_out(script_dump_proof(NULL, "proof", "proof", NULL));
    assert_fails("is not proved: hmac");
    assert_string_equal(fact("dump.proved_at"), "");
}

/* A program of that name that is first in PATH. */
static void fake(const char *name, const char *script) {
    char *file = str_printf("%s/bin/%s", dir, name), *folder = str_printf("%s/bin", dir), *path = str_printf("%s/bin:%s", dir, path_before),
         *text = str_printf("#!/bin/sh\nif [ \"$1\" = --version ]; then echo '%s (PostgreSQL) 15.99'; exit; fi\n%s\n", name, script);
    mkdir(folder, 0700);
    assert_null(file_write_durable(file, text, strlen(text), 0700));
    setenv("PATH", path, 1);
    mem_free(file), mem_free(folder), mem_free(path), mem_free(text);
}

static void unfake(const char *name) {
    char *file = str_printf("%s/bin/%s", dir, name);
    unlink(file);
    mem_free(file);
}

static void test_programs_that_fail(void **state) {
    (void)state;
    NEED_SERVER;
    struct op *op;
    fake("pg_dumpall", "echo 'CREATE ROLE x;'; echo 'pg_dump: error: query failed: server closed the connection unexpectedly' >&2; "
                       "echo 'pg_dump: detail: Query was: SELECT secret' >&2; exit 1");
    carry_out(script_dump(NULL, "dump", "dump", DB_SERVER, NULL));
    assert_fails("ended with status 1: pg_dump: error: query failed: server closed the connection unexpectedly");
    assert_null(strstr(err_text(stage.e), "secret"));
    fake("pg_dumpall", "echo 'CREATE ROLE x;'; exit 0");
    carry_out(script_dump(NULL, "dump", "dump", DB_SERVER, NULL));
    assert_fails("its dump is not whole");
    fake("pg_dumpall", "echo 'CREATE ROLE x;'; kill -9 $$");
    carry_out(script_dump(NULL, "dump", "dump", DB_SERVER, NULL));
    assert_fails("was ended by signal 9");
    unfake("pg_dumpall");
    assert_int_equal(files_with(".part"), 0);
    assert_string_equal(fact("dump.file"), "");
    dump_well();
    fake("psql", "head -c 1000 >/dev/null; exit 2");
    op = script_restore(NULL, "restore", "restore", DB_SERVER, NULL);
    carry_out(op);
    assert_fails("psql ended with status 2 before the dump was restored");
    unfake("psql");
    stage.environment_fails = true;
    carry_out(script_dump(NULL, "dump", "dump", DB_SERVER, NULL));
    assert_fails("no way there");
    stage.environment_fails = false;
    assert_int_equal(files_with(".part"), 0);
}

static struct op *under_way;

static void kill_server(void) {
    stage.on_progress = NULL;
    kill(source->pid, SIGINT);
}

static void test_server_gone_while_dumping(void **state) {
    (void)state;
    NEED_SERVER;
    /* The dump waits for a lock until the server goes. */
    pid_t holder = pg_fixture_sql_background(source, "immich", "BEGIN; LOCK TABLE asset; SELECT pg_sleep(100)");
    stage.next_progress = kill_server;
    carry_out(script_dump(NULL, "dump", "dump", DB_SERVER, NULL));
    assert_fails("pg_dumpall ended with status 1: ");
    assert_int_equal(files_with(".part"), 0);
    kill(holder, SIGTERM);
    waitpid(holder, NULL, 0);
    pg_fixture_stop(source);
    pg_fixture_start(source);
}

static struct pg_fixture *fresh;

/* As soon as the restore waits for the transaction that makes the role it is about to make. */
static void kill_fresh_server(void) {
    char *waiting = shell("psql -X -At -h 127.0.0.1 -p %u -U postgres -d postgres -c \"SELECT count(*) FROM pg_stat_activity WHERE application_name = "
                          "'ferryman/test' AND wait_event_type = 'Lock'\"", fresh->port);
    if (atoi(waiting) > 0) {
        stage.on_progress = NULL;
        kill(fresh->pid, SIGINT);
    }
    mem_free(waiting);
}

static void test_server_gone_while_restoring(void **state) {
    (void)state;
    NEED_SERVER;
    dump_well();
    fresh = stage.server = pg_fixture_new();
    pid_t holder = pg_fixture_sql_background(fresh, "postgres", "BEGIN; CREATE ROLE app; SELECT pg_sleep(100)");
    char *there = NULL;
    int64_t end = clock_mono_ms() + LIMIT_MS;
    do {
        assert_true(clock_mono_ms() < end);
        mem_free(there);
        there = shell("psql -X -At -h 127.0.0.1 -p %u -U postgres -d postgres -c \"SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'\"",
                      fresh->port);
    } while (atoi(there) == 0);
    mem_free(there);
    stage.next_progress = kill_fresh_server;
    carry_out(script_restore(NULL, "restore", "restore", DB_SERVER, "[[\"42710\",\"postgres\"]]"));
    assert_fails("the restore stopped at line ");
    assert_fails("57P01 (terminating connection due to administrator command)");
    assert_fails("is to be discarded");
    waitpid(holder, NULL, 0);
    pg_fixture_free(fresh);
}

static void give_up(void) {
    stage.on_progress = NULL;
    under_way->job->cancel(&run, under_way);
    job_stage_drop(under_way);
    under_way = NULL;
    loop_stop(stage.loop);
}

static void cancel_at_first_progress(struct op *op) {
    stage.next_progress = give_up;
    job_stage_forget();
    under_way = op;
    op->job->start(&run, op);
    loop_run(stage.loop);
    assert_null(under_way);
}

/* Whether something has happened that takes a thread to end; the loop's own end waits for it. */
static void test_given_up_leaves_nothing(void **state) {
    (void)state;
    NEED_SERVER;
    pid_t holder = pg_fixture_sql_background(source, "immich", "BEGIN; LOCK TABLE asset; SELECT pg_sleep(100)");
    int files = files_with(".sql");
    cancel_at_first_progress(script_dump(NULL, "dump", "dump", DB_SERVER, NULL));
    loop_free(stage.loop);
    run.loop = stage.loop = loop_new();
    assert_int_equal(files_with(".part"), 0);
    assert_int_equal(files_with(".sql"), files);
    assert_false(stage.done);
    pg_fixture_sql(source, "postgres", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'BEGIN; LOCK%'", false);
    waitpid(holder, NULL, 0);
    /* Before its first answer, too. */
    struct op *op = script_dump(NULL, "dump", "dump", DB_SERVER, NULL);
    op->job->start(&run, op);
    op->job->cancel(&run, op);
    op->job->start(&run, op);
    op->job->pause(&run, op, true);
    op->job->pause(&run, op, false);
    assert_true(loop_run_until(stage.loop, &stage.done, LIMIT_MS));
    assert_null(stage.e);
    job_stage_drop(op);
}

static void test_disk_that_fills(void **state) {
    (void)state;
    NEED_SERVER;
    char *small = str_printf("%s/small", dir);
    mkdir(small, 0700);
    if (geteuid() != 0 || mount("tmpfs", small, "tmpfs", 0, "size=8m")) {
        mem_free(small);
        skip();
    }
    mem_free(plan.dump.directory);
    plan.dump.directory = mem_strdup(small);
    carry_out(script_dump(NULL, "dump", "dump", DB_SERVER, NULL)); /* 13 MB */
    assert_fails("the disk is full");
    assert_fails(small);
    assert_fails("make room there, or let dump.directory of the plan lead to another disk");
    assert_int_equal(files_with(".part"), 0);
    char *filled = shell("head -c 7800000 /dev/zero > %s/zeros; echo -n ok", small);
    carry_out(script_dump(NULL, "dump", "dump", DB_SERVER, NULL));
    assert_fails("must stay so");
    mem_free(filled);
    assert_int_equal(umount(small), 0);
    mem_free(small);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_dump_is_proved_and_restored, setup, teardown),
        cmocka_unit_test_setup_teardown(test_restore_stops_at_the_first_error, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_row_data_in_errors, setup, teardown),
        cmocka_unit_test_setup_teardown(test_rehearsal_keeps_its_own_facts, setup, teardown),
        cmocka_unit_test_setup_teardown(test_changed_file_is_not_proved_nor_restored, setup, teardown),
        cmocka_unit_test_setup_teardown(test_programs_that_fail, setup, teardown),
        cmocka_unit_test_setup_teardown(test_server_gone_while_dumping, setup, teardown),
        cmocka_unit_test_setup_teardown(test_server_gone_while_restoring, setup, teardown),
        cmocka_unit_test_setup_teardown(test_given_up_leaves_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_disk_that_fills, setup, teardown),
    };
    return cmocka_run_group_tests(tests, setup_all, teardown_all);
}
