/* The box of a dialog: what it is about, its lines, and below them the question, the field and the buttons, which are always
 * seen; lines that do not fit are scrolled to. */
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "ui/dialog_private.h"
#include "ui/rows.h"

#define WIDTH_MAX 110
#define LABEL_COLS 11
#define REQUESTS_SHOWN 3
#define FIELD_COLS 32

/* One row of the box's inside: the first of a text carries its label. */
struct line {
    struct slice label, text;
    enum style style;
};

struct lines {
    struct line *list;
    size_t n;
    char **owned; /* texts made here */
    size_t nowned;
};

static void add_line(struct lines *l, struct line line) {
    l->list = mem_reallocarray(l->list, l->n + 1, sizeof *l->list);
    l->list[l->n++] = line;
}

static struct slice own(struct lines *l, char *text) {
    l->owned = mem_reallocarray(l->owned, l->nowned + 1, sizeof *l->owned);
    l->owned[l->nowned++] = text;
    return slice_of(text);
}

static void free_lines(struct lines *l) {
    for (size_t i = 0; i < l->nowned; i++) mem_free(l->owned[i]);
    mem_free(l->owned);
    mem_free(l->list);
}

/* A text wraps under itself. */
static void add_text(struct lines *l, int cols, struct slice label, enum style s, struct slice text) {
    int width = cols - LABEL_COLS;
    do {
        size_t n = text.n ? section_line(text, width) : 0;
        add_line(l, (struct line){label, {text.p, n}, s});
        if (n < text.n && (text.p[n] == ' ' || text.p[n] == '\n')) n++;
        text.p += n;
        text.n -= n;
        label = (struct slice){NULL, 0};
    } while (text.n);
}

/* ---- Lines ------------------------------------------------------------------------------------------------------- */

static void add_place(struct console *c, const struct row *r, struct lines *l, int cols) {
    struct arming a = act_arming(c);
    struct buf text = {0};
    char age[24];
    buf_printf(&text, "%.*s", SLICE_FMT(row_text(r, DIALOGS_CONTEXT)));
    if (row_text(r, DIALOGS_NAMESPACE).n) buf_printf(&text, "   namespace %.*s", SLICE_FMT(row_text(r, DIALOGS_NAMESPACE)));
    if (a.state == ARMED_OURS)
        buf_printf(&text, "   armed as %.*s, %s left", SLICE_FMT(a.by), clock_format_age(a.left_ms, age, sizeof age));
    else buf_adds(&text, "   NOT ARMED any more");
    add_text(l, cols, SLICE_LIT("context"), a.state == ARMED_OURS ? STYLE_NORMAL : STYLE_WARN, own(l, mem_strdup(buf_str(&text))));
    buf_free(&text);
}

/* Why it cannot be confirmed stands first. */
static void add_state(struct console *c, const struct row *r, struct lines *l, int cols) {
    struct slice reason = row_text(r, DIALOGS_REASON), none = {NULL, 0};
    enum dialog_state state = c->dialog->state;
    if (state == DIALOG_REFUSED) {
        add_text(l, cols, SLICE_LIT("✗ REFUSED"), STYLE_BAD, reason.n ? reason : SLICE_LIT("the engine gives no reason"));
        add_line(l, (struct line){none, none, STYLE_NORMAL});
    } else if (state == DIALOG_STALE) {
        add_text(l, cols, SLICE_LIT("~ STALE"), STYLE_WARN,
                 reason.n ? reason : SLICE_LIT("the plan is stale: something moved since this dialog was opened; open it again"));
        add_line(l, (struct line){none, none, STYLE_NORMAL});
    }
}

/* What goes, what is lost and what it costs stand first, also where not all lines fit; lines of a kind stand together. */
static size_t order_of(const struct row *r) {
    static const char *const labels[] = {"object", "will go", "lost", "will come", "meanwhile", "once started", "beware", "undo", "proof",
                                         "rule", "from", "to", "reclaim", "gate", "note", "request", "fact", "if quorum is lost"};
    size_t i = 0;
    while (i < ARRAY_LEN(labels) && !slice_is(row_text(r, DIALOG_LINES_LABEL), labels[i])) i++;
    return i < ARRAY_LEN(labels) ? i : 9; /* a label of a phase's own: with its rules */
}

