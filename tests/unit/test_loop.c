#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "loop/loop.h"
#include "loop/timer.h"

static char trace[64];

static void trace_add(char c) {
    size_t n = strlen(trace);
    assert_true(n + 1 < sizeof trace);
    trace[n] = c;
    trace[n + 1] = '\0';
}

static int setup(void **state) {
    trace[0] = '\0';
    *state = loop_new();
    return 0;
}

static int teardown(void **state) {
    loop_free(*state);
    return 0;
}

static void defer_letter(void *arg) {
    trace_add(*(const char *)arg);
}

static void test_deferred_in_order(void **state) {
    struct loop *l = *state;
    bool done = false;
    static char a = 'a', b = 'b', c = 'c';
    loop_defer(l, defer_letter, &a);
    loop_defer(l, defer_letter, &b);
    loop_defer(l, defer_letter, &c);
    assert_int_equal(strlen(trace), 0);
    assert_false(loop_run_until(l, &done, 0));
    assert_string_equal(trace, "abc");
}

struct chain {
    struct loop *loop;
    int left, hooks;
    bool done;
};

static void chain_step(void *arg) {
    struct chain *c = arg;
    if (--c->left > 0)
        loop_defer(c->loop, chain_step, c);
    else
        c->done = true;
}

static void chain_hook(void *arg) {
    struct chain *c = arg;
    c->hooks++;
}

/* Each step that defers the next one runs in a turn of its own, and polling does not wait in between. */
static void test_defer_again_runs_next_turn(void **state) {
    struct chain c = {.loop = *state, .left = 50};
    loop_on_turn(c.loop, chain_hook, &c);
    loop_defer(c.loop, chain_step, &c);
    assert_true(loop_run_until(c.loop, &c.done, 5000));
    assert_true(c.hooks >= 50);
    loop_on_turn(c.loop, NULL, NULL);
}

static struct loop *undefer_loop;
static char undefer_victim = 'v';

static void undefer_now(void *arg) {
    (void)arg;
    trace_add('u');
    loop_undefer(undefer_loop, &undefer_victim);
}

static void test_undefer(void **state) {
    struct loop *l = undefer_loop = *state;
    static char other = 'o', killer = 'k';
    bool done = false;
    loop_defer(l, defer_letter, &undefer_victim);
    loop_undefer(l, &undefer_victim);
    loop_defer(l, defer_letter, &other);
    loop_defer(l, undefer_now, &killer);
    loop_defer(l, defer_letter, &undefer_victim);
    loop_defer(l, defer_letter, &undefer_victim);
    loop_run_until(l, &done, 0);
    assert_string_equal(trace, "ou");
    loop_defer(l, defer_letter, &other);
    loop_run_until(l, &done, 0);
    assert_string_equal(trace, "ouo");
}

static void hook_letter(void *arg) {
    (void)arg;
    trace_add('h');
}

/* What a timer did is seen by the hook before the loop waits again. */
static void test_hook_after_timer_and_deferred(void **state) {
    struct loop *l = *state;
    static char t = 't';
    struct timer *timer = timer_new(l, defer_letter, &t);
    bool done = false;
    timer_start(timer, 5, 0);
    loop_run_until(l, &done, 0);
    trace[0] = '\0';
    loop_on_turn(l, hook_letter, NULL);
    loop_run_until(l, &done, 200);
    const char *fired = strchr(trace, 't');
    assert_non_null(fired);
    assert_int_equal(fired[1], 'h');
    loop_on_turn(l, NULL, NULL);
    timer_free(timer);
}

static void stop_now(void *arg) {
    loop_stop(arg);
}

static void test_run_and_stop(void **state) {
    struct timer *timer = timer_new(*state, stop_now, *state);
    timer_start(timer, 10, 0);
    loop_run(*state);
    assert_false(timer_active(timer));
    timer_free(timer);
}

static void test_run_until_deadline(void **state) {
    bool done = false;
    int64_t before = clock_mono_ms();
    assert_false(loop_run_until(*state, &done, 50));
    assert_true(clock_mono_ms() - before >= 45);
    done = true;
    assert_true(loop_run_until(*state, &done, 0));
}

static void busy_30_ms(void *arg) {
    int64_t until = clock_mono_ms() + 30;
    while (clock_mono_ms() < until)
        continue;
    *(bool *)arg = true;
}

static void test_stall_counts_work_not_waiting(void **state) {
    struct loop *l = *state;
    bool done = false, never = false;
    loop_run_until(l, &never, 100);
    assert_true(loop_stall_us(l) < 90000);
    loop_defer(l, busy_30_ms, &done);
    loop_run_until(l, &done, 1000);
    assert_true(loop_stall_us(l) >= 29000);
    assert_int_equal(loop_stall_us(l), 0);
    int64_t cpu = loop_stall_cpu_us(l);
    assert_true(cpu > 0 && cpu < 1000000);
    assert_int_equal(loop_stall_cpu_us(l), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_deferred_in_order, setup, teardown),
        cmocka_unit_test_setup_teardown(test_defer_again_runs_next_turn, setup, teardown),
        cmocka_unit_test_setup_teardown(test_undefer, setup, teardown),
        cmocka_unit_test_setup_teardown(test_hook_after_timer_and_deferred, setup, teardown),
        cmocka_unit_test_setup_teardown(test_run_and_stop, setup, teardown),
        cmocka_unit_test_setup_teardown(test_run_until_deadline, setup, teardown),
        cmocka_unit_test_setup_teardown(test_stall_counts_work_not_waiting, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
