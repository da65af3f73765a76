/* --sandbox: a fresh embedded cluster for the command that follows, ended with it. */
#ifndef FERRYMAN_SANDBOX_CHILD_H
#define FERRYMAN_SANDBOX_CHILD_H

#include "base/err.h"

struct cli;
struct sandbox_child;

/* Starts ferryman-sandbox (beside this program, else in the installed place), tells on stderr what it waits for, and returns once it
 * is ready, with cli's plan and kubeconfig pointing into its folder. Blocks: it runs before any loop. */
struct err *sandbox_child_start(struct cli *cli, struct sandbox_child **ret) MUST_CHECK;
/* Ends it (its end of the pipe closes) and waits; removes the folder if it was a temporary one. NULL is allowed. */
void sandbox_child_free(struct sandbox_child *s);
/* The program's path: malloc'd. */
char *sandbox_child_program(const struct cli *cli) MUST_CHECK;

#endif
