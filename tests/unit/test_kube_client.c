#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/secret.h"
#include "client/kube_client.h"
#include "client/kube_client_private.h"
#include "client/kube_config.h"
#include "client/kube_credentials.h"
#include "loop/loop.h"
#include "net/http.h"
#include "tests/unit/tiny_http.h"

#define REVIEW "/apis/authentication.k8s.io/v1/selfsubjectreviews"
#define UNAUTHORIZED \
    "{\"kind\":\"Status\",\"message\":\"Unauthorized\",\"reason\":\"Unauthorized\",\"code\":401}"

static char folder[] = "/tmp/ferryman-client-XXXXXX";

struct world {
    struct loop *loop;
    struct tiny_http *server;
    struct kube_config config;
    struct kube_client *client;
    struct kube_request *request;
    int status, done_count, health_count;
    char body[512], error[512], health[512];
    enum err_kind kind;
    char user[64], groups[128], method[32], version[32];
    int64_t expires_ms;
    const char *good;  /* the token that is accepted; NULL: every one */
    bool done, known, told;
};

/* ---- The server -------------------------------------------------------------------------------------------------- */

static bool answer(void *arg, const struct tiny_request *rq, struct tiny_answer *ret)
{
    struct world *w = arg;
    char line[256];
    snprintf(line, sizeof line, "Authorization: Bearer %s", w->good ? w->good : "");
    if (w->good && !tiny_request_has(rq, line)) {
        *ret = (struct tiny_answer){.status = 401, .body = UNAUTHORIZED};
        return true;
    }
    return false;
}

static void on_health(void *arg, const struct err *e)
{
    struct world *w = arg;
    w->health_count++;
    w->told = true;
    snprintf(w->health, sizeof w->health, "%s", e ? err_text(e) : "well");
}

static void on_identity(void *arg, const char *user, const char *groups, const char *method, int64_t expires_ms)
{
    struct world *w = arg;
    snprintf(w->user, sizeof w->user, "%s", user);
    snprintf(w->groups, sizeof w->groups, "%s", groups);
    snprintf(w->method, sizeof w->method, "%s", method);
    w->expires_ms = expires_ms;
    w->known = true;
}

static void on_version(void *arg, const char *version)
{
    struct world *w = arg;
    snprintf(w->version, sizeof w->version, "%s", version);
}

static int setup(void **state)
{
    struct world *w = MEM_NEW(struct world);
    w->loop = loop_new();
    w->server = tiny_http_new(w->loop);
    tiny_http_handler(w->server, answer, w);
    tiny_http_json(w->server, "/ok", "{\"fine\":true}");
    w->config.context = mem_strdup("home");
    w->config.server = mem_strdup(tiny_http_url(w->server));
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    kube_request_free(w->request);
    kube_client_free(w->client);
    tiny_http_free(w->server);
    loop_free(w->loop);
    secret_free(w->config.token);
    mem_free(w->config.context);
    mem_free(w->config.server);
    mem_free(w->config.token_file);
    mem_free(w);
    return 0;
}

/* A client that asks for nothing by itself. */
static void quiet(struct world *w)
{
    static const struct kube_client_events ev = {.on_health = on_health};
    w->client = kube_client_new(w->loop, &w->config, &ev, w);
}

static void curious(struct world *w)
{
    static const struct kube_client_events ev = {on_health, on_identity, on_version};
    w->client = kube_client_new(w->loop, &w->config, &ev, w);
}

static void on_done(void *arg, const struct http_result *r, const struct err *e)
{
    struct world *w = arg;
    w->done_count++;
    w->status = r->status;
    snprintf(w->body, sizeof w->body, "%s", buf_str(r->body));
    snprintf(w->error, sizeof w->error, "%s", e ? err_text(e) : "");
    w->kind = e ? err_kind(e) : ERR_FAILED;
    kube_request_free(w->request);
    w->request = NULL;
    w->done = true;
}

static void ask_call(struct world *w, struct kube_call call)
{
    call.on_done = on_done;
    call.arg = w;
    w->done = false;
    w->request = kube_start(w->client, &call);
    if (!loop_run_until(w->loop, &w->done, 15000))
        fail_msg("no answer to %s", call.path);
}

static void ask(struct world *w, const char *path)
{
    ask_call(w, (struct kube_call){.path = path});
}

static void settle(struct world *w, bool *flag)
{
    assert_true(loop_run_until(w->loop, flag, 15000));
}

static const struct tiny_request *last(struct world *w)
{
    return tiny_http_request(w->server, -1);
}

static void assert_in(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("\"%s\" is not in \"%s\"", part, text);
}

