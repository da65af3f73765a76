/* What vault.c (pods), vault_scenarios.c, vault_save.c, vault_http.c (routes) and vault_body.c (answers) share. */
#ifndef FERRYMAN_SANDBOX_VAULT_PRIVATE_H
#define FERRYMAN_SANDBOX_VAULT_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "sandbox/sandbox.h"
#include "sandbox/vault_cluster.h"

struct http_request;
struct http_server;
struct json_t;
struct map;
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
    bool stalled;        /* for the active node's storage or audit device */
};

/* What the console shows of a node, to notice changes. */
struct vault_seen {
    bool ready, known;
    enum vault_stage stage;
    bool active;
};

/* What a data volume holds. */
struct vault_volume {
    int64_t applied;
    bool removed;
    char id[VAULT_ID_SIZE];
};

/* What stands still at the active node. */
enum vault_stall { STALL_NONE, STALL_STORAGE, STALL_AUDIT };

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
    bool audit_full; /* its audit volume takes nothing more */
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
    bool sealed_starts, audit_unwritable, audit_full, unstable_ids; /* scenarios that meet pods that start */
    enum vault_stall stall;
    int hung_node, sealed_node, lag_node, stall_node, failing_node;
    int64_t token_created_ms, token_expires_ms; /* mono */
    bool was_quorum, was_lost;
    struct buf alarms; /* lines: quorums that were lost */
    struct vault_pod pod[VAULT_NODES];
    struct vault_held *held;
    struct map *volumes;    /* handle -> struct vault_volume */
    struct map *cubbyhole;  /* path -> JSON text */
    struct json_t *autopilot; /* configuration */
    struct timer *timer;
    bool servers_due;
};

struct vault *vault_of(struct sandbox *s);
/* The volume holds what the node that runs on it does. */
void vault_volume_keep(struct vault_volume *volume, const struct vault_node *n);
/* Moves the machine to now and shows what came of it. */
void vault_move(struct vault *v);
/* Vault and OpenBao differ in bodies and codes; the version decides which. */
void vault_set_version(struct vault *v, const char *version, bool openbao);
/* A new id, as a node without a configured one makes it up. */
char *vault_random_uuid(void) MUST_CHECK;
/* From now on this token is the one, for as long as a new one lives; DIR/vault-token says it. */
struct err *vault_new_token(struct vault *v) MUST_CHECK;

/* vault_scenarios.c */
#define VAULT_SCENARIOS 18
#define VAULT_COMMANDS 3
extern const struct scenario vault_scenarios[VAULT_SCENARIOS];
extern const struct control_command vault_commands[VAULT_COMMANDS];
/* Whether the pod's securityContext and volumes let Vault write its data; else says so in the log. */
bool vault_may_write(struct vault *v, const struct pod_info *info);

/* vault_save.c */
struct err *vault_save(struct sandbox *s, const char *folder, struct json_t *state) MUST_CHECK;
void vault_load(struct vault *v, const struct json_t *state);

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
