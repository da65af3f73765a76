#include "client/kube_config_file.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/secret.h"
#include "base/str.h"
#include "base/yaml.h"

enum { CONFIG_MAX = 16 * 1024 * 1024, REFERRED_MAX = 1024 * 1024 };

struct kube_files {
    struct yaml_doc **docs;
    size_t count;
    bool inline_only;
    struct buf tried;
};

static const struct {
    const char *list, *body;
} kinds[] = {{"clusters", "cluster"}, {"users", "user"}, {"contexts", "context"}};

/* "clusters" -> "cluster". */
static const char *body_key(const char *list)
{
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        if (str_eq(kinds[i].list, list))
            return kinds[i].body;
    return list;
}

static struct err *place_err(const char *file, const struct yaml_node *at, const char *fmt, ...) PRINTF_LIKE(3, 4);

static struct err *place_err(const char *file, const struct yaml_node *at, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char *text = str_vprintf(fmt, ap);
    va_end(ap);
    struct err *e = err_new(ERR_DATA, "%s:%u:%u: %s", file, at->line, at->column, text);
    mem_free(text);
    return e;
}

/* ---- What a file must look like ---------------------------------------------------------------------------------- */

/* Whether another entry before `index` has the same name. */
static bool name_seen(const struct yaml_node *list, size_t index, const char *name)
{
    for (size_t i = 0; i < index; i++)
        if (str_eq(yaml_str(list->values[i], "name"), name))
            return true;
    return false;
}

static struct err *check_entry(const char *file, const char *kind, const struct yaml_node *list, size_t i)
{
    const struct yaml_node *entry = list->values[i];
    if (entry->kind != YAML_MAP)
        return place_err(file, entry, "an entry of %s must be a map with a name", kind);
    const char *name = yaml_str(entry, "name");
    if (!name)
        return place_err(file, entry, "an entry of %s has no name", kind);
    if (name_seen(list, i, name))
        return place_err(file, entry, "%s has \"%s\" twice", kind, name);
    const struct yaml_node *body = yaml_get(entry, body_key(kind));
    if (body && body->kind != YAML_MAP && !yaml_is_null(body))
        return place_err(file, body, "\"%s\" of %s \"%s\" must be a map", body_key(kind), body_key(kind), name);
    return NULL;
}

static struct err *check_list(const char *file, const struct yaml_node *root, const char *kind)
{
    const struct yaml_node *list = yaml_get(root, kind);
    if (!list || yaml_is_null(list))
        return NULL;
    if (list->kind != YAML_LIST)
        return place_err(file, list, "%s must be a list", kind);
    for (size_t i = 0; i < list->count; i++) {
        struct err *e = check_entry(file, kind, list, i);
        if (e)
            return e;
    }
    return NULL;
}

static struct err *check_doc(const struct yaml_doc *doc)
{
    const struct yaml_node *root = doc->root;
    if (!root || yaml_is_null(root))
        return NULL;
    if (root->kind != YAML_MAP)
        return place_err(doc->file, root, "this is no kubeconfig: a map with clusters, users and contexts is expected");
    const char *kind = yaml_str(root, "kind");
    if (kind && !str_eq(kind, "Config"))
        return place_err(doc->file, yaml_get(root, "kind"), "this is no kubeconfig: kind is \"%s\", not Config", kind);
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        struct err *e = check_list(doc->file, root, kinds[i].list);
        if (e)
            return e;
    }
    const struct yaml_node *current = yaml_get(root, "current-context");
    if (current && current->kind != YAML_SCALAR)
        return place_err(doc->file, current, "current-context must be a name");
    return NULL;
}

/* ---- Which files ------------------------------------------------------------------------------------------------- */

static struct err *files_add_text(struct kube_files *f, const char *text, size_t n, const char *name)
{
    struct yaml_doc *doc = NULL;
    struct err *e = yaml_parse(text, n, name, &doc);
    if (!e)
        e = check_doc(doc);
    if (e) {
        yaml_free(doc);
        return e;
    }
    f->docs = mem_reallocarray(f->docs, f->count + 1, sizeof *f->docs);
    f->docs[f->count++] = doc;
    return NULL;
}

