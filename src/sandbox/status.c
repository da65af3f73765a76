#include "sandbox/status.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/json_doc.h"
#include "base/mem.h"

#define OPTIMISTIC_LOCK                                                                                                \
    "the object has been modified; please apply your changes to the latest version and try again"

struct refusal *refusal_new(unsigned code, const char *reason, struct json_t *details, const char *fmt, ...)
{
    struct refusal *f = MEM_NEW(struct refusal);
    va_list ap;

    f->code = code;
    f->reason = reason;
    f->details = details;
    va_start(ap, fmt);
    f->message = str_vprintf(fmt, ap);
    va_end(ap);
    return f;
}

void refusal_free(struct refusal *f)
{
    if (!f)
        return;
    jd_free(f->details);
    free(f->message);
    free(f->cont);
    free(f);
}

void refusal_dump(const struct refusal *f, struct buf *out)
{
    struct json_t *d = jd_object(), *meta = jd_object();

    jd_set(d, "kind", jd_string("Status"));
    jd_set(d, "apiVersion", jd_string("v1"));
    if (f->cont)
        jd_set(meta, "continue", jd_string(f->cont));
    jd_set(d, "metadata", meta);
    jd_set(d, "status", jd_string("Failure"));
    jd_set(d, "message", jd_string(f->message));
    if (f->reason)
        jd_set(d, "reason", jd_string(f->reason));
    if (f->details)
        jd_set(d, "details", jd_ref(f->details));
    jd_set(d, "code", jd_int(f->code));
    jd_dump(d, out);
    jd_free(d);
}

static struct json_t *details_of(const struct kube_kind *k, const char *name, const char *kind)
{
    struct json_t *d = jd_object();

    if (name)
        jd_set(d, "name", jd_string(name));
    if (k->group[0])
        jd_set(d, "group", jd_string(k->group));
    jd_set(d, "kind", jd_string(kind));
    return d;
}

struct refusal *refuse_not_found(const struct kube_kind *k, const char *name)
{
    return refusal_new(404, "NotFound", details_of(k, name, k->plural), "%s \"%s\" not found", kube_kind_qualified(k),
                       name);
}

struct refusal *refuse_exists(const struct kube_kind *k, const char *name)
{
    return refusal_new(409, "AlreadyExists", details_of(k, name, k->plural), "%s \"%s\" already exists",
                       kube_kind_qualified(k), name);
}

struct refusal *refuse_conflict(const struct kube_kind *k, const char *name, const char *why)
{
    return refusal_new(409, "Conflict", details_of(k, name, k->plural), "Operation cannot be fulfilled on %s \"%s\": "
                                                                        "%s",
                       kube_kind_qualified(k), name, why ? why : OPTIMISTIC_LOCK);
}

struct refusal *refuse_bad_request(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    char *text = str_vprintf(fmt, ap);
    va_end(ap);
    struct refusal *f = refusal_new(400, "BadRequest", NULL, "%s", text);
    free(text);
    return f;
}

struct refusal *refuse_unknown_resource(void)
{
    return refusal_new(404, "NotFound", jd_object(), "the server could not find the requested resource");
}

struct refusal *refuse_invalid(const struct kube_kind *k, const char *name, const char *cause, const char *field,
                               const char *message)
{
    struct json_t *d = details_of(k, name ? name : "", k->name), *list = jd_array(), *one = jd_object();

    jd_set(one, "reason", jd_string(cause));
    jd_set(one, "message", jd_string(message));
    jd_set(one, "field", jd_string(field));
    jd_append(list, one);
    jd_set(d, "causes", list);
    char *qualified = k->group[0] ? str_printf("%s.%s", k->name, k->group) : mem_strdup(k->name);
    struct refusal *f = refusal_new(422, "Invalid", d, "%s \"%s\" is invalid: %s: %s", qualified, name ? name : "",
                                    field, message);
    free(qualified);
    return f;
}
