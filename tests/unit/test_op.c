/* Operations as text, without secrets; and a run's facts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/buf.h"
#include "base/json_doc.h"
#include "base/str.h"
#include "base/utf8.h"
#include "migrate/op_private.h"
#include "migrate/run.h"
#include "tests/unit/op_stage.h"

static struct json_t *doc(const char *json) {
    struct json_t *d = NULL;
    assert_null(jd_parse(json, strlen(json), "test", &d));
    return d;
}

static void expect_text(const struct op *op, const char *expected) {
    struct buf text = {0};
    op_text(op, &text);
    assert_string_equal(buf_str(&text), expected);
    assert_true(utf8_is_clean(buf_slice(&text)));
    buf_free(&text);
}

static void expect_masked(const char *json, const char *expected) {
    struct buf text = {0};
    struct json_t *d = doc(json), *before = jd_copy(d);
    op_masked(d, &text);
    assert_string_equal(buf_str(&text), expected);
    assert_true(jd_equal(d, before)); /* what is sent is not what is shown */
    jd_free(before);
    jd_free(d);
    buf_free(&text);
}

static void test_texts(void **state) {
    struct script *s = script_new();
    struct json_t *patch = script_patch_new("uid-d");
    (void)state;
    script_patch_test(patch, "/spec/replicas", jd_int(2));
    script_patch_set(patch, "replace", "/spec/replicas", jd_int(0));
    script_patch_set(patch, "remove", "/spec/paused", NULL);
    expect_text(script_patch(s, "a", "scale", "/apis/apps/v1/namespaces/x/deployments/y", patch, NULL),
                "PATCH /apis/apps/v1/namespaces/x/deployments/y test /metadata/uid=\"uid-d\", /spec/replicas=2; replace /spec/replicas=0; "
                "remove /spec/paused");
    expect_text(script_delete(s, "b", "delete", "/api/v1/namespaces/x/pods/y", "uid-p", 30, NULL),
                "DELETE /api/v1/namespaces/x/pods/y preconditions.uid=uid-p, propagationPolicy=Background, gracePeriodSeconds=30");
    expect_text(script_delete(s, "b", "delete", "/api/v1/namespaces/x/pods/y", "uid-p", -1, NULL),
                "DELETE /api/v1/namespaces/x/pods/y preconditions.uid=uid-p, propagationPolicy=Background");
    const struct op *create = script_create(s, "c", "create", "/api/v1/namespaces/x/persistentvolumeclaims", doc("{\"metadata\":{\"name\":\"n/m\"}}"), NULL);
    expect_text(create, "POST /api/v1/namespaces/x/persistentvolumeclaims {\"metadata\":{\"name\":\"n/m\"}}");
    assert_string_equal(create->get, "/api/v1/namespaces/x/persistentvolumeclaims/n%2Fm");
    expect_text(script_get(s, "d", "read", "/version", NULL), "GET /version");
    expect_text(script_sql(s, "e", "fence", DB_SERVER, "immich", "ALTER SYSTEM SET x = 'on'", "SELECT 1", NULL),
                "SQL on the server, database immich: ALTER SYSTEM SET x = 'on'");
    expect_text(script_query(s, "f", "look", DB_SCRATCH, NULL, "SELECT\n1", NULL), "SQL on the scratch server: SELECT 1");
    expect_text(script_check(s, "g", "look", NULL), "");
    script_free(s);
}

static void test_foreign_text_is_clean(void **state) {
    struct script *s = script_new();
    struct json_t *patch = script_patch_new("uid\x1b[31m");
    struct buf text = {0};
    (void)state;
    op_text(script_patch(s, "a", "patch", "/x\x1b[2J", patch, NULL), &text);
    assert_true(utf8_is_clean(buf_slice(&text)));
    assert_null(strchr(buf_str(&text), '\x1b'));
    buf_free(&text);
    script_free(s);
}

static void test_passwords_in_statements(void **state) {
    struct script *s = script_new();
    (void)state;
    expect_text(script_sql(s, "a", "x", DB_SERVER, NULL, "ALTER ROLE a PASSWORD 'it''s secret'; SELECT 1", NULL, NULL),
                "SQL on the server: ALTER ROLE a PASSWORD '•••'; SELECT 1");
    expect_text(script_sql(s, "b", "x", DB_SERVER, NULL, "CREATE ROLE a PASSWORD 'not ended", NULL, NULL), "SQL on the server: CREATE ROLE a PASSWORD '•••'");
    expect_text(script_sql(s, "c", "x", DB_SERVER, NULL, "SHOW password_encryption", NULL, NULL), "SQL on the server: SHOW password_encryption");
    script_free(s);
}

