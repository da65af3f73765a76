/* What the acts of a move look at, and what they refuse: each operation of the scripts is asked as the runner would ask it, with documents
 * that are as they should be, and with some that are not (doc safety 2, 6, 9, 12, 30). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/json_doc.h"
#include "base/mem.h"
#include "base/str.h"
#include "migrate/op.h"
#include "migrate/plan.h"
#include "migrate/postgres.h"
#include "migrate/postgres_move.h"
#include "migrate/postgres_rollback.h"
#include "migrate/run.h"
#include "world/world.h"

static char deployment_name[] = "db", volume_name[] = "data", claim_name[] = "new", console_word[] = "console", external_word[] = "external",
            workload_name[] = "shop", workload_ns[] = "shop-ns", target_class[] = "encrypted", library[] = "vchord";
static char *libraries[] = {library};
static struct plan_postgres spec = {.deployment = deployment_name, .volume = volume_name, .claim = {.name = claim_name, .size = INT64_C(10) << 30}};
static struct plan_workload workload = {.name = workload_name, .ns = workload_ns, .kind = &plan_kind_postgres, .spec = &spec};
static struct plan plan = {.target_class = target_class};

struct stage {
    struct world *world;
    struct run *run;
    struct script *script;
};

static void fact(struct stage *st, const char *name, const char *value)
{
    run_restore_fact(st->run, name, value);
}

static int setup(void **state)
{
    struct stage *st = MEM_NEW(struct stage);
    spec.claim.apply = console_word;
    spec.restart_for_preload = (struct plan_strings){0};
    st->world = world_new();
    st->run = run_new(&(struct run){.world = st->world, .plan = &plan, .workload = &workload, .id = "0123456789abcdef"});
    st->script = script_new();
    fact(st, "deployment.uid", "du");
    fact(st, "deployment.replicas", "1");
    fact(st, "deployment.selector", "app=db");
    fact(st, "deployment.volume.at", "/spec/template/spec/volumes/0");
    fact(st, "claim.old.name", "old");
    fact(st, "claim.old.uid", "ou");
    fact(st, "volume.old.name", "ov");
    fact(st, "volume.old.uid", "ovu");
    fact(st, "volume.old.reclaim", "Delete");
    fact(st, "pod.server.name", "p");
    fact(st, "pod.server.uid", "pu");
    *state = st;
    return 0;
}

static int teardown(void **state)
{
    struct stage *st = *state;
    script_free(st->script);
    run_free(st->run);
    world_free(st->world);
    mem_free(st);
    return 0;
}

/* JSON with ' for ". */
static struct json_t *json(const char *text)
{
    char *copy = mem_strdup(text);
    for (char *p = copy; *p; p++)
        if (*p == '\'')
            *p = '"';
    struct json_t *d = NULL;
    assert_null(jd_parse(copy, strlen(copy), "the test", &d));
    mem_free(copy);
    return d;
}

static struct op *find(struct stage *st, const char *id)
{
    for (const struct op *op = script_first(st->script); op; op = op->next)
        if (str_eq(op->id, id))
            return (struct op *)(uintptr_t)op;
    fail_msg("the script has no operation '%s'", id);
    return NULL;
}

/* Asks the operation; doc NULL: 404. words: what the reason must say, or NULL. */
static void sees(struct stage *st, const char *id, const char *doc, enum op_answer want, const char *words)
{
    struct op *op = find(st, id);
    struct json_t *d = doc ? json(doc) : NULL;
    struct seen seen = {.status = doc ? 200 : 404, .doc = d};
    struct buf reason = {0};
    enum op_answer got = op->see(st->run, op, &seen, &reason);
    if (got != want || (words && !strstr(buf_str(&reason), words)))
        fail_msg("%s: answer %d, %d was expected; '%s' should say '%s'", id, got, want, buf_str(&reason), words ? words : "");
    buf_free(&reason);
    jd_free(d);
}

/* ---- Fields ---- */

