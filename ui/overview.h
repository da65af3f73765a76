/* The sections of the overview, each of which fills a board. For screen_overview.c. */
#ifndef FERRYMAN_UI_OVERVIEW_H
#define FERRYMAN_UI_OVERVIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ui/board.h"

struct ui;
struct world;

/* What is wrong now, worst first; or that nothing fails, and by whose word. lost: a claim is LOST. */
void overview_wrong(struct ui *ui, struct board *b, bool wide, bool lost);
/* kinds: there is room for what kind of workload it is */
void overview_plan(struct ui *ui, struct board *b, bool kinds);
/* What runs now, or is next: nothing before the first phase was begun. */
void overview_now(struct ui *ui, struct board *b, bool wide);
void overview_gates(struct ui *ui, struct board *b, bool wide); /* wide: long reasons take more than one row */
void overview_raft(struct ui *ui, struct board *b);
void overview_postgres(struct ui *ui, struct board *b);
void overview_alerts(struct ui *ui, struct board *b);
void overview_events(struct ui *ui, struct board *b, size_t lines);

/* Claims added up by state and class. Adding up very many claims is not done for each frame: the sums are kept for a
 * second. */
struct overview_storage;
struct overview_storage *overview_storage_new(void);
void overview_storage_free(struct overview_storage *s);
void overview_storage_update(struct overview_storage *s, const struct ui *ui);
bool overview_storage_lost(const struct overview_storage *s); /* a claim is LOST */
void overview_storage(const struct overview_storage *s, struct ui *ui, struct board *b);

/* "3m12s" since that time; nothing if it is not known. */
void overview_age(const struct world *w, int64_t at, struct buf *out);

#endif