/* The lines of this dialog in the order in which they are shown; freed with mem_free. */
static const struct row **rows_of(struct console *c, size_t *ret_n) {
    size_t n, kept = 0;
    const struct row **rows = rows_sorted(c->o.world, T_DIALOG_LINES, DIALOG_LINES_RANK, false, &n);
    for (size_t i = 0; i < n; i++) {
        const struct row *r = rows[i];
        if (!slice_is(row_text(r, DIALOG_LINES_DIALOG), c->dialog->id)) continue;
        size_t at = kept++;
        while (at > 0 && order_of(rows[at - 1]) > order_of(r)) {
            rows[at] = rows[at - 1];
            at--;
        }
        rows[at] = r;
    }
    *ret_n = kept;
    return rows;
}

static enum style style_of(struct slice label) {
    if (slice_is(label, "will go") || slice_is(label, "lost") || slice_is(label, "meanwhile")) return STYLE_BOLD;
    if (slice_is(label, "beware") || slice_is(label, "once started")) return STYLE_WARN;
    if (slice_is(label, "note")) return STYLE_DIM;
    return STYLE_NORMAL;
}

/* Behind the last request, once. */
static void add_more(struct console *c, const struct row *r, struct lines *l, int cols, size_t *requests) {
    size_t n = *requests;
    *requests = 0;
    if (n <= REQUESTS_SHOWN) return;
    char *text = c->dialog->all ? str_printf("%c shows fewer", dialog_all_key(r))
                                  : str_printf("and %zu more: %c shows all", n - REQUESTS_SHOWN, dialog_all_key(r));
    add_text(l, cols, (struct slice){NULL, 0}, STYLE_ACCENT, own(l, text));
}

/* Lines with the same label stand under it once; requests are many, so few of them are shown unless asked for. */
static void add_rows(struct console *c, const struct row *r, struct lines *l, int cols) {
    size_t n, requests = 0;
    const struct row **rows = rows_of(c, &n);
    struct slice last = {NULL, 0};
    for (size_t i = 0; i < n; i++) {
        struct slice label = row_text(rows[i], DIALOG_LINES_LABEL), none = {NULL, 0};
        bool request = slice_is(label, "request");
        if (!request) add_more(c, r, l, cols, &requests);
        if (request && ++requests > REQUESTS_SHOWN && !c->dialog->all) continue;
        struct slice shown = slice_eq(label, last) ? none : request ? SLICE_LIT("requests") : slice_is(label, "once started") ? SLICE_LIT("then") : label;
        if (utf8_columns(shown) >= LABEL_COLS) { /* it has a line to itself */
            add_line(l, (struct line){none, shown, STYLE_BOLD});
            shown = none;
        }
        add_text(l, cols, shown, style_of(label), row_text(rows[i], DIALOG_LINES_TEXT));
        last = label;
    }
    add_more(c, r, l, cols, &requests);
    mem_free(rows);
}

/* ---- The box ----------------------------------------------------------------------------------------------------- */

static void draw_edge(struct draw *d, int y, struct rect box, const char *left, const char *right) {
    draw_str(d, y, box.x, 1, STYLE_BORDER, left);
    draw_hline(d, y, box.x + 1, box.cols - 2);
    draw_str(d, y, box.x + box.cols - 1, 1, STYLE_BORDER, right);
}

/* What is at stake, in the upper edge. */
static void draw_stake(struct draw *d, const struct row *r, struct rect box) {
    struct slice stake = row_text(r, DIALOGS_STAKE);
    bool purge = slice_is(stake, "purge");
    const char *text = purge ? " CANNOT BE UNDONE " : dialog_is_typed(r) ? " HARD TO UNDO " : " can be undone ";
    int cols = (int)utf8_columns(slice_of(text));
    draw_str(d, box.y, box.x + box.cols - cols - 2, cols, purge ? STYLE_BANNER_BAD : dialog_is_typed(r) ? STYLE_BANNER_WARN : STYLE_DIM, text);
}

/* Titles begin with a capital letter, but for names: "vault-0, follower: swap and rejoin". */
static bool begins_with_name(const char *title) {
    size_t n = strcspn(title, " ");
    return n > 0 && (title[n - 1] == ',' || title[n - 1] == ':');
}

