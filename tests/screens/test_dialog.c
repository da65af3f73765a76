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

#define NAME "immich-postgresql"
#define CANCEL7 "{\"verb\":\"cancel\",\"dialog\":\"7\"}\n"
#define CANCEL6 "{\"verb\":\"cancel\",\"dialog\":\"6\"}\n"
#define CONFIRM7 "{\"verb\":\"confirm\",\"dialog\":\"7\",\"typed\":\"" NAME "\"}\n"
#define CONFIRM6 "{\"verb\":\"confirm\",\"dialog\":\"6\",\"typed\":\"y\"}\n"
#define REMOVE7 "{\"t\":\"remove\",\"table\":\"dialogs\",\"key\":\"7\",\"seq\":950}"
#define COMMIT "{\"t\":\"commit\",\"seq\":950}"

static struct stage *open_dialog(int rows, int cols, const char *fixture) {
    struct stage *s = stage_open(rows, cols, "migration.ndjson", NULL);
    stage_keys(s, "5");
    stage_feed(s, fixture);
    stage_seen(s);
    stage_forget_sent(s);
    return s;
}

static void every_kind_at_every_size(void **state) {
    static const char *const names[] = {"hard", "reversible", "purge", "preparing", "refused", "stale", "rollback", "pod"};
    static const struct {
        int rows, cols;
    } sizes[] = {{24, 80}, {40, 120}, {50, 200}};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        for (size_t k = 0; k < ARRAY_LEN(sizes); k++) {
            char fixture[64], golden[64];
            snprintf(fixture, sizeof fixture, "dialog-%s.ndjson", names[i]);
            snprintf(golden, sizeof golden, "dialog-%s-%dx%d", names[i], sizes[k].cols, sizes[k].rows);
            struct stage *s = stage_open(sizes[k].rows, sizes[k].cols, "migration.ndjson", NULL);
            stage_keys(s, "5");
            stage_feed(s, fixture);
            stage_golden(s, golden);
            stage_close(s);
        }
}

/* Whatever the focus, and whatever was typed. */
static void every_way_of_saying_no(void **state) {
    static const char *const hard[] = {"Esc", "n", "N", "q", "Q", "^C", "^G", "Enter", "Tab Esc", "Tab ^C", "Tab ^G", "Tab Tab Esc", "Tab Tab n",
                                       "Tab Tab q", "Tab Tab Tab Enter", "S-Tab Left Enter", "v Enter", "PgDn Enter"};
    static const char *const reversible[] = {"Esc", "n", "N", "q", "Q", "^C", "^G", "Enter", "Tab n", "Tab q", "Tab Esc", "Tab Tab Enter",
                                             "Right Left Enter", "x Enter"};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(hard); i++) {
        struct stage *s = open_dialog(24, 80, "dialog-hard.ndjson");
        stage_keys(s, hard[i]);
        assert_string_equal(stage_sent(s), CANCEL7);
        stage_hides(s, "[ Cancel ]");
        stage_shows(s, "cancelled: nothing was done");
        assert_false(stage_quit(s));
        stage_feed(s, "dialog-hard.ndjson"); /* its row is still there: it does not come back */
        stage_hides(s, "[ Cancel ]");
        stage_close(s);
    }
    for (size_t i = 0; i < ARRAY_LEN(reversible); i++) {
        struct stage *s = open_dialog(24, 80, "dialog-reversible.ndjson");
        stage_keys(s, reversible[i]);
        assert_string_equal(stage_sent(s), CANCEL6);
        stage_hides(s, "[ Cancel ]");
        stage_close(s);
    }
    struct stage *s = open_dialog(24, 80, "dialog-hard.ndjson");
    stage_keys(s, "Tab");
    stage_type(s, NAME);
    stage_keys(s, "Esc"); /* even when all is typed */
    assert_string_equal(stage_sent(s), CANCEL7);
    stage_close(s);
}

static void yes_to_what_is_reversible(void **state) {
    static const char *const yes[] = {"y", "Y", "Tab Enter", "Right Enter", "j y"};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(yes); i++) {
        struct stage *s = open_dialog(24, 80, "dialog-reversible.ndjson");
        stage_keys(s, yes[i]);
        assert_string_equal(stage_sent(s), CONFIRM6);
        stage_shows(s, "confirmed: the engine looks once more");
        stage_keys(s, "y y Enter"); /* said once; Enter leaves, the engine answers */
        assert_string_equal(stage_sent(s), CONFIRM6);
        stage_close(s);
    }
}

