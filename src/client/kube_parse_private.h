/* The machine under the parsers: an object is described by a table of its fields, and one function walks object and
 * table together. What the table does not name is skipped without being looked at. */
#ifndef FERRYMAN_CLIENT_KUBE_PARSE_PRIVATE_H
#define FERRYMAN_CLIENT_KUBE_PARSE_PRIVATE_H

#include <stddef.h>

#include "base/json_reader.h"
#include "client/kube_parse.h"

struct kube_reader {
    struct json_reader json;
    struct kube_arena *arena;
};

/* Reads the value that comes next into *at; must consume it. */
typedef void (*kube_read_fn)(struct kube_reader *k, void *at);

struct kube_field {
    const char *key;
    size_t key_n;
    kube_read_fn read;            /* NULL: go into the object with `sub` */
    size_t at;                    /* offset from the base */
    const struct kube_field *sub; /* its fields, from the same base + at */
};

#define KUBE_FIELD(key, fn, type, member) {key, sizeof(key) - 1, fn, offsetof(type, member), NULL}
#define KUBE_INTO(key, fields) {key, sizeof(key) - 1, NULL, 0, fields}
#define KUBE_INTO_AT(key, fields, type, member) {key, sizeof(key) - 1, NULL, offsetof(type, member), fields}
#define KUBE_FIELDS_END {NULL, 0, NULL, 0, NULL}

/* Walks the object that comes next. */
void kube_read_fields(struct kube_reader *k, const struct kube_field *fields, void *base);

/* Reads the whole top object: `base` is filled and then the JSON and (if not NULL) the identity are checked. */
struct err *kube_read_object(struct kube_arena *a, struct slice json, const char *kind, const struct kube_field *fields,
                             void *base, const struct kube_meta *meta) MUST_CHECK;

struct slice kube_text(struct kube_reader *k); /* the next string, clean */
void kube_texts_add(struct kube_reader *k, struct kube_texts *t, struct slice s);

/* What cannot be read leaves numbers and times as they were preset. */
void kube_read_text(struct kube_reader *k, void *at);     /* struct slice */
void kube_read_texts(struct kube_reader *k, void *at);    /* struct kube_texts, from an array of strings */
void kube_read_joined(struct kube_reader *k, void *at);   /* struct slice "a,b", from an array of strings */
void kube_read_pairs(struct kube_reader *k, void *at);    /* struct kube_pairs, from an object of strings */
void kube_read_int(struct kube_reader *k, void *at);      /* int64_t */
void kube_read_bool(struct kube_reader *k, void *at);     /* bool */
void kube_read_present(struct kube_reader *k, void *at);  /* bool: something not null is there */
void kube_read_time(struct kube_reader *k, void *at);     /* int64_t */
void kube_read_quantity(struct kube_reader *k, void *at); /* int64_t */
void kube_read_modes(struct kube_reader *k, void *at);    /* struct slice */
void kube_read_meta(struct kube_reader *k, void *at);     /* struct kube_meta */
void kube_read_podspec(struct kube_reader *k, void *at);  /* struct kube_podspec */

/* One element of a `conditions` list. */
struct kube_condition {
    struct slice type, status, reason, message;
    int64_t changed;
};
/* Reads the next element of the array that was entered; false at its end. */
bool kube_next_condition(struct kube_reader *k, struct kube_condition *ret);

#define KUBE_META_INIT {.created = KUBE_NONE, .deleting = KUBE_NONE, .generation = KUBE_NONE}

#endif
