/* The end of a pod's log, fetched when it is asked for. It can be opened from a pod and from what belongs to one: a
 * raft node, a claim, a workload, a job, a PostgreSQL server. */
#include <string.h>

#include "base/json_writer.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "ui/format.h"
#include "ui/screen.h"

#define WHOLE_MAX 5 /* rows in which the selected line is shown whole */

struct log {
    struct ui *ui;
    struct list *list;
    char *ns, *pod;   /* NULL: none could be found */
    bool for_row;     /* a row was selected, though no pod may belong to it */
    char *prefix;     /* "NAMESPACE/POD/", which the lines' owner begins with */
    int64_t asked_at;
    size_t seen;      /* lines when it was drawn last */
    bool away;        /* the operator has left the end */
};

static void number_text(const struct world *w, const struct row *r, struct buf *out) {
    struct slice key = row_key(r);
    (void)w;
    while (key.n > 1 && *key.p == '0') {
        key.p++;
        key.n--;
    }
    buf_add_slice(out, key);
}

static const struct list_col columns[] = {
    {.title = "#", .col = -1, .min = 5, .right = true, .text = number_text},
    {.title = "LINE", .col = LOGS_LINE, .min = 20, .flex = true, .none = ""},
};

static bool accepts(void *arg, const struct row *r) {
    const struct log *s = arg;
    return s->prefix && slice_starts(row_text(r, LOGS_POD), s->prefix);
}

static void empty(void *arg, const struct world *w, struct buf *out) {
    const struct log *s = arg;
    if (!s->pod && s->for_row) {
        buf_adds(out, "No pod is known that belongs to what was selected: it has none now, or pods cannot be listed "
                      "(see the sources).");
        return;
    }
    if (!s->pod) {
        buf_adds(out, "No pod is selected. Choose a claim, a raft node, a workload or a pod first, then ask for its "
                      "log.");
        return;
    }
    buf_printf(out, "Waiting for the log of %s/%s, asked for ", s->ns, s->pod);
    format_age(out, w ? world_now(w) : 0, s->asked_at);
    buf_adds(out, " ago. The engine fetches its last 200 lines; that may take as long as the API server takes.");
}

static const struct list_spec spec = {
    .table = T_LOGS, .cols = columns, .ncols = ARRAY_LEN(columns), .noun = "lines", .accepts = accepts, .empty = empty,
};

/* ---- Which pod --------------------------------------------------------------------------------------------------- */

/* Whether `word` stands in a list separated by commas and blanks. */
static bool list_has(struct slice list, struct slice word) {
    struct slice item;
    while (slice_cut(&list, ',', &item))
        if (word.n && slice_eq(slice_trim(item), word)) return true;
    return false;
}

/* Of the pods that fit the one that was changed last: an old one of the same name may still be going. */
static const struct row *pod_where(const struct world *w, struct slice ns, int col, struct slice value, bool in_list) {
    const struct row *found = NULL;
    for (const struct row *r = world_first(w, T_PODS); r; r = world_next(w, r)) {
        struct slice cell = row_text(r, col);
        if (ns.n && !slice_eq(row_text(r, PODS_NAMESPACE), ns)) continue;
        if (!(in_list ? list_has(cell, value) : slice_eq(cell, value))) continue;
        if (!found || row_seq(r) > row_seq(found)) found = r;
    }
    return found;
}

static const struct row *pod_of_owner(const struct world *w, struct slice ns, const char *kind, struct slice name) {
    struct buf owner = {0};
    if (kind) buf_printf(&owner, "%s/", kind);
    buf_add_slice(&owner, name);
    const struct row *pod = pod_where(w, ns, PODS_OWNER, buf_slice(&owner), false);
    buf_free(&owner);
    return pod;
}

/* The row of the plan that a raft node or a server belongs to. */
static const struct row *planned(const struct world *w, struct slice workload) {
    return world_find(w, T_PLAN_WORKLOADS, workload);
}

static const struct row *pod_of(const struct world *w, const struct row *r) {
    const struct row *plan;
    char *kind;
    const struct row *pod;
    switch ((int)row_table(r)) {
    case T_PODS: return r;
    case T_CLAIMS: return pod_where(w, row_text(r, CLAIMS_NAMESPACE), PODS_CLAIMS, row_text(r, CLAIMS_NAME), true);
    case T_JOBS: return pod_of_owner(w, row_text(r, JOBS_NAMESPACE), "Job", row_text(r, JOBS_NAME));
    case T_WORKLOADS:
        kind = slice_dup(row_text(r, WORKLOADS_KIND));
        pod = pod_of_owner(w, row_text(r, WORKLOADS_NAMESPACE), kind, row_text(r, WORKLOADS_NAME));
        mem_free(kind);
        return pod;
    case T_PLAN_WORKLOADS:
        return pod_of_owner(w, row_text(r, PLAN_WORKLOADS_NAMESPACE), NULL, row_text(r, PLAN_WORKLOADS_OBJECT));
    case T_RAFT_PEERS:
        plan = planned(w, row_text(r, RAFT_PEERS_WORKLOAD));
        return pod_where(w, plan ? row_text(plan, PLAN_WORKLOADS_NAMESPACE) : (struct slice){NULL, 0}, PODS_NAME,
                         row_text(r, RAFT_PEERS_NAME), false);
    case T_RAFT_CLUSTERS:
    case T_PG_SERVERS:
        plan = planned(w, row_key(r));
        return plan ? pod_of(w, plan) : NULL;
    default: return NULL;
    }
}

