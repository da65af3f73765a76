/* See tcp_forward.h. */
#include "sandbox/tcp_forward.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "loop/fdwatch.h"
#include "loop/loop.h"
#include "loop/stream_sock.h"

#define QUEUE_MAX ((size_t)256 * 1024) /* bytes that wait for one side before the other is no longer read */

struct pair;

struct side {
    struct pair *pair;
    struct sock *sock; /* NULL once it has ended */
    struct side *peer;
};

struct pair {
    struct pair *next;
    struct tcp_forward *f;
    struct side side[2]; /* the client's and the server's */
};

struct tcp_forward {
    struct loop *loop;
    struct tcp_forward_options o;
    struct sockaddr_in address, source; /* source: family 0 for the client's */
    int reserved, listener; /* -1: none */
    struct fdwatch *watch;
    struct pair *pairs;
};

static void pair_free(struct pair *p)
{
    struct pair **at = &p->f->pairs;

    while (*at != p)
        at = &(*at)->next;
    *at = p->next;
    sock_free(p->side[0].sock);
    sock_free(p->side[1].sock);
    mem_free(p);
}

static void pair_over(struct pair *p)
{
    struct tcp_forward *f = p->f;

    pair_free(p);
    if (f->o.on_closed)
        f->o.on_closed(f->o.arg);
}

static void side_on_data(void *arg, const char *p, size_t n)
{
    struct side *s = arg;

    if (s->peer->sock && sock_write(s->peer->sock, p, n) > QUEUE_MAX)
        sock_pause(s->sock, true);
}

/* What waited has gone: the other side is read again, or, if it has ended, so does this one. */
static void side_on_drained(void *arg)
{
    struct side *s = arg;

    if (s->peer->sock)
        sock_pause(s->peer->sock, false);
    else
        pair_over(s->pair);
}

static void side_on_end(void *arg, const struct err *e)
{
    struct side *s = arg;

    (void)e;
    sock_free(s->sock);
    s->sock = NULL;
    if (!s->peer->sock || sock_queued(s->peer->sock) == 0)
        pair_over(s->pair);
}

static const struct sock_events side_events = {.on_data = side_on_data, .on_drained = side_on_drained,
                                               .on_end = side_on_end};

static struct err *open_socket(int *ret_fd)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), on = 1;

    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0) {
        struct err *e = err_sys(errno, "cannot make a socket");
        if (fd >= 0)
            close(fd);
        return e;
    }
    *ret_fd = fd;
    return NULL;
}

/* A connection to the server that comes from the client's address; -1: nowhere to go. On loopback it is there at once or
 * refused at once; what is refused later ends the pair. */
static int dial(struct tcp_forward *f, const struct sockaddr_in *client)
{
    const char *address;
    unsigned port;
    struct sockaddr_in from = f->source.sin_family ? f->source : *client, to = {.sin_family = AF_INET};
    int fd = -1, on = 1;

    if (!f->o.target(f->o.arg, &address, &port) || inet_pton(AF_INET, address, &to.sin_addr) != 1)
        return -1;
    to.sin_port = htons((uint16_t)port);
    from.sin_port = 0;
    struct err *e = open_socket(&fd);
    if (e) {
        err_free(e);
        return -1;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&from, sizeof from) != 0 ||
        (connect(fd, (struct sockaddr *)&to, sizeof to) != 0 && errno != EINPROGRESS)) {
        close(fd);
        return -1;
    }
    return fd;
}

/* Takes both descriptors over. */
static struct err *pair_new(struct tcp_forward *f, int client, int server)
{
    struct pair *p = MEM_NEW(struct pair);
    int fds[2] = {client, server};
    struct err *e = NULL;

    *p = (struct pair){.next = f->pairs, .f = f};
    f->pairs = p;
    for (int i = 0; i < 2; i++) {
        p->side[i] = (struct side){.pair = p, .peer = &p->side[1 - i]};
        if (!e)
            e = sock_from_fd(f->loop, fds[i], &(struct sock_events){0}, &p->side[i], &p->side[i].sock);
        if (e && !p->side[i].sock)
            close(fds[i]);
    }
    if (e) {
        pair_free(p);
        return e;
    }
    for (int i = 0; i < 2; i++)
        sock_set_events(p->side[i].sock, &side_events, &p->side[i]);
    return NULL;
}

static void on_client(void *arg, unsigned events)
{
    struct tcp_forward *f = arg;
    struct sockaddr_in from;
    socklen_t n = sizeof from;
    int on = 1;

    (void)events;
    int client = accept4(f->listener, (struct sockaddr *)&from, &n, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (client < 0)
        return;
    int server = dial(f, &from);
    if (server < 0) {
        close(client);
        return;
    }
    setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    err_ignore(pair_new(f, client, server), "a client that is not served sees its connection close");
}

struct err *tcp_forward_new(struct loop *l, const struct tcp_forward_options *o, struct tcp_forward **ret)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)o->port)};
    socklen_t n = sizeof a;
    int fd = -1;
    struct err *e = open_socket(&fd);

    if (e)
        return e;
    if (inet_pton(AF_INET, o->address, &a.sin_addr) != 1 || bind(fd, (struct sockaddr *)&a, sizeof a) != 0 ||
        getsockname(fd, (struct sockaddr *)&a, &n) != 0) {
        e = err_sys(errno, "cannot use port %u of %s", o->port, o->address);
        close(fd);
        return e;
    }
    struct tcp_forward *f = MEM_NEW(struct tcp_forward);
    *f = (struct tcp_forward){.loop = l, .o = *o, .address = a, .reserved = fd, .listener = -1};
    f->o.address = f->o.source = NULL;
    if (o->source && inet_pton(AF_INET, o->source, &f->source.sin_addr) == 1)
        f->source.sin_family = AF_INET;
    *ret = f;
    return NULL;
}

unsigned tcp_forward_port(const struct tcp_forward *f)
{
    return ntohs(f->address.sin_port);
}

static void stop_listening(struct tcp_forward *f)
{
    fdwatch_free(f->watch);
    f->watch = NULL;
    close(f->listener);
    f->listener = -1;
}

struct err *tcp_forward_open(struct tcp_forward *f, bool open)
{
    if (open == (f->listener >= 0))
        return NULL;
    if (!open) {
        stop_listening(f);
        return NULL;
    }
    int fd = -1;
    struct err *e = open_socket(&fd);
    if (!e && (bind(fd, (struct sockaddr *)&f->address, sizeof f->address) != 0 || listen(fd, 64) != 0)) {
        e = err_sys(errno, "cannot listen on port %u", tcp_forward_port(f));
        close(fd);
    }
    if (e)
        return e;
    f->listener = fd;
    f->watch = fdwatch_new(f->loop, fd, on_client, f);
    fdwatch_set(f->watch, FD_READABLE);
    return NULL;
}

size_t tcp_forward_count(const struct tcp_forward *f)
{
    size_t n = 0;

    for (const struct pair *p = f->pairs; p; p = p->next)
        n++;
    return n;
}

void tcp_forward_free(struct tcp_forward *f)
{
    if (!f)
        return;
    while (f->pairs)
        pair_free(f->pairs);
    if (f->listener >= 0)
        stop_listening(f);
    close(f->reserved);
    mem_free(f);
}
