#include "ui/theme.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/program.h"
#include "base/str.h"
#include "base/utf8.h"
#include "base/yaml.h"

#define THEME_MAX_BYTES ((size_t)64 * 1024)
#define DEFAULT_THEME "colour-blind"

struct theme {
    struct theme_style styles[STYLE_COUNT];
    char glyphs[GLYPH_COUNT][5];
    bool ascii;
};

static const char *const style_names[STYLE_COUNT + 1] = { /* the last is NULL */
    [STYLE_NORMAL] = "normal", [STYLE_DIM] = "dim", [STYLE_BOLD] = "bold", [STYLE_TITLE] = "title",
    [STYLE_HEADER] = "header",
    [STYLE_COLUMN] = "column", [STYLE_OK] = "ok", [STYLE_WARN] = "warn", [STYLE_BAD] = "bad",
    [STYLE_UNKNOWN] = "unknown",
    [STYLE_STALE] = "stale", [STYLE_LEADER] = "leader", [STYLE_BUSY] = "busy", [STYLE_ACCENT] = "accent",
    [STYLE_SELECTED] = "selected",
    [STYLE_CHANGED] = "changed", [STYLE_BORDER] = "border", [STYLE_BANNER_BAD] = "banner_bad",
    [STYLE_BANNER_WARN] = "banner_warn",
    [STYLE_KEY] = "key", [STYLE_PROMPT] = "prompt",
};

static const struct {
    const char *name, *utf8, *ascii;
} glyph_info[GLYPH_COUNT] = {
    [GLYPH_OK] = {"ok", "✓", "+"}, [GLYPH_WARN] = {"warn", "!", "!"}, [GLYPH_BAD] = {"bad", "✗", "X"},
    [GLYPH_UNKNOWN] = {"unknown", "?", "?"}, [GLYPH_STALE] = {"stale", "~", "~"}, [GLYPH_LEADER] = {"leader", "*", "*"},
    [GLYPH_BUSY] = {"busy", ">", ">"}, [GLYPH_NONE] = {"none", " ", " "}, [GLYPH_CHANGED] = {"changed", "•", "'"},
    [GLYPH_HLINE] = {"hline", "─", "-"}, [GLYPH_VLINE] = {"vline", "│", "|"}, [GLYPH_TEE_DOWN] = {"tee_down", "┬", "+"},
    [GLYPH_TEE_UP] = {"tee_up", "┴", "+"}, [GLYPH_DASH] = {"dash", "–", "-"}, [GLYPH_ELLIPSIS] = {"ellipsis", "…", "~"},
    [GLYPH_SORT_UP] = {"sort_up", "↑", "^"}, [GLYPH_SORT_DOWN] = {"sort_down", "↓", "v"},
        [GLYPH_BAR] = {"bar", "█", "#"},
    [GLYPH_ARROW] = {"arrow", "→", ">"},
};

/* What a terminal without colours shows, and what a theme's file leaves out. */
static const unsigned mono_attrs[STYLE_COUNT] = {
    [STYLE_DIM] = THEME_DIM, [STYLE_BOLD] = THEME_BOLD, [STYLE_TITLE] = THEME_BOLD, [STYLE_COLUMN] = THEME_DIM,
    [STYLE_WARN] = THEME_BOLD,
    [STYLE_BAD] = THEME_REVERSE | THEME_BOLD, [STYLE_UNKNOWN] = THEME_DIM, [STYLE_STALE] = THEME_DIM | THEME_UNDERLINE,
    [STYLE_LEADER] = THEME_BOLD, [STYLE_ACCENT] = THEME_BOLD, [STYLE_SELECTED] = THEME_REVERSE,
        [STYLE_CHANGED] = THEME_BOLD,
    [STYLE_BORDER] = THEME_DIM, [STYLE_BANNER_BAD] = THEME_REVERSE | THEME_BOLD, [STYLE_BANNER_WARN] = THEME_REVERSE,
    [STYLE_KEY] = THEME_BOLD, [STYLE_PROMPT] = THEME_BOLD,
};

static int name_index(const char *const *names, int count, const char *name) {
    for (int i = 0; i < count; i++)
        if (str_eq(names[i], name)) return i;
    return -1;
}

static struct err *fault(const struct yaml_doc *doc, const struct yaml_node *at, const char *what, const char *word) {
    return err_new(ERR_DATA, "%s:%u:%u: %s '%s'", doc->file, at->line, at->column, what, word);
}

/* A colour is a number of the 256 (or 16) or the name of one of the eight. */
static bool read_color(const struct yaml_node *n, int max, int *ret) {
    static const char *const names[] = {"black", "red", "green", "yellow", "blue", "magenta", "cyan", "white"};
    int64_t v;
    if (n->kind != YAML_SCALAR) return false;
    if (str_eq(n->text, "default")) {
        *ret = -1;
        return true;
    }
    int named = name_index(names, (int)ARRAY_LEN(names), n->text);
    if (named < 0 && (!yaml_int(n, &v) || v < 0 || v >= max)) return false;
    *ret = named >= 0 ? named : (int)v;
    return true;
}

