/* Vault or OpenBao for a run: each node of the set, asked by its pod's name, directly or through the API server's pod proxy, as the
 * plan says. The token never leaves this file: callers say only that it is to be sent.
 *
 * Identity (safety 1): before the first answer of a node is passed on, its cluster_id (sys/health) is compared with the plan's pin and
 * the fact vault.cluster_id; a node of another cluster is ERR_DATA. A wiped node has none yet and passes. */
#ifndef FERRYMAN_MIGRATE_RUN_VAULT_H
#define FERRYMAN_MIGRATE_RUN_VAULT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

struct run;
struct run_vault;
struct run_vault_asked;
struct vault_reply;

struct run_vault *run_vault_new(struct run *r); /* reads no token yet */
void run_vault_free(struct run_vault *v);

struct run_vault_call {
    const char *node;     /* pod */
    const char *method;   /* NULL: GET */
    const char *path;     /* "/v1/sys/leader" */
    const char *body;     /* JSON; NULL: none */
    bool token;           /* sent to this node alone; 307s are never followed */
    int64_t timeout_ms;   /* 0: 5 s */
    int64_t begin_by_ms;  /* mono: not sent (ERR_UNAVAILABLE) after that; 0: no matter */
};
/* fn once, from the loop; reply as vault_client.h has it (any status that Vault itself gave is an answer). */
struct run_vault_asked *run_vault_ask(struct run *r, const struct run_vault_call *c, void (*fn)(void *arg, const struct vault_reply *reply), void *arg);
void run_vault_ask_free(struct run_vault_asked *a); /* also inside fn */

/* A body as it comes, for snapshots: no limit of size, no deadline but idle_ms without a byte (0: 60 s). A 2xx alone is streamed;
 * anything else is an error. on_end comes once: NULL after the last byte of a response that ended as HTTP says it must. */
struct run_vault_stream;
struct run_vault_stream *run_vault_stream(struct run *r, const char *node, const char *path, int64_t idle_ms,
                                          void (*on_data)(void *arg, struct slice bytes), void (*on_end)(void *arg, const struct err *e), void *arg);
void run_vault_stream_free(struct run_vault_stream *s); /* without a callback if it still runs; also inside on_end */
void run_vault_stream_pause(struct run_vault_stream *s, bool paused); /* back-pressure */

/* The token is asked for again (a file that changed, a login). False: there is none. */
bool run_vault_has_token(const struct run *r);

#endif
