/* The hours of a plan: when a phase may begin (safety 37). */
#ifndef FERRYMAN_MIGRATE_PLAN_HOURS_H
#define FERRYMAN_MIGRATE_PLAN_HOURS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

/* Whether the moment lies within "08:00-22:00 Europe/London" (no zone: UTC; from later than to: over midnight; NULL: always). Appends why
 * not: the time there, and when it may. A zone that the system does not know is never open. Changes TZ for a moment: for the loop's thread. */
bool plan_hours_open(const char *hours, int64_t unix_ms, struct buf *reason);

#endif
