/* Screens: one file each (screen_*.c), one const table of operations each, all of them in screens.c. A screen is
 * added by writing its file and its line there. What a screen may use of the console is struct ui and the functions
 * below.
 *
 * Screens keep no facts: they read ui->world each time they draw, and keep only what the operator did (selection,
 * focus). */
#ifndef FERRYMAN_UI_SCREEN_H
#define FERRYMAN_UI_SCREEN_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "ui/command.h"
#include "ui/draw.h"
#include "ui/list.h"
#include "world/freshness.h"
#include "world/world.h"

struct ui {
    struct world *world; /* the present one, or the copy that is looked at while the view is frozen: never keep it */
    /* counts the exchanges of world: what is kept of one is good while epoch and world_seq are the same */
    unsigned epoch;
    struct draw *draw;
    const char *ns;      /* namespace the console was asked for; NULL: all */
    const char *plan;    /* name of the plan; NULL: none */
    unsigned peer;       /* our number at the engine: whose arming and dialogs are ours; 0: none */
    bool stale;          /* the line to the engine is down: everything in the world is old */
    struct list *lists;  /* all that are open; list.c's own */
};

/* What a screen is opened for: a row (detail, log), else T_COUNT. */
struct screen_arg {
    enum world_table table;
    struct slice key; /* copied by the screen if it keeps it */
};

struct screen_ops {
    const char *id;           /* "storage": for the palette and tests */
    const char *title;        /* "storage": in the footer, after its key */
    enum command go;          /* the command that opens it; COMMAND_NONE: opened by other screens only */
    bool root;                /* one of the numbered screens: replaces the stack, is shown in the footer */
    void *(*open)(struct ui *ui, const struct screen_arg *arg); /* returns the screen's state, never NULL */
    void (*close)(void *state);
    void (*draw)(void *state, struct rect r);
    /* The list that j, k, /, o, n, y … act on now; NULL or absent: none has the focus. Enter opens the detail of its
     * row. */
    struct list *(*list)(void *state);
    /* Asked first for every command; false: the console does what it does everywhere. May be absent. */
    bool (*command)(void *state, enum command c);
    /* What y copies when the list is not it; returns false if nothing. May be absent. */
    bool (*copy)(void *state, struct buf *out);
    /* Keys of this screen alone, for the footer: commands ending in COMMAND_NONE. May be NULL. */
    const enum command *hints;
    const char *group;        /* of the commands whose keys count on this screen only; NULL: none */
};

extern const struct screen_ops *const screen_table[]; /* NULL-terminated, in the order of their keys */
extern const struct screen_ops screen_storage, screen_help, screen_detail, screen_sources, screen_errors, screen_whoami;
/* Each further screen declares its table here. */
extern const struct screen_ops screen_overview, screen_raft, screen_postgres, screen_phase, screen_window, screen_timeline, screen_log;

/* Opens a screen on top of the stack (Esc comes back). */
void ui_open(struct ui *ui, const struct screen_ops *ops, enum world_table t, struct slice key);
/* Every field of a row and what belongs to it. */
void ui_open_row(struct ui *ui, const struct row *r);
/* One line above the footer for a few seconds (of the stream's time). */
void ui_message(struct ui *ui, enum style s, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* One JSON line to the engine. */
void ui_send(struct ui *ui, const char *json_line);

/* The first line of a screen or a section: TITLE, detail, and at the right how fresh it is, if that is not as it
 * should be. `prefix` names the sources by the beginning of their keys ("kube/persistentvolumeclaims", "vault/");
 * NULL: none. Returns the rows used (1). */
int section_title(struct ui *ui, int y, int x, int cols, const char *title, struct slice detail, const char *prefix);
/* The same, or STALE (since nobody knows how long) while the line to the engine is down. For what is drawn by hand. */
struct fresh ui_fresh(const struct ui *ui, struct fresh f);
/* The worst of the sources whose key begins so; FRESH_OFF if there is none. */
struct fresh section_fresh(const struct world *w, const char *prefix);
/* Why there may be nothing to show, by the worst source of that prefix: appends "waiting for the first answer of …",
 * "DENIED: …" and returns true; false if the sources are well (then there is just nothing). For the empty states of
 * lists. */
bool section_why(const struct world *w, const char *prefix, struct buf *out);
/* Paragraph of text wrapped at spaces; newlines begin new lines. Returns the rows used. */
int section_text(struct ui *ui, struct rect r, enum style s, struct slice text);
/* The bytes of `text` that fit into one line of `cols`: up to a newline, else up to the last blank that fits; at least one
 * unless it is empty. */
size_t section_line(struct slice text, int cols);
/* Whether the row changed within the last three seconds of the stream's time: to be marked. */
bool section_changed(const struct world *w, const struct row *r);
/* Of a row of T_RAFT_CLUSTERS without a leader: "no leader known, was vault-2 45s ago · were 3 voters …". */
void section_raft_last(const struct world *w, const struct row *r, struct buf *out);

#endif
