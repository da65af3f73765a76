/* The API server's front door: who asks, for what, in which shape; then the verb's own file. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_doc.h"
#include "base/mem.h"
#include "loop/timer.h"
#include "sandbox/http_server.h"
#include "sandbox/kube.h"
#include "sandbox/kube_faults.h"
#include "sandbox/kube_when.h"
#include "sandbox/object.h"

#define JSON_TYPE "application/json"
#define SLOW_MIN_MS 2000
#define SLOW_STEP_MS 750
#define SLOW_STEPS 5
#define SANDBOX_VIEWER "sandbox-viewer" /* of kubeconfig-viewer: reads what is not secret */

/* ---- Answers ----------------------------------------------------------------------------------------------------- */

/* api-garbage: the text becomes JSON that breaks off into nonsense in its middle. */
static void spoil(struct buf *b)
{
    size_t half = b->len / 2;

    b->len = half;
    buf_adds(b, "}]{\"garbage\":::,,\\u00zz");
}

static void reply_bytes(const struct api_call *c, unsigned code, struct buf *b)
{
    const struct kube_faults *f = &c->k->faults;

    if (c->drop_answer) {
        http_reply_none(c->r);
        return;
    }
    http_reply_header(c->r, "Cache-Control", "no-cache, private");
    if (f->truncated && b->len > 1) {
        http_reply_cut(c->r, code, JSON_TYPE, b->p, b->len / 2, b->len);
        return;
    }
    if (f->garbage)
        spoil(b);
    http_reply(c->r, code, JSON_TYPE, b->p, b->len);
}

void api_reply_json(const struct api_call *c, unsigned code, const char *p, size_t n)
{
    struct buf b = {0};

    if (c->pretty)
        represent_pretty(&b, (struct slice){p, n}, 0);
    else
        buf_add(&b, p, n);
    buf_addc(&b, '\n');
    reply_bytes(c, code, &b);
    buf_free(&b);
}

void api_reply_doc(const struct api_call *c, unsigned code, const struct json_t *doc)
{
    struct buf b = {0};

    jd_dump(doc, &b);
    api_reply_json(c, code, b.p, b.len);
    buf_free(&b);
}

void api_refuse(const struct api_call *c, struct refusal *f)
{
    struct buf b = {0};
    char seconds[16];

    refusal_dump(f, &b);
    if (f->code == 403)
        http_reply_header(c->r, "X-Content-Type-Options", "nosniff");
    if (f->retry_after) {
        snprintf(seconds, sizeof seconds, "%u", f->retry_after);
        http_reply_header(c->r, "Retry-After", seconds);
    }
    api_reply_json(c, f->code, b.p, b.len);
    buf_free(&b);
    refusal_free(f);
}

static void table_of_one(struct buf *out, const struct api_call *c, const struct json_t *doc)
{
    struct buf json = {0};
    const char *include = http_request_query(c->r, "includeObject");

    jd_dump(doc, &json);
    struct store *scratch = store_new();
    const char *rv = jd_str(doc, "metadata.resourceVersion");
    struct version *v = store_put_bytes(scratch, c->kind->stored, object_namespace(doc), object_name(doc), 1, json.p,
                                        json.len);
    buf_printf(out, "{\"kind\":\"Table\",\"apiVersion\":\"meta.k8s.io/v1\",\"metadata\":{\"resourceVersion\":\"%s\"},",
               rv ? rv : "");
    buf_adds(out, "\"columnDefinitions\":");
    table_columns(out, c->kind);
    buf_adds(out, ",\"rows\":[");
    table_row(out, c->kind, v, include, kube_now(c->k));
    buf_adds(out, "]}");
    store_free(scratch);
    buf_free(&json);
}

void api_reply_object(const struct api_call *c, unsigned code, const struct json_t *doc)
{
    struct buf b = {0}, json = {0};

    if (c->as == AS_TABLE) {
        table_of_one(&b, c, doc);
    } else if (c->as == AS_PARTIAL) {
        buf_adds(&b, "{\"kind\":\"PartialObjectMetadata\",\"apiVersion\":\"meta.k8s.io/v1\",\"metadata\":");
        jd_dump(jd_member(doc, "metadata"), &b);
        buf_addc(&b, '}');
    } else {
        jd_dump(doc, &json);
        represent_object(&b, c->kind, buf_slice(&json));
        buf_free(&json);
    }
    api_reply_json(c, code, b.p, b.len);
    buf_free(&b);
}

/* ---- What is asked ----------------------------------------------------------------------------------------------- */

