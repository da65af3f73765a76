/* A pod's log, followed from before it is told to end until its object has gone: what it says last cannot be read afterwards. */
#ifndef FERRYMAN_MIGRATE_POSTGRES_TAIL_H
#define FERRYMAN_MIGRATE_POSTGRES_TAIL_H

#include "base/str.h"
#include "migrate/op.h"
#include "migrate/run.h"

struct tail;

/* Two holders at least: the operation that starts it, and the one that looks at what was said. path: …/log?…&follow=true */
struct tail *tail_new(const char *path);
struct tail *tail_ref(struct tail *t);
void tail_unref(void *tail);
/* A job whose data is the tail: done once it is followed, or cannot be. The following goes on in the background. */
extern const struct op_job tail_job;
struct slice tail_text(const struct tail *t);
const char *tail_error(const struct tail *t); /* why it could not be read at all; NULL */

#endif
