/* Phase "template": the claim templates of a set cannot be changed, so the set goes (its pods stay: propagationPolicy
 * Orphan) and comes again, the same but for the class of its templates; its controller adopts the pods as they are
 * (wire/02c, 02d; hazard 9).
 *
 * In between nothing restarts a dead pod: it is one step, with a red clock. With `apply: external` the set is made
 * again from outside, and the clock may run for hours. */
#include "migrate/raft_template.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/json_doc.h"
#include "base/mem.h"
#include "base/str.h"
#include "migrate/managers.h"
#include "migrate/raft_look.h"
#include "migrate/raft_manifest.h"
#include "migrate/raft_rescue.h"
#include "world/world.h"

#define EXTERNAL_MS (INT64_C(7) * 24 * 60 * 60 * 1000)
#define ADOPT_MS INT64_C(180000)
#define ORPHAN_MS INT64_C(180000)

static bool is_external(const struct run *r) {
    return str_eq(raft_spec(r)->template_apply, "external");
}

static const char *set_path(struct run *r, struct script *s) {
    return raft_path(s, r, "statefulsets", raft_spec(r)->statefulset);
}

/* ---- The manifest on the disk, for whoever has to make the set again by hand ---- */

char *raft_manifest_file(const struct run *r) {
    return str_printf("%s/%s-set.json", r->dir ? r->dir : ".", r->workload->name);
}

static struct json_t *manifest_now(const struct run *r, const char *class, const char *id) {
    struct json_t *clean = run_fact_json(r, "set.manifest"), *d = clean ? raft_manifest_on(clean, class, id) : NULL;
    jd_free(clean);
    return d;
}

static void write_manifest(struct run *r) {
    struct json_t *d = manifest_now(r, r->plan->target_class, r->id);
    struct buf text = {0};
    char *file = raft_manifest_file(r);
    if (!d || r->preview || !r->dir) {
        mem_free(file);
        jd_free(d);
        return;
    }
    jd_dump_pretty(d, &text);
    struct err *e = file_write_durable(file, text.p, text.len, 0600);
    if (e) run_note(r, "WARN", "the set's manifest could not be saved (%s); it is in the journal, too", err_text(e));
    else run_set(r, "set.file", file);
    err_free(e);
    buf_free(&text);
    jd_free(d);
    mem_free(file);
}

/* ---- The set as it is ---- */

static void note_new(struct run *r, const struct json_t *doc) {
    run_set(r, "set.new.uid", jd_str(doc, "metadata.uid"));
}

/* It must be the one that preflight looked at, but for classes and for what changes all day. */
static bool note_old(struct run *r, const struct json_t *doc, struct buf *reason) {
    struct json_t *before = run_fact_json(r, "set.manifest"), *clean = raft_manifest_clean(doc);
    struct buf why = {0};
    bool same = !before || raft_manifest_same(before, clean, &why), well = false;
    if (!same)
        buf_printf(
            reason,
            "statefulset %s is not what preflight looked at: %s. Put it back, or roll back and begin with preflight",
            raft_spec(r)->statefulset, buf_str(&why));
    else if (str_eq(jd_str(doc, "spec.persistentVolumeClaimRetentionPolicy.whenDeleted"), "Delete"))
        buf_adds(reason, "the set's persistentVolumeClaimRetentionPolicy deletes its claims with it (whenDeleted: "
                         "Delete): set it to Retain first");
    else if (jd_num(doc, "spec.replicas", 1) < 1) buf_adds(reason, "the set is scaled to 0");
    else well = true;
    if (well) {
        struct json_t *classes = raft_manifest_classes(doc), *templates = raft_manifest_templates(doc);
        run_set(r, "set.uid", jd_str(doc, "metadata.uid"));
        if (!before) run_set_json(r, "set.manifest", clean);
        run_set_json(r, "set.class.old", classes);
        run_set_json(r, "set.templates", templates);
        run_set(r, "set.policy",
                str_eq(jd_str(doc, "spec.podManagementPolicy"), "Parallel") ? "Parallel" : "OrderedReady");
        run_set_int(r, "replicas", jd_num(doc, "spec.replicas", 1));
        write_manifest(r);
        jd_free(classes);
        jd_free(templates);
    }
    buf_free(&why);
    jd_free(clean);
    jd_free(before);
    return well;
}