char *api_manager(const struct api_call *c)
{
    const char *name = http_request_query(c->r, "fieldManager"), *agent = http_request_header(c->r, "User-Agent");

    if (name && name[0])
        return mem_strdup(name);
    return agent ? mem_strndup(agent, strcspn(agent, "/ ")) : mem_strdup("unknown");
}

bool api_dry_run(const struct api_call *c, const struct json_t *options, struct refusal **ret)
{
    const char *q = http_request_query(c->r, "dryRun");
    struct json_t *list = jd_get(options, "dryRun");

    if (!q && jd_len(list) > 0)
        q = jd_string_value(jd_at(list, 0));
    if (q && !str_eq(q, "All"))
        *ret = refusal_new(422, "Invalid", NULL, "%s is invalid: dryRun: Unsupported value: \"%s\": supported "
                                                 "values: \"All\"",
                           "meta.k8s.io \"\"", q);
    return q != NULL;
}

/* Whether a media type of the Accept header can be served; sets the shape. */
static bool media_type(struct api_call *c, struct slice one)
{
    struct slice part, rest = one;
    bool json = false, known = true;

    c->as = AS_OBJECT;
    slice_cut(&rest, ';', &part);
    part = slice_trim(part);
    json = slice_is(part, "application/json") || slice_is(part, "*/*") || slice_is(part, "application/*");
    while (slice_cut(&rest, ';', &part)) {
        part = slice_trim(part);
        if (slice_is(part, "as=Table"))
            c->as = AS_TABLE;
        else if (slice_is(part, "as=PartialObjectMetadata") || slice_is(part, "as=PartialObjectMetadataList"))
            c->as = AS_PARTIAL;
        else if (slice_starts(part, "as="))
            known = false;
        else if (slice_is(part, "v=v1beta1"))
            known = false;
    }
    return json && known;
}

static bool negotiate(struct api_call *c)
{
    const char *accept = http_request_header(c->r, "Accept");
    struct slice rest = slice_of(accept), one;

    c->as = AS_OBJECT;
    if (!accept || !accept[0])
        return true;
    while (slice_cut(&rest, ',', &one))
        if (media_type(c, slice_trim(one)))
            return true;
    c->as = AS_OBJECT;
    return false;
}

static bool wants_pretty(const struct http_request *r)
{
    const char *q = http_request_query(r, "pretty"), *agent = http_request_header(r, "User-Agent");

    if (q)
        return str_eq(q, "true") || str_eq(q, "1");
    return agent && (str_starts(agent, "curl") || str_starts(agent, "Wget") || str_starts(agent, "Mozilla"));
}

/* Cuts "/a/b/c" into at most `max` segments; `rest` gets what follows the last, with its slash, or NULL. */
static size_t segments(const char *path, char **out, size_t max, const char **rest)
{
    size_t n = 0;
    const char *p = path;

    *rest = NULL;
    while (*p == '/' && p[1]) {
        if (n == max) {
            *rest = p;
            break;
        }
        size_t len = strcspn(p + 1, "/");
        out[n++] = mem_strndup(p + 1, len);
        p += 1 + len;
    }
    return n;
}

/* Fills kind, ns, name, sub and rest from the segments after the group's version. */
static bool route_resource(struct api_call *c, const char *group, const char *version, char **s, size_t n,
                           const char *rest)
{
    size_t at = 0;
    bool in_namespace = n >= 3 && str_eq(s[0], "namespaces") &&
                        kube_kind_by_plural(group, version, s[2]) != NULL;

    if (in_namespace) {
        c->ns = mem_strdup(s[1]);
        at = 2;
    }
    c->kind = kube_kind_by_plural(group, version, s[at]);
    if (!c->kind || (in_namespace && !c->kind->namespaced))
        return false;
    if (n > at + 1)
        c->name = mem_strdup(s[at + 1]);
    if (n > at + 2)
        c->sub = mem_strdup(s[at + 2]);
    if (n > at + 3)
        c->rest = str_printf("/%s%s", s[at + 3], rest ? rest : "");
    else if (rest)
        c->rest = mem_strdup(rest);
    return !(c->name && c->kind->namespaced && !c->ns);
}

enum route { ROUTE_NONE, ROUTE_RESOURCE, ROUTE_PLAIN_404, ROUTE_STATUS_404 };

static enum route route(struct api_call *c, const char *path)
{
    char *s[8] = {0};
    const char *rest;
    size_t n = segments(path, s, ARRAY_LEN(s), &rest);
    enum route result = ROUTE_PLAIN_404;

