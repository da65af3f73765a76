/* Who we are: the identity each server sees, until when, and which cluster it is. */
#include "base/mem.h"
#include "base/str.h"
#include "ui/format.h"
#include "ui/pager.h"
#include "ui/screen.h"

struct state {
    struct ui *ui;
    struct pager *pager;
};

static void add_text(struct state *s, const char *label, struct slice text) {
    if (text.n) pager_add(s->pager, label, STYLE_NORMAL, text);
}

static void add_expiry(struct state *s, const struct row *r) {
    int64_t expires = row_int(r, CREDENTIALS_EXPIRES, 0), now = world_now(s->ui->world);
    struct buf text = {0};
    if (expires) {
        format_utc(&text, expires);
        buf_adds(&text, expires > now ? " (" : " (over for ");
        format_age(&text, now, expires);
        buf_addc(&text, ')');
        pager_add(s->pager, "ends", expires > now ? STYLE_NORMAL : STYLE_BAD, buf_slice(&text));
    } else {
        pager_add(s->pager, "ends", STYLE_DIM, SLICE_LIT("no end is known"));
    }
    buf_free(&text);
}

static void add_credential(struct state *s, const struct row *r) {
    struct buf heading = {0};
    struct slice state = row_text(r, CREDENTIALS_STATE);
    buf_add_slice(&heading, row_key(r));
    pager_heading(s->pager, buf_str(&heading));
    buf_free(&heading);
    pager_add(s->pager, "state", theme_level_style(status_level(state)), state.n ? state : SLICE_LIT("UNKNOWN"));
    add_text(s, "user", row_text(r, CREDENTIALS_USER));
    add_text(s, "groups", row_text(r, CREDENTIALS_GROUPS));
    add_text(s, "by", row_text(r, CREDENTIALS_METHOD));
    add_text(s, "context", row_text(r, CREDENTIALS_CONTEXT));
    add_text(s, "server", row_text(r, CREDENTIALS_SERVER));
    add_text(s, "version", row_text(r, CREDENTIALS_VERSION));
    add_text(s, "cluster", row_text(r, CREDENTIALS_IDENTITY));
    add_expiry(s, r);
}

static void add_plan(struct state *s, const struct row *r) {
    struct slice state = row_text(r, PLAN_STATE);
    pager_heading(s->pager, "plan");
    pager_add(s->pager, "state", theme_level_style(status_level(state)), state.n ? state : SLICE_LIT("UNKNOWN"));
    add_text(s, "name", row_text(r, PLAN_NAME));
    add_text(s, "file", row_text(r, PLAN_FILE));
    add_text(s, "context", row_text(r, PLAN_CONTEXT));
    add_text(s, "for cluster", row_text(r, PLAN_CLUSTER));
}

/* Servers by name: kube first, then as they come in the alphabet. */
static const struct row *next_credential(const struct world *w, struct slice after) {
    const struct row *found = NULL;
    for (const struct row *r = world_first(w, T_CREDENTIALS); r; r = world_next(w, r))
        if ((!after.p || slice_cmp(row_key(r), after) > 0) && (!found || slice_cmp(row_key(r), row_key(found)) < 0))
            found = r;
    return found;
}

static void fill(struct state *s) {
    const struct world *w = s->ui->world;
    pager_clear(s->pager);
    const struct row *plan = world_first(w, T_PLAN), *r = next_credential(w, (struct slice){NULL, 0});
    for (; r; r = next_credential(w, row_key(r))) add_credential(s, r);
    if (plan) add_plan(s, plan);
    if (!plan && !world_count(w, T_CREDENTIALS))
        pager_add(s->pager, NULL, STYLE_DIM, SLICE_LIT("Waiting for the first server to say who we are."));
}

static void *open_screen(struct ui *ui, const struct screen_arg *arg) {
    struct state *s = MEM_NEW(struct state);
    (void)arg;
    s->ui = ui;
    s->pager = pager_new(ui);
    pager_labels(s->pager, 12);
    fill(s); /* keys may come before the first frame */
    return s;
}

static void close_screen(void *state) {
    struct state *s = state;
    pager_free(s->pager);
    mem_free(s);
}

static void draw_screen(void *state, struct rect r) {
    struct state *s = state;
    fill(s);
    section_title(s->ui, r.y, r.x + 1, r.cols - 2, "WHO WE ARE",
                  SLICE_LIT("as each server sees it; credentials themselves are never shown"), NULL);
    pager_draw(s->pager, (struct rect){r.y + 2, r.x + 1, r.rows - 2, r.cols - 2});
}

static bool run(void *state, enum command c) {
    return pager_command(((struct state *)state)->pager, c);
}

static bool copy(void *state, struct buf *out) {
    return pager_copy(((struct state *)state)->pager, out);
}

const struct screen_ops screen_whoami = {
    .id = "whoami", .title = "who we are", .go = COMMAND_WHOAMI, .open = open_screen, .close = close_screen,
        .draw = draw_screen,
    .command = run, .copy = copy,
};
