/* What else has to do with the claims and the nodes of a raft set: who mounts them, what initialises or unseals, where audit logs go. */
#include <string.h>

#include "base/json_doc.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "client/vault_parse.h"
#include "migrate/pod_judge.h"
#include "migrate/postgres.h"
#include "migrate/raft_judge.h"
#include "migrate/secret_trace.h"

static const char *text_or(const char *text, const char *other) {
    return text && *text ? text : other;
}

static void add_clean(struct buf *out, const char *fmt, const char *a, const char *b, const char *c) {
    char *raw = str_printf("%s%s%s/%s", fmt, *fmt ? " of " : "", a, b);
    buf_adds(out, out->len ? ", " : "");
    utf8_clean(out, slice_of(raw));
    if (*c) buf_printf(out, " (%s)", c);
    mem_free(raw);
}

/* ---- Mounts ---- */

/* data-vault-0 belongs to the pod vault-0 of the set. */
static bool is_own_claim(const char *claim, const char *pod) {
    size_t c = strlen(claim), p = strlen(pod);
    return c > p + 1 && str_eq(claim + c - p, pod) && claim[c - p - 1] == '-';
}

static bool stands_still(const struct json_t *o, const char *kind) {
    if (str_eq(kind, "pod")) return postgres_pod_finished(o);
    if (str_eq(kind, "job")) return postgres_job_ended(o);
    return false;
}

void raft_find_mounters(const struct json_t *list, const char *kind, const char *set, const struct json_t *claims, struct buf *found) {
    const struct json_t *items = jd_get(list, "items");
    for (size_t i = 0; i < jd_len(items); i++) {
        const struct json_t *o = jd_at(items, i);
        const char *name = text_or(jd_str(o, "metadata.name"), ""), *owner_kind, *owner = postgres_owner(o, &owner_kind);
        if (stands_still(o, kind)) continue;
        bool of_set = str_eq(kind, "pod") && str_eq(owner, set) && str_eq(owner_kind, "StatefulSet");
        for (size_t k = 0; k < jd_len(claims); k++) {
            const char *claim = jd_string_value(jd_at(claims, k));
            if (!claim || !postgres_mounts(postgres_pod_spec(o), claim)) continue;
            /* A pod of the set without an owner is one whose set is being exchanged. */
            if (str_eq(kind, "pod") && (of_set || !owner) && is_own_claim(claim, name)) continue;
            add_clean(found, "", kind, name, claim);
        }
    }
}

/* ---- Automation ---- */

bool raft_text_inits(const char *text) {
    static const char *const words[] = {"operator init", "sys/init", "unseal --init", "--init=true", NULL};
    for (size_t i = 0; text && words[i]; i++)
        if (strstr(text, words[i])) return true;
    return false;
}

bool raft_text_unseals(const char *text) {
    return text && (strstr(text, "unseal") || strstr(text, "Unseal") || strstr(text, "UNSEAL"));
}

bool raft_text_joins(const char *text) {
    return text && (strstr(text, "retry_join") || strstr(text, "raft join") || strstr(text, "raft/join"));
}

const char *raft_text_seal(const char *text) {
    static const char *const types[] = {"awskms", "gcpckms", "azurekeyvault", "transit", "ocikms", "alicloudkms", "pkcs11", "kmip", "static", NULL};
    for (size_t i = 0; text && types[i]; i++) {
        char *hcl = str_printf("seal \"%s\"", types[i]);
        bool found = strstr(text, hcl) != NULL;
        mem_free(hcl);
        if (found) return types[i];
    }
    return NULL;
}

void raft_container_text(const struct json_t *c, struct buf *out) {
    static const char *const commands[] = {"command", "args", "lifecycle.postStart.exec.command", "lifecycle.preStop.exec.command"};
    const struct json_t *env = jd_get(c, "env");
    buf_printf(out, "%s %s ", text_or(jd_str(c, "name"), ""), text_or(jd_str(c, "image"), ""));
    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        pod_command_text(jd_get(c, commands[i]), out);
        buf_addc(out, '\n');
    }
    for (size_t i = 0; i < jd_len(env); i++) /* VAULT_LOCAL_CONFIG, and who is told what to do by its environment */
        buf_printf(out, "%s=%s\n", text_or(jd_str(jd_at(env, i), "name"), ""), text_or(jd_str(jd_at(env, i), "value"), ""));
}

