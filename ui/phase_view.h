/* Phases and steps as rows and words, for the phase screen and the overview. */
#ifndef FERRYMAN_UI_PHASE_VIEW_H
#define FERRYMAN_UI_PHASE_VIEW_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/str.h"
#include "ui/theme.h"
#include "world/world.h"

struct ui;

/* A state's mark and colour: done, at work, waiting, wrong, still to come. */
struct phase_look {
    const char *mark; /* one column */
    enum style style;
};
struct phase_look phase_look(struct slice state);
/* The same; what is at work was so, while the line to the engine is down. */
struct phase_look phase_look_now(const struct ui *ui, struct slice state);

/* Begun and not ended: at work, waiting, paused. */
bool phase_under_way(struct slice state);
/* Not under way, and not as it should be: failed, interrupted. */
bool phase_in_trouble(struct slice state);

/* The workload that wants to be looked at: one with a phase under way, else one in trouble, else the first that has phases, else
 * the first. NULL: the plan has none. */
const struct row *phase_workload(const struct world *w);
/* In their order, the rollback only once it was begun; freed with mem_free, never NULL. */
const struct row **phase_list(const struct world *w, struct slice workload, size_t *ret_n) MUST_CHECK;
const struct row **phase_steps(const struct world *w, struct slice workload, struct slice phase, size_t *ret_n) MUST_CHECK;
const struct row *phase_find(const struct world *w, struct slice workload, struct slice name);
/* The step of a phase that is not done and was begun last; NULL. */
const struct row *phase_step_now(const struct world *w, struct slice workload, struct slice phase);

/* Of a raft workload: the pod that a phase is about (pod-1, window-1, …), from its title; absent: of none, or not known yet. */
struct slice phase_pod(const struct row *phase);
bool phase_is_pod(const struct row *phase);    /* moves a pod */
bool phase_is_window(const struct row *phase); /* watches over one that was moved */
/* The window that follows the phase of a pod; NULL. */
const struct row *phase_window_of(const struct row *const *phases, size_t n, const struct row *pod);

/* "for 4m12s of about 6m · started by ana", "took 3m12s, ended 2h07m ago", "may take about 12m"; nothing if there is nothing
 * to say. */
void phase_times(const struct world *w, const struct row *phase, struct buf *out);
/* Of a step with a total: 0 to 99, and 100 only when it is DONE; -1: none. */
int phase_percent(const struct row *step);
/* "51 %  0.98 of 1.90 GiB  ~4m left"; nothing without progress. */
void phase_progress(const struct row *step, struct buf *out);
/* "gives up in 3m12s"; nothing without a deadline, or when the step does not wait. */
void phase_deadline(const struct world *w, const struct row *step, struct buf *out);

#endif
