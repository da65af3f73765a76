#include "migrate/secret_trace.h"

#include <stdio.h>
#include <string.h>

#include "base/json_doc.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/utf8.h"
#include "client/vault_parse.h"

#define PREFIX "csi.storage.k8s.io/"

static const char *text_or(const char *text, const char *other) {
    return text && *text ? text : other;
}

static void copy_clean(char *dst, size_t size, const char *text) {
    char *clean = utf8_cleaned(slice_of(text_or(text, "")));
    snprintf(dst, size, "%s", clean);
    mem_free(clean);
}

/* ---- The list ---- */

void trace_add(struct trace_list *l, const char *what, const char *ns, const char *name) {
    if (!ns || !name || !*name) return;
    for (size_t i = 0; i < l->n; i++)
        if (str_eq(l->list[i].ns, ns) && str_eq(l->list[i].name, name)) return;
    if (l->n == TRACES_MAX) return;
    struct trace *t = &l->list[l->n++];
    *t = (struct trace){.end = TRACE_UNKNOWN};
    copy_clean(t->what, sizeof t->what, what);
    copy_clean(t->ns, sizeof t->ns, ns);
    copy_clean(t->name, sizeof t->name, name);
}

/* ${pvc.namespace}, ${pvc.name}: the CSI provisioner's templates. */
static void fill(char *dst, size_t size, const char *text, const char *ns, const char *claim) {
    struct buf out = {0};
    for (const char *p = text; *p;) {
        const char *value = strncmp(p, "${pvc.namespace}", 16) == 0 ? ns : strncmp(p, "${pvc.name}", 11) == 0 ? claim : NULL;
        if (value) {
            buf_adds(&out, value);
            p = strchr(p, '}') + 1;
        } else buf_addc(&out, *p++);
    }
    snprintf(dst, size, "%s", buf_str(&out));
    buf_free(&out);
}

void trace_add_class(struct trace_list *l, const struct json_t *class, const char *ns, const char *claim) {
    struct json_t *parameters = jd_get(class, "parameters");
    for (void *it = parameters ? jd_iter(parameters) : NULL; it; it = jd_iter_next(parameters, it)) {
        const char *key = jd_iter_key(it), *value = jd_string_value(jd_iter_value(it));
        if (!value || !str_starts(key, PREFIX) || !str_ends(key, "-secret-name")) continue;
        int n = (int)(strlen(key) - strlen(PREFIX) - strlen("-secret-name"));
        char *space = str_printf(PREFIX "%.*s-secret-namespace", n, key + strlen(PREFIX));
        char *what = str_printf("the %.*s secret of class %s", n, key + strlen(PREFIX), text_or(jd_str(class, "metadata.name"), ""));
        char name[256], in[256];
        fill(name, sizeof name, value, ns, claim);
        fill(in, sizeof in, text_or(jd_string_value(jd_member(parameters, space)), ns), ns, claim);
        trace_add(l, what, in, name);
        mem_free(space);
        mem_free(what);
    }
}

static void add_container(struct trace_list *l, const struct json_t *c, const char *ns, const char *what) {
    const struct json_t *env = jd_get(c, "env"), *from = jd_get(c, "envFrom");
    for (size_t i = 0; i < jd_len(env); i++) trace_add(l, what, ns, jd_str(jd_at(env, i), "valueFrom.secretKeyRef.name"));
    for (size_t i = 0; i < jd_len(from); i++) trace_add(l, what, ns, jd_str(jd_at(from, i), "secretRef.name"));
}

void trace_add_pod(struct trace_list *l, const struct json_t *spec, const char *ns, const char *what) {
    static const char *const lists[] = {"containers", "initContainers"};
    const struct json_t *volumes = jd_get(spec, "volumes");
    for (size_t i = 0; i < jd_len(volumes); i++) {
        const struct json_t *sources = jd_get(jd_at(volumes, i), "projected.sources");
        trace_add(l, what, ns, jd_str(jd_at(volumes, i), "secret.secretName"));
        for (size_t k = 0; k < jd_len(sources); k++) trace_add(l, what, ns, jd_str(jd_at(sources, k), "secret.name"));
    }
    for (size_t i = 0; i < ARRAY_LEN(lists); i++)
        for (size_t k = 0; k < jd_len(jd_get(spec, lists[i])); k++) add_container(l, jd_at(jd_get(spec, lists[i]), k), ns, what);
}

void trace_say(const struct trace *t, struct buf *out) {
    buf_printf(out, "%s (Secret %s/%s)", t->what, t->ns, t->name);
    if (t->end == TRACE_MISSING) buf_adds(out, " is not there");
    else if (t->end == TRACE_OWN) buf_printf(out, "%s%s", *t->way ? " comes from " : " comes from no store that is known", t->way);
    else {
        buf_printf(out, " comes from %s", *t->way ? t->way : "a place that is not known");
        if (*t->provider) buf_printf(out, ", %s", t->provider);
        if (*t->server) buf_printf(out, " at %s", t->server);
        if (t->end == TRACE_UNKNOWN && *t->why) buf_printf(out, " (%s)", t->why);
    }
}

