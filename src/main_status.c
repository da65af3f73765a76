/* ferryman status: one snapshot of the world, as text or --json. Waits for each source's first answer, or --timeout. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/json_writer.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/utf8.h"
#include "cli.h"
#include "engine.h"
#include "loop/loop.h"
#include "loop/timer.h"
#include "setup.h"
#include "world/freshness.h"
#include "world/gate.h"
#include "world/world.h"

#define CHECK_MS 20
#define CALM_CHECKS 10 /* settled for so long: sources that others bring up (Vault's nodes) have appeared too */

struct wait {
    struct engine *engine;
    int calm;
    bool done;
};

static void check(void *arg) {
    struct wait *w = arg;
    w->calm = engine_settled(w->engine) ? w->calm + 1 : 0;
    w->done = w->calm >= CALM_CHECKS;
}

static void print_json(const struct world *w) {
    struct buf out = {0};
    struct json_writer j;
    jw_init(&j, &out);
    jw_object(&j);
    jw_key(&j, "schema");
    jw_int(&j, STREAM_SCHEMA);
    jw_key(&j, "version");
    jw_str(&j, FERRYMAN_VERSION);
    jw_key(&j, "now");
    jw_int(&j, world_now(w));
    for (enum world_table t = 0; t < T_COUNT; t++) {
        jw_key(&j, world_table_info(t)->name);
        jw_array(&j);
        for (const struct row *r = world_first(w, t); r; r = world_next(w, r)) {
            struct buf row = {0};
            stream_row_json(w, r, true, &row);
            jw_raw(&j, buf_slice(&row));
            buf_free(&row);
        }
        jw_end_array(&j);
    }
    jw_end_object(&j);
    puts(buf_str(&out));
    buf_free(&out);
}

/* A cell of the text output: cut to the width, padded, "–" where nothing is known. */
static void put_cell(struct buf *out, struct slice text, size_t width) {
    size_t used;
    struct slice shown = utf8_clip(text.p ? text : SLICE_LIT("-"), width, &used);
    buf_add_slice(out, shown);
    for (; used < width + 2; used++) buf_addc(out, ' ');
}

static int by_key(const void *a, const void *b) {
    const struct row *const *x = a, *const *y = b;
    return slice_cmp(row_key(*x), row_key(*y));
}

/* The rows of a table in the order of their keys; malloc'd, world_count of them. */
static const struct row **sorted(const struct world *w, enum world_table t) {
    const struct row **rows = mem_calloc(world_count(w, t) + 1, sizeof *rows);
    size_t n = 0;
    for (const struct row *r = world_first(w, t); r; r = world_next(w, r)) rows[n++] = r;
    qsort(rows, n, sizeof *rows, by_key);
    return rows;
}

struct text_col {
    int col;
    size_t width;
};

static void put_fresh(struct buf *out, struct fresh f) {
    char age[32];
    buf_adds(out, freshness_name(f.state));
    if (f.age_ms >= 0) buf_printf(out, ", last answer %s ago", clock_format_age(f.age_ms, age, sizeof age));
}

/* Says which of the sources whose key starts so do not answer: what they would tell is missing, not absent. False: all
 * that there are answer. */
static bool put_missing(const struct world *w, const char *prefix, struct buf *out) {
    const struct row **rows = sorted(w, T_SOURCES);
    size_t missing = 0, n = world_count(w, T_SOURCES);
    for (size_t i = 0; i < n; i++) {
        struct fresh f = world_freshness(w, rows[i]);
        if (!slice_starts(row_key(rows[i]), prefix) || fresh_usable(f) || f.state == FRESH_OFF) continue;
        if (missing++ == 0) {
            buf_printf(out, "%.*s is ", SLICE_FMT(row_key(rows[i])));
            put_fresh(out, f);
        }
    }
    if (missing > 1) buf_printf(out, "; and %zu more", missing - 1);
    mem_free(rows);
    return missing > 0;
}

/* What is missing from a table, and why it is empty. */
static void put_title(const struct world *w, enum world_table t, const char *title, const char *prefix, const char *empty) {
    struct buf why = {0};
    bool missing = prefix && put_missing(w, prefix, &why);
    printf("\n%s\n", title);
    if (missing) printf("  not known%s: %s\n", world_count(w, t) ? " in full" : "", buf_str(&why));
    else if (world_count(w, t) == 0) printf("  %s\n", empty);
    buf_free(&why);
}

static void put_table(const struct world *w, enum world_table t, const char *title, const char *prefix,
                      const struct text_col *cols, size_t n, const char *empty) {
    struct buf out = {0};
    const struct row **rows = sorted(w, t);
    put_title(w, t, title, prefix, empty);
    for (size_t k = 0; k < world_count(w, t); k++) {
        const struct row *r = rows[k];
        struct fresh f = world_freshness(w, r);
        buf_adds(&out, "  ");
        for (size_t i = 0; i < n; i++) {
            char number[24];
            struct cell c = row_cell(r, cols[i].col);
            if (c.type == CELL_INT) {
                snprintf(number, sizeof number, "%" PRId64, c.i);
                c.s = slice_of(number);
            }
            put_cell(&out, c.type == CELL_NULL ? (struct slice){NULL, 0} : c.s, cols[i].width);
        }
        if (!fresh_usable(f)) {
            buf_adds(&out, "~ ");
            put_fresh(&out, f);
        }
        while (out.len && out.p[out.len - 1] == ' ') out.len--;
        buf_addc(&out, '\n');
    }
    fputs(buf_str(&out), stdout);
    buf_free(&out);
    mem_free(rows);
}

