/* The top of every screen: who and where, how fresh each server is, and what must not be overlooked. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/utf8.h"
#include "ui/console_private.h"
#include "ui/format.h"

#define EXPIRY_WARN_MS (INT64_C(15) * 60 * 1000)

/* READ-ONLY, ARMED 14:32, or who is armed elsewhere. The last minute cannot be overlooked. */
static char *mode_text(struct console *c, enum style *ret_style) {
    struct arming a = act_arming(c);
    int left = (int)(a.left_ms / 1000);
    *ret_style = STYLE_ACCENT;
    if (c->o.watch) return mem_strdup("WATCH, READ-ONLY");
    if (c->o.read_only_attach) return mem_strdup("ATTACHED, READ-ONLY");
    if (a.state == ARMED_NOBODY) return mem_strdup("READ-ONLY");
    if (a.state == ARMED_ELSEWHERE) return str_printf("armed elsewhere by %.*s", a.by.n < 12 ? (int)a.by.n : 12, a.by.n ? a.by.p : "");
    *ret_style = left < 60 ? STYLE_BANNER_BAD : STYLE_BANNER_WARN;
    return str_printf(left < 60 ? " ARMED %d:%02d ENDS " : " ARMED %d:%02d ", left / 60, left % 60);
}

/* "A arms" beside READ-ONLY, where there is room. */
static void draw_arms(struct console *c, int x) {
    struct buf key = {0};
    keymap_keys(c->keys, COMMAND_ARM, true, &key);
    x += draw_text(c->ui.draw, 0, x, 3, STYLE_KEY, buf_slice(&key)) + 1;
    if (key.len) draw_str(c->ui.draw, 0, x, 5, STYLE_DIM, "arms");
    buf_free(&key);
}

static void identity(struct console *c, int cols) {
    struct draw *d = c->ui.draw;
    struct buf who = {0}, now = {0};
    int x = 1 + draw_str(d, 0, 1, cols, STYLE_TITLE, "ferryman");
    buf_printf(&who, "%s%s%s", c->plan ? c->plan : "no plan", c->context ? " @ " : "", c->context ? c->context : "");
    if (c->ui.ns) buf_printf(&who, "  -n %s", c->ui.ns);
    if (world_now(c->ui.world)) format_utc(&now, world_now(c->ui.world));
    enum style mode_style;
    char *mode = mode_text(c, &mode_style);
    int time_cols = (int)utf8_columns(buf_slice(&now)), mode_cols = (int)utf8_columns(slice_of(mode));
    int mode_x = cols - 1 - time_cols - 3 - mode_cols;
    if (cols >= 110) mode_x -= 12;
    draw_text(d, 0, x + 2, mode_x - x - 4, STYLE_HEADER, buf_slice(&who));
    draw_str(d, 0, mode_x, mode_cols, mode_style, mode);
    if (cols >= 110 && act_arming(c).state == ARMED_NOBODY && act_arming(c).typed.n && !c->o.read_only_attach) draw_arms(c, mode_x + mode_cols + 2);
    draw_right(d, 0, cols - 1 - time_cols, time_cols, STYLE_HEADER, buf_slice(&now));
    buf_free(&who);
    buf_free(&now);
    mem_free(mode);
}

struct server {
    const char *name, *prefix;
};

static const struct server servers[] = {
    {"kube", "kube/"}, {"vault", "vault/"}, {"postgres", "postgres/"}, {"alerts", "alerts/"}, {"lvm", "lvm/"},
    {"http", "http/"},
};

static struct fresh server_fresh(struct console *c, const struct server *s) {
    return ui_fresh(&c->ui, section_fresh(c->ui.world, s->prefix));
}

static int64_t requests_a_minute(const struct world *w) {
    int64_t sum = 0;
    for (const struct row *r = world_first(w, T_SOURCES); r; r = world_next(w, r))
        sum += row_int(r, SOURCES_REQUESTS, 0);
    return sum;
}

/* Columns of one server at a level of brevity: 0 everything, 1 what is well as its mark only, 2 what is not well as
 * mark and word, 3 marks. */
static int server_cols(const struct server *s, struct fresh f, int brevity) {
    int name = (int)strlen(s->name) + 1, whole = draw_fresh_cols(f);
    if (brevity == 0) return name + whole + 3;
    if (brevity == 3 || fresh_usable(f)) return name + 1 + 2;
    if (brevity == 2) whole = draw_fresh_cols((struct fresh){f.state, -1});
    return name + whole + 2;
}

