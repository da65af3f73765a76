/* The first lines of the overview: what is wrong, since when, in words; the worst first. */
#include "base/clock.h"
#include "base/mem.h"
#include "ui/format.h"
#include "ui/overview.h"
#include "ui/phase_view.h"
#include "ui/rows.h"
#include "ui/screen.h"
#include "ui/window_view.h"
#include "world/status.h"

#define DAY_MS INT64_C(86400000)

struct wrong {
    struct ui *ui;
    struct board *b;
    bool wide;
    size_t n;
    bool raft_told; /* a verdict says more than a node that does not answer */
};

/* The verdict on a cluster is shown whole, however narrow it is. */
static void add(struct wrong *s, const struct row *r, struct slice state, struct slice label, const struct buf *what) {
    struct buf text = {0};
    buf_printf(&text, "%.*s: ", SLICE_FMT(label));
    buf_add_slice(&text, buf_slice(what));
    board_line(s->b, &(struct board_line){
        .state = state, .text = buf_slice(&text), .wrap = row_table(r) == T_RAFT_CLUSTERS ? 5 : s->wide ? 2 : 1,
        .style = STYLE_BOLD, .row = r,
    });
    buf_free(&text);
    s->n++;
}

static bool is_bad(struct slice state) {
    enum level l = status_level(state);
    return l == LEVEL_BAD || l == LEVEL_WARN;
}

/* What nobody can tell about a cluster comes after the servers that should have told it. */
static void raft(struct wrong *s, bool known) {
    size_t n;
    const struct row **rows = rows_sorted(s->ui->world, T_RAFT_CLUSTERS, RAFT_CLUSTERS_STATE, false, &n);
    for (size_t i = 0; i < n; i++) {
        struct slice state = row_text(rows[i], RAFT_CLUSTERS_STATE), verdict = row_text(rows[i], RAFT_CLUSTERS_VERDICT);
        struct buf text = {0};
        s->raft_told |= verdict.n > 0;
        if ((!verdict.n && !is_bad(state)) || is_bad(state) != known) continue;
        if (verdict.n) buf_add_slice(&text, verdict);
        else buf_adds(&text, "the raft cluster is not well; its nodes say more");
        add(s, rows[i], state, row_key(rows[i]), &text);
        buf_free(&text);
    }
    mem_free(rows);
}

/* Smaller is worse; 3: it does not fail. */
static int fresh_rank(struct fresh f) {
    return f.state == FRESH_DOWN ? 0 : f.state == FRESH_DENIED ? 1 : f.state == FRESH_STALE ? 2 : 3;
}

/* One line for each server: its worst source, and how many others fail with it. Servers that are merely late come after
 * alerts. */
static void server(struct wrong *s, struct slice name, bool late) {
    const struct row *worst = NULL;
    struct fresh worst_fresh = {FRESH_OFF, -1};
    size_t failed = 0, all = 0, n;
    const struct row **rows = rows_sorted(s->ui->world, T_SOURCES, -1, false, &n);
    for (size_t i = 0; i < n; i++) {
        if (!slice_eq(row_text(rows[i], SOURCES_SERVER), name)) continue;
        struct fresh f = world_freshness(s->ui->world, rows[i]);
        all++;
        if (fresh_rank(f) == 3) continue;
        failed++;
        if (worst && fresh_rank(f) >= fresh_rank(worst_fresh)) continue;
        worst = rows[i];
        worst_fresh = f;
    }
    mem_free(rows);
    if (!worst || (worst_fresh.state == FRESH_STALE) != late) return;
    struct slice error = row_text(worst, SOURCES_ERROR);
    struct buf text = {0};
    if (failed > 1) buf_printf(&text, "and %zu more of %zu: ", failed - 1, all);
    buf_printf(&text, "%.*s", SLICE_FMT(error.n ? error : SLICE_LIT("no proof of life")));
    int64_t next = row_int(worst, SOURCES_NEXT_TRY, 0), now = world_now(s->ui->world);
    if (next > now) {
        buf_adds(&text, ", next try ");
        format_age(&text, now, next);
    }
    add(s, worst, (struct slice){NULL, 0}, row_key(worst), &text);
    buf_free(&text);
}

static void sources(struct wrong *s, bool late) {
    static const char *const order[] = {"kube", "vault", "postgres", "alerts", "http", "lvm"};
    for (size_t i = 0; i < ARRAY_LEN(order); i++)
        if (!s->raft_told || !str_eq(order[i], "vault")) server(s, slice_of(order[i]), late);
}

static void add_since(const struct world *w, int64_t at, struct buf *out) {
    if (!at) return;
    buf_adds(out, "since ");
    if (world_now(w) - at < DAY_MS) {
        format_hms(out, at);
        buf_addc(out, 'Z');
    } else {
        format_utc(out, at);
    }
    buf_adds(out, " (");
    format_age(out, world_now(w), at);
    buf_adds(out, "): ");
}

