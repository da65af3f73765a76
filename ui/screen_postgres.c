/* PostgreSQL: a line or two for each server, then its lists. What has room is shown at once (extensions first, then
 * databases); the others share the rest of the screen behind a bar of tabs. Tab goes through all of them. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "ui/format.h"
#include "ui/plan_help.h"
#include "ui/postgres_lists.h"
#include "ui/rows.h"
#include "ui/screen.h"
#include "world/status.h"

#define FIXED_ONE 20 /* rows below the servers from which extensions have a place of their own */
#define FIXED_TWO 28 /* and databases */
#define TABS_ROWS 8  /* that lists before the tabs leave to them, */
#define LIST_ROWS 6  /* and to each other */

struct postgres {
    struct ui *ui;
    struct list *lists[PG_LISTS];
    int focus;  /* enum postgres_list */
    int tab;    /* the one that is shown behind the tabs */
    int fixed;  /* lists with a place of their own, as drawn last */
};

/* ---- Servers ----------------------------------------------------------------------------------------------------- */

static void add_part(struct buf *out, const char *before, struct slice text, const char *after) {
    if (text.n) buf_printf(out, "%s%.*s%s", before, SLICE_FMT(text), after);
}

static void add_number(struct buf *out, struct cell c) {
    if (c.type == CELL_INT) format_int(out, c.i);
    else buf_addc(out, '?');
}

static void add_age(const struct world *w, struct buf *out, const char *before, struct cell at, const char *after) {
    if (at.type != CELL_INT) return;
    buf_adds(out, before);
    format_age(out, world_now(w), at.i);
    buf_adds(out, after);
}

static void server_text(const struct world *w, const struct row *r, struct buf *out) {
    struct slice version = row_text(r, PG_SERVERS_VERSION);
    struct cell size = row_cell(r, PG_SERVERS_SIZE);
    buf_printf(out, "PostgreSQL %.*s", SLICE_FMT(version.n ? version : SLICE_LIT("?")));
    add_part(out, " at ", row_text(r, PG_SERVERS_ENDPOINT), "");
    add_part(out, " as ", row_text(r, PG_SERVERS_USER), "");
    add_age(w, out, " · up ", row_cell(r, PG_SERVERS_STARTED), "");
    buf_adds(out, " · ");
    add_number(out, row_cell(r, PG_SERVERS_CONNECTIONS));
    buf_adds(out, " of ");
    add_number(out, row_cell(r, PG_SERVERS_MAX_CONNECTIONS));
    buf_adds(out, " connections");
    add_age(w, out, " · oldest transaction ", row_cell(r, PG_SERVERS_OLDEST_XACT), "");
    if (size.type == CELL_INT) {
        buf_adds(out, " · ");
        format_bytes(out, size.i);
    }
    struct slice preload = row_text(r, PG_SERVERS_PRELOAD);
    buf_printf(out, " · preload %.*s", SLICE_FMT(preload.n ? preload : preload.p ? SLICE_LIT("none") : SLICE_LIT("?")));
    add_part(out, " · checksums ", row_text(r, PG_SERVERS_CHECKSUMS), "");
    add_part(out, " · system identifier ", row_text(r, PG_SERVERS_IDENTIFIER), "");
    add_part(out, " · ", row_text(r, PG_SERVERS_DATA_DIR), "");
}

/* Returns the row below. */
static int draw_server(struct postgres *s, const struct row *r, struct rect area) {
    struct world *w = s->ui->world;
    struct fresh f = world_freshness(w, r);
    if (s->ui->stale && fresh_usable(f)) f.state = FRESH_STALE;
    bool well = fresh_usable(f);
    struct buf text = {0};
    int y = area.y, x = area.x + 2;
    y += section_title(s->ui, y, area.x + 1, area.cols - 2, "POSTGRES", row_key(r), row_src(w, r));
    const struct row *source = world_find(w, T_SOURCES, slice_of(row_src(w, r)));
    if (!well && source && row_text(source, SOURCES_ERROR).n)
        buf_printf(&text, "%.*s\nlast known: ", SLICE_FMT(row_text(source, SOURCES_ERROR)));
    server_text(w, r, &text);
    int used = 2;
    if (well) used += draw_status(s->ui->draw, y, x, 14, row_text(r, PG_SERVERS_STATE));
    else used += draw_fresh(s->ui->draw, y, x, 14, f);
    y += section_text(s->ui, (struct rect){y, x + used, 4, area.cols - used - 3}, well ? STYLE_NORMAL : STYLE_DIM,
                      buf_slice(&text));
    buf_free(&text);
    return y;
}

