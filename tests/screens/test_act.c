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

#define ARMING(state, peer, until, rest) \
    "{\"t\":\"upsert\",\"table\":\"arming\",\"key\":\"arming\",\"seq\":910,\"row\":{\"state\":\"" state "\",\"peer\":" peer ",\"by\":\"ana\"," \
    "\"until\":" until ",\"typed\":\"home\"" rest "}}"
#define COMMIT "{\"t\":\"commit\",\"seq\":910}"
#define IN_872_S "1777135539000"
#define IN_42_S "1777134709000"

static void arm(struct stage *s) {
    stage_feed_line(s, ARMING("ARMED", "3", IN_872_S, ",\"answered\":5"));
    stage_feed_line(s, COMMIT);
    stage_forget_sent(s);
}

static void the_header_says_who_may_act(void **state) {
    (void)state;
    struct stage *s = stage_open(24, 80, "migration.ndjson", NULL);
    assert_non_null(strstr(stage_line(s, 0), "READ-ONLY"));
    stage_feed_line(s, ARMING("ARMED", "3", IN_872_S, ""));
    assert_non_null(strstr(stage_line(s, 0), "ARMED 14:32"));
    stage_feed_line(s, ARMING("ARMED", "3", IN_42_S, ""));
    assert_non_null(strstr(stage_line(s, 0), "ARMED 0:42 ENDS"));
    stage_feed_line(s, ARMING("ARMED", "4", IN_872_S, ""));
    assert_non_null(strstr(stage_line(s, 0), "armed elsewhere by ana"));
    stage_feed_line(s, ARMING("READ-ONLY", "null", "null", ""));
    assert_non_null(strstr(stage_line(s, 0), "READ-ONLY"));
    stage_resize(s, 40, 120);
    assert_non_null(strstr(stage_line(s, 0), "READ-ONLY  A arms"));
    stage_feed_line(s, ARMING("ARMED", "3", IN_872_S, ""));
    console_engine(stage_console(s), false, "it was killed");
    assert_null(strstr(stage_line(s, 0), "ARMED"));
    stage_close(s);
}

static void arming_sends_what_was_typed(void **state) {
    (void)state;
    struct stage *s = stage_open(24, 80, "migration.ndjson", NULL);
    stage_keys(s, "A");
    stage_shows(s, "to arm for 15 minutes type the context's name (home): ");
    stage_hides(s, "(home): home");
    stage_type(s, "homE");
    stage_keys(s, "Enter");
    assert_string_equal(stage_sent(s), "{\"verb\":\"arm\",\"typed\":\"homE\"}\n");
    stage_feed_line(s, "{\"t\":\"upsert\",\"table\":\"arming\",\"key\":\"arming\",\"seq\":911,\"row\":{\"state\":\"READ-ONLY\",\"typed\":\"home\","
                       "\"answer\":\"not armed: what was typed is not the context's name\",\"answered\":5}}");
    stage_feed_line(s, COMMIT);
    stage_shows(s, "not armed: what was typed is not the context's name");
    stage_keys(s, "A Up Tab"); /* nothing is recalled or completed */
    stage_shows(s, "(home):  ");
    stage_keys(s, "Esc A ^C A ^G A Enter");
    assert_null(strchr(strchr(stage_sent(s), '\n') + 1, '\n'));
    assert_false(stage_quit(s));
    stage_close(s);
}

static void the_same_key_disarms(void **state) {
    (void)state;
    struct stage *s = stage_open(24, 80, "migration.ndjson", NULL);
    arm(s);
    stage_shows(s, "armed for 15 minutes; A disarms");
    stage_keys(s, "A");
    assert_string_equal(stage_sent(s), "{\"verb\":\"disarm\"}\n");
    stage_feed_line(s, ARMING("READ-ONLY", "null", "null", ",\"answered\":6"));
    stage_feed_line(s, COMMIT);
    stage_shows(s, "read-only again");
    stage_keys(s, ":");
    stage_type(s, "disarm");
    stage_keys(s, "Enter");
    stage_shows(s, "this console is read-only already");
    stage_close(s);
}

static void keys_that_need_arming_say_so(void **state) {
    static const char *const keys[] = {"r", "p", "x", "b", "o"};
    static const char *const names[] = {"start", "pause", "abort", "rollback", "override", "skip"};
    (void)state;
    struct stage *s = stage_open(40, 120, "migration.ndjson", NULL);
    stage_keys(s, "5");
    stage_shows(s, "read-only: A arms");
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        char want[80];
        stage_keys(s, keys[i]);
        snprintf(want, sizeof want, "%s: read-only: A arms", names[i]);
        stage_shows(s, want);
    }
    stage_feed_line(s, ARMING("ARMED", "4", IN_872_S, ""));
    stage_keys(s, "r");
    stage_shows(s, "start: read-only: ana is armed elsewhere");
    stage_keys(s, "A");
    stage_shows(s, "another console of this engine is armed (ana): it is disarmed there");
    stage_feed_line(s, ARMING("READ-ONLY", "null", "null", ""));
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        stage_keys(s, "1 :");
        stage_type(s, names[i]);
        stage_keys(s, "Enter");
        stage_shows(s, "read-only: A arms");
    }
    stage_resize(s, 70, 120);
    stage_keys(s, "?");
    stage_shows(s, "(read-only: A arms)");
    assert_string_equal(stage_sent(s), "");
    arm(s);
    stage_keys(s, "Esc 5 Space r");
    stage_shows(s, "start: the view is frozen: Space catches up first");
    assert_string_equal(stage_sent(s), "");
    stage_close(s);
}

