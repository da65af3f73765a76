/* See vault_cluster.h. */
#include "sandbox/vault_cluster.h"

#include <string.h>

#include "base/str.h"

static int vault_majority(const struct vault_cluster *c)
{
    return vault_cluster_voters(c) / 2 + 1;
}

static void node_enter(struct vault_cluster *c, int i, enum vault_stage stage)
{
    c->node[i].stage = stage;
    c->node[i].stage_since = c->now;
}

void vault_cluster_init(struct vault_cluster *c, int64_t now, int leader, int64_t active_since, int64_t index)
{
    *c = (struct vault_cluster){.leader = leader,
                                .raft_leader = VAULT_NONE,
                                .gave_up = VAULT_NONE,
                                .active_since = active_since,
                                .term = 34,
                                .index = index,
                                .next_write = now + VAULT_WRITE_EVERY_MS,
                                .now = now};
    for (int i = 0; i < VAULT_NODES; i++) {
        c->node[i] = (struct vault_node){.stage = VAULT_RUNS,
                                         .stage_since = active_since,
                                         .started = active_since,
                                         .data = true,
                                         .in_config = true,
                                         .voter = true,
                                         .applied = index,
                                         .stable_since = active_since,
                                         .last_echo = now,
                                         .last_echo_index = index,
                                         .known_leader = leader};
        char id[] = {'v', 'a', 'u', 'l', 't', '-', (char)('0' + i), '\0'};
        vault_cluster_rename(c, i, id);
    }
}

void vault_cluster_own_id(struct vault_cluster *c, int node, const char *id)
{
    str_copy(c->node[node].own_id, VAULT_ID_SIZE, id);
}

void vault_cluster_rename(struct vault_cluster *c, int node, const char *id)
{
    vault_cluster_own_id(c, node, id);
    str_copy(c->node[node].id, VAULT_ID_SIZE, id);
}

static bool node_is_itself(const struct vault_node *n)
{
    return str_eq(n->id, n->own_id);
}

bool vault_node_takes_part(const struct vault_cluster *c, int node)
{
    const struct vault_node *n = &c->node[node];
    return (n->stage == VAULT_RUNS || n->stage == VAULT_INSTALL) && n->in_config;
}

int vault_cluster_voters(const struct vault_cluster *c)
{
    int voters = 0;
    for (int i = 0; i < VAULT_NODES; i++)
        voters += c->node[i].in_config && c->node[i].voter;
    return voters;
}

int vault_cluster_present(const struct vault_cluster *c)
{
    int present = 0;
    for (int i = 0; i < VAULT_NODES; i++)
        present += vault_node_takes_part(c, i) && c->node[i].voter;
    return present;
}

bool vault_cluster_has_quorum(const struct vault_cluster *c)
{
    return vault_cluster_voters(c) > 0 && vault_cluster_present(c) >= vault_majority(c);
}

bool vault_cluster_is_lost(const struct vault_cluster *c)
{
    int with_data = 0;
    for (int i = 0; i < VAULT_NODES; i++)
        with_data += c->node[i].in_config && c->node[i].voter && c->node[i].data;
    return c->leader == VAULT_NONE && c->raft_leader == VAULT_NONE && with_data < vault_majority(c);
}

bool vault_node_healthy(const struct vault_cluster *c, int node)
{
    const struct vault_node *n = &c->node[node];
    if (!vault_node_takes_part(c, node))
        return false;
    if (node == c->leader)
        return true;
    return n->last_echo && c->now - n->last_echo <= 2 * VAULT_ECHO_MS &&
           n->last_echo_index + VAULT_MAX_TRAILING >= c->index;
}

int vault_cluster_tolerance(const struct vault_cluster *c)
{
    int healthy = 0;
    for (int i = 0; i < VAULT_NODES; i++)
        healthy += c->node[i].voter && vault_node_healthy(c, i);
    int tolerance = healthy - vault_majority(c);
    return tolerance > 0 ? tolerance : 0;
}

