/* A phase at work: its beginning (lock, recovery state, journal), its steps one after another, and its end. Every change of state is
 * in the journal before anything is done under it. */
#include <string.h>

#include "base/clock.h"
#include "base/json_doc.h"
#include "base/mem.h"
#include "loop/loop.h"
#include "migrate/foreign.h"
#include "migrate/migration_private.h"

#define RESULT_MAX 1024
#define RATE_AFTER_MS INT64_C(5000) /* no "left" before so long a measurement */

static void run_step(struct mover *v);

bool mover_busy(const struct mover *v) {
    return v->current != NULL;
}

static struct step_now *step_now(const struct mover *v) {
    return &v->current->steps[v->step];
}

void mover_notify(struct mover *v, struct phase_now *p, const char *state, const char *reason) {
    char *text = str_printf("%s%s%s", phase_title(v, p), reason ? ": " : "", reason ? reason : "");
    run_notify(v->run, "phase", p->phase->id, state, text);
    mem_free(text);
}

/* ---- Its end ---- */

static void idle(struct mover *v) {
    op_runner_free(v->runner);
    v->runner = NULL;
    v->current = NULL;
    v->stage = BEGIN_NONE;
    v->paused = v->aborting = v->no_way_back = false;
    foreign_turn(v->foreign, false);
    mover_rows(v);
    if (!migration_busy(v->m) && v->m->on_idle) v->m->on_idle(v->m->arg);
}

static void ended(void *arg, const struct err *e) {
    struct mover *v = arg;
    if (e) str_set(&v->read_only, err_text(e));
    idle(v);
}

static void end_phase(struct mover *v, const char *state, const char *reason) {
    struct phase_now *p = v->current;
    struct json_t *d = migration_record(v, "phase", p);
    jd_set(d, "state", jd_string(state));
    if (reason) jd_set(d, "reason", jd_string(reason));
    migration_fold(v->m, d);
    mover_notify(v, p, state, reason);
    migration_write(v->m, d, ended, v);
}

/* A phase that has not begun (the lock is another's, the journal broke): nothing was done, nothing is recorded but the reason. */
static void not_begun(struct mover *v, const struct err *e) {
    struct phase_now *p = v->current;
    bool again = p->phase->resumes && p->not_begun && str_eq(p->not_begun, err_text(e)); /* it is tried again and again by itself */
    str_set(&p->not_begun, err_text(e));
    str_set(&p->reason, err_text(e));
    if (!again) run_note(v->run, "BAD", "%s did not begin: %s", phase_title(v, p), err_text(e));
    idle(v);
}

/* What was found is evidence: it is kept with the step (a journal's line is bounded, so each text is, too). */
static void add_results(struct json_t *d, const struct step_now *s) {
    struct json_t *list = jd_array();
    for (size_t i = 0; i < s->nresults; i++) {
        struct json_t *r = jd_object();
        jd_set(r, "what", jd_string(s->results[i].what));
        if (*s->results[i].text) jd_set(r, "text", jd_string(s->results[i].text));
        if (s->results[i].act) jd_set(r, "act", jd_bool(true));
        jd_append(list, r);
    }
    if (s->nresults) jd_set(d, "results", list);
    else jd_free(list);
}

static void end_step(struct mover *v, const char *state, const char *detail, void (*fn)(void *arg, const struct err *e)) {
    struct json_t *d = migration_record(v, "step", v->current);
    jd_set(d, "step", jd_string(v->current->phase->steps[v->step].id));
    jd_set(d, "state", jd_string(state));
    if (detail) jd_set(d, "detail", jd_string(detail));
    add_results(d, step_now(v));
    step_now(v)->ended = clock_wall_ms();
    migration_write(v->m, d, fn, v);
}

/* ---- Steps ---- */

static void stop(struct mover *v, const char *state, const char *reason) {
    struct step_now *s = step_now(v);
    s->state = STEP_FAILED;
    s->deadline = 0;
    str_set(&s->detail, reason);
    end_step(v, "failed", reason, NULL);
    mover_step_row(v, v->current, v->step);
    run_note(v->run, "BAD", "%s: %s", phase_title(v, v->current), reason);
    end_phase(v, state, reason);
}

static void step_is_durable(void *arg, const struct err *e) {
    struct mover *v = arg;
    if (!v->current) return;
    if (e) {
        str_set(&v->read_only, err_text(e));
        idle(v);
        return;
    }
    v->step++;
    run_step(v);
}

static void runner_state(void *arg, const struct op *op, const char *reason, int64_t deadline_ms) {
    struct mover *v = arg;
    struct step_now *s = step_now(v);
    (void)op;
    s->deadline = deadline_ms;
    str_set(&s->detail, reason);
    mover_step_row(v, v->current, v->step);
    mover_rows(v);
}

