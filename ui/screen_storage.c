/* Storage: every claim with its class, volume and users, worst first; the evidence for the judgement of the selected
 * one below; what each class holds at the side when there is room. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/utf8.h"
#include "ui/format.h"
#include "ui/screen.h"

#define CLAIMS_SOURCE "kube/persistentvolumeclaims"
#define SIDE_COLS 53     /* of the summary by class */
#define SIDE_FROM 170    /* columns from which it is shown */
#define CLASSES_MAX 64

struct class_sum {
    char *name; /* NULL: no class */
    int64_t claims, hostile, bytes;
};

/* What the claims add up to, kept as they come and go. */
struct sums {
    struct class_sum classes[CLASSES_MAX];
    size_t n;
    int64_t hostile, retired, unknown;
};

struct state {
    struct ui *ui;
    struct list *list;
    struct sums sums;
};

static void claim_text(const struct world *w, const struct row *r, struct buf *out) {
    (void)w;
    buf_add_slice(out, row_text(r, CLAIMS_NAMESPACE));
    buf_addc(out, '/');
    buf_add_slice(out, row_text(r, CLAIMS_NAME));
}

/* The shorter half of a generated name: pvc-808a78ec. */
static void volume_text(const struct world *w, const struct row *r, struct buf *out) {
    struct slice name = row_text(r, CLAIMS_VOLUME);
    (void)w;
    if (slice_starts(name, "pvc-") && name.n == 40) name.n = 12;
    buf_add_slice(out, name);
}

/* Delete! where the volume would go with its claim. */
static void reclaim_text(const struct world *w, const struct row *r, struct buf *out) {
    struct slice policy = row_text(r, CLAIMS_RECLAIM);
    (void)w;
    buf_add_slice(out, policy);
    if (slice_is(policy, "Delete")) buf_addc(out, '!');
}

static bool at_risk(const struct row *r) {
    struct slice state = row_text(r, CLAIMS_STATE);
    return slice_is(state, "HOSTILE") || slice_is(state, "RETIRED");
}

static enum style reclaim_style(const struct world *w, const struct row *r) {
    (void)w;
    return slice_is(row_text(r, CLAIMS_RECLAIM), "Delete") && at_risk(r) ? STYLE_WARN : STYLE_NORMAL;
}

static enum style claim_style(const struct world *w, const struct row *r) {
    (void)w;
    return at_risk(r) ? STYLE_BOLD : STYLE_NORMAL;
}

static void size_text(const struct world *w, const struct row *r, struct buf *out) {
    struct cell size = row_cell(r, CLAIMS_CAPACITY);
    (void)w;
    if (size.type == CELL_NULL) size = row_cell(r, CLAIMS_REQUEST);
    if (size.type == CELL_INT) format_gib(out, size.i);
}

static const struct list_col cols[] = {
    {.title = "STATE", .col = CLAIMS_STATE, .min = 13},
    {.title = "CLAIM", .col = -1, .text = claim_text, .style = claim_style, .min = 24, .max = 44},
    {.title = "CLASS", .col = CLAIMS_CLASS, .min = 14, .max = 24, .none = "–"},
    {.title = "GiB", .col = CLAIMS_REQUEST, .text = size_text, .min = 6, .right = true, .drop = 2},
    {.title = "MODE", .col = CLAIMS_MODES, .min = 4, .drop = 6},
    {.title = "VOLUME", .col = CLAIMS_VOLUME, .text = volume_text, .min = 12, .max = 20, .drop = 7, .none = "–"},
    {.title = "RECLAIM", .col = CLAIMS_RECLAIM, .text = reclaim_text, .style = reclaim_style, .min = 7, .drop = 4,
     .none = "–"},
    {.title = "STORAGE", .col = CLAIMS_STORAGE, .min = 13, .max = 24, .drop = 3},
    {.title = "USED BY", .col = CLAIMS_USED_BY, .min = 14, .flex = true, .drop = 1, .none = "–"},
    {.title = "AGE", .col = CLAIMS_CREATED, .min = 6, .right = true, .drop = 8},
};

