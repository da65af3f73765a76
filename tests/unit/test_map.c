#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/mem.h"

static void test_put_get_del(void **state)
{
    (void)state;
    struct map *m = map_new();
    int a = 1, b = 2;
    assert_null(map_gets(m, "x"));
    assert_null(map_del(m, SLICE_LIT("x")));
    assert_null(map_puts(m, "x", &a));
    assert_ptr_equal(map_gets(m, "x"), &a);
    assert_ptr_equal(map_puts(m, "x", &b), &a);
    assert_int_equal(map_len(m), 1);
    assert_ptr_equal(map_del(m, SLICE_LIT("x")), &b);
    assert_null(map_gets(m, "x"));
    assert_int_equal(map_len(m), 0);
    map_free(m, NULL);
    map_free(NULL, NULL);
}

static void test_keys_are_bytes_and_copied(void **state)
{
    (void)state;
    struct map *m = map_new();
    int a = 1, b = 2, c = 3;
    char key[] = "ab";
    map_puts(m, key, &a);
    key[0] = 'z';
    assert_ptr_equal(map_gets(m, "ab"), &a);
    map_put(m, (struct slice){"a\0b", 3}, &b);
    map_put(m, (struct slice){"a\0c", 3}, &c);
    assert_ptr_equal(map_get(m, (struct slice){"a\0b", 3}), &b);
    assert_null(map_gets(m, "a"));
    map_puts(m, "", &c);
    assert_ptr_equal(map_get(m, (struct slice){"q", 0}), &c);
    map_free(m, NULL);
}

static void test_many_keys(void **state)
{
    (void)state;
    enum { COUNT = 100000 };
    struct map *m = map_new();
    int *values = mem_calloc(COUNT, sizeof *values);
    char key[64];
    for (int i = 0; i < COUNT; i++) {
        snprintf(key, sizeof key, "namespace-%d/data-workload-%d", i % 100, i);
        assert_null(map_puts(m, key, &values[i]));
    }
    assert_int_equal(map_len(m), COUNT);
    for (int i = 0; i < COUNT; i += 2) {
        snprintf(key, sizeof key, "namespace-%d/data-workload-%d", i % 100, i);
        assert_ptr_equal(map_del(m, slice_of(key)), &values[i]);
    }
    for (int i = 0; i < COUNT; i++) {
        snprintf(key, sizeof key, "namespace-%d/data-workload-%d", i % 100, i);
        assert_ptr_equal(map_gets(m, key), i % 2 ? &values[i] : NULL);
    }
    size_t it = 0, seen = 0;
    struct slice k;
    void *value;
    while (map_each(m, &it, &k, &value)) {
        assert_ptr_equal(map_get(m, k), value);
        seen++;
    }
    assert_int_equal(seen, COUNT / 2);
    map_free(m, NULL);
    mem_free(values);
}

/* Tombstones of keys that come and go must neither fill the table nor let it grow for ever. */
static void test_churn(void **state)
{
    (void)state;
    struct map *m = map_new();
    int value = 0;
    char key[32];
    for (int i = 0; i < 200000; i++) {
        snprintf(key, sizeof key, "pod-%d", i);
        assert_null(map_puts(m, key, &value));
        if (i >= 10) {
            snprintf(key, sizeof key, "pod-%d", i - 10);
            assert_ptr_equal(map_del(m, slice_of(key)), &value);
        }
    }
    assert_int_equal(map_len(m), 10);
    assert_null(map_gets(m, "absent"));
    size_t it = 0, steps = 0;
    while (map_each(m, &it, NULL, NULL))
        steps++;
    assert_int_equal(steps, 10);
    assert_true(it <= 64); /* slots gone through */
    map_free(m, NULL);
}

static void test_remove_while_iterating(void **state)
{
    (void)state;
    struct map *m = map_new();
    static int value;
    char key[16];
    for (int i = 0; i < 1000; i++) {
        snprintf(key, sizeof key, "%d", i);
        map_puts(m, key, &value);
    }
    size_t it = 0, seen = 0;
    struct slice k;
    while (map_each(m, &it, &k, NULL)) {
        seen++;
        if ((k.p[k.n - 1] - '0') % 2 == 0)
            assert_non_null(map_del(m, k));
    }
    assert_int_equal(seen, 1000);
    assert_int_equal(map_len(m), 500);
    assert_null(map_gets(m, "998"));
    assert_non_null(map_gets(m, "999"));
    map_free(m, NULL);
}

static void test_clear_drops_values(void **state)
{
    (void)state;
    struct map *m = map_new();
    for (int i = 0; i < 100; i++) {
        char key[16];
        snprintf(key, sizeof key, "k%d", i);
        map_puts(m, key, mem_strdup(key)); /* a leak would be reported */
    }
    map_clear(m, free);
    assert_int_equal(map_len(m), 0);
    map_puts(m, "again", mem_strdup("again"));
    assert_string_equal(map_gets(m, "again"), "again");
    map_free(m, free);
}

static void test_hash(void **state)
{
    (void)state;
    assert_true(map_hash("abc", 3) == map_hash("abcd", 3));
    assert_true(map_hash("abc", 3) != map_hash("abd", 3));
    assert_true(map_hash("", 0) != map_hash("\0", 1));
    assert_true(map_hash("12345678", 8) != map_hash("12345678\0", 9));
    (void)map_hash(NULL, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_put_get_del),
        cmocka_unit_test(test_keys_are_bytes_and_copied),
        cmocka_unit_test(test_many_keys),
        cmocka_unit_test(test_churn),
        cmocka_unit_test(test_remove_while_iterating),
        cmocka_unit_test(test_clear_drops_values),
        cmocka_unit_test(test_hash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
