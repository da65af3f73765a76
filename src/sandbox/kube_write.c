/* How objects come, change and go: what the API server does for every kind. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_doc.h"
#include "base/mem.h"
#include "sandbox/defaults.h"
#include "sandbox/fields.h"
#include "sandbox/kube.h"
#include "sandbox/object.h"

int64_t kube_now(const struct kube *k)
{
    return k->pretend_ms ? k->pretend_ms : sandbox_now_ms(k->sb);
}

struct json_t *kube_get(struct kube *k, enum kube_id kind, const char *ns, const char *name)
{
    struct version *v = name ? store_get(k->store, kind, ns, name) : NULL;

    return v ? version_doc(v) : NULL;
}

static void note_author(struct kube *k, enum kube_id kind, const struct json_t *before, struct json_t *doc,
                        const char *manager, bool status)
{
    char now[40];
    struct fields_author by = {.manager = manager, .operation = "Update", .subresource = status ? "status" : NULL,
                               .api_version = kube_kind_api_version(&kube_kinds[kind]),
                               .time = object_time(kube_now(k), now)};

    fields_update(before, doc, &by);
}

static struct refusal *check_namespace(struct kube *k, enum kube_id kind, const struct json_t *doc)
{
    const char *ns = object_namespace(doc);

    if (!kube_kinds[kind].namespaced || store_get(k->store, KIND_NAMESPACE, NULL, ns ? ns : ""))
        return NULL;
    return refuse_not_found(&kube_kinds[KIND_NAMESPACE], ns ? ns : "");
}

static void name_object(struct json_t *doc)
{
    const char *prefix = jd_str(doc, "metadata.generateName");
    char suffix[8];

    if (object_name(doc) || !prefix)
        return;
    object_suffix(suffix, 5);
    char *name = str_printf("%s%s", prefix, suffix);
    jd_put(doc, "metadata.name", jd_string(name));
    free(name);
}

static struct refusal *refuse_being_deleted(const struct kube_kind *kind, const char *name)
{
    struct refusal *f = refuse_exists(kind, name);

    free(f->message);
    f->message = str_printf("object is being deleted: %s \"%s\" already exists", kube_kind_qualified(kind), name);
    return f;
}

/* Kinds whose metadata.generation counts the changes of spec. */
static bool has_generation(enum kube_id kind)
{
    return kind == KIND_DEPLOYMENT || kind == KIND_REPLICASET || kind == KIND_STATEFULSET || kind == KIND_DAEMONSET ||
           kind == KIND_CRONJOB || kind == KIND_JOB || kind == KIND_PDB;
}

struct refusal *kube_create(struct kube *k, enum kube_id kind, struct json_t *doc, const char *manager, bool dry_run)
{
    const struct kube_kind *kk = &kube_kinds[kind];
    char uid[UID_SIZE], now[40];

    name_object(doc);
    if (!object_name(doc))
        return refuse_invalid(kk, "", "FieldValueRequired", "metadata.name", "Required value: name or generateName "
                                                                             "is required");
    struct refusal *f = check_namespace(k, kind, doc);
    struct version *there = f ? NULL : store_get(k->store, kind, object_namespace(doc), object_name(doc));
    if (there) {
        struct json_t *old = version_doc(there);
        f = object_terminating(old) ? refuse_being_deleted(kk, object_name(doc)) : refuse_exists(kk, object_name(doc));
        jd_free(old);
    }
    if (f || (f = defaults_check(kind, NULL, doc)))
        return f;
    jd_put(doc, "metadata.uid", jd_string(object_uid(uid)));
    if (!jd_str(doc, "metadata.creationTimestamp"))
        jd_put(doc, "metadata.creationTimestamp", jd_string(object_time(kube_now(k), now)));
    if (has_generation(kind))
        jd_put(doc, "metadata.generation", jd_int(1));
    defaults_set(kind, doc);
    struct json_t *meta = jd_get(doc, "metadata");
    jd_del(meta, "managedFields");
    note_author(k, kind, NULL, doc, manager, false);
    defaults_status(kind, doc);
    if (dry_run) {
        jd_del(meta, "resourceVersion");
        object_tidy(doc);
    } else {
        store_put(k->store, kind, doc);
    }
    return NULL;
}

