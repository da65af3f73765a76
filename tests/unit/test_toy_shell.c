/* The toy shell: what scripts that look after a volume would find. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "sandbox/toy_shell.h"

static const char *refuses(void *arg, const char *path)
{
    (void)arg;
    return strstr(path, "/locked") ? "Permission denied" : strstr(path, "/full") ? "No space left on device" : NULL;
}

static void sees(const char *script, const char *output, int status)
{
    struct toy_shell sh = {.uid = 100, .gid = 1000, .groups = "1000 2000", .refuses = refuses};
    struct buf out = {0};
    int was = toy_shell_run(&sh, script, &out);
    assert_string_equal(buf_str(&out), output);
    assert_int_equal(was, status);
    buf_free(&out);
}

static void test_words(void **state)
{
    (void)state;
    sees("a='x y' b=\"$a z\"; echo $a \"$b\" '$a' \\$a", "x y x y z $a $a\n", 0);
    sees("u=$(id -u); echo \"u=$u $(id -G | tr ' ' ,)\"", "u=100 1000,2000\n", 0);
    sees("set -- a b c; echo $2 ${3}x $1", "b cx a\n", 0);
    sees("echo one # two\necho three", "one\nthree\n", 0);
}

static void test_files(void **state)
{
    (void)state;
    sees("echo hello | dd of=/a/f conv=fsync 2>/dev/null && cat /a/f && rm /a/f && [ ! -f /a/f ] && echo gone", "hello\ngone\n", 0);
    sees("touch /locked/f", "touch: can't open '/locked/f': Permission denied\n", 1);
    sees("e=$(dd if=/dev/zero of=/full/f bs=1M count=1 2>&1) || echo \"failed: $e\"", "failed: dd: can't open '/full/f': No space left on device\n", 0);
    sees("echo x > /locked/y", "sh: can't open '/locked/y': Permission denied\n", 1);
}

static void test_branches(void **state)
{
    (void)state;
    sees("for d in /a /locked /full; do if touch $d/f 2>/dev/null; then echo ok $d; else echo bad $d; n=1; fi; done; exit $n",
         "ok /a\nbad /locked\nbad /full\n", 1);
    sees("set -e\nif touch /locked/f 2>/dev/null; then echo a; elif true; then echo b; fi\ntouch /a/f\ntouch /full/f 2>/dev/null\necho never", "b\n", 1);
    sees("false || { echo one; exit 4; }; echo never", "one\n", 4);
    sees("false && echo never; ! false && echo yes", "yes\n", 0);
}

/* Nothing of it may hang or read past its end. */
static void test_malformed(void **state)
{
    (void)state;
    static const char *const texts[] = {"", "if", "for", "for x in a; do", "$(", "'", "\"", "$(echo $(", "fi done }", ">", "|", "&& ||", "x=$(x=$(x=$(", "{", "(a", "echo ${", "\\"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct toy_shell sh = {.groups = ""};
        struct buf out = {0};
        (void)toy_shell_run(&sh, texts[i], &out);
        buf_free(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_words), cmocka_unit_test(test_files), cmocka_unit_test(test_branches),
                                       cmocka_unit_test(test_malformed)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
