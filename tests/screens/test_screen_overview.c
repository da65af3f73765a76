#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "stage.h"

static const struct {
    int rows, cols;
    const char *well, *stuck;
} sizes[] = {
    {24, 80, "overview-80x24", "overview-stuck-80x24"},
    {40, 120, "overview-120x40", "overview-stuck-120x40"},
    {50, 200, "overview-200x50", "overview-stuck-200x50"},
};

static struct stage *open_at(int rows, int cols) {
    struct stage *s = stage_open(rows, cols, "cluster.ndjson", NULL);
    stage_feed(s, "workloads.ndjson");
    return s;
}

static void at_every_size(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct stage *s = open_at(sizes[i].rows, sizes[i].cols);
        stage_keys(s, "1");
        stage_golden(s, sizes[i].well);
        stage_feed(s, "stuck.ndjson");
        stage_golden(s, sizes[i].stuck);
        stage_close(s);
    }
}

/* Workload.ndjson's world with a migration in it: rows of both fixtures. */
static void a_migration_on_the_overview(void **state) {
    static const char *const states[] = {"running", "failed", "retaining"};
    (void)state;
    for (size_t i = 0; i < sizeof states / sizeof *states; i++)
        for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
            char fixture[64], golden[64];
            struct stage *s = open_at(sizes[k].rows, sizes[k].cols);
            snprintf(fixture, sizeof fixture, "phase-%s.ndjson", states[i]);
            snprintf(golden, sizeof golden, "overview-%s-%dx%d", states[i], sizes[k].cols, sizes[k].rows);
            stage_feed(s, "migration.ndjson");
            stage_feed(s, fixture);
            stage_keys(s, "1");
            stage_golden(s, golden);
            stage_close(s);
        }
}

static void a_downtime_that_was_confirmed_is_said(void **state) {
    static const char probe[] = "{\"t\":\"upsert\",\"table\":\"probes\",\"key\":\"http://immich/\",\"src\":\"http/immich\",\"seq\":950,\"row\":"
                                "{\"workload\":\"immich-postgres\",\"name\":\"http://immich/\",\"state\":\"FAIL\",\"error\":\"503, expected 200\"}}";
    (void)state;
    struct stage *s = stage_open(40, 160, "migration.ndjson", NULL);
    stage_feed_line(s, probe);
    stage_shows(s, "503, expected 200: http://immich/ (its applications are stopped until resume)");
    stage_feed(s, "phase-retaining.ndjson");
    stage_shows(s, "503, expected 200: http://immich/");
    stage_hides(s, "(its applications are stopped");
    stage_close(s);
}

/* In the smallest terminal too the verdict stands first and whole, and a firing alert is named. */
static void the_worst_stands_first(void **state) {
    (void)state;
    struct stage *s = open_at(24, 80);
    stage_feed(s, "stuck.ndjson");
    assert_non_null(strstr(stage_line(s, 3), "STUCK"));
    assert_non_null(strstr(stage_line(s, 3), "LEADER STUCK since 16:31:09Z"));
    stage_shows(s, "Not: --force (it mounts NFS).");
    stage_shows(s, "VaultRequestsSlow: since 16:36:37Z");
    stage_hides(s, "Nothing fails");
    stage_close(s);
}

static void only_ascii(void **state) {
    (void)state;
    struct stage *s = stage_open(24, 80, "cluster.ndjson", &(struct stage_options){.ascii = true, .color = "never"});
    stage_feed(s, "workloads.ndjson");
    stage_keys(s, "1");
    for (const char *p = stage_text(s); *p; p++) assert_true((unsigned char)*p < 0x80);
    stage_close(s);
}

/* Without the engine everything is old: nothing passes, nothing is OK. */
static void old_facts_do_not_look_well(void **state) {
    (void)state;
    struct stage *s = open_at(40, 120);
    console_engine(stage_console(s), false, "it ended");
    stage_hides(s, "✓ PASS");
    stage_hides(s, "✓ OK");
    stage_hides(s, "✓ VOTER");
    stage_hides(s, "✓ MOVED");
    stage_shows(s, "~ STALE");
    stage_golden(s, "overview-engine-gone");
    stage_close(s);
}