/* ---- Documents ---- */

bool trace_maker(const struct json_t *secret, char *kind, size_t kind_size, char *name, size_t name_size) {
    const struct json_t *owners = jd_get(secret, "metadata.ownerReferences"), *fields = jd_get(secret, "metadata.managedFields");
    const struct json_t *labels = jd_get(secret, "metadata.labels"), *annotations = jd_get(secret, "metadata.annotations");
    if (jd_len(owners) > 0) {
        copy_clean(kind, kind_size, jd_str(jd_at(owners, 0), "kind"));
        copy_clean(name, name_size, jd_str(jd_at(owners, 0), "name"));
        return *kind != '\0';
    }
    bool external = jd_member(labels, "reconcile.external-secrets.io/managed") || jd_member(labels, "reconcile.external-secrets.io/created-by") ||
                    jd_member(annotations, "reconcile.external-secrets.io/data-hash");
    for (size_t i = 0; i < jd_len(fields); i++) {
        const char *manager = jd_str(jd_at(fields, i), "manager");
        external = external || (manager && strstr(manager, "external-secrets"));
    }
    copy_clean(kind, kind_size, external ? "ExternalSecret" : "");
    copy_clean(name, name_size, "");
    return external;
}

const struct json_t *trace_external(const struct json_t *list, const char *name, const char *secret) {
    const struct json_t *items = jd_get(list, "items");
    for (size_t i = 0; i < jd_len(items); i++) {
        const struct json_t *e = jd_at(items, i);
        const char *own = jd_str(e, "metadata.name"), *target = text_or(jd_str(e, "spec.target.name"), own);
        if (*name ? str_eq(own, name) : str_eq(target, secret)) return e;
    }
    return NULL;
}

static bool ref_of(const struct json_t *ref, const char **ret_kind, const char **ret_name) {
    *ret_name = jd_str(ref, "name");
    *ret_kind = text_or(jd_str(ref, "kind"), "SecretStore");
    return *ret_name != NULL;
}

bool trace_store_ref(const struct json_t *external, size_t i, const char **ret_kind, const char **ret_name) {
    static const char *const lists[] = {"spec.data", "spec.dataFrom"};
    size_t n = 0;
    if (ref_of(jd_get(external, "spec.secretStoreRef"), ret_kind, ret_name) && n++ == i) return true;
    for (size_t l = 0; l < ARRAY_LEN(lists); l++) {
        const struct json_t *entries = jd_get(external, lists[l]);
        for (size_t k = 0; k < jd_len(entries); k++)
            if (ref_of(jd_get(jd_at(entries, k), "sourceRef.storeRef"), ret_kind, ret_name) && n++ == i) return true;
    }
    return false;
}

void trace_store(const struct json_t *store, struct trace *t) {
    static const char *const addresses[] = {"server", "url", "apiUrl", "vaultUrl", "host", "serverUrl"};
    struct json_t *provider = jd_get(store, "spec.provider");
    void *it = provider ? jd_iter(provider) : NULL;
    if (!it) {
        t->end = TRACE_UNKNOWN;
        snprintf(t->why, sizeof t->why, "its store names no provider");
        return;
    }
    const struct json_t *settings = jd_iter_value(it);
    const char *server = NULL;
    for (size_t i = 0; !server && i < ARRAY_LEN(addresses); i++) server = jd_str(settings, addresses[i]);
    copy_clean(t->provider, sizeof t->provider, jd_iter_key(it));
    copy_clean(t->server, sizeof t->server, server);
    t->end = TRACE_STORE;
}

/* "10" of 10.0.0.1, or an IPv6 address, which has no dots. */
static bool is_address(struct slice first) {
    bool digits = true;
    for (size_t i = 0; i < first.n; i++) {
        if (first.p[i] == ':') return true;
        digits = digits && first.p[i] >= '0' && first.p[i] <= '9';
    }
    return digits;
}

enum trace_where trace_service(const char *url, const char *from, char *service, size_t service_size, char *ns, size_t ns_size) {
    struct slice rest = vault_address_host(slice_of(url)), labels[8];
    size_t n = 0, svc = 0, at = 0;
    while (rest.p && n < ARRAY_LEN(labels) && slice_cut(&rest, '.', &labels[n])) n++;
    if (n == 0 || is_address(labels[0])) return TRACE_OUTSIDE;
    while (svc < n && !slice_is(labels[svc], "svc")) svc++;
    if (svc < n && svc >= 2) at = svc - 2; /* "pod.service.ns.svc": the service stands before its namespace */
    else if (n > 2 || (n == 1 && !from)) return TRACE_OUTSIDE;
    snprintf(service, service_size, "%.*s", SLICE_FMT(labels[at]));
    if (n == 1) snprintf(ns, ns_size, "%s", from);
    else snprintf(ns, ns_size, "%.*s", SLICE_FMT(labels[at + 1]));
    return n == 2 ? TRACE_PERHAPS : TRACE_INSIDE;
}
