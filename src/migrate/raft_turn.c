/* The pods in their turns: who is next is read live before every pod, so it is a question to the world until it is chosen. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "migrate/plan_hours.h"
#include "migrate/raft.h"
#include "world/gate_facts.h"
#include "world/world.h"

int64_t raft_replicas(const struct run *r) {
    if (run_has(r, "replicas")) return run_fact_int(r, "replicas", 3);
    const struct row *w = r->world ? world_find_name(r->world, T_WORKLOADS, slice_of(r->workload->ns), slice_of(raft_spec(r)->statefulset)) : NULL;
    int64_t n = w ? row_int(w, WORKLOADS_DESIRED, 0) : 0;
    return n > 0 ? n : 3;
}

bool raft_turn_wanted(const struct run *r) {
    const char *turn = r->phase->turn;
    int64_t n;
    if (str_eq(turn, "last")) return true;
    return slice_to_i64(slice_of(turn), &n) && n < raft_replicas(r);
}

static const char *turn_fact(char *buf, size_t size, const char *turn, const char *name) {
    snprintf(buf, size, "pod.%s.%s", turn, name);
    return buf;
}

const char *raft_fact(const struct run *r, const char *name) {
    char key[100];
    return run_fact(r, turn_fact(key, sizeof key, r->phase->turn, name));
}

bool raft_has(const struct run *r, const char *name) {
    char key[100];
    return run_has(r, turn_fact(key, sizeof key, r->phase->turn, name));
}

void raft_set(struct run *r, const char *name, const char *value) {
    char key[100];
    run_set(r, turn_fact(key, sizeof key, r->phase->turn, name), value);
}

static const char *const turns[] = {"1", "2", "3", "4", "5", "6", "last"};

const char *raft_turn_of(const struct run *r, const char *pod) {
    char key[100];
    for (size_t i = 0; i < ARRAY_LEN(turns); i++) {
        turn_fact(key, sizeof key, turns[i], "name");
        if (run_has(r, key) && str_eq(run_fact(r, key), pod)) return turns[i];
    }
    return NULL;
}

/* ---- The world, live ---- */

static const struct row *cluster_row(const struct run *r) {
    return r->world ? world_find(r->world, T_RAFT_CLUSTERS, slice_of(r->workload->name)) : NULL;
}

static const struct row *peer_row(const struct run *r, const char *pod) {
    char key[400];
    snprintf(key, sizeof key, "%s/%s", r->workload->name, pod);
    return world_find(r->world, T_RAFT_PEERS, slice_of(key));
}

/* Text of a row as long as the next such question: rows move. */
static const char *kept(struct slice text) {
    static char name[256];
    snprintf(name, sizeof name, "%.*s", (int)text.n, text.p);
    return name;
}

static bool is_fresh(const struct run *r, const struct row *row, const char *what, struct buf *reason) {
    return row && gate_fresh(world_freshness(r->world, row), slice_of(what), reason) == GATE_PASS;
}

const char *raft_leader(const struct run *r) {
    struct buf why = {0};
    const struct row *c = cluster_row(r);
    bool fresh = is_fresh(r, c, "the raft cluster", &why);
    buf_free(&why);
    struct slice leader = fresh ? row_text(c, RAFT_CLUSTERS_LEADER) : (struct slice){NULL, 0};
    return leader.n ? kept(leader) : NULL;
}

/* Turns before this one whose pod has not been chosen yet: each of them takes a follower first. */
static int64_t turns_before(const struct run *r) {
    int64_t n = 0;
    char key[100];
    for (size_t i = 0; i < ARRAY_LEN(turns) && !str_eq(turns[i], r->phase->turn) && (int64_t)i + 1 < raft_replicas(r); i++)
        n += !run_has(r, turn_fact(key, sizeof key, turns[i], "name"));
    return n;
}

/* Followers from the highest ordinal down would be as good; the lowest first is what the set itself does last, and what people expect. */
static const char *next_follower(const struct run *r, const char *leader) {
    static char name[256];
    int64_t before = turns_before(r);
    for (int64_t i = 0; i < raft_replicas(r); i++) {
        snprintf(name, sizeof name, "%s-%d", raft_spec(r)->statefulset, (int)i);
        if (!str_eq(name, leader) && !raft_turn_of(r, name) && before-- == 0) return name;
    }
    return NULL;
}

static const char *only_one_left(const struct run *r) {
    static char name[256];
    const char *found = NULL;
    for (int64_t i = 0; i < raft_replicas(r); i++) {
        char pod[256];
        snprintf(pod, sizeof pod, "%s-%d", raft_spec(r)->statefulset, (int)i);
        if (raft_turn_of(r, pod)) continue;
        if (found) return NULL;
        found = str_copy(name, sizeof name, pod) ? name : NULL;
    }
    return found;
}

