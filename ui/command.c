#include "ui/command.h"

#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/utf8.h"
#include "base/yaml.h"
#include "ui/term.h"

#define KEYS_MAX_BYTES ((size_t)64 * 1024)

static const struct command_info infos[COMMAND_COUNT] = {
    [COMMAND_NONE] = {.id = "none", .keys = "", .group = "", .help = ""},
#define COMMAND(ID, id_, keys_, group_, arming_, palette_, help_) \
    [COMMAND_##ID] = {.id = #id_,             \
                      .keys = keys_,          \
                      .group = group_,        \
                      .arming = arming_,      \
                      .palette = palette_,    \
                      .help = help_},
#include "ui/command.def"
#undef COMMAND
};

struct binding {
    struct key key;
    enum command command;
    bool user; /* from the user's file */
};

struct keymap {
    struct binding *bindings;
    size_t n;
};

static const struct {
    const char *name;
    struct key key;
} key_names[] = {
    {"Enter", {.code = KEY_CODE_ENTER}}, {"Esc", {.code = KEY_CODE_ESC}}, {"Tab", {.code = KEY_CODE_TAB}},
    {"S-Tab", {.code = KEY_CODE_BACKTAB}},
    {"Backspace", {.code = KEY_CODE_BACKSPACE}}, {"Delete", {.code = KEY_CODE_DELETE}}, {"Up", {.code = KEY_CODE_UP}},
    {"Down", {.code = KEY_CODE_DOWN}}, {"Left", {.code = KEY_CODE_LEFT}}, {"Right", {.code = KEY_CODE_RIGHT}},
    {"Home", {.code = KEY_CODE_HOME}}, {"End", {.code = KEY_CODE_END}}, {"PgUp", {.code = KEY_CODE_PAGE_UP}},
    {"PgDn", {.code = KEY_CODE_PAGE_DOWN}}, {"F1", {.code = KEY_CODE_F1}}, {"Space", {.ch = ' '}},
};

const struct command_info *command_info(enum command c) {
    return &infos[c];
}

bool command_is_of(enum command c, const char *group) {
    return group && str_eq(infos[c].group, group);
}

bool command_is_local(enum command c) {
    return command_is_of(c, COMMAND_GROUP_PHASE) || command_is_of(c, COMMAND_GROUP_WINDOW);
}

enum command command_by_name(const char *name) {
    for (int i = 1; i < COMMAND_COUNT; i++)
        if (str_eq(infos[i].id, name) || (infos[i].palette && str_eq(infos[i].palette, name))) return (enum command)i;
    return COMMAND_NONE;
}

static bool same_key(struct key a, struct key b) {
    return a.code == b.code && (a.code != KEY_CODE_CHAR || (a.ch == b.ch && a.ctrl == b.ctrl));
}

bool key_parse(const char *name, struct key *ret) {
    for (size_t i = 0; i < ARRAY_LEN(key_names); i++)
        if (str_ieq(key_names[i].name, name)) {
            *ret = key_names[i].key;
            return true;
        }
    size_t n = strlen(name);
    if (n == 2 && name[0] == '^') {
        char letter = name[1] >= 'A' && name[1] <= 'Z' ? (char)(name[1] + 32) : name[1];
        *ret = (struct key){.ch = (uint32_t)letter, .ctrl = true};
        return letter >= 'a' && letter <= 'z';
    }
    uint32_t cp;
    if (!n || !utf8_valid(name, n) || utf8_decode(name, n, &cp) != n || cp <= ' ') return false;
    *ret = (struct key){.ch = cp};
    return true;
}

void key_format(struct key key, struct buf *out) {
    for (size_t i = 0; i < ARRAY_LEN(key_names); i++)
        if (same_key(key_names[i].key, key)) {
            buf_adds(out, key_names[i].name);
            return;
        }
    if (key.code != KEY_CODE_CHAR) return;
    char bytes[4];
    if (key.ctrl) buf_printf(out, "^%c", (char)(key.ch - 32));
    else buf_add(out, bytes, utf8_encode(key.ch, bytes));
}

static void bind(struct keymap *m, struct key key, enum command c, bool user) {
    m->bindings = mem_reallocarray(m->bindings, m->n + 1, sizeof *m->bindings);
    m->bindings[m->n++] = (struct binding){key, c, user};
}

static void bind_defaults(struct keymap *m, enum command c) {
    struct slice rest = slice_of(infos[c].keys), word;
    while (slice_cut(&rest, ' ', &word)) {
        char name[16];
        struct key key;
        if (!word.n || word.n >= sizeof name) continue;
        memcpy(name, word.p, word.n);
        name[word.n] = 0;
        if (key_parse(name, &key)) bind(m, key, c, false);
    }
}

