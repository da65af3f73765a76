/* See quota.h. What is used is counted anew, so that a quota is true also in the moment after a change. */
#include "sandbox/quota.h"

#include <stdio.h>
#include <string.h>

#include "base/json_doc.h"
#include "base/str.h"
#include "sandbox/controllers.h"
#include "sandbox/kube.h"
#include "sandbox/object.h"

struct usage {
    const char *class;       /* only claims of it; NULL: all */
    int64_t claims, bytes;
};

static int64_t quantity(const struct json_t *doc, const char *path)
{
    const char *text = jd_str(doc, path);
    int64_t n = 0;

    return text && str_quantity(slice_of(text), &n) ? n : 0;
}

static bool count_claim(void *arg, struct json_t *claim)
{
    struct usage *u = arg;

    if (u->class && !str_eq(jd_str(claim, "spec.storageClassName"), u->class))
        return true;
    u->claims++;
    u->bytes += quantity(claim, "spec.resources.requests.storage");
    return true;
}

static void print_amount(char *out, size_t size, int64_t n, bool bytes)
{
    if (bytes && n % (INT64_C(1) << 30) == 0)
        snprintf(out, size, "%lldGi", (long long)(n >> 30));
    else
        snprintf(out, size, "%lld", (long long)n);
}

struct check {
    struct kube *k;
    const struct json_t *claim;
    struct refusal *refusal;
};

/* "requests.storage", or "CLASS.storageclass.storage.k8s.io/requests.storage" for one class; the same for the count. */
static bool check_limit(struct check *c, const struct json_t *quota, const char *key, const char *limit)
{
    static const char of_class[] = ".storageclass.storage.k8s.io/";
    const char *mark = strstr(key, of_class), *what = mark ? mark + strlen(of_class) : key;
    const char *class = jd_str(c->claim, "spec.storageClassName");
    bool bytes = str_eq(what, "requests.storage");
    struct usage u = {0};
    int64_t hard = 0;
    char used[32], wants[32];

    if ((!bytes && !str_eq(what, "persistentvolumeclaims")) || !str_quantity(slice_of(limit), &hard))
        return true;
    if (mark && (!class || strlen(class) != (size_t)(mark - key) || strncmp(class, key, strlen(class)) != 0))
        return true;
    u.class = mark ? class : NULL;
    each_object(c->k, KIND_CLAIM, object_namespace(c->claim), count_claim, &u);
    int64_t has = bytes ? u.bytes : u.claims, more = bytes ? quantity(c->claim, "spec.resources.requests.storage") : 1;
    if (has + more <= hard)
        return true;
    print_amount(used, sizeof used, has, bytes);
    print_amount(wants, sizeof wants, more, bytes);
    c->refusal = refusal_new(403, "Forbidden", object_parse("{'name':'%s','kind':'persistentvolumeclaims'}",
                                                            object_name(c->claim)),
                             "persistentvolumeclaims \"%s\" is forbidden: exceeded quota: %s, requested: %s=%s, used: %s=%s, "
                             "limited: %s=%s", object_name(c->claim), object_name(quota), key, wants, key, used, key, limit);
    return false;
}

static bool check_quota(void *arg, struct json_t *quota)
{
    struct check *c = arg;
    struct json_t *hard = jd_get(quota, "spec.hard");

    for (void *it = hard ? jd_iter(hard) : NULL; it; it = jd_iter_next(hard, it)) {
        const char *limit = jd_string_value(jd_iter_value(it));
        if (limit && !check_limit(c, quota, jd_iter_key(it), limit))
            return false;
    }
    return true;
}

struct refusal *quota_check(struct kube *k, enum kube_id kind, const struct json_t *doc)
{
    struct check c = {.k = k, .claim = doc};

    if (kind == KIND_CLAIM && object_name(doc))
        each_object(k, KIND_QUOTA, object_namespace(doc), check_quota, &c);
    return c.refusal;
}
