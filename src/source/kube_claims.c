/* Claims, and the join of what they are judged by: their volume, else their class, else the annotation of whoever was
 * asked to make it; and who uses them. A claim is judged when it comes and again when one of these changes; what a
 * second judgement needs of the claim itself stands in its row. */
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "source/claim_judge.h"
#include "source/kube_source_private.h"
#include "source/storage_judge.h"
#include "world/freshness.h"

/* Evidence that starts so holds the provisioner: the annotation is kept nowhere else. */
#define BY_ANNOTATION "annotation storage-provisioner "
#define USERS_SHOWN 6
/* A class that is younger than a volume by more than this is not the one that made it. */
#define CLASS_SLACK_MS (INT64_C(60) * CLOCK_MS_PER_S)

enum { STORAGE_TEXT, USERS_TEXT, EVIDENCE_TEXT, WHY_TEXT };

/* Of the claim at hand. */
struct claim {
    struct slice uid, ns, name, class, volume, phase, modes, provisioner;
    bool deleting;
};

/* ---- Storage ----------------------------------------------------------------------------------------------------- */

static struct storage_verdict verdict_of(const struct row *r, int backend, int encryption) {
    return (struct storage_verdict){storage_backend_by_name(row_text(r, backend)),
                                    storage_encryption_by_name(row_text(r, encryption))};
}

/* A volume of that name that belongs to another claim proves nothing. */
static const struct row *find_volume(const struct kube_source *s, const struct claim *c) {
    if (!c->volume.n) return NULL;
    const struct row *v = world_find_name(s->o.world, T_VOLUMES, (struct slice){NULL, 0}, c->volume);
    struct slice of = v ? row_text(v, VOLUMES_CLAIM_UID) : (struct slice){NULL, 0};
    return of.n && !slice_eq(of, c->uid) ? NULL : v;
}

static const struct row *find_class(const struct kube_source *s, const struct claim *c, const struct row *volume) {
    if (!c->class.n) return NULL;
    const struct row *class = world_find_name(s->o.world, T_STORAGE_CLASSES, (struct slice){NULL, 0}, c->class);
    if (!class || !volume) return class;
    int64_t made = row_int(volume, VOLUMES_CREATED, INT64_MAX), class_made = row_int(class, STORAGE_CLASSES_CREATED, 0);
    return made < class_made && class_made - made > CLASS_SLACK_MS ? NULL : class;
}

/* What the class adds where the volume leaves something open. */
static void ask_class(const struct claim *c, const struct row *class, bool first, struct storage_verdict *v,
                      struct buf *evidence) {
    struct storage_verdict by_class = verdict_of(class, STORAGE_CLASSES_BACKEND, STORAGE_CLASSES_ENCRYPTION);
    bool backend = v->backend == STORAGE_UNKNOWN && by_class.backend != STORAGE_UNKNOWN;
    if (backend) v->backend = by_class.backend;
    bool encryption =
        v->encryption == ENCRYPTION_UNKNOWN && v->backend == STORAGE_BLOCK && by_class.encryption != ENCRYPTION_UNKNOWN;
    if (encryption) v->encryption = by_class.encryption;
    if (!backend && !encryption && !first) return;
    buf_printf(evidence, "%sclass %.*s: %.*s", evidence->len ? "; " : "", SLICE_FMT(c->class),
               SLICE_FMT(row_text(class, STORAGE_CLASSES_EVIDENCE)));
}

static struct storage_verdict judge_storage(struct kube_source *s, const struct claim *c, const struct row *volume,
                                            struct buf *evidence) {
    struct storage_verdict v = {STORAGE_UNKNOWN, ENCRYPTION_UNKNOWN};
    const struct row *class = NULL;
    if (volume) {
        v = verdict_of(volume, VOLUMES_BACKEND, VOLUMES_ENCRYPTION);
        buf_add_slice(evidence, row_text(volume, VOLUMES_EVIDENCE));
    }
    if (v.backend == STORAGE_UNKNOWN || (v.backend == STORAGE_BLOCK && v.encryption == ENCRYPTION_UNKNOWN))
        class = find_class(s, c, volume);
    if (class) ask_class(c, class, !volume, &v, evidence);
    if (!volume && !class && c->provisioner.n) {
        v = storage_judge_provisioner(c->provisioner);
        buf_printf(evidence, BY_ANNOTATION "%.*s", SLICE_FMT(c->provisioner));
    }
    if (!evidence->len)
        buf_adds(evidence, c->volume.n ? "its volume is not known" : "neither volume nor class is known");
    return v;
}

