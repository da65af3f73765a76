/* A Kubernetes API server: transport, credentials and single requests. Watches are kube_reflector.h.
 *
 * Credentials are looked after here: token files are re-read (1 min, and on 401), exec plugins run on demand, on expiry
 * and once on 401, their stderr captured into the error; a new client certificate drops the connections. A request that
 * meets a 401 is repeated once if other credentials could be got; else it is reported and trying again is the caller's.
 * A canary GET /version with a 5 s deadline every 15 s while anything is watched notices half-open connections: on
 * failure every connection is thrown away (http_reset). */
#ifndef FERRYMAN_CLIENT_KUBE_CLIENT_H
#define FERRYMAN_CLIENT_KUBE_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

struct http_head;
struct http_result;
struct kube_client;
struct kube_config;
struct kube_request;
struct loop;

struct kube_client_events {
    /* Whether the server answers and takes our credentials, when that changes: error NULL when it does, else borrowed.
     * A single refused request (403, 404, 5xx) is not meant, nor what is behind the pod proxy (raw_errors). */
    void (*on_health)(void *arg, const struct err *error);
    /* Who we are (SelfSubjectReview, or the certificate's subject) became known; expires_ms is 0 if no end is known. */
    void (*on_identity)(void *arg, const char *user, const char *groups, const char *method, int64_t expires_ms);
    /* /version, once known and when it changes. */
    void (*on_version)(void *arg, const char *git_version);
};

/* Borrows config until kube_client_free; ev is copied. Asks for the version and the identity at once if ev wants them.
 * Callbacks come from the loop, never inside these functions. */
struct kube_client *kube_client_new(struct loop *l, const struct kube_config *config,
                                    const struct kube_client_events *ev, void *arg);
/* Not inside its own callbacks; every request and reflector is freed before. */
void kube_client_free(struct kube_client *c);
unsigned kube_client_take_count(struct kube_client *c); /* requests since the last call */

struct kube_call {
    const char *method;        /* NULL: GET */
    const char *path;          /* escaped, with the query: "/api/v1/namespaces/x/pods/y/log?tailLines=100" */
    const char *const *headers; /* more headers, e.g. for what is behind the pod proxy; NULL-terminated or NULL */
    const char *secret_header; /* see net/http.h */
    struct secret *secret_value;
    const char *body, *content_type;
    size_t max_body;
    int64_t timeout_ms;        /* 0: 30 s; -1: none */
    int64_t idle_timeout_ms;
    bool gzip;                 /* allowed; not used on loopback or if the config forbids it */
    bool fresh;                /* a connection of its own, never a reused one: for what must not be sent twice */
    int64_t begin_by_ms;       /* mono: given up unsent (status 0) if credentials came later than that; 0: no matter */
    bool raw_errors;           /* leave non-2xx to the caller (pod proxy) instead of making an error of the Status */
    bool (*on_head)(void *arg, const struct http_head *head);    /* as net/http.h; not for a 401 that is repeated */
    struct err *(*on_data)(void *arg, const char *p, size_t n); /* as net/http.h: 2xx only */
    /* e (borrowed): transport or API error: ERR_AUTH 401, ERR_DENIED 403 (ERR_UNAVAILABLE
     * within 10 s after the server came back: it may not have read its roles yet), ERR_UNAVAILABLE 429 and 5xx, ERR_FAILED other
     * 4xx, … with the Status' message; NULL for 2xx (raw_errors: for every answer). r is never NULL; its status is 0
     * if nothing was answered, or nothing was asked because there are no credentials. */
    void (*on_done)(void *arg, const struct http_result *r, const struct err *e);
    void *arg;
};

/* Everything in call is copied (secrets are referenced). */
struct kube_request *kube_start(struct kube_client *c, const struct kube_call *call);
/* Cancels without a callback if it still runs. Must be called for every request, also inside on_done. */
void kube_request_free(struct kube_request *r);
void kube_request_pause(struct kube_request *r, bool paused); /* as http_request_pause; also before it is sent */

/* What a Status document says. */
struct kube_status {
    int code;                  /* 0 if it is no Status */
    char reason[64];
    char message[512];         /* cleaned */
    char continue_token[512];  /* metadata.continue of an expired list */
    int64_t retry_after_s;     /* details.retryAfterSeconds, -1 */
    bool too_large_rv;         /* cause ResourceVersionTooLarge */
};
void kube_status_parse(struct slice json, struct kube_status *ret);

#endif