static struct err *read_attrs(const struct yaml_doc *doc, const struct yaml_node *n, unsigned *ret) {
    static const char *const names[] = {"bold", "dim", "reverse", "underline"};
    unsigned attrs = 0;
    for (size_t i = 0; i < (n->kind == YAML_LIST ? n->count : 1); i++) {
        const struct yaml_node *one = n->kind == YAML_LIST ? n->values[i] : n;
        int k = one->kind == YAML_SCALAR ? name_index(names, (int)ARRAY_LEN(names), one->text) : -1;
        if (k < 0) return fault(doc, one, "an attribute is bold, dim, reverse or underline, not",
                                one->kind == YAML_SCALAR ? one->text : "…");
        attrs |= 1U << k;
    }
    *ret = attrs;
    return NULL;
}

/* { fg: 74, bg: default, attrs: [bold] } */
static struct err *read_style(const struct yaml_doc *doc, const struct yaml_node *n, int colors,
                              struct theme_style *s) {
    if (n->kind != YAML_MAP)
        return fault(doc, n, "a style is a map with fg, bg, attrs, not", n->kind == YAML_SCALAR ? n->text : "a list");
    for (size_t i = 0; i < n->count; i++) {
        const char *key = n->keys[i]->text;
        const struct yaml_node *v = n->values[i];
        struct err *e = NULL;
        if (str_eq(key, "attrs")) e = read_attrs(doc, v, &s->attrs);
        else if (!str_eq(key, "fg") && !str_eq(key, "bg")) e = fault(doc, n->keys[i], "unknown key", key);
        else if (!read_color(v, colors, str_eq(key, "fg") ? &s->fg : &s->bg))
            e = fault(doc, v, "no colour number or name:", v->kind == YAML_SCALAR ? v->text : "…");
        if (e) return e;
    }
    return NULL;
}

static struct err *read_styles(const struct yaml_doc *doc, const struct yaml_node *map, int colors, struct theme *t) {
    for (size_t i = 0; map && i < map->count; i++) {
        int s = name_index(style_names, STYLE_COUNT, map->keys[i]->text);
        const char *near = s < 0 ? str_nearest(map->keys[i]->text, style_names) : NULL;
        if (s < 0) return err_new(ERR_DATA, "%s:%u:%u: unknown style '%s'%s%s", doc->file, map->keys[i]->line,
                                  map->keys[i]->column,
                                  map->keys[i]->text, near ? "; did you mean " : "", near ? near : "");
        t->styles[s] = (struct theme_style){.fg = -1, .bg = -1};
        struct err *e = read_style(doc, map->values[i], colors, &t->styles[s]);
        if (e) return e;
    }
    return NULL;
}

static struct err *read_glyphs(const struct yaml_doc *doc, const struct yaml_node *map, struct theme *t) {
    for (size_t i = 0; map && i < map->count; i++) {
        int g = -1;
        for (int k = 0; k < GLYPH_COUNT; k++)
            if (str_eq(glyph_info[k].name, map->keys[i]->text)) g = k;
        const char *text = map->values[i]->kind == YAML_SCALAR ? map->values[i]->text : "";
        if (g < 0) return fault(doc, map->keys[i], "unknown glyph", map->keys[i]->text);
        if (utf8_columns(slice_of(text)) != 1 || !str_copy(t->glyphs[g], sizeof t->glyphs[g], text))
            return fault(doc, map->values[i], "a glyph is one character of one column, not", text);
    }
    return NULL;
}

static struct err *read_theme(const struct yaml_doc *doc, int colors, bool ascii, struct theme *t) {
    static const char *const keys[] = {"colors256", "colors16", "mono", "glyphs", "description"};
    const struct yaml_node *root = doc->root;
    if (!root || root->kind != YAML_MAP)
        return err_new(ERR_DATA, "%s: a theme is a map with colors256, colors16, mono, glyphs", doc->file);
    for (size_t i = 0; i < root->count; i++)
        if (name_index(keys, (int)ARRAY_LEN(keys), root->keys[i]->text) < 0)
            return fault(doc, root->keys[i], "unknown key", root->keys[i]->text);
    const struct yaml_node *styles = yaml_get(root, colors >= 256 ? "colors256" : colors >= 8 ? "colors16" : "mono");
    struct err *e = read_styles(doc, styles, colors >= 256 ? 256 : 16, t);
    if (!e && !ascii) e = read_glyphs(doc, yaml_get(root, "glyphs"), t);
    return e;
}

/* The themes of the build folder, beside a program that is not installed. */
static char *beside_program(void) {
    char *path = program_path();
    if (!path) return NULL;
    char *dir = file_dirname(path), *themes = str_printf("%s/themes", dir);
    mem_free(dir);
    mem_free(path);
    return themes;
}

