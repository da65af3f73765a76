/* The pieces of the window screen: a strip per gate under an axis of UTC times, and what its marks mean. */
#ifndef FERRYMAN_UI_WINDOW_DRAW_H
#define FERRYMAN_UI_WINDOW_DRAW_H

#include "ui/draw.h"
#include "world/world.h"

struct ui;

/* The axis, and below it a row for each gate: its answer, its strip from the begin to when the window can end, and why it does not
 * pass or when it last did not. Returns the rows used. */
int window_draw_strips(struct ui *ui, struct rect r, const struct row *window);
void window_draw_legend(struct ui *ui, int y, int x, int cols);

#endif
