/* What the files of the list share. */
#ifndef FERRYMAN_UI_LIST_PRIVATE_H
#define FERRYMAN_UI_LIST_PRIVATE_H

#include "ui/list.h"

#define LIST_COLS_MAX 24

struct entry {
    const struct row *row;  /* kept current by the watch */
    struct cell sort;       /* text points into the row or into sort_text */
    char *sort_text;        /* of a column with a text function */
    bool matches, ordered;  /* passes the filter; stands in the order */
};

struct term_of_filter {
    bool negate;
    uint32_t list_cols, table_cols; /* one bit a column; none at all: any column that is shown */
    char *text;                     /* lower case */
};

struct filter {
    char *text;
    struct term_of_filter *terms;
    size_t n;
};

struct list {
    struct ui *ui;
    struct world *world; /* the one that is watched */
    const struct list_spec *spec;
    void *arg;
    struct map *entries;   /* key → struct entry */
    struct entry **order;  /* what is shown, sorted; valid when not dirty */
    size_t n, cap;
    size_t matches;        /* entries that match */
    bool dirty;            /* so much has changed that the order is made anew when it is next asked for */
    size_t burst;          /* changes since it was last asked for */
    size_t sort;
    bool descending, marking, touched; /* touched: the operator has chosen a row */
    struct entry *selected;
    size_t lost_index;     /* where the selection was when its row went */
    long offset;           /* rows between the top of the window and the selection */
    struct rect drawn;     /* where it was drawn last: pages and clicks */
    size_t top;
    /* columns of the widest cell that was met: it grows only, so that nothing moves back and forth */
    short want[LIST_COLS_MAX];
    struct filter filter;
    struct list *next;     /* of ui->lists */
};

/* The order is valid afterwards. */
void list_settle(struct list *l);
/* Index of an ordered entry. */
size_t list_index(const struct list *l, const struct entry *e);
/* Text of a cell as shown; false and nothing for null. */
bool list_cell(const struct list *l, const struct row *r, size_t col, struct buf *out);
int list_compare(const struct list *l, const struct entry *a, const struct entry *b);
void list_entry_load(const struct list *l, struct entry *e);
/* The same entries by another filter. */
void list_refilter(struct list *l);
/* All rows anew, from l->world. */
void list_rebuild(struct list *l);

void filter_parse(struct filter *f, const char *text, const struct list_spec *spec);
void filter_free(struct filter *f);
bool filter_matches(const struct list *l, const struct row *r);

#endif
