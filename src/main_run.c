/* ferryman run and rollback: the console's work without a console. The same engine in this process, the same intents, the same
 * guards, the same journal: each phase's dialog is opened, read into the output, confirmed with the text that was given, and the
 * phase watched to its end. What the texts must be is checked before anything is armed. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/json_writer.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli.h"
#include "engine.h"
#include "loop/loop.h"
#include "loop/signals.h"
#include "loop/timer.h"
#include "migrate/journal.h"
#include "migrate/plan.h"
#include "run_lines.h"
#include "run_words.h"
#include "setup.h"
#include "world/freshness.h"
#include "world/gate.h"
#include "world/world.h"

#define CHECK_MS 20
#define CALM_CHECKS 10                  /* settled for so long: sources that others bring up have appeared, too */
#define TIMEOUT_MS 60000
#define DIALOG_MS INT64_C(120000)       /* for its dry run */
#define ARM_AGAIN_MS INT64_C(600000)    /* armed for less than that: armed anew before the next dialog */
#define RELEASE_MS 3000
#define ROWS_CHECKS 100                 /* until what a window did by itself is in the rows */

enum stage { SETTLING, CHOOSING, CONFIRMING, UNDER_WAY, STOPPING, ENDED };

struct drive {
    const struct cli *cli;
    struct loop *loop;
    struct engine *engine;
    const struct world *world;
    struct run_words words;
    struct run_lines *lines;
    enum stage stage;
    int calm, early;
    int64_t deadline;
    char *doing;       /* the phase that was opened or is under way */
    unsigned opened;   /* how many phases */
    bool told_waiting;
    bool done, released;
    int status;
    char *text;        /* how it ended */
};

/* ---- Rows ---- */

static const struct row *find_phase(const struct drive *d, const char *id) {
    char *key = str_printf("%s/%s", d->words.workload, id);
    const struct row *row = world_find(d->world, T_PHASES, slice_of(key));
    mem_free(key);
    return row;
}

static const struct row *workload_row(const struct drive *d) {
    return world_find(d->world, T_PLAN_WORKLOADS, slice_of(d->words.workload));
}

static bool phase_is(const struct row *row, const char *state) {
    return row && slice_is(row_text(row, PHASES_STATE), state);
}

static bool is_purge(const struct row *row) {
    return slice_is(row_text(row, PHASES_STAKE), "purge");
}

/* Neither done nor left out. What was rolled back begins again with the first phase. */
static bool remains(const struct drive *d, const struct row *row) {
    const struct row *w = workload_row(d);
    if (w && slice_is(row_text(w, PLAN_WORKLOADS_STATE), "ROLLED BACK")) return !slice_is(row_text(row, PHASES_NAME), "rollback");
    return !phase_is(row, "DONE") && !phase_is(row, "SKIPPED") && !phase_is(row, "NOT NEEDED");
}

static bool is_window(struct slice phase) {
    return slice_starts(phase, "window-");
}

/* Without --through-windows a run of all phases ends before the first window that is to come: the rank from which on nothing is run. */
static int64_t end_rank(const struct drive *d) {
    int64_t rank = INT64_MAX;
    if (d->words.phase || d->words.through_windows) return rank;
    for (const struct row *r = world_first(d->world, T_PHASES); r; r = world_next(d->world, r))
        if (slice_is(row_text(r, PHASES_WORKLOAD), d->words.workload) && is_window(row_text(r, PHASES_NAME)) && remains(d, r) && row_int(r, PHASES_RANK, 0) < rank)
            rank = row_int(r, PHASES_RANK, 0);
    return rank;
}

/* What an intent was answered; NULL: it was taken. malloc'd. */
static char *ask(struct drive *d, const char *verb, const char *const *members) {
    struct buf line = {0};
    struct json_writer w;
    jw_init(&w, &line);
    jw_object(&w);
    jw_key(&w, "verb");
    jw_str(&w, verb);
    for (; *members; members += 2) {
        jw_key(&w, members[0]);
        jw_str(&w, members[1]);
    }
    jw_end_object(&w);
    engine_intent(d->engine, 0, buf_slice(&line));
    buf_free(&line);
    const struct row *arming = world_find(d->world, T_ARMING, SLICE_LIT("arming"));
    if (!arming) return mem_strdup("nothing can be done without a plan whose workloads can be moved");
    return slice_dup(row_text(arming, ARMING_ANSWER));
}

