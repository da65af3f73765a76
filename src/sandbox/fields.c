/* A set of fields is kept the way FieldsV1 writes it: an object whose members are "f:NAME" for a member, k:{…} for an
 * element of a list with merge keys, and "." for the value itself; a leaf is an empty object. Lists without merge keys
 * are leaves. */
#include "sandbox/fields.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/json_doc.h"
#include "base/json_writer.h"
#include "base/mem.h"
#include "sandbox/patch.h"

/* Maps whose own presence is tracked, as against structs. */
static bool is_map(const char *name)
{
    static const char *const maps[] = {"labels", "annotations", "requests", "limits", "capacity", "matchLabels",
                                       "parameters", "data", "stringData", "nodeSelector", "volumeAttributes",
                                       "selector"};

    for (size_t i = 0; i < ARRAY_LEN(maps); i++)
        if (str_eq(name, maps[i]))
            return true;
    return false;
}

/* "k:{"name":"x"}" of a list element; NULL if the list has no merge key. */
static char *element_key(const char *list_name, const struct json_t *element)
{
    const char *key = patch_merge_key(list_name);
    struct json_t *v = key ? jd_member(element, key) : NULL;
    struct buf b = {0};
    struct json_writer w;

    if (!v)
        return NULL;
    buf_adds(&b, "k:");
    jw_init(&w, &b);
    jw_object(&w);
    jw_key(&w, key);
    if (jd_is_string(v))
        jw_str(&w, jd_string_value(v));
    else
        jw_int(&w, jd_int_value(v, 0));
    if (str_eq(list_name, "ports")) {
        const char *protocol = jd_str(element, "protocol");
        jw_key(&w, "protocol");
        jw_str(&w, protocol ? protocol : "TCP");
    }
    jw_end_object(&w);
    return buf_steal(&b);
}

static bool keyed_list(const char *name, const struct json_t *list)
{
    return jd_is_array(list) && jd_len(list) > 0 && patch_merge_key(name) &&
           jd_member(jd_at(list, 0), patch_merge_key(name)) != NULL;
}

static struct json_t *element_of(const char *name, const struct json_t *list, const char *key)
{
    size_t n = jd_len(list);

    for (size_t i = 0; i < n; i++) {
        char *k = element_key(name, jd_at(list, i));
        bool same = str_eq(k, key);
        free(k);
        if (same)
            return jd_at(list, i);
    }
    return NULL;
}

static struct json_t *changed(const char *name, const struct json_t *before, struct json_t *now);

static struct json_t *changed_elements(const char *name, const struct json_t *before, const struct json_t *now)
{
    struct json_t *set = jd_object();
    size_t n = jd_len(now);

    if (!before)
        jd_set(set, ".", jd_object());
    for (size_t i = 0; i < n; i++) {
        char *key = element_key(name, jd_at(now, i));
        if (!key)
            continue;
        const struct json_t *old = element_of(name, before, key);
        struct json_t *sub = changed("", old, jd_at(now, i));
        if (sub && !old)
            jd_set(sub, ".", jd_object());
        if (sub)
            jd_set(set, key, sub);
        free(key);
    }
    return set;
}

/* The set of what is new or different in `now`; NULL if nothing is. */
static struct json_t *changed(const char *name, const struct json_t *before, struct json_t *now)
{
    if (before && jd_equal(before, now))
        return NULL;
    if (keyed_list(name, now))
        return changed_elements(name, jd_is_array(before) ? before : NULL, now);
    struct json_t *set = jd_object();
    if (!jd_is_object(now) || jd_len(now) == 0)
        return set;
    if (is_map(name) && !before)
        jd_set(set, ".", jd_object());
    for (void *it = jd_iter(now); it; it = jd_iter_next(now, it)) {
        struct json_t *sub = changed(jd_iter_key(it), jd_member(before, jd_iter_key(it)), jd_iter_value(it));
        char *key = str_printf("f:%s", jd_iter_key(it));
        if (sub)
            jd_set(set, key, sub);
        free(key);
    }
    if (jd_len(set) == 0) {
        jd_free(set);
        return NULL;
    }
    return set;
}

/* The part of an object that managers own: for status its status, else labels, annotations, owners and the rest. */
static struct json_t *owned_part(const struct json_t *doc, bool status)
{
    static const char *const meta[] = {"labels", "annotations", "ownerReferences"};
    struct json_t *part = jd_object(), *all = jd_copy(doc), *m = jd_object();

    for (size_t i = 0; !status && i < ARRAY_LEN(meta); i++) {
        struct json_t *v = jd_member(jd_member(all, "metadata"), meta[i]);
        if (jd_len(v))
            jd_set(m, meta[i], jd_ref(v));
    }
    if (jd_len(m))
        jd_set(part, "metadata", jd_ref(m));
    for (void *it = jd_iter(all); it; it = jd_iter_next(all, it)) {
        const char *key = jd_iter_key(it);
        if (str_eq(key, "metadata") || str_eq(key, "kind") || str_eq(key, "apiVersion") ||
            str_eq(key, "status") != status)
            continue;
        jd_set(part, key, jd_ref(jd_iter_value(it)));
    }
    jd_free(m);
    jd_free(all);
    return part;
}

