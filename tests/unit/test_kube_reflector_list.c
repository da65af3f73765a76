#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "client/kube_client.h"
#include "client/kube_reflector.h"
#include "tests/unit/tiny_http.h"

#include "tests/unit/kube_stage.h"

/* ---- Lists ------------------------------------------------------------------------------------------------------- */

static void test_list_in_pages_then_watch(void **state)
{
    struct stage *w = *state;
    stage_say_list(w, LIST("380", NEXT("abc/+=="), CLAIM("a", "347") "," CLAIM("b", "348")));
    stage_say_list(w, LIST("381", NEXT("def"), ""));
    stage_say_list(w, LIST("382", "", CLAIM("c", "350")));
    stage_start(w);
    AWAIT(w, is_live);
    assert_int_equal(w->begins, 1);
    assert_int_equal(w->ends, 1);
    assert_int_equal(w->objects, 3);
    assert_true(stage_knows(w, "a") && stage_knows(w, "b") && stage_knows(w, "c"));
    assert_in(w->last_list, "limit=500&continue=def");
    assert_in(w->last_watch, "watch=true&allowWatchBookmarks=true&timeoutSeconds=");
    assert_in(w->last_watch, "&resourceVersion=380"); /* the first page's */
    const struct kube_reflector_status *s = kube_reflector_status(w->reflector);
    assert_int_equal(s->lists, 1);
    assert_int_equal(s->watches, 1);
    assert_null(s->error);
    assert_true(s->last_ok_ms > 0 && s->last_ok_ms <= clock_mono_ms());
    bool escaped = false, gzip = false;
    for (int i = 0; i < tiny_http_count(w->server); i++) {
        escaped = escaped || strstr(tiny_http_request(w->server, i)->target, "continue=abc%2F%2B%3D%3D");
        gzip = gzip || strstr(tiny_http_request(w->server, i)->head, "gzip");
    }
    assert_true(escaped);
    assert_false(gzip); /* on loopback, and never for a watch */
}

static void test_timeout_below_what_balancers_cut(void **state)
{
    struct stage *w = *state;
    stage_start(w);
    AWAIT(w, is_live);
    int seconds = atoi(strstr(w->last_watch, "timeoutSeconds=") + 15);
    assert_in_range(seconds, 180, 230);
}

static void test_null_items(void **state)
{
    struct stage *w = *state;
    stage_say_list(w, "{\"kind\":\"ClaimList\",\"metadata\":{\"resourceVersion\":\"7\"},\"items\":null}");
    stage_start(w);
    AWAIT(w, is_live);
    assert_int_equal(w->ends, 1);
    assert_in(w->last_watch, "resourceVersion=7");
}

static void test_selector_and_namespace(void **state)
{
    struct stage *w = *state;
    tiny_http_json(w->server, "/api/v1/namespaces/vault/events", LIST("5", "", ""));
    tiny_http_answer(w->server, "/api/v1/namespaces/vault/events", &(struct tiny_answer){.fate = TINY_OPEN});
    struct kube_reflector_options o = {
        .group_path = "/api/v1",
        .resource = "events",
        .ns = "vault",
        .selector = "fieldSelector=type%3DWarning",
    };
    w->reflector = kube_reflector_new(w->client, &o, &stage_events, w);
    AWAIT(w, is_live);
    assert_string_equal(tiny_http_request(w->server, 0)->target,
                        "/api/v1/namespaces/vault/events?limit=500&fieldSelector=type%3DWarning");
    assert_in(tiny_http_request(w->server, 1)->target, "&fieldSelector=type%3DWarning");
}

