/* Phases from dialog to end, on a table of phases of the test's own and an API server that keeps whatever object it is given. */
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
#include "base/json_doc.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/str.h"
#include "client/kube_client.h"
#include "client/kube_config.h"
#include "loop/loop.h"
#include "loop/timer.h"
#include "migrate/intent.h"
#include "migrate/journal.h"
#include "migrate/migration.h"
#include "migrate/migration_private.h"
#include "migrate/phase.h"
#include "migrate/plan.h"
#include "tests/unit/tiny_http.h"
#include "world/world.h"

enum { PATIENCE_MS = 20000 };

#define MAPS "/api/v1/namespaces/immich/configmaps"
#define WORK "db/work" "/" /* keys of the steps of phase work */

/* ---- An API server that keeps objects by their path -------------------------------------------------------------- */

struct fake {
    struct map *objects; /* path → struct json_t * */
    int version, posts;
    struct buf answer;
};

static void drop_doc(void *doc) {
    jd_free(doc);
}

static void say(struct fake *f, struct tiny_answer *ret, int status, const struct json_t *doc) {
    buf_clear(&f->answer);
    if (doc) jd_dump(doc, &f->answer);
    else buf_printf(&f->answer, "{\"kind\":\"Status\",\"status\":\"Failure\",\"reason\":\"x\",\"message\":\"status %d\",\"code\":%d}", status, status);
    *ret = (struct tiny_answer){.status = status, .body = f->answer.p, .body_len = f->answer.len};
}

static void keep(struct fake *f, const char *path, struct json_t *doc) {
    char text[32];
    snprintf(text, sizeof text, "%d", ++f->version);
    if (!jd_str(doc, "metadata.uid")) jd_put(doc, "metadata.uid", jd_string(text));
    jd_put(doc, "metadata.resourceVersion", jd_string(text));
    jd_free(map_puts(f->objects, path, doc));
}

static bool answer(void *arg, const struct tiny_request *rq, struct tiny_answer *ret) {
    struct fake *f = arg;
    struct json_t *doc = NULL;
    bool dry = strstr(rq->target, "dryRun=All") != NULL;
    if (str_eq(rq->method, "GET")) {
        struct json_t *have = map_gets(f->objects, rq->path);
        say(f, ret, have ? 200 : 404, have);
        return true;
    }
    err_ignore(jd_parse(rq->body, strlen(rq->body), "body", &doc), "then there is no name");
    const char *name = jd_str(doc, "metadata.name");
    char *path = str_eq(rq->method, "POST") && name ? str_printf("%s/%s", rq->path, name) : mem_strdup(rq->path);
    if (str_eq(rq->method, "POST") && map_gets(f->objects, path)) say(f, ret, 409, NULL);
    else if (dry) say(f, ret, 201, doc);
    else {
        if (str_eq(rq->method, "POST") && str_starts(rq->path, MAPS)) f->posts++;
        keep(f, path, jd_ref(doc));
        say(f, ret, str_eq(rq->method, "POST") ? 201 : 200, doc);
    }
    jd_free(doc);
    mem_free(path);
    return true;
}

/* ---- Phases ------------------------------------------------------------------------------------------------------ */

static bool gate_open, allowed = true, agreed = true, comes_up = true;

static enum op_answer see_note(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    (void)op;
    (void)seen;
    run_set(r, "looked", "yes");
    run_set(r, "cluster.uid", "uid-of-this");
    buf_adds(reason, "it is well");
    return OP_DONE;
}

static enum op_answer see_gate(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    (void)r;
    (void)op;
    (void)seen;
    buf_adds(reason, gate_open ? "open" : "the gate is shut");
    return gate_open ? OP_DONE : OP_TODO;
}

static enum op_answer see_agreed(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    (void)r;
    (void)op;
    (void)seen;
    if (!agreed) buf_adds(reason, "look at what would be lost");
    return agreed ? OP_DONE : OP_REFUSE;
}

static enum op_answer see_up(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    (void)r;
    (void)op;
    (void)seen;
    if (!comes_up) buf_adds(reason, "it does not come up");
    return comes_up ? OP_DONE : OP_REFUSE;
}

