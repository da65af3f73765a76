/* Who else has a hand in an object: what keeps it as it wants it (and would take back what is changed by hand), and what restarts
 * or moves pods by itself (safety 27, 29). Pure functions over documents and rows; preflight prints what they find. */
#ifndef FERRYMAN_MIGRATE_MANAGERS_H
#define FERRYMAN_MIGRATE_MANAGERS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

struct json_t;
struct world;

enum manager_deed {
    MANAGER_REVERTS = 1,  /* puts the object back to what it has on file: a change made by the console is undone */
    MANAGER_UPGRADES = 2, /* writes it when it is run: helm upgrade, terraform apply */
    MANAGER_RESTARTS = 4, /* restarts its pods, or gives them another image */
    MANAGER_SCALES = 8,   /* sets its replicas or requests */
    MANAGER_MOVES = 16,   /* evicts pods, drains nodes */
};

struct manager {
    const char *name;  /* "Argo CD" */
    unsigned deeds;    /* MANAGER_… */
    char evidence[256]; /* clean: "annotation argocd.argoproj.io/tracking-id: immich:apps/Deployment…" */
};

#define MANAGERS_MAX 16

/* From labels, annotations and managedFields of a Deployment, StatefulSet, claim, … (pod templates' annotations too). Each manager
 * once, at most MANAGERS_MAX; returns how many. */
size_t managers_of(const struct json_t *object, struct manager ret[MANAGERS_MAX]);
/* Autoscalers (lists of HorizontalPodAutoscaler, VerticalPodAutoscaler or KEDA ScaledObject documents) that target kind/name. Appends to
 * the n of ret; returns the new n. list may be NULL. */
size_t managers_scaling(const struct json_t *list, const char *kind, const char *name, struct manager ret[MANAGERS_MAX], size_t n);
/* Controllers among the deployments of the world (and pods of daemon sets) that restart or evict pods anywhere: Reloader, Keel, kured,
 * descheduler, Flux' image automation, … */
size_t managers_running(const struct world *w, struct manager ret[MANAGERS_MAX], size_t n);

/* "Argo CD (annotation …) puts it back to what it has on file" for one; in words. */
void manager_text(const struct manager *m, struct buf *out);

/* Who owns the field at a JSON pointer, from managedFields: the newest owner of exactly that field or of what it is part of, else who
 * last wrote anything but status. Appends a clean name, nothing if unknown. */
void managers_owner(const struct json_t *object, const char *pointer, struct buf *out);
/* Whether that owner is we ourselves. */
bool managers_owner_is(const struct json_t *object, const char *pointer, const char *manager);

/* Value at a JSON pointer (RFC 6901), borrowed; NULL if there is none. */
const struct json_t *managers_field(const struct json_t *object, const char *pointer);

#endif
