#include "source/vault_source.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/secret.h"
#include "loop/loop.h"
#include "loop/timer.h"
#include "source/source.h"
#include "source/vault_source_private.h"
#include "world/freshness.h"

enum { POLL_MS = 5000, SOON_MS = 50, SETTLE_MS = 250 };

static struct vault_source *sources; /* all that there are: whoever runs a write probe knows the world and the workload only */

/* ---- Judgement --------------------------------------------------------------------------------------------------- */

/* A poll that has not come to its end for so long is no answer: the request itself may wait, e.g. for credentials. */
static bool is_overdue(const struct vault_node *n)
{
    return n->ended_mono > 0 && clock_mono_ms() - n->ended_mono > 3 * n->source->poll_ms + VAULT_TIMEOUT_MS;
}

static struct raft_node seen_node(struct vault_source *s, struct vault_node *n, const struct vault_facts *facts,
                                  char **ret_names)
{
    const struct row *pod = vault_pod_of(s, n);
    const struct vault_server *server = vault_server_of(n, facts->servers, facts->members), *pilot = NULL;
    for (size_t i = 0; server && facts->autopilot && i < facts->autopilot->servers.count; i++)
        if (str_eq(facts->autopilot->servers.list[i].id, server->id))
            pilot = &facts->autopilot->servers.list[i];
    const struct vault_health *h = n->has_health ? &n->health : NULL;
    *ret_names = vault_named_leader(s, n, facts->members);
    return (struct raft_node){
        .name = n->name,
        .reach = n->ended_mono == 0 ? RAFT_UNASKED
                 : is_overdue(n)    ? RAFT_BLOCKED
                                    : n->reach,
        .missing_since = n->missing_since,
        .misses = n->misses,
        .hits = n->hits,
        .latency_ms = n->health_ms,
        .error = n->error,
        .initialized = h ? h->initialized : n->has_seal && n->seal.initialized,
        .sealed = n->has_seal ? n->seal.sealed : !h || h->sealed,
        .removed = (h && h->removed == VAULT_YES) || (n->has_seal && n->seal.removed == VAULT_YES),
        .is_self = n->has_leader && n->leader.is_self,
        .active_ms = n->has_leader ? n->leader.active_ms : -1,
        .names = *ret_names,
        .heartbeat_lost =
            h && h->standby && (h->connection_healthy == VAULT_NO || h->echo_ms >= 2000 || h->heartbeat_ms > 10000),
        .applied = n->has_leader ? n->leader.applied : -1,
        .lag = n->lag,
        .pod_age_ms = pod ? world_now(s->world) - row_int(pod, PODS_CREATED, 0) : -1,
        .no_pod = !n->has_pod && !s->o.direct,
        .deleting = pod && row_cell(pod, PODS_DELETING).type == CELL_INT,
        .on_nfs = vault_pod_on_nfs(s, pod),
        .not_a_voter = server ? !server->voter : facts->servers != NULL,
        .sick = pilot && pilot->healthy == VAULT_NO,
    };
}

static struct raft_probe seen_probe(const struct vault_source *s)
{
    return (struct raft_probe){
        .node = s->probe.node,
        .failures = s->probe.failures,
        .failing_since = s->probe.failing_since,
        .failed_at = s->probe.failed_at,
        .index_then = s->probe.index_then,
        .error = s->probe.error,
        .writes = s->probe.writes,
    };
}

/* Only samples taken together say anything: a leader that moves on between two questions is not a follower that lags.
 * The last such pair counts for two polls. */
static void note_lag(struct vault_node *n, const struct vault_node *leader)
{
    if (!leader || !n->has_leader || n->leader.applied < 0 || leader->leader.applied < 0 || n->lag_leader != leader ||
        clock_mono_ms() - n->lag_mono > 2 * n->source->poll_ms + VAULT_TIMEOUT_MS)
        n->lag = -1;
    n->lag_leader = leader;
    if (!leader || !n->has_leader || n->leader.applied < 0 || leader->leader.applied < 0)
        return;
    int64_t apart = n->sampled_mono - leader->sampled_mono;
    if (apart > VAULT_TOGETHER_MS || apart < -VAULT_TOGETHER_MS)
        return;
    int64_t lag = leader->leader.applied - n->leader.applied;
    n->lag = lag > 0 ? lag : 0;
    n->lag_mono = clock_mono_ms();
}