static struct json_t *config_map(const struct run *r, const char *name) {
    struct json_t *d = jd_object(), *annotations = jd_object();
    jd_set(annotations, "ferryman.io/run", jd_string(r->id));
    jd_set(d, "apiVersion", jd_string("v1"));
    jd_set(d, "kind", jd_string("ConfigMap"));
    jd_put(d, "metadata.name", jd_string(name));
    jd_put(d, "metadata.annotations", annotations);
    return d;
}

static void script_look(struct run *r, struct script *s) {
    (void)r;
    script_check(s, "look", "look around", see_note);
}

static void script_one(struct run *r, struct script *s) {
    script_create(s, "create one", "create one", MAPS, config_map(r, "one"), NULL);
}

static void script_agreed(struct run *r, struct script *s) {
    (void)r;
    script_check(s, "agreed", "what would be lost", see_agreed);
}

static void script_up(struct run *r, struct script *s) {
    (void)r;
    script_check(s, "up", "it comes up", see_up);
}

static void script_gate(struct run *r, struct script *s) {
    (void)r;
    script_wait(s, "gate", "wait for the gate", NULL, see_gate, 60000);
}

static void script_second(struct run *r, struct script *s) {
    script_create(s, "create two", "create two", MAPS, config_map(r, "two"), NULL);
}

static bool may(const struct run *r, struct buf *reason) {
    (void)r;
    if (!allowed) buf_adds(reason, "not at this hour");
    return allowed;
}

static const struct step look_steps[] = {{"look", "look", script_look}, {NULL, NULL, NULL}};
static const struct step work_steps[] = {{"first", "the first", script_one}, {"gate", "the gate", script_gate}, {"second", "the second", script_second}, {NULL, NULL, NULL}};
static const struct step first_steps[] = {{"look", "look", script_look}, {"up", "up", script_up}, {NULL, NULL, NULL}};
static const struct step back_steps[] = {{"ask", "ask", script_agreed}, {"up", "up", script_up}, {NULL, NULL, NULL}};
static const struct phase look = {.id = "look", .title = "look around", .stake = STAKE_REVERSIBLE, .steps = first_steps, .may_begin = may};
static const struct phase rest = {.id = "rest", .title = "rest", .stake = STAKE_REVERSIBLE, .steps = look_steps, .optional = true};
static const struct phase work = {.id = "work", .title = "do the work", .stake = STAKE_HARD, .steps = work_steps};
static const struct phase purge = {.id = "purge", .title = "purge", .stake = STAKE_PURGE, .steps = look_steps};
static const struct phase back = {.id = "rollback", .title = "rollback", .stake = STAKE_HARD, .steps = back_steps, .looks = 1};
static const struct phase *const order[] = {&look, &rest, &work, &purge, NULL};
static const struct phase_table table = {.kind = &plan_kind_postgres, .phases = order, .rollback = &back};

static const struct phase_table *table_of(const struct plan_kind *kind) {
    return kind == &plan_kind_postgres ? &table : NULL;
}

/* ---- The stage --------------------------------------------------------------------------------------------------- */

static const char plan_text[] =
    "plan: p\ncontext: home\nsource: { storageClasses: [nfs] }\ntarget: { storageClass: block, encrypted: required }\n"
    "workloads:\n- name: db\n  kind: postgres-dump-restore\n  namespace: immich\n  deployment: pg\n  volume: data\n"
    "  claim: { name: new, size: 1Gi, apply: console }\n  postgres: { via: direct, conninfo: \"host=127.0.0.1\" }\n"
    "  dump: { strategy: dumpall, directory: /nowhere, encrypt: { none: true, reason: test } }\n  retain: 7d\n";

struct stage {
    struct loop *loop;
    struct tiny_http *server;
    struct kube_config config;
    struct kube_client *client;
    struct timer *tick;
    struct fake fake;
    struct plan *plan;
    struct world *world;
    struct migration *m;
    char dir[64];
    bool (*want)(struct stage *w);
    bool done;
    int idle;
};

static void tick(void *arg) {
    struct stage *w = arg;
    world_set_now(w->world, clock_wall_ms());
    if (w->m) migration_tick(w->m);
    if (w->want && w->want(w)) w->done = true;
}

static void on_idle(void *arg) {
    ((struct stage *)arg)->idle++;
}

static void put_workload(struct stage *w, const char *image) {
    struct cell cells[WORKLOADS_COLS] = {[WORKLOADS_NAMESPACE] = cell_text("immich"), [WORKLOADS_NAME] = cell_text("pg"),
                                         [WORKLOADS_KIND] = cell_text("Deployment"), [WORKLOADS_IMAGE] = cell_text(image), [WORKLOADS_DESIRED] = cell_int(1)};
    world_upsert(w->world, T_WORKLOADS, SLICE_LIT("uid-1"), "", cells);
}