static enum op_answer see_set(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    const struct json_t *doc = seen->doc;
    const char *uid = jd_str(doc, "metadata.uid"), *name = raft_spec(r)->statefulset;
    (void)op;
    if (!doc && !run_has(r, "set.orphaned_at")) {
        buf_printf(reason, "statefulset %s is not there", name);
        return OP_REFUSE;
    }
    bool absent = !doc || jd_str(doc, "metadata.deletionTimestamp");
    run_set(r, "set.absent", absent ? "yes" : "");
    if (absent) {
        buf_adds(reason, "the set is gone or going: its pods are orphaned");
        return OP_DONE;
    }
    if (raft_manifest_is_on(doc, r->plan->target_class)) {
        struct json_t *templates = raft_manifest_templates(doc);
        if (!run_has(r, "set.templates")) run_set_json(r, "set.templates", templates);
        jd_free(templates);
        note_new(r, doc);
        buf_printf(reason, "uid %s, already on %s", raft_short(uid), r->plan->target_class);
        return OP_DONE;
    }
    if (run_has(r, "set.uid") && !str_eq(run_fact(r, "set.uid"), uid))
        run_note(r, "WARN", "statefulset %s is another object than before (uid %s, was %s), on the old class", name,
                 raft_short(uid), raft_short(run_fact(r, "set.uid")));
    run_set(r, "set.orphaned_at", "");
    run_set(r, "no_way_back", "");
    run_set(r, "set.new.uid", "");
    if (!note_old(r, doc, reason)) return OP_REFUSE;
    buf_printf(reason, "uid %s, %lld replicas, %s", raft_short(uid), (long long)raft_replicas(r),
               run_fact(r, "set.policy"));
    return OP_DONE;
}

static bool is_done(const struct run *r) {
    return !r->preview && run_has(r, "set.new.uid");
}

/* uids of the pods, as one text that is compared later. */
static enum op_answer see_pods_noted(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    struct json_t *d = jd_object();
    char name[300];
    (void)op, (void)seen;
    for (int64_t i = 0; i < raft_replicas(r); i++) {
        snprintf(name, sizeof name, "%s-%lld", raft_spec(r)->statefulset, (long long)i);
        const char *uid = raft_pod_noted(r, name, "uid");
        if (uid) jd_set(d, name, jd_string(uid));
    }
    run_set_json(r, "set.pods", d);
    buf_printf(reason, "%zu pods", jd_len(d));
    jd_free(d);
    return OP_DONE;
}

static enum op_answer see_dry(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    struct json_t *before = run_fact_json(r, "set.manifest");
    struct buf why = {0};
    (void)op;
    bool same = seen->doc && raft_manifest_same(before, seen->doc, &why) &&
                raft_manifest_is_on(seen->doc, r->plan->target_class);
    if (same) buf_adds(reason, "the same but for the class");
    else
        buf_printf(reason,
                   "made again, the set would not be the same: %s. Whatever changes it (a webhook, a default of a "
                   "newer server) would give the pods another "
                   "revision; nothing is done",
                   why.len ? buf_str(&why) : "no answer");
    buf_free(&why);
    jd_free(before);
    return same ? OP_DONE : OP_REFUSE;
}

static void look_rest(struct run *r, struct script *s, struct op *op) {
    (void)op;
    if (run_has(r, "set.absent")) return; /* whatever became of the pods meanwhile, they need their controller first */
    for (int64_t i = 0; i < raft_replicas(r); i++) raft_script_pod(r, s, raft_member(s, r, i));
    script_check(s, "pods noted", "the pods that must stay as they are", see_pods_noted);
    struct json_t *d = is_done(r) || r->preview ? NULL : manifest_now(r, r->plan->target_class, r->id);
    if (!d) return;
    jd_put(d, "metadata.name", jd_string(script_fmt(s, "%.40s-ferryman-dry", raft_spec(r)->statefulset)));
    script_ask(s, "dry", "what the API server would make of it",
               script_fmt(s, "%s?dryRun=All&fieldValidation=Strict", raft_path(s, r, "statefulsets", NULL)), d,
               see_dry);
}

static void script_set(struct run *r, struct script *s) {
    script_get(s, "set", script_fmt(s, "statefulset %s", raft_spec(r)->statefulset), set_path(r, s), see_set);
    script_call(s, "pods of the set", look_rest, NULL, NULL);
}

