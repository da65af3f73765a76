/* Acts: the intent, the fence, the request and its outcome (op.h has the five points). What is here between act_fence and the look that
 * says what became of the request is the only time in which nothing stops but the loss of the process itself. */
#include "base/clock.h"
#include "base/json_doc.h"
#include "base/str.h"
#include "migrate/lock.h"
#include "migrate/op_private.h"
#include "migrate/op_runner_private.h"
#include "migrate/run_private.h"
#include "net/backoff.h"

#define SETTLE_MS 250 /* between looks at what was accepted and is not seen yet */
#define STATEMENT_MS (INT64_C(24) * 3600 * 1000) /* a REINDEX may take hours; a dead peer is noticed by keepalive */
#define TRIES_MAX 3

void act_outcome(struct op_runner *x, const char *result, const char *detail) {
    struct json_t *d = runner_outcome_record(x, result, detail);
    if (!x->intent) jd_set(d, "what", jd_string(x->op->what)); /* no act's record says it */
    x->at = AT_OUTCOME;
    runner_write(x, d, runner_done);
}

void act_intend(struct op_runner *x) {
    struct json_t *d = runner_record(x, "act");
    struct buf text = {0};
    op_text(x->op, &text);
    jd_set(d, "what", jd_string(x->op->what));
    if (text.len) jd_set(d, "request", jd_string(buf_str(&text)));
    buf_free(&text);
    x->at = AT_INTENT;
    x->intent = true;
    runner_write(x, d, act_fence);
}

static void fenced_off(struct op_runner *x, const struct err *e) {
    struct err *mine = err_copy(e);
    err_set_kind(mine, ERR_LOCKED);
    runner_fail(x, mine);
}

/* Paused while the cluster was asked: nothing is sent, and what the act rests on is looked at again when it goes on. */
static void fence_unless_paused(struct op_runner *x) {
    if (x->paused) runner_stand_still(x);
    else act_fence(x);
}

static void on_saved(void *arg, const struct err *e) {
    struct op_runner *x = arg;
    if (e) {
        runner_fail(x, err_wrap(err_copy(e), "the recovery state could not be written"));
        return;
    }
    x->saved = true;
    fence_unless_paused(x);
}

static void on_confirmed(void *arg, const struct err *e) {
    struct op_runner *x = arg;
    if (e) {
        fenced_off(x, e);
        return;
    }
    fence_unless_paused(x);
}

/* True if something has to come first. */
static bool confirm_first(struct op_runner *x) {
    struct run *r = x->run;
    if (!x->op->irreversible) return false;
    if (r->save_state && !x->saved) {
        x->at = AT_SAVE;
        r->save_state(r->save_arg, on_saved, x);
        return true;
    }
    if (r->lock && clock_mono_ns() - x->confirmed_ns >= FRESH_NS && !runner_too_late(x)) {
        x->at = AT_CONFIRM;
        x->confirmed_ns = clock_mono_ns();
        lock_confirm(r->lock, on_confirmed, x);
        return true;
    }
    return false;
}

/* The lock and the kept session; false: it has ended. */
static bool still_ours(struct op_runner *x) {
    struct err *e = x->run->lock ? lock_fence(x->run->lock) : NULL;
    if (!e) e = run_pg_take_loss(x->run, x->phase);
    if (e) fenced_off(x, e);
    err_free(e);
    return !e;
}

static void on_sent(void *arg, const struct reply *reply);

static void send(struct op_runner *x) {
    const struct op *op = x->op;
    int64_t limit = op->deadline_ms ? op->deadline_ms : op->sql ? STATEMENT_MS : TRY_MS;
    x->at = AT_SEND;
    x->unsure = true;
    if (x->tries++ == 0) x->deadline = clock_mono_ms() + (op->deadline_ms ? op->deadline_ms : TRY_MS);
    x->ask = ask_act(x->run, op, limit, (x->looked_ns + FRESH_NS) / CLOCK_NS_PER_MS, on_sent, x);
}

/* The intent is durable: everything that must hold at the moment of the request, then the request. */
void act_fence(struct op_runner *x) {
    x->at = AT_FENCE;
    if (x->paused) {
        runner_stand_still(x); /* it is looked at again before anything is sent */
        return;
    }
    if (!still_ours(x) || confirm_first(x)) return;
    if (x->op->kind == OP_JOB) {
        x->at = AT_JOB;
        x->op->job->start(x->run, x->op);
        return;
    }
    bool unconfirmed = x->op->irreversible && x->run->lock && clock_mono_ns() - x->confirmed_ns >= FRESH_NS;
    if (unconfirmed || clock_mono_ns() - x->looked_ns >= FRESH_NS) {
        if (runner_too_late(x)) {
            runner_timed_out(x, "what it rests on could not be looked at less than 2 s before the request: the server or this machine is too slow");
            return;
        }
        x->look = LOOK_FENCE;
        runner_look(x);
        return;
    }
    send(x);
}

