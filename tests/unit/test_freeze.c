/* Processes stand still with all that they have started, and go on again. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sandbox/pg_freeze.h"

/* A child whose child writes a byte again and again. */
static pid_t start(int *ret_fd)
{
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        setpgid(0, 0);
        pid_t inner = fork();
        if (inner != 0) {
            waitpid(inner, NULL, 0);
            _exit(0);
        }
        while (write(fds[1], "x", 1) == 1)
            poll(NULL, 0, 1);
        _exit(0);
    }
    close(fds[1]);
    *ret_fd = fds[0];
    return pid;
}

/* Whether something comes within that time; what is there already is taken first. */
static bool comes(int fd, int ms)
{
    char bytes[4096];
    struct pollfd p = {.fd = fd, .events = POLLIN};
    while (poll(&p, 1, 0) == 1 && read(fd, bytes, sizeof bytes) == (ssize_t)sizeof bytes)
        continue;
    return poll(&p, 1, ms) == 1;
}

static void test_stands_still(void **state)
{
    (void)state;
    int fd;
    struct freeze f = {0};
    pid_t pid = start(&fd);
    assert_true(comes(fd, 10000));
    freeze_descendants(&f, getpid());
    assert_int_equal(f.count, 2);
    assert_false(comes(fd, 100));
    freeze_end(&f);
    assert_int_equal(f.count, 0);
    assert_true(comes(fd, 10000));
    kill(-pid, SIGKILL);
    waitpid(pid, NULL, 0);
    close(fd);
}

static void test_nothing_to_stop(void **state)
{
    (void)state;
    struct freeze f = {0};
    freeze_descendants(&f, getpid());
    assert_int_equal(f.count, 0);
    freeze_end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stands_still),
        cmocka_unit_test(test_nothing_to_stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