/* ---- The volumes are kept ---- */

static void free_json(void *data) {
    jd_free(data);
}

static enum op_answer see_kept(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    enum op_answer a = raft_judge_retained(op->data, seen->doc, reason);
    const char *volume = jd_str(op->data, "volume");
    char *label = str_printf("volume %s reclaim policy", volume);
    if (a == OP_DONE) run_watch_field(r, op->get, "/spec/persistentVolumeReclaimPolicy", "\"Retain\"", label);
    mem_free(label);
    return a;
}

void raft_script_retain(struct run *r, struct script *s, const struct json_t *claim) {
    const char *volume = jd_str(claim, "volume"), *path = raft_path(s, r, "persistentvolumes", volume);
    struct json_t *patch = script_patch_new(jd_str(claim, "volume_uid"));
    script_patch_set(patch, "replace", "/spec/persistentVolumeReclaimPolicy", jd_string("Retain"));
    script_patch(s, script_fmt(s, "retain %s", volume),
                 script_fmt(s, "volume %s of %s: reclaim policy Retain", volume, jd_str(claim, "name")), path, patch,
                 NULL);
    struct op *op = script_get(s, script_fmt(s, "kept %s", volume), script_fmt(s, "volume %s: read it back", volume),
                               path, see_kept);
    op->data = jd_copy(claim);
    op->drop = free_json;
}

static void script_retain(struct run *r, struct script *s) {
    for (int64_t i = 0; i < raft_replicas(r); i++) {
        struct json_t *claims = raft_pod_claims(r, raft_member(s, r, i));
        for (size_t c = 0; c < jd_len(claims); c++) raft_script_retain(r, s, jd_at(claims, c));
        jd_free(claims);
    }
}

/* ---- The swap ---- */

/* Before the set goes: from here on the clock is red. */
static enum op_answer see_orphaning(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    (void)op, (void)seen, (void)reason;
    run_set_int(r, "set.orphaned_at", clock_wall_ms());
    run_set(r, "no_way_back", "the set is made again");
    return OP_TODO;
}

void raft_red_clock(const struct run *r, struct buf *out) {
    int64_t since = run_fact_int(r, "set.orphaned_at", 0);
    char at[32], age[24];
    if (since == 0) return;
    buf_printf(out, "NO CONTROLLER since %s (%s): nothing restarts a pod that dies",
               clock_format_utc(since, at, sizeof at), clock_format_age(clock_wall_ms() - since, age, sizeof age));
}

/* Of which the console may not know how it is made: what has to be so. */
static enum op_answer see_made(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    struct json_t *before = run_fact_json(r, "set.manifest");
    struct buf why = {0};
    (void)op;
    enum op_answer a = OP_REFUSE;
    if (!raft_manifest_is_on(seen->doc, r->plan->target_class))
        buf_printf(reason,
                   "it was made again on the old class: change the class to %s there, delete the set with "
                   "--cascade=orphan, and apply it",
                   r->plan->target_class);
    else if (before && !raft_manifest_same(before, seen->doc, &why)) {
        buf_printf(reason, "uid %s, on %s", raft_short(jd_str(seen->doc, "metadata.uid")), r->plan->target_class);
        run_note(r, "WARN", "the set that was made again differs: %s", buf_str(&why));
        a = OP_DONE;
    } else {
        buf_printf(reason, "uid %s, on %s", raft_short(jd_str(seen->doc, "metadata.uid")), r->plan->target_class);
        a = OP_DONE;
    }
    if (a == OP_DONE) note_new(r, seen->doc);
    buf_free(&why);
    jd_free(before);
    return a;
}

static enum op_answer see_applied(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    (void)op;
    if (seen->doc && !jd_str(seen->doc, "metadata.deletionTimestamp")) return see_made(r, op, seen, reason);
    raft_red_clock(r, reason);
    buf_printf(reason,
               ". Waiting until %s is applied from outside with its claim templates on %s; else: kubectl --context %s "
               "create -f %s",
               raft_spec(r)->statefulset, r->plan->target_class, r->plan->context,
               run_has(r, "set.file") ? run_fact(r, "set.file") : "the set's manifest");
    return OP_TODO;
}