/* Whether a majority would vote for it: a node refuses who holds less than itself, so what is committed stays. */
static bool vault_would_win(const struct vault_cluster *c, int candidate)
{
    int votes = 0;
    for (int i = 0; i < VAULT_NODES; i++)
        votes += vault_node_takes_part(c, i) && c->node[i].voter && c->node[i].applied <= c->node[candidate].applied;
    return votes >= vault_majority(c);
}

/* Who would be elected: takes part, votes, is not banned, gets the votes; among equals the lowest. */
static int vault_candidate(const struct vault_cluster *c)
{
    int best = VAULT_NONE;
    for (int i = 0; i < VAULT_NODES; i++) {
        const struct vault_node *n = &c->node[i];
        if (n->stage != VAULT_RUNS || !n->in_config || !n->voter || n->hung || n->banned_until > c->now ||
            !node_is_itself(n) || !vault_would_win(c, i))
            continue;
        if (best == VAULT_NONE || n->applied > c->node[best].applied)
            best = i;
    }
    return best;
}

/* The winner does not get as far as being active. */
static void vault_elect_in_vain(struct vault_cluster *c, int winner)
{
    c->term++;
    c->minority_since = 0;
    c->election_at = c->never_active ? 0 : c->now + VAULT_TRANSFER_MS;
    if (c->never_active) {
        c->raft_leader = winner;
        return;
    }
    c->gave_up = winner;
    c->node[winner].banned_until = c->now + VAULT_GIVE_UP_MS;
}

static void vault_elect(struct vault_cluster *c, int winner)
{
    if (c->never_active || c->node[winner].audit_broken) {
        vault_elect_in_vain(c, winner);
        return;
    }
    c->leader = winner;
    c->gave_up = VAULT_NONE;
    c->active_since = c->now;
    c->term++;
    c->election_at = 0;
    c->minority_since = 0;
    c->index = c->node[winner].applied + 1;
    c->node[winner].applied = c->index;
    for (int i = 0; i < VAULT_NODES; i++) {
        c->node[i].last_echo = 0; /* the new leader has not heard of them */
        if (vault_node_takes_part(c, i))
            c->node[i].known_leader = winner;
    }
}

/* The leader is no more; an election may follow after `after` ms. Standbys go on naming it. */
static void vault_lose_leader(struct vault_cluster *c, int64_t after)
{
    if (c->leader == VAULT_NONE)
        return;
    c->node[c->leader].known_leader = VAULT_NONE; /* its own advertisement points to itself */
    c->leader = VAULT_NONE;
    c->election_at = c->now + after;
    c->minority_since = 0;
}

static void tick_election(struct vault_cluster *c)
{
    if (c->leader != VAULT_NONE) {
        bool majority = vault_cluster_has_quorum(c);
        if (majority)
            c->minority_since = 0;
        else if (!c->minority_since)
            c->minority_since = c->now;
        else if (c->now - c->minority_since >= VAULT_LEASE_MS)
            vault_lose_leader(c, VAULT_ELECTION_MS);
        return;
    }
    if (c->raft_leader != VAULT_NONE &&
        (!c->never_active || !vault_node_takes_part(c, c->raft_leader) || !vault_cluster_has_quorum(c)))
        c->raft_leader = VAULT_NONE;
    if (!vault_cluster_has_quorum(c)) {
        c->election_at = 0;
        return;
    }
    if (c->raft_leader != VAULT_NONE)
        return;
    if (!c->election_at)
        c->election_at = c->now + VAULT_ELECTION_MS;
    if (c->now < c->election_at)
        return;
    int winner = vault_candidate(c);
    if (winner != VAULT_NONE)
        vault_elect(c, winner);
}

/* Whether a joining node finds an active node that answers. */
static bool vault_can_be_asked(const struct vault_cluster *c)
{
    return c->leader != VAULT_NONE && !c->node[c->leader].hung && vault_cluster_has_quorum(c);
}

