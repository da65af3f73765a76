/* Confirmations: what a phase would do, written out before it is begun, tried as a dry run, and refused when it is no longer true.
 *
 * A dialog is made of the script of the whole phase. Its fingerprint is what the script rests on (the workload, its claims and
 * volumes, the server's identity): if that is another when the operator says yes, the plan is stale. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/json_doc.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "client/kube_config.h"
#include "loop/loop.h"
#include "migrate/migration_private.h"
#include "world/freshness.h"
#include "world/world.h"

#define KEPT_MS INT64_C(120000) /* an answered dialog stays so long for its reader */

void dialog_line(struct dialog *d, const char *label, const char *fmt, ...) {
    va_list ap;
    struct buf text = {0}, clean = {0};
    va_start(ap, fmt);
    buf_vprintf(&text, fmt, ap);
    va_end(ap);
    utf8_clean(&clean, buf_slice(&text));
    d->lines = mem_reallocarray(d->lines, d->nlines + 1, sizeof *d->lines);
    d->lines[d->nlines++] = (struct dialog_line_text){mem_strdup(label), buf_steal(&clean)};
    buf_free(&text);
}

/* ---- What it rests on ---- */

struct resting {
    struct buf print; /* what the fingerprint is made of */
    struct buf facts; /* "kube/deployments LIVE 2s, …" */
    char *unusable;   /* the first source that nothing may rest on */
    const struct world *w;
    char seen[8][64];
    size_t nseen;
};

static void rest_on(struct resting *r, const struct row *row) {
    const char *src = row_src(r->w, row);
    struct fresh f = world_freshness(r->w, row);
    char age[32];
    for (size_t i = 0; i < r->nseen; i++)
        if (str_eq(r->seen[i], src)) return;
    if (r->nseen < ARRAY_LEN(r->seen)) str_copy(r->seen[r->nseen++], sizeof r->seen[0], src);
    buf_printf(&r->facts, "%s%s %s %s", r->facts.len ? ", " : "", src, freshness_name(f.state),
               f.age_ms >= 0 ? clock_format_age(f.age_ms, age, sizeof age) : "");
    if (!fresh_usable(f) && !r->unusable)
        r->unusable = str_printf("%s is %s: nothing may rest on it", src, freshness_name(f.state));
}

static void add_cells(struct resting *r, const struct row *row, const int *cols, size_t n) {
    struct slice key = row_key(row);
    buf_printf(&r->print, "%.*s", (int)key.n, key.p);
    for (size_t i = 0; i < n; i++) {
        struct slice text = row_text(row, cols[i]);
        buf_printf(&r->print, "|%.*s", (int)text.n, text.p ? text.p : "");
    }
    buf_addc(&r->print, '\n');
    rest_on(r, row);
}

static void add_claim(struct resting *r, const struct mover *v, const char *name) {
    static const int claim_cols[] = {CLAIMS_CLASS, CLAIMS_VOLUME, CLAIMS_PHASE}, volume_cols[] = {VOLUMES_RECLAIM, VOLUMES_CLAIM_UID, VOLUMES_PHASE};
    const struct row *claim = world_find_name(r->w, T_CLAIMS, slice_of(v->w->ns), slice_of(name));
    if (!claim) return;
    add_cells(r, claim, claim_cols, ARRAY_LEN(claim_cols));
    const struct row *volume = world_find_name(r->w, T_VOLUMES, (struct slice){NULL, 0}, row_text(claim, CLAIMS_VOLUME));
    if (volume) add_cells(r, volume, volume_cols, ARRAY_LEN(volume_cols));
}

/* Why an object is not known: nobody tells us of its kind, or it is not there. */
static char *unknown_object(const struct world *w, const char *object, const char *ns) {
    const struct row *src = world_find(w, T_SOURCES, slice_of(str_starts(object, "Deployment/") ? "kube/deployments" : "kube/statefulsets"));
    struct slice state = src ? row_text(src, SOURCES_STATE) : (struct slice){0}, error = src ? row_text(src, SOURCES_ERROR) : state;
    if (error.n)
        return str_printf("%s in namespace %s is not known: %.*s is %.*s: %.*s", object, ns, SLICE_FMT(row_key(src)), SLICE_FMT(state), SLICE_FMT(error));
    return str_printf("%s is not known in namespace %s (any more)", object, ns);
}