static void search_containers(const struct json_t *list, const char *kind, const char *name, struct buf *inits, struct buf *unseals) {
    for (size_t i = 0; i < jd_len(list); i++) {
        struct buf text = {0};
        char *who = str_printf("container %s", text_or(jd_str(jd_at(list, i), "name"), ""));
        raft_container_text(jd_at(list, i), &text);
        if (raft_text_inits(buf_str(&text))) add_clean(inits, who, kind, name, "");
        if (raft_text_unseals(buf_str(&text))) add_clean(unseals, who, kind, name, "");
        mem_free(who);
        buf_free(&text);
    }
}

/* Whether a pod mounts that ConfigMap, or takes its environment from it. */
static bool uses_config(const struct json_t *spec, const char *name) {
    static const char *const lists[] = {"containers", "initContainers"};
    const struct json_t *volumes = jd_get(spec, "volumes");
    for (size_t i = 0; i < jd_len(volumes); i++) {
        const struct json_t *sources = jd_get(jd_at(volumes, i), "projected.sources");
        if (str_eq(jd_str(jd_at(volumes, i), "configMap.name"), name)) return true;
        for (size_t k = 0; k < jd_len(sources); k++)
            if (str_eq(jd_str(jd_at(sources, k), "configMap.name"), name)) return true;
    }
    for (size_t l = 0; l < ARRAY_LEN(lists); l++)
        for (size_t i = 0; i < jd_len(jd_get(spec, lists[l])); i++) {
            const struct json_t *c = jd_at(jd_get(spec, lists[l]), i), *env = jd_get(c, "env"), *from = jd_get(c, "envFrom");
            for (size_t k = 0; k < jd_len(env); k++)
                if (str_eq(jd_str(jd_at(env, k), "valueFrom.configMapKeyRef.name"), name)) return true;
            for (size_t k = 0; k < jd_len(from); k++)
                if (str_eq(jd_str(jd_at(from, k), "configMapRef.name"), name)) return true;
        }
    return false;
}

static bool is_idle(const struct json_t *o, const char *kind) {
    if (stands_still(o, kind)) return true;
    if (str_eq(kind, "cronjob")) return jd_flag(o, "spec.suspend", false);
    return (str_eq(kind, "deployment") || str_eq(kind, "statefulset")) && jd_num(o, "spec.replicas", 1) == 0;
}

void raft_find_config_users(const struct json_t *list, const char *kind, const struct json_t *names, struct buf *found) {
    const struct json_t *items = jd_get(list, "items");
    for (size_t i = 0; i < jd_len(items); i++) {
        const struct json_t *o = jd_at(items, i);
        const char *owner_kind, *owner = postgres_owner(o, &owner_kind);
        if (is_idle(o, kind) || (owner && (str_eq(kind, "pod") || str_eq(kind, "job")))) continue;
        for (size_t k = 0; k < jd_len(names); k++) {
            const char *name = jd_string_value(jd_at(names, k));
            char *what = str_printf("configmap/%s", name);
            if (uses_config(postgres_pod_spec(o), name)) add_clean(found, what, kind, text_or(jd_str(o, "metadata.name"), ""), "");
            mem_free(what);
        }
    }
}

void raft_find_automation(const struct json_t *list, const char *kind, struct buf *inits, struct buf *unseals) {
    const struct json_t *items = jd_get(list, "items");
    for (size_t i = 0; i < jd_len(items); i++) {
        const struct json_t *o = jd_at(items, i), *spec = postgres_pod_spec(o);
        const char *owner_kind, *owner = postgres_owner(o, &owner_kind), *name = text_or(jd_str(o, "metadata.name"), "");
        /* What a controller made is found with the controller. */
        if (is_idle(o, kind) || (owner && (str_eq(kind, "pod") || str_eq(kind, "job")))) continue;
        search_containers(jd_get(spec, "containers"), kind, name, inits, unseals);
        search_containers(jd_get(spec, "initContainers"), kind, name, inits, unseals);
    }
}

/* ---- Addresses ---- */

/* vault-active, openbao-standby, …: labels that a node gives its own pod. */
static bool is_role_label(const char *key) {
    static const char *const ends[] = {"-active", "-standby", "-sealed", "-initialized", "-perf-standby", NULL};
    for (size_t i = 0; ends[i]; i++)
        if (str_ends(key, ends[i])) return true;
    return false;
}

static bool selects(struct json_t *selector, const struct json_t *labels) {
    if (jd_len(selector) == 0) return false;
    for (void *it = jd_iter(selector); it; it = jd_iter_next(selector, it)) {
        const char *key = jd_iter_key(it);
        if (!is_role_label(key) && !str_eq(jd_string_value(jd_iter_value(it)), jd_string_value(jd_member(labels, key)))) return false;
    }
    return true;
}

