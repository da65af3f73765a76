/* POST, PUT, PATCH and DELETE. */
#include <stdlib.h>
#include <string.h>

#include "base/json_doc.h"
#include "base/mem.h"
#include "base/yaml.h"
#include "sandbox/fields.h"
#include "sandbox/http_server.h"
#include "sandbox/kube.h"
#include "sandbox/object.h"
#include "sandbox/patch.h"
#include "sandbox/protobuf.h"
#include "sandbox/quota.h"

/* The body as a document; empty gives NULL without a refusal. */
static struct refusal *read_body(const struct api_call *c, const char *what, struct json_t **ret)
{
    struct slice body = http_request_body(c->r);
    struct refusal *f = NULL;
    struct err *e;

    *ret = NULL;
    if (body.n == 0)
        return NULL;
    e = jd_parse(body.p, body.n, what, ret);
    if (e) {
        f = refuse_bad_request("the object provided is unrecognized (must be of type %s): couldn't get version/kind; "
                               "json parse error: %s",
                               what, err_text(e));
        err_free(e);
    }
    return f;
}

static bool is_json(const struct api_call *c)
{
    const char *type = http_request_header(c->r, "Content-Type");

    return !type || str_starts(type, "application/json") || str_starts(type, "text/") ||
           str_starts(type, "application/x-www-form-urlencoded");
}

static struct refusal *refuse_media_type(const char *accepted)
{
    return refusal_new(415, "UnsupportedMediaType", jd_object(),
                       "the body of the request was in an unknown format - accepted media types include: %s", accepted);
}

static struct refusal *read_object(const struct api_call *c, struct json_t **ret)
{
    const struct kube_kind *kind = c->kind;
    struct refusal *f;

    if (!is_json(c))
        return refuse_media_type("application/json");
    f = read_body(c, kind->name, ret);
    if (f)
        return f;
    if (!jd_is_object(*ret))
        return refuse_bad_request("the object provided is unrecognized (must be of type %s)", kind->name);
    const char *name = jd_str(*ret, "kind"), *version = jd_str(*ret, "apiVersion");
    if (name && version && (!str_eq(name, kind->name) || !str_eq(version, kube_kind_api_version(kind))))
        return refuse_bad_request("%s in version \"%s\" cannot be handled as a %s: no kind match", name, version,
                                  kind->name);
    jd_del(*ret, "kind");
    jd_del(*ret, "apiVersion");
    if (!jd_is_object(jd_member(*ret, "metadata")))
        jd_set(*ret, "metadata", jd_object());
    return NULL;
}

/* The namespace of the path is the object's; a different one in the object is refused. */
static struct refusal *place_object(const struct api_call *c, struct json_t *doc)
{
    const char *ns = object_namespace(doc), *name = object_name(doc);

    if (c->ns && ns && !str_eq(ns, c->ns))
        return refuse_bad_request("the namespace of the provided object does not match the namespace sent on the "
                                  "request");
    if (c->name && name && !str_eq(name, c->name))
        return refuse_bad_request("the name of the object (%s) does not match the name on the URL (%s)", name, c->name);
    if (c->ns)
        jd_put(doc, "metadata.namespace", jd_string(c->ns));
    if (c->name)
        jd_put(doc, "metadata.name", jd_string(c->name));
    return NULL;
}

/* An event that came as events.k8s.io/v1 is stored as the core one. */
static void old_event(struct json_t *doc)
{
    static const char *const names[][2] = {{"regarding", "involvedObject"}, {"note", "message"},
                                           {"reportingController", "reportingComponent"},
                                           {"deprecatedSource", "source"}, {"deprecatedCount", "count"},
                                           {"deprecatedFirstTimestamp", "firstTimestamp"},
                                           {"deprecatedLastTimestamp", "lastTimestamp"}};

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct json_t *v = jd_member(doc, names[i][0]);
        if (v) {
            jd_set(doc, names[i][1], jd_ref(v));
            jd_del(doc, names[i][0]);
        }
    }
}

void api_create(struct api_call *c)
{
    struct json_t *doc = NULL;
    struct refusal *f = read_object(c, &doc);
    bool dry = !f && api_dry_run(c, NULL, &f);
    char *manager = api_manager(c);

    if (!f)
        f = place_object(c, doc);
    if (!f && c->kind->id == KIND_EVENT_NEW)
        old_event(doc);
    if (!f) {
        struct json_t *meta = jd_get(doc, "metadata");
        jd_del(meta, "creationTimestamp");
        jd_del(meta, "deletionTimestamp");
        f = quota_check(c->k, c->kind->stored, doc);
        if (!f)
            f = kube_create(c->k, c->kind->stored, doc, manager, dry);
    }
    if (f)
        api_refuse(c, f);
    else
        api_reply_object(c, 201, doc);
    if (!f && !c->name)
        c->name = mem_strdup(object_name(doc)); /* for the audit */
    free(manager);
    jd_free(doc);
}

