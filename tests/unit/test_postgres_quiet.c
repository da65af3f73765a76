/* What is stopped, who is connected, and when a phase may begin. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/json_doc.h"
#include "base/mem.h"
#include "base/secret.h"
#include "migrate/plan_hours.h"
#include "migrate/postgres_clients.h"
#include "migrate/postgres_login.h"
#include "migrate/postgres_quiet.h"

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

/* ---- Clients ---- */

static bool owner(void *arg, struct slice address, struct buf *ret_pod, struct buf *ret_owner)
{
    (void)arg;
    if (slice_is(address, "10.0.0.1")) {
        buf_adds(ret_pod, "server-1");
        buf_adds(ret_owner, "deployment/server");
        return true;
    }
    if (slice_is(address, "10.0.0.2")) {
        buf_adds(ret_pod, "metabase-1");
        buf_adds(ret_owner, "deployment/metabase");
        return true;
    }
    return false;
}

static void assert_client(const char *application, const char *address, bool self, enum client_is want, const char *says)
{
    static const char *const quiesce[] = {"deployment/server", "cronjob/backup"};
    struct json_t *remembered = doc_of("{'10.0.0.7':'deployment/server','10.0.0.8':'deployment/other'}");
    struct pg_client c = {.pid = 7, .user = SLICE_LIT("immich"), .database = SLICE_LIT("immich"), .application = slice_of(application),
                          .address = slice_of(address), .self = self};
    struct buf who = {0};
    if (client_judge(&c, "1f2e", quiesce, 2, remembered, owner, NULL, &who) != want || !strstr(buf_str(&who), says))
        fail_msg("%s at %s: %s", application, address ? address : "socket", buf_str(&who));
    buf_free(&who);
    jd_free(remembered);
}

static void test_owners(void **state)
{
    (void)state;
    assert_client("node", "10.0.0.1", false, CLIENT_LISTED, "user immich, database immich, application node, from pod server-1 (deployment/server)");
    assert_client("", "10.0.0.2", false, CLIENT_UNKNOWN, "deployment/metabase");
    assert_client("", "10.0.0.7", false, CLIENT_LISTED, "a pod of deployment/server that was stopped");
    assert_client("", "10.0.0.8", false, CLIENT_UNKNOWN, "deployment/other");
    assert_client("psql", "192.168.1.9", false, CLIENT_UNKNOWN, "from 192.168.1.9, which is no pod that we see");
    assert_client("psql", NULL, false, CLIENT_UNKNOWN, "from inside the server's own pod");
    assert_client("x", "192.168.1.9", true, CLIENT_OURS, "");
    assert_client("ferryman", "192.168.1.9", false, CLIENT_OURS, "");
    assert_client("ferryman/1f2e", "192.168.1.9", false, CLIENT_OURS, "");
    assert_client("ferryman/9999", "192.168.1.9", false, CLIENT_UNKNOWN, "ferryman/9999");
    assert_client("ferrymans", "192.168.1.9", false, CLIENT_UNKNOWN, "");
}

static void test_foreign_names_are_cleaned(void **state)
{
    (void)state;
    assert_client("a\x1b[31m\n", "192.168.1.9", false, CLIENT_UNKNOWN, "application a\xef\xbf\xbd[31m ");
}

/* ---- Applications ---- */

static void assert_recorded(struct json_t *apps, const char *name, const char *object, int64_t typed, enum apps_answer want, const char *says)
{
    struct json_t *o = doc_of(object);
    struct buf out = {0};
    if (apps_record(apps, name, o, false, typed, &out) != want || !strstr(buf_str(&out), says))
        fail_msg("%s: %s", name, buf_str(&out));
    buf_free(&out);
    jd_free(o);
}

#define APP(uid, replicas) "{'metadata':{'uid':'" uid "','namespace':'i'},'spec':{'replicas':" replicas ",'selector':{'matchLabels':{'app':'s'}}}}"

static void test_what_ran_is_what_counts(void **state)
{
    (void)state;
    struct json_t *apps = jd_array();
    assert_recorded(apps, "deployment/s", APP("u1", "2"), -1, APPS_RECORDED, "2 replicas");
    assert_int_equal(jd_num(apps_find(apps, "deployment/s"), "replicas", -1), 2);
    assert_string_equal(jd_str(apps_find(apps, "deployment/s"), "selector"), "app=s");
    /* Stopped by us meanwhile, then asked again after a crash: the old number stays. */
    assert_recorded(apps, "deployment/s", APP("u1", "0"), -1, APPS_RECORDED, "recorded before it was stopped: 2 replicas");
    assert_int_equal(jd_num(apps_find(apps, "deployment/s"), "replicas", -1), 2);
    /* It runs again, otherwise: that counts. */
    assert_recorded(apps, "deployment/s", APP("u1", "3"), -1, APPS_RECORDED, "3 replicas");
    assert_int_equal(jd_num(apps_find(apps, "deployment/s"), "replicas", -1), 3);
    /* Another object of that name at 0: nobody knows what it should come back to (safety 26). */
    assert_recorded(apps, "deployment/s", APP("u2", "0"), -1, APPS_ASK, "0 replicas now, so what it should come back to is not known");
    assert_recorded(apps, "deployment/s", APP("u2", "0"), 4, APPS_RECORDED, "4 replicas, as typed");
    assert_int_equal(jd_len(apps), 1);
    assert_int_equal(jd_num(apps_find(apps, "deployment/s"), "replicas", -1), 4);
    jd_free(apps);
}

