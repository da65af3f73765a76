/* The life of the source: what it was asked for, its listeners, and the joins between tables, which hang on the world's
 * own changes: whoever changes a row, by list, event or sweep, what depends on it follows. */
#include "source/kube_source.h"

#include "base/clock.h"
#include "base/mem.h"
#include "client/kube_client.h"
#include "loop/loop.h"
#include "loop/timer.h"
#include "source/kube_source_private.h"

enum { TICK_MS = 1000, CLAIMS_WAIT_MS = 2000, PASS_ROWS = 200 };

struct cell kube_cell(int64_t v) {
    return v == KUBE_NONE ? CELL_NONE : cell_int(v);
}

/* ---- Options ----------------------------------------------------------------------------------------------------- */

static const char *const *copy_list(const char *const *list) {
    size_t n = 0;
    while (list && list[n]) n++;
    char **copy = mem_calloc(n + 1, sizeof *copy);
    for (size_t i = 0; i < n; i++) copy[i] = mem_strdup(list[i]);
    return (const char *const *)copy;
}

static void free_text(const char *s) {
    mem_free((void *)(uintptr_t)s); /* a copy of ours */
}

static void free_list(const char *const *list) {
    for (const char *const *s = list; *s; s++) free_text(*s);
    mem_free((void *)(uintptr_t)list);
}

static void copy_options(struct kube_source *s, const struct kube_source_options *o) {
    struct kube_plan_object *objects = mem_calloc(o->nobjects + 1, sizeof *objects);
    for (size_t i = 0; i < o->nobjects; i++)
        objects[i] = (struct kube_plan_object){mem_strdup(o->objects[i].ns), mem_strdup(o->objects[i].kind),
                                               mem_strdup(o->objects[i].name)};
    s->o = *o;
    s->o.objects = objects;
    s->o.namespaces = copy_list(o->namespaces);
    s->o.source_classes = copy_list(o->source_classes);
    s->o.remaining = copy_list(o->remaining);
    s->o.target_class = mem_strdup(o->target_class);
    s->o.cluster_uid = mem_strdup(o->cluster_uid);
}

static void free_options(struct kube_source *s) {
    for (size_t i = 0; i < s->o.nobjects; i++) {
        free_text(s->o.objects[i].ns);
        free_text(s->o.objects[i].kind);
        free_text(s->o.objects[i].name);
    }
    mem_free((void *)(uintptr_t)s->o.objects);
    free_list(s->o.namespaces);
    free_list(s->o.source_classes);
    free_list(s->o.remaining);
    free_text(s->o.target_class);
    free_text(s->o.cluster_uid);
}

bool kube_source_has_plan(const struct kube_source *s) {
    return s->o.nobjects > 0 || *s->o.namespaces;
}

bool kube_source_plan_namespace(const struct kube_source *s, struct slice ns) {
    for (const char *const *p = s->o.namespaces; *p; p++)
        if (slice_is(ns, *p)) return true;
    return false;
}

bool kube_source_plan_object(const struct kube_source *s, struct slice ns, struct slice object) {
    struct slice name = object, kind;
    if (!object.p || !slice_cut(&name, '/', &kind) || !name.p) return false;
    for (size_t i = 0; i < s->o.nobjects; i++) {
        const struct kube_plan_object *o = &s->o.objects[i];
        if (slice_is(ns, o->ns) && slice_is(kind, o->kind) && slice_is(name, o->name)) return true;
    }
    return false;
}

/* ---- Judging everything anew ------------------------------------------------------------------------------------- */

/* Some rows of a reader of the whole world, then the loop has its turn. Rows that change come again and are the same
 * then, so it ends. */
static void pass_step(void *arg) {
    struct kube_source *s = arg;
    bool removed;
    const struct row *r = NULL;
    if (!s->pass) return;
    for (size_t i = 0; i < PASS_ROWS && (r = world_reader_next(s->pass, &removed)); i++)
        if (!removed && row_table(r) == T_CLAIMS) {
            kube_claims_judge(s, r);
            kube_arena_reset(&s->arena);
        }
    if (r && s->o.loop) {
        loop_defer(s->o.loop, pass_step, s);
        return;
    }
    if (r) return;
    world_reader_free(s->pass);
    s->pass = NULL;
}

