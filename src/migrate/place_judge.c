#include "migrate/place_judge.h"

#include <string.h>

#include "base/json_doc.h"
#include "base/str.h"
#include "migrate/postgres.h"

static const char *text_or(const char *text, const char *other) {
    return text ? text : other;
}

static const char *label(const struct json_t *labels, const char *key) {
    return key ? jd_string_value(jd_member(labels, key)) : NULL;
}

static bool has_value(const struct json_t *values, const char *value) {
    for (size_t i = 0; i < jd_len(values); i++)
        if (str_eq(jd_string_value(jd_at(values, i)), value)) return true;
    return false;
}

/* One expression of a label selector or of node affinity. One that is not known does not fit. */
static bool expression_fits(const struct json_t *e, const struct json_t *labels) {
    const char *op = text_or(jd_str(e, "operator"), ""), *value = label(labels, jd_str(e, "key"));
    const struct json_t *values = jd_get(e, "values");
    int64_t have, want;
    if (str_eq(op, "In")) return value && has_value(values, value);
    if (str_eq(op, "NotIn")) return !value || !has_value(values, value);
    if (str_eq(op, "Exists")) return value != NULL;
    if (str_eq(op, "DoesNotExist")) return value == NULL;
    if (!value || !slice_to_i64(slice_of(value), &have) || !slice_to_i64(slice_of(jd_string_value(jd_at(values, 0))), &want)) return false;
    return str_eq(op, "Gt") ? have > want : str_eq(op, "Lt") && have < want;
}

static bool expressions_fit(const struct json_t *list, const struct json_t *labels) {
    for (size_t i = 0; i < jd_len(list); i++)
        if (!expression_fits(jd_at(list, i), labels)) return false;
    return true;
}

static bool pairs_fit(struct json_t *pairs, const struct json_t *labels) {
    for (void *it = pairs ? jd_iter(pairs) : NULL; it; it = jd_iter_next(pairs, it))
        if (!str_eq(label(labels, jd_iter_key(it)), jd_string_value(jd_iter_value(it)))) return false;
    return true;
}

bool place_labels_match(const struct json_t *selector, const struct json_t *labels) {
    return pairs_fit(jd_get(selector, "matchLabels"), labels) && expressions_fit(jd_get(selector, "matchExpressions"), labels);
}

/* ---- Taints, affinity, topology ---- */

static bool tolerates(const struct json_t *tolerations, const struct json_t *taint) {
    const char *key = jd_str(taint, "key"), *value = text_or(jd_str(taint, "value"), ""), *effect = jd_str(taint, "effect");
    for (size_t i = 0; i < jd_len(tolerations); i++) {
        const struct json_t *t = jd_at(tolerations, i);
        const char *its = jd_str(t, "key"), *on = jd_str(t, "effect"), *op = text_or(jd_str(t, "operator"), "Equal");
        if (on && *on && !str_eq(on, effect)) continue;
        if (its && *its && !str_eq(its, key)) continue;
        if (str_eq(op, "Exists") || (its && str_eq(text_or(jd_str(t, "value"), ""), value))) return true;
    }
    return false;
}

static bool taints_allow(const struct json_t *node, const struct json_t *spec, struct buf *why) {
    const struct json_t *taints = jd_get(node, "spec.taints");
    for (size_t i = 0; i < jd_len(taints); i++) {
        const struct json_t *t = jd_at(taints, i);
        if (str_eq(jd_str(t, "effect"), "PreferNoSchedule") || tolerates(jd_get(spec, "tolerations"), t)) continue;
        buf_printf(why, "has the taint %s", text_or(jd_str(t, "key"), "?"));
        return false;
    }
    return true;
}

static bool affinity_allows(const struct json_t *labels, const struct json_t *spec, struct buf *why) {
    const struct json_t *terms = jd_get(spec, "affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms");
    if (!pairs_fit(jd_get(spec, "nodeSelector"), labels)) {
        buf_adds(why, "is not what nodeSelector asks for");
        return false;
    }
    for (size_t i = 0; i < jd_len(terms); i++)
        if (expressions_fit(jd_get(jd_at(terms, i), "matchExpressions"), labels)) return true;
    if (jd_len(terms) == 0) return true;
    buf_adds(why, "is not what nodeAffinity asks for");
    return false;
}

/* allowedTopologies: any term whose every label has one of the values. */
static bool topology_allows(const struct json_t *labels, const struct json_t *class, struct buf *why) {
    const struct json_t *terms = jd_get(class, "allowedTopologies");
    for (size_t i = 0; i < jd_len(terms); i++) {
        const struct json_t *list = jd_get(jd_at(terms, i), "matchLabelExpressions");
        bool fits = true;
        for (size_t k = 0; k < jd_len(list); k++)
            fits = fits && has_value(jd_get(jd_at(list, k), "values"), text_or(label(labels, jd_str(jd_at(list, k), "key")), ""));
        if (fits) return true;
    }
    if (jd_len(terms) == 0) return true;
    buf_adds(why, "is outside the class's allowed topologies");
    return false;
}