struct json_t *raft_services_of(const struct json_t *services, const struct json_t *labels) {
    const struct json_t *items = jd_get(services, "items");
    struct json_t *own = jd_array();
    for (size_t i = 0; i < jd_len(items); i++) {
        const struct json_t *service = jd_at(items, i);
        const char *name = jd_str(service, "metadata.name"), *ip = jd_str(service, "spec.clusterIP");
        if (!name || !selects(jd_get(service, "spec.selector"), labels)) continue;
        jd_append(own, jd_string(name));
        if (ip && *ip && !str_eq(ip, "None")) jd_append(own, jd_string(ip));
    }
    return own;
}

static bool is_in(const struct json_t *list, struct slice text) {
    for (size_t i = 0; i < jd_len(list); i++) {
        const char *item = jd_string_value(jd_at(list, i));
        if (item && slice_is(text, item)) return true;
    }
    return false;
}

enum raft_address raft_judge_address(const char *url, const char *from, const char *ns, const struct json_t *own) {
    char service[256], in[256];
    struct slice host = vault_address_host(slice_of(url));
    if (host.p && is_in(own, host) && host.n > 0 && host.p[0] >= '0' && host.p[0] <= '9') return RAFT_ADDRESS_OWN; /* a service's own address */
    enum trace_where where = trace_service(url, from, service, sizeof service, in, sizeof in);
    if (where == TRACE_OUTSIDE) return RAFT_ADDRESS_UNKNOWN;
    if (str_eq(in, ns) && is_in(own, slice_of(service))) return RAFT_ADDRESS_OWN;
    return where == TRACE_INSIDE ? RAFT_ADDRESS_OTHER : RAFT_ADDRESS_UNKNOWN;
}

/* ---- Audit ---- */

static bool is_below(const char *path, const char *mount) {
    size_t n = strlen(mount);
    while (n > 1 && mount[n - 1] == '/') n--;
    return strncmp(path, mount, n) == 0 && (path[n] == '/' || path[n] == '\0');
}

static bool is_template(const struct json_t *set, const char *name) {
    const struct json_t *claims = jd_get(set, "spec.volumeClaimTemplates");
    for (size_t i = 0; i < jd_len(claims); i++)
        if (str_eq(jd_str(jd_at(claims, i), "metadata.name"), name)) return true;
    return false;
}

const char *raft_volume_of(const struct json_t *set, const char *path) {
    const struct json_t *containers = jd_get(set, "spec.template.spec.containers");
    const char *best = NULL;
    size_t longest = 0;
    for (size_t i = 0; i < jd_len(containers); i++) {
        const struct json_t *mounts = jd_get(jd_at(containers, i), "volumeMounts");
        for (size_t k = 0; k < jd_len(mounts); k++) {
            const char *mount = jd_str(jd_at(mounts, k), "mountPath"), *name = jd_str(jd_at(mounts, k), "name");
            if (!mount || !name || !is_below(path, mount) || strlen(mount) < longest) continue;
            longest = strlen(mount);
            best = is_template(set, name) ? name : NULL;
        }
    }
    return best;
}

struct json_t *raft_audit_files(const struct json_t *answer, const struct json_t *set, struct buf *out) {
    struct json_t *files = jd_array(), *devices = jd_get(answer, "data");
    for (void *it = devices ? jd_iter(devices) : NULL; it; it = jd_iter_next(devices, it)) {
        const struct json_t *d = jd_iter_value(it);
        const char *path = jd_str(d, "options.file_path"), *type = text_or(jd_str(d, "type"), "?");
        bool file = path && path[0] == '/';
        const char *volume = file ? raft_volume_of(set, path) : NULL;
        struct json_t *f = jd_object();
        jd_set(f, "device", jd_string(jd_iter_key(it)));
        jd_set(f, "path", jd_string(path ? path : ""));
        jd_set(f, "volume", jd_string(volume ? volume : ""));
        jd_append(files, f);
        char *line = file ? str_printf("%s %s on %s", jd_iter_key(it), path, volume ? volume : "no claim")
                          : str_printf("%s to %s", jd_iter_key(it), path ? path : type);
        buf_adds(out, out->len ? ", " : "");
        utf8_clean(out, slice_of(line));
        mem_free(line);
    }
    return files;
}
