/* What the API serves that is no object: discovery, version, health, and as much OpenAPI as kubectl asks for. */
#include <stdlib.h>
#include <string.h>

#include "base/json_doc.h"
#include "base/mem.h"
#include "sandbox/http_server.h"
#include "sandbox/kube.h"
#include "sandbox/object.h"

static const char *const review_groups[] = {"authentication.k8s.io", "authorization.k8s.io"};

static struct json_t *strings(const char *joined)
{
    struct json_t *list = jd_array();
    struct slice rest = slice_of(joined), one;

    while (joined && slice_cut(&rest, ',', &one)) {
        char *s = slice_dup(one);
        jd_append(list, jd_string(s));
        free(s);
    }
    return list;
}

static struct json_t *resource(const struct kube_kind *k, const char *sub, const char *kind, const char *verbs)
{
    struct json_t *r = jd_object();
    char *name = sub ? str_printf("%s/%s", k->plural, sub) : mem_strdup(k->plural);

    jd_set(r, "name", jd_string(name));
    jd_set(r, "singularName", jd_string(sub ? "" : k->singular));
    jd_set(r, "namespaced", jd_bool(k->namespaced));
    if (str_eq(sub, "scale")) {
        jd_set(r, "group", jd_string("autoscaling"));
        jd_set(r, "version", jd_string("v1"));
    }
    jd_set(r, "kind", jd_string(kind));
    jd_set(r, "verbs", strings(verbs));
    if (!sub && k->short_name)
        jd_set(r, "shortNames", strings(k->short_name));
    if (!sub && k->all)
        jd_set(r, "categories", strings("all"));
    free(name);
    return r;
}

static void add_kind(struct json_t *list, const struct kube_kind *k)
{
    jd_append(list, resource(k, NULL, k->name, "create,delete,deletecollection,get,list,patch,update,watch"));
    if (k->id == KIND_POD) {
        jd_append(list, resource(k, "eviction", "Eviction", "create"));
        jd_append(list, resource(k, "log", "Pod", "get"));
        jd_append(list, resource(k, "proxy", "PodProxyOptions", "create,delete,get,patch,update"));
    }
    if (k->scale)
        jd_append(list, resource(k, "scale", "Scale", "get,patch,update"));
    if (k->status)
        jd_append(list, resource(k, "status", k->name, "get,patch,update"));
}

static struct json_t *review(const char *plural, const char *singular, const char *kind)
{
    struct json_t *r = object_parse("{'name':'%s','singularName':'%s','namespaced':false,'kind':'%s',"
                                    "'verbs':['create']}",
                                    plural, singular, kind);

    return r;
}

static struct json_t *resource_list(const char *group, const char *version)
{
    struct json_t *d = object_parse("{'kind':'APIResourceList','groupVersion':'%s%s%s'}", group, group[0] ? "/" : "",
                                    version);
    struct json_t *list = jd_array();

    if (group[0])
        jd_set(d, "apiVersion", jd_string("v1"));
    for (size_t i = 0; i < KIND_COUNT; i++)
        if (str_eq(kube_kinds[i].group, group) && str_eq(kube_kinds[i].version, version))
            add_kind(list, &kube_kinds[i]);
    if (str_eq(group, "authentication.k8s.io"))
        jd_append(list, review("selfsubjectreviews", "selfsubjectreview", "SelfSubjectReview"));
    if (str_eq(group, "authorization.k8s.io")) {
        jd_append(list, review("selfsubjectaccessreviews", "selfsubjectaccessreview", "SelfSubjectAccessReview"));
        jd_append(list, review("selfsubjectrulesreviews", "selfsubjectrulesreview", "SelfSubjectRulesReview"));
    }
    jd_set(d, "resources", list);
    return d;
}

static struct json_t *group_doc(const char *group, const char *version)
{
    struct json_t *gv = object_parse("{'groupVersion':'%s/%s','version':'%s'}", group, version, version);
    struct json_t *d = object_parse("{'name':'%s','versions':[]}", group);

    jd_append(jd_member(d, "versions"), jd_copy(gv));
    jd_set(d, "preferredVersion", gv);
    return d;
}

static struct json_t *group_list(void)
{
    struct json_t *d = object_parse("{'kind':'APIGroupList','apiVersion':'v1','groups':[]}");
    struct json_t *list = jd_member(d, "groups");

    for (size_t i = 0; i < KIND_COUNT; i++) {
        const struct kube_kind *k = &kube_kinds[i];
        if (k->group[0] && (i == 0 || !str_eq(kube_kinds[i - 1].group, k->group)))
            jd_append(list, group_doc(k->group, k->version));
    }
    for (size_t i = 0; i < ARRAY_LEN(review_groups); i++)
        jd_append(list, group_doc(review_groups[i], "v1"));
    return d;
}

static struct json_t *one_group(const char *group)
{
    struct json_t *d = NULL;