static int strip_cols(struct console *c, int brevity) {
    int sum = 1;
    for (size_t i = 0; i < ARRAY_LEN(servers); i++) {
        struct fresh f = server_fresh(c, &servers[i]);
        if (f.state != FRESH_OFF) sum += server_cols(&servers[i], f, brevity);
    }
    return sum;
}

static void strip(struct console *c, int cols) {
    struct draw *d = c->ui.draw;
    int x = 1, brevity = 0;
    while (brevity < 3 && strip_cols(c, brevity) > cols) brevity++;
    for (size_t i = 0; i < ARRAY_LEN(servers); i++) {
        struct fresh f = server_fresh(c, &servers[i]);
        if (f.state == FRESH_OFF) continue;
        int used = server_cols(&servers[i], f, brevity), name = (int)strlen(servers[i].name) + 1;
        draw_str(d, 1, x, name, STYLE_DIM, servers[i].name);
        if (brevity == 2) f.age_ms = -1;
        bool mark_only = brevity == 3 || (brevity && fresh_usable(f));
        if (mark_only) draw_fresh(d, 1, x + name, 1, f);
        else draw_fresh(d, 1, x + name, cols - x - name, f);
        x += used;
    }
    if (x == 1) draw_str(d, 1, x, cols - x, STYLE_DIM, "no source has reported yet");
    struct buf rate = {0};
    format_int(&rate, requests_a_minute(c->ui.world));
    buf_adds(&rate, " requests/min");
    int rate_cols = (int)rate.len;
    if (x > 1 && x + rate_cols + 1 < cols)
        draw_right(d, 1, cols - 1 - rate_cols, rate_cols, STYLE_DIM, buf_slice(&rate));
    buf_free(&rate);
}

static void banner(struct console *c, int *y, enum style s, struct buf *text) {
    int cols = term_cols(c->o.term);
    draw_fill(c->ui.draw, *y, 0, cols, s);
    draw_text(c->ui.draw, *y, 1, cols - 2, s, buf_slice(text));
    buf_free(text);
    ++*y;
}

static void engine_banner(struct console *c, int *y) {
    struct buf text = {0};
    if (c->connected) return;
    if (!c->ever_connected && !(c->why && *c->why)) {
        draw_str(c->ui.draw, *y, 1, term_cols(c->o.term) - 2, STYLE_BUSY,
                 "> connecting to the engine; it listens on a socket of its own");
        ++*y;
        return;
    }
    char since[32] = "";
    if (world_now(c->o.world)) clock_format_hms(world_now(c->o.world), since, sizeof since);
    buf_printf(&text, "ENGINE GONE%s%s%s%s%s. ", *since ? " since " : "", since, *since ? "Z" : "", c->why && *c->why ? ": " : "",
               c->why ? c->why : "");
    buf_adds(&text, c->ever_connected ? "Everything below is from then; trying again."
             : "Nothing is known yet; trying again.");
    banner(c, y, STYLE_BANNER_BAD, &text);
}

static void frozen_banner(struct console *c, int *y) {
    struct buf text = {0}, key = {0};
    if (!c->frozen) return;
    int64_t behind = world_now(c->o.world) - world_now(c->frozen);
    char age[32];
    keymap_keys(c->keys, COMMAND_FREEZE, true, &key);
    buf_adds(&text, "FROZEN at ");
    format_hms(&text, world_now(c->frozen));
    buf_printf(&text, "Z, %s ago. %s changes since. %s catches up.",
               behind < 1000 ? "0s" : clock_format_age(behind, age, sizeof age),
               world_seq(c->o.world) == c->frozen_seq ? "No" : "There are", buf_str(&key));
    buf_free(&key);
    banner(c, y, STYLE_BANNER_WARN, &text);
}

