/* One small request whose body and answer are JSON: the lock, the permissions and the fields that are watched ask so. */
#ifndef FERRYMAN_MIGRATE_KUBE_ASK_H
#define FERRYMAN_MIGRATE_KUBE_ASK_H

#include <stdint.h>

#include "base/err.h"

struct json_t;
struct kube_ask;
struct kube_client;

/* status: of HTTP, 0 if nothing was answered. doc: the body, NULL if it is no JSON. e: NULL for 2xx with JSON. All borrowed. */
typedef void (*kube_ask_fn)(void *arg, int status, const struct json_t *doc, const struct err *e);

/* body (borrowed) may be NULL. fn comes once, from the loop, unless the request is freed before. timeout_ms 0: 10 s. */
struct kube_ask *kube_ask_new(struct kube_client *c, const char *method, const char *path, const struct json_t *body,
                              int64_t timeout_ms, kube_ask_fn fn, void *arg);
/* Must be called for each, also inside fn. NULL is allowed. */
void kube_ask_free(struct kube_ask *a);

#endif
