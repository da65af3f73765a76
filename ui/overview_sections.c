/* Plan, gates, raft, PostgreSQL, alerts and events in a few lines each. */
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "ui/format.h"
#include "ui/overview.h"
#include "ui/phase_view.h"
#include "ui/plan_help.h"
#include "ui/rows.h"
#include "ui/screen.h"
#include "world/status.h"

void overview_age(const struct world *w, int64_t at, struct buf *out) {
    if (at) format_age(out, world_now(w), at);
}

/* ---- Plan -------------------------------------------------------------------------------------------------------- */

static void no_plan(struct board *b) {
    struct slice yaml = slice_of(plan_help_yaml(PLAN_HELP_WHOLE)), line;
    board_section(b, &(struct board_section){
        .title = "PLAN", .detail = SLICE_LIT("none: start with ferryman --plan FILE"), .side = BOARD_RIGHT, .min = 3,
    });
    board_line(b, &(struct board_line){.text = slice_of(plan_help_why(PLAN_HELP_WHOLE)), .wrap = 4});
    while (slice_cut(&yaml, '\n', &line)) board_line(b, &(struct board_line){.text = line, .style = STYLE_ACCENT});
}

/* "1 of 3 pods": moved, of those that have a turn; nothing for other kinds. */
static void pods_moved(const struct ui *ui, const struct row *workload, struct buf *out) {
    size_t n, pods = 0, moved = 0;
    const struct row **phases = phase_list(ui->world, row_key(workload), &n);
    for (size_t i = 0; i < n; i++) {
        pods += phase_is_pod(phases[i]);
        moved += phase_is_pod(phases[i]) && slice_is(row_text(phases[i], PHASES_STATE), "DONE");
    }
    mem_free(phases);
    if (pods) buf_printf(out, "%zu of %zu pods", moved, pods);
}

/* What says more than the state where there is room for one of them: the mark tells that all goes its way. */
static bool on_its_way(struct slice state) {
    return slice_is(state, "RUNNING") || slice_is(state, "WAITING") || slice_is(state, "BETWEEN PHASES");
}

/* "> immich-postgres  RUNNING" */
static void plan_workload(struct ui *ui, struct board *b, const struct row *r, bool kinds) {
    struct slice state = row_text(r, PLAN_WORKLOADS_STATE);
    struct phase_look look = phase_look_now(ui, state);
    struct buf label = {0}, text = {0}, pods = {0};
    if (!slice_is(state, "NOT STARTED")) pods_moved(ui, r, &pods);
    buf_printf(&label, "%s %.*s", look.mark, SLICE_FMT(row_text(r, PLAN_WORKLOADS_NAME)));
    buf_adds(&text, ui->stale ? "was " : "");
    if (kinds || !pods.len || !on_its_way(state)) buf_printf(&text, "%.*s%s", SLICE_FMT(state), pods.len ? "  " : "");
    buf_add_slice(&text, buf_slice(&pods));
    buf_free(&pods);
    if (kinds) buf_printf(&text, "  %.*s", SLICE_FMT(row_text(r, PLAN_WORKLOADS_KIND)));
    board_line(b, &(struct board_line){.label = buf_slice(&label), .text = buf_slice(&text), .style = look.style, .row = r});
    buf_free(&label);
    buf_free(&text);
}

/* A pod and its window are one thing here: "✓ vault-0", "> vault-1 window", "· vault-2 (leader)". */
static void plan_pod(const struct ui *ui, const struct row *const *phases, size_t n, const struct row *p, struct buf *out) {
    const struct row *window = phase_window_of(phases, n, p);
    struct slice pod = phase_pod(p), state = row_text(p, PHASES_STATE), after = window ? row_text(window, PHASES_STATE) : state;
    bool moved = slice_is(state, "DONE"), watched = !window || slice_is(after, "DONE") || slice_is(after, "SKIPPED");
    struct phase_look look = phase_look_now(ui, moved ? after : state);
    if (moved && !watched && !phase_under_way(after) && !phase_in_trouble(after)) look.mark = ">";
    buf_printf(out, "%s\xC2\xA0%.*s", look.mark, SLICE_FMT(pod.n ? pod : row_text(p, PHASES_NAME)));
    if (moved && !watched) buf_adds(out, "\xC2\xA0window");
    else if (!moved && slice_contains(row_text(p, PHASES_TITLE), "leader")) buf_adds(out, "\xC2\xA0(leader)");
}