#define ASK(d, verb, ...) ask(d, verb, (const char *const[]){__VA_ARGS__, NULL})

/* ---- Its end ---- */

static void finish(struct drive *d, int status, const char *fmt, ...) PRINTF_LIKE(3, 4);

static void finish(struct drive *d, int status, const char *fmt, ...) {
    va_list ap;
    if (d->stage == ENDED) return;
    va_start(ap, fmt);
    d->text = str_vprintf(fmt, ap);
    va_end(ap);
    d->status = status;
    d->stage = ENDED;
    d->done = true;
}

/* Between phases: what comes next, and what it asks for. */
static void finish_well(struct drive *d) {
    const struct row *w = workload_row(d);
    struct slice state = w ? row_text(w, PLAN_WORKLOADS_STATE) : (struct slice){NULL, 0}, next = w ? row_text(w, PLAN_WORKLOADS_PHASE) : state;
    char *id = slice_dup(next);
    const struct row *row = id ? find_phase(d, id) : NULL;
    if (row) {
        struct slice typed = row_text(row, PHASES_TYPED), reason = row_text(row, PHASES_REASON);
        finish(d, 0, "%s: %.*s; next: %s (its dialog asks for: %.*s)%s%.*s", d->words.workload, SLICE_FMT(state), id, SLICE_FMT(typed),
               reason.n ? ": " : "", SLICE_FMT(reason));
    } else {
        finish(d, 0, "%s: %.*s; next: nothing, every phase is done", d->words.workload, SLICE_FMT(state));
    }
    mem_free(id);
}

static void finish_with_command(struct drive *d, int status, const char *why) {
    struct buf again = {0};
    run_words_again(d->cli, &d->words, &again);
    finish(d, status, "%s; go on with: %s", why, buf_str(&again));
    buf_free(&again);
}

/* ---- Before anything is armed ---- */

static struct err *check_phase_known(struct drive *d, const char *option, const char *name) {
    const struct row *row = find_phase(d, name);
    if (!row) return err_new(ERR_USAGE, "%s %s=…: %s has no phase '%s'; see ferryman plan show", option, name, d->words.workload, name);
    bool rolls = str_eq(name, "rollback");
    if ((d->words.phase && !str_eq(d->words.phase, name)) || (rolls && !d->words.rollback))
        return err_new(ERR_USAGE, "%s %s=…: that phase would not be run by this command", option, name);
    if (!d->words.phase && !remains(d, row)) {
        struct slice state = row_text(row, PHASES_STATE);
        return err_new(ERR_USAGE, "%s %s=…: not used: that phase is %.*s", option, name, SLICE_FMT(state));
    }
    if (row_int(row, PHASES_RANK, 0) >= end_rank(d))
        return err_new(ERR_USAGE, "%s %s=…: not used: a run ends where a window comes next; --through-windows goes on", option, name);
    return NULL;
}

/* The text for one phase that would be run: it is there, and what the dialog will ask for. */
static struct err *check_text(struct drive *d, const struct row *row) {
    char *name = slice_dup(row_text(row, PHASES_NAME));
    struct slice typed = row_text(row, PHASES_TYPED);
    const struct run_pair *given = run_pair_find(&d->words.confirm, name), *skip = run_pair_find(&d->words.skip, name);
    struct err *e = NULL;
    if (given && skip) e = err_new(ERR_USAGE, "%s is both confirmed and skipped", name);
    else if (!given && !skip && !(is_purge(row) && !d->words.phase))
        e = err_new(ERR_USAGE, "--confirm %s=… is missing: its dialog asks for '%.*s'", name, SLICE_FMT(typed));
    else if (given && typed.n && !slice_contains(typed, "‹") && !slice_is(typed, given->value))
        e = err_new(ERR_USAGE, "--confirm %s='%s': its dialog asks for '%.*s'", name, given->value, SLICE_FMT(typed));
    mem_free(name);
    return e;
}

