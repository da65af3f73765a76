/* What the files of the dialog share. */
#ifndef FERRYMAN_UI_DIALOG_PRIVATE_H
#define FERRYMAN_UI_DIALOG_PRIVATE_H

#include "base/str.h"
#include "ui/console_private.h"
#include "ui/dialog.h"

enum dialog_focus { DIALOG_CANCEL, DIALOG_FIELD, DIALOG_GO };

enum dialog_state { DIALOG_PREPARING, DIALOG_READY, DIALOG_REFUSED, DIALOG_STALE, DIALOG_OVER };

struct dialog_box {
    char *id;      /* of the one that is open; NULL: none */
    char *done;    /* of the one that was answered here with no, or closed: it does not come again */
    enum dialog_state state; /* as its row said last */
    bool drawn;    /* in this state; until then no key counts */
    struct timer *guard; /* runs while keys are taken for typed ahead */
    struct timer *run;   /* runs behind each key that was: what comes in its time belongs to it */
    enum dialog_focus focus;
    struct buf typed;
    bool all;      /* every request is shown */
    bool sent;     /* confirmed here; the engine has not answered */
    int scroll, below; /* first line shown, and lines that do not fit below */
    int page;      /* lines shown */
    char *note;    /* why the last key did nothing */
};

/* What has to be typed, if it is more than y. */
bool dialog_is_typed(const struct row *r);
/* The key that shows every request: v, unless what has to be typed begins with it (vault-1), then V. */
char dialog_all_key(const struct row *r);
bool dialog_complete(const struct dialog_box *b, const struct row *r);
enum dialog_state dialog_state_of(const struct row *r);
void dialog_drawn(struct console *c); /* from now on keys count, after the guard's time */

#endif
