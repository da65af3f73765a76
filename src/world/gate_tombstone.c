/* The old copy is a tombstone (safety 6): until its retention ends, the server that serves is the new one, and the old claim is there
 * still. GitOps or an undone roll-out can bring the old claim back, and both copies would diverge in silence. */
#include "world/gate_facts.h"
#include "world/gate_internal.h"
#include "world/world.h"

/* The old claim is there under its uid, and nothing that runs for long mounts it. */
static enum gate_answer ask_claim(const struct world *w, const struct row *workload, struct buf *reason)
{
    struct slice uid = row_text(workload, PLAN_WORKLOADS_TOMBSTONE_UID), name = row_text(workload, PLAN_WORKLOADS_TOMBSTONE);
    if (uid.n == 0)
        return GATE_PASS;
    enum gate_answer facts = gate_source(w, "kube/persistentvolumeclaims", reason);
    if (facts != GATE_PASS)
        return facts;
    const struct row *claim = world_find(w, T_CLAIMS, uid);
    bool ended = row_int(workload, PLAN_WORKLOADS_RETAIN_UNTIL, INT64_MAX) <= world_now(w);
    if (!claim && !ended) {
        buf_printf(reason, "the old copy, claim %.*s, is gone before its retention ended", SLICE_FMT(name));
        return GATE_FAIL;
    }
    if (claim && row_int(claim, CLAIMS_DELETING, 0) > 0) {
        buf_printf(reason, "the old copy, claim %.*s, is being deleted", SLICE_FMT(name));
        return GATE_FAIL;
    }
    return GATE_PASS;
}

static enum gate_answer ask(const struct world *w, const struct row *workload, struct buf *reason)
{
    struct slice must = row_text(workload, PLAN_WORKLOADS_IDENTIFIER), tombstone = row_text(workload, PLAN_WORKLOADS_TOMBSTONE);
    if (tombstone.n == 0 || must.n == 0) {
        buf_adds(reason, "nothing has been moved yet");
        return GATE_WAIT;
    }
    enum gate_answer claim = ask_claim(w, workload, reason);
    if (claim != GATE_PASS)
        return claim;
    const struct row *server = world_find(w, T_PG_SERVERS, row_key(workload));
    if (!server) {
        buf_adds(reason, "the server has not been seen");
        return GATE_NO_DATA;
    }
    enum gate_answer facts = gate_row(w, server, reason);
    if (facts != GATE_PASS)
        return facts;
    struct slice is = row_text(server, PG_SERVERS_IDENTIFIER);
    if (is.n == 0) {
        buf_adds(reason, "the server's system identifier is not known: is our user allowed to read it?");
        return GATE_NO_DATA;
    }
    if (!slice_eq(is, must)) {
        buf_printf(reason, "a server with system identifier %.*s serves, it must be %.*s: THE OLD COPY OR ANOTHER IS BACK, and what is "
                           "written goes there. Who changed the deployment?", SLICE_FMT(is), SLICE_FMT(must));
        return GATE_FAIL;
    }
    bool rests = world_find(w, T_CLAIMS, row_text(workload, PLAN_WORKLOADS_TOMBSTONE_UID)) != NULL;
    buf_printf(reason, rests ? "system identifier %.*s; the old copy rests in %.*s" : "system identifier %.*s; the old copy, %.*s, is gone",
               SLICE_FMT(is), SLICE_FMT(tombstone));
    return GATE_PASS;
}

const struct gate gate_tombstone = {
    .name = "the new server serves",
    .kind = "postgres-dump-restore",
    .doc = "the system identifier is the one born in this move, and the old claim is kept untouched",
    .ask = ask,
};