static struct err *check_pairs(struct drive *d) {
    struct err *e = NULL;
    int64_t end = end_rank(d);
    for (size_t i = 0; !e && i < d->words.confirm.n; i++) e = check_phase_known(d, "--confirm", d->words.confirm.v[i].name);
    for (size_t i = 0; !e && i < d->words.skip.n; i++) e = check_phase_known(d, "--skip", d->words.skip.v[i].name);
    for (const struct row *row = world_first(d->world, T_PHASES); !e && row; row = world_next(d->world, row)) {
        struct slice name = row_text(row, PHASES_NAME);
        if (!slice_is(row_text(row, PHASES_WORKLOAD), d->words.workload)) continue;
        bool meant = d->words.phase ? slice_is(name, d->words.phase) : !slice_is(name, "rollback") && remains(d, row) && row_int(row, PHASES_RANK, 0) < end;
        if (meant) e = check_text(d, row);
    }
    return e;
}

static struct err *check_target(struct drive *d) {
    const struct row *w = workload_row(d), *plan = world_find(d->world, T_PLAN, SLICE_LIT("plan"));
    const struct row *arming = world_find(d->world, T_ARMING, SLICE_LIT("arming"));
    if (!w) return err_new(ERR_USAGE, "the plan has no workload '%s'; see ferryman plan show", d->words.workload);
    if (plan && slice_is(row_text(plan, PLAN_STATE), "MISMATCH"))
        return err_new(ERR_DATA, "%s: this is another cluster than the plan pins under 'cluster'; nothing was done", d->cli->plan);
    if (!find_phase(d, "rollback")) return err_new(ERR_USAGE, "workload %s cannot be moved by this version", d->words.workload);
    if (d->words.phase && !find_phase(d, d->words.phase))
        return err_new(ERR_USAGE, "%s has no phase '%s'; see ferryman plan show", d->words.workload, d->words.phase);
    if (arming && !slice_is(row_text(arming, ARMING_TYPED), d->words.arm)) {
        struct slice typed = row_text(arming, ARMING_TYPED);
        return err_new(ERR_USAGE, "--arm %s: the context's name is '%.*s'; nothing was done", d->words.arm, SLICE_FMT(typed));
    }
    if (slice_is(row_text(w, PLAN_WORKLOADS_STATE), "READ ONLY")) {
        struct slice why = row_text(w, PLAN_WORKLOADS_REASON);
        return err_new(ERR_LOCKED, "%.*s", SLICE_FMT(why));
    }
    return check_pairs(d);
}

/* Nothing answered, or nothing may be read: there is nothing to rest on. */
static struct err *check_answers(struct drive *d) {
    bool denied = false;
    const struct row *bad = NULL;
    for (const struct row *r = world_first(d->world, T_SOURCES); r; r = world_next(d->world, r)) {
        struct fresh f = world_freshness(d->world, r);
        if (fresh_usable(f)) return NULL;
        denied = denied || f.state == FRESH_DENIED;
        if (f.state != FRESH_OFF && row_text(r, SOURCES_ERROR).n) bad = r;
    }
    struct slice why = bad ? row_text(bad, SOURCES_ERROR) : (struct slice){NULL, 0};
    return err_new(denied ? ERR_DENIED : ERR_UNAVAILABLE, "nothing answered%s%.*s", why.n ? ": " : "", SLICE_FMT(why));
}

static void give_up(struct drive *d, struct err *e) {
    finish(d, err_exit_status(e), "%s", err_text(e));
    err_free(e);
}

static char *arm(struct drive *d) {
    const struct row *row = world_find(d->world, T_ARMING, SLICE_LIT("arming"));
    bool armed = row && slice_is(row_text(row, ARMING_STATE), "ARMED") && row_int(row, ARMING_PEER, -1) == 0;
    if (armed && row_int(row, ARMING_UNTIL, 0) - clock_wall_ms() > ARM_AGAIN_MS) return NULL;
    return ASK(d, "arm", "typed", d->words.arm);
}

static char *override_gates(struct drive *d) {
    char *answer = NULL;
    for (size_t i = 0; !answer && i < d->words.override.n; i++) {
        struct run_pair *p = &d->words.override.v[i];
        answer = ASK(d, "override", "workload", d->words.workload, "gate", p->name, "reason", p->value);
    }
    return answer;
}

