/* Stops processes with all their descendants for a moment, so that their files stand still. */
#ifndef FERRYMAN_SANDBOX_PG_FREEZE_H
#define FERRYMAN_SANDBOX_PG_FREEZE_H

#include <stddef.h>
#include <sys/types.h>

struct freeze {
    pid_t *pids;
    size_t count;
};

/* SIGSTOP to the descendants of a process, not to itself; those that are made meanwhile, too. Adds to *f. Linux only:
 * elsewhere nothing is stopped. */
void freeze_descendants(struct freeze *f, pid_t ancestor);
/* Lets them go on and clears *f. */
void freeze_end(struct freeze *f);

#endif
