/* The folder that images, volumes and sockets of PostgreSQL live in, and who they belong to.
 *
 * That is the sandbox's DIR, but when we are root, the servers' user may not be able to pass through it; then it is a
 * folder below /var/tmp, removed at the end, which DIR/images and DIR/volumes link to. A sandbox that was killed leaves
 * its folder; the next one sweeps it. */
#ifndef FERRYMAN_SANDBOX_PG_ROOT_H
#define FERRYMAN_SANDBOX_PG_ROOT_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/err.h"

struct pg_root {
    char *path;          /* has the folders images and volumes */
    char *socket_dir;    /* short enough for a unix socket */
    char *user;          /* NULL: we are not root, servers run as ourselves */
    uid_t uid;
    gid_t gid;
    bool temporary, socket_temporary;
};

/* Volumes of an earlier sandbox in the same DIR are removed. Says on stderr where things are if not in DIR. Blocks. */
struct err *pg_root_make(struct pg_root *ret, const char *dir) MUST_CHECK;
/* A folder for a server's unix socket, with the superuser's password in a file that only the servers' user can read. */
struct err *pg_root_run(const struct pg_root *r, unsigned serial, const char *password, char **ret_folder,
                        char **ret_password_file) MUST_CHECK;
/* A folder that belongs to the servers' user; one that is there is taken. */
struct err *pg_root_folder(const struct pg_root *r, const char *path) MUST_CHECK;
/* The folder of a volume; made, if it is not there (*ret_fresh). */
struct err *pg_root_volume(const struct pg_root *r, const char *handle, char **ret_folder, bool *ret_fresh) MUST_CHECK;
/* Removes what is temporary. Blocks. */
void pg_root_clear(struct pg_root *r);

/* Removes a folder of the sandbox's with all that is in it; says on stderr why it cannot. Links are not followed. */
void pg_root_remove(const char *path);

#endif
