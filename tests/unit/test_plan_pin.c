#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/buf.h"
#include "migrate/plan_pin.h"

#define UID "5f0c2b1e-0000-4000-8000-000000000001"
#define ID "7301234567890123456"

/* Pins into `before`; `after` NULL: nothing may change. */
static void pins(const char *before, const char *workload, const char *value, const char *after) {
    struct buf text = {0};
    bool changed = false;
    buf_adds(&text, before);
    struct err *e = plan_pin(&text, "plan.yaml", workload, value, &changed);
    if (e) fail_msg("%s", err_text(e));
    assert_string_equal(buf_str(&text), after ? after : before);
    assert_int_equal(changed, after != NULL);
    assert_null(plan_pin(&text, "plan.yaml", workload, value, &changed)); /* a second time: it is there */
    assert_false(changed);
    buf_free(&text);
}

static void refused(const char *before, const char *workload, const char *value, const char *part) {
    struct buf text = {0};
    bool changed = true;
    buf_adds(&text, before);
    struct err *e = plan_pin(&text, "plan.yaml", workload, value, &changed);
    assert_non_null(e);
    assert_int_equal(err_kind(e), ERR_DATA);
    if (!strstr(err_text(e), part)) fail_msg("'%s' is not in '%s'", part, err_text(e));
    assert_string_equal(buf_str(&text), before);
    err_free(e);
    buf_free(&text);
}

static void test_cluster(void **state) {
    (void)state;
    pins("# ü\nplan: a # x\ncontext: home   # mine\n\nsource: {a: b}\n", NULL, UID,
         "# ü\nplan: a # x\ncontext: home   # mine\ncluster: " UID "\n\nsource: {a: b}\n");
    pins("context: home\nplan: a", NULL, UID, "context: home\ncluster: " UID "\nplan: a");
    pins("plan: a\ncontext: home", NULL, UID, "plan: a\ncluster: " UID "\ncontext: home");
    pins("plan: a\ncontext: >\n  home\nsource: b\n", NULL, UID, "plan: a\ncluster: " UID "\ncontext: >\n  home\nsource: b\n");
    pins("{plan: a, context: \"ü\"}\n", NULL, UID, "{plan: a, cluster: " UID ", context: \"ü\"}\n");
    pins("  plan: a\n  context: home\n  source: b\n", NULL, UID, "  plan: a\n  context: home\n  cluster: " UID "\n  source: b\n");
    pins("plan: a\r\ncontext: home\r\nsource: b\r\n", NULL, UID, "plan: a\r\ncontext: home\r\ncluster: " UID "\nsource: b\r\n");
}

static void test_cluster_that_is_there(void **state) {
    (void)state;
    pins("plan: a\ncluster: " UID " # pinned\n", NULL, UID, NULL);
    pins("plan: a\ncluster:   # to be pinned\ncontext: b\n", NULL, UID, "plan: a\ncluster: " UID "   # to be pinned\ncontext: b\n");
    pins("plan: a\ncluster: ~\n", NULL, UID, "plan: a\ncluster: " UID "\n");
    pins("plan: a\ncluster: null # none\n", NULL, UID, "plan: a\ncluster: " UID " # none\n");
    refused("plan: a\ncluster: other\n", NULL, UID, "plan.yaml:2:1: 'cluster' is pinned as other, and it is " UID " now");
}

static const char two[] = "plan: a\nworkloads:\n  - name: x\n    postgres: { via: direct }\n  - name: pg\n    # server\n    postgres:\n      # how\n"
                          "      via: direct\n      conninfo: \"host=ü\"\n";

static void test_identifier(void **state) {
    (void)state;
    pins(two, "pg", ID, "plan: a\nworkloads:\n  - name: x\n    postgres: { via: direct }\n  - name: pg\n    # server\n    postgres:\n      # how\n"
                        "      identifier: \"" ID "\"\n      via: direct\n      conninfo: \"host=ü\"\n");
    pins(two, "x", ID, "plan: a\nworkloads:\n  - name: x\n    postgres: { identifier: \"" ID "\", via: direct }\n  - name: pg\n    # server\n"
                       "    postgres:\n      # how\n      via: direct\n      conninfo: \"host=ü\"\n");
    refused(two, "none", ID, "no place for 'identifier'");
    refused("workloads:\n- name: x\n  postgres: {identifier: \"1\"}\n", "x", ID, "plan.yaml:3:14: 'identifier' is pinned as 1");
}

/* Vault's identity is its cluster_id, in the map that says how it is asked. */
static void test_cluster_id(void **state) {
    (void)state;
    pins("workloads:\n  - name: v\n    vault: { via: kube-proxy }\n", "v", UID,
         "workloads:\n  - name: v\n    vault: { cluster_id: \"" UID "\", via: kube-proxy }\n");
    pins("workloads:\n  - name: v\n    vault:\n      via: direct\n      cluster_id:\n", "v", UID,
         "workloads:\n  - name: v\n    vault:\n      via: direct\n      cluster_id: \"" UID "\"\n");
    refused("workloads:\n  - name: v\n    vault: { cluster_id: x }\n", "v", UID, "plan.yaml:3:14: 'cluster_id' is pinned as x, and it is " UID " now");
    refused("workloads:\n  - name: v\n", "v", UID, "no place for");
}

/* What cannot be added to without touching more stays as it is. */
static void test_ways_of_writing_that_are_refused(void **state) {
    (void)state;
    refused("workloads:\n- &a {name: x, postgres: &p {via: direct}}\n- {name: y, postgres: *p}\n", "y", ID, "write it there yourself");
    refused("a: [", NULL, UID, "plan.yaml:");
    refused("[a]\n", NULL, UID, "no place for 'cluster'");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cluster),
        cmocka_unit_test(test_cluster_that_is_there),
        cmocka_unit_test(test_identifier),
        cmocka_unit_test(test_cluster_id),
        cmocka_unit_test(test_ways_of_writing_that_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