/* ---- Users ------------------------------------------------------------------------------------------------------- */

/* Splits "data-vault-1" into "data-vault" and 1; false if there is no ordinal. */
static bool split_ordinal(struct slice name, struct slice *ret_stem, int64_t *ret) {
    size_t n = name.n;
    while (n > 0 && name.p[n - 1] >= '0' && name.p[n - 1] <= '9') n--;
    if (n < 2 || n == name.n || name.p[n - 1] != '-') return false;
    *ret_stem = (struct slice){name.p, n - 1};
    return slice_to_i64((struct slice){name.p + n, name.n - n}, ret);
}

static void take_user(struct claim_facts *f, const struct claim_user *u) {
    bool lasting = !(u->flags & CLAIM_USER_JOB);
    f->plan_mounts = f->plan_mounts || (lasting && (u->flags & CLAIM_USER_PLAN));
    f->others_mount = f->others_mount || (lasting && !(u->flags & CLAIM_USER_PLAN));
    f->stateful_mounts = f->stateful_mounts || (u->flags & CLAIM_USER_STATEFUL);
    if (u->database && lasting && !f->database.n) f->database = slice_of(u->database);
}

static void name_users(const struct claim_user *const *users, size_t n, struct buf *out) {
    for (size_t i = 0; i < n && i < USERS_SHOWN; i++) buf_printf(out, "%s%s", i ? ", " : "", users[i]->text);
    if (n > USERS_SHOWN) buf_printf(out, ", +%zu", n - USERS_SHOWN);
}

/* A claim that no pod mounts at the moment may still be one of a set's: its template says so. */
static void judge_template(struct kube_source *s, const struct claim *c, struct claim_facts *f, bool mounted,
                           struct buf *out) {
    struct slice stem;
    int64_t ordinal;
    size_t n;
    if (!split_ordinal(c->name, &stem, &ordinal)) return;
    struct slice key = kube_arena_printf(&s->arena, "%.*s/%.*s-*", SLICE_FMT(c->ns), SLICE_FMT(stem));
    const struct claim_user *const *sets = claim_users_of(s->users, key, &n);
    for (size_t i = 0; i < n; i++) {
        bool wanted = sets[i]->replicas == 0 || ordinal < sets[i]->replicas;
        if (wanted) take_user(f, sets[i]);
        else if (sets[i]->flags & CLAIM_USER_PLAN) f->plan_mounted = true;
        if (!mounted && wanted) buf_printf(out, "%s%s", out->len ? ", " : "", sets[i]->text);
    }
}

static void judge_users(struct kube_source *s, const struct claim *c, struct claim_facts *f, struct buf *out) {
    size_t n;
    struct slice key = kube_arena_printf(&s->arena, "%.*s/%.*s", SLICE_FMT(c->ns), SLICE_FMT(c->name));
    const struct claim_user *const *users = claim_users_of(s->users, key, &n);
    for (size_t i = 0; i < n; i++) take_user(f, users[i]);
    name_users(users, n, out);
    judge_template(s, c, f, n > 0, out);
    for (const char *const *r = s->o.remaining; *r; r++) f->may_remain = f->may_remain || slice_is(key, *r);
}

/* Whether a deployment of the plan in this namespace runs on claims none of which is on NFS: what is left on NFS there,
 * for one writer and without a user that lasts, is what it came from. */
static bool workload_has_moved(const struct kube_source *s, struct slice ns) {
    for (size_t i = 0; i < s->o.nobjects; i++) {
        const struct kube_plan_object *o = &s->o.objects[i];
        if (!str_eq(o->kind, "Deployment") || !slice_is(ns, o->ns)) continue;
        const struct row *w = world_find_name(s->o.world, T_WORKLOADS, ns, slice_of(o->name));
        struct slice claims = w ? row_text(w, WORKLOADS_CLAIMS) : (struct slice){NULL, 0}, one;
        bool moved = claims.n > 0;
        while (slice_cut(&claims, ',', &one)) {
            const struct row *c = world_find_name(s->o.world, T_CLAIMS, ns, slice_trim(one));
            moved = moved && c && slice_is(row_text(c, CLAIMS_BACKEND), "block");
        }
        if (moved) return true;
    }
    return false;
}

