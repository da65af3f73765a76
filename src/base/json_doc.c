/* jansson with what it lacks for us: memory that cannot fail, dotted paths, and strings that need not be valid UTF-8
 * (it refuses them; here malformed bytes become U+FFFD). Its setters give the value's reference up when they fail, too. */
#include "base/json_doc.h"

#include <jansson.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "base/utf8.h"

/* In front of main, since jansson must never have allocated in another way. */
__attribute__((constructor)) static void use_own_memory(void)
{
    json_set_alloc_funcs(mem_alloc, mem_free);
}

struct err *jd_parse(const char *p, size_t n, const char *what, struct json_t **ret)
{
    json_error_t error;
    json_t *d = json_loadb(p ? p : "", n, JSON_ALLOW_NUL | JSON_DECODE_ANY, &error);
    struct err *e;
    char *text;

    if (d) {
        *ret = d;
        return NULL;
    }
    text = utf8_cleaned(slice_of(error.text));
    e = err_new(ERR_PROTOCOL, "%s: malformed JSON at line %d, column %d: %s", what, error.line, error.column, text);
    mem_free(text);
    return e;
}

static int add_bytes(const char *p, size_t n, void *arg)
{
    struct buf *out = arg;

    buf_add(out, p, n);
    return 0;
}

/* Only a document that contains itself cannot be dumped, and setters make none. */
static void dump(const struct json_t *d, struct buf *out, size_t flags)
{
    if (!d || json_dump_callback(d, add_bytes, out, flags | JSON_ENCODE_ANY) != 0)
        buf_adds(out, "null");
}

void jd_dump(const struct json_t *d, struct buf *out)
{
    dump(d, out, JSON_COMPACT);
}

void jd_dump_pretty(const struct json_t *d, struct buf *out)
{
    dump(d, out, JSON_INDENT(2));
}

struct json_t *jd_copy(const struct json_t *d)
{
    return json_deep_copy(d);
}

struct json_t *jd_ref(struct json_t *d)
{
    return json_incref(d);
}

void jd_free(struct json_t *d)
{
    json_decref(d);
}

bool jd_equal(const struct json_t *a, const struct json_t *b)
{
    return a == b || json_equal(a, b);
}

struct json_t *jd_object(void)
{
    return json_object();
}

struct json_t *jd_array(void)
{
    return json_array();
}

/* A copy whose malformed bytes are U+FFFD; to be freed. */
static char *repaired(const char *s)
{
    struct buf out = {0};
    size_t n = strlen(s);

    for (size_t i = 0; i < n;) {
        char utf8[4];
        uint32_t cp;

        i += utf8_decode(s + i, n - i, &cp);
        buf_add(&out, utf8, utf8_encode(cp, utf8));
    }
    return buf_steal(&out);
}

struct json_t *jd_string(const char *s)
{
    struct json_t *d;
    char *copy;

    if (!s)
        return json_null();
    d = json_stringn(s, strlen(s));
    if (d)
        return d;
    copy = repaired(s);
    d = json_stringn(copy, strlen(copy));
    mem_free(copy);
    return d;
}

struct json_t *jd_int(int64_t v)
{
    return json_integer(v);
}

struct json_t *jd_bool(bool v)
{
    return json_boolean(v);
}

struct json_t *jd_null(void)
{
    return json_null();
}

bool jd_is_object(const struct json_t *d)
{
    return json_is_object(d);
}

bool jd_is_array(const struct json_t *d)
{
    return json_is_array(d);
}

bool jd_is_string(const struct json_t *d)
{
    return json_is_string(d);
}

bool jd_is_null(const struct json_t *d)
{
    return json_is_null(d);
}

/* One step of a path: the member of an object or the element of an array. */
static json_t *child(const json_t *d, struct slice name)
{
    char key[512];
    int64_t i;

    if (json_is_array(d))
        return slice_to_i64(name, &i) && i >= 0 ? json_array_get(d, (size_t)i) : NULL;
    if (!json_is_object(d) || name.n >= sizeof key)
        return NULL;
    memcpy(key, name.p, name.n);
    key[name.n] = '\0';
    return json_object_get(d, key);
}

