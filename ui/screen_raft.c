/* Raft: what is wrong with the cluster first, in words; then its nodes as they, the leader and Kubernetes see them;
 * then index, views, autopilot, copies, and what happened to it lately. Several clusters of a plan: Tab goes from one
 * to the next. */
#include <string.h>

#include "base/mem.h"
#include "ui/format.h"
#include "ui/plan_help.h"
#include "ui/rows.h"
#include "ui/screen.h"
#include "ui/spark.h"

#define LABEL_COLS 14
#define SPARK_COLS 24

struct raft {
    struct ui *ui;
    struct list *list;
    char *workload; /* the cluster that is shown; NULL: none yet */
};

/* ---- Nodes ------------------------------------------------------------------------------------------------------- */

/* The leader has no contact with itself. */
static void contact_text(const struct world *w, const struct row *r, struct buf *out) {
    struct cell contact = row_cell(r, RAFT_PEERS_CONTACT);
    (void)w;
    if (contact.type == CELL_INT) format_ms(out, contact.i);
    else if (slice_is(row_text(r, RAFT_PEERS_ROLE), "LEADER")) buf_adds(out, "–");
}

static enum style lag_style(const struct world *w, const struct row *r) {
    (void)w;
    return row_int(r, RAFT_PEERS_LAG, 0) > 0 ? STYLE_WARN : STYLE_NORMAL;
}

static const struct list_col columns[] = {
    {.title = "HEALTH", .col = RAFT_PEERS_HEALTH, .min = 13, .max = 15},
    {.title = "NODE", .col = RAFT_PEERS_NAME, .min = 8, .max = 24},
    {.title = "ROLE", .col = RAFT_PEERS_ROLE, .min = 9, .max = 12},
    {.title = "SEAL", .col = RAFT_PEERS_SEAL, .min = 10, .drop = 1},
    {.title = "LAG", .col = RAFT_PEERS_LAG, .min = 4, .max = 6, .right = true, .style = lag_style},
    {.title = "CONTACT", .col = RAFT_PEERS_CONTACT, .min = 7, .right = true, .drop = 4, .text = contact_text},
    {.title = "CLAIMS", .col = RAFT_PEERS_CLAIMS_STATE, .min = 9, .max = 11, .drop = 2},
    {.title = "CLASS", .col = RAFT_PEERS_CLAIMS, .min = 12, .max = 24, .drop = 5},
    {.title = "PROBE", .col = RAFT_PEERS_PROBE, .min = 6, .right = true, .drop = 6, .none = "none"},
    {.title = "AS LEADER", .col = RAFT_PEERS_AS_LEADER, .min = 12, .drop = 3},
    {.title = "ID", .col = RAFT_PEERS_ID_STABLE, .min = 10, .drop = 7},
    {.title = "POD", .col = RAFT_PEERS_POD, .min = 4, .max = 14, .drop = 8},
    {.title = "AGE", .col = RAFT_PEERS_POD_CREATED, .min = 6, .right = true, .drop = 9},
    {.title = "AUTOPILOT", .col = RAFT_PEERS_AUTOPILOT, .min = 11, .drop = 10},
};

static bool accepts(void *arg, const struct row *r) {
    const struct raft *s = arg;
    return s->workload && slice_is(row_text(r, RAFT_PEERS_WORKLOAD), s->workload);
}

static void empty(void *arg, const struct world *w, struct buf *out) {
    (void)arg;
    if (!section_why(w, "vault/", out))
        buf_adds(out, "No node has been found yet: the set has no pods, or none has answered.");
}

static const struct list_spec spec = {
    .table = T_RAFT_PEERS, .cols = columns, .ncols = ARRAY_LEN(columns), .sort = 0, .noun = "nodes", .accepts = accepts,
    .empty = empty,
};

/* ---- Facts below the nodes --------------------------------------------------------------------------------------- */

struct page {
    struct raft *s;
    const struct row *cluster;
    bool old;       /* the cluster's facts cannot be rested on: nothing of it looks healthy */
    struct rect r;  /* what is left of the screen */
};

static int left(const struct page *p, int y) {
    return p->r.y + p->r.rows - y;
}

