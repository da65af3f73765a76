/* Everything about one row: its fields by the schema, where they come from, and the rows that belong to it (its
 * volume, class, pods, events, …), each of which Enter opens in turn. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "ui/format.h"
#include "ui/pager.h"
#include "ui/screen.h"

#define RELATED_MAX 200 /* rows of one kind: more are counted only */

struct state {
    struct ui *ui;
    struct pager *pager;
    enum world_table table;
    char *key;
    char *name; /* as it was last seen, for when the row has gone */
};

/* Which rows of another table belong to this one. */
struct relation {
    enum world_table from, to;
    enum { BY_NAME, BY_UID, HAS_WORD, BY_OWNER, BELOW } how; /* BELOW: its key begins with this one's and a slash */
    int from_col;    /* BY_NAME, HAS_WORD: the word; -1: namespace and name of the row itself */
    int to_col;      /* HAS_WORD, BY_UID: where it is looked for */
    const char *title;
};

static const struct relation relations[] = {
    {T_CLAIMS, T_VOLUMES, BY_NAME, CLAIMS_VOLUME, -1, "volume"},
    {T_CLAIMS, T_STORAGE_CLASSES, BY_NAME, CLAIMS_CLASS, -1, "storage class"},
    {T_CLAIMS, T_PODS, HAS_WORD, CLAIMS_NAME, PODS_CLAIMS, "pods that mount it"},
    {T_CLAIMS, T_WORKLOADS, HAS_WORD, CLAIMS_NAME, WORKLOADS_CLAIMS, "workloads that name it"},
    {T_CLAIMS, T_JOBS, HAS_WORD, CLAIMS_NAME, JOBS_CLAIMS, "jobs that mount it"},
    {T_CLAIMS, T_EVENTS, BY_UID, -1, EVENTS_OBJECT_UID, "events"},
    {T_VOLUMES, T_CLAIMS, HAS_WORD, VOLUMES_NAME, CLAIMS_VOLUME, "claim"},
    {T_VOLUMES, T_STORAGE_CLASSES, BY_NAME, VOLUMES_CLASS, -1, "storage class"},
    {T_VOLUMES, T_ATTACHMENTS, HAS_WORD, VOLUMES_NAME, ATTACHMENTS_VOLUME, "attachments"},
    {T_VOLUMES, T_EVENTS, BY_UID, -1, EVENTS_OBJECT_UID, "events"},
    {T_STORAGE_CLASSES, T_CLAIMS, HAS_WORD, STORAGE_CLASSES_NAME, CLAIMS_CLASS, "claims"},
    {T_PODS, T_EVENTS, BY_UID, -1, EVENTS_OBJECT_UID, "events"},
    {T_PODS, T_NODES, BY_NAME, PODS_NODE, -1, "node"},
    {T_PODS, T_RAFT_PEERS, HAS_WORD, PODS_NAME, RAFT_PEERS_NAME, "raft node"},
    {T_WORKLOADS, T_EVENTS, BY_UID, -1, EVENTS_OBJECT_UID, "events"},
    {T_WORKLOADS, T_PODS, BY_OWNER, WORKLOADS_NAME, PODS_OWNER, "pods"},
    {T_JOBS, T_EVENTS, BY_UID, -1, EVENTS_OBJECT_UID, "events"},
    {T_NODES, T_ATTACHMENTS, HAS_WORD, NODES_NAME, ATTACHMENTS_NODE, "attachments"},
    {T_NODES, T_PODS, HAS_WORD, NODES_NAME, PODS_NODE, "pods"},
    {T_ATTACHMENTS, T_VOLUMES, BY_NAME, ATTACHMENTS_VOLUME, -1, "volume"},
    {T_RAFT_PEERS, T_PODS, HAS_WORD, RAFT_PEERS_NAME, PODS_NAME, "pod"},
    {T_RAFT_PEERS, T_RAFT_CLUSTERS, HAS_WORD, RAFT_PEERS_WORKLOAD, -1, "cluster"},
    {T_EXTENSIONS, T_DATABASES, HAS_WORD, EXTENSIONS_DATABASE, DATABASES_NAME, "database"},
    {T_PLAN_WORKLOADS, T_PHASES, BELOW, -1, -1, "phases"},
    {T_PLAN_WORKLOADS, T_CRITERIA, BELOW, -1, -1, "verified"},
    {T_PLAN_WORKLOADS, T_LOCKS, HAS_WORD, PLAN_WORKLOADS_NAME, -1, "lock"},
    {T_PHASES, T_STEPS, BELOW, -1, -1, "steps"},
    {T_PHASES, T_PLAN_WORKLOADS, BY_NAME, PHASES_WORKLOAD, -1, "workload"},
    {T_STEPS, T_RESULTS, BELOW, -1, -1, "found and done"},
    {T_STEPS, T_PHASES, BY_NAME, STEPS_PHASE, -1, "phase"},
    {T_DATABASES, T_EXTENSIONS, HAS_WORD, DATABASES_NAME, EXTENSIONS_DATABASE, "extensions"},
};

