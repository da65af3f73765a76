/* Builds the tree from libyaml's events.
 *
 * An alias is the very node that its anchor names, so that the tree takes no more memory than the text; `weight` (nodes
 * counted as if copied) and `height` of each node keep what a walk over the tree can meet within bounds. An anchor is
 * known when its node is complete: a node cannot contain itself. */
#include "base/yaml.h"

#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "base/map.h"
#include "base/mem.h"
#include "base/secret.h"
#include "base/str.h"
#include "base/utf8.h"

#define TEXT_MAX ((size_t)8 << 20)
#define HEIGHT_MAX 64
#define WEIGHT_MAX 200000

struct node {
    struct yaml_node pub; /* first, so that the two convert into each other */
    struct node *next;    /* all nodes of the document */
    size_t weight;
    size_t text_size;
    unsigned height;
};

struct doc {
    struct yaml_doc pub; /* first, as above */
    struct node *nodes;
};

struct builder {
    yaml_parser_t parser;
    yaml_event_t event; /* the current one */
    const char *text;
    size_t n;
    struct doc *doc;
    struct map *anchors;
    unsigned depth;
};

static struct err *build(struct builder *b, struct node **ret);

static struct err *fail_at(const struct builder *b, size_t line, size_t column, const char *what)
{
    return err_new(ERR_DATA, "%s:%zu:%zu: %s", b->doc->pub.file, line, column, what);
}

static struct err *fail(const struct builder *b, const char *what)
{
    const yaml_mark_t *mark = &b->event.start_mark;

    return fail_at(b, mark->line + 1, mark->column + 1, what);
}

/* The same with the foreign name that it is about. */
static struct err *fail_named(const struct builder *b, const char *what, const char *name)
{
    char *clean = utf8_cleaned(slice_of(name));
    char *text = str_printf("%s '%s'", what, clean);
    struct err *e = fail(b, text);

    mem_free(text);
    mem_free(clean);
    return e;
}

/* Bytes that are no text have an offset instead of a mark. */
static struct err *fail_reader(const struct builder *b)
{
    size_t line = 1, column = 1;

    for (size_t i = 0; i < b->parser.problem_offset && i < b->n; i++) {
        bool newline = b->text[i] == '\n';

        line += newline;
        column = newline ? 1 : column + 1;
    }
    return fail_at(b, line, column, b->parser.problem);
}

static struct err *fail_parser(const struct builder *b)
{
    const yaml_parser_t *p = &b->parser;
    struct err *e;
    char *text;

    if (p->error == YAML_READER_ERROR)
        return fail_reader(b);
    if (!p->context)
        return fail_at(b, p->problem_mark.line + 1, p->problem_mark.column + 1, p->problem ? p->problem : "bad YAML");
    text = str_printf("%s (%s at line %zu)", p->problem, p->context, p->context_mark.line + 1);
    e = fail_at(b, p->problem_mark.line + 1, p->problem_mark.column + 1, text);
    mem_free(text);
    return e;
}

static struct err *next_event(struct builder *b)
{
    yaml_event_delete(&b->event);
    return yaml_parser_parse(&b->parser, &b->event) ? NULL : fail_parser(b);
}

static struct node *node_new(struct builder *b, enum yaml_kind kind)
{
    struct node *n = MEM_NEW(struct node);

    n->pub.kind = kind;
    n->pub.line = (unsigned)b->event.start_mark.line + 1;
    n->pub.column = (unsigned)b->event.start_mark.column + 1;
    n->weight = 1;
    n->height = 1;
    n->next = b->doc->nodes;
    b->doc->nodes = n;
    return n;
}

/* Tags that agree with what the readers of scalars do anyway are allowed. */
static struct err *check_tag(const struct builder *b, const yaml_char_t *tag, bool *ret_string)
{
    static const char core[] = "tag:yaml.org,2002:";
    static const char *const known[] = {"int", "bool", "float", "null", "map", "seq"};
    const char *t = (const char *)tag;

    *ret_string = false;
    if (!t)
        return NULL;
    if (str_starts(t, core)) {
        for (size_t i = 0; i < ARRAY_LEN(known); i++)
            if (str_eq(t + sizeof core - 1, known[i]))
                return NULL;
        *ret_string = str_eq(t + sizeof core - 1, "str");
    } else {
        *ret_string = str_eq(t, "!");
    }
    return *ret_string ? NULL : fail_named(b, "unknown tag", t);
}

/* Adds what a child weighs; also where an alias makes much of little. */
static struct err *weigh(const struct builder *b, struct node *parent, const struct node *child)
{
    parent->weight += child->weight;
    if (child->height >= parent->height)
        parent->height = child->height + 1;
    if (parent->weight > WEIGHT_MAX)
        return fail(b, "the document is too large (aliases counted as copies)");
    if (parent->height > HEIGHT_MAX)
        return fail(b, "the document is nested too deeply");
    return NULL;
}

