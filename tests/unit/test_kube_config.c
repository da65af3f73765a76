#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/secret.h"
#include "base/str.h"
#include "client/kube_config.h"
#include "client/kube_config_file.h"
#include "client/kube_config_private.h"

#define CLUSTER_HOME "clusters: [{name: home, cluster: {server: 'https://10.0.0.1:6443/'}}]\n"
#define CONTEXT_HOME "contexts: [{name: home, context: {cluster: home, user: me}}]\n"
#define EXEC_V1 "apiVersion: client.authentication.k8s.io/v1, interactiveMode: Never"

static char folder[] = "/tmp/ferryman-config-XXXXXX";

static char *in(const char *name)
{
    return str_printf("%s/%s", folder, name);
}

/* Writes a file below the folder and returns its path (kept for the run). */
static const char *put(const char *name, const char *text)
{
    static char *paths[64];
    static size_t count;
    assert_true(count < ARRAY_LEN(paths));
    char *path = paths[count++] = in(name);
    char *dir = file_dirname(path);
    assert_null(file_mkdirs(dir, 0700));
    mem_free(dir);
    assert_null(file_write_durable(path, text, strlen(text), 0600));
    return path;
}

static struct kube_config *load(const char *file, const char *context)
{
    struct kube_config *c = NULL;
    struct err *e = kube_config_load(file, context, &c);
    if (e)
        fail_msg("%s", err_text(e));
    return c;
}

/* Loading fails, as bad data, with a text that holds `part`. */
static void refused(const char *file, const char *context, const char *part)
{
    struct kube_config *c = NULL;
    struct err *e = kube_config_load(file, context, &c);
    assert_non_null(e);
    assert_null(c);
    assert_int_equal(err_kind(e), ERR_DATA);
    if (!strstr(err_text(e), part))
        fail_msg("\"%s\" is not in \"%s\"", part, err_text(e));
    err_free(e);
}

/* The user's stanza of `text` is refused. */
static void user_refused(const char *text, const char *part)
{
    char *all = str_printf(CLUSTER_HOME CONTEXT_HOME "current-context: home\nusers:\n- name: me\n  user: %s\n", text);
    refused(put("bad-user", all), NULL, part);
    mem_free(all);
}

static int setup(void **state)
{
    (void)state;
    unsetenv("KUBECONFIG");
    unsetenv("KUBERNETES_SERVICE_HOST");
    unsetenv("KUBERNETES_SERVICE_PORT");
    setenv("HOME", folder, 1);
    return 0;
}

static void test_one_file(void **state)
{
    (void)state;
    put("one/ca.pem", "CA PEM\n");
    struct kube_config *c = load(put("one/config",
        "apiVersion: v1\nkind: Config\ncurrent-context: home\npreferences: {}\n"
        "clusters:\n- name: home\n  cluster:\n    server: https://10.0.0.1:6443/\n    certificate-authority: ca.pem\n"
        "    tls-server-name: kube.local\n    proxy-url: socks5://127.0.0.1:1080\n    disable-compression: true\n"
        "users:\n- name: me\n  user: {token: s3cret, as: root, as-uid: u1, as-groups: [a, b],\n"
        "    as-user-extra: {reason: [one, two]}}\n"
        "contexts:\n- name: home\n  context: {cluster: home, user: me, namespace: vault}\n"), NULL);
    assert_string_equal(c->context, "home");
    assert_string_equal(c->server, "https://10.0.0.1:6443");
    assert_string_equal(c->ns, "vault");
    assert_string_equal(c->ca_pem, "CA PEM\n");
    assert_string_equal(c->tls_server_name, "kube.local");
    assert_string_equal(c->proxy_url, "socks5://127.0.0.1:1080");
    assert_true(c->disable_compression);
    assert_false(c->insecure);
    assert_string_equal(secret_bytes(c->token), "s3cret");
    assert_string_equal(c->as_user, "root");
    assert_string_equal(c->as_uid, "u1");
    assert_string_equal(c->as_groups[1], "b");
    assert_null(c->as_groups[2]);
    assert_string_equal(c->as_extra[1], "reason=two");
    assert_null(c->as_extra[2]);
    kube_config_free(c);
}

static void test_json_file(void **state)
{
    (void)state;
    struct kube_config *c = load(put("json", "{\"clusters\":[{\"name\":\"a\",\"cluster\":{\"server\":\"https://h\"}}],"
        "\"contexts\":[{\"name\":\"x\",\"context\":{\"cluster\":\"a\"}}],\"users\":null,\"current-context\":\"x\"}"),
        NULL);
    assert_string_equal(c->server, "https://h");
    assert_null(c->user);
    assert_null(c->token);
    assert_string_equal(c->ns, "default");
    kube_config_free(c);
}

