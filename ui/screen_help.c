/* Help: keys by group from command.def, what the marks mean, how filters are written. */
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "ui/console_private.h"
#include "ui/pager.h"

struct state {
    struct ui *ui;
    struct pager *pager;
};

static void add_commands(struct state *s) {
    struct console *c = console_of(s->ui);
    const char *group = "";
    for (int i = 1; i < COMMAND_COUNT; i++) {
        const struct command_info *info = command_info((enum command)i);
        struct buf label = {0}, text = {0};
        if (!console_has_command((enum command)i)) continue;
        if (!str_eq(group, info->group)) pager_heading(s->pager, info->group);
        group = info->group;
        keymap_keys(c->keys, (enum command)i, false, &label);
        if (info->palette) buf_printf(&label, "%s:%s", label.len ? "  " : "", info->palette);
        bool refused = act_refused(c, (enum command)i, &text);
        if (refused) buf_adds(&text, ")");
        struct buf help = {0};
        buf_printf(&help, "%s%s%s", info->help, refused ? " (" : "", buf_str(&text));
        pager_add(s->pager, buf_str(&label), refused ? STYLE_DIM : STYLE_NORMAL, buf_slice(&help));
        buf_free(&help);
        buf_free(&text);
        buf_free(&label);
    }
}

static const struct {
    enum level level;
    const char *text;
} marks[] = {
    {LEVEL_OK, "well"},
    {LEVEL_WARN, "look at it"},
    {LEVEL_BAD, "wrong: it can cost data or service"},
    {LEVEL_UNKNOWN, "not known: could not be observed; never counted as well"},
    {LEVEL_STALE, "old: its source has not answered for longer than it should; the row is dim"},
    {LEVEL_LEADER, "the leader"},
    {LEVEL_BUSY, "on its way"},
};

static void add_marks(struct state *s) {
    const struct theme *theme = draw_theme(s->ui->draw);
    pager_heading(s->pager, "Marks");
    for (size_t i = 0; i < ARRAY_LEN(marks); i++)
        pager_add(s->pager, theme_glyph(theme, theme_level_glyph(marks[i].level)), theme_level_style(marks[i].level),
                  slice_of(marks[i].text));
    pager_add(s->pager, theme_glyph(theme, GLYPH_CHANGED), STYLE_CHANGED,
              SLICE_LIT("changed within the last three seconds"));
}

static void add_filters(struct state *s) {
    pager_heading(s->pager, "Filters");
    pager_add(s->pager, "vault nfs", STYLE_NORMAL, SLICE_LIT("rows with both words in any column"));
    pager_add(s->pager, "class:nfs", STYLE_NORMAL,
              SLICE_LIT("the word in that column; a column's beginning will do; columns that are not shown too"));
    pager_add(s->pager, "!moved", STYLE_NORMAL, SLICE_LIT("rows without the word"));
    pager_add(s->pager, "\"idle in\"", STYLE_NORMAL, SLICE_LIT("quotes keep words together"));
    pager_heading(s->pager, "Files");
    pager_add(s->pager, "keys.yaml", STYLE_NORMAL,
              SLICE_LIT("below $XDG_CONFIG_HOME/ferryman: other keys, as  sort_next: [o, F1]"));
    pager_add(s->pager, "themes/NAME.yaml", STYLE_NORMAL, SLICE_LIT("below the same folder: themes of your own"));
}

static void *open_screen(struct ui *ui, const struct screen_arg *arg) {
    struct state *s = MEM_NEW(struct state);
    (void)arg;
    s->ui = ui;
    s->pager = pager_new(ui);
    pager_labels(s->pager, 24);
    add_commands(s);
    add_marks(s);
    add_filters(s);
    return s;
}

static void close_screen(void *state) {
    struct state *s = state;
    pager_free(s->pager);
    mem_free(s);
}

static void draw_screen(void *state, struct rect r) {
    const struct state *s = state;
    section_title(s->ui, r.y, r.x + 1, r.cols - 2, "HELP",
                  SLICE_LIT("ferryman " FERRYMAN_VERSION " · ferryman(1) has more"), NULL);
    pager_draw(s->pager, (struct rect){r.y + 2, r.x + 1, r.rows - 2, r.cols - 2});
}

static bool run(void *state, enum command c) {
    return pager_command(((struct state *)state)->pager, c);
}

static bool copy(void *state, struct buf *out) {
    return pager_copy(((struct state *)state)->pager, out);
}

const struct screen_ops screen_help = {
    .id = "help", .title = "help", .go = COMMAND_HELP, .open = open_screen, .close = close_screen,
        .draw = draw_screen, .command = run, .copy = copy,
};
