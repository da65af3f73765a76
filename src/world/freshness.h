/* How fresh a fact is: derived from the row of its source, by this one function for screens, gates and --json alike. */
#ifndef FERRYMAN_WORLD_FRESHNESS_H
#define FERRYMAN_WORLD_FRESHNESS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

struct world;
struct row;

enum freshness { FRESH_LIVE, FRESH_POLLED, FRESH_STALE, FRESH_DENIED, FRESH_DOWN, FRESH_OFF, FRESH_STARTING };

struct fresh {
    enum freshness state;
    int64_t age_ms;          /* since the last proof of life; -1 if there never was one */
};

/* Of any row; rows of T_SOURCES judge themselves. A source that is unknown or has gone is DOWN. A LIVE or POLLED
 * source whose last_ok is older than its stale_after is STALE, whatever its row says. Rows that ferryman itself makes
 * (plan, timeline) are LIVE with age 0: their src is "". */
struct fresh world_freshness(const struct world *w, const struct row *r);
struct fresh world_source_freshness(const struct world *w, const char *src);
/* A fact that gates and acts may rest on: LIVE or POLLED. */
bool fresh_usable(struct fresh f);
const char *freshness_name(enum freshness f); /* "LIVE", … */
enum freshness freshness_by_name(struct slice word); /* FRESH_DOWN for what it does not know */

#endif
