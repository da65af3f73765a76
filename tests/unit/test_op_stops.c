/* Where a script stops: waits and their deadlines, pauses, aborts, a lost lock, jobs that end and jobs that are given up. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/clock.h"
#include "base/json_doc.h"
#include "base/str.h"
#include "loop/loop.h"
#include "tests/unit/op_stage.h"

static int setup(void **state) {
    struct op_stage *w = op_stage_new(NULL, false);
    op_stage_deployment(w);
    *state = w;
    return 0;
}

static int setup_locked(void **state) {
    struct op_stage *w = op_stage_new(NULL, true);
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

static void set_replicas(struct op_stage *w, int64_t n) {
    jd_put(op_stage_get(w, DEPLOYMENT), "spec.replicas", jd_int(n));
}

static enum op_answer see_note(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    (void)op;
    (void)seen;
    (void)reason;
    run_set(r, "order", "after");
    return OP_DONE;
}

/* ---- Waits ---- */

static enum op_answer see_zero(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    (void)r;
    (void)op;
    int64_t n = jd_num(seen->doc, "spec.replicas", 0);
    if (n == 0) return OP_DONE;
    buf_printf(reason, "%lld are left", (long long)n);
    return OP_TODO;
}

static struct script *wait_for_zero(int64_t deadline_ms) {
    struct script *s = script_new();
    script_wait(s, "gone", "pods of immich-server are gone", DEPLOYMENT, see_zero, deadline_ms);
    return s;
}

static bool is_waiting(struct op_stage *w) {
    return strstr(buf_str(&w->states), "2 are left") != NULL;
}

static void test_wait_ends_when_it_is_so(void **state) {
    struct op_stage *w = *state;
    op_stage_begin(w, wait_for_zero(0));
    AWAIT(w, is_waiting);
    assert_true(w->deadline > clock_mono_ms() + 200000); /* five minutes, told */
    set_replicas(w, 0);
    op_stage_end(w);
    op_stage_assert_fine(w);
    assert_int_equal(w->acts, 0);
}

static void test_wait_has_an_end(void **state) {
    struct op_stage *w = *state;
    op_stage_run(w, wait_for_zero(600));
    op_stage_assert_error(w, ERR_FAILED, "pods of immich-server are gone: gave up after");
    op_stage_assert_error(w, ERR_FAILED, "last: 2 are left");
}

static void test_wait_outlives_a_server_that_is_away(void **state) {
    struct op_stage *w = *state;
    w->get_faults = 2;
    op_stage_begin(w, wait_for_zero(0));
    AWAIT(w, is_waiting);
    op_stage_assert_in(buf_str(&w->states), "trying again");
    set_replicas(w, 0);
    op_stage_end(w);
    op_stage_assert_fine(w);
}

static enum op_answer see_fact(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    (void)op;
    (void)seen;
    if (run_has(r, "go")) return OP_DONE;
    buf_adds(reason, "not yet");
    return OP_TODO;
}

static bool is_not_yet(struct op_stage *w) {
    return strstr(buf_str(&w->states), "not yet") != NULL;
}

static void test_wait_for_the_world_looks_when_poked(void **state) {
    struct op_stage *w = *state;
    struct script *s = script_new();
    script_wait(s, "go", "it may go", NULL, see_fact, 0)->poll_ms = 3600000;
    op_stage_begin(w, s);
    AWAIT(w, is_not_yet);
    run_set(w->run, "go", "yes");
    op_runner_poke(w->runner);
    op_stage_end(w);
    op_stage_assert_fine(w);
}

static void test_pause_freezes_the_deadline(void **state) {
    struct op_stage *w = *state;
    op_stage_begin(w, wait_for_zero(900));
    AWAIT(w, is_waiting);
    op_runner_pause(w->runner, true);
    assert_int_equal(w->deadline, 0); /* and it is told so */
    int gets = w->gets;
    bool never = false;
    loop_run_until(w->loop, &never, 1500); /* longer than its time */
    assert_false(w->done);
    assert_true(w->gets <= gets + 1);
    op_runner_pause(w->runner, false);
    assert_true(w->deadline > clock_mono_ms());
    set_replicas(w, 0);
    op_stage_end(w);
    op_stage_assert_fine(w);
}

/* ---- Pause and abort at each point ---- */

static bool has_looked(struct op_stage *w) {
    return w->gets > 0;
}

static bool has_acted(struct op_stage *w) {
    return w->acts > 0;
}

static void test_pause_before_the_intent(void **state) {
    struct op_stage *w = *state;
    op_stage_begin(w, scale(w));
    w->get_delay_ms = 100;
    AWAIT(w, has_looked);
    op_runner_pause(w->runner, true);
    bool never = false;
    loop_run_until(w->loop, &never, 400);
    assert_int_equal(w->acts, 0);
    assert_null(strstr(op_stage_records(w), "act scale"));
    op_runner_pause(w->runner, false);
    op_stage_end(w);
    op_stage_assert_fine(w);
    assert_int_equal(w->acts, 1);
    assert_int_equal(w->gets, 2); /* looked at again after standing still */
}