static void rest(struct resting *r, const struct mover *v) {
    static const int cols[] = {WORKLOADS_STRATEGY, WORKLOADS_CLAIMS, WORKLOADS_IMAGE};
    char object[300];
    const char *slash = strchr(v->w->kind->object(v->w, object, sizeof object), '/');
    const char *name = slash ? slash + 1 : object, *facts[] = {"claim.old.name", "claim.new.name"};
    r->w = v->m->world;
    const struct row *w = world_find_name(r->w, T_WORKLOADS, slice_of(v->w->ns), slice_of(name));
    if (w) {
        add_cells(r, w, cols, ARRAY_LEN(cols));
        buf_printf(&r->print, "%lld\n", (long long)row_int(w, WORKLOADS_DESIRED, -1));
    } else if (run_has(v->run, "set.orphaned_at")) {
        buf_adds(&r->print, "orphaned\n"); /* its absence is our own act, half-done: going on is what brings it back */
    } else {
        r->unusable = unknown_object(r->w, object, v->w->ns);
    }
    for (size_t i = 0; i < ARRAY_LEN(facts); i++)
        if (run_has(v->run, facts[i])) add_claim(r, v, run_fact(v->run, facts[i]));
}

static char *fingerprint(const struct mover *v) {
    struct resting r = {0};
    char hex[HASH_HEX_SIZE];
    rest(&r, v);
    hash_hex(r.print.p, r.print.len, hex);
    buf_free(&r.print);
    buf_free(&r.facts);
    mem_free(r.unusable);
    return mem_strdup(hex);
}

/* ---- Rows ---- */

static void dialog_row(const struct dialog *d) {
    static const char *const stakes[] = {"reversible", "hard to undo", "purge"};
    struct cell cells[DIALOGS_COLS] = {
        [DIALOGS_PEER] = cell_int(d->peer),
        [DIALOGS_WORKLOAD] = cell_text(d->mover->w->name),
        [DIALOGS_PHASE] = cell_text(d->phase->phase->id),
        [DIALOGS_TITLE] = cell_text(phase_title(d->mover, d->phase)),
        [DIALOGS_STATE] = cell_text(d->state),
        [DIALOGS_REASON] = cell_text(d->reason),
        [DIALOGS_STAKE] = cell_text(stakes[d->phase->phase->stake]),
        [DIALOGS_TYPED] = cell_text(d->typed),
        [DIALOGS_CONTEXT] = cell_text(d->m->config->context),
        [DIALOGS_NAMESPACE] = cell_text(d->mover->w->ns),
        [DIALOGS_BUTTON] = cell_text(d->button),
        [DIALOGS_OPENED] = cell_int(d->opened),
    };
    world_upsert(d->m->world, T_DIALOGS, slice_of(d->key), "", cells);
}

static void line_row(const struct dialog *d, size_t rank, const char *label, const char *text) {
    char key[48];
    snprintf(key, sizeof key, "%s/%03zu", d->key, rank);
    struct cell cells[DIALOG_LINES_COLS] = {
        [DIALOG_LINES_DIALOG] = cell_text(d->key),
        [DIALOG_LINES_RANK] = cell_int((int64_t)rank),
        [DIALOG_LINES_LABEL] = cell_text(label),
        [DIALOG_LINES_TEXT] = cell_text(text),
    };
    world_upsert(d->m->world, T_DIALOG_LINES, slice_of(key), "", cells);
}

static void drop_rows(const struct dialog *d) {
    char key[48];
    for (size_t i = 0; i <= d->nlines; i++) {
        snprintf(key, sizeof key, "%s/%03zu", d->key, i);
        world_remove(d->m->world, T_DIALOG_LINES, slice_of(key));
    }
    world_remove(d->m->world, T_DIALOGS, slice_of(d->key));
}

static void set_state(struct dialog *d, const char *state, const char *reason) {
    d->state = state;
    str_set(&d->reason, reason);
    dialog_row(d);
}

/* ---- Life ---- */

static bool open_still(const struct dialog *d) {
    return str_eq(d->state, "PREPARING") || str_eq(d->state, "READY");
}

static void dialog_free(struct dialog *d) {
    struct dialog **at = &d->m->dialogs;
    while (*at != d) at = &(*at)->next;
    *at = d->next;
    drop_rows(d);
    op_dry_free(d->dry);
    script_free(d->script);
    for (size_t i = 0; i < d->nlines; i++) {
        mem_free(d->lines[i].label);
        mem_free(d->lines[i].text);
    }
    mem_free(d->lines);
    mem_free(d->reason);
    mem_free(d->typed);
    mem_free(d->fingerprint);
    mem_free(d->button);
    mem_free(d);
}

void dialogs_free(struct migration *m, bool all, unsigned peer) {
    for (struct dialog *d = m->dialogs, *next; d; d = next) {
        next = d->next;
        if (all || d->peer == peer) dialog_free(d);
    }
}

static void object_lines(struct dialog *d) {
    struct mover *v = d->mover;
    char object[300];
    const char *name = v->w->kind->object(v->w, object, sizeof object), *slash = strchr(name, '/');
    const struct row *w = world_find_name(d->m->world, T_WORKLOADS, slice_of(v->w->ns), slice_of(slash ? slash + 1 : name));
    struct slice uid = w ? row_key(w) : (struct slice){"unknown", 7};
    dialog_line(d, "object", "%s uid %.*s", name, (int)uid.n, uid.p);
}

