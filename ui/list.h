/* A list over one table of the world: columns that fit, sorted, filtered, with a selection that stays on its row.
 *
 * The list follows the world by itself (world_watch): a change of one row moves one row, so that ten thousand rows
 * at a thousand changes a second cost nothing that can be felt. What it draws is always what the world holds now.
 *
 * Filter: words that must all match, in any letter case: `vault` in any column shown, `class:nfs` in that column
 * (title or the table's column, by its beginning), `!word` none of it; "two words" in quotes are one. */
#ifndef FERRYMAN_UI_LIST_H
#define FERRYMAN_UI_LIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "ui/draw.h"
#include "world/tables.h"
#include "world/world.h"

struct list;
struct ui;

/* How a cell is shown; LIST_AUTO goes by the type of the table's column (time: age, bytes: GiB, numbers with
 * thousands, state: glyph and word). */
enum list_look {
    LIST_AUTO,
    LIST_HMS,     /* COL_TIME as 16:18:03 */
    LIST_UTC,     /* COL_TIME as 2026-04-25 16:18:03Z */
    LIST_BYTES,   /* COL_BYTES with its own unit */
};

struct list_col {
    const char *title;
    /* the table's column: shown, sorted by and dimmed when null; -1 with a text function of your own */
    int col;
    short min, max;      /* columns of the screen: a column is as wide as its widest cell within these; max 0: as min */
    bool flex;           /* no max: as wide as its cells, as far as there is room */
    bool right;          /* right-aligned (numbers, ages) */
    short drop;          /* 0: always shown; when it is too narrow the highest goes first */
    const char *none;    /* shown when null; NULL: "?" (not known). "–" where absence is a fact */
    enum list_look look;
    /* Overrides the text that is shown, filtered and (with col -1) sorted by; may be NULL. */
    void (*text)(const struct world *w, const struct row *r, struct buf *out);
    /* Overrides the style of a fresh row's cell; may be NULL. */
    enum style (*style)(const struct world *w, const struct row *r);
};

struct list_spec {
    enum world_table table;
    const struct list_col *cols;
    size_t ncols;
    /* The first column of the list is the state (COL_STATE): its cell gives way to "~ STALE 42s" on rows that are
     * not fresh. */
    size_t sort;         /* index into cols */
    bool descending;     /* state columns sort by risk, worst first, when not descending */
    bool old_in_title;   /* the screen's title says how old rows are: where there is no room for both, a row says what was */
    const char *noun;    /* "claims": for counts and empty states */
    /* Rows that belong here; NULL: all. Must depend on the row (and arg) alone. */
    bool (*accepts)(void *arg, const struct row *r);
    /* Told of every row that comes to belong here (+1) and that does so no longer (-1), a changed one as both, and with
     * NULL before everything is counted anew: sums over the list that cost nothing to keep. May be NULL. */
    void (*count)(void *arg, const struct row *r, int sign);
    /* Appends why there is nothing to show and what to do; NULL: "no NOUN". */
    void (*empty)(void *arg, const struct world *w, struct buf *out);
};

/* Follows ui->world, also into a frozen copy and back. spec and arg are borrowed and outlive the list. */
struct list *list_new(struct ui *ui, const struct list_spec *spec, void *arg);
void list_free(struct list *l);
/* All lists of ui now read ui->world (it has changed). */
void list_follow(struct ui *ui);
/* arg (what accepts asks) has changed: all rows anew. */
void list_refresh(struct list *l);

/* Column titles in the first row of r, rows below. `focused`: the selection is drawn. */
void list_draw(struct list *l, struct rect r, bool focused);
/* "/vault (114 hidden by filter)  sort: risk ↓" for the section's header; the first half alone, nothing without a
 * filter. */
void list_filter_summary(const struct list *l, struct buf *out);
void list_summary(const struct list *l, struct buf *out);

size_t list_total(const struct list *l);   /* rows that belong here */
size_t list_shown(struct list *l);   /* after the filter */
/* The i-th row shown, from 0; NULL beyond. Valid until the world changes. */
const struct row *list_row(struct list *l, size_t i);
const struct row *list_selected(struct list *l); /* NULL: nothing is shown */

void list_move(struct list *l, long rows);    /* the selection, up (negative) or down */
void list_home(struct list *l);
void list_end(struct list *l);
void list_page(struct list *l, int pages);
/* The row drawn at screen row y is selected; false: there is none. */
bool list_click(struct list *l, int y);
void list_filter(struct list *l, const char *text);
const char *list_filter_text(const struct list *l); /* "" */
/* Rows that do not match are shown as well (n and p jump over them), or hidden again. */
void list_mark_matches(struct list *l, bool mark);
bool list_marks_matches(const struct list *l);
bool list_match(struct list *l, int direction); /* to the next (1) or previous (-1) match; false: none */
void list_sort_next(struct list *l);
void list_sort_reverse(struct list *l);
bool list_sort_by(struct list *l, const char *title); /* by the beginning of a column's title; false: none */

#endif
