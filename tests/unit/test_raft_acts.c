/* The acts on a raft set: their order and preconditions as they would be sent, and what each operation makes of what it sees, with
 * documents that are as they should be and with some that are not (safety 2, 14-18, 23, 24; hazards 1, 8, 9). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/json_doc.h"
#include "base/mem.h"
#include "base/str.h"
#include "migrate/op.h"
#include "migrate/plan.h"
#include "migrate/raft.h"
#include "migrate/raft_look.h"
#include "migrate/raft_pod.h"
#include "migrate/raft_rescue.h"
#include "migrate/run.h"
#include "world/world.h"

static char set_name[] = "vault", workload_name[] = "vault", workload_ns[] = "vault", target_class[] = "lvm", console_word[] = "console", external_word[] = "external",
            probe_path[] = "cubbyhole/ferryman-probe", context[] = "home";
static struct plan_raft spec = {.statefulset = set_name, .vault = {.write_probe = probe_path}};
static struct plan_workload workload = {.name = workload_name, .ns = workload_ns, .kind = &plan_kind_raft, .spec = &spec};
static struct plan plan = {.target_class = target_class, .context = context};

struct stage {
    struct world *world;
    struct run *run;
    struct script *script;
};

static void fact(struct stage *st, const char *name, const char *value) {
    char *copy = mem_strdup(value);
    for (char *p = copy; *p; p++)
        if (*p == '\'') *p = '"';
    run_restore_fact(st->run, name, copy);
    mem_free(copy);
}

#define ENTRY(t, u, v) "{'name':'" t "-vault-0','uid':'" u "','class':'nfs','size':'2Gi','modes':['ReadWriteOnce'],'labels':{'app':'vault'},'volume':'" v "','volume_uid':'" v "u'," \
    "'handle':'h-" v "','reclaim':'Retain'}"
#define CLAIMS "[" ENTRY("data", "du", "dv") "," ENTRY("audit", "au", "av") "]"
#define PODS "{'vault-0':{'uid':'pu','node_id':'vault-0','address':'vault-0.vault-internal:8201','grace':'45','claims':" CLAIMS "}}"

static int setup(void **state) {
    struct stage *st = MEM_NEW(struct stage);
    spec.template_apply = console_word;
    st->world = world_new();
    st->run = run_new(&(struct run){.world = st->world, .plan = &plan, .workload = &workload, .id = "0123456789abcdef", .phase = &raft_phase_pod[0]});
    st->script = script_new();
    fact(st, "replicas", "3");
    fact(st, "set.uid", "su");
    fact(st, "set.new.uid", "nu");
    fact(st, "set.templates", "['data','audit']");
    fact(st, "ids.stable", "yes");
    fact(st, "pods", PODS);
    fact(st, "leader.now", "vault-2");
    fact(st, "leader.index", "100");
    fact(st, "pod.1.asked", "vault-0");
    fact(st, "pod.1.asked.leader", "vault-2");
    *state = st;
    return 0;
}

static int teardown(void **state) {
    struct stage *st = *state;
    script_free(st->script);
    run_free(st->run);
    world_free(st->world);
    mem_free(st);
    return 0;
}

/* The turn has begun: its pod and claims are noted. */
static void begin(struct stage *st) {
    fact(st, "pod.1.name", "vault-0");
    fact(st, "pod.1.begun", "1");
    fact(st, "pod.1.uid.old", "pu");
    fact(st, "pod.1.node_id.old", "vault-0");
    fact(st, "pod.1.claims.old", CLAIMS);
}

static struct json_t *json(const char *text) {
    char *copy = mem_strdup(text);
    for (char *p = copy; *p; p++)
        if (*p == '\'') *p = '"';
    struct json_t *d = NULL;
    assert_null(jd_parse(copy, strlen(copy), "the test", &d));
    mem_free(copy);
    return d;
}

static const char *step_of(const struct phase *p, struct stage *st, const char *id) {
    st->run->phase = p;
    script_free(st->script);
    st->script = script_new();
    for (const struct step *s = p->steps; s->id; s++)
        if (str_eq(s->id, id)) s->script(st->run, st->script);
    return id;
}

static struct op *find(struct stage *st, const char *id) {
    for (const struct op *op = script_first(st->script); op; op = op->next)
        if (str_eq(op->id, id)) return (struct op *)(uintptr_t)op;
    fail_msg("the script has no operation '%s'", id);
    return NULL;
}

/* Asks; doc NULL: 404. words: what the reason must say. */
static void op_sees(struct stage *st, struct op *op, int status, const char *doc, enum op_answer want, const char *words) {
    struct json_t *d = doc ? json(doc) : NULL;
    struct buf reason = {0}, text = {0};
    if (d) jd_dump(d, &text);
    struct seen seen = {.status = status, .doc = d, .text = {buf_str(&text), text.len}};
    enum op_answer got = op->see(st->run, op, &seen, &reason);
    if (got != want || (words && !strstr(buf_str(&reason), words)))
        fail_msg("%s (%s): answer %d, %d was expected; '%s' should say '%s'", op->id, op->what, got, want, buf_str(&reason), words ? words : "");
    buf_free(&reason);
    buf_free(&text);
    jd_free(d);
}

static void sees(struct stage *st, const char *id, const char *doc, enum op_answer want, const char *words) {
    op_sees(st, find(st, id), doc ? 200 : 404, doc, want, words);
}

static void says(struct stage *st, const char *id, int status, const char *doc, enum op_answer want, const char *words) {
    op_sees(st, find(st, id), status, doc, want, words);
}

static struct op *guard(struct stage *st, const char *id, const char *what) {
    for (struct op *g = find(st, id)->guards; g; g = g->next)
        if (strstr(g->what, what)) return g;
    fail_msg("%s has no guard '%s'", id, what);
    return NULL;
}