static void test_field(void **state)
{
    struct stage *st = *state;
    move_script_scale_up(st->run, st->script);
    sees(st, "scale up", "{'metadata':{'uid':'du'},'spec':{'replicas':0}}", OP_TODO, NULL);
    sees(st, "scale up", "{'metadata':{'uid':'du'},'spec':{}}", OP_TODO, NULL); /* zero is left out */
    sees(st, "scale up", "{'metadata':{'uid':'du'},'spec':{'replicas':1}}", OP_DONE, NULL);
    sees(st, "scale up", "{'metadata':{'uid':'du','managedFields':[{'manager':'helm','time':'2026-01-01T00:00:00Z'},"
                         "{'manager':'keda','time':'2026-02-01T00:00:00Z'},{'manager':'kcm','time':'2026-03-01T00:00:00Z','subresource':'status'}]},"
                         "'spec':{'replicas':5}}", OP_REFUSE, "keda changed it");
    sees(st, "scale up", "{'metadata':{'uid':'other'},'spec':{'replicas':0}}", OP_REFUSE, "re-created");
    sees(st, "scale up", NULL, OP_REFUSE, "is not there");
    sees(st, "scale up: read back", "{'metadata':{'uid':'du'},'spec':{'replicas':1}}", OP_DONE, NULL);
    sees(st, "scale up: read back", "{'metadata':{'uid':'du'},'spec':{'replicas':0}}", OP_REFUSE, "changed it back");
    const struct op *op = find(st, "scale up");
    assert_string_equal(jd_str(op->body, "0.path"), "/metadata/uid");
    assert_string_equal(jd_str(op->body, "1.op"), "test");
    assert_string_equal(jd_str(op->body, "1.path"), "/spec/replicas");
}

static void test_claim_name(void **state)
{
    struct stage *st = *state;
    move_script_name(st->run, st->script, true);
#define DEPLOYMENT(claim) "{'metadata':{'uid':'du'},'spec':{'template':{'spec':{'volumes':[{'name':'data','persistentVolumeClaim':{'claimName':'" claim "'}}]}}}}"
    sees(st, "claim name", DEPLOYMENT("old"), OP_TODO, NULL);
    sees(st, "claim name", DEPLOYMENT("new"), OP_DONE, NULL);
    sees(st, "claim name", DEPLOYMENT("third"), OP_REFUSE, "neither \"old\" nor \"new\"");
    assert_true(find(st, "claim name")->irreversible);
    /* not before the old volume was read back as Retain */
    sees(st, "still retained", "{'metadata':{'uid':'ovu'},'spec':{'persistentVolumeReclaimPolicy':'Delete'}}", OP_REFUSE, "must be Retain");
    sees(st, "still retained", "{'metadata':{'uid':'xxx'},'spec':{'persistentVolumeReclaimPolicy':'Retain'}}", OP_REFUSE, "must be Retain");
    sees(st, "still retained", NULL, OP_REFUSE, "not there");
    sees(st, "still retained", "{'metadata':{'uid':'ovu'},'spec':{'persistentVolumeReclaimPolicy':'Retain'}}", OP_DONE, NULL);
}

/* ---- Claims ---- */

#define CLAIM(uid, class, more) "{'metadata':{'name':'new','uid':'" uid "'" more "},'spec':{'storageClassName':'" class "'}}"

static void test_claim(void **state)
{
    struct stage *st = *state;
    move_script_claim(st->run, st->script);
    sees(st, "claim created", NULL, OP_TODO, "not there yet");
    sees(st, "claim created", CLAIM("cu", "plain", ""), OP_REFUSE, "the plan's target is encrypted");
    sees(st, "claim created", CLAIM("cu", "encrypted", ",'deletionTimestamp':'x'"), OP_REFUSE, "being deleted");
    sees(st, "claim created", CLAIM("cu", "encrypted", ""), OP_DONE, NULL);
    assert_string_equal(run_fact(st->run, "claim.new.uid"), "cu");
    sees(st, "claim created", CLAIM("other", "encrypted", ""), OP_REFUSE, "re-created by somebody else");
    const char *mounting = "{'items':[{'metadata':{'name':'thief'},'spec':{'volumes':[{'name':'d','persistentVolumeClaim':{'claimName':'new'}}]}}]}";
    sees(st, "claim unused", "{'items':[]}", OP_DONE, NULL);
    sees(st, "claim unused", mounting, OP_REFUSE, "pod thief mounts");
    fact(st, "boot.begun", "cu");
    sees(st, "claim unused", mounting, OP_DONE, NULL); /* our own server */
    const struct op *op = find(st, "create claim");
    assert_string_equal(jd_str(op->body, "spec.resources.requests.storage"), "10Gi");
    assert_string_equal(jd_string_value(jd_member(jd_get(op->body, "metadata.annotations"), "ferryman.io/run")), "0123456789abcdef");
}

