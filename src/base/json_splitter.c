/* A small machine walks the top of the body byte by byte (a few hundred bytes); the elements of the list, which are
 * the bulk, are only looked through for their end (json_scan.h). An element that lies within one fed chunk is handed
 * on in place; only one that crosses chunks is put together in `piece`. */
#include "base/json_splitter.h"

#include <stdbool.h>
#include <string.h>

#include "base/buf.h"
#include "base/json_scan.h"
#include "base/mem.h"

enum state {
    BEFORE_OBJECT,
    BEFORE_FIRST_KEY,
    BEFORE_KEY,
    IN_KEY,
    BEFORE_COLON,
    BEFORE_VALUE,
    IN_VALUE,
    AFTER_VALUE,
    BEFORE_FIRST_ITEM,
    BEFORE_ITEM,
    IN_ITEM,
    AFTER_ITEM,
    AFTER_OBJECT,
    IN_LINES,
    STOPPED,
};

/* How the end of the current value is found. */
enum shape { SHAPE_NESTED, SHAPE_STRING, SHAPE_SCALAR };

struct json_splitter {
    enum json_split_mode mode;
    enum state state;
    enum shape shape;
    struct json_scan scan;
    size_t max_piece;
    json_piece_fn fn;
    void *arg;
    struct buf piece; /* the beginning of an item or line whose end has not arrived */
    struct buf rest;  /* the object without its items */
    size_t key_at;    /* where the current key begins in rest, at its quote */
    bool key_is_items; /* the current member is the list */
    size_t fed;        /* bytes before the current chunk */
    const char *chunk; /* where it begins, for messages */
};

struct json_splitter *json_splitter_new(enum json_split_mode mode, size_t max_piece, json_piece_fn fn, void *arg)
{
    struct json_splitter *s = MEM_NEW(struct json_splitter);

    s->mode = mode;
    s->state = mode == JSON_SPLIT_LINES ? IN_LINES : BEFORE_OBJECT;
    s->max_piece = max_piece;
    s->fn = fn;
    s->arg = arg;
    return s;
}

void json_splitter_free(struct json_splitter *s)
{
    if (!s)
        return;
    buf_free(&s->piece);
    buf_free(&s->rest);
    mem_free(s);
}

static bool is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

static struct err *too_large(const struct json_splitter *s)
{
    return err_new(ERR_PROTOCOL, "a piece of the JSON body is larger than %zu bytes", s->max_piece);
}

/* Hands on what is in `piece` followed by the n bytes at p. */
static struct err *deliver(struct json_splitter *s, enum json_piece kind, const char *p, size_t n)
{
    struct err *e;

    if (n > s->max_piece || s->piece.len > s->max_piece - n)
        return too_large(s);
    if (s->piece.len == 0)
        return s->fn(s->arg, kind, p, n);
    buf_add(&s->piece, p, n);
    e = s->fn(s->arg, kind, s->piece.p, s->piece.len);
    buf_clear(&s->piece);
    return e;
}

/* Keeps the beginning of a piece (or of the rest) for the next chunk. */
static struct err *keep(const struct json_splitter *s, struct buf *b, const char *p, size_t n)
{
    if (n > s->max_piece || b->len > s->max_piece - n)
        return too_large(s);
    buf_add(b, p, n);
    return NULL;
}

static void begin_value(struct json_splitter *s, char c)
{
    s->scan = (struct json_scan){0};
    s->shape = c == '{' || c == '[' ? SHAPE_NESTED : c == '"' ? SHAPE_STRING : SHAPE_SCALAR;
}

/* Behind the closing quote, or NULL; the opening one is the first quote that is seen. */
static const char *string_end(struct json_scan *scan, const char *p, const char *end)
{
    for (; p < end; p++) {
        if (scan->escaped) {
            scan->escaped = false;
        } else if (*p == '\\') {
            scan->escaped = true;
        } else if (*p == '"') {
            if (scan->in_string)
                return p + 1;
            scan->in_string = true;
        }
    }
    return NULL;
}