static int draw_servers(struct postgres *s, struct rect r) {
    size_t n;
    const struct row **rows = rows_sorted(s->ui->world, T_PG_SERVERS, PG_SERVERS_STATE, false, &n);
    int y = r.y;
    for (size_t i = 0; i < n && y < r.y + r.rows / 2; i++)
        y = draw_server(s, rows[i], (struct rect){y, r.x, r.rows, r.cols});
    mem_free(rows);
    return y;
}

/* ---- Lists ------------------------------------------------------------------------------------------------------- */

static enum level worst_of(const struct world *w, const struct list_spec *spec) {
    const struct list_col *c = &spec->cols[0];
    enum level worst = LEVEL_OK;
    bool state = c->col >= 0 && !c->text && world_table_info(spec->table)->cols[c->col].type == COL_STATE;
    for (const struct row *r = state ? world_first(w, spec->table) : NULL; r; r = world_next(w, r)) {
        enum level l = fresh_usable(world_freshness(w, r)) ? status_level(row_text(r, c->col)) : LEVEL_STALE;
        if (level_rank(l) < level_rank(worst)) worst = l;
    }
    return worst;
}

/* "EXTENSIONS 10" with the mark of its worst row. Returns the columns used. */
static int draw_name(struct postgres *s, int i, int y, int x, int cols, bool shown) {
    struct draw *d = s->ui->draw;
    enum level worst = worst_of(s->ui->world, &postgres_lists[i].spec);
    size_t n = list_total(s->lists[i]);
    enum style style = s->focus == i ? STYLE_TITLE : STYLE_DIM;
    const char *open = shown ? "[" : "", *close = shown ? "]" : "";
    char count[24] = "?"; /* nothing is not none when nobody answers */
    if (n || fresh_usable(ui_fresh(s->ui, section_fresh(s->ui->world, "postgres/")))) snprintf(count, sizeof count, "%zu", n);
    int used = draw_fmt(d, y, x, cols, style, "%s%s %s%s", open, postgres_lists[i].title, count, close);
    if (worst != LEVEL_BAD && worst != LEVEL_WARN && worst != LEVEL_STALE) return used;
    return used + draw_glyph(d, y, x + used, theme_level_style(worst), theme_level_glyph(worst));
}

static void draw_summary(struct postgres *s, int i, int y, int x, int cols) {
    struct buf text = {0};
    list_summary(s->lists[i], &text);
    if (*list_filter_text(s->lists[i]) && (int)utf8_columns(buf_slice(&text)) < cols)
        draw_right(s->ui->draw, y, x, cols, STYLE_DIM, buf_slice(&text));
    buf_free(&text);
}

static int draw_fixed(struct postgres *s, int i, struct rect r) {
    int need = (int)list_shown(s->lists[i]) + 2, rows = need < r.rows ? need : r.rows;
    if (rows < 3) rows = 3;
    int used = draw_name(s, i, r.y, r.x + 1, r.cols - 2, false);
    draw_summary(s, i, r.y, r.x + used + 3, r.cols - used - 4);
    list_draw(s->lists[i], (struct rect){r.y + 1, r.x, rows - 1, r.cols}, s->focus == i);
    return r.y + rows;
}

static void draw_tabs(struct postgres *s, struct rect r) {
    int x = r.x + 1;
    for (int i = s->fixed; i < PG_LISTS; i++) x += draw_name(s, i, r.y, x, r.x + r.cols - x, i == s->tab) + 2;
    draw_summary(s, s->tab, r.y, x, r.x + r.cols - x - 1);
    list_draw(s->lists[s->tab], (struct rect){r.y + 1, r.x, r.rows - 1, r.cols}, s->focus == s->tab);
}

