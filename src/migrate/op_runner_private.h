/* A runner's state. Nothing outside src/migrate/op_runner*.c includes it. */
#ifndef FERRYMAN_MIGRATE_OP_RUNNER_PRIVATE_H
#define FERRYMAN_MIGRATE_OP_RUNNER_PRIVATE_H

#include "base/buf.h"
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

#endif
