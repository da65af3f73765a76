/* The pod that the set would make now, against those that run (hazard 2: a running pod may predate what would be made), and claims of the
 * target class as the API server would take them (quota, limits, webhooks). */
#include <string.h>

#include "base/json_doc.h"
#include "base/mem.h"
#include "base/str.h"
#include "migrate/pod_judge.h"
#include "migrate/postgres.h"
#include "migrate/raft_canary_pod.h"
#include "migrate/raft_look.h"
#include "migrate/raft_preflight.h"
#include "migrate/would.h"
#include "world/world.h"

static bool on_block(const struct run *r) {
    const struct row *class = world_find_name(r->world, T_STORAGE_CLASSES, (struct slice){NULL, 0}, slice_of(r->plan->target_class));
    return !class || !slice_is(row_text(class, STORAGE_CLASSES_BACKEND), "nfs");
}

/* As the set's controller would: the volumes of the claims are added to the template's. */
static void add_claims(struct json_t *pod, const struct json_t *set, const char *member) {
    const struct json_t *templates = jd_get(set, "spec.volumeClaimTemplates");
    if (!jd_get(pod, "spec.volumes")) jd_put(pod, "spec.volumes", jd_array());
    for (size_t i = 0; i < jd_len(templates); i++) {
        const char *name = jd_str(jd_at(templates, i), "metadata.name");
        struct json_t *volume = jd_object();
        char *claim = str_printf("%s-%s", name ? name : "", member);
        jd_set(volume, "name", jd_string(name ? name : ""));
        jd_put(volume, "persistentVolumeClaim.claimName", jd_string(claim));
        jd_append(jd_get(pod, "spec.volumes"), volume);
        mem_free(claim);
    }
}

static enum op_answer see_template(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    struct would *w = op->data;
    if (!seen->doc) {
        buf_printf(reason, "set %s is not there", raft_spec(r)->statefulset);
        return OP_REFUSE;
    }
    char *member = str_printf("%s-0", raft_spec(r)->statefulset);
    jd_free(w->body);
    w->body = would_pod(r->workload->ns, jd_get(seen->doc, "spec.template"));
    add_claims(w->body, seen->doc, member);
    mem_free(member);
    return OP_DONE;
}

static bool is_of_set(const struct run *r, const struct json_t *pod) {
    const char *kind, *owner = postgres_owner(pod, &kind);
    return str_eq(owner, raft_spec(r)->statefulset) && str_eq(kind, "StatefulSet");
}

static enum op_answer see_running(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    struct would *w = op->data;
    const struct json_t *items = jd_get(seen->doc, "items");
    jd_free(w->running);
    w->running = jd_array();
    for (size_t i = 0; i < jd_len(items); i++) {
        if (!is_of_set(r, jd_at(items, i))) continue;
        if (!postgres_pod_ready(jd_at(items, i))) {
            buf_printf(reason, "pod %s is not ready: make it well first", jd_str(jd_at(items, i), "metadata.name"));
            return OP_REFUSE;
        }
        jd_append(w->running, jd_copy(jd_at(items, i)));
    }
    buf_printf(reason, "%zu pods of the set, all ready", jd_len(w->running));
    return OP_DONE;
}

/* What differs is told; another image, or a volume that nobody could write to, stops the phase. */
static bool judge_against(struct run *r, const struct json_t *pod, const struct json_t *spec, bool *ret_same, struct buf *bad) {
    const char *name = jd_str(pod, "metadata.name");
    struct buf text = {0}, images = {0};
    *ret_same = pod_judge_same(jd_get(pod, "spec"), spec, &text);
    bool good = pod_judge_images(jd_get(pod, "spec"), spec, &images);
    if (!*ret_same) run_note(r, "WARN", "%s: the pod that would be made now differs: %s", name, buf_str(&text));
    if (!good && run_override(r, "image")) {
        run_note(r, "WARN", "%s: %s (gate image)", name, buf_str(&images));
        good = true;
    }
    if (!good)
        buf_printf(bad, "%s%s: %s. The move would upgrade it on the way: roll the image out first, or say why not (gate image)", bad->len ? "; " : "", name,
                   buf_str(&images));
    buf_free(&text);
    buf_free(&images);
    return good;
}