static void draw_frame(struct console *c, const struct row *r, struct rect box) {
    struct draw *d = c->ui.draw;
    draw_clear(d, box);
    draw_edge(d, box.y, box, "┌", "┐");
    draw_edge(d, box.y + box.rows - 1, box, "└", "┘");
    draw_vline(d, box.y + 1, box.x, box.rows - 2);
    draw_vline(d, box.y + 1, box.x + box.cols - 1, box.rows - 2);
    int x = box.x + 2;
    x += draw_str(d, box.y, x, 1, STYLE_NORMAL, " ");
    char *title = str_printf("%.*s · %.*s", SLICE_FMT(row_text(r, DIALOGS_TITLE)), SLICE_FMT(row_text(r, DIALOGS_WORKLOAD)));
    if (*title >= 'a' && *title <= 'z' && !begins_with_name(title)) *title = (char)(*title - 32);
    x += draw_str(d, box.y, x, box.cols - 32, STYLE_TITLE, title);
    draw_str(d, box.y, x, 1, STYLE_NORMAL, " ");
    draw_stake(d, r, box);
    mem_free(title);
}

static void draw_lines(struct console *c, const struct lines *l, struct rect r) {
    struct dialog_box *b = c->dialog;
    struct draw *d = c->ui.draw;
    int total = (int)l->n;
    if (b->scroll > total - r.rows) b->scroll = total > r.rows ? total - r.rows : 0;
    b->page = r.rows;
    b->below = total - r.rows - b->scroll > 0 ? total - r.rows - b->scroll : 0;
    for (int i = 0; i < r.rows && b->scroll + i < total; i++) {
        const struct line *line = &l->list[b->scroll + i];
        bool status = line->style == STYLE_BAD || line->style == STYLE_WARN;
        draw_text(d, r.y + i, r.x, LABEL_COLS - 1, status ? line->style : STYLE_DIM, line->label);
        draw_text(d, r.y + i, r.x + LABEL_COLS, r.cols - LABEL_COLS, line->style, line->text);
    }
    int x = r.x + LABEL_COLS, y = r.y + r.rows;
    if (b->below) x += draw_fmt(d, y, x, 40, STYLE_ACCENT, "%d more below: PgDn", b->below) + 3;
    if (b->scroll) draw_fmt(d, y, x, 20, STYLE_ACCENT, "%d above: PgUp", b->scroll);
}

static int button(struct draw *d, int y, int x, const char *text, bool focus, bool dim) {
    int used = draw_fmt(d, y, x, 60, focus ? STYLE_BOLD : dim ? STYLE_DIM : STYLE_NORMAL, focus ? "[ %s ]" : "  %s  ", text);
    if (focus) draw_overlay(d, y, x, used, STYLE_SELECTED);
    return used + 2;
}

static void draw_buttons(struct console *c, const struct row *r, int y, struct rect box) {
    struct dialog_box *b = c->dialog;
    struct draw *d = c->ui.draw;
    bool ready = b->state == DIALOG_READY && !b->sent, typed = dialog_is_typed(r);
    char *go = slice_dup(row_text(r, DIALOGS_BUTTON).n ? row_text(r, DIALOGS_BUTTON) : SLICE_LIT("Go on"));
    char *label = typed ? mem_strdup(go) : str_printf("%s (y)", go);
    int used = (int)utf8_columns(slice_of(label)) + 4 + 12;
    int x = box.x + box.cols - 3 - (ready ? used : 10);
    x += button(d, y, x, ready || b->state == DIALOG_PREPARING ? "Cancel" : "Close", b->focus == DIALOG_CANCEL, false);
    if (ready) button(d, y, x, label, b->focus == DIALOG_GO, !dialog_complete(b, r));
    mem_free(go);
    mem_free(label);
}

static void draw_field(struct console *c, const struct row *r, int y, struct rect box) {
    struct dialog_box *b = c->dialog;
    struct draw *d = c->ui.draw;
    struct slice wanted = row_text(r, DIALOGS_TYPED), text = buf_slice(&b->typed);
    bool focus = b->focus == DIALOG_FIELD;
    int x = box.x + 2, field = (int)utf8_columns(wanted) + 2 > FIELD_COLS ? (int)utf8_columns(wanted) + 2 : FIELD_COLS;
    bool purge = slice_is(row_text(r, DIALOGS_STAKE), "purge");
    x += draw_fmt(d, y, x, box.cols - 4 - field, STYLE_WARN, purge ? "To go on type the context, %.*s: " : "Type %.*s to go on: ", SLICE_FMT(wanted));
    while ((int)utf8_columns(text) > field - 1) { /* the end is what is being typed */
        uint32_t cp;
        size_t n = utf8_decode(text.p, text.n, &cp);
        text.p += n;
        text.n -= n;
    }
    draw_str(d, y, x, 1, STYLE_BORDER, "[");
    int end = x + 1 + draw_text(d, y, x + 1, field, STYLE_PROMPT, text);
    draw_str(d, y, x + 1 + field, 1, STYLE_BORDER, "]");
    if (focus) draw_overlay(d, y, end, 1, STYLE_SELECTED);
    if (dialog_complete(b, r)) draw_glyph(d, y, x + field + 3, STYLE_OK, GLYPH_OK);
}