/* The acts of a phase as they would be sent, one a line. */
static void acts(struct stage *st, const struct phase *p, struct buf *out) {
    st->run->phase = p;
    for (const struct step *s = p->steps; s->id; s++) {
        struct script *script = script_new();
        st->run->preview = true;
        s->script(st->run, script);
        script_expand(st->run, script);
        st->run->preview = false;
        for (const struct op *op = script_first(script); op; op = op->next) {
            if (op->kind != OP_ACT) continue;
            buf_printf(out, "%s%s ", s->id, op->irreversible ? "!" : "");
            op_text(op, out);
            buf_addc(out, '\n');
        }
        script_free(script);
    }
}

static void assert_lines(const struct buf *text, const char *const *lines) {
    const char *at = buf_str(text);
    for (size_t i = 0; lines[i]; i++) {
        const char *found = strstr(at, lines[i]);
        if (!found) fail_msg("'%s' is not there, or not in that order, in:\n%s", lines[i], buf_str(text));
        at = found + strlen(lines[i]);
    }
}

/* ---- A pod's turn: what is sent ---- */

#define NS "/api/v1/namespaces/vault"

static void test_turn_requests(void **state) {
    struct stage *st = *state;
    struct buf text = {0};
    static const char *const lines[] = {
        "ready PATCH /api/v1/persistentvolumes/dv test /metadata/uid=\"dvu\"; replace /spec/persistentVolumeReclaimPolicy=\"Retain\"\n",
        "ready PATCH /api/v1/persistentvolumes/av test /metadata/uid=\"avu\"",
        "swap! DELETE " NS "/persistentvolumeclaims/data-vault-0 preconditions.uid=du, propagationPolicy=Background\n",
        "swap! DELETE " NS "/persistentvolumeclaims/audit-vault-0 preconditions.uid=au, propagationPolicy=Background\n",
        "swap PATCH /api/v1/persistentvolumes/dv", /* Retain once more, before the pod goes */
        "swap PATCH /api/v1/persistentvolumes/av",
        "swap! DELETE " NS "/pods/vault-0 preconditions.uid=pu, propagationPolicy=Background, gracePeriodSeconds=45\n",
        "rejoin vault-2 POST /v1/cubbyhole/ferryman-probe",
        NULL,
    };
    acts(st, &raft_phase_pod[0], &text);
    assert_lines(&text, lines);
    assert_null(strstr(buf_str(&text), "gracePeriodSeconds=0"));
    assert_null(strstr(buf_str(&text), "finalizers"));
    assert_null(strstr(buf_str(&text), "remove-peer"));
    buf_free(&text);
}

static void test_grace(void **state) {
    struct stage *st = *state;
    assert_int_equal(raft_pod_grace(st->run, "vault-0"), 45); /* its own */
    fact(st, "pods", "{'vault-0':{'uid':'pu','grace':'10'}}");
    assert_int_equal(raft_pod_grace(st->run, "vault-0"), 30); /* the chart's 10 is too short for NFS */
    assert_int_equal(raft_pod_grace(st->run, "vault-1"), 30);
}

/* The pod that was confirmed, and no other. */
static void test_chosen(void **state) {
    struct stage *st = *state;
    step_of(&raft_phase_pod[0], st, "choose");
    sees(st, "chosen", NULL, OP_DONE, "vault-0; the leader is vault-2");
    fact(st, "leader.now", "vault-0");
    sees(st, "chosen", NULL, OP_REFUSE, "vault-0 is the leader now: the plan is stale");
    fact(st, "leader.now", "vault-1");
    sees(st, "chosen", NULL, OP_REFUSE, "vault-1 leads now, the dialog said vault-2");
    fact(st, "leader.now", "vault-2");
    fact(st, "pod.2.name", "vault-0");
    sees(st, "chosen", NULL, OP_REFUSE, "was moved in turn 2");
}

static void test_who_leads(void **state) {
    struct stage *st = *state;
    step_of(&raft_phase_pod[0], st, "choose");
    static const char standby[] = "{'ha_enabled':true,'leader_cluster_address':'https://vault-2.vault-internal:8201','raft_applied_index':99}";
    says(st, "leader vault-0", 200, standby, OP_DONE, "standby, names vault-2");
    says(st, "leader vault-1", 503, "{'errors':['Vault is sealed']}", OP_REFUSE, "Vault is sealed");
    says(st, "leader vault-1", 200, standby, OP_DONE, NULL);
    sees(st, "leader", NULL, OP_REFUSE, "no node says that it is active");
    says(st, "leader vault-2", 200, "{'is_self':true,'raft_applied_index':101}", OP_DONE, "it is active");
    sees(st, "leader", NULL, OP_DONE, "vault-2, applied index 101");
    assert_string_equal(run_fact(st->run, "leader.index"), "101");
    says(st, "leader vault-1", 200, "{'is_self':true,'raft_applied_index':101}", OP_DONE, NULL);
    sees(st, "leader", NULL, OP_REFUSE, "both say that they are active");
    step_of(&raft_phase_pod[0], st, "choose"); /* a stale word about a dead leader */
    says(st, "leader vault-0", 200, "{'leader_cluster_address':'https://vault-1.vault-internal:8201'}", OP_DONE, NULL);
    says(st, "leader vault-2", 200, "{'is_self':true,'raft_applied_index':101}", OP_DONE, NULL);
    sees(st, "leader", NULL, OP_REFUSE, "vault-0 names vault-1");
}

