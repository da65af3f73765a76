/* Carrying a script out: one operation after another, and for each act the five points of op.h.
 *
 * The runner is always at one point (enum at), and whatever it waits for there, an answer, a record's durability, a timer, leads to the
 * next. Pausing and aborting are possible where no act is in flight: between the intent's request and the look that says what became
 * of it nothing stops but the loss of the process itself. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/json_doc.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/utf8.h"
#include "loop/loop.h"
#include "loop/timer.h"
#include "migrate/journal.h"
#include "migrate/lock.h"
#include "migrate/op_private.h"
#include "migrate/op_runner_private.h"
#include "migrate/run_private.h"
#include "net/backoff.h"

#define POKE_MS 200          /* a world that changes all the time does not make us ask faster */
#define TICK_MS 500
#define WAIT_MS (INT64_C(300) * 1000)
#define LOOK_MS 10000        /* one GET */
#define READ_MS (INT64_C(6) * 3600 * 1000)

static void begin_op(struct op_runner *x);

/* ---- Ends ---- */

static void stop_asking(struct op_runner *x) {
    ask_free(x->ask);
    x->ask = NULL;
    timer_stop(x->timer);
}

static void deliver_end(void *arg) {
    struct op_runner *x = arg;
    x->ev.on_done(x->arg, x->end); /* may free x */
}

/* The last thing that happens to a runner. e is taken over. */
void runner_end(struct op_runner *x, struct err *e) {
    if (x->at == AT_END) {
        err_free(e);
        return;
    }
    stop_asking(x);
    timer_stop(x->tick);
    loop_undefer(x->run->loop, x);
    if (x->run->journal) journal_forget(x->run->journal, x);
    if (x->run->lock) lock_forget(x->run->lock, x);
    enum err_kind kind = e ? err_kind(e) : ERR_FAILED;
    if (e && kind != ERR_LOCKED && kind != ERR_CANCELLED) err_set_kind(e, ERR_FAILED);
    x->at = AT_END;
    x->end = e;
    loop_defer(x->run->loop, deliver_end, x);
}

/* ---- Records ---- */

struct json_t *runner_record(const struct op_runner *x, const char *type) {
    struct json_t *d = jd_object();
    jd_set(d, "t", jd_string(type));
    if (x->run->workload) jd_set(d, "workload", jd_string(x->run->workload->name));
    jd_set(d, "phase", jd_string(x->phase));
    jd_set(d, "step", jd_string(x->step));
    jd_set(d, "op", jd_string(x->op->id));
    return d;
}

struct json_t *runner_outcome_record(const struct op_runner *x, const char *result, const char *detail) {
    struct json_t *d = runner_record(x, "outcome");
    char *clean = utf8_cleaned(slice_of(detail));
    jd_set(d, "result", jd_string(result));
    if (*clean) jd_set(d, "detail", jd_string(clean));
    mem_free(clean);
    return d;
}


static void on_durable(void *arg, const struct err *e) {
    struct op_runner *x = arg;
    if (e) runner_end(x, err_wrap(err_copy(e), "%s: nothing is done that cannot be recorded", x->op->what));
    else x->then(x);
}

static void durable_at_once(void *arg) {
    on_durable(arg, NULL);
}

/* Writes the record (taken over); `then` comes when it is durable. */
void runner_write(struct op_runner *x, struct json_t *d, void (*then)(struct op_runner *x)) {
    x->then = then;
    if (x->run->journal) journal_append(x->run->journal, d, on_durable, x);
    else loop_defer(x->run->loop, durable_at_once, x);
    jd_free(d);
}

static void write_end(struct op_runner *x, const char *result, const char *detail) {
    if (!x->intent || !x->run->journal) return;
    struct json_t *d = runner_outcome_record(x, result, detail);
    journal_append(x->run->journal, d, NULL, NULL);
    jd_free(d);
}

