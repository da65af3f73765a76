/* What quiesce stops, as the fact apps: [{kind, ns, name, uid, replicas and selector | suspend (null: it was absent)}]; and who is
 * connected. */
#ifndef FERRYMAN_MIGRATE_POSTGRES_QUIET_H
#define FERRYMAN_MIGRATE_POSTGRES_QUIET_H

#include <stdint.h>

#include "base/buf.h"
#include "migrate/op.h"
#include "migrate/postgres.h"
#include "migrate/postgres_clients.h"

struct json_t;

enum apps_answer {
    APPS_RECORDED,
    APPS_ASK, /* it stands still and was never recorded: a number has to be typed (safety 26) */
};

/* The entry of "deployment/immich-server"; NULL. Borrowed. */
struct json_t *apps_find(const struct json_t *apps, const char *kind_name);
/* Records the object as it is, unless it stands still and was recorded before. keep: the stopping has begun, so what was
 * recorded then stays even if a part of it runs again ("now"). typed: replicas by the operator, or -1. Appends what was recorded, or why not. */
enum apps_answer apps_record(struct json_t *apps, const char *kind_name, const struct json_t *object, bool keep, int64_t typed, struct buf *out);
struct kpath apps_path_jobs(const struct run *r);

/* see functions over postgres_sql_clients: refuses, or only notes, an owner that the plan does not stop; waits until nobody is left. */
enum op_answer postgres_see_owners(struct run *r, struct op *op, const struct seen *seen, struct buf *reason);
enum op_answer postgres_see_owners_note(struct run *r, struct op *op, const struct seen *seen, struct buf *reason);
enum op_answer postgres_see_alone(struct run *r, struct op *op, const struct seen *seen, struct buf *reason);

#endif
