#include "migrate/raft_manifest.h"

#include <string.h>

#include "base/json_doc.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/utf8.h"

#define ANNOTATION "ferryman.io/run"
#define VALUE_MAX 120

/* Members that the API server makes. */
static void drop_all(struct json_t *object, const char *const *names) {
    for (size_t i = 0; object && names[i]; i++) jd_del(object, names[i]);
}

/* "creationTimestamp": null stands in templates that went through Go. */
static void clean_meta(struct json_t *meta) {
    if (meta) jd_del(meta, "creationTimestamp");
}

struct json_t *raft_manifest_clean(const struct json_t *live) {
    static const char *const made[] = {"uid",
                                       "resourceVersion",
                                       "generation",
                                       "creationTimestamp",
                                       "deletionTimestamp",
                                       "deletionGracePeriodSeconds",
                                       "managedFields",
                                       "selfLink",
                                       "finalizers",
                                       NULL};
    struct json_t *d = jd_copy(live), *meta = jd_get(d, "metadata"), *annotations = jd_get(d, "metadata.annotations");
    struct json_t *templates = jd_get(d, "spec.volumeClaimTemplates");
    jd_del(d, "status");
    drop_all(meta, made);
    if (annotations) {
        jd_del(annotations, ANNOTATION);
        if (jd_len(annotations) == 0) jd_del(meta, "annotations");
    }
    clean_meta(jd_get(d, "spec.template.metadata"));
    for (size_t i = 0; i < jd_len(templates); i++) {
        jd_del(jd_at(templates, i), "status");
        clean_meta(jd_get(jd_at(templates, i), "metadata"));
    }
    jd_set(d, "apiVersion", jd_string("apps/v1"));
    jd_set(d, "kind", jd_string("StatefulSet"));
    return d;
}

struct json_t *raft_manifest_on(const struct json_t *clean, const char *class, const char *run) {
    struct json_t *d = jd_copy(clean), *templates = jd_get(d, "spec.volumeClaimTemplates"),
                  *meta = jd_get(d, "metadata");
    for (size_t i = 0; i < jd_len(templates); i++)
        jd_put(jd_at(templates, i), "spec.storageClassName", jd_string(class));
    if (!run) return d;
    if (!jd_get(meta, "annotations")) jd_set(meta, "annotations", jd_object());
    jd_set(jd_get(meta, "annotations"), ANNOTATION, jd_string(run));
    return d;
}

bool raft_manifest_is_on(const struct json_t *set, const char *class) {
    const struct json_t *templates = jd_get(set, "spec.volumeClaimTemplates");
    for (size_t i = 0; i < jd_len(templates); i++)
        if (!str_eq(jd_str(jd_at(templates, i), "spec.storageClassName"), class)) return false;
    return jd_len(templates) > 0;
}

struct json_t *raft_manifest_classes(const struct json_t *set) {
    const struct json_t *templates = jd_get(set, "spec.volumeClaimTemplates");
    struct json_t *d = jd_object();
    for (size_t i = 0; i < jd_len(templates); i++) {
        const char *name = jd_str(jd_at(templates, i), "metadata.name"),
                   *class = jd_str(jd_at(templates, i), "spec.storageClassName");
        if (name) jd_set(d, name, jd_string(class ? class : ""));
    }
    return d;
}

struct json_t *raft_manifest_templates(const struct json_t *set) {
    const struct json_t *templates = jd_get(set, "spec.volumeClaimTemplates");
    struct json_t *d = jd_array();
    for (size_t i = 0; i < jd_len(templates); i++) {
        const char *name = jd_str(jd_at(templates, i), "metadata.name");
        if (name) jd_append(d, jd_string(name));
    }
    return d;
}

/* ---- The first difference ---- */

static void add_value(struct buf *out, const struct json_t *value) {
    struct buf raw = {0};
    if (!value) {
        buf_adds(out, "absent");
        return;
    }
    jd_dump(value, &raw);
    struct slice shown = utf8_clip(buf_slice(&raw), VALUE_MAX, NULL);
    utf8_clean(out, shown);
    if (shown.n < raw.len) buf_adds(out, "…");
    buf_free(&raw);
}

static bool differs(const char *path, const struct json_t *a, const struct json_t *b, struct buf *why) {
    utf8_clean(why, slice_of(path));
    buf_adds(why, " is ");
    add_value(why, b);
    buf_adds(why, ", not ");
    add_value(why, a);
    return false;
}

static bool same(const char *path, const struct json_t *a, const struct json_t *b, struct buf *why);

static bool same_members(const char *path, const struct json_t *a, const struct json_t *b, bool back, struct buf *why) {
    struct json_t *object = jd_ref((struct json_t *)(uintptr_t)a);
    bool equal = true;
    for (void *it = jd_iter(object); it && equal; it = jd_iter_next(object, it)) {
        const struct json_t *other = jd_member(b, jd_iter_key(it));
        if (back && other) continue; /* compared on the way there */
        char *at = str_printf("%s%s%s", path, *path ? "." : "", jd_iter_key(it));
        equal = back ? same(at, NULL, jd_iter_value(it), why) : same(at, jd_iter_value(it), other, why);
        mem_free(at);
    }
    jd_free(object);
    return equal;
}

static bool same_items(const char *path, const struct json_t *a, const struct json_t *b, struct buf *why) {
    bool equal = true;
    if (jd_len(a) != jd_len(b)) return differs(path, a, b, why);
    for (size_t i = 0; i < jd_len(a) && equal; i++) {
        char *at = str_printf("%s.%zu", path, i);
        equal = same(at, jd_at(a, i), jd_at(b, i), why);
        mem_free(at);
    }
    return equal;
}

/* Empty and absent are the same to the API server. */
static bool is_nothing(const struct json_t *d) {
    return !d || jd_is_null(d) || ((jd_is_object(d) || jd_is_array(d)) && jd_len(d) == 0);
}

static bool same(const char *path, const struct json_t *a, const struct json_t *b, struct buf *why) {
    if (is_nothing(a) && is_nothing(b)) return true;
    if (jd_is_object(a) && jd_is_object(b))
        return same_members(path, a, b, false, why) && same_members(path, b, a, true, why);
    if (jd_is_array(a) && jd_is_array(b)) return same_items(path, a, b, why);
    return (a && b && jd_equal(a, b)) || differs(path, a, b, why);
}

/* What is to be compared: the name may be another (a dry run under a temporary one), and so may the classes. */
static struct json_t *comparable(const struct json_t *set) {
    struct json_t *clean = raft_manifest_clean(set), *d = raft_manifest_on(clean, "", NULL);
    jd_del(jd_get(d, "metadata"), "name");
    jd_free(clean);
    return d;
}

bool raft_manifest_same(const struct json_t *a, const struct json_t *b, struct buf *why) {
    struct json_t *x = comparable(a), *y = comparable(b);
    bool equal = same("", x, y, why);
    jd_free(x);
    jd_free(y);
    return equal;
}
