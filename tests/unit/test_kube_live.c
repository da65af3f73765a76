/* The Kubernetes source against a server: who we are and where, what starts after what, one namespace at a time where
 * the cluster is denied, an outage and its end, pod logs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "client/kube_client_private.h"
#include "client/kube_config.h"
#include "loop/loop.h"
#include "loop/timer.h"
#include "source/kube_source.h"
#include "tests/unit/tiny_http.h"
#include "world/freshness.h"

enum { WAIT_MS = 20000 };

#define CLAIM                                                                                                          \
    "{\"metadata\":{\"uid\":\"u1\",\"namespace\":\"vault\",\"name\":\"data-vault-0\"},\"spec\":{\"volumeName\":"       \
    "\"pv1\"},"                                                                                                        \
    "\"status\":{\"phase\":\"Bound\"}}"
#define VOLUME                                                                                                     \
    "{\"metadata\":{\"uid\":\"v1\",\"name\":\"pv1\"},\"spec\":{\"claimRef\":{\"uid\":\"u1\"},\"nfs\":{\"server\":" \
    "\"10.0.0.5\",\"path\":\"/x\"}}}"
#define POD                                                                                                          \
    "{\"metadata\":{\"uid\":\"p1\",\"namespace\":\"vault\",\"name\":\"vault-0\",\"ownerReferences\":[{\"kind\":"      \
    "\"StatefulSet\",\"name\":\"vault\",\"controller\":true}]},\"spec\":{\"containers\":[{\"name\":\"main\"},"        \
    "{\"name\":\"side\"}],\"volumes\":[{\"persistentVolumeClaim\":{\"claimName\":\"data-vault-0\"}}]},\"status\":{}}"
#define FORBIDDEN "{\"kind\":\"Status\",\"message\":\"pods is forbidden\",\"reason\":\"Forbidden\",\"code\":403}"

struct stage {
    struct loop *loop;
    struct world *world;
    struct tiny_http *server;
    struct kube_config config;
    struct kube_source *source;
    struct timer *poll;
    bool (*want)(struct stage *s);
    bool done, down, denied;
    char list[4096], uid[64];
    const char *log;
    bool mismatch, told;
    int volumes_at, claims_at, asked;
};

/* ---- The server -------------------------------------------------------------------------------------------------- */

static const char *items_of(const char *path) {
    if (strstr(path, "/persistentvolumeclaims")) return CLAIM;
    if (strstr(path, "/persistentvolumes")) return VOLUME;
    if (str_eq(path, "/api/v1/pods") || str_eq(path, "/api/v1/namespaces/vault/pods")) return POD;
    return "";
}

static bool answer_one(struct stage *s, const char *path, struct tiny_answer *ret) {
    const struct {
        const char *path, *body;
    } fixed[] = {
        {"/version", "{\"gitVersion\":\"v1.32.13\"}"},
        {"/api/v1/namespaces/kube-system", "{\"metadata\":{\"name\":\"kube-system\",\"uid\":\"cluster-1\"}}"},
        {"/apis/authentication.k8s.io/v1/selfsubjectreviews",
         "{\"status\":{\"userInfo\":{\"username\":\"ana\\u001b[1m\",\"groups\":[\"admins\"]}}}"},
        {"/api/v1/namespaces/vault/pods/vault-0", POD},
        {"/api/v1/namespaces/vault/pods/vault-0/log", s->log},
    };
    for (size_t i = 0; i < ARRAY_LEN(fixed); i++)
        if (str_eq(path, fixed[i].path)) {
            *ret = (struct tiny_answer){.body = fixed[i].body};
            return true;
        }
    return false;
}

static bool answer(void *arg, const struct tiny_request *rq, struct tiny_answer *ret) {
    struct stage *s = arg;
    s->asked++;
    if (s->down) {
        *ret = (struct tiny_answer){.fate = TINY_RESET};
        return true;
    }
    if (answer_one(s, rq->path, ret)) return true;
    if (strstr(rq->path, "/absent")) return false; /* 404 */
    if (s->denied && str_eq(rq->path, "/api/v1/pods")) {
        *ret = (struct tiny_answer){.status = 403, .body = FORBIDDEN};
        return true;
    }
    if (strstr(rq->target, "watch=true")) {
        *ret = (struct tiny_answer){.fate = TINY_OPEN, .body = ""};
        return true;
    }
    if (strstr(rq->path, "/persistentvolumeclaims")) s->claims_at = s->asked;
    else if (strstr(rq->path, "/persistentvolumes")) s->volumes_at = s->asked;
    snprintf(s->list, sizeof s->list, "{\"metadata\":{\"resourceVersion\":\"5\"},\"items\":[%s]}", items_of(rq->path));
    *ret = (struct tiny_answer){.body = s->list};
    return true;
}

/* ---- The stage --------------------------------------------------------------------------------------------------- */

