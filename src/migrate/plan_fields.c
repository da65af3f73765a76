#include "migrate/plan_fields.h"

#include <ctype.h>
#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/yaml.h"
#include "migrate/plan.h"

const struct plan_field plan_http_fields[] = {
    {.name = "url", .type = FIELD_URL, .offset = offsetof(struct plan_http, url), .required = true},
    {.name = "expect", .type = FIELD_INT, .offset = offsetof(struct plan_http, expect), .min = 100, .max = 599},
    {.name = "body", .type = FIELD_TEXT, .offset = offsetof(struct plan_http, body)},
    {.name = NULL},
};

void plan_fault(struct plan_reader *r, const struct yaml_node *at, const char *fmt, ...) {
    va_list ap;
    if (r->count++) buf_addc(&r->faults, '\n');
    buf_printf(&r->faults, "%s:%u:%u: ", r->file, at ? at->line : 1, at ? at->column : 1);
    va_start(ap, fmt);
    buf_vprintf(&r->faults, fmt, ap);
    va_end(ap);
}

static bool name_valid(const char *s) {
    size_t n = strlen(s);
    if (n == 0 || n > 253 || !isalnum((unsigned char)s[0]) || !isalnum((unsigned char)s[n - 1])) return false;
    for (; *s; s++)
        if (!islower((unsigned char)*s) && !isdigit((unsigned char)*s) && *s != '-' && *s != '.') return false;
    return true;
}

static const char *nearest(const char *word, const char *const *words) {
    return word ? str_nearest(word, words) : NULL;
}

static void fault_word(struct plan_reader *r, const struct yaml_node *v, const struct plan_field *f) {
    struct buf list = {0};
    const char *near = nearest(v->text, f->words);
    for (size_t i = 0; f->words[i]; i++) buf_printf(&list, "%s%s", i ? ", " : "", f->words[i]);
    if (near) plan_fault(r, v, "%s: '%s' is none of %s; did you mean '%s'?", f->name, v->text, buf_str(&list), near);
    else plan_fault(r, v, "%s: '%s' is none of %s", f->name, v->text, buf_str(&list));
    buf_free(&list);
}

static bool word_known(const char *text, const char *const *words) {
    for (size_t i = 0; words[i]; i++)
        if (str_eq(text, words[i])) return true;
    return false;
}

/* Checks a scalar that is kept as text; what it must look like depends on the type. */
static bool text_ok(struct plan_reader *r, const struct yaml_node *v, const struct plan_field *f) {
    if (!*v->text) {
        plan_fault(r, v, "%s: must not be empty", f->name);
        return false;
    }
    if (f->type == FIELD_NAME && !name_valid(v->text)) {
        plan_fault(r, v, "%s: '%s' is no Kubernetes name (lower-case letters, digits, '-' and '.')", f->name, v->text);
        return false;
    }
    if (f->type == FIELD_URL && !str_starts(v->text, "http://") && !str_starts(v->text, "https://")) {
        plan_fault(r, v, "%s: '%s' is no http:// or https:// URL", f->name, v->text);
        return false;
    }
    if (f->type == FIELD_WORD && !word_known(v->text, f->words)) {
        fault_word(r, v, f);
        return false;
    }
    return true;
}

static void read_text(struct plan_reader *r, const struct yaml_node *v, const struct plan_field *f, char **at) {
    if (!text_ok(r, v, f)) return;
    if (f->type == FIELD_PATH) {
        mem_free(*at);
        *at = file_resolve(r->dir, v->text);
    } else {
        str_set(at, v->text);
    }
}

static bool number(const struct yaml_node *v, enum plan_type type, int64_t *ret) {
    if (type == FIELD_INT) return yaml_int(v, ret);
    if (type == FIELD_SIZE) return str_quantity(slice_of(v->text), ret) && *ret > 0;
    if (!str_duration_ns(slice_of(v->text), ret)) return false;
    *ret /= CLOCK_NS_PER_MS;
    return true;
}

