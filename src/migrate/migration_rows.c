/* Workloads, phases, steps, locks and arming as rows of the world: the only way in which anybody learns of them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json_doc.h"
#include "base/mem.h"
#include "client/kube_config.h"
#include "migrate/migration_private.h"
#include "migrate/window_job.h"
#include "world/freshness.h"
#include "world/world.h"

static const char *const stake_words[] = {"reversible", "hard to undo", "purge"};

static struct cell time_cell(int64_t ms) {
    return ms > 0 ? cell_int(ms) : CELL_NONE;
}

/* A time of the plan's clock as readers have it, who know the wall's alone; the two differ in a sandbox only. */
static struct cell plan_time_cell(int64_t ms) {
    int64_t ahead = (clock_plan_ms() - clock_wall_ms() + 500) / 1000;
    return time_cell(ms > 0 ? ms - ahead * 1000 : 0);
}

/* A deadline on the mono clock as a time of the wall's. */
static struct cell deadline_cell(int64_t mono) {
    return mono > 0 ? cell_int(clock_wall_ms() + mono - clock_mono_ms()) : CELL_NONE;
}

static const char *step_word(const struct mover *v, const struct phase_now *p, const struct step_now *s) {
    switch (s->state) {
    case STEP_DONE: return "DONE";
    case STEP_FAILED: return "FAILED";
    case STEP_INTERRUPTED: return v->m->elsewhere ? "RUNNING" : "INTERRUPTED";
    case STEP_RUNNING: return v->current != p ? "INTERRUPTED" : v->paused ? "PAUSED" : s->deadline ? "WAITING" : "RUNNING";
    default: return "TODO";
    }
}

void mover_step_row(struct mover *v, struct phase_now *p, size_t i) {
    const struct step_now *s = &p->steps[i];
    char key[512];
    if (s->state == STEP_TODO && v->current != p && p->tries == 0) return; /* only of phases that were begun */
    snprintf(key, sizeof key, "%s/%s/%s", v->w->name, p->phase->id, p->phase->steps[i].id);
    struct cell cells[STEPS_COLS] = {
        [STEPS_WORKLOAD] = cell_text(v->w->name),
        [STEPS_PHASE] = cell_text(p->phase->id),
        [STEPS_NAME] = cell_text(p->phase->steps[i].id),
        [STEPS_TITLE] = cell_text(p->phase->steps[i].title),
        [STEPS_STATE] = cell_text(step_word(v, p, s)),
        [STEPS_DETAIL] = cell_text(s->detail),
        [STEPS_DONE] = s->done >= 0 ? cell_int(s->done) : CELL_NONE,
        [STEPS_TOTAL] = s->total > 0 ? cell_int(s->total) : CELL_NONE,
        [STEPS_UNIT] = cell_text(s->unit),
        [STEPS_LEFT] = s->state == STEP_RUNNING && s->left > 0 ? cell_int(s->left) : CELL_NONE,
        [STEPS_SINCE] = time_cell(s->since),
        [STEPS_ENDED] = time_cell(s->ended),
        [STEPS_DEADLINE] = s->state == STEP_RUNNING && !v->paused ? deadline_cell(s->deadline) : CELL_NONE,
        [STEPS_RANK] = cell_int((int64_t)(p - v->phases) * 100 + (int64_t)i),
    };
    /* A deadline that is the same instant must not be a change each second. */
    const struct row *old = world_find(v->m->world, T_STEPS, slice_of(key));
    int64_t had = old ? row_int(old, STEPS_DEADLINE, 0) : 0;
    if (had && cells[STEPS_DEADLINE].type == CELL_INT && llabs(had - cells[STEPS_DEADLINE].i) < 1500) cells[STEPS_DEADLINE] = cell_int(had);
    world_upsert(v->m->world, T_STEPS, slice_of(key), "", cells);
}

void mover_result_row(struct mover *v, const struct phase_now *p, size_t step, size_t result) {
    const struct result *r = &p->steps[step].results[result];
    const char *id = p->phase->steps[step].id;
    char key[512];
    snprintf(key, sizeof key, "%s/%s/%s/%03zu", v->w->name, p->phase->id, id, result);
    struct cell cells[RESULTS_COLS] = {
        [RESULTS_WORKLOAD] = cell_text(v->w->name),
        [RESULTS_PHASE] = cell_text(p->phase->id),
        [RESULTS_STEP] = cell_text(id),
        [RESULTS_WHAT] = cell_text(r->what),
        [RESULTS_TEXT] = *r->text ? cell_text(r->text) : CELL_NONE,
        [RESULTS_ACT] = cell_bool(r->act),
        [RESULTS_RANK] = cell_int(((int64_t)(p - v->phases) * 100 + (int64_t)step) * 1000 + (int64_t)result),
    };
    world_upsert(v->m->world, T_RESULTS, slice_of(key), "", cells);
}

