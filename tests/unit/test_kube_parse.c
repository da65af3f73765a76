/* Parsers of Kubernetes' objects: what is malformed, hostile or merely odd. What real servers say: test_wire.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "client/kube_parse.h"

static struct kube_arena arena;

static int teardown(void **state) {
    (void)state;
    kube_arena_free(&arena);
    return 0;
}

/* ' stands for " */
static struct slice json_of(const char *text) {
    char *copy = kube_arena_alloc(&arena, strlen(text) + 1);
    strcpy(copy, text);
    for (char *p = copy; *p; p++)
        if (*p == '\'') *p = '"';
    return slice_of(copy);
}

#define assert_slice(got, want)                                                                       \
    do {                                                                                              \
        struct slice s_ = (got);                                                                      \
        if (!slice_eq(s_, slice_of(want))) fail_msg("is \"%.*s\"", SLICE_FMT(s_));             \
    } while (0)

static void assert_refused(const char *text) {
    struct kube_claim c = {.request = 77};
    struct err *e = kube_claim_parse(&arena, json_of(text), &c);
    if (!e) fail_msg("accepted: %s", text);
    assert_int_equal(err_kind(e), ERR_PROTOCOL);
    assert_int_equal(c.request, 77);
    err_free(e);
}

static void test_refused(void **state) {
    (void)state;
    assert_refused("");
    assert_refused("null");
    assert_refused("[]");
    assert_refused("'text'");
    assert_refused("{");
    assert_refused("{}");
    assert_refused("{'metadata':null}");
    assert_refused("{'metadata':{'name':'x'}}");
    assert_refused("{'metadata':{'uid':'u'}}");
    assert_refused("{'metadata':{'uid':'','name':'x'}}");
    assert_refused("{'metadata':{'uid':5,'name':'x'}}");
    assert_refused("{'metadata':{'uid':'u','name':'x'},'spec':{'volumeName':'a\nb'}}"); /* raw control character */
    assert_refused("{'metadata':{'uid':'u','name':'x'}} {}");
    assert_refused("{'metadata':{'uid':'u','name':'x'},'status':{'phase':'Bound'");
}

/* Fields of another type, or null as Go writes what is absent, are as if they were not there. */
static void test_wrong_types(void **state) {
    (void)state;
    struct kube_claim c;
    assert_null(kube_claim_parse(&arena,
                                 json_of("{'metadata':{'uid':'u','name':'x','creationTimestamp':null,'labels':[1],'"
                                         "annotations':null,'ownerReferences':{},"
                                         "'managedFields':'m','deletionTimestamp':'yesterday'},'spec':{'accessModes':{}"
                                         ",'resources':[],'storageClassName':7,"
                                         "'volumeName':null},'status':'Bound'}"),
                                 &c));
    assert_int_equal(c.meta.created, KUBE_NONE);
    assert_int_equal(c.meta.deleting, KUBE_NONE);
    assert_int_equal(c.request, KUBE_NONE);
    assert_null(c.class.p);
    assert_null(c.phase.p);
    assert_null(c.modes.p);
    struct kube_pod p;
    assert_null(kube_pod_parse(&arena,
                               json_of("{'metadata':{'uid':'u','name':'x'},'spec':{'containers':null,'volumes':[null,{'"
                                       "persistentVolumeClaim':null}]},"
                                       "'status':{'containerStatuses':[{'state':null},7],'conditions':[[]]}}"),
                               &p));
    assert_int_equal(p.spec.containers, 0);
    assert_int_equal(p.spec.claims.n, 0);
    assert_null(p.owner.p);
}

static void test_quantities(void **state) {
    (void)state;
    static const struct {
        const char *text;
        int64_t want;
    } cases[] = {{"'2Gi'", 2147483648},    {"1500", 1500},    {"'1e3'", 1000},
                 {"'rubbish'", KUBE_NONE}, {"{}", KUBE_NONE}, {"'99999999Ei'", KUBE_NONE}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct kube_claim c;
        char *text = str_printf("{'metadata':{'uid':'u','name':'x'},'spec':{'resources':{'requests':{'storage':%s}}}}",
                                cases[i].text);
        assert_null(kube_claim_parse(&arena, json_of(text), &c));
        assert_int_equal(c.request, cases[i].want);
        mem_free(text);
    }
}

