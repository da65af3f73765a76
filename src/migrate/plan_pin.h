/* Writing identities into a plan's text (`ferryman plan check --pin`): everything else stays byte for byte. */
#ifndef FERRYMAN_MIGRATE_PLAN_PIN_H
#define FERRYMAN_MIGRATE_PLAN_PIN_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

/* Puts the uid of the cluster (workload NULL) or a workload's identity (of its database the system
 * identifier, of its Vault the cluster_id) into the text of a plan that has no
 * fault. Replaces *text by the new text; *ret_changed false: the same value stands there already. ERR_DATA with FILE:LINE:COLUMN if another one
 * does, or if this plan is written in a way that cannot be added to. */
struct err *plan_pin(struct buf *text, const char *file, const char *workload, const char *value, bool *ret_changed) MUST_CHECK;

#endif
