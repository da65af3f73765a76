/* What the files of snapshot_job.h share. */
#ifndef FERRYMAN_MIGRATE_SNAPSHOT_JOB_PRIVATE_H
#define FERRYMAN_MIGRATE_SNAPSHOT_JOB_PRIVATE_H

#include "migrate/op.h"
#include "migrate/snapshot_job.h"

extern const struct op_job snapshot_take_job;  /* snapshot_job.c */
extern const struct op_job snapshot_prove_job; /* snapshot_prove_job.c */

#endif
