/* What a watch prints, and how it ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "watch_judge.h"
#include "watch_lines.h"
#include "world/world.h"

#define HOUR INT64_C(3600000)
#define NOW (INT64_C(1777134667000)) /* 2026-04-25T16:31:07Z */

struct set {
    int col;
    const char *text;
    int64_t number;
};

#define END_SET {-1, NULL, 0}

static void put(struct world *w, enum world_table t, const char *key, const struct set *sets) {
    struct cell cells[WORLD_COLS_MAX] = {0};
    for (; sets->col >= 0; sets++) cells[sets->col] = sets->text ? cell_text(sets->text) : cell_int(sets->number);
    world_upsert(w, t, slice_of(key), "", cells);
}

static void put_window(struct world *w, const char *state, int64_t credited, const char *reason) {
    const struct set sets[] = {{WINDOWS_WORKLOAD, "vault", 0}, {WINDOWS_POD, "vault-0", 0}, {WINDOWS_STATE, state, 0}, {WINDOWS_REASON, reason ? reason : "", 0},
                               {WINDOWS_CREDITED, NULL, credited}, {WINDOWS_DURATION, NULL, 24 * HOUR}, {WINDOWS_GAPS, NULL, 182000},
                               {WINDOWS_LONGEST_GAP, NULL, 182000}, {WINDOWS_FAILURES, NULL, 0}, {WINDOWS_RESTARTS, NULL, 0}, END_SET};
    put(w, T_WINDOWS, "vault", reason ? sets : (const struct set[]){sets[0], sets[1], sets[2], sets[4], sets[5], sets[6], sets[7], sets[8], sets[9], END_SET});
}

static void put_window_gate(struct world *w, const char *name, const char *answer, const char *reason) {
    char *key = str_printf("vault/%s", name);
    put(w, T_WINDOW_GATES, key, (const struct set[]){{WINDOW_GATES_WORKLOAD, "vault", 0}, {WINDOW_GATES_NAME, name, 0}, {WINDOW_GATES_ANSWER, answer, 0},
                                                     {WINDOW_GATES_REASON, reason, 0}, END_SET});
    mem_free(key);
}

static void put_workload(struct world *w, const char *state, const char *phase) {
    put(w, T_PLAN_WORKLOADS, "vault", (const struct set[]){{PLAN_WORKLOADS_NAME, "vault", 0}, {PLAN_WORKLOADS_STATE, state, 0}, {PLAN_WORKLOADS_PHASE, phase, 0}, END_SET});
}

static void put_gate(struct world *w, const char *name, const char *answer) {
    put(w, T_GATES, name, (const struct set[]){{GATES_NAME, name, 0}, {GATES_ANSWER, answer, 0}, {GATES_REASON, "why", 0}, END_SET});
}

static void put_source(struct world *w, const char *state) {
    put(w, T_SOURCES, "vault/vault-0", (const struct set[]){{SOURCES_SERVER, "vault", 0}, {SOURCES_STATE, state, 0}, {SOURCES_LAST_OK, NULL, NOW}, END_SET});
}

static struct world *new_world(void) {
    struct world *w = world_new();
    world_set_now(w, NOW);
    return w;
}

static void judged(const struct world *w, int status, const char *part) {
    struct buf why = {0};
    assert_int_equal(watch_judge(w, &why), status);
    if (!strstr(buf_str(&why), part)) fail_msg("'%s' does not say '%s'", buf_str(&why), part);
    buf_free(&why);
}

static void a_window_is_judged_by_how_it_ended(void **state) {
    (void)state;
    struct world *w = new_world();
    put_window(w, "PASSED", 24 * HOUR, NULL);
    judged(w, 0, "the window of vault-0 passed");
    put_window(w, "PASSING", HOUR, NULL);
    judged(w, 2, "not over yet");
    put_window_gate(w, "alerts", "FAIL", "1 firing");
    judged(w, 1, "alerts fails: 1 firing");
    put_window_gate(w, "alerts", "NO DATA", "nothing came");
    put_window(w, "CLOCK STOPPED", HOUR, "nothing came");
    judged(w, 2, "CLOCK STOPPED: nothing came");
    put_window(w, "FAILING", 0, "2 of 3 voters");
    judged(w, 1, "fails: 2 of 3 voters");
    put_window(w, "INCONCLUSIVE", 0, "a gap of 3h");
    judged(w, 2, "INCONCLUSIVE: a gap of 3h");
    put_window(w, "ENDED EARLY", HOUR, "change freeze");
    judged(w, 2, "was ended early: change freeze");
    put_window(w, "ANOTHER WORD", HOUR, NULL);
    judged(w, 2, "ANOTHER WORD");
    world_free(w);
}

static void without_a_window_the_gates_are_judged(void **state) {
    (void)state;
    struct world *w = new_world();
    judged(w, 2, "nothing was heard");
    put_source(w, "LIVE");
    put_gate(w, "three voters", "PASS");
    put_gate(w, "http", "NOT ASKED");
    judged(w, 0, "all gates pass (1)");
    put_gate(w, "snapshots", "NO DATA");
    judged(w, 2, "NO DATA: snapshots");
    put_gate(w, "claims", "WAIT");
    judged(w, 1, "WAIT: claims");
    put_gate(w, "claims", "FAIL");
    judged(w, 1, "FAIL: claims");
    put_gate(w, "claims", "PASS");
    put_gate(w, "snapshots", "PASS");
    put_source(w, "DOWN");
    judged(w, 2, "source vault/vault-0 does not answer");
    world_free(w);
}

