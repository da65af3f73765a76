/* The garbage collector: what an owner's end means for what it owns, orphaning, and the end of a namespace. */
#include <stdlib.h>
#include <string.h>

#include "base/json_doc.h"
#include "base/mem.h"
#include "sandbox/controllers.h"
#include "sandbox/kube.h"
#include "sandbox/object.h"

#define KCM "kube-controller-manager"

struct owner {
    struct kube *k;
    const char *uid;
    bool orphan;
    enum kube_id kind;
    size_t found;
};

static void drop_reference(struct kube *k, enum kube_id kind, struct json_t *doc, const char *uid)
{
    struct json_t *refs = jd_get(doc, "metadata.ownerReferences");

    for (size_t i = jd_len(refs); i-- > 0;)
        if (str_eq(jd_str(jd_at(refs, i), "uid"), uid))
            jd_remove_at(refs, i);
    kube_write(k, kind, doc, KCM);
}

static bool dependent(void *arg, struct json_t *doc)
{
    struct owner *o = arg;

    if (!owned_by(doc, o->uid))
        return true;
    o->found++;
    if (o->orphan)
        drop_reference(o->k, o->kind, doc, o->uid);
    else if (!object_terminating(doc))
        kube_delete(o->k, o->kind, object_namespace(doc), object_name(doc), "Background", -1, false, NULL, NULL);
    return true;
}

static size_t dependents(struct kube *k, const char *ns, const char *uid, bool orphan)
{
    static const enum kube_id kinds[] = {KIND_REPLICASET, KIND_POD, KIND_JOB, KIND_REVISION, KIND_CLAIM};
    struct owner o = {.k = k, .uid = uid, .orphan = orphan};

    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        o.kind = kinds[i];
        each_object(k, (int)kinds[i], ns, dependent, &o);
    }
    return o.found;
}

/* ---- Namespaces -------------------------------------------------------------------------------------------------- */

struct sweep {
    struct kube *k;
    enum kube_id kind;
    size_t left;
};

static bool sweep_one(void *arg, struct json_t *doc)
{
    struct sweep *s = arg;

    s->left++;
    if (!object_terminating(doc))
        kube_delete(s->k, s->kind, object_namespace(doc), object_name(doc), "Background", -1, false, NULL, NULL);
    return true;
}

static void end_namespace(struct kube *k, struct json_t *doc, const char *key)
{
    struct sweep s = {.k = k};
    char *name = str_printf("%s/%s", object_name(doc), object_uid_of(doc));

    if (!str_eq(jd_str(doc, "status.phase"), "Terminating")) {
        jd_put(doc, "status.phase", jd_string("Terminating"));
        kube_write(k, KIND_NAMESPACE, doc, KCM);
    }
    for (size_t i = 0; i < KIND_COUNT; i++) {
        if (!kube_kinds[i].namespaced || i == KIND_EVENT_NEW)
            continue;
        s.kind = (enum kube_id)i;
        each_object(k, (int)i, object_name(doc), sweep_one, &s);
    }
    if (s.left == 0)
        store_del(k->store, KIND_NAMESPACE, NULL, object_name(doc), NULL);
    else
        controllers_queue(k, QUEUE_GARBAGE, key, name, 500);
    free(name);
}

/* ---- One object that goes or has gone ---------------------------------------------------------------------------- */

static void finalise(struct kube *k, enum kube_id kind, struct json_t *doc, const char *key)
{
    const char *ns = object_namespace(doc), *uid = object_uid_of(doc);

    if (object_has_finalizer(doc, "orphan")) {
        dependents(k, ns, uid, true);
        object_drop_finalizer(doc, "orphan");
        kube_write(k, kind, doc, KCM);
    } else if (object_has_finalizer(doc, "foregroundDeletion")) {
        if (dependents(k, ns, uid, false) == 0) {
            object_drop_finalizer(doc, "foregroundDeletion");
            kube_write(k, kind, doc, KCM);
        } else {
            char *name = str_printf("%s/%s", object_name(doc), uid);
            controllers_queue(k, QUEUE_GARBAGE, key, name, 300);
            free(name);
        }
    } else if (kind == KIND_NAMESPACE) {
        end_namespace(k, doc, key);
    }
}

void garbage_sync(struct kube *k, const char *kind_ns, const char *name_uid)
{
    const char *ns = strchr(kind_ns, '/') + 1, *uid = strchr(name_uid, '/') + 1;
    enum kube_id kind = (enum kube_id)atoi(kind_ns);
    char *name = mem_strndup(name_uid, (size_t)(uid - name_uid) - 1);
    struct json_t *doc = kube_get(k, kind, ns, name);

    if (doc && str_eq(object_uid_of(doc), uid)) {
        if (object_terminating(doc))
            finalise(k, kind, doc, kind_ns);
    } else if (uid[0]) {
        dependents(k, ns, uid, false);
    }
    jd_free(doc);
    free(name);
}
