/* Rows of T_RAFT_CLUSTERS and T_RAFT_PEERS, joined from what each node says of itself, what the active node says of
 * all, and what Kubernetes says of pods and claims.
 *
 * Where a row's freshness comes from: a node that answers, its own source; a node that was seen not to answer, from
 * ferryman itself (the observation is fresh, and everything it used to say is null); a node that could not be asked,
 * its source, which is down. */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/map.h"
#include "base/mem.h"
#include "source/source.h"
#include "source/vault_source_private.h"
#include "world/freshness.h"
#include "world/status.h"

/* ---- Who is who -------------------------------------------------------------------------------------------------- */

const struct row *vault_pod_of(const struct vault_source *s, const struct vault_node *n)
{
    return world_find_name(s->world, T_PODS, slice_of(s->ns), slice_of(n->name));
}

static struct slice first_label(struct slice host)
{
    size_t n = 0;
    while (n < host.n && host.p[n] != '.')
        n++;
    return (struct slice){host.p, n};
}

/* "host:port" of a URL or an address, without the scheme. */
static struct slice host_port(const char *address)
{
    const char *p = strstr(address, "://");
    p = p ? p + 3 : address;
    return (struct slice){p, strcspn(p, "/")};
}

static bool is_address_of(const struct vault_node *n, const char *address)
{
    struct slice host = vault_address_host(slice_of(address));
    return host.p && (slice_is(host, n->name) || slice_is(first_label(host), n->name));
}

static const struct vault_member *member_of(const struct vault_node *n, const struct vault_members *members)
{
    for (size_t i = 0; members && i < members->count; i++) {
        const struct vault_member *m = &members->list[i];
        if (str_eq(m->hostname, n->name) || is_address_of(n, m->cluster_address) ||
            str_eq(m->api_address, vault_client_endpoint(n->client)))
            return m;
    }
    return NULL;
}

const struct vault_server *vault_server_of(const struct vault_node *n, const struct vault_servers *servers,
                                           const struct vault_members *members)
{
    const struct vault_member *m = member_of(n, members);
    for (size_t i = 0; servers && i < servers->count; i++)
        if (str_eq(servers->list[i].id, n->name))
            return &servers->list[i];
    const struct row *pod = vault_pod_of(n->source, n);
    struct slice ip = pod ? row_text(pod, PODS_IP) : (struct slice){NULL, 0};
    for (size_t i = 0; servers && i < servers->count; i++)
        if (is_address_of(n, servers->list[i].address) ||
            (ip.n > 0 && slice_eq(vault_address_host(slice_of(servers->list[i].address)), ip)) ||
            (m && slice_is(host_port(m->cluster_address), servers->list[i].address)))
            return &servers->list[i];
    return NULL;
}

/* By the address of its API: a pod's, a plan's, or as ha-status pairs addresses with names. */
static const struct vault_node *node_at(const struct vault_source *s, const char *api, const char *cluster,
                                        const struct vault_members *members)
{
    for (size_t i = 0; i < s->count; i++) {
        const struct vault_node *n = s->nodes[i];
        const struct row *pod = vault_pod_of(s, n);
        const struct vault_member *m = member_of(n, members);
        struct slice host = vault_address_host(slice_of(api)),
                     ip = pod ? row_text(pod, PODS_IP) : (struct slice){NULL, 0};
        if (str_eq(api, vault_client_endpoint(n->client)) || is_address_of(n, cluster) || is_address_of(n, api) ||
            (ip.n > 0 && slice_eq(host, ip)) || (m && *api && str_eq(m->api_address, api)))
            return n;
    }
    return NULL;
}

char *vault_named_leader(const struct vault_source *s, const struct vault_node *n, const struct vault_members *members)
{
    if (!n->has_leader)
        return NULL;
    if (n->leader.is_self)
        return mem_strdup(n->name);
    if (!n->leader.address[0])
        return mem_strdup("");
    const struct vault_node *named = node_at(s, n->leader.address, n->leader.cluster_address, members);
    return mem_strdup(named ? named->name : n->leader.address);
}

