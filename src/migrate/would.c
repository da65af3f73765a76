#include "migrate/would.h"

#include <string.h>

#include "base/json_doc.h"
#include "base/mem.h"
#include "base/str.h"
#include "migrate/kube_ask.h"
#include "migrate/run.h"

#define ASK_MS 15000

void would_unref(struct would *w) {
    if (--w->refs > 0) return;
    kube_ask_free(w->ask);
    mem_free(w->path);
    jd_free(w->body);
    jd_free(w->running);
    mem_free(w);
}

static void drop(void *data) {
    would_unref(data);
}

struct would *would_new(const char *collection, bool (*judge)(struct would *w, const struct json_t *answer, struct buf *out)) {
    struct would *w = MEM_NEW(struct would);
    w->refs = 1;
    w->path = str_printf("%s?dryRun=All", collection);
    w->judge = judge;
    return w;
}

void would_give(struct op *op, struct would *w) {
    w->refs++;
    op->data = w;
    op->drop = drop;
}

/* A webhook that refuses for the dry run's sake says nothing about the object (safety 37). */
static bool is_for_being_dry(const struct err *e) {
    return strstr(err_text(e), "dry run") || strstr(err_text(e), "dryRun");
}

static const char *remedy_of(const struct err *e) {
    return strstr(err_text(e), "exceeded quota") ? "raise the ResourceQuota of the namespace, or remove what uses it up"
                                                 : "correct in the plan or in the cluster what this names";
}

static void on_answer(void *arg, int status, const struct json_t *doc, const struct err *e) {
    struct would *w = arg;
    struct buf out = {0};
    struct err *bad = NULL;
    if (status == 409) buf_adds(&out, "it exists already");
    else if (e && is_for_being_dry(e)) buf_adds(&out, "note: a webhook does not take dry runs, so this is not known");
    else if (e) bad = err_new(err_kind(e), "the API server would refuse it: %s; %s", err_text(e), remedy_of(e));
    else if (!w->judge(w, doc, &out)) bad = err_new(ERR_FAILED, "%s", buf_str(&out));
    kube_ask_free(w->ask);
    w->ask = NULL;
    op_job_done(w->run, w->op, bad, buf_str(&out));
    buf_free(&out);
}

static void start(struct run *r, struct op *op) {
    struct would *w = op->data;
    w->run = r;
    w->op = op;
    w->ask = kube_ask_new(r->kube, "POST", w->path, w->body, ASK_MS, on_answer, w);
}

static void cancel(struct run *r, struct op *op) {
    struct would *w = op->data;
    (void)r;
    kube_ask_free(w->ask);
    w->ask = NULL;
}

static const struct op_job job = {.start = start, .cancel = cancel};

struct op *script_would(struct script *s, const char *id, const char *what, struct would *w) {
    return script_job(s, id, script_fmt(s, "%s: POST %s", what, w->path), &job, w, drop);
}

struct json_t *would_pod(const char *ns, const struct json_t *template) {
    struct json_t *pod = jd_object();
    struct json_t *labels = jd_get(template, "metadata.labels"), *annotations = jd_get(template, "metadata.annotations"), *spec = jd_get(template, "spec");
    jd_set(pod, "apiVersion", jd_string("v1"));
    jd_set(pod, "kind", jd_string("Pod"));
    jd_put(pod, "metadata.generateName", jd_string("ferryman-dry-run-"));
    jd_put(pod, "metadata.namespace", jd_string(ns));
    if (labels) jd_put(pod, "metadata.labels", jd_copy(labels));
    if (annotations) jd_put(pod, "metadata.annotations", jd_copy(annotations));
    jd_set(pod, "spec", spec ? jd_copy(spec) : jd_object());
    return pod;
}
