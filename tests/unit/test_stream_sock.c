#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/mem.h"
#include "loop/loop.h"
#include "loop/stream_sock.h"

struct end {
    struct sock *sock;
    struct buf got;
    size_t want; /* bytes after which `full` is set */
    int drains, ends;
    char error[256];
    bool connected, full, ended, drained, failed, free_on_data, free_on_end;
};

static void end_data(void *arg, const char *p, size_t n) {
    struct end *e = arg;
    buf_add(&e->got, p, n);
    if (e->got.len >= e->want)
        e->full = true;
    if (e->free_on_data) {
        sock_free(e->sock);
        e->sock = NULL;
    }
}

static void end_drained(void *arg) {
    struct end *e = arg;
    e->drains++;
    e->drained = true;
}

static void end_end(void *arg, const struct err *error) {
    struct end *e = arg;
    e->ends++;
    e->ended = true;
    e->failed = error != NULL;
    if (error != NULL)
        snprintf(e->error, sizeof e->error, "%s", err_text(error));
    if (e->free_on_end) {
        sock_free(e->sock);
        e->sock = NULL;
    }
}

static void end_connected(void *arg) {
    struct end *e = arg;
    e->connected = true;
}

static const struct sock_events end_events = {end_data, end_drained, end_end, end_connected};

struct server {
    struct sock_listener *listener;
    struct end peer;
    bool accepted;
};

static void server_accept(void *arg, struct sock *peer) {
    struct server *s = arg;
    s->peer.sock = peer;
    s->accepted = true;
}

static char socket_path[64];

static int setup(void **state) {
    char dir[] = "/tmp/test_stream_sock.XXXXXX";
    assert_non_null(mkdtemp(dir));
    snprintf(socket_path, sizeof socket_path, "%s/s", dir);
    *state = loop_new();
    return 0;
}

static int teardown(void **state) {
    loop_free(*state);
    unlink(socket_path);
    *strrchr(socket_path, '/') = '\0';
    assert_int_equal(rmdir(socket_path), 0);
    return 0;
}

static void wait_for(struct loop *l, const bool *flag) {
    assert_true(loop_run_until(l, flag, 10000));
}

static void connect_both(struct loop *l, struct server *s, struct end *client) {
    assert_null(sock_listen_unix(l, socket_path, server_accept, s, &s->listener));
    assert_null(sock_connect_unix(l, socket_path, &end_events, client, &client->sock));
    wait_for(l, &s->accepted);
    wait_for(l, &client->connected);
}

static void close_both(struct server *s, struct end *client) {
    sock_free(client->sock);
    sock_free(s->peer.sock);
    sock_listener_free(s->listener);
    buf_free(&client->got);
    buf_free(&s->peer.got);
}

