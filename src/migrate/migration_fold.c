/* What the journal says happened: records folded, oldest first, into phases, steps and facts. The same function is used for
 * records that are written now, where that is all a record does (skipping). */
#include <string.h>

#include "base/clock.h"
#include "base/json_doc.h"
#include "base/map.h"
#include "base/mem.h"
#include "migrate/migration_private.h"

static int64_t record_at(const struct json_t *d) {
    int64_t at = 0;
    const char *text = jd_str(d, "at");
    if (!text || !clock_parse_rfc3339(slice_of(text), &at)) at = clock_wall_ms();
    return at;
}

/* Where a phase begins again is for the phase to say: what is before that is as good as done, though a step was interrupted at its very end. */
static void clear_steps(struct mover *v, struct phase_now *p, const char *from) {
    bool keep = from != NULL;
    for (size_t i = 0; i < p->nsteps; i++) {
        if (from && str_eq(p->phase->steps[i].id, from)) keep = false;
        if (keep) p->steps[i].state = STEP_DONE;
        else mover_step_clear(v, p, i);
    }
}

void phase_step_begins(struct phase_now *p, size_t step) {
    p->acted = p->acted || step >= p->phase->looks;
}

/* Facts of overrides, or all others. */
static void drop_facts(struct mover *v, bool overrides) {
    struct slice name;
    void *value;
    for (size_t it = 0; map_each(v->run->facts, &it, &name, &value);)
        if (slice_starts(name, "override.") == overrides) mem_free(map_del(v->run->facts, name));
}

/* A judgement was passed over for one phase (run_override): the next one, and above all a window of a day, asks again. What only the
 * operator knows (where a copy lies, how many replicas) stays said. */
static void drop_judgements(struct mover *v) {
    static const char *const names[] = {"override.alerts", "override.backups", "override.http", "override.image", "override.hours"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) mem_free(map_del(v->run->facts, slice_of(names[i])));
}

/* What was overridden since the rollback is for the run that begins now. */
void mover_forget(struct mover *v) {
    drop_facts(v, false);
    v->rolled_back = false;
    for (size_t i = 0; i < v->nphases; i++) {
        struct phase_now *p = &v->phases[i];
        clear_steps(v, p, NULL);
        p->state = PHASE_TODO;
        p->tries = 0;
        p->acted = false;
        p->started = p->ended = 0;
        mem_free(p->reason);
        mem_free(p->by);
        p->reason = p->by = NULL;
    }
}

/* After a rollback in part: what had failed, and was taken back, is not in trouble any more. */
static void forget_failed(struct mover *v) {
    for (size_t i = 0; i + 1 < v->nphases; i++) {
        struct phase_now *p = &v->phases[i];
        if ((p->state != PHASE_FAILED && p->state != PHASE_INTERRUPTED) || !phase_undone(v, p)) continue;
        clear_steps(v, p, NULL);
        p->state = PHASE_TODO;
        p->acted = false;
        str_set(&p->reason, NULL);
    }
}

static void fold_phase(struct mover *v, struct phase_now *p, const struct json_t *d) {
    const char *state = jd_str(d, "state");
    int64_t at = record_at(d);
    if (str_eq(state, "begun")) {
        if (v->rolled_back && p->phase != v->table->rollback) mover_forget(v);
        clear_steps(v, p, jd_str(d, "from"));
        p->state = PHASE_INTERRUPTED; /* until its end is read, or it is at work in this process */
        p->started = at;
        p->ended = 0;
        p->tries++;
        str_set(&p->by, jd_str(d, "by"));
        str_set(&p->reason, NULL);
        return;
    }
    static const struct {
        const char *word;
        enum phase_state state;
    } ends[] = {{"done", PHASE_DONE}, {"failed", PHASE_FAILED}, {"aborted", PHASE_FAILED}, {"skipped", PHASE_SKIPPED}, {"interrupted", PHASE_INTERRUPTED}};
    for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
        if (!str_eq(state, ends[i].word)) continue;
        p->state = ends[i].state;
        p->ended = at;
        str_set(&p->reason, jd_str(d, "reason"));
        if (p->state == PHASE_DONE) drop_judgements(v);
        if (p->state != PHASE_DONE || p->phase != v->table->rollback) continue;
        if (v->table->rollback_in_part) { /* what it has taken back comes next again (undone), and it can be asked for again */
            p->state = PHASE_TODO;
            p->acted = false;
            forget_failed(v);
            continue;
        }
        v->rolled_back = true;
        drop_facts(v, true);
    }
}

static void fold_results(struct step_now *s, const struct json_t *results) {
    for (size_t i = 0; i < jd_len(results); i++) {
        const struct json_t *r = jd_at(results, i);
        const char *what = jd_str(r, "what");
        if (what) step_add_result(s, what, jd_str(r, "text"), jd_flag(r, "act", false));
    }
}

static void fold_step(struct mover *v, struct phase_now *p, const struct json_t *d) {
    const char *id = jd_str(d, "step"), *state = jd_str(d, "state");
    for (size_t i = 0; i < p->nsteps; i++) {
        struct step_now *s = &p->steps[i];
        if (!str_eq(p->phase->steps[i].id, id)) continue;
        if (str_eq(state, "begun")) {
            phase_step_begins(p, i);
            mover_step_clear(v, p, i);
            s->state = STEP_INTERRUPTED;
            s->since = record_at(d);
        } else {
            s->state = str_eq(state, "done") ? STEP_DONE : STEP_FAILED;
            s->ended = record_at(d);
            fold_results(s, jd_get(d, "results"));
        }
        str_set(&s->detail, jd_str(d, "detail"));
    }
}

void migration_fold(void *migration, const struct json_t *d) {
    struct migration *m = migration;
    const char *t = jd_str(d, "t");
    struct mover *v = migration_mover(m, jd_str(d, "workload"));
    struct phase_now *p = v ? mover_phase(v, jd_str(d, "phase")) : NULL;
    if (v && str_eq(t, "fact") && jd_str(d, "name")) {
        const char *value = jd_str(d, "value");
        run_restore_fact(v->run, jd_str(d, "name"), value ? value : "");
    } else if (p && str_eq(t, "phase")) {
        fold_phase(v, p, d);
    } else if (p && str_eq(t, "step")) {
        fold_step(v, p, d);
    }
}
