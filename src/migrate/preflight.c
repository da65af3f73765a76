#include "migrate/preflight.h"

#include "base/json_doc.h"
#include "base/str.h"
#include "migrate/managers.h"

static enum op_answer see_cluster(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    const char *uid = jd_str(seen->doc, "metadata.uid"), *pinned = r->plan->cluster;
    (void)op;
    if (!uid) {
        buf_adds(reason, "the API server did not say which cluster it is (namespace kube-system)");
        return OP_REFUSE;
    }
    if (!pinned) {
        buf_printf(reason, "the plan pins no cluster, and a context's name is no identity: 'ferryman plan check --pin' writes it (this one is %s)",
                   uid);
        return OP_REFUSE;
    }
    if (!str_eq(uid, pinned)) {
        buf_printf(reason, "this cluster is %s, the plan is for %s: another kubeconfig with the same context name?", uid, pinned);
        return OP_REFUSE;
    }
    run_set(r, "cluster.uid", uid);
    buf_printf(reason, "cluster %.8s, as pinned", uid);
    return OP_DONE;
}

void preflight_script_cluster(struct run *r, struct script *s) {
    (void)r;
    script_get(s, "cluster", "this is the cluster of the plan", "/api/v1/namespaces/kube-system", see_cluster);
}

static enum op_answer see_managers(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    struct manager found[MANAGERS_MAX];
    size_t n = managers_running(r->world, found, managers_of(seen->doc, found));
    for (size_t i = 0; i < n; i++) {
        struct buf text = {0};
        manager_text(&found[i], &text);
        run_note(r, found[i].deeds & MANAGER_REVERTS ? "WARN" : "INFO", "%s: %s", (const char *)op->data, buf_str(&text));
        buf_printf(reason, "%s%s", i ? ", " : "", found[i].name);
        buf_free(&text);
    }
    buf_adds(reason, n ? " have a hand in it: stop those that restart or revert it" : "nobody who restarts or reverts it was found");
    return OP_DONE;
}

void preflight_script_managers(struct run *r, struct script *s, const char *path, const char *what) {
    (void)r;
    script_get(s, "managers", "who restarts or reverts it", path, see_managers)->data = (void *)(uintptr_t)script_fmt(s, "%s", what);
}
