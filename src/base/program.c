#include "base/program.h"

#include <limits.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>
#ifdef __APPLE__
#include <mach-o/dyld.h>
#endif

#include "base/mem.h"

#ifdef __APPLE__
char *program_path(void)
{
    char path[PATH_MAX];
    uint32_t size = sizeof path;
    return _NSGetExecutablePath(path, &size) == 0 ? mem_strdup(path) : NULL;
}

char *program_again(const char *otherwise)
{
    char *path = program_path();
    return path ? path : mem_strdup(otherwise);
}
#else
#define LINK "/proc/self/exe"

char *program_path(void)
{
    static const char gone[] = " (deleted)"; /* which Linux adds when another file lies there, or none */
    char path[PATH_MAX];
    ssize_t n = readlink(LINK, path, sizeof path - 1);
    if (n <= 0)
        return NULL;
    size_t len = (size_t)n, tail = sizeof gone - 1;
    path[len] = '\0';
    if (len > tail && memcmp(path + len - tail, gone, tail) == 0 && access(path, F_OK) != 0)
        path[len - tail] = '\0';
    return mem_strdup(path);
}

/* By its path when that still leads to it, because the name then shows in ps; else by the link, which always does. */
char *program_again(const char *otherwise)
{
    char path[PATH_MAX];
    ssize_t n = readlink(LINK, path, sizeof path - 1);
    if (n <= 0)
        return mem_strdup(otherwise);
    path[n] = '\0';
    return mem_strdup(access(path, X_OK) == 0 ? path : LINK);
}
#endif
