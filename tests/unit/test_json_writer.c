#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <locale.h>
#include <math.h>

#include <cmocka.h>

#include "base/json_reader.h"
#include "base/json_writer.h"

static void test_commas_and_nesting(void **state)
{
    struct buf out = {0};
    struct json_writer w;

    (void)state;
    jw_init(&w, &out);
    jw_object(&w);
    jw_key(&w, "a");
    jw_int(&w, -5);
    jw_key_slice(&w, SLICE_LIT("b\"c"));
    jw_array(&w);
    jw_str(&w, "x");
    jw_str(&w, NULL);
    jw_slice(&w, (struct slice){0});
    jw_slice(&w, SLICE_LIT(""));
    jw_bool(&w, true);
    jw_bool(&w, false);
    jw_null(&w);
    jw_object(&w);
    jw_end_object(&w);
    jw_array(&w);
    jw_end_array(&w);
    jw_raw(&w, SLICE_LIT("{\"raw\":1}"));
    jw_raw(&w, (struct slice){0});
    jw_end_array(&w);
    jw_key(&w, "z");
    jw_int(&w, INT64_MIN);
    jw_end_object(&w);
    assert_string_equal(out.p, "{\"a\":-5,\"b\\\"c\":[\"x\",null,null,\"\",true,false,null,{},[],{\"raw\":1},null],"
                               "\"z\":-9223372036854775808}");
    buf_free(&out);
}

static void expect_written(struct slice s, const char *want)
{
    struct buf out = {0};
    struct json_writer w;

    jw_init(&w, &out);
    jw_slice(&w, s);
    assert_string_equal(out.p, want);
    buf_free(&out);
}

static void test_strings(void **state)
{
    (void)state;
    expect_written(SLICE_LIT("plain"), "\"plain\"");
    expect_written(SLICE_LIT("\"\\/\b\f\n\r\t"), "\"\\\"\\\\/\\b\\f\\n\\r\\t\"");
    expect_written(SLICE_LIT("a\0b\033\177"), "\"a\\u0000b\\u001b\177\"");
    expect_written(SLICE_LIT("caf\303\251 \360\237\230\200"), "\"caf\303\251 \360\237\230\200\"");
    expect_written(SLICE_LIT("a\377\303"), "\"a\357\277\275\357\277\275\"");
}

static void expect_real(double v, const char *want)
{
    struct buf out = {0};
    struct json_writer w;

    jw_init(&w, &out);
    jw_real(&w, v);
    assert_string_equal(out.p, want);
    buf_free(&out);
}

static void test_reals(void **state)
{
    static const char *const locales[] = {"C", "de_DE.UTF-8", "fr_FR.UTF-8"};

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        setlocale(LC_ALL, locales[i]);
        expect_real(0.1, "0.1");
        expect_real(-2.5e-9, "-2.5e-09");
        expect_real(3, "3");
        expect_real(1.0 / 3, "0.3333333333333333");
        expect_real(NAN, "null");
        expect_real(-INFINITY, "null");
    }
    setlocale(LC_ALL, "C");
}

/* Every byte, alone and in company, comes back from the reader as it was, or as U+FFFD where it was no UTF-8. */
static void test_reader_reads_it_back(void **state)
{
    struct buf out = {0};
    struct json_writer w;
    struct json_reader r;
    char bytes[3] = "x?y";

    (void)state;
    for (unsigned c = 0; c < 256; c++) {
        struct slice got;

        bytes[1] = (char)c;
        buf_clear(&out);
        jw_init(&w, &out);
        jw_slice(&w, (struct slice){bytes, 3});
        json_reader_init(&r, out.p, out.len);
        got = json_string(&r);
        if (c < 0x80)
            assert_true(slice_eq(got, (struct slice){bytes, 3}));
        else
            assert_true(slice_is(got, "x\357\277\275y"));
        assert_null(json_finish(&r, "text"));
        json_reader_free(&r);
    }
    buf_free(&out);
}

static void test_reals_come_back_exactly(void **state)
{
    static const double values[] = {0, -0.0, 0.1, 1e300, -1e-300, 5e-324, 1.7976931348623157e308, 123456789.123456789};
    struct buf out = {0};
    struct json_writer w;
    struct json_reader r;

    (void)state;
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        buf_clear(&out);
        jw_init(&w, &out);
        jw_real(&w, values[i]);
        json_reader_init(&r, out.p, out.len);
        assert_true(json_real(&r, 77) == values[i]);
        assert_null(json_finish(&r, "text"));
        json_reader_free(&r);
    }
    buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_commas_and_nesting),
        cmocka_unit_test(test_strings),
        cmocka_unit_test(test_reals),
        cmocka_unit_test(test_reader_reads_it_back),
        cmocka_unit_test(test_reals_come_back_exactly),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