/* A part of it was scaled up by somebody between two tries: that is not what it comes back to. */
static void test_what_ran_first_is_kept(void **state)
{
    (void)state;
    struct json_t *apps = jd_array(), *o = doc_of(APP("u1", "1"));
    struct buf out = {0};
    assert_recorded(apps, "deployment/s", APP("u1", "3"), -1, APPS_RECORDED, "3 replicas");
    assert_int_equal(apps_record(apps, "deployment/s", o, true, -1, &out), APPS_RECORDED);
    assert_non_null(strstr(buf_str(&out), "1 replicas now; it comes back to the 3"));
    assert_int_equal(jd_num(apps_find(apps, "deployment/s"), "replicas", -1), 3);
    assert_int_equal(jd_num(apps_find(apps, "deployment/s"), "now", -1), 1); /* what the patch that scales it down tests */
    buf_free(&out);
    jd_free(o);
    jd_free(apps);
}

static void test_cron_jobs(void **state)
{
    (void)state;
    struct json_t *apps = jd_array();
    assert_recorded(apps, "cronjob/a", "{'metadata':{'uid':'a'},'spec':{'suspend':false}}", -1, APPS_RECORDED, "active");
    assert_recorded(apps, "cronjob/a", "{'metadata':{'uid':'a'},'spec':{'suspend':true}}", -1, APPS_RECORDED, "recorded before it was stopped: active");
    assert_recorded(apps, "cronjob/b", "{'metadata':{'uid':'b'},'spec':{'suspend':true}}", -1, APPS_RECORDED, "will be left so");
    assert_recorded(apps, "cronjob/c", "{'metadata':{'uid':'c'},'spec':{}}", -1, APPS_RECORDED, "active");
    assert_false(jd_flag(apps_find(apps, "cronjob/a"), "suspend", true));
    assert_true(jd_flag(apps_find(apps, "cronjob/b"), "suspend", false));
    assert_true(jd_is_null(jd_member(apps_find(apps, "cronjob/c"), "suspend")));
    jd_free(apps);
}

/* ---- Hours ---- */

static int64_t at(const char *text)
{
    int64_t ms = 0;
    assert_true(clock_parse_rfc3339(slice_of(text), &ms));
    return ms;
}

static void assert_hours(const char *hours, const char *when, bool open, const char *says)
{
    struct buf out = {0};
    if (plan_hours_open(hours, at(when), &out) != open || !strstr(buf_str(&out), says))
        fail_msg("%s at %s: %s", hours ? hours : "none", when, buf_str(&out));
    buf_free(&out);
}

static void test_hours(void **state)
{
    (void)state;
    setenv("TZ", "Asia/Tokyo", 1);
    assert_hours(NULL, "2026-04-25T03:00:00Z", true, "");
    assert_hours("08:00-22:00", "2026-04-25T07:59:59Z", false, "it is 07:59 in UTC; the plan lets a phase begin from 08:00 to 22:00 only");
    assert_hours("08:00-22:00 UTC", "2026-04-25T08:00:00Z", true, "");
    assert_hours("08:00-22:00 Europe/London", "2026-04-25T07:00:00Z", true, ""); /* summer time */
    assert_hours("08:00-22:00 Europe/London", "2026-01-25T07:30:00Z", false, "07:30 in Europe/London");
    assert_hours("08:00-22:00 Europe/London", "2026-04-25T21:00:00Z", false, "22:00");
    assert_hours("22:00-04:00 UTC", "2026-04-25T03:00:00Z", true, "");
    assert_hours("22:00-04:00 UTC", "2026-04-25T04:00:00Z", false, "04:00");
    assert_hours("00:00-24:00 UTC", "2026-04-25T23:59:00Z", true, "");
    assert_hours("08:00-22:00 Europe/Londn", "2026-04-25T12:00:00Z", false, "is not known here");
    assert_hours("08:00-22:00 ../../etc/passwd", "2026-04-25T12:00:00Z", false, "");
    assert_hours("rubbish", "2026-04-25T12:00:00Z", false, "cannot be read");
    assert_string_equal(getenv("TZ"), "Asia/Tokyo");
}

/* ---- The login's Secret ---- */

static void test_login_password(void **state)
{
    (void)state;
    struct json_t *d = doc_of("{'data':{'db_password':'czNjcmV0','bad':'%%%'}}");
    struct secret *s = NULL;
    assert_null(login_password(d, "immich-secrets", "db_password", &s));
    assert_string_equal(secret_bytes(s), "s3cret");
    secret_free(s);
    struct err *e = login_password(d, "immich-secrets", "other", &s);
    assert_non_null(strstr(err_text(e), "Secret immich-secrets has no key other"));
    err_free(e);
    e = login_password(d, "immich-secrets", "bad", &s);
    assert_non_null(strstr(err_text(e), "is not base64"));
    assert_null(strstr(err_text(e), "%%%"));
    err_free(e);
    jd_free(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_owners),    cmocka_unit_test(test_foreign_names_are_cleaned), cmocka_unit_test(test_what_ran_is_what_counts),
        cmocka_unit_test(test_what_ran_first_is_kept),
        cmocka_unit_test(test_cron_jobs), cmocka_unit_test(test_hours),                     cmocka_unit_test(test_login_password),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