static void who_is_attached_only_looks(void **state) {
    (void)state;
    struct stage *s = stage_open(24, 80, "migration.ndjson", &(struct stage_options){.attach = true});
    arm(s);
    stage_keys(s, "5 r");
    stage_shows(s, "an attached console only looks");
    stage_keys(s, "A");
    stage_shows(s, "an attached console only looks");
    stage_keys(s, "N");
    stage_shows(s, "an attached console only looks");
    assert_string_equal(stage_sent(s), "");
    stage_close(s);
}

static void sent(struct stage *s, const char *keys, const char *typed, const char *want) {
    stage_keys(s, keys);
    if (typed) stage_type(s, typed);
    if (typed) stage_keys(s, "Enter");
    assert_string_equal(stage_sent(s), want);
    stage_forget_sent(s);
}

static void intents_of_the_phase_screen(void **state) {
    (void)state;
    struct stage *s = stage_open(24, 80, "migration.ndjson", NULL);
    arm(s);
    sent(s, "5 r", NULL, "{\"verb\":\"open\",\"workload\":\"immich-postgres\",\"phase\":\"dump\"}\n");
    stage_shows(s, "asked the engine to prepare dump of immich-postgres");
    sent(s, "b", NULL, "{\"verb\":\"open\",\"workload\":\"immich-postgres\",\"phase\":\"rollback\"}\n");
    sent(s, "p x", NULL, "");
    stage_shows(s, "no phase is under way that could be aborted");
    sent(s, "k r", NULL, ""); /* another phase is looked at: nothing begins by mistake */
    stage_shows(s, "counts is looked at, but dump is next");
    stage_keys(s, "Esc o");
    stage_type(s, "al");
    stage_keys(s, "Tab");
    stage_shows(s, "gate to pass over: alerts");
    stage_keys(s, "Enter");
    stage_shows(s, "why may 'alerts' be passed over: ");
    sent(s, "", "a \"quoted\" reason", "{\"verb\":\"override\",\"workload\":\"immich-postgres\",\"gate\":\"alerts\",\"reason\":\"a \\\"quoted\\\" reason\"}\n");
    stage_feed_line(s, "{\"t\":\"upsert\",\"table\":\"dialogs\",\"key\":\"4\",\"seq\":950,\"row\":{\"peer\":3,\"state\":\"CANCELLED\","
                       "\"reason\":\"look, then override the gate foreign-files with what you found\"}}");
    stage_keys(s, "o Tab");
    stage_shows(s, "gate to pass over: foreign-files"); /* what was refused last is offered first */
    stage_keys(s, "Tab");
    stage_shows(s, "gate to pass over: alerts");
    stage_keys(s, "Esc");
    sent(s, ": s k i p Enter", "seen in staging", "{\"verb\":\"skip\",\"workload\":\"immich-postgres\",\"phase\":\"dump\",\"reason\":\"seen in staging\"}\n");
    sent(s, ": s k i p Enter", "", "");
    stage_shows(s, "not passed over: that takes a reason");
    stage_feed(s, "phase-running.ndjson");
    sent(s, "r", NULL, "");
    stage_shows(s, "a phase is under way already");
    sent(s, "p", NULL, "{\"verb\":\"pause\",\"workload\":\"immich-postgres\"}\n");
    stage_feed(s, "phase-paused.ndjson");
    sent(s, "p", NULL, "{\"verb\":\"resume\",\"workload\":\"immich-postgres\"}\n");
    sent(s, "x", NULL, "");
    stage_shows(s, "abort restore of immich-postgres?");
    sent(s, "Enter", NULL, "");
    stage_shows(s, "not aborted: restore of immich-postgres goes on");
    sent(s, "x n", NULL, "");
    sent(s, "x Esc", NULL, "");
    sent(s, "x ^C", NULL, "");
    assert_false(stage_quit(s));
    sent(s, "x y", NULL, "{\"verb\":\"abort\",\"workload\":\"immich-postgres\"}\n");
    stage_close(s);
}

static void notes_go_into_the_timeline(void **state) {
    (void)state;
    struct stage *s = stage_open(24, 80, "migration.ndjson", NULL);
    sent(s, "N", "Ben says the NAS is slow", "{\"verb\":\"note\",\"text\":\"Ben says the NAS is slow\"}\n");
    sent(s, "N", "", "");
    sent(s, "N x Esc", NULL, "");
    stage_close(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_header_says_who_may_act),
        cmocka_unit_test(arming_sends_what_was_typed),
        cmocka_unit_test(the_same_key_disarms),
        cmocka_unit_test(keys_that_need_arming_say_so),
        cmocka_unit_test(who_is_attached_only_looks),
        cmocka_unit_test(intents_of_the_phase_screen),
        cmocka_unit_test(notes_go_into_the_timeline),
    };
    return cmocka_run_group_tests_name("act", tests, NULL, NULL);
}
