#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/secret.h"
#include "client/kube_config.h"
#include "client/kube_exec.h"
#include "loop/loop.h"

#define V1 "client.authentication.k8s.io/v1"
#define REPLY(status) "{\"kind\":\"ExecCredential\",\"apiVersion\":\"" V1 "\",\"status\":" status "}"

static char folder[] = "/tmp/ferryman-exec-XXXXXX";
static char version[] = V1;

/* ---- The reply --------------------------------------------------------------------------------------------------- */

static char command[] = "login";
static const struct kube_exec_config plain = {.command = command, .api_version = version};

static void parsed_error(const char *output, const char *part)
{
    struct kube_exec_result r = {0};
    struct err *e = kube_exec_parse(&plain, slice_of(output), &r);
    assert_non_null(e);
    assert_int_equal(err_kind(e), ERR_AUTH);
    if (!strstr(err_text(e), part))
        fail_msg("\"%s\" is not in \"%s\"", part, err_text(e));
    assert_null(strstr(err_text(e), "hunter2"));
    assert_null(r.token);
    err_free(e);
}

static void test_reply_with_token(void **state)
{
    (void)state;
    struct kube_exec_result r = {0};
    assert_null(kube_exec_parse(&plain, slice_of(REPLY("{\"token\":\"t\\u0041\",\"expirationTimestamp\":"
                                                       "\"2026-11-22T10:00:00Z\"}")), &r));
    assert_string_equal(secret_bytes(r.token), "tA");
    assert_int_equal(r.expires_ms, INT64_C(1795341600000));
    assert_null(r.cert_pem);
    kube_exec_result_free(&r);
}

static void test_reply_with_certificate(void **state)
{
    (void)state;
    struct kube_exec_result r = {0};
    static const char output[] = REPLY("{\"clientCertificateData\":\"A\\nB\\n\",\"clientKeyData\":\"K\"}");
    assert_null(kube_exec_parse(&plain, slice_of(output), &r));
    assert_string_equal(r.cert_pem, "A\nB\n");
    assert_string_equal(secret_bytes(r.key_pem), "K");
    assert_null(r.token);
    assert_int_equal(r.expires_ms, 0);
    kube_exec_result_free(&r);
}

static void test_bad_replies(void **state)
{
    (void)state;
    parsed_error("", "wrote no ExecCredential");
    parsed_error("Please log in at https://x\n", "wrote no ExecCredential");
    parsed_error("{\"kind\":\"Pod\"}", "wrote no ExecCredential");
    parsed_error(REPLY("{\"token\":\"hunter2\"") , "wrote no ExecCredential");
    parsed_error("{\"kind\":\"ExecCredential\",\"apiVersion\":\"client.authentication.k8s.io/v1beta1\",\"status\":{}}",
                 "answered in apiVersion \"client.authentication.k8s.io/v1beta1\"");
    parsed_error("{\"kind\":\"ExecCredential\",\"apiVersion\":\"" V1 "\"}", "without status");
    parsed_error(REPLY("{}"), "neither token nor certificate");
    parsed_error(REPLY("{\"token\":7}"), "neither token nor certificate");
    parsed_error(REPLY("{\"clientKeyData\":\"hunter2\"}"), "without the other");
    parsed_error(REPLY("{\"token\":\"hunter2\",\"expirationTimestamp\":\"soon\"}"), "is no time");
}

static void test_info(void **state)
{
    (void)state;
    char info[] = "{\"server\":\"https://h\"}";
    struct kube_exec_config x = {.api_version = version, .provide_cluster_info = true, .cluster_info_json = info};
    char *with = kube_exec_info(&x), *without = kube_exec_info(&plain);
    assert_string_equal(with, "{\"kind\":\"ExecCredential\",\"apiVersion\":\"" V1 "\",\"spec\":{\"interactive\":false,"
                              "\"cluster\":{\"server\":\"https://h\"}}}");
    assert_string_equal(without, "{\"kind\":\"ExecCredential\",\"apiVersion\":\"" V1 "\","
                                 "\"spec\":{\"interactive\":false}}");
    mem_free(with);
    mem_free(without);
}

/* ---- The run ----------------------------------------------------------------------------------------------------- */

struct run {
    struct loop *loop;
    struct kube_exec *exec;
    char *token;
    char error[1024];
    enum err_kind kind;
    bool done;
};

static void exec_done(void *arg, struct kube_exec_result *r, const struct err *e)
{
    struct run *run = arg;
    if (e) {
        run->kind = err_kind(e);
        snprintf(run->error, sizeof run->error, "%s", err_text(e));
    }
    run->token = r->token ? mem_strdup(secret_bytes(r->token)) : NULL;
    kube_exec_free(run->exec);
    run->exec = NULL;
    run->done = true;
}

