/* Who is connected to the server: each client mapped to what owns it (safety 3). */
#ifndef FERRYMAN_MIGRATE_POSTGRES_CLIENTS_H
#define FERRYMAN_MIGRATE_POSTGRES_CLIENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/str.h"

struct json_t;
struct run;

enum client_is {
    CLIENT_OURS,    /* of this run, or another ferryman that only reads */
    CLIENT_LISTED,  /* of something that the plan's quiesce names */
    CLIENT_UNKNOWN, /* of something else, or of nobody that we know */
};

struct pg_client {
    int64_t pid;
    struct slice user, database, application, address;
    bool self;
};

/* Which pod has that address, and what it belongs to: "deployment/immich-server" ("" and false if nobody is known). */
typedef bool (*client_owner_fn)(void *arg, struct slice address, struct buf *ret_pod, struct buf *ret_owner);

/* run_id: of our journal. quiesce: the plan's list. remembered: {"10.2.0.7":"deployment/x"} of pods that were stopped; may be NULL.
 * Appends to `who` what is known: "user immich, database immich, from pod immich-server-5c (deployment/immich-server)". */
enum client_is client_judge(const struct pg_client *c, const char *run_id, const char *const *quiesce, size_t nquiesce,
                            const struct json_t *remembered, client_owner_fn owner, void *arg, struct buf *who);
/* An owner that looks at the world's pods and jobs; arg is the run. */
bool client_owner_in_world(void *run, struct slice address, struct buf *ret_pod, struct buf *ret_owner);

#endif