/* What only goes forward is said beside the question, too, however long the dialog is; absent: nothing of that kind. */
static struct slice once_started(struct console *c) {
    const struct world *w = c->o.world;
    for (const struct row *r = world_first(w, T_DIALOG_LINES); r; r = world_next(w, r))
        if (slice_is(row_text(r, DIALOG_LINES_DIALOG), c->dialog->id) && slice_is(row_text(r, DIALOG_LINES_LABEL), "once started"))
            return row_text(r, DIALOG_LINES_TEXT);
    return (struct slice){NULL, 0};
}

static void draw_question(struct console *c, const struct row *r, int y, struct rect box) {
    struct dialog_box *b = c->dialog;
    struct draw *d = c->ui.draw;
    int x = box.x + 2, cols = box.cols - 4;
    if (b->state == DIALOG_PREPARING)
        draw_str(d, y, x, cols, STYLE_BUSY, "> preparing: looks at everything anew and tries the requests as a dry run");
    else if (b->sent) draw_str(d, y, x, cols, STYLE_BUSY, "> confirmed: the engine looks once more, then begins");
    else if (b->state != DIALOG_READY) draw_str(d, y, x, cols, STYLE_DIM, "Nothing was done.");
    else if (dialog_is_typed(r)) draw_field(c, r, y, box);
    else draw_str(d, y, x, cols, STYLE_WARN, "y goes on. Enter cancels.");
    struct slice forward = b->state == DIALOG_READY ? once_started(c) : (struct slice){NULL, 0};
    if (b->note) draw_str(d, y + 1, x, cols, STYLE_WARN, b->note);
    else if (forward.n && !b->sent) draw_text(d, y + 1, x, cols, STYLE_BAD, forward);
}

/* The last row says what the keys do. */
static void draw_keys(struct console *c, const struct row *r) {
    struct draw *d = c->ui.draw;
    int y = term_rows(c->o.term) - 1, cols = term_cols(c->o.term);
    bool ready = c->dialog->state == DIALOG_READY, field = c->dialog->focus == DIALOG_FIELD, typed = dialog_is_typed(r);
    draw_fill(d, y, 0, cols, STYLE_NORMAL);
    draw_fmt(d, y, 1, cols - 2, STYLE_DIM, "Esc %s   %s%sPgUp PgDn   %s%s", ready || c->dialog->state == DIALOG_PREPARING ? "cancels" : "closes",
             ready && typed ? "Tab moves on   Enter when typed   " : "", ready && !typed ? "y goes on   " : "", field ? "" : dialog_all_key(r) == 'v' ? "v" : "V", field ? "" : " all requests");
}

void dialog_draw(struct console *c) {
    const struct row *r = dialog_row(c);
    int cols = term_cols(c->o.term), rows = term_rows(c->o.term);
    struct lines l = {0};
    if (!r) return;
    struct rect box = {2, 0, rows - 3, cols - 2 < WIDTH_MAX ? cols - 2 : WIDTH_MAX};
    box.x = (cols - box.cols) / 2;
    add_state(c, r, &l, box.cols - 4);
    add_place(c, r, &l, box.cols - 4);
    add_rows(c, r, &l, box.cols - 4);
    int most = box.rows - 6, shown = (int)l.n < most ? (int)l.n : most;
    if (shown < most) { /* as high as it needs, a third of the rest above it */
        box.rows = shown + 6;
        box.y += (rows - 3 - box.rows) / 3;
    }
    draw_frame(c, r, box);
    draw_lines(c, &l, (struct rect){box.y + 1, box.x + 2, shown, box.cols - 4});
    draw_question(c, r, box.y + shown + 2, box);
    draw_buttons(c, r, box.y + box.rows - 2, box);
    draw_keys(c, r);
    free_lines(&l);
    dialog_drawn(c);
}