/* The answer to the request. What it is worth is seen by looking, in the answer itself if it is the object. */
static void on_sent(void *arg, const struct reply *reply) {
    struct op_runner *x = arg;
    const char *kind = jd_str(reply->doc, "kind");
    struct seen seen = {.status = 200, .doc = reply->doc, .text = reply->text};
    ask_free(x->ask);
    x->ask = NULL;
    err_free(x->trouble);
    x->trouble = reply->e ? err_copy(reply->e) : NULL;
    x->answer = reply->kind;
    x->lost = x->lost || reply->kind == REPLY_AGAIN;
    x->after_ms = reply->after_ms;
    x->look = LOOK_AFTER;
    x->unsure = reply->kind == REPLY_OK || reply->kind == REPLY_AGAIN;
    buf_clear(&x->reason);
    if (reply->kind == REPLY_REFUSED) {
        runner_fail(x, err_copy(reply->e));
        return;
    }
    bool object = reply->kind == REPLY_OK && reply->doc && !x->op->uid && !str_eq(kind, "Status") && jd_str(reply->doc, "metadata.uid");
    if (object && op_judge(x->run, x->op, &seen, &x->reason) == OP_DONE) {
        act_outcome(x, "done", buf_str(&x->reason));
        return;
    }
    if (x->deadline < clock_mono_ms() + TRY_MS && (reply->kind == REPLY_OK || x->tries == 1)) x->deadline = clock_mono_ms() + TRY_MS;
    runner_look(x);
}

/* It was refused with a conflict again and again: which test does not hold, and who changed it, the server does not say. */
static void conflict(struct op_runner *x, const struct json_t *doc) {
    struct buf why = {0};
    struct err *e = err_copy(x->trouble);
    if (str_eq(x->op->method, "PATCH") && doc && op_failing_test(x->op, doc, &why)) {
        struct err *told = err_new(ERR_FAILED, "%s: find out who changed it, then start again (%s)", buf_str(&why), err_text(e));
        err_free(e);
        e = told;
    }
    buf_free(&why);
    runner_fail(x, e);
}

/* Looked at after the request: not so. */
static void not_seen_after(struct op_runner *x, const struct json_t *doc) {
    if (x->answer == REPLY_OK) {
        if (runner_too_late(x)) runner_timed_out(x, x->reason.len ? buf_str(&x->reason) : "the server accepted it, and it is not so");
        else runner_later(x, SETTLE_MS);
        return;
    }
    x->unsure = false;
    if (x->aborting) {
        runner_fail(x, err_new(ERR_CANCELLED, "aborted; the request was not carried out: %s", err_text(x->trouble)));
        return;
    }
    if (x->answer == REPLY_CONFLICT && x->tries >= TRIES_MAX) {
        conflict(x, doc);
        return;
    }
    if (runner_too_late(x)) {
        runner_fail(x, err_copy(x->trouble));
        return;
    }
    runner_tell(x, err_text(x->trouble)); /* it was not carried out: once more, after what the server asked for */
    x->resend = true;
    int64_t now = clock_mono_ms();
    runner_later(x, backoff_next_after(&x->backoff, now, x->after_ms));
}

void act_judged(struct op_runner *x, enum op_answer a, const struct seen *seen) {
    bool was_sent = x->tries > 0;
    if (a == OP_REFUSE) {
        runner_refused(x, &x->reason);
    } else if (a == OP_DONE && was_sent) {
        if (x->lost) buf_printf(&x->reason, "%sthe answer was lost; seen by looking", x->reason.len ? "; " : "");
        act_outcome(x, x->lost ? "lost-answer-done" : "done", buf_str(&x->reason));
    } else if (a == OP_DONE) {
        act_outcome(x, "already", buf_str(&x->reason));
    } else if (op_on_its_way_out(x->op, seen)) {
        runner_tell(x, "one of that name is on its way out");
        if (runner_too_late(x)) runner_timed_out(x, "one of that name is still on its way out");
        else runner_later(x, POLL_MS);
    } else if (x->look == LOOK_AFTER && !x->resend) {
        not_seen_after(x, seen->doc);
    } else if (x->paused) {
        runner_stand_still(x);
    } else {
        x->resend = false;
        if (x->intent) act_fence(x);
        else act_intend(x);
    }
}
