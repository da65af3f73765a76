/* What the template swap may change of a set, and when a cron job is due. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/json_doc.h"
#include "base/mem.h"
#include "base/str.h"
#include "migrate/raft_cron.h"
#include "migrate/raft_manifest.h"

/* JSON with ' for ". */
static struct json_t *json(const char *text) {
    char *copy = mem_strdup(text);
    for (char *p = copy; *p; p++)
        if (*p == '\'') *p = '"';
    struct json_t *d = NULL;
    assert_null(jd_parse(copy, strlen(copy), "the test", &d));
    mem_free(copy);
    return d;
}

#define SET(meta, image, class) "{'kind':'StatefulSet','metadata':{'name':'vault','namespace':'vault'" meta "},'spec':{'replicas':3,'template':{'metadata':{'creationTimestamp':null,"     \
    "'labels':{'a':'b'}},'spec':{'containers':[{'name':'vault','image':'" image "'}]}},'volumeClaimTemplates':[{'metadata':{'name':'data','creationTimestamp':null},"                      \
    "'spec':{'storageClassName':'" class "','resources':{'requests':{'storage':'2Gi'}}},'status':{'phase':'Pending'}},{'metadata':{'name':'audit'},'spec':{'storageClassName':'" class "'}}]}," \
    "'status':{'replicas':3}}"
#define LIVE ",'uid':'u','resourceVersion':'7','generation':2,'creationTimestamp':'t','managedFields':[{'manager':'helm'}],'finalizers':['orphan'],'deletionTimestamp':'t'," \
    "'annotations':{'ferryman.io/run':'r','meta.helm.sh/release-name':'vault'}"

static void test_cleaned_for_post(void **state) {
    (void)state;
    struct json_t *live = json(SET(LIVE, "v:1", "nfs")), *clean = raft_manifest_clean(live);
    struct buf text = {0};
    jd_dump(clean, &text);
    static const char *const gone[] = {"uid", "resourceVersion", "generation", "creationTimestamp", "managedFields", "finalizers", "deletionTimestamp", "status", "ferryman"};
    for (size_t i = 0; i < ARRAY_LEN(gone); i++) assert_null(strstr(buf_str(&text), gone[i]));
    assert_non_null(strstr(buf_str(&text), "meta.helm.sh/release-name"));
    assert_string_equal(jd_str(clean, "apiVersion"), "apps/v1");
    assert_string_equal(jd_str(clean, "spec.volumeClaimTemplates.0.spec.resources.requests.storage"), "2Gi");
    buf_free(&text);
    jd_free(clean);
    jd_free(live);
}

/* Our annotation stands on the set alone: in the pod template it would be another revision, in claim templates the end of every later upgrade. */
static void test_on_another_class(void **state) {
    (void)state;
    struct json_t *live = json(SET("", "v:1", "nfs")), *clean = raft_manifest_clean(live), *on = raft_manifest_on(clean, "lvm", "run1");
    assert_false(raft_manifest_is_on(live, "lvm"));
    assert_true(raft_manifest_is_on(on, "lvm"));
    assert_string_equal(jd_string_value(jd_member(jd_get(on, "metadata.annotations"), "ferryman.io/run")), "run1");
    assert_null(jd_get(on, "spec.template.metadata.annotations"));
    assert_null(jd_get(on, "spec.volumeClaimTemplates.0.metadata.annotations"));
    assert_true(jd_equal(jd_get(on, "spec.template"), jd_get(clean, "spec.template")));
    jd_free(on);
    jd_free(clean);
    jd_free(live);
    struct json_t *none = json("{'spec':{'volumeClaimTemplates':[]}}");
    assert_false(raft_manifest_is_on(none, "lvm"));
    jd_free(none);
}

static void differs(const char *a, const char *b, const char *words) {
    struct json_t *x = json(a), *y = json(b);
    struct buf why = {0};
    bool same = raft_manifest_same(x, y, &why);
    if (same != !words || (words && !strstr(buf_str(&why), words))) fail_msg("'%s' should say '%s'", buf_str(&why), words ? words : "nothing");
    buf_free(&why);
    jd_free(x);
    jd_free(y);
}