static struct migration *start(struct stage *w, struct world *world) {
    return migration_new(&(struct migration_options){.loop = w->loop, .world = world, .plan = w->plan, .config = &w->config, .kube = w->client,
                                                     .dir = w->dir, .table_of = table_of, .on_idle = on_idle, .arg = w});
}

static int setup(void **state) {
    struct stage *w = MEM_NEW(struct stage);
    gate_open = false;
    allowed = agreed = comes_up = true;
    str_copy(w->dir, sizeof w->dir, "/tmp/ferryman-test-XXXXXX");
    assert_non_null(mkdtemp(w->dir));
    w->loop = loop_new();
    w->fake.objects = map_new();
    w->server = tiny_http_new(w->loop);
    tiny_http_handler(w->server, answer, &w->fake);
    w->config.context = mem_strdup("home");
    w->config.server = mem_strdup(tiny_http_url(w->server));
    w->client = kube_client_new(w->loop, &w->config, NULL, NULL);
    struct err *e = plan_parse(plan_text, sizeof plan_text - 1, "plan.yaml", &w->plan);
    if (e) fail_msg("%s", err_text(e));
    w->world = world_new();
    world_set_now(w->world, clock_wall_ms());
    put_workload(w, "image:1");
    w->m = start(w, w->world);
    w->tick = timer_new(w->loop, tick, w);
    timer_start(w->tick, 2, 2);
    *state = w;
    return 0;
}

static int teardown(void **state) {
    struct stage *w = *state;
    migration_free(w->m);
    kube_client_free(w->client);
    tiny_http_free(w->server);
    timer_free(w->tick);
    loop_free(w->loop);
    world_free(w->world);
    plan_free(w->plan);
    map_free(w->fake.objects, drop_doc);
    buf_free(&w->fake.answer);
    mem_free(w->config.context);
    mem_free(w->config.server);
    char *remove = str_printf("rm -rf '%s'", w->dir);
    assert_int_equal(system(remove), 0);
    mem_free(remove);
    mem_free(w);
    return 0;
}

static struct slice text_of(const struct stage *w, enum world_table t, const char *key, int col) {
    const struct row *r = world_find(w->world, t, slice_of(key));
    return r ? row_text(r, col) : (struct slice){NULL, 0};
}

static bool is(const struct stage *w, enum world_table t, const char *key, int col, const char *text) {
    return slice_is(text_of(w, t, key, col), text);
}

static bool has(const struct stage *w, enum world_table t, const char *key, int col, const char *part) {
    char *text = slice_dup(text_of(w, t, key, col));
    bool there = text && strstr(text, part);
    mem_free(text);
    return there;
}

#define assert_is(w, t, key, col, text) \
    do { \
        struct slice is_ = text_of(w, t, key, col); \
        if (!slice_is(is_, text)) fail_msg("%s: \"%.*s\", not \"%s\"", key, (int)is_.n, is_.p ? is_.p : "", text); \
    } while (0)
#define assert_has(w, t, key, col, part) \
    do { \
        struct slice has_ = text_of(w, t, key, col); \
        if (!has(w, t, key, col, part)) fail_msg("%s: \"%.*s\" has no \"%s\"", key, (int)has_.n, has_.p ? has_.p : "", part); \
    } while (0)

static void await(struct stage *w, bool (*want)(struct stage *w), const char *what) {
    w->want = want;
    w->done = want(w);
    if (!loop_run_until(w->loop, &w->done, PATIENCE_MS)) {
        struct slice reason = text_of(w, T_PLAN_WORKLOADS, "db", PLAN_WORKLOADS_REASON), state = text_of(w, T_PLAN_WORKLOADS, "db", PLAN_WORKLOADS_STATE);
        fail_msg("not reached: %s (%.*s: %.*s)", what, SLICE_FMT(state), SLICE_FMT(reason));
    }
    w->want = NULL;
}
#define AWAIT(w, want) await(w, want, #want)

static void send_as(struct stage *w, unsigned peer, struct intent in) {
    assert_true(migration_intent(w->m, peer, &in));
}
#define SEND(w, ...) send_as(w, 1, (struct intent){__VA_ARGS__})
#define W(s) ((char *)(uintptr_t)(s))

