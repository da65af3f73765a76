#include "engine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "client/kube_config.h"
#include "engine_clock.h"
#include "engine_sources.h"
#include "loop/loop.h"
#include "loop/timer.h"
#include "migrate/intent.h"
#include "migrate/migration.h"
#include "migrate/plan.h"
#include "setup.h"
#include "world/gate.h"
#include "world/world.h"

#define TICK_MS 1000

struct engine {
    struct loop *loop;
    const struct setup *setup;
    struct world *world;
    struct engine_sources *sources;
    struct migration *migration; /* NULL without a plan */
    void (*on_idle)(void *arg);
    void *idle_arg;
    struct timer *tick;
    int64_t longest_turn_us, longest_turn_cpu_us;
    void (*on_tick)(void *arg);
    void *tick_arg;
    void (*on_turn)(void *arg);
    void *turn_arg;
};

static void note_stall(struct engine *e) {
    int64_t wall = loop_stall_us(e->loop), cpu = loop_stall_cpu_us(e->loop);
    if (wall > e->longest_turn_us) e->longest_turn_us = wall;
    if (cpu > e->longest_turn_cpu_us) e->longest_turn_cpu_us = cpu;
}

static void tick(void *arg) {
    struct engine *e = arg;
    note_stall(e);
    world_set_now(e->world, clock_wall_ms());
    engine_clock_follow(e->setup->kube);
    gates_update(e->world);
    if (e->migration) migration_tick(e->migration);
    if (e->on_tick) e->on_tick(e->tick_arg);
}

static void turn(void *arg) {
    struct engine *e = arg;
    world_set_now(e->world, clock_wall_ms());
    if (e->migration) migration_turn(e->migration);
    if (e->on_turn) e->on_turn(e->turn_arg);
}

static char *joined(const struct plan_strings *list) {
    struct buf b = {0};
    for (size_t i = 0; i < list->n; i++) buf_printf(&b, "%s%s", i ? " " : "", list->v[i]);
    return buf_steal(&b);
}

static void write_plan_row(struct engine *e, const struct plan *p) {
    struct cell cells[PLAN_COLS] = {[PLAN_STATE] = cell_text("NONE"), [PLAN_CONTEXT] = cell_text(e->setup->kube->context)};
    char *sources = NULL, *remaining = NULL, *backups = NULL;
    if (p) {
        sources = joined(&p->source_classes);
        remaining = joined(&p->remaining);
        backups = joined(&p->backup_cronjobs);
        cells[PLAN_STATE] = cell_text("OK");
        cells[PLAN_NAME] = cell_text(p->name);
        cells[PLAN_FILE] = cell_text(p->file);
        cells[PLAN_CLUSTER] = cell_text(p->cluster);
        cells[PLAN_SOURCES] = cell_text(sources);
        cells[PLAN_TARGET] = cell_text(p->target_class);
        cells[PLAN_REMAINING] = cell_text(remaining);
        cells[PLAN_WATCHDOG] = cell_text(p->alertmanager ? p->watchdog : NULL);
        cells[PLAN_BACKUPS] = cell_text(backups);
        cells[PLAN_BACKUP_DAYS] = p->backup_cronjobs.n ? cell_int(p->backup_days) : CELL_NONE;
        cells[PLAN_SNAPSHOT_DAILY] = cell_text(p->snapshot_daily);
    }
    world_upsert(e->world, T_PLAN, SLICE_LIT("plan"), "", cells);
    mem_free(sources);
    mem_free(remaining);
    mem_free(backups);
}

static void write_workload_rows(struct engine *e, const struct plan *p) {
    for (size_t i = 0; p && i < p->nworkloads; i++) {
        const struct plan_workload *w = &p->workloads[i];
        char object[300];
        struct cell cells[PLAN_WORKLOADS_COLS] = {
            [PLAN_WORKLOADS_NAME] = cell_text(w->name),
            [PLAN_WORKLOADS_KIND] = cell_text(w->kind->name),
            [PLAN_WORKLOADS_NAMESPACE] = cell_text(w->ns),
            [PLAN_WORKLOADS_OBJECT] = cell_text(w->kind->object(w, object, sizeof object)),
            [PLAN_WORKLOADS_STATE] = cell_text("NOT STARTED"),
        };
        world_upsert(e->world, T_PLAN_WORKLOADS, slice_of(w->name), "", cells);
    }
}

