/* What moving a raft set needs, verb by verb, in the cluster and in Vault. One line a permission. */
#include "base/mem.h"
#include "base/str.h"
#include "migrate/access.h"
#include "migrate/raft.h"

enum when { ALWAYS, PROXY /* Vault is asked through the API server */, CONSOLE /* the set is made anew by us */ };

static const struct row {
    const char *verb, *group, *resource, *subresource;
    bool cluster, named; /* not in a namespace; the set alone */
    enum when when;
} rows[] = {
    /* What is read. */
    {"get", "", "pods", NULL, false, false, ALWAYS},
    {"list", "", "pods", NULL, false, false, ALWAYS},
    {"watch", "", "pods", NULL, false, false, ALWAYS},
    {"get", "", "pods", "log", false, false, ALWAYS},
    {"get", "", "persistentvolumeclaims", NULL, false, false, ALWAYS},
    {"list", "", "persistentvolumeclaims", NULL, false, false, ALWAYS},
    {"get", "", "persistentvolumes", NULL, true, false, ALWAYS},
    {"list", "", "persistentvolumes", NULL, true, false, ALWAYS},
    {"get", "storage.k8s.io", "storageclasses", NULL, true, false, ALWAYS},
    {"list", "storage.k8s.io", "csinodes", NULL, true, false, ALWAYS},
    {"list", "storage.k8s.io", "volumeattachments", NULL, true, false, ALWAYS},
    {"list", "", "nodes", NULL, true, false, ALWAYS},
    {"get", "", "namespaces", NULL, true, false, ALWAYS},
    {"get", "apps", "statefulsets", NULL, false, true, ALWAYS},
    {"list", "apps", "statefulsets", NULL, false, false, ALWAYS},
    {"list", "apps", "deployments", NULL, false, false, ALWAYS},
    {"list", "batch", "cronjobs", NULL, false, false, ALWAYS},
    {"list", "batch", "jobs", NULL, false, false, ALWAYS},
    {"list", "", "configmaps", NULL, false, false, ALWAYS}, /* retry_join, seal; who would initialise */
    {"list", "", "services", NULL, false, false, ALWAYS},   /* circles: which addresses are the set's */
    {"list", "autoscaling", "horizontalpodautoscalers", NULL, false, false, ALWAYS},
    /* Vault through the pod proxy: questions, and the few writes. */
    {"get", "", "pods", "proxy", false, false, PROXY},
    {"create", "", "pods", "proxy", false, false, PROXY},
    /* The lock and the state to recover from. */
    {"get", "coordination.k8s.io", "leases", NULL, false, false, ALWAYS},
    {"create", "coordination.k8s.io", "leases", NULL, false, false, ALWAYS},
    {"update", "coordination.k8s.io", "leases", NULL, false, false, ALWAYS},
    {"get", "", "secrets", NULL, false, false, ALWAYS},
    {"create", "", "secrets", NULL, false, false, ALWAYS},
    {"update", "", "secrets", NULL, false, false, ALWAYS},
    /* The canary; the move; the way back. */
    {"create", "", "pods", NULL, false, false, ALWAYS},
    {"delete", "", "pods", NULL, false, false, ALWAYS},
    {"create", "", "persistentvolumeclaims", NULL, false, false, ALWAYS},
    {"delete", "", "persistentvolumeclaims", NULL, false, false, ALWAYS},
    {"patch", "", "persistentvolumes", NULL, true, false, ALWAYS},
    {"delete", "", "persistentvolumes", NULL, true, false, ALWAYS},
    {"create", "apps", "statefulsets", NULL, false, false, CONSOLE},
    {"delete", "apps", "statefulsets", NULL, false, true, CONSOLE},
};

static const struct {
    const char *capability, *path; /* path NULL: the plan's write probe */
} capabilities[] = {
    {"read", "sys/storage/raft/configuration"},
    {"read", "sys/storage/raft/autopilot/state"},
    {"read", "sys/storage/raft/autopilot/configuration"},
    {"read", "sys/storage/raft/snapshot"},
    {"update", "sys/step-down"},
    {"sudo", "sys/step-down"},
    {"update", NULL},
    {"read", NULL},
    {"read", "auth/token/lookup-self"},
    {"update", "auth/token/renew-self"},
};

static bool is_wanted(const struct row *row, const struct plan_raft *p) {
    if (row->when == PROXY) return str_eq(p->vault.via, "kube-proxy");
    if (row->when == CONSOLE) return str_eq(p->template_apply, "console");
    return true;
}

struct op *script_access_raft(struct run *r, struct script *s, const char *node) {
    const struct plan_raft *p = raft_spec(r);
    struct access_need *needs = mem_calloc(ARRAY_LEN(rows) + ARRAY_LEN(capabilities), sizeof *needs);
    size_t n = 0;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (is_wanted(&rows[i], p))
            needs[n++] = (struct access_need){rows[i].verb, rows[i].group, rows[i].resource, rows[i].subresource,
                                              rows[i].cluster ? NULL : r->workload->ns, rows[i].named ? p->statefulset : NULL};
    for (size_t i = 0; i < ARRAY_LEN(capabilities); i++)
        needs[n++] = (struct access_need){capabilities[i].capability, ACCESS_VAULT,
                                          capabilities[i].path ? capabilities[i].path : p->vault.write_probe, NULL, node, NULL};
    struct op *op = script_access(s, needs, n);
    mem_free(needs);
    return op;
}