static const char *const arming = "arming";

static void arm(struct stage *w) {
    SEND(w, .verb = W("arm"), .typed = W("home"));
    assert_is(w, T_ARMING, arming, ARMING_STATE, "ARMED");
}

/* The newest dialog's key. */
static const char *newest(const struct stage *w) {
    static char key[32];
    int64_t best = -1;
    key[0] = '\0';
    for (const struct row *r = world_first(w->world, T_DIALOGS); r; r = world_next(w->world, r)) {
        char *k = slice_dup(row_key(r));
        if (atoll(k) > best) {
            best = atoll(k);
            str_copy(key, sizeof key, k);
        }
        mem_free(k);
    }
    return key;
}

static bool dialog_ready(struct stage *w) {
    return is(w, T_DIALOGS, newest(w), DIALOGS_STATE, "READY") || is(w, T_DIALOGS, newest(w), DIALOGS_STATE, "REFUSED");
}
static bool look_done(struct stage *w) { return is(w, T_PHASES, "db/look", PHASES_STATE, "DONE"); }
static bool work_done(struct stage *w) { return is(w, T_PHASES, "db/work", PHASES_STATE, "DONE"); }
static bool at_the_gate(struct stage *w) { return has(w, T_STEPS, WORK "gate", STEPS_DETAIL, "the gate is shut"); }
static bool work_failed(struct stage *w) { return is(w, T_PHASES, "db/work", PHASES_STATE, "FAILED"); }
static bool rolled_back(struct stage *w) { return is(w, T_PLAN_WORKLOADS, "db", PLAN_WORKLOADS_STATE, "ROLLED BACK"); }
static bool read_only(struct stage *w) { return is(w, T_PLAN_WORKLOADS, "db", PLAN_WORKLOADS_STATE, "READ ONLY"); }

static void open_ready(struct stage *w, const char *phase) {
    SEND(w, .verb = W("open"), .workload = W("db"), .phase = W(phase));
    AWAIT(w, dialog_ready);
    assert_is(w, T_DIALOGS, newest(w), DIALOGS_STATE, "READY");
}

static void confirm(struct stage *w, const char *typed) {
    SEND(w, .verb = W("confirm"), .dialog = W(newest(w)), .typed = W(typed));
}

static void do_look(struct stage *w) {
    arm(w);
    open_ready(w, "look");
    confirm(w, "y");
    AWAIT(w, look_done);
    SEND(w, .verb = W("skip"), .workload = W("db"), .phase = W("rest"), .reason = W("no time"));
}

static void begin_work(struct stage *w) {
    do_look(w);
    open_ready(w, "work");
    confirm(w, "pg");
    AWAIT(w, at_the_gate);
}

static void crash_and_start(struct stage *w) {
    migration_free(w->m);
    w->m = start(w, w->world);
}

/* ---- Tests ------------------------------------------------------------------------------------------------------- */

static void test_read_only_until_the_context_is_typed(void **state) {
    struct stage *w = *state;
    assert_is(w, T_ARMING, arming, ARMING_STATE, "READ-ONLY");
    SEND(w, .verb = W("open"), .workload = W("db"), .phase = W("look"));
    assert_has(w, T_ARMING, arming, ARMING_ANSWER, "read-only: A arms");
    assert_int_equal(world_count(w->world, T_DIALOGS), 0);
    SEND(w, .verb = W("arm"), .typed = W("hom"));
    assert_has(w, T_ARMING, arming, ARMING_ANSWER, "not the context's name");
    assert_is(w, T_ARMING, arming, ARMING_STATE, "READ-ONLY");
    arm(w);
    send_as(w, 2, (struct intent){.verb = W("arm"), .typed = W("home")});
    assert_has(w, T_ARMING, arming, ARMING_ANSWER, "another console");
    send_as(w, 2, (struct intent){.verb = W("open"), .workload = W("db"), .phase = W("look")});
    assert_has(w, T_ARMING, arming, ARMING_ANSWER, "another console is armed");
    SEND(w, .verb = W("disarm"));
    assert_is(w, T_ARMING, arming, ARMING_STATE, "READ-ONLY");
}

