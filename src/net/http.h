/* HTTP on the loop: libcurl's multi interface. curl.h is included by src/net alone.
 *
 * A `struct http` is the transport of one server (or one kind of use of it): where, TLS, proxy, connection pool. Over
 * HTTP/2 its requests share one connection (PIPEWAIT). Redirects are never followed (a 307 with a token would hand the
 * token out). Half-open connections: TCP keepalive and TCP_USER_TIMEOUT 20 s; http_reset throws every connection away.
 * No cookies, no netrc, no environment proxies unless asked.
 *
 * Callbacks come from the loop; requests may be started and freed inside them. A request's on_done is called exactly
 * once unless it is freed first. */
#ifndef FERRYMAN_NET_HTTP_H
#define FERRYMAN_NET_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

struct loop;
struct secret;
struct http;
struct http_request;

/* All strings are copied. PEM texts are bytes in memory, never temporary files. */
struct http_options {
    const char *base_url;        /* scheme://host[:port][/path], no trailing slash */
    const char *name;            /* for errors: "kube home", "vault-0" */
    const char *ca_pem;          /* NULL: the system's store */
    const char *client_cert_pem; /* both or none */
    struct secret *client_key_pem;
    bool insecure;               /* no verification of the server */
    const char *server_name;     /* tls-server-name: SNI and verification; NULL: the URL's host */
    const char *proxy_url;       /* http, https, socks5; NULL: none, unless env_proxy */
    bool env_proxy;              /* HTTPS_PROXY, NO_PROXY as curl reads them */
    bool http1_only;
    const char *user_agent;      /* NULL: ferryman/VERSION */
    int64_t connect_timeout_ms;  /* 0: 10 s */
};

struct http *http_new(struct loop *l, const struct http_options *o);
/* Every request must be freed or done before. */
void http_free(struct http *h);
/* Throws all connections away and fails what runs on them (ERR_UNAVAILABLE "connection given up: REASON"). */
void http_reset(struct http *h, const char *reason);

struct http_head {
    int status;                 /* HTTP status */
    struct slice content_type;
    int64_t retry_after_s;      /* -1 if absent; seconds or date form */
    bool http2;
    bool framed;                /* its body's end is told apart from a broken connection: a length, chunks, or HTTP/2 */
    struct slice location;      /* of a redirect, which is not followed */
};

struct http_result {
    int status;                 /* 0 if there was no answer */
    struct err *error;          /* NULL if the exchange was complete (whatever the status); borrowed */
    struct buf *body;           /* collected body (unless on_data took it), bounded by max_body; borrowed */
    struct http_head head;
    int64_t connect_us, first_byte_us, total_us; /* -1 where unknown; connect_us also where the connection was reused */
    bool connected;             /* TCP (and TLS) had been established: "accepts and says nothing" if no answer came */
    bool tcp;                   /* TCP alone had been */
    const char *remote_address; /* numeric, "" if none */
};

struct http_call {
    const char *method;         /* "GET" if NULL */
    const char *path;           /* appended to base_url; already escaped; with the query */
    const char *const *headers; /* "Name: value", NULL-terminated */
    struct secret *bearer;      /* Authorization: Bearer …; a reference is taken */
    const char *secret_header;  /* e.g. "X-Vault-Token"; value is secret_value */
    struct secret *secret_value;
    const char *body;           /* copied */
    size_t body_len;
    const char *content_type;   /* of the body; NULL: application/json */
    bool gzip;                  /* Accept-Encoding: gzip; never for watches: multi-member bodies fail */
    bool fresh;                 /* a connection of its own: libcurl repeats a request on a reused one that dies before it answers */
    int64_t timeout_ms;         /* whole exchange; 0: none (watch) */
    int64_t idle_timeout_ms;    /* no byte for so long: error; 0: none */
    size_t max_body;            /* bytes to collect; 0: 4 MiB. More is ERR_PROTOCOL */
    /* The answer's head, before any data. Returning false gives the rest up (on_done follows with ERR_CANCELLED). May
     * be NULL. */
    bool (*on_head)(void *arg, const struct http_head *head);
    /* Chunks of the body instead of collecting it, for status 200..299 only (error bodies are collected). An error it
     * returns (owned by http then) ends the request and is its result. */
    struct err *(*on_data)(void *arg, const char *p, size_t n);
    void (*on_done)(void *arg, const struct http_result *r);
    void *arg;
};

/* Starts at the end of this turn. */
struct http_request *http_start(struct http *h, const struct http_call *call);
/* Cancels without a callback if it still runs. Must be called for every request, also inside on_done. */
void http_request_free(struct http_request *r);
/* Pauses and resumes delivery of on_data (back-pressure). */
void http_request_pause(struct http_request *r, bool paused);

/* Appends text percent-encoded for a path segment or query value (RFC 3986 unreserved stay). */
void http_escape(struct buf *out, const char *text);

#endif