static void yes_to_what_is_hard_is_typed(void **state) {
    static const char *const ends[] = {"Enter", "Tab Enter"};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
        struct stage *s = open_dialog(24, 80, "dialog-hard.ndjson");
        stage_keys(s, "Tab");
        stage_type(s, NAME);
        stage_keys(s, ends[i]);
        assert_string_equal(stage_sent(s), CONFIRM7);
        stage_feed_line(s, "{\"t\":\"upsert\",\"table\":\"dialogs\",\"key\":\"7\",\"seq\":950,\"row\":{\"peer\":3,\"title\":\"swap claim and first boot\","
                           "\"state\":\"CONFIRMED\",\"stake\":\"hard to undo\"}}");
        stage_feed_line(s, COMMIT);
        stage_hides(s, "Cancel ]");
        stage_shows(s, "confirmed: swap claim and first boot");
        stage_close(s);
    }
}

static void typing_begins_in_the_field_by_itself(void **state) {
    (void)state;
    struct stage *s = open_dialog(24, 80, "dialog-hard.ndjson");
    stage_type(s, NAME);
    stage_keys(s, "Enter");
    assert_string_equal(stage_sent(s), CONFIRM7);
    stage_close(s);
}

static void what_is_incomplete_confirms_nothing(void **state) {
    static const char *const typed[] = {"", "i", "immich-postgresq", "immich-postgresqlx", "Immich-postgresql", "immich-postgresql ", " immich-postgresql", "y", "yes", "home"};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(typed); i++) {
        struct stage *s = open_dialog(24, 80, "dialog-hard.ndjson");
        stage_keys(s, "Tab");
        stage_type(s, typed[i]);
        stage_keys(s, "Enter");
        stage_shows(s, *typed[i] ? "this is not what has to be typed: nothing was done" : "it has to be typed first: nothing was done");
        stage_keys(s, "Tab Enter");
        stage_shows(s, "nothing was done");
        assert_string_equal(stage_sent(s), "");
        stage_close(s);
    }
    struct stage *s = open_dialog(24, 80, "dialog-purge.ndjson");
    stage_keys(s, "Tab");
    stage_type(s, NAME); /* the object's name does not do for a purge */
    stage_keys(s, "Enter");
    assert_string_equal(stage_sent(s), "");
    stage_keys(s, "^U");
    stage_type(s, "homx");
    stage_keys(s, "Backspace");
    stage_type(s, "e");
    stage_keys(s, "Enter");
    assert_string_equal(stage_sent(s), "{\"verb\":\"confirm\",\"dialog\":\"9\",\"typed\":\"home\"}\n");
    stage_close(s);
}

static void what_is_typed_ahead_is_dropped(void **state) {
    (void)state;
    struct stage *s = stage_open(24, 80, "migration.ndjson", NULL);
    stage_feed(s, "dialog-reversible.ndjson");
    stage_forget_sent(s);
    stage_keys(s, "y Enter Tab y n q Esc"); /* it was not drawn yet */
    assert_string_equal(stage_sent(s), "");
    stage_shows(s, "[ Cancel ]");
    stage_keys(s, "y Enter n"); /* drawn just now */
    assert_string_equal(stage_sent(s), "");
    stage_shows(s, "[ Cancel ]");
    stage_seen(s);
    stage_keys(s, "y");
    assert_string_equal(stage_sent(s), CONFIRM6);
    stage_close(s);
    s = stage_open(24, 80, "migration.ndjson", NULL);
    stage_feed(s, "dialog-hard.ndjson");
    stage_forget_sent(s);
    stage_text(s);
    stage_keys(s, "Tab");
    stage_type(s, NAME); /* as pasted by a terminal that does not bracket it */
    stage_keys(s, "Enter");
    assert_string_equal(stage_sent(s), "");
    stage_hides(s, "[" NAME);
    stage_keys(s, "^C"); /* says no at any time */
    assert_string_equal(stage_sent(s), CANCEL7);
    assert_false(stage_quit(s));
    stage_close(s);
}

