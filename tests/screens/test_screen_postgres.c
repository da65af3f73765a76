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
} sizes[] = {{24, 80, "postgres-80x24"}, {40, 120, "postgres-120x40"}, {50, 200, "postgres-200x50"}};

static struct stage *open_at(int rows, int cols) {
    struct stage *s = stage_open(rows, cols, "cluster.ndjson", NULL);
    stage_feed(s, "workloads.ndjson");
    stage_keys(s, "4");
    return s;
}

static void at_every_size(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct stage *s = open_at(sizes[i].rows, sizes[i].cols);
        stage_golden(s, sizes[i].name);
        stage_close(s);
    }
}

static void every_list_has_its_turn(void **state) {
    static const char *const names[] = {"postgres-databases", "postgres-progress", "postgres-invalid",
        "postgres-activity", "postgres-settings"};
    (void)state;
    struct stage *s = open_at(24, 80);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        stage_keys(s, "Tab");
        stage_golden(s, names[i]);
    }
    stage_keys(s, "Tab");
    stage_shows(s, "[EXTENSIONS 10]");
    stage_keys(s, "S-Tab");
    stage_shows(s, "[SETTINGS 5]");
    stage_close(s);
}

static void feed_progress(struct stage *s, const char *done, int seq) {
    struct buf line = {0};
    buf_printf(&line,
               "{\"t\":\"upsert\",\"table\":\"progress\",\"key\":\"immich-postgres/211\","
               "\"src\":\"postgres/immich-postgres\",\"seq\":%d,"
               "\"row\":{\"workload\":\"immich-postgres\",\"pid\":211,\"command\":\"CREATE INDEX\","
               "\"relation\":\"public.smart_search\","
               "\"done\":%s,\"total\":111843,\"unit\":\"tuples\"}}",
               seq, done);
    stage_feed_line(s, buf_str(&line));
    buf_free(&line);
    stage_feed_line(s, "{\"t\":\"commit\",\"seq\":9000}");
}

/* What runs is not done, whatever its numbers say; and without a total no share is made up. */
static void progress_is_never_full(void **state) {
    (void)state;
    struct stage *s = open_at(24, 100);
    stage_keys(s, "Tab Tab");
    stage_shows(s, "60 %");
    stage_shows(s, "total unknown");
    feed_progress(s, "111843", 5000);
    stage_shows(s, "99 %");
    feed_progress(s, "200000", 5001);
    stage_shows(s, "99 %");
    stage_hides(s, "100 %");
    stage_hides(s, "████████████████████");
    feed_progress(s, "-5", 5002);
    stage_shows(s, "····················");
    stage_close(s);
}

static void old_rows_do_not_look_well(void **state) {
    (void)state;
    struct stage *s = open_at(24, 80);
    stage_feed(s, "stuck.ndjson");
    stage_shows(s, "✗ DOWN 4m00s");
    stage_hides(s, "✓ OK");
    stage_shows(s, "refused the connection");
    stage_golden(s, "postgres-down");
    stage_close(s);
}

static void what_is_in_a_plan(void **state) {
    (void)state;
    struct stage *s = stage_open(24, 80, "planless.ndjson", NULL);
    stage_keys(s, "4");
    stage_shows(s, "kind: postgres-dump-restore");
    stage_golden(s, "postgres-planless");
    stage_close(s);
}

static void filters_and_details(void **state) {
    (void)state;
    struct stage *s = open_at(40, 120);
    stage_keys(s, "/");
    stage_type(s, "state:drift");
    stage_keys(s, "Enter");
    stage_shows(s, "(9 hidden by filter)");
    stage_hides(s, "earthdistance");
    stage_keys(s, "Enter");
    stage_shows(s, "EXTENSIONS");
    stage_shows(s, "0.8.1");
    stage_close(s);
}

static void the_log_of_the_server(void **state) {
    (void)state;
    struct stage *s = open_at(24, 80);
    stage_keys(s, "l");
    assert_string_equal(stage_sent(s),
                        "{\"t\":\"intent\",\"verb\":\"log\",\"ns\":\"immich\","
                        "\"pod\":\"immich-postgresql-6d5f7c9b8-x2k4q\"}\n");
    stage_shows(s, "Waiting for the log of immich/immich-postgresql-6d5f7c9b8-x2k4q");
    stage_feed(s, "log.ndjson");
    stage_hides(s, "Waiting for the log");
    stage_golden(s, "log-80x24");
    stage_keys(s, "k"); /* a line that does not fit stands whole below */
    stage_shows(s, "statement timeout");
    stage_keys(s, "/");
    stage_type(s, "checkpoint");
    stage_shows(s, "(4 hidden by filter)");
    stage_keys(s, "Enter Esc l"); /* asks again */
    stage_shows(s, "checkpoint complete");
    const char *first = strstr(stage_sent(s), "\"log\"");
    assert_non_null(first);
    assert_non_null(strstr(first + 1, "\"log\""));
    stage_close(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(at_every_size),
        cmocka_unit_test(every_list_has_its_turn),
        cmocka_unit_test(progress_is_never_full),
        cmocka_unit_test(old_rows_do_not_look_well),
        cmocka_unit_test(what_is_in_a_plan),
        cmocka_unit_test(filters_and_details),
        cmocka_unit_test(the_log_of_the_server),
    };
    return cmocka_run_group_tests_name("screen_postgres", tests, NULL, NULL);
}