/* Annotations may hold anything, NUL bytes too, and a lot of it. */
static void test_annotations(void **state) {
    (void)state;
    struct kube_claim c;
    assert_null(
        kube_claim_parse(&arena,
                         json_of("{'metadata':{'uid':'u','name':'x','annotations':{'a':'\\u0000\\u001b[2J','b\\u0000':'"
                                 "','volume.beta.kubernetes.io/"
                                 "storage-provisioner':'old','volume.kubernetes.io/storage-provisioner':'new'}}}"),
                         &c));
    assert_slice(c.meta.provisioner, "new");
    struct buf big = {0};
    buf_adds(&big, "{\"metadata\":{\"uid\":\"u\",\"name\":\"x\",\"annotations\":{\"big\":\"");
    for (int i = 0; i < 1024 * 1024 / 8; i++) buf_adds(&big, "\\u0000xx");
    buf_adds(&big, "\"}},\"status\":{\"phase\":\"Bound\"}}");
    assert_null(kube_claim_parse(&arena, buf_slice(&big), &c));
    assert_slice(c.phase, "Bound");
    buf_free(&big);
}

/* What would move a terminal's cursor, or be read backwards, never gets into a struct. */
static void test_hostile_text(void **state) {
    (void)state;
    struct kube_event e;
    assert_null(kube_event_parse(&arena,
                                 json_of("{'metadata':{'uid':'u','name':'x\\u0007'},'message':'a\\u001b]52;c;eA=="
                                         "\\u0007b\\r\\n\\u202ec\\u009b31m','reason':'R\\u0000S',"
                                         "'involvedObject':{'kind':'Pod','name':'p\\u001b[31m'}}"),
                                 &e));
    const struct slice all[] = {e.message, e.reason, e.object_name, e.meta.name};
    for (size_t i = 0; i < ARRAY_LEN(all); i++) assert_true(utf8_is_clean(all[i]));
    assert_true(slice_starts(e.message, "a\xEF\xBF\xBD]52;c;eA=="));
    struct kube_pod p;
    assert_null(
        kube_pod_parse(&arena, json_of("{'metadata':{'uid':'u','name':'x','labels':{'k\\u001b':'v\\u0085'}}}"), &p));
    assert_true(utf8_is_clean(kube_pairs_join(&arena, &p.meta.labels)));
    struct kube_class c;
    assert_null(kube_class_parse(
        &arena,
        json_of(
            "{'metadata':{'uid':'u','name':'x'},'parameters':{'\\u001b':'\\u001b'},'mountOptions':['\\u001b','a']}"),
        &c));
    assert_true(utf8_is_clean(kube_pairs_join(&arena, &c.parameters)));
    assert_true(utf8_is_clean(c.mount_options));
}

#define MANAGED(name, time, fields, more)                                                                              \
    "{'manager':'" name "','operation':'Update','time':'" time "','fieldsV1':{" fields "}" more "}"

