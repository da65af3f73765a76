/* Dialogs: what would be done, drawn over the screen from the rows that the engine prepares (T_DIALOGS, T_DIALOG_LINES), and
 * the answer sent back as an intent. The screen behind goes on; so do the dialog's own lines, while it is open.
 *
 * A dialog opens with the focus on Cancel. No key counts that was pressed before it was drawn in its present state, or within
 * 300 ms after that; nor, unless it says no, in one run with such a key (what is typed ahead, or pasted). ^C says no at any
 * time. */
#ifndef FERRYMAN_UI_DIALOG_H
#define FERRYMAN_UI_DIALOG_H

#include <stdbool.h>

#include "base/str.h"

struct console;
struct dialog_box;
struct key;
struct loop;
struct row;

struct dialog_box *dialog_new(struct loop *l);
void dialog_free(struct dialog_box *b);
/* The row of the dialog that is open here; NULL: none. */
const struct row *dialog_row(struct console *c);
bool dialog_is_open(const struct console *c);
/* The world has changed: a dialog of ours may have come, changed its state, or gone. */
void dialog_commit(struct console *c);
/* The engine has refused an intent, and why: if it was the confirmation, it may be given again. */
void dialog_answered(struct console *c, struct slice why);
/* The line to the engine is down: an open dialog closes, and says what is known of it. */
void dialog_lost(struct console *c);
/* All keys are its own while one is open. */
void dialog_key(struct console *c, struct key key);
/* Over what is drawn already; nothing if none is open. */
void dialog_draw(struct console *c);
/* Nothing of it was drawn in this frame (the terminal is too small): keys do not count until it was. */
void dialog_hidden(struct console *c);

#endif