static void draw_nothing(struct postgres *s, struct rect r) {
    const struct world *w = s->ui->world;
    struct buf text = {0};
    struct rect page = {r.y + 2, r.x, r.rows - 2, r.cols};
    section_title(s->ui, r.y, r.x + 1, r.cols - 2, "POSTGRES", (struct slice){NULL, 0}, "postgres/");
    if (!rows_count(w, T_PLAN_WORKLOADS, PLAN_WORKLOADS_KIND, SLICE_LIT("postgres-dump-restore")) &&
        world_count(w, T_PLAN)) {
        plan_help_draw(s->ui, page, PLAN_HELP_POSTGRES);
        return;
    }
    if (!section_why(w, "postgres/", &text)) buf_adds(&text, "The server has answered; what it is follows.");
    section_text(s->ui, (struct rect){page.y, r.x + 2, page.rows, r.cols - 4}, STYLE_DIM, buf_slice(&text));
    buf_free(&text);
}

static void draw_postgres(void *state, struct rect r) {
    struct postgres *s = state;
    if (!world_count(s->ui->world, T_PG_SERVERS)) {
        draw_nothing(s, r);
        return;
    }
    int y = draw_servers(s, r), end = r.y + r.rows;
    s->fixed = end - y >= FIXED_TWO ? 2 : end - y >= FIXED_ONE ? 1 : 0;
    if (s->tab < s->fixed) s->tab = s->fixed;
    if (s->focus >= s->fixed) s->tab = s->focus;
    for (int i = 0; i < s->fixed; i++) {
        int room = end - y - 1 - TABS_ROWS - (s->fixed - 1 - i) * LIST_ROWS;
        y = draw_fixed(s, i, (struct rect){y + 1, r.x, room, r.cols});
    }
    if (end - y > 12) y++; /* a blank line where there is room for it */
    draw_tabs(s, (struct rect){y, r.x, end - y, r.cols});
}

/* ---- The screen -------------------------------------------------------------------------------------------------- */

static void *open_postgres(struct ui *ui, const struct screen_arg *arg) {
    struct postgres *s = MEM_NEW(struct postgres);
    (void)arg;
    s->ui = ui;
    for (int i = 0; i < PG_LISTS; i++) s->lists[i] = list_new(ui, &postgres_lists[i].spec, NULL);
    return s;
}

static void close_postgres(void *state) {
    struct postgres *s = state;
    for (int i = 0; i < PG_LISTS; i++) list_free(s->lists[i]);
    mem_free(s);
}

static struct list *list_postgres(void *state) {
    struct postgres *s = state;
    return s->lists[s->focus];
}

/* The log of the server's pod, whatever row is selected: its rows name no pod themselves. */
static bool open_log(struct postgres *s) {
    size_t n;
    const struct row **rows = rows_sorted(s->ui->world, T_PG_SERVERS, -1, false, &n), *server = n ? rows[0] : NULL;
    const struct row *r = list_selected(s->lists[s->focus]);
    int col = r ? world_col_by_name(row_table(r), SLICE_LIT("workload")) : -1;
    for (size_t i = 0; i < n && col >= 0; i++)
        if (slice_eq(row_key(rows[i]), row_text(r, col))) server = rows[i];
    mem_free(rows);
    ui_open(s->ui, &screen_log, server ? T_PG_SERVERS : T_COUNT, server ? row_key(server) : (struct slice){NULL, 0});
    return true;
}

static bool command_postgres(void *state, enum command c) {
    struct postgres *s = state;
    if (c == COMMAND_LOG) return open_log(s);
    if (c != COMMAND_NEXT_PANE && c != COMMAND_PREVIOUS_PANE) return false;
    s->focus = (s->focus + (c == COMMAND_NEXT_PANE ? 1 : PG_LISTS - 1)) % PG_LISTS;
    return true;
}

static const enum command hints[] = {COMMAND_NEXT_PANE, COMMAND_LOG, COMMAND_NONE};

const struct screen_ops screen_postgres = {
    .id = "postgres", .title = "postgres", .go = COMMAND_POSTGRES, .root = true, .open = open_postgres,
    .close = close_postgres,
    .draw = draw_postgres, .list = list_postgres, .command = command_postgres, .hints = hints,
};