/* A label, a state if there is one, and text that wraps. Frees the text; returns the row below. */
static int fact(const struct page *p, int y, const char *label, struct slice state, struct buf *text) {
    struct draw *d = p->s->ui->draw;
    int x = p->r.x + 2 + LABEL_COLS, end = p->r.x + p->r.cols - 1, rows = 1;
    if (left(p, y) > 0) {
        draw_str(d, y, p->r.x + 2, LABEL_COLS - 1, STYLE_DIM, label);
        if (state.n && p->old) x += draw_fmt(d, y, x, end - x, STYLE_DIM, "was %.*s", SLICE_FMT(state)) + 2;
        else if (state.n) x += draw_status(d, y, x, end - x, state) + 2;
        rows = section_text(p->s->ui, (struct rect){y, x, left(p, y), end - x}, p->old ? STYLE_DIM : STYLE_NORMAL,
                            buf_slice(text));
    }
    buf_free(text);
    return y + (rows > 1 ? rows : 1);
}

static int index_fact(const struct page *p, int y) {
    struct cell index = row_cell(p->cluster, RAFT_CLUSTERS_INDEX);
    int64_t moved = 0, ours = 0, changed = row_int(p->cluster, RAFT_CLUSTERS_INDEX_CHANGED, 0);
    struct buf text = {0};
    int samples = spark_add(&text, row_text(p->cluster, RAFT_CLUSTERS_INDEX_HISTORY), SPARK_COLS, &moved);
    if (samples) buf_adds(&text, "  ");
    struct cell last = row_cell(p->cluster, RAFT_CLUSTERS_LAST_INDEX);
    if (index.type == CELL_INT) format_int(&text, index.i);
    else buf_adds(&text, last.type == CELL_INT ? "not known, was " : "not known");
    if (index.type != CELL_INT && last.type == CELL_INT) format_int(&text, last.i);
    if (samples > 1) {
        buf_adds(&text, moved >= 0 ? " (+" : " (");
        format_int(&text, moved);
        buf_printf(&text, " over %d samples", samples);
        struct buf unseen = {0};
        if (spark_add(&unseen, row_text(p->cluster, RAFT_CLUSTERS_INDEX_OURS), SPARK_COLS, &ours) == samples && ours > 0)
            buf_printf(&text, ", %d of it our write probe", (int)ours);
        buf_free(&unseen);
        buf_addc(&text, ')');
    }
    if (changed) {
        buf_adds(&text, ", the same for "); /* as far as it was seen */
        format_age(&text, world_now(p->s->ui->world), changed);
    }
    return fact(p, y, "index", (struct slice){NULL, 0}, &text);
}

static int autopilot_fact(const struct page *p, int y) {
    struct cell healthy = row_cell(p->cluster, RAFT_CLUSTERS_HEALTHY);
    struct cell tolerance = row_cell(p->cluster, RAFT_CLUSTERS_TOLERANCE);
    struct slice cleanup = row_text(p->cluster, RAFT_CLUSTERS_CLEANUP), state = SLICE_LIT("UNKNOWN");
    struct buf text = {0};
    if (healthy.type == CELL_NULL && p->old) state = (struct slice){NULL, 0};
    if (healthy.type == CELL_INT) state = healthy.i ? SLICE_LIT("OK") : SLICE_LIT("UNHEALTHY");
    if (tolerance.type == CELL_INT) buf_printf(&text, "%d may be lost", (int)tolerance.i);
    else buf_adds(&text, "tolerance not known");
    buf_printf(&text, " · dead-server clean-up %.*s", SLICE_FMT(cleanup.n ? cleanup : SLICE_LIT("not known")));
    return fact(p, y, "autopilot", state, &text);
}

static int backup_fact(const struct page *p, int y, const struct row *job) {
    const struct world *w = p->s->ui->world;
    struct page own = *p;
    struct buf text = {0};
    int64_t ok = row_int(job, WORKLOADS_LAST_OK, 0);
    buf_printf(&text, "cron job %.*s, ", SLICE_FMT(row_text(job, WORKLOADS_NAME)));
    buf_adds(&text, ok ? "succeeded " : "has not succeeded yet");
    if (ok) {
        format_age(&text, world_now(w), ok);
        buf_adds(&text, " ago (not yet proof of a copy)");
    }
    own.old = p->s->ui->stale || !fresh_usable(world_freshness(w, job));
    return fact(&own, y, "backup", row_text(job, WORKLOADS_STATE), &text);
}

