/* The last two rows: a line that gives way to prompt and messages, and the keys of the moment. */
#include "base/str.h"
#include "base/utf8.h"
#include "ui/console_private.h"

static int hint_cols(struct console *c, enum command command, const char *word) {
    struct buf key = {0};
    keymap_keys(c->keys, command, true, &key);
    int cols = key.len ? (int)(utf8_columns(buf_slice(&key)) + utf8_columns(slice_of(word))) + 3 : 0;
    buf_free(&key);
    return cols;
}

/* "2 storage" and two blanks; nothing if no key leads there or it does not fit. Returns the columns used. */
static int hint(struct console *c, int y, int x, int end, enum command command, const char *word, bool active) {
    struct draw *d = c->ui.draw;
    struct buf key = {0};
    int cols = hint_cols(c, command, word);
    if (!cols || x + cols - 2 > end) return 0;
    keymap_keys(c->keys, command, true, &key);
    int used = draw_text(d, y, x, end - x, STYLE_KEY, buf_slice(&key)) + 1;
    used += draw_str(d, y, x + used, end - x - used, active ? STYLE_BOLD : STYLE_DIM, word);
    buf_free(&key);
    return used + 2;
}

static const struct {
    enum command command;
    const char *word;
} always[] = {{COMMAND_FILTER, "filter"}, {COMMAND_PALETTE, "command"}, {COMMAND_HELP, "help"}};

/* Keys that are always there stand at the right; the screens at the left; between them what this screen has of its
 * own. */
static void draw_keys(struct console *c, int y, int cols) {
    struct opened *top = console_top(c);
    int right = cols, x = 1;
    for (size_t i = 0; i < sizeof always / sizeof *always; i++)
        if (always[i].command != COMMAND_FILTER || console_list(c))
            right -= hint_cols(c, always[i].command, always[i].word);
    if (c->depth > 1) x += hint(c, y, x, right, COMMAND_BACK, "back", false);
    for (size_t i = 0; screen_table[i] && c->depth == 1; i++)
        if (screen_table[i]->root)
            x += hint(c, y, x, right, screen_table[i]->go, screen_table[i]->title, screen_table[i] == top->ops);
    for (const enum command *own = top->ops->hints; own && *own != COMMAND_NONE; own++) {
        char word[32];
        str_copy(word, sizeof word, command_info(*own)->palette ? command_info(*own)->palette : command_info(*own)->id);
        for (char *p = word; *p; p++)
            if (*p == '_') *p = ' ';
        x += hint(c, y, x, right - 2, *own, word, false);
    }
    for (size_t i = 0; i < sizeof always / sizeof *always; i++)
        if (always[i].command != COMMAND_FILTER || console_list(c))
            right += hint(c, y, right, cols + 2, always[i].command, always[i].word, false);
}

void footer_draw(struct console *c) {
    int rows = term_rows(c->o.term), cols = term_cols(c->o.term);
    draw_keys(c, rows - 1, cols);
    if (c->prompt.kind != PROMPT_NONE) prompt_draw(c, rows - 2);
    else if (message_shown(c)) message_draw(c, rows - 2);
    else draw_hline(c->ui.draw, rows - 2, 0, cols);
}
