/* The grammar of the pull reader: position, nesting, skipping. What is inside strings and numbers is json_scalar.c's.
 *
 * There is one way to fail: json_fail notes the first error and moves to the end of the text. From there on every
 * function finds "no more bytes", so that none needs to ask for earlier errors first. */
#include "base/json_reader.h"

#include <string.h>

#include "base/json_scalar.h"

void json_reader_init(struct json_reader *r, const char *p, size_t n)
{
    static const char nothing[] = "";

    if (!p) {
        p = nothing;
        n = 0;
    }
    r->start = r->p = p;
    r->end = p + n;
    r->error = NULL;
    r->error_at = 0;
    r->scratch[0] = r->scratch[1] = (struct buf){0};
    r->depth = 0;
}

void json_reader_free(struct json_reader *r)
{
    buf_free(&r->scratch[0]);
    buf_free(&r->scratch[1]);
}

void json_fail(struct json_reader *r, const char *at, const char *text)
{
    if (!r->error) {
        r->error = text;
        r->error_at = (size_t)(at - r->start);
    }
    r->p = r->end;
}

/* Moves to the next byte that is no white space; false, and an error, if there is none. */
static inline bool to_token(struct json_reader *r)
{
    const char *p = r->p;

    while (p < r->end && (*p == ' ' || *p == '\n' || *p == '\t' || *p == '\r'))
        p++;
    r->p = p;
    if (p < r->end)
        return true;
    json_fail(r, p, "unexpected end");
    return false;
}

enum json_type json_peek(struct json_reader *r)
{
    if (!to_token(r))
        return JSON_NOTHING;
    switch (*r->p) {
    case '{':
        return JSON_OBJECT;
    case '[':
        return JSON_ARRAY;
    case '"':
        return JSON_STRING;
    case 't':
    case 'f':
        return JSON_BOOL;
    case 'n':
        return JSON_NULL;
    case '-':
    case '0': case '1': case '2': case '3': case '4': case '5': case '6': case '7': case '8': case '9':
        return JSON_NUMBER;
    default:
        return JSON_NOTHING;
    }
}

static inline bool push(struct json_reader *r, bool is_object)
{
    if (r->depth == JSON_DEPTH_MAX) {
        json_fail(r, r->p, "nested too deeply");
        return false;
    }
    r->first[r->depth] = true;
    r->is_object[r->depth] = is_object;
    r->depth++;
    r->p++;
    return true;
}

static bool enter(struct json_reader *r, bool is_object)
{
    if (!to_token(r))
        return false;
    if (*r->p == (is_object ? '{' : '['))
        return push(r, is_object);
    json_skip(r);
    return false;
}

bool json_enter_object(struct json_reader *r)
{
    return enter(r, true);
}

bool json_enter_array(struct json_reader *r)
{
    return enter(r, false);
}

/* Moves over the comma to the next element; at the end of the object or array leaves it and returns false. */
static inline bool next_element(struct json_reader *r, bool is_object)
{
    unsigned top = r->depth - 1;

    if (!to_token(r))
        return false;
    if (r->depth == 0 || r->is_object[top] != is_object) {
        json_fail(r, r->p, "read as an object what is none, or the reverse");
        return false;
    }
    if (*r->p == (is_object ? '}' : ']')) {
        r->p++;
        r->depth--;
        return false;
    }
    if (r->first[top]) {
        r->first[top] = false;
        return true;
    }
    if (*r->p != ',') {
        json_fail(r, r->p, is_object ? "expected ',' or '}'" : "expected ',' or ']'");
        return false;
    }
    r->p++;
    if (!to_token(r))
        return false;
    if (*r->p == ']' || *r->p == '}') {
        json_fail(r, r->p, "a comma before the end");
        return false;
    }
    return true;
}

/* Moves over the colon behind a key. */
static inline bool colon(struct json_reader *r)
{
    if (!to_token(r))
        return false;
    if (*r->p != ':') {
        json_fail(r, r->p, "expected ':'");
        return false;
    }
    r->p++;
    return true;
}

bool json_next_key(struct json_reader *r, struct slice *ret_key)
{
    struct slice key;

    if (!next_element(r, true))
        return false;
    if (*r->p != '"') {
        json_fail(r, r->p, "expected a key in quotes");
        return false;
    }
    key = json_scan_string(r, &r->scratch[0]);
    if (!key.p || !colon(r))
        return false;
    *ret_key = key;
    return true;
}

bool json_next_item(struct json_reader *r)
{
    return next_element(r, false);
}

