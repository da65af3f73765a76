/* Subresources that are no view of the object itself: scale, a pod's log and proxy, eviction. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_doc.h"
#include "base/mem.h"
#include "sandbox/http_server.h"
#include "sandbox/kube.h"
#include "sandbox/kubelet.h"
#include "sandbox/object.h"
#include "sandbox/patch.h"
#include "sandbox/pod_log.h"

/* ---- scale ------------------------------------------------------------------------------------------------------- */

/* matchLabels as "a=b,c=d". */
static char *selector_text(const struct json_t *doc)
{
    struct json_t *labels = jd_copy(jd_get(doc, "spec.selector.matchLabels"));
    struct buf b = {0};

    for (void *it = labels ? jd_iter(labels) : NULL; it; it = jd_iter_next(labels, it))
        buf_printf(&b, "%s%s=%s", b.len ? "," : "", jd_iter_key(it), jd_string_value(jd_iter_value(it)));
    jd_free(labels);
    return buf_steal(&b);
}

static struct json_t *scale_of(const struct json_t *doc)
{
    struct json_t *s = object_parse("{'kind':'Scale','apiVersion':'autoscaling/v1','metadata':{},'spec':{},"
                                    "'status':{}}");
    static const char *const keep[] = {"name", "namespace", "uid", "resourceVersion", "creationTimestamp"};
    char *selector = selector_text(doc);

    for (size_t i = 0; i < ARRAY_LEN(keep); i++) {
        struct json_t *v = jd_member(jd_member(doc, "metadata"), keep[i]);
        if (v)
            jd_set(jd_member(s, "metadata"), keep[i], jd_ref(v));
    }
    if (jd_num(doc, "spec.replicas", 0))
        jd_put(s, "spec.replicas", jd_int(jd_num(doc, "spec.replicas", 0)));
    jd_put(s, "status.replicas", jd_int(jd_num(doc, "status.replicas", 0)));
    jd_put(s, "status.selector", jd_string(selector));
    free(selector);
    return s;
}

/* The scale that a PUT or PATCH asks for, from the present one. */
static struct refusal *wanted_scale(const struct api_call *c, const struct json_t *now, struct json_t **ret)
{
    const char *type = http_request_header(c->r, "Content-Type");
    struct slice body = http_request_body(c->r);
    struct json_t *sent = NULL;
    struct refusal *f = NULL;
    struct err *e = jd_parse(body.p ? body.p : "", body.n, "Scale", &sent);

    if (!e && str_eq(http_request_method(c->r), "PUT")) {
        *ret = sent;
        return NULL;
    }
    *ret = jd_copy(now);
    if (!e && type && str_starts(type, "application/json-patch+json"))
        e = patch_json(*ret, sent);
    else if (!e)
        patch_merge(*ret, sent);
    jd_free(sent);
    if (e) {
        f = err_kind(e) == ERR_FAILED ? refusal_new(422, "Invalid", jd_object(),
                                                    "the server rejected our request due to an error in our request")
                                      : refuse_bad_request("%s", err_text(e));
        err_free(e);
    }
    return f;
}

static struct refusal *set_scale(struct api_call *c, struct json_t *doc, const struct json_t *want)
{
    int64_t n = jd_num(want, "spec.replicas", 0);
    const char *rv = jd_str(want, "metadata.resourceVersion");
    char *manager = api_manager(c);
    struct refusal *f = NULL;
    bool dry = api_dry_run(c, NULL, &f);

    if (!f && n < 0) {
        char *text = str_printf("Invalid value: %lld: must be greater than or equal to 0", (long long)n);
        f = refuse_invalid(c->kind, c->name, "FieldValueInvalid", "spec.replicas", text);
        free(text);
    }
    if (!f) {
        jd_put(doc, "spec.replicas", jd_int(n));
        if (rv)
            jd_put(doc, "metadata.resourceVersion", jd_string(rv));
        f = kube_update(c->k, c->kind->stored, doc, manager, dry);
    }
    free(manager);
    return f;
}

static void scale(struct api_call *c)
{
    struct json_t *doc = kube_get(c->k, c->kind->stored, c->ns, c->name), *now = NULL, *want = NULL;
    struct refusal *f = doc ? NULL : refuse_not_found(c->kind, c->name);

    if (!f && !str_eq(http_request_method(c->r), "GET")) {
        now = scale_of(doc);
        f = wanted_scale(c, now, &want);
        if (!f)
            f = set_scale(c, doc, want);
    }
    if (f) {
        api_refuse(c, f);
    } else {
        struct json_t *answer = scale_of(doc);
        api_reply_doc(c, 200, answer);
        jd_free(answer);
    }
    jd_free(want);
    jd_free(now);
    jd_free(doc);
}

/* ---- A pod's log and proxy --------------------------------------------------------------------------------------- */

/* The last `lines` lines of a text. */
static struct slice tail(struct slice log, int64_t lines)
{
    size_t at = log.n;

    if (at > 0 && log.p[at - 1] == '\n')
        at--;
    for (; at > 0; at--)
        if (log.p[at - 1] == '\n' && --lines <= 0)
            break;
    return (struct slice){log.p + at, log.n - at};
}

static bool list_has(const struct json_t *list, const char *name)
{
    for (size_t i = 0; i < jd_len(list); i++)
        if (str_eq(jd_str(jd_at(list, i), "name"), name))
            return true;
    return false;
}

/* Whether the log that is asked for can be given: in the API server's and the kubelet's words. */
static struct refusal *log_refusal(const struct api_call *c, const struct json_t *pod, const char *container, bool started)
{
    const struct json_t *list = jd_get(pod, "spec.containers");

