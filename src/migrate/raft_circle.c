/* Circles (safety 22): what unlocks the new volumes, what unseals, what logs us in and what backs up must not come out of the very Vault that
 * is moved. Where it does, or where that cannot be told, the place of the offline copy has to be typed once (gate circle). */
#include <string.h>

#include "base/json_doc.h"
#include "base/mem.h"
#include "base/str.h"
#include "migrate/postgres.h"
#include "migrate/raft_judge.h"
#include "migrate/raft_look.h"
#include "migrate/raft_preflight.h"
#include "migrate/secret_trace.h"
#include "world/world.h"

struct circle {
    unsigned refs;
    struct json_t *services; /* names and addresses that lead to the set */
    struct json_t *labels;   /* of its pods */
    struct trace_list *list; /* the job's */
};

static void unref(void *data) {
    struct circle *c = data;
    if (--c->refs) return;
    jd_free(c->services);
    jd_free(c->labels);
    mem_free(c);
}

static struct op *with(struct op *op, struct circle *c) {
    c->refs++;
    op->data = c;
    op->drop = unref;
    return op;
}

/* ---- What is to be followed ---- */

static enum op_answer see_set(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    struct circle *c = op->data;
    struct json_t *labels = jd_get(seen->doc, "spec.template.metadata.labels");
    c->list->n = 0;
    jd_free(c->labels);
    c->labels = labels ? jd_copy(labels) : jd_object();
    trace_add_pod(c->list, jd_get(seen->doc, "spec.template.spec"), r->workload->ns, "a Secret of the set's own pods");
    buf_printf(reason, "%zu Secrets", c->list->n);
    return OP_DONE;
}

static enum op_answer see_class(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    struct circle *c = op->data;
    struct json_t *templates = run_fact_json(r, "set.templates");
    char *claim = str_printf("%s-%s-0", jd_len(templates) ? jd_string_value(jd_at(templates, 0)) : "data", raft_spec(r)->statefulset);
    size_t before = c->list->n;
    trace_add_class(c->list, seen->doc, r->workload->ns, claim);
    buf_printf(reason, "%zu Secrets", c->list->n - before);
    mem_free(claim);
    jd_free(templates);
    return OP_DONE;
}

static enum op_answer see_services(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    struct circle *c = op->data;
    (void)r;
    jd_free(c->services);
    c->services = raft_services_of(seen->doc, c->labels);
    buf_printf(reason, "%zu names and addresses", jd_len(c->services));
    return OP_DONE;
}

static bool is_backup(const struct run *r, const char *name) {
    char *whole = str_printf("%s/%s", r->workload->ns, name);
    bool found = false;
    for (size_t i = 0; i < r->plan->backup_cronjobs.n; i++) found = found || str_eq(r->plan->backup_cronjobs.v[i], whole);
    mem_free(whole);
    return found;
}

static bool pod_unseals(const struct json_t *spec) {
    const struct json_t *containers = jd_get(spec, "containers");
    bool found = false;
    for (size_t i = 0; i < jd_len(containers); i++) {
        struct buf text = {0};
        raft_container_text(jd_at(containers, i), &text);
        found = found || raft_text_unseals(buf_str(&text));
        buf_free(&text);
    }
    return found;
}

/* Cron jobs that back up, by the plan; whatever unseals, by its words. */
static enum op_answer see_workloads(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    struct circle *c = op->data;
    const struct json_t *items = jd_get(seen->doc, "items");
    size_t before = c->list->n;
    for (size_t i = 0; i < jd_len(items); i++) {
        const char *name = jd_str(jd_at(items, i), "metadata.name");
        const struct json_t *spec = postgres_pod_spec(jd_at(items, i));
        bool backs_up = name && is_backup(r, name);
        if (!name || (!backs_up && !pod_unseals(spec))) continue;
        char *what = str_printf("a Secret of %s, which %s", name, backs_up ? "backs up" : "unseals");
        trace_add_pod(c->list, spec, r->workload->ns, what);
        mem_free(what);
    }
    buf_printf(reason, "%zu Secrets", c->list->n - before);
    return OP_DONE;
}

/* ---- What it comes to ---- */

