#include "ui/console_private.h"

#include <langinfo.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "loop/timer.h"

#define FRAME_MS 25 /* at most forty frames a second */

struct console *console_of(struct ui *ui) {
    return (struct console *)ui;
}

struct opened *console_top(struct console *c) {
    return &c->stack[c->depth - 1];
}

struct list *console_list(struct console *c) {
    struct opened *top = console_top(c);
    return top->ops->list ? top->ops->list(top->state) : NULL;
}

static void draw_too_small(struct console *c, int rows, int cols) {
    struct draw *d = c->ui.draw;
    int y = rows / 2 - 1;
    draw_fmt(d, y > 0 ? y : 0, 1, cols - 1, STYLE_BOLD, "This terminal has %d columns and %d rows.", cols, rows);
    draw_fmt(d, y > 0 ? y + 1 : 1, 1, cols - 1, STYLE_NORMAL, "ferryman needs %d and %d.", MIN_COLS, MIN_ROWS);
}

static void draw_frame(struct console *c) {
    struct term *t = c->o.term;
    int rows = term_rows(t), cols = term_cols(t);
    c->dirty = false;
    draw_clear(c->ui.draw, (struct rect){0, 0, rows, cols});
    if (rows < MIN_ROWS || cols < MIN_COLS) {
        draw_too_small(c, rows, cols);
        dialog_hidden(c);
    } else {
        struct opened *top = console_top(c);
        int used = header_draw(c);
        top->ops->draw(top->state, (struct rect){used, 0, rows - used - 2, cols});
        footer_draw(c);
        dialog_draw(c);
    }
    term_flush(t);
}

static void on_repaint(void *arg) {
    struct console *c = arg;
    c->cooling = false;
    if (!c->dirty || c->filling) return;
    draw_frame(c);
    c->cooling = true;
    timer_start(c->repaint, FRAME_MS, 0);
}

/* The first change is drawn at once, what follows within a frame's time together. */
void console_changed(struct console *c) {
    if (c->dirty) return;
    c->dirty = true;
    if (!c->cooling) timer_start(c->repaint, 0, 0);
}

/* ---- Screens ----------------------------------------------------------------------------------------------------- */

const struct screen_ops *console_screen_for(enum command go) {
    for (size_t i = 0; go != COMMAND_NONE && screen_table[i]; i++)
        if (screen_table[i]->go == go) return screen_table[i];
    return NULL;
}

bool console_has_command(enum command c) {
    return !str_eq(command_info(c)->group, "Screens") || console_screen_for(c);
}

static void pop(struct console *c) {
    struct opened *top = console_top(c);
    top->ops->close(top->state);
    c->depth--;
}

void console_back(struct console *c) {
    if (c->depth > 1) pop(c);
    console_changed(c);
}

void ui_open(struct ui *ui, const struct screen_ops *ops, enum world_table t, struct slice key) {
    struct console *c = console_of(ui);
    const struct screen_arg arg = {t, key};
    if (c->depth == STACK_MAX) {
        ui_message(ui, STYLE_WARN, "%d screens deep; Esc goes back", STACK_MAX);
        return;
    }
    void *state = ops->open(ui, &arg); /* before anything is closed: the key may be of the screen that is left */
    while (ops->root && c->depth) pop(c);
    c->stack[c->depth++] = (struct opened){ops, state};
    console_changed(c);
}

void ui_open_row(struct ui *ui, const struct row *r) {
    ui_open(ui, &screen_detail, row_table(r), row_key(r));
}

void ui_send(struct ui *ui, const char *json_line) {
    struct console *c = console_of(ui);
    if (c->o.send) c->o.send(c->o.arg, json_line);
}

/* ---- What the stream tells --------------------------------------------------------------------------------------- */

static void set_filling(struct console *c, bool filling) {
    if (c->filling && !filling) c->dirty = false; /* its repaint was passed over: the next change asks for another */
    c->filling = filling;
}

/* A part of a snapshot would look like a world in which little is wrong: what was drawn before stays until then. */
void console_commit(struct console *c) {
    set_filling(c, false);
    act_commit(c);
    dialog_commit(c);
    bell_commit(c);
    console_changed(c);
}

