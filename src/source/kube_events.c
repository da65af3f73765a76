/* Events about the objects of the plan, and leases of its namespaces. Events are bounded: the newest 500 stay. */
#include <stdlib.h>

#include "base/mem.h"
#include "source/kube_source_private.h"

enum { EVENTS_KEPT = 500, EVENTS_SLACK = 50 };

/* A name that is the plan's object's or starts with it and a dash: its pods, replica sets, jobs. */
static bool belongs(struct slice name, const char *object) {
    size_t n = slice_of(object).n;
    return slice_starts(name, object) && (name.n == n || name.p[n] == '-');
}

static bool is_wanted(const struct kube_source *s, const struct kube_event *e) {
    if (!kube_source_plan_namespace(s, e->object_ns.n ? e->object_ns : e->meta.ns)) return false;
    if (slice_is(e->object_kind, "PersistentVolumeClaim")) return true;
    for (size_t i = 0; i < s->o.nobjects; i++)
        if (slice_is(e->object_ns, s->o.objects[i].ns) && belongs(e->object_name, s->o.objects[i].name)) return true;
    return false;
}

static int compare_times(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? 1 : x > y ? -1 : 0;
}

/* Drops what is older than the newest 500. Not while the table is being changed: after an object or a list. */
static void prune(struct kube_source *s) {
    struct world *w = s->o.world;
    size_t n = world_count(w, T_EVENTS), i = 0, gone = 0;
    if (n <= EVENTS_KEPT + EVENTS_SLACK) return;
    int64_t *times = mem_calloc(n, sizeof *times);
    char **keys = mem_calloc(n, sizeof *keys);
    for (const struct row *r = world_first(w, T_EVENTS); r && i < n; r = world_next(w, r))
        times[i++] = row_int(r, EVENTS_LAST, 0);
    qsort(times, n, sizeof *times, compare_times);
    for (const struct row *r = world_first(w, T_EVENTS); r; r = world_next(w, r))
        if (row_int(r, EVENTS_LAST, 0) < times[EVENTS_KEPT - 1]) keys[gone++] = slice_dup(row_key(r));
    for (i = 0; i < gone; i++) {
        world_remove(w, T_EVENTS, slice_of(keys[i]));
        mem_free(keys[i]);
    }
    mem_free(keys);
    mem_free(times);
}

static struct err *apply_event(struct kube_listener *l, struct slice json, bool deleted) {
    struct kube_source *s = l->source;
    struct kube_event ev;
    struct err *e = kube_event_parse(&s->arena, json, &ev);
    if (e) return e;
    if (!is_wanted(s, &ev)) return NULL;
    struct cell cells[EVENTS_COLS] = {
        [EVENTS_NAMESPACE] = cell_slice(ev.meta.ns),
        [EVENTS_TYPE] = cell_text(slice_is(ev.type, "Warning") ? "WARNING" : "NORMAL"),
        [EVENTS_OBJECT] =
            cell_slice(kube_arena_printf(&s->arena, "%.*s/%.*s", SLICE_FMT(ev.object_kind), SLICE_FMT(ev.object_name))),
        [EVENTS_OBJECT_UID] = cell_slice(ev.object_uid),
        [EVENTS_REASON] = cell_slice(ev.reason),
        [EVENTS_MESSAGE] = cell_slice(ev.message),
        [EVENTS_COUNT] = cell_int(ev.count),
        [EVENTS_REPORTER] = cell_slice(ev.reporter),
        [EVENTS_FIRST] = kube_cell(ev.first),
        [EVENTS_LAST] = kube_cell(ev.last),
    };
    kube_listener_row(l, &ev.meta, cells, deleted);
    prune(s);
    return NULL;
}

const struct kube_kind kube_kind_events = {
    .group_path = "/api/v1", .resource = "events", .scope = KUBE_PLAN, .table = T_EVENTS, .apply = apply_event,
};

/* ---- Leases ------------------------------------------------------------------------------------------------------ */

static struct err *apply_lease(struct kube_listener *l, struct slice json, bool deleted) {
    struct kube_lease x;
    struct err *e = kube_lease_parse(&l->source->arena, json, &x);
    if (e) return e;
    struct cell cells[LEASES_COLS] = {
        [LEASES_NAMESPACE] = cell_slice(x.meta.ns),
        [LEASES_NAME] = cell_slice(x.meta.name),
        [LEASES_HOLDER] = x.holder.n ? cell_slice(x.holder) : CELL_NONE,
        [LEASES_DURATION] = x.duration_s == KUBE_NONE || x.duration_s > INT32_MAX || x.duration_s < 0
                                ? CELL_NONE
                                : cell_int(x.duration_s * 1000),
        [LEASES_RENEWED] = kube_cell(x.renewed),
        [LEASES_TRANSITIONS] = kube_cell(x.transitions),
    };
    kube_listener_row(l, &x.meta, cells, deleted);
    return NULL;
}

const struct kube_kind kube_kind_leases = {
    .group_path = "/apis/coordination.k8s.io/v1",
    .resource = "leases",
    .scope = KUBE_PLAN,
    .table = T_LEASES,
    .apply = apply_lease,
};