static void test_others_spare_it(void **state) {
    struct stage *st = *state;
    step_of(&raft_phase_pod[0], st, "choose");
    script_expand(st->run, st->script);
    says(st, "others vault-1 well", 429, "{'initialized':true,'sealed':false,'standby':true}", OP_DONE, NULL);
    says(st, "others vault-1 well", 503, "{'initialized':true,'sealed':true}", OP_REFUSE, "vault-1 is sealed");
    says(st, "others vault-1 well", 474, "{'initialized':true,'sealed':false}", OP_REFUSE, "lost its connection");
    says(st, "others vault-1 well", 530, "{'initialized':true,'sealed':true}", OP_REFUSE, "removed");
    says(st, "others vault-1 well", 429, "{'errors':['rate limit quota exceeded']}", OP_REFUSE, "does not say how it is");
    says(st, "others vault-1 level", 200, "{'raft_applied_index':99}", OP_TODO, "behind the leader");
    says(st, "others vault-1 level", 200, "{'raft_applied_index':100}", OP_DONE, NULL);
    says(st, "others vault-2 level", 200, "{}", OP_DONE, NULL); /* it is the measure */
#define SERVER(id, host, voter) "{'node_id':'" id "','address':'" host ".vault-internal:8201','leader':false,'voter':" voter "}"
#define PEERS(list) "{'data':{'config':{'index':0,'servers':[" list "]}}}"
    says(st, "peers", 200, PEERS(SERVER("vault-0", "vault-0", "true") "," SERVER("vault-1", "vault-1", "true") "," SERVER("vault-2", "vault-2", "true")), OP_DONE, "3 peers");
    says(st, "peers", 200, PEERS(SERVER("vault-0", "vault-0", "true") "," SERVER("vault-1", "vault-1", "false") "," SERVER("vault-2", "vault-2", "true")), OP_REFUSE,
         "vault-1 is no voter yet");
    says(st, "peers", 200, PEERS(SERVER("vault-0", "vault-0", "true") "," SERVER("old", "elsewhere", "true") "," SERVER("vault-2", "vault-2", "true")), OP_REFUSE, "stale peer");
    says(st, "peers", 200, PEERS(SERVER("vault-0", "vault-0", "true") "," SERVER("vault-2", "vault-2", "true")), OP_REFUSE, "2 peers, the set 3 pods");
    says(st, "peers", 403, "{'errors':['permission denied']}", OP_REFUSE, "the token is not allowed");
    says(st, "peers", 200, PEERS(SERVER("a-b-c", "vault-0", "true") "," SERVER("d-e-f", "vault-1", "true") "," SERVER("g-h-i", "vault-2", "true")), OP_DONE, "on the disks");
    assert_string_equal(run_fact(st->run, "ids.stable"), "no");
#define AUTOPILOT(healthy, tolerance, one) "{'data':{'healthy':" healthy ",'failure_tolerance':" tolerance ",'leader':'vault-2','servers':{'vault-0':{'id':'vault-0','healthy':true," \
    "'node_status':'alive'},'vault-1':{'id':'vault-1','healthy':" one ",'node_status':'alive'},'vault-2':{'id':'vault-2','healthy':true,'node_status':'alive'}}}}"
    says(st, "autopilot", 200, AUTOPILOT("true", "1", "true"), OP_DONE, "tolerance 1");
    says(st, "autopilot", 200, AUTOPILOT("true", "0", "true"), OP_TODO, "tolerance 0");
    says(st, "autopilot", 200, AUTOPILOT("false", "1", "false"), OP_TODO, "vault-1 unhealthy");
    says(st, "autopilot", 404, "{'errors':[]}", OP_TODO, "answers 404");
}

/* ---- Right before the DELETEs ---- */

static void test_guards_of_the_swap(void **state) {
    struct stage *st = *state;
    begin(st);
    step_of(&raft_phase_pod[0], st, "swap");
    const char *first = "delete data-vault-0", *pod = "delete pod";
    assert_false(run_has(st->run, "no_way_back")); /* what refuses before the last guard leaves nothing behind */
    op_sees(st, guard(st, first, "vault-0 goes"), 200, "{}", OP_DONE, "no way back but forward until vault-0 is Ready again");
    assert_true(run_has(st->run, "no_way_back"));
    assert_string_equal(run_fact(st->run, "pod.1.name"), "vault-0");
    sees(st, first, "{'metadata':{'uid':'du'},'spec':{'volumeName':'dv'}}", OP_TODO, NULL);
    sees(st, first, "{'metadata':{'uid':'du'},'spec':{'volumeName':'other'}}", OP_REFUSE, "is bound to volume other");
    op_sees(st, guard(st, first, "vault-0 is not active"), 200, "{'is_self':true}", OP_REFUSE, "the leader is never taken away");
    op_sees(st, guard(st, first, "vault-0 is not active"), 200, "{'ha_enabled':true}", OP_DONE, NULL);
    op_sees(st, guard(st, first, "vault-2 is active still"), 200, "{'ha_enabled':true}", OP_REFUSE, "not active any more");
    op_sees(st, guard(st, first, "vault-1 is well"), 503, "{'initialized':true,'sealed':true}", OP_REFUSE, "sealed");
    op_sees(st, guard(st, first, "only vault-0 mounts"), 200,
            "{'items':[{'metadata':{'name':'thief'},'spec':{'volumes':[{'persistentVolumeClaim':{'claimName':'audit-vault-0'}}]}}]}", OP_REFUSE, "pod thief mounts audit-vault-0");
    op_sees(st, guard(st, first, "only vault-0 mounts"), 200,
            "{'items':[{'metadata':{'name':'vault-0'},'spec':{'volumes':[{'persistentVolumeClaim':{'claimName':'audit-vault-0'}}]}},"
            "{'metadata':{'name':'over'},'status':{'phase':'Succeeded'},'spec':{'volumes':[{'persistentVolumeClaim':{'claimName':'audit-vault-0'}}]}}]}", OP_DONE, NULL);
#define SET_NOW(uid, class, n) "{'metadata':{'uid':'" uid "'},'spec':{'replicas':" n ",'volumeClaimTemplates':[{'spec':{'storageClassName':'" class "'}}]}}"
    op_sees(st, guard(st, first, "target class"), 200, SET_NOW("nu", "lvm", "3"), OP_DONE, NULL);
    op_sees(st, guard(st, first, "target class"), 200, SET_NOW("nu", "nfs", "3"), OP_REFUSE, "would come back on the old class");
    op_sees(st, guard(st, first, "target class"), 200, SET_NOW("xx", "lvm", "3"), OP_REFUSE, "made again by somebody else");
    op_sees(st, guard(st, first, "target class"), 200, SET_NOW("nu", "lvm", "2"), OP_REFUSE, "2 replicas, not 3");
    op_sees(st, guard(st, first, "target class"), 404, NULL, OP_REFUSE, "not there");
#define VOLUME(uid, policy) "{'metadata':{'uid':'" uid "','managedFields':[{'manager':'meddler','operation':'Update','time':'2026-01-01T00:00:00Z','fieldsType':'FieldsV1'," \
    "'fieldsV1':{'f:spec':{'f:persistentVolumeReclaimPolicy':{}}}}]},'spec':{'persistentVolumeReclaimPolicy':'" policy "'}}"
    op_sees(st, guard(st, first, "volume dv is kept"), 200, VOLUME("dvu", "Retain"), OP_DONE, NULL);
    op_sees(st, guard(st, first, "volume dv is kept"), 200, VOLUME("dvu", "Delete"), OP_REFUSE, "volume dv is Delete (set by meddler)");
    op_sees(st, guard(st, first, "volume dv is kept"), 200, VOLUME("xxx", "Retain"), OP_REFUSE, "another one now");
    op_sees(st, guard(st, first, "volume dv is kept"), 404, NULL, OP_REFUSE, "not there");
    op_sees(st, guard(st, pod, "volume av is kept"), 200, VOLUME("avu", "Delete"), OP_REFUSE, "must be Retain"); /* again before the pod goes */
    op_sees(st, guard(st, pod, "vault-0 is not active"), 200, "{'is_self':true}", OP_REFUSE, "never taken away");
    sees(st, "terminating data-vault-0", "{'metadata':{'uid':'du'}}", OP_TODO, NULL);
    sees(st, "terminating data-vault-0", "{'metadata':{'uid':'du','deletionTimestamp':'t'}}", OP_DONE, "Terminating");
    assert_true(run_has(st->run, "pod.1.cut"));
    sees(st, "terminating audit-vault-0", NULL, OP_DONE, "gone");
}