static void alerts(struct wrong *s) {
    size_t n;
    const struct row **rows = rows_sorted(s->ui->world, T_ALERTS, ALERTS_STARTED, true, &n);
    for (size_t i = 0; i < n; i++) {
        struct buf text = {0};
        if (!slice_is(row_text(rows[i], ALERTS_STATE), "FIRING")) continue;
        add_since(s->ui->world, row_int(rows[i], ALERTS_STARTED, 0), &text);
        struct slice severity = row_text(rows[i], ALERTS_SEVERITY), summary = row_text(rows[i], ALERTS_SUMMARY);
        if (severity.n) buf_printf(&text, "%.*s, ", SLICE_FMT(severity));
        buf_add_slice(&text, summary.n ? summary : row_text(rows[i], ALERTS_LABELS));
        add(s, rows[i], row_text(rows[i], ALERTS_STATE), row_text(rows[i], ALERTS_NAME), &text);
        buf_free(&text);
    }
    mem_free(rows);
}

/* Between quiesce and resume an application cannot answer: that is the downtime that was confirmed. */
static bool stopped_by_us(const struct world *w, struct slice workload) {
    const struct row *quiesce = phase_find(w, workload, SLICE_LIT("quiesce")), *resume = phase_find(w, workload, SLICE_LIT("resume"));
    return quiesce && resume && slice_is(row_text(quiesce, PHASES_STATE), "DONE") && !slice_is(row_text(resume, PHASES_STATE), "DONE");
}

/* Rows of a table whose state is bad, with the text of one column. */
static void states(struct wrong *s, enum world_table t, int state_col, int name_col, int text_col, int since_col,
                   bool warnings) {
    size_t n;
    const struct row **rows = rows_sorted(s->ui->world, t, state_col, false, &n);
    for (size_t i = 0; i < n; i++) {
        struct slice state = row_text(rows[i], state_col);
        enum level level = status_level(state);
        struct buf text = {0};
        if (level != LEVEL_BAD && !(warnings && level == LEVEL_WARN)) continue;
        if (t == T_PG_SERVERS && !fresh_usable(world_freshness(s->ui->world, rows[i]))) continue; /* its source says it */
        if (since_col >= 0) add_since(s->ui->world, row_int(rows[i], since_col, 0), &text);
        buf_add_slice(&text, row_text(rows[i], text_col));
        if (t == T_PROBES) buf_printf(&text, ": %.*s", SLICE_FMT(row_text(rows[i], name_col)));
        if (t == T_PROBES && stopped_by_us(s->ui->world, row_text(rows[i], PROBES_WORKLOAD)))
            buf_adds(&text, " (its applications are stopped until resume)");
        add(s, rows[i], state, t == T_PROBES     ? row_text(rows[i], PROBES_WORKLOAD)
                               : name_col >= 0 ? row_text(rows[i], name_col)
                                               : row_key(rows[i]), &text);
        buf_free(&text);
    }
    mem_free(rows);
}

static void lost_claim(struct wrong *s, const struct row *r) {
    struct slice users = row_text(r, CLAIMS_USED_BY);
    struct buf text = {0};
    buf_printf(&text, "claim of namespace %.*s", SLICE_FMT(row_text(r, CLAIMS_NAMESPACE)));
    if (slice_is(row_text(r, CLAIMS_STATE), "LOST")) {
        buf_printf(&text, ": its volume %.*s is gone", SLICE_FMT(row_text(r, CLAIMS_VOLUME)));
    } else {
        buf_printf(&text, " is being deleted, reclaim policy %.*s", SLICE_FMT(row_text(r, CLAIMS_RECLAIM)));
        if (users.n) buf_printf(&text, ", still used by %.*s", SLICE_FMT(users));
    }
    add(s, r, row_text(r, CLAIMS_STATE), row_text(r, CLAIMS_NAME), &text);
    buf_free(&text);
}

/* Claims may be very many: they are sorted only if one is lost or goes. */
static void lost_claims(struct wrong *s) {
    const struct world *w = s->ui->world;
    size_t n;
    const struct row **rows = rows_sorted(w, T_CLAIMS, -1, false, &n);
    for (size_t i = 0; i < n; i++)
        if (slice_is(row_text(rows[i], CLAIMS_STATE), "LOST") || slice_is(row_text(rows[i], CLAIMS_STATE), "TERMINATING"))
            lost_claim(s, rows[i]);
    mem_free(rows);
}

