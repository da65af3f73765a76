/* What console and attach share. */
#ifndef FERRYMAN_MAIN_CONSOLE_H
#define FERRYMAN_MAIN_CONSOLE_H

#include <stdbool.h>

struct cli;

/* Runs a console until it is quit; may_spawn: starts an engine when none listens. Returns the exit status. */
int main_console(struct cli *cli, bool may_spawn);

#endif