static void settle(struct drive *d) {
    d->calm = engine_settled(d->engine) ? d->calm + 1 : 0;
    if (d->calm < CALM_CHECKS && clock_mono_ms() < d->deadline) return;
    gates_update(engine_world(d->engine)); /* what was answered since the last tick counts, too */
    struct err *e = check_answers(d);
    if (!e) e = check_target(d);
    if (e) {
        give_up(d, e);
        return;
    }
    run_lines_update(d->lines);
    char *answer = arm(d);
    if (answer) finish(d, 75, "%s", answer);
    mem_free(answer);
    if (d->done) return;
    answer = override_gates(d);
    if (answer) finish(d, 64, "%s", answer);
    mem_free(answer);
    if (!d->done) d->stage = CHOOSING;
}

/* ---- Phase after phase ---- */

static void open_dialog(struct drive *d, const char *id) {
    char *answer = arm(d);
    if (!answer && d->opened++ > 0) answer = override_gates(d); /* each phase asks for its own */
    if (!answer) answer = ASK(d, "open", "workload", d->words.workload, "phase", id);
    str_set(&d->doing, id);
    d->deadline = clock_mono_ms() + DIALOG_MS;
    d->stage = CONFIRMING;
    if (answer && is_window(slice_of(id)) && d->early++ < ROWS_CHECKS) d->stage = CHOOSING;
    else if (answer) finish(d, 1, "%s: refused: %s", id, answer);
    mem_free(answer);
}

static void skip(struct drive *d, const char *id, struct run_pair *pair) {
    char *answer = arm(d);
    if (!answer) answer = ASK(d, "skip", "workload", d->words.workload, "phase", id, "reason", pair->value);
    pair->used = true;
    if (answer) finish(d, 1, "%s", answer);
    else if (d->words.phase) finish_well(d);
    mem_free(answer);
}

/* A window goes on by itself in any process of ours: it was confirmed when it began, so we are there for its end, or come after it. */
static bool goes_on(struct drive *d, const char *id) {
    const struct row *row = find_phase(d, id);
    struct run_pair *confirm = run_pair_find(&d->words.confirm, id);
    if (!is_window(slice_of(id)) || !(phase_is(row, "RUNNING") || phase_is(row, "WAITING") || phase_is(row, "DONE"))) return false;
    if (confirm) confirm->used = true;
    if (phase_is(row, "DONE") && d->words.phase) {
        finish_well(d);
        return true;
    }
    if (id != d->doing) str_set(&d->doing, id);
    d->stage = UNDER_WAY;
    return true;
}

/* The phase that comes next, if it is to be run by us. */
static void choose(struct drive *d) {
    const struct row *w = workload_row(d);
    char *id = d->words.phase ? mem_strdup(d->words.phase) : slice_dup(row_text(w, PLAN_WORKLOADS_PHASE));
    struct run_pair *skipped = id ? run_pair_find(&d->words.skip, id) : NULL, *confirm = id ? run_pair_find(&d->words.confirm, id) : NULL;
    if (!id) finish_well(d);
    else if (!d->words.phase && !d->words.through_windows && is_window(slice_of(id))) finish_well(d);
    else if (skipped) skip(d, id, skipped);
    else if (confirm && !goes_on(d, id)) open_dialog(d, id);
    else if (confirm) run_lines_update(d->lines);
    else if (str_eq(id, "rollback")) finish(d, 1, "%s is being rolled back; go on with: ferryman rollback %s", d->words.workload, d->words.workload);
    else finish_well(d);
    mem_free(id);
}

static const struct row *our_dialog(const struct drive *d) {
    for (const struct row *r = world_first(d->world, T_DIALOGS); r; r = world_next(d->world, r))
        if (row_int(r, DIALOGS_PEER, -1) == 0 && slice_is(row_text(r, DIALOGS_WORKLOAD), d->words.workload) &&
            slice_is(row_text(r, DIALOGS_PHASE), d->doing)) return r;
    return NULL;
}

static void say_yes(struct drive *d, const struct row *row) {
    struct run_pair *confirm = run_pair_find(&d->words.confirm, d->doing);
    char *key = slice_dup(row_key(row));
    run_lines_update(d->lines);
    run_lines_dialog(d->lines, key);
    char *answer = ASK(d, "confirm", "dialog", key, "typed", confirm->value);
    if (answer) finish(d, 1, "%s: refused: %s", d->doing, answer);
    else d->stage = UNDER_WAY;
    mem_free(answer);
    mem_free(key);
}

