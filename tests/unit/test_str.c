#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"

static void test_slices_compare(void **state)
{
    (void)state;
    struct slice absent = slice_of(NULL), empty = slice_of("");
    assert_true(slice_eq(absent, absent));
    assert_false(slice_eq(absent, empty));
    assert_true(slice_is(empty, ""));
    assert_true(slice_is(absent, NULL));
    assert_true(slice_is(SLICE_LIT("abc"), "abc"));
    assert_false(slice_is(SLICE_LIT("abc"), "abd"));
    assert_false(slice_is(SLICE_LIT("ab"), "abc"));
    assert_true(slice_cmp(SLICE_LIT("ab"), SLICE_LIT("abc")) < 0);
    assert_true(slice_cmp(SLICE_LIT("b"), SLICE_LIT("abc")) > 0);
    assert_true(slice_cmp(SLICE_LIT("\xff"), SLICE_LIT("a")) > 0);
    assert_int_equal(slice_cmp(absent, empty), 0);
}

static void test_slices_search(void **state)
{
    (void)state;
    assert_true(slice_starts(SLICE_LIT("data-0"), "data-"));
    assert_false(slice_starts(SLICE_LIT("da"), "data-"));
    assert_true(slice_ends(SLICE_LIT("vault-0"), "-0"));
    assert_false(slice_ends((struct slice){0}, "-0"));
    assert_true(slice_contains(SLICE_LIT("a needle b"), "needle"));
    assert_true(slice_contains(SLICE_LIT("needle"), "needle"));
    assert_true(slice_contains(SLICE_LIT("x"), ""));
    assert_false(slice_contains(SLICE_LIT("needl"), "needle"));
    assert_true(slice_is(slice_trim(SLICE_LIT(" \t a b\r\n")), "a b"));
    assert_int_equal(slice_trim(SLICE_LIT(" \n ")).n, 0);
}

static void test_slice_dup(void **state)
{
    (void)state;
    assert_null(slice_dup((struct slice){0}));
    char *s = slice_dup((struct slice){"abcdef", 3});
    assert_string_equal(s, "abc");
    free(s);
}

static void test_slice_to_i64(void **state)
{
    (void)state;
    int64_t v = 77;
    assert_true(slice_to_i64(SLICE_LIT("9223372036854775807"), &v));
    assert_true(v == INT64_MAX);
    assert_true(slice_to_i64(SLICE_LIT("-9223372036854775808"), &v));
    assert_true(v == INT64_MIN);
    assert_true(slice_to_i64(SLICE_LIT("+12"), &v));
    assert_int_equal(v, 12);
    static const char *const bad[] = {
        "", "-", "+", " 1", "1 ", "0x1", "1.0", "9223372036854775808", "-9223372036854775809",
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_false(slice_to_i64(slice_of(bad[i]), &v));
        assert_int_equal(v, 12);
    }
    assert_false(slice_to_i64((struct slice){0}, &v));
}

static void test_slice_cut(void **state)
{
    (void)state;
    struct slice rest = SLICE_LIT("a,,b,"), field;
    static const char *const want[] = {"a", "", "b", ""};
    for (size_t i = 0; i < ARRAY_LEN(want); i++) {
        assert_true(slice_cut(&rest, ',', &field));
        assert_true(slice_is(field, want[i]));
    }
    assert_false(slice_cut(&rest, ',', &field));
    rest = slice_of("");
    assert_true(slice_cut(&rest, ',', &field));
    assert_true(slice_is(field, ""));
    assert_false(slice_cut(&rest, ',', &field));
}

static void test_strings(void **state)
{
    (void)state;
    assert_true(str_eq(NULL, NULL));
    assert_false(str_eq(NULL, ""));
    assert_true(str_eq("a", "a"));
    assert_true(str_ieq("Content-TYPE", "content-type"));
    assert_false(str_ieq("abc", "ab"));
    assert_false(str_ieq("ab", "abc"));
    assert_false(str_ieq("a", NULL));
    assert_true(str_starts("abc", "ab"));
    assert_false(str_starts(NULL, "ab"));
    assert_true(str_ends("abc", "bc"));
    char *s = str_printf("%d/%s", 4, "x");
    assert_string_equal(s, "4/x");
    str_set(&s, s + 2);
    assert_string_equal(s, "x");
    str_set(&s, NULL);
    assert_null(s);
}

static void test_copy_cuts(void **state)
{
    (void)state;
    char b[4];
    assert_true(str_copy(b, sizeof b, "abc"));
    assert_string_equal(b, "abc");
    assert_false(str_copy(b, sizeof b, "abcd"));
    assert_string_equal(b, "abc");
    assert_false(str_copy(b, 0, "x"));
    assert_string_equal(b, "abc");
}

