/* What a saved sandbox keeps of its Vault: the machine, what the volumes hold, what was written. */
#include "sandbox/vault_private.h"

#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/json_doc.h"
#include "base/map.h"
#include "base/mem.h"
#include "sandbox/kube.h"
#include "sandbox/save.h"
#include "sandbox/vault.h"

/* The machine as its bytes: a saved sandbox is gone on with by the same program. */
struct err *vault_save(struct sandbox *s, const char *folder, struct json_t *state)
{
    struct vault *v = vault_of(s);
    struct buf text = {0};
    struct json_t *volumes = jd_object(), *written = jd_object();
    struct slice key;
    size_t it = 0;
    (void)folder;
    for (int i = 0; i < VAULT_NODES; i++) {
        struct vault_volume *volume = v->pod[i].volume ? map_gets(v->volumes, v->pod[i].volume) : NULL;
        if (volume)
            vault_volume_keep(volume, &v->c.node[i]);
    }
    for (void *value; map_each(v->volumes, &it, &key, &value);) {
        const struct vault_volume *volume = value;
        char *handle = slice_dup(key);
        struct json_t *o = jd_object();
        jd_set(o, "applied", jd_int(volume->applied));
        jd_set(o, "removed", jd_bool(volume->removed));
        jd_set(o, "id", jd_string(volume->id));
        jd_set(volumes, handle, o);
        mem_free(handle);
    }
    hash_base64_encode(&v->c, sizeof v->c, &text);
    jd_set(state, "cluster", jd_string(buf_str(&text)));
    it = 0;
    for (void *value; map_each(v->cubbyhole, &it, &key, &value);) {
        char *path = slice_dup(key);
        jd_set(written, path, jd_string(value));
        mem_free(path);
    }
    jd_set(state, "volumes", volumes);
    jd_set(state, "cubbyhole", written);
    jd_set(state, "unstable_ids", jd_bool(v->unstable_ids));
    jd_set(state, "autopilot", jd_copy(v->autopilot));
    jd_set(state, "version", jd_string(v->version));
    jd_set(state, "openbao", jd_bool(v->openbao));
    jd_set(state, "cluster_id", jd_string(v->cluster_id));
    jd_set(state, "active_plan_ms", jd_int(v->active_plan_ms));
    jd_set(state, "now", jd_int(clock_mono_ms()));
    buf_free(&text);
    return NULL;
}

void vault_load(struct vault *v, const struct json_t *state)
{
    struct buf bytes = {0};
    struct json_t *volumes = jd_get(state, "volumes"), *written = jd_get(state, "cubbyhole");
    if (hash_base64_decode(slice_of(jd_str(state, "cluster")), &bytes) && bytes.len == sizeof v->c) {
        memcpy(&v->c, bytes.p, sizeof v->c);
        vault_cluster_shift(&v->c, clock_mono_ms() - jd_num(state, "now", 0));
    }
    buf_free(&bytes);
    for (void *it = jd_iter(volumes); it; it = jd_iter_next(volumes, it)) {
        struct vault_volume *volume = MEM_NEW(struct vault_volume);
        const struct json_t *o = jd_iter_value(it);
        volume->applied = jd_num(o, "applied", 0);
        volume->removed = jd_flag(o, "removed", false);
        str_copy(volume->id, sizeof volume->id, jd_str(o, "id"));
        mem_free(map_puts(v->volumes, jd_iter_key(it), volume));
    }
    for (void *it = jd_iter(written); it; it = jd_iter_next(written, it))
        mem_free(map_puts(v->cubbyhole, jd_iter_key(it), mem_strdup(jd_string_value(jd_iter_value(it)))));
    v->unstable_ids = jd_flag(state, "unstable_ids", false);
    jd_free(v->autopilot);
    v->autopilot = jd_copy(jd_get(state, "autopilot"));
    str_set(&v->cluster_id, jd_str(state, "cluster_id"));
    vault_set_version(v, jd_str(state, "version"), jd_flag(state, "openbao", false));
    v->leader_seen = v->c.leader;
    v->active_plan_ms = jd_num(state, "active_plan_ms", v->active_plan_ms);
    for (int i = 0; i < VAULT_NODES; i++) {
        char name[] = {'v', 'a', 'u', 'l', 't', '-', (char)('0' + i), '\0'};
        struct json_t *pod = kube_get(v->s->kube, KIND_POD, VAULT_NAMESPACE, name);
        v->pod[i].original = !pod || !str_eq(jd_str(pod, "status.phase"), "Running"); /* one that comes is new */
        jd_free(pod);
    }
}
