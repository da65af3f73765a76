#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "stage.h"

#define ROW(key, state) \
    "{\"t\":\"upsert\",\"table\":\"claims\",\"key\":\"" key "\",\"src\":\"kube/persistentvolumeclaims\",\"seq\":900,\"row\":" \
    "{\"namespace\":\"new\",\"name\":\"" key "\",\"state\":\"" state "\",\"class\":\"nfs-proxmox\"}}"

static void screens_of_the_console(void **state) {
    static const struct {
        const char *keys, *golden;
    } screens[] = {
        {"2 Enter", "detail-claim"}, {"2 Enter G", "detail-claim-end"}, {"s", "sources"}, {"e", "errors"},
        {"w", "whoami"}, {"?", "help"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof screens / sizeof *screens; i++) {
        struct stage *s = stage_open(34, 120, "cluster.ndjson", NULL);
        stage_keys(s, screens[i].keys);
        stage_golden(s, screens[i].golden);
        stage_keys(s, "Esc 2");
        stage_shows(s, "STORAGE  9 claims");
        stage_close(s);
    }
}

static void details_lead_on(void **state) {
    (void)state;
    struct stage *s = stage_open(50, 120, "cluster.ndjson", NULL);
    stage_keys(s, "2 /");
    stage_type(s, "data-vault-1");
    stage_keys(s, "Enter Enter");
    stage_shows(s, "CLAIMS  vault/data-vault-1");
    stage_shows(s, "VolumeResizeFailed: the share is read-only (3 times)");
    stage_shows(s, "vault/vault-1");
    stage_keys(s, "G k k k Enter"); /* the pod stands above the events */
    stage_shows(s, "PODS  vault/vault-1");
    stage_keys(s, "Esc");
    stage_shows(s, "CLAIMS  vault/data-vault-1");
    stage_feed_line(s, "{\"t\":\"remove\",\"table\":\"claims\",\"key\":\"uid-vault-data-vault-1\",\"seq\":901}");
    stage_shows(s, "This row has gone from the cluster");
    stage_close(s);
}

static void too_small_says_both_sizes(void **state) {
    (void)state;
    struct stage *s = stage_open(24, 80, "cluster.ndjson", NULL);
    stage_resize(s, 20, 70);
    stage_shows(s, "This terminal has 70 columns and 20 rows.");
    stage_shows(s, "ferryman needs 80 and 24.");
    stage_hides(s, "vault");
    stage_resize(s, 1, 10);
    stage_text(s);
    stage_resize(s, 24, 80);
    stage_shows(s, "READ-ONLY");
    stage_close(s);
}

static void palette_finds_and_completes(void **state) {
    (void)state;
    struct stage *s = stage_open(30, 100, "cluster.ndjson", NULL);
    stage_keys(s, "2 :");
    stage_type(s, "so");
    stage_golden(s, "palette");
    stage_keys(s, "Tab Enter");
    stage_shows(s, "SOURCES");
    stage_keys(s, "Esc :");
    stage_type(s, "who");
    stage_keys(s, "Enter");
    stage_shows(s, "WHO WE ARE");
    stage_keys(s, "Esc :");
    stage_type(s, "storge");
    stage_keys(s, "Enter");
    stage_shows(s, "no command is called 'storge'; did you mean storage");
    stage_keys(s, ":");
    stage_type(s, "theme da");
    stage_shows(s, "theme dark");
    stage_keys(s, "Tab Enter");
    stage_hides(s, "no theme called");
    stage_keys(s, ":");
    stage_type(s, "theme purple");
    stage_keys(s, "Enter");
    stage_shows(s, "no theme called 'purple'");
    stage_keys(s, ": Up");
    stage_shows(s, ":theme purple");
    stage_keys(s, "^W ^U Esc");
    stage_hides(s, "Tab completes");
    stage_close(s);
}

static void editing_a_line(void **state) {
    (void)state;
    struct stage *s = stage_open(24, 100, "cluster.ndjson", NULL);
    stage_keys(s, "2 /");
    stage_type(s, "vault nfs");
    stage_keys(s, "^W");
    stage_shows(s, "/vault  ");
    stage_keys(s, "Backspace Backspace Backspace");
    stage_shows(s, "/vau (4 hidden");
    stage_keys(s, "^U");
    stage_hides(s, "hidden");
    stage_keys(s, "Backspace"); /* nothing is left: leaves */
    stage_hides(s, "Enter keeps");
    stage_close(s);
}

static void frozen_views_stand_still(void **state) {
    (void)state;
    struct stage *s = stage_open(30, 120, "cluster.ndjson", NULL);
    stage_keys(s, "2 Space");
    stage_shows(s, "FROZEN at 16:31:07Z, 0s ago. No changes since. Space catches up.");
    stage_feed_line(s, ROW("fresh", "HOSTILE"));
    stage_feed_line(s, "{\"t\":\"commit\",\"seq\":900}");
    stage_feed_line(s, "{\"t\":\"tick\",\"now\":1777134727000}");
    stage_shows(s, "ago. There are changes since.");
    stage_hides(s, "new/fresh");
    stage_keys(s, "j j Enter"); /* one can still look around in it */
    stage_shows(s, "CLAIMS  vault/data-vault-2");
    stage_keys(s, "Esc Space");
    stage_hides(s, "FROZEN");
    stage_shows(s, "new/fresh");
    stage_keys(s, "Space Esc");
    stage_hides(s, "FROZEN");
    stage_close(s);
}

/* Half of a snapshot looks like a world in which nothing is wrong. */
static void a_part_of_a_snapshot_is_not_shown(void **state) {
    (void)state;
    struct stage *s = stage_open(30, 120, NULL, NULL);
    stage_feed_line(s, "{\"t\":\"hello\",\"schema\":1,\"version\":\"0.1.0\",\"plan\":\"p\",\"context\":\"c\",\"now\":1000}");
    stage_feed_line(s, "{\"t\":\"begin\"}");
    stage_feed_line(s, "{\"t\":\"upsert\",\"table\":\"sources\",\"key\":\"lvm/lvs\",\"seq\":1,\"at\":1000,\"row\":"
                       "{\"server\":\"lvm\",\"kind\":\"lvs\",\"state\":\"POLLED\",\"last_ok\":1000}}");
    stage_shows(s, "Waiting for the engine to say what it listens to.");
    stage_hides(s, "Nothing fails");
    stage_feed_line(s, "{\"t\":\"upsert\",\"table\":\"sources\",\"key\":\"kube/pods\",\"seq\":2,\"at\":1000,\"row\":"
                       "{\"server\":\"kube\",\"kind\":\"pods\",\"state\":\"DOWN\",\"error\":\"refused\"}}");
    stage_feed_line(s, "{\"t\":\"end\",\"seq\":2}");
    stage_feed_line(s, "{\"t\":\"commit\",\"seq\":2}");
    stage_hides(s, "to say what it listens to");
    stage_shows(s, "DOWN");
    stage_hides(s, "Nothing fails");
    console_engine(stage_console(s), true, NULL); /* again, and the line goes before the snapshot is whole */
    console_engine(stage_console(s), false, "it was killed");
    stage_shows(s, "ENGINE GONE");
    stage_close(s);
}

static void the_engine_goes_and_comes(void **state) {
    (void)state;
    struct stage *s = stage_open(30, 120, "cluster.ndjson", NULL);
    stage_keys(s, "2");
    console_engine(stage_console(s), false, "it was killed");
    stage_shows(s, "ENGINE GONE since 16:31:07Z: it was killed. Everything below is from then; trying again.");
    stage_hides(s, "✓ live");
    stage_hides(s, "✓ MOVED");
    stage_golden(s, "engine-gone");
    console_engine(stage_console(s), true, NULL);
    stage_feed_line(s, "{\"t\":\"commit\",\"seq\":901}");
    stage_shows(s, "connected to the engine again");
    stage_shows(s, "✓ MOVED");
    stage_close(s);
}

static void banners_for_what_must_not_be_overlooked(void **state) {
    (void)state;
    struct stage *s = stage_open(30, 120, "cluster.ndjson", NULL);
    stage_feed_line(s, "{\"t\":\"upsert\",\"table\":\"plan\",\"key\":\"plan\",\"seq\":900,\"row\":{\"name\":\"nfs-hostile\",\"state\":\"MISMATCH\","
                       "\"cluster\":\"1111-2222\"}}");
    stage_shows(s, "ANOTHER CLUSTER: the plan is for 1111-2222, this one is 6c1b9e3e-7d0f-4a47-9a3f-2f5a1d0f9f10.");
    stage_feed_line(s, "{\"t\":\"upsert\",\"table\":\"credentials\",\"key\":\"vault\",\"seq\":901,\"row\":{\"method\":\"token\",\"state\":\"OK\","
                       "\"expires\":1777135267000}}");
    stage_shows(s, "The credentials at vault end in 10m00s (token).");
    console_lagged(stage_console(s), 4200);
    stage_shows(s, "this console was 4s behind");
    stage_close(s);
}

static void unknown_keys_say_so(void **state) {
    (void)state;
    struct stage *s = stage_open(24, 80, "cluster.ndjson", NULL);
    stage_keys(s, "Z");
    stage_shows(s, "Z does nothing here; ? shows the keys");
    stage_keys(s, "j");
    stage_hides(s, "does nothing here");
    stage_close(s);
}

static void quitting(void **state) {
    (void)state;
    struct stage *s = stage_open(24, 80, "cluster.ndjson", NULL);
    stage_keys(s, "2 Enter q");
    assert_false(stage_quit(s));
    stage_keys(s, "q");
    assert_true(stage_quit(s));
    stage_close(s);
    s = stage_open(24, 80, "cluster.ndjson", NULL);
    stage_keys(s, "2 Enter ^C");
    assert_true(stage_quit(s));
    stage_close(s);
}

static void copying_says_what(void **state) {
    (void)state;
    struct stage *s = stage_open(24, 80, "cluster.ndjson", NULL);
    stage_keys(s, "2 y");
    stage_shows(s, "copied vault/audit-vault-1");
    stage_keys(s, "Y");
    stage_shows(s, "copied the row as JSON");
    stage_close(s);
}

static char *only_file(const char *dir) {
    DIR *d = opendir(dir);
    char *found = NULL;
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d));)
        if (*e->d_name != '.') {
            assert_null(found);
            found = str_printf("%s/%s", dir, e->d_name);
        }
    closedir(d);
    return found;
}