/* ---- After the stop ---- */

static void test_others_have_everything(void **state) {
    struct stage *st = *state;
    begin(st);
    step_of(&raft_phase_pod[0], st, "stopped");
    sees(st, "pod gone", "{'metadata':{'uid':'pu','deletionTimestamp':'t'}}", OP_TODO, "on its way out");
    sees(st, "pod gone", "{'metadata':{'uid':'pu'}}", OP_TODO, "nobody has deleted it");
    sees(st, "pod gone", "{'metadata':{'uid':'next'}}", OP_DONE, "another one has its name");
    sees(st, "pod gone", NULL, OP_DONE, "gone");
    script_expand(st->run, st->script);
    says(st, "measure", 200, "{'is_self':true,'raft_applied_index':120}", OP_DONE, "120");
    assert_string_equal(run_fact(st->run, "leader.index"), "120");
    says(st, "measure", 200, "{}", OP_TODO, "without a majority");
    says(st, "level vault-1", 200, "{'raft_applied_index':119}", OP_TODO, "vault-1 has applied 119 of 120. What was committed with the stopped node alone is on its kept volumes");
    says(st, "level vault-1", 200, "{'raft_applied_index':120}", OP_DONE, NULL);
    assert_string_equal(run_fact(st->run, "pod.1.alarm"), "vault-1");
}

/* ---- New claims, and the cures ---- */

#define LIVE(name, uid, class, more) "{'metadata':{'name':'" name "-vault-0','uid':'" uid "'" more "},'spec':{'storageClassName':'" class "'},'status':{'phase':'Pending'}}"
#define GOING ",'deletionTimestamp':'t'"

static void stopped_at(struct stage *st, int64_t ago_ms) {
    char text[24];
    snprintf(text, sizeof text, "%lld", (long long)(clock_wall_ms() - ago_ms));
    fact(st, "pod.1.stopped", text);
}

static void test_new_claims(void **state) {
    struct stage *st = *state;
    begin(st);
    stopped_at(st, 1000);
    step_of(&raft_phase_pod[0], st, "claims");
    script_expand(st->run, st->script);
    sees(st, "new claims", "{'items':[" LIVE("data", "du", "nfs", GOING) "]}", OP_TODO, "the old one still, Terminating");
    sees(st, "new claims", "{'items':[]}", OP_TODO, "not there yet");
    sees(st, "new claims", "{'items':[" LIVE("data", "n1", "lvm", "") "," LIVE("audit", "au", "nfs", GOING) "]}", OP_TODO, "audit-vault-0 is the old one still");
    sees(st, "new claims", "{'items':[" LIVE("data", "n1", "nfs", "") "]}", OP_REFUSE, "came again on class nfs, not on lvm: the set's template was changed back");
    sees(st, "new claims", "{'items':[" LIVE("data", "n1", "lvm", "") "," LIVE("audit", "n2", "lvm", "") "]}", OP_DONE, NULL);
    assert_string_equal(run_fact(st->run, "pod.1.claims.state"), "new");
    sees(st, "new pod", NULL, OP_TODO, "FailedCreate events meanwhile are normal");
    sees(st, "new pod", "{'metadata':{'uid':'pu'}}", OP_TODO, "on its way out");
    sees(st, "new pod", "{'metadata':{'uid':'p2'},'spec':{},'status':{'phase':'Pending','conditions':[{'type':'PodScheduled','message':'0/3 nodes'}]}}", OP_TODO, "0/3 nodes");
    sees(st, "new pod", "{'metadata':{'uid':'p2'},'spec':{'nodeName':'n'},'status':{'phase':'Running'}}", OP_DONE, "on n");
    assert_string_equal(run_fact(st->run, "pod.1.uid.new"), "p2");
    sees(st, "bound data-vault-0", "{'metadata':{'uid':'du'},'spec':{'volumeName':'dv'},'status':{'phase':'Bound'}}", OP_REFUSE, "not the new one");
    sees(st, "bound data-vault-0", "{'metadata':{'uid':'n1'},'spec':{},'status':{'phase':'Pending'}}", OP_TODO, "Pending");
    sees(st, "bound data-vault-0", "{'metadata':{'uid':'n1'},'spec':{'volumeName':'nv','storageClassName':'lvm'},'status':{'phase':'Bound'}}", OP_DONE, "volume nv");
    struct json_t *list = raft_turn_json(st->run, "1", "claims.new");
    assert_string_equal(jd_str(list, "0.uid"), "n1");
    jd_free(list);
}