static void test_exchange_and_clean_end(void **state) {
    struct server s = {.peer.want = 5};
    struct end c = {.want = 5};
    unsigned uid = 12345;
    struct stat st;
    connect_both(*state, &s, &c);
    assert_int_equal(stat(socket_path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_true(sock_peer_uid(s.peer.sock, &uid));
    assert_int_equal(uid, getuid());
    assert_int_equal(sock_write(c.sock, "hello", 5), 0);
    sock_set_events(s.peer.sock, &end_events, &s.peer);
    wait_for(*state, &s.peer.full);
    sock_write(s.peer.sock, "world", 5);
    wait_for(*state, &c.full);
    assert_string_equal(buf_str(&s.peer.got), "hello");
    assert_string_equal(buf_str(&c.got), "world");
    sock_free(c.sock);
    c.sock = NULL;
    wait_for(*state, &s.peer.ended);
    assert_false(s.peer.failed);
    assert_int_equal(s.peer.ends, 1);
    close_both(&s, &c);
    bool never = false;
    loop_run_until(*state, &never, 0);
    assert_int_equal(access(socket_path, F_OK), -1);
}

/* What does not fit is queued, counted, kept in order, and on_drained comes once. */
static void test_back_pressure(void **state) {
    size_t size = 4 * 1024 * 1024;
    struct server s = {.peer.want = size};
    struct end c = {0};
    connect_both(*state, &s, &c);
    char *data = mem_alloc(size);
    for (size_t i = 0; i < size; i++)
        data[i] = (char)(i * 7 + i / 1000);
    size_t queued = 0;
    for (size_t at = 0; at < size; at += size / 4)
        queued = sock_write(c.sock, data + at, size / 4);
    assert_true(queued > 0 && queued < size);
    assert_int_equal(sock_queued(c.sock), queued);
    sock_pause(s.peer.sock, true);
    sock_set_events(s.peer.sock, &end_events, &s.peer);
    bool never = false;
    loop_run_until(*state, &never, 20);
    assert_int_equal(s.peer.got.len, 0);
    sock_pause(s.peer.sock, false);
    wait_for(*state, &s.peer.full);
    wait_for(*state, &c.drained);
    assert_int_equal(c.drains, 1);
    assert_int_equal(sock_queued(c.sock), 0);
    assert_memory_equal(s.peer.got.p, data, size);
    mem_free(data);
    close_both(&s, &c);
}

static void test_write_to_a_gone_peer(void **state) {
    struct server s = {0};
    struct end c = {.free_on_end = true};
    connect_both(*state, &s, &c);
    sock_pause(c.sock, true);
    sock_free(s.peer.sock);
    s.peer.sock = NULL;
    bool never = false;
    loop_run_until(*state, &never, 10);
    sock_write(c.sock, "x", 1);
    assert_false(c.ended); /* never inside the call */
    wait_for(*state, &c.ended);
    assert_true(c.failed);
    assert_non_null(strstr(c.error, socket_path));
    close_both(&s, &c);
}

static void test_free_inside_data_with_queue(void **state) {
    struct server s = {.peer.want = 1, .peer.free_on_data = true};
    struct end c = {0};
    connect_both(*state, &s, &c);
    size_t size = 1024 * 1024;
    char *data = mem_zalloc(size);
    sock_write(s.peer.sock, data, size);
    sock_set_events(s.peer.sock, &end_events, &s.peer);
    sock_write(c.sock, "x", 1);
    wait_for(*state, &s.peer.full);
    wait_for(*state, &c.ended);
    assert_int_equal(s.peer.ends + s.peer.drains, 0);
    mem_free(data);
    close_both(&s, &c);
}

static void test_nobody_listens(void **state) {
    struct end c = {.free_on_end = true}, tcp = {0};
    assert_null(sock_connect_unix(*state, socket_path, &end_events, &c, &c.sock));
    wait_for(*state, &c.ended);
    assert_true(c.failed);
    assert_non_null(strstr(c.error, "cannot connect to"));
    assert_null(sock_connect_tcp(*state, "127.0.0.1", 1, &end_events, &tcp, &tcp.sock));
    wait_for(*state, &tcp.ended);
    assert_string_equal(tcp.error, "cannot connect to 127.0.0.1:1: connection refused");
    sock_free(tcp.sock);
}

static void test_bad_addresses(void **state) {
    char longest[200];
    memset(longest, 'p', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    struct sock *s = NULL;
    struct sock_listener *listener = NULL;
    struct err *e[] = {
        sock_connect_tcp(*state, "localhost", 80, &end_events, NULL, &s),
        sock_connect_tcp(*state, "127.0.0.1", 70000, &end_events, NULL, &s),
        sock_connect_unix(*state, longest, &end_events, NULL, &s),
        sock_listen_unix(*state, longest, server_accept, NULL, &listener),
        sock_listen_unix(*state, "/no/such/folder/s", server_accept, NULL, &listener),
    };
    for (size_t i = 0; i < ARRAY_LEN(e); i++) {
        assert_non_null(e[i]);
        err_free(e[i]);
    }
    assert_null(s);
    assert_null(listener);
}

static void test_stale_path_is_replaced_live_is_not(void **state) {
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    snprintf(at.sun_path, sizeof at.sun_path, "%s", socket_path);
    int dead = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(dead, (struct sockaddr *)&at, sizeof at), 0);
    close(dead);
    struct server one = {0}, two = {0};
    assert_null(sock_listen_unix(*state, socket_path, server_accept, &one, &one.listener));
    struct err *e = sock_listen_unix(*state, socket_path, server_accept, &two, &two.listener);
    assert_non_null(e);
    assert_int_equal(err_kind(e), ERR_LOCKED);
    err_free(e);
    wait_for(*state, &one.accepted); /* the question whether it lives */
    sock_free(one.peer.sock);
    sock_listener_free(one.listener);
}

static void test_tcp(void **state) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&at, &len), 0);
    struct end c = {.want = 4}, peer = {.want = 4};
    assert_null(sock_connect_tcp(*state, "127.0.0.1", ntohs(at.sin_port), &end_events, &c, &c.sock));
    sock_write(c.sock, "ping", 4); /* before it is connected */
    wait_for(*state, &c.connected);
    assert_null(sock_from_fd(*state, accept(listener, NULL, NULL), &end_events, &peer, &peer.sock));
    wait_for(*state, &peer.full);
    assert_string_equal(buf_str(&peer.got), "ping");
    sock_write(peer.sock, "pong", 4);
    wait_for(*state, &c.full);
    assert_string_equal(buf_str(&c.got), "pong");
    unsigned uid;
    assert_false(sock_peer_uid(c.sock, &uid));
    sock_free(c.sock);
    sock_free(peer.sock);
    buf_free(&c.got);
    buf_free(&peer.got);
    close(listener);
}

