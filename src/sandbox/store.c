#include "sandbox/store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/json_doc.h"
#include "base/mem.h"
#include "sandbox/object.h"

#define RING_MAX 16384u

struct shelf {
    struct version **all;
    size_t count, cap;
    struct change_event *ring; /* ring[seq % RING_MAX] */
    uint64_t first, end;
    uint64_t oldest_rv;
};

struct store {
    uint64_t rv;
    struct shelf shelves[KIND_COUNT];
    struct observer {
        void (*fn)(void *arg, enum kube_id kind, const struct change_event *ev);
        void *arg;
    } *observers;
    size_t observer_count;
};

/* ---- Versions ---------------------------------------------------------------------------------------------------- */

static struct version *version_new(const char *ns, const char *name, uint64_t rv, const char *json, size_t n)
{
    size_t ns_len = ns ? strlen(ns) : 0, name_len = strlen(name);
    size_t key_len = ns_len ? ns_len + 1 + name_len : name_len;
    struct version *v = mem_alloc(sizeof *v + key_len + 1 + n + 1);
    char *p = v->data;

    *v = (struct version){.rv = rv, .n = n, .refs = 1, .ns_len = (unsigned)ns_len, .key_len = (unsigned)key_len};
    if (ns_len) {
        memcpy(p, ns, ns_len);
        p[ns_len] = '/';
        p += ns_len + 1;
    }
    memcpy(p, name, name_len + 1);
    memcpy(v->data + key_len + 1, json, n);
    v->data[key_len + 1 + n] = '\0';
    return v;
}

const char *version_key(const struct version *v)
{
    return v->data;
}

struct slice version_namespace(const struct version *v)
{
    return (struct slice){v->data, v->ns_len};
}

const char *version_name(const struct version *v)
{
    return v->ns_len ? v->data + v->ns_len + 1 : v->data;
}

struct slice version_json(const struct version *v)
{
    return (struct slice){v->data + v->key_len + 1, v->n};
}

struct version *version_ref(struct version *v)
{
    if (v)
        v->refs++;
    return v;
}

void version_unref(struct version *v)
{
    if (v && --v->refs == 0)
        free(v);
}

struct json_t *version_doc(const struct version *v)
{
    struct json_t *doc = NULL;
    struct slice json = version_json(v);
    struct err *e = jd_parse(json.p, json.n, "stored object", &doc);

    if (e) {
        err_ignore(e, "what the store wrote itself parses; an empty object is shown if it ever does not");
        doc = jd_object();
    }
    return doc;
}

/* ---- Store ------------------------------------------------------------------------------------------------------- */

struct store *store_new(void)
{
    return MEM_NEW(struct store);
}

static void event_drop(struct change_event *ev)
{
    version_unref(ev->now);
    version_unref(ev->before);
    *ev = (struct change_event){0};
}

void store_free(struct store *st)
{
    if (!st)
        return;
    for (size_t k = 0; k < KIND_COUNT; k++) {
        struct shelf *s = &st->shelves[k];
        for (uint64_t i = s->first; i < s->end; i++)
            event_drop(&s->ring[i % RING_MAX]);
        for (size_t i = 0; i < s->count; i++)
            version_unref(s->all[i]);
        free(s->all);
        free(s->ring);
    }
    free(st->observers);
    free(st);
}

uint64_t store_rv(const struct store *st)
{
    return st->rv;
}

uint64_t store_next_rv(struct store *st)
{
    return st->rv + 1;
}

void store_set_rv(struct store *st, uint64_t rv)
{
    st->rv = rv;
}

