/* A shell for the pods that nothing real stands behind: as much of sh, and of id, echo, cat, dd, df, touch, rm, tr, tail, head, test as
 * scripts need that look after a volume. Nothing is executed and no file is touched; files live in its memory. A command that it does not
 * know succeeds without a word. */
#ifndef FERRYMAN_SANDBOX_TOY_SHELL_H
#define FERRYMAN_SANDBOX_TOY_SHELL_H

#include <stdint.h>

#include "base/buf.h"

struct toy_shell {
    int64_t uid, gid;
    const char *groups;                                  /* "1000 1001" */
    const char *(*refuses)(void *arg, const char *path); /* why the path cannot be written ("Permission denied"); NULL: it can */
    void *arg;
};

/* Appends what it writes (both streams) and returns the exit status. */
int toy_shell_run(const struct toy_shell *sh, const char *script, struct buf *out);

#endif
