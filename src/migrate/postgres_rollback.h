/* What a rollback would lose, and what a rehearsal leaves. */
#ifndef FERRYMAN_MIGRATE_POSTGRES_ROLLBACK_H
#define FERRYMAN_MIGRATE_POSTGRES_ROLLBACK_H

#include "migrate/op.h"

struct json_t;
struct run;

/* Appends [{"database","table","rows","writes"}] for every table whose count or sum of writes is another one now. Any may be NULL. */
void rollback_losses(const struct json_t *then, const struct json_t *now, const struct json_t *writes_then, const struct json_t *writes_now,
                     struct json_t *ret);
/* Scratch pod, claim, volume and dump go, by the uids that were noted (postgres_rehearse.c). Nothing, if there are none. */
void rehearse_script_remove(struct run *r, struct script *s);

#endif
