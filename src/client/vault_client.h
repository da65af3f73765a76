/* One Vault or OpenBao node: single requests with a deadline each, directly or through the API server's pod proxy.
 *
 * Through the proxy Authorization is the API server's own; X-Vault-Token passes through. A 307 is never followed: it
 * names another node, and the token would go with it. The API server speaks with the same status codes as Vault: a
 * Status or a plain text is its own word, never Vault's. A node that accepts TCP and says nothing is SILENT directly;
 * through the proxy it looks like a black hole until the API server's dial has timed out (30 s), so it is NO_ANSWER:
 * whether TCP was accepted is not known. */
#ifndef FERRYMAN_CLIENT_VAULT_CLIENT_H
#define FERRYMAN_CLIENT_VAULT_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

struct kube_client;
struct loop;
struct secret;
struct vault_client;
struct vault_request;

#define VAULT_TIMEOUT_MS 5000 /* of one question */
#define VAULT_CONNECT_TIMEOUT_MS 3000
#define VAULT_DIAL_MS 35000 /* by then the API server's dial has failed, if it was going to */

/* All strings are copied; kube is borrowed. */
struct vault_client_options {
    struct loop *loop;
    const char *name; /* of the node, for errors */
    const char *url;  /* direct: scheme://host:port; NULL: through kube */
    const char *ca_pem, *tls_server_name;
    bool insecure;
    struct kube_client *kube;
    const char *ns, *pod, *scheme; /* scheme NULL: http */
    unsigned port;                 /* 0: 8200 */
};

struct vault_client *vault_client_new(const struct vault_client_options *o);
/* Every request is freed before. */
void vault_client_free(struct vault_client *c);
bool vault_client_is_proxied(const struct vault_client *c);
const char *vault_client_endpoint(const struct vault_client *c); /* where it is asked, for people */

enum vault_fate {
    VAULT_ANSWERED,    /* Vault's own answer, whatever its status */
    VAULT_SILENT,      /* TCP was accepted, no answer within the deadline */
    VAULT_NO_ANSWER,   /* through the proxy: no answer within the deadline, TCP unknown */
    VAULT_UNREACHABLE, /* no connection; through the proxy: the API server could not connect */
    VAULT_NO_POD,      /* through the proxy: there is no such pod */
    VAULT_BLOCKED, /* our way to it is closed (API server away, forbidden, busy; not Vault): says nothing about it */
};

struct vault_reply {
    enum vault_fate fate;
    int status;              /* of an answer, also the API server's; 0 if there was none */
    struct slice body;       /* of Vault's answer */
    const struct err *error; /* NULL for a 2xx of Vault's; ERR_DENIED 403, ERR_UNAVAILABLE 5xx, 429 and 307, … */
    int64_t ms;              /* time to the whole answer; -1 if there was none */
};

struct vault_call {
    const char *method;   /* NULL: GET */
    const char *path;     /* "/v1/sys/health" */
    struct secret *token; /* referenced; NULL: unauthenticated */
    const char *body;     /* JSON; NULL: none */
    int64_t timeout_ms;   /* 0: VAULT_TIMEOUT_MS */
    bool fresh;           /* a connection of its own: for what must not be sent twice */
    int64_t begin_by_ms;  /* mono: given up unsent if the API server's credentials came later than that; 0: no matter */
    void (*on_reply)(void *arg, const struct vault_reply *r);
    void *arg;
};

/* on_reply comes exactly once, from the loop, unless the request is freed first. */
struct vault_request *vault_ask(struct vault_client *c, const struct vault_call *call);
/* Cancels without a callback if it still runs. Must be called for every request, also inside on_reply; r may be
 * NULL. */
void vault_request_free(struct vault_request *r);

/* ---- Bodies as they come (vault_stream.c): a snapshot ----
 *
 * A GET whose body has no bound and no deadline but idle_ms without a byte. A 2xx alone is streamed; anything else is an error, a 307
 * too. Nothing is unpacked on the way (no Accept-Encoding). What ends before HTTP says that it ends is an error, and so is a
 * 2xx whose end could not be told from a broken connection (neither a length nor chunks). */
struct vault_stream;

struct vault_stream_call {
    const char *path;
    struct secret *token; /* referenced; NULL: unauthenticated */
    int64_t idle_ms;      /* 0: VAULT_IDLE_MS */
    void (*on_data)(void *arg, struct slice bytes);
    void (*on_end)(void *arg, const struct err *e); /* once; NULL: the whole body came */
    void *arg;
};
#define VAULT_IDLE_MS 60000

struct vault_stream *vault_stream_new(struct vault_client *c, const struct vault_stream_call *call);
/* Without a callback if it still runs; also inside the callbacks. NULL is allowed. */
void vault_stream_free(struct vault_stream *s);
void vault_stream_pause(struct vault_stream *s, bool paused); /* back-pressure: the idle deadline stands still too */

#endif