void step_add_result(struct step_now *s, const char *what, const char *text, bool act) {
    s->results = mem_reallocarray(s->results, s->nresults + 1, sizeof *s->results);
    s->results[s->nresults++] = (struct result){mem_strdup(what), mem_strdup(text ? text : ""), act};
}

void mover_step_clear(struct mover *v, struct phase_now *p, size_t step) {
    struct step_now *s = &p->steps[step];
    char key[512];
    for (size_t i = 0; i < s->nresults; i++) {
        snprintf(key, sizeof key, "%s/%s/%s/%03zu", v->w->name, p->phase->id, p->phase->steps[step].id, i);
        if (v->m->world) world_remove(v->m->world, T_RESULTS, slice_of(key));
        mem_free(s->results[i].what);
        mem_free(s->results[i].text);
    }
    mem_free(s->results);
    mem_free(s->detail);
    mem_free(s->unit);
    *s = (struct step_now){.done = -1};
}

static const char *phase_word(const struct mover *v, const struct phase_now *p, bool *ret_passed) {
    const struct phase_now *next = v->current ? v->current : mover_next(v);
    if (p == v->current) {
        const struct step_now *s = v->step < p->nsteps ? &p->steps[v->step] : NULL;
        return v->paused ? "PAUSED" : v->stage != BEGIN_NONE || (s && s->deadline) ? "WAITING" : "RUNNING";
    }
    switch (p->state) {
    case PHASE_DONE: return p == next && phase_undone(v, p) ? "NEXT" : "DONE";
    case PHASE_FAILED: return "FAILED";
    case PHASE_SKIPPED: return "SKIPPED";
    case PHASE_INTERRUPTED: return v->m->elsewhere ? "RUNNING" : "INTERRUPTED";
    default: break;
    }
    if (p == next) return "NEXT";
    if (next && next->phase != v->table->rollback && p < next) return "NOT NEEDED";
    *ret_passed = true;
    return "NOT YET";
}

static void phase_row(struct mover *v, struct phase_now *p) {
    char key[512];
    bool passed = false;
    const char *word = phase_word(v, p, &passed);
    if (p->phase == v->table->rollback && p->tries == 0 && p != v->current) {
        word = "TODO";
    }
    snprintf(key, sizeof key, "%s/%s", v->w->name, p->phase->id);
    if (p->phase->turn && p->tries == 0 && !phase_wanted(v, p)) { /* of a pod that there is not */
        world_remove(v->m->world, T_PHASES, slice_of(key));
        return;
    }
    const struct phase *was = phase_ask(v, p->phase);
    int64_t estimate = p->phase->estimate_ms ? p->phase->estimate_ms(v->run) : 0;
    phase_ask(v, was);
    struct cell cells[PHASES_COLS] = {
        [PHASES_WORKLOAD] = cell_text(v->w->name),
        [PHASES_NAME] = cell_text(p->phase->id),
        [PHASES_TITLE] = cell_text(phase_title(v, p)),
        [PHASES_STATE] = cell_text(word),
        [PHASES_REASON] = cell_text(p->reason),
        [PHASES_STARTED] = time_cell(p->started),
        [PHASES_ENDED] = p == v->current ? CELL_NONE : time_cell(p->ended),
        [PHASES_BY] = cell_text(p->by),
        [PHASES_STAKE] = cell_text(stake_words[p->phase->stake]),
        [PHASES_TYPED] = cell_text(phase_typed(v, p->phase)),
        [PHASES_ESTIMATE] = estimate > 0 ? cell_int(estimate) : CELL_NONE,
        [PHASES_TRIES] = cell_int(p->tries),
        [PHASES_RANK] = cell_int(p - v->phases),
    };
    world_upsert(v->m->world, T_PHASES, slice_of(key), "", cells);
}

static bool any_begun(const struct mover *v) {
    for (size_t i = 0; i < v->nphases; i++)
        if (v->phases[i].tries > 0 || v->phases[i].state != PHASE_TODO) return true;
    return false;
}

