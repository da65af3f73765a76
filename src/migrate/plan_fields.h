/* Reading a YAML map into a struct by a const table of fields, with every fault collected. */
#ifndef FERRYMAN_MIGRATE_PLAN_FIELDS_H
#define FERRYMAN_MIGRATE_PLAN_FIELDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

struct yaml_node;

struct plan_strings {
    char **v;
    size_t n;
};

struct plan_pairs {
    char **keys, **values;
    size_t n;
};

/* A list of structs, `size` bytes each. */
struct plan_items {
    void *v;
    size_t n;
};

enum plan_type {
    FIELD_TEXT,     /* char * */
    FIELD_NAME,     /* char *: a Kubernetes name (RFC 1123 subdomain) */
    FIELD_WORD,     /* char *: one of `words` */
    FIELD_PATH,     /* char *: resolved against the plan's folder, "~/" too */
    FIELD_URL,      /* char *: http:// or https:// */
    FIELD_INT,      /* int64_t within min..max */
    FIELD_BOOL,     /* bool */
    FIELD_SIZE,     /* int64_t bytes, a Kubernetes quantity */
    FIELD_DURATION, /* int64_t milliseconds within min..max */
    FIELD_STRINGS,  /* struct plan_strings: a list of texts, or one text */
    FIELD_PAIRS,    /* struct plan_pairs: a map of texts */
    FIELD_MAP,      /* nested struct at offset, read by `sub` */
    FIELD_LIST,     /* struct plan_items: a list of maps, each read by `sub` into `item_size` bytes */
    FIELD_CUSTOM,   /* read(reader, node, at) */
};

struct plan_reader {
    const char *file, *dir;
    struct buf faults; /* one "FILE:LINE:COL: text" a line */
    unsigned count;
};

struct plan_field {
    const char *name;
    enum plan_type type;
    size_t offset;
    bool required;
    const char *const *words;
    int64_t min, max; /* both 0: no bounds */
    const struct plan_field *sub;
    size_t item_size;
    void (*read)(struct plan_reader *r, const struct yaml_node *node, void *at);
    void (*drop)(void *at); /* frees what read made */
};

/* Adds a fault at the place of the node. */
void plan_fault(struct plan_reader *r, const struct yaml_node *at, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* fields ends with {.name = NULL}. `what` names the map in messages ("workload immich-postgres"); passed_over is a NULL-terminated
 * list of keys that somebody else reads (may be NULL). Fields that are absent keep what `into` had. */
void plan_read_fields(struct plan_reader *r, const struct yaml_node *map, const char *what, const struct plan_field *fields,
                      const char *const *passed_over, void *into);
void plan_free_fields(const struct plan_field *fields, void *in);
/* The ready-made sub-tables that several kinds use. */
extern const struct plan_field plan_http_fields[];

#endif