static struct slice row_name(const struct row *r) {
    const struct world_table_info *info = world_table_info(row_table(r));
    struct slice name = info->name_col >= 0 ? row_text(r, info->name_col) : (struct slice){NULL, 0};
    return name.n ? name : row_key(r);
}

static struct slice row_namespace(const struct row *r) {
    const struct world_table_info *info = world_table_info(row_table(r));
    return info->namespace_col >= 0 ? row_text(r, info->namespace_col) : (struct slice){NULL, 0};
}

/* The row's first state, by which it is marked in a list of related rows. */
static struct slice row_state(const struct row *r) {
    const struct world_table_info *info = world_table_info(row_table(r));
    for (size_t i = 0; i < info->ncols; i++)
        if (info->cols[i].type == COL_STATE)
            return row_cell(r, (int)i).type == CELL_TEXT ? row_text(r, (int)i) : SLICE_LIT("UNKNOWN");
    return (struct slice){NULL, 0};
}

/* Whether the comma or blank separated list holds the word. */
static bool has_word(struct slice list, struct slice word) {
    size_t start = 0;
    if (!word.n) return false;
    for (size_t i = 0; i <= list.n; i++) {
        if (i < list.n && list.p[i] != ',' && list.p[i] != ' ') continue;
        if (slice_eq((struct slice){list.p + start, i - start}, word)) return true;
        start = i + 1;
    }
    return false;
}

static bool owner_is(struct slice owner, struct slice name) {
    return owner.n > name.n && owner.p[owner.n - name.n - 1] == '/'
        && memcmp(owner.p + owner.n - name.n, name.p, name.n) == 0;
}

static bool related(const struct relation *rel, const struct row *from, const struct row *to) {
    struct slice ns = row_namespace(from), other = row_namespace(to);
    if (ns.n && other.n && !slice_eq(ns, other) && rel->to != T_NODES) return false;
    struct slice word = rel->from_col >= 0 ? row_text(from, rel->from_col) : row_key(from);
    struct slice there = rel->to_col >= 0 ? row_text(to, rel->to_col) : row_key(to);
    switch (rel->how) {
    case BY_NAME: return slice_eq(row_name(to), word);
    case BY_UID: return slice_eq(there, row_key(from));
    case HAS_WORD: return has_word(there, word);
    case BELOW: return row_key(to).n > row_key(from).n && row_key(to).p[row_key(from).n] == '/'
        && memcmp(row_key(to).p, row_key(from).p, row_key(from).n) == 0;
    case BY_OWNER: return owner_is(there, word);
    }
    return false;
}

static void describe_event(const struct world *w, const struct row *r, struct buf *out) {
    format_age(out, world_now(w), row_int(r, EVENTS_LAST, world_now(w)));
    buf_printf(out, " ago  %.*s: %.*s", SLICE_FMT(row_text(r, EVENTS_REASON)), SLICE_FMT(row_text(r, EVENTS_MESSAGE)));
    if (row_int(r, EVENTS_COUNT, 1) > 1) buf_printf(out, " (%lld times)", (long long)row_int(r, EVENTS_COUNT, 1));
}

/* What tables without a state have instead. */
static void describe_more(const struct row *r, struct buf *out) {
    static const struct {
        enum world_table table;
        int cols[3];
    } more[] = {
        {T_VOLUMES, {VOLUMES_PHASE, VOLUMES_RECLAIM, VOLUMES_DRIVER}},
        {T_STORAGE_CLASSES, {STORAGE_CLASSES_ROLE, STORAGE_CLASSES_BACKEND, STORAGE_CLASSES_PROVISIONER}},
        {T_RESULTS, {RESULTS_WHAT, RESULTS_TEXT, RESULTS_TEXT}},
        {T_STEPS, {STEPS_TITLE, STEPS_DETAIL, STEPS_DETAIL}},
        {T_CRITERIA, {CRITERIA_TEXT, CRITERIA_TEXT, CRITERIA_TEXT}},
        {T_PHASES, {PHASES_TITLE, PHASES_REASON, PHASES_REASON}},
        {T_DATABASES, {DATABASES_OWNER, DATABASES_ENCODING, DATABASES_COLLATION}},
    };
    for (size_t i = 0; i < ARRAY_LEN(more); i++)
        for (size_t k = 0; more[i].table == row_table(r) && k < 3; k++) {
            struct slice text = row_text(r, more[i].cols[k]);
            if (k && more[i].cols[k] == more[i].cols[k - 1]) continue;
            if (text.n) buf_printf(out, " · %.*s", SLICE_FMT(text));
        }
}

