/* Who else mounts the claims (safety 19), and a place to land for each pod (safety 20): an uncordoned node that its affinity and the taints
 * allow, with the target's driver serving and room to attach. Asked of the API server, for all pods in preflight and for one right before
 * its turn. */
#include <string.h>

#include "base/json_doc.h"
#include "base/mem.h"
#include "base/str.h"
#include "migrate/place_judge.h"
#include "migrate/raft_judge.h"
#include "migrate/raft_look.h"
#include "migrate/raft_preflight.h"
#include "world/world.h"

#define ARGON2_BYTES (INT64_C(1) << 30)

/* ---- Mounters ---- */

static const struct {
    const char *kind, *base, *plural;
} kinds[] = {
    {"pod", "/api/v1", "pods"},
    {"deployment", "/apis/apps/v1", "deployments"},
    {"statefulset", "/apis/apps/v1", "statefulsets"},
    {"cronjob", "/apis/batch/v1", "cronjobs"},
    {"job", "/apis/batch/v1", "jobs"},
};

struct mounters {
    unsigned refs;
    const char *pod; /* NULL: all; lives as long as the script */
    struct buf found;
};

static void unref_mounters(void *data) {
    struct mounters *m = data;
    if (--m->refs) return;
    buf_free(&m->found);
    mem_free(m);
}

/* Names of the claims that are asked about. */
static struct json_t *names_of(const struct run *r, const char *pod) {
    struct json_t *pods = run_fact_json(r, "pods"), *names = jd_array();
    for (void *it = pods ? jd_iter(pods) : NULL; it; it = jd_iter_next(pods, it)) {
        const struct json_t *claims = jd_get(jd_iter_value(it), "claims");
        if (pod && !str_eq(jd_iter_key(it), pod)) continue;
        for (size_t i = 0; i < jd_len(claims); i++) jd_append(names, jd_string(jd_str(jd_at(claims, i), "name")));
    }
    jd_free(pods);
    return names;
}

static enum op_answer see_mounters(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    struct mounters *m = op->data;
    size_t kind = 0;
    while (kind + 1 < ARRAY_LEN(kinds) && !str_ends(op->id, kinds[kind].kind)) kind++;
    if (kind == 0) buf_clear(&m->found); /* from the beginning */
    struct json_t *claims = names_of(r, m->pod);
    raft_find_mounters(seen->doc, kinds[kind].kind, raft_spec(r)->statefulset, claims, &m->found);
    size_t n = jd_len(claims);
    jd_free(claims);
    if (kind + 1 < ARRAY_LEN(kinds)) return OP_DONE;
    if (m->found.len == 0) {
        buf_printf(reason, "nobody but %s mounts the %zu claims", m->pod ? m->pod : "the set's own pods", n);
        return OP_DONE;
    }
    buf_printf(reason, "%s mounts a claim of the set too: while it does, the claim stays Terminating and the cluster without tolerance. Stop or "
                       "suspend it, or give it another claim", buf_str(&m->found));
    return OP_REFUSE;
}

void raft_script_mounters(struct run *r, struct script *s, const char *pod) {
    struct mounters *m = MEM_NEW(struct mounters);
    m->refs = 1;
    m->pod = pod ? script_fmt(s, "%s", pod) : NULL;
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        struct op *op = script_get(s, script_fmt(s, "mounted by a %s", kinds[i].kind), script_fmt(s, "every %s that mounts a claim of the set", kinds[i].kind),
                                   raft_list_path(s, r, kinds[i].base, kinds[i].plural), see_mounters);
        m->refs++;
        op->data = m;
        op->drop = unref_mounters;
    }
    unref_mounters(m);
}

/* ---- A place to land ---- */

enum doc { DOC_NODES, DOC_CSINODES, DOC_ATTACHMENTS, DOC_PODS, DOC_SET, DOC_CLASS, DOCS };

struct landing {
    unsigned refs;
    const char *pod; /* as above */
    struct json_t *docs[DOCS];
};

struct part {
    struct landing *all;
    enum doc doc;
};

