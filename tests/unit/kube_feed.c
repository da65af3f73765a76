#include "kube_feed.h"

#include <stdio.h>
#include <string.h>

#include "base/json_reader.h"
#include "base/json_splitter.h"
#include "base/mem.h"

enum { PIECE_MAX = 8 * 1024 * 1024 };

static const struct {
    const char *name;
    const struct kube_kind *kind;
} kinds[] = {
    {"PersistentVolumeClaim", &kube_kind_claims},
    {"PersistentVolume", &kube_kind_volumes},
    {"StorageClass", &kube_kind_classes},
    {"VolumeAttachment", &kube_kind_attachments},
    {"Pod", &kube_kind_pods},
    {"Deployment", &kube_kind_deployments},
    {"StatefulSet", &kube_kind_statefulsets},
    {"CronJob", &kube_kind_cronjobs},
    {"Job", &kube_kind_jobs},
    {"Node", &kube_kind_nodes},
    {"CSINode", &kube_kind_csinodes},
    {"Event", &kube_kind_events},
    {"Lease", &kube_kind_leases},
    {"EndpointSlice", &kube_kind_endpoints},
    {"PodDisruptionBudget", &kube_kind_pdbs},
    {"ResourceQuota", &kube_kind_quotas},
    {"HorizontalPodAutoscaler", &kube_kind_hpas},
};

struct kube_feed *kube_feed_new(const struct kube_source_options *o) {
    static const char *const none[] = {NULL};
    struct kube_feed *f = MEM_NEW(struct kube_feed);
    struct kube_source_options options = *o;
    f->world = options.world = world_new();
    if (!options.namespaces) options.namespaces = none;
    if (!options.source_classes) options.source_classes = none;
    f->source = kube_source_bare(&options);
    return f;
}

void kube_feed_free(struct kube_feed *f) {
    kube_source_free(f->source);
    world_free(f->world);
    buf_free(&f->last_error);
    mem_free(f);
}

struct kube_listener *kube_feed_listener(struct kube_feed *f, struct slice kind) {
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        if (!slice_is(kind, kinds[i].name)) continue;
        for (size_t j = 0; j < f->source->nlisteners; j++)
            if (f->source->listeners[j]->kind == kinds[i].kind && !f->source->listeners[j]->ns)
                return f->source->listeners[j];
        return kube_listener_new(f->source, kinds[i].kind, NULL);
    }
    return NULL;
}

/* The first "kind" of a body as it stands. */
static struct slice raw_kind(struct slice body) {
    static const char key[] = "\"kind\":";
    const char *p = memmem(body.p, body.n, key, sizeof key - 1), *end = body.p + body.n;
    if (!p) return (struct slice){NULL, 0};
    p += sizeof key - 1;
    while (p < end && (*p == ' ' || *p == '"')) p++;
    struct slice s = {p, 0};
    while (p + s.n < end && p[s.n] != '"') s.n++;
    return s;
}

bool kube_feed_is_list(struct slice body) {
    return slice_ends(raw_kind(body), "List");
}

struct slice kube_feed_kind(struct slice body) {
    struct slice s = raw_kind(body);
    if (slice_ends(s, "List")) s.n -= 4;
    return s;
}

static void note(struct kube_feed *f, struct err *e) {
    if (e) f->unreadable++;
    err_free(e);
}

struct piece {
    struct kube_feed *f;
    struct kube_listener *l;
};

static struct err *on_piece(void *arg, enum json_piece kind, const char *p, size_t n) {
    struct piece *x = arg;
    if (kind == JSON_PIECE_ITEM) note(x->f, kube_listener_object(x->l, (struct slice){p, n}, false));
    return NULL;
}

void kube_feed_list(struct kube_feed *f, struct slice body, size_t step) {
    struct piece x = {f, kube_feed_listener(f, kube_feed_kind(body))};
    if (!x.l) return;
    struct json_splitter *s = json_splitter_new(JSON_SPLIT_ITEMS, PIECE_MAX, on_piece, &x);
    struct err *e = NULL;
    kube_listener_begin(x.l);
    for (size_t i = 0; i < body.n && !e; i += step)
        e = json_splitter_feed(s, body.p + i, step < body.n - i ? step : body.n - i);
    if (!e) e = json_splitter_finish(s);
    json_splitter_free(s);
    if (!e) kube_listener_end(x.l);
    note(f, e);
    kube_source_settle(f->source);
}