static void test_a_console_that_goes_is_disarmed(void **state) {
    struct stage *w = *state;
    arm(w);
    open_ready(w, "look");
    migration_peer_gone(w->m, 1);
    assert_is(w, T_ARMING, arming, ARMING_STATE, "READ-ONLY");
    assert_int_equal(world_count(w->world, T_DIALOGS), 0);
    assert_int_equal(world_count(w->world, T_DIALOG_LINES), 0);
}

static void test_another_cluster_cannot_be_armed(void **state) {
    struct stage *w = *state;
    struct cell cells[PLAN_COLS] = {[PLAN_STATE] = cell_text("MISMATCH")};
    world_upsert(w->world, T_PLAN, SLICE_LIT("plan"), "", cells);
    SEND(w, .verb = W("arm"), .typed = W("home"));
    assert_has(w, T_ARMING, arming, ARMING_ANSWER, "another cluster");
    assert_is(w, T_ARMING, arming, ARMING_STATE, "READ-ONLY");
}

static void test_another_cluster_than_the_run_began_in(void **state) {
    struct stage *w = *state;
    do_look(w);
    struct cell cells[CREDENTIALS_COLS] = {[CREDENTIALS_IDENTITY] = cell_text("uid-of-another")};
    world_upsert(w->world, T_CREDENTIALS, SLICE_LIT("kube"), "", cells);
    SEND(w, .verb = W("open"), .workload = W("db"), .phase = W("work"));
    assert_has(w, T_ARMING, arming, ARMING_ANSWER, "another cluster (uid-of-another) than this run began in (uid-of-this)");
}

static void test_only_the_next_phase_opens(void **state) {
    struct stage *w = *state;
    arm(w);
    SEND(w, .verb = W("open"), .workload = W("db"), .phase = W("work"));
    assert_has(w, T_ARMING, arming, ARMING_ANSWER, "look around comes next");
    SEND(w, .verb = W("open"), .workload = W("db"), .phase = W("rollback"));
    assert_has(w, T_ARMING, arming, ARMING_ANSWER, "nothing to roll back");
    SEND(w, .verb = W("skip"), .workload = W("db"), .phase = W("look"), .reason = W("why not"));
    assert_has(w, T_ARMING, arming, ARMING_ANSWER, "cannot be skipped");
    SEND(w, .verb = W("override"), .workload = W("db"), .gate = W("quorum"), .reason = W("because"));
    assert_has(w, T_ARMING, arming, ARMING_ANSWER, "cannot be overridden");
}

/* An alert that was passed over in one phase is asked about again in the next; where a copy lies need not be said twice. */
static void test_an_override_is_for_one_phase(void **state) {
    struct stage *w = *state;
    const struct run *r = migration_mover(w->m, "db")->run;
    arm(w);
    SEND(w, .verb = W("override"), .workload = W("db"), .gate = W("alerts"), .reason = W("known"));
    SEND(w, .verb = W("override"), .workload = W("db"), .gate = W("circle"), .reason = W("in the safe"));
    open_ready(w, "look");
    confirm(w, "y");
    assert_string_equal(run_override(r, "alerts"), "known");
    AWAIT(w, look_done);
    assert_null(run_override(r, "alerts"));
    assert_string_equal(run_override(r, "circle"), "in the safe");
}

static void test_a_phase_from_dialog_to_end(void **state) {
    struct stage *w = *state;
    arm(w);
    open_ready(w, "look");
    assert_is(w, T_DIALOGS, newest(w), DIALOGS_TYPED, "y");
    confirm(w, "yes");
    assert_has(w, T_ARMING, arming, ARMING_ANSWER, "is not 'y'");
    confirm(w, "y");
    AWAIT(w, look_done);
    assert_is(w, T_STEPS, "db/look/look", STEPS_DETAIL, "look around: it is well");
    assert_is(w, T_RESULTS, "db/look/look/000", RESULTS_TEXT, "it is well");
    assert_is(w, T_PHASES, "db/rest", PHASES_STATE, "NEXT");
    assert_is(w, T_LOCKS, "db", LOCKS_STATE, "OURS");
    assert_non_null(map_gets(w->fake.objects, "/apis/coordination.k8s.io/v1/namespaces/immich/leases/ferryman-db"));
    assert_non_null(map_gets(w->fake.objects, "/api/v1/namespaces/immich/secrets/ferryman-db"));
    assert_true(w->idle > 0);
    assert_false(migration_busy(w->m));
}