/* ---- Claims of a pod --------------------------------------------------------------------------------------------- */

struct claims_seen {
    struct buf classes;
    struct slice worst;
    bool nfs, any;
};

static bool has_word(const struct buf *list, struct slice word)
{
    struct slice rest = buf_slice(list), item;
    while (slice_cut(&rest, ',', &item))
        if (slice_eq(slice_trim(item), word))
            return true;
    return false;
}

static void see_claim(struct claims_seen *seen, const struct row *claim)
{
    struct slice class = row_text(claim, CLAIMS_CLASS), state = row_text(claim, CLAIMS_STATE);
    if (class.n > 0 && !has_word(&seen->classes, class)) {
        if (seen->classes.len > 0)
            buf_adds(&seen->classes, ", ");
        buf_add_slice(&seen->classes, class);
    }
    if (!seen->any || level_rank(status_level(state)) < level_rank(status_level(seen->worst)))
        seen->worst = state;
    seen->nfs = seen->nfs || slice_is(row_text(claim, CLAIMS_BACKEND), "nfs");
    seen->any = true;
}

static void see_claims(const struct vault_source *s, const struct row *pod, struct claims_seen *ret)
{
    struct slice rest = pod ? row_text(pod, PODS_CLAIMS) : (struct slice){NULL, 0}, name;
    *ret = (struct claims_seen){0};
    while (rest.n > 0 && slice_cut(&rest, ',', &name)) {
        const struct row *claim = world_find_name(s->world, T_CLAIMS, slice_of(s->ns), slice_trim(name));
        if (claim)
            see_claim(ret, claim);
    }
}

bool vault_pod_on_nfs(const struct vault_source *s, const struct row *pod)
{
    struct claims_seen seen;
    see_claims(s, pod, &seen);
    buf_free(&seen.classes);
    return seen.nfs;
}

/* ---- Peers ------------------------------------------------------------------------------------------------------- */

static const char *health_word(const struct vault_node *n, const struct raft_node *seen)
{
    switch (seen->reach) {
    case RAFT_SILENT:
    case RAFT_NO_ANSWER:
        return "SILENT";
    case RAFT_UNREACHABLE:
        return "UNREACHABLE";
    case RAFT_UNASKED:
    case RAFT_BLOCKED:
        return "UNKNOWN";
    case RAFT_ANSWERS:
        break;
    }
    if (seen->removed)
        return "REMOVED";
    if (!n->has_health)
        return "UNKNOWN";
    if (!seen->initialized)
        return "UNINITIALISED";
    if (seen->sealed)
        return "SEALED";
    return n->code == 200 || n->code == 429 || n->code == 472 || n->code == 473 ? "OK" : "UNHEALTHY";
}

/* A leader that was paused says for a moment that it still is: only the one that the verdict takes for it leads. */
static const char *role_word(const struct vault_node *n, const struct raft_node *seen,
                             const struct vault_server *server, bool servers, bool leads)
{
    if (leads)
        return "LEADER";
    if (server)
        return server->voter ? "VOTER" : "NON-VOTER";
    if (servers)
        return "NOT A PEER";
    return n->has_health && n->health.standby && !seen->sealed ? "STANDBY" : "UNKNOWN";
}

static bool is_uuid(const char *id)
{
    return strlen(id) == 36 && strspn(id, "0123456789abcdefABCDEF-") == 36 && id[8] == '-' && id[13] == '-';
}

static const char *stable_word(const struct vault_node *n, const struct vault_server *server)
{
    if (!server)
        return "UNKNOWN";
    return str_eq(server->id, n->name) ? "STABLE" : is_uuid(server->id) ? "UNSTABLE" : "UNKNOWN";
}

static const struct vault_server *pilot_of(const struct vault_facts *f, const struct vault_server *server)
{
    for (size_t i = 0; server && f->autopilot && i < f->autopilot->servers.count; i++)
        if (str_eq(f->autopilot->servers.list[i].id, server->id))
            return &f->autopilot->servers.list[i];
    return NULL;
}