static void test_merge(void **state)
{
    (void)state;
    const char *a = put("m/a/config", "users: [{name: me, user: {token: first}}]\n"
                                      "contexts: [{name: home, context: {cluster: home, user: me}}]\n");
    const char *b = put("m/b/config", "current-context: home\n" CLUSTER_HOME
                                      "users: [{name: me, user: {token: second, as: root}}]\n"
                                      "contexts: [{name: other, context: {cluster: home, user: me, namespace: n}}]\n");
    const char *empty = put("m/empty", "");
    char *list = str_printf(":%s/absent:%s:%s:%s:%s:%s", folder, a, empty, b, a, b);
    setenv("KUBECONFIG", list, 1);
    struct kube_config *c = load(NULL, NULL);
    assert_string_equal(secret_bytes(c->token), "first");
    assert_null(c->as_user); /* the first file's user wins whole */
    assert_string_equal(c->file, a);
    kube_config_free(c);
    c = load(NULL, "other");
    assert_string_equal(c->ns, "n");
    assert_string_equal(c->file, b);
    kube_config_free(c);
    refused(b, "home", "no context \"home\"; there are: other"); /* --kubeconfig stands alone */
    mem_free(list);
}

static void test_home_file_and_nothing(void **state)
{
    (void)state;
    refused(NULL, NULL, "/.kube/config does not exist; set KUBECONFIG or give --kubeconfig");
    const char *path = put(".kube/config", CLUSTER_HOME CONTEXT_HOME "users: [{name: me}]\ncurrent-context: home\n");
    struct kube_config *c = load(NULL, NULL);
    assert_string_equal(c->file, path);
    assert_null(c->token);
    kube_config_free(c);
    refused("/nonexistent/kubeconfig", NULL, "/nonexistent/kubeconfig");
    unlink(path);
}

static void test_relative_paths(void **state)
{
    (void)state;
    put("rel/certs/me.crt", "CERT");
    put("rel/certs/me.key", "KEY");
    put("rel/token", "from-file\n");
    const char *file = put("rel/config", CLUSTER_HOME "contexts:\n"
        "- {name: cert, context: {cluster: home, user: cert}}\n- {name: file, context: {cluster: home, user: file}}\n"
        "- {name: both, context: {cluster: home, user: both}}\n- {name: exec, context: {cluster: home, user: exec}}\n"
        "users:\n- {name: cert, user: {client-certificate: certs/me.crt, client-key: certs/me.key}}\n"
        "- {name: file, user: {tokenFile: token}}\n- {name: both, user: {tokenFile: nowhere, token: fallback}}\n"
        "- {name: exec, user: {exec: {command: bin/login, " EXEC_V1 "}}}\n");
    struct kube_config *c = load(file, "cert");
    assert_string_equal(c->client_cert_pem, "CERT");
    assert_string_equal(secret_bytes(c->client_key_pem), "KEY");
    kube_config_free(c);
    c = load(file, "file");
    assert_string_equal(secret_bytes(c->token), "from-file");
    char *token = in("rel/token");
    assert_string_equal(c->token_file, token);
    mem_free(token);
    kube_config_free(c);
    c = load(file, "both");
    assert_string_equal(secret_bytes(c->token), "fallback");
    kube_config_free(c);
    c = load(file, "exec");
    char *command = in("rel/bin/login");
    assert_string_equal(c->exec->command, command);
    mem_free(command);
    kube_config_free(c);
}

static void test_data_wins_over_file(void **state)
{
    (void)state;
    struct kube_config *c = load(put("data",
        "current-context: x\ncontexts: [{name: x, context: {cluster: c, user: u}}]\n"
        "clusters: [{name: c, cluster: {server: 'https://h', certificate-authority: /absent,\n"
        "  certificate-authority-data: Q0E=}}]\n"
        "users: [{name: u, user: {client-certificate: /absent, client-certificate-data: Q0VSVA==,\n"
        "  client-key-data: S0VZ, client-key: /absent}}]\n"), NULL);
    assert_string_equal(c->ca_pem, "CA");
    assert_string_equal(c->client_cert_pem, "CERT");
    assert_string_equal(secret_bytes(c->client_key_pem), "KEY");
    kube_config_free(c);
}

static void test_contexts(void **state)
{
    (void)state;
    const char *two = CLUSTER_HOME "contexts: [{name: a, context: {cluster: home}}, "
                                   "{name: b, context: {cluster: home}}, {name: c, context: {cluster: gone}}, "
                                   "{name: d, context: {cluster: home, user: gone}}, {name: e}]\n";
    const char *file = put("contexts", two);
    refused(file, NULL, "sets no current-context; choose one with --context: a, b, c, d, e");
    refused(file, "z", "has no context \"z\"; there are: a, b, c, d, e");
    refused(file, "c", "contexts:2:");
    refused(file, "c", "cluster \"gone\" is not defined; there are: home");
    refused(file, "d", "user \"gone\" is not defined; there are: none");
    refused(file, "e", "context \"e\" names no cluster");
    kube_config_free(load(file, "b"));
}

