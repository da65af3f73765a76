/* The sandbox's label and field selectors. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/json_doc.h"
#include "sandbox/object.h"
#include "sandbox/selector.h"
#include "sandbox/store.h"

static struct store *store;
static struct version *pod;

static int set_up(void **state)
{
    struct json_t *doc = object_parse("{'metadata':{'name':'vault-0','namespace':'vault','labels':{'app':'vault','tier':"
                                      "'db'}},'spec':{'nodeName':'worker-1'},'status':{'phase':'Running'}}");

    (void)state;
    store = store_new();
    pod = store_put(store, KIND_POD, doc);
    jd_free(doc);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    store_free(store);
    return 0;
}

static bool selects(const char *labels, const char *fields)
{
    struct selector *s = NULL;

    assert_null(selector_parse(&kube_kinds[KIND_POD], labels, fields, &s));
    bool yes = selector_match(s, pod);
    selector_free(s);
    return yes;
}

static void test_labels(void **state)
{
    (void)state;
    assert_true(selects(NULL, NULL));
    assert_true(selects("", ""));
    assert_true(selects("app=vault,tier==db", NULL));
    assert_false(selects("app=vault,tier=web", NULL));
    assert_true(selects("app!=immich", NULL));
    assert_true(selects("absent!=x", NULL));
    assert_true(selects("app", NULL));
    assert_false(selects("absent", NULL));
    assert_true(selects("!absent", NULL));
    assert_true(selects("app in (immich, vault),tier notin (web)", NULL));
    assert_false(selects("app notin (vault)", NULL));
    assert_false(selects("absent in (a,b)", NULL));
}

static void test_fields(void **state)
{
    (void)state;
    assert_true(selects(NULL, "metadata.name=vault-0,spec.nodeName=worker-1"));
    assert_false(selects(NULL, "metadata.name=vault-1"));
    assert_true(selects(NULL, "status.phase!=Succeeded,status.phase!=Failed"));
    assert_true(selects("app=vault", "metadata.namespace=vault"));
    assert_true(selects(NULL, "spec.hostNetwork=false"));
}

static void test_refusals(void **state)
{
    struct selector *s = NULL;
    struct err *e = selector_parse(&kube_kinds[KIND_CLAIM], NULL, "status.phase=Bound", &s);

    (void)state;
    assert_non_null(e);
    assert_string_equal(err_text(e), "field label not supported: status.phase");
    err_free(e);
    e = selector_parse(&kube_kinds[KIND_CLAIM], "a b c", NULL, &s);
    assert_non_null(e);
    err_free(e);
    e = selector_parse(&kube_kinds[KIND_CLAIM], NULL, "metadata.name", &s);
    assert_non_null(e);
    err_free(e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_labels),
        cmocka_unit_test(test_fields),
        cmocka_unit_test(test_refusals),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