static void test_claim_from_outside(void **state)
{
    struct stage *st = *state;
    spec.claim.apply = external_word;
    move_script_claim(st->run, st->script);
    sees(st, "claim applied", NULL, OP_TODO, "\"storageClassName\":\"encrypted\"");
    sees(st, "claim applied", CLAIM("ou", "encrypted", ""), OP_REFUSE, "that is the old claim");
    sees(st, "claim applied", CLAIM("cu", "encrypted", ""), OP_DONE, NULL);
    assert_string_equal(run_fact(st->run, "claim.new.uid"), "cu");
}

/* ---- What goes ---- */

static void test_away(void **state)
{
    struct stage *st = *state;
    fact(st, "claim.new.name", "new");
    fact(st, "claim.new.uid", "cu");
    fact(st, "volume.new.name", "nv");
    move_script_claim_away(st->run, st->script, "new");
    script_expand(st->run, st->script);
#define OURS(uid) "{'metadata':{'name':'new','uid':'" uid "','annotations':{'ferryman.io/run':'0123456789abcdef'}},'spec':{'volumeName':'nv'}}"
    sees(st, "look at new", "{'metadata':{'name':'new','uid':'cu'}}", OP_REFUSE, "not ours to delete");
    sees(st, "look at new", "{'metadata':{'name':'new','uid':'cu','annotations':{'ferryman.io/run':'another'}}}", OP_REFUSE, "not ours to delete");
    sees(st, "look at new", OURS("someone"), OP_DONE, "gone"); /* another uid: ours has gone, and this one is not touched */
    sees(st, "look at new", OURS("cu"), OP_DONE, NULL);
    assert_string_equal(jd_str(find(st, "delete claim/new")->body, "preconditions.uid"), "cu");
    assert_null(jd_get(find(st, "delete claim/new")->body, "gracePeriodSeconds"));
#define VOLUME(name, claim) "{'metadata':{'name':'" name "','uid':'vu'},'spec':{'claimRef':{'uid':'" claim "'},'persistentVolumeReclaimPolicy':'Retain'}}"
    sees(st, "its volume", VOLUME("nv", "ou"), OP_REFUSE, "belongs to claim uid ou");
    sees(st, "its volume", VOLUME("ov", "cu"), OP_REFUSE, "is the old volume");
    sees(st, "its volume", VOLUME("nv", "cu"), OP_DONE, NULL);
    assert_string_equal(run_fact(st->run, "volume.new.uid"), "vu");
    fact(st, "pg.identifier.new", "42");
    sees(st, "forget it", NULL, OP_DONE, NULL);
    assert_false(run_has(st->run, "claim.new.uid") || run_has(st->run, "volume.new.uid") || run_has(st->run, "pg.identifier.new"));
}

/* ---- Servers ---- */

static void test_look(void **state)
{
    struct stage *st = *state;
    move_script_look(st->run, st->script, "look");
    sees(st, "look", NULL, OP_REFUSE, "is not there");
    sees(st, "look", "{'metadata':{'uid':'another'}}", OP_REFUSE, "was re-created");
    sees(st, "look", "{'metadata':{'uid':'du'},'spec':{'replicas':2,'template':{'spec':{'volumes':[{'name':'data','persistentVolumeClaim':{'claimName':'old'}}]}}}}",
         OP_DONE, "2 replicas on claim old");
    assert_string_equal(run_fact(st->run, "seen.claim"), "old");
}

#define POD(name, uid, claim, ready) \
    "{'metadata':{'name':'" name "','uid':'" uid "'},'spec':{'volumes':[{'name':'data','persistentVolumeClaim':{'claimName':'" claim "'}}]}," \
    "'status':{'phase':'Running','podIP':'10.0.0.9','conditions':[{'type':'Ready','status':'" ready "'}]}}"

