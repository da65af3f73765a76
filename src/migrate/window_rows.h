/* A window as rows of T_WINDOWS and T_WINDOW_GATES. */
#ifndef FERRYMAN_MIGRATE_WINDOW_ROWS_H
#define FERRYMAN_MIGRATE_WINDOW_ROWS_H

#include <stdbool.h>

#include "migrate/window.h"

struct run;

struct window_rules window_rules_of(const struct run *r);
/* phase: its id. interrupted: nobody samples it now. */
void window_rows(struct run *r, const struct window *w, const char *phase, bool interrupted);
void window_rows_remove(struct run *r);

#endif
