/* Vault for a run: whose node it is comes first; and operations whose looks and acts are Vault's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json_doc.h"
#include "base/mem.h"
#include "base/str.h"
#include "client/vault_client.h"
#include "migrate/run_vault.h"
#include "tests/unit/vault_run_stage.h"

static struct {
    struct run_vault_asked *handle;
    bool answered;
    enum vault_fate fate;
    int status;
    char body[512], error[1024];
    enum err_kind kind;
} got;

static void on_reply(void *arg, const struct vault_reply *r) {
    (void)arg;
    assert_false(got.answered);
    got.answered = true;
    got.fate = r->fate;
    got.status = r->status;
    snprintf(got.body, sizeof got.body, "%.*s", SLICE_FMT(r->body));
    snprintf(got.error, sizeof got.error, "%s", r->error ? err_text(r->error) : "");
    if (r->error) got.kind = err_kind(r->error);
    run_vault_ask_free(got.handle); /* allowed here */
    got.handle = NULL;
}

static bool is_answered(struct op_stage *w) {
    (void)w;
    return got.answered;
}

static void ask(struct vault_run_stage *s, struct run_vault_call c) {
    memset(&got, 0, sizeof got);
    c.node = c.node ? c.node : "vault-0";
    got.handle = run_vault_ask(s->w->run, &c, on_reply, s);
    AWAIT(s->w, is_answered);
}

#define LEADER ((struct run_vault_call){.path = "/v1/sys/leader", .token = true})

static int direct(void **state) {
    *state = vault_run_stage_new(false, "");
    return 0;
}

static int proxied(void **state) {
    *state = vault_run_stage_new(true, "");
    return 0;
}

static int pinned(void **state) {
    *state = vault_run_stage_new(false, ", cluster_id: " CLUSTER);
    return 0;
}

static int teardown(void **state) {
    vault_run_stage_free(*state);
    return 0;
}

/* ---- Asking ---- */

static void test_a_node_proves_itself_once(void **state) {
    struct vault_run_stage *s = *state;
    s->answer = (struct tiny_answer){.body = "{\"is_self\":true}"};
    ask(s, LEADER);
    assert_int_equal(got.fate, VAULT_ANSWERED);
    assert_int_equal(got.status, 200);
    assert_string_equal(got.body, "{\"is_self\":true}");
    assert_string_equal(s->last, "GET /v1/sys/leader token");
    ask(s, (struct run_vault_call){.path = "/v1/sys/seal-status"});
    assert_string_equal(s->last, "GET /v1/sys/seal-status"); /* the token goes only where it is asked for */
    ask(s, (struct run_vault_call){.method = "POST", .path = "/v1/sys/step-down", .token = true, .body = "{\"a\":1}"});
    assert_string_equal(s->last, "POST /v1/sys/step-down token {\"a\":1}");
    assert_int_equal(s->healths, 1);
}

static void test_another_cluster_is_asked_nothing(void **state) {
    struct vault_run_stage *s = *state;
    s->cluster_id = "11111111-0000-0000-0000-000000000000";
    ask(s, LEADER);
    assert_int_equal(got.fate, VAULT_BLOCKED);
    assert_int_equal(got.kind, ERR_DATA);
    op_stage_assert_in(got.error, "vault-0: another Vault answers there: its cluster_id is 11111111-0000-0000-0000-000000000000, the plan pins " CLUSTER);
    assert_int_equal(s->asked, 0);
    ask(s, (struct run_vault_call){.path = "/v1/sys/health"});
    assert_int_equal(got.kind, ERR_DATA);
    s->cluster_id = CLUSTER; /* it is asked again */
    s->answer = (struct tiny_answer){.body = "{}"};
    ask(s, LEADER);
    assert_int_equal(got.fate, VAULT_ANSWERED);
}

static void test_another_cluster_than_the_run_began_with(void **state) {
    struct vault_run_stage *s = *state;
    s->answer = (struct tiny_answer){.body = "{}"};
    run_set(s->w->run, "vault.cluster_id", "22222222");
    ask(s, LEADER);
    assert_int_equal(got.kind, ERR_DATA);
    op_stage_assert_in(got.error, "this run began with 22222222");
    assert_int_equal(s->asked, 0);
}