static bool belongs(const struct state *s, const struct row *r) {
    return !s->ui->ns || slice_is(row_text(r, CLAIMS_NAMESPACE), s->ui->ns);
}

static bool accepts(void *arg, const struct row *r) {
    return belongs(arg, r);
}

static void empty(void *arg, const struct world *w, struct buf *out) {
    const struct state *s = arg;
    if (section_why(w, CLAIMS_SOURCE, out)) return;
    if (s->ui->ns) buf_printf(out, "There are no claims in namespace %s.", s->ui->ns);
    else buf_adds(out, "There are no claims in this cluster.");
}

/* ---- What each class holds --------------------------------------------------------------------------------------- */

static struct class_sum *class_of(struct sums *sums, struct slice name) {
    for (size_t i = 0; i < sums->n; i++)
        if (slice_eq(slice_of(sums->classes[i].name), name)) return &sums->classes[i];
    if (sums->n == CLASSES_MAX) return NULL;
    sums->classes[sums->n] = (struct class_sum){.name = slice_dup(name)};
    return &sums->classes[sums->n++];
}

static void forget_class(struct sums *sums, struct class_sum *c) {
    mem_free(c->name);
    *c = sums->classes[--sums->n];
}

static void clear_sums(struct sums *sums) {
    while (sums->n) forget_class(sums, &sums->classes[sums->n - 1]);
    *sums = (struct sums){0};
}

static void count_claim(void *arg, const struct row *r, int sign) {
    struct sums *sums = &((struct state *)arg)->sums;
    if (!r) {
        clear_sums(sums);
        return;
    }
    struct slice state = row_text(r, CLAIMS_STATE);
    struct class_sum *c = class_of(sums, row_text(r, CLAIMS_CLASS));
    int hostile = slice_is(state, "HOSTILE") ? sign : 0;
    sums->hostile += hostile;
    sums->retired += slice_is(state, "RETIRED") ? sign : 0;
    sums->unknown += !state.p || slice_is(state, "UNKNOWN") ? sign : 0;
    if (!c) return;
    c->claims += sign;
    c->hostile += hostile;
    c->bytes += sign * row_int(r, CLAIMS_CAPACITY, row_int(r, CLAIMS_REQUEST, 0));
    if (c->claims <= 0) forget_class(sums, c);
}

static int compare_sums(const void *a, const void *b) {
    const struct class_sum *x = a, *y = b;
    if (x->hostile != y->hostile) return x->hostile < y->hostile ? 1 : -1;
    if (x->claims != y->claims) return x->claims < y->claims ? 1 : -1;
    return slice_cmp(slice_of(x->name), slice_of(y->name));
}

static const struct list_spec spec = {
    .table = T_CLAIMS, .cols = cols, .ncols = ARRAY_LEN(cols), .sort = 0, .noun = "claims", .accepts = accepts,
        .count = count_claim, .empty = empty, .old_in_title = true,
};

static void *open_screen(struct ui *ui, const struct screen_arg *arg) {
    struct state *s = MEM_NEW(struct state);
    (void)arg;
    s->ui = ui;
    s->list = list_new(ui, &spec, s);
    return s;
}

static void close_screen(void *state) {
    struct state *s = state;
    list_free(s->list);
    clear_sums(&s->sums);
    mem_free(s);
}

static struct list *screen_list(void *state) {
    return ((struct state *)state)->list;
}

/* ---- The side ---------------------------------------------------------------------------------------------------- */

