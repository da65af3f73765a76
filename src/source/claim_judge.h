/* The state of a claim, from what its storage is and who uses it. Pure. */
#ifndef FERRYMAN_SOURCE_CLAIM_JUDGE_H
#define FERRYMAN_SOURCE_CLAIM_JUDGE_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/str.h"
#include "source/storage_judge.h"

struct claim_facts {
    struct slice phase;
    bool deleting;
    enum storage_backend backend;
    bool volume_missing;   /* it names a volume that is not there, so its backend is what its class promises */
    bool on_target;        /* its class is the plan's target */
    bool unproved;         /* the plan requires encryption, and the evidence does not declare it */
    bool may_remain;       /* the plan lets it stay */
    bool has_plan;
    /* Who uses it (pods that are not finished, templates), by what they are. */
    bool plan_mounts; /* a pod or template of a workload of the plan; or it is named by a template of the plan's set */
    bool plan_mounted;     /* that was so, or the workload beside it has moved away from such a claim */
    bool others_mount;     /* other pods or templates that run for long */
    bool stateful_mounts;  /* a pod or template of a stateful set */
    struct slice database; /* image of a database that mounts it; absent if none */
};

/* Returns the word for the STATE column; what it rests on, beyond the storage itself, is appended to `why` ("" if
 * nothing need be said). */
const char *claim_judge(const struct claim_facts *f, struct buf *why);

#endif