static struct secret *token(const char *text)
{
    return secret_new(text, strlen(text));
}

/* ---- Requests ---------------------------------------------------------------------------------------------------- */

static void test_request(void **state)
{
    struct world *w = *state;
    char user[] = "root", group[] = "g", extra[] = "Scopes/X=view";
    char *groups[] = {group, NULL}, *extras[] = {extra, NULL};
    w->config.token = token("s3cret");
    w->config.as_user = user;
    w->config.as_groups = groups;
    w->config.as_extra = extras;
    quiet(w);
    const char *const headers[] = {"X-More: yes", NULL};
    ask_call(w, (struct kube_call){.method = "POST", .path = "/ok?dryRun=All", .body = "{}", .headers = headers,
                                   .gzip = true});
    assert_int_equal(w->status, 200);
    assert_string_equal(w->body, "{\"fine\":true}");
    assert_string_equal(w->error, "");
    assert_true(tiny_request_has(last(w), "Authorization: Bearer s3cret"));
    assert_true(tiny_request_has(last(w), "Impersonate-User: root"));
    assert_true(tiny_request_has(last(w), "Impersonate-Group: g"));
    assert_true(tiny_request_has(last(w), "Impersonate-Extra-scopes%2Fx: view"));
    assert_true(tiny_request_has(last(w), "X-More: yes"));
    assert_true(tiny_request_has(last(w), "Accept: application/json"));
    assert_true(tiny_request_has(last(w), "Content-Type: application/json"));
    assert_null(strstr(last(w)->head, "gzip")); /* loopback */
    assert_string_equal(last(w)->target, "/ok?dryRun=All");
    assert_string_equal(last(w)->body, "{}");
    assert_int_equal(kube_client_take_count(w->client), 1);
    assert_int_equal(kube_client_take_count(w->client), 0);
    assert_string_equal(w->health, "well");
}

static void test_errors_of_the_api(void **state)
{
    struct world *w = *state;
    tiny_http_answer(w->server, "/no", &(struct tiny_answer){.status = 403, .body =
        "{\"kind\":\"Status\",\"message\":\"bob cannot\",\"reason\":\"Forbidden\",\"code\":403}"});
    quiet(w);
    ask(w, "/no?x=1");
    assert_int_equal(w->status, 403);
    assert_int_equal(w->kind, ERR_DENIED);
    assert_string_equal(w->error, "kube home: GET /no: 403 Forbidden: bob cannot");
    assert_string_equal(w->health, "well"); /* it answers */
    ask_call(w, (struct kube_call){.path = "/no", .raw_errors = true});
    assert_int_equal(w->status, 403);
    assert_string_equal(w->error, "");
    assert_in(w->body, "bob cannot");
    ask(w, "/absent");
    assert_int_equal(w->kind, ERR_FAILED);
}

static void test_nothing_listens(void **state)
{
    struct world *w = *state;
    quiet(w);
    tiny_http_free(w->server);
    ask(w, "/ok");
    assert_int_equal(w->status, 0);
    assert_int_equal(w->kind, ERR_UNAVAILABLE);
    assert_string_equal(w->health, w->error);
    ask(w, "/ok?again");
    assert_int_equal(w->health_count, 1); /* no change */
    w->server = tiny_http_new(w->loop);
}

static void test_slow_answer_is_not_the_servers_end(void **state)
{
    struct world *w = *state;
    tiny_http_answer(w->server, "/slow", &(struct tiny_answer){.fate = TINY_SILENCE});
    quiet(w);
    ask_call(w, (struct kube_call){.path = "/slow", .timeout_ms = 50});
    assert_int_equal(w->kind, ERR_UNAVAILABLE);
    assert_int_equal(w->health_count, 0);
}

static void test_freed_requests_say_nothing(void **state)
{
    struct world *w = *state;
    quiet(w);
    struct kube_call call = {.path = "/ok", .on_done = on_done, .arg = w};
    kube_request_free(kube_start(w->client, &call));
    struct kube_request *r = kube_start(w->client, &call);
    loop_run_until(w->loop, &w->done, 1);
    kube_request_free(r);
    loop_run_until(w->loop, &w->done, 20);
    assert_true(w->done_count <= 1);
}

/* ---- 401 --------------------------------------------------------------------------------------------------------- */