static bool judge_volumes(struct run *r, const struct json_t *spec, struct buf *fine, struct buf *bad) {
    struct json_t *templates = run_fact_json(r, "set.templates");
    bool good = true;
    for (size_t i = 0; i < jd_len(templates); i++) {
        const char *volume = jd_string_value(jd_at(templates, i));
        struct buf text = {0};
        bool writable = !postgres_container(spec, volume) || pod_judge_owner(spec, volume, &text);
        struct buf *out = writable ? fine : bad;
        if (text.len) buf_printf(out, "%svolume %s: %s", out->len ? "; " : "", volume, buf_str(&text));
        good = good && writable;
        buf_free(&text);
    }
    jd_free(templates);
    return good;
}

static bool judge_pod(struct would *w, const struct json_t *answer, struct buf *out) {
    const struct json_t *spec = jd_get(answer, "spec");
    struct buf fine = {0}, bad = {0};
    bool good = !on_block(w->run) || judge_volumes(w->run, spec, &fine, &bad), all_same = true, same;
    for (size_t i = 0; i < jd_len(w->running); i++) {
        good = judge_against(w->run, jd_at(w->running, i), spec, &same, &bad) && good;
        all_same = all_same && same;
    }
    if (!good) buf_adds(out, buf_str(&bad));
    else {
        buf_adds(out, all_same ? "the pod that would be made now is the one that runs" : "it differs from what runs (see the notes)");
        buf_printf(out, "%s%s", fine.len ? "; " : "", buf_str(&fine));
    }
    buf_free(&fine);
    buf_free(&bad);
    return good;
}

void raft_preflight_pod(struct run *r, struct script *s) {
    struct would *w = would_new(raft_path(s, r, "pods", NULL), judge_pod);
    would_give(script_get(s, "template", "the pod template", raft_path(s, r, "statefulsets", raft_spec(r)->statefulset), see_template), w);
    would_give(script_get(s, "running", "the pods that run", raft_path(s, r, "pods", NULL), see_running), w);
    script_would(s, "would", "try the pod that would be made now", w);
}

/* ---- Claims ---- */

static bool judge_claim(struct would *w, const struct json_t *answer, struct buf *out) {
    const char *class = jd_str(answer, "spec.storageClassName");
    buf_printf(out, "the API server would take it, class %s", class ? class : "none");
    if (str_eq(class, w->run->plan->target_class)) return true;
    buf_printf(out, ", but the plan wants %s: a webhook changes it", w->run->plan->target_class);
    return false;
}

static struct json_t *claim_like(const struct run *r, const struct json_t *template) {
    struct json_t *claim = jd_object(), *spec = jd_get(template, "spec"), *labels = jd_get(template, "metadata.labels");
    const char *own = jd_str(template, "metadata.name");
    char name[128];
    jd_set(claim, "apiVersion", jd_string("v1"));
    jd_set(claim, "kind", jd_string("PersistentVolumeClaim"));
    jd_put(claim, "metadata.name", jd_string(canary_claim_name(r, own ? own : "", name, sizeof name))); /* one that nobody else has */
    jd_put(claim, "metadata.namespace", jd_string(r->workload->ns));
    if (labels) jd_put(claim, "metadata.labels", jd_copy(labels));
    jd_set(claim, "spec", spec ? jd_copy(spec) : jd_object());
    jd_put(claim, "spec.storageClassName", jd_string(r->plan->target_class));
    return claim;
}

void raft_preflight_claims(struct run *r, struct script *s) {
    struct json_t *manifest = run_fact_json(r, "set.manifest");
    const struct json_t *templates = jd_get(manifest, "spec.volumeClaimTemplates");
    for (size_t i = 0; i < jd_len(templates); i++) {
        const char *name = jd_str(jd_at(templates, i), "metadata.name");
        struct would *w = would_new(raft_path(s, r, "persistentvolumeclaims", NULL), judge_claim);
        w->body = claim_like(r, jd_at(templates, i));
        script_would(s, script_fmt(s, "claim %s", name), script_fmt(s, "try a claim of template %s on %s", name, r->plan->target_class), w);
    }
    jd_free(manifest);
}
