/* What vault_client.c and vault_stream.c share. */
#ifndef FERRYMAN_CLIENT_VAULT_CLIENT_PRIVATE_H
#define FERRYMAN_CLIENT_VAULT_CLIENT_PRIVATE_H

#include "client/vault_client.h"

struct http;
struct http_result;

struct vault_client {
    char *name, *endpoint;
    struct http *http;        /* direct */
    struct kube_client *kube; /* through the proxy */
    char *prefix;             /* of the proxy's paths */
};

/* What was asked, when, and how long it may take. */
struct vault_asking {
    struct vault_client *client;
    char *method, *path;
    int64_t started_ms, timeout_ms;
};

void vault_asking_clear(struct vault_asking *a);
/* What came, as a reply whose error is *ret (NULL for a 2xx of Vault's), to be freed by the caller. error: no whole answer came. */
struct vault_reply vault_judge(const struct vault_asking *a, const struct http_result *result, const struct err *error, struct err **ret);

#endif
