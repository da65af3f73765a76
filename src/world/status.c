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
    {"ATTACHED", LEVEL_OK},
    {"ATTACHING", LEVEL_BUSY},
    {"BAD", LEVEL_BAD},
    {"BLOCKED", LEVEL_WARN},
    {"COMPLETE", LEVEL_OK},
    {"CORDONED", LEVEL_WARN},
    {"DEGRADED", LEVEL_WARN},
    {"DENIED", LEVEL_BAD},
    {"DETACHING", LEVEL_BUSY},
    {"DOWN", LEVEL_BAD},
    {"DRIFT", LEVEL_WARN},
    {"EXCEEDED", LEVEL_BAD},
    {"EXPIRED", LEVEL_BAD},
    {"FAIL", LEVEL_BAD},
    {"FAILED", LEVEL_BAD},
    {"FILLING", LEVEL_WARN},
    {"FINE", LEVEL_NONE},
    {"FIRING", LEVEL_BAD},
    {"FULL", LEVEL_BAD},
    {"GOOD", LEVEL_OK},
    {"HOSTILE", LEVEL_BAD},
    {"IGNORED", LEVEL_NONE},
    {"INFO", LEVEL_NONE},
    {"INVALID", LEVEL_BAD},
    {"LEADER", LEVEL_LEADER},
    {"LIVE", LEVEL_OK},
    {"LOST", LEVEL_BAD},
    {"MISMATCH", LEVEL_BAD},
    {"MOVED", LEVEL_OK},
    {"NO DATA", LEVEL_UNKNOWN},
    {"NO LEADER", LEVEL_BAD},
    {"NON-VOTER", LEVEL_WARN},
    {"NONE", LEVEL_NONE},
    {"NORMAL", LEVEL_NONE},
    {"NOT A PEER", LEVEL_BAD},
    {"NOT ASKED", LEVEL_NONE},
    {"NOT READY", LEVEL_WARN},
    {"NOT RUN", LEVEL_NONE},
    {"NOT STARTED", LEVEL_NONE},
    {"NOT YET", LEVEL_NONE},
    {"OFF", LEVEL_NONE},
    {"OK", LEVEL_OK},
    {"PASS", LEVEL_OK},
    {"PENDING", LEVEL_BUSY},
    {"POLLED", LEVEL_OK},
    {"PRESENT", LEVEL_NONE},
    {"PROGRESSING", LEVEL_BUSY},
    {"PROVED", LEVEL_OK},
    {"PROVED NOW", LEVEL_OK},
    {"READ ONLY", LEVEL_WARN},
    {"READY", LEVEL_OK},
    {"RECOVERY", LEVEL_WARN},
    {"REMOVED", LEVEL_BAD},
    {"RETIRED", LEVEL_WARN},
    {"RUNNING", LEVEL_OK},
    {"SCALED DOWN", LEVEL_NONE},
    {"SEALED", LEVEL_BAD},
    {"SILENT", LEVEL_BAD},
    {"STABLE", LEVEL_OK},
    {"STALE", LEVEL_STALE},
    {"STANDBY", LEVEL_NONE},
    {"STARTING", LEVEL_BUSY},
    {"STUCK", LEVEL_BAD},
    {"SUCCEEDED", LEVEL_OK},
    {"SUPPRESSED", LEVEL_NONE},
    {"SUSPENDED", LEVEL_WARN},
    {"TERMINATING", LEVEL_BUSY},
    {"UNAVAILABLE", LEVEL_BAD},
    {"UNHEALTHY", LEVEL_BAD},
    {"UNINITIALISED", LEVEL_BAD},
    {"UNKNOWN", LEVEL_UNKNOWN},
    {"UNREACHABLE", LEVEL_BAD},
    {"UNSEALED", LEVEL_OK},
    {"UNSTABLE", LEVEL_WARN},
    {"VOTER", LEVEL_NONE},
    {"WAIT", LEVEL_WARN},
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