    if (!container && jd_len(list) > 1)
        return refuse_bad_request("a container name must be specified for pod %s, choose one of: [%s ...]", c->name,
                                  jd_str(jd_at(list, 0), "name"));
    if (container && !list_has(list, container) && !list_has(jd_get(pod, "spec.initContainers"), container))
        return refuse_bad_request("container %s is not valid for pod %s", container, c->name);
    if (!started && str_eq(jd_str(pod, "status.phase"), "Pending"))
        return refuse_bad_request("container \"%s\" in pod \"%s\" is waiting to start: ContainerCreating",
                                  container ? container : jd_str(jd_at(list, 0), "name"), c->name);
    return NULL;
}

static bool asks(const struct api_call *c, const char *key)
{
    const char *value = http_request_query(c->r, key);

    return str_eq(value, "true") || str_eq(value, "1");
}

static void give_log(struct api_call *c, const struct json_t *pod, const char *container, struct pod_log *l, bool runs)
{
    const char *lines = http_request_query(c->r, "tailLines");
    bool init = container && !list_has(jd_get(pod, "spec.containers"), container);
    struct slice log = !l || init ? SLICE_LIT("") : asks(c, "previous") ? pod_log_previous(l) : pod_log_text(l);
    int64_t n;

    if (!log.p) {
        api_refuse(c, refuse_bad_request("previous terminated container \"%s\" in pod \"%s\" not found",
                                         jd_str(pod, "spec.containers.0.name"), c->name));
        return;
    }
    if (lines && slice_to_i64(slice_of(lines), &n))
        log = n > 0 ? tail(log, n) : SLICE_LIT("");
    if (l && runs && !init && asks(c, "follow") && !asks(c, "previous"))
        pod_log_follow(l, c->r, log);
    else
        http_reply(c->r, 200, "text/plain", log.p, log.n);
}

static void pod_log(struct api_call *c)
{
    const char *container = http_request_query(c->r, "container");
    bool runs = false;
    struct pod_log *l = kubelet_log(c->k->kubelet, c->ns, c->name, &runs);
    struct json_t *pod = kube_get(c->k, KIND_POD, c->ns, c->name);
    struct refusal *f = pod ? log_refusal(c, pod, container, l != NULL) : refuse_not_found(c->kind, c->name);

    if (f)
        api_refuse(c, f);
    else
        give_log(c, pod, container, l, runs);
    jd_free(pod);
}

/* "[scheme:]name[:port]" of a proxy path. */
static char *proxy_target(const char *text, unsigned *ret_port)
{
    struct slice rest = slice_of(text), part[3];
    size_t n = 0;
    int64_t port = 0;

    while (n < 3 && slice_cut(&rest, ':', &part[n]))
        n++;
    size_t name = n == 3 || (n == 2 && (slice_is(part[0], "http") || slice_is(part[0], "https"))) ? 1 : 0;
    if (name + 1 < n && !slice_to_i64(part[name + 1], &port))
        port = 0;
    *ret_port = (unsigned)port;
    return slice_dup(part[name]);
}

/* An address that nothing answers on, in the API server's words. */
static void proxy_failed(const struct api_call *c, const char *why)
{
    api_refuse(c, refusal_new(503, "ServiceUnavailable", jd_object(), "%s", why));
}

static void pod_proxy(struct api_call *c)
{
    unsigned port = 0;
    char *name = proxy_target(c->name, &port);
    struct json_t *pod = kube_get(c->k, KIND_POD, c->ns, name);
    const struct pod_backend *b = pod ? kubelet_backend(c->k->kubelet, pod) : NULL;
    const char *ip = pod ? jd_str(pod, "status.podIP") : NULL;
    char *why = str_printf("error trying to reach service: dial tcp %s:%u: connect: connection refused", ip ? ip : "",
                           port);

    if (!pod)
        api_refuse(c, refuse_not_found(c->kind, name));
    else if (!ip)
        api_refuse(c, refusal_new(500, "InternalError", jd_object(), "address not allowed"));
    else if (!b || !b->proxy || !str_eq(jd_str(pod, "status.phase"), "Running") ||
             !b->proxy(c->k->sb, c->ns, name, port, c->rest ? c->rest : "/", c->r))
        proxy_failed(c, why);
    free(why);
    free(name);
    jd_free(pod);
}

static void pod_evict(struct api_call *c)
{
    struct refusal *f = NULL;
    bool dry = api_dry_run(c, NULL, &f);

    if (!f && !store_get(c->k->store, KIND_POD, c->ns, c->name))
        f = refuse_not_found(c->kind, c->name);
    if (f) {
        api_refuse(c, f);
        return;
    }
    kube_delete(c->k, KIND_POD, c->ns, c->name, NULL, -1, dry, NULL, NULL);
    struct json_t *s = object_parse("{'kind':'Status','apiVersion':'v1','metadata':{},'status':'Success','code':201}");
    api_reply_doc(c, 201, s);
    jd_free(s);
}

bool api_subresource(struct api_call *c)
{
    const char *m = http_request_method(c->r);

    if (str_eq(c->sub, "scale") && c->kind->scale && !str_eq(m, "POST") && !str_eq(m, "DELETE"))
        scale(c);
    else if (str_eq(c->sub, "log") && c->kind->id == KIND_POD && str_eq(m, "GET"))
        pod_log(c);
    else if (str_eq(c->sub, "proxy") && c->kind->id == KIND_POD)
        pod_proxy(c);
    else if (str_eq(c->sub, "eviction") && c->kind->id == KIND_POD && str_eq(m, "POST"))
        pod_evict(c);
    else
        return false;
    return true;
}