/* Cron jobs beside the cluster are its backups as far as Kubernetes can tell. */
static int backup_facts(const struct page *p, int y) {
    const struct world *w = p->s->ui->world;
    const struct row *planned = world_find(w, T_PLAN_WORKLOADS, row_key(p->cluster));
    size_t n = 0;
    const struct row **rows = planned ? rows_sorted(w, T_WORKLOADS, WORKLOADS_NAME, false, &n) : NULL;
    for (size_t i = 0; i < n; i++) {
        if (!slice_is(row_text(rows[i], WORKLOADS_KIND), "CronJob")) continue;
        if (slice_eq(row_text(rows[i], WORKLOADS_NAMESPACE), row_text(planned, PLAN_WORKLOADS_NAMESPACE)))
            y = backup_fact(p, y, rows[i]);
    }
    mem_free(rows);
    return y;
}

/* The newest nightly snapshot of a volume of this cluster. */
static int snapshot_fact(const struct page *p, int y) {
    const struct world *w = p->s->ui->world;
    const struct row *planned = world_find(w, T_PLAN_WORKLOADS, row_key(p->cluster)), *newest = NULL;
    struct buf text = {0}, ns = {0};
    if (planned) buf_printf(&ns, "%.*s/", SLICE_FMT(row_text(planned, PLAN_WORKLOADS_NAMESPACE)));
    for (const struct row *r = world_first(w, T_SNAPSHOTS); r && ns.len; r = world_next(w, r)) {
        if (!slice_is(row_text(r, SNAPSHOTS_KIND), "snapshot")) continue;
        if (!slice_starts(row_text(r, SNAPSHOTS_CLAIM), buf_str(&ns))) continue;
        if (!newest || row_int(r, SNAPSHOTS_CREATED, 0) > row_int(newest, SNAPSHOTS_CREATED, 0)) newest = r;
    }
    buf_free(&ns);
    if (newest) {
        buf_printf(&text, "of the volume of %.*s, ", SLICE_FMT(row_text(newest, SNAPSHOTS_CLAIM)));
        format_age(&text, world_now(w), row_int(newest, SNAPSHOTS_CREATED, 0));
        buf_adds(&text, " old; ");
    }
    struct slice copy = planned ? row_text(planned, PLAN_WORKLOADS_COPY) : (struct slice){NULL, 0};
    int64_t at = planned ? row_int(planned, PLAN_WORKLOADS_COPY_AT, 0) : 0;
    struct page own = *p;
    if (copy.n && at) {
        buf_adds(&text, "raft snapshot proved ");
        format_age(&text, world_now(w), at);
        buf_printf(&text, " ago: %.*s", SLICE_FMT(copy));
        own.old = p->s->ui->stale; /* ours: it rests on no answer of the cluster */
    } else {
        buf_adds(&text, "no raft snapshot has been taken and proved by ferryman");
    }
    return fact(&own, y, "snapshot", (struct slice){NULL, 0}, &text);
}

static int views_fact(const struct page *p, int y) {
    struct slice views = row_text(p->cluster, RAFT_CLUSTERS_VIEWS);
    struct buf text = {0};
    buf_add_slice(&text, views.n ? views : SLICE_LIT("not known: no node has said whom it follows"));
    return fact(p, y, "views", (struct slice){NULL, 0}, &text);
}

static int probe_fact(const struct page *p, int y) {
    struct slice state = row_text(p->cluster, RAFT_CLUSTERS_WRITE_PROBE);
    struct buf text = {0};
    struct page own = *p;
    if (slice_is(state, "NOT RUN")) {
        buf_adds(&text, "it writes, so it runs in phases and windows only");
        own.old = false; /* it is we who have not run it */
    }
    return fact(&own, y, "write probe", state.n ? state : SLICE_LIT("UNKNOWN"), &text);
}

/* ---- Lately ------------------------------------------------------------------------------------------------------ */