/* The borrowed members lead out of a const document, as in jansson itself. */
static json_t *walk(const json_t *d, const char *dotted)
{
    struct slice rest = slice_of(dotted), name;
    json_t *at = NULL;

    while (d && slice_cut(&rest, '.', &name))
        d = at = child(d, name);
    return at;
}

struct json_t *jd_get(const struct json_t *d, const char *dotted)
{
    return walk(d, dotted);
}

struct json_t *jd_member(const struct json_t *d, const char *key)
{
    return json_is_object(d) ? json_object_get(d, key) : NULL;
}

const char *jd_str(const struct json_t *d, const char *dotted)
{
    return json_string_value(walk(d, dotted));
}

int64_t jd_num(const struct json_t *d, const char *dotted, int64_t fallback)
{
    return jd_int_value(walk(d, dotted), fallback);
}

bool jd_flag(const struct json_t *d, const char *dotted, bool fallback)
{
    return jd_bool_value(walk(d, dotted), fallback);
}

const char *jd_string_value(const struct json_t *d)
{
    return json_string_value(d);
}

int64_t jd_int_value(const struct json_t *d, int64_t fallback)
{
    return json_is_integer(d) ? json_integer_value(d) : fallback;
}

bool jd_bool_value(const struct json_t *d, bool fallback)
{
    return json_is_boolean(d) ? json_is_true(d) : fallback;
}

size_t jd_len(const struct json_t *d)
{
    return json_is_object(d) ? json_object_size(d) : json_array_size(d);
}

struct json_t *jd_at(const struct json_t *d, size_t i)
{
    return json_array_get(d, i);
}

void jd_set(struct json_t *object, const char *key, struct json_t *value)
{
    char *copy;

    if (utf8_valid(key, strlen(key))) {
        (void)json_object_set_new(object, key, value);
        return;
    }
    copy = repaired(key);
    (void)json_object_set_new(object, copy, value);
    mem_free(copy);
}

/* Sets the member of an object or an element that an array has; gives the value up and returns false otherwise. */
static bool set_child(json_t *at, struct slice name, json_t *value)
{
    char *key;
    int64_t i;

    if (json_is_array(at)) {
        if (!slice_to_i64(name, &i) || i < 0)
            i = INT64_MAX;
        return json_array_set_new(at, (size_t)i, value) == 0;
    }
    key = slice_dup(name);
    jd_set(at, key, value);
    mem_free(key);
    return json_is_object(at);
}

void jd_put(struct json_t *object, const char *dotted, struct json_t *value)
{
    struct slice rest = slice_of(dotted), name;
    json_t *at = object, *next;

    while (slice_cut(&rest, '.', &name) && rest.p) {
        next = child(at, name);
        if (!json_is_object(next) && !json_is_array(next)) {
            next = json_object();
            if (!set_child(at, name, next)) {
                json_decref(value);
                return;
            }
        }
        at = next;
    }
    (void)set_child(at, name, value);
}

void jd_del(struct json_t *object, const char *key)
{
    (void)json_object_del(object, key);
}

void jd_append(struct json_t *array, struct json_t *value)
{
    (void)json_array_append_new(array, value);
}

void jd_remove_at(struct json_t *array, size_t i)
{
    (void)json_array_remove(array, i);
}

void jd_insert_at(struct json_t *array, size_t i, struct json_t *value)
{
    (void)json_array_insert_new(array, i, value);
}

void jd_set_at(struct json_t *array, size_t i, struct json_t *value)
{
    (void)json_array_set_new(array, i, value);
}

void *jd_iter(struct json_t *object)
{
    return json_object_iter(object);
}

void *jd_iter_next(struct json_t *object, void *it)
{
    return json_object_iter_next(object, it);
}

const char *jd_iter_key(void *it)
{
    return json_object_iter_key(it);
}

struct json_t *jd_iter_value(void *it)
{
    return json_object_iter_value(it);
}