static void it_is_over_when_nothing_goes_on(void **state) {
    (void)state;
    struct world *w = new_world();
    assert_false(watch_is_over(w)); /* none has begun: it may still come */
    put_workload(w, "RUNNING", "window-1");
    put_window(w, "PASSING", HOUR, NULL);
    assert_false(watch_is_over(w));
    put_window(w, "PASSED", HOUR, NULL);
    assert_false(watch_is_over(w)); /* the next window's row has not come yet */
    put_workload(w, "INTERRUPTED", "window-2");
    assert_false(watch_is_over(w)); /* it goes on by itself */
    put_workload(w, "BETWEEN PHASES", "pod-2");
    assert_true(watch_is_over(w));
    put_window(w, "ENDED EARLY", HOUR, NULL);
    assert_true(watch_is_over(w));
    world_free(w);
}

static struct buf out;

static void add(void *arg, const char *line, size_t n) {
    (void)arg;
    buf_add(&out, line, n);
}

static void printed(const char *want) {
    assert_string_equal(buf_str(&out), want);
    buf_clear(&out);
}

static void one_line_a_change(void **state) {
    (void)state;
    struct world *w = new_world();
    struct watch_lines *l = watch_lines_new(w, false, add, NULL);
    put_source(w, "LIVE");
    put_gate(w, "three voters", "PASS");
    put_window(w, "PASSING", HOUR, NULL);
    put_window_gate(w, "alerts", "PASS", "");
    watch_lines_update(l);
    printed("2026-04-25T16:31:07Z vault window vault-0: PASSING; covered 1:00:00 of 24:00:00, gaps 3m02s (longest 3m02s), failures 0, restarts 0, leader changes 0\n");
    watch_lines_update(l);
    printed("");
    world_set_now(w, NOW + 10000);
    put_window_gate(w, "alerts", "FAIL", "1 firing for 10s");
    put_window(w, "CLOCK STOPPED", HOUR, "alerts: 1 firing for 10s");
    watch_lines_update(l);
    printed("2026-04-25T16:31:17Z vault window gate alerts: FAIL: 1 firing for 10s\n"
            "2026-04-25T16:31:17Z vault window vault-0: CLOCK STOPPED: alerts: 1 firing for 10s; covered 1:00:00 of 24:00:00, gaps 3m02s (longest 3m02s), "
            "failures 0, restarts 0, leader changes 0\n");
    put_window_gate(w, "alerts", "FAIL", "2 firing for 1m20s"); /* counting is no change */
    put_window(w, "CLOCK STOPPED", HOUR, "alerts: 2 firing for 1m20s");
    watch_lines_update(l);
    printed("");
    put_source(w, "DOWN");
    put_gate(w, "three voters", "FAIL");
    watch_lines_update(l);
    printed("2026-04-25T16:31:17Z - source vault/vault-0: DOWN\n2026-04-25T16:31:17Z - gate three voters: FAIL: why\n");
    watch_lines_summary(l, NOW);
    printed("2026-04-25T16:31:07Z vault summary: window vault-0: CLOCK STOPPED: alerts: 2 firing for 1m20s; covered 1:00:00 of 24:00:00, gaps 3m02s "
            "(longest 3m02s), failures 0, restarts 0, leader changes 0\n2026-04-25T16:31:07Z - summary: 0 of 1 gates pass\n");
    watch_lines_free(l);
    world_free(w);
    buf_free(&out);
}

static void progress_is_told_by_tenths(void **state) {
    (void)state;
    struct world *w = new_world();
    struct watch_lines *l = watch_lines_new(w, false, add, NULL);
    size_t lines = 0;
    for (int64_t at = 0; at <= 24 * HOUR; at += HOUR / 4) {
        put_window(w, at < 24 * HOUR ? "PASSING" : "PASSED", at, NULL);
        watch_lines_update(l);
    }
    for (const char *p = buf_str(&out); *p; p++) lines += *p == '\n';
    assert_int_equal(lines, 11); /* the first look, nine tenths, the end */
    watch_lines_free(l);
    world_free(w);
    buf_free(&out);
}

static void put_event(struct world *w, const char *key, int64_t at, const char *text) {
    put(w, T_TIMELINE, key, (const struct set[]){{TIMELINE_AT, NULL, at}, {TIMELINE_LEVEL, "INFO", 0}, {TIMELINE_OBJECT, "vault", 0}, {TIMELINE_TEXT, text, 0}, END_SET});
}

static void plain_tells_the_timeline_too(void **state) {
    (void)state;
    struct world *w = new_world();
    struct watch_lines *l = watch_lines_new(w, true, add, NULL);
    put_event(w, "1", NOW - HOUR, "long ago");
    watch_lines_update(l);
    printed("");
    put_event(w, "2", NOW, "claim data-vault-0 is new");
    watch_lines_update(l);
    printed("2026-04-25T16:31:07Z vault event INFO: claim data-vault-0 is new\n");
    world_remove(w, T_TIMELINE, SLICE_LIT("2"));
    put_event(w, "1", NOW - 1, "told before the engine began anew");
    watch_lines_update(l);
    printed("");
    watch_lines_free(l);
    world_free(w);
    buf_free(&out);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_window_is_judged_by_how_it_ended),
        cmocka_unit_test(without_a_window_the_gates_are_judged),
        cmocka_unit_test(it_is_over_when_nothing_goes_on),
        cmocka_unit_test(one_line_a_change),
        cmocka_unit_test(progress_is_told_by_tenths),
        cmocka_unit_test(plain_tells_the_timeline_too),
    };
    return cmocka_run_group_tests_name("watch", tests, NULL, NULL);
}