static void saving_a_screen(void **state) {
    char dir[] = "/tmp/ferryman-screens-XXXXXX";
    struct stat st;
    struct buf text = {0};
    (void)state;
    assert_non_null(mkdtemp(dir));
    struct stage *s = stage_open(24, 80, "cluster.ndjson", &(struct stage_options){.state_dir = dir});
    stage_keys(s, "2");
    stage_text(s);
    stage_keys(s, "S");
    stage_shows(s, "saved to /tmp/ferryman-screens-");
    char *screens = str_printf("%s/screens", dir), *path = only_file(screens);
    assert_non_null(path);
    assert_true(str_ends(path, "/storage-20260425T163107Z.txt"));
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_null(file_read(path, 100000, &text));
    assert_non_null(strstr(buf_str(&text), "vault/data-vault-1"));
    assert_null(strchr(buf_str(&text), '\033'));
    buf_free(&text);
    unlink(path);
    rmdir(screens);
    rmdir(dir);
    mem_free(path);
    mem_free(screens);
    stage_close(s);
}

static void the_users_keys(void **state) {
    char dir[] = "/tmp/ferryman-config-XXXXXX";
    (void)state;
    assert_non_null(mkdtemp(dir));
    char *folder = str_printf("%s/ferryman", dir), *path = str_printf("%s/keys.yaml", folder);
    assert_null(file_mkdirs(folder, 0700));
    assert_null(file_write_durable(path, "sources: x\n", 11, 0600));
    struct stage *s = stage_open(24, 80, "cluster.ndjson", &(struct stage_options){.config_dir = dir});
    stage_keys(s, "x");
    stage_shows(s, "SOURCES");
    stage_keys(s, "?");
    stage_shows(s, "x  :sources");
    stage_close(s);
    unlink(path);
    rmdir(folder);
    rmdir(dir);
    mem_free(path);
    mem_free(folder);
}

