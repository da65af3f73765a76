/* Every voter that the raft configuration has was seen, is healthy by its own word, and the leader's word is fresh.
 * What the cluster says as a whole (stuck, no leader) comes before what is missing: bad news needs no complete
 * picture. */
#include "world/gate_facts.h"
#include "world/gate_internal.h"
#include "world/world.h"

struct peers_found {
    int64_t voters;
    struct gate_names sick, unknown;
    const struct row *stale; /* one whose facts are not usable, the first in the alphabet */
    bool leader;             /* the one that the cluster names was seen and is fresh */
};

static bool is_one_of(struct slice word, const char *const *words)
{
    for (; *words; words++)
        if (slice_is(word, *words))
            return true;
    return false;
}

static void judge_peer(const struct world *w, const struct row *peer, struct slice leader, struct peers_found *found)
{
    static const char *const voting[] = {"LEADER", "VOTER", NULL};
    struct slice name = row_text(peer, RAFT_PEERS_NAME), health = row_text(peer, RAFT_PEERS_HEALTH);
    struct slice none = {NULL, 0};
    if (!fresh_usable(world_freshness(w, peer))) {
        if (!found->stale || slice_cmp(row_key(peer), row_key(found->stale)) < 0)
            found->stale = peer;
        return;
    }
    bool votes = is_one_of(row_text(peer, RAFT_PEERS_ROLE), voting);
    found->voters += votes;
    if (votes && slice_is(row_text(peer, RAFT_PEERS_ROLE), "LEADER") && slice_eq(name, leader))
        found->leader = true;
    if (!health.p || slice_is(health, "UNKNOWN"))
        gate_name(&found->unknown, none, name);
    else if (!slice_is(health, "OK") || slice_is(row_text(peer, RAFT_PEERS_AUTOPILOT), "UNHEALTHY"))
        gate_name(&found->sick, none, name);
}

/* What the cluster's own row says; GATE_PASS if there is nothing against it. */
static enum gate_answer judge_cluster(const struct row *cluster, struct buf *reason)
{
    static const char *const bad[] = {"DEGRADED", "STUCK", "NO LEADER", NULL};
    struct slice state = row_text(cluster, RAFT_CLUSTERS_STATE), verdict = row_text(cluster, RAFT_CLUSTERS_VERDICT);
    int64_t tolerance = row_int(cluster, RAFT_CLUSTERS_TOLERANCE, -1);
    if (is_one_of(state, bad)) {
        buf_add_slice(reason, verdict.p ? verdict : state);
        return GATE_FAIL;
    }
    if (row_int(cluster, RAFT_CLUSTERS_HEALTHY, 1) == 0) {
        buf_adds(reason, "autopilot says that the cluster is not healthy");
        return GATE_FAIL;
    }
    if (tolerance == 0) {
        buf_adds(reason, "tolerance 0: no voter may be lost");
        return GATE_FAIL;
    }
    if (!slice_is(state, "OK") || tolerance < 0 || row_cell(cluster, RAFT_CLUSTERS_HEALTHY).type == CELL_NULL) {
        buf_adds(reason, "the cluster's health is not known");
        return GATE_NO_DATA;
    }
    return GATE_PASS;
}

static enum gate_answer judge_peers(const struct world *w, const struct row *cluster, const struct peers_found *found,
                                    struct buf *reason)
{
    int64_t voters = row_int(cluster, RAFT_CLUSTERS_VOTERS, -1);
    struct slice leader = row_text(cluster, RAFT_CLUSTERS_LEADER);
    if (found->sick.count > 0) {
        buf_adds(reason, "not healthy: ");
        gate_add_names(reason, &found->sick);
        return GATE_FAIL;
    }
    if (found->stale)
        return gate_row(w, found->stale, reason);
    if (found->unknown.count > 0) {
        buf_adds(reason, "health not known: ");
        gate_add_names(reason, &found->unknown);
        return GATE_NO_DATA;
    }
    if (voters <= 0 || found->voters != voters) {
        buf_printf(reason, "%lld voters seen, ", (long long)found->voters);
        if (voters < 0)
            buf_adds(reason, "the raft configuration is not known");
        else
            buf_printf(reason, "the raft configuration has %lld", (long long)voters);
        return GATE_NO_DATA;
    }
    if (!found->leader) {
        buf_adds(reason, leader.p ? "the leader has not answered as leader: " : "no leader is known");
        buf_add_slice(reason, leader);
        return GATE_NO_DATA;
    }
    buf_printf(reason, "%lld voters, all healthy, leader %.*s, tolerance %lld", (long long)voters, SLICE_FMT(leader),
               (long long)row_int(cluster, RAFT_CLUSTERS_TOLERANCE, 0));
    return GATE_PASS;
}

static enum gate_answer ask(const struct world *w, const struct row *workload, struct buf *reason)
{
    const struct row *cluster = world_find(w, T_RAFT_CLUSTERS, row_key(workload));
    struct peers_found found = {0};
    enum gate_answer answer = cluster ? gate_row(w, cluster, reason) : gate_server(w, "vault", reason);
    if (answer != GATE_PASS)
        return answer;
    if (!cluster) {
        buf_adds(reason, "nothing is known about this cluster yet");
        return GATE_NO_DATA;
    }
    answer = judge_cluster(cluster, reason);
    if (answer == GATE_FAIL)
        return answer;
    for (const struct row *r = world_first(w, T_RAFT_PEERS); r; r = world_next(w, r))
        if (slice_eq(row_text(r, RAFT_PEERS_WORKLOAD), row_key(workload)))
            judge_peer(w, r, row_text(cluster, RAFT_CLUSTERS_LEADER), &found);
    if (answer == GATE_PASS)
        return judge_peers(w, cluster, &found, reason);
    if (found.sick.count == 0)
        return answer;
    buf_clear(reason);
    return judge_peers(w, cluster, &found, reason);
}

const struct gate gate_raft = {
    .name = "voters are healthy",
    .kind = "raft-rolling",
    .doc = "every voter of the raft configuration answers and is healthy, the leader's word is fresh, "
           "and one voter may be lost",
    .ask = ask,
};
