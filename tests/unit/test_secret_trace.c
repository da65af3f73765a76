/* Where Secrets come from: documents, and the questions one after another to a server that knows some of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/json_doc.h"
#include "base/mem.h"
#include "base/str.h"
#include "migrate/secret_trace.h"
#include "tests/unit/op_stage.h"

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

static void put(struct op_stage *w, const char *path, const char *text) {
    char *p = mem_strdup(text);
    for (char *q = p; *q; q++)
        if (*q == '\'') *q = '"';
    op_stage_put(w, path, p);
    mem_free(p);
}

/* ---- Documents ---- */

static void test_class(void **state) {
    struct trace_list l = {.n = 0};
    (void)state;
    struct json_t *class = doc_of("{'metadata':{'name':'luks'},'parameters':{'csi.storage.k8s.io/node-stage-secret-name':'pass','csi.storage.k8s.io/"
                                  "node-stage-secret-namespace':'csi','csi.storage.k8s.io/node-expand-secret-name':'pass','csi.storage.k8s.io/"
                                  "node-expand-secret-namespace':'csi','csi.storage.k8s.io/provisioner-secret-name':'of-${pvc.name}','csi.storage.k8s.io/"
                                  "provisioner-secret-namespace':'${pvc.namespace}','storage':'lvm'}}");
    trace_add_class(&l, class, "vault", "data-vault-0");
    assert_int_equal(l.n, 2); /* the same one for two purposes is one */
    assert_string_equal(l.list[0].ns, "csi");
    assert_string_equal(l.list[0].name, "pass");
    assert_string_equal(l.list[0].what, "the node-stage secret of class luks");
    assert_string_equal(l.list[1].ns, "vault");
    assert_string_equal(l.list[1].name, "of-data-vault-0");
    jd_free(class);
}

static void test_pod(void **state) {
    struct trace_list l = {.n = 0};
    (void)state;
    struct json_t *spec = doc_of("{'volumes':[{'name':'a','secret':{'secretName':'keys'}},{'name':'b','projected':{'sources':[{'secret':{'name':'tls'}}]}},"
                                 "{'name':'c','configMap':{'name':'x'}}],'containers':[{'env':[{'name':'A','valueFrom':{'secretKeyRef':{'name':'token'}}},"
                                 "{'name':'B','value':'x'}],'envFrom':[{'secretRef':{'name':'all'}}]}]}");
    trace_add_pod(&l, spec, "vault", "a Secret of x");
    assert_int_equal(l.n, 4);
    assert_string_equal(l.list[0].name, "keys");
    assert_string_equal(l.list[3].name, "all");
    jd_free(spec);
    trace_add_pod(&l, NULL, "vault", "x");
    for (int i = 0; i < 100; i++) {
        char name[16];
        snprintf(name, sizeof name, "s%d", i);
        trace_add(&l, "x", "ns", name);
    }
    assert_int_equal(l.n, TRACES_MAX);
}

static void test_makers(void **state) {
    char kind[64], name[64];
    (void)state;
    struct json_t *d = doc_of("{'metadata':{'ownerReferences':[{'kind':'SealedSecret','name':'x'}]}}");
    assert_true(trace_maker(d, kind, sizeof kind, name, sizeof name));
    assert_string_equal(kind, "SealedSecret");
    jd_free(d);
    d = doc_of("{'metadata':{'managedFields':[{'manager':'kubectl'},{'manager':'external-secrets'}]}}");
    assert_true(trace_maker(d, kind, sizeof kind, name, sizeof name));
    assert_string_equal(kind, "ExternalSecret");
    assert_string_equal(name, "");
    jd_free(d);
    d = doc_of("{'metadata':{'labels':{'reconcile.external-secrets.io/managed':'true'}}}");
    assert_true(trace_maker(d, kind, sizeof kind, name, sizeof name));
    jd_free(d);
    d = doc_of("{'metadata':{'name':'x'}}");
    assert_false(trace_maker(d, kind, sizeof kind, name, sizeof name));
    jd_free(d);
}

