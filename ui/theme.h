/* Themes: data files (themes/NAME.yaml) that give each style its colours and attributes for 256, 16 and no colours,
 * and each mark its glyph. Status is always glyph + word + colour, so every theme works without colours. */
#ifndef FERRYMAN_UI_THEME_H
#define FERRYMAN_UI_THEME_H

#include <stdbool.h>

#include "base/err.h"
#include "world/freshness.h"
#include "world/status.h"

enum style {
    STYLE_NORMAL, STYLE_DIM, STYLE_BOLD, STYLE_TITLE, STYLE_HEADER, STYLE_COLUMN, STYLE_OK, STYLE_WARN, STYLE_BAD,
        STYLE_UNKNOWN,
    STYLE_STALE, STYLE_LEADER, STYLE_BUSY, STYLE_ACCENT, STYLE_SELECTED, STYLE_CHANGED, STYLE_BORDER,
        STYLE_BANNER_BAD, STYLE_BANNER_WARN,
    STYLE_KEY, STYLE_PROMPT, STYLE_COUNT
};

enum glyph {
    GLYPH_OK, GLYPH_WARN, GLYPH_BAD, GLYPH_UNKNOWN, GLYPH_STALE, GLYPH_LEADER, GLYPH_BUSY, GLYPH_NONE, GLYPH_CHANGED,
        GLYPH_HLINE, GLYPH_VLINE,
    GLYPH_TEE_DOWN, GLYPH_TEE_UP, GLYPH_DASH, GLYPH_ELLIPSIS, GLYPH_SORT_UP, GLYPH_SORT_DOWN, GLYPH_BAR, GLYPH_ARROW,
        GLYPH_COUNT
};

struct theme;

/* name: of a theme in the user's or the installed folder, or a path; NULL: colour-blind. colors: what the terminal
 * has; 0 also for NO_COLOR and --color never. Unreadable or faulty: ERR_DATA with file:line:column. */
struct err *theme_load(const char *name, int colors, bool ascii, struct theme **ret) MUST_CHECK;
void theme_free(struct theme *t);
/* Foreground and background colour numbers (-1: the terminal's own) and attribute bits. */
enum theme_attr { THEME_BOLD = 1, THEME_DIM = 2, THEME_REVERSE = 4, THEME_UNDERLINE = 8 };
struct theme_style {
    int fg, bg;
    unsigned attrs;
};
struct theme_style theme_style(const struct theme *t, enum style s);
const char *theme_glyph(const struct theme *t, enum glyph g); /* UTF-8, one column (GLYPH_NONE: a space) */
bool theme_ascii(const struct theme *t); /* nothing beyond ASCII may be drawn */
enum style theme_level_style(enum level l);
enum glyph theme_level_glyph(enum level l);
/* Names of the themes that can be found, for completion: NULL-terminated, freed with mem_free each and whole. */
char **theme_names(void) MUST_CHECK;

#endif
