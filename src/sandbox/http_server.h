/* An HTTP/1.1 server on 127.0.0.1, over TLS or plain, on our loop: libmicrohttpd's epoll descriptor is polled, and
 * MHD_run follows every resume. Only http_server.c includes microhttpd.h.
 *
 * A request reaches the handler whole (body read, at most 16 MiB). It is answered once, in the handler or any time
 * later, whole (http_reply) or as a stream (http_reply_stream); until then its connection is suspended, so a server
 * that "accepts and says nothing" is a handler that keeps the request. Requests and streams end in http_server_free and
 * http_server_down: their `gone` / `closed` callback is called then. */
#ifndef FERRYMAN_SANDBOX_HTTP_SERVER_H
#define FERRYMAN_SANDBOX_HTTP_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

struct loop;
struct http_server;
struct http_request;
struct http_stream;

struct http_server_options {
    const char *key_pem, *cert_pem; /* texts, not paths; NULL: plain HTTP. Borrowed until http_server_free */
    const char *client_ca_pem;      /* client certificates are asked for and checked against it; NULL: not asked for */
    unsigned port;                  /* 0: chosen by the kernel */
    void (*handle)(void *arg, struct http_request *r);
    void *arg;
};

struct err *http_server_new(struct loop *l, const struct http_server_options *o, struct http_server **ret) MUST_CHECK;
unsigned http_server_port(const struct http_server *s);
/* Closes the listener and cuts every connection at once (connection refused from now on); http_server_up listens on the
 * same port again. Not allowed inside the handler or a stream's callbacks (defer). */
void http_server_down(struct http_server *s);
struct err *http_server_up(struct http_server *s) MUST_CHECK;
bool http_server_is_up(const struct http_server *s);
/* NULL is allowed. Not allowed inside the handler or a stream's callbacks. */
void http_server_free(struct http_server *s);

/* What was asked. Borrowed, valid until the request is answered. */
const char *http_request_method(const struct http_request *r);
const char *http_request_path(const struct http_request *r);   /* percent-decoded, without the query */
const char *http_request_target(const struct http_request *r); /* as sent: "/a%20b?c=d" */
/* Decoded; NULL if absent, "" if empty. */
const char *http_request_query(const struct http_request *r, const char *key);
/* The name in any case; NULL if absent. */
const char *http_request_header(const struct http_request *r, const char *name);
struct slice http_request_body(const struct http_request *r);
/* Common name of a client certificate that client_ca_pem vouches for, else NULL. */
const char *http_request_client_cn(const struct http_request *r);
/* For the handler's own use, until the answer: `gone` is called if the server ends before the request was answered (the
 * request is invalid after it). */
void http_request_on_gone(struct http_request *r, void (*gone)(void *arg), void *arg);

/* A header of the answer; before the reply. Copies. */
void http_reply_header(struct http_request *r, const char *name, const char *value);
/* Answers whole; copies the bytes; `r` is invalid afterwards. content_type may be NULL. */
void http_reply(struct http_request *r, unsigned status, const char *content_type, const void *p, size_t n);
void http_reply_str(struct http_request *r, unsigned status, const char *content_type, const char *text);
/* The same with Content-Length as if all were sent, but cut after n bytes: the connection is closed. */
void http_reply_cut(struct http_request *r, unsigned status, const char *content_type, const void *p, size_t n,
                    size_t claimed);
/* Closes the connection without any answer. */
void http_reply_none(struct http_request *r);

#define HTTP_FILL_END ((size_t)-1) /* the body is complete */
#define HTTP_FILL_CUT ((size_t)-2) /* the connection is cut in the middle of the body */

struct http_stream_events {
    /* Puts up to max bytes into p and returns how many; 0: nothing now, called again after http_stream_wake. */
    size_t (*fill)(void *arg, char *p, size_t max);
    /* Once: the body has ended, was cut, the peer has gone or the server ends. The stream is invalid afterwards. */
    void (*closed)(void *arg);
};

/* Answers with a chunked body that `fill` gives; `r` is invalid afterwards. */
struct http_stream *http_reply_stream(struct http_request *r, unsigned status, const char *content_type,
                                      const struct http_stream_events *ev, void *arg);
/* There is something to send; safe at any time, also inside callbacks. */
void http_stream_wake(struct http_stream *st);

#endif
