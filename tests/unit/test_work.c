#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/str.h"
#include "loop/loop.h"
#include "loop/work.h"

struct job {
    pthread_t ran_on, done_on;
    int sum;
    bool done;
};

static void job_run(void *arg) {
    struct job *j = arg;
    j->ran_on = pthread_self();
    for (int i = 1; i <= 100; i++)
        j->sum += i;
}

static void job_done(void *arg) {
    struct job *j = arg;
    j->done_on = pthread_self();
    j->done = true;
}

static void test_job_runs_elsewhere_and_ends_here(void **state) {
    (void)state;
    struct loop *l = loop_new();
    struct job j = {0};
    assert_non_null(work_start(l, job_run, job_done, &j));
    assert_true(loop_run_until(l, &j.done, 5000));
    assert_int_equal(j.sum, 5050);
    assert_true(pthread_equal(j.done_on, pthread_self()) != 0);
    assert_true(pthread_equal(j.ran_on, pthread_self()) == 0);
    loop_free(l);
}

static void test_thread_of_its_own(void **state) {
    (void)state;
    struct loop *l = loop_new();
    struct job j = {0};
    assert_non_null(work_start_thread(l, job_run, job_done, &j));
    assert_true(loop_run_until(l, &j.done, 5000));
    assert_int_equal(j.sum, 5050);
    assert_true(pthread_equal(j.done_on, pthread_self()) != 0);
    assert_true(pthread_equal(j.ran_on, pthread_self()) == 0);
    struct job late = {0};
    work_start_thread(l, job_run, job_done, &late);
    loop_free(l);
    assert_true(late.done);
}

static void test_loop_free_waits_for_jobs(void **state) {
    (void)state;
    struct loop *l = loop_new();
    struct job jobs[20] = {0};
    for (int i = 0; i < 20; i++)
        work_start(l, job_run, job_done, &jobs[i]);
    loop_free(l);
    for (int i = 0; i < 20; i++)
        assert_true(jobs[i].done);
}

struct answer {
    struct resolve *resolve;
    char first[64], error[256];
    int count;
    bool done, free_self;
};

static void answer_came(void *arg, const char *const *addresses, const struct err *e) {
    struct answer *a = arg;
    assert_true((addresses == NULL) == (e != NULL));
    if (e != NULL)
        str_copy(a->error, sizeof a->error, err_text(e));
    else
        str_copy(a->first, sizeof a->first, addresses[0]);
    for (; addresses != NULL && addresses[a->count] != NULL; a->count++)
        continue;
    a->done = true;
    if (a->free_self)
        resolve_free(a->resolve);
}

static void resolve_once(const char *host, struct answer *ret) {
    struct loop *l = loop_new();
    ret->resolve = resolve_start(l, host, answer_came, ret);
    assert_false(ret->done);
    assert_true(loop_run_until(l, &ret->done, 20000));
    if (!ret->free_self)
        resolve_free(ret->resolve);
    loop_free(l);
}

static void test_numeric_addresses(void **state) {
    (void)state;
    struct answer a = {0}, b = {.free_self = true};
    resolve_once("192.0.2.7", &a);
    assert_string_equal(a.first, "192.0.2.7");
    assert_int_equal(a.count, 1);
    resolve_once("2001:db8::1", &b);
    assert_string_equal(b.first, "2001:db8::1");
}

static void test_localhost(void **state) {
    (void)state;
    struct answer a = {.free_self = true};
    resolve_once("localhost", &a);
    assert_true(strcmp(a.first, "127.0.0.1") == 0 || strcmp(a.first, "::1") == 0);
}

static void test_errors_name_the_host(void **state) {
    (void)state;
    struct answer a = {0}, b = {.free_self = true};
    char longest[400];
    memset(longest, 'a', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    resolve_once("no such host", &a);
    assert_non_null(strstr(a.error, "cannot resolve \"no such host\""));
    resolve_once(longest, &b);
    assert_non_null(strstr(b.error, "cannot resolve"));
}

static void test_freed_before_the_answer(void **state) {
    (void)state;
    struct loop *l = loop_new();
    bool never = false;
    struct answer a = {0};
    resolve_free(resolve_start(l, "localhost", answer_came, &a));
    resolve_free(resolve_start(l, "127.0.0.1", answer_came, &a));
    resolve_free(NULL);
    loop_run_until(l, &never, 50);
    loop_free(l);
    assert_false(a.done);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_job_runs_elsewhere_and_ends_here), cmocka_unit_test(test_thread_of_its_own),
        cmocka_unit_test(test_loop_free_waits_for_jobs),
        cmocka_unit_test(test_numeric_addresses),                cmocka_unit_test(test_localhost),
        cmocka_unit_test(test_errors_name_the_host),             cmocka_unit_test(test_freed_before_the_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