/* A key every 200 ms: yes is not taken while they go on, no is taken as soon as the dialog was seen. */
static void hammering_says_no_but_never_yes(void **state) {
    (void)state;
    struct stage *s = stage_open(24, 80, "migration.ndjson", NULL);
    stage_feed(s, "dialog-reversible.ndjson");
    stage_forget_sent(s);
    stage_text(s);
    for (int i = 0; i < 5; i++) {
        stage_keys(s, "y");
        stage_pass(s, 200);
    }
    assert_string_equal(stage_sent(s), "");
    stage_keys(s, "y Esc");
    assert_string_equal(stage_sent(s), CANCEL6);
    stage_close(s);
}

/* What was pressed while it was prepared does not answer what stands there then. */
static void getting_ready_begins_anew(void **state) {
    (void)state;
    struct stage *s = open_dialog(24, 80, "dialog-preparing.ndjson");
    stage_shows(s, "preparing: looks at everything anew");
    stage_keys(s, "Tab");
    stage_type(s, "imm");
    stage_shows(s, "it is not ready yet");
    stage_feed(s, "dialog-hard.ndjson");
    stage_type(s, NAME);
    stage_keys(s, "Enter");
    stage_shows(s, "[ Cancel ]");
    assert_string_equal(stage_sent(s), "");
    stage_seen(s);
    stage_keys(s, "Enter");
    assert_string_equal(stage_sent(s), CANCEL7);
    stage_close(s);
    s = open_dialog(24, 80, "dialog-preparing.ndjson");
    stage_keys(s, "n");
    assert_string_equal(stage_sent(s), CANCEL7);
    stage_close(s);
}

static void refused_and_stale_only_close(void **state) {
    static const char *const names[] = {"dialog-refused.ndjson", "dialog-stale.ndjson"};
    static const char *const why[] = {"kube/persistentvolumeclaims is STALE: nothing may rest on it", "the plan is stale: the workload, its claims or"};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct stage *s = open_dialog(24, 80, names[i]);
        stage_shows(s, why[i]);
        stage_shows(s, "[ Close ]");
        stage_hides(s, "Start swap claim");
        stage_keys(s, "Tab Right y");
        stage_type(s, "immich");
        assert_string_equal(stage_sent(s), "");
        stage_keys(s, "Enter");
        assert_string_equal(stage_sent(s), CANCEL7);
        stage_hides(s, "[ Close ]");
        stage_close(s);
    }
    struct stage *s = open_dialog(24, 80, "dialog-hard.ndjson"); /* it becomes stale while the name is typed */
    stage_type(s, NAME);
    stage_feed(s, "dialog-stale.ndjson");
    stage_keys(s, "Enter");
    assert_string_equal(stage_sent(s), "");
    stage_shows(s, "[ Close ]");
    stage_close(s);
}

static void a_refused_confirmation_may_be_given_again(void **state) {
    (void)state;
    struct stage *s = open_dialog(24, 80, "dialog-reversible.ndjson");
    stage_keys(s, "y");
    stage_feed_line(s, "{\"t\":\"upsert\",\"table\":\"arming\",\"key\":\"arming\",\"seq\":960,\"row\":{\"state\":\"ARMED\",\"peer\":3,\"by\":\"ana\",\"typed\":"
                       "\"home\",\"until\":1777135539000,\"answer\":\"the disk is full\",\"answered\":6}}");
    stage_feed_line(s, COMMIT);
    stage_shows(s, "the disk is full");
    stage_keys(s, "y");
    assert_string_equal(stage_sent(s), CONFIRM6 CONFIRM6);
    stage_close(s);
}

static void who_is_disarmed_cannot_confirm(void **state) {
    (void)state;
    struct stage *s = open_dialog(24, 80, "dialog-reversible.ndjson");
    stage_feed_line(s, "{\"t\":\"upsert\",\"table\":\"arming\",\"key\":\"arming\",\"seq\":960,\"row\":{\"state\":\"READ-ONLY\",\"typed\":\"home\"}}");
    stage_feed_line(s, COMMIT);
    stage_shows(s, "NOT ARMED any more");
    stage_keys(s, "y");
    stage_shows(s, "this console is no longer armed");
    assert_string_equal(stage_sent(s), "");
    stage_keys(s, "Esc");
    assert_string_equal(stage_sent(s), CANCEL6);
    stage_close(s);
}

