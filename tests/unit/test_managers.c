/* Who has a hand in an object, and who owns a field of it. */
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
#include "migrate/managers.h"
#include "world/world.h"

static struct json_t *doc_of(const char *text)
{
    struct json_t *d = NULL;
    assert_null(jd_parse(text, strlen(text), "test", &d));
    return d;
}

static const struct manager *find(const struct manager *m, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (str_eq(m[i].name, name))
            return &m[i];
    return NULL;
}

/* One manager and nothing else. */
static void assert_manager(const char *object, const char *name, unsigned deeds)
{
    struct manager m[MANAGERS_MAX];
    struct json_t *d = doc_of(object);
    size_t n = managers_of(d, m);
    if (n != 1 || !str_eq(m[0].name, name) || m[0].deeds != deeds)
        fail_msg("%s: %zu managers, the first %s", object, n, n ? m[0].name : "");
    jd_free(d);
}

static void test_labels_and_annotations(void **state)
{
    (void)state;
    assert_manager("{\"metadata\":{\"annotations\":{\"argocd.argoproj.io/tracking-id\":\"immich:apps/Deployment:immich/x\"}}}",
                   "Argo CD", MANAGER_REVERTS);
    assert_manager("{\"metadata\":{\"labels\":{\"kustomize.toolkit.fluxcd.io/name\":\"apps\"}}}", "Flux", MANAGER_REVERTS);
    assert_manager("{\"metadata\":{\"labels\":{\"helm.toolkit.fluxcd.io/name\":\"immich\"}}}", "Flux", MANAGER_REVERTS);
    assert_manager("{\"metadata\":{\"labels\":{\"app.kubernetes.io/managed-by\":\"Helm\"},\"annotations\":{"
                   "\"meta.helm.sh/release-name\":\"immich\"}}}",
                   "Helm", MANAGER_UPGRADES);
    assert_manager("{\"metadata\":{\"annotations\":{\"reloader.stakater.com/auto\":\"true\"}}}", "Reloader", MANAGER_RESTARTS);
    assert_manager("{\"spec\":{\"template\":{\"metadata\":{\"annotations\":{\"keel.sh/policy\":\"minor\"}}}}}", "Keel",
                   MANAGER_RESTARTS);
    assert_manager("{\"metadata\":{\"managedFields\":[{\"manager\":\"HashiCorp\"},{\"manager\":\"Terraform-x\"}]}}", "Terraform",
                   MANAGER_UPGRADES);
    assert_manager("{\"metadata\":{\"managedFields\":[{\"manager\":\"argocd-controller\"}]}}", "Argo CD", MANAGER_REVERTS);
}

static void test_nobody(void **state)
{
    static const char *const objects[] = {
        "{}",
        "{\"metadata\":{\"labels\":{\"app\":\"x\",\"app.kubernetes.io/managed-by\":\"ferryman\"}}}",
        "{\"metadata\":{\"annotations\":{\"reloader.stakater.com/auto\":\"false\",\"deployment.kubernetes.io/revision\":\"3\"}}}",
        "{\"metadata\":{\"managedFields\":[{\"manager\":\"kubectl-client-side-apply\"},{\"manager\":7},{}]}}",
        "{\"metadata\":{\"labels\":[1],\"annotations\":\"x\",\"managedFields\":{}}}",
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(objects); i++) {
        struct manager m[MANAGERS_MAX];
        struct json_t *d = doc_of(objects[i]);
        assert_int_equal(managers_of(d, m), 0);
        jd_free(d);
    }
}

static void test_several_and_text(void **state)
{
    struct manager m[MANAGERS_MAX];
    struct buf text = {0};
    struct json_t *d = doc_of("{\"metadata\":{\"annotations\":{\"argocd.argoproj.io/tracking-id\":\"a\\u001b[31m\",\"keel.sh/policy\":"
                              "\"all\"},\"managedFields\":[{\"manager\":\"helm\"}]}}");
    (void)state;
    size_t n = managers_of(d, m);
    assert_int_equal(n, 3);
    assert_non_null(find(m, n, "Argo CD"));
    assert_non_null(find(m, n, "Keel"));
    manager_text(find(m, n, "Argo CD"), &text);
    assert_null(strchr(buf_str(&text), 0x1b));
    assert_non_null(strstr(buf_str(&text), "puts it back to what it has on file"));
    buf_free(&text);
    jd_free(d);
}