/* PUT and PATCH of the object leave status alone; those of …/status change nothing else. */
static void confine(const struct api_call *c, const struct json_t *old, struct json_t **doc)
{
    struct json_t *status;

    if (!c->kind->status)
        return;
    if (str_eq(c->sub, "status")) {
        struct json_t *whole = jd_copy(old);
        const char *rv = jd_str(*doc, "metadata.resourceVersion");
        status = jd_member(*doc, "status");
        if (rv)
            jd_put(whole, "metadata.resourceVersion", jd_string(rv));
        if (status)
            jd_set(whole, "status", jd_ref(status));
        jd_free(*doc);
        *doc = whole;
    } else {
        status = jd_member(old, "status");
        if (status)
            jd_set(*doc, "status", jd_copy(status));
        else
            jd_del(*doc, "status");
    }
}

static void finish_update(struct api_call *c, struct json_t *old, struct json_t **doc, bool dry, struct refusal *f)
{
    char *manager = api_manager(c);

    if (!f) {
        confine(c, old, doc);
        f = kube_update(c->k, c->kind->stored, *doc, manager, dry);
    }
    if (f)
        api_refuse(c, f);
    else
        api_reply_object(c, 200, *doc);
    free(manager);
}

void api_update(struct api_call *c)
{
    struct json_t *doc = NULL, *old = kube_get(c->k, c->kind->stored, c->ns, c->name);
    struct refusal *f = read_object(c, &doc);
    bool dry = !f && api_dry_run(c, NULL, &f);

    if (!f)
        f = place_object(c, doc);
    if (!f && !old)
        f = refuse_not_found(c->kind, c->name);
    if (!f && !jd_str(doc, "metadata.resourceVersion") && c->kind->id == KIND_LEASE)
        f = refuse_invalid(c->kind, c->name, "FieldValueInvalid", "metadata.resourceVersion",
                           "Invalid value: 0x0: must be specified for an update");
    finish_update(c, old, &doc, dry, f);
    jd_free(doc);
    jd_free(old);
}

/* ---- PATCH ------------------------------------------------------------------------------------------------------- */

static struct refusal *json_patch(struct json_t *doc, const struct json_t *ops)
{
    struct err *e = patch_json(doc, ops);
    struct refusal *f = NULL;

    if (!e)
        return NULL;
    if (err_kind(e) == ERR_DATA)
        f = refuse_bad_request("%s", err_text(e));
    else
        f = refusal_new(422, "Invalid", jd_object(), "the server rejected our request due to an error in our request");
    err_free(e);
    return f;
}

static struct refusal *patched(const struct api_call *c, const struct json_t *old, struct json_t **ret)
{
    const char *type = http_request_header(c->r, "Content-Type");
    struct json_t *patch = NULL, *doc;
    struct refusal *f = read_body(c, "patch", &patch);

    if (f)
        return f;
    doc = jd_copy(old);
    if (type && str_starts(type, "application/json-patch+json"))
        f = json_patch(doc, patch);
    else if (!jd_is_object(patch))
        f = refuse_bad_request("error decoding patch: json: cannot unmarshal into Go value of type "
                               "map[string]interface {}");
    else if (type && str_starts(type, "application/merge-patch+json"))
        patch_merge(doc, patch);
    else if (type && str_starts(type, "application/strategic-merge-patch+json"))
        patch_strategic(doc, patch);
    else
        f = refuse_media_type("application/json-patch+json, application/merge-patch+json, "
                                 "application/strategic-merge-patch+json, application/apply-patch+yaml");
    jd_free(patch);
    *ret = doc;
    return f;
}

static struct json_t *from_yaml(const struct yaml_node *n)
{
    struct json_t *out;
    int64_t i;
    bool b;

    if (!n || yaml_is_null(n))
        return jd_null();
    if (n->kind == YAML_SCALAR) {
        if (!n->quoted && yaml_bool(n, &b))
            return jd_bool(b);
        return !n->quoted && yaml_int(n, &i) ? jd_int(i) : jd_string(n->text);
    }
    out = n->kind == YAML_MAP ? jd_object() : jd_array();
    for (size_t j = 0; j < n->count; j++) {
        if (n->kind == YAML_MAP)
            jd_set(out, n->keys[j]->text, from_yaml(n->values[j]));
        else
            jd_append(out, from_yaml(n->values[j]));
    }
    return out;
}

