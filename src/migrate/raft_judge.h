/* Judging a raft cluster and its set before anything of it moves: pure, documents and parsed answers in, words out. Each returns whether
 * it may go on; what was found is appended either way. Sources: Vault 1.18–2.0 and OpenBao 2.4–2.6 (physical/raft, raft-autopilot), the
 * issues hashicorp/vault 31732 and 32099, the charts of both. */
#ifndef FERRYMAN_MIGRATE_RAFT_JUDGE_H
#define FERRYMAN_MIGRATE_RAFT_JUDGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/str.h"

struct json_t;
struct vault_autopilot_config;
struct vault_server;
struct vault_servers;

/* ---- Versions and the log ---- */

/* Below this applied index the whole history of the configuration may still be in the log that a wiped node replays: snapshot threshold
 * 8192 and trailing logs 10240, as both products have them. */
#define RAFT_LOG_KEPT 18432

/* Whether a node of this version looks for itself in every configuration that it meets and, missing, leaves for good (Vault from 1.19 on;
 * OpenBao and older ones do not). A version that cannot be read counts as one that does. */
bool raft_removes_itself(bool openbao, const char *version);
/* Whether a wiped node could meet a configuration without itself. False: it could, and what helps. */
bool raft_judge_log(bool openbao, const char *version, int64_t applied, struct buf *out);

/* ---- The configuration ---- */

/* The pod that a peer is: by the first label of its address, its address (`pods`: a list of Pod documents), or its id; NULL: no pod of the
 * set. Valid until the fourth next call. */
const char *raft_peer_pod(const struct vault_server *peer, const char *set, int64_t replicas, const struct json_t *pods);
/* Every peer is a voter and a pod, every pod a peer. *ret_stable: every id is its pod's name, so a wiped node is the same one again. */
bool raft_judge_peers(const struct vault_servers *peers, const char *set, int64_t replicas, const struct json_t *pods, bool *ret_stable,
                      struct buf *out);
/* What a rejoin is with such ids, in words. */
void raft_say_rejoin(bool stable, struct buf *out);
/* Autopilot must not prune a node while its claims are exchanged. */
bool raft_judge_cleanup(const struct vault_autopilot_config *c, int64_t voters, struct buf *out);

/* ---- The set ---- */

/* replicas, strategy, retention policy, owners, roll-outs under way. `notes` gets what is worth knowing, a line each. */
bool raft_judge_set(const struct json_t *set, struct buf *out, struct buf *notes);
/* Names of variables that hold something like a secret in the template itself: they stand in the manifest that is saved. */
void raft_say_open_secrets(const struct json_t *set, struct buf *out);
/* Adds what of a list (pods, deployments, statefulsets, jobs, cronjobs; kind in lower case) mounts one of the claims (names): everything
 * but the pods of the set that own them. "cronjob/x (data-vault-0)". */
void raft_find_mounters(const struct json_t *list, const char *kind, const char *set, const struct json_t *claims, struct buf *found);

/* ---- Automation, by its words ---- */

/* "vault operator init", "sys/init", bank-vaults without --no-init: would make a second cluster out of a wiped node. */
bool raft_text_inits(const char *text);
bool raft_text_unseals(const char *text);
/* A configuration with retry_join; with an auto seal (*ret_seal: its type, "awskms"; NULL: none). */
bool raft_text_joins(const char *text);
const char *raft_text_seal(const char *text);
/* A container's name, image, commands, hooks and plain environment in one text, to be searched. */
void raft_container_text(const struct json_t *container, struct buf *out);
/* Adds who of a list (as above) runs with a ConfigMap that would initialise: "configmap/y of cronjob/x". names: of such ConfigMaps. */
void raft_find_config_users(const struct json_t *list, const char *kind, const struct json_t *names, struct buf *found);
/* Adds containers of a list (as above) that would initialise, or that unseal: "container unsealer of pod/x". What has ended, is suspended
 * or stands at 0 replicas does neither. */
void raft_find_automation(const struct json_t *list, const char *kind, struct buf *inits, struct buf *unseals);

/* ---- Addresses ---- */

enum raft_address { RAFT_ADDRESS_OWN, RAFT_ADDRESS_OTHER, RAFT_ADDRESS_UNKNOWN /* a public name: it may lead here */ };

/* Names of the services (a list) that lead to pods with these labels, whatever they say of who is active: [name]. Their addresses, too. */
struct json_t *raft_services_of(const struct json_t *services, const struct json_t *labels);
/* Whether a URL, as it is used in namespace `from` (NULL: anywhere), leads to the services `own` of namespace ns. */
enum raft_address raft_judge_address(const char *url, const char *from, const char *ns, const struct json_t *own);

/* ---- Audit ---- */

/* sys/audit → [{"device","path","volume"}], volume: the claim template that the path lies on, "" if none (it is in the container, or
 * no file at all). Appends them in words. */
struct json_t *raft_audit_files(const struct json_t *answer, const struct json_t *set, struct buf *out);
/* The claim template whose mount holds the path; NULL. */
const char *raft_volume_of(const struct json_t *set, const char *path);

#endif
