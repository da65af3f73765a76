#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"

static void test_empty(void **state)
{
    (void)state;
    struct buf b = {0};
    assert_string_equal(buf_str(&b), "");
    assert_int_equal(buf_slice(&b).n, 0);
    assert_non_null(buf_slice(&b).p);
    buf_add(&b, NULL, 0);
    buf_clear(&b);
    char *s = buf_steal(&b);
    assert_string_equal(s, "");
    assert_null(b.p);
    free(s);
    buf_free(&b);
}

static void test_add_and_terminate(void **state)
{
    (void)state;
    struct buf b = {0};
    buf_adds(&b, "abc");
    buf_addc(&b, 'd');
    buf_add(&b, "\0e", 2);
    buf_add_slice(&b, SLICE_LIT("fg"));
    buf_add_slice(&b, (struct slice){0});
    assert_int_equal(b.len, 8);
    assert_memory_equal(b.p, "abcd\0efg", 9);
    buf_free(&b);
    assert_null(b.p);
    assert_int_equal(b.cap, 0);
}

static void test_grows(void **state)
{
    (void)state;
    struct buf b = {0};
    for (int i = 0; i < 100000; i++)
        buf_addc(&b, (char)('a' + i % 26));
    assert_int_equal(b.len, 100000);
    for (int i = 0; i < 100000; i++)
        assert_int_equal(b.p[i], 'a' + i % 26);
    assert_int_equal(b.p[100000], 0);
    buf_reserve(&b, 12345);
    assert_true(b.cap > 112345);
    buf_free(&b);
}

static void test_printf_short_and_long(void **state)
{
    (void)state;
    struct buf b = {0};
    buf_printf(&b, "%s-%d", "x", 7);
    assert_string_equal(b.p, "x-7");
    char *filler = mem_alloc(5001);
    memset(filler, 'y', 5000);
    filler[5000] = '\0';
    buf_printf(&b, "[%s]", filler);
    assert_int_equal(b.len, 5005);
    assert_int_equal(b.p[5004], ']');
    assert_int_equal(strlen(b.p), 5005);
    mem_free(filler);
    buf_free(&b);
}

static void test_consume(void **state)
{
    (void)state;
    struct buf b = {0};
    buf_consume(&b, 0);
    buf_adds(&b, "hello world");
    buf_consume(&b, 6);
    assert_string_equal(b.p, "world");
    buf_consume(&b, 5);
    assert_int_equal(b.len, 0);
    assert_string_equal(b.p, "");
    buf_free(&b);
}

static void test_steal_and_clear(void **state)
{
    (void)state;
    struct buf b = {0};
    buf_adds(&b, "first");
    size_t cap = b.cap;
    buf_clear(&b);
    assert_int_equal(b.cap, cap);
    assert_string_equal(buf_str(&b), "");
    buf_adds(&b, "second");
    char *s = buf_steal(&b);
    assert_string_equal(s, "second");
    assert_int_equal(b.len, 0);
    free(s);
}

static void test_mem_copies(void **state)
{
    (void)state;
    assert_null(mem_strdup(NULL));
    assert_null(mem_strndup(NULL, 3));
    char *s = mem_strndup("abcdef", 3);
    assert_string_equal(s, "abc");
    mem_free(s);
    s = mem_strndup("ab", 30);
    assert_string_equal(s, "ab");
    mem_free(s);
    int *numbers = mem_calloc(4, sizeof *numbers);
    assert_int_equal(numbers[3], 0);
    numbers = mem_reallocarray(numbers, 8, sizeof *numbers);
    numbers[7] = 1;
    mem_free(numbers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empty),   cmocka_unit_test(test_add_and_terminate),
        cmocka_unit_test(test_grows),   cmocka_unit_test(test_printf_short_and_long),
        cmocka_unit_test(test_consume), cmocka_unit_test(test_steal_and_clear),
        cmocka_unit_test(test_mem_copies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
