/* What the vault_* files of src/source share. Nothing else includes it.
 *
 * vault_node.c asks one node its three unauthenticated questions and says how it was reached; vault_auth.c asks the
 * active node what needs a token; vault_rows.c turns both into rows; vault_source.c finds the nodes, keeps time and
 * judges. */
#ifndef FERRYMAN_SOURCE_VAULT_SOURCE_PRIVATE_H
#define FERRYMAN_SOURCE_VAULT_SOURCE_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"
#include "client/vault_client.h"
#include "client/vault_parse.h"
#include "source/raft_verdict.h"
#include "source/vault_source.h"

#define VAULT_HISTORY_MAX 60
#define VAULT_TOGETHER_MS 1500 /* samples of two nodes that were asked within this time are compared */

struct kube_client;
struct loop;
struct map;
struct secret;
struct source_row;
struct timer;
struct vault_auth;
struct vault_source;

enum vault_topic { TOPIC_HEALTH, TOPIC_LEADER, TOPIC_SEAL, TOPIC_COUNT };
enum vault_dial { DIAL_UNKNOWN, DIAL_ACCEPTED, DIAL_FAILED };

struct vault_question {
    struct vault_node *node;
    enum vault_topic topic;
    struct vault_request *request; /* NULL: none runs */
    enum vault_fate fate;
};

struct vault_node {
    struct vault_source *source;
    char *name, *pod_uid;
    bool has_pod;
    struct vault_client *client;
    struct source_row *row;
    struct vault_question questions[TOPIC_COUNT];
    unsigned open;                  /* questions of this poll without a reply */
    bool due;                       /* the next poll waits for the end of this one */
    int64_t asked_mono, asked_wall; /* start of the poll that runs or ran last */
    int64_t ended_mono;
    char *poll_error; /* of the poll that runs */
    struct {
        bool health, leader, seal;
        int code;
        int64_t health_ms;
    } got; /* what the poll that runs has brought */

    /* the last poll that has ended */
    enum raft_reach reach;
    bool has_health, has_leader, has_seal;
    int code;
    int64_t health_ms, sampled_mono, missing_since;
    unsigned misses, hits;
    char *error;
    struct vault_health health;
    struct vault_leader leader;
    struct vault_seal seal;
    struct vault_health new_health;
    struct vault_leader new_leader;
    struct vault_seal new_seal;

    /* proxied nodes that give no answer: a request that waits for longer than the API server dials */
    struct vault_request *dial_request;
    enum vault_dial dial;
    char *dial_error;

    int64_t lag, lag_mono;               /* behind lag_leader when both were last asked together; -1 */
    const struct vault_node *lag_leader; /* compared only */
    bool was_active;                     /* in this run */
    enum vault_flag last_sealed;         /* for the timeline */
    uint16_t per_second[60];             /* requests */
    int64_t rate_second;
};

struct vault_node *vault_node_new(struct vault_source *s, const char *name, const char *url);
void vault_node_free(struct vault_node *n);
void vault_node_poll(struct vault_node *n);
/* Another pod under this name, or none: what was counted against the old one is forgotten. */
void vault_node_pod(struct vault_node *n, struct slice uid);
bool vault_node_is_active(const struct vault_node *n);

struct vault_source {
    struct loop *loop;
    struct world *world;
    struct vault_source_options o; /* its strings are ours */
    char *workload, *ns, *statefulset, *owner, *scheme, *ca_pem, *tls_server_name, *token_file;
    int64_t poll_ms;
    struct vault_node **nodes; /* sorted by name */
    size_t count;
    struct vault_auth *auth;
    struct timer *tick, *soon, *settle;
    struct raft_memory memory;
    char *last_state, *last_leader;
    int64_t history[VAULT_HISTORY_MAX], ours[VAULT_HISTORY_MAX];
    size_t nhistory;
    struct map *written;  /* keys of our rows in T_RAFT_PEERS */
    int64_t sampled_mono; /* of the last sample in history */
    bool auth_begun;
    struct {
        char *node, *error;         /* node NULL: none is run */
        enum vault_probe_state last; /* how the last one ended; VAULT_PROBE_SENT: none has ended yet */
        unsigned failures;
        int64_t sent_at, failing_since, failed_at, index_then, writes;
    } probe;
    int64_t change_until;      /* wall ms */
    struct vault_source *next; /* of all that there are */
};

/* "NOT RUN", "OK", "FAIL", "UNKNOWN". */
const char *vault_probe_word(const struct vault_source *s);

/* A poll has ended: rows and judgement follow when those that began with it have ended too, or have had their time. Two
 * nodes seen at different times would both be active while the leader changes. */
void vault_source_changed(struct vault_source *s);

/* Answers that need a token; NULL or a count of 0 where there are none, or none fresh enough. */
struct vault_facts {
    const struct vault_servers *servers;
    const struct vault_autopilot *autopilot;
    const struct vault_autopilot_config *config;
    const struct vault_members *members;
};

struct vault_auth *vault_auth_new(struct vault_source *s);
void vault_auth_free(struct vault_auth *a);
/* Asks the active node (NULL: there is none), if no round runs; settles the source's row when it cannot. */
void vault_auth_poll(struct vault_auth *a, struct vault_node *active);
struct vault_facts vault_auth_facts(const struct vault_auth *a);
const char *vault_auth_row_key(const struct vault_auth *a);

/* vault_rows.c */
const struct vault_server *vault_server_of(const struct vault_node *n, const struct vault_servers *servers,
                                           const struct vault_members *members);
/* The node that an address belongs to: its name; else the host itself (malloc'd); "" if the answer names none. */
char *vault_named_leader(const struct vault_source *s, const struct vault_node *n, const struct vault_members *members);
const struct row *vault_pod_of(const struct vault_source *s, const struct vault_node *n);
bool vault_pod_on_nfs(const struct vault_source *s, const struct row *pod);
void vault_rows_remove(struct vault_source *s);
void vault_rows_write(struct vault_source *s, const struct raft_node *seen, const struct raft_verdict *v);

#endif
