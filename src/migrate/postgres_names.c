/* Names, paths and manifests of a PostgreSQL workload: what its phases share. */
#include "migrate/postgres.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/json_doc.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "net/http.h"
#include "world/world.h"

#define SCRATCH_MAX 52 /* a deployment's name that leaves room for "-" and the hashes of its pods */

const struct plan_postgres *postgres_spec(const struct run *r)
{
    return r->workload->spec;
}

/* An unknown fact of a preview reads as ‹name›, which is to be read, not to be sent. */
static void add_part(struct buf *out, const char *text)
{
    if (!text)
        buf_adds(out, "‹not known yet›");
    else if (strstr(text, "‹"))
        buf_adds(out, text);
    else
        http_escape(out, text);
}

/* name "": the collection. */
static struct kpath path_of(const char *base, const char *ns, const char *kind, const char *name, const char *rest)
{
    struct buf b = {0};
    struct kpath path;
    buf_adds(&b, base);
    if (ns) {
        buf_adds(&b, "/namespaces/");
        add_part(&b, ns);
    }
    buf_printf(&b, "/%s", kind);
    if (!name || *name) {
        buf_addc(&b, '/');
        add_part(&b, name);
    }
    buf_adds(&b, rest);
    str_copy(path.p, sizeof path.p, buf_str(&b));
    buf_free(&b);
    return path;
}

struct kpath postgres_path_deployment(const struct run *r)
{
    return path_of("/apis/apps/v1", r->workload->ns, "deployments", postgres_spec(r)->deployment, "");
}

struct kpath postgres_path_claims(const struct run *r)
{
    return path_of("/api/v1", r->workload->ns, "persistentvolumeclaims", "", "");
}

struct kpath postgres_path_claim(const struct run *r, const char *name)
{
    return path_of("/api/v1", r->workload->ns, "persistentvolumeclaims", name, "");
}

struct kpath postgres_path_volume(const char *name)
{
    return path_of("/api/v1", NULL, "persistentvolumes", name, "");
}

struct kpath postgres_path_pods(const struct run *r)
{
    return path_of("/api/v1", r->workload->ns, "pods", "", "");
}

struct kpath postgres_path_pods_of(const struct run *r, const char *selector)
{
    struct buf rest = {0};
    buf_adds(&rest, "?labelSelector=");
    add_part(&rest, selector);
    struct kpath path = path_of("/api/v1", r->workload->ns, "pods", "", buf_str(&rest));
    buf_free(&rest);
    return path;
}

struct kpath postgres_path_pod(const struct run *r, const char *name)
{
    return path_of("/api/v1", r->workload->ns, "pods", name, "");
}

struct kpath postgres_path_pod_log(const struct run *r, const char *pod, const char *container, bool previous, int lines)
{
    struct buf rest = {0};
    buf_printf(&rest, "/log?tailLines=%d%s", lines, previous ? "&previous=true" : "");
    if (container) {
        buf_adds(&rest, "&container=");
        add_part(&rest, container);
    }
    struct kpath path = path_of("/api/v1", r->workload->ns, "pods", pod, buf_str(&rest));
    buf_free(&rest);
    return path;
}

struct kpath postgres_path_app(const struct run *r, const char *kind_name)
{
    static const struct {
        const char *kind, *base, *plural;
    } kinds[] = {
        {"deployment", "/apis/apps/v1", "deployments"},
        {"statefulset", "/apis/apps/v1", "statefulsets"},
        {"cronjob", "/apis/batch/v1", "cronjobs"},
    };
    struct slice name = slice_of(kind_name), kind;
    slice_cut(&name, '/', &kind);
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        if (slice_is(kind, kinds[i].kind) && name.p)
            return path_of(kinds[i].base, r->workload->ns, kinds[i].plural, name.p, "");
    return (struct kpath){""};
}

struct kpath postgres_path_secret(const struct run *r, const char *name)
{
    return path_of("/api/v1", r->workload->ns, "secrets", name, "");
}

