#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "net/backoff.h"

static void in_range(int64_t value, int64_t low, int64_t high) {
    assert_true(value >= low);
    assert_true(value < high);
}

static void test_doubles_up_to_the_cap(void **state) {
    (void)state;
    struct backoff b = {0};
    const int64_t base[] = {800, 1600, 3200, 6400, 12800, 25600, 30000, 30000};
    for (size_t i = 0; i < sizeof base / sizeof base[0]; i++)
        in_range(backoff_next(&b, 1000 + (int64_t)i), base[i], 2 * base[i]);
}

static void test_own_numbers(void **state) {
    (void)state;
    struct backoff b = {.first_ms = 10, .cap_ms = 15, .calm_ms = 100};
    in_range(backoff_next(&b, 0), 10, 20);
    in_range(backoff_next(&b, 1), 15, 30);
    in_range(backoff_next(&b, 101), 15, 30);
    in_range(backoff_next(&b, 202), 10, 20); /* calm for more than 100 ms */
}

static void test_reset(void **state) {
    (void)state;
    struct backoff b = {0};
    for (int i = 0; i < 5; i++)
        (void)backoff_next(&b, i);
    backoff_reset(&b);
    in_range(backoff_next(&b, 6), 800, 1600);
}

static void test_never_overflows(void **state) {
    (void)state;
    struct backoff b = {.first_ms = INT64_MAX / 4, .cap_ms = INT64_MAX / 2};
    for (int i = 0; i < 100; i++)
        assert_true(backoff_next(&b, i) > 0);
}

static void test_server_may_ask_for_more(void **state) {
    (void)state;
    struct backoff b = {0};
    assert_int_equal(backoff_next_after(&b, 0, 5000), 5000);
    in_range(backoff_next_after(&b, 1, 10), 1600, 3200);
    in_range(backoff_next_after(&b, 2, -1), 3200, 6400);
}

static void test_jitter_scatters(void **state) {
    (void)state;
    int64_t first = 0;
    int different = 0;
    for (int i = 0; i < 20; i++) {
        struct backoff b = {.first_ms = 100000, .cap_ms = 100000};
        int64_t d = backoff_next(&b, 0);
        different += i > 0 && d != first;
        first = d;
    }
    assert_true(different > 10);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_doubles_up_to_the_cap), cmocka_unit_test(test_own_numbers),
        cmocka_unit_test(test_reset),                 cmocka_unit_test(test_never_overflows),
        cmocka_unit_test(test_server_may_ask_for_more), cmocka_unit_test(test_jitter_scatters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