static void judge_past(struct kube_source *s, const struct claim *c, struct claim_facts *f) {
    if (f->plan_mounts) {
        if (!map_get(s->mounted, c->uid)) map_put(s->mounted, c->uid, s);
        return;
    }
    f->plan_mounted =
        f->plan_mounted || map_get(s->mounted, c->uid) ||
        (f->backend == STORAGE_NFS && !f->others_mount && slice_is(c->modes, "RWO") && workload_has_moved(s, c->ns));
}

/* ---- The judgement ----------------------------------------------------------------------------------------------- */

/* Where volumes may not be listed, what the class promises has to do. */
static bool is_missing(const struct kube_source *s, const struct claim *c, const struct row *volume) {
    if (volume || !c->volume.n) return false;
    struct fresh f = world_source_freshness(s->o.world, "kube/persistentvolumes");
    return fresh_usable(f) || f.state == FRESH_STARTING;
}

static const int judged_cols[] = {CLAIMS_STATE,      CLAIMS_RECLAIM, CLAIMS_STORAGE, CLAIMS_BACKEND,
                                  CLAIMS_ENCRYPTION, CLAIMS_USED_BY, CLAIMS_EVIDENCE};

/* Fills the cells of the judged columns; their text lives in the scratch until the next claim. */
static void judge(struct kube_source *s, const struct claim *c, struct cell *cells) {
    struct claim_facts f = {.phase = c->phase, .deleting = c->deleting, .has_plan = kube_source_has_plan(s)};
    struct buf *b = s->scratch;
    for (size_t i = 0; i < ARRAY_LEN(s->scratch); i++) buf_clear(&b[i]);
    const struct row *volume = find_volume(s, c);
    struct storage_verdict v = judge_storage(s, c, volume, &b[EVIDENCE_TEXT]);
    const struct row *class = volume ? NULL : find_class(s, c, NULL);
    struct slice driver = volume  ? row_text(volume, VOLUMES_DRIVER)
                          : class ? row_text(class, STORAGE_CLASSES_PROVISIONER)
                                  : c->provisioner;
    storage_text(&b[STORAGE_TEXT], v, driver, volume ? row_text(volume, VOLUMES_SERVER) : (struct slice){NULL, 0});
    f.backend = v.backend;
    f.volume_missing = is_missing(s, c, volume);
    f.on_target = s->o.target_class && slice_is(c->class, s->o.target_class);
    f.unproved = s->o.target_encrypted && v.encryption != ENCRYPTION_DECLARED;
    judge_users(s, c, &f, &b[USERS_TEXT]);
    judge_past(s, c, &f);
    cells[CLAIMS_STATE] = cell_text(claim_judge(&f, &b[WHY_TEXT]));
    if (b[WHY_TEXT].len) buf_printf(&b[EVIDENCE_TEXT], "; %s", b[WHY_TEXT].p);
    cells[CLAIMS_RECLAIM] = volume ? row_cell(volume, VOLUMES_RECLAIM) : CELL_NONE;
    cells[CLAIMS_STORAGE] = cell_text(buf_str(&b[STORAGE_TEXT]));
    cells[CLAIMS_BACKEND] = cell_text(storage_backend_name(v.backend));
    cells[CLAIMS_ENCRYPTION] = cell_text(storage_encryption_name(v.encryption));
    cells[CLAIMS_USED_BY] = b[USERS_TEXT].len ? cell_text(b[USERS_TEXT].p) : CELL_NONE;
    cells[CLAIMS_EVIDENCE] = cell_text(buf_str(&b[EVIDENCE_TEXT]));
}

static struct slice annotated_provisioner(struct slice evidence) {
    struct slice s = evidence, ret;
    if (!slice_starts(s, BY_ANNOTATION)) return (struct slice){NULL, 0};
    s.p += sizeof BY_ANNOTATION - 1;
    s.n -= sizeof BY_ANNOTATION - 1;
    slice_cut(&s, ';', &ret);
    return ret;
}

void kube_claims_judge(struct kube_source *s, const struct row *r) {
    struct cell cells[WORLD_COLS_MAX], judged[ARRAY_LEN(judged_cols)];
    row_cells(r, cells);
    struct claim c = {
        .uid = row_key(r),
        .ns = cells[CLAIMS_NAMESPACE].s,
        .name = cells[CLAIMS_NAME].s,
        .class = cells[CLAIMS_CLASS].s,
        .volume = cells[CLAIMS_VOLUME].s,
        .phase = cells[CLAIMS_PHASE].s,
        .modes = cells[CLAIMS_MODES].s,
        .provisioner = annotated_provisioner(cells[CLAIMS_EVIDENCE].s),
        .deleting = cells[CLAIMS_DELETING].type != CELL_NULL,
    };
    judge(s, &c, cells);
    for (size_t i = 0; i < ARRAY_LEN(judged_cols); i++) judged[i] = cells[judged_cols[i]];
    world_patch(s->o.world, T_CLAIMS, row_key(r), judged_cols, judged, ARRAY_LEN(judged_cols));
}

