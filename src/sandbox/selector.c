#include "sandbox/selector.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_doc.h"
#include "base/mem.h"
#include "sandbox/store.h"

enum op { OP_IN, OP_NOT_IN, OP_EXISTS, OP_ABSENT };

struct requirement {
    enum op op;
    bool field;
    char *key;
    char **values;
    size_t value_count;
};

struct selector {
    struct requirement *list;
    size_t count;
};

static struct requirement *add(struct selector *s, enum op op, bool field, struct slice key)
{
    s->list = mem_reallocarray(s->list, s->count + 1, sizeof s->list[0]);
    s->list[s->count] = (struct requirement){.op = op, .field = field, .key = slice_dup(slice_trim(key))};
    return &s->list[s->count++];
}

static void add_value(struct requirement *r, struct slice value)
{
    r->values = mem_reallocarray(r->values, r->value_count + 1, sizeof r->values[0]);
    r->values[r->value_count++] = slice_dup(slice_trim(value));
}

/* Cuts the next requirement at a comma that is not inside (…). */
static bool next_part(struct slice *rest, struct slice *ret)
{
    size_t depth = 0, i = 0;

    if (!rest->p)
        return false;
    for (; i < rest->n && (depth > 0 || rest->p[i] != ','); i++)
        depth += rest->p[i] == '(' ? 1 : rest->p[i] == ')' && depth > 0 ? (size_t)-1 : 0;
    *ret = slice_trim((struct slice){rest->p, i});
    *rest = i < rest->n ? (struct slice){rest->p + i + 1, rest->n - i - 1} : (struct slice){0};
    return true;
}

static bool find(struct slice s, const char *needle, size_t *ret)
{
    const char *p = memmem(s.p, s.n, needle, strlen(needle));

    *ret = p ? (size_t)(p - s.p) : 0;
    return p != NULL;
}

/* "key in (a,b)" and "key notin (a,b)". */
static bool parse_set(struct selector *s, struct slice part, const char *word, enum op op)
{
    size_t at;

    if (part.n == 0 || part.p[part.n - 1] != ')' || !find(part, word, &at))
        return false;
    struct requirement *r = add(s, op, false, (struct slice){part.p, at});
    struct slice values = {part.p + at + strlen(word), part.n - at - strlen(word) - 1}, value;
    values = slice_trim(values);
    if (values.n == 0 || values.p[0] != '(')
        return true;
    values = (struct slice){values.p + 1, values.n - 1};
    while (slice_cut(&values, ',', &value))
        add_value(r, value);
    return true;
}

/* "key=value", "key==value", "key!=value". */
static bool parse_equal(struct selector *s, struct slice part, bool field)
{
    size_t at;

    if (find(part, "!=", &at)) {
        add_value(add(s, OP_NOT_IN, field, (struct slice){part.p, at}),
                  (struct slice){part.p + at + 2, part.n - at - 2});
        return true;
    }
    if (!find(part, "=", &at))
        return false;
    size_t skip = at + 1 < part.n && part.p[at + 1] == '=' ? 2 : 1;
    add_value(add(s, OP_IN, field, (struct slice){part.p, at}), (struct slice){part.p + at + skip, part.n - at - skip});
    return true;
}

static struct err *parse_labels(struct selector *s, const char *text)
{
    struct slice rest = slice_of(text), part;

    while (next_part(&rest, &part)) {
        if (part.n == 0)
            continue;
        if (part.p[0] == '=')
            return err_new(ERR_DATA, "found '%s', expected: !, identifier, or 'end of string'",
                           part.n > 1 && part.p[1] == '=' ? "==" : "=");
        if (parse_set(s, part, " notin ", OP_NOT_IN) || parse_set(s, part, " in ", OP_IN) ||
            parse_equal(s, part, false))
            continue;
        if (part.p[0] == '!')
            add(s, OP_ABSENT, false, (struct slice){part.p + 1, part.n - 1});
        else if (memchr(part.p, ' ', part.n) || memchr(part.p, '(', part.n))
            return err_new(ERR_DATA, "unable to parse requirement: found '%.*s', expected: in, notin, =, ==, !=, gt, "
                                     "lt",
                           SLICE_FMT(part));
        else
            add(s, OP_EXISTS, false, part);
    }
    return NULL;
}