/* Room for one more pair or item; grows by doubling. */
static void make_room(struct yaml_node *n)
{
    size_t cap = n->count;

    if (cap & (cap - 1) || cap == 1)
        return;
    cap = cap ? cap * 2 : 2;
    n->values = mem_reallocarray(n->values, cap, sizeof n->values[0]);
    if (n->kind == YAML_MAP)
        n->keys = mem_reallocarray(n->keys, cap, sizeof n->keys[0]);
}

static struct err *build_scalar(struct builder *b, struct node **ret)
{
    const char *text = (const char *)b->event.data.scalar.value;
    size_t n = b->event.data.scalar.length;
    struct node *node;
    struct err *e;
    bool string;

    e = check_tag(b, b->event.data.scalar.tag, &string);
    if (e)
        return e;
    if (strlen(text) != n)
        return fail(b, "a NUL character in a text");
    node = node_new(b, YAML_SCALAR);
    node->pub.quoted = string || b->event.data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    node->pub.text = mem_strndup(text, n);
    node->text_size = n;
    *ret = node;
    return NULL;
}

static struct err *build_alias(struct builder *b, struct node **ret)
{
    const char *name = (const char *)b->event.data.alias.anchor;
    struct node *node = map_gets(b->anchors, name);

    if (!node)
        return fail_named(b, "no complete node before this has the anchor", name);
    *ret = node;
    return NULL;
}

/* One item of a list. */
static struct err *build_item(struct builder *b, struct node *list)
{
    struct node *item;
    struct err *e = build(b, &item);

    if (e)
        return e;
    make_room(&list->pub);
    list->pub.values[list->pub.count++] = &item->pub;
    return weigh(b, list, item);
}

/* One key of a map, with its value. */
static struct err *build_pair(struct builder *b, struct node *map, struct map *seen)
{
    struct node *key, *value;
    struct err *e;

    if (b->event.type != YAML_SCALAR_EVENT && b->event.type != YAML_ALIAS_EVENT)
        return fail(b, "a key must be a plain or quoted text");
    e = build(b, &key);
    if (e)
        return e;
    if (key->pub.kind != YAML_SCALAR)
        return fail(b, "a key must be a plain or quoted text");
    if (map_puts(seen, key->pub.text, key))
        return fail_named(b, "duplicate key", key->pub.text);
    e = next_event(b);
    if (!e)
        e = build(b, &value);
    if (e)
        return e;
    make_room(&map->pub);
    map->pub.keys[map->pub.count] = &key->pub;
    map->pub.values[map->pub.count++] = &value->pub;
    e = weigh(b, map, key);
    return e ? e : weigh(b, map, value);
}

static struct err *build_collection(struct builder *b, enum yaml_kind kind, struct node **ret)
{
    const yaml_event_t *event = &b->event;
    const yaml_char_t *tag =
        kind == YAML_MAP ? event->data.mapping_start.tag : event->data.sequence_start.tag;
    yaml_event_type_t last = kind == YAML_MAP ? YAML_MAPPING_END_EVENT : YAML_SEQUENCE_END_EVENT;
    struct map *seen;
    struct node *node;
    struct err *e;
    bool string;

    e = check_tag(b, tag, &string);
    if (!e && string)
        e = fail(b, "a map or list tagged as a text");
    if (!e && b->depth == HEIGHT_MAX)
        e = fail(b, "the document is nested too deeply");
    if (e)
        return e;
    node = node_new(b, kind);
    seen = map_new();
    b->depth++;
    e = next_event(b);
    while (!e && b->event.type != last) {
        e = kind == YAML_MAP ? build_pair(b, node, seen) : build_item(b, node);
        if (!e)
            e = next_event(b);
    }
    b->depth--;
    map_free(seen, NULL);
    if (!e)
        *ret = node;
    return e;
}

/* The name that the current event gives its node, as a copy, or NULL. */
static char *anchor_of(const yaml_event_t *event)
{
    switch (event->type) {
    case YAML_SCALAR_EVENT:
        return mem_strdup((const char *)event->data.scalar.anchor);
    case YAML_SEQUENCE_START_EVENT:
        return mem_strdup((const char *)event->data.sequence_start.anchor);
    case YAML_MAPPING_START_EVENT:
        return mem_strdup((const char *)event->data.mapping_start.anchor);
    default:
        return NULL;
    }
}

/* Builds the node that the current event begins; its last event is then the current one. */
static struct err *build(struct builder *b, struct node **ret)
{
    char *anchor = anchor_of(&b->event);
    struct err *e;

