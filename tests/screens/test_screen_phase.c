#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "stage.h"

static const struct {
    int rows, cols;
} sizes[] = {{24, 80}, {40, 120}, {50, 200}};

static struct stage *open_phase(int rows, int cols, const char *fixture) {
    struct stage *s = stage_open(rows, cols, "migration.ndjson", NULL);
    if (fixture) stage_feed(s, fixture);
    stage_keys(s, "5");
    return s;
}

static void every_state_at_every_size(void **state) {
    static const char *const names[] = {"running", "waiting", "paused", "failed", "interrupted", "nowayback", "retaining", "heldelsewhere"};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        for (size_t k = 0; k < ARRAY_LEN(sizes); k++) {
            char fixture[64], golden[64];
            snprintf(fixture, sizeof fixture, "phase-%s.ndjson", names[i]);
            snprintf(golden, sizeof golden, "phase-%s-%dx%d", names[i], sizes[k].cols, sizes[k].rows);
            struct stage *s = open_phase(sizes[k].rows, sizes[k].cols, fixture);
            stage_golden(s, golden);
            stage_close(s);
        }
    for (size_t k = 0; k < ARRAY_LEN(sizes); k++) {
        char golden[64];
        snprintf(golden, sizeof golden, "phase-next-%dx%d", sizes[k].cols, sizes[k].rows);
        struct stage *s = open_phase(sizes[k].rows, sizes[k].cols, NULL);
        stage_golden(s, golden);
        stage_close(s);
    }
}

#define STEP(state, done) \
    "{\"t\":\"upsert\",\"table\":\"steps\",\"key\":\"immich-postgres/restore/restore\",\"seq\":901,\"row\":{\"workload\":" \
    "\"immich-postgres\",\"phase\":\"restore\",\"name\":\"restore\",\"title\":\"restore\",\"state\":\"" state "\",\"done\":" done \
    ",\"total\":1000,\"unit\":\"rows\",\"since\":1777134600000,\"ended\":1777134660000,\"rank\":802}}"

static void progress_is_whole_only_when_done(void **state) {
    (void)state;
    struct stage *s = open_phase(40, 120, "phase-running.ndjson");
    stage_shows(s, "51 %");
    stage_shows(s, "~3m58s left");
    stage_feed_line(s, STEP("RUNNING", "1000"));
    stage_shows(s, "99 %");
    stage_hides(s, "100 %");
    stage_hides(s, "left"); /* no ground for it any more */
    stage_feed_line(s, STEP("RUNNING", "2000"));
    stage_shows(s, "99 %");
    stage_feed_line(s, STEP("DONE", "1000"));
    stage_hides(s, "99 %");
    stage_shows(s, "1m00s");
    stage_close(s);
}

static void waits_say_what_for_and_how_long(void **state) {
    (void)state;
    struct stage *s = open_phase(24, 80, "phase-waiting.ndjson");
    stage_shows(s, "waits: immich-server-7c9f4 still connects");
    stage_shows(s, "gives up in 2m26s");
    stage_feed_line(s, "{\"t\":\"tick\",\"now\":1777134727000}");
    stage_shows(s, "gives up in 1m26s");
    stage_feed_line(s, "{\"t\":\"tick\",\"now\":1777134827000}");
    stage_shows(s, "gives up now");
    stage_close(s);
}

static void no_way_back_is_said_on_every_screen(void **state) {
    static const char *const keys[] = {"1", "2", "5", "7"};
    (void)state;
    struct stage *s = open_phase(24, 80, "phase-nowayback.ndjson");
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        stage_keys(s, keys[i]);
        assert_non_null(strstr(stage_line(s, 3), " NO WAY BACK BUT FORWARD until immich-postgresql is Ready · swap of"));
    }
    stage_close(s);
}

static void looking_at_other_phases_and_workloads(void **state) {
    (void)state;
    struct stage *s = open_phase(24, 80, NULL);
    stage_shows(s, "immich-postgres · dump");
    stage_keys(s, "k k");
    stage_shows(s, "immich-postgres · quiesce");
    stage_shows(s, "2 deployments scaled to 0, 1 cron job suspended");
    stage_keys(s, "Enter");
    stage_shows(s, "PHASES  quiesce");
    stage_keys(s, "G");
    stage_shows(s, "every client is mapped to its owner");
    stage_keys(s, "Esc");
    stage_shows(s, "immich-postgres · quiesce");
    stage_keys(s, "Esc");
    stage_shows(s, "immich-postgres · dump");
    stage_keys(s, "g");
    stage_shows(s, "immich-postgres · preflight");
    stage_keys(s, "Tab");
    stage_shows(s, "No phases are known of vault (raft-rolling).");
    stage_keys(s, "Tab G");
    stage_shows(s, "immich-postgres · cleanup");
    stage_shows(s, "purge: its dialog asks for home");
    stage_keys(s, "h l");
    stage_shows(s, "immich-postgres · dump");
    stage_close(s);
}

