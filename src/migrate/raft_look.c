/* See raft_look.h. This file: names, facts, pods with their claims and volumes. The nodes' own word is raft_nodes.c. */
#include "migrate/raft_look.h"

#include <stdio.h>
#include <string.h>

#include "base/json_doc.h"
#include "base/mem.h"
#include "base/str.h"
#include "migrate/managers.h"
#include "migrate/raft_manifest.h"
#include "migrate/retired_volume.h"
#include "net/http.h"

#define GONE_MS INT64_C(180000)

/* ---- Names, paths, facts ---- */

/* A placeholder is to be read, not to be sent. */
static void add_part(struct buf *out, const char *text) {
    if (strstr(text, "‹")) buf_adds(out, text);
    else http_escape(out, text);
}

const char *raft_path(struct script *s, const struct run *r, const char *kind, const char *name) {
    struct buf b = {0};
    buf_adds(&b, str_eq(kind, "statefulsets") ? "/apis/apps/v1" : "/api/v1");
    if (!str_eq(kind, "persistentvolumes")) {
        buf_adds(&b, "/namespaces/");
        add_part(&b, r->workload->ns);
    }
    buf_printf(&b, "/%s", kind);
    if (name) {
        buf_addc(&b, '/');
        add_part(&b, name);
    }
    const char *path = script_fmt(s, "%s", buf_str(&b));
    buf_free(&b);
    return path;
}

const char *raft_member(struct script *s, const struct run *r, int64_t ordinal) {
    return script_fmt(s, "%s-%lld", raft_spec(r)->statefulset, (long long)ordinal);
}

const char *raft_said(struct script *s, const struct run *r, const char *fact) {
    return run_has(r, fact) ? script_fmt(s, "%s", run_fact(r, fact)) : script_fmt(s, "‹%s›", fact);
}

static const char *turn_key(char key[100], const char *turn, const char *name) {
    snprintf(key, 100, "pod.%s.%s", turn, name);
    return key;
}

const char *raft_turn_fact(const struct run *r, const char *turn, const char *name) {
    char key[100];
    return run_fact(r, turn_key(key, turn, name));
}

bool raft_turn_has(const struct run *r, const char *turn, const char *name) {
    char key[100];
    return run_has(r, turn_key(key, turn, name));
}

void raft_turn_set(struct run *r, const char *turn, const char *name, const char *value) {
    char key[100];
    run_set(r, turn_key(key, turn, name), value);
}

struct json_t *raft_turn_json(const struct run *r, const char *turn, const char *name) {
    char key[100];
    struct json_t *d = run_fact_json(r, turn_key(key, turn, name));
    return d ? d : jd_array();
}

const char *raft_last_begun(const struct run *r) {
    static const char *const turns[] = {"last", "6", "5", "4", "3", "2", "1"};
    for (size_t i = 0; i < ARRAY_LEN(turns); i++)
        if (raft_turn_has(r, turns[i], "begun")) return turns[i];
    return NULL;
}

const char *raft_short(const char *uid) {
    static char texts[8][16];
    static unsigned at;
    char *out = texts[at++ % 8];
    bool known = uid && *uid && !strstr(uid, "‹");
    snprintf(out, sizeof texts[0], known ? "%.8s" : "%s", known ? uid : "not known");
    return out;
}

static struct json_t *pods_load(const struct run *r) {
    struct json_t *d = run_fact_json(r, "pods");
    if (jd_is_object(d)) return d;
    jd_free(d);
    return jd_object();
}

const char *raft_pod_noted(const struct run *r, const char *pod, const char *member) {
    static char text[300];
    struct json_t *pods = pods_load(r);
    const char *value = pod ? jd_string_value(jd_member(jd_member(pods, pod), member)) : NULL;
    bool known = value && str_copy(text, sizeof text, value);
    jd_free(pods);
    return known ? text : NULL;
}

