#include "migrate/pod_judge.h"

#include <string.h>

#include "base/json_doc.h"
#include "base/str.h"
#include "migrate/postgres.h"

void pod_command_text(const struct json_t *command, struct buf *out) {
    for (size_t i = 0; i < jd_len(command); i++) {
        const char *word = jd_string_value(jd_at(command, i));
        buf_printf(out, "%s%s", out->len ? " " : "", word ? word : "");
    }
}

bool pod_may_write(const struct json_t *container, const char *volume) {
    const struct json_t *mounts = jd_get(container, "volumeMounts");
    for (size_t i = 0; i < jd_len(mounts); i++)
        if (str_eq(jd_str(jd_at(mounts, i), "name"), volume) && !jd_flag(jd_at(mounts, i), "readOnly", false)) return true;
    return false;
}

/* ---- Who may write to a fresh volume ---- */

static bool is_root_chown(const struct json_t *init, const char *volume) {
    struct buf text = {0};
    bool chowns = pod_may_write(init, volume) && jd_num(init, "securityContext.runAsUser", -1) == 0;
    pod_command_text(jd_get(init, "command"), &text);
    pod_command_text(jd_get(init, "args"), &text);
    chowns = chowns && strstr(buf_str(&text), "chown");
    buf_free(&text);
    return chowns;
}

bool pod_judge_owner(const struct json_t *pod_spec, const char *volume, struct buf *out) {
    const struct json_t *container = postgres_container(pod_spec, volume), *init = jd_get(pod_spec, "initContainers");
    int64_t user = jd_num(container, "securityContext.runAsUser", jd_num(pod_spec, "securityContext.runAsUser", -1));
    bool nonroot = jd_flag(container, "securityContext.runAsNonRoot", jd_flag(pod_spec, "securityContext.runAsNonRoot", false));
    int64_t group = jd_num(pod_spec, "securityContext.fsGroup", -1);
    if (user <= 0 && !nonroot) {
        buf_adds(out, "the container begins as root and gives the volume to its user");
        return true;
    }
    if (group >= 0) {
        buf_printf(out, "runs as %lld, fsGroup %lld", (long long)user, (long long)group);
        return true;
    }
    for (size_t i = 0; i < jd_len(init); i++)
        if (is_root_chown(jd_at(init, i), volume)) {
            buf_printf(out, "init container %s gives the volume to its user", jd_str(jd_at(init, i), "name"));
            return true;
        }
    buf_adds(out, "the container does not run as root and the pod has no fsGroup: harmless on NFS, \"permission denied\" on a fresh block "
                  "volume. Set securityContext.fsGroup in the template");
    return false;
}

/* ---- The pod that would be ---- */

static void note_difference(struct buf *out, const char *what, const char *name, const struct json_t *a, const struct json_t *b) {
    struct buf x = {0}, y = {0};
    if (a) jd_dump(a, &x);
    if (b) jd_dump(b, &y);
    if (!str_eq(buf_str(&x), buf_str(&y)))
        buf_printf(out, "%s%s%s%s: runs with %.60s, would have %.60s", out->len ? "; " : "", what, *name ? " of " : "", name,
                   x.len ? buf_str(&x) : "none", y.len ? buf_str(&y) : "none");
    buf_free(&x);
    buf_free(&y);
}

static const struct json_t *by_name(const struct json_t *list, const char *name) {
    for (size_t i = 0; i < jd_len(list); i++)
        if (str_eq(jd_str(jd_at(list, i), "name"), name)) return jd_at(list, i);
    return NULL;
}

/* Mounts without the token's, which admission adds under a name of its own. */
static struct json_t *own_mounts(const struct json_t *container) {
    const struct json_t *mounts = jd_get(container, "volumeMounts");
    struct json_t *own = jd_array();
    for (size_t i = 0; i < jd_len(mounts); i++) {
        const char *path = jd_str(jd_at(mounts, i), "mountPath");
        if (!path || !str_starts(path, "/var/run/secrets/kubernetes.io")) jd_append(own, jd_copy(jd_at(mounts, i)));
    }
    return own;
}