/* Events are about the cluster, a node, or a source of either: vault, vault-2, vault/vault-2. */
static bool concerns(const struct raft *s, struct slice object) {
    struct buf key = {0};
    buf_printf(&key, "%s/", s->workload);
    bool yes = slice_is(object, s->workload) || slice_starts(object, buf_str(&key));
    buf_add_slice(&key, object);
    yes = yes || world_find(s->ui->world, T_RAFT_PEERS, buf_slice(&key));
    buf_free(&key);
    return yes;
}

static void draw_lately(const struct page *p, int y) {
    const struct world *w = p->s->ui->world;
    struct draw *d = p->s->ui->draw;
    struct slice none = {NULL, 0};
    size_t n;
    if (left(p, y) < 3) return;
    const struct row **rows = rows_sorted(w, T_TIMELINE, TIMELINE_AT, true, &n);
    int end = p->r.x + p->r.cols, first = ++y;
    for (size_t i = 0; i < n && left(p, y) > 0; i++) {
        struct buf at = {0};
        struct slice object = row_text(rows[i], TIMELINE_OBJECT);
        if (!concerns(p->s, object)) continue;
        if (y == first) y += section_title(p->s->ui, y, p->r.x + 1, p->r.cols - 2, "LATELY", none, NULL);
        if (left(p, y) < 1) break;
        format_hms(&at, row_int(rows[i], TIMELINE_AT, 0));
        buf_addc(&at, 'Z');
        draw_text(d, y, p->r.x + 2, 9, STYLE_DIM, buf_slice(&at));
        draw_status(d, y, p->r.x + 13, 7, row_text(rows[i], TIMELINE_LEVEL));
        draw_text(d, y, p->r.x + 21, 16, STYLE_NORMAL, object);
        draw_text(d, y, p->r.x + 38, end - p->r.x - 39, STYLE_NORMAL, row_text(rows[i], TIMELINE_TEXT));
        buf_free(&at);
        y++;
    }
    mem_free(rows);
}

/* ---- The screen -------------------------------------------------------------------------------------------------- */

static int draw_verdict(const struct page *p, int y) {
    struct draw *d = p->s->ui->draw;
    struct slice verdict = row_text(p->cluster, RAFT_CLUSTERS_VERDICT);
    struct slice state = row_text(p->cluster, RAFT_CLUSTERS_STATE);
    if (!verdict.n) return y;
    int used = draw_status(d, y, p->r.x + 1, p->r.cols - 2, state) + 2;
    int rows = section_text(p->s->ui, (struct rect){y, p->r.x + 1 + used, 6, p->r.cols - used - 2}, STYLE_BAD, verdict);
    draw_hline(d, y + rows, p->r.x, p->r.cols);
    return y + rows + 1;
}

static int draw_title(const struct page *p, int y) {
    const struct row *r = p->cluster;
    struct slice leader = row_text(r, RAFT_CLUSTERS_LEADER), state = row_text(r, RAFT_CLUSTERS_STATE);
    struct cell voters = row_cell(r, RAFT_CLUSTERS_VOTERS);
    int64_t since = row_int(r, RAFT_CLUSTERS_LEADER_SINCE, 0);
    struct buf text = {0};
    struct slice product = row_text(r, RAFT_CLUSTERS_PRODUCT);
    buf_adds(&text, p->s->workload);
    if (product.n)
        buf_printf(&text, " · %.*s %.*s", SLICE_FMT(product), SLICE_FMT(row_text(r, RAFT_CLUSTERS_VERSION)));
    if (!p->old && state.n) buf_printf(&text, " · %.*s", SLICE_FMT(state));
    buf_adds(&text, " · ");
    if (leader.n) buf_printf(&text, "%s %.*s", p->old ? "last leader known" : "leader", SLICE_FMT(leader));
    else section_raft_last(p->s->ui->world, r, &text);
    if (leader.n && since) {
        buf_adds(&text, " since ");
        format_age(&text, world_now(p->s->ui->world), since);
    }
    if (leader.n && voters.type == CELL_INT) buf_printf(&text, " · %d voters", (int)voters.i);
    size_t clusters = world_count(p->s->ui->world, T_RAFT_CLUSTERS);
    if (clusters > 1) buf_printf(&text, " · Tab: another of %zu", clusters);
    y += section_title(p->s->ui, y, p->r.x + 1, p->r.cols - 2, "RAFT", buf_slice(&text), row_src(p->s->ui->world, r));
    buf_free(&text);
    return y;
}