static void unref_landing(struct landing *l) {
    if (--l->refs) return;
    for (size_t i = 0; i < DOCS; i++) jd_free(l->docs[i]);
    mem_free(l);
}

static void drop_part(void *data) {
    struct part *p = data;
    unref_landing(p->all);
    mem_free(p);
}

static struct op *with(struct op *op, struct landing *l, enum doc doc) {
    struct part *p = MEM_NEW(struct part);
    *p = (struct part){l, doc};
    l->refs++;
    op->data = p;
    op->drop = drop_part;
    return op;
}

static enum op_answer see_doc(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    struct part *p = op->data;
    (void)r;
    jd_free(p->all->docs[p->doc]);
    p->all->docs[p->doc] = seen->doc ? jd_copy(seen->doc) : NULL;
    if (!seen->doc) {
        buf_adds(reason, "it is not there");
        return OP_REFUSE;
    }
    if (jd_get(seen->doc, "items")) buf_printf(reason, "%zu", jd_len(jd_get(seen->doc, "items")));
    return OP_DONE;
}

/* "csi.proxmox.sinextra.dev" and the pod "proxmox-csi-plugin-node-x7k2p": they share a word that is no custom of the trade. */
static bool shares_word(struct slice name, const char *driver) {
    static const char *const common[] = {"csi", "com", "io", "org", "net", "dev", "k8s", "storage", "driver", NULL};
    struct slice rest = slice_of(driver), word;
    while (slice_cut(&rest, '.', &word)) {
        char text[128];
        bool usual = word.n < 3;
        for (size_t i = 0; common[i]; i++) usual = usual || slice_is(word, common[i]);
        if (usual || word.n >= sizeof text) continue;
        memcpy(text, word.p, word.n);
        text[word.n] = '\0';
        if (slice_contains(name, text)) return true;
    }
    return false;
}

struct serving {
    const struct world *world;
    const char *driver;
};

/* Of the pods of daemon sets on that node whose name tells of the driver, one must run. None at all is not known, and does not stop. */
static bool driver_serves(const void *arg, const char *node, struct buf *why) {
    const struct serving *s = arg;
    bool any = false;
    for (const struct row *p = world_first(s->world, T_PODS); p; p = world_next(s->world, p)) {
        if (!slice_is(row_text(p, PODS_NODE), node) || !slice_starts(row_text(p, PODS_OWNER), "DaemonSet/") || !shares_word(row_text(p, PODS_NAME), s->driver))
            continue;
        if (slice_is(row_text(p, PODS_STATE), "RUNNING")) return true;
        any = true;
    }
    if (any) buf_printf(why, "has no running pod of the driver %s", s->driver);
    return !any;
}

static size_t claims_of_one(const struct run *r) {
    struct json_t *templates = run_fact_json(r, "set.templates");
    size_t n = jd_len(templates);
    jd_free(templates);
    return n;
}

static enum op_answer see_place(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    const struct part *part = op->data;
    const struct landing *l = part->all;
    const char *driver = jd_str(l->docs[DOC_CLASS], "provisioner");
    struct serving serving = {r->world, driver ? driver : ""};
    struct place place = {.nodes = l->docs[DOC_NODES], .csinodes = l->docs[DOC_CSINODES], .attachments = l->docs[DOC_ATTACHMENTS], .pods = l->docs[DOC_PODS],
                          .template = jd_get(l->docs[DOC_SET], "spec.template"), .class = l->docs[DOC_CLASS], .driver = driver, .claims = claims_of_one(r),
                          .driver_serves = driver_serves, .arg = &serving};
    struct buf more = {0};
    bool good = true;
    (void)seen;
    for (int64_t i = 0; i < raft_replicas(r); i++) {
        char *pod = str_printf("%s-%lld", raft_spec(r)->statefulset, (long long)i);
        if (!l->pod || str_eq(pod, l->pod)) {
            buf_adds(reason, reason->len ? ". " : "");
            good = place_judge(&place, pod, reason) && good;
        }
        mem_free(pod);
    }
    place_says_more(place.template, &more);
    if (more.len) run_note(r, "INFO", "a place to land was judged without the template's %s", buf_str(&more));
    buf_free(&more);
    if (good) return OP_DONE;
    buf_adds(reason, ". A pod that goes would not come back: uncordon a node, or make room or the driver ready on one");
    return OP_TODO;
}