/* Between the set's end and our POST somebody may have been faster. */
static enum op_answer see_absent(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    if (!seen->doc) {
        raft_red_clock(r, reason);
        return OP_DONE;
    }
    if (str_eq(jd_str(seen->doc, "metadata.uid"), run_fact(r, "set.uid"))) {
        buf_adds(reason, "the old set is still there");
        return OP_REFUSE;
    }
    return see_made(r, op, seen, reason);
}

static void make_set(struct run *r, struct script *s, struct op *op) {
    (void)op;
    if (is_done(r)) return;
    if (is_external(r)) {
        script_wait(s, "applied", script_fmt(s, "statefulset %s is made again from outside", raft_spec(r)->statefulset),
                    set_path(r, s), see_applied, EXTERNAL_MS);
        return;
    }
    struct json_t *d = manifest_now(r, r->plan->target_class, r->id);
    if (!d) {
        d = jd_object();
        jd_put(d, "metadata.name", jd_string(raft_spec(r)->statefulset));
        jd_put(d, "spec",
               jd_string(script_fmt(s, "‹the same manifest, claim templates on %s›", r->plan->target_class)));
    }
    struct op *made = script_create(s, "create set",
                                    script_fmt(s, "create statefulset %s, the same but for claim templates on %s",
                                               raft_spec(r)->statefulset, r->plan->target_class),
                                    raft_path(s, r, "statefulsets", NULL), d, see_made);
    made->irreversible = true;
    if (!run_has(r, "set.manifest")) made->dry = false;
}

static void swap_rest(struct run *r, struct script *s, struct op *op) {
    (void)op;
    if (is_done(r)) return;
    const char *uid = raft_said(s, r, "set.uid");
    struct op *orphan = script_orphan(
        s, "orphan set",
        script_fmt(s, "delete statefulset %s (uid %s), its pods stay", raft_spec(r)->statefulset, raft_short(uid)),
        set_path(r, s), uid, see_orphaning);
    orphan->irreversible = true;
    raft_guard_well(r, s, orphan, NULL);
    raft_script_gone(r, s, "set gone", "wait until the set is gone", set_path(r, s), uid, ORPHAN_MS)->poll_ms =
        50; /* the clock is red */
    script_get(s, "absent", "nobody has made it again", set_path(r, s), see_absent);
    script_call(s, "make it again", make_set, NULL, NULL);
}

static void script_swap(struct run *r, struct script *s) {
    swap_rest(r, s, NULL);
}

/* ---- Adopted ---- */

static const char *owner_of(const struct json_t *pod) {
    const struct json_t *refs = jd_get(pod, "metadata.ownerReferences");
    for (size_t i = 0; i < jd_len(refs); i++)
        if (jd_flag(jd_at(refs, i), "controller", false)) return jd_str(jd_at(refs, i), "uid");
    return NULL;
}

static const struct json_t *pod_named(const struct json_t *list, const char *name) {
    const struct json_t *items = jd_get(list, "items");
    for (size_t i = 0; i < jd_len(items); i++)
        if (str_eq(jd_str(jd_at(items, i), "metadata.name"), name)) return jd_at(items, i);
    return NULL;
}

/* Each pod that was noted: there, the same, and the new set's. `but`: a pod that is away (rollback), or NULL. */
enum op_answer raft_judge_adopted(struct run *r, const struct json_t *pods, const char *but, struct buf *reason) {
    struct json_t *noted = run_fact_json(r, "set.pods");
    enum op_answer a = OP_DONE;
    for (void *it = noted ? jd_iter(noted) : NULL; it && a == OP_DONE; it = jd_iter_next(noted, it)) {
        const char *name = jd_iter_key(it), *uid = jd_string_value(jd_iter_value(it));
        const struct json_t *pod = pod_named(pods, name);
        if (str_eq(name, but)) continue;
        if (!pod || !str_eq(jd_str(pod, "metadata.uid"), uid) || jd_str(pod, "metadata.deletionTimestamp")) {
            buf_printf(reason,
                       "pod %s is not the one that it was (uid %s): it was restarted; look at why before anything else "
                       "is done",
                       name, raft_short(uid));
            a = OP_REFUSE;
        } else if (!str_eq(owner_of(pod), run_fact(r, "set.new.uid"))) {
            buf_printf(reason, "pod %s is not adopted yet", name);
            a = OP_TODO;
        }
    }
    if (a == OP_DONE) buf_printf(reason, "%zu pods adopted as they were", jd_len(noted));
    jd_free(noted);
    return a;
}