/* Volumes without the token's and without claims, which change with the pod's name. */
static struct json_t *own_volumes(const struct json_t *spec) {
    const struct json_t *volumes = jd_get(spec, "volumes");
    struct json_t *own = jd_array();
    for (size_t i = 0; i < jd_len(volumes); i++) {
        const struct json_t *v = jd_at(volumes, i);
        const char *name = jd_str(v, "name");
        if (!jd_get(v, "persistentVolumeClaim") && (!name || !str_starts(name, "kube-api-access-"))) jd_append(own, jd_copy(v));
    }
    return own;
}

static struct json_t *env_names(const struct json_t *container) {
    const struct json_t *env = jd_get(container, "env");
    struct json_t *names = jd_array();
    for (size_t i = 0; i < jd_len(env); i++) {
        const char *name = jd_str(jd_at(env, i), "name");
        jd_append(names, jd_string(name ? name : ""));
    }
    return names;
}

/* Both are taken over. */
static void note_made(struct buf *out, const char *what, const char *name, struct json_t *a, struct json_t *b) {
    note_difference(out, what, name, a, b);
    jd_free(a);
    jd_free(b);
}

static const char *text_of(const char *text) {
    return text ? text : "";
}

static void compare_containers(const struct json_t *a, const struct json_t *b, const char *kind, struct buf *out) {
    static const char *const fields[] = {"image", "command", "args", "securityContext", "lifecycle", "resources", NULL};
    for (size_t i = 0; i < jd_len(a); i++) {
        const char *name = text_of(jd_str(jd_at(a, i), "name"));
        const struct json_t *other = by_name(b, name);
        if (!other) {
            buf_printf(out, "%s%s %s would not be there", out->len ? "; " : "", kind, name);
            continue;
        }
        for (size_t f = 0; fields[f]; f++)
            note_difference(out, fields[f], name, jd_member(jd_at(a, i), fields[f]), jd_member(other, fields[f]));
        note_made(out, "environment", name, env_names(jd_at(a, i)), env_names(other));
        note_made(out, "mounts", name, own_mounts(jd_at(a, i)), own_mounts(other));
    }
    for (size_t i = 0; i < jd_len(b); i++)
        if (!by_name(a, jd_str(jd_at(b, i), "name")))
            buf_printf(out, "%s%s %s would be new", out->len ? "; " : "", kind, text_of(jd_str(jd_at(b, i), "name")));
}

bool pod_judge_same(const struct json_t *running, const struct json_t *would, struct buf *out) {
    size_t before = out->len;
    note_difference(out, "securityContext", "the pod", jd_get(running, "securityContext"), jd_get(would, "securityContext"));
    compare_containers(jd_get(running, "initContainers"), jd_get(would, "initContainers"), "init container", out);
    compare_containers(jd_get(running, "containers"), jd_get(would, "containers"), "container", out);
    note_made(out, "volumes", "the pod", own_volumes(running), own_volumes(would));
    if (out->len > before) return false;
    buf_adds(out, "the pod that would be made now is the one that runs");
    return true;
}

bool pod_judge_images(const struct json_t *running, const struct json_t *would, struct buf *out) {
    const struct json_t *list = jd_get(running, "containers");
    bool same = true;
    for (size_t i = 0; i < jd_len(list); i++) {
        const char *name = jd_str(jd_at(list, i), "name"), *image = text_of(jd_str(jd_at(list, i), "image"));
        const struct json_t *other = by_name(jd_get(would, "containers"), name);
        const char *next = text_of(jd_str(other, "image"));
        if (!other || str_eq(image, next)) continue;
        buf_printf(out, "%scontainer %s runs %.80s and would come back with %.80s", out->len ? "; " : "", text_of(name), image, next);
        same = false;
    }
    return same;
}
