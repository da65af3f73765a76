#include "run_lines.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/json_writer.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/str.h"
#include "loop/loop.h"
#include "loop/stream_sock.h"
#include "world/stream.h"
#include "world/world.h"

#define QUEUE_MAX ((size_t)4 * 1024 * 1024)
#define DETAIL_MS INT64_C(2000) /* a step's detail is not told more often, its state is */
#define DRAIN_MS 2000

struct told {
    char *state, *detail;
    int64_t at;
};

struct run_lines {
    struct loop *loop;
    const struct world *world;
    char *workload;
    bool json, first, gone;
    struct sock *out;
    struct map *told; /* table/key → struct told */
    bool drained;
};

static void on_drained(void *arg) {
    struct run_lines *r = arg;
    r->drained = true;
}

static void on_end(void *arg, const struct err *e) {
    struct run_lines *r = arg;
    (void)e;
    r->gone = r->drained = true; /* nobody reads any more; what is under way goes on, and the journal has it */
}

struct err *run_lines_new(struct loop *l, const struct world *w, const char *workload, bool json, struct run_lines **ret) {
    static const struct sock_events events = {.on_drained = on_drained, .on_end = on_end};
    struct run_lines *r = MEM_NEW(struct run_lines);
    *r = (struct run_lines){.loop = l, .world = w, .workload = mem_strdup(workload), .json = json, .first = true, .told = map_new()};
    struct err *e = sock_from_fd(l, dup(STDOUT_FILENO), &events, r, &r->out);
    if (e) {
        run_lines_free(r);
        return e;
    }
    *ret = r;
    return NULL;
}

static void told_free(void *p) {
    struct told *t = p;
    mem_free(t->state);
    mem_free(t->detail);
    mem_free(t);
}

void run_lines_free(struct run_lines *r) {
    if (!r) return;
    r->drained = !r->out || r->gone || sock_queued(r->out) == 0;
    (void)loop_run_until(r->loop, &r->drained, DRAIN_MS);
    sock_free(r->out);
    map_free(r->told, told_free);
    mem_free(r->workload);
    mem_free(r);
}

static void put(struct run_lines *r, struct buf *line) {
    buf_addc(line, '\n');
    if (!r->gone && sock_queued(r->out) < QUEUE_MAX) sock_write(r->out, line->p, line->len);
    buf_free(line);
}

static void put_row(struct run_lines *r, const char *t, const struct row *row) {
    struct buf line = {0};
    buf_printf(&line, "{\"schema\":1,\"t\":\"%s\",\"row\":", t);
    stream_row_json(r->world, row, false, &line);
    buf_addc(&line, '}');
    put(r, &line);
}

static void add_time(struct buf *line) {
    char hms[32];
    buf_printf(line, "%s ", clock_format_hms(clock_wall_ms(), hms, sizeof hms));
}

static void add_text(struct buf *line, const char *before, struct slice text) {
    if (text.n) buf_printf(line, "%s%.*s", before, SLICE_FMT(text));
}

/* Whether that is new, and notes it. Waiting is a way of running: its reason is the detail. */
static bool changed(struct run_lines *r, const char *table, struct slice key, struct slice state, struct slice detail, bool at_once) {
    char *name = str_printf("%s/%.*s", table, SLICE_FMT(key));
    struct told *t = map_gets(r->told, name);
    if (slice_is(state, "WAITING")) state = SLICE_LIT("RUNNING");
    bool other_state = !t || !slice_eq(slice_of(t->state), state);
    bool other_detail = t && !slice_eq(slice_of(t->detail), detail) && (detail.n || t->detail);
    bool tell = other_state || (other_detail && (at_once || clock_mono_ms() - t->at >= DETAIL_MS));
    if (tell) {
        if (!t) map_puts(r->told, name, t = MEM_NEW(struct told));
        mem_free(t->state);
        mem_free(t->detail);
        *t = (struct told){.state = slice_dup(state), .detail = slice_dup(detail), .at = clock_mono_ms()};
    }
    mem_free(name);
    return tell && !r->first;
}

static void phase_line(struct run_lines *r, const struct row *row) {
    struct slice state = row_text(row, PHASES_STATE), reason = row_text(row, PHASES_REASON);
    bool quiet = slice_is(state, "TODO") || slice_is(state, "NEXT") || slice_is(state, "NOT YET");
    if (!changed(r, "phase", row_key(row), state, reason, true) || (quiet && !reason.n)) return;
    if (r->json) {
        put_row(r, "phase", row);
        return;
    }
    struct buf line = {0};
    add_time(&line);
    add_text(&line, "phase ", row_text(row, PHASES_NAME));
    add_text(&line, ": ", slice_is(state, "WAITING") ? SLICE_LIT("RUNNING") : state);
    add_text(&line, ": ", reason);
    put(r, &line);
}

static void step_line(struct run_lines *r, const struct row *row) {
    struct slice state = row_text(row, STEPS_STATE), detail = row_text(row, STEPS_DETAIL);
    if (!changed(r, "step", row_key(row), state, detail, false) || slice_is(state, "TODO")) return;
    if (r->json) {
        put_row(r, "step", row);
        return;
    }
    struct buf line = {0};
    add_time(&line);
    add_text(&line, "  ", row_text(row, STEPS_PHASE));
    add_text(&line, "/", row_text(row, STEPS_NAME));
    add_text(&line, " ", state);
    add_text(&line, ": ", detail);
    put(r, &line);
}

