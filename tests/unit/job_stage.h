/* Asking a run's sessions on a stage whose PostgreSQL is real (pg_fixture). */
#ifndef FERRYMAN_TESTS_JOB_STAGE_H
#define FERRYMAN_TESTS_JOB_STAGE_H

#include <stdbool.h>

#include "tests/unit/op_stage.h"
#include "tests/unit/pg_fixture.h"

struct pg_rows;

struct asked {
    struct run_asked *handle;
    bool answered;
    char text[512], error[1024]; /* first cell; "" */
    enum err_kind kind;
};

extern struct pg_fixture *job_stage_server;
extern char job_stage_identifier[32];
extern struct asked job_stage_last;

#define READ(q) ((struct run_query){.sql = q})
#define WRITE(q) ((struct run_query){.sql = q, .write = true})

/* Group setup and teardown: one server for all tests. */
int job_stage_start(void **state);
int job_stage_stop(void **state);
/* A stage whose pod server-0 (uid-p) is that server, with its identifier noted. */
int job_stage_setup(void **state);
int job_stage_teardown(void **state);

void job_stage_pod(struct op_stage *w, const char *ip);
void job_stage_rows(void *arg, const struct pg_rows *rows, const struct err *e); /* arg: &job_stage_last */
bool job_stage_answered(struct op_stage *w);
void job_stage_ask(struct op_stage *w, struct run_query q);   /* and run_query_free(job_stage_last.handle) */
void job_stage_query(struct op_stage *w, struct run_query q); /* to its end, into job_stage_last */
void job_stage_expect(struct op_stage *w, struct run_query q, const char *text);
void job_stage_expect_error(struct op_stage *w, struct run_query q, const char *part);

#endif
