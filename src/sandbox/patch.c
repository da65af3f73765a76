#include "sandbox/patch.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/json_doc.h"
#include "base/mem.h"
#include "base/str.h"

/* ---- JSON Patch -------------------------------------------------------------------------------------------------- */

/* Where a JSON pointer leads: the container, and the last step in it. */
struct place {
    struct json_t *parent;
    char *key;
};

/* The next reference token, with ~1 and ~0 undone. */
static char *token(struct slice *rest)
{
    struct slice raw;
    struct buf b = {0};

    if (!slice_cut(rest, '/', &raw))
        return NULL;
    for (size_t i = 0; i < raw.n; i++) {
        if (raw.p[i] == '~' && i + 1 < raw.n)
            buf_addc(&b, raw.p[++i] == '1' ? '/' : '~');
        else
            buf_addc(&b, raw.p[i]);
    }
    return buf_steal(&b);
}

static bool index_of(const char *key, size_t limit, size_t *ret)
{
    int64_t i;

    if (!slice_to_i64(slice_of(key), &i) || i < 0 || (size_t)i >= limit || (key[0] == '0' && key[1]))
        return false;
    *ret = (size_t)i;
    return true;
}

static struct json_t *child(struct json_t *parent, const char *key)
{
    size_t i;

    if (jd_is_object(parent))
        return jd_member(parent, key);
    return jd_is_array(parent) && index_of(key, jd_len(parent), &i) ? jd_at(parent, i) : NULL;
}

static struct err *absent(const char *path)
{
    return err_new(ERR_FAILED, "path %s is absent", path);
}

/* The root itself ("") cannot be patched here: no one replaces a whole object by a patch. */
static struct err *place_find(struct json_t *doc, const char *path, struct place *ret)
{
    struct slice rest = slice_of(path);
    struct json_t *at = doc;

    if (!path || path[0] != '/')
        return err_new(ERR_DATA, "invalid JSON pointer %s", path ? path : "(none)");
    rest.p++, rest.n--;
    char *key = token(&rest);
    while (rest.p) {
        at = child(at, key);
        free(key);
        if (!at)
            return absent(path);
        key = token(&rest);
    }
    if (!jd_is_object(at) && !jd_is_array(at)) {
        free(key);
        return absent(path);
    }
    *ret = (struct place){at, key};
    return NULL;
}

static struct err *get(struct json_t *doc, const char *path, struct json_t **ret)
{
    struct place p;
    struct err *e = place_find(doc, path, &p);

    if (e)
        return e;
    *ret = child(p.parent, p.key);
    free(p.key);
    return *ret ? NULL : absent(path);
}

static struct err *put(struct json_t *doc, const char *path, struct json_t *value, bool replace)
{
    struct place p;
    struct err *e = place_find(doc, path, &p);
    size_t i = 0, n;

    if (e)
        return e;
    n = jd_len(p.parent);
    if (replace && !child(p.parent, p.key))
        e = absent(path);
    else if (jd_is_object(p.parent))
        jd_set(p.parent, p.key, jd_copy(value));
    else if (replace && index_of(p.key, n, &i))
        jd_set_at(p.parent, i, jd_copy(value));
    else if (str_eq(p.key, "-"))
        jd_append(p.parent, jd_copy(value));
    else if (index_of(p.key, n + 1, &i))
        jd_insert_at(p.parent, i, jd_copy(value));
    else
        e = absent(path);
    free(p.key);
    return e;
}

static struct err *remove_at(struct json_t *doc, const char *path)
{
    struct place p;
    struct err *e = place_find(doc, path, &p);
    size_t i;

    if (e)
        return e;
    if (!child(p.parent, p.key))
        e = absent(path);
    else if (jd_is_object(p.parent))
        jd_del(p.parent, p.key);
    else if (index_of(p.key, jd_len(p.parent), &i))
        jd_remove_at(p.parent, i);
    free(p.key);
    return e;
}

static struct err *transfer(struct json_t *doc, const char *from, const char *path, bool move)
{
    struct json_t *v = NULL;
    struct err *e = get(doc, from, &v);

    if (e)
        return e;
    v = jd_copy(v);
    if (move)
        e = remove_at(doc, from);
    if (!e)
        e = put(doc, path, v, false);
    jd_free(v);
    return e;
}

static struct err *apply_op(struct json_t *doc, const struct json_t *op)
{
    const char *name = jd_str(op, "op"), *path = jd_str(op, "path"), *from = jd_str(op, "from");
    struct json_t *value = jd_member(op, "value"), *have = NULL;
    bool takes_value = str_eq(name, "add") || str_eq(name, "replace") || str_eq(name, "test");

