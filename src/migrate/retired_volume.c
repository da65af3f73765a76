#include "migrate/retired_volume.h"

#include <string.h>

#include "base/json_doc.h"
#include "base/mem.h"
#include "base/str.h"
#include "migrate/postgres.h"
#include "migrate/postgres_move.h"

#define RELEASED_MS INT64_C(180000)
#define POLICY "/spec/persistentVolumeReclaimPolicy"

/* What an operation carries; its strings live as long as the script. */
struct carried {
    struct retired_volume v;
    void (*told)(struct run *r, const char *volume, const char *place);
};

/* Field n of "server#share#subdir…", as csi-driver-nfs writes its handles; malloc'd, NULL if there is none. */
static char *handle_field(const char *handle, size_t n) {
    struct slice rest = slice_of(handle), field = {NULL, 0};
    for (size_t i = 0; i <= n; i++) {
        field = (struct slice){NULL, 0};
        if (rest.p) slice_cut(&rest, '#', &field);
    }
    return field.n ? slice_dup(field) : NULL;
}

static const char *text_of(const struct json_t *attributes, const char *name, const char *other) {
    const char *text = jd_string_value(jd_member(attributes, name));
    return text ? text : jd_string_value(jd_member(attributes, other));
}

/* A share and the folder below it: provisioned volumes share the first. */
static char *joined(const char *share, const char *subdir) {
    size_t n = strlen(share);
    while (n > 0 && share[n - 1] == '/') n--;
    while (subdir && *subdir == '/') subdir++;
    return subdir && *subdir ? str_printf("%.*s/%s", (int)n, share, subdir) : mem_strdup(share);
}

bool retired_nfs(const struct json_t *volume, char **ret_server, char **ret_path) {
    const char *server = jd_str(volume, "spec.nfs.server"), *path = jd_str(volume, "spec.nfs.path");
    const struct json_t *attributes = jd_get(volume, "spec.csi.volumeAttributes");
    const char *share = text_of(attributes, "share", "share"), *subdir = text_of(attributes, "subdir", "subDir");
    if (server && path) {
        *ret_server = mem_strdup(server);
        *ret_path = mem_strdup(path);
        return true;
    }
    server = text_of(attributes, "server", "server");
    if (!server || !share) return false;
    char *from_handle = subdir ? NULL : handle_field(jd_str(volume, "spec.csi.volumeHandle"), 2);
    *ret_server = mem_strdup(server);
    *ret_path = joined(share, subdir ? subdir : from_handle);
    mem_free(from_handle);
    return true;
}

/* b is the same folder as a, or below it. */
static bool is_within(const char *a, const char *b) {
    size_t n = strlen(a);
    while (n > 0 && a[n - 1] == '/') n--;
    return strncmp(a, b, n) == 0 && (b[n] == '\0' || b[n] == '/');
}

static bool is_on(const struct json_t *other, const char *server, const char *path) {
    char *s, *p;
    if (!retired_nfs(other, &s, &p)) return false;
    bool found = str_eq(s, server) && (is_within(p, path) || is_within(path, p));
    mem_free(s);
    mem_free(p);
    return found;
}

/* Another volume on the same, a parent or a lower path; appends it. */
static bool is_shared(const struct json_t *volume, const struct json_t *all, struct buf *reason) {
    const struct json_t *items = jd_get(all, "items"), *found = NULL;
    char *server, *path;
    if (!retired_nfs(volume, &server, &path)) return false;
    for (size_t i = 0; !found && i < jd_len(items); i++) {
        const struct json_t *other = jd_at(items, i);
        if (!str_eq(jd_str(other, "metadata.uid"), jd_str(volume, "metadata.uid")) && is_on(other, server, path)) found = other;
    }
    mem_free(server);
    mem_free(path);
    if (!found || !retired_nfs(found, &server, &path)) return false;
    buf_printf(reason, "volume %s lies on %s:%s, too", jd_str(found, "metadata.name"), server, path);
    mem_free(server);
    mem_free(path);
    return true;
}

