/* Between pg.c (the part, its scenarios and commands), pg_job.c (the pods) and pg_service.c (the Service). */
#ifndef FERRYMAN_SANDBOX_PG_PRIVATE_H
#define FERRYMAN_SANDBOX_PG_PRIVATE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "sandbox/loopback.h"
#include "sandbox/pg_freeze.h"
#include "sandbox/pg_root.h"

struct child;
struct pg_pod;
struct pod_info;
struct sandbox;
struct tcp_forward;
struct timer;

#define PG_HOLD "postgres"
#define PG_PORT 5432
#define PG_MISSING "vchord" /* what the image lacks in the scenario pg-extension-missing */
#define PG_SLOW_FIRST_BOOT_S 4
#define PG_IMAGE "ghcr.io/immich-app/postgres"
#define PG_MOUNT "/var/lib/postgresql/data"

/* A pod of the database from its start to its end. */
struct pg_job {
    struct pg_job *next;
    struct sandbox *s;
    char *ns, *name;
    char *pgdata, *run_dir, *password_file;
    char *user, *database, *initdb_args;
    char address[LOOPBACK_SIZE];
    unsigned port;
    const char *init;    /* as pg_entry_main takes it */
    bool restarted;      /* the container was: init containers do not run again */
    bool in_place;       /* the server restarts inside its container: nobody else is told */
    const char *content;
    struct pg_pod *pod;  /* NULL: held back */
};

struct pg {
    struct pg_root root;
    char *self, *bin;
    struct tcp_forward *service;
    bool held_start;     /* sandbox_hold is in force */
    bool seeded;
    bool ungated_init, lost_found, no_preload, no_extension, major_drift, slow_first_boot, early_probe;
    int64_t hold_until_ms; /* of the scenario pg-restart; mono */
    struct timer *hold_timer;
    struct pg_job *jobs;
    unsigned serial;     /* of run folders */
    struct child *sql;
    struct freeze frozen; /* by the command */
};

struct pg *pg_of(struct sandbox *s);
/* The start of the sandbox no longer waits for PostgreSQL. */
void pg_release(struct sandbox *s);
/* The last server has ended: frees the part. */
void pg_finish(void *arg);

extern const struct pod_backend pg_backend;
struct pg_job *pg_find(struct pg *pg, const char *ns, const char *name);
/* The job whose server answers for the Service, or any that is ready. */
struct pg_job *pg_serving(struct sandbox *s);
void pg_job_run(struct pg_job *j);
void pg_job_free(struct pg *pg, struct pg_job *job);

/* The Service's address, in front of the pod that its EndpointSlices call ready. */
struct err *pg_service_start(struct sandbox *s) MUST_CHECK;
/* Looks anew, at the end of this turn, whether it leads anywhere. */
void pg_service_update(struct sandbox *s);
/* The pod that it leads to now; false: none. The names are malloc'd. */
bool pg_service_pod(struct sandbox *s, char **ret_ns, char **ret_name);

#endif
