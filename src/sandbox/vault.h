/* The sandbox's Vault: three nodes behind the pods vault/vault-0..2, each reachable on a loopback port of its own
 * (plain HTTP) and through the API server's pod proxy. Bodies and codes as Vault 1.18.1 has them, unless
 * `vault version` says otherwise (OpenBao's shapes too). */
#ifndef FERRYMAN_SANDBOX_VAULT_H
#define FERRYMAN_SANDBOX_VAULT_H

#include <stdbool.h>

struct sandbox;
struct sandbox_part;
struct http_request;

#define VAULT_NAMESPACE "vault"
#define VAULT_APP "vault"
#define VAULT_PORT 8200

extern const struct sandbox_part vault_part;

/* The node (0..2) that is active and answers; -1: none. For what is seen from outside (apps.h). */
int vault_active_node(struct sandbox *s);
/* Whether audit volumes on block storage are full (a scenario). */
bool vault_audit_is_full(struct sandbox *s);
/* Answers a request to a node as its own port would; takes the request over. `path` begins with "/v1/" or "/ui/". */
void vault_node_handle(struct sandbox *s, int node, const char *path, struct http_request *r);

#endif