const char *postgres_scratch_name(const struct run *r, char *buf, size_t size)
{
    const char *name = r->workload->name;
    int n = snprintf(buf, size, "ferryman-scratch-%s", name);
    if (n <= SCRATCH_MAX && (size_t)n < size)
        return buf;
    char hash[HASH_HEX_SIZE];
    hash_hex(name, strlen(name), hash);
    snprintf(buf, size, "ferryman-scratch-%.20s-%.8s", name, hash);
    return buf;
}

struct json_t *postgres_object_new(const struct run *r, const char *api, const char *kind, const char *name)
{
    struct json_t *o = jd_object(), *labels = jd_object(), *annotations = jd_object();
    jd_set(o, "apiVersion", jd_string(api));
    jd_set(o, "kind", jd_string(kind));
    jd_put(o, "metadata.name", jd_string(name));
    jd_put(o, "metadata.namespace", jd_string(r->workload->ns));
    jd_set(labels, "app.kubernetes.io/managed-by", jd_string("ferryman"));
    jd_set(annotations, "ferryman.io/run", jd_string(r->id));
    jd_put(o, "metadata.labels", labels);
    jd_put(o, "metadata.annotations", annotations);
    return o;
}

struct json_t *postgres_claim_object(const struct run *r, const char *name)
{
    const struct plan_claim *c = &postgres_spec(r)->claim;
    struct json_t *o = postgres_object_new(r, "v1", "PersistentVolumeClaim", name ? name : c->name);
    struct json_t *annotations = jd_get(o, "metadata.annotations"), *modes = jd_array();
    char size[32];
    for (size_t i = 0; i < c->annotations.n; i++)
        jd_set(annotations, c->annotations.keys[i], jd_string(c->annotations.values[i]));
    if (c->size % (INT64_C(1) << 30) == 0)
        snprintf(size, sizeof size, "%lldGi", (long long)(c->size >> 30));
    else if (c->size % (INT64_C(1) << 20) == 0)
        snprintf(size, sizeof size, "%lldMi", (long long)(c->size >> 20));
    else
        snprintf(size, sizeof size, "%lld", (long long)c->size);
    jd_append(modes, jd_string("ReadWriteOnce"));
    jd_put(o, "spec.accessModes", modes);
    jd_put(o, "spec.storageClassName", jd_string(r->plan->target_class));
    jd_put(o, "spec.resources.requests.storage", jd_string(size));
    return o;
}

struct json_t *postgres_pod_spec(const struct json_t *object)
{
    struct json_t *spec = jd_get(object, "spec.template.spec");
    if (!spec)
        spec = jd_get(object, "spec.jobTemplate.spec.template.spec");
    return spec ? spec : jd_get(object, "spec");
}

int postgres_volume_index(const struct json_t *pod_spec, const char *volume)
{
    const struct json_t *volumes = jd_get(pod_spec, "volumes");
    for (size_t i = 0; i < jd_len(volumes); i++)
        if (str_eq(jd_str(jd_at(volumes, i), "name"), volume))
            return (int)i;
    return -1;
}

const char *postgres_volume_claim(const struct json_t *pod_spec, const char *volume)
{
    int i = postgres_volume_index(pod_spec, volume);
    return i < 0 ? NULL : jd_str(jd_at(jd_get(pod_spec, "volumes"), (size_t)i), "persistentVolumeClaim.claimName");
}

static const struct json_t *mount_of(const struct json_t *container, const char *volume)
{
    const struct json_t *mounts = jd_get(container, "volumeMounts");
    for (size_t i = 0; i < jd_len(mounts); i++)
        if (str_eq(jd_str(jd_at(mounts, i), "name"), volume))
            return jd_at(mounts, i);
    return NULL;
}

struct json_t *postgres_container(const struct json_t *pod_spec, const char *volume)
{
    const struct json_t *containers = jd_get(pod_spec, "containers");
    for (size_t i = 0; i < jd_len(containers); i++)
        if (mount_of(jd_at(containers, i), volume))
            return jd_at(containers, i);
    return NULL;
}

const char *postgres_mount_path(const struct json_t *container, const char *volume, const char **ret_sub_path)
{
    const struct json_t *mount = mount_of(container, volume);
    const char *sub = jd_str(mount, "subPath");
    *ret_sub_path = sub ? sub : "";
    return jd_str(mount, "mountPath");
}