/* "✓ preflight > dump · swap": of a workload that has begun; false: it has not. */
static bool plan_phases(const struct ui *ui, const struct row *workload, struct buf *out) {
    size_t n;
    const struct row **phases = phase_list(ui->world, row_key(workload), &n);
    bool begun = !slice_is(row_text(workload, PLAN_WORKLOADS_STATE), "NOT STARTED");
    for (size_t i = 0; begun && i < n; i++) {
        struct slice name = row_text(phases[i], PHASES_NAME);
        if (phase_is_window(phases[i])) continue;
        if (out->len) buf_addc(out, ' ');
        if (phase_is_pod(phases[i])) plan_pod(ui, phases, n, phases[i], out);
        else buf_printf(out, "%s\xC2\xA0%.*s", phase_look_now(ui, row_text(phases[i], PHASES_STATE)).mark, SLICE_FMT(name));
    }
    begun = begun && n;
    mem_free(phases);
    return begun;
}

void overview_plan(struct ui *ui, struct board *b, bool kinds) {
    const struct row *plan = world_first(ui->world, T_PLAN);
    size_t n;
    if (!plan) return;
    struct slice state = row_text(plan, PLAN_STATE);
    if (slice_is(state, "NONE")) {
        no_plan(b);
        return;
    }
    const struct row **rows = rows_sorted(ui->world, T_PLAN_WORKLOADS, -1, false, &n);
    struct buf detail = {0};
    bool begun = rows_count(ui->world, T_PLAN_WORKLOADS, PLAN_WORKLOADS_STATE, SLICE_LIT("NOT STARTED")) < n;
    buf_printf(&detail, "%.*s, %zu workload%s", SLICE_FMT(row_text(plan, PLAN_NAME)), n, n == 1 ? "" : "s");
    if (kinds && !begun) buf_adds(&detail, ", not started");
    board_section(b, &(struct board_section){
        .title = "PLAN", .state = slice_is(state, "OK") ? (struct slice){NULL, 0} : state, .detail = buf_slice(&detail),
        .side = BOARD_LEFT, .row = plan,
    });
    for (size_t i = 0; i < n; i++) {
        struct buf phases = {0};
        plan_workload(ui, b, rows[i], kinds);
        if (plan_phases(ui, rows[i], &phases))
            board_line(b, &(struct board_line){.text = buf_slice(&phases), .wrap = 6, .whole = true});
        buf_free(&phases);
    }
    buf_free(&detail);
    mem_free(rows);
}

/* ---- Gates ------------------------------------------------------------------------------------------------------- */

/* One cluster or server needs no name behind the question. */
static void gate_label(const struct world *w, const struct row *r, struct buf *out) {
    struct slice workload = row_text(r, GATES_WORKLOAD);
    buf_clear(out);
    buf_add_slice(out, row_text(r, GATES_NAME));
    if (workload.n && !rows_only(w, T_GATES, GATES_NAME, row_text(r, GATES_NAME)))
        buf_printf(out, " · %.*s", SLICE_FMT(workload));
}

/* Lines may be hidden: how many do not pass is said here. */
static void count_answers(const struct world *w, struct buf *out) {
    static const char *const words[] = {"FAIL", "NO DATA", "WAIT"};
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        size_t n = rows_count(w, T_GATES, GATES_ANSWER, slice_of(words[i]));
        if (n) buf_printf(out, ", %zu %s", n, words[i]);
    }
}

void overview_gates(struct ui *ui, struct board *b, bool wide) {
    size_t n, pass = rows_count(ui->world, T_GATES, GATES_ANSWER, SLICE_LIT("PASS"));
    size_t silent = rows_count(ui->world, T_GATES, GATES_ANSWER, SLICE_LIT("NOT ASKED"));
    const struct row **rows = rows_sorted(ui->world, T_GATES, GATES_RANK, false, &n);
    struct buf detail = {0}, label = {0};
    if (n > silent || (n && ui->plan)) {
        buf_printf(&detail, "%zu of %zu %sOK", pass, n - silent, ui->stale ? "were " : "");
        count_answers(ui->world, &detail);
        if (silent) buf_printf(&detail, ", %zu not asked", silent);
        board_section(b, &(struct board_section){
            .title = "DONE WHEN", .detail = buf_slice(&detail), .side = BOARD_RIGHT, .min = 4,
        });
    }
    for (size_t i = 0; i < n && detail.len; i++) {
        bool asked = !slice_is(row_text(rows[i], GATES_ANSWER), "NOT ASKED");
        gate_label(ui->world, rows[i], &label);
        board_line(b, &(struct board_line){
            .state = row_text(rows[i], GATES_ANSWER), .label = buf_slice(&label),
            .text = row_text(rows[i], GATES_REASON), .style = asked ? STYLE_NORMAL : STYLE_DIM, .wrap = wide ? 3 : 1,
            .row = rows[i],
        });
    }
    buf_free(&detail);
    buf_free(&label);
    mem_free(rows);
}