static void tell_changes(struct vault_source *s, const struct raft_verdict *v, const char *leader)
{
    if (leader && s->last_leader && !str_eq(leader, s->last_leader))
        timeline_add(s->world, "WARN", s->workload, "leader changed from %s to %s", s->last_leader, leader);
    else if (leader && !s->last_leader)
        timeline_add(s->world, "INFO", s->workload, "leader is %s", leader);
    if (leader)
        str_set(&s->last_leader, leader);
    if (str_eq(s->last_state, v->state))
        return;
    bool bad = str_eq(v->state, "STUCK") || str_eq(v->state, "NO LEADER");
    if (bad || str_eq(v->state, "DEGRADED"))
        timeline_add(s->world, bad ? "BAD" : "WARN", s->workload, "%s", buf_str(&v->text));
    else if (s->last_state && str_eq(v->state, "OK") && !str_eq(s->last_state, "UNKNOWN"))
        timeline_add(s->world, "GOOD", s->workload, "raft is healthy again, leader %s", leader ? leader : "unknown");
    str_set(&s->last_state, v->state);
}

static struct vault_node *active_node(const struct vault_source *s)
{
    struct vault_node *found = NULL;
    for (size_t i = 0; i < s->count; i++) {
        struct vault_node *n = s->nodes[i];
        if (vault_node_is_active(n) && (!found || n->leader.active_ms > found->leader.active_ms))
            found = n;
    }
    return found;
}

static bool all_asked(const struct vault_source *s)
{
    for (size_t i = 0; i < s->count; i++)
        if (s->nodes[i]->ended_mono == 0)
            return false;
    return s->count > 0;
}

static void judge(void *arg)
{
    struct vault_source *s = arg;
    struct raft_node *seen = mem_calloc(s->count + 1, sizeof *seen);
    char **names = mem_calloc(s->count + 1, sizeof *names);
    struct vault_facts facts = vault_auth_facts(s->auth);
    struct raft_verdict v;
    for (size_t i = 0; i < s->count; i++)
        note_lag(s->nodes[i], active_node(s));
    for (size_t i = 0; i < s->count; i++)
        seen[i] = seen_node(s, s->nodes[i], &facts, &names[i]);
    struct raft_view view = {.now = clock_wall_ms(), .nodes = seen, .count = s->count, .probe = seen_probe(s), .change_until = s->change_until};
    raft_judge(&view, &s->memory, &v);
    tell_changes(s, &v, v.leader >= 0 ? seen[v.leader].name : NULL);
    vault_rows_write(s, seen, &v);
    if (!s->auth_begun && (active_node(s) || all_asked(s))) {
        s->auth_begun = true; /* the first round does not wait for a tick */
        vault_auth_poll(s->auth, active_node(s));
    }
    buf_free(&v.text);
    for (size_t i = 0; i < s->count; i++)
        mem_free(names[i]);
    mem_free(names);
    mem_free(seen);
}

void vault_source_changed(struct vault_source *s)
{
    bool open = false;
    for (size_t i = 0; i < s->count; i++)
        open = open || s->nodes[i]->open > 0;
    if (!open)
        timer_start(s->settle, 0, 0);
    else if (!timer_active(s->settle))
        timer_start(s->settle, SETTLE_MS, 0);
}

/* ---- Nodes ------------------------------------------------------------------------------------------------------- */

static int by_name(const void *a, const void *b)
{
    const struct vault_node *const *x = a, *const *y = b;
    return strcmp((*x)->name, (*y)->name);
}

static struct vault_node *node_named(const struct vault_source *s, struct slice name)
{
    for (size_t i = 0; i < s->count; i++)
        if (slice_is(name, s->nodes[i]->name))
            return s->nodes[i];
    return NULL;
}

static struct vault_node *add_node(struct vault_source *s, const char *name, const char *url)
{
    struct vault_node *n = vault_node_new(s, name, url);
    s->nodes = mem_reallocarray(s->nodes, s->count + 1, sizeof *s->nodes);
    s->nodes[s->count++] = n;
    qsort(s->nodes, s->count, sizeof *s->nodes, by_name);
    return n;
}

