/* See migration.h. This file is the life of it: what it is made of, and the intents. A phase at work is migration_phase.c, what
 * happened before is folded in migration_fold.c, confirmations are migration_dialog.c, rows migration_rows.c. */
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json_doc.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "client/kube_config.h"
#include "loop/loop.h"
#include "migrate/foreign.h"
#include "migrate/migration_private.h"
#include "migrate/notify.h"
#include "migrate/window_job.h"
#include "source/source.h"
#include "world/world.h"

#define ARMED_MS INT64_C(900000)

/* ---- What others ask for ---- */

struct mover *migration_mover(struct migration *m, const char *workload) {
    for (size_t i = 0; workload && i < m->nmovers; i++)
        if (str_eq(m->movers[i].w->name, workload)) return &m->movers[i];
    return NULL;
}

struct phase_now *mover_phase(struct mover *v, const char *id) {
    for (size_t i = 0; id && i < v->nphases; i++)
        if (str_eq(v->phases[i].phase->id, id)) return &v->phases[i];
    return NULL;
}

const struct phase *phase_ask(const struct mover *v, const struct phase *p) {
    const struct phase *was = v->run->phase;
    v->run->phase = p;
    return was;
}

bool phase_wanted(const struct mover *v, const struct phase_now *p) {
    if (!p->phase->wanted) return true;
    const struct phase *was = phase_ask(v, p->phase);
    bool wanted = p->phase->wanted(v->run);
    phase_ask(v, was);
    return wanted;
}

bool phase_undone(const struct mover *v, const struct phase_now *p) {
    if (!p->phase->undone) return false;
    const struct phase *was = phase_ask(v, p->phase);
    bool undone = p->phase->undone(v->run);
    phase_ask(v, was);
    return undone;
}

const char *phase_title(const struct mover *v, struct phase_now *p) {
    if (!p->phase->name) return p->phase->title;
    struct buf b = {0};
    const struct phase *was = phase_ask(v, p->phase);
    p->phase->name(v->run, &b);
    phase_ask(v, was);
    mem_free(p->title);
    p->title = buf_steal(&b);
    return p->title;
}

/* A rollback that has changed something must come to its end; one that only looked (what would be lost?) need not be gone on with. */
static bool goes_back(const struct phase_now *p) {
    return p->acted && (p->state == PHASE_INTERRUPTED || p->state == PHASE_FAILED);
}

struct phase_now *mover_next(const struct mover *v) {
    struct phase_now *back = &v->phases[v->nphases - 1];
    if (v->rolled_back) return &v->phases[0];
    if (goes_back(back)) return back;
    for (size_t i = 0; i + 1 < v->nphases; i++) {
        struct phase_now *p = &v->phases[i];
        if ((p->state != PHASE_DONE || phase_undone(v, p)) && p->state != PHASE_SKIPPED && phase_wanted(v, p)) return p;
    }
    return NULL;
}

/* "immich-postgresql" of "Deployment/immich-postgresql". */
static const char *object_name(const struct mover *v) {
    static char name[300];
    const char *object = v->w->kind->object(v->w, name, sizeof name), *slash = strchr(object, '/');
    return slash ? slash + 1 : object;
}

const char *phase_typed(const struct mover *v, const struct phase *p) {
    if (p->stake == STAKE_REVERSIBLE) return "y";
    if (p->stake == STAKE_PURGE) return v->run->config && v->run->config->context ? v->run->config->context : v->m ? v->m->plan->context : "";
    if (!p->object) return object_name(v);
    const struct phase *was = phase_ask(v, p);
    const char *object = p->object(v->run);
    phase_ask(v, was);
    return object;
}

struct json_t *migration_record(const struct mover *v, const char *t, const struct phase_now *p) {
    struct json_t *d = jd_object();
    jd_set(d, "t", jd_string(t));
    if (v) jd_set(d, "workload", jd_string(v->w->name));
    if (p) jd_set(d, "phase", jd_string(p->phase->id));
    return d;
}

void migration_write(struct migration *m, struct json_t *record, void (*fn)(void *arg, const struct err *e), void *arg) {
    if (m->journal) journal_append(m->journal, record, fn, arg);
    jd_free(record);
}

