/* Pods that somebody makes by hand to run a script to its end, as a check of a volume: the toy shell says what it would have found, with
 * the pod's user, its groups and its claims. */
#include "sandbox/kubelet_private.h"

#include <stdlib.h>
#include <string.h>

#include "base/json_doc.h"
#include "base/mem.h"
#include "sandbox/kube.h"
#include "sandbox/object.h"
#include "sandbox/pod_log.h"
#include "sandbox/toy_shell.h"
#include "sandbox/vault.h"

struct place {
    struct kube *k;
    const struct json_t *pod, *container;
    int64_t uid;
};

/* The claim that is mounted at the path or above it; a new reference, NULL: none. */
static struct json_t *claim_at(const struct place *p, const char *path, const char **ret_mount)
{
    const struct json_t *mounts = jd_get(p->container, "volumeMounts"), *volumes = jd_get(p->pod, "spec.volumes");

    for (size_t i = 0; i < jd_len(mounts); i++) {
        const char *at = jd_str(jd_at(mounts, i), "mountPath"), *name = jd_str(jd_at(mounts, i), "name");
        if (!at || strncmp(path, at, strlen(at)) != 0)
            continue;
        for (size_t v = 0; v < jd_len(volumes); v++) {
            const char *claim = jd_str(jd_at(volumes, v), "persistentVolumeClaim.claimName");
            if (!claim || !str_eq(jd_str(jd_at(volumes, v), "name"), name))
                continue;
            *ret_mount = at;
            return kube_get(p->k, KIND_CLAIM, object_namespace(p->pod), claim);
        }
    }
    return NULL;
}

/* A fresh file system of a block volume belongs to root; fsGroup gives it to the group. NFS lets everybody write here. */
static const char *refuses(void *arg, const char *path)
{
    const struct place *p = arg;
    const char *mount = "";
    struct json_t *claim = claim_at(p, path, &mount);
    const char *class = claim ? jd_str(claim, "spec.storageClassName") : NULL, *why = NULL;
    bool block = class && !str_starts(class, "nfs");

    if (block && p->uid != 0 && !jd_get(p->pod, "spec.securityContext.fsGroup"))
        why = "Permission denied";
    else if (block && strstr(mount, "audit") && vault_audit_is_full(p->k->sb))
        why = "No space left on device";
    jd_free(claim);
    return why;
}

static const char *script_of(const struct json_t *container)
{
    const struct json_t *command = jd_get(container, "command");
    const char *shell = jd_string_value(jd_at(command, 0)), *option = jd_string_value(jd_at(command, 1));

    if (!shell || !option || option[0] != '-' || !strchr(option, 'c') || !str_ends(shell, "sh"))
        return NULL;
    return jd_string_value(jd_at(command, 2) ? jd_at(command, 2) : jd_at(jd_get(container, "args"), 0));
}

static int64_t security(const struct json_t *pod, const struct json_t *container, const char *what)
{
    char *of_pod = str_printf("spec.securityContext.%s", what), *own = str_printf("securityContext.%s", what);
    int64_t id = jd_num(container, own, jd_num(pod, of_pod, 0));

    mem_free(own);
    mem_free(of_pod);
    return id;
}

bool run_script(struct run *r, int *ret_code)
{
    struct json_t *pod = run_pod(r), *container = pod ? jd_at(jd_get(pod, "spec.containers"), 0) : NULL;
    const char *script = container && !object_controller(pod) ? script_of(container) : NULL;
    struct buf out = {0};

    if (!script) {
        jd_free(pod);
        return false;
    }
    struct place p = {r->kl->k, pod, container, security(pod, container, "runAsUser")};
    int64_t gid = security(pod, container, "runAsGroup"), group = jd_num(pod, "spec.securityContext.fsGroup", gid);
    char *groups = group == gid ? str_printf("%lld", (long long)gid) : str_printf("%lld %lld", (long long)gid, (long long)group);
    struct toy_shell sh = {.uid = p.uid, .gid = gid, .groups = groups, .refuses = refuses, .arg = &p};
    *ret_code = toy_shell_run(&sh, script, &out);
    pod_log_add(r->log, buf_str(&out), out.len);
    buf_free(&out);
    mem_free(groups);
    jd_free(pod);
    return true;
}
