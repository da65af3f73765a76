/* Byte streams: unix sockets (listen, accept, connect), TCP connects on loopback or elsewhere, and inherited
 * descriptors (stdout, pipes). Writes never block: what does not fit is queued up to a bound that the writer asks for.
 */
#ifndef FERRYMAN_LOOP_STREAM_SOCK_H
#define FERRYMAN_LOOP_STREAM_SOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct loop;
struct sock;
struct sock_listener;

struct sock_events {
    void (*on_data)(void *arg, const char *p, size_t n);
    /* Everything queued has gone out: time to write more (called once after each drain). */
    void (*on_drained)(void *arg);
    /* The peer has closed or the connection failed (e NULL: clean end). Last callback; sock_free is still needed and is
     * allowed in it. e is borrowed. */
    void (*on_end)(void *arg, const struct err *e);
    /* For sock_connect*: connected. */
    void (*on_connected)(void *arg);
};

/* Only our own user can connect (mode 0600). A path left by a dead process is replaced; one that answers is ERR_LOCKED.
 * fn owns the peer; nothing is read before sock_set_events. */
struct err *sock_listen_unix(struct loop *l, const char *path, void (*fn)(void *arg, struct sock *peer), void *arg,
                             struct sock_listener **ret) MUST_CHECK;
void sock_listener_free(struct sock_listener *s); /* also unlinks the path */
struct err *sock_connect_unix(struct loop *l, const char *path, const struct sock_events *ev, void *arg,
                              struct sock **ret) MUST_CHECK;
/* Numeric address ("127.0.0.1", "::1") and port. */
struct err *sock_connect_tcp(struct loop *l, const char *address, unsigned port, const struct sock_events *ev,
                             void *arg, struct sock **ret) MUST_CHECK;
/* Takes over a descriptor: pipe, socket, tty or regular file opened for reading and/or writing; 0 to 2 are not closed.
 * It is read only if on_data is given. On error the descriptor stays the caller's. */
struct err *sock_from_fd(struct loop *l, int fd, const struct sock_events *ev, void *arg, struct sock **ret) MUST_CHECK;
void sock_set_events(struct sock *s, const struct sock_events *ev, void *arg); /* starts reading, for accepted peers */
/* Copies and queues. Returns the bytes that are queued and not yet taken by the kernel (0: no on_drained will come). A
 * failure is reported by on_end, never inside this call. */
size_t sock_write(struct sock *s, const void *p, size_t n);
size_t sock_queued(const struct sock *s);
void sock_pause(struct sock *s, bool paused); /* stops reading: back-pressure */
/* Uid of the process at the other end of a unix socket; false if it cannot be told. */
bool sock_peer_uid(const struct sock *s, unsigned *ret);
/* Drops what is queued. NULL is allowed. */
void sock_free(struct sock *s);

#endif