/* A wiped node has no cluster yet: it may be asked, and is asked for its cluster before every question. */
static void test_a_wiped_node_passes(void **state) {
    struct vault_run_stage *s = *state;
    s->cluster_id = NULL;
    s->answer = (struct tiny_answer){.body = "{\"initialized\":false}"};
    ask(s, (struct run_vault_call){.path = "/v1/sys/seal-status"});
    assert_int_equal(got.status, 200);
    ask(s, (struct run_vault_call){.path = "/v1/sys/health"});
    assert_int_equal(got.fate, VAULT_ANSWERED);
    assert_int_equal(got.status, 501);
    s->cluster_id = "33333333"; /* it was initialised as another cluster */
    ask(s, (struct run_vault_call){.path = "/v1/sys/seal-status"});
    assert_int_equal(got.kind, ERR_DATA);
    assert_int_equal(s->asked, 1);
}

/* A pod that was replaced proves itself again. */
static void test_silence_takes_the_proof_back(void **state) {
    struct vault_run_stage *s = *state;
    s->answer = (struct tiny_answer){.body = "{}"};
    ask(s, LEADER);
    s->answer = (struct tiny_answer){.fate = TINY_HANG_UP};
    ask(s, LEADER);
    assert_int_not_equal(got.fate, VAULT_ANSWERED);
    s->answer = (struct tiny_answer){.body = "{}"};
    s->cluster_id = "44444444";
    ask(s, LEADER);
    assert_int_equal(got.kind, ERR_DATA);
    assert_int_equal(s->healths, 2);
    s->health = (struct tiny_answer){.fate = TINY_SILENCE};
    ask(s, (struct run_vault_call){.path = "/v1/sys/leader", .timeout_ms = 100});
    assert_int_equal(got.fate, VAULT_SILENT); /* a node that does not even say how it is */
}

static void test_what_cannot_be_asked(void **state) {
    struct vault_run_stage *s = *state;
    s->answer = (struct tiny_answer){.body = "{}"};
    ask(s, (struct run_vault_call){.node = "vault-9", .path = "/v1/sys/leader"});
    op_stage_assert_in(got.error, "vault-9: the plan has no URL of it");
    assert_int_equal(got.kind, ERR_DATA);
    assert_true(run_vault_has_token(s->w->run));
    char *path = str_printf("%s/token", s->w->dir);
    unlink(path);
    mem_free(path);
    assert_false(run_vault_has_token(s->w->run));
    ask(s, LEADER);
    op_stage_assert_in(got.error, "/token");
    assert_int_equal(s->asked, 0);
    ask(s, (struct run_vault_call){.path = "/v1/sys/leader", .begin_by_ms = clock_mono_ms() - 1});
    assert_int_equal(got.kind, ERR_UNAVAILABLE);
    op_stage_assert_in(got.error, "was not sent to vault-0");
    assert_int_equal(s->asked, 0);
}

static void test_freed_before_it_is_answered(void **state) {
    struct vault_run_stage *s = *state;
    s->health = (struct tiny_answer){.fate = TINY_SILENCE};
    memset(&got, 0, sizeof got);
    struct run_vault_asked *a = run_vault_ask(s->w->run, &LEADER, on_reply, s);
    struct run_vault_asked *b = run_vault_ask(s->w->run, &(struct run_vault_call){.node = "none", .path = "/"}, on_reply, s);
    run_vault_ask_free(b);
    run_vault_ask_free(a);
    s->health = (struct tiny_answer){0};
    s->answer = (struct tiny_answer){.body = "{}"};
    ask(s, LEADER);
    assert_int_equal(got.status, 200);
}

/* ---- Operations ---- */

static enum op_answer see_standby(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    (void)op;
    run_set_int(r, "seen.status", seen->status);
    buf_printf(reason, "HTTP %d", seen->status);
    return seen->doc && jd_flag(seen->doc, "standby", false) ? OP_DONE : OP_TODO;
}

static int stepped_down(struct vault_run_stage *s, const struct tiny_request *rq) {
    if (!str_eq(rq->method, "GET")) return 204;
    snprintf(s->text, sizeof s->text, "{\"standby\":%s}", s->acts ? "true" : "false");
    return s->acts ? 429 : 200;
}