/* What a preview says of a claim before anything is known of the set. */
static struct json_t *unknown_claims(const char *pod) {
    static const char *const members[] = {"uid", "class", "volume", "volume_uid", "handle", NULL};
    struct json_t *list = jd_array(), *claim = jd_object();
    char *name = str_printf("‹template›-%s", pod ? pod : "‹pod›");
    jd_set(claim, "name", jd_string(name));
    for (size_t i = 0; members[i]; i++) {
        char *text = str_printf("‹%s›", members[i]);
        jd_set(claim, members[i], jd_string(text));
        mem_free(text);
    }
    mem_free(name);
    jd_append(list, claim);
    return list;
}

struct json_t *raft_pod_claims(const struct run *r, const char *pod) {
    struct json_t *pods = pods_load(r), *list = pod ? jd_member(jd_member(pods, pod), "claims") : NULL;
    struct json_t *claims = jd_len(list) > 0 ? jd_copy(list) : r->preview ? unknown_claims(pod) : jd_array();
    jd_free(pods);
    return claims;
}

/* ---- A pod and what it mounts ---- */

struct at {
    const char *pod; /* lives as long as the script */
    size_t claim;
};

static struct at *at_new(const char *pod, size_t claim) {
    struct at *at = MEM_NEW(struct at);
    *at = (struct at){pod, claim};
    return at;
}

static struct op *with(struct op *op, const char *pod, size_t claim) {
    op->data = at_new(pod, claim);
    op->drop = mem_free;
    return op;
}

bool raft_mounts(const struct json_t *pod, const char *claim) {
    const struct json_t *volumes = jd_get(pod, "spec.volumes");
    for (size_t i = 0; i < jd_len(volumes); i++)
        if (str_eq(jd_str(jd_at(volumes, i), "persistentVolumeClaim.claimName"), claim)) return true;
    return false;
}

/* Claims of the set's templates: TEMPLATE-POD. */
static struct json_t *claims_of(const struct run *r, const struct json_t *pod, const char *name) {
    struct json_t *templates = run_fact_json(r, "set.templates"), *list = jd_array();
    for (size_t i = 0; i < jd_len(templates); i++) {
        char *claim = str_printf("%s-%s", jd_string_value(jd_at(templates, i)), name);
        if (raft_mounts(pod, claim)) {
            struct json_t *entry = jd_object();
            jd_set(entry, "name", jd_string(claim));
            jd_append(list, entry);
        }
        mem_free(claim);
    }
    jd_free(templates);
    return list;
}

static enum op_answer see_pod(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    const struct at *at = op->data;
    if (!seen->doc) {
        buf_printf(reason, "pod %s is not there", at->pod);
        return OP_REFUSE;
    }
    struct json_t *pods = pods_load(r), *claims = claims_of(r, seen->doc, at->pod);
    if (jd_len(claims) == 0) {
        buf_printf(reason, "pod %s mounts no claim of the set's templates: nothing of it can be moved", at->pod);
        jd_free(claims);
        jd_free(pods);
        return OP_REFUSE;
    }
    if (!jd_member(pods, at->pod)) jd_set(pods, at->pod, jd_object());
    struct json_t *entry = jd_member(pods, at->pod);
    char grace[24];
    snprintf(grace, sizeof grace, "%lld", (long long)jd_num(seen->doc, "spec.terminationGracePeriodSeconds", 30));
    jd_set(entry, "uid", jd_string(jd_str(seen->doc, "metadata.uid")));
    jd_set(entry, "grace", jd_string(grace));
    jd_set(entry, "claims", claims);
    buf_printf(reason, "uid %s, %zu claims", raft_short(jd_str(seen->doc, "metadata.uid")), jd_len(claims));
    if (jd_str(seen->doc, "metadata.deletionTimestamp")) buf_adds(reason, ", on its way out");
    run_set_json(r, "pods", pods);
    jd_free(pods);
    return OP_DONE;
}

static struct json_t *entry_at(struct json_t *pods, const struct at *at) {
    return jd_at(jd_member(jd_member(pods, at->pod), "claims"), at->claim);
}