static void draw_class(const struct state *s, const struct class_sum *c, int y, struct rect r) {
    struct draw *d = s->ui->draw;
    const struct row *class = c->name ? world_find_name(s->ui->world, T_STORAGE_CLASSES, (struct slice){NULL, 0},
                                                        slice_of(c->name)) : NULL;
    struct slice role = class ? row_text(class, STORAGE_CLASSES_ROLE) : (struct slice){NULL, 0};
    struct slice encryption = class ? row_text(class, STORAGE_CLASSES_ENCRYPTION) : (struct slice){NULL, 0};
    struct buf text = {0};
    if (c->hostile) draw_glyph(d, y, r.x, STYLE_BAD, GLYPH_BAD);
    else if (slice_is(role, "target")) draw_glyph(d, y, r.x, STYLE_OK, GLYPH_OK);
    draw_text(d, y, r.x + 2, 24, STYLE_NORMAL, slice_of(c->name ? c->name : "no class"));
    format_int(&text, c->claims);
    draw_right(d, y, r.x + 26, 7, STYLE_NORMAL, buf_slice(&text));
    buf_clear(&text);
    format_gib(&text, c->bytes);
    draw_right(d, y, r.x + 33, 8, STYLE_NORMAL, buf_slice(&text));
    draw_text(d, y, r.x + 43, r.cols - 43, STYLE_DIM, role.n ? role : encryption);
    buf_free(&text);
}

static void draw_side(struct state *s, struct rect r) {
    struct sums *sums = &s->sums;
    struct draw *d = s->ui->draw;
    draw_str(d, r.y, r.x + 2, 24, STYLE_COLUMN, "CLASS");
    draw_right(d, r.y, r.x + 26, 7, STYLE_COLUMN, SLICE_LIT("CLAIMS"));
    draw_right(d, r.y, r.x + 33, 8, STYLE_COLUMN, SLICE_LIT("GiB"));
    draw_str(d, r.y, r.x + 43, r.cols - 43, STYLE_COLUMN, "ROLE");
    qsort(sums->classes, sums->n, sizeof *sums->classes, compare_sums);
    for (size_t i = 0; i < sums->n && (int)i + 1 < r.rows; i++) draw_class(s, &sums->classes[i], r.y + 1 + (int)i, r);
}

/* ---- The selected claim ------------------------------------------------------------------------------------------ */

/* The old copy of a workload that was moved: whose, and how long it is kept. */
static void kept_until(const struct world *w, const struct row *claim, struct buf *out) {
    for (const struct row *r = world_first(w, T_PLAN_WORKLOADS); r; r = world_next(w, r)) {
        int64_t until = row_int(r, PLAN_WORKLOADS_RETAIN_UNTIL, 0), left = until - world_now(w);
        char age[32];
        if (!slice_eq(row_text(r, PLAN_WORKLOADS_TOMBSTONE_UID), row_key(claim))) continue;
        buf_printf(out, "old copy of %.*s", SLICE_FMT(row_key(r)));
        if (until && left > 0) buf_printf(out, ", kept %s more, until ", clock_format_age(left, age, sizeof age));
        else if (until) buf_adds(out, ", its time is over: clean up may begin, since ");
        if (until) format_utc(out, until);
        buf_adds(out, " · ");
    }
}

static void describe(const struct state *s, const struct row *r, struct buf *out) {
    struct slice evidence = row_text(r, CLAIMS_EVIDENCE), manager = row_text(r, CLAIMS_MANAGER),
        phase = row_text(r, CLAIMS_PHASE);
    int64_t created = row_int(r, CLAIMS_CREATED, 0), deleting = row_int(r, CLAIMS_DELETING, 0),
        now = world_now(s->ui->world);
    kept_until(s->ui->world, r, out);
    buf_adds(out, "evidence: ");
    buf_add_slice(out, evidence.n ? evidence : SLICE_LIT("none yet"));
    if (manager.n) buf_printf(out, " · field manager %.*s", SLICE_FMT(manager));
    if (phase.n) buf_printf(out, " · %.*s", SLICE_FMT(phase));
    if (created) {
        buf_adds(out, " · created ");
        format_age(out, now, created);
        buf_adds(out, " ago");
    }
    if (deleting) {
        buf_adds(out, " · being deleted since ");
        format_age(out, now, deleting);
    }
}