/* ---- Raft -------------------------------------------------------------------------------------------------------- */

static void count_or_unknown(struct buf *out, const char *before, struct cell c, const char *after) {
    buf_adds(out, before);
    if (c.type == CELL_INT) format_int(out, c.i);
    else buf_addc(out, '?');
    buf_adds(out, after);
}

static void raft_summary(const struct world *w, const struct row *r, struct buf *out) {
    struct slice leader = row_text(r, RAFT_CLUSTERS_LEADER);
    int64_t since = row_int(r, RAFT_CLUSTERS_LEADER_SINCE, 0);
    if (!leader.n) {
        section_raft_last(w, r, out);
        return;
    }
    buf_printf(out, "leader %.*s", SLICE_FMT(leader));
    if (since) {
        buf_adds(out, " since ");
        overview_age(w, since, out);
    }
    count_or_unknown(out, " · ", row_cell(r, RAFT_CLUSTERS_VOTERS), " voters");
    count_or_unknown(out, ", tolerance ", row_cell(r, RAFT_CLUSTERS_TOLERANCE), "");
    count_or_unknown(out, ", index ", row_cell(r, RAFT_CLUSTERS_INDEX), "");
}

/* What is wrong with a peer stands before what it is. */
static void raft_peer(const struct row *r, struct board *b) {
    struct slice health = row_text(r, RAFT_PEERS_HEALTH), role = row_text(r, RAFT_PEERS_ROLE);
    struct slice error = row_text(r, RAFT_PEERS_ERROR);
    struct slice claims = row_text(r, RAFT_PEERS_CLAIMS_STATE), as_leader = row_text(r, RAFT_PEERS_AS_LEADER);
    struct cell lag = row_cell(r, RAFT_PEERS_LAG);
    struct buf text = {0};
    bool well = slice_is(health, "OK"), leads = slice_is(role, "LEADER");
    if (!well && error.n) buf_printf(&text, "%.*s", SLICE_FMT(error));
    else if (!leads && role.n) buf_printf(&text, "%.*s", SLICE_FMT(role));
    if (well && lag.type == CELL_INT && lag.i > 0) count_or_unknown(&text, text.len ? " · lag " : "lag ", lag, "");
    if (well && claims.n) buf_printf(&text, "%sclaims %.*s", text.len ? " · " : "", SLICE_FMT(claims));
    if (well && as_leader.n) buf_printf(&text, "%sas leader %.*s", text.len ? " · " : "", SLICE_FMT(as_leader));
    board_line(b, &(struct board_line){
        .state = well && leads ? role : health, .label = row_text(r, RAFT_PEERS_NAME), .text = buf_slice(&text),
        .style = STYLE_DIM, .row = r,
    });
    buf_free(&text);
}

/* First what is not well, then the leader: what is hidden for want of room is well. */
static int peer_rank(const struct row *r) {
    if (!slice_is(row_text(r, RAFT_PEERS_HEALTH), "OK")) return 0;
    return slice_is(row_text(r, RAFT_PEERS_ROLE), "LEADER") ? 1 : 2;
}

void overview_raft(struct ui *ui, struct board *b) {
    size_t n, peers;
    const struct row **rows = rows_sorted(ui->world, T_RAFT_CLUSTERS, -1, false, &n);
    const struct row **peer = rows_sorted(ui->world, T_RAFT_PEERS, RAFT_PEERS_HEALTH, false, &peers);
    for (size_t i = 0; i < n; i++) {
        struct buf title = {0}, detail = {0};
        buf_adds(&title, "RAFT");
        if (n > 1) buf_printf(&title, " %.*s", SLICE_FMT(row_key(rows[i])));
        raft_summary(ui->world, rows[i], &detail);
        board_section(b, &(struct board_section){
            .title = buf_str(&title), .prefix = row_src(ui->world, rows[i]),
            .state = row_text(rows[i], RAFT_CLUSTERS_STATE), .detail = buf_slice(&detail), .side = BOARD_RIGHT,
            .row = rows[i],
        });
        for (int rank = 0; rank < 3; rank++)
            for (size_t k = 0; k < peers; k++)
                if (peer_rank(peer[k]) == rank && slice_eq(row_text(peer[k], RAFT_PEERS_WORKLOAD), row_key(rows[i])))
                    raft_peer(peer[k], b);
        buf_free(&title);
        buf_free(&detail);
    }
    mem_free(rows);
    mem_free(peer);
}