/* ---- Life ---- */

static char *user_name(void) {
    const struct passwd *pw = getpwuid(geteuid());
    const char *sudo = getenv("SUDO_USER"), *name = sudo && *sudo ? sudo : pw ? pw->pw_name : "unknown";
    struct buf b = {0};
    utf8_clean(&b, slice_of(name));
    return buf_steal(&b);
}

static char *host_name(void) {
    char name[256] = "";
    struct buf b = {0};
    if (gethostname(name, sizeof name - 1) != 0) str_copy(name, sizeof name, "localhost");
    utf8_clean(&b, slice_of(name));
    return buf_steal(&b);
}

static size_t count_steps(const struct phase *p) {
    size_t n = 0;
    while (p->steps[n].id) n++;
    return n;
}

static void phase_now_init(struct phase_now *now, const struct phase *p) {
    *now = (struct phase_now){.phase = p, .nsteps = count_steps(p)};
    now->steps = mem_calloc(now->nsteps + 1, sizeof *now->steps);
    for (size_t i = 0; i < now->nsteps; i++) now->steps[i].done = -1;
}

static void mover_init(struct migration *m, struct mover *v, const struct plan_workload *w, const struct phase_table *t) {
    size_t n = 0;
    while (t->phases[n]) n++;
    *v = (struct mover){.m = m, .w = w, .table = t, .nphases = n + 1};
    v->phases = mem_calloc(v->nphases, sizeof *v->phases);
    for (size_t i = 0; i < n; i++) phase_now_init(&v->phases[i], t->phases[i]);
    phase_now_init(&v->phases[n], t->rollback);
    v->run = run_new(&(struct run){.loop = m->loop, .world = m->world, .plan = m->plan, .workload = w, .kube = m->kube, .config = m->config,
                                   .dir = m->dir, .operator_name = m->operator_name, .on_progress = mover_progress, .progress_arg = v});
}

static void on_foreign(void *arg, const char *label, const char *expected, const char *found, const char *manager) {
    struct mover *v = arg;
    char *why = str_printf("%s is %s, not %s: changed by %s", label, found, expected, manager && *manager ? manager : "an unknown manager");
    bool forward = run_has(v->run, "no_way_back"); /* standing still there would leave a voter away; the acts look at what they rest on themselves */
    run_note(v->run, "BAD", "%s%s", why, forward ? "; not paused, since what is under way only goes forward" : "");
    if (mover_busy(v) && !forward) mover_pause(v, true, why);
    mem_free(why);
}

static void on_notify(void *arg, const char *event, const char *name, const char *state, const char *text) {
    struct mover *v = arg;
    if (!v->m->notify) return;
    notify_event(v->m->notify, v->w->name, event, name, state, text);
    v->m->notifying = true;
}

static void save_state(void *arg, void (*fn)(void *arg, const struct err *e), void *fn_arg);

/* What was noted of another cluster must not be gone on with here (safety 1). */
static void check_cluster(struct mover *v) {
    const char *was = run_has(v->run, "cluster.uid") ? run_fact(v->run, "cluster.uid") : NULL;
    if (v->read_only || !was || !v->m->plan->cluster || str_eq(was, v->m->plan->cluster)) return;
    v->read_only = str_printf("the journal in %s is of another cluster (%s) than the plan pins (%s): move that folder away, or correct the plan",
                              v->m->dir, was, v->m->plan->cluster);
}

static void mover_connect(struct mover *v) {
    struct migration *m = v->m;
    check_cluster(v);
    v->run->journal = m->journal;
    v->run->id = m->journal ? journal_id(m->journal) : "none";
    if (!m->journal) {
        if (!m->look && !v->read_only) v->read_only = mem_strdup(m->broken);
        return;
    }
    v->lock = lock_new(&(struct lock_options){.loop = m->loop, .kube = m->kube, .ns = v->w->ns, .workload = v->w->name,
                                              .operator_name = m->operator_name, .host = m->host, .journal_id = journal_id(m->journal), .journal_key = journal_key(m->journal),
                                              .on_state = mover_lock_state, .arg = v});
    v->run->lock = v->lock;
    v->run->save_state = save_state;
    v->run->save_arg = v;
    v->run->on_notify = on_notify;
    v->run->notify_arg = v;
    v->foreign = foreign_new(v->run, on_foreign, v);
}