/* It stops: e is taken over. */
void runner_fail(struct op_runner *x, struct err *e) {
    write_end(x, x->unsure ? "unknown" : err_kind(e) == ERR_CANCELLED ? "aborted" : "failed", err_text(e));
    runner_end(x, err_wrap(e, "%s", x->op->what));
}

void runner_refused(struct op_runner *x, const struct buf *reason) {
    runner_fail(x, err_new(ERR_FAILED, "%s", reason->len ? buf_str(reason) : "it is not so"));
}

/* ---- What is told ---- */

/* text is taken over. */
static void tell_text(struct op_runner *x, char *text) {
    int64_t deadline = x->op->kind == OP_WAIT && !x->paused ? x->deadline : 0;
    bool same = x->told && str_eq(x->told, text) && x->told_deadline == deadline;
    mem_free(x->told);
    x->told = text;
    x->told_deadline = deadline;
    if (!same && x->ev.on_state) x->ev.on_state(x->arg, x->op, text, deadline);
}

void runner_tell(struct op_runner *x, const char *reason) {
    tell_text(x, *reason ? str_printf("%s: %s", x->op->what, reason) : mem_strdup(x->op->what));
}

/* A wait's deadline stands still or goes on. */
static void tell_again(struct op_runner *x) {
    if (x->op && x->op->kind == OP_WAIT && x->told) tell_text(x, mem_strdup(x->told));
}

/* ---- From operation to operation ---- */

static void begin_op_deferred(void *arg) {
    begin_op(arg);
}

static void next_op(struct op_runner *x) {
    x->op = x->op->next;
    x->at = AT_BEGIN;
    loop_defer(x->run->loop, begin_op_deferred, x);
}

void runner_done(struct op_runner *x) {
    runner_tell(x, buf_str(&x->reason));
    if (x->ev.on_result && x->op->kind != OP_CALL) x->ev.on_result(x->arg, x->op, buf_str(&x->reason));
    next_op(x);
}

void runner_stand_still(struct op_runner *x) {
    x->at = AT_PAUSED;
}

/* Looks again in a while. */
void runner_later(struct op_runner *x, int64_t delay_ms) {
    x->at = AT_LATER;
    if (!x->paused || x->look == LOOK_AFTER) timer_start(x->timer, delay_ms, 0);
}

bool runner_too_late(const struct op_runner *x) {
    return !x->paused && clock_mono_ms() >= x->deadline;
}

void runner_timed_out(struct op_runner *x, const char *last) {
    char age[32];
    clock_format_age(clock_mono_ms() - x->began - x->stood_ms, age, sizeof age);
    runner_fail(x, err_new(ERR_FAILED, "gave up after %s%s%s", age, *last ? "; last: " : "", last));
}

/* ---- Looking ---- */

static void judged_wait(struct op_runner *x, enum op_answer a) {
    if (a == OP_REFUSE) {
        runner_refused(x, &x->reason);
    } else if (a == OP_DONE) {
        runner_done(x);
    } else {
        runner_tell(x, buf_str(&x->reason));
        if (runner_too_late(x)) runner_timed_out(x, buf_str(&x->reason));
        else runner_later(x, x->op->poll_ms ? x->op->poll_ms : POLL_MS);
    }
}

static void on_looked(void *arg, const struct reply *reply);

/* Whether the act is about to be sent (again), and rests on more than its own object. */
static bool is_guarded(const struct op_runner *x, enum op_answer a) {
    return a == OP_TODO && x->op->guards && (x->look != LOOK_AFTER || x->resend);
}

/* The next of what the act rests on, or the act itself. */
static void guard_next(struct op_runner *x, struct op *guard) {
    x->guard = guard;
    if (!guard) act_judged(x, OP_TODO, &(struct seen){.status = 200});
    else x->ask = ask_look(x->run, guard, LOOK_MS, on_looked, x);
}

