#include "client/kube_parse.h"

#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "client/kube_parse_private.h"

void kube_read_fields(struct kube_reader *k, const struct kube_field *fields, void *base) {
    struct slice key;
    if (!json_enter_object(&k->json)) return;
    while (json_next_key(&k->json, &key)) {
        const struct kube_field *f = fields;
        while (f->key && (f->key_n != key.n || memcmp(f->key, key.p, key.n) != 0)) f++;
        if (!f->key) json_skip(&k->json);
        else if (f->read) f->read(k, (char *)base + f->at);
        else kube_read_fields(k, f->sub, (char *)base + f->at);
    }
}

static struct err *check(const struct kube_meta *meta, const char *kind) {
    if (!meta->uid.n) return err_new(ERR_PROTOCOL, "a %s without a uid", kind);
    if (!meta->name.n) return err_new(ERR_PROTOCOL, "a %s without a name", kind);
    return NULL;
}

struct err *kube_read_object(struct kube_arena *a, struct slice json, const char *kind, const struct kube_field *fields,
                             void *base, const struct kube_meta *meta) {
    struct kube_reader k = {.arena = a};
    json_reader_init(&k.json, json.p, json.n);
    bool object = json_peek(&k.json) == JSON_OBJECT;
    kube_read_fields(&k, fields, base);
    struct err *e = json_finish(&k.json, kind);
    json_reader_free(&k.json);
    if (!e && !object) e = err_new(ERR_PROTOCOL, "a %s that is no object", kind);
    return e ? e : check(meta, kind);
}

/* ---- Values ------------------------------------------------------------------------------------------------------ */

struct slice kube_text(struct kube_reader *k) {
    struct slice s = json_string(&k->json);
    bool borrowed = s.p >= k->json.start && s.p <= k->json.end;
    if (!s.p || (borrowed && utf8_is_clean(s))) return s;
    return kube_arena_text(k->arena, s);
}

void kube_read_text(struct kube_reader *k, void *at) {
    *(struct slice *)at = kube_text(k);
}

void kube_texts_add(struct kube_reader *k, struct kube_texts *t, struct slice s) {
    if (t->n == t->cap) {
        size_t cap = t->cap ? t->cap * 2 : 4;
        struct slice *v = kube_arena_alloc(k->arena, cap * sizeof *v);
        if (t->n) memcpy(v, t->v, t->n * sizeof *v);
        t->v = v;
        t->cap = cap;
    }
    t->v[t->n++] = s;
}

void kube_read_texts(struct kube_reader *k, void *at) {
    if (!json_enter_array(&k->json)) return;
    while (json_next_item(&k->json)) {
        struct slice s = kube_text(k);
        if (s.p) kube_texts_add(k, at, s);
    }
}

static struct slice join(struct kube_arena *a, const struct kube_texts *t, const char *between) {
    struct buf b = {0};
    if (t->n == 0) return (struct slice){NULL, 0};
    if (t->n == 1) return t->v[0];
    for (size_t i = 0; i < t->n; i++) {
        if (i) buf_adds(&b, between);
        buf_add_slice(&b, t->v[i]);
    }
    struct slice s = kube_arena_text(a, buf_slice(&b));
    buf_free(&b);
    return s;
}

struct slice kube_texts_join(struct kube_arena *a, const struct kube_texts *t) {
    return join(a, t, ", ");
}

void kube_read_joined(struct kube_reader *k, void *at) {
    struct kube_texts list = {0};
    kube_read_texts(k, &list);
    *(struct slice *)at = join(k->arena, &list, ",");
}

void kube_read_modes(struct kube_reader *k, void *at) {
    static const struct {
        const char *name, *word;
    } modes[] = {
        {"ReadWriteOnce", "RWO"}, {"ReadWriteMany", "RWX"}, {"ReadOnlyMany", "ROX"}, {"ReadWriteOncePod", "RWOP"}};
    struct kube_texts list = {0};
    kube_read_texts(k, &list);
    for (size_t i = 0; i < list.n; i++)
        for (size_t j = 0; j < ARRAY_LEN(modes); j++)
            if (slice_is(list.v[i], modes[j].name)) {
                list.v[i] = slice_of(modes[j].word);
                break;
            }
    *(struct slice *)at = join(k->arena, &list, ",");
}

void kube_read_pairs(struct kube_reader *k, void *at) {
    struct kube_pairs *p = at;
    struct slice key;
    if (!json_enter_object(&k->json)) return;
    while (json_next_key(&k->json, &key)) {
        struct kube_pair pair = {.key = kube_arena_text(k->arena, key)};
        pair.value = kube_text(k);
        if (!pair.value.p) continue;
        if (p->n == p->cap) {
            size_t cap = p->cap ? p->cap * 2 : 8;
            struct kube_pair *v = kube_arena_alloc(k->arena, cap * sizeof *v);
            if (p->n) memcpy(v, p->v, p->n * sizeof *v);
            p->v = v;
            p->cap = cap;
        }
        p->v[p->n++] = pair;
    }
}

struct slice kube_pair_get(const struct kube_pairs *p, const char *key) {
    for (size_t i = 0; i < p->n; i++)
        if (slice_is(p->v[i].key, key)) return p->v[i].value;
    return (struct slice){NULL, 0};
}

struct slice kube_pairs_join(struct kube_arena *a, const struct kube_pairs *p) {
    struct buf b = {0};
    if (p->n == 0) return (struct slice){NULL, 0};
    for (size_t i = 0; i < p->n; i++)
        buf_printf(&b, "%s%.*s=%.*s", i ? ", " : "", SLICE_FMT(p->v[i].key), SLICE_FMT(p->v[i].value));
    struct slice s = kube_arena_text(a, buf_slice(&b));
    buf_free(&b);
    return s;
}

void kube_read_int(struct kube_reader *k, void *at) {
    *(int64_t *)at = json_int(&k->json, *(int64_t *)at);
}

void kube_read_bool(struct kube_reader *k, void *at) {
    *(bool *)at = json_bool(&k->json, false);
}

void kube_read_present(struct kube_reader *k, void *at) {
    *(bool *)at = json_peek(&k->json) != JSON_NULL;
    json_skip(&k->json);
}

void kube_read_time(struct kube_reader *k, void *at) {
    int64_t ms;
    if (clock_parse_rfc3339(json_string(&k->json), &ms)) *(int64_t *)at = ms;
}

/* Quantities are strings; the API takes (and old objects hold) plain numbers too. */
void kube_read_quantity(struct kube_reader *k, void *at) {
    int64_t v;
    struct slice s = json_peek(&k->json) == JSON_NUMBER ? json_raw(&k->json) : json_string(&k->json);
    if (s.p && str_quantity(s, &v)) *(int64_t *)at = v;
}

static const struct kube_field condition_fields[] = {
    KUBE_FIELD("type", kube_read_text, struct kube_condition, type),
    KUBE_FIELD("status", kube_read_text, struct kube_condition, status),
    KUBE_FIELD("reason", kube_read_text, struct kube_condition, reason),
    KUBE_FIELD("message", kube_read_text, struct kube_condition, message),
    KUBE_FIELD("lastTransitionTime", kube_read_time, struct kube_condition, changed),
    KUBE_FIELDS_END,
};

bool kube_next_condition(struct kube_reader *k, struct kube_condition *ret) {
    if (!json_next_item(&k->json)) return false;
    *ret = (struct kube_condition){.changed = KUBE_NONE};
    kube_read_fields(k, condition_fields, ret);
    return true;
}
