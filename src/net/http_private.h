/* What the files of the HTTP client share. Nothing outside src/net includes it. */
#ifndef FERRYMAN_NET_HTTP_PRIVATE_H
#define FERRYMAN_NET_HTTP_PRIVATE_H

#include <curl/curl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/http.h"

struct fdwatch;
struct timer;
struct http_socket;

struct http {
    struct loop *loop;
    char *name;          /* for errors */
    char *url;           /* base_url, its host replaced by the server name if there is one */
    char *host;          /* of base_url, IPv6 in brackets */
    char *authority;     /* host:port, for errors */
    char *proxy;         /* host:port of a given proxy, for errors */
    char *user_agent, *proxy_url, *ca_pem, *cert_pem;
    struct secret *key_pem;
    struct curl_slist *connect_to;
    struct err *unusable; /* what is wrong with base_url */
    bool https, insecure, env_proxy, http1_only;
    int64_t connect_timeout_ms;

    CURLM *multi;
    struct timer *timer;          /* libcurl's */
    struct http_socket *sockets;
    struct http_request *requests; /* not yet done */
    int in_curl;                  /* callbacks of libcurl may be on the stack */
    bool dead;                    /* http_free was called there */
    char *reset_reason;           /* http_reset was called there */
};

/* The head as it comes line by line. */
struct http_lines {
    struct http_head head; /* its slices point below */
    char *content_type, *location;
    bool complete;
};

enum http_state { HTTP_WAITING, HTTP_RUNNING, HTTP_ENDED, HTTP_DONE };

struct http_request {
    struct http *http;
    struct loop *loop;
    struct http_request *prev, *next;
    enum http_state state;
    bool freed;      /* by its owner, inside a callback: nothing is called any more */
    bool delivering; /* on_done is on the stack */
    bool paused, held; /* wanted; libcurl keeps data back */

    char *method, *path, *body;
    size_t body_len, max_body;
    bool gzip, fresh;
    int64_t timeout_ms, idle_timeout_ms;
    bool (*on_head)(void *arg, const struct http_head *head);
    struct err *(*on_data)(void *arg, const char *p, size_t n);
    void (*on_done)(void *arg, const struct http_result *r);
    void *arg;

    CURL *easy;
    struct curl_slist *headers; /* with secrets: wiped */
    char errbuf[CURL_ERROR_SIZE];
    struct timer *timer;
    int64_t begun_ns, last_ms; /* mono; last: when something came */
    struct http_lines lines;
    struct buf got;
    struct err *error;
    bool tcp, tls;             /* established */
    char remote[64];
    long remote_port;
    int64_t connect_us, first_byte_us, total_us;
};

/* http.c: out of libcurl's callbacks again: does what waited for that. */
void http_after_curl(struct http *h, CURLMcode code);

/* http_multi.c */
void http_multi_open(struct http *h);
void http_multi_close(struct http *h);
/* CURLOPT_CLOSESOCKETFUNCTION: the watch goes before the descriptor. */
int http_close_socket(void *http, curl_socket_t fd);
/* Ends the requests whose exchange libcurl has finished. */
void http_drain(struct http *h);

/* http_tls.c: server verification, client certificate, proxy, addresses. */
void http_tls_prepare(struct http *h, const struct http_options *o);
CURLcode http_tls_setup(struct http *h, CURL *easy);

/* http_request.c */
void http_request_end(struct http_request *r, CURLcode code);
void http_request_fail(struct http_request *r, struct err *e);
void http_request_drop(struct http_request *r);
void http_request_observe(struct http_request *r);

/* http_easy.c */
CURLcode http_easy_open(struct http_request *r);
void http_easy_close(struct http_request *r);
struct err *http_headers_make(struct http_request *r, const struct http_call *call) MUST_CHECK;
void http_headers_wipe(struct http_request *r);

/* http_head.c: takes one line of a head with its line end; true when a final head (not 1xx) is complete. */
bool http_lines_add(struct http_lines *l, struct slice line);
void http_lines_free(struct http_lines *l);

/* http_error.c: "NAME: METHOD /path: what". */
struct err *http_error(const struct http_request *r, enum err_kind kind, const char *fmt, ...) PRINTF_LIKE(3, 4)
    MUST_CHECK;
struct err *http_error_curl(const struct http_request *r, CURLcode code) MUST_CHECK;
struct err *http_error_timeout(const struct http_request *r, int64_t ms, bool idle) MUST_CHECK;

#endif