static const char *workload_word(const struct mover *v, const struct phase_now *next) {
    if (v->read_only) return "READ ONLY";
    if (v->current) {
        bool passed;
        return phase_word(v, v->current, &passed);
    }
    if (v->rolled_back) return "ROLLED BACK";
    if (!any_begun(v)) return "NOT STARTED";
    if (!next) return "DONE";
    if (next->state == PHASE_FAILED) return "FAILED";
    if (next->state == PHASE_INTERRUPTED) return v->m->elsewhere ? "RUNNING" : "INTERRUPTED";
    return run_has(v->run, "retain.until") && next->phase->stake == STAKE_PURGE ? "RETAINING" : "BETWEEN PHASES";
}

/* The raft snapshot that would be gone back to, as far as its facts are noted. */
static void copy_text(const struct mover *v, char *out, size_t size) {
    const char *index = run_fact(v->run, "snapshot.index"), *node = run_fact(v->run, "snapshot.node");
    int64_t bytes = run_fact_int(v->run, "snapshot.bytes", 0);
    if (!run_has(v->run, "snapshot.proved_at")) return;
    snprintf(out, size, "index %s, %.1f MiB%s%s", index ? index : "not known", (double)bytes / (1024 * 1024), node ? ", of " : "", node ? node : "");
}

static void workload_row(struct mover *v) {
    const struct phase_now *next = v->current ? v->current : mover_next(v);
    int64_t started = 0;
    char copy[300] = "";
    char tombstone[600] = "", object[300];
    for (size_t i = 0; i < v->nphases; i++)
        if (v->phases[i].started && (!started || v->phases[i].started < started)) started = v->phases[i].started;
    bool moved = run_has(v->run, "pg.identifier.new");
    if (moved && run_has(v->run, "claim.old.name")) snprintf(tombstone, sizeof tombstone, "%s/%s", v->w->ns, run_fact(v->run, "claim.old.name"));
    copy_text(v, copy, sizeof copy);
    struct cell cells[PLAN_WORKLOADS_COLS] = {
        [PLAN_WORKLOADS_NAME] = cell_text(v->w->name),
        [PLAN_WORKLOADS_KIND] = cell_text(v->w->kind->name),
        [PLAN_WORKLOADS_NAMESPACE] = cell_text(v->w->ns),
        [PLAN_WORKLOADS_OBJECT] = cell_text(v->w->kind->object(v->w, object, sizeof object)),
        [PLAN_WORKLOADS_STATE] = cell_text(workload_word(v, next)),
        [PLAN_WORKLOADS_PHASE] = next ? cell_text(next->phase->id) : CELL_NONE,
        [PLAN_WORKLOADS_REASON] = v->read_only ? cell_text(v->read_only) : next ? cell_text(next->reason) : CELL_NONE,
        [PLAN_WORKLOADS_STARTED] = time_cell(started),
        [PLAN_WORKLOADS_IDENTIFIER] = cell_text(moved ? run_fact(v->run, "pg.identifier.new") : run_fact(v->run, "pg.identifier.old")),
        [PLAN_WORKLOADS_TOMBSTONE] = *tombstone ? cell_text(tombstone) : CELL_NONE,
        [PLAN_WORKLOADS_TOMBSTONE_UID] = moved ? cell_text(run_fact(v->run, "claim.old.uid")) : CELL_NONE,
        [PLAN_WORKLOADS_RETAIN_UNTIL] = plan_time_cell(run_fact_int(v->run, "retain.until", 0)),
        [PLAN_WORKLOADS_NO_WAY_BACK] = run_has(v->run, "no_way_back") ? cell_text(run_fact(v->run, "no_way_back")) : CELL_NONE,
        [PLAN_WORKLOADS_COPY] = *copy ? cell_text(copy) : CELL_NONE,
        [PLAN_WORKLOADS_COPY_AT] = time_cell(run_fact_int(v->run, "snapshot.proved_at", 0)),
    };
    world_upsert(v->m->world, T_PLAN_WORKLOADS, slice_of(v->w->name), "", cells);
}

/* The holder as the cluster's Lease has it, while the lock is not ours. */
static const struct row *lease_of(const struct mover *v, char *name, size_t size) {
    if (v->lock) str_copy(name, size, lock_name(v->lock));
    else snprintf(name, size, "ferryman-%s", v->w->name);
    return world_find_name(v->m->world, T_LEASES, slice_of(v->w->ns), slice_of(name));
}