/* Everything at once, at several sizes, must leave the console alive and the screen within its bounds. */
static void any_keys_at_any_size(void **state) {
    static const char *const keys[] = {"2", "1", "3", "4", "5", "7", "A", "N", "r", "x", "b", "s", "e", "w", "?", "j", "k", "G", "g", "PgDn",
                                       "PgUp", "Enter", "Esc", "Tab", "S-Tab", "/",
                                       "v", "a", "Backspace", ":", "o", "O", "h", "n", "p", "Space", "y", "^L",
                                           "Enter", "Down", "Up", "Y", "l"};
    unsigned seed = 3;
    (void)state;
    struct stage *s = stage_open(24, 80, "cluster.ndjson", NULL);
    for (int i = 0; i < 1500; i++) {
        stage_keys(s, keys[(unsigned)rand_r(&seed) % (sizeof keys / sizeof *keys)]);
        if (i % 40 == 0) stage_resize(s, 3 + (int)((unsigned)rand_r(&seed) % 60),
                                      5 + (int)((unsigned)rand_r(&seed) % 220));
        if (i % 100 == 50) stage_feed_line(s, i % 200 == 50 ? ROW("zzz", "HOSTILE")
                                           : "{\"t\":\"remove\",\"table\":\"claims\",\"key\":\"zzz\",\"seq\":9}");
        if (i == 700) stage_feed(s, "trouble.ndjson");
        if (i == 400) stage_feed(s, "migration.ndjson");
        if (i == 900) stage_feed(s, "phase-running.ndjson");
        if (i == 1100) stage_feed(s, "dialog-hard.ndjson");
        if (i % 5 == 0) assert_non_null(stage_text(s));
    }
    stage_close(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(screens_of_the_console),
        cmocka_unit_test(details_lead_on),
        cmocka_unit_test(too_small_says_both_sizes),
        cmocka_unit_test(palette_finds_and_completes),
        cmocka_unit_test(editing_a_line),
        cmocka_unit_test(frozen_views_stand_still),
        cmocka_unit_test(a_part_of_a_snapshot_is_not_shown),
        cmocka_unit_test(the_engine_goes_and_comes),
        cmocka_unit_test(banners_for_what_must_not_be_overlooked),
        cmocka_unit_test(unknown_keys_say_so),
        cmocka_unit_test(quitting),
        cmocka_unit_test(copying_says_what),
        cmocka_unit_test(saving_a_screen),
        cmocka_unit_test(the_users_keys),
        cmocka_unit_test(any_keys_at_any_size),
    };
    return cmocka_run_group_tests_name("console", tests, NULL, NULL);
}
