/* The palette: commands by name, some with a word after it (theme NAME, filter WORDS, sort COLUMN). */
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "ui/console_private.h"

#define SHOWN_MAX 10

static const char *name_of(enum command command) {
    return console_has_command(command) ? command_info(command)->palette : NULL;
}

void palette_completions_free(char **list) {
    for (size_t i = 0; list[i]; i++) mem_free(list[i]);
    mem_free(list);
}

static void add(char ***list, size_t *n, char *line) {
    *list = mem_reallocarray(*list, *n + 2, sizeof **list);
    (*list)[(*n)++] = line;
    (*list)[*n] = NULL;
}

static char **theme_completions(const char *start) {
    char **names = theme_names(), **list = mem_calloc(1, sizeof *list);
    size_t n = 0;
    for (size_t i = 0; names[i]; i++)
        if (str_starts(names[i], start)) add(&list, &n, str_printf("theme %s", names[i]));
    palette_completions_free(names);
    return list;
}

char **palette_completions(struct console *c, const char *typed) {
    (void)c;
    while (*typed == ' ') typed++;
    if (str_starts(typed, "theme ")) return theme_completions(typed + 6);
    char **list = mem_calloc(1, sizeof *list);
    size_t n = 0;
    for (int i = 1; i < COMMAND_COUNT; i++) {
        const char *name = name_of((enum command)i);
        if (name && str_starts(name, typed)) add(&list, &n, mem_strdup(name));
    }
    for (int i = 1; i < COMMAND_COUNT && *typed; i++) {
        const char *name = name_of((enum command)i);
        if (name && !str_starts(name, typed) && strstr(name, typed)) add(&list, &n, mem_strdup(name));
    }
    return list;
}

/* The command of exactly that name, or the only one that begins so. */
static enum command find(const char *word) {
    enum command found = COMMAND_NONE;
    for (int i = 1; i < COMMAND_COUNT; i++) {
        const char *name = name_of((enum command)i);
        if (!name || !str_starts(name, word)) continue;
        if (str_eq(name, word)) return (enum command)i;
        if (found != COMMAND_NONE) return COMMAND_NONE;
        found = (enum command)i;
    }
    return *word || found == COMMAND_NONE ? found : COMMAND_NONE;
}

static void unknown(struct console *c, const char *word) {
    const char *names[COMMAND_COUNT + 1];
    size_t n = 0;
    for (int i = 1; i < COMMAND_COUNT; i++)
        if (name_of((enum command)i)) names[n++] = name_of((enum command)i);
    names[n] = NULL;
    const char *near = str_nearest(word, names);
    ui_message(&c->ui, STYLE_WARN, "no command is called '%s'%s%s; : and Tab show all", word,
               near ? "; did you mean " : "", near ? near : "");
}

static void set_theme(struct console *c, const char *name) {
    struct err *e = *name ? console_set_theme(c, name) : err_new(ERR_USAGE,
                                                                 "theme NAME: Tab after a blank shows the names");
    if (!e) return;
    ui_message(&c->ui, STYLE_WARN, "%s", err_text(e));
    err_free(e);
}

static void run_with(struct console *c, enum command command, const char *argument) {
    struct list *l = console_list(c);
    switch ((int)command) {
    case COMMAND_THEME: set_theme(c, argument); return;
    case COMMAND_FILTER:
        if (l) list_filter(l, argument);
        else console_run(c, command);
        return;
    case COMMAND_SORT_NEXT:
        if (l && *argument && !list_sort_by(l, argument))
            ui_message(&c->ui, STYLE_WARN, "no column begins with '%s'", argument);
        else if (!*argument) console_run(c, command);
        return;
    default: console_run(c, command); return;
    }
}

void palette_run(struct console *c, const char *line) {
    while (*line == ' ') line++;
    size_t n = strcspn(line, " ");
    char *word = mem_strndup(line, n);
    const char *argument = line + n;
    while (*argument == ' ') argument++;
    enum command command = find(word);
    if (command != COMMAND_NONE) run_with(c, command, argument);
    else if (*word) unknown(c, word);
    mem_free(word);
}

static void draw_line(struct console *c, int y, int cols, const char *line) {
    struct draw *d = c->ui.draw;
    struct buf key = {0};
    enum command command = command_by_name(line);
    draw_fill(d, y, 0, cols, STYLE_NORMAL);
    draw_str(d, y, 2, command != COMMAND_NONE ? 18 : cols - 3, STYLE_KEY, line);
    if (command != COMMAND_NONE) {
        keymap_keys(c->keys, command, false, &key);
        draw_text(d, y, 21, 8, STYLE_DIM, buf_slice(&key));
        draw_str(d, y, 30, cols - 31, act_allowed(&c->ui, command) ? STYLE_NORMAL : STYLE_DIM, command_info(command)->help);
    }
    buf_free(&key);
}

/* The matching commands above the line in which one is typed. */
void palette_draw(struct console *c, int bottom) {
    int cols = term_cols(c->o.term), n = 0;
    char **list = palette_completions(c, c->prompt.typed ? c->prompt.typed : buf_str(&c->prompt.text));
    while (list[n]) n++;
    int shown = n < SHOWN_MAX ? n : SHOWN_MAX;
    draw_hline(c->ui.draw, bottom - shown - 1, 0, cols);
    for (int i = 0; i < shown; i++) draw_line(c, bottom - shown + i, cols, list[i]);
    palette_completions_free(list);
}