bool retired_may_purge(const struct retired_volume *v, const struct json_t *volume, const struct json_t *all, const struct retired_classes *classes,
                       struct buf *reason) {
    const char *uid = jd_str(volume, "metadata.uid"), *ref = jd_str(volume, "spec.claimRef.uid"), *class = jd_str(volume, "spec.storageClassName");
    const char *name = jd_str(volume, "metadata.name"), *phase = jd_str(volume, "status.phase"), *handle = jd_str(volume, "spec.csi.volumeHandle");
    if (!str_eq(uid, v->uid))
        buf_printf(reason, "volume %s is another one now (uid %.8s, journal %.8s)", name, uid ? uid : "(none)", v->uid);
    else if (handle && !str_eq(handle, v->handle))
        buf_printf(reason, "volume %s has handle %s, the journal %s", name, handle, v->handle && *v->handle ? v->handle : "none");
    else if (!str_eq(phase, "Released"))
        buf_printf(reason, "volume %s is %s, not Released", name, phase ? phase : "in no phase");
    else if (!str_eq(ref, v->claim_uid))
        buf_printf(reason, "volume %s was released by claim uid %.8s, not by the retired one (%.8s)", name, ref ? ref : "(none)", v->claim_uid);
    else if (!classes->has(classes->arg, class))
        buf_printf(reason, "volume %s has class %s, which is not %s", name, class ? class : "(none)", classes->what);
    else return !is_shared(volume, all, reason);
    return false;
}

void retired_place(const struct json_t *volume, const char *handle, struct buf *out) {
    char *server, *path;
    if (!retired_nfs(volume, &server, &path)) {
        buf_adds(out, handle && *handle ? handle : "the storage of its class");
        return;
    }
    buf_printf(out, "%s:%s", server, path);
    mem_free(server);
    mem_free(path);
}

/* ---- The operations ---- */

static bool in_source(void *arg, const char *class) {
    const struct plan *p = arg;
    for (size_t i = 0; i < p->source_classes.n; i++)
        if (str_eq(p->source_classes.v[i], class)) return true;
    return false;
}

static enum op_answer see_released(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    const struct carried *c = op->data;
    const char *phase = jd_str(seen->doc, "status.phase");
    (void)r;
    if (!seen->doc || !str_eq(jd_str(seen->doc, "metadata.uid"), c->v.uid)) {
        buf_adds(reason, "gone");
        return OP_DONE;
    }
    buf_printf(reason, "it is %s", phase ? phase : "in no phase");
    return str_eq(phase, "Released") ? OP_DONE : OP_TODO;
}

/* All volumes: the retired one among them is judged with the others. */
static enum op_answer see_may_purge(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    const struct carried *c = op->data;
    const struct json_t *items = jd_get(seen->doc, "items"), *ours = NULL;
    struct buf place = {0};
    for (size_t i = 0; i < jd_len(items); i++)
        if (str_eq(jd_str(jd_at(items, i), "metadata.name"), c->v.name)) ours = jd_at(items, i);
    if (!ours) {
        buf_adds(reason, "gone");
        return OP_DONE;
    }
    struct retired_classes classes = {in_source, (void *)(uintptr_t)r->plan, "a source class of the plan"};
    if (!retired_may_purge(&c->v, ours, seen->doc, &classes, reason)) return OP_REFUSE;
    retired_place(ours, c->v.handle, &place);
    c->told(r, c->v.name, buf_str(&place));
    run_unwatch_field(r, postgres_path_volume(c->v.name).p, POLICY); /* until here it had to stay Retain */
    buf_printf(reason, "Released by the retired claim, of a source class, nobody else on %s", buf_str(&place));
    buf_free(&place);
    return OP_DONE;
}

static void carry(struct op *op, const struct carried *c) {
    struct carried *mine = MEM_NEW(struct carried);
    *mine = *c;
    op->data = mine;
    op->drop = mem_free;
}

static struct carried carried_of(struct script *s, const struct retired_volume *v, void (*told)(struct run *r, const char *volume, const char *place)) {
    struct retired_volume kept = {script_fmt(s, "%s", v->name), script_fmt(s, "%s", v->uid), script_fmt(s, "%s", v->handle ? v->handle : ""),
                                  script_fmt(s, "%s", v->claim_uid)};
    return (struct carried){kept, told};
}