static enum op_answer see_adopted(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    (void)op;
    return raft_judge_adopted(r, seen->doc, NULL, reason);
}

/* The red clock stops, and what was swapped is watched. */
static enum op_answer see_swapped(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    char *class = str_printf("\"%s\"", r->plan->target_class), replicas[24];
    (void)op;
    if (!seen->doc || !str_eq(jd_str(seen->doc, "metadata.uid"), run_fact(r, "set.new.uid"))) {
        buf_adds(reason, "the new set is not there any more");
        mem_free(class);
        return OP_REFUSE;
    }
    raft_watch_set(r, op->get);
    snprintf(replicas, sizeof replicas, "%lld", (long long)raft_replicas(r));
    run_set(r, "set.orphaned_at", "");
    run_set(r, "no_way_back", "");
    buf_printf(reason, "uid %s", raft_short(run_fact(r, "set.new.uid")));
    mem_free(class);
    return OP_DONE;
}

void raft_watch_set(struct run *r, const char *path) {
    char *class = str_printf("\"%s\"", r->plan->target_class), replicas[24];
    struct json_t *templates = run_fact_json(r, "set.templates");
    snprintf(replicas, sizeof replicas, "%lld", (long long)raft_replicas(r));
    run_watch_field(r, path, "/spec/replicas", replicas, "statefulset replicas");
    for (size_t i = 0; i < jd_len(templates); i++) {
        char *pointer = str_printf("/spec/volumeClaimTemplates/%zu/spec/storageClassName", i);
        char *label = str_printf("class of claim template %s", jd_string_value(jd_at(templates, i)));
        run_watch_field(r, path, pointer, class, label);
        mem_free(pointer);
        mem_free(label);
    }
    jd_free(templates);
    mem_free(class);
}

void raft_unwatch_set(struct run *r, const char *path) {
    struct json_t *templates = run_fact_json(r, "set.templates");
    run_unwatch_field(r, path, "/spec/replicas");
    for (size_t i = 0; i < jd_len(templates); i++) {
        char *pointer = str_printf("/spec/volumeClaimTemplates/%zu/spec/storageClassName", i);
        run_unwatch_field(r, path, pointer);
        mem_free(pointer);
    }
    jd_free(templates);
}

/* No claim was touched: the same uid as before. */
static enum op_answer see_untouched(struct run *r, struct op *op, const struct seen *seen, struct buf *reason) {
    (void)r;
    if (seen->doc && str_eq(jd_str(seen->doc, "metadata.uid"), op->data) &&
        !jd_str(seen->doc, "metadata.deletionTimestamp")) {
        buf_printf(reason, "uid %s", raft_short(op->data));
        return OP_DONE;
    }
    buf_adds(reason, seen->doc ? "it is not the same any more" : "it is not there any more");
    return OP_REFUSE;
}

static void script_adopted(struct run *r, struct script *s) {
    script_wait(s, "adopted", "the pods are adopted as they are", raft_path(s, r, "pods", NULL), see_adopted, ADOPT_MS);
    script_get(s, "set again", "the set is on the target class", set_path(r, s), see_swapped);
    for (int64_t i = 0; i < raft_replicas(r); i++) {
        struct json_t *claims = raft_pod_claims(r, raft_member(s, r, i));
        for (size_t c = 0; c < jd_len(claims); c++) {
            const char *name = jd_str(jd_at(claims, c), "name");
            struct op *op = script_get(s, script_fmt(s, "untouched %s", name),
                                       script_fmt(s, "claim %s is untouched", name),
                                       raft_path(s, r, "persistentvolumeclaims", name), see_untouched);
            op->data = (void *)(uintptr_t)script_fmt(s, "%s", jd_str(jd_at(claims, c), "uid"));
        }
        jd_free(claims);
    }
}

static const struct step steps[] = {
    {.id = "set", .title = "the set, its pods and claims", .script = script_set},
    {.id = "retain", .title = "every volume is kept", .script = script_retain},
    {.id = "swap", .title = "the set goes and comes again", .script = script_swap},
    {.id = "adopted", .title = "the pods are adopted as they are", .script = script_adopted},
    {.id = NULL},
};

/* ---- Its dialog ---- */

