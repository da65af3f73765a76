/* When the sandbox's cronjobs are due. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "sandbox/controllers.h"

static void expect(const char *schedule, const char *after, const char *want)
{
    char text[40];
    int64_t ms = 0;

    assert_true(clock_parse_rfc3339(slice_of(after), &ms));
    int64_t next = cron_next(schedule, ms);
    if (!want) {
        assert_int_equal(next, 0);
        return;
    }
    assert_string_equal(clock_format_utc(next, text, sizeof text), want);
}

static void test_due_times(void **state)
{
    (void)state;
    expect("0 2 * * *", "2026-11-22T01:59:59Z", "2026-11-22T02:00:00Z");
    expect("0 2 * * *", "2026-11-22T02:00:00Z", "2026-11-23T02:00:00Z");
    expect("*/15 * * * *", "2026-11-22T08:07:12Z", "2026-11-22T08:15:00Z");
    expect("30 1 1 * *", "2026-11-22T00:00:00Z", "2026-12-01T01:30:00Z");
    expect("0 9-17/4 * * 1-5", "2026-11-22T00:00:00Z", "2026-11-23T09:00:00Z");
    expect("0 9-17/4 * * 1-5", "2026-11-23T09:00:00Z", "2026-11-23T13:00:00Z");
    expect("5,35 0 * * *", "2026-11-22T00:05:00Z", "2026-11-22T00:35:00Z");
}

static void test_never(void **state)
{
    (void)state;
    expect("0 0 31 2 *", "2026-11-22T00:00:00Z", NULL);
    expect("0 0 * *", "2026-11-22T00:00:00Z", NULL);
    expect("x 0 * * *", "2026-11-22T00:00:00Z", NULL);
    expect("*/0 0 * * *", "2026-11-22T00:00:00Z", NULL);
    expect("", "2026-11-22T00:00:00Z", NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_due_times),
        cmocka_unit_test(test_never),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