static void judge_guard(struct op_runner *x, const struct seen *seen) {
    struct op *guard = x->guard;
    buf_clear(&x->reason);
    if (op_judge(x->run, guard, seen, &x->reason) == OP_DONE) {
        guard_next(x, guard->next);
        return;
    }
    struct err *e = err_new(ERR_FAILED, "%s: %s", guard->what, x->reason.len ? buf_str(&x->reason) : "it is not so");
    runner_fail(x, e);
}

static void judge(struct op_runner *x, const struct seen *seen) {
    buf_clear(&x->reason);
    bool gone = op_on_its_way_out(x->op, seen) && x->tries == 0;
    enum op_answer a = gone ? OP_TODO : op_judge(x->run, x->op, seen, &x->reason);
    switch (x->op->kind) {
    case OP_READ:
        if (a == OP_DONE) runner_done(x);
        else runner_refused(x, &x->reason);
        return;
    case OP_WAIT: judged_wait(x, a); return;
    case OP_ACT:
        if (!gone && is_guarded(x, a)) guard_next(x, x->op->guards);
        else act_judged(x, a, seen);
        return;
    case OP_JOB:
        if (a == OP_DONE) act_outcome(x, "already", buf_str(&x->reason));
        else if (a == OP_REFUSE) runner_refused(x, &x->reason);
        else if (x->paused) runner_stand_still(x);
        else act_intend(x);
        return;
    case OP_CALL: return;
    }
}

/* No answer to a look: again after a while, for as long as the operation may take. */
static void look_again(struct op_runner *x, const struct reply *reply) {
    int64_t now = clock_mono_ms();
    char *text = str_printf("%s; trying again", err_text(reply->e));
    x->backing_off = true;
    runner_tell(x, text);
    mem_free(text);
    if (runner_too_late(x)) runner_timed_out(x, err_text(reply->e));
    else runner_later(x, backoff_next_after(&x->backoff, now, reply->after_ms));
}

static void on_looked(void *arg, const struct reply *reply) {
    struct op_runner *x = arg;
    bool waits_for_server = x->op->kind == OP_WAIT && x->op->look && reply->kind != REPLY_OK && err_kind(reply->e) != ERR_DENIED;
    ask_free(x->ask);
    x->ask = NULL;
    if (reply->kind == REPLY_AGAIN || waits_for_server) {
        look_again(x, reply);
        return;
    }
    if (reply->kind != REPLY_OK) {
        runner_fail(x, err_copy(reply->e));
        return;
    }
    backoff_reset(&x->backoff);
    x->backing_off = false;
    struct seen seen = {.status = reply->status, .doc = reply->doc, .rows = reply->rows, .text = reply->text};
    if (x->guard) judge_guard(x, &seen);
    else judge(x, &seen);
}

static int64_t look_timeout(const struct op *op) {
    if (!op->look) return LOOK_MS;
    return op->kind != OP_READ ? TRY_MS : op->deadline_ms ? op->deadline_ms : READ_MS;
}

/* What may be asked by a POST without being an act. */
static bool asks_only(const struct op *op) {
    return strstr(op->path, "accessreviews") || strstr(op->path, "rulesreviews") || strstr(op->path, "selfsubjectreviews") ||
           strstr(op->path, "dryRun=All");
}

void runner_look(struct op_runner *x) {
    const struct op *op = x->op;
    x->at = AT_LOOK;
    x->guard = NULL;
    x->looked_ns = clock_mono_ns();
    if (!op_looks(op)) {
        judge(x, &(struct seen){.status = 0});
        return;
    }
    if (op->method && op->kind != OP_ACT && !asks_only(op)) {
        runner_fail(x, err_new(ERR_FAILED, "%s %s is an act, not a question", op->method, op->path));
        return;
    }
    x->ask = ask_look(x->run, op, look_timeout(op), on_looked, x);
}

static void on_timer(void *arg) {
    runner_look(arg);
}

