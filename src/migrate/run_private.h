/* What the files of a run share. Nothing outside src/migrate/run*.c and op*.c includes it. */
#ifndef FERRYMAN_MIGRATE_RUN_PRIVATE_H
#define FERRYMAN_MIGRATE_RUN_PRIVATE_H

#include "migrate/run.h"

struct run_pg;

struct run_pg *run_pg_new(struct run *r);
void run_pg_free(struct run_pg *p);
/* Why a session that was kept in this phase is gone, if it was lost while no runner was at work: told once; NULL. */
struct err *run_pg_take_loss(struct run *r, const char *phase) MUST_CHECK;

/* op_runner.c: ends what is under way because something that it rests on is gone. e is taken over. */
void op_runner_fail(struct op_runner *x, struct err *e);
const char *op_runner_phase(const struct op_runner *x);

#endif