static void open_journal(struct migration *m, bool look) {
    struct err *e = look ? err_new(ERR_LOCKED, "this command only looks")
                         : journal_open(m->loop, m->dir, m->plan->name, migration_fold, m, &m->journal);
    if (!e) return;
    m->broken = mem_strdup(err_text(e));
    m->journal = NULL;
    m->looking = err_kind(e) == ERR_LOCKED;
    if (!look) {
        timeline_add(m->world, "BAD", "journal", "%s", err_text(e));
        log_error("%s", err_text(e));
    }
    err_free(e);
    if (m->looking) migration_look(m);
}

struct migration *migration_new(const struct migration_options *o) {
    struct migration *m = MEM_NEW(struct migration);
    *m = (struct migration){.loop = o->loop, .world = o->world, .plan = o->plan, .config = o->config, .kube = o->kube,
                            .look = o->look, .on_idle = o->on_idle, .arg = o->arg};
    m->dir = o->dir ? mem_strdup(o->dir) : journal_dir(o->plan->name);
    m->operator_name = user_name();
    m->host = host_name();
    m->movers = mem_calloc(o->plan->nworkloads + 1, sizeof *m->movers);
    for (size_t i = 0; i < o->plan->nworkloads; i++) {
        const struct plan_kind *kind = o->plan->workloads[i].kind;
        const struct phase_table *t = o->table_of ? o->table_of(kind) : phase_table_of(kind);
        if (t) mover_init(m, &m->movers[m->nmovers++], &o->plan->workloads[i], t);
    }
    if (!o->look) m->notify = notify_new(o->loop, o->world, o->plan);
    open_journal(m, o->look);
    for (size_t i = 0; i < m->nmovers; i++) mover_connect(&m->movers[i]);
    arming_row(m);
    for (size_t i = 0; i < m->nmovers; i++) mover_rows(&m->movers[i]);
    return m;
}

static void phase_now_clear(struct mover *v, struct phase_now *p) {
    for (size_t i = 0; i < p->nsteps; i++) mover_step_clear(v, p, i);
    mem_free(p->steps);
    mem_free(p->title);
    mem_free(p->reason);
    mem_free(p->by);
    mem_free(p->not_begun);
}

static void mover_clear(struct mover *v) {
    if (v->m->journal) journal_forget(v->m->journal, v);
    op_runner_free(v->runner);
    foreign_free(v->foreign);
    lock_free(v->lock);
    run_free(v->run);
    for (size_t i = 0; i < v->nphases; i++) phase_now_clear(v, &v->phases[i]);
    mem_free(v->phases);
    mem_free(v->read_only);
}

void migration_free(struct migration *m) {
    if (!m) return;
    dialogs_free(m, true, 0);
    for (size_t i = 0; i < m->nmovers; i++) mover_clear(&m->movers[i]);
    notify_free(m->notify);
    journal_free(m->journal);
    mem_free(m->movers);
    mem_free(m->dir);
    mem_free(m->operator_name);
    mem_free(m->host);
    mem_free(m->broken);
    mem_free(m->arming.answer);
    mem_free(m);
}

static void released(void *arg) {
    struct migration *m = arg;
    if (--m->releasing == 0 && m->on_ended) m->on_ended(m->ended_arg);
}

bool migration_end(struct migration *m, void (*fn)(void *arg), void *arg) {
    m->on_ended = fn;
    m->ended_arg = arg;
    for (size_t i = 0; i < m->nmovers; i++) {
        struct mover *v = &m->movers[i];
        if (!v->lock || mover_busy(v) || lock_state(v->lock) != LOCK_OURS) continue;
        m->releasing++;
        lock_release(v->lock, released, m);
    }
    return m->releasing > 0;
}