static const struct json_t *node_named(const struct json_t *nodes, const char *name) {
    const struct json_t *items = jd_get(nodes, "items");
    for (size_t i = 0; i < jd_len(items); i++)
        if (str_eq(jd_str(jd_at(items, i), "metadata.name"), name)) return jd_at(items, i);
    return NULL;
}

/* Whether a pod that is there keeps others of its kind away from the topology of this node. */
static bool keeps_away(const struct place *p, const struct json_t *term, const struct json_t *other, const struct json_t *labels) {
    const char *key = jd_str(term, "topologyKey"), *here = label(labels, key);
    const struct json_t *node = node_named(p->nodes, jd_str(other, "spec.nodeName"));
    return here && node && str_eq(here, label(jd_get(node, "metadata.labels"), key)) &&
           place_labels_match(jd_get(term, "labelSelector"), jd_get(other, "metadata.labels"));
}

static bool neighbours_allow(const struct place *p, const char *pod, const struct json_t *labels, struct buf *why) {
    const struct json_t *terms = jd_get(p->template, "spec.affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution");
    const struct json_t *pods = jd_get(p->pods, "items");
    for (size_t i = 0; i < jd_len(terms); i++)
        for (size_t k = 0; k < jd_len(pods); k++) {
            const struct json_t *other = jd_at(pods, k);
            const char *name = text_or(jd_str(other, "metadata.name"), "?");
            if (str_eq(name, pod) || postgres_pod_finished(other) || !keeps_away(p, jd_at(terms, i), other, labels)) continue;
            buf_printf(why, "has %s (anti-affinity)", name);
            return false;
        }
    return true;
}

/* ---- The driver ---- */

static size_t attached(const struct json_t *attachments, const char *node, const char *driver) {
    const struct json_t *items = jd_get(attachments, "items");
    size_t n = 0;
    for (size_t i = 0; i < jd_len(items); i++)
        n += str_eq(jd_str(jd_at(items, i), "spec.nodeName"), node) && str_eq(jd_str(jd_at(items, i), "spec.attacher"), driver);
    return n;
}

static bool driver_allows(const struct place *p, const char *node, struct buf *why) {
    const struct json_t *drivers = jd_get(node_named(p->csinodes, node), "spec.drivers");
    for (size_t i = 0; i < jd_len(drivers); i++) {
        if (!str_eq(jd_str(jd_at(drivers, i), "name"), p->driver)) continue;
        int64_t limit = jd_num(jd_at(drivers, i), "allocatable.count", -1);
        size_t n = attached(p->attachments, node, p->driver);
        if (limit >= 0 && (int64_t)(n + p->claims) > limit) {
            buf_printf(why, "has %zu of %lld volumes attached", n, (long long)limit);
            return false;
        }
        return !p->driver_serves || p->driver_serves(p->arg, node, why);
    }
    buf_printf(why, "has no driver %s", text_or(p->driver, "(not known)"));
    return false;
}

static bool is_ready(const struct json_t *node) {
    const struct json_t *conditions = jd_get(node, "status.conditions");
    for (size_t i = 0; i < jd_len(conditions); i++)
        if (str_eq(jd_str(jd_at(conditions, i), "type"), "Ready")) return str_eq(jd_str(jd_at(conditions, i), "status"), "True");
    return false;
}

bool place_node(const struct place *p, const char *pod, const struct json_t *node, struct buf *why) {
    const struct json_t *labels = jd_get(node, "metadata.labels"), *spec = jd_get(p->template, "spec");
    if (jd_flag(node, "spec.unschedulable", false)) buf_adds(why, "is cordoned");
    else if (!is_ready(node)) buf_adds(why, "is not ready");
    else
        return taints_allow(node, spec, why) && affinity_allows(labels, spec, why) && topology_allows(labels, p->class, why) &&
               neighbours_allow(p, pod, labels, why) && driver_allows(p, text_or(jd_str(node, "metadata.name"), ""), why);
    return false;
}

bool place_judge(const struct place *p, const char *pod, struct buf *out) {
    const struct json_t *nodes = jd_get(p->nodes, "items");
    struct buf good = {0}, bad = {0};
    for (size_t i = 0; i < jd_len(nodes); i++) {
        struct buf why = {0};
        const char *name = text_or(jd_str(jd_at(nodes, i), "metadata.name"), "?");
        if (place_node(p, pod, jd_at(nodes, i), &why)) buf_printf(&good, "%s%s", good.len ? ", " : "", name);
        else buf_printf(&bad, "%s%s %s", bad.len ? "; " : "", name, buf_str(&why));
        buf_free(&why);
    }
    bool found = good.len > 0;
    if (found) buf_printf(out, "%s: %s", pod, buf_str(&good));
    else buf_printf(out, "%s: nowhere (%s)", pod, bad.len ? buf_str(&bad) : "there are no nodes");
    buf_free(&good);
    buf_free(&bad);
    return found;
}

void place_says_more(const struct json_t *template, struct buf *out) {
    if (jd_len(jd_get(template, "spec.topologySpreadConstraints")) > 0) buf_adds(out, "topologySpreadConstraints");
    if (jd_len(jd_get(template, "spec.affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution")) > 0)
        buf_printf(out, "%spodAffinity", out->len ? " and " : "");
}
