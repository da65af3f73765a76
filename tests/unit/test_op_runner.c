/* Scripts carried out against a server that goes wrong in every way: what was done is never done again, and nothing is done that
 * was not recorded, fenced and looked at just before. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/json_doc.h"
#include "base/mem.h"
#include "base/str.h"
#include "loop/loop.h"
#include "migrate/journal.h"
#include "tests/unit/op_stage.h"

static int setup(void **state) {
    struct op_stage *w = op_stage_new(NULL, false);
    op_stage_deployment(w);
    *state = w;
    return 0;
}

static int teardown(void **state) {
    op_stage_free(*state);
    return 0;
}

static struct script *scale(struct op_stage *w) {
    struct script *s = script_new();
    op_stage_scale(w, s);
    return s;
}

static int64_t replicas(struct op_stage *w) {
    return jd_num(op_stage_get(w, DEPLOYMENT), "spec.replicas", -1);
}

static void set_replicas(struct op_stage *w, int64_t n) {
    jd_put(op_stage_get(w, DEPLOYMENT), "spec.replicas", jd_int(n));
}

/* ---- Acts ---- */

static void test_act_is_done_once(void **state) {
    struct op_stage *w = *state;
    op_stage_run(w, scale(w));
    op_stage_assert_fine(w);
    assert_int_equal(w->acts, 1);
    assert_int_equal(replicas(w), 0);
    const char *records = op_stage_records(w);
    op_stage_assert_in(records, "fact seen.replicas=2\nact scale\n");
    op_stage_assert_in(records, "fact seen.replicas=0\noutcome scale done\n");
    const struct tiny_request *rq = tiny_http_request(w->server, -1);
    assert_string_equal(rq->method, "PATCH"); /* its answer was the object: nothing was asked again */
    op_stage_assert_in(rq->target, "fieldManager=ferryman&fieldValidation=Strict");
    assert_true(tiny_request_has(rq, "Content-Type: application/json-patch+json"));
    op_stage_assert_in(rq->body, "{\"op\":\"test\",\"path\":\"/metadata/uid\",\"value\":\"uid-d\"}");
    op_stage_assert_in(buf_str(&w->states), "scale deployment/immich-server from 2 to 0\n");
}

static void test_again_after_a_crash_nothing_is_sent(void **state) {
    struct op_stage *w = *state;
    op_stage_run(w, scale(w));
    op_stage_run(w, scale(w));
    op_stage_assert_fine(w);
    assert_int_equal(w->acts, 1);
    op_stage_assert_in(op_stage_records(w), "outcome scale already\n");
}

static void test_lost_answer_is_seen_by_looking(void **state) {
    struct op_stage *w = *state;
    w->fault = FAULT_LOST;
    w->faults = 1;
    op_stage_run(w, scale(w));
    op_stage_assert_fine(w);
    assert_int_equal(w->acts, 1); /* and libcurl did not repeat it either */
    op_stage_assert_in(op_stage_records(w), "outcome scale lost-answer-done\n");
    op_stage_assert_in(buf_str(&w->states), "the answer was lost; seen by looking");
}

static void test_reset_before_it_was_carried_out_is_sent_again(void **state) {
    struct op_stage *w = *state;
    w->fault = FAULT_RESET;
    w->faults = 2;
    op_stage_run(w, scale(w));
    op_stage_assert_fine(w);
    assert_int_equal(w->acts, 3);
    assert_int_equal(w->carried_out, 1);
}

static void test_server_error_is_looked_at_and_sent_again(void **state) {
    struct op_stage *w = *state;
    w->fault = FAULT_STATUS;
    w->fault_status = 503;
    w->faults = 1;
    op_stage_run(w, scale(w));
    op_stage_assert_fine(w);
    assert_int_equal(w->acts, 2);
    op_stage_assert_in(buf_str(&w->states), "503");
}

static void test_conflict_once_then_fine(void **state) {
    struct op_stage *w = *state;
    w->fault = FAULT_STATUS;
    w->fault_status = 409;
    w->faults = 1;
    op_stage_run(w, scale(w));
    op_stage_assert_fine(w);
    assert_int_equal(w->acts, 2);
    assert_int_equal(replicas(w), 0);
}

static void somebody_scales(struct op_stage *w) {
    set_replicas(w, 3);
}

