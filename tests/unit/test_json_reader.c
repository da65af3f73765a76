#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/json_reader.h"
#include "base/mem.h"

/* A copy without a NUL behind it, so that the sanitizer sees every byte read too far. */
static char *exact(const char *text, size_t n)
{
    char *p = mem_alloc(n ? n : 1);

    memcpy(p, text, n);
    return p;
}

/* The error of skipping the whole text, or NULL. */
static struct err *skip_all(const char *text, size_t n)
{
    struct json_reader r;
    char *p = exact(text, n);
    struct err *e;

    json_reader_init(&r, p, n);
    json_skip(&r);
    e = json_finish(&r, "text");
    json_reader_free(&r);
    mem_free(p);
    return e;
}

static void test_skip_accepts_valid(void **state)
{
    static const char *const good[] = {
        "null", "true", " false ", "0", "-0", "12", "-1.5", "1e9", "1.25E-7", "\"\"", "\"abc\"", "[]", "{}", " [ ] ",
        "[1,2,3]", "[[],{},[{}]]", "{\"a\":1,\"b\":[true,null]}", "{\"a\" : { \"b\" : \"c\" } }\n",
        "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\ud83d\\ude00\"", "\"caf\303\251\"", "{\"\":{\"\":[]}}",
        "{\"same\":1,\"same\":2}",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        struct err *e = skip_all(good[i], strlen(good[i]));

        if (e)
            fail_msg("%s: %s", good[i], err_text(e));
    }
}

static void test_skip_refuses_malformed(void **state)
{
    static const char *const bad[] = {
        "", " ", "nul", "nulll", "tru", "+1", "01", "-", "1.", ".5", "1e", "1e+", "0x1", "NaN", "'a'", "\"", "\"abc",
        "\"\\\"", "\"\\x\"", "\"\\u12\"", "\"\\u12g4\"", "\"a\nb\"", "\"\t\"", "[", "]", "[1", "[1,", "[1,]", "[,1]",
        "[1 2]", "[1}", "{", "}", "{]", "{1:2}", "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{,}", "{\"a\":1 \"b\":2}",
        "{\"a\" 1}", "{\"a\":1]", "1 2", "{} {}", "[] ]", "\"a\" x", "\357\273\277{}", "{\"a\":[1,{\"b\":tru}]}",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct err *e = skip_all(bad[i], strlen(bad[i]));

        if (!e)
            fail_msg("accepted: %s", bad[i]);
        assert_int_equal(err_kind(e), ERR_PROTOCOL);
        err_free(e);
    }
}

/* A raw NUL is a control character too, and so is every other below the space. */
static void test_raw_control_characters_are_refused(void **state)
{
    (void)state;
    for (char c = 0; c < 0x20; c++) {
        const char text[] = {'"', 'a', c, 'b', '"'};
        struct err *e = skip_all(text, sizeof text);

        assert_non_null(e);
        assert_non_null(strstr(err_text(e), "at byte 2: a control character"));
        err_free(e);
    }
}

static void test_error_names_text_and_place(void **state)
{
    struct err *e = skip_all("{\"a\": tru}", 10);

    (void)state;
    assert_non_null(e);
    assert_string_equal(err_text(e), "text: malformed JSON at byte 6: expected a value");
    err_free(e);
}

static void test_reads_members(void **state)
{
    static const char text[] = "{\"kind\":\"Pod\",\"spec\":{\"n\":3,\"on\":true,\"ratio\":0.25},\"list\":[\"a\",\"b\"],"
                               "\"none\":null,\"odd\":7}";
    struct json_reader r;
    struct slice key;
    unsigned seen = 0, items = 0;

    (void)state;
    json_reader_init(&r, text, sizeof text - 1);
    assert_int_equal(json_peek(&r), JSON_OBJECT);
    assert_true(json_enter_object(&r));
    while (json_next_key(&r, &key)) {
        seen++;
        if (slice_is(key, "kind")) {
            assert_true(slice_is(json_string(&r), "Pod"));
        } else if (slice_is(key, "spec")) {
            assert_true(json_enter_object(&r));
            assert_true(json_next_key(&r, &key));
            assert_int_equal(json_int(&r, -1), 3);
            assert_true(json_next_key(&r, &key));
            assert_true(json_bool(&r, false));
            assert_true(json_next_key(&r, &key));
            assert_true(json_real(&r, 0) == 0.25);
            assert_false(json_next_key(&r, &key));
        } else if (slice_is(key, "list")) {
            assert_true(json_enter_array(&r));
            while (json_next_item(&r)) {
                assert_true(slice_is(json_string(&r), items == 0 ? "a" : "b"));
                items++;
            }
        } else if (slice_is(key, "none")) {
            assert_int_equal(json_peek(&r), JSON_NULL);
            assert_false(json_enter_array(&r));
        } else {
            assert_true(slice_is(json_raw(&r), "7"));
        }
    }
    assert_int_equal(seen, 5);
    assert_int_equal(items, 2);
    assert_false(json_failed(&r));
    assert_null(json_finish(&r, "text"));
    assert_int_equal(json_peek(&r), JSON_NOTHING);
    json_reader_free(&r);
}