static struct err *apply(struct kube_listener *l, struct slice json, bool deleted) {
    struct kube_source *s = l->source;
    struct kube_claim k;
    struct err *e = kube_claim_parse(&s->arena, json, &k);
    if (e) return e;
    struct cell cells[CLAIMS_COLS] = {
        [CLAIMS_NAMESPACE] = cell_slice(k.meta.ns),
        [CLAIMS_NAME] = cell_slice(k.meta.name),
        [CLAIMS_CLASS] = cell_slice(k.class),
        [CLAIMS_REQUEST] = kube_cell(k.request),
        [CLAIMS_CAPACITY] = kube_cell(k.capacity),
        [CLAIMS_MODES] = cell_slice(k.modes),
        [CLAIMS_PHASE] = cell_slice(k.phase),
        [CLAIMS_VOLUME] = cell_slice(k.volume),
        [CLAIMS_MANAGER] = cell_slice(k.meta.manager),
        [CLAIMS_CREATED] = kube_cell(k.meta.created),
        [CLAIMS_DELETING] = kube_cell(k.meta.deleting),
        [CLAIMS_VERSION] = cell_slice(k.meta.version),
    };
    struct claim c = {
        .uid = k.meta.uid,
        .ns = k.meta.ns,
        .name = k.meta.name,
        .class = k.class,
        .volume = k.volume,
        .phase = k.phase,
        .modes = k.modes,
        .provisioner = k.meta.provisioner,
        .deleting = k.meta.deleting != KUBE_NONE,
    };
    if (!deleted) judge(s, &c, cells);
    kube_listener_row(l, &k.meta, cells, deleted);
    return NULL;
}

const struct kube_kind kube_kind_claims = {
    .group_path = "/api/v1",
    .resource = "persistentvolumeclaims",
    .scope = KUBE_ALL,
    .table = T_CLAIMS,
    .waits = true,
    .apply = apply,
};

/* ---- What claims are judged by has changed ----------------------------------------------------------------------- */

void kube_claims_volume(struct kube_source *s, const struct row *old, const struct row *now) {
    struct slice before = old ? row_text(old, VOLUMES_CLAIM_UID) : (struct slice){NULL, 0};
    struct slice after = now ? row_text(now, VOLUMES_CLAIM_UID) : (struct slice){NULL, 0};
    const struct row *claim = after.n ? world_find(s->o.world, T_CLAIMS, after) : NULL;
    if (claim) kube_claims_judge(s, claim);
    claim = before.n && !slice_eq(before, after) ? world_find(s->o.world, T_CLAIMS, before) : NULL;
    if (claim) kube_claims_judge(s, claim);
}

void kube_claims_users_changed(void *arg, struct slice key) {
    struct kube_source *s = arg;
    struct slice name = key, ns;
    if (slice_ends(key, "-*")) {
        kube_source_judge_all(s);
        return;
    }
    slice_cut(&name, '/', &ns);
    const struct row *claim = world_find_name(s->o.world, T_CLAIMS, ns, name);
    if (claim) kube_claims_judge(s, claim);
}

void kube_claims_use(struct kube_source *s, const struct kube_meta *m, const struct claim_user *user,
                     const struct kube_texts *claims, const struct kube_texts *templates) {
    size_t n = claims->n + (templates ? templates->n : 0);
    struct slice *keys = kube_arena_alloc(&s->arena, n * sizeof *keys + 1);
    for (size_t i = 0; i < claims->n; i++)
        keys[i] = kube_arena_printf(&s->arena, "%.*s/%.*s", SLICE_FMT(m->ns), SLICE_FMT(claims->v[i]));
    for (size_t i = claims->n; i < n; i++)
        keys[i] = kube_arena_printf(&s->arena, "%.*s/%.*s-%.*s-*", SLICE_FMT(m->ns),
                                    SLICE_FMT(templates->v[i - claims->n]), SLICE_FMT(m->name));
    claim_users_set(s->users, m->uid, user, keys, n);
}
