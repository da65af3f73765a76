#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "loop/fdwatch.h"
#include "loop/loop.h"

struct seen {
    struct fdwatch *watch;
    int fd, count;
    unsigned events;
    bool done, drain, free_self;
};

static void seen_ready(void *arg, unsigned events) {
    struct seen *s = arg;
    char b[16];
    s->count++;
    s->events |= events;
    s->done = true;
    if (s->drain)
        while (read(s->fd, b, sizeof b) > 0)
            continue;
    if (s->free_self) {
        fdwatch_free(s->watch);
        s->watch = NULL;
    }
}

static void pair(int fds[2]) {
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
}

static void run_a_little(struct loop *l) {
    bool never = false;
    loop_run_until(l, &never, 20);
}

static void test_readable_and_stop(void **state) {
    (void)state;
    struct loop *l = loop_new();
    int fds[2];
    pair(fds);
    struct seen s = {.fd = fds[0], .drain = true};
    s.watch = fdwatch_new(l, fds[0], seen_ready, &s);
    assert_true((fcntl(fds[0], F_GETFL) & O_NONBLOCK) != 0);
    assert_int_equal(write(fds[1], "x", 1), 1);
    run_a_little(l);
    assert_int_equal(s.count, 0);
    fdwatch_set(s.watch, FD_READABLE);
    assert_true(loop_run_until(l, &s.done, 5000));
    assert_int_equal(s.events, FD_READABLE);
    s.count = 0;
    fdwatch_set(s.watch, FD_NONE);
    assert_int_equal(write(fds[1], "x", 1), 1);
    run_a_little(l);
    assert_int_equal(s.count, 0);
    fdwatch_free(s.watch);
    close(fds[0]);
    close(fds[1]);
    loop_free(l);
}

static void test_level_triggered(void **state) {
    (void)state;
    struct loop *l = loop_new();
    int fds[2];
    pair(fds);
    struct seen s = {.fd = fds[0]};
    s.watch = fdwatch_new(l, fds[0], seen_ready, &s);
    fdwatch_set(s.watch, FD_READABLE | FD_WRITABLE);
    run_a_little(l);
    assert_true(s.count > 1);
    assert_int_equal(s.events, FD_WRITABLE);
    fdwatch_free(s.watch);
    close(fds[0]);
    close(fds[1]);
    loop_free(l);
}

/* The number of a freed watch's descriptor may come back in the same turn, for another file. */
static void test_same_number_again(void **state) {
    (void)state;
    struct loop *l = loop_new();
    int one[2], two[2];
    pair(one);
    struct seen a = {.fd = one[0]}, b = {.fd = one[0], .drain = true};
    a.watch = fdwatch_new(l, one[0], seen_ready, &a);
    fdwatch_set(a.watch, FD_READABLE);
    run_a_little(l);
    fdwatch_free(a.watch);
    close(one[0]);
    pair(two);
    assert_int_equal(two[0], one[0]);
    b.watch = fdwatch_new(l, two[0], seen_ready, &b);
    fdwatch_set(b.watch, FD_READABLE);
    assert_int_equal(write(two[1], "x", 1), 1);
    assert_true(loop_run_until(l, &b.done, 5000));
    assert_int_equal(a.count, 0);
    fdwatch_free(b.watch);
    close(one[1]);
    close(two[0]);
    close(two[1]);
    loop_free(l);
}

static void test_free_in_callback(void **state) {
    (void)state;
    struct loop *l = loop_new();
    int fds[2];
    pair(fds);
    struct seen s = {.fd = fds[0], .free_self = true};
    s.watch = fdwatch_new(l, fds[0], seen_ready, &s);
    fdwatch_set(s.watch, FD_READABLE | FD_WRITABLE);
    run_a_little(l);
    assert_int_equal(s.count, 1);
    fdwatch_free(NULL);
    close(fds[0]);
    close(fds[1]);
    loop_free(l);
}

/* A connection that its peer has reset: the error comes as readable and writable, and comes again until it is met. */
static void test_reset_is_reported_as_ready(void **state) {
    (void)state;
    struct loop *l = loop_new();
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    int listener = socket(AF_INET, SOCK_STREAM, 0), client = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&at, &len), 0);
    assert_int_equal(connect(client, (struct sockaddr *)&at, sizeof at), 0);
    int peer = accept(listener, NULL, NULL);
    struct linger now = {.l_onoff = 1};
    assert_int_equal(setsockopt(peer, SOL_SOCKET, SO_LINGER, &now, sizeof now), 0);
    struct seen s = {.fd = client};
    s.watch = fdwatch_new(l, client, seen_ready, &s);
    fdwatch_set(s.watch, FD_READABLE);
    close(peer);
    assert_true(loop_run_until(l, &s.done, 5000));
    assert_true((s.events & FD_READABLE) != 0);
    run_a_little(l);
    assert_true(s.count > 1);
    char b;
    assert_int_equal(read(client, &b, 1), -1);
    assert_int_equal(errno, ECONNRESET);
    fdwatch_free(s.watch);
    close(client);
    close(listener);
    loop_free(l);
}

static void test_regular_file_reports_ready(void **state) {
    (void)state;
    struct loop *l = loop_new();
    char path[] = "/tmp/test_fdwatch.XXXXXX";
    int fd = mkstemp(path);
    struct seen s = {.fd = fd};
    s.watch = fdwatch_new(l, fd, seen_ready, &s);
    fdwatch_set(s.watch, FD_READABLE);
    assert_true(loop_run_until(l, &s.done, 5000));
    fdwatch_set(s.watch, FD_READABLE);
    fdwatch_free(s.watch);
    run_a_little(l);
    assert_int_equal(s.count, 1);
    close(fd);
    unlink(path);
    loop_free(l);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_readable_and_stop),     cmocka_unit_test(test_level_triggered),
        cmocka_unit_test(test_same_number_again),     cmocka_unit_test(test_free_in_callback),
        cmocka_unit_test(test_reset_is_reported_as_ready), cmocka_unit_test(test_regular_file_reports_ready),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