static void idle(void *arg) {
    struct engine *e = arg;
    engine_sources_poke(e->sources); /* a phase has changed what they know */
    if (e->on_idle) e->on_idle(e->idle_arg);
}

struct engine *engine_new(struct loop *l, const struct setup *setup, bool acts) {
    struct engine *e = MEM_NEW(struct engine);
    e->loop = l;
    e->setup = setup;
    e->world = world_new();
    world_set_now(e->world, clock_wall_ms());
    engine_clock_follow(setup->kube);
    write_plan_row(e, setup->plan);
    write_workload_rows(e, setup->plan);
    e->sources = engine_sources_new(l, e->world, setup);
    if (setup->plan)
        e->migration = migration_new(&(struct migration_options){.loop = l, .world = e->world, .plan = setup->plan, .config = setup->kube,
                                                                 .kube = engine_sources_kube(e->sources), .look = !acts, .on_idle = idle, .arg = e});
    e->tick = timer_new(l, tick, e);
    timer_start(e->tick, TICK_MS, TICK_MS);
    loop_on_turn(l, turn, e);
    return e;
}

void engine_free(struct engine *e) {
    if (!e) return;
    note_stall(e);
    log_info("longest turn of the loop: %lld us; of processor time: %lld us", (long long)e->longest_turn_us, (long long)e->longest_turn_cpu_us);
    loop_on_turn(e->loop, NULL, NULL);
    timer_free(e->tick);
    migration_free(e->migration);
    engine_sources_free(e->sources);
    world_free(e->world);
    mem_free(e);
}

struct world *engine_world(struct engine *e) {
    return e->world;
}

struct stream_hello engine_hello(const struct engine *e, unsigned peer) {
    return (struct stream_hello){
        .version = FERRYMAN_VERSION,
        .plan = e->setup->plan ? e->setup->plan->name : NULL,
        .context = e->setup->kube->context,
        .peer = peer,
    };
}

bool engine_settled(const struct engine *e) {
    for (const struct row *r = world_first(e->world, T_SOURCES); r; r = world_next(e->world, r))
        if (slice_is(row_text(r, SOURCES_STATE), "STARTING")) return false;
    return world_count(e->world, T_SOURCES) > 0;
}

void engine_on_tick(struct engine *e, void (*fn)(void *arg), void *arg) {
    e->on_tick = fn;
    e->tick_arg = arg;
}

void engine_on_turn(struct engine *e, void (*fn)(void *arg), void *arg) {
    e->on_turn = fn;
    e->turn_arg = arg;
}

void engine_intent(struct engine *e, unsigned peer, struct slice line) {
    struct intent in = {0};
    struct err *err = intent_parse(line, &in);
    if (err) log_warn("%s", err_text(err));
    else if (str_eq(in.verb, "refresh")) engine_sources_poke(e->sources);
    else if (str_eq(in.verb, "log") && in.ns && in.pod) engine_sources_log(e->sources, in.ns, in.pod, in.container);
    else if (!e->migration || !migration_intent(e->migration, peer, &in)) log_warn("an intent with the unknown verb '%s' was passed over", in.verb ? in.verb : "");
    err_free(err);
    intent_clear(&in);
}

void engine_peer_gone(struct engine *e, unsigned peer) {
    if (e->migration) migration_peer_gone(e->migration, peer);
}

bool engine_busy(const struct engine *e) {
    return e->migration && migration_busy(e->migration);
}

bool engine_in_flight(const struct engine *e) {
    return e->migration && migration_in_flight(e->migration);
}

void engine_on_idle(struct engine *e, void (*fn)(void *arg), void *arg) {
    e->on_idle = fn;
    e->idle_arg = arg;
}

bool engine_end(struct engine *e, void (*fn)(void *arg), void *arg) {
    return e->migration && migration_end(e->migration, fn, arg);
}