    switch (b->event.type) {
    case YAML_SCALAR_EVENT:
        e = build_scalar(b, ret);
        break;
    case YAML_ALIAS_EVENT:
        e = build_alias(b, ret);
        break;
    case YAML_SEQUENCE_START_EVENT:
        e = build_collection(b, YAML_LIST, ret);
        break;
    case YAML_MAPPING_START_EVENT:
        e = build_collection(b, YAML_MAP, ret);
        break;
    default:
        e = fail(b, "expected a value");
        break;
    }
    if (!e && anchor)
        (void)map_puts(b->anchors, anchor, *ret);
    mem_free(anchor);
    return e;
}

/* Stream start, document start, and the root; what comes after is not looked at. */
static struct err *build_document(struct builder *b, struct node **ret)
{
    struct err *e = next_event(b);

    while (!e && (b->event.type == YAML_STREAM_START_EVENT || b->event.type == YAML_DOCUMENT_START_EVENT))
        e = next_event(b);
    if (!e && b->event.type == YAML_STREAM_END_EVENT)
        *ret = NULL;
    else if (!e)
        e = build(b, ret);
    if (!e && *ret) /* What follows the root in its document, e.g. a forgotten indentation, is an error. */
        e = next_event(b);
    return e;
}

struct err *yaml_parse(const char *text, size_t n, const char *file, struct yaml_doc **ret)
{
    struct builder b = {.text = text, .n = n, .doc = MEM_NEW(struct doc)};
    struct node *root = NULL;
    struct err *e;

    b.doc->pub.file = mem_strdup(file);
    if (n > TEXT_MAX) {
        e = fail_at(&b, 1, 1, "the file is larger than 8 MiB");
        yaml_free(&b.doc->pub);
        return e;
    }
    if (!yaml_parser_initialize(&b.parser))
        abort();
    yaml_parser_set_input_string(&b.parser, (const unsigned char *)(text ? text : ""), n);
    b.anchors = map_new();
    e = build_document(&b, &root);
    map_free(b.anchors, NULL);
    yaml_event_delete(&b.event);
    yaml_parser_delete(&b.parser);
    if (e) {
        yaml_free(&b.doc->pub);
        return e;
    }
    b.doc->pub.root = root ? &root->pub : NULL;
    *ret = &b.doc->pub;
    return NULL;
}

/* Texts may be tokens and keys of a kubeconfig: they are wiped. */
void yaml_free(struct yaml_doc *pub)
{
    struct doc *doc = (struct doc *)pub;
    struct node *n, *next;

    if (!doc)
        return;
    for (n = doc->nodes; n; n = next) {
        next = n->next;
        if (n->pub.text) {
            char *text = (char *)(uintptr_t)n->pub.text;

            secret_wipe(text, n->text_size);
            mem_free(text);
        }
        mem_free(n->pub.keys);
        mem_free(n->pub.values);
        mem_free(n);
    }
    mem_free(doc->pub.file);
    mem_free(doc);
}

struct yaml_node *yaml_get(const struct yaml_node *map, const char *key)
{
    if (!map || map->kind != YAML_MAP)
        return NULL;
    for (size_t i = 0; i < map->count; i++)
        if (str_eq(map->keys[i]->text, key))
            return map->values[i];
    return NULL;
}

const char *yaml_str(const struct yaml_node *map, const char *key)
{
    const struct yaml_node *n = yaml_get(map, key);

    return n && n->kind == YAML_SCALAR && !yaml_is_null(n) ? n->text : NULL;
}

static bool is_plain(const struct yaml_node *n)
{
    return n && n->kind == YAML_SCALAR && !n->quoted;
}

static bool is_one_of(const char *text, const char *const *words)
{
    for (; *words; words++)
        if (str_eq(text, *words))
            return true;
    return false;
}

bool yaml_is_null(const struct yaml_node *n)
{
    static const char *const words[] = {"", "~", "null", "Null", "NULL", NULL};

    return is_plain(n) && is_one_of(n->text, words);
}

bool yaml_bool(const struct yaml_node *n, bool *ret)
{
    static const char *const yes[] = {"true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON", NULL};
    static const char *const no[] = {"false", "False", "FALSE", "no", "No", "NO", "off", "Off", "OFF", NULL};

    if (!is_plain(n) || (!is_one_of(n->text, yes) && !is_one_of(n->text, no)))
        return false;
    *ret = is_one_of(n->text, yes);
    return true;
}

/* Decimal only. A leading zero is refused: it means octal to YAML 1.1 and nothing to YAML 1.2. */
bool yaml_int(const struct yaml_node *n, int64_t *ret)
{
    const char *digits;

    if (!is_plain(n))
        return false;
    digits = n->text + (n->text[0] == '-' || n->text[0] == '+');
    if (digits[0] < '0' || digits[0] > '9' || (digits[0] == '0' && digits[1]))
        return false;
    return slice_to_i64(slice_of(n->text[0] == '+' ? digits : n->text), ret);
}