size_t store_seek(const struct store *st, enum kube_id kind, const char *key)
{
    const struct shelf *s = &st->shelves[kind];
    size_t lo = 0, hi = s->count;

    if (hi > 0 && strcmp(s->all[hi - 1]->data, key) < 0)
        return hi;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (strcmp(s->all[mid]->data, key) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

static char *key_of(const char *ns, const char *name)
{
    return ns && ns[0] ? str_printf("%s/%s", ns, name) : mem_strdup(name);
}

struct version *store_get(const struct store *st, enum kube_id kind, const char *ns, const char *name)
{
    const struct shelf *s = &st->shelves[kind];
    char *key = key_of(ns, name);
    size_t i = store_seek(st, kind, key);
    struct version *v = i < s->count && strcmp(s->all[i]->data, key) == 0 ? s->all[i] : NULL;

    free(key);
    return v;
}

struct version *const *store_all(const struct store *st, enum kube_id kind, size_t *ret_count)
{
    *ret_count = st->shelves[kind].count;
    return st->shelves[kind].all;
}

void store_range(const struct store *st, enum kube_id kind, const char *ns, size_t *ret_from, size_t *ret_to)
{
    *ret_from = 0;
    *ret_to = st->shelves[kind].count;
    if (!ns || !ns[0])
        return;
    char *key = str_printf("%s/", ns);
    *ret_from = store_seek(st, kind, key);
    key[strlen(key) - 1] = '/' + 1;
    *ret_to = store_seek(st, kind, key);
    free(key);
}

static void notify(struct store *st, enum kube_id kind, const struct change_event *ev)
{
    for (size_t i = 0; i < st->observer_count; i++)
        st->observers[i].fn(st->observers[i].arg, kind, ev);
}

/* Takes over both references. */
static void record(struct store *st, enum kube_id kind, enum change type, struct version *now, struct version *before)
{
    struct shelf *s = &st->shelves[kind];

    if (!s->ring)
        s->ring = mem_calloc(RING_MAX, sizeof s->ring[0]);
    if (s->end - s->first == RING_MAX) {
        s->oldest_rv = s->ring[s->first % RING_MAX].rv;
        event_drop(&s->ring[s->first++ % RING_MAX]);
    }
    struct change_event *ev = &s->ring[s->end++ % RING_MAX];
    *ev = (struct change_event){.rv = now->rv, .type = type, .now = now, .before = before};
    notify(st, kind, ev);
}

struct version *store_put_bytes(struct store *st, enum kube_id kind, const char *ns, const char *name, uint64_t rv,
                                const char *json, size_t n)
{
    struct shelf *s = &st->shelves[kind];
    struct version *v = version_new(ns, name, rv, json, n);
    size_t i = store_seek(st, kind, v->data);

    st->rv = rv;
    if (i < s->count && strcmp(s->all[i]->data, v->data) == 0) {
        struct version *before = s->all[i];
        s->all[i] = v;
        record(st, kind, CHANGE_MODIFIED, version_ref(v), before);
        return v;
    }
    if (s->count == s->cap) {
        s->cap = s->cap ? s->cap * 2 : 64;
        s->all = mem_reallocarray(s->all, s->cap, sizeof(s->all[0]));
    }
    memmove(s->all + i + 1, s->all + i, (s->count - i) * sizeof(s->all[0]));
    s->all[i] = v;
    s->count++;
    record(st, kind, CHANGE_ADDED, version_ref(v), NULL);
    return v;
}

static void set_rv(struct json_t *doc, uint64_t rv)
{
    char text[24];

    snprintf(text, sizeof text, "%llu", (unsigned long long)rv);
    jd_put(doc, "metadata.resourceVersion", jd_string(text));
}

struct version *store_put(struct store *st, enum kube_id kind, struct json_t *doc)
{
    uint64_t rv = store_next_rv(st);
    struct buf b = {0};

    set_rv(doc, rv);
    object_tidy(doc);
    jd_dump(doc, &b);
    struct version *v = store_put_bytes(st, kind, jd_str(doc, "metadata.namespace"), jd_str(doc, "metadata.name"), rv,
                                        b.p, b.len);
    buf_free(&b);
    return v;
}

void store_del(struct store *st, enum kube_id kind, const char *ns, const char *name, struct json_t *doc)
{
    struct shelf *s = &st->shelves[kind];
    struct version *before = store_get(st, kind, ns, name);
    struct buf b = {0};

    if (!before)
        return;
    struct json_t *last = doc ? jd_ref(doc) : version_doc(before);
    set_rv(last, ++st->rv);
    object_tidy(last);
    jd_dump(last, &b);
    struct version *v = version_new(ns, name, st->rv, b.p, b.len);
    buf_free(&b);
    jd_free(last);
    size_t i = store_seek(st, kind, v->data);
    memmove(s->all + i, s->all + i + 1, (s->count - i - 1) * sizeof(s->all[0]));
    s->count--;
    record(st, kind, CHANGE_DELETED, v, before);
}

/* ---- History ----------------------------------------------------------------------------------------------------- */

uint64_t store_ring_first(const struct store *st, enum kube_id kind)
{
    return st->shelves[kind].first;
}

uint64_t store_ring_end(const struct store *st, enum kube_id kind)
{
    return st->shelves[kind].end;
}

const struct change_event *store_ring_at(const struct store *st, enum kube_id kind, uint64_t seq)
{
    return &st->shelves[kind].ring[seq % RING_MAX];
}

uint64_t store_ring_after(const struct store *st, enum kube_id kind, uint64_t rv)
{
    const struct shelf *s = &st->shelves[kind];
    uint64_t lo = s->first, hi = s->end;

    while (lo < hi) {
        uint64_t mid = lo + (hi - lo) / 2;
        if (s->ring[mid % RING_MAX].rv <= rv)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

uint64_t store_oldest_rv(const struct store *st, enum kube_id kind)
{
    return st->shelves[kind].oldest_rv;
}

void store_compact(struct store *st)
{
    for (size_t k = 0; k < KIND_COUNT; k++) {
        struct shelf *s = &st->shelves[k];
        while (s->first < s->end)
            event_drop(&s->ring[s->first++ % RING_MAX]);
        s->oldest_rv = st->rv;
    }
}

void store_observe(struct store *st, void (*fn)(void *arg, enum kube_id kind, const struct change_event *ev), void *arg)
{
    st->observers = mem_reallocarray(st->observers, st->observer_count + 1, sizeof st->observers[0]);
    st->observers[st->observer_count++] = (struct observer){fn, arg};
}