static const struct row *chosen(struct raft *s) {
    const struct row *r = s->workload ? world_find(s->ui->world, T_RAFT_CLUSTERS, slice_of(s->workload)) : NULL;
    size_t n;
    if (r) return r;
    const struct row **rows = rows_sorted(s->ui->world, T_RAFT_CLUSTERS, RAFT_CLUSTERS_STATE, false, &n);
    r = n ? rows[0] : NULL; /* the one that is worst off */
    mem_free(rows);
    mem_free(s->workload);
    s->workload = r ? slice_dup(row_key(r)) : NULL;
    list_refresh(s->list);
    return r;
}

static void draw_nothing(struct raft *s, struct rect r) {
    const struct world *w = s->ui->world;
    struct buf text = {0};
    section_title(s->ui, r.y, r.x + 1, r.cols - 2, "RAFT", (struct slice){NULL, 0}, "vault/");
    struct rect page = {r.y + 2, r.x, r.rows - 2, r.cols};
    if (!rows_count(w, T_PLAN_WORKLOADS, PLAN_WORKLOADS_KIND, SLICE_LIT("raft-rolling")) && world_count(w, T_PLAN)) {
        plan_help_draw(s->ui, page, PLAN_HELP_RAFT);
        return;
    }
    empty(NULL, w, &text);
    section_text(s->ui, (struct rect){page.y, r.x + 2, page.rows, r.cols - 4}, STYLE_DIM, buf_slice(&text));
    buf_free(&text);
}

static void draw_raft(void *state, struct rect r) {
    struct raft *s = state;
    struct page p = {.s = s, .cluster = chosen(s), .r = r};
    if (!p.cluster) {
        draw_nothing(s, r);
        return;
    }
    p.old = s->ui->stale || !fresh_usable(world_freshness(s->ui->world, p.cluster));
    int y = draw_verdict(&p, r.y);
    y = draw_title(&p, y);
    int nodes = (int)list_shown(s->list), most = left(&p, y) - 7, rows = (nodes < 1 ? 2 : nodes) + 1;
    if (rows > most) rows = most > 3 ? most : 3;
    list_draw(s->list, (struct rect){y, r.x, rows, r.cols}, true);
    y += rows + (left(&p, y) - rows > 8 ? 1 : 0);
    y = index_fact(&p, y);
    y = probe_fact(&p, y);
    y = views_fact(&p, y);
    y = autopilot_fact(&p, y);
    y = backup_facts(&p, y);
    y = snapshot_fact(&p, y);
    draw_lately(&p, y);
}

static void *open_raft(struct ui *ui, const struct screen_arg *arg) {
    struct raft *s = MEM_NEW(struct raft);
    (void)arg;
    s->ui = ui;
    s->list = list_new(ui, &spec, s);
    return s;
}

static void close_raft(void *state) {
    struct raft *s = state;
    list_free(s->list);
    mem_free(s->workload);
    mem_free(s);
}

static struct list *list_raft(void *state) {
    struct raft *s = state;
    chosen(s); /* keys may come before the first frame */
    return s->list;
}

static bool next_cluster(struct raft *s, int step) {
    size_t n, at = 0;
    const struct row **rows = rows_sorted(s->ui->world, T_RAFT_CLUSTERS, -1, false, &n);
    for (size_t i = 0; i < n; i++)
        if (slice_is(row_key(rows[i]), s->workload)) at = i;
    if (n > 1) {
        mem_free(s->workload);
        s->workload = slice_dup(row_key(rows[(at + (step > 0 ? 1 : n - 1)) % n]));
        list_refresh(s->list);
    }
    mem_free(rows);
    return true;
}

static bool command_raft(void *state, enum command c) {
    if (c == COMMAND_NEXT_PANE) return next_cluster(state, 1);
    if (c == COMMAND_PREVIOUS_PANE) return next_cluster(state, -1);
    return false;
}

static const enum command hints[] = {COMMAND_LOG, COMMAND_NONE};

const struct screen_ops screen_raft = {
    .id = "raft", .title = "raft", .go = COMMAND_RAFT, .root = true, .open = open_raft, .close = close_raft,
    .draw = draw_raft,
    .list = list_raft, .command = command_raft, .hints = hints,
};