void retired_script_look(struct run *r, struct script *s, const struct retired_volume *v,
                         void (*told)(struct run *r, const char *volume, const char *place)) {
    const char *name = script_fmt(s, "%s", v->name), *path = script_fmt(s, "%s", postgres_path_volume(name).p);
    struct carried c = carried_of(s, v, told);
    (void)r;
    carry(script_wait(s, script_fmt(s, "%s released", name), script_fmt(s, "wait until volume %s is Released", name), path, see_released, RELEASED_MS), &c);
    carry(script_get(s, script_fmt(s, "%s may purge", name), script_fmt(s, "nobody else has anything where %s lies", name), "/api/v1/persistentvolumes",
                     see_may_purge), &c);
}

void retired_script_purge(struct run *r, struct script *s, const struct retired_volume *v,
                          void (*told)(struct run *r, const char *volume, const char *place)) {
    const char *name = script_fmt(s, "%s", v->name), *path = script_fmt(s, "%s", postgres_path_volume(name).p);
    struct carried c = carried_of(s, v, told);
    struct op *gone = move_script_gone(r, s, script_fmt(s, "volume %s", name), path, c.v.uid, -1, NULL);
    gone->irreversible = true;
    carry(script_guard_get(gone, script_fmt(s, "nobody else has anything where %s lies", name), "/api/v1/persistentvolumes", see_may_purge), &c);
}

/* ---- What a rollback left of this run's own ---- */

static bool is_target(void *arg, const char *class) {
    const struct plan *p = arg;
    return str_eq(p->target_class, class);
}

/* The volume itself; one that is gone, or whose policy is Delete already, needs nothing. */
static enum op_answer see_may_discard(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    const struct carried *c = op->data;
    if (!seen->doc || !str_eq(jd_str(seen->doc, "metadata.uid"), c->v.uid)) {
        buf_adds(reason, "gone");
        return OP_DONE;
    }
    struct retired_classes classes = {is_target, (void *)(uintptr_t)r->plan, "the target class of the plan"};
    if (!retired_may_purge(&c->v, seen->doc, NULL, &classes, reason)) return OP_REFUSE;
    run_unwatch_field(r, postgres_path_volume(c->v.name).p, POLICY);
    if (str_eq(jd_str(seen->doc, "spec.persistentVolumeReclaimPolicy"), "Delete")) return OP_DONE;
    return op->kind == OP_ACT ? OP_TODO : OP_DONE;
}

static enum op_answer see_discarded(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    const struct carried *c = op->data;
    (void)r;
    if (!seen->doc || !str_eq(jd_str(seen->doc, "metadata.uid"), c->v.uid)) {
        buf_adds(reason, "gone, with its data");
        return OP_DONE;
    }
    buf_printf(reason, "it is %s, and its driver has not removed it yet", jd_str(seen->doc, "status.phase"));
    return OP_TODO;
}

void retired_script_discard(struct run *r, struct script *s, const struct retired_volume *v) {
    const char *name = script_fmt(s, "%s", v->name), *path = script_fmt(s, "%s", postgres_path_volume(name).p);
    struct carried c = carried_of(s, v, NULL);
    struct json_t *patch = script_patch_new(c.v.uid);
    (void)r;
    script_patch_test(patch, "/spec/claimRef/uid", jd_string(c.v.claim_uid));
    script_patch_test(patch, "/status/phase", jd_string("Released"));
    script_patch_set(patch, "replace", POLICY, jd_string("Delete"));
    carry(script_get(s, script_fmt(s, "%s may go", name), script_fmt(s, "volume %s was made by this run and left by a rollback", name), path, see_may_discard), &c);
    struct op *act = script_patch(s, script_fmt(s, "discard %s", name), script_fmt(s, "volume %s: reclaim policy Delete", name), path, patch, see_may_discard);
    act->irreversible = true;
    carry(act, &c);
    carry(script_wait(s, script_fmt(s, "%s gone", name), script_fmt(s, "wait until volume %s is gone", name), path, see_discarded, RELEASED_MS), &c);
}