static void read_number(struct plan_reader *r, const struct yaml_node *v, const struct plan_field *f, int64_t *at) {
    const char *like = f->type == FIELD_INT ? "a whole number" : f->type == FIELD_SIZE ? "a size like 10Gi" : "a duration like 24h or 10s";
    int64_t n = 0;
    if (!number(v, f->type, &n)) {
        plan_fault(r, v, "%s: '%s' is not %s", f->name, v->text, like);
        return;
    }
    if ((f->min || f->max) && (n < f->min || n > f->max)) {
        if (f->type == FIELD_DURATION)
            plan_fault(r, v, "%s: '%s' is not between %" PRId64 " s and %" PRId64 " s", f->name, v->text,
                       f->min / CLOCK_MS_PER_S, f->max / CLOCK_MS_PER_S);
        else plan_fault(r, v, "%s: %s is not between %" PRId64 " and %" PRId64, f->name, v->text, f->min, f->max);
        return;
    }
    *at = n;
}

static void strings_free(struct plan_strings *s) {
    for (size_t i = 0; i < s->n; i++) mem_free(s->v[i]);
    mem_free(s->v);
    *s = (struct plan_strings){0};
}

static void strings_add(struct plan_strings *s, const char *text) {
    s->v = mem_reallocarray(s->v, s->n + 1, sizeof *s->v);
    s->v[s->n++] = mem_strdup(text);
}

static void read_strings(struct plan_reader *r, const struct yaml_node *v, const struct plan_field *f,
                         struct plan_strings *at) {
    strings_free(at);
    if (v->kind == YAML_SCALAR) {
        strings_add(at, v->text);
        return;
    }
    for (size_t i = 0; i < v->count; i++) {
        if (v->values[i]->kind == YAML_SCALAR && *v->values[i]->text) strings_add(at, v->values[i]->text);
        else plan_fault(r, v->values[i], "%s: every entry must be a text", f->name);
    }
}

static void pairs_free(struct plan_pairs *p) {
    for (size_t i = 0; i < p->n; i++) {
        mem_free(p->keys[i]);
        mem_free(p->values[i]);
    }
    mem_free(p->keys);
    mem_free(p->values);
    *p = (struct plan_pairs){0};
}

static void read_pairs(struct plan_reader *r, const struct yaml_node *v, const struct plan_field *f, struct plan_pairs *at) {
    pairs_free(at);
    at->keys = mem_calloc(v->count + 1, sizeof *at->keys);
    at->values = mem_calloc(v->count + 1, sizeof *at->values);
    for (size_t i = 0; i < v->count; i++) {
        if (v->values[i]->kind != YAML_SCALAR) {
            plan_fault(r, v->values[i], "%s.%s: must be a text", f->name, v->keys[i]->text);
            continue;
        }
        at->keys[at->n] = mem_strdup(v->keys[i]->text);
        at->values[at->n++] = mem_strdup(v->values[i]->text);
    }
}

static void read_list(struct plan_reader *r, const struct yaml_node *v, const struct plan_field *f, struct plan_items *at) {
    at->v = mem_calloc(v->count + 1, f->item_size);
    for (size_t i = 0; i < v->count; i++) {
        void *item = (char *)at->v + at->n * f->item_size;
        if (v->values[i]->kind != YAML_MAP) {
            plan_fault(r, v->values[i], "%s: every entry must be a map", f->name);
            continue;
        }
        plan_read_fields(r, v->values[i], f->name, f->sub, NULL, item);
        at->n++;
    }
}

/* The shape a node must have for the type; the fault says which. */
static bool shape_ok(struct plan_reader *r, const struct yaml_node *v, const struct plan_field *f) {
    switch (f->type) {
    case FIELD_MAP:
    case FIELD_PAIRS:
        if (v->kind == YAML_MAP) return true;
        plan_fault(r, v, "%s: must be a map", f->name);
        return false;
    case FIELD_LIST:
        if (v->kind == YAML_LIST) return true;
        plan_fault(r, v, "%s: must be a list", f->name);
        return false;
    case FIELD_STRINGS:
        if (v->kind != YAML_MAP) return true;
        plan_fault(r, v, "%s: must be a list of texts", f->name);
        return false;
    case FIELD_CUSTOM: return true;
    default:
        if (v->kind == YAML_SCALAR) return true;
        plan_fault(r, v, "%s: must be a single value", f->name);
        return false;
    }
}