/* "vault-0" of "vault". */
static bool has_name_of_set(const struct vault_source *s, struct slice name)
{
    size_t n = strlen(s->statefulset);
    int64_t ordinal;
    return name.n > n + 1 && slice_starts(name, s->statefulset) && name.p[n] == '-' &&
           slice_to_i64((struct slice){name.p + n + 1, name.n - n - 1}, &ordinal);
}

/* A pod without an owner is an orphan: its set is being made again, and just then its nodes have to be watched. */
static bool is_ours(const struct vault_source *s, const struct row *pod)
{
    struct slice owner = row_text(pod, PODS_OWNER);
    if (!slice_is(row_text(pod, PODS_NAMESPACE), s->ns))
        return false;
    return slice_is(owner, s->owner) || (owner.n == 0 && has_name_of_set(s, row_text(pod, PODS_NAME)));
}

/* The pods of the set are the nodes. One whose pod has gone stays: its set will make it again, and until then it is
 * missed. */
static void find_nodes(struct vault_source *s)
{
    for (const struct row *r = world_first(s->world, T_PODS); r; r = world_next(s->world, r)) {
        if (s->o.direct || !is_ours(s, r) || node_named(s, row_text(r, PODS_NAME)))
            continue;
        char *name = slice_dup(row_text(r, PODS_NAME));
        add_node(s, name, NULL);
        mem_free(name);
    }
    for (size_t i = 0; i < s->count; i++) {
        const struct row *pod = vault_pod_of(s, s->nodes[i]);
        vault_node_pod(s->nodes[i], pod ? row_key(pod) : (struct slice){NULL, 0});
    }
}

/* Why there is nobody to ask: the pods are not known yet, cannot be known, or are none. */
static void tell_no_nodes(struct vault_source *s)
{
    static const char pods[] = "kube/pods";
    struct fresh f = world_source_freshness(s->world, pods);
    const struct row *source = world_find(s->world, T_SOURCES, slice_of(pods));
    if (source && f.state == FRESH_STARTING)
        return;
    vault_auth_poll(s->auth, NULL);
    vault_source_changed(s);
}

static void on_tick(void *arg)
{
    struct vault_source *s = arg;
    find_nodes(s);
    if (s->count == 0) {
        tell_no_nodes(s);
        return;
    }
    for (size_t i = 0; i < s->count; i++)
        vault_node_poll(s->nodes[i]);
    if (all_asked(s) || active_node(s))
        vault_auth_poll(s->auth, active_node(s));
    vault_source_changed(s);
}

/* Soon after pods have changed, and once the first round is over: then the active node is known. */
static void on_soon(void *arg)
{
    struct vault_source *s = arg;
    find_nodes(s);
    vault_source_changed(s);
}

static void on_pod(void *arg, enum world_table t, const struct row *old, const struct row *now)
{
    struct vault_source *s = arg;
    if (t == T_PODS && is_ours(s, now ? now : old) && !timer_active(s->soon))
        timer_start(s->soon, SOON_MS, 0);
}

/* ---- Life -------------------------------------------------------------------------------------------------------- */

struct vault_source *vault_source_new(const struct vault_source_options *o)
{
    struct vault_source *s = MEM_NEW(struct vault_source);
    *s = (struct vault_source){
        .loop = o->loop,
        .world = o->world,
        .o = *o,
        .workload = mem_strdup(o->workload),
        .ns = mem_strdup(o->ns),
        .statefulset = mem_strdup(o->statefulset),
        .scheme = mem_strdup(o->scheme),
        .ca_pem = mem_strdup(o->ca_pem),
        .tls_server_name = mem_strdup(o->tls_server_name),
        .token_file = mem_strdup(o->token_file),
        .poll_ms = o->poll_ms ? o->poll_ms : POLL_MS,
        .memory = RAFT_MEMORY_NEW,
    };
    s->next = sources;
    sources = s;
    s->owner = str_printf("StatefulSet/%s", o->statefulset ? o->statefulset : "");
    s->o.token = o->token ? secret_ref(o->token) : NULL;
    if (o->direct)
        s->o.kube = NULL;
    s->auth = vault_auth_new(s);
    s->tick = timer_new(s->loop, on_tick, s);
    s->soon = timer_new(s->loop, on_soon, s);
    s->settle = timer_new(s->loop, judge, s);
    for (size_t i = 0; o->direct && o->node_names && o->node_names[i]; i++)
        add_node(s, o->node_names[i], o->node_urls[i]);
    world_watch(s->world, on_pod, s);
    timer_start(s->tick, 0, s->poll_ms);
    return s;
}

