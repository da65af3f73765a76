/* What the kube_client files share among themselves and with the reflector. Nothing outside src/client and the tests
 * includes it. */
#ifndef FERRYMAN_CLIENT_KUBE_CLIENT_PRIVATE_H
#define FERRYMAN_CLIENT_KUBE_CLIENT_PRIVATE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"
#include "client/kube_client.h"

struct http;
struct kube_auth;
struct kube_canary;
struct kube_credentials;
struct kube_identity;
struct loop;

/* Connections made with one client certificate. The current one is kube_client's; a retired one goes with its last
 * request. */
struct kube_transport {
    struct http *http;
    unsigned connection; /* kube_auth.connection that it was made for */
    unsigned users;
    bool retired;
};

/* Somebody who watches: the canary runs while there is one. */
struct kube_watcher {
    void (*on_proof)(void *arg, bool same_connection); /* the canary was answered */
    void (*on_return)(void *arg);                      /* the server had not answered, or not to us, and does again */
    void *arg;
    struct kube_watcher *prev, *next;
};

struct kube_client {
    struct loop *loop;
    const struct kube_config *config;
    struct kube_client_events ev;
    void *arg;
    char *name;                       /* "kube CONTEXT", for errors */
    bool remote;                      /* the server is not on loopback */
    struct kube_credentials *credentials;
    struct kube_transport *transport; /* NULL until the first request has credentials */
    struct kube_request *requests;    /* not done */
    unsigned count;
    bool healthy;
    struct err *health;               /* NULL while healthy or not yet known */
    int64_t returned_ms;              /* mono: when it answered again after it had not; 0: never */
    int64_t heard_ms;                 /* mono: last bytes on the present HTTP/2 connection */
    struct kube_canary *canary;
    struct kube_identity *identity;
};

/* kube_client.c */
void kube_client_health(struct kube_client *c, const struct err *e); /* NULL: it answers */
bool kube_request_waits(const struct kube_request *r);               /* for credentials: not yet sent */

/* kube_canary.c */
struct kube_canary *kube_canary_new(struct kube_client *c);
void kube_canary_free(struct kube_canary *k);
void kube_canary_pace(struct kube_client *c, int64_t every_ms, int64_t deadline_ms); /* for tests: shorter times */
void kube_canary_returned(struct kube_canary *k); /* tells the watchers */
void kube_watcher_add(struct kube_client *c, struct kube_watcher *w);
void kube_watcher_remove(struct kube_client *c, struct kube_watcher *w);

/* kube_identity.c: asks who we are; again when the credentials have changed since the last answer. */
struct kube_identity *kube_identity_new(struct kube_client *c);
void kube_identity_free(struct kube_identity *id);
void kube_identity_check(struct kube_identity *id);

/* kube_status.c: the error of a refused request. */
struct err *kube_status_err(const char *name, const char *method, const char *path, int code, struct slice body)
    MUST_CHECK;

#endif
