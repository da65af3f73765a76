/* The last two rows: a line that gives way to prompt and messages, and the keys of the moment. */
#include "base/mem.h"
#include "base/str.h"
#include "base/utf8.h"
#include "ui/console_private.h"

/* Where the screens need the room: less between the keys, and shorter words. */
struct fit {
    int gap;             /* blanks between two keys */
    const char *command; /* what the palette's key is called */
};

static int hint_cols(struct console *c, enum command command, const char *word, int gap) {
    struct buf key = {0};
    keymap_keys(c->keys, command, true, &key);
    int words = (int)utf8_columns(slice_of(word));
    int cols = key.len ? (int)utf8_columns(buf_slice(&key)) + (words ? words + 1 : 0) + gap : 0;
    buf_free(&key);
    return cols;
}

/* "2 storage" and what is between it and the next; nothing if no key leads there or it does not fit. Returns the columns used. */
static int hint(struct console *c, int y, int x, int end, enum command command, const char *word, bool active, int gap) {
    struct draw *d = c->ui.draw;
    struct buf key = {0};
    int cols = hint_cols(c, command, word, gap);
    if (!cols || x + cols - gap > end) return 0;
    keymap_keys(c->keys, command, true, &key);
    int used = draw_text(d, y, x, end - x, STYLE_KEY, buf_slice(&key)) + 1;
    if (*word) draw_str(d, y, x + used, end - x - used, active ? STYLE_BOLD : STYLE_DIM, word);
    buf_free(&key);
    return cols;
}

/* Columns of the screens' keys, all of them. */
static int screens_cols(struct console *c, int gap) {
    int cols = 1;
    for (size_t i = 0; screen_table[i]; i++)
        if (screen_table[i]->root) cols += hint_cols(c, screen_table[i]->go, screen_table[i]->title, gap);
    return cols;
}

static int always_cols(struct console *c, const char *command) {
    return hint_cols(c, COMMAND_PALETTE, command, 2) + hint_cols(c, COMMAND_HELP, "help", 2);
}

static struct fit fit_for(struct console *c, int cols) {
    static const struct fit fits[] = {{2, "command"}, {2, "cmd"}, {1, "cmd"}, {1, ""}};
    size_t i = 0;
    while (c->depth == 1 && i + 1 < ARRAY_LEN(fits) && screens_cols(c, fits[i].gap) + always_cols(c, fits[i].command) > cols + 2) i++;
    return fits[i];
}

/* The keys that are always there stand at the right. The filter's is left out where the screens need the room. */
static int draw_always(struct console *c, int y, int cols, const struct fit *fit) {
    int rest = always_cols(c, fit->command), filter_cols = hint_cols(c, COMMAND_FILTER, "filter", 2);
    bool filter = console_list(c) != NULL;
    if (c->depth == 1 && screens_cols(c, fit->gap) + rest + filter_cols > cols + 2) filter = false;
    int right = cols - rest - (filter ? filter_cols : 0), x = right + 1;
    if (filter) x += hint(c, y, x, cols + 1, COMMAND_FILTER, "filter", false, 2);
    x += hint(c, y, x, cols + 1, COMMAND_PALETTE, fit->command, false, 2);
    hint(c, y, x, cols + 1, COMMAND_HELP, "help", false, 2);
    return right;
}

/* The screens at the left, and between them and the right what this screen has of its own. */
static void draw_keys(struct console *c, int y, int cols) {
    struct opened *top = console_top(c);
    struct fit fit = fit_for(c, cols);
    int x = 1, right = draw_always(c, y, cols, &fit);
    if (c->depth > 1) x += hint(c, y, x, right, COMMAND_BACK, "back", false, 2);
    for (size_t i = 0; screen_table[i] && c->depth == 1; i++)
        if (screen_table[i]->root)
            x += hint(c, y, x, right, screen_table[i]->go, screen_table[i]->title, screen_table[i] == top->ops, fit.gap);
    for (const enum command *own = top->ops->hints; own && *own != COMMAND_NONE; own++) {
        char word[32];
        str_copy(word, sizeof word, command_info(*own)->palette ? command_info(*own)->palette : command_info(*own)->id);
        for (char *p = word; *p; p++)
            if (*p == '_') *p = ' ';
        x += hint(c, y, x, right - 2, *own, word, false, 2);
    }
}

void footer_draw(struct console *c) {
    int rows = term_rows(c->o.term), cols = term_cols(c->o.term);
    draw_keys(c, rows - 1, cols);
    if (c->prompt.kind != PROMPT_NONE) prompt_draw(c, rows - 2);
    else if (message_shown(c)) message_draw(c, rows - 2);
    else draw_hline(c->ui.draw, rows - 2, 0, cols);
}
