/* The bell of `ferryman watch --bell`: for events of level BAD, for a window that stops, fails or becomes inconclusive, and when the line
 * to the engine breaks. */
#include "ui/console_private.h"
#include "ui/window_view.h"

void bell_ring(struct console *c) {
    if (c->o.bell) term_raw(c->o.term, "\a", 1);
}

static int64_t newest_bad(const struct world *w) {
    int64_t newest = 0;
    for (const struct row *r = world_first(w, T_TIMELINE); r; r = world_next(w, r))
        if (slice_is(row_text(r, TIMELINE_LEVEL), "BAD") && row_int(r, TIMELINE_AT, 0) > newest) newest = row_int(r, TIMELINE_AT, 0);
    return newest;
}

static int windows_in_trouble(const struct world *w) {
    int n = 0;
    for (const struct row *r = world_first(w, T_WINDOWS); r; r = world_next(w, r)) n += window_in_trouble(row_text(r, WINDOWS_STATE));
    return n;
}

void bell_commit(struct console *c) {
    if (!c->o.bell) return;
    int64_t at = newest_bad(c->o.world);
    int windows = windows_in_trouble(c->o.world);
    bool first = c->bell_at == 0;
    if (!first && (at > c->bell_at || windows > c->bell_windows)) bell_ring(c);
    c->bell_at = at > c->bell_at ? at : first ? 1 : c->bell_at;
    c->bell_windows = windows;
}
