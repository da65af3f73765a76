#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"

static char folder[] = "/tmp/ferryman-log-XXXXXX";
static char path[64];

/* What the log holds. */
static struct buf content(void)
{
    struct buf b = {0};
    assert_null(file_read(path, 1 << 20, &b));
    return b;
}

static void test_without_a_file_nothing_happens(void **state)
{
    (void)state;
    log_error("nobody sees %s", "this");
    log_close();
}

static void test_lines(void **state)
{
    (void)state;
    assert_null(log_open(path, LOG_INFO));
    log_info("opened %d", 1);
    log_debug("too fine");
    log_error("bad");
    log_close();
    log_error("after closing");
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    struct buf b = content();
    struct slice rest = buf_slice(&b), line;
    assert_true(slice_cut(&rest, '\n', &line));
    assert_int_equal(line.n, strlen("2026-04-25T16:18:03.250Z info  opened 1"));
    assert_int_equal(line.p[10], 'T');
    assert_int_equal(line.p[19], '.');
    assert_true(slice_ends(line, "Z info  opened 1"));
    assert_true(slice_cut(&rest, '\n', &line));
    assert_true(slice_ends(line, "Z error bad"));
    assert_true(slice_cut(&rest, '\n', &line));
    assert_int_equal(line.n, 0);
    assert_false(slice_cut(&rest, '\n', &line));
    buf_free(&b);
}

static void test_appends_cleaned_and_redacted(void **state)
{
    (void)state;
    assert_null(log_open(path, LOG_DEBUG));
    log_warn("answer: \x1b[2J\nforged line, Authorization: Bearer abc.def");
    log_close();
    struct buf b = content();
    assert_non_null(strstr(b.p, "opened 1"));
    assert_non_null(strstr(b.p, "warn  answer: \xEF\xBF\xBD[2J forged line, Authorization: Bearer [redacted]\n"));
    assert_null(strstr(b.p, "abc.def"));
    buf_free(&b);
}

static void test_open_failure_keeps_the_old_log(void **state)
{
    (void)state;
    assert_null(log_open(path, LOG_ERROR));
    struct err *e = log_open("/nonexistent/x.log", LOG_ERROR);
    assert_non_null(strstr(err_text(e), "/nonexistent/x.log"));
    err_free(e);
    log_error("still here");
    assert_null(log_open(NULL, LOG_ERROR));
    log_error("gone");
    struct buf b = content();
    assert_non_null(strstr(b.p, "still here"));
    assert_null(strstr(b.p, "gone"));
    buf_free(&b);
}

static void test_redact(void **state)
{
    (void)state;
    static const struct {
        const char *text, *want;
    } cases[] = {
        {"", ""},
        {"GET /api/v1/pods 200", "GET /api/v1/pods 200"},
        {"password authentication failed for user \"app\"", "password authentication failed for user \"app\""},
        {"Authorization: Bearer xyz123, next", "Authorization: Bearer [redacted], next"},
        {"AUTHORIZATION: BEARER xyz123", "AUTHORIZATION: BEARER [redacted]"},
        {"authorization: Basic dXNlcjpwdw==", "authorization: Basic [redacted]"},
        {"X-Vault-Token: s.abc\r\nAccept: */*", "X-Vault-Token: [redacted]\r\nAccept: */*"},
        {"x-vault-token:s.abc", "x-vault-token:[redacted]"},
        {"host=db user=app password=hunter2 dbname=x", "host=db user=app password=[redacted] dbname=x"},
        {"password = 'it\\'s \\\\ secret' port=1", "password = [redacted] port=1"},
        {"password='unterminated secret", "password=[redacted]"},
        {"PGPASSWORD=pw psql", "PGPASSWORD=[redacted] psql"},
        {"{\"password\": \"a \\\" b\", \"user\": \"u\"}", "{\"password\": [redacted], \"user\": \"u\"}"},
        {"\"{\\\"client_token\\\":\\\"abc\\\",\\\"x\\\":1}\"", "\"{\\\"client_token\\\":[redacted],\\\"x\\\":1}\""},
        {"postgres://app:p@ss:w@db:5432/x?y", "postgres://app:[redacted]@db:5432/x?y"},
        {"https://10.0.0.1:6443/api", "https://10.0.0.1:6443/api"},
        {"https://user@host:1/", "https://user@host:1/"},
        {"token hvs.CAESIJ0123456789abcdef done", "token [redacted] done"},
        {"jwt=eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJrIn0.c2ln!", "jwt=[redacted]!"},
        {"file hvs.txt", "file hvs.txt"},
        {"password=", "password="},
        {"Bearer ", "Bearer "},
        {"password=a password=b", "password=[redacted] password=[redacted]"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf b = {0};
        log_redact(&b, cases[i].text);
        assert_string_equal(buf_str(&b), cases[i].want);
        buf_free(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_without_a_file_nothing_happens),
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_appends_cleaned_and_redacted),
        cmocka_unit_test(test_open_failure_keeps_the_old_log),
        cmocka_unit_test(test_redact),
    };
    if (!mkdtemp(folder))
        return 99;
    snprintf(path, sizeof path, "%s/x.log", folder);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(path);
    rmdir(folder);
    return failed;
}
