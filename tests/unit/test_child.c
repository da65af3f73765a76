#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "loop/child.h"
#include "loop/loop.h"

struct ended {
    struct child *child;
    struct buf out, err, chunks;
    int status, signal, count;
    bool timed_out, overflow, done, free_self, free_on_output;
};

static void ended_exit(void *arg, const struct child_exit *x) {
    struct ended *e = arg;
    e->count++;
    e->status = x->status;
    e->signal = x->signal;
    e->timed_out = x->timed_out;
    e->overflow = x->overflow;
    buf_add(&e->out, buf_str(&x->out), x->out.len);
    buf_add(&e->err, buf_str(&x->err), x->err.len);
    e->done = true;
    if (e->free_self)
        child_free(e->child);
}

static void ended_chunk(void *arg, const char *p, size_t n) {
    struct ended *e = arg;
    buf_add(&e->chunks, p, n);
    if (e->free_on_output) {
        child_free(e->child);
        e->done = true;
    }
}

static int setup(void **state) {
    *state = loop_new();
    return 0;
}

static int teardown(void **state) {
    loop_free(*state);
    errno = 0;
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* nothing is left to reap */
    assert_int_equal(errno, ECHILD);
    return 0;
}

static void ended_clear(struct ended *e) {
    buf_free(&e->out);
    buf_free(&e->err);
    buf_free(&e->chunks);
}

/* Starts `sh -c script` with what else is in o. */
static void start_shell(struct loop *l, const char *script, struct child_options o, struct ended *e) {
    const char *argv[] = {"sh", "-c", script, NULL};
    o.argv = argv;
    o.on_exit = ended_exit;
    o.arg = e;
    assert_null(child_spawn(l, &o, &e->child));
}

static void run_shell(struct loop *l, const char *script, struct child_options o, struct ended *e) {
    start_shell(l, script, o, e);
    assert_true(loop_run_until(l, &e->done, 20000));
    if (!e->free_self)
        child_free(e->child);
}

/* Descriptors of our own as its standard input and output. */
static void test_given_descriptors(void **state) {
    struct ended e = {.free_self = true};
    int in[2], out[2];
    char text[16] = "";
    assert_int_equal(pipe(in), 0);
    assert_int_equal(pipe(out), 0);
    start_shell(*state, "tr a-z A-Z; echo err >&2; exit 3", (struct child_options){.stdin_fd = in[0], .stdout_fd = out[1]}, &e);
    close(in[0]);
    close(out[1]);
    assert_int_equal(write(in[1], "words", 5), 5);
    close(in[1]);
    assert_true(loop_run_until(*state, &e.done, 20000));
    assert_int_equal(read(out[0], text, sizeof text), 5);
    assert_string_equal(text, "WORDS");
    assert_int_equal(read(out[0], text, sizeof text), 0);
    assert_int_equal(e.status, 3);
    assert_string_equal(buf_str(&e.err), "err\n");
    close(out[0]);
    ended_clear(&e);
}

static void test_output_and_status(void **state) {
    struct ended e = {.free_self = true};
    run_shell(*state, "echo out; echo err >&2; exit 7", (struct child_options){0}, &e);
    assert_string_equal(buf_str(&e.out), "out\n");
    assert_string_equal(buf_str(&e.err), "err\n");
    assert_int_equal(e.status, 7);
    assert_int_equal(e.signal, 0);
    assert_int_equal(e.count, 1);
    ended_clear(&e);
}

static void test_input_is_given_and_ends(void **state) {
    struct ended e = {0};
    size_t size = 300000;
    char *input = mem_alloc(size);
    memset(input, 'i', size);
    run_shell(*state, "cat", (struct child_options){.input = input, .input_len = size}, &e);
    assert_int_equal(e.out.len, size);
    assert_memory_equal(e.out.p, input, size);
    mem_free(input);
    ended_clear(&e);
}

static void test_no_input_is_dev_null(void **state) {
    struct ended e = {0};
    run_shell(*state, "cat; readlink /proc/self/fd/0", (struct child_options){0}, &e);
    assert_string_equal(buf_str(&e.out), "/dev/null\n");
    ended_clear(&e);
}

/* A child that exits without reading a large input does not hurt us (EPIPE). */
static void test_input_that_nobody_reads(void **state) {
    struct ended e = {0};
    size_t size = 1000000;
    char *input = mem_zalloc(size);
    run_shell(*state, "exit 3", (struct child_options){.input = input, .input_len = size}, &e);
    assert_int_equal(e.status, 3);
    mem_free(input);
    ended_clear(&e);
}

