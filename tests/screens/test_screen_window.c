#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "stage.h"

static const struct {
    int rows, cols;
} sizes[] = {{24, 80}, {40, 120}, {50, 200}};

#define ARMED \
    "{\"t\":\"upsert\",\"table\":\"arming\",\"key\":\"arming\",\"seq\":3910,\"row\":{\"state\":\"ARMED\",\"peer\":3,\"by\":\"ana\"," \
    "\"until\":1777135539000,\"typed\":\"home\",\"answered\":5}}"
#define COMMIT "{\"t\":\"commit\",\"seq\":3910}"

static struct stage *open_with(int rows, int cols, const char *fixture, const struct stage_options *o) {
    struct stage *s = stage_open(rows, cols, "migration.ndjson", o);
    if (fixture) stage_feed(s, fixture);
    stage_keys(s, "6");
    return s;
}

static void every_state_at_every_size(void **state) {
    static const char *const names[] = {"passing", "failing", "inconclusive", "stopped", "passed", "waiting", "ending"};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        for (size_t k = 0; k < ARRAY_LEN(sizes); k++) {
            char fixture[64], golden[64];
            snprintf(fixture, sizeof fixture, "window-%s.ndjson", names[i]);
            snprintf(golden, sizeof golden, "window-%s-%dx%d", names[i], sizes[k].cols, sizes[k].rows);
            struct stage *s = open_with(sizes[k].rows, sizes[k].cols, fixture, NULL);
            stage_golden(s, golden);
            stage_close(s);
        }
}

static void before_the_first_one_it_says_what_a_window_is(void **state) {
    (void)state;
    for (size_t k = 0; k < ARRAY_LEN(sizes); k++) {
        char golden[64];
        snprintf(golden, sizeof golden, "window-none-%dx%d", sizes[k].cols, sizes[k].rows);
        struct stage *s = open_with(sizes[k].rows, sizes[k].cols, "raft-forward.ndjson", NULL);
        stage_golden(s, golden);
        stage_close(s);
    }
    struct stage *s = stage_open(24, 80, "planless.ndjson", NULL);
    stage_keys(s, "6");
    stage_shows(s, "There is no window: they are of raft workloads");
    stage_shows(s, "raft-rolling");
    stage_keys(s, "E");
    stage_hides(s, "why may the window end early");
    stage_close(s);
    s = stage_open(24, 80, NULL, NULL);
    stage_keys(s, "6");
    stage_shows(s, "Waiting for the engine.");
    stage_close(s);
}

static void without_colours_and_beyond_ascii(void **state) {
    (void)state;
    struct stage *s = open_with(24, 80, "window-stopped.ndjson", &(struct stage_options){.ascii = true, .color = "never"});
    stage_golden(s, "window-stopped-ascii");
    for (const char *p = stage_text(s); *p; p++) assert_true((unsigned char)*p < 0x80);
    stage_feed(s, "window-inconclusive.ndjson");
    stage_golden(s, "window-inconclusive-ascii");
    stage_feed(s, "window-failing.ndjson");
    stage_shows(s, "X FAILING");
    stage_shows(s, "L late");
    stage_close(s);
}

static void what_nobody_saw_is_a_gap(void **state) {
    (void)state;
    struct stage *s = open_with(24, 80, "window-passing.ndjson", NULL);
    stage_hides(s, "░·");
    stage_feed_line(s, "{\"t\":\"tick\",\"now\":1777141867000}"); /* two hours without a sample */
    stage_shows(s, "░·");
    stage_shows(s, "last sample 2h00m ago");
    stage_close(s);
}

static void old_facts_do_not_look_well(void **state) {
    (void)state;
    struct stage *s = open_with(40, 120, "window-passing.ndjson", NULL);
    console_engine(stage_console(s), false, "it ended");
    stage_shows(s, "~ was PASSING");
    stage_hides(s, "✓ PASSING");
    stage_hides(s, "✓ voters");
    stage_close(s);
}

static void sent(struct stage *s, const char *keys, const char *typed, const char *want) {
    stage_keys(s, keys);
    if (typed) stage_type(s, typed);
    if (typed) stage_keys(s, "Enter");
    assert_string_equal(stage_sent(s), want);
    stage_forget_sent(s);
}

