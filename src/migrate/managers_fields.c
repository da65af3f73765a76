/* Owners of fields. fieldsV1 is a tree that follows the object: "f:NAME" for a member, "k:{…}" for an element of a list that has keys,
 * "v:…" for a value of a set; a list that is not followed any deeper is owned whole.
 * https://kubernetes.io/docs/reference/using-api/server-side-apply/#field-management */
#include <stdlib.h>
#include <string.h>

#include "base/json_doc.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/utf8.h"
#include "migrate/managers.h"

enum { POINTER_DEPTH = 32 };

/* The next part of a JSON pointer, unescaped ("~1" is '/', "~0" is '~'); NULL at its end. malloc'd */
static char *pointer_part(const char **rest)
{
    struct buf part = {0};
    const char *p = *rest;
    if (*p != '/')
        return NULL;
    for (p++; *p && *p != '/'; p++) {
        bool escaped = *p == '~' && (p[1] == '0' || p[1] == '1');
        buf_addc(&part, escaped ? (p[1] == '1' ? '/' : '~') : *p);
        p += escaped;
    }
    *rest = p;
    return buf_steal(&part);
}

static const struct json_t *child_of(const struct json_t *value, const char *part)
{
    int64_t i;
    if (jd_is_object(value))
        return jd_member(value, part);
    if (jd_is_array(value) && slice_to_i64(slice_of(part), &i) && i >= 0 && (size_t)i < jd_len(value))
        return jd_at(value, (size_t)i);
    return NULL;
}

const struct json_t *managers_field(const struct json_t *object, const char *pointer)
{
    const struct json_t *value = object;
    for (char *part; value && (part = pointer_part(&pointer)); mem_free(part))
        value = child_of(value, part);
    return value;
}

/* Whether "k:{"name":"x"}" means this element. */
static bool key_means(const char *key, const struct json_t *element)
{
    struct json_t *wanted = NULL;
    bool same = true;
    if (!str_starts(key, "k:"))
        return false;
    err_ignore(jd_parse(key + 2, strlen(key + 2), "key", &wanted), "then it means nothing");
    same = jd_is_object(wanted) && jd_len(wanted) > 0;
    for (void *it = same ? jd_iter(wanted) : NULL; it && same; it = jd_iter_next(wanted, it))
        same = jd_equal(jd_member(element, jd_iter_key(it)), jd_iter_value(it));
    jd_free(wanted);
    return same;
}

/* Borrowed from fields (which is not changed: jd_iter wants it so). */
static const struct json_t *fields_child(const struct json_t *fields, const struct json_t *value, const char *part)
{
    if (jd_is_object(value) || !value) {
        char *key = str_printf("f:%s", part);
        const struct json_t *child = jd_member(fields, key);
        mem_free(key);
        return child;
    }
    const struct json_t *element = child_of(value, part);
    struct json_t *all = (struct json_t *)(uintptr_t)fields;
    for (void *it = jd_is_object(fields) ? jd_iter(all) : NULL; it; it = jd_iter_next(all, it))
        if (key_means(jd_iter_key(it), element))
            return jd_iter_value(it);
    return NULL;
}

/* How deep this entry follows the pointer; 0 unless it owns the field or the whole of which it is part. */
static int entry_depth(const struct json_t *entry, const struct json_t *object, const char *pointer)
{
    const struct json_t *fields = jd_member(entry, "fieldsV1"), *value = object;
    int depth = 0;
    for (char *part; depth < POINTER_DEPTH && (part = pointer_part(&pointer)); mem_free(part)) {
        const struct json_t *child = fields_child(fields, value, part);
        if (!child) {
            mem_free(part);
            return jd_len(fields) == 0 ? depth : 0; /* a leaf above it: owned whole */
        }
        value = value ? child_of(value, part) : NULL;
        fields = child;
        depth++;
    }
    return depth;
}

static const char *owner_of(const struct json_t *object, const char *pointer)
{
    const struct json_t *list = jd_get(object, "metadata.managedFields"), *best = NULL, *newest = NULL;
    int best_depth = 0;
    for (size_t i = 0; i < jd_len(list); i++) {
        const struct json_t *entry = jd_at(list, i);
        const char *time = jd_str(entry, "time"), *best_time = jd_str(best, "time"), *newest_time = jd_str(newest, "time");
        int depth = entry_depth(entry, object, pointer);
        bool later = !best_time || (time && strcmp(time, best_time) >= 0);
        if (depth > best_depth || (depth > 0 && depth == best_depth && later)) {
            best = entry;
            best_depth = depth;
        }
        if (!jd_str(entry, "subresource") && (!newest_time || (time && strcmp(time, newest_time) >= 0)))
            newest = entry;
    }
    const char *name = jd_str(best ? best : newest, "manager");
    return name ? name : "";
}

void managers_owner(const struct json_t *object, const char *pointer, struct buf *out)
{
    utf8_clean(out, (struct slice){owner_of(object, pointer), strnlen(owner_of(object, pointer), 128)});
}

bool managers_owner_is(const struct json_t *object, const char *pointer, const char *manager)
{
    return str_eq(owner_of(object, pointer), manager);
}
