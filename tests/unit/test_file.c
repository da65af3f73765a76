#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"

static char folder[] = "/tmp/ferryman-file-XXXXXX";

/* A path inside the test's folder; one at a time. */
static const char *in(const char *name)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static unsigned mode_of(const char *path)
{
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    return st.st_mode & 07777;
}

static void test_write_then_read(void **state)
{
    (void)state;
    struct buf b = {0};
    buf_adds(&b, "old content is replaced");
    assert_null(file_write_durable(in("a"), "one\0two", 7, 0600));
    assert_int_equal(mode_of(in("a")), 0600);
    assert_null(file_read(in("a"), 7, &b));
    assert_int_equal(b.len, 7);
    assert_memory_equal(b.p, "one\0two", 8);
    assert_null(file_write_durable(in("a"), "x", 1, 0644));
    assert_int_equal(mode_of(in("a")), 0644);
    assert_null(file_read(in("a"), 100, &b));
    assert_string_equal(b.p, "x");
    assert_null(file_write_durable(in("a"), NULL, 0, 0600));
    assert_null(file_read(in("a"), 0, &b));
    assert_string_equal(buf_str(&b), "");
    buf_free(&b);
}

static void test_read_bounds(void **state)
{
    (void)state;
    struct buf b = {0};
    buf_adds(&b, "kept");
    char *large = mem_zalloc(300000);
    assert_null(file_write_durable(in("large"), large, 300000, 0600));
    struct err *e = file_read(in("large"), 299999, &b);
    assert_int_equal(err_kind(e), ERR_DATA);
    assert_string_equal(b.p, "kept");
    err_free(e);
    assert_null(file_read(in("large"), 300000, &b));
    assert_int_equal(b.len, 300000);
    buf_free(&b);
    mem_free(large);
}

static void test_read_failures(void **state)
{
    (void)state;
    struct buf b = {0};
    struct err *e = file_read(in("absent"), 10, &b);
    assert_int_equal(err_kind(e), ERR_SYSTEM);
    assert_non_null(strstr(err_text(e), "absent: No such file"));
    err_free(e);
    e = file_read(folder, 10, &b);
    assert_non_null(strstr(err_text(e), "Is a directory"));
    err_free(e);
    assert_null(b.p);
}

static void test_read_pipe(void **state)
{
    (void)state;
    int fds[2];
    char path[32];
    struct buf b = {0};
    assert_int_equal(pipe(fds), 0);
    assert_int_equal(write(fds[1], "piped", 5), 5);
    close(fds[1]);
    snprintf(path, sizeof path, "/dev/fd/%d", fds[0]);
    assert_null(file_read(path, 100, &b));
    assert_string_equal(b.p, "piped");
    close(fds[0]);
    buf_free(&b);
}

static void test_failed_write_leaves_nothing(void **state)
{
    (void)state;
    struct err *e = file_write_durable(in("no/such/folder"), "x", 1, 0600);
    assert_int_equal(err_kind(e), ERR_SYSTEM);
    err_free(e);
    assert_int_equal(mkdir(in("target"), 0700), 0);
    e = file_write_durable(in("target"), "x", 1, 0600); /* a file cannot replace a folder */
    assert_non_null(e);
    err_free(e);
    DIR *d = opendir(folder);
    assert_non_null(d);
    for (const struct dirent *entry; (entry = readdir(d));)
        assert_null(strstr(entry->d_name, "target."));
    closedir(d);
}

static void test_mkdirs(void **state)
{
    (void)state;
    assert_null(file_mkdirs(in("p/q/r"), 0750));
    assert_int_equal(mode_of(in("p/q/r")), 0750);
    assert_int_equal(mode_of(in("p/q")), 0700);
    assert_null(file_mkdirs(in("p/q/r"), 0750));
    assert_null(file_mkdirs(in("p/q/r/"), 0755)); /* less open than allowed is fine */
    struct err *e = file_mkdirs(in("p/q/r"), 0700);
    assert_non_null(strstr(err_text(e), "chmod 700"));
    err_free(e);
    assert_null(file_write_durable(in("plain"), "", 0, 0600));
    e = file_mkdirs(in("plain"), 0700);
    assert_non_null(strstr(err_text(e), "is not a folder"));
    err_free(e);
    e = file_mkdirs(in("plain/below"), 0700);
    assert_non_null(e);
    err_free(e);
}