static void keys_take_arming_and_a_reason(void **state) {
    (void)state;
    struct stage *s = open_with(24, 80, "window-inconclusive.ndjson", NULL);
    stage_shows(s, "E end early   c credit the gap   Enter details   read-only: A arms");
    sent(s, "E", NULL, "");
    stage_shows(s, "end-early: read-only: A arms");
    sent(s, "c", NULL, "");
    stage_shows(s, "credit-gap: read-only: A arms");
    stage_feed_line(s, ARMED);
    stage_feed_line(s, COMMIT);
    stage_keys(s, "E");
    stage_shows(s, "why may the window end early:");
    sent(s, "", "change freeze", "{\"verb\":\"end\",\"workload\":\"vault\",\"reason\":\"change freeze\"}\n");
    sent(s, "E", "", "");
    stage_shows(s, "the window goes on: to end it early takes a reason");
    stage_keys(s, "c");
    stage_shows(s, "why does what was covered before the gap count:");
    sent(s, "", "the NAS was moved", "{\"verb\":\"credit\",\"workload\":\"vault\",\"reason\":\"the NAS was moved\"}\n");
    sent(s, "c Esc", NULL, "");
    stage_feed(s, "window-passing.ndjson");
    sent(s, "c", NULL, "");
    stage_shows(s, "no gap was too long");
    stage_feed(s, "window-passed.ndjson");
    sent(s, "E", NULL, "");
    stage_shows(s, "the window is over");
    stage_keys(s, "1 :"); /* from elsewhere the command leads here */
    stage_type(s, "end-early");
    stage_keys(s, "Enter");
    stage_shows(s, "the window is over");
    stage_shows(s, "WINDOW  vault-0");
    stage_close(s);
}

static void its_keys_are_its_own(void **state) {
    (void)state;
    struct stage *s = open_with(40, 120, "window-passing.ndjson", NULL);
    stage_feed_line(s, ARMED);
    stage_feed_line(s, COMMIT);
    stage_keys(s, "e"); /* errors, as everywhere */
    stage_shows(s, "ERRORS");
    stage_keys(s, "Esc 2 c");
    stage_shows(s, "c does nothing here");
    stage_keys(s, "6 Enter");
    stage_shows(s, "leader changes");
    stage_close(s);
}

static void every_screen_says_that_there_is_no_way_back(void **state) {
    (void)state;
    struct stage *s = stage_open(24, 80, "migration.ndjson", NULL);
    stage_feed(s, "raft-forward.ndjson");
    stage_keys(s, "5");
    assert_non_null(strstr(stage_line(s, 3), " NO WAY BACK BUT FORWARD until vault-0 is Ready · pod-1 of vault"));
    stage_shows(s, "no abort now");
    stage_keys(s, "6");
    assert_non_null(strstr(stage_line(s, 3), "NO WAY BACK BUT FORWARD"));
    stage_close(s);
}

static void phases_of_a_raft_workload(void **state) {
    (void)state;
    for (size_t k = 0; k < ARRAY_LEN(sizes); k++) {
        char golden[64];
        struct stage *s = stage_open(sizes[k].rows, sizes[k].cols, "migration.ndjson", NULL);
        stage_feed(s, "raft-forward.ndjson");
        stage_keys(s, "5");
        snprintf(golden, sizeof golden, "phase-raft-forward-%dx%d", sizes[k].cols, sizes[k].rows);
        stage_golden(s, golden);
        stage_feed(s, "raft-between.ndjson");
        stage_keys(s, "Tab");
        snprintf(golden, sizeof golden, "phase-raft-between-%dx%d", sizes[k].cols, sizes[k].rows);
        stage_golden(s, golden);
        stage_feed(s, "window-passing.ndjson");
        stage_keys(s, "1");
        snprintf(golden, sizeof golden, "overview-window-%dx%d", sizes[k].cols, sizes[k].rows);
        stage_golden(s, golden);
        stage_feed(s, "window-failing.ndjson");
        snprintf(golden, sizeof golden, "overview-window-failing-%dx%d", sizes[k].cols, sizes[k].rows);
        stage_golden(s, golden);
        stage_close(s);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_state_at_every_size),
        cmocka_unit_test(before_the_first_one_it_says_what_a_window_is),
        cmocka_unit_test(without_colours_and_beyond_ascii),
        cmocka_unit_test(what_nobody_saw_is_a_gap),
        cmocka_unit_test(old_facts_do_not_look_well),
        cmocka_unit_test(keys_take_arming_and_a_reason),
        cmocka_unit_test(its_keys_are_its_own),
        cmocka_unit_test(every_screen_says_that_there_is_no_way_back),
        cmocka_unit_test(phases_of_a_raft_workload),
    };
    return cmocka_run_group_tests_name("screen_window", tests, NULL, NULL);
}
