/* The sandbox's object store: order, versions, the ring of history. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/json_doc.h"
#include "sandbox/object.h"
#include "sandbox/store.h"

static void put(struct store *st, const char *ns, const char *name, const char *value)
{
    struct json_t *doc = object_parse("{'metadata':{'name':'%s','namespace':'%s'},'data':{'v':'%s'}}", name, ns, value);

    store_put(st, KIND_CONFIGMAP, doc);
    jd_free(doc);
}

static void test_sorted_and_found(void **state)
{
    struct store *st = store_new();
    size_t count, from, to;

    (void)state;
    put(st, "b", "y", "1");
    put(st, "a", "z", "1");
    put(st, "b", "x", "1");
    put(st, "a-b", "q", "1"); /* sorts between "a/" and "b/" but is not in namespace a */
    struct version *const *all = store_all(st, KIND_CONFIGMAP, &count);
    assert_int_equal(count, 4);
    for (size_t i = 1; i < count; i++)
        assert_true(strcmp(version_key(all[i - 1]), version_key(all[i])) < 0);
    store_range(st, KIND_CONFIGMAP, "b", &from, &to);
    assert_int_equal(to - from, 2);
    store_range(st, KIND_CONFIGMAP, "a", &from, &to);
    assert_int_equal(to - from, 1);
    assert_string_equal(version_name(all[from]), "z");
    assert_non_null(store_get(st, KIND_CONFIGMAP, "b", "x"));
    assert_null(store_get(st, KIND_CONFIGMAP, "b", "z"));
    assert_null(store_get(st, KIND_SECRET, "b", "x"));
    store_free(st);
}

static void test_versions_rise_and_old_bytes_stay(void **state)
{
    struct store *st = store_new();

    (void)state;
    put(st, "a", "x", "old");
    struct version *old = version_ref(store_get(st, KIND_CONFIGMAP, "a", "x"));
    put(st, "a", "x", "new");
    struct version *now = store_get(st, KIND_CONFIGMAP, "a", "x");
    assert_true(now->rv > old->rv);
    assert_true(slice_contains(version_json(old), "old"));
    assert_true(slice_contains(version_json(now), "new"));
    assert_true(slice_contains(version_json(now), "\"resourceVersion\":\"2\""));
    version_unref(old);
    store_free(st);
}

static void test_ring_tells_what_happened(void **state)
{
    struct store *st = store_new();

    (void)state;
    put(st, "a", "x", "1");
    put(st, "a", "x", "2");
    store_del(st, KIND_CONFIGMAP, "a", "x", NULL);
    store_del(st, KIND_CONFIGMAP, "a", "x", NULL); /* gone already: nothing happens */
    assert_int_equal(store_ring_end(st, KIND_CONFIGMAP), 3);
    assert_int_equal(store_ring_at(st, KIND_CONFIGMAP, 0)->type, CHANGE_ADDED);
    const struct change_event *mod = store_ring_at(st, KIND_CONFIGMAP, 1);
    assert_int_equal(mod->type, CHANGE_MODIFIED);
    assert_true(slice_contains(version_json(mod->before), "\"v\":\"1\""));
    const struct change_event *del = store_ring_at(st, KIND_CONFIGMAP, 2);
    assert_int_equal(del->type, CHANGE_DELETED);
    assert_int_equal(del->rv, 3);
    assert_true(slice_contains(version_json(del->now), "\"resourceVersion\":\"3\""));
    assert_int_equal(store_ring_after(st, KIND_CONFIGMAP, 1), 1);
    assert_int_equal(store_ring_after(st, KIND_CONFIGMAP, 3), 3);
    store_compact(st);
    assert_int_equal(store_oldest_rv(st, KIND_CONFIGMAP), 3);
    assert_int_equal(store_ring_first(st, KIND_CONFIGMAP), 3);
    store_free(st);
}

static void test_ring_is_bounded(void **state)
{
    struct store *st = store_new();
    char value[16];

    (void)state;
    for (int i = 0; i < 20000; i++) {
        snprintf(value, sizeof value, "%d", i);
        put(st, "a", "x", value);
    }
    uint64_t held = store_ring_end(st, KIND_CONFIGMAP) - store_ring_first(st, KIND_CONFIGMAP);
    assert_int_equal(held, 16384);
    uint64_t oldest = store_oldest_rv(st, KIND_CONFIGMAP);
    assert_int_equal(store_ring_at(st, KIND_CONFIGMAP, store_ring_first(st, KIND_CONFIGMAP))->rv, oldest + 1);
    store_free(st);
}

static void test_metadata_in_the_apis_order(void **state)
{
    struct store *st = store_new();
    struct json_t *doc = object_parse("{'spec':{},'kind':'ConfigMap','metadata':{'labels':{'b':'1','a':'2'},'annotations':{},"
                                      "'namespace':'n','name':'x'}}");

    (void)state;
    struct slice json = version_json(store_put(st, KIND_CONFIGMAP, doc));
    const char *want = "{\"metadata\":{\"name\":\"x\",\"namespace\":\"n\",\"resourceVersion\":\"1\",\"labels\":{\"a\":\"2\","
                       "\"b\":\"1\"}},\"spec\":{}}";
    assert_int_equal(json.n, strlen(want));
    assert_memory_equal(json.p, want, json.n);
    jd_free(doc);
    store_free(st);
}

static void test_templates_escape_what_is_put_in(void **state)
{
    struct json_t *doc = object_parse("{'a':'%s','b':%s,'c':%lld,'d':'%.3s'}", "x\"}'\n", "['q']", 7LL, "abcdef");

    (void)state;
    assert_string_equal(jd_str(doc, "a"), "x\"}'\n");
    assert_string_equal(jd_str(doc, "b.0"), "q");
    assert_int_equal(jd_num(doc, "c", 0), 7);
    assert_string_equal(jd_str(doc, "d"), "abc");
    jd_free(doc);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sorted_and_found),
        cmocka_unit_test(test_versions_rise_and_old_bytes_stay),
        cmocka_unit_test(test_ring_tells_what_happened),
        cmocka_unit_test(test_ring_is_bounded),
        cmocka_unit_test(test_metadata_in_the_apis_order),
        cmocka_unit_test(test_templates_escape_what_is_put_in),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