static struct refusal *read_apply(const struct api_call *c, struct json_t **ret)
{
    struct slice body = http_request_body(c->r);
    struct yaml_doc *y = NULL;
    struct err *e = yaml_parse(body.p ? body.p : "", body.n, "body", &y);

    if (e) {
        struct refusal *f = refuse_bad_request("error decoding YAML: %s", err_text(e));
        err_free(e);
        return f;
    }
    *ret = from_yaml(y->root);
    yaml_free(y);
    if (!jd_is_object(*ret) || !http_request_query(c->r, "fieldManager"))
        return refuse_bad_request("PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is "
                                  "required for "
                                  "apply patch");
    jd_del(*ret, "kind");
    jd_del(*ret, "apiVersion");
    return place_object(c, *ret);
}

static struct refusal *refuse_apply_conflict(const char *manager, const char *path)
{
    struct json_t *d = object_parse("{'causes':[{'reason':'FieldManagerConflict','message':'conflict with \\\"%s\\\"',"
                                    "'field':'%s'}]}",
                                    manager, path);

    return refusal_new(409, "Conflict", d, "Apply failed with 1 conflict: conflict with \"%s\": %s", manager, path);
}

/* Server-side apply: the intent is merged in; what somebody else owns and differs is a conflict unless forced. */
static void api_apply(struct api_call *c)
{
    struct json_t *want = NULL, *old = kube_get(c->k, c->kind->stored, c->ns, c->name), *doc = NULL;
    struct refusal *f = read_apply(c, &want);
    bool dry = !f && api_dry_run(c, NULL, &f);
    char *manager = api_manager(c), *other = NULL, *path = NULL;
    char now[40];

    if (!f && !str_eq(http_request_query(c->r, "force"), "true") && old &&
        fields_conflict(want, old, manager, &other, &path))
        f = refuse_apply_conflict(other, path);
    if (!f) {
        struct fields_author by = {.manager = manager, .operation = "Apply", .time = object_time(kube_now(c->k), now),
                                   .api_version = kube_kind_api_version(c->kind)};
        doc = old ? jd_copy(old) : jd_copy(want);
        if (old)
            patch_strategic(doc, want);
        f = old ? kube_update(c->k, c->kind->stored, doc, manager, true)
                : kube_create(c->k, c->kind->stored, doc, manager, true);
        if (!f) {
            fields_apply(want, doc, &by);
            if (!dry)
                store_put(c->k->store, c->kind->stored, doc);
        }
    }
    if (f)
        api_refuse(c, f);
    else
        api_reply_object(c, old ? 200 : 201, doc);
    free(manager);
    free(other);
    free(path);
    jd_free(want);
    jd_free(old);
    jd_free(doc);
}

void api_patch(struct api_call *c)
{
    const char *type = http_request_header(c->r, "Content-Type");
    struct json_t *old, *doc = NULL;
    struct refusal *f = NULL;

    if (type && str_starts(type, "application/apply-patch+yaml")) {
        api_apply(c);
        return;
    }
    old = kube_get(c->k, c->kind->stored, c->ns, c->name);
    bool dry = api_dry_run(c, NULL, &f);
    if (!f)
        f = old ? patched(c, old, &doc) : refuse_not_found(c->kind, c->name);
    if (!f)
        f = place_object(c, doc);
    finish_update(c, old, &doc, dry, f);
    jd_free(doc);
    jd_free(old);
}

/* ---- DELETE ------------------------------------------------------------------------------------------------------ */

static struct refusal *check_preconditions(const struct api_call *c, const struct json_t *old,
                                           const struct json_t *options)
{
    const char *uid = jd_str(options, "preconditions.uid"), *rv = jd_str(options, "preconditions.resourceVersion");
    const char *has_uid = object_uid_of(old), *has_rv = jd_str(old, "metadata.resourceVersion");
    char *why = NULL;

    if (uid && !str_eq(uid, has_uid))
        why = str_printf("the UID in the precondition (%s) does not match the UID in record (%s). The object might "
                         "have "
                         "been deleted and then recreated",
                         uid, has_uid);
    else if (rv && !str_eq(rv, has_rv))
        why = str_printf("the ResourceVersion in the precondition (%s) does not match the ResourceVersion in record "
                         "(%s). "
                         "The object might have been modified",
                         rv, has_rv);
    if (!why)
        return NULL;
    struct refusal *f = refuse_conflict(c->kind, c->name, why);
    free(why);
    return f;
}