static void runner_result(void *arg, const struct op *op, const char *result) {
    struct mover *v = arg;
    struct step_now *s = step_now(v);
    char text[RESULT_MAX];
    size_t n = strlen(result);
    if (n >= sizeof text)
        for (n = sizeof text - 1; n > 0 && ((unsigned char)result[n] & 0xC0) == 0x80; n--) continue;
    memcpy(text, result, n);
    text[n] = '\0';
    step_add_result(s, op->what, text, op->kind == OP_ACT || op->kind == OP_JOB);
    mover_result_row(v, v->current, v->step, s->nresults - 1);
}

static void runner_done(void *arg, const struct err *e) {
    struct mover *v = arg;
    struct step_now *s = step_now(v);
    struct err *why = e ? err_copy(e) : NULL;
    op_runner_free(v->runner);
    v->runner = NULL;
    s->deadline = 0;
    if (why) {
        /* What only watches rests on the lock for nothing but being the only one: it goes on when it has it again. */
        bool waits = err_kind(why) == ERR_LOCKED && v->current->phase->resumes;
        v->goes_on = waits;
        stop(v, err_kind(why) == ERR_CANCELLED ? "aborted" : waits ? "interrupted" : "failed", err_text(why));
        err_free(why);
        return;
    }
    s->state = STEP_DONE;
    s->ended = clock_wall_ms();
    if (s->total > 0) s->done = s->total;
    mover_step_row(v, v->current, v->step);
    end_step(v, "done", s->detail, step_is_durable);
}

static void step_begun(void *arg, const struct err *e) {
    static const struct op_runner_events events = {.on_state = runner_state, .on_result = runner_result, .on_done = runner_done};
    struct mover *v = arg;
    if (!v->current) return;
    if (e) {
        step_is_durable(v, e);
        return;
    }
    if (v->aborting) {
        stop(v, "aborted", "aborted by the operator");
        return;
    }
    struct script *s = script_new();
    const struct step *step = &v->current->phase->steps[v->step];
    step->script(v->run, s);
    v->runner = op_runner_new(v->run, s, v->current->phase->id, step->id, &events, v);
    if (v->paused && !mover_in_one_act(v)) op_runner_pause(v->runner, true);
}

bool mover_in_one_act(const struct mover *v) {
    const struct phase *p = v->current ? v->current->phase : NULL;
    return p && p->one_act && v->runner && v->step < v->current->nsteps && str_eq(p->steps[v->step].id, p->one_act);
}

static void run_step(struct mover *v) {
    struct phase_now *p = v->current;
    while (v->step < p->nsteps && p->steps[v->step].state == STEP_DONE) v->step++;
    if (v->step == p->nsteps) {
        run_note(v->run, "GOOD", "%s: done", phase_title(v, p));
        end_phase(v, "done", NULL);
        return;
    }
    if (v->aborting) {
        stop(v, "aborted", "aborted by the operator");
        return;
    }
    struct step_now *s = step_now(v);
    phase_step_begins(p, v->step);
    mover_step_clear(v, p, v->step);
    s->state = STEP_RUNNING;
    s->since = clock_wall_ms();
    mover_step_row(v, p, v->step);
    mover_rows(v);
    struct json_t *d = migration_record(v, "step", p);
    jd_set(d, "step", jd_string(p->phase->steps[v->step].id));
    jd_set(d, "state", jd_string("begun"));
    migration_write(v->m, d, step_begun, v);
}

/* The rate since the first measurement, once it has some length; a phase that goes slower later says so as it does. */
static int64_t time_left(const struct step_now *s) {
    int64_t ms = clock_mono_ms() - s->measured_from, done = s->done - s->measured_done;
    if (s->total <= 0 || ms < RATE_AFTER_MS || done <= 0 || s->done >= s->total) return -1;
    return (int64_t)((double)(s->total - s->done) * (double)ms / (double)done);
}

void mover_progress(void *mover, const struct op *op, int64_t done, int64_t total, const char *unit, const char *text) {
    struct mover *v = mover;
    if (!v->current || !v->runner) return;
    struct step_now *s = step_now(v);
    (void)op;
    if (s->measured_from == 0 || done < s->measured_done) {
        s->measured_from = clock_mono_ms();
        s->measured_done = done;
    }
    s->done = done;
    s->total = total;
    str_set(&s->unit, unit);
    if (text) str_set(&s->detail, text);
    s->left = time_left(s);
    mover_step_row(v, v->current, v->step);
}

/* ---- Its beginning ---- */

/* Where a phase that was under way begins again. */
static const char *begin_from(struct mover *v) {
    struct phase_now *p = v->current;
    if (v->rolled_back && p->phase != v->table->rollback) return NULL; /* what it found then is forgotten */
    if (p->state != PHASE_INTERRUPTED && p->state != PHASE_FAILED) return NULL;
    if (p->phase->begin_at) return p->phase->begin_at(v->run);
    for (size_t i = 0; i < p->nsteps; i++)
        if (p->steps[i].state != STEP_DONE) return p->phase->steps[i].id;
    return NULL;
}

