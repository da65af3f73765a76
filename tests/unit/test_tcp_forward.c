/* The forwarder: bytes go both ways however slow one side is, it refuses when closed, and servers see the source that was asked for. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "loop/loop.h"
#include "sandbox/loopback.h"
#include "sandbox/tcp_forward.h"

#define DEADLINE_MS 10000

struct stage {
    struct loop *loop;
    struct tcp_forward *forward;
    int listener;
    unsigned port; /* of the listener */
    bool leads, closed;
};

static bool target(void *arg, const char **ret_address, unsigned *ret_port)
{
    const struct stage *s = arg;
    *ret_address = "127.0.0.1";
    *ret_port = s->port;
    return s->leads;
}

static void on_closed(void *arg)
{
    ((struct stage *)arg)->closed = true;
}

static struct sockaddr_in local(unsigned port)
{
    return (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)port),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static struct stage stage_new(void)
{
    struct stage s = {.loop = loop_new(), .leads = true};
    struct sockaddr_in a = local(0);
    socklen_t n = sizeof a;
    s.listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(s.listener, (struct sockaddr *)&a, n), 0);
    assert_int_equal(listen(s.listener, 8), 0);
    assert_int_equal(getsockname(s.listener, (struct sockaddr *)&a, &n), 0);
    s.port = ntohs(a.sin_port);
    return s;
}

/* The stage's address must stay where it is from here on. */
static void stage_open(struct stage *s, const char *source)
{
    struct tcp_forward_options o = {.address = "127.0.0.1", .source = source, .target = target, .on_closed = on_closed, .arg = s};
    assert_null(tcp_forward_new(s->loop, &o, &s->forward));
    assert_null(tcp_forward_open(s->forward, true));
}

static void stage_free(struct stage *s)
{
    tcp_forward_free(s->forward);
    close(s->listener);
    loop_free(s->loop);
}

static int dial(const struct stage *s)
{
    struct sockaddr_in a = local(tcp_forward_port(s->forward));
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(fd, (struct sockaddr *)&a, sizeof a) != 0) {
        close(fd);
        return -1;
    }
    fcntl(fd, F_SETFL, O_NONBLOCK);
    return fd;
}

static void turn(struct stage *s)
{
    bool never = false;
    loop_run_until(s->loop, &never, 5);
}

static int answer(struct stage *s, struct sockaddr_in *from)
{
    socklen_t n = sizeof *from;
    fcntl(s->listener, F_SETFL, O_NONBLOCK);
    int fd = -1;
    for (int i = 0; i < DEADLINE_MS / 5 && fd < 0; i++) {
        turn(s);
        fd = accept(s->listener, (struct sockaddr *)from, &n);
    }
    assert_true(fd >= 0);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    return fd;
}

static void test_both_ways_and_slowly(void **state)
{
    (void)state;
    struct stage s = stage_new();
    struct sockaddr_in from;
    stage_open(&s, NULL);
    int client = dial(&s), server = answer(&s, &from);
    size_t sent = 0, seen = 0, total = (size_t)8 << 20;
    char *bytes = mem_alloc(65536), got[65536];
    for (size_t i = 0; i < 65536; i++)
        bytes[i] = (char)(i * 31);
    /* Nobody reads at first: more than every buffer on the way holds does not go in. */
    for (int i = 0; i < 200; i++) {
        ssize_t n = send(client, bytes, 65536, MSG_NOSIGNAL);
        sent += n > 0 ? (size_t)n : 0;
        turn(&s);
        if (n < 0)
            break;
    }
    for (int i = 0; i < 100000 && seen < total; i++) {
        if (sent < total) {
            size_t at = sent % 65536, n = total - sent < 65536 - at ? total - sent : 65536 - at;
            ssize_t w = send(client, bytes + at, n, MSG_NOSIGNAL);
            sent += w > 0 ? (size_t)w : 0;
        }
        ssize_t r = recv(server, got, sizeof got, 0);
        for (ssize_t k = 0; k < r; k++)
            if (got[k] != bytes[(seen + (size_t)k) % 65536])
                fail_msg("byte %zu is another one", seen + (size_t)k);
        seen += r > 0 ? (size_t)r : 0;
        if (r <= 0)
            turn(&s);
    }
    assert_true(seen >= total);
    assert_int_equal(send(server, "back", 4, MSG_NOSIGNAL), 4);
    ssize_t n = -1;
    for (int i = 0; i < 1000 && n <= 0; i++) {
        turn(&s);
        n = recv(client, got, sizeof got, 0);
    }
    assert_int_equal(n, 4);
    /* What was sent before the end arrives, then the end. */
    assert_int_equal(send(server, "last", 4, MSG_NOSIGNAL), 4);
    close(server);
    n = -1;
    for (int i = 0; i < 1000 && n <= 0; i++) {
        turn(&s);
        n = recv(client, got, sizeof got, 0);
    }
    assert_int_equal(n, 4);
    for (int i = 0; i < 1000 && n != 0; i++) {
        turn(&s);
        n = recv(client, got, sizeof got, 0);
    }
    assert_int_equal(n, 0);
    for (int i = 0; i < 1000 && !s.closed; i++)
        turn(&s);
    assert_true(s.closed);
    assert_int_equal(tcp_forward_count(s.forward), 0);
    mem_free(bytes);
    close(client);
    stage_free(&s);
}

static void test_closed_refuses(void **state)
{
    (void)state;
    struct stage s = stage_new();
    stage_open(&s, NULL);
    unsigned port = tcp_forward_port(s.forward);
    assert_null(tcp_forward_open(s.forward, false));
    assert_int_equal(dial(&s), -1);
    assert_null(tcp_forward_open(s.forward, true));
    assert_int_equal(tcp_forward_port(s.forward), port);
    s.leads = false; /* open, but nowhere to go: the connection is closed */
    int client = dial(&s);
    char byte;
    ssize_t n = -1;
    for (int i = 0; i < 1000 && n < 0; i++) {
        turn(&s);
        n = recv(client, &byte, 1, 0);
    }
    assert_int_equal(n, 0);
    close(client);
    stage_free(&s);
}

static void test_source(void **state)
{
    (void)state;
    char address[LOOPBACK_SIZE], other[LOOPBACK_SIZE];
    int fd = -1, other_fd = -1;
    if (!loopback_take(NULL, "test", address, &fd))
        skip(); /* a system with one loopback address */
    assert_true(loopback_take(address, "test", other, &other_fd));
    assert_string_not_equal(address, other); /* it is taken: the next one */
    struct stage s = stage_new();
    struct sockaddr_in from;
    stage_open(&s, address);
    int client = dial(&s), server = answer(&s, &from);
    char text[64];
    assert_non_null(inet_ntop(AF_INET, &from.sin_addr, text, sizeof text));
    assert_string_equal(text, address);
    close(client);
    close(server);
    close(fd);
    assert_true(loopback_take(address, "else", text, &fd)); /* free again: the one that is wanted */
    assert_string_equal(text, address);
    close(fd);
    close(other_fd);
    stage_free(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both_ways_and_slowly),
        cmocka_unit_test(test_closed_refuses),
        cmocka_unit_test(test_source),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
