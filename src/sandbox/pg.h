/* The sandbox's PostgreSQL part: a real server behind every pod of deployment immich/immich-postgresql.
 *
 * A volume is the folder DIR/volumes/<volume handle>; the data is in its folder pgdata. The first volume that a pod
 * starts on holds the seed's content; any other empty volume is first booted as the image does it. The server keeps one
 * loopback port for the life of the sandbox, as a Service would. Started as root, servers run as an unprivileged user,
 * and if that user cannot pass through DIR, images and volumes are in a folder below /var/tmp that DIR links to. */
#ifndef FERRYMAN_SANDBOX_PG_H
#define FERRYMAN_SANDBOX_PG_H

#include <stdbool.h>

struct sandbox;
struct sandbox_part;

#define PG_NAMESPACE "immich"
#define PG_APP "immich-postgresql"

extern const struct sandbox_part pg_part;

/* Whether a server accepts connections. */
bool pg_is_up(struct sandbox *s);

#endif
