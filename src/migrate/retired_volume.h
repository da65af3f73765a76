/* The volume of a claim that was retired, at the end of its retention (safety 30): by uid and handle from the journal, never by name. Its
 * object is deleted when it is Released by that very claim, of a source class of the plan, and no other volume lies on the same, a parent or
 * a lower path of its server. Deleting a Retain volume frees nothing: where its data lies is handed to the caller, to be printed. */
#ifndef FERRYMAN_MIGRATE_RETIRED_VOLUME_H
#define FERRYMAN_MIGRATE_RETIRED_VOLUME_H

#include <stdbool.h>

#include "base/buf.h"
#include "migrate/op.h"

struct json_t;

struct retired_volume {
    const char *name, *uid, *handle; /* handle: NULL or "" if it has none */
    const char *claim_uid;           /* of the claim that it was released by */
};

/* Which classes a volume may be of. what: "a source class of the plan" */
struct retired_classes {
    bool (*has)(void *arg, const char *class);
    void *arg;
    const char *what;
};

/* Whether the object may be deleted; appends why not. all: a list of every volume, or NULL. */
bool retired_may_purge(const struct retired_volume *v, const struct json_t *volume, const struct json_t *all, const struct retired_classes *classes,
                       struct buf *reason);
/* Where an NFS volume lies: in-tree, or by csi-driver-nfs, whose volumes lie in folders below one share (attribute subdir, or the third
 * field of the handle). False: it is none. Both are the caller's. */
bool retired_nfs(const struct json_t *volume, char **ret_server, char **ret_path);
/* "server:path", or the handle, of a volume's object: where its data stays. */
void retired_place(const struct json_t *volume, const char *handle, struct buf *out);
/* Waits until it is Released and judges it among all volumes; told gets its place. Strings of v are copied. Each operation of these is done
 * at once if the volume is gone. */
void retired_script_look(struct run *r, struct script *s, const struct retired_volume *v,
                         void (*told)(struct run *r, const char *volume, const char *place));
/* Deletes it by uid, judged once more right before, and waits until it is gone. */
void retired_script_purge(struct run *r, struct script *s, const struct retired_volume *v,
                          void (*told)(struct run *r, const char *volume, const char *place));

/* One that this run made and a rollback left Released: its policy becomes Delete, so that its driver removes it and its data. Only of the
 * plan's target class, by uid, Released by the claim of this run. */
void retired_script_discard(struct run *r, struct script *s, const struct retired_volume *v);

#endif
