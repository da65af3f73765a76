#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "ui/command.h"
#include "ui/term.h"

static char dir[] = "/tmp/ferryman-keys-XXXXXX";
static char *path;

static int make_dir(void **state) {
    (void)state;
    path = str_printf("%s/keys.yaml", mkdtemp(dir));
    return 0;
}

static int remove_dir(void **state) {
    (void)state;
    unlink(path);
    mem_free(path);
    return rmdir(dir);
}

static struct key key_of(const char *name) {
    struct key k = {0};
    assert_true(key_parse(name, &k));
    return k;
}

static void names_of_keys_go_both_ways(void **state) {
    static const char *const names[] = {"Enter", "Esc", "Tab", "S-Tab", "Space", "PgDn", "F1", "^L", "j", "G", "?",
                                        "/", ":", "é"};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct buf text = {0};
        key_format(key_of(names[i]), &text);
        assert_string_equal(buf_str(&text), names[i]);
        buf_free(&text);
    }
}

static void what_is_no_key_is_refused(void **state) {
    static const char *const names[] = {"", "ab", "^1", "^", "Shift", "\x80", "\n"};
    struct key k;
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (str_eq(names[i], "^")) continue; /* the character itself */
        assert_false(key_parse(names[i], &k));
    }
}

static void no_key_has_two_commands(void **state) {
    struct keymap *m = NULL;
    (void)state;
    assert_null(keymap_load(NULL, &m));
    for (int c = 1; c < COMMAND_COUNT; c++) {
        struct slice rest = slice_of(command_info((enum command)c)->keys), word;
        while (slice_cut(&rest, ' ', &word)) {
            char *name = slice_dup(word);
            if (word.n) assert_int_equal(keymap_find(m, key_of(name), command_info((enum command)c)->group), c);
            mem_free(name);
        }
    }
    keymap_free(m);
}

static void every_command_says_what_it_does(void **state) {
    (void)state;
    for (int c = 1; c < COMMAND_COUNT; c++) {
        const struct command_info *info = command_info((enum command)c);
        assert_true(strlen(info->help) > 5 && strlen(info->help) < 90);
        assert_true(*info->group);
        assert_true(*info->keys || info->palette);
        assert_int_equal(command_by_name(info->id), c);
    }
    assert_int_equal(command_by_name("nonsense"), COMMAND_NONE);
}

static struct err *load(const char *text, struct keymap **ret) {
    assert_null(file_write_durable(path, text, strlen(text), 0600));
    return keymap_load(path, ret);
}

static void the_users_keys_replace_the_defaults(void **state) {
    struct keymap *m = NULL;
    struct buf keys = {0};
    (void)state;
    assert_null(load("sort_next: [x, F1]\nquit: ^X\n", &m));
    assert_int_equal(keymap_find(m, key_of("x"), NULL), COMMAND_SORT_NEXT);
    assert_int_equal(keymap_find(m, key_of("F1"), NULL), COMMAND_SORT_NEXT); /* taken from help */
    assert_int_equal(keymap_find(m, key_of("o"), NULL), COMMAND_NONE);
    assert_int_equal(keymap_find(m, key_of("?"), NULL), COMMAND_HELP);
    assert_int_equal(keymap_find(m, key_of("^X"), NULL), COMMAND_QUIT);
    assert_int_equal(keymap_find(m, key_of("q"), NULL), COMMAND_NONE);
    keymap_keys(m, COMMAND_SORT_NEXT, false, &keys);
    assert_string_equal(buf_str(&keys), "x F1");
    buf_free(&keys);
    keymap_free(m);
}

static void check_fault(const char *text, const char *part) {
    struct keymap *m = NULL;
    struct err *e = load(text, &m);
    assert_non_null(e);
    assert_int_equal(err_kind(e), ERR_DATA);
    if (!strstr(err_text(e), part)) fail_msg("'%s' does not say '%s'", err_text(e), part);
    assert_null(m);
    err_free(e);
}

static void faults_are_told_with_their_place(void **state) {
    (void)state;
    check_fault("sort_nxt: x\n", "keys.yaml:1:1: no command is called 'sort_nxt'; did you mean sort_next");
    check_fault("quit: Qx\n", "keys.yaml:1:7: no key: 'Qx'");
    check_fault("quit: x\nhelp: x\n", "keys.yaml:2:7: key 'x' is given to quit already");
    check_fault("- a\n", "keys are a map");
    check_fault("quit: [x", "keys.yaml:");
}

static void documents_have_every_command(void **state) {
    static const char *const kinds[] = {"man", "md"};
    (void)state;
    for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
        struct buf out = {0};
        assert_null(command_document(kinds[k], &out));
        for (int c = 1; c < COMMAND_COUNT; c++) {
            const char *palette = command_info((enum command)c)->palette;
            if (palette && !strchr(palette, '-') && !strstr(buf_str(&out), palette))
                fail_msg("%s lacks %s", kinds[k], palette);
        }
        buf_free(&out);
    }
    struct buf out = {0};
    struct err *e = command_document("tex", &out);
    assert_non_null(e);
    assert_int_equal(err_kind(e), ERR_USAGE);
    err_free(e);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_of_keys_go_both_ways),          cmocka_unit_test(what_is_no_key_is_refused),
        cmocka_unit_test(no_key_has_two_commands),             cmocka_unit_test(every_command_says_what_it_does),
        cmocka_unit_test(the_users_keys_replace_the_defaults), cmocka_unit_test(faults_are_told_with_their_place),
        cmocka_unit_test(documents_have_every_command),
    };
    return cmocka_run_group_tests_name("command", tests, make_dir, remove_dir);
}
