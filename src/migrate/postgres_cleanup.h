/* Removing a dump; what of volumes may be purged is retired_volume.h. */
#ifndef FERRYMAN_MIGRATE_POSTGRES_CLEANUP_H
#define FERRYMAN_MIGRATE_POSTGRES_CLEANUP_H

#include "base/err.h"
#include "migrate/op.h"

/* The file or folder, its HMAC and its manifest; what is not there is passed over. Blocks. */
struct err *cleanup_remove_dump(const char *file) MUST_CHECK;
/* The dump that the fact names goes, on a thread. Nothing, if there is none. */
void cleanup_script_purge(struct run *r, struct script *s, const char *id, const char *fact);

#endif
