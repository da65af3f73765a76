#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "loop/loop.h"
#include "loop/signals.h"

struct got {
    struct signals *signals;
    int usr1, usr2;
    bool done, free_self;
};

static void got_signal(void *arg, int signum) {
    struct got *g = arg;
    if (signum == SIGUSR1)
        g->usr1++;
    if (signum == SIGUSR2)
        g->usr2++;
    g->done = true;
    if (g->free_self) {
        signals_free(g->signals);
        g->signals = NULL;
    }
}

static const int watched[] = {SIGUSR1, SIGUSR2};

static void test_both_signals(void **state) {
    (void)state;
    struct loop *l = loop_new();
    struct got g = {0};
    g.signals = signals_new(l, watched, 2, got_signal, &g);
    raise(SIGUSR1);
    assert_int_equal(g.usr1, 0);
    assert_true(loop_run_until(l, &g.done, 5000));
    assert_int_equal(g.usr1, 1);
    g.done = false;
    raise(SIGUSR2);
    assert_true(loop_run_until(l, &g.done, 5000));
    assert_int_equal(g.usr2, 1);
    signals_free(g.signals);
    signals_free(NULL);
    loop_free(l);
}

/* Both are pending when the first callback frees: the second is not delivered. */
static void test_free_in_callback(void **state) {
    (void)state;
    struct loop *l = loop_new();
    bool never = false;
    struct got g = {.free_self = true};
    g.signals = signals_new(l, watched, 2, got_signal, &g);
    raise(SIGUSR1);
    raise(SIGUSR2);
    assert_true(loop_run_until(l, &g.done, 5000));
    loop_run_until(l, &never, 20);
    assert_int_equal(g.usr1 + g.usr2, 1);
    loop_free(l);
}

static void test_no_signals(void **state) {
    (void)state;
    struct loop *l = loop_new();
    signals_free(signals_new(l, watched, 0, got_signal, NULL));
    loop_free(l);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both_signals),
        cmocka_unit_test(test_free_in_callback),
        cmocka_unit_test(test_no_signals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
