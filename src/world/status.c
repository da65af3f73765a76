#include "world/status.h"

#include <stdlib.h>

#include "base/mem.h"

struct word {
    const char *text;
    enum level level;
};

/* Sorted by their bytes: they are looked up by halving. */
static const struct word words[] = {
    {"ACTIVE", LEVEL_NONE},
    {"ARMED", LEVEL_WARN},
    {"ATTACHED", LEVEL_OK},
    {"ATTACHING", LEVEL_BUSY},
    {"BAD", LEVEL_BAD},
    {"BETWEEN PHASES", LEVEL_NONE},
    {"BLOCKED", LEVEL_WARN},
    {"CANCELLED", LEVEL_NONE},
    {"CLOCK STOPPED", LEVEL_WARN},
    {"COMPLETE", LEVEL_OK},
    {"CONFIRMED", LEVEL_OK},
    {"CORDONED", LEVEL_WARN},
    {"DEGRADED", LEVEL_WARN},
    {"DENIED", LEVEL_BAD},
    {"DETACHING", LEVEL_BUSY},
    {"DONE", LEVEL_OK},
    {"DOWN", LEVEL_BAD},
    {"DRIFT", LEVEL_WARN},
    {"ENDED EARLY", LEVEL_WARN},
    {"ENDING EARLY", LEVEL_BUSY},
    {"EXCEEDED", LEVEL_BAD},
    {"EXPIRED", LEVEL_BAD},
    {"FAIL", LEVEL_BAD},
    {"FAILED", LEVEL_BAD},
    {"FAILING", LEVEL_BAD},
    {"FILLING", LEVEL_WARN},
    {"FINE", LEVEL_NONE},
    {"FIRING", LEVEL_BAD},
    {"FREE", LEVEL_NONE},
    {"FULL", LEVEL_BAD},
    {"GOOD", LEVEL_OK},
    {"HELD", LEVEL_WARN},
    {"HOSTILE", LEVEL_BAD},
    {"IGNORED", LEVEL_NONE},
    {"INCONCLUSIVE", LEVEL_WARN},
    {"INFO", LEVEL_NONE},
    {"INTERRUPTED", LEVEL_WARN},
    {"INVALID", LEVEL_BAD},
    {"LATE", LEVEL_WARN},
    {"LEADER", LEVEL_LEADER},
    {"LIVE", LEVEL_OK},
    {"LOST", LEVEL_BAD},
    {"MISMATCH", LEVEL_BAD},
    {"MOVED", LEVEL_OK},
    {"NEXT", LEVEL_NONE},
    {"NO DATA", LEVEL_UNKNOWN},
    {"NO LEADER", LEVEL_BAD},
    {"NON-VOTER", LEVEL_WARN},
    {"NONE", LEVEL_NONE},
    {"NORMAL", LEVEL_NONE},
    {"NOT A PEER", LEVEL_BAD},
    {"NOT ASKED", LEVEL_NONE},
    {"NOT NEEDED", LEVEL_NONE},
    {"NOT READY", LEVEL_WARN},
    {"NOT RUN", LEVEL_NONE},
    {"NOT STARTED", LEVEL_NONE},
    {"NOT YET", LEVEL_NONE},
    {"OFF", LEVEL_NONE},
    {"OK", LEVEL_OK},
    {"OURS", LEVEL_OK},
    {"PASS", LEVEL_OK},
    {"PASSED", LEVEL_OK},
    {"PASSING", LEVEL_OK},
    {"PAUSED", LEVEL_WARN},
    {"PENDING", LEVEL_BUSY},
    {"POLLED", LEVEL_OK},
    {"PREPARING", LEVEL_BUSY},
    {"PRESENT", LEVEL_NONE},
    {"PROGRESSING", LEVEL_BUSY},
    {"PROVED", LEVEL_OK},
    {"PROVED NOW", LEVEL_OK},
    {"READ ONLY", LEVEL_WARN},
    {"READ-ONLY", LEVEL_NONE},
    {"READY", LEVEL_OK},
    {"RECOVERY", LEVEL_WARN},
    {"REFUSED", LEVEL_BAD},
    {"REMOVED", LEVEL_BAD},
    {"RETAINING", LEVEL_NONE},
    {"RETIRED", LEVEL_WARN},
    {"ROLLED BACK", LEVEL_WARN},
    {"RUNNING", LEVEL_OK},
    {"SCALED DOWN", LEVEL_NONE},
    {"SEALED", LEVEL_BAD},
    {"SILENT", LEVEL_BAD},
    {"SKIPPED", LEVEL_WARN},
    {"STABLE", LEVEL_OK},
    {"STALE", LEVEL_STALE},
    {"STANDBY", LEVEL_NONE},
    {"STARTING", LEVEL_BUSY},
    {"STUCK", LEVEL_BAD},
    {"SUCCEEDED", LEVEL_OK},
    {"SUPPRESSED", LEVEL_NONE},
    {"SUSPENDED", LEVEL_WARN},
    {"TERMINATING", LEVEL_BUSY},
    {"TODO", LEVEL_NONE},
    {"UNAVAILABLE", LEVEL_BAD},
    {"UNHEALTHY", LEVEL_BAD},
    {"UNINITIALISED", LEVEL_BAD},
    {"UNKNOWN", LEVEL_UNKNOWN},
    {"UNREACHABLE", LEVEL_BAD},
    {"UNSEALED", LEVEL_OK},
    {"UNSTABLE", LEVEL_WARN},
    {"VOTER", LEVEL_NONE},
    {"WAIT", LEVEL_WARN},
    {"WAITING", LEVEL_BUSY},
    {"WARN", LEVEL_WARN},
    {"WARNING", LEVEL_WARN},
    {"WATCHDOG", LEVEL_OK},
};

static int word_cmp(const void *key, const void *member)
{
    const struct slice *text = key;
    const struct word *w = member;
    return slice_cmp(*text, slice_of(w->text));
}

enum level status_level(struct slice word)
{
    if (!word.p)
        return LEVEL_UNKNOWN;
    const struct word *w = bsearch(&word, words, ARRAY_LEN(words), sizeof *words, word_cmp);
    return w ? w->level : LEVEL_UNKNOWN;
}

int level_rank(enum level l)
{
    static const int ranks[] = {
        [LEVEL_BAD] = 0,  [LEVEL_WARN] = 1,   [LEVEL_UNKNOWN] = 2, [LEVEL_STALE] = 3,
        [LEVEL_BUSY] = 4, [LEVEL_LEADER] = 5, [LEVEL_NONE] = 6,    [LEVEL_OK] = 7,
    };
    return ranks[l];
}