/* Our own way to the API server, when it goes through a Vault. */
static bool login_is_vaults(const struct run *r, struct buf *out) {
    const struct row *row = world_find(r->world, T_CREDENTIALS, SLICE_LIT("kube"));
    struct slice method = row ? row_text(row, CREDENTIALS_METHOD) : (struct slice){NULL, 0};
    if (!slice_starts(method, "exec") || !(slice_contains(method, "vault") || slice_contains(method, "bao"))) return false;
    buf_printf(out, "%sour own login at the API server (%.*s) asks a Vault", out->len ? "; " : "", SLICE_FMT(method));
    return true;
}

static const char *word_of(enum raft_address a) {
    return a == RAFT_ADDRESS_OWN ? "that is this very Vault" : "whether that is this Vault is not known";
}

/* Appends to `circle` what closes one, or may; to `fine` the others. */
static void sort_trace(const struct circle *c, const char *ns, const struct trace *t, struct buf *circle, struct buf *fine) {
    struct buf text = {0};
    trace_say(t, &text);
    if (t->end == TRACE_UNKNOWN) buf_printf(circle, "%s%s", circle->len ? "; " : "", buf_str(&text));
    else if (t->end == TRACE_STORE && str_eq(t->provider, "vault")) {
        /* A store of the whole cluster is asked from another namespace: a name of one word is then not ours. */
        enum raft_address a = *t->server ? raft_judge_address(t->server, strstr(t->way, "ClusterSecretStore") ? NULL : t->ns, ns, c->services)
                                         : RAFT_ADDRESS_UNKNOWN;
        struct buf *out = a == RAFT_ADDRESS_OTHER ? fine : circle;
        buf_printf(out, "%s%s%s%s", out->len ? "; " : "", buf_str(&text), a == RAFT_ADDRESS_OTHER ? "" : ": ", a == RAFT_ADDRESS_OTHER ? "" : word_of(a));
    } else buf_printf(fine, "%s%s", fine->len ? "; " : "", buf_str(&text));
    buf_free(&text);
}

static enum op_answer judge(struct run *r, const struct trace_list *l, void *data, struct buf *reason) {
    const struct circle *c = data;
    const char *typed = run_override(r, "circle");
    struct buf circle = {0}, fine = {0};
    enum op_answer a = OP_DONE;
    for (size_t i = 0; i < l->n; i++) sort_trace(c, r->workload->ns, &l->list[i], &circle, &fine);
    login_is_vaults(r, &circle);
    for (size_t i = 0; i < l->n && a == OP_DONE; i++) {
        if (l->list[i].end != TRACE_MISSING || !strstr(l->list[i].what, "of class")) continue;
        trace_say(&l->list[i], reason);
        buf_adds(reason, ": no volume of the class could be unlocked. Restore that Secret first");
        a = OP_REFUSE;
    }
    if (a == OP_DONE && circle.len == 0) buf_printf(reason, "%s", fine.len ? buf_str(&fine) : "neither the class nor what unseals and backs up uses a Secret");
    else if (a == OP_DONE && typed) buf_printf(reason, "%s; the offline copy: %s", buf_str(&circle), typed);
    else if (a == OP_DONE) {
        buf_printf(reason, "%s. While it is sealed, that cannot be had from it: where does an offline copy lie? Type that place as the reason (gate "
                           "circle)", buf_str(&circle));
        a = OP_REFUSE;
    }
    buf_free(&circle);
    buf_free(&fine);
    return a;
}

void raft_preflight_circles(struct run *r, struct script *s) {
    static const struct {
        const char *id, *base, *plural;
    } workloads[] = {
        {"cron jobs that need Secrets", "/apis/batch/v1", "cronjobs"},
        {"deployments that need Secrets", "/apis/apps/v1", "deployments"},
    };
    struct circle *c = MEM_NEW(struct circle);
    c->refs = 1;
    c->list = MEM_NEW(struct trace_list);
    with(script_get(s, "set secrets", "Secrets that the set uses", raft_path(s, r, "statefulsets", raft_spec(r)->statefulset), see_set), c);
    with(script_get(s, "class secrets", "Secrets that the target class names",
                    script_fmt(s, "/apis/storage.k8s.io/v1/storageclasses/%s", r->plan->target_class), see_class), c);
    with(script_get(s, "services", "services that lead to the set", raft_list_path(s, r, "/api/v1", "services"), see_services), c);
    for (size_t i = 0; i < ARRAY_LEN(workloads); i++)
        with(script_get(s, workloads[i].id, workloads[i].id, raft_list_path(s, r, workloads[i].base, workloads[i].plural), see_workloads), c);
    script_secret_trace(s, "circles", "where they come from", c->list, judge, c, unref);
}
