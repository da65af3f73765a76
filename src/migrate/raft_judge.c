#include "migrate/raft_judge.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json_doc.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "client/vault_parse.h"

#define CHECKER_MAJOR 1 /* Vault 1.19 */
#define CHECKER_MINOR 19
#define PRUNE_MIN_MS (INT64_C(3600) * 1000)

static void add_item(struct buf *out, const char *sep, const char *text) {
    buf_printf(out, "%s%s", out->len ? sep : "", text);
}

/* ---- Versions and the log ---- */

static bool version_parts(const char *text, long *major, long *minor) {
    char *end;
    if (!text) return false;
    *major = strtol(text, &end, 10);
    if (end == text || *end != '.') return false;
    const char *rest = end + 1;
    *minor = strtol(rest, &end, 10);
    return end != rest;
}

bool raft_removes_itself(bool openbao, const char *version) {
    long major, minor;
    if (openbao) return false;
    if (!version_parts(version, &major, &minor)) return true;
    return major > CHECKER_MAJOR || (major == CHECKER_MAJOR && minor >= CHECKER_MINOR);
}

bool raft_judge_log(bool openbao, const char *version, int64_t applied, struct buf *out) {
    if (!raft_removes_itself(openbao, version)) {
        buf_printf(out, "%s %s has no check that lets a node remove itself", openbao ? "OpenBao" : "Vault", version ? version : "");
        return true;
    }
    buf_printf(out, "Vault %s: a node that meets a configuration without itself while it replays the log removes itself for good "
                    "(hashicorp/vault 31732, 32099)", version ? version : "of unknown version");
    if (applied >= RAFT_LOG_KEPT) {
        buf_printf(out, "; the log (index %lld) is past %d, so a wiped node begins with a snapshot", (long long)applied, RAFT_LOG_KEPT);
        return true;
    }
    buf_printf(out, "; this log is exposed: its index %lld is below %d, so the joins of the beginning may still be replayed. No peer is "
                    "removed before a rejoin; a node that has removed itself is wiped once more", (long long)applied, RAFT_LOG_KEPT);
    return false;
}

/* ---- The configuration ---- */

static bool is_pod_of(struct slice name, const char *set, int64_t replicas) {
    size_t n = strlen(set);
    int64_t ordinal;
    if (name.n <= n + 1 || memcmp(name.p, set, n) != 0 || name.p[n] != '-') return false;
    return slice_to_i64((struct slice){name.p + n + 1, name.n - n - 1}, &ordinal) && ordinal >= 0 && ordinal < replicas;
}

static const char *pod_at(const struct json_t *pods, struct slice address) {
    const struct json_t *items = jd_get(pods, "items");
    for (size_t i = 0; i < jd_len(items); i++) {
        const char *ip = jd_str(jd_at(items, i), "status.podIP");
        if (ip && slice_is(address, ip)) return jd_str(jd_at(items, i), "metadata.name");
    }
    return NULL;
}

const char *raft_peer_pod(const struct vault_server *peer, const char *set, int64_t replicas, const struct json_t *pods) {
    static char names[4][256];
    static unsigned next;
    struct slice host = vault_address_host(slice_of(peer->address)), rest = host, first = {NULL, 0};
    const char *by_address = host.p ? pod_at(pods, host) : NULL;
    char *out = names[next++ % ARRAY_LEN(names)];
    if (by_address) return str_copy(out, sizeof names[0], by_address) ? out : NULL;
    if (rest.p) slice_cut(&rest, '.', &first);
    if (!is_pod_of(first, set, replicas)) first = slice_of(peer->id);
    if (!is_pod_of(first, set, replicas)) return NULL;
    snprintf(out, sizeof names[0], "%.*s", SLICE_FMT(first));
    return out;
}

static bool peer_is_well(const struct vault_server *p, const char *pod, struct buf *out) {
    if (!pod) {
        buf_printf(out, "the peer %s at %s is no pod of the set: if it is gone for good, remove it (sys/storage/raft/remove-peer) first", p->id,
                   p->address);
        return false;
    }
    if (!p->voter) {
        buf_printf(out, "%s (%s) is a peer without a vote: wait until autopilot has promoted it", pod, p->id);
        return false;
    }
    return true;
}

