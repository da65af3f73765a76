/* The pieces that screens are put together from: titles with freshness, reasons for emptiness, paragraphs. */
#include <string.h>

#include "base/str.h"
#include "base/utf8.h"
#include "ui/format.h"
#include "ui/screen.h"

#define CHANGED_MS 3000
#define FIRST_LIST_MS 1500

/* Smaller is worse. */
static int fresh_rank(enum freshness f) {
    static const int ranks[] = {
        [FRESH_DOWN] = 0, [FRESH_DENIED] = 1, [FRESH_STALE] = 2, [FRESH_STARTING] = 3, [FRESH_POLLED] = 4,
            [FRESH_LIVE] = 5, [FRESH_OFF] = 6,
    };
    return ranks[f];
}

static const struct row *worst_source(const struct world *w, const char *prefix, struct fresh *ret) {
    const struct row *worst = NULL;
    *ret = (struct fresh){FRESH_OFF, -1};
    for (const struct row *r = world_first(w, T_SOURCES); r; r = world_next(w, r)) {
        if (!slice_starts(row_key(r), prefix)) continue;
        struct fresh f = world_freshness(w, r);
        int d = fresh_rank(f.state) - fresh_rank(ret->state);
        if (worst && (d > 0 || (d == 0 && f.age_ms <= ret->age_ms))) continue;
        worst = r;
        *ret = f;
    }
    return worst;
}

struct fresh section_fresh(const struct world *w, const char *prefix) {
    struct fresh f;
    worst_source(w, prefix, &f);
    return f;
}

/* A source's first list is no change of what it lists. */
static bool is_first_list(const struct world *w, const struct row *r) {
    const struct row *source = world_find(w, T_SOURCES, slice_of(row_src(w, r)));
    int64_t since = source ? row_int(source, SOURCES_SINCE, 0) : 0;
    return since && row_changed(r) < since + FIRST_LIST_MS;
}

bool section_changed(const struct world *w, const struct row *r) {
    int64_t age = world_now(w) - row_changed(r);
    return row_changed(r) > 0 && age >= 0 && age < CHANGED_MS && row_table(r) != T_SOURCES && !is_first_list(w, r);
}

bool section_why(const struct world *w, const char *prefix, struct buf *out) {
    struct fresh f;
    const struct row *source = worst_source(w, prefix, &f);
    if (!source) {
        buf_adds(out, "Waiting for the engine to say what it asks.");
        return true;
    }
    struct slice key = row_key(source), error = row_text(source, SOURCES_ERROR);
    int64_t next = row_int(source, SOURCES_NEXT_TRY, 0);
    switch (f.state) {
    case FRESH_LIVE:
    case FRESH_POLLED: return false;
    case FRESH_STARTING: buf_printf(out, "Waiting for the first answer of %.*s.", SLICE_FMT(key)); break;
    case FRESH_DENIED: buf_printf(out, "%.*s is denied.", SLICE_FMT(key)); break;
    case FRESH_OFF: buf_printf(out, "%.*s is not asked: nothing in the plan or the kubeconfig leads there.",
                               SLICE_FMT(key)); break;
    case FRESH_DOWN:
    case FRESH_STALE: buf_printf(out, "%.*s does not answer.", SLICE_FMT(key)); break;
    }
    if (error.n) buf_printf(out, " %.*s.", SLICE_FMT(error));
    if (next > world_now(w)) {
        buf_adds(out, " Next try ");
        format_age(out, world_now(w), next);
        buf_addc(out, '.');
    }
    return true;
}

void section_raft_last(const struct world *w, const struct row *r, struct buf *out) {
    struct slice last = row_text(r, RAFT_CLUSTERS_LAST_LEADER);
    struct cell voters = row_cell(r, RAFT_CLUSTERS_LAST_VOTERS), index = row_cell(r, RAFT_CLUSTERS_LAST_INDEX);
    int64_t at = row_int(r, RAFT_CLUSTERS_LAST_AT, 0);
    buf_adds(out, "no leader known");
    if (!last.n) return;
    buf_printf(out, ", was %.*s ", SLICE_FMT(last));
    format_age(out, world_now(w), at);
    buf_adds(out, " ago");
    if (voters.type == CELL_INT) buf_printf(out, " · were %d voters", (int)voters.i);
    if (index.type != CELL_INT) return;
    buf_adds(out, ", index ");
    format_int(out, index.i);
}

struct fresh ui_fresh(const struct ui *ui, struct fresh f) {
    return ui->stale && fresh_usable(f) ? (struct fresh){FRESH_STALE, -1} : f;
}

int section_title(struct ui *ui, int y, int x, int cols, const char *title, struct slice detail, const char *prefix) {
    struct fresh f = ui_fresh(ui, prefix ? section_fresh(ui->world, prefix) : (struct fresh){FRESH_LIVE, 0});
    int used = draw_str(ui->draw, y, x, cols, STYLE_TITLE, title), right = 0;
    if (prefix && !fresh_usable(f) && f.state != FRESH_OFF) {
        right = draw_fresh_cols(f);
        if (cols > right) draw_fresh(ui->draw, y, x + cols - right, right, f);
    }
    if (detail.n && cols > used + 2 + right)
        draw_text(ui->draw, y, x + used + 2, cols - used - 3 - right, STYLE_DIM, detail);
    return 1;
}

size_t section_line(struct slice text, int cols) {
    const char *newline = memchr(text.p, '\n', text.n);
    struct slice line = {text.p, newline ? (size_t)(newline - text.p) : text.n};
    struct slice fits = utf8_clip(line, (size_t)cols, NULL);
    if (fits.n == line.n) return line.n;
    for (size_t i = fits.n; i > 0; i--)
        if (line.p[i] == ' ') return i;
    return fits.n ? fits.n : 1;
}

/* Up to the next newline, which no line can hold. */
static struct slice section_rest(struct slice text) {
    const char *newline = memchr(text.p, '\n', text.n);
    return newline ? (struct slice){text.p, (size_t)(newline - text.p)} : text;
}

int section_text(struct ui *ui, struct rect r, enum style s, struct slice text) {
    int rows = 0;
    if (!text.p || r.cols < 1) return 0;
    while (text.n && rows < r.rows) {
        size_t n = section_line(text, r.cols);
        if (rows + 1 == r.rows && n < text.n) { /* the end does not fit: cut where it is seen to be */
            draw_text(ui->draw, r.y + rows++, r.x, r.cols, s, section_rest(text));
            break;
        }
        draw_text(ui->draw, r.y + rows++, r.x, r.cols, s, (struct slice){text.p, n});
        if (n < text.n && (text.p[n] == ' ' || text.p[n] == '\n')) n++;
        text.p += n;
        text.n -= n;
    }
    return rows;
}
