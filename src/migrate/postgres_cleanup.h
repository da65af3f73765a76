/* What may be purged (safety 30), and removing a dump. */
#ifndef FERRYMAN_MIGRATE_POSTGRES_CLEANUP_H
#define FERRYMAN_MIGRATE_POSTGRES_CLEANUP_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"
#include "migrate/op.h"

struct json_t;

struct cleanup_facts {
    const char *uid, *handle, *claim_uid; /* of the retired volume and claim, from the journal */
    bool (*in_source)(void *arg, const char *class);
    void *arg;
};

/* Whether the volume's object may be deleted: it is the one of the journal, Released by the retired claim, of a source class, and no
 * other of `all` (a list) lies on the same, a parent or a lower path of its server. Appends why not. */
bool cleanup_may_purge(const struct cleanup_facts *f, const struct json_t *volume, const struct json_t *all, struct buf *reason);
/* The file or folder, its HMAC and its manifest; what is not there is passed over. Blocks. */
struct err *cleanup_remove_dump(const char *file) MUST_CHECK;
/* The dump that the fact names goes, on a thread. Nothing, if there is none. */
void cleanup_script_purge(struct run *r, struct script *s, const char *id, const char *fact);

#endif