void console_tick(struct console *c) {
    console_changed(c);
}

void console_hello(struct console *c, const char *plan, const char *context, unsigned peer) {
    c->ui.peer = peer;
    str_set(&c->plan, plan);
    str_set(&c->context, context);
    c->ui.plan = c->plan;
    console_changed(c);
}

void console_lagged(struct console *c, int64_t ms) {
    char age[32];
    ui_message(&c->ui, STYLE_WARN, "this console was %s behind: what changed twice in that time was seen once",
               clock_format_age(ms, age, sizeof age));
}

void console_engine(struct console *c, bool connected, const char *why) {
    if (connected && c->ever_connected && !c->connected) ui_message(&c->ui, STYLE_OK, "connected to the engine again");
    set_filling(c, connected);
    if (!connected && c->connected) bell_ring(c);
    c->connected = connected;
    c->ever_connected |= connected;
    c->ui.stale = !connected && c->ever_connected;
    if (!connected) dialog_lost(c);
    if (!connected) c->armed = ARMED_NOBODY;
    str_set(&c->why, connected ? NULL : why);
    console_changed(c);
}

void console_resize(struct console *c) {
    term_resize(c->o.term, term_rows(c->o.term), term_cols(c->o.term));
    console_changed(c);
}

void console_resume(struct console *c) {
    term_repaint(c->o.term);
    console_resize(c);
}

void console_draw_now(struct console *c) {
    if (!c->filling) draw_frame(c);
}

void console_text(struct console *c, struct buf *out) {
    term_text(c->o.term, out);
}

/* ---- Life -------------------------------------------------------------------------------------------------------- */

static int colors_wanted(const struct console_options *o) {
    const char *no_color = getenv("NO_COLOR");
    if (str_eq(o->color, "never")) return 0;
    if (!str_eq(o->color, "always") && no_color && *no_color) return 0;
    return term_colors(o->term);
}

/* Marks beyond ASCII only where the locale can say them. */
static bool ascii_only(const struct console_options *o) {
    return o->ascii || !str_ieq(nl_langinfo(CODESET), "UTF-8");
}

struct err *console_set_theme(struct console *c, const char *name) {
    struct theme *theme = NULL;
    struct err *e = theme_load(name, colors_wanted(&c->o), ascii_only(&c->o), &theme);
    if (e) return e;
    if (c->ui.draw) draw_set_theme(c->ui.draw, theme);
    else c->ui.draw = draw_new(c->o.term, theme);
    theme_free(c->theme);
    c->theme = theme;
    return NULL;
}

static struct err *load_keys(struct console *c) {
    char *dir = file_config_dir(), *path = str_printf("%s/keys.yaml", dir);
    struct err *e = keymap_load(path, &c->keys);
    mem_free(path);
    mem_free(dir);
    return e;
}

struct err *console_new(const struct console_options *o, struct console **ret) {
    struct console *c = MEM_NEW(struct console);
    c->o = *o;
    c->ui.world = o->world;
    c->ui.ns = o->ns;
    struct err *e = console_set_theme(c, o->theme);
    if (!e) e = load_keys(c);
    if (e) {
        draw_free(c->ui.draw);
        theme_free(c->theme);
        mem_free(c);
        return e;
    }
    c->repaint = timer_new(o->loop, on_repaint, c);
    c->dialog = dialog_new(o->loop);
    ui_open(&c->ui, o->watch ? &screen_window : screen_table[0], T_COUNT, (struct slice){NULL, 0});
    draw_frame(c);
    *ret = c;
    return NULL;
}

void console_free(struct console *c) {
    if (!c) return;
    while (c->depth) pop(c);
    freeze_end(c);
    timer_free(c->repaint);
    dialog_free(c->dialog);
    prompt_free(&c->prompt);
    keymap_free(c->keys);
    draw_free(c->ui.draw);
    theme_free(c->theme);
    mem_free(c->message);
    mem_free(c->why);
    mem_free(c->plan);
    mem_free(c->context);
    mem_free(c->about_workload);
    mem_free(c->about_phase);
    mem_free(c);
}
