/* What a wiped node will meet: a configuration that lets it join by itself, something that unseals it, and nobody who would initialise it
 * (it reports "not initialised" until it has joined, and an init then makes a second cluster). And where audit logs are written: a node
 * whose audit path is not writable can never become active (safety 16). */
#include <string.h>

#include "base/json_doc.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/utf8.h"
#include "client/vault_parse.h"
#include "migrate/raft_judge.h"
#include "migrate/raft_look.h"
#include "migrate/raft_preflight.h"

static const struct {
    const char *kind, *base, *plural;
} kinds[] = {
    {"pod", "/api/v1", "pods"},
    {"deployment", "/apis/apps/v1", "deployments"},
    {"statefulset", "/apis/apps/v1", "statefulsets"},
    {"cronjob", "/apis/batch/v1", "cronjobs"},
    {"job", "/apis/batch/v1", "jobs"},
};

/* Collected by one operation after another; the last ones judge. */
struct rejoin {
    unsigned refs;
    struct json_t *set;
    struct buf config;           /* every text that may be the configuration */
    struct json_t *suspects;     /* names of ConfigMaps that would initialise */
    struct buf inits, unseals;   /* who */
    char seal[32];
};

static void unref(void *data) {
    struct rejoin *x = data;
    if (--x->refs) return;
    jd_free(x->set);
    jd_free(x->suspects);
    buf_free(&x->config);
    buf_free(&x->inits);
    buf_free(&x->unseals);
    mem_free(x);
}

static struct op *with(struct op *op, struct rejoin *x) {
    x->refs++;
    op->data = x;
    op->drop = unref;
    return op;
}

static enum op_answer see_set(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    struct rejoin *x = op->data;
    const struct json_t *containers = jd_get(seen->doc, "spec.template.spec.containers"), *init = jd_get(seen->doc, "spec.template.spec.initContainers");
    if (!seen->doc) {
        buf_printf(reason, "set %s is not there", raft_spec(r)->statefulset);
        return OP_REFUSE;
    }
    jd_free(x->set);
    x->set = jd_copy(seen->doc);
    buf_clear(&x->config);
    buf_clear(&x->inits);
    buf_clear(&x->unseals);
    for (size_t i = 0; i < jd_len(containers); i++) raft_container_text(jd_at(containers, i), &x->config);
    for (size_t i = 0; i < jd_len(init); i++) raft_container_text(jd_at(init, i), &x->config);
    buf_printf(reason, "%zu containers", jd_len(containers) + jd_len(init));
    return OP_DONE;
}

/* ---- ConfigMaps ---- */

static void add_name(struct buf *list, const char *name) {
    buf_printf(list, "%sconfigmap/", list->len ? ", " : "");
    utf8_clean(list, slice_of(name));
}

static bool is_mounted(const struct json_t *set, const char *config_map) {
    const struct json_t *volumes = jd_get(set, "spec.template.spec.volumes");
    for (size_t i = 0; i < jd_len(volumes); i++) {
        const struct json_t *sources = jd_get(jd_at(volumes, i), "projected.sources");
        if (str_eq(jd_str(jd_at(volumes, i), "configMap.name"), config_map)) return true;
        for (size_t k = 0; k < jd_len(sources); k++)
            if (str_eq(jd_str(jd_at(sources, k), "configMap.name"), config_map)) return true;
    }
    return false;
}

static enum op_answer see_config_maps(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    struct rejoin *x = op->data;
    const struct json_t *items = jd_get(seen->doc, "items");
    size_t mounted = 0;
    (void)r;
    jd_free(x->suspects);
    x->suspects = jd_array();
    for (size_t i = 0; i < jd_len(items); i++) {
        const char *name = jd_str(jd_at(items, i), "metadata.name");
        struct json_t *data = jd_get(jd_at(items, i), "data");
        bool ours = is_mounted(x->set, name), inits = false;
        mounted += ours;
        for (void *it = data ? jd_iter(data) : NULL; it; it = jd_iter_next(data, it)) {
            const char *text = jd_string_value(jd_iter_value(it));
            if (ours && text) buf_printf(&x->config, "%s\n", text);
            inits = inits || raft_text_inits(text);
            if (raft_text_unseals(text) && str_ends(jd_iter_key(it), ".sh")) add_name(&x->unseals, name);
        }
        if (inits && name) jd_append(x->suspects, jd_string(name));
    }
    buf_printf(reason, "%zu, %zu of them mounted by the set", jd_len(items), mounted);
    return OP_DONE;
}

static enum op_answer see_seal(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    struct rejoin *x = op->data;
    struct vault_seal seal = {0};
    struct err *e = vault_parse_seal(seen->text, &seal);
    (void)r;
    if (e) {
        buf_adds(reason, err_text(e));
        err_free(e);
        return OP_REFUSE;
    }
    str_copy(x->seal, sizeof x->seal, seal.type);
    buf_printf(reason, "seal %s, storage %s", seal.type, seal.storage[0] ? seal.storage : "not said");
    if (!seal.storage[0] || str_eq(seal.storage, "raft")) return OP_DONE;
    buf_adds(reason, ": this workload kind is for raft storage");
    return OP_REFUSE;
}