bool migration_busy(const struct migration *m) {
    for (size_t i = 0; i < m->nmovers; i++)
        if (mover_busy(&m->movers[i]) || (m->movers[i].goes_on && !m->movers[i].read_only)) return true;
    return notify_busy(m->notify);
}

bool migration_in_flight(const struct migration *m) {
    for (size_t i = 0; i < m->nmovers; i++)
        if ((m->movers[i].runner && op_runner_in_flight(m->movers[i].runner)) || mover_in_one_act(&m->movers[i])) return true;
    return false;
}

void migration_turn(struct migration *m) {
    for (size_t i = 0; i < m->nmovers; i++)
        if (m->movers[i].runner) op_runner_poke(m->movers[i].runner);
}

/* ---- The recovery state in the cluster (safety 26) ---- */

#define FACT_MAX_IN_SECRET 32768

static void save_state(void *arg, void (*fn)(void *arg, const struct err *e), void *fn_arg) {
    struct mover *v = arg;
    struct json_t *state = jd_object(), *facts = jd_object();
    struct slice name;
    const char *value;
    char at[32];
    size_t it = 0;
    while (run_each_fact(v->run, &it, &name, &value)) {
        char *key = slice_dup(name);
        if (strlen(value) <= FACT_MAX_IN_SECRET) jd_set(facts, key, jd_string(value));
        mem_free(key);
    }
    jd_set(state, "journal", jd_string(journal_id(v->m->journal)));
    jd_set(state, "head", jd_string(journal_head(v->m->journal)));
    jd_set(state, "plan", jd_string(v->m->plan->name));
    jd_set(state, "workload", jd_string(v->w->name));
    jd_set(state, "phase", jd_string(v->current ? v->current->phase->id : ""));
    jd_set(state, "operator", jd_string(v->m->operator_name));
    jd_set(state, "host", jd_string(v->m->host));
    jd_set(state, "at", jd_string(clock_format_utc(clock_wall_ms(), at, sizeof at)));
    jd_set(state, "facts", facts);
    lock_save(v->lock, state, fn, fn_arg);
    jd_free(state);
}

/* ---- Arming and intents ---- */

static void disarm(struct migration *m, const char *why) {
    if (!m->arming.on) return;
    m->arming.on = false;
    struct json_t *d = migration_record(NULL, "disarmed", NULL);
    jd_set(d, "by", jd_string(m->operator_name));
    jd_set(d, "reason", jd_string(why));
    migration_write(m, d, NULL, NULL);
    arming_row(m);
}

static struct err *arm(struct migration *m, unsigned peer, const char *typed) {
    const char *context = m->config->context ? m->config->context : m->plan->context;
    const struct row *plan = world_find(m->world, T_PLAN, SLICE_LIT("plan"));
    if (!m->journal) return err_new(ERR_LOCKED, "read-only: %s", m->broken);
    if (plan && slice_is(row_text(plan, PLAN_STATE), "MISMATCH"))
        return err_new(ERR_DATA, "read-only: this is another cluster than the plan pins (context %s); see the plan's cluster:", context);
    if (m->arming.on && m->arming.peer != peer)
        return err_new(ERR_LOCKED, "another console of this engine is armed; disarm it there with A");
    if (!str_eq(typed, context)) return err_new(ERR_USAGE, "not armed: what was typed is not the context's name");
    m->arming.on = true;
    m->arming.peer = peer;
    m->arming.until = clock_mono_ms() + ARMED_MS;
    struct json_t *d = migration_record(NULL, "armed", NULL);
    jd_set(d, "by", jd_string(m->operator_name));
    jd_set(d, "host", jd_string(m->host));
    jd_set(d, "context", jd_string(context));
    migration_write(m, d, NULL, NULL);
    return NULL;
}

static struct err *not_armed(const struct migration *m, unsigned peer) {
    if (m->arming.on && m->arming.peer == peer) return NULL;
    return err_new(ERR_USAGE, m->arming.on ? "another console is armed" : "read-only: A arms, after the context's name is typed");
}

