/* Judging pod templates, whatever runs in them (design §8, hazards 2 and 18): pure, manifests in, words out. Each returns whether it may go
 * on; what was found is appended either way. */
#ifndef FERRYMAN_MIGRATE_POD_JUDGE_H
#define FERRYMAN_MIGRATE_POD_JUDGE_H

#include <stdbool.h>

#include "base/buf.h"

struct json_t;

/* A container that does not run as root gets a block volume only with fsGroup, or with an init container that is root and chowns. */
bool pod_judge_owner(const struct json_t *pod_spec, const char *volume, struct buf *out);
/* How the pod that would be made now differs from the one that runs: images, commands, security contexts, resources, names of environment
 * variables, init containers, mounts, volumes. True: it does not. Values of the environment are not compared: they may be secrets. */
bool pod_judge_same(const struct json_t *running, const struct json_t *would, struct buf *out);
/* Whether every container of that name has the same image in both; appends those that differ. */
bool pod_judge_images(const struct json_t *running, const struct json_t *would, struct buf *out);

/* Commands and arguments in one line. */
void pod_command_text(const struct json_t *command, struct buf *out);
/* Whether the container mounts the volume and may write to it. */
bool pod_may_write(const struct json_t *container, const char *volume);

#endif