static void test_static_token_refused(void **state)
{
    struct world *w = *state;
    w->good = "new";
    w->config.token = token("old");
    quiet(w);
    ask(w, "/ok");
    assert_int_equal(w->status, 401);
    assert_int_equal(w->kind, ERR_AUTH);
    assert_int_equal(tiny_http_count(w->server), 1);
    assert_in(w->health, "401 Unauthorized");
    ask_call(w, (struct kube_call){.path = "/ok", .raw_errors = true}); /* as through the pod proxy */
    assert_in(w->health, "401 Unauthorized");
    w->good = "old";
    ask(w, "/ok");
    assert_int_equal(w->status, 200);
    assert_string_equal(w->health, "well");
}

static void test_token_file_is_read_again(void **state)
{
    struct world *w = *state;
    w->config.token_file = str_printf("%s/token", folder);
    w->config.token = token("old");
    assert_null(file_write_durable(w->config.token_file, "new\n", 4, 0600));
    w->good = "new";
    quiet(w);
    ask(w, "/ok");
    assert_int_equal(w->status, 200); /* repeated with what the file says now */
    assert_int_equal(tiny_http_count(w->server), 2);
    w->good = "newer";
    ask(w, "/ok");
    assert_int_equal(w->status, 401); /* the file has nothing better */
    assert_int_equal(tiny_http_count(w->server), 3);
    unlink(w->config.token_file);
    w->good = "new";
    ask(w, "/ok");
    assert_int_equal(w->status, 200); /* an unreadable file leaves the last token */
}

static struct kube_exec_config *plugin(const char *script)
{
    static char path[256], api[] = "client.authentication.k8s.io/v1";
    static struct kube_exec_config x = {.command = path, .api_version = api};
    char *text = str_printf("#!/bin/sh\ncd %s\n%s\n", folder, script);
    snprintf(path, sizeof path, "%s/plugin", folder);
    assert_null(file_write_durable(path, text, strlen(text), 0700));
    mem_free(text);
    return &x;
}

#define SAY "echo \"{\\\"kind\\\":\\\"ExecCredential\\\",\\\"apiVersion\\\":\\\"client.authentication.k8s.io/v1\\\"," \
            "\\\"status\\\":{\\\"token\\\":\\\"$T\\\"$MORE}}\"\n"

static size_t runs(void)
{
    struct buf b = {0};
    char *path = str_printf("%s/runs", folder);
    struct err *e = file_read(path, 1000, &b);
    size_t n = e ? 0 : b.len / 2;
    err_free(e);
    mem_free(path);
    buf_free(&b);
    return n;
}

static void forget_runs(void)
{
    char *path = str_printf("%s/runs", folder);
    unlink(path);
    mem_free(path);
}

static void test_plugin_runs_once_for_many(void **state)
{
    struct world *w = *state;
    forget_runs();
    w->config.exec = plugin("echo x >> runs; T=good\n" SAY);
    w->good = "good";
    quiet(w);
    struct kube_call call = {.path = "/ok", .on_done = on_done, .arg = w};
    struct kube_request *first = kube_start(w->client, &call), *second = kube_start(w->client, &call);
    ask(w, "/ok");
    while (w->done_count < 3) {
        w->done = false;
        settle(w, &w->done);
    }
    kube_request_free(first);
    kube_request_free(second);
    assert_int_equal(w->status, 200);
    assert_int_equal(runs(), 1);
}

static void test_plugin_fails(void **state)
{
    struct world *w = *state;
    forget_runs();
    w->config.exec = plugin("echo x >> runs; echo 'session expired, run login' >&2; exit 1");
    quiet(w);
    ask(w, "/ok");
    assert_int_equal(w->status, 0);
    assert_int_equal(w->kind, ERR_AUTH);
    assert_in(w->error, "kube home: credential plugin ");
    assert_in(w->error, "failed with status 1: session expired, run login");
    assert_string_equal(w->health, w->error);
    assert_int_equal(tiny_http_count(w->server), 0);
    ask(w, "/ok");
    assert_int_equal(runs(), 1); /* it answers for a few seconds */
}

#define ENDING(when) "MORE=,\\\"expirationTimestamp\\\":\\\"$(date -u -d @$(($(date +%s) + " when ")) +%FT%TZ)\\\"\n"

static void test_expired_credentials_are_renewed(void **state)
{
    struct world *w = *state;
    forget_runs();
    w->config.exec = plugin("echo x >> runs; T=good\n" ENDING("3") SAY);
    quiet(w);
    ask(w, "/ok");
    assert_int_equal(w->status, 200);
    ask(w, "/ok");
    assert_int_equal(runs(), 1);
    bool never = false;
    loop_run_until(w->loop, &never, 3100);
    ask(w, "/ok");
    assert_int_equal(w->status, 200);
    assert_int_equal(runs(), 2);
}

