#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/utf8.h"
#include "client/kube_client.h"
#include "client/kube_client_private.h"

static struct kube_status parse(const char *json)
{
    struct kube_status s;
    kube_status_parse(slice_of(json), &s);
    return s;
}

static void test_forbidden(void **state)
{
    (void)state;
    struct kube_status s = parse(
        "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{},\"status\":\"Failure\","
        "\"message\":\"persistentvolumeclaims is forbidden: User \\\"bob\\\" cannot list\","
        "\"reason\":\"Forbidden\",\"details\":{\"kind\":\"x\"},\"code\":403}\n");
    assert_int_equal(s.code, 403);
    assert_string_equal(s.reason, "Forbidden");
    assert_string_equal(s.message, "persistentvolumeclaims is forbidden: User \"bob\" cannot list");
    assert_int_equal(s.retry_after_s, -1);
    assert_false(s.too_large_rv);
}

static void test_expired_list(void **state)
{
    (void)state;
    struct kube_status s = parse("{\"code\":410,\"reason\":\"Expired\",\"message\":\"m\","
                                 "\"metadata\":{\"continue\":\"eyJ2\"},\"kind\":\"Status\"}");
    assert_int_equal(s.code, 410);
    assert_string_equal(s.continue_token, "eyJ2");
}

static void test_future_version(void **state)
{
    (void)state;
    struct kube_status s = parse("{\"kind\":\"Status\",\"metadata\":{},\"code\":504,\"reason\":\"Timeout\",\"details\":"
                                 "{\"causes\":[{\"reason\":\"ResourceVersionTooLarge\",\"message\":\"x\"}],"
                                 "\"retryAfterSeconds\":1}}");
    assert_true(s.too_large_rv);
    assert_int_equal(s.retry_after_s, 1);
    assert_true(parse("{\"kind\":\"Status\",\"code\":504,\"message\":\"Too large resource version: 9\"}").too_large_rv);
}

/* What the server's timeout filter writes, as seen when its etcd is gone. */
static void test_status_without_kind(void **state)
{
    (void)state;
    struct kube_status s = parse("{\"metadata\":{},\"status\":\"Failure\",\"message\":\"Timeout: request did not complete within "
                                 "the allotted timeout\",\"reason\":\"Timeout\",\"details\":{},\"code\":504}");
    assert_int_equal(s.code, 504);
    assert_string_equal(s.reason, "Timeout");
}

static void test_no_status(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "", "404 page not found\n", "{}", "{\"kind\":\"Pod\",\"code\":403,\"message\":\"x\"}",
        "{\"kind\":\"Status\",\"code\":4", "[]", "null",
        "{\"kind\":\"Status\",\"details\":[],\"metadata\":null,\"code\":\"403\"}",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct kube_status s = parse(texts[i]);
        assert_int_equal(s.code, 0);
        assert_string_equal(s.message, "");
        assert_int_equal(s.retry_after_s, -1);
    }
    struct kube_status s;
    kube_status_parse((struct slice){0}, &s);
    assert_int_equal(s.code, 0);
}

static void test_text_is_cleaned_and_bounded(void **state)
{
    (void)state;
    struct buf json = {0};
    buf_adds(&json, "{\"kind\":\"Status\",\"code\":500,\"message\":\"\\u001b[31m\\u202e");
    for (int i = 0; i < 400; i++)
        buf_adds(&json, "ä");
    buf_adds(&json, "\",\"metadata\":{\"continue\":\"");
    for (int i = 0; i < 600; i++)
        buf_addc(&json, 'x');
    buf_adds(&json, "\"}}");
    struct kube_status s = parse(buf_str(&json));
    assert_int_equal(s.code, 500);
    assert_true(utf8_is_clean(slice_of(s.message)));
    assert_in_range(strlen(s.message), 500, 511);
    assert_string_equal(s.continue_token, ""); /* a cut token is none */
    buf_free(&json);
}

static void check_err(int code, const char *body, enum err_kind kind, const char *text)
{
    struct err *e = kube_status_err("kube home", "GET", "/api/v1/pods?continue=x", code, slice_of(body));
    assert_int_equal(err_kind(e), kind);
    assert_string_equal(err_text(e), text);
    err_free(e);
}

static void test_errors(void **state)
{
    (void)state;
    check_err(403, "{\"kind\":\"Status\",\"code\":403,\"message\":\"no\"}", ERR_DENIED,
              "kube home: GET /api/v1/pods: 403 Forbidden: no");
    check_err(401, "{\"kind\":\"Status\",\"code\":401,\"message\":\"Unauthorized\"}", ERR_AUTH,
              "kube home: GET /api/v1/pods: 401 Unauthorized: Unauthorized; the credentials are not accepted: log in "
              "again or renew the token");
    check_err(404, "404 page not found\n", ERR_FAILED,
              "kube home: GET /api/v1/pods: 404 Not Found: 404 page not found");
    check_err(409, "", ERR_FAILED, "kube home: GET /api/v1/pods: 409 Conflict");
    check_err(503, "<html><body>\nno\n</body></html>", ERR_UNAVAILABLE, "kube home: GET /api/v1/pods: 503 Unavailable");
    check_err(307, "", ERR_PROTOCOL, "kube home: GET /api/v1/pods: 307 redirect, which is not followed");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forbidden),
        cmocka_unit_test(test_expired_list),
        cmocka_unit_test(test_future_version),
        cmocka_unit_test(test_no_status),
        cmocka_unit_test(test_status_without_kind),
        cmocka_unit_test(test_text_is_cleaned_and_bounded),
        cmocka_unit_test(test_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
