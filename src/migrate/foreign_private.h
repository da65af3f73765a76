/* For tests: shorter times. */
#ifndef FERRYMAN_MIGRATE_FOREIGN_PRIVATE_H
#define FERRYMAN_MIGRATE_FOREIGN_PRIVATE_H

#include <stdint.h>

struct foreign;

/* From the next round on: between two rounds, and before a second look. */
void foreign_pace(struct foreign *f, int64_t every_ms, int64_t again_ms);

#endif
