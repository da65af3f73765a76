/* Where a pod could land (safety 20): its template against nodes, attach limits and the pods beside it, as the scheduler would judge them.
 * Pure: documents in, words out. What is not looked at: cpu and memory (the pod comes back to where it was), spread constraints and pod
 * affinity, which are named by place_says_more. */
#ifndef FERRYMAN_MIGRATE_PLACE_JUDGE_H
#define FERRYMAN_MIGRATE_PLACE_JUDGE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

struct json_t;

struct place {
    /* Lists of documents, borrowed: nodes, CSINodes, VolumeAttachments, the pods of the namespace. */
    const struct json_t *nodes, *csinodes, *attachments, *pods;
    const struct json_t *template; /* spec.template of the set */
    const struct json_t *class;    /* the target class, for its allowed topologies; may be NULL */
    const char *driver;            /* of the target class */
    size_t claims;                 /* that one pod mounts */
    /* Whether the driver's own pod serves there; appends why not. NULL: not asked. */
    bool (*driver_serves)(const void *arg, const char *node, struct buf *why);
    const void *arg;
};

/* Whether there is a node for the pod of that name, which has gone: "vault-0: worker-1", or "vault-0: nowhere (worker-1 is cordoned; worker-2
 * has vault-1 (anti-affinity); …)". */
bool place_judge(const struct place *p, const char *pod, struct buf *out);
/* Why one node is none; appends and returns false. */
bool place_node(const struct place *p, const char *pod, const struct json_t *node, struct buf *why);
/* Rules of the template that are not looked at; "" if there are none. */
void place_says_more(const struct json_t *template, struct buf *out);

/* A labelSelector (matchLabels, matchExpressions) against labels; an empty one fits everything. */
bool place_labels_match(const struct json_t *selector, const struct json_t *labels);

#endif