static void test_nothing_else_may_differ(void **state) {
    (void)state;
    differs(SET("", "v:1", "nfs"), SET(LIVE, "v:1", "lvm"), "metadata.annotations"); /* helm's, which the other does not have */
    differs(SET(",'annotations':{'ferryman.io/run':'r'}", "v:1", "nfs"), SET(",'annotations':{},'uid':'u'", "v:1", "lvm"), NULL);
    differs(SET("", "v:1", "nfs"), SET("", "v:2", "lvm"), "spec.template.spec.containers.0.image is \"v:2\", not \"v:1\"");
    differs(SET("", "v:1", "nfs"), SET(",'labels':{'injected':'yes'}", "v:1", "lvm"), "metadata.labels");
    differs("{'spec':{'a':[1,2]}}", "{'spec':{'a':[1]}}", "spec.a is [1], not [1,2]");
    differs("{'spec':{'a':1}}", "{'spec':{}}", "spec.a is absent, not 1");
    differs("{'spec':{}}", "{'spec':{'a':1}}", "spec.a is 1, not absent");
    differs("{'spec':{'a':{}}}", "{'spec':{'a':null}}", NULL); /* empty and absent are the same to the API server */
}

static void test_garbage(void **state) {
    (void)state;
    differs("[]", "[]", NULL);
    differs("{'spec':{'volumeClaimTemplates':'x','template':1}}", "{'spec':{'volumeClaimTemplates':'x','template':1}}", NULL);
    differs("{'metadata':[]}", "{'metadata':{'labels':{'a':'b'}}}", "metadata");
}

/* ---- Cron ---- */

static int64_t at(const char *text) {
    int64_t ms = 0;
    assert_true(clock_parse_rfc3339(slice_of(text), &ms));
    return ms;
}

static bool due(const char *schedule, const char *from, int64_t minutes) {
    return raft_cron_due(schedule, at(from), at(from) + minutes * 60000);
}

static void test_cron(void **state) {
    (void)state;
    assert_true(due("30 2 * * *", "2026-11-22T02:21:00Z", 10));
    assert_false(due("30 2 * * *", "2026-11-22T02:19:00Z", 10));
    assert_false(due("30 2 * * *", "2026-11-22T02:30:00Z", 10)); /* it has begun: the jobs tell */
    assert_true(due("*/15 * * * *", "2026-11-22T02:10:00Z", 5));
    assert_false(due("*/15 * * * *", "2026-11-22T02:16:00Z", 5));
    assert_true(due("0 3-5 * * *", "2026-11-22T04:55:00Z", 10));
    assert_true(due("0,20 1,2 * * *", "2026-11-22T02:15:00Z", 10));
    assert_true(due("0 2 * * sun", "2026-11-22T01:55:00Z", 10)); /* 2026-11-22 is a Sunday */
    assert_true(due("0 2 * * 7", "2026-11-22T01:55:00Z", 10));
    assert_false(due("0 2 * * mon-fri", "2026-11-22T01:55:00Z", 10));
    assert_true(due("0 2 22 nov *", "2026-11-22T01:55:00Z", 10));
    assert_true(due("0 2 1 * sun", "2026-11-22T01:55:00Z", 10)); /* either day will do */
    assert_true(due("@daily", "2026-11-21T23:55:00Z", 10));
    assert_true(due("5/20 * * * *", "2026-11-22T02:40:00Z", 10));
    static const char *const garbage[] = {"", "* * * *", "* * * * * *", "x * * * *", "*/0 * * * *", "1- * * * *", "@never", "60-1 * * * *"};
    for (size_t i = 0; i < ARRAY_LEN(garbage); i++) assert_false(due(garbage[i], "2026-11-22T02:00:00Z", 1400));
    assert_false(raft_cron_due(NULL, 0, 1000000));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cleaned_for_post), cmocka_unit_test(test_on_another_class), cmocka_unit_test(test_nothing_else_may_differ),
        cmocka_unit_test(test_garbage),          cmocka_unit_test(test_cron),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
