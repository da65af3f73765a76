#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ui/spark.h"

static void expect_spark(const char *samples, int cols, const char *want, int count, int64_t moved) {
    struct buf out = {0};
    int64_t got = -1;
    assert_int_equal(spark_add(&out, slice_of(samples), cols, &got), count);
    assert_string_equal(buf_str(&out), want);
    assert_int_equal(got, moved);
    buf_free(&out);
}

static void scaled_between_the_extremes(void **state) {
    (void)state;
    expect_spark("0 1 2 3 4 5 6 7", 20, "▁▂▃▄▅▆▇█", 8, 7);
    expect_spark("2730012 2730012", 20, "▁▁", 2, 0);
    expect_spark("5 1", 20, "█▁", 2, -4);
    expect_spark("-9223372036854775808 9223372036854775807", 20, "▁█", 2, -1); /* the difference wraps, nothing breaks */
}

static void the_newest_are_taken(void **state) {
    (void)state;
    expect_spark("9 9 9 1 2 3", 3, "▁▅█", 3, 2);
    expect_spark("1 2", 0, "", 0, 0);
    expect_spark("1 2", -3, "", 0, 0);
}

static void what_is_no_number_is_left_out(void **state) {
    (void)state;
    expect_spark("", 10, "", 0, 0);
    expect_spark(NULL, 10, "", 0, 0);
    expect_spark("x 1  2 1e9 99999999999999999999", 10, "▁█", 2, 1);
}

static void expect_bar(int64_t done, int64_t total, int cols, const char *want) {
    struct buf out = {0};
    spark_bar(&out, done, total, cols);
    assert_string_equal(buf_str(&out), want);
    buf_free(&out);
}

static void bars_are_never_full(void **state) {
    (void)state;
    expect_bar(0, 100, 4, "····");
    expect_bar(50, 100, 4, "██··");
    expect_bar(54, 100, 4, "██▏·");
    expect_bar(100, 100, 4, "███▉");
    expect_bar(INT64_MAX, 1, 4, "███▉");
    expect_bar(-5, 100, 4, "····");
    expect_bar(5, 0, 4, "····");
    expect_bar(1, 2, 0, "");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scaled_between_the_extremes),
        cmocka_unit_test(the_newest_are_taken),
        cmocka_unit_test(what_is_no_number_is_left_out),
        cmocka_unit_test(bars_are_never_full),
    };
    return cmocka_run_group_tests_name("spark", tests, NULL, NULL);
}
