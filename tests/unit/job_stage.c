#include "tests/unit/job_stage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "base/str.h"
#include "client/pg_conn.h"

struct pg_fixture *job_stage_server;
char job_stage_identifier[32];
struct asked job_stage_last;

void job_stage_rows(void *arg, const struct pg_rows *rows, const struct err *e) {
    struct asked *a = arg;
    assert_false(a->answered);
    a->answered = true;
    if (e) a->kind = err_kind(e);
    if (e) snprintf(a->error, sizeof a->error, "%s", err_text(e));
    else if (pg_rows_count(rows) > 0) snprintf(a->text, sizeof a->text, "%.*s", SLICE_FMT(pg_rows_text(rows, 0, 0)));
}

bool job_stage_answered(struct op_stage *w) {
    (void)w;
    return job_stage_last.answered;
}

void job_stage_ask(struct op_stage *w, struct run_query q) {
    job_stage_last = (struct asked){.answered = false};
    job_stage_last.handle = run_query(w->run, &q, job_stage_rows, &job_stage_last);
}

void job_stage_query(struct op_stage *w, struct run_query q) {
    job_stage_ask(w, q);
    AWAIT(w, job_stage_answered);
    run_query_free(job_stage_last.handle);
}

void job_stage_expect(struct op_stage *w, struct run_query q, const char *text) {
    job_stage_query(w, q);
    if (*job_stage_last.error) fail_msg("%s", job_stage_last.error);
    assert_string_equal(job_stage_last.text, text);
}

void job_stage_expect_error(struct op_stage *w, struct run_query q, const char *part) {
    job_stage_query(w, q);
    op_stage_assert_in(job_stage_last.error, part);
}

void job_stage_pod(struct op_stage *w, const char *ip) {
    run_set(w->run, "pod.server.name", "server-0");
    run_set(w->run, "pod.server.uid", "uid-p");
    run_set(w->run, "pod.server.ip", ip);
}

int job_stage_setup(void **state) {
    struct op_stage *w = op_stage_new(job_stage_server->conninfo, false);
    job_stage_pod(w, "127.0.0.1");
    run_set(w->run, "pg.identifier.old", job_stage_identifier);
    *state = w;
    return 0;
}

int job_stage_teardown(void **state) {
    op_stage_free(*state);
    return 0;
}

int job_stage_start(void **state) {
    (void)state;
    job_stage_server = pg_fixture_new();
    struct op_stage *w = op_stage_new(job_stage_server->conninfo, false);
    job_stage_pod(w, "127.0.0.1");
    job_stage_query(w, READ("SELECT system_identifier::text FROM pg_control_system()"));
    str_copy(job_stage_identifier, sizeof job_stage_identifier, job_stage_last.text);
    op_stage_free(w);
    return *job_stage_identifier ? 0 : -1;
}

int job_stage_stop(void **state) {
    (void)state;
    pg_fixture_free(job_stage_server);
    return 0;
}
