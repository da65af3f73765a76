/* What Vault and OpenBao answer, as structs: pure, from bytes. Shapes: Vault's API documentation, checked against
 * a real OpenBao 2.6.
 *
 * Differences that are met here: OpenBao 2.6 leaves false, zero and empty members of sys/leader out; logical answers
 * carry their data below "data", some (sys/ha-status) at the top too; Vault up to 1.10 wrote autopilot's state with
 * CamelCase keys; durations are Go's ("3.969159375s", "24h0m0s") or nanoseconds. Unknown keys are passed over. Texts
 * are cleaned and cut to their fields. Numbers that are absent are -1. */
#ifndef FERRYMAN_CLIENT_VAULT_PARSE_H
#define FERRYMAN_CLIENT_VAULT_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

#define VAULT_SERVERS_MAX 32 /* a raft cluster has 3, 5 or 7; more than this is an error */

enum vault_flag { VAULT_NOT_SAID, VAULT_NO, VAULT_YES };

/* sys/health, whatever its status code. */
struct vault_health {
    bool initialized, sealed, standby, performance_standby;
    enum vault_flag removed;            /* removed_from_cluster: Vault 1.19 */
    enum vault_flag connection_healthy; /* ha_connection_healthy of a standby: Vault 1.19 */
    int64_t heartbeat_ms;               /* since the last heartbeat to the active node */
    int64_t echo_ms;                    /* about 2000: the echo to the active node times out */
    bool openbao;
    char version[64], cluster_name[128], cluster_id[64];
};

/* sys/seal-status */
struct vault_seal {
    char type[32], version[64], cluster_id[64], storage[32];
    bool initialized, sealed, migration;
    enum vault_flag removed;
    int64_t threshold, shares, progress;
};

/* sys/leader. applied: last log index that this node has applied; appended: last that it has stored ("committed" on the
 * wire). */
struct vault_leader {
    bool ha_enabled, is_self;
    int64_t active_ms; /* Unix ms; -1 on every standby */
    char address[256], cluster_address[256];
    int64_t applied, appended;
};

/* sys/ha-status: the active node and whoever it has heard from in the last 15 s. */
struct vault_member {
    char hostname[128], api_address[256], cluster_address[256], version[64];
    bool active;
    int64_t last_echo_ms; /* Unix ms */
};
struct vault_members {
    struct vault_member list[VAULT_SERVERS_MAX];
    size_t count;
};

/* sys/storage/raft/configuration and autopilot/state, per server. */
struct vault_server {
    char id[128], address[256];
    bool voter, leader;
    /* autopilot's alone */
    char name[128], node_status[32], status[32], version[64];
    enum vault_flag healthy;
    int64_t contact_ms, last_index;
};
struct vault_servers {
    struct vault_server list[VAULT_SERVERS_MAX];
    size_t count;
};

struct vault_autopilot {
    enum vault_flag healthy;
    int64_t tolerance;
    char leader[128];
    struct vault_servers servers;
};

struct vault_autopilot_config {
    enum vault_flag cleanup; /* cleanup_dead_servers */
    int64_t last_contact_ms, dead_ms, stabilization_ms, max_trailing_logs, min_quorum;
};

/* auth/token/lookup-self; the token itself is not read. */
struct vault_token {
    char display_name[128], policies[512], path[128], type[32];
    int64_t expires_ms; /* Unix ms; -1: it does not end */
    int64_t ttl_s;
    bool renewable;
};

/* ERR_PROTOCOL if it is not JSON or not this answer; then *ret is untouched. */
struct err *vault_parse_health(struct slice json, struct vault_health *ret) MUST_CHECK;
struct err *vault_parse_seal(struct slice json, struct vault_seal *ret) MUST_CHECK;
struct err *vault_parse_leader(struct slice json, struct vault_leader *ret) MUST_CHECK;
struct err *vault_parse_members(struct slice json, struct vault_members *ret) MUST_CHECK;
struct err *vault_parse_servers(struct slice json, struct vault_servers *ret) MUST_CHECK;
struct err *vault_parse_autopilot(struct slice json, struct vault_autopilot *ret) MUST_CHECK;
struct err *vault_parse_autopilot_config(struct slice json, struct vault_autopilot_config *ret) MUST_CHECK;
struct err *vault_parse_token(struct slice json, struct vault_token *ret) MUST_CHECK;

/* {"errors":[…]}: appends the texts to out, joined by "; ", and says whether it is Vault's error body at all. Errors
 * that hold several ("1 error occurred:\n\t* permission denied\n\n") come without their frame. */
bool vault_parse_errors(struct slice json, struct buf *out);
/* Whether a body can be Vault's: an object that is no Kubernetes Status. What else comes through the API server's pod
 * proxy (a Status, plain text) is the API server's own word. */
bool vault_body_is_own(struct slice body);

/* A Go duration, or digits that are nanoseconds, in milliseconds; -1 if it is neither. */
int64_t vault_duration_ms(struct slice text);
/* The host of "https://vault-2.vault-internal:8201", "vault-2.vault-internal:8201", "[fd00::1]:8200"; absent if there
 * is none. */
struct slice vault_address_host(struct slice address);

#endif