static void test_kept_stdin(void **state) {
    struct ended e = {0};
    start_shell(*state, "read a; read b; echo $a-$b; cat",
                (struct child_options){.keep_stdin = true, .input = "one\n", .input_len = 4}, &e);
    child_write(e.child, "two\nrest", 8);
    child_close_stdin(e.child);
    assert_true(loop_run_until(*state, &e.done, 20000));
    assert_string_equal(buf_str(&e.out), "one-two\nrest");
    child_write(e.child, "late", 4);
    child_free(e.child);
    ended_clear(&e);
}

static void test_a_session_of_its_own(void **state) {
    struct ended e = {0};
    char want[32];
    start_shell(*state, "cut -d' ' -f5,6 /proc/$$/stat", (struct child_options){0}, &e);
    snprintf(want, sizeof want, "%d %d\n", child_pid(e.child), child_pid(e.child));
    assert_true(loop_run_until(*state, &e.done, 20000));
    assert_string_equal(buf_str(&e.out), want);
    child_free(e.child);
    ended_clear(&e);
}

static void test_environment_is_clean(void **state) {
    struct ended e = {0}, all = {0};
    const char *const added[] = {"EXTRA=yes", "HOME=/elsewhere", NULL};
    setenv("SECRET_TOKEN", "s3cret", 1);
    setenv("LC_TIME", "C", 1);
    setenv("HOME", "/home/x", 1);
    run_shell(*state, "env", (struct child_options){.env = added}, &e);
    assert_null(strstr(buf_str(&e.out), "SECRET_TOKEN"));
    assert_null(strstr(buf_str(&e.out), "/home/x"));
    assert_non_null(strstr(buf_str(&e.out), "EXTRA=yes\n"));
    assert_non_null(strstr(buf_str(&e.out), "HOME=/elsewhere\n"));
    assert_non_null(strstr(buf_str(&e.out), "LC_TIME=C\n"));
    assert_non_null(strstr(buf_str(&e.out), "PATH="));
    run_shell(*state, "env", (struct child_options){.env = added, .inherit_env = true}, &all);
    assert_non_null(strstr(buf_str(&all.out), "SECRET_TOKEN=s3cret"));
    unsetenv("SECRET_TOKEN");
    ended_clear(&e);
    ended_clear(&all);
}

static void test_inherits_no_descriptor(void **state) {
    struct ended e = {0};
    int fd = dup(STDERR_FILENO); /* as a library opens one: not closed on exec */
    assert_true(fd > STDERR_FILENO);
    /* The fourth is the folder that ls reads. A pipeline would not do: its shell may still hold the pipe when ls looks. */
    run_shell(*state, "exec ls /proc/self/fd", (struct child_options){0}, &e);
    assert_string_equal(buf_str(&e.out), "0\n1\n2\n3\n");
    close(fd);
    ended_clear(&e);
}

static void test_folder(void **state) {
    struct ended e = {0};
    run_shell(*state, "pwd", (struct child_options){.cwd = "/"}, &e);
    assert_string_equal(buf_str(&e.out), "/\n");
    ended_clear(&e);
}

static void test_missing_program_is_an_error(void **state) {
    const char *const argv[] = {"no-such-program-here", NULL}, *const slash[] = {"/no/such/program", NULL};
    struct child *c = NULL;
    struct err *e = child_spawn(*state, &(struct child_options){.argv = argv}, &c);
    assert_non_null(e);
    assert_non_null(strstr(err_text(e), "\"no-such-program-here\": it is not in PATH"));
    err_free(e);
    e = child_spawn(*state, &(struct child_options){.argv = slash}, &c);
    assert_non_null(e);
    assert_non_null(strstr(err_text(e), "/no/such/program"));
    err_free(e);
    assert_null(c);
}

static void test_signal_is_told(void **state) {
    struct ended e = {0};
    start_shell(*state, "exec sleep 100", (struct child_options){0}, &e);
    child_signal(e.child, SIGINT);
    assert_true(loop_run_until(*state, &e.done, 20000));
    assert_int_equal(e.status, -1);
    assert_int_equal(e.signal, SIGINT);
    assert_false(e.timed_out);
    child_free(e.child);
    ended_clear(&e);
}

/* Runs no more: gone, or dead and not yet reaped by its new parent. */
static bool process_ended(const char *pid) {
    char path[64], state = 'Z';
    snprintf(path, sizeof path, "/proc/%d/stat", atoi(pid));
    FILE *f = fopen(path, "r");
    if (f != NULL && fscanf(f, "%*d (%*[^)]) %c", &state) != 1)
        state = 'Z';
    if (f != NULL)
        fclose(f);
    return state == 'Z' || state == 'X';
}