static void test_masks(void **state) {
    (void)state;
    expect_masked("{\"kind\":\"Secret\",\"data\":{\"a\":\"eA==\"},\"stringData\":{\"b\":\"x\"},\"metadata\":{\"name\":\"n\"}}",
                  "{\"kind\":\"Secret\",\"data\":{\"a\":\"•••\"},\"stringData\":{\"b\":\"•••\"},\"metadata\":{\"name\":\"n\"}}");
    expect_masked("{\"kind\":\"ConfigMap\",\"data\":{\"a\":\"x\"}}", "{\"kind\":\"ConfigMap\",\"data\":{\"a\":\"x\"}}");
    expect_masked("{\"spec\":{\"template\":{\"spec\":{\"containers\":[{\"env\":[{\"name\":\"P\",\"value\":\"x\"},{\"name\":\"Q\",\"valueFrom\":"
                  "{\"secretKeyRef\":{\"name\":\"s\",\"key\":\"k\"}}}]}]}}}}",
                  "{\"spec\":{\"template\":{\"spec\":{\"containers\":[{\"env\":[{\"name\":\"P\",\"value\":\"•••\"},{\"name\":\"Q\",\"valueFrom\":"
                  "{\"secretKeyRef\":{\"name\":\"s\",\"key\":\"k\"}}}]}]}}}}");
    expect_masked("{\"metadata\":{\"annotations\":{\"a.b/db-Password\":\"x\",\"kubectl.kubernetes.io/last-applied-configuration\":\"{}\",\"team\":\"y\"}}}",
                  "{\"metadata\":{\"annotations\":{\"a.b/db-Password\":\"•••\",\"kubectl.kubernetes.io/last-applied-configuration\":\"•••\",\"team\":\"y\"}}}");
    expect_masked("[{\"op\":\"add\",\"path\":\"/spec/template/spec/containers/0/env/2/value\",\"value\":\"x\"}]",
                  "[{\"op\":\"add\",\"path\":\"/spec/template/spec/containers/0/env/2/value\",\"value\":\"•••\"}]");
    expect_masked("[{\"op\":\"add\",\"path\":\"/metadata/annotations/a~1token\",\"value\":\"x\"},{\"op\":\"add\",\"path\":\"/metadata/annotations/a~1b\",\"value\":\"y\"}]",
                  "[{\"op\":\"add\",\"path\":\"/metadata/annotations/a~1token\",\"value\":\"•••\"},{\"op\":\"add\",\"path\":\"/metadata/annotations/a~1b\",\"value\":\"y\"}]");
    expect_masked("[{\"op\":\"replace\",\"path\":\"/data/password\",\"value\":\"eA==\"}]", "[{\"op\":\"replace\",\"path\":\"/data/password\",\"value\":\"•••\"}]");
}

static void test_a_new_container_in_a_patch(void **state) {
    (void)state;
    expect_masked("[{\"op\":\"add\",\"path\":\"/spec/template/spec/containers/-\",\"value\":{\"name\":\"c\",\"env\":[{\"name\":\"P\",\"value\":\"x\"}]}}]",
                  "[{\"op\":\"add\",\"path\":\"/spec/template/spec/containers/-\",\"value\":{\"name\":\"c\",\"env\":[{\"name\":\"P\",\"value\":\"•••\"}]}}]");
    expect_masked("[{\"op\":\"add\",\"path\":\"/data\",\"value\":{\"a\":\"x\"}}]", "[{\"op\":\"add\",\"path\":\"/data\",\"value\":{\"a\":\"•••\"}}]");
}

static void test_formats_live_with_the_script(void **state) {
    struct script *s = script_new();
    (void)state;
    const char *first = script_fmt(s, "%d", 1);
    for (int i = 0; i < 100; i++) assert_non_null(script_fmt(s, "%s-%d", first, i));
    assert_string_equal(first, "1");
    script_free(s);
}

/* ---- Facts ---- */

static void test_facts_are_journaled_when_they_change(void **state) {
    struct op_stage *w = op_stage_new(NULL, false);
    (void)state;
    run_set(w->run, "a", "1");
    run_set(w->run, "a", "1");
    run_set(w->run, "b", ""); /* was not there: nothing to take back */
    run_set_int(w->run, "a", 2);
    run_set(w->run, "a", "");
    run_restore_fact(w->run, "c", "3");
    run_note(w->run, "INFO", "two\nlines");
    assert_false(run_has(w->run, "a"));
    assert_string_equal(run_fact(w->run, "a"), "");
    assert_null(run_fact(w->run, "never"));
    assert_int_equal(run_fact_int(w->run, "c", -1), 3);
    assert_int_equal(run_fact_int(w->run, "never", -1), -1);
    op_stage_run(w, script_new());
    op_stage_assert_fine(w); /* an empty script is done */
    assert_string_equal(op_stage_records(w), "fact a=1\nfact a=2\nfact a=\nnote\n");
    op_stage_free(w);
}

