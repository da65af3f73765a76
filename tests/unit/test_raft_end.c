/* The end of a raft move: what verify has to see, and what clean-up may purge and when. Three nodes behind the pod proxy, the set's objects
 * on the op stage. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/json_doc.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/str.h"
#include "migrate/journal.h"
#include "migrate/plan.h"
#include "migrate/raft.h"
#include "tests/unit/op_stage.h"
#include "world/world.h"

#define SET "/apis/apps/v1/namespaces/vault/statefulsets/vault"
#define POD(n) "/api/v1/namespaces/vault/pods/vault-" #n
#define CLAIM(name) "/api/v1/namespaces/vault/persistentvolumeclaims/" name
#define VOLUMES "/api/v1/persistentvolumes"
#define PROXY "/api/v1/namespaces/vault/pods/http:vault-"

#define VERIFIED_OF "uid-data-0 uid-audit-0 uid-data-1 uid-audit-1 uid-data-2 uid-audit-2"

struct end_stage {
    struct op_stage *w;
    struct plan *plan;
    struct world *world;
    int sealed, removed, behind; /* node, -1: none */
    bool stale_peer, loses_writes;
    char written[300];
    char text[2000];
};

/* ---- The nodes; vault-2 is active ---- */

static int health(struct end_stage *s, int n) {
    bool sealed = s->sealed == n, removed = s->removed == n;
    snprintf(s->text, sizeof s->text, "{\"initialized\":true,\"sealed\":%s,\"standby\":%s,\"version\":\"1.19.0\",\"removed_from_cluster\":%s,\"cluster_id\":\"c1\"}",
             sealed ? "true" : "false", n == 2 ? "false" : "true", removed ? "true" : "false");
    return removed ? 530 : sealed ? 503 : n == 2 ? 200 : 429;
}

static int leader(struct end_stage *s, int n) {
    snprintf(s->text, sizeof s->text, "{\"ha_enabled\":true,\"is_self\":%s,\"leader_cluster_address\":\"https://vault-2.vault-internal:8201\",\"raft_applied_index\":%d}",
             n == 2 ? "true" : "false", s->behind == n ? 90 : 100);
    return 200;
}

static int configuration(struct end_stage *s) {
    struct buf b = {0};
    buf_adds(&b, "{\"data\":{\"config\":{\"index\":0,\"servers\":[");
    for (int i = 0; i < 3 + s->stale_peer; i++)
        buf_printf(&b, "%s{\"node_id\":\"vault-%d\",\"address\":\"vault-%d.vault-internal:8201\",\"leader\":%s,\"voter\":true}", i ? "," : "", i, i, i == 2 ? "true" : "false");
    buf_adds(&b, "]}}}");
    str_copy(s->text, sizeof s->text, buf_str(&b));
    buf_free(&b);
    return 200;
}

static int autopilot(struct end_stage *s) {
    struct buf b = {0};
    buf_adds(&b, "{\"data\":{\"healthy\":true,\"failure_tolerance\":1,\"leader\":\"vault-2\",\"servers\":{");
    for (int i = 0; i < 3; i++)
        buf_printf(&b, "%s\"vault-%d\":{\"id\":\"vault-%d\",\"name\":\"vault-%d\",\"address\":\"vault-%d.vault-internal:8201\",\"node_status\":\"alive\","
                       "\"last_contact\":\"0s\",\"last_index\":100,\"healthy\":true,\"status\":\"%s\"}", i ? "," : "", i, i, i, i, i == 2 ? "leader" : "voter");
    buf_adds(&b, "}}}");
    str_copy(s->text, sizeof s->text, buf_str(&b));
    buf_free(&b);
    return 200;
}

static int probe(struct end_stage *s, const struct tiny_request *rq) {
    if (!str_eq(rq->method, "GET")) {
        if (!s->loses_writes) snprintf(s->written, sizeof s->written, "%s", rq->body);
        return 204;
    }
    snprintf(s->text, sizeof s->text, "{\"data\":%s}", *s->written ? s->written : "{}");
    return *s->written ? 200 : 404;
}