static void copy_member(struct json_t *to, const char *as, const struct json_t *from, const char *dotted) {
    struct json_t *value = jd_get(from, dotted);
    if (value && !jd_is_null(value)) jd_set(to, as, jd_copy(value));
}

/* A claim that somebody deleted while, or before, its pod came back on it (wire/02 s3, s3d, s4, s5): it stays until
 * that pod ends. */
static void tell_terminating(struct run *r, const char *pod, const struct json_t *claim, struct buf *reason) {
    const char *since = jd_str(claim, "metadata.deletionTimestamp"), *name = jd_str(claim, "metadata.name");
    if (!since) return;
    buf_printf(reason, "; Terminating since %s, and %s is on it", since, pod);
    run_note(r, "WARN",
             "%s is on its old claim %s, which is Terminating since %s: somebody deleted it. It ends when that pod "
             "does; one more graceful deletion of the pod, "
             "which its turn sends, cures it",
             pod, name, since);
}

static enum op_answer see_claim(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    const struct at *at = op->data;
    struct json_t *pods = pods_load(r), *entry = entry_at(pods, at);
    const char *class = jd_str(seen->doc, "spec.storageClassName"), *volume = jd_str(seen->doc, "spec.volumeName");
    enum op_answer a = OP_DONE;
    if (!seen->doc || !entry) {
        buf_printf(reason, "claim %s is not there", jd_str(entry, "name"));
        a = OP_REFUSE;
    } else if (!volume) {
        buf_printf(reason, "claim %s has no volume yet", jd_str(entry, "name"));
        a = OP_REFUSE;
    } else {
        jd_set(entry, "uid", jd_string(jd_str(seen->doc, "metadata.uid")));
        jd_set(entry, "class", jd_string(class ? class : ""));
        jd_set(entry, "volume", jd_string(volume));
        copy_member(entry, "size", seen->doc, "spec.resources.requests.storage");
        copy_member(entry, "modes", seen->doc, "spec.accessModes");
        copy_member(entry, "mode", seen->doc, "spec.volumeMode");
        copy_member(entry, "labels", seen->doc, "metadata.labels");
        buf_printf(reason, "uid %s, class %s, volume %s", raft_short(jd_str(seen->doc, "metadata.uid")),
                   class ? class : "(none)", volume);
        tell_terminating(r, at->pod, seen->doc, reason);
        run_set_json(r, "pods", pods);
    }
    jd_free(pods);
    return a;
}

void raft_note_volume(struct json_t *entry, const struct json_t *volume) {
    copy_member(entry, "volume_uid", volume, "metadata.uid");
    copy_member(entry, "reclaim", volume, "spec.persistentVolumeReclaimPolicy");
    copy_member(entry, "handle", volume, "spec.csi.volumeHandle");
    char *server, *path;
    if (!retired_nfs(volume, &server, &path)) return;
    jd_set(entry, "server", jd_string(server));
    jd_set(entry, "path", jd_string(path));
    mem_free(server);
    mem_free(path);
}

static enum op_answer see_volume(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    const struct at *at = op->data;
    struct json_t *pods = pods_load(r), *entry = entry_at(pods, at);
    const char *ref = jd_str(seen->doc, "spec.claimRef.uid"), *name = jd_str(entry, "volume");
    enum op_answer a = OP_REFUSE;
    if (!seen->doc || !entry) {
        buf_printf(reason, "volume %s is not there", name ? name : "(unknown)");
    } else if (!str_eq(ref, jd_str(entry, "uid"))) {
        buf_printf(reason, "volume %s belongs to claim uid %s, not to %s", name, raft_short(ref),
                   raft_short(jd_str(entry, "uid")));
    } else {
        raft_note_volume(entry, seen->doc);
        run_set_json(r, "pods", pods);
        buf_printf(reason, "uid %s, reclaim policy %s", raft_short(jd_str(entry, "volume_uid")),
                   jd_str(entry, "reclaim"));
        a = OP_DONE;
    }
    jd_free(pods);
    return a;
}

