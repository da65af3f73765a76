#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "stage.h"

static const struct {
    int rows, cols;
    const char *name;
} sizes[] = {{24, 80, "timeline-80x24"}, {40, 120, "timeline-120x40"}, {50, 200, "timeline-200x50"}};

static void at_every_size(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct stage *s = stage_open(sizes[i].rows, sizes[i].cols, "cluster.ndjson", NULL);
        stage_keys(s, "7");
        stage_golden(s, sizes[i].name);
        stage_close(s);
    }
}

static void newest_first(void **state) {
    (void)state;
    struct stage *s = stage_open(24, 80, "cluster.ndjson", NULL);
    stage_keys(s, "7");
    const char *screen = stage_text(s);
    const char *young = strstr(screen, "unsealed"), *old = strstr(screen, "connection refused");
    assert_true(young && old && young < old);
    stage_feed(s, "workloads.ndjson");
    stage_feed(s, "stuck.ndjson");
    assert_non_null(strstr(stage_line(s, 5), "leader stuck"));
    assert_non_null(strstr(stage_line(s, 5), "16:31:57"));
    stage_close(s);
}

static void filter_by_level_and_word(void **state) {
    (void)state;
    struct stage *s = stage_open(24, 120, "cluster.ndjson", NULL);
    stage_keys(s, "7 /");
    stage_type(s, "level:bad");
    stage_shows(s, "(3 hidden by filter)");
    stage_shows(s, "connection refused");
    stage_hides(s, "unsealed");
    stage_keys(s, "Esc /");
    stage_type(s, "vault");
    stage_shows(s, "(2 hidden by filter)");
    stage_keys(s, "Enter Enter");
    stage_shows(s, "TIMELINE");
    stage_close(s);
}

static void nothing_yet(void **state) {
    (void)state;
    struct stage *s = stage_open(24, 80, "planless.ndjson", NULL);
    stage_keys(s, "7");
    stage_shows(s, "Nothing has changed since the engine began to look.");
    stage_close(s);
}

static void log_without_a_pod(void **state) {
    (void)state;
    struct stage *s = stage_open(24, 80, "planless.ndjson", NULL);
    stage_keys(s, "1 l");
    stage_shows(s, "No pod is selected.");
    assert_string_equal(stage_sent(s), "");
    stage_keys(s, "l");
    assert_string_equal(stage_sent(s), "");
    stage_close(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(at_every_size),
        cmocka_unit_test(newest_first),
        cmocka_unit_test(filter_by_level_and_word),
        cmocka_unit_test(nothing_yet),
        cmocka_unit_test(log_without_a_pod),
    };
    return cmocka_run_group_tests_name("screen_timeline", tests, NULL, NULL);
}