static const char *pilot_word(const struct vault_server *pilot)
{
    return !pilot || pilot->healthy == VAULT_NOT_SAID ? "UNKNOWN" : pilot->healthy == VAULT_YES ? "OK" : "UNHEALTHY";
}

static struct cell optional_int(int64_t v)
{
    return v < 0 ? CELL_NONE : cell_int(v);
}

static struct cell optional_text(const char *text)
{
    return text && *text ? cell_text(text) : CELL_NONE;
}

static char *pod_text(const struct row *pod)
{
    if (!pod)
        return NULL;
    struct slice ready = row_text(pod, PODS_READY);
    int64_t restarts = row_int(pod, PODS_RESTARTS, 0);
    if (!ready.p)
        return NULL;
    return restarts > 0
               ? str_printf("%.*s; %lld restart%s", SLICE_FMT(ready), (long long)restarts, restarts == 1 ? "" : "s")
               : slice_dup(ready);
}

static const char *freshness_of(const struct vault_node *n, enum raft_reach reach)
{
    return reach == RAFT_SILENT || reach == RAFT_NO_ANSWER || reach == RAFT_UNREACHABLE ? "" : source_row_key(n->row);
}

static void write_peer(struct vault_source *s, struct vault_node *n, const struct raft_node *seen, bool leads,
                       const struct vault_facts *f)
{
    const struct vault_server *server = vault_server_of(n, f->servers, f->members), *pilot = pilot_of(f, server);
    const struct row *pod = vault_pod_of(s, n);
    bool answers = seen->reach == RAFT_ANSWERS;
    bool silent = seen->reach == RAFT_SILENT; /* known to accept TCP */
    struct claims_seen claims;
    see_claims(s, pod, &claims);
    char *pod_words = pod_text(pod), *key = str_printf("%s/%s", s->workload, n->name);
    struct cell cells[RAFT_PEERS_COLS] = {
        [RAFT_PEERS_WORKLOAD] = cell_text(s->workload),
        [RAFT_PEERS_NAME] = cell_text(n->name),
        [RAFT_PEERS_HEALTH] = cell_text(health_word(n, seen)),
        [RAFT_PEERS_CODE] = n->has_health ? cell_int(n->code) : CELL_NONE,
        [RAFT_PEERS_SEAL] = cell_text(n->has_seal ? (n->seal.sealed ? "SEALED" : "UNSEALED") : "UNKNOWN"),
        [RAFT_PEERS_ROLE] = cell_text(role_word(n, seen, server, f->servers != NULL, leads)),
        [RAFT_PEERS_APPLIED] = n->has_leader ? optional_int(n->leader.applied) : CELL_NONE,
        [RAFT_PEERS_LAG] = answers ? optional_int(n->lag) : CELL_NONE,
        [RAFT_PEERS_CONTACT] = pilot && !leads ? optional_int(pilot->contact_ms) : CELL_NONE,
        [RAFT_PEERS_NODE_ID] = server ? optional_text(server->id) : CELL_NONE,
        [RAFT_PEERS_ID_STABLE] = cell_text(stable_word(n, server)),
        [RAFT_PEERS_AUTOPILOT] = cell_text(pilot_word(pilot)),
        [RAFT_PEERS_NAMES_LEADER] = n->has_leader ? optional_text(n->leader.address) : CELL_NONE,
        [RAFT_PEERS_ADDRESS] = server ? optional_text(server->address) : CELL_NONE,
        [RAFT_PEERS_ENDPOINT] = cell_text(vault_client_endpoint(n->client)),
        [RAFT_PEERS_VERSION] = n->has_health ? optional_text(n->health.version) : CELL_NONE,
        [RAFT_PEERS_POD] = cell_text(pod_words),
        [RAFT_PEERS_POD_CREATED] = pod ? row_cell(pod, PODS_CREATED) : CELL_NONE,
        [RAFT_PEERS_CLAIMS] = optional_text(buf_str(&claims.classes)),
        [RAFT_PEERS_CLAIMS_STATE] = claims.any ? cell_slice(claims.worst) : CELL_NONE,
        [RAFT_PEERS_PROBE] = n->has_health ? optional_int(n->health_ms) : CELL_NONE,
        [RAFT_PEERS_AS_LEADER] = cell_text(leads           ? "PROVED NOW"
                                           : n->was_active ? "PROVED"
                                                           : "NOT YET"),
        [RAFT_PEERS_SILENT_SINCE] = silent ? optional_int(n->missing_since) : CELL_NONE,
        [RAFT_PEERS_ERROR] = optional_text(n->error),
    };
    world_upsert(s->world, T_RAFT_PEERS, slice_of(key), freshness_of(n, seen->reach), cells);
    map_puts(s->written, key, s);
    buf_free(&claims.classes);
    mem_free(pod_words);
    mem_free(key);
}