static void test_failing_test_names_the_manager(void **state) {
    struct op_stage *w = *state;
    w->before_act = somebody_scales;
    op_stage_run(w, scale(w));
    op_stage_assert_error(w, ERR_FAILED, "/spec/replicas is 3, not 2 (last set by kubectl-scale)");
    op_stage_assert_error(w, ERR_FAILED, "scale deployment/immich-server from 2 to 0");
    op_stage_assert_error(w, ERR_FAILED, "422");
    assert_int_equal(w->acts, 3);
    assert_int_equal(replicas(w), 3);
    op_stage_assert_in(op_stage_records(w), "outcome scale failed\n");
}

static void test_denied_says_which_right(void **state) {
    struct op_stage *w = *state;
    w->fault = FAULT_STATUS;
    w->fault_status = 403;
    w->faults = 9;
    op_stage_run(w, scale(w));
    op_stage_assert_error(w, ERR_FAILED, "403 Forbidden");
    op_stage_assert_error(w, ERR_FAILED, "the right to patch");
    op_stage_assert_error(w, ERR_FAILED, DEPLOYMENT);
    assert_int_equal(w->acts, 1);
}

static void test_another_uid_is_refused(void **state) {
    struct op_stage *w = *state;
    jd_put(op_stage_get(w, DEPLOYMENT), "metadata.uid", jd_string("uid-other"));
    op_stage_run(w, scale(w));
    op_stage_assert_error(w, ERR_FAILED, "another object now");
    assert_int_equal(w->acts, 0);
    assert_null(strstr(op_stage_records(w), "act scale")); /* nothing was even intended */
}

static bool has_ended(struct op_stage *w) {
    return w->done;
}

static void test_old_look_is_taken_again(void **state) {
    struct op_stage *w = *state;
    w->get_delay_ms = 2100;
    op_stage_run(w, scale(w));
    op_stage_assert_fine(w);
    assert_int_equal(w->gets, 2);
    assert_int_equal(w->acts, 1);
}

static bool was_looked_at(struct op_stage *w) {
    return w->gets == 1;
}

static void test_change_between_the_two_looks_is_seen(void **state) {
    struct op_stage *w = *state;
    w->get_delay_ms = 2100; /* the first answer is that of 2 replicas */
    op_stage_begin(w, scale(w));
    AWAIT(w, was_looked_at);
    set_replicas(w, 0);
    op_stage_end(w);
    op_stage_assert_fine(w);
    assert_int_equal(w->acts, 0);
    op_stage_assert_in(op_stage_records(w), "act scale\n");
    op_stage_assert_in(op_stage_records(w), "outcome scale already\n");
}

static void test_nothing_is_sent_that_cannot_be_recorded(void **state) {
    struct op_stage *w = *state;
    struct rlimit old, small;
    struct stat st;
    getrlimit(RLIMIT_FSIZE, &old);
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(stat(journal_path(w->journal), &st), 0);
    small = old;
    small.rlim_cur = (rlim_t)st.st_size;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    op_stage_begin(w, scale(w));
    AWAIT(w, has_ended);
    setrlimit(RLIMIT_FSIZE, &old);
    op_stage_assert_error(w, ERR_FAILED, "nothing is done that cannot be recorded");
    assert_int_equal(w->acts, 0);
}

/* Everything that is sent to a server goes over a connection of its own; looks share theirs. */
static void test_acts_are_not_put_on_used_connections(void **state) {
    struct op_stage *w = *state;
    struct script *s = script_new();
    script_get(s, "look", "look", DEPLOYMENT, NULL);
    op_stage_scale(w, s);
    script_get(s, "look again", "look again", DEPLOYMENT, NULL);
    int before = tiny_http_accepted(w->server);
    op_stage_run(w, s);
    op_stage_assert_fine(w);
    assert_int_equal(tiny_http_accepted(w->server) - before, 2);
}

/* ---- Looks that are not answered ---- */

static void test_looking_is_tried_again(void **state) {
    struct op_stage *w = *state;
    w->get_faults = 2;
    w->get_status = 503;
    op_stage_run(w, scale(w));
    op_stage_assert_fine(w);
    op_stage_assert_in(buf_str(&w->states), "503");
    op_stage_assert_in(buf_str(&w->states), "; trying again");
    assert_int_equal(w->gets, 3);
}

