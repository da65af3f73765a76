/* Processes of the sandbox that must not outlive it, and that may not run as root.
 *
 * `ferryman-sandbox --guard [--user NAME] [--patience MS] -- PROGRAM [ARG…]` runs PROGRAM as a child in a process group
 * of its own, and ends it when its standard input reaches EOF: the sandbox holds the other end, so the kernel closes it
 * even after kill -9. It ends it on SIGTERM too. The child gets SIGINT (PostgreSQL: fast shutdown), then SIGQUIT
 * (immediate), then SIGKILL. SIGUSR1 kills the child at once, as an out-of-memory kill does; SIGHUP is passed on. The
 * guard's exit status is the child's, or 128 plus the signal that ended it. With --user, the guard itself gives up being
 * root, too.
 *
 * PROGRAM "@pg-entry" is the PostgreSQL image's entry point (pg_entry.h), run without an exec, so that the program's
 * file need not be readable to the unprivileged user. */
#ifndef FERRYMAN_SANDBOX_GUARD_H
#define FERRYMAN_SANDBOX_GUARD_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/err.h"

/* How long each way of ending the child gets before the next, in milliseconds. */
#define GUARD_FAST_MS 5000
#define GUARD_IMMEDIATE_MS 2000

/* The program of `ferryman-sandbox --guard`; argv[0] is "--guard". Returns the exit status. */
int guard_main(int argc, char **argv);

/* The user that servers run as when we are root: "postgres" if there is one, else "nobody". Name is malloc'd; NULL if
 * we are not root (nothing to change). */
struct err *guard_user(char **ret_name, uid_t *ret_uid, gid_t *ret_gid) MUST_CHECK;

/* Whether a user with this uid and gid can pass through every folder of the (existing, absolute) path. */
bool guard_can_traverse(const char *path, uid_t uid, gid_t gid);

#endif