/* While the set is orphaned nothing is a reason to wait: whatever has died meanwhile needs its controller. */
static bool may_begin(const struct run *r, struct buf *reason) {
    if (run_has(r, "set.orphaned_at")) return true;
    return raft_may_begin(r, reason) && raft_budget(r, false, reason);
}

static void pod_lines(struct run *r, struct dialog *d) {
    for (int64_t i = 0; i < raft_replicas(r); i++) {
        char pod[300], uid[64] = "";
        snprintf(pod, sizeof pod, "%s-%lld", raft_spec(r)->statefulset, (long long)i);
        const char *noted = raft_pod_noted(r, pod, "uid");
        if (noted) snprintf(uid, sizeof uid, "%.63s", noted);
        struct json_t *claims = raft_pod_claims(r, pod);
        struct buf text = {0};
        for (size_t c = 0; c < jd_len(claims); c++)
            buf_printf(&text, "%s%s uid %s %s", c ? ", " : "", jd_str(jd_at(claims, c), "name"),
                       raft_short(jd_str(jd_at(claims, c), "uid")), jd_str(jd_at(claims, c), "class"));
        dialog_line(d, "stays", "pod %s uid %s, not restarted%s%s", pod, raft_short(uid), text.len ? "; " : "",
                    buf_str(&text));
        buf_free(&text);
        jd_free(claims);
    }
}

static void class_lines(struct run *r, struct dialog *d) {
    struct json_t *classes = run_fact_json(r, "set.class.old");
    struct buf from = {0};
    for (void *it = classes ? jd_iter(classes) : NULL; it; it = jd_iter_next(classes, it))
        buf_printf(&from, "%s%s: %s", from.len ? ", " : "", jd_iter_key(it), jd_string_value(jd_iter_value(it)));
    dialog_line(d, "from", "claim templates %s", from.len ? buf_str(&from) : "as they are now");
    dialog_line(d, "to", "claim templates on %s; nothing else of the set may differ, or it is refused",
                r->plan->target_class);
    buf_free(&from);
    jd_free(classes);
}

static void dialog(struct run *r, struct dialog *d) {
    char *file = raft_manifest_file(r);
    dialog_line(
        d, "will go",
        "statefulset %s (its uid as a precondition), with propagationPolicy Orphan: the controller, not the pods",
        raft_spec(r)->statefulset);
    pod_lines(r, d);
    class_lines(r, d);
    dialog_line(d, "reclaim", "every volume of the set is set to Retain and read back first");
    if (is_external(r)) {
        dialog_line(d, "meanwhile",
                    "NO CONTROLLER until it is applied from outside (Terraform, Helm, …) with the new class: nothing "
                    "restarts a pod that dies");
        dialog_line(d, "fallback", "kubectl --context %s create -f %s", r->plan->context, file);
        dialog_line(d, "beware",
                    "if what applies it keeps its state or its secrets in this very cluster, try it before you begin");
    } else {
        dialog_line(d, "meanwhile",
                    "no controller for less than a second: nothing restarts a pod that dies in it. If we die in it: "
                    "kubectl --context %s create -f %s",
                    r->plan->context, file);
    }
    const struct row *w = world_find_name(r->world, T_WORKLOADS, slice_of(r->workload->ns),
                                          slice_of(raft_spec(r)->statefulset));
    struct slice by = w ? row_text(w, WORKLOADS_MANAGER) : (struct slice){NULL, 0};
    if (by.n && !slice_starts(by, "ferryman"))
        dialog_line(d, "beware",
                    "the set is written by %.*s: change the class there, too, or it will try to take it back",
                    (int)by.n, by.p);
    dialog_line(d, "lost", "nothing: pods and claims stay as they are");
    dialog_line(d, "undo", "rollback, as long as no pod was moved: the same with the old classes");
    raft_rescue_line(r, d);
    mem_free(file);
}

static const char *begin_at(const struct run *r) {
    (void)r;
    return "set";
}

static bool undone(const struct run *r) {
    return !run_has(r, "set.new.uid");
}

const struct phase raft_phase_template = {
    .id = "template",
    .title = "template swap",
    .stake = STAKE_HARD,
    .steps = steps,
    .may_begin = may_begin,
    .dialog = dialog,
    .undone = undone,
    .begin_at = begin_at,
};
