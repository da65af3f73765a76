/* The new server against the old one: drift, rows, and everything that a dump carries. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/json_doc.h"
#include "base/mem.h"
#include "migrate/postgres.h"
#include "migrate/postgres_compare.h"

static struct json_t *doc_of(const char *text)
{
    char *p = mem_strdup(text);
    struct json_t *d = NULL;
    for (char *q = p; *q; q++)
        if (*q == '\'')
            *q = '"';
    struct err *e = jd_parse(p, strlen(p), "test", &d);
    if (e)
        fail_msg("%s in %s", err_text(e), text);
    mem_free(p);
    return d;
}

static void test_drift(void **state)
{
    (void)state;
    assert_int_equal(drift_between("0.8.0", "0.8.0"), DRIFT_NONE);
    assert_int_equal(drift_between("0.8.0", "0.8.1"), DRIFT_PATCH);
    assert_int_equal(drift_between("0.8.0", "0.9.0"), DRIFT_MINOR);
    assert_int_equal(drift_between("1.5", "1.6"), DRIFT_MINOR);
    assert_int_equal(drift_between("0.8.1", "1.0"), DRIFT_MAJOR);
    assert_int_equal(drift_between("0.8.1", "0.8.0"), DRIFT_BACK);
    assert_int_equal(drift_between("1.0", "1.0.0"), DRIFT_NONE);
    assert_int_equal(drift_between("1.0-beta", "1.0"), DRIFT_MAJOR);
    assert_int_equal(drift_between("", "1.0"), DRIFT_MAJOR);
    assert_true(drift_allowed(DRIFT_NONE, "none"));
    assert_false(drift_allowed(DRIFT_PATCH, "none"));
    assert_true(drift_allowed(DRIFT_PATCH, "patch"));
    assert_false(drift_allowed(DRIFT_MINOR, "patch"));
    assert_true(drift_allowed(DRIFT_MINOR, "minor"));
    assert_false(drift_allowed(DRIFT_MAJOR, "minor"));
    assert_false(drift_allowed(DRIFT_BACK, "minor"));
    assert_true(drift_allowed(DRIFT_BACK, "any"));
}

#define OLD                                                                                                                           \
    "{'server':{'number':150010},'databases':{'immich':{'owner':'immich','encoding':'UTF8','collversion':'2.31'},'template0':{'owner':'x'}},"  \
    "'roles':{'immich':{'super':true,'password':'scram'},'grafana':{'super':false,'password':'md5'}},'memberships':['grafana in readers']," \
    "'settings':{'*/grafana':['statement_timeout=30s']},'tablespaces':{},'slots':['s1'],'configuration':{'max_wal_size':'1024'},"     \
    "'hba':['host all all all scram-sha-256'],'stale_collations':[],"                                                                 \
    "'inside':{'immich':{'extensions':{'vector':{'version':'0.8.0','schema':'public','default':'0.8.1'},'cube':{'version':'1.5','schema':'public'," \
    "'default':'1.5'}},'objects':{'tables':15,'indexes':24},'sequences':{'public.s':'48215,called'},'large_objects':{'count':1,'bytes':24000}," \
    "'acls':{'relations':'aa','columns':null},'collations':[],'invalid_indexes':[]}}}"

typedef bool (*compare_fn)(const struct json_t *old, const struct json_t *new, struct buf *out);

static bool by_minor(const struct json_t *old, const struct json_t *new, struct buf *out)
{
    return compare_extensions(old, new, "minor", out);
}

static bool by_none(const struct json_t *old, const struct json_t *new, struct buf *out)
{
    return compare_extensions(old, new, "none", out);
}

/* Puts one thing otherwise into the new inventory ("" value: takes it out) and expects what is said. */
static void assert_compare(compare_fn compare, const char *dotted, const char *value, bool good, const char *says)
{
    struct json_t *old = doc_of(OLD), *new = doc_of(OLD);
    struct buf out = {0};
    if (dotted && *value)
        jd_put(new, dotted, doc_of(value));
    else if (dotted) {
        char *parent = mem_strdup(dotted), *dot = strrchr(parent, '.');
        *dot = 0;
        jd_del(jd_get(new, parent), dot + 1);
        mem_free(parent);
    }
    bool is = compare(old, new, &out);
    if (is != good || !strstr(buf_str(&out), says))
        fail_msg("%s = %s: %d \"%s\"", dotted ? dotted : "(the same)", value, is, buf_str(&out));
    buf_free(&out);
    jd_free(old);
    jd_free(new);
}

static void test_extensions(void **state)
{
    (void)state;
    assert_compare(by_minor, NULL, "", true, "2 of 2");
    assert_compare(by_minor, "inside.immich.extensions.vector.version", "'0.8.1'", true, "2 of 2, vector 0.8.0→0.8.1 patch");
    assert_compare(by_none, "inside.immich.extensions.vector.version", "'0.8.1'", false, "the plan allows none");
    assert_compare(by_minor, "inside.immich.extensions.vector.version", "'1.0.0'", false, "0.8.0→1.0.0 is major drift, the plan allows minor");
    assert_compare(by_minor, "inside.immich.extensions.vector.version", "'0.7.4'", false, "is older");
    assert_compare(by_minor, "inside.immich.extensions.vector", "", false, "immich has no extension vector now");
    assert_compare(by_minor, "inside.immich.extensions.cube.schema", "'other'", false, "in schema public, now in other");
}

