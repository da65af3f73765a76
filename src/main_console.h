/* What console and attach share. */
#ifndef FERRYMAN_MAIN_CONSOLE_H
#define FERRYMAN_MAIN_CONSOLE_H

#include <stdbool.h>

#include "base/err.h"

struct cli;

enum console_mode {
    CONSOLE_ACTS,   /* starts an engine when none listens */
    CONSOLE_ATTACH, /* only looks, and starts none */
    CONSOLE_WATCH,  /* only looks, begins with the window, and starts an engine, so that a window that was interrupted goes on */
};

/* Runs a console until it is quit. Returns the exit status. */
int main_console(struct cli *cli, enum console_mode mode);
/* Before a reader of an engine begins: faults of plan and kubeconfig are told, and the engine is started if it may be and none listens. */
struct err *main_console_prepare(struct cli *cli, const char *path, bool may_spawn) MUST_CHECK;

#endif
