#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/secret.h"

static void test_bytes(void **state)
{
    (void)state;
    struct secret *s = secret_new("a\0b", 3);
    assert_int_equal(secret_len(s), 3);
    assert_memory_equal(secret_bytes(s), "a\0b", 4);
    struct secret *again = secret_ref(s);
    assert_ptr_equal(again, s);
    secret_free(s);
    assert_memory_equal(secret_bytes(again), "a\0b", 4);
    secret_free(again);
    secret_free(NULL);
    assert_null(secret_ref(NULL));
}

/* A length of whole pages still has room for its NUL. */
static void test_page_sizes(void **state)
{
    (void)state;
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    char *bytes = mem_alloc(2 * page);
    memset(bytes, 'k', 2 * page);
    for (size_t n = page - 1; n <= page + 1; n++) {
        struct secret *s = secret_new(bytes, n);
        assert_int_equal(strlen(secret_bytes(s)), n);
        secret_free(s);
    }
    struct secret *empty = secret_new(NULL, 0);
    assert_string_equal(secret_bytes(empty), "");
    secret_free(empty);
    mem_free(bytes);
}

static void test_eq(void **state)
{
    (void)state;
    struct secret *a = secret_new("token", 5), *b = secret_new("token", 5), *c = secret_new("tokeN", 5);
    struct secret *d = secret_new("toke", 4);
    assert_true(secret_eq(a, b));
    assert_false(secret_eq(a, c));
    assert_false(secret_eq(a, d));
    secret_free(a);
    secret_free(b);
    secret_free(c);
    secret_free(d);
}

static char path[] = "/tmp/ferryman-secret-XXXXXX";

static void write_file(const char *p, size_t n)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(p, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

static void test_from_file(void **state)
{
    (void)state;
    struct secret *s = NULL;
    write_file("hunter2\n", 8);
    assert_null(secret_from_file(path, &s));
    assert_string_equal(secret_bytes(s), "hunter2");
    secret_free(s);
    write_file("two\n\n", 5);
    assert_null(secret_from_file(path, &s));
    assert_string_equal(secret_bytes(s), "two\n");
    secret_free(s);
    write_file("", 0);
    assert_null(secret_from_file(path, &s));
    assert_int_equal(secret_len(s), 0);
    secret_free(s);
}

static void test_from_file_refuses(void **state)
{
    (void)state;
    struct secret *s = NULL;
    char *large = mem_alloc(64 * 1024 + 1);
    memset(large, 'x', 64 * 1024 + 1);
    write_file(large, 64 * 1024);
    assert_null(secret_from_file(path, &s));
    assert_int_equal(secret_len(s), 64 * 1024);
    secret_free(s);
    s = NULL;
    write_file(large, 64 * 1024 + 1);
    struct err *e = secret_from_file(path, &s);
    assert_int_equal(err_kind(e), ERR_DATA);
    assert_null(strstr(err_text(e), "xxx"));
    assert_null(s);
    err_free(e);
    mem_free(large);
    e = secret_from_file("/tmp", &s);
    assert_int_equal(err_kind(e), ERR_SYSTEM);
    err_free(e);
    e = secret_from_file("/nonexistent/token", &s);
    assert_non_null(strstr(err_text(e), "/nonexistent/token"));
    assert_null(s);
    err_free(e);
}

static void test_wipe(void **state)
{
    (void)state;
    char bytes[] = "abcdef";
    secret_wipe(bytes, 3);
    assert_memory_equal(bytes, "\0\0\0def", 7);
    secret_wipe(NULL, 0);
}

static void test_no_core(void **state)
{
    (void)state;
    struct rlimit limit;
    secret_no_core();
    assert_int_equal(getrlimit(RLIMIT_CORE, &limit), 0);
    assert_int_equal(limit.rlim_max, 0);
#ifndef __SANITIZE_ADDRESS__ /* there the leak check at exit has to look into the process; distcheck runs this without */
    assert_int_equal(prctl(PR_GET_DUMPABLE), 0);
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bytes),     cmocka_unit_test(test_page_sizes),        cmocka_unit_test(test_eq),
        cmocka_unit_test(test_from_file), cmocka_unit_test(test_from_file_refuses), cmocka_unit_test(test_wipe),
        cmocka_unit_test(test_no_core),
    };
    int fd = mkstemp(path);
    if (fd < 0)
        return 99;
    close(fd);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(path);
    return failed;
}
