#include <string.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "loop/timer.h"
#include "ui/dialog_private.h"

#define GUARD_MS 300
#define TYPED_MAX 256
#define SCROLL_MAX 100000

static void on_guard(void *arg) {
    (void)arg;
}

struct dialog_box *dialog_new(struct loop *l) {
    struct dialog_box *b = MEM_NEW(struct dialog_box);
    b->guard = timer_new(l, on_guard, b);
    b->run = timer_new(l, on_guard, b);
    return b;
}

void dialog_free(struct dialog_box *b) {
    if (!b) return;
    timer_free(b->guard);
    timer_free(b->run);
    buf_free(&b->typed);
    mem_free(b->id);
    mem_free(b->done);
    mem_free(b->note);
    mem_free(b);
}

bool dialog_is_typed(const struct row *r) {
    return !slice_is(row_text(r, DIALOGS_STAKE), "reversible");
}

bool dialog_complete(const struct dialog_box *b, const struct row *r) {
    struct slice wanted = row_text(r, DIALOGS_TYPED);
    return !dialog_is_typed(r) || (wanted.n && slice_eq(buf_slice(&b->typed), wanted));
}

enum dialog_state dialog_state_of(const struct row *r) {
    static const char *const words[] = {"PREPARING", "READY", "REFUSED", "STALE"};
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (slice_is(row_text(r, DIALOGS_STATE), words[i])) return (enum dialog_state)i;
    return DIALOG_OVER;
}

/* ---- Coming and going -------------------------------------------------------------------------------------------- */

/* The latest of ours that is open and was not closed here. */
static const struct row *find(struct console *c) {
    const struct row *found = NULL;
    const struct world *w = c->o.world;
    for (const struct row *r = world_first(w, T_DIALOGS); r && c->ui.peer && c->connected; r = world_next(w, r)) {
        if (row_int(r, DIALOGS_PEER, 0) != (int64_t)c->ui.peer || dialog_state_of(r) == DIALOG_OVER) continue;
        if (c->dialog->done && slice_is(row_key(r), c->dialog->done)) continue;
        if (!found || row_int(r, DIALOGS_OPENED, 0) > row_int(found, DIALOGS_OPENED, 0)) found = r;
    }
    return found;
}

const struct row *dialog_row(struct console *c) {
    return c->dialog->id ? world_find(c->o.world, T_DIALOGS, slice_of(c->dialog->id)) : NULL;
}

bool dialog_is_open(const struct console *c) {
    return c->dialog->id != NULL;
}

/* Everything as at opening: nothing that was done to what stood there before counts for what stands there now. */
static void begin(struct console *c, const struct row *r) {
    struct dialog_box *b = c->dialog;
    char *id = slice_dup(row_key(r));
    if (!str_eq(id, b->id)) b->all = b->sent = false;
    mem_free(b->id);
    b->id = id;
    b->state = dialog_state_of(r);
    b->drawn = false;
    b->focus = DIALOG_CANCEL;
    b->scroll = 0;
    if (b->state != DIALOG_READY) b->sent = false;
    buf_clear(&b->typed);
    str_set(&b->note, NULL);
    prompt_cancel(c);
}

static void end(struct console *c) {
    struct dialog_box *b = c->dialog;
    mem_free(b->done);
    b->done = b->id;
    b->id = NULL;
    buf_clear(&b->typed);
    console_changed(c);
}

/* It ended without a word from here, or because of it. */
static void tell_end(struct console *c, const struct row *r) {
    struct slice title = r ? row_text(r, DIALOGS_TITLE) : (struct slice){NULL, 0}, reason = r ? row_text(r, DIALOGS_REASON) : title;
    if (r && slice_is(row_text(r, DIALOGS_STATE), "CONFIRMED"))
        ui_message(&c->ui, STYLE_OK, "confirmed: %.*s", SLICE_FMT(title));
    else if (reason.n) ui_message(&c->ui, STYLE_WARN, "the dialog was closed: %.*s", SLICE_FMT(reason));
    else ui_message(&c->ui, STYLE_WARN, "the engine has closed the dialog%s", c->dialog->sent ? "" : "; nothing was confirmed");
}

void dialog_commit(struct console *c) {
    struct dialog_box *b = c->dialog;
    const struct row *r = dialog_row(c), *newest = find(c);
    if (b->id && (!r || dialog_state_of(r) == DIALOG_OVER)) {
        tell_end(c, r);
        end(c);
    }
    if (newest && (!b->id || !slice_is(row_key(newest), b->id) || dialog_state_of(newest) != b->state)) begin(c, newest);
}

