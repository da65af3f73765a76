/* Permissions in the cluster and in Vault as one matrix, and our token's trial. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/json_doc.h"
#include "base/str.h"
#include "migrate/access.h"
#include "migrate/raft_token.h"
#include "tests/unit/vault_run_stage.h"

#define REVIEWS "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"

static struct {
    const char *denied; /* "VERB RESOURCE" in the cluster */
    int reviews;
    const char *capabilities; /* Vault's answer */
    const char *lookup, *again;
    int lookups, renewals, renew_status;
} told;

static bool review(void *arg, const struct tiny_request *rq, struct tiny_answer *ret) {
    struct vault_run_stage *s = arg;
    struct json_t *d = NULL;
    char text[128];
    if (!str_eq(rq->path, REVIEWS)) return op_stage_answer(s->w, rq, ret);
    assert_null(jd_parse(rq->body, strlen(rq->body), "body", &d));
    snprintf(text, sizeof text, "%s %s", jd_str(d, "spec.resourceAttributes.verb"), jd_str(d, "spec.resourceAttributes.resource"));
    jd_free(d);
    told.reviews++;
    *ret = (struct tiny_answer){.status = 201, .body = str_eq(text, told.denied) ? "{\"status\":{\"allowed\":false}}" : "{\"status\":{\"allowed\":true}}"};
    return true;
}

static int react(struct vault_run_stage *s, const struct tiny_request *rq) {
    const char *body = NULL;
    if (str_eq(rq->path, "/v1/sys/capabilities-self")) body = told.capabilities;
    else if (str_eq(rq->path, "/v1/auth/token/lookup-self")) body = told.lookups++ == 0 || !told.again ? told.lookup : told.again;
    else if (str_eq(rq->path, "/v1/auth/token/renew-self")) {
        told.renewals++;
        s->answer = (struct tiny_answer){.body = "{\"auth\":{\"lease_duration\":1}}"};
        if (told.renew_status) {
            snprintf(s->text, sizeof s->text, "{\"errors\":[\"lease is not renewable\"]}");
            return told.renew_status;
        }
        return 0;
    }
    s->answer = (struct tiny_answer){.status = body ? 200 : 403, .body = body ? body : "{\"errors\":[\"permission denied\"]}"};
    return 0;
}

static int setup(void **state) {
    struct vault_run_stage *s = vault_run_stage_new(false, "");
    memset(&told, 0, sizeof told);
    tiny_http_handler(s->w->server, review, s);
    s->react = react;
    *state = s;
    return 0;
}

static int teardown(void **state) {
    vault_run_stage_free(*state);
    return 0;
}

/* ---- The matrix ---- */

#define GRANTED                                                                                                                       \
    "{\"data\":{\"sys/storage/raft/configuration\":[\"read\"],\"sys/storage/raft/autopilot/state\":[\"read\"],"                        \
    "\"sys/storage/raft/autopilot/configuration\":[\"read\"],\"sys/storage/raft/snapshot\":[\"read\"],\"cubbyhole/ferryman-probe\":[\"create\",\"read\",\"update\"]," \
    "\"auth/token/lookup-self\":[\"read\"],\"auth/token/renew-self\":[\"update\"]"

static void ask(struct vault_run_stage *s) {
    struct script *script = script_new();
    script_access_raft(s->w->run, script, "vault-0");
    op_stage_run(s->w, script);
}

static void test_all_granted(void **state) {
    struct vault_run_stage *s = *state;
    char count[64];
    told.capabilities = GRANTED ",\"sys/step-down\":[\"sudo\",\"update\"]}}";
    ask(s);
    op_stage_assert_fine(s->w);
    snprintf(count, sizeof count, "%d of %d permissions", told.reviews + 10, told.reviews + 10);
    op_stage_assert_in(buf_str(&s->w->states), count);
    assert_int_equal(s->asked, 1); /* all of Vault's in one question */
}