static void test_what_moved_since_makes_the_dialog_stale(void **state) {
    struct stage *w = *state;
    arm(w);
    open_ready(w, "look");
    put_workload(w, "image:2");
    confirm(w, "y");
    assert_is(w, T_DIALOGS, newest(w), DIALOGS_STATE, "STALE");
    assert_has(w, T_DIALOGS, newest(w), DIALOGS_REASON, "the plan is stale");
    assert_is(w, T_PHASES, "db/look", PHASES_STATE, "NEXT");
}

static void test_nothing_begins_on_a_stale_fact(void **state) {
    struct stage *w = *state;
    struct cell source[SOURCES_COLS] = {[SOURCES_SERVER] = cell_text("kube"), [SOURCES_KIND] = cell_text("deployments"), [SOURCES_STATE] = cell_text("DOWN")};
    struct cell cells[WORKLOADS_COLS] = {[WORKLOADS_NAMESPACE] = cell_text("immich"), [WORKLOADS_NAME] = cell_text("pg"), [WORKLOADS_KIND] = cell_text("Deployment")};
    world_upsert(w->world, T_SOURCES, SLICE_LIT("kube/deployments"), "kube/deployments", source);
    world_upsert(w->world, T_WORKLOADS, SLICE_LIT("uid-1"), "kube/deployments", cells);
    arm(w);
    SEND(w, .verb = W("open"), .workload = W("db"), .phase = W("look"));
    AWAIT(w, dialog_ready);
    assert_is(w, T_DIALOGS, newest(w), DIALOGS_STATE, "REFUSED");
    assert_has(w, T_DIALOGS, newest(w), DIALOGS_REASON, "kube/deployments is DOWN");
    confirm(w, "y");
    assert_is(w, T_PHASES, "db/look", PHASES_STATE, "NEXT");
}

static void test_an_hour_that_ends_while_the_dialog_is_open(void **state) {
    struct stage *w = *state;
    arm(w);
    open_ready(w, "look");
    allowed = false;
    confirm(w, "y");
    assert_is(w, T_DIALOGS, newest(w), DIALOGS_STATE, "REFUSED");
    assert_has(w, T_DIALOGS, newest(w), DIALOGS_REASON, "not at this hour");
}

static void test_interrupted_phases_go_on_where_they_were(void **state) {
    struct stage *w = *state;
    begin_work(w);
    assert_int_equal(w->fake.posts, 1);
    crash_and_start(w);
    assert_is(w, T_PHASES, "db/work", PHASES_STATE, "INTERRUPTED");
    assert_is(w, T_STEPS, WORK "first", STEPS_STATE, "DONE");
    assert_is(w, T_PHASES, "db/rest", PHASES_STATE, "SKIPPED");
    assert_is(w, T_ARMING, arming, ARMING_STATE, "READ-ONLY");
    gate_open = true;
    arm(w);
    open_ready(w, "work");
    confirm(w, "pg");
    AWAIT(w, work_done);
    assert_int_equal(w->fake.posts, 2);
    crash_and_start(w);
    assert_is(w, T_PHASES, "db/work", PHASES_STATE, "DONE");
    assert_is(w, T_RESULTS, WORK "second/000", RESULTS_WHAT, "create two");
    assert_is(w, T_PHASES, "db/purge", PHASES_TYPED, "home");
}

static void test_pause_and_abort(void **state) {
    struct stage *w = *state;
    begin_work(w);
    SEND(w, .verb = W("pause"), .workload = W("db"));
    assert_is(w, T_PHASES, "db/work", PHASES_STATE, "PAUSED");
    SEND(w, .verb = W("open"), .workload = W("db"), .phase = W("work"));
    assert_has(w, T_ARMING, arming, ARMING_ANSWER, "under way");
    SEND(w, .verb = W("resume"), .workload = W("db"));
    AWAIT(w, at_the_gate);
    SEND(w, .verb = W("abort"), .workload = W("db"));
    AWAIT(w, work_failed);
    assert_int_equal(w->fake.posts, 1);
    gate_open = true;
    open_ready(w, "work");
    confirm(w, "pg");
    AWAIT(w, work_done);
    assert_int_equal(w->fake.posts, 2);
}

static void test_arming_that_ends_does_not_pause_a_phase(void **state) {
    struct stage *w = *state;
    begin_work(w);
    migration_peer_gone(w->m, 1);
    gate_open = true;
    AWAIT(w, work_done);
}