static void test_places_of_errors(void **state)
{
    (void)state;
    refused(put("p1", "clusters:\n- name: a\n  cluster: [1]\n"), NULL,
            "p1:3:12: \"cluster\" of cluster \"a\" must be a map");
    refused(put("p2", "users:\n- name: a\n- name: b\n- name: a\n"), NULL, "p2:4:3: users has \"a\" twice");
    refused(put("p3", "kind: Pod\n"), NULL, "p3:1:7: this is no kubeconfig: kind is \"Pod\"");
    refused(put("p4", "- a\n"), NULL, "p4:1:1: this is no kubeconfig");
    refused(put("p5", "contexts: [{context: {}}]\n"), NULL, "p5:1:12: an entry of contexts has no name");
    refused(put("p6", "clusters: {a: b}\n"), NULL, "p6:1:11: clusters must be a list");
    refused(put("p7", "clusters: [\n"), NULL, "p7:");
    refused(put("p8", "current-context: x\ncontexts: [{name: x, context: {cluster: c}}]\n"
                      "clusters: [{name: c, cluster: {}}]\n"), NULL, "p8:3:12: cluster \"c\" has no server");
    refused(put("p9", "current-context: x\ncontexts: [{name: x, context: {cluster: c}}]\n"
                      "clusters: [{name: c, cluster: {server: 'https://h', insecure-skip-tls-verify: maybe}}]\n"),
            NULL, "p9:3:79: \"insecure-skip-tls-verify\" must be true or false");
    refused(put("p10", "current-context: x\ncontexts: [{name: x, context: {cluster: c}}]\n"
                       "clusters: [{name: c, cluster: {server: 'https://h', insecure-skip-tls-verify: true,"
                       " certificate-authority-data: Q0E=}}]\n"), NULL, "exclude each other");
    refused(put("p11", "current-context: x\ncontexts: [{name: x, context: {cluster: c}}]\n"
                       "clusters: [{name: c, cluster: {server: 'ftp://h'}}]\n"), NULL, "is no http or https address");
}

static void test_user_errors(void **state)
{
    (void)state;
    user_refused("{client-certificate-data: '*'}", "\"client-certificate-data\" is not base64");
    user_refused("{client-certificate-data: Q0E=}", "has a client certificate without a client-key");
    user_refused("{client-key-data: Q0E=}", "has a client key without a client-certificate");
    user_refused("{tokenFile: /absent/token}", "/absent/token");
    user_refused("{token: a, username: b}", "only one is allowed");
    user_refused("{token: [a]}", "bad-user:6:17: \"token\" must be a text");
    user_refused("{as-groups: [a]}", "without a user");
    user_refused("{auth-provider: {name: oidc}}", "auth-provider \"oidc\" is not supported");
    user_refused("{exec: {command: x}}", "exec apiVersion \"\" is not supported");
    user_refused("{exec: {command: x, apiVersion: client.authentication.k8s.io/v1}}", "needs interactiveMode");
    user_refused("{exec: {" EXEC_V1 "}}", "exec has no command");
    user_refused("{exec: {command: x, " EXEC_V1 ", env: [{value: x}]}}", "needs a name");
    user_refused("{exec: {command: login, apiVersion: client.authentication.k8s.io/v1beta1, interactiveMode: Always}}",
                 "the credential plugin login wants a terminal (interactiveMode: Always)");
}

static void test_secrets_stay_out_of_errors(void **state)
{
    (void)state;
    struct kube_config *c = NULL;
    struct err *e = kube_config_load(put("leak", CLUSTER_HOME CONTEXT_HOME "current-context: home\n"
        "users: [{name: me, user: {token: hunter2, username: u, password: hunter3}}]\n"), NULL, &c);
    assert_non_null(e);
    assert_null(strstr(err_text(e), "hunter"));
    err_free(e);
}

static void test_plain_http_gets_no_credentials(void **state)
{
    (void)state;
    struct kube_config *c = load(put("plain", "current-context: x\n"
        "contexts: [{name: x, context: {cluster: c, user: u}}]\n"
        "clusters: [{name: c, cluster: {server: 'localhost:8080'}}]\nusers: [{name: u, user: {token: t}}]\n"), NULL);
    assert_string_equal(c->server, "http://localhost:8080");
    assert_null(c->token);
    kube_config_free(c);
}

