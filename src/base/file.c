#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"

enum { READ_STEP = 64 * 1024 };

/* Reads until the end, into b. */
static struct err *read_all(int fd, const char *path, size_t max, struct buf *b)
{
    for (;;) {
        buf_reserve(b, READ_STEP);
        ssize_t n = read(fd, b->p + b->len, READ_STEP);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_sys(errno, "cannot read %s", path);
        if (n == 0)
            return NULL;
        b->len += (size_t)n;
        b->p[b->len] = '\0';
        if (b->len > max)
            return err_new(ERR_DATA, "%s is larger than the %zu bytes that are allowed", path, max);
    }
}

struct err *file_read(const char *path, size_t max, struct buf *ret)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return err_sys(errno, "cannot open %s", path);
    struct buf b = {0};
    struct err *e = read_all(fd, path, max, &b);
    close(fd);
    if (e) {
        buf_free(&b);
        return e;
    }
    buf_free(ret);
    *ret = b;
    return NULL;
}

static int write_all(int fd, const char *p, size_t n)
{
    while (n > 0) {
        ssize_t done = write(fd, p, n);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return -1;
        p += done;
        n -= (size_t)done;
    }
    return 0;
}

/* Makes a rename in the folder of `path` durable. */
static int sync_folder(const char *path)
{
    char *dir = file_dirname(path);
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    mem_free(dir);
    if (fd < 0)
        return -1;
    int rc = fsync(fd);
    int saved = errno;
    close(fd);
    errno = saved;
    return rc;
}

/* Fills the temporary file; the descriptor is closed in any case. */
static int fill(int fd, const void *p, size_t n, unsigned mode)
{
    int rc = fchmod(fd, (mode_t)mode) || write_all(fd, p, n) || fsync(fd) ? -1 : 0;
    int saved = errno;
    if (close(fd) && rc == 0)
        return -1;
    errno = saved;
    return rc;
}

struct err *file_write_durable(const char *path, const void *p, size_t n, unsigned mode)
{
    char *tmp = str_printf("%s.XXXXXX", path);
    struct err *e = NULL;
    int fd = mkostemp(tmp, O_CLOEXEC);
    if (fd < 0)
        e = err_sys(errno, "cannot create a temporary file beside %s", path);
    else if (fill(fd, p, n, mode) || rename(tmp, path)) {
        e = err_sys(errno, "cannot write %s", path);
        unlink(tmp);
    } else if (sync_folder(path)) {
        e = err_sys(errno, "cannot sync the folder of %s", path);
    }
    mem_free(tmp);
    return e;
}

/* Judges a folder that was there before. */
static struct err *check_folder(const char *path, unsigned mode)
{
    struct stat st;
    if (stat(path, &st))
        return err_sys(errno, "cannot look at %s", path);
    if (!S_ISDIR(st.st_mode))
        return err_new(ERR_FAILED, "%s is not a folder; move it away", path);
    if (st.st_uid != geteuid())
        return err_new(ERR_DENIED, "folder %s belongs to user %lu, not to us; move it away or change its owner", path,
                       (unsigned long)st.st_uid);
    if (st.st_mode & 0777 & ~mode)
        return err_new(ERR_DENIED, "folder %s is open to others (mode %03o); run: chmod %o %s", path,
                       (unsigned)st.st_mode & 0777, mode, path);
    return NULL;
}

/* Creates the parents of `path`, private to us; ones that are there are left as they are. */
static struct err *make_parents(const char *path)
{
    char *parent = file_dirname(path);
    struct err *e = NULL;
    if (!file_exists(parent)) {
        e = make_parents(parent);
        if (!e && mkdir(parent, 0700) && errno != EEXIST)
            e = err_sys(errno, "cannot create folder %s", parent);
    }
    mem_free(parent);
    return e;
}

struct err *file_mkdirs(const char *path, unsigned mode)
{
    struct err *e = make_parents(path);
    if (e)
        return e;
    if (mkdir(path, (mode_t)mode) == 0)
        return chmod(path, (mode_t)mode) ? err_sys(errno, "cannot set the mode of folder %s", path) : NULL;
    if (errno != EEXIST)
        return err_sys(errno, "cannot create folder %s", path);
    return check_folder(path, mode);
}

bool file_exists(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0;
}

char *file_dirname(const char *path)
{
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/')
        n--;
    while (n > 0 && path[n - 1] != '/')
        n--;
    if (n == 0)
        return mem_strdup(".");
    while (n > 1 && path[n - 1] == '/')
        n--;
    return mem_strndup(path, n);
}

/* $HOME, else what the user database says, else the root. */
static const char *home_dir(void)
{
    const char *home = getenv("HOME");
    if (home && *home == '/')
        return home;
    const struct passwd *pw = getpwuid(geteuid());
    return pw && pw->pw_dir && *pw->pw_dir == '/' ? pw->pw_dir : "/";
}

/* "dir/rest" with one slash between. */
static char *join(const char *dir, const char *rest)
{
    return str_printf("%s%s%s", dir, str_ends(dir, "/") ? "" : "/", rest);
}

char *file_resolve(const char *dir, const char *path)
{
    if (str_eq(path, "~"))
        return mem_strdup(home_dir());
    if (str_starts(path, "~/"))
        return join(home_dir(), path + 2);
    if (*path == '/' || !dir || !*dir)
        return mem_strdup(path);
    return join(dir, path);
}

/* An XDG folder; the base directory specification says that a relative one is to be ignored. */
static char *xdg_dir(const char *variable, const char *below_home)
{
    const char *base = getenv(variable);
    if (base && *base == '/')
        return join(base, "ferryman");
    if (!below_home)
        return NULL;
    char *folder = join(home_dir(), below_home);
    char *dir = join(folder, "ferryman");
    mem_free(folder);
    return dir;
}

char *file_config_dir(void)
{
    return xdg_dir("XDG_CONFIG_HOME", ".config");
}

char *file_state_dir(void)
{
    return xdg_dir("XDG_STATE_HOME", ".local/state");
}

char *file_runtime_dir(void)
{
    char *dir = xdg_dir("XDG_RUNTIME_DIR", NULL);
    if (dir)
        return dir;
    char *state = file_state_dir();
    dir = join(state, "run");
    mem_free(state);
    return dir;
}