/* s3, s4, s5: the pod is on a claim that waits for its end; s9: it waits for a claim that nobody makes. */
static void test_cures(void **state) {
    struct stage *st = *state;
    begin(st);
    stopped_at(st, 60000);
    step_of(&raft_phase_pod[0], st, "claims");
    script_expand(st->run, st->script);
    sees(st, "new claims", "{'items':[" LIVE("data", "du", "nfs", GOING) "," LIVE("audit", "au", "nfs", GOING) "]}", OP_DONE, NULL);
    sees(st, "new pod", "{'metadata':{'uid':'p2'},'spec':{'nodeName':'n'},'status':{'phase':'Running'}}", OP_DONE, "on an old claim that is Terminating");
    assert_string_equal(run_fact(st->run, "pod.1.stuck.uid"), "p2");
    sees(st, "new claims", "{'items':[]}", OP_DONE, NULL);
    sees(st, "new pod", "{'metadata':{'uid':'p3'},'spec':{},'status':{'phase':'Pending'}}", OP_DONE, "waits for a claim that nobody makes");
    assert_true(raft_has(st->run, "stuck"));
    sees(st, "new pod", NULL, OP_DONE, "has not made it yet"); /* and the claims are looked at again */
    assert_false(raft_has(st->run, "stuck"));
    /* s13: scheduled before its claims were there */
    sees(st, "new claims", "{'items':[" LIVE("data", "n1", "lvm", "") "," LIVE("audit", "n2", "lvm", "") "]}", OP_DONE, NULL);
    sees(st, "new pod", "{'metadata':{'uid':'p4','creationTimestamp':'2020-01-01T00:00:00Z'},'spec':{'nodeName':'n'},'status':{'phase':'Pending'}}", OP_DONE, "is scheduled and does not start");
    fact(st, "pod.1.waits", "yes"); /* its claims were well */
    sees(st, "new pod", "{'metadata':{'uid':'p4','creationTimestamp':'2020-01-01T00:00:00Z'},'spec':{'nodeName':'n'},'status':{'phase':'Pending'}}", OP_TODO, "containers do not run yet");
}

/* ---- The node comes back ---- */

static void test_rejoin(void **state) {
    struct stage *st = *state;
    begin(st);
    step_of(&raft_phase_pod[0], st, "rejoin");
    script_expand(st->run, st->script);
    says(st, "initialised", 200, "{'initialized':false,'sealed':true,'t':0,'n':0}", OP_TODO, "Nobody may call sys/init");
    says(st, "initialised", 200, "{'initialized':true,'sealed':true,'t':3,'n':5}", OP_DONE, "join challenge");
    says(st, "initialised", 200, "{'initialized':true,'sealed':true,'removed_from_cluster':true}", OP_REFUSE, "wiped again");
    says(st, "unsealed", 200, "{'initialized':true,'sealed':true,'t':3,'progress':1}", OP_TODO, "unseal it (1 of 3 keys so far)");
    says(st, "unsealed", 200, "{'initialized':true,'sealed':false}", OP_DONE, NULL);
    says(st, "unsealed", 530, "{}", OP_REFUSE, "do not call remove-peer");
#define THREE(mine, voter) PEERS(SERVER(mine, "vault-0", voter) "," SERVER("vault-1", "vault-1", "true") "," SERVER("vault-2", "vault-2", "true"))
    says(st, "joined", 200, THREE("vault-0", "true"), OP_DONE, "voter vault-0");
    says(st, "joined", 200, THREE("vault-0", "false"), OP_TODO, "no voter yet");
    says(st, "joined", 200, THREE("9f-uuid", "true"), OP_TODO, "as 9f-uuid, not as vault-0");
    says(st, "joined", 200, PEERS(SERVER("vault-1", "vault-1", "true") "," SERVER("vault-2", "vault-2", "true")), OP_TODO, "no peer is at vault-0's address");
    says(st, "joined", 500, "{'errors':['local node not active']}", OP_TODO, "500");
    says(st, "sample", 200, "{'is_self':true,'raft_applied_index':130}", OP_DONE, "130");
    says(st, "level", 200, "{'raft_applied_index':129}", OP_TODO, "129 of 130");
    says(st, "level", 503, "{'errors':['Vault is sealed']}", OP_TODO, "503");
    says(st, "level", 200, "{'raft_applied_index':131}", OP_DONE, NULL);
    says(st, "sample again", 200, "{'is_self':true,'raft_applied_index':130}", OP_TODO, "our write is not in it yet");
    says(st, "sample again", 200, "{'is_self':true,'raft_applied_index':132}", OP_DONE, NULL);
    says(st, "level again", 200, "{'raft_applied_index':131}", OP_TODO, "131 of 132");
    says(st, "sample again", 200, "{}", OP_REFUSE, "not active any more");
    says(st, "well", 530, "{'initialized':true,'sealed':true}", OP_REFUSE, "removed");
    struct op *write = find(st, "write");
    char written[200];
    snprintf(written, sizeof written, "{'data':{'ferryman':'%s'}}", jd_str(write->body, "ferryman"));
    says(st, "write", 404, "{'errors':[]}", OP_TODO, NULL);
    says(st, "write", 200, "{'data':{'ferryman':'another'}}", OP_TODO, NULL);
    says(st, "write", 403, "{'errors':['permission denied']}", OP_REFUSE, "permission denied");
    assert_true(write->token);
}

static void test_rejoin_with_ids_on_the_disks(void **state) {
    struct stage *st = *state;
    begin(st);
    fact(st, "ids.stable", "no");
    fact(st, "pod.1.node_id.old", "old-id");
    step_of(&raft_phase_pod[0], st, "rejoin");
    script_expand(st->run, st->script);
    says(st, "joined", 200, THREE("new-id", "true"), OP_DONE, "voter new-id");
    says(st, "joined", 200, THREE("old-id", "true"), OP_TODO, "the old id old-id is a peer still");
    says(st, "joined", 200, PEERS(SERVER("new-id", "vault-0", "true") "," SERVER("old-id", "vault-0", "true") "," SERVER("vault-1", "vault-1", "true")), OP_TODO, "old-id");
}

/* ---- The template ---- */