static void lock_row(struct mover *v) {
    char name[300];
    const struct row *lease = lease_of(v, name, sizeof name);
    enum lock_state s = v->lock ? lock_state(v->lock) : LOCK_FREE;
    struct slice holder = lease ? row_text(lease, LEASES_HOLDER) : (struct slice){NULL, 0};
    const char *word = s == LOCK_OURS ? "OURS" : s == LOCK_LOST ? "LOST" : s == LOCK_OTHERS || holder.n ? "HELD" : "FREE";
    struct cell cells[LOCKS_COLS] = {
        [LOCKS_STATE] = cell_text(word),
        [LOCKS_HOLDER] = s == LOCK_OURS || s == LOCK_OTHERS ? cell_text(lock_holder(v->lock)) : holder.n ? cell_slice(holder) : CELL_NONE,
        [LOCKS_NAMESPACE] = cell_text(v->w->ns),
        [LOCKS_NAME] = cell_text(name),
        [LOCKS_SINCE] = time_cell(v->lock_since),
        [LOCKS_REASON] = cell_text(v->read_only),
    };
    world_upsert(v->m->world, T_LOCKS, slice_of(v->w->name), "", cells);
}

/* Facts "criterion.NAME" = {"state":…,"text":…,"at":…,"rank":…}: what verify judged, frozen. */
static void criteria_rows(struct mover *v) {
    static const char prefix[] = "criterion.";
    struct slice name;
    const char *value;
    size_t it = 0;
    while (run_each_fact(v->run, &it, &name, &value)) {
        struct json_t *d = NULL;
        if (name.n < sizeof prefix || memcmp(name.p, prefix, sizeof prefix - 1) != 0) continue;
        struct slice short_name = {name.p + sizeof prefix - 1, name.n - (sizeof prefix - 1)};
        struct err *e = jd_parse(value, strlen(value), "a criterion", &d);
        char *key = str_printf("%s/%.*s", v->w->name, (int)short_name.n, short_name.p);
        if (!e) {
            struct cell cells[CRITERIA_COLS] = {
                [CRITERIA_WORKLOAD] = cell_text(v->w->name),
                [CRITERIA_NAME] = cell_slice(short_name),
                [CRITERIA_STATE] = cell_text(jd_str(d, "state")),
                [CRITERIA_TEXT] = cell_text(jd_str(d, "text")),
                [CRITERIA_AT] = time_cell(jd_num(d, "at", 0)),
                [CRITERIA_RANK] = cell_int(jd_num(d, "rank", 0)),
            };
            world_upsert(v->m->world, T_CRITERIA, slice_of(key), "", cells);
        } else {
            world_remove(v->m->world, T_CRITERIA, slice_of(key)); /* taken back */
        }
        err_free(e);
        jd_free(d);
        mem_free(key);
    }
}

/* What was forgotten after a rollback has no rows any more. */
static void drop_steps(struct mover *v, struct phase_now *p) {
    char key[512];
    if (p->tries > 0 || p == v->current) return;
    for (size_t i = 0; i < p->nsteps; i++) {
        snprintf(key, sizeof key, "%s/%s/%s", v->w->name, p->phase->id, p->phase->steps[i].id);
        world_remove(v->m->world, T_STEPS, slice_of(key));
    }
}

void mover_rows(struct mover *v) {
    workload_row(v);
    for (size_t i = 0; i < v->nphases; i++) {
        struct phase_now *p = &v->phases[i];
        phase_row(v, p);
        drop_steps(v, p);
        for (size_t k = 0; k < p->nsteps; k++) {
            mover_step_row(v, p, k);
            for (size_t n = 0; n < p->steps[k].nresults; n++) mover_result_row(v, p, k, n);
        }
    }
    lock_row(v);
    criteria_rows(v);
    if (v->w->kind == &plan_kind_raft) window_show(v->run, v->m->elsewhere);
}

void arming_row(struct migration *m) {
    const char *context = m->config && m->config->context ? m->config->context : m->plan->context;
    struct cell cells[ARMING_COLS] = {
        [ARMING_STATE] = cell_text(m->arming.on ? "ARMED" : "READ-ONLY"),
        [ARMING_PEER] = m->arming.on ? cell_int(m->arming.peer) : CELL_NONE,
        [ARMING_BY] = m->arming.on ? cell_text(m->operator_name) : CELL_NONE,
        [ARMING_UNTIL] = m->arming.on ? cell_int(clock_wall_ms() + m->arming.until - clock_mono_ms()) : CELL_NONE,
        [ARMING_TYPED] = cell_text(context),
        [ARMING_ANSWER] = cell_text(m->arming.answer),
        [ARMING_ANSWERED] = cell_int(m->arming.answered),
    };
    world_upsert(m->world, T_ARMING, SLICE_LIT("arming"), "", cells);
}