static void describe(const struct world *w, const struct row *r, struct buf *out) {
    struct slice ns = row_namespace(r);
    if (row_table(r) == T_EVENTS) {
        describe_event(w, r, out);
        return;
    }
    if (ns.n) buf_printf(out, "%.*s/", SLICE_FMT(ns));
    buf_add_slice(out, row_name(r));
    describe_more(r, out);
}

/* Events newest first, everything else by name: the world's own order may change with any row. */
static int compare_rows(const void *a, const void *b) {
    const struct row *x = *(const struct row *const *)a, *y = *(const struct row *const *)b;
    if (row_table(x) == T_EVENTS) {
        int64_t p = row_int(x, EVENTS_LAST, 0), q = row_int(y, EVENTS_LAST, 0);
        if (p != q) return p < q ? 1 : -1;
    }
    if (row_table(x) == T_PHASES || row_table(x) == T_STEPS) { /* in their order */
        int col = row_table(x) == T_PHASES ? PHASES_RANK : STEPS_RANK;
        int64_t p = row_int(x, col, 0), q = row_int(y, col, 0);
        if (p != q) return p < q ? -1 : 1;
    }
    int d = slice_cmp(row_name(x), row_name(y));
    return d ? d : slice_cmp(row_key(x), row_key(y));
}

static void add_relation(struct state *s, const struct relation *rel, const struct row *from) {
    const struct world *w = s->ui->world;
    const struct row **rows = NULL;
    size_t found = 0, cap = 0;
    for (const struct row *to = world_first(w, rel->to); to; to = world_next(w, to)) {
        if (!related(rel, from, to)) continue;
        if (found == cap) {
            cap = cap ? cap * 2 : 16;
            rows = mem_reallocarray(rows, cap, sizeof *rows);
        }
        rows[found++] = to;
    }
    if (found) pager_heading(s->pager, rel->title);
    if (found) qsort(rows, found, sizeof *rows, compare_rows);
    for (size_t i = 0; i < found && i < RELATED_MAX; i++) {
        struct buf text = {0};
        const struct row *to = rows[i];
        describe(w, to, &text);
        pager_link(s->pager, row_state(to), buf_slice(&text), rel->to, row_key(to));
        buf_free(&text);
    }
    mem_free(rows);
    if (found > RELATED_MAX) {
        char more[64];
        snprintf(more, sizeof more, "and %zu more", found - RELATED_MAX);
        pager_add(s->pager, NULL, STYLE_DIM, slice_of(more));
    }
}

/* Where the schema says what null means, absence is a fact. */
static bool absence_is_known(const struct world_col *col) {
    return strstr(col->doc, "null") || str_eq(col->name, "deleting") || str_eq(col->name, "error")
        || str_eq(col->name, "reason");
}

/* Times as time and age, sizes with their unit, states with their colour; null as "?", or as "–" where it is a fact. */
static void add_field(struct state *s, const struct world_col *col, struct cell c) {
    struct buf text = {0}, label = {0};
    int64_t now = world_now(s->ui->world);
    enum style style = STYLE_NORMAL;
    for (const char *p = col->name; *p; p++) buf_addc(&label, *p == '_' ? ' ' : *p);
    if (c.type == CELL_INT && col->type == COL_TIME) {
        char age[32];
        format_utc(&text, c.i);
        clock_format_age(now - c.i, age, sizeof age);
        buf_printf(&text, " (%s%s)", age, c.i <= now && strcmp(age, "now") != 0 ? " ago" : "");
    } else if (!format_cell(&text, col->type, c, now)) {
        buf_adds(&text, absence_is_known(col) ? "–" : "?");
        style = STYLE_DIM;
    } else if (col->type == COL_STATE) {
        style = theme_level_style(status_level(c.s));
    }
    pager_add(s->pager, buf_str(&label), style, buf_slice(&text));
    buf_free(&label);
    buf_free(&text);
}