static void test_root_may_everything(void **state) {
    struct vault_run_stage *s = *state;
    struct json_t *d = NULL;
    (void)s;
    assert_null(jd_parse("{\"a\":[\"root\"],\"b\":[\"deny\"]}", 27, "x", &d));
    assert_true(access_granted(d, "a", "sudo"));
    assert_false(access_granted(d, "b", "read"));
    assert_false(access_granted(d, "c", "read"));
    assert_false(access_granted(NULL, "c", "read"));
    jd_free(d);
}

static void test_missing_ones_of_both(void **state) {
    struct vault_run_stage *s = *state;
    told.denied = "delete statefulsets";
    told.capabilities = GRANTED ",\"sys/step-down\":[\"deny\"]}}";
    ask(s);
    op_stage_assert_error(s->w, ERR_FAILED, "3 of ");
    op_stage_assert_error(s->w, ERR_FAILED, "delete statefulsets.apps vault in vault; update, sudo on sys/step-down in Vault");
    op_stage_assert_error(s->w, ERR_FAILED, "(in Vault: for a policy)");
}

static void test_vault_does_not_say(void **state) {
    struct vault_run_stage *s = *state;
    ask(s);
    op_stage_assert_error(s->w, ERR_FAILED, "sys/capabilities-self of Vault");
    told.capabilities = "{}"; /* allowed is only what says so */
    ask(s);
    op_stage_assert_error(s->w, ERR_FAILED, "10 of ");
}

/* ---- The token ---- */

#define LOOKUP(ttl, renewable) "{\"data\":{\"display_name\":\"token\",\"path\":\"auth/token/create\",\"policies\":[\"default\"],\"ttl\":" ttl ",\"expire_time\":\"2030-01-01T00:00:00Z\",\"renewable\":" renewable ",\"type\":\"service\"}}"

static void try_token(struct vault_run_stage *s) {
    struct script *script = script_new();
    told.lookups = told.renewals = 0;
    raft_script_renewal(s->w->run, script, "vault-0");
    op_stage_run(s->w, script);
}

static void test_renewed_once(void **state) {
    struct vault_run_stage *s = *state;
    told.lookup = LOOKUP("60", "true");
    told.again = LOOKUP("36000", "true");
    try_token(s);
    op_stage_assert_fine(s->w);
    assert_int_equal(told.renewals, 1);
    op_stage_assert_in(buf_str(&s->w->states), "renewed, ends in 10h");
    assert_string_equal(run_fact(s->w->run, "token.renewable"), "yes");
}

static void test_renewal_that_gives_too_little(void **state) {
    struct vault_run_stage *s = *state;
    told.lookup = told.again = LOOKUP("600", "true");
    try_token(s);
    op_stage_assert_error(s->w, ERR_FAILED, "log in anew with a longer one");
}

static void test_renewal_that_is_refused(void **state) {
    struct vault_run_stage *s = *state;
    told.lookup = LOOKUP("36000", "true");
    told.renew_status = 400;
    try_token(s);
    op_stage_assert_error(s->w, ERR_FAILED, "cannot be renewed, though it says that it can");
}

static void test_not_renewable(void **state) {
    struct vault_run_stage *s = *state;
    told.lookup = LOOKUP("36000", "false"); /* ten hours, for windows of 24 */
    try_token(s);
    assert_int_equal(told.renewals, 0);
    op_stage_assert_error(s->w, ERR_FAILED, "not renewable");
    told.lookup = LOOKUP("259200", "false");
    try_token(s);
    op_stage_assert_fine(s->w);
}

static void test_expired(void **state) {
    struct vault_run_stage *s = *state;
    try_token(s);
    op_stage_assert_error(s->w, ERR_FAILED, "the token is not accepted");
}

int main(void) {
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_all_granted), T(test_root_may_everything), T(test_missing_ones_of_both), T(test_vault_does_not_say), T(test_renewed_once),
        T(test_renewal_that_gives_too_little), T(test_renewal_that_is_refused), T(test_not_renewable), T(test_expired),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