void dialog_answered(struct console *c, struct slice why) {
    struct dialog_box *b = c->dialog;
    if (!b->id) return;
    b->sent = false;
    mem_free(b->note);
    b->note = slice_dup(why);
}

void dialog_lost(struct console *c) {
    struct dialog_box *b = c->dialog;
    if (!b->id) return;
    ui_message(&c->ui, STYLE_WARN, b->sent ? "the engine has gone: whether it took the confirmation is not known"
                                           : "the engine has gone: the dialog is closed, nothing was confirmed");
    end(c);
}

void dialog_drawn(struct console *c) {
    struct dialog_box *b = c->dialog;
    if (b->drawn) return;
    b->drawn = true;
    term_drop_input(c->o.term);
    timer_start(b->guard, GUARD_MS, 0);
    timer_stop(b->run);
}

void dialog_hidden(struct console *c) {
    c->dialog->drawn = false;
}

/* ---- Answers ----------------------------------------------------------------------------------------------------- */

/* Every no, and the closing of what cannot be confirmed. */
static void say_no(struct console *c) {
    struct dialog_box *b = c->dialog;
    bool open = b->state == DIALOG_READY || b->state == DIALOG_PREPARING;
    if (b->sent) ui_message(&c->ui, STYLE_WARN, "it was confirmed already: the engine answers soon");
    else if (open) ui_message(&c->ui, STYLE_DIM, "cancelled: nothing was done");
    if (!b->sent) act_send(c, "cancel", "dialog", b->id, (const char *)NULL);
    end(c);
}

static void say(struct console *c, const char *text) {
    str_set(&c->dialog->note, text);
}

static void say_yes(struct console *c, const struct row *r) {
    struct dialog_box *b = c->dialog;
    struct arming a = act_arming(c);
    if (b->sent) return;
    if (a.state != ARMED_OURS) {
        say(c, "this console is no longer armed: Esc, then A arms it");
    } else if (!dialog_complete(b, r)) {
        say(c, b->typed.len ? "this is not what has to be typed: nothing was done" : "it has to be typed first: nothing was done");
    } else {
        b->sent = true;
        act_send(c, "confirm", "dialog", b->id, "typed", dialog_is_typed(r) ? buf_str(&b->typed) : "y", (const char *)NULL);
    }
}

/* ---- Keys -------------------------------------------------------------------------------------------------------- */

static void move_focus(struct console *c, const struct row *r, int step) {
    struct dialog_box *b = c->dialog;
    bool typed = dialog_is_typed(r);
    int n = typed ? 3 : 2, at = typed || b->focus == DIALOG_CANCEL ? (int)b->focus : 1;
    at = (at + step + n) % n;
    b->focus = typed || at == 0 ? (enum dialog_focus)at : DIALOG_GO;
}

/* Drawing holds it to what there is. */
static void scroll(struct console *c, int lines) {
    struct dialog_box *b = c->dialog;
    b->scroll = b->scroll + lines < SCROLL_MAX ? b->scroll + lines : SCROLL_MAX;
    if (b->scroll < 0) b->scroll = 0;
}

/* The same in every focus; false: something else. */
static bool movement(struct console *c, const struct row *r, struct key key) {
    int page = c->dialog->page > 2 ? c->dialog->page - 1 : 1;
    bool ready = c->dialog->state == DIALOG_READY;
    switch ((int)key.code) {
    case KEY_CODE_UP: case KEY_CODE_WHEEL_UP: scroll(c, -1); return true;
    case KEY_CODE_DOWN: case KEY_CODE_WHEEL_DOWN: scroll(c, 1); return true;
    case KEY_CODE_PAGE_UP: scroll(c, -page); return true;
    case KEY_CODE_PAGE_DOWN: scroll(c, page); return true;
    case KEY_CODE_HOME: scroll(c, -SCROLL_MAX); return true;
    case KEY_CODE_END: scroll(c, SCROLL_MAX); return true;
    case KEY_CODE_TAB: if (ready) move_focus(c, r, 1); return true;
    case KEY_CODE_BACKTAB: if (ready) move_focus(c, r, -1); return true;
    case KEY_CODE_LEFT: if (ready && c->dialog->focus == DIALOG_GO) c->dialog->focus = DIALOG_CANCEL; return true;
    case KEY_CODE_RIGHT: if (ready && c->dialog->focus == DIALOG_CANCEL) c->dialog->focus = DIALOG_GO; return true;
    case KEY_CODE_MOUSE: return true; /* nothing is answered by a click */
    default: return false;
    }
}

