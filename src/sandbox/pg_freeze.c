/* See pg_freeze.h. */
#include "sandbox/pg_freeze.h"

#include <dirent.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* The parent of a process, from /proc/PID/stat; 0 if it is gone. */
static pid_t parent_of(const char *pid)
{
    char path[64];
    long parent = 0;

    snprintf(path, sizeof path, "/proc/%s/stat", pid);
    FILE *f = fopen(path, "r");
    char line[512];
    const char *name_end = f && fgets(line, sizeof line, f) ? strrchr(line, ')') : NULL;
    if (name_end && sscanf(name_end, ") %*c %ld", &parent) != 1)
        parent = 0;
    if (f)
        fclose(f);
    return (pid_t)parent;
}

static bool is_in(const struct freeze *f, pid_t pid)
{
    for (size_t i = 0; i < f->count; i++)
        if (f->pids[i] == pid)
            return true;
    return false;
}

/* One look at all processes; true if it found another one to stop. */
static bool stop_more(struct freeze *f, pid_t ancestor)
{
    DIR *d = opendir("/proc");
    bool found = false;

    for (const struct dirent *entry; d && (entry = readdir(d));) {
        pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);
        if (pid <= 1 || is_in(f, pid))
            continue;
        pid_t parent = parent_of(entry->d_name);
        if (parent != ancestor && !is_in(f, parent))
            continue;
        if (kill(pid, SIGSTOP) != 0)
            continue;
        f->pids = mem_reallocarray(f->pids, f->count + 1, sizeof f->pids[0]);
        f->pids[f->count++] = pid;
        found = true;
    }
    if (d)
        closedir(d);
    return found;
}

void freeze_descendants(struct freeze *f, pid_t ancestor)
{
    while (stop_more(f, ancestor))
        continue;
}

void freeze_end(struct freeze *f)
{
    for (size_t i = 0; i < f->count; i++)
        kill(f->pids[i], SIGCONT);
    mem_free(f->pids);
    *f = (struct freeze){0};
}
