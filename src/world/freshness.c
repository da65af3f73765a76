#include "world/freshness.h"

#include "world/world.h"

static const char *const names[] = {
    [FRESH_LIVE] = "LIVE",     [FRESH_POLLED] = "POLLED", [FRESH_STALE] = "STALE",       [FRESH_DENIED] = "DENIED",
    [FRESH_DOWN] = "DOWN",     [FRESH_OFF] = "OFF",       [FRESH_STARTING] = "STARTING",
};
enum { NAMES = sizeof names / sizeof names[0] };

/* What a source's clock may be ahead of the stream's, which moves once a second. */
enum { AHEAD_MS = 5000 };

const char *freshness_name(enum freshness f)
{
    return names[f];
}

enum freshness freshness_by_name(struct slice word)
{
    for (int f = 0; f < NAMES; f++)
        if (slice_is(word, names[f]))
            return (enum freshness)f;
    return FRESH_DOWN;
}

bool fresh_usable(struct fresh f)
{
    return f.state == FRESH_LIVE || f.state == FRESH_POLLED;
}

/* A proof of life that is too far ahead says nothing about now (somebody set a clock), so its age is not known. */
static struct fresh judge_source(const struct world *w, const struct row *source)
{
    struct fresh f = {freshness_by_name(row_text(source, SOURCES_STATE)), -1};
    struct cell last_ok = row_cell(source, SOURCES_LAST_OK);
    int64_t age;
    if (last_ok.type == CELL_INT && !__builtin_sub_overflow(world_now(w), last_ok.i, &age) && age >= -AHEAD_MS)
        f.age_ms = age > 0 ? age : 0;
    struct cell limit = row_cell(source, SOURCES_STALE_AFTER);
    if (fresh_usable(f) && (f.age_ms < 0 || (limit.type == CELL_INT && f.age_ms > limit.i)))
        f.state = FRESH_STALE;
    return f;
}

struct fresh world_source_freshness(const struct world *w, const char *src)
{
    if (!src || !*src)
        return (struct fresh){FRESH_LIVE, 0};
    const struct row *source = world_find(w, T_SOURCES, slice_of(src));
    return source ? judge_source(w, source) : (struct fresh){FRESH_DOWN, -1};
}

struct fresh world_freshness(const struct world *w, const struct row *r)
{
    return row_table(r) == T_SOURCES ? judge_source(w, r) : world_source_freshness(w, row_src(w, r));
}
