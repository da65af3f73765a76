/* The place is found in the tree, which knows line and column of each key; the new text is put right there. Then it is read again,
 * and must be what was there before and the value: a way of writing that was not thought of is refused, never spoilt. */
#include "migrate/plan_pin.h"

#include <stdint.h>
#include <string.h>

#include "base/mem.h"
#include "base/yaml.h"

/* Where a node begins. Columns are counted in characters, lines as YAML counts them. */
static bool offset_of(const struct buf *text, unsigned line, unsigned column, size_t *ret) {
    size_t at = 0;
    for (unsigned l = 1; l < line; at++) {
        if (at >= text->len) return false;
        if (text->p[at] == '\n' || (text->p[at] == '\r' && text->p[at + 1] != '\n')) l++;
    }
    for (unsigned c = 1; c < column; c++) {
        if (at >= text->len) return false;
        at++;
        while (at < text->len && ((unsigned char)text->p[at] & 0xc0) == 0x80) at++;
    }
    *ret = at;
    return true;
}

static void splice(struct buf *text, size_t at, size_t remove, const char *insert) {
    struct buf out = {0};
    buf_add(&out, text->p, at);
    buf_adds(&out, insert);
    buf_add(&out, text->p + at + remove, text->len - at - remove);
    buf_free(text);
    *text = out;
}

static struct yaml_node *key_node(const struct yaml_node *map, const char *key) {
    for (size_t i = 0; i < map->count; i++)
        if (str_eq(map->keys[i]->text, key)) return map->keys[i];
    return NULL;
}

/* "KEY: VALUE" in front of a key of the same map: a line of its own, or inside braces. */
static void insert_before(struct buf *text, size_t at, unsigned column, const char *entry) {
    struct buf b = {0};
    size_t back = at;
    while (back > 0 && strchr(" \t\r\n", text->p[back - 1])) back--;
    bool flow = back > 0 && (text->p[back - 1] == '{' || text->p[back - 1] == ',');
    buf_adds(&b, entry);
    if (flow) buf_adds(&b, ", ");
    else {
        buf_addc(&b, '\n');
        for (unsigned i = 1; i < column; i++) buf_addc(&b, ' ');
    }
    splice(text, at, 0, buf_str(&b));
    buf_free(&b);
}

/* A line behind that of `key`, if the key stands alone on its line with a value that ends there; false otherwise. */
static bool insert_after(struct buf *text, size_t at, const struct yaml_node *key, const char *entry) {
    size_t begin = at, end = at;
    while (begin > 0 && text->p[begin - 1] == ' ') begin--;
    if (begin > 0 && text->p[begin - 1] != '\n') return false;
    while (end < text->len && text->p[end] != '\n') end++;
    if (end == text->len) return false;
    size_t next = end + 1, indent = 0;
    while (next + indent < text->len && text->p[next + indent] == ' ') indent++;
    if (next + indent < text->len && indent >= key->column && !strchr("\r\n#", text->p[next + indent])) return false;
    struct buf b = {0};
    for (unsigned i = 1; i < key->column; i++) buf_addc(&b, ' ');
    buf_printf(&b, "%s\n", entry);
    splice(text, next, 0, buf_str(&b));
    buf_free(&b);
    return true;
}

/* The key is there with nothing behind it, or with ~ or null. */
static bool fill_empty(struct buf *text, size_t at, const char *value) {
    const char *colon = memchr(text->p + at, ':', text->len - at);
    if (!colon) return false;
    size_t from = (size_t)(colon - text->p) + 1, to = from;
    while (to < text->len && text->p[to] == ' ') to++;
    size_t word = to < text->len && text->p[to] == '~' ? 1 : to + 4 <= text->len && memcmp(text->p + to, "null", 4) == 0 ? 4 : 0;
    char *insert = str_printf(" %s", value);
    splice(text, from, word ? to + word - from : 0, insert);
    mem_free(insert);
    return true;
}

static struct yaml_node *find_workload(const struct yaml_node *root, const char *name) {
    struct yaml_node *list = yaml_get(root, "workloads");
    for (size_t i = 0; list && list->kind == YAML_LIST && i < list->count; i++)
        if (str_eq(yaml_str(list->values[i], "name"), name)) return list->values[i];
    return NULL;
}

static struct err *cannot(const char *file, const struct yaml_node *at, const char *key, const char *value) {
    return err_new(ERR_DATA, "%s:%u:%u: '%s: %s' cannot be put in here without touching the rest; write it there yourself", file,
                   at ? at->line : 1, at ? at->column : 1, key, value);
}