static bool answer(void *arg, const struct tiny_request *rq, struct tiny_answer *ret) {
    struct end_stage *s = arg;
    if (!str_starts(rq->path, PROXY)) return op_stage_answer(s->w, rq, ret);
    int n = rq->path[strlen(PROXY)] - '0';
    snprintf(s->text, sizeof s->text, "{\"errors\":[]}");
    int status = str_ends(rq->path, "sys/health")               ? health(s, n)
                 : str_ends(rq->path, "sys/leader")             ? leader(s, n)
                 : str_ends(rq->path, "raft/configuration")     ? configuration(s)
                 : str_ends(rq->path, "autopilot/state")        ? autopilot(s)
                 : str_ends(rq->path, "cubbyhole/ferryman-probe") ? probe(s, rq)
                                                                : 404;
    *ret = (struct tiny_answer){.status = status, .body = status == 204 ? "" : s->text};
    return true;
}

/* ---- The set, moved ---- */

static void put(struct end_stage *s, const char *path, const char *fmt, ...) PRINTF_LIKE(3, 4);
static void put(struct end_stage *s, const char *path, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    char *json = str_vprintf(fmt, ap);
    va_end(ap);
    op_stage_put(s->w, path, json);
    mem_free(json);
}

static void put_set(struct end_stage *s, const char *class) {
    put(s, SET, "{\"kind\":\"StatefulSet\",\"metadata\":{\"name\":\"vault\",\"uid\":\"uid-set\"},\"spec\":{\"replicas\":3,\"volumeClaimTemplates\":["
                "{\"metadata\":{\"name\":\"data\"},\"spec\":{\"storageClassName\":\"%s\"}},{\"metadata\":{\"name\":\"audit\"},\"spec\":{\"storageClassName\":\"%s\"}}]}}", class, class);
}

static void put_pod(struct end_stage *s, int n) {
    char path[200];
    snprintf(path, sizeof path, "/api/v1/namespaces/vault/pods/vault-%d", n);
    put(s, path, "{\"kind\":\"Pod\",\"metadata\":{\"name\":\"vault-%d\",\"uid\":\"uid-pod-%d\",\"ownerReferences\":[{\"kind\":\"StatefulSet\",\"name\":\"vault\",\"uid\":\"uid-set\","
                 "\"controller\":true}]},\"spec\":{\"volumes\":[{\"name\":\"data\",\"persistentVolumeClaim\":{\"claimName\":\"data-vault-%d\"}},"
                 "{\"name\":\"audit\",\"persistentVolumeClaim\":{\"claimName\":\"audit-vault-%d\"}}]},"
                 "\"status\":{\"phase\":\"Running\",\"conditions\":[{\"type\":\"Ready\",\"status\":\"True\"}]}}", n, n, n, n);
}

static void put_claim(struct end_stage *s, const char *template, int n, const char *uid, const char *class) {
    char path[200];
    snprintf(path, sizeof path, "/api/v1/namespaces/vault/persistentvolumeclaims/%s-vault-%d", template, n);
    put(s, path, "{\"kind\":\"PersistentVolumeClaim\",\"metadata\":{\"name\":\"%s-vault-%d\",\"uid\":\"%s\"},\"spec\":{\"storageClassName\":\"%s\",\"volumeName\":\"pv-new-%s-%d\"},"
                 "\"status\":{\"phase\":\"Bound\"}}", template, n, uid, class, template, n);
}

#define OLD_VOLUME \
    "{\"metadata\":{\"name\":\"pv-old-%s-%d\",\"uid\":\"uid-pv-%s-%d\"},\"spec\":{\"storageClassName\":\"nfs\",\"persistentVolumeReclaimPolicy\":\"%s\"," \
    "\"claimRef\":{\"uid\":\"%s-%s-%d\"},\"nfs\":{\"server\":\"nas\",\"path\":\"/k/%s-%d\"}},\"status\":{\"phase\":\"Released\"}}"

static void put_volume(struct end_stage *s, const char *template, int n, const char *policy, const char *by) {
    char path[200];
    snprintf(path, sizeof path, VOLUMES "/pv-old-%s-%d", template, n);
    put(s, path, OLD_VOLUME, template, n, template, n, policy, by, template, n, template, n);
}

/* The list as the server would give it; extra: one more object. */
static void put_volumes(struct end_stage *s, const char *extra, const char *by) {
    struct buf b = {0};
    buf_adds(&b, "{\"kind\":\"PersistentVolumeList\",\"items\":[");
    for (int n = 0; n < 3; n++)
        for (int t = 0; t < 2; t++) {
            const char *template = t ? "audit" : "data";
            put_volume(s, template, n, "Retain", by);
            buf_printf(&b, OLD_VOLUME ",", template, n, template, n, "Retain", by, template, n, template, n);
        }
    buf_printf(&b, "%s]}", extra ? extra : "{}");
    op_stage_put(s->w, VOLUMES, buf_str(&b));
    buf_free(&b);
}

