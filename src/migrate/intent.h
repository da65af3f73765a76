/* What a console asks of the engine: one JSON object a line, {"verb":"open","workload":"immich-postgres","phase":"dump",…}. */
#ifndef FERRYMAN_MIGRATE_INTENT_H
#define FERRYMAN_MIGRATE_INTENT_H

#include "base/err.h"
#include "base/str.h"

struct intent {
    char *verb;
    char *workload, *phase, *dialog, *typed, *reason, *text, *gate;
    char *ns, *pod, *container; /* log */
};

struct err *intent_parse(struct slice line, struct intent *ret) MUST_CHECK;
void intent_clear(struct intent *in); /* wipes what was typed */

#endif