static void test_scaling(void **state)
{
    struct manager m[MANAGERS_MAX];
    struct json_t *d = doc_of(
        "{\"items\":[{\"metadata\":{\"name\":\"a\"},\"spec\":{\"scaleTargetRef\":{\"kind\":\"Deployment\",\"name\":\"immich\"}}},"
        "{\"metadata\":{\"name\":\"b\"},\"spec\":{\"scaleTargetRef\":{\"kind\":\"Deployment\",\"name\":\"other\"}}},"
        "{\"metadata\":{\"name\":\"c\"},\"spec\":{\"targetRef\":{\"kind\":\"Deployment\",\"name\":\"immich\"}}},"
        "{\"metadata\":{\"name\":\"d\"},\"spec\":{\"scaleTargetRef\":{\"name\":\"immich\"},\"triggers\":[]}},"
        "{\"metadata\":{\"name\":\"e\"},\"spec\":{\"scaleTargetRef\":{\"kind\":\"StatefulSet\",\"name\":\"immich\"}}},7,{}]}");
    (void)state;
    size_t n = managers_scaling(d, "Deployment", "immich", m, 0);
    assert_int_equal(n, 3);
    assert_true(find(m, n, "a VerticalPodAutoscaler")->deeds & MANAGER_RESTARTS);
    assert_non_null(find(m, n, "a HorizontalPodAutoscaler"));
    assert_non_null(find(m, n, "KEDA"));
    assert_int_equal(managers_scaling(NULL, "Deployment", "immich", m, n), n);
    jd_free(d);
}

static void add_row(struct world *w, enum world_table t, const char *key, int ns, int name, int text, const char *name_text,
                    const char *value)
{
    struct cell cells[WORLD_COLS_MAX];
    for (size_t i = 0; i < WORLD_COLS_MAX; i++)
        cells[i] = CELL_NONE;
    cells[ns] = cell_text("kube-system");
    cells[name] = cell_text(name_text);
    cells[text] = cell_text(value);
    world_upsert(w, t, slice_of(key), "kube/x", cells);
}

static void test_running(void **state)
{
    struct manager m[MANAGERS_MAX];
    struct world *w = world_new();
    (void)state;
    assert_int_equal(managers_running(w, m, 0), 0);
    add_row(w, T_WORKLOADS, "1", WORKLOADS_NAMESPACE, WORKLOADS_NAME, WORKLOADS_IMAGE, "restarter", "ghcr.io/stakater/reloader:v1");
    add_row(w, T_WORKLOADS, "2", WORKLOADS_NAMESPACE, WORKLOADS_NAME, WORKLOADS_IMAGE, "immich-server", "ghcr.io/immich-app/immich");
    add_row(w, T_PODS, "3", PODS_NAMESPACE, PODS_NAME, PODS_OWNER, "kured-x7f2", "DaemonSet/kured");
    add_row(w, T_PODS, "4", PODS_NAMESPACE, PODS_NAME, PODS_OWNER, "descheduler-x7f2", "Deployment/descheduler");
    size_t n = managers_running(w, m, 0);
    assert_int_equal(n, 2);
    assert_non_null(find(m, n, "Reloader"));
    assert_true(find(m, n, "kured")->deeds & MANAGER_MOVES);
    assert_string_equal(find(m, n, "kured")->evidence, "kured-x7f2 in kube-system");
    world_free(w);
}

/* ---- Owners of fields -------------------------------------------------------------------------------------------- */

