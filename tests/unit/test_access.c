/* Permissions, asked of a server that grants all but some. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/json_doc.h"
#include "base/mem.h"
#include "base/str.h"
#include "client/kube_client.h"
#include "client/kube_config.h"
#include "loop/loop.h"
#include "migrate/access.h"
#include "migrate/plan.h"
#include "migrate/run.h"
#include "tests/unit/tiny_http.h"

#define REVIEWS "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"

static const char plan_text[] =
    "plan: home\ncontext: home\n"
    "source: { storageClasses: [nfs] }\ntarget: { storageClass: lvm, encrypted: required }\n"
    "workloads:\n"
    "  - name: immich-postgres\n    kind: postgres-dump-restore\n    namespace: immich\n    deployment: immich-postgresql\n"
    "    volume: data\n    claim: { name: data-encrypted, size: 10Gi, apply: console }\n"
    "    quiesce: [deployment/immich-server, cronjob/backup]\n"
    "    postgres: { via: port-forward }\n"
    "    dump: { encrypt: { none: true, reason: \"a test\" } }\n"
    "    verify: { login: { user: immich, secret: immich-secrets, key: password } }\n";

struct stage {
    struct loop *loop;
    struct tiny_http *server;
    struct kube_config config;
    struct kube_client *client;
    struct plan *plan;
    struct run *run;
    struct op_runner *runner;
    const char *denied[4]; /* "VERB RESOURCE" */
    const char *odd;       /* what it answers instead */
    int status;
    int asked, at_once, most;
    bool ended;
    char state[512], error[2048];
};

static bool is_denied(const struct stage *w, const struct json_t *at)
{
    char text[128];
    const char *sub = jd_str(at, "subresource");
    snprintf(text, sizeof text, "%s %s%s%s", jd_str(at, "verb"), jd_str(at, "resource"), sub ? "/" : "", sub ? sub : "");
    for (size_t i = 0; i < ARRAY_LEN(w->denied); i++)
        if (str_eq(w->denied[i], text))
            return true;
    return false;
}

static bool answer(void *arg, const struct tiny_request *rq, struct tiny_answer *ret)
{
    struct stage *w = arg;
    struct json_t *d = NULL;
    if (strcmp(rq->path, REVIEWS) != 0)
        return false;
    w->asked++;
    assert_null(jd_parse(rq->body, strlen(rq->body), "body", &d));
    const struct json_t *at = jd_get(d, "spec.resourceAttributes");
    assert_non_null(jd_str(at, "verb"));
    *ret = (struct tiny_answer){.status = w->status ? w->status : 201,
                                .body = w->odd             ? w->odd
                                        : is_denied(w, at) ? "{\"status\":{\"allowed\":false}}"
                                                           : "{\"status\":{\"allowed\":true,\"reason\":\"RBAC\"}}"};
    jd_free(d);
    return true;
}

static void on_state(void *arg, const struct op *op, const char *reason, int64_t deadline_ms)
{
    struct stage *w = arg;
    (void)op;
    (void)deadline_ms;
    snprintf(w->state, sizeof w->state, "%s", reason);
}

static void on_done(void *arg, const struct err *e)
{
    struct stage *w = arg;
    snprintf(w->error, sizeof w->error, "%s", e ? err_text(e) : "");
    w->ended = true;
}

static int setup(void **state)
{
    struct stage *w = MEM_NEW(struct stage);
    w->loop = loop_new();
    w->server = tiny_http_new(w->loop);
    tiny_http_handler(w->server, answer, w);
    w->config.context = mem_strdup("home");
    w->config.server = mem_strdup(tiny_http_url(w->server));
    w->client = kube_client_new(w->loop, &w->config, NULL, NULL);
    struct err *e = plan_parse(plan_text, strlen(plan_text), "plan.yaml", &w->plan);
    if (e)
        fail_msg("%s", err_text(e));
    w->run = run_new(&(struct run){.loop = w->loop, .kube = w->client, .config = &w->config, .id = "1f2e", .plan = w->plan,
                                   .workload = &w->plan->workloads[0]});
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct stage *w = *state;
    op_runner_free(w->runner);
    run_free(w->run);
    plan_free(w->plan);
    kube_client_free(w->client);
    tiny_http_free(w->server);
    loop_free(w->loop);
    mem_free(w->config.context);
    mem_free(w->config.server);
    mem_free(w);
    return 0;
}