static enum op_answer see_automation(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    struct rejoin *x = op->data;
    size_t kind = 0;
    (void)r;
    (void)reason;
    while (kind + 1 < ARRAY_LEN(kinds) && !str_ends(op->id, kinds[kind].kind)) kind++;
    raft_find_automation(seen->doc, kinds[kind].kind, &x->inits, &x->unseals);
    raft_find_config_users(seen->doc, kinds[kind].kind, x->suspects, &x->inits);
    return OP_DONE;
}

/* ---- What they come to ---- */

static enum op_answer see_inits(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    const struct rejoin *x = op->data;
    (void)seen;
    if (strstr(buf_str(&x->config), "initialize \""))
        run_note(r, "WARN", "the configuration has an 'initialize' stanza (OpenBao's self-initialisation): see that a node that joins does not carry it out");
    if (x->inits.len == 0) {
        buf_adds(reason, "nothing in the namespace calls operator init");
        return OP_DONE;
    }
    buf_printf(reason, "%s calls 'operator init': a wiped node says that it is not initialised until it has joined, and would become a second "
                       "cluster. Suspend it, scale it to 0, or take that out, until the move has ended", buf_str(&x->inits));
    return OP_REFUSE;
}

static bool is_auto_sealed(const struct rejoin *x) {
    return *x->seal && !str_eq(x->seal, "shamir");
}

static enum op_answer see_rejoin(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    const struct rejoin *x = op->data;
    const char *text = buf_str(&x->config), *typed = run_override(r, "unseal");
    bool joins = raft_text_joins(text), unseals = is_auto_sealed(x) || x->unseals.len > 0;
    (void)seen;
    buf_adds(reason, joins ? "it joins by retry_join" : "no retry_join was found in the set's environment, arguments and ConfigMaps");
    if (is_auto_sealed(x)) buf_printf(reason, "; it is unsealed by %s", x->seal);
    else if (x->unseals.len > 0) buf_printf(reason, "; it is unsealed by %s", buf_str(&x->unseals));
    else buf_adds(reason, "; nothing that unseals was found in the namespace");
    run_set(r, "rejoin", joins && unseals ? "automatic" : "by hand");
    if (joins && unseals) return OP_DONE;
    if (typed) {
        buf_printf(reason, "; by hand: %s", typed);
        return OP_DONE;
    }
    buf_adds(reason, ". Somebody must do that by hand within minutes, for each pod: type who as the reason (gate unseal)");
    return OP_REFUSE;
}

void raft_preflight_rejoin(struct run *r, struct script *s) {
    struct rejoin *x = MEM_NEW(struct rejoin);
    x->refs = 1;
    with(script_get(s, "template", "environment and arguments of the set", raft_path(s, r, "statefulsets", raft_spec(r)->statefulset), see_set), x);
    with(script_get(s, "config maps", "ConfigMaps", raft_list_path(s, r, "/api/v1", "configmaps"), see_config_maps), x);
    const char *node = raft_member(s, r, 0);
    with(script_vault_get(s, "seal", "the seal", node, "/v1/sys/seal-status", false, see_seal), x);
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        with(script_get(s, script_fmt(s, "automation by a %s", kinds[i].kind), script_fmt(s, "what every %s does", kinds[i].kind),
                        raft_list_path(s, r, kinds[i].base, kinds[i].plural), see_automation), x);
    with(script_check(s, "no init", "nobody initialises a wiped node", see_inits), x);
    with(script_check(s, "rejoin", "how a wiped node joins, and who unseals it", see_rejoin), x);
    unref(x);
}

/* ---- Audit ---- */

static enum op_answer see_audit(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    const struct rejoin *x = op->data;
    struct buf files = {0};
    if (seen->status != 200 || !seen->doc) {
        buf_printf(reason, "not known: %s", seen->status == 403 ? "reading sys/audit needs sudo, which our token has not" : "sys/audit was not answered");
        run_set(r, "audit", "");
        return OP_DONE;
    }
    struct json_t *list = raft_audit_files(seen->doc, x->set, &files);
    run_set_json(r, "audit", list);
    buf_adds(reason, files.len ? buf_str(&files) : "none");
    if (files.len == 0) run_note(r, "WARN", "no audit device: a node's fitness to lead is shown by its write probe alone");
    for (size_t i = 0; i < jd_len(list); i++) {
        const char *path = jd_str(jd_at(list, i), "path");
        if (path[0] == '/' && !*jd_str(jd_at(list, i), "volume"))
            run_note(r, "WARN", "the audit device %s writes to %s, which is on no claim of the set", jd_str(jd_at(list, i), "device"), path);
    }
    jd_free(list);
    buf_free(&files);
    return OP_DONE;
}

void raft_preflight_audit(struct run *r, struct script *s) {
    struct rejoin *x = MEM_NEW(struct rejoin);
    x->refs = 1;
    const char *leader = raft_said(s, r, "leader.now");
    with(script_get(s, "template", "where the set mounts what", raft_path(s, r, "statefulsets", raft_spec(r)->statefulset), see_set), x);
    with(script_vault_get(s, "audit", "audit devices", leader, "/v1/sys/audit", true, see_audit), x);
    unref(x);
}
