/* SelfSubjectAccessReview, SelfSubjectRulesReview, SelfSubjectReview: the user asks about himself.
 * kubectl asks these in protobuf. */
#include <string.h>

#include "base/json_doc.h"
#include "base/mem.h"
#include "sandbox/http_server.h"
#include "sandbox/kube.h"
#include "sandbox/object.h"
#include "sandbox/protobuf.h"

/* The same judgement as for the request itself. */
static void access_review(struct api_call *c, struct json_t *doc)
{
    const char *group = jd_str(doc, "spec.resourceAttributes.group");
    const char *plural = jd_str(doc, "spec.resourceAttributes.resource");
    const char *ns = jd_str(doc, "spec.resourceAttributes.namespace");
    const char *verb = jd_str(doc, "spec.resourceAttributes.verb");
    struct api_call asked = *c;

    asked.kind = kube_kind_by_plural(group ? group : "", str_eq(group, "autoscaling") ? "v2" : "v1",
                                     plural ? plural : "");
    asked.ns = ns && ns[0] ? (char *)(uintptr_t)ns : NULL;
    asked.name = NULL;
    const char *sub = jd_str(doc, "spec.resourceAttributes.subresource");
    asked.sub = sub && sub[0] ? (char *)(uintptr_t)sub : NULL;
    struct refusal *f = asked.kind ? api_allowed(&asked, verb ? verb : "") : NULL;
    jd_set(doc, "status", f ? object_parse("{'allowed':false}")
                            : object_parse("{'allowed':true,'reason':'RBAC: allowed by ClusterRoleBinding "
                                           "\\\"sandbox-admin\\\" of ClusterRole \\\"cluster-admin\\\" to User "
                                           "\\\"%s\\\"'}",
                                           c->user));
    refusal_free(f);
}

static void rules_review(struct json_t *doc)
{
    jd_set(doc, "status",
           object_parse("{'resourceRules':[{'verbs':['*'],'apiGroups':['*'],'resources':['*']}],"
                        "'nonResourceRules':[{'verbs':['*'],'nonResourceURLs':['*']}],'incomplete':false}"));
}

static void self_review(struct api_call *c, struct json_t *doc)
{
    jd_set(doc, "status", object_parse("{'userInfo':{'username':'%s','groups':['system:masters',"
                                       "'system:authenticated']}}",
                                       c->user));
}

/* A review as JSON documents have it, from protobuf. */
static struct json_t *from_protobuf(struct slice body, bool access)
{
    static const char *const names[] = {"namespace", "verb", "group", "version", "resource", "subresource", "name"};
    struct slice spec = protobuf_field(protobuf_object(body), 2);
    struct slice attributes = access ? protobuf_field(spec, 1) : (struct slice){0};
    struct json_t *doc = object_parse("{'metadata':{},'spec':{}}");

    if (attributes.p)
        jd_put(doc, "spec.resourceAttributes", jd_object());
    for (size_t i = 0; attributes.p && i < sizeof names / sizeof names[0]; i++) {
        char *value = slice_dup(protobuf_field(attributes, i + 1));
        if (value && value[0])
            jd_set(jd_get(doc, "spec.resourceAttributes"), names[i], jd_string(value));
        mem_free(value);
    }
    return doc;
}

bool api_review(struct api_call *c, const char *path)
{
    const char *name = strrchr(path, '/');
    struct slice body = http_request_body(c->r);
    struct json_t *doc = NULL;
    bool access = str_eq(path, "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews");
    bool rules = str_eq(path, "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews");
    bool self = str_eq(path, "/apis/authentication.k8s.io/v1/selfsubjectreviews");

    if ((!access && !rules && !self) || !str_eq(http_request_method(c->r), "POST"))
        return false;
    struct err *e = NULL;
    if (protobuf_is(body))
        doc = from_protobuf(body, access);
    else
        e = jd_parse(body.p ? body.p : "", body.n, name, &doc);
    if (e) {
        api_refuse(c, refuse_bad_request("%s", err_text(e)));
        err_free(e);
        return true;
    }
    jd_set(doc, "kind", jd_string(access ? "SelfSubjectAccessReview" : rules ? "SelfSubjectRulesReview"
                                                                            : "SelfSubjectReview"));
    jd_set(doc, "apiVersion", jd_string(self ? "authentication.k8s.io/v1" : "authorization.k8s.io/v1"));
    jd_put(doc, "metadata.creationTimestamp", jd_null());
    if (access)
        access_review(c, doc);
    else if (rules)
        rules_review(doc);
    else
        self_review(c, doc);
    api_reply_doc(c, 201, doc);
    jd_free(doc);
    return true;
}