static void test_available(void **state)
{
    (void)state;
    struct json_t *d = doc_of(OLD);
    struct buf out = {0};
    assert_true(compare_available(d, "minor", &out));
    assert_string_equal(buf_str(&out), "2 of 2, vector 0.8.0→0.8.1 patch");
    buf_clear(&out);
    assert_false(compare_available(d, "none", &out));
    buf_clear(&out);
    jd_put(d, "inside.immich.extensions.vector.default", jd_null());
    assert_false(compare_available(d, "any", &out));
    assert_non_null(strstr(buf_str(&out), "the image does not have extension vector, which immich uses"));
    jd_free(d);
    buf_free(&out);
}

static void test_everything_else(void **state)
{
    (void)state;
    assert_compare(compare_databases, NULL, "", true, "1 databases, equal");
    assert_compare(compare_databases, "databases.immich.collversion", "'2.36'", true, "equal");
    assert_compare(compare_databases, "databases.immich.encoding", "'SQL_ASCII'", false, "database immich encoding: UTF8, now SQL_ASCII");
    assert_compare(compare_databases, "databases.extra", "{}", false, "database extra was not there before");
    assert_compare(compare_roles, "roles.grafana", "", false, "role grafana is missing");
    assert_compare(compare_roles, "roles.immich.super", "false", false, "role immich super: true, now false");
    assert_compare(compare_roles, "memberships", "[]", false, "memberships");
    assert_compare(compare_settings, "settings.*/grafana", "", false, "*/grafana: [\"statement_timeout=30s\"], now absent");
    assert_compare(compare_objects, "inside.immich.objects.indexes", "23", false, "immich indexes: 24, now 23");
    assert_compare(compare_acls, "inside.immich.acls.relations", "'bb'", false, "immich relations: aa, now bb");
    assert_compare(compare_sequences, "inside.immich.sequences", "{'public.s':'48215,not called'}", false, "48215,called, now 48215,not called");
    assert_compare(compare_large_objects, NULL, "", true, "1 large object, 24000 bytes, equal");
    assert_compare(compare_large_objects, "inside.immich.large_objects.bytes", "23999", false, "24000, now 23999");
    assert_compare(compare_collations, "stale_collations", "['immich']", false, "database immich");
    assert_compare(compare_indexes, NULL, "", true, "24 indexes, all valid");
    assert_compare(compare_indexes, "inside.immich.invalid_indexes", "['public.clip_index']", false, "invalid index of immich: public.clip_index");
    assert_compare(compare_configuration, NULL, "", false, "replication slot s1 is not carried");
    assert_compare(compare_configuration, "configuration.max_wal_size", "'2048'", false, "max_wal_size: 1024, now 2048");
}

static bool md5_only_new(const struct json_t *old, const struct json_t *new, struct buf *out)
{
    (void)old;
    return compare_md5(new, out);
}

static void test_passwords_by_kind(void **state)
{
    (void)state;
    assert_compare(md5_only_new, NULL, "", false, "role grafana has an md5 password");
    assert_compare(md5_only_new, "hba", "['host all all all scram-sha-256','host all grafana all md5']", true, "no password");
}

static void assert_counts(const char *a, const char *b, const struct plan_strings *only, bool good, const char *says)
{
    struct json_t *x = doc_of(a), *y = doc_of(b);
    struct buf out = {0};
    if (postgres_counts_equal(x, y, "now", only, &out) != good || !strstr(buf_str(&out), says))
        fail_msg("%s %s: %s", a, b, buf_str(&out));
    jd_free(x);
    jd_free(y);
    buf_free(&out);
}

static void test_counts(void **state)
{
    (void)state;
    char assets[] = "assets", other[] = "other.t", *tables[] = {assets, other};
    struct plan_strings some = {tables, 2};
    assert_counts("{'i':{'public.assets':111843,'public.users':6}}", "{'i':{'public.users':6,'public.assets':111843}}", NULL, true,
                  "111,849 rows in 2 tables, equal");
    assert_counts("{'i':{'public.assets':111843}}", "{'i':{'public.assets':111842}}", NULL, false, "i public.assets: 111,843, now 111,842");
    assert_counts("{'i':{'public.assets':1,'public.b':2}}", "{'i':{'public.assets':1}}", NULL, false, "public.b: 2, now no such table");
    assert_counts("{'i':{}}", "{'i':{'public.b':2}}", NULL, false, "public.b: no such table, now 2");
    assert_counts("{'i':{'public.a':0}}", "{}", NULL, false, "no such table");
    assert_counts("{'i':{'public.assets':1,'public.b':2}}", "{'i':{'public.assets':1,'public.b':3}}", &some, true, "1 rows in 1 tables");
    assert_counts("{'i':{'other.t':1}}", "{'i':{'other.t':2}}", &some, false, "other.t");
    assert_counts("{'i':{'a.a':1,'a.b':1,'a.c':1,'a.d':1,'a.e':1}}", "{'i':{}}", NULL, false, "; and 2 more tables");
    assert_counts("{'i':{'a.a':'0123456789abcdef'}}", "{'i':{'a.a':'1123456789abcdef'}}", NULL, false, "0123456789ab, now 1123456789ab");
    assert_counts("{}", "{}", NULL, true, "0 tables, equal");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_drift),           cmocka_unit_test(test_extensions),        cmocka_unit_test(test_available),
        cmocka_unit_test(test_everything_else), cmocka_unit_test(test_passwords_by_kind), cmocka_unit_test(test_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