static void test_exec(void **state)
{
    (void)state;
    struct kube_config *c = load(put("exec", CONTEXT_HOME "current-context: home\n"
        "clusters:\n- name: home\n  cluster:\n    server: https://h\n    certificate-authority-data: Q0E=\n"
        "    extensions:\n    - name: client.authentication.k8s.io/exec\n"
        "      extension: {audience: x, n: 1, r: 1.5, q: '1', on: true, nil: null, list: [a]}\n"
        "users:\n- name: me\n  user:\n    exec:\n      apiVersion: client.authentication.k8s.io/v1beta1\n"
        "      command: my-login\n      args: [get, 'a b']\n      env: [{name: A, value: 'b=c'}, {name: B}]\n"
        "      provideClusterInfo: true\n      installHint: \"get\\nit\\e[31m here\"\n"), NULL);
    assert_string_equal(c->exec->command, "my-login");
    assert_string_equal(c->exec->args[1], "a b");
    assert_null(c->exec->args[2]);
    assert_string_equal(c->exec->env[0], "A=b=c");
    assert_string_equal(c->exec->env[1], "B=");
    assert_null(strchr(c->exec->install_hint, '\033'));
    assert_null(strchr(c->exec->install_hint, '\n'));
    assert_string_equal(c->exec->cluster_info_json,
                        "{\"server\":\"https://h\",\"certificate-authority-data\":\"Q0E=\","
                        "\"config\":{\"audience\":\"x\",\"n\":1,\"r\":1.5,\"q\":\"1\",\"on\":true,"
                        "\"nil\":null,\"list\":[\"a\"]}}");
    kube_config_free(c);
    c = load(put("exec2", CLUSTER_HOME CONTEXT_HOME "current-context: home\n"
        "users: [{name: me, user: {token: t, exec: {command: x, " EXEC_V1 "}}}]\n"), NULL);
    assert_null(c->exec); /* other credentials win */
    kube_config_free(c);
}

static void test_in_cluster(void **state)
{
    (void)state;
    put("sa/token", "pod-token\n");
    put("sa/ca.crt", "POD CA");
    put("sa/namespace", "prod\n");
    char *dir = in("sa");
    struct kube_config *c = NULL;
    struct err *e = kube_config_in_cluster(dir, &c);
    assert_non_null(e);
    err_free(e);
    setenv("KUBERNETES_SERVICE_HOST", "fd00::1", 1);
    setenv("KUBERNETES_SERVICE_PORT", "443", 1);
    assert_null(kube_config_in_cluster(dir, &c));
    assert_true(c->in_cluster);
    assert_string_equal(c->server, "https://[fd00::1]:443");
    assert_string_equal(c->ns, "prod");
    assert_string_equal(c->ca_pem, "POD CA");
    assert_string_equal(secret_bytes(c->token), "pod-token");
    assert_non_null(c->token_file);
    kube_config_free(c);
    mem_free(dir);
    e = kube_config_in_cluster("/absent", &c);
    assert_non_null(e);
    assert_int_equal(err_kind(e), ERR_DATA);
    err_free(e);
}

static void test_parsing_text_opens_no_file(void **state)
{
    (void)state;
    static const char text[] = CONTEXT_HOME "current-context: home\nusers: [{name: me}]\n"
        "clusters: [{name: home, cluster: {server: 'https://h', certificate-authority: /etc/passwd}}]\n";
    struct kube_files *f = NULL;
    assert_null(kube_files_parse(text, sizeof text - 1, "text", &f));
    struct kube_config *c = NULL;
    struct err *e = kube_config_resolve(f, NULL, &c);
    assert_non_null(e);
    assert_non_null(strstr(err_text(e), "names a file"));
    err_free(e);
    kube_files_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_one_file, setup),
        cmocka_unit_test_setup(test_json_file, setup),
        cmocka_unit_test_setup(test_merge, setup),
        cmocka_unit_test_setup(test_home_file_and_nothing, setup),
        cmocka_unit_test_setup(test_relative_paths, setup),
        cmocka_unit_test_setup(test_data_wins_over_file, setup),
        cmocka_unit_test_setup(test_contexts, setup),
        cmocka_unit_test_setup(test_places_of_errors, setup),
        cmocka_unit_test_setup(test_user_errors, setup),
        cmocka_unit_test_setup(test_secrets_stay_out_of_errors, setup),
        cmocka_unit_test_setup(test_plain_http_gets_no_credentials, setup),
        cmocka_unit_test_setup(test_exec, setup),
        cmocka_unit_test_setup(test_in_cluster, setup),
        cmocka_unit_test_setup(test_parsing_text_opens_no_file, setup),
    };
    if (!mkdtemp(folder))
        return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    char *command = str_printf("rm -rf '%s'", folder);
    int rc = system(command);
    mem_free(command);
    return failed || rc;
}
