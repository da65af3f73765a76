/* Text to scroll through: help, details, logs. Entries are a label and a text that wraps; some lead to a row. */
#ifndef FERRYMAN_UI_PAGER_H
#define FERRYMAN_UI_PAGER_H

#include <stdbool.h>

#include "base/str.h"
#include "ui/command.h"
#include "ui/draw.h"
#include "world/tables.h"

struct pager;
struct ui;

struct pager *pager_new(struct ui *ui);
void pager_free(struct pager *p);
/* Forgets the entries; place and selection stay, so that a screen can fill it anew each time it draws. */
void pager_clear(struct pager *p);
/* Columns that labels take (they are cut there); 0: none. */
void pager_labels(struct pager *p, int cols);
void pager_heading(struct pager *p, const char *text);
/* label may be NULL; the text wraps under itself. Both are copied. */
void pager_add(struct pager *p, const char *label, enum style s, struct slice text);
/* One line, with glyph and colour of a state in front (COL_STATE's word; absent: none); Enter opens that row. */
void pager_link(struct pager *p, struct slice state, struct slice text, enum world_table t, struct slice key);
void pager_draw(struct pager *p, struct rect r);
/* Moves, pages, and Enter on a link; false: not its business. */
bool pager_command(struct pager *p, enum command c);
/* The selected entry's text, for y. */
bool pager_copy(const struct pager *p, struct buf *out);

#endif