static void read_value(struct plan_reader *r, const struct yaml_node *v, const struct plan_field *f, void *at) {
    if (!shape_ok(r, v, f)) return;
    switch (f->type) {
    case FIELD_TEXT:
    case FIELD_NAME:
    case FIELD_WORD:
    case FIELD_PATH:
    case FIELD_URL: read_text(r, v, f, at); break;
    case FIELD_INT:
    case FIELD_SIZE:
    case FIELD_DURATION: read_number(r, v, f, at); break;
    case FIELD_BOOL:
        if (!yaml_bool(v, at)) plan_fault(r, v, "%s: '%s' is neither true nor false", f->name, v->text);
        break;
    case FIELD_STRINGS: read_strings(r, v, f, at); break;
    case FIELD_PAIRS: read_pairs(r, v, f, at); break;
    case FIELD_MAP: plan_read_fields(r, v, f->name, f->sub, NULL, at); break;
    case FIELD_LIST: read_list(r, v, f, at); break;
    case FIELD_CUSTOM: f->read(r, v, at); break;
    }
}

static const struct plan_field *field_find(const struct plan_field *fields, const char *name) {
    for (; fields->name; fields++)
        if (str_eq(fields->name, name)) return fields;
    return NULL;
}

static void fault_unknown(struct plan_reader *r, const struct yaml_node *key, const char *what, const struct plan_field *fields,
                          const char *const *passed_over) {
    const char *names[64];
    size_t n = 0;
    for (; fields->name && n < 50; fields++) names[n++] = fields->name;
    for (; passed_over && *passed_over && n < 63; passed_over++) names[n++] = *passed_over;
    names[n] = NULL;
    const char *near = nearest(key->text, names);
    if (near) plan_fault(r, key, "%s: unknown key '%s'; did you mean '%s'?", what, key->text, near);
    else plan_fault(r, key, "%s: unknown key '%s'", what, key->text);
}

void plan_read_fields(struct plan_reader *r, const struct yaml_node *map, const char *what, const struct plan_field *fields,
                      const char *const *passed_over, void *into) {
    for (size_t i = 0; i < map->count; i++) {
        const struct yaml_node *key = map->keys[i], *value = map->values[i];
        const struct plan_field *f = field_find(fields, key->text);
        if (f && !yaml_is_null(value)) read_value(r, value, f, (char *)into + f->offset);
        else if (!f && !(passed_over && word_known(key->text, passed_over))) fault_unknown(r, key, what, fields, passed_over);
    }
    for (const struct plan_field *f = fields; f->name; f++) {
        const struct yaml_node *v = yaml_get(map, f->name);
        if (f->required && (!v || yaml_is_null(v))) plan_fault(r, map, "%s: '%s' is missing", what, f->name);
    }
}

void plan_free_fields(const struct plan_field *fields, void *in) {
    for (const struct plan_field *f = fields; f->name; f++) {
        void *at = (char *)in + f->offset;
        struct plan_items *items = at;
        switch (f->type) {
        case FIELD_TEXT:
        case FIELD_NAME:
        case FIELD_WORD:
        case FIELD_PATH:
        case FIELD_URL: str_set(at, NULL); break;
        case FIELD_STRINGS: strings_free(at); break;
        case FIELD_PAIRS: pairs_free(at); break;
        case FIELD_MAP: plan_free_fields(f->sub, at); break;
        case FIELD_LIST:
            for (size_t i = 0; i < items->n; i++) plan_free_fields(f->sub, (char *)items->v + i * f->item_size);
            mem_free(items->v);
            *items = (struct plan_items){0};
            break;
        case FIELD_CUSTOM:
            if (f->drop) f->drop(at);
            break;
        case FIELD_INT:
        case FIELD_BOOL:
        case FIELD_SIZE:
        case FIELD_DURATION: break;
        }
    }
}