static void a_phase_that_is_over_has_its_checklist(void **state) {
    (void)state;
    struct stage *s = open_phase(40, 120, NULL);
    stage_shows(s, "EVENTS"); /* of the one that is next: what happened last */
    stage_shows(s, "15:04:27Z quiesce and fence: done");
    stage_keys(s, "k k");
    stage_golden(s, "phase-over-120x40");
    const char *screen = stage_text(s), *clients = strstr(screen, "every client belongs"), *scale = strstr(screen, "scale deployment"), *fence = strstr(screen, "ALTER SYSTEM");
    assert_true(clients && clients < scale && scale < fence); /* in the order of the steps */
    stage_close(s);
}

static void an_old_copy_that_was_removed_is_not_kept(void **state) {
    (void)state;
    struct stage *s = open_phase(40, 120, "phase-retaining.ndjson");
    stage_shows(s, "immich/postgresql-data-host is kept 6d22h more");
    stage_feed_line(s, "{\"t\":\"upsert\",\"table\":\"plan_workloads\",\"key\":\"immich-postgres\",\"seq\":950,\"row\":{\"name\":\"immich-postgres\","
                       "\"state\":\"DONE\",\"tombstone\":\"immich/postgresql-data-host\",\"retain_until\":1777134000000}}");
    stage_shows(s, "immich/postgresql-data-host was removed at the end of its time");
    stage_hides(s, "roll back");
    stage_close(s);
}

static void after_a_rollback_it_stands_first(void **state) {
    (void)state;
    struct stage *s = open_phase(24, 80, NULL);
    stage_hides(s, "rollback");
    stage_feed_line(s, "{\"t\":\"upsert\",\"table\":\"plan_workloads\",\"key\":\"immich-postgres\",\"seq\":950,\"row\":{\"name\":\"immich-postgres\","
                       "\"state\":\"ROLLED BACK\",\"phase\":\"preflight\"}}");
    stage_feed_line(s, "{\"t\":\"upsert\",\"table\":\"phases\",\"key\":\"immich-postgres/rollback\",\"seq\":951,\"row\":{\"workload\":\"immich-postgres\","
                       "\"name\":\"rollback\",\"title\":\"rollback\",\"state\":\"DONE\",\"started\":1777134600000,\"ended\":1777134606000,\"rank\":13}}");
    stage_shows(s, "immich-postgres · rollback   ! ROLLED BACK");
    stage_shows(s, "took 6s, ended 1m01s ago");
    stage_shows(s, "the old copy serves again; another try begins with preflight");
    stage_shows(s, "r start preflight");
    stage_close(s);
}

static void without_the_engine_nothing_is_at_work(void **state) {
    (void)state;
    struct stage *s = open_phase(24, 80, "phase-running.ndjson");
    console_engine(stage_console(s), false, "it was killed");
    stage_shows(s, "~ was RUNNING  restore");
    stage_hides(s, "> ");
    stage_keys(s, "1");
    stage_shows(s, "~ immich-postgres · restore  was RUNNING");
    stage_hides(s, "> ");
    stage_close(s);
}

static void without_a_plan(void **state) {
    (void)state;
    struct stage *s = stage_open(40, 120, "planless.ndjson", NULL);
    stage_keys(s, "5");
    stage_shows(s, "Nothing can be moved without a plan.");
    stage_keys(s, "r");
    stage_shows(s, "start: there is no plan to act on: start with ferryman --plan FILE");
    stage_close(s);
}

static void nothing_has_come_yet(void **state) {
    (void)state;
    struct stage *s = stage_open(24, 80, NULL, NULL);
    stage_keys(s, "5 j k g G Tab Enter");
    stage_shows(s, "PHASE");
    stage_shows(s, "Waiting for the engine.");
    stage_close(s);
}

static void ascii_has_every_mark(void **state) {
    (void)state;
    struct stage *s = stage_open(40, 120, "migration.ndjson", &(struct stage_options){.ascii = true, .color = "never"});
    stage_feed(s, "phase-running.ndjson");
    stage_keys(s, "5");
    for (const char *p = stage_text(s); *p; p++) assert_true((unsigned char)*p < 0x80);
    stage_shows(s, "> RUNNING");
    stage_shows(s, "51 %");
    stage_close(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_state_at_every_size),
        cmocka_unit_test(progress_is_whole_only_when_done),
        cmocka_unit_test(waits_say_what_for_and_how_long),
        cmocka_unit_test(no_way_back_is_said_on_every_screen),
        cmocka_unit_test(looking_at_other_phases_and_workloads),
        cmocka_unit_test(a_phase_that_is_over_has_its_checklist),
        cmocka_unit_test(an_old_copy_that_was_removed_is_not_kept),
        cmocka_unit_test(after_a_rollback_it_stands_first),
        cmocka_unit_test(without_the_engine_nothing_is_at_work),
        cmocka_unit_test(without_a_plan),
        cmocka_unit_test(nothing_has_come_yet),
        cmocka_unit_test(ascii_has_every_mark),
    };
    return cmocka_run_group_tests_name("screen_phase", tests, NULL, NULL);
}