static void on_cluster(void *arg, const char *uid, bool mismatch) {
    struct stage *s = arg;
    str_copy(s->uid, sizeof s->uid, uid);
    s->mismatch = mismatch;
    s->told = true;
}

static void poll_want(void *arg) {
    struct stage *s = arg;
    world_set_now(s->world, clock_wall_ms());
    if (s->want && s->want(s)) s->done = true;
}

static int setup(void **state) {
    struct stage *s = MEM_NEW(struct stage);
    s->loop = loop_new();
    s->world = world_new();
    world_set_now(s->world, clock_wall_ms());
    s->server = tiny_http_new(s->loop);
    tiny_http_handler(s->server, answer, s);
    s->config.context = mem_strdup("home");
    s->config.server = mem_strdup(tiny_http_url(s->server));
    s->log = "one\ntwo\r\n\nth\x1bree";
    s->poll = timer_new(s->loop, poll_want, s);
    timer_start(s->poll, 1, 1);
    *state = s;
    return 0;
}

static int teardown(void **state) {
    struct stage *s = *state;
    kube_source_free(s->source);
    tiny_http_free(s->server);
    timer_free(s->poll);
    world_free(s->world);
    loop_free(s->loop);
    mem_free(s->config.context);
    mem_free(s->config.server);
    mem_free(s);
    return 0;
}

static void start(struct stage *s, const char *pinned) {
    static const char *const namespaces[] = {"vault", NULL}, *const none[] = {NULL};
    static const struct kube_plan_object objects[] = {{"vault", "StatefulSet", "vault"}};
    s->source = kube_source_new(&(struct kube_source_options){
        .loop = s->loop,
        .world = s->world,
        .config = &s->config,
        .namespaces = namespaces,
        .source_classes = none,
        .objects = objects,
        .nobjects = 1,
        .cluster_uid = pinned,
        .on_cluster = on_cluster,
        .arg = s,
    });
}

static void await(struct stage *s, bool (*want)(struct stage *s), const char *what) {
    s->want = want;
    s->done = false;
    if (!loop_run_until(s->loop, &s->done, WAIT_MS)) fail_msg("waited in vain: %s", what);
    s->want = NULL;
}
#define AWAIT(s, want) await(s, want, #want)

static struct slice cell_of(struct stage *s, enum world_table t, const char *key, int col) {
    const struct row *r = world_find(s->world, t, slice_of(key));
    return r ? row_text(r, col) : (struct slice){NULL, 0};
}

static bool state_is(struct stage *s, const char *source, const char *state) {
    return slice_is(cell_of(s, T_SOURCES, source, SOURCES_STATE), state);
}

static unsigned timeline_count(struct stage *s, const char *level) {
    unsigned n = 0;
    for (const struct row *r = world_first(s->world, T_TIMELINE); r; r = world_next(s->world, r))
        n += slice_is(row_text(r, TIMELINE_LEVEL), level);
    return n;
}

static bool all_live(struct stage *s) {
    unsigned n = 0;
    for (const struct row *r = world_first(s->world, T_SOURCES); r; r = world_next(s->world, r)) {
        if (!slice_is(row_text(r, SOURCES_STATE), "LIVE")) return false;
        n++;
    }
    return n == 18 && s->told && cell_of(s, T_CREDENTIALS, "kube", CREDENTIALS_USER).n; /* 17 kinds and the server */
}

/* ---- Tests ------------------------------------------------------------------------------------------------------- */

static void test_start(void **state) {
    struct stage *s = *state;
    start(s, "cluster-1");
    AWAIT(s, all_live);
    assert_string_equal(s->uid, "cluster-1");
    assert_false(s->mismatch);
    assert_true(utf8_is_clean(cell_of(s, T_CREDENTIALS, "kube", CREDENTIALS_USER)));
    assert_true(slice_is(cell_of(s, T_CREDENTIALS, "kube", CREDENTIALS_IDENTITY), "cluster-1"));
    assert_true(slice_is(cell_of(s, T_CREDENTIALS, "kube", CREDENTIALS_VERSION), "v1.32.13"));
    assert_true(slice_is(cell_of(s, T_CREDENTIALS, "kube", CREDENTIALS_CONTEXT), "home"));
    assert_true(slice_is(cell_of(s, T_CREDENTIALS, "kube", CREDENTIALS_STATE), "OK"));
    assert_true(slice_ends(cell_of(s, T_SOURCES, "kube/api", SOURCES_DETAIL), ", v1.32.13"));
    assert_true(s->volumes_at < s->claims_at); /* so that each claim is judged once */
    assert_true(slice_is(cell_of(s, T_CLAIMS, "u1", CLAIMS_STATE), "HOSTILE"));
    assert_true(slice_is(cell_of(s, T_CLAIMS, "u1", CLAIMS_STORAGE), "NFS 10.0.0.5"));
    assert_int_equal(world_freshness(s->world, world_find(s->world, T_CLAIMS, SLICE_LIT("u1"))).state, FRESH_LIVE);
    assert_int_equal(world_count(s->world, T_TIMELINE), 0); /* what is there at the start is no news */
}