/* Forgets the default keys of a command. */
static void unbind(struct keymap *m, enum command c) {
    size_t kept = 0;
    for (size_t i = 0; i < m->n; i++)
        if (m->bindings[i].user || m->bindings[i].command != c) m->bindings[kept++] = m->bindings[i];
    m->n = kept;
}

/* Both count in the same place: everywhere, or on the one screen that both are of. */
static bool same_place(enum command a, enum command b) {
    return command_is_local(a) || command_is_local(b) ? command_is_of(a, infos[b].group) : true;
}

/* A key that the user gives to c is taken from the command that had it. */
static void take(struct keymap *m, struct key key, enum command c) {
    size_t kept = 0;
    for (size_t i = 0; i < m->n; i++) {
        const struct binding *b = &m->bindings[i];
        if (b->user || !same_key(b->key, key) || !same_place(b->command, c)) m->bindings[kept++] = *b;
    }
    m->n = kept;
}

static struct err *read_key(struct keymap *m, const struct yaml_doc *doc, const struct yaml_node *n, enum command c) {
    struct key key;
    if (n->kind != YAML_SCALAR || !key_parse(n->text, &key))
        return err_new(ERR_DATA, "%s:%u:%u: no key: '%s'; keys are single characters, ^X, Enter, Tab, PgUp, F1, …",
                       doc->file, n->line, n->column,
                       n->kind == YAML_SCALAR ? n->text : "…");
    for (size_t i = 0; i < m->n; i++)
        if (m->bindings[i].user && same_key(m->bindings[i].key, key) && same_place(m->bindings[i].command, c))
            return err_new(ERR_DATA, "%s:%u:%u: key '%s' is given to %s already", doc->file, n->line, n->column,
                           n->text, infos[m->bindings[i].command].id);
    take(m, key, c);
    bind(m, key, c, true);
    return NULL;
}

static struct err *unknown_name(const struct yaml_doc *doc, const struct yaml_node *n) {
    const char *ids[COMMAND_COUNT];
    for (int i = 1; i < COMMAND_COUNT; i++) ids[i - 1] = infos[i].id;
    ids[COMMAND_COUNT - 1] = NULL;
    const char *near = str_nearest(n->text, ids);
    return err_new(ERR_DATA, "%s:%u:%u: no command is called '%s'%s%s", doc->file, n->line, n->column, n->text,
                   near ? "; did you mean " : "",
                   near ? near : "");
}

static struct err *read_keys_of(struct keymap *m, const struct yaml_doc *doc, const struct yaml_node *name,
                                const struct yaml_node *value) {
    enum command c = command_by_name(name->text);
    if (c == COMMAND_NONE) return unknown_name(doc, name);
    unbind(m, c);
    if (value->kind != YAML_LIST) return read_key(m, doc, value, c);
    for (size_t i = 0; i < value->count; i++) {
        struct err *e = read_key(m, doc, value->values[i], c);
        if (e) return e;
    }
    return NULL;
}

static struct err *read_file(struct keymap *m, const char *path) {
    struct buf text = {0};
    struct yaml_doc *doc = NULL;
    struct err *e = file_read(path, KEYS_MAX_BYTES, &text);
    if (!e) e = yaml_parse(buf_str(&text), text.len, path, &doc);
    const struct yaml_node *root = e ? NULL : doc->root;
    if (root && root->kind != YAML_MAP) e = err_new(ERR_DATA, "%s: keys are a map, like  sort_next: o", path);
    for (size_t i = 0; !e && root && i < root->count; i++) e = read_keys_of(m, doc, root->keys[i], root->values[i]);
    yaml_free(doc);
    buf_free(&text);
    if (e) err_set_kind(e, ERR_DATA);
    return e;
}

struct err *keymap_load(const char *path, struct keymap **ret) {
    struct keymap *m = MEM_NEW(struct keymap);
    for (int i = 1; i < COMMAND_COUNT; i++) bind_defaults(m, (enum command)i);
    struct err *e = path && file_exists(path) ? read_file(m, path) : NULL;
    if (e) {
        keymap_free(m);
        return e;
    }
    *ret = m;
    return NULL;
}

void keymap_free(struct keymap *m) {
    if (!m) return;
    mem_free(m->bindings);
    mem_free(m);
}

enum command keymap_find(const struct keymap *m, struct key key, const char *group) {
    enum command everywhere = COMMAND_NONE;
    for (size_t i = 0; i < m->n; i++) {
        const struct binding *b = &m->bindings[i];
        if (!same_key(b->key, key)) continue;
        if (!command_is_local(b->command)) everywhere = b->command;
        else if (command_is_of(b->command, group)) return b->command;
    }
    return everywhere;
}

void keymap_keys(const struct keymap *m, enum command c, bool first, struct buf *out) {
    size_t found = 0;
    for (size_t i = 0; i < m->n && !(first && found); i++) {
        if (m->bindings[i].command != c) continue;
        if (found++) buf_addc(out, ' ');
        key_format(m->bindings[i].key, out);
    }
}