#define DEPLOYMENT                                                                                                            \
    "{\"metadata\":{\"managedFields\":["                                                                                      \
    "{\"manager\":\"helm\",\"time\":\"2026-11-20T00:00:00Z\",\"fieldsV1\":{\"f:spec\":{\"f:replicas\":{},\"f:template\":{"     \
    "\"f:spec\":{\"f:volumes\":{\".\":{},\"k:{\\\"name\\\":\\\"data\\\"}\":{\".\":{},\"f:persistentVolumeClaim\":{\".\":{},"  \
    "\"f:claimName\":{}}}}}}}}},"                                                                                             \
    "{\"manager\":\"kubectl\",\"time\":\"2026-11-22T00:00:00Z\",\"subresource\":\"scale\",\"fieldsV1\":{\"f:spec\":{"         \
    "\"f:replicas\":{}}}},"                                                                                                   \
    "{\"manager\":\"mallory\",\"time\":\"2026-11-21T00:00:00Z\",\"fieldsV1\":{\"f:spec\":{\"f:selector\":{},\"f:template\":{" \
    "\"f:spec\":{\"f:volumes\":{\"k:{\\\"name\\\":\\\"cache\\\"}\":{\"f:emptyDir\":{}}}}}}}},"                                 \
    "{\"manager\":\"kube-controller-manager\",\"time\":\"2026-11-22T01:00:00Z\",\"subresource\":\"status\",\"fieldsV1\":{"    \
    "\"f:status\":{}}}]},"                                                                                                    \
    "\"spec\":{\"replicas\":2,\"selector\":{\"a/b~c\":1},\"template\":{\"spec\":{\"volumes\":[{\"name\":\"cache\",\"emptyDir\":{}},"         \
    "{\"name\":\"data\",\"persistentVolumeClaim\":{\"claimName\":\"x\"}}]}}}}"

static void assert_owner(const struct json_t *d, const char *pointer, const char *owner)
{
    struct buf text = {0};
    managers_owner(d, pointer, &text);
    if (!str_eq(buf_str(&text), owner))
        fail_msg("%s is owned by \"%s\", not by \"%s\"", pointer, buf_str(&text), owner);
    assert_true(managers_owner_is(d, pointer, owner));
    buf_free(&text);
}

static void test_owners(void **state)
{
    struct json_t *d = doc_of(DEPLOYMENT);
    (void)state;
    assert_owner(d, "/spec/replicas", "kubectl");
    assert_owner(d, "/spec/template/spec/volumes/1/persistentVolumeClaim/claimName", "helm");
    assert_owner(d, "/spec/template/spec/volumes/0/emptyDir", "mallory");
    assert_owner(d, "/spec/selector/a~1b~0c", "mallory"); /* a leaf above it: owned whole */
    assert_owner(d, "/spec/paused", "mallory");           /* nobody's: who wrote last, but status and scale */
    jd_free(d);
    d = doc_of("{\"spec\":{}}");
    assert_owner(d, "/spec/replicas", "");
    jd_free(d);
    d = doc_of("{\"metadata\":{\"managedFields\":[{\"manager\":\"x\",\"fieldsV1\":{\"f:spec\":7}},3,{\"fieldsV1\":[]}]}}");
    assert_owner(d, "/spec/replicas", "x");
    jd_free(d);
}

static void test_pointers(void **state)
{
    struct json_t *d = doc_of(DEPLOYMENT);
    (void)state;
    assert_int_equal(jd_int_value(managers_field(d, "/spec/replicas"), 0), 2);
    assert_int_equal(jd_int_value(managers_field(d, "/spec/selector/a~1b~0c"), 0), 1);
    assert_string_equal(jd_string_value(managers_field(d, "/spec/template/spec/volumes/1/name")), "data");
    assert_null(managers_field(d, "/spec/template/spec/volumes/2/name"));
    assert_null(managers_field(d, "/spec/template/spec/volumes/-1"));
    assert_null(managers_field(d, "/spec/replicas/x"));
    assert_null(managers_field(d, "/no"));
    assert_ptr_equal(managers_field(d, ""), d);
    jd_free(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_labels_and_annotations), cmocka_unit_test(test_nobody), cmocka_unit_test(test_several_and_text),
        cmocka_unit_test(test_scaling), cmocka_unit_test(test_running), cmocka_unit_test(test_owners),
        cmocka_unit_test(test_pointers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
