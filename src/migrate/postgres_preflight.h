/* Parts of preflight in files of their own. Private to postgres_*.c. */
#ifndef FERRYMAN_MIGRATE_POSTGRES_PREFLIGHT_H
#define FERRYMAN_MIGRATE_POSTGRES_PREFLIGHT_H

#include "migrate/preflight.h"

/* Columns of postgres_sql_server. */
enum { SERVER_NUMBER, SERVER_VERSION, SERVER_IDENTIFIER, SERVER_SUPER, SERVER_USER, SERVER_DIR, SERVER_PRELOAD, SERVER_RECOVERY,
       SERVER_PREPARED, SERVER_SLOTS, SERVER_BYTES, SERVER_WAL, SERVER_WORK_MEM, SERVER_WORKERS, SERVER_BOOTSTRAP };

/* The pod that runs and the one that would be made now (postgres_would.c). */
void preflight_script_pod(struct run *r, struct script *s);
/* The claim as the API server would take it: quotas, limit ranges, webhooks. */
void preflight_script_claim(struct run *r, struct script *s);
/* What we need ourselves does not come from what is stopped (postgres_circle.c; safety 22). */
void preflight_script_circles(struct run *r, struct script *s);
/* pg_dumpall and psql for this server; room for the dump (postgres_programs.c). */
void preflight_script_programs(struct run *r, struct script *s);
void preflight_script_room(struct run *r, struct script *s);

#endif