/* As it would be chosen now; NULL: not known. */
static const char *next_pod(const struct run *r) {
    char leader[256];
    const char *left = str_eq(r->phase->turn, "last") ? only_one_left(r) : NULL;
    if (left) return left;
    const char *now = r->world ? raft_leader(r) : NULL;
    if (!now || !str_copy(leader, sizeof leader, now)) return NULL;
    if (!str_eq(r->phase->turn, "last")) return next_follower(r, leader);
    static char name[256]; /* who leads now is who will be the former leader, unless something changes before its turn */
    return !raft_turn_of(r, leader) && str_copy(name, sizeof name, leader) ? name : NULL;
}

const char *raft_pod(const struct run *r) {
    if (raft_has(r, "name")) return raft_fact(r, "name");
    const char *next = next_pod(r);
    return next || !r->preview ? next : raft_fact(r, "name"); /* a preview says so in a placeholder */
}

static bool voter_is_well(const struct run *r, const char *pod, struct buf *reason) {
    const struct row *p = peer_row(r, pod);
    if (!is_fresh(r, p, pod, reason)) {
        if (!p) buf_printf(reason, "nothing is known of %s", pod);
        return false;
    }
    struct slice health = row_text(p, RAFT_PEERS_HEALTH), seal = row_text(p, RAFT_PEERS_SEAL), role = row_text(p, RAFT_PEERS_ROLE);
    if (!slice_is(health, "OK")) buf_printf(reason, "%s is %.*s, not OK", pod, (int)health.n, health.p);
    else if (!slice_is(seal, "UNSEALED")) buf_printf(reason, "%s is %.*s", pod, (int)seal.n, seal.p);
    else if (!slice_is(role, "LEADER") && !slice_is(role, "VOTER")) buf_printf(reason, "%s is %.*s, not a voter", pod, (int)role.n, role.p);
    else if (slice_is(row_text(p, RAFT_PEERS_AUTOPILOT), "UNHEALTHY")) buf_printf(reason, "autopilot calls %s unhealthy", pod);
    else return true;
    return false;
}

bool raft_budget(const struct run *r, bool begun, struct buf *reason) {
    const struct row *c = cluster_row(r);
    const char *target = begun ? raft_fact(r, "name") : NULL;
    if (!is_fresh(r, c, "the raft cluster", reason)) {
        if (!c) buf_adds(reason, "nothing is known of the raft cluster");
        return false;
    }
    if (!row_text(c, RAFT_CLUSTERS_LEADER).n) {
        buf_adds(reason, "no node is active");
        return false;
    }
    for (int64_t i = 0; i < raft_replicas(r); i++) {
        char pod[256];
        snprintf(pod, sizeof pod, "%s-%d", raft_spec(r)->statefulset, (int)i);
        if (!str_eq(pod, target) && !voter_is_well(r, pod, reason)) return false;
    }
    if (!begun && row_int(c, RAFT_CLUSTERS_TOLERANCE, 0) < 1) {
        buf_adds(reason, "the cluster tolerates no failure now (failure tolerance below 1, or not known): a pod that goes would end it");
        return false;
    }
    return true;
}

/* What the phases rest on. */
static bool matters(const struct row *source) {
    static const char *const kinds[] = {"pods", "persistentvolumeclaims", "persistentvolumes", "statefulsets", "nodes", NULL};
    if (!slice_is(row_text(source, SOURCES_SERVER), "kube")) return false;
    for (size_t i = 0; kinds[i]; i++)
        if (slice_starts(row_text(source, SOURCES_KIND), kinds[i])) return true;
    return false;
}

static bool cluster_is_fresh(const struct run *r, struct buf *reason) {
    bool any = false;
    for (const struct row *s = world_first(r->world, T_SOURCES); s; s = world_next(r->world, s)) {
        if (!matters(s)) continue;
        any = true;
        if (gate_fresh(world_freshness(r->world, s), row_key(s), reason) != GATE_PASS) return false;
    }
    if (!any) buf_adds(reason, "nothing has been heard of the cluster yet");
    return any;
}

bool raft_may_begin(const struct run *r, struct buf *reason) {
    struct buf why = {0};
    if (!cluster_is_fresh(r, reason)) return false;
    bool open = plan_hours_open(r->plan->hours, clock_plan_ms(), &why) || run_override(r, "hours");
    if (!open) buf_printf(reason, "%s. It can be overridden with a reason (gate hours)", buf_str(&why));
    buf_free(&why);
    return open;
}