static void start(struct stage *w, struct script *s)
{
    static const struct op_runner_events ev = {.on_state = on_state, .on_done = on_done};
    op_runner_free(w->runner);
    w->ended = false;
    w->asked = 0;
    w->runner = op_runner_new(w->run, s, "preflight", "permissions", &ev, w);
}

static void carry_out(struct stage *w, struct script *s)
{
    start(w, s);
    assert_true(loop_run_until(w->loop, &w->ended, 20000));
}

static struct script *postgres(struct stage *w)
{
    struct script *s = script_new();
    script_access_postgres(w->run, s);
    return s;
}

static void assert_in(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("\"%s\" is not in \"%s\"", part, text);
}

static void test_all_granted(void **state)
{
    struct stage *w = *state;
    char count[64];
    carry_out(w, postgres(w));
    assert_string_equal(w->error, "");
    assert_true(w->asked > 30);
    snprintf(count, sizeof count, "%d of %d permissions", w->asked, w->asked);
    assert_in(w->state, count);
}

static void test_all_missing_ones_are_named(void **state)
{
    struct stage *w = *state;
    w->denied[0] = "create secrets";
    w->denied[1] = "update secrets";
    w->denied[2] = "patch cronjobs";
    w->denied[3] = "create pods/portforward";
    carry_out(w, postgres(w));
    assert_in(w->error, "4 of ");
    assert_in(w->error, "create, update secrets in immich");
    assert_in(w->error, "patch cronjobs.batch backup in immich");
    assert_in(w->error, "create pods/portforward in immich");
    assert_in(w->error, "Ask for a Role");
}

static void test_cluster_wide(void **state)
{
    struct stage *w = *state;
    w->denied[0] = "patch persistentvolumes";
    carry_out(w, postgres(w));
    assert_in(w->error, "1 of ");
    assert_in(w->error, "patch persistentvolumes in the whole cluster");
}

/* Allowed is only what says so. */
static void test_odd_answers(void **state)
{
    static const char *const odd[] = {"{}", "{\"status\":{\"allowed\":\"true\"}}", "{\"status\":[]}", "[]"};
    struct stage *w = *state;
    for (size_t i = 0; i < ARRAY_LEN(odd); i++) {
        w->odd = odd[i];
        carry_out(w, postgres(w));
        assert_in(w->error, "permissions are missing");
    }
    w->odd = "no JSON";
    carry_out(w, postgres(w));
    assert_in(w->error, "could not be asked for");
    w->odd = "{\"kind\":\"Status\",\"message\":\"no\",\"code\":403}";
    w->status = 403;
    carry_out(w, postgres(w));
    assert_in(w->error, "could not be asked for");
    assert_in(w->error, "403");
}

static void test_none_and_given_up(void **state)
{
    struct stage *w = *state;
    struct script *s = script_new();
    script_access(s, NULL, 0);
    carry_out(w, s);
    assert_string_equal(w->error, "");
    assert_in(w->state, "0 of 0");
    start(w, postgres(w));
    bool never = false;
    int before = tiny_http_count(w->server);
    while (tiny_http_count(w->server) == before && !w->ended)
        loop_run_until(w->loop, &never, 1);
    assert_false(w->ended); /* one of many has been asked */
    op_runner_free(w->runner);
    w->runner = NULL;
    loop_run_until(w->loop, &never, 50);
    assert_false(w->ended);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_all_granted), T(test_all_missing_ones_are_named), T(test_cluster_wide), T(test_odd_answers), T(test_none_and_given_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