struct slice json_string(struct json_reader *r)
{
    if (!to_token(r))
        return (struct slice){0};
    if (*r->p == '"')
        return json_scan_string(r, &r->scratch[1]);
    json_skip(r);
    return (struct slice){0};
}

/* The text of the coming number; another type is skipped and gives the absent slice. */
static struct slice number(struct json_reader *r)
{
    const char *from;

    if (json_peek(r) != JSON_NUMBER) {
        json_skip(r);
        return (struct slice){0};
    }
    from = r->p;
    if (!json_skip_number(r))
        return (struct slice){0};
    return (struct slice){from, (size_t)(r->p - from)};
}

int64_t json_int(struct json_reader *r, int64_t fallback)
{
    struct slice text = number(r);
    int64_t v;

    return text.p && json_number_int(text, &v) ? v : fallback;
}

double json_real(struct json_reader *r, double fallback)
{
    struct slice text = number(r);
    double v;

    if (!text.p)
        return fallback;
    if (json_number_real(text, &v))
        return v;
    json_fail(r, text.p, "number out of range");
    return fallback;
}

bool json_bool(struct json_reader *r, bool fallback)
{
    bool v;

    if (json_peek(r) != JSON_BOOL) {
        json_skip(r);
        return fallback;
    }
    v = *r->p == 't';
    json_skip(r);
    return r->error ? fallback : v;
}

static inline bool literal(struct json_reader *r, const char *word, size_t n)
{
    if ((size_t)(r->end - r->p) < n || memcmp(r->p, word, n) != 0) {
        json_fail(r, r->p, "expected a value");
        return false;
    }
    r->p += n;
    return true;
}

/* Skips a key with its colon. */
static inline bool skip_key(struct json_reader *r)
{
    if (!to_token(r))
        return false;
    if (*r->p != '"') {
        json_fail(r, r->p, "expected a key in quotes");
        return false;
    }
    return json_skip_string(r) && colon(r);
}

/* Skips a scalar, or enters an object (and its first key) or an array. An empty one is passed over as a whole. */
static inline bool skip_start(struct json_reader *r)
{
    char c;

    if (!to_token(r))
        return false;
    c = *r->p;
    switch (c) {
    case '"':
        return json_skip_string(r);
    case '{':
    case '[':
        if (!push(r, c == '{') || !to_token(r))
            return false;
        if (*r->p == (c == '{' ? '}' : ']')) {
            r->p++;
            r->depth--;
            return true;
        }
        r->first[r->depth - 1] = false;
        return c == '[' || skip_key(r);
    case 't':
        return literal(r, "true", 4);
    case 'f':
        return literal(r, "false", 5);
    case 'n':
        return literal(r, "null", 4);
    default:
        return json_skip_number(r);
    }
}

/* Nesting is kept on the reader's own stack, so that skipping neither recurses nor goes deeper than reading may. */
void json_skip(struct json_reader *r)
{
    unsigned base = r->depth;

    for (;;) {
        unsigned before = r->depth;

        if (!skip_start(r))
            return;
        if (r->depth > before)
            continue;
        /* A value has ended: leave what ends with it, up to the next element. */
        for (;;) {
            bool is_object;

            if (r->depth == base)
                return;
            if (!to_token(r))
                return;
            is_object = r->is_object[r->depth - 1];
            if (*r->p == ',') {
                r->p++;
                if (is_object && !skip_key(r))
                    return;
                break;
            }
            if (*r->p != (is_object ? '}' : ']')) {
                json_fail(r, r->p, is_object ? "expected ',' or '}'" : "expected ',' or ']'");
                return;
            }
            r->p++;
            r->depth--;
        }
    }
}

struct slice json_raw(struct json_reader *r)
{
    const char *from;

    if (!to_token(r))
        return (struct slice){0};
    from = r->p;
    json_skip(r);
    return r->error ? (struct slice){0} : (struct slice){from, (size_t)(r->p - from)};
}

bool json_failed(const struct json_reader *r)
{
    return r->error != NULL;
}

struct err *json_finish(struct json_reader *r, const char *what)
{
    const char *p = r->p;

    while (p < r->end && (*p == ' ' || *p == '\n' || *p == '\t' || *p == '\r'))
        p++;
    if (!r->error && r->p == r->start)
        json_fail(r, p, p == r->end ? "it is empty" : "expected a value");
    else if (!r->error && (r->depth > 0 || p < r->end))
        json_fail(r, p, r->depth > 0 ? "it was not read to its end" : "bytes after the value");
    if (!r->error)
        return NULL;
    return err_new(ERR_PROTOCOL, "%s: malformed JSON at byte %zu: %s", what, r->error_at, r->error);
}