/* The answer to the challenge: same id and address, so a peer of before is a voter at once, others not yet. */
static void node_join(struct vault_cluster *c, int i)
{
    struct vault_node *n = &c->node[i];
    if ((n->was_removed || c->remove_next) && c->removed_checker) {
        /* Replaying the log, it meets the entry that removed it (hashicorp/vault issues 31732, 32099). */
        n->data = n->removed_data = true;
        c->remove_next = false;
        node_enter(c, i, VAULT_REMOVED);
        return;
    }
    n->data = true;
    n->was_removed = false;
    if (!node_is_itself(n)) { /* the peer of the same address is removed first (raft-autopilot AddServer) */
        memcpy(n->id, n->own_id, sizeof n->id);
        n->in_config = false;
        c->index++;
    }
    if (!n->in_config) {
        n->in_config = true;
        n->voter = false;
        c->index++;
    }
    n->applied = 0;
    n->known_leader = c->leader;
    node_enter(c, i, VAULT_INSTALL);
}

static void tick_node_stage(struct vault_cluster *c, int i)
{
    struct vault_node *n = &c->node[i];
    int64_t age = c->now - n->stage_since;
    switch (n->stage) {
    case VAULT_NEW:
        if (age >= VAULT_JOIN_MS && vault_can_be_asked(c))
            node_enter(c, i, VAULT_SEALED);
        break;
    case VAULT_SEALED:
        if (n->hold_sealed || age < VAULT_UNSEAL_MS)
            break;
        if (n->data)
            node_enter(c, i, VAULT_RUNS);
        else if (vault_can_be_asked(c))
            node_join(c, i);
        break;
    case VAULT_INSTALL:
        if (age >= VAULT_INSTALL_MS && c->leader != VAULT_NONE) {
            n->applied = c->index > 141 ? c->index - 141 : c->index;
            node_enter(c, i, VAULT_RUNS);
        }
        break;
    case VAULT_DOWN:
    case VAULT_RUNS:
    case VAULT_REMOVED:
        break;
    }
}

/* Followers apply what is committed, as fast as they can. */
static void tick_follower(struct vault_cluster *c, int i)
{
    struct vault_node *n = &c->node[i];
    int64_t room = (c->now - n->catch_up_at) * VAULT_CATCH_UP_PER_S / 1000;
    n->catch_up_at = c->now;
    if (n->stage != VAULT_RUNS || !n->in_config || c->leader == VAULT_NONE || i == c->leader)
        return;
    n->known_leader = c->leader;
    if (!n->lagging && n->applied < c->index)
        n->applied = c->index - n->applied <= room ? c->index : n->applied + room;
    if (!n->hung && !c->node[c->leader].hung && (!n->last_echo || c->now - n->last_echo >= VAULT_ECHO_MS)) {
        bool first = !n->last_echo;
        n->last_echo = c->now;
        n->last_echo_index = n->applied;
        if (first || !n->stable_since)
            n->stable_since = c->now;
    }
    if (n->last_echo_index + VAULT_MAX_TRAILING < c->index)
        n->stable_since = c->now;
    if (!n->voter && vault_node_healthy(c, i) && c->now - n->stable_since >= VAULT_STABILIZE_MS) {
        n->voter = true;
        c->index++;
    }
}

static void tick_writes(struct vault_cluster *c)
{
    while (c->next_write <= c->now) {
        c->next_write += VAULT_WRITE_EVERY_MS;
        (void)vault_cluster_write(c);
    }
}

void vault_cluster_shift(struct vault_cluster *c, int64_t ms)
{
    int64_t *times[] = {&c->active_since, &c->election_at, &c->minority_since, &c->next_write, &c->now};
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++)
        *times[i] += *times[i] ? ms : 0;
    for (int n = 0; n < VAULT_NODES; n++) {
        struct vault_node *node = &c->node[n];
        int64_t *own[] = {&node->stage_since, &node->started, &node->banned_until, &node->stable_since,
                          &node->last_echo, &node->catch_up_at};
        for (size_t i = 0; i < sizeof own / sizeof own[0]; i++)
            *own[i] += *own[i] ? ms : 0;
    }
}

