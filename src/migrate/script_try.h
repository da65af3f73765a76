/* A GET that may be refused or find nothing: for kinds that a cluster need not have, and that nobody has to be allowed to read. */
#ifndef FERRYMAN_MIGRATE_SCRIPT_TRY_H
#define FERRYMAN_MIGRATE_SCRIPT_TRY_H

#include "migrate/op.h"

/* Like script_get, but an answer of 403 or 404 is one, too: seen->doc is NULL then, seen->status says which. The op's data is the job's. */
struct op *script_try(struct script *s, const char *id, const char *what, const char *path, op_see_fn see);

#endif