static void only_ascii_where_that_is_asked_for(void **state) {
    static const char *const names[] = {"dialog-hard.ndjson", "dialog-refused.ndjson", "dialog-stale.ndjson", "dialog-purge.ndjson"};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct stage *s = stage_open(24, 80, "migration.ndjson", &(struct stage_options){.ascii = true, .color = "never"});
        stage_feed(s, names[i]);
        for (const char *p = stage_text(s); *p; p++) assert_true((unsigned char)*p < 0x80);
        stage_shows(s, i == 1 ? "X REFUSED" : i == 2 ? "~ STALE" : i == 3 ? "CANNOT BE UNDONE" : "HARD TO UNDO");
        stage_close(s);
    }
}

static void others_dialogs_are_not_ours(void **state) {
    (void)state;
    struct stage *s = stage_open(24, 80, "migration.ndjson", NULL);
    stage_feed_line(s, "{\"t\":\"upsert\",\"table\":\"dialogs\",\"key\":\"7\",\"seq\":950,\"row\":{\"peer\":4,\"state\":\"READY\",\"stake\":\"reversible\"}}");
    stage_feed_line(s, COMMIT);
    stage_hides(s, "Cancel");
    stage_close(s);
}

static void the_world_goes_on_behind(void **state) {
    (void)state;
    struct stage *s = open_dialog(50, 200, "dialog-reversible.ndjson");
    stage_feed_line(s, "{\"t\":\"upsert\",\"table\":\"dialog_lines\",\"key\":\"6/006\",\"seq\":960,\"row\":{\"dialog\":\"6\",\"rank\":6,\"label\":\"fact\","
                       "\"text\":\"kube/deployments LIVE 41s\"}}");
    stage_feed_line(s, COMMIT);
    stage_feed_line(s, "{\"t\":\"tick\",\"now\":1777134727000}");
    stage_shows(s, "kube/deployments LIVE 41s");
    stage_shows(s, "16:32:07Z");
    stage_shows(s, "ARMED 10:42");
    stage_keys(s, "y"); /* new lines are no new dialog */
    assert_string_equal(stage_sent(s), CONFIRM6);
    stage_close(s);
}

static void all_requests_and_all_lines_can_be_read(void **state) {
    (void)state;
    struct stage *s = open_dialog(24, 80, "dialog-hard.ndjson");
    stage_shows(s, "more below: PgDn");
    stage_keys(s, "PgDn PgDn");
    stage_shows(s, "and 3 more: v shows all");
    stage_hides(s, "ALTER SYSTEM SET");
    stage_keys(s, "v End");
    stage_shows(s, "ALTER SYSTEM SET");
    stage_shows(s, "above: PgUp");
    stage_keys(s, "Home");
    stage_shows(s, "postgresql-data-host nfs-truenas");
    stage_keys(s, "End v");
    stage_text(s);
    stage_keys(s, "Up Up Up Down");
    assert_string_equal(stage_sent(s), "");
    stage_close(s);
}

static void too_small_hides_it_and_takes_no_answer(void **state) {
    (void)state;
    struct stage *s = open_dialog(24, 80, "dialog-reversible.ndjson");
    stage_resize(s, 20, 70);
    stage_shows(s, "This terminal has 70 columns and 20 rows.");
    stage_hides(s, "Cancel");
    stage_keys(s, "y Enter");
    assert_string_equal(stage_sent(s), "");
    stage_resize(s, 24, 80);
    stage_shows(s, "[ Cancel ]");
    stage_keys(s, "y"); /* just drawn */
    assert_string_equal(stage_sent(s), "");
    stage_seen(s);
    stage_keys(s, "y");
    assert_string_equal(stage_sent(s), CONFIRM6);
    stage_close(s);
}

static void it_closes_with_the_engine(void **state) {
    (void)state;
    struct stage *s = open_dialog(24, 80, "dialog-reversible.ndjson");
    console_engine(stage_console(s), false, "it was killed");
    stage_hides(s, "Cancel");
    stage_shows(s, "the engine has gone: the dialog is closed, nothing was confirmed");
    stage_keys(s, "y");
    assert_string_equal(stage_sent(s), "");
    stage_close(s);
    s = open_dialog(24, 80, "dialog-reversible.ndjson");
    stage_keys(s, "y");
    console_engine(stage_console(s), false, "it was killed");
    stage_shows(s, "whether it took the confirmation is not known");
    stage_close(s);
    s = open_dialog(24, 80, "dialog-hard.ndjson");
    stage_feed_line(s, REMOVE7);
    stage_feed_line(s, COMMIT);
    stage_shows(s, "the engine has closed the dialog; nothing was confirmed");
    stage_close(s);
}