void vault_cluster_tick(struct vault_cluster *c, int64_t now)
{
    if (now > c->now)
        c->now = now;
    for (int i = 0; i < VAULT_NODES; i++)
        tick_node_stage(c, i);
    tick_election(c);
    tick_writes(c);
    for (int i = 0; i < VAULT_NODES; i++)
        tick_follower(c, i);
}

void vault_cluster_start(struct vault_cluster *c, int node, bool fresh, int64_t applied)
{
    struct vault_node *n = &c->node[node];
    n->hung = n->lagging = false;
    n->started = c->now;
    n->data = !fresh;
    n->applied = fresh ? 0 : applied;
    n->last_echo = 0;
    n->stable_since = 0;
    n->banned_until = 0;
    n->known_leader = fresh ? VAULT_NONE : n->known_leader;
    if (fresh)
        n->removed_data = false;
    bool removed = c->removed_checker && (n->was_removed || n->removed_data || !node_is_itself(n));
    node_enter(c, node, fresh ? VAULT_NEW : removed ? VAULT_REMOVED : VAULT_SEALED);
}

void vault_cluster_stop(struct vault_cluster *c, int node, bool graceful)
{
    struct vault_node *n = &c->node[node];
    bool handed_over = graceful && !n->hung;
    node_enter(c, node, VAULT_DOWN);
    n->hung = false;
    if (node == c->leader)
        vault_lose_leader(c, handed_over ? VAULT_TRANSFER_MS : VAULT_ELECTION_MS);
}

void vault_cluster_hang(struct vault_cluster *c, int node, bool hung)
{
    if (c->node[node].stage != VAULT_DOWN)
        c->node[node].hung = hung;
}

void vault_cluster_seal(struct vault_cluster *c, int node, bool sealed)
{
    struct vault_node *n = &c->node[node];
    n->hold_sealed = sealed;
    if (sealed && vault_node_takes_part(c, node)) {
        node_enter(c, node, VAULT_SEALED);
        if (node == c->leader)
            vault_lose_leader(c, VAULT_TRANSFER_MS);
    } else if (!sealed && n->stage == VAULT_SEALED) {
        n->stage_since = c->now;
    }
}

void vault_cluster_lag(struct vault_cluster *c, int node, bool lagging)
{
    c->node[node].lagging = lagging;
}

void vault_cluster_step_down(struct vault_cluster *c, int to)
{
    int old = c->leader;
    if (old == VAULT_NONE || c->node[old].hung || c->stalled || old == to)
        return;
    if (to != VAULT_NONE && (!vault_node_takes_part(c, to) || c->node[to].applied < c->index))
        return; /* it is not handed over before the other is level */
    vault_lose_leader(c, VAULT_TRANSFER_MS);
    c->node[old].banned_until = c->now + VAULT_STEP_DOWN_BAN_MS;
    if (to == VAULT_NONE)
        return;
    for (int i = 0; i < VAULT_NODES; i++) {
        if (i != to)
            c->node[i].banned_until = c->now + VAULT_STEP_DOWN_BAN_MS;
    }
}

void vault_cluster_remove_peer(struct vault_cluster *c, int node)
{
    struct vault_node *n = &c->node[node];
    if (!n->in_config || !vault_cluster_write(c))
        return;
    n->in_config = n->voter = false;
    n->was_removed = n->removed_data = true;
    if (c->removed_checker && n->stage != VAULT_DOWN)
        node_enter(c, node, VAULT_REMOVED);
    if (node == c->leader)
        vault_lose_leader(c, VAULT_TRANSFER_MS);
}

bool vault_cluster_write(struct vault_cluster *c)
{
    if (c->stalled || !vault_can_be_asked(c))
        return false;
    c->index++;
    c->node[c->leader].applied = c->index;
    return true;
}