static void add_origin(struct state *s, const struct row *r) {
    const struct world *w = s->ui->world;
    struct buf text = {0};
    struct fresh f = world_freshness(w, r);
    const char *src = row_src(w, r);
    char age[32];
    if (!*src) buf_adds(&text, "ferryman itself");
    else buf_printf(&text, "%s, %s", src, freshness_name(f.state));
    if (*src && f.age_ms >= 0) buf_printf(&text, ", heard of %s ago", clock_format_age(f.age_ms, age, sizeof age));
    if (row_changed(r) > 0) {
        buf_adds(&text, "; last change ");
        format_utc(&text, row_changed(r));
    }
    pager_add(s->pager, "known from", fresh_usable(f) ? STYLE_NORMAL : STYLE_STALE, buf_slice(&text));
    pager_add(s->pager, "key", STYLE_DIM, row_key(r));
    buf_free(&text);
}

static const struct row *fill(struct state *s) {
    const struct row *r = world_find(s->ui->world, s->table, slice_of(s->key));
    const struct world_table_info *info = world_table_info(s->table);
    struct cell cells[WORLD_COLS_MAX];
    pager_clear(s->pager);
    if (!r) {
        pager_add(s->pager, NULL, STYLE_WARN,
                  SLICE_LIT("This row has gone from the cluster. "
                            "What has taken its name, if anything, is another one."));
        return NULL;
    }
    row_cells(r, cells);
    for (size_t i = 0; i < info->ncols; i++) add_field(s, &info->cols[i], cells[i]);
    add_origin(s, r);
    for (size_t i = 0; i < ARRAY_LEN(relations); i++)
        if (relations[i].from == s->table) add_relation(s, &relations[i], r);
    return r;
}

static void *open_screen(struct ui *ui, const struct screen_arg *arg) {
    struct state *s = MEM_NEW(struct state);
    s->ui = ui;
    s->table = arg->table;
    s->key = arg->key.p ? slice_dup(arg->key) : mem_strdup("");
    s->name = mem_strdup(s->key);
    s->pager = pager_new(ui);
    pager_labels(s->pager, 16);
    fill(s); /* keys may come before the first frame */
    return s;
}

static void close_screen(void *state) {
    struct state *s = state;
    pager_free(s->pager);
    mem_free(s->key);
    mem_free(s->name);
    mem_free(s);
}

static void set_name(struct state *s, const struct row *row) {
    struct buf name = {0};
    struct slice ns = row_namespace(row);
    if (ns.n) buf_printf(&name, "%.*s/", SLICE_FMT(ns));
    buf_add_slice(&name, row_name(row));
    str_set(&s->name, buf_str(&name));
    buf_free(&name);
}

/* The table, the name, and at the right the state, or how old it is. */
static void draw_header(struct state *s, const struct row *row, struct rect r) {
    struct draw *d = s->ui->draw;
    char title[32];
    int cols = r.cols - 2;
    str_copy(title, sizeof title, world_table_info(s->table)->name);
    for (char *p = title; *p; p++) *p = *p == '_' ? ' ' : *p >= 'a' && *p <= 'z' ? (char)(*p - 32) : *p;
    int x = r.x + 1 + draw_str(d, r.y, r.x + 1, cols, STYLE_TITLE, title) + 2;
    x += draw_str(d, r.y, x, r.x + cols - x, STYLE_BOLD, s->name) + 3;
    if (!row || x + 14 > r.x + cols) return;
    struct fresh f = ui_fresh(s->ui, world_freshness(s->ui->world, row));
    if (!fresh_usable(f) || s->table == T_SOURCES) draw_fresh(d, r.y, x, r.x + cols - x, f);
    else if (row_state(row).p) draw_status(d, r.y, x, r.x + cols - x, row_state(row));
}

static void draw_screen(void *state, struct rect r) {
    struct state *s = state;
    const struct row *row = fill(s);
    if (row) set_name(s, row);
    draw_header(s, row, r);
    pager_draw(s->pager, (struct rect){r.y + 2, r.x + 1, r.rows - 2, r.cols - 2});
}

static bool run(void *state, enum command c) {
    return pager_command(((struct state *)state)->pager, c);
}

static bool copy(void *state, struct buf *out) {
    return pager_copy(((struct state *)state)->pager, out);
}

const struct screen_ops screen_detail = {
    .id = "detail", .title = "detail", .go = COMMAND_NONE, .open = open_screen, .close = close_screen,
        .draw = draw_screen, .command = run,
    .copy = copy,
};