/* A peer that the raft configuration has and that no pod or URL stands for. */
static void write_stray(struct vault_source *s, const struct vault_facts *f, const struct vault_server *server)
{
    const struct vault_server *pilot = pilot_of(f, server);
    char *key = str_printf("%s/%s", s->workload, server->id);
    struct cell cells[RAFT_PEERS_COLS] = {
        [RAFT_PEERS_WORKLOAD] = cell_text(s->workload),
        [RAFT_PEERS_NAME] = cell_text(server->id),
        [RAFT_PEERS_HEALTH] = cell_text("UNKNOWN"),
        [RAFT_PEERS_SEAL] = cell_text("UNKNOWN"),
        [RAFT_PEERS_ROLE] = cell_text(server->voter ? "VOTER" : "NON-VOTER"),
        [RAFT_PEERS_CONTACT] = pilot ? optional_int(pilot->contact_ms) : CELL_NONE,
        [RAFT_PEERS_NODE_ID] = cell_text(server->id),
        [RAFT_PEERS_ID_STABLE] = cell_text(is_uuid(server->id) ? "UNSTABLE" : "UNKNOWN"),
        [RAFT_PEERS_AUTOPILOT] = cell_text(pilot_word(pilot)),
        [RAFT_PEERS_ADDRESS] = optional_text(server->address),
        [RAFT_PEERS_VERSION] = pilot ? optional_text(pilot->version) : CELL_NONE,
        [RAFT_PEERS_AS_LEADER] = cell_text("NOT YET"),
        [RAFT_PEERS_ERROR] = cell_text("the raft configuration has this peer, but no pod or URL of ours is it"),
    };
    world_upsert(s->world, T_RAFT_PEERS, slice_of(key), vault_auth_row_key(s->auth), cells);
    map_puts(s->written, key, s);
    mem_free(key);
}

static void write_strays(struct vault_source *s, const struct vault_facts *f)
{
    for (size_t i = 0; f->servers && i < f->servers->count; i++) {
        bool known = false;
        for (size_t j = 0; j < s->count && !known; j++)
            known = vault_server_of(s->nodes[j], f->servers, f->members) == &f->servers->list[i];
        if (!known && f->servers->list[i].id[0])
            write_stray(s, f, &f->servers->list[i]);
    }
}

/* ---- The cluster ------------------------------------------------------------------------------------------------- */

/* One sample a poll. */
static void note_history(struct vault_source *s, const struct vault_node *leader)
{
    if (!leader || leader->leader.applied < 0 || leader->sampled_mono == s->sampled_mono)
        return;
    s->sampled_mono = leader->sampled_mono;
    if (s->nhistory == VAULT_HISTORY_MAX) {
        memmove(s->history, s->history + 1, --s->nhistory * sizeof *s->history);
        memmove(s->ours, s->ours + 1, s->nhistory * sizeof *s->ours);
    }
    s->ours[s->nhistory] = s->probe.writes;
    s->history[s->nhistory++] = leader->leader.applied;
}

static char *history_text(const int64_t *samples, size_t n)
{
    struct buf b = {0};
    for (size_t i = 0; i < n; i++)
        buf_printf(&b, "%s%lld", i > 0 ? " " : "", (long long)samples[i]);
    return n > 0 ? buf_steal(&b) : NULL;
}

