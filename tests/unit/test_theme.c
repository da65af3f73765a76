#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "ui/theme.h"

static char dir[] = "/tmp/ferryman-theme-XXXXXX";

static int use_own_themes(void **state) {
    const char *top = getenv("top_srcdir");
    char *themes = str_printf("%s/themes", top ? top : ".");
    (void)state;
    setenv("FERRYMAN_THEMES", themes, 1);
    setenv("XDG_CONFIG_HOME", mkdtemp(dir), 1);
    mem_free(themes);
    return 0;
}

static int remove_dir(void **state) {
    (void)state;
    return rmdir(dir);
}

static const char *const names[] = {"colour-blind", "dark", "light", "high-contrast", "mono"};

static void every_theme_loads_at_every_depth(void **state) {
    static const int depths[] = {0, 8, 16, 256};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        for (size_t d = 0; d < ARRAY_LEN(depths); d++) {
            struct theme *t = NULL;
            struct err *e = theme_load(names[i], depths[d], false, &t);
            if (e) fail_msg("%s", err_text(e));
            for (int s = 0; s < STYLE_COUNT; s++) {
                struct theme_style style = theme_style(t, (enum style)s);
                int most = depths[d] >= 256 ? 256 : depths[d] ? 16 : 0;
                assert_true(style.fg < most && style.bg < most);
            }
            theme_free(t);
        }
}

/* What is bad must differ from what is well by more than the glyph, in every theme and without colours too. */
static void bad_does_not_look_well(void **state) {
    static const int depths[] = {0, 16, 256};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        for (size_t d = 0; d < ARRAY_LEN(depths); d++) {
            struct theme *t = NULL;
            err_ignore(theme_load(names[i], depths[d], false, &t), "checked by the test before");
            struct theme_style ok = theme_style(t, STYLE_OK), bad = theme_style(t, STYLE_BAD),
                warn = theme_style(t, STYLE_WARN);
            assert_true(bad.fg != ok.fg || bad.bg != ok.bg || bad.attrs != ok.attrs);
            assert_true(bad.fg != warn.fg || bad.bg != warn.bg || bad.attrs != warn.attrs);
            assert_true(warn.fg != ok.fg || warn.bg != ok.bg || warn.attrs != ok.attrs);
            theme_free(t);
        }
}

static void without_colors_there_are_none(void **state) {
    struct theme *t = NULL;
    (void)state;
    err_ignore(theme_load(NULL, 0, false, &t), "checked by the test before");
    for (int s = 0; s < STYLE_COUNT; s++) {
        assert_int_equal(theme_style(t, (enum style)s).fg, -1);
        assert_int_equal(theme_style(t, (enum style)s).bg, -1);
    }
    assert_true(theme_style(t, STYLE_BAD).attrs & THEME_REVERSE);
    theme_free(t);
}

static void ascii_glyphs_are_ascii_and_differ(void **state) {
    static const enum glyph marks[] = {GLYPH_OK, GLYPH_WARN, GLYPH_BAD, GLYPH_UNKNOWN, GLYPH_STALE, GLYPH_LEADER,
                                       GLYPH_BUSY};
    struct theme *t = NULL;
    (void)state;
    err_ignore(theme_load(NULL, 256, true, &t), "checked by the test before");
    assert_true(theme_ascii(t));
    for (int g = 0; g < GLYPH_COUNT; g++) {
        assert_int_equal(strlen(theme_glyph(t, (enum glyph)g)), 1);
        assert_true((unsigned char)*theme_glyph(t, (enum glyph)g) < 0x80);
    }
    for (size_t i = 0; i < ARRAY_LEN(marks); i++)
        for (size_t k = 0; k < i; k++) assert_string_not_equal(theme_glyph(t, marks[i]), theme_glyph(t, marks[k]));
    theme_free(t);
}

static void check_fault(const char *text, const char *part) {
    char *path = str_printf("%s/x.yaml", dir);
    struct theme *t = NULL;
    assert_null(file_write_durable(path, text, strlen(text), 0600));
    struct err *e = theme_load(path, 256, false, &t);
    unlink(path);
    mem_free(path);
    assert_non_null(e);
    assert_int_equal(err_kind(e), ERR_DATA);
    if (!strstr(err_text(e), part)) fail_msg("'%s' does not say '%s'", err_text(e), part);
    assert_null(t);
    err_free(e);
}

static void faults_are_told_with_their_place(void **state) {
    (void)state;
    check_fault("colors256:\n  lieder: { fg: 1 }\n", "x.yaml:2:3: unknown style 'lieder'; did you mean leader");
    check_fault("colors256:\n  ok: { fg: 256 }\n", "x.yaml:2:13: no colour number or name: '256'");
    check_fault("colors256:\n  ok: { fg: mauve }\n", "mauve");
    check_fault("colors256:\n  ok: { attrs: blink }\n", "blink");
    check_fault("colors256:\n  ok: { front: 1 }\n", "unknown key 'front'");
    check_fault("colours: {}\n", "unknown key 'colours'");
    check_fault("glyphs: { ok: ok }\n", "a glyph is one character of one column");
    check_fault("[1, 2]\n", "a theme is a map");
    check_fault("colors256: {", "x.yaml:");
}

static void unknown_themes_name_the_known(void **state) {
    struct theme *t = NULL;
    (void)state;
    struct err *e = theme_load("purple", 256, false, &t);
    assert_non_null(e);
    assert_non_null(strstr(err_text(e), "no theme called 'purple'"));
    assert_non_null(strstr(err_text(e), "colour-blind"));
    err_free(e);
}

static void all_are_listed_once(void **state) {
    char **list = theme_names();
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        int found = 0;
        for (size_t k = 0; list[k]; k++) found += str_eq(list[k], names[i]);
        assert_int_equal(found, 1);
    }
    for (size_t k = 0; list[k]; k++) mem_free(list[k]);
    mem_free(list);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_theme_loads_at_every_depth), cmocka_unit_test(bad_does_not_look_well),
        cmocka_unit_test(without_colors_there_are_none),    cmocka_unit_test(ascii_glyphs_are_ascii_and_differ),
        cmocka_unit_test(faults_are_told_with_their_place), cmocka_unit_test(unknown_themes_name_the_known),
        cmocka_unit_test(all_are_listed_once),
    };
    return cmocka_run_group_tests_name("theme", tests, use_own_themes, remove_dir);
}