static void test_manager(void **state) {
    (void)state;
    static const struct {
        const char *fields, *want;
    } cases[] = {
        {MANAGED("helm", "2026-01-01T00:00:00Z", "'f:spec':{'f:accessModes':{}}",
                 "") "," MANAGED("kcm", "2026-01-02T00:00:00Z", "'f:spec':{'f:volumeName':{}}", ""),
         "helm"},
        {MANAGED("helm", "2026-01-01T00:00:00Z", "'f:spec':{'f:a':{}}",
                 "") "," MANAGED("kubectl-edit", "2026-01-02T00:00:00Z", "'f:spec':{'f:b':{}}", ""),
         "kubectl-edit"},
        {MANAGED("late", "2026-01-03T00:00:00Z", "'f:spec':{'f:a':{}}", "") "," MANAGED("early", "2026-01-02T00:00:00Z",
                                                                                        "'f:spec':{'f:b':{}}", ""),
         "late"},
        {MANAGED("helm", "2026-01-01T00:00:00Z", "'f:spec':{'f:a':{}}", "") "," MANAGED(
             "scaler", "2026-01-02T00:00:00Z", "'f:spec':{'f:replicas':{}}", ",'subresource':'scale'"),
         "helm"},
        {MANAGED("x", "2026-01-01T00:00:00Z", "'f:metadata':{}", ""), NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct kube_meta m;
        char *text = str_printf("{'metadata':{'uid':'u','name':'x','managedFields':[%s]}}", cases[i].fields);
        assert_null(kube_meta_parse(&arena, json_of(text), &m));
        assert_slice(m.manager, cases[i].want);
        mem_free(text);
    }
}

static void test_owner(void **state) {
    (void)state;
    static const struct {
        const char *kind, *name, *hash, *want;
    } cases[] = {
        {"ReplicaSet", "web-5d4f", "5d4f", "Deployment/web"},
        {"ReplicaSet", "web-5d4f", "other", "ReplicaSet/web-5d4f"},
        {"ReplicaSet", "5d4f", "5d4f", "ReplicaSet/5d4f"},
        {"ReplicaSet", "-5d4f", "5d4f", "ReplicaSet/-5d4f"},
        {"StatefulSet", "vault", "", "StatefulSet/vault"},
        {"Job", "j", "", "Job/j"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct kube_pod p;
        char *text = str_printf("{'metadata':{'uid':'u','name':'x','labels':{'pod-template-hash':'%s'},'"
                                "ownerReferences':[{'kind':'Other','name':'no'},"
                                "{'kind':'%s','name':'%s','controller':true}]}}",
                                cases[i].hash, cases[i].kind, cases[i].name);
        assert_null(kube_pod_parse(&arena, json_of(text), &p));
        assert_slice(p.owner, cases[i].want);
        mem_free(text);
    }
}

static void test_database_images(void **state) {
    (void)state;
    static const struct {
        const char *image;
        bool is;
    } cases[] = {
        {"postgres:16", true},
        {"ghcr.io/tensorchord/pgvecto-rs:pg16-v0.3.0", true},
        {"docker.io/library/postgres@sha256:0", true},
        {"registry.example:5000/team/redis", true},
        {"hashicorp/vault:1.18.1", true},
        {"quay.io/openbao/openbao:2", true},
        {"nginx:1-postgres", false},
        {"postgres.example.com/web/app:1", false},
        {"prometheuscommunity/postgres-exporter", false},
        {"hashicorp/vault-k8s-injector:1", false},
        {"prodrigestivill/postgres-backup-local", false},
        {"", false},
        {"/", false},
        {":", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct kube_pod p;
        char *text =
            str_printf("{'metadata':{'uid':'u','name':'x'},'spec':{'containers':[{'image':'%s'}]}}", cases[i].image);
        assert_null(kube_pod_parse(&arena, json_of(text), &p));
        if ((p.spec.database_image.n > 0) != cases[i].is) fail_msg("%s", cases[i].image);
        mem_free(text);
    }
}

static void test_pods(void **state) {
    (void)state;
    struct kube_pod p;
    assert_null(kube_pod_parse(&arena,
                               json_of("{'metadata':{'uid':'u','name':'web-0'},'spec':{'initContainers':[{'name':'i'},{"
                                       "'name':'side','restartPolicy':'Always'}],"
                                       "'containers':[{'name':'a','image':'x'},{'name':'b'}],'volumes':[{'name':'v','"
                                       "persistentVolumeClaim':{'claimName':'c'}},"
                                       "{'name':'w','persistentVolumeClaim':{'claimName':'c'}},{'name':'tmp','"
                                       "ephemeral':{'volumeClaimTemplate':{}}}]},"
                                       "'status':{'phase':'Running','initContainerStatuses':[{'ready':true,'"
                                       "restartCount':0,'state':{'terminated':{'exitCode':0,"
                                       "'reason':'Completed'}}},{'ready':true,'restartCount':1,'state':{'running':{'"
                                       "startedAt':'2026-01-01T00:00:00Z'}}}],"
                                       "'containerStatuses':[{'ready':true,'restartCount':2,'state':{'running':{'"
                                       "startedAt':'2026-01-01T00:01:00Z'}}},"
                                       "{'ready':false,'restartCount':4,'state':{'waiting':{'reason':'CrashLoopBackOff'"
                                       ",'message':'back-off'}}}]}}"),
                               &p));
    assert_int_equal(p.spec.containers, 3);
    assert_int_equal(p.ready, 2);
    assert_int_equal(p.restarts, 7);
    assert_int_equal(p.started, INT64_C(1767225660000));
    assert_slice(p.reason, "CrashLoopBackOff");
    assert_slice(kube_texts_join(&arena, &p.spec.claims), "c, web-0-tmp");
    assert_null(kube_pod_parse(&arena,
                               json_of("{'metadata':{'uid':'u','name':'x'},'status':{'phase':'Failed','conditions':[{'"
                                       "type':'PodScheduled','status':'True'}],"
                                       "'reason':'Evicted'}}"),
                               &p));
    assert_slice(p.reason, "Evicted");
}

static void test_small_kinds(void **state) {
    (void)state;
    struct kube_endpoints e;
    assert_null(kube_endpoints_parse(&arena,
                                     json_of("{'metadata':{'uid':'u','name':'x','labels':{'kubernetes.io/"
                                             "service-name':'web'}},'endpoints':[{'addresses':['10.0.0.1'],"
                                             "'conditions':{'ready':true},'targetRef':{'name':'p'}},{'addresses':['10."
                                             "0.0.2'],'conditions':{'ready':false}},"
                                             "{'addresses':['10.0.0.3'],'conditions':{}},{'addresses':null}],'ports':[{"
                                             "'name':'http','port':80},{'name':'','port':81},{}]}"),
                                     &e));
    assert_slice(e.service, "web");
    assert_slice(e.ready, "10.0.0.1 (p), 10.0.0.3");
    assert_slice(e.not_ready, "10.0.0.2");
    assert_slice(e.ports, "http 80, 81");
    struct kube_budget b;
    assert_null(kube_pdb_parse(&arena,
                               json_of("{'metadata':{'uid':'u','name':'x'},'status':{'disruptionsAllowed':0,'"
                                       "currentHealthy':2,'desiredHealthy':2,'expectedPods':3}}"),
                               &b));
    assert_true(b.blocked);
    assert_slice(b.summary, "0 allowed, 2 of 3 healthy, 2 wanted");
    assert_null(kube_quota_parse(&arena,
                                 json_of("{'metadata':{'uid':'u','name':'x'},'status':{'hard':{'pods':'10','requests."
                                         "storage':'10Gi'},'used':{'pods':'3','requests.storage':'10Gi'}}}"),
                                 &b));
    assert_true(b.exceeded);
    assert_slice(b.summary, "pods 3 of 10, requests.storage 10Gi of 10Gi");
    assert_null(
        kube_quota_parse(&arena, json_of("{'metadata':{'uid':'u','name':'x'},'status':{'hard':{'pods':'10'}}}"), &b));
    assert_slice(b.summary, "pods ? of 10");
    assert_null(kube_hpa_parse(&arena,
                               json_of("{'metadata':{'uid':'u','name':'x'},'spec':{'scaleTargetRef':{'kind':'"
                                       "Deployment','name':'d'},'minReplicas':null,'maxReplicas':4}}"),
                               &b));
    assert_slice(b.summary, "1-4 replicas, now 0, of Deployment/d");
    struct kube_attachment a;
    assert_null(kube_attachment_parse(&arena,
                                      json_of("{'metadata':{'uid':'u','name':'x'},'spec':{'attacher':'d','nodeName':'n'"
                                              ",'source':{'persistentVolumeName':'v'}},'status':"
                                              "{'attached':false,'attachError':{'message':'no\\nroom'}}}"),
                                      &a));
    assert_slice(a.attach_error, "no room");
}

static void test_arena(void **state) {
    (void)state;
    struct kube_arena a = {0};
    char *first = kube_arena_alloc(&a, 100), *huge = kube_arena_alloc(&a, 1000000), *next = kube_arena_alloc(&a, 0);
    memset(huge, 1, 1000000);
    memset(first, 2, 100);
    assert_non_null(next);
    for (int i = 0; i < 5000; i++) assert_int_equal((uintptr_t)kube_arena_alloc(&a, 17) % 16, 0);
    assert_int_equal(first[99], 2);
    kube_arena_reset(&a);
    assert_ptr_equal(kube_arena_alloc(&a, 1), first); /* the block is used again */
    kube_arena_free(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused),      cmocka_unit_test(test_wrong_types),     cmocka_unit_test(test_quantities),
        cmocka_unit_test(test_annotations),  cmocka_unit_test(test_hostile_text),    cmocka_unit_test(test_manager),
        cmocka_unit_test(test_owner),        cmocka_unit_test(test_database_images), cmocka_unit_test(test_pods),
        cmocka_unit_test(test_small_kinds),  cmocka_unit_test(test_arena),
    };
    return cmocka_run_group_tests(tests, NULL, teardown);
}
