/* A dashboard: sections of short lines, each of which stands for a row of the world (or for a screen). It divides the
 * rows of the screen among the sections by what they need at least and what they matter, and lets the operator walk
 * over the lines: j and k, Enter opens what the line stands for.
 *
 * A screen fills it anew each time it draws; the selection stays with its row. Lines of rows whose source is not fresh
 * are dim and show "~ STALE 42s" in place of their state. */
#ifndef FERRYMAN_UI_BOARD_H
#define FERRYMAN_UI_BOARD_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/str.h"
#include "ui/command.h"
#include "ui/draw.h"
#include "world/freshness.h"
#include "world/world.h"

struct board;
struct row;
struct screen_ops;
struct ui;

/* From so many columns on the left and the right side stand beside each other; with fewer the right one comes first. */
#define BOARD_WIDE 100
enum board_side { BOARD_TOP, BOARD_RIGHT, BOARD_LEFT, BOARD_BOTTOM };

struct board_section {
    const char *title;   /* NULL: none */
    const char *prefix;  /* of the sources it rests on (section_title); NULL: none */
    struct slice state;  /* COL_STATE's word behind the title, shown while the sources are well; absent: none */
    struct slice detail; /* the section in one line, for when there is room for no more */
    struct slice right;  /* at the end of the title: headings of the lines' right column */
    enum board_side side;
    int min;             /* lines that are shown before other sections get more than theirs */
    const struct row *row; /* that the title stands for; NULL: none */
};

struct board_line {
    struct slice state;  /* COL_STATE's word; absent: none */
    struct fresh fresh;  /* of a line without a row; zero: live */
    struct slice label, text, right;
    enum style style;    /* of the text */
    int wrap;            /* rows that the text may take; 0: one */
    bool whole;          /* the text has the line to itself, and goes on from the line before */
    const struct row *row;            /* Enter opens it */
    const struct screen_ops *screen;  /* or this */
};

struct board *board_new(struct ui *ui);
void board_free(struct board *b);
/* Forgets all sections and lines; the selection stays. */
void board_begin(struct board *b);
/* Everything is copied. Sections of a side are drawn in the order of their coming, which is also the order in which
 * they get room. */
void board_section(struct board *b, const struct board_section *s);
void board_line(struct board *b, const struct board_line *line);
void board_draw(struct board *b, struct rect r);
/* j, k, g, G, PgUp, PgDn and Enter; l opens the log of the pod that belongs to the line. false: not its business. */
bool board_command(struct board *b, enum command c);
/* The key of the selected row or the text of the line; false: nothing is selected. */
bool board_copy(const struct board *b, struct buf *out);
/* The selected row, as far as it still exists; NULL: none. */
const struct row *board_selected(const struct board *b);

#endif