void vault_source_free(struct vault_source *s)
{
    if (!s)
        return;
    struct vault_source **at = &sources;
    while (*at != s)
        at = &(*at)->next;
    *at = s->next;
    mem_free(s->probe.node);
    mem_free(s->probe.error);
    world_unwatch(s->world, on_pod, s);
    timer_free(s->tick);
    timer_free(s->soon);
    timer_free(s->settle);
    vault_auth_free(s->auth);
    for (size_t i = 0; i < s->count; i++)
        vault_node_free(s->nodes[i]);
    vault_rows_remove(s);
    char *strings[] = {s->workload,        s->ns,         s->statefulset, s->owner,      s->scheme, s->ca_pem,
                       s->tls_server_name, s->token_file, s->last_state,  s->last_leader};
    for (size_t i = 0; i < ARRAY_LEN(strings); i++)
        mem_free(strings[i]);
    secret_free(s->o.token);
    mem_free(s->nodes);
    mem_free(s);
}

void vault_source_poke(struct vault_source *s)
{
    timer_start(s->tick, 0, s->poll_ms);
}

/* ---- The write probe of others ----------------------------------------------------------------------------------- */

static struct vault_source *source_of(const struct world *w, const char *workload)
{
    struct vault_source *s = sources;
    while (s && (s->world != w || !str_eq(s->workload, workload)))
        s = s->next;
    return s;
}

const char *vault_probe_word(const struct vault_source *s)
{
    static const char *const words[] = {
        [VAULT_PROBE_SENT] = "NOT RUN",
        [VAULT_PROBE_OK] = "OK",
        [VAULT_PROBE_FAILED] = "FAIL",
        [VAULT_PROBE_UNKNOWN] = "UNKNOWN",
    };
    return s->probe.node ? words[s->probe.last] : words[VAULT_PROBE_SENT];
}

static void probe_over(struct vault_source *s)
{
    mem_free(s->probe.node);
    s->probe.node = NULL;
    str_set(&s->probe.error, NULL);
    s->probe.last = VAULT_PROBE_SENT;
    s->probe.failures = 0;
}

/* It counts as ours from now on: it may be in the index before its answer is here. */
static void probe_sent(struct vault_source *s, const char *node)
{
    struct vault_node *n = node_named(s, slice_of(node));
    if (!str_eq(s->probe.node, node))
        probe_over(s);
    str_set(&s->probe.node, node);
    s->probe.writes++;
    s->probe.sent_at = clock_wall_ms();
    if (s->probe.failures > 0)
        return;
    s->probe.failing_since = s->probe.sent_at;
    s->probe.index_then = n && n->has_leader ? n->leader.applied : -1;
}

static void probe_ended(struct vault_source *s, const struct vault_probe *p)
{
    s->probe.last = p->state;
    if (p->state != VAULT_PROBE_OK && s->probe.writes > 0)
        s->probe.writes--; /* it has not been written, as far as anybody knows */
    str_set(&s->probe.error, p->state == VAULT_PROBE_OK ? NULL : p->error);
    if (p->state == VAULT_PROBE_FAILED) {
        s->probe.failures++;
        s->probe.failed_at = clock_wall_ms();
    } else if (p->state == VAULT_PROBE_OK) {
        s->probe.failures = 0;
    }
}

void vault_source_probe(const struct world *w, const char *workload, const struct vault_probe *p)
{
    struct vault_source *s = source_of(w, workload);
    if (!s)
        return;
    if (!p)
        probe_over(s);
    else if (p->state == VAULT_PROBE_SENT)
        probe_sent(s, p->node);
    else if (str_eq(p->node, s->probe.node))
        probe_ended(s, p);
    vault_source_changed(s);
}

void vault_source_expect_change(const struct world *w, const char *workload, int64_t for_ms)
{
    struct vault_source *s = source_of(w, workload);
    if (s)
        s->change_until = clock_wall_ms() + for_ms;
}
