/* PostgreSQL → pg_servers, databases, extensions, settings, activity, progress, indexes, by libpq's asynchronous interface, direct or
 * through `kubectl port-forward`. Read-only: every session sets default_transaction_read_only and a statement_timeout. */
#ifndef FERRYMAN_SOURCE_PG_SOURCE_H
#define FERRYMAN_SOURCE_PG_SOURCE_H

#include <stdint.h>

#include "world/world.h"

struct loop;
struct pg_source;

struct pg_source_options {
    struct loop *loop;
    struct world *world;
    const char *workload, *ns, *deployment;
    const char *conninfo;            /* libpq's; NULL or what it leaves out: libpq's own defaults and environment */
    const char *database;            /* NULL: conninfo's */
    const char *password_file;       /* passed on as passfile when it is pgpass-shaped, else read as the password; NULL */
    const char *const *preload;      /* libraries that the plan wants preloaded, NULL-terminated; may be NULL */
    /* port-forward: kubectl's arguments that choose the cluster (--kubeconfig FILE --context NAME); NULL: direct */
    const char *const *kubectl;      /* e.g. {"kubectl", "--kubeconfig", "…", "--context", "…", NULL} */
    unsigned port;                   /* in the pod */
    int64_t poll_ms;                 /* 0: 5 s for activity and progress, 30 s for the rest */
};

struct pg_source *pg_source_new(const struct pg_source_options *o);
void pg_source_free(struct pg_source *s);
void pg_source_poke(struct pg_source *s);

#endif
