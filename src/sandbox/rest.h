/* What stands around the Kubernetes API in the sandbox: PostgreSQL, Vault, Alertmanager, application endpoints, lvs and
 * a kubectl for port-forward. Each is a part (sandbox.h) of its own; this is what they share. */
#ifndef FERRYMAN_SANDBOX_REST_H
#define FERRYMAN_SANDBOX_REST_H

#include "base/buf.h"
#include "base/err.h"

struct sandbox;
struct http_request;
struct json_t;

struct rest {
    struct pg *pg;
    struct pg_clients *pg_clients;
    struct vault *vault;
    struct alerts *alerts;
    struct apps *apps;
    struct lvm *lvm;
    struct forward *forward;
    char *pg_password;  /* of the superuser and of the application's role */
    char *vault_token;
};

/* The state of the parts; made at the first call. */
struct rest *rest_of(struct sandbox *s);
/* Freed with the last part. */
void rest_free(struct sandbox *s);
/* The passwords that the seed's Secrets and the plan's files name. Random, the same during one run. Borrowed. */
const char *rest_pg_password(struct sandbox *s);
const char *rest_vault_token(struct sandbox *s);
/* Another one from now on. */
void rest_new_vault_token(struct sandbox *s);

/* n random bytes as hexadecimal digits (malloc'd). */
char *rest_random_hex(size_t n) MUST_CHECK;
/* Writes DIR/name durably. */
struct err *rest_write(struct sandbox *s, const char *name, const char *text, unsigned mode) MUST_CHECK;
/* Answers with a document, which is freed; a newline follows it, as from Go's encoder. */
void rest_reply(struct http_request *r, unsigned status, struct json_t *doc);
/* Milliseconds of Unix time as "2026-04-25T16:18:03.000Z" (with that many digits of fraction: 0, 3, 6, 9). */
struct json_t *rest_time(int64_t unix_ms, int digits);

#endif
