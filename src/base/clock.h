/* The two clocks, and times as text.
 *
 * mono: never scaled, counts while the machine is suspended (CLOCK_BOOTTIME where there is one): deadlines, backoff,
 * freshness, leases, arming. plan: wall time, or scaled in the sandbox: windows, retention, schedules. */
#ifndef FERRYMAN_BASE_CLOCK_H
#define FERRYMAN_BASE_CLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

#define CLOCK_NS_PER_MS INT64_C(1000000)
#define CLOCK_NS_PER_S INT64_C(1000000000)
#define CLOCK_MS_PER_S INT64_C(1000)

int64_t clock_mono_ns(void);
int64_t clock_mono_ms(void);
int64_t clock_wall_ms(void); /* Unix time in milliseconds, UTC */
/* Plan time in Unix milliseconds: wall time, or origin + (wall - origin) * scale after clock_plan_scale. */
int64_t clock_plan_ms(void);
/* Only for a sandbox that ferryman started; scale >= 1. */
void clock_plan_scale(double scale, int64_t origin_ms);
double clock_plan_rate(void); /* how many times as fast as the wall's the plan's clock runs; 1 but in a sandbox */
/* And further by so much (a sandbox's `advance`). */
void clock_plan_advance(int64_t ms);

/* RFC 3339 ("2026-04-25T16:18:03Z", with fraction and offset) to Unix milliseconds. Go's zero time gives false. */
bool clock_parse_rfc3339(struct slice text, int64_t *ret_ms);
/* "2026-04-25T16:18:03Z"; buf of at least 32 bytes; returns buf. */
char *clock_format_utc(int64_t unix_ms, char *buf, size_t size);
/* "16:18:03" UTC. */
char *clock_format_hms(int64_t unix_ms, char *buf, size_t size);
/* An age for people, two units at most: "now" below 1 s, "42s", "3m12s", "5h07m", "9d4h", "214d" (from 100 days on).
 * Negative ages (clock skew, times ahead) give "in 3m". buf of at least 24 bytes; returns buf. */
char *clock_format_age(int64_t age_ms, char *buf, size_t size);

#endif