static void test_distance(void **state)
{
    (void)state;
    char longest[66];
    memset(longest, 'a', 65);
    longest[65] = '\0';
    assert_int_equal(str_distance("", ""), 0);
    assert_int_equal(str_distance("", "abc"), 3);
    assert_int_equal(str_distance("abc", ""), 3);
    assert_int_equal(str_distance("kitten", "sitting"), 3);
    assert_int_equal(str_distance("plan", "paln"), 1);
    assert_int_equal(str_distance("ab", "ba"), 1);
    assert_int_equal(str_distance("claims", "claim"), 1);
    assert_true(str_distance(longest, "a") > 1000);
    assert_int_equal(str_distance(longest + 1, longest + 1), 0);
}

static void test_nearest(void **state)
{
    (void)state;
    static const char *const names[] = {"claims", "volumes", "vault", "postgres", NULL};
    assert_string_equal(str_nearest("volmues", names), "volumes");
    assert_string_equal(str_nearest("claim", names), "claims");
    assert_string_equal(str_nearest("postgers", names), "postgres");
    assert_null(str_nearest("journal", names));
    assert_null(str_nearest("", names));
}

static void test_quantity(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t want;
    } good[] = {
        {"0", 0}, {"10Gi", INT64_C(10737418240)}, {"1500m", 2}, {"1000m", 1}, {"1m", 1}, {"2e3", 2000}, {"2E3", 2000},
        {"1E", INT64_C(1000000000000000000)}, {"0.5Ti", INT64_C(549755813888)}, {".5Ki", 512}, {"5.", 5},
        {"12k", 12000},
        {"-1500m", -2}, {"+3", 3}, {"1e-3", 1}, {"1500e-3", 2}, {"0e999", 0}, {"1.5Gi", 1610612736},
        {"7Ei", INT64_C(7) << 60},
        {"9223372036854775807", INT64_MAX}, {"100n", 1}, {"5u", 1}, {"0.0000000000000000001", 1}, {"1e-400", 1},
        {"1.000000000000000000000", 1}, {"1.0000000000000000000001", 2}, {"1Mi", 1048576},
    };
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        int64_t v = -1;
        if (!str_quantity(slice_of(good[i].text), &v) || v != good[i].want)
            fail_msg("%s gave %lld", good[i].text, (long long)v);
    }
    static const char *const bad[] = {
        "",    ".",   "Gi",   "10GiB", "10 Gi", "1.2.3", "e3", "1e", "1e3Gi", "--1", "9223372036854775808",
        "8Ei", "10E", "1e19", "1K",    "ten",   "1e99999999999999999999", "99999999999999999999999999999999999999999",
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        int64_t v = 5;
        if (str_quantity(slice_of(bad[i]), &v) || v != 5)
            fail_msg("\"%s\" was taken for %lld", bad[i], (long long)v);
    }
    int64_t v;
    assert_false(str_quantity((struct slice){0}, &v));
}

static void test_duration(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t want;
    } good[] = {
        {"24h", INT64_C(86400000000000)}, {"7d", INT64_C(604800000000000)}, {"1h30m", INT64_C(5400000000000)},
        {"516.49595ms", 516495950}, {"10s", INT64_C(10000000000)}, {"2.5s", INT64_C(2500000000)}, {"0", 0}, {"0s", 0},
        {"-1m", INT64_C(-60000000000)}, {"1m1ms", INT64_C(60001000000)}, {"3ns", 3}, {"2us", 2000},
        {"2\xC2\xB5s", 2000},
        {"2\xCE\xBCs", 2000}, {".5s", 500000000}, {"1d12h", INT64_C(129600000000000)},
    };
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        int64_t v = -1;
        if (!str_duration_ns(slice_of(good[i].text), &v) || v != good[i].want)
            fail_msg("%s gave %lld", good[i].text, (long long)v);
    }
    static const char *const bad[] = {
        "", "5", "s", "5x", "5 s", "5s ", "1h30", "-", ".s", "1h-5m", "300000d", "200000d200000d",
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        int64_t v = 5;
        if (str_duration_ns(slice_of(bad[i]), &v) || v != 5)
            fail_msg("\"%s\" was taken for %lld", bad[i], (long long)v);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_slices_compare), cmocka_unit_test(test_slices_search),
        cmocka_unit_test(test_slice_dup),      cmocka_unit_test(test_slice_to_i64),
        cmocka_unit_test(test_slice_cut),      cmocka_unit_test(test_strings),
        cmocka_unit_test(test_copy_cuts),      cmocka_unit_test(test_distance),
        cmocka_unit_test(test_nearest),        cmocka_unit_test(test_quantity),
        cmocka_unit_test(test_duration),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