#define WHOLE(uid, class, more) "{'kind':'StatefulSet','metadata':{'name':'vault','namespace':'vault','uid':'" uid "'},'spec':{'replicas':3,'podManagementPolicy':'Parallel'" more \
    ",'template':{'spec':{'containers':[{'image':'v:1'}]}},'volumeClaimTemplates':[{'metadata':{'name':'data'},'spec':{'storageClassName':'" class "'}},"                            \
    "{'metadata':{'name':'audit'},'spec':{'storageClassName':'" class "'}}]}}"

static void test_template_requests(void **state) {
    struct stage *st = *state;
    struct buf text = {0};
    fact(st, "set.new.uid", "");
    fact(st, "set.manifest", WHOLE("su", "nfs", ""));
    static const char *const lines[] = {
        "retain PATCH /api/v1/persistentvolumes/dv test /metadata/uid=\"dvu\"",
        "swap! DELETE /apis/apps/v1/namespaces/vault/statefulsets/vault preconditions.uid=su, propagationPolicy=Orphan\n",
        "swap! POST /apis/apps/v1/namespaces/vault/statefulsets {",
        "\"ferryman.io/run\":\"0123456789abcdef\"",
        "\"storageClassName\":\"lvm\"",
        "\"storageClassName\":\"lvm\"",
        NULL,
    };
    acts(st, &raft_phase_template, &text);
    assert_lines(&text, lines);
    assert_null(strstr(buf_str(&text), "\"storageClassName\":\"nfs\""));
    buf_free(&text);
}

static void test_template_sees(void **state) {
    struct stage *st = *state;
    fact(st, "set.new.uid", "");
    fact(st, "set.manifest", WHOLE("su", "nfs", ""));
    step_of(&raft_phase_template, st, "set");
    sees(st, "set", NULL, OP_REFUSE, "is not there");
    sees(st, "set", WHOLE("su", "nfs", ",'persistentVolumeClaimRetentionPolicy':{'whenDeleted':'Delete'}"), OP_REFUSE, "is not what preflight looked at");
    sees(st, "set", WHOLE("su", "nfs", ",'serviceName':'other'"), OP_REFUSE, "spec.serviceName");
    sees(st, "set", WHOLE("su", "nfs", ""), OP_DONE, "uid su, 3 replicas, Parallel");
    assert_false(run_has(st->run, "set.new.uid"));
    fact(st, "set.manifest", "");
    sees(st, "set", WHOLE("su", "nfs", ",'persistentVolumeClaimRetentionPolicy':{'whenDeleted':'Delete'}"), OP_REFUSE, "set it to Retain first");
    sees(st, "set", WHOLE("xx", "lvm", ""), OP_DONE, "already on lvm"); /* somebody has swapped it: nothing to do */
    assert_string_equal(run_fact(st->run, "set.new.uid"), "xx");
    fact(st, "set.new.uid", "");
    fact(st, "set.orphaned_at", "1");
    sees(st, "set", NULL, OP_DONE, "orphaned"); /* gone in the middle: its pods need their controller, whatever became of them */
    assert_null(strstr(find(st, "set")->what, "pod"));
}

/* Adopted: the same pods, untouched. */
static void test_adopted(void **state) {
    struct stage *st = *state;
    fact(st, "set.pods", "{'vault-0':'pu'}");
    step_of(&raft_phase_template, st, "adopted");
#define POD(uid, owner, more) "{'items':[{'metadata':{'name':'vault-0','uid':'" uid "','ownerReferences':[{'uid':'" owner "','controller':true}]" more "}}]}"
    sees(st, "adopted", POD("pu", "nu", ""), OP_DONE, "1 pods adopted as they were");
    sees(st, "adopted", POD("pu", "su", ""), OP_TODO, "not adopted yet");
    sees(st, "adopted", POD("p2", "nu", ""), OP_REFUSE, "it was restarted");
    sees(st, "adopted", POD("pu", "nu", GOING), OP_REFUSE, "it was restarted");
    sees(st, "adopted", "{'items':[]}", OP_REFUSE, "it was restarted");
    sees(st, "untouched data-vault-0", "{'metadata':{'uid':'du'}}", OP_DONE, NULL);
    sees(st, "untouched data-vault-0", "{'metadata':{'uid':'xx'}}", OP_REFUSE, "not the same");
    sees(st, "untouched data-vault-0", NULL, OP_REFUSE, "not there");
}

static void test_template_from_outside(void **state) {
    struct stage *st = *state;
    struct buf text = {0};
    spec.template_apply = external_word;
    fact(st, "set.new.uid", "");
    fact(st, "set.manifest", WHOLE("su", "nfs", ""));
    fact(st, "set.orphaned_at", "1000");
    fact(st, "set.file", "/state/vault-set.json");
    acts(st, &raft_phase_template, &text);
    assert_null(strstr(buf_str(&text), "POST")); /* it goes, and comes from outside */
    assert_non_null(strstr(buf_str(&text), "propagationPolicy=Orphan"));
    buf_free(&text);
    step_of(&raft_phase_template, st, "swap");
    script_expand(st->run, st->script);
    sees(st, "applied", NULL, OP_TODO, "NO CONTROLLER since 1970-01-01T00:00:01Z");
    sees(st, "applied", NULL, OP_TODO, "kubectl --context home create -f /state/vault-set.json");
    sees(st, "applied", WHOLE("nu", "nfs", ""), OP_REFUSE, "made again on the old class");
    sees(st, "applied", WHOLE("nu", "lvm", ""), OP_DONE, "uid nu");
    assert_string_equal(run_fact(st->run, "set.new.uid"), "nu");
}

/* ---- Step-down ---- */