/* Where it goes from and to, unless the phase says so itself or goes another way. */
static void way_lines(struct dialog *d) {
    struct mover *v = d->mover;
    if (!v->table->one_claim || d->phase->phase == v->table->rollback || d->phase->phase->stake == STAKE_PURGE) return;
    for (size_t i = 0; i < d->nlines; i++)
        if (str_eq(d->lines[i].label, "from")) return;
    dialog_line(d, "from", "%s %s", run_has(v->run, "claim.old.name") ? run_fact(v->run, "claim.old.name") : "the claim in use",
                run_has(v->run, "claim.old.class") ? run_fact(v->run, "claim.old.class") : "");
    dialog_line(d, "to", "%s, encryption %s", d->m->plan->target_class, d->m->plan->target_encrypted ? "required" : "not asked for");
    if (run_has(v->run, "volume.old.reclaim")) dialog_line(d, "reclaim", "%s on the old volume", run_fact(v->run, "volume.old.reclaim"));
}

/* Every act of the phase, as it would be sent. */
static void request_lines(struct dialog *d) {
    struct run *r = d->mover->run;
    d->script = script_new();
    r->preview = true; /* what is not known yet reads as "‹name›", and nothing is noted */
    for (const struct step *s = d->phase->phase->steps; s->id; s++) s->script(r, d->script);
    script_expand(r, d->script);
    r->preview = false;
    for (const struct op *op = script_first(d->script); op; op = op->next) {
        struct buf text = {0};
        if (op->kind != OP_ACT && op->kind != OP_JOB) continue;
        op_text(op, &text);
        if (!text.len) buf_adds(&text, op->what);
        dialog_line(d, "request", "%s", buf_str(&text));
        buf_free(&text);
    }
}

static void fact_line(struct dialog *d, struct resting *r) {
    rest(r, d->mover);
    line_row(d, d->nlines, "fact", r->facts.len ? buf_str(&r->facts) : "nothing that is watched");
}

static void dry_done(void *arg, const struct err *e, const char *note) {
    struct dialog *d = arg;
    if (note) dialog_line(d, "note", "%s", note);
    if (note) line_row(d, d->nlines - 1, "note", d->lines[d->nlines - 1].text);
    if (e) set_state(d, "REFUSED", err_text(e));
    else set_state(d, "READY", NULL);
}

/* The cluster that this run began in, also where the plan pins none. */
static struct err *other_cluster(const struct mover *v) {
    const struct row *us = world_find(v->m->world, T_CREDENTIALS, SLICE_LIT("kube"));
    struct slice now = us ? row_text(us, CREDENTIALS_IDENTITY) : (struct slice){NULL, 0};
    if (!run_has(v->run, "cluster.uid") || !now.n || slice_is(now, run_fact(v->run, "cluster.uid"))) return NULL;
    return err_new(ERR_DATA, "this is another cluster (%.*s) than this run began in (%s): use its kubeconfig", SLICE_FMT(now),
                   run_fact(v->run, "cluster.uid"));
}

/* A phase at the wrong time is told so, with what would be right. */
static struct err *may_open(struct mover *v, struct phase_now *p) {
    struct phase_now *next = mover_next(v), *resume = mover_phase(v, "resume");
    if (v->read_only) return err_new(ERR_LOCKED, "read-only: %s", v->read_only);
    struct err *stranger = other_cluster(v);
    if (stranger) return stranger;
    if (v->current) return err_new(ERR_USAGE, "%s is under way; wait for its end, or x aborts it", phase_title(v, v->current));
    if (p->phase == v->table->rollback) {
        bool begun = false;
        for (size_t i = 0; i + 1 < v->nphases; i++) begun = begun || v->phases[i].tries > 0;
        if (!begun || v->rolled_back) return err_new(ERR_USAGE, "there is nothing to roll back");
        (void)resume;
        return NULL;
    }
    if (next != p)
        return next ? err_new(ERR_USAGE, "%s comes next, not %s", phase_title(v, next), phase_title(v, p))
                    : err_new(ERR_USAGE, "every phase of %s is done", v->w->name);
    return NULL;
}

static char *button_of(const struct mover *v, struct phase_now *p) {
    struct buf b = {0};
    buf_printf(&b, "%s %s", p->state == PHASE_INTERRUPTED || p->state == PHASE_FAILED ? "Go on with" : "Start", phase_title(v, p));
    return buf_steal(&b);
}

