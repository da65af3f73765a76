/* The PostgreSQL image and its entry point, as a program that runs step after step in the pod's process (under the
 * guard, as the unprivileged user): build the image, play the init container, initdb a new volume, load the seed's
 * content, become postgres.
 *
 * It behaves like the official image: a volume without PG_VERSION is initialised with superuser POSTGRES_USER and
 * database POSTGRES_DB, by way of a temporary server on the unix socket alone, then the server starts. The init container of the deployment writes postgresql.override.conf (preload
 * libraries and other settings) into PGDATA; it asks for PG_VERSION first, so a new volume runs without preload
 * libraries until the pod is started a second time, unless it is told not to ask. */
#ifndef FERRYMAN_SANDBOX_PG_ENTRY_H
#define FERRYMAN_SANDBOX_PG_ENTRY_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"

#define PG_SUPERUSER "immich" /* the seed's POSTGRES_USER: there is no role "postgres" */
#define PG_DATABASE "immich"
#define PG_APP_USER PG_SUPERUSER
#define PG_PRELOAD "vchord, vectors, pg_prewarm"
#define PG_BOOTING ".booting" /* PGDATA with this behind: a file that is there during a first boot */
#define PG_SEED_ASSETS 111843
#define PG_SEED_ASSETS_SMALL 120

/* Arguments "name=value": root (folder of images, volumes, run), pgdata, bin (of the installed server), address, port,
 * socket (folder), user, database, password (file), initdb (further arguments for it, between spaces), init = gated |
 * ungated | none, preload (what the init container sets shared_preload_libraries to), missing (an extension that
 * the image lacks), drift = none | major (of vector), content = seed | seed-small |
 * empty (what a new volume is filled with), hold (seconds that the first boot's temporary server stays), dir (the
 * sandbox's; stays in the server's command line as the setting ferryman.sandbox). Returns an exit status; on success it
 * does not return but becomes postgres. */
int pg_entry_main(int argc, char **argv);

/* Where an installation keeps its things. All malloc'd. */
struct pg_install {
    char *bin, *share, *lib;
};

/* The newest installed server: /usr/lib/postgresql/N/bin, /usr/pgsql-N/bin, Homebrew's folders, or pg_config's. */
struct err *pg_install_find(char **ret_bin) MUST_CHECK;
/* Its folders, asked of the pg_config beside it. Blocks for some milliseconds: not on the loop. */
struct err *pg_install_read(const char *bin, struct pg_install *ret) MUST_CHECK;
void pg_install_clear(struct pg_install *in);

/* Makes ROOT/images/immich-postgres if it is not there: a copy of bin, links to lib and share, and an extension folder
 * of its own with the stand-ins. *ret_bin: the image's bin folder. Blocks. */
struct err *pg_image_build(const char *root, const struct pg_install *in, char **ret_bin) MUST_CHECK;

/* Takes an extension out of the image at ROOT (its control file gets another name), or puts it back. Nothing happens where
 * there is no image yet. Blocks. */
struct err *pg_image_hide(const char *root, const char *extension, bool hide) MUST_CHECK;

/* Makes vector 1.0.0 the image's default, or 0.8.1 again. As above. */
struct err *pg_image_drift(const char *root, bool major) MUST_CHECK;

/* Runs a program to its end with its stdin from a text (NULL: /dev/null); stdout is collected into out (NULL: passed
 * on). A status other than 0 is an error. Blocks. */
struct err *pg_run(const char *const *argv, const char *input, struct buf *out) MUST_CHECK;

/* The stand-in extensions' files: name below the extension folder and text; the last has a NULL name. */
struct pg_image_file {
    const char *name, *text;
};
extern const struct pg_image_file pg_image_files[];

/* SQL of the seed's content for the database, "@ASSETS@" standing for the number of assets. */
extern const char pg_seed_sql[];

#endif