static void test_step_down(void **state) {
    struct stage *st = *state;
    begin(st);
    fact(st, "pod.1.done", "1");
    fact(st, "pod.2.name", "vault-1");
    step_of(&raft_phase_step_down, st, "ready");
    sees(st, "somebody", NULL, OP_REFUSE, "vault-1 is no leader and not moved yet");
    fact(st, "pod.2.done", "1");
    sees(st, "somebody", NULL, OP_DONE, "every follower is on new volumes");
    sees(st, "backups", NULL, OP_DONE, "no backup runs");
    step_of(&raft_phase_step_down, st, "down");
    script_expand(st->run, st->script);
    says(st, "step down 1", 200, "{'is_self':true}", OP_TODO, "active still"); /* 204 came, and nothing happened */
    says(st, "step down 1", 200, "{'ha_enabled':true}", OP_TODO, "nobody is active yet");
    says(st, "step down 1", 200, "{'leader_address':'http://10.0.0.1:8200'}", OP_DONE, "it names");
    assert_string_equal(find(st, "step down 1")->path, "/v1/sys/step-down");
    assert_string_equal(find(st, "step down 1")->vault, "vault-2");
    sees(st, "to", NULL, OP_REFUSE, "vault-2 is active, and it is not on new volumes");
    fact(st, "leader.now", "vault-1");
    sees(st, "to", NULL, OP_DONE, "vault-1");
    step_of(&raft_phase_step_down, st, "proof");
    says(st, "health", 200, "{'standby':false,'sealed':false}", OP_DONE, "active by its own word");
    says(st, "health", 429, "{'standby':true,'sealed':false}", OP_REFUSE, "not active");
    sees(st, "proof", NULL, OP_DONE, "vault-1");
    assert_string_equal(run_fact(st->run, "leader.proved"), "[\"vault-1\"]");
}

/* The last pod goes only when the leader is proved on its new volumes. */
static void test_last_needs_the_proof(void **state) {
    struct stage *st = *state;
    fact(st, "pod.last.asked", "vault-0");
    step_of(&raft_phase_pod[RAFT_TURNS], st, "choose");
    sees(st, "proved", NULL, OP_REFUSE, "was not proved as leader");
    fact(st, "leader.proved", "['vault-1']");
    sees(st, "proved", NULL, OP_REFUSE, "vault-2 is active, and was not proved");
    fact(st, "leader.proved", "['vault-1','vault-2']");
    sees(st, "proved", NULL, OP_DONE, NULL);
}

/* ---- Rollback ---- */

static void test_rollback_requests(void **state) {
    struct stage *st = *state;
    struct buf text = {0};
    begin(st);
    fact(st, "set.manifest", WHOLE("su", "nfs", ""));
    fact(st, "pod.1.claims.new", "[{'name':'data-vault-0','uid':'n1','volume':'nv'},{'name':'audit-vault-0','uid':'n2','volume':'mv'}]");
    static const char *const lines[] = {
        "set! DELETE /apis/apps/v1/namespaces/vault/statefulsets/vault preconditions.uid=nu, propagationPolicy=Orphan\n",
        "away! DELETE " NS "/persistentvolumeclaims/data-vault-0 preconditions.uid=n1",
        "away! DELETE " NS "/persistentvolumeclaims/audit-vault-0 preconditions.uid=n2",
        "away! DELETE " NS "/pods/vault-0 preconditions.uid=pu, propagationPolicy=Background, gracePeriodSeconds=45\n",
        "volumes! PATCH /api/v1/persistentvolumes/dv test /metadata/uid=\"dvu\", /spec/claimRef/uid=\"du\"; replace /spec/claimRef={",
        "\"namespace\":\"vault\",\"name\":\"data-vault-0\"}", /* reserved for its name: a free volume could be taken by anybody's claim */
        "volumes! PATCH /api/v1/persistentvolumes/av test /metadata/uid=\"avu\", /spec/claimRef/uid=\"au\"",
        "claims! POST " NS "/persistentvolumeclaims {",
        "\"name\":\"data-vault-0\"",
        "\"storageClassName\":\"nfs\"",
        "\"volumeName\":\"dv\"",
        "claims! POST " NS "/persistentvolumeclaims {",
        "\"volumeName\":\"av\"",
        "again! POST /apis/apps/v1/namespaces/vault/statefulsets {",
        "\"storageClassName\":\"lvm\"", /* the others' turns go on */
        NULL,
    };
    acts(st, &raft_phase_rollback, &text);
    assert_lines(&text, lines);
    buf_free(&text);
    assert_string_equal(raft_phase_rollback.object(st->run), "vault-0");
}

static void test_rollback_sees(void **state) {
    struct stage *st = *state;
    begin(st);
    step_of(&raft_phase_rollback, st, "look");
    script_expand(st->run, st->script);
    sees(st, "which", NULL, OP_DONE, "vault-0");
#define KEPT(uid, policy, name) "{'metadata':{'uid':'" uid "'},'spec':{'persistentVolumeReclaimPolicy':'" policy "','claimRef':{'name':'" name "','uid':'du'}},'status':{'phase':'Released'}}"
    sees(st, "volume dv", KEPT("dvu", "Retain", "data-vault-0"), OP_DONE, "Released");
    sees(st, "volume dv", KEPT("xxx", "Retain", "data-vault-0"), OP_REFUSE, "nothing to go back to");
    sees(st, "volume dv", KEPT("dvu", "Retain", "thief"), OP_REFUSE, "belongs to claim thief");
    sees(st, "volume dv", NULL, OP_REFUSE, "nothing to go back to");
    sees(st, "claims", "{'items':[" LIVE("data", "n1", "lvm", "") "," LIVE("audit", "au", "nfs", GOING) "]}", OP_DONE, "2 claims go");
    sees(st, "claims", "{'items':[" LIVE("data", "n1", "gold", "") "]}", OP_REFUSE, "neither the old one nor one on lvm");
    sees(st, "set", NULL, OP_REFUSE, "is not there");
    sees(st, "set", WHOLE("nu", "lvm", ""), OP_DONE, "uid nu");
    step_of(&raft_phase_rollback, st, "volumes");
    sees(st, "released dv", "{'metadata':{'uid':'dvu'},'spec':{'persistentVolumeReclaimPolicy':'Retain','claimRef':{'uid':'du'}},'status':{'phase':'Bound'}}", OP_TODO, "Bound");
    sees(st, "free dv", "{'metadata':{'uid':'dvu'},'spec':{'claimRef':{'uid':'du','name':'data-vault-0'}}}", OP_TODO, NULL);
    sees(st, "free dv", "{'metadata':{'uid':'dvu'},'spec':{'claimRef':{'name':'data-vault-0'}}}", OP_DONE, "reserved");
    sees(st, "free dv", "{'metadata':{'uid':'dvu'},'spec':{'claimRef':{'name':'data-vault-0','uid':'n9'}}}", OP_DONE, "bound again");
    sees(st, "free dv", "{'metadata':{'uid':'dvu'},'spec':{'claimRef':{'name':'thief','uid':'t'}}}", OP_REFUSE, "belongs to claim thief");
}