static void a_prompt_gives_way(void **state) {
    (void)state;
    struct stage *s = stage_open(24, 80, "migration.ndjson", NULL);
    stage_keys(s, "2 :");
    stage_type(s, "stor");
    stage_feed(s, "dialog-hard.ndjson");
    stage_seen(s);
    stage_hides(s, ":stor");
    stage_keys(s, "Esc");
    stage_hides(s, ":stor");
    stage_shows(s, "STORAGE");
    stage_close(s);
}

/* Keys at random: never a confirmation without the name. */
static void no_keys_confirm_by_chance(void **state) {
    static const char *const keys[] = {"Tab", "S-Tab", "Enter", "y", "Y", "v", "i", "m", "PgDn", "PgUp", "Up", "Down", "Left", "Right", "Space",
                                       "Backspace", "^U", "Home", "End", "a", "-", "1", "Delete", "^L", "^Z", "F1"};
    unsigned seed = 7;
    (void)state;
    struct stage *s = open_dialog(24, 80, "dialog-hard.ndjson");
    for (int i = 0; i < 3000; i++) {
        stage_keys(s, keys[(unsigned)rand_r(&seed) % ARRAY_LEN(keys)]);
        if (i % 50 == 0) stage_resize(s, 3 + (int)((unsigned)rand_r(&seed) % 60), 5 + (int)((unsigned)rand_r(&seed) % 220));
        if (i % 7 == 0) stage_text(s);
        if (i % 300 == 299) {
            stage_feed_line(s, REMOVE7);
            stage_feed_line(s, COMMIT);
        }
        if (i % 300 == 150) stage_feed(s, "dialog-hard.ndjson");
    }
    assert_null(strstr(stage_sent(s), "confirm"));
    stage_close(s);
}

/* The name's first letter is no other key: v (all requests), n and q (no). */
static void names_that_begin_with_a_key(void **state) {
    static const char *const names[] = {"vault-1", "nats-0", "quay-2"};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        char row[400], want[120];
        struct stage *s = open_dialog(40, 120, "dialog-pod.ndjson");
        snprintf(row, sizeof row, "{\"t\":\"upsert\",\"table\":\"dialogs\",\"key\":\"7\",\"seq\":990,\"row\":{\"peer\":3,\"workload\":\"vault\",\"phase\":"
                 "\"pod-1\",\"title\":\"swap\",\"state\":\"READY\",\"stake\":\"hard to undo\",\"typed\":\"%s\",\"context\":\"home\"}}", names[i]);
        stage_feed_line(s, row);
        stage_feed_line(s, COMMIT);
        stage_seen(s);
        stage_keys(s, i ? "v" : "V");
        stage_shows(s, "until it is Ready");
        stage_type(s, names[i]);
        stage_keys(s, "Enter");
        snprintf(want, sizeof want, "{\"verb\":\"confirm\",\"dialog\":\"7\",\"typed\":\"%s\"}\n", names[i]);
        assert_string_equal(stage_sent(s), want);
        stage_close(s);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_that_begin_with_a_key),
        cmocka_unit_test(every_kind_at_every_size),
        cmocka_unit_test(every_way_of_saying_no),
        cmocka_unit_test(yes_to_what_is_reversible),
        cmocka_unit_test(yes_to_what_is_hard_is_typed),
        cmocka_unit_test(typing_begins_in_the_field_by_itself),
        cmocka_unit_test(what_is_incomplete_confirms_nothing),
        cmocka_unit_test(what_is_typed_ahead_is_dropped),
        cmocka_unit_test(hammering_says_no_but_never_yes),
        cmocka_unit_test(getting_ready_begins_anew),
        cmocka_unit_test(refused_and_stale_only_close),
        cmocka_unit_test(a_refused_confirmation_may_be_given_again),
        cmocka_unit_test(who_is_disarmed_cannot_confirm),
        cmocka_unit_test(only_ascii_where_that_is_asked_for),
        cmocka_unit_test(others_dialogs_are_not_ours),
        cmocka_unit_test(the_world_goes_on_behind),
        cmocka_unit_test(all_requests_and_all_lines_can_be_read),
        cmocka_unit_test(too_small_hides_it_and_takes_no_answer),
        cmocka_unit_test(it_closes_with_the_engine),
        cmocka_unit_test(a_prompt_gives_way),
        cmocka_unit_test(no_keys_confirm_by_chance),
    };
    return cmocka_run_group_tests_name("dialog", tests, NULL, NULL);
}