static void test_source(void **state)
{
    struct stage *st = *state;
    fact(st, "seen.replicas", "1");
    fact(st, "seen.claim", "old");
    move_script_source(st->run, st->script, "source");
    sees(st, "source", "{'items':[" POD("p", "pu", "old", "True") "]}", OP_DONE, "not restarted");
    sees(st, "source", "{'items':[" POD("q", "qu", "old", "False") "]}", OP_REFUSE, "is not ready");
    sees(st, "source", "{'items':[" POD("q", "qu", "other", "True") "]}", OP_REFUSE, "no pod serves claim old");
    sees(st, "source", "{'items':[" POD("q", "qu", "old", "True") "]}", OP_DONE, "another one than before");
    assert_string_equal(run_fact(st->run, "pod.server.uid"), "qu");
    fact(st, "seen.claim", "new");
    sees(st, "source", "{'items':[]}", OP_DONE, "on its new claim");
}

static void test_pods_gone(void **state)
{
    struct stage *st = *state;
    move_script_halt(st->run, st->script);
    script_expand(st->run, st->script);
    sees(st, "pods gone", "{'items':[{'metadata':{'name':'p','uid':'pu','deletionTimestamp':'x','deletionGracePeriodSeconds':60}}]}", OP_TODO, "it has 60 s");
    sees(st, "pods gone", "{'items':[{'metadata':{'name':'p','uid':'pu'}}]}", OP_TODO, "still there");
    sees(st, "pods gone", "{'items':[{'metadata':{'name':'p'},'status':{'phase':'Failed'}}]}", OP_DONE, NULL);
    sees(st, "pods gone", "{'items':[]}", OP_DONE, NULL);
}

/* The restart deletes gracefully, by the uid of the pod that ran initdb. */
static void test_restart(void **state)
{
    struct stage *st = *state;
    spec.restart_for_preload = (struct plan_strings){libraries, 1};
    fact(st, "boot.pod", "pu");
    fact(st, "claim.new.uid", "cu");
    fact(st, "pod.server.grace", "120");
    move_script_preload(st->run, st->script);
    script_expand(st->run, st->script);
    const struct op *op = find(st, "delete pod/p");
    assert_string_equal(jd_str(op->body, "preconditions.uid"), "pu");
    assert_int_equal(jd_num(op->body, "gracePeriodSeconds", 0), 120);
}

/* ---- A rollback after resume ---- */

static const struct step *step_of(const struct phase *p, const char *id)
{
    for (const struct step *s = p->steps; s->id; s++)
        if (str_eq(s->id, id))
            return s;
    fail_msg("no step %s", id);
    return NULL;
}

static void test_losses(void **state)
{
    struct stage *st = *state;
    world_set_now(st->world, 1000000000);
    fact(st, "resume.at", "1");
    fact(st, "counts", "{\"a\":{\"public.t\":1}}");
    fact(st, "counts.now", "{\"a\":{\"public.t\":1}}");
    step_of(&postgres_phase_rollback, "losses")->script(st->run, st->script);
    sees(st, "losses", NULL, OP_DONE, "0 tables"); /* nothing is lost: nothing has to be seen */
    fact(st, "counts.now", "{\"a\":{\"public.t\":5}}");
    sees(st, "losses", NULL, OP_REFUSE, "its dialog shows what would be lost");
    fact(st, "counts.now", "{\"a\":{\"public.t\":7}}");
    sees(st, "losses", NULL, OP_DONE, "1 tables"); /* it was seen, and grew */
    fact(st, "counts.now", "{\"a\":{\"public.t\":7,\"public.u\":1}}");
    sees(st, "losses", NULL, OP_REFUSE, "2 tables"); /* one that nobody saw */
    world_set_now(st->world, 1000000000 + 3600000);
    sees(st, "losses", NULL, OP_REFUSE, "2 tables"); /* too long ago */
    sees(st, "losses", NULL, OP_DONE, "2 tables");
}

/* What was written while the new copy was dumped is in no dump: it is not left. */
static void test_rollback_dumps_what_was_written(void **state)
{
    struct stage *st = *state;
    fact(st, "resume.at", "1");
    fact(st, "inventory", "{\"databases\":{\"a\":{}}}");
    step_of(&postgres_phase_rollback, "keep")->script(st->run, st->script);
    sees(st, "unwritten", NULL, OP_REFUSE, "not known");
    fact(st, "rollback.writes.before", "{\"a\":{\"public.t\":3}}");
    fact(st, "rollback.writes.after", "{\"a\":{\"public.t\":4}}");
    sees(st, "unwritten", NULL, OP_REFUSE, "dumps again");
    fact(st, "rollback.writes.after", "{\"a\":{\"public.t\":3}}");
    sees(st, "unwritten", NULL, OP_DONE, "the same");
    const struct op *at = find(st, "dump new copy");
    while (at && !str_eq(at->id, "unwritten"))
        at = at->next;
    assert_non_null(at); /* after the dump */
    while (at && !str_eq(at->id, "dumped"))
        at = at->next;
    assert_non_null(at);
}

