#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/utf8.h"

#define FFFD "\xEF\xBF\xBD"

static void test_every_code_point_round_trips(void **state)
{
    (void)state;
    for (uint32_t cp = 0; cp <= 0x10FFFF; cp++) {
        char text[4];
        uint32_t back;
        size_t n = utf8_encode(cp, text);
        bool surrogate = cp >= 0xD800 && cp <= 0xDFFF;
        if (utf8_decode(text, n, &back) != n || back != (surrogate ? 0xFFFD : cp) || !utf8_valid(text, n))
            fail_msg("U+%04X", cp);
    }
    char text[4];
    assert_int_equal(utf8_encode(0x110000, text), 3);
    assert_memory_equal(text, FFFD, 3);
}

static void test_malformed(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "\x80", "\xBF", "\xC0\x80", "\xC1\xBF", "\xC3", "\xC3(", "\xE0\x80\x80", "\xE0\x9F\xBF", "\xE2\x82",
        "\xE2(\xA1",
        "\xED\xA0\x80", "\xED\xBF\xBF", "\xF0\x80\x80\x80", "\xF0\x9F\x98", "\xF4\x90\x80\x80", "\xF5\x80\x80\x80",
        "\xFE", "\xFF",
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        uint32_t cp = 0;
        size_t n = strlen(bad[i]);
        assert_false(utf8_valid(bad[i], n));
        assert_int_equal(utf8_decode(bad[i], n, &cp), 1);
        assert_int_equal(cp, 0xFFFD);
        assert_false(utf8_is_clean((struct slice){bad[i], n}));
        char *clean = utf8_cleaned((struct slice){bad[i], n});
        assert_true(utf8_valid(clean, strlen(clean)));
        assert_true(utf8_is_clean(slice_of(clean)));
        assert_true(str_starts(clean, FFFD));
        free(clean);
    }
    /* A sequence is not read past the end that is given, even if its bytes go on there. */
    uint32_t cp;
    assert_int_equal(utf8_decode("\xE2\x82\xAC", 2, &cp), 1);
}

static void test_width(void **state)
{
    (void)state;
    static const struct {
        uint32_t cp;
        int width;
    } cases[] = {
        {'a', 1},    {0xE9, 1},    {0x0301, 0},  {0x20DD, 0},  {0x4E2D, 2},  {0xAC00, 2},  {0xFF21, 2},  {0xFF71, 1},
        {0x3000, 2}, {0x1F600, 2}, {0x2705, 2},  {0x2713, 1},  {0x2502, 1},  {0x2588, 1},  {0x25CF, 1},  {0x26A0, 1},
        {0x1100, 2}, {0x1161, 0},  {0x200D, 0},  {0x00AD, 1},  {0x2026, 1},  {0xFFFD, 1},  {0x20000, 2}, {0x2FFFD, 2},
        {0x0E31, 0}, {0x1F1E6, 1}, {0xE0100, 0}, {0x2014, 1},  {0x303F, 1},  {0x10FFFF, 1}, {0x231A, 2}, {0x05D0, 1},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        if (utf8_width(cases[i].cp) != cases[i].width)
            fail_msg("U+%04X has width %d", cases[i].cp, utf8_width(cases[i].cp));
}

static void test_columns(void **state)
{
    (void)state;
    assert_int_equal(utf8_columns((struct slice){0}), 0);
    assert_int_equal(utf8_columns(SLICE_LIT("abc")), 3);
    assert_int_equal(utf8_columns(SLICE_LIT("\xE4\xB8\xAD\xE6\x96\x87")), 4);
    assert_int_equal(utf8_columns(SLICE_LIT("e\xCC\x81t")), 2);
    assert_int_equal(utf8_columns(SLICE_LIT("a\xFF" "b")), 3);
}

static void test_clip(void **state)
{
    (void)state;
    size_t cols;
    struct slice text = SLICE_LIT("a\xE4\xB8\xAD" "e\xCC\x81z");
    assert_int_equal(utf8_clip(text, 0, &cols).n, 0);
    assert_int_equal(cols, 0);
    assert_int_equal(utf8_clip(text, 2, &cols).n, 1); /* the wide one does not fit into the one column left */
    assert_int_equal(cols, 1);
    assert_int_equal(utf8_clip(text, 4, &cols).n, 7); /* the accent stays with its letter */
    assert_int_equal(cols, 4);
    assert_int_equal(utf8_clip(text, 80, NULL).n, text.n);
}

static void test_clean_replaces_what_a_terminal_must_not_see(void **state)
{
    (void)state;
    static const struct {
        const char *text, *want;
    } cases[] = {
        {"plain ASCII ~", "plain ASCII ~"},
        {"gr\xC3\xBC\xC3\x9F \xE4\xB8\xAD \xF0\x9F\x98\x80 e\xCC\x81",
         "gr\xC3\xBC\xC3\x9F \xE4\xB8\xAD \xF0\x9F\x98\x80 e\xCC\x81"},
        {"a\nb\tc", "a b c"},
        {"\x1b]0;title\x07", FFFD "]0;title" FFFD},
        {"a\rb\x7f", "a" FFFD "b" FFFD},
        {"\xC2\x9B" "31m", FFFD "31m"},            /* C1 CSI */
        {"a\xE2\x80\xAE" "b", "a" FFFD "b"},       /* right-to-left override */
        {"a\xE2\x81\xA6" "b", "a" FFFD "b"},       /* isolate */
        {"a\xE2\x80\x8B" "b", "a" FFFD "b"},       /* zero-width space */
        {"a\xE2\x80\x8D" "b", "a" FFFD "b"},       /* zero-width joiner */
        {"\xEF\xBB\xBF" "a", FFFD "a"},            /* byte order mark */
        {"a\xC2\xAD" "b", "a" FFFD "b"},           /* soft hyphen */
        {"a\xE2\x80\xA8" "b", "a" FFFD "b"},       /* line separator */
        {"a\xF3\xA0\x81\x81" "b", "a" FFFD "b"},   /* tag character */
        {"a\xEF\xBF\xBF" "b", "a" FFFD "b"},       /* noncharacter */
        {FFFD, FFFD},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char *clean = utf8_cleaned(slice_of(cases[i].text));
        assert_string_equal(clean, cases[i].want);
        assert_int_equal(utf8_is_clean(slice_of(cases[i].text)), str_eq(cases[i].text, cases[i].want));
        assert_true(utf8_is_clean(slice_of(clean)));
        free(clean);
    }
    char *nul = utf8_cleaned((struct slice){"a\0b", 3});
    assert_string_equal(nul, "a" FFFD "b");
    free(nul);
    char *absent = utf8_cleaned((struct slice){0});
    assert_string_equal(absent, "");
    free(absent);
}

static void test_clean_appends(void **state)
{
    (void)state;
    struct buf b = {0};
    buf_adds(&b, "x=");
    utf8_clean(&b, SLICE_LIT("\x01y"));
    assert_string_equal(b.p, "x=" FFFD "y");
    buf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_code_point_round_trips),
        cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_width),
        cmocka_unit_test(test_columns),
        cmocka_unit_test(test_clip),
        cmocka_unit_test(test_clean_replaces_what_a_terminal_must_not_see),
        cmocka_unit_test(test_clean_appends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