struct err *dialog_open(struct migration *m, unsigned peer, struct mover *v, struct phase_now *p) {
    struct resting r = {0};
    struct buf reason = {0};
    struct err *e = may_open(v, p);
    if (e) return e;
    dialogs_free(m, false, peer);
    struct dialog *d = MEM_NEW(struct dialog);
    *d = (struct dialog){.m = m, .mover = v, .phase = p, .number = ++m->last_dialog, .peer = peer, .state = "PREPARING",
                         .opened = clock_wall_ms(), .next = m->dialogs};
    m->dialogs = d;
    snprintf(d->key, sizeof d->key, "%u", d->number);
    v->run->phase = p->phase; /* nothing is at work: may_open */
    d->typed = mem_strdup(phase_typed(v, p->phase));
    d->button = button_of(v, p);
    d->fingerprint = fingerprint(v);
    object_lines(d);
    if (p->state == PHASE_INTERRUPTED) dialog_line(d, "note", "this phase was under way when its engine ended: it is found half-done and gone on with");
    if (p->phase->dialog) p->phase->dialog(v->run, d);
    way_lines(d);
    request_lines(d);
    for (size_t i = 0; i < d->nlines; i++) line_row(d, i, d->lines[i].label, d->lines[i].text);
    fact_line(d, &r);
    bool may = !p->phase->may_begin || p->phase->may_begin(v->run, &reason);
    if (r.unusable) set_state(d, "REFUSED", r.unusable);
    else if (!may) set_state(d, "REFUSED", buf_str(&reason));
    else {
        dialog_row(d);
        d->dry = op_dry_new(v->run, d->script, dry_done, d);
    }
    buf_free(&reason);
    buf_free(&r.print);
    buf_free(&r.facts);
    mem_free(r.unusable);
    return NULL;
}

static struct dialog *find(struct migration *m, const char *key) {
    for (struct dialog *d = m->dialogs; d; d = d->next)
        if (str_eq(d->key, key)) return d;
    return NULL;
}

static void write_record(struct dialog *d, const char *state, const char *reason) {
    struct json_t *r = migration_record(d->mover, "dialog", d->phase);
    jd_set(r, "state", jd_string(state));
    jd_set(r, "by", jd_string(d->m->operator_name));
    if (reason) jd_set(r, "reason", jd_string(reason));
    migration_write(d->m, r, NULL, NULL);
}

/* Facts again, now that yes is said: whatever moved while the dialog was open was not what the operator agreed to. */
static bool still_true(struct dialog *d) {
    struct resting r = {0};
    struct buf reason = {0};
    char *now = fingerprint(d->mover);
    bool ok = false;
    d->mover->run->phase = d->phase->phase;
    rest(&r, d->mover);
    if (r.unusable) set_state(d, "REFUSED", r.unusable);
    else if (!str_eq(now, d->fingerprint))
        set_state(d, "STALE", "the plan is stale: the workload, its claims or volumes changed since this dialog was opened; open it again");
    else if (d->phase->phase->may_begin && !d->phase->phase->may_begin(d->mover->run, &reason)) set_state(d, "REFUSED", buf_str(&reason));
    else ok = true;
    mem_free(now);
    buf_free(&reason);
    buf_free(&r.print);
    buf_free(&r.facts);
    mem_free(r.unusable);
    return ok;
}

struct err *dialog_confirm(struct migration *m, unsigned peer, const struct intent *in) {
    struct dialog *d = find(m, in->dialog);
    if (!d || d->peer != peer) return err_new(ERR_USAGE, "that dialog is closed; open it again");
    if (!str_eq(d->state, "READY")) return err_new(ERR_USAGE, "that dialog is %s", d->state);
    if (!in->typed || !str_eq(in->typed, d->typed)) return err_new(ERR_USAGE, "what was typed is not '%s'", d->typed);
    struct err *e = may_open(d->mover, d->phase);
    if (e) {
        set_state(d, "REFUSED", err_text(e));
        return e;
    }
    if (!still_true(d)) return err_new(ERR_USAGE, "%s", d->reason);
    write_record(d, "confirmed", NULL);
    set_state(d, "CONFIRMED", NULL);
    mover_begin(d->mover, d->phase);
    return NULL;
}

void dialog_cancel(struct migration *m, unsigned peer, const char *key, const char *reason) {
    struct dialog *d = find(m, key);
    if (!d || d->peer != peer) return;
    if (open_still(d)) write_record(d, "cancelled", reason);
    dialog_free(d);
}

void dialogs_tick(struct migration *m) {
    for (struct dialog *d = m->dialogs, *next; d; d = next) {
        next = d->next;
        struct resting r = {0};
        if (!open_still(d)) {
            if (clock_wall_ms() - d->opened > KEPT_MS) dialog_free(d);
            continue;
        }
        fact_line(d, &r);
        if (r.unusable) set_state(d, "REFUSED", r.unusable);
        buf_free(&r.print);
        buf_free(&r.facts);
        mem_free(r.unusable);
    }
}