/* A server is not left for a claim that somebody has removed or replaced. */
static void test_rollback_needs_the_old_claim(void **state)
{
    struct stage *st = *state;
    fact(st, "resume.at", "1");
    fact(st, "claim.new.uid", "nu");
    step_of(&postgres_phase_rollback, "losses")->script(st->run, st->script);
    step_of(&postgres_phase_rollback, "stop")->script(st->run, st->script);
    script_expand(st->run, st->script);
    static const char *const ids[] = {"old claim", "the old claim"};
    for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
        sees(st, ids[i], NULL, OP_REFUSE, "not there any more");
        sees(st, ids[i], "{'metadata':{'uid':'xu'},'status':{'phase':'Bound'}}", OP_REFUSE, "replaced");
        sees(st, ids[i], "{'metadata':{'uid':'ou'},'status':{'phase':'Lost'}}", OP_REFUSE, "Lost");
        sees(st, ids[i], "{'metadata':{'uid':'ou','deletionTimestamp':'t'},'status':{'phase':'Bound'}}", OP_REFUSE, "being deleted");
        sees(st, ids[i], "{'metadata':{'uid':'ou'},'status':{'phase':'Bound'}}", OP_DONE, NULL);
    }
    for (const struct op *op = script_first(st->script); op && !str_eq(op->id, "the old claim"); op = op->next)
        assert_true(op->kind != OP_ACT);
}

/* One application that somebody removed, re-created or scaled does not keep the others away. */
static void test_apps_come_back_without_those_that_others_changed(void **state)
{
    struct stage *st = *state;
    static const char *const others[] = {NULL, "{'metadata':{'uid':'xx'},'spec':{'replicas':0}}", "{'metadata':{'uid':'ua'},'spec':{'replicas':5}}"};
    fact(st, "apps", "[{\"kind\":\"deployment\",\"name\":\"a\",\"ns\":\"n\",\"uid\":\"ua\",\"replicas\":2},"
                     "{\"kind\":\"cronjob\",\"name\":\"b\",\"ns\":\"n\",\"uid\":\"ub\",\"suspend\":false}]");
    for (size_t i = 0; i <= ARRAY_LEN(others); i++) {
        bool changed = i < ARRAY_LEN(others), scaled = false, unsuspended = false;
        script_free(st->script);
        st->script = script_new();
        move_script_apps_back(st->run, st->script);
        sees(st, "deployment/a now", changed ? others[i] : "{'metadata':{'uid':'ua'},'spec':{'replicas':0}}", OP_DONE,
             changed ? i == 0 ? "passed over" : "left" : NULL);
        sees(st, "cronjob/b now", "{'metadata':{'uid':'ub'},'spec':{'suspend':true}}", OP_DONE, NULL);
        script_expand(st->run, st->script);
        for (const struct op *op = script_first(st->script); op; op = op->next) {
            scaled = scaled || str_eq(op->id, "scale deployment/a");
            unsuspended = unsuspended || str_eq(op->id, "unsuspend cronjob/b");
        }
        assert_true(scaled == !changed);
        assert_true(unsuspended);
    }
}

/* What a phase found at its beginning is no more than that when it begins again: it looks again before it acts. */
static void test_begun_again_it_looks_again(void **state)
{
    struct stage *st = *state;
    assert_non_null(postgres_phase_quiesce.begin_at);
    assert_null(postgres_phase_quiesce.begin_at(st->run));
    assert_non_null(postgres_phase_resume.begin_at);
    assert_null(postgres_phase_resume.begin_at(st->run));
    fact(st, "pg.identifier.new", "7");
    static const char *const acts[] = {"claim", "volume"};
    for (size_t i = 0; i < ARRAY_LEN(acts); i++) {
        script_free(st->script);
        st->script = script_new();
        step_of(&postgres_phase_cleanup, acts[i])->script(st->run, st->script);
        sees(st, "pod users", "{'items':[{'spec':{'volumes':[{'persistentVolumeClaim':{'claimName':'old'}}]}}]}", OP_REFUSE, "mounts claim old");
        find(st, "serving");
        assert_true(script_first(st->script)->kind != OP_ACT);
    }
}

