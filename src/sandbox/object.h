/* Helpers over the documents of API objects. */
#ifndef FERRYMAN_SANDBOX_OBJECT_H
#define FERRYMAN_SANDBOX_OBJECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

struct json_t;

#define UID_SIZE 37

/* A random (version 4) UUID. */
char *object_uid(char buf[UID_SIZE]);
/* Fills buf with n characters of the alphabet that the API uses for generated names. */
void object_suffix(char *buf, size_t n);
/* The order in which the API writes: metadata first and its members in their order, labels and annotations sorted; kind
 * and apiVersion are taken out, and empty or null members of metadata. */
void object_tidy(struct json_t *doc);
/* Parses JSON written with ' for ", to keep templates readable; printf-like (%s, %.Ns, %c, %d, %u, %zu, %lld, %llu). A
 * string argument between quotes is escaped; one outside of them is JSON itself (with ' for ", too). The template "
                                                                                             "is ours: one
 * that does not parse ends the program. */
struct json_t *object_parse(const char *fmt, ...) PRINTF_LIKE(1, 2);

const char *object_name(const struct json_t *doc);
const char *object_namespace(const struct json_t *doc); /* NULL if cluster-wide */
const char *object_uid_of(const struct json_t *doc);    /* "" if none */
bool object_terminating(const struct json_t *doc);
const char *object_label(const struct json_t *doc, const char *key);
const char *object_annotation(const struct json_t *doc, const char *key);
void object_set_label(struct json_t *doc, const char *key, const char *value);           /* NULL removes */
void object_set_annotation(struct json_t *doc, const char *key, const char *value);      /* NULL removes */
bool object_has_finalizer(const struct json_t *doc, const char *name);
void object_add_finalizer(struct json_t *doc, const char *name);
bool object_drop_finalizer(struct json_t *doc, const char *name);
/* The owner reference with controller: true; NULL if none. */
struct json_t *object_controller(const struct json_t *doc);
/* RFC 3339 with seconds; buf of 32 bytes. And with six digits of fraction (MicroTime). */
char *object_time(int64_t unix_ms, char *buf);
char *object_micro_time(int64_t unix_ms, char *buf);
/* Whether every member of the map `want` is equal in `labels`; false if want is absent or empty. */
bool object_labels_match(const struct json_t *want, const struct json_t *labels);

#endif