static void test_pipes(void **state) {
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    struct end r = {.want = 3}, w = {0};
    assert_null(sock_from_fd(*state, fds[0], &end_events, &r, &r.sock));
    assert_null(sock_from_fd(*state, fds[1], &end_events, &w, &w.sock));
    sock_write(w.sock, "abc", 3);
    wait_for(*state, &r.full);
    assert_string_equal(buf_str(&r.got), "abc");
    assert_false(w.ended);
    sock_free(r.sock);
    bool never = false;
    loop_run_until(*state, &never, 5);
    sock_write(w.sock, "abc", 3);
    wait_for(*state, &w.ended);
    assert_true(w.failed);
    sock_free(w.sock);
    buf_free(&r.got);
}

static void test_regular_file(void **state) {
    char path[] = "/tmp/test_stream_file.XXXXXX";
    int fd = mkstemp(path);
    struct end w = {0}, r = {.want = 600000};
    assert_null(sock_from_fd(*state, fd, &(struct sock_events){.on_drained = end_drained, .on_end = end_end}, &w,
        &w.sock));
    char block[1000];
    for (int i = 0; i < 600; i++) {
        memset(block, 'a' + i % 26, sizeof block);
        sock_write(w.sock, block, sizeof block);
    }
    assert_true(sock_queued(w.sock) > 0);
    wait_for(*state, &w.drained);
    while (sock_queued(w.sock) > 0) {
        w.drained = false;
        wait_for(*state, &w.drained);
    }
    sock_free(w.sock);
    assert_null(sock_from_fd(*state, open(path, O_RDONLY), &end_events, &r, &r.sock));
    wait_for(*state, &r.ended);
    assert_false(r.failed);
    assert_int_equal(r.got.len, 600000);
    for (size_t i = 0; i < r.got.len; i++)
        assert_int_equal(r.got.p[i], 'a' + (int)(i / 1000) % 26);
    sock_free(r.sock);
    buf_free(&r.got);
    unlink(path);
}

static void test_file_freed_inside_data_and_while_busy(void **state) {
    struct end r = {.want = 1, .free_on_data = true}, w = {0}, b = {0};
    assert_null(sock_from_fd(*state, open("/etc/passwd", O_RDONLY), &end_events, &r, &r.sock));
    wait_for(*state, &r.full);
    assert_null(sock_from_fd(*state, open("/dev/null", O_WRONLY), &end_events, &w, &w.sock));
    sock_write(w.sock, "abc", 3);
    sock_free(w.sock);
    assert_null(sock_from_fd(*state, open("/dev/full", O_WRONLY), &end_events, &b, &b.sock));
    sock_write(b.sock, "abc", 3);
    wait_for(*state, &b.ended);
    assert_string_equal(strrchr(b.error, ':'), ": no space left on device");
    sock_free(b.sock);
    buf_free(&r.got);
}

static void test_bad_descriptor(void **state) {
    struct sock *s = NULL;
    struct err *e = sock_from_fd(*state, 999, &end_events, NULL, &s);
    assert_non_null(e);
    err_free(e);
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    e = sock_from_fd(*state, fd, &end_events, NULL, &s);
    assert_non_null(e);
    err_free(e);
    close(fd);
    assert_null(s);
}

/* A terminal is reopened: the one that we were given stays blocking for whoever shares it. */
static void test_terminal(void **state) {
    int master = posix_openpt(O_RDWR | O_NOCTTY);
    if (master < 0 || grantpt(master) != 0 || unlockpt(master) != 0)
        skip();
    int fd = open(ptsname(master), O_RDWR | O_NOCTTY), shared = dup(fd);
    struct end t = {.want = 6};
    assert_null(sock_from_fd(*state, fd, &end_events, &t, &t.sock));
    assert_int_equal(fcntl(shared, F_GETFL) & O_NONBLOCK, 0);
    assert_int_equal(write(master, "input\n", 6), 6);
    wait_for(*state, &t.full);
    assert_string_equal(buf_str(&t.got), "input\n");
    sock_write(t.sock, "screen", 6);
    char seen[64] = "";
    ssize_t n = read(master, seen, sizeof seen - 1);
    assert_true(n > 0);
    sock_free(t.sock);
    buf_free(&t.got);
    close(shared);
    close(master);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_exchange_and_clean_end, setup, teardown),
        cmocka_unit_test_setup_teardown(test_back_pressure, setup, teardown),
        cmocka_unit_test_setup_teardown(test_write_to_a_gone_peer, setup, teardown),
        cmocka_unit_test_setup_teardown(test_free_inside_data_with_queue, setup, teardown),
        cmocka_unit_test_setup_teardown(test_nobody_listens, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bad_addresses, setup, teardown),
        cmocka_unit_test_setup_teardown(test_stale_path_is_replaced_live_is_not, setup, teardown),
        cmocka_unit_test_setup_teardown(test_tcp, setup, teardown),
        cmocka_unit_test_setup_teardown(test_pipes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_regular_file, setup, teardown),
        cmocka_unit_test_setup_teardown(test_file_freed_inside_data_and_while_busy, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bad_descriptor, setup, teardown),
        cmocka_unit_test_setup_teardown(test_terminal, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
