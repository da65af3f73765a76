/* Keys to commands, commands to what they do. The screen is asked first, then its list, then the console itself. */
#include "base/str.h"
#include "ui/console_private.h"

static void open_screen(struct console *c, enum command command) {
    const struct screen_ops *ops = console_screen_for(command);
    if (!ops) {
        ui_message(&c->ui, STYLE_WARN, "there is no screen called %s", command_info(command)->id);
        return;
    }
    if (console_top(c)->ops == ops) return;
    struct list *l = console_list(c);
    const struct row *r = l && !ops->root ? list_selected(l) : NULL;
    ui_open(&c->ui, ops, r ? row_table(r) : T_COUNT, r ? row_key(r) : (struct slice){NULL, 0});
}

static void jump_to_match(struct console *c, struct list *l, int direction) {
    if (!*list_filter_text(l)) ui_message(&c->ui, STYLE_WARN, "nothing is looked for; / begins");
    else if (!list_match(l, direction)) ui_message(&c->ui, STYLE_DIM, "no further match");
}

static void open_row(struct console *c, struct list *l) {
    const struct row *r = list_selected(l);
    if (r) ui_open_row(&c->ui, r);
}

/* false: no command of lists. */
static bool run_on_list(struct console *c, struct list *l, enum command command) {
    switch ((int)command) {
    case COMMAND_DOWN: list_move(l, 1); return true;
    case COMMAND_UP: list_move(l, -1); return true;
    case COMMAND_PAGE_DOWN: list_page(l, 1); return true;
    case COMMAND_PAGE_UP: list_page(l, -1); return true;
    case COMMAND_TOP: list_home(l); return true;
    case COMMAND_BOTTOM: list_end(l); return true;
    case COMMAND_OPEN: open_row(c, l); return true;
    case COMMAND_MARK_MATCHES: list_mark_matches(l, !list_marks_matches(l)); return true;
    case COMMAND_NEXT_MATCH: jump_to_match(c, l, 1); return true;
    case COMMAND_PREVIOUS_MATCH: jump_to_match(c, l, -1); return true;
    case COMMAND_SORT_NEXT: list_sort_next(l); return true;
    case COMMAND_SORT_REVERSE: list_sort_reverse(l); return true;
    default: return false;
    }
}

static void back(struct console *c) {
    struct list *l = console_list(c);
    if (l && *list_filter_text(l)) list_filter(l, "");
    else if (c->depth > 1) console_back(c);
    else if (c->frozen) freeze_end(c);
}

static void quit(struct console *c) {
    if (c->depth > 1) console_back(c);
    else if (c->o.quit) c->o.quit(c->o.arg);
}

static void run_everywhere(struct console *c, enum command command) {
    switch ((int)command) {
    case COMMAND_BACK: back(c); break;
    case COMMAND_PALETTE: prompt_open(c, PROMPT_PALETTE); break;
    case COMMAND_FILTER: prompt_open(c, PROMPT_FILTER); break;
    case COMMAND_FREEZE: freeze_toggle(c); break;
    case COMMAND_COPY: copy_selection(c, false); break;
    case COMMAND_COPY_ROW: copy_selection(c, true); break;
    case COMMAND_SAVE: copy_save_screen(c); break;
    case COMMAND_THEME: palette_run(c, "theme"); break;
    case COMMAND_REPAINT: term_repaint(c->o.term); break;
    case COMMAND_SUSPEND: term_suspend(c->o.term); break;
    case COMMAND_QUIT: quit(c); break;
    case COMMAND_ARM: act_arm(c); break;
    case COMMAND_DISARM: act_disarm(c); break;
    case COMMAND_NOTE: act_note(c); break;
    default: break;
    }
}

static const struct screen_ops *screen_of(enum command command) {
    size_t i = 0;
    while (!command_is_of(command, screen_table[i]->group)) i++;
    return screen_table[i];
}

/* Why not, for what needs arming; else on the screen that the command is of. */
static bool may_run(struct console *c, enum command command) {
    struct buf why = {0};
    bool refused = act_refused(c, command, &why);
    if (refused) ui_message(&c->ui, STYLE_WARN, "%s: %s", command_info(command)->palette, buf_str(&why));
    else if (command_is_local(command) && !command_is_of(command, console_top(c)->ops->group))
        ui_open(&c->ui, screen_of(command), T_COUNT, (struct slice){NULL, 0});
    buf_free(&why);
    return !refused;
}

void console_run(struct console *c, enum command command) {
    console_changed(c);
    if (!may_run(c, command)) return;
    struct opened *top = console_top(c);
    struct list *l = console_list(c);
    if (top->ops->command && top->ops->command(top->state, command)) return;
    if (l && run_on_list(c, l, command)) return;
    if (str_eq(command_info(command)->group, "Screens")) open_screen(c, command);
    else run_everywhere(c, command);
}

static void mouse(struct console *c, struct key key) {
    struct list *l = console_list(c);
    if (key.code == KEY_CODE_WHEEL_UP) console_run(c, COMMAND_UP);
    else if (key.code == KEY_CODE_WHEEL_DOWN) console_run(c, COMMAND_DOWN);
    else if (l) list_click(l, key.y);
}

static void unknown(struct console *c, struct key key) {
    struct buf name = {0}, help = {0};
    key_format(key, &name);
    keymap_keys(c->keys, COMMAND_HELP, true, &help);
    if (name.len) ui_message(&c->ui, STYLE_DIM, "%s does nothing here; %s shows the keys", buf_str(&name),
                             buf_str(&help));
    buf_free(&name);
    buf_free(&help);
}

void console_key(struct console *c, struct key key) {
    bool interrupt = key.code == KEY_CODE_CHAR && key.ctrl && key.ch == 'c';
    message_clear(c);
    console_changed(c);
    if (dialog_is_open(c)) {
        dialog_key(c, key);
    } else if (c->prompt.kind != PROMPT_NONE) {
        prompt_key(c, key);
    } else if (key.code == KEY_CODE_MOUSE || key.code == KEY_CODE_WHEEL_UP || key.code == KEY_CODE_WHEEL_DOWN) {
        mouse(c, key);
    } else if (interrupt) {
        if (c->o.quit) c->o.quit(c->o.arg);
    } else {
        enum command command = keymap_find(c->keys, key, console_top(c)->ops->group);
        if (command != COMMAND_NONE) console_run(c, command);
        else unknown(c, key);
    }
}
