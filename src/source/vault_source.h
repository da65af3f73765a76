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

#endif
