/* The snapshot that everything is gone back to if all else fails: of the active node, proved. Pods take their own before they go, if this one
 * is not fresh any more (safety 17). */
#include <stdio.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "migrate/raft.h"
#include "migrate/run_vault.h"
#include "migrate/snapshot_job.h"

static void script(struct run *r, struct script *s) {
    snapshot_script(r, s);
}

static const struct step steps[] = {
    {"snapshot", "taken from the active node, and proved", script},
    {NULL, NULL, NULL},
};

static bool may_begin(const struct run *r, struct buf *reason) {
    if (!raft_may_begin(r, reason)) return false;
    if (!raft_leader(r)) buf_adds(reason, "no node is active, or it is not known: nothing could be taken a snapshot of");
    else if (!run_vault_has_token(r))
        buf_adds(reason, "there is no Vault token, and a snapshot needs one with read on sys/storage/raft/snapshot: see token of the workload's vault:");
    else return true;
    return false;
}

static void dialog(struct run *r, struct dialog *d) {
    const struct plan_encrypt *e = &raft_spec(r)->snapshot.encrypt;
    const char *leader = raft_leader(r);
    char *dir = snapshot_dir(r);
    dialog_line(d, "object", "all of the storage of %s, as %s has it", r->workload->name, leader ? leader : "the active node");
    dialog_line(d, "will come", "one file in %s, 0600, %s", dir, e->none ? e->reason : "encrypted with the passphrase of the plan");
    dialog_line(d, "proof", "one gzip member to its end, its four members, both SHA-256, sizes, an index at or past the applied one; once more from the disk");
    dialog_line(d, "meanwhile", "the active node answers as before; nobody may make it step down");
    dialog_line(d, "lost", "nothing: it reads");
    dialog_line(d, "undo", "the file can be deleted");
    mem_free(dir);
}

/* It is wanted fresh before the first pod; later each pod's own turn sees to it. */
static bool undone(const struct run *r) {
    return !run_has(r, "snapshot.proved_at") && !run_has(r, "pod.1.begun");
}

const struct phase raft_phase_snapshot = {
    .id = "snapshot",
    .title = "snapshot, proved",
    .stake = STAKE_REVERSIBLE,
    .steps = steps,
    .may_begin = may_begin,
    .dialog = dialog,
    .undone = undone,
};