static struct script *step_down(void) {
    struct script *s = script_new();
    script_vault_act(s, "step-down", "have vault-0 step down", "vault-0", "POST", "/v1/sys/step-down", NULL, "/v1/sys/leader", see_standby);
    return s;
}

static void test_an_act_is_seen(void **state) {
    struct vault_run_stage *s = *state;
    s->react = stepped_down;
    op_stage_run(s->w, step_down());
    op_stage_assert_fine(s->w);
    assert_int_equal(s->acts, 1);
    op_stage_assert_in(op_stage_records(s->w), "act step-down\n");
    op_stage_assert_in(op_stage_records(s->w), "outcome step-down done\n");
    assert_int_equal(run_fact_int(s->w->run, "seen.status", 0), 429);
    op_stage_run(s->w, step_down()); /* after a crash */
    op_stage_assert_fine(s->w);
    assert_int_equal(s->acts, 1);
    op_stage_assert_in(op_stage_records(s->w), "outcome step-down already\n");
}

static int loses_answers(struct vault_run_stage *s, const struct tiny_request *rq) {
    if (str_eq(rq->method, "GET")) return stepped_down(s, rq);
    s->answer = (struct tiny_answer){.fate = TINY_HANG_UP};
    return 0;
}

static void test_a_lost_answer_is_looked_for(void **state) {
    struct vault_run_stage *s = *state;
    s->react = loses_answers;
    op_stage_run(s->w, step_down());
    op_stage_assert_fine(s->w);
    assert_int_equal(s->acts, 1);
    op_stage_assert_in(op_stage_records(s->w), "outcome step-down lost-answer-done\n");
}

static int denies(struct vault_run_stage *s, const struct tiny_request *rq) {
    bool look = str_eq(rq->method, "GET");
    snprintf(s->text, sizeof s->text, "%s", look ? "{\"standby\":false}" : "{\"errors\":[\"1 error occurred:\\n\\t* permission denied\\n\\n\"]}");
    return look ? 200 : 403;
}

static void test_a_denied_act_names_the_policy(void **state) {
    struct vault_run_stage *s = *state;
    s->react = denies;
    op_stage_run(s->w, step_down());
    op_stage_assert_error(s->w, ERR_FAILED, "permission denied; the token needs a policy that allows update and sudo on sys/step-down");
    assert_int_equal(s->acts, 1);
}

static int busy_twice(struct vault_run_stage *s, const struct tiny_request *rq) {
    if (str_eq(rq->method, "GET")) {
        snprintf(s->text, sizeof s->text, "{\"standby\":%s}", s->acts > 2 ? "true" : "false");
        return 200;
    }
    snprintf(s->text, sizeof s->text, "{\"errors\":[\"local node not active but active cluster node not found\"]}");
    return s->acts > 2 ? 204 : 500;
}

static void test_what_was_not_carried_out_is_sent_again(void **state) {
    struct vault_run_stage *s = *state;
    s->react = busy_twice;
    op_stage_run(s->w, step_down());
    op_stage_assert_fine(s->w);
    assert_int_equal(s->acts, 3);
}

/* 503 and 501 are answers: a wait judges them. */
static int unseals(struct vault_run_stage *s, const struct tiny_request *rq) {
    (void)rq;
    snprintf(s->text, sizeof s->text, "{\"standby\":%s}", s->asked > 2 ? "true" : "false");
    return s->asked == 1 ? 501 : s->asked == 2 ? 503 : 429;
}

static void test_a_wait_sees_every_status(void **state) {
    struct vault_run_stage *s = *state;
    struct script *script = script_new();
    s->react = unseals;
    struct op *op = script_vault_wait(script, "wait", "vault-0 is a standby", "vault-0", "/v1/sys/leader", false, see_standby, 20000);
    op->poll_ms = 10;
    op_stage_run(s->w, script);
    op_stage_assert_fine(s->w);
    op_stage_assert_in(buf_str(&s->w->states), "vault-0 is a standby: HTTP 501");
    op_stage_assert_in(buf_str(&s->w->states), "vault-0 is a standby: HTTP 503");
    assert_int_equal(s->asked, 3);
}