static void test_looking_ends_at_the_deadline(void **state) {
    struct op_stage *w = *state;
    struct script *s = script_new();
    op_stage_scale(w, s)->deadline_ms = 700;
    w->get_faults = 1000;
    op_stage_run(w, s);
    op_stage_assert_error(w, ERR_FAILED, "gave up after");
    assert_int_equal(w->acts, 0);
}

static void test_denied_look_stops_at_once(void **state) {
    struct op_stage *w = *state;
    w->get_faults = 1000;
    w->get_status = 403;
    op_stage_run(w, scale(w));
    op_stage_assert_error(w, ERR_FAILED, "the right to get");
    assert_int_equal(w->gets, 1);
}

/* ---- Create and delete ---- */

static struct json_t *claim(struct op_stage *w, const char *run) {
    struct json_t *d = jd_object(), *annotations = jd_object();
    jd_set(d, "kind", jd_string("PersistentVolumeClaim"));
    jd_put(d, "metadata.name", jd_string("new-claim"));
    jd_set(annotations, "ferryman.io/run", jd_string(run ? run : w->run->id));
    jd_put(d, "metadata.annotations", annotations);
    return d;
}

static enum op_answer see_claim(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    (void)op;
    (void)reason;
    run_set(r, "claim.new.uid", jd_str(seen->doc, "metadata.uid"));
    return OP_DONE;
}

static struct script *create(struct op_stage *w) {
    struct script *s = script_new();
    script_create(s, "claim", "create claim new-claim", CLAIMS_OF, claim(w, NULL), see_claim);
    return s;
}

static void test_create_notes_the_uid(void **state) {
    struct op_stage *w = *state;
    op_stage_run(w, create(w));
    op_stage_assert_fine(w);
    assert_string_equal(run_fact(w->run, "claim.new.uid"), op_stage_uid(w, CLAIMS_OF "/new-claim"));
    assert_int_equal(w->acts, 1);
}

static void test_create_whose_answer_is_lost(void **state) {
    struct op_stage *w = *state;
    w->fault = FAULT_LOST;
    w->faults = 1;
    op_stage_run(w, create(w));
    op_stage_assert_fine(w);
    assert_int_equal(w->acts, 1);
    assert_true(run_has(w->run, "claim.new.uid"));
}

static void test_create_refuses_what_is_not_ours(void **state) {
    struct op_stage *w = *state;
    struct json_t *other = claim(w, "ffff");
    struct buf text = {0};
    jd_dump(other, &text);
    op_stage_put(w, CLAIMS_OF "/new-claim", buf_str(&text));
    op_stage_run(w, create(w));
    op_stage_assert_error(w, ERR_FAILED, "another run, ffff");
    assert_int_equal(w->acts, 0);
    buf_free(&text);
    jd_free(other);
}

static struct script *delete(const char *uid) {
    struct script *s = script_new();
    script_delete(s, "delete", "delete deployment/immich-server", DEPLOYMENT, uid, 30, NULL);
    return s;
}

static void test_delete_by_uid(void **state) {
    struct op_stage *w = *state;
    op_stage_run(w, delete("uid-d"));
    op_stage_assert_fine(w);
    assert_null(op_stage_get(w, DEPLOYMENT));
    const struct tiny_request *rq = NULL;
    for (int i = 0; i < tiny_http_count(w->server); i++)
        if (str_eq(tiny_http_request(w->server, i)->method, "DELETE")) rq = tiny_http_request(w->server, i);
    op_stage_assert_in(rq->body, "\"preconditions\":{\"uid\":\"uid-d\"}");
    op_stage_assert_in(rq->body, "\"propagationPolicy\":\"Background\"");
    op_stage_assert_in(rq->body, "\"gracePeriodSeconds\":30");
    op_stage_run(w, delete("uid-d"));
    op_stage_assert_fine(w);
    assert_int_equal(w->acts, 1);
}

static void test_delete_leaves_its_successor_alone(void **state) {
    struct op_stage *w = *state;
    op_stage_run(w, delete("uid-before"));
    op_stage_assert_fine(w);
    assert_non_null(op_stage_get(w, DEPLOYMENT));
    assert_int_equal(w->acts, 0);
    op_stage_run(w, delete(""));
    op_stage_assert_error(w, ERR_FAILED, "not known");
    assert_non_null(op_stage_get(w, DEPLOYMENT));
}

