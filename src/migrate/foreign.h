/* Watches the fields that a run relies on (run_watch_field) while a phase is under way: a foreign change pauses it (safety 27). */
#ifndef FERRYMAN_MIGRATE_FOREIGN_H
#define FERRYMAN_MIGRATE_FOREIGN_H

#include <stdbool.h>

struct foreign;
struct run;

/* on_change: a field is not as expected, seen twice in a row; told once until it is as expected again. manager: from managedFields, ""
 * if it does not tell. expected and found are JSON texts. Callbacks come from the loop. */
struct foreign *foreign_new(struct run *r,
                            void (*on_change)(void *arg, const char *label, const char *expected, const char *found, const char *manager),
                            void *arg);
void foreign_free(struct foreign *f); /* NULL is allowed */
/* It asks only while it is on: a phase is under way. Off at first. */
void foreign_turn(struct foreign *f, bool on);

#endif