    for (size_t i = 0; i < KIND_COUNT && !d; i++)
        if (str_eq(kube_kinds[i].group, group))
            d = group_doc(group, kube_kinds[i].version);
    if (!d)
        d = group_doc(group, "v1");
    jd_set(d, "kind", jd_string("APIGroup"));
    jd_set(d, "apiVersion", jd_string("v1"));
    return d;
}

/* kubectl asks the v3 document of a group whether PATCH takes fieldValidation; that much is in it. */
static struct json_t *openapi_group(const char *group, const char *version)
{
    struct json_t *d = object_parse("{'openapi':'3.0.0','info':{'title':'Kubernetes','version':'v1.32.13'},"
                                    "'paths':{}}");

    for (size_t i = 0; i < KIND_COUNT; i++) {
        const struct kube_kind *k = &kube_kinds[i];
        if (!str_eq(k->group, group) || !str_eq(k->version, version))
            continue;
        char *path = str_printf("%s%s%s/%s/%s{name}", group[0] ? "/apis/" : "/api", group, group[0] ? "" : "", version,
                                k->plural);
        jd_set(jd_member(d, "paths"), path,
               object_parse("{'patch':{'parameters':[{'name':'fieldValidation','in':'query',"
                            "'schema':{'type':'string'}}],"
                            "'responses':{},'x-kubernetes-action':'patch','x-kubernetes-group-version-kind':"
                            "{'group':'%s','version':'%s','kind':'%s'}}}",
                            group, version, k->name));
        free(path);
    }
    return d;
}

static struct json_t *openapi_index(void)
{
    struct json_t *d = object_parse("{'paths':{'api/v1':{'serverRelativeURL':'/openapi/v3/api/v1'}}}");

    for (size_t i = 0; i < KIND_COUNT; i++) {
        const struct kube_kind *k = &kube_kinds[i];
        if (!k->group[0])
            continue;
        char *key = str_printf("apis/%s/%s", k->group, k->version);
        jd_set(jd_member(d, "paths"), key, object_parse("{'serverRelativeURL':'/openapi/v3/%s'}", key));
        free(key);
    }
    return d;
}

static struct json_t *version_doc_new(void)
{
    return object_parse("{'major':'1','minor':'32','gitVersion':'v1.32.13','gitCommit':"
                        "'63adf010aa20e104c0b7043b47f42f50c9f72b17','gitTreeState':'clean','buildDate':"
                        "'2026-08-13T06:15:54Z','goVersion':'go1.23.5','compiler':'gc','platform':'linux/amd64'}");
}

/* "GROUP/VERSION" or "GROUP" behind a prefix. */
static bool group_version(const char *path, const char *prefix, char **ret_group, char **ret_version)
{
    struct slice rest, group, version = {0};

    if (!str_starts(path, prefix))
        return false;
    rest = slice_of(path + strlen(prefix));
    slice_cut(&rest, '/', &group);
    slice_cut(&rest, '/', &version);
    if (rest.p && rest.n > 0)
        return false;
    *ret_group = slice_dup(group);
    *ret_version = version.n ? slice_dup(version) : NULL;
    return true;
}

static struct json_t *group_answer(const char *path)
{
    char *group = NULL, *version = NULL;
    struct json_t *d = NULL;

    if (group_version(path, "/apis/", &group, &version) && kube_group_served(group, version))
        d = version ? resource_list(group, version) : one_group(group);
    else if (!group && group_version(path, "/openapi/v3/apis/", &group, &version) && version &&
             kube_group_served(group, version))
        d = openapi_group(group, version);
    free(group);
    free(version);
    return d;
}

static struct json_t *answer(const char *path)
{
    if (str_eq(path, "/version") || str_eq(path, "/version/"))
        return version_doc_new();
    if (str_eq(path, "/api") || str_eq(path, "/api/"))
        return object_parse("{'kind':'APIVersions','versions':['v1'],'serverAddressByClientCIDRs':[]}");
    if (str_eq(path, "/apis") || str_eq(path, "/apis/"))
        return group_list();
    if (str_eq(path, "/api/v1") || str_eq(path, "/api/v1/"))
        return resource_list("", "v1");
    if (str_eq(path, "/openapi/v3"))
        return openapi_index();
    if (str_eq(path, "/openapi/v3/api/v1"))
        return openapi_group("", "v1");
    if (str_eq(path, "/"))
        return object_parse("{'paths':['/api','/api/v1','/apis','/healthz','/livez','/readyz','/version']}");
    return group_answer(path);
}

bool api_static(struct api_call *c, const char *path)
{
    if (str_eq(path, "/healthz") || str_eq(path, "/livez") || str_eq(path, "/readyz")) {
        http_reply_str(c->r, 200, "text/plain; charset=utf-8", "ok");
        return true;
    }
    if (!str_eq(http_request_method(c->r), "GET"))
        return false;
    struct json_t *d = answer(path);
    if (!d)
        return false;
    api_reply_doc(c, 200, d);
    jd_free(d);
    return true;
}
