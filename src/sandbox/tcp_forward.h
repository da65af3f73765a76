/* A TCP forwarder on the loop: what a Service's address is to its clients. Each connection leads to where `target` says
 * at that moment; it keeps leading there until one side ends it. The outgoing side comes from the client's own loopback
 * address, as it would through a node's address translation: the server sees who its clients are. */
#ifndef FERRYMAN_SANDBOX_TCP_FORWARD_H
#define FERRYMAN_SANDBOX_TCP_FORWARD_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

struct loop;
struct tcp_forward;

struct tcp_forward_options {
    const char *address; /* to listen on, numeric IPv4 */
    unsigned port;       /* 0: chosen by the kernel */
    const char *source;  /* the address that connections go out from; NULL: the client's */
    /* Where a new connection leads; false: nowhere, it is closed. */
    bool (*target)(void *arg, const char **ret_address, unsigned *ret_port);
    void (*on_closed)(void *arg); /* a connection has ended; NULL allowed. tcp_forward_free is not allowed in it */
    void *arg;
};

/* Copies the options. The port is ours until tcp_forward_free, also while it refuses. It begins closed. */
struct err *tcp_forward_new(struct loop *l, const struct tcp_forward_options *o, struct tcp_forward **ret) MUST_CHECK;
unsigned tcp_forward_port(const struct tcp_forward *f);
/* Closed, connections are refused, as those to a Service without endpoints; those that are open stay. */
struct err *tcp_forward_open(struct tcp_forward *f, bool open) MUST_CHECK;
/* Connections that are open now. */
size_t tcp_forward_count(const struct tcp_forward *f);
/* Ends every connection. NULL is allowed. */
void tcp_forward_free(struct tcp_forward *f);

#endif