static void test_a_wait_outlives_silence_and_ends_at_another_cluster(void **state) {
    struct vault_run_stage *s = *state;
    struct script *script = script_new();
    s->answer = (struct tiny_answer){.fate = TINY_HANG_UP};
    script_vault_wait(script, "wait", "vault-0 is a standby", "vault-0", "/v1/sys/leader", false, see_standby, 300);
    op_stage_run(s->w, script);
    op_stage_assert_error(s->w, ERR_FAILED, "gave up after");
    s->cluster_id = "55555555";
    script = script_new();
    script_vault_wait(script, "wait", "vault-0 is a standby", "vault-0", "/v1/sys/leader", false, see_standby, 20000);
    op_stage_run(s->w, script);
    op_stage_assert_error(s->w, ERR_FAILED, "another Vault answers there");
}

static struct {
    struct op_dry *dry;
    bool done;
    char note[512];
} tried;

static void on_tried(void *arg, const struct err *e, const char *note) {
    (void)arg;
    assert_null(e);
    tried.done = true;
    snprintf(tried.note, sizeof tried.note, "%s", note ? note : "");
    op_dry_free(tried.dry);
}

static bool is_tried(struct op_stage *w) {
    (void)w;
    return tried.done;
}

static void test_vault_has_no_dry_run(void **state) {
    struct vault_run_stage *s = *state;
    struct script *script = step_down();
    memset(&tried, 0, sizeof tried);
    tried.dry = op_dry_new(s->w->run, script, on_tried, s);
    AWAIT(s->w, is_tried);
    assert_string_equal(tried.note, "have vault-0 step down was not tried: Vault has no dry run");
    assert_int_equal(tiny_http_count(s->node), 0);
    script_free(script);
}

static void test_texts(void **state) {
    struct script *s = script_new();
    struct buf text = {0};
    struct json_t *body = jd_object();
    (void)state;
    jd_set(body, "at", jd_int(1));
    op_text(script_vault_act(s, "a", "a", "vault-1", "POST", "/v1/sys/step-down", NULL, "/v1/sys/leader", see_standby), &text);
    buf_addc(&text, '\n');
    op_text(script_vault_act(s, "b", "b", "vault-1", "PUT", "/v1/cubbyhole/x", body, "/v1/cubbyhole/x", see_standby), &text);
    buf_addc(&text, '\n');
    op_text(script_vault_get(s, "c", "c", "vault-0", "/v1/sys/leader", true, see_standby), &text);
    assert_string_equal(buf_str(&text), "vault-1 POST /v1/sys/step-down\nvault-1 PUT /v1/cubbyhole/x {\"at\":1}\nvault-0 GET /v1/sys/leader");
    buf_free(&text);
    script_free(s);
}

#define DIRECT(name) cmocka_unit_test_setup_teardown(name, direct, teardown)
#define PROXIED(name) {#name " (proxied)", name, proxied, teardown, NULL}

int main(void) {
    const struct CMUnitTest tests[] = {
        DIRECT(test_a_node_proves_itself_once), PROXIED(test_a_node_proves_itself_once),
        cmocka_unit_test_setup_teardown(test_another_cluster_is_asked_nothing, pinned, teardown),
        DIRECT(test_another_cluster_than_the_run_began_with), PROXIED(test_another_cluster_than_the_run_began_with),
        cmocka_unit_test_setup_teardown(test_a_wiped_node_passes, pinned, teardown),
        cmocka_unit_test_setup_teardown(test_silence_takes_the_proof_back, pinned, teardown),
        cmocka_unit_test_setup_teardown(test_a_wait_outlives_silence_and_ends_at_another_cluster, pinned, teardown),
        DIRECT(test_what_cannot_be_asked), DIRECT(test_freed_before_it_is_answered),
        DIRECT(test_an_act_is_seen), PROXIED(test_an_act_is_seen),
        DIRECT(test_a_lost_answer_is_looked_for), DIRECT(test_a_denied_act_names_the_policy),
        DIRECT(test_what_was_not_carried_out_is_sent_again), PROXIED(test_what_was_not_carried_out_is_sent_again),
        DIRECT(test_a_wait_sees_every_status),
        DIRECT(test_vault_has_no_dry_run), cmocka_unit_test(test_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
