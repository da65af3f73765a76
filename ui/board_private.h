/* What the files of the board share. */
#ifndef FERRYMAN_UI_BOARD_PRIVATE_H
#define FERRYMAN_UI_BOARD_PRIVATE_H

#include "ui/board.h"

struct line {
    char *state, *label, *text, *right;
    struct fresh fresh;
    enum style style;
    int wrap;
    bool whole;
    int64_t changed_at;      /* 0: long ago */
    bool changed;            /* a moment ago: to be marked */
    /* what it stands for, over frames: "RAFT:raft_peers/vault/vault-0"; NULL: cannot be selected */
    char *id;
    enum world_table table;  /* T_COUNT: a screen */
    char *key;
    const struct screen_ops *screen;
};

struct section {
    char *title, *prefix, *state, *detail, *right;
    enum board_side side;
    int min;
    struct line *lines;
    size_t n, cap;
    struct line head;        /* what the title stands for */
    /* Of the frame that is drawn. */
    int state_cols, label_cols, right_cols;
    int need, rows;          /* rows of lines that it would take, and has */
};

/* A line of the frame before: a change of its state, label or numbers is marked for a while. Texts hold ages, which
 * change always. */
struct seen {
    char *id, *shown;
    int64_t changed_at; /* 0: not since it came, or it was there from the beginning */
};

struct board {
    struct ui *ui;
    struct section *sections;
    size_t n, cap;
    struct seen *seen;
    size_t nseen;
    char *selected;          /* id; NULL: nothing yet */
    struct line **order;     /* lines that were drawn and can be selected, in their order */
    size_t norder, order_cap;
    int rows;                /* as drawn last */
};

/* The line drawn last with this id; NULL. */
struct line *board_find(const struct board *b, const char *id);

#endif