/* A value of another type than asked for is passed over whole and gives the fallback. */
static void test_other_type_is_skipped(void **state)
{
    static const char text[] = "[{\"a\":[1]},[2],\"s\",4,true,null,5]";
    struct json_reader r;

    (void)state;
    json_reader_init(&r, text, sizeof text - 1);
    assert_true(json_enter_array(&r));
    assert_true(json_next_item(&r));
    assert_null(json_string(&r).p);
    assert_true(json_next_item(&r));
    assert_int_equal(json_int(&r, -7), -7);
    assert_true(json_next_item(&r));
    assert_true(json_real(&r, 1.5) == 1.5);
    assert_true(json_next_item(&r));
    assert_true(json_bool(&r, true));
    assert_true(json_next_item(&r));
    assert_false(json_enter_object(&r));
    assert_true(json_next_item(&r));
    assert_null(json_string(&r).p);
    assert_true(json_next_item(&r));
    assert_int_equal(json_int(&r, 0), 5);
    assert_false(json_next_item(&r));
    assert_null(json_finish(&r, "text"));
    json_reader_free(&r);
}

/* Reads the one string of the text and compares it. */
static void expect_text(const char *text, const char *want, size_t n)
{
    struct json_reader r;
    size_t len = strlen(text);
    char *p = exact(text, len);
    struct slice s;

    json_reader_init(&r, p, len);
    s = json_string(&r);
    assert_null(json_finish(&r, "text"));
    assert_int_equal(s.n, n);
    assert_memory_equal(s.p, want, n);
    json_reader_free(&r);
    mem_free(p);
}

#define EXPECT_TEXT(text, want) expect_text(text, want, sizeof(want) - 1)

static void test_strings(void **state)
{
    (void)state;
    EXPECT_TEXT("\"\"", "");
    EXPECT_TEXT("\"plain and a little longer than eight\"", "plain and a little longer than eight");
    EXPECT_TEXT("\"a\\\"b\\\\c\\/d\\be\\ff\\ng\\rh\\ti\"", "a\"b\\c/d\be\ff\ng\rh\ti");
    EXPECT_TEXT("\"\\u00e9\\u4e2d\"", "\303\251\344\270\255");
    EXPECT_TEXT("\"\\uD83D\\uDE00!\"", "\360\237\230\200!");
    EXPECT_TEXT("\"x\\u0000y\"", "x\0y");
    EXPECT_TEXT("\"caf\303\251 \344\270\255\"", "caf\303\251 \344\270\255");
    EXPECT_TEXT("\"\177\"", "\177");
}

static void test_broken_characters_become_replacement(void **state)
{
    (void)state;
    EXPECT_TEXT("\"\\ud800\"", "\357\277\275");
    EXPECT_TEXT("\"\\ude00x\"", "\357\277\275x");
    EXPECT_TEXT("\"\\ud800\\u0041\"", "\357\277\275A");
    EXPECT_TEXT("\"\\ud800\\ud83d\\ude00\"", "\357\277\275\360\237\230\200");
    EXPECT_TEXT("\"a\377b\"", "a\357\277\275b");
    EXPECT_TEXT("\"end\303\"", "end\357\277\275");
}

/* A special byte is found at every distance from the start, inside the words of eight bytes and behind them. */
static void test_string_at_every_offset(void **state)
{
    static const char *const ends[] = {"\\n", "\303\251", "\\u0041"};
    static const char *const want[] = {"\n", "\303\251", "A"};

    (void)state;
    for (size_t e = 0; e < ARRAY_LEN(ends); e++)
        for (size_t n = 0; n < 40; n++) {
            char text[64] = "\"", expected[64] = "";

            memset(text + 1, 'x', n);
            memset(expected, 'x', n);
            strcpy(text + 1 + n, ends[e]);
            strcat(text, "z\"");
            strcpy(expected + n, want[e]);
            strcat(expected, "z");
            expect_text(text, expected, strlen(expected));
        }
}

static void test_key_with_escape_survives_value(void **state)
{
    static const char text[] = "{\"a\\u002fb\":\"v\\n\",\"c\":\"w\"}";
    struct json_reader r;
    struct slice key, value;

    (void)state;
    json_reader_init(&r, text, sizeof text - 1);
    assert_true(json_enter_object(&r));
    assert_true(json_next_key(&r, &key));
    value = json_string(&r);
    assert_true(slice_is(key, "a/b"));
    assert_true(slice_is(value, "v\n"));
    assert_true(json_next_key(&r, &key));
    assert_true(slice_is(key, "c"));
    assert_true(slice_is(json_string(&r), "w"));
    assert_false(json_next_key(&r, &key));
    assert_null(json_finish(&r, "text"));
    json_reader_free(&r);
}

static int64_t int_of(const char *text)
{
    struct json_reader r;
    int64_t v;

    json_reader_init(&r, text, strlen(text));
    v = json_int(&r, -999);
    assert_null(json_finish(&r, "text"));
    json_reader_free(&r);
    return v;
}