void kube_source_settle(struct kube_source *s) {
    while (s->pass) pass_step(s);
}

void kube_source_judge_all(struct kube_source *s) {
    if (s->cleaning || world_count(s->o.world, T_CLAIMS) == 0) return;
    bool running = s->pass != NULL;
    if (running) world_reader_free(s->pass);
    s->pass = world_reader_new(s->o.world);
    if (!running && s->o.loop) loop_defer(s->o.loop, pass_step, s);
}

/* ---- Joins ------------------------------------------------------------------------------------------------------- */

static void join(struct kube_source *s, enum world_table t, const struct row *old, const struct row *now) {
    switch (t) {
    case T_VOLUMES:
        kube_claims_volume(s, old, now);
        break;
    case T_STORAGE_CLASSES:
        kube_source_judge_all(s);
        break;
    case T_PODS:
    case T_WORKLOADS:
    case T_JOBS:
        if (!now) claim_users_drop(s->users, row_key(old));
        break;
    case T_CLAIMS: /* what a workload has left behind shows when it has arrived */
        if (now && slice_is(row_text(now, CLAIMS_STATE), "MOVED") &&
            !(old && slice_is(row_text(old, CLAIMS_STATE), "MOVED")))
            kube_source_judge_all(s);
        if (!now) map_del(s->mounted, row_key(old));
        break;
    default:
        break;
    }
}

static void on_change(void *arg, enum world_table t, const struct row *old, const struct row *now) {
    struct kube_source *s = arg;
    struct kube_listener *before = old ? kube_listener_of(s, old) : NULL,
                         *after = now ? kube_listener_of(s, now) : NULL;
    if (s->cleaning || (!before && !after)) return;
    if (before) before->objects--;
    if (after) after->objects++;
    join(s, t, old, now);
    if ((after ? after : before)->listed) kube_timeline_change(s, t, old, now);
}

/* ---- Starting ---------------------------------------------------------------------------------------------------- */

static bool wanted(const struct kube_source *s, const struct kube_kind *k) {
    switch (s->o.extent) {
    case KUBE_CLAIMS: return k == &kube_kind_claims;
    case KUBE_CLAIMS_AND_VOLUMES: return k == &kube_kind_claims || k == &kube_kind_volumes;
    case KUBE_EVERYTHING: break;
    }
    return true;
}

static void add_kind(struct kube_source *s, const struct kube_kind *k) {
    if (!wanted(s, k)) return;
    if (k->scope != KUBE_PLAN) {
        kube_listener_new(s, k, NULL);
        return;
    }
    for (const char *const *ns = s->o.namespaces; *ns; ns++) kube_listener_new(s, k, *ns);
    if (*s->o.namespaces) return;
    struct source_row *row = source_row_new(s->o.world, "kube", k->resource, 0);
    source_row_off(row, "no plan names a namespace");
    s->off = mem_reallocarray(s->off, s->noff + 1, sizeof *s->off);
    s->off[s->noff++] = row;
}

/* One a turn: where each has a connection of its own, so many handshakes at once would hold the loop up. */
static void start_next(void *arg) {
    struct kube_source *s = arg;
    for (size_t i = 0; i < s->nlisteners; i++) {
        if (s->listeners[i]->reflector || s->listeners[i]->kind->waits) continue;
        kube_listener_start(s->listeners[i]);
        loop_defer(s->o.loop, start_next, s);
        return;
    }
}

/* Claims come after what they are judged by, so that each is judged once; but they do not wait for long. */
static void start_claims(void *arg) {
    struct kube_source *s = arg;
    bool ready = clock_mono_ms() - s->started_ms >= CLAIMS_WAIT_MS;
    if (s->claims_started) return;
    for (size_t i = 0; !ready && i < s->nlisteners; i++)
        if (s->listeners[i]->kind->awaited && !s->listeners[i]->answered) return;
    s->claims_started = true;
    for (size_t i = 0; i < s->nlisteners; i++)
        if (s->listeners[i]->kind->waits) kube_listener_start(s->listeners[i]);
}

