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

/* Columns of the screens' keys, all of them. */
static int screens_cols(struct console *c) {
    int cols = 1;
    for (size_t i = 0; screen_table[i]; i++)
        if (screen_table[i]->root) cols += hint_cols(c, screen_table[i]->go, screen_table[i]->title);
    return cols;
}

/* The keys that are always there stand at the right. Where the screens need the room, the filter's is left out, and words
 * are short. */
static int draw_always(struct console *c, int y, int cols) {
    const char *command = "command";
    if (c->depth == 1 && screens_cols(c) + hint_cols(c, COMMAND_PALETTE, command) + hint_cols(c, COMMAND_HELP, "help") > cols + 2)
        command = "cmd";
    int right = cols, rest = hint_cols(c, COMMAND_PALETTE, command) + hint_cols(c, COMMAND_HELP, "help");
    bool filter = console_list(c) != NULL;
    if (c->depth == 1 && screens_cols(c) + rest + hint_cols(c, COMMAND_FILTER, "filter") > cols + 2) filter = false;
    right -= rest + (filter ? hint_cols(c, COMMAND_FILTER, "filter") : 0);
    int x = right + 1;
    if (filter) x += hint(c, y, x, cols + 1, COMMAND_FILTER, "filter", false);
    x += hint(c, y, x, cols + 1, COMMAND_PALETTE, command, false);
    hint(c, y, x, cols + 1, COMMAND_HELP, "help", false);
    return right;
}

/* The screens at the left, and between them and the right what this screen has of its own. */
static void draw_keys(struct console *c, int y, int cols) {
    struct opened *top = console_top(c);
    int x = 1, right = draw_always(c, y, cols);
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
}

void footer_draw(struct console *c) {
    int rows = term_rows(c->o.term), cols = term_cols(c->o.term);
    draw_keys(c, rows - 1, cols);
    if (c->prompt.kind != PROMPT_NONE) prompt_draw(c, rows - 2);
    else if (message_shown(c)) message_draw(c, rows - 2);
    else draw_hline(c->ui.draw, rows - 2, 0, cols);
}