static void test_expired_continue_starts_over(void **state)
{
    struct stage *w = *state;
    stage_say_list(w, LIST("380", NEXT("old"), CLAIM("a", "1")));
    stage_say(&w->lists, &(struct tiny_answer){
        .status = 410,
        .body = "{\"kind\":\"Status\",\"metadata\":{\"continue\":\"newer\"},\"code\":410,\"reason\":\"Expired\"}"});
    stage_say_list(w, LIST("400", "", CLAIM("b", "2")));
    stage_start(w);
    AWAIT(w, is_live);
    assert_string_equal(w->last_list, CLAIMS "?limit=500"); /* the new token, which is inconsistent, is not used */
    assert_int_equal(w->begins, 2);
    assert_int_equal(w->ends, 1);
    assert_true(lost_a(w));
    assert_true(stage_knows(w, "b"));
    assert_int_equal(w->worst, KUBE_STARTING);
}

static void test_expired_twice_lists_without_pages(void **state)
{
    struct stage *w = *state;
    static const struct tiny_answer gone = {.status = 410, .body = STATUS(410, "Expired", "gone")};
    stage_say_list(w, LIST("380", NEXT("old"), CLAIM("a", "1")));
    stage_say(&w->lists, &gone);
    stage_say_list(w, LIST("381", NEXT("old"), CLAIM("a", "1")));
    stage_say(&w->lists, &gone);
    stage_say_list(w, LIST("400", "", CLAIM("b", "2")));
    stage_start(w);
    AWAIT(w, is_live);
    assert_string_equal(w->last_list, CLAIMS);
    assert_true(stage_knows(w, "b") && !stage_knows(w, "a"));
}

static void bad_list(struct stage *w, const struct tiny_answer *bad, const char *part)
{
    stage_say(&w->lists, bad);
    stage_say_list(w, LIST("9", "", CLAIM("a", "1")));
    stage_start(w);
    AWAIT(w, has_failed);
    assert_in(w->error, part);
    AWAIT(w, has_recovered);
    assert_true(stage_knows(w, "a"));
    assert_null(kube_reflector_status(w->reflector)->error);
}

static void test_list_500(void **state)
{
    bad_list(*state, &(struct tiny_answer){.status = 500, .body = STATUS(500, "InternalError", "etcd is ill")},
             "kube home: GET " CLAIMS ": 500 Internal Server Error: etcd is ill");
}

static void test_list_truncated(void **state)
{
    bad_list(*state, &(struct tiny_answer){.body = LIST("9", "", CLAIM("b", "1")), .fate = TINY_TRUNCATED},
             "kube home: ");
}

static void test_list_cut_without_notice(void **state)
{
    static const char half[] = "{\"kind\":\"List\",\"metadata\":{\"resourceVersion\":\"9\"},\"items\":[{}";
    bad_list(*state, &(struct tiny_answer){.body = half, .framing = TINY_CLOSE}, "kube home: list " CLAIMS);
}

static void test_list_malformed(void **state)
{
    bad_list(*state, &(struct tiny_answer){.body = "<html>login</html>"}, "kube home: list " CLAIMS);
}

static void test_list_is_no_list(void **state)
{
    bad_list(*state, &(struct tiny_answer){.body = "{\"kind\":\"Pod\"}"}, "no list: it has no resourceVersion");
}

static void test_list_401(void **state)
{
    bad_list(*state, &(struct tiny_answer){.status = 401, .body = STATUS(401, "Unauthorized", "Unauthorized")},
             "401 Unauthorized: Unauthorized; the credentials are not accepted");
}

static void test_list_throttled_waits_as_told(void **state)
{
    struct stage *w = *state;
    stage_say(&w->lists, &(struct tiny_answer){
        .status = 429,
        .headers = "Retry-After: 1\r\nContent-Type: text/plain\r\n",
        .body = "Too many requests, please try again later.\n",
    });
    stage_say_list(w, LIST("9", "", ""));
    stage_start(w);
    AWAIT(w, has_failed);
    assert_in(w->error, "429 Too Many Requests: Too many requests, please try again later.");
    int64_t wait = kube_reflector_status(w->reflector)->next_try_ms - clock_mono_ms();
    assert_in_range(wait, 100, 1000);
    kube_reflector_poke(w->reflector); /* the operator does not want to wait */
    AWAIT(w, has_recovered);
}