static void plan_banner(struct console *c, int *y) {
    const struct row *plan = world_first(c->ui.world, T_PLAN);
    if (!plan || !slice_is(row_text(plan, PLAN_STATE), "MISMATCH")) return;
    struct slice wanted = row_text(plan, PLAN_CLUSTER);
    const struct row *kube = world_find(c->ui.world, T_CREDENTIALS, SLICE_LIT("kube"));
    struct slice is = kube ? row_text(kube, CREDENTIALS_IDENTITY) : (struct slice){NULL, 0};
    struct buf text = {0};
    buf_printf(&text, "ANOTHER CLUSTER: the plan is for %.*s, this one is %.*s. Nothing of the plan is judged here.",
               SLICE_FMT(wanted),
               is.p ? (int)is.n : 7, is.p ? is.p : "unknown");
    banner(c, y, STYLE_BANNER_BAD, &text);
}

static struct slice error_of(const struct world *w, struct slice server) {
    for (const struct row *r = world_first(w, T_SOURCES); r; r = world_next(w, r)) {
        struct slice key = row_key(r), error = row_text(r, SOURCES_ERROR);
        if (error.n && key.n > server.n && memcmp(key.p, server.p, server.n) == 0 && key.p[server.n] == '/')
            return error;
    }
    return (struct slice){NULL, 0};
}

static void credential_banner(struct console *c, const struct row *r, int *y) {
    struct slice key = row_key(r), state = row_text(r, CREDENTIALS_STATE);
    int64_t now = world_now(c->ui.world), expires = row_int(r, CREDENTIALS_EXPIRES, 0);
    bool refused = slice_is(state, "EXPIRED") || slice_is(state, "DENIED");
    struct buf text = {0};
    if (refused) {
        struct slice error = error_of(c->ui.world, key);
        buf_printf(&text, "CREDENTIALS %.*s at %.*s: renew them, they are read again by themselves. %.*s",
                   SLICE_FMT(state), SLICE_FMT(key),
                   SLICE_FMT(error));
        banner(c, y, STYLE_BANNER_BAD, &text);
    } else if (expires && expires - now < EXPIRY_WARN_MS) {
        char age[32];
        struct slice method = row_text(r, CREDENTIALS_METHOD);
        clock_format_age(expires > now ? expires - now : now - expires, age, sizeof age);
        buf_printf(&text, "The credentials at %.*s %s %s%s%s%.*s%s.", SLICE_FMT(key),
                   expires > now ? "end in" : "ended", age,
                   expires > now ? "" : " ago", method.n ? " (" : "", SLICE_FMT(method), method.n ? ")" : "");
        banner(c, y, STYLE_BANNER_WARN, &text);
    }
}

/* Between an act that cannot be taken back and its end, every screen says so. */
static void phase_banner(struct console *c, int *y) {
    const struct world *w = c->ui.world;
    for (const struct row *r = world_first(w, T_PLAN_WORKLOADS); r; r = world_next(w, r)) {
        struct slice until = row_text(r, PLAN_WORKLOADS_NO_WAY_BACK), phase = row_text(r, PLAN_WORKLOADS_PHASE);
        struct buf text = {0};
        if (!until.n) continue;
        buf_printf(&text, "NO WAY BACK BUT FORWARD until %.*s · %.*s of %.*s", SLICE_FMT(until), SLICE_FMT(phase), SLICE_FMT(row_key(r)));
        banner(c, y, STYLE_BANNER_BAD, &text);
    }
    for (const struct row *r = world_first(w, T_STEPS); r; r = world_next(w, r)) {
        struct slice detail = row_text(r, STEPS_DETAIL), state = row_text(r, STEPS_STATE);
        struct buf text = {0};
        if (!slice_starts(detail, "NO WAY BACK") || slice_is(state, "DONE") || slice_is(state, "TODO")) continue;
        buf_printf(&text, "%.*s · %.*s of %.*s", SLICE_FMT(detail), SLICE_FMT(row_text(r, STEPS_PHASE)), SLICE_FMT(row_text(r, STEPS_WORKLOAD)));
        banner(c, y, STYLE_BANNER_BAD, &text);
    }
}

int header_draw(struct console *c) {
    int cols = term_cols(c->o.term), y = 2;
    identity(c, cols);
    strip(c, cols);
    draw_hline(c->ui.draw, y++, 0, cols);
    engine_banner(c, &y);
    frozen_banner(c, &y);
    plan_banner(c, &y);
    phase_banner(c, &y);
    int most = y + 3;
    for (const struct row *r = world_first(c->ui.world, T_CREDENTIALS); r && y < most; r = world_next(c->ui.world, r))
        credential_banner(c, r, &y);
    return y;
}