static void test_rollback_may_begin(void **state)
{
    struct stage *st = *state;
    struct buf reason = {0};
    assert_true(postgres_phase_rollback.may_begin(st->run, &reason));
    fact(st, "cleanup.begun", "1");
    assert_false(postgres_phase_rollback.may_begin(st->run, &reason));
    assert_non_null(strstr(buf_str(&reason), "purged"));
    buf_free(&reason);
}

/* ---- Phases that may not begin ---- */

static void may_not_begin(struct stage *st, const struct phase *p, const char *words)
{
    struct buf reason = {0};
    assert_false(p->may_begin(st->run, &reason));
    if (!strstr(buf_str(&reason), words))
        fail_msg("%s: '%s' does not say '%s'", p->id, buf_str(&reason), words);
    buf_free(&reason);
}

/* Whatever the clock says: what was written after the counts makes them void until they are made anew. */
static void test_stale_counts(void **state)
{
    struct stage *st = *state;
    world_set_now(st->world, INT64_C(1800000000000));
    fact(st, "counts.at", "9999999999999");
    postgres_dump_is_stale(st->run);
    assert_true(postgres_phase_counts.undone(st->run));
    fact(st, "counts.at", "1");
    assert_false(postgres_phase_counts.undone(st->run));
    assert_true(postgres_phase_dump.undone(st->run));
    fact(st, "pg.identifier.new", "7");
    assert_false(postgres_phase_dump.undone(st->run));
}

static void test_may_begin(void **state)
{
    struct stage *st = *state;
    world_set_now(st->world, INT64_C(1800000000000));
    may_not_begin(st, &postgres_phase_swap, "no proved dump");
    fact(st, "dump.file", "/d");
    fact(st, "dump.proved_at", "1799999999000");
    fact(st, "dump.identifier", "1");
    fact(st, "pg.identifier.old", "2");
    may_not_begin(st, &postgres_phase_swap, "the source is 2");
    fact(st, "dump.identifier", "2");
    fact(st, "dump.proved_at", "1700000000000");
    fact(st, "counts.at", "1699999999000");
    may_not_begin(st, &postgres_phase_swap, "more than a day ago");
    assert_true(postgres_phase_counts.undone(st->run)); /* and the way out is open */
    assert_true(postgres_phase_dump.undone(st->run));
    fact(st, "stop.seen", "pu"); /* but not when the old server has been stopped on it */
    assert_false(postgres_phase_counts.undone(st->run) || postgres_phase_dump.undone(st->run));
    fact(st, "stop.seen", "");
    fact(st, "counts.at", "1799999998000");
    assert_false(postgres_phase_counts.undone(st->run));
    assert_true(postgres_phase_dump.undone(st->run));
    may_not_begin(st, &postgres_phase_preload, "no first boot");
    may_not_begin(st, &postgres_phase_reindex, "nothing has been restored");
    may_not_begin(st, &postgres_phase_resume, "not been verified");
    may_not_begin(st, &postgres_phase_cleanup, "not been resumed");
    fact(st, "resume.at", "1");
    fact(st, "retain.until", "9999999999999");
    may_not_begin(st, &postgres_phase_cleanup, "is kept until 2286-11-20");
    fact(st, "retain.until", "1000");
    may_not_begin(st, &postgres_phase_cleanup, "foreign-files");
    may_not_begin(st, &postgres_phase_rehearse, "inventory is not known");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_field),     TEST(test_claim_name), TEST(test_claim),  TEST(test_claim_from_outside), TEST(test_away),
        TEST(test_look),      TEST(test_source),     TEST(test_pods_gone), TEST(test_restart),         TEST(test_losses),
        TEST(test_rollback_dumps_what_was_written), TEST(test_rollback_needs_the_old_claim), TEST(test_begun_again_it_looks_again),
        TEST(test_apps_come_back_without_those_that_others_changed), TEST(test_rollback_may_begin), TEST(test_may_begin), TEST(test_stale_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
