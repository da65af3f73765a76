/* One kind, its reflector and its row of T_SOURCES. A listener that is denied the whole cluster stays DENIED in its own
 * row and tries on, while listeners of the plan's namespaces do what they can; they go when it comes through.
 *
 * While its list comes in, single ones may answer, too (a server that has just begun denies everybody for a moment, and
 * all ask again together). From its beginning on they are not heard any more, or the rows that they claim last would go
 * with them. If the list fails after all, they begin anew. */
#include "base/clock.h"
#include "base/mem.h"
#include "loop/loop.h"
#include "source/kube_source_private.h"

/* The canary proves a watch every 15 s (kube_client.h): two misses and something is wrong. */
#define STALE_AFTER_MS 45000
#define TELL_AFTER_MS 5000

struct kube_listener *kube_listener_new(struct kube_source *s, const struct kube_kind *kind, const char *ns) {
    struct kube_listener *l = MEM_NEW(struct kube_listener);
    char *name = ns ? str_printf("%s@%s", kind->resource, ns) : mem_strdup(kind->resource);
    *l = (struct kube_listener){.source = s, .kind = kind, .ns = mem_strdup(ns)};
    l->row = source_row_new(s->o.world, "kube", name, STALE_AFTER_MS);
    source_row_quiet(l->row);
    mem_free(name);
    s->listeners = mem_reallocarray(s->listeners, s->nlisteners + 1, sizeof *s->listeners);
    s->listeners[s->nlisteners++] = l;
    map_puts(s->by_key, source_row_key(l->row), l);
    return l;
}

void kube_listener_start(struct kube_listener *l) {
    static const struct kube_reflector_events events = {
        .on_list_begin = kube_listener_begin,
        .on_object = kube_listener_object,
        .on_list_end = kube_listener_end,
        .on_status = kube_listener_status,
    };
    struct kube_reflector_options o = {.group_path = l->kind->group_path, .resource = l->kind->resource, .ns = l->ns};
    if (l->source->client && !l->reflector) l->reflector = kube_reflector_new(l->source->client, &o, &events, l);
}

/* With `remove` its row and all rows that it delivered go too. */
void kube_listener_free(struct kube_listener *l, bool remove) {
    struct kube_source *s = l->source;
    if (s->o.loop) loop_undefer(s->o.loop, l);
    kube_reflector_free(l->reflector);
    if (remove && l->kind->table != T_COUNT)
        world_sweep_end(s->o.world, l->kind->table, source_row_key(l->row), world_sweep_begin(s->o.world));
    map_del(s->by_key, slice_of(source_row_key(l->row)));
    for (size_t i = 0; i < s->nlisteners; i++)
        if (s->listeners[i] == l) s->listeners[i] = s->listeners[--s->nlisteners];
    source_row_free(l->row, remove);
    mem_free(l->ns);
    mem_free(l);
}

struct kube_listener *kube_listener_of(const struct kube_source *s, const struct row *r) {
    return map_gets(s->by_key, row_src(s->o.world, r));
}

/* ---- Objects ----------------------------------------------------------------------------------------------------- */

static bool is_taken_over(const struct kube_listener *l) {
    return l->whole && l->whole->takes_over;
}

void kube_listener_begin(void *arg) {
    struct kube_listener *l = arg;
    if (is_taken_over(l)) return;
    l->takes_over = l->single;
    l->sweep = world_sweep_begin(l->source->o.world);
    if (l->kind->begin) l->kind->begin(l);
}

struct err *kube_listener_object(void *arg, struct slice json, bool deleted) {
    struct kube_listener *l = arg;
    if (is_taken_over(l)) return NULL;
    struct err *e = l->kind->apply(l, json, deleted);
    kube_arena_reset(&l->source->arena);
    return e;
}

void kube_listener_row(struct kube_listener *l, const struct kube_meta *m, const struct cell *cells, bool deleted) {
    struct world *w = l->source->o.world;
    if (deleted) world_remove(w, l->kind->table, m->uid);
    else world_upsert(w, l->kind->table, m->uid, source_row_key(l->row), cells);
}

static void answered(struct kube_listener *l) {
    if (!l->answered) {
        l->answered = true;
        kube_source_answered(l->source, l->kind);
    }
}