static void test_what_cannot_be_seen_is_not_done(void **state) {
    struct op_stage *w = *state;
    struct script *s = script_new();
    script_sql(s, "blind", "a blind act", DB_SERVER, NULL, "SELECT 1", NULL, NULL);
    op_stage_run(w, s);
    op_stage_assert_error(w, ERR_FAILED, "a blind act: this act cannot be seen afterwards");
    assert_null(strstr(op_stage_records(w), "act "));
}

/* ---- Reads, questions, calls ---- */

static enum op_answer see_refusal(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    (void)r;
    (void)op;
    if (jd_flag(seen->doc, "status.allowed", true)) return OP_DONE;
    buf_adds(reason, "not allowed");
    return OP_TODO;
}

static enum op_answer see_log(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    (void)r;
    (void)op;
    (void)reason;
    return slice_contains(seen->text, "shut down") && !seen->doc ? OP_DONE : OP_REFUSE;
}

static void test_questions_and_logs(void **state) {
    struct op_stage *w = *state;
    struct script *s = script_new();
    script_get(s, "log", "read the log", "/api/v1/namespaces/immich/pods/x/log?tailLines=5", see_log);
    script_ask(s, "access", "may we", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", jd_object(), see_refusal);
    op_stage_run(w, s);
    op_stage_assert_error(w, ERR_FAILED, "may we: not allowed");
    assert_int_equal(w->acts, 0);
    s = script_new();
    script_ask(s, "act", "an act in disguise", CLAIMS_OF, claim(w, NULL), see_refusal);
    op_stage_run(w, s);
    op_stage_assert_error(w, ERR_FAILED, "is an act, not a question");
    assert_int_equal(w->acts, 0);
}

static enum op_answer see_note(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    (void)seen;
    (void)reason;
    char *text = str_printf("%s%s", run_has(r, "order") ? run_fact(r, "order") : "", op->id);
    run_set(r, "order", text);
    mem_free(text);
    return OP_DONE;
}

static void inner(struct run *r, struct script *s, struct op *op) {
    (void)r;
    (void)op;
    script_check(s, "d", "d", see_note);
}

static void outer(struct run *r, struct script *s, struct op *op) {
    (void)r;
    (void)op;
    script_check(s, "b", "b", see_note);
    script_call(s, "inner", inner, NULL, NULL);
    script_check(s, "c", "c", see_note);
}

static struct script *calls(void) {
    struct script *s = script_new();
    script_check(s, "a", "a", see_note);
    script_call(s, "outer", outer, NULL, NULL);
    script_check(s, "e", "e", see_note);
    script_call(s, "last", inner, NULL, NULL);
    return s;
}

static void test_calls_insert_behind_themselves(void **state) {
    struct op_stage *w = *state;
    op_stage_run(w, calls());
    op_stage_assert_fine(w);
    assert_string_equal(run_fact(w->run, "order"), "abdced");
}

static void test_expanding_shows_all_and_notes_nothing(void **state) {
    struct op_stage *w = *state;
    struct script *s = calls();
    struct buf ids = {0};
    script_expand(w->run, s);
    for (const struct op *op = script_first(s); op; op = op->next)
        if (op->kind != OP_CALL) buf_adds(&ids, op->id);
    assert_string_equal(buf_str(&ids), "abdced");
    assert_null(run_fact(w->run, "order"));
    buf_free(&ids);
    script_free(s);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        T(test_act_is_done_once), T(test_again_after_a_crash_nothing_is_sent), T(test_lost_answer_is_seen_by_looking),
        T(test_reset_before_it_was_carried_out_is_sent_again), T(test_server_error_is_looked_at_and_sent_again),
        T(test_conflict_once_then_fine), T(test_failing_test_names_the_manager), T(test_denied_says_which_right),
        T(test_another_uid_is_refused), T(test_old_look_is_taken_again), T(test_change_between_the_two_looks_is_seen),
        T(test_nothing_is_sent_that_cannot_be_recorded), T(test_acts_are_not_put_on_used_connections),
        T(test_looking_is_tried_again), T(test_looking_ends_at_the_deadline), T(test_denied_look_stops_at_once),
        T(test_create_notes_the_uid), T(test_create_whose_answer_is_lost), T(test_create_refuses_what_is_not_ours),
        T(test_delete_by_uid), T(test_delete_leaves_its_successor_alone), T(test_what_cannot_be_seen_is_not_done), T(test_questions_and_logs),
        T(test_calls_insert_behind_themselves), T(test_expanding_shows_all_and_notes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