    if (n >= 3 && str_eq(s[0], "api") && str_eq(s[1], "v1"))
        result = route_resource(c, "", "v1", s + 2, n - 2, rest) ? ROUTE_RESOURCE : ROUTE_STATUS_404;
    else if (n >= 4 && str_eq(s[0], "apis") && kube_group_served(s[1], s[2]))
        result = route_resource(c, s[1], s[2], s + 3, n - 3, rest) ? ROUTE_RESOURCE : ROUTE_STATUS_404;
    for (size_t i = 0; i < n; i++)
        free(s[i]);
    return result;
}

/* ---- Who asks ---------------------------------------------------------------------------------------------------- */

static struct refusal *authenticate(struct api_call *c)
{
    const char *auth = http_request_header(c->r, "Authorization");

    if (auth && str_starts(auth, "Bearer ")) {
        if (!c->k->faults.token_expired && str_eq(auth + strlen("Bearer "), c->k->token)) {
            c->user = "sandbox-admin";
            return NULL;
        }
        if (!c->k->faults.token_expired && str_eq(auth + strlen("Bearer "), c->k->viewer_token)) {
            c->user = SANDBOX_VIEWER;
            return NULL;
        }
        return refusal_new(401, "Unauthorized", NULL, "Unauthorized");
    }
    c->user = http_request_client_cn(c->r);
    if (!c->user)
        c->user = "system:anonymous";
    return NULL;
}

static bool in_plan(const char *ns)
{
    return str_eq(ns, "immich") || str_eq(ns, "vault");
}

/* Whether the user has the verb at all: anonymous has none, the viewer reads, the administrator what is not denied. */
static bool has_verb(const struct api_call *c, const char *verb)
{
    const char *agent = http_request_header(c->r, "User-Agent");
    bool reads = str_eq(verb, "get") || str_eq(verb, "list") || str_eq(verb, "watch");

    if (str_eq(c->user, "system:anonymous"))
        return false;
    if (str_eq(c->user, SANDBOX_VIEWER) && (!reads || c->kind->id == KIND_SECRET || str_eq(c->sub, "proxy")))
        return false;
    return (agent && str_starts(agent, "kubectl")) || !kube_denied(c->k, verb, c->kind->plural, c->sub, c->ns);
}

struct refusal *api_forbidden(const struct api_call *c, const char *verb)
{
    char where[300] = "at the cluster scope", what[300] = "";
    struct json_t *details = c->name ? object_parse("{'name':'%s'}", c->name) : jd_object();

    if (c->ns)
        snprintf(where, sizeof where, "in the namespace \"%s\"", c->ns);
    if (c->name)
        snprintf(what, sizeof what, " \"%s\"", c->name);
    if (c->kind->group[0])
        jd_set(details, "group", jd_string(c->kind->group));
    jd_set(details, "kind", jd_string(c->kind->plural));
    return refusal_new(403, "Forbidden", details,
                       "%s%s is forbidden: User \"%s\" cannot %s resource \"%s%s%s\" in API group \"%s\" %s",
                       kube_kind_qualified(c->kind), what, c->user, verb, c->kind->plural, c->sub ? "/" : "",
                       c->sub ? c->sub : "", c->kind->group, where);
}

struct refusal *api_allowed(const struct api_call *c, const char *verb)
{
    bool wide = str_eq(verb, "list") || str_eq(verb, "watch");

    if (has_verb(c, verb) &&
        !(c->k->faults.denied && wide && c->kind->namespaced && (!c->ns || !in_plan(c->ns))))
        return NULL;
    return api_forbidden(c, verb);
}

/* ---- Dispatch ---------------------------------------------------------------------------------------------------- */

static bool is_watch(const struct api_call *c)
{
    const char *w = http_request_query(c->r, "watch");

    return w && (str_eq(w, "true") || str_eq(w, "1") || str_eq(w, ""));
}

static const char *verb_of(const struct api_call *c)
{
    const char *m = http_request_method(c->r);

    if (str_eq(m, "GET") || str_eq(m, "HEAD"))
        return c->name ? "get" : is_watch(c) ? "watch" : "list";
    if (str_eq(m, "POST"))
        return "create";
    if (str_eq(m, "PUT"))
        return "update";
    if (str_eq(m, "PATCH"))
        return "patch";
    if (str_eq(m, "DELETE"))
        return c->name ? "delete" : "deletecollection";
    return m;
}