static char *find(const char *name) {
    if (strchr(name, '/')) return mem_strdup(name);
    const char *env = getenv("FERRYMAN_THEMES"); /* the build tree's, for tests */
    char *config = file_config_dir(), *beside = beside_program();
    char *places[] = {str_printf("%s/themes/%s.yaml", config, name), env ? str_printf("%s/%s.yaml", env, name) : NULL,
                      beside ? str_printf("%s/%s.yaml", beside, name) : NULL,
                          str_printf("%s/themes/%s.yaml", FERRYMAN_DATADIR, name)};
    char *found = NULL;
    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        if (!found && places[i] && file_exists(places[i])) found = places[i];
        else mem_free(places[i]);
    }
    mem_free(beside);
    mem_free(config);
    return found;
}

static void set_defaults(struct theme *t, bool ascii) {
    for (int i = 0; i < STYLE_COUNT; i++)
        t->styles[i] = (struct theme_style){.fg = -1, .bg = -1, .attrs = mono_attrs[i]};
    for (int i = 0; i < GLYPH_COUNT; i++)
        str_copy(t->glyphs[i], sizeof t->glyphs[i], ascii ? glyph_info[i].ascii : glyph_info[i].utf8);
}

struct err *theme_load(const char *name, int colors, bool ascii, struct theme **ret) {
    struct theme *t = MEM_NEW(struct theme);
    struct buf text = {0};
    struct yaml_doc *doc = NULL;
    struct err *e = NULL;
    set_defaults(t, ascii);
    t->ascii = ascii;
    char *path = find(name ? name : DEFAULT_THEME);
    if (path) {
        e = file_read(path, THEME_MAX_BYTES, &text);
        if (!e) e = yaml_parse(buf_str(&text), text.len, path, &doc);
        if (!e) e = read_theme(doc, colors, ascii, t);
    } else if (name) {
        e = err_new(ERR_DATA, "no theme called '%s'; there are colour-blind, dark, light, high-contrast, mono", name);
    }
    yaml_free(doc);
    buf_free(&text);
    mem_free(path);
    if (e) {
        mem_free(t);
        err_set_kind(e, ERR_DATA);
        return e;
    }
    *ret = t;
    return NULL;
}

void theme_free(struct theme *t) {
    mem_free(t);
}

struct theme_style theme_style(const struct theme *t, enum style s) {
    return t->styles[s];
}

const char *theme_glyph(const struct theme *t, enum glyph g) {
    return t->glyphs[g];
}

bool theme_ascii(const struct theme *t) {
    return t->ascii;
}

enum style theme_level_style(enum level l) {
    static const enum style styles[] = {
        [LEVEL_OK] = STYLE_OK, [LEVEL_NONE] = STYLE_NORMAL, [LEVEL_BUSY] = STYLE_BUSY, [LEVEL_WARN] = STYLE_WARN,
        [LEVEL_BAD] = STYLE_BAD,
        [LEVEL_UNKNOWN] = STYLE_UNKNOWN, [LEVEL_STALE] = STYLE_STALE, [LEVEL_LEADER] = STYLE_LEADER,
    };
    return styles[l];
}

enum glyph theme_level_glyph(enum level l) {
    static const enum glyph glyphs[] = {
        [LEVEL_OK] = GLYPH_OK, [LEVEL_NONE] = GLYPH_NONE, [LEVEL_BUSY] = GLYPH_BUSY, [LEVEL_WARN] = GLYPH_WARN,
        [LEVEL_BAD] = GLYPH_BAD,
        [LEVEL_UNKNOWN] = GLYPH_UNKNOWN, [LEVEL_STALE] = GLYPH_STALE, [LEVEL_LEADER] = GLYPH_LEADER,
    };
    return glyphs[l];
}

static bool has_name(char **list, size_t n, const char *name) {
    for (size_t i = 0; i < n; i++)
        if (str_eq(list[i], name)) return true;
    return false;
}

static void add_names(const char *dir, char ***list, size_t *n) {
    DIR *d = dir ? opendir(dir) : NULL;
    for (struct dirent *entry; d && (entry = readdir(d));) {
        if (!str_ends(entry->d_name, ".yaml")) continue;
        char *name = mem_strndup(entry->d_name, strlen(entry->d_name) - 5);
        if (has_name(*list, *n, name)) {
            mem_free(name);
            continue;
        }
        *list = mem_reallocarray(*list, *n + 2, sizeof **list);
        (*list)[(*n)++] = name;
    }
    if (d) closedir(d);
}

static int compare_names(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

char **theme_names(void) {
    char **list = mem_calloc(1, sizeof *list), *config = file_config_dir(), *user = str_printf("%s/themes", config),
        *beside = beside_program();
    size_t n = 0;
    const char *env = getenv("FERRYMAN_THEMES");
    add_names(user, &list, &n);
    add_names(env, &list, &n);
    add_names(beside, &list, &n);
    add_names(FERRYMAN_DATADIR "/themes", &list, &n);
    list[n] = NULL;
    qsort(list, n, sizeof *list, compare_names);
    mem_free(beside);
    mem_free(user);
    mem_free(config);
    return list;
}