    if (!name || !path)
        return err_new(ERR_DATA, "an operation needs op and path");
    if (str_eq(name, "remove"))
        return remove_at(doc, path);
    if (str_eq(name, "move") || str_eq(name, "copy"))
        return transfer(doc, from, path, str_eq(name, "move"));
    if (!takes_value)
        return err_new(ERR_DATA, "unexpected operation %s", name);
    if (!value)
        return err_new(ERR_DATA, "operation %s needs a value", name);
    if (!str_eq(name, "test"))
        return put(doc, path, value, str_eq(name, "replace"));
    struct err *e = get(doc, path, &have);
    if (e && err_kind(e) == ERR_FAILED && jd_is_null(value)) {
        err_free(e);
        return NULL;
    }
    return e ? e : jd_equal(have, value) ? NULL : err_new(ERR_FAILED, "testing value %s failed", path);
}

struct err *patch_json(struct json_t *doc, const struct json_t *ops)
{
    size_t n = jd_len(ops);

    if (!jd_is_array(ops))
        return err_new(ERR_DATA, "a JSON patch is an array of operations");
    for (size_t i = 0; i < n; i++) {
        struct err *e = apply_op(doc, jd_at(ops, i));
        if (e)
            return err_wrap(e, "operation %zu", i);
    }
    return NULL;
}

/* ---- Merge patches ----------------------------------------------------------------------------------------------- */

const char *patch_merge_key(const char *list)
{
    static const struct {
        const char *list, *key;
    } keys[] = {
        {"containers", "name"},     {"initContainers", "name"},      {"env", "name"},
        {"volumes", "name"},        {"volumeMounts", "mountPath"},   {"conditions", "type"},
        {"ownerReferences", "uid"}, {"imagePullSecrets", "name"},    {"addresses", "type"},
        {"ports", "containerPort"}, {"volumeDevices", "devicePath"}, {"secrets", "name"},
    };

    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        if (str_eq(keys[i].list, list))
            return keys[i].key;
    return NULL;
}

static void merge(struct json_t *doc, struct json_t *patch, bool strategic);

static size_t element_index(const struct json_t *list, const char *key, const struct json_t *value)
{
    size_t n = jd_len(list);

    for (size_t i = 0; i < n; i++)
        if (value && jd_equal(jd_member(jd_at(list, i), key), value))
            return i;
    return (size_t)-1;
}

/* Merges a list by its key. */
static void merge_list(struct json_t *list, struct json_t *patch, const char *key)
{
    size_t n = jd_len(patch);

    for (size_t i = 0; i < n; i++) {
        struct json_t *element = jd_at(patch, i);
        size_t at = element_index(list, key, jd_member(element, key));
        if (str_eq(jd_str(element, "$patch"), "delete")) {
            if (at != (size_t)-1)
                jd_remove_at(list, at);
        } else if (at != (size_t)-1) {
            merge(jd_at(list, at), element, true);
        } else {
            jd_append(list, jd_copy(element));
        }
    }
}

static bool merges_by_key(const char *name, const struct json_t *have, const struct json_t *patch)
{
    const char *key = patch_merge_key(name);

    return key && jd_is_array(have) && jd_is_array(patch) && jd_len(patch) > 0 && jd_member(jd_at(patch, 0), key);
}

static void merge_member(struct json_t *doc, const char *name, struct json_t *v, bool strategic)
{
    struct json_t *have = jd_member(doc, name);

    if (strategic && (str_starts(name, "$setElementOrder/") || str_eq(name, "$patch") ||
                      str_starts(name, "$retainKeys") || str_starts(name, "$deleteFromPrimitiveList/")))
        return;
    if (jd_is_null(v)) {
        jd_del(doc, name);
    } else if (jd_is_object(v)) {
        if (!jd_is_object(have) || (strategic && str_eq(jd_str(v, "$patch"), "replace")))
            jd_set(doc, name, jd_object());
        merge(jd_member(doc, name), v, strategic);
    } else if (strategic && merges_by_key(name, have, v)) {
        merge_list(have, v, patch_merge_key(name));
    } else {
        jd_set(doc, name, jd_copy(v));
    }
}

static void merge(struct json_t *doc, struct json_t *patch, bool strategic)
{
    for (void *it = jd_iter(patch); it; it = jd_iter_next(patch, it))
        merge_member(doc, jd_iter_key(it), jd_iter_value(it), strategic);
}

void patch_merge(struct json_t *doc, struct json_t *patch)
{
    merge(doc, patch, false);
}

void patch_strategic(struct json_t *doc, struct json_t *patch)
{
    merge(doc, patch, true);
}