static void test_pause_before_it_begins(void **state) {
    struct op_stage *w = *state;
    op_stage_begin(w, scale(w));
    op_runner_pause(w->runner, true);
    bool never = false;
    loop_run_until(w->loop, &never, 200);
    assert_int_equal(w->gets, 0);
    op_runner_pause(w->runner, false);
    op_stage_end(w);
    op_stage_assert_fine(w);
}

static void test_abort_while_looking(void **state) {
    struct op_stage *w = *state;
    w->get_delay_ms = 5000;
    op_stage_begin(w, scale(w));
    AWAIT(w, has_looked);
    assert_true(op_runner_abort(w->runner));
    op_stage_end(w);
    op_stage_assert_error(w, ERR_CANCELLED, "aborted");
    assert_int_equal(w->acts, 0);
}

static void test_abort_waits_for_the_act_in_flight(void **state) {
    struct op_stage *w = *state;
    struct script *s = scale(w);
    script_check(s, "after", "what comes after", see_note);
    w->act_delay_ms = 200;
    op_stage_begin(w, s);
    AWAIT(w, has_acted);
    assert_false(op_runner_abort(w->runner));
    op_stage_end(w);
    op_stage_assert_error(w, ERR_CANCELLED, "aborted before what comes after");
    op_stage_assert_in(op_stage_records(w), "outcome scale done\n");
    assert_false(run_has(w->run, "order"));
}

static void test_abort_while_waiting_and_paused(void **state) {
    struct op_stage *w = *state;
    op_stage_begin(w, wait_for_zero(0));
    AWAIT(w, is_waiting);
    op_runner_pause(w->runner, true);
    assert_true(op_runner_abort(w->runner));
    op_stage_end(w);
    op_stage_assert_error(w, ERR_CANCELLED, "aborted");
}

static void test_free_in_the_middle(void **state) {
    struct op_stage *w = *state;
    w->act_delay_ms = 5000;
    op_stage_begin(w, scale(w));
    AWAIT(w, has_acted);
    op_runner_free(w->runner); /* as by a crash */
    w->runner = NULL;
    assert_null(w->run->runner);
    op_stage_run(w, scale(w));
    op_stage_assert_fine(w);
    assert_int_equal(w->carried_out, 1);
    op_stage_assert_in(op_stage_records(w), "act scale\n");
    op_stage_assert_in(op_stage_records(w), "outcome scale already\n");
}

/* ---- The lock ---- */

static void test_act_under_the_lock(void **state) {
    struct op_stage *w = *state;
    op_stage_run(w, scale(w));
    op_stage_assert_fine(w);
    assert_int_equal(w->acts, 1);
}

static int saves;

static void save_state(void *arg, void (*fn)(void *fn_arg, const struct err *e), void *fn_arg) {
    (void)arg;
    saves++;
    fn(fn_arg, NULL);
}

static void test_irreversible_act_is_confirmed_and_saved_first(void **state) {
    struct op_stage *w = *state;
    struct script *s = script_new();
    saves = 0;
    w->run->save_state = save_state;
    op_stage_scale(w, s)->irreversible = true;
    op_stage_run(w, s);
    op_stage_assert_fine(w);
    assert_int_equal(saves, 1);
    int patch = -1, lease = -1;
    for (int i = 0; i < tiny_http_count(w->server); i++) {
        const struct tiny_request *rq = tiny_http_request(w->server, i);
        if (str_eq(rq->method, "PATCH")) patch = i;
        else if (patch < 0 && str_eq(rq->method, "GET") && strstr(rq->path, "/leases/")) lease = i;
    }
    assert_true(lease >= 0 && lease < patch);
}

static void refuse_state(void *arg, void (*fn)(void *fn_arg, const struct err *e), void *fn_arg) {
    struct err *e = err_new(ERR_FAILED, "somebody has changed it");
    (void)arg;
    fn(fn_arg, e);
    err_free(e);
}

static void test_without_recovery_state_nothing_irreversible(void **state) {
    struct op_stage *w = *state;
    struct script *s = script_new();
    w->run->save_state = refuse_state;
    op_stage_scale(w, s)->irreversible = true;
    op_stage_run(w, s);
    op_stage_assert_error(w, ERR_FAILED, "recovery state could not be written: somebody has changed it");
    assert_int_equal(w->acts, 0);
    op_stage_assert_in(op_stage_records(w), "outcome scale failed\n");
}

