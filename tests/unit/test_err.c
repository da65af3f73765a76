#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "base/err.h"

static void test_new_has_text_and_kind(void **state)
{
    (void)state;
    struct err *e = err_new(ERR_DENIED, "cannot list %s in %s", "claims", "data");
    assert_string_equal(err_text(e), "cannot list claims in data");
    assert_int_equal(err_kind(e), ERR_DENIED);
    err_free(e);
}

static void test_sys_ends_with_reason(void **state)
{
    (void)state;
    struct err *e = err_sys(ENOENT, "cannot open %s", "/x");
    assert_string_equal(err_text(e), "cannot open /x: No such file or directory");
    assert_int_equal(err_kind(e), ERR_SYSTEM);
    err_free(e);
}

static void test_wrap_builds_chain_and_keeps_kind(void **state)
{
    (void)state;
    struct err *e = err_new(ERR_AUTH, "401 Unauthorized");
    e = err_wrap(e, "GET %s", "/api");
    e = err_wrap(e, "cluster home");
    assert_string_equal(err_text(e), "cluster home: GET /api: 401 Unauthorized");
    assert_int_equal(err_kind(e), ERR_AUTH);
    err_free(e);
    assert_null(err_wrap(NULL, "nothing happened"));
}

static void test_text_is_cleaned(void **state)
{
    (void)state;
    struct err *e = err_new(ERR_FAILED, "server said \"%s\"", "a\x1b[31m\nb\xff");
    e = err_wrap(e, "at\x07 %s", "x\ty");
    assert_string_equal(err_text(e), "at\xEF\xBF\xBD x y: server said \"a\xEF\xBF\xBD[31m b\xEF\xBF\xBD\"");
    err_free(e);
}

static void test_copy_is_independent(void **state)
{
    (void)state;
    struct err *e = err_new(ERR_LOCKED, "held by %s", "anna");
    struct err *copy = err_copy(e);
    e = err_wrap(e, "context");
    err_free(e);
    assert_string_equal(err_text(copy), "held by anna");
    assert_int_equal(err_kind(copy), ERR_LOCKED);
    err_free(copy);
    assert_null(err_copy(NULL));
}

static void test_kinds(void **state)
{
    (void)state;
    static const struct {
        enum err_kind kind;
        int status;
    } cases[] = {
        {ERR_FAILED, 2},       {ERR_UNKNOWN, 2}, {ERR_USAGE, 64}, {ERR_DATA, 65},     {ERR_UNAVAILABLE, 69},
        {ERR_LOCKED, 75},      {ERR_DENIED, 77}, {ERR_AUTH, 77},  {ERR_PROTOCOL, 69}, {ERR_CANCELLED, 2},
        {ERR_SYSTEM, 2},
    };
    struct err *e = err_new(ERR_FAILED, "x");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        err_set_kind(e, cases[i].kind);
        assert_int_equal(err_exit_status(e), cases[i].status);
    }
    err_ignore(e, "the test is over");
    assert_int_equal(err_exit_status(NULL), 0);
    err_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_new_has_text_and_kind), cmocka_unit_test(test_sys_ends_with_reason),
        cmocka_unit_test(test_wrap_builds_chain_and_keeps_kind), cmocka_unit_test(test_text_is_cleaned),
        cmocka_unit_test(test_copy_is_independent), cmocka_unit_test(test_kinds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