/* Remembers a path that was looked at; false if it was before. */
static bool files_try(struct kube_files *f, const char *path)
{
    struct slice rest = buf_slice(&f->tried), one;
    while (rest.n > 0 && slice_cut(&rest, ',', &one))
        if (slice_is(slice_trim(one), path))
            return false;
    if (f->tried.len > 0)
        buf_adds(&f->tried, ", ");
    buf_adds(&f->tried, path);
    return true;
}

/* Reads one file; `must` makes its absence an error. */
static struct err *files_add(struct kube_files *f, const char *path, bool must)
{
    if (!files_try(f, path) || (!must && !file_exists(path)))
        return NULL;
    struct buf text = {0};
    struct err *e = file_read(path, CONFIG_MAX, &text);
    if (e) {
        err_set_kind(e, ERR_DATA);
        e = err_wrap(e, "kubeconfig");
    } else {
        e = files_add_text(f, text.p ? text.p : "", text.len, path);
    }
    if (text.p)
        secret_wipe(text.p, text.len);
    buf_free(&text);
    return e;
}

static struct err *files_add_list(struct kube_files *f, const char *list)
{
    struct slice rest = slice_of(list), one;
    while (slice_cut(&rest, ':', &one)) {
        if (one.n == 0)
            continue;
        char *path = slice_dup(one);
        struct err *e = files_add(f, path, false);
        mem_free(path);
        if (e)
            return e;
    }
    return NULL;
}

struct err *kube_files_load(const char *file, struct kube_files **ret)
{
    struct kube_files *f = MEM_NEW(struct kube_files);
    const char *list = getenv("KUBECONFIG");
    struct err *e;
    if (file && *file) {
        e = files_add(f, file, true);
    } else if (list && *list) {
        e = files_add_list(f, list);
    } else {
        char *path = file_resolve(".", "~/.kube/config");
        e = files_add(f, path, false);
        mem_free(path);
    }
    if (e) {
        kube_files_free(f);
        return e;
    }
    *ret = f;
    return NULL;
}

struct err *kube_files_parse(const char *text, size_t n, const char *name, struct kube_files **ret)
{
    struct kube_files *f = MEM_NEW(struct kube_files);
    f->inline_only = true;
    buf_adds(&f->tried, name);
    struct err *e = files_add_text(f, text, n, name);
    if (e) {
        kube_files_free(f);
        return e;
    }
    *ret = f;
    return NULL;
}

void kube_files_free(struct kube_files *f)
{
    if (!f)
        return;
    for (size_t i = 0; i < f->count; i++)
        yaml_free(f->docs[i]);
    mem_free(f->docs);
    buf_free(&f->tried);
    mem_free(f);
}

size_t kube_files_count(const struct kube_files *f)
{
    return f->count;
}

const char *kube_files_tried(const struct kube_files *f)
{
    return buf_str(&f->tried);
}

/* ---- Names ------------------------------------------------------------------------------------------------------- */

bool kube_files_find(const struct kube_files *f, const char *list, const char *name, struct kube_stanza *ret)
{
    for (size_t i = 0; i < f->count; i++) {
        const struct yaml_node *entries = yaml_get(f->docs[i]->root, list);
        for (size_t j = 0; entries && entries->kind == YAML_LIST && j < entries->count; j++) {
            const struct yaml_node *entry = entries->values[j];
            if (!str_eq(yaml_str(entry, "name"), name))
                continue;
            const struct yaml_node *body = yaml_get(entry, body_key(list));
            *ret = (struct kube_stanza){
                .file = f->docs[i]->file,
                .inline_only = f->inline_only,
                .body = body && body->kind == YAML_MAP ? body : NULL,
                .at = entry,
            };
            return true;
        }
    }
    return false;
}

void kube_files_names(const struct kube_files *f, const char *list, struct buf *out)
{
    size_t before = out->len;
    for (size_t i = 0; i < f->count; i++) {
        const struct yaml_node *entries = yaml_get(f->docs[i]->root, list);
        for (size_t j = 0; entries && entries->kind == YAML_LIST && j < entries->count; j++) {
            if (out->len > before)
                buf_adds(out, ", ");
            buf_adds(out, yaml_str(entries->values[j], "name"));
        }
    }
    if (out->len == before)
        buf_adds(out, "none");
}