static bool all_pods_are_peers(const struct vault_servers *peers, const char *set, int64_t replicas, const struct json_t *pods, struct buf *out) {
    for (int64_t n = 0; n < replicas; n++) {
        char name[256];
        bool found = false;
        snprintf(name, sizeof name, "%s-%lld", set, (long long)n);
        for (size_t i = 0; i < peers->count && !found; i++) found = str_eq(raft_peer_pod(&peers->list[i], set, replicas, pods), name);
        if (found) continue;
        buf_printf(out, "%s is not a peer of the raft configuration: let it join first", name);
        return false;
    }
    return true;
}

bool raft_judge_peers(const struct vault_servers *peers, const char *set, int64_t replicas, const struct json_t *pods, bool *ret_stable,
                      struct buf *out) {
    size_t stable = 0;
    *ret_stable = false;
    for (size_t i = 0; i < peers->count; i++) {
        const char *pod = raft_peer_pod(&peers->list[i], set, replicas, pods);
        if (!peer_is_well(&peers->list[i], pod, out)) return false;
        stable += str_eq(peers->list[i].id, pod);
    }
    if (!all_pods_are_peers(peers, set, replicas, pods, out)) return false;
    *ret_stable = peers->count > 0 && stable == peers->count;
    buf_printf(out, "%zu voters, each a pod; ", peers->count);
    raft_say_rejoin(*ret_stable, out);
    return true;
}

void raft_say_rejoin(bool stable, struct buf *out) {
    buf_adds(out, stable ? "node ids are the pods' names: a wiped node is the same voter from its first second on, with an empty log and no "
                           "memory of its votes, so the others must have everything before it goes"
                         : "node ids lie on the disk (UUIDs): a wiped node comes back under a new id, autopilot removes the old one by its address "
                           "and promotes the new one when it has been stable for a while; until then there is one voter less");
}

bool raft_judge_cleanup(const struct vault_autopilot_config *c, int64_t voters, struct buf *out) {
    char age[24];
    if (c->cleanup != VAULT_YES) {
        buf_adds(out, c->cleanup == VAULT_NO ? "autopilot removes no dead servers" : "whether autopilot removes dead servers was not said");
        return true;
    }
    buf_printf(out, "autopilot removes servers that are dead for %s, down to %lld", clock_format_age(c->dead_ms, age, sizeof age), (long long)c->min_quorum);
    if (c->min_quorum >= voters) {
        buf_printf(out, ": never one of %lld", (long long)voters);
        return true;
    }
    if (c->dead_ms >= PRUNE_MIN_MS) return true;
    buf_adds(out, ". A node that is being moved would be removed, and could not come back under its id: set cleanup_dead_servers=false, or "
                  "dead_server_last_contact_threshold to an hour or more, while this goes on");
    return false;
}

/* ---- The set ---- */

static const char *or(const char *text, const char *other) {
    return text && *text ? text : other;
}

/* Whoever owns the set makes it anew while it is being exchanged. */
static const char *owner_of(const struct json_t *set) {
    const struct json_t *owners = jd_get(set, "metadata.ownerReferences");
    for (size_t i = 0; i < jd_len(owners); i++)
        if (jd_flag(jd_at(owners, i), "controller", false)) return or(jd_str(jd_at(owners, i), "kind"), "something");
    return NULL;
}

static void note_templates(const struct json_t *set, struct buf *notes) {
    const struct json_t *claims = jd_get(set, "spec.volumeClaimTemplates");
    for (size_t i = 0; i < jd_len(claims); i++)
        if (jd_len(jd_get(jd_at(claims, i), "metadata.annotations")) > 0)
            buf_printf(notes, "the claim template %s has annotations: they stay as they are, since templates cannot be changed by an upgrade\n",
                       or(jd_str(jd_at(claims, i), "metadata.name"), ""));
}

static void note_strategy(const struct json_t *set, struct buf *notes) {
    const char *strategy = or(jd_str(set, "spec.updateStrategy.type"), "RollingUpdate");
    const char *current = jd_str(set, "status.currentRevision"), *update = jd_str(set, "status.updateRevision");
    if (!str_eq(strategy, "OnDelete"))
        buf_printf(notes, "updateStrategy is %s, not OnDelete: whoever changes the template meanwhile restarts the pods from the highest on, the "
                          "leader like any other. The exchange of the claim templates itself restarts nothing\n", strategy);
    else if (current && update && !str_eq(current, update))
        buf_adds(notes, "the pods predate the template (OnDelete): each comes back as the template is now\n");
    if (str_eq(jd_str(set, "spec.podManagementPolicy"), "OrderedReady") || !jd_str(set, "spec.podManagementPolicy"))
        buf_adds(notes, "podManagementPolicy is OrderedReady: while a pod is sealed or empty, the set makes none of a higher ordinal\n");
    if (str_eq(jd_str(set, "spec.persistentVolumeClaimRetentionPolicy.whenScaled"), "Delete"))
        buf_adds(notes, "whenScaled is Delete: scaling the set down would delete claims; nobody may do that now\n");
}