static bool selectable(const struct kube_kind *kind, const char *field)
{
    struct slice rest = slice_of(kind->fields), one;

    if (str_eq(field, "metadata.name") || (kind->namespaced && str_eq(field, "metadata.namespace")))
        return true;
    while (slice_cut(&rest, ',', &one))
        if (slice_is(one, field))
            return true;
    return false;
}

static struct err *parse_fields(struct selector *s, const struct kube_kind *kind, const char *text)
{
    struct slice rest = slice_of(text), part;

    while (next_part(&rest, &part)) {
        if (part.n == 0)
            continue;
        if (!parse_equal(s, part, true))
            return err_new(ERR_DATA, "unable to parse field selector: invalid selector: '%s'; can't understand '%.*s'",
                           text, SLICE_FMT(part));
        const char *field = s->list[s->count - 1].key;
        if (!selectable(kind, field))
            return err_new(ERR_DATA, "field label not supported: %s", field);
    }
    return NULL;
}

struct err *selector_parse(const struct kube_kind *kind, const char *labels, const char *fields, struct selector **ret)
{
    struct selector *s = MEM_NEW(struct selector);
    struct err *e = labels && labels[0] ? parse_labels(s, labels) : NULL;

    if (!e && fields && fields[0])
        e = parse_fields(s, kind, fields);
    if (e || s->count == 0) {
        selector_free(s);
        s = NULL;
    }
    if (!e)
        *ret = s;
    return e;
}

static bool among(const struct requirement *r, const char *value)
{
    for (size_t i = 0; i < r->value_count; i++)
        if (str_eq(r->values[i], value))
            return true;
    return false;
}

static bool holds(const struct requirement *r, const char *value)
{
    switch (r->op) {
    case OP_IN:
        return value && among(r, value);
    case OP_NOT_IN:
        return !value || !among(r, value);
    case OP_EXISTS:
        return value != NULL;
    case OP_ABSENT:
        return value == NULL;
    }
    return false;
}

/* A field's text; absent ones are "", true and false are words. */
static const char *field_text(const struct json_t *doc, const char *path)
{
    const struct json_t *v = jd_get(doc, path);
    const char *text = jd_string_value(v);

    if (text)
        return text;
    if (str_eq(path, "spec.unschedulable") || str_eq(path, "spec.hostNetwork"))
        return jd_bool_value(v, false) ? "true" : "false";
    if (str_eq(path, "source"))
        return jd_str(doc, "source.component") ? jd_str(doc, "source.component") : "";
    if (str_starts(path, "regarding.")) {
        char other[64];
        snprintf(other, sizeof other, "involvedObject.%s", path + strlen("regarding."));
        text = jd_str(doc, other);
    }
    return text ? text : "";
}

static bool matches(const struct requirement *r, const struct version *v, struct json_t **doc)
{
    if (r->field && str_eq(r->key, "metadata.name"))
        return holds(r, version_name(v));
    if (!*doc)
        *doc = version_doc(v);
    if (r->field)
        return holds(r, field_text(*doc, r->key));
    return holds(r, jd_string_value(jd_member(jd_get(*doc, "metadata.labels"), r->key)));
}

bool selector_match(const struct selector *s, const struct version *v)
{
    struct json_t *doc = NULL;
    bool all = true;

    for (size_t i = 0; s && i < s->count && all; i++)
        all = matches(&s->list[i], v, &doc);
    jd_free(doc);
    return all;
}

void selector_free(struct selector *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->count; i++) {
        for (size_t j = 0; j < s->list[i].value_count; j++)
            free(s->list[i].values[j]);
        free(s->list[i].values);
        free(s->list[i].key);
    }
    free(s->list);
    free(s);
}
