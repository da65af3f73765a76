#include <stdlib.h>

#include "base/mem.h"
#include "ui/format.h"
#include "ui/overview.h"
#include "ui/screen.h"
#include "world/status.h"

#define MANY 2000
#define KEEP_MS 1000

struct sum {
    char *state, *class;
    int64_t claims, bytes;
};

struct overview_storage {
    struct sum *sums;
    size_t n, cap;
    int64_t claims, bytes, lost;
    const struct world *world; /* that the sums are of; compared only */
    int64_t at;
};

struct overview_storage *overview_storage_new(void) {
    return MEM_NEW(struct overview_storage);
}

static void clear(struct overview_storage *s) {
    for (size_t i = 0; i < s->n; i++) {
        mem_free(s->sums[i].state);
        mem_free(s->sums[i].class);
    }
    s->n = 0;
    s->claims = s->bytes = s->lost = 0;
}

void overview_storage_free(struct overview_storage *s) {
    if (!s) return;
    clear(s);
    mem_free(s->sums);
    mem_free(s);
}

/* States and classes are few: a search through the sums is as good as a map. */
static struct sum *sum_of(struct overview_storage *s, struct slice state, struct slice class) {
    for (size_t i = 0; i < s->n; i++)
        if (slice_is(state, s->sums[i].state) && slice_is(class, s->sums[i].class)) return &s->sums[i];
    if (s->n == s->cap) {
        s->cap = s->cap ? s->cap * 2 : 16;
        s->sums = mem_reallocarray(s->sums, s->cap, sizeof *s->sums);
    }
    s->sums[s->n] = (struct sum){.state = slice_dup(state), .class = slice_dup(class)};
    return &s->sums[s->n++];
}

static int compare(const void *va, const void *vb) {
    const struct sum *a = va, *b = vb;
    int d = level_rank(status_level(slice_of(a->state))) - level_rank(status_level(slice_of(b->state)));
    if (!d) d = slice_cmp(slice_of(a->state), slice_of(b->state));
    return d ? d : slice_cmp(slice_of(a->class), slice_of(b->class));
}

static void add_up(struct overview_storage *s, const struct ui *ui) {
    const struct world *w = ui->world;
    clear(s);
    for (const struct row *r = world_first(w, T_CLAIMS); r; r = world_next(w, r)) {
        if (ui->ns && !slice_is(row_text(r, CLAIMS_NAMESPACE), ui->ns)) continue;
        struct slice state = row_text(r, CLAIMS_STATE), class = row_text(r, CLAIMS_CLASS);
        struct sum *sum = sum_of(s, state.n ? state : SLICE_LIT("UNKNOWN"), class.n ? class : SLICE_LIT("no class"));
        int64_t bytes = row_int(r, CLAIMS_CAPACITY, row_int(r, CLAIMS_REQUEST, 0));
        s->lost += slice_is(state, "LOST") || slice_is(state, "TERMINATING");
        sum->claims++;
        sum->bytes += bytes;
        s->claims++;
        s->bytes += bytes;
    }
    if (s->n) qsort(s->sums, s->n, sizeof *s->sums, compare);
    s->world = w;
    s->at = world_now(w);
}

/* "HOSTILE 4 claims, 8 GiB · " of the states that need work. */
static void add_states(const struct overview_storage *s, struct buf *out) {
    for (size_t i = 0; i < s->n;) {
        enum level level = status_level(slice_of(s->sums[i].state));
        int64_t claims = 0, bytes = 0;
        size_t first = i;
        for (; i < s->n && str_eq(s->sums[i].state, s->sums[first].state); i++) {
            claims += s->sums[i].claims;
            bytes += s->sums[i].bytes;
        }
        if (level == LEVEL_NONE || level == LEVEL_OK) continue;
        format_int(out, claims);
        buf_printf(out, " %s (", s->sums[first].state);
        format_gib(out, bytes);
        buf_adds(out, " GiB) · ");
    }
}

static void add_line(const struct sum *sum, struct fresh f, struct board *b) {
    struct buf claims = {0}, gib = {0}, right = {0};
    format_int(&claims, sum->claims);
    format_gib(&gib, sum->bytes);
    buf_printf(&right, "%4s %6s", buf_str(&claims), buf_str(&gib));
    board_line(b, &(struct board_line){
        .state = slice_of(sum->state), .fresh = f, .label = slice_of(sum->class), .right = buf_slice(&right),
        .screen = &screen_storage,
    });
    buf_free(&claims);
    buf_free(&gib);
    buf_free(&right);
}

void overview_storage_update(struct overview_storage *s, const struct ui *ui) {
    bool many = world_count(ui->world, T_CLAIMS) > MANY;
    if (s->world != ui->world || !many || world_now(ui->world) - s->at >= KEEP_MS) add_up(s, ui);
}

bool overview_storage_lost(const struct overview_storage *s) {
    return s->lost > 0;
}

void overview_storage(const struct overview_storage *s, struct ui *ui, struct board *b) {
    static const char source[] = "kube/persistentvolumeclaims";
    struct buf detail = {0}, why = {0};
    struct fresh f = section_fresh(ui->world, source);
    add_states(s, &detail);
    format_int(&detail, s->claims);
    buf_adds(&detail, s->claims == 1 ? " claim" : " claims");
    board_section(b, &(struct board_section){
        .title = "STORAGE", .prefix = source, .detail = buf_slice(&detail), .side = BOARD_LEFT,
        .right = SLICE_LIT("claims   GiB"),
    });
    if (f.state == FRESH_OFF) f = (struct fresh){FRESH_DOWN, -1};
    for (size_t i = 0; i < s->n; i++) add_line(&s->sums[i], f, b);
    if (!s->n && !section_why(ui->world, source, &why)) buf_adds(&why, "There are no claims.");
    if (!s->n) board_line(b, &(struct board_line){.text = buf_slice(&why), .wrap = 3, .style = STYLE_DIM});
    buf_free(&detail);
    buf_free(&why);
}