void kube_source_answered(struct kube_source *s, const struct kube_kind *k) {
    if (k->awaited && !s->claims_started && s->client) loop_defer(s->o.loop, start_claims, s);
}

/* When most kinds fail at once it is the server. Once most are back, the others need not sit out their backoff. */
static void watch_outage(struct kube_source *s) {
    size_t failing = 0;
    for (size_t i = 0; i < s->nlisteners; i++) failing += s->listeners[i]->failed_ms != 0;
    bool was = s->outage;
    s->outage = failing * 2 > s->nlisteners;
    if (s->outage) s->outage_ms = clock_mono_ms();
    else if (was) kube_source_poke(s);
}

static void on_tick(void *arg) {
    struct kube_source *s = arg;
    watch_outage(s);
    start_claims(s);
    kube_account_tick(s->account);
    for (size_t i = 0; i < s->nlisteners; i++) {
        kube_listener_tell(s->listeners[i]);
        if (s->listeners[i]->listed) source_row_objects(s->listeners[i]->row, s->listeners[i]->objects);
    }
}

struct kube_source *kube_source_bare(const struct kube_source_options *o) {
    struct kube_source *s = MEM_NEW(struct kube_source);
    copy_options(s, o);
    s->users = claim_users_new(kube_claims_users_changed, s);
    s->mounted = map_new();
    s->drivers = map_new();
    s->by_key = map_new();
    s->started_ms = clock_mono_ms();
    world_watch(o->world, on_change, s);
    return s;
}

struct kube_source *kube_source_new(const struct kube_source_options *o) {
    static const struct kube_client_events events = {
        .on_health = kube_account_health, .on_identity = kube_account_identity, .on_version = kube_account_version,
    };
    struct kube_source *s = kube_source_bare(o);
    s->client = kube_client_new(o->loop, o->config, &events, s);
    s->account = kube_account_new(s);
    s->log = kube_log_new(s);
    for (const struct kube_kind *const *k = kube_kinds; *k; k++) add_kind(s, *k);
    start_next(s);
    s->tick = timer_new(o->loop, on_tick, s);
    timer_start(s->tick, 0, TICK_MS);
    return s;
}

/* ---- Ending ------------------------------------------------------------------------------------------------------ */

void kube_source_free(struct kube_source *s) {
    if (!s) return;
    s->cleaning = true;
    timer_free(s->tick);
    if (s->o.loop) loop_undefer(s->o.loop, s);
    kube_log_free(s->log);
    kube_account_free(s->account);
    while (s->nlisteners) {
        struct kube_listener *l = s->listeners[s->nlisteners - 1];
        kube_listener_free(l, false);
    }
    kube_client_free(s->client);
    world_unwatch(s->o.world, on_change, s);
    world_reader_free(s->pass);
    for (size_t i = 0; i < s->noff; i++) source_row_free(s->off[i], false);
    mem_free(s->off);
    mem_free(s->listeners);
    claim_users_free(s->users);
    map_free(s->mounted, NULL);
    map_free(s->drivers, mem_free);
    map_free(s->by_key, NULL);
    for (size_t i = 0; i < ARRAY_LEN(s->scratch); i++) buf_free(&s->scratch[i]);
    kube_arena_free(&s->arena);
    free_options(s);
    mem_free(s);
}

struct kube_client *kube_source_client(struct kube_source *s) {
    return s->client;
}

void kube_source_poke(struct kube_source *s) {
    for (size_t i = 0; i < s->nlisteners; i++)
        if (s->listeners[i]->reflector) kube_reflector_poke(s->listeners[i]->reflector);
}

void kube_source_log(struct kube_source *s, const char *ns, const char *pod, const char *container) {
    kube_log_fetch(s->log, ns, pod, container);
}