static void print_claims(const struct world *w) {
    static const char *const states[] = {"HOSTILE", "RETIRED", "MOVED", "FINE", "PENDING", "LOST", "TERMINATING", "UNKNOWN"};
    int64_t count[ARRAY_LEN(states)] = {0}, bytes[ARRAY_LEN(states)] = {0};
    for (const struct row *r = world_first(w, T_CLAIMS); r; r = world_next(w, r))
        for (size_t i = 0; i < ARRAY_LEN(states); i++)
            if (slice_is(row_text(r, CLAIMS_STATE), states[i])) {
                count[i]++;
                bytes[i] += row_int(r, CLAIMS_CAPACITY, row_int(r, CLAIMS_REQUEST, 0));
            }
    struct buf why = {0};
    bool missing = put_missing(w, "kube/persistentvolume", &why);
    if (missing && !world_count(w, T_CLAIMS)) printf("\nclaims: not known: %s\n", buf_str(&why));
    else printf("\nclaims: %zu%s%s\n", world_count(w, T_CLAIMS), missing ? ", and others may be missing: " : "", buf_str(&why));
    buf_free(&why);
    for (size_t i = 0; i < ARRAY_LEN(states); i++)
        if (count[i]) printf("  %-12s %6" PRId64 "  %8" PRId64 " GiB\n", states[i], count[i], bytes[i] >> 30);
}

static void print_text(const struct world *w) {
    static const struct text_col sources[] = {{SOURCES_SERVER, 10}, {SOURCES_KIND, 40}, {SOURCES_STATE, 8}, {SOURCES_ERROR, 90}};
    static const struct text_col peers[] = {{RAFT_PEERS_NAME, 14}, {RAFT_PEERS_HEALTH, 12}, {RAFT_PEERS_SEAL, 9}, {RAFT_PEERS_ROLE, 10},
                                            {RAFT_PEERS_LAG, 6}, {RAFT_PEERS_VERSION, 12}};
    static const struct text_col extensions[] = {{EXTENSIONS_DATABASE, 14}, {EXTENSIONS_NAME, 16}, {EXTENSIONS_STATE, 12},
                                                 {EXTENSIONS_INSTALLED, 10}, {EXTENSIONS_AVAILABLE, 10}};
    static const struct text_col alerts[] = {{ALERTS_NAME, 30}, {ALERTS_STATE, 11}, {ALERTS_SEVERITY, 9}, {ALERTS_SUMMARY, 70}};
    static const struct text_col gates[] = {{GATES_ANSWER, 9}, {GATES_NAME, 44}, {GATES_WORKLOAD, 18}, {GATES_REASON, 90}};
    static const struct text_col workloads[] = {{PLAN_WORKLOADS_NAME, 20}, {PLAN_WORKLOADS_STATE, 14}, {PLAN_WORKLOADS_PHASE, 11},
                                                {PLAN_WORKLOADS_REASON, 90}};
    put_table(w, T_SOURCES, "sources", NULL, sources, ARRAY_LEN(sources), "none");
    print_claims(w);
    put_table(w, T_RAFT_PEERS, "raft peers", "vault/", peers, ARRAY_LEN(peers), "no raft-rolling workload in the plan, or not seen yet");
    put_table(w, T_EXTENSIONS, "extensions", "postgres/", extensions, ARRAY_LEN(extensions), "no postgres-dump-restore workload in the plan, or not seen yet");
    put_table(w, T_ALERTS, "alerts", "alerts/", alerts, ARRAY_LEN(alerts), "no alert fires, or alerts are not in the plan");
    put_table(w, T_PLAN_WORKLOADS, "workloads of the plan", NULL, workloads, ARRAY_LEN(workloads), "no plan; start with --plan FILE");
    put_table(w, T_GATES, "gates", NULL, gates, ARRAY_LEN(gates), "none");
}

/* 0 well, 1 a gate fails or waits, 2 something could not be observed, 69 nothing answered. */
static int judge(const struct world *w) {
    size_t asked = 0, answered = 0;
    bool failed = false, unknown = false;
    for (const struct row *r = world_first(w, T_SOURCES); r; r = world_next(w, r)) {
        struct fresh f = world_freshness(w, r);
        if (f.state == FRESH_OFF) continue;
        asked++;
        if (fresh_usable(f)) answered++;
        else unknown = true;
    }
    for (const struct row *r = world_first(w, T_GATES); r; r = world_next(w, r)) {
        struct slice answer = row_text(r, GATES_ANSWER);
        failed = failed || slice_is(answer, gate_answer_word(GATE_FAIL)) || slice_is(answer, gate_answer_word(GATE_WAIT));
        unknown = unknown || slice_is(answer, gate_answer_word(GATE_NO_DATA));
    }
    if (asked && !answered) return 69;
    return failed ? 1 : unknown ? 2 : 0;
}

static int run(struct cli *cli) {
    struct setup setup = {0};
    struct err *e = cli->nargs ? err_new(ERR_USAGE, "status takes no argument '%s'", cli->args[0]) : setup_load(cli, &setup);
    if (e) return cli_report(e);
    struct loop *loop = loop_new();
    struct wait wait = {.engine = engine_new(loop, &setup, false)};
    struct timer *timer = timer_new(loop, check, &wait);
    timer_start(timer, CHECK_MS, CHECK_MS);
    loop_run_until(loop, &wait.done, cli->timeout_ms);
    struct world *w = engine_world(wait.engine);
    world_set_now(w, clock_wall_ms());
    gates_update(w);
    if (cli->json) print_json(w);
    else print_text(w);
    int status = judge(w);
    timer_free(timer);
    engine_free(wait.engine);
    loop_free(loop);
    setup_free(&setup);
    return status;
}

const struct subcommand command_status = {
    .name = "status",
    .usage = "status [--json]",
    .summary = "one snapshot of everything; exit status 0, 1, 2 or 69",
    .run = run,
};