static void phase_begun(void *arg, const struct err *e) {
    struct mover *v = arg;
    v->stage = BEGIN_NONE;
    if (e) { /* whether the record is there is not known, and nothing can be recorded any more */
        v->current->state = PHASE_INTERRUPTED;
        str_set(&v->read_only, err_text(e));
        not_begun(v, e);
        return;
    }
    v->step = 0;
    mover_notify(v, v->current, "begun", NULL);
    foreign_turn(v->foreign, true);
    run_step(v);
}

static void state_saved(void *arg, const struct err *e) {
    struct mover *v = arg;
    struct phase_now *p = v->current;
    if (!p) return;
    if (e) {
        not_begun(v, e);
        return;
    }
    const char *from = begin_from(v);
    struct json_t *d = migration_record(v, "phase", p);
    jd_set(d, "state", jd_string("begun"));
    jd_set(d, "by", jd_string(v->m->operator_name));
    if (from) jd_set(d, "from", jd_string(from));
    migration_fold(v->m, d);
    p->state = PHASE_RUNNING;
    str_set(&p->not_begun, NULL);
    v->goes_on = false;
    v->stage = BEGIN_JOURNAL;
    migration_write(v->m, d, phase_begun, v);
}

/* Somebody may have gone on with this workload from another machine (safety 26). */
static void state_loaded(void *arg, const struct json_t *state, const struct err *e) {
    struct mover *v = arg;
    if (!v->current) return;
    const char *head = state ? jd_str(state, "head") : NULL, *by = state ? jd_str(state, "operator") : NULL;
    const char *host = state ? jd_str(state, "host") : NULL;
    if (!e && head && !journal_has(v->m->journal, head)) {
        struct err *foreign = err_new(ERR_LOCKED, "%s was last moved by %s on %s with another journal than %s; bring that journal here: ferryman journal import FILE",
                                      v->w->name, by ? by : "somebody", host ? host : "another machine", journal_path(v->m->journal));
        str_set(&v->read_only, err_text(foreign));
        not_begun(v, foreign);
        err_free(foreign);
        return;
    }
    if (e) {
        not_begun(v, e);
        return;
    }
    v->stage = BEGIN_SAVE;
    v->run->save_state(v->run->save_arg, state_saved, v);
}

static void locked(struct mover *v) {
    v->stage = BEGIN_LOAD;
    lock_load(v->lock, state_loaded, v);
}

void mover_lock_state(void *mover, enum lock_state s, const struct err *e) {
    struct mover *v = mover;
    struct json_t *d = migration_record(v, "lock", NULL);
    static const char *const words[] = {"free", "asking", "ours", "held", "lost"};
    jd_set(d, "state", jd_string(words[s]));
    jd_set(d, "holder", jd_string(lock_holder(v->lock)));
    if (s == LOCK_ASKING) jd_free(d);
    else migration_write(v->m, d, NULL, NULL);
    v->lock_since = clock_wall_ms();
    if (s == LOCK_OTHERS) v->goes_on = false; /* with them */
    if (v->stage == BEGIN_LOCK && s == LOCK_OURS) locked(v);
    else if (v->stage == BEGIN_LOCK && (s == LOCK_OTHERS || s == LOCK_LOST || s == LOCK_FREE) && (e || s == LOCK_OTHERS)) {
        struct err *why = e ? err_copy(e) : err_new(ERR_LOCKED, "%s is being moved by %s", v->w->name, lock_holder(v->lock));
        not_begun(v, why);
        err_free(why);
    } else if (s == LOCK_LOST && v->runner) {
        op_runner_poke(v->runner); /* it sees the lock, and ends by itself */
    }
    mover_rows(v);
}

void mover_begin(struct mover *v, struct phase_now *p) {
    v->current = p;
    v->run->phase = p->phase;
    v->step = 0;
    v->paused = v->aborting = false;
    str_set(&p->reason, NULL);
    if (lock_state(v->lock) == LOCK_OURS) {
        locked(v);
        mover_rows(v);
        return;
    }
    v->stage = BEGIN_LOCK;
    mover_rows(v);
    lock_acquire(v->lock);
}

/* ---- The operator ---- */

void mover_pause(struct mover *v, bool paused, const char *why) {
    if (!v->current || v->paused == paused) return;
    v->paused = paused;
    struct json_t *d = migration_record(v, "phase", v->current);
    jd_set(d, "state", jd_string(paused ? "paused" : "resumed"));
    jd_set(d, "by", jd_string(v->m->operator_name));
    if (why) jd_set(d, "reason", jd_string(why));
    migration_write(v->m, d, NULL, NULL);
    mover_notify(v, v->current, paused ? "paused" : "resumed", why);
    str_set(&v->current->reason, paused ? why : NULL);
    if (v->runner && !(paused && mover_in_one_act(v))) op_runner_pause(v->runner, paused); /* else: before the next step */
    mover_rows(v);
}

bool mover_abort(struct mover *v) {
    v->aborting = true;
    if (v->paused) mover_pause(v, false, NULL);
    bool at_once = !v->runner || op_runner_abort(v->runner);
    str_set(&v->current->reason, at_once ? "aborting" : "aborting as soon as the act that is in flight has an outcome");
    mover_rows(v);
    return at_once;
}
