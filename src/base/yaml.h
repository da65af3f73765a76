/* YAML documents as trees with the place of every node, for plans, kubeconfigs and themes. Over libyaml. JSON is YAML,
 * so a JSON kubeconfig is read too. Aliases are expanded within bounds (no billion laughs); duplicate keys are an
 * error; nesting and size are bounded. */
#ifndef FERRYMAN_BASE_YAML_H
#define FERRYMAN_BASE_YAML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* libyaml has a function of this name which it calls through the dynamic linker: ours needs another symbol. */
#define yaml_free yaml_doc_free

enum yaml_kind { YAML_SCALAR, YAML_MAP, YAML_LIST };

struct yaml_node {
    enum yaml_kind kind;
    unsigned line, column; /* from 1 */
    const char *text;      /* scalar; NUL-terminated */
    bool quoted;           /* scalar in quotes or a block: never null, bool or number */
    size_t count;          /* map entries or list items */
    struct yaml_node **keys;   /* map: scalars */
    struct yaml_node **values; /* map and list */
};

struct yaml_doc {
    struct yaml_node *root; /* NULL for an empty document */
    char *file;
};

/* Parses the first document of the text; `file` is for messages. Errors read "FILE:LINE:COL: what". */
struct err *yaml_parse(const char *text, size_t n, const char *file, struct yaml_doc **ret) MUST_CHECK;
void yaml_free(struct yaml_doc *doc);
struct yaml_node *yaml_get(const struct yaml_node *map, const char *key); /* NULL if absent or no map */
/* The scalar's text; NULL if absent, no scalar, or a plain null (~, null, empty). */
const char *yaml_str(const struct yaml_node *map, const char *key);
bool yaml_is_null(const struct yaml_node *n);
/* Plain scalars only; false if it is none of that type. */
bool yaml_bool(const struct yaml_node *n, bool *ret);
bool yaml_int(const struct yaml_node *n, int64_t *ret);

#endif