const char *kube_files_current(const struct kube_files *f)
{
    for (size_t i = 0; i < f->count; i++) {
        const char *name = yaml_str(f->docs[i]->root, "current-context");
        if (name && *name)
            return name;
    }
    return NULL;
}

/* ---- Stanzas ----------------------------------------------------------------------------------------------------- */

struct err *kube_stanza_err(const struct kube_stanza *s, const struct yaml_node *at, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char *text = str_vprintf(fmt, ap);
    va_end(ap);
    struct err *e = place_err(s->file, at ? at : s->at, "%s", text);
    mem_free(text);
    return e;
}

struct err *kube_stanza_text(const struct kube_stanza *s, const struct yaml_node *map, const char *key,
                             const char **ret)
{
    *ret = NULL;
    const struct yaml_node *n = map ? yaml_get(map, key) : NULL;
    if (!n)
        return NULL;
    if (n->kind != YAML_SCALAR)
        return kube_stanza_err(s, n, "\"%s\" must be a text", key);
    const char *text = yaml_str(map, key);
    if (text && *text)
        *ret = text;
    return NULL;
}

struct err *kube_stanza_copy(const struct kube_stanza *s, const struct yaml_node *map, const char *key, char **ret)
{
    const char *text;
    struct err *e = kube_stanza_text(s, map, key, &text);
    if (!e)
        str_set(ret, text);
    return e;
}

struct err *kube_stanza_bool(const struct kube_stanza *s, const char *key, bool *ret)
{
    const struct yaml_node *n = s->body ? yaml_get(s->body, key) : NULL;
    if (!n || yaml_is_null(n) || yaml_bool(n, ret))
        return NULL;
    return kube_stanza_err(s, n, "\"%s\" must be true or false", key);
}

struct err *kube_stanza_path(const struct kube_stanza *s, const char *key, char **ret)
{
    const char *text;
    struct err *e = kube_stanza_text(s, s->body, key, &text);
    if (e || !text) {
        *ret = NULL;
        return e;
    }
    char *dir = file_dirname(s->file);
    *ret = file_resolve(dir, text);
    mem_free(dir);
    return NULL;
}

static struct err *read_referred(const struct kube_stanza *s, const char *key, struct buf *ret)
{
    char *path;
    struct err *e = kube_stanza_path(s, key, &path);
    if (e || !path)
        return e;
    const struct yaml_node *at = yaml_get(s->body, key);
    if (s->inline_only) {
        e = kube_stanza_err(s, at, "\"%s\" names a file", key);
    } else {
        struct err *cause = file_read(path, REFERRED_MAX, ret);
        if (cause) {
            e = kube_stanza_err(s, at, "%s: %s", key, err_text(cause));
            err_free(cause);
        }
    }
    mem_free(path);
    return e;
}

struct err *kube_stanza_bytes(const struct kube_stanza *s, const char *key, struct buf *ret)
{
    char *data_key = str_printf("%s-data", key);
    const char *text;
    struct err *e = kube_stanza_text(s, s->body, data_key, &text);
    if (!e && text && !hash_base64_decode(slice_of(text), ret))
        e = kube_stanza_err(s, yaml_get(s->body, data_key), "\"%s\" is not base64", data_key);
    mem_free(data_key);
    if (e || text)
        return e;
    return read_referred(s, key, ret);
}

struct err *kube_stanza_list(const struct kube_stanza *s, const struct yaml_node *map, const char *key, char ***ret)
{
    *ret = NULL;
    const struct yaml_node *n = map ? yaml_get(map, key) : NULL;
    if (!n || yaml_is_null(n))
        return NULL;
    if (n->kind != YAML_LIST)
        return kube_stanza_err(s, n, "\"%s\" must be a list", key);
    char **list = mem_calloc(n->count + 1, sizeof *list);
    for (size_t i = 0; i < n->count; i++) {
        if (n->values[i]->kind != YAML_SCALAR) {
            kube_strings_free(list);
            return kube_stanza_err(s, n->values[i], "\"%s\" must be a list of texts", key);
        }
        list[i] = mem_strdup(n->values[i]->text);
    }
    *ret = list;
    return NULL;
}

void kube_strings_free(char **list)
{
    for (size_t i = 0; list && list[i]; i++)
        mem_free(list[i]);
    mem_free(list);
}