/* The byte behind the current value, or NULL if the bytes do not reach it. */
static const char *value_end(struct json_splitter *s, const char *p, const char *end)
{
    switch (s->shape) {
    case SHAPE_NESTED:
        return json_scan_end(&s->scan, p, end);
    case SHAPE_STRING:
        return string_end(&s->scan, p, end);
    case SHAPE_SCALAR:
        break;
    }
    while (p < end && *p != ',' && *p != ']' && *p != '}' && !is_space(*p))
        p++;
    return p < end ? p : NULL;
}

/* Takes the bytes of a key or of a member's value, which go to the rest, and moves on at its end. */
static struct err *take_rest(struct json_splitter *s, const char **p, const char *end, enum state next)
{
    const char *from = *p, *to = value_end(s, from, end);

    *p = to ? to : end;
    if (to)
        s->state = next;
    return keep(s, &s->rest, from, (size_t)(*p - from));
}

static struct err *take_item(struct json_splitter *s, const char **p, const char *end)
{
    const char *from = *p, *to = value_end(s, from, end);

    *p = to ? to : end;
    if (!to)
        return keep(s, &s->piece, from, (size_t)(end - from));
    s->state = AFTER_ITEM;
    return deliver(s, JSON_PIECE_ITEM, from, (size_t)(to - from));
}

/* White space in front of a line, blank lines with it, is dropped and thus never kept. */
static struct err *take_lines(struct json_splitter *s, const char **p, const char *end)
{
    const char *from = *p, *newline;

    while (s->piece.len == 0 && from < end && is_space(*from))
        from++;
    *p = end;
    if (from == end)
        return NULL;
    newline = memchr(from, '\n', (size_t)(end - from));
    if (!newline)
        return keep(s, &s->piece, from, (size_t)(end - from));
    *p = newline + 1;
    return deliver(s, JSON_PIECE_LINE, from, (size_t)(newline - from));
}

/* The complete object without its items. */
static struct err *end_object(struct json_splitter *s)
{
    struct err *e = s->fn(s->arg, JSON_PIECE_REST, s->rest.p, s->rest.len);

    buf_clear(&s->rest);
    s->state = AFTER_OBJECT;
    return e;
}

/* Whether c begins a key, a member's value or an item; then it is left for take_rest and take_item. */
static bool begins_value(struct json_splitter *s, char c)
{
    bool punctuation = c == ',' || c == ':' || c == '}' || c == ']';

    switch (s->state) {
    case BEFORE_FIRST_KEY:
    case BEFORE_KEY:
        if (c != '"')
            return false;
        s->key_at = s->rest.len;
        s->state = IN_KEY;
        break;
    case BEFORE_VALUE:
        if (punctuation || (c == '[' && s->key_is_items))
            return false;
        s->state = IN_VALUE;
        break;
    case BEFORE_FIRST_ITEM:
    case BEFORE_ITEM:
        if (punctuation)
            return false;
        s->state = IN_ITEM;
        break;
    default:
        return false;
    }
    begin_value(s, c);
    return true;
}

/* The state behind a byte of punctuation; STOPPED where it must not stand. */
static enum state after_punctuation(const struct json_splitter *s, char c)
{
    switch (s->state) {
    case BEFORE_OBJECT:
        return c == '{' ? BEFORE_FIRST_KEY : STOPPED;
    case BEFORE_FIRST_KEY:
        return c == '}' ? AFTER_OBJECT : STOPPED;
    case BEFORE_COLON:
        return c == ':' ? BEFORE_VALUE : STOPPED;
    case BEFORE_VALUE:
        return c == '[' ? BEFORE_FIRST_ITEM : STOPPED;
    case AFTER_VALUE:
        return c == ',' ? BEFORE_KEY : c == '}' ? AFTER_OBJECT : STOPPED;
    case BEFORE_FIRST_ITEM:
        return c == ']' ? AFTER_VALUE : STOPPED;
    case AFTER_ITEM:
        return c == ',' ? BEFORE_ITEM : c == ']' ? AFTER_VALUE : STOPPED;
    default:
        return STOPPED;
    }
}