/* A phase that failed, was interrupted or stands still waits for somebody. */
static void workloads(struct wrong *s) {
    size_t n;
    const struct row **rows = rows_sorted(s->ui->world, T_PLAN_WORKLOADS, -1, false, &n);
    for (size_t i = 0; i < n; i++) {
        struct slice state = row_text(rows[i], PLAN_WORKLOADS_STATE), reason = row_text(rows[i], PLAN_WORKLOADS_REASON);
        struct buf text = {0};
        if (!slice_is(state, "FAILED") && !slice_is(state, "INTERRUPTED") && !slice_is(state, "PAUSED") && !slice_is(state, "READ ONLY")) continue;
        buf_printf(&text, "%.*s%s%.*s", SLICE_FMT(row_text(rows[i], PLAN_WORKLOADS_PHASE)), reason.n ? ": " : "", SLICE_FMT(reason));
        add(s, rows[i], state, row_key(rows[i]), &text);
        buf_free(&text);
    }
    mem_free(rows);
}

static void windows(struct wrong *s) {
    size_t n;
    const struct row **rows = rows_sorted(s->ui->world, T_WINDOWS, WINDOWS_STATE, false, &n);
    for (size_t i = 0; i < n; i++) {
        struct slice state = row_text(rows[i], WINDOWS_STATE), reason = row_text(rows[i], WINDOWS_REASON);
        struct buf text = {0};
        if (!window_in_trouble(state)) continue;
        buf_printf(&text, "validation window%s%.*s", reason.n ? ": " : "", SLICE_FMT(reason));
        add(s, rows[i], state, row_text(rows[i], WINDOWS_POD), &text);
        buf_free(&text);
    }
    mem_free(rows);
}

struct listened {
    size_t sources, starting;
    int64_t oldest;
    struct buf names; /* of those that start, a few */
};

static void listen_to(const struct world *w, struct listened *l) {
    size_t n;
    const struct row **rows = rows_sorted(w, T_SOURCES, -1, false, &n);
    for (size_t i = 0; i < n; i++) {
        const struct row *r = rows[i];
        struct fresh f = world_freshness(w, r);
        if (f.state == FRESH_OFF) continue;
        l->sources++;
        if (f.age_ms > l->oldest) l->oldest = f.age_ms;
        if (f.state != FRESH_STARTING) continue;
        if (++l->starting <= 3) buf_printf(&l->names, "%s%.*s", l->starting > 1 ? ", " : "", SLICE_FMT(row_key(r)));
    }
    mem_free(rows);
    if (l->starting > 3) buf_printf(&l->names, ", +%zu", l->starting - 3);
}

/* Nothing fails: said only as far as somebody has said so. */
static void well(struct ui *ui, struct board *b) {
    struct listened l = {0};
    struct buf text = {0};
    const char *state = "OK";
    size_t gates = rows_count(ui->world, T_GATES, GATES_ANSWER, SLICE_LIT("FAIL"));
    listen_to(ui->world, &l);
    if (ui->stale) {
        buf_adds(&text, "What fails now is not known: the engine is gone.");
    } else if (!l.sources) {
        state = "STARTING";
        buf_adds(&text, "Waiting for the engine to say what it listens to.");
    } else if (l.starting) {
        state = "STARTING";
        buf_printf(&text, "Waiting for the first answer of %zu of %zu sources: %s.", l.starting, l.sources,
                   buf_str(&l.names));
    } else if (gates) {
        state = "FAIL";
        buf_printf(&text, "%zu gate%s: see DONE WHEN. All sources answer.", gates, gates > 1 ? "s" : "");
    } else {
        char age[32];
        buf_printf(&text, "Nothing fails now, by the word of %zu sources; the oldest is %s old.", l.sources,
                   l.oldest < 1000 ? "0s" : clock_format_age(l.oldest, age, sizeof age));
    }
    board_line(b, &(struct board_line){.state = slice_of(state), .text = buf_slice(&text), .wrap = 2});
    buf_free(&text);
    buf_free(&l.names);
}

void overview_wrong(struct ui *ui, struct board *b, bool wide, bool lost) {
    struct wrong s = {.ui = ui, .b = b, .wide = wide};
    board_section(b, &(struct board_section){.side = BOARD_TOP, .min = 7});
    workloads(&s);
    windows(&s);
    raft(&s, true);
    sources(&s, false);
    raft(&s, false);
    alerts(&s);
    states(&s, T_PG_SERVERS, PG_SERVERS_STATE, -1, PG_SERVERS_ENDPOINT, -1, true);
    states(&s, T_PROBES, PROBES_STATE, PROBES_NAME, PROBES_ERROR, PROBES_SINCE, true);
    states(&s, T_NODES, NODES_STATE, NODES_NAME, NODES_REASON, -1, true);
    states(&s, T_SNAPSHOTS, SNAPSHOTS_STATE, SNAPSHOTS_NAME, SNAPSHOTS_KIND, -1, true);
    if (lost) lost_claims(&s);
    sources(&s, true);
    if (!s.n) well(ui, b);
}