/* ---- The memory that unlocking takes ---- */

/* The largest limit of a container; -1: one has none. */
static int64_t memory_limit(const struct json_t *pod) {
    const struct json_t *containers = jd_get(pod, "spec.containers");
    int64_t most = -1;
    for (size_t i = 0; i < jd_len(containers); i++) {
        int64_t bytes;
        const char *limit = jd_str(jd_at(containers, i), "resources.limits.memory");
        if (!limit) return -1; /* one without a limit may be the one that unlocks */
        if (str_quantity(slice_of(limit), &bytes) && bytes > most) most = bytes;
    }
    return most;
}

static enum op_answer see_memory(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    int64_t limit = seen->doc ? memory_limit(seen->doc) : -1;
    (void)op;
    if (limit < 0) buf_adds(reason, seen->doc ? "no limit" : "the pod went away");
    else buf_printf(reason, "at most %lld MiB in a container", (long long)(limit >> 20));
    if (limit >= 0 && limit < ARGON2_BYTES && r->plan->target_encrypted)
        run_note(r, "WARN", "the driver's containers may take %lld MiB: LUKS2 with Argon2 may want 1 GiB to unlock a volume", (long long)(limit >> 20));
    return OP_DONE;
}

/* One of the driver's pods stands for all: they are of one daemon set. */
static void ask_memory(struct run *r, struct script *s, struct op *op) {
    const struct part *p = op->data;
    const char *driver = jd_str(p->all->docs[DOC_CLASS], "provisioner");
    for (const struct row *w = driver ? world_first(r->world, T_PODS) : NULL; w; w = world_next(r->world, w)) {
        if (!slice_starts(row_text(w, PODS_OWNER), "DaemonSet/") || !shares_word(row_text(w, PODS_NAME), driver)) continue;
        script_get(s, "driver memory", script_fmt(s, "memory of the driver (%.*s)", SLICE_FMT(row_text(w, PODS_NAME))),
                   script_fmt(s, "/api/v1/namespaces/%.*s/pods/%.*s", SLICE_FMT(row_text(w, PODS_NAMESPACE)), SLICE_FMT(row_text(w, PODS_NAME))), see_memory);
        return;
    }
}

void raft_script_place(struct run *r, struct script *s, const char *pod) {
    static const struct {
        enum doc doc;
        const char *id, *path;
    } lists[] = {
        {DOC_NODES, "nodes", "/api/v1/nodes"},
        {DOC_CSINODES, "drivers of nodes", "/apis/storage.k8s.io/v1/csinodes"},
        {DOC_ATTACHMENTS, "attachments", "/apis/storage.k8s.io/v1/volumeattachments"},
    };
    struct landing *l = MEM_NEW(struct landing);
    l->refs = 1;
    l->pod = pod ? script_fmt(s, "%s", pod) : NULL;
    for (size_t i = 0; i < ARRAY_LEN(lists); i++) with(script_get(s, lists[i].id, lists[i].id, lists[i].path, see_doc), l, lists[i].doc);
    with(script_get(s, "neighbours", "pods beside it", raft_path(s, r, "pods", NULL), see_doc), l, DOC_PODS);
    with(script_get(s, "rules", "affinity and tolerations", raft_path(s, r, "statefulsets", raft_spec(r)->statefulset), see_doc), l, DOC_SET);
    with(script_get(s, "class", "topologies of the target class", script_fmt(s, "/apis/storage.k8s.io/v1/storageclasses/%s", r->plan->target_class), see_doc), l,
         DOC_CLASS);
    with(script_check(s, "place", pod ? script_fmt(s, "a node for %s", pod) : "a node for each pod", see_place), l, DOCS);
    if (!pod && !r->preview) with(script_call(s, "memory", ask_memory, NULL, NULL), l, DOCS);
    unref_landing(l);
}