/* ---- The screen -------------------------------------------------------------------------------------------------- */

static void ask(struct log *s) {
    struct buf line = {0};
    struct json_writer w;
    if (!s->pod) return;
    jw_init(&w, &line);
    jw_object(&w);
    jw_key(&w, "t");
    jw_str(&w, "intent");
    jw_key(&w, "verb");
    jw_str(&w, "log");
    jw_key(&w, "ns");
    jw_str(&w, s->ns);
    jw_key(&w, "pod");
    jw_str(&w, s->pod);
    jw_end_object(&w);
    ui_send(s->ui, buf_str(&line));
    buf_free(&line);
    s->asked_at = world_now(s->ui->world);
    s->away = false;
    s->seen = 0;
}

static void *open_log(struct ui *ui, const struct screen_arg *arg) {
    struct log *s = MEM_NEW(struct log);
    const struct row *r = arg->table != T_COUNT ? world_find(ui->world, arg->table, arg->key) : NULL;
    const struct row *pod = r ? pod_of(ui->world, r) : NULL;
    s->ui = ui;
    s->for_row = r != NULL;
    if (pod) {
        s->ns = slice_dup(row_text(pod, PODS_NAMESPACE));
        s->pod = slice_dup(row_text(pod, PODS_NAME));
        s->prefix = str_printf("%s/%s/", s->ns, s->pod);
    }
    s->list = list_new(ui, &spec, s);
    ask(s);
    return s;
}

static void close_log(void *state) {
    struct log *s = state;
    list_free(s->list);
    mem_free(s->ns);
    mem_free(s->pod);
    mem_free(s->prefix);
    mem_free(s);
}

static void draw_title(struct log *s, struct rect r) {
    struct buf detail = {0};
    const struct row *first = list_row(s->list, 0);
    if (*list_filter_text(s->list)) {
        list_summary(s->list, &detail);
        buf_adds(&detail, " · ");
    }
    if (s->pod) {
        buf_adds(&detail, "as of ");
        format_hms(&detail, s->asked_at);
        buf_adds(&detail, "Z · ");
    }
    if (s->pod && first) buf_add_slice(&detail, row_text(first, LOGS_POD));
    else if (s->pod) buf_printf(&detail, "%s/%s", s->ns, s->pod);
    section_title(s->ui, r.y, r.x + 1, r.cols - 2, "LOG", buf_slice(&detail), NULL);
    buf_free(&detail);
}

/* The selected line whole, when it does not fit into its row. Returns the rows used. */
static int draw_whole(struct log *s, struct rect r) {
    const struct row *selected = list_selected(s->list);
    struct slice line = selected ? row_text(selected, LOGS_LINE) : (struct slice){NULL, 0};
    int cols = r.cols - 4;
    if (!line.n || (int)utf8_columns(line) <= r.cols - 10) return 0;
    int rows = section_text(s->ui, (struct rect){-10000, 0, WHOLE_MAX, cols}, STYLE_NORMAL, line);
    int y = r.y + r.rows - rows;
    draw_hline(s->ui->draw, y - 1, r.x, r.cols);
    section_text(s->ui, (struct rect){y, r.x + 2, rows, cols}, STYLE_NORMAL, line);
    return rows + 1;
}

static void draw_log(void *state, struct rect r) {
    struct log *s = state;
    size_t lines = list_shown(s->list);
    if (!s->away && lines != s->seen) list_end(s->list);
    s->seen = lines;
    draw_title(s, r);
    int whole = draw_whole(s, r);
    list_draw(s->list, (struct rect){r.y + 1, r.x, r.rows - 1 - whole, r.cols}, true);
}

static struct list *list_log(void *state) {
    struct log *s = state;
    return s->list;
}

static bool command_log(void *state, enum command c) {
    struct log *s = state;
    if (c == COMMAND_LOG) {
        ask(s);
        return true;
    }
    if (c == COMMAND_UP || c == COMMAND_PAGE_UP || c == COMMAND_TOP) s->away = true;
    if (c == COMMAND_BOTTOM) s->away = false;
    return false;
}

static const enum command hints[] = {COMMAND_LOG, COMMAND_NONE};

const struct screen_ops screen_log = {
    .id = "log", .title = "log", .go = COMMAND_LOG, .open = open_log, .close = close_log, .draw = draw_log,
    .list = list_log,
    .command = command_log, .hints = hints,
};