static void test_denied(void **state)
{
    struct stage *w = *state;
    stage_say(&w->lists, &(struct tiny_answer){.status = 403, .body = STATUS(403, "Forbidden", "bob cannot list")});
    stage_say_list(w, LIST("9", "", ""));
    stage_start_paced(w, (struct kube_reflector_pace){.denied_ms = 3600000});
    AWAIT(w, is_denied);
    const struct kube_reflector_status *s = kube_reflector_status(w->reflector);
    assert_in(w->error, "403 Forbidden: bob cannot list");
    assert_int_equal(err_kind(s->error), ERR_DENIED);
    assert_true(s->next_try_ms > clock_mono_ms() + 3000000);
    kube_reflector_poke(w->reflector);
    AWAIT(w, is_live);
}

static void test_unknown_resource(void **state)
{
    struct stage *w = *state;
    stage_say(&w->lists, &(struct tiny_answer){
        .status = 404, .headers = "Content-Type: text/plain\r\n", .body = "404 page not found\n"});
    stage_start_paced(w, (struct kube_reflector_pace){.denied_ms = 3600000});
    AWAIT(w, is_denied);
    assert_in(w->error, "the server has no persistentvolumeclaims: ");
    assert_in(w->error, "404 page not found");
}

static void test_nothing_listens(void **state)
{
    struct stage *w = *state;
    tiny_http_free(w->server);
    w->server = NULL;
    stage_start(w);
    AWAIT(w, has_failed);
    assert_int_equal(err_kind(kube_reflector_status(w->reflector)->error), ERR_UNAVAILABLE);
    assert_int_equal(kube_reflector_status(w->reflector)->last_ok_ms, 0);
    assert_int_equal(w->begins, 0);
    w->server = tiny_http_new(w->loop); /* for the teardown */
}

static void test_huge_object_in_list(void **state)
{
    struct stage *w = *state;
    struct buf body = {0};
    buf_adds(&body, "{\"metadata\":{\"resourceVersion\":\"9\"},\"items\":[{\"x\":\"");
    size_t n = 16 * 1024 * 1024;
    buf_reserve(&body, n);
    memset(body.p + body.len, 'x', n);
    body.len += n;
    buf_adds(&body, "\"}]}");
    stage_say(&w->lists, &(struct tiny_answer){.body = body.p, .body_len = body.len});
    stage_say_list(w, LIST("9", "", ""));
    stage_start(w);
    AWAIT(w, has_failed);
    assert_in(w->error, "kube home: list " CLAIMS);
    AWAIT(w, has_recovered);
    buf_free(&body);
}

static void test_unreadable_object_hides_no_other(void **state)
{
    struct stage *w = *state;
    w->refuse = 1;
    stage_say_list(w, LIST("9", "", CLAIM("a", "1") "," CLAIM("b", "1")));
    stage_start(w);
    AWAIT(w, is_live);
    assert_false(stage_knows(w, "a"));
    assert_true(stage_knows(w, "b"));
    assert_int_equal(kube_reflector_status(w->reflector)->unreadable, 1);
}

#define T(name) cmocka_unit_test_setup_teardown(name, stage_setup, stage_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_list_in_pages_then_watch),
        T(test_timeout_below_what_balancers_cut),
        T(test_null_items),
        T(test_selector_and_namespace),
        T(test_expired_continue_starts_over),
        T(test_expired_twice_lists_without_pages),
        T(test_list_500),
        T(test_list_truncated),
        T(test_list_cut_without_notice),
        T(test_list_malformed),
        T(test_list_is_no_list),
        T(test_list_401),
        T(test_list_throttled_waits_as_told),
        T(test_denied),
        T(test_unknown_resource),
        T(test_nothing_listens),
        T(test_huge_object_in_list),
        T(test_unreadable_object_hides_no_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
