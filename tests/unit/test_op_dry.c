/* Dry runs before a dialog: what can be judged now is judged by the server, and nothing is changed by it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/json_doc.h"
#include "base/str.h"
#include "loop/loop.h"
#include "tests/unit/op_stage.h"

static struct {
    struct op_dry *dry;
    bool done;
    char error[1024], note[1024];
} result;

static void on_tried(void *arg, const struct err *e, const char *note) {
    (void)arg;
    assert_false(result.done);
    result.done = true;
    snprintf(result.error, sizeof result.error, "%s", e ? err_text(e) : "");
    snprintf(result.note, sizeof result.note, "%s", note ? note : "");
    op_dry_free(result.dry);
    result.dry = NULL;
}

static bool is_tried(struct op_stage *w) {
    (void)w;
    return result.done;
}

static void try(struct op_stage *w, struct script *s) {
    memset(&result, 0, sizeof result);
    result.dry = op_dry_new(w->run, s, on_tried, w);
    AWAIT(w, is_tried);
    assert_int_equal(w->acts, 0);
    script_free(s);
}

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

static void add_claim(struct script *s, const char *name) {
    struct json_t *d = jd_object();
    jd_put(d, "metadata.name", jd_string(name));
    script_create(s, "claim", "create the claim", CLAIMS_OF, d, NULL);
}

static void test_everything_is_tried_and_nothing_is_changed(void **state) {
    struct op_stage *w = *state;
    struct script *s = scale(w);
    add_claim(s, "new-claim");
    script_delete(s, "delete", "delete it", DEPLOYMENT, "uid-d", -1, NULL);
    script_check(s, "check", "what is no request", NULL);
    try(w, s);
    assert_string_equal(result.error, "");
    assert_string_equal(result.note, "");
    assert_int_equal(w->dry_runs, 3);
    assert_int_equal(jd_num(op_stage_get(w, DEPLOYMENT), "spec.replicas", -1), 2);
    assert_null(op_stage_get(w, CLAIMS_OF "/new-claim"));
}

static void test_refusals(void **state) {
    struct op_stage *w = *state;
    w->fault = FAULT_STATUS;
    w->fault_status = 403;
    w->fault_body = "{\"kind\":\"Status\",\"message\":\"exceeded quota: storage\",\"code\":403}";
    w->faults = 1;
    try(w, scale(w));
    op_stage_assert_in(result.error, "scale deployment/immich-server from 2 to 0, tried without effect");
    op_stage_assert_in(result.error, "exceeded quota");
    w->fault_status = 422;
    w->fault_body = "{\"kind\":\"Status\",\"message\":\"spec.replicas: Invalid value\",\"code\":422}";
    w->faults = 1;
    try(w, scale(w));
    op_stage_assert_in(result.error, "Invalid value");
}

static void test_a_server_that_does_not_answer_is_asked_again(void **state) {
    struct op_stage *w = *state;
    w->get_faults = 1;
    w->get_status = 429;
    w->fault = FAULT_RESET;
    w->faults = 1;
    try(w, scale(w));
    assert_string_equal(result.error, "");
    assert_int_equal(w->dry_runs, 2);
}

static void test_webhooks_that_take_no_dry_runs_are_a_note(void **state) {
    struct op_stage *w = *state;
    struct script *s = scale(w);
    add_claim(s, "new-claim");
    w->fault = FAULT_STATUS;
    w->fault_status = 400;
    w->fault_body = "{\"kind\":\"Status\",\"message\":\"admission webhook \\\"x\\\" does not support dry run\",\"code\":400}";
    w->faults = 1;
    try(w, s);
    assert_string_equal(result.error, "");
    op_stage_assert_in(result.note, "was not tried: ");
    op_stage_assert_in(result.note, "does not support dry run");
    assert_int_equal(w->dry_runs, 2);
}

static void test_a_taken_name_is_tried_under_another(void **state) {
    struct op_stage *w = *state;
    struct script *s = script_new();
    op_stage_put(w, CLAIMS_OF "/new-claim", "{\"metadata\":{\"name\":\"new-claim\"}}");
    add_claim(s, "new-claim");
    try(w, s);
    assert_string_equal(result.error, "");
    assert_int_equal(w->dry_runs, 2);
    op_stage_assert_in(tiny_http_request(w->server, -1)->body, "new-claim-ferryman-dry");
}

static void test_what_rests_on_acts_before_it_is_left_out(void **state) {
    struct op_stage *w = *state;
    struct script *s = script_new();
    op_stage_scale(w, s)->dry = false;
    jd_put(op_stage_get(w, DEPLOYMENT), "spec.replicas", jd_int(3));
    op_stage_scale(w, s);                                                              /* its test does not hold yet */
    script_delete(s, "a", "a", CLAIMS_OF "/not-there-yet", "uid-x", -1, NULL);         /* made on the way */
    script_delete(s, "b", "b", DEPLOYMENT, "‹claim.new.uid›", -1, NULL);
    try(w, s);
    assert_string_equal(result.error, "");
    assert_int_equal(w->dry_runs, 0);
}

static void test_freed_while_it_asks(void **state) {
    struct op_stage *w = *state;
    struct script *s = scale(w);
    memset(&result, 0, sizeof result);
    w->get_delay_ms = 50; /* so it is asking when it is freed, and the answer comes after that */
    result.dry = op_dry_new(w->run, s, on_tried, w);
    bool never = false;
    loop_run_until(w->loop, &never, 20);
    op_dry_free(result.dry);
    loop_run_until(w->loop, &never, 100);
    assert_false(result.done);
    script_free(s);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        T(test_everything_is_tried_and_nothing_is_changed), T(test_refusals), T(test_a_server_that_does_not_answer_is_asked_again), T(test_webhooks_that_take_no_dry_runs_are_a_note),
        T(test_a_taken_name_is_tried_under_another), T(test_what_rests_on_acts_before_it_is_left_out), T(test_freed_while_it_asks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