static void test_integers(void **state)
{
    (void)state;
    assert_true(int_of("0") == 0);
    assert_true(int_of("-17") == -17);
    assert_true(int_of("9223372036854775807") == INT64_MAX);
    assert_true(int_of("-9223372036854775808") == INT64_MIN);
    assert_true(int_of("9223372036854775808") == -999);
    assert_true(int_of("-9223372036854775809") == -999);
    assert_true(int_of("99999999999999999999999") == -999);
    assert_true(int_of("3.99") == 3);
    assert_true(int_of("-3.99") == -3);
    assert_true(int_of("2e3") == 2000);
    assert_true(int_of("12345678901234567890e-5") == 123456789012345);
    assert_true(int_of("1e400") == -999);
}

static void test_reals(void **state)
{
    struct json_reader r;
    struct err *e;
    char longer[200] = "0.";

    (void)state;
    memset(longer + 2, '3', 150);
    json_reader_init(&r, longer, strlen(longer));
    assert_true(json_real(&r, 0) == 1.0 / 3);
    json_reader_free(&r);
    json_reader_init(&r, "-1.5e-3", 7);
    assert_true(json_real(&r, 0) == -0.0015);
    assert_null(json_finish(&r, "text"));
    json_reader_free(&r);
    json_reader_init(&r, "1e999", 5);
    assert_true(json_real(&r, 4) == 4);
    e = json_finish(&r, "text");
    assert_non_null(e);
    assert_non_null(strstr(err_text(e), "number out of range"));
    err_free(e);
    json_reader_free(&r);
}

/* Text of n nested arrays. */
static char *nested(size_t n, char open, char close)
{
    char *p = mem_alloc(2 * n + 1);

    memset(p, open, n);
    memset(p + n, close, n);
    p[2 * n] = '\0';
    return p;
}

static void test_depth_is_bounded(void **state)
{
    char *fits = nested(JSON_DEPTH_MAX, '[', ']'), *over = nested(JSON_DEPTH_MAX + 1, '[', ']');
    struct json_reader r;
    struct err *e;
    unsigned depth = 0;

    (void)state;
    assert_null(skip_all(fits, strlen(fits)));
    e = skip_all(over, strlen(over));
    assert_non_null(e);
    assert_non_null(strstr(err_text(e), "nested too deeply"));
    err_free(e);
    json_reader_init(&r, over, strlen(over));
    while (json_enter_array(&r) && json_next_item(&r))
        depth++;
    assert_int_equal(depth, JSON_DEPTH_MAX);
    assert_true(json_failed(&r));
    json_reader_free(&r);
    mem_free(fits);
    mem_free(over);
}

static void test_nothing_happens_after_an_error(void **state)
{
    static const char text[] = "{\"a\":?,\"b\":1}";
    struct json_reader r;
    struct slice key;
    size_t at;

    (void)state;
    json_reader_init(&r, text, sizeof text - 1);
    assert_true(json_enter_object(&r));
    assert_true(json_next_key(&r, &key));
    json_skip(&r);
    assert_true(json_failed(&r));
    at = r.error_at;
    assert_int_equal(at, 5);
    assert_false(json_next_key(&r, &key));
    assert_false(json_next_item(&r));
    assert_false(json_enter_object(&r));
    assert_null(json_string(&r).p);
    assert_null(json_raw(&r).p);
    assert_int_equal(json_int(&r, 8), 8);
    assert_true(json_bool(&r, true));
    assert_int_equal(json_peek(&r), JSON_NOTHING);
    assert_int_equal(r.error_at, at);
    json_reader_free(&r);
}

static void test_unfinished_and_absent_texts(void **state)
{
    struct json_reader r;
    struct slice key;
    struct err *e;

    (void)state;
    json_reader_init(&r, "{\"a\":1}", 7);
    assert_true(json_enter_object(&r));
    assert_true(json_next_key(&r, &key));
    json_skip(&r);
    e = json_finish(&r, "text");
    assert_non_null(e);
    err_free(e);
    json_reader_free(&r);
    json_reader_init(&r, NULL, 0);
    assert_false(json_enter_object(&r));
    e = json_finish(&r, "text");
    assert_non_null(e);
    err_free(e);
    json_reader_free(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_skip_accepts_valid),
        cmocka_unit_test(test_skip_refuses_malformed),
        cmocka_unit_test(test_raw_control_characters_are_refused),
        cmocka_unit_test(test_error_names_text_and_place),
        cmocka_unit_test(test_reads_members),
        cmocka_unit_test(test_other_type_is_skipped),
        cmocka_unit_test(test_strings),
        cmocka_unit_test(test_broken_characters_become_replacement),
        cmocka_unit_test(test_string_at_every_offset),
        cmocka_unit_test(test_key_with_escape_survives_value),
        cmocka_unit_test(test_integers),
        cmocka_unit_test(test_reals),
        cmocka_unit_test(test_depth_is_bounded),
        cmocka_unit_test(test_nothing_happens_after_an_error),
        cmocka_unit_test(test_unfinished_and_absent_texts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