static void test_mkdirs_refuses_foreign_folder(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip(); /* only root can give a folder away */
    assert_int_equal(mkdir(in("foreign"), 0700), 0);
    assert_int_equal(chown(in("foreign"), 65534, 65534), 0);
    struct err *e = file_mkdirs(in("foreign"), 0700);
    assert_non_null(strstr(err_text(e), "belongs to user 65534"));
    err_free(e);
}

static void test_exists(void **state)
{
    (void)state;
    assert_true(file_exists(folder));
    assert_false(file_exists(in("nothing")));
}

static void test_dirname(void **state)
{
    (void)state;
    static const struct {
        const char *path, *want;
    } cases[] = {
        {"a", "."}, {"a/b", "a"}, {"/a", "/"}, {"/a/b/", "/a"}, {"/", "/"}, {"a//b", "a"}, {"//a", "/"}, {"", "."},
        {"a/", "."},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char *dir = file_dirname(cases[i].path);
        assert_string_equal(dir, cases[i].want);
        free(dir);
    }
}

static void expect_resolved(const char *dir, const char *path, const char *want)
{
    char *got = file_resolve(dir, path);
    assert_string_equal(got, want);
    free(got);
}

static void test_resolve(void **state)
{
    (void)state;
    setenv("HOME", "/home/anna", 1);
    expect_resolved("/etc", "x/y", "/etc/x/y");
    expect_resolved("/etc/", "x", "/etc/x");
    expect_resolved("/", "x", "/x");
    expect_resolved("/etc", "/abs", "/abs");
    expect_resolved("/etc", "~/k", "/home/anna/k");
    expect_resolved("/etc", "~", "/home/anna");
    expect_resolved("/etc", "~anna/k", "/etc/~anna/k");
    expect_resolved(NULL, "rel", "rel");
}

static void expect_dir(char *got, const char *want)
{
    assert_string_equal(got, want);
    free(got);
}

static void test_xdg(void **state)
{
    (void)state;
    setenv("HOME", "/home/anna", 1);
    unsetenv("XDG_CONFIG_HOME");
    unsetenv("XDG_STATE_HOME");
    unsetenv("XDG_RUNTIME_DIR");
    expect_dir(file_config_dir(), "/home/anna/.config/ferryman");
    expect_dir(file_state_dir(), "/home/anna/.local/state/ferryman");
    expect_dir(file_runtime_dir(), "/home/anna/.local/state/ferryman/run");
    setenv("XDG_CONFIG_HOME", "/c", 1);
    setenv("XDG_STATE_HOME", "/s/", 1);
    setenv("XDG_RUNTIME_DIR", "/run/user/7", 1);
    expect_dir(file_config_dir(), "/c/ferryman");
    expect_dir(file_state_dir(), "/s/ferryman");
    expect_dir(file_runtime_dir(), "/run/user/7/ferryman");
    setenv("XDG_CONFIG_HOME", "relative", 1);
    setenv("XDG_RUNTIME_DIR", "", 1);
    expect_dir(file_config_dir(), "/home/anna/.config/ferryman");
    expect_dir(file_runtime_dir(), "/s/ferryman/run");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_write_then_read),
        cmocka_unit_test(test_read_bounds),
        cmocka_unit_test(test_read_failures),
        cmocka_unit_test(test_read_pipe),
        cmocka_unit_test(test_failed_write_leaves_nothing),
        cmocka_unit_test(test_mkdirs),
        cmocka_unit_test(test_mkdirs_refuses_foreign_folder),
        cmocka_unit_test(test_exists),
        cmocka_unit_test(test_dirname),
        cmocka_unit_test(test_resolve),
        cmocka_unit_test(test_xdg),
    };
    if (!mkdtemp(folder))
        return 99;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    static const char *const made[] = {"a", "large", "target", "p/q/r", "p/q", "p", "plain", "foreign", ""};
    for (size_t i = 0; i < ARRAY_LEN(made); i++)
        (void)remove(in(made[i]));
    return failed;
}
