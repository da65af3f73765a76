#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "loop/loop.h"
#include "loop/timer.h"

struct ticker {
    struct timer *timer;
    int count, stop_at;
    bool free_self, done;
};

static void ticker_fired(void *arg) {
    struct ticker *t = arg;
    if (++t->count < t->stop_at)
        return;
    t->done = true;
    if (t->free_self) {
        timer_free(t->timer);
        t->timer = NULL;
    } else {
        timer_stop(t->timer);
    }
}

static void test_one_shot(void **state) {
    (void)state;
    struct loop *l = loop_new();
    struct ticker t = {.stop_at = 1};
    t.timer = timer_new(l, ticker_fired, &t);
    assert_false(timer_active(t.timer));
    int64_t before = clock_mono_ms();
    timer_start(t.timer, 30, 0);
    assert_true(timer_active(t.timer));
    assert_true(loop_run_until(l, &t.done, 5000));
    assert_true(clock_mono_ms() - before >= 29);
    assert_false(timer_active(t.timer));
    assert_int_equal(t.count, 1);
    timer_free(t.timer);
    loop_free(l);
}

static void test_repeats_until_stopped(void **state) {
    (void)state;
    struct loop *l = loop_new();
    bool never = false;
    struct ticker t = {.stop_at = 5};
    t.timer = timer_new(l, ticker_fired, &t);
    timer_start(t.timer, 1, 2);
    assert_true(loop_run_until(l, &t.done, 5000));
    loop_run_until(l, &never, 20);
    assert_int_equal(t.count, 5);
    timer_free(t.timer);
    loop_free(l);
}

static void test_free_in_callback(void **state) {
    (void)state;
    struct loop *l = loop_new();
    bool never = false;
    struct ticker t = {.stop_at = 1, .free_self = true};
    t.timer = timer_new(l, ticker_fired, &t);
    timer_start(t.timer, 0, 1);
    assert_true(loop_run_until(l, &t.done, 5000));
    loop_run_until(l, &never, 10);
    assert_int_equal(t.count, 1);
    loop_free(l);
}

static void test_restart_moves_it(void **state) {
    (void)state;
    struct loop *l = loop_new();
    bool never = false;
    struct ticker t = {.stop_at = 1};
    t.timer = timer_new(l, ticker_fired, &t);
    timer_start(t.timer, 1, 0);
    timer_start(t.timer, 60000, 0);
    loop_run_until(l, &never, 30);
    assert_int_equal(t.count, 0);
    timer_start(t.timer, -5, 0);
    assert_true(loop_run_until(l, &t.done, 5000));
    timer_free(t.timer);
    timer_free(NULL);
    loop_free(l);
}

struct late {
    struct timer *timer;
    int64_t armed_ms, fired_ms;
    bool done;
};

static void late_fired(void *arg) {
    struct late *t = arg;
    t->fired_ms = clock_mono_ms();
    t->done = true;
}

static void late_arm_after_work(void *arg) {
    struct late *t = arg;
    int64_t until = clock_mono_ms() + 60;
    while (clock_mono_ms() < until)
        continue;
    t->armed_ms = clock_mono_ms();
    timer_start(t->timer, 40, 0);
}

/* The delay counts from now, not from the beginning of a turn that took long. */
static void test_delay_counts_from_now(void **state) {
    (void)state;
    struct loop *l = loop_new();
    struct late t = {0};
    t.timer = timer_new(l, late_fired, &t);
    loop_defer(l, late_arm_after_work, &t);
    assert_true(loop_run_until(l, &t.done, 5000));
    assert_true(t.fired_ms - t.armed_ms >= 38);
    timer_free(t.timer);
    loop_free(l);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_shot),        cmocka_unit_test(test_repeats_until_stopped),
        cmocka_unit_test(test_free_in_callback), cmocka_unit_test(test_restart_moves_it),
        cmocka_unit_test(test_delay_counts_from_now),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