static void type_char(struct dialog_box *b, uint32_t cp) {
    char bytes[4];
    if (b->typed.len < TYPED_MAX && utf8_width(cp) > 0) buf_add(&b->typed, bytes, utf8_encode(cp, bytes));
}

static void erase_char(struct dialog_box *b) {
    while (b->typed.len && ((unsigned char)b->typed.p[b->typed.len - 1] & 0xC0) == 0x80) b->typed.len--;
    if (b->typed.len) b->typed.p[--b->typed.len] = 0;
}

static void in_field(struct console *c, struct key key) {
    struct dialog_box *b = c->dialog;
    if (key.code == KEY_CODE_BACKSPACE || key.code == KEY_CODE_DELETE) erase_char(b);
    else if (key.code == KEY_CODE_CHAR && key.ctrl && key.ch == 'u') buf_clear(&b->typed);
    else if (key.code == KEY_CODE_CHAR && !key.ctrl) type_char(b, key.ch);
}

static bool is_no(struct key key) {
    return key.code == KEY_CODE_CHAR && !key.ctrl && (key.ch == 'n' || key.ch == 'N' || key.ch == 'q' || key.ch == 'Q');
}

/* What has to be typed begins with it, and nothing was typed yet: it is meant for the field, whatever else it does. */
static bool begins_name(const struct dialog_box *b, const struct row *r, struct key key) {
    struct slice name = row_text(r, DIALOGS_TYPED);
    uint32_t first;
    if (b->state != DIALOG_READY || !dialog_is_typed(r) || !name.n || b->typed.len || key.code != KEY_CODE_CHAR || key.ctrl) return false;
    utf8_decode(name.p, name.n, &first);
    return first == key.ch;
}

char dialog_all_key(const struct row *r) {
    struct slice name = row_text(r, DIALOGS_TYPED);
    return dialog_is_typed(r) && name.n && name.p[0] == 'v' ? 'V' : 'v';
}

/* A letter while a button has the focus. */
static void letter(struct console *c, const struct row *r, struct key key) {
    struct dialog_box *b = c->dialog;
    if (key.code != KEY_CODE_CHAR || key.ctrl) return;
    if (begins_name(b, r, key)) {
        b->focus = DIALOG_FIELD;
        in_field(c, key);
    } else if (is_no(key)) {
        say_no(c);
    } else if (key.ch == (uint32_t)dialog_all_key(r)) {
        b->all = !b->all;
    } else if (b->state != DIALOG_READY) {
        say(c, b->state == DIALOG_PREPARING ? "it is not ready yet" : NULL);
    } else if (dialog_is_typed(r)) { /* who begins to type means the field */
        b->focus = DIALOG_FIELD;
        in_field(c, key);
    } else if (key.ch == 'y' || key.ch == 'Y') {
        say_yes(c, r);
    }
}

static bool always_no(struct key key) {
    return key.code == KEY_CODE_ESC || (key.code == KEY_CODE_CHAR && key.ctrl && (key.ch == 'c' || key.ch == 'g'));
}

/* Whether the key was pressed without having seen what it would answer. What follows such a key closely is of one run with it
 * (what is pasted, or lies on the keyboard) and does not count either, but for what says no: that is never held up longer. */
static bool typed_ahead(struct dialog_box *b, bool no) {
    bool early = !b->drawn || timer_active(b->guard);
    if (!early && (no || !timer_active(b->run))) return false;
    timer_start(b->run, GUARD_MS, 0);
    return true;
}

void dialog_key(struct console *c, struct key key) {
    struct dialog_box *b = c->dialog;
    const struct row *r = dialog_row(c);
    bool interrupt = key.code == KEY_CODE_CHAR && key.ctrl && key.ch == 'c';
    bool no = always_no(key) || (b->focus != DIALOG_FIELD && r && !begins_name(b, r, key) && (is_no(key) || (key.code == KEY_CODE_ENTER && b->focus == DIALOG_CANCEL)));
    if (!r || (typed_ahead(b, no) && !interrupt)) return;
    say(c, NULL);
    if (always_no(key)) say_no(c);
    else if (movement(c, r, key)) return;
    else if (key.code == KEY_CODE_ENTER && (b->focus == DIALOG_CANCEL || b->state != DIALOG_READY)) say_no(c);
    else if (key.code == KEY_CODE_ENTER) say_yes(c, r);
    else if (b->focus == DIALOG_FIELD) in_field(c, key);
    else letter(c, r, key);
}
