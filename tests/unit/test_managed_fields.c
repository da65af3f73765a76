/* The sandbox's managedFields: who owns what after which write. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/json_doc.h"
#include "base/str.h"
#include "sandbox/fields.h"
#include "sandbox/object.h"

static void update(const struct json_t *before, struct json_t *now, const char *manager, const char *subresource)
{
    struct fields_author by = {.manager = manager, .operation = "Update", .subresource = subresource,
                               .api_version = "apps/v1", .time = "2026-11-22T06:00:00Z"};

    fields_update(before, now, &by);
}

static struct json_t *fields_of(const struct json_t *doc, const char *manager)
{
    struct json_t *list = jd_get(doc, "metadata.managedFields");

    for (size_t i = 0; i < jd_len(list); i++)
        if (str_eq(jd_str(jd_at(list, i), "manager"), manager))
            return jd_get(jd_at(list, i), "fieldsV1");
    return NULL;
}

static struct json_t *deployment(void)
{
    struct json_t *d = object_parse("{'metadata':{'name':'x','labels':{'a':'1'}},'spec':{'replicas':1,'template':{'spec':{"
                                    "'containers':[{'name':'c','image':'i'}]}}}}");

    update(NULL, d, "helm", NULL);
    return d;
}

static void test_creator_owns_all(void **state)
{
    struct json_t *d = deployment(), *f = fields_of(d, "helm");
    struct json_t *c = jd_get(f, "f:spec.f:template.f:spec.f:containers");

    (void)state;
    assert_non_null(jd_get(f, "f:metadata.f:labels.f:a"));
    assert_non_null(jd_get(f, "f:spec.f:replicas"));
    assert_non_null(jd_member(jd_member(c, "k:{\"name\":\"c\"}"), "f:image"));
    jd_free(d);
}

static void test_writer_takes_over_what_he_changes(void **state)
{
    struct json_t *old = deployment(), *d = jd_copy(old);

    (void)state;
    jd_put(d, "spec.replicas", jd_int(3));
    update(old, d, "kubectl", NULL);
    assert_non_null(jd_get(fields_of(d, "kubectl"), "f:spec.f:replicas"));
    assert_null(jd_get(fields_of(d, "helm"), "f:spec.f:replicas"));
    assert_non_null(jd_get(fields_of(d, "helm"), "f:spec.f:template"));
    assert_null(jd_get(fields_of(d, "kubectl"), "f:spec.f:template"));
    jd_free(old);
    jd_free(d);
}

static void test_nothing_changed_nothing_noted(void **state)
{
    struct json_t *old = deployment(), *d = jd_copy(old);

    (void)state;
    update(old, d, "kubectl", NULL);
    assert_null(fields_of(d, "kubectl"));
    jd_free(old);
    jd_free(d);
}

static void test_status_is_an_entry_of_its_own(void **state)
{
    struct json_t *old = deployment(), *d = jd_copy(old);

    (void)state;
    jd_put(d, "status.replicas", jd_int(1));
    update(old, d, "kcm", NULL);
    assert_null(fields_of(d, "kcm"));
    update(old, d, "kcm", "status");
    assert_non_null(jd_get(fields_of(d, "kcm"), "f:status.f:replicas"));
    jd_free(old);
    jd_free(d);
}

static void test_apply_conflicts_name_the_owner(void **state)
{
    struct json_t *d = deployment(), *want = object_parse("{'metadata':{'name':'x'},'spec':{'replicas':5}}");
    char *manager = NULL, *path = NULL;

    (void)state;
    assert_true(fields_conflict(want, d, "ferryman", &manager, &path));
    assert_string_equal(manager, "helm");
    assert_string_equal(path, ".spec.replicas");
    free(manager);
    free(path);
    manager = path = NULL;
    assert_false(fields_conflict(want, d, "helm", &manager, &path));
    jd_put(want, "spec.replicas", jd_int(1));
    assert_false(fields_conflict(want, d, "ferryman", &manager, &path));
    jd_free(want);
    jd_free(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_creator_owns_all),
        cmocka_unit_test(test_writer_takes_over_what_he_changes),
        cmocka_unit_test(test_nothing_changed_nothing_noted),
        cmocka_unit_test(test_status_is_an_entry_of_its_own),
        cmocka_unit_test(test_apply_conflicts_name_the_owner),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