static bool same_without_version(const struct json_t *a, const struct json_t *b)
{
    struct json_t *x = jd_copy(a), *y = jd_copy(b);

    object_tidy(x);
    object_tidy(y);
    jd_del(jd_get(x, "metadata"), "resourceVersion");
    jd_del(jd_get(y, "metadata"), "resourceVersion");
    bool same = jd_equal(x, y);
    jd_free(x);
    jd_free(y);
    return same;
}

/* Members of metadata that no client can change. */
static void keep_identity(const struct json_t *old, struct json_t *doc)
{
    static const char *const keep[] = {"uid", "creationTimestamp", "generation", "deletionTimestamp",
                                       "deletionGracePeriodSeconds", "generateName", "namespace", "managedFields"};
    struct json_t *was = jd_get(old, "metadata"), *meta = jd_get(doc, "metadata");

    for (size_t i = 0; i < ARRAY_LEN(keep); i++) {
        struct json_t *v = jd_member(was, keep[i]);
        if (v)
            jd_set(meta, keep[i], jd_copy(v));
        else
            jd_del(meta, keep[i]);
    }
}

static struct refusal *check_preconditions(const struct kube_kind *kk, const struct json_t *old,
                                           const struct json_t *doc)
{
    const char *rv = jd_str(doc, "metadata.resourceVersion"), *uid = jd_str(doc, "metadata.uid");

    if (rv && rv[0] && !str_eq(rv, jd_str(old, "metadata.resourceVersion")))
        return refuse_conflict(kk, object_name(old), NULL);
    if (uid && uid[0] && !str_eq(uid, object_uid_of(old))) {
        char *why = str_printf("Precondition failed: UID in precondition: %s, UID in object meta: %s", uid,
                               object_uid_of(old));
        struct refusal *f = refuse_conflict(kk, object_name(old), why);
        free(why);
        return f;
    }
    return NULL;
}

static bool finalizers_gone(const struct json_t *doc)
{
    return object_terminating(doc) && jd_len(jd_get(doc, "metadata.finalizers")) == 0 &&
           jd_num(doc, "metadata.deletionGracePeriodSeconds", 0) == 0;
}

struct refusal *kube_update(struct kube *k, enum kube_id kind, struct json_t *doc, const char *manager, bool dry_run)
{
    const struct kube_kind *kk = &kube_kinds[kind];
    struct json_t *old = kube_get(k, kind, object_namespace(doc), object_name(doc));

    if (!old)
        return refuse_not_found(kk, object_name(doc));
    struct refusal *f = check_preconditions(kk, old, doc);
    if (!f)
        f = defaults_check(kind, old, doc);
    if (f) {
        jd_free(old);
        return f;
    }
    keep_identity(old, doc);
    jd_put(doc, "metadata.resourceVersion", jd_string(jd_str(old, "metadata.resourceVersion")));
    if (jd_get(old, "metadata.generation") && !jd_equal(jd_get(old, "spec"), jd_get(doc, "spec")))
        jd_put(doc, "metadata.generation", jd_int(jd_num(old, "metadata.generation", 0) + 1));
    note_author(k, kind, old, doc, manager, false);
    if (kk->status)
        note_author(k, kind, old, doc, manager, true);
    if (finalizers_gone(doc)) {
        if (!dry_run)
            store_del(k->store, kind, object_namespace(doc), object_name(doc), old);
    } else if (!same_without_version(old, doc) && !dry_run) {
        store_put(k->store, kind, doc);
    }
    object_tidy(doc);
    jd_free(old);
    return NULL;
}

void kube_write(struct kube *k, enum kube_id kind, struct json_t *doc, const char *manager)
{
    refusal_free(kube_update(k, kind, doc, manager, false));
}

void kube_add(struct kube *k, enum kube_id kind, struct json_t *doc, const char *manager)
{
    refusal_free(kube_create(k, kind, doc, manager, false));
}

/* ---- DELETE ------------------------------------------------------------------------------------------------------ */

static int64_t own_grace(enum kube_id kind, const struct json_t *doc)
{
    bool unscheduled = !jd_str(doc, "spec.nodeName");
    const char *phase = jd_str(doc, "status.phase");

    if (kind != KIND_POD || unscheduled || str_eq(phase, "Succeeded") || str_eq(phase, "Failed"))
        return 0;
    return jd_num(doc, "spec.terminationGracePeriodSeconds", 30);
}

