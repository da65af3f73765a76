/* Where a pod could land: cordons, taints, affinity, topologies, neighbours, drivers and their limits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/buf.h"
#include "base/json_doc.h"
#include "base/mem.h"
#include "base/str.h"
#include "migrate/place_judge.h"

static struct json_t *doc_of(const char *text) {
    char *p = mem_strdup(text);
    struct json_t *d = NULL;
    for (char *q = p; *q; q++)
        if (*q == '\'') *q = '"';
    struct err *e = jd_parse(p, strlen(p), "test", &d);
    if (e) fail_msg("%s in %s", err_text(e), text);
    mem_free(p);
    return d;
}

struct stage {
    struct json_t *nodes, *csinodes, *attachments, *pods, *template, *class;
    struct place place;
    struct buf out;
};

static int setup(void **state) {
    struct stage *s = MEM_NEW(struct stage);
    s->nodes = doc_of("{'items':[{'metadata':{'name':'a','labels':{'kubernetes.io/hostname':'a','zone':'1','cores':'8'}},'status':{'conditions':[{'type':'Ready',"
                      "'status':'True'}]}},{'metadata':{'name':'b','labels':{'kubernetes.io/hostname':'b','zone':'2','cores':'4'}},'status':{'conditions':[{"
                      "'type':'Ready','status':'True'}]}}]}");
    s->csinodes = doc_of("{'items':[{'metadata':{'name':'a'},'spec':{'drivers':[{'name':'lvm','allocatable':{'count':4}}]}},{'metadata':{'name':'b'},'spec':{"
                         "'drivers':[{'name':'nfs'},{'name':'lvm'}]}}]}");
    s->attachments = doc_of("{'items':[{'spec':{'attacher':'lvm','nodeName':'a'}},{'spec':{'attacher':'nfs','nodeName':'a'}}]}");
    s->pods = doc_of("{'items':[{'metadata':{'name':'vault-0','labels':{'app':'vault'}},'spec':{'nodeName':'a'}},{'metadata':{'name':'vault-1','labels':{'app':"
                     "'vault'}},'spec':{'nodeName':'b'}}]}");
    s->template = doc_of("{'spec':{}}");
    s->class = doc_of("{}");
    s->place = (struct place){.nodes = s->nodes, .csinodes = s->csinodes, .attachments = s->attachments, .pods = s->pods, .template = s->template,
                              .class = s->class, .driver = "lvm", .claims = 2};
    *state = s;
    return 0;
}

static int teardown(void **state) {
    struct stage *s = *state;
    struct json_t *all[] = {s->nodes, s->csinodes, s->attachments, s->pods, s->template, s->class};
    for (size_t i = 0; i < ARRAY_LEN(all); i++) jd_free(all[i]);
    buf_free(&s->out);
    mem_free(s);
    return 0;
}

static void lands(struct stage *s, bool somewhere, const char *text) {
    buf_clear(&s->out);
    bool good = place_judge(&s->place, "vault-0", &s->out);
    if (good != somewhere || !str_eq(buf_str(&s->out), text)) fail_msg("%s", buf_str(&s->out));
}

static void test_anywhere(void **state) {
    lands(*state, true, "vault-0: a, b");
}

static void test_cordoned_and_not_ready(void **state) {
    struct stage *s = *state;
    jd_put(jd_at(jd_get(s->nodes, "items"), 0), "spec.unschedulable", jd_bool(true));
    lands(s, true, "vault-0: b");
    jd_put(jd_at(jd_get(s->nodes, "items"), 1), "status.conditions", doc_of("[{'type':'Ready','status':'Unknown'}]"));
    lands(s, false, "vault-0: nowhere (a is cordoned; b is not ready)");
}

static void test_anti_affinity(void **state) {
    struct stage *s = *state;
    jd_put(s->template, "spec.affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution",
           doc_of("[{'labelSelector':{'matchLabels':{'app':'vault'}},'topologyKey':'kubernetes.io/hostname'}]"));
    lands(s, true, "vault-0: a"); /* its own place is free once it has gone */
    jd_put(jd_at(jd_get(s->nodes, "items"), 0), "spec.unschedulable", jd_bool(true));
    lands(s, false, "vault-0: nowhere (a is cordoned; b has vault-1 (anti-affinity))");
    jd_put(jd_at(jd_get(s->pods, "items"), 1), "status.phase", jd_string("Failed"));
    lands(s, true, "vault-0: b"); /* a pod that has ended keeps nobody away */
}