/* Also the helper that the shell waits for goes: the whole group is signalled. */
static void test_timeout_ends_the_group(void **state) {
    struct ended e = {0};
    int64_t before = clock_mono_ms();
    run_shell(*state, "sleep 100 & echo $!; wait; echo never", (struct child_options){.timeout_ms = 100}, &e);
    assert_true(e.timed_out);
    assert_int_equal(e.signal, SIGTERM);
    assert_true(clock_mono_ms() - before < 1900);
    bool never = false;
    for (int i = 0; i < 100 && !process_ended(buf_str(&e.out)); i++)
        loop_run_until(*state, &never, 10);
    assert_true(process_ended(buf_str(&e.out)));
    ended_clear(&e);
}

static void test_timeout_kills_what_ignores_term(void **state) {
    struct ended e = {0};
    run_shell(*state, "trap '' TERM; sleep 100", (struct child_options){.timeout_ms = 50}, &e);
    assert_true(e.timed_out);
    assert_int_equal(e.signal, SIGKILL);
    ended_clear(&e);
}

static void test_too_much_output(void **state) {
    struct ended e = {0};
    run_shell(*state, "exec yes", (struct child_options){.max_output = 1000}, &e);
    assert_true(e.overflow);
    assert_int_equal(e.out.len, 1000);
    ended_clear(&e);
}

static void test_stderr_keeps_its_end(void **state) {
    struct ended e = {0};
    run_shell(*state, "i=0; while [ $i -lt 4000 ]; do echo 0123456789 >&2; i=$((i+1)); done; echo last >&2",
              (struct child_options){0}, &e);
    assert_int_equal(e.err.len, 16 * 1024);
    assert_string_equal(e.err.p + e.err.len - 5, "last\n");
    ended_clear(&e);
}

static void test_chunks_instead_of_collecting(void **state) {
    struct ended e = {0};
    run_shell(*state, "printf abc; printf def", (struct child_options){.on_output = ended_chunk}, &e);
    assert_string_equal(buf_str(&e.chunks), "abcdef");
    assert_int_equal(e.out.len, 0);
    ended_clear(&e);
}

static void test_free_in_output_and_while_running(void **state) {
    struct ended e = {.free_on_output = true}, quiet = {0};
    start_shell(*state, "echo go; exec sleep 100", (struct child_options){.on_output = ended_chunk}, &e);
    start_shell(*state, "exec sleep 100", (struct child_options){0}, &quiet);
    assert_true(loop_run_until(*state, &e.done, 20000));
    child_free(quiet.child);
    child_free(NULL);
    bool never = false;
    loop_run_until(*state, &never, 50);
    assert_int_equal(e.count + quiet.count, 0);
    ended_clear(&e);
}

/* A process that leaves the session but holds our pipe must not hold up the end for ever. */
static void test_pipe_held_by_a_stranger(void **state) {
    struct ended e = {0};
    run_shell(*state, "setsid sleep 30 & echo $!", (struct child_options){0}, &e);
    assert_int_equal(e.status, 0);
    pid_t stranger = (pid_t)atoi(buf_str(&e.out));
    assert_true(stranger > 1);
    kill(stranger, SIGKILL);
    ended_clear(&e);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_given_descriptors, setup, teardown),
        cmocka_unit_test_setup_teardown(test_output_and_status, setup, teardown),
        cmocka_unit_test_setup_teardown(test_input_is_given_and_ends, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_input_is_dev_null, setup, teardown),
        cmocka_unit_test_setup_teardown(test_input_that_nobody_reads, setup, teardown),
        cmocka_unit_test_setup_teardown(test_kept_stdin, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_session_of_its_own, setup, teardown),
        cmocka_unit_test_setup_teardown(test_environment_is_clean, setup, teardown),
        cmocka_unit_test_setup_teardown(test_inherits_no_descriptor, setup, teardown),
        cmocka_unit_test_setup_teardown(test_folder, setup, teardown),
        cmocka_unit_test_setup_teardown(test_missing_program_is_an_error, setup, teardown),
        cmocka_unit_test_setup_teardown(test_signal_is_told, setup, teardown),
        cmocka_unit_test_setup_teardown(test_timeout_ends_the_group, setup, teardown),
        cmocka_unit_test_setup_teardown(test_timeout_kills_what_ignores_term, setup, teardown),
        cmocka_unit_test_setup_teardown(test_too_much_output, setup, teardown),
        cmocka_unit_test_setup_teardown(test_stderr_keeps_its_end, setup, teardown),
        cmocka_unit_test_setup_teardown(test_chunks_instead_of_collecting, setup, teardown),
        cmocka_unit_test_setup_teardown(test_free_in_output_and_while_running, setup, teardown),
        cmocka_unit_test_setup_teardown(test_pipe_held_by_a_stranger, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
