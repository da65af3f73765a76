/* The pieces of the phase screen: phases, steps, and what is known around them. */
#ifndef FERRYMAN_UI_PHASE_DRAW_H
#define FERRYMAN_UI_PHASE_DRAW_H

#include <stdbool.h>
#include <stddef.h>

#include "ui/draw.h"
#include "world/world.h"

struct ui;

/* One below the other, with state and times; the selected one is marked. */
void phase_draw_column(struct ui *ui, struct rect r, const struct row *const *phases, size_t n, const struct row *selected);
/* In as few rows as they need; returns these. */
int phase_draw_strip(struct ui *ui, struct rect r, const struct row *const *phases, size_t n, const struct row *selected);
/* The selected phase: its state, why, and its steps. */
void phase_draw_one(struct ui *ui, struct rect r, const struct row *phase);
/* Lock, old copy, what was verified: as many rows as there is to say, from the last row of r upwards; returns these. */
int phase_draw_around(struct ui *ui, struct rect r, const struct row *workload);

/* The last lines of the timeline about the workload, under a heading; nothing if there are none. */
void phase_draw_events(struct ui *ui, struct rect r, struct slice workload);

#endif
