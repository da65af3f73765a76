/* What a request is to carry right now. Token files are re-read; credential plugins run on demand, on expiry and after
 * a 401, one at a time, and everybody who needs the answer waits for the same run. */
#ifndef FERRYMAN_CLIENT_KUBE_CREDENTIALS_H
#define FERRYMAN_CLIENT_KUBE_CREDENTIALS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

struct kube_config;
struct kube_credentials;
struct loop;
struct secret;

enum kube_auth_state { KUBE_AUTH_READY, KUBE_AUTH_PENDING, KUBE_AUTH_FAILED };

/* Borrowed until the next kube_credentials_* call. */
struct kube_auth {
    struct secret *bearer;    /* or NULL */
    struct secret *basic;     /* value of the Authorization header, or NULL */
    const char *cert_pem;     /* of the connection; both or none */
    struct secret *key_pem;
    unsigned generation;      /* counts changes of any of these */
    unsigned connection;      /* counts changes that need new connections (the certificate) */
    int64_t expires_ms;       /* earliest known end, Unix time; 0: unknown */
    /* "token", "token file", "certificate", "service account", "exec plugin", "password", "none" */
    const char *method;
};

/* on_change: a plugin has ended; ask again. Borrows config. */
struct kube_credentials *kube_credentials_new(struct loop *l, const struct kube_config *config,
                                              void (*on_change)(void *arg), void *arg);
void kube_credentials_free(struct kube_credentials *c);
/* READY fills *ret. PENDING: on_change will come. FAILED: *ret_error is borrowed; the plugin is tried again by a call
 * 5 s later or more. */
enum kube_auth_state kube_credentials_get(struct kube_credentials *c, struct kube_auth *ret,
                                          const struct err **ret_error);
/* The server answered 401 to this generation: true if asking again with kube_credentials_get's next answer makes sense
 * (the token file has changed, the plugin runs once more). */
bool kube_credentials_refused(struct kube_credentials *c, unsigned generation);

/* The exp claim of a JWT in Unix milliseconds; false if the token is none or has none. Nothing is verified. */
bool kube_jwt_expiry(struct slice token, int64_t *ret_ms);

#endif