/* Adds b to a. */
static void unite(struct json_t *a, struct json_t *b)
{
    for (void *it = jd_iter(b); it; it = jd_iter_next(b, it)) {
        struct json_t *mine = jd_member(a, jd_iter_key(it));
        if (!mine)
            jd_set(a, jd_iter_key(it), jd_copy(jd_iter_value(it)));
        else
            unite(mine, jd_iter_value(it));
    }
}

/* Takes the leaves of b out of a; returns whether anything of a is left. */
static bool subtract(struct json_t *a, struct json_t *b)
{
    struct json_t *gone = jd_object();

    for (void *it = jd_iter(b); it; it = jd_iter_next(b, it)) {
        struct json_t *mine = jd_member(a, jd_iter_key(it));
        bool leaf = mine && jd_len(mine) == 0;
        if (mine && !str_eq(jd_iter_key(it), ".") && (leaf || !subtract(mine, jd_iter_value(it))))
            jd_set(gone, jd_iter_key(it), jd_object());
    }
    for (void *it = jd_iter(gone); it; it = jd_iter_next(gone, it))
        jd_del(a, jd_iter_key(it));
    jd_free(gone);
    return jd_len(a) > 1 || (jd_len(a) == 1 && !jd_member(a, "."));
}

static bool is_authors(const struct json_t *entry, const struct fields_author *by)
{
    return str_eq(jd_str(entry, "manager"), by->manager) && str_eq(jd_str(entry, "operation"), by->operation) &&
           str_eq(jd_str(entry, "subresource"), by->subresource);
}

static struct json_t *managed_of(struct json_t *doc)
{
    if (!jd_is_array(jd_get(doc, "metadata.managedFields")))
        jd_put(doc, "metadata.managedFields", jd_array());
    return jd_get(doc, "metadata.managedFields");
}

static struct json_t *entry_new(const struct fields_author *by, struct json_t *set)
{
    struct json_t *e = jd_object();

    jd_set(e, "manager", jd_string(by->manager));
    jd_set(e, "operation", jd_string(by->operation));
    jd_set(e, "apiVersion", jd_string(by->api_version));
    jd_set(e, "time", jd_string(by->time));
    jd_set(e, "fieldsType", jd_string("FieldsV1"));
    jd_set(e, "fieldsV1", set);
    if (by->subresource)
        jd_set(e, "subresource", jd_string(by->subresource));
    return e;
}

/* Gives `set` (taken over) to the author, who keeps what he had if `keep`; the others lose it. */
static void give(struct json_t *doc, const struct fields_author *by, struct json_t *set, bool keep)
{
    struct json_t *list = managed_of(doc);

    for (size_t i = jd_len(list); i-- > 0;) {
        struct json_t *entry = jd_at(list, i), *had = jd_get(entry, "fieldsV1");
        if (is_authors(entry, by)) {
            if (keep && had)
                unite(set, had);
            jd_remove_at(list, i);
        } else if (had && str_eq(jd_str(entry, "operation"), "Update") && !subtract(had, set)) {
            jd_remove_at(list, i);
        }
    }
    jd_append(list, entry_new(by, set));
}

void fields_update(const struct json_t *before, struct json_t *now, const struct fields_author *by)
{
    bool status = str_eq(by->subresource, "status");
    struct json_t *old = before ? owned_part(before, status) : jd_object();
    struct json_t *new_part = owned_part(now, status);
    struct json_t *set = changed("", old, new_part);

    if (set)
        give(now, by, set, true);
    jd_free(old);
    jd_free(new_part);
}

void fields_apply(const struct json_t *applied, struct json_t *now, const struct fields_author *by)
{
    struct json_t *nothing = jd_object(), *part = owned_part(applied, false);
    struct json_t *set = changed("", nothing, part);

    give(now, by, set ? set : jd_object(), false);
    jd_free(nothing);
    jd_free(part);
}

/* The first leaf that is in both sets, as a path; NULL if there is none. */
static char *common_leaf(struct json_t *a, struct json_t *b, const char *path)
{
    for (void *it = jd_iter(a); it; it = jd_iter_next(a, it)) {
        const char *key = jd_iter_key(it);
        struct json_t *other = jd_member(b, key);
        if (!other || str_eq(key, "."))
            continue;
        char *here = str_starts(key, "f:") ? str_printf("%s.%s", path, key + 2) : str_printf("%s[%s]", path, key + 2);
        if (jd_len(jd_iter_value(it)) == 0 || jd_len(other) == 0)
            return here;
        char *found = common_leaf(jd_iter_value(it), other, here);
        free(here);
        if (found)
            return found;
    }
    return NULL;
}

bool fields_conflict(const struct json_t *applied, const struct json_t *current, const char *manager,
                     char **ret_manager, char **ret_path)
{
    struct json_t *want = owned_part(applied, false), *have = owned_part(current, false);
    struct json_t *set = changed("", have, want);
    struct json_t *list = jd_get(current, "metadata.managedFields");
    char *path = NULL;

    for (size_t i = 0; set && !path && i < jd_len(list); i++) {
        const char *other = jd_str(jd_at(list, i), "manager");
        if (str_eq(other, manager) || jd_str(jd_at(list, i), "subresource"))
            continue;
        path = common_leaf(set, jd_get(jd_at(list, i), "fieldsV1"), "");
        if (path) {
            *ret_manager = mem_strdup(other);
            *ret_path = path;
        }
    }
    jd_free(set);
    jd_free(want);
    jd_free(have);
    return path != NULL;
}
