/* `kubectl port-forward` as a child, kept alive: gives a local port that leads to PostgreSQL in a pod. */
#ifndef FERRYMAN_CLIENT_PG_FORWARD_H
#define FERRYMAN_CLIENT_PG_FORWARD_H

#include "base/err.h"

struct loop;
struct pg_forward;

struct pg_forward_options {
    const char *const *kubectl;   /* kubectl and the arguments that choose the cluster, NULL-terminated */
    const char *ns, *object;      /* "deployment/immich-postgresql" */
    unsigned port;                /* in the pod */
    void (*on_port)(void *arg, unsigned port);          /* it listens on 127.0.0.1:port */
    void (*on_end)(void *arg, const struct err *e);     /* it has ended (borrowed); last callback, free is allowed in it */
    void *arg;
};

/* The options' strings are used during the call only. An error means that it was not started: no callback comes then. */
struct err *pg_forward_start(struct loop *l, const struct pg_forward_options *o, struct pg_forward **ret) MUST_CHECK;
void pg_forward_free(struct pg_forward *f);

#endif