/* Writes a script and runs it with these arguments. */
static struct run run_script(const char *script, char **args, char **env)
{
    char *path = str_printf("%s/plugin", folder), *text = str_printf("#!/bin/sh\n%s\n", script);
    struct kube_exec_config x = {.command = path, .args = args, .env = env, .api_version = version};
    struct run run = {.loop = loop_new()};
    assert_null(file_write_durable(path, text, strlen(text), 0700));
    struct err *e = kube_exec_start(run.loop, &x, exec_done, &run, &run.exec);
    assert_null(e);
    assert_true(loop_run_until(run.loop, &run.done, 10000));
    loop_free(run.loop);
    mem_free(path);
    mem_free(text);
    return run;
}

static void test_arguments_and_environment_without_a_shell(void **state)
{
    (void)state;
    char one[] = "a b; $(exit)", two[] = "", env1[] = "WHO=me", *args[] = {one, two, NULL}, *env[] = {env1, NULL};
    setenv("FERRYMAN_TEST_INHERITED", "yes", 1);
    struct run run = run_script("test \"$1\" = 'a b; $(exit)' && test $# = 2 && test \"$WHO\" = me || exit 3\n"
                                "test \"$FERRYMAN_TEST_INHERITED\" = yes || exit 4\n"
                                "read line && exit 5\n"
                                "case $KUBERNETES_EXEC_INFO in *'\"interactive\":false'*) ;; *) exit 6;; esac\n"
                                "echo '" REPLY("{\"token\":\"good\"}") "'", args, env);
    assert_string_equal(run.error, "");
    assert_string_equal(run.token, "good");
    mem_free(run.token);
}

static void test_failure_tells_the_last_words(void **state)
{
    (void)state;
    struct run run = run_script("echo hunter2-on-stdout\n"
                                "printf 'one\\ntwo\\nthree\\n\\033[31mfour\\n\\nBearer abc.def.ghi\\n' >&2\n"
                                "exit 7", NULL, NULL);
    assert_null(run.token);
    assert_int_equal(run.kind, ERR_AUTH);
    assert_non_null(strstr(run.error, "/plugin failed with status 7: three / "));
    assert_non_null(strstr(run.error, "four / Bearer [redacted]"));
    assert_null(strstr(run.error, "hunter2"));
    assert_null(strchr(run.error, '\033'));
}

static void test_killed(void **state)
{
    (void)state;
    struct run run = run_script("kill -9 $$", NULL, NULL);
    assert_non_null(strstr(run.error, "was ended by signal 9"));
}

static void test_flood(void **state)
{
    (void)state;
    struct run run = run_script("exec yes xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", NULL, NULL);
    assert_non_null(strstr(run.error, "wrote more than 1 MiB"));
}

static void test_absent_program_gives_the_hint(void **state)
{
    (void)state;
    char absent[] = "/nonexistent/login", hint[] = "install it from example.org";
    struct kube_exec_config x = {.command = absent, .install_hint = hint, .api_version = version};
    struct loop *l = loop_new();
    struct kube_exec *exec = NULL;
    struct err *e = kube_exec_start(l, &x, exec_done, NULL, &exec);
    assert_non_null(e);
    assert_null(exec);
    assert_int_equal(err_kind(e), ERR_AUTH);
    assert_non_null(strstr(err_text(e), "credential plugin /nonexistent/login: install it from example.org"));
    err_free(e);
    loop_free(l);
}

static void test_freed_while_it_runs(void **state)
{
    (void)state;
    char *path = str_printf("%s/sleeper", folder);
    static const char text[] = "#!/bin/sh\nexec sleep 30\n";
    assert_null(file_write_durable(path, text, sizeof text - 1, 0700));
    struct kube_exec_config x = {.command = path, .api_version = version};
    struct run run = {.loop = loop_new()};
    assert_null(kube_exec_start(run.loop, &x, exec_done, &run, &run.exec));
    loop_run_until(run.loop, &run.done, 20);
    kube_exec_free(run.exec);
    loop_run_until(run.loop, &run.done, 20);
    assert_false(run.done);
    loop_free(run.loop);
    mem_free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reply_with_token),
        cmocka_unit_test(test_reply_with_certificate),
        cmocka_unit_test(test_bad_replies),
        cmocka_unit_test(test_info),
        cmocka_unit_test(test_arguments_and_environment_without_a_shell),
        cmocka_unit_test(test_failure_tells_the_last_words),
        cmocka_unit_test(test_killed),
        cmocka_unit_test(test_flood),
        cmocka_unit_test(test_absent_program_gives_the_hint),
        cmocka_unit_test(test_freed_while_it_runs),
    };
    if (!mkdtemp(folder))
        return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    char *cleanup = str_printf("rm -rf '%s'", folder);
    int rc = system(cleanup);
    mem_free(cleanup);
    return failed || rc;
}
