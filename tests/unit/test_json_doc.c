#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/json_doc.h"
#include "base/mem.h"

static struct json_t *parsed(const char *text)
{
    struct json_t *d = NULL;

    assert_null(jd_parse(text, strlen(text), "text", &d));
    return d;
}

static void expect_dump(const struct json_t *d, const char *want)
{
    struct buf out = {0};

    jd_dump(d, &out);
    assert_string_equal(buf_str(&out), want);
    buf_free(&out);
}

static void test_parse_and_dump(void **state)
{
    static const char text[] = "{\"z\":1,\"a\":[true,null,\"x\\u0000y\",0.25],\"m\":{\"caf\303\251\":-3}}";
    struct json_t *d = parsed(text);
    struct buf out = {0};

    (void)state;
    expect_dump(d, text);
    jd_free(d);
    d = parsed("{\"a\":[1]}");
    jd_dump_pretty(d, &out);
    assert_string_equal(out.p, "{\n  \"a\": [\n    1\n  ]\n}");
    buf_free(&out);
    jd_free(d);
    d = parsed(" 12 ");
    assert_int_equal(jd_int_value(d, 0), 12);
    jd_free(d);
    expect_dump(NULL, "null");
}

static void test_parse_errors(void **state)
{
    static const char *const bad[] = {"", "{", "{\"a\":}", "[1] x", "{\"a\":\"\377\"}", "99999999999999999999"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct json_t *d = NULL;
        struct err *e = jd_parse(bad[i], strlen(bad[i]), "reply", &d);

        assert_non_null(e);
        assert_null(d);
        assert_int_equal(err_kind(e), ERR_PROTOCOL);
        assert_ptr_equal(strstr(err_text(e), "reply: malformed JSON at line 1, column "), err_text(e));
        err_free(e);
    }
}

static void test_get(void **state)
{
    struct json_t *d = parsed("{\"metadata\":{\"name\":\"a\",\"annotations\":{\"x.io/y\":\"v\"}},\"n\":7,\"on\":true,"
                              "\"list\":[{\"k\":1},{\"k\":2}],\"nil\":null}");

    (void)state;
    assert_string_equal(jd_str(d, "metadata.name"), "a");
    assert_null(jd_str(d, "n"));
    assert_null(jd_str(d, "metadata.nothing.deeper"));
    assert_null(jd_str(NULL, "a"));
    assert_int_equal(jd_num(d, "n", 0), 7);
    assert_int_equal(jd_num(d, "list.1.k", 0), 2);
    assert_int_equal(jd_num(d, "list.2.k", -1), -1);
    assert_int_equal(jd_num(d, "list.-1.k", -1), -1);
    assert_int_equal(jd_num(d, "list.x.k", -1), -1);
    assert_int_equal(jd_num(d, "metadata.name", -1), -1);
    assert_true(jd_flag(d, "on", false));
    assert_true(jd_flag(d, "n", true));
    assert_string_equal(jd_string_value(jd_member(jd_get(d, "metadata.annotations"), "x.io/y")), "v");
    assert_null(jd_get(d, "metadata.annotations.x.io/y"));
    assert_null(jd_member(jd_get(d, "list"), "k"));
    assert_true(jd_is_null(jd_get(d, "nil")));
    assert_false(jd_is_null(jd_get(d, "absent")));
    assert_true(jd_is_object(d) && jd_is_array(jd_get(d, "list")) && jd_is_string(jd_get(d, "metadata.name")));
    assert_int_equal(jd_len(d), 5);
    assert_int_equal(jd_len(jd_get(d, "list")), 2);
    assert_int_equal(jd_len(jd_get(d, "n")), 0);
    assert_int_equal(jd_num(jd_at(jd_get(d, "list"), 0), "k", 0), 1);
    assert_null(jd_at(jd_get(d, "list"), 2));
    assert_true(jd_bool_value(jd_get(d, "on"), false));
    assert_false(jd_bool_value(NULL, false));
    jd_free(d);
}

static void test_build(void **state)
{
    struct json_t *d = jd_object(), *list = jd_array();

    (void)state;
    jd_set(d, "s", jd_string("text"));
    jd_set(d, "none", jd_string(NULL));
    jd_set(d, "s", jd_string("other"));
    jd_put(d, "a.b.c", jd_int(1));
    jd_put(d, "a.b.d", jd_bool(false));
    jd_put(d, "s.t", jd_null());
    jd_append(list, jd_int(2));
    jd_append(list, jd_int(4));
    jd_insert_at(list, 1, jd_int(3));
    jd_insert_at(list, 0, jd_int(1));
    jd_set_at(list, 3, jd_object());
    jd_remove_at(list, 1);
    jd_set(d, "list", list);
    jd_put(d, "list.2.in", jd_int(9));
    jd_put(d, "list.7.in", jd_int(9));
    jd_put(d, "list.x", jd_int(9));
    jd_del(d, "none");
    jd_del(d, "never there");
    expect_dump(d, "{\"s\":{\"t\":null},\"a\":{\"b\":{\"c\":1,\"d\":false}},\"list\":[1,3,{\"in\":9}]}");
    jd_free(d);
}

static void test_setters_refuse_other_types(void **state)
{
    struct json_t *d = jd_int(1);

    (void)state;
    jd_set(d, "a", jd_int(2));
    jd_put(d, "a.b", jd_int(2));
    jd_append(d, jd_int(2));
    jd_insert_at(d, 0, jd_int(2));
    jd_set_at(d, 0, jd_int(2));
    jd_remove_at(d, 0);
    jd_del(d, "a");
    expect_dump(d, "1");
    jd_free(d);
}

static void test_malformed_utf8_is_repaired(void **state)
{
    struct json_t *d = jd_object();

    (void)state;
    jd_set(d, "k\377", jd_string("v\303"));
    expect_dump(d, "{\"k\357\277\275\":\"v\357\277\275\"}");
    jd_free(d);
}

static void test_copies_are_deep(void **state)
{
    struct json_t *d = parsed("{\"a\":{\"b\":1}}"), *copy = jd_copy(d), *same = jd_ref(d);

    (void)state;
    assert_true(jd_equal(d, copy));
    jd_put(copy, "a.b", jd_int(2));
    assert_false(jd_equal(d, copy));
    assert_true(jd_equal(d, same));
    assert_true(jd_equal(NULL, NULL));
    assert_false(jd_equal(d, NULL));
    assert_int_equal(jd_num(d, "a.b", 0), 1);
    jd_free(d);
    assert_int_equal(jd_num(same, "a.b", 0), 1);
    jd_free(same);
    jd_free(copy);
    jd_free(NULL);
}

static void test_iteration(void **state)
{
    struct json_t *d = parsed("{\"c\":1,\"a\":2,\"b\":3}");
    struct buf keys = {0};
    int64_t sum = 0;

    (void)state;
    for (void *it = jd_iter(d); it; it = jd_iter_next(d, it)) {
        buf_adds(&keys, jd_iter_key(it));
        sum = sum * 10 + jd_int_value(jd_iter_value(it), 0);
    }
    assert_string_equal(keys.p, "cab");
    assert_int_equal(sum, 123);
    buf_free(&keys);
    jd_free(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse_and_dump),
        cmocka_unit_test(test_parse_errors),
        cmocka_unit_test(test_get),
        cmocka_unit_test(test_build),
        cmocka_unit_test(test_setters_refuse_other_types),
        cmocka_unit_test(test_malformed_utf8_is_repaired),
        cmocka_unit_test(test_copies_are_deep),
        cmocka_unit_test(test_iteration),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
