/* What children are told of a server, and the ways and passwords that lead to it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/secret.h"
#include "base/str.h"
#include "client/pg_conn.h"
#include "loop/child.h"
#include "loop/loop.h"
#include "migrate/plan.h"
#include "tests/unit/run_stage.h"

#define POD "/api/v1/namespaces/immich/pods/server-0"

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
    snprintf(told.error, sizeof told.error, "%s", buf_str(&x->err));
    snprintf(told.out, sizeof told.out, "%s", buf_str(&x->out));
    child_free(told.child);
}

static bool child_has_ended(struct op_stage *w) {
    (void)w;
    return told.exited;
}

static void on_env_spawn(void *arg, const char *const *env, const struct err *e) {
    struct op_stage *w = arg;
    char *psql = str_printf("%s/psql", run_stage_server->bin);
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
    assert_string_equal(told.error, ""); /* no word of a password file that is not there */
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
    run_stage_pod(w, "10.1.2.4");
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
    char *script = str_printf("#!/bin/sh\necho \"$@\" > '%s.args'\necho 'Forwarding from 127.0.0.1:%u -> 5432'\nexec sleep 60\n", path, run_stage_server->port);
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
    run_stage_expect_error(w, READ("SELECT 1"), "the pod was replaced");
    op_stage_put(w, POD, "{\"metadata\":{\"name\":\"server-0\",\"uid\":\"uid-p\"}}");
    run_stage_expect(w, READ("SELECT 1"), "1");
    run_stage_expect(w, WRITE("SELECT 2"), "2");
    assert_null(file_read(args_path, 4096, &args));
    op_stage_assert_in(buf_str(&args), "--namespace immich port-forward --address=127.0.0.1 pod/server-0 :5432");
    run_pg_close(w->run, DB_SERVER);
    run_stage_expect(w, READ("SELECT 3"), "3");
    setenv("PATH", before, 1);
    buf_free(&args);
    mem_free(before);
    mem_free(args_path);
    mem_free(path);
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

#define T(f) cmocka_unit_test_setup_teardown(f, run_stage_setup, run_stage_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        T(test_a_child_connects_as_we_do), T(test_the_password_is_in_a_file_of_ours), T(test_no_environment_for_a_server_that_is_another),
        T(test_port_forward_is_proved_by_uid), T(test_password_file),
    };
    if (!pg_fixture_available()) return 77;
    return cmocka_run_group_tests(tests, run_stage_start, run_stage_stop);
}
