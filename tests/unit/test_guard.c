/* The guard ends what it guards: by EOF of its pipe, by signals, by force when asking does not help. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "sandbox/guard.h"
#include "sandbox/pg_entry.h"

#define DEADLINE_MS 20000

/* A guard in a process of its own, the pipe that keeps it going, and a pipe that ends when the guarded program has. */
struct guarded {
    pid_t pid;
    int keep, alive;
};

/* Runs `sh -c script` under the guard. */
static struct guarded start(const char *script)
{
    int keep[2], alive[2];
    assert_int_equal(pipe(keep), 0);
    assert_int_equal(pipe(alive), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        dup2(keep[0], STDIN_FILENO);
        dup2(alive[1], STDOUT_FILENO);
        close(keep[0]);
        close(keep[1]);
        close(alive[0]);
        close(alive[1]);
        char guard[] = "--guard", patience[] = "--patience", ms[] = "200", dashes[] = "--", sh[] = "/bin/sh", c[] = "-c";
        char *text = mem_strdup(script);
        char *argv[] = {guard, patience, ms, dashes, sh, c, text, NULL};
        _exit(guard_main(7, argv));
    }
    close(keep[0]);
    close(alive[1]);
    return (struct guarded){.pid = pid, .keep = keep[1], .alive = alive[0]};
}

/* The first line that the program prints: it has set itself up. */
static void wait_for_line(const struct guarded *g)
{
    struct pollfd fd = {.fd = g->alive, .events = POLLIN};
    assert_int_equal(poll(&fd, 1, DEADLINE_MS), 1);
    char c = 0;
    while (c != '\n')
        assert_int_equal(read(g->alive, &c, 1), 1);
}

/* Everything that has the pipe's other end is gone within the deadline. */
static void wait_for_end(const struct guarded *g)
{
    char bytes[256];
    ssize_t n;
    do {
        struct pollfd fd = {.fd = g->alive, .events = POLLIN};
        assert_int_equal(poll(&fd, 1, DEADLINE_MS), 1);
        n = read(g->alive, bytes, sizeof bytes);
    } while (n > 0);
    assert_int_equal(n, 0);
}

static int finish(struct guarded *g)
{
    int status = 0;
    assert_int_equal(waitpid(g->pid, &status, 0), g->pid);
    if (g->keep >= 0)
        close(g->keep);
    close(g->alive);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static void test_passes_the_status_on(void **state)
{
    (void)state;
    struct guarded g = start("exit 7");
    assert_int_equal(finish(&g), 7);
}

static void test_eof_ends_it(void **state)
{
    (void)state;
    struct guarded g = start("echo up; exec sleep 600");
    wait_for_line(&g);
    close(g.keep);
    g.keep = -1;
    wait_for_end(&g);
    assert_int_equal(finish(&g), 128 + SIGINT);
}

static void test_bytes_on_the_pipe_do_not(void **state)
{
    (void)state;
    struct guarded g = start("echo up; exec sleep 600");
    wait_for_line(&g);
    assert_int_equal(write(g.keep, "noise\n", 6), 6);
    struct pollfd fd = {.fd = g.alive, .events = POLLIN};
    assert_int_equal(poll(&fd, 1, 100), 0);
    assert_int_equal(kill(g.pid, SIGTERM), 0);
    wait_for_end(&g);
    assert_int_equal(finish(&g), 128 + SIGINT);
}

static void test_force_after_asking(void **state)
{
    (void)state;
    struct guarded g = start("trap '' INT QUIT TERM; echo up; sleep 600");
    wait_for_line(&g);
    close(g.keep);
    g.keep = -1;
    wait_for_end(&g);
    assert_int_equal(finish(&g), 128 + SIGKILL);
}

static void test_kill_on_command(void **state)
{
    (void)state;
    struct guarded g = start("echo up; exec sleep 600");
    wait_for_line(&g);
    assert_int_equal(kill(g.pid, SIGUSR1), 0);
    wait_for_end(&g);
    assert_int_equal(finish(&g), 128 + SIGKILL);
}

/* What the program left running in its group goes with it. */
static void test_no_one_stays_behind(void **state)
{
    (void)state;
    struct guarded g = start("sleep 600 & echo up; exit 3");
    wait_for_line(&g);
    wait_for_end(&g);
    assert_int_equal(finish(&g), 3);
}

#ifdef __linux__
static void test_its_own_death_ends_it(void **state)
{
    (void)state;
    struct guarded g = start("echo up; exec sleep 600");
    wait_for_line(&g);
    assert_int_equal(kill(g.pid, SIGKILL), 0);
    wait_for_end(&g);
    assert_int_equal(finish(&g), -SIGKILL);
}
#endif

static void test_usage(void **state)
{
    (void)state;
    char guard[] = "--guard", dashes[] = "--", odd[] = "--odd";
    int saved = dup(STDERR_FILENO), null_fd = open("/dev/null", O_WRONLY);
    dup2(null_fd, STDERR_FILENO);
    int none = guard_main(2, (char *[]){guard, dashes, NULL});
    int unknown = guard_main(3, (char *[]){guard, odd, dashes, NULL});
    dup2(saved, STDERR_FILENO);
    close(saved);
    close(null_fd);
    assert_int_equal(none, 64);
    assert_int_equal(unknown, 64);
}

static void test_traverse(void **state)
{
    (void)state;
    char dir[] = "/tmp/test-guard-XXXXXX";
    assert_non_null(mkdtemp(dir));
    assert_int_equal(chmod(dir, 0711), 0);
    assert_true(guard_can_traverse(dir, 54321, 54321));
    assert_int_equal(chmod(dir, 0700), 0);
    assert_false(guard_can_traverse(dir, 54321, 54321));
    assert_true(guard_can_traverse(dir, geteuid(), 54321));
    assert_true(guard_can_traverse(dir, 0, 0));
    assert_int_equal(rmdir(dir), 0);
    assert_false(guard_can_traverse(dir, geteuid(), getegid()));
}

static void test_run(void **state)
{
    (void)state;
    struct buf out = {0};
    assert_null(pg_run((const char *const[]){"cat", NULL}, "some text\n", &out));
    assert_string_equal(buf_str(&out), "some text\n");
    struct err *e = pg_run((const char *const[]){"/no/such/program", NULL}, NULL, &out);
    assert_non_null(strstr(err_text(e), "cannot be run"));
    err_free(e);
    e = pg_run((const char *const[]){"sh", "-c", "exit 3", NULL}, NULL, &out);
    assert_non_null(strstr(err_text(e), "status 3"));
    err_free(e);
    buf_free(&out);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_passes_the_status_on),
        cmocka_unit_test(test_eof_ends_it),
        cmocka_unit_test(test_bytes_on_the_pipe_do_not),
        cmocka_unit_test(test_force_after_asking),
        cmocka_unit_test(test_kill_on_command),
        cmocka_unit_test(test_no_one_stays_behind),
#ifdef __linux__
        cmocka_unit_test(test_its_own_death_ends_it),
#endif
        cmocka_unit_test(test_usage),
        cmocka_unit_test(test_traverse),
        cmocka_unit_test(test_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