static bool set_refusal(const struct json_t *set, struct buf *out) {
    const char *name = or(jd_str(set, "metadata.name"), "");
    int64_t replicas = jd_num(set, "spec.replicas", 1), ready = jd_num(set, "status.readyReplicas", 0);
    const char *strategy = or(jd_str(set, "spec.updateStrategy.type"), "RollingUpdate");
    const char *current = jd_str(set, "status.currentRevision"), *update = jd_str(set, "status.updateRevision");
    if (jd_str(set, "metadata.deletionTimestamp")) buf_printf(out, "set %s is being deleted", name);
    else if (replicas < 3) buf_printf(out, "set %s has %lld replicas: raft survives the loss of a node from 3 on", name, (long long)replicas);
    else if (replicas > 7) buf_printf(out, "set %s has %lld replicas: 7 are the most that are moved here", name, (long long)replicas);
    else if (ready < replicas) buf_printf(out, "%lld of %lld pods of set %s are ready: make it well first", (long long)ready, (long long)replicas, name);
    else if (jd_len(jd_get(set, "spec.volumeClaimTemplates")) == 0) buf_printf(out, "set %s has no claim templates: nothing of it is on claims", name);
    else if (str_eq(jd_str(set, "spec.persistentVolumeClaimRetentionPolicy.whenDeleted"), "Delete"))
        buf_printf(out, "persistentVolumeClaimRetentionPolicy.whenDeleted of set %s is Delete: its claims are owned by the set, and whoever deletes "
                        "it without orphaning deletes every claim with it. Set whenDeleted to Retain first", name);
    else if (owner_of(set))
        buf_printf(out, "set %s is owned by a %s, which would make it anew with the old class at once: move it by way of that", name, owner_of(set));
    else if (!str_eq(strategy, "OnDelete") && current && update && !str_eq(current, update))
        buf_printf(out, "a roll-out of set %s is under way: wait until it has ended", name);
    else return false;
    return true;
}

bool raft_judge_set(const struct json_t *set, struct buf *out, struct buf *notes) {
    if (set_refusal(set, out)) return false;
    const struct json_t *claims = jd_get(set, "spec.volumeClaimTemplates");
    note_strategy(set, notes);
    note_templates(set, notes);
    buf_printf(out, "%lld replicas, %s, %s, claims retained; templates", (long long)jd_num(set, "spec.replicas", 1),
               or(jd_str(set, "spec.updateStrategy.type"), "RollingUpdate"), or(jd_str(set, "spec.podManagementPolicy"), "OrderedReady"));
    for (size_t i = 0; i < jd_len(claims); i++)
        buf_printf(out, "%s %s (%s)", i ? "," : "", or(jd_str(jd_at(claims, i), "metadata.name"), ""),
                   or(jd_str(jd_at(claims, i), "spec.storageClassName"), "default class"));
    return true;
}

void raft_say_open_secrets(const struct json_t *set, struct buf *out) {
    static const char *const words[] = {"PASSWORD", "TOKEN", "SECRET", "PASSPHRASE", "_KEY", "CREDENTIAL", NULL};
    static const char *const lists[] = {"spec.template.spec.containers", "spec.template.spec.initContainers"};
    for (size_t l = 0; l < ARRAY_LEN(lists); l++) {
        const struct json_t *containers = jd_get(set, lists[l]);
        for (size_t i = 0; i < jd_len(containers); i++) {
            const struct json_t *env = jd_get(jd_at(containers, i), "env");
            for (size_t k = 0; k < jd_len(env); k++) {
                const char *name = jd_str(jd_at(env, k), "name"), *value = jd_str(jd_at(env, k), "value");
                for (size_t w = 0; name && value && *value && words[w]; w++) {
                    if (!strstr(name, words[w])) continue;
                    add_item(out, ", ", name);
                    break;
                }
            }
        }
    }
}