static void note_turn(struct end_stage *s, const char *turn, int n) {
    char fact[64];
    char *text = str_printf("vault-%d", n);
    snprintf(fact, sizeof fact, "pod.%s.name", turn);
    run_set(s->w->run, fact, text);
    mem_free(text);
    text = str_printf("[{\"name\":\"data-vault-%d\",\"uid\":\"uid-data-%d\",\"class\":\"lvm\",\"volume\":\"pv-new-data-%d\"},"
                      "{\"name\":\"audit-vault-%d\",\"uid\":\"uid-audit-%d\",\"class\":\"lvm\",\"volume\":\"pv-new-audit-%d\"}]", n, n, n, n, n, n);
    snprintf(fact, sizeof fact, "pod.%s.claims.new", turn);
    run_set(s->w->run, fact, text);
    mem_free(text);
    text = str_printf("[{\"name\":\"data-vault-%d\",\"uid\":\"old-data-%d\",\"class\":\"nfs\",\"volume\":\"pv-old-data-%d\",\"volume_uid\":\"uid-pv-data-%d\",\"server\":\"nas\",\"path\":\"/k/data-%d\"},"
                      "{\"name\":\"audit-vault-%d\",\"uid\":\"old-audit-%d\",\"class\":\"nfs\",\"volume\":\"pv-old-audit-%d\",\"volume_uid\":\"uid-pv-audit-%d\",\"server\":\"nas\",\"path\":\"/k/audit-%d\"}]",
                      n, n, n, n, n, n, n, n, n, n);
    snprintf(fact, sizeof fact, "pod.%s.claims.old", turn);
    run_set(s->w->run, fact, text);
    mem_free(text);
}

static const char plan_text[] =
    "plan: test\ncontext: home\ncluster: 5f0c\nsource: { storageClasses: [nfs] }\ntarget: { storageClass: lvm, encrypted: required }\nworkloads:\n"
    "  - name: vault\n    kind: raft-rolling\n    namespace: vault\n    statefulset: vault\n"
    "    vault: { via: kube-proxy, token: { file: \"%s/token\" } }\n    snapshot: { directory: \"%s/snapshots\", encrypt: { none: true, reason: test } }\n    retain: 7d\n";

static int setup(void **state) {
    struct end_stage *s = MEM_NEW(struct end_stage);
    struct op_stage *w = op_stage_new(NULL, false);
    *s = (struct end_stage){.w = w, .world = world_new(), .sealed = -1, .removed = -1, .behind = -1};
    char *token = str_printf("%s/token", w->dir), *text = str_printf(plan_text, w->dir, w->dir);
    assert_null(file_write_durable(token, "t\n", 2, 0600));
    struct err *e = plan_parse(text, strlen(text), "/tmp/plan.yaml", &s->plan);
    if (e) fail_msg("%s", err_text(e));
    mem_free(token);
    mem_free(text);
    world_set_now(s->world, clock_wall_ms());
    run_free(w->run);
    w->run = run_new(&(struct run){.loop = w->loop, .world = s->world, .plan = s->plan, .workload = &s->plan->workloads[0], .kube = w->client,
                                   .config = &w->config, .journal = w->journal, .dir = w->dir, .id = journal_id(w->journal), .operator_name = "ana"});
    tiny_http_handler(w->server, answer, s);
    run_set(w->run, "replicas", "3");
    run_set(w->run, "set.templates", "[\"data\",\"audit\"]");
    run_set(w->run, "set.new.uid", "uid-set");
    run_set(w->run, "leader.proved", "[\"vault-0\"]");
    put_set(s, "lvm");
    for (int n = 0; n < 3; n++) {
        char uid[32];
        put_pod(s, n);
        snprintf(uid, sizeof uid, "uid-data-%d", n);
        put_claim(s, "data", n, uid, "lvm");
        snprintf(uid, sizeof uid, "uid-audit-%d", n);
        put_claim(s, "audit", n, uid, "lvm");
    }
    note_turn(s, "1", 0);
    note_turn(s, "2", 1);
    note_turn(s, "last", 2);
    put_volumes(s, NULL, "old");
    *state = s;
    return 0;
}