static void test_services(void **state) {
    char service[64], ns[64];
    (void)state;
    assert_int_equal(trace_service("http://vault.vault.svc:8200", NULL, service, 64, ns, 64), TRACE_INSIDE);
    assert_string_equal(service, "vault");
    assert_int_equal(trace_service("https://vault-0.vault-internal.apps.svc.cluster.local:8200/v1", NULL, service, 64, ns, 64), TRACE_INSIDE);
    assert_string_equal(service, "vault-internal");
    assert_string_equal(ns, "apps");
    assert_int_equal(trace_service("http://vault.lan", NULL, service, 64, ns, 64), TRACE_PERHAPS);
    assert_int_equal(trace_service("http://vault", "here", service, 64, ns, 64), TRACE_INSIDE);
    assert_string_equal(ns, "here");
    assert_int_equal(trace_service("http://vault", NULL, service, 64, ns, 64), TRACE_OUTSIDE);
    assert_int_equal(trace_service("https://vault.example.org", "here", service, 64, ns, 64), TRACE_OUTSIDE);
    assert_int_equal(trace_service("http://10.0.0.1:8200", "here", service, 64, ns, 64), TRACE_OUTSIDE);
    assert_int_equal(trace_service("http://[fd00::1]:8200", "here", service, 64, ns, 64), TRACE_OUTSIDE);
    assert_int_equal(trace_service("http://svc", "here", service, 64, ns, 64), TRACE_INSIDE); /* a service may be called so */
    assert_int_equal(trace_service("", "here", service, 64, ns, 64), TRACE_OUTSIDE);
}

static void test_odd_stores(void **state) {
    struct trace t = {.end = TRACE_OWN};
    (void)state;
    struct json_t *d = doc_of("{'spec':{}}");
    trace_store(d, &t);
    assert_int_equal(t.end, TRACE_UNKNOWN);
    jd_free(d);
    d = doc_of("{'spec':{'provider':{'gcpsm':{'projectID':'x'}}}}");
    trace_store(d, &t);
    assert_int_equal(t.end, TRACE_STORE);
    assert_string_equal(t.provider, "gcpsm");
    assert_string_equal(t.server, "");
    jd_free(d);
}

/* ---- Questions ---- */

#define SECRETS "/api/v1/namespaces/csi/secrets"
#define GROUP "/apis/external-secrets.io/"

static struct trace_list found;

static enum op_answer keep(struct run *r, const struct trace_list *l, void *data, struct buf *reason) {
    (void)r;
    (void)data;
    found = *l;
    buf_adds(reason, "followed");
    return OP_DONE;
}

static int setup(void **state) {
    struct op_stage *w = op_stage_new(NULL, false);
    put(w, SECRETS "/pass", "{'metadata':{'name':'pass','ownerReferences':[{'kind':'ExternalSecret','name':'pass'}]},'data':{'p':'c2VjcmV0'}}");
    put(w, GROUP "v1/namespaces/csi/externalsecrets", "{'items':[{'metadata':{'name':'other'},'spec':{'secretStoreRef':{'name':'x'}}},{'metadata':{'name':'pass'},"
                                                      "'spec':{'secretStoreRef':{'name':'home','kind':'ClusterSecretStore'},'target':{'name':'pass'}}}]}");
    put(w, GROUP "v1/clustersecretstores/home", "{'metadata':{'name':'home'},'spec':{'provider':{'vault':{'server':'http://vault.vault.svc:8200','path':'kv'}}}}");
    memset(&found, 0, sizeof found);
    *state = w;
    return 0;
}

static int teardown(void **state) {
    op_stage_free(*state);
    return 0;
}

static const struct trace *follow(struct op_stage *w, const char *name) {
    struct script *s = script_new();
    struct trace_list *l = MEM_NEW(struct trace_list);
    trace_add(l, "the passphrase", "csi", name);
    script_secret_trace(s, "trace", "follow it", l, keep, NULL, NULL);
    op_stage_run(w, s);
    op_stage_assert_fine(w);
    assert_int_equal(found.n, 1);
    return &found.list[0];
}

static void said(const struct trace *t, const char *text) {
    struct buf out = {0};
    trace_say(t, &out);
    if (!strstr(buf_str(&out), text)) fail_msg("\"%s\" is not in \"%s\"", text, buf_str(&out));
    assert_null(strstr(buf_str(&out), "c2VjcmV0")); /* never a value */
    buf_free(&out);
}

