/* Vault or OpenBao raft cluster → raft_clusters, raft_peers: each node is asked by itself, with a deadline for every question; views
 * are compared, and a leader that hangs is told apart from a network that does (raft_verdict.h). */
#ifndef FERRYMAN_SOURCE_VAULT_SOURCE_H
#define FERRYMAN_SOURCE_VAULT_SOURCE_H

#include <stdbool.h>
#include <stdint.h>

#include "world/world.h"

struct kube_client;
struct loop;
struct secret;
struct vault_source;

struct vault_source_options {
    struct loop *loop;
    struct world *world;
    const char *workload, *ns, *statefulset;
    struct kube_client *kube;        /* pod proxy; may be NULL when direct */
    bool direct;
    const char *const *node_names;   /* direct: names and URLs, NULL-terminated */
    const char *const *node_urls;
    const char *scheme;              /* kube-proxy: of the pods */
    unsigned port;
    const char *ca_pem, *tls_server_name;
    bool insecure;
    const char *token_file;          /* re-read when it changes; NULL */
    struct secret *token;            /* from the environment; NULL */
    int64_t poll_ms;                 /* 0: 5 s */
};

/* Over the proxy the nodes are the pods of the stateful set as the world knows them (T_PODS, owner StatefulSet/NAME), plus raft
 * peers without a pod. */
struct vault_source *vault_source_new(const struct vault_source_options *o);
void vault_source_free(struct vault_source *s);
void vault_source_poke(struct vault_source *s);

/* ---- From a phase or window at work, which does not know the source: of this workload, in this world (none: nothing happens) */

enum vault_probe_state { VAULT_PROBE_SENT, VAULT_PROBE_OK, VAULT_PROBE_FAILED, VAULT_PROBE_UNKNOWN /* it could not be made */ };

struct vault_probe {
    const char *node; /* that is written to */
    enum vault_probe_state state;
    const char *error; /* clean; NULL */
};

/* Each write probe when it is sent, and when it has ended; NULL: none is run any more. RAFT_CLUSTERS.WRITE_PROBE, the classes that only a
 * write shows, and what is left of the index when our own writes are taken off. */
void vault_source_probe(const struct world *w, const char *workload, const struct vault_probe *p);
/* For so long a change of the leader is expected: that none is active is no alarm. */
void vault_source_expect_change(const struct world *w, const char *workload, int64_t for_ms);

#endif