static int teardown(void **state) {
    struct end_stage *s = *state;
    op_runner_free(s->w->runner);
    s->w->runner = NULL;
    run_free(s->w->run);
    s->w->run = NULL;
    op_stage_free(s->w);
    plan_free(s->plan);
    world_free(s->world);
    mem_free(s);
    return 0;
}

/* Each step in its turn, until one fails. */
static void run_phase(struct end_stage *s, const struct phase *p) {
    s->w->run->phase = p;
    for (const struct step *step = p->steps; step->id; step++) {
        struct script *script = script_new();
        step->script(s->w->run, script);
        op_stage_run(s->w, script);
        if (s->w->error) return;
    }
}

static const char *criterion(struct end_stage *s, const char *name) {
    static char text[500];
    char fact[80];
    snprintf(fact, sizeof fact, "criterion.%s", name);
    struct json_t *d = run_fact_json(s->w->run, fact);
    str_copy(text, sizeof text, d ? jd_str(d, "text") : "");
    jd_free(d);
    return text;
}

/* ---- Verify ---- */

static void test_verify(void **state) {
    struct end_stage *s = *state;
    int64_t before = clock_plan_ms();
    run_phase(s, &raft_phase_verify);
    op_stage_assert_fine(s->w);
    assert_string_equal(criterion(s, "claims on target class"), "6 claims of 3 pods, by uid, on lvm");
    assert_string_equal(criterion(s, "voters healthy and level"), "3 voters healthy, unsealed and level with vault-2 at index 100");
    assert_string_equal(criterion(s, "no stale peers"), "3 peers, each a pod of the set and a voter");
    op_stage_assert_in(criterion(s, "leader proved"), "vault-2 took a write on its new volume and gave it back; 2 of 3 pods proved as leader, not yet proved as leader: vault-1");
    assert_string_equal(run_fact(s->w->run, "leader.proved"), "[\"vault-0\",\"vault-2\"]");
    assert_true(run_fact_int(s->w->run, "verify.done", 0) >= before);
    int64_t until = run_fact_int(s->w->run, "retain.until", 0), week = INT64_C(7) * 24 * 3600 * 1000;
    assert_true(until >= before + week && until <= clock_plan_ms() + week);
    assert_int_equal(s->w->acts, 0); /* the one write was Vault's */
    run_phase(s, &raft_phase_verify); /* again: the retention does not begin anew */
    op_stage_assert_fine(s->w);
    assert_int_equal(run_fact_int(s->w->run, "retain.until", 0), until);
}

/* A pod that was taken back and moved again: verified anew, and kept for the whole time anew. */
static void test_verify_is_undone_by_a_rollback(void **state) {
    struct end_stage *s = *state;
    s->w->run->phase = &raft_phase_verify;
    assert_true(raft_phase_verify.undone(s->w->run));
    run_phase(s, &raft_phase_verify);
    op_stage_assert_fine(s->w);
    assert_false(raft_phase_verify.undone(s->w->run));
    run_set_int(s->w->run, "retain.until", 1); /* long ago */
    run_set(s->w->run, "pod.last.claims.new", "");
    assert_true(raft_phase_verify.undone(s->w->run));
    run_set(s->w->run, "pod.last.claims.new", "[{\"name\":\"data-vault-2\",\"uid\":\"uid-data-2b\",\"volume\":\"pv-new-data-2\"}]");
    put_claim(s, "data", 2, "uid-data-2b", "lvm");
    assert_true(raft_phase_verify.undone(s->w->run));
    run_phase(s, &raft_phase_verify);
    op_stage_assert_fine(s->w);
    assert_false(raft_phase_verify.undone(s->w->run));
    assert_true(run_fact_int(s->w->run, "retain.until", 0) > clock_plan_ms());
}

/* Each of these ends verify, and takes back what an earlier one had frozen. */
static void verify_refuses(struct end_stage *s, const char *words) {
    run_set(s->w->run, "criterion.voters healthy and level", "{\"state\":\"PASS\",\"text\":\"old\"}");
    run_phase(s, &raft_phase_verify);
    op_stage_assert_error(s->w, ERR_FAILED, words);
    assert_string_not_equal(criterion(s, "voters healthy and level"), "old");
    assert_false(run_has(s->w->run, "verify.done"));
    assert_false(run_has(s->w->run, "retain.until"));
}

