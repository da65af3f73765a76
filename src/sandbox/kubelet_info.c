/* What a backend is told of a pod. */
#include <stdlib.h>

#include "base/hash.h"
#include "base/json_doc.h"
#include "base/mem.h"
#include "sandbox/kube.h"
#include "sandbox/kubelet.h"
#include "sandbox/object.h"

const char *pod_app(const struct json_t *pod)
{
    const char *app = object_label(pod, "app");

    app = app ? app : object_label(pod, "app.kubernetes.io/name");
    return app ? app : "";
}

static struct json_t *volume_named(const struct json_t *pod, const char *name)
{
    struct json_t *list = jd_get(pod, "spec.volumes");

    for (size_t i = 0; i < jd_len(list); i++)
        if (str_eq(jd_str(jd_at(list, i), "name"), name))
            return jd_at(list, i);
    return NULL;
}

static void add_claim(struct kube *k, struct pod_info *info, const struct json_t *mount, const char *claim_name)
{
    struct json_t *claim = kube_get(k, KIND_CLAIM, info->ns, claim_name);
    struct json_t *pv = claim ? kube_get(k, KIND_VOLUME, NULL, jd_str(claim, "spec.volumeName")) : NULL;

    info->claims = mem_reallocarray(info->claims, info->claim_count + 1, sizeof info->claims[0]);
    info->claims[info->claim_count++] = (struct pod_claim){
        .volume = mem_strdup(jd_str(mount, "name")),
        .claim = mem_strdup(claim_name),
        .claim_uid = mem_strdup(claim ? object_uid_of(claim) : ""),
        .mount_path = mem_strdup(jd_str(mount, "mountPath")),
        .sub_path = mem_strdup(jd_str(mount, "subPath")),
        .volume_handle = mem_strdup(!pv ? "" : jd_str(pv, "spec.csi.volumeHandle") ? jd_str(pv, "spec.csi.volumeHandle")
                                                                                  : object_name(pv)),
        .storage_class = mem_strdup(claim ? jd_str(claim, "spec.storageClassName") : NULL),
    };
    jd_free(pv);
    jd_free(claim);
}

/* The value that a Secret's key holds; NULL if there is none. */
static char *secret_value(struct kube *k, const char *ns, const struct json_t *ref)
{
    struct json_t *secret = kube_get(k, KIND_SECRET, ns, jd_str(ref, "name"));
    const char *key = jd_str(ref, "key");
    const char *text = secret && key ? jd_string_value(jd_member(jd_member(secret, "data"), key)) : NULL;
    struct buf plain = {0};
    char *value = text && hash_base64_decode(slice_of(text), &plain) ? mem_strdup(buf_str(&plain)) : NULL;

    buf_free(&plain);
    jd_free(secret);
    return value;
}

static void add_env(struct kube *k, struct pod_info *info, const struct json_t *container)
{
    struct json_t *list = jd_get(container, "env");

    for (size_t i = 0; i < jd_len(list); i++) {
        const struct json_t *e = jd_at(list, i), *ref = jd_get(e, "valueFrom.secretKeyRef");
        const char *plain = jd_str(e, "value");
        char *value = ref ? secret_value(k, info->ns, ref) : plain ? mem_strdup(plain) : NULL;
        if (!value)
            continue;
        info->env = mem_reallocarray(info->env, info->env_count + 1, sizeof info->env[0]);
        info->env[info->env_count++] = (struct pod_env){mem_strdup(jd_str(e, "name")), value};
    }
}

const char *pod_info_env(const struct pod_info *info, const char *name)
{
    for (size_t i = 0; i < info->env_count; i++)
        if (str_eq(info->env[i].name, name))
            return info->env[i].value;
    return NULL;
}

static char *init_commands(const struct json_t *pod)
{
    struct json_t *list = jd_get(pod, "spec.initContainers");
    struct buf b = {0};

    for (size_t i = 0; i < jd_len(list); i++) {
        static const char *const parts[] = {"command", "args"};
        for (size_t p = 0; p < ARRAY_LEN(parts); p++) {
            struct json_t *words = jd_get(jd_at(list, i), parts[p]);
            for (size_t w = 0; w < jd_len(words); w++)
                buf_printf(&b, "%s ", jd_string_value(jd_at(words, w)));
        }
        buf_addc(&b, '\n');
    }
    return jd_len(list) ? buf_steal(&b) : NULL;
}

struct pod_info pod_info_new(struct kube *k, const struct json_t *pod, unsigned restarts)
{
    struct pod_info info = {.ns = mem_strdup(object_namespace(pod)), .name = mem_strdup(object_name(pod)),
                            .uid = mem_strdup(object_uid_of(pod)), .node = mem_strdup(jd_str(pod, "spec.nodeName")),
                            .ip = mem_strdup(jd_str(pod, "status.podIP")), .app = mem_strdup(pod_app(pod)),
                            .restart = restarts};
    struct json_t *containers = jd_get(pod, "spec.containers");

    info.grace_ms = 1000 * (jd_get(pod, "metadata.deletionGracePeriodSeconds")
                                ? jd_num(pod, "metadata.deletionGracePeriodSeconds", 0)
                                : jd_num(pod, "spec.terminationGracePeriodSeconds", 30));
    info.init = init_commands(pod);
    add_env(k, &info, jd_at(containers, 0));
    for (size_t i = 0; i < jd_len(containers); i++) {
        struct json_t *mounts = jd_get(jd_at(containers, i), "volumeMounts");
        for (size_t j = 0; j < jd_len(mounts); j++) {
            struct json_t *v = volume_named(pod, jd_str(jd_at(mounts, j), "name"));
            const char *claim = v ? jd_str(v, "persistentVolumeClaim.claimName") : NULL;
            if (claim)
                add_claim(k, &info, jd_at(mounts, j), claim);
        }
    }
    return info;
}

void pod_info_clear(struct pod_info *info)
{
    for (size_t i = 0; i < info->claim_count; i++) {
        struct pod_claim *c = &info->claims[i];
        free(c->volume);
        free(c->claim);
        free(c->claim_uid);
        free(c->mount_path);
        free(c->sub_path);
        free(c->volume_handle);
        free(c->storage_class);
    }
    for (size_t i = 0; i < info->env_count; i++) {
        free(info->env[i].name);
        free(info->env[i].value);
    }
    free(info->env);
    free(info->init);
    free(info->claims);
    free(info->ns);
    free(info->name);
    free(info->uid);
    free(info->node);
    free(info->ip);
    free(info->app);
}
