/* Everything that a plan would do, as text: the very scripts that would be carried out, without a cluster. */
#include <string.h>

#include "base/mem.h"
#include "migrate/migration_private.h"

#define SHOWN_OF_READS ((size_t)200)

static const char *kind_word(const struct op *op) {
    switch (op->kind) {
    case OP_ACT: return op->irreversible ? "ACT!" : "act ";
    case OP_JOB: return "job ";
    case OP_WAIT: return "wait";
    default: return "read";
    }
}

/* What only reads is shown by its beginning: the inventory's queries fill pages. */
static void shorten(struct buf *text) {
    size_t n = SHOWN_OF_READS;
    if (text->len <= n) return;
    while (n > 0 && ((unsigned char)text->p[n] & 0xC0) == 0x80) n--;
    char *cut = mem_strndup(text->p, n);
    buf_clear(text);
    buf_printf(text, "%s…", cut);
    mem_free(cut);
}

static void preview_step(struct run *r, const struct step *step, struct buf *out) {
    struct script *s = script_new();
    buf_printf(out, "  step %s: %s\n", step->id, step->title);
    step->script(r, s);
    script_expand(r, s);
    for (const struct op *op = script_first(s); op; op = op->next) {
        struct buf text = {0};
        if (op->kind == OP_CALL) continue;
        op_text(op, &text);
        if (op->kind != OP_ACT) shorten(&text);
        buf_printf(out, "    %s  %s\n", kind_word(op), op->what);
        if (text.len) buf_printf(out, "          %s\n", buf_str(&text));
        buf_free(&text);
    }
    script_free(s);
}

static void preview_phase(struct run *r, const struct mover *v, const struct phase *p, struct buf *out) {
    r->phase = p;
    if (p->turn && p->wanted && !p->wanted(r)) return; /* of a pod that there is not */
    buf_printf(out, "phase %s: %s (its dialog asks for: %s)\n", p->id, p->title, phase_typed(v, p));
    for (const struct step *s = p->steps; s->id; s++) preview_step(r, s, out);
    buf_addc(out, '\n');
}

static void preview_workload(const struct plan *plan, const struct plan_workload *w, const struct phase_table *t, const char *phase,
                             struct buf *out) {
    struct run *r = run_new(&(struct run){.plan = plan, .workload = w, .dir = "‹state folder›", .id = "‹run›", .operator_name = "‹operator›", .preview = true});
    struct migration m = {.plan = plan};
    struct mover v = {.m = &m, .w = w, .table = t, .run = r};
    buf_printf(out, "workload %s (%s)\n\n", w->name, w->kind->name);
    for (const struct phase *const *p = t->phases; *p; p++)
        if (!phase || str_eq(phase, (*p)->id)) preview_phase(r, &v, *p, out);
    if (!phase || str_eq(phase, t->rollback->id)) preview_phase(r, &v, t->rollback, out);
    if (!phase && t->rescue) {
        buf_adds(out, "if the majority is lost, by hand; with what is known once it has begun, the dialogs show it\n");
        t->rescue(r, out);
        buf_addc(out, '\n');
    }
    run_free(r);
}

struct err *migration_preview(const struct plan *plan, const char *workload, const char *phase, struct buf *out) {
    bool found = false, movable = false;
    for (size_t i = 0; i < plan->nworkloads; i++) {
        const struct plan_workload *w = &plan->workloads[i];
        const struct phase_table *t = phase_table_of(w->kind);
        if (workload && !str_eq(workload, w->name)) continue;
        found = true;
        if (!t) {
            buf_printf(out, "workload %s (%s): this version watches it and does not move it\n\n", w->name, w->kind->name);
            movable = movable || !workload;
            continue;
        }
        if (phase && !str_eq(phase, t->rollback->id) && !phase_by_id(t, phase))
            return err_new(ERR_USAGE, "%s has no phase '%s'; see ferryman plan show", w->name, phase);
        movable = true;
        preview_workload(plan, w, t, phase, out);
    }
    if (!found) return err_new(ERR_USAGE, "the plan has no workload '%s'; see ferryman plan show", workload ? workload : "");
    if (!movable) return err_new(ERR_USAGE, "workload %s cannot be moved by this version", workload);
    return NULL;
}
