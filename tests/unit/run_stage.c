#include "tests/unit/run_stage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "base/str.h"
#include "client/pg_conn.h"

struct pg_fixture *run_stage_server;
char run_stage_identifier[32];
struct asked run_stage_last;

void run_stage_rows(void *arg, const struct pg_rows *rows, const struct err *e) {
    struct asked *a = arg;
    assert_false(a->answered);
    a->answered = true;
    if (e) a->kind = err_kind(e);
    if (e) snprintf(a->error, sizeof a->error, "%s", err_text(e));
    else if (pg_rows_count(rows) > 0) snprintf(a->text, sizeof a->text, "%.*s", SLICE_FMT(pg_rows_text(rows, 0, 0)));
}

bool run_stage_answered(struct op_stage *w) {
    (void)w;
    return run_stage_last.answered;
}

void run_stage_ask(struct op_stage *w, struct run_query q) {
    run_stage_last = (struct asked){.answered = false};
    run_stage_last.handle = run_query(w->run, &q, run_stage_rows, &run_stage_last);
}

void run_stage_query(struct op_stage *w, struct run_query q) {
    run_stage_ask(w, q);
    AWAIT(w, run_stage_answered);
    run_query_free(run_stage_last.handle);
}

void run_stage_expect(struct op_stage *w, struct run_query q, const char *text) {
    run_stage_query(w, q);
    if (*run_stage_last.error) fail_msg("%s", run_stage_last.error);
    assert_string_equal(run_stage_last.text, text);
}

void run_stage_expect_error(struct op_stage *w, struct run_query q, const char *part) {
    run_stage_query(w, q);
    op_stage_assert_in(run_stage_last.error, part);
}

void run_stage_pod(struct op_stage *w, const char *ip) {
    run_set(w->run, "pod.server.name", "server-0");
    run_set(w->run, "pod.server.uid", "uid-p");
    run_set(w->run, "pod.server.ip", ip);
}

int run_stage_setup(void **state) {
    struct op_stage *w = op_stage_new(run_stage_server->conninfo, false);
    run_stage_pod(w, "127.0.0.1");
    run_set(w->run, "pg.identifier.old", run_stage_identifier);
    *state = w;
    return 0;
}

int run_stage_teardown(void **state) {
    op_stage_free(*state);
    return 0;
}

int run_stage_start(void **state) {
    (void)state;
    run_stage_server = pg_fixture_new();
    struct op_stage *w = op_stage_new(run_stage_server->conninfo, false);
    run_stage_pod(w, "127.0.0.1");
    run_stage_query(w, READ("SELECT system_identifier::text FROM pg_control_system()"));
    str_copy(run_stage_identifier, sizeof run_stage_identifier, run_stage_last.text);
    op_stage_free(w);
    return *run_stage_identifier ? 0 : -1;
}

int run_stage_stop(void **state) {
    (void)state;
    pg_fixture_free(run_stage_server);
    return 0;
}
