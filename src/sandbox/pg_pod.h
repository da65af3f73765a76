/* One running PostgreSQL: the guard process with the entry point in it, as a child on the loop. */
#ifndef FERRYMAN_SANDBOX_PG_POD_H
#define FERRYMAN_SANDBOX_PG_POD_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

struct loop;
struct pg_pod;

struct pg_pod_options {
    const char *self;     /* path of ferryman-sandbox */
    const char *user;     /* to run as; NULL: as ourselves */
    const char *dir;      /* the sandbox's, so that ps shows whose server it is */
    const char *root, *pgdata, *bin, *socket, *password_file; /* as pg_entry_main takes them */
    const char *superuser, *database, *initdb_args, *init, *preload, *missing, *drift, *content, *address;
    unsigned port;
    int first_boot_s;     /* how long the first boot's temporary server stays */
    void (*on_log)(void *arg, const char *p, size_t n);
    void (*on_first_boot)(void *arg);       /* its temporary server answers, on the unix socket alone */
    void (*on_ready)(void *arg);            /* accepts connections */
    void (*on_exit)(void *arg, int status); /* last callback; pg_pod_free is allowed in it. 128 + n for signal n */
    void *arg;
};

/* The strings are copied. */
struct err *pg_pod_start(struct loop *l, const struct pg_pod_options *o, struct pg_pod **ret) MUST_CHECK;
/* The guard's process, whose descendants the servers are. */
int pg_pod_pid(const struct pg_pod *p);
bool pg_pod_is_ready(const struct pg_pod *p);
void pg_pod_end(struct pg_pod *p);  /* fast shutdown; on_exit follows */
void pg_pod_kill(struct pg_pod *p); /* as the kernel's OOM killer does; on_exit follows with 137 */
/* Ends it if it runs; no callback comes after. */
void pg_pod_free(struct pg_pod *p);

#endif
