#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/program.h"
#include "base/str.h"

/* Run as a copy: another file takes the copy's place, then it says what it finds, as an exit status. */
static int be_replaced(const char *path)
{
    char *other = str_printf("%s.new", path);
    struct err *e = file_write_durable(other, "x", 1, 0600);
    if (e || rename(other, path) != 0)
        return 3;
    char *where = program_path(), *again = program_again("nothing");
    int status = !where || strcmp(where, path) != 0 ? 4 : access(again, X_OK) != 0 || strcmp(again, path) == 0 ? 5 : 0;
    mem_free(where);
    mem_free(again);
    mem_free(other);
    return status;
}

static void test_names_the_running_file(void **state)
{
    (void)state;
    char *where = program_path(), *again = program_again("nothing");
    assert_non_null(where);
    assert_non_null(strstr(where, "test_program"));
    assert_string_equal(where, again);
    mem_free(where);
    mem_free(again);
}

#ifdef __linux__
static void test_survives_an_upgrade_in_its_place(void **state)
{
    (void)state;
    char dir[] = "/tmp/ferryman-program-XXXXXX";
    struct buf image = {0};
    int status = -1;
    assert_non_null(mkdtemp(dir));
    char *where = program_path(), *copy = str_printf("%s/copy", dir);
    assert_null(file_read(where, (size_t)256 * 1024 * 1024, &image));
    assert_null(file_write_durable(copy, image.p, image.len, 0700));
    pid_t pid = fork();
    if (pid == 0) {
        execl(copy, copy, "--replaced", (char *)NULL);
        _exit(2);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    unlink(copy);
    rmdir(dir);
    buf_free(&image);
    mem_free(where);
    mem_free(copy);
}
#endif

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_the_running_file),
#ifdef __linux__
        cmocka_unit_test(test_survives_an_upgrade_in_its_place),
#endif
    };
    if (argc == 2)
        return be_replaced(argv[0]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
