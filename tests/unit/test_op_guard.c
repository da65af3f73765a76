/* What an act rests on beside its own object is read right before it, and is not asked when there is nothing to do (safety 2). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/json_doc.h"
#include "base/mem.h"
#include "base/str.h"
#include "tests/unit/op_stage.h"

#define OTHER "/api/v1/namespaces/immich/configmaps/other"

static int asked;

static int setup(void **state) {
    struct op_stage *w = op_stage_new(NULL, false);
    op_stage_deployment(w);
    op_stage_put(w, OTHER, "{\"kind\":\"ConfigMap\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"other\"},\"data\":{\"may\":\"yes\"}}");
    asked = 0;
    *state = w;
    return 0;
}

static int teardown(void **state) {
    op_stage_free(*state);
    return 0;
}

static enum op_answer see_other(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    (void)r, (void)op;
    asked++;
    if (str_eq(jd_str(seen->doc, "data.may"), "yes")) return OP_DONE;
    buf_adds(reason, "it says no");
    return OP_TODO; /* like a refusal */
}

static struct script *guarded(struct op_stage *w) {
    struct script *s = script_new();
    struct op *op = op_stage_scale(w, s);
    script_guard_get(op, "the other allows it", OTHER, see_other);
    script_guard_get(op, "the other allows it, twice", OTHER, see_other);
    return s;
}

static int64_t replicas(struct op_stage *w) {
    return jd_num(op_stage_get(w, DEPLOYMENT), "spec.replicas", -1);
}

static void test_guards_are_asked_before_the_act(void **state) {
    struct op_stage *w = *state;
    op_stage_run(w, guarded(w));
    op_stage_assert_fine(w);
    assert_int_equal(w->acts, 1);
    assert_int_equal(asked, 2);
    assert_int_equal(replicas(w), 0);
}

static void test_a_guard_that_refuses_stops_it(void **state) {
    struct op_stage *w = *state;
    jd_put(op_stage_get(w, OTHER), "data.may", jd_string("no"));
    op_stage_run(w, guarded(w));
    op_stage_assert_error(w, ERR_FAILED, "the other allows it: it says no");
    assert_int_equal(w->acts, 0);
    assert_int_equal(replicas(w), 2);
}

static void test_what_is_done_asks_no_guard(void **state) {
    struct op_stage *w = *state;
    op_stage_run(w, guarded(w));
    jd_put(op_stage_get(w, OTHER), "data.may", jd_string("no"));
    asked = 0;
    op_stage_run(w, guarded(w));
    op_stage_assert_fine(w);
    assert_int_equal(asked, 0);
    assert_int_equal(w->acts, 1);
}

static void changes_its_mind(struct op_stage *w) {
    jd_put(op_stage_get(w, OTHER), "data.may", jd_string("no"));
}

/* The first request was not carried out: before the second the guards are asked again. */
static void test_guards_are_asked_again_before_another_try(void **state) {
    struct op_stage *w = *state;
    w->fault = FAULT_STATUS;
    w->fault_status = 500;
    w->fault_body = "{\"kind\":\"Status\",\"code\":500,\"message\":\"internal\"}";
    w->faults = 1;
    w->before_act = changes_its_mind;
    op_stage_run(w, guarded(w));
    op_stage_assert_error(w, ERR_FAILED, "it says no");
    assert_int_equal(w->acts, 1);
    assert_int_equal(replicas(w), 2);
}

/* Looks that are older than two seconds when the act is due are taken again, and the guards with them. */
static void test_old_guards_are_asked_again(void **state) {
    struct op_stage *w = *state;
    struct script *s = guarded(w);
    w->get_delay_ms = 2300;
    op_stage_run(w, s);
    op_stage_assert_fine(w);
    assert_int_equal(w->acts, 1);
    assert_true(asked > 2);
}

static void test_a_set_is_deleted_and_leaves_its_pods(void **state) {
    struct op_stage *w = *state;
    struct script *s = script_new();
    struct buf text = {0};
    struct op *op = script_orphan(s, "orphan", "delete it, its pods stay", DEPLOYMENT, op_stage_uid(w, DEPLOYMENT), NULL);
    op_text(op, &text);
    assert_string_equal(buf_str(&text), "DELETE " DEPLOYMENT " preconditions.uid=uid-d, propagationPolicy=Orphan");
    buf_free(&text);
    op_stage_run(w, s);
    op_stage_assert_fine(w);
    assert_null(op_stage_get(w, DEPLOYMENT));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_guards_are_asked_before_the_act, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_guard_that_refuses_stops_it, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_is_done_asks_no_guard, setup, teardown),
        cmocka_unit_test_setup_teardown(test_guards_are_asked_again_before_another_try, setup, teardown),
        cmocka_unit_test_setup_teardown(test_old_guards_are_asked_again, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_set_is_deleted_and_leaves_its_pods, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
