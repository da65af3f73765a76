/* The vocabulary of states: every word that a COL_STATE column may hold, and how bad it is. Screens derive glyph and
 * colour from the level, --json gives the word, `ferryman status` its exit status. A word that is not listed is
 * LEVEL_UNKNOWN, never healthy. */
#ifndef FERRYMAN_WORLD_STATUS_H
#define FERRYMAN_WORLD_STATUS_H

#include "base/str.h"

enum level { LEVEL_OK, LEVEL_NONE, LEVEL_BUSY, LEVEL_WARN, LEVEL_BAD, LEVEL_UNKNOWN, LEVEL_STALE, LEVEL_LEADER };

enum level status_level(struct slice word);
/* For sorting by risk: worst first (bad, warn, unknown, stale, busy, none, ok). Smaller is worse. */
int level_rank(enum level l);

#endif