static void confirm(struct drive *d) {
    if (goes_on(d, d->doing)) return; /* it has begun again meanwhile */
    const struct row *row = our_dialog(d);
    struct slice state = row ? row_text(row, DIALOGS_STATE) : (struct slice){NULL, 0}, reason = row ? row_text(row, DIALOGS_REASON) : state;
    if (row && slice_is(state, "READY")) say_yes(d, row);
    else if (!row || !slice_is(state, "PREPARING")) finish(d, 1, "%s: refused: %.*s", d->doing, SLICE_FMT(reason));
    else if (clock_mono_ms() > d->deadline) finish(d, 69, "%s: its dry run gave no answer in time", d->doing);
}

/* A phase that did not begin leaves its reason; another holder of the lock has an exit status of its own. */
static void judge_end(struct drive *d) {
    const struct row *row = find_phase(d, d->doing), *lock = world_find(d->world, T_LOCKS, slice_of(d->words.workload)), *w = workload_row(d);
    struct slice reason = row ? row_text(row, PHASES_REASON) : (struct slice){NULL, 0}, state = row ? row_text(row, PHASES_STATE) : reason;
    struct run_pair *pair = run_pair_find(&d->words.confirm, d->doing);
    if (w && slice_is(row_text(w, PLAN_WORKLOADS_STATE), "READ ONLY")) {
        struct slice why = row_text(w, PLAN_WORKLOADS_REASON);
        finish(d, 75, "%s: %.*s", d->doing, SLICE_FMT(why));
    } else if (phase_is(row, "DONE") || (str_eq(d->doing, "rollback") && phase_is(row, "NOT YET") && !reason.n)) { /* it can be asked for again */
        if (pair) pair->used = true;
        if (d->words.phase) finish_well(d);
        else d->stage = CHOOSING;
    } else if (lock && slice_is(row_text(lock, LOCKS_STATE), "HELD")) {
        finish(d, 75, "%s did not begin: %.*s", d->doing, SLICE_FMT(reason));
    } else if (lock && slice_is(row_text(lock, LOCKS_STATE), "LOST")) {
        finish(d, 75, "%s %.*s: %.*s", d->doing, SLICE_FMT(state), SLICE_FMT(reason));
    } else {
        finish(d, 1, "%s %.*s: %.*s", d->doing, SLICE_FMT(state), SLICE_FMT(reason));
    }
}

/* Something that we rely on was changed by somebody else: nobody is here to look, so it ends, at a point where that is safe. */
static void paused_by_others(struct drive *d, const struct row *row) {
    struct slice reason = row_text(row, PHASES_REASON);
    if (engine_in_flight(d->engine)) return;
    char *why = str_printf("%s is paused: %.*s", d->doing, SLICE_FMT(reason));
    finish_with_command(d, 1, why);
    mem_free(why);
}

static void under_way(struct drive *d) {
    const struct row *row = find_phase(d, d->doing);
    if (!engine_busy(d->engine)) judge_end(d);
    else if (phase_is(row, "PAUSED")) paused_by_others(d, row);
}

/* ---- Signals ---- */

static void on_signal(void *arg, int signum) {
    struct drive *d = arg;
    const char *name = signum == SIGINT ? "SIGINT" : signum == SIGTERM ? "SIGTERM" : "SIGHUP";
    if (d->stage == STOPPING || d->stage == ENDED) return;
    if (d->stage != UNDER_WAY) {
        finish_with_command(d, 2, "ended by a signal between phases");
        return;
    }
    char *answer = arm(d);
    if (!answer) answer = ASK(d, "pause", "workload", d->words.workload);
    run_lines_note(d->lines, "%s: %s pauses at the next safe point, then this ends%s%s", name, d->doing, answer ? ": " : "", answer ? answer : "");
    mem_free(answer);
    d->stage = STOPPING;
}

