/* Windows as rows and words, for the window screen and the overview. */
#ifndef FERRYMAN_UI_WINDOW_VIEW_H
#define FERRYMAN_UI_WINDOW_VIEW_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/str.h"
#include "ui/theme.h"
#include "world/world.h"

struct ui;

/* How a state is shown: its mark, its style, and the band that it is shown in when it must not be overlooked. */
struct window_look {
    const char *mark; /* one column */
    enum style style, band; /* band STYLE_NORMAL: none */
};
struct window_look window_view_look(const struct ui *ui, struct slice state);

bool window_view_over(struct slice state);     /* passed, or ended early */
bool window_in_trouble(struct slice state);  /* somebody should look: failing, inconclusive, stopped, interrupted */
/* The window of that workload, else the one that wants to be looked at most; NULL: there is none yet. */
const struct row *window_row(const struct world *w, const char *workload);

void window_clock(struct buf *out, int64_t ms);                  /* 17:00:22 */
void window_progress(const struct row *window, struct buf *out); /* 17:00:22 of 24:00:00 */
/* Of what must be covered: 0 to 99, and 100 only when it is over. */
int window_percent(const struct row *window);
/* "ends at the earliest 2026-04-26 16:21Z · then vault-1 (follower) · in 7h03m", or how it ended. */
void window_end(const struct world *w, const struct row *window, struct buf *out);
/* "gaps 3m02s, not credited (limit 5m)" */
void window_gaps(const struct row *window, struct buf *out);

#endif
