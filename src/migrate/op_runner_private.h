/* A runner's state. Nothing outside src/migrate/op_runner*.c includes it. */
#ifndef FERRYMAN_MIGRATE_OP_RUNNER_PRIVATE_H
#define FERRYMAN_MIGRATE_OP_RUNNER_PRIVATE_H

#include "base/buf.h"
#include "base/clock.h"
#include "migrate/op_private.h"
#include "net/backoff.h"

struct timer;

enum at {
    AT_BEGIN,     /* an operation is about to begin */
    AT_LOOK,      /* an answer to the look */
    AT_LATER,     /* the timer: look again */
    AT_INTENT,    /* durability of the intent */
    AT_FENCE,     /* (nothing: it is passed at once) */
    AT_SAVE,      /* the recovery state in the cluster */
    AT_CONFIRM,   /* the lock's round trip */
    AT_SEND,      /* the answer to the act */
    AT_OUTCOME,   /* durability of the outcome */
    AT_JOB, AT_JOB_ENDED,
    AT_PAUSED,    /* op_runner_pause(false) */
    AT_END,
};

enum look {
    LOOK_FIRST, /* is it so already? */
    LOOK_FENCE, /* again, because the last look is older than 2 s */
    LOOK_AFTER, /* has it become so? */
};

struct op_runner {
    struct run *run;
    struct script *script;
    struct op *op; /* NULL at the end */
    struct op *guard; /* that is asked now; NULL: none */
    char *phase, *step;
    struct op_runner_events ev;
    void *arg;
    enum at at;
    enum look look;
    bool paused, aborting;
    int64_t paused_at;

    /* of the operation under way */
    bool intent, saved;     /* the intent was written; so was the recovery state */
    bool lost;              /* an answer to the request was lost */
    bool unsure;            /* a request was sent, and what became of it was not seen yet */
    bool backing_off;       /* the last look was not answered */
    bool resend;            /* it was not carried out: send it again after the next look */
    int tries;              /* requests sent */
    int64_t looked_ns, confirmed_ns; /* mono, when it was asked */
    int64_t began, stood_ms, deadline; /* mono ms; stood: paused since it began */
    int64_t after_ms;
    enum reply_kind answer; /* to the last request */
    struct err *trouble;    /* of the last request; NULL */
    struct backoff backoff;
    struct buf reason;
    struct ask *ask;
    struct err *job_error;
    char *job_detail;

    void (*then)(struct op_runner *x); /* when the record is durable */
    struct timer *timer, *tick;
    char *told;
    int64_t told_deadline;
    struct err *end;
};

#define POLL_MS 500
#define TRY_MS 30000 /* a try, and for how long looking is tried again */
#define FRESH_NS (2 * CLOCK_NS_PER_S) /* safety 2: what was looked at is younger than this when the act is sent */

/* op_runner.c. Errors are taken over; runner_fail, runner_end and runner_timed_out are the last that happens. */
void runner_end(struct op_runner *x, struct err *e);
void runner_fail(struct op_runner *x, struct err *e);
void runner_refused(struct op_runner *x, const struct buf *reason);
void runner_timed_out(struct op_runner *x, const char *last);
bool runner_too_late(const struct op_runner *x);
struct json_t *runner_record(const struct op_runner *x, const char *type) MUST_CHECK;
struct json_t *runner_outcome_record(const struct op_runner *x, const char *result, const char *detail) MUST_CHECK;
/* Writes the record (taken over); `then` comes when it is durable. */
void runner_write(struct op_runner *x, struct json_t *d, void (*then)(struct op_runner *x));
void runner_tell(struct op_runner *x, const char *reason);
void runner_look(struct op_runner *x);
void runner_later(struct op_runner *x, int64_t delay_ms); /* looks again in a while */
void runner_stand_still(struct op_runner *x);
void runner_done(struct op_runner *x);

/* op_act.c: of acts and jobs */
void act_intend(struct op_runner *x);
void act_fence(struct op_runner *x);
void act_outcome(struct op_runner *x, const char *result, const char *detail);
void act_judged(struct op_runner *x, enum op_answer a, const struct seen *seen);

#endif