static void stop_safely(struct drive *d) {
    if (!engine_busy(d->engine)) {
        d->stage = UNDER_WAY;
        judge_end(d);
        if (!d->done) finish_with_command(d, 2, "ended by a signal between phases");
    } else if (!engine_in_flight(d->engine)) {
        char *why = str_printf("ended by a signal in %s, with no act in flight", d->doing);
        finish_with_command(d, 2, why);
        mem_free(why);
    } else if (!d->told_waiting) {
        run_lines_note(d->lines, "an act is in flight: waiting for its outcome");
        d->told_waiting = true;
    }
}

/* ---- The command ---- */

static void on_turn(void *arg) {
    struct drive *d = arg;
    if (d->stage != SETTLING && d->stage != ENDED) run_lines_update(d->lines);
}

static void check(void *arg) {
    struct drive *d = arg;
    switch (d->stage) {
    case SETTLING: settle(d); break;
    case CHOOSING: choose(d); break;
    case CONFIRMING: confirm(d); break;
    case UNDER_WAY: under_way(d); break;
    case STOPPING: stop_safely(d); break;
    default: break;
    }
}

static void on_released(void *arg) {
    struct drive *d = arg;
    d->released = true;
}

/* A damaged journal is told with its line and its own status, not as a workload that is read-only. */
static struct err *check_journal(const struct plan *plan) {
    char *dir = journal_dir(plan->name), *path = str_printf("%s/journal.jsonl", dir);
    size_t records;
    char head[JOURNAL_HASH_SIZE];
    bool torn;
    struct err *e = file_exists(path) ? journal_read(path, NULL, NULL, &records, head, &torn) : NULL;
    mem_free(dir);
    mem_free(path);
    return e;
}

static void report_end(struct drive *d) {
    const struct row *w = workload_row(d);
    char *next = w ? slice_dup(row_text(w, PLAN_WORKLOADS_PHASE)) : NULL;
    run_lines_update(d->lines);
    if (d->status == 0 || d->cli->json) run_lines_end(d->lines, d->status, next, d->text);
    if (d->status) fprintf(stderr, "ferryman: %s\n", d->text);
    mem_free(next);
}

static struct err *drive(struct drive *d, const struct setup *setup) {
    static const int signums[] = {SIGINT, SIGTERM, SIGHUP};
    d->loop = loop_new();
    d->engine = engine_new(d->loop, setup, true);
    d->world = engine_world(d->engine);
    d->deadline = clock_mono_ms() + (d->cli->timeout_given ? d->cli->timeout_ms : TIMEOUT_MS);
    struct err *e = run_lines_new(d->loop, d->world, d->words.workload, d->cli->json, &d->lines);
    if (!e) {
        struct signals *signals = signals_new(d->loop, signums, 3, on_signal, d);
        struct timer *timer = timer_new(d->loop, check, d);
        timer_start(timer, CHECK_MS, CHECK_MS);
        engine_on_turn(d->engine, on_turn, d);
        while (!d->done) (void)loop_run_until(d->loop, &d->done, 60000);
        engine_on_turn(d->engine, NULL, NULL);
        timer_free(timer);
        report_end(d);
        if (engine_end(d->engine, on_released, d)) (void)loop_run_until(d->loop, &d->released, RELEASE_MS);
        signals_free(signals);
        run_lines_free(d->lines);
    }
    engine_free(d->engine);
    loop_free(d->loop);
    return e;
}

static int act(struct cli *cli, bool rollback) {
    struct drive d = {.cli = cli};
    struct setup setup = {0};
    struct err *e = run_words_read(cli, rollback, &d.words);
    if (!e) e = setup_load(cli, &setup);
    if (!e) e = check_journal(setup.plan);
    if (!e) e = drive(&d, &setup);
    int status = e ? cli_report(e) : d.status;
    setup_free(&setup);
    run_words_clear(&d.words);
    mem_free(d.doing);
    mem_free(d.text);
    return status;
}

static int run(struct cli *cli) {
    return act(cli, false);
}

static int rollback(struct cli *cli) {
    return act(cli, true);
}

const struct subcommand command_run = {
    .name = "run",
    .usage = "run WORKLOAD[/PHASE]",
    .summary = "every remaining phase, or one, without the console",
    .run = run,
};

const struct subcommand command_rollback = {
    .name = "rollback",
    .usage = "rollback WORKLOAD",
    .summary = "take back what was done, without the console",
    .run = rollback,
};
