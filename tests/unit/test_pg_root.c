/* Where PostgreSQL's volumes lie: what is not ours is left alone, what is temporary goes. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "sandbox/pg_entry.h"
#include "sandbox/pg_root.h"

static char *dir_new(void)
{
    char *dir = mem_strdup("/tmp/test-pg-root-XXXXXX");
    assert_non_null(mkdtemp(dir));
    return dir;
}

static void dir_free(char *dir)
{
    assert_null(pg_run((const char *const[]){"rm", "-rf", "--", dir, NULL}, NULL, NULL));
    mem_free(dir);
}

/* Without the line about where things are. */
static struct err *make_quietly(struct pg_root *r, const char *dir)
{
    int saved = dup(STDERR_FILENO), null_fd = open("/dev/null", O_WRONLY);
    dup2(null_fd, STDERR_FILENO);
    struct err *e = pg_root_make(r, dir);
    dup2(saved, STDERR_FILENO);
    close(saved);
    close(null_fd);
    return e;
}

static void test_volumes(void **state)
{
    (void)state;
    char *dir = dir_new(), *one, *again, *odd;
    bool fresh;
    struct pg_root r;
    assert_null(make_quietly(&r, dir));
    assert_null(pg_root_volume(&r, "home/pve/vm-9999-pvc-1", &one, &fresh));
    assert_true(fresh);
    assert_true(str_ends(one, "/volumes/home_pve_vm-9999-pvc-1"));
    assert_null(pg_root_volume(&r, "home/pve/vm-9999-pvc-1", &again, &fresh));
    assert_false(fresh);
    assert_string_equal(one, again);
    assert_null(pg_root_volume(&r, "../../etc", &odd, &fresh));
    assert_true(str_ends(odd, "/volumes/_._.._etc"));
    char *seen = str_printf("%s/volumes/home_pve_vm-9999-pvc-1", dir); /* also by way of a link */
    assert_true(file_exists(seen));
    mem_free(seen);
    mem_free(one);
    mem_free(again);
    mem_free(odd);
    char *path = mem_strdup(r.path);
    bool temporary = r.temporary;
    pg_root_clear(&r);
    assert_int_equal(file_exists(path), !temporary);
    mem_free(path);
    dir_free(dir);
}

static void test_started_again_in_the_same_folder(void **state)
{
    (void)state;
    char *dir = dir_new(), *folder;
    bool fresh;
    for (int i = 0; i < 2; i++) {
        struct pg_root r;
        assert_null(make_quietly(&r, dir));
        assert_null(pg_root_volume(&r, "v", &folder, &fresh));
        assert_true(fresh);
        mem_free(folder);
        pg_root_clear(&r);
    }
    dir_free(dir);
}

static void test_foreign_folder_is_left_alone(void **state)
{
    (void)state;
    char *dir = dir_new(), *images = str_printf("%s/images", dir), *photo = str_printf("%s/images/photo", dir);
    assert_int_equal(mkdir(images, 0700), 0);
    int fd = open(photo, O_CREAT | O_WRONLY, 0600);
    assert_true(fd >= 0);
    close(fd);
    struct pg_root r;
    struct err *e = make_quietly(&r, dir);
    assert_non_null(strstr(err_text(e), "choose another folder"));
    err_free(e);
    assert_true(file_exists(photo));
    mem_free(images);
    mem_free(photo);
    dir_free(dir);
}

static void test_long_folder_has_a_short_socket(void **state)
{
    (void)state;
    char *dir = dir_new();
    struct buf longer = {0};
    buf_adds(&longer, dir);
    for (int i = 0; i < 5; i++) {
        buf_adds(&longer, "/a-folder-with-a-rather-long-name");
        assert_int_equal(mkdir(longer.p, 0711), 0);
    }
    assert_int_equal(chmod(dir, 0711), 0);
    struct pg_root r;
    assert_null(make_quietly(&r, longer.p));
    assert_false(r.temporary);
    assert_true(strlen(r.socket_dir) < 40);
    struct stat st;
    assert_int_equal(stat(r.socket_dir, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    char *socket_dir = mem_strdup(r.socket_dir);
    pg_root_clear(&r);
    assert_false(file_exists(socket_dir));
    mem_free(socket_dir);
    buf_free(&longer);
    dir_free(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_volumes),
        cmocka_unit_test(test_started_again_in_the_same_folder),
        cmocka_unit_test(test_foreign_folder_is_left_alone),
        cmocka_unit_test(test_long_folder_has_a_short_socket),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