static const char *apply(struct kube_feed *f, const char *type, struct slice object) {
    struct kube_listener *l = kube_feed_listener(f, kube_feed_kind(object));
    if (!l) return type;
    note(f, kube_listener_object(l, object, str_eq(type, "DELETED")));
    kube_source_settle(f->source);
    return type;
}

static void read_status(struct kube_feed *f, struct slice object) {
    struct json_reader r;
    struct slice key, reason = {NULL, 0};
    int64_t code = 0;
    json_reader_init(&r, object.p, object.n);
    if (json_enter_object(&r))
        while (json_next_key(&r, &key)) {
            if (slice_is(key, "code")) code = json_int(&r, 0);
            else if (slice_is(key, "reason")) reason = json_string(&r);
            else json_skip(&r);
        }
    buf_clear(&f->last_error);
    buf_printf(&f->last_error, "%lld %.*s", (long long)code, SLICE_FMT(reason));
    json_reader_free(&r);
}

const char *kube_feed_event(struct kube_feed *f, struct slice line) {
    static const char *const types[] = {"ADDED", "MODIFIED", "DELETED", "BOOKMARK", "ERROR"};
    const char *type = "?";
    struct slice key, object = {NULL, 0};
    struct json_reader r;
    json_reader_init(&r, line.p, line.n);
    if (json_enter_object(&r))
        while (json_next_key(&r, &key)) {
            if (slice_is(key, "type")) {
                struct slice t = json_string(&r);
                for (size_t i = 0; i < ARRAY_LEN(types); i++)
                    if (slice_is(t, types[i])) type = types[i];
            } else if (slice_is(key, "object")) {
                object = json_raw(&r);
            } else {
                json_skip(&r);
            }
        }
    note(f, json_finish(&r, "watch event"));
    json_reader_free(&r);
    if (str_eq(type, "BOOKMARK")) f->bookmarks++;
    else if (str_eq(type, "ERROR")) {
        f->errors++;
        read_status(f, object);
    } else if (object.p) apply(f, type, object);
    return type;
}

void kube_feed_object(struct kube_feed *f, const char *kind, const char *json, bool deleted) {
    note(f, kube_listener_object(kube_feed_listener(f, slice_of(kind)), slice_of(json), deleted));
    kube_source_settle(f->source);
}

/* ---- Rows as text ------------------------------------------------------------------------------------------------ */

static const struct {
    enum world_table table;
    const char *cols;
} shown[] = {
    {T_CLAIMS, "state class request capacity modes phase volume storage manager created deleting version"},
    {T_PODS, "state ready restarts reason node ip owner claims image started deleting"},
    {T_WORKLOADS, "kind state desired ready strategy claims last_run last_ok image manager deleting"},
    {T_JOBS, "owner state reason started finished claims"},
    {T_EVENTS, "type object object_uid reason message count reporter first last"},
    {T_LEASES, "holder duration renewed transitions"},
};

static void add_cell(const struct row *r, struct slice name, struct buf *out) {
    struct cell c = row_cell(r, world_col_by_name(row_table(r), name));
    if (c.type == CELL_INT) buf_printf(out, " %.*s=%lld", SLICE_FMT(name), (long long)c.i);
    else if (c.type == CELL_TEXT && c.s.n) buf_printf(out, " %.*s=%.*s", SLICE_FMT(name), SLICE_FMT(c.s));
}

void kube_feed_row(const struct row *r, struct buf *out) {
    const struct world_table_info *info = world_table_info(row_table(r));
    buf_printf(out, "%s %.*s", info->name, SLICE_FMT(row_text(r, info->namespace_col)));
    if (info->name_col >= 0) buf_printf(out, "/%.*s", SLICE_FMT(row_text(r, info->name_col)));
    buf_printf(out, " key=%.*s", SLICE_FMT(row_key(r)));
    for (size_t i = 0; i < ARRAY_LEN(shown); i++) {
        struct slice cols = slice_of(shown[i].cols), one;
        while (shown[i].table == row_table(r) && slice_cut(&cols, ' ', &one)) add_cell(r, one, out);
    }
}