static void look_volumes(struct run *r, struct script *s, struct op *op) {
    const char *pod = op->data;
    struct json_t *claims = raft_pod_claims(r, pod);
    for (size_t i = 0; i < jd_len(claims); i++) {
        const char *volume = jd_str(jd_at(claims, i), "volume");
        with(script_get(s, script_fmt(s, "volume %s", volume),
                        script_fmt(s, "volume %s of %s", volume, jd_str(jd_at(claims, i), "name")),
                        raft_path(s, r, "persistentvolumes", volume), see_volume),
             pod, i);
    }
    jd_free(claims);
}

static void look_claims(struct run *r, struct script *s, struct op *op) {
    const char *pod = op->data;
    struct json_t *claims = raft_pod_claims(r, pod);
    for (size_t i = 0; i < jd_len(claims); i++) {
        const char *name = jd_str(jd_at(claims, i), "name");
        with(script_get(s, script_fmt(s, "claim %s", name), script_fmt(s, "claim %s", name),
                        raft_path(s, r, "persistentvolumeclaims", name), see_claim),
             pod, i);
    }
    script_call(s, script_fmt(s, "volumes of %s", pod), look_volumes, op->data, NULL);
    jd_free(claims);
}

void raft_script_pod(struct run *r, struct script *s, const char *pod) {
    const char *kept = script_fmt(s, "%s", pod);
    with(script_get(s, script_fmt(s, "pod %s", kept), script_fmt(s, "pod %s", kept), raft_path(s, r, "pods", kept),
                    see_pod),
         kept, 0);
    script_call(s, script_fmt(s, "claims of %s", kept), look_claims, (void *)(uintptr_t)kept, NULL);
}

/* ---- Gone ---- */

static enum op_answer see_gone(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    const char *uid = op->data, *since = jd_str(seen->doc, "metadata.deletionTimestamp");
    (void)r;
    if (!seen->doc) {
        buf_adds(reason, "gone");
        return OP_DONE;
    }
    if (!str_eq(jd_str(seen->doc, "metadata.uid"), uid)) {
        buf_printf(reason, "gone; another one has its name (uid %s)", raft_short(jd_str(seen->doc, "metadata.uid")));
        return OP_DONE;
    }
    if (since)
        buf_printf(reason, "on its way out; it is given until %s",
                   since); /* deletionTimestamp is the end of its grace */
    else buf_adds(reason, "still there, and nobody has deleted it");
    return OP_TODO;
}

struct op *raft_script_gone(struct run *r, struct script *s, const char *id, const char *what, const char *path,
                            const char *uid, int64_t deadline_ms) {
    (void)r;
    struct op *op = script_wait(s, id, what, path, see_gone, deadline_ms ? deadline_ms : GONE_MS);
    op->data = mem_strdup(uid);
    op->drop = mem_free;
    return op;
}

/* ---- Retained, unmounted, on the target class ---- */

enum op_answer raft_judge_retained(const struct json_t *entry, const struct json_t *volume, struct buf *reason) {
    const char *name = jd_str(entry, "volume"), *policy = jd_str(volume, "spec.persistentVolumeReclaimPolicy"),
               *uid = jd_str(volume, "metadata.uid");
    if (!volume) buf_printf(reason, "volume %s is not there", name);
    else if (!str_eq(uid, jd_str(entry, "volume_uid")))
        buf_printf(reason, "volume %s is another one now (uid %s)", name, raft_short(uid));
    else if (!str_eq(policy, "Retain")) {
        buf_printf(reason, "volume %s is %s", name, policy ? policy : "without a policy");
        struct buf who = {0};
        managers_owner(volume, "/spec/persistentVolumeReclaimPolicy", &who);
        if (who.len) buf_printf(reason, " (set by %s)", buf_str(&who));
        buf_free(&who);
        buf_adds(reason, ", and it must be Retain before its claim or its pod goes. Nothing is lost as long as the pod "
                         "runs: find out who sets it, then start again; it is set to Retain anew");
    } else {
        buf_adds(reason, "Retain");
        return OP_DONE;
    }
    return OP_REFUSE;
}

