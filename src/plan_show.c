#include "plan_show.h"

#include <stdio.h>
#include <string.h>

#include "base/json_writer.h"
#include "base/str.h"
#include "migrate/phase.h"
#include "migrate/plan.h"
#include "migrate/run.h"

static const char *const stakes[] = {"reversible", "hard to undo", "purge"};

/* What the dialog of a phase will ask for. */
static const char *typed(const struct run *r, const struct phase *p, char *buf, size_t size) {
    if (p->stake == STAKE_REVERSIBLE) return "y";
    if (p->stake == STAKE_PURGE) return r->plan->context;
    if (p->object) return p->object(r);
    const char *object = r->workload->kind->object(r->workload, buf, size), *slash = strchr(object, '/');
    return slash ? slash + 1 : object;
}

static struct run *preview_run(const struct plan *p, const struct plan_workload *w) {
    return run_new(&(struct run){.plan = p, .workload = w, .dir = "", .id = "", .operator_name = "", .preview = true});
}

static void phase_text(struct run *r, const struct phase *p, struct buf *out) {
    r->phase = p;
    if (p->turn && p->wanted && !p->wanted(r)) return;
    char name[300];
    buf_printf(out, "  %-10s %-13s %-34s %s%s\n", p->id, stakes[p->stake], typed(r, p, name, sizeof name), p->title, p->optional ? " (may be skipped)" : "");
    for (const struct step *s = p->steps; s->id; s++) buf_printf(out, "      %-14s %s\n", s->id, s->title);
}

static void workload_text(const struct plan *p, const struct plan_workload *w, struct buf *out) {
    char object[300];
    const struct phase_table *t = phase_table_of(w->kind);
    buf_printf(out, "\nworkload %s: %s in %s (%s)\n", w->name, w->kind->object(w, object, sizeof object), w->ns, w->kind->name);
    if (!t) {
        buf_adds(out, "  this version watches it and does not move it\n");
        return;
    }
    struct run *r = preview_run(p, w);
    buf_printf(out, "  %-10s %-13s %-34s %s\n", "phase", "at stake", "its dialog asks for", "what");
    for (const struct phase *const *at = t->phases; *at; at++) phase_text(r, *at, out);
    phase_text(r, t->rollback, out);
    run_free(r);
}

void plan_show_text(const struct plan *p, struct buf *out) {
    buf_printf(out, "plan %s, context %s, to %s\n", p->name, p->context, p->target_class);
    for (size_t i = 0; i < p->nworkloads; i++) workload_text(p, &p->workloads[i], out);
}

static void pair(struct json_writer *w, const char *key, const char *value) {
    jw_key(w, key);
    jw_str(w, value);
}

static void phase_json(struct run *r, const struct phase *p, struct json_writer *w) {
    r->phase = p;
    if (p->turn && p->wanted && !p->wanted(r)) return;
    char name[300];
    jw_object(w);
    pair(w, "id", p->id);
    pair(w, "title", p->title);
    pair(w, "stake", stakes[p->stake]);
    pair(w, "typed", typed(r, p, name, sizeof name));
    jw_key(w, "optional");
    jw_bool(w, p->optional);
    jw_key(w, "steps");
    jw_array(w);
    for (const struct step *s = p->steps; s->id; s++) {
        jw_object(w);
        pair(w, "id", s->id);
        pair(w, "title", s->title);
        jw_end_object(w);
    }
    jw_end_array(w);
    jw_end_object(w);
}

static void workload_json(const struct plan *p, const struct plan_workload *workload, struct json_writer *w) {
    char object[300];
    const struct phase_table *t = phase_table_of(workload->kind);
    struct run *r = preview_run(p, workload);
    jw_object(w);
    pair(w, "name", workload->name);
    pair(w, "kind", workload->kind->name);
    pair(w, "namespace", workload->ns);
    pair(w, "object", workload->kind->object(workload, object, sizeof object));
    jw_key(w, "phases");
    jw_array(w);
    for (const struct phase *const *at = t ? t->phases : NULL; at && *at; at++) phase_json(r, *at, w);
    jw_end_array(w);
    jw_key(w, "rollback");
    if (t) phase_json(r, t->rollback, w);
    else jw_null(w);
    jw_end_object(w);
    run_free(r);
}

void plan_show_json(const struct plan *p, struct buf *out) {
    struct json_writer w;
    jw_init(&w, out);
    jw_object(&w);
    jw_key(&w, "schema");
    jw_int(&w, 1);
    pair(&w, "plan", p->name);
    pair(&w, "context", p->context);
    jw_key(&w, "workloads");
    jw_array(&w);
    for (size_t i = 0; i < p->nworkloads; i++) workload_json(p, &p->workloads[i], &w);
    jw_end_array(&w);
    jw_end_object(&w);
    buf_addc(out, '\n');
}
