#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/json_doc.h"
#include "base/mem.h"
#include "base/str.h"
#include "migrate/pg_tool.h"
#include "migrate/restore_errors.h"
#include "migrate/restore_job.h"

static struct restore_errors *said(const char *expected, const char *text, size_t step) {
    struct restore_errors *x = NULL;
    assert_null(restore_errors_new(expected, &x));
    for (size_t at = 0, n = strlen(text); at < n; at += step) restore_errors_add(x, text + at, n - at < step ? n - at : step);
    return x;
}

/* The text of the error that was kept; "" if none was. */
static void assert_kept(const char *expected, const char *text, const char *kept, int64_t line) {
    for (size_t step = 1; step < 200; step = step * 3 + 1) {
        struct restore_errors *x = said(expected, text, step);
        struct buf out = {0};
        if (restore_errors_failed(x)) restore_errors_text(x, &out);
        assert_string_equal(buf_str(&out), kept);
        assert_int_equal(restore_errors_line(x), line);
        buf_free(&out);
        restore_errors_free(x);
    }
}

static const char both[] = "[[\"42710\",\"immich\"],[\"42P04\",\"my db\"]]";
static const char role[] = "psql:<stdin>:18: ERROR:  42710: role \"immich\" already exists\nLOCATION:  CreateRole, user.c:308\n";
static const char database[] = "psql:<stdin>:98: ERROR:  42P04: database \"my db\" already exists\nLOCATION:  createdb, dbcommands.c:1241\n";

static void test_expected_errors_pass_once(void **state) {
    (void)state;
    char *all = str_printf("%s%s", role, database), *twice = str_printf("%s%s%s", role, database, role);
    assert_kept(both, all, "", 0);
    struct restore_errors *x = said(both, all, 7);
    assert_int_equal(restore_errors_expected(x), 2);
    assert_false(restore_errors_failed(x));
    restore_errors_free(x);
    assert_kept(both, twice, "42710 (role \"immich\" already exists)", 18);
    assert_kept(NULL, role, "42710 (role \"immich\" already exists)", 18);
    assert_kept("", database, "42P04 (database \"my db\" already exists)", 98);
    assert_kept("[[\"42710\",\"other\"]]", role, "42710 (role \"immich\" already exists)", 18);
    assert_kept("[[\"42P04\",\"immich\"]]", role, "42710 (role \"immich\" already exists)", 18);
    mem_free(all), mem_free(twice);
}

static void test_row_data_is_left_behind(void **state) {
    (void)state;
    assert_kept(NULL, "psql:<stdin>:160: ERROR:  23505: duplicate key value violates unique constraint \"asset_pkey\"\n"
                      "DETAIL:  Key (mail)=(a@b.c) already exists.\nCONTEXT:  COPY asset, line 17\nSCHEMA NAME:  public\nTABLE NAME:  asset\n"
                      "LOCATION:  _bt_check_unique, nbtinsert.c:664\n", "23505 (a row violates a constraint), row 17", 160);
    assert_kept(NULL, "psql:<stdin>:9: ERROR:  22P02: invalid input syntax for type integer: \"secret\"\nCONTEXT:  COPY t, line 3, column id: "
                      "\"secret\"\nLOCATION:  pg_strtoint32, numutils.c:232\n", "22P02 (a value was refused), row 3", 9);
    assert_kept(NULL, "psql:<stdin>:9: ERROR:  42601: syntax error at or near \"secret\"\nLINE 1: secret row\n        ^\nLOCATION:  scanner_yyerror\n",
                "42601 (a syntax error)", 9);
    assert_kept(NULL, "psql:<stdin>:9: ERROR:  P0001: a row with secret\nCONTEXT:  PL/pgSQL function f() line 3 at RAISE\nLOCATION:  x\n",
                "P0001 (a function failed)", 9);
    assert_kept(NULL, "psql:<stdin>:9: ERROR:  XX001: invalid page in block 3\nLOCATION:  x\n",
                "XX001 (an internal error of the server, or damaged data)", 9);
}

static void test_words_about_objects_are_kept(void **state) {
    (void)state;
    assert_kept(NULL, "psql:<stdin>:140: ERROR:  0A000: extension \"vchord\" is not available\nDETAIL:  Could not open extension control file.\n"
                      "LOCATION:  x\n", "0A000 (extension \"vchord\" is not available)", 140);
    assert_kept(NULL, "psql:<stdin>:7: FATAL:  57P01: terminating connection due to administrator command\nLOCATION:  x\n",
                "57P01 (terminating connection due to administrator command)", 7);
    assert_kept(NULL, "psql:<stdin>:5: error: invalid command \\restrict\n", "(invalid command \\restrict)", 5);
    assert_kept(NULL, "psql:<stdin>:33: error: \\connect: connection to server at \"127.0.0.1\", port 1 failed: refused\n",
                "(\\connect: connection to server at \"127.0.0.1\", port 1 failed: refused)", 33);
    assert_kept(NULL, "psql:<stdin>:33: error: secret\n", "(psql's own error)", 33);
    /* Terminals are not driven by servers. */
    assert_kept(NULL, "psql:<stdin>:7: ERROR:  42704: type \"\x1b[2J\" does not exist\nLOCATION:  x\n",
                "42704 (type \"\xef\xbf\xbd[2J\" does not exist)", 7);
}