static struct err *open_phase(struct migration *m, unsigned peer, struct mover *v, const struct intent *in) {
    struct phase_now *p = mover_phase(v, in->phase);
    if (!p) return err_new(ERR_USAGE, "%s has no phase '%s'", v->w->name, in->phase ? in->phase : "");
    return dialog_open(m, peer, v, p);
}

static struct err *skip_phase(struct mover *v, const struct intent *in) {
    struct phase_now *p = mover_phase(v, in->phase);
    if (!p || p != mover_next(v) || v->current) return err_new(ERR_USAGE, "only the phase that comes next can be skipped");
    if (!p->phase->optional) return err_new(ERR_USAGE, "%s cannot be skipped", phase_title(v, p));
    if (!in->reason || !*in->reason) return err_new(ERR_USAGE, "skipping %s needs a reason", p->phase->title);
    struct json_t *d = migration_record(v, "phase", p);
    jd_set(d, "state", jd_string("skipped"));
    jd_set(d, "reason", jd_string(in->reason));
    jd_set(d, "by", jd_string(v->m->operator_name));
    migration_fold(v->m, d);
    mover_notify(v, p, "skipped", in->reason);
    migration_write(v->m, d, NULL, NULL);
    run_note(v->run, "WARN", "%s is skipped: %s", p->phase->title, in->reason);
    mover_rows(v);
    return NULL;
}