/* The clocks differ: the server is asked all the same, and the plugin is not run again and again. */
static void test_credentials_that_are_over_when_they_come(void **state)
{
    struct world *w = *state;
    forget_runs();
    w->config.exec = plugin("echo x >> runs; T=good\n" ENDING("-60") SAY);
    quiet(w);
    ask(w, "/ok");
    ask(w, "/ok");
    assert_int_equal(w->status, 200);
    assert_int_equal(runs(), 1);
}

static void test_new_certificate_makes_new_connections(void **state)
{
    struct world *w = *state;
    w->config.exec = plugin("T=one\n" SAY);
    quiet(w);
    ask(w, "/ok");
    ask(w, "/ok");
    assert_int_equal(tiny_http_accepted(w->server), 1);
    w->client->transport->connection--; /* as if it had been made for another certificate */
    ask(w, "/ok");
    assert_int_equal(w->status, 200);
    assert_int_equal(tiny_http_accepted(w->server), 2);
}

/* ---- Who and what ------------------------------------------------------------------------------------------------ */

static void test_identity_and_version(void **state)
{
    struct world *w = *state;
    /* {"exp":1795341600} */
    w->config.token = token("eyJhbGciOiJub25lIn0.eyJleHAiOjE3OTUzNDE2MDB9.x");
    tiny_http_json(w->server, "/version", "{\"major\":\"1\",\"gitVersion\":\"v1.32.13\"}");
    tiny_http_answer(w->server, REVIEW, &(struct tiny_answer){.status = 201, .body =
        "{\"kind\":\"SelfSubjectReview\",\"status\":{\"userInfo\":{\"username\":\"alice\",\"uid\":\"1\","
        "\"groups\":[\"storage\",\"system:authenticated\"]}}}"});
    curious(w);
    settle(w, &w->known);
    assert_string_equal(w->version, "v1.32.13");
    assert_string_equal(w->user, "alice");
    assert_string_equal(w->groups, "storage, system:authenticated");
    assert_string_equal(w->method, "token");
    assert_int_equal(w->expires_ms, INT64_C(1795341600000));
    assert_in(last(w)->body, "SelfSubjectReview");
}

static void test_identity_of_an_old_server(void **state)
{
    struct world *w = *state;
    tiny_http_json(w->server, "/version", "{\"gitVersion\":\"v1.20.0\"}");
    curious(w);
    settle(w, &w->known);
    assert_string_equal(w->user, "");
    assert_string_equal(w->method, "none");
    assert_int_equal(w->expires_ms, 0);
}

static void test_what_came_too_late_is_not_sent(void **state)
{
    struct world *w = *state;
    quiet(w);
    struct kube_call call = {.method = "PATCH", .path = "/ok", .body = "[]", .begin_by_ms = clock_mono_ms() - 1, .on_done = on_done, .arg = w};
    w->request = kube_start(w->client, &call);
    settle(w, &w->done);
    assert_int_equal(w->status, 0);
    assert_int_equal(w->kind, ERR_CANCELLED);
    assert_in(w->error, "was not sent");
    assert_int_equal(tiny_http_count(w->server), 0);
    assert_string_equal(w->health, ""); /* it says nothing about the server */
}

static void test_jwt_expiry(void **state)
{
    (void)state;
    int64_t ms = 0;
    assert_true(kube_jwt_expiry(SLICE_LIT("eyJhbGciOiJub25lIn0.eyJleHAiOjE3OTUzNDE2MDB9.x"), &ms));
    assert_int_equal(ms, INT64_C(1795341600000));
    static const char *const bad[] = {"", "abc", "a.b", "a.!!.c", "a..c", "a.e30.c", "a.W10.c", "a.eyJleHAiOi0xfQ.c"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_false(kube_jwt_expiry(slice_of(bad[i]), &ms));
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_request),
        T(test_errors_of_the_api),
        T(test_nothing_listens),
        T(test_slow_answer_is_not_the_servers_end),
        T(test_freed_requests_say_nothing),
        T(test_static_token_refused),
        T(test_token_file_is_read_again),
        T(test_plugin_runs_once_for_many),
        T(test_plugin_fails),
        T(test_expired_credentials_are_renewed),
        T(test_credentials_that_are_over_when_they_come),
        T(test_new_certificate_makes_new_connections),
        T(test_identity_and_version),
        T(test_identity_of_an_old_server),
        T(test_what_came_too_late_is_not_sent),
        cmocka_unit_test(test_jwt_expiry),
    };
    if (!mkdtemp(folder))
        return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    char *command = str_printf("rm -rf '%s'", folder);
    int rc = system(command);
    mem_free(command);
    return failed || rc;
}
