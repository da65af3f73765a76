/* What vault.c (pods, scenarios), vault_http.c (routes) and vault_body.c (answers) share. */
#ifndef FERRYMAN_SANDBOX_VAULT_PRIVATE_H
#define FERRYMAN_SANDBOX_VAULT_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sandbox/vault_cluster.h"

struct http_request;
struct http_server;
struct json_t;
struct map;
struct sandbox;
struct timer;

#define VAULT_TOKEN_TTL_S (8 * 3600)
#define VAULT_FORWARD_MS 90000 /* a standby waits so long for the active node, then redirects */

/* A request that waits: for a node that hangs, or at a standby for an active node that hangs. */
struct vault_held {
    struct vault_held *next;
    struct vault *v;
    int node;
    char *path;
    struct http_request *r;
    int64_t redirect_at; /* 0: waits for ever */
};

/* What the console shows of a node, to notice changes. */
struct vault_seen {
    bool ready, known;
    enum vault_stage stage;
    bool active;
};

/* Where a node's pod stands. */
struct vault_pod {
    struct vault *v;
    struct http_server *server;
    char *name;      /* NULL: no pod */
    char *volume;    /* handle of its data volume */
    char *ip;        /* of its last pod */
    bool original;   /* the first start of this ordinal has been seen */
    int64_t stop_at; /* it ends then; mono; 0: it does not */
    int stop_code;
    int64_t stable_since_seen, stable_plan_ms;
    struct vault_seen seen;
};

struct vault {
    struct sandbox *s;
    struct vault_cluster c;
    bool openbao;
    unsigned major, minor; /* of the version */
    char *version;
    char *cluster_id;
    int64_t active_plan_ms; /* when the leader became active, plan time */
    int leader_seen;
    bool denied, lagging, snapshot_cut;
    int hung_node, sealed_node, lag_node;
    int64_t token_created_ms, token_expires_ms; /* mono */
    struct vault_pod pod[VAULT_NODES];
    struct vault_held *held;
    struct map *volumes;    /* handle -> struct vault_volume */
    struct map *cubbyhole;  /* path -> JSON text */
    struct json_t *autopilot; /* configuration */
    struct timer *timer;
    bool servers_due;
};

/* Vault 1.19 and later, or OpenBao at all. */
bool vault_is_at_least(const struct vault *v, unsigned major, unsigned minor);
/* Answers now or keeps the request. */
void vault_answer(struct vault *v, int node, const char *path, struct http_request *r);
/* Answers what waited for something that is now otherwise; called after every tick. */
void vault_held_check(struct vault *v);
/* Drops everything that waits, for one node or (VAULT_NONE) all: their connections are closed. */
void vault_held_drop(struct vault *v, int node);

/* Answers with a snapshot of now. */
void vault_snapshot_send(const struct vault *v, struct http_request *r);

/* Bodies. All return a new document. */
struct json_t *vault_body_health(const struct vault *v, int node);
struct json_t *vault_body_seal_status(const struct vault *v, int node);
struct json_t *vault_body_leader(const struct vault *v, int node);
struct json_t *vault_body_ha_nodes(const struct vault *v);
struct json_t *vault_body_raft_configuration(const struct vault *v);
struct json_t *vault_body_autopilot_state(const struct vault *v);
struct json_t *vault_body_lookup_self(const struct vault *v);
struct json_t *vault_body_auth(const struct vault *v);
/* The envelope of logical answers; takes data over (NULL: null). */
struct json_t *vault_body_envelope(struct json_t *data);
/* {"errors": [text]}; no text gives an empty list. */
struct json_t *vault_body_errors(const char *text);
/* "http://10.42.0.7:8200", the pod's address, as vault-N advertises it. */
char *vault_api_address(const struct vault *v, int node);
/* Milliseconds until the token dies. */
int64_t vault_token_left_ms(const struct vault *v);
/* A standby whose heartbeats to the active node fail. */
bool vault_heartbeat_fails(const struct vault *v, int node);

#endif
