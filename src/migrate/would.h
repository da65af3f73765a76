/* What the API server would make of an object: POST with dryRun=All, as a job. Quotas, limit ranges and webhooks speak there (safety 20, 37:
 * a webhook that refuses for being a dry run is a note, not a stop). */
#ifndef FERRYMAN_MIGRATE_WOULD_H
#define FERRYMAN_MIGRATE_WOULD_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"
#include "migrate/op.h"

struct json_t;
struct kube_ask;
struct run;

struct would {
    struct run *run;        /* set when it is tried */
    struct json_t *body;    /* owned; what is tried. Operations before the job may set it */
    struct json_t *running; /* owned: for the judge, e.g. the spec of the pod that runs */
    /* Judges what the server answered; appends the result. False: it stops the phase. */
    bool (*judge)(struct would *w, const struct json_t *answer, struct buf *out);
    char *path;             /* private from here on */
    unsigned refs;
    struct op *op;
    struct kube_ask *ask;
};

struct would *would_new(const char *collection, bool (*judge)(struct would *w, const struct json_t *answer, struct buf *out)) MUST_CHECK;
/* The op's data is this one from now on: for operations that read what the body is made of. */
void would_give(struct op *op, struct would *w);
void would_unref(struct would *w);
/* Appends the job; takes the caller's reference over. */
struct op *script_would(struct script *s, const char *id, const char *what, struct would *w);

/* A pod made of a template (spec.template of whatever has one), under a generated name, to be tried alone. */
struct json_t *would_pod(const char *ns, const struct json_t *template) MUST_CHECK;

#endif