/* At its end the turn and its window come next again; the rest of the run stays. */
static void test_rollback_takes_back_one_turn(void **state) {
    struct stage *st = *state;
    begin(st);
    fact(st, "pod.1.done", "1");
    fact(st, "window.1.done", "passed");
    fact(st, "pod.2.name", "vault-1");
    fact(st, "pod.2.begun", "1");
    fact(st, "pod.2.done", "1");
    fact(st, "leader.proved", "['vault-1','vault-0']");
    fact(st, "pod.2.claims.new", "[{'name':'data-vault-1','uid':'n1','volume':'nv'}]");
    fact(st, "no_way_back", "x");
    step_of(&raft_phase_rollback, st, "end");
    sees(st, "end", NULL, OP_DONE, "vault-1"); /* the last that began */
    assert_false(run_has(st->run, "pod.2.done"));
    assert_false(run_has(st->run, "pod.2.name"));
    assert_false(run_has(st->run, "no_way_back"));
    assert_true(run_has(st->run, "pod.1.done"));
    assert_string_equal(run_fact(st->run, "window.1.done"), "passed");
    assert_string_equal(run_fact(st->run, "leader.proved"), "[\"vault-0\"]");
    assert_non_null(strstr(run_fact(st->run, "rollback.left"), "\"nv\"")); /* for clean-up */
    st->run->phase = &raft_phase_pod[1];
    assert_true(raft_phase_pod[1].undone(st->run));
    st->run->phase = &raft_phase_pod[0];
    assert_false(raft_phase_pod[0].undone(st->run));
}

static void test_rollback_of_the_template(void **state) {
    struct stage *st = *state;
    struct buf text = {0};
    fact(st, "set.manifest", WHOLE("su", "nfs", ""));
    acts(st, &raft_phase_rollback, &text);
    static const char *const lines[] = {"set! DELETE /apis/apps/v1/namespaces/vault/statefulsets/vault preconditions.uid=nu, propagationPolicy=Orphan",
                                        "again! POST /apis/apps/v1/namespaces/vault/statefulsets", "\"storageClassName\":\"nfs\"", NULL};
    assert_lines(&text, lines);
    assert_null(strstr(buf_str(&text), "persistentvolumeclaims"));
    assert_null(strstr(buf_str(&text), "/pods/"));
    buf_free(&text);
    step_of(&raft_phase_rollback, st, "end");
    sees(st, "end", NULL, OP_DONE, NULL);
    assert_true(raft_phase_template.undone(st->run));
}

/* ---- When the majority is lost ---- */

static void test_rescue(void **state) {
    struct stage *st = *state;
    struct buf text = {0};
    fact(st, "snapshot.file", "/state/vault.snap.enc");
    raft_rescue_text(st->run, &text);
    static const char *const lines[] = {"exec vault-2 -- sh -c", "{\"id\":\"vault-2\",\"address\":\"vault-2.vault-internal:8201\",\"non_voter\":false}", "/vault/data/raft/peers.json", "never --force",
                                        "{\"id\":\"vault-0\",\"address\":\"vault-0.vault-internal:8201\"}", "openssl enc -d -aes-256-ctr -pbkdf2 -iter 600000", "-in /state/vault.snap.enc",
                                        "snapshot restore -force", NULL};
    assert_lines(&text, lines);
    buf_free(&text);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

/* Begun, and killed before it saw what became of its first DELETE; then somebody ended the pod. What was noted of the old claims is all
 * that rollback and clean-up have of them. */
static void test_begun_again_after_the_pod_was_replaced(void **state) {
    struct stage *st = *state;
    begin(st);
    step_of(&raft_phase_pod[0], st, "choose");
    script_expand(st->run, st->script);
    sees(st, "noted", NULL, OP_DONE, "2 claims, 0 of them are gone");
    assert_false(run_has(st->run, "pod.1.cut"));
    fact(st, "pods", "{'vault-0':{'uid':'p2','claims':[{'name':'data-vault-0','uid':'d2','class':'lvm','volume':'dv2'}," ENTRY("audit", "au", "av") "]}}");
    sees(st, "noted", NULL, OP_DONE, "1 of them are gone");
    assert_true(run_has(st->run, "pod.1.cut"));
    assert_string_equal(run_fact(st->run, "pod.1.uid.old"), "p2"); /* it is on an old claim: it goes */
    fact(st, "pods", "{'vault-0':{'uid':'p3','claims':[{'name':'data-vault-0','uid':'d2','class':'lvm'},{'name':'audit-vault-0','uid':'a2','class':'lvm'}]}}");
    sees(st, "noted", NULL, OP_DONE, "2 of them are gone");
    assert_string_equal(run_fact(st->run, "pod.1.uid.old"), "p2"); /* it is on new claims: it stays */
    struct json_t *old = run_fact_json(st->run, "pod.1.claims.old");
    assert_int_equal(jd_len(old), 2);
    jd_free(old);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_turn_requests),       TEST(test_grace),             TEST(test_chosen),
        TEST(test_who_leads),           TEST(test_others_spare_it),   TEST(test_guards_of_the_swap),
        TEST(test_others_have_everything), TEST(test_new_claims),     TEST(test_cures),
        TEST(test_rejoin),              TEST(test_rejoin_with_ids_on_the_disks), TEST(test_template_requests),
        TEST(test_template_sees),       TEST(test_adopted),           TEST(test_template_from_outside),
        TEST(test_step_down),           TEST(test_last_needs_the_proof), TEST(test_rollback_requests),
        TEST(test_rollback_sees),       TEST(test_rollback_takes_back_one_turn), TEST(test_rollback_of_the_template),
        TEST(test_rescue),              TEST(test_begun_again_after_the_pod_was_replaced),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