/* ---- Beginning ---- */

static void reset(struct op_runner *x) {
    int64_t limit = x->op->deadline_ms ? x->op->deadline_ms : x->op->kind == OP_WAIT ? WAIT_MS : TRY_MS;
    x->look = LOOK_FIRST;
    x->intent = x->saved = x->lost = x->unsure = x->resend = x->backing_off = false;
    x->tries = 0;
    x->confirmed_ns = -FRESH_NS;
    x->began = clock_mono_ms();
    x->stood_ms = 0;
    x->deadline = x->began + limit;
    err_free(x->trouble);
    x->trouble = NULL;
    x->backoff = (struct backoff){.first_ms = 300, .cap_ms = 4000};
    buf_clear(&x->reason);
}

static void begin_op(struct op_runner *x) {
    if (x->aborting) {
        runner_end(x, err_new(ERR_CANCELLED, "aborted %s%s", x->op ? "before " : "at the end of the step", x->op ? x->op->what : ""));
        return;
    }
    if (!x->op) {
        runner_end(x, NULL);
        return;
    }
    if (x->paused) {
        runner_stand_still(x);
        return;
    }
    reset(x);
    if (x->op->kind == OP_CALL) {
        script_call_now(x->run, x->script, x->op);
        next_op(x);
        return;
    }
    runner_tell(x, "");
    if (x->op->kind == OP_JOB && !x->op->see) act_intend(x);
    else runner_look(x);
}

/* ---- Jobs ---- */

static void job_ended(void *arg) {
    struct op_runner *x = arg;
    struct err *e = x->job_error;
    x->job_error = NULL;
    if (e) {
        runner_fail(x, e);
        return;
    }
    buf_clear(&x->reason);
    buf_adds(&x->reason, x->job_detail ? x->job_detail : "");
    act_outcome(x, "done", buf_str(&x->reason));
}

void op_job_done(struct run *r, struct op *op, struct err *e, const char *detail) {
    struct op_runner *x = r->runner;
    if (!x || x->at != AT_JOB || x->op != op) {
        err_free(e);
        return;
    }
    x->at = AT_JOB_ENDED;
    err_free(x->job_error);
    x->job_error = e;
    mem_free(x->job_detail);
    x->job_detail = detail ? utf8_cleaned(slice_of(detail)) : NULL;
    loop_defer(r->loop, job_ended, x);
}

void op_job_progress(struct run *r, struct op *op, int64_t n, int64_t total, const char *unit, const char *text) {
    if (r->on_progress) r->on_progress(r->progress_arg, op, n, total, unit, text);
}

static void cancel_job(struct op_runner *x) {
    if (x->at == AT_JOB && x->op->job->cancel) x->op->job->cancel(x->run, x->op);
}

/* ---- From outside ---- */

/* The lock's loss ends what is in flight at once (safety 25), not only the next act. */
static bool lock_is_lost(const struct op_runner *x) {
    return x->run->lock && lock_state(x->run->lock) == LOCK_LOST;
}

void op_runner_fail(struct op_runner *x, struct err *e) {
    if (x->at == AT_END) {
        err_free(e);
        return;
    }
    cancel_job(x);
    if (x->op) runner_fail(x, e);
    else runner_end(x, e);
}

static void check_lock(struct op_runner *x) {
    if (x->at == AT_END || !lock_is_lost(x)) return;
    struct err *e = lock_fence(x->run->lock);
    struct err *lost = err_new(ERR_LOCKED, "%s", e ? err_text(e) : "the lock was lost");
    err_free(e);
    op_runner_fail(x, lost);
}

static void on_tick(void *arg) {
    check_lock(arg);
}

void op_runner_poke(struct op_runner *x) {
    check_lock(x);
    if (x->at != AT_LATER || x->paused || x->backing_off || x->op->kind != OP_WAIT) return;
    int64_t since = (clock_mono_ns() - x->looked_ns) / CLOCK_NS_PER_MS, least = op_looks(x->op) ? POKE_MS : 0;
    timer_start(x->timer, since >= least ? 0 : least - since, 0);
}