static void test_taints(void **state) {
    struct stage *s = *state;
    jd_put(jd_at(jd_get(s->nodes, "items"), 0), "spec.taints", doc_of("[{'key':'only','value':'db','effect':'NoSchedule'},{'key':'soft','effect':"
                                                                      "'PreferNoSchedule'}]"));
    lands(s, true, "vault-0: b");
    jd_put(s->template, "spec.tolerations", doc_of("[{'key':'only','operator':'Equal','value':'db','effect':'NoSchedule'}]"));
    lands(s, true, "vault-0: a, b");
    jd_put(s->template, "spec.tolerations", doc_of("[{'key':'only','value':'web'}]"));
    lands(s, true, "vault-0: b");
    jd_put(s->template, "spec.tolerations", doc_of("[{'operator':'Exists'}]"));
    lands(s, true, "vault-0: a, b");
}

static void test_node_affinity(void **state) {
    static const char *const terms = "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms";
    struct stage *s = *state;
    jd_put(s->template, "spec.nodeSelector", doc_of("{'zone':'2'}"));
    lands(s, true, "vault-0: b");
    jd_put(s->template, "spec.nodeSelector", jd_object());
    jd_put(s->template, terms, doc_of("[{'matchExpressions':[{'key':'zone','operator':'In','values':['1']},{'key':'cores','operator':'Gt','values':['6']}]}]"));
    lands(s, true, "vault-0: a");
    jd_put(s->template, terms, doc_of("[{'matchExpressions':[{'key':'zone','operator':'NotIn','values':['1','2']}]},{'matchExpressions':[{'key':'gpu','operator':"
                                      "'Exists'}]}]"));
    lands(s, false, "vault-0: nowhere (a is not what nodeAffinity asks for; b is not what nodeAffinity asks for)");
    jd_put(s->template, terms, doc_of("[{'matchExpressions':[{'key':'cores','operator':'Sometimes','values':['1']}]}]")); /* not known: does not fit */
    lands(s, false, "vault-0: nowhere (a is not what nodeAffinity asks for; b is not what nodeAffinity asks for)");
}

static void test_allowed_topologies(void **state) {
    struct stage *s = *state;
    jd_set(s->class, "allowedTopologies", doc_of("[{'matchLabelExpressions':[{'key':'zone','values':['2','3']}]}]"));
    lands(s, true, "vault-0: b");
}

static void test_attach_slots(void **state) {
    struct stage *s = *state;
    s->place.claims = 3;
    lands(s, true, "vault-0: a, b"); /* one and three of four */
    s->place.claims = 4;
    lands(s, true, "vault-0: b"); /* b has no limit */
    s->place.driver = "ceph";
    lands(s, false, "vault-0: nowhere (a has no driver ceph; b has no driver ceph)");
}

static bool only_b(const void *arg, const char *node, struct buf *why) {
    (void)arg;
    if (str_eq(node, "b")) return true;
    buf_adds(why, "has no running pod of the driver lvm");
    return false;
}

static void test_driver_pods(void **state) {
    struct stage *s = *state;
    s->place.driver_serves = only_b;
    lands(s, true, "vault-0: b");
}

static void test_nothing_known(void **state) {
    struct stage *s = *state;
    s->place = (struct place){.driver = "lvm"};
    lands(s, false, "vault-0: nowhere (there are no nodes)");
}

static void test_what_is_not_looked_at(void **state) {
    struct stage *s = *state;
    buf_clear(&s->out);
    place_says_more(s->template, &s->out);
    assert_int_equal(s->out.len, 0);
    jd_put(s->template, "spec.topologySpreadConstraints", doc_of("[{}]"));
    place_says_more(s->template, &s->out);
    assert_string_equal(buf_str(&s->out), "topologySpreadConstraints");
}

int main(void) {
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_anywhere), T(test_cordoned_and_not_ready), T(test_anti_affinity), T(test_taints), T(test_node_affinity), T(test_allowed_topologies),
        T(test_attach_slots), T(test_driver_pods), T(test_nothing_known), T(test_what_is_not_looked_at),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
