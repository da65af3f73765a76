/* Fields that a run relies on, on a server whose object the tests change. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "client/kube_client.h"
#include "client/kube_config.h"
#include "loop/loop.h"
#include "loop/timer.h"
#include "migrate/foreign.h"
#include "migrate/foreign_private.h"
#include "migrate/run.h"
#include "tests/unit/tiny_http.h"

#define PATH "/apis/apps/v1/namespaces/immich/deployments/immich"
#define OBJECT(replicas, manager) \
    "{\"metadata\":{\"name\":\"immich\",\"labels\":{\"noise\":\"" manager "\"},\"managedFields\":[{\"manager\":\"" manager \
    "\",\"fieldsV1\":{\"f:spec\":{\"f:replicas\":{}}}}]},\"spec\":{\"replicas\":" replicas "}}"

struct stage {
    struct loop *loop;
    struct tiny_http *server;
    struct kube_config config;
    struct kube_client *client;
    struct run *run;
    struct foreign *foreign;
    struct timer *poll;
    const char *body; /* NULL: 404 */
    bool down, flip;  /* flip: every other answer is a wrong one */
    bool turn_off;    /* from within the callback */
    int asked, told, mark;
    char label[128], found[128], expected[32], manager[64];
    bool (*want)(struct stage *w);
    bool done;
};

static bool answer(void *arg, const struct tiny_request *rq, struct tiny_answer *ret)
{
    struct stage *w = arg;
    if (strcmp(rq->path, PATH) != 0)
        return false;
    w->asked++;
    if (w->down)
        *ret = (struct tiny_answer){.fate = TINY_RESET};
    else if (!w->body)
        *ret = (struct tiny_answer){.status = 404, .body = "{\"kind\":\"Status\",\"code\":404}"};
    else
        *ret = (struct tiny_answer){.body = w->flip && w->asked % 2 ? OBJECT("0", "mallory") : w->body};
    return true;
}

static void on_change(void *arg, const char *label, const char *expected, const char *found, const char *manager)
{
    struct stage *w = arg;
    w->told++;
    if (w->turn_off)
        foreign_turn(w->foreign, false);
    str_copy(w->label, sizeof w->label, label);
    str_copy(w->expected, sizeof w->expected, expected);
    str_copy(w->found, sizeof w->found, found);
    str_copy(w->manager, sizeof w->manager, manager);
}

static void poll_want(void *arg)
{
    struct stage *w = arg;
    if (w->want && w->want(w))
        w->done = true;
}

static void await(struct stage *w, bool (*want)(struct stage *w), const char *what)
{
    w->want = want;
    w->done = want(w);
    if (!loop_run_until(w->loop, &w->done, 20000))
        fail_msg("not reached: %s (asked %d, told %d)", what, w->asked, w->told);
    w->want = NULL;
}
#define AWAIT(w, want) await(w, want, #want)

static bool is_told(struct stage *w) { return w->told > 0; }
static bool asked_more(struct stage *w) { return w->asked >= w->mark + 4; }

static void look_on(struct stage *w)
{
    w->mark = w->asked;
    AWAIT(w, asked_more);
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
    w->run = run_new(&(struct run){.loop = w->loop, .kube = w->client, .config = &w->config, .id = "1f2e"});
    w->foreign = foreign_new(w->run, on_change, w);
    foreign_pace(w->foreign, 5, 5);
    w->poll = timer_new(w->loop, poll_want, w);
    timer_start(w->poll, 1, 1);
    w->body = OBJECT("0", "ferryman");
    run_watch_field(w->run, PATH, "/spec/replicas", "0", "deployment/immich replicas");
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct stage *w = *state;
    foreign_free(w->foreign);
    run_free(w->run);
    kube_client_free(w->client);
    tiny_http_free(w->server);
    timer_free(w->poll);
    loop_free(w->loop);
    mem_free(w->config.context);
    mem_free(w->config.server);
    mem_free(w);
    return 0;
}

static void test_as_expected(void **state)
{
    struct stage *w = *state;
    foreign_turn(w->foreign, true);
    look_on(w);
    w->body = OBJECT("0", "somebody"); /* labels may change */
    look_on(w);
    assert_int_equal(w->told, 0);
}

static void test_changed(void **state)
{
    struct stage *w = *state;
    foreign_turn(w->foreign, true);
    look_on(w);
    w->body = OBJECT("2", "argocd-controller");
    AWAIT(w, is_told);
    assert_string_equal(w->label, "deployment/immich replicas");
    assert_string_equal(w->expected, "0");
    assert_string_equal(w->found, "2");
    assert_string_equal(w->manager, "argocd-controller");
    look_on(w);
    assert_int_equal(w->told, 1); /* once */
    w->body = OBJECT("0", "argocd-controller");
    look_on(w);
    w->told = 0;
    w->body = OBJECT("3", "argocd-controller");
    AWAIT(w, is_told); /* anew, after it was well */
}

static void test_our_own_change_is_none(void **state)
{
    struct stage *w = *state;
    foreign_turn(w->foreign, true);
    w->body = OBJECT("2", "ferryman");
    look_on(w);
    assert_int_equal(w->told, 0);
}

/* Seen once is not enough: our own act may be on its way. */
static void test_seen_once(void **state)
{
    struct stage *w = *state;
    w->flip = true;
    w->body = OBJECT("2", "mallory");
    run_watch_field(w->run, PATH, "/spec/replicas", "2", "deployment/immich replicas");
    foreign_turn(w->foreign, true);
    look_on(w);
    look_on(w);
    assert_int_equal(w->told, 0);
}

static void test_expectation_follows(void **state)
{
    struct stage *w = *state;
    foreign_turn(w->foreign, true);
    w->body = OBJECT("2", "mallory");
    AWAIT(w, is_told);
    w->told = 0;
    run_watch_field(w->run, PATH, "/spec/replicas", "2", "deployment/immich replicas");
    look_on(w);
    assert_int_equal(w->told, 0);
    run_unwatch_field(w->run, PATH, "/spec/replicas");
    w->body = OBJECT("7", "mallory");
    w->mark = w->asked;
    foreign_turn(w->foreign, false);
    foreign_turn(w->foreign, true);
    run_watch_field(w->run, PATH, "/spec/paused", "null", "deployment/immich paused");
    look_on(w);
    assert_int_equal(w->told, 0);
}

static void test_gone(void **state)
{
    struct stage *w = *state;
    foreign_turn(w->foreign, true);
    w->body = NULL;
    AWAIT(w, is_told);
    assert_string_equal(w->found, "null");
    assert_string_equal(w->manager, "");
}

static void test_no_answer_says_nothing(void **state)
{
    struct stage *w = *state;
    foreign_turn(w->foreign, true);
    w->down = true;
    look_on(w);
    assert_int_equal(w->told, 0);
    w->down = false;
    w->body = "[]";
    AWAIT(w, is_told);
}

static void test_off(void **state)
{
    struct stage *w = *state;
    w->body = OBJECT("2", "mallory");
    w->turn_off = true;
    foreign_turn(w->foreign, true);
    AWAIT(w, is_told);
    int asked = w->asked;
    assert_string_equal(w->found, "2");
    w->done = false;
    loop_run_until(w->loop, &w->done, 100);
    assert_int_equal(w->asked, asked);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_as_expected), T(test_changed), T(test_our_own_change_is_none), T(test_seen_once), T(test_expectation_follows),
        T(test_gone), T(test_no_answer_says_nothing), T(test_off),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