static void resume(struct op_runner *x) {
    int64_t stood = clock_mono_ms() - x->paused_at;
    x->deadline += stood;
    x->stood_ms += stood;
    if (x->at == AT_PAUSED && (!x->op || !x->intent)) loop_defer(x->run->loop, begin_op_deferred, x);
    else if (x->at == AT_PAUSED && x->op->kind == OP_JOB) act_fence(x);
    else if (x->at == AT_PAUSED) {
        x->look = LOOK_FENCE;
        runner_look(x);
    } else if (x->at == AT_LATER && !timer_active(x->timer)) timer_start(x->timer, 0, 0);
    tell_again(x);
}

void op_runner_pause(struct op_runner *x, bool paused) {
    if (x->paused == paused || x->at == AT_END) return;
    x->paused = paused;
    if (x->at == AT_JOB && x->op->job->pause) x->op->job->pause(x->run, x->op, paused);
    if (!paused) {
        resume(x);
        return;
    }
    x->paused_at = clock_mono_ms();
    if (x->at == AT_LATER && x->look != LOOK_AFTER) timer_stop(x->timer);
    tell_again(x);
}

/* From the request until it is known what became of it. */
static bool in_flight(const struct op_runner *x) {
    switch (x->at) {
    case AT_SEND:
    case AT_OUTCOME:
    case AT_JOB_ENDED: return true;
    case AT_LOOK:
    case AT_LATER: return x->look == LOOK_AFTER && !x->resend;
    default: return false;
    }
}

bool op_runner_in_flight(const struct op_runner *x) {
    return in_flight(x);
}

bool op_runner_abort(struct op_runner *x) {
    if (x->at == AT_END) return true;
    x->aborting = true;
    if (in_flight(x)) return false;
    cancel_job(x);
    if (x->op) runner_fail(x, err_new(ERR_CANCELLED, "aborted%s", x->op->kind == OP_ACT ? "; nothing is in flight" : ""));
    else runner_end(x, err_new(ERR_CANCELLED, "aborted"));
    return true;
}

static void begin_deferred(void *arg) {
    struct op_runner *x = arg;
    check_lock(x);
    if (x->at == AT_BEGIN) begin_op(x);
}

struct op_runner *op_runner_new(struct run *r, struct script *s, const char *phase, const char *step, const struct op_runner_events *ev,
                                void *arg) {
    struct op_runner *x = MEM_NEW(struct op_runner);
    *x = (struct op_runner){.run = r, .script = s, .op = s->first, .phase = mem_strdup(phase), .step = mem_strdup(step), .ev = *ev, .arg = arg, .at = AT_BEGIN};
    x->timer = timer_new(r->loop, on_timer, x);
    x->tick = timer_new(r->loop, on_tick, x);
    timer_start(x->tick, TICK_MS, TICK_MS);
    r->runner = x;
    loop_defer(r->loop, begin_deferred, x);
    return x;
}

const char *op_runner_phase(const struct op_runner *x) {
    return x->phase;
}

void op_runner_free(struct op_runner *x) {
    if (!x) return;
    cancel_job(x);
    stop_asking(x);
    loop_undefer(x->run->loop, x);
    if (x->run->journal) journal_forget(x->run->journal, x);
    if (x->run->lock) lock_forget(x->run->lock, x);
    if (x->run->runner == x) x->run->runner = NULL;
    timer_free(x->timer);
    timer_free(x->tick);
    script_free(x->script);
    err_free(x->end);
    err_free(x->trouble);
    err_free(x->job_error);
    mem_free(x->job_detail);
    mem_free(x->told);
    mem_free(x->phase);
    mem_free(x->step);
    buf_free(&x->reason);
    mem_free(x);
}