static void test_notices_are_counted(void **state) {
    (void)state;
    struct restore_errors *x = said(NULL, "psql:<stdin>:3: NOTICE:  00000: extension \"x\" already exists, skipping\nLOCATION:  x\n"
                                          "psql:<stdin>:4: WARNING:  01000: ERROR:  42710: not one\nLOCATION:  x\n", 5);
    assert_int_equal(restore_errors_notices(x), 2);
    assert_false(restore_errors_failed(x));
    restore_errors_free(x);
}

static void test_whole_when_its_last_line_has_come(void **state) {
    (void)state;
    struct restore_errors *x = said(NULL, "psql:<stdin>:9: ERROR:  22P02: invalid\n", 1);
    assert_true(restore_errors_failed(x));
    assert_false(restore_errors_whole(x));
    restore_errors_add(x, "LOCATION:  x\n", 13);
    assert_true(restore_errors_whole(x));
    restore_errors_free(x);
}

static void test_malformed_list_is_refused(void **state) {
    (void)state;
    static const char *const bad[] = {"{", "{\"a\":1}", "[1]", "[[\"42710\"]]", "[[\"42710\",1]]"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct restore_errors *x = NULL;
        struct err *e = restore_errors_new(bad[i], &x);
        if (!e) print_error("accepted: %s\n", bad[i]);
        assert_non_null(e);
        assert_null(x);
        err_free(e);
    }
}

static void test_expected_of_a_fresh_cluster(void **state) {
    (void)state;
    static const char inventory[] = "{\"roles\":{\"immich\":{},\"pg_monitor\":{}},\"databases\":{\"postgres\":{},\"template1\":{},\"immich\":{}}}";
    struct json_t *d = NULL;
    struct buf out = {0};
    assert_null(jd_parse(inventory, sizeof inventory - 1, "inventory", &d));
    restore_expected(d, &out);
    assert_string_equal(buf_str(&out), "[[\"42710\",\"immich\"],[\"42P04\",\"immich\"]]");
    buf_free(&out);
    jd_free(d);
}

static void test_versions_of_programs(void **state) {
    (void)state;
    assert_int_equal(pg_tool_version(slice_of("pg_dumpall (PostgreSQL) 15.20 (Debian 15.20-0+deb12u1)\n")), 150020);
    assert_int_equal(pg_tool_version(slice_of("psql (PostgreSQL) 17rc1\n")), 170000);
    assert_int_equal(pg_tool_version(slice_of("psql (PostgreSQL) 9.6.24\n")), 90624);
    assert_int_equal(pg_tool_version(slice_of("psql (PostgreSQL) ")), 0);
    assert_int_equal(pg_tool_version(slice_of("psql 15")), 0);
    assert_int_equal(pg_tool_version(slice_of("")), 0);
    assert_true(pg_tool_restricts(150014));
    assert_false(pg_tool_restricts(150013));
    assert_true(pg_tool_restricts(180000));
    assert_false(pg_tool_restricts(120022));
}

static void test_reasons_of_programs(void **state) {
    (void)state;
    struct buf out = {0};
    pg_tool_reason(slice_of("pg_dump: warning: x\npg_dump: error: query failed: \x1b]0;x\x07\npg_dump: detail: Query was: SELECT secret\n"), &out);
    assert_string_equal(buf_str(&out), "pg_dump: error: query failed: \xef\xbf\xbd]0;x\xef\xbf\xbd");
    buf_clear(&out);
    pg_tool_reason(slice_of("rows and rows\n"), &out);
    assert_string_equal(buf_str(&out), "it gave no reason");
    buf_free(&out);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_expected_errors_pass_once),         cmocka_unit_test(test_row_data_is_left_behind),
        cmocka_unit_test(test_words_about_objects_are_kept),      cmocka_unit_test(test_notices_are_counted),
        cmocka_unit_test(test_whole_when_its_last_line_has_come), cmocka_unit_test(test_malformed_list_is_refused),
        cmocka_unit_test(test_expected_of_a_fresh_cluster),       cmocka_unit_test(test_versions_of_programs),
        cmocka_unit_test(test_reasons_of_programs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