static void dispatch_verb(struct api_call *c)
{
    static const struct {
        const char *verb;
        bool named;
        void (*fn)(struct api_call *c);
    } verbs[] = {
        {"get", true, api_get},       {"list", false, api_list},     {"watch", false, api_watch},
        {"create", false, api_create}, {"update", true, api_update}, {"patch", true, api_patch},
        {"delete", true, api_delete}, {"deletecollection", false, api_delete_collection},
    };
    const char *verb = verb_of(c);

    for (size_t i = 0; i < ARRAY_LEN(verbs); i++) {
        if (str_eq(verbs[i].verb, verb) && verbs[i].named == (c->name != NULL)) {
            verbs[i].fn(c);
            return;
        }
    }
    api_refuse(c, refusal_new(405, "MethodNotAllowed", jd_object(),
                              "the server does not allow this method on the requested resource"));
}

static void dispatch_object(struct api_call *c)
{
    if (c->sub && api_subresource(c))
        return;
    if (c->sub && !str_eq(c->sub, "status") && !str_eq(c->sub, "finalize")) {
        api_refuse(c, refuse_unknown_resource());
        return;
    }
    if (!negotiate(c)) {
        api_refuse(c, refusal_new(406, "NotAcceptable", jd_object(),
                                  "406: Not Acceptable\n\nAvailable representations: application/json, "
                                  "application/json;stream=watch"));
        return;
    }
    dispatch_verb(c);
}

/* Carries a mutation out and notes it if it changed anything. The request is gone when it has been answered. */
static void dispatch_mutation(struct api_call *c, const char *verb)
{
    char *manager = api_manager(c);
    bool dry = false;
    char *after = kube_when_before(c, verb, &dry);
    uint64_t before = store_rv(c->k->store);
    dispatch_object(c);
    if (store_rv(c->k->store) != before)
        kube_audit(c->k, verb, c->kind->plural, c->sub, c->ns, c->name, manager);
    if (after && (dry || store_rv(c->k->store) != before))
        kube_when_after(c->k, after, c->name);
    else
        mem_free(after);
    free(manager);
}

static void dispatch_resource(struct api_call *c)
{
    const char *verb = verb_of(c);
    struct refusal *f = api_allowed(c, verb);

    if (!f && kube_fault(c, verb, &f) == FAULT_DROPPED)
        return;
    if (f)
        api_refuse(c, f);
    else if (str_eq(verb, "get") || str_eq(verb, "list") || str_eq(verb, "watch"))
        dispatch_object(c);
    else
        dispatch_mutation(c, verb);
}

static void dispatch(struct api_call *c)
{
    const char *path = http_request_path(c->r);
    struct refusal *f = authenticate(c);

    if (f) {
        api_refuse(c, f);
    } else if (c->k->faults.error_500) {
        api_refuse(c, refusal_new(500, "InternalError", jd_object(), "Internal error occurred: etcdserver: leader "
                                                                     "changed"));
    } else if (!api_static(c, path) && !api_review(c, path)) {
        enum route found = route(c, path);
        if (found == ROUTE_RESOURCE)
            dispatch_resource(c);
        else if (found == ROUTE_STATUS_404)
            api_refuse(c, refuse_unknown_resource());
        else
            http_reply_str(c->r, 404, "text/plain; charset=utf-8", "404 page not found\n");
    }
}

static void call_run(struct kube *k, struct http_request *r)
{
    struct api_call c = {.k = k, .r = r, .pretty = wants_pretty(r)};

    dispatch(&c);
    free(c.ns);
    free(c.name);
    free(c.sub);
    free(c.rest);
}

/* slow-api: every request waits 2 to 5 s before it is looked at. */
struct held {
    struct kube *k;
    struct http_request *r;
    struct timer *timer;
};

static void held_free(void *arg)
{
    struct held *h = arg;

    timer_free(h->timer);
    free(h);
}

static void held_run(void *arg)
{
    struct held *h = arg;
    struct kube *k = h->k;
    struct http_request *r = h->r;

    http_request_on_gone(r, NULL, NULL);
    held_free(h);
    call_run(k, r);
}

void api_handle(void *arg, struct http_request *r)
{
    struct kube *k = arg;

    if (!k->faults.slow) {
        call_run(k, r);
        return;
    }
    struct held *h = MEM_NEW(struct held);
    h->k = k;
    h->r = r;
    h->timer = timer_new(k->sb->loop, held_run, h);
    http_request_on_gone(r, held_free, h);
    timer_start(h->timer, SLOW_MIN_MS + (int64_t)(k->slow_seq++ % SLOW_STEPS) * SLOW_STEP_MS, 0);
}