/* The listeners of single namespaces of this kind, which are needed no longer. */
static void drop_singles(void *arg) {
    struct kube_listener *l = arg;
    struct kube_source *s = l->source;
    for (size_t i = s->nlisteners; i-- > 0;)
        if (s->listeners[i]->whole == l) kube_listener_free(s->listeners[i], true);
    l->takes_over = false;
}

/* The whole list has failed: the single ones list again, since they were not heard meanwhile. */
static void restart_singles(void *arg) {
    struct kube_listener *l = arg;
    struct kube_source *s = l->source;
    if (!l->takes_over) return;
    l->takes_over = false;
    for (size_t i = 0; i < s->nlisteners; i++) {
        struct kube_listener *single = s->listeners[i];
        if (single->whole != l) continue;
        kube_reflector_free(single->reflector);
        single->reflector = NULL;
        kube_listener_start(single);
    }
}

static void later(struct kube_listener *l, void (*what)(void *arg)) {
    if (l->source->o.loop) loop_defer(l->source->o.loop, what, l);
    else what(l);
}

void kube_listener_end(void *arg) {
    struct kube_listener *l = arg;
    struct kube_source *s = l->source;
    if (is_taken_over(l)) return;
    if (l->kind->table != T_COUNT) world_sweep_end(s->o.world, l->kind->table, source_row_key(l->row), l->sweep);
    if (l->kind->end) l->kind->end(l);
    kube_arena_reset(&s->arena);
    l->listed = true;
    answered(l);
    source_row_objects(l->row, l->objects);
    if (!l->single) return;
    l->single = false;
    later(l, drop_singles);
}

/* ---- State ------------------------------------------------------------------------------------------------------- */

static void listen_singly(struct kube_listener *l) {
    struct kube_source *s = l->source;
    l->single = true;
    for (const char *const *ns = s->o.namespaces; *ns; ns++) {
        struct kube_listener *single = kube_listener_new(s, l->kind, *ns);
        single->whole = l;
        kube_listener_start(single);
    }
}

/* When a server goes, all its kinds go, and kube/api says so once: a kind by itself is news only if it stays away while
 * the server is there. */
void kube_listener_tell(struct kube_listener *l) {
    struct kube_source *s = l->source;
    int64_t now = clock_mono_ms();
    if (l->told || !l->failed_ms || now - l->failed_ms < TELL_AFTER_MS || now - s->outage_ms < TELL_AFTER_MS) return;
    if (s->account && kube_account_well_for_ms(s->account) < TELL_AFTER_MS) return;
    const struct row *r = world_find(s->o.world, T_SOURCES, slice_of(source_row_key(l->row)));
    if (!r) return;
    l->told = true;
    timeline_add(s->o.world, "BAD", source_row_key(l->row), "%.*s: %.*s", SLICE_FMT(row_text(r, SOURCES_STATE)),
                 SLICE_FMT(row_text(r, SOURCES_ERROR)));
}

static void recover(struct kube_listener *l) {
    if (l->told) timeline_add(l->source->o.world, "GOOD", source_row_key(l->row), "answers again");
    l->told = false;
    l->failed_ms = 0;
}

void kube_listener_status(void *arg, const struct kube_reflector_status *st) {
    struct kube_listener *l = arg;
    struct kube_source *s = l->source;
    if (st->state == KUBE_LIVE && st->last_ok_ms > l->last_ok_ms) {
        l->last_ok_ms = st->last_ok_ms;
        recover(l);
        source_row_ok(l->row, true);
        if (s->account) kube_account_alive(s->account);
    }
    if ((st->state != KUBE_BACKOFF && st->state != KUBE_DENIED) || !st->error) return;
    answered(l);
    if (!l->failed_ms) l->failed_ms = clock_mono_ms();
    source_row_failed(l->row, st->error, st->next_try_ms);
    if (l->takes_over && l->single) later(l, restart_singles);
    if (st->state == KUBE_DENIED && err_kind(st->error) == ERR_DENIED && !l->ns && l->kind->scope == KUBE_ALL &&
        !l->single && *s->o.namespaces)
        listen_singly(l);
}