/* The checklist of a step: what was found or done, a line each. */
static void result_line(struct run_lines *r, const struct row *row) {
    if (!changed(r, "result", row_key(row), row_text(row, RESULTS_WHAT), row_text(row, RESULTS_TEXT), true)) return;
    if (r->json) {
        put_row(r, "result", row);
        return;
    }
    struct buf line = {0};
    add_time(&line);
    add_text(&line, row_int(row, RESULTS_ACT, 0) ? "    * " : "    - ", row_text(row, RESULTS_WHAT));
    add_text(&line, ": ", row_text(row, RESULTS_TEXT));
    put(r, &line);
}

static void dialog_state_line(struct run_lines *r, const struct row *row) {
    struct slice state = row_text(row, DIALOGS_STATE), reason = row_text(row, DIALOGS_REASON);
    if (row_int(row, DIALOGS_PEER, -1) != 0 || !changed(r, "dialog", row_key(row), state, reason, true)) return;
    if (r->json) {
        put_row(r, "dialog", row);
        return;
    }
    struct buf line = {0};
    add_time(&line);
    add_text(&line, "dialog ", row_text(row, DIALOGS_PHASE));
    add_text(&line, ": ", state);
    add_text(&line, ": ", reason);
    put(r, &line);
}

struct table_lines {
    enum world_table table;
    int workload, rank;
    void (*line)(struct run_lines *r, const struct row *row);
};

static int rank_col;

static int by_rank(const void *a, const void *b) {
    const struct row *const *x = a, *const *y = b;
    int64_t i = row_int(*x, rank_col, 0), k = row_int(*y, rank_col, 0);
    return i < k ? -1 : i > k;
}

/* In the order of the steps: several may have changed in one turn. */
static void update_table(struct run_lines *r, const struct table_lines *t) {
    const struct row **rows = mem_calloc(world_count(r->world, t->table) + 1, sizeof *rows);
    size_t n = 0;
    for (const struct row *row = world_first(r->world, t->table); row; row = world_next(r->world, row))
        if (slice_is(row_text(row, t->workload), r->workload)) rows[n++] = row;
    rank_col = t->rank;
    qsort(rows, n, sizeof *rows, by_rank);
    for (size_t i = 0; i < n; i++) t->line(r, rows[i]);
    mem_free(rows);
}

void run_lines_update(struct run_lines *r) {
    static const struct table_lines tables[] = {
        {T_DIALOGS, DIALOGS_WORKLOAD, DIALOGS_OPENED, dialog_state_line},
        {T_RESULTS, RESULTS_WORKLOAD, RESULTS_RANK, result_line},
        {T_STEPS, STEPS_WORKLOAD, STEPS_RANK, step_line},
        {T_PHASES, PHASES_WORKLOAD, PHASES_RANK, phase_line},
    };
    for (size_t i = 0; i < ARRAY_LEN(tables); i++) update_table(r, &tables[i]);
    r->first = false;
}

static void dialog_line(struct run_lines *r, const struct row *row) {
    if (r->json) {
        put_row(r, "line", row);
        return;
    }
    struct buf line = {0};
    struct slice label = row_text(row, DIALOG_LINES_LABEL);
    buf_printf(&line, "         %-10.*s", SLICE_FMT(label));
    add_text(&line, " ", row_text(row, DIALOG_LINES_TEXT));
    put(r, &line);
}

void run_lines_dialog(struct run_lines *r, const char *dialog) {
    const struct row **rows = mem_calloc(world_count(r->world, T_DIALOG_LINES) + 1, sizeof *rows);
    size_t n = 0;
    for (const struct row *row = world_first(r->world, T_DIALOG_LINES); row; row = world_next(r->world, row))
        if (slice_is(row_text(row, DIALOG_LINES_DIALOG), dialog)) rows[n++] = row;
    rank_col = DIALOG_LINES_RANK;
    qsort(rows, n, sizeof *rows, by_rank);
    for (size_t i = 0; i < n; i++) dialog_line(r, rows[i]);
    mem_free(rows);
}

void run_lines_note(struct run_lines *r, const char *fmt, ...) {
    va_list ap;
    struct buf line = {0};
    va_start(ap, fmt);
    char *text = str_vprintf(fmt, ap);
    va_end(ap);
    if (r->json) {
        struct json_writer w;
        jw_init(&w, &line);
        buf_adds(&line, "{\"schema\":1,\"t\":\"note\",\"text\":");
        jw_str(&w, text);
        buf_addc(&line, '}');
    } else {
        add_time(&line);
        buf_adds(&line, text);
    }
    put(r, &line);
    mem_free(text);
}

void run_lines_end(struct run_lines *r, int status, const char *next, const char *text) {
    if (!r->json) {
        run_lines_note(r, "%s", text);
        return;
    }
    struct buf line = {0};
    struct json_writer w;
    jw_init(&w, &line);
    jw_object(&w);
    jw_key(&w, "schema");
    jw_int(&w, 1);
    jw_key(&w, "t");
    jw_str(&w, "end");
    jw_key(&w, "status");
    jw_int(&w, status);
    jw_key(&w, "next");
    jw_str(&w, next);
    jw_key(&w, "text");
    jw_str(&w, text);
    jw_end_object(&w);
    put(r, &line);
}