static char *cleanup_text(const struct vault_autopilot_config *c)
{
    struct buf b = {0};
    if (!c)
        return NULL;
    if (c->cleanup == VAULT_NO)
        return mem_strdup("off");
    buf_adds(&b, "on");
    if (c->dead_ms >= 0) {
        buf_adds(&b, ", after ");
        raft_add_duration(&b, c->dead_ms);
    }
    return buf_steal(&b);
}

/* "vault-2 says it is active; vault-0 names vault-2; vault-1 names nobody" */
static char *views_text(const struct vault_source *s, const struct raft_node *seen)
{
    struct buf b = {0};
    for (size_t i = 0; i < s->count; i++) {
        const struct raft_node *n = &seen[i];
        if (n->reach != RAFT_ANSWERS || !n->names)
            continue;
        if (b.len > 0)
            buf_adds(&b, "; ");
        if (n->is_self)
            buf_printf(&b, "%s says it is active", n->name);
        else
            buf_printf(&b, "%s names %s", n->name, *n->names ? n->names : "nobody");
    }
    return b.len > 0 ? buf_steal(&b) : NULL;
}

static int64_t count_voters(const struct vault_servers *servers)
{
    int64_t n = 0;
    for (size_t i = 0; servers && i < servers->count; i++)
        n += servers->list[i].voter;
    return servers ? n : -1;
}

/* The active node's health; without one, of any that answers. */
static const struct vault_node *speaker(const struct vault_source *s, const struct raft_node *seen,
                                        const struct vault_node *leader)
{
    if (leader && leader->has_health)
        return leader;
    for (size_t i = 0; i < s->count; i++)
        if (seen[i].reach == RAFT_ANSWERS && s->nodes[i]->has_health)
            return s->nodes[i];
    return NULL;
}

/* Bad news that was observed is fresh; what nobody can tell is as old as the source that should. */
static const char *cluster_src(const struct vault_source *s, const struct vault_node *speaks)
{
    return speaks ? source_row_key(speaks->row) : vault_auth_row_key(s->auth);
}

/* While nobody is known to lead: who was the last one, and what it said. */
static void keep_last(const struct world *w, const struct row *before, bool leads, struct cell *cells)
{
    bool led = before && row_text(before, RAFT_CLUSTERS_LEADER).p;
    if (leads || !before)
        return;
    cells[RAFT_CLUSTERS_LAST_LEADER] = row_cell(before, led ? RAFT_CLUSTERS_LEADER : RAFT_CLUSTERS_LAST_LEADER);
    struct fresh f = world_freshness(w, before);
    cells[RAFT_CLUSTERS_LAST_AT] = led ? cell_int(world_now(w) - (f.age_ms > 0 ? f.age_ms : 0)) : row_cell(before, RAFT_CLUSTERS_LAST_AT);
    cells[RAFT_CLUSTERS_LAST_VOTERS] = row_cell(before, led ? RAFT_CLUSTERS_VOTERS : RAFT_CLUSTERS_LAST_VOTERS);
    cells[RAFT_CLUSTERS_LAST_INDEX] = row_cell(before, led ? RAFT_CLUSTERS_INDEX : RAFT_CLUSTERS_LAST_INDEX);
}

/* Nodes that answer well are not all of a cluster: without the leader's word on who belongs to it and autopilot's on how
 * they are, nobody knows. */
static const char *cluster_state(const struct raft_verdict *v, const struct vault_facts *f)
{
    return str_eq(v->state, "OK") && (!f->servers || !f->autopilot) ? "UNKNOWN" : v->state;
}

