#include "migrate/raft_rescue.h"

#include <stdio.h>
#include <string.h>

#include "base/json_doc.h"
#include "base/str.h"
#include "migrate/raft_look.h"

static const char *node_id(const struct run *r, const char *pod, char *buf, size_t size) {
    const char *noted = raft_pod_noted(r, pod, "node_id");
    snprintf(buf, size, "%s", noted ? noted : pod);
    return buf;
}

static const char *address(const struct run *r, const char *pod, char *buf, size_t size) {
    const char *noted = raft_pod_noted(r, pod, "address");
    if (noted) snprintf(buf, size, "%s", noted);
    else snprintf(buf, size, "%s.%s-internal:8201", pod, raft_spec(r)->statefulset);
    return buf;
}

/* The program in the container: vault and /vault, or bao and /openbao. */
static bool is_openbao(const struct run *r) {
    return run_has(r, "vault.product") && str_eq(run_fact(r, "vault.product"), "OpenBao");
}

/* The node whose data is the newest that is known: the leader as it was read last. */
static const char *survivor(const struct run *r, char *buf, size_t size) {
    const char *leader = run_has(r, "leader.now") ? run_fact(r, "leader.now") : NULL;
    if (leader) snprintf(buf, size, "%s", leader);
    else snprintf(buf, size, "%s-N", raft_spec(r)->statefulset);
    return buf;
}

void raft_rescue_text(const struct run *r, struct buf *out) {
    const char *ns = r->workload->ns, *context = r->plan->context, *program = is_openbao(r) ? "bao" : "vault",
               *home = is_openbao(r) ? "/openbao" : "/vault";
    char alive[300], id[300], at[300];
    survivor(r, alive, sizeof alive);
    buf_printf(out,
               "1. A majority is lost for good only if its volumes are: look first (kubectl --context %s -n %s get "
               "pods,pvc; every old volume is kept, Retain).\n",
               context, ns);
    buf_printf(out, "2. The survivor with the highest raft_applied_index (last known: %s) alone:\n", alive);
    buf_printf(out,
               "   kubectl --context %s -n %s exec %s -- sh -c 'echo "
               "'\\''[{\"id\":\"%s\",\"address\":\"%s\",\"non_voter\":false}]'\\'' > %s/data/raft/peers.json'\n",
               context, ns, alive, node_id(r, alive, id, sizeof id), address(r, alive, at, sizeof at), home);
    buf_printf(out,
               "   kubectl --context %s -n %s delete pod %s   (gracefully; never --force). It comes up with the voters "
               "of peers.json; unseal it\n",
               context, ns, alive);
    buf_printf(out, "3. The others join it again, empty. All peers as they were noted:");
    for (int64_t i = 0; i < raft_replicas(r); i++) {
        char pod[300];
        snprintf(pod, sizeof pod, "%s-%lld", raft_spec(r)->statefulset, (long long)i);
        buf_printf(out, "%s {\"id\":\"%s\",\"address\":\"%s\"}", i ? "," : "", node_id(r, pod, id, sizeof id),
                   address(r, pod, at, sizeof at));
    }
    buf_adds(out, "\n4. If no survivor has its data: a new set of nodes, initialised, unsealed, then the snapshot:\n");
    const char *file = run_has(r, "snapshot.file") ? run_fact(r, "snapshot.file") : "SNAPSHOT";
    if (str_ends(file, ".enc"))
        buf_printf(
            out, "   openssl enc -d -aes-256-ctr -pbkdf2 -iter 600000 -pass file:PASSPHRASE -in %s -out restore.snap\n",
            file);
    else if (raft_spec(r)->snapshot.encrypt.none) buf_printf(out, "   cp %s restore.snap\n", file);
    else
        buf_printf(
            out,
            "   openssl enc -d -aes-256-ctr -pbkdf2 -iter 600000 -pass file:PASSPHRASE -in %s.enc -out restore.snap\n",
            file);
    buf_printf(out, "   %s operator raft snapshot restore -force restore.snap   (then unseal with the OLD keys)\n",
               program);
}

void raft_rescue_line(const struct run *r, struct dialog *d) {
    struct buf text = {0};
    raft_rescue_text(r, &text);
    struct slice rest = buf_slice(&text), line;
    while (slice_cut(&rest, '\n', &line))
        if (line.n) dialog_line(d, "if quorum is lost", "%.*s", (int)line.n, line.p);
    buf_free(&text);
}