const char *postgres_env(const struct json_t *container, const char *name)
{
    const struct json_t *env = jd_get(container, "env");
    for (size_t i = 0; i < jd_len(env); i++)
        if (str_eq(jd_str(jd_at(env, i), "name"), name))
            return jd_str(jd_at(env, i), "value");
    return NULL;
}

bool postgres_mounts(const struct json_t *pod_spec, const char *claim)
{
    const struct json_t *volumes = jd_get(pod_spec, "volumes");
    for (size_t i = 0; i < jd_len(volumes); i++)
        if (str_eq(jd_str(jd_at(volumes, i), "persistentVolumeClaim.claimName"), claim))
            return true;
    return false;
}

struct json_t *postgres_next_mounting(const struct json_t *list, const char *claim, size_t *it)
{
    const struct json_t *items = jd_get(list, "items");
    while (*it < jd_len(items)) {
        struct json_t *pod = jd_at(items, (*it)++);
        if (!postgres_pod_finished(pod) && postgres_mounts(jd_get(pod, "spec"), claim))
            return pod;
    }
    return NULL;
}

bool postgres_pod_finished(const struct json_t *pod)
{
    const char *phase = jd_str(pod, "status.phase");
    return str_eq(phase, "Succeeded") || str_eq(phase, "Failed");
}

bool postgres_pod_ready(const struct json_t *pod)
{
    const struct json_t *conditions = jd_get(pod, "status.conditions");
    if (jd_str(pod, "metadata.deletionTimestamp"))
        return false;
    for (size_t i = 0; i < jd_len(conditions); i++)
        if (str_eq(jd_str(jd_at(conditions, i), "type"), "Ready"))
            return str_eq(jd_str(jd_at(conditions, i), "status"), "True");
    return false;
}

bool postgres_job_ended(const struct json_t *job)
{
    const struct json_t *conditions = jd_get(job, "status.conditions");
    for (size_t i = 0; i < jd_len(conditions); i++) {
        const char *type = jd_str(jd_at(conditions, i), "type");
        if ((str_eq(type, "Complete") || str_eq(type, "Failed")) && str_eq(jd_str(jd_at(conditions, i), "status"), "True"))
            return true;
    }
    return jd_flag(job, "spec.suspend", false) && jd_num(job, "status.active", 0) == 0;
}

int64_t postgres_pod_restarts(const struct json_t *pod)
{
    const struct json_t *statuses = jd_get(pod, "status.containerStatuses");
    int64_t n = 0;
    for (size_t i = 0; i < jd_len(statuses); i++)
        n += jd_num(jd_at(statuses, i), "restartCount", 0);
    return n;
}

const char *postgres_owner(const struct json_t *object, const char **ret_kind)
{
    const struct json_t *owners = jd_get(object, "metadata.ownerReferences");
    *ret_kind = NULL;
    for (size_t i = 0; i < jd_len(owners); i++)
        if (jd_flag(jd_at(owners, i), "controller", false)) {
            *ret_kind = jd_str(jd_at(owners, i), "kind");
            return jd_str(jd_at(owners, i), "name");
        }
    return NULL;
}

struct json_t *postgres_pod_images(const struct json_t *pod)
{
    const struct json_t *statuses = jd_get(pod, "status.containerStatuses");
    struct json_t *images = jd_object();
    for (size_t i = 0; i < jd_len(statuses); i++) {
        const char *name = jd_str(jd_at(statuses, i), "name"), *id = jd_str(jd_at(statuses, i), "imageID");
        if (name)
            jd_set(images, name, jd_string(id ? id : ""));
    }
    return images;
}

static void add_term(struct buf *out, const char *key, const char *op, const char *values)
{
    if (out->len > 0)
        buf_addc(out, ',');
    if (str_eq(op, "="))
        buf_printf(out, "%s=%s", key, values);
    else if (str_eq(op, "Exists"))
        buf_adds(out, key);
    else if (str_eq(op, "DoesNotExist"))
        buf_printf(out, "!%s", key);
    else
        buf_printf(out, "%s %s (%s)", key, str_eq(op, "In") ? "in" : "notin", values);
}