/* Puts it in, as text; whether that is what was meant is seen by reading it again. */
static struct err *put_in(struct buf *text, const struct yaml_node *map, const char *file, const char *key, const char *beside, const char *value) {
    struct yaml_node *there = key_node(map, key), *near = beside ? key_node(map, beside) : NULL;
    struct yaml_node *at = there ? there : near ? near : map->count ? map->keys[0] : NULL;
    char *entry = str_printf("%s: %s", key, value);
    size_t offset = 0;
    bool ok = at && offset_of(text, at->line, at->column, &offset);
    if (ok && there) ok = fill_empty(text, offset, value);
    else if (ok && !(near && insert_after(text, offset, near, entry))) insert_before(text, offset, at->column, entry);
    mem_free(entry);
    return ok ? NULL : cannot(file, at ? at : map, key, value);
}

/* The one map of the new text that may differ, in one key. */
struct allowed {
    const struct yaml_node *map;
    const char *key;
    size_t met; /* more than once: an alias of it is somewhere else, too */
};

static bool same(const struct yaml_node *a, const struct yaml_node *b, struct allowed *but);

static bool same_maps(const struct yaml_node *a, const struct yaml_node *b, struct allowed *but) {
    bool here = b == but->map;
    if (here) but->met++;
    if (b->count != a->count + (here && !key_node(a, but->key) ? 1 : 0)) return false;
    for (size_t i = 0; i < a->count; i++) {
        if (here && str_eq(a->keys[i]->text, but->key)) continue;
        struct yaml_node *other = yaml_get(b, a->keys[i]->text);
        if (!other || !same(a->values[i], other, but)) return false;
    }
    return true;
}

static bool same(const struct yaml_node *a, const struct yaml_node *b, struct allowed *but) {
    if (a->kind != b->kind) return false;
    if (a->kind == YAML_SCALAR) return a->quoted == b->quoted && str_eq(a->text, b->text);
    if (a->kind == YAML_MAP) return same_maps(a, b, but);
    if (a->count != b->count) return false;
    for (size_t i = 0; i < a->count; i++)
        if (!same(a->values[i], b->values[i], but)) return false;
    return true;
}

/* Where the identity of a workload stands, by what it has: a database or Vault. */
static const char *section_of(const struct yaml_node *workload) {
    return workload && key_node(workload, "vault") && !key_node(workload, "postgres") ? "vault" : "postgres";
}

static const struct yaml_node *map_of(const struct yaml_node *root, const char *workload) {
    if (!root || root->kind != YAML_MAP || !workload) return root;
    struct yaml_node *w = find_workload(root, workload);
    return w && w->kind == YAML_MAP ? yaml_get(w, section_of(w)) : NULL;
}

static const char *key_of(const struct yaml_node *root, const char *workload) {
    if (!workload) return "cluster";
    const struct yaml_node *w = root && root->kind == YAML_MAP ? find_workload(root, workload) : NULL;
    return w && w->kind == YAML_MAP && str_eq(section_of(w), "vault") ? "cluster_id" : "identifier";
}

static struct err *pin(struct buf *text, const struct yaml_node *root, const char *file, const char *workload, const char *value) {
    const struct yaml_node *map = map_of(root, workload);
    const char *key = key_of(root, workload);
    struct yaml_doc *doc = NULL;
    char *written = workload ? str_printf("\"%s\"", value) : mem_strdup(value);
    struct err *e = put_in(text, map, file, key, workload ? NULL : "context", written);
    if (!e) e = yaml_parse(text->p, text->len, file, &doc);
    const struct yaml_node *after = e ? NULL : map_of(doc->root, workload);
    struct allowed but = {.map = after, .key = key};
    if (e || !after || !str_eq(yaml_str(after, key), value) || !same(root, doc->root, &but) || but.met != 1) {
        err_free(e);
        e = cannot(file, map, key, written);
    }
    yaml_free(doc);
    mem_free(written);
    return e;
}

struct err *plan_pin(struct buf *text, const char *file, const char *workload, const char *value, bool *ret_changed) {
    struct yaml_doc *doc = NULL;
    struct buf out = {0};
    struct err *e = yaml_parse(text->p, text->len, file, &doc);
    if (e) return e;
    const struct yaml_node *map = map_of(doc->root, workload);
    const char *key = key_of(doc->root, workload), *now = map && map->kind == YAML_MAP ? yaml_str(map, key) : NULL;
    bool changed = false;
    if (!map || map->kind != YAML_MAP) e = err_new(ERR_DATA, "%s: there is no place for '%s'", file, key);
    else if (now && !str_eq(now, value)) {
        const struct yaml_node *at = key_node(map, key);
        e = err_new(ERR_DATA, "%s:%u:%u: '%s' is pinned as %s, and it is %s now; nothing was written. If that is meant, remove the line first", file,
                    at ? at->line : 0, at ? at->column : 0, key, now, value);
    } else if (!now) {
        buf_add(&out, text->p, text->len);
        e = pin(&out, doc->root, file, workload, value);
        changed = !e;
    }
    yaml_free(doc);
    if (changed) {
        buf_free(text);
        *text = out;
    } else {
        buf_free(&out);
    }
    if (!e) *ret_changed = changed;
    return e;
}