static void test_rolled_back_is_as_at_the_beginning(void **state) {
    struct stage *w = *state;
    begin_work(w);
    SEND(w, .verb = W("abort"), .workload = W("db"));
    AWAIT(w, work_failed);
    open_ready(w, "rollback");
    confirm(w, "pg");
    AWAIT(w, rolled_back);
    crash_and_start(w);
    assert_is(w, T_PLAN_WORKLOADS, "db", PLAN_WORKLOADS_STATE, "ROLLED BACK");
    arm(w);
    open_ready(w, "look");
    confirm(w, "y");
    AWAIT(w, look_done);
    assert_is(w, T_PHASES, "db/work", PHASES_STATE, "NOT YET");
    assert_is(w, T_PHASES, "db/rest", PHASES_STATE, "NEXT");
    assert_null(world_find(w->world, T_STEPS, slice_of(WORK "first")));
}

static bool rollback_failed(struct stage *w) { return is(w, T_PHASES, "db/rollback", PHASES_STATE, "FAILED"); }

/* Who saw what would be lost, and does not want that, goes on forward. */
static void test_a_rollback_that_only_looked_leaves_the_way_forward(void **state) {
    struct stage *w = *state;
    begin_work(w);
    SEND(w, .verb = W("abort"), .workload = W("db"));
    AWAIT(w, work_failed);
    agreed = false;
    open_ready(w, "rollback");
    confirm(w, "pg");
    AWAIT(w, rollback_failed);
    crash_and_start(w);
    arm(w);
    gate_open = true;
    open_ready(w, "work");
    confirm(w, "pg");
    AWAIT(w, work_done);
}

/* What has begun to go back goes back: also when a later try does not come beyond looking. */
static void test_a_rollback_that_acted_must_end(void **state) {
    struct stage *w = *state;
    begin_work(w);
    SEND(w, .verb = W("abort"), .workload = W("db"));
    AWAIT(w, work_failed);
    comes_up = false;
    for (int i = 0; i < 2; i++, agreed = false) {
        open_ready(w, "rollback");
        confirm(w, "pg");
        AWAIT(w, rollback_failed);
        crash_and_start(w);
        arm(w);
        SEND(w, .verb = W("open"), .workload = W("db"), .phase = W("work"));
        assert_has(w, T_ARMING, arming, ARMING_ANSWER, "rollback comes next");
    }
    agreed = comes_up = true;
    open_ready(w, "rollback");
    confirm(w, "pg");
    AWAIT(w, rolled_back);
}

static bool look_failed(struct stage *w) { return is(w, T_PHASES, "db/look", PHASES_STATE, "FAILED"); }

/* What the first phase found before it stopped in its middle is forgotten: after a rollback it begins at its beginning. */
static void test_after_a_rollback_nothing_is_skipped(void **state) {
    struct stage *w = *state;
    arm(w);
    comes_up = false;
    open_ready(w, "look");
    confirm(w, "y");
    AWAIT(w, look_failed);
    comes_up = true;
    open_ready(w, "rollback");
    confirm(w, "pg");
    AWAIT(w, rolled_back);
    open_ready(w, "look");
    confirm(w, "y");
    AWAIT(w, look_done);
    assert_is(w, T_STEPS, "db/look/look", STEPS_DETAIL, "look around: it is well");
}

/* Another process has the journal: it is shown what happens there, and nothing can be done here. */
static void test_a_journal_has_one_writer(void **state) {
    struct stage *w = *state;
    begin_work(w);
    struct world *other = world_new(), *mine = w->world;
    world_set_now(other, clock_wall_ms());
    struct migration *second = start(w, other), *first = w->m;
    w->world = other;
    w->m = second;
    migration_tick(second);
    assert_is(w, T_PHASES, "db/work", PHASES_STATE, "RUNNING");
    assert_is(w, T_PLAN_WORKLOADS, "db", PLAN_WORKLOADS_STATE, "READ ONLY");
    SEND(w, .verb = W("arm"), .typed = W("home"));
    assert_has(w, T_ARMING, arming, ARMING_ANSWER, "read-only");
    assert_is(w, T_ARMING, arming, ARMING_STATE, "READ-ONLY");
    migration_free(second);
    world_free(other);
    w->world = mine;
    w->m = first;
}

