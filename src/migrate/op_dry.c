/* Trying the requests of a script with dryRun=All, one after another, before the dialog opens. Only what can be judged now is tried:
 * what rests on acts before it would be refused for a reason that will be gone by then. */
#include <string.h>

#include "base/clock.h"
#include "base/json_doc.h"
#include "base/mem.h"
#include "base/str.h"
#include "loop/loop.h"
#include "loop/timer.h"
#include "migrate/op_private.h"
#include "migrate/run.h"
#include "net/backoff.h"

#define LOOK_MS 10000
#define PATIENCE_MS 20000 /* for a server that does not answer, or has too much to do */

struct op_dry {
    struct run *run;
    const struct op *op; /* NULL: all were tried */
    struct ask *ask;
    struct timer *timer; /* once more */
    struct backoff backoff;
    int64_t deadline;    /* mono ms: of the operation under way */
    struct buf notes;
    struct err *refusal;
    char *name; /* another name, while one is tried under it */
    void (*fn)(void *arg, const struct err *e, const char *note);
    void *arg;
};

static void look(void *arg);

static void deliver(void *arg) {
    struct op_dry *d = arg;
    d->fn(d->arg, d->refusal, d->notes.len ? buf_str(&d->notes) : NULL); /* may free d */
}

static void finish(struct op_dry *d, struct err *refusal) {
    d->refusal = refusal;
    loop_defer(d->run->loop, deliver, d);
}

static void next(struct op_dry *d) {
    mem_free(d->name);
    d->name = NULL;
    d->op = d->op->next;
    d->deadline = clock_mono_ms() + PATIENCE_MS;
    backoff_reset(&d->backoff);
    loop_defer(d->run->loop, look, d);
}

/* No answer says nothing about the request: the operation is tried from its look again, for a while. */
static bool once_more(struct op_dry *d, const struct reply *reply) {
    int64_t now = clock_mono_ms();
    if (reply->kind != REPLY_AGAIN || now >= d->deadline) return false;
    timer_start(d->timer, backoff_next_after(&d->backoff, now, reply->after_ms), 0);
    return true;
}

static void note(struct op_dry *d, const char *why) {
    buf_printf(&d->notes, "%s%s was not tried: %s", d->notes.len ? "; " : "", d->op->what, why);
}

/* "admission webhook "x" does not support dry run" (apiserver, webhook dispatchers): the real request will be judged by it. */
static bool is_about_dry_runs(const struct err *e) {
    return strstr(err_text(e), "does not support dry run") || strstr(err_text(e), "dryRun is not supported");
}

static void on_tried(void *arg, const struct reply *reply) {
    struct op_dry *d = arg;
    ask_free(d->ask);
    d->ask = NULL;
    bool taken = reply->status == 409 && d->op->creates && !d->name;
    if (reply->kind == REPLY_OK) {
        next(d);
    } else if (is_about_dry_runs(reply->e)) {
        note(d, err_text(reply->e));
        next(d);
    } else if (once_more(d, reply)) {
        return;
    } else if (taken) {
        d->name = str_printf("%.230s-ferryman-dry", jd_str(d->op->body, "metadata.name"));
        d->ask = ask_dry(d->run, d->op, d->name, on_tried, d);
    } else {
        finish(d, err_wrap(err_copy(reply->e), "%s, tried without effect", d->op->what));
    }
}

static void try_it(struct op_dry *d) {
    mem_free(d->name);
    d->name = NULL;
    d->ask = ask_dry(d->run, d->op, NULL, on_tried, d);
}

static const char *uid_of(const struct op *op) {
    return op->uid ? op->uid : jd_str(op->body, "0.value");
}

/* Whether it can be judged now; why not, else. A patch by its tests, a deletion by its uid. */
static bool can_be_judged(const struct op *op, const struct json_t *doc, struct buf *why) {
    const char *uid = uid_of(op), *found = jd_str(doc, "metadata.uid");
    if (op->creates) return true;
    if (!doc || !uid || !str_eq(uid, found)) {
        buf_adds(why, "its object is made, or replaced, on the way");
        return false;
    }
    return op->uid || !op_failing_test(op, doc, why);
}

static void on_looked(void *arg, const struct reply *reply) {
    struct op_dry *d = arg;
    struct buf why = {0};
    ask_free(d->ask);
    d->ask = NULL;
    if (once_more(d, reply)) {
        return;
    }
    if (reply->kind != REPLY_OK) {
        finish(d, err_wrap(err_copy(reply->e), "%s", d->op->what));
    } else if (can_be_judged(d->op, reply->doc, &why)) {
        try_it(d);
    } else {
        next(d); /* an act before it makes it possible; its own tests guard it */
    }
    buf_free(&why);
}

static bool is_tried(const struct op *op) {
    return op->kind == OP_ACT && op->method && op->dry && op->body && !op_has_placeholder(op);
}

static void look(void *arg) {
    struct op_dry *d = arg;
    for (; d->op && !is_tried(d->op); d->op = d->op->next)
        if (d->op->kind == OP_ACT && d->op->vault) note(d, "Vault has no dry run");
    if (!d->op) finish(d, NULL);
    else if (d->op->creates || !d->op->get) try_it(d);
    else d->ask = ask_look(d->run, d->op, LOOK_MS, on_looked, d);
}

struct op_dry *op_dry_new(struct run *r, const struct script *s, void (*fn)(void *arg, const struct err *e, const char *note), void *arg) {
    struct op_dry *d = MEM_NEW(struct op_dry);
    *d = (struct op_dry){.run = r, .op = script_first(s), .fn = fn, .arg = arg, .deadline = clock_mono_ms() + PATIENCE_MS,
                         .backoff = {.first_ms = 300, .cap_ms = 4000}};
    d->timer = timer_new(r->loop, look, d);
    loop_defer(r->loop, look, d);
    return d;
}

void op_dry_free(struct op_dry *d) {
    if (!d) return;
    loop_undefer(d->run->loop, d);
    ask_free(d->ask);
    timer_free(d->timer);
    buf_free(&d->notes);
    err_free(d->refusal);
    mem_free(d->name);
    mem_free(d);
}
