#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "stage.h"

static void at_every_size(void **state) {
    static const struct {
        int rows, cols;
        const char *name;
    } sizes[] = {{24, 80, "storage-80x24"}, {40, 120, "storage-120x40"}, {50, 200, "storage-200x50"}};
    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct stage *s = stage_open(sizes[i].rows, sizes[i].cols, "cluster.ndjson", NULL);
        stage_keys(s, "2");
        stage_golden(s, sizes[i].name);
        stage_close(s);
    }
}

static void ascii_and_no_color(void **state) {
    (void)state;
    struct stage *s = stage_open(24, 80, "cluster.ndjson", &(struct stage_options){.ascii = true, .color = "never"});
    stage_keys(s, "2");
    stage_golden(s, "storage-ascii");
    for (const char *p = stage_text(s); *p; p++) assert_true((unsigned char)*p < 0x80);
    stage_close(s);
}

static void filter_counts_what_it_hides(void **state) {
    (void)state;
    struct stage *s = stage_open(24, 120, "cluster.ndjson", NULL);
    stage_keys(s, "2 /");
    stage_type(s, "vault");
    stage_shows(s, "/vault (4 hidden by filter)");
    stage_hides(s, "immich/library");
    stage_type(s, " !class:nfs");
    stage_shows(s, "vault/data-vault-0");
    stage_hides(s, "vault/data-vault-1");
    stage_keys(s, "Enter");
    stage_golden(s, "storage-filter");
    stage_keys(s, "h");
    stage_shows(s, "9 shown, 1 match");
    stage_shows(s, "immich/library");
    stage_keys(s, "Esc");
    stage_hides(s, "/vault (");
    stage_close(s);
}

static void nothing_matches(void **state) {
    (void)state;
    struct stage *s = stage_open(24, 80, "cluster.ndjson", NULL);
    stage_keys(s, "2 /");
    stage_type(s, "zebra");
    stage_keys(s, "Enter");
    stage_shows(s, "Nothing matches /zebra: 9 claims hidden by the filter.");
    stage_close(s);
}

static void escape_brings_the_old_filter_back(void **state) {
    (void)state;
    struct stage *s = stage_open(24, 120, "cluster.ndjson", NULL);
    stage_keys(s, "2 /");
    stage_type(s, "immich");
    stage_keys(s, "Enter /");
    stage_type(s, "xyz");
    stage_shows(s, "Nothing matches");
    stage_keys(s, "Esc");
    stage_shows(s, "/immich (7 hidden by filter)");
    stage_close(s);
}

static void old_rows_do_not_look_well(void **state) {
    (void)state;
    struct stage *s = stage_open(24, 120, "cluster.ndjson", NULL);
    stage_keys(s, "2");
    stage_feed(s, "trouble.ndjson");
    stage_shows(s, "CREDENTIALS EXPIRED at kube");
    stage_hides(s, "✓ MOVED");
    stage_hides(s, "scratch");
    stage_golden(s, "storage-trouble");
    stage_close(s);
}

static void why_there_is_nothing(void **state) {
    (void)state;
    struct stage *s = stage_open(24, 120, NULL, NULL);
    stage_keys(s, "2");
    stage_shows(s, "connecting to the engine");
    stage_feed(s, "denied.ndjson");
    stage_shows(s, "403: user ana may not list persistentvolumeclaims");
    stage_golden(s, "storage-denied");
    stage_close(s);
}

static void namespace_only(void **state) {
    (void)state;
    struct stage *s = stage_open(24, 120, "cluster.ndjson", &(struct stage_options){.ns = "immich"});
    stage_keys(s, "2");
    stage_shows(s, "2 claims in immich");
    stage_hides(s, "data-vault-1");
    stage_close(s);
}

static void selection_stays_on_its_row(void **state) {
    (void)state;
    struct stage *s = stage_open(24, 120, "cluster.ndjson", NULL);
    stage_keys(s, "2 j j j Enter");
    stage_shows(s, "CLAIMS  immich/postgresql-data-host");
    stage_keys(s, "Esc");
    stage_feed_line(s, "{\"t\":\"upsert\",\"table\":\"claims\",\"key\":\"uid-new\",\"src\":\"kube/persistentvolumeclaims\",\"seq\":900,\"row\":"
                       "{\"namespace\":\"aaa\",\"name\":\"first\",\"state\":\"HOSTILE\",\"class\":\"nfs-proxmox\"}}");
    stage_feed_line(s, "{\"t\":\"commit\",\"seq\":900}");
    stage_shows(s, "aaa/first");
    stage_keys(s, "Enter");
    stage_shows(s, "CLAIMS  immich/postgresql-data-host");
    stage_keys(s, "Esc");
    stage_feed_line(s, "{\"t\":\"remove\",\"table\":\"claims\",\"key\":\"uid-immich-postgresql-data-host\",\"seq\":901}");
    stage_keys(s, "Enter");
    stage_shows(s, "CLAIMS  media/old-photos"); /* its neighbour */
    stage_close(s);
}

static void any_column_sorts(void **state) {
    (void)state;
    struct stage *s = stage_open(40, 160, "cluster.ndjson", NULL);
    stage_keys(s, "2 o o o");
    stage_shows(s, "sort: gib");
    stage_keys(s, "O");
    const char *screen = stage_text(s);
    const char *library = strstr(screen, "immich/library"), *photos = strstr(screen, "media/old-photos");
    assert_true(library && photos && library < photos); /* 512 before 40 */
    stage_keys(s, ":");
    stage_type(s, "sort cla");
    stage_keys(s, "Enter");
    stage_shows(s, "sort: claim");
    stage_close(s);
}

static void an_old_copy_says_how_long_it_is_kept(void **state) {
    (void)state;
    struct stage *s = stage_open(40, 160, "cluster.ndjson", NULL);
    stage_feed_line(s, "{\"t\":\"upsert\",\"table\":\"plan_workloads\",\"key\":\"immich-postgres\",\"seq\":900,\"row\":{\"name\":\"immich-postgres\","
                       "\"tombstone_uid\":\"uid-vault-data-vault-1\",\"retain_until\":1777732267000}}");
    stage_keys(s, "2 /");
    stage_type(s, "data-vault-1");
    stage_keys(s, "Enter");
    stage_shows(s, "old copy of immich-postgres, kept 6d22h more, until 2026-05-02 14:31:07Z · evidence:");
    stage_close(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(at_every_size),
        cmocka_unit_test(ascii_and_no_color),
        cmocka_unit_test(filter_counts_what_it_hides),
        cmocka_unit_test(nothing_matches),
        cmocka_unit_test(escape_brings_the_old_filter_back),
        cmocka_unit_test(old_rows_do_not_look_well),
        cmocka_unit_test(why_there_is_nothing),
        cmocka_unit_test(namespace_only),
        cmocka_unit_test(selection_stays_on_its_row),
        cmocka_unit_test(any_column_sorts),
        cmocka_unit_test(an_old_copy_says_how_long_it_is_kept),
    };
    return cmocka_run_group_tests_name("screen_storage", tests, NULL, NULL);
}
