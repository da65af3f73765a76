#include "sandbox/object.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/json_doc.h"
#include "base/json_writer.h"
#include "base/mem.h"

/* At most 256. */
static void random_bytes(void *p, size_t n)
{
    if (getentropy(p, n) != 0)
        abort();
}

char *object_uid(char buf[UID_SIZE])
{
    unsigned char b[16];

    random_bytes(b, sizeof b);
    b[6] = (unsigned char)((b[6] & 0x0f) | 0x40);
    b[8] = (unsigned char)((b[8] & 0x3f) | 0x80);
    snprintf(buf, UID_SIZE, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0], b[1], b[2],
             b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]);
    return buf;
}

void object_suffix(char *buf, size_t n)
{
    static const char letters[] = "bcdfghjklmnpqrstvwxz2456789";

    random_bytes(buf, n);
    for (size_t i = 0; i < n; i++)
        buf[i] = letters[(unsigned char)buf[i] % (sizeof letters - 1)];
    buf[n] = '\0';
}

static int compare_keys(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* A copy of an object's members with sorted keys; takes the reference over. */
static struct json_t *sorted(struct json_t *map)
{
    size_t n = jd_len(map), i = 0;
    const char **keys = mem_calloc(n + 1, sizeof *keys);
    struct json_t *out = jd_object();

    for (void *it = jd_iter(map); it; it = jd_iter_next(map, it))
        keys[i++] = jd_iter_key(it);
    qsort(keys, n, sizeof *keys, compare_keys);
    for (i = 0; i < n; i++)
        jd_set(out, keys[i], jd_ref(jd_member(map, keys[i])));
    free(keys);
    jd_free(map);
    return out;
}

static bool is_empty(const struct json_t *v)
{
    return jd_is_null(v) || ((jd_is_object(v) || jd_is_array(v)) && jd_len(v) == 0);
}

static struct json_t *tidy_metadata(struct json_t *meta)
{
    static const char *const order[] = {
        "name", "generateName", "namespace", "uid", "resourceVersion", "generation", "creationTimestamp",
        "deletionTimestamp", "deletionGracePeriodSeconds", "labels", "annotations", "ownerReferences", "finalizers",
        "managedFields"};
    struct json_t *out = jd_object();

    for (size_t i = 0; i < ARRAY_LEN(order); i++) {
        struct json_t *v = jd_member(meta, order[i]);
        if (!v || is_empty(v))
            continue;
        v = jd_ref(v);
        bool map = str_eq(order[i], "labels") || str_eq(order[i], "annotations");
        jd_set(out, order[i], map && jd_is_object(v) ? sorted(v) : v);
    }
    return out;
}

void object_tidy(struct json_t *doc)
{
    struct json_t *meta = tidy_metadata(jd_member(doc, "metadata"));
    struct json_t *rest = jd_object();

    jd_del(doc, "kind");
    jd_del(doc, "apiVersion");
    jd_del(doc, "metadata");
    for (void *it = jd_iter(doc); it; it = jd_iter_next(doc, it))
        jd_set(rest, jd_iter_key(it), jd_ref(jd_iter_value(it)));
    for (void *it = jd_iter(rest); it; it = jd_iter_next(rest, it))
        jd_del(doc, jd_iter_key(it));
    jd_set(doc, "metadata", meta);
    for (void *it = jd_iter(rest); it; it = jd_iter_next(rest, it))
        jd_set(doc, jd_iter_key(it), jd_ref(jd_iter_value(it)));
    jd_free(rest);
}

static void add_raw(struct buf *b, const char *text)
{
    for (const char *p = text; *p; p++)
        buf_addc(b, (char)(*p == '\'' ? '"' : *p));
}

/* A string value without its quotes. */
static void add_escaped(struct buf *b, const char *text, size_t n)
{
    struct buf quoted = {0};
    struct json_writer w;

    jw_init(&w, &quoted);
    jw_slice(&w, (struct slice){text, n});
    buf_add(b, quoted.p + 1, quoted.len - 2);
    buf_free(&quoted);
}

/* Writes one conversion, whose % is at p; returns what follows it. Knows %s, %.Ns, %c, %d, %u, %zu, %lld, %llu, %%. */
static const char *add_argument(struct buf *b, const char *p, bool in_string, va_list *ap)
{
    char spec[16] = "%";
    size_t n = 1 + strspn(p + 1, ".0123456789lz"), precision = SIZE_MAX;
    char kind = p[n];

    memcpy(spec, p, n + 1 < sizeof spec ? n + 1 : sizeof spec - 1);
    if (spec[1] == '.')
        precision = (size_t)atoi(spec + 2);
    if (kind == '%') {
        buf_addc(b, '%');
    } else if (kind == 's') {
        const char *text = va_arg(*ap, const char *);
        if (in_string)
            add_escaped(b, text, strnlen(text, precision));
        else
            add_raw(b, text);
    } else if (kind == 'c') {
        buf_addc(b, (char)va_arg(*ap, int));
    } else if (strstr(spec, "ll")) {
        buf_printf(b, "%lld", va_arg(*ap, long long));
    } else if (strstr(spec, "z")) {
        buf_printf(b, "%zu", va_arg(*ap, size_t));
    } else {
        buf_printf(b, "%d", va_arg(*ap, int));
    }
    return p + n + 1;
}

struct json_t *object_parse(const char *fmt, ...)
{
    struct json_t *doc = NULL;
    struct buf b = {0};
    bool in_string = false;
    va_list ap;

    va_start(ap, fmt);
    for (const char *p = fmt; *p;) {
        if (*p == '%') {
            p = add_argument(&b, p, in_string, &ap);
            continue;
        }
        if (*p == '\'' || (*p == '"' && (p == fmt || p[-1] != '\\')))
            in_string = !in_string;
        buf_addc(&b, (char)(*p == '\'' ? '"' : *p));
        p++;
    }
    va_end(ap);
    struct err *e = jd_parse(buf_str(&b), b.len, "template", &doc);
    if (e) {
        fprintf(stderr, "ferryman-sandbox: %s: %s\n", err_text(e), buf_str(&b));
        abort();
    }
    buf_free(&b);
    return doc;
}

const char *object_name(const struct json_t *doc)
{
    return jd_str(doc, "metadata.name");
}

const char *object_namespace(const struct json_t *doc)
{
    return jd_str(doc, "metadata.namespace");
}

const char *object_uid_of(const struct json_t *doc)
{
    const char *uid = jd_str(doc, "metadata.uid");

    return uid ? uid : "";
}

bool object_terminating(const struct json_t *doc)
{
    return jd_str(doc, "metadata.deletionTimestamp") != NULL;
}

static const char *entry(const struct json_t *doc, const char *map, const char *key)
{
    return jd_string_value(jd_member(jd_get(doc, map), key));
}

const char *object_label(const struct json_t *doc, const char *key)
{
    return entry(doc, "metadata.labels", key);
}

const char *object_annotation(const struct json_t *doc, const char *key)
{
    return entry(doc, "metadata.annotations", key);
}

static void set_entry(struct json_t *doc, const char *map, const char *key, const char *value)
{
    struct json_t *m = jd_get(doc, map);

    if (!m && value) {
        jd_put(doc, map, jd_object());
        m = jd_get(doc, map);
    }
    if (value)
        jd_set(m, key, jd_string(value));
    else if (m)
        jd_del(m, key);
}

void object_set_label(struct json_t *doc, const char *key, const char *value)
{
    set_entry(doc, "metadata.labels", key, value);
}

void object_set_annotation(struct json_t *doc, const char *key, const char *value)
{
    set_entry(doc, "metadata.annotations", key, value);
}

static size_t finalizer_index(const struct json_t *doc, const char *name)
{
    struct json_t *list = jd_get(doc, "metadata.finalizers");
    size_t n = jd_len(list);

    for (size_t i = 0; i < n; i++)
        if (str_eq(jd_string_value(jd_at(list, i)), name))
            return i;
    return (size_t)-1;
}

bool object_has_finalizer(const struct json_t *doc, const char *name)
{
    return finalizer_index(doc, name) != (size_t)-1;
}

void object_add_finalizer(struct json_t *doc, const char *name)
{
    if (object_has_finalizer(doc, name))
        return;
    if (!jd_is_array(jd_get(doc, "metadata.finalizers")))
        jd_put(doc, "metadata.finalizers", jd_array());
    jd_append(jd_get(doc, "metadata.finalizers"), jd_string(name));
}

bool object_drop_finalizer(struct json_t *doc, const char *name)
{
    size_t i = finalizer_index(doc, name);

    if (i == (size_t)-1)
        return false;
    jd_remove_at(jd_get(doc, "metadata.finalizers"), i);
    return true;
}

struct json_t *object_controller(const struct json_t *doc)
{
    struct json_t *refs = jd_get(doc, "metadata.ownerReferences");
    size_t n = jd_len(refs);

    for (size_t i = 0; i < n; i++)
        if (jd_flag(jd_at(refs, i), "controller", false))
            return jd_at(refs, i);
    return NULL;
}

char *object_time(int64_t unix_ms, char *buf)
{
    return clock_format_utc(unix_ms, buf, 32);
}

char *object_micro_time(int64_t unix_ms, char *buf)
{
    clock_format_utc(unix_ms, buf, 32);
    snprintf(buf + strlen(buf) - 1, 9, ".%03u000Z", (unsigned)(unix_ms % 1000) % 1000u);
    return buf;
}

bool object_labels_match(const struct json_t *want, const struct json_t *labels)
{
    struct json_t *map = jd_len(want) ? jd_copy(want) : NULL;
    bool all = map != NULL;

    for (void *it = map ? jd_iter(map) : NULL; it && all; it = jd_iter_next(map, it))
        all = str_eq(jd_string_value(jd_iter_value(it)), jd_string_value(jd_member(labels, jd_iter_key(it))));
    jd_free(map);
    return all;
}