static void test_verify_refuses_a_claim_of_the_old_class(void **state) {
    struct end_stage *s = *state;
    put_claim(s, "audit", 1, "uid-audit-1", "nfs");
    verify_refuses(s, "claim audit-vault-1 is of class nfs, not lvm");
}

static void test_verify_refuses_another_claim_of_that_name(void **state) {
    struct end_stage *s = *state;
    put_claim(s, "data", 0, "uid-else", "lvm");
    verify_refuses(s, "claim data-vault-0 is another one now");
}

static void test_verify_refuses_a_set_that_was_put_back(void **state) {
    struct end_stage *s = *state;
    put_set(s, "nfs");
    verify_refuses(s, "a claim that is lost would come back on the old class");
}

static void test_verify_refuses_a_pod_that_was_not_moved(void **state) {
    struct end_stage *s = *state;
    run_set(s->w->run, "pod.2.name", "");
    run_set(s->w->run, "pod.2.claims.new", "");
    verify_refuses(s, "vault-1 has not been moved yet");
}

static void test_verify_refuses_a_sealed_node(void **state) {
    struct end_stage *s = *state;
    s->sealed = 1;
    verify_refuses(s, "vault-1 is sealed");
}

static void test_verify_refuses_a_removed_node(void **state) {
    struct end_stage *s = *state;
    s->removed = 0;
    verify_refuses(s, "vault-0 says that it was removed from the cluster");
}

static void test_verify_refuses_a_stale_peer(void **state) {
    struct end_stage *s = *state;
    s->stale_peer = true;
    verify_refuses(s, "peer vault-3 at vault-3.vault-internal:8201 is no pod of the set");
}

static void test_verify_refuses_an_old_volume_that_would_go(void **state) {
    struct end_stage *s = *state;
    put_volume(s, "data", 1, "Delete", "old");
    run_phase(s, &raft_phase_verify);
    op_stage_assert_error(s->w, ERR_FAILED, "volume pv-old-data-1 is Delete");
}

static void test_verify_waits_for_its_turn(void **state) {
    struct end_stage *s = *state;
    struct buf reason = {0};
    s->w->run->phase = &raft_phase_verify;
    assert_false(raft_phase_verify.may_begin(s->w->run, &reason));
    op_stage_assert_in(buf_str(&reason), "the window of the last pod has not passed yet");
    buf_free(&reason);
}

/* ---- Clean up ---- */

static void cleanup_waits(struct end_stage *s, const char *words) {
    struct buf reason = {0};
    s->w->run->phase = &raft_phase_cleanup;
    assert_false(raft_phase_cleanup.may_begin(s->w->run, &reason));
    op_stage_assert_in(buf_str(&reason), words);
    buf_free(&reason);
}

static void test_cleanup_never_before_its_time(void **state) {
    struct end_stage *s = *state;
    cleanup_waits(s, "has not been verified");
    run_set(s->w->run, "verify.of", VERIFIED_OF);
    run_set_int(s->w->run, "verify.done", clock_plan_ms());
    run_set_int(s->w->run, "retain.until", clock_plan_ms() + 60000);
    run_set(s->w->run, "override.foreign-files", "nothing");
    cleanup_waits(s, "the old volumes are kept until");
    run_set_int(s->w->run, "retain.until", clock_plan_ms() - 1);
    run_set(s->w->run, "override.foreign-files", "");
    cleanup_waits(s, "override the gate foreign-files");
    run_set(s->w->run, "override.foreign-files", "nothing else");
    cleanup_waits(s, "the old audit logs are in no snapshot");
    run_set(s->w->run, "override.audit-logs", "archived on tape 7");
    cleanup_waits(s, "nothing has been heard of the cluster yet"); /* what every phase asks */
}

static void due(struct end_stage *s) {
    run_set(s->w->run, "verify.of", VERIFIED_OF);
    run_set_int(s->w->run, "verify.done", clock_plan_ms() - 10);
    run_set_int(s->w->run, "retain.until", clock_plan_ms() - 1);
    run_set(s->w->run, "override.foreign-files", "nothing else");
    run_set(s->w->run, "override.audit-logs", "archived on tape 7");
}