static void nothing_fails_only_by_somebodys_word(void **state) {
    (void)state;
    struct stage *s = stage_open(24, 100, NULL, NULL);
    stage_shows(s, "connecting to the engine");
    stage_hides(s, "Nothing fails");
    stage_feed(s, "planless.ndjson");
    stage_shows(s, "Nothing fails now, by the word of 2 sources; the oldest is 4s old.");
    stage_feed_line(s, "{\"t\":\"upsert\",\"table\":\"sources\",\"key\":\"kube/nodes\",\"src\":\"\",\"seq\":900,"
                       "\"row\":"
                       "{\"server\":\"kube\",\"kind\":\"nodes\",\"state\":\"STARTING\"}}");
    stage_feed_line(s, "{\"t\":\"commit\",\"seq\":900}");
    stage_shows(s, "Waiting for the first answer of 1 of 3 sources: kube/nodes.");
    stage_close(s);
}

static void without_a_plan(void **state) {
    (void)state;
    struct stage *s = stage_open(40, 120, "planless.ndjson", NULL);
    stage_shows(s, "source: { storageClasses: [nfs-proxmox] }");
    stage_golden(s, "overview-planless");
    stage_close(s);
}

static void lines_lead_to_their_rows(void **state) {
    (void)state;
    struct stage *s = open_at(40, 120);
    stage_text(s);
    stage_keys(s, "Enter");
    stage_shows(s, "nothing is selected");
    stage_keys(s, "j Enter");
    stage_shows(s, "SOURCES  lvm/node-1");
    stage_keys(s, "Esc j j Enter"); /* the plan's title, then its first workload */
    stage_shows(s, "immich-postgres");
    stage_shows(s, "Deployment/immich-postgresql");
    stage_keys(s, "Esc G Enter"); /* the last event there is room for */
    stage_shows(s, "TIMELINE");
    stage_close(s);
}

static void the_log_of_a_line(void **state) {
    (void)state;
    struct stage *s = open_at(24, 80);
    stage_text(s);
    for (int i = 0; i < 11; i++) stage_keys(s, "j"); /* stale source, eight gates, the cluster, its leader */
    stage_keys(s, "l");
    stage_shows(s, "Waiting for the log of vault/vault-2");
    assert_string_equal(stage_sent(s), "{\"t\":\"intent\",\"verb\":\"log\",\"ns\":\"vault\",\"pod\":\"vault-2\"}\n");
    stage_close(s);
}

/* The selection is of a row, not of a place. */
static void selection_stays_on_its_row(void **state) {
    (void)state;
    struct stage *s = open_at(40, 120);
    stage_text(s);
    stage_keys(s, "j");
    stage_feed(s, "stuck.ndjson");
    stage_text(s);
    stage_keys(s, "Enter");
    stage_shows(s, "SOURCES  lvm/node-1");
    stage_close(s);
}

static void a_lost_claim_is_named(void **state) {
    (void)state;
    struct stage *s = open_at(24, 100);
    stage_feed_line(s, "{\"t\":\"upsert\",\"table\":\"claims\",\"key\":\"lost\",\"src\":\"\","
                       "\"seq\":900,\"row\":{\"namespace\":\"media\",\"name\":\"films\",\"state\":\"LOST\","
                       "\"volume\":\"pv-9\"}}");
    stage_feed_line(s, "{\"t\":\"commit\",\"seq\":900}");
    stage_shows(s, "✗ LOST");
    stage_shows(s, "films: claim of namespace media: its volume pv-9 is gone");
    stage_close(s);
}

static void cluster_without_rows(void **state) {
    (void)state;
    struct stage *s = stage_open(24, 80, "denied.ndjson", NULL);
    stage_shows(s, "DENIED");
    stage_keys(s, "1 j j j G g k PgDn PgUp");
    stage_shows(s, "Nothing has changed since the engine began to look.");
    stage_close(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(at_every_size),
        cmocka_unit_test(a_migration_on_the_overview),
        cmocka_unit_test(a_downtime_that_was_confirmed_is_said),
        cmocka_unit_test(the_worst_stands_first),
        cmocka_unit_test(only_ascii),
        cmocka_unit_test(old_facts_do_not_look_well),
        cmocka_unit_test(nothing_fails_only_by_somebodys_word),
        cmocka_unit_test(without_a_plan),
        cmocka_unit_test(lines_lead_to_their_rows),
        cmocka_unit_test(the_log_of_a_line),
        cmocka_unit_test(selection_stays_on_its_row),
        cmocka_unit_test(a_lost_claim_is_named),
        cmocka_unit_test(cluster_without_rows),
    };
    return cmocka_run_group_tests_name("screen_overview", tests, NULL, NULL);
}
