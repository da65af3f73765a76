/* JSON documents as trees, for what we read or write whole and small (kubeconfigs' exec replies, the sandbox's objects,
 * manifests). Thin over jansson, which only src/base may include; the list path uses json_reader instead.
 *
 * A `struct json_t *` is reference-counted: *_new, parse, copy and get-with-_ref return a reference to release with
 * jd_free; jd_get & co. borrow. Setters take over the reference of the value. */
#ifndef FERRYMAN_BASE_JSON_DOC_H
#define FERRYMAN_BASE_JSON_DOC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

struct json_t;

/* NULs in strings are accepted; trailing bytes are an error; `what` names the text in the error. */
struct err *jd_parse(const char *p, size_t n, const char *what, struct json_t **ret) MUST_CHECK;
void jd_dump(const struct json_t *d, struct buf *out);        /* compact, keys in insertion order */
void jd_dump_pretty(const struct json_t *d, struct buf *out); /* two spaces */
struct json_t *jd_copy(const struct json_t *d) MUST_CHECK;    /* deep */
struct json_t *jd_ref(struct json_t *d);
void jd_free(struct json_t *d);
bool jd_equal(const struct json_t *a, const struct json_t *b);

struct json_t *jd_object(void) MUST_CHECK;
struct json_t *jd_array(void) MUST_CHECK;
struct json_t *jd_string(const char *s) MUST_CHECK;
struct json_t *jd_int(int64_t v) MUST_CHECK;
struct json_t *jd_bool(bool v) MUST_CHECK;
struct json_t *jd_null(void) MUST_CHECK;

bool jd_is_object(const struct json_t *d);
bool jd_is_array(const struct json_t *d);
bool jd_is_string(const struct json_t *d);
bool jd_is_null(const struct json_t *d); /* JSON null; false for an absent value */
/* Walks keys, e.g. jd_get(d, "metadata.name"); a path element that is a number indexes an array. NULL if absent. */
struct json_t *jd_get(const struct json_t *d, const char *dotted);
/* The member itself, with no dots interpreted (annotation keys have dots). */
struct json_t *jd_member(const struct json_t *d, const char *key);
const char *jd_str(const struct json_t *d, const char *dotted);            /* NULL if absent or no string */
int64_t jd_num(const struct json_t *d, const char *dotted, int64_t fallback);
bool jd_flag(const struct json_t *d, const char *dotted, bool fallback);
const char *jd_string_value(const struct json_t *d);                       /* NULL if no string */
int64_t jd_int_value(const struct json_t *d, int64_t fallback);
bool jd_bool_value(const struct json_t *d, bool fallback);
size_t jd_len(const struct json_t *d);                                     /* of an array or object, else 0 */
struct json_t *jd_at(const struct json_t *d, size_t i);                    /* array element, borrowed */
void jd_set(struct json_t *object, const char *key, struct json_t *value); /* replaces; takes value over */
/* Creates the objects on the dotted way (elements of arrays only if they are there); takes value over. */
void jd_put(struct json_t *object, const char *dotted, struct json_t *value);
void jd_del(struct json_t *object, const char *key);
void jd_append(struct json_t *array, struct json_t *value);
void jd_remove_at(struct json_t *array, size_t i);
void jd_insert_at(struct json_t *array, size_t i, struct json_t *value);
void jd_set_at(struct json_t *array, size_t i, struct json_t *value);
/* Iterates an object: for (void *it = jd_iter(o); it; it = jd_iter_next(o, it)) … */
void *jd_iter(struct json_t *object);
void *jd_iter_next(struct json_t *object, void *it);
const char *jd_iter_key(void *it);
struct json_t *jd_iter_value(void *it);

#endif