static void test_facts_that_are_documents(void **state) {
    struct op_stage *w = op_stage_new(NULL, false);
    struct json_t *d = doc("{\"a\":[1]}");
    (void)state;
    run_set_json(w->run, "d", d);
    struct json_t *back = run_fact_json(w->run, "d");
    assert_true(jd_equal(d, back));
    jd_free(back);
    run_set(w->run, "d", "{");
    assert_null(run_fact_json(w->run, "d"));
    assert_null(run_fact_json(w->run, "never"));
    jd_free(d);
    op_stage_free(w);
}

static void test_preview_has_names_for_what_is_not_known(void **state) {
    struct op_stage *w = op_stage_new(NULL, false);
    struct run *r = run_new(&(struct run){.loop = w->loop, .plan = w->plan, .workload = &w->plan->workloads[0], .dir = "‹folder›", .id = "‹run›", .preview = true});
    struct script *s = script_new();
    (void)state;
    assert_string_equal(run_fact(r, "claim.new.uid"), "‹claim.new.uid›");
    assert_false(run_has(r, "claim.new.uid"));
    assert_int_equal(run_fact_int(r, "n", 7), 7);
    assert_null(run_fact_json(r, "inventory"));
    run_restore_fact(r, "claim.new.uid", "u");
    assert_string_equal(run_fact(r, "claim.new.uid"), "u");
    run_set(r, "claim.new.uid", "v"); /* nothing is noted */
    assert_string_equal(run_fact(r, "claim.new.uid"), "u");
    assert_true(op_has_placeholder(script_delete(s, "a", "a", "/x", run_fact(r, "pod.uid"), -1, NULL)));
    assert_false(op_has_placeholder(script_delete(s, "b", "b", "/x", "u", -1, NULL)));
    op_stage_assert_in(run_pg_sql_end_backends(r), "‹run›");
    script_free(s);
    run_free(r);
    op_stage_free(w);
}

static int watched(const struct run *r, char *text, size_t size) {
    size_t it = 0;
    struct slice name;
    const char *value;
    int n = 0;
    while (run_each_fact(r, &it, &name, &value))
        if (slice_starts(name, "watch.") && *value) {
            n++;
            str_copy(text, size, value);
        }
    return n;
}

static void test_watched_fields(void **state) {
    struct op_stage *w = op_stage_new(NULL, false);
    char text[512];
    (void)state;
    run_watch_field(w->run, DEPLOYMENT, "/spec/replicas", "0", "deployment/immich-server replicas");
    run_watch_field(w->run, DEPLOYMENT, "/spec/replicas", "0", "deployment/immich-server replicas");
    assert_int_equal(watched(w->run, text, sizeof text), 1);
    struct json_t *d = doc(text);
    assert_string_equal(jd_str(d, "path"), DEPLOYMENT);
    assert_string_equal(jd_str(d, "pointer"), "/spec/replicas");
    assert_string_equal(jd_str(d, "expected"), "0");
    jd_free(d);
    run_watch_field(w->run, DEPLOYMENT, "/spec/paused", "null", "x");
    assert_int_equal(watched(w->run, text, sizeof text), 2);
    run_unwatch_field(w->run, DEPLOYMENT, "/spec/replicas");
    run_unwatch_field(w->run, DEPLOYMENT, "/spec/never");
    assert_int_equal(watched(w->run, text, sizeof text), 1);
    op_stage_free(w);
}

static void test_overrides(void **state) {
    struct op_stage *w = op_stage_new(NULL, false);
    (void)state;
    assert_null(run_override(w->run, "alerts"));
    run_set(w->run, "override.alerts", "known and harmless");
    assert_string_equal(run_override(w->run, "alerts"), "known and harmless");
    run_set(w->run, "override.alerts", "");
    assert_null(run_override(w->run, "alerts"));
    op_stage_free(w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_texts), cmocka_unit_test(test_foreign_text_is_clean), cmocka_unit_test(test_passwords_in_statements),
        cmocka_unit_test(test_masks), cmocka_unit_test(test_a_new_container_in_a_patch), cmocka_unit_test(test_formats_live_with_the_script),
        cmocka_unit_test(test_facts_are_journaled_when_they_change), cmocka_unit_test(test_facts_that_are_documents),
        cmocka_unit_test(test_preview_has_names_for_what_is_not_known), cmocka_unit_test(test_watched_fields), cmocka_unit_test(test_overrides),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