static void write_cluster(struct vault_source *s, const struct raft_node *seen, const struct raft_verdict *v,
                          const struct vault_facts *f)
{
    const struct vault_node *leader = v->leader >= 0 ? s->nodes[v->leader] : NULL, *speaks = speaker(s, seen, leader);
    const struct vault_health *h = speaks ? &speaks->health : NULL;
    /* Without a leader nobody recomputes what it said of the cluster. */
    const struct vault_autopilot *pilot = leader ? f->autopilot : NULL;
    note_history(s, leader);
    char *history = history_text(s->history, s->nhistory);
    char *ours = s->nhistory > 0 && s->ours[s->nhistory - 1] > 0 ? history_text(s->ours, s->nhistory) : NULL;
    char *cleanup = cleanup_text(f->config), *views = views_text(s, seen);
    struct cell cells[RAFT_CLUSTERS_COLS] = {
        [RAFT_CLUSTERS_STATE] = cell_text(cluster_state(v, f)),
        [RAFT_CLUSTERS_VERDICT] = optional_text(buf_str(&v->text)),
        [RAFT_CLUSTERS_PRODUCT] = h ? cell_text(h->openbao ? "OpenBao" : "Vault") : CELL_NONE,
        [RAFT_CLUSTERS_VERSION] = h ? optional_text(h->version) : CELL_NONE,
        [RAFT_CLUSTERS_LEADER] = leader ? cell_text(leader->name) : CELL_NONE,
        [RAFT_CLUSTERS_LEADER_SINCE] = leader ? optional_int(leader->leader.active_ms) : CELL_NONE,
        [RAFT_CLUSTERS_VOTERS] = optional_int(count_voters(f->servers)),
        [RAFT_CLUSTERS_TOLERANCE] = pilot ? optional_int(pilot->tolerance) : CELL_NONE,
        [RAFT_CLUSTERS_HEALTHY] = pilot ? cell_bool(pilot->healthy == VAULT_YES) : CELL_NONE,
        [RAFT_CLUSTERS_INDEX] = leader ? optional_int(leader->leader.applied) : CELL_NONE,
        [RAFT_CLUSTERS_INDEX_CHANGED] = optional_int(s->memory.index_changed),
        [RAFT_CLUSTERS_INDEX_HISTORY] = cell_text(history),
        [RAFT_CLUSTERS_INDEX_OURS] = cell_text(ours),
        [RAFT_CLUSTERS_CLEANUP] = cell_text(cleanup),
        [RAFT_CLUSTERS_WRITE_PROBE] = cell_text(vault_probe_word(s)),
        [RAFT_CLUSTERS_CLUSTER_ID] = h ? optional_text(h->cluster_id) : CELL_NONE,
        [RAFT_CLUSTERS_VIEWS] = cell_text(views),
    };
    keep_last(s->world, world_find(s->world, T_RAFT_CLUSTERS, slice_of(s->workload)), leader != NULL, cells);
    world_upsert(s->world, T_RAFT_CLUSTERS, slice_of(s->workload), cluster_src(s, speaks), cells);
    mem_free(history);
    mem_free(ours);
    mem_free(cleanup);
    mem_free(views);
}

/* ---- All --------------------------------------------------------------------------------------------------------- */

void vault_rows_write(struct vault_source *s, const struct raft_node *seen, const struct raft_verdict *v)
{
    struct vault_facts f = vault_auth_facts(s->auth);
    struct map *before = s->written;
    struct slice key;
    void *value;
    size_t it = 0;
    s->written = map_new();
    for (size_t i = 0; i < s->count; i++)
        write_peer(s, s->nodes[i], &seen[i], v->leader == (int)i, &f);
    write_strays(s, &f);
    while (before && map_each(before, &it, &key, &value))
        if (!map_get(s->written, key))
            world_remove(s->world, T_RAFT_PEERS, key);
    map_free(before, NULL);
    write_cluster(s, seen, v, &f);
}

void vault_rows_remove(struct vault_source *s)
{
    struct slice key;
    void *value;
    size_t it = 0;
    while (s->written && map_each(s->written, &it, &key, &value))
        world_remove(s->world, T_RAFT_PEERS, key);
    map_free(s->written, NULL);
    s->written = NULL;
    world_remove(s->world, T_RAFT_CLUSTERS, slice_of(s->workload));
}
