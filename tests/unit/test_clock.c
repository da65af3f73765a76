#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/mem.h"

static void test_clocks_move_forward(void **state)
{
    (void)state;
    int64_t ns = clock_mono_ns(), ms = clock_mono_ms();
    assert_true(clock_mono_ns() >= ns);
    assert_true(ms >= ns / CLOCK_NS_PER_MS);
    assert_true(clock_wall_ms() > INT64_C(1767225600000)); /* 2026 */
}

static void test_rfc3339(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t want;
    } good[] = {
        {"1970-01-01T00:00:00Z", 0},
        {"2026-04-25T16:18:03Z", INT64_C(1777133883000)},
        {"2026-04-25T18:18:03+02:00", INT64_C(1777133883000)},
        {"2026-04-25T12:48:03.5-03:30", INT64_C(1777133883500)},
        {"2026-04-25T16:18:03.123456789Z", INT64_C(1777133883123)},
        {"2026-04-25t16:18:03z", INT64_C(1777133883000)},
        {"2000-02-29T00:00:00Z", INT64_C(951782400000)},
        {"1969-12-31T23:59:59.999Z", -1},
        {"9999-12-31T23:59:59Z", INT64_C(253402300799000)},
        {"2016-12-31T23:59:60Z", INT64_C(1483228800000)},
    };
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        int64_t ms = 42;
        if (!clock_parse_rfc3339(slice_of(good[i].text), &ms) || ms != good[i].want)
            fail_msg("%s gave %lld", good[i].text, (long long)ms);
    }
}

static void test_rfc3339_malformed(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "", "0001-01-01T00:00:00Z", "2026-04-25", "2026-04-25T16:18:03", "2026-04-25T16:18Z", "2026-04-25T16:18:03.Z",
        "2026-13-01T00:00:00Z", "2026-00-01T00:00:00Z", "2026-02-29T00:00:00Z", "1900-02-29T00:00:00Z",
        "2026-04-31T00:00:00Z",
        "2026-04-25T24:00:00Z", "2026-04-25T16:60:00Z", "2026-04-25T16:18:61Z", "2026-04-25T16:18:03Z ",
        "26-04-25T16:18:03Z",
        "2026-04-25T16:18:03+2:00", "2026-04-25T16:18:03+0200", "2026-04-25T16:18:03+24:00", "-026-04-25T16:18:03Z",
        "null",
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        int64_t ms = 42;
        if (clock_parse_rfc3339(slice_of(bad[i]), &ms) || ms != 42)
            fail_msg("\"%s\" was taken for %lld", bad[i], (long long)ms);
    }
    int64_t ms;
    assert_false(clock_parse_rfc3339((struct slice){0}, &ms));
}

static void test_format(void **state)
{
    (void)state;
    char b[32];
    assert_string_equal(clock_format_utc(INT64_C(1777133883999), b, sizeof b), "2026-04-25T16:18:03Z");
    assert_string_equal(clock_format_hms(INT64_C(1777133883999), b, sizeof b), "16:18:03");
    assert_string_equal(clock_format_utc(-1, b, sizeof b), "1969-12-31T23:59:59Z");
    assert_string_equal(clock_format_utc(INT64_MAX, b, sizeof b), "?");
    assert_string_equal(clock_format_hms(INT64_MIN, b, sizeof b), "?");
}

static void test_age(void **state)
{
    (void)state;
    static const struct {
        int64_t ms;
        const char *want;
    } cases[] = {
        {0, "now"},
        {999, "now"},
        {1000, "1s"},
        {42 * 1000, "42s"},
        {59999, "59s"},
        {60000, "1m00s"},
        {192 * 1000, "3m12s"},
        {3599999, "59m59s"},
        {(5 * 3600 + 7 * 60 + 59) * 1000, "5h07m"},
        {INT64_C(86400000), "1d0h"},
        {INT64_C(86400000) * 9 + 4 * 3600000, "9d4h"},
        {INT64_C(86400000) * 99 + 23 * 3600000, "99d23h"},
        {INT64_C(86400000) * 214, "214d"},
        {-999, "now"},
        {-5000, "in 5s"},
        {-190 * 1000, "in 3m"},
        {-7200 * 1000, "in 2h"},
        {INT64_C(-86400000) * 3, "in 3d"},
        {INT64_MAX, "106751991167d"},
        {INT64_MIN, "in 106751991167d"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char b[24];
        assert_string_equal(clock_format_age(cases[i].ms, b, sizeof b), cases[i].want);
    }
}

static void test_plan_time_runs_faster_after_scaling(void **state)
{
    (void)state;
    int64_t wall = clock_wall_ms();
    assert_true(clock_plan_ms() >= wall);
    assert_true(clock_plan_ms() - wall < 60000);
    int64_t origin = wall - 1000; /* a second of wall time is 100 seconds of plan time */
    clock_plan_scale(100.0, origin);
    assert_true(clock_plan_ms() >= origin + 100000);
    assert_true(clock_plan_ms() <= origin + (clock_wall_ms() - origin) * 100 + 1);
    clock_plan_scale(1.0, 0);
    assert_true(clock_plan_ms() - clock_wall_ms() <= 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_clocks_move_forward), cmocka_unit_test(test_rfc3339),
        cmocka_unit_test(test_rfc3339_malformed),   cmocka_unit_test(test_format),
        cmocka_unit_test(test_age),                 cmocka_unit_test(test_plan_time_runs_faster_after_scaling),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
