/* The engine's acting half: for each workload its run, its lock and its phases; arming, dialogs and intents; what happened, folded
 * from the journal when it starts. It writes T_PHASES, T_STEPS, T_DIALOGS, T_DIALOG_LINES, T_ARMING, T_LOCKS, T_CRITERIA and the
 * state columns of T_PLAN_WORKLOADS; consoles and `ferryman run` read those and send intents. */
#ifndef FERRYMAN_MIGRATE_MIGRATION_H
#define FERRYMAN_MIGRATE_MIGRATION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

struct kube_client;
struct kube_config;
struct loop;
struct migration;
struct phase_table;
struct plan_kind;
struct plan;
struct world;

struct migration_options {
    struct loop *loop;
    struct world *world;
    const struct plan *plan;
    const struct kube_config *config;
    struct kube_client *kube;
    const char *dir;      /* NULL: journal_dir(plan->name) */
    bool look;            /* never acts and takes no journal: shows what one says */
    const struct phase_table *(*table_of)(const struct plan_kind *kind); /* NULL: phase_table_of */
    void (*on_idle)(void *arg); /* a phase ended: an engine without readers may end */
    void *arg;
};

/* Never fails: a journal that cannot be used (held by another process, damaged) makes every workload READ ONLY with the reason. */
struct migration *migration_new(const struct migration_options *o);
/* Phases under way are given up as by a crash (they can be resumed); locks are released only where no phase is under way. */
void migration_free(struct migration *m);
/* Before the end of the process: releases the locks of workloads with nothing under way. True: fn follows when that is done; false:
 * there is nothing to wait for. */
bool migration_end(struct migration *m, void (*fn)(void *arg), void *arg);
/* A phase or window is under way, or its end is being told (notify.h, 30 s at most): the engine must outlive its readers. */
bool migration_busy(const struct migration *m);
/* An act was sent, and what became of it is not known yet: no time to end. */
bool migration_in_flight(const struct migration *m);
void migration_turn(struct migration *m);  /* end of a loop turn in which the world may have changed */
void migration_tick(struct migration *m);  /* once a second */

/* An intent from reader `peer` (1…; 0: ourselves). False: the verb is not ours. Verbs, with their members:
 *   arm {typed} · disarm · open {workload, phase} (phase "rollback" too) · confirm {dialog, typed, reason} · cancel {dialog} ·
 *   pause, resume, abort {workload} · end {workload, reason} (the window, early) · credit {workload, reason} (go on over a gap) · note {text} · override {workload, gate, reason} · skip {workload, phase, reason}
 * The answer is in the rows: T_ARMING.answer, T_DIALOGS.state. */
struct intent;
bool migration_intent(struct migration *m, unsigned peer, const struct intent *in);
/* The reader has gone: what it had armed is disarmed, its open dialog closed. */
void migration_peer_gone(struct migration *m, unsigned peer);

/* Every request and command of a workload (NULL: all) in order, or of one phase (NULL: all). Without a cluster: from the plan alone. */
struct err *migration_preview(const struct plan *plan, const char *workload, const char *phase, struct buf *out) MUST_CHECK;

#endif