static bool is_told(struct stage *s) {
    return s->told;
}

static void test_another_cluster(void **state) {
    struct stage *s = *state;
    start(s, "cluster-2");
    AWAIT(s, is_told);
    assert_true(s->mismatch);
    assert_string_equal(s->uid, "cluster-1");
}

static bool single_pods(struct stage *s) {
    return state_is(s, "kube/pods", "DENIED") && state_is(s, "kube/pods@vault", "LIVE");
}

static void test_denied(void **state) {
    struct stage *s = *state;
    s->denied = true;
    start(s, NULL);
    AWAIT(s, single_pods);
    assert_string_equal(row_src(s->world, world_find(s->world, T_PODS, SLICE_LIT("p1"))), "kube/pods@vault");
    assert_true(slice_contains(cell_of(s, T_SOURCES, "kube/pods", SOURCES_ERROR), "pods is forbidden"));
}

static bool all_down(struct stage *s) {
    for (const struct row *r = world_first(s->world, T_SOURCES); r; r = world_next(s->world, r))
        if (!slice_is(row_text(r, SOURCES_STATE), "DOWN")) return false;
    return true;
}

/* Everything fails together and comes back by itself; the timeline says each once. */
static void test_outage(void **state) {
    struct stage *s = *state;
    start(s, NULL);
    AWAIT(s, all_live);
    kube_canary_pace(kube_source_client(s->source), 200, 200);
    s->down = true;
    tiny_http_drop(s->server);
    AWAIT(s, all_down);
    const struct row *claim = world_find(s->world, T_CLAIMS, SLICE_LIT("u1"));
    assert_non_null(claim); /* kept, but it cannot be relied upon */
    assert_false(fresh_usable(world_freshness(s->world, claim)));
    assert_true(cell_of(s, T_SOURCES, "kube/pods", SOURCES_ERROR).n > 0);
    s->down = false;
    AWAIT(s, all_live);
    assert_int_equal(timeline_count(s, "BAD"), 1);
    assert_int_equal(timeline_count(s, "GOOD"), 1);
}

static bool has_log(struct stage *s) {
    const struct row *r = world_find(s->world, T_LOGS, SLICE_LIT("000004"));
    return r && slice_starts(row_text(r, LOGS_LINE), "th");
}

static bool has_short_log(struct stage *s) {
    return slice_is(cell_of(s, T_LOGS, "000001", LOGS_LINE), "only");
}

static bool has_failed_log(struct stage *s) {
    return slice_starts(cell_of(s, T_LOGS, "000001", LOGS_LINE), "(the pod cannot be read: ");
}

static bool has_empty_log(struct stage *s) {
    return slice_is(cell_of(s, T_LOGS, "000001", LOGS_LINE), "(the log is empty)");
}

static void test_log(void **state) {
    struct stage *s = *state;
    start(s, NULL);
    kube_source_log(s->source, "vault", "vault-0", NULL);
    AWAIT(s, has_log);
    assert_int_equal(world_count(s->world, T_LOGS), 4);
    assert_true(slice_is(cell_of(s, T_LOGS, "000002", LOGS_LINE), "two"));
    assert_true(slice_is(cell_of(s, T_LOGS, "000003", LOGS_LINE), ""));
    assert_true(slice_is(cell_of(s, T_LOGS, "000001", LOGS_POD), "vault/vault-0/main")); /* its first container */
    assert_true(utf8_is_clean(cell_of(s, T_LOGS, "000004", LOGS_LINE)));
    s->log = "only";
    kube_source_log(s->source, "vault", "vault-0", "side");
    AWAIT(s, has_short_log);
    assert_int_equal(world_count(s->world, T_LOGS), 1);
    kube_source_log(s->source, "vault", "absent", NULL);
    AWAIT(s, has_failed_log);
    s->log = "";
    kube_source_log(s->source, "vault", "vault-0", "side");
    AWAIT(s, has_empty_log);
}

/* Ended in the middle of everything: nothing is left behind (the sanitizers say so). */
static void test_early_end(void **state) {
    struct stage *s = *state;
    start(s, NULL);
    kube_source_log(s->source, "vault", "vault-0", NULL);
    s->log = "late";
    kube_source_poke(s->source);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_start, setup, teardown),
        cmocka_unit_test_setup_teardown(test_another_cluster, setup, teardown),
        cmocka_unit_test_setup_teardown(test_denied, setup, teardown),
        cmocka_unit_test_setup_teardown(test_outage, setup, teardown),
        cmocka_unit_test_setup_teardown(test_log, setup, teardown),
        cmocka_unit_test_setup_teardown(test_early_end, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