struct delete_options {
    const char *policy;
    int64_t grace_s;
};

static struct delete_options delete_options(const struct api_call *c, const struct json_t *body)
{
    const char *policy = http_request_query(c->r, "propagationPolicy");
    const char *grace = http_request_query(c->r, "gracePeriodSeconds");
    struct delete_options o = {.policy = policy ? policy : jd_str(body, "propagationPolicy"),
                               .grace_s = jd_num(body, "gracePeriodSeconds", -1)};

    if (grace)
        (void)!slice_to_i64(slice_of(grace), &o.grace_s);
    return o;
}

static void reply_deleted(const struct api_call *c, const struct json_t *doc, bool gone)
{
    if (!gone || c->kind->id == KIND_POD || c->kind->id == KIND_CLAIM || c->kind->id == KIND_VOLUME) {
        api_reply_object(c, 200, doc);
        return;
    }
    struct json_t *s = object_parse("{'kind':'Status','apiVersion':'v1','metadata':{},'status':'Success','details':{"
                                    "'name':'%s','group':'%s','kind':'%s','uid':'%s'}}",
                                    object_name(doc), c->kind->group, c->kind->plural, object_uid_of(doc));
    if (!c->kind->group[0])
        jd_del(jd_get(s, "details"), "group");
    api_reply_doc(c, 200, s);
    jd_free(s);
}

/* DeleteOptions from protobuf, as a document. */
static struct json_t *options_from_protobuf(struct slice body)
{
    struct slice o = protobuf_object(body), preconditions = protobuf_field(o, 2);
    char *uid = slice_dup(protobuf_field(preconditions, 1)), *rv = slice_dup(protobuf_field(preconditions, 2));
    char *policy = slice_dup(protobuf_field(o, 4)), *dry = slice_dup(protobuf_field(o, 5));
    struct json_t *doc = jd_object();
    int64_t grace;

    if (protobuf_number(o, 1, &grace))
        jd_set(doc, "gracePeriodSeconds", jd_int(grace));
    if (uid && uid[0])
        jd_put(doc, "preconditions.uid", jd_string(uid));
    if (rv && rv[0])
        jd_put(doc, "preconditions.resourceVersion", jd_string(rv));
    if (policy && policy[0])
        jd_set(doc, "propagationPolicy", jd_string(policy));
    if (dry && dry[0]) {
        jd_set(doc, "dryRun", jd_array());
        jd_append(jd_get(doc, "dryRun"), jd_string(dry));
    }
    free(uid);
    free(rv);
    free(policy);
    free(dry);
    return doc;
}

static struct refusal *read_options(const struct api_call *c, struct json_t **ret)
{
    if (!protobuf_is(http_request_body(c->r)))
        return read_body(c, "DeleteOptions", ret);
    *ret = options_from_protobuf(http_request_body(c->r));
    return NULL;
}

void api_delete(struct api_call *c)
{
    struct json_t *options = NULL, *old = kube_get(c->k, c->kind->stored, c->ns, c->name), *doc = NULL;
    struct refusal *f = read_options(c, &options);
    bool gone = false, dry = !f && api_dry_run(c, options, &f);

    if (!f)
        f = old ? check_preconditions(c, old, options) : refuse_not_found(c->kind, c->name);
    if (f) {
        api_refuse(c, f);
    } else {
        struct delete_options o = delete_options(c, options);
        kube_delete(c->k, c->kind->stored, c->ns, c->name, o.policy, o.grace_s, dry, &doc, &gone);
        reply_deleted(c, doc, gone);
    }
    jd_free(doc);
    jd_free(old);
    jd_free(options);
}

void api_delete_collection(struct api_call *c)
{
    size_t from, to, count;
    struct version *const *all = store_all(c->k->store, c->kind->stored, &count);
    char **names;

    store_range(c->k->store, c->kind->stored, c->ns, &from, &to);
    count = to - from;
    names = mem_calloc(count + 1, sizeof *names);
    for (size_t i = 0; i < count; i++)
        names[i] = mem_strdup(version_name(all[from + i]));
    for (size_t i = 0; c->ns && i < count; i++)
        kube_delete(c->k, c->kind->stored, c->ns, names[i], NULL, -1, false, NULL, NULL);
    for (size_t i = 0; i < count; i++)
        free(names[i]);
    free(names);
    struct json_t *s = object_parse("{'kind':'Status','apiVersion':'v1','metadata':{},'status':'Success'}");
    api_reply_doc(c, 200, s);
    jd_free(s);
}