static int gone(struct end_stage *s) {
    int n = 0;
    for (int i = 0; i < 3; i++)
        for (int t = 0; t < 2; t++) {
            char path[200];
            snprintf(path, sizeof path, VOLUMES "/pv-old-%s-%d", t ? "audit" : "data", i);
            n += op_stage_get(s->w, path) == NULL;
        }
    return n;
}

static int watched(struct end_stage *s) {
    struct slice name;
    const char *value;
    size_t it = 0;
    int n = 0;
    while (run_each_fact(s->w->run, &it, &name, &value)) n += slice_starts(name, "watch.") && *value;
    return n;
}

static void test_cleanup(void **state) {
    struct end_stage *s = *state;
    due(s);
    run_set(s->w->run, "override.plaintext", "removed on nas by hand");
    run_watch_field(s->w->run, VOLUMES "/pv-old-data-0", "/spec/persistentVolumeReclaimPolicy", "\"Retain\"", "as the template phase does");
    assert_int_equal(watched(s), 1);
    run_phase(s, &raft_phase_cleanup);
    op_stage_assert_fine(s->w);
    assert_int_equal(watched(s), 0); /* that it goes is no foreign change */
    assert_int_equal(gone(s), 6);
    assert_int_equal(s->w->acts, 6); /* by uid, each once */
    assert_true(run_has(s->w->run, "cleanup.done"));
    op_stage_assert_in(run_fact(s->w->run, "cleanup.places"), "nas:/k/audit-2");
}

static bool is_told(struct op_stage *w) {
    return strstr(buf_str(&w->states), "PLAINTEXT IS STILL ON nas:/k/") != NULL;
}

static bool is_done(struct op_stage *w) {
    return w->done;
}

/* The places are named until somebody types what was done about them. */
static void test_plaintext_is_named_until_it_is_typed(void **state) {
    struct end_stage *s = *state;
    const struct step *told = raft_phase_cleanup.steps;
    struct script *script = script_new();
    run_set(s->w->run, "cleanup.places", "{\"pv-old-data-0\":\"nas:/k/data-0\"}");
    s->w->run->phase = &raft_phase_cleanup;
    while (!str_eq(told->id, "told")) told++;
    told->script(s->w->run, script);
    op_stage_begin(s->w, script);
    AWAIT(s->w, is_told);
    assert_false(s->w->done);
    run_set(s->w->run, "override.plaintext", "rm -rf on nas, 22 November");
    op_runner_poke(s->w->runner);
    AWAIT(s->w, is_done);
    op_stage_assert_fine(s->w);
}

static void cleanup_refuses(struct end_stage *s, const char *words) {
    due(s);
    run_phase(s, &raft_phase_cleanup);
    op_stage_assert_error(s->w, ERR_FAILED, words);
    assert_int_equal(gone(s), 0);
    assert_int_equal(s->w->acts, 0);
}

static void test_cleanup_refuses_a_volume_of_another_claim(void **state) {
    struct end_stage *s = *state;
    put_volumes(s, NULL, "other");
    cleanup_refuses(s, "was released by claim uid other-da, not by the retired one");
}

static void test_cleanup_refuses_a_path_that_others_use(void **state) {
    struct end_stage *s = *state;
    put_volumes(s, "{\"metadata\":{\"name\":\"backups\",\"uid\":\"b\"},\"spec\":{\"nfs\":{\"server\":\"nas\",\"path\":\"/k\"}}}", "old");
    cleanup_refuses(s, "volume backups lies on nas:/k, too");
}

static void test_cleanup_refuses_while_a_node_is_sealed(void **state) {
    struct end_stage *s = *state;
    s->sealed = 0;
    cleanup_refuses(s, "vault-0 is sealed");
}

static void test_cleanup_refuses_when_the_move_was_undone(void **state) {
    struct end_stage *s = *state;
    put_claim(s, "data", 2, "old-data-2", "nfs");
    cleanup_refuses(s, "claim data-vault-2 is another one now");
}

static void left_behind(struct end_stage *s, const char *class, const char *policy) {
    put(s, VOLUMES "/pv-left", "{\"metadata\":{\"name\":\"pv-left\",\"uid\":\"uid-left\"},\"spec\":{\"storageClassName\":\"%s\",\"persistentVolumeReclaimPolicy\":\"%s\","
                               "\"claimRef\":{\"uid\":\"made\"}},\"status\":{\"phase\":\"Released\"}}", class, policy);
    run_set(s->w->run, "rollback.left", "[{\"name\":\"data-vault-2\",\"uid\":\"made\",\"class\":\"lvm\",\"volume\":\"pv-left\",\"volume_uid\":\"uid-left\"}]");
}