static void mark_deleted(struct kube *k, enum kube_id kind, struct json_t *doc, int64_t grace_s)
{
    char when[40];
    int64_t had = jd_num(doc, "metadata.deletionGracePeriodSeconds", INT64_MAX);

    if (object_terminating(doc) && grace_s >= had)
        return;
    if (!object_terminating(doc) && jd_get(doc, "metadata.generation"))
        jd_put(doc, "metadata.generation", jd_int(jd_num(doc, "metadata.generation", 0) + 1));
    jd_put(doc, "metadata.deletionTimestamp", jd_string(object_time(kube_now(k) + grace_s * 1000, when)));
    jd_put(doc, "metadata.deletionGracePeriodSeconds", jd_int(grace_s));
    (void)kind;
}

void kube_delete(struct kube *k, enum kube_id kind, const char *ns, const char *name, const char *policy,
                 int64_t grace_s, bool dry_run, struct json_t **ret_doc, bool *ret_gone)
{
    struct json_t *doc = kube_get(k, kind, ns, name);
    bool gone = false;

    if (!doc)
        return;
    struct json_t *before = jd_copy(doc);
    int64_t own = own_grace(kind, doc);
    if (kind != KIND_POD || own == 0)
        grace_s = 0;
    else if (grace_s < 0)
        grace_s = own;
    if (str_eq(policy, "Orphan"))
        object_add_finalizer(doc, "orphan");
    if (str_eq(policy, "Foreground"))
        object_add_finalizer(doc, "foregroundDeletion");
    gone = grace_s == 0 && jd_len(jd_get(doc, "metadata.finalizers")) == 0;
    if (!gone)
        mark_deleted(k, kind, doc, grace_s);
    if (!dry_run && gone)
        store_del(k->store, kind, ns, name, NULL);
    else if (!dry_run && !jd_equal(before, doc))
        store_put(k->store, kind, doc);
    jd_free(before);
    if (ret_gone)
        *ret_gone = gone;
    if (ret_doc)
        *ret_doc = jd_ref(doc);
    jd_free(doc);
}

/* ---- Events ------------------------------------------------------------------------------------------------------ */

void kube_event(struct kube *k, enum kube_id kind, const struct json_t *about, const char *component, const char *type,
                const char *reason, const char *fmt, ...)
{
    static unsigned serial;
    const struct kube_kind *kk = &kube_kinds[kind];
    const char *ns = object_namespace(about) ? object_namespace(about) : "default";
    char when[40], micro[40];
    va_list ap;

    va_start(ap, fmt);
    char *message = str_vprintf(fmt, ap);
    va_end(ap);
    bool scheduler = str_eq(component, "default-scheduler");
    object_time(kube_now(k), when);
    object_micro_time(kube_now(k), micro);
    struct json_t *e = object_parse(
        "{'metadata':{'name':'%s.%llx%04x','namespace':'%s'},'involvedObject':{'kind':'%s','namespace':'%s',"
        "'name':'%s','uid':'%s','apiVersion':'%s','resourceVersion':'%s'},'reason':'%s'}",
        object_name(about), (unsigned long long)kube_now(k) * 1000000ull, serial++ & 0xffff, ns, kk->name, ns,
        object_name(about), object_uid_of(about), kube_kind_api_version(kk),
        jd_str(about, "metadata.resourceVersion") ? jd_str(about, "metadata.resourceVersion") : "", reason);
    jd_set(e, "message", jd_string(message));
    jd_set(e, "source", scheduler ? jd_object() : object_parse("{'component':'%s'}", component));
    jd_set(e, "firstTimestamp", scheduler ? jd_null() : jd_string(when));
    jd_set(e, "lastTimestamp", scheduler ? jd_null() : jd_string(when));
    if (!scheduler)
        jd_set(e, "count", jd_int(1));
    jd_set(e, "type", jd_string(type));
    jd_set(e, "eventTime", scheduler ? jd_string(micro) : jd_null());
    if (scheduler)
        jd_set(e, "action", jd_string("Scheduling"));
    jd_set(e, "reportingComponent", jd_string(component));
    jd_set(e, "reportingInstance", jd_string(scheduler ? "default-scheduler-ferry-cp-1" : ""));
    kube_add(k, KIND_EVENT, e, component);
    jd_free(e);
    free(message);
}