/* Whether the key that the rest ends with is the list's. */
static bool key_is_items(const struct json_splitter *s)
{
    static const char items[] = "\"items\"";
    size_t n = sizeof items - 1;

    return s->rest.len - s->key_at == n && memcmp(s->rest.p + s->key_at, items, n) == 0;
}

/* Takes white space and at most one byte of punctuation. */
static struct err *take_punctuation(struct json_splitter *s, const char **p, const char *end)
{
    bool in_list = s->state == BEFORE_FIRST_ITEM || s->state == AFTER_ITEM;
    enum state next;
    struct err *e = NULL;

    while (*p < end && is_space(**p))
        (*p)++;
    if (*p == end || begins_value(s, **p))
        return NULL;
    next = after_punctuation(s, **p);
    if (next == STOPPED)
        return err_new(ERR_PROTOCOL, "malformed JSON: byte 0x%02x where it must not stand, at byte %zu",
                       (unsigned)(unsigned char)**p, s->fed + (size_t)(*p - s->chunk));
    if (next == BEFORE_VALUE)
        s->key_is_items = key_is_items(s);
    if (next == BEFORE_FIRST_ITEM)
        e = keep(s, &s->rest, "[]", 2);
    else if (!in_list)
        e = keep(s, &s->rest, *p, 1);
    (*p)++;
    s->state = next;
    return !e && next == AFTER_OBJECT ? end_object(s) : e;
}

static struct err *take(struct json_splitter *s, const char **p, const char *end)
{
    switch (s->state) {
    case IN_KEY:
        return take_rest(s, p, end, BEFORE_COLON);
    case IN_VALUE:
        return take_rest(s, p, end, AFTER_VALUE);
    case IN_ITEM:
        return take_item(s, p, end);
    case IN_LINES:
        return take_lines(s, p, end);
    default:
        return take_punctuation(s, p, end);
    }
}

static struct err *given_up(void)
{
    return err_new(ERR_PROTOCOL, "the JSON body was given up after an earlier error");
}

struct err *json_splitter_feed(struct json_splitter *s, const char *p, size_t n)
{
    const char *end = p + n;

    if (s->state == STOPPED)
        return given_up();
    s->chunk = p;
    while (p < end) {
        struct err *e = take(s, &p, end);

        if (e) {
            s->state = STOPPED;
            return e;
        }
    }
    s->fed += n;
    return NULL;
}

/* Whether the kept line is one complete object or array: then only its newline is missing. */
static bool line_is_complete(const struct json_splitter *s)
{
    const char *p = s->piece.p, *end = p + s->piece.len;
    struct json_scan scan = {0};

    if (*p != '{' && *p != '[')
        return false;
    p = json_scan_end(&scan, p, end);
    while (p && p < end && is_space(*p))
        p++;
    return p == end;
}

static struct err *finish_lines(struct json_splitter *s)
{
    if (s->piece.len == 0)
        return NULL;
    if (line_is_complete(s))
        return deliver(s, JSON_PIECE_LINE, "", 0);
    return err_new(ERR_PROTOCOL, "the stream ended in the middle of a line, after %zu bytes", s->fed);
}

struct err *json_splitter_finish(struct json_splitter *s)
{
    struct err *e = NULL;

    if (s->state == STOPPED)
        return given_up();
    if (s->mode == JSON_SPLIT_LINES)
        e = finish_lines(s);
    else if (s->state == BEFORE_OBJECT)
        e = err_new(ERR_PROTOCOL, "the JSON body is empty");
    else if (s->state != AFTER_OBJECT)
        e = err_new(ERR_PROTOCOL, "the JSON body ended in the middle, after %zu bytes", s->fed);
    s->state = STOPPED;
    return e;
}