static bool policy_is_delete(struct op_stage *w) {
    return str_eq(jd_str(op_stage_get(w, VOLUMES "/pv-left"), "spec.persistentVolumeReclaimPolicy"), "Delete");
}

static void begin_left(struct end_stage *s) {
    const struct step *left = raft_phase_cleanup.steps;
    struct script *script = script_new();
    s->w->run->phase = &raft_phase_cleanup;
    while (!str_eq(left->id, "left")) left++;
    left->script(s->w->run, script);
    op_stage_begin(s->w, script);
}

/* Its driver removes it once its policy is Delete; nothing else is taken for it. */
static void test_what_a_rollback_left_goes(void **state) {
    struct end_stage *s = *state;
    left_behind(s, "lvm", "Retain");
    begin_left(s);
    AWAIT(s->w, policy_is_delete);
    assert_false(s->w->done);
    jd_free(map_del(s->w->objects, SLICE_LIT(VOLUMES "/pv-left")));
    AWAIT(s->w, is_done);
    op_stage_assert_fine(s->w);
    assert_int_equal(s->w->acts, 1);
    begin_left(s);
    AWAIT(s->w, is_done);
    op_stage_assert_fine(s->w);
    assert_int_equal(s->w->acts, 1);
    left_behind(s, "nfs", "Retain");
    begin_left(s);
    AWAIT(s->w, is_done);
    op_stage_assert_error(s->w, ERR_FAILED, "class nfs, which is not the target class of the plan");
    assert_int_equal(s->w->acts, 1);
}

static struct end_stage *shared_stage;
static int lists;

/* Six were judged; when the first is about to go somebody has put one on the same path: between the judgement and the request. */
static bool answer_shared(void *arg, const struct tiny_request *rq, struct tiny_answer *ret) {
    if (str_eq(rq->path, VOLUMES) && ++lists == 7)
        put_volumes(shared_stage, "{\"metadata\":{\"name\":\"late\",\"uid\":\"l\"},\"spec\":{\"nfs\":{\"server\":\"nas\",\"path\":\"/k/data-0/sub\"}}}", "old");
    return answer(arg, rq, ret);
}

static void test_a_path_that_is_shared_meanwhile(void **state) {
    struct end_stage *s = shared_stage = *state;
    lists = 0;
    tiny_http_handler(s->w->server, answer_shared, s);
    cleanup_refuses(s, "volume late lies on nas:/k/data-0/sub, too");
    assert_int_equal(lists, 7);
}

static void test_what_is_gone_is_passed_over(void **state) {
    struct end_stage *s = *state;
    due(s);
    run_set(s->w->run, "override.plaintext", "removed");
    run_phase(s, &raft_phase_cleanup);
    op_stage_assert_fine(s->w);
    run_phase(s, &raft_phase_cleanup); /* after a crash */
    op_stage_assert_fine(s->w);
    assert_int_equal(s->w->acts, 6);
}

#define STAGED(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        STAGED(test_verify), STAGED(test_verify_refuses_a_claim_of_the_old_class), STAGED(test_verify_refuses_another_claim_of_that_name),
        STAGED(test_verify_refuses_a_set_that_was_put_back), STAGED(test_verify_refuses_a_pod_that_was_not_moved),
        STAGED(test_verify_refuses_a_sealed_node), STAGED(test_verify_refuses_a_removed_node), STAGED(test_verify_refuses_a_stale_peer),
        STAGED(test_verify_refuses_an_old_volume_that_would_go), STAGED(test_verify_waits_for_its_turn),
        STAGED(test_cleanup_never_before_its_time), STAGED(test_cleanup), STAGED(test_plaintext_is_named_until_it_is_typed),
        STAGED(test_cleanup_refuses_a_volume_of_another_claim), STAGED(test_cleanup_refuses_a_path_that_others_use),
        STAGED(test_cleanup_refuses_while_a_node_is_sealed), STAGED(test_cleanup_refuses_when_the_move_was_undone), STAGED(test_a_path_that_is_shared_meanwhile),
        STAGED(test_what_a_rollback_left_goes), STAGED(test_verify_is_undone_by_a_rollback),
        STAGED(test_what_is_gone_is_passed_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