static void free_json(void *data) {
    jd_free(data);
}

static enum op_answer see_retained(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    (void)r;
    return raft_judge_retained(op->data, seen->doc, reason);
}

void raft_guard_retained(struct run *r, struct script *s, struct op *act, const struct json_t *claim) {
    const char *volume = jd_str(claim, "volume");
    struct op *op = script_guard_get(act, script_fmt(s, "volume %s is kept", volume),
                                     raft_path(s, r, "persistentvolumes", volume), see_retained);
    op->data = jd_copy(claim);
    op->drop = free_json;
}

/* A pod that has ended holds nothing; one that is not scheduled yet may come to. */
static bool has_ended(const struct json_t *pod) {
    const char *phase = jd_str(pod, "status.phase");
    return str_eq(phase, "Succeeded") || str_eq(phase, "Failed");
}

static enum op_answer see_unmounted(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    const char *name = op->data;
    const struct json_t *pods = jd_get(seen->doc, "items");
    struct json_t *claims = raft_pod_claims(r, name);
    enum op_answer a = seen->doc ? OP_DONE : OP_REFUSE;
    for (size_t i = 0; a == OP_DONE && i < jd_len(pods); i++) {
        const struct json_t *pod = jd_at(pods, i);
        if (str_eq(jd_str(pod, "metadata.name"), name) || has_ended(pod)) continue;
        for (size_t c = 0; a == OP_DONE && c < jd_len(claims); c++) {
            if (!raft_mounts(pod, jd_str(jd_at(claims, c), "name"))) continue;
            buf_printf(reason,
                       "pod %s mounts %s, too: it would stay Terminating for as long as that pod runs. End it first",
                       jd_str(pod, "metadata.name"), jd_str(jd_at(claims, c), "name"));
            a = OP_REFUSE;
        }
    }
    jd_free(claims);
    return a;
}

void raft_guard_unmounted(struct run *r, struct script *s, struct op *act, const char *pod) {
    struct op *op = script_guard_get(act, script_fmt(s, "only %s mounts its claims", pod),
                                     raft_path(s, r, "pods", NULL), see_unmounted);
    op->data = mem_strdup(pod);
    op->drop = mem_free;
}

static enum op_answer see_template(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    const char *uid = jd_str(seen->doc, "metadata.uid"),
               *ours = run_has(r, "set.new.uid") ? run_fact(r, "set.new.uid") : run_fact(r, "set.uid");
    (void)op;
    if (!seen->doc) buf_printf(reason, "statefulset %s is not there", raft_spec(r)->statefulset);
    else if (!str_eq(uid, ours))
        buf_printf(reason, "statefulset %s was made again by somebody else (uid %s, ours was %s)",
                   raft_spec(r)->statefulset, raft_short(uid), raft_short(ours));
    else if (jd_str(seen->doc, "metadata.deletionTimestamp")) buf_adds(reason, "the set is being deleted");
    else if (!raft_manifest_is_on(seen->doc, r->plan->target_class))
        buf_printf(reason,
                   "the set's claim templates are not on %s: a claim that goes would come back on the old class",
                   r->plan->target_class);
    else if (jd_num(seen->doc, "spec.replicas", 1) != raft_replicas(r))
        buf_printf(reason, "the set has %lld replicas, not %lld", (long long)jd_num(seen->doc, "spec.replicas", 1),
                   (long long)raft_replicas(r));
    else return OP_DONE;
    return OP_REFUSE;
}

void raft_guard_template(struct run *r, struct script *s, struct op *act) {
    script_guard_get(act, "the set is on the target class", raft_path(s, r, "statefulsets", raft_spec(r)->statefulset),
                     see_template);
}