/* What was noted of one cluster is not gone on with in another that has come under the same name (safety 1). */
static void test_a_journal_of_another_cluster(void **state) {
    struct stage *w = *state;
    struct journal *j = NULL;
    struct json_t *d = jd_object();
    migration_free(w->m);
    assert_null(journal_open(w->loop, w->dir, "p", NULL, NULL, &j));
    jd_set(d, "t", jd_string("fact"));
    jd_set(d, "workload", jd_string("db"));
    jd_set(d, "name", jd_string("cluster.uid"));
    jd_set(d, "value", jd_string("uid-here"));
    journal_append(j, d, NULL, NULL);
    jd_free(d);
    journal_free(j);
    w->plan->cluster = mem_strdup("uid-here");
    w->m = start(w, w->world);
    assert_false(is(w, T_PLAN_WORKLOADS, "db", PLAN_WORKLOADS_STATE, "READ ONLY"));
    migration_free(w->m);
    str_set(&w->plan->cluster, "uid-there");
    w->m = start(w, w->world);
    assert_is(w, T_PLAN_WORKLOADS, "db", PLAN_WORKLOADS_STATE, "READ ONLY");
    assert_has(w, T_PLAN_WORKLOADS, "db", PLAN_WORKLOADS_REASON, "is of another cluster (uid-here)");
}

/* The cluster says that somebody went on with this workload with a journal that is not here (safety 26). */
static void test_a_foreign_head_makes_it_read_only(void **state) {
    struct stage *w = *state;
    static const char *const path = "/api/v1/namespaces/immich/secrets/ferryman-db";
    do_look(w);
    struct json_t *secret = jd_copy(map_gets(w->fake.objects, path));
    jd_put(secret, "data.head", jd_string("MDAwMQ==")); /* 0001 */
    jd_put(secret, "data.operator", jd_string("YmVu"));  /* ben */
    keep(&w->fake, path, secret);
    open_ready(w, "work");
    confirm(w, "pg");
    AWAIT(w, read_only);
    assert_has(w, T_PLAN_WORKLOADS, "db", PLAN_WORKLOADS_REASON, "ferryman journal import");
    assert_has(w, T_PLAN_WORKLOADS, "db", PLAN_WORKLOADS_REASON, "ben");
    assert_int_equal(w->fake.posts, 0);
    SEND(w, .verb = W("open"), .workload = W("db"), .phase = W("work"));
    assert_has(w, T_ARMING, arming, ARMING_ANSWER, "read-only");
}

static void test_what_was_typed_is_wiped_and_unknown_verbs_are_not_ours(void **state) {
    struct stage *w = *state;
    struct intent in = {0};
    assert_null(intent_parse(SLICE_LIT("{\"verb\":\"refresh\",\"typed\":\"home\",\"other\":[1]}"), &in));
    assert_string_equal(in.typed, "home");
    assert_false(migration_intent(w->m, 1, &in));
    intent_clear(&in);
    assert_null(in.typed);
    struct err *e = intent_parse(SLICE_LIT("{\"verb\":"), &in);
    assert_non_null(e);
    err_free(e);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_read_only_until_the_context_is_typed),
        TEST(test_a_console_that_goes_is_disarmed),
        TEST(test_another_cluster_cannot_be_armed),
        TEST(test_a_journal_of_another_cluster),
        TEST(test_another_cluster_than_the_run_began_in),
        TEST(test_only_the_next_phase_opens),
        TEST(test_an_override_is_for_one_phase),
        TEST(test_a_phase_from_dialog_to_end),
        TEST(test_what_moved_since_makes_the_dialog_stale),
        TEST(test_nothing_begins_on_a_stale_fact),
        TEST(test_an_hour_that_ends_while_the_dialog_is_open),
        TEST(test_interrupted_phases_go_on_where_they_were),
        TEST(test_pause_and_abort),
        TEST(test_arming_that_ends_does_not_pause_a_phase),
        TEST(test_rolled_back_is_as_at_the_beginning),
        TEST(test_a_rollback_that_only_looked_leaves_the_way_forward),
        TEST(test_a_rollback_that_acted_must_end),
        TEST(test_after_a_rollback_nothing_is_skipped),
        TEST(test_a_journal_has_one_writer),
        TEST(test_a_foreign_head_makes_it_read_only),
        TEST(test_what_was_typed_is_wiped_and_unknown_verbs_are_not_ours),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
