/* Drawing: text at a place, clipped to columns, in a style. Every piece is positioned by itself, so that a character
 * whose width the terminal sees otherwise shifts nothing else. Foreign text is clean already (world rows are). */
#ifndef FERRYMAN_UI_DRAW_H
#define FERRYMAN_UI_DRAW_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"
#include "ui/theme.h"
#include "world/freshness.h"

struct term;
struct world;

struct rect {
    int y, x, rows, cols;
};

struct draw; /* a term with a theme */

struct draw *draw_new(struct term *t, const struct theme *theme);
void draw_free(struct draw *d);
/* Another theme from the next frame on. */
void draw_set_theme(struct draw *d, const struct theme *theme);
const struct theme *draw_theme(const struct draw *d);

void draw_clear(struct draw *d, struct rect r);
/* Within [x, x+cols): text, cut with an ellipsis when it is longer; the rest is left as it is. Returns the columns
 * used. */
int draw_text(struct draw *d, int y, int x, int cols, enum style s, struct slice text);
int draw_str(struct draw *d, int y, int x, int cols, enum style s, const char *text);
int draw_fmt(struct draw *d, int y, int x, int cols, enum style s, const char *fmt, ...) PRINTF_LIKE(6, 7);
/* The same, ending at the right edge. */
void draw_right(struct draw *d, int y, int x, int cols, enum style s, struct slice text);
/* Blanks to the right of a line in a style (selection bars, banners). */
void draw_fill(struct draw *d, int y, int x, int cols, enum style s);
int draw_glyph(struct draw *d, int y, int x, enum style s, enum glyph g);
void draw_hline(struct draw *d, int y, int x, int cols);
void draw_vline(struct draw *d, int y, int x, int rows);
/* glyph + word + colour by world/status.h: "✗ HOSTILE". Null word: "? UNKNOWN". */
int draw_status(struct draw *d, int y, int x, int cols, struct slice word);
/* "✓ live", "~ STALE 3m12s", "✗ DOWN 2m" … */
int draw_fresh(struct draw *d, int y, int x, int cols, struct fresh f);
int draw_fresh_cols(struct fresh f); /* columns that it takes uncut */
/* Lays a style over what is drawn already (selection, freeze dimming). */
void draw_overlay(struct draw *d, int y, int x, int cols, enum style s);

#endif