static void test_to_the_store(void **state) {
    const struct trace *t = follow(*state, "pass");
    assert_int_equal(t->end, TRACE_STORE);
    assert_string_equal(t->provider, "vault");
    assert_string_equal(t->server, "http://vault.vault.svc:8200");
    said(t, "the passphrase (Secret csi/pass) comes from ExternalSecret pass → ClusterSecretStore home, vault at http://vault.vault.svc:8200");
}

static void test_older_group(void **state) {
    struct op_stage *w = *state;
    put(w, SECRETS "/old", "{'metadata':{'name':'old','labels':{'reconcile.external-secrets.io/managed':'true'}}}");
    put(w, GROUP "v1beta1/namespaces/csi/externalsecrets", "{'items':[{'metadata':{'name':'makes-old'},'spec':{'target':{'name':'old'},'data':[{'sourceRef':{"
                                                           "'storeRef':{'name':'near'}}}]}}]}");
    put(w, GROUP "v1beta1/namespaces/csi/secretstores/near", "{'spec':{'provider':{'aws':{'region':'x'}}}}");
    put(w, GROUP "v1/namespaces/csi/externalsecrets", "{'items':[]}");
    const struct trace *t = follow(w, "old"); /* v1 answers, and knows of none */
    assert_int_equal(t->end, TRACE_UNKNOWN);
    said(t, "no ExternalSecret of namespace csi writes it");
}

static void test_ends_of_the_way(void **state) {
    struct op_stage *w = *state;
    const struct trace *t = follow(w, "nowhere");
    assert_int_equal(t->end, TRACE_MISSING);
    said(t, "is not there");
    put(w, SECRETS "/plain", "{'metadata':{'name':'plain'}}");
    t = follow(w, "plain");
    assert_int_equal(t->end, TRACE_OWN);
    said(t, "comes from no store that is known");
    put(w, SECRETS "/sealed", "{'metadata':{'name':'sealed','ownerReferences':[{'kind':'SealedSecret','name':'sealed'}]}}");
    t = follow(w, "sealed");
    assert_int_equal(t->end, TRACE_OWN);
    said(t, "comes from SealedSecret sealed");
    put(w, SECRETS "/injected", "{'metadata':{'name':'injected','annotations':{'vault.security.banzaicloud.io/vault-addr':'https://vault.vault.svc:8200'}}}");
    t = follow(w, "injected");
    assert_int_equal(t->end, TRACE_STORE);
    assert_string_equal(t->server, "https://vault.vault.svc:8200");
    put(w, SECRETS "/operated", "{'metadata':{'name':'operated','ownerReferences':[{'kind':'VaultStaticSecret','name':'x'}]}}");
    t = follow(w, "operated");
    assert_int_equal(t->end, TRACE_STORE);
    said(t, "comes from VaultStaticSecret x, vault");
    put(w, SECRETS "/lost", "{'metadata':{'name':'lost','ownerReferences':[{'kind':'ExternalSecret','name':'lost'}]}}");
    t = follow(w, "lost"); /* its ExternalSecret has gone */
    assert_int_equal(t->end, TRACE_UNKNOWN);
}

static void test_what_may_not_be_read_is_not_known(void **state) {
    struct op_stage *w = *state;
    w->get_faults = 1;
    w->get_status = 403;
    const struct trace *t = follow(w, "pass");
    assert_int_equal(t->end, TRACE_UNKNOWN);
    said(t, "403");
}

static void test_given_up(void **state) {
    struct op_stage *w = *state;
    struct script *s = script_new();
    struct trace_list *l = MEM_NEW(struct trace_list);
    w->get_delay_ms = 3000;
    trace_add(l, "the passphrase", "csi", "pass");
    script_secret_trace(s, "trace", "follow it", l, keep, NULL, NULL);
    op_stage_begin(w, s);
    op_runner_free(w->runner);
    w->runner = NULL;
    assert_int_equal(found.n, 0);
}

int main(void) {
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_class), cmocka_unit_test(test_pod), cmocka_unit_test(test_makers), cmocka_unit_test(test_services),
        cmocka_unit_test(test_odd_stores), T(test_to_the_store), T(test_older_group), T(test_ends_of_the_way), T(test_what_may_not_be_read_is_not_known),
        T(test_given_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
