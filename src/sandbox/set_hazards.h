/* What can go wrong in the cluster while Vault's set is moved. */
#ifndef FERRYMAN_SANDBOX_SET_HAZARDS_H
#define FERRYMAN_SANDBOX_SET_HAZARDS_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"

struct sandbox;

struct err *set_fsgroup_missing(struct sandbox *s, bool on);
struct err *set_ordered_ready(struct sandbox *s, bool on);
struct err *set_helm_upgrade(struct sandbox *s, bool on);
struct err *set_nowhere_to_land(struct sandbox *s, bool on);
struct err *set_claim_mounted(struct sandbox *s, bool on);
struct err *set_pvc_race(struct sandbox *s, bool on);
struct err *set_retain_reverted(struct sandbox *s, bool on);
struct err *set_circle(struct sandbox *s, bool on);
/* hazard recreate-pod|revert-retain CLAIM: what the plants of two of them carry out. */
struct err *set_run_hazard(struct sandbox *s, int argc, char **argv, struct buf *out) MUST_CHECK;

#endif