void postgres_selector(const struct json_t *selector, struct buf *out)
{
    struct json_t *labels = jd_get(selector, "matchLabels");
    const struct json_t *terms = jd_get(selector, "matchExpressions");
    for (void *it = labels ? jd_iter(labels) : NULL; it; it = jd_iter_next(labels, it)) {
        const char *value = jd_string_value(jd_iter_value(it));
        add_term(out, jd_iter_key(it), "=", value ? value : "");
    }
    for (size_t i = 0; i < jd_len(terms); i++) {
        const struct json_t *values = jd_get(jd_at(terms, i), "values");
        const char *key = jd_str(jd_at(terms, i), "key"), *op = jd_str(jd_at(terms, i), "operator");
        struct buf list = {0};
        for (size_t k = 0; k < jd_len(values); k++) {
            const char *value = jd_string_value(jd_at(values, k));
            buf_printf(&list, "%s%s", k ? "," : "", value ? value : "");
        }
        if (key && op)
            add_term(out, key, op, buf_str(&list));
        buf_free(&list);
    }
}

static void set_part(struct run *r, const char *prefix, const char *part, const char *value)
{
    char name[64];
    snprintf(name, sizeof name, "%s.%s", prefix, part);
    run_set(r, name, value ? value : "");
}

void postgres_note_pod(struct run *r, const char *what, const struct json_t *pod)
{
    char prefix[32], restarts[24];
    snprintf(prefix, sizeof prefix, "pod.%s", what);
    snprintf(restarts, sizeof restarts, "%lld", (long long)postgres_pod_restarts(pod));
    set_part(r, prefix, "name", jd_str(pod, "metadata.name"));
    set_part(r, prefix, "uid", jd_str(pod, "metadata.uid"));
    set_part(r, prefix, "ip", jd_str(pod, "status.podIP"));
    set_part(r, prefix, "restarts", restarts);
    if (str_eq(what, "server") && !run_has(r, "deployment.image")) {
        struct json_t *images = postgres_pod_images(pod);
        run_set_json(r, "deployment.image", images);
        jd_free(images);
    }
}

void postgres_note_volume(struct run *r, const char *prefix, const struct json_t *volume)
{
    const char *handle = jd_str(volume, "spec.csi.volumeHandle");
    char place[512] = "";
    if (jd_get(volume, "spec.nfs"))
        snprintf(place, sizeof place, "%s:%s", jd_str(volume, "spec.nfs.server"), jd_str(volume, "spec.nfs.path"));
    set_part(r, prefix, "name", jd_str(volume, "metadata.name"));
    set_part(r, prefix, "uid", jd_str(volume, "metadata.uid"));
    set_part(r, prefix, "handle", handle ? handle : place);
    set_part(r, prefix, "reclaim", jd_str(volume, "spec.persistentVolumeReclaimPolicy"));
    set_part(r, prefix, "class", jd_str(volume, "spec.storageClassName"));
}

void postgres_criterion(struct run *r, const char *name, bool pass, int rank, const char *text)
{
    struct json_t *d = jd_object();
    struct buf fact = {0}, clean = {0};
    utf8_clean(&clean, slice_of(text));
    buf_printf(&fact, "criterion.%s", name);
    jd_set(d, "state", jd_string(pass ? "PASS" : "FAIL"));
    jd_set(d, "text", jd_string(buf_str(&clean)));
    jd_set(d, "at", jd_int(world_now(r->world)));
    jd_set(d, "rank", jd_int(rank));
    run_set_json(r, buf_str(&fact), d);
    jd_free(d);
    buf_free(&fact);
    buf_free(&clean);
}

void postgres_number(struct buf *out, int64_t n)
{
    char text[32];
    int len = snprintf(text, sizeof text, "%lld", (long long)n);
    for (int i = 0; i < len; i++) {
        buf_addc(out, text[i]);
        if (i + 1 < len && (len - i - 1) % 3 == 0 && text[i] != '-')
            buf_addc(out, ',');
    }
}