/* ---- PostgreSQL -------------------------------------------------------------------------------------------------- */

static void extensions_line(const struct world *w, struct slice workload, struct board *b) {
    size_t n, all = 0, ok = 0, drift = 0;
    const struct row **rows = rows_sorted(w, T_EXTENSIONS, EXTENSIONS_STATE, false, &n), *first = NULL;
    struct buf text = {0};
    for (size_t i = 0; i < n; i++) {
        if (!slice_eq(row_text(rows[i], EXTENSIONS_WORKLOAD), workload)) continue;
        struct slice state = row_text(rows[i], EXTENSIONS_STATE);
        if (!first) first = rows[i];
        all++;
        ok += slice_is(state, "OK");
        struct slice available = row_text(rows[i], EXTENSIONS_AVAILABLE);
        if (slice_is(state, "OK") || ++drift > 3) continue;
        buf_printf(&text, "%s%.*s %.*s→%.*s", drift > 1 ? ", " : "", SLICE_FMT(row_text(rows[i], EXTENSIONS_NAME)),
                   SLICE_FMT(row_text(rows[i], EXTENSIONS_INSTALLED)),
                   SLICE_FMT(available.n ? available : SLICE_LIT("none")));
    }
    if (drift > 3) buf_printf(&text, ", +%zu", drift - 3);
    struct buf line = {0};
    buf_printf(&line, "%zu of %zu OK%s%s", ok, all, text.len ? ": " : "", buf_str(&text));
    if (first)
        board_line(b, &(struct board_line){
            .state = row_text(first, EXTENSIONS_STATE), .label = SLICE_LIT("extensions"), .text = buf_slice(&line),
            .row = first,
        });
    buf_free(&text);
    buf_free(&line);
    mem_free(rows);
}

static void progress_lines(const struct world *w, struct slice workload, struct board *b) {
    size_t n;
    const struct row **rows = rows_sorted(w, T_PROGRESS, -1, false, &n);
    for (size_t i = 0; i < n; i++) {
        const struct row *r = rows[i];
        struct buf text = {0};
        if (!slice_eq(row_text(r, PROGRESS_WORKLOAD), workload)) continue;
        buf_printf(&text, "%.*s, %.*s", SLICE_FMT(row_text(r, PROGRESS_RELATION)),
                   SLICE_FMT(row_text(r, PROGRESS_PHASE)));
        board_line(b, &(struct board_line){
            .state = SLICE_LIT("PROGRESSING"), .label = row_text(r, PROGRESS_COMMAND), .text = buf_slice(&text),
            .row = r,
        });
        buf_free(&text);
    }
    mem_free(rows);
}

static void postgres_summary(const struct world *w, const struct row *r, struct buf *out) {
    size_t databases = rows_count(w, T_DATABASES, DATABASES_WORKLOAD, row_key(r));
    struct cell size = row_cell(r, PG_SERVERS_SIZE);
    struct slice text = row_text(r, PG_SERVERS_VERSION), version = {NULL, 0};
    slice_cut(&text, ' ', &version); /* "15.20 (Debian 15.20-0+deb12u1)" */
    int64_t started = row_int(r, PG_SERVERS_STARTED, 0);
    buf_printf(out, "%.*s · %zu database%s", SLICE_FMT(version.n ? version : SLICE_LIT("?")), databases,
               databases == 1 ? "" : "s");
    if (size.type == CELL_INT) {
        buf_adds(out, ", ");
        format_bytes(out, size.i);
    }
    if (started) {
        buf_adds(out, " · up ");
        overview_age(w, started, out);
    }
    count_or_unknown(out, " · ", row_cell(r, PG_SERVERS_CONNECTIONS), " of ");
    count_or_unknown(out, "", row_cell(r, PG_SERVERS_MAX_CONNECTIONS), " connections");
}

void overview_postgres(struct ui *ui, struct board *b) {
    size_t n;
    const struct row **rows = rows_sorted(ui->world, T_PG_SERVERS, -1, false, &n);
    for (size_t i = 0; i < n; i++) {
        struct buf title = {0}, detail = {0};
        buf_adds(&title, "POSTGRES");
        if (n > 1) buf_printf(&title, " %.*s", SLICE_FMT(row_key(rows[i])));
        postgres_summary(ui->world, rows[i], &detail);
        board_section(b, &(struct board_section){
            .title = buf_str(&title), .prefix = row_src(ui->world, rows[i]),
            .state = row_text(rows[i], PG_SERVERS_STATE), .detail = buf_slice(&detail), .side = BOARD_RIGHT,
            .row = rows[i],
        });
        extensions_line(ui->world, row_key(rows[i]), b);
        progress_lines(ui->world, row_key(rows[i]), b);
        buf_free(&title);
        buf_free(&detail);
    }
    mem_free(rows);
}