static void draw_evidence(const struct state *s, struct rect r) {
    const struct row *selected = list_selected(s->list);
    struct buf text = {0};
    draw_hline(s->ui->draw, r.y, r.x, r.cols);
    if (selected) {
        describe(s, selected, &text);
        section_text(s->ui, (struct rect){r.y + 1, r.x + 1, r.rows - 1, r.cols - 2}, STYLE_NORMAL, buf_slice(&text));
    }
    buf_free(&text);
}

static int piece(const struct state *s, struct rect r, int x, enum style style, int64_t n, const char *words) {
    struct buf text = {0};
    draw_str(s->ui->draw, r.y, x, r.x + r.cols - x, STYLE_DIM, "·");
    x += 2;
    if (n >= 0) format_int(&text, n);
    buf_adds(&text, words);
    x += draw_text(s->ui->draw, r.y, x, r.x + r.cols - x, style, buf_slice(&text)) + 1;
    buf_free(&text);
    return x;
}

/* How many, and how many of them are wrong; when nothing is known of them, that. */
static void draw_header(struct state *s, struct rect r) {
    struct buf text = {0};
    size_t total = list_total(s->list);
    bool unknown = total == 0 && section_why(s->ui->world, CLAIMS_SOURCE, &text);
    const struct sums *n = &s->sums;
    struct fresh f = ui_fresh(s->ui, section_fresh(s->ui->world, CLAIMS_SOURCE));
    section_title(s->ui, r.y, r.x + 1, r.cols - 2, "STORAGE", (struct slice){NULL, 0}, CLAIMS_SOURCE);
    if (!fresh_usable(f)) r.cols -= draw_fresh_cols(f) + 3; /* it stands at the right */
    buf_clear(&text);
    if (unknown) buf_adds(&text, "claims are not known");
    else format_int(&text, (int64_t)total);
    if (!unknown) buf_adds(&text, total == 1 ? " claim" : " claims");
    if (s->ui->ns) buf_printf(&text, " in %s", s->ui->ns);
    int x = r.x + 10;
    x += draw_text(s->ui->draw, r.y, x, r.x + r.cols - x, STYLE_NORMAL, buf_slice(&text)) + 1;
    buf_clear(&text);
    if (n->hostile) x = piece(s, r, x, STYLE_BAD, n->hostile, " that NFS can hurt");
    else if (total) x = piece(s, r, x, STYLE_OK, -1, "none that NFS can hurt");
    list_filter_summary(s->list, &text);
    if (text.len) x += draw_text(s->ui->draw, r.y, x + 1, r.x + r.cols - x - 1, STYLE_ACCENT, buf_slice(&text)) + 2;
    buf_clear(&text);
    if (n->retired) x = piece(s, r, x, STYLE_WARN, n->retired, " retired");
    if (n->unknown) x = piece(s, r, x, STYLE_UNKNOWN, n->unknown, " unknown");
    if (total && !*list_filter_text(s->list)) list_summary(s->list, &text);
    draw_text(s->ui->draw, r.y, x + 1, r.x + r.cols - x - 1, STYLE_DIM, buf_slice(&text));
    buf_free(&text);
}

static void draw_screen(void *state, struct rect r) {
    struct state *s = state;
    int below = r.rows >= 36 ? 4 : 3;
    draw_header(s, r);
    struct rect body = {r.y + 1, r.x, r.rows - 1 - below, r.cols};
    if (r.cols >= SIDE_FROM) {
        body.cols -= SIDE_COLS;
        draw_vline(s->ui->draw, body.y, body.x + body.cols + 1, body.rows);
        draw_side(s, (struct rect){body.y, body.x + body.cols + 3, body.rows, SIDE_COLS - 4});
    }
    list_draw(s->list, body, true);
    draw_evidence(s, (struct rect){r.y + r.rows - below, r.x, below, r.cols});
}

static const enum command hints[] = {COMMAND_OPEN, COMMAND_SORT_NEXT, COMMAND_NONE};

const struct screen_ops screen_storage = {
    .id = "storage", .title = "storage", .go = COMMAND_STORAGE, .root = true, .open = open_screen,
        .close = close_screen, .draw = draw_screen,
    .list = screen_list, .hints = hints,
};
