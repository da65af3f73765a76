#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "stage.h"

static const struct {
    int rows, cols;
    const char *well, *stuck;
} sizes[] = {
    {24, 80, "raft-80x24", "raft-stuck-80x24"},
    {40, 120, "raft-120x40", "raft-stuck-120x40"},
    {50, 200, "raft-200x50", "raft-stuck-200x50"},
};

static struct stage *open_at(int rows, int cols) {
    struct stage *s = stage_open(rows, cols, "cluster.ndjson", NULL);
    stage_feed(s, "workloads.ndjson");
    stage_keys(s, "3");
    return s;
}

static void at_every_size(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct stage *s = open_at(sizes[i].rows, sizes[i].cols);
        stage_golden(s, sizes[i].well);
        stage_feed(s, "stuck.ndjson");
        stage_golden(s, sizes[i].stuck);
        stage_close(s);
    }
}

static void the_verdict_stands_first(void **state) {
    (void)state;
    struct stage *s = open_at(24, 80);
    stage_feed(s, "stuck.ndjson");
    assert_non_null(strstr(stage_line(s, 3), "✗ STUCK  LEADER STUCK since 16:31:09Z (6m58s)"));
    stage_shows(s, "Suggested: graceful delete of pod vault-2.");
    stage_shows(s, "✗ DOWN 7m00s");
    stage_hides(s, "* LEADER");
    stage_close(s);
}

static void what_is_in_a_plan(void **state) {
    (void)state;
    struct stage *s = stage_open(24, 80, "planless.ndjson", NULL);
    stage_keys(s, "3");
    stage_shows(s, "kind: raft-rolling");
    stage_golden(s, "raft-planless");
    stage_close(s);
}

/* A plan with a cluster that has not answered says what is waited for. */
static void what_is_waited_for(void **state) {
    (void)state;
    struct stage *s = stage_open(24, 80, "planless.ndjson", NULL);
    stage_feed_line(s, "{\"t\":\"upsert\",\"table\":\"plan_workloads\",\"key\":\"vault\",\"src\":\"\",\"seq\":900,"
                       "\"row\":"
                       "{\"name\":\"vault\",\"kind\":\"raft-rolling\",\"namespace\":\"vault\",\"state\":\"NOT "
                       "STARTED\"}}");
    stage_feed_line(s, "{\"t\":\"remove\",\"table\":\"sources\",\"key\":\"vault/none\",\"seq\":901}");
    stage_feed_line(s, "{\"t\":\"upsert\",\"table\":\"sources\",\"key\":\"vault/vault\",\"src\":\"\",\"seq\":902,"
                       "\"row\":"
                       "{\"server\":\"vault\",\"kind\":\"vault\",\"state\":\"STARTING\"}}");
    stage_feed_line(s, "{\"t\":\"commit\",\"seq\":902}");
    stage_keys(s, "3");
    stage_shows(s, "Waiting for the first answer of vault/vault.");
    stage_close(s);
}

static void old_facts_do_not_look_well(void **state) {
    (void)state;
    struct stage *s = open_at(24, 80);
    console_engine(stage_console(s), false, "it ended");
    stage_hides(s, "✓ OK");
    stage_hides(s, "✓ VOTER");
    stage_hides(s, "* LEADER");
    stage_shows(s, "last leader known vault-2");
    stage_close(s);
}

static void nodes_lead_to_details_and_logs(void **state) {
    (void)state;
    struct stage *s = open_at(40, 120);
    stage_keys(s, "G Enter");
    stage_shows(s, "vault-2.vault-internal:8201");
    stage_keys(s, "Esc l");
    stage_shows(s, "LOG");
    assert_string_equal(stage_sent(s), "{\"t\":\"intent\",\"verb\":\"log\",\"ns\":\"vault\",\"pod\":\"vault-2\"}\n");
    stage_keys(s, "Esc g l"); /* the pod of vault-0 is not in the list of pods */
    stage_shows(s, "No pod is known that belongs to what was selected");
    stage_close(s);
}

static void clusters_take_turns(void **state) {
    (void)state;
    struct stage *s = open_at(24, 120);
    stage_shows(s, "vault · Vault 1.18.1");
    stage_feed_line(s, "{\"t\":\"upsert\",\"table\":\"raft_clusters\",\"key\":\"bao\",\"src\":\"vault/vault\","
                       "\"seq\":3000,\"row\":"
                       "{\"state\":\"NO LEADER\",\"product\":\"OpenBao\",\"version\":\"2.1.0\",\"verdict\":\"NO "
                       "LEADER since 16:00:00Z\"}}");
    stage_feed_line(s, "{\"t\":\"upsert\",\"table\":\"raft_peers\",\"key\":\"bao/bao-0\",\"src\":\"vault/vault\","
                       "\"seq\":3001,\"row\":"
                       "{\"workload\":\"bao\",\"name\":\"bao-0\",\"health\":\"SEALED\",\"seal\":\"SEALED\"}}");
    stage_feed_line(s, "{\"t\":\"commit\",\"seq\":3001}");
    stage_shows(s, "vault · Vault 1.18.1");
    stage_shows(s, "Tab: another of 2");
    stage_keys(s, "Tab");
    stage_shows(s, "bao · OpenBao 2.1.0");
    stage_shows(s, "✗ NO LEADER  NO LEADER since 16:00:00Z");
    stage_shows(s, "✗ SEALED");
    stage_hides(s, "vault-2");
    stage_shows(s, "not known: no node has said whom it follows");
    stage_keys(s, "Tab");
    stage_shows(s, "vault-2");
    stage_close(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(at_every_size),
        cmocka_unit_test(the_verdict_stands_first),
        cmocka_unit_test(what_is_in_a_plan),
        cmocka_unit_test(what_is_waited_for),
        cmocka_unit_test(old_facts_do_not_look_well),
        cmocka_unit_test(nodes_lead_to_details_and_logs),
        cmocka_unit_test(clusters_take_turns),
    };
    return cmocka_run_group_tests_name("screen_raft", tests, NULL, NULL);
}