/* ---- Alerts ------------------------------------------------------------------------------------------------------ */

/* Without a watchdog silence says nothing. */
static void watchdog(const struct world *w, struct buf *out) {
    const struct row *dog = NULL;
    for (const struct row *r = world_first(w, T_ALERTS); r; r = world_next(w, r))
        if (slice_is(row_text(r, ALERTS_STATE), "WATCHDOG") &&
            (!dog || row_int(r, ALERTS_UPDATED, 0) > row_int(dog, ALERTS_UPDATED, 0)))
            dog = r;
    if (!dog) {
        buf_adds(out, " · no watchdog: silence proves nothing");
        return;
    }
    buf_adds(out, " · watchdog sent ");
    overview_age(w, row_int(dog, ALERTS_UPDATED, 0), out);
    buf_adds(out, row_int(dog, ALERTS_UPDATED, 0) ? " ago" : "?");
}

void overview_alerts(struct ui *ui, struct board *b) {
    struct fresh f = section_fresh(ui->world, "alerts/");
    size_t firing = rows_count(ui->world, T_ALERTS, ALERTS_STATE, SLICE_LIT("FIRING")), n;
    size_t quiet = rows_count(ui->world, T_ALERTS, ALERTS_STATE, SLICE_LIT("SUPPRESSED"))
                   + rows_count(ui->world, T_ALERTS, ALERTS_STATE, SLICE_LIT("IGNORED"));
    struct buf detail = {0};
    if (f.state == FRESH_OFF) return;
    if (firing) buf_printf(&detail, "%zu firing", firing);
    else buf_adds(&detail, fresh_usable(f) ? "none firing" : "not known");
    if (quiet) buf_printf(&detail, ", %zu suppressed or ignored", quiet);
    watchdog(ui->world, &detail);
    board_section(b, &(struct board_section){
        .title = "ALERTS", .prefix = "alerts/", .state = firing ? SLICE_LIT("FIRING") : (struct slice){NULL, 0},
        .detail = buf_slice(&detail), .side = BOARD_RIGHT,
    });
    const struct row **rows = rows_sorted(ui->world, T_ALERTS, ALERTS_STATE, false, &n);
    for (size_t i = 0; i < n; i++) {
        struct buf text = {0};
        if (slice_is(row_text(rows[i], ALERTS_STATE), "WATCHDOG")) continue;
        overview_age(ui->world, row_int(rows[i], ALERTS_STARTED, 0), &text);
        buf_printf(&text, " %.*s", SLICE_FMT(row_text(rows[i], ALERTS_SUMMARY)));
        board_line(b, &(struct board_line){
            .state = row_text(rows[i], ALERTS_STATE), .label = row_text(rows[i], ALERTS_NAME), .text = buf_slice(&text),
            .row = rows[i],
        });
        buf_free(&text);
    }
    mem_free(rows);
    buf_free(&detail);
}

/* ---- Events ------------------------------------------------------------------------------------------------------ */

void overview_events(struct ui *ui, struct board *b, size_t lines) {
    size_t n;
    const struct row **rows = rows_sorted(ui->world, T_TIMELINE, TIMELINE_AT, true, &n);
    board_section(b, &(struct board_section){.side = BOARD_BOTTOM, .min = 2});
    for (size_t i = 0; i < n && i < lines; i++) {
        struct buf label = {0};
        struct slice level = row_text(rows[i], TIMELINE_LEVEL);
        format_hms(&label, row_int(rows[i], TIMELINE_AT, 0));
        buf_printf(&label, "Z %.*s", SLICE_FMT(row_text(rows[i], TIMELINE_OBJECT)));
        board_line(b, &(struct board_line){
            .state = level, .label = buf_slice(&label), .text = row_text(rows[i], TIMELINE_TEXT), .row = rows[i],
        });
        buf_free(&label);
    }
    struct slice nothing = SLICE_LIT("Nothing has changed since the engine began to look.");
    if (!n) board_line(b, &(struct board_line){.text = nothing, .style = STYLE_DIM});
    mem_free(rows);
}