/* Judgements of the world around, and answers that only the operator has; never copies, quorum, identity or proof (safety 22, 26, 35). */
static bool may_override(const char *gate) {
    static const char *const names[] = {"alerts", "backups", "http", "image", "hours"}, *const answers[] = {"replicas of ", "circle", "unseal", "foreign-files", "audit-logs", "plaintext"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (str_eq(gate, names[i])) return true;
    for (size_t i = 0; i < ARRAY_LEN(answers); i++)
        if (str_starts(gate, answers[i])) return true;
    return false;
}

static struct err *override_gate(struct mover *v, const struct intent *in) {
    if (!in->gate || !*in->gate || !in->reason || !*in->reason) return err_new(ERR_USAGE, "overriding a gate needs its name and a reason");
    if (!may_override(in->gate))
        return err_new(ERR_USAGE, "the gate '%s' cannot be overridden: copies, quorum, identity and proof never can", in->gate);
    struct json_t *d = migration_record(v, "override", NULL);
    jd_set(d, "gate", jd_string(in->gate));
    jd_set(d, "reason", jd_string(in->reason));
    jd_set(d, "by", jd_string(v->m->operator_name));
    migration_write(v->m, d, NULL, NULL);
    char *name = str_printf("override.%s", in->gate);
    run_set(v->run, name, in->reason);
    mem_free(name);
    run_note(v->run, "WARN", "gate %s is overridden: %s", in->gate, in->reason);
    return NULL;
}

static struct err *pause_or_abort(struct mover *v, const char *verb) {
    if (!v->current) return err_new(ERR_USAGE, "nothing is under way for %s", v->w->name);
    if (str_eq(verb, "pause")) mover_pause(v, true, "paused by the operator");
    else if (str_eq(verb, "resume")) mover_pause(v, false, NULL);
    else if (run_has(v->run, "no_way_back"))
        return err_new(ERR_USAGE, "no way back but forward until %s: it cannot be aborted now", run_fact(v->run, "no_way_back"));
    else mover_abort(v);
    return NULL;
}

static struct err *add_note(struct migration *m, const struct intent *in) {
    struct buf text = {0};
    if (!in->text || !*in->text) return err_new(ERR_USAGE, "the note is empty");
    utf8_clean(&text, slice_of(in->text));
    struct json_t *d = migration_record(NULL, "note", NULL);
    jd_set(d, "level", jd_string("INFO"));
    jd_set(d, "text", jd_string(buf_str(&text)));
    jd_set(d, "by", jd_string(m->operator_name));
    migration_write(m, d, NULL, NULL);
    timeline_add(m->world, "INFO", "note", "%s: %s", m->operator_name, buf_str(&text));
    buf_free(&text);
    return NULL;
}

/* The window is told to end early, or to go on over a gap that was too long. */
static struct err *window_word(struct mover *v, const struct intent *in) {
    struct buf reason = {0};
    if (!v->current || !v->current->phase->resumes) return err_new(ERR_USAGE, "no window of %s is open", v->w->name);
    if (!in->reason || !*in->reason) return err_new(ERR_USAGE, "that needs a reason");
    utf8_clean(&reason, slice_of(in->reason));
    struct err *e = str_eq(in->verb, "end") ? window_end_early(v->run, buf_str(&reason)) : window_credit_gap(v->run, buf_str(&reason));
    buf_free(&reason);
    return e;
}

static struct err *workload_intent(struct migration *m, unsigned peer, const struct intent *in) {
    struct mover *v = migration_mover(m, in->workload);
    struct err *e = not_armed(m, peer);
    if (e) return e;
    if (!v) return err_new(ERR_USAGE, "the plan has no workload '%s' that can be moved", in->workload ? in->workload : "");
    if (str_eq(in->verb, "open")) return open_phase(m, peer, v, in);
    if (str_eq(in->verb, "skip")) return skip_phase(v, in);
    if (str_eq(in->verb, "override")) return override_gate(v, in);
    if (str_eq(in->verb, "end") || str_eq(in->verb, "credit")) return window_word(v, in);
    return pause_or_abort(v, in->verb);
}

bool migration_intent(struct migration *m, unsigned peer, const struct intent *in) {
    static const char *const of_workload[] = {"open", "skip", "override", "pause", "resume", "abort", "end", "credit", NULL};
    struct err *e = NULL;
    bool known = false;
    for (size_t i = 0; of_workload[i]; i++) known = known || str_eq(in->verb, of_workload[i]);
    if (known) e = workload_intent(m, peer, in);
    else if (str_eq(in->verb, "arm")) e = arm(m, peer, in->typed ? in->typed : "");
    else if (str_eq(in->verb, "disarm")) {
        if (m->arming.peer == peer) disarm(m, "by the operator");
    } else if (str_eq(in->verb, "confirm")) {
        if (!(e = not_armed(m, peer))) e = dialog_confirm(m, peer, in);
    } else if (str_eq(in->verb, "cancel")) dialog_cancel(m, peer, in->dialog, "cancelled by the operator");
    else if (str_eq(in->verb, "note")) e = add_note(m, in);
    else return false;
    mem_free(m->arming.answer);
    m->arming.answer = e ? mem_strdup(err_text(e)) : NULL;
    m->arming.answered++;
    err_free(e);
    arming_row(m);
    return true;
}

void migration_peer_gone(struct migration *m, unsigned peer) {
    dialogs_free(m, false, peer);
    if (m->arming.on && m->arming.peer == peer) disarm(m, "its console has gone");
}

#define RESUME_AGAIN_MS INT64_C(10000)

/* What only watches needs nobody's yes to go on after a restart of ours, or of the machine: it was given when it began. */
static void resume_by_itself(struct mover *v) {
    struct phase_now *next = v->current || v->read_only || !v->lock || v->rolled_back ? NULL : mover_next(v);
    if (!next || !next->phase->resumes || next->state != PHASE_INTERRUPTED || clock_mono_ms() < v->resume_at) return;
    v->resume_at = clock_mono_ms() + RESUME_AGAIN_MS;
    mover_begin(v, next);
}

/* The end may have waited for who is to be told of it. */
static void end_of_notices(struct migration *m) {
    if (!m->notifying || notify_busy(m->notify)) return;
    m->notifying = false;
    if (!migration_busy(m) && m->on_idle) m->on_idle(m->arg);
}

void migration_tick(struct migration *m) {
    if (m->arming.on && clock_mono_ms() >= m->arming.until) disarm(m, "15 minutes are over");
    dialogs_tick(m);
    end_of_notices(m);
    if (m->looking) migration_look(m);
    for (size_t i = 0; i < m->nmovers; i++) {
        resume_by_itself(&m->movers[i]);
        mover_rows(&m->movers[i]);
        if (m->movers[i].runner) op_runner_poke(m->movers[i].runner);
    }
}
