/* What jobs see of a run, stood in for: facts in a map, one server whose identity nobody doubts, and a runner that notes what it is told. */
#ifndef TESTS_JOB_STAGE_H
#define TESTS_JOB_STAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "migrate/run.h"
#include "pg_fixture.h"

struct job_stage {
    struct loop *loop;
    struct map *facts;
    struct pg_fixture *server;
    bool done, environment_fails;
    struct err *e;
    char *detail, *text, *note;
    int64_t most, total;
    int progressed;
    void (*on_progress)(void), (*next_progress)(void); /* the second: of the next operation */
};

extern struct job_stage stage;

/* Before the next operation. */
void job_stage_forget(void);
/* A run on a fresh loop with no facts, and the end of both. */
void job_stage_begin(struct run *r, struct pg_fixture *server);
void job_stage_end(void);
/* Carries an operation out within a minute and frees it; its error is in stage.e. */
void job_stage_carry_out(struct run *r, struct op *op);
void job_stage_drop(struct op *op);
/* "" if it is not noted. */
const char *job_stage_fact(const struct run *r, const char *name);

#endif
