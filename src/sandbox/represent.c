/* Stored bytes in the shapes that clients ask for. */
#include <string.h>

#include "base/json_doc.h"
#include "sandbox/kube.h"

/* The same event as events.k8s.io/v1 shows it: other names for old fields. */
static void new_event(struct buf *out, struct slice json)
{
    static const struct {
        const char *from, *to;
    } names[] = {
        {"metadata", "metadata"},       {"eventTime", "eventTime"},
        {"series", "series"},           {"reportingComponent", "reportingController"},
        {"reportingInstance", "reportingInstance"}, {"action", "action"},
        {"reason", "reason"},           {"involvedObject", "regarding"},
        {"related", "related"},         {"message", "note"},
        {"type", "type"},               {"source", "deprecatedSource"},
        {"firstTimestamp", "deprecatedFirstTimestamp"}, {"lastTimestamp", "deprecatedLastTimestamp"},
        {"count", "deprecatedCount"},
    };
    struct json_t *old = NULL, *doc = jd_object();
    struct err *e = jd_parse(json.p, json.n, "event", &old);

    err_ignore(e, "stored bytes parse");
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (jd_member(old, names[i].from))
            jd_set(doc, names[i].to, jd_ref(jd_member(old, names[i].from)));
    jd_dump(doc, out);
    jd_free(doc);
    jd_free(old);
}

void represent_item(struct buf *out, const struct kube_kind *kind, struct slice json)
{
    if (kind->id == KIND_EVENT_NEW)
        new_event(out, json);
    else
        buf_add_slice(out, json);
}

void represent_object(struct buf *out, const struct kube_kind *kind, struct slice json)
{
    buf_printf(out, "{\"kind\":\"%s\",\"apiVersion\":\"%s\",", kind->name, kube_kind_api_version(kind));
    size_t at = out->len;
    represent_item(out, kind, json);
    memmove(out->p + at, out->p + at + 1, out->len - at - 1);
    out->len--;
    out->p[out->len] = '\0';
}

static void new_line(struct buf *out, unsigned indent)
{
    static const char spaces[] = "                                                                ";
    size_t n = (size_t)indent * 2;

    buf_addc(out, '\n');
    for (; n > 64; n -= 64)
        buf_add(out, spaces, 64);
    buf_add(out, spaces, n);
}

/* Re-indents compact JSON byte by byte, as Go's json.Indent does. */
void represent_pretty(struct buf *out, struct slice json, unsigned indent)
{
    bool in_string = false;

    for (size_t i = 0; i < json.n; i++) {
        char c = json.p[i];
        if (in_string) {
            buf_addc(out, c);
            if (c == '\\' && i + 1 < json.n)
                buf_addc(out, json.p[++i]);
            in_string = c != '"';
        } else if ((c == '{' || c == '[') && i + 1 < json.n && (json.p[i + 1] == '}' || json.p[i + 1] == ']')) {
            buf_addc(out, c);
            buf_addc(out, json.p[++i]);
        } else if (c == '{' || c == '[') {
            buf_addc(out, c);
            new_line(out, ++indent);
        } else if (c == '}' || c == ']') {
            new_line(out, --indent);
            buf_addc(out, c);
        } else {
            buf_addc(out, c);
            in_string = c == '"';
            if (c == ':')
                buf_addc(out, ' ');
            if (c == ',')
                new_line(out, indent);
        }
    }
}
