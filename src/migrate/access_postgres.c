/* What moving a PostgreSQL workload needs, verb by verb. One line a permission; `when` says for which plans. */
#include "base/mem.h"
#include "base/str.h"
#include "migrate/access.h"
#include "migrate/postgres.h"

enum access_when { ALWAYS, CONSOLE /* claims are created by us */, FORWARD /* sessions go through kubectl port-forward */, LOGIN };

enum access_name { ANY, DEPLOYMENT, LOGIN_SECRET };

static const struct access_row {
    const char *verb, *group, *resource, *subresource;
    bool cluster;          /* not in a namespace */
    enum access_when when;
    enum access_name name;
} access_postgres[] = {
    /* What is read. */
    {"get", "", "pods", NULL, false, ALWAYS, ANY},
    {"list", "", "pods", NULL, false, ALWAYS, ANY},
    {"watch", "", "pods", NULL, false, ALWAYS, ANY},
    {"get", "", "pods", "log", false, ALWAYS, ANY},
    {"get", "", "persistentvolumeclaims", NULL, false, ALWAYS, ANY},
    {"list", "", "persistentvolumeclaims", NULL, false, ALWAYS, ANY},
    {"get", "", "persistentvolumes", NULL, true, ALWAYS, ANY},
    {"list", "", "persistentvolumes", NULL, true, ALWAYS, ANY},
    {"get", "storage.k8s.io", "storageclasses", NULL, true, ALWAYS, ANY},
    {"list", "", "nodes", NULL, true, ALWAYS, ANY},
    {"get", "", "namespaces", NULL, true, ALWAYS, ANY},
    {"get", "apps", "deployments", NULL, false, ALWAYS, DEPLOYMENT},
    {"list", "apps", "deployments", NULL, false, ALWAYS, ANY}, /* who mounts the claim */
    {"list", "apps", "statefulsets", NULL, false, ALWAYS, ANY},
    {"list", "batch", "cronjobs", NULL, false, ALWAYS, ANY},
    {"list", "batch", "jobs", NULL, false, ALWAYS, ANY},
    {"list", "autoscaling", "horizontalpodautoscalers", NULL, false, ALWAYS, ANY},
    {"get", "", "secrets", NULL, false, LOGIN, LOGIN_SECRET},
    {"create", "", "pods", "portforward", false, FORWARD, ANY},
    /* The lock and the state to recover from. */
    {"get", "coordination.k8s.io", "leases", NULL, false, ALWAYS, ANY},
    {"create", "coordination.k8s.io", "leases", NULL, false, ALWAYS, ANY},
    {"update", "coordination.k8s.io", "leases", NULL, false, ALWAYS, ANY},
    {"get", "", "secrets", NULL, false, ALWAYS, ANY},
    {"create", "", "secrets", NULL, false, ALWAYS, ANY},
    {"update", "", "secrets", NULL, false, ALWAYS, ANY},
    /* The move: stop, start, another claim. */
    {"patch", "apps", "deployments", NULL, false, ALWAYS, DEPLOYMENT},
    {"patch", "", "persistentvolumes", NULL, true, ALWAYS, ANY},
    {"delete", "", "persistentvolumes", NULL, true, ALWAYS, ANY},
    {"delete", "", "pods", NULL, false, ALWAYS, ANY},
    {"create", "", "persistentvolumeclaims", NULL, false, ALWAYS, ANY}, /* the rehearsal's, too */
    {"delete", "", "persistentvolumeclaims", NULL, false, ALWAYS, ANY},
    {"patch", "", "persistentvolumeclaims", NULL, false, CONSOLE, ANY},
    {"create", "", "pods", NULL, false, ALWAYS, ANY}, /* the rehearsal's server */
};

/* What quiesce stops: "deployment/NAME" is scaled, "cronjob/NAME" suspended, both by a patch. */
static const struct {
    const char *kind, *group, *resource;
} quiesced[] = {
    {"deployment", "apps", "deployments"},
    {"statefulset", "apps", "statefulsets"},
    {"cronjob", "batch", "cronjobs"},
};

static bool row_wanted(const struct access_row *row, const struct plan_postgres *p)
{
    switch (row->when) {
    case CONSOLE:
        return str_eq(p->claim.apply, "console");
    case FORWARD:
        return str_eq(p->postgres.via, "port-forward");
    case LOGIN:
        return p->verify.login.secret != NULL;
    default:
        return true;
    }
}

static size_t add_quiesced(const struct run *r, const struct plan_postgres *p, struct access_need *needs, size_t n)
{
    static const char *const verbs[] = {"get", "patch"};
    for (size_t i = 0; i < p->quiesce.n; i++) {
        struct slice name = slice_of(p->quiesce.v[i]), kind;
        slice_cut(&name, '/', &kind);
        for (size_t k = 0; k < ARRAY_LEN(quiesced); k++) {
            if (!slice_is(kind, quiesced[k].kind) || !name.p)
                continue;
            for (size_t v = 0; v < ARRAY_LEN(verbs); v++)
                needs[n++] = (struct access_need){verbs[v], quiesced[k].group, quiesced[k].resource, NULL, r->workload->ns, name.p};
        }
    }
    return n;
}

struct op *script_access_postgres(struct run *r, struct script *s)
{
    const struct plan_postgres *p = postgres_spec(r);
    struct access_need *needs = mem_calloc(ARRAY_LEN(access_postgres) + 2 * p->quiesce.n, sizeof *needs);
    size_t n = 0;
    for (size_t i = 0; i < ARRAY_LEN(access_postgres); i++) {
        const struct access_row *row = &access_postgres[i];
        const char *name = row->name == DEPLOYMENT ? p->deployment : row->name == LOGIN_SECRET ? p->verify.login.secret : NULL;
        if (row_wanted(row, p))
            needs[n++] = (struct access_need){row->verb, row->group, row->resource, row->subresource,
                                              row->cluster ? NULL : r->workload->ns, name};
    }
    n = add_quiesced(r, p, needs, n);
    struct op *op = script_access(s, needs, n);
    mem_free(needs);
    return op;
}