static void test_stolen_lock_is_noticed_before_an_irreversible_act(void **state) {
    struct op_stage *w = *state;
    struct script *s = script_new();
    op_stage_scale(w, s)->irreversible = true;
    op_stage_steal_lock(w);
    op_stage_run(w, s);
    assert_non_null(w->error);
    assert_int_equal(err_kind(w->error), ERR_LOCKED);
    assert_int_equal(w->acts, 0);
}

static void test_lost_lock_ends_a_wait(void **state) {
    struct op_stage *w = *state;
    op_stage_begin(w, wait_for_zero(0));
    AWAIT(w, is_waiting);
    op_stage_steal_lock(w);
    op_stage_end(w);
    assert_non_null(w->error);
    assert_int_equal(err_kind(w->error), ERR_LOCKED);
}

/* ---- Jobs ---- */

enum { JOB_STAYS, JOB_ENDS_AT_ONCE, JOB_FAILS };
static int starts, cancels, pauses;
static int job_mood;

static void job_start(struct run *r, struct op *op) {
    starts++;
    if (job_mood == JOB_ENDS_AT_ONCE) op_job_done(r, op, NULL, "10 rows");
    if (job_mood == JOB_FAILS) op_job_done(r, op, err_new(ERR_DATA, "the pipe broke"), NULL);
}

static void job_cancel(struct run *r, struct op *op) {
    (void)r;
    (void)op;
    cancels++;
}

static void job_pause(struct run *r, struct op *op, bool paused) {
    (void)r;
    (void)op;
    pauses += paused ? 1 : 100;
}

static const struct op_job job = {.start = job_start, .cancel = job_cancel, .pause = job_pause};

static struct script *dump(int mood) {
    struct script *s = script_new();
    starts = cancels = pauses = 0;
    job_mood = mood;
    script_job(s, "dump", "dump everything", &job, NULL, NULL);
    return s;
}

static bool has_started(struct op_stage *w) {
    (void)w;
    return starts > 0;
}

static void test_job(void **state) {
    struct op_stage *w = *state;
    op_stage_run(w, dump(JOB_ENDS_AT_ONCE));
    op_stage_assert_fine(w);
    op_stage_assert_in(op_stage_records(w), "act dump\noutcome dump done\n");
    op_stage_assert_in(buf_str(&w->states), "dump everything: 10 rows");
    op_stage_run(w, dump(JOB_FAILS));
    op_stage_assert_error(w, ERR_FAILED, "dump everything: the pipe broke");
    assert_int_equal(cancels, 0);
}

static void test_job_is_paused_and_aborted(void **state) {
    struct op_stage *w = *state;
    op_stage_begin(w, dump(JOB_STAYS));
    AWAIT(w, has_started);
    op_runner_pause(w->runner, true);
    op_runner_pause(w->runner, false);
    assert_int_equal(pauses, 101);
    assert_true(op_runner_abort(w->runner));
    op_stage_end(w);
    op_stage_assert_error(w, ERR_CANCELLED, "aborted");
    assert_int_equal(cancels, 1);
    op_stage_assert_in(op_stage_records(w), "outcome dump aborted\n");
}

static void test_lost_lock_cancels_a_job(void **state) {
    struct op_stage *w = *state;
    op_stage_begin(w, dump(JOB_STAYS));
    AWAIT(w, has_started);
    op_stage_steal_lock(w);
    op_stage_end(w);
    assert_int_equal(err_kind(w->error), ERR_LOCKED);
    assert_int_equal(cancels, 1);
    op_job_done(w->run, NULL, err_new(ERR_FAILED, "too late"), NULL); /* nobody listens any more */
}

static void test_freed_runner_cancels_its_job(void **state) {
    struct op_stage *w = *state;
    op_stage_begin(w, dump(JOB_STAYS));
    AWAIT(w, has_started);
    op_runner_free(w->runner);
    w->runner = NULL;
    assert_int_equal(cancels, 1);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
#define L(f) cmocka_unit_test_setup_teardown(f, setup_locked, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        T(test_wait_ends_when_it_is_so), T(test_wait_has_an_end), T(test_wait_outlives_a_server_that_is_away),
        T(test_wait_for_the_world_looks_when_poked), T(test_pause_freezes_the_deadline),
        T(test_pause_before_the_intent), T(test_pause_before_it_begins), T(test_abort_while_looking),
        T(test_abort_waits_for_the_act_in_flight), T(test_abort_while_waiting_and_paused), T(test_free_in_the_middle),
        L(test_act_under_the_lock), L(test_irreversible_act_is_confirmed_and_saved_first),
        L(test_without_recovery_state_nothing_irreversible), L(test_stolen_lock_is_noticed_before_an_irreversible_act),
        L(test_lost_lock_ends_a_wait),
        T(test_job), T(test_job_is_paused_and_aborted), L(test_lost_lock_cancels_a_job), T(test_freed_runner_cancels_its_job),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
